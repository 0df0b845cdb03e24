"""Distances of the calibration curve from the diagonal: laws, and a second way to each number."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from sklearn.linear_model import LogisticRegression

from spinecast.measures import curves, distances
from spinecast.measures.distances import DISTANCES
from spinecast.measures.logistic import expit, logit

every_distance = pytest.mark.parametrize("measure", DISTANCES, ids=lambda m: m.name)


def _cohort(patients, *, seed=0):
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, 1, patients))
    return (random.random(patients) < risk) * 1.0, risk


def _numbers(made):
    return made.ici, made.e50, made.e90, made.emax


# Laws


def test_true_risks_come_ever_nearer_to_the_diagonal():
    mean = [
        np.mean([distances.ici(*_cohort(patients, seed=seed)) for seed in range(20)])
        for patients in (300, 3000, 30_000)
    ]
    assert mean[0] > 2 * mean[1] > 4 * mean[2]
    assert distances.ici(*_cohort(300_000)) < 0.002


def test_a_known_distortion_is_measured_as_what_it_is():
    """With half a million patients the distances are those of the true from the stated risks."""
    y, truth = _cohort(500_000)
    stated = expit(0.3 + 1.6 * logit(truth))
    apart = np.abs(truth - stated)
    made = distances.distances(y, stated)
    expected = (apart.mean(), np.median(apart), np.quantile(apart, 0.9))
    assert _numbers(made)[:3] == pytest.approx(expected, abs=0.004)
    assert made.emax == pytest.approx(apart.max(), abs=0.02)


@given(st.integers(0, 500))
def test_distances_stand_in_order(seed):
    made = distances.distances(*_cohort(200, seed=seed))
    assert 0 <= made.e50 <= made.e90 <= made.emax <= 1
    assert 0 <= made.ici <= made.emax


@every_distance
def test_the_order_of_patients_changes_nothing(measure):
    y, risk = _cohort(500)
    order = np.random.default_rng(1).permutation(500)
    one, other = measure.function(y, risk, None), measure.function(y[order], risk[order], None)
    assert one == pytest.approx(other, rel=1e-6)


@every_distance
@pytest.mark.parametrize("patients", [150, 600])
def test_a_weight_is_a_number_of_equal_patients(measure, patients):
    y, risk = _cohort(patients)
    counts = np.random.default_rng(2).integers(1, 5, patients)
    repeated = measure.function(np.repeat(y, counts), np.repeat(risk, counts), None)
    assert measure.function(y, risk, counts) == pytest.approx(repeated, rel=1e-6)


def test_a_resample_by_counts_is_a_resample_by_rows():
    y, risk = _cohort(400)
    y, risk = y[np.argsort(risk)], np.sort(risk)
    made = distances.distance_intervals(y, risk, resamples=1, seed=3)
    rows = np.random.default_rng(3).integers(400, size=400)
    assert made.low == made.high
    expected = _numbers(distances.distances(y[rows], risk[rows]))
    assert _numbers(made.low) == pytest.approx(expected, rel=1e-6)


def test_intervals_narrow_with_the_cohort_and_keep_to_their_seed():
    y, risk = _cohort(300)
    stated = expit(1 + logit(risk))
    one, again, other = (
        distances.distance_intervals(y, stated, resamples=60, seed=s) for s in (1, 1, 2)
    )
    assert one == again
    assert one.low != other.low
    order = np.random.default_rng(4).permutation(300)
    turned = distances.distance_intervals(y[order], stated[order], resamples=60, seed=1)
    assert turned == one
    y, risk = _cohort(6000)
    large = distances.distance_intervals(y, expit(1 + logit(risk)), resamples=60, seed=1)
    assert large.high.ici - large.low.ici < (one.high.ici - one.low.ici) / 2
    assert large.low.ici < large.value.ici < large.high.ici


# References


@pytest.mark.parametrize("patients", [250, 2000])
def test_agrees_with_another_spline_basis_and_another_fit(patients):
    """scipy's natural splines through the same knots, fitted by scikit-learn without penalty."""
    y, risk = _cohort(patients, seed=7)
    stated = expit(0.4 + 1.5 * logit(risk))
    x = logit(stated)
    shares = curves.KNOT_QUANTILES[3 if min(y.sum(), (1 - y).sum()) < curves.FEW else 4]
    knots = np.quantile(x, shares, method="inverted_cdf")
    columns = np.column_stack([_natural(x, knots, row) for row in np.eye(len(knots))])
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=500)
    model.fit(columns[:, 1:], y)  # the columns sum to one: the first is the intercept's
    apart = np.abs(model.predict_proba(columns[:, 1:])[:, 1] - stated)
    made = distances.distances(y, stated)
    expected = (apart.mean(), np.median(apart), np.quantile(apart, 0.9), apart.max())
    assert made.ici == pytest.approx(expected[0], rel=1e-5)
    assert made.emax == pytest.approx(expected[3], rel=1e-5)
    assert _numbers(made)[1:3] == pytest.approx(expected[1:3], abs=0.002)


def _natural(x, knots, heights):
    spline = CubicSpline(knots, heights, bc_type="natural")
    inside = spline(np.clip(x, knots[0], knots[-1]))
    below, above = np.minimum(x - knots[0], 0), np.maximum(x - knots[-1], 0)
    return inside + below * spline(knots[0], 1) + above * spline(knots[-1], 1)


# Examples


def test_two_risks_by_hand():
    # one in four of those told 20%, three in four of those told 60%: apart by 0.05 and 0.15
    y, risk = [0, 1, 0, 0, 1, 1, 0, 1], [0.2] * 4 + [0.6] * 4
    made = distances.distances(y, risk)
    assert _numbers(made) == pytest.approx((0.1, 0.05, 0.15, 0.15), abs=1e-6)


@every_distance
def test_wrong_risks_lie_farther_off(measure):
    """The direction test beside the numbers above."""
    y, risk = _cohort(5000)
    for wrong in (expit(logit(risk) + 1), expit(2 * logit(risk)), expit(logit(risk) - 1)):
        assert measure.function(y, wrong, None) > 1.5 * measure.function(y, risk, None)
        assert measure.lead(measure.function(y, risk, None), measure.function(y, wrong, None)) > 0


# Degenerate input


@every_distance
@pytest.mark.parametrize(
    ("y", "risk"),
    [
        ([], []),
        ([0, 0, 0], [0.1, 0.2, 0.3]),
        ([0, 1, 0], [0.2, 0.2, 0.2]),
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        ([0, 1, math.nan], [0.2, 0.1, 0.3]),
        ([0, 1, 0], [0.2, math.nan, 0.3]),
    ],
    ids=["nobody", "one class", "constant", "separated", "outcome unknown", "risk unknown"],
)
def test_without_a_curve_there_is_no_distance(measure, y, risk):
    assert math.isnan(measure.function(y, risk, None))


def test_too_few_usable_resamples_give_no_interval():
    made = distances.distance_intervals(
        [1] + [0] * 30, np.linspace(0.1, 0.5, 31), resamples=20, seed=0
    )
    assert all(map(math.isnan, (*_numbers(made.low), *_numbers(made.high))))


def test_risks_of_exactly_zero_and_one_are_silent():
    y, risk = _cohort(300)
    risk[:2] = 0.0, 1.0
    assert 0 <= distances.ici(y, risk) < 0.5
