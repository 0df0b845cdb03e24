"""A cohort read in parts: never more of its rows in memory than asked for.

A part is some row groups of one file, and is what one process reads at a time. Nothing is known of
a row but its file and the number a spreadsheet would show, so the parts of a folder may be read in
any order and by anybody who sees the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import ArrowException, compute, parquet

from spinecast.errors import DataRefused, Problem
from spinecast.files import reason
from spinecast.patients.patient import PATIENT_ID
from spinecast.patients.tables import (
    distinct_names,
    file_fingerprint,
    numbered,
    text_column,
)

ENDING = ".parquet"
ROWS_AT_ONCE = 65_536
FIRST_ROW = 2
"""The number a spreadsheet shows beside the first patient; the header is row 1."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some row groups of a Parquet file.

    Attributes:
        path: the file.
        groups: the first row group and the one after the last.
        first: the number a spreadsheet shows beside the first row.
        rows: how many.
    """

    path: Path
    groups: tuple[int, int]
    first: int
    rows: int

    def tables(
        self, rows_at_once: int = ROWS_AT_ONCE, only: Collection[str] = ()
    ) -> Iterator[pd.DataFrame]:
        """Its rows as tables of text like those of `read_table`, so many at once.

        Columns other than the ids are categories: every distinct text is held once. `only` names
        the columns that are wanted; nothing is read where none of them is there.

        Raises:
            DataRefused: the file is damaged.
        """
        first = self.first
        wanted = (lambda schema: _named(schema, only)) if only else _every
        for batch in self._batches(rows_at_once, _repeating, wanted):
            yield numbered(_text(batch), first)
            first += len(batch)

    def ids(self, rows_at_once: int = ROWS_AT_ONCE) -> Iterator[npt.NDArray[np.object_]]:
        """The patients' ids, stripped, of every row, so many at once.

        Raises:
            DataRefused: the file is damaged.
        """
        for batch in self._batches(rows_at_once, lambda _: [], _ids):
            yield compute.utf8_trim_whitespace(text_column(batch.column(0))).to_numpy(
                zero_copy_only=False
            )

    def _batches(
        self,
        rows_at_once: int,
        as_dictionary: Callable[[Any], list[str]],
        columns: Callable[[Any], list[str]],
    ) -> Iterator[Any]:
        """Arrow's batches of its row groups; the schema tells which columns, and how."""
        try:
            schema = parquet.read_schema(self.path)
            if not (wanted := columns(schema)):
                return
            with parquet.ParquetFile(self.path, read_dictionary=as_dictionary(schema)) as file:
                groups = list(range(*self.groups))
                batches = file.iter_batches(rows_at_once, row_groups=groups, columns=wanted)
                yield from _together(batches, rows_at_once)
        except (ArrowException, OSError) as error:
            raise DataRefused("The cohort cannot be read", [damage(self.path, error)]) from None


@dataclass(frozen=True)
class Parts:
    """A cohort on disk: its file or folder, its parts in order, and how many rows in all.

    `damaged` says which files were passed over, where that was allowed.
    """

    path: Path
    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    damaged: tuple[Problem, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the files say they have."""
        return sum(part.rows for part in self.parts)

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, in order."""
        return tuple(dict.fromkeys(part.path for part in self.parts))

    @property
    def starts(self) -> tuple[int, ...]:
        """How many rows of the cohort come before each part."""
        return tuple(accumulate((part.rows for part in self.parts[:-1]), initial=0))

    @cached_property
    def fingerprints(self) -> tuple[str, ...]:
        """SHA-256 of each file, in order."""
        return tuple(map(file_fingerprint, self.files))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file; of a folder, that of its files' names and fingerprints."""
        if self.path.is_file():
            return self.fingerprints[0]
        pairs = zip(self.fingerprints, self.files, strict=True)
        lines = (f"{sha256}  {file.name}\n" for sha256, file in pairs)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _every(schema: Any) -> list[str]:  # noqa: ANN401 - Arrow is untyped
    return list(schema.names)


def _named(schema: Any, only: Collection[str]) -> list[str]:  # noqa: ANN401
    return [name for name in schema.names if name.strip() in only]


def _ids(schema: Any) -> list[str]:  # noqa: ANN401
    return _named(schema, {PATIENT_ID})


def _together(batches: Iterable[Any], rows_at_once: int) -> Iterator[Any]:
    """Neighbouring batches that together have no more rows than asked for, as one.

    Arrow ends a batch with its row group where words are read as they are stored. Programs that
    write as they go leave groups of some hundred rows, and each batch costs as much as its columns.
    """
    waiting: list[Any] = []
    rows = 0
    for batch in batches:
        if waiting and rows + len(batch) > rows_at_once:
            yield _one(waiting)
            waiting, rows = [], 0
        waiting.append(batch)
        rows += len(batch)
    if waiting:
        yield _one(waiting)


def _one(batches: Sequence[Any]) -> Any:  # noqa: ANN401
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _repeating(schema: Any) -> list[str]:  # noqa: ANN401
    """The columns of words that are read as they are stored: each distinct one once."""
    types = pa.types
    return [
        field.name
        for field in schema
        if (types.is_string(field.type) or types.is_large_string(field.type))
        and field.name.strip() != PATIENT_ID
    ]


def _text(batch: Any) -> pd.DataFrame:  # noqa: ANN401
    names = distinct_names(Path("part"), batch.schema.names)
    columns = {
        name: _plain(column) if name == PATIENT_ID else _repeated(column)
        for name, column in zip(names, batch.columns, strict=True)
    }
    return pd.DataFrame(columns, copy=False)


def _plain(column: Any) -> pd.Series[str]:  # noqa: ANN401
    return pd.Series(pd.array(text_column(column), dtype="str"))


def _repeated(column: Any) -> pd.Categorical | pd.Series[str]:  # noqa: ANN401
    """A column as text of which each distinct one is made once; what is null is ""."""
    if not pa.types.is_dictionary(column.type):
        try:
            column = column.dictionary_encode()
        except pa.ArrowNotImplementedError:  # lists and the like, which are no answers
            return _plain(column)
    texts = text_column(column.dictionary).to_pylist()
    at, distinct = pd.factorize(np.array([*texts, ""], dtype=object))
    # The last text is that of null, whose index is filled with its place.
    places = column.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return pd.Categorical.from_codes(at[places], pd.Index(distinct, dtype="str"))


def damage(file: Path, error: Exception) -> Problem:
    """What is said of a file that cannot be read."""
    if isinstance(error, PermissionError):
        allowed = "a file that can be read is needed"
        return Problem(file.name, reason(error), allowed, "Ask for the permission to read it.")
    given = "it is not a Parquet file, or it is damaged or cannot be read"
    return Problem(file.name, given, "a whole Parquet file is needed", "Write it again.")
