"""The numbers behind a report: one JSON document for each question that the checklists put.

Whatever was not done stays null and is said in words beside it; nothing is filled in. Subgroups
and decision curves rest on one risk for each patient, from the first repeat of the
cross-validation: an average of repeats would be a better model than the one that is reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spinecast.fitting.effects import FactorEffect, Importance, effects, importance
from spinecast.fitting.internal import InternalValidation
from spinecast.fitting.training import OURS, TrainingResult
from spinecast.judging.description import Description, describe
from spinecast.judging.judgement import Judgement, Thresholds, judge
from spinecast.judging.subgroups import Subgroups, subgroups
from spinecast.measures.evaluation import plain
from spinecast.measures.logistic import Vector
from spinecast.measures.sample_size import SampleSize, for_development
from spinecast.measures.spread import Spread
from spinecast.measures.validation_size import for_validation
from spinecast.patients.labelled import LabelledCohort
from spinecast.reports.study import Study

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
    "Not applicable: the model was developed and judged on the same patients, by resampling; there "
    "are no others to differ from them."
)
FIRST_REPEAT = "Each patient's risk is that of the first repeat of the cross-validation."
SITES = (
    "Each site is predicted by a model that learned at all the others; measures are pooled over "
    "sites by random effects (REML, Hartung-Knapp), with a prediction interval for another site."
)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a report shows, computed once."""

    result: TrainingResult
    labelled: LabelledCohort
    study: Study
    internal: InternalValidation | None
    described: Description
    risk: Vector
    judged: Judgement
    groups: Subgroups
    development: SampleSize | None
    validation: SampleSize | None
    effects: tuple[FactorEffect, ...]
    importance: tuple[Importance, ...]

    @property
    def is_simulated(self) -> bool:
        """Whether the patients are none."""
        return self.result.facts.trained_on == "simulated"


def gather(
    result: TrainingResult,
    labelled: LabelledCohort,
    study: Study,
    internal: InternalValidation | None,
) -> Evidence:
    """Compute what the report needs beyond the training itself."""
    known = labelled.cohort.take(labelled.labels.is_known)
    risk, y = result.unseen[OURS][0], result.y
    development, validation = _sizes(result, study, risk)
    return Evidence(
        result=result,
        labelled=labelled,
        study=study,
        internal=internal,
        described=describe(labelled),
        risk=risk,
        judged=judge(y, risk, thresholds=declared(study), seed=result.recipe.seed),
        groups=subgroups(known, y, risk),
        development=development,
        validation=validation,
        effects=effects(result.model),
        importance=importance(result.model, known.codes),
    )


def declared(study: Study) -> Thresholds | None:
    """The thresholds of a study that names an action for them."""
    if study.use.thresholds is None or not study.use.clinical_action:
        return None
    return Thresholds(*study.use.thresholds, study.use.clinical_action)


def _sizes(
    result: TrainingResult, study: Study, risk: Vector
) -> tuple[SampleSize | None, SampleSize | None]:
    """Patients needed to learn from and to judge on; None where ranking is by chance."""
    auroc, prevalence = result.performance[OURS]["auroc"].value, float(result.y.mean())
    if not 0.5 < auroc < 1:
        return None, None
    inside = np.clip(risk, 1e-9, 1 - 1e-9)
    columns, patients = len(result.model.encoding), len(result.y)
    threshold = study.use.thresholds[0] if study.use.thresholds else None
    return (
        for_development(parameters=columns, prevalence=prevalence, auroc=auroc, patients=patients),
        for_validation(
            prevalence=prevalence,
            auroc=auroc,
            spread=Spread.of_risks(inside),
            threshold=threshold,
            patients=patients,
        ),
    )


def documents(found: Evidence) -> dict[str, Any]:
    """The JSON files of a report by name; None for what could not be computed."""
    told: dict[str, Any] = {
        "performance.json": _performance(found),
        "data.json": found.described.to_dict(),
        "subgroups.json": found.groups.to_dict() | {"risks": FIRST_REPEAT},
        "sample_size.json": _sample_size(found),
        "missing.json": _missing(found),
        "sites.json": _sites(found),
        "updating.json": {"not_applicable": UPDATING},
        "shift.json": {"not_applicable": SHIFT},
        "internal_validation.json": _internal(found),
        "effects.json": {
            "importance": [asdict(one) for one in found.importance],
            "effects": [one.to_dict() for one in found.effects],
        },
    }
    curve = found.judged.to_dict()["decision_curve"]
    if curve is not None:
        told["decision_curve.json"] = dict(curve) | {"risks": FIRST_REPEAT}
    return {name: plain(document) for name, document in told.items()}


def _performance(found: Evidence) -> dict[str, Any]:
    result, judged = found.result, found.judged.to_dict()
    return {
        "trained_on": result.facts.trained_on,
        "in_words": " ".join(performance_in_words(found)),
        "performance": {name: one.to_dict() for name, one in result.performance.items()},
        "comparison": result.comparison.to_dict(),
        "first_repeat": {
            "risks": FIRST_REPEAT,
            "auroc_delong": judged["auroc_delong"],
            "calibration_distances": judged["calibration_distances"],
        },
    }


def performance_in_words(found: Evidence) -> Iterator[str]:
    """The performance of the model on patients that its fits had not seen."""
    ours = found.result.performance[OURS]
    yield f"{ours.patients:,} patients, {ours.events:,} with the outcome, each predicted unseen."
    for measure in ("auroc", "calibration_slope", "observed_expected"):
        one = ours[measure]
        yield f"{one.label} {interval(one.value, one.low, one.high)}."
    yield from ours.notes


def _sample_size(found: Evidence) -> dict[str, Any]:
    def told(size: SampleSize | None) -> dict[str, Any] | None:
        return None if size is None else size.to_dict()

    words = "" if found.development else "Not computed: the model ranks no better than chance."
    return {
        "development": told(found.development),
        "validation": told(found.validation),
        "not_computed": words,
    }


def _missing(found: Evidence) -> dict[str, Any]:
    internal = found.internal
    used = internal.to_dict()["in_use"] if internal else None
    return {"policy": POLICY, "shares": dict(found.described.missing), "in_use": used}


def _sites(found: Evidence) -> dict[str, Any]:
    named = sorted({str(site) for site in found.labelled.cohort.site if site})
    if len(named) < 2:
        known = "all patients come from one site" if named else "no site is known"
        return {"not_applicable": f"Not applicable: {known}."}
    internal = found.internal
    if internal is None or internal.sites is None:
        return {"method": None, "summary": None, "missing": NOT_RUN}
    told = internal.to_dict()["sites"]
    return {"method": SITES, "summary": told["summaries"], **told}


def _internal(found: Evidence) -> dict[str, Any]:
    internal, recipe = found.internal, found.result.recipe
    scheme = scheme_in_words(found)
    return {
        "scheme": scheme,
        "test_type": "Internal validation: cross-validation"
        + (" and bootstrap" if internal and internal.optimism else "")
        + ", on the patients the model was developed with.",
        "in_words": " ".join(internal_in_words(found)),
        "steps_inside": list(STEPS),
        "analyses": list(analyses(found)),
        "class_imbalance_not_applicable": UNALTERED,
        "seed": recipe.seed,
        **(internal.to_dict() if internal else {"optimism": None, "missing": NOT_RUN}),
    }


def scheme_in_words(found: Evidence) -> str:
    """How patients were split, outside and inside the fits."""
    split = found.result.recipe.resampling
    return (
        f"{split.outer_folds}-fold cross-validation of the whole method, {split.outer_repeats} "
        f"repeats, folds alike in outcome; in each fit, {split.inner_folds}-fold cross-validation "
        f"({split.inner_repeats} repeats) chooses. Whole patients are split, seed "
        f"{found.result.recipe.seed}."
    )


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
                told = interval(one.corrected, one.low, one.high)
                yield f"Corrected for optimism by the bootstrap, {one.label} {told}."
    yield from internal.notes


def analyses(found: Evidence) -> Iterator[Mapping[str, Any]]:
    """Each analysis with its patients and events."""
    result, internal = found.result, found.internal
    counts = {"patients": len(result.y), "events": int(result.y.sum())}
    for name in ("development of the model", "cross-validation"):
        yield {"analysis": name, **counts}
    if internal is None:
        return
    if internal.optimism:
        yield {"analysis": f"bootstrap, {internal.optimism.used} samples", **counts}
    tested = [*(internal.sites.sites if internal.sites else ())]
    tested += [internal.period.later] if internal.period and internal.period.later else []
    for one in tested:
        tests = {"patients": one.performance.patients, "events": one.performance.events}
        learned = {"learned_from": one.learned_from, "learned_events": one.learned_events}
        yield {"analysis": f"tested on: {one.name}", **tests, **learned}


def interval(value: float, low: float, high: float) -> str:
    """A number with its limits, three decimals, or that there is none."""
    if not math.isfinite(value):
        return "not computed"
    limits = f" ({low:.3f} to {high:.3f})" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{value:.3f}{limits}"
