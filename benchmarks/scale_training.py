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
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xgboost
from measured import CORES, REPEATS, Line

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
GIGABYTE = 1024**3
TIMES, MEMORY = 1.5, {10_000_000: 3.0, math.inf: 6.0}


GROWN = TreeRecipe(depth=DEPTH, most_rounds=TREES, patience=TREES, least_gain=0.0)
"""Neither side stops before it has grown all its trees."""


def recipe(rows: int) -> Recipe:
    """The recipe for so many rows; few are trained on like many."""
    large = LargeRecipe()
    if rows < large.patients:
        large = LargeRecipe(patients=rows // 2, held=rows // 20, sample=rows // 10)
    return Recipe(baselines=(), trees=GROWN, large=large)


def training(folder: Path, rows: int) -> Iterator[Line]:
    """Each claim as it is measured."""
    patients = folder.absolute() / f"shards-{rows}"
    write_patients(patients, rows)
    beside = rows <= 1_000_000
    runs = [
        (_run("ours", patients), _run("theirs", patients) if beside else None)
        for _ in range(REPEATS if beside else 1)
    ]
    for clock in ("cpu", "wall") if beside else ():
        pairs = [(ours[clock], theirs[clock]) for ours, theirs in runs if theirs]
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        mine, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
        yield Line(
            f"train {rows:,} rows, {TREES} trees of depth {DEPTH}: {clock}",
            f"{mine:.1f} s, xgboost alone {peer:.1f} s, {ratio:.2f} times",
            f"{TIMES:g} times",
            ratio <= TIMES,
        )
    told = runs[0][0]
    allowed = next(most for many, most in MEMORY.items() if rows <= many)
    yield Line(
        f"train {rows:,} rows: memory",
        f"{told['peak']:.2f} GB, {told['wall']:.0f} s, {told['cpu']:.0f} s cpu",
        f"{allowed:g} GB",
        told["peak"] <= allowed,
    )


def write_patients(folder: Path, rows: int, shard_rows: int = SHARD_ROWS) -> None:
    """Simulated patients whose outcome is known, in shards."""
    folder.mkdir(exist_ok=True)
    registry = load_registry()
    for number, start in enumerate(range(0, rows, shard_rows)):
        count = min(shard_rows, rows - start)
        made = simulate(registry, count, 1 + number, lost=0.0)
        ids = np.array([f"{start + at}" for at in range(count)], dtype=object)
        patients = Stored(made.codes, made.outcome, hashes(ids))
        write_shard(folder / f"{number:05d}.parquet", registry.names, patients)


def shards_of(folder: Path) -> list[Shard]:
    rows = [Shard(file, 0) for file in sorted(folder.glob("*.parquet"))]
    return [Shard(one.path, one.known()) for one in rows]


def ours(folder: Path, scratch: Path) -> None:
    shards = shards_of(folder)
    rows = sum(shard.rows for shard in shards)
    chosen = recipe(rows)
    plan = Plan.of(chosen, rows)
    assert plan is not None  # noqa: S101 - of a recipe for as many
    memory = int(2.0 * GIGABYTE)
    with workers(CORES) as share:
        workshop = Workshop(scratch, share, memory, threads=CORES)
        given = shards, plan, load_registry(), chosen, workshop
        train_large(*given, trained_on="simulated", outcome="fbss_12m")


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
    before, start = _cpu(), time.perf_counter()
    if given is None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            ours(folder, Path(scratch))
    else:
        matrix = xgboost.QuantileDMatrix(given[0], label=given[1], nthread=CORES)
        xgboost.train(settings, matrix, TREES)
    own, others = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    # The largest of the children, as often as there are: no less than what they took together.
    peak = (own + CORES * others) / 1024**2 if given is None else own / 1024**2
    print(json.dumps({"cpu": _cpu() - before, "wall": time.perf_counter() - start, "peak": peak}))


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


def _run(side: str, folder: Path) -> dict[str, float]:
    told = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", MEASURED, side, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        cwd=Path(__file__).parent,
    )
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found
