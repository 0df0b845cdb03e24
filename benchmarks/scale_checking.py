"""Scale of checking: beside pandas reading the same file, and how time and memory grow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from measured import REPEATS, Cost, Line, cost, slope, spinecast

TIMES = 3.0
"""How many times the seconds that pandas needs to read the file."""
STEEPEST, FLAT = 1.05, 0.1
"""The powers of the rows by which time and memory may grow."""
GROWTH = (1, 2, 5)


def checking(folder: Path, rows: int) -> Iterator[Line]:
    """Each claim as it is measured."""
    one = _cohort(folder, rows)
    ours, read = cost("-c", SURVEY, one), cost("-c", READ, one)
    ratio = ours.wall / read.wall
    goal = f"{TIMES:g} times, {read.wall:.1f} s"
    told = f"{ours}, {ratio:.2f} times pandas reading it"
    yield Line(f"survey of {rows:,} rows", told, goal, ratio <= TIMES)
    grown: list[Cost] = []
    for times in GROWTH:
        many = _times_as_many(one, times)
        repeats = REPEATS if times * rows <= 1_000_000 else 1
        grown.append(spinecast("check", many, "--processes", 2, repeats=repeats))
        yield Line(f"check of {times * rows:,} rows by 2 processes", str(grown[-1]))
    time, memory = (slope(GROWTH, [getattr(one, of) for one in grown]) for of in ("cpu", "peak"))
    yield Line(
        "check: powers of the rows by which it grows",
        f"{time:.2f} of processor time, {memory:.2f} of memory",
        f"at most {STEEPEST} and about 0",
        time <= STEEPEST and memory <= FLAT,
    )


def _cohort(folder: Path, rows: int) -> Path:
    """A simulated cohort in one file."""
    path = folder / f"cohort-{rows}.parquet"
    words = ["simulate", "--patients", rows, "--seed", 5, "--out", path]
    command = [sys.executable, "-m", "spinecast", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    return path


def _times_as_many(path: Path, times: int) -> Path:
    """The same patients several times under other ids, in a folder of as many files."""
    folder = path.with_name(f"{path.stem}-{times}")
    folder.mkdir()
    # Not in this process: a child's peak memory begins with that of its parent.
    command = [sys.executable, "-c", COPIES, path, folder, times]
    subprocess.run([*map(str, command)], check=True)  # noqa: S603 - likewise
    return folder


READ = "import sys, pandas; pandas.read_parquet(sys.argv[1])"

SURVEY = """
import sys
from pathlib import Path
from spinecast.cohorts.survey import survey
from spinecast.knowledge.loading import load_registry
from spinecast.patients.parts import parts_of
survey(parts_of(Path(sys.argv[1])), load_registry(), sample=200_000, rows_at_once=65_536)
"""

COPIES = """
import sys
import pyarrow as pa
from pyarrow import compute, parquet
path, folder, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
table = parquet.read_table(path)
text = table.schema.field("patient_id").type
for number in range(times):
    mark, none = pa.scalar(f"-{number}", text), pa.scalar("", text)
    ids = compute.binary_join_element_wise(table["patient_id"], mark, none)
    parquet.write_table(table.set_column(0, "patient_id", ids), f"{folder}/{number:03d}.parquet")
"""
