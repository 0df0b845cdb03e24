"""Files in, files out: many patients at once, none of them stopping the others.

A file holds a table (CSV, Parquet) or records (JSON, one patient or a list). Either way the
patients become rows of codes and are scored some thousand at a time. They stay in the order of the
file, and one who cannot be scored stands there as refused, with every reason.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from spinecast.cohorts.cohort import CheckedCohort, check_mapped, check_table
from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.exchange.redcap_records import as_cohort
from spinecast.explaining.assessment import Assessment
from spinecast.explaining.columns import Columns, Origin, writer
from spinecast.explaining.explanation import Scores
from spinecast.explaining.scoring import Scorer, name_of
from spinecast.files import reason, whole_file
from spinecast.patients.answers import Fault
from spinecast.patients.checking import Surroundings
from spinecast.patients.patient import PATIENT_ID
from spinecast.patients.tables import read_table
from spinecast.progress import Progress, silent
from spinecast.sharing import one_thread
from spinecast.site.declaration import Site
from spinecast.site.mapping import map_file

RECORDS = ".json"
ENDINGS = (RECORDS, ".csv", ".parquet")
ROWS_AT_ONCE = 8192
THREADS = 2

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
ObjectArray = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Patients:
    """The patients of a file, ready to be scored.

    Attributes:
        scorer: the model.
        ids: each patient's id, "" without one, (n,).
        accepted: who can be scored, (n,).
        codes: the accepted patients' rows of codes, (accepted, F).
        unchecked: which questions about scope nobody answered of them, (accepted, E).
        faults: why the others cannot, by their place in the file.
        alone: whether the file is one patient, not a list or a table.
        ignored: columns of a table that were not used.
        suggestions: of those, which look like a misspelt factor, with its name.
        remarks: how a table was read, where that was not simply as it stands.
    """

    scorer: Scorer
    ids: ObjectArray
    accepted: BoolArray
    codes: FloatArray
    unchecked: BoolArray
    faults: Mapping[int, tuple[Fault, ...]]
    alone: bool = False
    ignored: tuple[str, ...] = ()
    suggestions: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many, the refused among them."""
        return len(self.ids)

    @property
    def refused(self) -> int:
        """How many cannot be scored."""
        return len(self.faults)

    def blocks(self) -> list[Block]:
        """The file in blocks of about the same size, in order."""
        before = np.concatenate([[0], np.cumsum(self.accepted)])
        ends = np.linspace(0, len(self), -(-len(self) // ROWS_AT_ONCE) + 1).astype(int).tolist()
        return [
            Block(self, slice(start, stop), slice(before[start], before[stop]))
            for start, stop in itertools.pairwise(ends)
        ]

    def assessments(self) -> Iterator[Assessment]:
        """Every patient's record, in the order of the file."""
        for block in self.blocks():
            yield from block.assessments()


@dataclass(frozen=True)
class Block:
    """Neighbouring patients of a file: their places, and those of the ones who can be scored."""

    patients: Patients
    places: slice
    among: slice

    @property
    def _accepted(self) -> BoolArray:
        return self.patients.accepted[self.places]

    @property
    def _ids(self) -> ObjectArray:
        return self.patients.ids[self.places]

    def _scores(self, *, intervals: bool = True) -> Scores:
        told = self.patients
        return told.scorer.explainer.score(
            told.codes[self.among], intervals=intervals, unchecked=told.unchecked[self.among]
        )

    def assessments(self) -> Iterator[Assessment]:
        """Their records, in order."""
        scorer = self.patients.scorer
        scores = self._scores()
        rows = iter(range(len(scores)))
        for place, name in enumerate(self._ids, start=self.places.start):
            if place in self.patients.faults:
                yield scorer.refuse(self.patients.faults[place], name)
            else:
                yield replace(scorer.explainer.explain(scores, next(rows)), patient_id=name)

    def table(self, origin: Origin | None = None, *, intervals: bool = True) -> pa.Table:
        """Their scores in columns; what a refused patient does not have is null."""
        explainer = self.patients.scorer.explainer
        columns = Columns.of(explainer, intervals=intervals, origin=origin is not None)
        scores = self._scores(intervals=intervals)
        return columns.table(self._ids, self._accepted, self._faults, scores, origin)

    @property
    def _faults(self) -> dict[int, tuple[Fault, ...]]:
        """Why some were refused, by their place in the block."""
        start, found = self.places.start, self.patients.faults
        return {int(at): found[start + int(at)] for at in np.flatnonzero(~self._accepted)}


# --- in ------------------------------------------------------------------------------------------


def read_patients(scorer: Scorer, path: Path | str, site: Site | None = None) -> Patients:
    """Read the patients of a file: CSV, Parquet, or JSON with one patient or a list.

    With the mapping of a hospital's own columns (`site`), its own table in any form `site.reading`
    knows.

    Raises:
        UsageRefused: there is no such file, or its ending is another.
        DataRefused: it is not a table, has no patient_id, or is not JSON of patients.
    """
    path = Path(path)
    registry = scorer.registry
    if site is not None:
        mapped = map_file(path, site, registry)
        checked = check_mapped(mapped, registry, to_learn=False)
        return _from_table(scorer, mapped.table, checked)
    if path.suffix.lower() == RECORDS:
        return _from_records(scorer, path)
    return patients_of(scorer, read_table(path))


def patients_of(scorer: Scorer, rows: pd.DataFrame, rest: Surroundings | None = None) -> Patients:
    """The patients of a table of text, as `read_table` gives it.

    `rest` is what the rest of the cohort says of them, when the table is a part of one.

    Raises:
        DataRefused: it has no patient_id.
    """
    read = as_cohort(rows, scorer.registry)
    checked = check_table(read.table, scorer.registry, to_learn=False, rest=rest)
    return _from_table(scorer, read.table, replace(checked, remarks=read.remarks))


def _from_table(scorer: Scorer, table: pd.DataFrame, checked: CheckedCohort) -> Patients:
    places = {row: place for place, row in enumerate(table.index.tolist())}
    faults = {places[row]: found for row, found in checked.rejected.by_row().items()}
    accepted = np.ones(len(table), dtype=bool)
    accepted[list(faults)] = False
    ids = table[PATIENT_ID].astype("str").str.strip().to_numpy(dtype=object)
    return Patients(
        scorer,
        ids,
        accepted,
        checked.accepted.codes,
        checked.unchecked,
        faults,
        ignored=checked.ignored_columns,
        suggestions=checked.suggestions,
        remarks=checked.remarks,
    )


def _from_records(scorer: Scorer, path: Path) -> Patients:
    told = _json(path)
    records = told if isinstance(told, list) else [told]
    read = [scorer.read(record) for record in records]
    accepted = np.array([not faults for _, faults in read], dtype=bool)
    rows = [codes for codes, faults in read if not faults]
    left = [scorer.unchecked(record) for record in itertools.compress(records, accepted)]
    return Patients(
        scorer,
        np.array([name_of(record) for record in records], dtype=object),
        accepted,
        np.array(rows).reshape(len(rows), len(scorer.registry.names)),
        np.array(left, dtype=bool).reshape(len(rows), len(scorer.registry.exclusions)),
        {place: faults for place, (_, faults) in enumerate(read) if faults},
        alone=not isinstance(told, list),
    )


def _json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    allowed = "JSON with one patient {...} or a list [{...}, ...]"
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_repeats)
    except OSError as error:
        problem = Problem(str(path), reason(error), "a file that can be read is needed")
        raise UsageRefused("The file cannot be read", [problem]) from None
    except (ValueError, RecursionError) as error:
        given = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataRefused("The file is not JSON", [Problem(path.name, given, allowed)]) from None
    if not isinstance(told, list | dict) or told == []:
        given = "it is empty" if told == [] else f"it holds {json.dumps(told)[:40]}"
        raise DataRefused("The file holds no patient", [Problem(path.name, given, allowed)])
    return told


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object in which no name stands twice; which of the two was meant, nobody knows."""
    told = dict(pairs)
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"these names stand twice: {', '.join(repeated)}")
    return told


# --- out -----------------------------------------------------------------------------------------


def write_scores(patients: Patients, path: Path | str, progress: Progress = silent) -> None:
    """Score the patients into a file that appears whole or not at all.

    Args:
        patients: as `read_patients` gives them.
        path: `.json` takes their records, `.csv` and `.parquet` columns.
        progress: told how many patients are scored, and of how many.

    Raises:
        UsageRefused: another ending, or the file cannot be written.
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        problem = Problem(str(path), "its ending is not known", f"allowed: {', '.join(_WRITERS)}")
        raise UsageRefused("The scores cannot be written", [problem])
    with whole_file(path) as unfinished:
        write(patients, unfinished, progress)


def _write_records(patients: Patients, path: Path, progress: Progress) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("" if patients.alone else "[\n")
        for done, assessment in enumerate(patients.assessments(), start=1):
            file.write(assessment.to_json() + ("" if done == len(patients) else ",") + "\n")
            progress("scoring", done, len(patients))
        file.write("" if patients.alone else "]\n")


def _write_csv(patients: Patients, path: Path, progress: Progress) -> None:
    _write_tables(patients, path, progress, arrow_csv.CSVWriter)


def _write_parquet(patients: Patients, path: Path, progress: Progress) -> None:
    _write_tables(patients, path, progress, writer)


def _write_tables(
    patients: Patients, path: Path, progress: Progress, open_writer: Callable[..., Any]
) -> None:
    blocks = patients.blocks()
    schema = Columns.of(patients.scorer.explainer).schema
    done = 0
    with (
        open_writer(str(path), schema) as file,
        ThreadPoolExecutor(THREADS) as pool,
        one_thread(),
    ):
        # A few blocks ahead of the writer, not all of them: memory stays bounded.
        for start in range(0, len(blocks), THREADS):
            for table in pool.map(Block.table, blocks[start : start + THREADS]):
                file.write_table(table)
                done += len(table)
                progress("scoring", done, len(patients))


_WRITERS: Mapping[str, Callable[[Patients, Path, Progress], None]] = MappingProxyType(
    {RECORDS: _write_records, ".csv": _write_csv, ".parquet": _write_parquet}
)
