"""The sections of a report on internal validation: optimism, stability, other sites, less known.

The ids of the sections are those that the checklists point to. What was not run is said to be
missing; what could not be computed is said with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spinecast.fitting.elsewhere import SCALES, Elsewhere, OtherSites
from spinecast.fitting.in_use import InUse
from spinecast.fitting.optimism import Optimism
from spinecast.measures.evaluation import Estimate
from spinecast.measures.pooling import Pooled
from spinecast.measures.stability import Instability
from spinecast.reports.evidence import Evidence
from spinecast.reports.figures import BOOTSTRAP
from spinecast.reports.numbers import analyses
from spinecast.reports.parts import Section, Table
from spinecast.reports.sentences import NOT_RUN, SITES, inside_in_words, scheme_in_words
from spinecast.reports.written import signed, told

MEASURED = ("auroc", "log_loss", "calibration_slope", "observed_expected")
FILE = "internal_validation.json"
NO_LESS = (
    "Not tried with less known than was recorded: a recipe says how much less (`unknown_share`, "
    "`unknown_factors`), and `--proof` tries it."
)


def validation(found: Evidence) -> Iterator[Section]:
    """What refits of the whole method say."""
    internal = found.internal
    tables = list(_optimism(internal.optimism)) if internal and internal.optimism else []
    yield Section(
        "internal-validation",
        "Does it flatter itself?",
        (inside_in_words(found), *(internal.notes if internal else ())),
        (*tables, _analyses(found)),
        lacking=() if internal else (NOT_RUN,),
    )
    yield _learning(found)
    yield _stability(found)
    yield _in_use(found)


def elsewhere(found: Evidence) -> Iterator[Section]:
    """Other sites and a later period."""
    yield _sites(found)
    yield _period(found)


def _optimism(told_of: Optimism) -> Iterator[Table]:
    if told_of.measures:
        yield Table(
            "table-optimism",
            "Performance corrected for having been judged on the patients learned from",
            ("Measure", "Apparent", "Optimism", "Corrected (95% interval)"),
            tuple(
                (
                    one.label,
                    told(one.apparent),
                    told(one.optimism),
                    told(one.corrected, one.low, one.high),
                )
                for one in told_of.measures
            ),
            f"Harrell's bootstrap, {told_of.used} of {told_of.bootstraps} refits of the whole "
            f"method used. {told_of.interval}",
            f"{FILE}#/optimism/measures",
        )


def _analyses(found: Evidence) -> Table:
    return Table(
        "table-analyses",
        "Patients of each analysis",
        ("Analysis", "Patients", "With the outcome"),
        tuple(
            (str(one["analysis"]), f"{one['patients']:,}", f"{one['events']:,}")
            for one in analyses(found)
        ),
        scheme_in_words(found),
        f"{FILE}#/analyses",
    )


def _learning(found: Evidence) -> Section:
    title, internal = "Would more patients help?", found.internal
    curve = internal.learning if internal else None
    if curve is None or not curve.sizes:
        why = curve.notes if curve else ()
        return Section("learning", title, (), lacking=why or (NOT_RUN,), is_missing=True)
    table = Table(
        "table-learning",
        "How good the method is when it learns from so many patients",
        ("Learned from", "With the outcome", *(one.label for one in curve.sizes[0].measures)),
        tuple(
            (
                f"{size.patients:,}",
                f"{size.events:,.0f}",
                *(told(one.mean, one.lowest, one.highest) for one in size.measures),
            )
            for size in curve.sizes
        ),
        f"{curve.repeats} repeats at each size, judged on {curve.tested:,.0f} patients left out; "
        "mean, in brackets the lowest and highest of the repeats.",
        f"{FILE}#/learning/sizes",
    )
    return Section("learning", title, tuple(step.in_words for step in curve.steps), (table,))


def _stability(found: Evidence) -> Section:
    title, internal = "How steady are the risks?", found.internal
    steady = internal.optimism.instability if internal and internal.optimism else None
    if steady is None:
        return Section("stability", title, (), lacking=(NOT_RUN,), is_missing=True)
    return Section("stability", title, (_steady(steady),))


def _steady(steady: Instability) -> str:
    width = np.quantile(steady.high - steady.low, (0.5, 0.9)) * 100
    return (
        f"Had other such patients been learned from, a risk would differ by "
        f"{100 * steady.mean_error:.1f} points of 100 on average. For half of the patients the "
        f"middle {steady.level:.0%} of the refits' risks is wider than {width[0]:.0f} points, for "
        f"a tenth wider than {width[1]:.0f}."
    )


def _in_use(found: Evidence) -> Section:
    title = "With what is known in use"
    shares = [one for one in found.described.missing.values() if one is not None]
    words = [
        (
            f"Of all answers {np.mean(shares):.0%} are unknown in these patients; every number "
            "above was reached with that."
        )
    ]
    used = found.internal.in_use if found.internal else None
    if used is None or not used.known:
        why = used.notes if used else (NO_LESS,)
        return Section("in-use", title, tuple(words), lacking=tuple(why))
    return Section("in-use", title, (*words, *used.notes), tuple(_less_known(used)))


def _less_known(used: InUse) -> Iterator[Table]:
    first = used.known[0].performance
    yield Table(
        "table-in-use",
        "How good the model is when less is known",
        ("Known", "Answers unknown", *(first[name].label for name in MEASURED)),
        tuple(
            (
                one.name,
                f"{one.unknown_share:.0%}",
                *(_limits(one.performance[name]) for name in MEASURED),
            )
            for one in used.known
        ),
        "The same patients predicted by the same fits, which had not seen them; answers blanked "
        f"at random or as named. {BOOTSTRAP}",
        "missing.json#/in_use/known",
    )
    if used.differences and used.differences.differences:
        told_of = [one for one in used.differences.differences if one.measure in MEASURED[:2]]
        yield Table(
            "table-in-use-lost",
            "What is lost by knowing less",
            ("Known", "Measure", "Better by (95% interval)"),
            tuple((one.model, one.label, signed(one.lead, one.low, one.high)) for one in told_of),
            "Paired, on the same resamples; below 0, knowing less is worse.",
            "missing.json#/in_use/differences/differences",
        )


def _sites(found: Evidence) -> Section:
    title, number = "At another hospital", found.described.sites["number"]
    if number < 2:
        why = f"Not applicable. {found.described.sites['in_words']}"
        return Section("sites", title, (why,))
    sites = found.internal.sites if found.internal else None
    if sites is None or not sites.sites:
        notes = sites.notes if sites else ()
        return Section("sites", title, (), lacking=notes or (NOT_RUN,), is_missing=True)
    tables = (_each("table-sites", "Each site predicted from the others", sites.sites, "sites"),)
    return Section("sites", title, (SITES, *sites.notes), (*tables, *_pooled(sites)))


def _each(name: str, caption: str, judged: tuple[Elsewhere, ...], place: str) -> Table:
    return Table(
        name,
        caption,
        ("Tested on", "Patients (with the outcome)", "Learned from",
         *(judged[0].performance[measure].label for measure in MEASURED)),
        tuple(
            (
                one.name,
                f"{one.performance.patients:,} ({one.performance.events:,})",
                f"{one.learned_from:,} ({one.learned_events:,})",
                *(_limits(one.performance[measure]) for measure in MEASURED),
            )
            for one in judged
        ),
        "The whole method learned anew without the patients tested. " + BOOTSTRAP,
        f"{FILE}#/{place}",
    )  # fmt: skip


def _pooled(sites: OtherSites) -> Iterator[Table]:
    rows = [
        _summed(one.label, one.pooled.shown(SCALES[one.measure].back)) for one in sites.summaries
    ]
    if rows:
        yield Table(
            "table-pooled",
            "Over all sites, and what to expect at another",
            (
                "Measure",
                "Summary (95% interval)",
                "Expected at another site",
                "SD between sites",
                "Variation that is no chance",
            ),
            tuple(rows),
            "Random effects: REML, Hartung-Knapp interval, 95% prediction interval. AUROC is "
            "pooled on the log-odds scale, observed / expected on the log scale; the SD is on "
            "that.",
            "sites.json#/summary",
        )


def _summed(label: str, shown: Pooled) -> tuple[str, ...]:
    expected = (
        f"{told(shown.expected_low)} to {told(shown.expected_high)}"
        if np.isfinite(shown.expected_low)
        else "not computed"
    )
    return (
        label,
        told(shown.summary, shown.low, shown.high),
        expected,
        told(shown.tau, digits=2),
        f"{shown.i2:.0%}" if np.isfinite(shown.i2) else "not computed",
    )


def _period(found: Evidence) -> Section:
    title, internal = "In later patients", found.internal
    period = internal.period if internal else None
    if period is None or period.later is None:
        why = period.notes if period else ()
        return Section("period", title, (), lacking=why or (NOT_RUN,), is_missing=True)
    caption = f"Patients since {period.since} predicted from those before"
    table = _each("table-period", caption, (period.later,), "period/later")
    return Section("period", title, period.notes, (table,))


def _limits(one: Estimate) -> str:
    return told(one.value, one.low, one.high)
