"""Sheets as HTML that stands alone: no script, nothing fetched, fit for print and grey paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment

from spinecast.language import BASE, words
from spinecast.showing.html import templates
from spinecast.showing.sheet import Sheet, cited


def page(sheets: Sequence[Sheet], *, several: bool) -> str:
    """A whole page; when `several`, with a table of all patients first."""
    language = sheets[0].language if sheets else BASE
    said = words(language)
    title = said("sheet.title_several", count=len(sheets)) if several else sheets[0].title
    rows = [sheet.row for sheet in sheets] if several else []
    template = _templates().get_template("assessment_page.html")
    return template.render(sheets=sheets, rows=rows, title=title, language=language, t=said)


def fragment(sheet: Sheet) -> str:
    """A piece of a page for one patient."""
    template = _templates().get_template("assessment_fragment.html")
    return template.render(sheet=sheet, t=words(sheet.language))


@cache
def _templates() -> Environment:
    environment = templates()
    environment.filters["cited"] = cited
    return environment
