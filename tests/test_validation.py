"""The figures are those of the model's own risks, and what flatters them is said beside them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spinecast.cohorts.outcome import derive
from spinecast.drawing import plots
from spinecast.errors import DataRefused, UsageRefused
from spinecast.explaining.bundle import write_bundle
from spinecast.explaining.scoring import Scorer
from spinecast.judging.validation import SAME_FILE, SIMULATED, validate, write_validation
from spinecast.measures.evaluation import evaluate
from spinecast.patients.tables import file_fingerprint, write_table
from spinecast.simulator.synthetic import simulate

FOLLOW_UP = ["followup_date", "odi_followup", "nrs_back_followup", "nrs_leg_followup"]


@pytest.fixture(scope="module")
def cohort(registry):
    return simulate(registry, 300, 9)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("validation")


@pytest.fixture(scope="module")
def cohort_file(cohort, place):
    write_table(cohort.frame(), place / "cohort.csv")
    return place / "cohort.csv"


@pytest.fixture(scope="module")
def real_file(cohort, place):
    """The same patients under ids that do not say they are simulated."""
    write_table(renamed(cohort.frame()), place / "real.csv")
    return place / "real.csv"


@pytest.fixture(scope="module")
def kept(trained, place):
    """Write the model as if it had been trained on these patients, and read it back."""

    def keep(name, sha256="", trained_on="simulated", outcome="fbss_12m"):
        facts = replace(trained.facts, trained_on=trained_on)
        told = {"outcome": outcome, "data": {"sha256": sha256}}
        write_bundle(place / name, trained.model, facts, trained.booster, told)
        return Scorer.load(place / name)

    return keep


@pytest.fixture(scope="module")
def model(kept):
    return kept("model")


@pytest.fixture(scope="module")
def found(model, cohort_file):
    return validate(model, cohort_file)


def renamed(frame):
    return frame.assign(patient_id=[f"P{number}" for number in range(len(frame))])


# --- figures --------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_models_own_risks(found, model, cohort, registry):
    answers = cohort.frame()[list(registry.names)].astype(object)
    rows = answers.where(answers.notna(), None).to_dict(orient="records")
    risks = [model.assess(row).risk for row in rows]
    expected = evaluate(derive(registry, cohort.cohort().columns()), risks)
    assert found.performance.patients == expected.patients > 200
    assert found.performance.events == expected.events
    for estimate in expected.estimates:
        mine = found.performance[estimate.measure]
        assert (mine.value, mine.low, mine.high) == pytest.approx(
            (estimate.value, estimate.low, estimate.high), abs=1e-9, nan_ok=True
        )


def test_the_order_of_the_rows_changes_no_figure(found, model, cohort, tmp_path):
    write_table(cohort.frame().iloc[::-1], tmp_path / "reversed.csv")
    again = validate(model, tmp_path / "reversed.csv")
    # A sum over a row of an array may differ in its last bit with the row's place in memory.
    for estimate in found.performance.estimates:
        same = again.performance[estimate.measure]
        assert (same.value, same.low, same.high) == pytest.approx(
            (estimate.value, estimate.low, estimate.high), rel=1e-9
        )


def test_a_model_does_better_than_its_opposite(found, model, cohort_file, trained):
    assert found.performance["auroc"].value > 0.6
    upside_down = replace(
        trained.model, intercept=-trained.model.intercept, beta=-trained.model.beta
    )
    explainer = replace(model.explainer, model=upside_down)
    scorer = Scorer(replace(model.bundle, explainer=explainer))
    assert validate(scorer, cohort_file).performance["auroc"].value < 0.5


def test_the_outcome_is_the_one_the_model_was_trained_for(found, kept, cohort_file, registry):
    other = next(name for name in registry.outcome.definitions if name != "fbss_12m")
    again = validate(kept("other outcome", outcome=other), cohort_file)
    assert again.labelled.labels.definition == other
    assert again.performance.events != found.performance.events


# --- remarks --------------------------------------------------------------------------------------


def test_the_patients_it_was_trained_on_flatter_a_model(found, kept, cohort_file):
    assert SAME_FILE not in found.remarks
    same = kept("same file", sha256=file_fingerprint(cohort_file))
    assert validate(same, cohort_file).remarks[0] == SAME_FILE


@pytest.mark.parametrize("trained_on", ["simulated", "patients"])
@pytest.mark.parametrize("held_against", ["cohort_file", "real_file"])
def test_whatever_is_simulated_is_called_so(kept, request, trained_on, held_against):
    scorer = kept(f"{trained_on} {held_against}", trained_on=trained_on)
    remarks = validate(scorer, request.getfixturevalue(held_against)).remarks
    real = trained_on == "patients" and held_against == "real_file"
    assert (SIMULATED in remarks) is not real


def test_patients_whose_outcome_is_not_known_are_counted(found, cohort, registry):
    lost = int(np.isnan(derive(registry, cohort.cohort().columns())).sum())
    told = f"{lost} of 300 patients were left out"
    assert [remark for remark in found.remarks if remark.startswith(told)]


# --- files ----------------------------------------------------------------------------------------


def test_the_files_say_the_same_as_the_record(found, tmp_path, model):
    write_validation(found, tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "calibration.svg",
        "validation.json",
        "validation.txt",
    ]
    text = (tmp_path / "new" / "folder" / "validation.json").read_text()
    told = json.loads(text, parse_constant=pytest.fail)
    assert told == json.loads(json.dumps(found.to_dict()))
    assert told["model"]["id"] == model.explainer.identity.id
    assert told["outcome"] == "fbss_12m"
    assert SIMULATED in told["remarks"]
    assert "simulated-0" not in text
    drawn = (tmp_path / "new" / "folder" / "calibration.svg").read_text()
    assert drawn.startswith("<svg")
    assert "Simulated patients" in drawn


def test_when_something_goes_wrong_the_files_of_before_stay(found, tmp_path, monkeypatch):
    write_validation(found, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(plots, "calibration_plot", broken)
    fewer = replace(found, remarks=())
    with pytest.raises(RuntimeError):
        write_validation(fewer, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_refused(found, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageRefused, match="not a directory"):
        write_validation(found, tmp_path / "file" / "folder")


# --- what is refused ------------------------------------------------------------------------------


def test_without_an_outcome_there_is_nothing_to_hold_a_model_against(model, cohort, tmp_path):
    frame = cohort.frame().drop(columns=[*FOLLOW_UP, "revision_for_pain"])
    write_table(frame, tmp_path / "before.csv")
    with pytest.raises(DataRefused, match="odi_followup"):
        validate(model, tmp_path / "before.csv")


def test_patients_who_all_did_well_give_no_discrimination_and_say_so(model, cohort, tmp_path):
    well = cohort.frame()[cohort.outcome == 0]
    write_table(well, tmp_path / "well.csv")
    found = validate(model, tmp_path / "well.csv")
    assert np.isnan(found.performance["auroc"].value)
    assert any("one kind only" in remark for remark in found.remarks)
    write_validation(found, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "validation.json").read_text())
    values = {e["measure"]: e["value"] for e in told["performance"]["estimates"]}
    assert values["auroc"] is None
    assert values["brier"] > 0
