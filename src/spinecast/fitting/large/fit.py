"""One model of very many patients: their choices, coefficients, trees, recalibration and refits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np

from spinecast.cohorts.store import Shard, Stored
from spinecast.distribution.population import Population
from spinecast.explaining.facts import Verdict, agreements_near
from spinecast.fitting.boosting import FloatArray, tree_settings, with_share
from spinecast.fitting.estimator import (
    Chosen,
    choose,
    fit_columns,
    inner_folds,
    recalibrate,
    recalibrated,
)
from spinecast.fitting.large.grid import Grid
from spinecast.fitting.large.lessons import Lesson, make_ready
from spinecast.fitting.large.linear import (
    Sought,
    joined,
    keep_margin,
    near,
    refits,
    resampled,
    stepped,
)
from spinecast.fitting.large.passes import Workshop
from spinecast.fitting.large.plan import Plan
from spinecast.fitting.large.together import boosted
from spinecast.fitting.large.trees import Grown, Tuning
from spinecast.fitting.recipe import Recipe
from spinecast.knowledge.factors import Registry
from spinecast.modelling import posterior
from spinecast.modelling.features import Encoding
from spinecast.modelling.model import Model, reference_row
from spinecast.modelling.posterior import Belief, Posterior
from spinecast.modelling.preparation import Preparation
from spinecast.modelling.trees import Trees

TOLERANCE = 1e-13
"""How far a step may still lower the loss, as a share of it, for a fit to end: tighter than
`posterior`'s own, for the last step here is not Newton's to the last digit."""


@dataclass(frozen=True)
class FittedLarge:
    """A model of very many patients, and what its record says beside it."""

    model: Model
    chosen: Chosen
    grown: Grown
    agreement: tuple[Verdict, ...]


def fit_large(
    shards: Sequence[Shard],
    population: Population,
    sample: Stored,
    tuning: Stored,
    plan: Plan,
    registry: Registry,
    recipe: Recipe,
    workshop: Workshop,
) -> FittedLarge:
    """Fit everything but the population, which is learned already.

    Args:
        shards: the patients; those who teach are learned from.
        population: of those patients.
        sample: some of them, on whom weight and scale of the literature are chosen.
        tuning: others, on whom the number of trees is chosen and the recalibration set.
        plan: who teaches.
        registry: the factors and their evidence.
        recipe: the experiment.
        workshop: where it is done, and by whom.
    """
    preparation = Preparation(population, Encoding.from_registry(registry))
    encoding, grid = preparation.encoding, Grid.of(population.bins)
    chosen, start = _chosen(preparation, sample, recipe, workshop)
    ready = partial(make_ready, preparation, grid, plan, workshop.scratch)
    lessons = list(chain(*workshop.over(shards, ready, "completing what is unknown")))

    taught = sum(lesson.rows for lesson in lessons)
    sought = Sought(lessons, workshop, curvature=taught / len(sample) * start.patients.curvature)
    fit = posterior.fit(sought, chosen.belief, start.theta, TOLERANCE)
    rows = preparation.rows(tuning.codes)
    margin = fit.margin(rows.columns)
    workshop.over(lessons, partial(keep_margin, fit.theta), "preparing for trees")
    grown = boosted(
        lessons,
        Tuning(grid.put(rows.codes), tuning.y, stepped(margin)),
        grid,
        recipe.trees,
        tree_settings(recipe.trees, registry, recipe.seed) | {"nthread": workshop.threads},
        workshop,
    )
    line = recalibrate(margin + grown.unseen, tuning.y, recipe.recalibration.slope_sd)
    trees = Trees.fold(grown.leaves, reference_row(registry))
    refitted = _refits(lessons, fit, chosen.belief, trees, grid, recipe, workshop)
    model = Model(
        registry=registry,
        population=population,
        encoding=encoding,
        intercept=line.intercept + line.slope * fit.intercept,
        beta=line.slope * fit.beta,
        literature=chosen.trial.weight * encoding.published,
        trees=replace(trees, weights=line.slope * trees.weights, shares=line.slope * trees.shares),
        refits=recalibrated(refitted, line),
        level=recipe.interval.level,
        recalibration=line,
    )
    return FittedLarge(model, chosen, grown, agreements_near(encoding, fit))


def _chosen(
    preparation: Preparation, sample: Stored, recipe: Recipe, workshop: Workshop
) -> tuple[Chosen, Posterior]:
    """How far to trust the literature, and the sample's fit, from which that of all starts."""
    workshop.progress("choosing on a sample", 0, 1)
    columns = preparation.rows(sample.codes).columns
    split = inner_folds(sample.y, recipe, np.arange(len(sample)))
    chosen = choose(preparation.encoding, columns, sample.y, split, recipe)
    start = fit_columns(columns, sample.y, chosen.belief)
    workshop.progress("choosing on a sample", 1, 1)
    return chosen, start


def _refits(
    lessons: Sequence[Lesson],
    fit: Posterior,
    held: Belief,
    trees: Trees,
    grid: Grid,
    recipe: Recipe,
    workshop: Workshop,
) -> FloatArray:
    """Intercepts, coefficients and trees' shares of the bootstrap refits, (B, 1 + K + 1)."""
    if not recipe.interval.refits:
        return np.empty((0, len(fit.theta) + 1))
    start = np.append(fit.theta, 1.0)
    patients = workshop.total(lessons, partial(joined, start, trees, grid), "refitting")
    joint = near(start, patients, with_share(held, recipe.trees))
    samples = partial(resampled, joint.theta, recipe.interval.refits, recipe.seed)
    return refits(joint, held, workshop.total(lessons, samples, "refitting"), recipe)
