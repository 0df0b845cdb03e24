"""Evidence revision: the old model's effects are the evidence, the new cohort moves them.

    prior mean = old coefficients, or part of the way back from them to the literature
    prior SD   = scale x sqrt(spread of the old bootstrap refits ^ 2 + heterogeneity ^ 2)

Declared directions still bound every coefficient. The old model's trees are one more column with a
share around 1, or are dropped. Cross-validation chooses scale, lean and trees by log-loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinecast.fitting.boosting import Folds, log_losses
from spinecast.fitting.estimator import fit_columns, out_of_fold, recalibrate
from spinecast.knowledge.factors import Registry
from spinecast.measures.logistic import Matrix, Vector
from spinecast.modelling.calibration import Recalibration
from spinecast.modelling.features import Encoding
from spinecast.modelling.model import Model
from spinecast.modelling.posterior import Belief
from spinecast.updating.ladder import RevisionRecipe

LEAST_SD = 1e-3
"""Width of a prior that a registry without heterogeneity and a model without refits leave."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to hold on to the old model, and how it predicted patients it had not seen."""

    scale: float
    lean: float
    trees: bool
    log_loss: float


@dataclass(frozen=True, slots=True)
class Revised:
    """Revised coefficients before recalibration, (K,), the share of the old trees, and the choice.

    `theta` is the fit's own vector, the tree column (if any) last; `held` its prior.
    """

    intercept: float
    beta: Vector
    share: float
    line: Recalibration
    chosen: Trial
    trials: tuple[Trial, ...]
    held: Belief
    theta: Vector

    def margin(self, columns: Matrix, trees: Vector) -> Vector:
        """Log-odds of patients: completed columns (n, K) and what the old trees add, (n,)."""
        own = self.intercept + columns @ self.beta + self.share * trees
        return np.asarray(self.line.apply(np.asarray(own)))


def between_hospitals(registry: Registry) -> Vector:
    """How far each column's true coefficient differs between hospitals, as an SD, (K,).

    The widths that the registry's columns would have if nothing but heterogeneity made them wide.
    """
    spread = registry.evidence.heterogeneity
    evidence = registry.evidence.model_copy(
        update={"standard_error": 0.0, "no_evidence_sd": spread}
    )
    factors = tuple(
        factor.model_copy(update={"prior": factor.prior.model_copy(update={"plausible": None})})
        if factor.prior
        else factor
        for factor in registry.factors
    )
    bare = registry.model_copy(update={"evidence": evidence, "factors": factors})
    return Encoding.from_registry(bare).prior_sd


def beliefs(model: Model, recipe: RevisionRecipe) -> dict[tuple[float, float, bool], Belief]:
    """The prior of every way to hold on to the old model; scale, lean, trees kept."""
    refits = model.refits.beta
    own = refits.std(axis=0, ddof=1) if len(refits) > 1 else np.zeros(len(model.beta))
    width = np.maximum(np.hypot(own, between_hospitals(model.registry)), LEAST_SD)
    lower, upper = model.encoding.lower, model.encoding.upper
    found = {}
    for lean in recipe.leans:
        mean = np.clip((1 - lean) * model.beta + lean * model.literature, lower, upper)
        for trees in (True, False) if len(model.trees) else (False,):
            for scale in recipe.scales:
                held = Belief(mean, scale * width, lower, upper)
                found[scale, lean, trees] = (
                    _with_trees(held, recipe.share_sd, kept=trees) if len(model.trees) else held
                )
    return found


def _with_trees(held: Belief, share_sd: float, *, kept: bool) -> Belief:
    """The same belief with the old trees as a last column: their share is about 1, or is 0."""
    tail = (1.0, share_sd, 0.0, np.inf) if kept else (0.0, share_sd, 0.0, 0.0)
    parts = (held.mean, held.sd, held.lower, held.upper)
    return Belief(*(np.append(part, value) for part, value in zip(parts, tail, strict=True)))


def revise(
    model: Model,
    columns: Matrix,
    trees: Vector,
    y: Vector,
    split: Folds,
    recipe: RevisionRecipe,
    slope_sd: float,
) -> Revised:
    """Move the old model's effects as far as the new patients ask.

    Args:
        model: the old model.
        columns: completed columns of the new patients, (n, K).
        trees: what the old trees add to their log-odds, (n,).
        y: their outcomes, (n,).
        split: folds in which every patient is tested once.
        recipe: the candidates.
        slope_sd: prior SD of the last recalibration's slope around 1.
    """
    candidates = beliefs(model, recipe)
    design = np.column_stack([columns, trees]) if len(model.trees) else columns
    unseen = out_of_fold(design, y, list(candidates.values()), split)[0]
    losses = log_losses(unseen, y).mean(axis=1)
    trials = tuple(
        Trial(*named, float(loss)) for named, loss in zip(candidates, losses, strict=True)
    )
    best = int(np.argmin(losses))
    held = list(candidates.values())[best]
    fitted = fit_columns(design, y, held)
    size = len(model.beta)
    return Revised(
        intercept=fitted.intercept,
        beta=fitted.beta[:size],
        share=float(fitted.beta[size]) if len(model.trees) else 0.0,
        line=recalibrate(unseen[best], y, slope_sd),
        chosen=trials[best],
        trials=trials,
        held=held,
        theta=fitted.theta,
    )
