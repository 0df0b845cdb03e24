"""DeLong's interval: laws, pROC's own expected numbers, and what has no interval."""

import math
import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from spinecast.measures import metrics
from spinecast.measures.delong import auroc_difference, auroc_interval
from spinecast.measures.logistic import expit, logit

risks = st.integers(1, 20).map(lambda step: step / 21)  # many ties
cohorts = st.lists(st.tuples(st.integers(0, 1), risks, risks), min_size=4, max_size=60).filter(
    lambda rows: 2 <= sum(r[0] for r in rows) <= len(rows) - 2
)


def _split(rows):
    return tuple(np.array(column, float) for column in zip(*rows, strict=True))


def _cohort(patients, *, seed=0):
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, 1, patients))
    return (random.random(patients) < risk) * 1.0, risk


def _every_pair(y, *scores):
    """DeLong as printed: all events times all others, no ranks."""
    placed = []
    for score in scores:
        bad, good = score[y == 1][:, None], score[y == 0][None, :]
        placed.append((bad > good) + 0.5 * (bad == good))
    of_events = np.atleast_2d(np.cov([p.mean(axis=1) for p in placed]))
    of_others = np.atleast_2d(np.cov([p.mean(axis=0) for p in placed]))
    covariance = of_events / (y == 1).sum() + of_others / (y == 0).sum()
    return [p.mean() for p in placed], covariance


# Laws


@given(cohorts)
def test_ranks_give_what_every_pair_gives(rows):
    y, risk, rival = _split(rows)
    (value, other), covariance = _every_pair(y, risk, rival)
    alone, both = auroc_interval(y, risk), auroc_difference(y, risk, rival)
    assert alone.value == pytest.approx(value, abs=1e-12)
    if covariance[0, 0] > 1e-12:
        assert alone.standard_error**2 == pytest.approx(covariance[0, 0], rel=1e-9)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert both.value == pytest.approx(value - other, abs=1e-12)
    if variance > 1e-12:
        assert both.standard_error**2 == pytest.approx(variance, rel=1e-8)


@given(cohorts, st.randoms(use_true_random=False))
def test_the_order_of_patients_changes_nothing(rows, random):
    y, risk, rival = _split(rows)
    order = random.sample(range(len(y)), len(y))
    for one, other in (
        (auroc_interval(y, risk), auroc_interval(y[order], risk[order])),
        (auroc_difference(y, risk, rival), auroc_difference(y[order], risk[order], rival[order])),
    ):
        for name in ("value", "low", "high"):
            expected = pytest.approx(getattr(other, name), abs=1e-9, nan_ok=True)
            assert getattr(one, name) == expected


@given(cohorts)
def test_only_the_order_of_risks_counts(rows):
    y, risk, _ = _split(rows)
    stretched = auroc_interval(y, expit(3 * logit(risk) - 1))
    plain = auroc_interval(y, risk)
    assert stretched.value == pytest.approx(plain.value, abs=1e-12)
    assert stretched.low == pytest.approx(plain.low, abs=1e-9, nan_ok=True)


@given(cohorts)
def test_swapping_the_models_turns_the_difference(rows):
    y, risk, rival = _split(rows)
    there, back = auroc_difference(y, risk, rival), auroc_difference(y, rival, risk)
    assert there.value == pytest.approx(-back.value, abs=1e-15)
    assert there.low == pytest.approx(-back.high, abs=1e-12, nan_ok=True)
    assert there.p_value == pytest.approx(back.p_value, nan_ok=True)


def test_a_model_against_one_that_ranks_alike_has_no_difference():
    y, risk = _cohort(300)
    for same in (risk, expit(2 * logit(risk) + 1)):
        made = auroc_difference(y, risk, same)
        assert (made.value, made.low, made.high, made.p_value) == (0, 0, 0, 1)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held, differs = [], []
    for seed in range(400):
        y, risk = _cohort(300, seed=seed)
        noise = np.random.default_rng([seed, 1]).normal(size=(2, 300))
        made = auroc_interval(y, risk, level=0.9)
        held.append(made.low <= 0.7424 <= made.high)
        one, other = (expit(logit(risk) + n) for n in noise)
        differs.append(auroc_difference(y, one, other).p_value < 0.1)
    # the expected AUROC of these risks: metrics.best_auroc over a million of them
    assert metrics.best_auroc(_cohort(1_000_000)[1]) == pytest.approx(0.7424, abs=0.001)
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)
    assert np.mean(differs) == pytest.approx(0.1, abs=0.04)


# References

# pROC (github.com/xrobin/pROC, tests/testthat): the ROC curve of `ndka` in its aSAH patients
# (helper-roc-expected.R) gives their order of rising score: p = poor outcome, g = good, brackets
# hold equal scores. Beside it stand the interval (test-ci.auc.R) and the variance (test-var.R).
NDKA = (
    "gpggpppgggggggggpggggggppggpg(gg)gp(pg)ggggpggpggggggpppgpggpgggggpg(pg)ggpggppgppgg(pg)"
    "ppgggpggggppppggpgggppppggpgpgpgp"
)
NDKA_VARIANCE = 0.0031908105493913
NDKA_INTERVAL = (0.501244999271703, 0.611957994579946, 0.722670989888189)


def _ndka():
    groups = [group.strip("()") for group in re.findall(r"\([pg]+\)|[pg]", NDKA)]
    rows = [(letter == "p", place) for place, group in enumerate(groups) for letter in group]
    return _split(rows)


def test_agrees_with_proc_on_its_own_patients():
    y, score = _ndka()
    made = auroc_interval(y, score)
    assert (made.events, made.others) == (41, 72)
    assert (made.low, made.value, made.high) == pytest.approx(NDKA_INTERVAL, abs=1e-14)
    assert made.standard_error**2 == pytest.approx(NDKA_VARIANCE, rel=1e-12)


def test_a_worse_score_in_those_patients_has_a_lower_interval():
    """The direction test beside the numbers of pROC."""
    y, score = _ndka()
    turned = auroc_interval(y, -score)
    assert turned.value == pytest.approx(1 - NDKA_INTERVAL[1])
    assert turned.high == pytest.approx(1 - NDKA_INTERVAL[0])
    helped = np.where(y == 1, score + 20, score)
    assert auroc_interval(y, helped).low > NDKA_INTERVAL[1]
    assert auroc_difference(y, helped, score).low > 0
    assert auroc_difference(y, score, helped).p_value < 0.001


# DeLong's ovarian cancer patients (1988, doi:10.2307/2531595), the 43 with all tests, as SAS/STAT
# prints them ("Comparing Receiver Operating Characteristic Curves", PROC LOGISTIC): albumin, total
# protein, K-G score, and the indicator `popind`. The two differences below are recomputed from
# these data over all pairs (`_every_pair`), as no printed output was at hand.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""


def test_three_tests_in_the_same_women():
    albumin, protein, kg_score, benefit = np.array(OVARIAN.split(), float).reshape(-1, 4).T
    kg_score = 10 - kg_score
    made = [auroc_interval(benefit, test) for test in (albumin, kg_score, protein)]
    values = [(round(m.value, 4), round(m.standard_error, 4)) for m in made]
    assert values == [(0.7366, 0.0927), (0.7258, 0.1028), (0.6478, 0.1)]
    for test, expected in (
        (albumin, (0.0108, 0.0953, -0.1761, 0.1976, 0.9102)),
        (protein, (-0.0780, 0.1046, -0.2830, 0.1271, 0.4561)),
    ):
        gap = auroc_difference(benefit, test, kg_score)
        found = (gap.value, gap.standard_error, gap.low, gap.high, gap.p_value)
        assert found == pytest.approx(expected, abs=6e-5)
    assert auroc_difference(benefit, albumin, protein).value > 0


@pytest.mark.parametrize("decimals", [1, 2, 12])
def test_the_area_is_that_of_scikit_learn_and_of_metrics(decimals):
    y, risk = _cohort(2000, seed=3)
    risk = np.round(risk, decimals)
    made = auroc_interval(y, risk)
    assert made.value == pytest.approx(roc_auc_score(y, risk), rel=1e-12)
    assert made.value == pytest.approx(metrics.auroc(y, risk), rel=1e-12)


# Examples


def test_four_patients_by_hand():
    # pairs: 0.8 beats 0.4 and 0.1; 0.4 ties 0.4 and beats 0.1. Events beat 1 and 0.75 of others,
    # others lose to 0.75 and 1 of events: variance 0.03125 / 2 + 0.03125 / 2
    made = auroc_interval([1, 0, 1, 0], [0.8, 0.4, 0.4, 0.1])
    assert made.value == 0.875
    assert made.standard_error == pytest.approx(math.sqrt(0.03125))
    assert (made.low, made.high) == pytest.approx((0.875 - 1.959964 * 0.1767767, 1), abs=1e-6)


def test_more_patients_and_a_lower_level_narrow_the_interval():
    few, many = (auroc_interval(*_cohort(n)) for n in (200, 20_000))
    assert many.high - many.low < (few.high - few.low) / 5
    lower = auroc_interval(*_cohort(200), level=0.5)
    assert lower.high - lower.low < few.high - few.low


def test_half_a_million_patients_take_seconds():
    y, risk = _cohort(500_000)
    started = time.perf_counter()
    auroc_interval(y, risk)
    assert time.perf_counter() - started < 5


# Degenerate input


@pytest.mark.parametrize("y", [[], [0, 0, 0], [1, 1, 1], [0, math.nan, 1]])
def test_without_pairs_nothing_is_known(y):
    made = auroc_interval(y, [0.1, 0.2, 0.3][: len(y)])
    assert math.isnan(made.value)
    assert math.isnan(made.low)


def test_one_event_has_an_area_but_no_interval():
    made = auroc_interval([1, 0, 0], [0.3, 0.2, 0.4])
    assert made.value == 0.5
    assert all(map(math.isnan, (made.standard_error, made.low, made.high)))


def test_perfect_order_in_a_few_patients_is_not_certainty():
    made = auroc_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert made.value == 1
    assert math.isnan(made.low)


def test_a_missing_risk_is_never_passed_over():
    assert math.isnan(auroc_interval([0, 1, 0, 1], [0.1, math.nan, 0.2, 0.3]).value)
    assert math.isnan(auroc_difference([0, 1], [0.1, 0.2], [math.nan, 0.1]).value)


def test_the_same_risk_for_everyone_is_a_coin():
    assert auroc_interval([0, 1, 0, 1], [0.3] * 4).value == 0.5


@pytest.mark.parametrize(
    ("y", "risk", "level", "said"),
    [
        ([0, 2], [0.1, 0.2], 0.95, "other than 0, 1"),
        ([0, 1], [0.1], 0.95, "one row per patient"),
        ([0, 1], [0.1, 0.2], 95, "between 0 and 1"),
    ],
)
def test_misuse_is_an_error(y, risk, level, said):
    with pytest.raises(ValueError, match=said):
        auroc_interval(y, risk, level=level)
