"""A hospital's file as text, in pieces and only the columns asked for: memory stays bounded.

CSV of any delimiter, Parquet, Excel, Stata and SPSS. Every cell becomes the text a person would
have typed; value labels become their words. The index holds the row numbers a spreadsheet shows.
What is not a clean table is refused with what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import pandas as pd

from spinecast.errors import Problem, UsageRefused
from spinecast.files import reason
from spinecast.patients.patient import suggestion
from spinecast.site.delimited import Delimited
from spinecast.site.foreign_file import ForeignFile
from spinecast.site.typed import Parquet, Statistics
from spinecast.site.workbook import Workbook

ROWS_AT_ONCE = 100_000


class Kind(Protocol):
    """How one kind of file is read."""

    def names(self) -> tuple[str, ...]:
        """The columns' names."""

    def pieces(self, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The rows of some columns as text, piece by piece."""


def column_names(file: ForeignFile) -> tuple[str, ...]:
    """The names of a file's columns.

    Raises:
        UsageRefused: the file cannot be read.
        DataRefused: it has no clean header.
    """
    return _kind(file).names()


def pieces(
    file: ForeignFile, columns: Sequence[str] | None = None, rows: int = ROWS_AT_ONCE
) -> Iterator[pd.DataFrame]:
    """The rows as text, piece by piece; rows without any entry in these columns are left out.

    Args:
        file: the file.
        columns: those wanted; all when none are named. All must be there (`column_names`).
        rows: about how many at once.

    Raises:
        DataRefused: a part of it is no table.
    """
    kind = _kind(file)
    yield from kind.pieces(list(kind.names() if columns is None else columns), rows)


def missing_columns(names: Sequence[str], wanted: Sequence[str]) -> Iterator[Problem]:
    """The columns a mapping names and a file does not have."""
    for name in wanted:
        if name not in names:
            close = suggestion(name, names) or "`spinecast map` shows what the file has."
            yield Problem(f"column {name!r}", "is not in the file", "the mapping names it", close)


def _kind(file: ForeignFile) -> Kind:
    ending = file.ending
    try:
        with file.path.open("rb") as opened:
            start = opened.read(4)
    except OSError as error:
        problem = Problem(str(file.path), reason(error), "a file that can be read is needed")
        raise UsageRefused("The file cannot be read", [problem]) from None
    if not start:
        file.refuse("it is empty", "a header and one row for each patient are needed")
    if ending == ".parquet":
        return Parquet(file)
    if ending == ".xlsx":
        return Workbook(file)
    return Statistics(file) if ending in (".dta", ".sav") else Delimited(file)
