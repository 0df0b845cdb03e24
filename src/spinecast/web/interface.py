"""The interface for programs: one patient, many patients, the factors, the model.

A patient is read straight into a row of codes and answered from the same record every other form
shows; no table is built on the way.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from spinecast import __version__
from spinecast.explaining.assessment import SCHEMA, Assessment
from spinecast.explaining.scoring import Scorer, name_of
from spinecast.patients.answers import Fault
from spinecast.patients.patient import FREE_TEXT
from spinecast.web.answering import EXCLUDED, LANGUAGE, LONGEST_NAME, Wrong, fields_of, told_of
from spinecast.web.audit import Audit
from spinecast.web.contract import JSON, LONGEST_TEXT, MOST_PATIENTS, openapi
from spinecast.web.current import Current, Installed
from spinecast.web.problems import Problem


class Refused(Exception):
    """A request that ends in a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.title)


@dataclass(frozen=True)
class Interface:
    """Answers programs from the model in use."""

    current: Current
    audit: Audit

    async def assess(self, request: Request) -> Response:
        """One patient's record."""
        try:
            scorer = self._in_language(request)
            answers = await read_json(request)
            return answer(self._record(scorer, answers))
        except Refused as refused:
            return refused.problem.response()

    async def assess_batch(self, request: Request) -> Response:
        """The records of several patients, in their order; refused ones among them."""
        try:
            scorer = self._in_language(request)
            told = []
            for answers in _patients(await read_json(request)):
                told.append(self._told(scorer, answers))
                await asyncio.sleep(0)  # nobody else waits for a whole batch
        except Refused as refused:
            return refused.problem.response()
        return Response(to_json({"assessments": told}), media_type=JSON)

    def _in_language(self, request: Request) -> Scorer:
        """The model that answers, in the language of the address: `?lang=de`."""
        asked = request.query_params.get(LANGUAGE, "")
        return self._installed().in_language(asked).scorer

    async def factors(self, request: Request) -> Response:  # noqa: ARG002
        """Everything that may be answered, as the registry has it."""
        return self._of_model(_factors)

    async def model(self, request: Request) -> Response:  # noqa: ARG002
        """Which model answers, what it rests on, and how well it did on unseen patients."""
        return self._of_model(_model)

    async def schema(self, request: Request) -> Response:  # noqa: ARG002
        """The contract as OpenAPI, made from the registry."""
        return self._of_model(lambda installed: openapi(installed.scorer))

    async def health(self, request: Request) -> Response:  # noqa: ARG002
        """Whether patients can be scored, by which model, and whether a newer one is not used.

        It is asked without a login, so it tells nothing of this machine, such as a path.
        """
        installed = self.current.installed
        told = {
            "status": "ok" if installed else "no model",
            "model": installed.scorer.explainer.identity.id if installed else None,
            "trained_on": installed.scorer.explainer.identity.trained_on if installed else None,
            "refused": self.current.said_to_anybody or None,
            "version": __version__,
        }
        return Response(to_json(told), 200 if installed else 503, media_type=JSON)

    # --- pieces ------------------------------------------------------------------------------

    def _installed(self) -> Installed:
        if self.current.installed is None:
            raise Refused(Problem("no-model", "Train one: `spinecast train`, or `make demo`."))
        return self.current.installed

    def _of_model(self, told: Callable[[Installed], Any]) -> Response:
        try:
            return Response(to_json(told(self._installed())), media_type=JSON)
        except Refused as refused:
            return refused.problem.response()

    def _record(self, scorer: Scorer, answers: object) -> Assessment:
        """The record of a patient, or a refusal with every field."""
        codes, faults = _read(scorer, answers)
        trained_on = scorer.explainer.identity.trained_on
        if faults:
            self.audit.note("api", scorer, codes, "refused")
            raise Refused(problem_of(faults, trained_on))
        self.audit.note("api", scorer, codes, "scored")
        return scorer.record(codes, name_of(answers), scorer.unchecked(answers))

    def _told(self, scorer: Scorer, answers: object) -> dict[str, Any]:
        """A patient among several: the record, or what is wrong."""
        try:
            return self._record(scorer, answers).contract()
        except Refused as refused:
            told = {"status": "refused", "problem": refused.problem.told()}
            name = name_of(answers)
            return told | ({"patient_id": name} if name else {})


async def read_json(request: Request) -> Any:  # noqa: ANN401 - whatever was sent
    """The body of a request as plain values.

    Raises:
        Refused: another type, no JSON, a number that is none, a name that stands twice.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Refused(Problem("media-type", f"Send {JSON}."))
    body = await request.body()
    try:
        return json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_no_repeats, parse_constant=_no_number
        )
    except _Twice as twice:
        raise Refused(Problem("answers", errors=twice.wrong)) from None
    except RecursionError:
        raise Refused(Problem("not-json", "It is nested too deeply.")) from None
    except ValueError:
        raise Refused(Problem("not-json", "Send one JSON text in UTF-8, without NaN.")) from None


def answer(assessment: Assessment) -> Response:
    """A scored record as a response."""
    return Response(to_json(assessment.contract()), media_type=JSON)


def problem_of(faults: tuple[Fault, ...], trained_on: str = "") -> Problem:
    """All that is wrong with a patient's answers, every field named."""
    wrong = tuple(Wrong(fields_of(fault), fault.rule, told_of(fault)) for fault in faults)
    alone = all(fault.rule == EXCLUDED for fault in faults)
    kind = "out-of-scope" if alone else "answers"
    return Problem(kind, "No risk was calculated for this patient.", wrong, trained_on)


def _read(scorer: Scorer, answers: object) -> tuple[Any, tuple[Fault, ...]]:
    codes, faults = scorer.read(answers)  # type: ignore[arg-type]
    if isinstance(answers, Mapping):
        allowed = f"a text of at most {LONGEST_TEXT} characters"
        odd = (name for name in FREE_TEXT if not _is_text(answers.get(name)))
        faults += tuple(Fault(name, "not_a_text", "", allowed) for name in odd)
    return codes, faults


def _is_text(value: object) -> bool:
    if value is None or (type(value) is int and abs(value) < 1 << 63):
        return True
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable()


def _patients(told: object) -> list[object]:
    patients = told.get("patients") if isinstance(told, dict) and len(told) == 1 else None
    if not isinstance(patients, list) or not 1 <= len(patients) <= MOST_PATIENTS:
        message = f'{{"patients": [...]}} with 1 to {MOST_PATIENTS} patients.'
        raise Refused(Problem("answers", errors=(Wrong(("patients",), "not_patients", message),)))
    return patients


class _Twice(ValueError):
    def __init__(self, wrong: tuple[Wrong, ...]) -> None:
        self.wrong = wrong
        super().__init__()


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object in which no name stands twice; which of the two was meant, nobody knows."""
    told = dict(pairs)
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name[:LONGEST_NAME] for name in names if names.count(name) > 1})
        message = "Two answers to one question. Keep one of them."
        raise _Twice(tuple(Wrong((name,), "two_answers", message) for name in twice))
    return told


def _no_number(_: str) -> NoReturn:
    raise ValueError


# --- what the model is --------------------------------------------------------------------------


def _factors(installed: Installed) -> dict[str, Any]:
    registry = installed.scorer.registry
    return {
        "registry": registry.id,
        "scope": [
            {"name": one.name, "question": one.question, "reason": one.reason}
            for one in registry.exclusions
        ],
        "factors": [
            {
                "name": factor.name,
                "domain": registry.domains[factor.domain],
                "label": factor.label,
                "question": factor.question,
                "kind": factor.kind,
                "allowed": factor.allowed,
                "levels": {
                    level: factor.in_plain_words(code) for level, code in factor.level_codes.items()
                },
                "range": factor.range,
                "unit": factor.unit,
                "reference": factor.value_of(factor.reference_code),
                "definition": factor.definition,
                "example": factor.example,
                "may_be_changed": factor.modifiable.extent,
            }
            for factor in registry.factors
        ],
    }


def _model(installed: Installed) -> dict[str, Any]:
    scorer = installed.scorer
    training = scorer.bundle.training
    return {
        "schema": SCHEMA,
        "model": scorer.explainer.identity,
        "cohort_risk": scorer.explainer.facts.cohort_risk,
        "reference_risk": scorer.explainer.reference_risk,
        "interval_level": scorer.explainer.model.level,
        "cautions": scorer.explainer.facts.cautions,
        "performance": _finite(training.get("performance", {}).get("spinecast", [])),
        "data": {"sha256": training.get("data", {}).get("sha256", "")},
    }


def _finite(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in line.items()}
        for line in lines
    ]
