"""Statistical quality: how far each method's risks are from the true risks of simulated patients.

Run with `make bench-quality`. Excess log-loss is the mean Kullback-Leibler divergence of the
predicted from the true risk, in thousandths of a nat, on fresh patients of the same hospital; the
ratio is ours over the best baseline's; `cover` is how often our 90% interval holds a fresh
patient's true risk. Every repeat draws its own truth around the published effects. In "evidence
reversed" every published odds ratio is turned upside down before our model sees it, and no
direction is declared. In "directions not sure" chance may turn weak effects round in the truth
while the model still holds every declared direction.

A second table asks whether internal validation tells the truth. In every simulated hospital a
cohort is validated internally (5 x 2 cross-validation; bootstrap optimism), and the model learned
from that whole cohort meets 200,000 fresh patients of the same hospital. What is compared is the
performance of *this model*. Cross-validation estimates something slightly else, the method learned
from four fifths of the patients, so it may look a little worse than the truth. `bias` is the mean
of estimate less truth; `held` is how often the interval held the truth, with its Monte-Carlo
standard error. So few bootstraps have no 5th percentile worth the name: of theirs, those limits are
taken between which 90% lie on average.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from spinecast.fitting.baselines import BASELINES
from spinecast.fitting.estimator import EvidenceInformedClassifier
from spinecast.fitting.internal import method_of
from spinecast.fitting.optimism import bootstrap_optimism
from spinecast.fitting.recipe import Recipe
from spinecast.fitting.refitting import Make, Task, refitted
from spinecast.knowledge.factors import Factor, Prior, Registry
from spinecast.knowledge.loading import load_registry
from spinecast.measures.evaluation import evaluate
from spinecast.measures.logistic import logit
from spinecast.measures.metrics import MEASURES, calibration_slope, excess_log_loss
from spinecast.measures.resampling import folds
from spinecast.modelling.model import Model
from spinecast.simulator.synthetic import simulate

FloatArray = npt.NDArray[np.float64]

FRESH = 20_000
# Fresh patients whose intervals are looked at.
COVERED = 2_000
REPEATS = {200: 24, 500: 24, 2_000: 12, 20_000: 4}
# Fresh patients on whom a model's true performance is measured.
JUDGES = 200_000
HOSPITALS, BOOTSTRAPS = 50, 24
VALIDATED = (500, 2_000)
LEVELS = (0.90, 0.95)
# Seeds of hospitals, away from those of the other table.
FIRST_HOSPITAL = 1_001
ASKED = ("auroc", "log_loss", "brier", "observed_expected", "calibration_slope")
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


@dataclass(frozen=True)
class Claim:
    """What internal validation says of one measure, and what is true."""

    patients: int
    way: str
    measure: str
    level: float
    estimate: float
    low: float
    high: float
    truth: float

    @property
    def held(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.truth <= self.high


def one_hospital(task: tuple[int, int, int]) -> list[Claim]:
    """Validate the method on one simulated cohort, and try its model on fresh patients."""
    patients, seed, bootstraps = task
    registry, recipe = _registry(), Recipe()
    cohort = simulate(registry, patients, 30_000 + seed, truth_seed=seed)
    fresh = simulate(registry, JUDGES, 40_000 + seed, truth_seed=seed)
    make, codes, y = method_of(registry, recipe), cohort.codes, cohort.outcome
    risk = make().fit(codes, y).predict_proba(fresh.codes)[:, 1]
    truth = {m.name: m.function(fresh.outcome, risk, None) for m in MEASURES}
    unseen = _cross_validated(make, codes, y, recipe)
    claims = []
    for level in LEVELS:
        found = evaluate(y, unseen, seed=recipe.seed, level=level)
        for name in ASKED:
            said = found[name]
            claims.append(
                Claim(
                    patients, "cross-validated", name, level,
                    said.value, said.low, said.high, truth[name],
                )
            )  # fmt: skip
    if bootstraps:
        level = LEVELS[0]
        corrected = bootstrap_optimism(
            make, codes, y, bootstraps=bootstraps, level=_asked_of(bootstraps, level)
        )
        for name in ASKED:
            less = corrected[name]
            claims.append(
                Claim(
                    patients, "optimism-corrected", name, level,
                    less.corrected, less.low, less.high, truth[name],
                )
            )  # fmt: skip
    return claims


def _cross_validated(make: Make, codes: FloatArray, y: FloatArray, recipe: Recipe) -> FloatArray:
    """Risks from fits that had not seen the patient, (repeats, n), on training's own folds."""
    repeats, splits = recipe.resampling.outer_repeats, recipe.resampling.outer_folds
    tasks = [Task(*fold) for fold in folds(y, repeats=repeats, splits=splits, seed=recipe.seed)]
    unseen = np.zeros((repeats, len(y)))
    for done, refit in enumerate(refitted(make, codes, y, tasks)):
        unseen[done // splits, tasks[done].test] = refit.risk
    return unseen


def _asked_of(draws: int, level: float) -> float:
    """The level whose percentiles of so few draws hold `level` of all draws on average.

    Beyond the percentile p of B draws lies (p (B - 1) + 1) / (B + 1) of their distribution.
    """
    beyond = (1 - level) / 2
    return 1 - 2 * max(0.0, (beyond * (draws + 1) - 1) / (draws - 1))


@cache
def _registry() -> Registry:
    return load_registry()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="share of the repeats to run")
    parser.add_argument("--largest", type=int, default=20_000, help="largest cohort")
    parser.add_argument("--scenario", default="", help="only scenarios whose name contains this")
    parser.add_argument(
        "--hospitals", type=int, default=HOSPITALS, help="simulated hospitals of the second table"
    )
    parser.add_argument(
        "--bootstraps", type=int, default=BOOTSTRAPS, help="of each, 20 or more; 0 for none"
    )
    parser.add_argument("--only", choices=("risks", "coverage"), help="one of the two tables")
    given = parser.parse_args()
    if given.only != "coverage":
        _risks(given)
    if given.only != "risks":
        _coverage(given.hospitals, given.bootstraps, given.largest)


def _coverage(hospitals: int, bootstraps: int, largest: int) -> None:
    """Print how often internal validation's intervals held the truth."""
    print(
        f"\n{'estimate':20s} {'patients':>8s} {'hospitals':>9s} {'measure':20s} {'level':>5s} "
        f"{'mean':>7s} {'truth':>7s} {'bias':>8s} {'held':>14s}"
    )
    with ProcessPoolExecutor(2) as pool:
        for patients in (size for size in VALIDATED if size <= largest):
            seeds = range(FIRST_HOSPITAL, FIRST_HOSPITAL + hospitals)
            tasks = [(patients, seed, bootstraps) for seed in seeds]
            # One list of claims per hospital, all in the same order.
            for claims in zip(*pool.map(one_hospital, tasks), strict=True):
                _print_claims(claims)


def _print_claims(claims: Sequence[Claim]) -> None:
    one, count = claims[0], len(claims)
    held = float(np.mean([claim.held for claim in claims]))
    mean, truth = (float(np.mean([getattr(c, n) for c in claims])) for n in ("estimate", "truth"))
    error = (held * (1 - held) / count) ** 0.5
    print(
        f"{one.way:20s} {one.patients:8d} {count:9d} {one.measure:20s} {one.level:5.2f} "
        f"{mean:7.3f} {truth:7.3f} {mean - truth:+8.3f} {held:7.2f} ± {error:.2f}",
        flush=True,
    )


def _risks(given: argparse.Namespace) -> None:
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
