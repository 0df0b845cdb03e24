"""What is told of a cohort is true of its file, and no cell of a few patients is among it."""

import json

import numpy as np
import pandas as pd
import pytest

from spinecast.cohorts.labelled import read_labelled
from spinecast.cohorts.outcome import derive
from spinecast.disclosure import FEWEST
from spinecast.judging.attrition import loss_differences
from spinecast.judging.characteristics import COLUMNS
from spinecast.judging.description import describe
from spinecast.judging.subgroups import subgroups
from spinecast.patients.tables import write_table
from spinecast.reports.checklists import standard
from spinecast.reports.pointers import ReportFolder
from spinecast.simulator.synthetic import simulate


@pytest.fixture(scope="module")
def frame(registry):
    return simulate(registry, 600, 5).frame()


@pytest.fixture(scope="module")
def read(registry, tmp_path_factory):
    def of(frame):
        path = tmp_path_factory.mktemp("cohort") / "cohort.csv"
        write_table(frame, path)
        return read_labelled(path, registry)

    return of


@pytest.fixture(scope="module")
def found(read, frame):
    return read(frame)


@pytest.fixture(scope="module")
def told(found):
    return describe(found)


def _counts(value):
    """Every count of patients, wherever it stands."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in ("patients", "lost", "known", "events") and isinstance(part, int):
                yield part
            yield from _counts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _counts(part)


# Laws


@pytest.mark.parametrize("size", [15, 60, 600])
def test_no_cell_of_a_few_patients(read, frame, size):
    told = describe(read(frame.iloc[:size])).to_dict()
    counts = list(_counts(told["characteristics"])) + list(_counts(told["flow"]["by_group"]))
    assert counts
    assert [count for count in counts if 0 < count < FEWEST] == []
    for share in told["missing"].values():
        assert share is None or round(share * size) == 0 or round(share * size) >= FEWEST


def test_the_order_of_rows_changes_nothing_but_the_fingerprint(read, frame, told):
    one, again = told.to_dict(), describe(read(frame.iloc[::-1])).to_dict()
    assert one.pop("source")["sha256"] != again.pop("source")["sha256"]
    assert again == one


def test_levels_and_unknown_make_up_the_whole_where_all_are_told(told):
    complete = 0
    for one in told.characteristics:
        for column in COLUMNS:
            cells = [level[column] for level in one.levels.values()] + [one.unknown[column]]
            if one.levels and all(cell.share is not None for cell in cells):
                complete += 1
                assert sum(cell.share for cell in cells) == pytest.approx(1)
    assert complete > 20


def test_patients_lost_at_random_do_not_differ(registry):
    chosen = 0
    for seed in range(20):
        cohort = simulate(registry, 500, seed).cohort()
        is_lost = np.random.default_rng(seed).random(500) < 0.25
        found = loss_differences(registry, cohort.codes, is_lost)
        assert len(found) > 30
        chosen += any(one.is_established for one in found)
    assert chosen <= 3


def test_smokers_who_do_not_come_back_are_noticed(registry):
    cohort = simulate(registry, 2000, 1).cohort()
    factor = registry.by_name["smoking_status"]
    smokes = cohort.columns()["smoking_status"] == factor.level_codes["current"]
    is_lost = np.random.default_rng(1).random(2000) < np.where(smokes, 0.5, 0.2)
    found = loss_differences(registry, cohort.codes, is_lost)
    assert (found[0].factor, found[0].is_established) == ("smoking_status", True)
    assert found[0].lost > found[0].kept
    assert found[0].standardised > 0.3
    assert "against" in found[0].in_words


def test_older_patients_who_do_not_come_back_are_noticed(registry):
    cohort = simulate(registry, 2000, 1).cohort()
    is_lost = np.random.default_rng(1).random(2000) < np.where(
        cohort.columns()["age"] > 70, 0.5, 0.2
    )
    found = {one.factor: one for one in loss_differences(registry, cohort.codes, is_lost)}
    assert found["age"].is_established
    assert found["age"].lost > found["age"].kept


# Examples


def test_the_numbers_are_those_of_the_file(told, found, frame, registry):
    failed = derive(registry, found.cohort.columns())
    assert (told.flow.rows_read, told.flow.accepted, told.flow.rejected) == (600, 600, 0)
    assert told.flow.outcome_known == (~np.isnan(failed)).sum() == told.outcome.known
    assert told.flow.lost == 600 - told.flow.outcome_known
    assert told.outcome.events == (failed == 1).sum()
    age = next(one for one in told.characteristics if one.factor == "age")
    numbers = pd.to_numeric(frame["age"]).to_numpy()
    assert age.quartiles["all"].median == np.nanmedian(numbers)
    assert age.quartiles["outcome"].high == np.nanquantile(numbers[failed == 1], 0.75)
    sex = next(one for one in told.characteristics if one.factor == "sex")
    assert sex.levels["female"]["outcome"].patients == (frame["sex"][failed == 1] == "female").sum()
    assert told.missing["bmi"] == pytest.approx(found.tally.unknown_share["bmi"])
    months = sorted(day[:7] for day in frame["index_date"])
    assert (told.dates["accrual_start"], told.dates["accrual_end"]) == (months[0], months[-1])
    assert told.source["kind"] == "simulated"
    assert told.outcome.followup.low <= told.outcome.followup.median


def test_rejected_and_repeated_rows_are_counted_by_rule(read, frame):
    worse = pd.concat([frame, frame.iloc[:7]]).astype({"age": object})
    worse.iloc[100:102, worse.columns.get_loc("age")] = "old"
    flow = describe(read(worse)).flow
    assert (flow.rows_read, flow.rejected, flow.duplicates) == (607, 9, 7)
    assert flow.rejected_by_rule == {"any rule": 9, "duplicate_patient": 7, "not_a_number": None}


def test_patients_seen_too_late_are_counted(read, frame):
    late = frame.copy()
    seen = late.index[late["followup_date"].fillna("") != ""][:6]
    late.loc[seen, "followup_date"] = "2035-01-01"
    assert describe(read(late)).outcome.outside_window == 6


def test_without_dates_nothing_is_said_of_dates(read, frame):
    told = describe(read(frame.drop(columns=["index_date", "followup_date"])))
    assert set(told.dates.values()) == {None}
    assert told.outcome.followup is None
    assert told.outcome.events > 0


def test_where_nobody_is_lost_nobody_is_lost_selectively(read, frame, found):
    flow = describe(read(frame[found.labels.is_known])).flow
    assert (flow.lost, flow.selective_loss) == (0, False)
    assert "every patient" in flow.in_words


def test_where_few_are_lost_it_cannot_be_told(read, frame, found):
    known = np.flatnonzero(found.labels.is_known)
    lost = np.flatnonzero(~found.labels.is_known)[:6]
    flow = describe(read(frame.iloc[[*known, *lost]])).flow
    assert (flow.lost, flow.selective_loss) == (6, None)
    assert "Too few" in flow.in_words


def test_every_place_that_a_standard_names_says_something(told, found, tmp_path):
    risk = np.linspace(0.05, 0.6, len(found.cohort))
    parts = {"data": told, "subgroups": subgroups(found.cohort, found.labels.failed, risk)}
    for name, record in parts.items():
        text = json.dumps(record.to_dict(), allow_nan=False)
        (tmp_path / f"{name}.json").write_text(text)
    folder = ReportFolder(tmp_path)
    names = ("tripod_ai", "probast_ai", "hti1", "model_card")
    entries = [entry for name in names for entry in standard(name).items]
    places = [place for entry in entries for place in entry.answered_by]
    places += [rule.place for entry in entries for rule in entry.drafts]
    asked = {one for place in places for one in place.split(" | ")}
    mine = {one for one in asked if one.startswith(("data.json", "subgroups.json"))}
    assert len(mine) > 12
    assert [one for one in sorted(mine) if not folder.resolves(one)] == []
    assert type(folder.find("data.json#/flow/duplicates")) is int
    assert type(folder.find("data.json#/flow/selective_loss")) is bool
    assert type(folder.find("data.json#/outcome/outside_window")) is int
    assert folder.find("data.json#/predictors/known_before") is True
