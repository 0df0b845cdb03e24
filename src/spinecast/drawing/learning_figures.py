"""Figures of how settled a model is: what more patients would change, and what others would have.

As in `plots`: the same numbers give the same bytes, nothing is told by colour alone, and each
figure says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter

from spinecast.drawing.canvas import (
    BLUE,
    GREY,
    INK,
    PALE,
    STYLE,
    explain_signs,
    framed,
    next_tenth,
    say_empty,
    svg,
    with_limits,
)
from spinecast.measures.logistic import Matrix

DOTS = 400
"""Patients drawn one by one at most; more would be a smear, and a file of megabytes."""
GROUP = 20
"""Patients in each of the groups whose median interval is drawn, at least."""
MOST_GROUPS = 20
MOST_TICKS = 8
FAINT = "#8fb8d6"
SAME = "No difference"

Point = tuple[int, float, float, float, int | None]


def learning_plot(
    patients: Sequence[int],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    *,
    measure: str,
    events: Sequence[int] = (),
    interval: str = "95% interval",
    title: str = "Learning curve",
    remark: str = "",
) -> str:
    """How good a model is when it learns from so many patients.

    Args:
        patients: Of each point, in any order.
        values: The measure at each point, NaN where not computed (left out).
        lows: Lower limits, NaN where there is none; likewise `highs`.
        highs: See `lows`.
        measure: What is measured and which way is good, e.g. "AUROC, higher is better".
        events: Patients with the outcome among them; may be left out.
        interval: What the limits are.
        title: Above the figure, and its accessible name.
        remark: A line above the axes.
    """
    counts = events or (None,) * len(patients)
    points = zip(patients, values, lows, highs, counts, strict=True)
    drawn = sorted(point for point in points if math.isfinite(point[1]))
    with mpl.rc_context(STYLE):
        figure, axes = framed(title, remark, (5.6, 4.0))
        axes.set(xlabel="Patients learned from" + ("\n(with the outcome)" if events else ""))
        axes.set_ylabel(measure)
        if drawn:
            _draw_learning(axes, drawn, interval)
            explain_signs(figure)
        else:
            say_empty(axes)
        said = [
            f"{size:,} patients{'' if count is None else f', {count:,} with the outcome'}: "
            f"{with_limits(value, low, high, '.3f')}."
            for size, value, low, high, count in drawn
        ]
        words = [f"{measure}, by number of patients; in brackets the {interval}.", *said, remark]
        return svg(figure, title, " ".join(words).strip())


def instability_plot(
    risk: npt.ArrayLike,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    *,
    level: float = 0.9,
    title: str = "Stability of the risks",
    remark: str = "",
) -> str:
    """How far the risks of the same patients scatter over refits of the model.

    Args:
        risk: Shape (patients,), from the model itself.
        low: Shape (patients,), lower end of the middle `level` of the refits' risks; NaN where
            unknown (left out). With the usual level this is the 5th percentile.
        high: Shape (patients,), upper end; usually the 95th percentile.
        level: Share of the refits between `low` and `high`.
        title: Above the figure, and its accessible name.
        remark: A line above the axes.
    """
    rows = np.stack([np.asarray(part, dtype=np.float64) for part in (risk, low, high)], axis=1)
    rows = rows[np.isfinite(rows).all(axis=1)]
    rows = rows[np.lexsort(rows.T[::-1])]
    shown = rows[np.unique(np.linspace(0, len(rows) - 1, min(DOTS, len(rows))).astype(np.intp))]
    said = f"{len(rows):,} patients" + (
        f", {len(shown)} of them drawn." if len(rows) > DOTS else "."
    )
    with mpl.rc_context(STYLE):
        figure, axes = framed(title, f"{said} {remark}", (5.6, 5.6))
        axes.set(xlabel="Risk from the model", ylabel="Risk from refits of the model")
        if len(rows):
            _draw_instability(axes, rows, shown, f"Middle {level:.0%} of refits")
            explain_signs(figure)
        else:
            say_empty(axes)
        words = [f"Middle {level:.0%} of the risks from refits, against the model's risk.", said]
        return svg(figure, title, " ".join([*words, *_typical(rows), remark]).strip())


def _draw_learning(axes: Axes, points: Sequence[Point], interval: str) -> None:
    sizes, values, lows, highs = np.array([point[:4] for point in points], dtype=np.float64).T
    if np.isfinite(lows + highs).any():
        axes.fill_between(sizes, lows, highs, color=PALE, linewidth=0)
        axes.vlines(sizes, lows, highs, color=BLUE, linewidth=1, label=interval)
    axes.plot(sizes, values, "o-", color=INK, markersize=4.5, linewidth=1.4, label="Estimate")
    axes.set_xscale("log")
    shown = _apart(points)
    names = [f"{p[0]:,}" + ("" if p[4] is None else f"\n({p[4]:,})") for p in shown]
    axes.set_xticks([p[0] for p in shown], names)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)


def _apart(points: Sequence[Point]) -> list[Point]:
    """The points with a tick: the last, and downwards from it those not too near the one above."""
    least = math.log(points[-1][0] / points[0][0]) / MOST_TICKS
    shown = [points[-1]]
    for point in points[-2::-1]:
        if math.log(shown[-1][0] / point[0]) >= least:
            shown.append(point)
    return shown


def _draw_instability(axes: Axes, rows: Matrix, shown: Matrix, name: str) -> None:
    top = next_tenth(float(rows.max()))
    axes.vlines(shown[:, 0], shown[:, 1], shown[:, 2], color=FAINT, linewidth=0.9, label=name)
    for column, sign in ((1, "^"), (2, "v")):
        axes.plot(shown[:, 0], shown[:, column], sign, color=GREY, markersize=2, linewidth=0)
    axes.plot([0, top], [0, top], color=INK, linestyle=(0, (4, 3)), linewidth=1, label=SAME)
    middles = _middles(rows)
    for column, label in ((1, "Median of the limits"), (2, None)):
        axes.plot(middles[:, 0], middles[:, column], color=BLUE, linewidth=2, label=label)
    axes.set(xlim=(0, top), ylim=(0, top))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _middles(rows: Matrix) -> Matrix:
    """Medians of groups of neighbouring patients; none where there are too few for two groups."""
    groups = min(MOST_GROUPS, len(rows) // GROUP)
    if groups < 2:
        return np.empty((0, 3))
    return np.array([np.median(part, axis=0) for part in np.array_split(rows, groups)])


def _typical(rows: Matrix) -> Iterator[str]:
    if len(rows):
        width, widest = np.quantile(rows[:, 2] - rows[:, 1], (0.5, 0.9))
        yield (
            f"For half of the patients it is wider than {100 * width:.1f} percentage points, "
            f"for a tenth wider than {100 * widest:.1f}."
        )
