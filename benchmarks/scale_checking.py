"""Scale of checking: beside pandas reading the same file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from measured import CORES, Line, cost, spinecast

TIMES = 3.0
"""How many times the seconds that pandas needs to read the file."""


def checking(folder: Path, rows: int) -> Iterator[Line]:
    """Each claim as it is measured."""
    one = _cohort(folder, rows)
    ours, read = cost("-c", SURVEY, one), cost("-c", READ, one)
    ratio = ours.wall / read.wall
    goal = f"{TIMES:g} times, {read.wall:.1f} s"
    told = f"{ours}, {ratio:.2f} times pandas reading it"
    yield Line(f"survey of {rows:,} rows", told, goal, ratio <= TIMES)
    whole = spinecast("check", one, "--processes", CORES)
    yield Line(f"check of {rows:,} rows by {CORES} processes, Table 1 and all", str(whole))


def _cohort(folder: Path, rows: int) -> Path:
    """A simulated cohort in one file."""
    path = folder / f"cohort-{rows}.parquet"
    words = ["simulate", "--patients", rows, "--seed", 5, "--out", path]
    command = [sys.executable, "-m", "spinecast", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    return path


READ = "import sys, pandas; pandas.read_parquet(sys.argv[1])"

SURVEY = """
import sys
from pathlib import Path
from spinecast.cohorts.survey import survey
from spinecast.knowledge.loading import load_registry
from spinecast.patients.part_files import parts_of
survey(parts_of(Path(sys.argv[1])), load_registry(), sample=200_000, rows_at_once=65_536)
"""
