"""What several commands share: their options, and files they refuse to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spinecast.errors import Problem, UsageRefused

if TYPE_CHECKING:
    from spinecast.knowledge.factors import Registry
    from spinecast.site.declaration import Site

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def registry_option(command: Command) -> Command:
    """Another registry than the packaged one."""
    text = "Folder of another registry; without it, the one that comes with spinecast."
    return click.option("--registry", "registry_folder", type=FILE, metavar="DIR", help=text)(
        command
    )


def models_option(command: Command) -> Command:
    """The folder of the models, with the one in use."""
    text = "Folder of the models, with CURRENT and the history."
    return click.option("--models", type=FILE, default="models", show_default=True, help=text)(
        command
    )


def runs_option(command: Command) -> Command:
    """The folder of MLflow's runs."""
    return click.option(
        "--runs", type=FILE, default="experiments", show_default=True, help="MLflow's folder."
    )(command)


def site_option(command: Command) -> Command:
    """A hospital's own column names, words and units."""
    text = "The hospital's mapping of its own columns to ours, as `spinecast map` drafts it."
    return click.option("--site", "site_file", type=FILE, metavar="SITE.toml", help=text)(command)


def site_of(file: Path | None, registry: Registry) -> Site | None:
    """The mapping a command was given, if any."""
    from spinecast.site.reconciling import read_site

    return None if file is None else read_site(file, registry)


def registry_of(folder: Path | None) -> Registry:
    """The registry a command was given, else the packaged one."""
    from spinecast.knowledge.loading import load_registry

    return load_registry(folder)


def refuse_existing(path: Path) -> None:
    """A filled template or a cohort is never overwritten by a blank one."""
    if path.exists():
        problem = Problem(
            str(path), "it exists", "nothing is overwritten here", "Name another file."
        )
        raise UsageRefused("The file was not written", [problem])


def refuse_same(out: Path, given: Path) -> None:
    """What a command reads it does not write over, nor into: all files of a folder are patients."""
    told = None
    if out.exists() and given.exists() and out.samefile(given):
        told = "it is what is read", "another place is needed"
    elif given.is_dir() and given.resolve() in out.resolve().parents:
        told = "it lies in the folder that is read", "that one holds patients and nothing else"
    if told:
        raise UsageRefused("Nothing was written", [Problem(str(out), *told, "Name another place.")])


def refuse_ending(out: Path, allowed: Sequence[str]) -> None:
    """The ending of a file decides what is written, so it has to be one that is known."""
    if out.suffix.lower() not in allowed:
        problem = Problem(str(out), "its ending is not known", f"allowed: {', '.join(allowed)}")
        raise UsageRefused("The file was not written", [problem])
