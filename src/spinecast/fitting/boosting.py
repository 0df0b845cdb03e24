"""Boosted trees on top of a linear model: as many as unseen patients gain by, often none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import xgboost

from spinecast.fitting.recipe import TreeRecipe
from spinecast.knowledge.factors import Registry
from spinecast.modelling.posterior import Belief
from spinecast.modelling.trees import Leaf, leaves_of

FloatArray = npt.NDArray[np.float64]
Folds = Sequence[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]


def log_losses(margin: FloatArray, y: FloatArray) -> FloatArray:
    """Each patient's log-loss in nats, from a margin of any size; shapes alike."""
    return np.asarray(np.logaddexp(0.0, margin) - y * margin)


@dataclass(frozen=True, slots=True)
class Forest:
    """Boosted trees in XGBoost's JSON, how many rounds, and what they add for unseen patients."""

    booster: str | None
    rounds: int
    unseen: FloatArray
    log_loss: tuple[float, ...]

    @property
    def leaves(self) -> list[Leaf]:
        """Their leaves; none when there are no trees."""
        return leaves_of(json.loads(self.booster)) if self.booster else []


def tree_settings(recipe: TreeRecipe, registry: Registry, seed: int) -> dict[str, object]:
    """A recipe in XGBoost's words; no tree may turn a declared direction."""
    signs = ",".join(str(factor.sign) for factor in registry.factors)
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "max_depth": recipe.depth,
        "eta": recipe.learning_rate,
        "min_child_weight": recipe.least_hessian,
        "lambda": recipe.ridge,
        "monotone_constraints": f"({signs})",
        "base_score": 0.5,
        "seed": seed,
        "nthread": 1,  # sums in one order: the same trees on every machine
    }


def boost(
    codes: FloatArray,
    y: FloatArray,
    margin: FloatArray,
    inside: Sequence[FloatArray],
    split: Folds,
    recipe: TreeRecipe,
    settings: Mapping[str, object],
) -> Forest:
    """Trees on top of the linear part; as many as cross-validation wants, often none.

    Args:
        codes: completed codes (n, F).
        y: outcomes (n,).
        margin: linear margins of patients their fit had not seen, (n,).
        inside: for each fold, the margins (n,) of the fit to its learning part. Trees of a fold
            start from these: the margins in `margin` know the fold's outcomes, and trees grown on
            them stop too soon.
        split: the folds, each patient in one test part.
        recipe: how deep, how fast, how many at most, and what they must gain to stay.
        settings: the same in XGBoost's words.
    """
    nothing = Forest(None, 0, np.zeros(len(y)), ())
    if not recipe.most_rounds:
        return nothing
    parts = [_Part.of(codes, y, own, fold) for own, fold in zip(inside, split, strict=True)]
    history = _grow(parts, recipe, settings)
    rounds = 1 + int(np.argmin(history))
    unseen = np.zeros(len(y))
    for part in parts:
        grown = xgboost.train(dict(settings), part.learn, rounds)
        unseen[part.rows] = grown.predict(_bare(codes[part.rows]), output_margin=True)
    gain = log_losses(margin, y) - log_losses(margin + unseen, y)
    if gain.mean() < recipe.least_gain * gain.std() / np.sqrt(len(y)):
        return nothing
    booster = xgboost.train(
        dict(settings), xgboost.DMatrix(codes, label=y, base_margin=margin), rounds
    )
    return Forest(booster.save_raw("json").decode(), rounds, unseen, history)


def with_share(held: Belief, recipe: TreeRecipe) -> Belief:
    """The belief joined by one in the trees' share, which is 1 and may not turn them round."""
    return Belief(
        np.append(held.mean, 1.0),
        np.append(held.sd, recipe.share_sd),
        np.append(held.lower, 0.0),
        np.append(held.upper, np.inf),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A fold for XGBoost: what is learned from, what it is tried on, and whose rows those are."""

    learn: xgboost.DMatrix
    test: xgboost.DMatrix
    rows: npt.NDArray[np.intp]

    @classmethod
    def of(
        cls,
        codes: FloatArray,
        y: FloatArray,
        margin: FloatArray,
        fold: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    ) -> Self:
        learn, test = (
            xgboost.DMatrix(codes[rows], label=y[rows], base_margin=margin[rows]) for rows in fold
        )
        return cls(learn, test, fold[1])


def _grow(
    parts: Sequence[_Part], recipe: TreeRecipe, settings: Mapping[str, object]
) -> tuple[float, ...]:
    """Log-loss of unseen patients after each round, until it has not fallen for long enough."""
    boosters = [xgboost.Booster(dict(settings), [part.learn, part.test]) for part in parts]
    history: list[float] = []
    while len(history) < recipe.most_rounds and (
        not history or len(history) - int(np.argmin(history)) <= recipe.patience
    ):
        found = []
        for booster, part in zip(boosters, parts, strict=True):
            booster.update(part.learn, len(history))
            unseen = booster.predict(part.test, output_margin=True)
            found.append(log_losses(unseen, part.test.get_label()))
        history.append(float(np.concatenate(found).mean()))
    return tuple(history)


def _bare(codes: FloatArray) -> xgboost.DMatrix:
    return xgboost.DMatrix(codes, base_margin=np.zeros(len(codes)))
