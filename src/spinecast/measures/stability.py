"""How much a patient's risk would have differed, had the model been learned from other patients.

The model is learned anew on bootstrap samples of its cohort, every step included, and each refit
gives a risk to the same patients. This is arithmetic on those risks; who refits does it elsewhere.

Source: Riley & Collins 2023, doi:10.1002/bimj.202200302.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.measures.logistic import Vector
from spinecast.measures.resampling import USABLE_SHARE


@dataclass(frozen=True, slots=True, eq=False)
class Instability:
    """How far refits scatter about the risk that each patient was given; NaN where unknown.

    Attributes:
        risk: Shape (patients,), the risk from the model itself.
        low: Shape (patients,), lower end of the middle `level` of the refits' risks.
        high: Shape (patients,), upper end.
        error: Shape (patients,), mean absolute difference of the refits' risks from `risk`.
        changed: Shape (patients,), share of refits that lie on the other side of the threshold;
            None without a threshold.
        level: Share of refits between `low` and `high`.
        refits: Refits that gave every patient a risk.
        left_out: Refits that did not, which count for nothing.
    """

    risk: Vector
    low: Vector
    high: Vector
    error: Vector
    changed: Vector | None
    level: float
    refits: int
    left_out: int

    @property
    def mape(self) -> float:
        """Mean absolute prediction error: how far off a refit's risk is, over all patients."""
        return _mean(self.error)

    @property
    def width(self) -> Vector:
        """How wide the middle `level` of the refits' risks is, for each patient."""
        return self.high - self.low

    @property
    def share_changed(self) -> float:
        """How often a refit would have decided otherwise, over all patients; NaN: no threshold."""
        return math.nan if self.changed is None else _mean(self.changed)

    def to_dict(self) -> dict[str, Any]:
        """The summary, without a line per patient; None for what is unknown."""
        numbers = {
            "mape": self.mape,
            "largest_error": _quantile(self.error, 1.0),
            "median_width": _quantile(self.width, 0.5),
            "width_90": _quantile(self.width, 0.9),
            "share_changed": self.share_changed,
            "level": self.level,
        }
        plain = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
        counts = {"patients": len(self.risk), "refits": self.refits, "left_out": self.left_out}
        return {**plain, **counts}


def instability(
    risk: npt.ArrayLike,
    refits: npt.ArrayLike,
    *,
    level: float = 0.95,
    threshold: float | None = None,
) -> Instability:
    """Whether another cohort of this size would have told these patients the same.

    Args:
        risk: Shape (patients,), from the model itself; none missing.
        refits: Shape (refits, patients), from the model learned anew; a row with a missing risk is
            left out and counted.
        level: Share of refits that each patient's interval holds.
        threshold: Risk from which one would act, that risk included.

    Returns:
        Numbers per patient; all NaN where fewer than nine in ten refits gave risks.

    Raises:
        ValueError: Shapes that do not fit, risks outside [0, 1], level or threshold not in (0, 1).
    """
    risks, drawn = np.asarray(risk, dtype=np.float64), np.asarray(refits, dtype=np.float64)
    _refuse(risks, drawn, level, threshold)
    usable = drawn[~np.isnan(drawn).any(axis=1)]
    left_out = len(drawn) - len(usable)
    if not len(usable) or len(usable) < USABLE_SHARE * len(drawn):
        unknown = np.full(len(risks), math.nan)
        changed = None if threshold is None else unknown
        return Instability(risks, unknown, unknown, unknown, changed, level, len(usable), left_out)
    low, high = np.quantile(usable, ((1 - level) / 2, (1 + level) / 2), axis=0)
    error = np.abs(usable - risks).mean(axis=0)
    changed = None
    if threshold is not None:
        changed = ((usable >= threshold) != (risks >= threshold)).mean(axis=0)
    return Instability(risks, low, high, error, changed, level, len(usable), left_out)


def _refuse(risks: Vector, drawn: Vector, level: float, threshold: float | None) -> None:
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
    for name, value in (("level", level), ("threshold", threshold)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} == {value}, must be above 0 and below 1.")


def _mean(values: Vector) -> float:
    return float(values.mean()) if len(values) else math.nan


def _quantile(values: Vector, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else math.nan
