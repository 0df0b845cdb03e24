"""The whole method, learned anew on other patients: the one place where validation does its work.

Optimism, other sites, a later period, a learning curve: each is a list of `Task`s, and each task
fits everything from nothing, completion of unknowns and tuning included. Tasks can be shared among
processes (`sharing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from spinecast.errors import SpinecastError
from spinecast.measures.logistic import Matrix, Vector
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone, one_thread

Indices = npt.NDArray[np.intp]

FEWEST_EVENTS = 10
"""Fewer patients with (or without) the outcome are not learned from, and a site or period with
fewer is not judged: its numbers would be anecdotes. A convention of this program."""
FEWEST_TO_LEARN = 2
"""Different patients of either kind below which no method can even make two folds."""


class Fitted(Protocol):
    """What gives patients a risk."""

    def predict_proba(self, codes: Matrix) -> Matrix:
        """Risk of doing well and of failure, (n, 2)."""
        ...


class Method(Protocol):
    """What learns from patients."""

    def fit(self, codes: Matrix, y: Vector, patients: Indices | None = None) -> Fitted:
        """Learn; rows with the same number in `patients` are copies of one patient."""
        ...


Make: TypeAlias = Callable[[], Method]
"""A method, made afresh. Other processes find it by its name: a class, or a `partial` of one."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Whom to learn from and whom to give a risk, as row numbers; a row may be learned twice."""

    learn: Indices
    test: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """The risks that one task gave its test patients; all NaN, and why, where it could not."""

    risk: Vector
    trouble: str = ""


def refitted(
    make: Make,
    codes: Matrix,
    y: Vector,
    tasks: Sequence[Task],
    *,
    share: Share = alone,
    progress: Progress = silent,
    stage: str = "refitting",
) -> Iterator[Refit]:
    """Learn from the patients of each task and give the others their risk, in the tasks' order.

    Args:
        make: the method.
        codes: rows of codes (n, F), NaN for unknown.
        y: the outcome (n,), 0 or 1.
        tasks: who learns from whom.
        share: who does the work.
        progress: told how many tasks are done.
        stage: what to call the work.

    Raises:
        SpinecastError: another process was ended from outside.
    """
    work = partial(_refit, make, codes, y)
    for done, refit in enumerate(share(work, tasks)):
        progress(stage, done + 1, len(tasks))
        yield refit


def _refit(make: Make, codes: Matrix, y: Vector, task: Task) -> Refit:
    events, others = kinds(y[np.unique(task.learn)])
    if min(events, others) < FEWEST_TO_LEARN:
        return _none(task, "too few patients of one kind to learn from")
    try:
        with one_thread():
            fitted = make().fit(codes[task.learn], y[task.learn], task.learn)
            return Refit(np.asarray(fitted.predict_proba(codes[task.test])[:, 1], dtype=np.float64))
    except (SpinecastError, ArithmeticError, np.linalg.LinAlgError) as error:
        return _none(task, str(error).partition("\n")[0])


def _none(task: Task, trouble: str) -> Refit:
    return Refit(np.full(len(task.test), np.nan), trouble)


def kinds(y: Vector) -> tuple[int, int]:
    """How many had the outcome, and how many had not."""
    events = int(y.sum())
    return events, len(y) - events


def too_few(y: Vector) -> str:
    """Why these patients are too few to learn from or to be judged by; "" when they are not."""
    events, others = kinds(y)
    if min(events, others) >= FEWEST_EVENTS:
        return ""
    return (
        f"{events} of {len(y)} patients had the outcome; "
        f"at least {FEWEST_EVENTS} with and {FEWEST_EVENTS} without are needed."
    )


def troubles(refits: Sequence[Refit]) -> tuple[str, ...]:
    """What went wrong in refits, each reason once with how often."""
    reasons = [refit.trouble for refit in refits if refit.trouble]
    return tuple(
        f"{reasons.count(reason)} of {len(refits)} refits failed: {reason}."
        for reason in dict.fromkeys(reasons)
    )
