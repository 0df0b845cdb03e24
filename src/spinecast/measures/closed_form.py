"""Measures whose intervals come from formulas: quick, and the same at every run.

Groups of patients are many and may be large, and two groups share no patient, so the variance of a
difference is the sum of both. Where a group is small a bootstrap is no better than these.

Source: AUROC, DeLong 1988, doi:10.2307/2531595; calibration by maximum likelihood, Cox 1958,
doi:10.1093/biomet/45.3-4.562; observed / expected on the log scale, Debray 2017,
doi:10.1136/bmj.i6460.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.measures import logistic
from spinecast.measures.delong import auroc_interval
from spinecast.measures.intervals import normal_reach
from spinecast.measures.logistic import Matrix, Vector, logit
from spinecast.measures.metrics import EPS, MEASURES, SAME, log_loss, observed_expected, surprises

RATIOS = frozenset({"observed_expected"})
"""Measures that are compared by their ratio; the others by their difference."""
_LABELS = {measure.name: measure.label for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure with its interval; NaN for what could not be computed.

    Attributes:
        measure: Its name in `metrics.MEASURES`.
        label: Words for people.
        value: The measure.
        low: Lower confidence limit.
        high: Upper confidence limit.
        standard_error: Of the value; of its logarithm for a ratio.
    """

    measure: str
    label: str
    value: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """How a measure differs between two groups; NaN for what could not be computed.

    Attributes:
        scale: A ratio (1 is none) or a difference (0 is none), the first against the second.
        value: Of the two measures.
        low: Lower confidence limit.
        high: Upper confidence limit.
    """

    scale: str
    value: float
    low: float
    high: float

    @property
    def is_established(self) -> bool:
        """Whether the interval leaves out "no difference"."""
        none = 1.0 if self.scale == "ratio" else 0.0
        return self.low > none or self.high < none


def measured(y: npt.ArrayLike, risk: npt.ArrayLike, *, level: float = 0.95) -> tuple[Measured, ...]:
    """AUROC, observed / expected, calibration intercept and slope, log-loss, with intervals.

    Args:
        y: Shape (patients,), 1 = had the outcome, 0 = had not; none missing.
        risk: Shape (patients,), predicted probability; none missing.
        level: Confidence level, between 0 and 1.
    """
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    reach = normal_reach(level)
    area = auroc_interval(outcome, risks, level=level)
    numbers = (float(n) for n in (area.value, area.low, area.high, area.standard_error))
    found = [Measured("auroc", _LABELS["auroc"], *numbers)]
    for name, value, error in (
        _observed_expected(outcome, risks),
        *_calibration(outcome, risks),
        _log_loss(outcome, risks),
    ):
        if name in RATIOS:
            low, high = value * _exp(-reach * error), value * _exp(reach * error)
        else:
            low, high = value - reach * error, value + reach * error
        found.append(Measured(name, _LABELS[name], value, low, high, error))
    return tuple(found)


def contrast(one: Measured, other: Measured, *, level: float = 0.95) -> Contrast:
    """How far a measure in one group lies from the same in another that shares no patient with it.

    Raises:
        ValueError: They are different measures.
    """
    if one.measure != other.measure:
        raise ValueError(f"{one.measure} cannot be held against {other.measure}.")
    reach = normal_reach(level)
    apart = reach * math.hypot(one.standard_error, other.standard_error)
    if one.measure in RATIOS:
        ratio = one.value / other.value if other.value > 0 else math.nan
        return Contrast("ratio", ratio, ratio * _exp(-apart), ratio * _exp(apart))
    value = one.value - other.value
    return Contrast("difference", value, value - apart, value + apart)


def _observed_expected(outcome: Vector, risks: Vector) -> tuple[str, float, float]:
    """Observed / expected, and the standard error of its logarithm (both counts vary)."""
    value = observed_expected(outcome, risks)
    happened = float(outcome.sum())
    if not happened > 0 or len(outcome) < 2:
        return "observed_expected", value, math.nan
    apart = outcome - value * risks
    return "observed_expected", value, math.sqrt(float(apart @ apart)) / happened


def _calibration(outcome: Vector, risks: Vector) -> Iterator[tuple[str, float, float]]:
    """Intercept with the slope held at 1, and the slope, each with its standard error."""
    margin = logit(np.clip(risks, EPS, 1 - EPS))
    ones = np.ones((len(margin), 1))
    yield "calibration_intercept", *_last(ones, outcome, margin)
    if len(margin) and np.ptp(margin) >= SAME:
        columns = np.column_stack([ones, margin - margin.mean()])
        stretch, error = _last(columns, outcome, margin)
        yield "calibration_slope", 1 + stretch, error
    else:
        yield "calibration_slope", math.nan, math.nan


def _last(columns: Matrix, outcome: Vector, margin: Vector) -> tuple[float, float]:
    """The last coefficient of a logistic fit above the margin, and its standard error."""
    if not ((outcome == 0).any() and (outcome == 1).any()):
        return math.nan, math.nan
    found = logistic.fit(columns, outcome, offset=margin, weights=np.ones_like(margin))
    return float(found.coefficients[-1]), math.sqrt(float(found.covariance[-1, -1]))


def _log_loss(outcome: Vector, risks: Vector) -> tuple[str, float, float]:
    value = log_loss(outcome, risks)
    if len(outcome) < 2:
        return "log_loss", value, math.nan
    spread = float(surprises(outcome, risks).std(ddof=1))
    return "log_loss", value, spread / math.sqrt(len(outcome))


def _exp(exponent: float) -> float:
    """The exponential; infinite where it is beyond any number."""
    return math.exp(exponent) if not exponent > 700 else math.inf
