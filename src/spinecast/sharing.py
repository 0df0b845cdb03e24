"""Who does the work: this process, several of this machine, or a cluster (`cluster`).

Work is cut into tasks whose answers depend on the task alone, so who does them changes nothing but
the time. Threads would not help where the work holds Python's lock; processes do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Protocol, TypeVar

from threadpoolctl import ThreadpoolController

from spinecast.errors import SpinecastError

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Share(Protocol):
    """Somebody who does work."""

    def __call__(
        self, work: Callable[[Task], Answer], tasks: Sequence[Task], /
    ) -> Iterable[Answer]:
        """Apply the work to every task; the answers come in the tasks' order.

        Others find the work by its name: a function of a module, or a `partial` of one.
        """
        ...


def alone(work: Callable[[Task], Answer], tasks: Sequence[Task]) -> Iterable[Answer]:
    """This process does everything."""
    return map(work, tasks)


@contextmanager
def workers(processes: int) -> Iterator[Share]:
    """Processes that share the work, for as long as the block lasts; 1 for none but this one.

    They start once, for all questions asked inside the block. Should the block be left by an error
    or by Ctrl-C, they end at once. The program that calls must be importable
    (`if __name__ == "__main__"`), as everywhere on Windows.

    Raises:
        SpinecastError: one of them was ended from outside.
    """
    if processes <= 1:
        yield alone
        return
    others = set(multiprocessing.active_children())
    # Spawned, not forked: libraries of the parent may hold locks and threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent)
    try:
        yield partial(_shared, pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    pool.shutdown()


def cores() -> int:
    """How many processes can work at once here."""
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(usable(0)) if usable else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra without threads: on small matrices they cost forty times what they save."""
    with _libraries(len(sys.modules)).limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _libraries(_: int) -> ThreadpoolController:
    """The libraries that have threads; looked for only when something was imported meanwhile."""
    return ThreadpoolController()


def _end_with_parent() -> None:
    # Ctrl-C reaches every process; without this, each would print a traceback of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A kill reaches the parent alone; without this, the others would wait for work for ever.
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _shared(
    pool: ProcessPoolExecutor, work: Callable[[Task], Answer], tasks: Sequence[Task]
) -> Iterator[Answer]:
    try:
        yield from pool.map(work, tasks)
    except BrokenProcessPool:
        raise SpinecastError(
            "A process that shared the work was ended from outside, as happens when memory is "
            "short. Run again with one process."
        ) from None
