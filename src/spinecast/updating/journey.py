"""The journey of an update: a cohort and an old model in, an updated model folder out.

The old folder is only read. A kill at any moment leaves no half-written model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from spinecast.cohorts.labelled import LabelledCohort, read_labelled
from spinecast.errors import DataRefused, ModelRefused, Problem, UsageRefused
from spinecast.explaining.assessment import TrainedOn
from spinecast.explaining.bundle import Bundle, refuse_existing, write_bundle
from spinecast.files import refuse_unwritable
from spinecast.fitting.recipe import Recipe
from spinecast.knowledge.declared import schema_problems
from spinecast.measures.logistic import Matrix, Vector
from spinecast.progress import Progress, silent
from spinecast.sharing import one_thread
from spinecast.site.declaration import Site
from spinecast.updating.choosing import Decision, decide
from spinecast.updating.climbing import Climbed, Parent, climbed
from spinecast.updating.judging import judge_rungs
from spinecast.updating.ladder import Ladder, RungName
from spinecast.updating.newcomers import Newcomers
from spinecast.updating.rungs import Climb

LEARNED_MOST = 200_000
"""Patients of a larger cohort whom an update learns from: the rungs refit a model many times, and a
hospital with more patients does better to train on all of them."""
SAME = "A model that fits its own patients says nothing of a new hospital."


@dataclass(frozen=True, slots=True)
class Update:
    """What became of an update: the decision, the updated model, and the ids of both models."""

    decision: Decision
    climbed: Climbed
    parent_id: str
    model_id: str
    patients: int
    events: int


def read_new(cohort: Path, parent: Bundle, site: Site | None = None) -> LabelledCohort:
    """A cohort with outcomes by the old model's own definition; `site` maps its columns to ours.

    Raises:
        UsageRefused: there is no such file.
        DataRefused: it is not a cohort, nobody's outcome is known, or the old model (or one it
            came from) learned from this very file.
    """
    registry = parent.explainer.model.registry
    labelled = read_labelled(cohort, registry, parent.training["outcome"], site)
    refuse_known(labelled, parent)
    return labelled


def refuse_known(labelled: LabelledCohort, parent: Bundle) -> None:
    """A model learns nothing new from patients that it, or one it came from, has learned from.

    Raises:
        DataRefused: they are of that very file.
    """
    taught = parent.that_learned_from(labelled.facts.contents)
    if taught is not None:
        raise DataRefused(
            "This cohort cannot update the model",
            [
                Problem(
                    labelled.name,
                    f"model {taught.id} was trained on this very file, or on one of its files",
                    f"other patients are needed. {SAME[:-1]}",
                    "Name a file of new patients.",
                )
            ],
        )


def update(
    labelled: LabelledCohort,
    parent: Bundle,
    ladder: Ladder,
    folder: Path,
    *,
    replace: bool = False,
    progress: Progress = silent,
) -> Update:
    """Decide how much the new patients change the old model, and write the updated one.

    Args:
        labelled: the new patients and their outcomes, as `read_new` gives them.
        parent: the old model; its folder is only read.
        ladder: what may be done and how it is decided.
        folder: where the updated model goes.
        replace: whether a model already there gives way.
        progress: told what is being done and how far it is.

    Raises:
        UsageRefused: the folder exists, is the old model's own, or cannot be written to.
        DataRefused: too few patients with, or without, the outcome.
        ModelRefused: the old model's folder holds a recipe that this program cannot follow.
    """
    _refuse_itself(folder, parent.folder)
    refuse_existing(folder, replace=replace)
    refuse_unwritable(folder.parent)
    known = labelled.labels.failed
    y = known[~np.isnan(known)]
    _refuse_too_few(y, ladder)
    explainer = parent.explainer
    old = Parent(explainer.identity.id, explainer.facts, _booster(parent.folder))
    with one_thread():
        codes, y = in_order(labelled.cohort.codes[~np.isnan(known)], y)
        new = Newcomers.of(explainer.model, codes, y)
        climb = Climb(explainer.model, new, ladder, _recipe(parent))
        decision = decide(judge_rungs(climb, progress), ladder.choice)
        trained_on = _trained_on(explainer.facts.trained_on, labelled, decision.rung)
        made = climbed(climb, decision.rung, old, trained_on, progress)
    model_id = write_bundle(
        folder,
        made.model,
        made.facts,
        made.booster,
        _story(decision, made, parent, labelled, climb),
        replace=replace,
    )
    return Update(decision, made, old.id, model_id, len(new), int(y.sum()))


def in_order(codes: Matrix, y: Vector) -> tuple[Matrix, Vector]:
    """Patients in an order that their values alone decide: that of the file changes nothing."""
    order = np.lexsort(np.column_stack([y, codes]).T[::-1])
    return codes[order], y[order]


def _refuse_itself(folder: Path, old: Path) -> None:
    if folder.exists() and folder.samefile(old):
        allowed = "an update leaves the old model as it is"
        problem = Problem(str(folder), "it is the old model", allowed, "Choose another name.")
        raise UsageRefused("The model was not written", [problem])


def _refuse_too_few(y: Vector, ladder: Ladder) -> None:
    events, fewest = int(y.sum()), ladder.fewest_events.intercept
    if min(events, len(y) - events) < fewest:
        raise DataRefused(
            "The cohort is too small to say anything of the model",
            [
                Problem(
                    "outcome",
                    f"{events} patients with the outcome and {len(y) - events} without, where it "
                    "is known",
                    f"at least {fewest} of each, by the ladder's fewest_events",
                    "Go on using the old model, and come back with more patients.",
                )
            ],
        )


def _booster(folder: Path) -> str | None:
    trees = folder / "trees.json"
    return trees.read_text(encoding="utf-8") if trees.exists() else None


def _recipe(parent: Bundle) -> Recipe:
    """The recipe the old model was trained by; a retraining follows it."""
    try:
        return Recipe.model_validate(parent.training.get("recipe", {}))
    except ValidationError as error:
        raise ModelRefused(
            "The model's recipe cannot be followed", schema_problems("training.json", error)
        ) from None


def _trained_on(old: TrainedOn, labelled: LabelledCohort, rung: RungName) -> TrainedOn:
    """Simulated as soon as one of those whom the model rests on is."""
    new: TrainedOn = "simulated" if labelled.cohort.has_simulated else "patients"
    if rung == "retrain" or old == "literature":
        return new
    return "simulated" if "simulated" in (old, new) else "patients"


def _story(
    decision: Decision, made: Climbed, parent: Bundle, labelled: LabelledCohort, climb: Climb
) -> dict[str, Any]:
    """How the updated model came about, for its folder."""
    told: Mapping[str, Any] = parent.training
    data = asdict(labelled.facts)
    return {
        "outcome": told["outcome"],
        # A kept model has learned nothing of the new patients.
        "data": told.get("data", {}) if decision.rung == "keep" else data,
        "recipe": climb.recipe.model_dump(mode="json"),
        "choices": made.found.get("choices", told.get("choices")),
        "performance": {"spinecast": decision[decision.rung].performance.to_dict()["estimates"]},
        "update": {
            "parent": parent.explainer.identity.id,
            "data": data,
            "lineage": [asdict(model) for model in parent.lineage],
            "patients": len(climb.new),
            "sampled": labelled.sampled,
            "events": int(climb.new.y.sum()),
            **decision.to_dict(),
            "found": dict(made.found),
            "ladder": climb.ladder.model_dump(mode="json"),
        },
    }
