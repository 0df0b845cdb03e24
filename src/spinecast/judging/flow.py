"""What became of the rows of a cohort file, and who was lost to follow-up.

The bookkeeping of the file (rows read, rejected, repeated) is exact; counts of one to four patients
of a group are kept back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.cohorts.grouping import NOT_KNOWN, groupings
from spinecast.cohorts.labelled import LabelledCohort
from spinecast.disclosure import FEWEST, may_be_shown
from spinecast.judging.attrition import FEWEST_LOST, LossDifference, loss_differences

DUPLICATE = "duplicate_patient"
ANY_RULE = "any rule"

Members = Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class GroupLoss:
    """How many of a group were lost to follow-up; None for what is kept back."""

    by: str
    label: str
    group: str
    patients: int | None
    lost: int | None
    share_lost: float | None


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of the rows of the file, and of the patients.

    Attributes:
        rows_read: Rows of the file.
        rejected: Rows that broke a rule.
        rejected_by_rule: Rows by rule, a row may break several; None for 1 to 4.
        duplicates: Rows of a patient who already stood in the file; they were rejected.
        accepted: Patients without a fault.
        outcome_known: Those of them whose outcome is known.
        lost: Those of them whose outcome is not.
        by_group: The lost by group; all patients first. Of a sample, where the cohort is one.
        loss_differences: Factors compared between the lost and the others.
        selective_loss: Whether a difference is established; None when too few were lost to tell.
        in_words: The same in words.
    """

    rows_read: int
    rejected: int
    rejected_by_rule: Mapping[str, int | None]
    duplicates: int
    accepted: int
    outcome_known: int
    lost: int
    by_group: tuple[GroupLoss, ...]
    loss_differences: tuple[LossDifference, ...]
    selective_loss: bool | None
    in_words: str


def flow(found: LabelledCohort) -> Flow:
    """From the rows of a file to patients with a known outcome, and who was lost on the way."""
    cohort, is_lost = found.cohort, ~found.labels.is_known
    tally, rules = found.tally, found.tally.reasons.rules
    counts = {ANY_RULE: tally.rejected, **rules}
    kept = found.followed.known
    lost = tally.accepted - kept
    differences = loss_differences(cohort.registry, cohort.codes, is_lost)
    compared = min(int(is_lost.sum()), found.labels.known) >= FEWEST_LOST and bool(differences)
    selective = any(one.is_established for one in differences) if compared else None
    # Where no one was lost, nobody was lost selectively.
    selective = False if lost == 0 else selective
    return Flow(
        rows_read=tally.rows_read,
        rejected=tally.rejected,
        rejected_by_rule={rule: _shown(rows) for rule, rows in counts.items()},
        duplicates=rules.get(DUPLICATE, 0),
        accepted=tally.accepted,
        outcome_known=kept,
        lost=lost,
        by_group=tuple(_lost_by_group(found.representative)),
        loss_differences=differences,
        selective_loss=selective,
        in_words=_loss_in_words(lost, tally.accepted, differences, selective=selective),
    )


def _lost_by_group(found: LabelledCohort) -> Iterator[GroupLoss]:
    """All patients, then every group; shown are counts that give away no cell of a few."""
    cohort, is_lost = found.cohort, ~found.labels.is_known
    everyone = np.ones(len(cohort), dtype=bool)
    yield from _losses("overall", "All patients", {"all patients": everyone}, is_lost)
    for way in groupings(cohort, found.labels.failed):
        members = {name: way.members(name) for name in way.names}
        yield from _losses(way.by, way.label, members, is_lost)


def _losses(
    by: str, label: str, members: Members, is_lost: npt.NDArray[np.bool_]
) -> Iterator[GroupLoss]:
    counts = np.array([[is_lost[m].sum(), (~is_lost[m]).sum()] for m in members.values()])
    told = may_be_shown(counts, unknown_last=NOT_KNOWN in members)
    for name, (lost, kept), shown in zip(members, counts.tolist(), told, strict=True):
        patients = lost + kept
        share = lost / patients if shown[0] and shown[2] and patients else None
        yield GroupLoss(
            by, label, name, patients if shown[2] else None, lost if shown[0] else None, share
        )


def _loss_in_words(
    lost: int, patients: int, differences: tuple[LossDifference, ...], *, selective: bool | None
) -> str:
    if not lost:
        return "The outcome is known for every patient."
    start = (
        f"The outcome is not known for {lost:,} of {patients:,} patients ({lost / patients:.0%})."
    )
    if selective is None:
        return f"{start} Too few were lost, or kept, to tell whether they differ."
    if not selective:
        return f"{start} In no factor is it established that they differ from the others."
    told = "; ".join(one.in_words for one in differences if one.is_established)
    return f"{start} They differ from the others (lost against kept): {told}."


def _shown(count: int) -> int | None:
    return count if count == 0 or count >= FEWEST else None
