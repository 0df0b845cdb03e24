"""Normal scores of binned factors: the score behind a value, cut into the intervals of its bins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtri

from spinecast.distribution.bins import FloatArray, IntArray

SCORE_LIMIT = 4.0  # a bin that hardly ever occurs must not drag everything else along
LEAST_VARIANCE = 1e-4  # of a factor that is nearly constant within a stratum


@dataclass(frozen=True, eq=False)
class NormalScores:
    """Shares of bins within strata, (S, F, B), and bins per factor, (F,), as intervals of a score.

    `stratum` is the column whose bins the strata are (None for one stratum); its score says
    nothing. Every share of a factor's own bins is above zero, beyond them zero.
    """

    shares: FloatArray
    size: IntArray
    stratum: int | None

    @cached_property
    def cuts(self) -> FloatArray:
        """Score intervals of the bins, (S, F, B + 1), from -inf to inf; inf beyond the last bin."""
        cuts = np.full((*self.shares.shape[:2], self.shares.shape[2] + 1), np.inf)
        cuts[:, :, 0] = -np.inf
        cuts[:, :, 1:] = ndtri(np.minimum(np.cumsum(self.shares, axis=2), 1.0))
        beyond = np.arange(cuts.shape[2]) >= self.size[:, None]
        cuts[:, beyond] = np.inf
        return cuts

    def hermite(self, degree: int) -> FloatArray:
        """Mean of the Hermite polynomial of the score within each bin, (S, F, B); degree 1 to 4."""
        with np.errstate(invalid="ignore"):
            x = np.where(np.isfinite(self.cuts), self.cuts, 0.0)
            lower = (np.ones_like(x), x, x**2 - 1, x**3 - 3 * x)[degree - 1]
            edge = np.where(np.isfinite(self.cuts), lower * np.exp(-(x**2) / 2), 0.0)
            edge /= np.sqrt(2 * np.pi)
        inside = self.shares > 0
        share = np.where(inside, self.shares, 1.0)
        return np.where(inside, (edge[:, :, :-1] - edge[:, :, 1:]) / share, 0.0)

    @cached_property
    def scores(self) -> FloatArray:
        """Mean score of each bin, (S, F, B); zero for the stratum factor."""
        scores = np.clip(self.hermite(1), -SCORE_LIMIT, SCORE_LIMIT)
        if self.stratum is not None:
            scores[:, self.stratum] = 0.0
        return scores

    @cached_property
    def variance(self) -> FloatArray:
        """Variance of the mean scores, (S, F): 1 for fine bins, less for coarse ones."""
        v: FloatArray = np.clip((self.shares * self.scores**2).sum(axis=2), LEAST_VARIANCE, 1.0)
        if self.stratum is not None:
            v[:, self.stratum] = 1.0
        return v
