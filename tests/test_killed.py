"""A command killed half-way (`kill -9`) leaves nothing half-written; run again, it is as if never.

Of one file: `test_retraining`; while a model's folder is written: `test_bundle`; of `score`, which
goes on where it stopped: `test_folder`.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from conftest import TINY
from ending import killed_at
from spinecast.patients.tables import write_table
from test_cli import spinecast
from test_retraining import followed, listed
from test_updating import followed_elsewhere

# MLflow and what it stands on warn of their own affairs; ours are tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore")

LARGE = """
baselines = []
evidence = {weights = [1.0], scales = [1.0]}
trees = {most_rounds = 8, least_gain = 0.0, least_hessian = 1.0}
resampling = {inner_folds = 2, inner_repeats = 1}
interval = {refits = 3}
large = {patients = 600, held = 150, sample = 200}
"""
LADDER = """
choice = {draws = 199, folds = 2, repeats = 1}
revision = {scales = [1.0], leans = [0.5], inner_folds = 2, refits = 5}
"""
TRAIN = ("train", "here", "--experiment", "large.toml", "--registry", TINY, "--runs", "runs")
UPDATE = ("update", "there", "--model", "here.model", "--ladder", "ladder.toml")
ALONE = ("--processes", 1)


@pytest.fixture(scope="module")
def place(tiny, tmp_path_factory):
    """Two hospitals' patients, each in a folder of files; a model of the first, and it updated."""
    folder = tmp_path_factory.mktemp("killed")
    hospitals = {
        "here": followed(tiny, 900),
        "there": followed_elsewhere(tiny, 240, 2, base_rate=0.45),
    }
    for name, patients in hospitals.items():
        (folder / name).mkdir()
        for at, rows in enumerate(np.array_split(np.arange(len(patients)), 3)):
            write_table(patients.iloc[rows], folder / name / f"{at}.parquet")
    (folder / "large.toml").write_text(LARGE)
    (folder / "ladder.toml").write_text(LADDER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in (TRAIN, UPDATE):
            told = spinecast(*words, *ALONE, "--out", f"{words[1]}.model")
            assert told.code == 0, told.err
    return folder


@pytest.mark.parametrize(
    ("words", "moments"),
    [
        (TRAIN, [("completing what is unknown", 1), ("growing trees", 4)]),
        (UPDATE, [("rows read", 160), ("judging the rungs", 1)]),
    ],
    ids=["train", "update"],
)
def test_a_killed_command_leaves_nothing_and_gives_the_same_model_when_run_again(
    place, tmp_path, monkeypatch, words, moments
):
    """What a kill leaves in the temporary folder nobody can clear away, and it disturbs nobody."""
    monkeypatch.chdir(place)
    again = place / f"{words[1]}.again"
    asked = (*words, *ALONE, "--out", again)
    before = listed(place)
    for moment in moments:
        killed_at(*moment, *asked, env=os.environ | {"TMPDIR": str(tmp_path)})
        assert listed(place) == before
    left = listed(tmp_path)
    assert left

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told = spinecast(*asked)
    assert told.code == 0, told.err
    assert listed(again) == listed(place / f"{words[1]}.model")
    assert listed(tmp_path) == left
