"""What can go wrong, in words a person can act on.

Two families: errors for people (`SpinecastError`, printed without a traceback, each with its exit
code) and bugs (anything else). An error for people carries every `Problem` found, never the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it stands, what was given, what is allowed, what to do."""

    where: str
    given: str
    allowed: str
    remedy: str = ""

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.given}; {self.allowed}."
        return f"{sentence} {self.remedy}" if self.remedy else sentence


class SpinecastError(Exception):
    """An error for people; its text lists every problem, counted."""

    exit_code: ClassVar[int] = 1

    def __init__(self, summary: str, problems: Iterable[Problem] = ()) -> None:
        self.summary = summary
        self.problems = tuple(problems)
        super().__init__(summary)

    def __str__(self) -> str:
        if not self.problems:
            return self.summary
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        return "\n".join([f"{self.summary} ({count})", *(f"  - {p}" for p in self.problems)])


class UsageRefused(SpinecastError):
    """The command, an experiment or a registry is not usable as written."""

    exit_code = 2


class DataRefused(SpinecastError):
    """A cohort or a patient cannot be used as given."""

    exit_code = 3


class ModelRefused(SpinecastError):
    """A model folder is damaged, foreign or newer than this program."""

    exit_code = 4
