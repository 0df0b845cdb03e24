"""Everything that a report rests on, computed once.

Subgroups and decision curves rest on one risk for each patient, from the first repeat of the
cross-validation: an average of repeats would be a better model than the one that is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.fitting.effects import FactorEffect, Importance, effects, importance
from spinecast.fitting.internal import InternalValidation
from spinecast.fitting.training import OURS, TrainingResult
from spinecast.judging.description import Description, describe
from spinecast.judging.judgement import Judgement, judge
from spinecast.judging.subgroups import Subgroups, subgroups
from spinecast.judging.thresholds import Thresholds
from spinecast.measures.logistic import Vector
from spinecast.measures.sample_size import SampleSize, Standing, for_development, standing
from spinecast.measures.spread import Spread
from spinecast.measures.validation_size import for_validation
from spinecast.reports.study import Study


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
    def standing(self) -> Standing:
        """Whether there are enough patients, to learn from and to judge on."""
        return standing(self.development, self.validation)

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
    thresholds = declared(study)
    development, validation = _sizes(result, study.use.thresholds)
    return Evidence(
        result=result,
        labelled=labelled,
        study=study,
        internal=internal,
        described=describe(labelled),
        risk=risk,
        judged=judge(y, risk, thresholds=thresholds, seed=result.recipe.seed),
        groups=subgroups(known, y, risk, thresholds=_weighed(thresholds)),
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


def standing_of(result: TrainingResult) -> Standing:
    """Whether a training had enough patients, whatever a person writes of its study."""
    return standing(*_sizes(result, None))


def _weighed(declared: Thresholds | None) -> tuple[float, ...]:
    """The thresholds at which groups are weighed: both ends and the middle of what is declared."""
    if declared is None:
        return ()
    middle = round((declared.low + declared.high) / 2, 2)
    return tuple(sorted({declared.low, middle, declared.high}))


def _sizes(
    result: TrainingResult, thresholds: tuple[float, float] | None
) -> tuple[SampleSize | None, SampleSize | None]:
    """Patients needed to learn from and to judge on; None where ranking is by chance."""
    auroc, prevalence = result.performance[OURS]["auroc"].value, float(result.y.mean())
    if not 0.5 < auroc < 1:
        return None, None
    inside = np.clip(result.unseen[OURS][0], 1e-9, 1 - 1e-9)
    columns, learned = len(result.model.encoding), result.learned
    return (
        for_development(parameters=columns, prevalence=prevalence, auroc=auroc, patients=learned),
        for_validation(
            prevalence=prevalence,
            auroc=auroc,
            spread=Spread.of_risks(inside),
            threshold=thresholds[0] if thresholds else None,
            patients=len(result.y),
        ),
    )
