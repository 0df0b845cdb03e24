"""Delimited text of any mark and encoding, read in blocks; what is no clean table is refused."""

from __future__ import annotations

import codecs
import csv
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NoReturn

import pandas as pd
import pyarrow as pa
from pyarrow import ArrowException
from pyarrow import csv as arrow_csv

from spinecast.errors import DataRefused
from spinecast.patients.patient import suggestion
from spinecast.patients.tables import numbered, ragged_rows
from spinecast.site.foreign_file import ForeignFile
from spinecast.site.headers import names_of

BLOCK = 1 << 24
LOOKED_AT = 1 << 20
"""Bytes of a text file from which its encoding is judged."""

_ENCODINGS = ("utf-8", "latin-1", "cp1252")


class Delimited:
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
        return names_of(self.file, names)

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
