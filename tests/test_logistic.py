"""Margins and risks turn into each other; the small fit finds the maximum or says there is none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from spinecast.measures import logistic
from spinecast.measures.logistic import expit, logit

margins = st.floats(-700, 700)


@given(margins)
def test_risks_of_opposite_margins_sum_to_one(margin):
    assert expit(margin) + expit(-margin) == pytest.approx(1, abs=1e-15)


@given(st.floats(1e-12, 1 - 1e-12))
def test_logit_undoes_expit(risk):
    assert expit(logit(risk)) == pytest.approx(risk, rel=1e-12)


@given(margins, margins)
def test_a_higher_margin_is_never_a_lower_risk(one, other):
    low, high = sorted((one, other))
    assert expit(low) <= expit(high)


@given(st.lists(margins, min_size=1))
def test_one_patient_and_many_get_the_same_answer(several):
    together = expit(np.array(several))
    np.testing.assert_allclose(together, [expit(m) for m in several], rtol=1e-15)
    np.testing.assert_allclose(together, special.expit(several), rtol=1e-13)


def test_the_ends_are_silent_and_exact():
    assert (expit(-1e6), expit(1e6)) == (0.0, 1.0)
    assert (logit(0.0), logit(1.0)) == (-math.inf, math.inf)
    assert math.isnan(logit(1.5))
    assert math.isnan(expit(math.nan))
    np.testing.assert_array_equal(logit(np.array([0.0, 0.5, 1.0])), [-np.inf, 0, np.inf])


def _cohort(seed, patients=400):
    random = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(patients), random.normal(size=(patients, 2))])
    offset = random.normal(size=patients)
    y = (random.random(patients) < expit(offset + columns @ [-1.0, 0.7, 0.0])) * 1.0
    return columns, y, offset, random.integers(1, 4, patients) * 1.0


@pytest.mark.parametrize("ridge", [0.0, 5.0])
def test_fit_is_the_maximum_that_a_general_optimiser_finds(ridge):
    columns, y, offset, weights = _cohort(1)

    def loss(b):
        margin = offset + columns @ b
        return weights @ (np.logaddexp(0, margin) - y * margin) + ridge / 2 * b @ b

    found = logistic.fit(columns, y, offset=offset, weights=weights, ridge=ridge)
    expected = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(found.coefficients, expected.x, atol=1e-6)
    risk = expit(offset + columns @ expected.x)
    information = columns.T @ np.diag(weights * risk * (1 - risk)) @ columns + ridge * np.eye(3)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(information), rtol=1e-4, atol=1e-9)


def test_a_weight_of_two_is_the_patient_twice():
    columns, y, offset, weights = _cohort(2)
    rows = np.repeat(np.arange(len(y)), weights.astype(int))
    weighted = logistic.fit(columns, y, offset=offset, weights=weights)
    ones = np.ones(len(rows))
    repeated = logistic.fit(columns[rows], y[rows], offset=offset[rows], weights=ones)
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, rtol=1e-9)


def test_no_maximum_is_said_and_a_ridge_always_has_one():
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    columns, y, zero, one = np.column_stack([np.ones(4), x]), (x > 0) * 1.0, np.zeros(4), np.ones(4)
    assert not logistic.fit(columns, y, offset=zero, weights=one).found
    assert not logistic.fit(columns, np.array([1.0, 1, 1, 0]), offset=zero, weights=one).found
    assert not logistic.fit(columns[:, [0, 0]], y, offset=zero, weights=one).found
    assert logistic.fit(columns, y, offset=zero, weights=one, ridge=1e-3).found


@given(st.integers(1, 199), st.integers(0, 2**32 - 1))
def test_an_intercept_alone_always_exists_and_makes_the_mean_right(events, seed):
    offset = np.random.default_rng(seed).normal(-1, 4, 200)
    y = (np.arange(200) < events) * 1.0
    found = logistic.fit(np.ones((200, 1)), y, offset=offset, weights=np.ones(200))
    assert expit(offset + found.coefficients[0]).mean() == pytest.approx(y.mean(), abs=1e-9)
