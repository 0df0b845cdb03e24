"""What is proposed for one of our columns from one of theirs: unit, words, bands, codes.

A unit is written down only when the name gives it away or no other one is possible. Of patients'
values only words that recur are quoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spinecast.site import matching, units
from spinecast.site.declaration import OPEN
from spinecast.site.matching import Match, alias_of
from spinecast.site.profile import Profile
from spinecast.site.targets import Target
from spinecast.site.words import plain

QUOTED = 5
"""Patients with the same word from which on it is quoted; a rarer one may say who somebody is."""
ENOUGH = 0.95
"""Share of the values that must be possible for a unit to be."""


@dataclass(frozen=True, slots=True)
class DraftLine:
    """One of our columns in the draft: its keys as they will be written, and why.

    Attributes:
        name: our column.
        keys: what is written in its table, in order.
        confidence: 0 to 1; None where there is nothing to be sure of.
        reasons: why, in sentences.
        open: what a person must decide about it.
    """

    name: str
    keys: Mapping[str, Any]
    confidence: float | None
    reasons: tuple[str, ...]
    open: tuple[str, ...] = ()


def proposed(target: Target, match: Match) -> DraftLine:
    """One of our columns as one of theirs."""
    column, stand_ins = match.column, match.stand_ins
    reasons = [f"named {match.named:.0%} alike", f"{match.fits:.0%} of {column.rows:,} values fit"]
    keys: dict[str, Any] = {"column": column.name}
    if stand_ins:
        keys["unknown"] = list(stand_ins)
        reasons.append(f"{', '.join(stand_ins)} taken as not known")
    told, why, waiting = _meaning(target, column)
    return DraftLine(
        target.name, keys | told, match.confidence, (", ".join(reasons) + ".", *why), waiting
    )


Meaning = tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]
NOTHING: Meaning = ({}, (), ())


def _meaning(target: Target, column: Profile) -> Meaning:
    match target.holds:
        case "number":
            return _unit(target, column)
        case "level":
            return _levels(target, column)
    return NOTHING


def _unit(target: Target, column: Profile) -> Meaning:
    shares = dict(matching.unit_shares(target, column))
    if len(shares) == 1:
        return NOTHING
    fitting = [unit for unit, share in shares.items() if share >= ENOUGH]
    told = named_unit(column, tuple(shares))
    if told in fitting:
        return {"unit": told}, (f"Unit: the name says {told}.",), ()
    if len(fitting) == 1:
        return {"unit": fitting[0]}, (f"Unit: no other than {fitting[0]} is possible.",), ()
    said = " or ".join(map(repr, fitting or shares))
    # How many fit, and no value: the lowest and the highest are somebody's.
    each = ", ".join(f"{share:.0%} as {unit!r}" for unit, share in shares.items())
    why = f"Possible would be {each}."
    return {"unit": OPEN}, (why,), (f"unit: {said}",)


def named_unit(column: Profile, allowed: Sequence[str]) -> str | None:
    """The unit that a word of the column's name gives away."""
    parts = column.told.split()
    for measure in units.measures().values():
        for name, unit in measure.units.items():
            called = {plain(word) for word in (name, *unit.words)}
            if name in allowed and any(part in called for part in parts if len(part) > 1):
                return name
    return None


# --- levels ---------------------------------------------------------------------------------------


def _levels(target: Target, column: Profile) -> Meaning:
    alias = alias_of(target)
    if len(column.numbers[0]) and alias.bands:
        return _bands(target, column)
    if alias.prefixes and matching.is_icd(column):
        return _prefixes(target, column)
    quoted = {text: count for text, count in column.known.items() if count >= QUOTED}
    if all(text.isdigit() for text in quoted):
        quoted = dict(sorted(quoted.items(), key=lambda word: int(word[0])))
    rare = len(column.known) - len(quoted)
    told = {text: matching.level_of(target, text) or OPEN for text in quoted}
    if set(told) & {"1", "2"} == {"1", "2"} and len(target.levels) == len("no"):
        # 1 is yes and 2 no, or the other way round; or male and female.
        told = {text: OPEN if text.isdigit() else level for text, level in told.items()}
    waiting = [text for text, level in told.items() if level == OPEN]
    why = (f"{rare} rarer words are not shown here; `check --site` counts them.",) if rare else ()
    open_ = (f"levels: what {_asked(waiting, target)}",) if waiting else ()
    if all(text == level for text, level in told.items()):
        return {}, (), open_  # our own words need no translation
    return {"levels": told}, why, open_


def _asked(waiting: Sequence[str], target: Target) -> str:
    """Words of theirs that wait for a meaning, and the words of ours that may be given."""
    mean = "means" if len(waiting) == 1 else "mean"
    return f"{', '.join(map(repr, waiting))} {mean}, of {', '.join(target.levels)}"


def _bands(target: Target, column: Profile) -> Meaning:
    alias = alias_of(target)
    bands = {level: list(band) for level, band in alias.bands.items()}
    unit = alias.band_unit
    why = f"The levels of {target.name} are read off its numbers."
    if not unit or named_unit(column, (unit,)) or unit in column.told.split():
        return {"bands": bands}, (why,), ()
    said = f"column: {column.name!r} if its numbers are in {unit}, else change the bands too"
    return {"column": "", "bands": bands}, (why, f"The bands are in {unit}."), (said,)


def _prefixes(target: Target, column: Profile) -> Meaning:
    codes = alias_of(target).prefixes
    given = codes.codes if codes else {}
    found: dict[str, str] = {}
    for text, count in column.known.items():
        fitting = [prefix for prefix in given if text.startswith(prefix)]
        longest = max(fitting, key=len, default="")
        if given.get(longest, OPEN) != OPEN:
            found[longest] = given[longest]
        elif count >= QUOTED:
            found[text] = OPEN
    waiting = [code for code, level in found.items() if level == OPEN]
    why = f"{codes.mark.capitalize()}: {codes.source}" if codes else ""
    open_ = (f"prefixes: what {_asked(waiting, target)}",) if waiting else ()
    return {"prefixes": dict(sorted(found.items()))}, (why,), open_
