"""What a section of a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from spinecast.reports.report_figures import Drawn


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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
