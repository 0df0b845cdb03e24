"""How good predicted risks are, in numbers: pure arithmetic on arrays.

Every measure takes the same three things and returns one float:

- `y`: shape (patients,), 1 = had the outcome, 0 = had not; none missing;
- `risk`: shape (patients,), the predicted probability;
- `weights`: shape (patients,), how many patients each row stands for, above 0; 1 each if not given.

Where a measure has no value (no patients, one class only, the same risk for everyone, a missing
number among the inputs) it is NaN, without exception and without warning. `MEASURES` is the table
over which evaluation loops; a new measure is a function and a row of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from spinecast.measures import logistic
from spinecast.measures.logistic import Vector, logit

EPS = float(np.finfo(np.float64).eps)
"""Risks are taken no nearer to 0 and 1 than this (2.2e-16), as scikit-learn does in `log_loss`."""
SAME = 1e-9
"""Log-odds that lie within this of each other are the same prediction."""

MeasureFunction = Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike | None], float]


class CalibrationLine(NamedTuple):
    """Observed log-odds = intercept + slope * predicted log-odds."""

    intercept: float
    slope: float


def auroc(y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """How often a patient who fared badly had the higher risk than one who fared well.

    The share of such pairs, a tie counting one half: 0.5 is a coin, 1 perfect. Exact, by ranks.

    Source: Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    outcome, risks, counts = _vectors(y, risk, weights)
    return _concordance(risks, events=counts * outcome, others=counts * (1 - outcome))


def best_auroc(true_risk: npt.ArrayLike) -> float:
    """The AUROC that even the true risks would reach: the ceiling of a simulated cohort.

    Expected concordant pairs over expected pairs when each outcome is drawn from its risk: pairs
    (i, j), i other than j, weighted by risk_i * (1 - risk_j). Shape (patients,); NaN when empty.
    """
    risks = np.asarray(true_risk, dtype=np.float64)
    with_oneself = float(risks @ (1 - risks))
    return _concordance(risks, events=risks, others=1 - risks, with_oneself=with_oneself)


def brier(y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """The mean squared distance between risk and outcome; 0 is perfect.

    Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    outcome, risks, counts = _vectors(y, risk, weights)
    return _mean((risks - outcome) ** 2, counts)


def scaled_brier(
    y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """The share of the Brier score of "everyone has the average risk" that the model removes.

    1 is perfect, 0 no better than the average, below 0 worse. NaN with one class only.

    Source: Steyerberg 2010, doi:10.1097/EDE.0b013e3181c30fb2.
    """
    outcome, risks, counts = _vectors(y, risk, weights)
    average = _mean(outcome, counts)
    return 1 - _ratio(_mean((risks - outcome) ** 2, counts), average * (1 - average))


def log_loss(y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """The mean surprise at the outcomes, in nats; 0 is perfect, lower is better.

    Risks of exactly 0 and 1 are moved inwards by `EPS`: being certain and wrong costs 36 nats.

    Source: Good 1952, doi:10.1111/j.2517-6161.1952.tb00104.x.
    """
    outcome, risks, counts = _vectors(y, risk, weights)
    return _mean(surprises(outcome, risks), counts)


def surprises(outcome: Vector, risks: Vector) -> Vector:
    """Each patient's surprise at the outcome, in nats; shapes (patients,), NaN stays NaN."""
    of_what_happened = outcome * risks + (1 - outcome) * (1 - risks)
    return np.asarray(-np.log(_inside(of_what_happened)), dtype=np.float64)


def excess_log_loss(risk: npt.ArrayLike, true_risk: npt.ArrayLike) -> float:
    """What the predictions cost above the true risks, in nats: 0 only when they are the truth.

    Mean Kullback-Leibler divergence of the predicted from the true risk; the expected `log_loss`
    of the predictions less that of the truth. For simulated patients, whose true risk is known.

    Source: Kullback & Leibler 1951, doi:10.1214/aoms/1177729694.
    """
    predicted, truth = (_inside(np.asarray(r, dtype=np.float64)) for r in (risk, true_risk))
    happens = truth * np.log(truth / predicted)
    happens_not = (1 - truth) * np.log((1 - truth) / (1 - predicted))
    return _mean(happens + happens_not, np.ones_like(truth))


def observed_expected(
    y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """Outcomes that happened per outcome predicted; above 1 the model foretells too few.

    Source: Debray 2017, doi:10.1136/bmj.i6460.
    """
    outcome, risks, counts = _vectors(y, risk, weights)
    return _ratio(float(counts @ outcome), float(counts @ risks))


def calibration_intercept(
    y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """The shift in log-odds that would make the average risk right (calibration-in-the-large).

    Above 0 the model foretells too little. The slope is held at 1; `calibration_line` frees it.

    Source: Van Calster 2016, doi:10.1016/j.jclinepi.2015.12.005.
    """
    outcome, risks, counts = _vectors(y, risk, weights)
    if not _two_classes(outcome):
        return math.nan
    margin, ones = logit(_inside(risks)), np.ones((len(risks), 1))
    found = logistic.fit(ones, outcome, offset=margin, weights=counts)
    return float(found.coefficients[0])


def calibration_slope(
    y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """How much of the predicted spread in log-odds is real: 1 is right, below 1 too extreme.

    The slope of `calibration_line`; NaN too where the outcomes are perfectly separated.

    Source: Cox 1958, doi:10.1093/biomet/45.3-4.562.
    """
    return calibration_line(y, risk, weights).slope


def calibration_line(
    y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> CalibrationLine:
    """The straight line, in log-odds, from what was predicted to what was observed.

    Unpenalised logistic regression of the outcome on the logit of the risk. Its intercept is not
    `calibration_intercept`: that one holds the slope at 1.
    """
    outcome, risks, counts = _vectors(y, risk, weights)
    margin = logit(_inside(risks))
    if not _two_classes(outcome) or np.ptp(margin) < SAME:
        return CalibrationLine(math.nan, math.nan)
    centre = float(margin.mean())
    columns = np.column_stack([np.ones_like(margin), margin - centre])
    found = logistic.fit(columns, outcome, offset=margin, weights=counts)
    shift, stretch = (float(c) for c in found.coefficients)
    return CalibrationLine(intercept=shift - stretch * centre, slope=1 + stretch)


@dataclass(frozen=True, slots=True)
class Measure:
    """One way of saying how good predictions are.

    Attributes:
        name: Key in records and tables.
        label: Words for people.
        function: From outcomes, risks and weights to one number.
        better: Whether higher is better, lower, or nearer to `ideal`.
        ideal: The value of a perfect (for calibration: an honest) model.
    """

    name: str
    label: str
    function: MeasureFunction
    better: Literal["higher", "lower", "nearer"]
    ideal: float

    def lead(self, value: npt.ArrayLike, rival: npt.ArrayLike) -> Vector:
        """By how much `value` is better than `rival`, in units of the measure; below 0, worse."""
        ours, theirs = np.asarray(value, dtype=np.float64), np.asarray(rival, dtype=np.float64)
        if self.better == "nearer":
            return np.asarray(np.abs(theirs - self.ideal) - np.abs(ours - self.ideal))
        return np.asarray(ours - theirs if self.better == "higher" else theirs - ours)


MEASURES: tuple[Measure, ...] = (
    Measure("auroc", "AUROC", auroc, "higher", 1.0),
    Measure("log_loss", "Log-loss (nats)", log_loss, "lower", 0.0),
    Measure("brier", "Brier score", brier, "lower", 0.0),
    Measure("scaled_brier", "Scaled Brier score", scaled_brier, "higher", 1.0),
    Measure("observed_expected", "Observed / expected", observed_expected, "nearer", 1.0),
    Measure("calibration_intercept", "Calibration intercept", calibration_intercept, "nearer", 0.0),
    Measure("calibration_slope", "Calibration slope", calibration_slope, "nearer", 1.0),
)


def _vectors(
    y: npt.ArrayLike, risk: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Vector, Vector, Vector]:
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    if weights is None:
        return outcome, risks, np.ones_like(risks)
    return outcome, risks, np.asarray(weights, dtype=np.float64)


def _concordance(
    risks: Vector, *, events: Vector, others: Vector, with_oneself: float = 0.0
) -> float:
    """Share of (event, other) pairs in order, ties one half; nobody is paired with themselves."""
    if not (len(risks) and np.isfinite(risks).all()):
        return math.nan
    order = np.argsort(risks, kind="stable")
    starts = np.flatnonzero(np.diff(risks[order], prepend=-np.inf))
    bad, good = (np.add.reduceat(side[order], starts) for side in (events, others))
    ordered = float(bad @ (np.cumsum(good) - good / 2)) - with_oneself / 2
    return _ratio(ordered, float(bad.sum() * good.sum()) - with_oneself)


def _two_classes(outcome: Vector) -> bool:
    return bool((outcome == 0).any() and (outcome == 1).any())


def _inside(risk: Vector) -> Vector:
    return np.clip(risk, EPS, 1 - EPS)


def _mean(values: Vector, counts: Vector) -> float:
    return _ratio(float(counts @ values), float(counts.sum()))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
