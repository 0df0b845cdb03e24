"""The model in use, held against the patients a new one is trained on: is the new one better?

Its risks are taken as it gives them; nothing of it is learned anew. Where these patients are the
very ones it was trained on, its figures flatter it, and that is said wherever they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit

from spinecast.cohorts.cohort import Cohort
from spinecast.cohorts.labelled import LabelledCohort
from spinecast.errors import ModelRefused, Problem
from spinecast.explaining.bundle import Bundle, read_bundle
from spinecast.fitting.training import IN_USE, OURS, Rival, TrainingResult
from spinecast.knowledge.factors import Factor, Registry
from spinecast.measures.evaluation import compare, evaluate
from spinecast.measures.logistic import Matrix

OWN_PATIENTS = (
    "The model in use was trained on this very file: it has seen these patients, the others are "
    "judged on patients they had not seen. Its figures flatter it, and being behind it proves "
    "nothing."
)
NOT_TOLD = (
    "The model in use was not trained on this file. Its folder keeps no patients, so it cannot be "
    "told whether some of these were among those it learned from; if so, its figures flatter it."
)
MADE_UP = "The model in use was trained on simulated patients."


def read_rival(folder: Path, outcome: str) -> Bundle:
    """The model in use, if its risks are of the same outcome.

    Raises:
        ModelRefused: the folder is not whole, or the model predicts something else.
    """
    bundle = read_bundle(folder)
    theirs = bundle.training["outcome"]
    if theirs != outcome:
        problem = Problem(
            f"{folder} outcome",
            f"it predicts {theirs!r}",
            f"the experiment's outcome is {outcome!r}",
            "Compare models of one outcome, or train without --against.",
        )
        raise ModelRefused("The model in use cannot be held against this training", [problem])
    return bundle


def beside(result: TrainingResult, bundle: Bundle, labelled: LabelledCohort) -> TrainingResult:
    """The same training with the model in use among the methods compared.

    Args:
        result: what training returned.
        bundle: the model in use.
        labelled: the patients of the training, all of them.
    """
    known = labelled.cohort.take(labelled.labels.is_known)
    explainer = bundle.explainer
    codes, strange = _codes(explainer.model.registry, known)
    risk = expit(explainer.model.margin(explainer.model.rows(codes)))[None]
    unseen = {**result.unseen, IN_USE: risk}
    seed = result.recipe.seed
    is_own = bundle.that_learned_from(labelled.facts.contents) is not None
    return replace(
        result,
        performance={**result.performance, IN_USE: evaluate(result.y, risk, seed=seed)},
        comparison=compare(result.y, unseen, OURS, seed=seed),
        unseen=unseen,
        rival=Rival(
            bundle.folder.name,
            explainer.identity.id,
            is_own,
            tuple(_remarks(bundle, strange, is_own=is_own)),
        ),
    )


def _codes(registry: Registry, cohort: Cohort) -> tuple[Matrix, tuple[str, ...]]:
    """The patients as the model in use knows them; what only it asks is unknown to it."""
    columns, strange = [], []
    for factor in registry.factors:
        ours = cohort.registry.by_name.get(factor.name)
        if ours is not None and _same(ours, factor):
            columns.append(cohort.codes[:, cohort.registry.names.index(factor.name)])
        else:
            columns.append(np.full(len(cohort), np.nan))
            strange.append(factor.name)
    return np.column_stack(columns), tuple(strange)


def _same(one: Factor, other: Factor) -> bool:
    return (one.kind, one.levels, one.unit) == (other.kind, other.levels, other.unit)


def _remarks(bundle: Bundle, strange: tuple[str, ...], *, is_own: bool) -> Iterator[str]:
    yield OWN_PATIENTS if is_own else NOT_TOLD
    if bundle.explainer.facts.trained_on == "simulated":
        yield MADE_UP
    if strange:
        names = ", ".join(strange)
        yield f"The model in use asks what this registry does not, unknown here: {names}."
