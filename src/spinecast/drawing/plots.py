"""Figures of how good a model is, as SVG text that can stand in a page or a file of its own.

The same record gives the same bytes. Nothing is told by colour alone, and each figure carries its
title and a description in words for those who do not see it.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from spinecast.drawing.canvas import BLUE, GREY, INK, PALE, STYLE, next_tenth, svg, with_limits
from spinecast.measures.curves import CalibrationCurve, RiskBin, RiskGroup
from spinecast.measures.evaluation import Estimate, Performance
from spinecast.measures.metrics import MEASURES

SHOWN = ("auroc", "calibration_intercept", "calibration_slope", "observed_expected")
COMPARED = ("auroc", "log_loss")


def calibration_plot(
    performance: Performance, *, title: str = "Calibration", remark: str = ""
) -> str:
    """Whether predicted risks came true, drawn: groups, smooth curve, and where patients lie below.

    Args:
        performance: As `evaluation.evaluate` returns it.
        title: Above the figure, and its accessible name.
        remark: A line above the numbers, e.g. that the patients are simulated.

    Returns:
        One `<svg>` element as text, without an XML prolog.
    """
    with mpl.rc_context(STYLE):
        figure = _calibration_figure(performance, title, remark)
        return svg(figure, title, _calibration_words(performance, remark))


def comparison_plot(
    performances: Mapping[str, Performance],
    *,
    measures: Sequence[str] = COMPARED,
    title: str = "Models compared",
    remark: str = "",
) -> str:
    """How good each model is, a dot with its interval per model and measure.

    Args:
        performances: Model name to its performance, in the order to be drawn (first on top).
        measures: Names out of `metrics.MEASURES`, one panel each.
        title: Above the figure, and its accessible name.
        remark: A line below the figure.

    Returns:
        One `<svg>` element as text, without an XML prolog.
    """
    with mpl.rc_context(STYLE):
        figure = _comparison_figure(performances, measures, title, remark)
        return svg(figure, title, _comparison_words(performances, measures, remark))


def _calibration_figure(performance: Performance, title: str, remark: str) -> Figure:
    figure = Figure(figsize=(5.6, 7.2), layout="constrained")
    figure.suptitle(title, fontweight="bold")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    top = _top(performance.curve)
    above = "\n".join(filter(None, [textwrap.fill(remark, 90), _numbers(performance)]))
    upper.set_title(above, loc="left", fontsize=8, linespacing=1.4)
    _draw_curve(upper, performance, top)
    draw_histogram(lower, performance.curve.histogram, top)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _draw_curve(axes: Axes, performance: Performance, top: float) -> None:
    curve, level = performance.curve, f"{performance.level:.0%}"
    axes.plot([0, top], [0, top], color=GREY, linestyle=(0, (4, 3)), linewidth=1, label="Ideal")
    if curve.smooth:
        at = [p.predicted for p in curve.smooth]
        limits = [p.low for p in curve.smooth], [p.high for p in curve.smooth]
        smooth = [p.observed for p in curve.smooth]
        axes.plot(at, smooth, color=BLUE, label=f"Smooth curve, {level} band")
        axes.fill_between(at, *limits, color=PALE, linewidth=0)
    if curve.groups:
        axes.errorbar(
            [g.predicted for g in curve.groups],
            [g.observed for g in curve.groups],
            yerr=_whiskers(curve.groups),
            fmt="o",
            color=INK,
            markersize=4.5,
            elinewidth=0.9,
            label=f"Groups of patients, {level} interval",
        )
    axes.set(xlim=(0, top), ylim=(0, top), ylabel="Observed share of patients")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def draw_histogram(axes: Axes, bins: Sequence[RiskBin], top: float) -> None:
    """Where the risks lie: patients with the outcome upwards, the others downwards."""
    sides: tuple[tuple[int, list[int], str, dict[str, Any]], ...] = (
        (1, [b.events for b in bins], "with the outcome", {"color": INK, "edgecolor": "white"}),
        (-1, [b.others for b in bins], "without", {"color": "white", "edgecolor": GREY}),
    )
    for sign, counts, name, look in sides:
        shares = sign * np.array(counts) / max(1, sum(counts))
        axes.bar(
            [b.low for b in bins],
            shares,
            width=bins[0].high - bins[0].low,
            align="edge",
            linewidth=0.5,
            hatch="" if sign > 0 else "////",
            label=f"{sum(counts):,} patients {name}",
            **look,
        )
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlim=(0, top), xlabel="Predicted risk", ylabel="Share")
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda share, _: f"{abs(share):.0%}")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _comparison_figure(
    performances: Mapping[str, Performance], measures: Sequence[str], title: str, remark: str
) -> Figure:
    height = 1.5 + 0.34 * len(performances)
    figure = Figure(figsize=(2.0 + 3.1 * len(measures), height), layout="constrained")
    figure.suptitle(title, fontweight="bold")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        _draw_dots(axes, [performance[measure] for performance in performances.values()])
        axes.set_xlabel(_aim(measure))
    panels[0].set_yticks(range(len(performances)), list(performances))
    panels[0].set_ylim(len(performances) - 0.5, -0.5)
    below = textwrap.fill(f"{_legend(performances)} {remark}", 45 * len(measures))
    figure.supxlabel(below, fontsize=8, style="italic")
    return figure


def _draw_dots(axes: Axes, estimates: Sequence[Estimate]) -> None:
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for row, estimate in enumerate(estimates):
        if math.isnan(estimate.value):
            axes.text(0.5, row, "not computed", transform=axes.get_yaxis_transform(), ha="center",
                      va="center", color=GREY, fontsize=8)  # fmt: skip
            continue
        axes.plot([estimate.low, estimate.high], [row, row], color=INK, linewidth=1.2)
        axes.plot([estimate.value], [row], "o", color=BLUE, markeredgecolor=INK, markersize=6)
        axes.annotate(f"{estimate.value:.3f}", (estimate.value, row), xytext=(0, 6),
                      textcoords="offset points", ha="center", fontsize=7.5)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.margins(x=0.12)


def _top(curve: CalibrationCurve) -> float:
    """The end of both axes: the next tenth above everything that is drawn."""
    drawn = [g.high for g in curve.groups] + [p.high for p in curve.smooth]
    drawn += [b.high for b in curve.histogram if b.events + b.others]
    return next_tenth(max(drawn, default=1.0))


def _whiskers(groups: Sequence[RiskGroup]) -> tuple[list[float], list[float]]:
    """Lengths of the intervals below and above the points."""
    return (
        [max(0.0, g.observed - g.low) for g in groups],
        [max(0.0, g.high - g.observed) for g in groups],
    )


def _aim(measure: str) -> str:
    """The measure's label and which way is good."""
    named = next(m for m in MEASURES if m.name == measure)
    good = f"{named.ideal:g} is ideal" if named.better == "nearer" else f"{named.better} is better"
    return f"{named.label}, {good}"


def _numbers(performance: Performance) -> str:
    """The block of numbers above the figure."""
    lines = [f"{performance.patients:,} patients, {performance.events:,} with the outcome"]
    return "\n".join(lines + [_said(performance[measure]) for measure in SHOWN])


def _said(estimate: Estimate) -> str:
    """A measure in words."""
    return f"{estimate.label} {with_limits(estimate.value, estimate.low, estimate.high, '.3f')}"


def _calibration_words(performance: Performance, remark: str) -> str:
    groups = "; ".join(
        f"{g.predicted:.0%} predicted, {g.observed:.0%} observed in {g.patients} patients"
        for g in performance.curve.groups
    )
    return " ".join(
        filter(
            None,
            [
                "Observed against predicted risk, and below it a histogram of predicted risks.",
                _numbers(performance).replace("\n", "; ") + ".",
                f"Groups of rising predicted risk: {groups}." if groups else "",
                *performance.notes,
                remark,
            ],
        )
    )


def _comparison_words(
    performances: Mapping[str, Performance], measures: Sequence[str], remark: str
) -> str:
    models = [
        f"{model}: {', '.join(_said(performance[measure]) for measure in measures)}."
        for model, performance in performances.items()
    ]
    return " ".join(filter(None, [_legend(performances), *models, remark]))


def _legend(performances: Mapping[str, Performance]) -> str:
    levels = sorted({f"{performance.level:.0%}" for performance in performances.values()})
    return f"Dot: estimate. Line: {' or '.join(levels)} interval."
