"""Scale: what large cohorts cost in time and memory, beside a peer. Run with `make bench-scale`.

Every figure is that of a process of its own, so that peak memory is its own too; the median of
three. Seconds depend on the machine and on what else runs there; ratios much less. `--rows` says
how many patients, `--only` which sections.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROWS = 1_000_000
TIMES = 3
SPINECAST = [sys.executable, "-m", "spinecast"]
GROWTH = (1, 2, 5)
"""How many times as many rows, to show how time and memory grow."""


@dataclass(frozen=True)
class Cost:
    """Seconds on the wall, seconds of all cores, and peak memory in MB of a process."""

    wall: float
    cpu: float
    peak: float

    def __str__(self) -> str:
        return f"{self.wall:7.1f} s  {self.cpu:7.1f} s cpu  {self.peak:6,.0f} MB"


@dataclass(frozen=True)
class Line:
    """What was measured, beside what, and the goal."""

    what: str
    ours: Cost
    peer: str = ""
    theirs: Cost | None = None
    goal: str = ""

    def __str__(self) -> str:
        line = f"{self.what:44s} {self.ours}"
        if self.theirs:
            ratio = f"{self.ours.wall / self.theirs.wall:.2f} times"
            line += f"\n{self.peer:>44s} {self.theirs}  {ratio}"
        return f"{line}  (goal: {self.goal})" if self.goal else line


def cost(command: list[str], allowed: tuple[int, ...] = (0,)) -> Cost:
    """The median cost of a command."""
    found = sorted((_once(command, allowed) for _ in range(TIMES)), key=lambda one: one.wall)
    return Cost(
        *(
            statistics.median(getattr(one, name) for one in found)
            for name in ("wall", "cpu", "peak")
        )
    )


def _once(command: list[str], allowed: tuple[int, ...]) -> Cost:
    start = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet)  # noqa: S603 - our own commands
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    wall = time.perf_counter() - start
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def python(text: str, *words: object) -> list[str]:
    """The command that runs some Python."""
    return [sys.executable, "-c", text, *map(str, words)]


def cohort(folder: Path, rows: int) -> Path:
    """A simulated cohort in one file."""
    path = folder / f"cohort-{rows}.parquet"
    if not path.exists():
        many = [*SPINECAST, "simulate", "--patients", str(rows), "--seed", "5", "--out", str(path)]
        subprocess.run(many, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - likewise
    return path


def times_as_many(path: Path, times: int) -> Path:
    """The same patients several times under other ids, in a folder of as many files."""
    folder = path.with_name(f"{path.stem}-{times}")
    folder.mkdir(exist_ok=True)
    # Not in this process: a child's peak memory begins with that of its parent.
    subprocess.run(python(COPIES, path, folder, times), check=True)  # noqa: S603 - likewise
    return folder


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


# --- the sections --------------------------------------------------------------------------------


def checking(folder: Path, rows: int) -> Iterator[Line]:
    """`check`: beside pandas reading the same file, and how it grows."""
    one = cohort(folder, rows)
    pandas = python("import sys, pandas; pandas.read_parquet(sys.argv[1])", one)
    survey = python(SURVEY, one)
    read = cost(pandas)
    yield Line(f"the survey of {rows:,} rows", cost(survey), "pandas reads it", read, "3 times")
    for times in GROWTH:
        many = str(times_as_many(one, times))
        for processes in ("1", "2"):
            command = [*SPINECAST, "check", many, "--processes", processes]
            what = f"check, {times * rows:,} rows, {processes} process(es)"
            yield Line(what, cost(command))


SURVEY = """
import sys
from pathlib import Path
from spinecast.cohorts.survey import survey
from spinecast.knowledge.loading import load_registry
from spinecast.patients.parts import parts_of
survey(parts_of(Path(sys.argv[1])), load_registry(), sample=200_000, rows_at_once=65_536)
"""

SECTIONS: tuple[Callable[[Path, int], Iterator[Line]], ...] = (checking,)


def main() -> None:
    """Print every section, line by line as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--only", nargs="*", choices=[one.__name__ for one in SECTIONS])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for section in SECTIONS:
            if not given.only or section.__name__ in given.only:
                print(f"\n{section.__doc__}")
                for line in section(Path(scratch), given.rows):
                    print(line, flush=True)
    print(f"\n{os.cpu_count()} cores; wall, cores and peak memory of the main process.")


if __name__ == "__main__":
    main()
