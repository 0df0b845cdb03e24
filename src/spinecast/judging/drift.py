"""How far each factor of some patients lies from those a model learned from.

By the standardised difference, whose customary limit for "differs" is 0.1. In few patients chance
alone exceeds that, so a factor has drifted only where the difference is also surely not chance,
counted over all factors. Home is the population that the model folder keeps, which leans a little
towards the published one.

Source: Austin 2009, doi:10.1002/sim.3697; for several levels Yang & Dalton 2012, SAS Global Forum
paper 335-2012. Their squared difference times n1 n2 / (n1 + n2) is Hotelling's statistic, close to
chi-square with as many degrees of freedom as levels less one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc

from spinecast.disclosure import FEWEST as SMALL
from spinecast.distribution.bins import NOT_KNOWN
from spinecast.knowledge.factors import Factor
from spinecast.modelling.model import Model

FloatArray = npt.NDArray[np.float64]

DIFFERS = 0.1
"""Standardised difference, and difference of shares unknown, from which on a factor differs."""
CHANCE = 0.05
"""Chance, over all factors together, of calling anything a drift where there is none."""
FEWEST = 10
"""Patients of whom a factor must be known to say anything of it; a convention."""


@dataclass(frozen=True, slots=True)
class FactorDrift:
    """One factor there and at home; NaN for what could not be computed.

    Attributes:
        factor: its name.
        label: the same for people.
        home: its mean at home, or the share of the level whose share moved most.
        here: the same among these patients.
        difference: standardised, 0 or more.
        drifted: whether it differs, and surely not by chance.
        unknown_home: share of patients at home of whom it was not known; None where not kept.
        unknown_here: the same among these patients; None where that would count one to four.
        unknown_drifted: whether these shares differ, and surely not by chance.
    """

    factor: str
    label: str
    home: str
    here: str
    difference: float
    drifted: bool
    unknown_home: float | None
    unknown_here: float | None
    unknown_drifted: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def drift(
    model: Model, codes: FloatArray, unknown_home: Mapping[str, float | None]
) -> tuple[FactorDrift, ...]:
    """Compare every factor of some patients, (n, F) codes, with the population of a model.

    Args:
        model: what learned at home.
        codes: the patients there, NaN for unknown.
        unknown_home: by factor, the share of home patients of whom it was not known.
    """
    population, factors = model.population, model.registry.factors
    shares = np.einsum("s,sfb->fb", population.weights, population.shares)
    bins = population.bins.of(codes)
    return tuple(
        _factor(
            factor,
            _Home(
                population.bins.codes[f],
                shares[f, : population.bins.size[f]],
                unknown_home.get(factor.name),
                population.patients,
            ),
            bins[:, f],
            CHANCE / len(factors),
        )
        for f, factor in enumerate(factors)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Home:
    """One factor at home: its values, the share of each, and of how many it was known."""

    values: FloatArray
    shares: FloatArray
    unknown: float | None
    patients: int

    @property
    def known(self) -> int:
        return round(self.patients * (1 - (self.unknown or 0.0)))


def _factor(factor: Factor, home: _Home, bins: npt.NDArray[np.int64], limit: float) -> FactorDrift:
    """One factor at home and among the patients whose bins these are."""
    seen = bins[bins != NOT_KNOWN]
    blank = 1 - len(seen) / len(bins) if len(bins) else math.nan
    ours = home.shares / home.shares.sum()
    theirs = np.bincount(seen, minlength=len(ours)) / max(1, len(seen))
    apart, freedom = math.nan, 1
    if min(len(seen), home.known) >= FEWEST and factor.is_numeric:
        apart = _numbers(home.values, ours, theirs)
    elif min(len(seen), home.known) >= FEWEST:
        apart, freedom = _levels(ours, theirs)
    size = len(seen) * home.known / max(1, len(seen) + home.known)
    by_chance = _chance(apart**2 * size, freedom)
    told, here = _in_words(factor, home.values, ours, theirs, len(seen))
    return FactorDrift(
        factor=factor.name,
        label=factor.label,
        home=told,
        here=here if len(seen) >= SMALL else f"known of fewer than {SMALL}",
        difference=apart,
        drifted=apart >= DIFFERS and by_chance < limit,
        unknown_home=home.unknown,
        unknown_here=None if 0 < len(bins) - len(seen) < SMALL else blank,
        unknown_drifted=_more_blanks(home, blank, len(bins), limit),
    )


def _numbers(values: FloatArray, ours: FloatArray, theirs: FloatArray) -> float:
    """Difference of the means in pooled standard deviations."""
    (mean, variance), (other, spread) = _moments(values, ours), _moments(values, theirs)
    pooled = math.sqrt((variance + spread) / 2)
    return abs(mean - other) / pooled if pooled > 0 else math.nan


def _moments(values: FloatArray, shares: FloatArray) -> tuple[float, float]:
    mean = float(shares @ values)
    return mean, float(shares @ (values - mean) ** 2)


def _levels(ours: FloatArray, theirs: FloatArray) -> tuple[float, int]:
    """Mahalanobis distance of the shares of all levels but one, and how many these are."""
    there = (ours > 0) | (theirs > 0)
    first, second = ours[there][1:], theirs[there][1:]
    covariance = (_covariance(first) + _covariance(second)) / 2
    gap = first - second
    square = float(gap @ np.linalg.pinv(covariance) @ gap)
    return math.sqrt(max(square, 0.0)), max(1, len(gap))


def _covariance(shares: FloatArray) -> FloatArray:
    return np.asarray(np.diag(shares) - np.outer(shares, shares))


def _more_blanks(home: _Home, here: float, patients: int, limit: float) -> bool:
    """Whether shares unknown differ, and surely not by chance."""
    if home.unknown is None or not home.patients or not abs(home.unknown - here) >= DIFFERS:
        return False
    together = (home.unknown * home.patients + here * patients) / (home.patients + patients)
    variance = together * (1 - together) * (1 / home.patients + 1 / patients)
    return _chance((home.unknown - here) ** 2 / variance, 1) < limit


def _chance(square: float, freedom: int) -> float:
    """Share of a chi-square distribution beyond."""
    return float(gammaincc(freedom / 2, square / 2))


def _in_words(
    factor: Factor, values: FloatArray, ours: FloatArray, theirs: FloatArray, known: int
) -> tuple[str, str]:
    if factor.is_numeric:
        means = (float(shares @ values) for shares in (ours, theirs))
        home, here = (f"{factor.with_unit(mean, digits=3)} on average" for mean in means)
        return home, here
    moved = int(np.argmax(np.abs(ours - theirs)))
    name = factor.in_plain_words(values[moved])
    few = 0 < round(theirs[moved] * known) < SMALL
    here = f"fewer than {SMALL} patients" if few else f"{theirs[moved]:.0%}"
    return f"{name} {ours[moved]:.0%}", f"{name} {here}"
