"""Logistic regression that starts from what is known: a prior for each coefficient, and its sign.

The fit needs only sums over patients (log-likelihood, gradient, curvature), so a cohort may come in
pieces: in files larger than memory, from several machines, from several hospitals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

STEPS = 60
HALVINGS = 30
TOLERANCE = 1e-9
FARTHEST = 5.0
"""Log-odds by which one step may shift everybody: farther, and no patient's risk moves any more."""
LEAST_CURVATURE = 1e-6
"""Of the intercept, where next to no patient's risk moves; `FARTHEST` then limits the step."""


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


Pieces: TypeAlias = Callable[[FloatArray], Sums]
"""The sums of a whole cohort at given coefficients (1 + K,)."""


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
    """The most probable coefficients given prior and patients, and how sure they are.

    `patients` is what the patients alone say there (gradient and curvature, without the prior).
    """

    intercept: float
    beta: FloatArray
    curvature: FloatArray
    converged: bool
    patients: Sums

    @property
    def theta(self) -> FloatArray:
        """Intercept and coefficients in one, to start a neighbouring fit from."""
        return np.concatenate([[self.intercept], self.beta])

    def towards(self, belief: Belief) -> FloatArray:
        """Where another belief about the same patients leads, to start its fit from.

        One Newton step with what the patients said here: it costs no look at them.
        """
        lower, upper, precision, mean = _with_free_intercept(belief)
        theta = np.clip(self.theta, lower, upper)
        gradient = self.patients.gradient + self.patients.curvature @ (theta - self.theta)
        gradient += precision * (theta - mean)
        told = Sums(0.0, gradient, self.patients.curvature + np.diag(precision))
        return np.asarray(theta + _step(told, theta, lower, upper))

    def margin(self, columns: FloatArray) -> FloatArray:
        """Log-odds of rows of columns, (n, K) to (n,)."""
        return np.asarray(self.intercept + columns @ self.beta)


def with_intercept(columns: FloatArray) -> FloatArray:
    """Columns behind a leading column of ones, as `sums` wants them."""
    return np.column_stack([np.ones(len(columns)), columns])


def sums(
    design: FloatArray,
    y: FloatArray,
    theta: FloatArray,
    offset: FloatArray | float = 0.0,
    times: FloatArray | float = 1.0,
) -> Sums:
    """The sums of one piece: `design` (n, 1 + K) with a leading one, `y` 0/1 (n,), at `theta`.

    Each row counts `times` (n,), as often as a patient was drawn.
    """
    margin = design @ theta + offset
    risk = 0.5 * (1.0 + np.tanh(0.5 * margin))
    loss = float((times * (np.logaddexp(0.0, margin) - y * margin)).sum())
    # A matrix times itself costs half of what two different ones do.
    scaled = design * np.sqrt(times * risk * (1.0 - risk))[:, None]
    return Sums(loss, design.T @ (times * (risk - y)), scaled.T @ scaled)


def fit(
    pieces: Pieces,
    belief: Belief,
    start: FloatArray | None = None,
    tolerance: float = TOLERANCE,
) -> Posterior:
    """Maximum a posteriori coefficients within their allowed ranges.

    Newton's method on a box: each step minimises the quadratic model exactly within the bounds,
    then is halved until the objective falls, so that a level all of whose patients failed cannot
    throw it off (a plain Newton step diverges there).

    Args:
        pieces: the sums of the whole cohort at given coefficients (1 + K,).
        belief: prior and bounds of the K coefficients.
        start: coefficients to start from, e.g. those of a neighbouring fit; it changes how fast the
            answer is found, not the answer.
        tolerance: how far a step may still lower the loss, as a share of it, for the fit to end.
    """
    if start is not None:
        found = _descend(pieces, belief, start, tolerance)
        # A start so far off that no patient's risk moves any more leads nowhere.
        if found.converged:
            return found
    return _descend(pieces, belief, None, tolerance)


def _descend(
    pieces: Pieces, belief: Belief, start: FloatArray | None, tolerance: float
) -> Posterior:
    """Newton steps from a start, or from what is believed."""
    lower, upper, precision, mean = _with_free_intercept(belief)

    def objective(theta: FloatArray) -> Sums:
        away = theta - mean
        pull = precision * away
        return pieces(theta) + Sums(0.5 * float(away @ pull), pull, np.diag(precision))

    theta = np.clip(mean if start is None else start, lower, upper)
    now = objective(theta)
    for _ in range(STEPS):
        step = _step(now, theta, lower, upper)
        fall = -float(now.gradient @ step)
        if fall <= tolerance * (1.0 + abs(now.loss)):
            # The last step is too small to be doubted, and it squares the error that is left.
            then = np.clip(theta + step, lower, upper)
            return _found(theta, then, now, precision, mean, converged=True)
        size = 1.0
        tried = objective(theta + step)
        while tried.loss > now.loss - 1e-4 * size * fall and size > 0.5**HALVINGS:
            size *= 0.5
            tried = objective(theta + size * step)
        theta, now = theta + size * step, tried
    return _found(theta, theta, now, precision, mean, converged=False)


def _with_free_intercept(
    belief: Belief,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Lower and upper bounds, precisions and means of all coefficients, the intercept's first."""
    return (
        np.concatenate([[-np.inf], belief.lower]),
        np.concatenate([[np.inf], belief.upper]),
        np.concatenate([[0.0], belief.sd**-2.0]),
        np.concatenate([[0.0], belief.mean]),
    )


def _step(told: Sums, theta: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Newton's step within the bounds; nothing but `FARTHEST` bounds the intercept."""
    curvature = told.curvature.copy()
    curvature[0, 0] = max(curvature[0, 0], LEAST_CURVATURE)
    down, up = lower - theta, upper - theta
    down[0], up[0] = -FARTHEST, FARTHEST
    return box_minimum(curvature, told.gradient, down, up)


def _found(
    seen_at: FloatArray,
    theta: FloatArray,
    objective: Sums,
    precision: FloatArray,
    mean: FloatArray,
    *,
    converged: bool,
) -> Posterior:
    """The answer `theta`; the patients' share of the objective, last seen nearby, taken there."""
    curvature = objective.curvature - np.diag(precision)
    gradient = objective.gradient - precision * (seen_at - mean) + curvature @ (theta - seen_at)
    return Posterior(
        float(theta[0]),
        theta[1:],
        objective.curvature,
        converged,
        Sums(objective.loss, gradient, curvature),
    )


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
    from scipy.optimize import lsq_linear  # dear to import, and next to never needed

    root = np.linalg.cholesky(curvature)
    target = -np.linalg.solve(root, gradient)
    return np.asarray(lsq_linear(root.T, target, bounds=(lower, upper), tol=1e-12).x)
