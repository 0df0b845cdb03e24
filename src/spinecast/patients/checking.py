"""The columns of a table, each checked as a whole: distinct values are read once and spread out.

Every function notes what is wrong in `Findings` and goes on, so that all of it is found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinecast.logic import FloatArray
from spinecast.patients.answers import INDEX_DATE, UNKNOWN_WORDS, Fault, Field, shown
from spinecast.patients.patient import PATIENT_ID, SITE, Reader, date_order_fault, excluded_fault
from spinecast.patients.rejection import Findings, IntArray

TextArray: TypeAlias = NDArray[np.object_]


def codes(column: pd.Series[str], field: Field, findings: Findings) -> FloatArray:
    """The codes of a column; each distinct text is read once, however often it stands there."""
    at, texts = pd.factorize(column)
    answers = field.of_column(texts.tolist())
    faults = [answer for answer in answers if isinstance(answer, Fault)]
    # The last place is for cells without any text: factorize calls them -1.
    known = np.array([*(math.nan if isinstance(a, Fault) else a for a in answers), math.nan])
    if faults:
        is_fault = np.array([*(isinstance(answer, Fault) for answer in answers), False])
        rows = np.flatnonzero(is_fault[at])
        findings.add(rows, (np.cumsum(is_fault) - 1)[at[rows]], faults)
    return known[at]


def patient_ids(column: pd.Series[str], findings: Findings) -> TextArray:
    """Each patient's id; rows without one, and rows after the first with the same, are noted."""
    texts = _stripped(column)
    at, names = pd.factorize(texts)
    unknown = texts.str.lower().isin(UNKNOWN_WORDS).to_numpy(dtype=bool)
    missing = Fault(PATIENT_ID, "missing_id", "", "each patient has an id", "Give the row an id.")
    findings.add(np.flatnonzero(unknown), np.zeros(int(unknown.sum()), dtype=np.int64), [missing])
    _check_repeats(at, names, unknown, findings)
    return texts.to_numpy(dtype=object)


def _check_repeats(
    at: IntArray, names: pd.Index[str], unknown: NDArray[np.bool_], findings: Findings
) -> None:
    """Reject every row after the first with the same patient."""
    rows = np.arange(len(at))
    first = np.empty(len(names), dtype=np.int64)
    first[at[::-1]] = rows[::-1]
    repeated = np.flatnonzero((first[at] != rows) & ~unknown)
    patients, which = np.unique(at[repeated], return_inverse=True)
    faults = [_repeat(names[p], findings.row_numbers[first[p]]) for p in patients]
    findings.add(repeated, which, faults)


def _repeat(name: str, row: int) -> Fault:
    allowed = f"a patient may stand in one row, and stands in row {row}"
    return Fault(PATIENT_ID, "duplicate_patient", shown(name), allowed, "Keep one of the rows.")


def sites(table: pd.DataFrame) -> TextArray:
    """Where each patient was operated; "" when it is not known."""
    if SITE not in table:
        return np.full(len(table), "", dtype=object)
    at, names = pd.factorize(_stripped(table[SITE]))
    known = ["" if name.casefold() in UNKNOWN_WORDS else name for name in names.tolist()]
    return np.array(known, dtype=object)[at]


def _stripped(column: pd.Series[str]) -> pd.Series[str]:
    return column.astype("str").fillna("").str.strip()


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
