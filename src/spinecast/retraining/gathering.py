"""What a training needs of a cohort in parts: shards of everybody, and some patients in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.cohorts.store import Shard
from spinecast.cohorts.survey import survey
from spinecast.fitting.recipe import Recipe
from spinecast.knowledge.factors import Registry
from spinecast.patients.parts import Parts
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone

TWICE = 2
"""How many times the patients whom a plan draws are kept: draws below a share vary."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A cohort ready to be learned from.

    Attributes:
        labelled: everybody, or, where that is too many, all of whom a plan needs more than sums,
            and beside them patients drawn whatever became of them, of whom to tell who was lost.
        shards: all patients whose outcome is known, on disk.
    """

    labelled: LabelledCohort
    shards: Sequence[Shard]


def held_in_memory(recipe: Recipe, rows: int) -> int:
    """How many patients of so many rows are held in memory at most."""
    return min(rows, 2 * _most(recipe))


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
    most = _most(recipe)
    found = survey(
        parts,
        registry,
        definition=recipe.outcome,
        sample=most,
        known=most,
        seed=recipe.seed,
        share=share,
        rows_at_once=rows_at_once,
        store=store,
        progress=progress,
    )
    return Gathered(found.labelled(), found.shards)


def _most(recipe: Recipe) -> int:
    """Everybody with a known outcome where cross-validation serves; else all whom a plan draws."""
    large = recipe.large
    return max(large.patients, TWICE * (2 * large.held + large.sample))
