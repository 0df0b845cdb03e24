"""What the registry says a factor looks like among candidates for surgery, to set a cohort beside.

Distributions differ by lesion (the registry's stratum), so what is published is mixed in the
proportions of the cohort: a hospital that only operates on hernias is compared with hernias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.distribution.bins import Bins, registry_shares
from spinecast.knowledge.factors import Factor, Registry
from spinecast.logic import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """The distribution of one factor.

    Attributes:
        factor: which one.
        points: codes, rising; of a number the middles of its bins, (b,).
        shares: how often each occurs, adding up to 1, (b,).
    """

    factor: Factor
    points: FloatArray
    shares: FloatArray

    @property
    def mean(self) -> float:
        """Mean code."""
        return float(self.points @ self.shares)

    @property
    def sd(self) -> float:
        """Standard deviation of the codes."""
        return float(np.sqrt(((self.points - self.mean) ** 2) @ self.shares))

    @property
    def is_binned(self) -> bool:
        """Whether a point stands for several recorded values."""
        return len(self.points) > 1 and self.points[1] - self.points[0] > self.factor.precision

    def quantile(self, level: float) -> float:
        """The lowest point with at least this share at or below it."""
        place = np.searchsorted(np.cumsum(self.shares) + 1e-9, level)
        return float(self.points[min(int(place), len(self.points) - 1)])

    def share(self, code: float) -> float:
        """How often the point nearest to a code occurs."""
        return float(self.shares[np.abs(self.points - code).argmin()])

    def above(self, code: float) -> float:
        """The share of points above a code."""
        return float(self.shares[self.points > code].sum())

    def below(self, code: float) -> float:
        """The share of points below a code."""
        return float(self.shares[self.points < code].sum())


def published(registry: Registry, codes: FloatArray) -> tuple[Published, ...]:
    """Every factor as published, in the registry's order, for patients with this mix of lesions.

    Args:
        registry: whose distributions.
        codes: of the patients, (n, F), NaN unknown; only the stratum's column is read.
    """
    bins = Bins.from_registry(registry)
    weights, shares = registry_shares(registry, bins)
    if registry.stratum is not None:
        weights = _mix(codes[:, registry.names.index(registry.stratum)], weights)
    mixed = np.tensordot(weights, shares, axes=1)
    if registry.stratum is not None:
        # The mix itself is compared with the mix that is published, else it would be its own judge.
        own = registry.names.index(registry.stratum)
        listed = np.array(registry.factors[own].population.shares)
        mixed[own, : len(listed)] = listed / listed.sum()
    return tuple(
        Published(factor, bins.codes[f], mixed[f, : bins.size[f]])
        for f, factor in enumerate(registry.factors)
    )


def _mix(stratum: FloatArray, weights: FloatArray) -> FloatArray:
    """Share of each stratum among the patients; as published where nobody's is known."""
    known = stratum[~np.isnan(stratum)].astype(np.int64)
    counts: npt.NDArray[np.int64] = np.bincount(known, minlength=len(weights))
    return counts / counts.sum() if counts.sum() else weights
