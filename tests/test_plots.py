"""Figures: the same bytes for the same record, and words for those who do not see them."""

import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from spinecast.drawing import plots
from spinecast.drawing.plots import calibration_plot, comparison_plot
from spinecast.measures.evaluation import evaluate
from spinecast.measures.logistic import expit

SVG = "{http://www.w3.org/2000/svg}"


def _performance(patients=500, shift=0.0):
    random = np.random.default_rng(0)
    margin = random.normal(-1.2, 1, patients)
    y = (random.random(patients) < expit(margin)) * 1.0
    return evaluate(y, expit(margin + shift), resamples=10)


@pytest.fixture(scope="module")
def performance():
    return _performance()


def test_the_same_record_gives_the_same_bytes_with_no_date(performance):
    drawn = calibration_plot(performance)
    assert drawn == calibration_plot(performance)
    assert "<dc:date>" not in drawn


def test_a_figure_is_one_element_that_says_what_it_shows(performance):
    drawn = calibration_plot(performance, title="Trees & <lines>", remark="Simulated patients.")
    root = ET.fromstring(drawn)
    title, words = root[0], root[1]
    assert (root.tag, title.tag, words.tag) == (SVG + "svg", SVG + "title", SVG + "desc")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {words.get('id')}"
    assert title.text == "Trees & <lines>"
    for said in ("500 patients", "AUROC 0.7", "Groups of rising", "Simulated patients."):
        assert said in words.text


def test_the_notes_of_a_weak_evaluation_reach_the_description():
    assert "anecdotes" in calibration_plot(evaluate([1, 0, 0], [0.2, 0.3, 0.1], resamples=5))


@pytest.mark.parametrize(
    ("y", "risk"),
    [([], []), ([0] * 20, [0.2] * 20), ([1, 0], [0.0, 1.0])],
    ids=["nobody", "one class", "certain"],
)
def test_anything_that_was_evaluated_can_be_drawn(y, risk):
    made = evaluate(y, risk, resamples=5)
    ET.fromstring(calibration_plot(made))
    ET.fromstring(comparison_plot({"a": made}))


def test_the_axes_reach_all_that_is_drawn(performance):
    curve = performance.curve
    top = plots._top(curve)
    assert top >= max(g.high for g in curve.groups)
    assert top >= max(p.high for p in curve.smooth)
    assert top >= max(b.high for b in curve.histogram if b.events + b.others)


def test_nothing_is_cut_off_or_overlaps(performance):
    with mpl.rc_context(plots.STYLE):
        calibration = plots._calibration_figure(performance, "Title", "Simulated patients.")
        rivals = {"A rather long name for a model": performance, "Short": performance}
        comparison = plots._comparison_figure(rivals, plots.COMPARED, "Title", "Simulated.")
        for figure in (calibration, comparison):
            figure.draw_without_rendering()
            page = figure.bbox
            texts = [*figure.texts, *figure.legends]
            texts += [t for a in figure.axes for t in (a.xaxis.label, a.yaxis.label, a._left_title)]
            boxes = [t.get_window_extent() for t in texts]
            boxes = [b for b in boxes if b.width]
            for i, box in enumerate(boxes):
                assert page.x0 <= box.x0
                assert box.x1 <= page.x1
                assert page.y0 <= box.y0
                assert box.y1 <= page.y1
                assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_a_comparison_names_every_model_and_which_way_is_good(performance):
    drawn = comparison_plot({"Ridge": performance, "Trees": _performance(shift=1.0)})
    words = ET.fromstring(drawn)[1].text
    assert "95% interval" in words
    assert "Ridge: AUROC" in words
    assert "Trees: AUROC" in words
    assert plots._aim("auroc") == "AUROC, higher is better"
    assert plots._aim("calibration_slope") == "Calibration slope, 1 is ideal"


def test_a_worse_model_is_drawn_to_the_right_on_log_loss(performance):
    """Direction: the dot follows the number."""
    rivals = {"good": performance, "bad": _performance(shift=2.0)}
    figure = plots._comparison_figure(rivals, ("log_loss",), "", "")
    dots = [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert dots == [rivals["good"]["log_loss"].value, rivals["bad"]["log_loss"].value]
    assert dots[0] < dots[1]


def test_numbers_are_said_with_true_minus_signs():
    made = _performance(shift=1.0)
    assert "Calibration intercept \N{MINUS SIGN}" in plots._numbers(made)


def test_drawing_leaves_the_settings_of_others_alone(performance):
    before = dict(mpl.rcParams)
    calibration_plot(performance)
    assert dict(mpl.rcParams) == before
