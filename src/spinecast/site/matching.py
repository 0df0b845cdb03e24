"""Which of a file's columns could be which of ours: by name, and by how well its values fit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import fuzz
from scipy.optimize import linear_sum_assignment

from spinecast.patients.answers import Fault
from spinecast.site import units
from spinecast.site.profile import Profile
from spinecast.site.targets import Target
from spinecast.site.words import Alias, plain, words

SURE = 0.75
"""Confidence from which a column is written down; between the two it is only named beside."""
POSSIBLE = 0.6
CLEAR = 0.08
"""How far the best column must be ahead of the next to be written down."""
VALUES_SHARE = 0.4
"""Of the confidence that hangs on whether the values fit; the rest is the name's."""
WITHIN = 0.9
"""How alike a name is to one that holds all of its two or more words among others."""
SHORT = 3
"""Letters of a name up to which only the very same name is alike: ASA is no VAS."""
_NO_ALIAS = Alias(names=())
_ICD = re.compile(r"[A-Z]\d\d(\.?\d*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Match:
    """A column that could be one of ours.

    Attributes:
        column: its profile, without the numbers that stand for not known.
        stand_ins: these numbers, as -9.
        named: how alike the names are, 0 to 1.
        fits: the share of known values that would be an answer, in the kindest reading.
        confidence: both together, 0 to 1.
    """

    column: Profile
    named: float
    fits: float
    stand_ins: tuple[str, ...] = ()

    @property
    def confidence(self) -> float:
        """How sure the match is: the name's likeness, less what the values speak against it."""
        return self.named * (1 - VALUES_SHARE + VALUES_SHARE * self.fits)


@dataclass(frozen=True, slots=True)
class Choice:
    """For one of our columns the match chosen, if any, and the others that were possible."""

    match: Match | None
    others: tuple[Match, ...]

    @property
    def is_sure(self) -> bool:
        """Whether the match may be written down without asking."""
        if self.match is None or self.match.confidence < SURE:
            return False
        return all(self.match.confidence - other.confidence >= CLEAR for other in self.others)


def alias_of(target: Target) -> Alias:
    """What our column is called elsewhere; its own name and label always count."""
    return words().columns.get(target.name, _NO_ALIAS)


def choose(targets: Mapping[str, Target], columns: Sequence[Profile]) -> dict[str, Choice]:
    """For each of our columns the best of theirs, each used at most once, so that all fit best."""
    names = list(targets)
    matches = [[_match(targets[name], column) for column in columns] for name in names]
    scores = np.array([[match.confidence for match in row] for row in matches])
    pairs = zip(*linear_sum_assignment(-np.where(scores < POSSIBLE, 0, scores)), strict=True)
    chosen = {int(at): int(c) for at, c in pairs if scores[at, c] >= POSSIBLE}
    taken = {c for at, c in chosen.items() if scores[at, c] >= SURE}
    found = {}
    for at, name in enumerate(names):
        mine = chosen.get(at)
        rest = [
            matches[at][c]
            for c in np.argsort(-scores[at])
            if c != mine and c not in taken and scores[at, c] >= POSSIBLE
        ]
        found[name] = Choice(None if mine is None else matches[at][mine], tuple(rest[:3]))
    return found


def named(column: Profile, names: Sequence[str]) -> float:
    """How alike a column's name is to the likest of some names, 0 to 1."""
    told = {column.told, without_units(column.told)}
    told |= {_without_beforehand(one) for one in told}
    return max((_alike(name, one) for name in map(plain, names) for one in told), default=0.0)


def _without_beforehand(told: str) -> str:
    """A name without the words that only say "before the operation"."""
    left = f" {told} "
    for said in words().beforehand:
        left = left.replace(f" {said} ", " ")
    return left.strip() or told


def _alike(name: str, told: str) -> float:
    """How alike two names are; one that holds all words of a longer name is nearly it."""
    parts = set(name.split())
    if len(parts) > 1 and parts <= set(told.split()):
        return max(WITHIN, fuzz.token_sort_ratio(name, told) / 100)
    if min(len(name), len(told)) <= SHORT and name != told:
        return 0.0
    return fuzz.token_sort_ratio(name, told) / 100


def without_units(told: str) -> str:
    """A name without the unit it ends with."""
    parts = told.split()
    known = {
        plain(w)
        for m in units.measures().values()
        for n, u in m.units.items()
        for w in (n, *u.words)
    }
    while len(parts) > 1 and parts[-1] in known:
        parts.pop()
    return " ".join(parts)


def _match(target: Target, column: Profile) -> Match:
    # What came after the operation is never offered as something known before it, nor the reverse.
    if (target.side == "before" and column.is_later) or not column.rows:
        return Match(column, 0.0, 0.0)
    called = [target.name, target.label, *alias_of(target).names]
    likeness = named(column, called)
    if target.side == "after" and not column.is_later:
        likeness -= CLEAR
    if likeness < POSSIBLE:
        return Match(column, max(likeness, 0.0), 0.0)
    left_out = stand_ins(target, column)
    column = column.without(left_out) if left_out else column
    return Match(column, likeness, fit(target, column), left_out)


def fit(target: Target, column: Profile) -> float:
    """The share of a column's known values that would be answers, read as kindly as possible."""
    match target.holds:
        case "number":
            return max((share for _, share in unit_shares(target, column)), default=0.0)
        case "date":
            return 1.0 if column.date_patterns else 0.0
        case "level":
            return max(_level_share(target, column), _coded_share(target, column))
    is_id = target.name == "patient_id"  # many values; a hospital's name has few
    return column.distinct_share if is_id else 1.0 - column.distinct_share


def stand_ins(target: Target, column: Profile) -> tuple[str, ...]:
    """Numbers like -9 that stand for not known, where they cannot be an answer."""
    told = [text for text in words().unknown_numbers if text in column.counts]
    if target.holds == "level":
        amounts = alias_of(target).bands and len(column.numbers[0])
        return tuple(t for t in told if (t.startswith("-") if amounts else not level_of(target, t)))
    if target.holds != "number":
        return ()
    low, high = target.bounds
    rates = list(units.choices(target.unit, target.bounds).values()) or [1.0]
    return tuple(t for t in told if not any(low <= float(t) * rate <= high for rate in rates))


def unit_shares(target: Target, column: Profile) -> Iterator[tuple[str, float]]:
    """For every unit the numbers could be in, "" where there is but one, the share possible."""
    choices = units.choices(target.unit, target.bounds) or {"": 1.0}
    for unit, rate in choices.items():
        yield unit, column.within(*target.bounds, rate)


def level_of(target: Target, text: str) -> str | None:
    """The level a word means, by the registry's words and the ones hospitals use."""
    told = plain(text)
    for level, label in target.level_words.items():
        own = words().yes if (target.is_yes_no and level == "yes") else ()
        own = words().no if (target.is_yes_no and level == "no") else own
        called = (level, label, *alias_of(target).levels.get(level, ()), *own)
        if told and told in map(plain, called):
            return level
    if target.field is None:
        return None
    code = target.field.code(text)
    return None if isinstance(code, Fault) or math.isnan(code) else target.field.written(code)


def _level_share(target: Target, column: Profile) -> float:
    if not column.has_levels:
        return 0.0
    understood = sum(c for text, c in column.known.items() if level_of(target, text))
    return understood / column.rows


def _coded_share(target: Target, column: Profile) -> float:
    """How well codes that nobody can read fit: as numbers for the levels, as ICD, as amounts."""
    alias = alias_of(target)
    numbers, _ = column.numbers
    if len(numbers) and alias.bands:
        low = min(band[0] for band in alias.bands.values())
        return column.within(low, max(band[1] for band in alias.bands.values()))
    if len(numbers):
        return 0.8 if len(numbers) <= len(target.levels) + 1 else 0.0
    return 0.9 if alias.prefixes and is_icd(column) else 0.0


def is_icd(column: Profile) -> bool:
    """Whether nearly all its texts look like codes of ICD-10."""
    codes = sum(count for text, count in column.known.items() if _ICD.fullmatch(text))
    return codes >= 0.8 * max(column.rows, 1)
