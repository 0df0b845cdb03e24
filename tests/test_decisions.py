"""Net benefit: the lines everyone knows, dcurves' printed results, and intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.measures.decisions import decision_curve, net_benefit, threshold_range
from spinecast.measures.logistic import expit, logit

risks = st.integers(0, 20).map(lambda step: step / 20)
patients = st.lists(st.tuples(st.integers(0, 1), risks), min_size=1, max_size=60)
thresholds = st.floats(0.01, 0.99)


def _split(rows):
    y, risk = zip(*rows, strict=True)
    return np.array(y, float), np.array(risk)


def _cohort(patients, *, seed=0):
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, 1, patients))
    return (random.random(patients) < risk) * 1.0, risk


# Laws


@given(patients, thresholds)
def test_acting_on_everyone_and_on_no_one(rows, threshold):
    y, _ = _split(rows)
    odds = threshold / (1 - threshold)
    everyone = y.mean() - (1 - y.mean()) * odds
    made = decision_curve(y, np.ones_like(y), [threshold]).decisions[0]
    assert made.model.value == pytest.approx(everyone, rel=1e-9, abs=1e-12)
    assert made.treat_all.value == pytest.approx(everyone, rel=1e-9, abs=1e-12)
    assert made.avoided_per_100.value == pytest.approx(0, abs=1e-8)
    assert (made.acted_on, made.treat_none) == (1, 0)
    assert net_benefit(y, np.zeros_like(y), threshold) == 0


@given(patients, thresholds)
def test_foreknowledge_brings_every_event_and_nobody_more(rows, threshold):
    y, risk = _split(rows)
    assert net_benefit(y, y, threshold) == pytest.approx(y.mean())
    assert net_benefit(y, risk, threshold) <= y.mean() + 1e-12


@given(patients, thresholds)
def test_net_benefit_is_its_definition(rows, threshold):
    y, risk = _split(rows)
    acted = risk >= threshold
    hits, alarms = (acted & (y == 1)).mean(), (acted & (y == 0)).mean()
    expected = hits - alarms * threshold / (1 - threshold)
    assert net_benefit(y, risk, threshold) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(patients, st.randoms(use_true_random=False))
def test_the_order_of_patients_changes_nothing(rows, random):
    at = [0.1, 0.3]
    one = decision_curve(*_split(rows), at, resamples=5, seed=1)
    other = decision_curve(*_split(random.sample(rows, len(rows))), at, resamples=5, seed=1)
    assert one == other


@given(rows=patients, threshold=thresholds, data=st.data())
def test_a_weight_is_a_number_of_equal_patients(rows, threshold, data):
    counts = data.draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows)))
    y, risk = _split(rows)
    repeated = net_benefit(np.repeat(y, counts), np.repeat(risk, counts), threshold)
    assert net_benefit(y, risk, threshold, counts) == pytest.approx(repeated, rel=1e-9, abs=1e-12)


def test_acting_on_everyone_is_worth_nothing_at_the_prevalence():
    y, risk = _cohort(1000)
    made = decision_curve(y, risk, [y.mean()]).decisions[0]
    assert made.treat_all.value == pytest.approx(0, abs=1e-12)
    assert made.gain.value == pytest.approx(made.model.value)


def test_true_risks_are_never_worse_than_either_default():
    y, risk = _cohort(400_000)
    for decision in decision_curve(y, risk, threshold_range(0.02, 0.9, 0.02)).decisions:
        assert decision.gain.value > -1e-4


def test_the_gain_is_against_the_better_default():
    y, risk = _cohort(2000)
    for decision in decision_curve(y, risk, threshold_range(0.05, 0.6)).decisions:
        better = max(decision.treat_all.value, decision.treat_none)
        assert decision.gain.value == pytest.approx(decision.model.value - better)


def test_a_resample_by_counts_is_a_resample_by_rows():
    y, risk = _cohort(300)
    y, risk = y[np.argsort(risk)], np.sort(risk)
    made = decision_curve(y, risk, [0.25], resamples=1, seed=3).decisions[0]
    rows = np.random.default_rng(3).integers(300, size=300)
    expected = net_benefit(y[rows], risk[rows], 0.25)
    assert made.model.low == made.model.high == pytest.approx(expected)


def test_a_resample_draws_rows_with_their_weights():
    y, risk = _cohort(300)
    order = np.argsort(risk)
    y, risk, weights = y[order], risk[order], np.random.default_rng(4).integers(1, 6, 300)
    made = decision_curve(y, risk, [0.25], weights=weights, resamples=1, seed=3).decisions[0]
    rows = np.random.default_rng(3).integers(300, size=300)
    expected = net_benefit(y[rows], risk[rows], 0.25, weights[rows])
    assert made.model.low == pytest.approx(expected)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = decision_curve(*_cohort(1_000_000, seed=99), [0.2, 0.35]).decisions
    held = []
    for seed in range(120):
        y, risk = _cohort(400, seed=seed)
        found = decision_curve(y, risk, [0.2, 0.35], resamples=100, seed=seed, level=0.9)
        for one, true in zip(found.decisions, truth, strict=True):
            for name in ("model", "gain", "avoided_per_100"):
                limits = getattr(one, name)
                held.append(limits.low <= getattr(true, name).value <= limits.high)
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


# References

# R dcurves (github.com/MSKCC-Epi-Bio/dcurves at 168c8b6, tests/benchmark_data): in its simulated
# `df_binary`, 24 of 105 patients with cancer and 91 of 645 without have a family history.
# r_case1_results.csv: threshold, net benefit of family history, interventions avoided per patient.
FAMILY_HISTORY = (
    (0.01, 0.030774410774410774, -9.953333333333333),
    (0.05, 0.025614035087719297, -1.3133333333333335),
    (0.1, 0.018518518518518517, -0.2333333333333334),
    (0.15, 0.010588235294117645, 0.12666666666666657),
    (0.2, 0.0016666666666666635, 0.3066666666666666),
    (0.21, -2.531645569620253e-4, 0.3323809523809523),
    (0.35, -0.033333333333333354, 0.5380952380952382),
)
# r_case3_results.csv: the marker as a risk, true and false positives in 750 patients and net
# benefit less 0.0333 for the harm of measuring it.
MARKER = (
    (0.12, 69, 193, 0.02360909090909092),
    (0.14, 67, 148, 0.02390930232558139),
    (0.15, 59, 136, 0.013366666666666673),
    (0.2, 41, 77, -0.004300000000000002),
    (0.25, 29, 51, -0.017299999999999996),
    (0.3, 23, 31, -0.020347619047619052),
    (0.35, 18, 24, -0.02653076923076923),
)


def test_agrees_with_dcurves_on_family_history():
    y = np.repeat([1.0, 1, 0, 0], [24, 81, 91, 554])
    risk = np.repeat([1.0, 0, 1, 0], [24, 81, 91, 554])
    found = decision_curve(y, risk, [row[0] for row in FAMILY_HISTORY]).decisions
    for decision, (_, benefit, avoided) in zip(found, FAMILY_HISTORY, strict=True):
        assert decision.model.value == pytest.approx(benefit, abs=1e-15)
        assert decision.avoided_per_100.value == pytest.approx(100 * avoided, rel=1e-12)
    assert found[0].treat_all.value == pytest.approx(0.13131313131313133, abs=1e-15)


def test_agrees_with_dcurves_on_a_marker_rebuilt_from_its_counts():
    at, hits, alarms, benefit = np.array(MARKER).T
    lowest = [105 - hits[0], 645 - alarms[0]]
    steps = np.append(-np.diff(hits), hits[-1]), np.append(-np.diff(alarms), alarms[-1])
    levels = np.append(0.05, at)
    counts = np.stack([np.append(low, step) for low, step in zip(lowest, steps, strict=True)])
    y, risk = np.repeat([1.0, 0.0], len(levels)), np.tile(levels, 2)
    kept = counts.ravel() > 0
    found = decision_curve(y[kept], risk[kept], at, weights=counts.ravel()[kept]).decisions
    values = [decision.model.value - 0.0333 for decision in found]
    np.testing.assert_allclose(values, benefit, atol=1e-15)


def test_a_better_marker_brings_more():
    """The direction test beside the numbers of dcurves."""
    y, risk = _cohort(20_000)
    noisy = expit(logit(risk) + np.random.default_rng(1).normal(size=len(y)))
    for threshold in (0.15, 0.25, 0.4):
        better, worse = (net_benefit(y, r, threshold) for r in (risk, noisy))
        assert better > worse > net_benefit(y, 1 - risk, threshold)


# Examples


def test_ten_patients_by_hand():
    # at 25% one needless action costs a third: (3 - 2 / 3) / 10; everyone (4 - 6 / 3) / 10
    y = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    risk = [0.9, 0.5, 0.25, 0.1, 0.6, 0.3, 0.2, 0.2, 0.1, 0.0]
    made = decision_curve(y, risk, [0.25]).decisions[0]
    assert made.acted_on == 0.5
    assert made.model.value == pytest.approx(0.7 / 3)
    assert made.treat_all.value == pytest.approx(0.2)
    assert made.gain.value == pytest.approx(0.1 / 3)
    # (0.2333 - 0.2) * 3 = 0.1 of a patient: four alarms saved, one event missed that is worth three
    assert made.avoided_per_100.value == pytest.approx(10)


def test_the_range_holds_both_ends():
    assert threshold_range(0.05, 0.15).tolist() == [
        0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15,
    ]  # fmt: skip
    assert threshold_range(0.1, 0.25, 0.1).tolist() == pytest.approx([0.1, 0.2, 0.25])
    assert threshold_range(0.3, 0.3).tolist() == [0.3]


def test_decisions_come_in_order_and_without_resamples_have_no_limits():
    made = decision_curve(*_cohort(100), [0.3, 0.1])
    assert [d.threshold for d in made.decisions] == [0.1, 0.3]
    assert math.isnan(made.decisions[0].model.low)
    assert (made.patients, made.resamples) == (100, 0)


# Degenerate input


@pytest.mark.parametrize(
    ("y", "risk"), [([], []), ([math.nan, 1], [0.1, 0.2]), ([0, 1], [0.1, math.nan])]
)
def test_nobody_or_a_missing_number_gives_nothing(y, risk):
    made = decision_curve(y, risk, [0.2], resamples=3).decisions[0]
    assert math.isnan(made.model.value)
    assert math.isnan(made.gain.high)


def test_one_class_and_constant_risks_are_no_trouble():
    made = decision_curve([0, 0, 0], [0.3] * 3, [0.2]).decisions[0]
    assert made.model.value == pytest.approx(-0.25)
    assert net_benefit([1, 1], [0.3, 0.3], 0.2) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: decision_curve([0, 1], [0.1, 0.2], [0.0]), "above 0 and below 1"),
        (lambda: decision_curve([0, 1], [0.1, 20], [0.2]), "per cent"),
        (lambda: decision_curve([0, 1], [0.1], [0.2]), "Shapes differ"),
        (lambda: threshold_range(0.5, 0.2), "low <= high"),
        (lambda: threshold_range(0.1, 0.2, 0), "step == 0"),
    ],
)
def test_misuse_is_an_error(call, said):
    with pytest.raises(ValueError, match=said):
        call()
