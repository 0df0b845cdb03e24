"""How good a model is for each group of patients, and how that differs from all the others.

A group with fewer than ten patients of either kind is named and not judged; below five patients
not even its size is told, nor anything from which that could be worked out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.cohorts.cohort import Cohort
from spinecast.cohorts.grouping import NOT_KNOWN, PERIOD, SITE, Grouping, groupings
from spinecast.disclosure import FEWEST, may_be_shown
from spinecast.measures.closed_form import Contrast, Measured, contrast, measured
from spinecast.measures.decisions import Decision, decision_curve
from spinecast.measures.evaluation import plain
from spinecast.measures.logistic import Vector

FEWEST_OF_A_KIND = 10
"""Patients with, and without, the outcome below whom a group is not judged; a convention."""
LEVEL = 0.95
RESAMPLES = 200
"""Behind the intervals of net benefit in a group; the other intervals are by formula."""
Members = npt.NDArray[np.bool_]
METHOD = (
    "Each group is judged alone and held against all patients outside it. Intervals ({level:.0%}): "
    "AUROC by DeLong; observed / expected on the log scale, both counts varying; calibration "
    "intercept (slope held at 1) and slope by maximum likelihood; log-loss by the standard error "
    "of the mean; net benefit, at the declared thresholds alone, by the bootstrap. Groups share no "
    "patients with the rest, so variances add up. They are not corrected for the number of "
    "comparisons. Groups with fewer than {fewest} patients with, or without, the outcome are not "
    "judged; counts of 1 to {most} patients are kept back, and with them whatever would give them "
    "away. Numbers are cut at the tertiles of these patients, in whole units."
)


@dataclass(frozen=True, slots=True)
class GroupMeasure:
    """One measure in one group.

    Attributes:
        measured: The measure with its interval.
        against_rest: How it differs from all other patients; None overall, and where the others
            are too few.
    """

    measured: Measured
    against_rest: Contrast | None


@dataclass(frozen=True, slots=True)
class Group:
    """How good the predictions are in one group of patients.

    Attributes:
        by: What makes the group: `overall`, `site`, `period` or a factor's name.
        label: The same for people.
        group: Which one, for people.
        patients: Patients with a known outcome and a risk; None when kept back.
        events: Those of them who had the outcome; None when kept back.
        suppressed: Why the group is not judged; "" when it is.
        measures: AUROC, observed / expected, calibration intercept and slope, log-loss; none
            when suppressed.
        decisions: What acting on the risks would bring at each declared threshold; none when
            suppressed, or where none is declared.
    """

    by: str
    label: str
    group: str
    patients: int | None
    events: int | None
    suppressed: str
    measures: tuple[GroupMeasure, ...]
    decisions: tuple[Decision, ...] = ()

    @property
    def named(self) -> str:
        """The group with what makes it, for people."""
        return self.label if self.by == "overall" else f"{self.label}: {self.group}"

    def __getitem__(self, measure: str) -> GroupMeasure:
        """The named measure."""
        return {told.measured.measure: told for told in self.measures}[measure]

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; None for what could not be computed."""
        head = {name: getattr(self, name) for name in ("by", "label", "group", "patients")}
        rows = [
            {
                **asdict(told.measured),
                "against_rest": asdict(told.against_rest) if told.against_rest else None,
            }
            for told in self.measures
        ]
        tail = {
            "events": self.events,
            "suppressed": self.suppressed,
            "measures": rows,
            "net_benefit": [asdict(one) for one in self.decisions],
        }
        return {**head, **{key: plain(value) for key, value in tail.items()}}


@dataclass(frozen=True, slots=True)
class Subgroups:
    """How good predictions are overall and in each group.

    Attributes:
        overall: All patients with a known outcome and a risk.
        groups: One for each group, kept together by what makes them.
        level: Confidence level of every interval.
        method: How it was done, in words.
        notes: What a reader must know: which groupings there are none of, and why.
    """

    overall: Group
    groups: tuple[Group, ...]
    level: float
    method: str
    notes: tuple[str, ...]

    @property
    def judged(self) -> tuple[Group, ...]:
        """The groups that are large enough."""
        return tuple(group for group in self.groups if not group.suppressed)

    @property
    def summary(self) -> str:
        """How many groups were judged, and in how many comparisons one differs from the rest."""
        judged = self.judged
        said = f"{len(judged)} of {len(self.groups)} groups were large enough to be judged."
        found = [one.against_rest for group in judged for one in group.measures]
        # Without an interval nothing was compared, nor could chance have made a difference.
        pairs = [pair for pair in found if pair is not None and math.isfinite(pair.low)]
        if not pairs:
            return said
        return (
            f"{said} In {sum(pair.is_established for pair in pairs)} of {len(pairs)} comparisons a "
            "group differs from the rest; chance alone would give about "
            f"{(1 - self.level) * len(pairs):.0f}."
        )

    @property
    def in_words(self) -> str:
        """The summary, and then where groups differ from the rest and what was not compared."""
        return " ".join(_in_words(self))

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "method": self.method,
            "in_words": self.in_words,
            "level": self.level,
            "overall": self.overall.to_dict(),
            "groups": [group.to_dict() for group in self.groups],
            "notes": list(self.notes),
        }


def subgroups(
    cohort: Cohort,
    y: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    thresholds: Sequence[float] = (),
    level: float = LEVEL,
) -> Subgroups:
    """Judge predictions overall, by site, by period and by each factor the registry names.

    Args:
        cohort: The patients.
        y: Shape (patients,), 1 had the outcome, 0 had not, NaN unknown (left out).
        risk: Shape (patients,), predicted probability, NaN where none (left out).
        thresholds: Declared beforehand; net benefit is worked out at these and no others.
        level: Confidence level, between 0 and 1.

    Raises:
        ValueError: Not one outcome and one risk for each patient.
    """
    outcome, risks = np.asarray(y, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    if not outcome.shape == risks.shape == (len(cohort),):
        raise ValueError(
            f"y has shape {outcome.shape}, risk {risks.shape}; the cohort has {len(cohort)}."
        )
    known = ~(np.isnan(outcome) | np.isnan(risks))
    cohort, outcome, risks = cohort.take(known), outcome[known], risks[known]
    ways = groupings(cohort, outcome)
    judged = _Judged(outcome, risks, tuple(thresholds), level)
    groups = [group for way in ways for group in judged.groups(way)]
    return Subgroups(
        overall=judged.overall(),
        groups=tuple(groups),
        level=level,
        method=METHOD.format(level=level, fewest=FEWEST_OF_A_KIND, most=FEWEST - 1),
        notes=tuple(_notes(cohort, ways)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Outcomes and risks of all patients, and how to judge a part of them."""

    outcome: Vector
    risks: Vector
    thresholds: tuple[float, ...]
    level: float

    def overall(self) -> Group:
        """All patients as one group."""
        counts = np.array([[(self.outcome == kind).sum() for kind in (1, 0)]])
        reason = _too_small(int(counts[0, 0]), int(counts[0, 1]))
        measures = () if reason else measured(self.outcome, self.risks, level=self.level)
        shown = may_be_shown(counts)[0]
        return Group(
            "overall",
            "All patients",
            "all patients",
            len(self.outcome) if shown[2] else None,
            int(counts[0, 0]) if shown[0] else None,
            reason,
            tuple(GroupMeasure(one, None) for one in measures),
            () if reason else self.decisions(np.ones(len(self.outcome), dtype=np.bool_)),
        )

    def groups(self, way: Grouping) -> Iterator[Group]:
        """Each group of one way of grouping."""
        outcome = self.outcome
        members = [way.members(name) for name in way.names]
        counts = np.array([[(outcome[m] == kind).sum() for kind in (1, 0)] for m in members])
        whole = counts.sum(axis=0)
        told = may_be_shown(counts, unknown_last=way.names[-1] == NOT_KNOWN)
        for name, inside, (events, others), shown in zip(
            way.names, members, counts.tolist(), told, strict=True
        ):
            reason = _too_small(events, others)
            alone = _too_small(int(whole[0]) - events, int(whole[1]) - others)
            yield Group(
                way.by,
                way.label,
                name,
                events + others if shown[2] else None,
                events if shown[0] else None,
                reason,
                () if reason else tuple(self.against(inside, alone=bool(alone))),
                () if reason else self.decisions(inside),
            )

    def against(self, inside: Members, *, alone: bool) -> Iterator[GroupMeasure]:
        """Every measure of the patients inside, beside that of the patients outside."""
        ours = measured(self.outcome[inside], self.risks[inside], level=self.level)
        if alone:
            yield from (GroupMeasure(one, None) for one in ours)
            return
        rest = measured(self.outcome[~inside], self.risks[~inside], level=self.level)
        for one, other in zip(ours, rest, strict=True):
            yield GroupMeasure(one, contrast(one, other, level=self.level))

    def decisions(self, inside: Members) -> tuple[Decision, ...]:
        """What acting on the risks of the patients inside would bring, with bootstrap intervals."""
        if not self.thresholds:
            return ()
        outcome, risks = self.outcome[inside], self.risks[inside]
        curve = decision_curve(
            outcome, risks, self.thresholds, resamples=RESAMPLES, level=self.level
        )
        return curve.decisions


def _too_small(events: int, others: int) -> str:
    if events + others < FEWEST:
        return f"fewer than {FEWEST} patients"
    kinds = (("with", events), ("without", others))
    few = " and ".join(kind for kind, count in kinds if count < FEWEST_OF_A_KIND)
    return f"fewer than {FEWEST_OF_A_KIND} patients {few} the outcome" if few else ""


def _notes(cohort: Cohort, ways: tuple[Grouping, ...]) -> Iterator[str]:
    found = {way.by for way in ways}
    if SITE not in found:
        yield "Not by site: the patients come from one, or the file does not say from which."
    if PERIOD not in found:
        yield "Not by period: the dates are not known, or all the same."
    if not cohort.registry.subgroups:
        yield "Not by factor: the registry names none in `subgroups`."
    for name in cohort.registry.subgroups:
        if name not in found:
            yield f"Not by {name}: all patients have the same, or it is not known."


def _in_words(told: Subgroups) -> Iterator[str]:
    yield told.summary
    for group in told.groups:
        for one in group.measures:
            apart = one.against_rest
            if apart is not None and apart.is_established:
                yield (
                    f"{one.measured.label}, {group.label.lower()} {group.group}: "
                    f"{one.measured.value:.3f}, {apart.scale} {apart.value:.3f} "
                    f"({apart.low:.3f} to {apart.high:.3f})."
                )
    yield from told.notes
