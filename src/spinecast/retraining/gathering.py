"""What a training needs of a cohort in parts: shards of everybody, and some patients in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.cohorts.store import Shard
from spinecast.cohorts.survey import Survey, survey
from spinecast.fitting.large.plan import Plan
from spinecast.fitting.recipe import LargeRecipe, Recipe
from spinecast.knowledge.factors import Registry
from spinecast.patients.parts import Parts
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone

TWICE = 2
"""How many times the patients whom a plan draws are kept at first: most of a cohort's rows are
accepted and their outcomes known, but not all."""
MARGIN = 1.05
"""The same once it is known how many are; draws below a share vary by their root."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A cohort ready to be learned from.

    Attributes:
        labelled: everybody, or, where that is too many, all of whom a plan needs more than sums.
        shards: all patients whose outcome is known, on disk.
    """

    labelled: LabelledCohort
    shards: Sequence[Shard]


def first_sample(recipe: Recipe, rows: int) -> int:
    """How many patients of so many rows are held in memory at first."""
    large = recipe.large
    return min(rows, max(large.patients, TWICE * _drawn(large)))


def gather(
    parts: Parts,
    registry: Registry,
    recipe: Recipe,
    scratch: Path,
    *,
    share: Share = alone,
    rows_at_once: int,
    progress: Progress = silent,
) -> Gathered:
    """Read a cohort for a training by this recipe.

    It is read a second time where so many outcomes are unknown that too few patients were kept.

    Args:
        parts: the cohort on disk.
        registry: what may be answered.
        recipe: the experiment.
        scratch: a folder for the shards, seen by whoever shares the work.
        share: who does it.
        rows_at_once: rows that each of them holds at a time.
        progress: told how many rows are read.

    Raises:
        DataRefused: columns are missing, a file is damaged, or nobody's outcome is known.
        UsageRefused: there is no such definition of the outcome.
    """
    store = scratch / "shards"
    store.mkdir()

    def read(sample: int) -> Survey:
        return survey(
            parts,
            registry,
            definition=recipe.outcome,
            sample=sample,
            seed=recipe.seed,
            share=share,
            rows_at_once=rows_at_once,
            store=store,
            progress=progress,
        )

    sample = first_sample(recipe, parts.rows)
    found = read(sample)
    if sample < (needed := _needed(recipe, found.followed.known, parts.rows)):
        found = read(needed)
    return Gathered(found.labelled(), found.shards)


def _needed(recipe: Recipe, known: int, rows: int) -> int:
    """Of how many rows the smallest draws hold everybody that a training needs in memory."""
    plan = Plan.of(recipe, known)
    return rows if plan is None else min(rows, math.ceil(MARGIN * plan.drawn * rows))


def _drawn(large: LargeRecipe) -> int:
    return 2 * large.held + large.sample
