"""A method that learns by heart is optimistic; one that does not learn is not."""

import math

import numpy as np
import pytest

from methods import ByHeart, Constant, FixedRule, Logistic, Moody, Spy, drawn
from spinecast.fitting.estimator import EvidenceInformedClassifier
from spinecast.fitting.optimism import INTERVAL, bootstrap_optimism
from spinecast.fitting.recipe import IntervalRecipe, Recipe, TreeRecipe
from spinecast.measures.metrics import MEASURES, auroc
from spinecast.simulator.synthetic import simulate

CODES, Y = drawn(300, seed=3)


# --- laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["auroc", "scaled_brier", "calibration_slope"])
def test_learning_by_heart_is_optimistic(measure):
    found = bootstrap_optimism(ByHeart, CODES, Y, bootstraps=30)
    if measure == "calibration_slope":  # separated outcomes have none
        assert math.isnan(found[measure].corrected)
        assert any("Could not be corrected" in note for note in found.notes)
        return
    assert found[measure].apparent == 1
    assert found[measure].optimism > 0.1
    assert found[measure].low <= found[measure].corrected <= found[measure].high < 1


def test_learning_a_little_is_a_little_optimistic():
    found = bootstrap_optimism(Logistic, CODES[:, :5], Y, bootstraps=60)
    assert 0 < found["auroc"].optimism < 0.05
    assert found["log_loss"].optimism < 0
    assert found["calibration_slope"].corrected < found["calibration_slope"].apparent


def test_a_rule_that_does_not_learn_is_not_optimistic():
    found = bootstrap_optimism(FixedRule, CODES, Y, bootstraps=200)
    for name, most in (("auroc", 0.01), ("log_loss", 0.01), ("calibration_slope", 0.05)):
        assert abs(found[name].optimism) < most
    assert found["auroc"].apparent == auroc(Y, FixedRule().predict_proba(CODES)[:, 1])
    assert found.instability.mean_error == 0


def test_the_corrected_value_is_what_new_patients_show():
    codes, y = drawn(20_000, seed=9)
    model = Logistic().fit(CODES[:, :5], Y)
    truth = {m.name: m.function(y, model.predict_proba(codes[:, :5])[:, 1], None) for m in MEASURES}
    found = bootstrap_optimism(Logistic, CODES[:, :5], Y, bootstraps=100, level=0.99)
    for name, value in truth.items():
        assert found[name].low < value < found[name].high, name


def test_an_interval_is_the_apparent_value_less_percentiles_of_optimism():
    found = bootstrap_optimism(Logistic, CODES[:, :5], Y, bootstraps=40)
    for measure in found.measures:
        assert measure.corrected == measure.apparent - measure.optimism
        assert measure.low < measure.corrected < measure.high
    assert found.interval == INTERVAL
    assert "percentiles" in INTERVAL


def test_copies_of_a_patient_do_not_make_tuning_careless(registry):
    # With copies in both parts of an inner fold, cross-validation wants the widest priors there are
    # (and with 1,000 patients 300 rounds of trees): learning by heart pays.
    cohort = simulate(registry, 300, 1)
    recipe = Recipe(interval=IntervalRecipe(refits=0), trees=TreeRecipe(most_rounds=0))
    rows = np.sort(np.random.default_rng(1).integers(300, size=300))
    told, untold = (
        EvidenceInformedClassifier(registry, recipe).fit(
            cohort.codes[rows], cohort.outcome[rows], patients
        )
        for patients in (rows, None)
    )
    assert told.choices_.scale < untold.choices_.scale == max(recipe.evidence.scales)


# --- what is learned and kept ------------------------------------------------------------------


def test_everyone_is_learned_from_once_and_then_drawn_with_replacement():
    spy = Spy()
    bootstrap_optimism(spy, CODES, Y, bootstraps=3)
    whole, *draws = [learned.tolist() for learned, _, _ in spy.fits]
    assert whole == list(range(300))
    assert [len(draw) for draw in draws] == [300] * 3
    assert all(len(set(draw)) < 250 for draw in draws)
    assert all(tested.tolist() == list(range(300)) for _, _, tested in spy.fits)


def test_the_same_seed_gives_the_same_answer_and_another_does_not():
    first, again, other = (
        bootstrap_optimism(Logistic, CODES[:, :5], Y, bootstraps=5, seed=seed) for seed in (1, 1, 2)
    )
    assert first.measures == again.measures != other.measures


def test_instability_is_a_band_around_each_risk_in_order_of_risk():
    band = bootstrap_optimism(Logistic, CODES[:, :5], Y, bootstraps=30).instability
    assert (np.diff(band.risk) >= 0).all()
    assert (band.low < band.high).all()
    assert 0 < band.mean_error < 0.1
    assert band.mean_error == pytest.approx(band.error.mean())


# --- what cannot be done -----------------------------------------------------------------------


def test_no_bootstrap_is_said():
    found = bootstrap_optimism(Logistic, CODES, Y, bootstraps=0)
    assert (found.measures, found.instability) == ((), None)
    assert found.notes == ("No bootstrap was asked for.",)


def test_too_few_events_are_said():
    found = bootstrap_optimism(Logistic, CODES, np.arange(300) < 9, bootstraps=5)
    assert found.measures == ()
    assert "9 of 300 patients had the outcome" in found.notes[0]


def test_one_risk_for_everyone_is_said_and_the_rest_comes_out():
    found = bootstrap_optimism(Constant, CODES, Y, bootstraps=20)
    assert math.isnan(found["calibration_slope"].corrected)
    assert found["observed_expected"].corrected == pytest.approx(1, abs=0.1)
    assert any("same risk" in note for note in found.notes)


def test_refits_that_fail_are_counted():
    codes = CODES[np.argsort(CODES[:, 0])]
    codes[0, 0], codes[1:40, 0] = -1.0, 1.0  # the draws without the first patient are refused
    found = bootstrap_optimism(Moody, codes[:, :5], Y, bootstraps=20)
    assert 0 < found.used < 20
    assert f"{20 - found.used} of 21 refits failed: It would not learn." in found.notes
    assert math.isnan(found["auroc"].corrected)
    assert found.instability is None
