"""Measures obey their laws, agree with scikit-learn and scipy, and fail into NaN in silence."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from sklearn import metrics as sklearn_metrics
from sklearn.linear_model import LogisticRegression

from spinecast.measures import metrics
from spinecast.measures.logistic import expit, logit
from spinecast.measures.metrics import MEASURES

risks = st.integers(1, 99).map(lambda percent: percent / 100)  # many ties
patients = st.lists(st.tuples(st.integers(0, 1), risks), min_size=1, max_size=60)
every_measure = pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.name)


def _split(rows):
    y, risk = zip(*rows, strict=True)
    return np.array(y, float), np.array(risk)


def _cohort(patients, *, seed=0, spread=1.0):
    """Patients whose true risk is known: (outcome, true risk)."""
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, spread, patients))
    return (random.random(patients) < risk) * 1.0, risk


# Laws


@every_measure
@given(patients, st.randoms(use_true_random=False))
def test_no_measure_depends_on_the_order_of_patients(measure, rows, random):
    shuffled = random.sample(rows, len(rows))
    one, other = measure.function(*_split(rows), None), measure.function(*_split(shuffled), None)
    assert one == pytest.approx(other, rel=1e-6, abs=1e-6, nan_ok=True)


@every_measure
@given(rows=patients, data=st.data())
def test_a_weight_is_a_number_of_equal_patients(measure, rows, data):
    counts = data.draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows)))
    y, risk = _split(rows)
    repeated = measure.function(np.repeat(y, counts), np.repeat(risk, counts), None)
    weighted = measure.function(y, risk, counts)
    assert weighted == pytest.approx(repeated, rel=1e-6, abs=1e-6, nan_ok=True)


@given(patients)
def test_auroc_of_the_opposite_prediction_is_the_complement(rows):
    y, risk = _split(rows)
    complement = 1 - metrics.auroc(y, risk)
    assert metrics.auroc(y, 1 - risk) == pytest.approx(complement, abs=1e-12, nan_ok=True)


@given(patients)
def test_auroc_knows_only_the_order(rows):
    y, risk = _split(rows)
    stretched = expit(3 * logit(risk) - 5)
    assert metrics.auroc(y, stretched) == pytest.approx(metrics.auroc(y, risk), nan_ok=True)


@given(patients)
def test_the_calibration_intercept_makes_the_mean_right(rows):
    y, risk = _split(rows)
    shift = metrics.calibration_intercept(y, risk)
    if 0 < y.sum() < len(y):
        assert expit(logit(risk) + shift).mean() == pytest.approx(y.mean(), abs=1e-8)
    else:
        assert math.isnan(shift)


@given(st.floats(0.2, 5), st.floats(-2, 2))
def test_stretching_the_log_odds_divides_the_slope(stretch, shift):
    y, risk = _cohort(300)
    before = metrics.calibration_line(y, risk)
    after = metrics.calibration_line(y, expit(shift + stretch * logit(risk)))
    assert after.slope == pytest.approx(before.slope / stretch, rel=1e-6)
    assert after.intercept == pytest.approx(before.intercept - after.slope * shift, abs=1e-6)


def test_true_risks_are_perfectly_calibrated():
    y, risk = _cohort(200_000)
    assert metrics.calibration_slope(y, risk) == pytest.approx(1, abs=0.02)
    assert metrics.calibration_intercept(y, risk) == pytest.approx(0, abs=0.02)
    assert metrics.observed_expected(y, risk) == pytest.approx(1, abs=0.01)


@given(st.lists(st.tuples(risks, risks), min_size=1, max_size=50))
def test_nothing_beats_the_truth(pairs):
    predicted, truth = (np.array(side) for side in zip(*pairs, strict=True))
    excess = metrics.excess_log_loss(predicted, truth)
    assert excess >= -1e-15
    assert metrics.excess_log_loss(truth, truth) == 0
    expected = [_expected_log_loss(predicted, truth), _expected_log_loss(truth, truth)]
    assert excess == pytest.approx(expected[0] - expected[1], abs=1e-12)


def _expected_log_loss(predicted, truth):
    return np.mean(-truth * np.log(predicted) - (1 - truth) * np.log(1 - predicted))


def test_true_risks_reach_the_best_auroc_and_noise_does_not():
    y, risk = _cohort(100_000)
    noisy = expit(logit(risk) + np.random.default_rng(1).normal(size=len(y)))
    assert metrics.auroc(y, risk) == pytest.approx(metrics.best_auroc(risk), abs=0.005)
    assert metrics.auroc(y, noisy) < metrics.best_auroc(risk) - 0.05


@given(st.lists(risks, min_size=2, max_size=20))
def test_the_best_auroc_is_the_sum_over_all_pairs(risk):
    order = {True: 1.0, False: 0.0}
    concordant = pairs = 0.0
    for i, bad in enumerate(risk):
        for j, good in enumerate(risk):
            if i != j:
                weight = bad * (1 - good)
                pairs += weight
                concordant += weight * (0.5 if bad == good else order[bad > good])
    assert metrics.best_auroc(risk) == pytest.approx(concordant / pairs, rel=1e-9)


# References


@pytest.mark.parametrize("decimals", [1, 2, 12])
def test_agrees_with_scikit_learn(decimals):
    y, risk = _cohort(2000, seed=3)
    risk = np.clip(np.round(risk, decimals), 0, 1)
    assert metrics.auroc(y, risk) == pytest.approx(
        sklearn_metrics.roc_auc_score(y, risk), rel=1e-12
    )
    assert metrics.brier(y, risk) == pytest.approx(sklearn_metrics.brier_score_loss(y, risk))
    assert metrics.log_loss(y, risk) == pytest.approx(sklearn_metrics.log_loss(y, risk), rel=1e-9)


def test_being_certain_and_wrong_costs_what_scikit_learn_says():
    y, risk = [1, 0, 1, 0], [0.0, 1.0, 1.0, 0.0]
    assert metrics.log_loss(y, risk) == pytest.approx(sklearn_metrics.log_loss(y, risk))


def test_calibration_line_is_an_unpenalised_logistic_regression():
    y, risk = _cohort(1000, seed=4)
    over = expit(0.4 + 1.7 * logit(risk))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    model.fit(logit(over).reshape(-1, 1), y)
    line = metrics.calibration_line(y, over)
    assert line.slope == pytest.approx(model.coef_[0, 0], rel=1e-7)
    assert line.intercept == pytest.approx(model.intercept_[0], rel=1e-7)
    assert metrics.calibration_slope(y, over) == line.slope


def test_calibration_intercept_is_the_offset_fit_of_a_general_optimiser():
    y, risk = _cohort(1000, seed=5)
    low = expit(logit(risk) - 0.8)

    def loss(shift):
        margin = logit(low) + shift
        return np.sum(np.logaddexp(0, margin) - y * margin)

    expected = optimize.minimize_scalar(loss, bracket=(-1, 1), tol=1e-12).x
    assert metrics.calibration_intercept(y, low) == pytest.approx(expected, abs=1e-6)


def test_scaled_brier_is_relative_to_the_average_risk():
    y, risk = _cohort(500)
    everyone = np.full(500, y.mean())
    assert metrics.scaled_brier(y, everyone) == pytest.approx(0, abs=1e-12)
    expected = 1 - metrics.brier(y, risk) / metrics.brier(y, everyone)
    assert metrics.scaled_brier(y, risk) == pytest.approx(expected)


# Examples, by hand: four patients, the two with the outcome at 0.8 and 0.4

Y, RISK = [1, 0, 1, 0], [0.8, 0.4, 0.4, 0.1]


def test_four_patients_by_hand():
    # pairs (0.8, 0.4) (0.8, 0.1) (0.4, 0.1) in order, (0.4, 0.4) tied: 3.5 of 4
    assert metrics.auroc(Y, RISK) == 0.875
    # squares 0.04 + 0.16 + 0.36 + 0.01 = 0.57, over 4; of the average risk 0.5: 0.25
    assert metrics.brier(Y, RISK) == pytest.approx(0.1425)
    assert metrics.scaled_brier(Y, RISK) == pytest.approx(1 - 0.1425 / 0.25)
    # -(ln 0.8 + ln 0.6 + ln 0.4 + ln 0.9) / 4
    assert metrics.log_loss(Y, RISK) == pytest.approx(-math.log(0.8 * 0.6 * 0.4 * 0.9) / 4)
    # 2 happened, 1.7 foretold
    assert metrics.observed_expected(Y, RISK) == pytest.approx(2 / 1.7)
    # two patients at 0.2 and 0.6, pairs weighted: 0.6 * 0.8 in order, 0.2 * 0.4 not
    assert metrics.best_auroc([0.2, 0.6]) == pytest.approx(0.48 / 0.56)


def test_better_predictions_score_better_on_every_measure():
    """The direction test beside the numbers above."""
    y, truth = _cohort(5000, seed=6)
    worse = expit(0.8 + 1.8 * logit(truth) + np.random.default_rng(7).normal(size=5000))
    for measure in MEASURES:
        good, bad = (measure.function(y, risk, None) for risk in (truth, worse))
        assert measure.lead(good, bad) > 0, measure.name
        assert measure.lead(bad, good) < 0, measure.name


def test_too_low_risks_show_as_such():
    y, truth = _cohort(5000)
    too_low, too_extreme = expit(logit(truth) - 1), expit(2 * logit(truth))
    assert metrics.calibration_intercept(y, too_low) > 0.8
    assert metrics.observed_expected(y, too_low) > 1.4
    assert metrics.calibration_slope(y, too_extreme) < 0.6


# Degenerate input: NaN, no exception, and (warnings are errors) no warning

ONE_CLASS_ONLY = {"auroc", "scaled_brier", "calibration_intercept", "calibration_slope"}


@every_measure
def test_no_patients_have_no_measure(measure):
    assert math.isnan(measure.function([], [], None))


@every_measure
@pytest.mark.parametrize("kind", [0, 1])
def test_one_class_has_a_measure_only_where_it_exists(measure, kind):
    value = measure.function([kind] * 3, [0.2, 0.3, 0.4], None)
    assert math.isnan(value) == (measure.name in ONE_CLASS_ONLY)


@every_measure
@pytest.mark.parametrize(
    ("y", "risk"), [([1, 0, math.nan], [0.2, 0.3, 0.4]), ([1, 0, 1], [0.2, math.nan, 0.4])]
)
def test_a_missing_number_is_never_passed_over(measure, y, risk):
    assert math.isnan(measure.function(y, risk, None))


def test_the_same_risk_for_everyone_ranks_nobody():
    y, risk = [1, 0, 0], [0.3, 0.3, 0.3]
    assert metrics.auroc(y, risk) == 0.5
    assert math.isnan(metrics.calibration_slope(y, risk))
    assert metrics.calibration_intercept(y, risk) == pytest.approx(logit(1 / 3) - logit(0.3))


@pytest.mark.parametrize("risk", [[0.1, 0.2, 0.8, 0.9], [0.1, 0.4, 0.4, 0.9]])
def test_perfect_separation_has_no_slope(risk):
    assert math.isnan(metrics.calibration_slope([0, 0, 1, 1], risk))
    assert math.isnan(metrics.calibration_slope([1, 1, 0, 0], risk))


def test_empty_simulations_have_no_truth_to_compare():
    assert math.isnan(metrics.best_auroc([]))
    assert math.isnan(metrics.excess_log_loss([], []))


def test_risks_of_exactly_zero_and_one_are_silent():
    for measure in MEASURES:
        assert not math.isinf(measure.function([0, 1, 1, 0], [0.0, 1.0, 0.0, 0.5], None))


def test_every_measure_has_a_name_of_its_own():
    assert len({m.name for m in MEASURES}) == len({m.label for m in MEASURES}) == len(MEASURES)
