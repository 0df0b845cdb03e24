"""Bootstrap counts, percentile intervals and folds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.measures.resampling import folds, patient_folds, percentile_interval, resampled


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_a_resample_has_as_many_patients_and_can_be_repeated(patients, seed):
    first, second = (list(resampled(patients, 3, seed)) for _ in range(2))
    assert [counts.sum() for counts in first] == [patients] * 3
    np.testing.assert_array_equal(first, second)


def test_nobody_cannot_be_resampled():
    assert list(resampled(0, 5, seed=1)) == []


def test_the_interval_is_the_middle_of_the_draws():
    low, high = percentile_interval(np.arange(101.0), 0.9)
    assert (low, high) == pytest.approx((5, 95))


def test_the_interval_needs_nine_draws_in_ten():
    draws = np.ones(10)
    draws[0] = math.nan
    assert percentile_interval(draws, 0.9) == (1, 1)
    draws[1] = math.inf
    assert all(map(math.isnan, percentile_interval(draws, 0.9)))
    assert all(map(math.isnan, percentile_interval(np.empty(0), 0.9)))


outcomes = st.lists(st.integers(0, 1), min_size=10, max_size=80).map(np.array)


@given(outcomes, st.integers(2, 10), st.integers(0, 1000))
def test_every_patient_is_tested_once_a_repeat_in_even_folds(y, splits, seed):
    parts = list(folds(y, repeats=2, splits=splits, seed=seed))
    for repeat in (parts[:splits], parts[splits:]):
        tested = [test for _, test in repeat]
        assert sorted(np.concatenate(tested)) == list(range(len(y)))
        for sizes in ([len(t) for t in tested], [y[t].sum() for t in tested]):
            assert max(sizes) - min(sizes) <= 1
    for train, test in parts:
        assert sorted([*train, *test]) == list(range(len(y)))


def test_the_same_seed_gives_the_same_folds_and_another_does_not():
    y = np.arange(60) % 3 == 0

    def tested(seed):
        return [t.tolist() for _, t in folds(y, repeats=2, splits=3, seed=seed)]

    assert tested(1) == tested(1)
    assert tested(1) != tested(2)
    assert tested(1)[:3] != tested(1)[3:]


@pytest.mark.parametrize("splits", [1, 5])
def test_folds_out_of_range_are_refused(splits):
    with pytest.raises(ValueError, match="must be from 2 to the 4 patients"):
        list(folds([0, 1, 0, 1], repeats=1, splits=splits, seed=0))


@given(outcomes, st.integers(2, 5), st.integers(0, 1000))
def test_copies_of_a_patient_stay_in_one_fold(y, splits, seed):
    (counts,) = resampled(len(y), 1, seed)
    whose = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(y)), counts))
    parts = list(patient_folds(y[whose], whose, repeats=1, splits=splits, seed=seed))
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(len(y)))
    for train, test in parts:
        assert not set(whose[train]) & set(whose[test])
        assert sorted([*train, *test]) == list(range(len(y)))


def test_folds_of_patients_who_come_once_are_folds():
    y = np.arange(60) % 3 == 0
    plain, grouped = (
        folds(y, repeats=2, splits=3, seed=4),
        patient_folds(y, np.arange(60), repeats=2, splits=3, seed=4),
    )
    for one, other in zip(plain, grouped, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
