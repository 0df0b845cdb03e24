"""How good the method is with few patients, and with twice as many: should this hospital wait?

The patients are dealt into parts. While one part waits to be predicted, the method learns from 100,
200, 400 … of the others, each lot holding the one before. So all sizes are judged on the same
patients, and every patient is judged once at every size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spinecast.fitting.refitting import (
    FEWEST_EVENTS,
    Indices,
    Make,
    Refit,
    Task,
    kinds,
    refitted,
    too_few,
    troubles,
)
from spinecast.measures.intervals import normal_reach
from spinecast.measures.logistic import Matrix, Vector
from spinecast.measures.metrics import MEASURES, surprises
from spinecast.measures.resampling import folds
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone

SPARED = 0.8
"""A lot larger than this share of the last one would tell nothing that the last does not."""
CURVED = ("log_loss", "auroc", "calibration_slope")
"""Measures that a learning curve shows."""


@dataclass(frozen=True, slots=True)
class Learned:
    """One measure at one size: mean over the repeats, and their lowest and highest; NaN: none."""

    measure: str
    label: str
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Size:
    """What the method reaches with so many patients.

    Attributes:
        patients: Learned from, in each repeat.
        events: Those of them who had the outcome (mean over repeats).
        measures: Of the patients left out; one record per name in `CURVED`.
    """

    patients: int
    events: float
    measures: tuple[Learned, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What more patients bring: by how much the log-loss of the same unseen patients fell.

    `low` and `high` are a normal interval over patients, the fits taken as they are.
    """

    patients: int
    more_patients: int
    gain: float
    low: float
    high: float
    level: float
    in_words: str


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """How performance grows with the patients learned from.

    Attributes:
        repeats: Lots of patients drawn at each size.
        tested: Patients left out in a repeat, on average.
        sizes: From few patients to all that can be spared.
        steps: From each size to the next.
        notes: In words, whatever a reader must know.
    """

    repeats: int
    tested: float
    sizes: tuple[Size, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def learning_curve(
    make: Make,
    codes: Matrix,
    y: Vector,
    *,
    smallest: int = 100,
    repeats: int = 5,
    seed: int = 1,
    level: float = 0.95,
    share: Share = alone,
    progress: Progress = silent,
) -> LearningCurve:
    """Learn from ever more patients and judge on the same unseen ones.

    Args:
        make: the whole method.
        codes: rows of codes (n, F), NaN for unknown.
        y: the outcome (n,), 0 or 1.
        smallest: patients of the first lot; each next has twice as many, the last all there are.
        repeats: parts the patients are dealt into, at least 2: one in `repeats` is left out.
        seed: of the dealing.
        level: confidence level of each step's gain.
        share: who does the work.
        progress: told how many fits are done.
    """
    if words := too_few(y):
        return LearningCurve(repeats, 0.0, (), (), (f"No learning curve: {words}",))
    split = list(folds(y, repeats=1, splits=repeats, seed=seed))
    queues = [nested(learn, y, seed) for learn, _ in split]
    sizes, notes = _sizes(queues, y, smallest)
    tasks = [
        Task(np.sort(queue[:size]), test)
        for size in sizes
        for queue, (_, test) in zip(queues, split, strict=True)
    ]
    refits = list(
        refitted(make, codes, y, tasks, share=share, progress=progress, stage="learning curve")
    )
    at = [slice(i * repeats, (i + 1) * repeats) for i in range(len(sizes))]
    told = tuple(_size(y, tasks[lot], refits[lot]) for lot in at)
    unseen = [_losses(y, tasks[lot], refits[lot]) for lot in at]
    steps = tuple(
        _step(told[i].patients, told[i + 1].patients, unseen[i] - unseen[i + 1], level)
        for i in range(len(sizes) - 1)
    )
    return LearningCurve(repeats, len(y) / repeats, told, steps, (*notes, *troubles(refits)))


def nested(rows: Indices, y: Vector, seed: int) -> Indices:
    """The rows in a random order of which every beginning has the same share of events."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    place = np.empty(len(shuffled))
    for kind in (0, 1):
        own = np.flatnonzero(y[shuffled] == kind)
        place[own] = (np.arange(len(own)) + 0.5) / max(len(own), 1)
    return np.asarray(shuffled[np.argsort(place, kind="stable")], dtype=np.intp)


def _sizes(queues: Sequence[Indices], y: Vector, smallest: int) -> tuple[list[int], list[str]]:
    """The lots' sizes, and a word on those with too few events to learn from."""
    most = min(len(queue) for queue in queues)
    doubled = [smallest]
    while 2 * doubled[-1] <= most:
        doubled.append(2 * doubled[-1])
    wanted = [size for size in doubled if size <= SPARED * most] + [most]
    fewest = [min(min(kinds(y[queue[:size]])) for queue in queues) for size in wanted]
    sizes = [size for size, few in zip(wanted, fewest, strict=True) if few >= FEWEST_EVENTS]
    skipped = [str(size) for size in wanted if size not in sizes]
    words = f"fewer than {FEWEST_EVENTS} patients of a kind to learn from"
    notes = [f"Not tried with {', '.join(skipped)} patients: {words}."] if skipped else []
    return sizes, notes


def _size(y: Vector, tasks: Sequence[Task], refits: Sequence[Refit]) -> Size:
    learned = [len(task.learn) for task in tasks]
    events = [kinds(y[task.learn])[0] for task in tasks]
    return Size(max(learned), float(np.mean(events)), tuple(_learned(y, tasks, refits)))


def _learned(y: Vector, tasks: Sequence[Task], refits: Sequence[Refit]) -> Iterator[Learned]:
    for measure in MEASURES:
        if measure.name not in CURVED:
            continue
        values = np.array(
            [
                measure.function(y[task.test], refit.risk, None)
                for task, refit in zip(tasks, refits, strict=True)
            ]
        )
        # A mean over some repeats would compare other patients than at the next size.
        mean, least, most = (float(f(values)) for f in (np.mean, np.min, np.max))
        yield Learned(measure.name, measure.label, mean, least, most)


def _losses(y: Vector, tasks: Sequence[Task], refits: Sequence[Refit]) -> Vector:
    """The log-loss of every patient, each left out once, (n,); NaN where a refit failed."""
    losses = np.empty(len(y))
    for task, refit in zip(tasks, refits, strict=True):
        losses[task.test] = surprises(y[task.test], refit.risk)
    return losses


def _step(fewer: int, more: int, gains: Vector, level: float) -> Step:
    gain = float(gains.mean())
    reach = normal_reach(level) * float(gains.std(ddof=1)) / len(gains) ** 0.5
    low, high = gain - reach, gain + reach
    words = f"From {fewer:,} to {more:,} patients "
    if math.isnan(gain):
        words += "the gain is not known, as refits failed."
    else:
        words += (
            f"the log-loss of unseen patients {'fell' if gain >= 0 else 'rose'} by "
            f"{abs(gain):.4f} nats ({level:.0%} interval of the fall {low:.4f} to {high:.4f}): "
            f"{_verdict(low, high)}."
        )
    return Step(fewer, more, gain, low, high, level, words)


def _verdict(low: float, high: float) -> str:
    if low > 0:
        return "more patients helped"
    return "more patients did harm" if high < 0 else "no gain is established"
