"""A cohort file whose outcomes are known: what a model learns from, or is held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from spinecast.cohorts.cohort import CheckedCohort, Cohort, check
from spinecast.cohorts.identical import are_identical
from spinecast.cohorts.outcome import Followed, Labels, labels
from spinecast.cohorts.tally import Tally
from spinecast.errors import DataRefused, Problem
from spinecast.knowledge.factors import Registry
from spinecast.logic import BoolArray
from spinecast.site.declaration import Site


@dataclass(frozen=True, slots=True)
class DataFacts:
    """A cohort file in counts, as a model and its run remember it: nothing of any patient.

    `mapping_sha256`: of the site.toml through which it was read, "" without one. `files`: SHA-256
    of each file of a folder; none of a single file.
    """

    name: str
    sha256: str
    rows_read: int
    accepted: int
    rejected: int
    labelled: int
    mapping_sha256: str = ""
    files: tuple[str, ...] = ()

    @property
    def contents(self) -> frozenset[str]:
        """By which SHA-256 its patients are known again: its own, and its files'."""
        return frozenset({self.sha256, *self.files})


@dataclass(frozen=True, slots=True)
class LabelledCohort:
    """Accepted patients with their outcomes, and what became of every row.

    Attributes:
        name: of the file or folder.
        cohort: the accepted patients, or a sample of them.
        labels: their outcomes.
        tally: what became of all rows.
        followed: how many of all accepted patients failed.
        mapping_sha256: of the site.toml through which it was read, "" without one.
        alike: of each patient whether it was drawn as everybody was, (n,); None where all were.
            The others are there because their outcome is known.
        files: SHA-256 of each file, of a folder.
    """

    name: str
    cohort: Cohort
    labels: Labels
    tally: Tally
    followed: Followed
    mapping_sha256: str = ""
    alike: BoolArray | None = None
    files: tuple[str, ...] = ()

    @property
    def sampled(self) -> str:
        """That these are a sample, as a sentence; "" where every known outcome is among them."""
        if self.labels.known == self.followed.known:
            return ""
        return (
            f"Of {self.followed.known:,} patients whose outcome is known, a sample of "
            f"{self.labels.known:,} was looked at; counts of rows and outcomes are of all."
        )

    @property
    def lost_elsewhere(self) -> int:
        """Patients whose outcome is not known and who are not here, where all others are."""
        if self.sampled:
            return 0
        here = int((~self.labels.is_known).sum())
        return self.followed.patients - self.followed.known - here

    @property
    def representative(self) -> LabelledCohort:
        """Those who stand for all accepted patients: the known are no more frequent among them."""
        return self if self.alike is None or self.alike.all() else self.take(self.alike)

    def take(self, rows: BoolArray) -> LabelledCohort:
        """The patients in these rows; the counts stay those of all."""
        return replace(
            self,
            cohort=self.cohort.take(rows),
            labels=replace(self.labels, failed=self.labels.failed[rows]),
            alike=None if self.alike is None else self.alike[rows],
        )

    @property
    def facts(self) -> DataFacts:
        """The file in counts."""
        return DataFacts(
            name=self.name,
            sha256=self.cohort.fingerprint,
            rows_read=self.tally.rows_read,
            accepted=self.tally.accepted,
            rejected=self.tally.rejected,
            labelled=self.followed.known,
            mapping_sha256=self.mapping_sha256,
            files=self.files,
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
    cohort, tally = checked.accepted, Tally.of(checked)
    found = labels(cohort.registry, cohort.columns(), definition or None)
    return usable(LabelledCohort(name, cohort, found, tally, found.followed, mapping_sha256))


def usable(found: LabelledCohort) -> LabelledCohort:
    """Patients something can be learned from, as they are.

    Raises:
        DataRefused: nobody's outcome is known, or the follow-up repeats a factor.
    """
    if problems := list(_copied(found.cohort)):
        raise DataRefused("The follow-up is no follow-up", problems)
    if not found.labels.known:
        problems = [*found.tally.reasons.problems(), _none(found)]
        raise DataRefused("No patient can be used", problems)
    return found


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


def _none(found: LabelledCohort) -> Problem:
    columns = ", ".join(column.name for column in found.cohort.registry.outcome.columns)
    return Problem(
        "outcome",
        f"it is known for none of {found.tally.accepted:,} accepted patients",
        f"it is derived from {columns}",
        "Add the follow-up; `spinecast check` says how the file was read.",
    )
