"""A model trained, updated, put into use: what brings XGBoost and MLflow."""

from __future__ import annotations

from pathlib import Path

from spinecast import retraining
from spinecast.fitting.recipe import Recipe, read_recipe
from spinecast.knowledge.factors import Registry
from spinecast.notebook.doing import Cohort, Model, check, cohort_for, labelled_as, scorer_of
from spinecast.notebook.records import Promoted, Trained, Updated
from spinecast.promotion import promoting
from spinecast.updating import journey
from spinecast.updating.journey import refuse_known
from spinecast.updating.ladder import Ladder, read_ladder


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
    recipe = experiment if isinstance(experiment, Recipe) else read_recipe(Path(experiment))
    name = "notebook" if isinstance(experiment, Recipe) else Path(experiment).stem
    patients = labelled_as(check(cohort, registry), recipe.outcome)
    told = retraining.retrain(
        patients, recipe, Path(out), experiment=name, replace=replace, home=Path(runs)
    )
    return Trained(Path(out), told)


def update(
    cohort: Cohort,
    model: Model,
    out: Path | str,
    *,
    ladder: Ladder | Path | str | None = None,
    replace: bool = False,
) -> Updated:
    """Take a model to another hospital, changing it as little as its patients ask for.

    Args:
        cohort: the new patients with their follow-up.
        model: the old model; its folder stays as it is.
        out: folder for the updated model.
        ladder: what may be done and how it is decided, or its file; the usual one without it.
        replace: whether a model already there gives way.

    Raises:
        UsageRefused: the folder exists, or the ladder cannot be read.
        DataRefused: too few patients, or the old model learned from this very file.
    """
    parent = scorer_of(model).bundle
    if not isinstance(ladder, Ladder):
        ladder = read_ladder(Path(ladder)) if ladder else Ladder()
    patients = cohort_for(cohort, scorer_of(model))
    refuse_known(patients, parent)
    told = journey.update(patients, parent, ladder, Path(out), replace=replace)
    return Updated(Path(out), told, ladder)


def promote(
    model: Path | str,
    *,
    gate: Path | str,
    cohort: Path | str,
    by: str,
    override: str | None = None,
    models: Path | str = "models",
    runs: Path | str = "experiments",
    site: Path | str | None = None,
) -> Promoted:
    """Put a model into use if it passes the gate; a refusal is a record too.

    Args:
        model: the model's folder, within the folder of the models.
        gate: what it must show, declared beforehand.
        cohort: the file of patients with known outcomes.
        by: who decides.
        override: why the model is used although bounds do not hold.
        models: the folder of the models, with CURRENT and the history.
        runs: MLflow's folder.
        site: the hospital's mapping of its own columns.

    Raises:
        UsageRefused: a name is blank, the gate cannot be used, or the model is already in use.
        DataRefused: the cohort cannot be used.
        ModelRefused: the model or the history is damaged.
    """
    return Promoted(
        promoting.promote(
            Path(model),
            Path(gate),
            Path(cohort),
            by=by,
            override=override,
            models=Path(models),
            home=Path(runs),
            site_file=None if site is None else Path(site),
        )
    )
