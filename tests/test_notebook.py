"""What stands in one line of a notebook, and the worked notebook itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import spinecast
from spinecast.cohorts.cohort import check
from spinecast.errors import DataRefused
from spinecast.explaining.assessment import Assessment
from spinecast.patients.tables import write_table

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return spinecast.simulate(80, seed=3)


def test_a_frame_and_its_file_are_the_same_cohort(frame, registry, tmp_path):
    write_table(frame, tmp_path / "cohort.csv")
    of_file = check(tmp_path / "cohort.csv", registry).accepted
    for given in (frame, tmp_path / "cohort.csv", str(tmp_path / "cohort.csv")):
        told = spinecast.read_cohort(given).accepted
        np.testing.assert_array_equal(told.codes, of_file.codes)
        assert list(told.patient_id) == list(of_file.patient_id)


def test_none_and_nan_in_a_frame_are_not_known(frame):
    mixed = frame.astype(object).where(frame.notna(), None)
    mixed.loc[0, "diabetes"] = True
    mixed.loc[1, "diabetes"] = float("nan")
    told = spinecast.read_cohort(mixed).accepted
    at = told.registry.names.index("diabetes")
    assert told.codes[0, at] == 1
    assert np.isnan(told.codes[1, at])


@pytest.mark.parametrize("spoil", [lambda f: f.iloc[:0], lambda f: pd.concat([f, f], axis=1)])
def test_a_frame_that_is_no_table_is_refused(frame, spoil):
    with pytest.raises(DataRefused):
        spinecast.check(spoil(frame))


def test_what_was_checked_is_not_checked_again(frame):
    checked = spinecast.check(frame)
    assert spinecast.check(checked) is checked
    assert checked.suspicions == ()
    shown = checked._repr_html_()
    assert shown.startswith("<pre>80 rows: 80 accepted")
    assert "nothing looks like an error of coding" in shown


def test_one_is_scored_as_a_record_and_many_as_a_frame(frame, scorer, bundle_folder):
    one = spinecast.score({"age": 54}, scorer)
    assert isinstance(one, Assessment)
    assert one == spinecast.score({"age": 54}, bundle_folder)
    many = spinecast.score(frame, scorer)
    assert list(many["patient_id"]) == list(frame["patient_id"])
    answers = {k: v for k, v in frame.iloc[0].items() if pd.notna(v)}
    assert many["risk"].iloc[0] == pytest.approx(spinecast.score(answers, scorer).risk)


def test_a_frame_is_not_taken_for_the_cohort_of_the_training(frame, scorer):
    validated = spinecast.validate(frame, scorer)
    assert not validated.found.same_file
    assert "AUROC" in validated._repr_html_()


def test_scoring_in_a_notebook_brings_nothing_of_training(bundle_folder):
    heavy = "xgboost mlflow sklearn shap"
    code = (
        "import sys, spinecast\n"
        f"spinecast.score({{'age': 54}}, {str(bundle_folder)!r})\n"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_model_is_updated_and_put_into_use(bundle_folder, tmp_path):
    models = tmp_path / "models"
    later = spinecast.simulate(150, seed=21)
    updated = spinecast.update(later, bundle_folder, models / "new")
    assert spinecast.score({"age": 54}, updated).model.id == updated.told.model_id
    assert "Rung:" in updated._repr_html_()
    write_table(spinecast.simulate(150, seed=22), tmp_path / "later.csv")
    (tmp_path / "gate.toml").write_text(
        "[evidence]\nsimulated = true\n[sample_size]\npatients = 20\n"
    )
    told = spinecast.promote(
        models / "new",
        gate=tmp_path / "gate.toml",
        cohort=tmp_path / "later.csv",
        by="A. Surgeon",
        models=models,
        runs=tmp_path / "runs",
    )
    assert told.decision.entry is not None
    assert (models / "CURRENT").is_file()
    assert "A. Surgeon" in told._repr_html_()


def test_the_very_patients_of_the_training_update_nothing(bundle_folder, tmp_path):
    updated = spinecast.update(spinecast.simulate(150, seed=21), bundle_folder, tmp_path / "new")
    with pytest.raises(DataRefused, match="this very file"):
        spinecast.update(spinecast.simulate(150, seed=21), updated, tmp_path / "again")


def test_importing_spinecast_brings_nothing_heavy():
    heavy = "numpy pandas pydantic xgboost mlflow sklearn click"
    code = f"import sys, spinecast; print([m for m in '{heavy}'.split() if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
    assert set(spinecast.__all__) <= set(dir(spinecast))
    with pytest.raises(AttributeError, match="no attribute 'predict'"):
        _ = spinecast.predict


# The kernel is another program: what it warns of is not ours.
@pytest.mark.filterwarnings("default")
def test_the_worked_notebook_runs(tmp_path):
    for name in ("notebook.ipynb", "notebook.toml"):
        shutil.copyfile(EXPERIMENTS / name, tmp_path / name)
    notebook = nbformat.read(tmp_path / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = "".join(
        output.get("data", {}).get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    for words in ("rows: 400 accepted", "Published", "of failed back surgery", "AUROC"):
        assert words in shown
