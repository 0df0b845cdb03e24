"""Logistic regression that starts from what is known: a prior for each coefficient, and its sign.

The fit needs only sums over patients (log-likelihood, gradient, curvature), so a cohort may come in
pieces: in files larger than memory, from several machines, from several hospitals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

FloatArray = npt.NDArray[np.float64]

STEPS = 60
HALVINGS = 30
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Sums:
    """What one piece of a cohort says about the coefficients; pieces add up.

    The first coefficient is the intercept: gradient (1 + K,), curvature (1 + K, 1 + K).
    """

    loss: float
    gradient: FloatArray
    curvature: FloatArray

    def __add__(self, other: Sums) -> Sums:
        """The sums of two pieces together."""
        return Sums(
            self.loss + other.loss,
            self.gradient + other.gradient,
            self.curvature + other.curvature,
        )


@dataclass(frozen=True, slots=True)
class Belief:
    """A normal prior and an allowed range for each coefficient, (K,); the intercept is free."""

    mean: FloatArray
    sd: FloatArray
    lower: FloatArray
    upper: FloatArray

    def without_bounds(self) -> Belief:
        """The same prior where a cohort may contradict a declared direction."""
        nowhere = np.full(len(self.mean), np.inf)
        return Belief(self.mean, self.sd, -nowhere, nowhere)


@dataclass(frozen=True, slots=True)
class Posterior:
    """The most probable coefficients given prior and patients, and how sure they are."""

    intercept: float
    beta: FloatArray
    curvature: FloatArray
    converged: bool

    @property
    def theta(self) -> FloatArray:
        """Intercept and coefficients in one, to start a neighbouring fit from."""
        return np.concatenate([[self.intercept], self.beta])

    def margin(self, columns: FloatArray) -> FloatArray:
        """Log-odds of rows of columns, (n, K) to (n,)."""
        return np.asarray(self.intercept + columns @ self.beta)


def with_intercept(columns: FloatArray) -> FloatArray:
    """Columns behind a leading column of ones, as `sums` wants them."""
    return np.column_stack([np.ones(len(columns)), columns])


def sums(
    design: FloatArray, y: FloatArray, theta: FloatArray, offset: FloatArray | float = 0.0
) -> Sums:
    """The sums of one piece: `design` (n, 1 + K) with a leading one, `y` 0/1 (n,), at `theta`."""
    margin = design @ theta + offset
    risk = 0.5 * (1.0 + np.tanh(0.5 * margin))
    loss = float(np.logaddexp(0.0, margin).sum() - y @ margin)
    weighted = design * (risk * (1.0 - risk))[:, None]
    return Sums(loss, design.T @ (risk - y), design.T @ weighted)


def fit(
    pieces: Callable[[FloatArray], Sums], belief: Belief, start: FloatArray | None = None
) -> Posterior:
    """Maximum a posteriori coefficients within their allowed ranges.

    Newton's method on a box: each step minimises the quadratic model exactly within the bounds,
    then is halved until the objective falls, so that a level all of whose patients failed cannot
    throw it off (a plain Newton step diverges there).

    Args:
        pieces: the sums of the whole cohort at given coefficients (1 + K,).
        belief: prior and bounds of the K coefficients.
        start: coefficients to start from, e.g. those of a neighbouring fit.
    """
    lower = np.concatenate([[-np.inf], belief.lower])
    upper = np.concatenate([[np.inf], belief.upper])
    precision = np.concatenate([[0.0], belief.sd**-2.0])
    mean = np.concatenate([[0.0], belief.mean])

    def objective(theta: FloatArray) -> Sums:
        away = theta - mean
        pull = precision * away
        return pieces(theta) + Sums(0.5 * float(away @ pull), pull, np.diag(precision))

    theta = np.clip(mean if start is None else start, lower, upper)
    now = objective(theta)
    for _ in range(STEPS):
        step = box_minimum(now.curvature, now.gradient, lower - theta, upper - theta)
        fall = -float(now.gradient @ step)
        if fall <= TOLERANCE * (1.0 + abs(now.loss)):
            # The last step is too small to be doubted, and it squares the error that is left.
            theta = np.clip(theta + step, lower, upper)
            return Posterior(float(theta[0]), theta[1:], now.curvature, converged=True)
        size = 1.0
        then = objective(theta + step)
        while then.loss > now.loss - 1e-4 * size * fall and size > 0.5**HALVINGS:
            size *= 0.5
            then = objective(theta + size * step)
        theta, now = theta + size * step, then
    return Posterior(float(theta[0]), theta[1:], now.curvature, converged=False)


def box_minimum(
    curvature: FloatArray, gradient: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """The d within bounds that minimises gradient.d + d.curvature.d / 2.

    Primal-dual active set (Hintermueller, Ito & Kunisch 2002, doi 10.1137/S1052623401383558): guess
    which bounds hold, solve for the rest, correct the guess. It settles in a few rounds; should it
    cycle, scipy's bounded least squares takes over.
    """
    low = np.zeros(len(gradient), dtype=bool)
    high = np.zeros(len(gradient), dtype=bool)
    for _ in range(len(gradient)):
        held = low | high
        d = np.where(low, lower, np.where(high, upper, 0.0))
        push = gradient[~held] + curvature[np.ix_(~held, held)] @ d[held]
        d[~held] = -np.linalg.solve(curvature[np.ix_(~held, ~held)], push)
        pull = -(gradient + curvature @ d)
        now_low = (~held & (d < lower)) | (low & (pull < 0))
        now_high = (~held & (d > upper)) | (high & (pull > 0))
        if np.array_equal(now_low, low) and np.array_equal(now_high, high):
            return np.clip(d, lower, upper)
        low, high = now_low, now_high
    root = np.linalg.cholesky(curvature)
    target = -np.linalg.solve(root, gradient)
    return np.asarray(lsq_linear(root.T, target, bounds=(lower, upper), tol=1e-12).x)
