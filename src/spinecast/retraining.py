"""The researcher's journey: a cohort and a recipe in; a model folder, a report and a run out.

The model is trained and judged, its folder and report written, the run recorded.
A kill at any moment leaves no half-written model; the journey is simply begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.cohorts.store import Shard
from spinecast.disclosure import FEWEST
from spinecast.errors import SpinecastError
from spinecast.explaining.bundle import Bundle, refuse_existing, write_bundle
from spinecast.files import refuse_unwritable
from spinecast.fitting.internal import InternalValidation, internal_validation
from spinecast.fitting.large.passes import Workshop
from spinecast.fitting.large.plan import Plan
from spinecast.fitting.large.training import train_large
from spinecast.fitting.recipe import Recipe
from spinecast.fitting.rival import beside, read_rival
from spinecast.fitting.training import TrainingResult, train
from spinecast.measures.pooling import pool
from spinecast.measures.sample_size import Standing
from spinecast.patients.draws import hashes
from spinecast.progress import Progress, silent
from spinecast.reports import report as reports
from spinecast.reports.evidence import standing_of
from spinecast.reports.study import read_study
from spinecast.runs import tracking


@dataclass(frozen=True)
class Retrained:
    """A training, the id of its model, its run and model in MLflow, and its report's page.

    `standing` says whether there were enough patients for more than an exploratory model.
    """

    result: TrainingResult
    model_id: str
    run_id: str
    model_uri: str
    standing: Standing
    page: Path | None = None


@dataclass(frozen=True)
class Destination:
    """Where what comes of a training goes, and what stands beside it.

    Attributes:
        folder: where the model goes.
        experiment: under which name MLflow gathers the runs.
        replace: whether a model already there gives way.
        report: where the report goes; none for no report.
        study: what a person wrote of the study, for the report.
        against: the folder of the model in use, to be compared on the same patients.
        home: the folder of MLflow's runs.
    """

    folder: Path
    experiment: str
    replace: bool = False
    report: Path | None = None
    study: Path | None = None
    against: Path | None = None
    home: Path = tracking.HOME

    def checked(self, definition: str) -> Bundle | None:
        """The model in use, if one is named, once nothing speaks against the training.

        What can be refused is refused before the long work, not after it, and nothing is made yet.

        Raises:
            UsageRefused: a folder exists or cannot be written to, or the study cannot be used.
            ModelRefused: the model in use is not whole, or predicts another outcome.
        """
        refuse_existing(self.folder, replace=self.replace)
        if self.report is not None:
            reports.refuse_foreign(self.report)
        if self.study is not None:
            read_study(self.study)
        report = [self.report.parent] if self.report else []
        for place in (self.folder.parent, self.home, *report):
            refuse_unwritable(place)
        return read_rival(self.against, definition) if self.against else None


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
    against: Path | None = None,
    home: Path = tracking.HOME,
    progress: Progress = silent,
) -> Retrained:
    """Train a model on a cohort, write its folder and its report, and record the run.

    Args:
        labelled: the patients and their outcomes.
        recipe: the experiment.
        folder: where the model goes.
        experiment: under which name MLflow gathers the runs.
        replace: whether a model already there gives way.
        report: where the report goes; none for no report.
        study: what a person wrote of the study, for the report.
        proof: whether the report holds the internal validation that the recipe asks for, which
            takes long.
        processes: how many share the refits of the proof; the answers are the same.
        against: the folder of the model in use, to be compared on the same patients.
        home: the folder of MLflow's runs.
        progress: told what is being done and how far it is.

    Raises:
        UsageRefused: a folder exists or cannot be written to, or the study cannot be used.
        DataRefused: too few patients to learn from.
        ModelRefused: the model in use is not whole, or predicts another outcome.
    """
    to = Destination(folder, experiment, replace, report, study, against, home)
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
    return _kept(result, labelled, in_use, to, proven, progress)


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
        UsageRefused: a folder exists or cannot be written to, or the study cannot be used.
        DataRefused: too few patients to learn from.
        ModelRefused: the model in use is not whole, or predicts another outcome.
    """
    in_use = to.checked(judging.labels.definition)
    cohort = judging.cohort
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
    proven = partial(_proven, sample, recipe, processes, progress) if sample else None
    return _kept(result, judging, in_use, to, proven, progress)


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


def _kept(
    result: TrainingResult,
    labelled: LabelledCohort,
    in_use: Bundle | None,
    to: Destination,
    proven: Callable[[], InternalValidation] | None,
    progress: Progress,
) -> Retrained:
    """The training with its model folder, its report and its run."""
    if in_use is not None:
        result = beside(result, in_use, labelled)
    model_id = write_bundle(
        to.folder,
        result.model,
        result.facts,
        result.booster,
        _story(result, labelled),
        replace=to.replace,
    )
    page = None
    if to.report is not None:
        page = reports.write_report(
            result,
            labelled,
            to.folder,
            to.report,
            study=to.study,
            internal=proven() if proven else None,
            progress=progress,
        )
    progress("recording the run", 0, 1)
    run = tracking.record(
        result,
        to.folder,
        experiment_name=to.experiment,
        data=labelled.facts,
        report=to.report,
        home=to.home,
    )
    progress("recording the run", 1, 1)
    return Retrained(result, model_id, run.run_id, run.model_uri, standing_of(result), page)


def _story(result: TrainingResult, labelled: LabelledCohort) -> dict[str, Any]:
    """How the model was made, how it did, and how much was not known, for its folder."""
    return {
        "outcome": result.outcome,
        "data": asdict(labelled.facts),
        "recipe": result.recipe.model_dump(mode="json"),
        "choices": asdict(result.choices),
        **({"apart": asdict(result.apart)} if result.apart else {}),
        "performance": {
            name: performance.to_dict()["estimates"]
            for name, performance in result.performance.items()
        },
        "unknown": _unknown(labelled),
    }


def _unknown(labelled: LabelledCohort) -> dict[str, float | None]:
    """By factor, the share of the patients learned from of whom it was not known.

    None where that would count one to four patients.
    """
    codes = labelled.cohort.codes[~np.isnan(labelled.labels.failed)]
    counts = np.isnan(codes).sum(axis=0)
    shown = (counts == 0) | (counts >= FEWEST)
    shares = [
        round(int(count) / len(codes), 6) if told else None
        for count, told in zip(counts, shown, strict=True)
    ]
    return dict(zip(labelled.cohort.registry.names, shares, strict=True))
