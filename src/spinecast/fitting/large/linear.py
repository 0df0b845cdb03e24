"""The linear part of a large training: the sums of lessons, and refits of all samples at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from spinecast.distribution.bins import FloatArray
from spinecast.fitting.large.grid import Grid
from spinecast.fitting.large.lessons import Lesson, Taught
from spinecast.fitting.large.passes import Workshop
from spinecast.fitting.recipe import Recipe
from spinecast.modelling.posterior import Belief, Posterior, Sums
from spinecast.modelling.trees import Trees
from spinecast.patients.draws import poisson

MARGIN = "margin"
"""Under this name lessons keep each patient's log-odds from the linear part."""
MARGIN_STEP = 2.0**-12
"""Trees start from margins in whole steps of this, a quarter of a thousandth in log-odds: what the
order of a sum does to its last digits then changes no tree."""
TREES = "trees"
"""Under this name lessons keep what the trees add to each patient's log-odds."""
FIRST_DRAW = 16
"""The first draw of a patient's id that counts in refits; those before it say what part it has."""


class Sought:
    """The sums of all lessons, as `posterior.fit` asks for them at one point after the other.

    Loss and gradient are exact at every point. The curvature decides the way and not the end, and
    it is what costs: it is taken at the second point and then at each fourth, in 32 bits. At the
    first that of a sample will do, as if the sample were all patients.
    """

    def __init__(
        self,
        lessons: Sequence[Lesson],
        workshop: Workshop,
        column: str = "",
        curvature: FloatArray | None = None,
    ) -> None:
        self._lessons, self._workshop, self._column = lessons, workshop, column
        self._asked, self._curvature = 0, curvature

    def __call__(self, theta: FloatArray) -> Sums:
        """What all patients say at a point."""
        self._asked += 1
        bent = self._curvature is None or self._asked % 4 == 2
        work = partial(sums_of, theta, self._column, bent=bent)
        told = self._workshop.total(self._lessons, work, "fitting the coefficients")
        if self._curvature is None or bent:
            self._curvature = told.curvature
        return replace(told, curvature=self._curvature)


def sums_of(theta: FloatArray, column: str, lesson: Lesson, *, bent: bool) -> Sums:
    """What the patients of a lesson say at a point; the curvature is zero where it is not asked."""
    taught = lesson.taught(column)
    margin = taught.margin(theta)
    risk = 0.5 * (1.0 + np.tanh(0.5 * margin))
    loss = float((np.logaddexp(0.0, margin) - taught.y * margin).sum())
    curvature = np.zeros((len(theta), len(theta)))
    if bent:
        curvature += _curvature(taught, risk)
    return Sums(loss, taught.dot(risk - taught.y), curvature)


def _curvature(taught: Taught, risk: FloatArray) -> FloatArray:
    root = np.sqrt(risk * (1.0 - risk)).astype(np.float32)
    design = taught.design()
    design *= root[:, None]
    return np.asarray(design.T @ design, dtype=np.float64)


def keep_margin(theta: FloatArray, lesson: Lesson) -> None:
    """Keep each patient's linear margin at these coefficients, for trees to start from."""
    lesson.keep(MARGIN, stepped(lesson.taught().margin(theta)))


def stepped(margin: FloatArray) -> FloatArray:
    """Margins in whole steps."""
    return np.asarray(np.round(margin / MARGIN_STEP) * MARGIN_STEP)


def joined(theta: FloatArray, trees: Trees, grid: Grid, lesson: Lesson) -> Sums:
    """What a lesson's patients say of coefficients and the trees' share; the trees' part is kept.

    The trees are told as tables, which cost less than XGBoost and need none of it.
    """
    codes = grid.codes(lesson.places()[0]).astype(np.float64)
    lesson.keep(TREES, trees.margin(codes).astype(np.float32))
    return sums_of(theta, TREES, lesson, bent=True)


def near(start: FloatArray, patients: Sums, belief: Belief) -> Posterior:
    """Coefficients one Newton step from a start at which all patients were asked, (P,).

    Trees were grown from the linear part at a share of one, so both together are all but right
    already. It is where the refits start, and each goes a Newton step of its own from there.
    """
    precision = np.diag(np.append(0.0, belief.sd**-2.0))
    curvature = patients.curvature + precision
    there = Posterior(float(start[0]), start[1:], curvature, True, patients)  # noqa: FBT003
    theta = there.towards(belief)
    gradient = patients.gradient + patients.curvature @ (theta - start)
    told = replace(patients, gradient=gradient)
    return replace(there, intercept=float(theta[0]), beta=theta[1:], patients=told)


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """What bootstrap samples of patients say at one point; lessons add up.

    Attributes:
        gradient: of each sample, (P, B).
        diagonal: of each sample's curvature, (P, B).
    """

    gradient: FloatArray
    diagonal: FloatArray

    def __add__(self, other: Resampled) -> Resampled:
        return Resampled(self.gradient + other.gradient, self.diagonal + other.diagonal)


def resampled(theta: FloatArray, samples: int, seed: int, lesson: Lesson) -> Resampled:
    """What so many samples of a lesson's patients say of coefficients and the trees' share."""
    taught = lesson.taught(TREES)
    design = taught.design()
    risk = 0.5 * (1.0 + np.tanh(0.5 * taught.margin(theta)))
    times = poisson(taught.hashed, seed, samples, FIRST_DRAW).astype(np.float32)
    away, bent = (part.astype(np.float32)[:, None] for part in (risk - taught.y, risk * (1 - risk)))
    gradient = design.T @ (times * away)
    np.square(design, out=design)
    times *= bent
    return Resampled(gradient.astype(np.float64), (design.T @ times).astype(np.float64))


def refits(joint: Posterior, held: Belief, told: Resampled, recipe: Recipe) -> FloatArray:
    """The coefficients of every sample, one Newton step from those of all patients, (B, P).

    With this many patients a sample's answer lies so near that what a further step would add is of
    the order of 1/n, where the spread itself is of the order of 1/sqrt(n). The step takes the
    curvature of all patients, stretched so that its diagonal is the sample's own: a rare level has
    more or fewer patients in a sample, and its coefficient moves accordingly further or less.
    Prior means are redrawn as in the refits of fewer patients.
    """
    from spinecast.fitting.boosting import with_share  # not of those who only add up sums

    belief = with_share(held, recipe.trees)
    all_patients = joint.patients
    own = np.diag(all_patients.curvature)[:, None]
    stretch = np.sqrt(
        np.divide(told.diagonal, own, out=np.ones_like(own + told.diagonal), where=own > 0)
    )
    rng = np.random.default_rng(recipe.seed)
    found = []
    for sample in range(told.gradient.shape[1]):
        around = replace(belief, mean=rng.normal(belief.mean, belief.sd))
        scale = stretch[:, sample]
        sums = Sums(0.0, told.gradient[:, sample], all_patients.curvature * np.outer(scale, scale))
        found.append(replace(joint, patients=sums).towards(around))
    return np.array(found).reshape(-1, len(own))
