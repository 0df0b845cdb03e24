"""The interface for programs: its contract, and everything hostile that can be sent to it."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given

from asking import Asker
from spinecast.knowledge.loading import load_registry
from spinecast.web.contract import MOST_PATIENTS, openapi
from spinecast.web.current import Current
from spinecast.web.guard import LARGEST_BODY
from spinecast.web.problems import MEDIA_TYPE, TITLES
from strategies import corruptions, patients

REGISTRY = load_registry()
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def contract(scorer) -> dict:
    return json.loads(json.dumps(openapi(scorer)))


@pytest.fixture(scope="module")
def asker(bundle_folder) -> Asker:
    return Asker.of(Current.start(bundle_folder))


def problem(response, kind: str) -> dict:
    """The problem a response tells, held against what RFC 9457 asks of it."""
    told = response.json()
    assert response.headers["content-type"] == MEDIA_TYPE
    assert told["type"] == f"urn:spinecast:problem:{kind}"
    assert told["status"] == response.status_code == TITLES[kind][0]
    return told


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"\xff\xfe", "not-json"),
        (b'{"age": NaN}', "not-json"),
        (b'{"age": -Infinity}', "not-json"),
        (b'{"age": 1' + b"0" * 5_000 + b"}", "not-json"),
        (b"[" * 30_000, "not-json"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "not-json"),
        (b"[]", "answers"),
        (b"null", "answers"),
        (b"54", "answers"),
        (b'"age"', "answers"),
        (b'{"age": 54, "age": 60}', "answers"),
        (b'{"age": [54]}', "answers"),
        (b'{"age": {"years": 54}}', "answers"),
        (b'{"patient_id": {"name": "x"}}', "answers"),
        (b'{"patient_id": "a\\u0000b"}', "answers"),
        (b'{"aeg": 54}', "answers"),
        (b'{"<script>alert(1)</script>": 1}', "answers"),
    ],
)
def test_a_body_that_is_no_patient_is_refused_with_a_problem(asker, body, kind):
    for path in ("/api/assess", "/api/v1/assess"):
        problem(asker.post(path, content=body, headers=JSON), kind)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_another_content_type_is_refused(asker, kind):
    problem(asker.post("/api/assess", content=b"{}", headers={"content-type": kind}), "media-type")


def test_a_body_of_ten_megabytes_is_refused_without_being_read(asker):
    body = b'{"patient_id": "' + b"a" * 10_000_000 + b'"}'
    problem(asker.post("/api/assess", content=body, headers=JSON), "too-large")


def test_a_long_body_that_does_not_say_how_long_is_refused_too(asker):
    async def pieces():
        for _ in range(LARGEST_BODY // 1_000 + 2):
            yield b" " * 1_000

    problem(asker.post("/api/assess", content=pieces(), headers=JSON), "too-large")


def test_a_method_or_address_that_is_not_there_is_a_problem(asker):
    problem(asker.get("/api/assess"), "method")
    problem(asker.get("/api/nothing"), "not-found")
    problem(asker.get("/static/../app.py"), "not-found")


# --- patients -----------------------------------------------------------------------------------


def test_every_field_with_every_wrong_kind_is_named_and_all_at_once(asker):
    spoilt = {
        column: (rule, value)
        for column, rule, value in corruptions(REGISTRY)
        if column in REGISTRY.by_name and rule != "not_finite"  # which JSON cannot say
    }
    body = {column: value for column, (_, value) in spoilt.items()}
    told = problem(asker.post("/api/assess", json=body), "answers")
    said = {field: error["code"] for error in told["errors"] for field in error["fields"]}
    assert said == {column: spoilt[column][0] for column in body}


def test_out_of_scope_is_a_kind_of_its_own(asker):
    told = problem(asker.post("/api/assess", json={"spinal_tumour": "yes"}), "out-of-scope")
    assert "tumour" in told["errors"][0]["detail"]


@given(patients(REGISTRY))
def test_whatever_may_be_answered_is_scored_as_from_a_file(asker, scorer, answers):
    sent = asker.post("/api/assess", content=json.dumps(answers).encode(), headers=JSON)
    assert sent.json() == json.loads(scorer.assess(answers).to_json())


def test_several_patients_are_answered_in_their_order_and_none_stops_another(asker, scorer):
    batch = [{"age": 54, "patient_id": "a"}, {"age": 3, "patient_id": "b"}, {}, 7]
    told = asker.post("/api/assess-batch", json={"patients": batch}).json()["assessments"]
    assert [one.get("patient_id") for one in told] == ["a", "b", None, None]
    assert [one["status"] for one in told] == ["scored", "refused", "scored", "refused"]
    assert told[0] == json.loads(scorer.assess(batch[0]).to_json())
    assert told[1]["problem"]["errors"][0]["fields"] == ["age"]


@pytest.mark.parametrize(
    "body", [[], {}, {"patients": []}, {"patients": {}}, {"patients": [{}], "more": 1},
             {"patients": [{}] * (MOST_PATIENTS + 1)}],
)  # fmt: skip
def test_a_batch_is_bounded_and_of_one_form(asker, body):
    problem(asker.post("/api/assess-batch", json=body), "answers")


# --- what it says of itself ---------------------------------------------------------------------


def test_the_factors_are_those_of_the_registry(asker):
    told = asker.get("/api/factors").json()
    assert [factor["name"] for factor in told["factors"]] == list(REGISTRY.names)
    assert {one["name"] for one in told["scope"]} == {e.name for e in REGISTRY.exclusions}


def test_the_contract_is_made_from_the_registry(asker, contract):
    assert asker.get("/api/openapi.json").json() == contract
    properties = contract["components"]["schemas"]["Patient"]["properties"]
    assert set(REGISTRY.names) <= properties.keys()


@given(patients(REGISTRY))
def test_the_contract_allows_what_the_reader_reads_when_written_as_declared(
    scorer, contract, answers
):
    codes, _ = scorer.read(answers)
    plain = {
        factor.name: factor.value_of(code)
        for factor, code in zip(REGISTRY.factors, codes.tolist(), strict=True)
    }
    jsonschema.validate(plain, contract["components"]["schemas"]["Patient"])


def test_the_examples_of_the_contract_hold(asker, contract):
    schemas = contract["components"]["schemas"]
    patient, record = schemas["Patient"]["example"], schemas["Assessment"]["example"]
    jsonschema.validate(patient, schemas["Patient"])
    jsonschema.validate(record, schemas["Assessment"])
    assert asker.post("/api/assess", json=patient).json() == record


def test_whatever_the_contract_allows_or_forbids_is_never_a_bug(asker, contract):
    from hypothesis import HealthCheck, Phase, settings
    from schemathesis import openapi as contracts

    schema = contracts.from_dict(contract)
    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy()

        @given(case=strategy)
        @settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        def try_one(case):
            body = b"" if case.body is None else json.dumps(case.body, default=str).encode()
            response = asker.ask(
                case.method.upper(), f"/api{case.path}", content=body, headers=JSON
            )
            assert response.status_code in {200, 400, 422}
            declared = contract["paths"][case.path][case.method.lower()]["responses"]
            content = declared[str(response.status_code)]["content"]
            (body_schema,) = (kind["schema"] for kind in content.values())
            components = {"components": contract["components"]}
            jsonschema.validate(response.json(), {**body_schema, **components})

        try_one()
