"""What a whole mapped column shows and no single row: a wrong unit, a wrong order of dates.

Only what the mapping itself got wrong is said here; what looks miscoded in any cohort is said by
`judging.suspicion`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinecast.errors import Problem
from spinecast.site import units
from spinecast.site.declaration import Line, Site
from spinecast.site.targets import Target

LEAST_KNOWN = 5
"""Known values from which on a column is judged as a whole; below, its rows are."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the numbers of a column reach, as the hospital wrote them and as ours.

    Attributes:
        known: cells that are not unknown, the unexplained among them.
        possible: those that are an answer our column may have.
        before: lowest and highest as written; infinite the wrong way round without any.
        after: the same in our unit.
        unexplained: cells that could not be read.
    """

    known: int
    possible: int
    before: tuple[float, float]
    after: tuple[float, float]
    unexplained: int

    def __add__(self, other: Reach) -> Reach:
        return Reach(
            self.known + other.known,
            self.possible + other.possible,
            _both(self.before, other.before),
            _both(self.after, other.after),
            self.unexplained + other.unexplained,
        )


NOWHERE = (np.inf, -np.inf)


def _both(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])


def reach(
    target: Target, before: NDArray[np.float64] | None, column: pd.Categorical, unexplained: int
) -> Reach:
    """How far one of our columns reaches in a piece; `before` are numbers as written."""
    texts = column.categories.to_numpy(dtype=object)
    counts = np.bincount(column.codes, minlength=len(texts))
    used = (texts != "") & (counts > 0)
    known = int(counts[used].sum())
    span = NOWHERE if before is None else _span(before)
    if target.holds != "number":
        return Reach(known + unexplained, known, span, NOWHERE, unexplained)
    numbers = texts[used].astype(float)
    low, high = target.bounds
    possible = int(counts[used][(numbers >= low) & (numbers <= high)].sum())
    return Reach(known + unexplained, possible, span, _span(numbers), unexplained)


def _span(numbers: NDArray[np.float64]) -> tuple[float, float]:
    known = numbers[~np.isnan(numbers)]
    return (float(known.min()), float(known.max())) if len(known) else NOWHERE


def impossible(
    site: Site, targets: Mapping[str, Target], reaches: Mapping[str, Reach]
) -> Iterator[Problem]:
    """Columns of which no value is possible: one message about the column, none about its rows."""
    for name, told in reaches.items():
        target, line = targets[name], site.columns[name]
        if told.known < LEAST_KNOWN or target.holds in ("text", "level"):
            continue
        if told.possible and not _is_another_unit(line, target, told):
            continue
        where = f"{site.name} [columns.{name}] from {', '.join(line.sources)}"
        if target.holds == "date" or told.unexplained == told.known:
            kind = "date" if target.holds == "date" else "number"
            given = f"none of {told.known:,} values is a {kind} as declared"
            key = "dates" if kind == "date" else "decimal"
            said = getattr(line, key) or getattr(site, key) or "YYYY-MM-DD"
            yield Problem(where, given, f"{key} says {said!r}", f"Correct {key}, or the column.")
        else:
            yield _wrong_unit(where, line, target, told)


def _is_another_unit(line: Line, target: Target, told: Reach) -> bool:
    """Whether most values are impossible and another unit makes all of them possible."""
    mostly = told.known - told.unexplained - told.possible > told.known / 2
    return mostly and not line.by and bool(_fitting(target, told))


def _wrong_unit(where: str, line: Line, target: Target, told: Reach) -> Problem:
    low, high = target.bounds
    unit = f" in {line.unit!r}" if line.unit else ""
    span = f"{told.after[0]:g} to {told.after[1]:g}"
    wrong = told.known - told.possible
    share = "all" if not told.possible else f"{wrong:,} of"
    given = f"{share} {told.known:,} values{unit} come out impossible, from {span}"
    allowed = f"{target.name} lies between {low:g} and {high:g} {target.unit}".rstrip()
    fitting = [] if line.by else _fitting(target, told)
    remedy = f"The unit is wrong: {' or '.join(map(repr, fitting))} would fit." if fitting else ""
    return Problem(where, given, allowed, remedy or "Check the unit and the column.")


def _fitting(target: Target, told: Reach) -> list[str]:
    low, high = target.bounds
    return [
        name
        for name, rate in units.choices(target.unit, target.bounds).items()
        if low <= told.before[0] * rate and told.before[1] * rate <= high
    ]
