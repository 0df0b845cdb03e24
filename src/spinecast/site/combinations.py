"""Ways to make one of our columns from several of a hospital's, each named and documented.

Every way is a pure function of arrays: numbers in the units named, days since 1970-01-01, or yes
as 1 and no as 0; NaN is unknown. The table `COMBINATIONS` is the whole list; its names are what
`by` in site.toml may say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Needs = Literal["number", "date", "yes_no", "same"]
Gives = Literal["number", "level", "same"]


@dataclass(frozen=True, slots=True)
class Combination:
    """A named way to combine columns.

    Attributes:
        function: arrays in, one array out.
        needs: what each column holds; a single entry stands for any number of columns. "same":
            whatever our column holds, so that each is read as if it stood alone.
        units: the unit each number is brought to, "" for as it is written.
        gives: a number in `unit`, the place of a level in our list of levels (no is 0, yes is 1),
            or the same as the columns.
        unit: of the number given, "" for that of the columns.
    """

    function: Callable[..., FloatArray]
    needs: tuple[Needs, ...]
    units: tuple[str, ...] = ()
    gives: Gives = "number"
    unit: str = ""

    @property
    def takes_many(self) -> bool:
        """Whether any number of columns will do, from two on."""
        return len(self.needs) == 1

    def need(self, place: int) -> Needs:
        """What the column at a place holds."""
        return self.needs[0] if self.takes_many else self.needs[place]

    def unit_of(self, place: int) -> str:
        """The unit the column at a place is brought to, "" for as it is written."""
        return self.units[place] if place < len(self.units) else ""

    @property
    def says(self) -> str:
        """What it does, in a sentence: the first line of the function's description."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


def body_mass_index(height: FloatArray, weight: FloatArray) -> FloatArray:
    """Weight (kg) divided by the square of height (m); unknown where either is.

    A height of zero or less is no height: the result is unknown, never infinite.
    """
    possible = np.where(height > 0, height, np.nan)
    return np.asarray(weight / possible**2)


def age(birth: FloatArray, at: FloatArray) -> FloatArray:
    """Completed years between a date of birth and a later date; unknown where either is."""
    birth, at = np.broadcast_arrays(birth, at)
    years, days = _calendar(birth)
    later_years, later_days = _calendar(at)
    return np.asarray(later_years - years - (later_days < days))


def _calendar(days: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The year of each day, and its month and day as one number that rises within the year."""
    unknown = np.isnan(days)
    dates = np.where(unknown, 0, days).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    year = dates.astype("datetime64[Y]").astype(float) + 1970
    within = (months.astype(int) % 12) * 31 + (dates - months.astype("datetime64[D]")).astype(int)
    return np.where(unknown, np.nan, year), np.where(unknown, np.nan, within)


def duration(since: FloatArray, until: FloatArray) -> FloatArray:
    """Days from the first date to the second, negative when it is earlier; unknown where either is.

    Say `unit = "months"` with `bands` to cut it into levels.
    """
    return np.asarray(until - since)


def pack_years(a_day: FloatArray, years: FloatArray) -> FloatArray:
    """Packs smoked a day times years smoked; unknown where either is, 0 where either is 0."""
    none = (a_day == 0) | (years == 0)
    return np.where(none, 0.0, a_day * years)


def never_former_current(now: FloatArray, ever: FloatArray) -> FloatArray:
    """First level for never, second for formerly, third for now, from "now?" and an amount ever.

    A yes to "now" settles it; a no needs the amount (pack-years, say) to tell never from formerly.
    """
    before = np.where(np.isnan(ever), np.nan, np.where(ever > 0, 1.0, 0.0))
    return np.where(now == 1, 2.0, np.where(now == 0, before, np.nan))


def any_yes(*answers: FloatArray) -> FloatArray:
    """Yes when any column says yes, no when every column says no, else unknown."""
    stacked = np.stack(answers)
    yes, unknown = (stacked == 1).any(axis=0), np.isnan(stacked).any(axis=0)
    return np.where(yes, 1.0, np.where(unknown, np.nan, 0.0))


def count_yes(*answers: FloatArray) -> FloatArray:
    """How many of the columns say yes; unknown where any is unknown."""
    return np.asarray(np.stack(answers).sum(axis=0))


def first_recorded(*values: FloatArray) -> FloatArray:
    """The first column, in the order named, that is not unknown."""
    result = values[0]
    for later in values[1:]:
        result = np.where(np.isnan(result), later, result)
    return result


def total(*numbers: FloatArray) -> FloatArray:
    """The sum of the columns; unknown where any is unknown."""
    return np.asarray(np.stack(numbers).sum(axis=0))


def highest(*numbers: FloatArray) -> FloatArray:
    """The highest of the columns; unknown where any is unknown, for it might be higher."""
    return np.asarray(np.stack(numbers).max(axis=0))


COMBINATIONS: dict[str, Combination] = {
    "body mass index": Combination(
        body_mass_index, ("number", "number"), ("m", "kg"), unit="kg/m2"
    ),
    "age": Combination(age, ("date", "date"), unit="years"),
    "duration": Combination(duration, ("date", "date"), unit="days"),
    "pack-years": Combination(pack_years, ("number", "number"), ("packs", "years")),
    "never, former, current": Combination(
        never_former_current, ("yes_no", "number"), gives="level"
    ),
    "any yes": Combination(any_yes, ("yes_no",), gives="level"),
    "how many yes": Combination(count_yes, ("yes_no",)),
    "first recorded": Combination(first_recorded, ("same",), gives="same"),
    "sum": Combination(total, ("number",)),
    "highest": Combination(highest, ("number",)),
}
