"""Sums of products looked up in tables: many rows at once, a few steps for each factor.

The thresholds of an ensemble cut a factor's codes into cells, and within a cell nothing changes. So
all products about the same few factors can be worked out beforehand, once for every combination of
those factors' cells. Products of other factors join the same table while it stays small: a table
of T cells over k factors costs a row k lookups, however many products it took in. Nothing is
approximated; 300 trees of depth 4 are about 7,000 products and 200 tables of 7 factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

# What a table may hold: a column of it then stays in a core's own cache.
MOST_CELLS = 4096
ROWS_AT_ONCE = 4096
# More thresholds than this are searched through, fewer are compared one after the other.
FEW_CUTS = 24


@dataclass(frozen=True, slots=True)
class Table:
    """Values over every combination of the cells of k factors.

    `places` says for each factor where each of its cells lies; the sum over the factors is the
    combination's place. There `weights` (T,) is added to the margin, and `shares` (k, T) to each
    of the factors' contributions.
    """

    factors: tuple[int, ...]
    places: tuple[IntArray, ...]
    weights: FloatArray
    shares: FloatArray

    def at(self, cells: Mapping[int, IntArray], place: IntArray, step: IntArray) -> None:
        """Write the place of each row's combination into `place` (n,); `step` (n,) is scratch."""
        place.fill(0)
        for factor, places in zip(self.factors, self.places, strict=True):
            np.take(places, cells[factor], out=step, mode="clip")
            np.add(place, step, out=place)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Products of conditions as numbers: which cells of which factors they take in.

    `cuts` holds each factor's thresholds, rising. Product p holds from cell `low[p][f]` up to, not
    including, cell `high[p][f]` of each factor f it names.
    """

    cuts: Mapping[int, npt.NDArray[np.float32]]
    low: Sequence[Mapping[int, int]]
    high: Sequence[Mapping[int, int]]

    @classmethod
    def of(
        cls,
        factor: IntArray,
        low: npt.NDArray[np.float32],
        high: npt.NDArray[np.float32],
        products: IntArray,
    ) -> Conditions:
        """Those of `Trees`: C conditions and (M, D) products of them, padded with C."""
        cuts: dict[int, npt.NDArray[np.float32]] = {}
        for name in np.unique(factor).tolist():
            ends = np.concatenate([low[factor == name], high[factor == name]])
            cuts[name] = np.unique(ends[np.isfinite(ends)])
        owner = factor.tolist()
        # Cell c lies above c thresholds; the last one has no end.
        first = [
            0 if np.isneginf(a) else int(np.searchsorted(cuts[f], a)) + 1
            for f, a in zip(owner, low, strict=True)
        ]
        last = [
            len(cuts[f]) + 1 if np.isposinf(b) else int(np.searchsorted(cuts[f], b)) + 1
            for f, b in zip(owner, high, strict=True)
        ]
        named = [[c for c in product if c < len(owner)] for product in products.tolist()]
        return cls(
            cuts,
            [{owner[c]: first[c] for c in product} for product in named],
            [{owner[c]: last[c] for c in product} for product in named],
        )

    def ends(self, product: int) -> dict[int, int]:
        """For each factor of a product which thresholds it ends at, a bit for each."""
        low, high = self.low[product], self.high[product]
        return {
            f: (1 << low[f] >> 1) | (0 if high[f] > len(self.cuts[f]) else 1 << high[f] >> 1)
            for f in low
        }


@dataclass(slots=True)
class _Group:
    """Terms that share a table: a product, and whose contribution it adds to (-1: the margin)."""

    ends: dict[int, int]
    terms: list[tuple[int, int]]

    @property
    def factors(self) -> frozenset[int]:
        return frozenset(self.ends)

    def cells_with(self, ends: Mapping[int, int]) -> int:
        """How many cells there would be with these thresholds too."""
        both = self.ends.keys() | ends.keys()
        return math.prod((self.ends.get(f, 0) | ends.get(f, 0)).bit_count() + 1 for f in both)

    def take(self, other: _Group) -> None:
        """Take in another group."""
        for factor, ends in other.ends.items():
            self.ends[factor] = self.ends.get(factor, 0) | ends
        self.terms += other.terms


@dataclass(frozen=True)
class Tables:
    """An ensemble of trees over F factors as tables, for many rows."""

    count: int
    cuts: Mapping[int, npt.NDArray[np.float32]]
    tables: tuple[Table, ...]

    @classmethod
    def of(cls, conditions: Conditions, weights: FloatArray, shares: FloatArray) -> Tables:
        """The tables of M products with these weights (M,) and shares (M, F)."""
        groups = _joined(list(_by_factors(conditions, weights, shares)))
        tables = tuple(_table(group, conditions, weights, shares) for group in groups)
        return cls(shares.shape[1], conditions.cuts, tables)

    def margin(self, codes: FloatArray) -> FloatArray:
        """What the products add to the margin, (n, F) codes to (n,)."""
        margin = np.zeros(len(codes))
        for rows, cells, place, step, value in self._blocks(codes):
            for table in self._weighing:
                table.at(cells, place, step)
                np.take(table.weights, place, out=value, mode="clip")
                margin[rows] += value
        return margin

    def contributions(self, codes: FloatArray) -> FloatArray:
        """Each factor's share, (n, F) codes to (n, F), one factor after the other in memory."""
        shares = np.zeros((self.count, len(codes)))
        for rows, cells, place, step, value in self._blocks(codes):
            for table in self.tables:
                table.at(cells, place, step)
                for factor, share in zip(table.factors, table.shares, strict=True):
                    np.take(share, place, out=value, mode="clip")
                    shares[factor, rows] += value
        return shares.T

    @cached_property
    def _weighing(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.weights.any())

    def _blocks(
        self, codes: FloatArray
    ) -> Iterator[tuple[slice, dict[int, IntArray], IntArray, IntArray, FloatArray]]:
        """Some rows at a time: which, each factor's cells, and room for what is looked up."""
        for start in range(0, len(codes), ROWS_AT_ONCE):
            block = codes[start : start + ROWS_AT_ONCE]
            n = len(block)
            cells = {f: _cells(block[:, f], cuts) for f, cuts in self.cuts.items()}
            room = np.empty(n, dtype=np.intp), np.empty(n, dtype=np.intp), np.empty(n)
            yield slice(start, start + n), cells, *room


def _cells(codes: FloatArray, cuts: npt.NDArray[np.float32]) -> IntArray:
    """How many thresholds lie at or below each code, (n,)."""
    values = codes.astype(np.float32)
    if len(cuts) > FEW_CUTS:
        return np.searchsorted(cuts, values, side="right")
    cells = np.zeros(len(values), dtype=np.uint8)
    for cut in cuts:
        cells += (values >= cut).view(np.uint8)
    return cells.astype(np.intp)


# --- how tables are made -------------------------------------------------------------------------


def _by_factors(
    conditions: Conditions, weights: FloatArray, shares: FloatArray
) -> Iterator[_Group]:
    """Terms about the same factors, together."""
    found: dict[frozenset[int], _Group] = {}
    products, factors = np.nonzero(shares)
    terms = [*zip(products.tolist(), factors.tolist(), strict=True)]
    terms += [(product, -1) for product in np.flatnonzero(weights).tolist()]
    for product, to in terms:
        ends = conditions.ends(product)
        if to >= 0:
            ends.setdefault(to, 0)
        one = _Group(ends, [(product, to)])
        group = found.get(one.factors)
        if group is not None and group.cells_with(ends) <= MOST_CELLS:
            group.take(one)
        else:
            # A group that would grow too large is left as it is, and another one begun.
            if group is not None:
                yield group
            found[one.factors] = one
    yield from found.values()


def _joined(groups: list[_Group]) -> list[_Group]:
    """Groups put together, each where it needs the fewest new factors, while they stay small."""
    made: list[_Group] = []
    for group in sorted(groups, key=lambda group: (-len(group.ends), sorted(group.ends))):
        host = _host(group, made)
        if host is None:
            made.append(_Group(dict(group.ends), list(group.terms)))
        else:
            host.take(group)
    return made


def _host(group: _Group, made: Sequence[_Group]) -> _Group | None:
    """The group that may take another in for the fewest new factors; None if none has room."""
    new = [len(group.ends.keys() - other.ends.keys()) for other in made]
    for at in sorted(range(len(made)), key=new.__getitem__):
        if new[at] == len(group.ends) > 0:
            return None  # nothing in common with this one or any later
        if made[at].cells_with(group.ends) <= MOST_CELLS:
            return made[at]
    return None


def _table(group: _Group, conditions: Conditions, weights: FloatArray, shares: FloatArray) -> Table:
    """What a group's products come to in every combination of cells."""
    factors = tuple(sorted(group.ends))
    products = sorted({product for product, _ in group.terms})
    row = {to: at for at, to in enumerate((*factors, -1))}
    column = {product: at for at, product in enumerate(products)}
    values = np.zeros((len(row), len(products)))
    for product, to in group.terms:
        value = weights[product] if to < 0 else shares[product, to]
        values[row[to], column[product]] = value
    # Where each product holds: one factor's cells after another's.
    holds = np.ones((len(products), 1))
    places: list[IntArray] = []
    for factor in factors:
        starts, place = _local(group.ends[factor], len(conditions.cuts.get(factor, ())))
        low = np.array([conditions.low[p].get(factor, 0) for p in products])[:, None]
        high = np.array([conditions.high[p].get(factor, math.inf) for p in products])[:, None]
        inside = (starts >= low) & (starts < high)
        holds = (holds[:, :, None] * inside[:, None, :]).reshape(len(products), -1)
        places = [before * len(starts) for before in places] + [place]
    told = values @ holds
    return Table(factors, tuple(places), told[-1], told[:-1])


def _local(ends: int, cuts: int) -> tuple[IntArray, IntArray]:
    """The cells a table needs of a factor: where each begins, and which one every cell is in."""
    own = [cut for cut in range(cuts) if ends >> cut & 1]
    starts = np.array([0, *(cut + 1 for cut in own)], dtype=np.intp)
    return starts, np.searchsorted(starts, np.arange(cuts + 1), side="right") - 1
