"""The section of a report on groups of patients: how good, and how different from all others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spinecast.judging.subgroups import Group
from spinecast.reports.evidence import Evidence
from spinecast.reports.parts import Section, Table
from spinecast.reports.sentences import one_risk
from spinecast.reports.written import signed, told

MEASURED = ("auroc", "observed_expected", "calibration_intercept", "calibration_slope")
LABELS = ("AUROC", "Observed / expected", "Calibration intercept", "Calibration slope")
FILE = "subgroups.json#/groups"


def groups(found: Evidence) -> Section:
    """How good the model is for each group that is large enough to be judged."""
    told_of = found.groups
    method = f"{one_risk(found)} {told_of.method}"
    rows = [told_of.overall, *told_of.groups]
    tables = [
        Table(
            "table-groups",
            "How good the model is for each group",
            ("Group", "Patients (with the outcome)", *LABELS),
            tuple((one.named, _size(one), *_measures(one)) for one in rows),
            method,
            FILE,
        )
    ]
    judged = told_of.judged
    if any(part.against_rest for one in judged for part in one.measures):
        tables.append(
            Table(
                "table-groups-apart",
                "How each group differs from all other patients",
                ("Group", "AUROC, difference", "Observed / expected, ratio",
                 "Calibration intercept, difference", "Calibration slope, difference"),
                tuple((one.named, *_apart(one)) for one in judged),
                "The group less (or divided by) the rest, 95% intervals; they are not corrected "
                "for the number of comparisons.",
                FILE,
            )
        )  # fmt: skip
    tables.extend(_benefits(one_risk(found), judged))
    return Section("subgroups", "For whom?", (told_of.in_words,), tuple(tables))


def _size(one: Group) -> str:
    if one.patients is None:
        return "kept back"
    events = "kept back" if one.events is None else f"{one.events:,}"
    return f"{one.patients:,} ({events})"


def _measures(one: Group) -> Iterator[str]:
    if one.suppressed:
        yield f"Not judged: {one.suppressed}"
        yield from [""] * (len(MEASURED) - 1)
        return
    for name in MEASURED:
        found = one[name].measured
        yield told(found.value, found.low, found.high, 2)


def _apart(one: Group) -> Iterator[str]:
    for name in MEASURED:
        apart = one[name].against_rest
        if apart is None:
            yield "no others to compare"
        else:
            write = told if apart.scale == "ratio" else signed
            mark = " *" if apart.is_established else ""
            yield write(apart.value, apart.low, apart.high, 2) + mark


def _benefits(risks: str, judged: Sequence[Group]) -> Iterator[Table]:
    """Net benefit at the ends and in the middle of the declared thresholds."""
    thresholds = [one.threshold for one in judged[0].decisions] if judged else []
    if thresholds:
        yield Table(
            "table-groups-benefit",
            "What acting on the risks gains in each group over acting on all or on none",
            ("Group", *(f"Net benefit gained at {threshold:.0%}" for threshold in thresholds)),
            tuple(
                (
                    one.named,
                    *(signed(d.gain.value, d.gain.low, d.gain.high) for d in one.decisions),
                )
                for one in judged
            ),
            f"{risks} Both ends and the middle of the thresholds declared beforehand; 95% "
            "intervals by the bootstrap over the patients of the group.",
            FILE,
        )
