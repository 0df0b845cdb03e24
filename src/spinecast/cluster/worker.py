"""What runs on a worker: it imports next to nothing, for every worker that starts waits for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from spinecast.cluster.fitness import Program, blind_refused, others_refused, program, unseen

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Failed:
    """What a task raised. To Dask it is an answer: its workers would log what an error says."""

    error: Exception
    traceback: TracebackType | None


def done(
    asked: Program, seen: Sequence[str], work: Callable[[Task], Answer], task: Task
) -> Answer | Failed:
    """Do a task, unless this worker, which may have joined a moment ago, is unfit for it."""
    here = program()
    if asked != here:
        return Failed(others_refused({_place(): here}, asked), None)
    if missing := unseen(seen):
        return Failed(blind_refused({_place(): missing}), None)
    try:
        return work(task)
    except Exception as error:  # noqa: BLE001 - it is raised again where the work was asked for
        return Failed(error, error.__traceback__)


def itself(work: Callable[[Task], Answer]) -> Callable[[Task], Answer]:
    """The work, as a task that every other one is given: so it travels once."""
    return work


def hush() -> None:
    """Leave it to the process that was called to hear Ctrl-C, and to say anything at all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _place() -> str:
    from distributed import get_worker

    return str(get_worker().address)
