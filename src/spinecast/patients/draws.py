"""Chance that hangs on the patient alone: whoever reads a cohort, in whatever order and pieces.

A patient's id is hashed, and every draw is made from that hash and a seed. So the same patients are
held out, and counted as often in a bootstrap sample, in one file or a thousand, on one machine or
twenty, and nothing has to be remembered of any of them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

HashArray = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.float64]
CountArray = npt.NDArray[np.uint8]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_LAST = np.uint64(31)
_SIXTEEN = np.uint64(0xFFFF)
_BELOW = np.cumsum([math.exp(-1.0) / math.factorial(times) for times in range(9)])
_TIMES = np.searchsorted(_BELOW, (np.arange(2**16) + 0.5) / 2**16).astype(np.uint8)
"""The Poisson count of mean 1 that each number of 16 bits stands for."""


def hashes(ids: npt.NDArray[np.object_]) -> HashArray:
    """A number of 64 bits for each id, (n,): the same id, the same number, everywhere."""
    return np.asarray(pd.util.hash_array(ids, categorize=False), dtype=np.uint64)


def uniform(hashed: HashArray, seed: int, draw: int = 0) -> FloatArray:
    """A number from 0 up to 1 for each hashed id, (n,); every seed and `draw` gives others.

    The finaliser of SplitMix64 (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195), twice: over
    what is drawn, and over the patient.
    """
    return np.asarray((_bits(hashed, seed, draw) >> np.uint64(11)) * 2.0**-53)


def poisson(hashed: HashArray, seed: int, samples: int, first: int = 0) -> CountArray:
    """How often each hashed id comes in each of so many bootstrap samples, (n, samples).

    Poisson counts of mean 1 in place of drawing with replacement: nobody's count depends on who
    else there is. Each takes 16 bits, so one draw, from `first` on, serves four samples.
    """
    counts = np.empty((len(hashed), samples), dtype=np.uint8, order="F")
    for four in range(0, samples, 4):
        bits = _bits(hashed, seed, first + four // 4)
        for one in range(four, min(four + 4, samples)):
            counts[:, one] = _TIMES[(bits & _SIXTEEN).astype(np.intp)]
            bits = bits >> np.uint64(16)
    return counts


def _bits(hashed: HashArray, seed: int, draw: int) -> HashArray:
    with np.errstate(over="ignore"):
        key = _mixed(np.array([seed], dtype=np.uint64) * _GOLDEN + np.uint64(draw + 1))
        return _mixed(hashed + key * _GOLDEN)


def _mixed(numbers: HashArray) -> HashArray:
    for shift, factor in _MIX:
        numbers = (numbers ^ (numbers >> shift)) * factor
    return np.asarray(numbers ^ (numbers >> _LAST))
