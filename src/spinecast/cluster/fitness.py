"""Which workers may take part: those that run this very program and see what is worked on."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from spinecast import __version__
from spinecast.errors import Problem, UsageRefused

if TYPE_CHECKING:
    from distributed import Client


DECISIVE = ("numpy", "scipy", "xgboost")
"""Packages whose other releases may give other digits, and so other trees."""


@dataclass(frozen=True, slots=True)
class Program:
    """What has to be the same everywhere for answers to be: this program and what computes."""

    spinecast: str
    python: str
    packages: tuple[str, ...]

    def __str__(self) -> str:
        return f"spinecast {self.spinecast} on Python {self.python}, {', '.join(self.packages)}"


@cache
def program() -> Program:
    """What runs here."""
    return Program(
        __version__,
        ".".join(platform.python_version_tuple()[:2]),
        tuple(f"{name} {_release(name)}" for name in DECISIVE),
    )


def _release(package: str) -> str:
    for name in (package, f"{package}-cpu"):  # so XGBoost is called where it knows no GPU
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return "unknown"


def unseen(paths: Sequence[str]) -> list[str]:
    """Which of these files and folders are not here."""
    return [path for path in paths if not Path(path).exists()]


def refuse_unfit(client: Client, seen: Sequence[str]) -> None:
    """Ask every worker of a scheduler whether it may take part.

    Raises:
        UsageRefused: one runs another version or another Python, lacks this program, or does not
            see a file that is worked on and would call it damaged.
    """
    here = program()
    told: Mapping[str, Program | Exception] = client.run(program, on_error="return")
    if others := {place: its for place, its in told.items() if its != here}:
        raise others_refused(others, here)
    missing: Mapping[str, list[str]] = client.run(unseen, seen)
    if blind := {place: paths for place, paths in missing.items() if paths}:
        raise blind_refused(blind)


def others_refused(others: Mapping[str, Program | Exception], here: Program) -> UsageRefused:
    """What is said of workers, by address, that run another program or failed to tell which."""
    problems = [
        Problem(
            f"worker {place}",
            f"it has {its}" if isinstance(its, Program) else f"it lacks spinecast ({blame(its)})",
            f"here it is {here}",
            "Install the same there, from the lock file.",
        )
        for place, its in sorted(others.items())
    ]
    return UsageRefused("Workers of other versions would give other answers", problems)


def blind_refused(missing: Mapping[str, Sequence[str]]) -> UsageRefused:
    """What is said of workers, by address, that do not see these files."""
    problems = [
        Problem(
            f"worker {place}",
            f"{path} is not there",
            "every worker has to see it under that name",
            "Put it into a folder that all machines share; TMPDIR names that of temporary files.",
        )
        for place, paths in sorted(missing.items())
        for path in paths
    ]
    return UsageRefused("Workers do not see what they would work on", problems)


def blame(error: Exception) -> str:
    """What another program's error says, as part of a sentence."""
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__
