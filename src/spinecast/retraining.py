"""The researcher's journey: a cohort and a recipe in; a model folder, a report and a run out.

The model is trained and judged, its folder and report written, the run recorded.
A kill at any moment leaves no half-written model; the journey is simply begun again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.disclosure import FEWEST
from spinecast.explaining.bundle import refuse_existing, write_bundle
from spinecast.files import refuse_unwritable
from spinecast.fitting.internal import internal_validation
from spinecast.fitting.recipe import Recipe
from spinecast.fitting.rival import beside, read_rival
from spinecast.fitting.training import TrainingResult, train
from spinecast.measures.pooling import pool
from spinecast.measures.sample_size import Standing
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
    # What can be refused is refused before the long work, not after it, and nothing is made yet.
    refuse_existing(folder, replace=replace)
    if report is not None:
        reports.refuse_foreign(report)
    if study is not None:
        read_study(study)
    for place in (folder.parent, home, *([report.parent] if report else ())):
        refuse_unwritable(place)
    in_use = read_rival(against, labelled.labels.definition) if against else None
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
    if in_use is not None:
        result = beside(result, in_use, labelled)
    model_id = write_bundle(
        folder,
        result.model,
        result.facts,
        result.booster,
        _story(result, labelled),
        replace=replace,
    )
    page = None
    if report is not None:
        found = (
            internal_validation(
                cohort,
                labelled.labels.failed,
                recipe,
                pool=pool,
                processes=processes,
                progress=progress,
            )
            if proof
            else None
        )
        page = reports.write_report(
            result, labelled, folder, report, study=study, internal=found, progress=progress
        )
    progress("recording the run", 0, 1)
    run = tracking.record(
        result,
        folder,
        experiment_name=experiment,
        data=labelled.facts,
        report=report,
        home=home,
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
