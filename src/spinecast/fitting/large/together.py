"""Trees grown by all workers of a cluster together, each on the patients it reads itself.

The same function that grows trees in one process runs on every worker, on that worker's lot of the
patients. XGBoost adds up the workers' histograms (the sums of gradients and Hessians in every bin),
so all of them grow the same trees; what travels are these sums, whose size depends on factors, bins
and depth and not on patients. `xgboost.dask.train` would do the same, but cannot be given the cuts,
without which trees would differ from those of one process, and keeps the patients in the workers'
memory.

XGBoost's workers find each other by a tracker beside Dask's scheduler. Between them nothing is
encrypted, whatever Dask does: the sums say little of any one patient, but the network is to be
closed to strangers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from spinecast.cluster import Cluster, Failed
from spinecast.errors import SpinecastError
from spinecast.fitting.large.grid import Grid
from spinecast.fitting.large.lessons import Lesson
from spinecast.fitting.large.passes import Workshop, lots
from spinecast.fitting.large.trees import STAGE, Grown, Tuning, boost_large
from spinecast.fitting.recipe import TreeRecipe

if TYPE_CHECKING:
    from distributed import Future
    from xgboost.tracker import RabitTracker

Lot = TypeVar("Lot")
Task = TypeVar("Task")
Answer = TypeVar("Answer")

TRIES = 5
"""How often trees are begun anew because a worker was ended."""
WAITS = 300
"""Seconds XGBoost's workers wait for one that still reads its patients, or that is frozen."""
LOOKS = 1.0
"""Seconds between two looks at who of the workers is still there."""
LINGERS = 10.0
"""Seconds for the others to answer once one has: why it lost them may be told last."""


def boosted(
    lessons: Sequence[Lesson],
    tuning: Tuning,
    grid: Grid,
    recipe: TreeRecipe,
    settings: Mapping[str, Any],
    workshop: Workshop,
) -> Grown:
    """`boost_large`, by the workers of a cluster where they share the work: the same trees.

    Args:
        lessons: the patients who teach; each keeps its linear margins as `MARGIN`.
        tuning: those on whom the number of trees is chosen, and whether any stay.
        grid: where cuts may lie.
        recipe: how deep, how fast, how many at most, and what they must gain to stay.
        settings: the same in XGBoost's words; a worker uses the threads it has.
        workshop: where it is done, and by whom.

    Raises:
        SpinecastError: workers were ended too often, or the scheduler was lost.
    """
    memory, progress = workshop.memory, workshop.progress
    if not isinstance(workshop.share, Cluster):
        given = lessons, tuning, grid, recipe, settings
        return boost_large(*given, memory=memory, scratch=workshop.scratch, progress=progress)
    progress(STAGE, 0, recipe.most_rounds)
    own = workshop.share.memory() or memory
    grow = partial(_grow, tuning, grid, recipe, dict(settings), own)
    grown = together(workshop.share, grow, partial(lots, lessons))
    progress(STAGE, recipe.most_rounds, recipe.most_rounds)
    return grown


class _Broken(Exception):
    """The workers lost one of them, which is worth another try."""


def together(
    cluster: Cluster,
    work: Callable[[Lot, Path], Answer],
    cut: Callable[[int], Sequence[Lot]],
) -> Answer:
    """What every worker answers when all of them work at the same time, each on its lot.

    A worker that is ended takes the work of all with it, for their sums pass through its memory.
    Those who are left, or have come back, then begin anew.

    Args:
        cluster: the workers.
        work: grows trees from a lot, by XGBoost, with a folder of the worker's own for what does
            not fit into memory; it has to answer the same everywhere.
        cut: the patients in so many lots, or fewer.

    Raises:
        SpinecastError: whatever the work raised; or workers were ended too often.
    """
    for _ in range(TRIES):
        cluster.settle(1)
        places = cluster.places()
        try:
            return _once(cluster, places, work, cut(len(places)))
        except _Broken:
            cluster.settle(len(places))
    raise SpinecastError(
        f"The trees were begun {TRIES} times, and each time workers lost one of them: it was "
        "ended, as happens when memory is short, or they do not reach each other. Give them more "
        "memory, and let all their machines and the scheduler's reach each other on any port."
    )


def _once(
    cluster: Cluster,
    places: Sequence[str],
    work: Callable[[Lot, Path], Answer],
    cut: Sequence[Lot],
) -> Answer:
    at = places[: len(cut)]
    tracker = cluster.on_scheduler(_tracker, len(cut), cluster.host())
    return _first(cluster, at, partial(_member, work, tracker), list(enumerate(cut)))


def _first(
    cluster: Cluster, at: Sequence[str], work: Callable[[Task], Answer], tasks: Sequence[Task]
) -> Answer:
    """The first answer of these workers, one task for each, which is everybody's answer.

    Raises:
        _Broken: all who answered lost another one.
        Exception: one failed for a reason of its own, by which the others lost it.
    """
    pairs = zip(tasks, at, strict=True)
    futures = [cluster.submit(work, task, place) for task, place in pairs]
    try:
        answer: Answer | Failed
        for answer in _answers(cluster, at, futures):
            if not isinstance(answer, Failed):
                return answer
            if not _has_lost(answer.error):
                raise answer.error.with_traceback(answer.traceback)
    finally:
        cluster.drop(futures)
    raise _Broken


def _answers(cluster: Cluster, at: Sequence[str], futures: Sequence[Future]) -> Iterator[Any]:
    """What workers at these places answer, as it comes; no more once it is vain to wait."""
    waiting, ends = list(futures), math.inf
    while waiting and time.monotonic() < ends:
        ready = cluster.ready(waiting, LOOKS)
        for future in ready:
            waiting.remove(future)
            ends = min(ends, time.monotonic() + LINGERS)
            yield cluster.wait(future)
        # A task that has to be done at a place that is gone would wait for ever.
        if not ready and not set(at) <= set(cluster.places()):
            return


def _has_lost(error: Exception) -> bool:
    """Whether XGBoost says that another worker is gone."""
    from xgboost.core import XGBoostError

    return isinstance(error, XGBoostError) and "/collective/" in str(error)


# --- what runs on the scheduler and on workers ------------------------------------------------


def _tracker(members: int, host: str) -> dict[str, int | str]:
    """Start the tracker of so many members, which ends with them; what they have to know of it.

    It is none of theirs: with a member that is ended, the others would not hear of it.
    """
    import xgboost
    from xgboost.tracker import RabitTracker

    with xgboost.config_context(verbosity=0):
        tracker = RabitTracker(members, host, sortby="task", timeout=WAITS)
        tracker.start()
    Thread(target=_until_all_left, args=(tracker,), daemon=True).start()
    told: dict[str, int | str] = tracker.worker_args()
    return told


def _until_all_left(tracker: RabitTracker) -> None:
    from xgboost.core import XGBoostError

    with suppress(XGBoostError):  # the members say so themselves
        tracker.wait_for()
    # Left to the garbage collector it would complain of a member that never came, minutes later.
    with suppress(XGBoostError):
        tracker.free()


def _member(
    work: Callable[[Lot, Path], Answer], tracker: dict[str, int | str], numbered: tuple[int, Lot]
) -> Answer:
    """Grow trees from a lot as one of the tracker's members."""
    import xgboost
    from distributed import get_worker
    from xgboost.collective import CommunicatorContext
    from xgboost.core import XGBoostError

    number, lot = numbered
    name = f"{number:06}"  # members are ranked by it, so sums are taken in the lots' order
    with (
        TemporaryDirectory(dir=get_worker().local_directory) as scratch,
        xgboost.config_context(verbosity=0),
        ExitStack() as membership,
    ):
        membership.enter_context(
            CommunicatorContext(**tracker, dmlc_task_id=name, dmlc_timeout=WAITS)
        )
        try:
            return work(lot, Path(scratch))
        except Exception:
            # To leave in the middle is an error of its own, which would hide this one.
            with suppress(XGBoostError):
                membership.close()
            raise


def _grow(
    tuning: Tuning,
    grid: Grid,
    recipe: TreeRecipe,
    settings: Mapping[str, Any],
    memory: int,
    lessons: Sequence[Lesson],
    scratch: Path,
) -> Grown:
    from distributed import get_worker

    own = dict(settings) | {"nthread": get_worker().state.nthreads}
    return boost_large(lessons, tuning, grid, recipe, own, memory=memory, scratch=scratch)
