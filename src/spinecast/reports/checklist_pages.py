"""Checklists as tables: pieces of HTML, and Markdown. Nothing is told by colour alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from jinja2 import Environment

from spinecast.reports.checklists import Checklist, Item, Status
from spinecast.reports.pointers import Pointer
from spinecast.reports.study import FILE as STUDY
from spinecast.showing.html import templates

MARKS: dict[Status, str] = {
    "reported": "●",
    "partial": "◐",
    "missing": "○",
    "not applicable": "-",
}
FOR_A_PERSON = "for a person to answer"
HEADS = {
    "places": ("Item", "Section", "What is asked", "Status", "Where"),
    "answers": ("Item", "Section", "What is asked", "Status", "Answer, and where it stands"),
    "drafts": ("Item", "Domain", "Question", "Evidence", "Where", "Draft", "Reviewer's answer"),
}


def as_html(checklist: Checklist) -> str:
    """A piece of a page: one section with the id of the checklist; every row has an id, too."""
    template = _templates().get_template("checklist.html")
    return template.render(
        checklist=checklist,
        summary=summary(checklist),
        heads=HEADS[checklist.shows],
        marks=MARKS,
        for_a_person=FOR_A_PERSON,
    )


def as_markdown(checklist: Checklist) -> str:
    """The same as a section of Markdown."""
    heads = HEADS[checklist.shows]
    lines = [
        f"## {_plain(checklist.title)}",
        "",
        f"{_plain(checklist.source)}. {_plain(checklist.remark)}",
        "",
        summary(checklist),
        "",
        _row(heads),
        _row(["---"] * len(heads)),
        *(_row(_cells(checklist, item)) for item in checklist.items),
    ]
    return "\n".join(lines) + "\n"


def summary(checklist: Checklist) -> str:
    """How many items have which status, as a sentence."""
    counts = ", ".join(f"{number} {status}" for status, number in checklist.counts.items())
    return f"{len(checklist.items)} items: {counts}."


def anchor(checklist: Checklist, item: Item | None = None) -> str:
    """The id of a checklist, or of an item in it, in a page."""
    words = checklist.name if item is None else f"{checklist.name}-{item.number}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def address(pointer: str) -> str:
    """Where a browser in the report's folder finds a pointer; of JSON and TOML only the file."""
    asked = Pointer.parse(pointer)
    return pointer if asked.file.endswith(".html") else asked.file


def place_in_words(pointer: str) -> str:
    """A pointer as people read it: `conduct.funding` in `study.toml`."""
    asked = Pointer.parse(pointer)
    return f"{asked.file}: {asked.place}" if asked.file == STUDY else pointer


def _cells(checklist: Checklist, item: Item) -> Iterator[str]:
    yield from (_plain(item.number), _plain(item.section), _plain(item.text))
    yield f"{MARKS[item.status]} {item.status}"
    places = [f"`{pointer}`" for pointer in item.where]
    if checklist.shows == "answers":
        places = [
            f"{_plain(said)} ({place})" if said else place
            for said, place in zip(item.said, places, strict=True)
        ]
    yield "<br>".join([*places, *([_plain(item.note)] if item.note else [])])
    if checklist.shows == "drafts":
        draft = f"{item.draft}: {_plain(item.draft_reason)}"
        yield draft if item.draft else "" if item.status == "not applicable" else FOR_A_PERSON
        yield ""


def _row(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text in which nothing is Markdown or HTML, on one line."""
    escaped = re.sub(r"([\\`*_\[\]|~])", r"\\\1", text.replace("&", "&amp;"))
    escaped = escaped.replace("<", "&lt;").replace(">", "&gt;")
    return "<br>".join(line.strip() for line in escaped.splitlines() if line.strip())


@cache
def _templates() -> Environment:
    environment = templates()
    environment.filters |= {"address": address, "place": place_in_words}
    environment.globals |= {"anchor": anchor}
    return environment
