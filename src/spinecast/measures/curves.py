"""What a calibration plot is drawn from: points, a smooth curve, and where the patients lie.

Records only; `plots` draws them. The smooth curve can be asked at any risk, so that summaries of
its distance from the diagonal (ICI, E50, E90) are one line each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.measures import logistic
from spinecast.measures.intervals import normal_reach
from spinecast.measures.logistic import LogisticFit, Matrix, Vector, expit, logit

GROUPS = 10
"""Tenths of patients, as is the custom."""
FEWEST_IN_GROUP = 10
"""Patients of a group, about; the share observed in fewer is hardly known. A convention."""
GRID = 101
"""Points of the drawn curve, a smooth line to the eye."""
BINS = 50
"""Of the histogram, two points in a hundred each."""
FEW = 100
"""Patients of the rarer kind below whom a curve gets a knot less; a convention."""
EPS = 1e-12
"""Risks are taken no nearer to 0 and 1 than this: nearer, one patient would bend the whole curve.
"""
SAME = 1e-9
"""Log-odds that lie within this of each other are the same prediction."""
ROUNDING = 1e-12
"""By so much, relatively, a sum of weights may fall short of the share it stands for."""
KNOT_QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
}
"""Where knots stand among the patients. Source: Harrell 2015, doi:10.1007/978-3-319-19425-7."""


@dataclass(frozen=True, slots=True)
class RiskGroup:
    """Patients with similar predicted risk: mean risk foretold, share observed and its interval."""

    patients: int
    events: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What is observed, on the smooth curve, among patients of one predicted risk."""

    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RiskBin:
    """How many patients were given a risk from `low` up to `high`, by what became of them."""

    low: float
    high: float
    events: int
    others: int


@dataclass(frozen=True, slots=True)
class SmoothCalibration:
    """Observed log-odds as a natural cubic spline of the predicted log-odds."""

    knots: Vector
    centre: float
    fitted: LogisticFit

    def at(self, risk: npt.ArrayLike) -> Vector:
        """The share observed among patients of these predicted risks; shape as given."""
        margin, columns = self._columns(risk)
        return expit(margin + columns @ self.fitted.coefficients)

    def band(self, risk: npt.ArrayLike, level: float) -> tuple[Vector, Vector]:
        """Pointwise confidence limits of `at`, by the delta method on the log-odds."""
        margin, columns = self._columns(risk)
        middle = margin + columns @ self.fitted.coefficients
        variance = np.einsum("ij,jk,ik->i", columns, self.fitted.covariance, columns)
        apart = normal_reach(level) * np.sqrt(np.maximum(variance, 0.0))
        return expit(middle - apart), expit(middle + apart)

    def _columns(self, risk: npt.ArrayLike) -> tuple[Vector, Matrix]:
        margin = _margin(risk)
        return margin, _with_intercept(margin, self.knots, self.centre)


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """Observed against predicted risk: grouped points, smooth curve, and spread of the risks."""

    groups: tuple[RiskGroup, ...]
    smooth: tuple[CurvePoint, ...]
    histogram: tuple[RiskBin, ...]


def calibration_curve(
    y: npt.ArrayLike, risk: npt.ArrayLike, *, level: float = 0.95, knots: int | None = None
) -> CalibrationCurve:
    """Whether "30%" happens to 30 of 100 patients, over the whole range of risks.

    Args:
        y: Shape (patients,), 0 or 1, none missing.
        risk: Shape (patients,), predicted probability.
        level: Confidence level of all intervals.
        knots: Of the smooth curve, 3 to 5; see `smooth_calibration`.

    Returns:
        The curve runs from the 1st to the 99th centile of the risks; it is empty where it cannot
        be fitted (one class, fewer than two different risks, separated outcomes).
    """
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    return CalibrationCurve(
        groups=risk_groups(outcome, risks, level=level),
        smooth=_smooth_points(outcome, risks, level=level, knots=knots),
        histogram=risk_bins(outcome, risks),
    )


def risk_groups(
    y: npt.ArrayLike, risk: npt.ArrayLike, *, groups: int = GROUPS, level: float = 0.95
) -> tuple[RiskGroup, ...]:
    """Patients in tenths of rising risk: what was foretold, and what happened.

    Equal risks always stay together, so groups may be fewer and uneven; small cohorts get fewer
    groups, of about ten patients at least. Intervals are Wilson's.
    """
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    if not len(risks):
        return ()
    wanted = max(1, min(groups, len(risks) // FEWEST_IN_GROUP))
    edges = np.unique(np.quantile(risks, np.arange(1, wanted) / wanted))
    place = np.searchsorted(edges, risks, side="left")
    members = (place == group for group in range(len(edges) + 1))
    return tuple(_group(outcome[m], risks[m], level) for m in members if m.any())


def wilson(events: int, patients: int, level: float = 0.95) -> tuple[float, float]:
    """The interval for a share of patients that stays honest near 0 and 1; NaN without patients.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    if not patients:
        return math.nan, math.nan
    z2, share = normal_reach(level) ** 2, events / patients
    middle = (share + z2 / (2 * patients)) / (1 + z2 / patients)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * patients)) / patients) / (
        1 + z2 / patients
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def smooth_calibration(
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    knots: int | None = None,
    weights: npt.ArrayLike | None = None,
) -> SmoothCalibration | None:
    """The smooth curve from predicted to observed risk, or None where none can be fitted.

    Logistic regression of the outcome on a natural cubic spline of the predicted log-odds (linear
    beyond the outer knots), by maximum likelihood. Unless told, four knots; three where fewer than
    `FEW` patients have (or have not) the outcome, since a freer curve then draws noise. Knots are
    risks of patients, and fewer still where those coincide. With `weights`, each row stands for so
    many patients.

    Source: Harrell 2015, doi:10.1007/978-3-319-19425-7; for calibration, Austin & Steyerberg 2014,
    doi:10.1002/sim.5941.
    """
    outcome, margin = np.asarray(y, dtype=np.float64), _margin(risk)
    counts = np.ones_like(margin) if weights is None else np.asarray(weights, dtype=np.float64)
    fewest = min(counts[outcome == 0].sum(), counts[outcome == 1].sum())
    if not fewest > 0 or not np.ptp(margin) >= SAME:
        return None
    quantiles = KNOT_QUANTILES[knots or (3 if fewest < FEW else 4)]
    places = np.unique(weighted_quantiles(margin, quantiles, counts))
    centre = float(np.average(margin, weights=counts))
    columns = _with_intercept(margin, places, centre)
    fitted = logistic.fit(columns, outcome, offset=margin, weights=counts)
    return SmoothCalibration(places, centre, fitted) if fitted.found else None


def weighted_quantiles(values: Vector, shares: npt.ArrayLike, weights: Vector) -> Vector:
    """The values below which these shares of the patients lie; each a value of some patient.

    Args:
        values: Shape (patients,), at least one, none missing.
        shares: Between 0 and 1; the answer has its shape.
        weights: Shape (patients,), how many patients each row stands for, above 0.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    wanted = np.asarray(shares, dtype=np.float64) * reached[-1] * (1 - ROUNDING)
    place = np.searchsorted(reached, wanted, side="left")
    return np.asarray(values[order[np.minimum(place, len(order) - 1)]], dtype=np.float64)


def natural_spline(x: Vector, knots: Vector) -> Matrix:
    """Columns that bend at the knots and run straight outside them; shape (points, knots - 2).

    Truncated cubes, in units of the distance between the outer knots; together with 1 and x they
    span the natural cubic splines. No columns for fewer than three knots.
    """
    if len(knots) < 3:
        return np.empty((len(x), 0))
    width, (*inner, before_last, last) = knots[-1] - knots[0], knots
    cubes = {knot: np.maximum(x - knot, 0.0) ** 3 for knot in knots}
    gap = last - before_last
    columns = [
        cubes[knot]
        - cubes[before_last] * (last - knot) / gap
        + cubes[last] * (before_last - knot) / gap
        for knot in inner
    ]
    return np.asarray(np.column_stack(columns) / width**2, dtype=np.float64)


def _smooth_points(
    outcome: Vector, risks: Vector, *, level: float, knots: int | None
) -> tuple[CurvePoint, ...]:
    curve = smooth_calibration(outcome, risks, knots=knots) if len(risks) else None
    if curve is None:
        return ()
    first, last = np.quantile(risks, (0.01, 0.99))
    at = np.linspace(float(first), float(last), GRID)
    low, high = curve.band(at, level)
    return tuple(CurvePoint(*map(float, p)) for p in zip(at, curve.at(at), low, high, strict=True))


def risk_bins(outcome: Vector, risks: Vector) -> tuple[RiskBin, ...]:
    """How many patients lie in each fiftieth of the range of risks; none may be missing."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    events, others = (np.histogram(risks[outcome == o], edges)[0] for o in (1, 0))
    return tuple(
        RiskBin(float(edges[i]), float(edges[i + 1]), int(events[i]), int(others[i]))
        for i in range(BINS)
    )


def _group(outcome: Vector, risks: Vector, level: float) -> RiskGroup:
    patients, events = len(outcome), int(outcome.sum())
    low, high = wilson(events, patients, level)
    return RiskGroup(patients, events, float(risks.mean()), events / patients, low, high)


def _with_intercept(margin: Vector, knots: Vector, centre: float) -> Matrix:
    straight = [np.ones_like(margin), margin - centre]
    return np.column_stack([*straight, natural_spline(margin, knots)])


def _margin(risk: npt.ArrayLike) -> Vector:
    return logit(np.clip(np.asarray(risk, dtype=np.float64), EPS, 1 - EPS))
