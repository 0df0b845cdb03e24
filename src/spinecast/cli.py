"""The command line: words to calls, errors to exit codes. Nothing is computed or worded here.

Exit codes: 0 done; 2 wrong use; 3 the data was refused; 4 the model was refused; 1 a bug. What a
command needs is imported inside it, so that `--help` and a single patient do not wait for the rest.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from spinecast import __version__
from spinecast.errors import DataRefused, Problem, SpinecastError, UsageRefused

if TYPE_CHECKING:
    from spinecast.explaining.batch import Patients
    from spinecast.judging.foreign import ForeignValidation
    from spinecast.judging.judgement import Thresholds
    from spinecast.judging.validation import Validation
    from spinecast.knowledge.factors import Registry

Command = TypeVar("Command", bound=Callable[..., Any])

STOPPED = 130
TABLES = [".csv", ".parquet"]
FILE = click.Path(path_type=Path)


def main() -> None:
    """Run a command; people's errors become sentences and exit codes, never a traceback."""
    try:
        # Not `commands.main`: it keeps exit codes and broken pipes to itself.
        with commands.make_context("spinecast", sys.argv[1:]) as context:
            commands.invoke(context)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(UsageRefused.exit_code)
    except SpinecastError as refused:
        click.echo(str(refused), err=True)
        sys.exit(refused.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Stopped. Nothing was left half-written; run the command again.", err=True)
        sys.exit(STOPPED)
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        click.echo("There is not enough memory for this file: give it in parts.", err=True)
        sys.exit(UsageRefused.exit_code)
    except Exception as bug:
        if os.environ.get("SPINECAST_TRACEBACK"):
            raise
        _leave(bug)


def _leave(bug: Exception) -> NoReturn:
    """Say what went wrong where nobody foresaw it, or where a lean install lacks a package."""
    if isinstance(bug, ModuleNotFoundError):
        click.echo(
            f"This command needs {bug.name}, which a lean install leaves out. Install everything "
            "(requirements.lock).",
            err=True,
        )
        sys.exit(UsageRefused.exit_code)
    click.echo(
        f"This is a bug in spinecast {__version__}: {type(bug).__name__} in {_place(bug)}.\n"
        "Please report this line. `export SPINECAST_TRACEBACK=1` shows more; that may quote "
        "patients' data, so read it before you pass it on.",
        err=True,
    )
    sys.exit(SpinecastError.exit_code)


def _place(bug: Exception) -> str:
    """Where an exception was raised, without what it says: that may quote a patient's answers."""
    frames = traceback.extract_tb(bug.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="spinecast")
def commands() -> None:
    """Risk of failed back surgery syndrome before lumbar surgery, explained factor by factor."""


def _registry_option(command: Command) -> Command:
    text = "Folder of another registry; without it, the one that comes with spinecast."
    return click.option("--registry", "registry_folder", type=FILE, metavar="DIR", help=text)(
        command
    )


def _model_option(command: Command) -> Command:
    text = "Folder of the model, as `spinecast train` wrote it."
    return click.option("--model", "model_folder", type=FILE, required=True, help=text)(command)


def _registry(folder: Path | None) -> Registry:
    from spinecast.knowledge.loading import load_registry

    return load_registry(folder)


def _refuse_existing(path: Path) -> None:
    """A filled template or a cohort is never overwritten by a blank one."""
    if path.exists():
        problem = Problem(
            str(path), "it exists", "nothing is overwritten here", "Name another file."
        )
        raise UsageRefused("The file was not written", [problem])


def _refuse_same(out: Path, given: Path) -> None:
    """What a command reads it does not write over."""
    if out.exists() and given.exists() and out.samefile(given):
        problem = Problem(str(out), "it is the file read", "another file is needed")
        raise UsageRefused("The file was not written", [problem])


def _refuse_ending(out: Path, allowed: Sequence[str]) -> None:
    if out.suffix.lower() not in allowed:
        problem = Problem(str(out), "its ending is not known", f"allowed: {', '.join(allowed)}")
        raise UsageRefused("The file was not written", [problem])


# --- the registry ---------------------------------------------------------------------------------


@commands.command()
@click.argument("name", required=False)
@_registry_option
def factors(name: str | None, registry_folder: Path | None) -> None:
    """List the factors, or tell all about one: what is asked, the evidence, its sources."""
    from spinecast.handbook import catalogue
    from spinecast.showing.terminal import Terminal

    registry = _registry(registry_folder)
    width = Terminal.of(sys.stdout).width
    click.echo(
        catalogue.entry(registry, name, width) if name else catalogue.listing(registry, width),
        nl=False,
    )


@commands.command()
@click.option("--out", type=FILE, help="A .csv for a cohort or a .json for a patient.")
@_registry_option
def template(out: Path | None, registry_folder: Path | None) -> None:
    """Give a blank cohort (CSV header) and a blank patient (JSON) to fill in."""
    import json

    from spinecast.files import write_text
    from spinecast.patients import cohort

    header, patient = cohort.template(_registry(registry_folder))
    texts = {".csv": header, ".json": json.dumps(patient, indent=2) + "\n"}
    if out is None:
        click.echo(header + "\n" + texts[".json"], nl=False)
        return
    _refuse_ending(out, list(texts))
    _refuse_existing(out)
    write_text(out, texts[out.suffix.lower()])


# --- cohorts --------------------------------------------------------------------------------------


@commands.command()
@click.option("--patients", type=click.IntRange(1, 10_000_000), required=True)
@click.option("--seed", type=click.IntRange(0), required=True, help="Of these patients.")
@click.option("--truth-seed", type=click.IntRange(0), help="Of their hospital's true effects.")
@click.option("--missing", type=click.FloatRange(0, 1), help="Share of answers left blank.")
@click.option("--out", type=FILE, required=True, help="The cohort, .csv or .parquet.")
@click.option("--truth", type=FILE, help="Each patient's true risk, .csv or .parquet.")
@_registry_option
def simulate(
    patients: int,
    seed: int,
    truth_seed: int | None,
    missing: float | None,
    out: Path,
    truth: Path | None,
    registry_folder: Path | None,
) -> None:
    """Simulate a cohort with follow-up: the same seed gives the same patients, byte for byte."""
    from spinecast.patients.tables import write_table
    from spinecast.simulator import synthetic

    for path in (path for path in (out, truth) if path is not None):
        _refuse_ending(path, TABLES)
        _refuse_existing(path)
    registry = _registry(registry_folder)
    made = synthetic.simulate(registry, patients, seed, truth_seed=truth_seed, missing=missing)
    if truth is not None:
        write_table(made.truth_frame(), truth)
    write_table(made.frame(), out)
    click.echo(
        f"{patients:,} simulated patients in {out}, {made.outcome.mean():.1%} of whom failed.\n"
        f"Best possible AUROC, that of the true risk itself: {made.best_auroc:.3f}"
    )


@commands.command()
@click.argument("cohort", type=FILE)
@click.option("--rejected", type=FILE, help="Write every reason, one per line (.csv, .parquet).")
@_registry_option
def check(cohort: Path, rejected: Path | None, registry_folder: Path | None) -> None:
    """Say which rows of a cohort are accepted, and every reason why others are not.

    Exit code 3 when any row is rejected.
    """
    from spinecast import console
    from spinecast.patients import cohort as cohorts
    from spinecast.patients import outcome
    from spinecast.patients.tables import write_table

    if rejected is not None:
        _refuse_same(rejected, cohort)
    registry = _registry(registry_folder)
    found = cohorts.check(cohort, registry)
    columns = found.accepted.columns()
    for line in (
        *console.checked(found),
        *console.unknown(found),
        "",
        console.followed(outcome.labels(registry, columns), len(found.accepted)),
        *console.definitions(outcome.compare_definitions(registry, columns)),
    ):
        click.echo(line)
    if rejected is not None:
        write_table(found.rejected.to_frame(), rejected)
    if len(found.rejected):
        raise click.exceptions.Exit(DataRefused.exit_code)


# --- models ---------------------------------------------------------------------------------------


@commands.command()
@click.argument("cohort", type=FILE)
@click.option("--experiment", type=FILE, required=True, help="The recipe, experiments/*.toml.")
@click.option("--out", type=FILE, required=True, help="Folder for the model, models/NAME.")
@click.option("--replace", is_flag=True, help="Replace the model of that name.")
@click.option("--report", type=FILE, help="Folder for the report; else reports/NAME beside runs.")
@click.option("--study", type=FILE, help="What only a person knows of the study, study.toml.")
@click.option("--proof", is_flag=True, help="Validate internally by refits; that takes long.")
@click.option(
    "--runs", type=FILE, default="experiments", show_default=True, help="MLflow's folder."
)
@_registry_option
def train(
    cohort: Path,
    experiment: Path,
    out: Path,
    replace: bool,  # noqa: FBT001 - a flag of the command line
    report: Path | None,
    study: Path | None,
    proof: bool,  # noqa: FBT001 - likewise
    runs: Path,
    registry_folder: Path | None,
) -> None:
    """Train a model on a cohort, judge it beside its baselines, report it, and record the run.

    The last line is the report's page.
    """
    from spinecast import console, retraining
    from spinecast.fitting.recipe import read_recipe
    from spinecast.patients.labelled import read_labelled

    recipe = read_recipe(experiment)
    registry = _registry(registry_folder)
    found = read_labelled(cohort, registry, recipe.outcome)
    for line in console.labelled(found):
        console.note(line)
    told = retraining.retrain(
        found,
        recipe,
        out,
        replace=replace,
        report=report or runs / "reports" / out.name,
        study=study,
        proof=proof,
        experiment=experiment.stem,
        home=runs,
        progress=console.Teller(),
    )
    click.echo("On patients the fits had not seen, each model on the same folds:")
    for line in console.performances(told.result.performance):
        click.echo(line)
    choices = told.result.choices
    click.echo(
        f"Literature trusted by {choices.weight:g}, priors {choices.scale:g} times as wide, "
        f"{choices.rounds} rounds of trees.\n"
        f"Model {told.model_id} in {out}; MLflow run {told.run_id}, "
        f"to be served as {told.model_uri}."
    )
    click.echo(f"{told.page}")


@commands.command()
@click.argument("patients", type=FILE)
@_model_option
@click.option("--format", "form", type=click.Choice(["text", "json", "html"]), default="text")
@click.option("--out", type=FILE, help="A file: .json, .csv, .parquet, .html or .txt.")
@click.option("--full", is_flag=True, help="Show every factor, however small its contribution.")
@_registry_option
def score(
    patients: Path,
    model_folder: Path,
    form: str,
    out: Path | None,
    full: bool,  # noqa: FBT001 - a flag of the command line
    registry_folder: Path | None,
) -> None:
    """Score a patient (JSON) or many (JSON list, CSV, Parquet), and say why.

    The ending of --out decides what is written: records in .json, columns in .csv and .parquet, a
    page in .html. Exit code 3 when nobody could be scored.
    """
    from spinecast import console
    from spinecast.explaining import batch
    from spinecast.explaining.scoring import Scorer

    if out is not None:
        _refuse_ending(out, [*batch.ENDINGS, *_SHOWN_AS])
        _refuse_same(out, patients)
    scorer = Scorer.load(model_folder, registry_folder)
    told = batch.read_patients(scorer, patients)
    for line in console.unused(told):
        console.note(line)
    if out is not None and out.suffix.lower() in batch.ENDINGS:
        batch.write_scores(told, out, console.Teller())
    else:
        _show(told, _SHOWN_AS.get(out.suffix.lower(), form) if out else form, out, full=full)
    if told.refused and not told.alone:
        console.note(
            f"{told.refused:,} of {len(told):,} patients could not be scored; each says why."
        )
    if told.refused == len(told):
        raise click.exceptions.Exit(DataRefused.exit_code)


_SHOWN_AS = {".html": "html", ".htm": "html", ".txt": "text"}


def _show(patients: Patients, form: str, out: Path | None, *, full: bool) -> None:
    """Show every patient's record, on the terminal or in a file."""
    from spinecast.files import write_text
    from spinecast.showing.display import as_html, as_text
    from spinecast.showing.terminal import Terminal

    told = list(patients.assessments())
    shown = told[0] if patients.alone else told
    cited = {source.name: source.cite for source in patients.scorer.registry.sources}
    if form == "json":
        texts = ",\n".join(one.to_json() for one in told)
        text = texts + "\n" if patients.alone else f"[\n{texts}\n]\n"
    elif form == "html":
        text = as_html(shown, full=full, source_names=cited)
    else:
        terminal = Terminal() if out else Terminal.of(sys.stdout)
        text = as_text(shown, full=full, source_names=cited, **asdict(terminal))
    if out is None:
        click.echo(text, nl=False)
    else:
        write_text(out, text)


@commands.command()
@click.argument("file", type=FILE)
@click.option("--model", "model_folder", type=FILE, help="Folder of the model; FILE is a cohort.")
@click.option("--risks", metavar="COLUMN", help="Without a model: the column of predicted risks.")
@click.option("--outcomes", metavar="COLUMN", help="And that of outcomes: 0/1 or yes/no.")
@click.option("--percent", is_flag=True, help="The predicted risks are per cent, not 0 to 1.")
@click.option("--thresholds", metavar="LOW-HIGH", help="Risks from which to act, as 0.05-0.5.")
@click.option("--action", metavar="TEXT", help="What acting is; needed for a decision curve.")
@click.option("--out", type=FILE, required=True, help="Folder for the numbers and the plot.")
@_registry_option
def validate(
    file: Path,
    model_folder: Path | None,
    risks: str | None,
    outcomes: str | None,
    percent: bool,  # noqa: FBT001 - a flag of the command line
    thresholds: str | None,
    action: str | None,
    out: Path,
    registry_folder: Path | None,
) -> None:
    """Hold a model against a cohort whose outcomes are known, or judge somebody else's risks.

    With --model, FILE is a cohort. With --risks and --outcomes, FILE holds a column of predicted
    risks and one of outcomes, from any model.
    """
    from spinecast.judging.judgement import declared

    at = declared(thresholds, action)
    foreign = any((risks, outcomes, percent))
    if model_folder is not None and not foreign:
        _validate_model(file, model_folder, registry_folder, at, out)
    elif model_folder is None and risks and outcomes and registry_folder is None:
        _validate_predictions(file, risks, outcomes, at, out, percent=percent)
    else:
        problem = Problem(
            "validate",
            "it does not say what to hold against the outcomes",
            "either --model (with or without --registry), or --risks and --outcomes",
        )
        raise UsageRefused("Nothing was validated", [problem])


def _validate_model(
    cohort: Path, model_folder: Path, registry_folder: Path | None, at: Thresholds | None, out: Path
) -> None:
    from spinecast import console
    from spinecast.explaining.scoring import Scorer
    from spinecast.judging import validation

    scorer = Scorer.load(model_folder, registry_folder)
    found = validation.validate(scorer, cohort, thresholds=at)
    for line in console.labelled(found.labelled):
        console.note(line)
    validation.write_validation(found, out)
    click.echo(f"Model {scorer.explainer.identity.id} on {cohort}:")
    _show_judged(found, out)


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


def _show_judged(found: Validation | ForeignValidation, out: Path) -> None:
    from spinecast import console

    for line in (*console.judged(found.judgement), *found.remarks):
        click.echo(line)
    click.echo(
        f"The numbers are in {out / 'validation.json'}, the plot in {out / 'calibration.svg'}."
    )


@commands.command()
@click.option("--model", "model_folder", type=FILE, default="models/CURRENT", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Elsewhere needs the rest.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--name", "names", multiple=True, help="What browsers call this machine.")
@click.option("--tls-cert", type=FILE, help="Certificate chain, PEM.")
@click.option("--tls-key", type=FILE, help="Its private key, PEM.")
@click.option("--token-file", type=FILE, help="A file with the token that lets people in.")
@click.option("--audit", type=FILE, help="Note each use here, without any patient's value.")
@_registry_option
def serve(model_folder: Path, registry_folder: Path | None, **settings: Any) -> None:  # noqa: ANN401
    """Open the surgeon's screen in a browser: a form, the answer with its reasons, an API."""
    from spinecast.web.current import Current
    from spinecast.web.serving import Settings
    from spinecast.web.serving import serve as answer

    current = Current.start(model_folder, registry_folder)
    answer(current, Settings(**settings), lambda address: click.echo(f"Open {address}", err=True))
