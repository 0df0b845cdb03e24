"""Small counts kept back, so that no table that leaves the building points at a patient.

A count of one to four patients is not shown, nor one from which it could be worked out with the
totals. A count of 0 concerns no patient and is shown. How many are unknown says nothing of what a
patient has: small counts of them are not shown either, but nothing else is kept back for their sake
(two patients without a body weight would cost a table half its rows).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FEWEST = 5
"""Patients below whom a count is kept back; a convention, the same as in a model's folder."""

Counts = npt.NDArray[np.int64]
Shown = npt.NDArray[np.bool_]


def may_be_shown(table: npt.ArrayLike, *, unknown_last: bool = False) -> Shown:
    """Which cells of a table of counts may be shown, where all column totals are known.

    Args:
        table: Shape (rows, columns), patients; each patient stands in one cell. With more than one
            column, the totals of the rows may be shown beside them.
        unknown_last: Whether the last row counts patients of whom it is not known.

    Returns:
        Shape (rows, columns), or (rows, columns + 1) with the totals of the rows last.
    """
    counts = np.asarray(table, dtype=np.int64)
    if counts.shape[1] > 1:
        counts = np.column_stack([counts, counts.sum(axis=1)])
    shown: Shown = np.asarray((counts == 0) | (counts >= FEWEST), dtype=np.bool_)
    told = slice(None, -1) if unknown_last else slice(None)
    while _hide_more(counts[told], shown[told]):
        pass
    return shown


def _hide_more(counts: Counts, shown: Shown) -> bool:
    """Hide one more cell where the hidden of a line could be worked out; False when none can."""
    lines = [(counts[:, i], shown[:, i]) for i in range(counts.shape[1])]
    if counts.shape[1] > 1:
        # The total stands last and is given up last.
        lines += [(counts[i, :-1], shown[i, :-1]) for i in range(len(counts)) if shown[i, -1]]
        lines += [
            (counts[i], shown[i])
            for i in range(len(counts))
            if not shown[i, -1] and shown[i, :-1].all()
        ]
    return any(_hide_one(*line) for line in lines) or _hide_total(counts, shown)


def _hide_total(counts: Counts, shown: Shown) -> bool:
    """Give up the total of one row whose hidden cells it tells, where all the others are 0."""
    if counts.shape[1] == 1:
        return False
    hidden = ~shown[:, :-1]
    told = (hidden.sum(axis=1) == 1) | (np.where(hidden, counts[:, :-1], 0).sum(axis=1) < FEWEST)
    rows = np.flatnonzero(told & hidden.any(axis=1) & shown[:, -1])
    shown[rows[:1], -1] = False
    return bool(len(rows))


def _hide_one(counts: Counts, shown: Shown) -> bool:
    """Hide the smallest cell of a line where what is hidden is one cell, or few patients."""
    hidden = ~shown
    if not hidden.any() or (hidden.sum() > 1 and counts[hidden].sum() >= FEWEST):
        return False
    left = np.flatnonzero(shown & (counts > 0))
    if not len(left):
        return False
    shown[left[np.argmin(counts[left])]] = False
    return True
