"""What the patients are like, factor by factor and by what became of them: a paper's Table 1.

Numbers are told by median and quartiles, levels by counts and shares; the unknown have a row of
their own. No cell of one to four patients is told, nor one that would give such a cell away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.disclosure import FEWEST, may_be_shown
from spinecast.knowledge.factors import Factor, Registry
from spinecast.logic import FloatArray

COLUMNS = ("outcome", "no_outcome", "outcome_unknown", "all")
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

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


def characteristics(
    registry: Registry, codes: FloatArray, outcome: FloatArray
) -> tuple[Characteristic, ...]:
    """Every factor, in the registry's order.

    Args:
        registry: Whose factors these are.
        codes: Shape (patients, factors), NaN unknown.
        outcome: Shape (patients,), 1, 0 or NaN.
    """
    column_of = np.where(np.isnan(outcome), 2, np.where(outcome == 1, 0, 1)).astype(np.intp)
    pairs = zip(registry.factors, codes.T, strict=True)
    return tuple(
        (_number if factor.is_numeric else _levels)(factor, column, column_of)
        for factor, column in pairs
    )


def _number(factor: Factor, codes: FloatArray, column_of: npt.NDArray[np.intp]) -> Characteristic:
    is_known = ~np.isnan(codes)
    rows = _cells(np.where(is_known, 0, 1), 2, column_of)
    parts = [codes[is_known & (column_of == at)] for at in range(3)] + [codes[is_known]]
    return Characteristic(
        factor.name,
        factor.label,
        factor.unit,
        {},
        {name: _quartiles(part) for name, part in zip(COLUMNS, parts, strict=True)},
        known=rows[0],
        unknown=rows[1],
    )


def _levels(factor: Factor, codes: FloatArray, column_of: npt.NDArray[np.intp]) -> Characteristic:
    size = len(factor.levels)
    is_known = ~np.isnan(codes)
    rows = _cells(np.where(is_known, codes, size).astype(np.intp), size + 1, column_of)
    words = [factor.in_plain_words(float(code)) for code in range(size)]
    known = _cells(np.where(is_known, 0, 1), 2, column_of)[0]
    levels = dict(zip(words, rows[:size], strict=True))
    return Characteristic(factor.name, factor.label, "", levels, None, known, rows[size])


def _cells(
    row_of: npt.NDArray[np.intp], rows: int, column_of: npt.NDArray[np.intp]
) -> list[dict[str, Cell]]:
    """Counts and shares of every row, by column."""
    counts = np.bincount(row_of * 3 + column_of, minlength=rows * 3).reshape(rows, 3)
    shown = may_be_shown(counts, unknown_last=True)
    whole = np.column_stack([counts, counts.sum(axis=1)])
    totals = whole.sum(axis=0)
    return [
        {name: _cell(whole[row, at], totals[at], shown[row, at]) for at, name in enumerate(COLUMNS)}
        for row in range(rows)
    ]


def _cell(count: int, total: int, shown: bool) -> Cell:  # noqa: FBT001 - one of a table
    if not shown:
        return Cell(None, None)
    return Cell(int(count), float(count / total) if total else None)


def _quartiles(known: FloatArray) -> Quartiles | None:
    if len(known) < FEWEST:
        return None
    low, median, high = (float(q) for q in np.quantile(known, (0.25, 0.5, 0.75)))
    return Quartiles(low, median, high) if math.isfinite(median) else None
