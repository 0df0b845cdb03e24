"""What a column of an unknown file looks like: its distinct texts, and what they could be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinecast.site import dates, reading
from spinecast.site.cells import code_text
from spinecast.site.foreign_file import ForeignFile
from spinecast.site.words import looks_postoperative, plain, words

ROWS_LOOKED_AT = 50_000
MOST_LEVELS = 40
"""Distinct words beyond which a column is free text, names or numbers, and never levels."""
LEAST_SHARE = 0.9
"""Of the known cells that must be numbers (or dates) for a column to be one of numbers (dates)."""

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?", re.ASCII)


@dataclass(frozen=True)
class Profile:
    """One column of the file: its distinct texts (1.0 as 1) and how often each is there."""

    name: str
    counts: Mapping[str, int]

    @cached_property
    def told(self) -> str:
        """The name as it is compared."""
        return plain(self.name)

    @cached_property
    def is_later(self) -> bool:
        """Whether the name says it was filled in with or after the operation."""
        return looks_postoperative(self.name)

    @cached_property
    def unknown_words(self) -> tuple[str, ...]:
        """Texts that say "not known"."""
        return tuple(text for text in self.counts if text.casefold() in words().unknown)

    @cached_property
    def known(self) -> Mapping[str, int]:
        """The texts that do not say "not known", nor stand for it as a number would."""
        left_out = set(self.unknown_words) | {""}
        return {text: count for text, count in self.counts.items() if text not in left_out}

    def without(self, texts: tuple[str, ...]) -> Profile:
        """The same column, some texts left out."""
        kept = {text: count for text, count in self.counts.items() if text not in texts}
        return replace(self, counts=kept)

    @cached_property
    def rows(self) -> int:
        """How many cells are known."""
        return sum(self.known.values())

    @cached_property
    def marks(self) -> frozenset[str]:
        """The decimal marks that stand in its numbers."""
        found = (text for text in self.known if _NUMBER.fullmatch(text))
        return frozenset(mark for text in found for mark in ".," if mark in text)

    @cached_property
    def numbers(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The distinct numbers and how often each; empty when it is no column of numbers."""
        found = [(t, c) for t, c in self.known.items() if _NUMBER.fullmatch(t)]
        counts = np.array([count for _, count in found], dtype=np.int64)
        if counts.sum() < LEAST_SHARE * self.rows or not self.rows:
            return np.empty(0), np.empty(0, dtype=np.int64)
        return np.array([float(text.replace(",", ".")) for text, _ in found]), counts

    def within(self, low: float, high: float, rate: float = 1.0) -> float:
        """The share of its numbers that lie in a range once multiplied by a rate; 0 without any."""
        numbers, counts = self.numbers
        if not len(numbers):
            return 0.0
        inside = (numbers * rate >= low) & (numbers * rate <= high)
        return float(counts[inside].sum() / counts.sum())

    @cached_property
    def date_patterns(self) -> tuple[str, ...]:
        """The ways of writing dates in which nearly all its texts are days; "" for YYYY-MM-DD."""
        if not self.rows or len(self.numbers[0]):
            return ()
        return tuple(p for p in ("", *dates.PATTERNS) if self._share_of_days(p) >= LEAST_SHARE)

    def _share_of_days(self, pattern: str) -> float:
        known = (count for t, count in self.known.items() if dates.day(t, pattern) is not None)
        return sum(known) / self.rows

    @property
    def has_levels(self) -> bool:
        """Whether it may hold a few words rather than text, names or measurements."""
        return 0 < len(self.known) <= MOST_LEVELS or self.is_mostly_repeated

    @property
    def is_mostly_repeated(self) -> bool:
        """Whether its words come again and again, however many misspelt ones there are."""
        often = sum(sorted(self.known.values(), reverse=True)[:MOST_LEVELS])
        return not len(self.numbers[0]) and often >= LEAST_SHARE * max(self.rows, 1)

    @property
    def distinct_share(self) -> float:
        """Distinct texts per known cell: near 1 for an id."""
        return len(self.known) / self.rows if self.rows else math.nan


def profiles(file: ForeignFile) -> tuple[Profile, ...]:
    """The columns of a file, judged by its first rows."""
    piece: pd.DataFrame = next(reading.pieces(file, rows=ROWS_LOOKED_AT), pd.DataFrame())
    if not len(piece):
        file.refuse("it has a header and no rows", "rows are needed to draft a mapping")
    return tuple(_profile(str(name), piece[name]) for name in piece)


def _profile(name: str, column: pd.Series[str]) -> Profile:
    counts: dict[str, int] = {}
    for text, count in column.str.strip().value_counts().items():
        typed = code_text(str(text))
        counts[typed] = counts.get(typed, 0) + int(count)
    return Profile(name, counts)
