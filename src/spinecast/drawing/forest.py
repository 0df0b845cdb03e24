"""One measure over sites, subgroups or models as a figure, with its summary."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spinecast.drawing.canvas import (
    BLUE,
    GREY,
    INK,
    PALE,
    STYLE,
    draw_interval,
    framed,
    ratio_ticks,
    say_empty,
    svg,
    view,
    with_limits,
)
from spinecast.measures.logistic import Vector
from spinecast.measures.pooling import Pooled


def forest_plot(
    labels: Sequence[str],
    estimates: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    pooled: Pooled | None = None,
    ideal: float | None = None,
    *,
    measure: str = "",
    ratio: bool = False,
    digits: int = 2,
    interval: str = "95% interval",
    title: str = "Site by site",
    remark: str = "",
) -> str:
    """One measure at several sites, in several subgroups, or of several models.

    Args:
        labels: Of each line, the first on top.
        estimates: On the scale to be shown; NaN where not computed (said so in its line).
        lows: Lower limits, NaN where there is none; likewise `highs`.
        highs: See `lows`.
        pooled: Their summary on the same scale (`Pooled.shown`): a diamond from limit to limit,
            and below it the prediction interval. Ignored where there were fewer than two.
        ideal: Where a dashed line stands.
        measure: What is measured and which way is good.
        ratio: Whether to show ratios, such as observed / expected, so that 1/2 and 2 lie equally
            far from 1.
        digits: Decimals of the numbers beside the lines.
        interval: What the limits are.
        title: Above the figure, and its accessible name.
        remark: A line above the axes.
    """
    lines = list(zip(labels, estimates, lows, highs, strict=True))
    summed = pooled is not None and pooled.sites > 1
    if pooled and summed:
        summary, expected = (pooled.low, pooled.high), (pooled.expected_low, pooled.expected_high)
        lines.append((f"Summary of {pooled.sites}", pooled.summary, *summary))
        lines.append(("Expected at another", pooled.summary, *expected))
    said = [with_limits(value, low, high, f".{digits}f") for _, value, low, high in lines]
    with mpl.rc_context(STYLE):
        figure, axes = framed(title, remark, (6.4, 1.7 + 0.27 * len(lines)))
        axes.set_xlabel(measure)
        if lines:
            _draw_forest(axes, lines, said, summed=summed, ideal=ideal, ratio=ratio)
        else:
            say_empty(axes)
        named = [f"{line[0]}: {numbers}." for line, numbers in zip(lines, said, strict=True)]
        words = [f"{measure or 'Estimates'}; in brackets the {interval}.", *named, remark]
        return svg(figure, title, " ".join(words).strip())


def _draw_forest(
    axes: Axes,
    lines: Sequence[tuple[str, float, float, float]],
    said: Sequence[str],
    *,
    summed: bool,
    ideal: float | None,
    ratio: bool,
) -> None:
    numbers = np.array([line[1:] for line in lines], dtype=np.float64)
    if ratio:
        numbers = np.log(np.where(numbers > 0, numbers, np.nan))
    aim = [] if ideal is None else [math.log(ideal) if ratio else ideal]
    own = len(lines) - 2 * summed
    axes.set_xlim(*view(np.append(numbers[:, 0], aim), numbers[:, 1], numbers[:, 2]))
    axes.set_ylim(len(lines) - 0.4, -0.6)
    for place in aim:
        axes.axvline(place, color=GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=0)
    look: dict[str, Any] = {"color": INK, "markerfacecolor": BLUE, "markersize": 5.5}
    for row, (value, low, high) in enumerate(numbers[:own]):
        draw_interval(axes, row, (value, low, high), "s", look)
    if summed:
        axes.axhline(own - 0.5, color=GREY, linewidth=0.6)
        _draw_diamond(axes, own, numbers[own])
        if np.isfinite(numbers[own + 1]).all():
            value, low, high = numbers[own + 1]
            wide = {"color": INK, "linewidth": 2.4, "markersize": 11}
            draw_interval(axes, own + 1, (value, low, high), "|", wide)
    axes.set_yticks(range(len(lines)), [textwrap.fill(line[0], 34) for line in lines])
    axes.tick_params(axis="y", length=0, pad=8)
    for row, text in enumerate(said):
        axes.text(1.05, row, "" if text == "not computed" else text, fontsize=8, va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip
    if ratio:
        ratio_ticks(axes.xaxis, axes.get_xlim())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _draw_diamond(axes: Axes, row: int, limits: Vector) -> None:
    value, low, high = limits
    if np.isfinite(limits).all():
        left, right = axes.get_xlim()
        corners = [max(low, left), value, min(high, right), value]
        heights = [row, row - 0.3, row, row + 0.3]
        axes.fill(corners, heights, facecolor=PALE, edgecolor=INK, linewidth=1.2)
    elif np.isfinite(value):
        axes.plot([value], [row], "D", color=PALE, markeredgecolor=INK, markersize=7)
