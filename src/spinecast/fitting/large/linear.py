"""The linear part of a large training: the sums of lessons, and refits of all samples at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spinecast.fitting.boosting import FloatArray
from spinecast.fitting.estimator import with_share
from spinecast.fitting.large.lessons import Lesson
from spinecast.fitting.large.trees import TREES
from spinecast.fitting.recipe import Recipe
from spinecast.modelling import posterior
from spinecast.modelling.posterior import Belief, Posterior, Sums
from spinecast.patients.draws import poisson

FIRST_DRAW = 16
"""The first draw of a patient's id that counts in refits; those before it say what part it has."""


def said(theta: FloatArray, lesson: Lesson) -> Sums:
    """What the patients of a lesson say of the coefficients (1 + K,)."""
    taught = lesson.taught()
    return posterior.sums(taught.design, taught.y, theta)


def said_with_trees(theta: FloatArray, lesson: Lesson) -> Sums:
    """The same of coefficients and the trees' share, (1 + K + 1,)."""
    taught = lesson.taught()
    return posterior.sums(taught.with_column(lesson.kept(TREES)), taught.y, theta)


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """What bootstrap samples of patients say at one point; pieces add up.

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
    taught = lesson.taught()
    design = taught.with_column(lesson.kept(TREES))
    risk = 0.5 * (1.0 + np.tanh(0.5 * (design @ theta)))
    times = poisson(taught.hashed, seed, samples, FIRST_DRAW).astype(np.float64)
    gradient = design.T @ (times * (risk - taught.y)[:, None])
    times *= (risk * (1.0 - risk))[:, None]
    np.square(design, out=design)
    return Resampled(gradient, design.T @ times)


def refits(joint: Posterior, held: Belief, told: Resampled, recipe: Recipe) -> FloatArray:
    """The coefficients of every sample, one Newton step from those of all patients, (B, P).

    With this many patients a sample's answer lies so near that what a further step would add is of
    the order of 1/n, where the spread itself is of the order of 1/sqrt(n). The step takes the
    curvature of all patients, stretched so that its diagonal is the sample's own: a rare level has
    more or fewer patients in a sample, and its coefficient moves accordingly further or less.
    Prior means are redrawn as in the refits of fewer patients.
    """
    belief = with_share(held, recipe)
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
