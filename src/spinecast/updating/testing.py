"""Did anything change at the new hospital, or could the old model have given these outcomes?

The closed test of Vergouwe 2017 (doi 10.1002/sim.7179): is the model good enough as it is; if not,
with another intercept; if not, with intercept and slope? Each question asks for what the rungs
above could mend, by two statistics: the likelihood ratio of the recalibrations above, and, because
a likelihood ratio of a hundred effects means nothing in a few hundred patients, the score statistic
of effects that differ by their prior widths (Goeman 2004, doi 10.1093/bioinformatics/btg382). The
smaller of their two p-values is the statistic of the question.

What happens under "good enough" is drawn, not looked up: outcomes from the old model's own
bootstrap refits. So its own uncertainty does not count as a change, however many the new patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from spinecast.logistic import Matrix, Vector, expit

STEPS = 12
"""Newton steps of one or two numbers; they square the error, and start near the answer."""
RIDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Question:
    """A rung's p-values: recalibration, effects, and the two together, which decides."""

    recalibration: float
    effects: float
    together: float


def good_enough(
    margin: Vector,
    refits: Matrix,
    effects: Matrix | None,
    y: Vector,
    *,
    free: int,
    mended: int,
    draws: int,
    seed: int,
) -> Question:
    """Whether the old model, with `free` numbers fitted anew, could have given these outcomes.

    Args:
        margin: the old model's log-odds of the new patients, (n,).
        refits: those of its bootstrap refits, (B, n); B may be 0.
        effects: their columns times the SD by which each effect may differ, (n, K); None where no
            rung above could mend effects.
        y: their outcomes, (n,).
        free: 0 the model as it is, 1 with another intercept, 2 with intercept and slope.
        mended: how many of these the rungs above would fit, 0 to 2.
        draws: cohorts drawn.
        seed: of them.
    """
    rng = np.random.default_rng([seed, free])
    shift = _fitted(margin[None], margin, y[None], free)[0] - margin
    truth = (refits if len(refits) else margin[None]) + shift
    which = rng.integers(0, len(truth), draws)
    drawn = (rng.random((draws, len(y))) < expit(truth[which])).astype(np.float64)
    outcomes = np.vstack([y, drawn])
    null = _fitted(np.tile(margin, (len(outcomes), 1)), margin, outcomes, free)
    tails = []
    if mended > free:
        above = _fitted(null, margin, outcomes, mended)
        tails.append(_tail(2 * (_loss(null, outcomes) - _loss(above, outcomes))))
    if effects is not None:
        tails.append(_tail((((outcomes - expit(null)) @ effects) ** 2).sum(axis=1)))
    together = _tail(-np.min(tails, axis=0)) if len(tails) > 1 else tails[0]
    return Question(*(float(tail[0]) for tail in (tails[0], tails[-1], together)))


def _tail(statistic: Vector) -> Vector:
    """The share of all statistics at least as large as each; the first is the real one."""
    return np.asarray(rankdata(-np.round(statistic, 9), method="max") / len(statistic))


def _loss(margin: Matrix, y: Matrix) -> Vector:
    return np.asarray((np.logaddexp(0.0, margin) - y * margin).sum(axis=1))


def _fitted(start: Matrix, margin: Vector, y: Matrix, free: int) -> Matrix:
    """Log-odds after fitting 0, 1 or 2 numbers to each row of outcomes, (rows, n)."""
    if not free:
        return start
    design = np.column_stack([np.ones_like(margin), margin - margin.mean()])[:, :free]
    pairs = (design[:, :, None] * design[:, None, :]).reshape(len(margin), -1)
    now = np.array(start)
    for _ in range(STEPS):
        risk = expit(now)
        curvature = ((risk * (1 - risk)) @ pairs).reshape(-1, free, free) + RIDGE * np.eye(free)
        gradient = (y - risk) @ design
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        # A row of one kind only has no maximum; short steps keep it finite.
        now = now + np.clip(step, -1, 1) @ design.T
        if np.abs(step).max() < 1e-6:
            break
    return now
