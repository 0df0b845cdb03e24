"""What a researcher does in a notebook, in one line each: frames in, frozen records out.

    import spinecast
    checked = spinecast.check("cohort.csv")
    trained = spinecast.train(checked, "experiments/001-evidence.toml", out="models/ours")
    spinecast.score({"age": 54, "smoking_status": "current"}, trained)
    spinecast.validate(later, trained)

A cohort is a path (CSV, Parquet), a frame with the same columns, or what `check` gave. A model is a
folder, or what `train` gave. Every record shows itself in a notebook; nothing is printed.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa

from spinecast import console
from spinecast.cohorts import cohort as cohorts
from spinecast.cohorts import outcome
from spinecast.cohorts.cohort import CheckedCohort
from spinecast.cohorts.labelled import LabelledCohort, labelled
from spinecast.cohorts.outcome import DefinitionCount, Labels
from spinecast.explaining import batch
from spinecast.explaining.assessment import Assessment
from spinecast.explaining.scoring import Scorer
from spinecast.fitting.recipe import Recipe, read_recipe
from spinecast.judging import validation
from spinecast.judging.first_table import FirstTable, first_table
from spinecast.judging.judgement import Judgement, Thresholds
from spinecast.judging.one_factor import Suspicion
from spinecast.judging.suspicion import suspicions
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.loading import load_registry as _load_registry
from spinecast.patients.answers import as_text
from spinecast.patients.tables import table_of
from spinecast.simulator import synthetic

FRAME = "a frame"


@dataclass(frozen=True)
class Checked:
    """A cohort read against a registry, set beside what is published.

    Attributes:
        name: of its file.
        found: the accepted patients and the rejected rows with every reason.
    """

    name: str
    found: CheckedCohort

    @property
    def registry(self) -> Registry:
        """What the columns mean."""
        return self.found.accepted.registry

    @cached_property
    def labels(self) -> Labels:
        """Who failed, by the registry's own definition."""
        return outcome.labels(self.registry, self.found.accepted.columns())

    @cached_property
    def definitions(self) -> tuple[DefinitionCount, ...]:
        """How many would have failed by each definition."""
        return outcome.compare_definitions(self.registry, self.found.accepted.columns())

    @cached_property
    def suspicions(self) -> tuple[Suspicion, ...]:
        """What looks like an error of coding."""
        kept, absent = self.found.accepted, frozenset(self.found.absent_columns)
        seen = (self.registry, kept.codes, kept.site, kept.outcome, self.labels.failed)
        return suspicions(*seen, absent=absent)

    @cached_property
    def table_1(self) -> FirstTable:
        """The patients by outcome and site, small counts included: it is for their owner."""
        kept = self.found.accepted
        return first_table(
            self.registry, kept.codes, self.labels.failed, kept.site, keep_back=False
        )

    def _repr_html_(self) -> str:
        return _shown(
            [
                *console.checked(self.found),
                "",
                console.followed(self.labels, len(self.found.accepted)),
                *console.definitions(self.definitions),
                *console.suspicious(self.suspicions),
            ]
        )


@dataclass(frozen=True)
class Trained:
    """A model that was trained, written and recorded.

    Attributes:
        folder: where it stands.
        told: its id, its run, and how it did beside its baselines.
    """

    folder: Path
    told: Any

    @cached_property
    def scorer(self) -> Scorer:
        """The model read back, ready to answer."""
        return Scorer.load(self.folder)

    def _repr_html_(self) -> str:
        lines = console.performances(self.told.result.performance)
        return _shown([f"Model {self.told.model_id} in {self.folder}", *lines])


@dataclass(frozen=True)
class Validated:
    """A model held against patients whose outcomes are known."""

    found: validation.Validation

    @property
    def judgement(self) -> Judgement:
        """All measures, with intervals."""
        return self.found.judgement

    def _repr_html_(self) -> str:
        return _shown([*console.judged(self.judgement), *self.found.remarks])


Cohort: TypeAlias = Path | str | pd.DataFrame | Checked
Model: TypeAlias = Path | str | Trained | Scorer


def load_registry(folder: Path | str | None = None) -> Registry:
    """The registry of a folder; the one that comes with spinecast when none is named."""
    return _load_registry(None if folder is None else Path(folder))


def simulate(
    patients: int,
    seed: int,
    registry: Registry | None = None,
    **options: Any,  # noqa: ANN401
) -> pd.DataFrame:
    """Simulated patients as a frame, ready to be read as a cohort; see `synthetic.simulate`."""
    return synthetic.simulate(registry or load_registry(), patients, seed, **options).frame()


def read_cohort(cohort: Cohort, registry: Registry | None = None) -> CheckedCohort:
    """Sort the rows of a file or a frame into accepted and rejected, with every reason.

    Raises:
        UsageRefused: the file cannot be read.
        DataRefused: it is not a table, or a column that must be there is missing.
    """
    return check(cohort, registry).found


def check(cohort: Cohort, registry: Registry | None = None) -> Checked:
    """The same, and set beside what is published: definitions compared, errors of coding, Table 1.

    Raises:
        UsageRefused: the file cannot be read.
        DataRefused: it is not a table, or a column that must be there is missing.
    """
    if isinstance(cohort, Checked):
        return cohort
    known = registry or load_registry()
    if isinstance(cohort, pd.DataFrame):
        table = _as_text(cohort)
        mark = hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
        return Checked(FRAME, cohorts.check_table(table, known, mark))
    return Checked(Path(cohort).name, cohorts.check(cohort, known))


def train(
    cohort: Cohort,
    experiment: Path | str | Recipe,
    out: Path | str,
    *,
    registry: Registry | None = None,
    replace: bool = False,
    runs: Path | str = "experiments",
) -> Trained:
    """Train a model on a cohort, judge it beside its baselines, write it and record the run.

    Args:
        cohort: the patients with their follow-up.
        experiment: the recipe, or its file.
        out: folder for the model.
        registry: of a path or a frame; spinecast's own without it.
        replace: whether a model already there gives way.
        runs: MLflow's folder.

    Raises:
        UsageRefused: the folder exists, or the experiment cannot be read.
        DataRefused: too few patients to learn from.
    """
    # Here because it brings MLflow and XGBoost, which scoring a patient does without.
    from spinecast import retraining

    recipe = experiment if isinstance(experiment, Recipe) else read_recipe(Path(experiment))
    name = "notebook" if isinstance(experiment, Recipe) else Path(experiment).stem
    patients = _labelled(check(cohort, registry), recipe.outcome)
    told = retraining.retrain(
        patients, recipe, Path(out), experiment=name, replace=replace, home=Path(runs)
    )
    return Trained(Path(out), told)


def score(
    patients: Mapping[str, object] | pd.DataFrame | Path | str, model: Model
) -> Assessment | pd.DataFrame:
    """Score one patient (answers by name) or many (a frame or a file), and say why.

    Returns:
        The record of the one; of many a frame with a row each, in their order, the refused with
        their reasons.

    Raises:
        ModelRefused: the folder is not a model.
        DataRefused: the frame has no patient_id.
    """
    scorer = _scorer(model)
    if isinstance(patients, Mapping):
        return scorer.assess(patients)
    told = (
        batch.patients_of(scorer, _as_text(patients))
        if isinstance(patients, pd.DataFrame)
        else batch.read_patients(scorer, Path(patients))
    )
    frame: pd.DataFrame = pa.concat_tables([piece.table() for piece in told.pieces()]).to_pandas()
    return frame


def validate(cohort: Cohort, model: Model, *, thresholds: Thresholds | None = None) -> Validated:
    """Hold a model against patients whose outcomes are known.

    Args:
        cohort: the patients with their follow-up.
        model: the model; its own registry and definition of the outcome hold.
        thresholds: declared beforehand; without them there is no decision curve.
    """
    scorer = _scorer(model)
    if isinstance(cohort, Checked) and cohort.registry.id != scorer.registry.id:
        cohort = cohort.found.accepted.to_table()
    patients = _labelled(check(cohort, scorer.registry), scorer.bundle.training["outcome"])
    return Validated(validation.held_against(scorer, patients, thresholds=thresholds))


def _scorer(model: Model) -> Scorer:
    if isinstance(model, Scorer):
        return model
    return model.scorer if isinstance(model, Trained) else Scorer.load(model)


def _labelled(checked: Checked, definition: str) -> LabelledCohort:
    return labelled(checked.found, checked.name, definition)


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame as a file of it would be read; what is missing in it is not known."""
    texts = frame.copy()
    untyped = frame.columns[[pd.api.types.is_object_dtype(kind) for kind in frame.dtypes]]
    for name in untyped if frame.columns.is_unique else ():
        missing = frame[name].isna()
        texts[name] = ["" if no else as_text(v) for v, no in zip(frame[name], missing, strict=True)]
    return table_of(texts)


def _shown(lines: Iterable[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"
