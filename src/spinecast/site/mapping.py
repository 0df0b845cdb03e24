"""A hospital's file turned into a table of ours, by what site.toml declares.

The table is text, as `tables.read_table` would give it, so the same checks follow. It is made piece
by piece: memory holds our columns, never the file. What site.toml does not explain is noted as a
fault of the row, in the hospital's own words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from spinecast.errors import DataRefused
from spinecast.knowledge.factors import Registry
from spinecast.patients.answers import INDEX_DATE, Fault
from spinecast.patients.patient import PATIENT_ID, SITE
from spinecast.patients.rejection import Findings, IntArray, Rejected
from spinecast.patients.tables import file_fingerprint
from spinecast.site import cells, reading, units, whole_columns
from spinecast.site.cells import Column, Meaning, Reader
from spinecast.site.combinations import COMBINATIONS, Combination
from spinecast.site.declaration import ROW_NUMBER, Line, Site
from spinecast.site.foreign_file import ForeignFile
from spinecast.site.targets import Target, targets
from spinecast.site.whole_columns import Reach

FloatArray: TypeAlias = NDArray[np.float64]
RAW_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Mapped:
    """A hospital's file in our columns.

    Attributes:
        site: the mapping.
        file: the hospital's file.
        table: our columns as text, each kept by its distinct texts; the index holds the
            hospital's own row numbers.
        findings: cells that the mapping does not explain; their rows are to be rejected.
        set_aside: rows of patients with several, of whom another row is used.
        empty_rows: rows between others without any entry in the columns used.
        unused: columns of the file that no line of the mapping names.
        reach: for each of our numbers, what it was before and is now.
        fingerprint: SHA-256 of the file.
    """

    site: Site
    file: ForeignFile
    table: pd.DataFrame
    findings: Findings
    set_aside: int
    empty_rows: int
    unused: tuple[str, ...]
    reach: Mapping[str, Reach]
    fingerprint: str

    def in_their_words(self, rejected: Rejected) -> Rejected:
        """The rejected rows, every reason with the hospital's own column and value beside ours."""
        theirs = self._cells(np.unique(rejected.reason_rows))
        faults: dict[Fault, int] = {}
        which = np.empty(len(rejected.reason_rows), dtype=np.int64)
        reasons = zip(rejected.reason_rows.tolist(), rejected.reason_faults.tolist(), strict=True)
        for at, (row, fault) in enumerate(reasons):
            told = self._told(rejected.faults[fault], theirs[row])
            which[at] = faults.setdefault(told, len(faults))
        return replace(rejected, reason_faults=which, faults=tuple(faults))

    def _told(self, fault: Fault, cells: Mapping[str, str]) -> Fault:
        line = self.site.columns.get(fault.column)
        if line is None or not line.sources:
            return fault
        own = [cells[source].strip() for source in line.sources]
        named = [f"{source} {text}" for source, text in zip(line.sources, own, strict=True)]
        said = own[0] if len(own) == 1 else ", ".join(named)
        given = fault.given if said == fault.given else f"{said[:RAW_SHOWN]} ({fault.given})"
        place = f"{fault.column} from {', '.join(line.sources)}"
        return replace(fault, column=place, given=given)

    def _cells(self, rows: IntArray) -> dict[int, dict[str, str]]:
        """The hospital's own cells in some rows, read again: they are not kept."""
        found: dict[int, dict[str, str]] = {}
        for piece in reading.pieces(self.file, self.site.sources) if len(rows) else ():
            wanted = piece[np.isin(piece.index.to_numpy(), rows)]
            records = wanted.to_dict("records")
            cells = ({str(name): str(text) for name, text in one.items()} for one in records)
            found.update(zip(wanted.index.tolist(), cells, strict=True))
        return found


def map_file(
    path: Path | str, site: Site, registry: Registry, rows: int = reading.ROWS_AT_ONCE
) -> Mapped:
    """Read a hospital's file and put it into our columns.

    Args:
        path: CSV, Parquet, Excel, Stata or SPSS.
        site: the mapping, as `read_site` gives it.
        registry: what our columns are.
        rows: how many are in memory at once as the hospital wrote them.

    Raises:
        UsageRefused: the file cannot be read.
        DataRefused: it is no clean table, lacks columns the mapping names, or the mapping makes
            nonsense of a whole column (a unit by which every value is impossible, say).
    """
    file = ForeignFile(Path(path), site.file, site.decimal)
    names = reading.column_names(file)
    if problems := list(reading.missing_columns(names, site.sources)):
        raise DataRefused(f"{file.path.name} lacks columns that {site.name} names", problems)
    whole = _Whole(site, targets(registry))
    for piece in reading.pieces(file, site.sources, rows):
        whole.add(piece)
    table = whole.table()
    if table is None:
        file.refuse("it has a header and no rows", "one row for each patient is needed")
    if problems := list(whole_columns.impossible(site, whole.targets, whole.reach)):
        raise DataRefused(f"{site.name} makes nonsense of {file.path.name}", problems)
    used = _one_row_each(table, site.repeated)
    unused = tuple(name for name in names if name not in site.sources)
    kept = table if used.all() else table[used]
    set_aside = int((~used).sum())
    empty = int(table.index[-1] - table.index[0]) + 1 - len(table)
    findings = whole.findings(kept.index.to_numpy(dtype=np.int64))
    return Mapped(
        site, file, kept, findings, set_aside, empty, unused, whole.reach, file_fingerprint(path)
    )


class _Whole:
    """The pieces put together: our text, what could not be explained, how far numbers reach.

    Each column is kept by its distinct texts, for most of them come again and again.
    """

    def __init__(self, site: Site, known: Mapping[str, Target]) -> None:
        self.site = site
        self.targets = {name: known[name] for name in site.columns}
        self.reach: dict[str, Reach] = {}
        self._parts: dict[str, list[pd.Categorical]] = {}
        self._rows: list[IntArray] = []
        self._notes: list[_Note] = []

    def add(self, piece: pd.DataFrame) -> None:
        """Map a piece."""
        if not len(piece):
            return
        rows = piece.index.to_numpy(dtype=np.int64)
        self._rows.append(rows)
        for name, line in self.site.columns.items():
            made = _Made(rows)
            column = _column(piece, self.site, line, self.targets[name], made)
            self._parts.setdefault(name, []).append(column)
            self._notes.extend(made.notes)
            reach = whole_columns.reach(self.targets[name], made.before, column, made.unexplained)
            self.reach[name] = self.reach[name] + reach if name in self.reach else reach
        if SITE not in self.site.columns and self.site.site:
            own = _Made(rows).texts(np.zeros(len(piece), dtype=np.int64), [self.site.site])
            self._parts.setdefault(SITE, []).append(own)

    def table(self) -> pd.DataFrame | None:
        """Our columns as text; None when there was no row."""
        if not self._rows:
            return None
        # A column's pieces are let go as soon as it is whole.
        whole = {name: union_categoricals(self._parts.pop(name)) for name in list(self._parts)}
        return pd.DataFrame(whole, index=pd.Index(np.concatenate(self._rows), name="row"))

    def findings(self, rows: IntArray) -> Findings:
        """All faults, of the rows that are used."""
        findings = Findings(rows)
        for note in self._notes:
            at = np.minimum(np.searchsorted(rows, note.rows), max(len(rows) - 1, 0))
            used = rows[at] == note.rows if len(rows) else np.zeros(len(note.rows), dtype=bool)
            findings.add(at[used], note.which[used], note.faults)
        return findings


@dataclass(frozen=True, slots=True, eq=False)
class _Note:
    """Cells that could not be explained: row `rows[i]` has the fault `faults[which[i]]`."""

    rows: IntArray
    which: IntArray
    faults: tuple[Fault, ...]


class _Made:
    """What is noted while one of our columns is made from a piece."""

    def __init__(self, rows: IntArray) -> None:
        self.rows = rows
        self.notes: list[_Note] = []
        self.before: FloatArray | None = None

    @property
    def unexplained(self) -> int:
        """How many cells could not be explained."""
        return sum(len(note.rows) for note in self.notes)

    def texts(self, at: IntArray, meanings: Sequence[str | Fault]) -> pd.Categorical:
        """Distinct texts at their rows; what is a fault is noted, and unknown."""
        self._note(at, meanings)
        known = ["" if isinstance(meaning, Fault) else meaning for meaning in meanings]
        place, distinct = pd.factorize(np.array(known, dtype=object))
        return pd.Categorical.from_codes(place[at], pd.Index(distinct, dtype="str"))

    def numbers(self, column: pd.Series[str], reader: Reader[float]) -> FloatArray:
        """The numbers of a column; what is a fault is noted, and unknown."""
        at, meanings = _read(column, reader)
        self._note(at, meanings)
        known = [math.nan if isinstance(meaning, Fault) else meaning for meaning in meanings]
        return np.array(known, dtype=np.float64)[at]

    def _note(self, at: IntArray, meanings: Sequence[Meaning | Fault]) -> None:
        faults = tuple(meaning for meaning in meanings if isinstance(meaning, Fault))
        if faults:
            is_fault = np.array([isinstance(meaning, Fault) for meaning in meanings])
            rows = np.flatnonzero(is_fault[at])
            self.notes.append(_Note(self.rows[rows], (np.cumsum(is_fault) - 1)[at[rows]], faults))


def _read(
    column: pd.Series[str], reader: Reader[Meaning]
) -> tuple[IntArray, list[Meaning | Fault]]:
    """What the cells of a column mean; each distinct text is read once."""
    at, texts = pd.factorize(column)
    return at, [reader(text) for text in texts.tolist()]


def _column(
    piece: pd.DataFrame, site: Site, line: Line, target: Target, made: _Made
) -> pd.Categorical:
    """One of our columns as text."""
    if line.constant is not None:
        return made.texts(np.zeros(len(piece), dtype=np.int64), [line.constant])
    if line.by == ROW_NUMBER:
        return made.texts(np.arange(len(piece)), [str(row) for row in made.rows.tolist()])
    columns = [Column(site, line, target, source) for source in line.sources]
    if not line.by:
        if target.holds == "number" or line.bands:
            made.before = _as_written(piece, columns[0])
        return made.texts(*_read(piece[columns[0].source], cells.answer_reader(columns[0])))
    way = COMBINATIONS[line.by]
    if way.gives == "same":
        return _first(piece, way, columns, made)
    inputs = [
        made.numbers(piece[column.source], _input_reader(column, way, place))
        for place, column in enumerate(columns)
    ]
    numbers, at = np.unique(way.function(*inputs), return_inverse=True, equal_nan=True)
    whole = replace(columns[0], source=", ".join(line.sources))
    return made.texts(at, [cells.written(whole, way, number) for number in numbers.tolist()])


def _as_written(piece: pd.DataFrame, column: Column) -> FloatArray:
    """The distinct numbers of a column, in the hospital's own unit."""
    _, meanings = _read(piece[column.source], cells.number_reader(column))
    return np.array([meaning for meaning in meanings if not isinstance(meaning, Fault)])


def _input_reader(column: Column, way: Combination, place: int) -> Reader[float]:
    """Reads one of the columns that a way combines, in the unit the way needs."""
    match way.need(place):
        case "date":
            return cells.date_reader(column)
        case "yes_no":
            return cells.yes_no_reader(column)
    unit = way.unit_of(place)
    rate = units.rate(column.line.units[place], unit) if unit else 1.0
    return cells.number_reader(column, rate or 1.0)


def _first(
    piece: pd.DataFrame, way: Combination, columns: Sequence[Column], made: _Made
) -> pd.Categorical:
    """A way that takes whatever the columns hold, done on the place of each distinct text."""
    texts = [
        made.texts(*_read(piece[column.source], cells.answer_reader(column))) for column in columns
    ]
    joined = union_categoricals(texts)
    distinct = joined.categories.tolist()
    is_unknown = np.array([text == "" for text in distinct])
    places = np.where(is_unknown[joined.codes], np.nan, joined.codes)
    chosen = way.function(*np.split(places, len(texts)))
    at = np.where(np.isnan(chosen), len(distinct), chosen).astype(np.int64)
    return made.texts(at, [*distinct, ""])


# --- patients in several rows ---------------------------------------------------------------------


def _one_row_each(table: pd.DataFrame, which: str) -> NDArray[np.bool_]:
    """For every row whether it is used: by "first" or "last", that of the patient's chosen date.

    Rows of a patient with an unknown date, or with two rows on the chosen one, are all kept: nobody
    can say which is meant, and the check refuses them as repeated.
    """
    used = np.ones(len(table), dtype=bool)
    if which not in ("first", "last"):
        return used
    patients, names = pd.factorize(table[PATIENT_ID])
    # Written yyyy-mm-dd, days stand in the order of their text.
    places, days = pd.factorize(table[INDEX_DATE])
    order = np.argsort(np.argsort(np.asarray(days, dtype=object)))[places]
    unknown = (table[INDEX_DATE] == "").to_numpy() | (table[PATIENT_ID] == "").to_numpy()
    chosen = np.full(len(names), len(days) if which == "first" else -1)
    (np.minimum if which == "first" else np.maximum).at(chosen, patients, order)
    unclear = np.zeros(len(names), dtype=bool)
    unclear[patients[unknown]] = True
    return np.asarray((order == chosen[patients]) | unclear[patients])
