"""Work shared among many machines by Dask: a cluster's workers, or some started on this machine.

What a worker does are plain functions of this program, named, and their answers depend on the task
alone. So a task that was lost with its worker is done again elsewhere, and nobody can see it in the
answer. Tasks and answers travel pickled over the wire, and nothing of that is ever on disk. Whoever
reaches a scheduler's port can make its workers do anything: close it to strangers, or let Dask ask
for certificates (its own settings, `DASK_DISTRIBUTED__COMM__TLS__...`; see docs/scale.md).

Dask is an extra (`pip install "spinecast[dask]"`), and imported only when a cluster is asked for.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import platform
import signal
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from spinecast import __version__
from spinecast.errors import Problem, SpinecastError, UsageRefused

Task = TypeVar("Task")
Answer = TypeVar("Answer")

PATIENCE = 10.0
"""Seconds in which a scheduler has to answer, and after which one that does not is lost."""
DESERTED = 60.0
"""Seconds for which work waits for a worker when all of them are gone."""
AT_ONCE = 3
"""Tasks in flight for each thread of a worker: one being done, and some on their way."""

_QUIET = {
    # One megabyte of a model in a task is no reason to warn anybody.
    "distributed.admin.large-graph-warning-threshold": "1GiB",
    "distributed.comm.timeouts.connect": f"{PATIENCE}s",
}

_HUSH = "import spinecast.cluster; spinecast.cluster.hush()"
_STARTED: dict[str, Any] = {
    # Dask opens a port for its pages whether or not it has any; ours have none.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.preload": [_HUSH],
    # A worker that was ended is started again however often; Dask would stop at a second time.
    "distributed.deploy.lost-worker-timeout": "365 days",
    # Answers of workers are small, and how much is read at once is decided by us: where memory is
    # short nothing goes to the disk, and nobody is stopped.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}


@dataclass(frozen=True, slots=True)
class Program:
    """What has to be the same everywhere for answers to be: this program, and Python's release."""

    spinecast: str
    python: str

    def __str__(self) -> str:
        return f"spinecast {self.spinecast} on Python {self.python}"


def program() -> Program:
    """What runs here."""
    return Program(__version__, ".".join(platform.python_version_tuple()[:2]))


class Cluster:
    """Workers of a Dask scheduler, as somebody who does work.

    Attributes:
        client: Dask's connection to the scheduler.
        seen: files and folders that every worker has to see.
    """

    def __init__(self, client: Any, seen: Sequence[Path] = ()) -> None:  # noqa: ANN401 - of Dask
        self.client = client
        self.seen = tuple(str(path) for path in seen)

    def submit(self, work: Any, task: Any, **where: Any) -> Any:  # noqa: ANN401
        """Have a task done by a worker: a Dask future of the answer, or of what `Failed`."""
        return self.client.submit(done, program(), self.seen, work, task, pure=False, **where)

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
        flying: deque[Any] = deque()
        with self._reached():
            most = max(2, AT_ONCE * self.threads())
            # The work travels once, however many tasks there are, and is a task itself: lost with
            # a worker, it is sent again.
            held = self.client.submit(_itself, work, pure=False)
        try:
            while True:
                with self._reached():
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
            with suppress(Exception):
                self.client.cancel(list(flying))

    def threads(self) -> int:
        """How many tasks can be done at once just now."""
        return sum(self.client.nthreads().values())

    def places(self) -> list[str]:
        """The addresses of the workers there are just now, in order.

        Raises:
            SpinecastError: the scheduler does not answer any more.
        """
        # Asked as a coroutine, for only so a scheduler that has stopped is given up.
        ask = self.client.scheduler.ncores
        try:
            with self._reached():
                told = self.client.sync(ask, callback_timeout=PATIENCE)
        except TimeoutError:
            self.lost()
        return sorted(told)

    def memory(self) -> int:
        """How many bytes the worker with the least memory may take; 0 when none has a limit."""
        told = self.client.scheduler_info()["workers"].values()
        return min((its["memory_limit"] for its in told if its["memory_limit"]), default=0)

    def host(self) -> str:
        """By what name or number the workers reach the machine of the scheduler."""
        from distributed.comm import get_address_host

        return str(get_address_host(self.client.scheduler_info(n_workers=0)["address"]))

    def settle(self, workers: int) -> None:
        """Give workers that were ended a moment to come back, until there are so many.

        Raises:
            SpinecastError: none came back.
        """
        with suppress(TimeoutError):
            self.client.wait_for_workers(workers, timeout=PATIENCE)
            return
        deserted = math.inf
        while math.isfinite(deserted := self._look_round(deserted)):
            time.sleep(1.0)

    def wait(self, future: Any) -> Any:  # noqa: ANN401
        """What a Dask future holds, once it is there.

        Raises:
            SpinecastError: the scheduler does not answer any more, all workers are gone, or those
                that tried were ended.
        """
        from distributed import KilledWorker

        deserted = math.inf
        while True:
            try:
                with self._reached():
                    return future.result(timeout=PATIENCE / 2)
            except TimeoutError:
                deserted = self._look_round(deserted)
            except KilledWorker:
                raise SpinecastError(
                    "Workers were ended one after another by the same piece of work, as happens "
                    "when memory is short. Give them more memory, or read fewer rows at once."
                ) from None

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

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """What happens to a question when the scheduler is gone is that it is lost."""
        try:
            yield
        except TimeoutError:
            raise
        except (OSError, CancelledError):
            self.lost()
        except Exception as error:
            if type(error).__name__ == "ClosedClientError":
                self.lost()
            raise

    def lost(self) -> NoReturn:
        """Say that the scheduler is gone.

        Raises:
            SpinecastError: always.
        """
        raise SpinecastError(
            f"The scheduler at {self.client.scheduler.address} was lost. Nothing was left "
            "half-written; start it and run the command again."
        ) from None


@contextmanager
def cluster(
    scheduler: str | None, processes: int, memory: int | None = None, seen: Sequence[Path] = ()
) -> Iterator[Cluster]:
    """Workers that share the work for as long as the block lasts.

    Args:
        scheduler: the address of a Dask scheduler, as `tcp://host:8786` or `tls://host:8786`; its
            workers have to see the cohort's files under the same names. None starts workers on
            this machine, which nobody else can reach: they listen on the loopback alone, and a
            certificate that lives as long as they do keeps others of this machine out.
        processes: how many workers to start, of one thread each; a scheduler has its own.
        memory: how many bytes the started workers may take together; None for all there is.
        seen: files and folders that are worked on, absolute: every worker has to see them.

    Raises:
        UsageRefused: Dask is not installed, the address is none, nobody answers there, it has no
            workers, or one of them runs another version or another Python, or does not see a file.
    """
    try:
        import dask
        import distributed  # noqa: F401 - asked for, so that its absence is said here
    except ModuleNotFoundError as missing:
        problem = Problem(
            "--engine dask", f"{missing.name} is not installed", "it is an extra",
            'Install it: pip install "spinecast[dask]".',
        )  # fmt: skip
        raise UsageRefused("There is no cluster", [problem]) from None
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(dask.config.set(_QUIET))
        if scheduler is None:
            client = stack.enter_context(_started(processes, memory))
        else:
            client = stack.enter_context(_joined(scheduler))
        # What passes over a cohort keep between them lies in a temporary folder.
        mark = stack.enter_context(tempfile.NamedTemporaryFile(prefix="spinecast-"))
        share = Cluster(client, [*seen, Path(mark.name)])
        _refuse_others(client)
        _refuse_blind(share)
        yield share


@contextmanager
def _started(processes: int, memory: int | None) -> Iterator[Any]:
    """A client of workers started on this machine."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    with ExitStack() as stack:
        # Dask leaves an empty folder where it is not given one.
        scratch = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="spinecast-", ignore_cleanup_errors=True)
        )
        stack.enter_context(dask.config.set(_STARTED | {"temporary-directory": scratch}))
        with _undisturbed():
            local = LocalCluster(
                n_workers=max(1, processes),
                threads_per_worker=1,
                memory_limit="auto" if memory is None else memory // max(1, processes),
                host="127.0.0.1",
                protocol="tls",
                security=Security.temporary(),
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(local)
        yield stack.enter_context(Client(local, timeout=PATIENCE, set_as_default=False))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hear Ctrl-C and a request to end only afterwards; what starts inside never hears Ctrl-C.

    A cluster that is interrupted while it starts can neither be used nor be closed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears them
        return
    heard: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    resource_tracker.ensure_running()  # starting it would lift the mask
    mask = getattr(signal, "pthread_sigmask", None)  # not on Windows; processes inherit it
    blocked = mask(signal.SIG_BLOCK, [signal.SIGINT]) if mask else None
    try:
        yield
    finally:
        if mask:
            mask(signal.SIG_SETMASK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        signal.raise_signal(heard[0])


@contextmanager
def _joined(scheduler: str) -> Iterator[Any]:
    """A client of a scheduler that runs already, and has a worker."""
    from distributed import Client

    try:
        asyncio.run(_greeted(scheduler))
    except (OSError, TypeError, ValueError) as error:
        given = f"no Dask scheduler answers there ({_told(error)})"
        raise _no_cluster(scheduler, given) from None
    except Exception:  # noqa: BLE001 - a stranger at that port may say anything
        raise _no_cluster(scheduler, "what answers there is no Dask scheduler") from None
    with Client(scheduler, timeout=PATIENCE, set_as_default=False) as client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise _no_cluster(scheduler, "the scheduler has no workers") from None
        yield client


async def _greeted(scheduler: str) -> None:
    """Ask who is there: a client whose first call fails would go on trying behind our back."""
    from distributed.core import connect, send_recv
    from distributed.security import Security

    async with asyncio.timeout(PATIENCE):
        settings = Security().get_connection_args("client")
        comm = await connect(scheduler, timeout=PATIENCE / 2, **settings)
        try:
            await send_recv(comm, op="identity", reply=True)
        finally:
            comm.abort()


def _no_cluster(scheduler: str, given: str) -> UsageRefused:
    return UsageRefused(
        "There is no cluster",
        [
            Problem(
                f"--scheduler {scheduler}",
                given,
                "the address of a running Dask scheduler with workers is needed, as tcp://host:8786",
                "Start it (`dask scheduler`, `dask worker ADDRESS`), or leave --scheduler away: "
                "workers are then started on this machine.",
            )
        ],
    )


def _told(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask would tell its own users is not told to ours: errors are raised and worded here."""
    names = (
        "distributed",
        "distributed.client",  # Dask gives these two levels of their own
        "distributed.gc",
        "xgboost.dask",
        "[xgboost.dask]",
        "bokeh",
        "tornado.application",
    )
    before = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        # Versions are compared, and refused, by us.
        warnings.filterwarnings("ignore", message="Mismatched versions found")
        warnings.filterwarnings("ignore", message="\nMismatched versions found")
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


# --- what runs on a worker --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failed:
    """What a task raised. To Dask it is an answer: its workers would log what an error says."""

    error: Exception
    traceback: TracebackType | None


def hush() -> None:
    """Leave it to the process that was called to hear Ctrl-C, and to say anything at all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def unseen(paths: Sequence[str]) -> list[str]:
    """Which of these files and folders are not here."""
    return [path for path in paths if not Path(path).exists()]


def _itself(work: Callable[[Task], Answer]) -> Callable[[Task], Answer]:
    return work


def done(
    asked: Program, seen: Sequence[str], work: Callable[[Task], Answer], task: Task
) -> Answer | Failed:
    """Do a task, unless this worker, which may have joined a moment ago, is unfit for it."""
    if asked != program():
        return Failed(_other({_place(): program()}, asked), None)
    if missing := unseen(seen):
        return Failed(_blind({_place(): missing}), None)
    try:
        return work(task)
    except Exception as error:  # noqa: BLE001 - it is raised again where the work was asked for
        return Failed(error, error.__traceback__)


def _place() -> str:
    from distributed import get_worker

    return str(get_worker().address)


# --- workers that are refused -----------------------------------------------------------------


def _refuse_others(client: Any) -> None:  # noqa: ANN401
    """Refuse workers on which this program, this version of it or this Python does not run."""
    told: Mapping[str, Any] = client.run(program, on_error="return")
    here = program()
    others = {place: its for place, its in told.items() if its != here}
    if others:
        raise _other(others, here)


def _other(others: Mapping[str, Any], here: Program) -> UsageRefused:
    problems = [
        Problem(
            f"worker {place}",
            f"it has {its}" if isinstance(its, Program) else f"it lacks spinecast ({_told(its)})",
            f"here it is {here}",
            "Install the same version there.",
        )
        for place, its in sorted(others.items())
    ]
    return UsageRefused("Workers of another version would give other answers", problems)


def _refuse_blind(share: Cluster) -> None:
    """Refuse workers that do not see what is worked on: they would call it damaged."""
    told: Mapping[str, list[str]] = share.client.run(unseen, share.seen)
    if missing := {place: paths for place, paths in told.items() if paths}:
        raise _blind(missing)


def _blind(missing: Mapping[str, Sequence[str]]) -> UsageRefused:
    problems = [
        Problem(
            f"worker {place}",
            f"{path} is not there",
            "every worker has to see it under that name",
            "Put it into a folder that all machines share; TMPDIR names that of temporary files.",
        )
        for place, paths in sorted(missing.items())
        for path in paths
    ]
    return UsageRefused("Workers do not see what they would work on", problems)
