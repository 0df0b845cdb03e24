"""How many patients a model needs to be learned from, or checked on, and whether there are enough.

Each criterion gives a number of patients; the largest decides. All of them are for regression: for
trees they are a floor. They ask for the number of candidate *parameters*, not of factors.

Source: development, Riley 2019, doi:10.1002/sim.7992, and Riley 2020, doi:10.1136/bmj.m441;
validation, Riley 2021, doi:10.1002/sim.9025, and Riley 2024, doi:10.1136/bmj-2023-074821.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spinecast.measures.spread import Spread

Z = 1.96
"""Of a 95% interval, as in the papers and in their software."""
SHRINKAGE = 0.9
"""Predictor effects are to shrink by a tenth at most."""
OPTIMISM = 0.05
"""Apparent and adjusted Nagelkerke R2 are to differ by this at most."""
MARGIN = 0.05
"""The overall risk is to be known within this."""
ERROR = 0.05
"""Risks are to be off by this on average at most. All four targets are those of Riley 2020."""
MOST_PARAMETERS_FOR_ERROR = 30
"""Up to here the formula for the mean absolute error is advised (Riley 2020)."""

Verdict = Literal["enough", "too few", "not judged"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One demand on the number of patients, and the patients it needs; None where it has no say.

    Attributes:
        name: Key in records and tables.
        label: Words for people, with the target.
        needed: Patients.
        note: Why there is no number, where there is none.
    """

    name: str
    label: str
    needed: int | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SampleSize:
    """What a study needs, what it has, and what that means.

    Attributes:
        purpose: Whether a model is learned or checked.
        assumed: What the numbers rest on, by name.
        criteria: Each with the patients it needs.
        patients: Patients there are; None when planning.
    """

    purpose: Literal["development", "validation"]
    assumed: Mapping[str, float]
    criteria: tuple[Criterion, ...]
    patients: int | None = None

    @property
    def decisive(self) -> Criterion:
        """The criterion that needs most."""
        return max(self.criteria, key=lambda criterion: criterion.needed or 0)

    @property
    def needed(self) -> int:
        """Patients that satisfy every criterion."""
        return self.decisive.needed or 0

    @property
    def events_needed(self) -> int:
        """Patients with the outcome expected among those needed."""
        return math.ceil(self.needed * self.assumed["prevalence"])

    @property
    def verdict(self) -> Verdict:
        """Whether there are enough patients."""
        if self.patients is None:
            return "not judged"
        return "enough" if self.patients >= self.needed else "too few"

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        needed = f"{self.needed:,} are needed, most of all for: {self.decisive.label}."
        if self.patients is None:
            return f"Of patients, {needed}"
        if self.verdict == "enough":
            return f"{self.patients:,} patients are enough: {needed}"
        meaning = {
            "development": "The model is exploratory.",
            "validation": "What this validation says of the model is imprecise.",
        }
        return f"{self.patients:,} patients are too few: {needed} {meaning[self.purpose]}"

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, text and numbers, ready for JSON."""
        return {
            "purpose": self.purpose,
            "assumed": dict(self.assumed),
            "criteria": [
                {"name": c.name, "label": c.label, "needed": c.needed, "note": c.note}
                for c in self.criteria
            ],
            "needed": self.needed,
            "events_needed": self.events_needed,
            "patients": self.patients,
            "verdict": self.verdict,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a model is more than exploratory, by the patients there are.

    Attributes:
        is_exploratory: Too few patients to learn from or to judge on, or nobody can say.
        reasons: In words, one for each question; what is enough is said, too.
    """

    is_exploratory: bool
    reasons: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """The verdict and its reasons."""
        verdict = "Exploratory." if self.is_exploratory else "Large enough by Riley's criteria."
        return " ".join([verdict, *self.reasons])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "exploratory": self.is_exploratory,
            "reasons": list(self.reasons),
            "in_words": self.in_words,
        }


def standing(*sizes: SampleSize | None) -> Standing:
    """What the sample sizes of a study make of its model; None is one nobody could work out."""
    told = tuple(_reason(size) for size in sizes if size is not None)
    if not all(sizes):
        told = (*told, "How many would be needed cannot be said: it ranks no better than chance.")
    enough = all(size is not None and size.verdict == "enough" for size in sizes)
    return Standing(not enough, told)


def _reason(size: SampleSize) -> str:
    purpose = {"development": "learn from", "validation": "judge on"}[size.purpose]
    verdict = {"enough": "are enough", "too few": "are too few"}.get(size.verdict, "are not judged")
    if "parameters" in size.assumed:
        purpose += f" ({size.assumed['parameters']:,.0f} parameters)"
    patients = "They" if size.patients is None else f"{size.patients:,} patients"
    return f"{patients} {verdict} to {purpose}: {size.needed:,} are needed."


def for_development(
    *,
    parameters: int,
    prevalence: float,
    r2: float | None = None,
    auroc: float | None = None,
    patients: int | None = None,
) -> SampleSize:
    """How many patients a yes/no model with so many candidate parameters must be learned from.

    Four criteria: predictor effects shrink by a tenth at most; apparent and adjusted Nagelkerke R2
    differ by 0.05 at most; the overall risk is known within 0.05; the mean absolute error of
    risks is 0.05 at most (up to 30 parameters).

    Args:
        parameters: Candidate parameters: each level, spline term and interaction counts.
        prevalence: Expected share of patients with the outcome.
        r2: Cox-Snell R2 expected of the model, cautiously: adjusted or externally validated.
        auroc: AUROC expected of the model, where its R2 is unknown; turned into one.
        patients: Patients there are.

    Raises:
        ValueError: Not exactly one of `r2` and `auroc`, or a number out of range.
    """
    if parameters < 1 or not 0 < prevalence < 1:
        raise ValueError(
            f"parameters == {parameters}, prevalence == {prevalence}; "
            "needed are at least 1 parameter and a prevalence above 0 and below 1."
        )
    if (r2 is None) == (auroc is None):
        raise ValueError("Give either r2 or auroc, not both and not neither.")
    if r2 is None:
        r2 = Spread.from_auroc(auroc or 0.0, prevalence).cox_snell_r2
    largest = largest_r2(prevalence)
    if not 0 < r2 < largest:
        raise ValueError(f"r2 == {r2}, must be above 0 and below {largest:.3f} at this prevalence.")
    kept = r2 / (r2 + OPTIMISM * largest)
    overall = (Z / MARGIN) ** 2 * prevalence * (1 - prevalence)
    criteria = (
        Criterion(
            "shrinkage",
            f"little overfitting (predictor effects shrink by {1 - SHRINKAGE:.0%} at most)",
            _shrinking(parameters, r2, SHRINKAGE),
        ),
        Criterion(
            "optimism",
            f"little optimism (apparent R2 too high by {OPTIMISM:g} at most)",
            _shrinking(parameters, r2, kept),
        ),
        Criterion("overall_risk", f"overall risk known within {MARGIN:g}", math.ceil(overall)),
        _mean_error(parameters, prevalence),
    )
    assumed = {"parameters": float(parameters), "prevalence": prevalence, "cox_snell_r2": r2}
    if auroc is not None:
        assumed["auroc"] = auroc
    return SampleSize("development", assumed, criteria, patients)


def largest_r2(prevalence: float) -> float:
    """The Cox-Snell R2 of perfect foreknowledge: 0.75 where half of the patients have the outcome.

    Source: Nagelkerke 1991, doi:10.1093/biomet/78.3.691.
    """
    share = prevalence
    return -math.expm1(2 * (share * math.log(share) + (1 - share) * math.log1p(-share)))


def _shrinking(parameters: int, r2: float, shrinkage: float) -> int:
    """Patients with whom predictor effects are expected to shrink to this factor."""
    return math.ceil(parameters / ((shrinkage - 1) * math.log1p(-r2 / shrinkage)))


def _mean_error(parameters: int, prevalence: float) -> Criterion:
    """By the rarer class. Source: van Smeden 2019, doi:10.1177/0962280218784726."""
    label = f"risks off by {ERROR:g} on average at most"
    if parameters > MOST_PARAMETERS_FOR_ERROR:
        note = f"The formula holds up to {MOST_PARAMETERS_FOR_ERROR} parameters."
        return Criterion("mean_error", label, None, note)
    rarer = min(prevalence, 1 - prevalence)
    grown = -0.508 + 0.259 * math.log(rarer) + 0.504 * math.log(parameters) - math.log(ERROR)
    return Criterion("mean_error", label, math.ceil(math.exp(grown / 0.544)))
