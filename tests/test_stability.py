"""How far refits scatter: laws, a table by hand, and refits that failed."""

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
    made = instability(risk, np.tile(risk, (20, 1)))
    assert made.mean_error == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(made.low, np.sort(risk))
    np.testing.assert_allclose(made.high, np.sort(risk))


def test_more_scatter_is_more_instability():
    """The direction test beside the numbers by hand."""
    little, much = (instability(*_scattered(300, 50, sd)) for sd in (0.1, 0.5))
    assert much.mean_error > 3 * little.mean_error
    assert (much.high - much.low > little.high - little.low).mean() > 0.99


def test_normal_scatter_has_the_mean_error_it_should():
    risk = np.full(200, 0.5)
    refits = 0.5 + np.random.default_rng(1).normal(0, 0.05, (2000, 200))
    made = instability(risk, refits, level=0.9)
    assert made.mean_error == pytest.approx(0.05 * math.sqrt(2 / math.pi), rel=0.01)
    np.testing.assert_allclose(made.high - made.low, 2 * 1.645 * 0.05, rtol=0.1)


@given(st.integers(0, 1000))
def test_the_order_of_patients_and_of_refits_changes_nothing(seed):
    risk, refits = _scattered(20, 15, 0.4, seed=seed)
    random = np.random.default_rng(seed)
    order = random.permutation(20)
    one = instability(risk, refits)
    other = instability(risk[order], refits[random.permutation(15)][:, order])
    for name in ("risk", "low", "high", "error", "mean_error"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))


@given(st.integers(0, 1000))
def test_the_mean_error_is_no_less_than_the_error_of_the_mean(seed):
    risk, refits = _scattered(20, 15, 0.4, seed=seed)
    made, order = instability(risk, refits), np.argsort(risk)
    assert (made.error >= np.abs(refits.mean(axis=0) - risk)[order] - 1e-12).all()
    assert (made.low <= made.high).all()


# Examples


def test_two_patients_and_four_refits_by_hand():
    refits = [[0.5, 0.1], [0.6, 0.2], [0.5, 0.3], [0.4, 0.2]]
    made = instability([0.5, 0.2], refits, level=0.5)
    np.testing.assert_allclose(made.risk, [0.2, 0.5])
    np.testing.assert_allclose(made.error, [0.05, 0.05])
    assert made.mean_error == pytest.approx(0.05)
    # the middle half of 0.1 0.2 0.2 0.3 and of 0.4 0.5 0.5 0.6
    np.testing.assert_allclose(made.low, [0.175, 0.475])
    np.testing.assert_allclose(made.high, [0.225, 0.525])


# Degenerate input


def test_a_failed_refit_counts_for_nobody():
    risk, refits = _scattered(30, 20, 0.3)
    failed = np.vstack([refits, np.full((1, 30), math.nan)])
    assert instability(risk, failed).mean_error == instability(risk, refits).mean_error


@pytest.mark.parametrize("failed", [3, 20])
def test_too_many_failed_refits_give_nothing(failed):
    risk, refits = _scattered(30, 20, 0.3)
    refits[:failed, 0] = math.nan
    made = instability(risk, refits)
    assert math.isnan(made.mean_error)
    assert np.isnan(made.low).all()


def test_nobody_and_no_refits_are_no_trouble():
    assert math.isnan(instability([], np.empty((3, 0))).mean_error)
    assert math.isnan(instability([0.2], np.empty((0, 1))).mean_error)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: instability([0.1, 0.2], [[0.1], [0.2]]), "needed are"),
        (lambda: instability([0.1], [[1.5]]), "per cent"),
        (lambda: instability([math.nan], [[0.5]]), "missing"),
        (lambda: instability([0.1], [[0.5]], level=95), "level == 95"),
    ],
)
def test_misuse_is_an_error(call, said):
    with pytest.raises(ValueError, match=said):
        call()
