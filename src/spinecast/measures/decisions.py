"""Whether acting on the risks does more good than acting on everyone or no one.

A threshold is the risk from which a surgeon would act (what that means must be named beforehand):
acting at 20% says that one failure foreseen is worth four needless actions. Net benefit counts
patients rightly acted on per patient seen, less the needless ones at that rate. The range of
thresholds is declared before the results are seen, and no threshold is chosen from the curve.

Source: Vickers & Elkin 2006, doi:10.1177/0272989X06295361; Vickers 2019,
doi:10.1186/s41512-019-0064-7; interventions avoided: Vickers 2008, doi:10.1186/1472-6947-8-53.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.measures.logistic import Matrix, Vector
from spinecast.measures.resampling import percentile_interval, resampled

MOST_THRESHOLDS = 1000
"""A step so fine is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A number and the limits of its bootstrap interval; NaN limits where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What acting at one threshold brings.

    Attributes:
        threshold: Risk from which a patient is acted on, that risk included.
        acted_on: Share of patients at or above it.
        model: Net benefit of acting on them, per patient.
        treat_all: Net benefit of acting on everyone; `treat_none` is 0.
        gain: Model less the better of acting on everyone and on no one, per patient.
        avoided_per_100: Needless actions that the model saves in 100 patients, compared with acting
            on everyone, with no event missed for it; below 0, it saves none and misses events.
        treat_none: Net benefit of acting on no one.
    """

    threshold: float
    acted_on: float
    model: Limits
    treat_all: Limits
    gain: Limits
    avoided_per_100: Limits
    treat_none: float = 0.0


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Decisions over a declared range of thresholds, lowest first."""

    decisions: tuple[Decision, ...]
    patients: int
    level: float
    resamples: int


def threshold_range(low: float, high: float, step: float = 0.01) -> Vector:
    """The thresholds from `low` to `high`, both included.

    Raises:
        ValueError: Not 0 < low <= high < 1, or the step is not above 0 or leaves too many.
    """
    if not 0 < low <= high < 1:
        raise ValueError(f"Thresholds from {low} to {high}, must be 0 < low <= high < 1.")
    if not (step > 0 and (high - low) / step < MOST_THRESHOLDS):
        raise ValueError(f"step == {step}, must give 1 to {MOST_THRESHOLDS} thresholds.")
    whole = round((high - low) / step)
    if not np.isclose(low + whole * step, high):
        return np.append(np.arange(low, high, step), high)
    return np.round(np.linspace(low, high, whole + 1), 12)


def net_benefit(
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    threshold: float,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Patients rightly acted on per patient seen, less needless actions at the threshold's rate.

    At most the share of patients with the outcome; 0 is as good as acting on no one. Arguments as
    in `decision_curve`; NaN without patients or with a number missing.
    """
    return decision_curve(y, risk, [threshold], weights=weights).decisions[0].model.value


def decision_curve(
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    resamples: int = 0,
    seed: int = 0,
    level: float = 0.95,
) -> DecisionCurve:
    """What acting on these risks would bring, at every threshold of the declared range.

    Args:
        y: Shape (patients,), 1 = had the outcome, 0 = had not.
        risk: Shape (patients,), predicted probability. Where a risk or an outcome is missing,
            every number is NaN: leave such patients out before.
        thresholds: Shape (thresholds,), each above 0 and below 1.
        weights: Shape (patients,), how many patients each row stands for, above 0; 1 if not given.
        resamples: Bootstrap resamples of the rows; 0 for no intervals.
        seed: The same seed gives the same intervals, whatever the order of the rows.
        level: Confidence level of the percentile intervals, which are pointwise.

    Raises:
        ValueError: Shapes that differ, thresholds out of range, risks outside [0, 1].
    """
    outcome, risks, counts, at = _checked(y, risk, weights, thresholds)
    tally = _Tally(outcome, risks, at)
    values = tally.benefits(counts)
    drawn = np.full((resamples, *values.shape), np.nan)
    for row, times in enumerate(resampled(len(risks), resamples, seed)):
        drawn[row] = tally.benefits(times * counts)
    decisions = [
        _decision(float(at[i]), values[:, i], drawn[:, :, i], level)
        for i in np.argsort(at, kind="stable")
    ]
    return DecisionCurve(tuple(decisions), len(risks), level, resamples)


class _Tally:
    """Who lies at or above each threshold: sorted once, counted anew for each resample."""

    def __init__(self, outcome: Vector, risks: Vector, thresholds: Vector) -> None:
        self.known = bool(np.isfinite(outcome).all() and np.isfinite(risks).all())
        self.outcome = outcome
        self.first = np.searchsorted(risks, thresholds, side="left")
        self.odds = thresholds / (1 - thresholds)

    def benefits(self, counts: Vector) -> Matrix:
        """Share acted on, model, treat all, gain, avoided per 100; shape (5, thresholds)."""
        total = float(counts.sum())
        if not self.known or not total > 0:
            return np.full((5, len(self.odds)), np.nan)
        events, others = counts * self.outcome, counts * (1 - self.outcome)
        hits, alarms = (_from_here_on(side)[self.first] / total for side in (events, others))
        model = hits - alarms * self.odds
        everyone = float(events.sum()) / total - float(others.sum()) / total * self.odds
        gain = model - np.maximum(everyone, 0.0)
        avoided = 100 * (model - everyone) / self.odds
        return np.stack([hits + alarms, model, everyone, gain, avoided])


def _from_here_on(counts: Vector) -> Vector:
    """How many lie at this place or after it; one longer than the input."""
    return np.append(np.cumsum(counts[::-1])[::-1], 0.0)


def _decision(threshold: float, values: Vector, drawn: Matrix, level: float) -> Decision:
    """One threshold: values of shape (5,), draws of shape (resamples, 5)."""
    intervals = [percentile_interval(column, level) for column in drawn.T]
    _, model, treat_all, gain, avoided = (
        Limits(float(value), *interval) for value, interval in zip(values, intervals, strict=True)
    )
    return Decision(threshold, float(values[0]), model, treat_all, gain, avoided)


def _checked(
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    thresholds: npt.ArrayLike,
) -> tuple[Vector, Vector, Vector, Vector]:
    """Outcomes, risks and weights in order of risk, and the thresholds."""
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    counts = np.ones_like(risks) if weights is None else np.asarray(weights, dtype=np.float64)
    at = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if outcome.ndim != 1 or not outcome.shape == risks.shape == counts.shape:
        shapes = f"y {outcome.shape}, risk {risks.shape}, weights {counts.shape}"
        raise ValueError(f"Shapes differ: {shapes}; one row per patient.")
    if not ((at > 0) & (at < 1)).all():
        raise ValueError("Thresholds must lie above 0 and below 1.")
    if (risks < 0).any() or (risks > 1).any():
        raise ValueError("Risks lie outside [0, 1]; are these log-odds or per cent?")
    order = np.lexsort((counts, outcome, risks))
    return outcome[order], risks[order], counts[order], at
