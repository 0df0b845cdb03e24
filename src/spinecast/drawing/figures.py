"""Figures of how good a model is: for decisions, and over its risks.

As in `plots`: the same numbers give the same bytes, nothing is told by colour alone, and each
figure says in words what it shows. Whatever cannot be computed is left out, and empty figures say
so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

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
    spaced,
    svg,
    with_limits,
)
from spinecast.drawing.plots import draw_histogram
from spinecast.measures.curves import risk_bins
from spinecast.measures.decisions import DecisionCurve
from spinecast.measures.logistic import Matrix, Vector

MOST_TICKS = 8
TOLD = 5
"""Thresholds told in words, at most."""


def decision_plot(
    curve: DecisionCurve, *, action: str, title: str = "Decision curve", remark: str = ""
) -> str:
    """Net benefit of acting on the model's risks, on everyone and on no one.

    Args:
        curve: Over the declared thresholds, as `decisions.decision_curve` returns it.
        action: What is done from the threshold on, e.g. "refer to a pain clinic first".
        title: Above the figure, and its accessible name.
        remark: A line above the axes, e.g. that the patients are simulated.

    Returns:
        One `<svg>` element as text, without an XML prolog.
    """
    with mpl.rc_context(STYLE):
        said = f"{curve.patients:,} patients. {remark}".strip()
        figure, axes = framed(title, f"Action: {action}.\n{said}", (5.6, 4.6))
        if any(math.isfinite(decision.model.value) for decision in curve.decisions):
            _draw_decisions(axes, curve)
            explain_signs(figure)
        else:
            say_empty(axes)
        words = ["Net benefit by threshold.", f"Action: {action}.", *_decided(curve), said]
        return svg(figure, title, " ".join(words))


def risk_plot(
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    title: str = "Predicted risks by outcome",
    remark: str = "",
) -> str:
    """Which risks were given to patients with the outcome, and which to those without.

    Args:
        y: Shape (patients,): 1 had the outcome, 0 had not, NaN unknown (left out and counted).
        risk: Shape (patients,): predicted probability, NaN where none (left out and counted).
        title: Above the figure, and its accessible name.
        remark: A line above the axes.

    Raises:
        ValueError: Shapes that differ, outcomes other than 0/1/NaN, risks outside [0, 1].
    """
    outcome, risks, left_out = _known(y, risk)
    said = [_risks_said(risks[outcome == 1], "with"), _risks_said(risks[outcome == 0], "without")]
    said += [f"{left_out:,} patients left out: outcome or risk unknown."] if left_out else []
    with mpl.rc_context(STYLE):
        figure, axes = framed(title, "\n".join([*said, remark]), (5.6, 4.4))
        axes.set(xlabel="Predicted risk")
        if len(risks):
            draw_histogram(axes, risk_bins(outcome, risks), next_tenth(float(risks.max())))
            axes.set_ylabel("Share of those with,\nand of those without")
            _draw_medians(axes, outcome, risks)
            explain_signs(figure)
        else:
            say_empty(axes)
        words = ["Histograms of predicted risk, with the outcome upwards, without it downwards."]
        return svg(figure, title, " ".join([*words, *said, remark]).strip())


def _draw_decisions(axes: Axes, curve: DecisionCurve) -> None:
    at = np.array([d.threshold for d in curve.decisions])
    model = np.array([[d.model.value, d.model.low, d.model.high] for d in curve.decisions])
    everyone = np.array([d.treat_all.value for d in curve.decisions])
    alone = len(at) == 1
    lines: tuple[tuple[str, Vector, dict[str, Any], str], ...] = (
        ("Act on the model", model[:, 0], {"color": BLUE, "linewidth": 2}, "o"),
        ("Act on everyone", everyone, {"color": INK, "linestyle": "--", "linewidth": 1.2}, "s"),
        ("Act on no one", 0 * at, {"color": GREY, "linestyle": ":", "linewidth": 1.8}, "D"),
    )
    for name, values, look, dot in lines:
        axes.plot(at, values, marker=dot if alone else "", label=name, **look)
    if np.isfinite(model[:, 1:]).any():
        band = f"{curve.level:.0%} interval of the model"
        if alone:
            axes.vlines(at, model[:, 1], model[:, 2], color=BLUE, label=band)
        axes.fill_between(at, model[:, 1], model[:, 2], color=PALE, linewidth=0,
                          label=None if alone else band)  # fmt: skip
    if alone:
        axes.set_xlim(at[0] - 0.05, at[0] + 0.05)
    axes.set_ylim(*_benefits(model, everyone))
    axes.set_ylabel("Net benefit per patient")
    axes.set_xlabel(
        "Risk from which one would act, and below it\n"
        "how many needless actions one event foreseen is then worth"
    )
    axes.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(
        lambda risk, _: f"{_percent(risk)}\n{(1 - risk) / risk:.2g}" if 0 < risk < 1 else ""
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _benefits(model: Matrix, everyone: Vector) -> tuple[float, float]:
    """The axis: all of the model, and of acting on everyone what is not far below 0."""
    mine, all_of_them = model[np.isfinite(model)], everyone[np.isfinite(everyone)]
    top = max([0.01, *mine, *all_of_them])
    bottom = min([0.0, *mine, max(-top / 3, min([0.0, *all_of_them]))])
    return bottom - 0.06 * (top - bottom), top + 0.06 * (top - bottom)


def _decided(curve: DecisionCurve) -> Iterator[str]:
    """What acting brings at a few of the thresholds, the lowest and highest among them."""
    for place in spaced(len(curve.decisions), TOLD):
        decision = curve.decisions[place]
        model, everyone = decision.model, decision.treat_all
        yield (
            f"Acting from {_percent(decision.threshold)}: "
            f"model {with_limits(model.value, model.low, model.high, '.3f')}, "
            f"everyone {with_limits(everyone.value, form='.3f')}, no one 0."
        )


def _known(y: npt.ArrayLike, risk: npt.ArrayLike) -> tuple[Vector, Vector, int]:
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    if outcome.ndim != 1 or outcome.shape != risks.shape:
        raise ValueError(f"Shapes differ: y {outcome.shape}, risk {risks.shape}; one per patient.")
    known = ~(np.isnan(outcome) | np.isnan(risks))
    outcome, risks = outcome[known], risks[known]
    if not np.isin(outcome, (0, 1)).all():
        raise ValueError("Outcomes must be 0, 1 or NaN.")
    if (risks < 0).any() or (risks > 1).any():
        raise ValueError("Risks lie outside [0, 1]; are these log-odds or per cent?")
    return outcome, risks, int((~known).sum())


def _risks_said(risks: Vector, having: str) -> str:
    if not len(risks):
        return f"No patient {having} the outcome."
    low, middle, high = np.quantile(risks, (0.25, 0.5, 0.75))
    return (
        f"{len(risks):,} patients {having} the outcome: median risk {middle:.1%}, "
        f"half of them from {low:.1%} to {high:.1%}."
    )


def _draw_medians(axes: Axes, outcome: Vector, risks: Vector) -> None:
    reach = max(map(abs, axes.get_ylim()))
    axes.set_ylim(-reach, reach)
    for sign, kind in ((1, 1), (-1, 0)):
        of_kind = risks[outcome == kind]
        if len(of_kind):
            name = None if sign < 0 and (outcome == 1).any() else "Median"
            axes.plot([np.median(of_kind)] * 2, [0, sign * reach], color=BLUE, linewidth=1.6,
                      linestyle=(0, (4, 2)), label=name)  # fmt: skip
