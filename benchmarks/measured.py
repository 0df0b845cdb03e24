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
    command = [sys.executable, "-c", MEASURE, sys.executable, *map(str, words)]
    told = subprocess.run(  # noqa: S603 - our own programs
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    return Cost(**json.loads(told.stdout.splitlines()[-1]))


# In a process of its own: a child's peak memory begins with that of its parent. Memory is that of
# the program and of all processes it started, at their common peak.
MEASURE = """
import json, os, resource, subprocess, sys, time
from pathlib import Path

def resident(pid):
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(resident, children))

start, peak = time.perf_counter(), 0
run = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while run.poll() is None:
    peak = max(peak, resident(run.pid))
    time.sleep(0.05)
wall, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
if run.returncode:
    sys.exit(f"{sys.argv[1:]} ended with {run.returncode}")
print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": peak}))
"""
