"""Why rows were rejected, in counts that add up over the parts of a cohort.

Every reason is counted. Of the values given in a column against a rule, the most frequent are
kept; of all reasons, the first, so that few can be told one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest

import numpy as np

from spinecast.errors import Problem
from spinecast.patients.answers import Fault
from spinecast.patients.rejection import Rejected

FIRST = 20
"""Reasons kept one by one: more are told by kind."""
MOST_GIVEN = 1000
"""Faults kept of a kind, the most frequent; beyond them their counts are lower bounds."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: its place among all rows, and its words for people."""

    at: int
    told: str


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of a table are called: by their file, where a cohort has several.

    `before`: how many rows of earlier files come before this one's.
    """

    file: str = ""
    before: int = 0

    def place(self, row: int) -> Place:
        """The place of the row of this number."""
        return Place(self.before + row, f"{self.file} row {row}".lstrip())


@dataclass(frozen=True, slots=True)
class Occurrences:
    """How often a fault was found, and first where."""

    count: int
    first: Place

    def __add__(self, other: Occurrences) -> Occurrences:
        return Occurrences(self.count + other.count, min(self.first, other.first, key=_by_place))


@dataclass(frozen=True, slots=True)
class Kind:
    """Reasons of one rule in one column: how many, and the faults, the most frequent first."""

    reasons: int
    faults: Mapping[Fault, Occurrences]

    @property
    def first(self) -> Place:
        """The first row with the most frequent fault."""
        return next(iter(self.faults.values())).first

    def __add__(self, other: Kind) -> Kind:
        return _kind(self.reasons + other.reasons, [*self.faults.items(), *other.faults.items()])


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why rows were rejected; `+` of those of two parts is that of both.

    Attributes:
        rules: for every broken rule, how many rows break it, the most broken first; a row may
            break several.
        count: reasons in all.
        first: the first of them, each with its row.
        kinds: all of them by column and rule, the most frequent first.
    """

    rules: Mapping[str, int] = field(default_factory=dict)
    count: int = 0
    first: tuple[tuple[Place, Fault], ...] = ()
    kinds: Mapping[tuple[str, str], Kind] = field(default_factory=dict)

    @classmethod
    def of(cls, rejected: Rejected, rows: Rows = Rows()) -> Reasons:
        """Those of the rejected rows of one table."""
        first = zip(rejected.reason_rows[:FIRST], rejected.reason_faults[:FIRST], strict=True)
        return cls(
            dict(rejected.counts),
            len(rejected.reason_rows),
            tuple((rows.place(int(row)), rejected.faults[fault]) for row, fault in first),
            _most_first(_kinds(rejected, rows)),
        )

    def __add__(self, other: Reasons) -> Reasons:
        if not other.count:
            return self
        rules = {
            rule: self.rules.get(rule, 0) + other.rules.get(rule, 0)
            for rule in sorted({*self.rules, *other.rules})
        }
        first = sorted((*self.first, *other.first), key=lambda pair: pair[0].at)
        kinds = dict(self.kinds)
        for name, kind in other.kinds.items():
            kinds[name] = kinds[name] + kind if name in kinds else kind
        return Reasons(
            dict(sorted(rules.items(), key=lambda pair: -pair[1])),
            self.count + other.count,
            tuple(first[:FIRST]),
            _most_first(kinds),
        )

    def problems(self) -> Iterator[Problem]:
        """The first reasons as sentences for people, and how many more there are."""
        yield from (fault.problem(place.told) for place, fault in self.first)
        if more := self.count - len(self.first):
            yield Problem("further rows", f"{more:,} more reasons", "each is in the rejected table")


def _kinds(rejected: Rejected, rows: Rows) -> dict[tuple[str, str], Kind]:
    size = len(rejected.faults)
    counts = np.bincount(rejected.reason_faults, minlength=size).tolist()
    first = np.zeros(size, dtype=np.int64)
    first[rejected.reason_faults[::-1]] = rejected.reason_rows[::-1]
    seen: dict[tuple[str, str], list[tuple[Fault, Occurrences]]] = {}
    for fault, count, row in zip(rejected.faults, counts, first.tolist(), strict=True):
        found = (fault, Occurrences(count, rows.place(row)))
        seen.setdefault((fault.column, fault.rule), []).append(found)
    return {name: _kind(sum(one.count for _, one in of), of) for name, of in seen.items()}


def _kind(reasons: int, found: Iterable[tuple[Fault, Occurrences]]) -> Kind:
    together: dict[Fault, Occurrences] = {}
    for fault, seen in found:
        together[fault] = together[fault] + seen if fault in together else seen
    return Kind(reasons, dict(nsmallest(MOST_GIVEN, together.items(), key=_by_count)))


def _by_count(pair: tuple[Fault, Occurrences]) -> tuple[int, int, str]:
    return -pair[1].count, pair[1].first.at, pair[0].given


def _by_place(place: Place) -> int:
    return place.at


def _most_first(kinds: Mapping[tuple[str, str], Kind]) -> dict[tuple[str, str], Kind]:
    """The kinds by how many, then by where they begin: whatever the parts were, the same."""
    order = sorted(kinds.items(), key=lambda pair: (-pair[1].reasons, pair[1].first.at, pair[0]))
    return dict(order)
