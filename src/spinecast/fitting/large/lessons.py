"""Patients who teach, made ready once and kept on disk for every pass that follows.

Completing what is unknown is dear and Newton passes several times. So each shard's patients are
written once as what they repeat: each factor's different values with their columns, the patient's
place among them, and the expected columns of each unknown. Reading them gives the very columns
that `Preparation` would.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinecast.cohorts.store import Shard, Stored
from spinecast.fitting.boosting import FloatArray
from spinecast.fitting.large.grid import Codes, Grid, Places
from spinecast.fitting.large.plan import Plan
from spinecast.modelling.preparation import Preparation
from spinecast.patients.draws import HashArray
from spinecast.patients.parts import ROWS_AT_ONCE


@dataclass(frozen=True, slots=True)
class Lesson:
    """Some patients who teach, on disk; no more than are read at once.

    Attributes:
        path: of the file; what is learned of these patients later stands beside it.
        rows: how many.
    """

    path: Path
    rows: int

    def taught(self) -> Taught:
        """The patients, ready for the linear part."""
        with np.load(self.path) as file:
            parts = int(file["factors"])
            tables = [file[f"table {at}"] for at in range(parts)]
            design = np.empty((self.rows, 1 + sum(table.shape[1] for table in tables)))
            design[:, 0] = 1.0
            start = 1
            for at, table in enumerate(tables):
                own = slice(start, start + table.shape[1])
                design[:, own] = table[file[f"value {at}"]]
                design[file[f"unknown {at}"], own] = file[f"expected {at}"]
                start = own.stop
            return Taught(design, file["y"].astype(np.float64), file["hashed"])

    def places(self) -> tuple[Places, FloatArray]:
        """Their places on the trees' grid (n, F), and their outcomes (n,)."""
        with np.load(self.path) as file:
            return file["places"], file["y"]

    def keep(self, name: str, values: FloatArray | Codes) -> None:
        """Keep a number of each patient beside them."""
        np.save(self._beside(name), values)

    def kept(self, name: str) -> FloatArray:
        """What was kept under this name, (n,)."""
        return np.asarray(np.load(self._beside(name)))

    def _beside(self, name: str) -> Path:
        return self.path.with_suffix(f".{name}.npy")


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """Patients ready for a fit: design (n, 1 + K) with a leading one, outcomes, hashes (n,)."""

    design: FloatArray
    y: FloatArray
    hashed: HashArray

    def with_column(self, column: FloatArray) -> FloatArray:
        """The design with one more column behind."""
        return np.column_stack([self.design, column])


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
            folder / f"{shard.path.stem}-{start // ROWS_AT_ONCE}.npz",
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
    parts: dict[str, object] = {
        "factors": len(encoding.slices),
        "y": patients.y.astype(np.uint8),
        "hashed": patients.hashed,
    }
    places = np.empty(patients.codes.shape, dtype=np.uint8)
    for at, codes in enumerate(patients.codes.T):
        value, values = pd.factorize(codes, use_na_sentinel=True)
        # Where a value is unknown, -1 leads to the row behind the last.
        table = np.vstack([encoding.tabulate(at, values), np.zeros(_width(preparation, at))])
        own = np.append(grid.place(at, values), np.uint8(0))
        places[:, at] = own[value]
        unknown, expected = np.empty(0, dtype=np.int64), np.empty((0, table.shape[1]))
        if at in guesses:
            guess = guesses[at]
            unknown, expected = guess.rows, guess.chances @ preparation.tables[at]
            places[unknown, at] = grid.place(at, guess.chances @ population.bins.codes[at])
        parts |= {
            f"value {at}": value.astype(np.min_scalar_type(-len(table))),
            f"table {at}": table,
            f"unknown {at}": unknown.astype(np.int32),
            f"expected {at}": expected,
        }
    np.savez(path, places=places, **parts)  # type: ignore[arg-type]
    return Lesson(path, len(patients))


def _width(preparation: Preparation, at: int) -> int:
    return int(preparation.tables[at].shape[1])
