"""How a file seems to be written: guesses that `spinecast map` says and a person confirms."""

from __future__ import annotations

import csv
from pathlib import Path

from spinecast.site.declaration import FileForm
from spinecast.site.delimited import LOOKED_AT, written_in
from spinecast.site.foreign_file import ForeignFile

_TEXT = (".csv", ".tsv", ".txt")
_DELIMITERS = (";", "\t", ",", "|")


def form_of(path: Path, form: FileForm) -> tuple[ForeignFile, tuple[str, ...]]:
    """A file with its form, and what of it was guessed, in sentences.

    Raises:
        UsageRefused: there is no such file, or it is of no kind that can be read.
    """
    file = ForeignFile(path, form)
    if file.ending not in _TEXT or not path.is_file():
        return file, ()
    with path.open("rb") as opened:
        start = opened.read(LOOKED_AT)
    encoding = written_in(start)
    delimiter = _delimiter(start.decode(encoding, errors="replace"), form.header_row)
    told = (
        f"The text is read as {encoding}"
        + (
            ": it is not UTF-8; check that ä, ö, ü, ß come out right."
            if encoding != "utf-8"
            else "."
        ),
        f"Its columns are separated by {delimiter!r}.",
    )
    guessed = form.model_copy(update={"delimiter": delimiter, "encoding": encoding})
    return ForeignFile(path, guessed), told


def _delimiter(text: str, header_row: int) -> str:
    """The mark that parts the header into the most columns."""
    header = text.lstrip("\ufeff").splitlines()[header_row - 1 : header_row]
    counts = {mark: len(next(csv.reader(header, delimiter=mark), [])) for mark in _DELIMITERS}
    return max(counts, key=lambda mark: counts[mark]) if max(counts.values()) > 1 else ","
