"""A cohort file whose outcomes are known: what a model learns from, or is held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spinecast.cohorts.cohort import CheckedCohort, Cohort, check
from spinecast.cohorts.identical import are_identical
from spinecast.cohorts.outcome import Labels, labels
from spinecast.errors import DataRefused, Problem
from spinecast.knowledge.factors import Registry
from spinecast.site.declaration import Site


@dataclass(frozen=True, slots=True)
class DataFacts:
    """A cohort file in counts, as a model and its run remember it: nothing of any patient.

    `mapping_sha256`: of the site.toml through which it was read, "" without one.
    """

    name: str
    sha256: str
    rows_read: int
    accepted: int
    rejected: int
    labelled: int
    mapping_sha256: str = ""


@dataclass(frozen=True, slots=True)
class LabelledCohort:
    """The accepted patients of a file with their outcomes, and what became of the other rows."""

    name: str
    checked: CheckedCohort
    labels: Labels
    mapping_sha256: str = ""

    @property
    def cohort(self) -> Cohort:
        """The accepted patients."""
        return self.checked.accepted

    @property
    def facts(self) -> DataFacts:
        """The file in counts."""
        return DataFacts(
            name=self.name,
            sha256=self.cohort.fingerprint,
            rows_read=self.checked.rows_read,
            accepted=len(self.cohort),
            rejected=len(self.checked.rejected),
            labelled=self.labels.known,
            mapping_sha256=self.mapping_sha256,
        )


def read_labelled(
    path: Path, registry: Registry, definition: str = "", site: Site | None = None
) -> LabelledCohort:
    """Check a cohort file and derive its outcome, by a named definition or the registry's own.

    `site` maps a hospital's own columns to ours.

    Raises:
        UsageRefused: there is no such file or definition.
        DataRefused: the file is not a cohort, nobody's outcome is known, or the follow-up repeats
            a factor.
    """
    mapping = site.sha256 if site else ""
    return labelled(check(path, registry, site), path.name, definition, mapping_sha256=mapping)


def labelled(
    checked: CheckedCohort, name: str, definition: str = "", *, mapping_sha256: str = ""
) -> LabelledCohort:
    """Derive the outcome of patients already checked, by a named definition or the registry's own.

    Raises:
        UsageRefused: there is no such definition.
        DataRefused: nobody's outcome is known, or the follow-up repeats a factor.
    """
    registry = checked.accepted.registry
    if problems := list(_copied(checked.accepted)):
        raise DataRefused("The follow-up is no follow-up", problems)
    found = labels(registry, checked.accepted.columns(), definition or None)
    if not found.known:
        raise DataRefused("No patient can be used", [*checked.rejected.problems(), _none(checked)])
    return LabelledCohort(name, checked, found, mapping_sha256)


def _copied(cohort: Cohort) -> Iterator[Problem]:
    """Follow-up columns that repeat a factor: a model would learn to predict its own answers."""
    for after, column in cohort.outcome.items():
        for before, answers in zip(cohort.registry.names, cohort.codes.T, strict=True):
            if are_identical(answers, column):
                yield Problem(
                    after,
                    f"it says of every patient what {before} says",
                    "an outcome is what came after the operation",
                    "Give the follow-up's own column, or leave it out.",
                )


def _none(checked: CheckedCohort) -> Problem:
    columns = ", ".join(column.name for column in checked.accepted.registry.outcome.columns)
    return Problem(
        "outcome",
        f"it is known for none of {len(checked.accepted):,} accepted patients",
        f"it is derived from {columns}",
        "Add the follow-up; `spinecast check` says how the file was read.",
    )
