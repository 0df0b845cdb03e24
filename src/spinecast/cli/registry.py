"""Commands that tell what the registry holds, and give blanks to fill in."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from spinecast.cli.options import FILE, refuse_ending, refuse_existing, registry_of, registry_option


@click.command()
@click.argument("name", required=False)
@registry_option
def factors(name: str | None, registry_folder: Path | None) -> None:
    """List the factors, or tell all about one: what is asked, the evidence, its sources."""
    from spinecast.handbook import catalogue
    from spinecast.showing.terminal import Terminal

    registry = registry_of(registry_folder)
    width = Terminal.of(sys.stdout).width
    click.echo(
        catalogue.entry(registry, name, width) if name else catalogue.listing(registry, width),
        nl=False,
    )


@click.command()
@click.option("--out", type=FILE, help="A .csv for a cohort or a .json for a patient.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["blank", "redcap", "json-schema"]),
    default="blank",
    show_default=True,
    help="To fill in, a REDCap data dictionary (.csv), or a JSON Schema (.json).",
)
@registry_option
def template(out: Path | None, form: str, registry_folder: Path | None) -> None:
    """Give a blank cohort and patient to fill in, or what other programs make their forms from."""
    import json

    from spinecast.cohorts import cohort
    from spinecast.exchange.json_schema import json_schema_text
    from spinecast.exchange.redcap_dictionary import dictionary_csv
    from spinecast.files import write_text

    registry = registry_of(registry_folder)
    header, patient = cohort.template(registry)
    texts = {
        "blank": {".csv": header, ".json": json.dumps(patient, indent=2) + "\n"},
        "redcap": {".csv": dictionary_csv(registry)},
        "json-schema": {".json": json_schema_text(registry)},
    }[form]
    if out is None:
        click.echo("\n".join(texts.values()), nl=False)
        return
    refuse_ending(out, list(texts))
    refuse_existing(out)
    write_text(out, texts[out.suffix.lower()])
