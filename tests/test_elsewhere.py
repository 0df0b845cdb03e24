"""No patient is predicted by a model that saw the patient's hospital, or the patient's future."""

import math

import numpy as np
import pytest

from methods import Constant, FixedRule, Logistic, Moody, Spy, drawn
from spinecast.fitting.elsewhere import SCALES, later_period, leave_one_site_out
from spinecast.measures.logistic import logit
from spinecast.measures.metrics import auroc, observed_expected

CODES, Y = drawn(400, seed=5)
SITE = np.array(["north", "east", "west", ""], dtype=object)[np.arange(400) % 4]
DAYS = np.datetime64("2020-01-01") + np.random.default_rng(2).permutation(400)


def both(estimates, errors):
    return tuple(estimates), tuple(errors)


# --- sites -------------------------------------------------------------------------------------


def test_no_fit_saw_the_site_it_predicts_nor_a_patient_of_no_known_site():
    spy = Spy()
    found = leave_one_site_out(spy, CODES, Y, SITE, resamples=0)
    assert [site.name for site in found.sites] == ["east", "north", "west"]
    for site, (learned, _, tested) in zip(found.sites, spy.fits, strict=True):
        assert set(SITE[tested]) == {site.name}
        assert len(tested) == 100 == site.performance.patients
        assert set(SITE[learned]) == {"north", "east", "west"} - {site.name}
        assert site.learned_from == len(learned) == 200
        assert site.learned_events == Y[learned].sum()
    assert found.notes == ("100 patients of no known site were left out.",)


def test_what_is_pooled_stands_on_its_scale_with_a_standard_error():
    found = leave_one_site_out(FixedRule, CODES, Y, SITE, resamples=100, pool=both)
    assert [summary.measure for summary in found.summaries] == list(SCALES)
    here = SITE == "east"
    risk = FixedRule().predict_proba(CODES[here])[:, 1]
    estimates, errors = found.summaries[0].pooled
    assert estimates[0] == pytest.approx(logit(auroc(Y[here], risk)))
    estimates, errors = found.summaries[1].pooled
    assert estimates[0] == pytest.approx(math.log(observed_expected(Y[here], risk)))
    # Binomial, expected taken as known: Debray 2017, doi:10.1136/bmj.i6460.
    share = Y[here].mean()
    assert errors[0] == pytest.approx(math.sqrt((1 - share) / (100 * share)), rel=0.3)


def test_identical_sites_show_no_difference():
    codes, y = np.tile(CODES, (3, 1)), np.tile(Y, 3)
    site = np.repeat(np.array(["a", "b", "c"], dtype=object), 400)
    found = leave_one_site_out(Logistic, codes[:, :5], y, site, resamples=20, pool=both)
    for summary in found.summaries:
        assert np.ptp(summary.pooled[0]) < 1e-9
        assert np.ptp(summary.pooled[1]) < 1e-9


def test_a_site_with_one_kind_or_few_events_is_named_and_still_learned_from():
    y = np.where(SITE == "west", 0.0, Y)
    y[np.flatnonzero(SITE == "north")] = np.arange(100) < 9
    spy = Spy()
    found = leave_one_site_out(spy, CODES, y, SITE, resamples=0)
    # The only site that could be judged would be learned for from nine events.
    assert found.sites == ()
    assert found.summaries == ()
    assert "north: not judged; 9 of 100 patients had the outcome" in found.notes[2]
    assert "at the other sites 9 of 200 patients had" in found.notes[1]
    assert "west: not judged; 0 of 100" in found.notes[3]
    assert spy.fits == []


@pytest.mark.parametrize(("name", "words"), [("north", "one site only"), ("", "no site is known")])
def test_one_site_or_none_cannot_be_left_out(name, words):
    found = leave_one_site_out(FixedRule, CODES, Y, np.full(400, name, dtype=object))
    assert found.sites == ()
    assert words in found.notes[-1]


def test_one_risk_for_everyone_has_no_slope_anywhere():
    found = leave_one_site_out(Constant, CODES, Y, SITE, resamples=20, pool=both)
    slopes = found.summaries[list(SCALES).index("calibration_slope")].pooled
    assert np.isnan(slopes).all()
    assert any("same risk" in note for note in found.sites[0].performance.notes)


def test_a_refusal_for_one_site_leaves_the_others():
    codes = CODES[:, :5].copy()
    codes[:, 0] = np.where(SITE == "east", 1.0, -1.0) * np.abs(codes[:, 0])
    # the first patient is of east
    order = np.concatenate([np.flatnonzero(SITE == "east"), np.flatnonzero(SITE != "east")])
    found = leave_one_site_out(Moody, codes[order], Y[order], SITE[order], resamples=0)
    assert [site.name for site in found.sites] == ["east"]
    assert "2 of 3 refits failed: It would not learn." in found.notes


# --- time --------------------------------------------------------------------------------------


def test_the_last_third_is_predicted_by_those_before():
    spy = Spy()
    found = later_period(spy, CODES, Y, DAYS, resamples=0)
    ((learned, _, tested),) = spy.fits
    assert len(tested) == pytest.approx(400 / 3, abs=1)
    assert DAYS[learned].max() < DAYS[tested].min() == np.datetime64(found.since)
    assert found.later.name == f"since {found.since}"
    assert found.notes == ()


def test_a_declared_day_is_the_first_of_the_later_period():
    spy = Spy()
    found = later_period(spy, CODES, Y, DAYS, since="2020-07-01", resamples=0)
    ((learned, _, tested),) = spy.fits
    assert DAYS[tested].min() == np.datetime64("2020-07-01")
    assert DAYS[learned].max() == np.datetime64("2020-06-30")
    assert found.since == "2020-07-01"


def test_patients_without_a_date_are_left_out_and_counted():
    days = DAYS.copy()
    days[:100] = np.datetime64("NaT")
    spy = Spy()
    found = later_period(spy, CODES, Y, days, resamples=0)
    ((learned, _, tested),) = spy.fits
    assert sorted([*learned, *tested]) == list(range(100, 400))
    assert found.notes == ("100 patients without a date were left out.",)


@pytest.mark.parametrize(
    ("days", "since", "words"),
    [
        (np.full(400, "NaT", dtype="datetime64[D]"), "", "no date is known"),
        (np.full(400, "2020-01-01", dtype="datetime64[D]"), "", "before 2020-01-01, 0 of 0"),
        (DAYS, "2019-01-01", "before 2019-01-01, 0 of 0"),
        (DAYS, "2031-01-01", "since 2031-01-01, 0 of 0"),
    ],
)
def test_a_period_that_cannot_be_is_said(days, since, words):
    found = later_period(FixedRule, CODES, Y, days, since=since)
    assert found.later is None
    assert words in found.notes[-1]
