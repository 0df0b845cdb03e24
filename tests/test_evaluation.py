"""Performance with its intervals, comparisons on the same patients, and what is said in words."""

import json
import math

import numpy as np
import pytest

from spinecast.measures import bootstrap
from spinecast.measures.evaluation import compare, evaluate, evaluate_all
from spinecast.measures.logistic import expit, logit
from spinecast.measures.metrics import MEASURES, auroc, best_auroc


def _cohort(patients, *, seed=0):
    random = np.random.default_rng(seed)
    risk = expit(random.normal(-1.2, 1, patients))
    return (random.random(patients) < risk) * 1.0, risk


def _noisy(risk, sd, seed=1):
    return expit(logit(risk) + np.random.default_rng(seed).normal(0, sd, len(risk)))


# Laws


def test_the_order_of_rows_changes_nothing():
    y, risk = _cohort(300)
    order = np.random.default_rng(2).permutation(300)
    assert evaluate(y, risk, resamples=20) == evaluate(y[order], risk[order], resamples=20)


def test_the_same_seed_gives_the_same_record_and_another_other_intervals():
    y, risk = _cohort(300)
    one, again, other = (evaluate(y, risk, resamples=20, seed=s) for s in (1, 1, 2))
    assert one == again
    assert one["auroc"].value == other["auroc"].value
    assert one["auroc"].low != other["auroc"].low


def test_intervals_hold_their_values_and_narrow_with_the_cohort():
    small, large = (evaluate(*_cohort(n)) for n in (300, 4000))
    for estimate in large.estimates:
        assert estimate.low < estimate.value < estimate.high
        few = small[estimate.measure]
        assert estimate.high - estimate.low < few.high - few.low


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = []
    for seed in range(60):
        y, risk = _cohort(400, seed=seed)
        made = evaluate(y, risk, resamples=60, level=0.9)
        truth = {"auroc": best_auroc(risk), "calibration_slope": 1, "observed_expected": 1}
        held += [made[name].low <= value <= made[name].high for name, value in truth.items()]
    assert np.mean(held) == pytest.approx(0.9, abs=0.08)


def test_a_resample_by_counts_is_a_resample_by_rows():
    y, risk = _cohort(200)
    y, risk = y[np.argsort(risk)], np.sort(risk)
    drawn = bootstrap.drawn(y, {"m": risk[None]}, 5, seed=3)["m"]
    random = np.random.default_rng(3)
    for row in drawn:
        rows = random.integers(200, size=200)
        expected = [m.function(y[rows], risk[rows], None) for m in MEASURES]
        np.testing.assert_allclose(row, expected, rtol=1e-7)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("patients", [12, 40, 300])
def test_many_resamples_at_once_say_what_each_says_alone(patients, ties):
    """Twelve patients: resamples of one kind, and separated ones, have no slope either way."""
    y, risk = _cohort(patients, seed=5)
    y[:2] = 0, 1
    risk = np.round(risk, 1) + 0.01 if ties else risk
    drawn = bootstrap.drawn(y, {"m": risk[None]}, 60, seed=8)["m"]
    random = np.random.default_rng(8)
    for row in drawn:
        counts = np.bincount(random.integers(patients, size=patients), minlength=patients)
        at = counts > 0
        expected = [m.function(y[at], risk[at], counts[at] * 1.0) for m in MEASURES]
        np.testing.assert_allclose(row, expected, rtol=1e-7, atol=1e-9)
    if patients == 12:
        assert np.isnan(drawn).any()


def test_a_measure_without_a_short_cut_is_still_computed(monkeypatch):
    y, risk = _cohort(100)
    quick = bootstrap.drawn(y, {"m": risk[None]}, 10, seed=1)["m"]
    monkeypatch.setattr(bootstrap, "_AT_ONCE", {})
    slow = bootstrap.drawn(y, {"m": risk[None]}, 10, seed=1)["m"]
    np.testing.assert_allclose(quick, slow, rtol=1e-7)


def test_however_many_are_drawn_at_once_the_resamples_are_the_same(monkeypatch):
    y, risk = _cohort(100)
    whole = bootstrap.drawn(y, {"m": risk[None]}, 10, seed=1)["m"]
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 300)
    np.testing.assert_allclose(bootstrap.drawn(y, {"m": risk[None]}, 10, seed=1)["m"], whole)


def test_all_at_once_is_what_evaluating_and_comparing_say():
    y, risk = _cohort(300)
    risks = {"a": risk, "b": _noisy(risk, 0.5)}
    found, comparison = evaluate_all(y, risks, "a")
    assert comparison == compare(y, risks, "a")
    for name, alone in ((name, evaluate(y, own)) for name, own in risks.items()):
        for estimate in found[name].estimates:
            other, width = alone[estimate.measure], estimate.high - estimate.low
            assert estimate.value == pytest.approx(other.value)
            # Other draws: the limits differ by what 500 resamples leave to chance.
            assert abs(estimate.low - other.low) < 0.15 * width
            assert abs(estimate.high - other.high) < 0.15 * width


def test_repeats_are_measured_one_by_one_and_averaged():
    y, one = _cohort(300)
    other = _cohort(300)[1][::-1]
    both = evaluate(y, np.stack([one, other]), resamples=20)
    alone = [evaluate(y, risk, resamples=0) for risk in (one, other)]
    for estimate in both.estimates:
        mean = np.mean([found[estimate.measure].value for found in alone])
        assert estimate.value == pytest.approx(mean)
        assert estimate.low <= estimate.high
    assert both["log_loss"].value > evaluate(y, (one + other) / 2, resamples=0)["log_loss"].value


def test_a_model_against_itself_has_no_lead():
    y, risk = _cohort(300)
    for difference in compare(y, {"a": risk, "b": risk}, "a", resamples=20).differences:
        assert (difference.lead, difference.low, difference.high) == (0, 0, 0)
        assert difference.verdict == "not established"


def test_swapping_the_reference_turns_every_lead():
    y, risk = _cohort(400)
    risks = {"a": risk, "b": _noisy(risk, 0.5)}
    there, back = (compare(y, risks, name, resamples=30).differences for name in risks)
    for one, other in zip(there, back, strict=True):
        assert one.lead == pytest.approx(-other.lead, abs=1e-12)
    assert {d.model for d in there} == {"b"}


def test_pairing_narrows_the_interval():
    y, risk = _cohort(1000)
    near = _noisy(risk, 0.1)
    paired = compare(y, {"a": risk, "b": near}, "a").differences[0]
    alone = evaluate(y, near)["auroc"]
    assert paired.high - paired.low < (alone.high - alone.low) / 3


# Directions


def test_worse_predictions_are_found_worse_and_better_ones_better():
    y, risk = _cohort(3000)
    risks = {"truth": risk, "noisy": _noisy(risk, 1.0)}
    verdicts = {d.measure: d.verdict for d in compare(y, risks, "truth").differences}
    turned = {d.measure: d.verdict for d in compare(y, risks, "noisy").differences}
    for name in ("auroc", "log_loss", "brier", "calibration_slope"):
        assert (verdicts[name], turned[name]) == ("worse", "better")


# Examples


def test_the_record_counts_what_it_used():
    y, risk = _cohort(500)
    y[:7], risk[7:9] = np.nan, np.nan
    made = evaluate(y, risk, resamples=10)
    assert (made.patients, made.left_out) == (491, 9)
    assert made.events == int(y[9:].sum())
    assert made["auroc"].value == pytest.approx(auroc(y[9:], risk[9:]))
    assert "9 of 500 patients were left out: outcome or risk unknown." in made.notes


def test_a_comparison_uses_patients_whom_all_models_scored():
    y, risk = _cohort(500)
    holes = risk.copy()
    holes[:100] = np.nan
    made = compare(y, {"a": risk, "b": holes}, "a", resamples=5)
    assert (made.patients, made.left_out) == (400, 100)
    assert {d.lead for d in made.differences} == {0}


def test_tables_and_json():
    y, risk = _cohort(200)
    made = evaluate(y, risk, resamples=5)
    table = made.table()
    assert list(table["measure"]) == [m.name for m in MEASURES]
    assert list(table.columns) == ["measure", "label", "value", "low", "high"]
    written = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert written["estimates"][0]["value"] == made["auroc"].value
    assert len(written["curve"]["groups"]) == 10
    rivals = compare(y, {"a": risk, "b": 1 - risk, "c": risk}, "a", resamples=5)
    assert list(rivals.table()["model"].unique()) == ["b", "c"]
    json.dumps(rivals.to_dict(), allow_nan=False)


def test_no_resamples_no_intervals_and_no_complaint():
    made = evaluate(*_cohort(1000), resamples=0)
    assert math.isnan(made["auroc"].low)
    assert not math.isnan(made["auroc"].value)
    assert made.notes == ()


# Degenerate input is said, not raised


@pytest.mark.parametrize(
    ("y", "risk", "said"),
    [
        ([], [], "No patient with a known outcome"),
        ([math.nan, math.nan], [0.1, 0.2], "No patient with a known outcome"),
        ([0] * 30, np.linspace(0.1, 0.5, 30), "0 of 30 patients had the outcome: with one kind"),
        ([1] * 9 + [0] * 30, np.linspace(0.1, 0.5, 39), "9 of 39 patients .* anecdotes"),
        (
            [1] * 10 + [0] * 30,
            np.linspace(0.1, 0.5, 40),
            "10 of 40 patients .* too few for precise",
        ),
        ([1] * 30 + [0] * 30, [0.3] * 60, "Every patient was given the same risk"),
        ([1] * 30 + [0] * 30, [0.3] * 60, "Could not be computed: Calibration slope"),
        ([1] + [0] * 30, np.linspace(0.1, 0.5, 31), "No interval, too many resamples .*AUROC"),
    ],
)
def test_what_is_wrong_is_said_in_words(y, risk, said):
    import re

    made = evaluate(y, risk, resamples=40)
    assert any(re.search(said, note) for note in made.notes), made.notes
    json.dumps(made.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("events", "cautioned"), [(99, True), (100, False)])
def test_a_hundred_events_need_no_caution(events, cautioned):
    y, risk = np.arange(400) < events, np.random.default_rng(0).random(400)
    assert bool(evaluate(y, risk, resamples=0).notes) == cautioned


@pytest.mark.parametrize(
    ("y", "risk", "said"),
    [
        ([0, 2], [0.1, 0.2], "values other than 0, 1"),
        ([0, 1], [0.1, 20], "log-odds or per cent"),
        ([0, 1], [0.1], "shape"),
    ],
)
def test_misuse_is_an_error(y, risk, said):
    with pytest.raises(ValueError, match=said):
        evaluate(y, risk)


def test_an_unknown_reference_is_an_error():
    with pytest.raises(KeyError):
        compare([0, 1], {"a": [0.1, 0.2]}, "b")
