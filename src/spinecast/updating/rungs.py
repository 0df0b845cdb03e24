"""Each rung of the ladder: what it learns from some new patients, and what it says of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from spinecast.fitting.estimator import fit_model
from spinecast.fitting.recipe import Recipe
from spinecast.measures.logistic import Vector
from spinecast.measures.resampling import folds
from spinecast.modelling.model import Model
from spinecast.updating.ladder import Ladder, RungName
from spinecast.updating.newcomers import Newcomers
from spinecast.updating.recalibrating import shifted, stretched
from spinecast.updating.revision import revise

Indices = npt.NDArray[np.intp]


Learned = Callable[[Newcomers, Indices], Vector]
"""What a rung has learned: from some of some patients to their log-odds."""


@dataclass(frozen=True, eq=False)
class Climb:
    """An old model, new patients, and what may be done about them.

    `recipe` is that of a full retraining.
    """

    old: Model
    new: Newcomers
    ladder: Ladder
    recipe: Recipe

    def predict(self, rung: RungName, learn: Indices, test: Indices) -> Vector:
        """Log-odds of the new patients `test` by the rung that learned from those in `learn`."""
        return self.learned(rung, learn)(self.new, test)

    def learned(self, rung: RungName, learn: Indices) -> Learned:
        """The rung, having learned from the new patients `learn`."""
        return _LEARN[rung](self, learn)


def _keep(climb: Climb, learn: Indices) -> Learned:  # noqa: ARG001
    return lambda patients, rows: patients.margin[rows]


def _intercept(climb: Climb, learn: Indices) -> Learned:
    line = shifted(climb.new.margin[learn], climb.new.y[learn], climb.ladder.prior)
    return lambda patients, rows: line.apply(patients.margin[rows])


def _slope(climb: Climb, learn: Indices) -> Learned:
    line = stretched(climb.new.margin[learn], climb.new.y[learn], climb.ladder.prior)
    return lambda patients, rows: line.apply(patients.margin[rows])


def _revision(climb: Climb, learn: Indices) -> Learned:
    new, ladder = climb.new, climb.ladder
    found = revise(
        climb.old,
        new.columns[learn],
        new.trees[learn],
        new.y[learn],
        inner_folds(new.y[learn], ladder),
        ladder.revision,
        ladder.recalibration.slope_sd,
    )
    return lambda patients, rows: found.margin(patients.columns[rows], patients.trees[rows])


def _retrain(climb: Climb, learn: Indices) -> Learned:
    new = climb.new
    # No intervals are needed to judge a risk.
    interval = climb.recipe.interval.model_copy(update={"refits": 0})
    lean = climb.recipe.model_copy(update={"interval": interval})
    model, _, _ = fit_model(climb.old.registry, lean, new.codes[learn], new.y[learn])
    return lambda patients, rows: model.margin(model.rows(patients.codes[rows]))


_LEARN: Mapping[RungName, Callable[[Climb, Indices], Learned]] = MappingProxyType(
    {
        "keep": _keep,
        "intercept": _intercept,
        "slope": _slope,
        "revision": _revision,
        "retrain": _retrain,
    }
)


def inner_folds(y: Vector, ladder: Ladder) -> list[tuple[Indices, Indices]]:
    """Folds in which a revision chooses how to hold on to the old model."""
    rarer = int(min(y.sum(), len(y) - y.sum()))
    splits = max(2, min(ladder.revision.inner_folds, rarer))
    return list(folds(y, repeats=1, splits=splits, seed=ladder.seed))
