"""Our columns, as a mapping aims at them: what each may hold, in which unit, from which side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from spinecast.knowledge.factors import Registry
from spinecast.patients.answers import INDEX_DATE, DateField, Field, LevelField, NumberField, fields
from spinecast.patients.patient import PATIENT_ID, SITE

Side = Literal["patient", "before", "after"]


@dataclass(frozen=True, slots=True)
class Target:
    """One of our columns.

    Attributes:
        name: as the registry calls it.
        label: the same for people.
        side: who and where; known before surgery; follow-up.
        field: what may be answered; None for free text.
        unit: of its numbers, "" without one.
        level_words: each level, with how people say it.
    """

    name: str
    label: str
    side: Side
    field: Field | None
    unit: str = ""
    level_words: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def holds(self) -> Literal["text", "number", "date", "level"]:
        """What kind of answer it takes."""
        match self.field:
            case NumberField():
                return "number"
            case DateField():
                return "date"
            case LevelField():
                return "level"
        return "text"

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and highest number allowed."""
        return (self.field.low, self.field.high) if self.field else (0.0, 0.0)

    @property
    def levels(self) -> tuple[str, ...]:
        """Its levels, in the declared order: the place of one is its code."""
        return tuple(self.level_words)

    @property
    def is_yes_no(self) -> bool:
        """Whether it is a plain yes or no."""
        return set(self.levels) == {"no", "yes"}


def targets(registry: Registry) -> dict[str, Target]:
    """Every column a site may map to, by name, in the order of a template."""
    found = [
        Target(PATIENT_ID, "Patient", "patient", None),
        Target(SITE, "Hospital", "patient", None),
    ]
    labels = {factor.name: factor.label for factor in registry.factors}
    labels |= {exclusion.name: exclusion.question for exclusion in registry.exclusions}
    labels |= {column.name: column.label for column in registry.outcome.columns}
    units = {factor.name: factor.unit for factor in registry.factors}
    units |= {column.name: column.unit for column in registry.outcome.columns}
    after = {column.name for column in registry.outcome.columns}
    found.extend(
        Target(
            field.name,
            labels.get(field.name, f"Day of {registry.operation}"),
            "patient" if field.name == INDEX_DATE else _side(field.name in after),
            field,
            units.get(field.name, ""),
            MappingProxyType(_level_words(registry, field)),
        )
        for field in fields(registry)
    )
    return {target.name: target for target in found}


def _side(after: bool) -> Side:  # noqa: FBT001 - the only thing it is asked
    return "after" if after else "before"


def _level_words(registry: Registry, field: Field) -> dict[str, str]:
    if not isinstance(field, LevelField):
        return {}
    factor = registry.by_name.get(field.name)
    if factor is None:
        return {"no": "no", "yes": "yes"}
    return {level: factor.level_labels.get(level, level) for level in factor.levels}
