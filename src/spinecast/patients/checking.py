"""The columns of a table, each checked as a whole: distinct values are read once and spread out.

Every function notes what is wrong in `Findings` and goes on, so that all of it is found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinecast.knowledge.factors import Registry
from spinecast.logic import BoolArray, FloatArray
from spinecast.patients.answers import INDEX_DATE, UNKNOWN_WORDS, Fault, Field, shown
from spinecast.patients.patient import PATIENT_ID, SITE, Reader, date_order_fault, excluded_fault
from spinecast.patients.rejection import Findings, IntArray

TextArray: TypeAlias = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rest of a cohort says of a table that is a part of it.

    Attributes:
        repeated: rows, by their numbers, whose patients stand in an earlier row, and which that is.
        numbers: of yes/no columns, which of 0, 1 and 2 stand there, here or elsewhere (`yes_no`).
    """

    repeated: Mapping[int, str] = field(default_factory=dict)
    numbers: Mapping[str, frozenset[str]] = field(default_factory=dict)


def codes(
    column: pd.Series[str], field: Field, findings: Findings, elsewhere: Iterable[str] = ()
) -> FloatArray:
    """The codes of a column; each distinct text is read once, however often it stands there.

    `elsewhere` are texts of the same column in other parts of the cohort.
    """
    at, texts = pd.factorize(column)
    answers = field.of_column([*texts.tolist(), *elsewhere])[: len(texts)]
    faults = [answer for answer in answers if isinstance(answer, Fault)]
    # The last place is for cells without any text: factorize calls them -1.
    known = np.array([*(math.nan if isinstance(a, Fault) else a for a in answers), math.nan])
    if faults:
        is_fault = np.array([*(isinstance(answer, Fault) for answer in answers), False])
        rows = np.flatnonzero(is_fault[at])
        findings.add(rows, (np.cumsum(is_fault) - 1)[at[rows]], faults)
    return known[at]


def patient_ids(
    column: pd.Series[str], findings: Findings, repeated: Mapping[int, str] | None = None
) -> TextArray:
    """Each patient's id; rows without one, and rows after the first with the same, are noted.

    `repeated` says which rows these are, where more than this table was looked through.
    """
    texts = _stripped(column)
    unknown = texts.str.lower().isin(UNKNOWN_WORDS).to_numpy(dtype=bool)
    missing = Fault(PATIENT_ID, "missing_id", "", "each patient has an id", "Give the row an id.")
    findings.add(np.flatnonzero(unknown), np.zeros(int(unknown.sum()), dtype=np.int64), [missing])
    ids = texts.to_numpy(dtype=object)
    if repeated is None:
        _check_repeats(texts, unknown, findings)
    else:
        at = np.searchsorted(findings.row_numbers, np.fromiter(repeated, dtype=np.int64))
        faults = [_repeat(ids[i], row) for i, row in zip(at, repeated.values(), strict=True)]
        findings.add(at, np.arange(len(at)), faults)
    return ids


def _check_repeats(texts: pd.Series[str], unknown: NDArray[np.bool_], findings: Findings) -> None:
    """Reject every row after the first with the same patient."""
    at, names = pd.factorize(texts)
    rows = np.arange(len(at))
    first = np.empty(len(names), dtype=np.int64)
    first[at[::-1]] = rows[::-1]
    repeated = np.flatnonzero((first[at] != rows) & ~unknown)
    patients, which = np.unique(at[repeated], return_inverse=True)
    faults = [_repeat(names[p], f"row {findings.row_numbers[first[p]]}") for p in patients]
    findings.add(repeated, which, faults)


def _repeat(name: str, row: str) -> Fault:
    allowed = f"a patient may stand in one row, and stands in {row}"
    return Fault(PATIENT_ID, "duplicate_patient", shown(name), allowed, "Keep one of the rows.")


def sites(table: pd.DataFrame) -> TextArray:
    """Where each patient was operated; "" when it is not known."""
    if SITE not in table:
        return np.full(len(table), "", dtype=object)
    at, names = pd.factorize(table[SITE])
    stripped = [str(name).strip() for name in names.tolist()]
    # The last place is for cells without any text: factorize calls them -1.
    known = [*("" if name.casefold() in UNKNOWN_WORDS else name for name in stripped), ""]
    return np.array(known, dtype=object)[at]


def _stripped(column: pd.Series[str]) -> pd.Series[str]:
    return column.astype("str").fillna("").str.strip()


def unanswered(columns: Mapping[str, FloatArray], registry: Registry, count: int) -> BoolArray:
    """Which questions about scope nobody answered of so many rows, (n, E)."""
    left = np.empty((count, len(registry.exclusions)), dtype=bool)
    for at, exclusion in enumerate(registry.exclusions):
        left[:, at] = np.isnan(columns[exclusion.name])
    return left


def nothing_known(table: pd.DataFrame) -> FloatArray:
    """A column the file does not have: unknown for everyone."""
    return np.full(len(table), math.nan)


def check_across(reader: Reader, columns: Mapping[str, FloatArray], findings: Findings) -> None:
    """The same questions `patient.Reader` asks of one patient, of all rows at once."""
    for exclusion in reader.registry.exclusions:
        rows = np.flatnonzero(columns[exclusion.name] == 1)
        findings.add(rows, np.zeros_like(rows), [excluded_fault(exclusion)])
    for forbidden in reader.forbidden:
        rows = np.flatnonzero(forbidden.rule.holds(columns) == 1)
        names = forbidden.rule.names
        answers, which = _distinct(rows, [columns[name] for name in names])
        named = (dict(zip(names, answer, strict=True)) for answer in answers)
        findings.add(rows, which, [forbidden.fault(reader.registry, codes) for codes in named])
    for name in reader.dates:
        operated, followed = columns[INDEX_DATE], columns[name]
        rows = np.flatnonzero(followed < operated)
        days, which = _distinct(rows, [operated, followed])
        findings.add(rows, which, [date_order_fault(name, *pair) for pair in days])


def _distinct(rows: IntArray, columns: Sequence[FloatArray]) -> tuple[FloatArray, IntArray]:
    """The distinct combinations in some rows, and which of them each row has."""
    combinations = np.column_stack([column[rows] for column in columns])
    distinct, which = np.unique(combinations, axis=0, return_inverse=True)
    return distinct, which.reshape(-1)
