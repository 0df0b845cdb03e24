"""A scheduler that runs already: whether one answers, and has workers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spinecast.cluster.fitness import blame
from spinecast.errors import Problem, UsageRefused

if TYPE_CHECKING:
    from distributed import Client


@contextmanager
def joined(address: str, patience: float) -> Iterator[Client]:
    """A client of the scheduler at this address, for as long as the block lasts.

    Raises:
        UsageRefused: the address is none, nobody answers there in so many seconds, or the scheduler
            has no workers.
    """
    from distributed import Client

    try:
        asyncio.run(_greeted(address, patience))
    except (OSError, TypeError, ValueError) as error:
        given = f"no Dask scheduler answers there ({blame(error)})"
        raise _no_cluster(address, given) from None
    except Exception:  # noqa: BLE001 - a stranger at that port may say anything
        raise _no_cluster(address, "what answers there is no Dask scheduler") from None
    with Client(address, timeout=patience, set_as_default=False) as client:
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError:
            raise _no_cluster(address, "the scheduler has no workers") from None
        yield client


async def _greeted(address: str, patience: float) -> None:
    """Ask who is there: a client whose first call fails would go on trying behind our back."""
    from distributed.core import connect, send_recv
    from distributed.security import Security

    async with asyncio.timeout(patience):
        settings = Security().get_connection_args("client")
        comm = await connect(address, timeout=patience / 2, **settings)
        try:
            await send_recv(comm, op="identity", reply=True)
        finally:
            comm.abort()


def _no_cluster(address: str, given: str) -> UsageRefused:
    problem = Problem(
        f"--scheduler {address}",
        given,
        "the address of a running Dask scheduler with workers is needed, as tcp://host:8786",
        "Start it (`dask scheduler`, `dask worker ADDRESS`), or leave --scheduler away: "
        "workers are then started on this machine.",
    )
    return UsageRefused("There is no cluster", [problem])
