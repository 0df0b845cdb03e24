"""Scale on many machines: Dask's workers beside one process, and what travels between them.

What is measured is a large training, from shards of checked patients to the model and its
judgement (`scale_training`). Bytes are counted where each worker meets the network: every worker
lives in a network namespace of its own, joined by a bridge, which takes root. Without root that
part is left out.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from measured import CORES, MEGABYTE, REPEATS, Line
from scale_training import SHARD_ROWS, recipe, shard_patients, shards_of

import spinecast
from spinecast.cluster import cluster
from spinecast.fitting.large.passes import TASKS, Workshop
from spinecast.fitting.large.plan import Plan
from spinecast.fitting.large.training import train_large
from spinecast.fitting.recipe import LargeRecipe, Recipe
from spinecast.knowledge.loading import load_registry
from spinecast.sharing import Share, alone, workers

TIMES = 1.3
"""How much longer two workers of Dask may take than one process of two threads."""
FLAT = 1.05
"""How many times the bytes of the smallest cohort a worker may move for one four times its size."""
SIZES, WORKERS = (4, 1), (1, 2, 4)
BRIDGE, NET = "spinecast0", "10.77.0"
SOURCE = Path(spinecast.__file__).parents[1]


def clusters(folder: Path, rows: int) -> Iterator[Line]:
    """Each claim as it is measured."""
    patients = folder / f"shards-{rows}"
    shard_patients(patients, rows)
    yield from _times(folder, patients, rows)
    if os.geteuid() or shutil.which("ip") is None:
        yield Line("moved by each worker", "not measured, which takes root and `ip`")
        return
    yield from _bytes(folder, rows)


def _times(folder: Path, patients: Path, rows: int) -> Iterator[Line]:
    """The same training by one process, by two, and by two workers of Dask; their start counts."""
    ways = {
        "one process of two threads": lambda: _only(alone),
        "two processes": lambda: workers(CORES),
        "two workers of Dask": lambda: cluster(None, CORES),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    boosters = set()
    for _ in range(REPEATS if rows <= 1_000_000 else 1):
        for way, made in ways.items():
            start = time.perf_counter()
            with made() as share:
                boosters.add(_train(folder, patients, recipe(rows), share))
            seconds[way].append(time.perf_counter() - start)
    medians = {way: statistics.median(taken) for way, taken in seconds.items()}
    first, *others = medians
    for way in others:
        ratio = medians[way] / medians[first]
        told = f"{medians[way]:.1f} s, {first} {medians[first]:.1f} s, {ratio:.2f} times"
        goal = (f"{TIMES:g} times", ratio <= TIMES) if "Dask" in way else ()
        yield Line(f"train {rows:,} rows by {way}", told, *goal)
    same = len(boosters) == 1
    told = "identical" if same else "different"
    yield Line("trees of all three", told, "identical", same)


def _bytes(folder: Path, rows: int) -> Iterator[Line]:
    """What a worker sends and receives, as patients grow and as workers do."""
    sizes = [rows // size for size in SIZES]
    # A pass has as many tasks as shards, but no more than TASKS: the smallest has these already.
    shard_rows = min(SHARD_ROWS, min(sizes) // TASKS)
    for count in WORKERS:
        moved = []
        for size in sizes:
            patients = folder / f"moved-{size}"
            shard_patients(patients, size, shard_rows)
            moved.append(_moved(folder, patients, size, count))
        told = ", ".join(
            f"{size:,} rows {bytes_ / MEGABYTE:.1f} MB"
            for size, bytes_ in zip(sizes, moved, strict=True)
        )
        ratio = moved[-1] / moved[0]
        what = f"moved by each of {count} worker{'s' if count > 1 else ''}"
        yield Line(what, f"{told}; {ratio:.2f} times", f"{FLAT:g} times", ratio <= FLAT)


def _train(folder: Path, patients: Path, chosen: Recipe, share: Share) -> str | None:
    shards = shards_of(patients)
    plan = Plan.of(chosen, sum(shard.rows for shard in shards))
    assert plan is not None  # noqa: S101
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        workshop = Workshop(Path(scratch), share, threads=CORES)
        given = shards, plan, load_registry(), chosen, workshop
        return train_large(*given, trained_on="simulated", outcome="fbss_12m").booster


@contextmanager
def _only(share: Share) -> Iterator[Share]:
    yield share


# --- machines that are none -----------------------------------------------------------------------


def _moved(folder: Path, patients: Path, rows: int, count: int) -> float:
    """Bytes that each worker sends and receives while it trains, the mean over workers."""
    # The same patients are set apart at every size, for only so sizes can be compared.
    held = 1_000
    large = LargeRecipe(patients=rows // 2, held=held, sample=held)
    chosen = recipe(rows).model_copy(update={"large": large})
    with _network(count) as spaces, ExitStack() as stack:
        port = _free_port()
        address = f"tcp://{NET}.1:{port}"
        stack.enter_context(
            _process("distributed.cli.dask_scheduler", f"--host={NET}.1", f"--port={port}")
        )
        for at, space in enumerate(spaces):
            here = f"--host={NET}.{2 + at}"
            options = [address, here, "--nthreads=1", "--no-nanny"]
            stack.enter_context(_process("distributed.cli.dask_worker", *options, space=space))
        share = stack.enter_context(_connected(address))
        share.client.wait_for_workers(count, timeout=60)
        before = [_counted(space) for space in spaces]
        _train(folder, patients, chosen, share)
        return statistics.fmean(
            _counted(space) - start for space, start in zip(spaces, before, strict=True)
        )


@contextmanager
def _connected(address: str) -> Iterator[cluster]:
    """A client of a scheduler that may be starting."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if not probe.connect_ex((f"{NET}.1", int(address.rpartition(":")[2]))):
                break
        time.sleep(0.1)
    with cluster(address, 1) as share:
        yield share


def _free_port() -> int:
    with socket.create_server((f"{NET}.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def _process(module: str, *options: str, space: str = "") -> Iterator[None]:
    command = [sys.executable, "-m", module, *options, "--no-dashboard"]
    entered = ["ip", "netns", "exec", space, *command] if space else command
    process = subprocess.Popen(  # noqa: S603 - our own program
        entered,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _network(count: int) -> Iterator[list[str]]:
    """Namespaces that see each other and this process over a bridge, and nobody else."""
    spaces = [f"{BRIDGE}-{at}" for at in range(count)]
    try:
        _ip("link add", BRIDGE, "type bridge")
        _ip(f"addr add {NET}.1/24 dev", BRIDGE)
        _ip("link set", BRIDGE, "up")
        for at, space in enumerate(spaces):
            _ip("netns add", space)
            _ip(f"link add spv{at} type veth peer name spw{at}")
            _ip(f"link set spw{at} netns", space)
            _ip(f"link set spv{at} master", BRIDGE)
            _ip(f"link set spv{at} up")
            _ip(f"-n {space} addr add {NET}.{2 + at}/24 dev spw{at}")
            _ip(f"-n {space} link set spw{at} up")
            _ip(f"-n {space} link set lo up")
        yield spaces
    finally:
        for space in spaces:
            _ip("netns del", space, check=False)
        _ip("link del", BRIDGE, check=False)


def _ip(*words: str, check: bool = True) -> None:
    command = ["ip", *" ".join(words).split()]
    subprocess.run(command, check=check, capture_output=True)  # noqa: S603


def _counted(space: str) -> int:
    """Bytes received and sent so far by the one card of a namespace."""
    command = ["ip", "netns", "exec", space, "cat", "/proc/net/dev"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    card = next(line for line in told.splitlines() if line.strip().startswith("spw"))
    numbers = card.partition(":")[2].split()
    return int(numbers[0]) + int(numbers[8])
