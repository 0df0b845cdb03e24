"""What a cohort is like, for readers of a report: where from, who, what is missing, who was lost.

Nothing here points at a patient: counts of one to four are kept back, and dates are months. The
bookkeeping of the file itself (rows read, rejected, repeated, outside the window) is exact.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.cohorts.cohort import Cohort
from spinecast.cohorts.labelled import LabelledCohort
from spinecast.cohorts.outcome import DAYS_A_MONTH, FOLLOWUP_DATE, in_words
from spinecast.disclosure import FEWEST
from spinecast.judging.characteristics import METHOD, Characteristic, characteristics
from spinecast.judging.flow import Flow, flow
from spinecast.knowledge.factors import BEFORE_SURGERY, Registry
from spinecast.measures.evaluation import plain

SAMPLED = (
    "Outcomes are known of few, so patients with one are told beside the column of all, which is "
    "of {patients:,} patients drawn whatever became of them."
)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """When patients were seen again, in months after the operation."""

    patients: int
    low: float
    median: float
    high: float
    in_words: str


@dataclass(frozen=True, slots=True)
class OutcomeDescription:
    """What counted as the outcome, and how often it occurred.

    Attributes:
        name: Of the definition in the registry.
        definition: Its title and its rule.
        horizon: When it is judged.
        in_words: What a patient has who failed.
        known: Patients whose outcome is known.
        events: Those of them who had it.
        followup: Months to follow-up; None when no date is known, or too few.
        outside_window: Patients seen too early or too late; their scores do not count.
    """

    name: str
    definition: str
    horizon: str
    in_words: str
    known: int
    events: int
    followup: FollowUp | None
    outside_window: int


@dataclass(frozen=True, slots=True)
class Description:
    """What a cohort is like.

    Attributes:
        source: The file's name and SHA-256, and whether the patients are simulated.
        flow: From rows to patients with an outcome.
        characteristics: Every factor by outcome.
        characteristics_method: How to read them.
        missing: For each factor the share of accepted patients in whom it is unknown; None where
            that count is kept back.
        dates: First and last operation and last follow-up, by month; None when not known.
        outcome: What counted, and how often it occurred.
        predictors: How many, of what kind, and whether all are known before the decision.
        sites: How many the file names.
        in_words: The whole in a few sentences.
    """

    source: Mapping[str, Any]
    flow: Flow
    characteristics: tuple[Characteristic, ...]
    characteristics_method: str
    missing: Mapping[str, float | None]
    dates: Mapping[str, str | None]
    outcome: OutcomeDescription
    predictors: Mapping[str, Any]
    sites: Mapping[str, Any]
    in_words: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {name: plain(value) for name, value in asdict(self).items()}


def describe(found: LabelledCohort) -> Description:
    """Describe the accepted patients of a file, and what became of the other rows."""
    cohort = found.cohort
    registry = cohort.registry
    source = {
        "name": found.name,
        "sha256": cohort.fingerprint,
        "kind": "simulated" if cohort.has_simulated else "patients",
        "registry": registry.id,
    }
    rows, dates, outcome = flow(found), _dates(cohort), _outcome(found)
    factors, method = _characteristics(found)
    return Description(
        source=source,
        flow=rows,
        characteristics=factors,
        characteristics_method=method,
        missing={one.factor: one.unknown["all"].share for one in factors},
        dates=dates,
        outcome=outcome,
        predictors=_predictors(registry),
        sites=_sites(cohort),
        in_words=" ".join(_in_words(cohort, rows, dates, outcome)),
    )


def _characteristics(found: LabelledCohort) -> tuple[tuple[Characteristic, ...], str]:
    """Every factor by outcome, and how to read that.

    Where outcomes are seldom known, patients with one are more frequent here than in the cohort;
    then the column of all is told of those who stand for it.
    """
    by_outcome, whole = _factors(found), found.representative
    if whole is found:
        return by_outcome, METHOD
    pairs = zip(by_outcome, _factors(whole), strict=True)
    method = f"{METHOD} {SAMPLED.format(patients=len(whole.cohort))}"
    return tuple(one.with_all_of(other) for one, other in pairs), method


def _factors(found: LabelledCohort) -> tuple[Characteristic, ...]:
    cohort = found.cohort
    return characteristics(cohort.registry, cohort.codes, found.labels.failed)


def _dates(cohort: Cohort) -> dict[str, str | None]:
    operated = cohort.index_date.astype("datetime64[D]").astype(np.float64)
    operated[np.isnat(cohort.index_date)] = np.nan
    followed = cohort.outcome.get(FOLLOWUP_DATE, np.full(len(cohort), math.nan))
    first, last = _ends(operated)
    return {"accrual_start": first, "accrual_end": last, "followup_end": _ends(followed)[1]}


def _ends(days: npt.NDArray[np.float64]) -> tuple[str | None, str | None]:
    """The months of the first and the last day."""
    known = days[~np.isnan(days)]
    if len(known) < FEWEST:
        return None, None
    ends = np.array([known.min(), known.max()]).astype(np.int64).astype("datetime64[D]")
    first, last = (str(month) for month in ends.astype("datetime64[M]"))
    return first, last


def _outcome(found: LabelledCohort) -> OutcomeDescription:
    cohort, labels = found.cohort, found.labels
    spec = cohort.registry.outcome
    chosen = spec.definitions[labels.definition]
    return OutcomeDescription(
        name=labels.definition,
        definition=f"{chosen.title} ({chosen.failure}).",
        horizon=spec.horizon,
        in_words=_sentence(
            f"predicted is the risk of {in_words(cohort.registry, labels.definition)}"
        ),
        known=labels.known,
        events=labels.failures,
        followup=_followup(cohort, labels.is_known),
        outside_window=found.followed.outside_window,
    )


def _followup(cohort: Cohort, is_known: npt.NDArray[np.bool_]) -> FollowUp | None:
    columns = cohort.columns()
    if FOLLOWUP_DATE not in columns:
        return None
    months = (columns[FOLLOWUP_DATE] - columns["index_date"])[is_known] / DAYS_A_MONTH
    months = months[~np.isnan(months)]
    if len(months) < FEWEST:
        return None
    low, median, high = (float(q) for q in np.quantile(months, (0.25, 0.5, 0.75)))
    told = f"median {median:.1f} months later (quartiles {low:.1f} and {high:.1f})"
    return FollowUp(len(months), low, median, high, told)


def _sites(cohort: Cohort) -> dict[str, Any]:
    number = len({str(site) for site in cohort.site if site})
    told = {0: "The file names no site", 1: "All patients come from one site"}
    return {"number": number, "in_words": f"{told.get(number, f'The file names {number} sites')}."}


def _predictors(registry: Registry) -> dict[str, Any]:
    known = all(factor.known_at in BEFORE_SURGERY for factor in registry.factors)
    kinds = Counter(factor.kind for factor in registry.factors)
    told = ", ".join(f"{count} {_KINDS[kind]}" for kind, count in kinds.most_common())
    when = "all known beforehand" if known else "not all known beforehand"
    return {
        "known_before": known,
        "number": len(registry.factors),
        "in_words": f"In: {len(registry.factors)} factors ({told}), {when}; any may be unknown. "
        "Out: a risk from 0 to 1 with its interval and the contribution of each factor.",
    }


_KINDS = {
    "binary": "yes/no",
    "ordinal": "in ordered levels",
    "nominal": "in unordered levels",
    "count": "counts",
    "continuous": "measured numbers",
}


def _in_words(
    cohort: Cohort, rows: Flow, dates: Mapping[str, str | None], outcome: OutcomeDescription
) -> Iterator[str]:
    kind = "simulated patients" if cohort.has_simulated else "patients"
    yield f"{rows.rows_read:,} rows, {rows.rejected:,} rejected; {rows.accepted:,} {kind}."
    if dates["accrual_start"]:
        yield f"Patients from {dates['accrual_start']} to {dates['accrual_end']}."
    share = f" ({outcome.events / outcome.known:.0%})" if outcome.known else ""
    yield f"{outcome.events:,} of {outcome.known:,} whose outcome is known had it{share}."
    yield rows.in_words
    if outcome.followup is not None:
        yield _sentence(f"follow-up was at a {outcome.followup.in_words}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
