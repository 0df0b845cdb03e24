"""One sheet of an Excel workbook, read row by row, every cell as it was typed."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Iterator, Sequence

import pandas as pd

from spinecast.patients.answers import as_text
from spinecast.patients.patient import suggestion
from spinecast.patients.tables import numbered
from spinecast.site.foreign_file import ForeignFile
from spinecast.site.headers import check_header, names_of

HEADER_SEARCH = 20
"""Rows in which a header is looked for when the one named is none."""


class Workbook:
    """One sheet of a workbook, read row by row."""

    def __init__(self, file: ForeignFile) -> None:
        import openpyxl  # scoring a JSON patient does not wait for it

        self.file = file
        try:
            self.book = openpyxl.load_workbook(file.path, read_only=True, data_only=True)
        except Exception:  # noqa: BLE001 - whatever a damaged archive raises, it cannot be read
            file.refuse("it is no Excel workbook, or damaged or locked", "an .xlsx file is needed")
        sheets = self.book.sheetnames
        if not file.form.sheet and len(sheets) > 1:
            remedy = f'Write sheet = "{sheets[0]}" in [file].'
            file.refuse(f"it has the sheets {', '.join(sheets)}", "one is to be named", remedy)
        if file.form.sheet and file.form.sheet not in sheets:
            given = f"it has no sheet {file.form.sheet!r}"
            file.refuse(given, f"allowed: {', '.join(sheets)}", suggestion(file.form.sheet, sheets))
        self.sheet = self.book[file.form.sheet or sheets[0]]

    def names(self) -> tuple[str, ...]:
        """The cells of the header row, when each column has one."""
        count = self.file.form.header_row + HEADER_SEARCH
        top = [self._texts(row) for row in self._rows(1, count)]
        width = max(map(len, top), default=0)
        rows = [row + [""] * (width - len(row)) for row in top]
        while width and not any(row[width - 1] for row in rows):
            width -= 1
        rows = [row[:width] for row in rows]
        check_header(self.file, rows)
        at = self.file.form.header_row - 1
        return names_of(self.file, rows[at] if at < len(rows) else [])

    def pieces(self, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The rows below the header, some thousand at a time."""
        names = self.names()
        places = [names.index(name) for name in wanted]
        first = self.file.form.header_row + 1
        below = self._rows(first, None)
        while piece := list(itertools.islice(below, rows)):
            texts = [[as_cell(row, c, self.file.decimal) for row in piece] for c in places]
            frame = pd.DataFrame(dict(zip(wanted, texts, strict=True)), dtype="str")
            yield numbered(frame, first)
            first += len(piece)

    def _rows(self, first: int, last: int | None) -> Iterator[tuple[object, ...]]:
        yield from self.sheet.iter_rows(min_row=first, max_row=last, values_only=True)

    def _texts(self, row: Sequence[object]) -> list[str]:
        return [as_cell(row, c, ".").strip() for c in range(len(row))]


def as_cell(row: Sequence[object], place: int, decimal: str) -> str:
    """A typed cell as a person would have typed it; "" for an empty one."""
    value = row[place] if place < len(row) else None
    match value:
        case None:
            return ""
        case str():
            return value
        case float() if math.isnan(value):
            return ""
        case float():
            return as_text(value).replace(".", decimal)
        case dt.datetime():
            is_day = value.time() == dt.time()
            return value.date().isoformat() if is_day else value.isoformat(" ")
    return as_text(value)
