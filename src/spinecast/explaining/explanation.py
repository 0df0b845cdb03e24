"""Why: a patient's risk against the reference patient, factor by factor, and how far to rely on it.

`Scores` are the numbers of many patients in columns; an `Assessment` is one patient's record, the
same for page, JSON, text and printed sheet. Contributions are Shapley values against one reference
patient (linear part and trees alike), so they add up exactly:

- on the log-odds scale to margin - reference margin;
- on the risk scale to risk - reference risk, each contribution times the slope of the secant
  between the two (the Aumann-Shapley share of a function of a sum; Billera & Heath 1982,
  Math Oper Res 7:32, doi 10.1287/moor.7.1.32).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtri

from spinecast.distribution.guesses import padded
from spinecast.explaining.assessment import (
    Action,
    Agreement,
    Assessment,
    Contribution,
    Interval,
    ModelIdentity,
    UnknownFactor,
)
from spinecast.explaining.cautions import Doubts, cautions, doubts
from spinecast.explaining.facts import CohortFacts
from spinecast.explaining.sentences import Sentences
from spinecast.knowledge.evidence import Modifiable
from spinecast.knowledge.factors import Factor
from spinecast.modelling.calibration import secant
from spinecast.modelling.model import Model
from spinecast.modelling.preparation import Rows

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A value counts as possible for an unknown factor between these quantiles of what is expected.
POSSIBLE = (0.05, 0.95)
# Contributions that differ by less are equal: the rest is rounding, and changes with the batch.
DIGITS = 12


@dataclass(frozen=True, slots=True)
class Scores:
    """Many patients' numbers, in columns: (n,) or (n, F)."""

    rows: Rows
    margin: FloatArray
    risk: FloatArray
    low: FloatArray
    high: FloatArray
    centile: FloatArray
    log_odds: FloatArray
    literature: FloatArray
    risk_points: FloatArray
    doubts: Doubts

    def __len__(self) -> int:
        """How many patients."""
        return len(self.risk)


@dataclass(frozen=True)
class Explainer:
    """A model and what its cohort was like, ready to explain patients."""

    model: Model
    facts: CohortFacts
    identity: ModelIdentity

    @cached_property
    def reference_risk(self) -> float:
        """Risk of the reference patient."""
        return float(expit(self.model.reference_margin))

    def score(
        self, codes: FloatArray, *, intervals: bool = True, unchecked: BoolArray | None = None
    ) -> Scores:
        """Risk, interval and contributions of rows of codes (n, F), NaN for unknown.

        Without `intervals` their ends are NaN. `unchecked` (n, E) marks the questions of scope that
        nobody answered; None where nobody was asked.
        """
        model = self.model
        rows, unusual = model.preparation.read(codes)
        reading = model.read(rows, spread=intervals)
        margin = reading.margin
        reach = float(ndtri(0.5 + 0.5 * model.level)) * reading.spread
        risk = expit(margin)
        slope = secant(margin, model.reference_margin)
        return Scores(
            rows=rows,
            margin=margin,
            risk=risk,
            low=expit(margin - reach),
            high=expit(margin + reach),
            centile=self.facts.centile(risk),
            log_odds=reading.log_odds,
            literature=reading.literature,
            risk_points=reading.log_odds * slope[:, None],
            doubts=doubts(self.facts, unusual, codes, unchecked),
        )

    def explain(self, scores: Scores, row: int) -> Assessment:
        """The record of one patient among the scored."""
        return Assessment(
            status="scored",
            reasons=(),
            risk=float(scores.risk[row]),
            interval=Interval(
                float(scores.low[row]),
                float(scores.high[row]),
                self.model.level,
                self._method,
            ),
            reference_risk=self.reference_risk,
            cohort_risk=self.facts.cohort_risk,
            centile=float(scores.centile[row]),
            margin=float(scores.margin[row]),
            reference_margin=self.model.reference_margin,
            contributions=tuple(self._contributions(scores, row)),
            unknown=tuple(self._unknown(scores, row)),
            cautions=(*self.facts.cautions, *cautions(self.model.registry, scores.doubts, row)),
            actions=tuple(self._actions(scores, row)),
            model=self.identity,
            language=self.model.registry.language,
        )

    @cached_property
    def _sentences(self) -> Sentences:
        return Sentences(self.model.registry, self.facts.agreement)

    @cached_property
    def _method(self) -> str:
        return self._sentences.said("record.method", refits=len(self.model.refits))

    def _contributions(self, scores: Scores, row: int) -> Iterator[Contribution]:
        """Every factor, the largest first; ties in the registry's order."""
        # Python's own numbers: taken one by one out of an array, they cost as much as all the rest.
        codes, points = scores.rows.given[row].tolist(), scores.risk_points[row].tolist()
        log_odds, literature = scores.log_odds[row].tolist(), scores.literature[row].tolist()
        for index in _largest_first(np.abs(scores.log_odds[row])).tolist():
            factor = self.model.registry.factors[index]
            yield Contribution(
                factor=factor.name,
                label=factor.label,
                value=factor.value_of(codes[index]),
                log_odds=log_odds[index],
                risk_points=points[index],
                from_literature=literature[index],
                from_cohort=log_odds[index] - literature[index],
                agreement=self._agreement[index],
                mechanisms=self._sentences.phrases[index],
                sentence=self._sentences.of(index, codes[index], points[index]),
                sources=self._sources[index],
            )

    @cached_property
    def _agreement(self) -> tuple[Agreement, ...]:
        return tuple(told.verdict for told in self.facts.agreement)

    @cached_property
    def _sources(self) -> tuple[tuple[str, ...], ...]:
        """The studies behind each factor, once each, in the order of its effects."""
        return tuple(
            tuple(dict.fromkeys(effect.source for effect in factor.effects if effect.source))
            for factor in self.model.registry.factors
        )

    # --- what is unknown ---------------------------------------------------------------------

    def _unknown(self, scores: Scores, row: int) -> Iterator[UnknownFactor]:
        """What is not known, in order of how far the answer could move if it were.

        For each factor the risk at the least and most risky value it may plausibly have, everything
        else as it is.
        """
        factors = np.flatnonzero(scores.doubts.unknown[row])
        if not len(factors):
            return
        chances = scores.rows.guesses.of_row(row)[factors]
        possible = _possible(chances)
        risks = self._risks_if(scores, row, factors, chances, possible)
        lows = np.where(possible, risks, np.inf).min(axis=1)
        highs = np.where(possible, risks, -np.inf).max(axis=1)
        averages = (chances * self._values[factors]).sum(axis=1).tolist()
        likeliest = chances.argmax(axis=1)
        best, share = self._values[factors, likeliest].tolist(), chances.max(axis=1).tolist()
        order = _largest_first(highs - lows).tolist()
        names, low, high = self.model.registry.names, lows.tolist(), highs.tolist()
        for at, index in zip(order, factors[order].tolist(), strict=True):
            assumed = self._sentences.assumed(index, best[at], share[at], averages[at])
            yield UnknownFactor(names[index], assumed, low[at], high[at])

    @cached_property
    def _values(self) -> FloatArray:
        """The code of every bin of every factor, (F, most bins); 0 beyond its last."""
        return padded(self.model.population.bins.codes)[:, :, 0]

    @cached_property
    def _effects(self) -> FloatArray:
        """The linear log-odds of every bin of every factor, in the same form."""
        factors = range(len(self.model.registry.factors))
        return padded([self.model.effects(index) for index in factors])[:, :, 0]

    def _risks_if(
        self,
        scores: Scores,
        row: int,
        factors: npt.NDArray[np.intp],
        chances: FloatArray,
        possible: npt.NDArray[np.bool_],
    ) -> FloatArray:
        """The risk at every value of every unknown factor, (U, most bins), where it is possible."""
        model = self.model
        effects = self._effects[factors]
        margins = scores.margin[row] + effects - (chances * effects).sum(axis=1, keepdims=True)
        if len(model.trees):
            own = scores.rows.codes[row : row + 1]
            unknown, bins = np.nonzero(possible)
            changed = np.repeat(own, len(bins) + 1, axis=0)
            owner = factors[unknown]
            changed[np.arange(len(bins)), owner] = self._values[owner, bins]
            trees = model.trees.margin(changed)
            margins[unknown, bins] += trees[:-1] - trees[-1]
        return np.asarray(expit(margins))

    # --- what can be done --------------------------------------------------------------------

    def _actions(self, scores: Scores, row: int) -> Iterator[Action]:
        """What can be done before surgery about the factors this patient has."""
        codes = scores.rows.given[row].tolist()
        order = _largest_first(scores.log_odds[row, self._modifiable])
        for index in self._modifiable[order].tolist():
            factor, code = self.model.registry.factors[index], codes[index]
            if not math.isnan(code) and _applies(factor, factor.modifiable, code):
                parts = (factor.modifiable.action, factor.modifiable.evidence)
                yield Action(
                    factor.name,
                    " ".join(part for part in parts if part),
                    factor.modifiable.sources,
                )

    @cached_property
    def _modifiable(self) -> npt.NDArray[np.intp]:
        """The factors something can be done about."""
        can_be = [factor.modifiable.is_possible for factor in self.model.registry.factors]
        return np.flatnonzero(can_be)


def _largest_first(sizes: FloatArray) -> npt.NDArray[np.intp]:
    """The places of the sizes, the largest first; equal ones as they stand."""
    return np.argsort(-np.round(sizes, DIGITS), kind="stable")


def _possible(chances: FloatArray) -> npt.NDArray[np.bool_]:
    """Which values the unknown factors may plausibly have, (U, most bins)."""
    upto = np.cumsum(chances, axis=1)
    central = (upto > POSSIBLE[0]) & (upto - chances < POSSIBLE[1])
    return np.asarray(central | (chances >= POSSIBLE[0]))


def _applies(factor: Factor, modifiable: Modifiable, code: float) -> bool:
    """Whether what can be done about a factor is for this value of it."""
    if modifiable.above is not None:
        return code > modifiable.above
    if modifiable.applies_to:
        return str(factor.value_of(code)) in modifiable.applies_to
    return code != factor.reference_code
