"""The thresholds of a decision curve, declared before anybody sees the results."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spinecast.errors import Problem, UsageRefused
from spinecast.measures.decisions import threshold_range


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Risks between which reasonable people would act, and what acting is; named beforehand."""

    low: float
    high: float
    action: str

    def __post_init__(self) -> None:
        threshold_range(self.low, self.high)
        if not self.action.strip():
            raise ValueError("The action is blank; net benefit weighs one, so it must be named.")


def declared(text: str | None, action: str | None) -> Thresholds | None:
    """The declared thresholds of `--thresholds 0.05-0.5 --action TEXT`; None for none.

    Raises:
        UsageRefused: one is given without the other, or it is no range.
    """
    if not text and not action:
        return None
    example = 'Write --thresholds 0.05-0.5 --action "offer rehabilitation first".'
    if not text or not action:
        missing, given = ("--thresholds", "--action") if action else ("--action", "--thresholds")
        problem = Problem(missing, f"missing beside {given}", "both are declared together", example)
        raise UsageRefused("The decision curve is not declared", [problem])
    parts = text.split("-")
    low, high = (_number(parts[0]), _number(parts[1])) if len(parts) == 2 else (math.nan,) * 2
    try:
        return Thresholds(low, high, action)
    except ValueError as error:
        problem = Problem("--thresholds and --action", f"given {text!r}", str(error)[:-1], example)
        raise UsageRefused("The decision curve is not declared", [problem]) from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
