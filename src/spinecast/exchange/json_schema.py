"""The registry as a JSON Schema (draft 2020-12): what a patient and a cohort's row look like.

The schema is narrower than what is read: it knows one way of writing each answer, and what it
accepts (with the format of dates asserted) is accepted here. Of the rules across answers it states
those that are made of comparisons joined by and, or; the others stand in `$comment`. That a
follow-up is not before its operation cannot be said in a schema.
"""

from __future__ import annotations

import ast
import json
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from spinecast.knowledge.endpoint import OutcomeColumn
from spinecast.knowledge.factors import Factor, Impossible, Registry
from spinecast.patients.answers import INDEX_DATE
from spinecast.patients.patient import PATIENT_ID, SITE

Schema: TypeAlias = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
DAY = r"^\d{4}-\d{2}-\d{2}$"
_NUMERIC: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "exclusiveMaximum",
    ast.LtE: "maximum",
    ast.Gt: "exclusiveMinimum",
    ast.GtE: "minimum",
    ast.Eq: "const",
}
_ON_CODES: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def json_schema(registry: Registry) -> Schema:
    """The schema: it describes one patient to be scored; `$defs/cohort_row` a row to learn from.

    In both, null means not known. A row has the follow-up columns as well, needs its id and has the
    required columns, whatever stands in them.
    """
    asked = {
        SITE: {"description": "Hospital or centre.", "type": ["string", "null"]},
        INDEX_DATE: _date(f"Day of {registry.operation}."),
        **{one.name: _exclusion(one.question, one.reason) for one in registry.exclusions},
        **{factor.name: _factor(factor) for factor in registry.factors},
    }
    followup = {column.name: _column(column) for column in registry.outcome.columns}
    rules = [_impossible(registry, one) for one in registry.impossible]
    who = {"description": "A pseudonym.", "type": ["string", "integer", "null"]}
    row_who = {"description": "A pseudonym, once in a cohort.", "type": "string", "pattern": r"\S"}
    required = [PATIENT_ID, *(factor.name for factor in registry.factors if factor.required)]
    patient: Schema = {
        "title": f"A patient before {registry.operation}",
        "type": "object",
        "properties": {PATIENT_ID: who, **asked, **followup},
        "additionalProperties": False,
        **({"allOf": rules} if rules else {}),
    }
    row = {
        **patient,
        "title": "A row of a cohort",
        "properties": {PATIENT_ID: row_who, **asked, **followup},
        "required": required,
    }
    return {
        "$schema": DRAFT,
        "$id": f"urn:spinecast:{registry.id}",
        "title": registry.title,
        "description": f"Made from the registry {registry.id}. Null means not known.",
        "$ref": "#/$defs/patient",
        "$defs": {"patient": patient, "cohort_row": row},
    }


def json_schema_text(registry: Registry) -> str:
    """The schema as a file."""
    return json.dumps(json_schema(registry), indent=2, ensure_ascii=False) + "\n"


def _factor(factor: Factor) -> Schema:
    said = {"title": factor.label, "description": f"{factor.question} {factor.definition}".strip()}
    example = factor.value_of(factor.reference_code)
    if factor.is_numeric:
        low, high = factor.bounds
        kind = "integer" if factor.kind == "count" else "number"
        unit = {"x-unit": factor.unit} if factor.unit else {}
        bounds = {"minimum": _plain(low), "maximum": _plain(high)}
        return {**said, "type": [kind, "null"], **bounds, **unit, "examples": [example]}
    words = {level: factor.in_plain_words(code) for level, code in factor.level_codes.items()}
    return {**said, "enum": [*factor.levels, None], "x-labels": words, "examples": [example]}


def _exclusion(question: str, reason: str) -> Schema:
    said = f"{question} With a yes the patient is out of scope. {reason}"
    return {"description": said, "enum": ["no", None], "examples": ["no"]}


def _column(column: OutcomeColumn) -> Schema:
    match column.kind:
        case "date":
            return _date(column.label)
        case "yes_no":
            return {"description": column.label, "enum": ["no", "yes", None]}
        case "number":
            bounds = column.range
            between = {"minimum": _plain(bounds[0]), "maximum": _plain(bounds[1])} if bounds else {}
            unit = {"x-unit": column.unit} if column.unit else {}
            return {"description": column.label, "type": ["number", "null"], **between, **unit}


def _date(said: str) -> Schema:
    return {
        "description": said,
        "type": ["string", "null"],
        "format": "date",
        "pattern": DAY,
        "examples": ["2024-05-31"],
    }


def _plain(number: float) -> int | float:
    return int(number) if number.is_integer() else number


# --- combinations that cannot be -----------------------------------------------------------------


def _impossible(registry: Registry, impossible: Impossible) -> Schema:
    """What no patient has; a rule that cannot be said in a schema is only mentioned."""
    said = f"{impossible.says} {impossible.remedy}".strip()
    tree = ast.parse(" ".join(impossible.rule.split()), mode="eval").body
    holds = _holds(tree, registry)
    if holds is None:
        return {"$comment": f"Not checked by this schema: {said} ({impossible.rule})"}
    return {"$comment": said, "not": holds}


def _holds(tree: ast.expr, registry: Registry) -> Schema | None:
    """A schema of the patients for whom a rule holds; None where a schema cannot say it."""
    match tree:
        case ast.BoolOp(op=op, values=values):
            parts = [_holds(value, registry) for value in values]
            key = "allOf" if isinstance(op, ast.And) else "anyOf"
            return None if None in parts else {key: parts}
        case ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[right]):
            factor = registry.by_name.get(name)
            value = _literals(right)
            told = None if factor is None or value is None else _compared(factor, op, value)
            return None if told is None else {"required": [name], "properties": {name: told}}
        case _:
            return None


def _literals(node: ast.expr) -> list[object] | None:
    """The values on the right side of a comparison."""
    items = node.elts if isinstance(node, ast.Tuple | ast.List) else [node]
    told: list[object] = [item.value for item in items if isinstance(item, ast.Constant)]
    return told if len(told) == len(items) else None


def _compared(factor: Factor, op: ast.cmpop, values: list[object]) -> Schema | None:
    """The answers of one factor for which a comparison holds."""
    if isinstance(op, ast.In):
        kept = values if factor.is_numeric else [str(value) for value in values]
        return {"enum": kept}
    if factor.is_numeric:
        return {"type": "number", _NUMERIC[type(op)]: values[0]} if type(op) in _NUMERIC else None
    holds = _ON_CODES.get(type(op))
    code = factor.level_codes.get(str(values[0]))
    if holds is None or code is None:
        return None
    return {"enum": [level for level, own in factor.level_codes.items() if holds(own, code)]}
