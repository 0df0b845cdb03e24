"""What the patients are like, factor by factor and by what became of them: a paper's Table 1.

Numbers are told by median and quartiles, levels by counts and shares; the unknown have a row of
their own. No cell of one to four patients is told, nor one that would give such a cell away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.disclosure import FEWEST, may_be_shown
from spinecast.knowledge.factors import Factor, Registry
from spinecast.logic import FloatArray

ALL = "all"
COLUMNS = ("outcome", "no_outcome", "outcome_unknown", ALL)
"""Patients who had the outcome, who had not, of whom it is not known, and all together."""
METHOD = (
    "Shares are of all patients of the column, so that levels and unknown make up the whole. "
    f"Counts of 1 to {FEWEST - 1} patients are kept back, and with them whatever would give them "
    "away; there are no quartiles of so few. For the sake of unknown values nothing is kept back "
    "but their own small counts."
)


@dataclass(frozen=True, slots=True)
class Cell:
    """How many patients of a column; None when kept back."""

    patients: int | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Median and quartiles of a number among the patients of a column who have it known."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One factor in each column of `COLUMNS`.

    Attributes:
        factor: Its name.
        label: The same for people.
        unit: Of a number; "" for levels.
        levels: Cells of each level, by its words and then by column; none for a number.
        quartiles: Of a number, by column; None where there are too few. None for levels.
        known: Patients in whom it is known, by column.
        unknown: Patients in whom it is not, by column.
    """

    factor: str
    label: str
    unit: str
    levels: Mapping[str, Mapping[str, Cell]]
    quartiles: Mapping[str, Quartiles | None] | None
    known: Mapping[str, Cell]
    unknown: Mapping[str, Cell]

    def with_all_of(self, other: Characteristic) -> Characteristic:
        """The same, all patients being those of another table."""
        levels = {name: {**by, ALL: other.levels[name][ALL]} for name, by in self.levels.items()}
        return replace(
            self,
            levels=levels,
            quartiles=self.quartiles
            and other.quartiles
            and {**self.quartiles, ALL: other.quartiles[ALL]},
            known={**self.known, ALL: other.known[ALL]},
            unknown={**self.unknown, ALL: other.unknown[ALL]},
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Patients in groups, each in one: the columns of a table, beside all of them.

    Attributes:
        names: of the groups, in order.
        of: place of each patient's group in `names`, (n,).
        keep_back: whether small counts are kept back. Only a table that its owner alone sees may
            tell them.
    """

    names: tuple[str, ...]
    of: npt.NDArray[np.intp]
    keep_back: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The groups, then all patients."""
        return *self.names, ALL


def by_outcome(outcome: FloatArray, *, keep_back: bool = True) -> Groups:
    """Patients by what became of them; outcome (n,), 1, 0 or NaN."""
    of = np.where(np.isnan(outcome), 2, np.where(outcome == 1, 0, 1)).astype(np.intp)
    return Groups(COLUMNS[:-1], of, keep_back)


def characteristics(
    registry: Registry, codes: FloatArray, outcome: FloatArray
) -> tuple[Characteristic, ...]:
    """Every factor, in the registry's order.

    Args:
        registry: Whose factors these are.
        codes: Shape (patients, factors), NaN unknown.
        outcome: Shape (patients,), 1, 0 or NaN.
    """
    return characteristics_of(registry, codes, by_outcome(outcome))


def characteristics_of(
    registry: Registry, codes: FloatArray, groups: Groups
) -> tuple[Characteristic, ...]:
    """The same in any groups; their names are the columns, beside all patients."""
    pairs = zip(registry.factors, codes.T, strict=True)
    return tuple(
        (_number if factor.is_numeric else _levels)(factor, column, groups)
        for factor, column in pairs
    )


def _number(factor: Factor, codes: FloatArray, groups: Groups) -> Characteristic:
    is_known = ~np.isnan(codes)
    rows = _cells(np.where(is_known, 0, 1), 2, groups)
    parts = [codes[is_known & (groups.of == at)] for at in range(len(groups.names))]
    parts.append(codes[is_known])
    fewest = FEWEST if groups.keep_back else 1
    return Characteristic(
        factor.name,
        factor.label,
        factor.unit,
        {},
        {name: _quartiles(part, fewest) for name, part in zip(groups.columns, parts, strict=True)},
        known=rows[0],
        unknown=rows[1],
    )


def _levels(factor: Factor, codes: FloatArray, groups: Groups) -> Characteristic:
    size = len(factor.levels)
    is_known = ~np.isnan(codes)
    rows = _cells(np.where(is_known, codes, size).astype(np.intp), size + 1, groups)
    words = [factor.in_plain_words(float(code)) for code in range(size)]
    known = _cells(np.where(is_known, 0, 1), 2, groups)[0]
    levels = dict(zip(words, rows[:size], strict=True))
    return Characteristic(factor.name, factor.label, "", levels, None, known, rows[size])


def _cells(row_of: npt.NDArray[np.intp], rows: int, groups: Groups) -> list[dict[str, Cell]]:
    """Counts and shares of every row, by column."""
    width = len(groups.names)
    counts = np.bincount(row_of * width + groups.of, minlength=rows * width).reshape(rows, width)
    shown = _shown(counts) if groups.keep_back else np.ones((rows, width + 1), dtype=np.bool_)
    whole = np.column_stack([counts, counts.sum(axis=1)])
    totals = whole.sum(axis=0)
    return [
        {
            name: _cell(whole[row, at], totals[at], shown[row, at])
            for at, name in enumerate(groups.columns)
        }
        for row in range(rows)
    ]


def _shown(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    shown = may_be_shown(counts, unknown_last=True)
    # One group has no totals of rows beside it: it is all patients.
    return shown if counts.shape[1] > 1 else np.column_stack([shown, shown])


def _cell(count: int, total: int, shown: bool) -> Cell:  # noqa: FBT001 - one of a table
    if not shown:
        return Cell(None, None)
    return Cell(int(count), float(count / total) if total else None)


def _quartiles(known: FloatArray, fewest: int) -> Quartiles | None:
    if len(known) < fewest:
        return None
    low, median, high = (float(q) for q in np.quantile(known, (0.25, 0.5, 0.75)))
    return Quartiles(low, median, high) if math.isfinite(median) else None
