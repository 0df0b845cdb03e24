"""Every measure on many resamples at once: what `metrics` says one by one, a table at a time.

A resample is a count per patient. Counts of many resamples are a matrix, and most measures are a
product of it with what each patient costs, worked out once. Intercept and slope are fitted by
Newton's method for all resamples together, from the answer on all patients; where that does not
settle (separated outcomes and the like) the one-by-one function has the last word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Self

import numpy as np
import numpy.typing as npt

from spinecast.measures.logistic import FLAT, Matrix, Vector, expit, logit
from spinecast.measures.metrics import (
    EPS,
    MEASURES,
    SAME,
    Measure,
    calibration_intercept,
    calibration_line,
    surprises,
)
from spinecast.measures.resampling import resampled

CELLS_AT_ONCE = 2_000_000
"""Counts held in memory together, 16 MB a matrix."""
STEPS = 12
"""From the answer on all patients a resample takes three or four; the rest are fitted alone."""
ARRIVED = 1e-6
"""A step smaller than this, relative to the coefficients, is the last: Newton's method squares what
is left of the way, so that is less than a billionth."""
DOUBTFUL = 100 * FLAT
"""Below this curvature (relative) the one-by-one fit decides whether there is a maximum."""


def drawn(
    outcome: Vector, risks: Mapping[str, Matrix], resamples: int, seed: int
) -> dict[str, Matrix]:
    """Every measure of every model on the same resamples; per model, (resamples, measures).

    Args:
        outcome: Shape (patients,), 0 or 1, none missing.
        risks: Per model, (repeats, patients); measures are means over the repeats.
        resamples: How many.
        seed: Of the draws, which go by the order of the patients.
    """
    found = {name: np.full((resamples, len(MEASURES)), np.nan) for name in risks}
    models = {name: [_Ranked.of(outcome, own) for own in risk] for name, risk in risks.items()}
    done = 0
    for counts in _blocks(len(outcome), resamples, seed):
        lot = slice(done, done + len(counts))
        for name, repeats in models.items():
            found[name][lot] = np.mean([ranked.measured(counts) for ranked in repeats], axis=0)
        done = lot.stop
    return found


def _blocks(patients: int, resamples: int, seed: int) -> Iterator[Matrix]:
    """Counts of some resamples at a time, (some, patients)."""
    counts = resampled(patients, resamples, seed)
    some = max(1, CELLS_AT_ONCE // max(1, patients))
    while block := list(islice(counts, some)):
        yield np.array(block, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Patients in order of one model's risk, and what each of them costs.

    Attributes:
        order: Their places, (n,).
        y: Outcomes, (n,).
        risk: (n,), lowest first.
        margin: Log-odds, (n,).
        losses: What is summed over patients, (n, 5): one each, outcome, risk, squared error,
            surprise.
        first: Where a new risk begins.
        intercept: Calibration intercept on all patients; NaN where there is none.
        line: Intercept and slope less 1 of the calibration line, around `centre`.
        centre: Mean margin.
    """

    order: npt.NDArray[np.intp]
    y: Vector
    risk: Vector
    margin: Vector
    losses: Matrix
    first: npt.NDArray[np.intp]
    intercept: float
    line: Vector
    centre: float

    @classmethod
    def of(cls, outcome: Vector, risk: Vector) -> Self:
        order = np.argsort(risk, kind="stable")
        y, risk = outcome[order], risk[order]
        margin = logit(np.clip(risk, EPS, 1 - EPS))
        centre = float(margin.mean()) if len(margin) else 0.0
        intercept, slope = calibration_line(y, risk)
        return cls(
            order=order,
            y=y,
            risk=risk,
            margin=margin,
            losses=np.column_stack([np.ones_like(y), y, risk, (risk - y) ** 2, surprises(y, risk)]),
            first=np.flatnonzero(np.diff(risk, prepend=-np.inf)),
            intercept=calibration_intercept(y, risk),
            line=np.array([intercept + (slope - 1) * centre, slope - 1]),
            centre=centre,
        )

    def measured(self, counts: Matrix) -> Matrix:
        """Every measure of these resamples, (resamples, measures)."""
        counts = counts[:, self.order]
        sums = counts @ self.losses
        columns = []
        for measure in MEASURES:
            at_once = _AT_ONCE.get(measure.name)
            if at_once is None:
                columns.append(self._one_by_one(measure, counts))
                continue
            column = at_once(self, counts, sums)
            again = np.flatnonzero(np.isinf(column))
            column[again] = self._one_by_one(measure, counts[again])
            columns.append(column)
        return np.column_stack(columns)

    def _one_by_one(self, measure: Measure, counts: Matrix) -> Vector:
        present = [row > 0 for row in counts]
        return np.array(
            [
                measure.function(self.y[at], self.risk[at], row[at])
                for at, row in zip(present, counts, strict=True)
            ]
        )

    def auroc(self, counts: Matrix, sums: Matrix) -> Vector:
        events = counts * self.y
        others = counts - events
        if len(self.first) < len(self.y):
            events, others = (np.add.reduceat(s, self.first, axis=1) for s in (events, others))
        ordered = np.einsum("ij,ij->i", events, np.cumsum(others, axis=1) - others / 2)
        return _ratio(ordered, sums[:, 1] * (sums[:, 0] - sums[:, 1]))

    def log_loss(self, _: Matrix, sums: Matrix) -> Vector:
        return _ratio(sums[:, 4], sums[:, 0])

    def brier(self, _: Matrix, sums: Matrix) -> Vector:
        return _ratio(sums[:, 3], sums[:, 0])

    def scaled_brier(self, counts: Matrix, sums: Matrix) -> Vector:
        average = _ratio(sums[:, 1], sums[:, 0])
        return 1 - _ratio(self.brier(counts, sums), average * (1 - average))

    def observed_expected(self, _: Matrix, sums: Matrix) -> Vector:
        return _ratio(sums[:, 1], sums[:, 2])

    def calibration_intercept(self, counts: Matrix, sums: Matrix) -> Vector:
        ones = np.ones((len(self.y), 1))
        return self._fitted(ones, np.array([self.intercept]), counts, sums)

    def calibration_slope(self, counts: Matrix, sums: Matrix) -> Vector:
        columns = np.column_stack([np.ones_like(self.margin), self.margin - self.centre])
        return 1 + self._fitted(columns, self.line, counts, sums)

    def _fitted(self, columns: Matrix, start: Vector, counts: Matrix, sums: Matrix) -> Vector:
        """The last coefficient for each resample; infinite where it is to be fitted alone."""
        found = np.full(len(counts), np.inf)
        found[(sums[:, 1] == 0) | (sums[:, 1] == sums[:, 0])] = math.nan
        if not np.isfinite(start).all() or np.ptp(self.margin) < SAME:
            return found
        running = np.flatnonzero(np.isinf(found))
        theta = np.tile(start, (len(running), 1))
        squares = columns[:, :, None] * columns[:, None, :]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for _ in range(STEPS):
                own = counts[running]
                risk = expit(self.margin + theta @ columns.T)
                downhill = (own * (self.y - risk)) @ columns
                curvature = np.tensordot(own * (risk * (1 - risk)), squares, 1)
                size = np.sqrt(own @ columns**2)
                step, steady = _step(curvature, downhill, size)
                theta = theta + step
                small = np.abs(step).max(axis=1) <= ARRIVED * (1 + np.abs(theta).max(axis=1))
                found[running[small & steady]] = theta[small & steady, -1]
                left = ~small & steady
                running, theta = running[left], theta[left]
                if not len(running):
                    break
        return found


_AT_ONCE: Mapping[str, Callable[[_Ranked, Matrix, Matrix], Vector]] = MappingProxyType(
    {
        "auroc": _Ranked.auroc,
        "log_loss": _Ranked.log_loss,
        "brier": _Ranked.brier,
        "scaled_brier": _Ranked.scaled_brier,
        "observed_expected": _Ranked.observed_expected,
        "calibration_intercept": _Ranked.calibration_intercept,
        "calibration_slope": _Ranked.calibration_slope,
    }
)
"""From resamples in order of risk (counts, sums) to one number each; a measure that is not here is
computed one resample at a time."""


def _step(
    curvature: Matrix, downhill: Matrix, size: Matrix
) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """Newton steps of one or two coefficients, and whether the curvature can be trusted."""
    relative = curvature / (size[:, :, None] * size[:, None, :])
    if curvature.shape[1] == 1:
        return downhill / curvature[:, 0], relative[:, 0, 0] > DOUBTFUL
    a, b, d = curvature[:, 0, 0], curvature[:, 0, 1], curvature[:, 1, 1]
    determinant = a * d - b * b
    first = (d * downhill[:, 0] - b * downhill[:, 1]) / determinant
    second = (a * downhill[:, 1] - b * downhill[:, 0]) / determinant
    half, apart = (relative[:, 0, 0] + relative[:, 1, 1]) / 2, relative[:, 0, 0] - relative[:, 1, 1]
    smallest = half - np.sqrt(apart**2 / 4 + relative[:, 0, 1] ** 2)
    return np.column_stack([first, second]), smallest > DOUBTFUL


def _ratio(part: Vector, whole: Vector) -> Vector:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, math.nan))
