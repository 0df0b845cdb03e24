"""The points and the curve of a calibration plot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.interpolate import CubicSpline

from spinecast.measures import curves
from spinecast.measures.logistic import expit, logit


def _cohort(patients, *, seed=0):
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, 1, patients))
    return (random.random(patients) < risk) * 1.0, risk


# Laws


@given(st.integers(1, 500), st.floats(0, 1))
def test_a_wilson_interval_holds_its_share(patients, share):
    events = round(share * patients)
    low, high = curves.wilson(events, patients)
    assert 0 <= low <= events / patients + 1e-12
    assert events / patients - 1e-12 <= high <= 1
    assert curves.wilson(events, patients, level=0.5)[1] <= high + 1e-12


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=200))
def test_groups_hold_every_patient_once_and_rise(rows):
    y, risk = np.array(rows, float).T
    groups = curves.risk_groups(y, risk / 20)
    assert sum(g.patients for g in groups) == len(rows)
    assert sum(g.events for g in groups) == y.sum()
    predicted = [g.predicted for g in groups]
    assert predicted == sorted(predicted)
    bins = curves.calibration_curve(y, risk / 20).histogram
    assert sum(b.events for b in bins) == y.sum()
    assert sum(b.events + b.others for b in bins) == len(rows)


def test_equal_risks_are_never_parted():
    risk = np.repeat([0.1, 0.2, 0.6], [250, 30, 720])
    groups = curves.risk_groups(np.zeros(1000), np.random.default_rng(0).permutation(risk))
    assert [g.patients for g in groups] == [250, 750]


@pytest.mark.parametrize("knots", [3, 4, 5])
def test_the_spline_is_natural(knots):
    """Straight outside the knots, and able to follow any natural cubic spline between them."""
    at = np.quantile(np.linspace(-3, 2, 100), curves.KNOT_QUANTILES[knots])
    for outside in (np.linspace(-9, at[0], 20), np.linspace(at[-1], 9, 20)):
        bend = np.diff(curves.natural_spline(outside, at), n=2, axis=0)
        np.testing.assert_allclose(bend, 0, atol=1e-10)
    x = np.linspace(at[0], at[-1], 50)
    columns = np.column_stack([np.ones(50), x, curves.natural_spline(x, at)])
    wanted = CubicSpline(at, np.sin(3 * at), bc_type="natural")(x)
    fitted = columns @ np.linalg.lstsq(columns, wanted)[0]
    np.testing.assert_allclose(fitted, wanted, atol=1e-9)


@pytest.mark.parametrize("knots", [3, 4, 5])
def test_the_curve_of_true_risks_is_the_diagonal(knots):
    y, risk = _cohort(50_000)
    curve = curves.smooth_calibration(y, risk, knots=knots)
    at = np.linspace(0.05, 0.7, 20)
    np.testing.assert_allclose(curve.at(at), at, atol=0.02)


def test_the_curve_of_distorted_risks_is_the_truth():
    y, risk = _cohort(50_000)
    curve = curves.smooth_calibration(y, expit(1 + 2 * logit(risk)))
    at = np.linspace(0.05, 0.7, 20)
    np.testing.assert_allclose(curve.at(expit(1 + 2 * logit(at))), at, atol=0.02)


def test_the_curve_keeps_the_mean():
    """A logistic fit with an intercept reproduces the number of events."""
    y, risk = _cohort(700)
    assert curves.smooth_calibration(y, risk).at(risk).sum() == pytest.approx(y.sum(), rel=1e-6)


def test_the_band_holds_the_truth_about_as_often_as_it_says():
    at = np.array([0.1, 0.25, 0.5])
    held = []
    for seed in range(200):
        curve = curves.smooth_calibration(*_cohort(500, seed=seed))
        low, high = curve.band(at, 0.9)
        held.append((low <= at) & (at <= high))
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)


def test_few_events_get_a_stiffer_curve():
    y, risk = _cohort(300)
    assert 0 < y.sum() < curves.FEW
    assert len(curves.smooth_calibration(y, risk).knots) == 3
    assert len(curves.smooth_calibration(*_cohort(3000)).knots) == 4


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=30),
    st.integers(0, 20).map(lambda step: step / 20),
)
def test_a_weighted_quantile_is_that_of_as_many_equal_patients(rows, share):
    values, counts = np.array(rows, float).T
    expected = np.quantile(np.repeat(values, counts.astype(int)), share, method="inverted_cdf")
    assert curves.weighted_quantiles(values, share, counts) == expected


@pytest.mark.parametrize("patients", [150, 900])
def test_a_weighted_curve_is_that_of_as_many_equal_patients(patients):
    y, risk = _cohort(patients)
    counts = np.random.default_rng(1).integers(1, 4, patients)
    weighted = curves.smooth_calibration(y, risk, weights=counts)
    repeated = curves.smooth_calibration(np.repeat(y, counts), np.repeat(risk, counts))
    np.testing.assert_allclose(weighted.knots, repeated.knots)
    np.testing.assert_allclose(
        weighted.at([0.1, 0.3, 0.6]), repeated.at([0.1, 0.3, 0.6]), rtol=1e-6
    )


# References


@pytest.mark.parametrize(("events", "patients"), [(0, 10), (3, 10), (10, 10), (57, 400)])
def test_wilson_agrees_with_scipy(events, patients):
    expected = stats.binomtest(events, patients).proportion_ci(0.95, method="wilson")
    assert curves.wilson(events, patients) == pytest.approx(tuple(expected), abs=1e-12)


# Examples


def test_no_event_in_ten_by_hand():
    # upper end z2 / (n + z2) with z = 1.959964: 3.841459 / 13.841459
    low, high = curves.wilson(0, 10)
    assert (low, high) == (0, pytest.approx(0.277533, abs=1e-6))
    assert curves.wilson(0, 100)[1] < high < curves.wilson(1, 10)[1]


def test_ten_groups_of_a_hundred():
    y, risk = _cohort(1000)
    groups = curves.risk_groups(y, risk)
    assert [g.patients for g in groups] == [100] * 10
    assert groups[0].observed < groups[-1].observed
    assert all(g.low <= g.observed <= g.high for g in groups)


def test_small_cohorts_get_fewer_groups():
    assert len(curves.risk_groups(*_cohort(35))) == 3
    assert len(curves.risk_groups(*_cohort(4))) == 1


# Degenerate input


def test_no_patients_leave_an_empty_curve():
    curve = curves.calibration_curve([], [])
    assert (curve.groups, curve.smooth) == ((), ())
    assert np.isnan(curves.wilson(0, 0)).all()


@pytest.mark.parametrize(
    ("y", "risk"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3]),
        ([0, 1, 0], [0.2, 0.2, 0.2]),
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
    ],
    ids=["one class", "constant", "separated"],
)
def test_what_cannot_be_fitted_is_left_out(y, risk):
    curve = curves.calibration_curve(y, risk)
    assert curve.smooth == ()
    assert sum(g.patients for g in curve.groups) == len(y)


def test_two_different_risks_give_a_straight_line():
    y, risk = [0, 1, 0, 0, 1, 1, 0, 1], [0.2] * 4 + [0.6] * 4
    curve = curves.smooth_calibration(y, risk)
    np.testing.assert_allclose(curve.at([0.2, 0.6]), [0.25, 0.75], atol=1e-6)


def test_risks_of_exactly_zero_and_one_are_taken():
    y, risk = _cohort(200)
    risk[:2] = 0.0, 1.0
    assert curves.calibration_curve(y, risk).smooth
