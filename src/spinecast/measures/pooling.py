"""One number over several hospitals, how far they differ, and what to expect of the next one.

A random-effects summary: each site has a true value of its own, drawn from a normal curve about a
common mean. Pool what is roughly normal: the logit of an AUROC, the logarithm of observed /
expected, a calibration slope as it is; `Pooled.shown` turns the answer back.

Source: Riley 2016, doi:10.1136/bmj.i3140; Debray 2017, doi:10.1136/bmj.i6460; scales, Snell 2018,
doi:10.1177/0962280217705678.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import chdtrc, stdtrit

from spinecast.measures.logistic import Vector

GRID = 200
"""Points of the search for the between-site variance; between them it is found exactly."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """A summary over sites, on the scale of the estimates; NaN for what could not be computed.

    Attributes:
        sites: Sites with an estimate and a standard error.
        left_out: Sites without.
        summary: Mean over sites, the better known ones weighing more.
        standard_error: Of the summary, after Hartung and Knapp.
        low: Lower confidence limit of the summary.
        high: Upper confidence limit.
        expected_low: Lower limit of what a new, similar site would have (prediction interval).
        expected_high: Upper limit.
        level: Of both intervals.
        tau2: Variance of the true values between sites.
        i2: Share of the variation between estimates that is no chance, from 0 to 1.
        q: Cochran's statistic of heterogeneity, on sites - 1 degrees of freedom.
        q_p_value: How often chance alone gives as large a `q`; little power with few sites.
    """

    sites: int
    left_out: int
    summary: float
    standard_error: float
    low: float
    high: float
    expected_low: float
    expected_high: float
    level: float
    tau2: float
    i2: float
    q: float
    q_p_value: float

    @property
    def tau(self) -> float:
        """Standard deviation of the true values between sites."""
        return math.sqrt(self.tau2)

    def shown(self, scale: Callable[[float], float]) -> Self:
        """The summary and both intervals on another scale; `scale` must be rising.

        `expit` leads back to an AUROC, `exp` to observed / expected. The standard error has no
        meaning there and is NaN; heterogeneity stays on the scale of pooling.
        """
        return replace(
            self,
            summary=scale(self.summary),
            standard_error=math.nan,
            low=scale(self.low),
            high=scale(self.high),
            expected_low=scale(self.expected_low),
            expected_high=scale(self.expected_high),
        )


def pool(
    estimates: npt.ArrayLike, standard_errors: npt.ArrayLike, *, level: float = 0.95
) -> Pooled:
    """What a measure is over all sites, and what it may be at the next.

    Between-site variance by restricted maximum likelihood. The interval is Hartung and Knapp's,
    never narrower than the usual one would be on Student's t (sites that agree by luck would
    otherwise look certain). The prediction interval too is on sites - 1 degrees of freedom, as in R
    metafor (Higgins takes one fewer). With one site there is its value and nothing else; with two
    or three, intervals are honest and very wide.

    Args:
        estimates: Shape (sites,), on the scale of pooling; NaN where a site has none (left out).
        standard_errors: Shape (sites,), above 0; NaN or infinite where unknown (left out).
        level: Of both intervals, between 0 and 1.

    Raises:
        ValueError: Shapes differ, a standard error is not above 0, or the level is out of range.

    Source: REML, Viechtbauer 2005, doi:10.3102/10769986030003261; interval, Hartung & Knapp 2001,
    doi:10.1002/sim.1009, and Roever 2015, doi:10.1186/s12874-015-0091-1; prediction, Higgins 2009,
    doi:10.1111/j.1467-985X.2008.00552.x; I2, Higgins & Thompson 2002, doi:10.1002/sim.1186.
    """
    values, errors = _checked(estimates, standard_errors, level)
    known = np.isfinite(values) & np.isfinite(errors)
    values, variances = values[known], errors[known] ** 2
    sites, left_out = len(values), int((~known).sum())
    nan = math.nan
    if sites < 2:
        alone = float(values[0]) if sites else nan
        return Pooled(sites, left_out, alone, *(nan,) * 5, level, *(nan,) * 4)
    tau2 = between_sites(values, variances)
    weights = 1 / (variances + tau2)
    summary = float(weights @ values / weights.sum())
    scatter = float(weights @ (values - summary) ** 2) / (sites - 1)
    error = math.sqrt(max(1.0, scatter) / weights.sum())
    reach = float(stdtrit(sites - 1, (1 + level) / 2))
    apart = reach * math.sqrt(tau2 + error**2)
    q, i2 = _heterogeneity(values, variances, tau2)
    return Pooled(
        sites=sites,
        left_out=left_out,
        summary=summary,
        standard_error=error,
        low=summary - reach * error,
        high=summary + reach * error,
        expected_low=summary - apart,
        expected_high=summary + apart,
        level=level,
        tau2=tau2,
        i2=i2,
        q=q,
        q_p_value=float(chdtrc(sites - 1, q)),
    )


def between_sites(values: Vector, variances: Vector) -> float:
    """The variance between sites under which these estimates are most likely (REML); 0 or above.

    Args:
        values: Shape (sites,), at least two, none missing.
        variances: Shape (sites,), squared standard errors, above 0.
    """
    spread = float(np.ptp(values)) ** 2
    if spread == 0:
        return 0.0
    grid = np.concatenate([[0.0], np.geomspace(1e-9, 10, GRID) * spread])
    slopes = [_reml_slope(tau2, values, variances) for tau2 in grid]
    peaks = [
        float(brentq(_reml_slope, grid[i], grid[i + 1], args=(values, variances), xtol=1e-14))
        for i in range(GRID)
        if slopes[i] > 0 >= slopes[i + 1]
    ]
    return max([0.0, *peaks], key=lambda tau2: _reml(tau2, values, variances))


def _reml(tau2: float, values: Vector, variances: Vector) -> float:
    """Twice the restricted log-likelihood, up to a constant."""
    weights = 1 / (variances + tau2)
    apart = values - weights @ values / weights.sum()
    return float(np.log(weights).sum() - math.log(weights.sum()) - weights @ apart**2)


def _reml_slope(tau2: float, values: Vector, variances: Vector) -> float:
    """The slope of `_reml` in the variance between sites."""
    weights = 1 / (variances + tau2)
    apart = values - weights @ values / weights.sum()
    squares = weights**2
    return float(squares @ apart**2 - weights.sum() + squares.sum() / weights.sum())


def _heterogeneity(values: Vector, variances: Vector, tau2: float) -> tuple[float, float]:
    """Cochran's Q, and I2 against the typical variance within sites."""
    weights = 1 / variances
    q = float(weights @ (values - weights @ values / weights.sum()) ** 2)
    rest = weights.sum() - weights @ weights / weights.sum()
    typical = (len(values) - 1) / rest
    return q, float(tau2 / (tau2 + typical))


def _checked(
    estimates: npt.ArrayLike, standard_errors: npt.ArrayLike, level: float
) -> tuple[Vector, Vector]:
    values = np.asarray(estimates, dtype=np.float64)
    errors = np.asarray(standard_errors, dtype=np.float64)
    if values.ndim != 1 or values.shape != errors.shape:
        raise ValueError(
            f"estimates have shape {values.shape}, standard errors {errors.shape}; one per site."
        )
    if (errors <= 0).any():
        raise ValueError("A standard error is not above 0; give NaN where it is unknown.")
    if not 0 < level < 1:
        raise ValueError(f"level == {level}, must be between 0 and 1.")
    return values, errors
