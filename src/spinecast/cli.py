"""The command line: words to calls, errors to exit codes. Nothing is computed or worded here.

Exit codes: 0 done; 2 wrong use; 3 the data was refused; 4 the model was refused; 1 a bug. What a
command needs is imported inside it, so that `--help` and a single patient do not wait for the rest.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
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
    from spinecast.site.declaration import Site

Command = TypeVar("Command", bound=Callable[..., Any])

STOPPED = 130
TABLES = [".csv", ".parquet"]
UNTIDY = [".csv", ".xlsx"]
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


def _models_option(command: Command) -> Command:
    text = "Folder of the models, with CURRENT and the history."
    return click.option("--models", type=FILE, default="models", show_default=True, help=text)(
        command
    )


def _runs_option(command: Command) -> Command:
    return click.option(
        "--runs", type=FILE, default="experiments", show_default=True, help="MLflow's folder."
    )(command)


def _site_option(command: Command) -> Command:
    text = "The hospital's mapping of its own columns to ours, as `spinecast map` drafts it."
    return click.option("--site", "site_file", type=FILE, metavar="SITE.toml", help=text)(command)


def _site(file: Path | None, registry: Registry) -> Site | None:
    from spinecast.site.reconciling import read_site

    return None if file is None else read_site(file, registry)


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
@click.option(
    "--as",
    "form",
    type=click.Choice(["blank", "redcap", "json-schema"]),
    default="blank",
    show_default=True,
    help="To fill in, a REDCap data dictionary (.csv), or a JSON Schema (.json).",
)
@_registry_option
def template(out: Path | None, form: str, registry_folder: Path | None) -> None:
    """Give a blank cohort and patient to fill in, or what other programs make their forms from."""
    import json

    from spinecast.cohorts import cohort
    from spinecast.exchange.json_schema import json_schema_text
    from spinecast.exchange.redcap_dictionary import dictionary_csv
    from spinecast.files import write_text

    registry = _registry(registry_folder)
    header, patient = cohort.template(registry)
    texts = {
        "blank": {".csv": header, ".json": json.dumps(patient, indent=2) + "\n"},
        "redcap": {".csv": dictionary_csv(registry)},
        "json-schema": {".json": json_schema_text(registry)},
    }[form]
    if out is None:
        click.echo("\n".join(texts.values()), nl=False)
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
@click.option("--base-rate", type=click.FloatRange(0.01, 0.99), help="How often it fails there.")
@click.option("--case-mix", type=click.FloatRange(0, 1), default=0.0, help="How other, in SDs.")
@click.option("--out", type=FILE, required=True, help="The cohort, .csv or .parquet.")
@click.option("--truth", type=FILE, help="Each patient's true risk, .csv or .parquet.")
@click.option("--untidy", type=FILE, help="The same as a hospital writes it, .csv or .xlsx.")
@_registry_option
def simulate(
    patients: int,
    seed: int,
    truth_seed: int | None,
    missing: float | None,
    base_rate: float | None,
    case_mix: float,
    out: Path,
    truth: Path | None,
    untidy: Path | None,
    registry_folder: Path | None,
) -> None:
    """Simulate a cohort with follow-up: the same seed gives the same patients, byte for byte."""
    from spinecast.patients.tables import write_table
    from spinecast.simulator import synthetic

    for path in (path for path in (out, truth) if path is not None):
        _refuse_ending(path, TABLES)
        _refuse_existing(path)
    if untidy is not None:
        _refuse_ending(untidy, UNTIDY)
        _refuse_existing(untidy)
    registry = _registry(registry_folder)
    made = synthetic.simulate(
        registry,
        patients,
        seed,
        truth_seed=truth_seed,
        missing=missing,
        base_rate=base_rate,
        case_mix=case_mix,
    )
    if truth is not None:
        write_table(made.truth_frame(), truth)
    write_table(made.frame(), out)
    if untidy is not None:
        from spinecast.site import untidy as hospital

        hospital.write_untidy(hospital.untidy(made.frame(), seed), untidy)
    click.echo(
        f"{patients:,} simulated patients in {out}, {made.outcome.mean():.1%} of whom failed.\n"
        f"Best possible AUROC, that of the true risk itself: {made.best_auroc:.3f}"
    )


@commands.command("map")
@click.argument("cohort", type=FILE)
@click.option("--out", type=FILE, required=True, help="The draft, a .toml.")
@click.option("--sheet", default="", help="Of an Excel workbook.")
@click.option("--header-row", type=click.IntRange(1, 1000), help="The row that names the columns.")
@_registry_option
def map_columns(
    cohort: Path, out: Path, sheet: str, header_row: int | None, registry_folder: Path | None
) -> None:
    """Draft the mapping of a hospital's own file to our columns, for a person to finish.

    Looks at names, values and ranges, and leaves open what it is not sure of. No unit is guessed.
    """
    from spinecast import console
    from spinecast.files import write_text
    from spinecast.site import draft_text, drafting

    _refuse_ending(out, [".toml"])
    _refuse_existing(out)
    made = drafting.draft(cohort, _registry(registry_folder), sheet=sheet, header_row=header_row)
    write_text(out, draft_text.as_toml(made))
    for line in console.drafted(made, out, registry_folder):
        click.echo(line)


@commands.command()
@click.argument("cohort", type=FILE)
@click.option("--rejected", type=FILE, help="Write every reason, one per line (.csv, .parquet).")
@click.option("--table-1", "show_table", is_flag=True, help="Show Table 1, small counts included.")
@click.option("--table", type=FILE, help="Write Table 1, small counts kept back (.csv .html .md).")
@_site_option
@_registry_option
def check(
    cohort: Path,
    rejected: Path | None,
    show_table: bool,  # noqa: FBT001 - a flag of the command line
    table: Path | None,
    site_file: Path | None,
    registry_folder: Path | None,
) -> None:
    """Say which rows of a cohort are accepted, why others are not, and what looks miscoded.

    With --site, also what the mapping made of the hospital's own columns. Exit code 3 when any row
    is rejected.
    """
    from spinecast import console
    from spinecast.cohorts import cohort as cohorts
    from spinecast.cohorts import outcome
    from spinecast.judging import first_table
    from spinecast.judging.suspicion import suspicions
    from spinecast.patients.tables import write_table
    from spinecast.site.mapping import map_file

    for path in (path for path in (rejected, table) if path is not None):
        _refuse_same(path, cohort)
    if table is not None:
        _refuse_ending(table, first_table.ENDINGS)
    registry = _registry(registry_folder)
    if (site := _site(site_file, registry)) is None:
        found, mapping = cohorts.check(cohort, registry), []
    else:
        mapped = map_file(cohort, site, registry)
        found = cohorts.check_mapped(mapped, registry)
        mapping = list(console.mapped(mapped, found))
    kept, columns = found.accepted, found.accepted.columns()
    judged = outcome.labels(registry, columns)
    absent = frozenset(found.absent_columns)
    seen = (registry, kept.codes, kept.site, kept.outcome, judged.failed)
    for line in (
        *mapping,
        *console.checked(found),
        *console.unknown(found),
        "",
        console.followed(judged, len(kept)),
        *console.definitions(outcome.compare_definitions(registry, columns)),
        *console.suspicious(suspicions(*seen, absent=absent)),
    ):
        click.echo(line)
    patients = (registry, kept.codes, judged.failed, kept.site)
    if show_table:
        told = first_table.first_table(*patients, keep_back=False, in_brief=True)
        for line in console.first_table(told):
            click.echo(line)
    if table is not None:
        first_table.write_first_table(first_table.first_table(*patients, keep_back=True), table)
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
@click.option("--against", type=FILE, help="The model in use, models/NAME, to be compared.")
@click.option(
    "--processes", type=click.IntRange(1), help="That share those refits; else one for each core."
)
@_site_option
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
    processes: int | None,
    against: Path | None,
    runs: Path,
    site_file: Path | None,
    registry_folder: Path | None,
) -> None:
    """Train a model on a cohort, judge it beside its baselines, report it, and record the run.

    The last line is the report's page.
    """
    from spinecast import console, retraining
    from spinecast.cohorts.labelled import read_labelled
    from spinecast.fitting.recipe import read_recipe
    from spinecast.fitting.refitting import cores

    recipe = read_recipe(experiment)
    registry = _registry(registry_folder)
    found = read_labelled(cohort, registry, recipe.outcome, _site(site_file, registry))
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
        processes=processes or cores(),
        against=against,
        experiment=experiment.stem,
        home=runs,
        progress=console.Teller(),
    )
    click.echo("On patients the fits had not seen, each model on the same folds:")
    for line in console.performances(told.result.performance):
        click.echo(line)
    for line in console.standing(told):
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
@click.argument("cohort", type=FILE)
@click.option(
    "--model", "model_folder", type=FILE, required=True, help="The model to start from, models/OLD."
)
@click.option("--out", type=FILE, required=True, help="Folder for the updated model, models/NEW.")
@click.option("--ladder", type=FILE, help="What may be done, and how it is decided (.toml).")
@click.option("--replace", is_flag=True, help="Replace the model of that name.")
@_site_option
@_registry_option
def update(
    cohort: Path,
    model_folder: Path,
    out: Path,
    ladder: Path | None,
    replace: bool,  # noqa: FBT001 - a flag of the command line
    site_file: Path | None,
    registry_folder: Path | None,
) -> None:
    """Fit a model to another hospital: keep it, shift it, stretch it, revise it or learn it anew.

    As little is changed as the new patients ask for; the old model's folder stays as it is.
    """
    from spinecast import console
    from spinecast.explaining.bundle import read_bundle
    from spinecast.updating import journey, telling
    from spinecast.updating import ladder as ladders

    recipe = ladders.read_ladder(ladder) if ladder else ladders.Ladder()
    parent = read_bundle(model_folder, registry_folder)
    found = journey.read_new(cohort, parent, _site(site_file, parent.explainer.model.registry))
    for line in console.labelled(found):
        console.note(line)
    told = journey.update(found, parent, recipe, out, replace=replace, progress=console.Teller())
    for line in telling.told(told, recipe, out):
        click.echo(line)


@commands.command()
@click.argument("patients", type=FILE)
@click.option("--model", "model_folder", type=FILE, help="Folder of a model; else that in use.")
@_models_option
@click.option("--format", "form", type=click.Choice(["text", "json", "html"]), default="text")
@click.option("--out", type=FILE, help="A file: .json, .csv, .parquet, .html or .txt.")
@click.option("--full", is_flag=True, help="Show every factor, however small its contribution.")
@_site_option
@_registry_option
def score(
    patients: Path,
    model_folder: Path | None,
    models: Path,
    form: str,
    out: Path | None,
    full: bool,  # noqa: FBT001 - a flag of the command line
    site_file: Path | None,
    registry_folder: Path | None,
) -> None:
    """Score a patient (JSON) or many (JSON list, CSV, Parquet), and say why.

    The ending of --out decides what is written: records in .json, columns in .csv and .parquet, a
    page in .html. Exit code 3 when nobody could be scored. Without --model, the model in use
    answers: the one that CURRENT names in the folder of the models.
    """
    from spinecast import console
    from spinecast.explaining import batch
    from spinecast.explaining.scoring import Scorer
    from spinecast.promotion.current import scorer_in_use

    if out is not None:
        _refuse_ending(out, [*batch.ENDINGS, *_SHOWN_AS])
        _refuse_same(out, patients)
    if model_folder is None:
        scorer = scorer_in_use(models, registry_folder)
        console.note(f"Model in use: {scorer.bundle.folder} ({scorer.explainer.identity.id}).")
    else:
        scorer = Scorer.load(model_folder, registry_folder)
    told = batch.read_patients(scorer, patients, _site(site_file, scorer.registry))
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
@_site_option
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
    site_file: Path | None,
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
        _validate_model(file, model_folder, registry_folder, at, out, site_file)
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
) -> None:
    from spinecast import console
    from spinecast.explaining.scoring import Scorer
    from spinecast.judging import transport_text, validation

    scorer = Scorer.load(model_folder, registry_folder)
    site = _site(site_file, scorer.registry)
    found = validation.validate(scorer, cohort, thresholds=at, site=site)
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


# --- the model in use -----------------------------------------------------------------------------


@commands.command()
@click.argument("model", type=FILE)
@click.option("--gate", type=FILE, required=True, help="What it must show, gate.toml.")
@click.option("--cohort", type=FILE, required=True, help="Patients with known outcomes.")
@click.option("--by", required=True, metavar="NAME", help="Who decides.")
@click.option("--override", metavar="REASON", help="Use it although bounds do not hold.")
@click.option("--out", type=FILE, help="Keep the ruling as .json, promoted or not.")
@_models_option
@_runs_option
@_site_option
@_registry_option
def promote(
    model: Path,
    gate: Path,
    cohort: Path,
    by: str,
    override: str | None,
    out: Path | None,
    models: Path,
    runs: Path,
    site_file: Path | None,
    registry_folder: Path | None,
) -> None:
    """Put a model into use if it passes the gate; every promotion is a line of the history.

    Exit code 4 when the gate refuses, with every bound that stands against it.
    """
    from spinecast.promotion import promoting, telling

    if out is not None:
        _refuse_ending(out, [".json"])
        _refuse_existing(out)
    found = promoting.promote(
        model,
        gate,
        cohort,
        by=by,
        override=override,
        models=models,
        home=runs,
        site_file=site_file,
        registry_folder=registry_folder,
    )
    for line in telling.decided(found):
        click.echo(line)
    if out is not None:
        promoting.write_ruling(found, out)
    if found.entry is None:
        raise telling.refusal(str(model), found)


@commands.command()
@click.option("--by", required=True, metavar="NAME", help="Who decides.")
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@_models_option
@_runs_option
def rollback(by: str, reason: str, models: Path, runs: Path) -> None:
    """Put the model that was in use before back into use; that too is a line of the history."""
    from spinecast.promotion import promoting, telling

    for line in telling.decided(promoting.rollback(by=by, reason=reason, models=models, home=runs)):
        click.echo(line)


@commands.command()
@click.option("--verify", "check_it", is_flag=True, help="Hold it against all that can be held.")
@click.option("--head", metavar="HASH", default="", help="With --verify: a hash noted earlier.")
@_models_option
@_runs_option
def history(
    check_it: bool,  # noqa: FBT001 - a flag of the command line
    head: str,
    models: Path,
    runs: Path,
) -> None:
    """Tell which models were in use, since when, by whom, on what evidence.

    With --verify, exit code 4 when the history was edited, cut or reordered, or when CURRENT, the
    model's folder or MLflow's registry contradicts it.
    """
    from spinecast.promotion import audit, telling

    if check_it or head:
        told = audit.verify(models, runs, head)
        click.echo(telling.whole(told))
        return
    for line in telling.history(audit.audit(models)):
        click.echo(line)
