"""The surgeon's door: every answer is used or refused with its reason, and nothing is guessed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import OrderedDict
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.errors import ModelRefused
from spinecast.explaining.scoring import Scorer, name_of
from spinecast.modelling.model import reference_row
from strategies import corrupted, patients

# What may be needed to train, to record and to draw, and never to score.
HEAVY = ["mlflow", "sklearn", "xgboost", "shap", "matplotlib", "interpret", "numba", "glum"]


@pytest.fixture(scope="module")
def reference(registry):
    """The reference patient as answers; everything is known."""
    return {factor.name: factor.value_of(factor.reference_code) for factor in registry.factors}


@pytest.fixture(scope="module")
def in_scope(registry):
    """The answers of whom the registry is about."""
    return {exclusion.name: "no" for exclusion in registry.exclusions}


def reasons(record):
    return [(reason.factor, reason.code) for reason in record.reasons]


# --- scored --------------------------------------------------------------------------------------


@given(data=st.data())
def test_any_valid_patient_is_scored_however_it_is_written(scorer, data):
    record = scorer.assess(data.draw(patients(scorer.registry)))
    assert record.status == "scored"
    assert record.reasons == ()
    assert 0 < record.interval.low <= record.risk <= record.interval.high < 1


def test_the_reference_patient_has_the_reference_risk(scorer, reference):
    record = scorer.assess(reference)
    assert record.risk == pytest.approx(record.reference_risk, abs=1e-12)
    assert record.unknown == ()


def test_a_patient_gets_the_numbers_of_the_row_of_codes(scorer, registry, candidates, in_scope):
    for codes in candidates[:20]:
        told = {
            factor.name: factor.value_of(code)
            for factor, code in zip(registry.factors, codes.tolist(), strict=True)
        }
        scores = scorer.explainer.score(codes[None])
        assert scorer.assess(told | in_scope) == scorer.explainer.explain(scores, 0)


@pytest.mark.parametrize("left", [None, "", "unknown", "NA", "absent"])
def test_what_was_not_answered_about_scope_is_said_and_moves_no_number(scorer, in_scope, left):
    first, *others = scorer.registry.exclusions
    answers = in_scope | {"age": 54}
    asked = scorer.assess(answers)
    answers[first.name] = left
    if left == "absent":
        del answers[first.name]
    record = scorer.assess(answers)
    (caution,) = set(record.cautions) - set(asked.cautions)
    assert caution.code == "scope_unchecked"
    assert first.question in caution.message
    assert not any(other.question in caution.message for other in others)
    assert (record.risk, record.interval, record.contributions) == (
        asked.risk, asked.interval, asked.contributions,
    )  # fmt: skip
    german = scorer.in_language("de").assess(answers)
    assert german.cautions != record.cautions
    assert [one.code for one in german.cautions] == [one.code for one in record.cautions]


def test_a_patient_of_whom_nothing_is_known_is_scored_and_says_so(scorer, registry):
    record = scorer.assess({})
    assert record.status == "scored"
    assert len(record.unknown) == len(registry.names)
    assert "many_unknown" in [caution.code for caution in record.cautions]


def test_absent_null_and_unknown_are_one_and_the_same(scorer, registry, reference):
    for name in registry.names[:6]:
        absent = {key: value for key, value in reference.items() if key != name}
        records = [scorer.assess(absent)]
        records += [scorer.assess({**absent, name: v}) for v in (None, "", "unknown", " NA ")]
        assert all(record == records[0] for record in records)
        assert [entry.factor for entry in records[0].unknown] == [name]


def test_any_mapping_is_a_patient(scorer, reference):
    expected = scorer.assess(reference)
    assert scorer.assess(MappingProxyType(reference)) == expected
    assert scorer.assess(OrderedDict(reference)) == expected


def test_assessing_leaves_the_answers_alone(scorer, reference):
    told = dict(reference, age=None)
    before = dict(told)
    scorer.assess(told)
    assert told == before


def test_the_same_patient_gets_the_same_record_again(scorer, reference):
    assert scorer.assess(reference) == scorer.assess(reference)


def test_follow_up_and_dates_change_no_risk(scorer, registry, reference):
    followed = {"index_date": "2024-05-01", "followup_date": "2025-05-03", "site": "north"}
    assert scorer.assess({**reference, **followed}) == scorer.assess(reference)


def test_no_to_every_exclusion_is_in_scope(scorer, registry, reference):
    asked = {exclusion.name: "no" for exclusion in registry.exclusions}
    assert scorer.assess({**reference, **asked}).status == "scored"


# --- refused -------------------------------------------------------------------------------------


@given(data=st.data())
def test_one_spoilt_answer_refuses_the_patient_and_says_why(scorer, data):
    spoilt = data.draw(corrupted(scorer.registry))
    record = scorer.assess(spoilt.answers)
    factor = spoilt.column if spoilt.column in scorer.registry.names else ""
    assert reasons(record) == [(factor, spoilt.rule)]
    assert spoilt.column in record.reasons[0].message
    assert record.risk is None
    assert record.contributions == ()


def test_a_misspelt_name_is_refused_with_the_one_that_was_meant(scorer):
    record = scorer.assess({"smoking_satus": "current"})
    assert reasons(record) == [("", "unknown_name")]
    assert "Did you mean smoking_status?" in record.reasons[0].message


def test_a_name_like_no_other_is_refused_too(scorer):
    assert reasons(scorer.assess({"shoe_size": 43})) == [("", "unknown_name")]


def test_all_that_is_wrong_is_said_at_once(scorer, registry):
    told = {
        "age": 400,
        "smoking_status": "sometimes",
        "shoe_size": 43,
        "prior_lumbar_surgeries": 0,
        "lesion_type": "recurrent_disc_herniation",
        registry.exclusions[0].name: "yes",
        "nrs_leg": math.nan,
        "odi_baseline": "about ten",
    }
    assert sorted(reasons(scorer.assess(told))) == [
        ("", "excluded"),
        ("", "recurrence_without_first_operation"),
        ("", "unknown_name"),
        ("age", "out_of_range"),
        ("nrs_leg", "not_finite"),
        ("odi_baseline", "not_a_number"),
        ("smoking_status", "unknown_level"),
    ]


def test_a_patient_out_of_scope_is_refused_for_that(scorer, registry, reference):
    for exclusion in registry.exclusions:
        record = scorer.assess({**reference, exclusion.name: True})
        assert [reason.code for reason in record.reasons] == ["excluded"]
        assert "out of scope" in record.reasons[0].message


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (math.nan, "not_finite"),
        (math.inf, "not_finite"),
        (-math.inf, "not_finite"),
        (10**400, "not_finite"),
        (-(10**400), "not_finite"),
        (10**18, "out_of_range"),
        (1e308, "out_of_range"),
        (-0.5, "out_of_range"),
        (True, "not_a_number"),
        ([54], "not_a_number"),
        ({"value": 54}, "not_a_number"),
        ("9" * 100_000, "out_of_range"),
        ("54 years", "not_a_number"),
        (b"54", "not_a_number"),
        (1 + 2j, "not_a_number"),
        (np.float64("nan"), "not_finite"),
    ],
)
def test_what_is_no_age_is_refused(scorer, value, rule):
    record = scorer.assess({"age": value})
    assert reasons(record) == [("age", rule)]
    assert len(record.reasons[0].message) < 300
    json.loads(record.to_json())


@pytest.mark.parametrize("value", [np.int64(54), np.float64(54.0), "54", " 54.0 ", 54])
def test_an_age_may_be_written_in_many_ways(scorer, value):
    assert scorer.assess({"age": value}) == scorer.assess({"age": 54.0})


@pytest.mark.parametrize("value", [None, [], [{}], "age", 7, 1.5, ("age", 54), {54}])
def test_what_is_not_a_patient_is_refused_and_not_an_error(scorer, value):
    record = scorer.assess(value)
    assert reasons(record) == [("", "not_a_patient")]
    assert record.patient_id == ""


@pytest.mark.parametrize("name", [7, None, ("age",), 1.5])
def test_names_that_are_not_text_are_refused(scorer, name):
    assert reasons(scorer.assess({name: 54})) == [("", "unknown_name")]


def test_a_refusal_carries_the_model_and_its_standing_cautions(scorer):
    record = scorer.assess({"age": -1})
    assert record.status == "refused"
    assert record.model == scorer.explainer.identity
    assert record.cautions == scorer.explainer.facts.cautions


@given(
    told=st.dictionaries(
        st.one_of(st.sampled_from(["age", "sex", "patient_id", "index_date", "bmi"]), st.text()),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        ),
        max_size=5,
    )
)
def test_any_json_is_scored_or_refused_and_never_an_error(scorer, told):
    record = scorer.assess(told)
    assert (record.status == "refused") == bool(record.reasons)
    json.loads(record.to_json())


# --- who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [54, -1])
def test_the_id_of_a_patient_is_kept(scorer, age):
    record = scorer.assess({"patient_id": "Ä-7", "age": age})
    assert record.patient_id == "Ä-7"
    assert record.to_dict()["patient_id"] == "Ä-7"


@pytest.mark.parametrize(("given", "kept"), [(7, "7"), (None, ""), ("", ""), ("P1", "P1")])
def test_an_id_is_text(given, kept):
    assert name_of({"patient_id": given}) == kept


@pytest.mark.parametrize("nobody", [{}, None, [], "P1"])
def test_who_has_no_id_has_none(nobody):
    assert name_of(nobody) == ""


# --- the door itself -----------------------------------------------------------------------------


def test_a_path_may_be_text(bundle_folder, scorer):
    assert Scorer.load(str(bundle_folder)).explainer.identity == scorer.explainer.identity


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelRefused):
        Scorer.load(tmp_path)


def test_scoring_asks_the_registry_the_model_was_trained_with(scorer, registry):
    assert scorer.registry.id == registry.id
    assert scorer.registry.folder != registry.folder


def test_a_scorer_answers_after_its_folder_is_gone(trained, tmp_path, reference):
    from spinecast.explaining.bundle import write_bundle

    folder = tmp_path / "model"
    write_bundle(folder, trained.model, trained.facts, trained.booster, trained.training)
    gone = Scorer.load(folder)
    folder.rename(tmp_path / "elsewhere")
    assert gone.assess(reference).status == "scored"


def test_scoring_and_showing_import_nothing_of_training(bundle_folder):
    code = (
        "import sys\n"
        "from spinecast.explaining import batch, scoring\n"
        "from spinecast.showing import display\n"
        f"record = scoring.Scorer.load({str(bundle_folder)!r}).assess({{'age': 54}})\n"
        "display.as_text(record), display.as_html(record)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_reference_patient_in_codes_is_the_one_in_words(scorer, registry, reference):
    codes, faults = scorer.read(reference)
    assert faults == ()
    np.testing.assert_array_equal(codes, reference_row(registry))
