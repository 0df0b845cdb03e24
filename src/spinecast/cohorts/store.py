"""Accepted patients on disk, in shards: what work that passes over a cohort many times reads.

A shard holds what learning needs of some patients and nothing more: codes, outcome, and the hash of
the id from which every draw is made. It is scratch, made anew by every run and cleared away after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from spinecast.logic import FloatArray
from spinecast.patients.draws import HashArray

OUTCOME, HASH = "(outcome)", "(hash)"
"""Columns beside the factors; no factor can be named so."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Patients of a shard.

    Attributes:
        codes: one row per patient, one column per factor in the registry's order; NaN unknown.
        y: the outcome (n,), 1 failure, 0 none, NaN unknown.
        hashed: the hash of each patient's id (n,), see `patients.draws`.
    """

    codes: FloatArray
    y: FloatArray
    hashed: HashArray

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Stored:
        """The patients in these rows."""
        return Stored(self.codes[rows], self.y[rows], self.hashed[rows])


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of stored patients, and how many they are."""

    path: Path
    rows: int

    def read(self) -> Stored:
        """Its patients."""
        table = parquet.read_table(self.path)
        factors = [name for name in table.column_names if name not in (OUTCOME, HASH)]
        codes = np.empty((len(table), len(factors)), order="F")
        for at, name in enumerate(factors):
            codes[:, at] = table[name].to_numpy()
        return Stored(codes, table[OUTCOME].to_numpy(), table[HASH].to_numpy())


def write_shard(path: Path, names: Sequence[str], patients: Stored) -> Shard:
    """Write patients, whose codes belong to the factors of these names, to a shard."""
    columns = {name: pa.array(patients.codes[:, at]) for at, name in enumerate(names)}
    columns |= {OUTCOME: pa.array(patients.y), HASH: pa.array(patients.hashed)}
    # Codes repeat: a dictionary of them takes a byte each.
    parquet.write_table(
        pa.table(columns), path, use_dictionary=[*names, OUTCOME], compression="lz4"
    )
    return Shard(path, len(patients))


def write_shards(
    folder: Path, names: Sequence[str], patients: Stored, rows_at_once: int
) -> list[Shard]:
    """Write patients to shards of no more than so many."""
    return [
        write_shard(
            folder / f"patients-{at:05d}.parquet",
            names,
            patients.take(np.arange(start, min(start + rows_at_once, len(patients)))),
        )
        for at, start in enumerate(range(0, len(patients), rows_at_once))
    ]
