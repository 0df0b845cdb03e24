"""All that is said of predicted risks once outcomes are known, by one rule for every model.

The same record serves our own models and somebody else's: the measures of `evaluation`, DeLong's
interval, distances of the calibration curve, and, over thresholds declared beforehand, net benefit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.judging.thresholds import Thresholds
from spinecast.measures.decisions import DecisionCurve, decision_curve, threshold_range
from spinecast.measures.delong import AurocInterval, auroc_interval
from spinecast.measures.distances import DistanceIntervals, distance_intervals
from spinecast.measures.evaluation import LEVEL, RESAMPLES, SEED, Performance, evaluate, plain
from spinecast.measures.logistic import Vector

ROWS_DRAWN = 20_000_000
FEWEST_RESAMPLES = 50
"""Patients times resamples: above 40,000 patients fewer than the usual 500 are drawn, 50 at least;
every record says how many."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good predicted risks were.

    Attributes:
        performance: The measures with bootstrap intervals, and the calibration curve.
        auroc: The AUROC with DeLong's interval.
        distances: ICI, E50, E90 and Emax with bootstrap intervals.
        thresholds: What was declared; None when nothing was.
        decisions: Net benefit over those thresholds; None without them.
        notes: In words, whatever a reader of these numbers must know.
    """

    performance: Performance
    auroc: AurocInterval
    distances: DistanceIntervals
    thresholds: Thresholds | None
    decisions: DecisionCurve | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; None for what could not be computed."""
        told: dict[str, Any] = {
            "performance": self.performance.to_dict(),
            "auroc_delong": asdict(self.auroc),
            "calibration_distances": asdict(self.distances),
            "decision_curve": None,
        }
        if self.thresholds is not None and self.decisions is not None:
            told["decision_curve"] = {
                "action": self.thresholds.action,
                "in_words": _in_words(self.thresholds, self.decisions),
                "net_benefit": [asdict(decision) for decision in self.decisions.decisions],
                "patients": self.decisions.patients,
                "level": self.decisions.level,
                "resamples": self.decisions.resamples,
            }
        return {key: plain(value) for key, value in told.items()}


def judge(
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    thresholds: Thresholds | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = LEVEL,
    lost: int = 0,
) -> Judgement:
    """Hold predicted risks against outcomes; what cannot be computed is NaN and said in a note.

    Args:
        y: Shape (patients,): 1 had the outcome, 0 had not, NaN unknown (left out and counted).
        risk: Shape (patients,): predicted probability, NaN where none (left out and counted).
        thresholds: Declared before the results were seen; None for no decision curve.
        resamples: Bootstrap resamples of patients; see `ROWS_DRAWN` for many patients.
        seed: The same seed gives the same intervals, whatever the order of the rows.
        level: Confidence level of every interval.
        lost: Patients beside these whose outcome is unknown; counted with those left out.

    Raises:
        ValueError: Shapes that differ, outcomes other than 0/1/NaN, risks outside [0, 1].
    """
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    patients = int((~np.isnan(outcome)).sum())
    drawn = min(resamples, max(FEWEST_RESAMPLES, ROWS_DRAWN // max(1, patients)))
    performance = evaluate(outcome, risks, resamples=drawn, seed=seed, level=level, lost=lost)
    known = ~(np.isnan(outcome) | np.isnan(risks))
    outcome, risks = outcome[known], risks[known]
    found = distance_intervals(outcome, risks, resamples=drawn, seed=seed, level=level)
    decisions = None
    if thresholds is not None:
        at = threshold_range(thresholds.low, thresholds.high)
        decisions = decision_curve(outcome, risks, at, resamples=drawn, seed=seed, level=level)
    area = auroc_interval(outcome, risks, level=level)
    notes = (*performance.notes, *_notes(outcome, risks, area, found))
    return Judgement(performance, area, found, thresholds, decisions, notes)


def _notes(
    outcome: Vector, risks: Vector, area: AurocInterval, found: DistanceIntervals
) -> Iterator[str]:
    """What `evaluate` does not say: certain risks, and what had no value or no interval."""
    certain = (risks == 0) | (risks == 1)
    if certain.any():
        wrong = int((certain & (risks != outcome)).sum())
        yield (
            f"{int(certain.sum()):,} of {len(risks):,} patients were given a risk of exactly 0 or "
            f"1; {wrong:,} of these turned out otherwise. Each such error costs 36 nats, and "
            "log-loss, calibration slope and calibration curve hang on them."
        )
    if len(risks) and math.isnan(found.value.ici):
        yield "No calibration curve could be fitted, so there are no ICI, E50, E90 and Emax."
    if not math.isnan(area.value) and math.isnan(area.standard_error):
        yield (
            "DeLong's interval does not exist: every pair of patients is in order, or fewer than "
            "two patients had (or had not) the outcome."
        )


def _in_words(thresholds: Thresholds, curve: DecisionCurve) -> str:
    """Over which thresholds acting on the risks did more good than acting on all or none."""
    better = [d.threshold for d in curve.decisions if d.gain.value > 0]
    sure = [d.threshold for d in curve.decisions if d.gain.low > 0]
    declared = f"the declared thresholds {thresholds.low:.0%} to {thresholds.high:.0%}"
    start = f"Action: {thresholds.action.strip().rstrip('.')}. Over {declared}"
    if not curve.decisions or not any(math.isfinite(d.gain.value) for d in curve.decisions):
        return f"{start}, net benefit could not be computed."
    whole = len(curve.decisions)
    return (
        f"{start}, acting on the risks had a higher net benefit than acting on everyone and on no "
        f"one at {len(better)} of {whole} thresholds{_spanned(better)}; the interval excludes no "
        f"gain at {len(sure)} of {whole}{_spanned(sure)}. Intervals are pointwise."
    )


def _spanned(thresholds: list[float]) -> str:
    return f" ({min(thresholds):.0%} to {max(thresholds):.0%})" if thresholds else ""
