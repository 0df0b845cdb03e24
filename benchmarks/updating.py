"""The update ladder on simulated hospitals: what it chooses, and what that costs above the truth.

Run with `make bench-quality`. Each repeat trains a model at one simulated hospital (4,000 patients)
and takes it to another: there the base rate is half to double, the case-mix differs by 0.3 standard
deviations of every factor, and the true effects are drawn anew around the published ones. Excess
log-loss is the mean Kullback-Leibler divergence of the predicted from the true risk, in thousandths
of a nat, on fresh patients of the new hospital; the ratio is that of the ladder over the best of
keeping the model, recalibrating it (intercept and slope by maximum likelihood), and training ridge
or XGBoost on the new patients alone, each where both were tried: the last two, dear and far behind
where patients are few, at some hospitals only. At a hospital without change the new patients have
the same truth as the old ones. Settings are cheap (no trees, one repeat, few candidates) so that it
ends.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from spinecast.errors import SpinecastError
from spinecast.fitting.baselines import BASELINES
from spinecast.fitting.estimator import fit_model
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.loading import load_registry
from spinecast.measures.logistic import expit
from spinecast.measures.metrics import excess_log_loss
from spinecast.modelling.calibration import Recalibration
from spinecast.modelling.model import Model
from spinecast.simulator.synthetic import SimulatedCohort, simulate
from spinecast.updating.choosing import decide
from spinecast.updating.judging import first_question, judge_rungs
from spinecast.updating.ladder import RUNGS, Ladder, Rule, read_ladder
from spinecast.updating.newcomers import Newcomers
from spinecast.updating.rungs import Climb

FloatArray = npt.NDArray[np.float64]

HOME, FRESH = 4_000, 10_000
SIZES = (50, 200, 500, 2_000)
HOSPITALS = 200
# Hospitals at which ridge and XGBoost learn too, and unchanged ones at which every rule is tried.
RIVALRIES = 30
FIRST_SEED = 2_001
ELSEWHERE = 500_000
CASE_MIX = 0.3
GOAL, BETTER = 1.02, 0.9
KEPT = 0.9
RIVALS = ("keep", "recalibrate", "ridge", "xgboost")
RULES: tuple[Rule, ...] = get_args(Rule)
CHEAP = Recipe(
    baselines=(),
    evidence=EvidenceRecipe(weights=(0.0, 0.5, 1.0), scales=(0.6, 1.0, 1.7)),
    trees=TreeRecipe(most_rounds=0),
    resampling=ResamplingRecipe(inner_repeats=1),
    interval=IntervalRecipe(refits=50),
)
LADDER = Path(__file__).parent.parent / "experiments" / "004-update.toml"


@dataclass(frozen=True)
class Changed:
    """A hospital where something changed: each rule's rung, and the excess of rungs and rivals."""

    patients: int
    rungs: Mapping[Rule, str]
    excess: Mapping[str, float]


@dataclass(frozen=True)
class Unchanged:
    """A hospital where nothing changed: whether the ladder kept, and each rule's rung if tried."""

    patients: int
    kept: bool
    rungs: Mapping[Rule, str]


@cache
def _registry() -> Registry:
    return load_registry()


@cache
def _ladder() -> Ladder:
    ladder = read_ladder(LADDER)
    fewer = ladder.choice.model_copy(update={"repeats": 1, "draws": 299})
    return ladder.model_copy(update={"choice": fewer})


def one_hospital(task: tuple[int, bool]) -> tuple[list[Changed], list[Unchanged]]:
    """Train at home; update at a changed and at an unchanged hospital with ever more patients."""
    seed, rivals = task
    registry = _registry()
    home = simulate(registry, HOME, 10_000 + seed, truth_seed=seed)
    old, _, _ = fit_model(registry, CHEAP, home.codes, home.outcome)
    base_rate = registry.base_rate.value * 4.0 ** (np.random.default_rng([seed, 99]).random() - 0.5)

    def elsewhere(patients: int, own: int) -> SimulatedCohort:
        return simulate(
            registry,
            patients,
            own + seed,
            truth_seed=ELSEWHERE + seed,
            base_rate=base_rate,
            case_mix=CASE_MIX,
        )

    there, fresh = elsewhere(SIZES[-1], 30_000), elsewhere(FRESH, 20_000)
    again = simulate(registry, SIZES[-1], 40_000 + seed, truth_seed=seed)
    changed = [_changed(old, there, fresh, size, rivals=rivals) for size in SIZES]
    unchanged = [_unchanged(old, again, size, every_rule=rivals) for size in SIZES]
    return changed, unchanged


def _climb(old: Model, cohort: SimulatedCohort, size: int) -> Climb:
    new = Newcomers.of(old, cohort.codes[:size], cohort.outcome[:size])
    return Climb(old, new, _ladder(), CHEAP)


def _changed(
    old: Model, there: SimulatedCohort, fresh: SimulatedCohort, size: int, *, rivals: bool
) -> Changed:
    climb = _climb(old, there, size)
    table = judge_rungs(climb, resamples=0)
    chosen = _by_rule(climb, table)
    wanted = {"keep", *(chosen.values())} if not rivals else {judged.rung for judged in table}
    others = Newcomers.of(old, fresh.codes, fresh.outcome, climb.new.population)
    everyone, all_fresh = np.arange(size), np.arange(FRESH)
    risks = {rung: expit(climb.learned(rung, everyone)(others, all_fresh)) for rung in wanted}
    risks["recalibrate"] = _recalibrated(climb.new, others)
    if rivals:
        risks |= _learned_anew(climb.new, others)
    excess = {name: 1000 * excess_log_loss(risk, fresh.true_risk) for name, risk in risks.items()}
    return Changed(size, chosen, excess)


def _by_rule(climb: Climb, table: Sequence) -> dict[Rule, str]:
    choice = climb.ladder.choice
    return {rule: decide(table, choice.model_copy(update={"rule": rule})).rung for rule in RULES}


def _recalibrated(new: Newcomers, fresh: Newcomers) -> FloatArray:
    """What a statistician would try first: intercept and slope by maximum likelihood."""
    try:
        return expit(Recalibration.fit(new.margin, new.y).apply(fresh.margin))
    except SpinecastError:
        # Upside down in these patients: a statistician would leave the model as it is.
        return expit(fresh.margin)


def _learned_anew(new: Newcomers, fresh: Newcomers) -> dict[str, FloatArray]:
    """Models of the new patients alone."""
    risks = {}
    for name in ("ridge", "xgboost"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = BASELINES[name](_registry(), 1).fit(new.codes, new.y)
            risks[name] = fitted.predict_proba(fresh.codes)[:, 1]
    return risks


def _unchanged(old: Model, again: SimulatedCohort, size: int, *, every_rule: bool) -> Unchanged:
    climb = _climb(old, again, size)
    kept = first_question(climb).together > climb.ladder.choice.level
    return Unchanged(
        size, kept, _by_rule(climb, judge_rungs(climb, resamples=0)) if every_rule else {}
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hospitals", type=int, default=HOSPITALS)
    parser.add_argument("--rivalries", type=int, default=RIVALRIES)
    given = parser.parse_args()
    tasks = [(FIRST_SEED + i, i < given.rivalries) for i in range(given.hospitals)]
    started = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(one_hospital, tasks))
    for line in (*_ratios(found), "", *_choices(found), "", *_rules(found)):
        print(line)
    print(f"\n{given.hospitals} hospitals in {(time.monotonic() - started) / 60:.0f} minutes.")


Found = Sequence[tuple[list[Changed], list[Unchanged]]]


def _ratios(found: Found) -> list[str]:
    """The ladder's excess log-loss beside each rival's, at the hospitals where both were tried.

    The ratio is that to the best rival, with its standard error over hospitals (delta method).
    """
    lines = [
        "Excess log-loss at another hospital, thousandths of a nat (hospitals)",
        f"{'patients':>8s} {'ladder':>12s} "
        + " ".join(f"{name:>12s}" for name in RIVALS)
        + f" {'ratio':>13s}  goal {GOAL}, twice {BETTER}",
    ]
    for i, size in enumerate(SIZES):
        own = np.array([_ladders(changed[i]) for changed, _ in found])
        cells, ratios = [f"{own.mean():6.1f} ({len(own):3d})"], []
        for name in RIVALS:
            told = np.array([changed[i].excess.get(name, np.nan) for changed, _ in found])
            tried = ~np.isnan(told)
            cells.append(f"{told[tried].mean():6.1f} ({tried.sum():3d})")
            ratios.append(_ratio(own[tried], told[tried]))
        ratio, error = max(ratios)
        lines.append(
            f"{size:8d} "
            + " ".join(f"{cell:>12s}" for cell in cells)
            + f"   {ratio:.2f} +- {error:.2f}{'' if ratio <= GOAL else '  not reached'}"
        )
    return lines


def _ladders(changed: Changed) -> float:
    return changed.excess[changed.rungs[_ladder().choice.rule]]


def _ratio(own: FloatArray, other: FloatArray) -> tuple[float, float]:
    """The ratio of two means over the same hospitals, and its standard error."""
    ratio = own.mean() / other.mean()
    return ratio, float((own - ratio * other).std() / other.mean() / len(own) ** 0.5)


def _choices(found: Found) -> list[str]:
    """How often each rung was taken, and how often a model that fits was kept."""
    lines = [
        "Rungs taken (% of hospitals), where something changed; and kept where nothing did",
        f"{'patients':>8s} {'hospitals':>9s} "
        + " ".join(f"{rung:>9s}" for rung in RUNGS)
        + f" {'kept':>7s}",
    ]
    for i, size in enumerate(SIZES):
        taken = Counter(changed[i].rungs[_ladder().choice.rule] for changed, _ in found)
        kept = _mean(unchanged[i].kept for _, unchanged in found)
        lines.append(
            f"{size:8d} {len(found):9d} "
            + " ".join(f"{taken[rung] / len(found):9.0%}" for rung in RUNGS)
            + f" {kept:7.1%}{'' if kept >= KEPT else '  not reached'}"
        )
    return lines


def _rules(found: Found) -> list[str]:
    """Each rule: excess log-loss where something changed, models kept where nothing did."""
    lines = [
        "Rules: mean excess log-loss of all hospitals (% kept of unchanged ones)",
        f"{'':28s}" + " ".join(f"{size:>13d}" for size in SIZES),
    ]
    for rule in RULES:
        cells = []
        for i in range(len(SIZES)):
            excess = _mean(changed[i].excess[changed[i].rungs[rule]] for changed, _ in found)
            tried = [unchanged[i] for _, unchanged in found if unchanged[i].rungs]
            kept = _mean(one.rungs[rule] == "keep" for one in tried)
            cells.append(f"{excess:6.1f} ({kept:4.0%})")
        lines.append(f"{rule:28s}" + " ".join(f"{cell:>13s}" for cell in cells))
    return lines


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
