"""Patients made ready for the model: what is unknown replaced by what is expected of it.

Training, validation and use all go through here: there is one policy for unknown values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spinecast.distribution.guesses import Guesses, padded
from spinecast.distribution.population import Completion, Population, Unusual
from spinecast.modelling.features import Encoding

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Patients ready for the model: nothing unknown is left, and it is remembered what was.

    `codes` (n, F) and `columns` (n, K) hold expected values where a factor is unknown; `given`
    (n, F) are the codes as they came; `guesses` gives, for each factor unknown in some rows, those
    rows and how likely each of its values is there.
    """

    given: FloatArray
    codes: FloatArray
    columns: FloatArray
    guesses: Guesses

    def __len__(self) -> int:
        """How many patients."""
        return len(self.given)


@dataclass(frozen=True)
class Preparation:
    """What patients look like and how they are encoded: together they ready any rows of codes."""

    population: Population
    encoding: Encoding

    def rows(self, codes: FloatArray) -> Rows:
        """Ready rows of codes (n, F), NaN for unknown."""
        return self._rows(self.population.complete(codes))

    def read(self, codes: FloatArray) -> tuple[Rows, Unusual]:
        """The same rows, and how unlike the population they are."""
        completion, unusual = self.population.read(codes)
        return self._rows(completion), unusual

    def _rows(self, completion: Completion) -> Rows:
        codes, guesses = completion.codes, completion.guesses
        filled = codes.copy(order="K")
        columns = self.encoding.encode(codes)
        for block in guesses.blocks:
            mean = block.mean(self._values)
            filled[block.rows, block.factors[:, None]] = mean[:, :, -1]
            at, nth = np.nonzero(self._places[block.factors] >= 0)
            places = self._places[block.factors[at], nth]
            columns[block.rows, places[:, None]] = mean[at, :, nth]
        return Rows(codes, filled, columns, guesses)

    @cached_property
    def _values(self) -> FloatArray:
        """What each bin of each factor stands for, (F, most bins, k): its columns, then its code.

        Columns a factor does not have are 0.
        """
        columns, codes = padded(self.tables), padded(self.population.bins.codes)
        return np.concatenate([columns, codes], axis=2)

    @cached_property
    def _places(self) -> npt.NDArray[np.intp]:
        """Where each factor's columns stand among all columns, (F, most); -1 beyond its last."""
        slices = self.encoding.slices
        places = np.full((len(slices), max(s.stop - s.start for s in slices)), -1)
        for row, columns in zip(places, slices, strict=True):
            row[: columns.stop - columns.start] = np.arange(columns.start, columns.stop)
        return places

    @cached_property
    def tables(self) -> tuple[FloatArray, ...]:
        """Each factor's columns at each of its values (its bins), (bins, k)."""
        values = self.population.bins.codes
        return tuple(self.encoding.tabulate(index, codes) for index, codes in enumerate(values))
