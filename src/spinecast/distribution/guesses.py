"""What unknown values may be: the chances of every bin, for some factors in some rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spinecast.distribution.bins import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """What one factor may be in the rows where it is unknown: rows (r,), chances (r, bins)."""

    rows: IntArray
    chances: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Factors (g,) that are unknown in the same rows (r,), and their chances (g, r, most bins).

    One row is one block of all its unknowns; of several rows every factor is a block of its own.
    Either way the arithmetic is one product for a block, and few calls for few unknowns.
    """

    factors: IntArray
    rows: IntArray
    chances: FloatArray

    def by_factor(self, size: IntArray) -> Iterator[tuple[int, Block]]:
        """A block for each factor, with as many chances as it has bins."""
        if len(self.factors) == 1:
            yield int(self.factors[0]), self
            return
        for at, factor in enumerate(self.factors.tolist()):
            own = slice(at, at + 1)
            yield factor, Block(self.factors[own], self.rows, self.chances[own, :, : size[factor]])

    def mean(self, values: FloatArray) -> FloatArray:
        """The expected value of what every bin has, (F, most bins, k) to (g, r, k)."""
        return np.asarray(self.chances @ values[self.factors, : self.chances.shape[2]])


@dataclass(frozen=True, slots=True, eq=False)
class Guesses(Mapping[int, Guess]):
    """All that is unknown of some rows, by factor; `size` (F,) are the bins of every factor."""

    size: IntArray
    blocks: tuple[Block, ...] = ()

    @classmethod
    def joined(cls, size: IntArray, blocks: Iterable[Block]) -> Guesses:
        """The blocks of several pieces of rows, given in the order of the rows."""
        told = tuple(blocks)
        if len(told) <= 1:
            return cls(size, told)
        found: dict[int, list[Block]] = {}
        for block in told:
            # A last piece may be a single row, and so a single block.
            for factor, own in block.by_factor(size):
                found.setdefault(factor, []).append(own)
        return cls(size, tuple(_joined(found[factor]) for factor in sorted(found)))

    def of_row(self, row: int) -> FloatArray:
        """The chances of one row, (F, most bins); 0 where a factor is known."""
        chances = np.zeros((len(self.size), int(self.size.max())))
        for block in self.blocks:
            at = int(np.searchsorted(block.rows, row))
            if at < len(block.rows) and block.rows[at] == row:
                chances[block.factors, : block.chances.shape[2]] = block.chances[:, at]
        return chances

    def __getitem__(self, factor: int) -> Guess:
        """What one factor may be."""
        for block in self.blocks:
            for at in np.flatnonzero(block.factors == factor):
                return Guess(block.rows, block.chances[at, :, : self.size[factor]])
        raise KeyError(factor)

    def __iter__(self) -> Iterator[int]:
        """The factors that are unknown somewhere."""
        return iter(factor for block in self.blocks for factor in block.factors.tolist())

    def __len__(self) -> int:
        """How many they are."""
        return sum(len(block.factors) for block in self.blocks)


def padded(tables: Sequence[FloatArray]) -> FloatArray:
    """What every bin of every factor has, as one array (F, most bins, k); 0 beyond the last."""
    deep = [table.reshape(len(table), -1) for table in tables]
    widest = np.max([table.shape for table in deep], axis=0, initial=0)
    array = np.zeros((len(deep), *widest))
    for row, table in zip(array, deep, strict=True):
        row[: table.shape[0], : table.shape[1]] = table
    return array


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    rows = np.concatenate([block.rows for block in blocks])
    chances = np.concatenate([block.chances for block in blocks], axis=1)
    return Block(blocks[0].factors, rows, chances)
