"""Logic that knows what it does not know, over whole columns and over one patient.

True is 1, false is 0, not known is NaN. An unknown part leaves the whole unknown unless the known
parts settle it. Every operation exists twice, for columns and for single numbers, because a
million rows and one patient at a desk both have to be quick; a test holds the two together.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = FloatArray | float
OverColumns: TypeAlias = Callable[[Mapping[str, FloatArray]], Any]
OverOne: TypeAlias = Callable[[Mapping[str, float]], float]

YES_NO: Mapping[str, float] = {"no": 0.0, "yes": 1.0}


@dataclass(frozen=True, slots=True)
class Operation:
    """The same operation over columns and over single numbers."""

    columns: Callable[..., Any]
    one: Callable[..., float]


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of a rule: how to get its value, and whether that is a number, a yes/no, a level."""

    columns: OverColumns
    one: OverOne
    is_truth: bool = False
    levels: Mapping[str, float] | None = None
    is_refused: bool = False


def _compared(compare: Callable[..., Any]) -> Operation:
    def over_columns(left: Numbers, right: Numbers) -> FloatArray:
        unknown = np.isnan(left) | np.isnan(right)
        return np.where(unknown, np.nan, compare(left, right))

    def over_one(left: float, right: float) -> float:
        return nan if isnan(left) or isnan(right) else float(compare(left, right))

    return Operation(over_columns, over_one)


AND = Operation(
    lambda left, right: np.where((left == 0) | (right == 0), 0.0, left * right),
    lambda left, right: 0.0 if left == 0 or right == 0 else left * right,
)
OR = Operation(
    lambda left, right: np.where((left == 1) | (right == 1), 1.0, left + right),
    lambda left, right: 1.0 if left == 1 or right == 1 else left + right,
)
NOT = Operation(lambda truth: 1.0 - truth, lambda truth: 1.0 - truth)
MINUS = Operation(operator.neg, operator.neg)
COMPARISONS: Mapping[type[ast.cmpop], Operation] = {
    ast.Eq: _compared(operator.eq),
    ast.NotEq: _compared(operator.ne),
    ast.Lt: _compared(operator.lt),
    ast.LtE: _compared(operator.le),
    ast.Gt: _compared(operator.gt),
    ast.GtE: _compared(operator.ge),
}
ARITHMETIC: Mapping[type[ast.operator], Operation] = {
    ast.Add: Operation(operator.add, operator.add),
    ast.Sub: Operation(operator.sub, operator.sub),
    ast.Mult: Operation(operator.mul, operator.mul),
    # A share of nothing is not known; that it is not an error lets a rule stand on real data.
    ast.Div: Operation(
        lambda left, right: left / np.where(np.equal(right, 0), np.nan, right),
        lambda left, right: left / right if right else nan,
    ),
}


def one_of(codes: tuple[float, ...]) -> Operation:
    """Whether a value is among the codes."""
    return Operation(
        lambda value: np.where(np.isnan(value), np.nan, np.isin(value, codes)),
        lambda value: nan if isnan(value) else float(value in codes),
    )


def constant(number: float) -> Term:
    """A number written in a rule."""
    return Term(lambda _: number, lambda _: number)


def named(name: str, levels: Mapping[str, float]) -> Term:
    """A factor or column; one with the levels no and yes is a statement of its own."""
    return Term(
        lambda columns: columns[name],
        lambda answers: answers.get(name, nan),
        is_truth=dict(levels) == YES_NO,
        levels=levels or None,
    )


def calculated(operation: Operation, *terms: Term) -> Term:
    """The number an operation gives for one or two terms."""
    columns, one = operation.columns, operation.one
    # Spelled out for one and two: a patient is checked in microseconds this way.
    if len(terms) == 1:
        (only,) = terms
        return Term(lambda given: columns(only.columns(given)), lambda given: one(only.one(given)))
    first, second = terms
    return Term(
        lambda given: columns(first.columns(given), second.columns(given)),
        lambda given: one(first.one(given), second.one(given)),
    )


def decided(operation: Operation, *terms: Term) -> Term:
    """The yes, no or unknown an operation gives for one or two terms."""
    term = calculated(operation, *terms)
    return Term(term.columns, term.one, is_truth=True)


REFUSED = Term(lambda _: nan, lambda _: nan, is_refused=True)
