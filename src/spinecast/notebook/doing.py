"""A cohort checked, patients scored, a model validated: what needs nothing of training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa

from spinecast.cohorts import cohort as cohorts
from spinecast.cohorts.cohort import CheckedCohort
from spinecast.cohorts.labelled import LabelledCohort, labelled
from spinecast.explaining import batch
from spinecast.explaining.assessment import Assessment
from spinecast.explaining.scoring import Scorer
from spinecast.judging import validation
from spinecast.judging.thresholds import Thresholds
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.loading import load_registry as _load_registry
from spinecast.notebook.records import Checked, Trained, Updated, Validated
from spinecast.patients.answers import as_text
from spinecast.patients.tables import table_of
from spinecast.simulator import synthetic
from spinecast.site.reconciling import read_site

Cohort: TypeAlias = Path | str | pd.DataFrame | Checked
Model: TypeAlias = Path | str | Trained | Updated | Scorer

FRAME = "a frame"


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


def check(
    cohort: Cohort, registry: Registry | None = None, *, site: Path | str | None = None
) -> Checked:
    """The same, and set beside what is published: definitions compared, errors of coding, Table 1.

    Args:
        cohort: a file or a frame; what was checked already is given back as it is.
        registry: spinecast's own without it.
        site: the hospital's mapping of its own columns, for a file.

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
    mapping = None if site is None else read_site(site, known)
    return Checked(Path(cohort).name, cohorts.check(cohort, known, mapping))


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
    scorer = scorer_of(model)
    if isinstance(patients, Mapping):
        return scorer.assess(patients)
    told = (
        batch.patients_of(scorer, _as_text(patients))
        if isinstance(patients, pd.DataFrame)
        else batch.read_patients(scorer, Path(patients))
    )
    frame: pd.DataFrame = pa.concat_tables([block.table() for block in told.blocks()]).to_pandas()
    return frame


def validate(cohort: Cohort, model: Model, *, thresholds: Thresholds | None = None) -> Validated:
    """Hold a model against patients whose outcomes are known.

    Args:
        cohort: the patients with their follow-up.
        model: the model; its own registry and definition of the outcome hold.
        thresholds: declared beforehand; without them there is no decision curve.
    """
    scorer = scorer_of(model)
    patients = cohort_for(cohort, scorer)
    return Validated(validation.held_against(scorer, patients, thresholds=thresholds))


def scorer_of(model: Model) -> Scorer:
    """A model read and verified, whatever names it."""
    if isinstance(model, Scorer):
        return model
    return model.scorer if isinstance(model, Trained | Updated) else Scorer.load(model)


def cohort_for(cohort: Cohort, scorer: Scorer) -> LabelledCohort:
    """The patients with outcomes by a model's own definition, read by its own registry."""
    if isinstance(cohort, Checked) and cohort.registry.id != scorer.registry.id:
        cohort = cohort.found.accepted.to_table()
    return labelled_as(check(cohort, scorer.registry), scorer.bundle.training["outcome"])


def labelled_as(checked: Checked, definition: str) -> LabelledCohort:
    """The same patients with their outcomes, by a named definition."""
    return labelled(checked.found, checked.name, definition)


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame as a file of it would be read; what is missing in it is not known."""
    texts = frame.copy()
    untyped = frame.columns[[pd.api.types.is_object_dtype(kind) for kind in frame.dtypes]]
    for name in untyped if frame.columns.is_unique else ():
        missing = frame[name].isna()
        texts[name] = ["" if no else as_text(v) for v, no in zip(frame[name], missing, strict=True)]
    return table_of(texts)
