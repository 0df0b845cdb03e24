"""The header of a file: a name of its own for each column, all in one row."""

from __future__ import annotations

from collections.abc import Sequence

from spinecast.patients.tables import distinct_names
from spinecast.site.foreign_file import ForeignFile


def names_of(file: ForeignFile, names: Sequence[str]) -> tuple[str, ...]:
    """The names, stripped; an empty header and names that stand twice are refused."""
    if not any(name.strip() for name in names):
        row = file.form.header_row
        file.refuse(f"row {row} is empty", "it names the columns", "Say header_row in [file].")
    return tuple(distinct_names(file.path, names))


def check_header(file: ForeignFile, rows: Sequence[Sequence[str]]) -> None:
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
