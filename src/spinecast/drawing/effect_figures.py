"""The effect of one factor as a figure: the model's beside that of the literature."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from spinecast.drawing.canvas import (
    BLUE,
    GREY,
    INK,
    PALE,
    STYLE,
    draw_interval,
    explain_signs,
    framed,
    ratio_ticks,
    spaced,
    svg,
    view,
    with_limits,
)
from spinecast.fitting.effects import FactorEffect
from spinecast.measures.logistic import Vector

ROWS = 12
"""A number with more values than this is drawn as a line."""
TOLD = 9
"""Values told in words, at most."""
SAME = 1e-9
"""Log-odds that differ by less are drawn as one sign: the rest is rounding."""
TREES = "Model with its trees"


def effect_plot(effect: FactorEffect, *, title: str = "", remark: str = "") -> str:
    """Odds ratios of a factor's values: by the model, over its refits, and in the literature.

    Levels and small counts stand in rows, numbers run along a line. Where the model has trees that
    use the factor, a third sign shows the odds ratio with them.

    Args:
        effect: As `effects.effects` returns them.
        title: Above the figure, and its accessible name; the factor's label unless told.
        remark: A line above the axes, e.g. whether the cohort agrees with the literature.

    Returns:
        One `<svg>` element as text, without an XML prolog.
    """
    title = title or effect.label
    lines = effect.numeric and len(effect.codes) > ROWS
    height = 4.2 if lines else 1.9 + 0.42 * len(effect.codes)
    with mpl.rc_context(STYLE):
        figure, axes = framed(title, remark, (6.0, height))
        (_draw_lines if lines else _draw_rows)(axes, effect)
        explain_signs(figure)
        return svg(figure, title, f"{_words(effect)} {remark}".strip())


def _draw_rows(axes: Axes, effect: FactorEffect) -> None:
    """A row for each value; the model's dot above the literature's diamond."""
    parts = _model(effect), _literature(effect)
    values, lows, highs = (np.concatenate(both) for both in zip(*parts, strict=True))
    axes.set_xlim(*view(np.append(values, effect.with_trees), lows, highs))
    axes.set_ylim(len(effect.codes) - 0.4, -0.6)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    model: dict[str, Any] = {"color": INK, "markerfacecolor": BLUE, "markersize": 6}
    paper: dict[str, Any] = {"color": GREY, "markerfacecolor": "white", "markersize": 6}
    model["label"], paper["label"] = _legend(effect, lines=False)
    trees: dict[str, Any] = {
        "color": INK,
        "markersize": 6,
        "linestyle": "none",
        "label": TREES,
    }
    for row, code in enumerate(effect.codes):
        if code == effect.reference:
            axes.plot([0], [row], "o", color=INK, markerfacecolor="white", markersize=6)
            continue
        own, published = (tuple(part[row] for part in numbers) for numbers in parts)
        if np.isfinite(published[0]):
            draw_interval(axes, row + 0.14, published, "D", paper | {"linestyle": (0, (3, 2))})
            paper.pop("label", None)
        draw_interval(axes, row - 0.14, own, "o", model | {"linestyle": "-"})
        model.pop("label", None)
        if _trees_matter(effect):
            axes.plot([effect.with_trees[row]], [row - 0.14], "x", **trees)
            trees.pop("label", None)
    axes.set_yticks(range(len(effect.codes)), [_named(effect, i) for i in range(len(effect.codes))])
    axes.tick_params(axis="y", length=0, pad=8)
    axes.set_xlabel("Odds ratio against the reference")
    ratio_ticks(axes.xaxis, axes.get_xlim())


def _draw_lines(axes: Axes, effect: FactorEffect) -> None:
    """Odds ratio over the range of a number, with the model's and the literature's bands."""
    own, published = _model(effect), _literature(effect)
    model, paper = _legend(effect, lines=True)
    everything = zip(own, published, strict=True)
    values, lows, highs = (np.concatenate(both) for both in everything)
    ends = view(np.append(values, effect.with_trees), lows, highs)
    axes.fill_between(effect.codes, own[1], own[2], color=PALE, linewidth=0)
    axes.plot(effect.codes, own[0], color=BLUE, linewidth=2, label=model)
    if np.isfinite(published[0]).any():
        axes.plot(effect.codes, published[0], color=INK, linestyle="--", linewidth=1.2, label=paper)
        for limit in published[1:]:
            axes.plot(effect.codes, limit, color=GREY, linestyle=":", linewidth=1.1)
    if _trees_matter(effect):
        axes.plot(effect.codes, effect.with_trees, color=INK, linewidth=0.8, linestyle="-.",
                  label=TREES)  # fmt: skip
    axes.plot([effect.reference], [0], "o", color=INK, markerfacecolor="white", markersize=6,
              label=f"Reference, {_reference(effect)}")  # fmt: skip
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set(xlim=(effect.codes[0], effect.codes[-1]), ylim=ends)
    axes.set(xlabel=f"{effect.label}, {effect.unit}".rstrip(", "), ylabel="Odds ratio")
    ratio_ticks(axes.yaxis, ends)


def _model(effect: FactorEffect) -> tuple[Vector, Vector, Vector]:
    return effect.log_odds, effect.low, effect.high


def _literature(effect: FactorEffect) -> tuple[Vector, Vector, Vector]:
    return effect.literature, effect.literature_low, effect.literature_high


def _legend(effect: FactorEffect, *, lines: bool) -> tuple[str, str]:
    """What the signs of the model and of the literature are called."""
    refits = f"middle {effect.level:.0%} of {effect.refits} refits" if effect.refits else ""
    plausible = f"{effect.level:.0%} plausible range"
    band, dots = (" band: ", " dotted: ") if lines else (" ", " ")
    return f"Model;{band}{refits}" if refits else "Model", f"Literature;{dots}{plausible}"


def _trees_matter(effect: FactorEffect) -> bool:
    return bool(np.abs(effect.with_trees - effect.log_odds).max() > SAME)


def _named(effect: FactorEffect, place: int) -> str:
    mark = " (reference)" if effect.codes[place] == effect.reference else ""
    return textwrap.fill(effect.names[place] + mark, 30)


def _reference(effect: FactorEffect) -> str:
    return effect.names[int(np.flatnonzero(effect.codes == effect.reference)[0])]


def _words(effect: FactorEffect) -> str:
    said = [f"Odds ratios against {_reference(effect)}, by the model and in the literature."]
    others = [place for place, code in enumerate(effect.codes) if code != effect.reference]
    for place in (others[i] for i in spaced(len(others), TOLD)):
        own = _ratio(_model(effect), place)
        paper = _ratio(_literature(effect), place)
        paper = "nothing published" if paper == "not computed" else f"literature {paper}"
        said.append(f"{effect.names[place].capitalize()}: model {own}, {paper}.")
    return " ".join(said)


def _ratio(log_odds: tuple[Vector, Vector, Vector], place: int) -> str:
    value, low, high = (math.exp(part[place]) for part in log_odds)
    return with_limits(value, low, high)
