"""Two numbers that make a model's risks fit another hospital, and the way back to risks.

A model's margin is shifted and stretched, never bent: order between patients stays, and an
explanation that adds up before recalibration still adds up after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from spinecast.errors import DataRefused, ModelRefused, Problem
from spinecast.measures import logistic
from spinecast.measures.logistic import Vector, expit, logit

__all__ = ["IDENTITY", "RIDGE", "Recalibration", "expit", "logit", "secant"]

RIDGE = 1e-4
"""Pull of a recalibration towards the identity, in patients' worth of information (see `fit`)."""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """New margin = intercept + slope * margin, on the log-odds scale.

    Attributes:
        intercept: Shift; above 0 where the model's risks are too low.
        slope: Stretch; below 1 where the model's risks are too extreme. Always above 0.

    Raises:
        ModelRefused: The slope is not above 0, or a number is missing or infinite.
    """

    intercept: float = 0.0
    slope: float = 1.0

    def __post_init__(self) -> None:
        problems = [
            Problem(f"recalibration {name}", f"{value:.4g}", allowed, "Retrain instead.")
            for name, value, allowed, good in (
                ("intercept", self.intercept, "must be a finite number", True),
                ("slope", self.slope, "must be a finite number above 0", self.slope > 0),
            )
            if not (good and math.isfinite(value))
        ]
        if problems:
            raise ModelRefused("This recalibration cannot be used", problems)

    @overload
    def apply(self, margin: float) -> float: ...
    @overload
    def apply(self, margin: Vector) -> Vector: ...
    def apply(self, margin: float | Vector) -> float | Vector:
        """The recalibrated margin, on the log-odds scale; NaN stays NaN."""
        return self.intercept + self.slope * margin

    @classmethod
    def fit(cls, margin: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """The shift and stretch under which these outcomes are most likely.

        Logistic recalibration by maximum likelihood, with a pull towards the identity of `RIDGE`
        patients' worth of information: nothing to a cohort (it moves the fifth digit in 200
        patients), but it keeps the answer finite where the outcomes are perfectly separated, and
        leaves the slope at 1 where every patient has the same margin.

        Args:
            margin: Shape (patients,), log-odds, finite.
            y: Shape (patients,), 0 or 1. Missing outcomes must be left out before.

        Raises:
            DataRefused: Not at least one patient with and one without the outcome.
            ModelRefused: The slope came out at 0 or below: the model ranks patients upside down.

        Source: Cox 1958, doi:10.1093/biomet/45.3-4.562; Vergouwe 2017, doi:10.1002/sim.7179.
        """
        margins, outcome = np.asarray(margin, dtype=np.float64), np.asarray(y, dtype=np.float64)
        _refuse_one_class(outcome)
        centre = float(margins.mean())
        columns = np.column_stack([np.ones_like(margins), margins - centre])
        found = logistic.fit(
            columns, outcome, offset=margins, weights=np.ones_like(margins), ridge=RIDGE
        )
        shift, stretch = (float(c) for c in found.coefficients)
        if 1 + stretch <= 0:
            raise ModelRefused("The model cannot be recalibrated here", [_upside_down(1 + stretch)])
        return cls(intercept=shift - stretch * centre, slope=1 + stretch)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Self:
        """The record that `to_dict` wrote."""
        return cls(intercept=float(values["intercept"]), slope=float(values["slope"]))

    def to_dict(self) -> dict[str, float]:
        """Two numbers with their names, for a model folder."""
        return {"intercept": self.intercept, "slope": self.slope}


IDENTITY = Recalibration()


@overload
def secant(margin: float, reference_margin: float) -> float: ...
@overload
def secant(margin: Vector, reference_margin: float | Vector) -> Vector: ...
def secant(margin: float | Vector, reference_margin: float | Vector) -> float | Vector:
    """How much risk one unit of log-odds is worth on the way from the reference patient.

    (expit(a) - expit(b)) / (a - b), the Aumann-Shapley rate that turns contributions to the margin
    into contributions to the risk which add up exactly. Symmetric in a and b. The quotient loses
    all its digits where a is near b; here instead, with D = |a - b|,

        sinhc(D/2) / (4 cosh(a/2) cosh(b/2))
            = exp(-m) (1 - exp(-D)) / D / ((1 + exp(-|a|)) (1 + exp(-|b|)))

    where m is the smaller of |a| and |b| if both lie on the same side of 0, else 0. No term can
    overflow. At a = b it is the slope of the risk curve, risk * (1 - risk).

    Args:
        margin: Log-odds of the patient(s), a number or shape (patients,); finite.
        reference_margin: Log-odds of the reference patient, likewise.

    Returns:
        Above 0 and at most 1/4 (0 only where both margins lie beyond 745 on the same side).

    Source: Aumann & Shapley 1974, Values of Non-Atomic Games; Sundararajan 2017, arXiv:1703.01365.
    """
    if isinstance(margin, int | float) and isinstance(reference_margin, int | float):
        return _secant_of_one(margin, reference_margin)
    a, b = np.asarray(margin, dtype=np.float64), np.asarray(reference_margin, dtype=np.float64)
    distance = np.abs(a - b)
    apart = np.where(distance > 0, distance, 1.0)
    mean_tail = np.where(distance > 0, -np.expm1(-apart) / apart, 1.0)
    far_a, far_b = np.abs(a), np.abs(b)
    nearer = np.where((a > 0) == (b > 0), np.minimum(far_a, far_b), 0.0)
    nearer = np.where(np.isnan(distance), np.nan, nearer)
    return np.asarray(np.exp(-nearer) * mean_tail / ((1 + np.exp(-far_a)) * (1 + np.exp(-far_b))))


def _secant_of_one(a: float, b: float) -> float:
    """`secant` for one patient, without the cost of arrays."""
    distance, far_a, far_b = abs(a - b), abs(a), abs(b)
    mean_tail = -math.expm1(-distance) / distance if distance else 1.0
    nearer = min(far_a, far_b) if (a > 0) == (b > 0) else 0.0
    return math.exp(-nearer) * mean_tail / ((1 + math.exp(-far_a)) * (1 + math.exp(-far_b)))


def _refuse_one_class(outcome: Vector) -> None:
    events, patients = int(outcome.sum()), len(outcome)
    if 0 < events < patients:
        return
    problem = Problem(
        "recalibration",
        f"{events} of {patients} patients had the outcome",
        "at least one patient with and one without it is needed",
        "Wait for more follow-up.",
    )
    raise DataRefused("These patients cannot recalibrate a model", [problem])


def _upside_down(slope: float) -> Problem:
    return Problem(
        "calibration slope",
        f"{slope:.3f}: patients with higher predicted risk had the outcome less often",
        "must be above 0",
        "Check that the outcome is coded 1 = yes and the columns are the right ones; else retrain.",
    )
