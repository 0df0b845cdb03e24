"""From a cohort to a model and the proof of how good it is: the researcher's door.

The same recipe runs inside every fold and on all patients; the baselines see the same folds.
Nothing is written here: `bundle` and `tracking` keep what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import shap
import xgboost

from spinecast.errors import DataRefused, Problem, SpinecastError, UsageRefused
from spinecast.explaining.assessment import TrainedOn
from spinecast.explaining.facts import CohortFacts, gather
from spinecast.fitting.baselines import BASELINES
from spinecast.fitting.estimator import Choices, EvidenceInformedClassifier
from spinecast.fitting.recipe import Recipe
from spinecast.fitting.refitting import FEWEST_EVENTS, kinds
from spinecast.knowledge.factors import Registry
from spinecast.measures.evaluation import Comparison, Performance, evaluate_all
from spinecast.measures.resampling import folds
from spinecast.modelling.model import Model, reference_row
from spinecast.progress import Progress, silent
from spinecast.sharing import one_thread

FloatArray = npt.NDArray[np.float64]

OURS = "spinecast"
IN_USE = "model in use"
# Largest difference tolerated between our folded trees and shap's own answer (32-bit arithmetic).
AGREEMENT = 1e-5
# Rows on which every training run proves its explanations against shap.
PROOF_ROWS = 200


@dataclass(frozen=True, slots=True)
class Rival:
    """A model in use, held against the same patients; its risks stand among the others as `IN_USE`.

    Attributes:
        name: Of its folder.
        model_id: In its manifest.
        is_own_training: Whether these very patients are those it was trained on.
        remarks: What has to be known beside its figures.
    """

    name: str
    model_id: str
    is_own_training: bool
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetApart:
    """How many patients had which part in a training that was not cross-validated.

    Attributes:
        threshold: from how many patients on the recipe sets some apart.
        taught: from these population, coefficients and trees were learned.
        sampled: those of them on whom weight and scale of the literature were chosen, and from whom
            the baselines learned.
        tuned: on these the number of trees was chosen and the recalibration set.
        judged: on these every method was judged.
        on_disk: whether trees were grown from disk, for want of memory.
    """

    threshold: int
    taught: int
    sampled: int
    tuned: int
    judged: int
    on_disk: bool


@dataclass(frozen=True)
class TrainingResult:
    """A fitted model, what it was made from, and how it and its baselines did on unseen patients.

    `unseen` holds each method's cross-validated risks, (repeats, n); of a model in use, `rival`, it
    holds the risks as that model gives them, (1, n). Where patients were set `apart` to judge,
    `unseen` (1, m) and `y` are theirs, in the order of their ids' hashes.
    """

    model: Model
    facts: CohortFacts
    booster: str | None
    choices: Choices
    recipe: Recipe
    outcome: str
    performance: Mapping[str, Performance]
    comparison: Comparison
    unseen: Mapping[str, FloatArray]
    y: FloatArray
    rival: Rival | None = None
    apart: SetApart | None = None

    @property
    def learned(self) -> int:
        """How many patients the model was learned from."""
        return self.apart.taught if self.apart else len(self.y)


def train(
    registry: Registry,
    codes: FloatArray,
    y: FloatArray,
    recipe: Recipe,
    *,
    trained_on: TrainedOn,
    outcome: str,
    progress: Progress = silent,
) -> TrainingResult:
    """Fit the model on all patients; judge it, beside its baselines, on patients it had not seen.

    Args:
        registry: the factors and their evidence.
        codes: rows of codes (n, F), NaN for unknown.
        y: the outcome (n,), 1 failure, 0 none, NaN unknown; patients with NaN are left out.
        recipe: the experiment.
        trained_on: what kind of patients these are.
        outcome: the outcome definition's name, for the record.
        progress: told the stage, how much is done, and of how much.

    Raises:
        DataRefused: too few patients of one kind to learn from.
        UsageRefused: a baseline the program does not know.
    """
    known = ~np.isnan(y)
    codes, y = codes[known], y[known]
    # Each fold is to hold some of either kind.
    refuse_too_few(y, max(FEWEST_EVENTS, recipe.resampling.outer_folds))
    methods = methods_of(registry, recipe)
    with one_thread():
        return _train(registry, methods, codes, y, recipe, trained_on, outcome, progress)


def _train(
    registry: Registry,
    methods: Mapping[str, Callable[[], Any]],
    codes: FloatArray,
    y: FloatArray,
    recipe: Recipe,
    trained_on: TrainedOn,
    outcome: str,
    progress: Progress,
) -> TrainingResult:
    unseen = _unseen(methods, codes, y, recipe, progress)
    progress("fitting on all patients", 0, 1)
    ours = EvidenceInformedClassifier(registry, recipe).fit(codes, y)
    prove_explanations(ours.model_, ours.booster_, codes)
    rows = ours.model_.rows(codes)
    facts = gather(
        registry, ours.model_.encoding, codes, rows.columns, y, unseen[OURS][0], trained_on
    )
    progress("fitting on all patients", 1, 1)
    performance, comparison = evaluate_all(y, unseen, OURS, seed=recipe.seed)
    return TrainingResult(
        model=ours.model_,
        facts=facts,
        booster=ours.booster_,
        choices=ours.choices_,
        recipe=recipe,
        outcome=outcome,
        performance=performance,
        comparison=comparison,
        unseen=unseen,
        y=y,
    )


def refuse_too_few(y: FloatArray, fewest: int) -> None:
    """Refuse to learn from patients fewer than so many of whom had, or had not, the outcome."""
    events, others = kinds(y)
    if min(events, others) < fewest:
        raise DataRefused(
            "The cohort is too small to train on",
            [
                Problem(
                    "outcome",
                    f"{events} patients with the outcome and {others} without, where it is known",
                    f"at least {fewest} of each",
                    "Collect more patients; where outer folds are more than ten, fewer do.",
                )
            ],
        )


def methods_of(registry: Registry, recipe: Recipe) -> dict[str, Callable[[], Any]]:
    """Our model and the recipe's baselines, each ready to be made afresh for a fold."""
    if unknown := [name for name in recipe.baselines if name not in BASELINES]:
        raise UsageRefused(
            "The experiment cannot be run",
            [
                Problem(f"baselines {name!r}", "unknown", f"one of: {', '.join(BASELINES)}")
                for name in unknown
            ],
        )
    ours = {OURS: partial(EvidenceInformedClassifier, registry, recipe)}
    return ours | {
        name: partial(BASELINES[name], registry, recipe.seed) for name in recipe.baselines
    }


def _unseen(
    methods: Mapping[str, Callable[[], Any]],
    codes: FloatArray,
    y: FloatArray,
    recipe: Recipe,
    progress: Progress,
) -> dict[str, FloatArray]:
    """Each method's risk of each patient from fits that had not seen them, (repeats, n)."""
    resampling = recipe.resampling
    split = list(
        folds(y, repeats=resampling.outer_repeats, splits=resampling.outer_folds, seed=recipe.seed)
    )
    risks = {name: np.zeros((resampling.outer_repeats, len(y))) for name in methods}
    for done, (learn, test) in enumerate(split):
        progress("cross-validating", done, len(split))
        for name, make in methods.items():
            fitted = make().fit(codes[learn], y[learn])
            risks[name][done // resampling.outer_folds, test] = fitted.predict_proba(codes[test])[
                :, 1
            ]
    progress("cross-validating", len(split), len(split))
    return risks


def prove_explanations(model: Model, booster: str | None, codes: FloatArray) -> None:
    """Hold our folded trees against XGBoost's margins and shap's contributions on real rows.

    Raises:
        SpinecastError: they differ; the model must not be written.
    """
    if booster is None:
        return
    original = xgboost.Booster()
    original.load_model(bytearray(booster, "utf-8"))
    rows = model.rows(codes[:PROOF_ROWS])
    slope = model.recalibration.slope
    explainer = shap.TreeExplainer(
        original,
        data=reference_row(model.registry)[None],
        feature_perturbation="interventional",
    )
    theirs = slope * explainer.shap_values(rows.codes)
    matrix = xgboost.DMatrix(rows.codes, base_margin=np.zeros(len(rows)))
    margin = slope * original.predict(matrix, output_margin=True)
    worst = max(
        float(np.abs(theirs - model.trees.contributions(rows.codes)).max()),
        float(np.abs(margin - model.trees.margin(rows.codes)).max()),
    )
    if worst > AGREEMENT:
        raise SpinecastError(
            f"The folded trees differ from XGBoost and shap by {worst:.2g}; nothing was written."
        )
