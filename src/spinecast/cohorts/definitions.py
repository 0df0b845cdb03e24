"""Every definition of the outcome beside the one in use, on the same follow-up.

What is counted adds up over the parts of a cohort; shares and agreement are made of the sums.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spinecast.cohorts.outcome import (
    Labels,
    judged,
    known_name,
    outside_window,
    within_window,
)
from spinecast.knowledge.endpoint import Definition, OutcomeSpec
from spinecast.knowledge.factors import Registry
from spinecast.logic import FloatArray

# Reasons for an unknown outcome that are no column.
OUTSIDE, NOT_CALCULATED = "seen outside the window", "cannot be calculated"


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


@dataclass(frozen=True, slots=True)
class Compared:
    """What is counted of one definition in some patients; of parts of a cohort, these add up.

    Attributes:
        known: patients whose outcome it tells.
        failures: those of them who failed.
        unknown: the others.
        lacking: of these, how many lack each column it reads, in the order they are read.
        both_known: patients of whom the definition in use tells the outcome too.
        alike: those of them judged alike.
        failed_by_this: those of the patients known to both who failed by this one.
        failed_by_used: the same by the definition in use.
    """

    known: int
    failures: int
    unknown: int
    lacking: Mapping[str, int]
    both_known: int
    alike: int
    failed_by_this: int
    failed_by_used: int

    def __add__(self, other: Compared) -> Compared:
        return Compared(
            self.known + other.known,
            self.failures + other.failures,
            self.unknown + other.unknown,
            {name: count + other.lacking[name] for name, count in self.lacking.items()},
            self.both_known + other.both_known,
            self.alike + other.alike,
            self.failed_by_this + other.failed_by_this,
            self.failed_by_used + other.failed_by_used,
        )

    def count(self, definition: Definition, name: str) -> DefinitionCount:
        """As shares and agreement."""
        both = self.both_known
        agreement = self.alike / both if both else None
        return DefinitionCount(
            name,
            definition.title,
            self.known,
            self.failures,
            self.failures / self.known if self.known else None,
            self.unknown,
            _most_first(self.lacking),
            both,
            agreement,
            None
            if agreement is None
            else _kappa(agreement, self.failed_by_this / both, self.failed_by_used / both),
        )


def compare_definitions(
    registry: Registry, columns: Mapping[str, FloatArray], used: str | None = None
) -> tuple[DefinitionCount, ...]:
    """How many patients would have failed by each definition, on the same follow-up.

    Args:
        registry: whose definitions.
        columns: as for `labels`.
        used: the definition the others are held against; the registry's own without it.
    """
    return in_counts(registry, compared(registry, columns, used))


def compared(
    registry: Registry, columns: Mapping[str, FloatArray], used: str | None = None
) -> dict[str, Compared]:
    """The same as counts of each definition, which add up over the parts of a cohort."""
    spec = registry.outcome
    found = judged(registry, columns, spec.definitions)
    against = found[known_name(spec, used or spec.default)].failed
    outside = outside_window(spec, columns)
    seen = within_window(spec, columns, outside)
    return {
        name: _compared(labels, against, _lacking(labels, _needed(spec, definition), seen, outside))
        for (name, labels), definition in zip(found.items(), spec.definitions.values(), strict=True)
    }


def in_counts(registry: Registry, sums: Mapping[str, Compared]) -> tuple[DefinitionCount, ...]:
    """Counts of each definition as shares and agreement."""
    spec = registry.outcome
    return tuple(found.count(spec.definitions[name], name) for name, found in sums.items())


def _compared(labels: Labels, used: FloatArray, lacking: Mapping[str, int]) -> Compared:
    both = labels.is_known & ~np.isnan(used)
    one, other = labels.failed[both], used[both]
    return Compared(
        labels.known,
        labels.failures,
        len(labels.failed) - labels.known,
        lacking,
        int(both.sum()),
        int((one == other).sum()),
        int(one.sum()),
        int(other.sum()),
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
    return counts


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return {name: count for name, count in ordered if count}
