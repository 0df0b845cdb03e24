"""Where trees may cut: points of the registry's own, so that no shard can decide on a cut.

XGBoost cuts at values it has seen, which depend on how patients were read. Here every value is
first put on a grid of the registry's bins, each divided further where there are few: the largest
point not above the value. XGBoost asks "is the value below the cut?" and cuts at points, so the
value itself, not put on the grid, goes the same way when it is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spinecast.distribution.bins import Bins, FloatArray

if TYPE_CHECKING:
    import xgboost

Codes = npt.NDArray[np.float32]
Places = npt.NDArray[np.uint8]

POINTS = 128
"""How many points a factor has at most, but for one that has more bins."""
PARTS = 8
"""Into how many parts a bin is divided at most: an expected value lies between two answers."""
MOST = 256
"""How many points XGBoost can tell apart in one byte."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The points of every factor, rising, in 32 bits as XGBoost has them."""

    points: tuple[Codes, ...]

    @classmethod
    def of(cls, bins: Bins) -> Grid:
        """The grid of a registry's bins."""
        return cls(tuple(map(_divided, bins.codes)))

    def place(self, index: int, codes: FloatArray) -> Places:
        """The place on a factor's grid of each of its codes, (n,); none may be unknown."""
        points = self.points[index]
        above = np.searchsorted(points, codes.astype(np.float32), side="right")
        return np.asarray(np.maximum(above, 1) - 1, dtype=np.uint8)

    def codes(self, places: Places) -> Codes:
        """The points at these places, (n, F)."""
        flat, starts = self._flat
        return np.asarray(flat[places + starts])

    def put(self, codes: FloatArray) -> Codes:
        """Codes (n, F) put on the grid; none may be unknown."""
        columns = enumerate(codes.T)
        return self.codes(np.column_stack([self.place(at, column) for at, column in columns]))

    @cached_property
    def _flat(self) -> tuple[Codes, npt.NDArray[np.int32]]:
        sizes = [len(points) for points in self.points]
        return np.concatenate(self.points), np.cumsum([0, *sizes[:-1]]).astype(np.int32)

    def cuts(self) -> xgboost.QuantileDMatrix:
        """A matrix from which XGBoost takes its cuts: every point of every factor."""
        import xgboost  # dear to import, and whoever only adds up sums has no need of it

        rows = max(map(len, self.points))
        every = np.column_stack([np.resize(points, rows) for points in self.points])
        return xgboost.QuantileDMatrix(every, max_bin=MOST, nthread=1)


def _divided(codes: FloatArray) -> Codes:
    """A factor's bins, each divided into as many parts as there is room for."""
    parts = int(np.clip(POINTS // len(codes), 1, PARTS))
    places = np.arange((len(codes) - 1) * parts + 1) / parts
    return np.unique(np.interp(places, np.arange(len(codes)), codes).astype(np.float32))[:MOST]
