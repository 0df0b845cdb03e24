"""The commands take a folder of Parquet, and answer as they do for one file."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from click import BadParameter
from hypothesis import given
from hypothesis import strategies as st

from spinecast.cli.work import Size
from spinecast.errors import UsageRefused
from spinecast.explaining.bundle import read_bundle, write_bundle
from spinecast.fitting.recipe import Recipe
from spinecast.judging import suspicion, validation
from spinecast.memory import A_SAMPLED, FIXED, READING, SCORING, Budget
from spinecast.patients.tables import write_table
from spinecast.retraining.gathering import held_in_memory
from spinecast.simulator.synthetic import simulate
from spinecast.updating import journey
from test_cli import spinecast


@pytest.fixture(scope="module")
def place(registry, trained, tmp_path_factory):
    """The same cohort as one file and as a folder of three, and a model that never met it."""
    folder = tmp_path_factory.mktemp("work")
    made = simulate(registry, 300, 4).frame()
    made.loc[7, "nrs_back"] = 72
    write_table(made, folder / "cohort.parquet")
    (folder / "cohort").mkdir()
    for at, start in enumerate(range(0, 300, 100)):
        write_table(made.iloc[start : start + 100], folder / "cohort" / f"{at}.parquet")
    told = trained.training | {"data": {"sha256": "0" * 64}}
    write_bundle(folder / "model", trained.model, trained.facts, trained.booster, told)
    return folder


def test_check_says_of_a_folder_what_it_says_of_the_file(place, tmp_path):
    whys = tmp_path / "why.csv", tmp_path / "whys.csv"
    file = spinecast("check", place / "cohort.parquet", "--table-1", "--rejected", whys[0])
    folder = spinecast("check", place / "cohort", "--table-1", "--rejected", whys[1])
    assert (file.code, folder.code) == (3, 3)
    assert folder.out.replace("0.parquet row 9", "row 9") == file.out
    assert "0.parquet row 9, nrs_back: given '72'" in folder.out
    one, other = pd.read_csv(whys[0]), pd.read_csv(whys[1])
    pd.testing.assert_frame_equal(other.drop(columns="file"), one)


def test_check_says_what_was_looked_for_in_a_sample(place, monkeypatch):
    monkeypatch.setattr(suspicion, "MOST", 80)
    said = spinecast("check", place / "cohort", "--table-1").out
    assert "300 rows: 299 accepted, 1 rejected." in said
    assert "of 299 patients" in said
    assert "in a sample of " in said


def test_validate_judges_a_folder_as_it_judges_the_file(place, tmp_path):
    told = []
    for name in ("cohort.parquet", "cohort"):
        words = ("validate", place / name, "--model", place / "model", "--out", tmp_path / name)
        assert spinecast(*words).code == 0
        told.append(json.loads((tmp_path / name / "validation.json").read_text()))
    for one in told:
        one["data"] = {key: one["data"][key] for key in ("rows_read", "accepted", "labelled")}
    assert told[0] == told[1]


def test_a_validation_on_a_sample_says_so_and_counts_everybody(place, tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "JUDGED_MOST", 150)
    words = ("validate", place / "cohort", "--model", place / "model", "--out", tmp_path)
    answer = spinecast(*words)
    assert answer.code == 0
    told = json.loads((tmp_path / "validation.json").read_text())
    assert told["data"]["accepted"] == 299
    (said,) = [line for line in told["remarks"] if "a sample of" in line]
    assert said.startswith("Of 238 patients whose outcome is known, a sample of 150 was looked at")
    assert said in answer.out
    assert said in (tmp_path / "validation.txt").read_text()


def test_update_learns_from_a_sample_of_a_folder_and_says_so(place, tmp_path, monkeypatch):
    monkeypatch.setattr(journey, "LEARNED_MOST", 40)
    words = ("update", place / "cohort", "--model", place / "model", "--out", tmp_path / "new")
    answer = spinecast(*words)
    assert answer.code == 0
    story = read_bundle(tmp_path / "new").training["update"]
    assert story["sampled"].startswith("Of 238 patients whose outcome is known, a sample of 40 ")
    assert story["sampled"] in answer.err
    assert story["patients"] == 40
    assert story["data"]["accepted"] == 299


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--memory", "lots"), "'lots' is no amount of memory; write 2GB or 500MB"),
        (("--memory", "100MB"), "at least 292 MB are needed by 1 process"),
        (("--processes", "0"), "0 is not in the range x>=1"),
    ],
)
def test_memory_and_processes_are_refused_with_what_is_needed(place, words, said):
    answer = spinecast("check", place / "cohort", *words)
    assert answer.code == 2
    assert said in answer.err


def test_a_folder_is_not_mapped(place, tmp_path):
    (tmp_path / "site.toml").write_text('site = "Elsewhere"\nregistry = "lumbar-fbss"\n')
    answer = spinecast("check", place / "cohort", "--site", tmp_path / "site.toml")
    assert answer.code in (2, 3)
    assert answer.out == ""


def test_a_training_that_would_be_refused_reads_nothing_before(place, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('question = "?"\ndecision_rule = "."\n')
    (tmp_path / "model").mkdir()
    words = ("--experiment", recipe, "--out", tmp_path / "model", "--runs", tmp_path / "runs")
    answer = spinecast("train", place / "cohort", *words)
    assert answer.code == 2
    assert "rows read" not in answer.err


def test_a_stray_file_in_the_folder_is_named(place, tmp_path):
    (tmp_path / "notes.txt").write_text("remember")
    answer = spinecast("check", tmp_path)
    assert answer.code == 3
    assert "notes.txt: its ending is .txt" in answer.err


def test_sizes_are_read_as_people_write_them():
    size = Size()
    assert size.convert("2GB", None, None) == 2 * size.convert("1000 MB", None, None) == 2 * 10**9
    assert size.convert("1.5g", None, None) == 1_500_000_000
    assert size.convert("4096", None, None) == 4096
    for text in ("", "GB", "-1GB", "1XB", "1 2"):
        with pytest.raises(BadParameter):
            size.convert(text, None, None)


@pytest.mark.parametrize("toll", [READING, SCORING])
def test_more_memory_is_more_rows_at_once_and_more_processes_are_fewer(toll):
    rows = [Budget(memory).rows_at_once(toll, 1) for memory in (400_000_000, 450_000_000, 10**12)]
    assert rows[0] < rows[1] < rows[2] == toll.most
    assert rows[0] * toll.row + FIXED <= 400_000_000
    assert Budget(10**9).rows_at_once(toll, 2) < toll.most
    with pytest.raises(UsageRefused, match="Give more, or --processes 1"):
        Budget(10**9).rows_at_once(toll, 4)


@given(
    memory=st.integers(10**9, 10**11),
    rows=st.integers(1, 10**9),
    parts=st.integers(1, 10_000),
    usable=st.integers(1, 256),
    sampled=st.integers(0, 200_000),
)
def test_processes_that_nobody_asked_for_never_take_more_than_there_is(
    memory, rows, parts, usable, sampled
):
    for toll in (READING, SCORING):
        budget = Budget(memory)
        many = budget.shared_by(toll, rows, parts, usable, sampled)
        at_once = budget.rows_at_once(toll, many, sampled)
        taken = FIXED * (many + (many > 1)) + A_SAMPLED * sampled + many * at_once * toll.row
        assert taken <= memory
        assert 1 <= many <= min(usable, parts)


def test_a_training_on_very_many_rows_holds_no_more_than_it_asked_memory_for():
    held = held_in_memory(Recipe(), 10**7)
    assert held == held_in_memory(Recipe(), 10**9) == 240_000
    with pytest.raises(UsageRefused, match="by 1 process with 240,000 patients in memory"):
        Budget(FIXED + A_SAMPLED * held).rows_at_once(READING, 1, held)


def test_as_many_processes_work_as_are_asked_for():
    assert Budget(10**12, 3).shared_by(READING, 10, 5, 1) == 3
