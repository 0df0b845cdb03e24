"""Patients drawn from a registry: whatever it declares, tests try, without saying it twice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spinecast.knowledge.factors import Factor, Registry
from spinecast.knowledge.rules import parse

UNKNOWN = st.sampled_from([None, "", "unknown", "NA", " na "])


@dataclass(frozen=True)
class Corrupted:
    """A valid patient with one cell spoilt, and the rule that has to say so."""

    answers: dict[str, Any]
    column: str
    rule: str


def known_codes(factor: Factor) -> st.SearchStrategy[float]:
    """Any code the factor can take."""
    low, high = factor.bounds
    if factor.kind == "continuous":
        return st.floats(low, high).map(lambda number: number + 0.0)
    return st.integers(math.ceil(low), math.floor(high)).map(float)


def codes(registry: Registry) -> st.SearchStrategy[np.ndarray]:
    """Rows of codes in the registry's order, unknowns among them; combinations are possible."""
    one = [st.one_of(st.just(math.nan), known_codes(factor)) for factor in registry.factors]
    return st.tuples(*one).map(np.array).filter(lambda row: not _is_impossible(registry, row))


def written(factor: Factor, code: float) -> st.SearchStrategy[Any]:
    """The ways a person or a program may give this code."""
    if math.isnan(code):
        return UNKNOWN
    if factor.is_numeric:
        as_whole = [int(code)] if code.is_integer() else []
        return st.sampled_from([code, repr(code), f" {code!r} ", *as_whole])
    level = factor.levels[int(code)]
    ways: list[Any] = [level, level.upper(), f" {level} "]
    if factor.kind == "binary":
        ways += [bool(code), int(code), "true" if code else "FALSE", str(int(code)), f"{code:.1f}"]
    if level.isdecimal():
        ways += [f"{level}.0", f" {level}.00 ", float(level)]
    return st.sampled_from(ways)


@st.composite
def patients(draw: st.DrawFn, registry: Registry) -> dict[str, Any]:
    """A patient whose answers are all allowed, written in any way, some left out."""
    row = draw(codes(registry))
    return {
        factor.name: draw(written(factor, code))
        for factor, code in zip(registry.factors, row.tolist(), strict=True)
        if not math.isnan(code) or draw(st.booleans())
    }


@st.composite
def corrupted(draw: st.DrawFn, registry: Registry) -> Corrupted:
    """A patient with exactly one thing wrong."""
    answers = draw(patients(registry))
    column, rule, value = draw(st.sampled_from(list(corruptions(registry))))
    # What may contradict the spoilt cell is left out; there is to be one fault only.
    partners = {n for text in registry.impossible for n in _names(registry, text.rule)} - {column}
    kept = {name: v for name, v in answers.items() if name not in partners}
    return Corrupted({**kept, column: value}, column, rule)


def corruptions(registry: Registry) -> list[tuple[str, str, Any]]:
    """Every way to spoil one cell: column, rule, value."""
    found: list[tuple[str, str, Any]] = [
        ("index_date", "date_unreadable", value)
        for value in ("31.12.2020", "2020-02-30", "20201231", "yesterday")
    ]
    found += [(exclusion.name, "excluded", "yes") for exclusion in registry.exclusions]
    for factor in registry.factors:
        found += [(factor.name, rule, value) for rule, value in _spoilt(factor)]
    return found


def _spoilt(factor: Factor) -> list[tuple[str, Any]]:
    if not factor.is_numeric:
        return [("unknown_level", value) for value in ("never heard of", "nan", "-1", 99, 0.5)]
    low, high = factor.bounds
    spoilt: list[tuple[str, Any]] = [
        ("out_of_range", low - 1),
        ("out_of_range", f"{high + 1:g}"),
        ("out_of_range", 10**400),
        ("not_a_number", "about ten"),
        ("not_a_number", "1_0"),
        ("not_a_number", "٣"),
        ("not_a_number", "1,5"),
        ("not_a_number", True),
        ("not_finite", math.nan),
        ("not_finite", "-Infinity"),
        ("not_finite", math.inf),
    ]
    if factor.kind == "count":
        spoilt.append(("not_whole", low + 0.5))
    # An integer too large to be a number at all reads as infinite.
    return [("not_finite" if value == 10**400 else rule, value) for rule, value in spoilt]


def _names(registry: Registry, rule: str) -> tuple[str, ...]:
    return parse(rule, {factor.name: factor.level_codes for factor in registry.factors}).names


def _is_impossible(registry: Registry, row: np.ndarray) -> bool:
    levels = {factor.name: factor.level_codes for factor in registry.factors}
    answers = dict(zip(registry.names, row.tolist(), strict=True))
    return any(parse(i.rule, levels).value(answers) == 1 for i in registry.impossible)
