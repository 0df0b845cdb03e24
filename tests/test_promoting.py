"""A model comes into use through the gate or over a recorded override, one at a time, and back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from spinecast.errors import DataRefused, ModelRefused, UsageRefused
from spinecast.explaining.bundle import write_bundle
from spinecast.explaining.current import CURRENT, read_current
from spinecast.explaining.scoring import Scorer
from spinecast.judging.judgement import judge
from spinecast.patients.tables import file_fingerprint, write_table
from spinecast.promotion import history, promoting
from spinecast.promotion.answering import manifest_hash, scorer_in_use
from spinecast.promotion.audit import audit, verify
from spinecast.promotion.dossier import gather
from spinecast.promotion.gate import read_gate
from spinecast.promotion.promoting import LOCK
from spinecast.promotion.ruling import rule
from spinecast.simulator.synthetic import simulate

PERFORMANCE = {
    "spinecast": [
        {"measure": "auroc", "label": "AUROC", "value": 0.72, "low": 0.66, "high": 0.78},
        {"measure": "calibration_slope", "label": "x", "value": 0.9, "low": 0.7, "high": 1.1},
        {"measure": "observed_expected", "label": "x", "value": 1.0, "low": None, "high": None},
    ]
}
OTHER = "odi_below_30_percent"
LENIENT = """
[sample_size]
patients = 50
[auroc_over_in_use]
at_least = 0.0
asked_of = "any of the interval"
[net_benefit]
action = "offer rehabilitation first"
thresholds = [0.2]
over_in_use = { at_least = -0.5 }
[explanation_laws]
additivity = 1e-9
directions = true
"""


@pytest.fixture(scope="module")
def cohort(registry):
    return simulate(registry, 300, 9)


@pytest.fixture(scope="module")
def place(tmp_path_factory, trained, cohort):
    """Models of real patients, as far as their folders say, and two files of real patients."""
    place = tmp_path_factory.mktemp("promoting")
    frame = cohort.frame()
    write_table(frame, place / "simulated.csv")
    real = frame.assign(patient_id=[f"P{number}" for number in range(len(frame))])
    write_table(real, place / "later.csv")
    write_table(real.iloc[:200], place / "own.csv")
    facts = replace(trained.facts, trained_on="patients")
    told = {
        "outcome": "fbss_12m",
        "data": {"sha256": file_fingerprint(place / "own.csv")},
        "performance": PERFORMANCE,
    }
    lineage = [{"id": "the first", "sha256": file_fingerprint(place / "own.csv")}]
    update = {"rung": "slope", "lineage": lineage}
    updated = told | {"data": {"sha256": "of another file"}, "update": update}
    upside_down = replace(trained.model, beta=-trained.model.beta)
    for name, model, story in (
        ("one", trained.model, told),
        ("two", replace(trained.model, level=0.8), told),
        ("three", replace(trained.model, level=0.7), told),
        ("bad", upside_down, told),
        ("updated", trained.model, updated),
        ("learned anew", trained.model, updated | {"update": update | {"rung": "retrain"}}),
        ("other outcome", trained.model, told | {"outcome": OTHER}),
    ):
        write_bundle(place / "models" / name, model, facts, trained.booster, story)
    (place / "lenient.toml").write_text(LENIENT)
    return place


@pytest.fixture
def models(place, tmp_path):
    shutil.copytree(place / "models", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def promote(models, place, monkeypatch):
    """Promote a model of this folder; with few resamples, whose number is tested elsewhere."""
    monkeypatch.setattr("spinecast.promotion.dossier.judge", partial(judge, resamples=60))

    def run(name, gate="lenient.toml", cohort="later.csv", by="A. Surgeon", **more):
        return promoting.promote(
            models / name, place / gate, place / cohort, by=by, models=models, home=models, **more
        )

    return run


@pytest.fixture
def rollback(models):
    return lambda: promoting.rollback(by="B", reason="worse", models=models, home=models)


@pytest.fixture(scope="module")
def dossier(place):
    """What is known of a model, by default beside one in use."""

    def known(name="one", cohort="later.csv", in_use="two"):
        loaded = [Scorer.load(place / "models" / n) if n else None for n in (name, in_use)]
        return gather(loaded[0], place / cohort, loaded[1])

    return known


@pytest.fixture
def ruled(tmp_path, dossier):
    """Every finding of a gate's text on a dossier, by its bound."""

    def findings(text, **about):
        (tmp_path / "gate.toml").write_text(text)
        told = rule(read_gate(tmp_path / "gate.toml"), dossier(**about))
        return {finding.bound: finding for finding in told.findings}

    return findings


# --- into use and back ----------------------------------------------------------------------------


def test_a_promotion_says_who_what_when_from_which_and_on_what_evidence(promote, models, place):
    promote("one")
    done = promote("two")
    entry = audit(models).history.entries[-1]
    assert done.entry == entry
    assert (entry.line, entry.by, entry.folder) == (2, "A. Surgeon", "two")
    assert entry.replaced == {
        "folder": "one",
        "model": Scorer.load(models / "one").explainer.identity.id,
    }
    assert entry.at.endswith("+00:00")
    assert entry.gate == {
        "file": "lenient.toml",
        "sha256": file_fingerprint(place / "lenient.toml"),
    }
    assert entry.evidence["sha256"] == file_fingerprint(place / "later.csv")
    assert entry.evidence["events"] > 20
    assert entry.evidence["figures"]["auroc"]["value"] > 0.6
    assert {bound["verdict"] for bound in entry.evidence["bounds"]} == {"held"}
    assert entry.override == ()


def test_no_patient_gets_into_the_history(promote, models, cohort):
    promote("one", override="to see", gate="lenient.toml")
    told = (models / history.FILE).read_text()
    assert "P1" not in told
    for value in cohort.codes[0][~np.isnan(cohort.codes[0])]:
        assert f'"{value}"' not in told


def test_the_model_in_use_answers(promote, models):
    promote("one")
    assert scorer_in_use(models).bundle.folder == models / "one"
    promote("two")
    assert scorer_in_use(models).explainer.model.level == 0.8


def test_promote_then_rollback_leaves_the_model_in_use_as_it_was(promote, rollback, models):
    promote("one")
    before = read_current(models)
    for name in ("two", "three"):
        promote(name)
        rollback()
        after = read_current(models)
        assert (after.folder, after.model, after.manifest) == (
            before.folder,
            before.model,
            before.manifest,
        )
    assert verify(models, models).history.last.line == 5


def test_two_rollbacks_go_two_models_back_and_no_further(promote, rollback, models):
    for name in ("one", "two", "three"):
        promote(name)
    assert rollback().entry.folder == "two"
    assert rollback().entry.folder == "one"
    with pytest.raises(UsageRefused, match="no model was in use before"):
        rollback()


def test_nobody_goes_back_to_a_model_that_is_no_longer_what_it_was(promote, rollback, models):
    promote("one")
    promote("two")
    before = (models / history.FILE).read_bytes()
    shutil.rmtree(models / "one")
    with pytest.raises(ModelRefused, match="the folder is missing"):
        rollback()
    shutil.copytree(models / "three", models / "one")
    with pytest.raises(ModelRefused, match="another model than the one promoted"):
        rollback()
    assert (models / history.FILE).read_bytes() == before


# --- the gate -------------------------------------------------------------------------------------


def test_a_worse_model_is_refused_with_every_bound_and_changes_nothing(promote, models, place):
    promote("one")
    before = sorted((p.name, p.read_bytes()) for p in models.iterdir() if p.is_file())
    done = promote("bad")
    assert done.entry is None
    failed = {finding.bound for finding in done.ruling.refusing}
    assert failed == {"AUROC over the model in use", "Declared directions"}
    assert all(finding.short_by for finding in done.ruling.refusing)
    assert sorted((p.name, p.read_bytes()) for p in models.iterdir() if p.is_file()) == before


def test_an_override_is_recorded_with_its_reason_and_the_bounds_that_failed(promote, models):
    promote("one")
    entry = promote("bad", override="the only one that runs").entry
    assert entry.reason == "the only one that runs"
    assert entry.override == ("AUROC over the model in use", "Declared directions")
    assert audit(models).history.last == entry


def test_where_every_bound_holds_nothing_is_overridden(promote):
    done = promote("one", override="just in case")
    assert (done.entry.override, done.entry.reason) == ((), "")
    assert any("nothing to override" in note for note in done.notes)


@pytest.mark.parametrize("more", [{"by": " "}, {"override": ""}, {"by": "a\nb"}])
def test_who_and_why_cannot_be_blank(promote, models, more):
    with pytest.raises(UsageRefused, match="--"):
        promote("one", **more)
    assert not (models / history.FILE).exists()


def test_simulated_patients_promote_nothing_unless_the_gate_says_so(ruled):
    text = "[sample_size]\npatients = 50\n"
    name = "Evidence: real patients"
    assert ruled(text)[name].verdict == "held"
    assert ruled(text, cohort="simulated.csv")[name].verdict == "failed"
    permitted = text + "[evidence]\nsimulated = true\n"
    assert ruled(permitted, cohort="simulated.csv")[name].verdict == "held"


EVERYTHING = """
[sample_size]
patients = 50
events = 20
[calibration_slope]
at_least = 0.1
[observed_expected]
at_least = 0.1
[auroc]
at_least = 0.5
[auroc_over_in_use]
at_least = -1.0
[net_benefit]
action = "offer rehabilitation first"
thresholds = [0.2, 0.3]
over_treat_all = { at_least = -1.0 }
over_in_use = { at_least = -1.0 }
[[subgroups]]
by = "sex"
measure = "auroc"
at_least = 0.1
"""


def test_other_patients_answer_every_bound(ruled):
    told = ruled(EVERYTHING)
    assert {finding.verdict for finding in told.values()} <= {"held", "does not apply"}
    assert told["Net benefit over acting on all, at 20%"].verdict == "held"
    assert told["AUROC by sex, female"].verdict == "held"
    assert told["AUROC by sex, not known"].found.startswith("not judged: fewer than")


@pytest.mark.parametrize(
    ("name", "kind"), [("updated", "cross-validation"), ("learned anew", "other patients")]
)
def test_patients_of_the_model_an_update_started_from_are_its_own(dossier, name, kind):
    assert dossier(name, "own.csv", None).kind == kind


def test_of_the_trainings_own_patients_only_cross_validation_counts(ruled, trained):
    told = ruled(EVERYTHING, cohort="own.csv")
    assert told["Evidence: whose patients"].verdict == "failed"
    told = ruled(EVERYTHING + "[evidence]\nown_patients = true\n", cohort="own.csv")
    assert told["Evidence: whose patients"].verdict == "held"
    assert told["Calibration slope"].found == "0.900 (0.700 to 1.100)"
    assert told["AUROC"].found == "0.720 (0.660 to 0.780)"
    assert told["Sample size: patients"].found == f"{trained.facts.patients:,}"
    for name in (
        "AUROC over the model in use",
        "Net benefit over acting on all, at 20%",
        "Net benefit over the model in use, at 30%",
        "AUROC by sex",
    ):
        assert told[name].verdict == "not evaluated"
        assert "own patients" in told[name].found


def test_an_interval_that_cross_validation_does_not_keep_is_not_known(ruled):
    text = "[evidence]\nown_patients = true\n[observed_expected]\nat_least = 0.1\n"
    assert ruled(text, cohort="own.csv")["Observed / expected"].verdict == "held"
    strict = text + 'asked_of = "whole interval"\n'
    assert ruled(strict, cohort="own.csv")["Observed / expected"].verdict == "not evaluated"


def test_the_first_model_has_nothing_to_be_worse_than(ruled):
    told = ruled(EVERYTHING, in_use="")
    assert told["AUROC over the model in use"].verdict == "does not apply"
    assert told["Net benefit over the model in use, at 20%"].verdict == "does not apply"


def test_a_model_in_use_that_foretells_something_else_cannot_be_compared(ruled):
    found = ruled(EVERYTHING, in_use="other outcome")["AUROC over the model in use"]
    assert found.verdict == "not evaluated"
    assert OTHER in found.found


def test_a_model_in_use_whose_folder_was_spoilt_cannot_be_compared_and_is_overridden(
    promote, models
):
    promote("one")
    (models / "one" / "facts.json").write_text("{}")
    done = promote("two")
    assert done.entry is None
    assert "cannot be trusted" in done.ruling.refusing[0].found
    assert promote("two", override="the old one is damaged").entry.folder == "two"


def test_that_a_comparison_favours_the_model_in_use_is_said(ruled, place, trained):
    """The candidate meets other patients, the model in use its own."""
    facts = replace(trained.facts, trained_on="patients")
    told = {"outcome": "fbss_12m", "data": {"sha256": file_fingerprint(place / "later.csv")}}
    write_bundle(place / "models" / "at home", trained.model, facts, trained.booster, told)
    note = ruled(EVERYTHING, in_use="at home")["AUROC over the model in use"].note
    assert "favours it" in note
    assert ruled(EVERYTHING)["AUROC over the model in use"].note == ""


def test_groups_that_do_not_exist_or_are_too_small_refuse(ruled):
    text = '[[subgroups]]\nby = "{}"\nmeasure = "auroc"\nat_least = 0.1\n'
    found = ruled(text.format("luck"))["AUROC by luck"]
    assert found.verdict == "not evaluated"
    assert "sex" in found.found
    found = ruled(text.format("bmi"))["AUROC by bmi"]
    assert found.found == "'bmi' is not among the `subgroups` of registry.toml"


def test_golden_patients_are_scored(ruled, tmp_path, dossier):
    rows = [
        {"patient_id": "low", "risk_at_most": 1.0},
        {"patient_id": "high", "risk_at_least": 0.999},
        {"patient_id": "impossible", "age": 500, "risk_at_most": 0.5},
    ]
    (tmp_path / "golden.json").write_text(json.dumps(rows))
    told = ruled('[golden_patients]\nfile = "golden.json"')
    assert told["Golden patient low"].verdict == "held"
    assert told["Golden patient high"].verdict == "failed"
    assert told["Golden patient impossible"].verdict == "not evaluated"
    assert "500" not in told["Golden patient impossible"].found


# --- what is refused before anything --------------------------------------------------------------


def test_a_damaged_candidate_is_refused_whatever_is_overridden(promote, models):
    (models / "one" / "model.json").write_text("{}")
    with pytest.raises(ModelRefused, match="altered"):
        promote("one", override="never mind")


def test_a_candidate_elsewhere_is_refused(place, models):
    with pytest.raises(UsageRefused, match="--models"):
        promoting.promote(
            place / "models" / "one",
            place / "lenient.toml",
            place / "later.csv",
            by="A",
            models=models,
            home=models,
        )


def test_the_model_in_use_cannot_be_promoted_again(promote):
    promote("one")
    with pytest.raises(UsageRefused, match="is in use since line 1"):
        promote("one")


def test_a_cohort_that_is_none_is_refused_and_not_overridden(promote, place):
    (place / "empty.csv").write_text("patient_id\n")
    with pytest.raises(DataRefused):
        promote("one", cohort="empty.csv", override="never mind")


def test_nothing_is_added_to_a_history_that_was_edited(promote, rollback, models):
    promote("one")
    promote("two")
    path = models / history.FILE
    edited = path.read_bytes().replace(b"A. Surgeon", b"B. Surgeon", 1)
    path.write_bytes(edited)
    for again in (lambda: promote("three"), rollback):
        with pytest.raises(ModelRefused, match="line 1: it was edited"):
            again()
    assert path.read_bytes() == edited


@pytest.mark.parametrize("spoil", ["missing", "swapped", "altered"])
def test_a_folder_that_is_not_what_was_promoted_does_not_answer(promote, models, spoil):
    promote("one")
    if spoil == "altered":
        (models / "one" / "model.json").write_text("{}")
    else:
        shutil.rmtree(models / "one")
    if spoil == "swapped":
        shutil.copytree(models / "two", models / "one")
    for ask in (scorer_in_use, lambda models: verify(models, models)):
        with pytest.raises(ModelRefused):
            ask(models)


def test_a_models_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(UsageRefused, match="no such folder"):
        promoting.rollback(by="B", reason="worse", models=tmp_path / "none", home=tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_model_in_use_nothing_answers(models):
    with pytest.raises(UsageRefused, match="no model is in use"):
        scorer_in_use(models)
    with pytest.raises(UsageRefused, match="no model was promoted"):
        verify(models, models)


# --- at once, and killed --------------------------------------------------------------------------

HOLDER = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_promotions_at_once_are_one_and_a_refusal_and_a_kill_frees_the_lock(promote, models):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(models / LOCK)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageRefused, match="another promotion or rollback is under way"):
            promote("one")
        assert not (models / history.FILE).exists()
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait(10)
        other.stdout.close()
    assert promote("one").entry.line == 1


# In one child after the other: go back by one model, and be killed at the next step of writing,
# having done half of it. So every moment is tried, at one start.
KILLED = """
import os, signal, sys
from pathlib import Path
from spinecast.promotion import promoting
from spinecast.promotion.audit import audit

models = Path(sys.argv[1])

def deadly(step):
    steps = iter(range(1000))
    def wrapped(work, half):
        def then(*given, **named):
            if next(steps) == step:
                half(*given)
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*given, **named)
        return then
    rename = Path.replace
    os.fsync = wrapped(os.fsync, lambda file: os.ftruncate(file, os.fstat(file).st_size // 2))
    Path.replace = wrapped(wrapped(rename, lambda *_: None), rename)

for step in range(1000):
    before = audit(models)
    child = os.fork()
    if child == 0:
        deadly(step)
        promoting.rollback(by="B", reason="killed", models=models, home=models)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    after = audit(models)
    assert not after.problems, after.problems
    grown = len(after.history.entries) - len(before.history.entries)
    assert after.current in (before.current, None) or grown or before.unfinished, after
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        assert after.unfinished is None
        print("done")
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    print("unfinished" if after.unfinished else "grown" if grown else "nothing")
"""


NAMES = ("one", "two", "three")


def entered(models, name):
    """Put a model into use without a gate."""
    told = audit(models)
    entry = promoting._next(
        told,
        action="promote",
        by="A",
        reason="",
        folder=name,
        model=json.loads((models / name / "manifest.json").read_text())["id"],
        manifest=manifest_hash(models / name),
        registry="tiny",
    )
    promoting._enter(models, entry)


def test_killed_at_any_moment_history_and_current_agree_or_it_is_finished_next_time(models):
    # Enough models to go back by, for each child that gets through before it is killed.
    for place in range(12):
        entered(models, NAMES[place % 3])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(models)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.split()
    assert {"nothing", "unfinished", "grown", "done"} <= set(told)
    assert not [path for path in models.iterdir() if path.name.endswith(".tmp")]
    assert verify(models, models).history.last.reason == "killed"


def test_what_was_interrupted_is_finished_by_the_next_promotion_and_said(promote, models):
    promote("one")
    before = (models / CURRENT).read_bytes()
    promote("two")
    (models / CURRENT).write_bytes(before)
    assert scorer_in_use(models).bundle.folder == models / "one"
    with pytest.raises(ModelRefused, match="finishes it"):
        verify(models, models)
    done = promote("three")
    assert any("Line 2 was interrupted" in note for note in done.notes)
    assert done.entry.replaced["folder"] == "two"
    assert verify(models, models).history.last.line == 3


def test_a_full_disk_leaves_everything_as_it_was(promote, models, monkeypatch):
    promote("one")
    before = (models / history.FILE).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UsageRefused, match="no space left"):
            promote("two")
    assert (models / history.FILE).read_bytes() == before
    assert verify(models, models).history.last.line == 1


# --- without MLflow -------------------------------------------------------------------------------


def test_without_mlflows_database_promotion_works_and_says_so(promote):
    assert "there is no mlflow.db" in promote("one").notes[-1]


@pytest.mark.filterwarnings("ignore")
def test_a_broken_database_does_not_stop_a_promotion(promote, models):
    (models / "mlflow.db").write_bytes(b"this is no database" * 100)
    done = promote("one")
    assert "was not told" in done.notes[-1]
    assert done.entry.line == 1
