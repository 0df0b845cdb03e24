"""What the population learns from a cohort: sums that add up over its pieces, and no patient's row.

First pass: how many patients fall into each bin. Second pass, with the marginals that follow:
products of normal scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinecast.distribution.bins import FloatArray, IntArray
from spinecast.distribution.normal_scores import NormalScores

PRIOR_PATIENTS = 50.0  # the registry counts as much as this many patients
STRATUM_PATIENTS = 100.0  # what the whole cohort says, against a stratum's own counts
LEAST_SHARE = 1e-9  # of a bin no one was expected in, so that one who is breaks nothing
LEAST_EIGENVALUE = 0.02  # of the correlation matrix
LARGEST_CORRELATION = 0.95
DEGREES = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How many patients of a piece of a cohort fall into each bin, (S + 1, F, B).

    The last stratum holds the patients whose stratum is unknown.
    """

    patients: int
    table: FloatArray

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.patients + other.patients, self.table + other.table)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a piece of a cohort says about correlations, over patients with both factors known.

    `products` (F, F): sums of products of scores. `weights` (4, F, F): what multiplies the powers
    of the correlation in their expectation (see `correlation_from`).
    """

    products: FloatArray
    weights: FloatArray

    def __add__(self, other: Scores) -> Scores:
        return Scores(self.products + other.products, self.weights + other.weights)


def count(bins: IntArray, strata: IntArray, strata_count: int, largest: int) -> Counts:
    """The counts of a piece: bins (n, F), -1 unknown; strata (n,), `strata_count` where unknown."""
    table = np.zeros((strata_count + 1, bins.shape[1], largest))
    for f in range(bins.shape[1]):
        known = bins[:, f] >= 0
        place = strata[known] * largest + bins[known, f]
        table[:, f] = np.bincount(place, minlength=table[:, f].size).reshape(-1, largest)
    return Counts(len(bins), table)


def score(bins: IntArray, strata: IntArray, normal: NormalScores) -> Scores:
    """The products of a piece; patients whose stratum is unknown have no scores."""
    columns = np.arange(bins.shape[1])
    expansion = np.stack(
        [(normal.scores * normal.hermite(m) * normal.shares).sum(axis=2) for m in DEGREES]
    )
    products = np.zeros((len(columns), len(columns)))
    weights = np.zeros((len(DEGREES), len(columns), len(columns)))
    for s in range(len(normal.shares)):
        here = bins[strata == s]
        known = (here >= 0).astype(float)
        z = known * normal.scores[s, columns, here]
        products += z.T @ z
        weights += (known.T @ known) * expansion[:, s, :, None] * expansion[:, s, None, :]
    return Scores(products, weights)


def updated_weights(weights: FloatArray, counts: FloatArray) -> FloatArray:
    """Shares of the strata, (S,), after some patients."""
    return _updated(weights, counts, PRIOR_PATIENTS)


def updated_shares(shares: FloatArray, weights: FloatArray, table: FloatArray) -> FloatArray:
    """Shares of the bins within strata, (S, F, B), after the counts of a whole cohort.

    A stratum's counts are shrunk to its own former shares, tilted the way the whole cohort differs
    from what a cohort of these strata (`weights`) was expected to look like.
    """
    before = np.einsum("s,sfb->fb", weights, shares)
    after = _updated(before, table.sum(axis=0), PRIOR_PATIENTS)
    tilted = shares * np.divide(after, before, out=np.ones_like(after), where=before > 0)
    tilted /= tilted.sum(axis=2, keepdims=True)
    return _updated(tilted, table[: len(shares)], STRATUM_PATIENTS)


def _updated(shares: FloatArray, counts: FloatArray, worth: float) -> FloatArray:
    """Shares that counted as `worth` patients, after some more; bins along the last axis."""
    return np.asarray((worth * shares + counts) / (worth + counts.sum(axis=-1, keepdims=True)))


def floored(shares: FloatArray, size: IntArray) -> FloatArray:
    """Shares with every bin of every factor possible, (S, F, B)."""
    own = np.arange(shares.shape[2]) < size[:, None]
    possible = np.where(own, np.maximum(shares, LEAST_SHARE), 0.0)
    return np.asarray(possible / possible.sum(axis=2, keepdims=True))


def correlation_from(former: FloatArray, scores: Scores) -> FloatArray:
    """The correlation of the normal scores, (F, F), after the scores of a whole cohort.

    The expected product of two mean scores is a series in the correlation r of the scores behind
    them (Mehler): the sum over m of r^m / m! times a product of Hermite means. Its first term alone
    would exaggerate the correlation of two rare answers by half. Solved for r pair by pair, by
    halving, with the former r worth `PRIOR_PATIENTS` patients whose scores are fully seen.
    """
    high = np.full_like(former, LARGEST_CORRELATION)
    low = -high
    first, second, third, fourth = scores.weights
    for _ in range(50):
        r = (low + high) / 2
        expected = r * (first + r / 2 * (second + r / 3 * (third + r / 4 * fourth)))
        above = expected - scores.products + PRIOR_PATIENTS * (r - former) > 0
        low, high = np.where(above, low, r), np.where(above, r, high)
    correlation = (low + high) / 2
    np.fill_diagonal(correlation, 1.0)
    return positive_definite(correlation)


def positive_definite(correlation: FloatArray) -> FloatArray:
    """A usable correlation matrix near this one: eigenvalues floored, unit diagonal."""
    values, vectors = np.linalg.eigh(correlation)
    if values[0] >= LEAST_EIGENVALUE:
        return correlation
    raised = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(raised))
    return np.asarray(raised / np.outer(scale, scale))
