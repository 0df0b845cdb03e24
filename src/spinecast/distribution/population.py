"""What candidates for surgery look like: sample them, complete them, say how unusual one is.

One statistical object with three uses: the simulator samples from it, unknown values are completed
from it (the same way in training, validation and use), and a patient unlike the cohort is found
with it. It starts as what the registry says and learns from a cohort through sums alone: counts of
values, then products of normal scores. Sums of pieces add up to the sums of the whole, and no
patient's row is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import gammaincc

from spinecast.distribution import census
from spinecast.distribution.bins import NOT_KNOWN, Bins, FloatArray, IntArray, registry_shares
from spinecast.distribution.census import Counts, Scores
from spinecast.distribution.copula import Copula
from spinecast.distribution.guesses import Guesses
from spinecast.knowledge.factors import Registry

SCHEMA = "spinecast.population/1"
LEAST_SQUARE = 1e-9
CALIBRATION_PATIENTS = 4000
CALIBRATION_SEED = 20_260_101


@dataclass(frozen=True, slots=True, eq=False)
class Completion:
    """The unknown values of some patients as chances: per factor, where it is unknown."""

    codes: FloatArray
    guesses: Guesses

    def expected(self, representatives: tuple[FloatArray, ...]) -> FloatArray:
        """The codes with each unknown replaced by its mean code, (n, F)."""
        filled = self.codes.copy()
        for f, guess in self.guesses.items():
            filled[guess.rows, f] = guess.chances @ representatives[f]
        return filled


@dataclass(frozen=True, slots=True, eq=False)
class Unusual:
    """How unlike the population some patients are.

    Attributes:
        distance: sum of the squared z scores of the known factors, (n,).
        tail: share of the population (with the same factors known) at least as unusual, (n,).
        z: how far each known value is from what the patient's other values suggest, in SD, (n, F);
            NaN where unknown. It names the factors that make a combination odd.
    """

    distance: FloatArray
    tail: FloatArray
    z: FloatArray


@dataclass(frozen=True, eq=False)
class Population:
    """A Gaussian copula over the factors' bins, within the levels of the stratum factor.

    Attributes:
        bins: the bins of every factor.
        stratum: column of the stratum factor, None for one stratum.
        weights: share of each stratum, (S,).
        shares: share of each bin within each stratum, (S, F, B).
        correlation: of the factors' normal scores within a stratum, (F, F).
        patients: how many patients it has learned from.
        typical: mean squared z score of each factor, (F,), and `dispersion`, variance over mean of
            their sum: what `unusual` compares with.
    """

    bins: Bins
    stratum: int | None
    weights: FloatArray
    shares: FloatArray
    correlation: FloatArray
    patients: int
    typical: FloatArray
    dispersion: float

    # --- learning ----------------------------------------------------------------------------

    @classmethod
    def from_registry(cls, registry: Registry) -> Population:
        """The population as published, before any patient."""
        return _calibrated(cls.published(registry))

    @classmethod
    def published(cls, registry: Registry) -> Population:
        """The same before it knows how unusual its members are: where learning starts."""
        bins = Bins.from_registry(registry)
        weights, shares = registry_shares(registry, bins)
        column = {name: f for f, name in enumerate(registry.names)}
        stratum = None if registry.stratum is None else column[registry.stratum]
        correlation = np.eye(len(column))
        for told in registry.correlations:
            pair = column[told.pair[0]], column[told.pair[1]]
            # What goes with the stratum is said by the marginals `given` it.
            if stratum not in pair:
                correlation[pair] = correlation[pair[::-1]] = told.value
        start = cls(
            bins,
            stratum,
            weights,
            shares,
            census.positive_definite(correlation),
            patients=0,
            typical=np.ones(len(column)),
            dispersion=2.0,
        )
        return _with_shares(start, shares)

    @classmethod
    def fit(cls, registry: Registry, codes: FloatArray) -> Population:
        """The published population updated by a cohort, (n, F) codes, NaN unknown."""
        prior = cls.published(registry)
        counted = prior.counted(prior.count(codes))
        return counted.correlated(counted.score(codes))

    def count(self, codes: FloatArray) -> Counts:
        """First pass over a piece of a cohort."""
        bins = self.bins.of(codes)
        return census.count(bins, self._strata(bins), len(self.weights), self.bins.largest)

    def counted(self, counts: Counts) -> Population:
        """This population with its marginals updated by a whole cohort's counts."""
        weights = self.weights
        if self.stratum is not None:
            seen = counts.table[: len(weights), self.stratum].sum(axis=1)
            weights = census.updated_weights(weights, seen)
        shares = census.updated_shares(self.shares, weights, counts.table)
        patients = self.patients + counts.patients
        return replace(_with_shares(self, shares), weights=weights, patients=patients)

    def score(self, codes: FloatArray) -> Scores:
        """Second pass over a piece of a cohort, on the population that `counted` gave."""
        bins = self.bins.of(codes)
        return census.score(bins, self._strata(bins), self.copula.normal)

    def correlated(self, scores: Scores) -> Population:
        """This population with its correlations updated by a whole cohort's scores."""
        correlation = census.correlation_from(self.correlation, scores)
        return _calibrated(replace(self, correlation=correlation))

    def _strata(self, bins: IntArray) -> IntArray:
        """Stratum of each row; the number of strata where unknown."""
        if self.stratum is None:
            return np.zeros(len(bins), dtype=np.int64)
        own = bins[:, self.stratum]
        return np.where(own < 0, len(self.weights), own)

    def tilted(self, tilt: FloatArray) -> Population:
        """Another case-mix: each value's share times exp(tilt * its standardised code), (F,).

        A factor's mean moves by about `tilt` of its standard deviations; strata move with it.
        """
        shares, weights = self.shares.copy(), self.weights.copy()
        for f, codes in enumerate(self.bins.codes):
            overall = self.weights @ self.shares[:, f, : len(codes)]
            mean = float(overall @ codes)
            sd = np.sqrt(max(float(overall @ (codes - mean) ** 2), LEAST_SQUARE))
            times = np.exp(tilt[f] * (codes - mean) / sd)
            shares[:, f, : len(codes)] *= times
            if f == self.stratum:
                weights *= times
        shares /= shares.sum(axis=2, keepdims=True)
        return replace(_with_shares(self, shares), weights=weights / weights.sum())

    # --- use ---------------------------------------------------------------------------------

    @cached_property
    def copula(self) -> Copula:
        """The arithmetic behind this population."""
        return Copula(self.weights, self.shares, self.bins.size, self.correlation, self.stratum)

    def complete(self, codes: FloatArray) -> Completion:
        """What the unknown values of some patients may be, given their known ones; (n, F) codes."""
        return Completion(codes, self.copula.complete(self.bins.of(codes)))

    def unusual(self, codes: FloatArray) -> Unusual:
        """How unlike the population some patients are, (n, F) codes."""
        return self._unusual(self.copula.surprise(self.bins.of(codes)))

    def read(self, codes: FloatArray) -> tuple[Completion, Unusual]:
        """Both at once, `complete` and `unusual`: their common work is done a single time."""
        guesses, z = self.copula.read(self.bins.of(codes))
        return Completion(codes, guesses), self._unusual(z)

    def _unusual(self, z: FloatArray) -> Unusual:
        known = ~np.isnan(z)
        distance = np.where(known, z**2, 0.0).sum(axis=1)
        expected = known @ self.typical
        shape = np.maximum(expected, LEAST_SQUARE) / self.dispersion
        tail = gammaincc(shape, distance / self.dispersion)
        return Unusual(distance, np.where(expected > 0, tail, 1.0), z)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Complete patients, (n, F) codes at the precision they are recorded with."""
        nothing = np.full(len(self.bins.names), NOT_KNOWN)
        return self.bins.draw(self.copula.draw(nothing, n, rng), rng)

    def draws(self, row: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
        """Draws of one patient's unknown values, the known ones kept; (F,) codes to (k, F)."""
        codes = self.bins.draw(self.copula.draw(self.bins.of(row[None])[0], k, rng), rng)
        known = ~np.isnan(row)
        codes[:, known] = row[known]
        return codes

    # --- as a file ---------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON that a person can read."""
        bins, names = self.bins, self.bins.names
        factors = {
            name: {
                "first": float(bins.first[f]),
                "step": float(bins.step[f]),
                "values_per_bin": int(bins.width[f]),
                "shares": self.shares[:, f, : bins.size[f]].tolist(),
                "typical": float(self.typical[f]),
            }
            for f, name in enumerate(names)
        }
        return {
            "schema": SCHEMA,
            "patients": self.patients,
            "stratum": None if self.stratum is None else names[self.stratum],
            "weights": self.weights.tolist(),
            "factors": factors,
            "correlation": self.correlation.tolist(),
            "dispersion": self.dispersion,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Population:
        """The population `to_dict` wrote."""
        names = tuple(told["factors"])
        rows = list(told["factors"].values())
        size = np.array([len(row["shares"][0]) for row in rows])
        shares = np.zeros((len(told["weights"]), len(names), int(size.max())))
        for f, row in enumerate(rows):
            shares[:, f, : size[f]] = row["shares"]
        bins = Bins(
            names,
            np.array([row["first"] for row in rows]),
            np.array([row["step"] for row in rows]),
            np.array([row["values_per_bin"] for row in rows]),
            size,
        )
        return cls(
            bins,
            None if told["stratum"] is None else names.index(told["stratum"]),
            np.array(told["weights"]),
            shares,
            np.array(told["correlation"]),
            patients=told["patients"],
            typical=np.array([row["typical"] for row in rows]),
            dispersion=told["dispersion"],
        )


def _with_shares(population: Population, shares: FloatArray) -> Population:
    """The population with these marginals, every bin possible."""
    possible = census.floored(shares, population.bins.size)
    if population.stratum is not None:
        possible[:, population.stratum] = np.eye(len(shares), shares.shape[2])
    return replace(population, shares=possible)


def _calibrated(population: Population) -> Population:
    """The population knowing how unusual its own members are (a fixed sample, seeded).

    Bins are coarse, so squared z scores are no exact chi-squares: their mean is below 1 for a
    yes/no factor. Their sum is close to a gamma variable with the mean and variance seen here.
    """
    rng = np.random.default_rng(CALIBRATION_SEED)
    nothing = np.full(len(population.bins.names), NOT_KNOWN)
    members = population.copula.draw(nothing, CALIBRATION_PATIENTS, rng)
    square = population.copula.surprise(members) ** 2
    total = square.sum(axis=1)
    dispersion = max(float(total.var() / max(total.mean(), LEAST_SQUARE)), LEAST_SQUARE)
    return replace(population, typical=square.mean(axis=0), dispersion=dispersion)
