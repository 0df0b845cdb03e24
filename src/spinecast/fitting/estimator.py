"""The evidence-informed model, fitted: how far to trust the literature, what the cohort adds.

scikit-learn's conventions: `fit(codes, y)`, `predict_proba(codes)`, `get_params()`. Rows are codes
(see `factors`), so NaN is "unknown" and is completed by the population inside every fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from spinecast.distribution.population import Population
from spinecast.fitting.boosting import (
    FloatArray,
    Folds,
    boost,
    log_losses,
    tree_settings,
    with_share,
)
from spinecast.fitting.recipe import Recipe
from spinecast.knowledge.factors import Registry
from spinecast.measures.resampling import patient_folds, resampled
from spinecast.modelling import posterior
from spinecast.modelling.calibration import Recalibration
from spinecast.modelling.features import Encoding
from spinecast.modelling.model import Model, Refits, reference_row
from spinecast.modelling.posterior import Belief, Posterior, Sums, with_intercept
from spinecast.modelling.preparation import Preparation
from spinecast.modelling.trees import Trees

SMALLEST_SLOPE = 0.05
"""A recalibration may press risks together, and never turns their order."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to trust the literature, and how it predicted patients it had not seen."""

    weight: float
    scale: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class Choices:
    """What cross-validation chose, and from what."""

    weight: float
    scale: float
    rounds: int
    trials: tuple[Trial, ...]
    tree_log_loss: tuple[float, ...]


class EvidenceInformedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression pulled towards published odds ratios, plus monotone boosted trees.

    Args:
        registry: the factors, their evidence and directions.
        recipe: every choice of the method; cross-validation picks among its candidates.

    Attributes:
        model_: the fitted `Model`, everything a score needs.
        choices_: weight of the literature, width of the priors, number of trees, and the trials.
        booster_: the trees in XGBoost's own JSON, None when there are none.
    """

    def __init__(self, registry: Registry, recipe: Recipe | None = None) -> None:
        self.registry = registry
        self.recipe = recipe

    def fit(
        self, codes: FloatArray, y: FloatArray, patients: npt.NDArray[np.intp] | None = None
    ) -> Self:
        """Learn from patients.

        Args:
            codes: rows of codes (n, F), NaN for unknown.
            y: the outcome (n,), 0 or 1.
            patients: whose row it is (n,), where some patients come several times, as in a
                bootstrap sample: the copies of one patient stay in one fold.
        """
        recipe = self.recipe or Recipe()
        self.model_, self.choices_, self.booster_ = fit_model(
            self.registry, recipe, np.asarray(codes, float), np.asarray(y, float), patients
        )
        self.classes_ = np.array([0, 1])
        return self

    def decision_function(self, codes: FloatArray) -> FloatArray:
        """Margins (log-odds) of rows of codes, (n,)."""
        check_is_fitted(self)
        return self.model_.margin(self.model_.rows(np.asarray(codes, float)))

    def predict_proba(self, codes: FloatArray) -> FloatArray:
        """Risk of doing well and of failure, (n, 2)."""
        risk = expit(self.decision_function(codes))
        return np.column_stack([1.0 - risk, risk])

    def predict(self, codes: FloatArray) -> npt.NDArray[np.intp]:
        """The likelier outcome; a convention of scikit-learn, not advice."""
        return (self.decision_function(codes) > 0).astype(np.intp)


def fit_model(
    registry: Registry,
    recipe: Recipe,
    codes: FloatArray,
    y: FloatArray,
    patients: npt.NDArray[np.intp] | None = None,
) -> tuple[Model, Choices, str | None]:
    """Fit everything: population, evidence weight, coefficients, trees, recalibration, refits."""
    population = Population.fit(registry, codes)
    encoding = Encoding.from_registry(registry)
    rows = Preparation(population, encoding).rows(codes)
    whose = np.arange(len(y)) if patients is None else patients
    split = inner_folds(y, recipe, whose)

    repeats = recipe.resampling.inner_repeats
    chosen = choose(encoding, rows.columns, y, split, recipe, whose)
    once = split[: len(split) // repeats]

    settings = tree_settings(recipe.trees, registry, recipe.seed)
    inside = [
        posterior.fit(_sums(rows.columns, y, learn, whose), chosen.belief).margin(rows.columns)
        for learn, _ in once
    ]
    forest = boost(rows.codes, y, chosen.margin, inside, once, recipe.trees, settings)
    linear = fit_columns(rows.columns, y, chosen.belief)
    line = recalibrate(chosen.margin + forest.unseen, y, recipe.recalibration.slope_sd)
    refits = _refits(rows.columns, forest.unseen, y, chosen.belief, linear, line, recipe)
    model = Model(
        registry=registry,
        population=population,
        encoding=encoding,
        intercept=line.intercept + line.slope * linear.intercept,
        beta=line.slope * linear.beta,
        literature=chosen.trial.weight * encoding.published,
        trees=Trees.fold(forest.leaves, reference_row(registry), line.slope),
        refits=refits,
        level=recipe.interval.level,
        recalibration=line,
    )
    return model, chosen.choices(forest.rounds, forest.log_loss), forest.booster


@dataclass(frozen=True, slots=True)
class Chosen:
    """How far to trust the literature: the trial that predicted best, and those it was among.

    `margin` (n,) are the margins of patients the fits of one repeat had not seen, under the belief
    chosen. Trees and recalibration start from one: a mean over repeats is smoother than the model.
    """

    trial: Trial
    belief: Belief
    trials: tuple[Trial, ...]
    margin: FloatArray

    def choices(self, rounds: int, tree_log_loss: tuple[float, ...]) -> Choices:
        """What was chosen in all, once the number of trees is known."""
        trial = self.trial
        return Choices(trial.weight, trial.scale, rounds, self.trials, tree_log_loss)


def choose(
    encoding: Encoding,
    columns: FloatArray,
    y: FloatArray,
    split: Folds,
    recipe: Recipe,
    whose: npt.NDArray[np.intp] | None = None,
) -> Chosen:
    """Weight and scale of the literature, by the log-loss of patients the fits had not seen."""
    beliefs = {
        (weight, scale): belief(encoding, weight, scale)
        for weight in recipe.evidence.weights
        for scale in recipe.evidence.scales
    }
    repeats = recipe.resampling.inner_repeats
    unseen = out_of_fold(columns, y, list(beliefs.values()), split, repeats, whose)
    mean_losses = log_losses(unseen, y).mean(axis=(0, 2))
    trials = tuple(
        Trial(weight, scale, float(loss))
        for (weight, scale), loss in zip(beliefs, mean_losses, strict=True)
    )
    best = int(np.argmin(mean_losses))
    return Chosen(trials[best], list(beliefs.values())[best], trials, unseen[0, best])


def belief(encoding: Encoding, weight: float, scale: float) -> Belief:
    """What the literature says of each coefficient, trusted so far and held so tightly."""
    return Belief(
        weight * encoding.published, scale * encoding.prior_sd, encoding.lower, encoding.upper
    )


def out_of_fold(
    columns: FloatArray,
    y: FloatArray,
    beliefs: Sequence[Belief],
    split: Folds,
    repeats: int = 1,
    whose: npt.NDArray[np.intp] | None = None,
) -> FloatArray:
    """Margins of patients no fit had seen, for each repeat and belief, (repeats, beliefs, n)."""
    whose = np.arange(len(y)) if whose is None else whose
    margins = np.zeros((repeats, len(beliefs), len(y)))
    for fold, (learn, test) in enumerate(split):
        pieces, unseen = _sums(columns, y, learn, whose), columns[test]
        fitted: Posterior | None = None
        for i, held in enumerate(beliefs):
            fitted = posterior.fit(pieces, held, fitted.towards(held) if fitted else None)
            margins[fold * repeats // len(split), i, test] = fitted.margin(unseen)
    return margins


def _sums(
    columns: FloatArray, y: FloatArray, rows: npt.NDArray[np.intp], whose: npt.NDArray[np.intp]
) -> Callable[[FloatArray], Sums]:
    """What some rows say; copies of one patient are looked at once and counted so often."""
    _, first, times = np.unique(whose[rows], return_index=True, return_counts=True)
    once = rows[first]
    design = with_intercept(columns[once])
    return partial(posterior.sums, design, y[once], times=times.astype(np.float64))


def inner_folds(y: FloatArray, recipe: Recipe, whose: npt.NDArray[np.intp]) -> Folds:
    """As many folds as the recipe says, or fewer so that each has both outcomes."""
    _, first = np.unique(whose, return_index=True)
    events = int(y[first].sum())
    repeats, seed = recipe.resampling.inner_repeats, recipe.seed
    splits = min(recipe.resampling.inner_folds, events, len(first) - events)
    return list(patient_folds(y, whose, repeats=repeats, splits=splits, seed=seed))


def fit_columns(columns: FloatArray, y: FloatArray, held: Belief) -> Posterior:
    """Coefficients of columns (n, K) under a belief."""
    return posterior.fit(partial(posterior.sums, with_intercept(columns), y), held)


def recalibrate(margin: FloatArray, y: FloatArray, slope_sd: float) -> Recalibration:
    """Intercept and slope that fit unseen patients; the slope leaves 1 only on good evidence."""
    one, least = np.ones(1), np.full(1, SMALLEST_SLOPE)
    line = fit_columns(margin[:, None], y, Belief(one, slope_sd * one, least, np.full(1, np.inf)))
    return Recalibration(line.intercept, float(line.beta[0]))


def _refits(
    columns: FloatArray,
    trees: FloatArray,
    y: FloatArray,
    held: Belief,
    linear: Posterior,
    line: Recalibration,
    recipe: Recipe,
) -> Refits:
    """Coefficients refitted on bootstrap samples around redrawn priors; the trees' share is free.

    Without a redrawn prior mean a coefficient of which the cohort says nothing would not move, and
    look certain (Newton & Raftery 1994, doi 10.1111/j.2517-6161.1994.tb01956.x). The choices
    (weight, scale, rounds) are those of the model, so the interval leaves them out.
    """
    joint = with_share(held, recipe.trees)
    design = with_intercept(np.column_stack([columns, trees]))
    start = np.append(linear.theta, 1.0)
    thetas = []
    rng = np.random.default_rng(recipe.seed)
    for counts in resampled(len(y), recipe.interval.refits, recipe.seed):
        drawn = np.flatnonzero(counts)
        around = replace(joint, mean=rng.normal(joint.mean, joint.sd))
        pieces = partial(
            posterior.sums, design[drawn], y[drawn], times=counts[drawn].astype(np.float64)
        )
        thetas.append(posterior.fit(pieces, around, start).theta)
    return recalibrated(np.array(thetas).reshape(-1, design.shape[1]), line)


def recalibrated(theta: FloatArray, line: Recalibration) -> Refits:
    """Refits from intercepts, coefficients and trees' shares (B, 1 + K + 1)."""
    # The model's trees carry the slope already, so their share does not.
    return Refits(
        line.intercept + line.slope * theta[:, 0], line.slope * theta[:, 1:-1], theta[:, -1]
    )
