"""Recalibration keeps order and finds what was distorted; the secant adds up exactly."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.errors import DataRefused, ModelRefused
from spinecast.measures import metrics
from spinecast.modelling.calibration import IDENTITY, Recalibration, expit, logit, secant

margins = st.floats(-50, 50)
huge = st.floats(-700, 700)


# The secant


@given(margins, margins)
def test_secant_times_distance_is_the_difference_of_risks(a, b):
    assert secant(a, b) * (a - b) == pytest.approx(expit(a) - expit(b), rel=1e-12, abs=1e-12)


@given(huge, huge)
def test_secant_is_positive_and_at_most_a_quarter(a, b):
    assert 0 < secant(a, b) <= 0.25 * (1 + 1e-15)


@given(huge, huge)
def test_secant_is_symmetric_in_both_senses(a, b):
    assert secant(a, b) == secant(b, a)
    assert secant(a, b) == pytest.approx(secant(-a, -b), rel=1e-14)


@given(margins)
def test_secant_at_no_distance_is_the_slope_of_the_risk(a):
    assert secant(a, a) == pytest.approx(expit(a) * expit(-a), rel=1e-14)
    assert secant(a, a + 1e-13) == pytest.approx(secant(a, a), rel=1e-10)


@given(st.lists(st.tuples(huge, huge), min_size=1, max_size=20))
def test_one_patient_and_many_have_the_same_secant(pairs):
    a, b = np.array(pairs).T
    one_by_one = [secant(float(x), float(y)) for x, y in pairs]
    np.testing.assert_allclose(secant(a, b), one_by_one, rtol=1e-14)
    np.testing.assert_allclose(secant(a, float(b[0])), secant(a, np.full(len(a), b[0])), rtol=0)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=40), st.floats(-5, 5))
def test_contributions_add_up_to_the_risk(contributions, reference):
    margin = reference + math.fsum(contributions)
    shares = [c * secant(margin, reference) for c in contributions]
    assert math.fsum(shares) == pytest.approx(expit(margin) - expit(reference), abs=1e-13)


def test_secant_beyond_all_reason_stays_quiet():
    assert secant(1e308, -1e308) == pytest.approx(0, abs=1e-300)
    assert secant(5000.0, 4000.0) == 0
    assert math.isnan(secant(math.nan, 0.0))
    np.testing.assert_array_equal(np.isnan(secant(np.array([np.nan, 0.0]), 0.0)), [True, False])


def test_secant_by_hand():
    # risks 3/4 and 1/2 at margins ln 3 and 0
    assert secant(math.log(3), 0.0) == pytest.approx(0.25 / math.log(3), rel=1e-15)


# Recalibration


@given(st.floats(-3, 3), st.floats(0.1, 3), margins, margins)
def test_recalibration_keeps_the_order_of_patients(intercept, slope, one, other):
    low, high = sorted((one, other))
    recalibration = Recalibration(intercept, slope)
    assert recalibration.apply(low) <= recalibration.apply(high)


@given(margins)
def test_identity_changes_nothing(margin):
    assert IDENTITY.apply(margin) == margin
    assert Recalibration() == IDENTITY


def _cohort(patients=500, seed=0):
    random = np.random.default_rng(seed)
    margin = random.normal(-1.2, 1, patients)
    return margin, (random.random(patients) < expit(margin)) * 1.0


@given(st.floats(-2, 2), st.floats(0.3, 3))
def test_fit_undoes_a_distortion(shift, stretch):
    margin, y = _cohort()
    plain, distorted = (
        Recalibration.fit(m, y).apply(m) for m in (margin, shift + stretch * margin)
    )
    np.testing.assert_allclose(distorted, plain, atol=1e-3)


def test_a_recalibrated_model_is_calibrated():
    margin, y = _cohort()
    risk = expit(Recalibration.fit(2 * margin + 1, y).apply(2 * margin + 1))
    assert metrics.calibration_slope(y, risk) == pytest.approx(1, abs=1e-4)
    assert metrics.calibration_intercept(y, risk) == pytest.approx(0, abs=1e-4)


def test_fit_is_the_calibration_line():
    margin, y = _cohort(200)
    line, fitted = metrics.calibration_line(y, expit(margin)), Recalibration.fit(margin, y)
    assert fitted.slope == pytest.approx(line.slope, rel=1e-5)
    assert fitted.intercept == pytest.approx(line.intercept, abs=1e-5)


def test_fit_does_not_depend_on_the_order_of_patients():
    margin, y = _cohort()
    turned = Recalibration.fit(margin[::-1], y[::-1])
    assert turned.slope == pytest.approx(Recalibration.fit(margin, y).slope, rel=1e-9)


def test_risks_too_low_are_raised_and_too_extreme_are_shrunk():
    margin, y = _cohort(2000)
    assert Recalibration.fit(margin - 1, y).intercept > 0.5
    assert Recalibration.fit(2 * margin, y).slope < 0.7


def test_separated_outcomes_give_a_finite_answer():
    margin = np.linspace(-2, 2, 40)
    fitted = Recalibration.fit(margin, margin > 0)
    assert 1 < fitted.slope < 1000


def test_equal_margins_move_the_intercept_only():
    fitted = Recalibration.fit(np.full(8, -1.0), [1, 1, 0, 0, 0, 0, 0, 0])
    assert fitted.slope == 1
    assert fitted.apply(-1.0) == pytest.approx(logit(0.25), abs=1e-3)


def test_a_model_that_ranks_upside_down_is_refused_in_words():
    margin, y = _cohort()
    with pytest.raises(ModelRefused, match=r"calibration slope: -.*less often.*coded 1 = yes"):
        Recalibration.fit(-margin, y)


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_cannot_recalibrate(y):
    with pytest.raises(DataRefused, match="at least one patient with and one without"):
        Recalibration.fit(np.linspace(-1, 1, len(y)), y)


@pytest.mark.parametrize("slope", [0.0, -0.5, math.nan, math.inf])
def test_a_slope_not_above_zero_is_refused(slope):
    with pytest.raises(ModelRefused, match=r"recalibration slope: .* above 0"):
        Recalibration(0.0, slope)


def test_every_problem_is_listed_at_once():
    with pytest.raises(ModelRefused, match="2 problems"):
        Recalibration(math.inf, -1.0)


def test_it_survives_being_written_down():
    recalibration = Recalibration(-0.123456789, 0.87654321)
    assert Recalibration.from_dict(recalibration.to_dict()) == recalibration
