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
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinecast.answers import INDEX_DATE, Fault
from spinecast.errors import DataRefused
from spinecast.factors import Registry
from spinecast.patient import PATIENT_ID, SITE
from spinecast.rejection import Findings, IntArray, Rejected
from spinecast.site import cells, suspicions
from spinecast.site.cells import Column, Meaning, Reader
from spinecast.site.combinations import COMBINATIONS, Combination
from spinecast.site.declaration import Line, Site
from spinecast.site.reading import ROWS_AT_ONCE, ForeignFile, missing_columns
from spinecast.site.suspicions import Reach
from spinecast.site.targets import Target, targets
from spinecast.tables import file_fingerprint

TextArray: TypeAlias = NDArray[np.object_]
FloatArray: TypeAlias = NDArray[np.float64]
RAW_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Mapped:
    """A hospital's file in our columns.

    Attributes:
        site: the mapping.
        file: the hospital's file.
        table: our columns as text; the index holds the hospital's own row numbers.
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
        for piece in self.file.pieces(self.site.sources) if len(rows) else ():
            wanted = piece[np.isin(piece.index.to_numpy(), rows)]
            records = wanted.to_dict("records")
            cells = ({str(name): str(text) for name, text in one.items()} for one in records)
            found.update(zip(wanted.index.tolist(), cells, strict=True))
        return found


def map_file(path: Path | str, site: Site, registry: Registry, rows: int = ROWS_AT_ONCE) -> Mapped:
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
    names = file.names()
    if problems := list(missing_columns(names, site.sources)):
        raise DataRefused(f"{file.path.name} lacks columns that {site.name} names", problems)
    whole = _Whole(site, targets(registry))
    for piece in file.pieces(site.sources, rows):
        whole.add(piece)
    if not whole.tables:
        file.refuse("it has a header and no rows", "one row for each patient is needed")
    table = pd.concat(whole.tables) if len(whole.tables) > 1 else whole.tables[0]
    if problems := [
        *suspicions.columns(site, whole.targets, whole.reach),
        *suspicions.copies(site, whole.targets, table),
    ]:
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
    """The pieces put together: our text, what could not be explained, how far numbers reach."""

    def __init__(self, site: Site, known: Mapping[str, Target]) -> None:
        self.site = site
        self.targets = {name: known[name] for name in site.columns}
        self.tables: list[pd.DataFrame] = []
        self.reach: dict[str, Reach] = {}
        self._rows: list[IntArray] = []
        self._faults: list[tuple[Fault, ...]] = []
        self._which: list[IntArray] = []

    def add(self, piece: pd.DataFrame) -> None:
        """Map a piece."""
        if not len(piece):
            return
        mapped: dict[str, TextArray] = {}
        for name, line in self.site.columns.items():
            made = _Made(piece.index.to_numpy(dtype=np.int64))
            mapped[name] = _column(piece, self.site, line, self.targets[name], made)
            for rows, which, faults in made.faults:
                self._rows.append(rows)
                self._which.append(which)
                self._faults.append(faults)
            reach = suspicions.reach(self.targets[name], made.before, mapped[name], made.count)
            self.reach[name] = self.reach[name] + reach if name in self.reach else reach
        if SITE not in mapped and self.site.site:
            mapped[SITE] = np.full(len(piece), self.site.site, dtype=object)
        self.tables.append(pd.DataFrame(mapped, index=piece.index, dtype="str"))

    def findings(self, rows: IntArray) -> Findings:
        """All faults, of the rows that are used."""
        findings = Findings(rows)
        for own, which, faults in zip(self._rows, self._which, self._faults, strict=True):
            at = np.minimum(np.searchsorted(rows, own), max(len(rows) - 1, 0))
            used = rows[at] == own if len(rows) else np.zeros(len(own), dtype=bool)
            findings.add(at[used], which[used], faults)
        return findings


class _Made:
    """What is noted while one of our columns is made from a piece."""

    def __init__(self, rows: IntArray) -> None:
        self.rows = rows
        self.faults: list[tuple[IntArray, IntArray, tuple[Fault, ...]]] = []
        self.before: FloatArray | None = None

    @property
    def count(self) -> int:
        """How many cells could not be explained."""
        return sum(len(rows) for rows, _, _ in self.faults)

    def read(
        self, column: pd.Series[str], reader: Reader[Meaning], unknown: Meaning
    ) -> NDArray[Any]:
        """What the cells of a column mean; each distinct text is read once."""
        at, texts = pd.factorize(column)
        meanings = [reader(text) for text in texts.tolist()]
        return self.spread(at, meanings, unknown)

    def spread(
        self, at: IntArray, meanings: Sequence[Meaning | Fault], unknown: Meaning
    ) -> NDArray[Any]:
        """Distinct meanings at their rows; what is a fault is noted, and unknown."""
        faults = tuple(meaning for meaning in meanings if isinstance(meaning, Fault))
        if faults:
            is_fault = np.array([isinstance(meaning, Fault) for meaning in meanings])
            rows = np.flatnonzero(is_fault[at])
            self.faults.append((self.rows[rows], (np.cumsum(is_fault) - 1)[at[rows]], faults))
        kind = object if isinstance(unknown, str) else np.float64
        known = [unknown if isinstance(meaning, Fault) else meaning for meaning in meanings]
        return np.array(known, dtype=kind)[at]


def _column(piece: pd.DataFrame, site: Site, line: Line, target: Target, made: _Made) -> TextArray:
    """One of our columns as text."""
    if line.constant is not None:
        return np.full(len(piece), line.constant, dtype=object)
    columns = [Column(site, line, target, source) for source in line.sources]
    if not line.by:
        if target.holds == "number" or line.bands:
            made.before = _Made(made.rows).read(
                piece[line.sources[0]], cells.number_reader(columns[0]), math.nan
            )
        return made.read(piece[line.sources[0]], cells.answer_reader(columns[0]), "")
    way = COMBINATIONS[line.by]
    if way.gives == "same":
        return _first(
            way, [made.read(piece[c.source], cells.answer_reader(c), "") for c in columns]
        )
    inputs = [
        made.read(piece[column.source], _input_reader(column, way, place), math.nan)
        for place, column in enumerate(columns)
    ]
    numbers, at = np.unique(way.function(*inputs), return_inverse=True, equal_nan=True)
    whole = replace(columns[0], source=", ".join(line.sources))
    texts = [cells.written(whole, way, number) for number in numbers.tolist()]
    return made.spread(at, texts, "")


def _input_reader(column: Column, way: Combination, place: int) -> Reader[float]:
    """Reads one of the columns that a way combines, in the unit the way needs."""
    match way.need(place):
        case "date":
            return cells.date_reader(column)
        case "yes_no":
            return cells.yes_no_reader(column)
    unit = way.unit_of(place)
    rate = suspicions.rate_to(column.line.units[place], unit) if unit else 1.0
    return cells.number_reader(column, rate)


def _first(way: Combination, texts: Sequence[TextArray]) -> TextArray:
    """A way that works on whatever the columns hold, worked on the place of each distinct text."""
    at, distinct = pd.factorize(np.concatenate(texts))
    places = np.where(distinct[at] == "", np.nan, at).astype(np.float64)
    chosen = way.function(*np.split(places, len(texts)))
    unknown = np.isnan(chosen)
    found = np.asarray(distinct, dtype=object)[np.where(unknown, 0, chosen).astype(np.int64)]
    return np.where(unknown, "", found).astype(object)


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
    days, order = np.unique(table[INDEX_DATE].to_numpy(dtype=object), return_inverse=True)
    unknown = (days == "")[order] | (names == "")[patients]
    chosen = np.full(len(names), len(days) if which == "first" else -1)
    (np.minimum if which == "first" else np.maximum).at(chosen, patients, order)
    unclear = np.zeros(len(names), dtype=bool)
    unclear[patients[unknown]] = True
    return np.asarray((order == chosen[patients]) | unclear[patients])
