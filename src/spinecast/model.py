"""A fitted model: from codes to a margin (log-odds), and what each factor contributes to it.

    margin = intercept + columns . beta + trees(codes)

Everything here is arithmetic on arrays and holds for one row as for a million; nothing is learned
and nothing but numpy is needed. Recalibration is already inside the coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spinecast.calibration import Recalibration
from spinecast.copula import Guess
from spinecast.factors import Registry
from spinecast.features import Encoding
from spinecast.population import Population
from spinecast.trees import Trees

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
    guesses: Mapping[int, Guess]

    def __len__(self) -> int:
        """How many patients."""
        return len(self.given)


@dataclass(frozen=True, slots=True)
class Refits:
    """The coefficients of bootstrap refits: intercept (B,), beta (B, K), tree share (B,)."""

    intercept: FloatArray
    beta: FloatArray
    tree_share: FloatArray

    def __len__(self) -> int:
        """How many refits, B."""
        return len(self.intercept)


@dataclass(frozen=True)
class Model:
    """The margin of a patient and its parts.

    `literature` (K,) is the part of `beta` (K,) that was believed before the cohort was seen;
    `level` the coverage its intervals are made for; `recalibration` what was applied last, for the
    record.
    """

    registry: Registry
    population: Population
    encoding: Encoding
    intercept: float
    beta: FloatArray
    literature: FloatArray
    trees: Trees
    refits: Refits
    level: float
    recalibration: Recalibration

    def rows(self, codes: FloatArray) -> Rows:
        """Prepare rows of codes (n, F), NaN for unknown."""
        return complete(self.population, self.encoding, codes)

    @cached_property
    def reference_margin(self) -> float:
        """Log-odds of the reference patient, all of whose columns are zero."""
        return self.intercept + float(self.trees.margin(reference_row(self.registry)[None])[0])

    def margin(self, rows: Rows) -> FloatArray:
        """Log-odds of failure, (n,)."""
        return np.asarray(
            self.intercept + rows.columns @ self.beta + self.trees.margin(rows.codes)
        )

    def contributions(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Log-odds each factor adds against the reference patient, (n, F): in all, and of that what
        the literature had already said.

        The totals of a row add up to its margin less the reference margin.
        """
        total = self._by_factor(rows.columns * self.beta) + self.trees.contributions(rows.codes)
        return total, self._by_factor(rows.columns * self.literature)

    def _by_factor(self, columns: FloatArray) -> FloatArray:
        return np.add.reduceat(columns, self._starts, axis=1)

    @cached_property
    def _starts(self) -> list[int]:
        return [columns.start for columns in self.encoding.slices]

    def spread(self, rows: Rows) -> FloatArray:
        """Standard deviation of the margin, (n,): of the refits, and of what is unknown.

        Unknown factors add the variance of their effect over the values they may have; effects of
        different factors are taken as independent given what is known.
        """
        variance = self._unknown_variance(rows)
        if len(self.refits) > 1:
            margins = rows.columns @ self.refits.beta.T + self.refits.intercept
            if len(self.trees):
                margins += np.outer(self.trees.margin(rows.codes), self.refits.tree_share)
            variance = variance + margins.var(axis=1, ddof=1)
        return np.asarray(np.sqrt(variance))

    def _unknown_variance(self, rows: Rows) -> FloatArray:
        variance = np.zeros(len(rows))
        for index, guess in rows.guesses.items():
            effects = self.effects(index)
            mean = guess.chances @ effects
            variance[guess.rows] += np.maximum(guess.chances @ effects**2 - mean**2, 0.0)
        return variance

    def effects(self, index: int) -> FloatArray:
        """Linear log-odds of each value a factor may have (its bins), against the reference."""
        return self._effects[index]

    @cached_property
    def _effects(self) -> tuple[FloatArray, ...]:
        tables = _tables(self.population, self.encoding)
        return tuple(
            table @ self.beta[columns]
            for table, columns in zip(tables, self.encoding.slices, strict=True)
        )


def reference_row(registry: Registry) -> FloatArray:
    """The reference patient as a row of codes, (F,)."""
    return np.array([factor.reference_code for factor in registry.factors])


def complete(population: Population, encoding: Encoding, codes: FloatArray) -> Rows:
    """Replace what is unknown by what is expected given what is known.

    The same rows come out of training, validation and use: one policy for unknown values.
    """
    completion = population.complete(codes)
    filled = codes.copy()
    columns = encoding.encode(codes)
    for index, guess in completion.guesses.items():
        values = population.bins.codes[index]
        filled[guess.rows, index] = guess.chances @ values
        columns[guess.rows, encoding.slices[index]] = guess.chances @ encoding.tabulate(
            index, values
        )
    return Rows(codes, filled, columns, completion.guesses)


def _tables(population: Population, encoding: Encoding) -> list[FloatArray]:
    """Each factor's columns at each of its values, (bins, k)."""
    return [encoding.tabulate(i, values) for i, values in enumerate(population.bins.codes)]
