"""A hospital's file as text, in pieces and only the columns asked for: memory stays bounded.

CSV of any delimiter, Parquet, Excel, Stata and SPSS. Every cell becomes the text a person would
have typed; value labels become their words. The index holds the row numbers a spreadsheet shows.
What is not a clean table is refused with what to do.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol

import pandas as pd
import pyarrow as pa
from pyarrow import ArrowException, parquet
from pyarrow import csv as arrow_csv

from spinecast.answers import as_text
from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.files import reason
from spinecast.patient import suggestion
from spinecast.site.declaration import FileForm
from spinecast.tables import distinct_names, numbered, ragged_rows, text_column

ROWS_AT_ONCE = 100_000
ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".dta", ".sav")
BLOCK = 1 << 24
LOOKED_AT = 1 << 20
"""Bytes of a text file from which its encoding is judged."""
HEADER_SEARCH = 20
"""Rows in which a header is looked for when the one named is none."""

_ENCODINGS = ("utf-8", "latin-1", "cp1252")


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A hospital's file and how it is written.

    Attributes:
        path: where it lies.
        form: sheet, header row, delimiter, encoding.
        decimal: the mark in which numbers that the file holds as numbers are written out, so that
            they are read back by the same rule as numbers typed as text.
    """

    path: Path
    form: FileForm = field(default_factory=FileForm)
    decimal: str = "."

    @property
    def ending(self) -> str:
        """Its kind.

        Raises:
            UsageRefused: it is of no kind that can be read.
        """
        ending = self.path.suffix.lower()
        if ending not in ENDINGS:
            given = f"its ending is {ending or 'missing'}"
            problem = Problem(str(self.path), given, "allowed: " + ", ".join(ENDINGS))
            raise UsageRefused("This kind of file is not known", [problem])
        return ending

    def names(self) -> tuple[str, ...]:
        """The columns' names.

        Raises:
            UsageRefused: the file cannot be read.
            DataRefused: it has no clean header.
        """
        return self._kind().names()

    def pieces(
        self, columns: Sequence[str] | None = None, rows: int = ROWS_AT_ONCE
    ) -> Iterator[pd.DataFrame]:
        """The rows as text, piece by piece; rows without any entry in these columns are left out.

        Args:
            columns: those wanted; all when none are named. All must be there (`names`).
            rows: about how many at once.

        Raises:
            DataRefused: a part of it is no table.
        """
        wanted = list(self.names() if columns is None else columns)
        yield from self._kind().pieces(wanted, rows)

    def refuse(self, given: str, allowed: str, remedy: str = "") -> NoReturn:
        """Refuse the file for one reason."""
        raise DataRefused(
            "The file is not a table", [Problem(self.path.name, given, allowed, remedy)]
        ) from None

    def _kind(self) -> Kind:
        ending = self.ending
        try:
            with self.path.open("rb") as file:
                start = file.read(4)
        except OSError as error:
            problem = Problem(str(self.path), reason(error), "a file that can be read is needed")
            raise UsageRefused("The file cannot be read", [problem]) from None
        if not start:
            self.refuse("it is empty", "a header and one row for each patient are needed")
        if ending == ".parquet":
            return _Parquet(self)
        if ending == ".xlsx":
            return _Excel(self)
        return _Statistics(self) if ending in (".dta", ".sav") else _Text(self)


class Kind(Protocol):
    """How one kind of file is read."""

    def names(self) -> tuple[str, ...]:
        """The columns' names."""

    def pieces(self, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The rows of some columns as text, piece by piece."""


def missing_columns(names: Sequence[str], wanted: Sequence[str]) -> Iterator[Problem]:
    """The columns a mapping names and a file does not have."""
    for name in wanted:
        if name not in names:
            close = suggestion(name, names) or "`spinecast map` shows what the file has."
            yield Problem(f"column {name!r}", "is not in the file", "the mapping names it", close)


# --- text -----------------------------------------------------------------------------------------


class _Text:
    """Delimited text, read in blocks by Arrow."""

    def __init__(self, file: ForeignFile) -> None:
        self.file = file
        form = file.form
        if form.encoding.lower() not in _ENCODINGS:
            close = suggestion(form.encoding, _ENCODINGS)
            file.refuse(f"encoding {form.encoding!r}", "allowed: " + ", ".join(_ENCODINGS), close)
        self.encoding = form.encoding.lower()
        _check_encoding(file, self.encoding)

    def names(self) -> tuple[str, ...]:
        """The cells of the header row."""
        form = self.file.form
        with self.file.path.open(encoding=self._python_encoding, newline="") as lines:
            try:
                rows = csv.reader(lines, delimiter=form.delimiter)
                names = next(itertools.islice(rows, form.header_row - 1, None), [])
            except csv.Error as error:
                given = f"its header cannot be read: {error}"
                self.file.refuse(given, f"row {form.header_row} names the columns")
            except UnicodeDecodeError:
                _refuse_encoding(self.file)
        _check_delimiter(self.file, names)
        return _named(self.file, names)

    def pieces(self, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The rows in blocks of bytes, about `rows` of them at once."""
        names = self.names()
        _check_quotes(self.file, self._python_encoding)
        found: list[Any] = []

        def set_aside(row: Any) -> str:  # noqa: ANN401 - Arrow is untyped
            found.append(row)
            return "skip"

        text = pa.string()
        try:
            with arrow_csv.open_csv(
                self.file.path,
                read_options=arrow_csv.ReadOptions(
                    column_names=names,
                    skip_rows_after_names=self.file.form.header_row,
                    use_threads=False,
                    block_size=BLOCK,
                    encoding=self.encoding,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.file.form.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=set_aside,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, text), include_columns=wanted
                ),
            ) as blocks:
                yield from _joined(blocks, rows, self.file.form.header_row + 1)
        except ArrowException as error:
            _explain(self.file, self.encoding, error)
        if found:
            raise DataRefused(f"{self.file.path.name} is not a table", ragged_rows(found))

    @property
    def _python_encoding(self) -> str:
        return "utf-8-sig" if self.encoding == "utf-8" else self.encoding


def _joined(blocks: Any, rows: int, first: int) -> Iterator[pd.DataFrame]:  # noqa: ANN401
    """Arrow's blocks as frames of at most `rows`, under the numbers a spreadsheet shows."""
    for block in blocks:
        for start in range(0, block.num_rows, rows):
            piece = block.slice(start, rows)
            yield numbered(piece.to_pandas(), first)
            first += piece.num_rows


def _check_encoding(file: ForeignFile, encoding: str) -> None:
    """Refuse an encoding the first megabyte contradicts: wrongly read, it would only look odd."""
    with file.path.open("rb") as opened:
        start = opened.read(LOOKED_AT)
    if b"\0" in start:
        file.refuse(
            "it is not text", "a text file has no zero bytes", "Say what it is by its name."
        )
    if encoding != "utf-8" and written_in(start) == "utf-8" and not start.isascii():
        remedy = 'Write encoding = "utf-8" in [file].'
        file.refuse(f"it is UTF-8, and encoding says {encoding}", "the two must agree", remedy)


def written_in(start: bytes) -> Literal["utf-8", "cp1252"]:
    """UTF-8 when the bytes can be that (hardly any other text can), else cp1252: a guess."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _check_delimiter(file: ForeignFile, names: Sequence[str]) -> None:
    for mark in (";", "\t", "|", ","):
        if len(names) == 1 and mark in names[0] and mark != file.form.delimiter:
            given = f"its columns are separated by {mark!r}, not {file.form.delimiter!r}"
            escaped = "\\t" if mark == "\t" else mark
            file.refuse(given, "the two must agree", f'Write delimiter = "{escaped}" in [file].')


def _check_quotes(file: ForeignFile, encoding: str) -> None:
    """Refuse a quoted cell that never ends: it would swallow the rest of the file without a word.

    Where the marks are even in number none is open. Else the file is gone through cell by cell: a
    mark within a cell, as in 5", is only a mark.
    """
    with file.path.open("rb") as opened:
        marks = sum(block.count(b'"') for block in iter(lambda: opened.read(BLOCK), b""))
    if marks % 2 == 0:
        return
    try:
        with file.path.open(encoding=encoding, errors="replace", newline="") as lines:
            for _ in csv.reader(lines, delimiter=file.form.delimiter, strict=True):
                pass
    except csv.Error:
        _refuse_quotes(file)


def _explain(file: ForeignFile, encoding: str, error: ArrowException) -> NoReturn:
    """What Arrow could not read, in words."""
    if "UTF8" in str(error) and encoding == "utf-8":
        _refuse_encoding(file)
    _refuse_quotes(file)


def _refuse_quotes(file: ForeignFile) -> NoReturn:
    given = "a quotation mark is opened and not closed"
    file.refuse(given, 'a quoted cell ends with "', "Save the file anew.")


def _refuse_encoding(file: ForeignFile) -> NoReturn:
    """Say which line is not UTF-8."""
    with file.path.open("rb") as opened:
        lines = enumerate(opened, start=1)
        line = next((at for at, text in lines if written_in(text) != "utf-8"), 0)
    given = f"line {line} has a character that is not UTF-8"
    file.refuse(given, "encoding says utf-8", 'Write encoding = "cp1252" in [file].')


# --- headers --------------------------------------------------------------------------------------


def _named(file: ForeignFile, names: Sequence[str]) -> tuple[str, ...]:
    if not any(name.strip() for name in names):
        row = file.form.header_row
        file.refuse(f"row {row} is empty", "it names the columns", "Say header_row in [file].")
    return tuple(distinct_names(file.path, names))


def _check_header(file: ForeignFile, rows: Sequence[Sequence[str]]) -> None:
    """Refuse a header that is merged over columns or rows: some column has cells and no name.

    Args:
        file: the workbook.
        rows: its first rows, from row 1.
    """
    at = file.form.header_row - 1
    if len(rows) <= at:
        return
    used = [any(row[c] for row in rows[at + 1 :]) for c in range(len(rows[at]))]
    bare = [c for c, name in enumerate(rows[at]) if used[c] and not name]
    if not bare:
        return
    better = next(
        (r for r, row in enumerate(rows) if all(row[c] or not used[c] for c in range(len(row)))),
        None,
    )
    places = ", ".join(_letter(c) for c in bare)
    remedy = "Unmerge the header so that each column has a name of its own in one row."
    if better is not None and any(rows[better]):
        remedy += f" If that is row {better + 1}, say header_row = {better + 1} in [file]."
    given = f"row {at + 1} names the columns, and columns {places} have no name there"
    file.refuse(given, "the header is merged or stands on several rows", remedy)


def _letter(column: int) -> str:
    """A column as a spreadsheet calls it."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


# --- Parquet --------------------------------------------------------------------------------------


class _Parquet:
    """Typed columns, read in batches."""

    def __init__(self, file: ForeignFile) -> None:
        self.file = file
        try:
            self.content = parquet.ParquetFile(file.path)
        except (ArrowException, OSError):
            file.refuse("it is not a Parquet file, or damaged", "a whole Parquet file is needed")

    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(distinct_names(self.file.path, self.content.schema_arrow.names))

    def pieces(self, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The rows in batches."""
        stored = dict(zip(self.names(), self.content.schema_arrow.names, strict=True))
        first = 2
        columns = [stored[name] for name in wanted]
        for batch in self.content.iter_batches(rows, columns=columns):
            texts = [
                _with_mark(text_column(batch.column(name)), batch.column(name), self.file.decimal)
                for name in columns
            ]
            yield numbered(pa.table(texts, names=wanted).to_pandas(), first)
            first += batch.num_rows


def _with_mark(text: Any, typed: Any, decimal: str) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Numbers written with the hospital's own decimal mark."""
    if decimal == "." or not pa.types.is_floating(typed.type):
        return text
    return pa.compute.replace_substring(text, ".", decimal)


# --- Excel ----------------------------------------------------------------------------------------


class _Excel:
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
        _check_header(self.file, rows)
        at = self.file.form.header_row - 1
        return _named(self.file, rows[at] if at < len(rows) else [])

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


# --- Stata and SPSS -------------------------------------------------------------------------------


class _Statistics:
    """A .dta or .sav file; coded values come as their labels' words."""

    def __init__(self, file: ForeignFile) -> None:
        import pyreadstat  # likewise

        self.file = file
        self.read = pyreadstat.read_dta if file.ending == ".dta" else pyreadstat.read_sav
        self.in_chunks = pyreadstat.read_file_in_chunks
        try:
            _, self.meta = self.read(str(file.path), metadataonly=True)
        except (pyreadstat.ReadstatError, UnicodeDecodeError, OSError):
            kind = "Stata" if file.ending == ".dta" else "SPSS"
            file.refuse(f"it is no {kind} file, or damaged", f"a whole {kind} file is needed")

    def names(self) -> tuple[str, ...]:
        """The variables' names."""
        return tuple(distinct_names(self.file.path, self.meta.column_names))

    def pieces(self, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The cases, some thousand at a time."""
        first = 2
        chunks = self.in_chunks(
            self.read, str(self.file.path), chunksize=rows, usecols=wanted, apply_value_formats=True
        )
        for frame, _ in chunks:
            texts = {name: self._texts(frame[name]) for name in wanted}
            yield numbered(pd.DataFrame(texts, dtype="str"), first)
            first += len(frame)

    def _texts(self, column: pd.Series[Any]) -> list[str]:
        known = column.astype(object).where(column.notna(), None)
        return [as_cell([value], 0, self.file.decimal) for value in known.tolist()]
