"""What is known of a candidate before it may be used: figures on a cohort, and the model in use.

Where the cohort is other patients, both models are held against the same rows. Where it is the
candidate's own training file, only what cross-validation said when it was trained counts: its risks
for those patients flatter it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from spinecast.cohorts.labelled import LabelledCohort, read_labelled
from spinecast.errors import SpinecastError
from spinecast.explaining.scoring import Scorer
from spinecast.judging.judgement import judge
from spinecast.judging.subgroups import Subgroups, subgroups
from spinecast.judging.transport import OURS
from spinecast.measures.delong import auroc_difference
from spinecast.site.reconciling import read_site

FloatArray = npt.NDArray[np.float64]
Kind = Literal["other patients", "cross-validation"]

LEVEL = 0.95
JUDGED = ("calibration_slope", "observed_expected")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and its interval; NaN for what could not be computed."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Rival:
    """The model in use beside the candidate.

    Attributes:
        model: its id; "" where none is in use.
        risk: what it says of the candidate's patients, (n,); NaN where it cannot say.
        trouble: why it says nothing; "" when it does, or when none is in use.
        own_patients: whether it was trained on this very file, which favours it.
    """

    model: str = ""
    risk: FloatArray | None = None
    trouble: str = ""
    own_patients: bool = False


@dataclass(frozen=True, eq=False)
class Dossier:
    """All that is known of a candidate.

    Attributes:
        scorer: the candidate.
        labelled: the cohort.
        kind: whether the figures come from other patients or from the training's cross-validation.
        simulated: whether the patients, or the candidate's own, were simulated.
        patients: how many the figures rest on: outcome known.
        events: those of them who had the outcome.
        figures: calibration slope, O:E and AUROC by their names in `metrics`; what is missing
            could not be known.
        outcome: of the patients, (n,); NaN unknown.
        risk: what the candidate says of them, (n,).
        rival: the model in use.
    """

    scorer: Scorer
    labelled: LabelledCohort
    kind: Kind
    simulated: bool
    patients: int
    events: int
    figures: Mapping[str, Figure]
    outcome: FloatArray
    risk: FloatArray
    rival: Rival

    @cached_property
    def groups(self) -> Subgroups:
        """How good the candidate is in each group of patients."""
        return subgroups(self.labelled.cohort, self.outcome, self.risk)

    @cached_property
    def auroc_lead(self) -> Figure:
        """AUROC of the candidate less that of the model in use, by DeLong on the same patients."""
        outcome, risk, rival = self._shared()
        if not len(outcome):
            return Figure(math.nan)
        found = auroc_difference(outcome, risk, rival, level=LEVEL)
        return Figure(found.value, found.low, found.high)

    def gain_over_treat_all(self, threshold: float) -> Figure:
        """Net benefit per patient above that of acting on everyone."""
        known = ~np.isnan(self.outcome)
        return net_benefit_gain(self.outcome[known], self.risk[known], None, threshold)

    def gain_over_in_use(self, threshold: float) -> Figure:
        """Net benefit per patient above that of acting on the risks of the model in use."""
        return net_benefit_gain(*self._shared(), threshold)

    def _shared(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Outcomes and both risks of the patients of whom all three are known."""
        if self.rival.risk is None:
            return np.empty(0), np.empty(0), np.empty(0)
        known = ~(np.isnan(self.outcome) | np.isnan(self.rival.risk))
        return self.outcome[known], self.risk[known], self.rival.risk[known]


def net_benefit_gain(
    outcome: FloatArray, risk: FloatArray, rival: FloatArray | None, threshold: float
) -> Figure:
    """Net benefit of acting on a risk less that of acting on a rival's, or on everyone (None).

    Net benefit is a mean over patients: 1 for one rightly acted on, minus the odds of the threshold
    for one needlessly, 0 for the others. So the difference is a mean of paired differences, and its
    interval that of a mean.

    Args:
        outcome: 1 had the outcome, 0 had not; shape (patients,), as are the risks.
        risk: predicted by the one.
        rival: predicted by the other.
        threshold: the risk from which a patient is acted on, between 0 and 1.
    """
    if not len(outcome):
        return Figure(math.nan)
    odds = threshold / (1 - threshold)
    acted = (risk >= threshold).astype(np.float64)
    others = np.ones_like(acted) if rival is None else (rival >= threshold).astype(np.float64)
    apart = (acted - others) * np.where(outcome == 1, 1.0, -odds)
    value = float(apart.mean())
    if len(apart) < 2:
        return Figure(value)
    reach = NormalDist().inv_cdf(0.5 + LEVEL / 2) * float(apart.std(ddof=1)) / math.sqrt(len(apart))
    return Figure(value, value - reach, value + reach)


def gather(
    candidate: Scorer,
    cohort: Path,
    in_use: Scorer | SpinecastError | None,
    site_file: Path | None = None,
) -> Dossier:
    """Hold a candidate, and the model in use, against a cohort.

    Args:
        candidate: the model that may be promoted.
        cohort: a file of patients whose outcomes are known.
        in_use: the model in use, or why it cannot be read; None when there is none.
        site_file: the hospital's mapping of its own columns; None where the columns are ours.

    Raises:
        UsageRefused: there is no such file.
        DataRefused: it is not a cohort, or nobody's outcome is known.
    """
    training = candidate.bundle.training
    labelled = _read(cohort, candidate, training["outcome"], site_file)
    own = candidate.bundle.that_learned_from(labelled.facts.contents) is not None
    facts = candidate.explainer.facts
    outcome, risk = labelled.labels.failed, _risks(candidate, labelled)
    return Dossier(
        scorer=candidate,
        labelled=labelled,
        kind="cross-validation" if own else "other patients",
        simulated=labelled.cohort.has_simulated or facts.trained_on == "simulated",
        patients=facts.patients if own else labelled.labels.known,
        events=facts.events if own else labelled.labels.failures,
        figures=_promised(training) if own else _found(outcome, risk),
        outcome=outcome,
        risk=risk,
        rival=_rival(in_use, candidate, labelled, cohort, site_file),
    )


def _risks(scorer: Scorer, labelled: LabelledCohort) -> FloatArray:
    model = scorer.explainer.model
    return np.asarray(expit(model.margin(model.rows(labelled.cohort.codes))))


def _found(outcome: FloatArray, risk: FloatArray) -> dict[str, Figure]:
    told = judge(outcome, risk, level=LEVEL)
    estimates = [told.performance[name] for name in JUDGED]
    figures = {e.measure: Figure(e.value, e.low, e.high) for e in estimates}
    return figures | {"auroc": Figure(told.auroc.value, told.auroc.low, told.auroc.high)}


def _promised(training: Mapping[str, Any]) -> dict[str, Figure]:
    """What cross-validation said when the model was trained."""
    told = training.get("performance", {}).get(OURS, [])
    return {
        row["measure"]: Figure(*(_number(row[part]) for part in ("value", "low", "high")))
        for row in told
        if row["measure"] in (*JUDGED, "auroc")
    }


def _read(cohort: Path, model: Scorer, outcome: str, site_file: Path | None) -> LabelledCohort:
    site = read_site(site_file, model.registry) if site_file else None
    return read_labelled(cohort, model.registry, outcome, site)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _rival(
    in_use: Scorer | SpinecastError | None,
    candidate: Scorer,
    labelled: LabelledCohort,
    cohort: Path,
    site_file: Path | None,
) -> Rival:
    """What the model in use says of the same patients, found by their ids."""
    if in_use is None:
        return Rival()
    if isinstance(in_use, SpinecastError):
        return Rival("?", trouble=f"the model in use cannot be read: {in_use.summary.lower()}")
    name, training = in_use.explainer.identity.id, in_use.bundle.training
    outcome = candidate.bundle.training["outcome"]
    if training["outcome"] != outcome:
        other = f"the model in use foretells {training['outcome']}, the candidate {outcome}"
        return Rival(name, trouble=other)
    try:
        theirs = _read(cohort, in_use, outcome, site_file)
    except SpinecastError as refused:
        told = refused.summary.lower()
        return Rival(name, trouble=f"the model in use cannot read this cohort: {told}")
    said = dict(zip(theirs.cohort.patient_id, _risks(in_use, theirs), strict=True))
    risk = np.array([said.get(patient, math.nan) for patient in labelled.cohort.patient_id])
    own = in_use.bundle.that_learned_from(labelled.facts.contents) is not None
    return Rival(name, risk, own_patients=own)
