"""What counts as failure, as a registry declares it: columns, quantities, named definitions."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spinecast.knowledge.declared import Declared, Interval, Mark, Names


class OutcomeColumn(Declared):
    """A column of follow-up data that an outcome definition reads; labelled by name if not else."""

    name: str
    label: str = Field(default_factory=lambda given: str(given.get("name", "")))
    kind: Literal["number", "yes_no", "date"]
    range: Interval | None = None
    unit: str = ""


class Definition(Declared):
    """A named, executable definition of failure: a rule over follow-up columns and factors."""

    TEXTS: ClassVar[tuple[str, ...]] = ("title",)

    title: str
    failure: str
    rationale: str = ""
    published: str = ""
    sources: Names = ()
    mark: Mark = "found"


class OutcomeSpec(Declared):
    """What counts as failure, when it is judged, and which columns it is read from.

    A file may leave out `default` (the first definition) and `horizon` (the registry's).
    """

    default: str
    horizon: str
    window_months: Interval | None = None
    columns: tuple[OutcomeColumn, ...] = Field(strict=False)
    quantities: dict[str, str] = Field(default={})
    definitions: dict[str, Definition]
