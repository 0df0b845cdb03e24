"""What a report says, section by section: words, tables and figures, and what is missing of them.

The ids of the sections are those that the checklists point to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spinecast.evaluation import Estimate
from spinecast.metrics import MEASURES
from spinecast.report_figures import Drawn
from spinecast.report_numbers import (
    NOT_RUN,
    POLICY,
    SITES,
    STEPS,
    UNALTERED,
    UPDATING,
    Evidence,
    analyses,
    interval,
    performance_in_words,
    scheme_in_words,
)
from spinecast.training import OURS

MEASURED = ("auroc", "log_loss", "calibration_slope", "observed_expected")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Attributes:
        id: The place checklists point to.
        title: Its heading.
        words: Paragraphs.
        tables: Below them.
        figures: Below those.
        lacking: What is missing here, in words.
        is_missing: Whether what the section is for is missing altogether.
    """

    id: str
    title: str
    words: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    figures: tuple[Drawn, ...] = ()
    lacking: tuple[str, ...] = ()
    is_missing: bool = False


def sections(found: Evidence, drawn: Sequence[Drawn]) -> tuple[Section, ...]:
    """All sections in their order, each with the figures that belong to it."""

    def of(section: Section) -> Section:
        figures = tuple(one for one in drawn if one.section == section.id)
        return Section(
            section.id,
            section.title,
            section.words,
            section.tables,
            figures,
            section.lacking,
            section.is_missing,
        )

    return tuple(of(one) for one in (*_methods(found), *_results(found)))


def _methods(found: Evidence) -> Iterator[Section]:
    result, described = found.result, found.described
    registry, recipe = result.model.registry, result.recipe
    yield Section(
        "eligibility",
        "Who was eligible",
        (
            (
                "A yes to any of these questions put a patient out of scope. Rows that break a "
                "rule "
                "of the registry were rejected; each reason is counted below."
            ),
        ),
        (
            Table(
                "Out of scope",
                ("Question", "Reason"),
                tuple((one.question, one.reason) for one in registry.exclusions),
            ),
        ),
        lacking=_lacking(found, "data.eligibility", "data.setting"),
    )
    outcome = described.outcome
    yield Section(
        "outcome",
        "Outcome",
        (outcome.definition, f"Judged: {outcome.horizon}.", outcome.in_words),
        lacking=_lacking(found, "outcome.assessment", "outcome.blinding"),
    )
    yield Section(
        "predictors",
        "Predictors",
        (str(described.predictors["in_words"]), "The same questions are asked of everyone."),
        (
            Table(
                "Factors",
                ("Factor", "Kind", "Known", "Question"),
                tuple((f.label, f.kind, f.known_at, f.question) for f in registry.factors),
            ),
        ),
        lacking=_lacking(found, "predictors.measurement", "predictors.blinding"),
    )
    sizes = [size for size in (found.development, found.validation) if size is not None]
    yield Section(
        "sample-size",
        "Sample size",
        tuple(f"{size.purpose.capitalize()}: {size.sentence}" for size in sizes)
        or ("Not computed: the model ranks no better than chance.",),
        tuple(
            Table(
                f"Patients needed for {size.purpose}",
                ("Criterion", "Patients"),
                tuple(
                    (one.label, one.note if one.needed is None else f"{one.needed:,}")
                    for one in size.criteria
                ),
            )
            for size in sizes
        ),
        is_missing=not sizes,
    )
    yield Section(
        "encoding",
        "How answers become numbers",
        (
            (
                "Every column is zero for the reference patient. Ordered levels are steps, "
                "unordered "
                "ones stand for themselves, numbers are broken lines that bend at the population's "
                f"mean and one standard deviation either side. {len(registry.factors)} factors "
                f"make "
                f"{len(result.model.encoding)} columns; model.json lists them with their numbers."
            ),
            POLICY,
        ),
    )
    choices = result.choices
    yield Section(
        "methods",
        "How the model was made",
        tuple(
            text
            for text in (
                recipe.question,
                f"Decision rule: {recipe.decision_rule}" if recipe.decision_rule else "",
                (
                    "Logistic regression with normal priors around the literature's odds ratios "
                    "and "
                    "declared directions as bounds, then shallow boosted trees where unseen "
                    "patients "
                    "gain by them, then recalibration on unseen patients."
                ),
                (
                    f"Cross-validation chose: literature trusted by {choices.weight:g}, priors "
                    f"{choices.scale:g} times as wide, {choices.rounds} rounds of trees."
                ),
                UNALTERED,
            )
            if text
        ),
    )
    yield Section(
        "measures",
        "Measures of performance",
        (
            (
                "Discrimination, calibration and overall accuracy; no measure needs a cut-off. "
                "Intervals are of the bootstrap over patients."
            ),
        ),
        (
            Table(
                "Measures",
                ("Measure", "Better", "Ideal"),
                tuple((one.label, one.better, f"{one.ideal:g}") for one in MEASURES),
            ),
        ),
        lacking=_lacking(found, "use.thresholds", "use.clinical_action"),
    )
    yield Section(
        "calculation",
        "How a risk is calculated",
        (
            (
                "Risk = 1 / (1 + exp(-margin)); the margin is the intercept, plus each column "
                "times "
                "its coefficient, plus what the trees add. The coefficients stand in model.json. "
                "`spinecast score` calculates risks from the model's folder."
            ),
        ),
    )
    yield Section(
        "output",
        "What the model answers",
        (
            (
                f"A risk from 0 to 1 with a {result.model.level:.0%} interval, the contribution of "
                "each factor against the reference patient, and doubts about the input. It gives "
                "no "
                "classes and no cut-off."
            ),
        ),
        lacking=_lacking(found, "use.thresholds_reason", "use.intended_use"),
    )


def _results(found: Evidence) -> Iterator[Section]:
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
    return Table("Characteristics by outcome", ("Factor", *columns), tuple(rows))


def _lacking(found: Evidence, *keys: str) -> tuple[str, ...]:
    """What a person has not written of a section."""
    blank = [key for key in keys if not found.study.get(key)]
    return (f"Not stated in study.toml: {', '.join(blank)}.",) if blank else ()


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
