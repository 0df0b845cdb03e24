"""`site.toml` as records: where each of our columns comes from in a hospital's own file."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from spinecast.errors import Problem, UsageRefused
from spinecast.files import reason
from spinecast.knowledge.declared import Declared, Interval, LevelName, Names, record

OPEN = "?"
"""What stands in a draft where a person must decide."""

ROW_NUMBER = "row number"
"""The way by which a file without ids names its patients: one row, one patient."""


def _as_text(value: object) -> object:
    """A constant as text, also where TOML reads a number or a date."""
    return value if isinstance(value, str | bool) or value is None else str(value)


Constant = Annotated[str, BeforeValidator(_as_text)]


class FileForm(Declared):
    """How the file is written: what a program cannot know without guessing.

    `header_row`: the row with the column names, as a spreadsheet counts. `sheet`: of an Excel
    workbook; the only one when blank.
    """

    sheet: str = ""
    header_row: Annotated[int, Field(ge=1, le=1000)] = 1
    delimiter: str = ","
    encoding: str = "utf-8"


class Line(Declared):
    """Where one of our columns comes from.

    Attributes:
        column: the hospital's column; "" is an open decision.
        columns: several of them, combined `by` a named way (`combinations`). Without any column,
            patient_id may come `by` "row number": each row is another patient.
        constant: the same answer for every patient, in our words.
        unit: of the column's numbers; of the number combined, where the way names none.
        units: of each of several columns.
        levels: the hospital's words and codes, and the level each means.
        prefixes: how codes begin (as ICD-10), and the level each means; the longest that fits.
        bands: for each level the numbers it takes, from the first up to below the second.
        unknown: texts that mean not known in this column, beside those of the whole file.
        dates, decimal: how this column is written, where it differs from the file.
        before_surgery: why a column whose name looks post-operative is known before surgery.
    """

    column: str | None = None
    columns: Names = ()
    by: str = ""
    constant: Constant | None = None
    unit: str = ""
    units: Names = ()
    levels: dict[str, LevelName] = Field(default={})
    prefixes: dict[str, LevelName] = Field(default={})
    bands: dict[str, Interval] = Field(default={})
    unknown: Names = ()
    dates: str = ""
    decimal: Literal["", ".", ",", "?"] = ""
    before_surgery: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """The hospital's columns this is made from."""
        return self.columns or ((self.column,) if self.column else ())

    def open(self) -> Iterator[str]:
        """The keys that still wait for a decision."""
        if self.column == "" or self.column == OPEN:
            yield "column"
        for key in ("unit", "dates", "decimal", "constant", "by"):
            if getattr(self, key) == OPEN:
                yield key
        for key in ("columns", "units"):
            if any(name in ("", OPEN) for name in getattr(self, key)):
                yield key
        for key in ("levels", "prefixes"):
            waiting = [word for word, level in getattr(self, key).items() if level == OPEN]
            if waiting:
                yield f"{key} of {', '.join(waiting)}"


class Site(Declared):
    """A hospital's whole mapping.

    Attributes:
        site: the hospital's name, for every patient unless a column says it.
        unknown: texts that mean not known, in any column.
        decimal: the decimal mark of numbers written as text.
        dates: how dates are written as text, as DD.MM.YYYY; YYYY-MM-DD is always understood.
        repeated: which row of a patient with several is used, by the date of the operation; by
            "refuse" the later rows are rejected.
        file: how the file is written.
        columns: for each of our columns where it comes from.
        name, sha256: of the file this was read from.
    """

    site: str = ""
    unknown: Names = ()
    decimal: Literal[".", ",", "?"] = "."
    dates: str = ""
    repeated: Literal["refuse", "first", "last", "?"] = "refuse"
    file: FileForm = FileForm()
    columns: dict[str, Line]
    name: str = ""
    sha256: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """The hospital's columns that are used, each once."""
        return tuple(dict.fromkeys(name for line in self.columns.values() for name in line.sources))

    def open(self) -> Iterator[Problem]:
        """What a person still has to decide."""
        heads = {"decimal": self.decimal, "dates": self.dates, "repeated": self.repeated}
        heads |= {"encoding": self.file.encoding, "delimiter": self.file.delimiter}
        for key, value in heads.items():
            if value == OPEN:
                yield _decision(f"{self.name} {key}")
        for name, line in self.columns.items():
            for key in line.open():
                yield _decision(f"{self.name} [columns.{name}] {key}")


def _decision(where: str) -> Problem:
    return Problem(
        where, "not decided", "a person has to", "The comment above it says what is asked."
    )


def parse_site(path: Path | str) -> Site:
    """Read a site.toml as records, whatever the registry; open decisions are let through.

    Raises:
        UsageRefused: with everything the file's form has against it.
    """
    path = Path(path)
    table, digest = _table(path)
    problems: list[Problem] = []
    tables = table.pop("columns", {})
    if not isinstance(tables, Mapping):
        problems.append(Problem(f"{path.name} columns", "is no table", "write [columns.NAME]"))
        tables = {}
    lines = {
        name: _line(f"{path.name} [columns.{name}]", content, problems)
        for name, content in tables.items()
    }
    known = {name: line for name, line in lines.items() if line is not None}
    own = {key: table.pop(key) for key in ("name", "sha256") if key in table}
    problems.extend(Problem(f"{path.name} {key}", "is not known", "remove it") for key in own)
    head = {**table, "columns": known, "name": path.name, "sha256": digest}
    site = record(Site, path.name, head, problems)
    if site is None or problems:
        raise UsageRefused(f"The mapping {path} cannot be used", problems)
    return site


def _line(where: str, content: object, problems: list[Problem]) -> Line | None:
    if isinstance(content, Mapping):
        return record(Line, where, content, problems)
    remedy = 'Write a table with column = "NAME".'
    problems.append(Problem(where, f"given {str(content)[:40]!r}", "a table", remedy))
    return None


def _table(path: Path) -> tuple[dict[str, Any], str]:
    allowed, remedy = "a TOML file in UTF-8", "`spinecast map COHORT --out site.toml` drafts one."
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8-sig")), hashlib.sha256(content).hexdigest()
    except OSError as error:
        problem = Problem(str(path), reason(error), allowed, remedy)
    except UnicodeDecodeError:
        problem = Problem(path.name, "it is not UTF-8", allowed, f"Another file? {remedy}")
    except tomllib.TOMLDecodeError as error:
        problem = Problem(path.name, str(error), allowed, _twice(str(error)))
    raise UsageRefused("The mapping cannot be read", [problem])


def _twice(error: str) -> str:
    """What to do about a table that stands twice, which is how two columns for one factor look."""
    if not re.search(r"twice|overwrite|already", error):
        return "Correct it there."
    return (
        "Each of our columns stands once. Several of the hospital's columns make one by "
        'columns = ["A", "B"] with by = "first recorded" or another named way.'
    )
