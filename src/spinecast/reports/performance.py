"""The sections of a report on how good the model is, beside what others would give.

The ids of the sections are those that the checklists point to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spinecast.drawing.canvas import spaced
from spinecast.fitting.baselines import SIMPLE
from spinecast.fitting.training import OURS
from spinecast.measures.decisions import Limits
from spinecast.measures.distances import DistanceIntervals
from spinecast.measures.evaluation import Comparison, Difference, Estimate
from spinecast.measures.metrics import MEASURES
from spinecast.measures.sample_size import SampleSize
from spinecast.reports.evidence import Evidence
from spinecast.reports.figures import BOOTSTRAP
from spinecast.reports.parts import Section, Table
from spinecast.reports.sentences import (
    NOT_DECLARED,
    PAIRED,
    alike,
    limitations,
    one_risk,
    performance_in_words,
    scheme_in_words,
    simple_in_words,
    unseen_in_words,
)
from spinecast.reports.written import signed, told

MEASURED = ("auroc", "log_loss", "brier", "calibration_slope", "observed_expected")
COMPARED = ("auroc", "log_loss", "brier")
DISTANCES = {
    "ici": "Calibration error, mean (ICI)",
    "e50": "Calibration error, median (E50)",
    "e90": "Calibration error, 90th centile (E90)",
}
PLAINLY = {
    "worse": "Ours is better",
    "better": "Ours is worse",
    "not established": "No difference established",
}
AS_IT_IS = "The model in use is no part of the folds: its risks are taken as it gives them. "
THRESHOLDS = 7
"""Rows of the table of net benefit; the file has every threshold."""


def performance(found: Evidence) -> Iterator[Section]:
    """How good, beside what, and whether there are patients enough to say so."""
    yield _overall(found)
    yield _comparison(found)
    yield Section(
        "calibration",
        "Do the risks come true?",
        ("Of patients given a risk of 20%, 20 in 100 should have the outcome.",),
    )
    yield _decisions(found)
    yield _sample_size(found)
    yield Section("limitations", "What speaks against it", tuple(limitations(found)))


def _overall(found: Evidence) -> Section:
    ours = found.result.performance[OURS]
    aims = {one.name: one for one in MEASURES}
    rows = [
        (one.label, told(one.value, one.low, one.high), _aim(aims[one.measure].better), "bootstrap")
        for one in ours.estimates
    ]
    area = found.judged.auroc
    rows.insert(
        1, ("AUROC, first repeat", told(area.value, area.low, area.high), "higher", "DeLong")
    )
    by = "bootstrap" if found.result.apart else "bootstrap, first repeat"
    rows += [
        (label, told(*_distance(found.judged.distances, name)), "lower", by)
        for name, label in DISTANCES.items()
    ]
    table = Table(
        "table-performance",
        "How good the model is on patients its fits had not seen",
        ("Measure", "Estimate (95% interval)", "Better", "Interval by"),
        tuple(rows),
        scheme_in_words(found)
        + ("" if found.result.apart else " Measures are means over the repeats."),
        "performance.json#/performance/spinecast/estimates",
    )
    return Section("performance", "How good is it?", tuple(performance_in_words(found)), (table,))


def _aim(better: str) -> str:
    return "nearer the ideal" if better == "nearer" else better


def _distance(found: DistanceIntervals, name: str) -> tuple[float, float, float]:
    value, low, high = (getattr(part, name) for part in (found.value, found.low, found.high))
    return value, low, high


def _comparison(found: Evidence) -> Section:
    result = found.result
    methods = Table(
        "table-methods",
        f"Every method on {alike(found)}",
        ("Method", *(result.performance[OURS][name].label for name in MEASURED)),
        tuple(
            (name, *(told(*_limits(one[measure])) for measure in MEASURED))
            for name, one in result.performance.items()
        ),
        unseen_in_words(found) + (AS_IT_IS if result.rival else "") + BOOTSTRAP,
        "performance.json#/performance",
    )
    paired = tuple(_paired(found))
    rival = result.rival
    remarks = (f"The model in use is {rival.name}. {' '.join(rival.remarks)}",) if rival else ()
    return Section(
        "comparison",
        "Is a simple model as good?",
        (simple_in_words(found), *remarks),
        (methods, *paired),
        lacking=()
        if rival
        else ("The model in use was not compared: none was named (`train --against`).",),
    )


def _paired(found: Evidence) -> Iterator[Table]:
    comparison = found.result.comparison
    by = differences(comparison)
    if by:
        yield Table(
            "table-simple",
            "Is the simple model as good? By how much ours is better than each",
            ("Against", "AUROC", "Log-loss", "Brier score", "By log-loss"),
            tuple(
                (
                    f"{name} (simple)" if name in SIMPLE else name,
                    *(_lead(parts[measure]) for measure in COMPARED),
                    PLAINLY[parts["log_loss"].verdict],
                )
                for name, parts in by.items()
            ),
            PAIRED.format(alike=alike(found), level=comparison.level) + " Above 0, ours is better.",
            "performance.json#/comparison/differences",
        )


def differences(comparison: Comparison) -> Mapping[str, Mapping[str, Difference]]:
    """Differences by method, then by measure."""
    by: dict[str, dict[str, Difference]] = {}
    for one in comparison.differences:
        by.setdefault(one.model, {})[one.measure] = one
    return by


def _lead(rival: Difference) -> str:
    """By how much ours is better; the record says by how much the rival is."""
    return signed(-rival.lead, -rival.high, -rival.low)


def _limits(one: Estimate | Limits) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _decisions(found: Evidence) -> Section:
    title, judged = "Would acting on it do good?", found.judged
    if judged.decisions is None or judged.thresholds is None:
        return Section("decisions", title, (), lacking=(NOT_DECLARED,), is_missing=True)
    curve = judged.decisions
    shown = [curve.decisions[i] for i in spaced(len(curve.decisions), THRESHOLDS)]
    table = Table(
        "table-decisions",
        f"Acting from a threshold on: {judged.thresholds.action}",
        ("Threshold", "Net benefit", "Of acting on all", "Gain over the better of all and none",
         "Actions spared per 100, none missed"),
        tuple(
            (
                f"{one.threshold:.0%}",
                told(*_limits(one.model)),
                told(one.treat_all.value),
                signed(*_limits(one.gain)),
                signed(*_limits(one.avoided_per_100), 1),
            )
            for one in shown
        ),
        f"{one_risk(found)} Pointwise {curve.level:.0%} intervals by {curve.resamples} bootstrap "
        "resamples; thresholds declared beforehand.",
        "decision_curve.json#/net_benefit",
    )  # fmt: skip
    words = str(judged.to_dict()["decision_curve"]["in_words"])
    return Section("decisions", title, (words,), (table,))


def _sample_size(found: Evidence) -> Section:
    sizes = [size for size in (found.development, found.validation) if size is not None]
    columns = len(found.result.model.encoding)
    words = (
        found.standing.in_words,
        (
            f"The program counts {columns} parameters: every level, step and bend of the factors. "
            "The criteria suppose a regression that starts from nothing; priors around published "
            "effects need fewer, nobody knows how many, so the verdict is on the careful side."
        ),
    )
    return Section(
        "sample-size",
        "Are there patients enough?",
        words,
        tuple(_needed(size) for size in sizes),
        is_missing=not sizes,
    )


def _needed(size: SampleSize) -> Table:
    assumed = ", ".join(
        f"{name.replace('_', ' ')} {value:.3g}" for name, value in size.assumed.items()
    )
    papers = {
        "development": "Riley 2019, doi:10.1002/sim.7992, and Riley 2020, doi:10.1136/bmj.m441",
        "validation": "Riley 2021, doi:10.1002/sim.9025, "
        "and Riley 2024, doi:10.1136/bmj-2023-074821",
    }
    return Table(
        f"table-size-{size.purpose}",
        f"Patients needed for {size.purpose}: {size.verdict}",
        ("Criterion", "Patients"),
        tuple(
            (one.label, one.note if one.needed is None else f"{one.needed:,}")
            for one in size.criteria
        ),
        f"{papers[size.purpose]}. Assumed: {assumed}. The largest number decides.",
        f"sample_size.json#/{size.purpose}/criteria",
        is_numeric=False,
    )
