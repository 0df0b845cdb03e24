"""Show assessments: text for a terminal, a page for a browser or paper, a fragment for a notebook.

Nothing is computed, rounded or worded here: a `Sheet` says it all, `paper` and `page` lay it out,
so that no two forms can disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spinecast.explaining.assessment import Assessment
from spinecast.language import BASE, words
from spinecast.showing.glyphs import ASCII, UNICODE
from spinecast.showing.page import fragment, page
from spinecast.showing.paper import Paper
from spinecast.showing.sheet import Sheet
from spinecast.showing.wording import sheet_of

NARROWEST = 40


def as_text(
    assessment: Assessment | Sequence[Assessment],
    *,
    width: int = 88,
    colour: bool = False,
    ascii_only: bool = False,
    full: bool = False,
    source_names: Mapping[str, str] | None = None,
) -> str:
    """Assessments for a terminal; `terminal.Terminal.of` says what a stream can show.

    Args:
        assessment: One record, or several: then a table of all comes first.
        width: Columns to fill, at least 40.
        colour: Whether to set headings in bold and the banner in reverse (ANSI codes). They say
            nothing that the words do not.
        ascii_only: For a stream that is not UTF-8.
        full: Every factor for itself, instead of the largest and the sum of the others.
        source_names: How each source is cited.

    Returns:
        Text that ends with a line break.
    """
    sheets = _sheets(assessment, source_names, full=full)
    paper = Paper(
        max(width, NARROWEST),
        colour=colour,
        glyphs=ASCII if ascii_only else UNICODE,
        language=sheets[0].language if sheets else BASE,
    )
    lines: list[str] = []
    if not isinstance(assessment, Assessment):
        lines += [*paper.summary(sheets), ""]
    for sheet in sheets:
        lines += [*paper.record(sheet), ""]
    return "\n".join(lines[:-1]) + "\n"


def as_html(
    assessment: Assessment | Sequence[Assessment],
    *,
    full: bool = False,
    source_names: Mapping[str, str] | None = None,
) -> str:
    """Assessments as one self-contained page: no script, nothing fetched, fit for print and grey.

    Args:
        assessment: One record, or several: then a table of all comes first.
        full: Every factor for itself, instead of the largest and the sum of the others.
        source_names: How each source is cited.
    """
    sheets = _sheets(assessment, source_names, full=full)
    return page(sheets, several=not isinstance(assessment, Assessment))


def as_fragment(
    assessment: Assessment,
    *,
    full: bool = False,
    source_names: Mapping[str, str] | None = None,
) -> str:
    """One assessment as a piece of HTML for a notebook; its styles touch nothing else."""
    return fragment(sheet_of(assessment, source_names=source_names, full=full))


def _sheets(
    assessment: Assessment | Sequence[Assessment],
    source_names: Mapping[str, str] | None,
    *,
    full: bool,
) -> list[Sheet]:
    if isinstance(assessment, Assessment):
        return [sheet_of(assessment, source_names=source_names, full=full)]
    return [
        sheet_of(one, source_names=source_names, name=_numbered(one, number), full=full)
        for number, one in enumerate(assessment, 1)
    ]


def _numbered(assessment: Assessment, number: int) -> str:
    return words(assessment.language)("sheet.patient", number=number)
