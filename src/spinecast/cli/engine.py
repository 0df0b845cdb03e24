"""By whom the work of a command is done, and how much they may take: this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spinecast.errors import Problem, UsageRefused

if TYPE_CHECKING:
    from spinecast.sharing import Share

Command = TypeVar("Command", bound=Callable[..., Any])
DASK, HERE = "dask", "processes"


def engine_options(command: Command) -> Command:
    """Who shares the work on a cohort in parts."""
    engine = "Who shares it: processes of this machine, or Dask's workers."
    scheduler = (
        "Where Dask's scheduler is, as tcp://host:8786; without it, workers of this machine."
    )
    for option in (
        click.option("--scheduler", metavar="ADDRESS", help=scheduler),
        click.option("--engine", type=click.Choice([HERE, DASK]), help=engine),
    ):
        command = option(command)
    return command


@contextmanager
def who_works(
    engine: str | None,
    scheduler: str | None,
    processes: int,
    memory: int | None = None,
    seen: Sequence[Path] = (),
) -> Iterator[Share]:
    """Whoever a command is to share its work with.

    Args:
        engine: processes of this machine, or Dask's workers; None for processes.
        scheduler: where Dask's scheduler is; None starts workers here.
        processes: how many work here; a scheduler has its own workers.
        memory: how many bytes workers started here may take together; None for what there is.
        seen: files and folders that are worked on; workers elsewhere know them by absolute names.

    Raises:
        UsageRefused: a scheduler without Dask; or there is no cluster.
    """
    if engine != DASK:
        if scheduler is not None:
            given, remedy = "given without --engine dask", "Add --engine dask."
            problem = Problem("--scheduler", given, "only Dask has one", remedy)
            raise UsageRefused("Nobody was asked to work", [problem])
        from spinecast.sharing import workers

        with workers(processes) as share:
            yield share
        return
    from spinecast.cluster import cluster

    with cluster(scheduler, processes, memory, [path.absolute() for path in seen]) as dask:
        yield dask
