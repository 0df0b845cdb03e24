"""A registry without some of its factors: what speaks of them goes too, and what cannot go is said.

What only speaks of a factor (a rule, a correlation, a driver, a cause, when another is asked, an
outcome definition beside the one in use) is dropped and listed. What the rest hangs on is refused:
the definition in use, because another question would be answered under the same name, and the
stratum, because every other distribution is declared within its levels. Sources that nobody cites
any more go silently.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any, TypeAlias

from spinecast.errors import Problem

Tables: TypeAlias = dict[str, dict[str, Any]]
_LONGEST = 60  # characters of a dropped rule that are shown
_CITING = frozenset({"source", "sources", "derived_from"})


@dataclass(frozen=True)
class Thinned:
    """The tables that are left, what was dropped with the factors, and what cannot be dropped."""

    tables: Tables
    dropped: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def without(tables: Tables, factors: Iterable[str], default: str | None = None) -> Thinned:
    """The tables of a whole registry without some factors.

    Args:
        tables: by file, without the ending; they are not changed.
        factors: names of factors that are there.
        default: the outcome definition to be used instead of the registry's own, if another is.
    """
    gone = frozenset(factors)
    thinned = Thinned({name: dict(table) for name, table in tables.items()})
    _factors(thinned, gone)
    _head(thinned, gone)
    _population(thinned, gone)
    _simulation(thinned, gone)
    _mechanisms(thinned, gone)
    _documents(thinned, gone)
    _outcome(thinned, gone, default)
    return thinned


def only_cited(tables: Tables, declared: Iterable[str] = ()) -> None:
    """Remove the sources that nothing cites, but not those `declared` by a person just now."""
    cited = {name for file, table in tables.items() for name in _cited(table)} | set(declared)
    if "sources" in tables:
        tables["sources"] = {k: v for k, v in tables["sources"].items() if k in cited}


def names_in(rule: object) -> frozenset[str]:
    """The names a rule uses; none when it is no rule, which is said where it is read."""
    try:
        tree = ast.parse(" ".join(str(rule).split()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def _factors(thinned: Thinned, gone: frozenset[str]) -> None:
    """The others are asked of everybody again where it hung on a factor that is gone."""
    for file, table in thinned.tables.items():
        if not file.startswith("factors/"):
            continue
        left = {name: factor for name, factor in table.items() if name not in gone}
        for name, factor in left.items():
            if names_in(factor.get("asked_when", "")) & gone:
                thinned.dropped.append(f"when {name} is asked")
                left[name] = {key: value for key, value in factor.items() if key != "asked_when"}
        thinned.tables[file] = left


def _head(thinned: Thinned, gone: frozenset[str]) -> None:
    head = thinned.tables["registry"]
    if "subgroups" in head:
        thinned.dropped.extend(f"subgroups by {n}" for n in head["subgroups"] if n in gone)
        head["subgroups"] = [name for name in head["subgroups"] if name not in gone]
    _filter(thinned, "registry", "impossible", lambda one: names_in(one["rule"]) & gone, "name")


def _population(thinned: Thinned, gone: frozenset[str]) -> None:
    told = thinned.tables.get("population", {})
    if told.get("stratum") in gone:
        thinned.problems.append(
            Problem(
                "registry.toml leave_out",
                f"given {told['stratum']!r}, within whose levels every distribution is declared",
                "any other factor may be left out",
                "Keep it; where the cohort has no such column it is unknown for everyone.",
            )
        )
    _filter(thinned, "population", "correlations", lambda one: gone & set(one["pair"]), "pair")


def _simulation(thinned: Thinned, gone: frozenset[str]) -> None:
    for key in ("departures", "lost_more"):
        _filter(thinned, "simulation", key, lambda one: names_in(one["rule"]) & gone, "rule")
    _filter(thinned, "simulation", "followup", lambda one: one.get("baseline") in gone, "column")
    told = thinned.tables.get("simulation", {})
    if "missing_share" in told:
        told["missing_share"] = {k: v for k, v in told["missing_share"].items() if k not in gone}


def _mechanisms(thinned: Thinned, gone: frozenset[str]) -> None:
    mechanisms = thinned.tables.get("mechanisms", {})
    for name, mechanism in mechanisms.items():
        drivers = [one for one in mechanism.get("drivers", []) if one["factor"] not in gone]
        lost = sorted({one["factor"] for one in mechanism.get("drivers", [])} & gone)
        thinned.dropped.extend(f"{factor} as a driver of {name}" for factor in lost)
        if "drivers" in mechanism:
            mechanisms[name] = {**mechanism, "drivers": drivers}


def _documents(thinned: Thinned, gone: frozenset[str]) -> None:
    documents = thinned.tables.get("documents", {})
    for name, document in documents.items():
        causes = []
        for cause in document.get("causes", []):
            factors = [factor for factor in cause.get("factors", []) if factor not in gone]
            if factors or cause.get("mechanisms"):
                causes.append({**cause, "factors": factors})
            else:
                thinned.dropped.append(f"cause {cause['cause']!r} of {name}")
        documents[name] = {**document, "causes": causes}


def _outcome(thinned: Thinned, gone: frozenset[str], default: str | None) -> None:
    """Quantities and definitions that need what is not there any more."""
    outcome = thinned.tables["outcome"]
    behind = {name: {name} for name in gone}  # what is lost, and the factors it was lost with
    for name, rule in outcome.get("quantities", {}).items():
        if lost := _lost(rule, behind):
            behind[name] = lost
            thinned.dropped.append(f"quantity {name}")
    if "quantities" in outcome:
        outcome["quantities"] = {k: v for k, v in outcome["quantities"].items() if k not in behind}
    used = default or outcome["default"]
    definitions = {}
    for name, definition in outcome["definitions"].items():
        lost = _lost(definition["failure"], behind)
        if not lost:
            definitions[name] = definition
        elif name == used:
            thinned.problems.append(_needed(name, ", ".join(sorted(lost))))
        else:
            thinned.dropped.append(f"definition {name}")
    outcome["definitions"] = definitions


def _lost(rule: object, behind: Mapping[str, set[str]]) -> set[str]:
    """The factors that are gone and that a rule needs, itself or through a quantity."""
    return set().union(*(behind.get(name, set()) for name in names_in(rule)))


def _needed(definition: str, names: str) -> Problem:
    return Problem(
        "registry.toml leave_out",
        f"the definition in use, {definition!r}, is derived from {names}",
        "the outcome keeps what it is derived from",
        "Keep the factor, or name another `default` in outcome.toml.",
    )


def _filter(
    thinned: Thinned,
    file: str,
    key: str,
    is_about: Callable[[Mapping[str, Any]], object],
    named: str,
) -> None:
    """Drop the entries of a list that speak of what is gone, and note each."""
    table = thinned.tables.get(file, {})
    if key not in table:
        return
    for one in table[key]:
        if is_about(one):
            what = one[named]
            words = " and ".join(what) if isinstance(what, list) else what
            thinned.dropped.append(f"{_SINGULAR[key]} {shorten(words, _LONGEST)}")
    table[key] = [one for one in table[key] if not is_about(one)]


_SINGULAR = {
    "impossible": "impossible combination",
    "correlations": "correlation of",
    "departures": "simulated departure where",
    "lost_more": "simulated loss to follow-up where",
    "followup": "simulated follow-up",
}


def _cited(value: object) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _CITING:
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from _cited(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _cited(inner)
