"""The sections of a report on methods: who was eligible, what was asked, how the model was made.

The ids of the sections are those that the checklists point to.
"""

from __future__ import annotations

from collections.abc import Iterator

from spinecast.measures.metrics import MEASURES
from spinecast.reports.evidence import Evidence
from spinecast.reports.parts import Section, Table, lacking
from spinecast.reports.sentences import (
    POLICY,
    SELECTION,
    UNALTERED,
    UPDATING,
    inside_in_words,
    scheme_in_words,
)

DECLARED = "Declared in the registry, before any patient was seen."


def asked(found: Evidence) -> Iterator[Section]:
    """Whom the model is for, what it predicts, and from what."""
    registry, outcome = found.result.model.registry, found.described.outcome
    scope = Table(
        "table-scope",
        "A yes to any of these puts a patient out of scope",
        ("Question", "Reason"),
        tuple((one.question, one.reason) for one in registry.exclusions),
        DECLARED,
        "definitions.json#/out_of_scope",
        is_numeric=False,
    )
    yield Section(
        "eligibility",
        "Who was eligible",
        (("Rows that break a rule of the registry were rejected; each reason is counted in the "
         "flow of patients."),),
        (scope,) if registry.exclusions else (),
        lacking=lacking(found, "data.eligibility", "data.setting"),
    )  # fmt: skip
    yield Section(
        "outcome",
        "Outcome",
        (outcome.definition, f"Judged: {outcome.horizon}.", outcome.in_words),
        lacking=lacking(found, "outcome.assessment", "outcome.blinding"),
    )
    yield Section(
        "predictors",
        "Predictors",
        (
            str(found.described.predictors["in_words"]),
            SELECTION.format(factors=len(registry.factors)),
            "The same questions are asked of everyone.",
        ),
        (
            Table(
                "table-factors",
                "Factors, and when each is known",
                ("Factor", "Kind", "Known at", "Question"),
                tuple((f.label, f.kind, f.known_at, f.question) for f in registry.factors),
                DECLARED,
                "definitions.json#/factors",
                is_numeric=False,
            ),
        ),
        lacking=lacking(found, "predictors.measurement", "predictors.blinding"),
    )


def made(found: Evidence) -> Iterator[Section]:
    """How the model was made, judged and may be used."""
    result = found.result
    registry, recipe, choices = result.model.registry, result.recipe, result.choices
    yield Section(
        "encoding",
        "How answers become numbers",
        (
            (
                "Every column is zero for the reference patient. Ordered levels are steps, "
                "unordered ones stand for themselves, numbers are broken lines that bend at the "
                f"population's mean and one standard deviation either side. "
                f"{len(registry.factors)} factors make {len(result.model.encoding)} columns; "
                "model.json lists them with their numbers."
            ),
            POLICY,
        ),
    )
    words = (
        recipe.question,
        f"Decision rule, written before the training: {recipe.decision_rule}"
        if recipe.decision_rule
        else "",
        (
            "Logistic regression with normal priors around the literature's odds ratios and "
            "declared directions as bounds, then shallow boosted trees where unseen patients gain "
            "by them, then recalibration on unseen patients."
        ),
        (
            f"Chosen on patients the fits had not seen: literature trusted by {choices.weight:g}, "
            f"priors {choices.scale:g} times as wide, {choices.rounds} rounds of trees."
        ),
        f"{scheme_in_words(found)} {inside_in_words(found)}",
        UNALTERED,
    )
    yield Section("methods", "How the model was made", tuple(text for text in words if text))
    yield Section(
        "measures",
        "Measures of performance",
        ("Discrimination, calibration and overall accuracy; no measure needs a cut-off.",),
        (
            Table(
                "table-measures",
                "Measures, and which way is good",
                ("Measure", "Better", "Ideal"),
                tuple((one.label, one.better, f"{one.ideal:g}") for one in MEASURES),
                "Intervals are of the bootstrap over patients.",
                "definitions.json#/measures",
            ),
        ),
        lacking=lacking(found, "use.thresholds", "use.clinical_action"),
    )
    yield Section(
        "calculation",
        "How a risk is calculated",
        (
            (
                "Risk = 1 / (1 + exp(-margin)); the margin is the intercept, plus each column "
                "times its coefficient, plus what the trees add. The coefficients stand in "
                "model.json. `spinecast score` calculates risks from the model's folder."
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
                "no classes and no cut-off."
            ),
        ),
        lacking=lacking(found, "use.thresholds_reason", "use.intended_use"),
    )
    yield Section("updating", "Updating", (UPDATING,))
