"""How much a patient's risk would have differed, had the model been learned from other patients.

The model is learned anew on bootstrap samples of its cohort, every step included, and each refit
gives a risk to the same patients. This is arithmetic on those risks; who refits does it elsewhere.

Source: Riley & Collins 2023, doi:10.1002/bimj.202200302.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.measures.logistic import Vector
from spinecast.measures.resampling import USABLE_SHARE


@dataclass(frozen=True, slots=True, eq=False)
class Instability:
    """How far refits scatter about the risk that each patient was given; NaN where unknown.

    All of shape (patients,), in order of `risk`: no row can be traced to a row of a file.

    Attributes:
        risk: The risk from the model itself.
        low: Lower end of the middle `level` of the refits' risks.
        high: Upper end.
        error: Mean absolute difference of the refits' risks from `risk`.
        mean_error: Mean of `error` over patients (mean absolute prediction error).
        level: Share of refits between `low` and `high`.
    """

    risk: Vector
    low: Vector
    high: Vector
    error: Vector
    mean_error: float
    level: float


def instability(risk: npt.ArrayLike, refits: npt.ArrayLike, *, level: float = 0.9) -> Instability:
    """Whether another cohort of this size would have told these patients the same.

    Args:
        risk: Shape (patients,), from the model itself; none missing.
        refits: Shape (refits, patients), from the model learned anew; a row with a missing risk
            counts for nobody.
        level: Share of refits that each patient's interval holds.

    Returns:
        Patients in order of their risk; all but that NaN where fewer than nine in ten refits gave
        everyone a risk.

    Raises:
        ValueError: Shapes that do not fit, risks outside [0, 1], or the level is not in (0, 1).
    """
    risks, drawn = np.asarray(risk, dtype=np.float64), np.asarray(refits, dtype=np.float64)
    _refuse(risks, drawn, level)
    order = np.argsort(risks, kind="stable")
    risks, drawn = risks[order], drawn[:, order]
    usable = drawn[~np.isnan(drawn).any(axis=1)]
    if not len(risks) or not len(usable) or len(usable) < USABLE_SHARE * len(drawn):
        unknown = np.full(len(risks), math.nan)
        return Instability(risks, unknown, unknown, unknown, math.nan, level)
    low, high = np.quantile(usable, ((1 - level) / 2, (1 + level) / 2), axis=0)
    error = np.abs(usable - risks).mean(axis=0)
    return Instability(risks, low, high, error, float(error.mean()), level)


def _refuse(risks: Vector, drawn: Vector, level: float) -> None:
    if risks.ndim != 1 or drawn.ndim != 2 or drawn.shape[1] != len(risks):
        raise ValueError(
            f"risk has shape {risks.shape}, refits {drawn.shape}; "
            "needed are (patients,) and (refits, patients)."
        )
    if np.isnan(risks).any():
        raise ValueError("risk has missing values; leave such patients out before.")
    for numbers in (risks, drawn):
        if (numbers < 0).any() or (numbers > 1).any():
            raise ValueError("Risks lie outside [0, 1]; are these log-odds or per cent?")
    if not 0 < level < 1:
        raise ValueError(f"level == {level}, must be above 0 and below 1.")
