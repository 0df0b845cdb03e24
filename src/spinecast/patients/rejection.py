"""Rows that cannot be used, and every reason why.

Reasons are kept as two columns of numbers, the row and the fault, because a file may have a wrong
value in each of a million rows and one fault then serves them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinecast.errors import Problem
from spinecast.patients.answers import Fault

IntArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rejected:
    """The rejected rows of a file, by the row number a spreadsheet shows (the header is row 1).

    Attributes:
        rows: the rejected rows, rising.
        counts: for every broken rule, how many rows break it; a row may break several.
        reason_rows: the row of each reason, rising.
        reason_faults: the place of its fault in `faults`.
        faults: the distinct faults.
    """

    rows: IntArray
    counts: Mapping[str, int]
    reason_rows: IntArray
    reason_faults: IntArray
    faults: tuple[Fault, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def by_row(self) -> dict[int, tuple[Fault, ...]]:
        """Every rejected row with its faults."""
        faults: dict[int, list[Fault]] = {}
        for row, fault in zip(self.reason_rows.tolist(), self.reason_faults.tolist(), strict=True):
            faults.setdefault(row, []).append(self.faults[fault])
        return {row: tuple(found) for row, found in faults.items()}

    def to_frame(self) -> pd.DataFrame:
        """One line per reason: row, column, rule, given, allowed, remedy."""
        words = {
            name: np.array([getattr(fault, name) for fault in self.faults], dtype=object)
            for name in ("column", "rule", "given", "allowed", "remedy")
        }
        taken = {name: column[self.reason_faults] for name, column in words.items()}
        return pd.DataFrame({"row": self.reason_rows, **taken})

    def problems(self, most: int = 20) -> Iterator[Problem]:
        """The first reasons as sentences for people, and how many more there are."""
        reasons = zip(self.reason_rows[:most], self.reason_faults[:most], strict=True)
        for row, fault in reasons:
            yield self.faults[fault].problem(f"row {row}")
        more = len(self.reason_rows) - most
        if more > 0:
            yield Problem("further rows", f"{more:,} more reasons", "each is in the rejected table")


class Findings:
    """Collects what is wrong while a table is checked, column after column."""

    def __init__(self, row_numbers: IntArray) -> None:
        self.row_numbers = row_numbers
        self._faults: list[Fault] = []
        self._at: list[IntArray] = []
        self._which: list[IntArray] = []

    def add(self, at: IntArray, which: IntArray, faults: Sequence[Fault]) -> None:
        """Note faults: row `at[i]` (by position) has the fault `faults[which[i]]`."""
        if len(at):
            self._at.append(at.astype(np.int64))
            self._which.append(which.astype(np.int64) + len(self._faults))
            self._faults.extend(faults)

    def is_rejected(self) -> NDArray[np.bool_]:
        """For every row whether anything is wrong with it."""
        rejected = np.zeros(len(self.row_numbers), dtype=bool)
        rejected[_joined(self._at)] = True
        return rejected

    def rejected(self) -> Rejected:
        """All that was found, in the order of the rows and then of the columns."""
        at, which = _joined(self._at), _joined(self._which)
        order = np.lexsort((which, at))
        at, which = at[order], which[order]
        return Rejected(
            self.row_numbers[self.is_rejected()],
            _counts(at, which, self._faults),
            self.row_numbers[at],
            which,
            tuple(self._faults),
        )


def _joined(parts: list[IntArray]) -> IntArray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _counts(at: IntArray, which: IntArray, faults: Sequence[Fault]) -> dict[str, int]:
    """How many rows break each rule, the most broken first."""
    rules = sorted({fault.rule for fault in faults})
    place = {rule: number for number, rule in enumerate(rules)}
    rule_of = np.array([place[fault.rule] for fault in faults], dtype=np.int64)
    # A row counts once for a rule, in however many columns it breaks it.
    distinct = np.unique(at * len(rules) + rule_of[which]) if len(at) else at
    counts = np.bincount(distinct % max(len(rules), 1), minlength=len(rules))
    return {rules[i]: int(counts[i]) for i in np.argsort(-counts, kind="stable")}
