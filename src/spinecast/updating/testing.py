"""Did anything change at the new hospital, or could the old model have given these outcomes?

The closed test of Vergouwe 2017 (doi 10.1002/sim.7179): is the model good enough as it is; if not,
with another intercept; if not, with intercept and slope? Each question is asked of what the rungs
above could mend, by two statistics:

- the likelihood ratio of the recalibrations above;
- because a likelihood ratio of a hundred effects means nothing in a few hundred patients, a score
  statistic that weighs them by how far hospitals differ. With U the scores, V0 their covariance if
  nothing changed and V1 if effects differ by their heterogeneity, it is U.(1/V0 - 1/V1).U: the most
  powerful one where both are normal (Neyman & Pearson 1933; le Cessie & van Houwelingen 1995,
  doi 10.2307/2532948, test a logistic model so).

What either would be if nothing had changed is drawn, not looked up: outcomes from the old model's
own bootstrap refits. So its own uncertainty does not count as a change, however many the new
patients. The smaller of the two p-values, again held against what is drawn, answers the question.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from spinecast.measures.logistic import Matrix, Vector, expit

STEPS = 12
"""Newton steps of one or two numbers; they square the error, and start near the answer."""
SMALL_STEP = 1e-6
RIDGE = 1e-6
"""Information added where drawn outcomes leave a number open."""


@dataclass(frozen=True, slots=True)
class Question:
    """A rung's p-values: by recalibration, by effects, and the two together, which decides."""

    recalibration: float | None
    effects: float | None
    together: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """What the question is asked about: the old model on the new patients, and what could differ.

    Attributes:
        margin: the old model's log-odds of the new patients, (n,).
        spread: how those of its bootstrap refits differ from their mean, (B, n), widened.
        line: the columns of a shift and a stretch, (n, 2), times the SDs by which hospitals differ.
        effects: the same for effects, (n, K); None where no rung above could mend them.
        mended: how many numbers of a recalibration the rungs above fit: 1 shift, 2 and stretch.
    """

    margin: Vector
    spread: Matrix
    line: Matrix
    effects: Matrix | None
    mended: int


def good_enough(doubt: Doubt, y: Vector, *, free: int, draws: int, seed: int) -> Question:
    """Whether the old model, with `free` numbers fitted anew, could have given these outcomes.

    Args:
        doubt: the old model on the new patients.
        y: their outcomes, (n,).
        free: 0 the model as it is, 1 with another intercept, 2 with intercept and slope.
        draws: cohorts drawn.
        seed: of them.
    """
    outcomes = np.vstack([y, _drawn(doubt, y, free, draws, seed)])
    null = _fitted(doubt, np.tile(doubt.margin, (len(outcomes), 1)), outcomes, free)
    ratio = score = None
    if doubt.mended > free:
        above = _fitted(doubt, null, outcomes, doubt.mended)
        ratio = _tail(_loss(null, outcomes) - _loss(above, outcomes))
    if doubt.effects is not None:
        score = _tail(_scores(doubt, doubt.effects, outcomes, null, free))
    tails = [tail for tail in (ratio, score) if tail is not None]
    return Question(
        recalibration=None if ratio is None else float(ratio[0]),
        effects=None if score is None else float(score[0]),
        together=float(_tail(-np.min(tails, axis=0))[0]),
    )


def _drawn(doubt: Doubt, y: Vector, free: int, draws: int, seed: int) -> Matrix:
    """Outcomes that the old model, uncertain as it is, would give, (draws, n).

    The truths behind them are normal around the model, with the covariance of its refits; each is
    then shifted so that scattered effects leave its mean risk where its level puts it.
    """
    rng = np.random.default_rng([seed, free])
    truth = _fitted(doubt, doubt.margin[None], y[None], free)
    if len(doubt.spread) > 1:
        mixed = rng.standard_normal((draws, len(doubt.spread))) / np.sqrt(len(doubt.spread) - 1)
        moved = mixed @ doubt.spread
        level = moved.mean(axis=1, keepdims=True)
        # Effects that scatter raise low risks more than they lower high ones. Each draw is centred
        # so that its mean risk is that of its level alone, else the null would have another level.
        truth = _fitted(doubt, truth + moved, expit(truth + level), 1)
    return (rng.random((draws, len(y))) < expit(truth)).astype(np.float64)


def _scores(doubt: Doubt, effects: Matrix, outcomes: Matrix, null: Matrix, free: int) -> Vector:
    """The score statistic of every row of outcomes, (rows,)."""
    risk = expit(null[0])
    weights = (risk * (1 - risk))[:, None]
    line, fixed = doubt.line, doubt.line[:, :free]
    columns = np.column_stack([line[:, free : doubt.mended], effects])
    spread = doubt.spread.T
    if free:
        # What the fitted numbers already explain is no evidence of anything else.
        within = np.linalg.inv((fixed * weights).T @ fixed) @ (fixed * weights).T
        columns, spread = columns - fixed @ (within @ columns), spread - fixed @ (within @ spread)
    information = (columns * weights).T @ columns
    own = (columns * weights).T @ spread
    size = len(information)
    least = RIDGE * np.trace(information) / size * np.eye(size)
    unchanged = information + own @ own.T / max(spread.shape[1] - 1, 1) + least
    changed = unchanged + information @ information
    weighing = np.linalg.inv(unchanged) - np.linalg.inv(changed)
    scores = (outcomes - expit(null)) @ columns
    return np.asarray(((scores @ weighing) * scores).sum(axis=1))


def _tail(statistic: Vector) -> Vector:
    """The share of all statistics at least as large as each; the first is the real one."""
    # Rounded, so that ties of rounding errors are ties.
    return np.asarray(rankdata(-np.round(statistic, 9), method="max") / len(statistic))


def _loss(margin: Matrix, y: Matrix) -> Vector:
    return np.asarray((np.logaddexp(0.0, margin) - y * margin).sum(axis=1))


def _fitted(doubt: Doubt, start: Matrix, y: Matrix, free: int) -> Matrix:
    """Log-odds after fitting 0, 1 or 2 numbers to each row of outcomes, (rows, n)."""
    if not free:
        return start
    design = doubt.line[:, :free]
    pairs = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    now = start
    for _ in range(STEPS):
        risk = expit(now)
        curvature = ((risk * (1 - risk)) @ pairs).reshape(-1, free, free) + RIDGE * np.eye(free)
        step = np.linalg.solve(curvature, ((y - risk) @ design)[:, :, None])[:, :, 0]
        # Outcomes of one kind have no maximum; bounded steps keep them finite.
        now = now + np.clip(step, -1, 1) @ design.T
        if np.abs(step).max() < SMALL_STEP:
            break
    return now
