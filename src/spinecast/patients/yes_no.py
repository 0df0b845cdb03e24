"""Ones and twos in yes/no columns: what they mean hangs on the whole cohort.

Where twos stand and no zeros, nobody knows which number is yes, and ones are no answer either (see
`answers.LevelField.of_column`). A part of a cohort that has ones only would be read otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import pandas as pd

from spinecast.knowledge.factors import Registry
from spinecast.patients.answers import LevelField, level_text
from spinecast.patients.parts import Part
from spinecast.patients.patient import reader_for

Numbers = Mapping[str, frozenset[frozenset[str]]]
"""Of each yes/no column, the sets of 0, 1 and 2 that stood in a table together."""
TELLING = frozenset({"0", "1", "2"})
_NONE = frozenset[frozenset[str]]()


def columns_of(registry: Registry) -> frozenset[str]:
    """The questions that may be answered by yes or no."""
    asked = reader_for(registry).fields.items()
    return frozenset(
        name for name, field in asked if isinstance(field, LevelField) and field.is_yes_no
    )


def numbers_of(table: pd.DataFrame, registry: Registry) -> Numbers:
    """Which numbers stand in the yes/no columns of a table, where any does."""
    found = {name: _numbers_in(table[name]) for name in columns_of(registry) if name in table}
    return {name: frozenset([numbers]) for name, numbers in found.items() if numbers}


def numbers_of_part(registry: Registry, rows_at_once: int, part: Part) -> Numbers:
    """The same of a part of a cohort, of which nothing but these columns is read.

    Raises:
        DataRefused: the file is damaged.
    """
    tables = part.tables(rows_at_once, columns_of(registry))
    nothing: Numbers = {}
    return reduce(united, (numbers_of(table, registry) for table in tables), nothing)


def united(one: Numbers, other: Numbers) -> Numbers:
    """Of two pieces of a cohort together."""
    return {name: one.get(name, _NONE) | other.get(name, _NONE) for name in {**one, **other}}


def deciding(seen: Numbers) -> dict[str, frozenset[str]]:
    """What decides in the whole cohort, by column: its twos, and its zeros if there are any.

    Nothing of columns without twos, for there no part can be in doubt.
    """
    whole = {name: frozenset[str]().union(*tables) for name, tables in seen.items()}
    return {name: numbers - {"1"} for name, numbers in whole.items() if "2" in numbers}


def is_misread(seen: Numbers) -> bool:
    """Whether some table by itself was read otherwise than the whole is."""
    return any(
        _is_ambiguous(table) != _is_ambiguous(numbers)
        for name, numbers in deciding(seen).items()
        for table in seen[name]
    )


def _is_ambiguous(numbers: frozenset[str]) -> bool:
    return "2" in numbers and "0" not in numbers


def _numbers_in(column: pd.Series[str]) -> frozenset[str]:
    _, texts = pd.factorize(column)
    return frozenset(map(level_text, texts.tolist())) & TELLING
