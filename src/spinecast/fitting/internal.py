"""Internal validation without flattery: every question a recipe asks of a method, in one record.

Whatever is asked, the whole method is learned anew inside each resample. What cannot be answered
(one class in a site, ten events, no dates) is said in words, and the rest still comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from spinecast.cohorts.cohort import Cohort
from spinecast.errors import Problem, UsageRefused
from spinecast.fitting.elsewhere import (
    LaterPeriod,
    OtherSites,
    Pool,
    later_period,
    leave_one_site_out,
)
from spinecast.fitting.estimator import EvidenceInformedClassifier
from spinecast.fitting.in_use import Blanks, InUse, in_use
from spinecast.fitting.learning import LearningCurve, learning_curve
from spinecast.fitting.optimism import Optimism, bootstrap_optimism
from spinecast.fitting.recipe import IntervalRecipe, Recipe
from spinecast.fitting.refitting import Make
from spinecast.knowledge.factors import Registry
from spinecast.measures.evaluation import plain
from spinecast.measures.logistic import Vector
from spinecast.progress import Progress, silent
from spinecast.sharing import workers


@dataclass(frozen=True, slots=True, eq=False)
class InternalValidation:
    """How good a method is, from the patients it was made with alone; None for what was not asked.

    Attributes:
        patients: With a known outcome; no others count.
        events: Those of them who had the outcome.
        optimism: Performance corrected by the bootstrap, and how steady risks are.
        sites: Each site predicted from the others.
        period: Later patients predicted from earlier ones.
        learning: Performance with ever more patients.
        in_use: Performance with less known.
        notes: Everything that could not be done, and why, part by part.
    """

    patients: int
    events: int
    optimism: Optimism | None
    sites: OtherSites | None
    period: LaterPeriod | None
    learning: LearningCurve | None
    in_use: InUse | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, text and numbers, ready for JSON; None for what could not be computed.

        No list has an entry per patient: of `instability` there is the mean error alone.
        """
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}


def internal_validation(
    cohort: Cohort,
    y: Vector,
    recipe: Recipe,
    *,
    make: Make | None = None,
    pool: Pool | None = None,
    processes: int = 1,
    progress: Progress = silent,
) -> InternalValidation:
    """Put every question of a recipe to the method, on the patients it is made with.

    Patients are put in order of their ids first: the answers do not depend on the order of rows in
    a file, nor on the number of processes.

    Args:
        cohort: the patients.
        y: the outcome (n,), 1 failure, 0 none, NaN unknown: such patients are left out.
        recipe: the experiment; its `resampling.bootstraps` and `proof` say what is asked.
        make: the method; the recipe's own when not given.
        pool: what makes one number of many sites; none for no summary.
        processes: how many share the work.
        progress: told the stage, how much is done, and of how much.

    Raises:
        UsageRefused: the recipe blanks a factor that the registry does not have.
    """
    registry, proof, seed = cohort.registry, recipe.proof, recipe.seed
    blanks = _blanks(registry, recipe)
    ids = cohort.patient_id.astype(str)
    order = np.argsort(ids, kind="stable")
    order = order[~np.isnan(y[order])]
    known, y = cohort.take(order), y[order]
    method = make or method_of(registry, recipe)
    given = (method, known.codes, y)
    optimism = sites = period = learning = less = None
    with workers(processes) as share:
        common: dict[str, Any] = {"seed": seed, "share": share, "progress": progress}
        if recipe.resampling.bootstraps:
            optimism = bootstrap_optimism(*given, bootstraps=recipe.resampling.bootstraps, **common)
        if proof.sites:
            sites = leave_one_site_out(*given, known.site, pool=pool, **common)
        if proof.period:
            period = later_period(*given, known.index_date, since=proof.since, **common)
        if proof.learning_from:
            learning = learning_curve(
                *given, smallest=proof.learning_from, repeats=proof.learning_repeats, **common
            )
        if blanks:
            less = in_use(*given, blanks, splits=recipe.resampling.outer_folds, **common)
    parts = (optimism, sites, period, learning, less)
    notes = tuple(
        f"{title}: {note}"
        for title, part in zip(TITLES, parts, strict=True)
        if part
        for note in part.notes
    )
    return InternalValidation(len(y), int(y.sum()), *parts, notes)


TITLES = ("Bootstrap", "Other sites", "Later period", "Learning curve", "As in use")


def method_of(registry: Registry, recipe: Recipe) -> Make:
    """The recipe's method; without the refits behind a patient's interval, which judge nothing."""
    lean = recipe.model_copy(update={"interval": IntervalRecipe(refits=0)})
    return partial(EvidenceInformedClassifier, registry, lean)


def _blanks(registry: Registry, recipe: Recipe) -> tuple[Blanks, ...]:
    """The ways of knowing less that the recipe declares."""
    proof = recipe.proof
    if strangers := [name for name in proof.unknown_factors if name not in registry.by_name]:
        raise UsageRefused(
            "The experiment cannot be run",
            [
                Problem(f"proof.unknown_factors {name!r}", "no such factor", "a factor's name")
                for name in strangers
            ],
        )
    columns = tuple(registry.names.index(name) for name in proof.unknown_factors)
    named = Blanks(f"unknown: {', '.join(proof.unknown_factors)}", columns)
    chance = Blanks(f"{proof.unknown_share:.0%} of answers unknown", share=proof.unknown_share)
    return (*([named] if columns else []), *([chance] if proof.unknown_share else []))
