"""One factor with all that is known of it: question, evidence, pathway, what can be done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spinecast.handbook.telling import (
    ABBREVIATIONS,
    MARKS,
    NONE_PUBLISHED,
    Citations,
    answers,
    as_words,
    direction,
    lines,
    measured,
    sentence,
    starts_from,
    underlined,
)
from spinecast.knowledge.evidence import Mechanism
from spinecast.knowledge.factors import Factor, Registry

EXTENTS = {
    "yes": "Can be changed",
    "partly": "Can be changed in part",
    "no": "Cannot be changed",
}
KINDS = {
    "binary": "yes or no",
    "ordinal": "levels in order",
    "nominal": "levels without order",
    "count": "a whole number",
    "continuous": "a number",
}


def monograph(registry: Registry, factor: Factor, width: int) -> str:
    """All that the registry holds about one factor, as text that ends with a line break."""
    cited = Citations(registry)
    codes = [f"{system}: {code}" for system, code in factor.codes.items()]
    parts = [
        list(_asked(factor, width)),
        list(_told("Why it matters", [factor.reason], width)),
        list(_told("Where studies disagree", [factor.conflict], width)),
        list(_effects(factor, cited, width)),
        list(_told("What the model starts from", starts_from(registry, factor, cited), width)),
        list(_pathways(registry, factor, cited, width)),
        list(_told(f"What can be done before {registry.operation}", _to_do(factor, cited), width)),
        list(_told("Founding documents that name it", _documents(registry, factor), width)),
        list(_told("Standard codes", codes, width)),
        list(_told("Sources", cited.listed(), width, marked=False)),
        lines(f"Marks: {MARKS}. {ABBREVIATIONS}.", width),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _asked(factor: Factor, width: int) -> Iterator[str]:
    """What is asked and what may be answered."""
    yield from underlined(f"{factor.label} ({factor.name})", width)
    yield from lines(factor.question, width)
    yield ""
    rows = {
        "Definition": factor.definition,
        "Kind": KINDS[factor.kind],
        "Answers": "" if factor.levels else answers(factor, reference=False),
        "Reference": factor.in_plain_words(factor.reference_code),
        "Direction": direction(factor),
        "Known at": factor.known_at,
        "In a cohort": "the column must be there" if factor.required else "may be left out",
    }
    for title, words in rows.items():
        if words:
            yield from lines(words, width, f"{title.ljust(12)} ", again=" " * 13)
        if title == "Kind" and factor.levels:
            yield from _levels(factor, width)


def _levels(factor: Factor, width: int) -> Iterator[str]:
    """The answers one below the other, with what each is called where that says more."""
    pad = min(max(map(len, factor.levels)), max(width - 40, 0))
    for index, level in enumerate(factor.levels):
        spoken = factor.in_plain_words(float(index))
        words = [spoken] if spoken != level else []
        words += ["(reference)"] if level == factor.reference else []
        title = "Answers" if index == 0 else ""
        said = f"{level.ljust(pad)}  {' '.join(words)}".rstrip()
        yield from lines(said, width, f"{title.ljust(12)} ", again=" " * (15 + pad), keep=True)


def _effects(factor: Factor, cited: Citations, width: int) -> Iterator[str]:
    """Every finding: the number and its mark, then what it is about."""
    if not factor.effects:
        yield from _told("What studies found", [NONE_PUBLISHED.capitalize() + "."], width)
        return
    yield from lines(f"What studies found ({len(factor.effects)})", width)
    for effect in factor.effects:
        number = measured(effect)
        recalled = "not verified, from memory: " if effect.mark == "recalled" else ""
        about = [effect.contrast, effect.outcome, effect.population]
        head = number or effect.finding or effect.measure
        if number and effect.finding:
            about.append(effect.finding.rstrip("."))
        source = cited.mark([effect.source] if effect.source else [])
        yield from lines(
            f"{recalled}{head.rstrip('.')} [{effect.mark}]{source}", width, "  - ", again="    "
        )
        yield from lines(sentence("; ".join(filter(None, about))), width, "    ")
        if effect.note:
            yield from lines(f"Note: {effect.note}", width, "    ")


def _pathways(registry: Registry, factor: Factor, cited: Citations, width: int) -> Iterator[str]:
    """What the factor may lead to, and the finding that ties the two."""
    named = [registry.mechanism_named[name] for name in factor.mechanisms]
    said = [
        " ".join([_happening(mechanism), *_ties(mechanism, factor, cited)]) for mechanism in named
    ]
    yield from _told("How it may lead to a bad result", said, width)


def _happening(mechanism: Mechanism) -> str:
    later = "" if mechanism.within_horizon else "; mostly later than this registry predicts"
    when = f" ({mechanism.timing}{later})" if mechanism.timing else later
    return sentence(f"{mechanism.phrase}{when}")


def _ties(mechanism: Mechanism, factor: Factor, cited: Citations) -> Iterator[str]:
    for driver in mechanism.drivers:
        if driver.factor == factor.name:
            recalled = "Not verified, from memory: " if driver.mark == "recalled" else ""
            yield f"{recalled}{driver.finding} [{driver.mark}]{cited.mark(driver.sources)}"


def _to_do(factor: Factor, cited: Citations) -> Iterator[str]:
    do = factor.modifiable
    if not do.action:
        yield "Nothing: the registry lists no step that changes it beforehand."
        return
    where = ", ".join(factor.level_labels.get(level, as_words(level)) for level in do.applies_to)
    above = factor.with_unit(do.above) if do.above is not None else ""
    who = f" (for: {where})" if where else f" (above {above})" if above else ""
    yield (
        f"{EXTENTS[do.extent]}{who}. {do.action} {do.evidence}".strip()
        + f" [{do.mark}]"
        + cited.mark(do.sources)
    )


def _documents(registry: Registry, factor: Factor) -> Iterator[str]:
    """What each founding document says of the factor; else the causes it names that live here."""
    for document in registry.documents:
        said = [s.says for s in factor.documents if s.document == document.name]
        said = said or [c.cause for c in document.causes if factor.name in c.factors]
        if said:
            yield f"{document.title}: {' '.join(map(sentence, said))}"


def _told(title: str, said: Iterable[str], width: int, *, marked: bool = True) -> Iterator[str]:
    """A heading and its statements; nothing at all where nothing is said."""
    statements = [statement for statement in said if statement]
    if statements:
        yield from lines(title, width)
    mark = "  - " if marked and len(statements) > 1 else "  "
    for statement in statements:
        yield from lines(statement, width, mark, again="    " if not marked else " " * len(mark))
