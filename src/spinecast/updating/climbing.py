"""The chosen rung on all new patients: a whole model, its intervals, and whom it rests on.

Who stands in the folder: a model that is kept, shifted or stretched still has its effects from the
old patients, so the old population and what they had seen stay; where a risk stands among the
hospital's patients is the new cohort's. A revised model rests on both: both are counted. A model
learned anew rests on the new cohort alone.

`literature` stays what was believed before anybody's patients, so "from the cohort" is what
patients moved: the new hospital's and, except after a retraining, the old model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from spinecast.explaining.assessment import Caution, TrainedOn
from spinecast.explaining.facts import CohortFacts, gather, standing_cautions
from spinecast.fitting.training import prove_explanations, train
from spinecast.measures.logistic import Vector, expit
from spinecast.measures.resampling import resampled
from spinecast.modelling import posterior
from spinecast.modelling.calibration import Recalibration
from spinecast.modelling.model import Model, Refits
from spinecast.modelling.posterior import with_intercept
from spinecast.modelling.trees import Trees
from spinecast.progress import Progress
from spinecast.updating.ladder import RungName
from spinecast.updating.recalibrating import shifted, stretched
from spinecast.updating.revision import Revised, revise
from spinecast.updating.rungs import Climb, inner_folds


@dataclass(frozen=True, slots=True)
class Parent:
    """What else is known of the old model: its id, its cohort, its trees in XGBoost's JSON."""

    id: str
    facts: CohortFacts
    booster: str | None


@dataclass(frozen=True, slots=True)
class Climbed:
    """The updated model, whom it rests on, its trees, and what was chosen on the way."""

    model: Model
    facts: CohortFacts
    booster: str | None
    found: Mapping[str, Any]


def climbed(
    climb: Climb, rung: RungName, parent: Parent, trained_on: TrainedOn, progress: Progress
) -> Climbed:
    """The old model after this rung has learned from all new patients."""
    made = _CLIMB[rung](climb, parent, trained_on, progress)
    prove_explanations(made.model, made.booster, climb.new.codes)
    return made


# --- keep, intercept, slope -----------------------------------------------------------------------


def _kept(climb: Climb, parent: Parent, trained_on: TrainedOn, progress: Progress) -> Climbed:  # noqa: ARG001
    return Climbed(climb.old, parent.facts, parent.booster, {})


def _shifted(climb: Climb, parent: Parent, trained_on: TrainedOn, progress: Progress) -> Climbed:  # noqa: ARG001
    prior = climb.ladder.prior

    def again(margin: Vector, y: Vector, rng: np.random.Generator) -> Recalibration:
        return shifted(margin, y, prior, start=float(rng.normal(0, prior.intercept_sd)))

    line = shifted(climb.new.margin, climb.new.y, prior)
    return _recalibrated(climb, parent, trained_on, line, again, "the level of its risks")


def _stretched(climb: Climb, parent: Parent, trained_on: TrainedOn, progress: Progress) -> Climbed:  # noqa: ARG001
    prior = climb.ladder.prior

    def again(margin: Vector, y: Vector, rng: np.random.Generator) -> Recalibration:
        intercept = float(rng.normal(0, prior.intercept_sd))
        slope = float(rng.normal(1, prior.slope_sd))
        return stretched(margin, y, prior, start=intercept, around=slope)

    line = stretched(climb.new.margin, climb.new.y, prior)
    what = "the level and the spread of its risks"
    return _recalibrated(climb, parent, trained_on, line, again, what)


def _recalibrated(
    climb: Climb,
    parent: Parent,
    trained_on: TrainedOn,
    line: Recalibration,
    again: Callable[[Vector, Vector, np.random.Generator], Recalibration],
    what: str,
) -> Climbed:
    """The old model, shifted and stretched; each refit by what its own bootstrap sample asks."""
    old, new = climb.old, climb.new
    rng = np.random.default_rng(climb.ladder.seed)
    lines = []
    draws = resampled(len(new), len(old.refits), climb.ladder.seed)
    for margin, counts in zip(new.refits, draws, strict=True):
        drawn = np.repeat(np.arange(len(new)), counts)
        lines.append(again(margin[drawn], new.y[drawn], rng))
    shift = np.array([one.intercept for one in lines])
    slope = np.array([one.slope for one in lines])
    refits = Refits(
        shift + slope * old.refits.intercept,
        slope[:, None] * old.refits.beta,
        slope / line.slope * old.refits.tree_share,
    )
    before = old.recalibration
    model = replace(
        old,
        intercept=line.apply(old.intercept),
        beta=line.slope * old.beta,
        trees=_scaled(old.trees, line.slope),
        refits=refits,
        recalibration=Recalibration(line.apply(before.intercept), line.slope * before.slope),
    )
    caution = (
        f"The effects are those of model {parent.id}, learned from other patients; only {what} was "
        f"fitted to {_patients(climb)}."
    )
    risk = expit(line.apply(new.margin))
    facts = replace(
        parent.facts,
        trained_on=trained_on,
        cohort_risk=float(new.y.mean()),
        risk_quantiles=_quantiles(risk),
        cautions=(*standing_cautions(trained_on, parent.facts.events), _updated(caution)),
    )
    return Climbed(model, facts, parent.booster, {"recalibration": line.to_dict()})


def _scaled(trees: Trees, by: float) -> Trees:
    return replace(trees, weights=by * trees.weights, shares=by * trees.shares)


# --- revision -------------------------------------------------------------------------------------


def _revised(climb: Climb, parent: Parent, trained_on: TrainedOn, progress: Progress) -> Climbed:
    old, new, ladder = climb.old, climb.new, climb.ladder
    progress("revising the effects", 0, 1)
    found = revise(
        old,
        new.columns,
        new.trees,
        new.y,
        inner_folds(new.y, ladder),
        ladder.revision,
        ladder.recalibration.slope_sd,
    )
    line, share = found.line, found.share
    booster = parent.booster if share > 0 else None
    scale = line.slope * share if booster else 0.0
    none = Trees.fold([], np.zeros(len(old.registry.factors)))
    model = replace(
        old,
        population=new.population,
        intercept=line.apply(found.intercept),
        beta=line.slope * found.beta,
        trees=_scaled(old.trees, scale) if booster else none,
        refits=_revised_refits(climb, found),
        # With trees, the slope on record is what scales them as they stand in their file.
        recalibration=Recalibration(
            line.intercept, scale * old.recalibration.slope if booster else line.slope
        ),
    )
    progress("revising the effects", 1, 1)
    told = {
        "chosen": asdict(found.chosen),
        "trials": [asdict(trial) for trial in found.trials],
        "recalibration": line.to_dict(),
        "tree_share": share if booster else 0.0,
    }
    facts = _both(climb, parent, model, trained_on)
    return Climbed(model, facts, booster, told)


def _revised_refits(climb: Climb, found: Revised) -> Refits:
    """The revision's coefficients fitted again to bootstrap samples around redrawn priors."""
    new, held, line = climb.new, found.held, found.line
    has_trees = len(held.mean) > len(found.beta)
    design = with_intercept(np.column_stack([new.columns, new.trees]) if has_trees else new.columns)
    rng = np.random.default_rng(climb.ladder.seed)
    thetas = []
    for counts in resampled(len(new), climb.ladder.revision.refits, climb.ladder.seed):
        drawn = np.repeat(np.arange(len(new)), counts)
        pieces = partial(posterior.sums, design[drawn], new.y[drawn])
        around = replace(held, mean=rng.normal(held.mean, held.sd))
        thetas.append(posterior.fit(pieces, around, found.theta).theta)
    theta = np.array(thetas).reshape(-1, design.shape[1])
    size = len(found.beta)
    share = theta[:, 1 + size] / found.share if has_trees and found.share > 0 else theta[:, 0] * 0
    intercept = line.intercept + line.slope * theta[:, 0]
    return Refits(intercept, line.slope * theta[:, 1 : 1 + size], share)


def _both(climb: Climb, parent: Parent, model: Model, trained_on: TrainedOn) -> CohortFacts:
    """The facts of a model that rests on the old patients and the new ones."""
    old, new = parent.facts, climb.new
    risk = expit(model.margin(model.rows(new.codes)))
    own = gather(
        climb.old.registry, climb.old.encoding, new.codes, new.columns, new.y, risk, trained_on
    )
    events = old.events + own.events
    caution = (
        f"The effects of model {parent.id} were moved by {_patients(climb)}; the patients of both "
        "stand behind this model."
    )
    return replace(
        own,
        patients=old.patients + own.patients,
        events=events,
        seen_low=np.minimum(old.seen_low, own.seen_low),
        seen_high=np.maximum(old.seen_high, own.seen_high),
        counts=tuple(
            tuple(a + b for a, b in zip(one, two, strict=True))
            for one, two in zip(old.counts, own.counts, strict=True)
        ),
        cautions=(*standing_cautions(trained_on, events), _updated(caution)),
    )


# --- full retraining ------------------------------------------------------------------------------


def _retrained(climb: Climb, parent: Parent, trained_on: TrainedOn, progress: Progress) -> Climbed:  # noqa: ARG001
    result = train(
        climb.old.registry,
        climb.new.codes,
        climb.new.y,
        climb.recipe.model_copy(update={"baselines": ()}),
        trained_on=trained_on,
        outcome="",
        progress=progress,
    )
    told = {"choices": asdict(result.choices)}
    return Climbed(result.model, result.facts, result.booster, told)


_CLIMB: Mapping[RungName, Callable[[Climb, Parent, TrainedOn, Progress], Climbed]] = (
    MappingProxyType(
        {
            "keep": _kept,
            "intercept": _shifted,
            "slope": _stretched,
            "revision": _revised,
            "retrain": _retrained,
        }
    )
)


def _updated(message: str) -> Caution:
    return Caution("updated", message)


def _patients(climb: Climb) -> str:
    return (
        f"{len(climb.new):,} patients of this hospital, {int(climb.new.y.sum()):,} of them with "
        "the outcome"
    )


def _quantiles(risk: Vector) -> Vector:
    return np.quantile(risk, np.linspace(0, 1, 101))
