"""Which patients of a cohort in parts are held in memory: chance by the patient's id alone.

Two samples are drawn by the same number for each patient, so they overlap as far as they can. One
is of everybody alike: it stands for the cohort. The other is of those whose outcome is known, for
where few were followed up the first holds hardly any of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spinecast.cohorts.cohort import Cohort, DayArray
from spinecast.knowledge.factors import Registry
from spinecast.logic import BoolArray, FloatArray
from spinecast.patients.checking import TextArray

TWICE = 2
"""How many times as many with a known outcome are drawn as are wanted, before it is known how many
there are: most rows of most cohorts are accepted and followed up, but not all."""
DEVIATIONS = 10
"""The same once it is known, in standard deviations of how many are drawn."""
SLACK = 1.25
"""How many times as many as are wanted are held before those of the largest numbers are let go."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is drawn.

    Attributes:
        everybody: of accepted patients at most so many, those of the smallest numbers.
        known: the same of those whose outcome is known.
        below: accepted patients are drawn below this number; 1 for everybody.
        known_below: those whose outcome is known below this one.
    """

    everybody: int
    known: int
    below: float
    known_below: float

    @classmethod
    def of(cls, everybody: int, known: int, rows: int) -> Wanted:
        """So many of a cohort of so many rows."""
        return cls(everybody, known, min(1.0, everybody / rows), min(1.0, TWICE * known / rows))

    def among(self, known: int) -> Wanted:
        """The same once it is known of how many the outcome is known."""
        enough = self.known + DEVIATIONS * math.sqrt(self.known)
        return replace(self, known_below=min(1.0, enough / known))


@dataclass(frozen=True, slots=True, eq=False)
class Some:
    """Patients of one table, as a `Cohort` holds them, with the number drawn for each."""

    draws: FloatArray
    is_known: BoolArray
    patient_id: TextArray
    codes: FloatArray
    site: TextArray
    index_date: DayArray
    outcome: Mapping[str, FloatArray]

    def __len__(self) -> int:
        return len(self.draws)

    def take(self, rows: BoolArray) -> Some:
        """The patients in these rows."""
        if bool(rows.all()):
            return self
        return Some(
            self.draws[rows],
            self.is_known[rows],
            self.patient_id[rows],
            self.codes[rows],
            self.site[rows],
            self.index_date[rows],
            {name: column[rows] for name, column in self.outcome.items()},
        )


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Accepted patients who were drawn, table by table; never many more than are wanted."""

    tables: tuple[Some, ...]
    wanted: Wanted

    @classmethod
    def of(cls, accepted: Cohort, is_known: BoolArray, draws: FloatArray, wanted: Wanted) -> Drawn:
        """Those of a table."""
        every = Some(
            draws,
            is_known,
            accepted.patient_id,
            accepted.codes,
            accepted.site,
            accepted.index_date,
            dict(accepted.outcome),
        )
        rows = (draws < wanted.below) | (is_known & (draws < wanted.known_below))
        return cls((every.take(rows),), wanted)

    def __add__(self, other: Drawn) -> Drawn:
        both = Drawn(self.tables + other.tables, self.wanted)
        most = SLACK * (self.wanted.everybody + self.wanted.known)
        return both._fewer() if sum(map(len, both.tables)) > most else both

    @property
    def known(self) -> int:
        """Of how many of them the outcome is known."""
        return sum(int(table.is_known.sum()) for table in self.tables)

    def cohort(self, registry: Registry, fingerprint: str) -> tuple[Cohort, BoolArray]:
        """Both samples as one cohort, in the order in which they stand.

        Beside it, for each patient, whether it is of the sample of everybody.
        """
        kept = self._kept()
        pairs = self._by_table(kept)
        names = self.tables[0].outcome
        cohort = Cohort(
            registry,
            np.concatenate([table.patient_id[rows] for table, rows in pairs]),
            _stacked([(table.codes, rows) for table, rows in pairs]),
            np.concatenate([table.site[rows] for table, rows in pairs]),
            np.concatenate([table.index_date[rows] for table, rows in pairs]),
            {n: np.concatenate([table.outcome[n][rows] for table, rows in pairs]) for n in names},
            fingerprint,
        )
        return cohort, self._alike()[kept]

    def _fewer(self) -> Drawn:
        """Without those who are in neither sample, now that more were drawn."""
        pairs = self._by_table(self._kept())
        return Drawn(tuple(table.take(rows) for table, rows in pairs), self.wanted)

    def _kept(self) -> BoolArray:
        """Who is in either sample, (n,)."""
        is_known = np.concatenate([table.is_known for table in self.tables])
        return self._alike() | _smallest(self._draws(), is_known, self.wanted.known)

    def _alike(self) -> BoolArray:
        """Who is in the sample of everybody, (n,)."""
        draws = self._draws()
        return _smallest(draws, draws < self.wanted.below, self.wanted.everybody)

    def _by_table(self, rows: BoolArray) -> list[tuple[Some, BoolArray]]:
        ends = np.cumsum([len(table) for table in self.tables])[:-1]
        return list(zip(self.tables, np.split(rows, ends), strict=True))

    def _draws(self) -> FloatArray:
        return np.concatenate([table.draws for table in self.tables])


def _smallest(draws: FloatArray, among: BoolArray, most: int) -> BoolArray:
    """Those of the smallest numbers among some, (n,)."""
    rows = np.flatnonzero(among)
    chosen = np.zeros(len(draws), dtype=np.bool_)
    chosen[rows[np.argsort(draws[rows], kind="stable")[:most]]] = True
    return chosen


def _stacked(tables: Sequence[tuple[FloatArray, BoolArray]]) -> FloatArray:
    """Rows of tables of codes below each other, each column in one piece as in every cohort."""
    width = tables[0][0].shape[1]
    codes = np.empty((sum(int(rows.sum()) for _, rows in tables), width), order="F")
    start = 0
    for table, rows in tables:
        end = start + int(rows.sum())
        codes[start:end] = table[rows]
        start = end
    return codes
