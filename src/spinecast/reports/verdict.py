"""The first screen of a report: what a busy statistician asks, answered in a line or two each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from spinecast.fitting.training import OURS
from spinecast.reports.evidence import Evidence
from spinecast.reports.parts import Answer
from spinecast.reports.performance import differences
from spinecast.reports.sentences import NOT_RUN, simple_in_words
from spinecast.reports.validation import MEASURED
from spinecast.reports.written import told

FIRST = ("auroc", "calibration_slope", "observed_expected", "brier")


def banners(found: Evidence) -> Iterator[str]:
    """What has to be known before any number is read."""
    if found.is_simulated:
        yield "Simulated patients: no number here says anything about real ones."
    if found.standing.is_exploratory:
        yield "Exploratory: there are not patients enough to rely on this model, as said below."


def verdict(found: Evidence, held: Sequence[str]) -> Iterator[Answer]:
    """The questions in the order in which they are asked.

    Args:
        found: all numbers.
        held: how the report stands to each checklist, in words.
    """
    yield Answer("What is it?", tuple(_what(found)), "methods")
    yield Answer("On whom does it rest?", tuple(_whom(found)), "flow")
    yield Answer("How good is it?", tuple(_good(found)), "performance")
    yield Answer("Is a simple model as good?", tuple(_simple(found)), "comparison")
    yield Answer("Are there patients enough?", (found.standing.in_words,), "sample-size")
    yield Answer("Elsewhere, and later?", tuple(_elsewhere(found)), "sites")
    yield Answer("For whom?", (found.groups.summary,), "subgroups")
    yield Answer("Would acting on it do good?", (_decisions(found),), "decisions")
    yield Answer("What is missing?", tuple(_missing(found, held)), "tripod-ai")


def _what(found: Evidence) -> Iterator[str]:
    choices = found.result.choices
    trees = f"plus {choices.rounds} rounds of trees" if choices.rounds else "no trees"
    yield (
        f"{found.described.outcome.in_words} Known of a patient: up to "
        f"{found.described.predictors['number']} factors, all known beforehand."
    )
    yield (
        f"Logistic regression around the literature's odds ratios, trusted by {choices.weight:g}; "
        f"{trees}."
    )


def _whom(found: Evidence) -> Iterator[str]:
    rows, outcome, dates = found.described.flow, found.described.outcome, found.described.dates
    kind = "simulated patients" if found.is_simulated else "patients"
    told_of = f"{outcome.known:,} {kind}, {outcome.events:,} with the outcome"
    share = f" ({outcome.events / outcome.known:.0%})" if outcome.known else ""
    when = (
        f", from {dates['accrual_start']} to {dates['accrual_end']}"
        if dates["accrual_start"]
        else ""
    )
    yield f"{told_of}{share}{when}. {found.described.sites['in_words']}"
    yield (
        f"Of {rows.accepted:,} patients {rows.lost:,} were lost to follow-up; {rows.rejected:,} of "
        f"{rows.rows_read:,} rows were rejected."
    )


def _good(found: Evidence) -> Iterator[str]:
    ours = found.result.performance[OURS]
    numbers = [f"{ours[name].label} {_limits(found, name)}" for name in FIRST]
    ici = found.judged.distances
    numbers.append(f"mean calibration error (ICI) {told(ici.value.ici, ici.low.ici, ici.high.ici)}")
    yield f"{'; '.join(numbers)}. In brackets 95% intervals."
    optimism = found.internal.optimism if found.internal else None
    if optimism:
        corrected = [
            f"{one.label} {told(one.corrected, one.low, one.high)}"
            for one in optimism.measures
            if one.measure in FIRST[:2] and math.isfinite(one.corrected)
        ]
        if corrected:
            refits = f"Corrected for optimism by {optimism.used} bootstrap refits"
            yield f"{refits}: {'; '.join(corrected)}."
    split, apart = found.result.recipe.resampling, found.result.apart
    if apart:
        yield f"Judged on {apart.judged:,} patients set apart by chance; {apart.taught:,} taught."
        return
    yield (
        f"Cross-validated ({split.outer_folds} folds, {split.outer_repeats} repeats), every step "
        "of the method inside each fold; nobody is predicted by a fit that had seen them."
    )


def _limits(found: Evidence, measure: str) -> str:
    one = found.result.performance[OURS][measure]
    return told(one.value, one.low, one.high)


def _simple(found: Evidence) -> Iterator[str]:
    yield simple_in_words(found)
    by = differences(found.result.comparison)
    apart = [
        f"{name} {told(-parts['log_loss'].lead, -parts['log_loss'].high, -parts['log_loss'].low)}"
        for name, parts in by.items()
    ]
    if apart:
        yield f"Log-loss lower by, against: {'; '.join(apart)}."
    rival = found.result.rival
    if rival and rival.is_own_training:
        yield rival.remarks[0]


def _elsewhere(found: Evidence) -> Iterator[str]:
    internal = found.internal
    if internal is None:
        yield NOT_RUN
        return
    if internal.sites and internal.sites.sites:
        areas = [one.performance[MEASURED[0]].value for one in internal.sites.sites]
        known = [one for one in areas if math.isfinite(one)]
        if known:
            yield (
                f"Each of {len(areas)} sites predicted from the others: AUROC {told(min(known))} "
                f"to {told(max(known))}."
            )
    elif internal.sites:
        yield from internal.sites.notes
    if internal.period and internal.period.later:
        later = internal.period.later.performance["auroc"]
        yield (
            f"Patients since {internal.period.since} predicted from those before: AUROC "
            f"{told(later.value, later.low, later.high)}."
        )
    elif internal.period:
        yield from internal.period.notes
    yield "No data from elsewhere were seen: this is not external validation."


def _decisions(found: Evidence) -> str:
    curve = found.judged.to_dict()["decision_curve"]
    if curve is None:
        return "Not asked: no thresholds and no clinical action are declared in study.toml."
    return str(curve["in_words"])


def _missing(found: Evidence, held: Sequence[str]) -> Iterator[str]:
    blanks = len(found.study.blanks())
    if blanks:
        yield f"{blanks} answers that only a person can give (study.toml)."
    if held:
        yield f"{'; '.join(held)}."
