"""Boosted trees folded into sums of products, so that a score and its reasons are one product.

A shallow tree is a sum over leaves; a leaf is a product of conditions "factor f lies in [low,
high)". Against one reference row, the exact interventional Shapley values of a product are again
sums of such products. So a whole ensemble becomes

    products (n, M) @ weights (M,)      the margin
    products (n, M) @ shares (M, F)     every factor's contribution

This equals `shap.TreeExplainer(..., feature_perturbation="interventional")` against the reference
row; tests and every training run compare the two. Lundberg et al. 2020, Nat Mach Intell 2:56, doi
10.1038/s42256-019-0138-9.

For many rows the same sums are looked up in tables instead (`cells`): the same to 1e-12.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.modelling.cells import Conditions, Tables

FloatArray = npt.NDArray[np.float64]

# From so many rows on, making the tables costs less than they save.
MANY_ROWS = 4096

# A condition on a code: the factor, and the half-open interval [low, high) of 32-bit codes.
Condition = tuple[int, float, float]
Product = tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where a leaf's patients lie, one interval for each factor on its path, and what they get."""

    box: Mapping[int, tuple[float, float]]
    value: float


@dataclass(frozen=True)
class Trees:
    """An ensemble of trees over F factors, folded into M products of C conditions.

    Condition c holds when a patient's code of `factor[c]` lies in [`low[c]`, `high[c]`). `products`
    (M, D) indexes conditions, padded with C for "always true"; `weights` (M,) is what each product
    adds to the margin, `shares` (M, F) what it adds to each factor's contribution.
    """

    factor: npt.NDArray[np.intp]
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    products: npt.NDArray[np.intp]
    weights: FloatArray
    shares: FloatArray

    @classmethod
    def fold(cls, leaves: Sequence[Leaf], reference: FloatArray, scale: float = 1.0) -> Trees:
        """Fold the leaves of an ensemble, every value times `scale`, against a reference row."""
        weights, shares = _weights(leaves), _shares(leaves, reference)
        products = sorted(weights.keys() | shares.keys())
        conditions = sorted({condition for product in products for condition in product})
        place = {condition: i for i, condition in enumerate(conditions)}
        depth = max((len(product) for product in products), default=0)
        padded = np.full((len(products), max(depth, 1)), len(conditions), dtype=np.intp)
        by_factor = np.zeros((len(products), len(reference)))
        for row, product in enumerate(products):
            padded[row, : len(product)] = [place[condition] for condition in product]
            for factor, share in shares.get(product, {}).items():
                by_factor[row, factor] = share
        return cls(
            factor=np.array([factor for factor, _, _ in conditions], dtype=np.intp),
            low=np.array([low for _, low, _ in conditions], dtype=np.float32),
            high=np.array([high for _, _, high in conditions], dtype=np.float32),
            products=padded,
            weights=scale * np.array([weights.get(product, 0.0) for product in products]),
            shares=scale * by_factor,
        )

    def __len__(self) -> int:
        """How many products the trees fold into; 0 means there are no trees."""
        return len(self.products)

    def margin(self, codes: FloatArray) -> FloatArray:
        """What the trees add to the log-odds of rows of known codes, (n, F) to (n,)."""
        if self._in_tables(codes):
            return self.tables.margin(codes)
        return self.hold(codes) @ self.weights

    def contributions(self, codes: FloatArray) -> FloatArray:
        """Each factor's share of that against the reference row, (n, F): exact Shapley values."""
        if self._in_tables(codes):
            return self.tables.contributions(codes)
        return self.hold(codes) @ self.shares

    def _in_tables(self, codes: FloatArray) -> bool:
        return len(self) > 0 and len(codes) >= MANY_ROWS

    @cached_property
    def tables(self) -> Tables:
        """The same sums worked out beforehand, for many rows."""
        conditions = Conditions.of(self.factor, self.low, self.high, self.products)
        return Tables.of(conditions, self.weights, self.shares)

    def hold(self, codes: FloatArray) -> FloatArray:
        """Which products hold for rows of known codes, (n, F) to (n, M), 1.0 or 0.0."""
        values = codes.astype(np.float32)[:, self.factor]
        true = np.ones((len(codes), len(self.factor) + 1), dtype=bool)
        np.logical_and(values >= self.low, values < self.high, out=true[:, :-1])
        held = true[:, self.products[:, 0]]
        for deeper in self.products.T[1:]:
            held &= true[:, deeper]
        return held.astype(np.float64)


def leaves_of(model: Mapping[str, Any]) -> list[Leaf]:
    """Every leaf of an XGBoost model in its JSON form, without the base score."""
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    return [leaf for tree in trees for leaf in _descend(tree, 0, {})]


def _descend(
    tree: Mapping[str, Any], node: int, box: dict[int, tuple[float, float]]
) -> Iterator[Leaf]:
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left == -1:
        yield Leaf(dict(box), tree["split_conditions"][node])
        return
    factor, cut = tree["split_indices"][node], tree["split_conditions"][node]
    low, high = box.get(factor, (-math.inf, math.inf))
    yield from _descend(tree, left, box | {factor: (low, min(high, cut))})
    yield from _descend(tree, right, box | {factor: (max(low, cut), high)})


def _weights(leaves: Sequence[Leaf]) -> dict[Product, float]:
    """The margin as a sum over products: each leaf is one."""
    weights: dict[Product, float] = {}
    for leaf in leaves:
        product = _product(leaf, leaf.box)
        weights[product] = weights.get(product, 0.0) + leaf.value
    return weights


def _shares(leaves: Sequence[Leaf], reference: FloatArray) -> dict[Product, dict[int, float]]:
    """Every factor's contribution as a sum over products of conditions.

    A leaf's Shapley values depend only on which of its conditions the patient meets and which the
    reference meets. For the reference that is known; for the patient it is expanded over subsets
    of conditions (Moebius inversion), leaving products of conditions that are met.
    """
    shares: dict[Product, dict[int, float]] = {}
    known = np.asarray(reference, dtype=np.float32)
    for leaf in leaves:
        factors = tuple(leaf.box)
        kept = tuple(bool(low <= known[f] < high) for f, (low, high) in leaf.box.items())
        for subset, factor, coefficient in _terms(kept):
            product = _product(leaf, [factors[at] for at in subset])
            row = shares.setdefault(product, {})
            share = leaf.value * coefficient
            row[factors[factor]] = row.get(factors[factor], 0.0) + share
    return shares


@cache
def _terms(kept: tuple[bool, ...]) -> tuple[tuple[tuple[int, ...], int, float], ...]:
    """For a leaf of which the reference meets these conditions: each subset of the conditions.

    With every factor it says something of, and how much.
    """
    conditions = range(len(kept))
    found = (
        (
            subset,
            factor,
            sum(
                (-1) ** (len(subset) - len(met)) * _shapley(kept, set(met), factor)
                for met in _subsets(subset)
            ),
        )
        for subset in _subsets(conditions)
        for factor in conditions
    )
    return tuple(term for term in found if abs(term[2]) > 0.0)


def _shapley(kept: tuple[bool, ...], met: set[int], factor: int) -> float:
    """Shapley value of one factor in the game "is the leaf reached?", patient against reference.

    Factors the patient alone meets (p of them) must come in; those the reference alone meets (q)
    must stay out; the value is the chance that this factor decides, in a random order.
    """
    own = [at in met for at in range(len(kept))]
    if not all(a or b for a, b in zip(own, kept, strict=True)) or own[factor] == kept[factor]:
        return 0.0
    p = sum(a and not b for a, b in zip(own, kept, strict=True))
    q = sum(b and not a for a, b in zip(own, kept, strict=True))
    orders = math.factorial(p + q)
    if own[factor]:
        return math.factorial(p - 1) * math.factorial(q) / orders
    return -math.factorial(p) * math.factorial(q - 1) / orders


def _product(leaf: Leaf, factors: Iterator[int] | Sequence[int] | Mapping[int, Any]) -> Product:
    return tuple(sorted((factor, *leaf.box[factor]) for factor in factors))


def _subsets(items: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return itertools.chain.from_iterable(
        itertools.combinations(items, size) for size in range(len(items) + 1)
    )
