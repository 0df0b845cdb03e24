"""The sections of a report on results: patients, the model, and how good it is.

The ids of the sections are those that the checklists point to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from spinecast.fitting.training import OURS
from spinecast.measures.evaluation import Estimate
from spinecast.reports.report_numbers import (
    NOT_RUN,
    SITES,
    STEPS,
    UPDATING,
    Evidence,
    analyses,
    interval,
    performance_in_words,
    scheme_in_words,
)
from spinecast.reports.report_parts import Section, Table

MEASURED = ("auroc", "log_loss", "calibration_slope", "observed_expected")


def results(found: Evidence) -> Iterator[Section]:
    """What came out, and what was not run."""
    described, result, internal = found.described, found.result, found.internal
    rows = described.flow
    yield Section(
        "flow",
        "Flow of patients",
        (described.in_words,),
        (
            Table(
                "From rows to patients",
                ("Step", "Patients"),
                (
                    ("Rows read", f"{rows.rows_read:,}"),
                    ("Rejected", f"{rows.rejected:,}"),
                    ("Accepted", f"{rows.accepted:,}"),
                    ("Outcome known", f"{rows.outcome_known:,}"),
                    ("Lost to follow-up", f"{rows.lost:,}"),
                    *(
                        (f"Rejected by: {rule}", _count(count))
                        for rule, count in rows.rejected_by_rule.items()
                    ),
                ),
            ),
        ),
    )
    yield Section(
        "participants",
        "Patients",
        (described.characteristics_method,),
        (_characteristics(found),),
    )
    yield Section(
        "model",
        "The model",
        (
            (
                f"Intercept {result.model.intercept:.4f} on the log-odds scale; all coefficients "
                f"are "
                "in model.json. Effects are against the reference patient."
            ),
        ),
    )
    yield Section(
        "performance",
        "Performance",
        tuple(performance_in_words(found)),
        (
            Table(
                "On patients the fits had not seen, each method on the same folds",
                ("Method", *(result.performance[OURS][name].label for name in MEASURED)),
                tuple(
                    (name, *(_told(one[measure]) for measure in MEASURED))
                    for name, one in result.performance.items()
                ),
            ),
        ),
    )
    yield Section("calibration", "Calibration", ("Whether predicted risks came true.",))
    yield Section(
        "internal-validation",
        "Internal validation",
        (scheme_in_words(found), f"Inside each fit: {', '.join(STEPS)}.")
        + (internal.notes if internal else ()),
        tuple(_validated(found)),
        lacking=() if internal else (NOT_RUN,),
    )
    yield Section("subgroups", "Groups of patients", (found.groups.in_words, found.groups.method))
    yield _sites(found)
    yield Section("updating", "Updating", (UPDATING,))


def _validated(found: Evidence) -> Iterator[Table]:
    yield Table(
        "Patients of each analysis",
        ("Analysis", "Patients", "With the outcome"),
        tuple(
            (str(one["analysis"]), f"{one['patients']:,}", f"{one['events']:,}")
            for one in analyses(found)
        ),
    )
    if found.internal and found.internal.optimism:
        yield Table(
            "Corrected for optimism",
            ("Measure", "Apparent", "Optimism", "Corrected"),
            tuple(
                (
                    one.label,
                    _number(one.apparent),
                    _number(one.optimism),
                    interval(one.corrected, one.low, one.high),
                )
                for one in found.internal.optimism.measures
            ),
        )


def _sites(found: Evidence) -> Section:
    sites = {str(site) for site in found.labelled.cohort.site if site}
    title = "Site by site"
    if len(sites) < 2:
        return Section("sites", title, ("Not applicable: fewer than two sites are known.",))
    told = found.internal.sites if found.internal else None
    if told is None or not told.sites:
        notes = told.notes if told else ()
        return Section("sites", title, (), lacking=notes or (NOT_RUN,), is_missing=True)
    table = Table(
        "Each site predicted from the others",
        ("Site", *(told.sites[0].performance[name].label for name in MEASURED)),
        tuple((s.name, *(_told(s.performance[name]) for name in MEASURED)) for s in told.sites),
    )
    return Section("sites", title, (SITES, *told.notes), (table,))


def _characteristics(found: Evidence) -> Table:
    """All patients and those with and without the outcome; unknown answers beside."""
    described = found.described
    columns = tuple(described.characteristics[0].known) if described.characteristics else ()
    rows: list[tuple[str, ...]] = []
    for one in described.characteristics:
        unit = f" ({one.unit})" if one.unit else ""
        if one.quartiles is not None:
            cells = tuple(
                "kept back" if q is None else f"{q.median:.4g} ({q.low:.4g} to {q.high:.4g})"
                for q in (one.quartiles[column] for column in columns)
            )
            rows.append((f"{one.label}{unit}, median (quartiles)", *cells))
        rows.extend(
            (f"{one.label}: {level}", *(_cell(by[c].patients, by[c].share) for c in columns))
            for level, by in one.levels.items()
        )
        unknown = (_cell(one.unknown[c].patients, one.unknown[c].share) for c in columns)
        rows.append((f"{one.label}: unknown", *unknown))
    return Table(
        "Characteristics by outcome",
        ("Factor", *(column.replace("_", " ").capitalize() for column in columns)),
        tuple(rows),
    )


def _cell(patients: int | None, share: float | None) -> str:
    if patients is None:
        return "kept back"
    return f"{patients:,}" + ("" if share is None else f" ({share:.0%})")


def _count(count: int | None) -> str:
    return "fewer than five" if count is None else f"{count:,}"


def _told(one: Estimate) -> str:
    return interval(one.value, one.low, one.high)


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "not computed"
