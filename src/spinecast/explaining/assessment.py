"""One patient's answer: the record every interface shows, exactly as the contract has it.

Nothing is computed here. `contract` is what programs rely on (`spinecast.assessment/1`); text, page
and notebook derive from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal

from spinecast.language import BASE

SCHEMA = "spinecast.assessment/1"

TrainedOn = Literal["simulated", "patients", "literature"]
Agreement = Literal["agrees", "disagrees", "not established"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a patient was refused; `factor` is empty when it is not about one answer."""

    code: str
    factor: str
    message: str


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the risk probably lies, how sure that is meant to be, and how it was made."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one factor adds to the patient's risk against the reference patient.

    `log_odds` splits exactly into `from_literature` and `from_cohort`; `risk_points` is on the
    scale of the risk (0.01 is one patient in a hundred). `value` is None when not known.
    """

    factor: str
    label: str
    value: str | float | None
    log_odds: float
    risk_points: float
    from_literature: float
    from_cohort: float
    agreement: Agreement
    mechanisms: tuple[str, ...]
    sentence: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnknownFactor:
    """A factor that is not known: what was assumed, and the risk at the ends of what it may be."""

    factor: str
    assumed: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Caution:
    """A reason not to rely on the answer, and the factors it is about."""

    code: str
    message: str
    factors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done about a factor before surgery; never a promised reduction."""

    factor: str
    sentence: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model answered, and what it rests on."""

    id: str
    trained_on: TrainedOn
    patients: int
    events: int
    outcome: str
    registry: str
    version: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """A patient's risk with its reasons, or a refusal with its reasons.

    When refused, every number is None and every list but `reasons` and `cautions` is empty. Codes,
    names and numbers are the same in every language; sentences and labels are in `language`.
    """

    status: Literal["scored", "refused"]
    reasons: tuple[Reason, ...]
    risk: float | None
    interval: Interval | None
    reference_risk: float | None
    cohort_risk: float | None
    centile: float | None
    margin: float | None
    reference_margin: float | None
    contributions: tuple[Contribution, ...]
    unknown: tuple[UnknownFactor, ...]
    cautions: tuple[Caution, ...]
    actions: tuple[Action, ...]
    model: ModelIdentity
    patient_id: str = ""
    language: str = BASE

    @classmethod
    def refused(
        cls,
        reasons: tuple[Reason, ...],
        model: ModelIdentity,
        cautions: tuple[Caution, ...] = (),
        patient_id: str = "",
        language: str = BASE,
    ) -> Assessment:
        """The record of a patient who cannot be scored."""
        return cls(
            status="refused",
            reasons=reasons,
            risk=None,
            interval=None,
            reference_risk=None,
            cohort_risk=None,
            centile=None,
            margin=None,
            reference_margin=None,
            contributions=(),
            unknown=(),
            cautions=cautions,
            actions=(),
            model=model,
            patient_id=patient_id,
            language=language,
        )

    def contract(self) -> dict[str, Any]:
        """The contract, in its order, for a writer of JSON that knows records.

        A patient id is told only when there is one, the language only where it is not English.
        """
        told: dict[str, Any] = {"schema": SCHEMA}
        told |= {name: getattr(self, name) for name in self.__dataclass_fields__}
        told["unknown"] = [
            {
                "factor": unknown.factor,
                "assumed": unknown.assumed,
                "risk_if": {"low": unknown.low, "high": unknown.high},
            }
            for unknown in self.unknown
        ]
        if not self.patient_id:
            del told["patient_id"]
        if self.language == BASE:
            del told["language"]
        return told

    def to_dict(self) -> dict[str, Any]:
        """The contract as plain values."""
        return {name: _plain(value) for name, value in self.contract().items()}

    def to_json(self) -> str:
        """The contract as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)

    def _repr_html_(self) -> str:
        """The record as a notebook shows it."""
        # Imported here because display stands upstairs: it takes the record, never the reverse.
        from spinecast.showing.display import as_fragment

        return as_fragment(self)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a record holds
    """Records within a value as dictionaries; `dataclasses.asdict` takes ten times as long."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
