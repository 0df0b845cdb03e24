"""Intervals from formulas hold the truth as often as they say; differences point the right way."""

import math

import numpy as np
import pytest
from scipy import stats

from spinecast.measures.closed_form import contrast, measured
from spinecast.measures.intervals import normal_reach
from spinecast.measures.logistic import expit, logit
from spinecast.measures.metrics import MEASURES, best_auroc

NAMES = ("auroc", "observed_expected", "calibration_intercept", "calibration_slope", "log_loss")


def _cohort(patients, seed=0, shift=0.0):
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, 1, patients))
    return (random.random(patients) < expit(logit(risk) + shift)) * 1.0, risk


def _named(told):
    return {one.measure: one for one in told}


# Laws


def test_the_values_are_those_of_metrics():
    y, risk = _cohort(300)
    told = _named(measured(y, risk))
    assert tuple(told) == NAMES
    for measure in MEASURES:
        if measure.name in told:
            assert told[measure.name].value == pytest.approx(measure.function(y, risk, None))


def test_the_order_of_rows_changes_nothing():
    y, risk = _cohort(300)
    order = np.random.default_rng(2).permutation(300)
    for one, again in zip(measured(y, risk), measured(y[order], risk[order]), strict=True):
        assert (again.value, again.low) == pytest.approx((one.value, one.low))


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    _, many = _cohort(400_000, seed=99)
    truth = {
        "auroc": best_auroc(many),
        "observed_expected": 1.0,
        "calibration_intercept": 0.0,
        "calibration_slope": 1.0,
        "log_loss": float(-(many * np.log(many) + (1 - many) * np.log(1 - many)).mean()),
    }
    held = {name: [] for name in NAMES}
    for seed in range(400):
        for one in measured(*_cohort(250, seed)):
            held[one.measure].append(one.low <= truth[one.measure] <= one.high)
    for name in NAMES:
        assert np.mean(held[name]) == pytest.approx(0.95, abs=0.04), name


def test_differences_of_two_like_groups_leave_out_none_one_time_in_twenty():
    found = {name: [] for name in NAMES}
    for seed in range(400):
        one, other = measured(*_cohort(150, seed)), measured(*_cohort(600, seed + 10_000))
        for a, b in zip(one, other, strict=True):
            found[a.measure].append(contrast(a, b).is_established)
    for name in NAMES:
        assert np.mean(found[name]) == pytest.approx(0.05, abs=0.035), name


def test_turning_two_groups_round_turns_the_difference_round():
    one, other = (_named(measured(*_cohort(300, seed))) for seed in (1, 2))
    for name in NAMES:
        there, back = contrast(one[name], other[name]), contrast(other[name], one[name])
        if there.scale == "ratio":
            assert there.value * back.value == pytest.approx(1)
            assert there.low * back.high == pytest.approx(1)
        else:
            assert (there.value, there.low) == pytest.approx((-back.value, -back.high))


def test_a_higher_level_reaches_farther():
    assert normal_reach(0.9) < normal_reach(0.95) == pytest.approx(stats.norm.ppf(0.975))


# Examples


def test_where_more_happens_than_foretold_intercept_and_ratio_are_higher():
    worse, fine = (_named(measured(*_cohort(4000, 3, shift))) for shift in (0.7, 0.0))
    assert contrast(worse["calibration_intercept"], fine["calibration_intercept"]).low > 0
    assert contrast(worse["observed_expected"], fine["observed_expected"]).low > 1


@pytest.mark.parametrize(
    ("y", "risk"),
    [
        ([], []),
        ([1.0], [0.4]),
        ([1.0] * 12, [0.3] * 12),
        ([0.0, 1.0] * 6, [0.3] * 12),
        ([0.0, 1.0] * 6, [0.0, 1.0] * 6),
        ([1.0, 0.0] * 6, [0.0, 1.0] * 6),
    ],
)
def test_what_cannot_be_computed_is_silently_not_a_number(y, risk):
    told = measured(y, risk)
    assert len(told) == len(NAMES)
    assert all(math.isnan(one.low) or one.low <= one.value <= one.high for one in told)
    assert all(isinstance(contrast(one, one).is_established, bool) for one in told)


def test_two_measures_cannot_be_held_against_each_other():
    told = _named(measured(*_cohort(50)))
    with pytest.raises(ValueError, match="cannot be held against"):
        contrast(told["auroc"], told["log_loss"])
