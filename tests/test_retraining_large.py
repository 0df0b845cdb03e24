"""A large training goes the same journey: a model folder, a report that says the rule, a run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from spinecast.cohorts.cohort import check_table
from spinecast.cohorts.labelled import labelled, read_labelled
from spinecast.cohorts.store import Stored, write_shard
from spinecast.errors import SpinecastError, UsageRefused
from spinecast.explaining.scoring import Scorer
from spinecast.fitting.large.passes import Workshop
from spinecast.fitting.large.plan import Plan
from spinecast.fitting.recipe import LargeRecipe
from spinecast.judging.description import describe
from spinecast.patients.draws import hashes
from spinecast.patients.part_files import parts_of
from spinecast.patients.tables import write_table
from spinecast.retraining import ON_SAMPLE, Destination, _only, gather, retrain, retrain_large
from spinecast.retraining.gathering import held_in_memory
from test_retraining import RECIPE, followed

# MLflow and what it stands on warn of their own affairs; ours are tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore")

LARGE = RECIPE.model_copy(update={"large": LargeRecipe(patients=600, held=150, sample=200)})
FEW = RECIPE.model_copy(update={"large": LargeRecipe(patients=80, held=10, sample=15)})


@pytest.fixture(scope="module")
def cohort(tiny):
    return labelled(check_table(followed(tiny, 900), tiny), "cohort")


def large(cohort, folder, judging=None):
    accepted, failed = cohort.cohort, cohort.labels.failed
    hashed = hashes(accepted.patient_id)
    shard = write_shard(
        folder / "all.parquet", accepted.registry.names, Stored(accepted.codes, failed, hashed)
    )
    plan = Plan.of(LARGE, cohort.labels.known)
    to = Destination(folder / "model", "large", report=folder / "report", home=folder / "runs")
    rows = plan.judges(hashed) if judging is None else judging
    judges = _only(cohort, lambda _: rows)
    told = retrain_large([shard], plan, judges, LARGE, Workshop(folder, threads=1), to)
    return told, judges


def test_model_report_and_run_say_who_taught_and_who_judged(cohort, tmp_path):
    told, judging = large(cohort, tmp_path)
    apart = told.result.apart
    training = json.loads((tmp_path / "model" / "training.json").read_text(encoding="utf-8"))
    assert training["apart"]["taught"] == apart.taught
    assert training["recipe"]["large"]["patients"] == 600
    page = told.page.read_text(encoding="utf-8")
    assert "From 600 patients on, patients are set apart in place of cross-validation" in page
    assert f"{apart.taught} taught" in page
    assert "first repeat of the cross-validation" not in page
    assert "Inside each fit" not in page
    # Risks stand beside their patients: the written model gives the same.
    scorer = Scorer.load(tmp_path / "model")
    model, known = scorer.explainer.model, judging.labels.is_known
    margin = model.margin(model.rows(judging.cohort.codes[known]))
    np.testing.assert_allclose(
        told.result.unseen["spinecast"][0], 1 / (1 + np.exp(-margin)), atol=1e-9
    )
    np.testing.assert_array_equal(told.result.y, judging.labels.failed[known])


def test_other_patients_than_the_plan_lets_judge_are_refused(cohort, tmp_path):
    with pytest.raises(SpinecastError, match="not those that the plan"):
        large(cohort, tmp_path, np.arange(len(cohort.cohort)) < 100)
    assert not (tmp_path / "model").exists()


def test_as_many_patients_in_memory_are_trained_on_alike(cohort, tmp_path):
    told, _ = large(cohort, tmp_path)
    proof = LARGE.resampling.model_copy(update={"bootstraps": 2})
    recipe = LARGE.model_copy(update={"resampling": proof})
    folder = tmp_path / "inside"
    inside = retrain(
        cohort,
        recipe,
        folder / "model",
        experiment="large",
        home=folder / "runs",
        report=folder / "report",
        proof=True,
    )
    assert inside.result.booster == told.result.booster
    np.testing.assert_allclose(inside.result.model.beta, told.result.model.beta, atol=1e-8)
    sampled = told.result.apart.sampled
    assert ON_SAMPLE.format(patients=sampled) in inside.page.read_text(encoding="utf-8")


# --- of a cohort in parts, what is held in memory ------------------------------------------------


def gathered(tiny, folder, followed_up):
    """Nine hundred patients in three files, of whom so many were followed up."""
    made = followed(tiny, 900)
    lost = np.random.default_rng(1).permutation(900) >= followed_up
    outcomes = ("pain_followup", "revision")
    made = made.assign(**{name: made[name].astype(object).mask(lost) for name in outcomes})
    (folder / "cohort").mkdir()
    for at, rows in enumerate(np.array_split(np.arange(900), 3)):
        write_table(made.iloc[rows], folder / "cohort" / f"{at}.parquet")
    found = gather(parts_of(folder / "cohort"), tiny, FEW, folder, rows_at_once=100)
    write_table(made, folder / "whole.parquet")
    return found, read_labelled(folder / "whole.parquet", tiny)


@pytest.mark.parametrize("followed_up", [30, 60, 200, 900])
def test_all_whom_a_training_needs_are_in_memory_and_few_others_however_many_were_lost(
    tiny, tmp_path, followed_up
):
    found, everybody = gathered(tiny, tmp_path, followed_up)
    cohort, known = found.labelled.cohort, found.labelled.labels.known
    assert len(cohort) <= held_in_memory(FEW, 900) == 160
    assert found.labelled.followed == everybody.followed
    assert sum(shard.rows for shard in found.shards) == everybody.labels.known == followed_up
    plan = Plan.of(FEW, followed_up)
    if plan is None:
        assert known == followed_up
        return
    for part in (plan.judges, plan.is_sampled):
        inside, all_of_them = (_only(one, part) for one in (found.labelled, everybody))
        assert inside.labels.known == all_of_them.labels.known > 0


def test_who_was_lost_is_told_of_patients_who_stand_for_the_cohort(tiny, tmp_path):
    """A tenth was followed up, and is nearly half of those in memory."""
    found, everybody = gathered(tiny, tmp_path, 60)
    assert 0.3 < found.labelled.labels.known / len(found.labelled.cohort) < 0.6
    told, whole = describe(found.labelled), describe(everybody)
    assert (told.flow.lost, told.flow.outcome_known) == (840, 60)
    assert told.flow.by_group[0].share_lost == pytest.approx(840 / 900, abs=0.06)
    assert told.outcome == whole.outcome
    one, other = told.characteristics[0], whole.characteristics[0]
    assert one.known["outcome"] == other.known["outcome"]  # all of them are in memory
    assert one.known["all"].patients + one.unknown["all"].patients == 80
    assert "80 patients drawn whatever became of them" in told.characteristics_method


# --- no room ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        ("spinecast.retraining.write_shards", OSError(28, "No space left on device")),
        ("spinecast.fitting.large.lessons.np.save", OSError(28, "No space left on device")),
        ("spinecast.fitting.large.lessons.np.save", OSError("90 requested and 12 written")),
    ],
)
def test_a_full_disk_is_a_clear_error_and_the_model_stays(
    cohort, bundle_folder, tmp_path, monkeypatch, failing, error
):
    def full(*_, **__):
        raise error

    shutil.copytree(bundle_folder, tmp_path / "model")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(failing, full)
    with pytest.raises(UsageRefused, match=r"no space left|it is full") as refused:
        retrain(cohort, LARGE, tmp_path / "model", experiment="large", replace=True)
    assert "TMPDIR" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    for file in (file for file in bundle_folder.rglob("*") if file.is_file()):
        kept = tmp_path / "model" / file.relative_to(bundle_folder)
        assert kept.read_bytes() == file.read_bytes()


def test_a_disk_that_would_fill_up_is_refused_before_the_work(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Told", (), {"free": 100}))
    with pytest.raises(UsageRefused, match=r"0 MB are free; about [1-9]"):
        retrain(cohort, LARGE, tmp_path / "model", experiment="large")
