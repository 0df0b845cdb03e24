"""The registry for people: every factor on a few lines, and one with all that is known of it.

A number keeps the mark the registry gives it. One that is only recalled is left out of the listing
and called unverified in the entry.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from spinecast.errors import Problem, UsageRefused
from spinecast.handbook.monograph import monograph
from spinecast.handbook.telling import (
    ABBREVIATIONS,
    MARKS,
    NONE_PUBLISHED,
    RATIOS,
    answers,
    laid_over,
    lines,
    measured,
    sentence,
    underlined,
)
from spinecast.knowledge.evidence import Effect
from spinecast.knowledge.factors import Factor, Registry
from spinecast.patients.answers import shown


def listing(registry: Registry, width: int = 88) -> str:
    """Every factor: what may be answered, and what the studies behind it say in one number.

    Args:
        registry: whose factors.
        width: columns to fill, at least 40.

    Returns:
        Text that ends with a line break.
    """
    said = [*lines(registry.title, width), *_how_to_read(registry, width)]
    for told in laid_over(registry):
        said += ["", *lines(told, width)]
    pad = max((len(name) for name in registry.names), default=0) + 2
    for domain, title in registry.domains.items():
        factors = [factor for factor in registry.factors if factor.domain == domain]
        if factors:
            said += ["", *underlined(title, width)]
        for factor in factors:
            said += _listed(factor, pad, width)
    example = registry.names[0] if registry.names else "NAME"
    said += ["", *lines(f"All about one factor: spinecast factors NAME (as in: {example})", width)]
    return "\n".join(said) + "\n"


def entry(registry: Registry, name: str, width: int = 88) -> str:
    """All that is known of one factor: the question, the evidence, the pathway, what can be done.

    Args:
        registry: whose factor.
        name: the factor's name, as the listing has it.
        width: columns to fill, at least 40.

    Returns:
        Text that ends with a line break.

    Raises:
        UsageRefused: when there is no such factor, with the closest names.
    """
    factor = registry.by_name.get(name)
    if factor is None:
        raise _no_such_factor(registry, name)
    return monograph(registry, factor, width)


# --- the listing --------------------------------------------------------------------------------


def _how_to_read(registry: Registry, width: int) -> Iterator[str]:
    needed = "* a cohort file must have this column. " if _any_required(registry) else ""
    count = len(registry.factors)
    yield ""
    yield from lines(
        f"{count} factors known before {registry.operation}. {needed}"
        "Under each factor: the answers, with the one the reference patient has; then one finding "
        "of its studies, for the contrast and outcome it names, with its mark. Findings are "
        "associations, and many are about something other than this registry's outcome.",
        width,
    )
    yield from lines(f"Marks: {MARKS}.", width)
    yield from lines(f"{ABBREVIATIONS}; in brackets the 95% interval.", width)


def _any_required(registry: Registry) -> bool:
    return any(factor.required for factor in registry.factors)


def _listed(factor: Factor, pad: int, width: int) -> Iterator[str]:
    name = f"{factor.name}{'*' if factor.required else ''}"
    yield from lines(f"{name.ljust(pad)} {factor.label}", width, "  ", keep=True)
    yield from lines(answers(factor), width, "      ")
    yield from lines(_in_short(factor), width, "      ")


def _in_short(factor: Factor) -> str:
    """The finding that best stands for the others, and how many others there are."""
    seen = [effect for effect in factor.effects if effect.mark != "recalled"]
    if not seen:
        return NONE_PUBLISHED
    lead = _lead(factor, seen)
    number = measured(lead, short=True) or "no number"
    outcome = f": {lead.outcome}" if lead.outcome else ""
    words = f". {sentence(lead.finding)}" if lead.finding and number == "no number" else ""
    more = f" ({len(seen) - 1} more)" if len(seen) > 1 else ""
    return f"{number} [{lead.mark}] {lead.contrast}{outcome}{words}{more}"


def _lead(factor: Factor, effects: Sequence[Effect]) -> Effect:
    """First what the prior rests on, then numbers before words, then ratios; else as declared."""
    trusted = factor.prior.derived_from if factor.prior else ()
    return min(
        effects,
        key=lambda effect: (
            effect.source not in trusted,
            effect.value is None,
            RATIOS.isdisjoint(effect.measure.split()),
        ),
    )


# --- what is not there --------------------------------------------------------------------------


def _no_such_factor(registry: Registry, name: str) -> UsageRefused:
    wanted = name.strip().casefold()[:80]
    known = {factor.name.replace("_", " "): factor.name for factor in registry.factors}
    known |= {factor.label.casefold(): factor.name for factor in registry.factors}
    wanted = wanted.replace("_", " ")
    close = [known[text] for text in known if wanted and f" {wanted}" in f" {text}"]
    close += [known[text] for text in difflib.get_close_matches(wanted, known, n=4, cutoff=0.5)]
    best = ", ".join(list(dict.fromkeys(close))[:4])
    allowed = f"the closest: {best}" if best else "nothing here is called anything like it"
    problem = Problem(
        "factor", f"given {shown(name)!r}", allowed, "`spinecast factors` lists them all."
    )
    return UsageRefused("There is no such factor", [problem])
