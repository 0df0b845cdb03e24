"""Statistical quality: how far each method's risks are from the true risks of simulated patients.

Run with `make bench-quality`. Excess log-loss is the mean Kullback-Leibler divergence of the
predicted from the true risk, in thousandths of a nat, on fresh patients of the same hospital; the
ratio is ours over the best baseline's; `cover` is how often our 90% interval holds a fresh
patient's true risk. Every repeat draws its own truth around the published effects. In "evidence
reversed" every published odds ratio is turned upside down before our model sees it, and no
direction is declared. In "directions not sure" chance may turn weak effects round in the truth
while the model still holds every declared direction.
"""

from __future__ import annotations

import argparse
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from spinecast.fitting.baselines import BASELINES
from spinecast.fitting.estimator import EvidenceInformedClassifier
from spinecast.knowledge.factors import Factor, Prior, Registry
from spinecast.knowledge.loading import load_registry
from spinecast.measures.logistic import logit
from spinecast.measures.metrics import calibration_slope, excess_log_loss
from spinecast.modelling.model import Model
from spinecast.simulator.synthetic import simulate

FloatArray = npt.NDArray[np.float64]

FRESH = 20_000
# Fresh patients whose intervals are looked at.
COVERED = 2_000
REPEATS = {200: 24, 500: 24, 2_000: 12, 20_000: 4}
RIVALS = ("ridge", "xgboost", "ebm")


@dataclass(frozen=True)
class Scenario:
    """A world, and what our model is told of it."""

    name: str
    sizes: tuple[int, ...]
    goal: dict[int, float]
    missing: float = 0.0
    reversed: bool = False
    directions_hold: bool = True


GOALS = {200: 0.75, 500: 0.80, 2_000: 1.0, 20_000: 0.95}
SCENARIOS = (
    Scenario("as published", (200, 500, 2_000, 20_000), GOALS),
    Scenario("20% missing", (200, 500, 2_000, 20_000), GOALS, missing=0.2),
    Scenario(
        "evidence reversed", (200, 500, 2_000, 20_000), dict.fromkeys(GOALS, 1.05), reversed=True
    ),
    Scenario("directions not sure", (200, 500, 2_000, 20_000), GOALS, directions_hold=False),
)


@dataclass(frozen=True)
class Outcome:
    """One repeat: each method's excess log-loss; our slope and coverage on fresh patients."""

    excess: dict[str, float]
    slope: float
    covered: float


def one_repeat(task: tuple[Scenario, int, int]) -> Outcome:
    """Train every method on one simulated cohort and hold it against fresh patients."""
    scenario, size, seed = task
    world = _registry()
    told = reversed_evidence(world) if scenario.reversed else world
    patients, fresh = (
        simulate(
            world,
            number,
            cohort_seed,
            truth_seed=seed,
            missing=scenario.missing,
            directions_hold=scenario.directions_hold,
        )
        for number, cohort_seed in ((size, 10_000 + seed), (FRESH, 20_000 + seed))
    )
    methods = {"spinecast": EvidenceInformedClassifier(told)}
    methods |= {name: BASELINES[name](told, 1) for name in ("published evidence", *RIVALS)}
    excess, slope, covered = {}, float("nan"), float("nan")
    for name, method in methods.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            risk = method.fit(patients.codes, patients.outcome).predict_proba(fresh.codes)[:, 1]
        excess[name] = 1000 * excess_log_loss(risk, fresh.true_risk)
        if name == "spinecast":
            slope = calibration_slope(fresh.outcome, risk)
            covered = coverage(method.model_, fresh.codes[:COVERED], fresh.true_risk[:COVERED])
    return Outcome(excess, slope, covered)


def coverage(model: Model, codes: FloatArray, true_risk: FloatArray) -> float:
    """How often the true risk lies within the interval, which is made to hold it 9 times of 10."""
    reading = model.read(model.rows(codes))
    reach = NormalDist().inv_cdf(0.5 + model.level / 2) * reading.spread
    return float((abs(logit(true_risk) - reading.margin) <= reach).mean())


def reversed_evidence(registry: Registry) -> Registry:
    """The same registry with every published odds ratio upside down and no direction declared."""
    factors = tuple(_reversed(factor) for factor in registry.factors)
    return registry.model_copy(update={"factors": factors})


def _reversed(factor: Factor) -> Factor:
    if factor.prior is None:
        return factor.model_copy(update={"direction": "none"})
    prior = factor.prior
    changed: dict[str, object] = {
        "levels": {name: 1 / ratio for name, ratio in prior.levels.items()},
        "steps": {name: 1 / ratio for name, ratio in prior.steps.items()},
        "odds_ratio": 1 / prior.odds_ratio if prior.odds_ratio else None,
        "plausible": tuple(1 / edge for edge in reversed(prior.plausible))
        if prior.plausible
        else None,
    }
    upside_down: Prior = prior.model_copy(update=changed)
    return factor.model_copy(update={"prior": upside_down, "direction": "none"})


@cache
def _registry() -> Registry:
    return load_registry()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="share of the repeats to run")
    parser.add_argument("--largest", type=int, default=20_000, help="largest cohort")
    parser.add_argument("--scenario", default="", help="only scenarios whose name contains this")
    given = parser.parse_args()
    print(
        f"{'scenario':20s} {'patients':>8s} {'repeats':>7s} {'ours':>7s} {'ridge':>7s} "
        f"{'xgboost':>7s} {'ebm':>7s} {'publ.':>7s} {'ratio':>6s} {'goal':>6s} {'slope':>6s} "
        f"{'cover':>6s}"
    )
    with ProcessPoolExecutor(2) as pool:
        for scenario in SCENARIOS:
            if given.scenario not in scenario.name:
                continue
            for size in (size for size in scenario.sizes if size <= given.largest):
                repeats = max(2, round(given.share * REPEATS[size]))
                tasks = [(scenario, size, seed) for seed in range(1, repeats + 1)]
                _print_row(scenario, size, list(pool.map(one_repeat, tasks)))


def _print_row(scenario: Scenario, size: int, outcomes: list[Outcome]) -> None:
    mean = {
        name: float(np.mean([outcome.excess[name] for outcome in outcomes]))
        for name in outcomes[0].excess
    }
    ratio = mean["spinecast"] / min(mean[name] for name in RIVALS)
    goal = scenario.goal[size]
    slope = float(np.mean([outcome.slope for outcome in outcomes]))
    covered = float(np.mean([outcome.covered for outcome in outcomes]))
    print(
        f"{scenario.name:20s} {size:8d} {len(outcomes):7d} {mean['spinecast']:7.1f} "
        f"{mean['ridge']:7.1f} {mean['xgboost']:7.1f} {mean['ebm']:7.1f} "
        f"{mean['published evidence']:7.1f} {ratio:6.2f} {goal:6.2f} {slope:6.2f} {covered:6.2f}"
        f"{'' if ratio <= goal else '  not reached'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
