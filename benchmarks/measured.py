"""What a benchmark of scale says: a line with what was measured, the goal, and whether it holds."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import watched

REPEATS = 3
CORES = 2
MEGABYTE = 1e6


@dataclass(frozen=True)
class Line:
    """One claim; `reached` says whether the goal holds, None where there is none."""

    what: str
    measured: str
    goal: str = ""
    reached: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "reached", False: "not reached"}[self.reached]
        return f"{self.what:58s}  {self.measured:64s}  {self.goal:32s}  {verdict}".rstrip()


HEAD = Line("what", "measured", "goal")


@dataclass(frozen=True)
class Cost:
    """Seconds on the wall, of all cores, and the peak memory of all processes in bytes."""

    wall: float
    cpu: float
    peak: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} s, {self.cpu:.1f} s cpu, {self.peak / MEGABYTE:,.0f} MB"


def cost(*words: object, repeats: int = REPEATS) -> Cost:
    """The median cost of a Python program of these words."""
    runs = [_once(words) for _ in range(repeats)]
    names = ("wall", "cpu", "peak")
    return Cost(*(statistics.median(getattr(run, name) for run in runs) for name in names))


def spinecast(*words: object, repeats: int = REPEATS) -> Cost:
    """The same of one of our commands."""
    return cost("-m", "spinecast", *words, repeats=repeats)


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """By what power of the size a value grows, between the first and the last."""
    return math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0])


def _once(words: Sequence[object]) -> Cost:
    command = [sys.executable, watched.__file__, sys.executable, *map(str, words)]
    told = subprocess.run(  # noqa: S603 - our own programs
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    return Cost(**json.loads(told.stdout.splitlines()[-1]))
