"""Commands for cohort files: simulated, mapped, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spinecast.cli.options import (
    FILE,
    refuse_ending,
    refuse_existing,
    refuse_same,
    registry_of,
    registry_option,
    site_of,
    site_option,
)
from spinecast.cli.work import Work, refuse_site, work_options
from spinecast.errors import DataRefused

if TYPE_CHECKING:
    from spinecast.cohorts.survey import Survey
    from spinecast.knowledge.factors import Registry
    from spinecast.site.declaration import Site

TABLES = [".csv", ".parquet"]
UNTIDY = [".csv", ".xlsx"]


@click.command()
@click.option("--patients", type=click.IntRange(1, 10_000_000), required=True)
@click.option("--seed", type=click.IntRange(0), required=True, help="Of these patients.")
@click.option("--truth-seed", type=click.IntRange(0), help="Of their hospital's true effects.")
@click.option("--missing", type=click.FloatRange(0, 1), help="Share of answers left blank.")
@click.option("--base-rate", type=click.FloatRange(0.01, 0.99), help="How often it fails there.")
@click.option("--case-mix", type=click.FloatRange(0, 1), default=0.0, help="How other, in SDs.")
@click.option("--out", type=FILE, required=True, help="The cohort, .csv or .parquet.")
@click.option("--files", type=click.IntRange(1), help="--out is a folder of so many .parquet.")
@click.option("--truth", type=FILE, help="Each patient's true risk, .csv or .parquet.")
@click.option("--untidy", type=FILE, help="The same as a hospital writes it, .csv or .xlsx.")
@registry_option
def simulate(
    patients: int,
    seed: int,
    truth_seed: int | None,
    missing: float | None,
    base_rate: float | None,
    case_mix: float,
    out: Path,
    files: int | None,
    truth: Path | None,
    untidy: Path | None,
    registry_folder: Path | None,
) -> None:
    """Simulate a cohort with follow-up: the same seed gives the same patients, byte for byte."""
    from spinecast.patients.tables import write_table, write_tables
    from spinecast.simulator import synthetic

    for path in (path for path in (out, truth) if path is not None):
        if path is not out or files is None:
            refuse_ending(path, TABLES)
        refuse_existing(path)
    if untidy is not None:
        refuse_ending(untidy, UNTIDY)
        refuse_existing(untidy)
    registry = registry_of(registry_folder)
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
    if files is None:
        write_table(made.frame(), out)
    else:
        write_tables(made.frame(), out, files)
    if untidy is not None:
        from spinecast.site import untidy as hospital

        hospital.write_untidy(hospital.untidy(made.frame(), seed), untidy)
    click.echo(
        f"{patients:,} simulated patients in {out}, {made.outcome.mean():.1%} of whom failed.\n"
        f"Best possible AUROC, that of the true risk itself: {made.best_auroc:.3f}"
    )


@click.command("map")
@click.argument("cohort", type=FILE)
@click.option("--out", type=FILE, required=True, help="The draft, a .toml.")
@click.option("--sheet", default="", help="Of an Excel workbook.")
@click.option("--header-row", type=click.IntRange(1, 1000), help="The row that names the columns.")
@registry_option
def map_columns(
    cohort: Path, out: Path, sheet: str, header_row: int | None, registry_folder: Path | None
) -> None:
    """Draft the mapping of a hospital's own file to our columns, for a person to finish.

    Looks at names, values and ranges, and leaves open what it is not sure of. No unit is guessed.
    """
    from spinecast import console
    from spinecast.files import write_text
    from spinecast.site import draft_text, drafting

    refuse_ending(out, [".toml"])
    refuse_existing(out)
    made = drafting.draft(cohort, registry_of(registry_folder), sheet=sheet, header_row=header_row)
    write_text(out, draft_text.as_toml(made))
    for line in console.drafted(made, out, registry_folder):
        click.echo(line)


@click.command()
@click.argument("cohort", type=FILE)
@click.option("--rejected", type=FILE, help="Write every reason, one per line (.csv, .parquet).")
@click.option("--table-1", "show_table", is_flag=True, help="Show Table 1, small counts included.")
@click.option("--table", type=FILE, help="Write Table 1, small counts kept back (.csv .html .md).")
@site_option
@registry_option
@work_options
def check(
    cohort: Path,
    rejected: Path | None,
    show_table: bool,  # noqa: FBT001 - a flag of the command line
    table: Path | None,
    site_file: Path | None,
    registry_folder: Path | None,
    work: Work,
) -> None:
    """Say which rows of a cohort are accepted, why others are not, and what looks miscoded.

    COHORT is a file, or a folder of Parquet files however large. With --site, also what the mapping
    made of the hospital's own columns. Exit code 3 when any row is rejected.
    """
    from spinecast import console
    from spinecast.cohorts import outcome
    from spinecast.judging import first_table
    from spinecast.judging.suspicion import suspicions

    _refuse_outputs(cohort, [(rejected, TABLES), (table, first_table.ENDINGS)])
    registry = registry_of(registry_folder)
    site = site_of(site_file, registry)
    found, mapping = _surveyed(cohort, registry, site, rejected, work)
    kept, failed = found.sample, outcome.labels(registry, found.sample.columns()).failed
    absent = frozenset(found.tally.absent_columns)
    seen = (registry, kept.codes, kept.site, kept.outcome, failed)
    for line in (
        *mapping,
        *console.counted(found.tally, registry),
        *console.unknown(found.tally),
        "",
        console.followed(found.followed),
        *console.definitions(found.definitions),
        *console.suspicious(suspicions(*seen, absent=absent), found.told),
    ):
        click.echo(line)
    patients = (registry, kept.codes, failed, kept.site)
    if show_table:
        told = first_table.first_table(*patients, keep_back=False, in_brief=True)
        for line in console.first_table(told, found.told):
            click.echo(line)
    if table is not None:
        first_table.write_first_table(first_table.first_table(*patients, keep_back=True), table)
        if found.told:
            console.note(f"{table} was counted {found.told}.")
    if found.tally.rejected:
        raise click.exceptions.Exit(DataRefused.exit_code)


def _refuse_outputs(cohort: Path, outputs: Sequence[tuple[Path | None, Sequence[str]]]) -> None:
    for path, endings in outputs:
        if path is not None:
            refuse_same(path, cohort)
            refuse_ending(path, endings)


def _surveyed(
    path: Path, registry: Registry, site: Site | None, rejected: Path | None, work: Work
) -> tuple[Survey, list[str]]:
    """A cohort in parts, or read at once; and what a mapping made of it."""
    from spinecast import console
    from spinecast.judging.suspicion import MOST

    if not work.takes_parts(path):
        work.refuse_engine(path)
        return _checked(path, registry, site, rejected)
    refuse_site(path, site)
    progress = console.Teller()
    return work.survey(path, registry, sample=MOST, rejected=rejected, progress=progress), []


def _checked(
    path: Path, registry: Registry, site: Site | None, rejected: Path | None
) -> tuple[Survey, list[str]]:
    """A file that is read at once, and what a mapping made of it."""
    from spinecast import console
    from spinecast.cohorts import cohort as cohorts
    from spinecast.cohorts.survey import surveyed
    from spinecast.patients.tables import write_table
    from spinecast.site.mapping import map_file

    if site is None:
        found, mapping = cohorts.check(path, registry), list[str]()
    else:
        mapped = map_file(path, site, registry)
        found = cohorts.check_mapped(mapped, registry)
        mapping = list(console.mapped(mapped, found))
    if rejected is not None:
        write_table(found.rejected.to_frame(), rejected)
    return surveyed(found, path.name), mapping
