"""The truth behind a simulated hospital: what really raises the risk there, and by how much.

It is drawn around the published effects, never equal to them, and it bends and interacts where the
registry says so. A prior that is the truth would make every method that uses it look perfect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from spinecast.distribution.population import Population
from spinecast.errors import Problem, UsageRefused
from spinecast.knowledge.factors import Factor, Prior, Registry
from spinecast.knowledge.rules import Rule, parse
from spinecast.knowledge.simulation import Departure
from spinecast.measures.logistic import expit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

INTERCEPT_PATIENTS = 20_000
INTERCEPT_SEED = 20_260_102


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Log-odds of one factor against its reference, straight between points: codes and heights."""

    points: FloatArray
    log_odds: FloatArray

    def at(self, codes: FloatArray) -> FloatArray:
        """Log-odds at codes, any shape; flat beyond the outer points, NaN for unknown."""
        return np.asarray(np.interp(codes, self.points, self.log_odds))


@dataclass(frozen=True, slots=True)
class Shift:
    """Log-odds that are added where a rule over the factors holds."""

    rule: Rule
    log_odds: float


@dataclass(frozen=True)
class Truth:
    """True log-odds of the outcome: intercept, one curve per factor, departures, site.

    Attributes:
        names: the factors, in the registry's order.
        intercept: set so that the mean risk over patients and sites is the base rate.
        curves: one per factor, in that order.
        departures: where effects are not additive.
        sites: what each hospital adds, (sites,).
    """

    names: tuple[str, ...]
    intercept: float
    curves: tuple[Curve, ...]
    departures: tuple[Shift, ...]
    sites: FloatArray

    def margin(self, codes: FloatArray, site: IntArray) -> FloatArray:
        """True log-odds of complete patients, (n, F) codes and (n,) site numbers to (n,)."""
        margin = self.intercept + self.sites[site]
        for column, curve in enumerate(self.curves):
            margin = margin + curve.at(codes[:, column])
        columns = {name: codes[:, column] for column, name in enumerate(self.names)}
        return margin + shifts(self.departures, columns)

    def risk(self, codes: FloatArray, site: IntArray) -> FloatArray:
        """True risk of complete patients, (n,)."""
        return expit(self.margin(codes, site))

    @cached_property
    def by_name(self) -> Mapping[str, Curve]:
        """The curves by factor."""
        return MappingProxyType(dict(zip(self.names, self.curves, strict=True)))


def draw_truth(
    registry: Registry,
    seed: int,
    *,
    heterogeneity: float | None = None,
    evidence_sign: float = 1.0,
    directions_hold: bool = True,
    base_rate: float | None = None,
) -> Truth:
    """Draw a hospital's truth around the published effects.

    Every contrast (a level against the reference, a step, two standard deviations of a number) has
    a true log-odds ratio drawn from a normal around the published one times the registry's
    attenuation, or around 0 where nothing is published.

    Args:
        registry: the evidence.
        seed: one seed, one truth.
        heterogeneity: SD of the normal; the registry's between-study SD when not given.
        evidence_sign: 1 for truths around the published effects, 0 around none, -1 around their
            opposites: a hospital that contradicts all of it.
        directions_hold: whether a declared direction is true of the hospital (or, with a negative
            evidence_sign, its opposite), as clinicians are sure it is; else chance may turn weak
            effects round.
        base_rate: how often the outcome occurs among the registry's candidates; as the registry
            says when not given.
    """
    rng = np.random.default_rng([seed, 0])
    spread = registry.evidence.heterogeneity if heterogeneity is None else heterogeneity
    population = Population.from_registry(registry)
    curves = []
    for column, factor in enumerate(registry.factors):
        known = _known(factor, 2 * _sd(population, column))
        around = spread * rng.standard_normal(len(known.contrasts)) @ known.contrasts
        heights = evidence_sign * registry.simulation.attenuation * known.published + around
        if directions_hold and factor.sign:
            heights = _in_direction(factor, heights, factor.sign * math.copysign(1, evidence_sign))
        reference = np.interp(factor.reference_code, known.points, heights)
        curves.append(Curve(known.points, heights - reference))
    simulation = registry.simulation
    sites = simulation.site_sd * rng.standard_normal(simulation.sites)
    departures = shifts_of(registry, simulation.departures)
    truth = Truth(registry.names, 0.0, tuple(curves), departures, sites)
    rate = _base_rate(registry, base_rate)
    return replace(truth, intercept=_intercept(truth, population, rate))


def _base_rate(registry: Registry, given: float | None) -> float:
    if given is not None:
        return given
    if registry.base_rate is None:
        allowed = "how often the outcome occurs has to be known"
        remedy = "Give it with --base-rate, or declare [base_rate] in registry.toml."
        problem = Problem("base rate", "neither given nor declared", allowed, remedy)
        raise UsageRefused("No cohort can be simulated", [problem])
    return registry.base_rate.value


def _in_direction(factor: Factor, heights: FloatArray, sign: float) -> FloatArray:
    """Heights that never run against a direction: a level is at least as high as the one below it.

    Levels without an order are only held against the reference, which stands first.
    """
    upwards = sign * heights
    if factor.kind == "nominal":
        return np.asarray(sign * np.maximum(upwards, upwards[0]))
    return np.asarray(sign * np.maximum.accumulate(upwards))


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The published log-odds at the points of a curve, and how each contrast would lift them.

    `contrasts` (contrasts, points): what one more unit of a contrast adds at each point.
    """

    points: FloatArray
    published: FloatArray
    contrasts: FloatArray


def _known(factor: Factor, two_sd: float) -> _Known:
    prior = factor.prior or Prior()
    if factor.is_numeric:
        return _steps(factor, prior) if prior.steps else _slope(factor, prior, two_sd)
    published = np.log([prior.levels.get(level, 1.0) for level in factor.levels])
    points = np.arange(len(published), dtype=float)
    return _Known(points, published, np.eye(len(points))[points != factor.reference_code])


def _slope(factor: Factor, prior: Prior, two_sd: float) -> _Known:
    """One contrast, however long the range: heights grow with the distance above the knee."""
    low, high = factor.bounds
    knee = low if prior.knee is None else prior.knee
    points = np.unique([low, knee, high])
    above = np.maximum(points - knee, 0.0)
    slope = math.log(prior.odds_ratio) / prior.per if prior.odds_ratio else 0.0
    return _Known(points, slope * above, above[None] / two_sd)


def _steps(factor: Factor, prior: Prior) -> _Known:
    """A contrast for each step: "at least k" against the lowest count, up to the next step."""
    at = np.array([float(step) for step in prior.steps])
    points = np.arange(factor.bounds[0], at.max() + 1)
    reached = np.searchsorted(at, points, side="right") - 1
    contrasts = (reached == np.arange(len(at))[:, None]).astype(float)
    return _Known(points, np.log(list(prior.steps.values())) @ contrasts, contrasts)


def _sd(population: Population, column: int) -> float:
    """Standard deviation of a factor's codes over all strata."""
    codes = population.bins.codes[column]
    shares = (population.weights @ population.shares[:, column])[: len(codes)]
    mean = shares @ codes
    return float(np.sqrt(shares @ (codes - mean) ** 2))


def _intercept(truth: Truth, population: Population, base_rate: float) -> float:
    """The intercept at which a large sample, spread evenly over the sites, has the base rate."""
    rng = np.random.default_rng(INTERCEPT_SEED)
    codes = population.sample(INTERCEPT_PATIENTS, rng)
    site = np.arange(len(codes)) % len(truth.sites)
    return intercept_for(truth.margin(codes, site), base_rate)


def intercept_for(margin: FloatArray, rate: float) -> float:
    """What to add to log-odds so that their mean risk is `rate`, between 0 and 1."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if expit(margin + middle).mean() > rate else (middle, high)
    return (low + high) / 2


def shifts_of(registry: Registry, departures: tuple[Departure, ...]) -> tuple[Shift, ...]:
    """Departures as rules over the factors.

    Raises:
        UsageRefused: when a rule cannot be understood.
    """
    levels = {factor.name: factor.level_codes for factor in registry.factors}
    return tuple(
        Shift(parse(told.rule, levels, "simulation.toml"), math.log(told.odds_ratio))
        for told in departures
    )


def shifts(departures: tuple[Shift, ...], columns: Mapping[str, FloatArray]) -> FloatArray | float:
    """Sum of the log-odds of all rules that hold, (n,); a rule that cannot be told adds nothing."""
    return sum((shift.log_odds * (shift.rule.holds(columns) == 1) for shift in departures), 0.0)
