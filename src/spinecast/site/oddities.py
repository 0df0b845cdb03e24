"""What in a cohort's answers looks like a slip of coding rather than like patients.

No row is wrong by itself: the mean, or the share of one level, is far from what the registry
expects of candidates. It is said, never acted upon; a hospital may be unusual.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spinecast.knowledge.factors import Factor, Registry

LEAST_KNOWN = 20
SDS_AWAY = 2.0
"""Standard deviations of single patients by which a mean must be off; hospitals differ by less."""
NEARLY_ALL, FEWER_EXPECTED = 0.97, 0.6
"""A level that nearly all have, and of whom the registry expects fewer."""


def oddities(registry: Registry, codes: NDArray[np.float64]) -> Iterator[str]:
    """Sentences about factors that look miscoded.

    Args:
        registry: what candidates are expected to look like.
        codes: one row per patient, one column per factor; NaN unknown.
    """
    for at, factor in enumerate(registry.factors):
        known = codes[:, at][~np.isnan(codes[:, at])]
        if len(known) >= LEAST_KNOWN and factor.is_described:
            yield from _odd_mean(factor, known) if factor.is_numeric else _odd_level(factor, known)


def _odd_mean(factor: Factor, known: NDArray[np.float64]) -> Iterator[str]:
    expected, sd = factor.population.mean, factor.population.sd
    mean = float(known.mean())
    if expected is not None and sd is not None and abs(mean - expected) > SDS_AWAY * sd:
        yield (
            f"{factor.name}: the mean is {mean:.3g}, where {expected:g} (SD {sd:g}) is expected. "
            "Is the unit right, and the column?"
        )


def _odd_level(factor: Factor, known: NDArray[np.float64]) -> Iterator[str]:
    shares = factor.population.shares
    if shares is None or len(shares) != len(factor.levels):
        return
    counts = np.bincount(known.astype(np.int64), minlength=len(factor.levels)) / len(known)
    often = int(counts.argmax())
    if counts[often] >= NEARLY_ALL and shares[often] < FEWER_EXPECTED:
        yield (
            f"{factor.name}: {counts[often]:.0%} are {factor.levels[often]!r}, where "
            f"{shares[often]:.0%} is expected. Are the levels right?"
        )
