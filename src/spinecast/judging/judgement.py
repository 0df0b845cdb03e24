"""All that is said of predicted risks once outcomes are known, by one rule for every model.

The same record serves our own models and somebody else's: the measures of `evaluation`, DeLong's
interval, distances of the calibration curve, and, over thresholds declared beforehand, net benefit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.drawing import plots
from spinecast.errors import Problem, UsageRefused
from spinecast.files import reason, write_text
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
class Thresholds:
    """Risks between which reasonable people would act, and what acting is; named beforehand."""

    low: float
    high: float
    action: str

    def __post_init__(self) -> None:
        threshold_range(self.low, self.high)
        if not self.action.strip():
            raise ValueError("The action is blank; net benefit weighs one, so it must be named.")


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
) -> Judgement:
    """Hold predicted risks against outcomes; what cannot be computed is NaN and said in a note.

    Args:
        y: Shape (patients,): 1 had the outcome, 0 had not, NaN unknown (left out and counted).
        risk: Shape (patients,): predicted probability, NaN where none (left out and counted).
        thresholds: Declared before the results were seen; None for no decision curve.
        resamples: Bootstrap resamples of patients; see `ROWS_DRAWN` for many patients.
        seed: The same seed gives the same intervals, whatever the order of the rows.
        level: Confidence level of every interval.

    Raises:
        ValueError: Shapes that differ, outcomes other than 0/1/NaN, risks outside [0, 1].
    """
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    drawn = min(resamples, max(FEWEST_RESAMPLES, ROWS_DRAWN // max(1, len(risks))))
    performance = evaluate(outcome, risks, resamples=drawn, seed=seed, level=level)
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


def declared(text: str | None, action: str | None) -> Thresholds | None:
    """The declared thresholds of `--thresholds 0.05-0.5 --action TEXT`; None for none.

    Raises:
        UsageRefused: one is given without the other, or it is no range.
    """
    if not text and not action:
        return None
    example = 'Write --thresholds 0.05-0.5 --action "offer rehabilitation first".'
    if not text or not action:
        missing, given = ("--thresholds", "--action") if action else ("--action", "--thresholds")
        problem = Problem(missing, f"missing beside {given}", "both are declared together", example)
        raise UsageRefused("The decision curve is not declared", [problem])
    parts = text.split("-")
    low, high = (_number(parts[0]), _number(parts[1])) if len(parts) == 2 else (math.nan,) * 2
    try:
        return Thresholds(low, high, action)
    except ValueError as error:
        problem = Problem("--thresholds and --action", f"given {text!r}", str(error)[:-1], example)
        raise UsageRefused("The decision curve is not declared", [problem]) from None


def write_judged(told: Mapping[str, Any], judgement: Judgement, remark: str, folder: Path) -> None:
    """Keep a validation: `validation.json` and `calibration.svg`, each whole or not at all.

    Raises:
        UsageRefused: the folder cannot be written to.
    """
    text = json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False)
    plot = plots.calibration_plot(judgement.performance, remark=remark)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = Problem(str(folder), reason(error), "a folder that can be written to is needed")
        raise UsageRefused("The validation was not written", [problem]) from None
    write_text(folder / "validation.json", text + "\n")
    write_text(folder / "calibration.svg", plot)


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


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
