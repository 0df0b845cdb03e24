"""The interface as OpenAPI 3.1, made from the registry: another factor is another property."""

from __future__ import annotations

from typing import Any

from spinecast import __version__
from spinecast.explaining.assessment import SCHEMA
from spinecast.explaining.scoring import Scorer
from spinecast.knowledge.factors import Exclusion, Factor, Registry
from spinecast.logic import YES_NO
from spinecast.patients.patient import PATIENT_ID
from spinecast.web.answering import UNKNOWN
from spinecast.web.problems import MEDIA_TYPE, TITLES

JSON = "application/json"
API_VERSION = "1"
MOST_PATIENTS = 200
LONGEST_TEXT = 200
EXAMPLE_ANSWERS = 6


def openapi(scorer: Scorer) -> dict[str, Any]:
    """The contract of the model in use."""
    registry = scorer.registry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"spinecast: {registry.title}",
            "version": API_VERSION,
            "description": f"spinecast {__version__}, registry {registry.id}, model trained on "
            f"{scorer.explainer.identity.trained_on}. Every answer says so; research software, "
            "not a medical device.",
        },
        "servers": [{"url": f"/api/v{API_VERSION}", "description": "also at /api"}],
        "paths": _paths(),
        "components": {
            "schemas": {
                "Patient": _patient(registry),
                "Assessment": _assessment(scorer),
                "Problem": _problem(),
            }
        },
    }


def _paths() -> dict[str, Any]:
    patients = {
        "type": "object",
        "required": ["patients"],
        "additionalProperties": False,
        "properties": {
            "patients": {
                "type": "array", "items": _ref("Patient"), "minItems": 1, "maxItems": MOST_PATIENTS,
            }
        },
    }  # fmt: skip
    records = {
        "type": "object",
        "required": ["assessments"],
        "properties": {"assessments": {"type": "array", "items": {"type": "object"}}},
    }
    anything = {"type": "object"}
    return {
        "/assess": {"post": _post("assess", "One patient", _ref("Patient"), _ref("Assessment"))},
        "/assess-batch": {"post": _post("assess_batch", "Several patients", patients, records)},
        "/factors": {"get": _get("factors", "What may be answered", anything)},
        "/model": {"get": _get("model", "Which model answers", anything)},
    }


def _post(name: str, summary: str, body: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    refusals = ("not-json", "too-large", "media-type", "answers", "too-many", "no-model")
    return _get(name, summary, told, refusals) | {
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}}
    }


def _get(
    name: str, summary: str, told: dict[str, Any], refusals: tuple[str, ...] = ("no-model",)
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": summary, "content": {JSON: {"schema": told}}}
    }
    for kind in (*refusals, "unauthorized", "cross-site"):
        status, title = TITLES[kind]
        content = {MEDIA_TYPE: {"schema": _ref("Problem")}}
        responses[str(status)] = {"description": title, "content": content}
    return {"operationId": name, "summary": summary, "responses": responses}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _patient(registry: Registry) -> dict[str, Any]:
    properties: dict[str, Any] = {
        PATIENT_ID: {
            "type": ["string", "null"], "maxLength": LONGEST_TEXT, "pattern": r"^[\w .:/-]*$",
            "description": "A pseudonym; it comes back with the answer and is kept nowhere.",
        }
    }  # fmt: skip
    properties |= {one.name: _scope(one) for one in registry.exclusions}
    properties |= {factor.name: _factor(factor) for factor in registry.factors}
    return {
        "type": "object",
        "additionalProperties": False,
        "description": "Answers by name; null, absent and unknown all mean not known.",
        "properties": properties,
        "example": _example(registry),
    }


def _scope(exclusion: Exclusion) -> dict[str, Any]:
    return {"enum": [*YES_NO, None], "title": exclusion.question, "description": exclusion.reason}


def _factor(factor: Factor) -> dict[str, Any]:
    told = {"title": factor.question, "description": factor.definition}
    if not factor.is_numeric:
        return told | {"enum": [*factor.levels, UNKNOWN, None]}
    low, high = factor.bounds
    number = "integer" if factor.kind == "count" else "number"
    described = f"{factor.definition} Unit: {factor.unit}." if factor.unit else factor.definition
    return told | {
        "type": [number, "null"], "minimum": low, "maximum": high, "description": described,
    }  # fmt: skip


def _example(registry: Registry) -> dict[str, Any]:
    asked = sorted(registry.factors, key=lambda factor: not factor.required)[:EXAMPLE_ANSWERS]
    return {factor.name: factor.value_of(factor.reference_code) for factor in asked}


def _assessment(scorer: Scorer) -> dict[str, Any]:
    assessed = scorer.assess(_example(scorer.registry)).to_dict()
    return {
        "type": "object",
        "required": list(assessed),
        "properties": {
            "schema": {"const": SCHEMA},
            "status": {"enum": ["scored", "refused"]},
            "risk": {"type": "number", "minimum": 0, "maximum": 1},
            "contributions": {"type": "array", "items": {"type": "object"}},
        },
        "example": assessed,
    }


def _problem() -> dict[str, Any]:
    fields = {"type": "array", "items": {"type": "string"}}
    error = {
        "type": "object",
        "required": ["fields", "code", "detail"],
        "properties": {
            "fields": fields, "code": {"type": "string"}, "detail": {"type": "string"},
        },
    }  # fmt: skip
    return {
        "type": "object",
        "description": "RFC 9457 problem details; no value that was given is repeated.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": error},
        },
    }
