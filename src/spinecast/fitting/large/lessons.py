"""Patients who teach, made ready once and kept on disk for every pass that follows.

Completing what is unknown is dear and Newton passes several times. So each shard's patients are
written once as what they repeat: each factor's different values with their columns, the patient's
place among them, and the expected columns of each unknown. Reading them gives the very columns
that `Preparation` would.

A worker that was given up for lost, but only slept or was cut off, may come to write what another
one has written in its place and others read by now. So every file takes its name in one step, in
place of one that says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinecast.cohorts.store import Shard, Stored
from spinecast.distribution.bins import FloatArray
from spinecast.files import in_one_step
from spinecast.fitting.large.grid import Codes, Grid, Places
from spinecast.fitting.large.plan import Plan
from spinecast.modelling.preparation import Preparation
from spinecast.patients.draws import HashArray
from spinecast.patients.parts import ROWS_AT_ONCE

PLACES = "places"
"""Under this name lessons keep each patient's places on the trees' grid."""
PACKED = ("shapes", "value", "table", "unknown", "expected")
"""What a lesson's file holds after the outcomes and the hashes; see `_packed`."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Some patients who teach, on disk; no more than are read at once.

    A file is arrays one after the other. An archive of them (`numpy.savez`) would be summed over
    byte by byte at every reading.

    Attributes:
        path: of the file; what is learned of these patients later stands beside it.
        rows: how many.
    """

    path: Path
    rows: int

    def taught(self, column: str = "") -> Taught:
        """The patients, ready for a fit; with what was kept of them as one more column."""
        with self.path.open("rb") as file:
            y, hashed, *packed = (np.load(file) for _ in range(2 + len(PACKED)))
        answers = _unpacked(dict(zip(PACKED, packed, strict=True)), self.rows)
        return Taught(answers, self.kept(column) if column else None, y.astype(np.float64), hashed)

    def places(self) -> tuple[Places, FloatArray]:
        """Their places on the trees' grid (n, F), and their outcomes (n,)."""
        with self.path.open("rb") as file:
            y = np.load(file)
        return np.load(self._beside(PLACES)), y

    def keep(self, name: str, values: FloatArray | Codes | Places) -> None:
        """Keep a number of each patient beside them, or a row of numbers."""
        _write(self._beside(name), [values])

    def kept(self, name: str) -> FloatArray:
        """What was kept under this name, (n,)."""
        return np.asarray(np.load(self._beside(name)))

    def _beside(self, name: str) -> Path:
        return self.path.with_suffix(f".{name}.npy")


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One factor's answers, as what they repeat.

    Attributes:
        value: which of the different values each patient has, (n,); the last where it is unknown.
        table: the columns of each value, (values, k); zero in the last row.
        unknown: the patients of whom it is unknown, (r,).
        expected: the columns expected of them, (r, k).
    """

    value: npt.NDArray[np.unsignedinteger]
    table: FloatArray
    unknown: npt.NDArray[np.int32]
    expected: FloatArray

    def add_margin(self, beta: FloatArray, margin: FloatArray) -> None:
        """Add what the factor gives each patient's log-odds, (n,), at coefficients (k,)."""
        margin += (self.table @ beta)[self.value]
        margin[self.unknown] += self.expected @ beta

    def dot(self, weights: FloatArray) -> FloatArray:
        """The factor's columns times a weight of each patient, (n,) to (k,)."""
        sums = np.bincount(self.value, weights, minlength=len(self.table))
        return np.asarray(sums @ self.table + weights[self.unknown] @ self.expected)


def _packed(answers: Sequence[Answers]) -> dict[str, npt.NDArray[Any]]:
    """All factors' answers end to end: most of the time to read a file goes by its arrays."""
    return {
        "shapes": np.array([(*one.table.shape, len(one.unknown)) for one in answers]),
        "value": np.concatenate([one.value.view(np.uint8) for one in answers]),
        "table": np.concatenate([one.table.ravel() for one in answers]),
        "unknown": np.concatenate([one.unknown for one in answers]),
        "expected": np.concatenate([one.expected.ravel() for one in answers]),
    }


def _unpacked(file: Mapping[str, npt.NDArray[Any]], rows: int) -> tuple[Answers, ...]:
    """Each factor's answers of so many patients."""
    values, widths, lost = file["shapes"].T
    kinds = [np.min_scalar_type(count - 1) for count in values]
    sizes = {
        "value": [rows * kind.itemsize for kind in kinds],
        "table": values * widths,
        "unknown": lost,
        "expected": lost * widths,
    }
    parts = (np.split(file[name], np.cumsum(size)[:-1]) for name, size in sizes.items())
    return tuple(
        Answers(value.view(kind), table.reshape(-1, width), unknown, expected.reshape(-1, width))
        for kind, width, value, table, unknown, expected in zip(kinds, widths, *parts, strict=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """Patients ready for a fit: a constant, the columns of every factor, perhaps one column more.

    Attributes:
        answers: by factor.
        column: the further column (n,), None without one.
        y: the outcomes (n,).
        hashed: the hashes of their ids (n,).
    """

    answers: tuple[Answers, ...]
    column: FloatArray | None
    y: FloatArray
    hashed: HashArray

    def margin(self, theta: FloatArray) -> FloatArray:
        """Log-odds at coefficients, the constant's first, (P,) to (n,)."""
        margin = np.full(len(self.y), theta[0])
        start = 1
        for own in self.answers:
            own.add_margin(theta[start : start + own.table.shape[1]], margin)
            start += own.table.shape[1]
        if self.column is not None:
            margin += theta[start] * self.column
        return margin

    def dot(self, weights: FloatArray) -> FloatArray:
        """Every column times a weight of each patient, (n,) to (P,)."""
        parts = [np.array([weights.sum()]), *(own.dot(weights) for own in self.answers)]
        if self.column is not None:
            parts.append(np.array([weights @ self.column]))
        return np.concatenate(parts)

    def design(self) -> Codes:
        """All columns (n, P), in 32 bits."""
        width = 1 + sum(own.table.shape[1] for own in self.answers) + (self.column is not None)
        design = np.ones((len(self.y), width), dtype=np.float32)
        start = 1
        for own in self.answers:
            part = design[:, start : start + own.table.shape[1]]
            part[:] = own.table.astype(np.float32).take(own.value, axis=0)
            part[own.unknown] = own.expected
            start += own.table.shape[1]
        if self.column is not None:
            design[:, start] = self.column
        return design


def make_ready(
    preparation: Preparation, grid: Grid, plan: Plan, folder: Path, shard: Shard
) -> list[Lesson]:
    """Write the patients of a shard who teach, in lessons of no more than are read at once."""
    patients = teaching(plan, shard)
    return [
        _written(
            preparation,
            grid,
            patients.take(np.arange(start, min(start + ROWS_AT_ONCE, len(patients)))),
            folder / f"{shard.path.stem}-{start // ROWS_AT_ONCE}.npy",
        )
        for start in range(0, len(patients), ROWS_AT_ONCE)
    ]


def teaching(plan: Plan, shard: Shard) -> Stored:
    """The patients of a shard who teach."""
    patients = known(shard)
    return patients.take(plan.teaches(patients.hashed))


def known(shard: Shard) -> Stored:
    """The patients of a shard whose outcome is known."""
    patients = shard.read()
    return patients.take(~np.isnan(patients.y))


def _written(preparation: Preparation, grid: Grid, patients: Stored, path: Path) -> Lesson:
    encoding, population = preparation.encoding, preparation.population
    guesses = population.complete(patients.codes).guesses
    answers = []
    places = np.empty(patients.codes.shape, dtype=np.uint8)
    for at, codes in enumerate(patients.codes.T):
        value, values = pd.factorize(codes, use_na_sentinel=True)
        # The last row is that of the unknown.
        table = np.vstack([encoding.tabulate(at, values), np.zeros(_width(preparation, at))])
        own = np.append(grid.place(at, values), np.uint8(0))
        places[:, at] = own[value]
        unknown, expected = np.empty(0, dtype=np.int64), np.empty((0, table.shape[1]))
        if at in guesses:
            guess = guesses[at]
            unknown, expected = guess.rows, guess.chances @ preparation.tables[at]
            places[unknown, at] = grid.place(at, guess.chances @ population.bins.codes[at])
        which = np.where(value < 0, len(values), value).astype(np.min_scalar_type(len(values)))
        answers.append(Answers(which, table, unknown.astype(np.int32), expected))
    packed = _packed(answers)
    y = patients.y.astype(np.uint8)
    _write(path, [y, patients.hashed, *(packed[name] for name in PACKED)])
    lesson = Lesson(path, len(patients))
    lesson.keep(PLACES, places)
    return lesson


def _write(path: Path, arrays: Sequence[npt.NDArray[Any]]) -> None:
    # Another worker, taken for dead, may write the same file meanwhile.
    with in_one_step(path) as unfinished, unfinished.open("wb") as file:
        for array in arrays:
            np.save(file, array)


def _width(preparation: Preparation, at: int) -> int:
    return int(preparation.tables[at].shape[1])
