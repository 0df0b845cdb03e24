"""Ever more patients, each lot holding the one before, all judged on the same unseen ones."""

import numpy as np
import pytest

from methods import FixedRule, Logistic, Moody, Spy, drawn
from spinecast.fitting.learning import learning_curve, nested

CODES, Y = drawn(600, seed=7)


def test_lots_are_nested_and_never_hold_whom_they_are_judged_on():
    spy = Spy()
    curve = learning_curve(spy, CODES, Y, smallest=60, repeats=3)
    assert [size.patients for size in curve.sizes] == [60, 120, 240, 400]
    lots = np.array(spy.fits, dtype=object).reshape(4, 3, 3)
    for repeat in range(3):
        smaller = set()
        for size in range(4):
            learned, _, tested = lots[size, repeat]
            assert smaller < set(learned)
            assert not set(learned) & set(tested)
            assert tested.tolist() == lots[0, repeat][2].tolist()
            smaller = set(learned)
    for size in range(4):
        tested = np.concatenate([lots[size, repeat][2] for repeat in range(3)])
        assert sorted(tested) == list(range(600))


@pytest.mark.parametrize("size", [30, 100, 333])
def test_every_beginning_has_its_share_of_events(size):
    queue = nested(np.arange(600), Y, seed=1)
    assert sorted(queue) == list(range(600))
    assert Y[queue[:size]].sum() == pytest.approx(size * Y.mean(), abs=1)


def test_more_patients_teach_more():
    curve = learning_curve(Logistic, CODES[:, :5], Y, smallest=40, repeats=5)
    losses = [{m.measure: m for m in size.measures}["log_loss"] for size in curve.sizes]
    assert losses[0].mean > losses[-1].mean
    assert all(loss.lowest <= loss.mean <= loss.highest for loss in losses)
    first = curve.steps[0]
    assert (first.patients, first.more_patients) == (40, 80)
    assert first.low < first.gain < first.high
    assert first.gain == pytest.approx(losses[0].mean - losses[1].mean)
    assert "From 40 to 80 patients" in first.in_words
    assert [size.events for size in curve.sizes] == sorted(size.events for size in curve.sizes)


def test_a_rule_that_does_not_learn_gains_nothing():
    curve = learning_curve(FixedRule, CODES, Y, smallest=60)
    assert [step.gain for step in curve.steps] == [0.0] * len(curve.steps)
    assert "no gain is established" in curve.steps[0].in_words


def test_lots_with_too_few_events_are_said():
    curve = learning_curve(Logistic, CODES[:, :5], Y, smallest=15, repeats=3)
    assert curve.sizes[0].patients > 15
    assert curve.notes[0].startswith("Not tried with 15")


def test_fewer_patients_than_the_first_lot_are_one_lot():
    curve = learning_curve(Logistic, CODES[:200, :5], Y[:200], smallest=1000, repeats=4)
    assert [size.patients for size in curve.sizes] == [150]
    assert curve.steps == ()


def test_too_few_events_are_said():
    curve = learning_curve(Logistic, CODES, np.arange(600) < 9)
    assert curve.sizes == ()
    assert "9 of 600 patients had the outcome" in curve.notes[0]


def test_a_refusal_leaves_the_other_lots():
    codes = CODES[:, :5].copy()
    codes[:30, 0] = 1.0  # whoever learns from one of these refuses
    codes[30:, 0] = -np.abs(codes[30:, 0])
    curve = learning_curve(Moody, codes, Y, smallest=60, repeats=3)
    assert any("refits failed: It would not learn." in note for note in curve.notes)
    assert len(curve.sizes) == 4
    assert curve.steps[0].in_words == (
        "From 60 to 120 patients the gain is not known, as refits failed."
    )


def test_the_same_seed_gives_the_same_curve_and_another_does_not():
    first, again, other = (
        learning_curve(Logistic, CODES[:, :5], Y, smallest=100, repeats=3, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again != other
