"""The sections of a report on what the model says: which factors, how far, and how surely.

Everything is against the reference patient. The ids are those that the checklists point to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from spinecast.explaining.facts import Verdict
from spinecast.fitting.effects import TOP
from spinecast.reports.evidence import Evidence
from spinecast.reports.parts import Section, Table
from spinecast.reports.written import listed, told

ORDER = ("disagrees", "agrees", "not established")
FILE = "effects.json"
BY_CHANCE = 0.025
"""Of 95% intervals of no effect, the share that lies wholly below 0."""


def reasons(found: Evidence) -> Iterator[Section]:
    """The model's factors, beside the literature, and whether refits say the same."""
    yield Section(
        "model",
        "Which factors move risks",
        (
            (
                f"The intercept is {told(found.result.model.intercept, digits=4)} on the log-odds "
                "scale; model.json has it with every coefficient. What a factor adds is against "
                "the reference patient, who has every factor at its reference value."
            ),
        ),
    )
    yield Section(
        "effects",
        "Each factor across its range",
        (
            (
                "Beside the model's odds ratios stand those of the literature, with what a cohort "
                "may plausibly have. The factors that move risks most come first."
            ),
        ),
    )
    yield _agreement(found)
    yield _steadiness(found)


def _agreement(found: Evidence) -> Section:
    factors = found.result.model.registry.factors
    pairs = list(zip(factors, found.result.facts.agreement, strict=True))
    published = [(factor.label, one) for factor, one in pairs if one.multiple is not None]
    published.sort(key=lambda pair: ORDER.index(pair[1].verdict))
    by = {name: [label for label, one in published if one.verdict == name] for name in ORDER}
    words = [
        (
            f"This cohort alone, without the literature, agrees surely with it in "
            f"{len(by['agrees'])} of {len(published)} factors, contradicts it surely in "
            f"{len(by['disagrees'])}, and is too small to tell in {len(by['not established'])}. "
            "Were all published effects none, chance alone would make about "
            f"{BY_CHANCE * len(published):.0f} contradict."
        )
    ]
    if by["disagrees"]:
        words.append(
            f"Contradicted: {listed(by['disagrees'])}. There the model keeps the published "
            "direction, or no effect."
        )
    tables = (
        Table(
            "table-agreement",
            "What this cohort alone says of each published effect",
            ("Factor", "Multiple of the published effect (95% interval)", "The cohort"),
            tuple((label, _multiple(one), one.verdict) for label, one in published),
            "Logistic regression on these patients without the literature and without directions; "
            "along a factor's published log-odds ratios, generalised least squares. 1 is as "
            "published, 0 no effect, below 0 the other way round.",
            f"{FILE}#/agreement",
        ),
    )
    return Section(
        "agreement",
        "Where the cohort disagrees with the literature",
        tuple(words) if published else ("Nothing is published of any factor here.",),
        tables if published else (),
    )


def _multiple(one: Verdict) -> str:
    value, low, high = (
        math.nan if part is None else part for part in (one.multiple, one.low, one.high)
    )
    return told(value, low, high, 2)


def _steadiness(found: Evidence) -> Section:
    refits, level = len(found.result.model.refits), found.result.model.level
    title = "Would refits give the same reasons?"
    if not refits:
        why = "Not known: the recipe asks for no refits ([interval] refits = 0)."
        return Section("steadiness", title, (), lacking=(why,), is_missing=True)
    foremost = [one for one in found.importance if one.rank <= TOP]
    steady = [one.label for one in foremost if one.in_top >= level]
    words = (
        f"Of the {len(foremost)} factors that move risks most, {len(steady) or 'none'} stay among "
        f"the foremost {TOP} in at least {level:.0%} of {refits} refits"
        + (f": {listed(steady)}." if steady else "."),
        (
            "Where a direction is declared, no refit can turn it; a share below 100% then means "
            "that a refit gives the factor no effect."
        ),
    )
    table = Table(
        "table-steadiness",
        "Rank and sign of each factor over bootstrap refits",
        (
            "Factor",
            "Rank",
            f"Middle {level:.0%} of ranks",
            f"Among the foremost {TOP}",
            "Same sign",
        ),
        tuple(
            (
                one.label,
                str(one.rank),
                f"{one.rank_low:.0f} to {one.rank_high:.0f}",
                f"{one.in_top:.0%}",
                "no effect" if math.isnan(one.same_sign) else f"{one.same_sign:.0%}",
            )
            for one in found.importance
        ),
        f"{refits} bootstrap refits around redrawn priors. Rank by the mean absolute contribution; "
        "sign of the mean contribution to these patients' log-odds.",
        f"{FILE}#/importance",
    )
    return Section("steadiness", title, words, (table,))
