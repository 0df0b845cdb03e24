"""Whether explanations keep what they promise, for a cohort's own patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from spinecast.explaining.explanation import Explainer
from spinecast.knowledge.factors import Factor
from spinecast.modelling.model import Model
from spinecast.modelling.preparation import Rows

FloatArray = npt.NDArray[np.float64]

TREE_PATIENTS = 200
"""Patients on whom directions are proven where there are trees; the same number on which a training
holds its explanations against shap. Without trees one patient's proof is everybody's."""
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Additivity:
    """The largest difference between a sum of contributions and what it explains."""

    log_odds: float
    risk: float
    patients: int


@dataclass(frozen=True, slots=True)
class Directions:
    """How far the margin ever moves against a declared direction, in log-odds, and by which factor.

    `against` is 0 and `factor` "" where it never does.
    """

    against: float
    factor: str
    factors: int
    patients: int


def additivity(explainer: Explainer, codes: FloatArray) -> Additivity:
    """Hold contributions of rows of codes (n, F) against margins and risks worked out without them.

    The margin here is intercept, columns and trees; an explanation gets there by its parts.
    """
    model = explainer.model
    scores = explainer.score(codes)
    margin = model.margin(scores.rows)
    by_parts = scores.log_odds.sum(axis=1) - (margin - model.reference_margin)
    by_points = scores.risk_points.sum(axis=1) - (expit(margin) - explainer.reference_risk)
    return Additivity(_largest(by_parts), _largest(by_points), len(codes))


def directions(model: Model, codes: FloatArray) -> Directions:
    """Take each factor with a declared direction through all its values, for patients (n, F).

    Ordered values are compared one after the other; levels without an order, each with the
    reference level.
    """
    step = max(1, -(-len(codes) // TREE_PATIENTS)) if len(model.trees) else 1
    rows = model.rows(codes[::step])
    signed = [(i, factor) for i, factor in enumerate(model.registry.factors) if factor.sign]
    against = [(_against(model, rows, i, factor), factor.name) for i, factor in signed]
    worst, name = max(against, default=(0.0, ""))
    if worst <= TOLERANCE:
        worst, name = 0.0, ""
    return Directions(worst, name, len(signed), len(rows))


def _against(model: Model, rows: Rows, index: int, factor: Factor) -> float:
    """The largest step in the wrong direction that one factor takes, all others held."""
    values = model.population.bins.codes[index]
    # The linear part is the same for every patient.
    margins = model.effects(index)[np.newaxis]
    if len(model.trees):
        changed = np.repeat(rows.codes, len(values), axis=0)
        changed[:, index] = np.tile(values, len(rows))
        margins = margins + model.trees.margin(changed).reshape(len(rows), len(values))
    if factor.kind == "nominal":
        steps = margins - margins[:, [int(factor.reference_code)]]
    else:
        steps = np.diff(margins, axis=1)
    return float((-factor.sign * steps).max(initial=0.0))


def _largest(differences: FloatArray) -> float:
    return float(np.abs(differences).max(initial=0.0))
