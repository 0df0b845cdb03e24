"""The new hospital's patients as the old model sees them, worked out once for all rungs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from spinecast.distribution.population import Population
from spinecast.measures.logistic import Matrix, Vector
from spinecast.modelling.model import Model
from spinecast.modelling.preparation import Preparation


@dataclass(frozen=True, eq=False)
class Newcomers:
    """New patients whose outcomes are known, before the old model has learned anything of them.

    Attributes:
        codes: as recorded, (n, F), NaN unknown.
        y: their outcomes, (n,), 0 or 1.
        margin: the old model's log-odds, (n,).
        refits: those of its bootstrap refits, (B, n).
        population: the old model's, updated by these patients' values (not by their outcomes).
        columns: completed by that population, (n, K).
        trees: what the old trees add to the log-odds of patients completed so, (n,).
    """

    codes: Matrix
    y: Vector
    margin: Vector
    refits: Matrix
    population: Population
    columns: Matrix
    trees: Vector

    @classmethod
    def of(
        cls, model: Model, codes: Matrix, y: Vector, population: Population | None = None
    ) -> Self:
        """Hold patients (n, F) with outcomes (n,) against the old model.

        With a `population` given, that one completes them, as it does in use.
        """
        rows = model.rows(codes)
        old_trees = model.trees.margin(rows.codes)
        own = model.refits
        refits = own.intercept[:, None] + own.beta @ rows.columns.T
        refits = refits + np.outer(own.tree_share, old_trees)
        if population is None:
            counted = model.population.counted(model.population.count(codes))
            population = counted.correlated(counted.score(codes))
        completed = Preparation(population, model.encoding).rows(codes)
        return cls(
            codes=codes,
            y=y,
            margin=model.margin(rows),
            refits=refits,
            population=population,
            columns=completed.columns,
            trees=model.trees.margin(completed.codes),
        )

    def __len__(self) -> int:
        """How many patients."""
        return len(self.y)

    @property
    def rarer(self) -> int:
        """Patients of the rarer outcome: what an estimate's sureness hangs on."""
        events = int(self.y.sum())
        return min(events, len(self.y) - events)
