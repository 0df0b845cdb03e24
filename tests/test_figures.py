"""Every figure: one element, the same bytes, words for all it shows, and nothing cut off."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from spinecast.drawing import canvas, learning_figures
from spinecast.drawing.canvas import (
    MINUS,
    draw_interval,
    framed,
    ratio_ticks,
    spaced,
    view,
    with_limits,
)
from spinecast.drawing.effect_figures import effect_plot
from spinecast.drawing.figures import decision_plot, risk_plot
from spinecast.drawing.forest import forest_plot
from spinecast.drawing.learning_figures import instability_plot, learning_plot
from spinecast.fitting.effects import effects
from spinecast.measures.decisions import decision_curve, threshold_range
from spinecast.measures.logistic import expit
from spinecast.measures.pooling import pool

SVG = "{http://www.w3.org/2000/svg}"
NAN = math.nan
RANDOM = np.random.default_rng(0)
MARGIN = RANDOM.normal(-1.2, 1, 600)
RISK = expit(MARGIN)
Y = (RANDOM.random(600) < RISK) * 1.0
REMARK = "Simulated patients & <nobody> else."
POOLED = pool([0.1, -0.2, 0.3], [0.1, 0.1, 0.2])


def curve(patients=600, thresholds=(0.1, 0.2, 0.3, 0.4), resamples=20):
    return decision_curve(Y[:patients], RISK[:patients], thresholds, resamples=resamples)


def sites(pooled=None, **more):
    given = ["North", "South", "Tiny", "None"], [0.1, -0.2, 0.3, NAN], [0.0, -0.4, NAN, NAN]
    return forest_plot(*given, [0.2, 0.1, NAN, NAN], pooled, **more)


FIGURES = {
    "decisions": lambda: decision_plot(curve(), action="refer", title="T & <t>", remark=REMARK),
    "one threshold": lambda: decision_plot(curve(thresholds=(0.2,)), action="refer"),
    "no interval": lambda: decision_plot(curve(resamples=0), action="refer"),
    "no thresholds": lambda: decision_plot(curve(thresholds=()), action="refer"),
    "no patients to decide on": lambda: decision_plot(curve(0), action="refer"),
    "risks": lambda: risk_plot(Y, RISK, title="T & <t>", remark=REMARK),
    "one kind": lambda: risk_plot([0, 0], [0.0, 0.0]),
    "one risk": lambda: risk_plot([1], [1.0]),
    "no risks": lambda: risk_plot([], []),
    "learning": lambda: learning_plot(
        *([100, 200, 400], [0.6, 0.65, NAN], [0.5, NAN, NAN], [0.7, NAN, NAN]),
        measure="AUROC, higher is better", events=[20, 41, 80], title="T & <t>", remark=REMARK,
    ),
    "sizes close together": lambda: learning_plot(
        [100, 200, 400, 800, 1600, 1650], [0.6] * 6, [0.5] * 6, [0.7] * 6, measure="AUROC"
    ),
    "one size": lambda: learning_plot([100], [0.6], [NAN], [NAN], measure="AUROC"),
    "no size": lambda: learning_plot([], [], [], [], measure="AUROC"),
    "stability": lambda: instability_plot(
        RISK, RISK * 0.8, np.sqrt(RISK), title="T & <t>", remark=REMARK
    ),
    "one patient": lambda: instability_plot([0.0], [0.0], [0.0]),
    "no refits": lambda: instability_plot(RISK, RISK * NAN, RISK * NAN),
    "nobody": lambda: instability_plot([], [], []),
    "sites": lambda: sites(POOLED, ideal=0.0, measure="Slope", title="T & <t>", remark=REMARK),
    "ratios": lambda: sites(POOLED.shown(math.exp), ratio=True, ideal=1.0),
    "one site": lambda: forest_plot(["A"], [0.7], [NAN], [NAN], pool([0.7], [0.1])),
    "no site": lambda: forest_plot([], [], [], [], pool([], [])),
    "nothing known": lambda: forest_plot(["A"], [NAN], [NAN], [NAN], ratio=True),
}  # fmt: skip


def words(drawn):
    return ET.fromstring(drawn)[1].text


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_one_titled_element_that_needs_nothing_from_outside(name):
    drawn = FIGURES[name]()
    root = ET.fromstring(drawn)
    assert [root.tag, root[0].tag, root[1].tag] == [SVG + tag for tag in ("svg", "title", "desc")]
    assert root.get("role") == "img"
    assert root[0].text
    assert root[1].text
    assert "nan" not in root[1].text
    for reference in re.findall(r'(?:href="|url\()([^")]*)', drawn):
        assert reference.startswith("#")
    assert "@import" not in drawn
    assert "font-family" not in drawn
    assert "<text" not in drawn
    assert "<dc:date>" not in drawn


@pytest.mark.parametrize("name", ["decisions", "risks", "learning", "stability", "sites"])
def test_the_same_numbers_give_the_same_bytes_and_the_title_and_remark_are_told(name):
    drawn = FIGURES[name]()
    assert drawn == FIGURES[name]()
    assert ET.fromstring(drawn)[0].text == "T & <t>"
    assert words(drawn).endswith(REMARK)


def test_drawing_leaves_the_settings_of_others_alone():
    before = dict(mpl.rcParams)
    FIGURES["sites"]()
    assert dict(mpl.rcParams) == before


def test_the_order_of_patients_does_not_matter():
    turned = RISK[::-1]
    assert instability_plot(RISK, RISK / 2, RISK) == instability_plot(turned, turned / 2, turned)
    assert risk_plot(Y, RISK) == risk_plot(Y[::-1], turned)


def test_a_decision_curve_tells_its_action_and_some_of_its_thresholds():
    said = words(decision_plot(curve(), action="refer"))
    assert "Action: refer." in said
    first = curve().decisions[0].model
    shown = f"Acting from 10%: model {first.value:.3f} ({first.low:.3f} to {first.high:.3f})"
    assert shown in said
    many = words(decision_plot(curve(thresholds=threshold_range(0.05, 0.5)), action="refer"))
    assert many.count("Acting from") == 5
    assert "Acting from 5%" in many
    assert "Acting from 50%" in many


def test_risks_that_are_unknown_are_counted_and_impossible_ones_refused():
    said = words(risk_plot([1, 0, NAN, 0], [0.4, 0.2, 0.3, NAN]))
    assert "2 patients left out" in said
    assert "1 patients with the outcome: median risk 40.0%" in said
    with pytest.raises(ValueError, match="outside"):
        risk_plot([1], [1.2])
    with pytest.raises(ValueError, match="0, 1 or NaN"):
        risk_plot([2], [0.2])
    with pytest.raises(ValueError, match="Shapes"):
        risk_plot([1, 0], [0.2])


def test_learning_is_told_from_few_patients_to_many():
    drawn = learning_plot([400, 100], [0.7, 0.6], [0.6, NAN], [0.8, NAN], measure="AUROC")
    assert "100 patients: 0.600. 400 patients: 0.700 (0.600 to 0.800)." in words(drawn)


def test_of_many_patients_some_are_drawn_and_all_are_counted():
    assert "600 patients, 400 of them drawn." in words(instability_plot(RISK, RISK, RISK))
    wide = words(instability_plot(RISK, RISK - 0.01, RISK + 0.01))
    assert "wider than 2.0 percentage points" in wide
    rows = np.repeat(np.arange(100.0)[:, None], 3, axis=1)
    middles = learning_figures._middles(rows)
    assert len(middles) == 5
    assert middles[0, 0] == 9.5
    assert not len(learning_figures._middles(rows[:39]))


def test_a_forest_tells_each_line_its_summary_and_what_to_expect():
    said = words(sites(POOLED))
    for line in (
        f"South: {MINUS}0.20 ({MINUS}0.40 to 0.10).",
        "Tiny: 0.30.",
        "None: not computed.",
    ):
        assert line in said
    assert f"Summary of 3: {with_limits(POOLED.summary, POOLED.low, POOLED.high, '.2f')}" in said
    assert "Expected at another" in said
    assert "Summary" not in words(FIGURES["one site"]())


def test_a_ratio_of_zero_is_told_though_it_cannot_be_drawn():
    said = words(forest_plot(["A", "B"], [0.0, 1.0], [0.0, 0.8], [0.4, 1.3], ratio=True))
    assert "A: 0.00 (0.00 to 0.40)." in said


def test_one_endless_interval_does_not_press_the_others_into_a_line():
    values = np.array([0.0, 0.1, 0.2, 0.1])
    reach = np.array([0.1, 0.1, 0.1, 50.0])
    low, high = view(values, values - reach, values + reach)
    assert -1 < low < -0.1
    assert 0.3 < high < 1
    assert view(np.array([NAN]), np.array([NAN]), np.array([NAN])) == (-1, 1)


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow():
    _, axes = framed("", "", (4, 3))
    axes.set_xlim(0, 1)
    draw_interval(axes, 0, (0.5, -3.0, 0.8), "o", {"color": "black"})
    line, arrow, dot = axes.lines
    assert list(line.get_xdata()) == [0, 0.8]
    assert (arrow.get_marker(), arrow.get_xdata()[0]) == ("<", 0)
    assert dot.get_xdata()[0] == 0.5


@pytest.mark.parametrize("ends", [(0.99, 1.01), (0.8, 1.7), (0.3, 4), (0.001, 1000), (1e-9, 1e9)])
def test_an_axis_of_ratios_has_some_ticks_and_1_among_them(ends):
    _, axes = framed("", "", (4, 3))
    axes.set_xlim(*np.log(ends))
    ratio_ticks(axes.xaxis, axes.get_xlim())
    told = [label.get_text() for label in axes.get_xticklabels()]
    assert "1" in told
    assert 3 <= len(told) <= 9
    assert len(set(told)) == len(told)


def test_numbers_have_true_minus_signs_and_limits_only_if_there_are_any():
    assert with_limits(-0.5, -1, 0, ".1f") == f"{MINUS}0.5 ({MINUS}1.0 to 0.0)"
    assert with_limits(0.5, NAN, 1, ".1f") == "0.5"
    assert with_limits(NAN) == "not computed"


@pytest.mark.parametrize(
    ("risk", "end"),
    [(0.0, 0.1), (0.09, 0.1), (0.3, 0.3), (0.1 + 0.2, 0.3), (0.31, 0.4), (0.99, 1.0), (1.0, 1.0)],
)
def test_an_axis_of_risks_ends_at_the_next_tenth(risk, end):
    assert canvas.next_tenth(risk) == end


def test_places_are_spread_evenly_with_both_ends():
    assert spaced(100, 3) == [0, 50, 99] or spaced(100, 3) == [0, 49, 99]
    assert spaced(2, 5) == [0, 1]
    assert spaced(1, 5) == [0]
    assert spaced(0, 5) == []


# --- effects ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(trained):
    return {effect.factor: effect for effect in effects(trained.model)}


@pytest.mark.parametrize(
    "factor", ["bmi", "diabetes", "prior_lumbar_surgeries", "lesion_type", "neurological_deficit"]
)
def test_an_effect_is_drawn_with_what_the_literature_says_beside_it(told, factor):
    drawn = effect_plot(told[factor], remark=REMARK)
    assert drawn == effect_plot(told[factor], remark=REMARK)
    root = ET.fromstring(drawn)
    assert root[0].text == told[factor].label
    assert root[1].text.count("literature ") >= min(9, len(told[factor].codes) - 1)
    assert root[1].text.endswith(REMARK)
    assert "nan" not in root[1].text


@pytest.mark.parametrize("factor", ["bmi", "diabetes"])
def test_an_effect_without_refits_or_literature_is_drawn_still(told, factor):
    none = np.full(len(told[factor].codes), NAN)
    bare = {"low": none, "high": none, "refits": 0}
    bare |= {"literature": none, "literature_low": none, "literature_high": none}
    assert "nothing published" in words(effect_plot(replace(told[factor], **bare)))


def test_an_effect_of_nothing_at_all_is_drawn_still(told):
    effect = told["diabetes"]
    flat = {name: np.zeros(2) for name in ("log_odds", "low", "high", "with_trees", "literature")}
    flat |= {"literature_low": np.zeros(2), "literature_high": np.zeros(2)}
    assert "model 1.00 (1.00 to 1.00)" in words(effect_plot(replace(effect, **flat)))


# --- nothing is cut off ----------------------------------------------------------------------


def boxes_of(figure):
    """Where all words of a figure stand, by what they say."""
    figure.draw_without_rendering()
    texts = [*figure.texts, *figure.legends, *(t for sub in figure.subfigs for t in sub.texts)]
    for axes in figure.axes:
        texts += axes.texts
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label]
            texts += [*labels_within(axes.xaxis), *labels_within(axes.yaxis)]
    boxes = {text: text.get_window_extent() for text in texts}
    return [(str(text), box) for text, box in boxes.items() if box.width]


def labels_within(axis):
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1 for tick in ticks]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn in a test, as (page, boxes of all words)."""
    caught = []

    def catch(figure, title, _):
        caught.append((figure.bbox, boxes_of(figure)))
        return f"<svg><title>{title}</title></svg>"

    for module in ("figures", "forest", "learning_figures", "effect_figures"):
        monkeypatch.setattr(f"spinecast.drawing.{module}.svg", catch)
    return caught


def nothing_is_hidden(page, boxes):
    assert boxes
    for i, (text, box) in enumerate(boxes):
        assert page.x0 <= box.x0, text
        assert box.x1 <= page.x1, text
        assert page.y0 <= box.y0, text
        assert box.y1 <= page.y1, text
        assert not [other for other, there in boxes[i + 1 :] if box.overlaps(there)], text


@pytest.mark.parametrize("name", FIGURES)
def test_no_words_leave_the_page_or_cover_each_other(name, drawn):
    FIGURES[name]()
    nothing_is_hidden(*drawn[0])


def test_no_words_of_an_effect_leave_the_page_or_cover_each_other(told, drawn):
    for effect in told.values():
        effect_plot(effect, remark=REMARK)
        nothing_is_hidden(*drawn[-1])


def test_long_words_fit_on_the_page():
    long = "A rather long sentence about where these patients come from and who they are. " * 3
    with mpl.rc_context(canvas.STYLE):
        figure, axes = framed(long, long, (5.6, 4))
        figure.draw_without_rendering()
        page = figure.bbox
        for text in (figure._suptitle, figure.subfigs[0]._suptitle):
            box = text.get_window_extent()
            assert page.x0 <= box.x0
            assert box.x1 <= page.x1
            assert box.y0 >= axes.get_window_extent().y1
