"""Follow-up data to failed, not failed or not known, by a definition the registry names.

A definition is a rule over follow-up columns, quantities and what was known before surgery. It
reads nothing else that came after surgery, so a label never depends on what a model might be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    def followed(self) -> Followed:
        """The same in counts."""
        return Followed(
            self.definition, len(self.failed), self.known, self.failures, self.outside_window
        )

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
class Followed:
    """How many failed by one definition; of the parts of a cohort, these add up.

    Attributes:
        definition: its name in the registry.
        patients: accepted patients.
        known: those of them whose outcome is known.
        failures: those of them who failed.
        outside_window: patients seen outside the window; their scores do not count.
    """

    definition: str
    patients: int
    known: int
    failures: int
    outside_window: int

    def __add__(self, other: Followed) -> Followed:
        return Followed(
            self.definition,
            self.patients + other.patients,
            self.known + other.known,
            self.failures + other.failures,
            self.outside_window + other.outside_window,
        )


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
    return judged(registry, columns, chosen)[name]


def derive(
    registry: Registry, columns: Mapping[str, FloatArray], definition: str | None = None
) -> FloatArray:
    """The same as numbers alone: 1 failed, 0 did not, NaN not known."""
    return labels(registry, columns, definition).failed


def in_words(registry: Registry, definition: str) -> str:
    """What a patient has who failed by a definition, to end a sentence with."""
    if definition == registry.outcome.default:
        return f"{registry.condition} {registry.horizon}"
    title = _definition(registry.outcome, definition).title
    said = words(registry.language)
    return f"{said.inside(title[:1])}{title[1:]} {registry.horizon}"


def _definition(spec: OutcomeSpec, name: str) -> Definition:
    return spec.definitions[known_name(spec, name)]


def known_name(spec: OutcomeSpec, name: str) -> str:
    """A definition's name, or a refusal: there is no such definition."""
    if name in spec.definitions:
        return name
    problem = Problem(
        "outcome definition", f"given {name!r}", "allowed: " + ", ".join(spec.definitions)
    )
    raise UsageRefused("There is no such outcome", [problem])


def judged(
    registry: Registry,
    columns: Mapping[str, FloatArray],
    definitions: Mapping[str, Definition],
) -> dict[str, Labels]:
    """Who failed, by each of some definitions of the registry."""
    quantities, failures = _rules(registry, definitions)
    outside = outside_window(registry.outcome, columns)
    seen = within_window(registry.outcome, columns, outside)
    for name, rule in quantities.items():
        seen[name] = rule.values(seen)
    count = int(outside.sum())
    return {name: Labels(name, rule.holds(seen), count) for name, rule in failures.items()}


def outside_window(spec: OutcomeSpec, columns: Mapping[str, FloatArray]) -> NDArray[np.bool_]:
    """Who was seen too early or too late; an unknown date is taken to be within the window."""
    if spec.window_months is None or FOLLOWUP_DATE not in columns:
        return np.zeros(len(next(iter(columns.values()))), dtype=bool)
    months = (columns[FOLLOWUP_DATE] - columns[INDEX_DATE]) / DAYS_A_MONTH
    earliest, latest = spec.window_months
    return (months < earliest) | (months > latest)


def within_window(
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
