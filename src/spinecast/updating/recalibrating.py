"""The two small rungs: a shift, or a shift and a stretch, of the old model's log-odds.

Both are pulled towards "nothing changed" by how far hospitals usually differ, so that a few
patients move a model a little and many move it as far as they say.
"""

from __future__ import annotations

import numpy as np

from spinecast.measures import logistic
from spinecast.measures.logistic import Matrix, Vector
from spinecast.modelling.calibration import Recalibration
from spinecast.updating.ladder import RecalibrationPrior

LEAST_SLOPE = 0.05
"""A stretch below this would turn patients' order round, or nearly: it is held here."""


def columns_of(margin: Vector, prior: RecalibrationPrior) -> Matrix:
    """The columns of a shift and of a stretch around the mean log-odds, in prior SDs, (n, 2)."""
    away = margin - margin.mean()
    return np.column_stack([np.full(len(margin), prior.intercept_sd), prior.slope_sd * away])


def shifted(
    margin: Vector, y: Vector, prior: RecalibrationPrior, *, start: float = 0.0
) -> Recalibration:
    """The most probable shift of log-odds (n,), given outcomes (n,) and a prior around `start`."""
    columns = columns_of(margin, prior)[:, :1]
    found = logistic.fit(columns, y, offset=start + margin, weights=np.ones(len(y)), ridge=1.0)
    return Recalibration(start + prior.intercept_sd * float(found.coefficients[0]), 1.0)


def stretched(
    margin: Vector,
    y: Vector,
    prior: RecalibrationPrior,
    *,
    start: float = 0.0,
    around: float = 1.0,
) -> Recalibration:
    """The most probable shift and stretch, given priors around `start` and `around`.

    The stretch turns around the mean log-odds, so that the two say different things.
    """
    middle = float(margin.mean())
    away = margin - middle
    columns = columns_of(margin, prior)
    offset = start + margin + (around - 1) * away
    found = logistic.fit(columns, y, offset=offset, weights=np.ones(len(y)), ridge=1.0)
    shift, stretch = (float(value) for value in found.coefficients)
    slope = max(around + prior.slope_sd * stretch, LEAST_SLOPE)
    return Recalibration(start + prior.intercept_sd * shift - (slope - 1) * middle, slope)
