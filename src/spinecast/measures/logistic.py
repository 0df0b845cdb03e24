"""Log-odds and risk, and the smallest logistic fit that can be trusted.

A *margin* is a log-odds, any real number; a *risk* is a probability. Everything that fits one or
two numbers, or a short curve, to yes/no outcomes goes through `fit`; the model itself does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

STEPS = 50
"""Newton's method arrives in four to eleven where there is a maximum; without one it never does."""
HALVINGS = 30
"""Of a step, to a billionth: what still leads uphill is rounding."""
TOLERANCE = 1e-9
"""A step smaller than this, relative to the coefficients, is the last."""
ROUNDING = 1e-12
"""By how much a likelihood may fall, relative to itself, and be the same."""
FLAT = 1e-10
"""Least curvature, relative to the columns, at which a maximum can be told from infinity."""


@overload
def expit(margin: float) -> float: ...
@overload
def expit(margin: Vector) -> Vector: ...
def expit(margin: float | Vector) -> float | Vector:
    """The risk that belongs to a margin: 1 / (1 + exp(-margin)).

    Accurate to the last digits in both tails and silent at any size; NaN stays NaN.
    """
    if isinstance(margin, int | float):
        tail = math.exp(-abs(margin))
        return (1.0 if margin >= 0 else tail) / (1.0 + tail)
    tails = np.exp(-np.abs(margin))
    return np.asarray(np.where(margin >= 0, 1.0, tails) / (1.0 + tails), dtype=np.float64)


@overload
def logit(risk: float) -> float: ...
@overload
def logit(risk: Vector) -> Vector: ...
def logit(risk: float | Vector) -> float | Vector:
    """The margin that belongs to a risk: log(risk / (1 - risk)).

    Risks of exactly 0 and 1 give minus and plus infinity; outside [0, 1], NaN; never a warning.
    """
    if isinstance(risk, int | float):
        if 0 < risk < 1:
            return math.log(risk) - math.log1p(-risk)
        return {0.0: -math.inf, 1.0: math.inf}.get(risk, math.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(risk) - np.log1p(-risk), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """Coefficients in the order of the columns, and their covariance; all NaN where none exists."""

    coefficients: Vector
    covariance: Matrix

    @property
    def found(self) -> bool:
        """Whether a maximum exists and was reached."""
        return bool(np.isfinite(self.coefficients).all())


def fit(
    columns: Matrix,
    y: Vector,
    *,
    offset: Vector,
    weights: Vector,
    ridge: float = 0.0,
) -> LogisticFit:
    """The log-odds ratios that make the outcomes most likely, above a fixed margin.

    Maximum likelihood by Newton's method, each step halved until the likelihood does not fall.
    Where no maximum exists (one class only, outcomes that the columns separate, columns that repeat
    each other) every number of the answer is NaN. With a ridge above 0 there always is one.

    Args:
        columns: Shape (patients, coefficients). Add a column of ones for an intercept.
        y: Shape (patients,), 0 or 1, none missing.
        offset: Shape (patients,), the margin that is taken as given.
        weights: Shape (patients,), how many patients each row stands for, above 0.
        ridge: Pulls coefficients towards 0 by ridge / 2 * (sum of squares), in natural-log units.
    """
    likelihood = _Likelihood(columns, y, offset, weights, ridge)
    coefficients = np.zeros(columns.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(STEPS):
            gradient, hessian = likelihood.slopes(coefficients)
            step = _solved(hessian, gradient)
            if step is None:
                break
            if _largest(step) <= TOLERANCE * (1 + _largest(coefficients)):
                if likelihood.flat(hessian):
                    break
                covariance = np.asarray(np.linalg.inv(hessian), dtype=np.float64)
                return LogisticFit(coefficients + step, covariance)
            coefficients = coefficients + likelihood.shortened(coefficients, step)
    nothing = np.full(coefficients.shape, np.nan)
    return LogisticFit(nothing, np.full((len(nothing), len(nothing)), np.nan))


@dataclass(frozen=True, slots=True)
class _Likelihood:
    """Minus the log-likelihood, as a function of the coefficients; the names are those of `fit`."""

    columns: Matrix
    y: Vector
    offset: Vector
    weights: Vector
    ridge: float

    def loss(self, coefficients: Vector) -> float:
        margin = self.offset + self.columns @ coefficients
        surprise = self.weights @ (np.logaddexp(0.0, margin) - self.y * margin)
        return float(surprise + self.ridge / 2 * (coefficients @ coefficients))

    def slopes(self, coefficients: Vector) -> tuple[Vector, Matrix]:
        """The downhill direction, and the curvature."""
        risk = expit(self.offset + self.columns @ coefficients)
        downhill = self.columns.T @ (self.weights * (self.y - risk)) - self.ridge * coefficients
        spread = self.weights * risk * (1 - risk)
        curvature = (self.columns.T * spread) @ self.columns
        return downhill, curvature + self.ridge * np.eye(len(coefficients))

    def flat(self, curvature: Matrix) -> bool:
        """Whether some direction is so level that its maximum cannot be told from infinity."""
        if self.ridge:
            return False
        size = np.sqrt(self.weights @ self.columns**2)
        return bool(np.linalg.eigvalsh(curvature / np.outer(size, size))[0] < FLAT)

    def shortened(self, coefficients: Vector, step: Vector) -> Vector:
        """The step, halved until it leads nowhere higher than rounding can tell."""
        here = self.loss(coefficients)
        for _ in range(HALVINGS):
            if self.loss(coefficients + step) <= here + ROUNDING * (1 + abs(here)):
                break
            step = step / 2
        return step


def _largest(numbers: Vector) -> float:
    return float(np.abs(numbers).max(initial=0.0))


def _solved(hessian: Matrix, gradient: Vector) -> Vector | None:
    """The Newton step, or None where the curvature gives no direction."""
    try:
        step = np.asarray(np.linalg.solve(hessian, gradient), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return step if np.isfinite(step).all() else None
