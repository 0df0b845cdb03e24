"""A Gaussian copula over binned factors, within strata: given what is known, what is likely.

Behind every factor stands a normal score that its bins cut into intervals; the scores of a patient
are jointly normal with one correlation matrix R, and the cuts differ by stratum. A bin does not
tell the score, only an interval: the mean score of the bin is the score seen through noise. With v
the variance of those means, y = mean / v is the score plus noise of variance 1/v - 1, uncorrelated
with everything, so y has covariance M = R + diag(1/v - 1) and ordinary conditional means and
variances of y are right for yes/no and for numbers alike. (Taking the mean score for the score
itself makes a patient's many yes/no answers far too informative.) Rows never influence each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from spinecast.distribution.bins import NOT_KNOWN, FloatArray, IntArray
from spinecast.distribution.guesses import Block, Guesses
from spinecast.distribution.normal_scores import LEAST_VARIANCE, NormalScores

BoolArray = npt.NDArray[np.bool_]

LEAST_SHARE = 1e-7  # of a conditional distribution, so that a z score stays finite
ROWS_AT_ONCE = 4096


Alike: TypeAlias = tuple[IntArray, IntArray, FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """Rows of bins (n, F), and per entry what their known factors say of the others.

    A row has one entry, or one per stratum where that is unknown: `strata` and `weight` (m,), the
    `entry`'s row (m,), and mean, variance and what else `Copula._conditional` gives.
    """

    bins: IntArray
    strata: IntArray
    weight: FloatArray
    entry: IntArray
    mean: FloatArray
    variance: FloatArray
    alike: Sequence[Alike]

    @property
    def likeliest(self) -> IntArray:
        """For each row the entry with the largest weight, (n,)."""
        if len(self.entry) == len(self.bins):
            return self.entry
        # By row, then from the largest weight; of equal ones the first.
        order = np.lexsort((-self.weight, self.entry))
        return np.asarray(order[np.nonzero(np.diff(self.entry[order], prepend=-1))[0]])


@dataclass(frozen=True, eq=False)
class Copula:
    """Strata weights (S,), shares of bins (S, F, B), bins per factor (F,), correlation (F, F).

    `stratum` is the column of the factor the strata are the bins of; None for a single stratum.
    That column takes no part in the correlation. Every share of a factor's own bins is above zero.
    """

    weights: FloatArray
    shares: FloatArray
    size: IntArray
    correlation: FloatArray
    stratum: int | None

    @cached_property
    def normal(self) -> NormalScores:
        """The scores behind the bins."""
        return NormalScores(self.shares, self.size, self.stratum)

    @cached_property
    def _seen(self) -> FloatArray:
        """The y of each bin, (S, F, B + 1); index -1 (unknown) lands on a last entry of 0."""
        seen = np.zeros_like(self.normal.cuts)
        seen[:, :, :-1] = self.normal.scores / self.normal.variance[:, :, None]
        return seen

    @cached_property
    def _noise(self) -> FloatArray:
        return np.asarray(1.0 / self.normal.variance - 1.0)

    @cached_property
    def _precision(self) -> FloatArray:
        """Inverse of M in every stratum, (S, F, F)."""
        diagonal = np.zeros((*self._noise.shape, self._noise.shape[1]))
        index = np.arange(self._noise.shape[1])
        diagonal[:, index, index] = self._noise
        return _inverse(self.correlation + diagonal)

    @cached_property
    def _log_shares(self) -> FloatArray:
        logs = np.zeros_like(self.normal.cuts)
        with np.errstate(divide="ignore"):
            logs[:, :, :-1] = np.log(self.shares)
        return logs

    @cached_property
    def _mixture(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log weights, mean scores (0 where unknown) and inverse correlation, for `strata_of`."""
        scores = np.zeros_like(self.normal.cuts)
        scores[:, :, :-1] = self.normal.scores
        with np.errstate(divide="ignore"):
            logs = np.asarray(np.log(self.weights))
        return logs, scores, _inverse(self.correlation)

    @cached_property
    def _columns(self) -> IntArray:
        return np.arange(len(self.size))

    def strata_of(self, bins: IntArray) -> FloatArray:
        """Chance of each stratum given the known factors, (n, F) bins to (n, S).

        Weight times the shares of the known bins times the copula's density at their mean scores
        (its determinant is the same in every stratum).
        """
        log_weights, scores, inverse = self._mixture
        if self.stratum is None:
            return np.ones((len(bins), 1))
        bins = bins.copy()
        bins[:, self.stratum] = NOT_KNOWN
        logs = log_weights + self._log_shares[:, self._columns, bins].sum(axis=2).T
        z = np.swapaxes(scores[:, self._columns, bins], 0, 1)
        pushed = z @ inverse
        square = (pushed * z).sum(axis=2) - (z * z).sum(axis=2)
        for rows, which in _patterns(bins < 0):
            block = inverse[which[:, :, None], which[:, None, :]]
            push = np.take_along_axis(pushed[rows], which[:, None, :], axis=2)
            square[rows] -= ((push @ _inverse(block)) * push).sum(axis=2)
        logs -= square / 2
        chances = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def complete(self, bins: IntArray) -> Guesses:
        """Chances of the bins of every unknown, by column; bins (n, F), -1 unknown."""
        incomplete = np.nonzero((bins < 0).any(axis=1))[0]
        pieces = range(0, len(incomplete), ROWS_AT_ONCE)
        each = (incomplete[start : start + ROWS_AT_ONCE] for start in pieces)
        blocks = (block for rows in each for block in self._guesses(self._given(bins[rows]), rows))
        return Guesses.joined(self.size, blocks)

    def surprise(self, bins: IntArray) -> FloatArray:
        """How far each known value lies from what the patient's other values suggest, (n, F).

        A z score: the normal score of the middle of the value's bin in its distribution given the
        other known factors, within the patient's stratum (the likeliest, when that is unknown).
        NaN where unknown, 0 for the stratum itself.
        """
        pieces = range(0, max(len(bins), 1), ROWS_AT_ONCE)
        return np.concatenate(
            [self._surprise(self._given(bins[i : i + ROWS_AT_ONCE])) for i in pieces]
        )

    def read(self, bins: IntArray) -> tuple[Guesses, FloatArray]:
        """What `complete` and `surprise` say, for little more than the cost of one of them."""
        blocks: list[Block] = []
        surprise = []
        for start in range(0, max(len(bins), 1), ROWS_AT_ONCE):
            given = self._given(bins[start : start + ROWS_AT_ONCE])
            blocks += self._guesses(given, start + np.arange(len(given.bins)))
            surprise.append(self._surprise(given))
        return Guesses.joined(self.size, blocks), np.concatenate(surprise)

    def _given(self, bins: IntArray) -> _Given:
        """Some rows, and the distribution of every score given what is known of its row."""
        strata, weight, entry = self._entries(bins)
        mean, variance, alike = self._conditional(bins[entry], strata)
        return _Given(bins, strata, weight, entry, mean, variance, alike)

    def _guesses(self, given: _Given, rows: IntArray) -> Iterator[Block]:
        """The guesses of some rows, which have these numbers."""
        unknown = given.bins < 0
        factors = np.nonzero(unknown.any(axis=0))[0]
        if not len(factors):
            return
        for some in factors[None] if len(rows) == 1 else factors[:, None]:
            lost = unknown[:, some[0]]
            entries = np.nonzero(lost[given.entry])[0]
            chances = self._chances(given, some, entries)
            if len(given.entry) > len(rows):
                # A row of unknown stratum: the chances within each, by how likely the stratum is.
                first = np.nonzero(np.diff(given.entry[entries], prepend=-1))[0]
                weighted = chances * given.weight[entries, None]
                chances = np.add.reduceat(weighted, first, axis=1)
            yield Block(some, rows[lost], chances)

    def _chances(self, given: _Given, factors: IntArray, entries: IntArray) -> FloatArray:
        """How likely each bin of each factor is in each entry, (g, m, most bins of these)."""
        each, size = factors[:, None], int(self.size[factors].max())
        # The outermost cuts are infinite: nothing is asked of them.
        inner = self.normal.cuts[given.strata[entries], each, 1:size]
        inner -= given.mean[entries, each, None]
        inner /= np.sqrt(given.variance[entries, each, None])
        below = np.zeros((len(factors), len(entries), size + 1))
        below[:, :, -1] = 1.0
        ndtr(inner, out=below[:, :, 1:-1])
        return np.diff(below)

    def _entries(self, bins: IntArray) -> tuple[IntArray, FloatArray, IntArray]:
        """Stratum and weight of every entry, and the row it belongs to."""
        entry = np.arange(len(bins))
        if self.stratum is None:
            return np.zeros_like(entry), np.ones(len(bins)), entry
        strata = bins[:, self.stratum]
        lost = strata < 0
        if not lost.any():
            return strata, np.ones(len(bins)), entry
        count = len(self.weights)
        entry = np.repeat(entry, np.where(lost, count, 1))
        strata, weight = strata[entry], np.ones(len(entry))
        strata[lost[entry]] = np.tile(np.arange(count), lost.sum())
        weight[lost[entry]] = self.strata_of(bins[lost]).ravel()
        return strata, weight, entry

    def _conditional(
        self, bins: IntArray, strata: IntArray
    ) -> tuple[FloatArray, FloatArray, list[Alike]]:
        """Mean y (as seen where known) and variance of the unknown scores, (m, F) each.

        And the covariances they were worked out with.
        """
        mean = self._seen.take(self._places(bins, strata))
        pushed = self._pushed(mean, strata)
        variance = np.ones_like(mean)
        alike = list(self._alike(bins < 0, strata))
        for rows, which, covariance in alike:
            at = rows[:, None]
            mean[at, which] = -(covariance @ pushed[at, which][:, :, None])[:, :, 0]
            spread = np.diagonal(covariance, axis1=1, axis2=2)
            variance[at, which] = spread - self._noise[strata[at], which]
        return mean, variance, alike

    def _places(self, bins: IntArray, strata: IntArray) -> IntArray:
        """Where each bin lies in a table (S, F, B + 1); an unknown one on the last of its row."""
        width = self.normal.cuts.shape[2]
        starts = width * (strata[:, None] * len(self.size) + self._columns)
        return np.asarray(starts + np.where(bins < 0, width - 1, bins))

    def _diagonal(self, given: _Given) -> FloatArray:
        """The diagonal of the precision of each entry's known scores, (m, F), 1 where unknown."""
        strata = given.strata
        diagonal = np.diagonal(self._precision, axis1=1, axis2=2)[strata]
        for rows, which, covariance in given.alike:
            at = rows[:, None]
            side = self._precision[strata[at], which]
            diagonal[rows] -= ((covariance @ side) * side).sum(axis=1)
            diagonal[at, which] = 1.0
        return diagonal

    def _pushed(self, y: FloatArray, strata: IntArray) -> FloatArray:
        """Precision of each row's stratum times y, (m, F)."""
        if len(y) == 1:
            return np.asarray(y @ self._precision[strata[0]])
        pushed = np.empty_like(y)
        for s in range(len(self.weights)):
            rows = strata == s
            pushed[rows] = y[rows] @ self._precision[s]
        return pushed

    def _alike(self, unknown: BoolArray, strata: IntArray) -> Iterator[Alike]:
        """Rows with equally many unknowns, which those are, and the covariance of their y."""
        for rows, which in _patterns(unknown):
            lines = len(self.size) * strata[rows, None] + which
            block = self._precision.take(len(self.size) * lines[:, :, None] + which[:, None, :])
            yield rows, which, _inverse(block)

    def _surprise(self, given: _Given) -> FloatArray:
        bins, likeliest = given.bins, given.likeliest
        strata, y = given.strata[likeliest], given.mean[likeliest]
        diagonal = self._diagonal(given)[likeliest]
        others = y - self._pushed(y, strata) / diagonal
        sd = np.sqrt(np.maximum(1.0 / diagonal - self._noise[strata], LEAST_VARIANCE))
        places = self._places(bins, strata)
        low = ndtr((self.normal.cuts.take(places) - others) / sd)
        high = ndtr((self.normal.cuts.take(places + 1, mode="clip") - others) / sd)
        z = ndtri(np.clip((low + high) / 2, LEAST_SHARE, 1 - LEAST_SHARE))
        z[bins < 0] = np.nan
        return np.asarray(z)

    def draw(self, row: IntArray, count: int, rng: np.random.Generator) -> IntArray:
        """Draws of the unknowns of one row of bins (F,), the known kept; (count, F)."""
        drawn = np.tile(row, (count, 1))
        strata = np.zeros(count, dtype=np.int64)
        if self.stratum is not None:
            chances = np.eye(len(self.weights))[row[self.stratum]]
            if row[self.stratum] < 0:
                chances = self.strata_of(row[None])[0]
            strata = rng.choice(len(chances), size=count, p=chances)
            drawn[:, self.stratum] = strata
        which = np.nonzero(drawn[0] < 0)[0] if count else np.empty(0, dtype=np.int64)
        normal = rng.standard_normal((count, len(which)))
        for s in np.unique(strata) if len(which) else ():
            at = np.nonzero(strata == s)[0]
            scores = self._scores_given(drawn[at[0]], int(s), which, normal[at])
            for i, f in enumerate(which):
                cuts = self.normal.cuts[s, f, 1 : self.size[f]]
                drawn[at, f] = np.searchsorted(cuts, scores[:, i])
        return drawn

    def _scores_given(
        self, row: IntArray, stratum: int, which: IntArray, normal: FloatArray
    ) -> FloatArray:
        """Scores of the unknowns of one row from standard normal numbers, (m, unknowns)."""
        precision = self._precision[stratum]
        covariance = _inverse(precision[np.ix_(which, which)])
        seen = self._seen[stratum, self._columns, row]
        mean = -covariance @ (precision @ seen)[which]
        spread = covariance - np.diag(self._noise[stratum, which])
        return np.asarray(mean + normal @ np.linalg.cholesky(spread).T)


def _patterns(unknown: BoolArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows with equally many unknowns (r,), and which columns those are, (r, unknowns)."""
    counts = unknown.sum(axis=1)
    for count in np.nonzero(np.bincount(counts)[1:])[0] + 1:
        rows = np.nonzero(counts == count)[0]
        yield rows, np.nonzero(unknown[rows])[1].reshape(-1, count)


def _inverse(matrices: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.inv(matrices), dtype=np.float64)
