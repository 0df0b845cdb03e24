"""The sections of a report on methods: who was eligible, what was asked, how the model was made.

The ids of the sections are those that the checklists point to.
"""

from __future__ import annotations

from collections.abc import Iterator

from spinecast.measures.metrics import MEASURES
from spinecast.reports.report_numbers import POLICY, UNALTERED, Evidence
from spinecast.reports.report_parts import Section, Table


def methods(found: Evidence) -> Iterator[Section]:
    """How the model was made and judged, and what a person has not yet said of it."""
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


def _lacking(found: Evidence, *keys: str) -> tuple[str, ...]:
    """What a person has not written of a section."""
    blank = [key for key in keys if not found.study.get(key)]
    return (f"Not stated in study.toml: {', '.join(blank)}.",) if blank else ()
