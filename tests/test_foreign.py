"""Two columns are judged like our own models, and nothing in them is guessed."""

import json

import numpy as np
import pandas as pd
import pytest

from spinecast.errors import DataRefused, UsageRefused
from spinecast.judging.foreign import (
    NO_RISK_ABOVE_ONE,
    read_predictions,
    validate_predictions,
    write_validation,
)
from spinecast.judging.judgement import judge
from spinecast.judging.thresholds import Thresholds, declared
from spinecast.measures.evaluation import evaluate
from spinecast.measures.logistic import expit


def _cohort(patients=400, seed=0):
    random = np.random.default_rng(seed)
    risk = np.round(expit(random.normal(-1.2, 1, patients)), 4)
    return (random.random(patients) < risk) * 1.0, risk


def _file(folder, y, risk, name="theirs.csv"):
    path = folder / name
    frame = pd.DataFrame({"risk": [str(r) for r in risk], "failed": [str(o) for o in y]})
    frame.to_csv(path, index=False)
    return path


def _read(folder, y, risk, **more):
    return read_predictions(_file(folder, y, risk), "risk", "failed", **more)


# Laws


def test_a_file_says_what_its_numbers_say(tmp_path):
    y, risk = _cohort()
    at = Thresholds(0.1, 0.4, "offer rehabilitation first")
    found = validate_predictions(_read(tmp_path, y, risk), thresholds=at)
    assert found.judgement == judge(y, risk, thresholds=at)
    assert found.judgement.performance == evaluate(y, risk)


def test_per_cent_declared_and_shares_are_the_same(tmp_path):
    y, risk = _cohort()
    shares = validate_predictions(_read(tmp_path, y, risk)).judgement
    cents = _read(tmp_path, y, [f"{r * 100:.2f}" for r in risk], percent=True)
    assert cents.risk == pytest.approx(risk)
    again = validate_predictions(cents).judgement
    assert again.auroc.value == shares.auroc.value
    assert again.performance["brier"].value == pytest.approx(shares.performance["brier"].value)


def test_the_order_of_rows_changes_nothing(tmp_path):
    y, risk = _cohort()
    one = validate_predictions(_read(tmp_path, y, risk)).judgement
    again = validate_predictions(_read(tmp_path, y[::-1], risk[::-1])).judgement
    assert again.to_dict() == one.to_dict()


def test_risks_turned_round_are_worse_than_a_coin(tmp_path):
    y, risk = _cohort()
    good, bad = (validate_predictions(_read(tmp_path, y, r)).judgement for r in (risk, 1 - risk))
    assert good.auroc.low > 0.5 > bad.auroc.high
    assert good.distances.value.ici < bad.distances.value.ici


# Reading


@pytest.mark.parametrize("words", [("1", "0"), ("yes", "no"), ("True", "false"), ("1.0", "0.0")])
def test_outcomes_may_be_written_in_a_few_ways(tmp_path, words):
    told = _read(tmp_path, [words[0], words[1], "", "unknown"], [0.1, 0.2, 0.3, ""])
    assert told.outcome[:2].tolist() == [1, 0]
    assert np.isnan(told.outcome[2:]).all()
    assert np.isnan(told.risk).tolist() == [False, False, False, True]


def test_every_reason_of_a_rejected_row_is_told(tmp_path):
    told = _read(tmp_path, ["maybe", 1, 0, 1, 0], ["0,3", 30, -0.1, "inf", 0.2])
    assert (told.rows_read, len(told.risk)) == (5, 1)
    frame = told.rejected.to_frame()
    assert frame["row"].tolist() == [2, 2, 3, 4, 5]
    assert set(frame["rule"]) == {"unknown_level", "not_a_number", "out_of_range", "not_finite"}
    assert "--percent" in frame["remedy"][2]
    assert "log-odds" in frame["remedy"][3]


def test_per_cent_is_never_guessed(tmp_path):
    y, risk = _cohort()
    with pytest.raises(DataRefused, match="--percent"):
        validate_predictions(_read(tmp_path, y, risk * 90 + 2))
    told = validate_predictions(_read(tmp_path, y, risk / 100, percent=True))
    assert told.remarks[0] == NO_RISK_ABOVE_ONE


@pytest.mark.parametrize(
    ("risks", "outcomes", "says"),
    [("riks", "failed", "Did you mean risk"), ("risk", "risk", "the same column")],
)
def test_columns_that_are_not_there_are_named(tmp_path, risks, outcomes, says):
    with pytest.raises(UsageRefused, match=says):
        read_predictions(_file(tmp_path, *_cohort(10)), risks, outcomes)


def test_nobody_with_both_is_refused(tmp_path):
    with pytest.raises(DataRefused, match="both are known in none of 2 rows"):
        validate_predictions(_read(tmp_path, ["", 1], [0.2, ""]))


# What is odd is said, and the rest comes out


@pytest.mark.parametrize(
    ("y", "risk", "says"),
    [
        ([0, 1] * 30, [0.5] * 60, "the same risk"),
        ([0, 1, 1, 0] * 15, [0, 1, 0.3, 0.4] * 15, "exactly 0 or 1; 0 of these"),
        ([1, 1, 1, 0] * 15, [0, 1, 0.3, 0.4] * 15, "exactly 0 or 1; 15 of these"),
        ([0] * 60, list(np.linspace(0.1, 0.6, 60)), "one kind only"),
        ([1] * 10 + [0] * 50, list(np.linspace(0.6, 0.1, 60)), "10 of 60 patients"),
        ([0, 1, ""] * 20, list(np.linspace(0.1, 0.6, 60)), "20 of 60 patients were left out"),
        ([0] * 30 + [1] * 30, list(np.linspace(0.1, 0.6, 60)), "DeLong's interval does not exist"),
    ],
)
def test_what_is_odd_is_said_and_the_rest_comes_out(tmp_path, y, risk, says):
    at = Thresholds(0.1, 0.4, "wait")
    found = validate_predictions(_read(tmp_path, y, risk), thresholds=at)
    assert any(says in remark for remark in found.remarks)
    write_validation(found, tmp_path / "out")
    told = json.loads(
        (tmp_path / "out" / "validation.json").read_text(), parse_constant=pytest.fail
    )
    values = {one["measure"]: one["value"] for one in told["performance"]["estimates"]}
    assert values["brier"] is not None
    assert len(told["decision_curve"]["net_benefit"]) == 31
    assert told["decision_curve"]["in_words"].startswith("Action: wait.")
    assert (tmp_path / "out" / "calibration.svg").read_text().startswith("<svg")


def test_without_thresholds_there_is_no_decision_curve(tmp_path):
    found = validate_predictions(_read(tmp_path, *_cohort()))
    assert found.judgement.decisions is None
    assert found.to_dict()["decision_curve"] is None


def test_above_a_hundred_thousand_patients_fewer_are_drawn(monkeypatch):
    monkeypatch.setattr("spinecast.judging.judgement.ROWS_DRAWN", 1000)
    told = judge(*_cohort())
    assert told.performance.resamples == told.distances.resamples == 50


# Declaring


def test_thresholds_and_action_are_declared_together():
    assert declared(None, None) is None
    assert declared("0.05-0.5", " wait ") == Thresholds(0.05, 0.5, " wait ")


@pytest.mark.parametrize(
    ("text", "action"),
    [("0.1-0.4", None), (None, "wait"), ("0.1", "wait"), ("0.4-0.1", "x"), ("a-b", "x"),
     ("0-0.5", "x"), ("0.1-1", "x"), ("10-40", "x"), ("0.1-0.4", "  ")],
)  # fmt: skip
def test_a_declaration_that_says_nothing_is_refused(text, action):
    with pytest.raises(UsageRefused):
        declared(text, action)
