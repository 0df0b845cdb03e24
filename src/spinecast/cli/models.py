"""Commands that make a model and hold it against outcomes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spinecast.cli.options import (
    FILE,
    refuse_same,
    registry_of,
    registry_option,
    runs_option,
    site_of,
    site_option,
)
from spinecast.cli.work import Work, work_options
from spinecast.errors import Problem, UsageRefused

if TYPE_CHECKING:
    from spinecast.judging.foreign import ForeignValidation
    from spinecast.judging.thresholds import Thresholds
    from spinecast.judging.validation import Validation


@click.command()
@click.argument("cohort", type=FILE)
@click.option("--experiment", type=FILE, required=True, help="The recipe, experiments/*.toml.")
@click.option("--out", type=FILE, required=True, help="Folder for the model, models/NAME.")
@click.option("--replace", is_flag=True, help="Replace the model of that name.")
@click.option("--report", type=FILE, help="Folder for the report; else reports/NAME beside runs.")
@click.option("--study", type=FILE, help="What only a person knows of the study, study.toml.")
@click.option("--proof", is_flag=True, help="Validate internally by refits; that takes long.")
@click.option("--against", type=FILE, help="The model in use, models/NAME, to be compared.")
@site_option
@runs_option
@registry_option
@work_options
def train(
    cohort: Path,
    experiment: Path,
    out: Path,
    replace: bool,  # noqa: FBT001 - a flag of the command line
    report: Path | None,
    study: Path | None,
    proof: bool,  # noqa: FBT001 - likewise
    against: Path | None,
    runs: Path,
    site_file: Path | None,
    registry_folder: Path | None,
    work: Work,
) -> None:
    """Train a model on a cohort, judge it beside its baselines, report it, and record the run.

    A folder of Parquet files is read part by part. From as many patients on as the experiment says,
    some are set apart to judge the model, in place of cross-validation. The last line is the
    report's page.
    """
    from spinecast import console, retraining
    from spinecast.cohorts.outcome import known_name
    from spinecast.fitting.recipe import read_recipe
    from spinecast.sharing import cores

    for place in filter(None, (out, report, runs)):
        refuse_same(place, cohort)
    recipe = read_recipe(experiment)
    registry = registry_of(registry_folder)
    site, progress = site_of(site_file, registry), console.Teller()
    kept = retraining.Destination(
        out, experiment.stem, replace, report or runs / "reports" / out.name, study, against, runs
    )
    kept.checked(known_name(registry.outcome, recipe.outcome or registry.outcome.default))
    with work.gathered(cohort, registry, recipe, site, progress=progress) as (found, workshop):
        for line in console.labelled(found.labelled):
            console.note(line)
        told = retraining.retrain(
            found.labelled,
            recipe,
            out,
            replace=kept.replace,
            report=kept.report,
            study=kept.study,
            proof=proof,
            processes=work.processes or cores(),
            shards=found.shards,
            workshop=workshop,
            against=kept.against,
            experiment=kept.experiment,
            home=kept.home,
            progress=progress,
        )
    apart = told.result.apart
    same = f"the same {apart.judged:,} patients" if apart else "the same folds"
    click.echo(f"On patients the fits had not seen, each model on {same}:")
    for line in console.performances(told.result.performance):
        click.echo(line)
    for line in console.standing(told):
        click.echo(line)
    choices = told.result.choices
    click.echo(
        f"Literature trusted by {choices.weight:g}, priors {choices.scale:g} times as wide, "
        f"{choices.rounds} rounds of trees.\n"
        f"Model {told.model_id} in {out}; MLflow run {told.run.run_id}, to be served by:\n"
        f"  MLFLOW_TRACKING_URI={shlex.quote(told.run.tracking_uri)} "
        f"mlflow models serve -m {told.run.model_uri} --env-manager local"
    )
    click.echo(
        f"Next, on patients it has not met: spinecast validate COHORT --model {out} --out DIR"
    )
    click.echo(f"{told.page}")


@click.command()
@click.argument("cohort", type=FILE)
@click.option(
    "--model", "model_folder", type=FILE, required=True, help="The model to start from, models/OLD."
)
@click.option("--out", type=FILE, required=True, help="Folder for the updated model, models/NEW.")
@click.option("--ladder", type=FILE, help="What may be done, and how it is decided (.toml).")
@click.option("--replace", is_flag=True, help="Replace the model of that name.")
@site_option
@registry_option
@work_options
def update(
    cohort: Path,
    model_folder: Path,
    out: Path,
    ladder: Path | None,
    replace: bool,  # noqa: FBT001 - a flag of the command line
    site_file: Path | None,
    registry_folder: Path | None,
    work: Work,
) -> None:
    """Fit a model to another hospital: keep it, shift it, stretch it, revise it or learn it anew.

    As little is changed as the new patients ask for; the old model's folder stays as it is. Of a
    folder of Parquet files, a sample is learned from: what needs more patients is a training.
    """
    from spinecast import console
    from spinecast.explaining.bundle import read_bundle
    from spinecast.updating import journey, telling
    from spinecast.updating import ladder as ladders

    refuse_same(out, cohort)
    recipe = ladders.read_ladder(ladder) if ladder else ladders.Ladder()
    parent = read_bundle(model_folder, registry_folder)
    registry = parent.explainer.model.registry
    found = work.labelled(
        cohort,
        registry,
        parent.training["outcome"],
        site_of(site_file, registry),
        sample=journey.LEARNED_MOST,
        progress=console.Teller(),
    )
    journey.refuse_known(found, parent)
    for line in console.labelled(found):
        console.note(line)
    told = journey.update(found, parent, recipe, out, replace=replace, progress=console.Teller())
    for line in telling.told(told, recipe, out):
        click.echo(line)


@click.command()
@click.argument("file", type=FILE)
@click.option("--model", "model_folder", type=FILE, help="Folder of the model; FILE is a cohort.")
@click.option("--risks", metavar="COLUMN", help="Without a model: the column of predicted risks.")
@click.option("--outcomes", metavar="COLUMN", help="And that of outcomes: 0/1 or yes/no.")
@click.option("--percent", is_flag=True, help="The predicted risks are per cent, not 0 to 1.")
@click.option("--thresholds", metavar="LOW-HIGH", help="Risks from which to act, as 0.05-0.5.")
@click.option("--action", metavar="TEXT", help="What acting is; needed for a decision curve.")
@click.option("--out", type=FILE, required=True, help="Folder for the numbers and the plot.")
@site_option
@registry_option
@work_options
def validate(
    file: Path,
    model_folder: Path | None,
    risks: str | None,
    outcomes: str | None,
    percent: bool,  # noqa: FBT001 - a flag of the command line
    thresholds: str | None,
    action: str | None,
    out: Path,
    site_file: Path | None,
    registry_folder: Path | None,
    work: Work,
) -> None:
    """Hold a model against a cohort whose outcomes are known, or judge somebody else's risks.

    With --model, FILE is a cohort, which may be a folder of Parquet files. With --risks and
    --outcomes, FILE holds a column of predicted risks and one of outcomes, from any model.
    """
    from spinecast.judging.thresholds import declared

    refuse_same(out, file)
    at = declared(thresholds, action)
    foreign = any((risks, outcomes, percent))
    if model_folder is not None and not foreign:
        _validate_model(file, model_folder, registry_folder, at, out, site_file, work)
    elif model_folder is None and risks and outcomes and not (registry_folder or site_file):
        _validate_predictions(file, risks, outcomes, at, out, percent=percent)
    else:
        problem = Problem(
            "validate",
            "it does not say what to hold against the outcomes",
            "either --model (with or without --registry and --site), or --risks and --outcomes",
        )
        raise UsageRefused("Nothing was validated", [problem])


def _validate_model(
    cohort: Path,
    model_folder: Path,
    registry_folder: Path | None,
    at: Thresholds | None,
    out: Path,
    site_file: Path | None,
    work: Work,
) -> None:
    from spinecast import console
    from spinecast.explaining.scoring import Scorer
    from spinecast.judging import transport_text, validation

    scorer = Scorer.load(model_folder, registry_folder)
    labelled = work.labelled(
        cohort,
        scorer.registry,
        scorer.bundle.training["outcome"],
        site_of(site_file, scorer.registry),
        sample=validation.JUDGED_MOST,
        progress=console.Teller(),
    )
    found = validation.held_against(scorer, labelled, thresholds=at)
    for line in console.labelled(found.labelled):
        console.note(line)
    validation.write_validation(found, out)
    click.echo(f"Model {scorer.explainer.identity.id} on {cohort}:")
    _show_judged(found, out, ("", *transport_text.lines(found.transport), ""))


def _validate_predictions(
    file: Path, risks: str, outcomes: str, at: Thresholds | None, out: Path, *, percent: bool
) -> None:
    from spinecast import console
    from spinecast.judging import foreign

    told = foreign.read_predictions(file, risks, outcomes, percent=percent)
    for line in console.predictions(told):
        console.note(line)
    found = foreign.validate_predictions(told, thresholds=at)
    foreign.write_validation(found, out)
    click.echo(f"{risks} against {outcomes} in {file}:")
    _show_judged(found, out)


def _show_judged(
    found: Validation | ForeignValidation, out: Path, elsewhere: Iterable[str] = ()
) -> None:
    from spinecast import console

    for line in (*console.judged(found.judgement), *found.remarks):
        click.echo(line)
    for line in elsewhere:
        click.echo(line)
    click.echo(
        f"The numbers are in {out / 'validation.json'}, the plot in {out / 'calibration.svg'}."
    )
