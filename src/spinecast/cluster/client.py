"""The cluster as it is asked to work: answers in order, whatever is lost on the way."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spinecast.cluster.fitness import program
from spinecast.cluster.worker import Failed, done, itself
from spinecast.errors import SpinecastError

if TYPE_CHECKING:
    from distributed import Client, Future

Task = TypeVar("Task")
Answer = TypeVar("Answer")

PATIENCE = 10.0
"""Seconds in which a scheduler has to answer, and after which one that does not is lost."""
OWN_WORK = 60.0
"""Seconds for what a scheduler does itself: it answers nobody while it imports a library."""
DESERTED = 60.0
"""Seconds for which work waits for a worker when all of them are gone."""
AT_ONCE = 3
"""Tasks in flight for each thread of a worker: one being done, and some on their way."""


class Cluster:
    """Workers of a Dask scheduler, as somebody who does work.

    Attributes:
        client: Dask's connection to the scheduler.
        address: the scheduler's.
        seen: files and folders that every worker has to see.
        patience: seconds in which the scheduler has to answer.
    """

    def __init__(
        self, client: Client, seen: Sequence[Path] = (), patience: float = PATIENCE
    ) -> None:
        self.client = client
        self.address = str(client.scheduler.address)
        self.seen = tuple(str(path) for path in seen)
        self.patience = patience

    def submit(
        self, work: Callable[[Task], Answer] | Future, task: Task, place: str | None = None
    ) -> Future:
        """Have a task done by a worker: a Dask future of the answer, or of what `Failed`.

        Args:
            work: what is done, or a Dask future of it.
            task: to what.
            place: the address of the worker who does it; any without.

        Raises:
            SpinecastError: the scheduler was lost.
        """
        given = program(), self.seen, work, task
        with self._reached():
            return self.client.submit(done, *given, pure=False, workers=place)

    def __call__(
        self, work: Callable[[Task], Answer], tasks: Sequence[Task], /
    ) -> Iterator[Answer]:
        """Apply the work to every task on the workers; the answers come in the tasks' order.

        Few tasks are on their way at a time, so answers do not pile up here or there. A task whose
        worker was ended is done by another one.

        Raises:
            SpinecastError: whatever the work raised, as it was raised there; the scheduler was
                lost; or several workers were ended by one task.
            UsageRefused: a worker runs another version.
        """
        waiting = iter(tasks)
        flying: deque[Future] = deque()
        most = max(2, AT_ONCE * self.threads())
        with self._reached():
            # The work travels once, however many tasks there are, and is a task itself: lost with
            # a worker, it is sent again.
            held = self.client.submit(itself, work, pure=False)
        try:
            while True:
                for task in waiting:
                    flying.append(self.submit(held, task))
                    if len(flying) >= most:
                        break
                if not flying:
                    return
                answer = self.wait(flying[0])
                flying.popleft()
                if isinstance(answer, Failed):
                    raise answer.error.with_traceback(answer.traceback)
                yield answer
        finally:
            self.drop(flying)

    def drop(self, futures: Iterable[Future]) -> None:
        """Have Dask futures forgotten; where the scheduler is lost, they are."""
        with suppress(Exception):
            self.client.cancel(list(futures))

    # Whatever is asked of the scheduler, it is lost (SpinecastError) if it does not answer in time.

    def threads(self) -> int:
        """How many tasks can be done at once just now."""
        return sum(self._ask("ncores").values())

    def places(self) -> list[str]:
        """The addresses of the workers there are just now, in order."""
        return sorted(self._ask("ncores"))

    def memory(self) -> int:
        """How many bytes the worker with the least memory may take; 0 when none has a limit."""
        told = self._ask("identity", n_workers=-1)["workers"].values()
        return min((its["memory_limit"] for its in told if its["memory_limit"]), default=0)

    def host(self) -> str:
        """By what name or number the workers reach the machine of the scheduler."""
        from distributed.comm import get_address_host

        return str(get_address_host(self._ask("identity", n_workers=0)["address"]))

    def on_scheduler(self, work: Callable[..., Answer], *given: Any) -> Answer:  # noqa: ANN401
        """What a short piece of work answers that the scheduler does itself."""
        with self._reached():
            told: Answer = self.client.run_on_scheduler(work, *given, callback_timeout=OWN_WORK)
        return told

    def settle(self, workers: int) -> None:
        """Give workers that were ended a moment to come back, until there are so many.

        Raises:
            SpinecastError: none came back, or the scheduler was lost.
        """
        ends, deserted = time.monotonic() + self.patience, math.inf
        while len(self.places()) < workers:
            deserted = self._look_round(deserted)
            if math.isinf(deserted) and time.monotonic() > ends:
                return
            time.sleep(0.2)

    def ready(self, futures: Sequence[Future], seconds: float) -> list[Future]:
        """Those of some Dask futures whose answer is there; waits so long for the first.

        Raises:
            SpinecastError: the scheduler was lost.
        """
        from distributed import wait

        with self._reached(), suppress(TimeoutError), self.client.as_current():
            wait(futures, seconds, "FIRST_COMPLETED")
        return [future for future in futures if future.done()]

    def wait(self, future: Future) -> Any:  # noqa: ANN401 - the work's own answer
        """What a Dask future holds, once it is there.

        Raises:
            SpinecastError: the scheduler does not answer any more, all workers are gone, or those
                that tried were ended.
        """
        from distributed import KilledWorker

        deserted = math.inf
        while True:
            try:
                with self._reached(), suppress(TimeoutError):
                    return future.result(timeout=self.patience / 4)
            except KilledWorker:
                raise SpinecastError(
                    "Workers were ended one after another by the same task, as happens when "
                    "memory is short. Give them more memory, or read fewer rows at once."
                ) from None
            deserted = self._look_round(deserted)

    def _look_round(self, deserted: float) -> float:
        """Whether it is worth waiting on: the moment until which workers may be missing."""
        if self.places():
            return math.inf
        deserted = min(deserted, time.monotonic() + DESERTED)
        if time.monotonic() > deserted:
            raise SpinecastError(
                f"The cluster has had no worker for {DESERTED:.0f} seconds. Nothing was left "
                "half-written; start workers and run the command again."
            )
        return deserted

    def _ask(self, question: str, **given: Any) -> Any:  # noqa: ANN401 - the scheduler's own
        """What the scheduler answers a question of Dask's own."""
        with self._reached():
            # Asked as a coroutine, for only so a scheduler that has stopped is given up.
            ask = getattr(self.client.scheduler, question)
            return self.client.sync(ask, callback_timeout=self.patience, **given)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """A scheduler that does not answer in time, or hangs up, is lost.

        Raises:
            SpinecastError: it is.
        """
        from distributed.client import ClosedClientError

        lost = SpinecastError(
            f"The scheduler at {self.address} was lost. Nothing was left half-written; start it "
            "and run the command again."
        )
        # Dask's connection closes for good when it has tried for a while to come back.
        if self.client.status == "closed":
            raise lost
        try:
            yield
        except (OSError, CancelledError, ClosedClientError):  # a TimeoutError is an OSError
            raise lost from None
