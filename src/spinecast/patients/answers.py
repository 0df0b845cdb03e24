"""One answer: from what somebody wrote to a code, or to what is wrong with it.

A `Field` knows one column: a factor, a question about scope, a follow-up column or a date. A cell
of a million-row file and a value in one patient's JSON are read by the same field, so the two can
never disagree. What is unknown is NaN; nothing is ever guessed or repaired.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spinecast.errors import Problem
from spinecast.knowledge.endpoint import OutcomeColumn
from spinecast.knowledge.factors import Factor, Registry
from spinecast.language import BASE, Words, words
from spinecast.logic import YES_NO

INDEX_DATE = "index_date"
UNKNOWN_WORDS = frozenset({"", "unknown", "na"})
LONGEST_SHOWN = 40

_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"(\d+)\.0+", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EPOCH = dt.date(1970, 1, 1).toordinal()
_LARGEST = 1e300


YES_NO_NUMBERS = ("0", "1")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an answer cannot be used: the rule it breaks, what was given, what is allowed."""

    column: str
    rule: str
    given: str
    allowed: str
    remedy: str = ""

    def problem(self, where: str = "") -> Problem:
        """The fault as a sentence for people; `where` names the row or the patient."""
        place = f"{where}, {self.column}" if where else self.column
        return Problem(place, f"given {self.given!r}", self.allowed, self.remedy)


@dataclass(frozen=True, slots=True)
class Field(ABC):
    """What may be answered in one column, and the code of every answer."""

    name: str
    allowed: str
    # The quick path of a patient: codes by exact text, and the numbers that need no second look.
    table: Mapping[str, float] = field(default_factory=dict)
    low: float = math.inf
    high: float = -math.inf
    whole: bool = False
    language: str = BASE

    @property
    def said(self) -> Words:
        """The words of its language."""
        return words(self.language)

    def code(self, text: str) -> float | Fault:
        """The code of a cell: NaN when unknown, a fault when it is not an answer."""
        text = text.strip()
        if text.casefold() in UNKNOWN_WORDS:
            return math.nan
        return self._code(text)

    def of(self, value: object) -> float | Fault:
        """The code of a value from JSON, read as the text a person would have typed."""
        return math.nan if value is None else self.code(as_text(value))

    def of_column(self, values: Sequence[object]) -> list[float | Fault]:
        """The codes of the distinct values of one column."""
        return [self.of(value) for value in values]

    def fault(self, rule: str, given: str, remedy: str = "") -> Fault:
        """What is wrong with an answer to this field."""
        return Fault(self.name, rule, shown(given), self.allowed, remedy)

    def written(self, code: float) -> str:
        """A code as a person would have typed the answer."""
        return as_text(float(code))

    @abstractmethod
    def _code(self, text: str) -> float | Fault:
        """The code of an answer that is not blank."""


class LevelField(Field):
    """One of a few words."""

    __slots__ = ()

    def written(self, code: float) -> str:
        """The first word with this code: the one the registry uses."""
        return next(word for word, known in self.table.items() if known == code)

    def _code(self, text: str) -> float | Fault:
        code = self.table.get(text.casefold())
        if code is None:  # a level may itself be called 2.0
            code = self.table.get(level_text(text))
        if code is not None:
            return code
        close = difflib.get_close_matches(text[:LONGEST_SHOWN].casefold(), self.table)
        said = self.said
        meant = said("remedy.meant", words=said("remedy.or").join(close))
        return self.fault("unknown_level", text, meant if close else said("remedy.word"))

    def of_column(self, values: Sequence[object]) -> list[float | Fault]:
        """The codes of the distinct values of one column.

        A yes/no column of ones and twos is coded 1 = no, 2 = yes, or the other way round. Then its
        ones are no answer either: whoever blanks the twos would turn no into yes.
        """
        answers = super().of_column(values)
        texts = [level_text(as_text(value)) for value in values]
        if not self.is_yes_no or "0" in texts or "2" not in texts:
            return answers
        remedy = "Write yes and no: which number means which cannot be known."
        return [
            self.fault("ambiguous_code", text, remedy) if text in ("1", "2") else answer
            for text, answer in zip(texts, answers, strict=True)
        ]

    @property
    def is_yes_no(self) -> bool:
        """Whether it asks for yes or no, which may be written 1 and 0."""
        return all(number in self.table for number in YES_NO_NUMBERS) and len(
            set(self.table.values())
        ) == len(YES_NO_NUMBERS)


class NumberField(Field):
    """A number within bounds."""

    __slots__ = ()

    def _code(self, text: str) -> float | Fault:
        if _NO_NUMBER.fullmatch(text):
            return self.fault("not_finite", text, self.said("remedy.empty"))
        if not _NUMBER.fullmatch(text):
            return self.fault("not_a_number", text, self._number_remedy(text))
        # Adding zero makes -0 the same as 0.
        number = float(text) + 0.0
        if not self.low <= number <= self.high:
            return self.fault("out_of_range", text, self._scale_remedy(number))
        if self.whole and not number.is_integer():
            return self.fault("not_whole", text, self.said("remedy.whole"))
        return number

    def _scale_remedy(self, number: float) -> str:
        # Hints only: a value is never rescaled, the next one may be a true error.
        if (self.low, self.high) == (0.0, 10.0) and self.high < number <= self.high * 10:
            return self.said("remedy.vas")
        if number > self.high and any(self.low <= number / by <= self.high for by in (10, 100)):
            return self.said("remedy.point_place")
        return self.said("remedy.check")

    def _number_remedy(self, text: str) -> str:
        return self.said("remedy.point" if _DECIMAL_COMMA.fullmatch(text) else "remedy.alone")


class DateField(Field):
    """A day, as days since 1970-01-01."""

    __slots__ = ()

    def written(self, code: float) -> str:
        """The day as yyyy-mm-dd."""
        return day(code)

    def _code(self, text: str) -> float | Fault:
        try:
            if _DATE.fullmatch(text):
                return float(dt.date.fromisoformat(text).toordinal() - _EPOCH)
        except ValueError:  # no such day, as 2023-02-30
            return self.fault("date_unreadable", text, "There is no such day.")
        return self.fault("date_unreadable", text, "Write 2024-05-31 for 31 May 2024.")


def fields(registry: Registry) -> Iterator[Field]:
    """Every field a cohort or a patient may have, in the order of a template."""
    yield DateField(INDEX_DATE, "a date written yyyy-mm-dd")
    for exclusion in registry.exclusions:
        yield _yes_no(exclusion.name, registry.language)
    yield from map(_factor_field, registry.factors)
    yield from map(_outcome_field, registry.outcome.columns)


def as_text(value: object) -> str:
    """A value as a person would have typed it: 54, 27.5, true, 2024-05-01."""
    match value:
        case str():
            return value
        case np.generic():
            return as_text(value.item())
        case bool():
            return "true" if value else "false"
        case int():
            # Python refuses to print an integer of thousands of digits.
            return str(value) if abs(value) <= _LARGEST else "inf"
        case float():
            return f"{value:.0f}" if value.is_integer() else repr(value)
        case dt.date():
            return value.isoformat()
        case _:
            return repr(value)


def level_text(text: str) -> str:
    """What stands in a cell among levels, with 2.0 for 2, as numbers with gaps are written."""
    text = text.strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def shown(text: str) -> str:
    """A cell as it may appear in a message: free text is cut, it may say who the patient is."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def day(code: float) -> str:
    """The date behind a code, as it was written."""
    return dt.date.fromordinal(int(code) + _EPOCH).isoformat()


def _factor_field(factor: Factor) -> Field:
    if factor.is_numeric:
        low, high = factor.bounds
        whole = factor.kind == "count"
        return NumberField(
            factor.name, factor.allowed, low=low, high=high, whole=whole, language=factor.language
        )
    if factor.kind == "binary":
        return _yes_no(factor.name, factor.language)
    # As declared first (it is how a code is written), then as anybody may type it.
    folded = {level.casefold(): code for level, code in factor.level_codes.items()}
    codes = {**factor.level_codes, **folded}
    return LevelField(factor.name, factor.allowed, codes, language=factor.language)


def _yes_no(name: str, language: str = BASE) -> Field:
    codes = {**YES_NO, "false": 0.0, "true": 1.0, "0": 0.0, "1": 1.0}
    allowed = words(language)("allowed.levels", levels=", ".join(YES_NO))
    return LevelField(name, allowed, codes, language=language)


def _outcome_field(column: OutcomeColumn) -> Field:
    match column.kind:
        case "date":
            return DateField(column.name, "a date written yyyy-mm-dd")
        case "yes_no":
            return _yes_no(column.name)
        case "number":
            low, high = column.range or (-_LARGEST, _LARGEST)
            unit = f" {column.unit}" if column.unit else ""
            allowed = f"a number from {low:g} to {high:g}{unit}" if column.range else "a number"
            return NumberField(column.name, allowed, low=low, high=high)
