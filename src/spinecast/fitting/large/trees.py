"""Boosted trees on patients on disk: identical however these are cut, and whatever the memory.

Three things make them so. Values lie on a grid, and cuts are the grid's (`grid`). Margins come in
whole steps (`MARGIN_STEP`). And XGBoost adds 32-bit gradients up in 64 bits: those of
risks between one and 99 per cent are whole multiples of 2^-30, so their sums are exact, in any
order and over any threads, up to eight million patients, and beyond that all but exact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from spinecast.fitting.boosting import FloatArray, log_losses
from spinecast.fitting.large.grid import MOST, Codes, Grid
from spinecast.fitting.large.lessons import Lesson
from spinecast.fitting.large.linear import MARGIN
from spinecast.fitting.recipe import TreeRecipe
from spinecast.modelling.trees import Leaf, leaves_of
from spinecast.progress import Progress, silent

BESIDE = 64
"""Bytes that XGBoost keeps of a patient beside the values: outcome, margins, gradients, leaf."""
OF_MEMORY = 0.6
"""Of the memory declared that the trees may take; the rest is for what they are made of."""
STAGE = "growing trees"


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """Patients on whom the trees' number is chosen: codes on the grid, outcomes, linear margins."""

    codes: Codes
    y: FloatArray
    margin: FloatArray


@dataclass(frozen=True, slots=True)
class Grown:
    """Trees in XGBoost's JSON, None for none, how many rounds, and how each round did.

    `unseen` (m,) is what they add for the patients they were tuned on. `on_disk` says whether they
    were grown from disk, for want of memory.
    """

    booster: str | None
    rounds: int
    unseen: FloatArray
    log_loss: tuple[float, ...]
    on_disk: bool

    @property
    def leaves(self) -> list[Leaf]:
        """Their leaves; none when there are no trees."""
        return leaves_of(json.loads(self.booster)) if self.booster else []


def needs_disk(rows: int, factors: int, memory: int) -> bool:
    """Whether so many patients are too many for trees grown in memory, of so many bytes.

    XGBoost holds a byte of each value twice, by rows and by columns.
    """
    return rows * (2 * factors + BESIDE) > OF_MEMORY * memory


def boost_large(
    lessons: Sequence[Lesson],
    tuning: Tuning,
    grid: Grid,
    recipe: TreeRecipe,
    settings: Mapping[str, Any],
    *,
    memory: int,
    scratch: Path,
    progress: Progress = silent,
) -> Grown:
    """Trees on top of the linear part, as many as the patients they are tuned on gain by.

    The one step of a large training that another engine does in its own way.

    Args:
        lessons: the patients who teach; each keeps its linear margins as `MARGIN`.
        tuning: those on whom the number of trees is chosen, and whether any stay.
        grid: where cuts may lie.
        recipe: how deep, how fast, how many at most, and what they must gain to stay.
        settings: the same in XGBoost's words, with the threads it may use.
        memory: how many bytes the training may take.
        scratch: a folder for what does not fit.
        progress: told after each round.
    """
    on_disk = needs_disk(sum(lesson.rows for lesson in lessons), len(grid.points), memory)
    if not recipe.most_rounds:
        return Grown(None, 0, np.zeros(len(tuning.y)), (), on_disk)
    cuts = grid.cuts()
    batches = _Batches(lessons, grid, scratch if on_disk else None)
    kind = xgboost.ExtMemQuantileDMatrix if on_disk else xgboost.QuantileDMatrix
    matrix = kind(batches, max_bin=MOST, ref=cuts, nthread=settings["nthread"])
    unseen = xgboost.DMatrix(tuning.codes, base_margin=tuning.margin)
    booster = xgboost.Booster({**settings, "max_bin": MOST}, [matrix, unseen])
    history: list[float] = []
    while len(history) < recipe.most_rounds and (
        not history or len(history) - int(np.argmin(history)) <= recipe.patience
    ):
        booster.update(matrix, len(history))
        margin = booster.predict(unseen, output_margin=True)
        history.append(float(log_losses(margin, tuning.y).mean()))
        progress(STAGE, len(history), recipe.most_rounds)
    return settled(booster, tuple(history), tuning, recipe, on_disk=on_disk)


def settled(
    booster: xgboost.Booster,
    history: tuple[float, ...],
    tuning: Tuning,
    recipe: TreeRecipe,
    *,
    on_disk: bool = False,
) -> Grown:
    """The trees up to the best round, if the patients they are tuned on gain enough by them."""
    rounds = 1 + int(np.argmin(history))
    best = booster[:rounds]
    bare = xgboost.DMatrix(tuning.codes, base_margin=np.zeros(len(tuning.y)))
    unseen = best.predict(bare, output_margin=True).astype(np.float64)
    gain = log_losses(tuning.margin, tuning.y) - log_losses(tuning.margin + unseen, tuning.y)
    if gain.mean() < recipe.least_gain * gain.std() / np.sqrt(len(gain)):
        return Grown(None, 0, np.zeros(len(gain)), (), on_disk)
    return Grown(best.save_raw("json").decode(), rounds, unseen, history, on_disk)


class _Batches(xgboost.DataIter):  # type: ignore[misc]
    """Lessons as XGBoost reads them, as often as it likes; on disk under `scratch` where given."""

    def __init__(self, lessons: Sequence[Lesson], grid: Grid, scratch: Path | None) -> None:
        self._lessons, self._grid, self._at = lessons, grid, 0
        super().__init__(cache_prefix=str(scratch / "trees") if scratch else None)

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next lesson, if there is one."""
        if self._at == len(self._lessons):
            return False
        lesson = self._lessons[self._at]
        places, y = lesson.places()
        codes, margin = self._grid.codes(places), lesson.kept(MARGIN)
        input_data(data=codes, label=y, base_margin=margin)
        self._at += 1
        return True

    def reset(self) -> None:
        """Begin again."""
        self._at = 0
