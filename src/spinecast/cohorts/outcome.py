"""Follow-up data to failed, not failed or not known, by a definition the registry names.

A definition is a rule over follow-up columns, quantities and what was known before surgery. It
reads nothing else that came after surgery, so a label never depends on what a model might be given.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spinecast.errors import Problem, UsageRefused
from spinecast.knowledge.endpoint import Definition, OutcomeSpec
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.rules import Rule, parse
from spinecast.language import words
from spinecast.logic import YES_NO, FloatArray
from spinecast.patients.answers import INDEX_DATE

FOLLOWUP_DATE = "followup_date"
DAYS_A_MONTH = 365.25 / 12
WHERE = "outcome.toml"
# Reasons for an unknown outcome that are no column.
OUTSIDE, NOT_CALCULATED = "seen outside the window", "cannot be calculated"


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Who failed by one definition.

    Attributes:
        definition: its name in the registry.
        failed: 1 failed, 0 did not, NaN where the follow-up does not tell.
        outside_window: how many patients were seen outside the window; their scores do not count.
    """

    definition: str
    failed: FloatArray
    outside_window: int

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """For every patient whether the outcome is known."""
        return ~np.isnan(self.failed)

    @property
    def known(self) -> int:
        """How many patients have a known outcome."""
        return int(self.is_known.sum())

    @property
    def failures(self) -> int:
        """How many are known to have failed."""
        return int((self.failed == 1).sum())


@dataclass(frozen=True, slots=True)
class DefinitionCount:
    """How many patients failed by one definition, beside the one in use.

    Attributes:
        name: of the definition.
        title: the same for people.
        known: patients whose outcome it tells.
        failures: those of them who failed.
        share: of failures; None when nobody's is known.
        unknown: patients whose outcome it does not tell.
        why_unknown: of these, how many lack each column it reads, the most lacked first; a patient
            may lack several.
        both_known: patients of whom the definition in use tells the outcome too.
        agreement: share of them judged alike; None when there are none.
        kappa: the same beyond chance (Cohen 1960); None where chance alone agrees.
    """

    name: str
    title: str
    known: int
    failures: int
    share: float | None
    unknown: int = 0
    why_unknown: Mapping[str, int] = field(default_factory=dict)
    both_known: int = 0
    agreement: float | None = None
    kappa: float | None = None


def labels(
    registry: Registry, columns: Mapping[str, FloatArray], definition: str | None = None
) -> Labels:
    """Who failed, by a named definition or the registry's own.

    Args:
        registry: whose definitions and window apply.
        columns: codes by name: every factor and follow-up column, and index_date as days
            (`Cohort.columns()`).
        definition: one of `registry.outcome.definitions`.

    Raises:
        UsageRefused: when there is no such definition, or a rule cannot be understood.
    """
    name = definition or registry.outcome.default
    chosen = {name: _definition(registry.outcome, name)}
    return _judged(registry, columns, chosen)[name]


def derive(
    registry: Registry, columns: Mapping[str, FloatArray], definition: str | None = None
) -> FloatArray:
    """The same as numbers alone: 1 failed, 0 did not, NaN not known."""
    return labels(registry, columns, definition).failed


def compare_definitions(
    registry: Registry, columns: Mapping[str, FloatArray], used: str | None = None
) -> tuple[DefinitionCount, ...]:
    """How many patients would have failed by each definition, on the same follow-up.

    Args:
        registry: whose definitions.
        columns: as for `labels`.
        used: the definition the others are held against; the registry's own without it.
    """
    spec = registry.outcome
    judged = _judged(registry, columns, spec.definitions)
    against = judged[_known_name(spec, used or spec.default)].failed
    outside = _outside_window(spec, columns)
    seen = _within_window(spec, columns, outside)
    needed = {name: _needed(spec, definition) for name, definition in spec.definitions.items()}
    return tuple(
        _count(spec.definitions[name], found, against, _lacking(found, needed[name], seen, outside))
        for name, found in judged.items()
    )


def in_words(registry: Registry, definition: str) -> str:
    """What a patient has who failed by a definition, to end a sentence with."""
    if definition == registry.outcome.default:
        return f"{registry.condition} {registry.horizon}"
    title = _definition(registry.outcome, definition).title
    said = words(registry.language)
    return f"{said.inside(title[:1])}{title[1:]} {registry.horizon}"


def _definition(spec: OutcomeSpec, name: str) -> Definition:
    return spec.definitions[_known_name(spec, name)]


def _known_name(spec: OutcomeSpec, name: str) -> str:
    if name in spec.definitions:
        return name
    problem = Problem(
        "outcome definition", f"given {name!r}", "allowed: " + ", ".join(spec.definitions)
    )
    raise UsageRefused("There is no such outcome", [problem])


def _count(
    definition: Definition, judged: Labels, used: FloatArray, lacking: Mapping[str, int]
) -> DefinitionCount:
    both = judged.is_known & ~np.isnan(used)
    one, other = judged.failed[both], used[both]
    agreement = float((one == other).mean()) if len(one) else None
    return DefinitionCount(
        judged.definition,
        definition.title,
        judged.known,
        judged.failures,
        judged.failures / judged.known if judged.known else None,
        len(judged.failed) - judged.known,
        lacking,
        int(both.sum()),
        agreement,
        None if agreement is None else _kappa(agreement, float(one.mean()), float(other.mean())),
    )


def _kappa(agreement: float, one: float, other: float) -> float | None:
    """Agreement beyond what two shares of failures would give by chance (Cohen 1960)."""
    chance = one * other + (1 - one) * (1 - other)
    return (agreement - chance) / (1 - chance) if chance < 1 else None


def _needed(spec: OutcomeSpec, definition: Definition) -> tuple[str, ...]:
    """The columns and factors a definition reads, through its quantities, in that order."""
    found: dict[str, None] = {}
    left = _names_in(definition.failure)
    while left:
        name = left.pop(0)
        if name in spec.quantities:
            left = _names_in(spec.quantities[name]) + left
        else:
            found[name] = None
    return tuple(found)


def _names_in(rule: str) -> list[str]:
    tree = ast.parse(" ".join(rule.split()), mode="eval")
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def _lacking(
    judged: Labels,
    needed: tuple[str, ...],
    seen: Mapping[str, FloatArray],
    outside: NDArray[np.bool_],
) -> dict[str, int]:
    """Why the outcome is not known: how many patients lack each column that is read.

    Who was seen outside the window lacks scores for that reason. Who lacks nothing has answers from
    which nothing can be calculated, such as a share of a baseline of 0.
    """
    lost = ~judged.is_known
    counts = {OUTSIDE: int((lost & outside).sum())}
    missing = np.zeros(len(lost), dtype=bool)
    for name in needed:
        here = lost & ~outside & np.isnan(seen[name])
        counts[name] = int(here.sum())
        missing |= here
    counts[NOT_CALCULATED] = int((lost & ~outside & ~missing).sum())
    return {name: count for name, count in sorted(counts.items(), key=_by_count) if count}


def _by_count(pair: tuple[str, int]) -> int:
    return -pair[1]


def _judged(
    registry: Registry,
    columns: Mapping[str, FloatArray],
    definitions: Mapping[str, Definition],
) -> dict[str, Labels]:
    quantities, failures = _rules(registry, definitions)
    outside = _outside_window(registry.outcome, columns)
    seen = _within_window(registry.outcome, columns, outside)
    for name, rule in quantities.items():
        seen[name] = rule.values(seen)
    count = int(outside.sum())
    return {name: Labels(name, rule.holds(seen), count) for name, rule in failures.items()}


def _outside_window(spec: OutcomeSpec, columns: Mapping[str, FloatArray]) -> NDArray[np.bool_]:
    """Who was seen too early or too late; an unknown date is taken to be within the window."""
    if spec.window_months is None or FOLLOWUP_DATE not in columns:
        return np.zeros(len(next(iter(columns.values()))), dtype=bool)
    months = (columns[FOLLOWUP_DATE] - columns[INDEX_DATE]) / DAYS_A_MONTH
    earliest, latest = spec.window_months
    return (months < earliest) | (months > latest)


def _within_window(
    spec: OutcomeSpec, columns: Mapping[str, FloatArray], outside: NDArray[np.bool_]
) -> dict[str, FloatArray]:
    """The columns, scores taken outside the window unknown.

    A score changes with time, so one from another time is no answer. An event such as a revision
    has happened whenever it is asked, so it stays.
    """
    scores = {column.name for column in spec.columns if column.kind == "number"}
    return {
        name: np.where(outside, np.nan, column) if name in scores else column
        for name, column in columns.items()
    }


def _rules(
    registry: Registry, definitions: Mapping[str, Definition]
) -> tuple[dict[str, Rule], dict[str, Rule]]:
    """The quantities, in order, and the definitions as rules; all problems at once."""
    spec, problems = registry.outcome, list[Problem]()
    levels: dict[str, Mapping[str, float]] = {f.name: f.level_codes for f in registry.factors}
    levels |= {column.name: YES_NO if column.kind == "yes_no" else {} for column in spec.columns}
    quantities: dict[str, Rule] = {}
    for name, text in spec.quantities.items():
        rule = _parsed(text, levels, f"{WHERE} quantities.{name}", problems, arithmetic=True)
        # What could not be read may still be used below; it is refused once, not everywhere.
        levels[name] = YES_NO if rule and rule.is_truth else {}
        quantities |= {name: rule} if rule else {}
    failures: dict[str, Rule] = {}
    for name, definition in definitions.items():
        rule = _parsed(definition.failure, levels, f"{WHERE} definitions.{name}", problems)
        failures |= {name: rule} if rule else {}
    if problems:
        raise UsageRefused("The outcome cannot be derived", problems)
    return quantities, failures


def _parsed(
    text: str,
    levels: Mapping[str, Mapping[str, float]],
    where: str,
    problems: list[Problem],
    *,
    arithmetic: bool = False,
) -> Rule | None:
    try:
        return parse(text, levels, where, arithmetic=arithmetic)
    except UsageRefused as refused:
        problems.extend(refused.problems)
        return None
