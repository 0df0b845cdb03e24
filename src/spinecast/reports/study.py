"""What only a person knows of a study: `study.toml`, and what in it is still blank.

Funding, ethics, intended use and the like cannot be computed from a cohort. They are read here as
written; whatever is blank, or merely marked to be done, stays missing and is never filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from spinecast.errors import Problem, UsageRefused
from spinecast.files import read_toml
from spinecast.knowledge.declared import Declared, record

FILE = "study.toml"
Kind = Literal["", "development", "evaluation", "both"]

# Words that hold a place and say nothing.
_PLACEHOLDER = re.compile(r"(?i:to[ -]?do|tbd|tba|tbc|xxx+|fixme)\b.*|\W*", re.DOTALL)


def _said(value: object) -> object:
    """The text without space around it; a text that says nothing is blank."""
    if not isinstance(value, str):
        return value
    return "" if _PLACEHOLDER.fullmatch(value.strip()) else value.strip()


def _told(value: object) -> object:
    """The texts of a list that say something."""
    if not isinstance(value, list | tuple):
        return value
    return [text for text in map(_said, value) if text != ""]


def _rising(thresholds: tuple[float, float]) -> tuple[float, float]:
    """Two risks in order, neither certain."""
    low, high = thresholds
    if not 0 < low < high < 1:
        allowed = "two risks, the lower first, both above 0 and below 1"
        raise PydanticCustomError("not_rising", allowed)
    return thresholds


Text = Annotated[str, BeforeValidator(_said)]
Texts = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_told)]
Thresholds = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_rising)]


class Report(Declared):
    """The paper itself.

    `objective` decides which items apply: a model is developed, evaluated, or both.
    """

    objective: Kind = ""
    title: Text = ""
    abstract: Text = ""
    authors: Texts = ()


class Background(Declared):
    """Why this model: medicine, purpose, and who may be treated unfairly."""

    context: Text = ""
    existing_models: Text = ""
    population: Text = ""
    purpose: Text = ""
    pathway: Text = ""
    inequalities: Text = ""


class Data(Declared):
    """Where the patients come from, who was let in, and when."""

    sources: Text = ""
    rationale: Text = ""
    representativeness: Text = ""
    relevance: Text = ""
    setting: Text = ""
    centres: Text = ""
    eligibility: Text = ""
    treatments: Text = ""
    preparation: Text = ""
    study_size: Text = ""
    accrual_start: date | None = None
    accrual_end: date | None = None
    followup_end: date | None = None


class Outcome(Declared):
    """How the outcome came to be known."""

    assessment: Text = ""
    rationale: Text = ""
    assessors: Text = ""
    blinding: Text = ""


class Predictors(Declared):
    """How the predictors came to be known."""

    selection: Text = ""
    measurement: Text = ""
    assessors: Text = ""
    blinding: Text = ""


class Use(Declared):
    """What the model is for, for whom, and what a risk leads to.

    `thresholds` is the range of risks, named beforehand, at which `clinical_action` is debated;
    decision curves are drawn over it and nowhere else.
    """

    intended_use: Text = ""
    users: Text = ""
    role: Text = ""
    instructions: Text = ""
    population: Text = ""
    out_of_scope: Text = ""
    risks: Text = ""
    ethical_concerns: Text = ""
    clinical_risk_level: Text = ""
    clinical_action: Text = ""
    thresholds: Thresholds | None = None
    thresholds_reason: Text = ""
    poor_inputs: Text = ""
    expertise: Text = ""


class Fairness(Declared):
    """What is done so that no group is served worse."""

    approach: Text = ""
    bias_management: Text = ""
    goal: Text = ""


class Conduct(Declared):
    """What journals and committees ask of the people behind a study."""

    ethics: Text = ""
    consent: Text = ""
    funding: Text = ""
    conflicts: Text = ""
    protocol: Text = ""
    registration: Text = ""
    data_availability: Text = ""
    code_availability: Text = ""
    patient_involvement: Text = ""
    stakeholders: Text = ""


class Discussion(Declared):
    """What the results mean, in the authors' words."""

    interpretation: Text = ""
    limitations: Text = ""
    next_steps: Text = ""


class External(Declared):
    """Tests by others or elsewhere, than on the data the model came from."""

    data_source: Text = ""
    party: Text = ""
    demographics: Text = ""
    process: Text = ""
    validity: Text = ""
    fairness: Text = ""
    effect_on_outcomes: Text = ""


class Maintenance(Declared):
    """How the model is watched and changed once in use."""

    validity_monitoring: Text = ""
    local_validity: Text = ""
    fairness_monitoring: Text = ""
    local_fairness: Text = ""
    updates: Text = ""
    corrections: Text = ""


class Release(Declared):
    """The model as something handed to others."""

    name: Text = ""
    developer: Text = ""
    contact: Text = ""
    stage: Text = ""
    released: date | None = None
    version: Text = ""
    availability: Text = ""
    record_systems: Text = ""
    regulatory_approval: Text = ""
    summary: Text = ""
    keywords: Texts = ()
    security: Text = ""
    third_parties: Text = ""
    publications: Text = ""
    trial: Text = ""
    reimbursement: Text = ""
    bibliography: Text = ""


class Study(Declared):
    """Everything a person writes about a study; a blank is missing."""

    report: Report = Report()
    background: Background = Background()
    data: Data = Data()
    outcome: Outcome = Outcome()
    predictors: Predictors = Predictors()
    use: Use = Use()
    fairness: Fairness = Fairness()
    conduct: Conduct = Conduct()
    discussion: Discussion = Discussion()
    external: External = External()
    maintenance: Maintenance = Maintenance()
    release: Release = Release()

    def get(self, key: str) -> str:
        """What stands under a dotted key such as `conduct.funding`, as text; "" when blank.

        Raises:
            KeyError: there is no such key.
        """
        table, _, name = key.partition(".")
        if table not in TABLES or name not in TABLES[table].model_fields:
            raise KeyError(key)
        return _as_text(getattr(getattr(self, table), name))

    def blanks(self) -> tuple[str, ...]:
        """The keys that still have to be written."""
        return tuple(key for key in KEYS if not self.get(key))


TABLES: dict[str, type[Declared]] = {
    name: type(field.default) for name, field in Study.model_fields.items()
}
KEYS = tuple(f"{table}.{name}" for table, model in TABLES.items() for name in model.model_fields)


def read_study(path: Path) -> Study:
    """Read what a person wrote of a study.

    Raises:
        UsageRefused: the file is missing or not TOML, or with everything that is wrong in it.
    """
    remedy = "Start from experiments/study.example.toml."
    return _study(read_toml(path, told="The study", remedy=remedy), path)


def _study(table: Mapping[str, Any], path: Path) -> Study:
    problems: list[Problem] = []
    parts = {}
    for name, content in table.items():
        if name not in TABLES:
            allowed = "a study has the tables " + ", ".join(TABLES)
            remedy = "Remove it, or correct its spelling."
            problems.append(Problem(f"{path.name} {name}", "is not known", allowed, remedy))
        elif not isinstance(content, Mapping):
            remedy = f"Write [{name}] and the keys below it."
            where = f"{path.name} {name}"
            problems.append(Problem(where, f"given {content!r}"[:60], "a table", remedy))
        else:
            parts[name] = record(TABLES[name], f"{path.name} [{name}]", content, problems)
    study = Study.model_validate({name: part for name, part in parts.items() if part is not None})
    problems.extend(_contradictions(study, path.name))
    if problems:
        raise UsageRefused(f"The study {path} cannot be used", problems)
    return study


def _contradictions(study: Study, file: str) -> Iterator[Problem]:
    """What no single key shows."""
    days = ("accrual_start", "accrual_end", "followup_end")
    known = [(name, day) for name in days if (day := getattr(study.data, name)) is not None]
    for (earlier, first), (later, then) in pairwise(known):
        if then < first:
            given = f"given {then}, before {earlier} {first}"
            yield Problem(f"{file} [data] {later}", given, "dates follow one another")


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        joiner = " to " if all(isinstance(part, float) for part in value) else ", "
        return joiner.join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    return str(value)
