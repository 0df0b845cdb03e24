"""Drawing the same patients again: bootstrap counts, intervals from them, and folds."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spinecast.measures.logistic import Vector

USABLE_SHARE = 0.9
"""An interval is given only if this share of the resamples had a value."""

Indices = npt.NDArray[np.intp]
Counts = npt.NDArray[np.intp]


def resampled(patients: int, resamples: int, seed: int) -> Iterator[Counts]:
    """How often each patient is drawn, with replacement, in each resample; shape (patients,).

    As many are drawn as there are patients. No resample at all where there are none.

    Source: Efron 1979, doi:10.1214/aos/1176344552.
    """
    random = np.random.default_rng(seed)
    for _ in range(resamples if patients else 0):
        yield np.bincount(random.integers(patients, size=patients), minlength=patients)


def percentile_interval(draws: Vector, level: float) -> tuple[float, float]:
    """The middle `level` of what the resamples gave; NaN where fewer than nine in ten gave a value.

    Args:
        draws: Shape (resamples,); NaN where a resample had no value.
        level: Between 0 and 1.
    """
    usable = draws[np.isfinite(draws)]
    if not len(usable) or len(usable) < USABLE_SHARE * len(draws):
        return math.nan, math.nan
    low, high = np.quantile(usable, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def folds(
    y: npt.ArrayLike, *, repeats: int, splits: int, seed: int
) -> Iterator[tuple[Indices, Indices]]:
    """Repeated stratified folds: (patients to learn from, patients to test on), as row numbers.

    In each repeat every patient is tested once; folds differ by at most one patient, and by at
    most one event. The same seed gives the same folds. With fewer events than splits, some folds
    have none.

    Args:
        y: Shape (patients,), the class of each patient.
        repeats: How often the patients are dealt anew.
        splits: Folds per repeat, from 2 to the number of patients.
        seed: Of the shuffling.

    Raises:
        ValueError: `splits` is out of range.
    """
    classes = np.asarray(y)
    if not 2 <= splits <= len(classes):
        raise ValueError(f"splits == {splits}, must be from 2 to the {len(classes)} patients.")
    for repeat in range(repeats):
        shuffled = np.random.default_rng([seed, repeat]).permutation(len(classes))
        dealt = shuffled[np.argsort(classes[shuffled], kind="stable")]
        fold = np.empty(len(classes), dtype=np.intp)
        fold[dealt] = np.arange(len(classes)) % splits
        for test in range(splits):
            yield np.flatnonzero(fold != test), np.flatnonzero(fold == test)


def patient_folds(
    y: npt.ArrayLike, patients: npt.ArrayLike, *, repeats: int, splits: int, seed: int
) -> Iterator[tuple[Indices, Indices]]:
    """Folds as in `folds`, but all rows of one patient stay together.

    In a bootstrap sample a patient comes several times. With a copy among those learned from and
    another among those tested on, cross-validation rewards learning by heart.

    Args:
        y: Shape (rows,); the same in all rows of a patient.
        patients: Shape (rows,), whose row it is.
        repeats: How often the patients are dealt anew.
        splits: Folds per repeat, from 2 to the number of patients.
        seed: Of the shuffling.
    """
    _, first, whose = np.unique(np.asarray(patients), return_index=True, return_inverse=True)
    outcome = np.asarray(y)[first]
    for _, test in folds(outcome, repeats=repeats, splits=splits, seed=seed):
        tested = np.isin(whose, test)
        yield np.flatnonzero(~tested), np.flatnonzero(tested)
