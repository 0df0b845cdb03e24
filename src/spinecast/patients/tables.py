"""Files in, files out: a CSV or Parquet file as a table of text, exactly as it was written.

Reading guesses nothing: every cell is text, the row labels are the row numbers a spreadsheet shows
(the header is row 1), and a file that is not a clean table is refused with what is wrong where.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow as pa
from pyarrow import ArrowException, compute, parquet
from pyarrow import csv as arrow_csv

from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.files import reason, whole_file, whole_folder

ENDINGS = (".csv", ".parquet")
MAPPED_ENDINGS = (".tsv", ".txt", ".xlsx", ".dta", ".sav")
"""What can be read too, but only by a mapping of the hospital's columns."""
REPEATED = frozenset({"Complete?", "Survey Timestamp"})
"""Headings that REDCap gives once for each form when it exports labels; they hold no answer."""
SHOWN = 20
"""How many problems of one kind are spelled out; the rest are counted."""

_BOM = b"\xef\xbb\xbf"
AS_IT_IS = (
    "A hospital's own file can stay as it is: `spinecast map FILE --out site.toml`, then "
    "--site site.toml."
)
"""What to do with a hospital's own file, beside changing it."""
_SAVE_AS = f'Save it as "CSV UTF-8 (comma delimited)" or as Parquet. {AS_IT_IS}'
# Where the decimal sign is a comma, Excel writes semicolons whatever its menu says.
_SEPARATE = (
    "In LibreOffice choose the comma as field delimiter when saving; in Excel first set the "
    "system's list separator to a comma and its decimal sign to a point; or save as Parquet. "
    + AS_IT_IS
)
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"PK\x03\x04": "a spreadsheet or zip archive",
    b"\x1f\x8b": "a compressed file",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
}


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a cohort file as text, cell for cell.

    Returns:
        One text column per column of the file. The index holds the row numbers a spreadsheet
        shows; rows without any entry are no rows, but they count. Parquet values become the text
        a person would type (54, 27.5, true, 2024-05-01), nulls become "".

    Raises:
        UsageRefused: when there is no such file or its ending is neither .csv nor .parquet.
        DataRefused: when the content is not a table, naming every place.
    """
    path = Path(path)
    content = _content(path)
    table = _read_csv(path, content) if _ending(path) == ".csv" else _read_parquet(path, content)
    if not len(table):
        _refuse(path, "it has a header and no rows", "one row for each patient is needed")
    return table


def table_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame from a notebook as the table of text that a file of it would give.

    Raises:
        DataRefused: when it has no rows, or two columns of the same name.
    """
    if not len(frame):
        _refuse(Path("frame"), "it has no rows", "one row for each patient is needed")
    content = io.BytesIO()
    named = frame.set_axis(distinct_names(Path("frame"), map(str, frame.columns)), axis="columns")
    named.to_parquet(content, index=False)
    return _read_parquet(Path("frame"), content.getvalue())


def write_table(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as CSV or Parquet by its ending; the file appears whole or not at all."""
    path = Path(path)
    ending = _ending(path)
    with whole_file(path) as unfinished:
        if ending == ".csv":
            _write_csv(table, unfinished)
        else:
            table.to_parquet(unfinished, index=False)


def write_tables(table: pd.DataFrame, folder: Path | str, files: int) -> None:
    """Write a table as a folder of so many Parquet files of about the same size, in order."""
    ends = [len(table) * at // files for at in range(files + 1)]
    with whole_folder(Path(folder)) as unfinished:
        for at, (start, stop) in enumerate(itertools.pairwise(ends)):
            rows = table.iloc[start:stop]
            rows.to_parquet(unfinished / f"part-{at:05d}.parquet", index=False)


def file_fingerprint(path: Path | str) -> str:
    """SHA-256 of a file, so that a result can name the very data it came from."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        given = f"its ending is {ending or 'missing'}"
        remedy = AS_IT_IS if ending in MAPPED_ENDINGS else ""
        problem = Problem(str(path), given, "allowed: .csv, .parquet", remedy)
        raise UsageRefused("This kind of file is not known", [problem])
    return ending


def _content(path: Path) -> bytes:
    _ending(path)
    try:
        return path.read_bytes()
    except OSError as error:
        problem = Problem(str(path), reason(error), "a file that can be read is needed")
        raise UsageRefused("The file cannot be read", [problem]) from None


def _refuse(path: Path, given: str, allowed: str, remedy: str = "") -> NoReturn:
    raise DataRefused(
        "The file is not a table", [Problem(path.name, given, allowed, remedy)]
    ) from None


# --- CSV ---------------------------------------------------------------------------------------


def _read_csv(path: Path, content: bytes) -> pd.DataFrame:
    _check_is_text(path, content)
    header = _header(path, content)
    try:
        table, ragged = _parse(content, header, in_order=False)
        if ragged:
            # Only a reader that goes through the file in order knows the row numbers.
            _, ragged = _parse(content, header, in_order=True)
    except ArrowException:
        _refuse(path, "a quotation mark is opened and not closed", 'a quoted cell ends with "')
    if ragged:
        raise DataRefused(f"{path.name} is not a table", ragged_rows(ragged))
    return numbered(table.to_pandas())


def _check_is_text(path: Path, content: bytes) -> None:
    allowed = "a CSV file is UTF-8 text"
    for start, name in _FOREIGN.items():
        if content.startswith(start):
            _refuse(path, f"it is {name}", allowed, _SAVE_AS)
    if b"\0" in content:
        _refuse(path, "it is not text", allowed, _SAVE_AS)
    if not re.compile(rb"\S").search(content, 3 if content.startswith(_BOM) else 0):
        _refuse(path, "it is empty", "a header and one row for each patient are needed")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(path, f"line {line} has a character that is not UTF-8", allowed, _SAVE_AS)


def _header(path: Path, content: bytes) -> list[str]:
    """The column names; those without a name get one, those that are not a header are refused."""
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    try:
        names = next(csv.reader(lines), [])
    except csv.Error as error:
        _refuse(path, f"its header cannot be read: {error}", "the first row names the columns")
    for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(names) == 1 and mark in names[0]:
            _refuse(path, f"its columns are separated by {word}", "commas are needed", _SEPARATE)
    return distinct_names(path, names)


def distinct_names(path: Path, names: Iterable[str]) -> list[str]:
    """The names, stripped; two columns of one name are refused, all at once."""
    # Spreadsheets leave empty columns behind; nobody can mean anything by them.
    stripped = [name.strip() or f"(column {at})" for at, name in enumerate(names, start=1)]
    stripped = [
        f"{name} (column {at})" if name in REPEATED and name in stripped[: at - 1] else name
        for at, name in enumerate(stripped, start=1)
    ]
    places: dict[str, list[str]] = {}
    for at, name in enumerate(stripped, start=1):
        places.setdefault(name, []).append(str(at))
    problems = [
        Problem(name[:40], f"names columns {', '.join(at)}", "a name may stand once", "Rename one.")
        for name, at in places.items()
        if len(at) > 1
    ]
    if problems:
        raise DataRefused(f"{path.name} has columns of the same name", problems)
    return stripped


def _parse(content: bytes, header: list[str], *, in_order: bool) -> tuple[Any, list[Any]]:
    """The rows as Arrow text columns, and the rows that have more or fewer cells."""
    ragged: list[Any] = []

    def set_aside(row: Any) -> str:  # noqa: ANN401 - Arrow is untyped
        ragged.append(row)
        return "skip"

    table = arrow_csv.read_csv(
        pa.BufferReader(content),
        read_options=arrow_csv.ReadOptions(
            column_names=header,
            skip_rows_after_names=1,
            use_threads=not in_order,
            # A header of a thousand columns must fit into the first block.
            block_size=1 << 24,
        ),
        parse_options=arrow_csv.ParseOptions(
            newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=set_aside
        ),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
    )
    return table, ragged


def ragged_rows(rows: list[Any]) -> Iterator[Problem]:
    """The rows that Arrow set aside because they have more or fewer cells than the header."""
    for row in itertools.islice(rows, SHOWN):
        given = f"{row.actual_columns} cells: {row.text[:40]!r}"
        allowed = f"the header has {row.expected_columns}"
        yield Problem(f"row {row.number}", given, allowed, "Quote a cell that contains a comma.")
    if len(rows) > SHOWN:
        given = f"{len(rows) - SHOWN:,} more rows have too few or too many cells"
        yield Problem("further rows", given, "each row has as many cells as the header")


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    if not all(dtype == "str" or dtype.kind in "if" for dtype in table.dtypes):
        table.to_csv(path, index=False, lineterminator="\n")
        return
    try:
        _write_plain_csv(table, path)
    except ArrowException:  # some cell has to be quoted
        table.to_csv(path, index=False, lineterminator="\n")


def _write_plain_csv(table: pd.DataFrame, path: Path) -> None:
    """Write without any quotes, ten times faster than pandas; Arrow refuses where it cannot."""
    options = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write(table.iloc[:0].to_csv(index=False, lineterminator="\n").encode())
        arrow_csv.write_csv(pa.Table.from_pandas(table, preserve_index=False), file, options)


# --- Parquet -----------------------------------------------------------------------------------


def _read_parquet(path: Path, content: bytes) -> pd.DataFrame:
    try:
        table = parquet.read_table(pa.BufferReader(content))
    except (ArrowException, OSError):
        _refuse(
            path, "it is not a Parquet file, or it is damaged", "a whole Parquet file is needed"
        )
    names = distinct_names(path, table.column_names)
    texts = [text_column(column) for column in table.columns]
    return numbered(pa.table(texts, names=names).to_pandas())


def text_column(column: Any) -> Any:  # noqa: ANN401 - Arrow is untyped
    """A typed column as the text a person would have typed; what is no value shows its type."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        text = column.cast(pa.string())
    except ArrowException:
        text = compute.if_else(column.is_valid(), f"<{column.type}>", None)
    if pa.types.is_timestamp(column.type):
        # A date that passed through pandas carries a midnight.
        text = compute.replace_substring_regex(text, r" 00:00:00(\.0+)?$", "")
    return text.fill_null("")


def numbered(table: pd.DataFrame, first: int = 2) -> pd.DataFrame:
    """The rows under the numbers a spreadsheet shows, without those that have no entry at all."""
    table.index = pd.RangeIndex(first, len(table) + first, name="row")
    empty = (table.iloc[:, 0] == "").to_numpy(dtype=bool, copy=True)
    if empty.any():
        empty[empty] = (table[empty] == "").all(axis=1).to_numpy(dtype=bool)
    return table[~empty] if empty.any() else table
