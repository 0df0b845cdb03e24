"""How numbers and names are written in a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spinecast.drawing.canvas import MINUS


def told(value: float, low: float = math.nan, high: float = math.nan, digits: int = 3) -> str:
    """A number with its limits, or that there is none; true minus signs."""
    if not math.isfinite(value):
        return "not computed"
    if not (math.isfinite(low) and math.isfinite(high)):
        return _written(value, digits)
    ends = f"{_written(low, digits)} to {_written(high, digits)}"
    return f"{_written(value, digits)} ({ends})"


def _written(value: float, digits: int) -> str:
    """A number that is 0 has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


def signed(value: float, low: float, high: float, digits: int = 3) -> str:
    """A difference with its sign and its limits."""
    if not math.isfinite(value):
        return "not computed"
    plus = "+" if round(value, digits) > 0 else ""
    return plus + told(value, low, high, digits)


def listed(names: Sequence[str]) -> str:
    """Names as one says them: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
