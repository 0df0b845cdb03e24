"""Where a report says something: pointers into its folder, and whether they lead anywhere.

    performance.json#/performance/spinecast   a value in a JSON file (RFC 6901)
    report.html#calibration                   the element of that id
    study.toml#conduct.funding                what a person wrote
    calibration.svg                           a file

A pointer resolves only to something said: not to null, an empty text, list or table, an empty
file, or an element marked `data-missing` or with nothing in it but headings. Nothing outside the
folder counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from spinecast.errors import UsageRefused
from spinecast.reports.study import FILE as STUDY
from spinecast.reports.study import KEYS, Study, read_study

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"
_FILE = re.compile(rf"{_NAME}(?:/{_NAME})*")
_JSON_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
# What must be written as %20 and the like.
_UNSAFE = re.compile(r"[\s#|]")
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*")
# Elements without content, which may never be closed.
_VOID = frozenset(
    "area base br col embed hr img input link meta source track wbr".split()  # noqa: SIM905
)
# A drawing says something as a whole; reading what it is made of takes seconds.
_DRAWN = re.compile(r"(<svg\b[^>]*>).*?(?=</svg>)", re.DOTALL)
# Elements that say something without text.
_TELLING = frozenset(("img", "svg"))
# Elements whose text says nothing; a heading only announces.
_SILENT = frozenset("h1 h2 h3 h4 h5 h6 script style template".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file of a report folder and a place in it; without a place, the whole file."""

    file: str
    place: str = ""
    has_place: bool = False

    @classmethod
    def parse(cls, text: str) -> Pointer:
        """A pointer from its text.

        Raises:
            ValueError: it leads out of the folder, or is not of a form named above.
        """
        file, mark, place = text.partition("#")
        if not _FILE.fullmatch(file):
            raise ValueError(f"{text!r}: a pointer starts with a file inside the report's folder.")
        pointer = cls(file, unquote(place), bool(mark))
        if _UNSAFE.search(place) or not pointer._is_well_formed():
            raise ValueError(f"{text!r}: {pointer._form()}.")
        return pointer

    @property
    def tokens(self) -> tuple[str, ...]:
        """The steps of a JSON pointer (RFC 6901, section 4)."""
        steps = self.place.split("/")[1:]
        return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)

    @property
    def is_long(self) -> bool:
        """Whether it leads to a whole file or a piece of a page."""
        return not self.has_place or self.file.endswith(".html")

    def _is_well_formed(self) -> bool:
        if self.file == STUDY:
            return self.place in KEYS
        if not self.has_place:
            return True
        if self.file.endswith(".json"):
            return bool(_JSON_POINTER.fullmatch(self.place))
        return self.file.endswith(".html") and bool(_ID.fullmatch(self.place))

    def _form(self) -> str:
        if self.file == STUDY:
            return f"{STUDY}#table.key names a key of a study"
        return "a place is #/a/JSON/pointer in .json and #an-id in .html; other files have none"


@dataclass(frozen=True)
class ReportFolder:
    """What a report's folder holds; each file is read once, and one that cannot be is not there."""

    folder: Path

    def find(self, pointer: str) -> object | None:
        """What a pointer leads to: a JSON value, a person's words, an element's text; else None.

        Raises:
            ValueError: it is not a pointer.
        """
        asked = Pointer.parse(pointer)
        if asked.file == STUDY:
            return self._study.get(asked.place) or None
        if not asked.has_place:
            return self._whole(asked.file)
        if asked.file.endswith(".json"):
            return _said(_walk(self._json(asked.file), asked.tokens))
        return self._ids(asked.file).get(asked.place)

    def resolves(self, pointer: str) -> bool:
        """Whether something is said where the pointer leads."""
        return self.find(pointer) is not None

    @cached_property
    def _study(self) -> Study:
        try:
            return read_study(self.folder / STUDY)
        except UsageRefused:
            return Study()

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return {}

    def _json(self, file: str) -> Any:  # noqa: ANN401 - whatever a JSON file holds
        if file not in self._kept:
            try:
                self._kept[file] = json.loads(self._text(file) or "null")
            except (ValueError, RecursionError):
                self._kept[file] = None
        return self._kept[file]

    def _ids(self, file: str) -> dict[str, str]:
        if file not in self._kept:
            reader = _Elements()
            reader.feed(_DRAWN.sub(r"\1", self._text(file)))
            reader.close()
            self._kept[file] = reader.said
        return dict(self._kept[file])

    def _whole(self, file: str) -> str | None:
        path = self.folder / file
        try:
            return file if path.is_file() and path.stat().st_size else None
        except OSError:
            return None

    def _text(self, file: str) -> str:
        try:
            return (self.folder / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""


def _walk(value: object, tokens: tuple[str, ...]) -> object | None:
    for token in tokens:
        if isinstance(value, Mapping) and token in value:
            value = value[token]
        elif isinstance(value, list) and _is_index(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return None
    return value


def _is_index(token: str) -> bool:
    """RFC 6901 allows no leading zero; only the digits 0 to 9 count, and not without end."""
    return bool(re.fullmatch(r"0|[1-9][0-9]{0,8}", token))


def _said(value: object) -> object | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float) and math.isnan(value):
        return None
    return None if value is None or value in ([], {}) else value


class _Elements(HTMLParser):
    """The elements that have an id and say something."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self._texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        given = dict(attrs)
        name = "" if "data-missing" in given else given.get("id") or ""
        if tag in _TELLING:
            self._hear(given.get("alt") or given.get("aria-label") or tag)
        if tag in _VOID:
            return
        self._open.append((tag, name))
        if name:
            self._texts.setdefault(name, [tag] if tag in _TELLING else [])

    def handle_endtag(self, tag: str) -> None:
        """An element ends, and with it those in it that were never closed."""
        if tag not in {open_tag for open_tag, _ in self._open}:
            return
        while self._open:
            ended, name = self._open.pop()
            self._keep(name)
            if ended == tag:
                return

    def handle_data(self, data: str) -> None:
        """Text stands somewhere."""
        if not any(tag in _SILENT for tag, _ in self._open):
            self._hear(data)

    def close(self) -> None:
        """The page ends."""
        super().close()
        while self._open:
            self._keep(self._open.pop()[1])

    def _hear(self, text: str) -> None:
        for _, name in self._open:
            if name:
                self._texts[name].append(text)

    def _keep(self, name: str) -> None:
        text = " ".join(" ".join(self._texts.get(name, ())).split())
        if name and text:
            self.said[name] = text
