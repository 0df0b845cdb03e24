"""From the shards of a large cohort to a model and the proof of how good it is.

Cross-validation fits a method many times to be judged on patients it had not seen. With very many
patients some can be set apart for that: the model that is judged is then the one that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit

from spinecast.cohorts.store import Shard, Stored
from spinecast.distribution.population import Population
from spinecast.explaining.assessment import TrainedOn
from spinecast.explaining.facts import Seen, facts_of
from spinecast.fitting.boosting import FloatArray
from spinecast.fitting.large.census import first_pass, second_pass
from spinecast.fitting.large.fit import FittedLarge, fit_large
from spinecast.fitting.large.passes import Workshop
from spinecast.fitting.large.plan import Plan, in_order
from spinecast.fitting.recipe import Recipe
from spinecast.fitting.refitting import FEWEST_EVENTS
from spinecast.fitting.training import (
    OURS,
    SetApart,
    TrainingResult,
    methods_of,
    prove_explanations,
    refuse_too_few,
)
from spinecast.knowledge.factors import Registry
from spinecast.measures.evaluation import evaluate_all
from spinecast.sharing import one_thread


def train_large(
    shards: Sequence[Shard],
    plan: Plan,
    registry: Registry,
    recipe: Recipe,
    workshop: Workshop,
    *,
    trained_on: TrainedOn,
    outcome: str,
) -> TrainingResult:
    """Fit the model on the patients who teach; judge it on those set apart.

    How the patients are cut into shards, and who works on them, changes no tree, and nothing else
    by more than the last digits of sums.

    Args:
        shards: the patients; those without a known outcome are passed over.
        plan: who teaches, tunes and judges.
        registry: the factors and their evidence.
        recipe: the experiment.
        workshop: where it is done, and by whom.
        trained_on: what kind of patients these are.
        outcome: the outcome definition's name, for the record.

    Raises:
        DataRefused: too few patients of one kind to learn from.
        UsageRefused: a baseline the program does not know.
    """
    methods_of(registry, recipe)  # refuses baselines before the long work
    with one_thread():
        cohort = _surveyed(shards, plan, registry, workshop)
        for part in (cohort.sample, cohort.tuning, cohort.judging):
            refuse_too_few(part.y, FEWEST_EVENTS)
        given = cohort.population, cohort.sample, cohort.tuning
        fitted = fit_large(shards, *given, plan, registry, recipe, workshop)
        prove_explanations(fitted.model, fitted.grown.booster, cohort.tuning.codes)
        unseen = _unseen(fitted, cohort, registry, recipe, workshop)
        workshop.progress("judging", 0, 1)
        performance, comparison = evaluate_all(cohort.judging.y, unseen, OURS, seed=recipe.seed)
        workshop.progress("judging", 1, 1)
    return TrainingResult(
        model=fitted.model,
        facts=facts_of(registry, cohort.seen, fitted.agreement, unseen[OURS][0], trained_on),
        booster=fitted.grown.booster,
        choices=fitted.chosen.choices(fitted.grown.rounds, fitted.grown.log_loss),
        recipe=recipe,
        outcome=outcome,
        performance=performance,
        comparison=comparison,
        unseen=unseen,
        y=cohort.judging.y,
        apart=SetApart(
            threshold=recipe.large.patients,
            taught=cohort.population.patients,
            sampled=len(cohort.sample),
            tuned=len(cohort.tuning),
            judged=len(cohort.judging),
            on_disk=fitted.grown.on_disk,
        ),
    )


@dataclass(frozen=True)
class _Cohort:
    """What the first two passes found: the values seen, the population, and who is set apart."""

    seen: Seen
    population: Population
    judging: Stored
    tuning: Stored
    sample: Stored


def _surveyed(
    shards: Sequence[Shard], plan: Plan, registry: Registry, workshop: Workshop
) -> _Cohort:
    published = Population.published(registry)
    first = partial(first_pass, registry, published, plan)
    found = workshop.total(shards, first, "looking at patients")
    counted = published.counted(found.counts)
    second = partial(second_pass, counted, plan)
    scores = workshop.total(shards, second, "learning what goes together")
    parts = [in_order(part) for part in (found.judging, found.tuning, found.sample)]
    return _Cohort(found.seen, counted.correlated(scores), *parts)


def _unseen(
    fitted: FittedLarge, cohort: _Cohort, registry: Registry, recipe: Recipe, workshop: Workshop
) -> dict[str, FloatArray]:
    """Each method's risk of the patients who judge, (1, m); the baselines learn from the sample."""
    sample, codes = cohort.sample, cohort.judging.codes
    model, methods = fitted.model, methods_of(registry, recipe)
    risks = {OURS: expit(model.margin(model.rows(codes)))[None]}
    rivals = [name for name in methods if name != OURS]
    for done, name in enumerate(rivals):
        workshop.progress("fitting the baselines", done, len(rivals))
        fitted_rival = methods[name]().fit(sample.codes, sample.y)
        risks[name] = np.asarray(fitted_rival.predict_proba(codes)[:, 1])[None]
    workshop.progress("fitting the baselines", len(rivals), len(rivals))
    return risks
