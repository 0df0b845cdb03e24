"""What the clinic will not know makes predictions worse, and how much worse is said."""

import numpy as np
import pytest

from methods import FixedRule, Logistic, Moody, Spy, drawn
from spinecast.fitting.in_use import RECORDED, Blanks, in_use

CODES, Y = drawn(400, seed=8)
CODES = CODES[:, :5]


def test_blanks_hide_known_answers_and_invent_none():
    codes = np.where(np.arange(2000).reshape(400, 5) % 7 == 0, np.nan, CODES)
    hidden = Blanks("both", columns=(2,), share=0.3).of(codes, seed=1)
    assert np.isnan(hidden[:, 2]).all()
    kept = ~np.isnan(hidden)
    np.testing.assert_array_equal(hidden[kept], codes[kept])
    others = np.delete(np.isnan(hidden) & ~np.isnan(codes), 2, axis=1).mean()
    assert others == pytest.approx(0.3 * 6 / 7, abs=0.03)


def test_hiding_what_matters_costs_and_hiding_what_does_not_does_not():
    blanks = [Blanks("first", (0,)), Blanks("last", (4,)), Blanks("half", share=0.5)]
    found = in_use(Logistic, CODES, Y, blanks, resamples=50)
    area = {known.name: known.performance["auroc"].value for known in found.known}
    assert list(area) == [RECORDED, "first", "last", "half"]
    assert area["first"] < 0.6 < area["half"] < area[RECORDED]
    assert area["last"] == pytest.approx(area[RECORDED], abs=0.02)
    (loss,) = (
        d for d in found.differences.differences if (d.model, d.measure) == ("first", "log_loss")
    )
    assert loss.verdict == "worse"
    assert [known.unknown_share for known in found.known] == pytest.approx(
        [0, 0.2, 0.2, 0.5], abs=0.03
    )


def test_models_learn_from_what_was_recorded_and_test_on_others():
    spy = Spy()
    codes = np.column_stack([CODES, np.arange(400)])
    in_use(spy, codes, Y, [Blanks("first", (0,))], splits=4, resamples=0)
    for learned, patients, tested in spy.fits:
        assert learned.tolist() == patients.tolist()
        assert len(tested) == 200
        assert not set(learned) & set(tested)


def test_too_few_events_are_said():
    found = in_use(FixedRule, CODES, np.arange(400) < 9, [Blanks("first", (0,))])
    assert found.known == ()
    assert "9 of 400" in found.notes[0]


def test_a_refusal_leaves_the_other_folds():
    codes = CODES.copy()
    codes[1:, 0] = -np.abs(codes[1:, 0])
    codes[0, 0] = 1.0  # refused, but for the fold that tests this patient
    found = in_use(Moody, codes, Y, [Blanks("last", (4,))], resamples=0)
    assert "4 of 5 refits failed: It would not learn." in found.notes
    assert found.known[0].performance.patients == 80
