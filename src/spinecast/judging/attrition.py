"""Whether patients whose outcome is not known differ from the others, in which factors, how far.

A difference is called established when it is neither chance nor trifling: the p-value holds for as
many tests as factors (Bonferroni), and the standardised difference is 0.1 or more.

Source: standardised differences, Austin 2009, doi:10.1002/sim.3697.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, stdtr

from spinecast.disclosure import FEWEST
from spinecast.knowledge.factors import Factor, Registry
from spinecast.logic import FloatArray

FEWEST_LOST = 10
"""Patients lost, and patients kept, below whom nothing is compared; a convention."""
ALPHA = 0.05
TRIFLING = 0.1
EXPECTED = 5.0
"""Levels expected in fewer patients are taken together: chi-squared is not to be trusted there."""


@dataclass(frozen=True, slots=True)
class LossDifference:
    """How the lost differ from the kept in one factor; for levels, in the level most different.

    Attributes:
        factor: The factor's name.
        label: The same for people.
        level: The level, for people; "" for a number.
        lost: Mean (numbers) or share (levels) among patients whose outcome is not known.
        kept: The same among the others.
        standardised: Lost less kept, in standard deviations.
        p_value: Of no difference in the factor: Welch's test, or chi-squared over all levels.
        is_established: Whether it is neither chance nor trifling.
    """

    factor: str
    label: str
    level: str
    lost: float
    kept: float
    standardised: float
    p_value: float
    is_established: bool

    @property
    def in_words(self) -> str:
        """For example "Smoking: smokes now 31% against 22%"."""
        if self.level:
            return f"{self.label}: {self.level} {self.lost:.0%} against {self.kept:.0%}"
        return f"{self.label}: mean {self.lost:.3g} against {self.kept:.3g}"


def loss_differences(
    registry: Registry, codes: FloatArray, is_lost: npt.NDArray[np.bool_]
) -> tuple[LossDifference, ...]:
    """Every factor that can be compared, the most different first.

    Args:
        registry: Whose factors these are.
        codes: Shape (patients, factors), NaN unknown; a factor is compared where it is known.
        is_lost: Shape (patients,), whether the outcome is not known.
    """
    columns = zip(registry.factors, codes.T, strict=True)
    pairs = [
        (factor, _known(column[is_lost]), _known(column[~is_lost])) for factor, column in columns
    ]
    large = [pair for pair in pairs if min(len(pair[1]), len(pair[2])) >= FEWEST_LOST]
    found = [one for pair in large for one in _compared(*pair, tests=len(large))]
    return tuple(sorted(found, key=lambda one: -abs(one.standardised)))


def _known(column: FloatArray) -> FloatArray:
    """What is known, sorted, so that sums do not depend on the order of rows."""
    return np.sort(column[~np.isnan(column)])


def _compared(
    factor: Factor, lost: FloatArray, kept: FloatArray, *, tests: int
) -> Iterator[LossDifference]:
    """The difference in one factor; none where all patients have the same, or cells are small."""
    if factor.is_numeric:
        level, numbers, p_value = "", (float(lost.mean()), float(kept.mean())), _welch(lost, kept)
        spread = math.sqrt((float(lost.var(ddof=1)) + float(kept.var(ddof=1))) / 2)
    else:
        place, p_value = _levels(factor, lost, kept)
        if place < 0:
            return
        level = factor.in_plain_words(float(place))
        numbers = (float((lost == place).mean()), float((kept == place).mean()))
        spread = math.sqrt(sum(share * (1 - share) for share in numbers) / 2)
    if spread > 0 and math.isfinite(p_value):
        apart = (numbers[0] - numbers[1]) / spread
        sure = p_value < ALPHA / tests and abs(apart) >= TRIFLING
        yield LossDifference(factor.name, factor.label, level, *numbers, apart, p_value, sure)


def _welch(lost: FloatArray, kept: FloatArray) -> float:
    """Two-sided p-value of equal means, unequal variances; NaN where neither varies."""
    parts = [float(side.var(ddof=1)) / len(side) for side in (lost, kept)]
    variance = sum(parts)
    if not variance > 0:
        return math.nan
    freedom = variance**2 / (parts[0] ** 2 / (len(lost) - 1) + parts[1] ** 2 / (len(kept) - 1))
    t = abs(float(lost.mean() - kept.mean())) / math.sqrt(variance)
    return float(2 * stdtr(freedom, -t))


def _levels(factor: Factor, lost: FloatArray, kept: FloatArray) -> tuple[int, float]:
    """The level whose shares differ most, of those that may be shown (-1: none), and a p-value."""
    size = len(factor.levels)
    counts = np.stack([np.bincount(s.astype(np.intp), minlength=size) for s in (lost, kept)])
    apart = np.abs(counts[0] / len(lost) - counts[1] / len(kept))
    small = (counts > 0) & (counts < FEWEST)
    # With two levels, a share gives the other away.
    told = ~np.asarray(small.any(axis=0)) & (size > 2 or not bool(small.any()))
    place = int(np.argmax(np.where(told & (counts.sum(axis=0) > 0), apart, -1.0)))
    return (place if told[place] else -1), _chi_squared(counts)


def _chi_squared(counts: npt.NDArray[np.int64]) -> float:
    """P-value of equal shares in both rows; shape (2, levels). NaN where there is one level."""
    rows, total = counts.sum(axis=1), int(counts.sum())
    rare = counts.sum(axis=0) * float(rows.min()) / total < EXPECTED
    table = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return math.nan
    expected = np.outer(rows, table.sum(axis=0)) / total
    return float(chdtrc(table.shape[1] - 1, float(((table - expected) ** 2 / expected).sum())))
