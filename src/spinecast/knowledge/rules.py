"""The small language in which a registry states rules: impossible answers, outcomes, interactions.

Names, numbers and 'quoted levels'; == != < <= > >=, in (...) and not in (...); + - * /; and, or,
not; parentheses. A rule is read once, against the names it may use, and then asked about whole
columns or about one patient. The answer is 1 (yes), 0 (no) or NaN (not known): what is unknown
stays unknown unless the known part settles it, as in `nrs_back >= 4 or nrs_leg >= 4`.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import NoReturn, TypeAlias

import numpy as np

from spinecast.errors import Problem, UsageRefused
from spinecast.logic import (
    AND,
    ARITHMETIC,
    COMPARISONS,
    MINUS,
    NOT,
    OR,
    REFUSED,
    FloatArray,
    OverColumns,
    OverOne,
    Term,
    calculated,
    constant,
    decided,
    named,
    one_of,
)

Levels: TypeAlias = Mapping[str, Mapping[str, float]]

LONGEST, DEEPEST, LARGEST = 1_000, 100, 1e300
GRAMMAR = "a rule has names, numbers, 'levels', == != < <= > >= in, + - * /, and or not, ( )"


@dataclass(frozen=True, slots=True)
class Rule:
    """A statement about a patient that holds, does not hold, or cannot be told."""

    text: str
    names: tuple[str, ...]
    is_truth: bool
    _columns: OverColumns = field(repr=False, compare=False)
    _one: OverOne = field(repr=False, compare=False)

    def holds(self, columns: Mapping[str, FloatArray]) -> FloatArray:
        """For every row: 1 where the rule holds, 0 where it does not, NaN where not known."""
        return self.values(columns)

    def values(self, columns: Mapping[str, FloatArray]) -> FloatArray:
        """The rule's value for every row; for arithmetic the number, NaN where not known."""
        with np.errstate(all="ignore"):
            return np.asarray(self._columns(columns), dtype=np.float64)

    def value(self, answers: Mapping[str, float]) -> float:
        """The same for one patient; a name that is absent is unknown."""
        return self._one(answers)


def parse(text: str, levels: Levels, where: str = "rule", *, arithmetic: bool = False) -> Rule:
    """Read a rule against the names it may use.

    Args:
        text: the rule as written in the registry.
        levels: for every allowed name its levels and their codes; empty for a number. A name
            with the levels no and yes may stand alone (`revision and odi_12m > 22`).
        where: what the rule is, for the message.
        arithmetic: whether the rule may be a number (`odi_baseline - odi_12m`), not only a yes/no.

    Raises:
        UsageRefused: with everything in the text that is not understood.
    """
    tree = _tree(text, where)
    reader = _Reader(text, levels, where)
    term = reader.term(tree) if arithmetic else reader.truth(tree)
    if not reader.problems and not reader.names:
        reader.note("names no factor or column", "a rule is about at least one of them")
    if reader.problems:
        raise UsageRefused("A rule cannot be understood", reader.problems)
    return Rule(text, tuple(reader.names), term.is_truth, term.columns, term.one)


def _tree(text: str, where: str) -> ast.expr:
    """The syntax tree of the text; nothing in it is ever run as Python."""
    try:
        # A rule may be broken over lines in the registry; Python would see an indentation.
        tree = ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        _refuse(text, where, GRAMMAR)
    if len(text) > LONGEST or _depth(tree) > DEEPEST:
        _refuse(text, where, f"a rule has at most {LONGEST} characters and {DEEPEST} steps")
    return tree


def _depth(tree: ast.AST) -> int:
    depth, nodes = 0, [tree]
    while nodes:
        nodes = [child for node in nodes for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def _refuse(text: str, where: str, allowed: str) -> NoReturn:
    problem = Problem(where, f"`{_cut(text)}` is not a rule", allowed)
    raise UsageRefused("A rule cannot be understood", [problem]) from None


def _cut(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


class _Reader:
    """Turns a syntax tree into terms and notes everything it does not understand."""

    def __init__(self, text: str, levels: Levels, where: str) -> None:
        self.text, self.levels, self.where = text, levels, where
        self.problems: list[Problem] = []
        self.names: dict[str, None] = {}

    def note(self, what: str, allowed: str, remedy: str = "") -> Term:
        """Record a problem; the term returned lets reading go on to find the next one."""
        problem = Problem(self.where, f"`{_cut(self.text)}` {what}", allowed, remedy)
        if problem not in self.problems:
            self.problems.append(problem)
        return REFUSED

    def term(self, node: ast.expr) -> Term:
        """The term of any part of a rule."""
        match node:
            case ast.BoolOp(op=op, values=values):
                joined = AND if isinstance(op, ast.And) else OR
                return reduce(partial(decided, joined), map(self.truth, values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return decided(NOT, self.truth(operand))
            case ast.Compare(left=left, ops=ops, comparators=rights):
                pairs = zip([left, *rights[:-1]], ops, rights, strict=True)
                return reduce(partial(decided, AND), [self.comparison(*pair) for pair in pairs])
            case ast.Name(id=name):
                return self.name(name)
            case _:
                return self.calculation(node)

    def calculation(self, node: ast.expr) -> Term:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return calculated(MINUS, self.number(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                return calculated(ARITHMETIC[type(op)], self.number(left), self.number(right))
            case ast.Constant(value=int() | float() as number) if _is_number(number):
                return constant(float(number))
            case _:
                return self.note(f"contains `{_cut(ast.unparse(node), 60)}`", GRAMMAR)

    def name(self, name: str) -> Term:
        if name in self.levels:
            self.names[name] = None
            return named(name, self.levels[name])
        close = difflib.get_close_matches(name, self.levels, n=1)
        return self.note(
            f"names `{name}`, which is not known here",
            "allowed: " + ", ".join(self.levels),
            f"Did you mean `{close[0]}`?" if close else "",
        )

    def truth(self, node: ast.expr) -> Term:
        term = self.term(node)
        if term.is_truth or term.is_refused:
            return term
        return self.note(
            f"uses `{ast.unparse(node)}` as a yes or no",
            "a rule is made of comparisons and yes/no names",
            "Compare it with something.",
        )

    def number(self, node: ast.expr) -> Term:
        term = self.term(node)
        if not (term.is_truth or term.levels):
            return term
        return self.note(
            f"calculates with `{ast.unparse(node)}`", "only numbers can be calculated with"
        )

    def comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Term:
        match op:
            case ast.In():
                return self.membership(left, right)
            case ast.NotIn():
                return decided(NOT, self.membership(left, right))
            case _ if type(op) in COMPARISONS:
                return decided(COMPARISONS[type(op)], *self.sides(left, right))
            case _:
                return self.note("compares with `is`", "allowed: == != < <= > >= in")

    def membership(self, left: ast.expr, right: ast.expr) -> Term:
        items = right.elts if isinstance(right, ast.Tuple | ast.List) else [right]
        if not items or not all(isinstance(item, ast.Constant) for item in items):
            return self.note("has no list of values after `in`", "write in ('one', 'two')")
        codes = tuple(self.sides(left, item)[1].one({}) for item in items)
        return decided(one_of(codes), self.term(left))

    def sides(self, left: ast.expr, right: ast.expr) -> tuple[Term, Term]:
        """Both sides of a comparison; a literal beside a name with levels is one of its levels."""
        if isinstance(left, ast.Constant) and not isinstance(right, ast.Constant):
            second, first = self.sides(right, left)
            return first, second
        first = self.term(left)
        if first.levels and isinstance(right, ast.Constant):
            return first, self.level(left, first.levels, right.value)
        if first.is_refused and isinstance(right, ast.Constant):
            return first, REFUSED  # what it should be compared with is not known
        second = self.term(right)
        if first.is_refused or second.is_refused:
            return first, second
        if first.levels != second.levels or first.is_truth != second.is_truth:
            self.note(
                f"compares `{ast.unparse(left)}` with `{ast.unparse(right)}`",
                "numbers are compared with numbers, levels with one of their levels",
            )
        return first, second

    def level(self, name: ast.expr, levels: Mapping[str, float], given: object) -> Term:
        # A bare number is a level too (asa_class >= 3): its code is another number.
        if str(given) in levels:
            return constant(levels[str(given)])
        return self.note(
            f"compares `{ast.unparse(name)}` with {given!r}",
            "allowed: " + ", ".join(f"'{level}'" for level in levels),
        )


def _is_number(number: float) -> bool:
    # A huge integer has no float; `True` is an integer to Python.
    return not isinstance(number, bool) and abs(number) <= LARGEST
