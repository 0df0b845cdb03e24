"""An assessment as it is said to people: every number rounded and every sentence finished, once.

Text, page and notebook all lay out the same `Sheet`, so they cannot disagree. Two scales only:

- risks are whole patients "of 100", never 0 and never 100;
- the reasons are in points, one point being one patient of 100, shown to a tenth. They are rounded
  together (largest remainders), so that the tenths a reader sees add up from the risk of the
  reference patient to that of this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spinecast.language import BASE, words

Kind = Literal["total", "raises", "lowers", "neither"]

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Measure:
    """One risk beside others: in words, and in tenths of a patient of 100 for its bar."""

    label: str
    risk: str
    tenths: int
    interval: str = ""
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A step from the reference patient to this one; `start` and `end` are tenths of 100.

    `description` is the bar for those who do not see it.
    """

    label: str
    value: str
    shown: str
    kind: Kind
    start: int
    end: int
    description: str = ""

    @property
    def words(self) -> str:
        """Label and value, as one says them."""
        return f"{self.label}: {self.value}" if self.value else self.label


@dataclass(frozen=True, slots=True)
class Why:
    """A factor in words: what it adds, the documented reason, and where that comes from."""

    words: str
    shown: str
    sentence: str
    origin: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Something not known: how far the answer could move, and what is expected meanwhile.

    `words` is all of it in a line, after the label.
    """

    label: str
    could_be: str
    expected: str
    words: str


@dataclass(frozen=True, slots=True)
class ToDo:
    """Something that can be done before surgery, and the studies named for it."""

    label: str
    sentence: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason why there is no answer; `about` is empty when it concerns no one answer."""

    about: str
    message: str

    @property
    def words(self) -> str:
        """The reason, with what it is about before it."""
        return f"{self.about}: {self.message}" if self.about else self.message


@dataclass(frozen=True, slots=True)
class Sheet:
    """One patient's assessment in rounded numbers and finished sentences, in the order of reading.

    When refused, `refusals` and `remedy` are filled and everything about a risk is empty.
    `language` is the one its sentences are in.
    """

    title: str
    patient: str
    banner: str
    model: str
    answer: str
    headline: str = ""
    risk: str = ""
    interval: str = ""
    measures: tuple[Measure, ...] = ()
    past: str = ""
    rely: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    lowering: str = ""
    association: str = ""
    whys: tuple[Why, ...] = ()
    asks: tuple[Ask, ...] = ()
    also_unknown: str = ""
    actions: tuple[ToDo, ...] = ()
    actions_note: str = ""
    sources: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    remedy: str = ""
    language: str = BASE

    @property
    def is_refused(self) -> bool:
        """Whether there is no answer, only reasons why not."""
        return bool(self.remedy)

    @property
    def row(self) -> tuple[str, str, str, str]:
        """A patient among several: who, risk of 100, interval, and the largest reason."""
        if self.is_refused:
            said = words(self.language)
            return self.patient, said("sheet.refused"), "", said("sheet.below")
        return self.patient, self.risk, self.interval, self.whys[0].words if self.whys else ""

    @property
    def span(self) -> tuple[int, int]:
        """The lowest and highest tenths any bar of the reasons reaches; 0 is always in it."""
        ends = [end for bar in self.bars for end in (bar.start, bar.end)]
        return min([0, *ends]), max([50, *ends])


def cited(numbers: Sequence[int], language: str = BASE) -> str:
    """Where to look in the list of sources, with neighbours drawn together.

    >>> cited([1]), cited([2, 3, 4, 7])
    (' [1]', ' [2 to 4, 7]')
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = [
        words(language)("sheet.to", low=run[0], high=run[-1])
        if len(run) > 2
        else ", ".join(map(str, run))
        for run in runs
    ]
    return f" [{', '.join(told)}]" if told else ""


# --- numbers -----------------------------------------------------------------------------------


def of_hundred(risk: float, language: str = BASE) -> str:
    """A risk as whole patients of 100, never none and never all.

    >>> of_hundred(0.312), of_hundred(0.004), of_hundred(0.9951)
    ('31', 'fewer than 1', 'more than 99')
    """
    hundredths = round(100 * risk, 9)
    if hundredths < 1:
        return words(language)("number.fewest")
    if hundredths > 99:
        return words(language)("number.most")
    return str(math.floor(hundredths + 0.5))


def risk_tenths(risk: float) -> int:
    """A risk in tenths of a patient of 100, never none and never all.

    >>> risk_tenths(0.312), risk_tenths(0.0), risk_tenths(1.0)
    (312, 1, 999)
    """
    return min(max(math.floor(round(1000 * risk, 9) + 0.5), 1), 999)


def tenths(amount: int, language: str = BASE) -> str:
    """Tenths as a decimal number.

    >>> tenths(312), tenths(-4).replace(MINUS, "-")
    ('31.2', '-0.4')
    """
    number = words(language).number(f"{abs(amount) // 10}.{abs(amount) % 10}")
    return f"{MINUS if amount < 0 else ''}{number}"


def signed(amount: int, language: str = BASE) -> str:
    """Tenths with their sign; nothing is neither more nor less.

    >>> signed(93), signed(-12).replace(MINUS, "-"), signed(0)
    ('+9.3', '-1.2', '0.0')
    """
    return f"{'+' if amount > 0 else ''}{tenths(amount, language)}"


def apportion(parts: Sequence[float], total: int) -> tuple[int, ...]:
    """Round `parts` to whole numbers that sum to `total`, by largest remainders.

    No part that is 0 moves and none changes its sign, as long as `total` is within one of their
    sum; what a rounded total still lacks falls to the largest part.

    >>> apportion([1.4, 1.4, 1.2], 4)
    (2, 1, 1)
    """
    tidy = [round(part, 6) for part in parts]
    whole = [math.floor(part) for part in tidy]
    remainder = [part - floor for part, floor in zip(tidy, whole, strict=True)]
    left = total - sum(whole)
    for index in sorted(range(len(tidy)), key=lambda index: -remainder[index]):
        if left > 0 and remainder[index] > 0:
            whole[index] += 1
            left -= 1
    if left and whole:
        whole[max(range(len(tidy)), key=lambda index: abs(tidy[index]))] += left
    return tuple(whole)
