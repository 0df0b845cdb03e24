"""A fitted model: from codes to a margin (log-odds), and what each factor contributes to it.

    margin = intercept + columns . beta + trees(codes)

Everything here is arithmetic on arrays and holds for one row as for a million; nothing is learned
and nothing but numpy is needed. Recalibration is already inside the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spinecast.distribution.guesses import padded
from spinecast.distribution.population import Population
from spinecast.knowledge.factors import Registry
from spinecast.modelling.calibration import Recalibration
from spinecast.modelling.features import Encoding
from spinecast.modelling.preparation import Preparation, Rows
from spinecast.modelling.trees import Trees

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Refits:
    """The coefficients of bootstrap refits: intercept (B,), beta (B, K), tree share (B,)."""

    intercept: FloatArray
    beta: FloatArray
    tree_share: FloatArray

    def __len__(self) -> int:
        """How many refits, B."""
        return len(self.intercept)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says of some patients: margin and spread (n,), contributions (n, F).

    `log_odds` are the contributions, `literature` the part of them believed before the cohort.
    """

    margin: FloatArray
    log_odds: FloatArray
    literature: FloatArray
    spread: FloatArray


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
        return self.preparation.rows(codes)

    @cached_property
    def preparation(self) -> Preparation:
        """What readies rows of codes for this model."""
        return Preparation(self.population, self.encoding)

    @cached_property
    def reference_margin(self) -> float:
        """Log-odds of the reference patient, all of whose columns are zero."""
        return self.intercept + self._tree_reference

    @cached_property
    def _tree_reference(self) -> float:
        return float(self.trees.margin(reference_row(self.registry)[None])[0])

    def margin(self, rows: Rows) -> FloatArray:
        """Log-odds of failure, (n,)."""
        return np.asarray(self.intercept + rows.columns @ self.beta + self.trees.margin(rows.codes))

    def contributions(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Log-odds each factor adds against the reference patient: in all, and by the literature.

        Two arrays (n, F). The totals of a row add up to its margin less the reference margin; the
        second array is the part of them that was believed before the cohort was seen.
        """
        reading = self.read(rows)
        return reading.log_odds, reading.literature

    def read(self, rows: Rows, *, spread: bool = True) -> Reading:
        """Margin, contributions and spread at once: the trees are looked up a single time.

        The spread is NaN when it is not asked for.
        """
        trees = self.trees.contributions(rows.codes)
        log_odds, literature = self._by_factor(rows.columns)
        log_odds += trees
        tree_margin = self._tree_reference + trees.sum(axis=1)
        return Reading(
            margin=self.reference_margin + log_odds.sum(axis=1),
            log_odds=log_odds,
            literature=literature,
            spread=self._spread(rows, tree_margin) if spread else np.full(len(rows), np.nan),
        )

    def _by_factor(self, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What each factor's columns come to by `beta` and by `literature`, twice (n, F)."""
        # One product, laid out by factor: files are written and trees are read in columns.
        both = self._owned @ columns.T
        return both[: self.encoding.factors].T, both[self.encoding.factors :].T

    @cached_property
    def _owned(self) -> FloatArray:
        """The coefficients in their factors' rows, `beta` above `literature`, (2F, K)."""
        owned = np.zeros((2 * self.encoding.factors, len(self.encoding)))
        columns = np.arange(len(self.encoding))
        owned[self.encoding.owner, columns] = self.beta
        owned[self.encoding.factors + self.encoding.owner, columns] = self.literature
        return owned

    def spread(self, rows: Rows) -> FloatArray:
        """Standard deviation of the margin, (n,): of the refits, and of what is unknown.

        Unknown factors add the variance of their effect over the values they may have; effects of
        different factors are taken as independent given what is known.
        """
        return self._spread(rows, self.trees.margin(rows.codes))

    def _spread(self, rows: Rows, trees: FloatArray) -> FloatArray:
        variance = self._unknown_variance(rows)
        if len(self.refits) > 1:
            beta, intercept, tree_share = self._deviations
            apart = rows.columns @ beta
            apart += intercept
            if tree_share.any():
                apart += trees[:, None] * tree_share
            variance = variance + np.einsum("nb,nb->n", apart, apart) / (len(self.refits) - 1)
        return np.asarray(np.sqrt(variance))

    @cached_property
    def _deviations(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """How far each refit lies from their mean: beta (K, B), intercept and tree share (B,)."""
        beta, intercept, share = (
            part - part.mean(axis=0)
            for part in (self.refits.beta, self.refits.intercept, self.refits.tree_share)
        )
        if not len(self.trees):
            share = np.zeros_like(share)
        return np.ascontiguousarray(beta.T), intercept, share

    def _unknown_variance(self, rows: Rows) -> FloatArray:
        variance = np.zeros(len(rows))
        for block in rows.guesses.blocks:
            mean, square = np.moveaxis(block.mean(self._moments), 2, 0)
            variance[block.rows] += np.maximum(square - mean**2, 0.0).sum(axis=0)
        return variance

    @cached_property
    def _moments(self) -> FloatArray:
        """The linear log-odds of every value and their square, (F, most values, 2)."""
        return padded([np.column_stack([effects, effects**2]) for effects in self._effects])

    def effects(self, index: int) -> FloatArray:
        """Linear log-odds of each value a factor may have (its bins), against the reference."""
        return self._effects[index]

    @cached_property
    def _effects(self) -> tuple[FloatArray, ...]:
        tables = self.preparation.tables
        return tuple(
            table @ self.beta[columns]
            for table, columns in zip(tables, self.encoding.slices, strict=True)
        )


def reference_row(registry: Registry) -> FloatArray:
    """The reference patient as a row of codes, (F,)."""
    return np.array([factor.reference_code for factor in registry.factors])
