"""Every rule of a registry, read once when it loads, so that none is found unreadable in use."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from spinecast.errors import Problem, UsageRefused
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.rules import Levels, Rule, parse
from spinecast.logic import YES_NO

_NONE: frozenset[str] = frozenset()


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


def known_beforehand(registry: Registry) -> Iterator[Problem]:
    """Outcome definitions that would count as failure what was known before surgery.

    A factor may stand in a comparison only as the starting point of what is compared, beside a
    follow-up column (`odi_baseline - odi_followup < 22`). By itself it would make the predictor
    the outcome, and a model would be excellent at predicting it.
    """
    spec = registry.outcome
    after = {column.name for column in spec.columns}
    quantities = {name: _tree(text) for name, text in spec.quantities.items()}
    for name, definition in spec.definitions.items():
        for part in _comparisons(_tree(definition.failure), quantities):
            named = _base_names(part, quantities)
            before = sorted(named & registry.by_name.keys())
            if before and not named & after:
                yield Problem(
                    f"outcome.toml [definitions.{name}]",
                    f"`{ast.unparse(part)}` counts {', '.join(before)}, known beforehand",
                    "failure is what follow-up shows; a factor may only be the baseline of a "
                    "change, beside a follow-up column in the same comparison",
                    "Compare a follow-up column, or leave this part out.",
                )


def _tree(text: str) -> ast.expr | None:
    """The syntax tree of a rule; None for what is none, which `unreadable` says."""
    try:
        return ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _comparisons(
    tree: ast.expr | None, quantities: Mapping[str, ast.expr | None], inside: frozenset[str] = _NONE
) -> Iterator[ast.expr]:
    """The smallest parts of a rule that are true or false, those of its quantities among them."""
    match tree:
        case ast.BoolOp(values=values):
            for value in values:
                yield from _comparisons(value, quantities, inside)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _comparisons(operand, quantities, inside)
        case ast.Name(id=name) if name in quantities and name not in inside:
            yield from _comparisons(quantities[name], quantities, inside | {name})
        case ast.expr():
            yield tree


def _base_names(tree: ast.expr, quantities: Mapping[str, ast.expr | None]) -> set[str]:
    """The factors and columns a part of a rule rests on, through however many quantities."""
    found: set[str] = set()
    left = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    while left:
        name = left.pop()
        behind = quantities.get(name)
        if name not in found and behind is not None:
            left += [node.id for node in ast.walk(behind) if isinstance(node, ast.Name)]
        found.add(name)
    return found


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
