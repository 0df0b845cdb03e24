"""One patient's answers: a dictionary of names and values, as codes or with everything wrong in it.

A `Reader` holds what a registry allows, prepared once; reading a patient then takes microseconds.
The checks across answers (impossible combinations, dates out of order, patients out of scope) stand
here too; the cohort asks the same ones over columns.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spinecast.errors import Problem, UsageRefused
from spinecast.knowledge.factors import Exclusion, Impossible, Registry
from spinecast.knowledge.rules import Rule, parse
from spinecast.language import BASE, words
from spinecast.logic import BoolArray, FloatArray
from spinecast.patients.answers import (
    INDEX_DATE,
    DateField,
    Fault,
    Field,
    as_text,
    day,
    fields,
    shown,
)

PATIENT_ID, SITE = "patient_id", "site"
# How the ids of simulated patients begin.
SIMULATED = "simulated-"
FREE_TEXT = (PATIENT_ID, SITE)


def read_patient(
    answers: Mapping[str, object], registry: Registry
) -> tuple[FloatArray, tuple[Fault, ...]]:
    """Turn one patient's answers into a row of codes, or say everything that is wrong.

    Args:
        answers: values by factor name; null, absent and "unknown" all mean not known.
            patient_id, site, index_date, scope questions and follow-up columns may be there too.
        registry: what may be answered.

    Returns:
        The codes in the registry's order, NaN where unknown, and the faults; the codes are only
        to be used when there is no fault.
    """
    return reader_for(registry).read(answers)


@dataclass(frozen=True, slots=True)
class Forbidden:
    """An impossible combination, ready to be looked for."""

    impossible: Impossible
    rule: Rule

    def fault(self, registry: Registry, codes: Mapping[str, float]) -> Fault:
        """What is wrong, with the answers that contradict each other."""
        given = ", ".join(_answer(registry, name, codes[name]) for name in self.rule.names)
        columns = ", ".join(self.rule.names)
        says = self.impossible.says.rstrip(".")
        return Fault(columns, self.impossible.name, given, says, self.impossible.remedy)


def _answer(registry: Registry, name: str, code: float) -> str:
    if math.isnan(code):
        return f"{name} unknown"
    factor = registry.by_name.get(name)
    return f"{name} = {factor.value_of(code) if factor else ('no', 'yes')[int(code)]}"


def excluded_fault(exclusion: Exclusion, language: str = BASE) -> Fault:
    """A patient the registry says nothing about."""
    told = words(language)("allowed.out_of_scope", reason=exclusion.reason.rstrip("."))
    return Fault(exclusion.name, "excluded", "yes", told)


def date_order_fault(column: str, index_date: float, date: float) -> Fault:
    """A follow-up before the operation it follows."""
    given = f"{day(date)} with {INDEX_DATE} {day(index_date)}"
    return Fault(column, "date_order", given, f"not before {INDEX_DATE}", "Check both dates.")


class Reader:
    """What a registry allows, prepared for reading many patients."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.fields: dict[str, Field] = {field.name: field for field in fields(registry)}
        self.dates = tuple(
            name
            for name, field in self.fields.items()
            if isinstance(field, DateField) and name != INDEX_DATE
        )
        # What is asked before surgery: who is out of scope, then every factor.
        self.asked = (*(exclusion.name for exclusion in registry.exclusions), *registry.names)
        self.forbidden = _forbidden(registry)

    def read(self, answers: Mapping[str, object]) -> tuple[FloatArray, tuple[Fault, ...]]:
        """The row of codes of one patient, and everything wrong with the answers."""
        if not isinstance(answers, Mapping):
            return self._row({}), (_no_patient(answers),)
        known: dict[str, float] = {}
        faults: list[Fault] = []
        for name, value in answers.items():
            if value is not None:
                self._read_one(name, value, known, faults)
        faults.extend(self._across(known))
        return self._row(known), tuple(faults)

    def unchecked(self, answers: object) -> BoolArray:
        """Which of the questions about scope nobody answered, (E,)."""
        told = answers if isinstance(answers, Mapping) else {}
        return np.array([self._is_open(one.name, told) for one in self.registry.exclusions], bool)

    def _is_open(self, name: str, answers: Mapping[str, object]) -> bool:
        code = self.fields[name].of(answers.get(name))
        return not isinstance(code, Fault) and math.isnan(code)

    def _read_one(
        self, name: str, value: object, known: dict[str, float], faults: list[Fault]
    ) -> None:
        field = self.fields.get(name)
        if field is None:
            if name not in FREE_TEXT:
                faults.append(self._unknown_name(name))
            return
        quick = _quick(field, value)
        answer = field.of(value) if quick is None else quick
        if isinstance(answer, Fault):
            faults.append(answer)
        elif not math.isnan(answer):
            known[name] = answer

    def _across(self, known: Mapping[str, float]) -> Iterable[Fault]:
        """What contradicts itself or is out of scope among the answers that could be read."""
        for exclusion in self.registry.exclusions:
            if known.get(exclusion.name) == 1:
                yield excluded_fault(exclusion, self.registry.language)
        for forbidden in self.forbidden:
            if forbidden.rule.value(known) == 1:
                codes = {name: known.get(name, math.nan) for name in forbidden.rule.names}
                yield forbidden.fault(self.registry, codes)
        operated = known.get(INDEX_DATE, -math.inf)
        for name in self.dates:
            if known.get(name, math.inf) < operated:
                yield date_order_fault(name, operated, known[name])

    def _row(self, known: Mapping[str, float]) -> FloatArray:
        nan = math.nan
        return np.array([known.get(name, nan) for name in self.registry.names], dtype=np.float64)

    def _unknown_name(self, name: object) -> Fault:
        text = as_text(name)
        close = suggestion(text, [*self.fields, *FREE_TEXT])
        allowed = "not a name this registry knows; `spinecast factors` lists them"
        return Fault(shown(text), "unknown_name", shown(text), allowed, close)


def suggestion(name: str, allowed: Sequence[str]) -> str:
    """The allowed name that was probably meant, as a question; empty when none is close."""
    plain = {_plain(other): other for other in allowed}
    close = difflib.get_close_matches(_plain(name[:80]), plain, n=1, cutoff=0.7)
    return f"Did you mean {plain[close[0]]}?" if close else ""


def _plain(name: str) -> str:
    """A name as it would be written here: small letters, and "_" for whatever separates words."""
    return re.sub(r"[\W_]+", "_", name.strip().casefold()).strip("_")


def _quick(field: Field, value: object) -> float | None:
    """The code of an answer that is plainly right; None when it takes a second look."""
    # The exact types: True is an integer to Python, and numpy's numbers are rare here.
    kind = type(value)
    if kind is str:
        return field.table.get(value)  # type: ignore[call-overload, no-any-return]
    if (kind is int or kind is float) and field.low <= value <= field.high:  # type: ignore[operator]
        number: float = value + 0.0  # type: ignore[operator]
        return number if not field.whole or number.is_integer() else None
    return None


_READERS: dict[int, Reader] = {}
_MOST_READERS = 16


def reader_for(registry: Registry) -> Reader:
    """The reader of a registry, prepared on first use."""
    reader = _READERS.get(id(registry))
    if reader is None:
        if len(_READERS) >= _MOST_READERS:
            _READERS.clear()
        # A reader keeps its registry alive, so the id cannot come to mean another one.
        reader = _READERS[id(registry)] = Reader(registry)
    return reader


def _no_patient(answers: object) -> Fault:
    allowed = "one patient is an object of names and values"
    return Fault("patient", "not_a_patient", shown(as_text(answers)), allowed)


def _forbidden(registry: Registry) -> tuple[Forbidden, ...]:
    """The impossible combinations as rules; all that cannot be understood are named at once."""
    levels = {factor.name: factor.level_codes for factor in registry.factors}
    found: list[Forbidden] = []
    problems: list[Problem] = []
    for impossible in registry.impossible:
        try:
            rule = parse(impossible.rule, levels, f"registry.toml, impossible {impossible.name}")
            found.append(Forbidden(impossible, rule))
        except UsageRefused as refused:
            problems.extend(refused.problems)
    if problems:
        raise UsageRefused("The registry has rules that cannot be understood", problems)
    return tuple(found)
