"""A cohort: patients of a file, every row either accepted or rejected with every reason.

Nothing is dropped silently and nothing is repaired. The accepted patients are a `Cohort` of codes,
the rejected ones a `Rejected` with the row a spreadsheet shows, the rule broken, what was given,
what is allowed and what to do. Work goes by column over distinct values, so that a million rows
are a matter of seconds.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinecast.errors import DataRefused, Problem
from spinecast.exchange.redcap_records import as_cohort
from spinecast.knowledge.factors import Registry
from spinecast.logic import BoolArray, FloatArray
from spinecast.patients.answers import INDEX_DATE, Field, fields
from spinecast.patients.checking import (
    Surroundings,
    TextArray,
    check_across,
    codes,
    nothing_known,
    patient_ids,
    sites,
    unanswered,
)
from spinecast.patients.patient import (
    PATIENT_ID,
    SIMULATED,
    SITE,
    Reader,
    read_patient,
    reader_for,
    suggestion,
)
from spinecast.patients.rejection import Findings, Rejected
from spinecast.patients.tables import AS_IT_IS, file_fingerprint, read_table, write_table
from spinecast.site.declaration import Site
from spinecast.site.mapping import Mapped, map_file

__all__ = [
    "CheckedCohort",
    "Cohort",
    "Rejected",
    "check",
    "check_mapped",
    "check_table",
    "read_patient",
    "read_table",
    "template",
    "write_table",
]

DayArray: TypeAlias = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Patients whose answers are all allowed.

    Attributes:
        registry: what the columns mean.
        patient_id: one name per patient, distinct.
        codes: one row per patient, one column per factor in the registry's order; NaN unknown.
        site: where each was operated; "" unknown.
        index_date: the day of the operation; NaT unknown.
        outcome: follow-up columns by name: numbers, yes/no as 1 and 0, dates as days since
            1970-01-01; NaN unknown. A column the file did not have is unknown throughout.
        fingerprint: SHA-256 of the file the patients came from; "" when there was none.
    """

    registry: Registry
    patient_id: TextArray
    codes: FloatArray
    site: TextArray
    index_date: DayArray
    outcome: Mapping[str, FloatArray]
    fingerprint: str = ""

    def __post_init__(self) -> None:
        for name in ("patient_id", "codes", "site", "index_date"):
            object.__setattr__(self, name, _read_only(getattr(self, name), len(self.patient_id)))
        outcome = {name: _read_only(v, len(self.patient_id)) for name, v in self.outcome.items()}
        object.__setattr__(self, "outcome", MappingProxyType(outcome))

    def __len__(self) -> int:
        return len(self.patient_id)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Cohort:
        """The patients in these rows, by position or by a yes/no for each row."""
        return replace(
            self,
            patient_id=self.patient_id[rows],
            codes=self.codes[rows],
            site=self.site[rows],
            index_date=self.index_date[rows],
            outcome={name: column[rows] for name, column in self.outcome.items()},
        )

    @property
    def has_simulated(self) -> bool:
        """Whether any of the patients was simulated, as their ids say."""
        return any(str(name).startswith(SIMULATED) for name in self.patient_id)

    def columns(self) -> dict[str, FloatArray]:
        """Every factor and follow-up column by name, as rules read them."""
        factors = {name: self.codes[:, at] for at, name in enumerate(self.registry.names)}
        return {**factors, **self.outcome, INDEX_DATE: _days(self.index_date)}

    def to_table(self) -> pd.DataFrame:
        """The patients as a person would write them down; checked again they are the same."""
        written: dict[str, Any] = {PATIENT_ID: self.patient_id, SITE: self.site}
        columns = self.columns()
        for field in fields(self.registry):
            if field.name in columns:
                written[field.name] = _written(columns[field.name], field)
        return pd.DataFrame(written, dtype="str")


@dataclass(frozen=True, slots=True)
class CheckedCohort:
    """What became of a file: its patients, its rejected rows, and what was not used.

    Attributes:
        accepted: the patients without a fault.
        rejected: the other rows, with every reason; accepted and rejected are all rows read.
        ignored_columns: columns of the file that the registry does not know.
        absent_columns: factors and scope questions the file has no column for: unknown throughout.
        suggestions: ignored columns that look like a misspelt absent one, with its name.
        unknown: for every factor, of how many accepted patients it is unknown; none where there
            are no patients.
        unchecked: of each accepted patient the questions about scope nobody answered, (n, E).
        empty_rows: rows without any entry, between others; they are no patients.
        set_aside: rows of a patient of whom the mapping chose another row (`site.mapping`).
        remarks: how the file was read, where that was not simply as it stands.
    """

    accepted: Cohort
    rejected: Rejected
    ignored_columns: tuple[str, ...]
    absent_columns: tuple[str, ...]
    suggestions: Mapping[str, str]
    unknown: Mapping[str, int]
    unchecked: BoolArray
    empty_rows: int = 0
    set_aside: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def unknown_share(self) -> dict[str, float]:
        """For every factor the share of accepted patients where it is unknown."""
        return {name: count / len(self.accepted) for name, count in self.unknown.items()}

    @property
    def rows_read(self) -> int:
        """How many rows the file had, without those that are no patients or set aside."""
        return len(self.accepted) + len(self.rejected)


def check(path: Path | str, registry: Registry, site: Site | None = None) -> CheckedCohort:
    """Read a cohort file and sort its rows into accepted and rejected.

    Args:
        path: the file, in our columns; in a hospital's own when `site` maps them.
        registry: what may be answered.
        site: the hospital's mapping (`site.reconciling.read_site`).

    Raises:
        UsageRefused: when the file cannot be read.
        DataRefused: when it is not a table, or a column that must be there is missing.
    """
    if site is not None:
        return check_mapped(map_file(path, site, registry), registry)
    return check_table(read_table(path), registry, file_fingerprint(path))


def check_mapped(mapped: Mapped, registry: Registry, *, to_learn: bool = True) -> CheckedCohort:
    """The same for a hospital's mapped file; reasons name its own columns, values and rows."""
    found = check_table(
        mapped.table, registry, mapped.fingerprint, to_learn=to_learn, findings=mapped.findings
    )
    rejected = mapped.in_their_words(found.rejected)
    return replace(
        found, rejected=rejected, empty_rows=mapped.empty_rows, set_aside=mapped.set_aside
    )


def check_table(
    table: pd.DataFrame,
    registry: Registry,
    fingerprint: str = "",
    *,
    to_learn: bool = True,
    findings: Findings | None = None,
    rest: Surroundings | None = None,
) -> CheckedCohort:
    """Sort the rows of a table of text (as `read_table` gives it) into accepted and rejected.

    An export from REDCap is read as one (see `exchange.redcap_records`), and that is said. A
    cohort to learn from must have the registry's required columns; patients to be scored only
    their ids. `findings` holds what is known to be wrong with the rows beforehand; `rest` what the
    rest of the cohort says of them, when the table is a part of one.
    """
    empty_rows = _empty_rows(table)
    read = as_cohort(table, registry)
    table = read.table
    require_columns(list(map(str, table.columns)), registry, to_learn=to_learn)
    reader = reader_for(registry)
    findings = findings or Findings(table.index.to_numpy(dtype=np.int64))
    patient_id = patient_ids(table[PATIENT_ID], findings, rest.repeated if rest else None)
    numbers = rest.numbers if rest else {}
    columns = {
        name: codes(table[name], field, findings, numbers.get(name, ()))
        if name in table
        else nothing_known(table)
        for name, field in reader.fields.items()
    }
    check_across(reader, columns, findings)
    cohort = Cohort(
        registry,
        patient_id,
        _side_by_side([columns[name] for name in registry.names]),
        sites(table),
        _dates(columns[INDEX_DATE]),
        {column.name: columns[column.name] for column in registry.outcome.columns},
        fingerprint,
    )
    rejected = findings.rejected()
    unchecked = unanswered(columns, registry, len(table))
    if len(rejected):
        kept = ~findings.is_rejected()
        cohort, unchecked = cohort.take(kept), unchecked[kept]
    found = _checked(cohort, rejected, unchecked, table, reader)
    return replace(found, empty_rows=empty_rows, remarks=read.remarks)


def template(registry: Registry) -> tuple[str, dict[str, None]]:
    """A blank cohort and a blank patient: the header of a CSV file, and every name with null."""
    reader = reader_for(registry)
    followup = [column.name for column in registry.outcome.columns]
    header = [PATIENT_ID, SITE, INDEX_DATE, *reader.asked, *followup]
    return ",".join(header) + "\n", dict.fromkeys([PATIENT_ID, *reader.asked])


# --- what must be there, and what is not used ----------------------------------------------------


def require_columns(columns: Sequence[str], registry: Registry, *, to_learn: bool = True) -> None:
    """Refuse a table without the columns that must be there, naming each.

    Raises:
        DataRefused: one is missing.
    """
    needed = [factor.name for factor in registry.factors if factor.required and to_learn]
    strangers = [name for name in columns if name not in reader_for(registry).fields]
    problems = [
        Problem(name, "the column is missing", "it must be there", _instead(name, strangers))
        for name in (PATIENT_ID, *needed)
        if name not in columns
    ]
    if problems:
        raise DataRefused("The cohort lacks columns", problems)


def _instead(name: str, strangers: Sequence[str]) -> str:
    """What to do about a missing column; a file without our ids is a hospital's own."""
    return suggestion(name, strangers) or (AS_IT_IS if name == PATIENT_ID else "")


def _checked(
    accepted: Cohort,
    rejected: Rejected,
    unchecked: BoolArray,
    table: pd.DataFrame,
    reader: Reader,
) -> CheckedCohort:
    known = {PATIENT_ID, SITE, *reader.fields}
    ignored = tuple(str(name) for name in table.columns if name not in known)
    absent = tuple(name for name in reader.asked if name not in table)
    unknown = np.isnan(accepted.codes).sum(axis=0).tolist() if len(accepted) else ()
    return CheckedCohort(
        accepted,
        rejected,
        ignored,
        absent,
        _misspelt(ignored, absent),
        dict(zip(reader.registry.names, unknown, strict=bool(len(accepted)))),
        unchecked,
    )


def _empty_rows(table: pd.DataFrame) -> int:
    """Row numbers that are left out between the first row and the last."""
    return int(table.index[-1] - table.index[0]) + 1 - len(table) if len(table) else 0


def _misspelt(ignored: Sequence[str], absent: Sequence[str]) -> dict[str, str]:
    """Ignored columns that were probably meant to be an absent one."""
    likely = {name.casefold(): name for name in ignored}
    close = ((name, difflib.get_close_matches(name, likely, n=1, cutoff=0.8)) for name in absent)
    return {likely[found[0]]: name for name, found in close if found}


# --- how it is written down -----------------------------------------------------------------------


def _side_by_side(columns: Sequence[FloatArray]) -> FloatArray:
    """One array of all columns, each in one piece: they are read far more often by column."""
    codes = np.empty((len(columns[0]), len(columns)), order="F")
    for at, column in enumerate(columns):
        codes[:, at] = column
    return codes


def _written(column: FloatArray, field: Field) -> pd.api.extensions.ExtensionArray:
    """Codes as text; each distinct code is written once."""
    at, distinct = pd.factorize(column)
    return pd.array([*map(field.written, distinct), ""], dtype="str").take(at)


def _days(dates: DayArray) -> FloatArray:
    unknown = np.isnat(dates)
    return np.where(unknown, math.nan, dates.astype("datetime64[D]").astype(np.int64))


def _dates(days: FloatArray) -> DayArray:
    unknown = np.isnan(days)
    dates = np.where(unknown, 0.0, days).astype("datetime64[D]")
    dates[unknown] = np.datetime64("NaT")
    return dates


def _read_only(values: NDArray[Any], length: int) -> NDArray[Any]:
    if len(values) != length:
        raise ValueError(f"a column has {len(values)} rows and the cohort {length}")
    view = values.view()
    view.flags.writeable = False
    return view
