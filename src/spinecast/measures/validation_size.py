"""How many patients it takes to check a model precisely: calibration, ranking and net benefit.

Source: Riley 2021, doi:10.1002/sim.9025; Riley 2024, doi:10.1136/bmj-2023-074821.
"""

from __future__ import annotations

import math

from spinecast.measures.sample_size import Criterion, SampleSize, Z
from spinecast.measures.spread import Spread

RATIO_WIDTH = 0.2
SLOPE_WIDTH = 0.2
AUROC_WIDTH = 0.1
BENEFIT_WIDTH = 0.2
"""Widths of 95% intervals; the defaults of the authors' own software, pmvalsampsize."""


def for_validation(
    *,
    prevalence: float,
    auroc: float,
    spread: Spread | None = None,
    threshold: float | None = None,
    ratio_width: float = RATIO_WIDTH,
    slope_width: float = SLOPE_WIDTH,
    auroc_width: float = AUROC_WIDTH,
    benefit_width: float = BENEFIT_WIDTH,
    patients: int | None = None,
) -> SampleSize:
    """How many new patients are needed before the measures of a model mean anything.

    The model is expected to be well calibrated there (observed / expected 1, slope 1).

    Args:
        prevalence: Expected share of patients with the outcome.
        auroc: Expected AUROC.
        spread: How its risks will spread; if not given, as `Spread.from_auroc` has it.
        threshold: Risk from which one would act; net benefit has no say without it.
        ratio_width: Target width of the interval of observed / expected.
        slope_width: Likewise of the calibration slope.
        auroc_width: Likewise of the AUROC.
        benefit_width: Likewise of the net benefit as a share of the prevalence.
        patients: Patients there are.

    Raises:
        ValueError: A number out of range.
    """
    if not min(ratio_width, slope_width, auroc_width, benefit_width) > 0:
        raise ValueError("Widths of intervals must be above 0.")
    if threshold is not None and not 0 < threshold < 1:
        raise ValueError(f"threshold == {threshold}, must be above 0 and below 1.")
    implied = Spread.from_auroc(auroc, prevalence)
    risks = implied if spread is None else spread
    criteria = [
        Criterion(
            "observed_expected",
            f"observed / expected in an interval of width {ratio_width:g}",
            _for_ratio(prevalence, ratio_width),
        ),
        Criterion(
            "calibration_slope",
            f"calibration slope in an interval of width {slope_width:g}",
            _for_slope(risks, slope_width),
        ),
        Criterion(
            "auroc",
            f"AUROC in an interval of width {auroc_width:g}",
            _for_auroc(auroc, prevalence, auroc_width),
        ),
        _for_benefit(risks, prevalence, threshold, benefit_width),
    ]
    assumed = {"prevalence": prevalence, "auroc": auroc}
    if threshold is not None:
        assumed["threshold"] = threshold
    return SampleSize("validation", assumed, tuple(criteria), patients)


def auroc_error(auroc: float, prevalence: float, patients: int) -> float:
    """The standard error to expect of an AUROC in so many patients.

    Source: Newcombe 2006, doi:10.1002/sim.2324.
    """
    half = patients / 2 - 1
    pairs = 1 + half * (1 - auroc) / (2 - auroc) + half * auroc / (1 + auroc)
    return math.sqrt(auroc * (1 - auroc) * pairs / (patients**2 * prevalence * (1 - prevalence)))


def benefit_error(
    prevalence: float, sensitivity: float, specificity: float, threshold: float, patients: int
) -> float:
    """The standard error to expect of net benefit / prevalence in so many patients.

    Source: Marsh 2020, doi:10.1111/biom.13190, as in Riley 2021.
    """
    rate = (1 - prevalence) / prevalence * threshold / (1 - threshold)
    alarms = 1 - specificity
    variance = (
        sensitivity * (1 - sensitivity) / prevalence
        + rate**2 * specificity * alarms / (1 - prevalence)
        + rate**2 * alarms**2 / (prevalence * (1 - prevalence))
    )
    return math.sqrt(variance / patients)


def _for_ratio(prevalence: float, width: float) -> int:
    """Interval exp(-z se) to exp(z se) about 1: its width is 2 sinh(z se)."""
    error = math.asinh(width / 2) / Z
    return math.ceil((1 - prevalence) / (prevalence * error**2))


def _for_slope(spread: Spread, width: float) -> int:
    """From the information on intercept and slope that one patient brings, on average."""
    information = spread.shares * spread.risks * (1 - spread.risks)
    total = float(information.sum())
    middle = float(information @ spread.margins) / total
    about = float(information @ (spread.margins - middle) ** 2)
    if not about > 0:
        raise ValueError("Every risk is the same; no number of patients gives a slope.")
    return math.ceil((2 * Z / width) ** 2 / about)


def _for_auroc(auroc: float, prevalence: float, width: float) -> int:
    """The first number of patients whose interval is narrow enough; found by halving."""
    few, many = 1, 2
    while 2 * Z * auroc_error(auroc, prevalence, many) > width:
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        narrow = 2 * Z * auroc_error(auroc, prevalence, middle) <= width
        few, many = (few, middle) if narrow else (middle, many)
    return many


def _for_benefit(
    spread: Spread, prevalence: float, threshold: float | None, width: float
) -> Criterion:
    label = f"net benefit / prevalence in an interval of width {width:g}"
    if threshold is None:
        return Criterion("net_benefit", label, None, "No threshold was declared.")
    alone = benefit_error(
        prevalence, spread.sensitivity(threshold), spread.specificity(threshold), threshold, 1
    )
    return Criterion("net_benefit", label, max(1, math.ceil((2 * Z * alone / width) ** 2)))
