"""Every rule of a registry, read once when it loads, so that none is found unreadable in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spinecast.errors import Problem, UsageRefused
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.rules import Levels, Rule, parse
from spinecast.logic import YES_NO


def unreadable(registry: Registry) -> list[Problem]:
    """Everything in the registry's rules that is no rule or names what does not exist."""
    problems: list[Problem] = []
    for where, rule in _about_patients(registry):
        _read(rule, registry.levels, where, problems)
    levels: dict[str, Mapping[str, float]] = dict(registry.levels)
    for column in registry.outcome.columns:
        levels[column.name] = YES_NO if column.kind == "yes_no" else {}
    for name, text in registry.outcome.quantities.items():
        read = _read(text, levels, f"outcome.toml quantities.{name}", problems, arithmetic=True)
        levels[name] = YES_NO if read and read.is_truth else {}
    for name, definition in registry.outcome.definitions.items():
        _read(definition.failure, levels, f"outcome.toml [definitions.{name}]", problems)
    return problems


def _about_patients(registry: Registry) -> Iterator[tuple[str, str]]:
    """Rules that may know nothing from after the operation, each with its place."""
    for impossible in registry.impossible:
        yield f"registry.toml impossible.{impossible.name}", impossible.rule
    for factor in registry.factors:
        if factor.asked_when:
            yield f"factors/{factor.domain}.toml [{factor.name}] asked_when", factor.asked_when
    simulation = registry.simulation
    for key, told in (("departures", simulation.departures), ("lost_more", simulation.lost_more)):
        for number, departure in enumerate(told, start=1):
            yield f"simulation.toml {key}, number {number}", departure.rule


def _read(
    text: str, levels: Levels, where: str, problems: list[Problem], *, arithmetic: bool = False
) -> Rule | None:
    try:
        return parse(text, levels, where, arithmetic=arithmetic)
    except UsageRefused as refused:
        problems.extend(refused.problems)
        return None
