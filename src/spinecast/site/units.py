"""Units and what they are of each other: facts of `units.toml`, applied by multiplication."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from spinecast.knowledge.declared import Declared, Interval, Names, Positive

DIGITS = 10
"""Significant digits kept of a converted number: more than anybody measures, and 73 mm is 7.3."""


class Unit(Declared):
    """One unit: how many of the measure's base it is, and other words for it."""

    size: Positive
    words: Names = ()


class Measure(Declared):
    """What can be measured in several units; a score also has its range and its written units."""

    source: str
    units: Mapping[str, Unit]
    range: Interval | None = None
    written: Names = ()

    def named(self, word: str) -> str | None:
        """The unit a word means, None when it is none of this measure's."""
        folded = word.casefold()
        for name, unit in self.units.items():
            if folded == name.casefold() or folded in (w.casefold() for w in unit.words):
                return name
        return None

    def ours(self, unit: str, bounds: tuple[float, float]) -> str | None:
        """The unit our numbers are in, when they are of this measure."""
        if self.range is None:
            return self.named(unit)
        is_score = bounds == self.range and unit in self.written
        return next(iter(self.units)) if is_score else None


@cache
def measures() -> Mapping[str, Measure]:
    """Every measure of `units.toml`, by name."""
    text = resources.files("spinecast.site").joinpath("units.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    for table in tables.values():
        table["units"] = {
            name: {"size": unit["is"], "words": unit["words"]}
            for name, unit in table["units"].items()
        }
    return MappingProxyType({name: Measure.model_validate(table) for name, table in tables.items()})


def choices(ours: str, bounds: tuple[float, float]) -> dict[str, float]:
    """The units in which a number of ours may be given, with what one of each is in our unit.

    Args:
        ours: the unit the registry writes.
        bounds: the lowest and highest value the registry allows.
    """
    measure = _measure_of(ours, bounds)
    if measure is None:
        return {}
    base = measure.units[measure.ours(ours, bounds) or ""].size
    return {name: unit.size / base for name, unit in measure.units.items()}


def meant(word: str, ours: str, bounds: tuple[float, float]) -> str | None:
    """The unit a word means for a number of ours; None when it is none of its `choices`."""
    measure = _measure_of(ours, bounds)
    return measure.named(word) if measure else None


def _measure_of(ours: str, bounds: tuple[float, float]) -> Measure | None:
    """What a number of ours measures: a score of that very range before anything else."""
    fitting = [measure for measure in measures().values() if measure.ours(ours, bounds)]
    return min(fitting, key=lambda measure: measure.range is None, default=None)


def tidy(number: float) -> float:
    """A converted number without the digits that only the multiplication made."""
    return float(f"{number:.{DIGITS}g}")


def rate(word: str, to: str) -> float | None:
    """What one of a unit is in another one of the same measure; None when it is none of that."""
    for measure in measures().values():
        name, target = measure.named(word), measure.named(to)
        if measure.range is None and name and target:
            return measure.units[name].size / measure.units[target].size
    return None


def comparable(unit: str) -> tuple[str, ...]:
    """The units that can be turned into a given one."""
    for measure in measures().values():
        if measure.range is None and measure.named(unit):
            return tuple(measure.units)
    return ()


def same(word: str, name: str) -> bool:
    """Whether a word means a unit."""
    return any(
        name in measure.units and measure.named(word) == name for measure in measures().values()
    )
