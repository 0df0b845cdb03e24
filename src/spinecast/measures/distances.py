"""How far predicted risks lie from observed ones, over the whole range, in risk itself.

Each number sums up the distance between the smooth calibration curve and the diagonal, patient by
patient: 0.03 says that a stated risk is off by three in a hundred patients. `DISTANCES` are rows
like those of `metrics.MEASURES`; they stand beside them because each needs a curve to be fitted,
and because they are never below 0: noise alone makes them larger, the more so the fewer patients
there are, and bootstrap intervals lie higher than the truth for the same reason. Read them beside
the curve and its band.

Source: Austin & Steyerberg 2019, doi:10.1002/sim.8281; they smooth by loess where we fit a natural
spline, so numbers differ a little from theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.measures.curves import smooth_calibration, weighted_quantiles
from spinecast.measures.logistic import Vector
from spinecast.measures.metrics import Measure
from spinecast.measures.resampling import percentile_interval, resampled


@dataclass(frozen=True, slots=True)
class Distances:
    """Absolute distances of observed from predicted risk; all NaN where no curve can be fitted.

    Attributes:
        ici: Integrated calibration index, the mean over patients.
        e50: The distance that half of the patients do not exceed.
        e90: The distance that nine in ten patients do not exceed.
        emax: The largest of any patient; unsteady, as it hangs on the ends of the curve.
    """

    ici: float
    e50: float
    e90: float
    emax: float


@dataclass(frozen=True, slots=True)
class DistanceIntervals:
    """Distances with their percentile bootstrap limits; NaN where too few resamples had a curve."""

    value: Distances
    low: Distances
    high: Distances
    level: float
    resamples: int


def distances(
    y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Distances:
    """By how much stated risks miss what is observed: on average, for most, and at worst.

    Args:
        y: Shape (patients,), 1 = had the outcome, 0 = had not.
        risk: Shape (patients,), predicted probability.
        weights: Shape (patients,), how many patients each row stands for, above 0; 1 if not given.

    Returns:
        All NaN, in silence, with one class only, one risk for everyone, outcomes that the risks
        separate, no patients, or a number missing.
    """
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    counts = np.ones_like(risks) if weights is None else np.asarray(weights, dtype=np.float64)
    return Distances(*(float(distance) for distance in _measured(outcome, risks, counts)))


def distance_intervals(
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> DistanceIntervals:
    """The distances, and the middle `level` of what resampled patients gave; one curve a resample.

    Arguments as in `distances`; the same seed gives the same limits, whatever the order of rows.
    """
    rows = np.stack([np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)])
    outcome, risks = rows[:, np.lexsort(rows)]
    drawn = np.full((resamples, 4), math.nan)
    for row, counts in enumerate(resampled(len(risks), resamples, seed)):
        present = counts > 0
        weights = counts[present].astype(np.float64)
        drawn[row] = _measured(outcome[present], risks[present], weights)
    limits = [percentile_interval(column, level) for column in drawn.T]
    return DistanceIntervals(
        value=distances(outcome, risks),
        low=Distances(*(low for low, _ in limits)),
        high=Distances(*(high for _, high in limits)),
        level=level,
        resamples=resamples,
    )


def ici(y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """How far stated risks lie from observed ones on average (integrated calibration index)."""
    return distances(y, risk, weights).ici


def e50(y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """How far off stated risks are for half of the patients, at most."""
    return distances(y, risk, weights).e50


def e90(y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """How far off stated risks are for nine in ten patients, at most."""
    return distances(y, risk, weights).e90


def emax(y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """How far off the stated risk is for the patient whom it misses most."""
    return distances(y, risk, weights).emax


DISTANCES: tuple[Measure, ...] = (
    Measure("ici", "Calibration error, mean (ICI)", ici, "lower", 0.0),
    Measure("e50", "Calibration error, median (E50)", e50, "lower", 0.0),
    Measure("e90", "Calibration error, 90th centile (E90)", e90, "lower", 0.0),
    Measure("emax", "Calibration error, largest (Emax)", emax, "lower", 0.0),
)


def _measured(outcome: Vector, risks: Vector, counts: Vector) -> Vector:
    """ICI, E50, E90 and Emax; shape (4,)."""
    nothing = np.full(4, math.nan)
    known = len(risks) and np.isfinite(risks).all() and np.isfinite(outcome).all()
    curve = smooth_calibration(outcome, risks, weights=counts) if known else None
    if curve is None:
        return nothing
    apart = np.abs(curve.at(risks) - risks)
    mean = float(counts @ apart / counts.sum())
    middle, most = weighted_quantiles(apart, (0.5, 0.9), counts)
    return np.array([mean, middle, most, apart.max()])
