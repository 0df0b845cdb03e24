"""From a cohort file to a model folder and a run: whole, or not there at all."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from conftest import TINY
from ending import killed_at, process
from spinecast import files, retraining
from spinecast.cohorts.labelled import read_labelled
from spinecast.errors import DataRefused, ModelRefused, UsageRefused
from spinecast.explaining.bundle import read_bundle
from spinecast.explaining.scoring import Scorer
from spinecast.fitting import rival
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.fitting.rival import NOT_TOLD, OWN_PATIENTS
from spinecast.fitting.training import IN_USE
from spinecast.patients.tables import file_fingerprint, write_table
from spinecast.retraining import keeping
from spinecast.simulator.synthetic import simulate

# MLflow and what it stands on warn of their own affairs; ours are tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore")

RECIPE = Recipe(
    baselines=("published evidence",),
    evidence=EvidenceRecipe(weights=(1.0,), scales=(1.0,)),
    trees=TreeRecipe(most_rounds=3, least_gain=0.0, least_hessian=1.0),
    resampling=ResamplingRecipe(inner_folds=2, inner_repeats=1, outer_folds=2, outer_repeats=1),
    interval=IntervalRecipe(refits=3),
)
WRITTEN = """
baselines = ["published evidence"]
[evidence]
weights = [1.0]
scales = [1.0]
[trees]
most_rounds = 0
[resampling]
inner_folds = 2
inner_repeats = 1
outer_folds = 4
outer_repeats = 5
[interval]
refits = 3
"""


def followed(registry, patients):
    """A file of the tiny registry, which says nothing of follow-up, with the follow-up added."""
    cohort = simulate(registry, patients, 1)
    frame = cohort.frame()
    return frame.assign(
        pain=frame["pain"].fillna(6.0).clip(4),
        pain_followup=np.where(cohort.outcome == 1, 10, 0),
        followup_date=(cohort.index_date + np.timedelta64(365)).astype(str),
        revision="no",
    )


def listed(folder):
    """Every file below a folder with its content."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def cohort_file(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("cohorts") / "cohort.csv"
    write_table(followed(tiny, 200), path)
    return path


@pytest.fixture(scope="module")
def labelled(tiny, cohort_file):
    return read_labelled(cohort_file, tiny)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def told(labelled, place):
    return retraining.retrain(
        labelled, RECIPE, place / "models" / "first", experiment="001-x", home=place / "runs"
    )


@pytest.fixture(scope="module")
def run(told, place):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{place / 'runs' / 'mlflow.db'}")
    return client.get_run(told.run.run_id)


# --- what a training leaves behind ----------------------------------------------------------------


def test_a_training_leaves_one_model_and_one_finished_run(told, run, place):
    assert [path.name for path in (place / "models").iterdir()] == ["first"]
    bundle = read_bundle(place / "models" / "first")
    assert bundle.explainer.identity.id == told.model_id
    assert run.info.status == "FINISHED"
    assert run.data.params["model_id"] == told.model_id
    np.testing.assert_array_equal(bundle.explainer.model.beta, told.result.model.beta)


def test_the_run_names_the_very_data_and_registry(run, told, cohort_file, tiny):
    assert run.data.params["data.sha256"] == file_fingerprint(cohort_file)
    assert run.data.params["data.name"] == "cohort.csv"
    assert run.data.params["data.accepted"] == "200"
    assert run.data.params["registry"] == tiny.id
    assert tiny.sha256[:12] in tiny.id
    assert run.data.metrics["auroc"] == told.result.performance["spinecast"]["auroc"].value


def test_the_folder_tells_how_the_model_was_made(told, place, cohort_file):
    training = read_bundle(place / "models" / "first").training
    assert Recipe.model_validate_json(json.dumps(training["recipe"])) == RECIPE
    assert training["data"]["sha256"] == file_fingerprint(cohort_file)
    assert training["outcome"] == "failed"
    assert training["choices"]["rounds"] == told.result.choices.rounds
    for name, performance in told.result.performance.items():
        assert training["performance"][name] == performance.to_dict()["estimates"]


def test_nothing_of_a_patient_is_in_the_folder(told, place, labelled):
    files = [content.decode() for content in listed(place / "models").values() if content]
    kept = "".join(files)
    assert "published" in kept
    assert not [name for name in labelled.cohort.patient_id if name in kept]


def test_replacing_a_model_leaves_the_new_one_alone(told, labelled, place, monkeypatch, tmp_path):
    folder = tmp_path / "models" / "first"
    monkeypatch.setattr(retraining, "train", lambda *_, **__: told.result)
    monkeypatch.setattr(retraining.tracking, "record", lambda *_, **__: run_of("r"))
    for replace in (False, True):
        again = retraining.retrain(
            labelled, RECIPE, folder, experiment="x", home=tmp_path / "runs", replace=replace
        )
        assert again.model_id == told.model_id
        assert [path.name for path in folder.parent.iterdir()] == ["first"]


def run_of(run_id):
    return retraining.tracking.RunRecord(run_id, "", "")


@pytest.mark.parametrize(("ids", "kind"), [("simulated-", "simulated"), ("P", "patients")])
def test_patients_whose_id_says_so_are_simulated(tiny, tmp_path, monkeypatch, ids, kind):
    frame = followed(tiny, 40)
    frame["patient_id"] = [f"{ids}{number}" for number in range(40)]
    write_table(frame, tmp_path / "c.csv")

    def asked(*_, trained_on, **__):
        raise AssertionError(trained_on)

    monkeypatch.setattr(retraining, "train", asked)
    with pytest.raises(AssertionError, match=kind):
        retraining.retrain(
            read_labelled(tmp_path / "c.csv", tiny),
            RECIPE,
            tmp_path / "m",
            experiment="x",
            home=tmp_path / "runs",
        )


# --- refused before any work, and nothing made ----------------------------------------------------


@pytest.fixture
def no_work(monkeypatch):
    monkeypatch.setattr(retraining, "train", lambda *_, **__: pytest.fail("it was trained"))
    monkeypatch.setattr(retraining.tracking, "record", lambda *_, **__: pytest.fail("recorded"))


@pytest.mark.parametrize(
    ("holds", "replace", "remedy"),
    [("manifest.json", False, "--replace"), ("thesis.txt", True, "another name")],
)
def test_a_folder_that_exists_is_refused(labelled, tmp_path, no_work, holds, replace, remedy):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / holds).write_text("{}")
    before = listed(tmp_path)
    with pytest.raises(UsageRefused, match=remedy):
        retraining.retrain(
            labelled, RECIPE, folder, experiment="x", home=tmp_path / "runs", replace=replace
        )
    assert listed(tmp_path) == before


@pytest.mark.parametrize("spoilt", ["folder", "home"])
@pytest.mark.parametrize("where", ["a file", "a file/deeper/still", "read-only"])
def test_places_that_cannot_be_written_to_are_refused(labelled, tmp_path, no_work, spoilt, where):
    (tmp_path / "a file").touch()
    locked = tmp_path / "read-only"
    locked.mkdir(mode=0o500)
    if where == "read-only" and os.access(locked, os.W_OK):
        pytest.skip("root may write anywhere")
    good, bad = tmp_path / "good", tmp_path / where
    before = listed(tmp_path)
    folder, home = (bad / "m", good) if spoilt == "folder" else (good / "m", bad)
    with pytest.raises(UsageRefused, match=where.split("/")[0]) as refused:
        retraining.retrain(labelled, RECIPE, folder, experiment="x", home=home)
    assert refused.value.problems[0].remedy
    assert listed(tmp_path) == before


def test_a_disk_that_says_no_is_refused(labelled, tmp_path, no_work, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", full)
    with pytest.raises(UsageRefused, match="no space left on device"):
        retraining.retrain(labelled, RECIPE, tmp_path / "m", experiment="x", home=tmp_path / "r")
    assert not listed(tmp_path)


def test_too_few_patients_leave_nothing_behind(tiny, tmp_path):
    (tmp_path / "files").mkdir()
    write_table(followed(tiny, 8), tmp_path / "files" / "c.csv")
    few = read_labelled(tmp_path / "files" / "c.csv", tiny)
    with pytest.raises(DataRefused, match="too small"):
        retraining.retrain(few, RECIPE, tmp_path / "m", experiment="x", home=tmp_path / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


# --- killed ---------------------------------------------------------------------------------------


def test_a_kill_leaves_no_half_written_model_and_the_command_can_be_run_again(tiny, tmp_path):
    write_table(followed(tiny, 150), tmp_path / "c.csv")
    (tmp_path / "r.toml").write_text(WRITTEN)
    words = ["train", "c.csv", "--experiment", "r.toml", "--out", "models/m", "--runs", "runs"]
    words += ["--registry", TINY]
    before = listed(tmp_path)

    killed_at("cross-validating", 2, *words, cwd=tmp_path)
    assert listed(tmp_path) == before

    killed_at("recording the run", 0, *words, cwd=tmp_path)
    models = tmp_path / "models"
    assert [path.name for path in models.iterdir()] == ["m"]
    first = read_bundle(models / "m").explainer.identity.id

    with process(*words, "--replace", cwd=tmp_path) as command:
        out, err = command.communicate(timeout=120)
    assert command.returncode == 0, err
    assert [path.name for path in models.iterdir()] == ["m"]
    assert f"Model {first} in models/m; MLflow run " in out
    assert "finished" in runs_of(tmp_path / "runs" / "mlflow.db")


def runs_of(database: Path) -> set[str]:
    import sqlite3

    connection = sqlite3.connect(database)
    rows = connection.execute("select status from runs").fetchall()
    connection.close()
    return {status.lower() for (status,) in rows}


# --- the report -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["report", "study"])
def test_a_report_that_cannot_be_is_refused_before_training(wrong, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(retraining, "train", lambda *_, **__: pytest.fail("it was trained"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    given = {
        "report": {"report": tmp_path / "mine"},
        "study": {"report": tmp_path / "r", "study": tmp_path / "none.toml"},
    }
    before = listed(tmp_path)
    with pytest.raises(UsageRefused):
        retraining.retrain(
            labelled, RECIPE, tmp_path / "m", experiment="x", home=tmp_path / "runs", **given[wrong]
        )
    assert listed(tmp_path) == before


@pytest.mark.parametrize("proof", [False, True])
def test_internal_validation_runs_only_when_asked(proof, told, labelled, tmp_path, monkeypatch):
    asked, written = [], []
    monkeypatch.setattr(retraining, "train", lambda *_, **__: told.result)
    monkeypatch.setattr(retraining.tracking, "record", lambda *_, **__: run_of("r"))
    monkeypatch.setattr(retraining, "internal_validation", lambda *_, **__: asked.append(1))
    monkeypatch.setattr(keeping.reports, "write_report", lambda *_, **how: written.append(how))
    retraining.retrain(
        labelled,
        RECIPE,
        tmp_path / "m",
        experiment="x",
        home=tmp_path / "runs",
        report=tmp_path / "r",
        proof=proof,
    )
    assert (len(asked), len(written)) == (proof, 1)


# --- the model in use -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def beside(tiny, labelled, told, place):
    """The same training with the first model as the one in use, reported and recorded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retraining, "train", lambda *_, **__: told.result)
        return retraining.retrain(
            labelled,
            RECIPE,
            place / "models" / "second",
            experiment="001-x",
            home=place / "runs",
            report=place / "reports" / "second",
            against=place / "models" / "first",
        )


def test_the_model_in_use_stands_among_the_others(beside, told):
    result = beside.result
    assert list(result.performance) == [*told.result.performance, IN_USE]
    assert {one.model for one in result.comparison.differences} >= {IN_USE}
    assert result.rival.name == "first"
    assert result.rival.model_id == told.model_id
    # It has seen these patients, so it ranks them better than folds that had not.
    seen, unseen = (result.performance[name]["auroc"].value for name in (IN_USE, "spinecast"))
    assert seen > unseen


def test_its_own_training_patients_are_called_that(beside, place):
    assert beside.result.rival.is_own_training
    page = " ".join((place / "reports" / "second" / "report.html").read_text().split())
    assert OWN_PATIENTS in page
    told_of = json.loads((place / "reports" / "second" / "performance.json").read_text())
    assert told_of["model_in_use"]["is_own_training"] is True
    assert told_of["performance"][IN_USE]["estimates"]


def test_other_patients_are_not_called_its_own(tiny, told, place, tmp_path):
    write_table(followed(tiny, 120).iloc[:100], tmp_path / "later.csv")
    later = read_labelled(tmp_path / "later.csv", tiny)
    known = later.labels.is_known
    y = later.labels.failed[known]
    fewer = {name: risk[:, : len(y)] for name, risk in told.result.unseen.items()}
    smaller = dataclasses.replace(told.result, y=y, unseen=fewer)
    found = rival.beside(smaller, rival.read_rival(place / "models" / "first", "failed"), later)
    assert not found.rival.is_own_training
    assert NOT_TOLD in found.rival.remarks
    risks = found.unseen[IN_USE][0]
    scorer = Scorer.load(place / "models" / "first")
    model = scorer.explainer.model
    expected = expit(model.margin(model.rows(later.cohort.codes[known])))
    np.testing.assert_allclose(risks, expected, rtol=1e-12)


def test_a_model_of_another_outcome_is_refused(place):
    with pytest.raises(ModelRefused, match=r"predicts 'failed'.*outcome is 'died'"):
        rival.read_rival(place / "models" / "first", "died")


def test_a_run_holds_figures_numbers_and_report_and_can_be_compared(beside, told, place):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{place / 'runs' / 'mlflow.db'}")
    run, former = (client.get_run(one.run.run_id) for one in (beside, told))
    folder = Path(client.download_artifacts(beside.run.run_id, ""))
    report = place / "reports" / "second"
    for path in report.iterdir():
        assert (folder / "report" / path.name).read_bytes() == path.read_bytes()
    assert (folder / "performance.json").read_bytes() == (report / "performance.json").read_bytes()
    assert [*(folder / "report").glob("figure-*.svg")]
    assert [*(folder / "plots").glob("*.svg")]
    # Every number of the former run has one of the same name here.
    assert set(former.data.metrics) <= set(run.data.metrics)
    assert {f"auroc.{IN_USE.replace(' ', '_')}", "ici"} <= set(run.data.metrics)
    lead = next(
        one
        for one in beside.result.comparison.differences
        if (one.model, one.measure) == ("published evidence", "log_loss")
    )
    assert run.data.metrics["log_loss_lead.published_evidence"] == -lead.lead
    assert run.data.tags["exploratory"] == "yes"
    assert run.data.tags["against"] == told.model_id
