"""How a model travels: its patients there and at home, what was promised, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.explaining.explanation import Explainer
from spinecast.judging.case_mix import CaseMix, case_mix
from spinecast.judging.drift import FactorDrift, drift
from spinecast.judging.judgement import Judgement
from spinecast.judging.verdict import Range, Seen, Verdict, verdict
from spinecast.measures.evaluation import plain

OURS = "spinecast"
"""Under which name a model folder keeps its own cross-validated performance."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A measure as it was promised at home, of patients unseen, and as it was found there."""

    measure: str
    label: str
    promised: Range
    found: Range


@dataclass(frozen=True, slots=True)
class Transport:
    """How a model travels.

    Attributes:
        case_mix: whether patients there are like those at home.
        factors: how far each factor drifted.
        promises: every measure beside what was promised at home; none where not kept.
        verdict: what it comes to.
    """

    case_mix: CaseMix
    factors: tuple[FactorDrift, ...]
    promises: tuple[Promise, ...]
    verdict: Verdict

    @property
    def drifted(self) -> tuple[FactorDrift, ...]:
        """The factors that differ, the farthest first."""
        found = [one for one in self.factors if one.drifted]
        return tuple(sorted(found, key=lambda one: -one.difference))

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; None for what could not be computed."""
        told = {
            "verdict": self.verdict.to_dict(),
            "case_mix": self.case_mix.to_dict(),
            "promises": [asdict(promise) for promise in self.promises],
            "drift": [factor.to_dict() for factor in self.factors],
        }
        return {key: plain(value) for key, value in told.items()}


def transport(
    explainer: Explainer,
    training: Mapping[str, Any],
    labelled: LabelledCohort,
    judgement: Judgement,
    *,
    own_patients: bool,
) -> Transport:
    """Compare the patients of a cohort, and how a model did for them, with home.

    Args:
        explainer: the model, with what its cohort was like.
        training: how it was made, from its folder.
        labelled: the cohort; patients whose outcome is not known are left out, as they were at
            home.
        judgement: the model's risks held against their outcomes.
        own_patients: whether these are the very patients it learned from.
    """
    codes = labelled.cohort.codes[~np.isnan(labelled.labels.failed)]
    promises = tuple(_promises(training, judgement))
    promised = {promise.measure: promise.promised for promise in promises}
    events = judgement.performance.events
    seen = Seen(
        own_patients,
        events,
        judgement.performance.patients - events,
        _found(judgement, "auroc"),
        promised.get("auroc"),
        _found(judgement, "observed_expected"),
        _found(judgement, "calibration_slope"),
    )
    return Transport(
        case_mix(explainer.model, explainer.facts, codes),
        drift(explainer.model, codes, training.get("unknown", {})),
        promises,
        verdict(seen),
    )


def _promises(training: Mapping[str, Any], judgement: Judgement) -> Iterator[Promise]:
    for row in training.get("performance", {}).get(OURS, []):
        limits = [row[part] for part in ("value", "low", "high")]
        promised = Range(*(math.nan if limit is None else float(limit) for limit in limits))
        yield Promise(row["measure"], row["label"], promised, _found(judgement, row["measure"]))


def _found(judgement: Judgement, measure: str) -> Range:
    """A measure with its interval: DeLong's for the AUROC, as everywhere."""
    told = judgement.auroc if measure == "auroc" else judgement.performance[measure]
    return Range(told.value, told.low, told.high)
