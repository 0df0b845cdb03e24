"""The five commands give one answer: of a file, a folder, by processes and by Dask's workers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from spinecast.explaining.bundle import read_bundle
from spinecast.explaining.scoring import Scorer
from spinecast.patients.tables import write_table
from spinecast.simulator.synthetic import simulate
from test_cli import spinecast

# MLflow and what it stands on warn of their own affairs; ours are tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore")

ROWS, FILES = 1_200, 3
WAYS = {
    "file": ("cohort.parquet",),
    "folder": ("cohort", "--processes", 1),
    "processes": ("cohort", "--processes", 2),
    "dask": ("cohort", "--engine", "dask", "--processes", 2),
}
RECIPE = """
baselines = []
evidence = {weights = [1.0], scales = [1.0]}
trees = {most_rounds = 8, least_gain = 0.0}
resampling = {inner_folds = 2, inner_repeats = 1, outer_folds = 2, outer_repeats = 1}
interval = {refits = 10}
"""
TREES = "trees.json"
LARGE = "large = {patients = 600, held = 150, sample = 200}\n"


@pytest.fixture(scope="module")
def place(registry, tmp_path_factory):
    """The same patients as one file and as a folder, one of whom cannot be."""
    folder = tmp_path_factory.mktemp("one answer")
    made = simulate(registry, ROWS, 11).frame()
    made.loc[5, "nrs_back"] = 72
    put(made, folder / "cohort")
    put(simulate(registry, ROWS, 12).frame(), folder / "later")
    (folder / "large.toml").write_text(RECIPE + LARGE)
    (folder / "usual.toml").write_text(RECIPE)
    return folder


def put(patients, where):
    """The patients as a file, and in a folder of several."""
    write_table(patients, where.with_suffix(".parquet"))
    where.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(patients)), FILES)):
        write_table(patients.iloc[part], where / f"{number}.parquet")


def ask(place, command, way, *words, cohort="cohort"):
    """What a command says of a cohort, given in one of the ways."""
    where, *how = WAYS[way]
    said = spinecast(command, place / where.replace("cohort", cohort), *how, *words)
    assert said.code in (0, 3), said.err
    return said


def train(place, experiment, way):
    name = f"{experiment}-{way}"
    ask(
        place,
        "train",
        way,
        *("--experiment", place / f"{experiment}.toml", "--out", place / name),
        *("--runs", place / "runs", "--report", place / "reports" / name),
    )
    return place / name


@pytest.fixture(scope="module")
def model(place):
    return train(place, "usual", "file")


def same(one, other, to=1e-8):
    """Whether two records say the same; numbers to so much."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key], to)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b, to)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=to, abs=to)
    else:
        assert one == other


@pytest.mark.parametrize("way", ["folder", "processes", "dask"])
def test_check(place, way):
    file, other = ask(place, "check", "file", "--table-1"), ask(place, "check", way, "--table-1")
    assert (file.code, other.code) == (3, 3)
    assert other.out.replace("0.parquet row 7", "row 7") == file.out


def test_train(place, model, registry):
    usual = model, train(place, "usual", "folder")  # nothing of it is done by anybody else
    large = [train(place, "large", way) for way in WAYS]
    for first, *others in (usual, large):
        for other in others:
            same_model(registry, first, other)
            one, told = read_bundle(first).training, read_bundle(other).training
            same(one["performance"], told["performance"], 1e-6)
            assert one.get("apart") == told.get("apart")
            assert ("apart" in one) == (first.name == "large-file")
            assert (other / TREES).exists() == (first / TREES).exists()
            if first.name == "large-file":
                assert (other / TREES).read_bytes() == (first / TREES).read_bytes()


def test_patients_of_a_folder_are_known_again_in_any_of_its_files(place):
    trained = train(place, "usual", "processes")
    for cohort, known in (("cohort/1.parquet", True), ("cohort", True), ("later", False)):
        out = place / "known again" / cohort
        said = spinecast("validate", place / cohort, "--model", trained, "--out", out)
        assert said.code == 0, said.err
        assert json.loads((out / "validation.json").read_text())["same_file"] is known
    said = spinecast("update", place / "cohort/2.parquet", "--model", trained, "--out", place / "x")
    assert "was trained on this very file, or on one of its files" in said.err


def same_model(registry, first, other):
    """Coefficients, and whatever else a model's folder says, by what it says of patients."""
    explainers = [Scorer.load(folder).explainer for folder in (first, other)]
    one, two = (explainer.model for explainer in explainers)
    assert two.intercept == pytest.approx(one.intercept, abs=1e-8)
    np.testing.assert_allclose(two.beta, one.beta, atol=1e-8)
    codes = simulate(registry, 60, 13).codes
    told, again = (explainer.score(codes) for explainer in explainers)
    assert np.isnan(told.rows.given).any()  # so the population has its say
    for name in ("margin", "low", "high", "centile", "log_odds", "literature"):
        expected, found = getattr(told, name), getattr(again, name)
        np.testing.assert_allclose(found, expected, atol=1e-7, err_msg=name)
    np.testing.assert_array_equal(again.doubts.unusual, told.doubts.unusual)
    np.testing.assert_array_equal(again.doubts.unseen, told.doubts.unseen)


def test_score(place, model):
    def scored(way, out):
        ask(place, "score", way, "--model", model, "--out", place / out)
        files = sorted((place / out / "scores").iterdir()) if way != "file" else [place / out]
        return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)

    file = scored("file", "scores.parquet")
    for way in ("folder", "processes", "dask"):
        other = scored(way, way)
        assert other["patient_id"].tolist() == file["patient_id"].tolist()
        assert other["status"].tolist() == file["status"].tolist()
        for name in (name for name in file if file[name].dtype.kind == "f"):
            np.testing.assert_allclose(other[name], file[name], atol=1e-12, err_msg=name)


def test_validate(place, model, registry):
    told = {}
    for way in WAYS:
        out = place / f"validated-{way}"
        ask(place, "validate", way, "--model", model, "--out", out, cohort="later")
        told[way] = json.loads((out / "validation.json").read_text())
        told[way].pop("data")  # the file's own name and fingerprint
    for way in WAYS:
        same(told["file"], told[way])


def test_update(place, model, registry):
    put(simulate(registry, 400, 12, truth_seed=12, base_rate=0.3).frame(), place / "other")
    found = [place / f"updated-{way}" for way in WAYS]
    for way, out in zip(WAYS, found, strict=True):
        ask(place, "update", way, "--model", model, "--out", out, cohort="other")
    for one in found[1:]:
        rungs = [read_bundle(folder).training["update"]["rung"] for folder in (found[0], one)]
        assert rungs[0] == rungs[1]
        same_model(registry, found[0], one)
