"""One of our columns proposed from several of theirs, when each can be told by its name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spinecast.site import matching, units
from spinecast.site.combinations import COMBINATIONS
from spinecast.site.declaration import OPEN
from spinecast.site.matching import Match, alias_of
from spinecast.site.profile import Profile
from spinecast.site.proposing import ENOUGH, DraftLine, named_unit
from spinecast.site.targets import Target
from spinecast.site.words import Way, words


def by_way(
    target: Target, way: Way, columns: Sequence[Profile], taken: set[str]
) -> DraftLine | None:
    """One of our columns from several of theirs, when each can be told by its name."""
    found = [_ingredient(name, columns, taken) for name in way.of]
    parts = [match for match in found if match is not None]
    if len(parts) < len(way.of):
        return None
    stand_ins = sorted({text for match in parts for text in match.stand_ins})
    combination = COMBINATIONS[way.by]
    keys: dict[str, Any] = {"columns": [m.column.name for m in parts], "by": way.by}
    reasons = [combination.says]
    if stand_ins:
        keys["unknown"] = stand_ins
        reasons.append(f"{', '.join(stand_ins)} taken as not known.")
    waiting: tuple[str, ...] = ()
    if combination.units:
        keys["units"], why, waiting = _units_of(target, way, [m.column for m in parts])
        reasons.append(why)
    if alias_of(target).bands and combination.gives == "number":
        keys |= {"unit": way.unit, "bands": {k: list(v) for k, v in alias_of(target).bands.items()}}
    confidence = min(match.named for match in parts)
    return DraftLine(target.name, keys, confidence, tuple(reasons), waiting)


def parts(columns: Sequence[Profile], taken: set[str]) -> Iterator[str]:
    """Columns from which another is made, as height and weight: none of ours by themselves."""
    for name in words().ingredients:
        if match := _ingredient(name, columns, taken):
            yield match.column.name


def _ingredient(name: str, columns: Sequence[Profile], taken: set[str]) -> Match | None:
    wanted = words().ingredients[name]
    found = [
        Match(column, matching.named(column, wanted.names), 1.0)
        for column in columns
        if not column.is_later
        and (wanted.needs == "date" or column.name not in taken)
        and (column.date_patterns if wanted.needs == "date" else column.rows)
        and (wanted.needs != "number" or len(column.numbers[0]))
    ]
    best = max(found, key=lambda match: match.named, default=None)
    if best is None or best.named < matching.SURE:
        return None
    # What is measured, counted or dated here is never below zero.
    below = [text for text in words().unknown_numbers if text.startswith("-")]
    stand_ins = tuple(text for text in below if text in best.column.counts)
    return replace(best, column=best.column.without(stand_ins), stand_ins=stand_ins)


def _units_of(
    target: Target, way: Way, parts: Sequence[Profile]
) -> tuple[list[str], str, tuple[str, ...]]:
    """The units of the columns a way combines: those named, else the only ones that can be."""
    combination = COMBINATIONS[way.by]
    allowed = [units.comparable(combination.unit_of(place)) for place in range(len(parts))]
    told = [named_unit(part, names) for part, names in zip(parts, allowed, strict=True)]
    if all(told):
        return [unit for unit in told if unit], "Units: as the names say.", ()
    tried = itertools.product(
        *([unit] if unit else names for unit, names in zip(told, allowed, strict=True))
    )
    possible = [list(pair) for pair in tried if _share(target, way, parts, pair) >= ENOUGH]
    if len(possible) == 1:
        said = " and ".join(possible[0])
        return possible[0], f"Units: no others than {said} are possible.", ()
    waiting = "units: of " + " and ".join(repr(part.name) for part in parts)
    return [unit or OPEN for unit in told], "Several units are possible.", (waiting,)


def _share(target: Target, way: Way, parts: Sequence[Profile], pair: Sequence[str]) -> float:
    """The share of middling patients for whom a way would give an answer, in some units."""
    combination = COMBINATIONS[way.by]
    inputs = []
    for place, (part, unit) in enumerate(zip(parts, pair, strict=True)):
        numbers, counts = part.numbers
        rate = units.rate(unit, combination.unit_of(place)) or 1.0
        order = np.argsort(numbers)
        levels = np.cumsum(counts[order]) / counts.sum()
        middle = numbers[order][np.searchsorted(levels, np.linspace(0.2, 0.8, 7))] * rate
        usual = words().ingredients[way.of[place]].middling
        if usual and not usual[0] <= float(np.median(middle)) <= usual[1]:
            return 0.0
        inputs.append(middle)
    made = combination.function(*inputs)
    if target.holds != "number":
        return 1.0
    low, high = target.bounds
    return float(np.mean((made >= low) & (made <= high)))
