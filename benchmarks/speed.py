"""Speed: what the promised things cost, each beside a peer in the same run. Run with `make bench`.

Seconds depend on the machine and on what else runs there; ratios much less. The model under test
has 150 trees of depth 2 and 50 bootstrap refits.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import xgboost
from known_model import write_model

from spinecast.cohorts.labelled import read_labelled
from spinecast.cohorts.outcome import derive
from spinecast.explaining.batch import read_patients, write_scores
from spinecast.explaining.bundle import write_bundle
from spinecast.explaining.scoring import Scorer
from spinecast.fitting import training
from spinecast.fitting.internal import internal_validation
from spinecast.fitting.recipe import Recipe, ResamplingRecipe
from spinecast.knowledge.loading import load_registry
from spinecast.measures.pooling import pool
from spinecast.modelling.model import reference_row
from spinecast.patients.tables import write_table
from spinecast.reports.report import write_report
from spinecast.sharing import cores
from spinecast.simulator.synthetic import simulate

TREES, DEPTH, ROWS = 150, 2, 100_000
SPINECAST = [sys.executable, "-m", "spinecast"]
STORY = {"outcome": "fbss_12m", "data": {"sha256": ""}}


@dataclass(frozen=True)
class Line:
    """One claim: what was measured, beside what, and whether the goal holds."""

    what: str
    ours: float
    peer: str
    theirs: float
    goal: str
    reached: bool

    def __str__(self) -> str:
        ratio = f"{self.ours / self.theirs:8.2f}" if self.theirs else " " * 8
        peer = _seconds(self.theirs) if self.theirs else " " * 9
        verdict = "" if self.reached else "  not reached"
        return (
            f"{self.what:52s} {_seconds(self.ours)}  {self.peer:34s} {peer} {ratio}  "
            f"{self.goal}{verdict}"
        )


def _seconds(value: float) -> str:
    return f"{1000 * value:6.2f} ms" if value < 1 else f"{value:6.2f} s "


def clocked(work: Callable[[], object]) -> float:
    """Seconds that some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the table, line by line as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--proof", action="store_true", help="also validate 4,000 patients in full (minutes)"
    )
    given = parser.parse_args()
    print(f"{'what':52s} {'ours':>8s}   {'beside':34s} {'theirs':>8s} {'ratio':>9s}  goal")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        booster = write_model(folder / "model", TREES, DEPTH)
        measures = [_training, _reporting, _commands, _one_patient, _files, _judging]
        for measure in (*measures, *([_proving] if given.proof else [])):
            for line in measure(folder, booster):
                print(line, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"Peak memory of all this: {peak:,.0f} MB; {os.cpu_count()} cores")


def _training(_: Path, __: xgboost.Booster) -> Iterator[Line]:
    for patients, goal in ((300, 20.0), (4_000, 90.0)):
        alone, every = _train(patients, ()), _train(patients, Recipe().baselines)
        yield Line(
            f"train {patients:,} patients, all baselines, 5x2 CV",
            every,
            "the same without baselines",
            alone,
            f"under {goal:.0f} s",
            every < goal,
        )


def _train(patients: int, baselines: tuple[str, ...]) -> float:
    registry = load_registry()
    cohort = simulate(registry, patients, 3, lost=0.0).cohort()
    y = derive(registry, cohort.columns())
    recipe = Recipe(baselines=baselines)
    return clocked(
        lambda: training.train(
            registry, cohort.codes, y, recipe, trained_on="simulated", outcome="fbss_12m"
        )
    )


def _reporting(folder: Path, _: xgboost.Booster) -> Iterator[Line]:
    registry, (cohort, model) = load_registry(), (folder / "cohort.csv", folder / "reported")
    write_table(simulate(registry, 1_000, 3).frame(), cohort)
    labelled = read_labelled(cohort, registry, "")
    recipe = Recipe(baselines=(), resampling=ResamplingRecipe(outer_repeats=1, bootstraps=0))
    result = training.train(
        registry,
        labelled.cohort.codes,
        labelled.labels.failed,
        recipe,
        trained_on="simulated",
        outcome=labelled.labels.definition,
    )
    write_bundle(model, result.model, result.facts, result.booster, STORY)
    ours = clocked(lambda: write_report(result, labelled, model, folder / "report"))
    yield Line("report of a training of 1,000 patients", ours, "", 0.0, "under 10 s", ours < 10)


def _judging(_: Path, __: xgboost.Booster) -> Iterator[Line]:
    """In a process of its own, so that the memory is its own."""
    for thresholds in ("None", "Thresholds(0.1, 0.4, 'act')"):
        told = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", JUDGE.format(thresholds=thresholds)],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds, megabytes = map(float, told.stdout.split())
        curve = ", with a decision curve" if thresholds != "None" else ""
        yield Line(
            f"judge {JUDGED:,} risks{curve}",
            seconds,
            f"peak memory {megabytes:,.0f} MB",
            0.0,
            "under 60 s and 4 GB",
            seconds < 60 and megabytes < 4096,
        )


JUDGED = 1_000_000
JUDGE = f"""
import resource, time
import numpy as np
from spinecast.judging.judgement import judge
from spinecast.judging.thresholds import Thresholds
random = np.random.default_rng(1)
risk = 1 / (1 + np.exp(-random.normal(-1.2, 1.0, {JUDGED})))
y = (random.random({JUDGED}) < risk) * 1.0
start = time.perf_counter()
judge(y, risk, thresholds={{thresholds}})
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _proving(_: Path, __: xgboost.Booster) -> Iterator[Line]:
    """Cross-validation and everything `train --proof` adds, baselines left out."""
    registry, recipe = load_registry(), Recipe(baselines=())
    cohort = simulate(registry, 4_000, 3, lost=0.0).cohort()
    y = derive(registry, cohort.columns())
    judged = clocked(
        lambda: training.train(
            registry, cohort.codes, y, recipe, trained_on="simulated", outcome="fbss_12m"
        )
    )
    refits = clocked(lambda: internal_validation(cohort, y, recipe, pool=pool, processes=cores()))
    yield Line(
        f"full validation of 4,000 patients, {cores()} processes",
        judged + refits,
        "its cross-validation, one process",
        judged,
        "under 300 s",
        judged + refits < 300,
    )


def _commands(folder: Path, _: xgboost.Booster) -> Iterator[Line]:
    patient = folder / "patient.json"
    patient.write_text(json.dumps({"age": 54, "smoking_status": "current", "odi_baseline": 52}))
    score = [*SPINECAST, "score", str(patient), "--model", str(folder / "model")]
    bare = _cold([sys.executable, "-c", "pass"])
    for what, command, goal in (("--help", [*SPINECAST, "--help"], 0.3), ("score, cold", score, 3)):
        ours = _cold(command)
        yield Line(
            f"spinecast {what}", ours, "python -c pass", bare, f"under {goal} s", ours < goal
        )


def _cold(command: list[str]) -> float:
    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own commands

    run()
    return statistics.median(clocked(run) for _ in range(5))


def _one_patient(folder: Path, booster: xgboost.Booster) -> Iterator[Line]:
    scorer = Scorer.load(folder / "model")
    some = {"age": 54, "sex": "male", "smoking_status": "current", "prior_lumbar_surgeries": 1}
    whole = {
        factor.name: factor.value_of(factor.reference_code) for factor in scorer.registry.factors
    }
    row = reference_row(scorer.registry)[None]
    theirs = _warm(lambda: booster.predict(xgboost.DMatrix(row)))
    for what, answers in (("everything known", whole | some), ("36 of 40 unknown", some)):
        ours = _warm(lambda answers=answers: scorer.assess(answers))
        yield Line(
            f"one patient scored and explained, {what}",
            ours,
            "Booster.predict of one DMatrix row",
            theirs,
            "under 3 ms and 10 times",
            ours < min(3e-3, 10 * theirs),
        )


def _warm(work: Callable[[], object]) -> float:
    for _ in range(20):
        work()
    return statistics.median(clocked(work) for _ in range(300))


def _files(folder: Path, booster: xgboost.Booster) -> Iterator[Line]:
    scorer = Scorer.load(folder / "model")
    cohort = simulate(scorer.registry, ROWS, 5)
    matrix = xgboost.DMatrix(cohort.codes)
    theirs = min(clocked(lambda: booster.predict(matrix, pred_contribs=True)) for _ in range(3))
    for ending in (".parquet", ".csv"):
        patients, scores = folder / f"patients{ending}", folder / f"scores{ending}"
        write_table(cohort.frame(), patients)
        ours = min(
            clocked(lambda: write_scores(read_patients(scorer, patients), scores))  # noqa: B023
            for _ in range(2)
        )
        yield Line(
            f"{ROWS:,} rows, file to file, {ending[1:]}",
            ours,
            f"pred_contribs of {TREES} trees alone",
            theirs,
            "at most 1.00 times",
            ours <= theirs,
        )


if __name__ == "__main__":
    main()
