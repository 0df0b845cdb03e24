"""What a model says of each factor over all its values, and which factors matter most.

Everything is against the reference patient, as the reasons given for one patient are: an effect is
what a patient known to have that value has for a contribution. Intervals here tell how far refits
on other patients would differ, or what the literature makes plausible; neither knows the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.knowledge.factors import Factor
from spinecast.measures.intervals import normal_reach
from spinecast.measures.logistic import Matrix, Vector
from spinecast.measures.resampling import percentile_interval
from spinecast.modelling.model import Model, reference_row

TOP = 10
"""Factors that count as the foremost; a convention."""
PIECE = 20_000
"""Patients whose contributions to all refits are held in memory at once."""
DIGITS = 12
"""Factors whose importances differ by less are equal: the rest is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class FactorEffect:
    """Log-odds of each value of a factor against its reference value; NaN for what is not known.

    Attributes:
        factor: Name in the registry.
        label: What it is called.
        unit: Of a number.
        numeric: Whether the codes are the numbers themselves; else they are levels.
        reference: Code of the reference value, one of `codes`.
        codes: Shape (values,), rising: the levels, or numbers over the range of candidates.
        names: Each value in words.
        log_odds: Shape (values,), the model's linear part.
        low: Lower end of the middle `level` of the refits; likewise `high`.
        with_trees: Log-odds of a patient who differs from the reference in this value alone, trees
            included; `log_odds` where the model has none.
        literature: What is published; NaN where nothing is.
        literature_low: Lower end of what a cohort may plausibly have, by the prior's SD as the
            registry gives it (a recipe may have widened it); likewise `literature_high`.
        level: Of both intervals.
        refits: How many refits.
    """

    factor: str
    label: str
    unit: str
    numeric: bool
    reference: float
    codes: Vector
    names: tuple[str, ...]
    log_odds: Vector
    low: Vector
    high: Vector
    with_trees: Vector
    literature: Vector
    literature_low: Vector
    literature_high: Vector
    level: float
    refits: int

    def to_dict(self) -> dict[str, Any]:
        """A line for each value, in odds ratios; ready for JSON, None for what is not known."""
        columns = {
            "odds_ratio": self.log_odds,
            "low": self.low,
            "high": self.high,
            "with_trees": self.with_trees,
            "literature": self.literature,
            "literature_low": self.literature_low,
            "literature_high": self.literature_high,
        }
        values = [
            {"code": float(code), "value": name}
            | {key: _ratio(float(column[i])) for key, column in columns.items()}
            for i, (code, name) in enumerate(zip(self.codes, self.names, strict=True))
        ]
        named = {"factor": self.factor, "label": self.label, "unit": self.unit}
        numbers = {"reference": self.reference, "level": self.level, "refits": self.refits}
        return {**named, **numbers, "values": values}


@dataclass(frozen=True, slots=True)
class Importance:
    """How much a factor moves the risks of some patients; NaN where there are no refits.

    Attributes:
        factor: Name in the registry.
        label: What it is called.
        rank: 1 for the factor that moves them most.
        value: Mean absolute contribution to the log-odds against the reference patient.
        low: Lower end of the middle `model.level` of the refits; likewise `high`.
        in_top: Share of the refits in which it is among the foremost factors (ten unless told).
        rank_low: Lower end of the middle `model.level` of its ranks over the refits; likewise
            `rank_high`.
        same_sign: Share of the refits in which its mean contribution points the way the model's
            does; NaN also where the model's is 0.
    """

    factor: str
    label: str
    rank: int
    value: float
    low: float
    high: float
    in_top: float
    rank_low: float = math.nan
    rank_high: float = math.nan
    same_sign: float = math.nan


def effects(model: Model) -> tuple[FactorEffect, ...]:
    """Every factor's effect over its values, in the registry's order."""
    return tuple(_effect(model, index) for index in range(len(model.registry.factors)))


def importance(
    model: Model, codes: npt.NDArray[np.float64], *, top: int = TOP
) -> tuple[Importance, ...]:
    """Which factors move these patients' risks most, and whether refits agree on that.

    Args:
        model: With its refits; the shape of the trees is the same in all of them.
        codes: Shape (patients, factors), NaN for unknown (what is expected then counts).
        top: How many factors are the foremost.

    Returns:
        One for each factor, the foremost first, ties in the registry's order; all NaN without
        patients.
    """
    factors = model.registry.factors
    totals = np.zeros((2, 1 + len(model.refits), len(factors)))
    for piece in _pieces(codes):
        totals += _sizes(model, piece)
    sizes, signed = totals / len(codes) if len(codes) else np.full_like(totals, math.nan)
    own, drawn = sizes[0], sizes[1:] if len(codes) else sizes[:0]
    placed = _ranks(drawn)
    ranks = _ranks(own[None])[0]
    found = []
    for f in np.argsort(ranks):
        low, high = percentile_interval(drawn[:, f], model.level)
        rank_low, rank_high = _middle(placed[:, f], model.level)
        found.append(
            Importance(
                factor=factors[f].name,
                label=factors[f].label,
                rank=int(ranks[f]),
                value=float(own[f]),
                low=low,
                high=high,
                in_top=float((placed[:, f] <= top).mean()) if len(drawn) else math.nan,
                rank_low=rank_low,
                rank_high=rank_high,
                same_sign=_same_sign(signed[0, f], signed[1:, f]),
            )
        )
    return tuple(found)


def _middle(ranks: npt.NDArray[np.intp], level: float) -> tuple[float, float]:
    """Between which ranks the middle share of the refits lies; whole ranks, as no other exist."""
    if not len(ranks):
        return math.nan, math.nan
    tails = (1 - level) / 2
    return (
        float(np.quantile(ranks, tails, method="lower")),
        float(np.quantile(ranks, 1 - tails, method="higher")),
    )


def _same_sign(own: float, drawn: Vector) -> float:
    """Share of the refits whose mean contribution points as the model's does."""
    sign = np.sign(np.round(own, DIGITS))
    if not len(drawn) or sign == 0 or math.isnan(own):
        return math.nan
    return float((np.sign(np.round(drawn, DIGITS)) == sign).mean())


def _effect(model: Model, index: int) -> FactorEffect:
    factor, part = model.registry.factors[index], model.encoding.slices[index]
    codes = _values(model, index)
    columns = model.encoding.tabulate(index, codes)
    drawn = columns @ model.refits.beta[:, part].T
    limits = np.array([percentile_interval(draws, model.level) for draws in drawn])
    log_odds = columns @ model.beta[part]
    published, reach = _literature(model, factor, columns, part)
    return FactorEffect(
        factor=factor.name,
        label=factor.label,
        unit=factor.unit,
        numeric=factor.is_numeric,
        reference=factor.reference_code,
        codes=codes,
        names=tuple(factor.in_plain_words(float(code)) for code in codes),
        log_odds=log_odds,
        low=limits[:, 0],
        high=limits[:, 1],
        with_trees=log_odds + _of_trees(model, index, codes),
        literature=published,
        literature_low=published - reach,
        literature_high=published + reach,
        level=model.level,
        refits=len(model.refits),
    )


def _values(model: Model, index: int) -> Vector:
    """Where an effect is told: levels; a number's bins, its bends and its reference."""
    factor = model.registry.factors[index]
    values = model.population.bins.codes[index]
    if not factor.is_numeric:
        return values
    columns = model.encoding.columns[model.encoding.slices[index]]
    bends = np.array([knot for column in columns for knot in (column.at, column.upto)])
    within = bends[(bends > values[0]) & (bends < values[-1])]
    return np.unique(np.round(np.concatenate([values, within, [factor.reference_code]]), 9))


def _literature(
    model: Model, factor: Factor, columns: Matrix, part: slice
) -> tuple[Vector, Vector]:
    """The published log-odds at each value, and how far from it is plausible."""
    if factor.prior is None:
        unknown = np.full(len(columns), math.nan)
        return unknown, unknown
    spread = np.sqrt(columns**2 @ model.encoding.prior_sd[part] ** 2)
    return columns @ model.encoding.published[part], normal_reach(model.level) * spread


def _of_trees(model: Model, index: int, codes: Vector) -> Vector:
    rows = np.tile(reference_row(model.registry), (len(codes), 1))
    rows[:, index] = codes
    return np.asarray(model.trees.contributions(rows).sum(axis=1))


def _pieces(codes: npt.NDArray[np.float64]) -> Iterator[npt.NDArray[np.float64]]:
    for start in range(0, len(codes), PIECE):
        yield codes[start : start + PIECE]


def _sizes(model: Model, codes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over patients of contributions, (2, 1 + refits, factors): their sizes, then as they are.

    The model's own stand first among the refits'.
    """
    rows = model.rows(codes)
    trees = model.trees.contributions(rows.codes)
    beta = np.vstack([model.beta, model.refits.beta])
    shares = np.concatenate([[1.0], model.refits.tree_share])
    sums = []
    for f, part in enumerate(model.encoding.slices):
        added = rows.columns[:, part] @ beta[:, part].T + np.outer(trees[:, f], shares)
        sums.append((np.abs(added).sum(axis=0), added.sum(axis=0)))
    return np.array(sums).transpose(1, 2, 0)


def _ranks(sizes: Matrix) -> npt.NDArray[np.intp]:
    """Places of the factors in each row, 1 for the largest; equal ones as they stand."""
    order = np.argsort(-np.round(sizes, DIGITS), axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable") + 1


def _ratio(log_odds: float) -> float | None:
    return math.exp(log_odds) if math.isfinite(log_odds) else None
