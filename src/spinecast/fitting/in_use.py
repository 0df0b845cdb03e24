"""How good the method is when it knows less of a patient than the cohort's file did.

A clinic will not have every answer. Patients are predicted by models that had not seen them, once
as they were recorded and once with answers blanked, and the two are compared patient by patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spinecast.fitting.refitting import Make, Task, refitted, too_few, troubles
from spinecast.measures.evaluation import RESAMPLES, Comparison, Performance, evaluate_all
from spinecast.measures.logistic import Matrix, Vector
from spinecast.measures.resampling import folds
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone

RECORDED = "as recorded"


@dataclass(frozen=True, slots=True)
class Blanks:
    """What will not be known: some columns for everyone, or any answer with some chance.

    Attributes:
        name: In words.
        columns: Numbers of columns that nobody's answer is known of.
        share: Chance of every other known answer to be blanked, completely at random.
    """

    name: str
    columns: tuple[int, ...] = ()
    share: float = 0.0

    def of(self, codes: Matrix, seed: int) -> Matrix:
        """The same patients with less known."""
        blanked = np.random.default_rng(seed).random(codes.shape) < self.share
        blanked[:, list(self.columns)] = True
        return np.where(blanked, np.nan, codes)


@dataclass(frozen=True, slots=True)
class Knowing:
    """Performance with so much known.

    Attributes:
        name: In words.
        unknown_share: Share of all answers that are unknown.
        performance: Of patients that no model predicting them had seen.
    """

    name: str
    unknown_share: float
    performance: Performance


@dataclass(frozen=True, slots=True)
class InUse:
    """Performance as recorded and as in use, from the same fits for the same patients.

    Attributes:
        known: As recorded first, then one record per way of knowing less.
        differences: Each against "as recorded"; None where nothing could be computed.
        notes: In words, whatever a reader must know.
    """

    known: tuple[Knowing, ...]
    differences: Comparison | None
    notes: tuple[str, ...]


def in_use(
    make: Make,
    codes: Matrix,
    y: Vector,
    blanks: Sequence[Blanks],
    *,
    splits: int = 5,
    resamples: int = RESAMPLES,
    seed: int = 1,
    share: Share = alone,
    progress: Progress = silent,
) -> InUse:
    """Cross-validate the method, its test patients known less well than those learned from.

    Args:
        make: the whole method.
        codes: rows of codes (n, F), NaN for unknown.
        y: the outcome (n,), 0 or 1.
        blanks: ways of knowing less; names differ.
        splits: folds.
        resamples: behind the intervals.
        seed: of folds, blanks and intervals.
        share: who does the work.
        progress: told how many folds are done.
    """
    if words := too_few(y):
        return InUse((), None, (f"Not tried with less known: {words}",))
    versions = {RECORDED: codes} | {b.name: b.of(codes, seed) for b in blanks}
    patients = len(y)
    starts = patients * np.arange(len(versions))
    # Every version of a patient is a row of its own, and only those as recorded are learned from.
    tasks = [
        Task(learn, (starts[:, None] + test).ravel())
        for learn, test in folds(y, repeats=1, splits=splits, seed=seed)
    ]
    rows, outcomes = np.concatenate([*versions.values()]), np.tile(y, len(versions))
    risk = np.full(len(rows), np.nan)
    refits = list(
        refitted(make, rows, outcomes, tasks, share=share, progress=progress, stage="as in use")
    )
    for task, refit in zip(tasks, refits, strict=True):
        risk[task.test] = refit.risk
    unseen = dict(zip(versions, risk.reshape(len(versions), patients), strict=True))
    found, differences = evaluate_all(y, unseen, RECORDED, resamples=resamples, seed=seed)
    return InUse(
        known=tuple(
            Knowing(name, float(np.isnan(versions[name]).mean()), performance)
            for name, performance in found.items()
        ),
        differences=differences,
        notes=troubles(refits),
    )
