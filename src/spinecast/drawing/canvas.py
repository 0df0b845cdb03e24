"""What all figures share: how they look, their frame, and how they become text.

The same numbers give the same bytes. Nothing is told by colour alone, letters are drawn as shapes
(no font is needed), and each figure carries its title and a description for those who do not see.
"""

from __future__ import annotations

import hashlib
import io
import math
import textwrap
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spinecast.measures.logistic import Vector

INK, GREY, BLUE, PALE = "#1a1a1a", "#767676", "#0072b2", "#c6dbe9"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "path",
    "svg.hashsalt": "spinecast",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
MINUS = "\N{MINUS SIGN}"
RATIOS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))
FEWEST_TICKS = 4
"""Ticks of a ratio in each power of ten: the first of `RATIOS` that gives at least so many."""


def framed(title: str, above: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """An empty figure: its title, lines of text below it (folded where too long), and axes.

    Args:
        title: In bold; folded too.
        above: Lines, each to begin anew.
        size: Width and height in inches.
    """
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(textwrap.fill(title, round(10 * size[0])), fontweight="bold")
    below = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
    lines = [textwrap.fill(line, round(15 * size[0])) for line in above.strip().split("\n")]
    below.suptitle("\n".join(filter(None, lines)), x=0.02, ha="left", fontsize=8, linespacing=1.4)
    return figure, below.subplots()


def explain_signs(figure: Figure) -> None:
    """A legend below the axes, if anything drawn has a name."""
    if figure.axes[0].get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def say_empty(axes: Axes) -> None:
    """Say in an empty figure that it is empty."""
    axes.text(0.5, 0.5, "Not computed", transform=axes.transAxes, ha="center", color=GREY)
    axes.set_axis_off()


def with_limits(
    value: float, low: float = math.nan, high: float = math.nan, form: str = "#.3g"
) -> str:
    """A number, its limits if it has any, and true minus signs."""
    if math.isnan(value):
        return "not computed"
    said = f"{value:{form}}"
    if not (math.isnan(low) or math.isnan(high)):
        said += f" ({low:{form}} to {high:{form}})"
    return said.replace("-", MINUS)


def next_tenth(risk: float) -> float:
    """Where an axis of risks ends that has to show this one: at the next tenth, no higher than 1.

    A risk that is a tenth but for rounding is one; the axis is never without length.
    """
    return min(1.0, math.ceil(risk * 10 - 1e-9) / 10 or 0.1)


def spaced(length: int, most: int) -> list[int]:
    """At most so many places out of a sequence, evenly, the first and last among them."""
    return sorted({round(i) for i in np.linspace(0, length - 1, min(most, length))})


def view(values: Vector, lows: Vector, highs: Vector) -> tuple[float, float]:
    """Where an axis begins and ends: all estimates, and their limits unless these lie far off.

    One tiny site with an endless interval must not press all others into a line; what reaches
    beyond the axis is drawn as an arrow by `draw_interval`.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return -1.0, 1.0
    widths = (highs - lows)[np.isfinite(highs - lows)]
    reach = np.ptp(known) + 1.5 * (np.median(widths) if len(widths) else 0.0)
    limits = np.concatenate([known, lows[np.isfinite(lows)], highs[np.isfinite(highs)]])
    first = max(float(limits.min()), float(known.min() - reach))
    last = min(float(limits.max()), float(known.max() + reach))
    margin = 0.06 * (last - first) or 0.05
    return first - margin, last + margin


def draw_interval(
    axes: Axes, row: float, limits: tuple[float, float, float], sign: str, look: Mapping[str, Any]
) -> None:
    """An estimate as a sign with its interval as a line; an arrow where that leaves the axis.

    Args:
        axes: With its horizontal limits set.
        row: How high.
        limits: The estimate, its lower and its upper limit; NaN where there is none.
        sign: Marker of the estimate.
        look: Colour, line style and so on, and a label for the legend.
    """
    value, low, high = limits
    left, right = axes.get_xlim()
    if math.isnan(value):
        axes.text(0.5, row, "not computed", transform=axes.get_yaxis_transform(), ha="center",
                  va="center", color=GREY, fontsize=8, backgroundcolor="white")  # fmt: skip
        return
    if not (math.isnan(low) or math.isnan(high)):
        line = {key: part for key, part in look.items() if not key.startswith(("marker", "label"))}
        axes.plot([max(low, left), min(high, right)], [row, row], **line)
        for end, beyond, arrow in ((left, low < left, "<"), (right, high > right, ">")):
            if beyond:
                axes.plot([end], [row], arrow, color=look["color"], markersize=5, clip_on=False)
    axes.plot([value], [row], sign, **look)


def ratio_ticks(axis: Axis, ends: tuple[float, float]) -> None:
    """Ratios as ticks of an axis that is in their logarithms, from one of its ends to the other."""
    low, high = math.exp(ends[0]), math.exp(ends[1])
    for bases in RATIOS:
        powers = (base * 10.0**power for power in range(-3, 4) for base in bases)
        ticks = [tick for tick in powers if low <= tick <= high]
        if len(ticks) >= FEWEST_TICKS:
            break
    else:
        even = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(low, high)
        ticks = [tick for tick in even if max(low, 1e-9) <= tick <= high]
    axis.set_ticks(np.log(ticks).tolist(), [f"{tick:.4g}" for tick in ticks])


def svg(figure: Figure, title: str, words: str) -> str:
    """A figure as one element with its title and description first; no date, no prolog.

    Args:
        figure: Drawn and saved under `STYLE`, else the bytes differ from run to run.
        title: Its accessible name.
        words: What it shows, for those who do not see it.
    """
    page = io.StringIO()
    figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    drawn = page.getvalue()
    opening, body = drawn[drawn.index("<svg") :].split(">", 1)
    name = hashlib.sha256((title + words).encode()).hexdigest()[:12]
    return (
        f'{opening} role="img" aria-labelledby="t{name} d{name}">\n'
        f' <title id="t{name}">{escape(title)}</title>\n'
        f' <desc id="d{name}">{escape(words)}</desc>{body}'
    )
