"""Commands of the model in use: it answers, comes into use, and its history is told."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spinecast.cli.options import (
    FILE,
    models_option,
    refuse_ending,
    refuse_existing,
    refuse_same,
    registry_option,
    runs_option,
    site_of,
    site_option,
)
from spinecast.cli.work import Work, work_options
from spinecast.errors import DataRefused, Problem, UsageRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spinecast.explaining.batch import Patients
    from spinecast.explaining.scoring import Scorer

SHOWN_AS = {".html": "html", ".htm": "html", ".txt": "text"}


@click.command()
@click.argument("patients", type=FILE)
@click.option("--model", "model_folder", type=FILE, help="Folder of a model; else that in use.")
@models_option
@click.option("--format", "form", type=click.Choice(["text", "json", "html"]), default="text")
@click.option("--out", type=FILE, help="A file: .json, .csv, .parquet, .html or .txt.")
@click.option("--full", is_flag=True, help="Show every factor, however small its contribution.")
@click.option("--lang", default="en", help="The language of its sentences: en or de.")
@click.option("--without-intervals", is_flag=True, help="Of a folder: risks without low and high.")
@click.option("--replace", is_flag=True, help="Begin a folder of scores anew.")
@site_option
@registry_option
@work_options
def score(
    patients: Path,
    model_folder: Path | None,
    models: Path,
    form: str,
    out: Path | None,
    full: bool,  # noqa: FBT001 - a flag of the command line
    lang: str,
    site_file: Path | None,
    registry_folder: Path | None,
    work: Work,
    **pieces: bool,  # only a folder asks for them
) -> None:
    """Score a patient (JSON) or many (JSON list, CSV, Parquet), and say why.

    A folder of Parquet files, or one such file with a folder as --out, is scored piece by piece, in
    bounded memory. The same command goes on where it stopped.

    The ending of --out decides what is written: records in .json, columns in .csv and .parquet, a
    page in .html. Exit code 3 when nobody could be scored. Without --model, the model in use
    answers: the one that CURRENT names in the folder of the models.
    """
    from spinecast import console
    from spinecast.explaining import batch
    from spinecast.explaining.scoring import Scorer
    from spinecast.promotion.answering import scorer_in_use

    into_folder = patients.is_dir() or (
        out is not None and out.suffix == "" and patients.suffix.lower() == ".parquet"
    )
    _refuse_misfits(patients, out, site_file, pieces, into_folder=into_folder)
    if not into_folder:
        work.refuse_engine(patients)
    if out is not None:
        refuse_same(out, patients)
        if not into_folder:
            refuse_ending(out, [*batch.ENDINGS, *SHOWN_AS])
    if model_folder is None:
        scorer = scorer_in_use(models, registry_folder)
        console.note(f"Model in use: {scorer.bundle.folder} ({scorer.explainer.identity.id}).")
    else:
        scorer = Scorer.load(model_folder, registry_folder)
    _refuse_language(lang, scorer.languages)
    scorer = scorer.in_language(lang)
    if into_folder and out is not None:
        _score_folder(scorer, patients, out, registry_folder, work, **pieces)
        return
    told = batch.read_patients(scorer, patients, site_of(site_file, scorer.registry))
    for line in console.unused(told):
        console.note(line)
    if out is not None and out.suffix.lower() in batch.ENDINGS:
        batch.write_scores(told, out, console.Teller())
    else:
        _show(told, SHOWN_AS.get(out.suffix.lower(), form) if out else form, out, full=full)
    if told.refused and not told.alone:
        console.note(
            f"{told.refused:,} of {len(told):,} patients could not be scored; each says why."
        )
    if told.refused == len(told):
        raise click.exceptions.Exit(DataRefused.exit_code)


def _refuse_misfits(
    patients: Path,
    out: Path | None,
    site_file: Path | None,
    pieces: dict[str, bool],
    *,
    into_folder: bool,
) -> None:
    """Refuse options that say nothing where they stand."""
    from spinecast.explaining import batch

    problems = []
    if into_folder and out is not None and out.suffix.lower() in (*batch.ENDINGS, *SHOWN_AS):
        given, allowed = f"it ends in {out.suffix}", "scores of a folder go into a folder"
        problems.append(Problem(f"--out {out}", given, allowed, "Name a folder."))
    if into_folder and out is None:
        remedy = "Name a folder with --out."
        problems.append(Problem(str(patients), "it is a folder", "scores need one too", remedy))
    if into_folder and site_file is not None:
        remedy = "Map the files first."
        problems.append(Problem("--site", "given", "a folder is read in our columns", remedy))
    if not into_folder:
        problems += [
            Problem(f"--{name.replace('_', '-')}", "given", "it is for a folder of patients")
            for name, value in pieces.items()
            if value
        ]
    if problems:
        raise UsageRefused("Nothing was scored", problems)


def _score_folder(
    scorer: Scorer,
    patients: Path,
    out: Path,
    registry_folder: Path | None,
    work: Work,
    *,
    without_intervals: bool,
    replace: bool,
) -> None:
    """Score a cohort piece by piece; exit code 3 when some of it could not be read."""
    from spinecast import console
    from spinecast.explaining.folder import score_parts
    from spinecast.memory import SCORING

    parts, processes, rows_at_once = work.cut(patients, SCORING, without_damaged=True)
    with work.shared(processes, patients, scorer.bundle.folder) as share:
        found = score_parts(
            scorer,
            parts,
            out,
            registry_folder=registry_folder,
            share=share,
            rows_at_once=rows_at_once,
            intervals=not without_intervals,
            replace=replace,
            progress=console.Teller(),
        )
    for line in console.in_pieces(found, out):
        console.note(line)
    if found.damaged:
        raise DataRefused("Some files could not be read; the others are scored", found.damaged)


def _refuse_language(lang: str, spoken: Sequence[str]) -> None:
    """Refuse a language that a model's registry has no strings in."""
    if lang not in spoken:
        allowed = f"this model speaks: {', '.join(spoken)}"
        problem = Problem("--lang", f"given {lang!r}", allowed, "Name one of these.")
        raise UsageRefused("There is no such language", [problem])


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


@click.command()
@click.argument("model", type=FILE)
@click.option("--gate", type=FILE, required=True, help="What it must show, gate.toml.")
@click.option("--cohort", type=FILE, required=True, help="Patients with known outcomes.")
@click.option("--by", required=True, metavar="NAME", help="Who decides.")
@click.option("--override", metavar="REASON", help="Use it although bounds do not hold.")
@click.option("--out", type=FILE, help="Keep the ruling as .json, promoted or not.")
@models_option
@runs_option
@site_option
@registry_option
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
    from spinecast import console
    from spinecast.promotion import promoting, telling

    if out is not None:
        refuse_ending(out, [".json"])
        refuse_existing(out)
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
    for line in console.labelled(found.labelled) if found.labelled else ():
        console.note(line)
    for line in telling.decided(found):
        click.echo(line)
    if out is not None:
        promoting.write_ruling(found, out)
    if found.entry is None:
        raise telling.refusal(str(model), found)


@click.command()
@click.option("--by", required=True, metavar="NAME", help="Who decides.")
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@models_option
@runs_option
def rollback(by: str, reason: str, models: Path, runs: Path) -> None:
    """Put the model that was in use before back into use; that too is a line of the history."""
    from spinecast.promotion import promoting, telling

    for line in telling.decided(promoting.rollback(by=by, reason=reason, models=models, home=runs)):
        click.echo(line)


@click.command()
@click.option("--verify", "check_it", is_flag=True, help="Hold it against all that can be held.")
@click.option("--head", metavar="HASH", default="", help="With --verify: a hash noted earlier.")
@models_option
@runs_option
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


@click.command()
@click.option("--model", "model_folder", type=FILE, help="Folder of a model; else that in use.")
@models_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Elsewhere needs the rest.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--name", "names", multiple=True, help="What browsers call this machine.")
@click.option("--tls-cert", type=FILE, help="Certificate chain, PEM.")
@click.option("--tls-key", type=FILE, help="Its private key, PEM.")
@click.option("--token-file", type=FILE, help="A file with the token that lets people in.")
@click.option("--audit", type=FILE, help="Note each use here, without any patient's value.")
@registry_option
def serve(
    model_folder: Path | None,
    models: Path,
    registry_folder: Path | None,
    **settings: Any,  # noqa: ANN401
) -> None:
    """Open the surgeon's screen in a browser: a form, the answer with its reasons, an API."""
    from spinecast.web.current import Current
    from spinecast.web.serving import Settings
    from spinecast.web.serving import serve as answer

    current = Current.start(model_folder, models=models, registry_folder=registry_folder)

    def say(address: str) -> None:
        click.echo(f"Open {address}", err=True)
        if current.installed is None:
            where = model_folder or models
            click.echo(f"No model in {where} yet: the page says how to make one.", err=True)

    with suppress(KeyboardInterrupt):  # a server is ended so, and says nothing of it
        answer(current, Settings(**settings), say)
