"""Sheets as HTML that stands alone: no script, nothing fetched, fit for print and grey paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment

from spinecast.showing.html import templates
from spinecast.showing.phrases import HEADINGS, SUMMARY
from spinecast.showing.sheet import Sheet, cited


def page(sheets: Sequence[Sheet], *, several: bool) -> str:
    """A whole page; when `several`, with a table of all patients first."""
    title = f"Estimated risk: {len(sheets)} patients" if several else sheets[0].title
    rows = [sheet.row for sheet in sheets] if several else []
    template = _templates().get_template("assessment_page.html")
    return template.render(sheets=sheets, rows=rows, title=title)


def fragment(sheet: Sheet) -> str:
    """A piece of a page for one patient."""
    return _templates().get_template("assessment_fragment.html").render(sheet=sheet)


@cache
def _templates() -> Environment:
    environment = templates()
    environment.globals |= {"headings": HEADINGS, "columns": SUMMARY}
    environment.filters["cited"] = cited
    return environment
