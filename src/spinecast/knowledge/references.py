"""Whatever a registry points at has to be there, and what is declared has to be pointed at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from spinecast.errors import Problem
from spinecast.knowledge.declared import Declared
from spinecast.knowledge.evidence import Statement
from spinecast.knowledge.factors import Registry

CITING = ("source", "sources", "derived_from")


def dangling(registry: Registry) -> Iterator[Problem]:
    """References that lead nowhere, papers nobody cites, documents that say two things."""
    yield from _sources(registry)
    yield from _factors(registry)
    yield from _mechanisms(registry)
    yield from _documents(registry)


def cited(registry: Registry) -> Iterator[tuple[str, str]]:
    """Every citation in the registry: where it stands, and the paper's short name."""
    for factor in registry.factors:
        yield from _cited(factor, f"factors/{factor.domain}.toml [{factor.name}]")
    for mechanism in registry.mechanisms:
        yield from _cited(mechanism, f"mechanisms.toml [{mechanism.name}]")
    for document in registry.documents:
        yield from _cited(document, f"documents.toml [{document.name}]")
    yield from _cited(registry.outcome, "outcome.toml")
    yield from _cited(registry.simulation, "simulation.toml")
    for correlation in registry.correlations:
        yield from _cited(correlation, f"population.toml {' and '.join(correlation.pair)}")
    for name in ("base_rate", "evidence", "exclusions", "impossible"):
        yield from _cited(getattr(registry, name), f"registry.toml {name}")


def _cited(value: object, where: str) -> Iterator[tuple[str, str]]:
    """Any key that cites, however deep it stands."""
    match value:
        case Declared():
            for key, inner in value:
                if key in CITING:
                    names = (inner,) if isinstance(inner, str) else inner or ()
                    yield from ((f"{where} {key}", name) for name in names)
                else:
                    yield from _cited(inner, f"{where} {key}")
        case Mapping():
            for key, inner in value.items():
                yield from _cited(inner, f"{where}.{key}")
        case tuple():
            for number, inner in enumerate(value, start=1):
                yield from _cited(inner, f"{where}.{number}")


def _sources(registry: Registry) -> Iterator[Problem]:
    known, used = registry.source_named, set()
    for where, name in cited(registry):
        used.add(name)
        if name not in known:
            remedy = f"Declare [{name}] in sources.toml, or correct the name."
            yield Problem(where, f"cites {name!r}", "no such source is declared", remedy)
    for name in known:
        if name not in used:
            remedy = "Cite it where its number was used, or remove it."
            yield Problem(f"sources.toml [{name}]", "is cited nowhere", "a source is cited", remedy)


def _factors(registry: Registry) -> Iterator[Problem]:
    """Factors and follow-up columns that something speaks of."""
    names = registry.by_name
    for mechanism in registry.mechanisms:
        drivers = [driver.factor for driver in mechanism.drivers]
        yield from _missing(f"mechanisms.toml [{mechanism.name}]", "factor", drivers, names)
    pairs = [name for correlation in registry.correlations for name in correlation.pair]
    yield from _missing("population.toml correlations", "factor", pairs, names)
    stratum = [registry.stratum] if registry.stratum is not None else []
    yield from _missing("population.toml stratum", "factor", stratum, names)
    yield from _missing("registry.toml subgroups", "factor", registry.subgroups, names)
    told = registry.simulation
    yield from _missing("simulation.toml missing_share", "factor", told.missing_share, names)
    baselines = [plan.baseline for plan in told.followup if plan.baseline]
    yield from _missing("simulation.toml followup", "factor", baselines, names)
    columns = [column.name for column in registry.outcome.columns]
    followed = [plan.column for plan in told.followup]
    yield from _missing("simulation.toml followup", "column", followed, columns)


def _mechanisms(registry: Registry) -> Iterator[Problem]:
    for document in registry.documents:
        for cause in document.causes:
            where = f"documents.toml [{document.name}] {cause.cause!r}"
            yield from _missing(where, "factor", cause.factors, registry.by_name)
            yield from _missing(where, "mechanism", cause.mechanisms, registry.mechanism_named)
            if not cause.factors and not cause.mechanisms:
                allowed = "a factor or a mechanism of this registry"
                yield Problem(where, "lives nowhere", allowed, "Name where it lives.")


def _documents(registry: Registry) -> Iterator[Problem]:
    """A founding document is quoted where its causes live, and nowhere else."""
    for factor in registry.factors:
        where = f"factors/{factor.domain}.toml [{factor.name}] documents"
        named = {d.name for d in registry.documents for c in d.causes if factor.name in c.factors}
        yield from _quoted(where, factor.documents, named)
    for mechanism in registry.mechanisms:
        where = f"mechanisms.toml [{mechanism.name}] documents"
        named = {
            document.name
            for document in registry.documents
            for cause in document.causes
            if mechanism.name in cause.mechanisms
        }
        yield from _quoted(where, mechanism.documents, named)


def _quoted(where: str, said: Iterable[Statement], named: set[str]) -> Iterator[Problem]:
    quoted = {statement.document for statement in said}
    for document in sorted(quoted - named):
        allowed = "documents.toml has no cause of that document that lives here"
        yield Problem(where, f"quotes {document!r}", allowed, "Add the cause, or remove the quote.")
    for document in sorted(named - quoted):
        allowed = "documents.toml has a cause of that document that lives here"
        yield Problem(where, f"does not quote {document!r}", allowed, "Say what it says.")


def _missing(
    where: str, kind: str, wanted: Iterable[str], known: Iterable[str]
) -> Iterator[Problem]:
    """A reference that leads nowhere, once each."""
    for name in sorted(set(wanted) - set(known)):
        remedy = f"Declare the {kind}, or correct the name."
        yield Problem(where, f"names the {kind} {name!r}", f"no such {kind} is declared", remedy)
