"""Scoring at scale: what it costs file to file, beside a peer. Run with `make bench-scale`.

Seconds depend on the machine and on what else runs there; ratios much less. Whatever is measured
runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import xgboost
from pyarrow import parquet

from spinecast.cohorts.outcome import derive
from spinecast.explaining.bundle import write_bundle
from spinecast.fitting import training
from spinecast.fitting.recipe import Recipe, ResamplingRecipe
from spinecast.knowledge.loading import load_registry
from spinecast.modelling.model import reference_row
from spinecast.modelling.trees import Trees, leaves_of
from spinecast.simulator.synthetic import simulate

STORY = {"outcome": "fbss_12m", "data": {"sha256": ""}}
FILE_ROWS, PART_ROWS = 100_000, 50_000
PEER_ROWS = 20_000
"""Of how many rows `pred_contribs` is asked: its time grows with the rows."""
REPEATS = 3
SHAPES = ((150, 2), (300, 4))


@dataclass(frozen=True)
class Claim:
    """One claim: what was measured, and whether the goal holds."""

    what: str
    measured: str
    goal: str
    reached: bool

    def __str__(self) -> str:
        verdict = "" if self.reached else "  not reached"
        return f"{self.what:58s} {self.measured:52s} {self.goal}{verdict}"


def main() -> None:
    """Print the claims, section by section, as they are measured."""
    sections: dict[str, Callable[[Path, int], Iterator[Claim]]] = {"scoring": scoring}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", choices=[*sections, []], default=[*sections])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large", action="store_true", help="also ten times as many rows")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.sections:
            for rows in (given.rows, *([10 * given.rows] if given.large else [])):
                for claim in sections[name](Path(scratch), rows):
                    print(claim, flush=True)


# --- scoring -------------------------------------------------------------------------------------


def scoring(folder: Path, rows: int) -> Iterator[Claim]:
    """File to file, beside `pred_contribs` of the same trees on rows that lie in memory."""
    patients = folder / f"patients-{rows}"
    codes = _write_patients(patients, rows)
    for trees, depth in SHAPES:
        model = folder / f"model-{trees}-{depth}"
        booster = model.with_suffix(".ubj")
        if not model.exists():
            _write_model(model, booster, trees, depth)
        for more, times, word in ((["--without-intervals"], 3, "without"), ([], 1, "with")):
            runs = [
                (_contribute(booster, codes), _score(patients, model, folder / "out", more))
                for _ in range(REPEATS if rows <= 1_000_000 else 1)
            ]
            ratio = statistics.median(ours["rate"] / theirs for theirs, ours in runs)
            ours = statistics.median(told["rate"] for _, told in runs)
            peak = max(told["megabytes"] for _, told in runs)
            yield Claim(
                f"score {rows:,} rows, {trees} trees of depth {depth}, {word} intervals",
                f"{ours:,.0f} rows/s, {ratio:.2f} times pred_contribs, {peak:,.0f} MB",
                f"{times} times, under 2,000 MB",
                ratio >= times and peak < 2000,
            )


def _write_patients(folder: Path, rows: int) -> np.ndarray:
    """Simulated patients in files; their answers repeat after `FILE_ROWS`, their ids do not."""
    folder.mkdir()
    made = simulate(load_registry(), min(rows, FILE_ROWS), 5)
    table = pa.Table.from_pandas(made.frame(), preserve_index=False)
    at = table.column_names.index("patient_id")
    for start in range(0, rows, FILE_ROWS):
        count = min(FILE_ROWS, rows - start)
        ids = pa.array([f"SIM-{number:09d}" for number in range(start, start + count)])
        named = table.slice(0, count).set_column(at, "patient_id", ids)
        file = folder / f"patients-{start:09d}.parquet"
        parquet.write_table(named, file, row_group_size=PART_ROWS)
    return made.cohort().codes[:PEER_ROWS]


def _write_model(folder: Path, file: Path, count: int, depth: int) -> None:
    """A model with as many trees as claimed, whatever cross-validation would have kept."""
    registry = load_registry()
    cohort = simulate(registry, 2_000, 1, lost=0.0).cohort()
    y = derive(registry, cohort.columns())
    recipe = Recipe(baselines=(), resampling=ResamplingRecipe(outer_repeats=1, outer_folds=2))
    result = training.train(
        registry, cohort.codes, y, recipe, trained_on="simulated", outcome="fbss_12m"
    )
    known = ~np.isnan(y)
    rows = result.model.rows(cohort.codes[known])
    signs = "(" + ",".join(str(factor.sign) for factor in registry.factors) + ")"
    settings = {"max_depth": depth, "eta": 0.05, "base_score": 0.5, "monotone_constraints": signs}
    matrix = xgboost.DMatrix(rows.codes, label=y[known], base_margin=result.model.margin(rows))
    booster = xgboost.train(settings | {"objective": "binary:logistic"}, matrix, count)
    text = booster.save_raw("json").decode()
    leaves = leaves_of(json.loads(text))
    trees = Trees.fold(leaves, reference_row(registry), result.model.recalibration.slope)
    write_bundle(folder, replace(result.model, trees=trees), result.facts, text, STORY)
    booster.save_model(file)


def _contribute(file: Path, codes: np.ndarray) -> float:
    """Rows a second of XGBoost's contributions, on every core, on a matrix that is made already."""
    booster = xgboost.Booster({"nthread": os.cpu_count()}, model_file=file)
    matrix = xgboost.DMatrix(codes)
    booster.predict(matrix, pred_contribs=True)
    start = time.perf_counter()
    booster.predict(matrix, pred_contribs=True)
    return len(codes) / (time.perf_counter() - start)


def _score(patients: Path, model: Path, out: Path, more: list[str]) -> dict[str, float]:
    """Rows a second and memory of the command, from its start to its end."""
    command = ["score", patients, "--model", model, "--out", out, "--replace", *more]
    told = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", MEASURED, *map(str, command)],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, kilobytes = map(float, told.stdout.split())
    return {"rate": _rows(patients) / seconds, "megabytes": kilobytes / 1024}


def _rows(folder: Path) -> int:
    return sum(parquet.read_metadata(file).num_rows for file in folder.iterdir())


# The memory is that of the command and of all processes it started, at their common peak.
MEASURED = """
import subprocess, sys, threading, time
from pathlib import Path

def resident(pid):
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return pages * 4 + sum(map(resident, children))

start = time.perf_counter()
run = subprocess.Popen([sys.executable, "-m", "spinecast", *sys.argv[1:]])
peak = 0
while run.poll() is None:
    peak = max(peak, resident(run.pid))
    time.sleep(0.05)
assert run.returncode == 0
print(time.perf_counter() - start, peak)
"""


if __name__ == "__main__":
    main()
