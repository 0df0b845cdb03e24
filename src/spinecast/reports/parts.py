"""What a section of a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from spinecast.reports.evidence import Evidence
from spinecast.reports.figures import Drawn
from spinecast.reports.pointers import Pointer


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report; `name` is its id on the page.

    Attributes:
        caption: What it shows.
        heads: Of its columns; the first cell of a row is the head of the row.
        rows: Cells in words.
        method: How the numbers came about.
        source: A pointer to the file and the place in it that holds them.
        is_numeric: Whether its cells are numbers, which are not broken over lines.
    """

    name: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    method: str
    source: str
    is_numeric: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Attributes:
        id: The place checklists point to.
        title: Its heading.
        words: Paragraphs.
        tables: Below them.
        figures: Below those.
        lacking: What is missing here, in words.
        is_missing: Whether what the section is for is missing altogether.
    """

    id: str
    title: str
    words: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    figures: tuple[Drawn, ...] = ()
    lacking: tuple[str, ...] = ()
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Chapter:
    """Sections under one heading, in the order of reading."""

    id: str
    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A question of the first screen, its answer, and the section that says more."""

    question: str
    answer: tuple[str, ...]
    section: str


def trail(pointer: str) -> str:
    """A pointer as people read it: the file, then each step to the place in it."""
    asked = Pointer.parse(pointer)
    steps = asked.tokens if asked.file.endswith(".json") else (asked.place,)
    return " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} ".join(
        [asked.file, *filter(None, steps)]
    )


def lacking(found: Evidence, *keys: str) -> tuple[str, ...]:
    """What a person has not written of a section."""
    blank = [key for key in keys if not found.study.get(key)]
    return (f"Not stated in study.toml: {', '.join(blank)}.",) if blank else ()
