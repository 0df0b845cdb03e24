"""Scale of training: beside XGBoost alone on the same patients, and in how much memory.

What is measured runs in a process of its own. Ours is counted from shards of checked patients on
disk to the model and its judgement: population, completion of unknowns, choice of weight and
scale, coefficients, trees, recalibration, bootstrap refits, facts, judging; without baselines,
which are other people's models. The peer is counted from completed codes in memory to as many
trees of the same depth: XGBoost's quantile matrix and `xgboost.train`.
"""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost
from measured import CORES, REPEATS, Cost, Line
from pyarrow import parquet
from watched import Watch

from spinecast.cohorts.store import Shard, Stored, write_shard
from spinecast.distribution.population import Population
from spinecast.fitting.boosting import tree_settings
from spinecast.fitting.large.passes import Workshop
from spinecast.fitting.large.plan import Plan
from spinecast.fitting.large.training import train_large
from spinecast.fitting.recipe import LargeRecipe, Recipe, TreeRecipe
from spinecast.knowledge.loading import load_registry
from spinecast.patients.draws import hashes
from spinecast.sharing import workers
from spinecast.simulator.synthetic import simulate

TREES, DEPTH = 300, 2
SHARD_ROWS = 50_000
DIFFERENT = 1_000_000
"""Patients of whom none is like another; simulating them takes longer than training on them."""
GIGABYTE = 1e9
TIMES, MEMORY = 1.5, {10_000_000: 3 * GIGABYTE, math.inf: 6 * GIGABYTE}


GROWN = TreeRecipe(depth=DEPTH, most_rounds=TREES, patience=TREES, least_gain=0.0)
"""Neither side stops before it has grown all its trees."""


@dataclass(frozen=True)
class Trained(Cost):
    """What a training cost, the bytes it kept on disk between passes, and how many passes."""

    kept: int = 0
    passes: int = 0


def recipe(rows: int) -> Recipe:
    """The recipe for so many rows; few are trained on like many."""
    large = LargeRecipe()
    if rows < large.patients:
        large = LargeRecipe(patients=rows // 2, held=rows // 20, sample=rows // 10)
    return Recipe(baselines=(), trees=GROWN, large=large)


def training(folder: Path, rows: int) -> Iterator[Line]:
    """Each claim as it is measured."""
    patients = folder.absolute() / f"shards-{rows}"
    shard_patients(patients, rows)
    beside = rows <= 1_000_000
    runs = [
        (train(patients), _run("theirs", patients) if beside else None)
        for _ in range(REPEATS if beside else 1)
    ]
    for clock in ("cpu", "wall") if beside else ():
        pairs = [(getattr(ours, clock), getattr(theirs, clock)) for ours, theirs in runs if theirs]
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        mine, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
        yield Line(
            f"train {rows:,} rows, {TREES} trees of depth {DEPTH}: {clock}",
            f"{mine:.1f} s, xgboost alone {peer:.1f} s, {ratio:.2f} times",
            f"{TIMES:g} times",
            ratio <= TIMES,
        )
    told = runs[0][0]
    shards = sum(file.stat().st_size for file in patients.iterdir())
    yield Line(
        f"train {rows:,} rows: on disk, and how often read",
        f"{shards / rows:.0f} bytes a patient in shards, {told.kept / rows:.0f} kept for "
        f"{told.passes} passes over the patients",
    )
    allowed = next(most for many, most in MEMORY.items() if rows <= many)
    goal = f"{allowed / GIGABYTE:g} GB"
    yield Line(f"train {rows:,} rows: memory", str(told), goal, told.peak <= allowed)


def train(patients: Path) -> Trained:
    """What our training costs on patients in shards."""
    return _run("ours", patients)


def shard_patients(folder: Path, rows: int, shard_rows: int = SHARD_ROWS) -> None:
    """Simulated patients whose outcome is known, in shards; answers repeat, ids do not.

    Nothing is written where they are there already.
    """
    if folder.exists():
        return
    folder.mkdir()
    registry = load_registry()
    different = max(1, DIFFERENT // shard_rows)
    for number, start in enumerate(range(0, rows, shard_rows)):
        count = min(shard_rows, rows - start)
        file = folder / f"{number:05d}.parquet"
        ids = np.array([f"{start + at}" for at in range(count)], dtype=object)
        if number < different:
            made = simulate(registry, count, 1 + number, lost=0.0)
            codes, y = made.codes, made.outcome
        else:
            again = Shard(folder / f"{number % different:05d}.parquet", shard_rows).read()
            codes, y = again.codes[:count], again.y[:count]
        write_shard(file, registry.names, Stored(codes, y, hashes(ids)))


def shards_of(folder: Path) -> list[Shard]:
    # Everybody's outcome is known: they were simulated so.
    files = sorted(folder.glob("*.parquet"))
    return [Shard(file, parquet.read_metadata(file).num_rows) for file in files]


def ours(folder: Path, scratch: Path) -> dict[str, int]:
    """Train, and tell what was kept on disk and how often all patients were passed over."""
    begun: Counter[str] = Counter()

    def progress(stage: str, done: int, total: int) -> None:
        begun[stage] += done == 0 and total > 1

    shards = shards_of(folder)
    rows = sum(shard.rows for shard in shards)
    chosen = recipe(rows)
    plan = Plan.of(chosen, rows)
    assert plan is not None  # noqa: S101 - of a recipe for as many
    with workers(CORES) as share:
        workshop = Workshop(scratch, share, threads=CORES, progress=progress)
        given = shards, plan, load_registry(), chosen, workshop
        train_large(*given, trained_on="simulated", outcome="fbss_12m")
    kept = sum(file.stat().st_size for file in scratch.iterdir())
    return {"kept": kept, "passes": begun.total()}


def theirs(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The completed codes, in 32 bits as XGBoost has them, and the outcomes; not counted."""
    population = Population.from_registry(load_registry())
    codes, y = [], []
    for shard in shards_of(folder):
        patients = shard.read()
        filled = population.complete(patients.codes).expected(population.bins.codes)
        codes.append(filled.astype(np.float32))
        y.append(patients.y)
    return np.concatenate(codes), np.concatenate(y)


def measure(side: str, folder: Path) -> None:
    """Run one side and print what it took."""
    registry = load_registry()
    given = theirs(folder) if side == "theirs" else None
    settings = tree_settings(GROWN, registry, 1) | {"nthread": CORES}
    told: dict[str, int] = {}
    before, start = _cpu(), time.perf_counter()
    with Watch(os.getpid()) as watch:
        if given is None:
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                told = ours(folder, Path(scratch))
        else:
            matrix = xgboost.QuantileDMatrix(given[0], label=given[1], nthread=CORES)
            xgboost.train(settings, matrix, TREES)
    wall, cpu = time.perf_counter() - start, _cpu() - before
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": watch.peak} | told))


def _cpu() -> float:
    return sum(
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


# Processes that share the work import the main program again. The command's own imports next to
# nothing, and so does this one; all that is imported here would else be counted three times.
MEASURED = """
import sys
from pathlib import Path

sys.path.insert(0, "")
from scale_training import measure

measure(sys.argv[1], Path(sys.argv[2]))
"""


def _run(side: str, folder: Path) -> Trained:
    told = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", MEASURED, side, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        cwd=Path(__file__).parent,
    )
    return Trained(**json.loads(told.stdout.splitlines()[-1]))
