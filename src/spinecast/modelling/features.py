"""From codes to columns that remember their factor, and what the literature says of each column.

Every column is zero for the reference patient, so a column's coefficient times its value *is* its
contribution. Three forms are enough:

- "at least": 1 from a level (or count) upwards, for ordered levels and steps. The coefficients of a
  factor add up along its levels, so a declared direction is a sign for each of them.
- "equals": 1 for one level, for levels without an order.
- "between": units between two knots, for numbers: a broken line whose slope may change at one
  standard deviation below the population's mean, at the mean and one above. A declared direction is
  a sign for each slope. The unit is two standard deviations, which puts numbers and yes/no answers
  on one footing (Gelman 2008, Stat Med 27:2865, doi 10.1002/sim.3107).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from spinecast.knowledge.evidence import Evidence
from spinecast.knowledge.factors import Factor, Marginal, Prior, Registry

FloatArray = npt.NDArray[np.float64]
Form = Literal["at least", "equals", "between"]

# Half the width of a 95% interval, in standard errors.
Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the linear part: which factor, which form, and the literature's view of it."""

    factor: int
    name: str
    form: Form
    at: float
    upto: float
    shift: float
    per: float
    published: float
    prior_sd: float
    sign: int


@dataclass(frozen=True)
class Encoding:
    """The columns of a registry, in order, and how rows of codes become them."""

    columns: tuple[Column, ...]
    factors: int

    @classmethod
    def from_registry(cls, registry: Registry) -> Encoding:
        """Derive every column from the registry: forms, scales, prior means and widths, signs."""
        columns = [
            column
            for index, factor in enumerate(registry.factors)
            for column in _columns(index, factor, registry.evidence)
        ]
        return cls(tuple(columns), len(registry.factors))

    def __len__(self) -> int:
        """How many columns, K."""
        return len(self.columns)

    @cached_property
    def owner(self) -> npt.NDArray[np.intp]:
        """The factor each column belongs to, (K,)."""
        return np.array([column.factor for column in self.columns], dtype=np.intp)

    @cached_property
    def published(self) -> FloatArray:
        """The literature's log-odds ratio of each column, (K,)."""
        return np.array([column.published for column in self.columns])

    @cached_property
    def prior_sd(self) -> FloatArray:
        """How far a cohort may plausibly differ from it, (K,)."""
        return np.array([column.prior_sd for column in self.columns])

    @cached_property
    def lower(self) -> FloatArray:
        """Lowest coefficient a declared direction allows, (K,)."""
        return np.array([0.0 if column.sign > 0 else -np.inf for column in self.columns])

    @cached_property
    def upper(self) -> FloatArray:
        """Highest coefficient a declared direction allows, (K,)."""
        return np.array([0.0 if column.sign < 0 else np.inf for column in self.columns])

    @cached_property
    def _at(self) -> FloatArray:
        return np.array([column.at for column in self.columns])

    @cached_property
    def _upto(self) -> FloatArray:
        return np.array([column.upto for column in self.columns])

    @cached_property
    def _shift(self) -> FloatArray:
        return np.array([column.shift for column in self.columns])

    @cached_property
    def _per(self) -> FloatArray:
        return np.array([column.per for column in self.columns])

    @cached_property
    def _of_form(self) -> Mapping[Form, npt.NDArray[np.intp]]:
        forms = np.array([column.form for column in self.columns], dtype=object)
        return {form: np.flatnonzero(forms == form) for form in _FORMS}

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each factor's columns stand; they are neighbours, and every factor has some."""
        ends = np.searchsorted(self.owner, np.arange(self.factors + 1))
        return tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(ends))

    def encode(self, codes: FloatArray) -> FloatArray:
        """Columns of rows of codes, (..., F) to (..., K); NaN where a factor is unknown."""
        values = codes[..., self.owner]
        columns = np.empty_like(values)
        for form, compute in _FORMS.items():
            chosen = self._of_form[form]
            columns[..., chosen] = compute(
                values[..., chosen], self._at[chosen], self._upto[chosen]
            )
        columns -= self._shift
        columns /= self._per
        columns[np.isnan(values)] = np.nan
        return np.asarray(columns)

    def tabulate(self, index: int, codes: FloatArray) -> FloatArray:
        """Columns of one factor at each of its given codes, (m,) to (m, k)."""
        rows = np.zeros((len(codes), self.factors))
        rows[:, index] = codes
        return self.encode(rows)[:, self.slices[index]]


def _at_least(values: FloatArray, at: FloatArray, _: FloatArray) -> FloatArray:
    return np.asarray(values >= at, dtype=float)


def _equals(values: FloatArray, at: FloatArray, _: FloatArray) -> FloatArray:
    return np.asarray(values == at, dtype=float)


def _between(values: FloatArray, at: FloatArray, upto: FloatArray) -> FloatArray:
    return np.asarray(np.clip(values, at, upto))


_FORMS: Mapping[Form, Callable[[FloatArray, FloatArray, FloatArray], FloatArray]] = (
    MappingProxyType({"at least": _at_least, "equals": _equals, "between": _between})
)


def _columns(index: int, factor: Factor, evidence: Evidence) -> Iterator[Column]:
    if factor.is_numeric and not (factor.prior and factor.prior.steps):
        yield from _broken_line(index, factor, evidence)
    elif factor.kind == "nominal":
        yield from _indicators(index, factor, evidence)
    else:
        yield from _staircase(index, factor, evidence)


def _broken_line(index: int, factor: Factor, evidence: Evidence) -> Iterator[Column]:
    """One column for each piece of the line; the published slope is the same on all of them.

    A straight line's prior SD is spread over the pieces so that the change over two standard
    deviations (two pieces) keeps it: each piece has it times the root of two.
    """
    prior = factor.prior or Prior()
    per = 2.0 * spread(factor)
    units = per / prior.per
    start = factor.bounds[0] if prior.knee is None else prior.knee
    knots = [start, *(knot for knot in _knots(factor) if start < knot < factor.bounds[1])]
    for at, upto in zip(knots, [*knots[1:], factor.bounds[1]], strict=True):
        yield Column(
            factor=index,
            name=f"{factor.name}, per {per:.3g} from {at:.3g} to {upto:.3g}",
            form="between",
            at=at,
            upto=upto,
            shift=min(max(factor.reference_code, at), upto),
            per=per,
            published=_log(prior.odds_ratio) * units,
            prior_sd=math.sqrt(2.0) * _width(factor.prior, evidence, units),
            sign=factor.sign,
        )


def _knots(factor: Factor) -> list[float]:
    """Where a line may bend: one SD below the mean, the mean, one SD above, as recorded."""
    moments = [_moments(factor, part) for part in _parts(factor)]
    mean = sum(mean for mean, _ in moments) / len(moments)
    step = factor.precision
    bends = [round((mean + sds * spread(factor)) / step) * step for sds in (-1, 0, 1)]
    return sorted(set(bends))


def _staircase(index: int, factor: Factor, evidence: Evidence) -> Iterator[Column]:
    """One column for each step up the levels; the published value is the step's own share."""
    before = 0.0
    stairs = list(_stairs(factor))
    # A prior's width is that of the largest contrast, which all the steps together make up.
    steps = len(stairs) if factor.prior else 1
    width = _width(factor.prior, evidence) / math.sqrt(steps)
    for name, at, log_odds in stairs:
        yield Column(
            factor=index,
            name=f"{factor.name}, {name}",
            form="at least",
            at=at,
            upto=at,
            shift=float(factor.reference_code >= at),
            per=1.0,
            published=log_odds - before,
            prior_sd=width,
            sign=factor.sign,
        )
        before = log_odds


def _stairs(factor: Factor) -> Iterator[tuple[str, float, float]]:
    """Each step of an ordered factor: its name, its code, its log-odds against the lowest."""
    prior = factor.prior or Prior()
    if prior.steps:
        for step, ratio in prior.steps.items():
            yield f"at least {step}", float(step), _log(ratio)
        return
    lowest = _log(prior.levels.get(factor.levels[0], 1.0))
    for code, level in enumerate(factor.levels[1:], start=1):
        yield f"at least {level}", float(code), _log(prior.levels.get(level, 1.0)) - lowest


def _indicators(index: int, factor: Factor, evidence: Evidence) -> Iterator[Column]:
    """One column for each level other than the reference."""
    for level, code in factor.level_codes.items():
        if level != factor.reference:
            yield Column(
                factor=index,
                name=f"{factor.name}, {level}",
                form="equals",
                at=code,
                upto=code,
                shift=0.0,
                per=1.0,
                published=_log(factor.prior.levels.get(level, 1.0)) if factor.prior else 0.0,
                prior_sd=_width(factor.prior, evidence),
                sign=factor.sign,
            )


def spread(factor: Factor) -> float:
    """Standard deviation of a number among candidates, over all strata together."""
    moments = [_moments(factor, part) for part in _parts(factor)]
    within = sum(variance for _, variance in moments) / len(moments)
    between = float(np.var([mean for mean, _ in moments]))
    return math.sqrt(within + between)


def _parts(factor: Factor) -> list[Marginal]:
    return [factor.population, *factor.population.given.values()]


def _moments(factor: Factor, marginal: Marginal) -> tuple[float, float]:
    if marginal.mean is not None and marginal.sd is not None:
        return marginal.mean, marginal.sd**2
    values = factor.bounds[0] + np.arange(len(marginal.shares))
    shares = np.array(marginal.shares)
    mean = float(shares @ values)
    return mean, float(shares @ (values - mean) ** 2)


def _width(prior: Prior | None, evidence: Evidence, units: float = 1.0) -> float:
    """SD of a column's prior: the studies' own error widened by their disagreement."""
    if prior is None:
        return evidence.no_evidence_sd
    error = evidence.standard_error
    if prior.plausible is not None:
        error = units * math.log(prior.plausible[1] / prior.plausible[0]) / (2 * Z95)
    return math.hypot(error, evidence.heterogeneity)


def _log(ratio: float | None) -> float:
    return math.log(ratio) if ratio else 0.0
