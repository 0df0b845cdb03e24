"""What a model must show before it may be used, declared beforehand in `gate.toml`.

Every bound is optional and named. A bound says what is least and most allowed, and of what it asks
that: of the estimate, of its whole interval, or only that not all of the interval lies outside (a
candidate is then refused only where it is surely too bad).
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from spinecast.errors import Problem, UsageRefused
from spinecast.files import reason
from spinecast.knowledge.declared import Declared, Positive, schema_problems
from spinecast.promotion.golden import GoldenPatient, read_golden

EXAMPLE = "Start from experiments/gate.example.toml."

AskedOf = Literal["estimate", "whole interval", "any of the interval"]
Grouped = Literal[
    "auroc", "observed_expected", "calibration_intercept", "calibration_slope", "log_loss"
]


class Bound(Declared):
    """What is least and most allowed, and of what it is asked; limits themselves are allowed."""

    at_least: float | None = None
    at_most: float | None = None
    asked_of: AskedOf = "estimate"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise _refused("at_least, at_most or both are needed")
        if None not in (self.at_least, self.at_most) and self.at_least > self.at_most:  # type: ignore[operator]
            raise _refused("at_least may not be above at_most: nothing could pass")
        return self


class Permitted(Declared):
    """What may count as evidence at all.

    `own_patients`: the patients the model was trained on, of whom only what cross-validation said
    counts; `simulated`: made-up patients, or a model trained on them.
    """

    own_patients: bool = False
    simulated: bool = False


class SampleSize(Declared):
    """Fewest patients, and fewest of them with the outcome, that the evidence must rest on."""

    patients: Annotated[int, Field(ge=1)] | None = None
    events: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.patients is None and self.events is None:
            raise _refused("patients, events or both are needed")
        return self


def _refused(allowed: str) -> PydanticCustomError:
    # Braces would be read as places to fill in.
    return PydanticCustomError("impossible", allowed.replace("{", "(").replace("}", ")"))


def _within(low: float, high: float, what: str) -> Callable[[Bound], Bound]:
    """Refuse a limit that the measure can never have."""

    def check(bound: Bound) -> Bound:
        limits = (bound.at_least, bound.at_most)
        if any(limit is not None and not low <= limit <= high for limit in limits):
            raise _refused(f"{what} lies between {low:g} and {high:g}")
        return bound

    return check


def _named(text: str) -> str:
    if not text.strip():
        raise _refused("net benefit weighs an action, so it must be named")
    return text.strip()


def _thresholds(risks: tuple[float, ...]) -> tuple[float, ...]:
    if not risks or not all(0 < risk < 1 for risk in risks) or len(set(risks)) < len(risks):
        raise _refused("one or more different risks, each above 0 and below 1")
    return tuple(sorted(risks))


Ratio = Annotated[Bound, AfterValidator(_within(0.0, 1000.0, "observed / expected"))]
Area = Annotated[Bound, AfterValidator(_within(0.0, 1.0, "an AUROC"))]
Lead = Annotated[Bound, AfterValidator(_within(-1.0, 1.0, "a difference of two AUROCs"))]
Gain = Annotated[Bound, AfterValidator(_within(-1000.0, 1.0, "a difference in net benefit"))]


class NetBenefit(Declared):
    """What acting on the risks must gain at each declared threshold, per patient.

    `over_treat_all`: against acting on everyone; `over_in_use`: against acting on the risks of the
    model in use, for the same patients.
    """

    action: Annotated[str, AfterValidator(_named)]
    thresholds: Annotated[tuple[float, ...], Field(strict=False), AfterValidator(_thresholds)]
    over_treat_all: Gain | None = None
    over_in_use: Gain | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.over_treat_all is None and self.over_in_use is None:
            raise _refused("over_treat_all, over_in_use or both are needed")
        return self


class GroupBound(Bound):
    """A bound on one measure in every group of a grouping: `site`, `period` or a factor's name."""

    by: str
    measure: Grouped


class ExplanationLaws(Declared):
    """What explanations must keep to on the cohort's own patients.

    `additivity`: largest difference allowed between a sum of contributions and what it explains,
    in log-odds and in risk; `directions`: more of a factor never moves the margin against its
    declared direction, everything else held.
    """

    additivity: Positive | None = None
    directions: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.additivity is None and not self.directions:
            raise _refused("additivity, directions = true or both are needed")
        return self


class GoldenPatients(Declared):
    """The file of patients whose risk must lie in a given range; beside the gate if relative."""

    file: str


class Gate(Declared):
    """Everything asked of a candidate; what is not declared is not asked.

    `evidence` is always asked: without the table, neither the training's own patients nor
    simulated ones may promote a model.
    """

    evidence: Permitted = Permitted()
    sample_size: SampleSize | None = None
    calibration_slope: Bound | None = None
    observed_expected: Ratio | None = None
    auroc: Area | None = None
    auroc_over_in_use: Lead | None = None
    net_benefit: NetBenefit | None = None
    subgroups: Annotated[tuple[GroupBound, ...], Field(strict=False)] = ()
    explanation_laws: ExplanationLaws | None = None
    golden_patients: GoldenPatients | None = None


@dataclass(frozen=True, slots=True)
class GateFile:
    """A gate as it was read: its name and SHA-256 stand in the history of every promotion.

    Attributes:
        name: of the file.
        sha256: of the file.
        gate: what it asks.
        golden: the golden patients it names; none when it names none.
        golden_sha256: of their file; "" without one.
    """

    name: str
    sha256: str
    gate: Gate
    golden: tuple[GoldenPatient, ...] = ()
    golden_sha256: str = ""


def read_gate(path: Path) -> GateFile:
    """Read a gate, and the golden patients it names.

    Raises:
        UsageRefused: the file is missing or not TOML, or with everything that is wrong in it: keys
            that are not known, bounds nothing can keep, a gate that asks nothing.
    """
    try:
        content = path.read_bytes()
        table = tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        problem = Problem(str(path), "no such file", "a TOML file", EXAMPLE)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = Problem(str(path), str(error), "a TOML file in UTF-8")
    except OSError as error:
        problem = Problem(str(path), reason(error), "a TOML file that can be read")
    else:
        gate, problems = _gate(table, path)
        golden, sha256 = _golden(gate, path, problems)
        if gate is None or problems:
            raise UsageRefused(f"The gate {path} cannot be used", problems)
        return GateFile(path.name, hashlib.sha256(content).hexdigest(), gate, golden, sha256)
    raise UsageRefused("The gate cannot be read", [problem])


def _gate(table: dict[str, object], path: Path) -> tuple[Gate | None, list[Problem]]:
    try:
        gate = Gate.model_validate(table)
    except ValidationError as error:
        return None, list(schema_problems(path.name, error))
    if not set(table) - {"evidence"}:
        problem = Problem(str(path), "it asks nothing", "at least one bound is needed", EXAMPLE)
        return None, [problem]
    return gate, []


def _golden(
    gate: Gate | None, path: Path, problems: list[Problem]
) -> tuple[tuple[GoldenPatient, ...], str]:
    if gate is None or gate.golden_patients is None:
        return (), ""
    return read_golden(path.parent / gate.golden_patients.file, problems)
