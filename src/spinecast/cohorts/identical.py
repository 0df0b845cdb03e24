"""Columns that say the same of every patient: one was copied, or mapped, over the other."""

from __future__ import annotations

import numpy as np

from spinecast.logic import FloatArray

FEWEST_KNOWN = 30
"""Patients known in both columns before anything is said; a convention."""
ODD_ONES = 10
"""Patients off the commonest value: two columns in which one answer is rare agree by chance."""
GLANCE = 1000
"""Most pairs of columns differ among so many patients already, and the rest is not looked at."""


def are_identical(one: FloatArray, other: FloatArray) -> bool:
    """Whether two columns (n,), NaN unknown, agree in every patient of whom both are known."""
    if not _agree(one[:GLANCE], other[:GLANCE]) or not _agree(one, other):
        return False
    known = one[~(np.isnan(one) | np.isnan(other))]
    return len(known) >= FEWEST_KNOWN and _odd_ones(known) >= ODD_ONES


def _agree(one: FloatArray, other: FloatArray) -> bool:
    return not ((one != other) & ~(np.isnan(one) | np.isnan(other))).any()


def _odd_ones(known: FloatArray) -> int:
    """How many of some known values, (n,), are not the commonest."""
    return len(known) - int(np.unique(known, return_counts=True)[1].max()) if len(known) else 0
