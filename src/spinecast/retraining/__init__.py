"""The researcher's journey: a cohort and a recipe in; a model folder, a report and a run out.

The model is trained and judged, its folder and report written, the run recorded.
A kill at any moment leaves no half-written model; the journey is simply begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.cohorts.store import Shard, Stored, write_shards
from spinecast.errors import SpinecastError
from spinecast.files import refuse_crowded, room_in, scratch_folder
from spinecast.fitting.internal import InternalValidation, internal_validation
from spinecast.fitting.large.passes import Workshop
from spinecast.fitting.large.plan import BoolArray, Plan
from spinecast.fitting.large.training import train_large
from spinecast.fitting.recipe import Recipe
from spinecast.fitting.training import TrainingResult, train
from spinecast.measures.pooling import pool
from spinecast.patients.draws import HashArray, hashes
from spinecast.patients.parts import ROWS_AT_ONCE
from spinecast.progress import Progress, silent
from spinecast.retraining.gathering import Gathered, gather
from spinecast.retraining.keeping import Destination, Retrained, kept
from spinecast.runs import tracking
from spinecast.sharing import workers

__all__ = ["Destination", "Gathered", "Retrained", "gather", "retrain", "retrain_large"]

A_VALUE = 8
"""Bytes of scratch for each value of a patient: 4.8 measured between passes (docs/scale.md), and
XGBoost's pages beside them. A disk that fills up under XGBoost ends the process without a word."""
ON_SAMPLE = (
    "Refits of the whole method were made on {patients:,} of the patients who taught, drawn by "
    "chance: they say how the method does with so many, not how the model does."
)


def retrain(
    labelled: LabelledCohort,
    recipe: Recipe,
    folder: Path,
    *,
    experiment: str,
    replace: bool = False,
    report: Path | None = None,
    study: Path | None = None,
    proof: bool = False,
    processes: int = 1,
    shards: Sequence[Shard] = (),
    workshop: Workshop | None = None,
    against: Path | None = None,
    home: Path = tracking.HOME,
    progress: Progress = silent,
) -> Retrained:
    """Train a model on a cohort, write its folder and its report, and record the run.

    From as many patients on as the recipe says, some are set apart in place of cross-validation.

    Args:
        labelled: the patients and their outcomes; with `shards`, those of whom more than sums are
            needed (`gathering`).
        recipe: the experiment.
        folder: where the model goes.
        experiment: under which name MLflow gathers the runs.
        replace: whether a model already there gives way.
        report: where the report goes; none for no report.
        study: what a person wrote of the study, for the report.
        proof: whether the report holds the internal validation that the recipe asks for, which
            takes long.
        processes: how many share the refits of the proof, or the passes over very many patients;
            the answers are the same.
        shards: very many patients on disk; those in memory are written there where it is needed.
        workshop: where very many patients are learned from, and by whom; one of its own without.
        against: the folder of the model in use, to be compared on the same patients.
        home: the folder of MLflow's runs.
        progress: told what is being done and how far it is.

    Raises:
        UsageRefused: a folder exists or cannot be written to, the study cannot be used, or there is
            no room for scratch.
        DataRefused: too few patients to learn from.
        ModelRefused: the model in use is not whole, or predicts another outcome.
    """
    to = Destination(folder, experiment, replace, report, study, against, home)
    if plan := Plan.of(recipe, labelled.followed.known):
        with _workshop(workshop, processes, progress) as place:
            return retrain_large(
                shards or _stored(labelled, place.scratch),
                plan,
                _only(labelled, plan.judges),
                recipe,
                place,
                to,
                sample=_only(labelled, plan.is_sampled) if proof else None,
                processes=processes,
            )
    in_use = to.checked(labelled.labels.definition)
    cohort = labelled.cohort
    result = train(
        cohort.registry,
        cohort.codes,
        labelled.labels.failed,
        recipe,
        trained_on="simulated" if cohort.has_simulated else "patients",
        outcome=labelled.labels.definition,
        progress=progress,
    )
    proven = partial(_proven, labelled, recipe, processes, progress) if proof else None
    return kept(result, labelled, in_use, to, proven, progress)


def retrain_large(
    shards: Sequence[Shard],
    plan: Plan,
    judging: LabelledCohort,
    recipe: Recipe,
    workshop: Workshop,
    to: Destination,
    *,
    sample: LabelledCohort | None = None,
    processes: int = 1,
) -> Retrained:
    """The same with more patients than fit in memory or than cross-validation is for.

    Args:
        shards: the patients whose outcome is known.
        plan: who teaches, tunes and judges.
        judging: the patients whom the plan lets judge, in any order, for the report's tables; its
            counts are those of the whole cohort.
        recipe: the experiment.
        workshop: where the training is done, and by whom.
        to: where everything goes.
        sample: patients on whom the report's internal validation is run; none for no such.
        processes: how many share that validation.

    Raises:
        UsageRefused: a folder exists or cannot be written to, the study cannot be used, or there is
            no room for scratch.
        DataRefused: too few patients to learn from.
        ModelRefused: the model in use is not whole, or predicts another outcome.
    """
    in_use = to.checked(judging.labels.definition)
    cohort = judging.cohort
    patients = sum(shard.rows for shard in shards)
    refuse_crowded(workshop.scratch, patients * A_VALUE * len(cohort.registry.names))
    with room_in(workshop.scratch):
        result = train_large(
            shards,
            plan,
            cohort.registry,
            recipe,
            workshop,
            trained_on="simulated" if cohort.has_simulated else "patients",
            outcome=judging.labels.definition,
        )
    result = _beside_patients(result, judging)
    progress = workshop.progress
    proven = partial(_proven_on_sample, sample, recipe, processes, progress) if sample else None
    return kept(result, judging, in_use, to, proven, progress)


@contextmanager
def _workshop(given: Workshop | None, processes: int, progress: Progress) -> Iterator[Workshop]:
    """The workshop that was given, or one of this machine for as long as it is needed."""
    if given is not None:
        yield given
        return
    with scratch_folder() as scratch, workers(processes) as share:
        yield Workshop(scratch, share, progress=progress)


def _stored(labelled: LabelledCohort, scratch: Path) -> Sequence[Shard]:
    """Patients who lie in memory, in shards."""
    cohort = labelled.cohort
    patients = Stored(cohort.codes, labelled.labels.failed, hashes(cohort.patient_id))
    with room_in(scratch):
        return write_shards(scratch, cohort.registry.names, patients, ROWS_AT_ONCE)


def _only(labelled: LabelledCohort, wanted: Callable[[HashArray], BoolArray]) -> LabelledCohort:
    """The patients who have a part in a plan; the counts stay those of all."""
    return labelled.take(wanted(hashes(labelled.cohort.patient_id)))


def _beside_patients(result: TrainingResult, judging: LabelledCohort) -> TrainingResult:
    """The training with its risks in the order of the patients for the report."""
    known = judging.labels.is_known
    order = np.argsort(hashes(judging.cohort.patient_id[known]), kind="stable")
    if not np.array_equal(judging.labels.failed[known][order], result.y):
        raise SpinecastError("The patients for the report are not those that the plan lets judge.")
    back = np.argsort(order)
    unseen = {name: risks[:, back] for name, risks in result.unseen.items()}
    return replace(result, y=result.y[back], unseen=unseen)


def _proven(
    labelled: LabelledCohort, recipe: Recipe, processes: int, progress: Progress
) -> InternalValidation:
    return internal_validation(
        labelled.cohort,
        labelled.labels.failed,
        recipe,
        pool=pool,
        processes=processes,
        progress=progress,
    )


def _proven_on_sample(
    sample: LabelledCohort, recipe: Recipe, processes: int, progress: Progress
) -> InternalValidation:
    found = _proven(sample, recipe, processes, progress)
    return replace(found, notes=(ON_SAMPLE.format(patients=sample.labels.known), *found.notes))
