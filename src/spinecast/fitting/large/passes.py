"""A pass over the shards of a cohort: shared out in a bounded number of tasks, added up after.

What a task sends back has a fixed size, and there are at most `TASKS` of them, so the bytes that
travel do not grow with the number of patients.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import chain
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np

from spinecast.memory import MEMORY
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone, cores, one_thread

TASKS = 16
"""Into how many tasks a pass is cut at most; more processes than these would stand idle."""


class HasRows(Protocol):
    """A batch of a cohort's patients on disk: a shard, or a lesson."""

    @property
    def rows(self) -> int:
        """How many patients."""
        ...


class Adds(Protocol):
    """What adds up over batches."""

    def __add__(self, other: Self, /) -> Self:
        """Of two batches together."""
        ...


Batch = TypeVar("Batch", bound=HasRows)
Sum = TypeVar("Sum", bound=Adds)
Answer = TypeVar("Answer")


def lots(batches: Sequence[Batch], most: int = TASKS) -> list[tuple[Batch, ...]]:
    """Neighbouring batches taken together, so that no more than `most` lots of like size result."""
    ends = np.cumsum([batch.rows for batch in batches])
    lot = (np.maximum(ends, 1) - 1) * most // max(int(ends[-1]), 1)
    return [
        tuple(batch for batch, own in zip(batches, lot, strict=True) if own == one)
        for one in np.unique(lot)
    ]


@dataclass(frozen=True)
class Workshop:
    """Where a large training works, and by whom.

    Attributes:
        scratch: a folder for what is kept between passes; everybody who shares the work sees it.
        share: who works on the batches.
        memory: how many bytes the trees and what they are made of may take.
        threads: how many threads grow them; the trees are the same.
        progress: told what is being done and how far it is.
    """

    scratch: Path
    share: Share = alone
    memory: int = MEMORY
    threads: int = field(default_factory=cores)
    progress: Progress = silent

    def over(
        self, batches: Sequence[Batch], work: Callable[[Batch], Answer], stage: str
    ) -> list[Answer]:
        """What the work answers of each batch, in order."""
        return list(chain(*self._told(partial(_each, work), lots(batches), stage)))

    def total(self, batches: Sequence[Batch], work: Callable[[Batch], Sum], stage: str) -> Sum:
        """What the work says of all batches together."""
        return reduce(operator.add, self._told(partial(_added, work), lots(batches), stage))

    def _told(
        self,
        work: Callable[[tuple[Batch, ...]], Answer],
        tasks: Sequence[tuple[Batch, ...]],
        stage: str,
    ) -> Iterator[Answer]:
        self.progress(stage, 0, len(tasks))
        for done, answer in enumerate(self.share(work, tasks), start=1):
            self.progress(stage, done, len(tasks))
            yield answer


def _each(work: Callable[[Batch], Answer], lot: tuple[Batch, ...]) -> list[Answer]:
    with one_thread():
        return [work(batch) for batch in lot]


def _added(work: Callable[[Batch], Sum], lot: tuple[Batch, ...]) -> Sum:
    with one_thread():
        return reduce(operator.add, map(work, lot))
