"""Values in bins: what the population counts, and how often the registry says each bin occurs.

Every factor's values lie on a grid of recorded values (levels; numbers at their precision). A bin
holds one recorded value, or `width` neighbouring ones where a number takes many; the outer bins
take the tails as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spinecast.knowledge.factors import Factor, Marginal, Registry

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ONE_BIN_EACH = 60  # numbers with no more recorded values than this get a bin per value
BINS = 40  # about as many bins for the others
TAIL_SD = 3.0  # the binned range of a number ends this many SD from the outermost stratum mean
NOT_KNOWN = -1  # the bin of an unknown value


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of every factor, one array entry per factor.

    Bin b of factor f holds the recorded values `first + step * (b * width + j)`, j < width.
    """

    names: tuple[str, ...]
    first: FloatArray
    step: FloatArray
    width: IntArray
    size: IntArray

    @cached_property
    def largest(self) -> int:
        """The number of bins of the factor that has most."""
        return int(self.size.max())

    @cached_property
    def codes(self) -> tuple[FloatArray, ...]:
        """Per factor, the code that stands for each bin, (bins,)."""
        middle = self.first + self.step * (self.width - 1) / 2
        return tuple(
            middle[f] + self.step[f] * self.width[f] * np.arange(size)
            for f, size in enumerate(self.size)
        )

    @cached_property
    def _scale(self) -> tuple[FloatArray, FloatArray, IntArray]:
        return self.first - self.step / 2, 1.0 / (self.step * self.width), self.size - 1

    def of(self, codes: FloatArray) -> IntArray:
        """The bin of every value, (n, F) codes to (n, F) bins; -1 where the value is unknown."""
        start, per_unit, last = self._scale
        place = np.ascontiguousarray(codes) - start
        place *= per_unit
        np.maximum(place, 0.0, out=place)
        np.minimum(place, last, out=place)
        place[np.isnan(place)] = NOT_KNOWN
        return place.astype(np.int64)

    def draw(self, bins: IntArray, rng: np.random.Generator) -> FloatArray:
        """Recorded values drawn uniformly within bins, (n, F) to (n, F); no bin may be unknown."""
        within = (rng.random(bins.shape) * self.width).astype(np.int64)
        codes = self.first + self.step * (bins * self.width + within)
        for f, step in enumerate(self.step):
            codes[:, f] = np.round(codes[:, f], max(0, math.ceil(-math.log10(step) - 1e-9)) + 1)
        return codes

    @classmethod
    def from_registry(cls, registry: Registry) -> Bins:
        """The bins of a registry's factors, in its order."""
        rows = [_grid(factor) for factor in registry.factors]
        first, step, width, size = zip(*rows, strict=True)
        return cls(registry.names, np.array(first), np.array(step), np.array(width), np.array(size))


def _grid(factor: Factor) -> tuple[float, float, int, int]:
    """First recorded value, step, values per bin and number of bins of a factor."""
    if not factor.is_numeric:
        return 0.0, 1.0, 1, len(factor.levels)
    step = factor.precision
    low, high = factor.bounds
    if _steps(high - low, step) + 1 <= ONE_BIN_EACH:
        return low, step, 1, _steps(high - low, step) + 1
    marginals = [factor.population, *factor.population.given.values()]
    told = [(m.mean, m.sd) for m in marginals if m.mean is not None and m.sd is not None]
    bottom = max(low, min((mean - TAIL_SD * sd for mean, sd in told), default=low))
    top = min(high, max((mean + TAIL_SD * sd for mean, sd in told), default=high))
    first = low + step * _steps(bottom - low, step)
    values = _steps(top - first, step) + 1
    width = max(1, math.ceil(values / BINS))
    return first, step, width, max(1, values // width)


def _steps(distance: float, step: float) -> int:
    return math.floor(distance / step + 1e-9)


def registry_shares(registry: Registry, bins: Bins) -> tuple[FloatArray, FloatArray]:
    """How often the registry says each stratum and each bin occurs.

    Returns:
        Weights of the strata (S,), and shares of the bins within each stratum (S, F, B), zero
        beyond a factor's own bins. Within its own strata the stratum factor has one value.
    """
    strata: tuple[str, ...] = ("",)
    weights = np.ones(1)
    if registry.stratum is not None:
        stratum = registry.by_name[registry.stratum]
        strata = stratum.levels
        weights = np.array(stratum.population.shares)
    shares = np.zeros((len(strata), len(bins.names), bins.largest))
    for f, factor in enumerate(registry.factors):
        for s, level in enumerate(strata):
            marginal = factor.population.given.get(level, factor.population)
            shares[s, f, : bins.size[f]] = _marginal_shares(factor, marginal, bins, f)
    if registry.stratum is not None:
        own = registry.names.index(registry.stratum)
        shares[:, own] = np.eye(len(strata), bins.largest)
    return weights / weights.sum(), shares


def _marginal_shares(factor: Factor, marginal: Marginal, bins: Bins, f: int) -> FloatArray:
    """Shares of one factor's bins, (bins,), from listed shares or from mean and SD."""
    if marginal.mean is not None and marginal.sd is not None:
        return shares_with_moments(bins.codes[f], marginal.mean, marginal.sd)
    values = factor.bounds[0] + np.arange(len(marginal.shares))
    place = np.floor((values - bins.first[f] + bins.step[f] / 2) / (bins.step[f] * bins.width[f]))
    shares = np.zeros(int(bins.size[f]))
    np.add.at(shares, np.clip(place, 0, bins.size[f] - 1).astype(int), marginal.shares)
    return np.asarray(shares / shares.sum())


def shares_with_moments(points: FloatArray, mean: float, sd: float) -> FloatArray:
    """A truncated normal over bins that has this mean and this SD, (bins,).

    Cutting a normal at the ends of a range moves its mean; published means are those of patients,
    who are all within the range. So the parent's two parameters are solved for (Newton on the
    convex dual). An SD wider than any truncated normal has gives way: the mean is kept.
    """
    centre, half = (points[0] + points[-1]) / 2, max((points[-1] - points[0]) / 2, 1e-9)
    x = (points - centre) / half
    goal, spread = (mean - centre) / half, sd / half
    features = np.stack([x, -((x - goal) ** 2)])
    start = np.array([0.0, 1 / (2 * spread**2)])
    tilt = _newton(features, np.array([goal, -(spread**2)]), start)
    if tilt is None or tilt[1] < 0:
        tilt = _newton(features[:1], np.array([goal]), np.zeros(1))
    if tilt is None:
        tilt = np.zeros(1)
    return _tilted(features[: len(tilt)], tilt)


def _newton(features: FloatArray, goal: FloatArray, start: FloatArray) -> FloatArray | None:
    """The tilt whose expected features equal the goal, by damped Newton steps; None if none."""
    tilt = start

    def height(tilt: FloatArray) -> float:
        return float(np.logaddexp.reduce(tilt @ features) - tilt @ goal)

    for _ in range(100):
        shares = _tilted(features, tilt)
        gap = features @ shares - goal
        if np.abs(gap).max() < 1e-10:
            return tilt
        away = features - (features @ shares)[:, None]
        curvature = (away * shares) @ away.T + 1e-12 * np.eye(len(goal))
        step = np.linalg.solve(curvature, gap)
        length = 1.0
        while height(tilt - length * step) > height(tilt) and length > 1e-6:
            length /= 2
        tilt = tilt - length * step
    return None


def _tilted(features: FloatArray, tilt: FloatArray) -> FloatArray:
    exponent = tilt @ features
    shares = np.exp(exponent - exponent.max())
    return np.asarray(shares / shares.sum())
