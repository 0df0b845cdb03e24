"""How far an interval that follows a normal curve reaches."""

from __future__ import annotations

from statistics import NormalDist


def normal_reach(level: float) -> float:
    """Standard errors on either side of an estimate: 1.96 for a level of 0.95.

    Args:
        level: Confidence level, between 0 and 1.

    Raises:
        StatisticsError: The level is not between 0 and 1.
    """
    return NormalDist().inv_cdf((1 + level) / 2)
