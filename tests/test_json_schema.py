from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from conftest import TINY
from spinecast.exchange.json_schema import json_schema, json_schema_text
from spinecast.knowledge.factors import Impossible
from spinecast.knowledge.loading import load_registry
from spinecast.patients.patient import read_patient
from spinecast.simulator.synthetic import simulate
from strategies import codes, corruptions

REGISTRIES = [load_registry(), load_registry(TINY)]
EXAMPLE = Path(__file__).parents[1] / "data" / "example_patient.json"


def validator(registry, definition="patient") -> Draft202012Validator:
    schema = {**json_schema(registry), "$ref": f"#/$defs/{definition}"}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


VALIDATORS = {registry.id: validator(registry) for registry in REGISTRIES}


def as_json(registry, row) -> dict[str, object]:
    """A row of codes as a program would send it."""
    pairs = zip(registry.factors, row, strict=True)
    return json.loads(json.dumps({factor.name: factor.value_of(code) for factor, code in pairs}))


patients = st.sampled_from(REGISTRIES).flatmap(lambda r: st.tuples(st.just(r), codes(r)))


# --- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.name)
def test_the_schema_is_a_schema(registry):
    Draft202012Validator.check_schema(json_schema(registry))
    assert json.loads(json_schema_text(registry)) == json_schema(registry)


@given(patients)
def test_a_patient_who_can_be_is_accepted_by_both(pair):
    registry, row = pair
    patient = as_json(registry, row)
    assert read_patient(patient, registry)[1] == ()
    assert VALIDATORS[registry.id].is_valid(patient)


@given(patients, st.data())
def test_a_patient_with_one_thing_wrong_is_refused_by_both(pair, data):
    registry, row = pair
    column, _, value = data.draw(st.sampled_from(corruptions(registry)))
    if isinstance(value, float) and not math.isfinite(value):
        return  # no JSON
    patient = {**as_json(registry, row), column: value}
    assert read_patient(patient, registry)[1]
    assert not VALIDATORS[registry.id].is_valid(patient)


@given(patients, st.text(min_size=1), st.one_of(st.none(), st.text(), st.integers()))
def test_a_name_nobody_knows_is_refused_by_both(pair, name, value):
    registry, row = pair
    patient = {**as_json(registry, row), f"my {name}": "anything" if value is None else value}
    assert read_patient(patient, registry)[1]
    assert not VALIDATORS[registry.id].is_valid(patient)


# --- what has to be so ---------------------------------------------------------------------------


def test_the_example_patient_is_accepted():
    VALIDATORS[REGISTRIES[0].id].validate(json.loads(EXAMPLE.read_text(encoding="utf-8")))


def test_every_example_in_the_schema_is_accepted(registry):
    for name, schema in json_schema(registry)["$defs"]["patient"]["properties"].items():
        for example in schema.get("examples", []):
            assert VALIDATORS[registry.id].is_valid({name: example})


def test_rows_of_a_cohort_are_accepted_and_need_their_columns(registry):
    row = validator(registry, "cohort_row")
    made = simulate(registry, 30, 2)
    for name, codes_ in zip(made.patient_id, made.codes, strict=True):
        assert row.is_valid({"patient_id": name, **as_json(registry, codes_)})
    required = [factor.name for factor in registry.factors if factor.required]
    assert {error.message.split("'")[1] for error in row.iter_errors({})} == {
        "patient_id",
        *required,
    }


def test_an_impossible_combination_is_refused_and_an_unknown_part_is_not():
    registry = REGISTRIES[1]
    assert not VALIDATORS[registry.id].is_valid({"smoking": "never", "pack_years": 3})
    for patient in ({"smoking": "never", "pack_years": None}, {"smoking": "never"}):
        assert VALIDATORS[registry.id].is_valid(patient)


@pytest.mark.parametrize(
    ("rule", "patient", "holds"),
    [
        ("smoking >= 'former'", {"smoking": "current"}, True),
        ("smoking >= 'former'", {"smoking": "never"}, False),
        ("smoking in ('never', 'former') or pain > 5", {"pain": 6}, True),
        ("smoking in ('never', 'former') or pain > 5", {"pain": 5, "smoking": "current"}, False),
        ("diabetes != 'yes' and pack_years == 3", {"diabetes": "no", "pack_years": 3}, True),
        ("diabetes != 'yes' and pack_years == 3", {"diabetes": None, "pack_years": 3}, False),
    ],
)
def test_a_rule_becomes_a_schema_that_means_the_same(tiny, rule, patient, holds):
    one = Impossible(name="x", rule=rule, says="No.", remedy="")
    own = tiny.model_copy(update={"impossible": (one,)})
    assert validator(own).is_valid(patient) is not holds
    assert bool(read_patient(patient, own)[1]) is holds


def test_a_rule_that_no_schema_can_say_is_mentioned(tiny):
    one = Impossible(name="x", rule="pain - pack_years > 2", says="No.", remedy="")
    own = tiny.model_copy(update={"impossible": (one,)})
    comment = json_schema(own)["$defs"]["patient"]["allOf"][0]["$comment"]
    assert "Not checked by this schema" in comment
    assert validator(own).is_valid({"pain": 9, "pack_years": 0})
