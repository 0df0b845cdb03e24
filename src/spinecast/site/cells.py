"""What a hospital's cells say, in our words: one text at a time, each distinct one once.

A reader turns a text into what it means, "" or NaN for unknown, or a fault that names the
hospital's own column. Nothing is repaired: what site.toml does not explain is a fault.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

from spinecast.logic import YES_NO
from spinecast.patients.answers import UNKNOWN_WORDS, Fault, as_text, day, shown
from spinecast.site import dates, units
from spinecast.site.combinations import Combination
from spinecast.site.declaration import Line, Site
from spinecast.site.targets import Target

Meaning = TypeVar("Meaning", str, float)
Reader: TypeAlias = Callable[[str], Meaning | Fault]

UNMAPPED = "unmapped_level"
NO_BAND = "outside_bands"

_WHOLE = re.compile(r"([+-]?\d+)[.,]0+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_YES_NO = {**YES_NO, "0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class Column:
    """One of the hospital's columns on its way to one of ours."""

    site: Site
    line: Line
    target: Target
    source: str

    @property
    def place(self) -> str:
        """Both names, as messages give them."""
        return f"{self.target.name} from {self.source}"

    @property
    def mapping(self) -> str:
        """The file that says what this column means, as messages name it."""
        return self.site.name or "site.toml"

    def known(self, text: str) -> str:
        """The text stripped, "" when it means not known here."""
        text = text.strip()
        return "" if text.casefold() in self._unknown else text

    @cached_property
    def _unknown(self) -> frozenset[str]:
        told = (*self.site.unknown, *self.line.unknown)
        return UNKNOWN_WORDS | {word.strip().casefold() for word in told}

    def fault(self, rule: str, text: str, allowed: str, remedy: str) -> Fault:
        """What is wrong with a cell."""
        return Fault(self.place, rule, shown(text), allowed, remedy)


def answer_reader(column: Column) -> Reader[str]:
    """Reads cells of a column that alone makes one of ours, as our own text for it."""
    if column.line.bands:
        number = number_reader(column)
        return lambda text: _banded(column, number(text), text)
    match column.target.holds:
        case "number":
            number = number_reader(column, column_rate(column))
            return lambda text: _text_of(number(text), as_text)
        case "date":
            date = date_reader(column)
            return lambda text: _text_of(date(text), day)
        case "level":
            return level_reader(column)
    return column.known


def _text_of(meaning: float | Fault, written: Callable[[float], str]) -> str | Fault:
    if isinstance(meaning, Fault):
        return meaning
    return "" if math.isnan(meaning) else written(meaning)


def column_rate(column: Column) -> float:
    """What one of the unit declared for a column is in our unit; 1 without a unit."""
    unit, target = column.line.unit, column.target
    if unit in ("", target.unit):
        return 1.0
    name = units.meant(unit, target.unit, target.bounds)
    return units.choices(target.unit, target.bounds)[name or unit]


# --- numbers --------------------------------------------------------------------------------------


def number_reader(column: Column, rate: float = 1.0) -> Reader[float]:
    """Reads numbers with the declared decimal mark, times `rate`; NaN for unknown."""
    mark = column.line.decimal or column.site.decimal
    other = "," if mark == "." else "."
    wanted = f"a number with {mark!r} as decimal mark"

    def read(text: str) -> float | Fault:
        text = column.known(text)
        if not text:
            return math.nan
        if other in text or not _NUMBER.fullmatch(text.replace(mark, ".")):
            remedy = f'If the mark is {other!r}, say decimal = "{other}" in {column.mapping}.'
            remedy = remedy if other in text else "If it means not known, add it to unknown."
            return column.fault("not_a_number", text, wanted, remedy)
        number = float(text.replace(mark, ".")) + 0.0
        return number if rate == 1.0 else units.tidy(number * rate)

    return read


def _banded(column: Column, number: float | Fault, text: str) -> str | Fault:
    if isinstance(number, Fault) or math.isnan(number):
        return number if isinstance(number, Fault) else ""
    for level, (low, high) in column.line.bands.items():
        if low <= number < high:
            return level
    allowed = f"no band in {column.mapping} holds it"
    return column.fault(NO_BAND, text, allowed, "Correct the value, or the bands.")


# --- dates ----------------------------------------------------------------------------------------


def date_reader(column: Column) -> Reader[float]:
    """Reads dates in the declared order of day and month, as days; NaN for unknown."""
    pattern = column.line.dates or column.site.dates
    allowed = f"a date written {pattern or 'YYYY-MM-DD'}"

    def read(text: str) -> float | Fault:
        text = column.known(text)
        if not text:
            return math.nan
        found = dates.day(text, pattern)
        remedy = 'Say how dates are written: dates = "DD.MM.YYYY", say.' if not pattern else ""
        return column.fault("date_unreadable", text, allowed, remedy) if found is None else found

    return read


# --- levels ---------------------------------------------------------------------------------------


def code_text(text: str) -> str:
    """A code as a person would have typed it: programs write the code 1 as 1.0."""
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def level_reader(column: Column) -> Reader[str]:
    """Reads words and codes as our levels."""
    line, field = column.line, column.target.field
    if line.prefixes:
        return _prefix_reader(column)
    if line.levels:
        return _word_reader(column, line.levels)

    def read(text: str) -> str | Fault:
        text = code_text(column.known(text))
        answer = field.code(text) if field and text else math.nan
        if isinstance(answer, Fault):
            return _unmapped(column, text, column.target.levels)
        return field.written(answer) if field and not math.isnan(answer) else ""

    return read


def yes_no_reader(column: Column) -> Reader[float]:
    """Reads yes as 1 and no as 0, by the levels declared or in our own words."""
    words = _word_reader(column, column.line.levels) if column.line.levels else column.known

    def read(text: str) -> float | Fault:
        word = words(text)
        if isinstance(word, Fault) or not word:
            return word if isinstance(word, Fault) else math.nan
        code = _YES_NO.get(code_text(word).casefold())
        return _unmapped(column, word, ("no", "yes")) if code is None else code

    return read


def _word_reader(column: Column, levels: Mapping[str, str]) -> Reader[str]:
    folded = {word.strip().casefold(): level for word, level in levels.items()}

    def read(text: str) -> str | Fault:
        text = column.known(text)
        level = folded.get(text.casefold()) or folded.get(code_text(text).casefold(), "")
        return _unmapped(column, text, tuple(levels)) if text and not level else level

    return read


def _prefix_reader(column: Column) -> Reader[str]:
    prefixes = sorted(column.line.prefixes, key=len, reverse=True)

    def read(text: str) -> str | Fault:
        text = column.known(text)
        if not text:
            return ""
        for prefix in prefixes:
            if text.casefold().startswith(prefix.casefold()):
                return column.line.prefixes[prefix]
        return _unmapped(column, text, tuple(prefixes))

    return read


def _unmapped(column: Column, text: str, words: tuple[str, ...]) -> Fault:
    written_as = {word.casefold(): word for word in words}
    close = difflib.get_close_matches(text[:40].casefold(), written_as, n=1)
    meant = f"Is it a misspelt {written_as[close[0]]!r}? " if close else ""
    remedy = f"{meant}Add it to levels (or to unknown) in {column.mapping}."
    return column.fault(UNMAPPED, text, f"{column.mapping} has no level for it", remedy)


# --- what a way gives -----------------------------------------------------------------------------


def written(column: Column, way: Combination, number: float) -> str | Fault:
    """What a way of combining gave, as our own text; "" for unknown."""
    if math.isnan(number):
        return ""
    if way.gives == "level":
        return column.target.levels[int(number)]
    if column.line.bands:
        rate = units.rate(way.unit, column.line.unit) if way.unit and column.line.unit else 1.0
        return _banded(column, number * (rate or 1.0), f"{number:g} {way.unit}".strip())
    if way.unit:
        target = column.target
        rate = units.rate(way.unit, target.unit) if target.unit else 1.0
    else:
        rate = column_rate(column)
    return as_text(units.tidy(number * (rate or 1.0)))
