"""How risks would spread over patients, before there are any: what a planned study must assume.

A spread is a set of margins (log-odds) with the share of patients at each, taken to be true risks.
It answers what sample sizes rest on: prevalence, explained variation, sensitivity at a threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from spinecast.measures.logistic import Vector, expit, logit

REACH = 9.0
POINTS = 8001
"""A normal curve is cut into so many points up to so many standard deviations either side."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Margins and the share of patients at each; both of shape (points,), shares adding up to 1."""

    margins: Vector
    shares: Vector

    @classmethod
    def from_auroc(cls, auroc: float, prevalence: float) -> Self:
        """The spread under which a well calibrated model has this AUROC and this prevalence.

        Margins of those with and those without the outcome are taken as normal with equal spread.

        Raises:
            ValueError: The AUROC is not above 0.5 and below 1, or the prevalence not within (0, 1).

        Source: Riley 2021, doi:10.1002/sim.8806.
        """
        if not 0.5 < auroc < 1:
            raise ValueError(f"auroc == {auroc}, must be above 0.5 and below 1.")
        if not 0 < prevalence < 1:
            raise ValueError(f"prevalence == {prevalence}, must be above 0 and below 1.")
        apart = math.sqrt(2) * float(ndtri(auroc))
        standard, density = _normal()
        middles = (logit(prevalence) - apart**2 / 2, logit(prevalence) + apart**2 / 2)
        margins = np.concatenate([middle + apart * standard for middle in middles])
        return cls(margins, np.concatenate([(1 - prevalence) * density, prevalence * density]))

    @classmethod
    def normal(cls, mean: float, sd: float) -> Self:
        """Margins that follow one normal curve, as a published model may report them.

        Raises:
            ValueError: The standard deviation is not above 0.
        """
        if not sd > 0:
            raise ValueError(f"sd == {sd}, must be above 0.")
        standard, density = _normal()
        return cls(mean + sd * standard, density)

    @classmethod
    def of_risks(cls, risk: npt.ArrayLike) -> Self:
        """The risks that a model gave to patients; shape (patients,), within (0, 1), none missing.

        Raises:
            ValueError: No risks, or one that is missing, 0, 1 or beyond.
        """
        risks = np.asarray(risk, dtype=np.float64)
        if risks.ndim != 1 or not len(risks) or not ((risks > 0) & (risks < 1)).all():
            raise ValueError("Risks must be one list, not empty, each above 0 and below 1.")
        return cls(logit(risks), np.full(len(risks), 1 / len(risks)))

    @property
    def risks(self) -> Vector:
        """The risk at each margin; shape (points,)."""
        return expit(self.margins)

    @property
    def prevalence(self) -> float:
        """The share of patients who will have the outcome."""
        return float(self.shares @ self.risks)

    @property
    def cox_snell_r2(self) -> float:
        """How much variation the risks explain, on Cox and Snell's scale (its maximum is below 1).

        Source: Cox & Snell 1989, Analysis of Binary Data; Riley 2019, doi:10.1002/sim.7992.
        """
        apart = self.shares @ _surprise(self.risks)
        alike = _surprise(np.array([self.prevalence]))[0]
        return float(-math.expm1(2 * (apart - alike)))

    def sensitivity(self, threshold: float) -> float:
        """The share of those with the outcome whose risk is at least the threshold."""
        events = self.shares * self.risks
        return float(events[self.risks >= threshold].sum() / events.sum())

    def specificity(self, threshold: float) -> float:
        """The share of those without the outcome whose risk is below the threshold."""
        others = self.shares * (1 - self.risks)
        return float(others[self.risks < threshold].sum() / others.sum())


def _normal() -> tuple[Vector, Vector]:
    standard = np.linspace(-REACH, REACH, POINTS)
    density = np.exp(-(standard**2) / 2)
    return standard, density / density.sum()


def _surprise(risks: Vector) -> Vector:
    """Expected surprise at an outcome drawn from its own risk, in nats; 0 at risks of 0 and 1."""
    inside = np.clip(risks, np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).eps)
    return np.asarray(-inside * np.log(inside) - (1 - inside) * np.log1p(-inside))
