"""What a model's cohort was like: how many, how often, which values it had seen, what it says.

These facts travel with the model so that an answer can say where the patient stands in the cohort,
when a value is outside it, and whether the cohort agrees with the literature. No patient rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.explaining.assessment import Agreement, Caution, TrainedOn
from spinecast.knowledge.factors import Factor, Registry
from spinecast.language import BASE, Words, words
from spinecast.modelling import posterior
from spinecast.modelling.features import Z95, Encoding
from spinecast.modelling.posterior import Belief, Pieces, Posterior, with_intercept

FloatArray = npt.NDArray[np.float64]

# Fewer patients than this at a level, and the cohort says nothing of it. Ten is the customary
# smallest cell a register publishes; half of it still estimates nothing.
FEW = 5
# Fewer events than this, and neither the model nor its validation is settled: Collins et al. 2016,
# Stat Med 35:214, doi 10.1002/sim.6787, want at least 100 and better 200.
SETTLED = 100
# Prior SD of the cohort-only estimates: so wide that patients decide, yet finite for a level all
# of whose patients failed.
WIDE = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a cohort on its own sees a factor, in multiples of the published effect.

    1 is as published, 0 no effect, below 0 the other way round; None where nothing is published.
    """

    multiple: float | None
    low: float | None
    high: float | None

    @property
    def verdict(self) -> Agreement:
        """Agrees when surely above 0, disagrees when surely below, else not established."""
        if self.low is not None and self.low > 0:
            return "agrees"
        if self.high is not None and self.high < 0:
            return "disagrees"
        return "not established"

    def sentence(self, said: Words) -> str:
        """The verdict in the surgeon's words; empty where it is not established."""
        return "" if self.verdict == "not established" else said(f"record.{self.verdict}")


@dataclass(frozen=True)
class CohortFacts:
    """The cohort behind a model: (F,) arrays follow the registry's factors.

    `risk_quantiles` are the 0th to 100th percentile of its patients' risks; `counts` the patients
    at each level, empty for numbers, and 0 also where there were fewer than FEW; `seen_low` and
    `seen_high` the range of a number without its FEW - 1 lowest and highest values, empty where
    fewer were recorded.
    """

    trained_on: TrainedOn
    patients: int
    events: int
    cohort_risk: float
    risk_quantiles: FloatArray
    seen_low: FloatArray
    seen_high: FloatArray
    counts: tuple[tuple[int, ...], ...]
    agreement: tuple[Verdict, ...]
    cautions: tuple[Caution, ...]

    def centile(self, risk: FloatArray) -> FloatArray:
        """The share of the cohort's patients at lower risk, 0 to 100."""
        return np.interp(risk, self.risk_quantiles, self._centiles)

    @cached_property
    def _centiles(self) -> FloatArray:
        return np.linspace(0, 100, len(self.risk_quantiles))

    def unseen(self, codes: FloatArray) -> npt.NDArray[np.bool_]:
        """Which values of patients (n, F) the cohort had none, or hardly any, of."""
        outside = (codes < self.seen_low) | (codes > self.seen_high)
        levelled = self._has_rare & ~np.isnan(codes)
        levels = np.where(levelled, codes, 0.0).astype(np.intp)
        outside |= self._rare[np.arange(codes.shape[1]), levels] & levelled
        return np.asarray(outside)

    @cached_property
    def _has_rare(self) -> npt.NDArray[np.bool_]:
        """Which factors have such levels, (F,)."""
        return np.asarray(self._rare.any(axis=1))

    @cached_property
    def _rare(self) -> npt.NDArray[np.bool_]:
        """Which levels the cohort had hardly any patients of, (F, most levels)."""
        rare = np.zeros((len(self.counts), max(map(len, self.counts), default=0) + 1), dtype=bool)
        for index, seen in enumerate(self.counts):
            rare[index, : len(seen)] = np.array(seen) < FEW
        return rare

    def in_language(self, said: Words) -> CohortFacts:
        """The same facts, with the cautions in another language where it has them."""
        cautions = tuple(
            replace(caution, message=said(f"caution.{caution.code}", events=self.events))
            if f"caution.{caution.code}" in words(BASE).strings
            else caution
            for caution in self.cautions
        )
        return replace(self, cautions=cautions)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the model folder."""
        return {
            "trained_on": self.trained_on,
            "patients": self.patients,
            "events": self.events,
            "cohort_risk": self.cohort_risk,
            "risk_quantiles": self.risk_quantiles.tolist(),
            "seen_low": self.seen_low.tolist(),
            "seen_high": self.seen_high.tolist(),
            "counts": [list(seen) for seen in self.counts],
            "agreement": [[a.multiple, a.low, a.high] for a in self.agreement],
            "cautions": [[c.code, c.message, list(c.factors)] for c in self.cautions],
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> CohortFacts:
        """Read back what `to_dict` wrote."""
        return cls(
            trained_on=told["trained_on"],
            patients=told["patients"],
            events=told["events"],
            cohort_risk=told["cohort_risk"],
            risk_quantiles=np.array(told["risk_quantiles"]),
            seen_low=np.array(told["seen_low"]),
            seen_high=np.array(told["seen_high"]),
            counts=tuple(tuple(seen) for seen in told["counts"]),
            agreement=tuple(Verdict(*parts) for parts in told["agreement"]),
            cautions=tuple(Caution(c, m, tuple(f)) for c, m, f in told["cautions"]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What values a piece of a cohort had; pieces add up.

    Attributes:
        patients: how many.
        events: those of them with the outcome.
        lowest: the FEW lowest values of each number in order, (F, FEW); inf where there are fewer.
        highest: the FEW highest, likewise; -inf where there are fewer.
        levels: how many had each level, (F, most levels); 0 for a number.
    """

    patients: int
    events: int
    lowest: FloatArray
    highest: FloatArray
    levels: npt.NDArray[np.int64]

    @classmethod
    def of(cls, registry: Registry, codes: FloatArray, y: FloatArray) -> Seen:
        """Of patients (n, F), NaN unknown, and their outcomes (n,)."""
        size = len(registry.factors)
        most = max((len(factor.levels) for factor in registry.factors), default=0)
        ends = np.full((2, size, FEW), np.inf)
        levels = np.zeros((size, most), dtype=np.int64)
        for at, factor in enumerate(registry.factors):
            known = codes[~np.isnan(codes[:, at]), at]
            if factor.is_numeric:
                ends[:, at] = _lowest(known), _lowest(-known)
            else:
                levels[at] = np.bincount(known.astype(np.intp), minlength=most)
        return cls(len(y), int(y.sum()), ends[0], -ends[1], levels)

    def __add__(self, other: Seen) -> Seen:
        """Of two pieces together."""
        return Seen(
            self.patients + other.patients,
            self.events + other.events,
            np.sort(np.hstack([self.lowest, other.lowest]), axis=1)[:, :FEW],
            -np.sort(-np.hstack([self.highest, other.highest]), axis=1)[:, :FEW],
            self.levels + other.levels,
        )

    def range(self, at: int, factor: Factor) -> tuple[float, float]:
        """Where a number's values lie without the most extreme; levels have their whole range."""
        low, high = factor.bounds
        if not factor.is_numeric:
            return low, high
        # Fewer than FEW were recorded: an empty range.
        few = np.isinf(self.lowest[at, -1])
        return (high, low) if few else (float(self.lowest[at, -1]), float(self.highest[at, -1]))

    def counts(self, at: int, factor: Factor) -> tuple[int, ...]:
        """How many patients had each level; nothing for a number."""
        own = self.levels[at, : len(factor.levels)]
        return () if factor.is_numeric else tuple(int(n) if n >= FEW else 0 for n in own)


def _lowest(values: FloatArray) -> FloatArray:
    """The FEW lowest values in order, filled up with infinity."""
    few = np.partition(values, FEW - 1)[:FEW] if len(values) > FEW else values
    return np.concatenate([np.sort(few), np.full(FEW - len(few), np.inf)])


def gather(
    registry: Registry,
    encoding: Encoding,
    codes: FloatArray,
    columns: FloatArray,
    y: FloatArray,
    risk: FloatArray,
    trained_on: TrainedOn,
) -> CohortFacts:
    """The facts of a cohort: codes (n, F), completed columns (n, K), outcomes and risks (n,)."""
    design = with_intercept(columns)
    agreement = agreements(encoding, lambda theta: posterior.sums(design, y, theta))
    return facts_of(registry, Seen.of(registry, codes, y), agreement, risk, trained_on)


def facts_of(
    registry: Registry,
    seen: Seen,
    agreement: tuple[Verdict, ...],
    risk: FloatArray,
    trained_on: TrainedOn,
) -> CohortFacts:
    """The facts of a cohort from what adds up over its pieces, and some patients' risks (m,)."""
    factors = list(enumerate(registry.factors))
    ranges = np.array([seen.range(at, factor) for at, factor in factors])
    return CohortFacts(
        trained_on=trained_on,
        patients=seen.patients,
        events=seen.events,
        cohort_risk=seen.events / seen.patients,
        risk_quantiles=np.quantile(risk, np.linspace(0, 1, 101)),
        seen_low=ranges[:, 0],
        seen_high=ranges[:, 1],
        counts=tuple(seen.counts(at, factor) for at, factor in factors),
        agreement=agreement,
        cautions=tuple(standing_cautions(trained_on, seen.events)),
    )


def standing_cautions(trained_on: TrainedOn, events: int) -> Iterator[Caution]:
    """What has to be said of every answer of a model, whoever the patient is."""
    said = words(BASE)
    code = "not_validated" if trained_on == "patients" else trained_on
    yield Caution(code, said(f"caution.{code}"))
    if trained_on != "literature" and events < SETTLED:
        yield Caution("few_events", said("caution.few_events", events=events))


def agreements(encoding: Encoding, pieces: Pieces) -> tuple[Verdict, ...]:
    """Each factor's effect in this cohort alone, as a multiple of what is published.

    A logistic fit without the literature and without directions gives coefficients b with
    covariance V. Along a factor's published log-odds ratios d the generalised least-squares
    multiple is d.P.b / d.P.d with P the inverse of V's block, and variance 1 / d.P.d.

    Args:
        encoding: the columns.
        pieces: the cohort's sums at given coefficients, as `posterior.fit` wants them.
    """
    alone = posterior.fit(pieces, _wide(encoding))
    return _verdicts(encoding, alone.beta, alone.curvature)


def agreements_near(encoding: Encoding, fit: Posterior) -> tuple[Verdict, ...]:
    """The same of very many patients, from what they said at a fit that believed the literature.

    One Newton step leads from there to a fit without it; so many patients leave no need of more.
    """
    wide = _wide(encoding)
    precision = np.append(0.0, wide.sd**-2)
    return _verdicts(encoding, fit.towards(wide)[1:], fit.patients.curvature + np.diag(precision))


def _wide(encoding: Encoding) -> Belief:
    size = len(encoding)
    nothing = Belief(np.zeros(size), np.full(size, WIDE), np.zeros(size), np.zeros(size))
    return nothing.without_bounds()


def _verdicts(encoding: Encoding, beta: FloatArray, curvature: FloatArray) -> tuple[Verdict, ...]:
    covariance: FloatArray = np.asarray(np.linalg.inv(curvature)[1:, 1:], dtype=float)
    return tuple(
        _verdict(encoding.published[part], beta[part], covariance[part, part])
        for part in encoding.slices
    )


def _verdict(published: FloatArray, found: FloatArray, covariance: FloatArray) -> Verdict:
    if not np.any(published):
        return Verdict(None, None, None)
    weights = np.linalg.solve(covariance, published)
    information = float(weights @ published)
    multiple = float(weights @ found) / information
    reach = Z95 / np.sqrt(information)
    return Verdict(multiple, multiple - reach, multiple + reach)
