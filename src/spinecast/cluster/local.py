"""Workers started on this machine, which nobody else can reach."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from spinecast.cluster.worker import hush
from spinecast.files import scratch_folder

if TYPE_CHECKING:
    from distributed import Client

_SETTINGS: dict[str, Any] = {
    # Dask opens a port for its pages whether or not it has any; ours have none.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.preload": [f"from {hush.__module__} import hush; hush()"],
    # A worker that was ended is started again however often; Dask would stop at a second time.
    "distributed.deploy.lost-worker-timeout": "365 days",
    # Answers of workers are small, and how much is read at once is decided by us: where memory is
    # short nothing goes to the disk, and nobody is stopped.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}


@contextmanager
def started(processes: int, memory: int | None, patience: float) -> Iterator[Client]:
    """A client of so many workers of one thread each, for as long as the block lasts.

    They listen on the loopback alone, and a certificate that lives as long as they do keeps others
    of this machine out.
    """
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    count = max(1, processes)
    with ExitStack() as stack:
        # Dask leaves an empty folder where it is not given one.
        scratch = str(stack.enter_context(scratch_folder()))
        stack.enter_context(dask.config.set(_SETTINGS | {"temporary-directory": scratch}))
        with _undisturbed():
            local = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit="auto" if memory is None else memory // count,
                host="127.0.0.1",
                protocol="tls",
                security=Security.temporary(),
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(local)
        yield stack.enter_context(Client(local, timeout=patience, set_as_default=False))


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
