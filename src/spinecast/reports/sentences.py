"""What a report says in so many words, on its page and in its files alike.

Sentences that never change stand first; the others are made of the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from spinecast.fitting.baselines import SIMPLE
from spinecast.fitting.training import OURS
from spinecast.reports.evidence import Evidence, declared
from spinecast.reports.written import listed, told

NOT_DECLARED = (
    "Whether acting on the risks does good was not asked: no thresholds and no action are declared "
    "in study.toml."
)
NOT_RUN = (
    "Not run: optimism, other sites, a later period and the learning curve take long, and are "
    "computed with --proof only."
)
UNALTERED = "Not applicable: patients were neither drawn nor weighted by their outcome."
STEPS = (
    "the choice of how far to trust the literature",
    "the widths of the priors",
    "the number of trees, or none",
    "the population that fills in unknown answers",
    "all coefficients",
    "recalibration",
)
POLICY = (
    "Unknown is never read as no. No patient is left out for an unknown answer: at learning and in "
    "use alike, a Gaussian copula of the factors gives what is expected of it, and the interval of "
    "a risk is wider for it. Patients whose outcome is unknown are not learned from."
)
UPDATING = "Not applicable: nothing of the model was changed after it had been evaluated."
SHIFT = (
    "Not applicable: the model was developed and judged on patients of one cohort, by resampling "
    "or on some set apart by chance; there are no others to differ from them."
)
SELECTION = (
    "All {factors} factors of the registry enter the model; none was chosen, or left out, by "
    "looking at these patients."
)
PAIRED = (
    "Paired differences on {alike}; {level:.0%} intervals by the bootstrap over "
    "patients, the fits taken as they are. Judged by log-loss, which rewards honest risks."
)
SITES = (
    "Each site is predicted by a model that learned at all the others; measures are pooled over "
    "sites by random effects (REML, Hartung-Knapp), with a prediction interval for another site."
)
VERDICTS = ("better", "not established", "worse")


def performance_in_words(found: Evidence) -> Iterator[str]:
    """The performance of the model on patients that its fits had not seen."""
    ours = found.result.performance[OURS]
    yield f"{ours.patients:,} patients, {ours.events:,} with the outcome, each predicted unseen."
    for measure in ("auroc", "calibration_slope", "observed_expected"):
        one = ours[measure]
        yield f"{one.label} {told(one.value, one.low, one.high)}."
    yield from ours.notes


def simple_in_words(found: Evidence) -> str:
    """Whether a model that a person could work out by hand is as good."""
    rivals = [one for one in found.result.comparison.differences if one.measure == "log_loss"]
    rivals = [one for one in rivals if one.model in SIMPLE]
    if not rivals:
        return "Not known: the experiment names no simple model to compare with."
    by = {name: [one.model for one in rivals if one.verdict == name] for name in VERDICTS}
    parts = []
    if by["better"]:
        parts.append(f"A simple model is better: {listed(by['better'])}.")
    if by["not established"]:
        parts.append(
            f"A simple model may be as good: no difference from {listed(by['not established'])} "
            "is established."
        )
    if by["worse"]:
        start = "Less good" if parts else "No, every simple model is less good"
        parts.append(f"{start}: {listed(by['worse'])}.")
    return " ".join(parts)


def limitations(found: Evidence) -> Iterator[str]:
    """What the program itself knows to speak against the model, or to be missing."""
    result, rows = found.result, found.described.flow
    if found.is_simulated:
        yield "The patients are simulated: no number says anything about real ones."
    if found.standing.is_exploratory:
        yield found.standing.in_words
    yield "Judged on the patients it was developed with; nobody else's patients were seen."
    if not found.internal:
        yield NOT_RUN
    if rows.lost:
        yield (
            f"The outcome of {rows.lost:,} of {rows.accepted:,} patients is not known; they are "
            "left out."
        )
    if declared(found.study) is None:
        yield NOT_DECLARED
    # Both are of the same patients, so they say some things alike.
    yield from dict.fromkeys((*result.performance[OURS].notes, *found.judged.notes))


def scheme_in_words(found: Evidence) -> str:
    """How patients were split, outside and inside the fits."""
    split, apart = found.result.recipe.resampling, found.result.apart
    if apart is not None:
        return (
            f"From {apart.threshold:,} patients on, patients are set apart in place of "
            f"cross-validation: {apart.judged:,} to judge, {apart.tuned:,} to choose the number of "
            f"trees and recalibrate; {apart.taught:,} taught. Chance by the patient's id, seed "
            f"{found.result.recipe.seed}. The model judged is the model kept. Weight and scale of "
            f"the literature were chosen by {split.inner_folds}-fold cross-validation on "
            f"{apart.sampled:,} of those who taught; the baselines learned from the same "
            f"{apart.sampled:,}, and were judged on the same {apart.judged:,} patients."
        )
    return (
        f"{split.outer_folds}-fold cross-validation of the whole method, {split.outer_repeats} "
        f"repeats, folds alike in outcome; in each fit, {split.inner_folds}-fold cross-validation "
        f"({split.inner_repeats} repeats) chooses. Whole patients are split, seed "
        f"{found.result.recipe.seed}."
    )


def inside_in_words(found: Evidence) -> str:
    """Which steps saw none of the patients that judge."""
    where = "Learned without the patients who judge" if found.result.apart else "Inside each fit"
    return f"{where}: {', '.join(STEPS)}."


def alike(found: Evidence) -> str:
    """What the methods that are compared have in common."""
    return "the same patients" if found.result.apart else "the same patients and the same folds"


def one_risk(found: Evidence) -> str:
    """Which risk stands for a patient where one is needed."""
    if found.result.apart:
        return "Each patient's risk is that of the model; none of them taught it."
    return "Each patient's risk is that of the first repeat of the cross-validation."


def unseen_in_words(found: Evidence) -> str:
    """What a risk in a figure or a table is of."""
    if found.result.apart:
        return "Risks of patients set apart, whom no fit had seen. "
    return "Risks from cross-validation, each patient predicted unseen. "


def internal_in_words(found: Evidence) -> Iterator[str]:
    """What internal validation said, or that it was not run."""
    yield from performance_in_words(found)
    internal = found.internal
    if internal is None:
        yield NOT_RUN
        return
    if internal.optimism:
        for one in internal.optimism.measures:
            if one.measure in ("auroc", "calibration_slope") and math.isfinite(one.corrected):
                number = told(one.corrected, one.low, one.high)
                yield f"Corrected for optimism by the bootstrap, {one.label} {number}."
    yield from internal.notes
