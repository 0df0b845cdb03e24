"""Random-effects summaries: laws, metafor's documented example, and too few sites."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spinecast.measures.logistic import expit, logit
from spinecast.measures.pooling import between_sites, pool

sites = st.lists(st.tuples(st.floats(-2, 2), st.floats(0.05, 1)), min_size=2, max_size=12).map(
    lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True))
)


def _drawn(count, tau, *, seed):
    random = np.random.default_rng(seed)
    errors = random.uniform(0.1, 0.3, count)
    return random.normal(0.5, tau, count) + random.normal(0, errors), errors


# Laws


@given(st.integers(2, 20), st.floats(-3, 3), st.floats(0.01, 1))
def test_identical_sites_show_no_heterogeneity_and_no_false_certainty(count, value, error):
    made = pool([value] * count, [error] * count)
    assert (made.tau2, made.i2) == (0, 0)
    assert made.q == pytest.approx(0, abs=1e-12)
    assert made.q_p_value == pytest.approx(1)
    assert made.summary == pytest.approx(value)
    assert made.standard_error == pytest.approx(error / math.sqrt(count))
    assert (made.expected_low, made.expected_high) == pytest.approx((made.low, made.high))


@given(sites, st.randoms(use_true_random=False))
def test_the_order_of_sites_changes_nothing(rows, random):
    values, errors = rows
    order = random.sample(range(len(values)), len(values))
    one, other = pool(values, errors), pool(values[order], errors[order])
    assert one.summary == pytest.approx(other.summary, abs=1e-7)
    assert one.tau2 == pytest.approx(other.tau2, abs=1e-7)


@given(sites, st.floats(-5, 5), st.floats(0.5, 3))
def test_shifting_and_stretching_the_scale_moves_the_answer_with_it(rows, shift, stretch):
    values, errors = rows
    before, after = pool(values, errors), pool(shift + stretch * values, stretch * errors)
    assert after.summary == pytest.approx(shift + stretch * before.summary, abs=1e-5)
    assert after.tau2 == pytest.approx(stretch**2 * before.tau2, abs=1e-5)
    assert after.i2 == pytest.approx(before.i2, abs=1e-5)


@given(sites)
def test_the_summary_lies_among_the_sites_and_the_intervals_about_it(rows):
    values, errors = rows
    made = pool(values, errors)
    assert values.min() - 1e-9 <= made.summary <= values.max() + 1e-9
    assert made.expected_low <= made.low <= made.summary <= made.high <= made.expected_high
    assert 0 <= made.i2 <= 1


@given(sites)
def test_no_other_variance_is_more_likely(rows):
    values, errors = rows
    found = between_sites(values, errors**2)

    def likelihood(tau2):
        within = errors**2 + tau2
        mean = np.average(values, weights=1 / within)
        density = stats.norm.logpdf(values, mean, np.sqrt(within)).sum()
        return density - 0.5 * np.log((1 / within).sum())

    others = np.concatenate([np.linspace(0, 8, 400), found + np.array([-1e-3, 1e-3])])
    best = max(likelihood(tau2) for tau2 in others if tau2 >= 0)
    assert likelihood(found) >= best - 1e-9


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held, expected, found = [], [], []
    for seed in range(600):
        made = pool(*_drawn(10, 0.3, seed=seed), level=0.9)
        new = np.random.default_rng([seed, 1]).normal(0.5, 0.3)
        held.append(made.low <= 0.5 <= made.high)
        expected.append(made.expected_low <= new <= made.expected_high)
        found.append(made.tau2)
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)
    assert np.mean(expected) == pytest.approx(0.9, abs=0.04)
    assert np.mean(found) == pytest.approx(0.09, abs=0.01)


def test_sites_that_differ_more_show_more_heterogeneity():
    """The direction test beside the numbers below."""
    like, unlike = (pool(*_drawn(20, tau, seed=1)) for tau in (0.05, 0.8))
    assert unlike.tau2 > 10 * like.tau2
    assert unlike.i2 > like.i2
    assert unlike.q_p_value < like.q_p_value
    assert unlike.expected_high - unlike.expected_low > 3 * (like.expected_high - like.expected_low)


# References

# Tuberculosis after BCG vaccination in 13 trials: cases and others among the vaccinated, then among
# those who were not, as R metafor prints them (`dat.bcg`).
# Source: Colditz 1994, doi:10.1001/jama.1994.03510330076038.
BCG = (
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619),
    (33, 5036, 47, 5761), (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892),
    (29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338),
    (27, 16886, 29, 17825),
)  # fmt: skip


def test_agrees_with_metafor():
    # metafor's README: rma(yi, vi, data=dat, test="knha") and predict(res, transf=exp, digits=2)
    a, b, c, d = np.array(BCG, float).T
    values = np.log(a / (a + b)) - np.log(c / (c + d))
    errors = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    made = pool(values, errors)
    assert round(made.tau2, 4) == 0.3132
    assert round(made.tau, 4) == 0.5597
    assert round(100 * made.i2, 2) == 92.22
    assert round(made.q, 4) == 152.2330
    assert made.q_p_value < 0.0001
    assert round(made.summary, 4) == -0.7145
    assert round(made.standard_error, 4) == 0.1808
    assert (round(made.low, 4), round(made.high, 4)) == (-1.1084, -0.3206)
    ratio = made.shown(math.exp)
    shown = (ratio.summary, ratio.low, ratio.high, ratio.expected_low, ratio.expected_high)
    assert [round(x, 2) for x in shown] == [0.49, 0.33, 0.73, 0.14, 1.76]


# Examples


def test_two_sites_by_hand():
    # equal errors: tau2 = variance of the two less that of one, 0.5 - 0.01; half way between them;
    # the standard error is that of a mean of two
    made = pool([0.0, 1.0], [0.1, 0.1])
    assert made.tau2 == pytest.approx(0.49)
    assert made.summary == pytest.approx(0.5)
    assert made.standard_error == pytest.approx(0.5)
    assert made.high - 0.5 == pytest.approx(12.7062 * 0.5, rel=1e-5)
    assert made.q == pytest.approx(50)


def test_an_auroc_is_pooled_as_a_logit_and_shown_as_itself():
    aurocs, errors = np.array([0.70, 0.74, 0.68]), np.array([0.03, 0.02, 0.04])
    made = pool(logit(aurocs), errors / (aurocs * (1 - aurocs))).shown(expit)
    assert 0.68 < made.summary < 0.74
    assert 0 < made.expected_low < made.low < made.high < made.expected_high < 1
    assert math.isnan(made.standard_error)


# Degenerate input


def test_one_site_has_its_value_and_nothing_else():
    made = pool([0.7, math.nan], [0.1, 0.2])
    assert (made.sites, made.left_out, made.summary) == (1, 1, 0.7)
    rest = (made.low, made.high, made.expected_low, made.tau2, made.i2, made.q, made.tau)
    assert all(map(math.isnan, rest))


def test_no_site_has_nothing():
    made = pool([], [])
    assert made.sites == 0
    assert math.isnan(made.summary)


def test_sites_without_an_error_are_left_out_and_counted():
    full = pool([0.1, 0.3, 0.2], [0.1, 0.2, 0.1])
    holes = pool([0.1, 0.3, 0.9, 0.2], [0.1, 0.2, math.nan, 0.1])
    assert (holes.sites, holes.left_out) == (3, 1)
    assert holes.summary == pytest.approx(full.summary)


@pytest.mark.parametrize(
    ("values", "errors", "level", "said"),
    [
        ([0.1], [0.1, 0.2], 0.95, "one per site"),
        ([0.1, 0.2], [0.0, 0.1], 0.95, "not above 0"),
        ([0.1, 0.2], [0.1, 0.1], 95, "between 0 and 1"),
    ],
)
def test_misuse_is_an_error(values, errors, level, said):
    with pytest.raises(ValueError, match=said):
        pool(values, errors, level=level)
