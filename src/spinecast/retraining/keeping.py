"""What comes of a training, kept: a model folder, a report, a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.disclosure import FEWEST
from spinecast.explaining.bundle import Bundle, refuse_existing, write_bundle
from spinecast.files import refuse_unwritable
from spinecast.fitting.internal import InternalValidation
from spinecast.fitting.rival import beside, read_rival
from spinecast.fitting.training import TrainingResult
from spinecast.measures.sample_size import Standing
from spinecast.progress import Progress
from spinecast.reports import report as reports
from spinecast.reports.evidence import standing_of
from spinecast.reports.study import read_study
from spinecast.runs import tracking


@dataclass(frozen=True)
class Retrained:
    """A training, the id of its model, where its run is in MLflow, and its report's page.

    `standing` says whether there were enough patients for more than an exploratory model.
    """

    result: TrainingResult
    model_id: str
    run: tracking.RunRecord
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

        What can be refused is refused before the long work, not after it, and nothing is made yet:
        also before very many patients are read.

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


def kept(
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
        story(result, labelled),
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
    return Retrained(result, model_id, run, standing_of(result), page)


def story(result: TrainingResult, labelled: LabelledCohort) -> dict[str, Any]:
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
