"""A gate held against what is known of a candidate: every bound, what was asked, what was found."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spinecast.measures.metrics import MEASURES
from spinecast.promotion.dossier import Dossier, Figure
from spinecast.promotion.gate import Bound, Gate, GateFile, GroupBound
from spinecast.promotion.golden import GoldenPatient
from spinecast.promotion.laws import additivity, directions

Verdict = Literal["held", "failed", "not evaluated", "does not apply"]

LABELS = {measure.name: measure.label for measure in MEASURES}
OWN = "of the training's own patients only cross-validated slope, O:E and AUROC are kept"
NO_RIVAL = "no model is in use yet"
FAVOURED = "the model in use was trained on these patients, which favours it"


@dataclass(frozen=True, slots=True)
class Finding:
    """One bound: what was asked and found, and by how much it fell short.

    Attributes:
        bound: its name, for people.
        verdict: a bound that could not be evaluated refuses as one that failed does; one that does
            not apply refuses nothing.
        asked: in words.
        found: in words; why, where it could not be evaluated.
        short_by: how far it missed, "" unless it failed.
        note: what a reader must know beside it.
    """

    bound: str
    verdict: Verdict
    asked: str
    found: str
    short_by: str = ""
    note: str = ""

    @property
    def refuses(self) -> bool:
        """Whether it stands against a promotion."""
        return self.verdict in ("failed", "not evaluated")

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ruling:
    """Every bound of a gate, in the order of the gate."""

    findings: tuple[Finding, ...]

    @property
    def refusing(self) -> tuple[Finding, ...]:
        """The bounds that stand against a promotion."""
        return tuple(finding for finding in self.findings if finding.refuses)

    @property
    def holds(self) -> bool:
        """Whether the candidate may be used."""
        return not self.refusing


def rule(gate: GateFile, dossier: Dossier) -> Ruling:
    """Hold every bound of a gate against what is known of a candidate."""
    asked = gate.gate
    return Ruling(
        (
            *_permitted(asked, dossier),
            *_sizes(asked, dossier),
            *_figures(asked, dossier),
            *_against_in_use(asked, dossier),
            *_net_benefit(asked, dossier),
            *_groups(asked, dossier),
            *_laws(asked, dossier),
            *(_golden(patient, dossier) for patient in gate.golden),
        )
    )


def shortfall(bound: Bound, figure: Figure) -> float:
    """By how much a figure misses a bound; 0 or less where it holds, NaN where nobody can say.

    An estimate counts as part of its interval, wherever a bootstrap has put the limits. So whoever
    asks less (wider limits, or of less than the whole interval) never refuses what passed before.
    """
    low, high = min(figure.low, figure.value), max(figure.high, figure.value)
    lowest, highest = {
        "estimate": (figure.value, figure.value),
        "whole interval": (low, high),
        "any of the interval": (high, low),
    }[bound.asked_of]
    if bound.asked_of != "estimate" and (math.isnan(figure.low) or math.isnan(figure.high)):
        return math.nan
    below = -math.inf if bound.at_least is None else bound.at_least - lowest
    above = -math.inf if bound.at_most is None else highest - bound.at_most
    return math.nan if math.isnan(figure.value) else max(below, above)


def judged(
    name: str, bound: Bound, figure: Figure | None, why: str = "", note: str = ""
) -> Finding:
    """The finding of one bound on one figure; None for one that is not known, with the reason."""
    asked = in_words(bound)
    if figure is None:
        return Finding(name, "not evaluated", asked, why, note=note)
    short = shortfall(bound, figure)
    if math.isnan(short):
        known = "it has no interval" if math.isfinite(figure.value) else "it could not be computed"
        return Finding(name, "not evaluated", asked, known, note=note)
    if short <= 0:
        return Finding(name, "held", asked, _told(figure), note=note)
    return Finding(name, "failed", asked, _told(figure), f"{short:.3g}", note)


def in_words(bound: Bound) -> str:
    """What a bound asks, in words."""
    limits = ((bound.at_least, "at least"), (bound.at_most, "at most"))
    told = ", ".join(f"{words} {limit:g}" for limit, words in limits if limit is not None)
    return told if bound.asked_of == "estimate" else f"{told} of {_ASKED_OF[bound.asked_of]}"


_ASKED_OF = {
    "whole interval": "the whole interval",
    "any of the interval": "any of the interval",
}


def _told(figure: Figure) -> str:
    if math.isnan(figure.low) or math.isnan(figure.high):
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


# --- the bounds -----------------------------------------------------------------------------------


def _permitted(gate: Gate, dossier: Dossier) -> Iterator[Finding]:
    name, asked = "Evidence: whose patients", "other patients than the training's own"
    if dossier.kind == "other patients":
        yield Finding(name, "held", asked, "other patients")
    elif gate.evidence.own_patients:
        found = "the training's own, by cross-validation"
        yield Finding(name, "held", "the training's own are permitted", found)
    else:
        yield Finding(name, "failed", asked, "the file it was trained on", "all of it")
    name, asked = "Evidence: real patients", "patients and a model that are not simulated"
    if not dossier.simulated:
        yield Finding(name, "held", asked, "not simulated")
    elif gate.evidence.simulated:
        yield Finding(name, "held", "simulated ones are permitted", "simulated")
    else:
        yield Finding(name, "failed", asked, "simulated", "all of it")


def _sizes(gate: Gate, dossier: Dossier) -> Iterator[Finding]:
    if gate.sample_size is None:
        return
    kinds = (
        ("Sample size: patients", gate.sample_size.patients, dossier.patients),
        ("Sample size: events", gate.sample_size.events, dossier.events),
    )
    for name, asked, found in kinds:
        if asked is not None:
            short = asked - found
            yield Finding(
                name,
                "held" if short <= 0 else "failed",
                f"at least {asked:,}",
                f"{found:,}",
                f"{short:,}" if short > 0 else "",
            )


def _figures(gate: Gate, dossier: Dossier) -> Iterator[Finding]:
    bounds = {
        "calibration_slope": gate.calibration_slope,
        "observed_expected": gate.observed_expected,
        "auroc": gate.auroc,
    }
    for name, bound in bounds.items():
        if bound is not None:
            why = "the model folder does not keep it"
            yield judged(LABELS[name], bound, dossier.figures.get(name), why)


def _against_in_use(gate: Gate, dossier: Dossier) -> Iterator[Finding]:
    if gate.auroc_over_in_use is not None:
        name = "AUROC over the model in use"
        yield _beside_rival(name, gate.auroc_over_in_use, dossier)


def _beside_rival(
    name: str, bound: Bound, dossier: Dossier, threshold: float | None = None
) -> Finding:
    """A bound on the candidate against the model in use: its AUROC, or net benefit at a threshold.

    Where no model is in use there is nothing to be worse than.
    """
    rival = dossier.rival
    if not rival.model:
        return Finding(name, "does not apply", in_words(bound), NO_RIVAL)
    if rival.trouble or dossier.kind == "cross-validation":
        return judged(name, bound, None, rival.trouble or OWN)
    figure = dossier.auroc_lead if threshold is None else dossier.gain_over_in_use(threshold)
    return judged(name, bound, figure, note=FAVOURED if rival.own_patients else "")


def _net_benefit(gate: Gate, dossier: Dossier) -> Iterator[Finding]:
    if gate.net_benefit is None:
        return
    own = dossier.kind == "cross-validation"
    for threshold in gate.net_benefit.thresholds:
        at = f"at {100 * threshold:g}%"
        if (bound := gate.net_benefit.over_treat_all) is not None:
            name = f"Net benefit over acting on all, {at}"
            figure = None if own else dossier.gain_over_treat_all(threshold)
            yield judged(name, bound, figure, OWN)
        if (bound := gate.net_benefit.over_in_use) is not None:
            name = f"Net benefit over the model in use, {at}"
            yield _beside_rival(name, bound, dossier, threshold)


def _groups(gate: Gate, dossier: Dossier) -> Iterator[Finding]:
    for bound in gate.subgroups:
        head = f"{LABELS[bound.measure]} by {bound.by}"
        if dossier.kind == "cross-validation":
            yield judged(head, bound, None, OWN)
        else:
            yield from _grouped(head, bound, dossier)


def _grouped(head: str, bound: GroupBound, dossier: Dossier) -> Iterator[Finding]:
    groups = [group for group in dossier.groups.groups if group.by == bound.by]
    judged_groups = [group for group in groups if not group.suppressed]
    for group in judged_groups:
        measured = group[bound.measure].measured
        figure = Figure(measured.value, measured.low, measured.high)
        yield judged(f"{head}, {group.group}", bound, figure)
    for group in groups:
        if group.suppressed:
            found = f"not judged: {group.suppressed}"
            yield Finding(f"{head}, {group.group}", "does not apply", in_words(bound), found)
    if not judged_groups:
        why = "every group is too small" if groups else _ungrouped(bound.by, dossier)
        yield judged(head, bound, None, why)


def _ungrouped(by: str, dossier: Dossier) -> str:
    """Why there are no such groups."""
    registry = dossier.labelled.cohort.registry
    if by in registry.by_name and by not in registry.subgroups:
        return f"{by!r} is not among the `subgroups` of registry.toml"
    known = sorted({group.by for group in dossier.groups.groups})
    if not known:
        return "this cohort cannot be grouped"
    return f"this cohort can be grouped by {', '.join(known)}"


def _laws(gate: Gate, dossier: Dossier) -> Iterator[Finding]:
    laws, explainer = gate.explanation_laws, dossier.scorer.explainer
    codes = dossier.labelled.cohort.codes
    if laws is not None and laws.additivity is not None:
        name, asked = "Explanations add up", f"to {laws.additivity:g}"
        sums = additivity(explainer, codes)
        worst = max(sums.log_odds, sums.risk)
        found = f"within {worst:.1g} for {sums.patients:,} patients"
        missed = worst - laws.additivity
        if missed <= 0:
            yield Finding(name, "held", asked, found)
        else:
            yield Finding(name, "failed", asked, found, f"{missed:.1g}")
    if laws is not None and laws.directions:
        name, asked = "Declared directions", "never moved against"
        told = directions(explainer.model, codes)
        found = f"{told.factors} factors, {told.patients:,} patients"
        if not told.factor:
            yield Finding(name, "held", asked, found)
        else:
            against = f"{told.against:.3g} in log-odds"
            yield Finding(name, "failed", asked, f"{told.factor} does, of {found}", against)


def _golden(patient: GoldenPatient, dossier: Dossier) -> Finding:
    name = f"Golden patient {patient.name}"
    bound = Bound(at_least=patient.at_least, at_most=patient.at_most)
    assessment = dossier.scorer.assess(patient.answers)
    if assessment.risk is None:
        # Not the messages: they quote answers, and findings go into the history.
        why = ", ".join(f"{reason.code} {reason.factor}".strip() for reason in assessment.reasons)
        return judged(name, bound, None, f"the patient cannot be scored: {why}")
    return judged(name, bound, Figure(assessment.risk))
