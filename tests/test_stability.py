"""How far refits scatter: laws, a table by hand, and refits that failed."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.measures.logistic import expit, logit
from spinecast.measures.stability import instability


def _scattered(patients, refits, sd, *, seed=0):
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, 1, patients))
    return risk, expit(logit(risk) + random.normal(0, sd, (refits, patients)))


# Laws


def test_refits_that_agree_are_stable():
    risk, _ = _scattered(50, 1, 1)
    made = instability(risk, np.tile(risk, (20, 1)), threshold=0.2)
    assert (made.mape, made.share_changed) == (pytest.approx(0, abs=1e-15), 0)
    np.testing.assert_allclose(made.low, risk)
    np.testing.assert_allclose(made.high, risk)


def test_more_scatter_is_more_instability():
    """The direction test beside the numbers by hand."""
    little, much = (instability(*_scattered(300, 50, sd), threshold=0.2) for sd in (0.1, 0.5))
    assert much.mape > 3 * little.mape
    assert (much.width > little.width).mean() > 0.99
    assert much.share_changed > 2 * little.share_changed


def test_normal_scatter_has_the_mean_error_it_should():
    risk = np.full(200, 0.5)
    refits = 0.5 + np.random.default_rng(1).normal(0, 0.05, (2000, 200))
    made = instability(risk, refits, level=0.9)
    assert made.mape == pytest.approx(0.05 * math.sqrt(2 / math.pi), rel=0.01)
    np.testing.assert_allclose(made.width, 2 * 1.645 * 0.05, rtol=0.1)


@given(st.integers(0, 1000))
def test_the_order_of_patients_and_of_refits_changes_nothing(seed):
    risk, refits = _scattered(20, 15, 0.4, seed=seed)
    random = np.random.default_rng(seed)
    order = random.permutation(20)
    one = instability(risk, refits, threshold=0.3)
    other = instability(risk[order], refits[random.permutation(15)][:, order], threshold=0.3)
    np.testing.assert_allclose(one.error[order], other.error)
    np.testing.assert_allclose(one.low[order], other.low)
    assert one.share_changed == pytest.approx(other.share_changed)
    assert one.mape == pytest.approx(other.mape)


@given(st.integers(0, 1000))
def test_the_mean_error_is_no_less_than_the_error_of_the_mean(seed):
    risk, refits = _scattered(20, 15, 0.4, seed=seed)
    made = instability(risk, refits)
    assert (made.error >= np.abs(refits.mean(axis=0) - risk) - 1e-12).all()
    assert (made.low <= made.high).all()


# Examples


def test_two_patients_and_four_refits_by_hand():
    refits = [[0.1, 0.5], [0.2, 0.6], [0.3, 0.5], [0.2, 0.4]]
    made = instability([0.2, 0.5], refits, level=0.5, threshold=0.3)
    np.testing.assert_allclose(made.error, [0.05, 0.05])
    assert made.mape == pytest.approx(0.05)
    # the middle half of 0.1 0.2 0.2 0.3 and of 0.4 0.5 0.5 0.6
    np.testing.assert_allclose(made.low, [0.175, 0.475])
    np.testing.assert_allclose(made.high, [0.225, 0.525])
    np.testing.assert_allclose(made.changed, [0.25, 0])
    assert made.share_changed == 0.125


def test_the_summary_is_ready_for_json():
    made = instability(*_scattered(30, 20, 0.3))
    written = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert written["mape"] == made.mape
    assert written["share_changed"] is None
    assert (written["patients"], written["refits"], written["left_out"]) == (30, 20, 0)


# Degenerate input


def test_a_failed_refit_is_left_out_and_counted():
    risk, refits = _scattered(30, 20, 0.3)
    failed = np.vstack([refits, np.full((1, 30), math.nan)])
    made = instability(risk, failed)
    assert (made.refits, made.left_out) == (20, 1)
    assert made.mape == instability(risk, refits).mape


@pytest.mark.parametrize("failed", [3, 20])
def test_too_many_failed_refits_give_nothing(failed):
    risk, refits = _scattered(30, 20, 0.3)
    refits[:failed, 0] = math.nan
    made = instability(risk, refits, threshold=0.2)
    assert made.left_out == failed
    assert math.isnan(made.mape)
    assert made.to_dict()["width_90"] is None


def test_nobody_and_no_refits_are_no_trouble():
    assert math.isnan(instability([], np.empty((3, 0))).mape)
    assert math.isnan(instability([0.2], np.empty((0, 1))).mape)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: instability([0.1, 0.2], [[0.1], [0.2]]), "needed are"),
        (lambda: instability([0.1], [[1.5]]), "per cent"),
        (lambda: instability([math.nan], [[0.5]]), "missing"),
        (lambda: instability([0.1], [[0.5]], level=95), "level == 95"),
        (lambda: instability([0.1], [[0.5]], threshold=0), "threshold == 0"),
    ],
)
def test_misuse_is_an_error(call, said):
    with pytest.raises(ValueError, match=said):
        call()
