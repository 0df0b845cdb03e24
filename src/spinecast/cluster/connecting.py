"""A cluster to be asked to work, for as long as it is needed."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spinecast.cluster.client import PATIENCE, Cluster
from spinecast.cluster.fitness import refuse_unfit
from spinecast.cluster.local import started
from spinecast.cluster.scheduler import joined
from spinecast.errors import Problem, UsageRefused

_LOUD = (
    "distributed",
    "distributed.client",  # Dask gives these two levels of their own
    "distributed.gc",
    "xgboost.dask",
    "[xgboost.dask]",
    "bokeh",
    "tornado.application",
)
"""Whose log is not for people."""


@contextmanager
def cluster(
    scheduler: str | None,
    processes: int,
    memory: int | None = None,
    seen: Sequence[Path] = (),
    *,
    patience: float = PATIENCE,
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
        patience: seconds in which a scheduler has to answer, or else is lost.

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
    settings = {
        # One megabyte of a model in a task is no reason to warn anybody.
        "distributed.admin.large-graph-warning-threshold": "1GiB",
        "distributed.comm.timeouts.connect": f"{patience}s",
    }
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(dask.config.set(settings))
        if scheduler is None:
            client = stack.enter_context(started(processes, memory, patience))
        else:
            client = stack.enter_context(joined(scheduler, patience))
        # What passes over a cohort keep between them lies in a temporary folder.
        mark = stack.enter_context(tempfile.NamedTemporaryFile(prefix="spinecast-"))
        share = Cluster(client, [*seen, Path(mark.name)], patience)
        refuse_unfit(client, share.seen)
        yield share


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask would tell its own users is not told to ours: errors are raised and worded here."""
    before = {name: logging.getLogger(name).level for name in _LOUD}
    with warnings.catch_warnings():
        # Versions are compared, and refused, by us.
        warnings.filterwarnings("ignore", message="\n?Mismatched versions found")
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)
