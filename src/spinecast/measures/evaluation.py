"""How good predictions are on a cohort, how sure that is, and whether one model beats another.

Numbers come from `metrics.MEASURES`, intervals from a bootstrap over patients. A resample is a
count per patient, not a copy of rows: patients are put in order of risk once, and models that are
compared see the same resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinecast.measures.bootstrap import drawn
from spinecast.measures.curves import CalibrationCurve, calibration_curve
from spinecast.measures.logistic import Matrix, Vector
from spinecast.measures.metrics import MEASURES, SAME, Measure
from spinecast.measures.resampling import percentile_interval

__all__ = [
    "Comparison",
    "Difference",
    "Estimate",
    "Performance",
    "compare",
    "evaluate",
    "evaluate_all",
    "plain",
]

RESAMPLES = 500
# Dimensions of the risks of a repeated cross-validation.
REPEATED = 2
SEED = 20_250_101
LEVEL = 0.95
CAUTIONS = (
    (0, "with one kind only, most measures do not exist."),
    (9, "far too few to judge a model; the numbers are anecdotes."),
    (99, "fewer than 100 of either kind is too few for precise numbers."),
)
"""What to say when no more than so many patients had (or had not) the outcome; 100 is the usual
floor for validation. Source: Vergouwe 2005, doi:10.1016/j.jclinepi.2004.06.017; Collins 2016,
doi:10.1002/sim.6787. Ten is a convention of this program."""

Verdict = Literal["better", "worse", "not established"]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Whom an evaluation rests on, how, and what to know when reading it.

    Attributes:
        patients: Patients evaluated: outcome and risk both known.
        events: Those of them who had the outcome.
        left_out: Patients without a known outcome or without a risk.
        level: Confidence level of every interval.
        resamples: Bootstrap resamples behind the intervals.
        notes: In words, whatever a reader of these numbers must know.
    """

    patients: int
    events: int
    left_out: int
    level: float
    resamples: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, text and numbers, ready for JSON; None for what could not be computed."""
        return {name: plain(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measure with its interval; NaN for what could not be computed."""

    measure: str
    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Performance(Evaluated):
    """How good a set of predictions is, and how sure that is.

    Attributes:
        estimates: One per measure, in the order of `metrics.MEASURES`.
        curve: What a calibration plot draws.
    """

    estimates: tuple[Estimate, ...]
    curve: CalibrationCurve

    def __getitem__(self, measure: str) -> Estimate:
        """The estimate of the named measure."""
        return {estimate.measure: estimate for estimate in self.estimates}[measure]

    def table(self) -> pd.DataFrame:
        """One row per measure: measure, label, value, low, high."""
        return _frame(self.estimates, Estimate)


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much a model leads the reference model on one measure.

    `lead` above 0 means better, whichever way the measure runs; for measures with an ideal value it
    is the difference of the distances from it.
    """

    model: str
    measure: str
    label: str
    value: float
    reference_value: float
    lead: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison(Evaluated):
    """Models against a reference model, on the same patients and the same resamples."""

    reference: str
    differences: tuple[Difference, ...]

    def table(self) -> pd.DataFrame:
        """One row per model and measure, the reference model left out."""
        return _frame(self.differences, Difference)


def evaluate(
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = LEVEL,
    lost: int = 0,
) -> Performance:
    """How good these predictions were for these patients.

    Args:
        y: Shape (patients,): 1 had the outcome, 0 had not, NaN unknown (left out and counted).
        risk: Shape (patients,): predicted probability, NaN where none (left out and counted). Or
            (repeats, patients) of a repeated cross-validation: measures are means over the repeats,
            for the mean of two predictions is better than either; the curve is the first one's.
        resamples: Bootstrap resamples of patients; 0 for no intervals.
        seed: The same seed gives the same intervals, whatever the order of the rows.
        level: Confidence level of the percentile intervals.
        lost: Patients beside these whose outcome is unknown; counted with those left out.

    Raises:
        ValueError: Shapes that differ, outcomes other than 0/1/NaN, risks outside [0, 1].
    """
    seen = _seen(y, {"risk": risk}, resamples, seed, level)
    return _performance(replace(seen, left_out=seen.left_out + lost), "risk")


def evaluate_all(
    y: npt.ArrayLike,
    risks: Mapping[str, npt.ArrayLike],
    reference: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = LEVEL,
) -> tuple[dict[str, Performance], Comparison]:
    """How good each model was, and whether any beats the reference: from the same resamples.

    Arguments and errors as in `compare`; the cost is that of one of the two answers. Patients whom
    any model gave no risk are left out for all.
    """
    seen = _seen(y, {reference: risks[reference], **risks}, resamples, seed, level)
    return {name: _performance(seen, name) for name in risks}, _comparison(seen, reference)


def compare(
    y: npt.ArrayLike,
    risks: Mapping[str, npt.ArrayLike],
    reference: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = LEVEL,
) -> Comparison:
    """Whether each model is better than the reference one, patient for patient.

    Only patients whose outcome is known and who have a risk from every model take part. Arguments
    and errors as in `evaluate`; `risks` maps model names to predictions, `reference` names one
    (KeyError if not).
    """
    first = {reference: risks[reference], **risks}
    return _comparison(_seen(y, first, resamples, seed, level), reference)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Models on the same patients: every measure, on all of them and on the same resamples.

    Per model: `risks` (repeats, patients), `values` (measures,), `draws` (resamples, measures).
    """

    outcome: Vector
    left_out: int
    level: float
    resamples: int
    risks: Mapping[str, Matrix]
    values: Mapping[str, Vector]
    draws: Mapping[str, Matrix]


def _seen(
    y: npt.ArrayLike, risks: Mapping[str, npt.ArrayLike], resamples: int, seed: int, level: float
) -> _Seen:
    outcome, predicted, left_out = _known(y, risks)
    return _Seen(
        outcome=outcome,
        left_out=left_out,
        level=level,
        resamples=resamples,
        risks=predicted,
        values={name: _measured(outcome, risk) for name, risk in predicted.items()},
        draws=drawn(outcome, predicted, resamples, seed),
    )


def _performance(seen: _Seen, model: str) -> Performance:
    outcome, first = seen.outcome, seen.risks[model][0]
    intervals = [percentile_interval(column, seen.level) for column in seen.draws[model].T]
    estimates = tuple(
        Estimate(m.name, m.label, float(value), low, high)
        for m, value, (low, high) in zip(MEASURES, seen.values[model], intervals, strict=True)
    )
    return Performance(
        patients=len(outcome),
        events=int(outcome.sum()),
        left_out=seen.left_out,
        level=seen.level,
        resamples=seen.resamples,
        estimates=estimates,
        curve=calibration_curve(outcome, first, level=seen.level),
        notes=(*_notes(outcome, seen.left_out), *_gaps(first, estimates, seen.resamples)),
    )


def _comparison(seen: _Seen, reference: str) -> Comparison:
    values, draws = seen.values, seen.draws
    differences = tuple(
        _difference(
            model,
            measure,
            (float(values[model][i]), float(values[reference][i])),
            percentile_interval(
                measure.lead(draws[model][:, i], draws[reference][:, i]), seen.level
            ),
        )
        for model in values
        if model != reference
        for i, measure in enumerate(MEASURES)
    )
    return Comparison(
        reference=reference,
        patients=len(seen.outcome),
        events=int(seen.outcome.sum()),
        left_out=seen.left_out,
        level=seen.level,
        resamples=seen.resamples,
        differences=differences,
        notes=_notes(seen.outcome, seen.left_out),
    )


def _known(
    y: npt.ArrayLike, risks: Mapping[str, npt.ArrayLike]
) -> tuple[Vector, dict[str, Matrix], int]:
    """Outcomes and risks (repeats, patients) where all are known, and how many were left out.

    The patients come in an order of their own (by the first model's risk, then outcome), so that no
    answer depends on the order of rows in a file, nor the first model's on the others.
    """
    outcome = np.asarray(y, dtype=np.float64)
    predicted = {name: np.asarray(risk, dtype=np.float64) for name, risk in risks.items()}
    if not np.isin(outcome[~np.isnan(outcome)], (0, 1)).all():
        raise ValueError("y has values other than 0, 1 and NaN.")
    for name, risk in predicted.items():
        if risk.shape[-1:] != outcome.shape or risk.ndim > REPEATED or outcome.ndim != 1:
            raise ValueError(f"{name} has shape {risk.shape}, y has {outcome.shape}; rows differ.")
        if (risk < 0).any() or (risk > 1).any():
            raise ValueError(f"{name} has values outside [0, 1]; are these log-odds or per cent?")
    first, *others = predicted
    rows = np.vstack([*(predicted[name] for name in sorted(others)), outcome, predicted[first]])
    kept = np.flatnonzero(~np.isnan(rows).any(axis=0))
    kept = kept[np.lexsort(rows[:, kept])]
    known = {name: np.atleast_2d(risk)[:, kept] for name, risk in predicted.items()}
    return outcome[kept], known, len(outcome) - len(kept)


def _measured(outcome: Vector, risks: Matrix) -> Vector:
    """Every measure, mean over the repeats."""
    repeats = [[measure.function(outcome, risk, None) for measure in MEASURES] for risk in risks]
    return np.asarray(np.mean(repeats, axis=0))


def _difference(
    model: str, measure: Measure, values: tuple[float, float], interval: tuple[float, float]
) -> Difference:
    low, high = interval
    verdict: Verdict = "better" if low > 0 else "worse" if high < 0 else "not established"
    lead = float(measure.lead(*values))
    return Difference(model, measure.name, measure.label, *values, lead, low, high, verdict)


def _notes(outcome: Vector, left_out: int) -> tuple[str, ...]:
    """What the patients themselves do to the trust in any number."""
    patients, events = len(outcome), int(outcome.sum())
    notes = []
    if left_out:
        whole = patients + left_out
        notes.append(f"{left_out} of {whole} patients were left out: outcome or risk unknown.")
    if not patients:
        return (*notes, "No patient with a known outcome and a risk is left; nothing was computed.")
    fewest = min(events, patients - events)
    caution = next((words for most, words in CAUTIONS if fewest <= most), None)
    if caution:
        notes.append(f"{events} of {patients} patients had the outcome: {caution}")
    return tuple(notes)


def _gaps(risk: Vector, estimates: tuple[Estimate, ...], resamples: int) -> Iterator[str]:
    """What could not be computed, and why where that is plain."""
    if len(risk) and np.ptp(risk) < SAME:
        yield "Every patient was given the same risk; the predictions cannot rank anyone."
    missing = [e.label for e in estimates if math.isnan(e.value)]
    if missing and len(risk):
        yield f"Could not be computed: {', '.join(missing)}."
    unsure = [e.label for e in estimates if not math.isnan(e.value) and math.isnan(e.low)]
    if unsure and resamples:
        yield f"No interval, too many resamples without a value: {', '.join(unsure)}."


def _frame(rows: tuple[Any, ...], record: type[Any]) -> pd.DataFrame:
    return pd.DataFrame([asdict(r) for r in rows], columns=[f.name for f in fields(record)])


def plain(value: object) -> object:
    """The same as plain values ready for JSON: None for a number that is none.

    Records become tables of their fields but for arrays, which have an entry per patient.
    """
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return {key: plain(part) for key, part in parts.items() if not isinstance(part, np.ndarray)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value
