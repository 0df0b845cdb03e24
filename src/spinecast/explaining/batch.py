"""Files in, files out: many patients at once, none of them stopping the others.

A file holds a table (CSV, Parquet) or records (JSON, one patient or a list). Either way the
patients become rows of codes and are scored some thousand at a time. They stay in the order of the
file, and one who cannot be scored stands there as refused, with every reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from pyarrow import parquet
from threadpoolctl import threadpool_limits

from spinecast.cohorts.cohort import CheckedCohort, check_mapped, check_table
from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.exchange.redcap_records import as_cohort
from spinecast.explaining.assessment import Assessment
from spinecast.explaining.scoring import Scorer, name_of
from spinecast.files import reason, whole_file
from spinecast.patients.answers import Fault
from spinecast.patients.patient import PATIENT_ID
from spinecast.patients.tables import read_table
from spinecast.progress import Progress, silent
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

    def pieces(self) -> list[Piece]:
        """The file in pieces, in order."""
        before = np.concatenate([[0], np.cumsum(self.accepted)])
        return [
            Piece(self, slice(start, stop), self.codes[before[start] : before[stop]])
            for start in range(0, len(self), ROWS_AT_ONCE)
            for stop in [min(start + ROWS_AT_ONCE, len(self))]
        ]

    def assessments(self) -> Iterator[Assessment]:
        """Every patient's record, in the order of the file."""
        for piece in self.pieces():
            yield from piece.assessments()


@dataclass(frozen=True)
class Piece:
    """Neighbouring patients of a file: their places, and the codes of those who can be scored."""

    patients: Patients
    places: slice
    codes: FloatArray

    @property
    def _accepted(self) -> BoolArray:
        return self.patients.accepted[self.places]

    @property
    def _ids(self) -> ObjectArray:
        return self.patients.ids[self.places]

    def assessments(self) -> Iterator[Assessment]:
        """Their records, in order."""
        scorer = self.patients.scorer
        scores = scorer.explainer.score(self.codes)
        rows = iter(range(len(scores)))
        for place, name in enumerate(self._ids, start=self.places.start):
            if place in self.patients.faults:
                yield scorer.refuse(self.patients.faults[place], name)
            else:
                yield replace(scorer.explainer.explain(scores, next(rows)), patient_id=name)

    def table(self) -> pa.Table:
        """Their scores in columns; what a refused patient does not have is null."""
        explainer = self.patients.scorer.explainer
        scores = explainer.score(self.codes)
        names = self.patients.scorer.registry.names
        standing = [caution.code for caution in explainer.facts.cautions]
        count = len(self._ids)
        columns: dict[str, Any] = {
            PATIENT_ID: self._ids,
            "status": np.where(self._accepted, "scored", "refused").astype(object),
            "reasons": self._reasons(),
            "risk": self._spread(scores.risk),
            "low": self._spread(scores.low),
            "high": self._spread(scores.high),
            "centile": self._spread(scores.centile),
            "margin": self._spread(scores.margin),
            **self._by_factor("log_odds_", names, scores.log_odds),
            **self._by_factor("risk_points_", names, scores.risk_points),
            "unknown": self._spread(_listed(names, scores.doubts.unknown)),
            "cautions": self._spread(scores.doubts.codes(standing)),
            "model": np.full(count, explainer.identity.id, dtype=object),
        }
        return pa.table({name: pa.array(c, from_pandas=True) for name, c in columns.items()})

    def _by_factor(
        self, prefix: str, names: Sequence[str], values: FloatArray
    ) -> dict[str, FloatArray]:
        spread = self._spread(values)
        return {prefix + name: spread[:, at] for at, name in enumerate(names)}

    def _spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of the accepted at their places among all; nothing for the others."""
        if len(values) == len(self._ids):
            return values
        empty = None if values.dtype == object else np.nan
        spread = np.full((len(self._ids), *values.shape[1:]), empty, dtype=values.dtype)
        spread[self._accepted] = values
        return spread

    def _reasons(self) -> list[str]:
        found = self.patients.faults
        return [
            "; ".join(str(fault.problem()) for fault in found.get(place, ()))
            for place in range(self.places.start, self.places.stop)
        ]


def _listed(names: Sequence[str], marks: BoolArray) -> ObjectArray:
    """For every row the names that are marked, as text."""
    listed = np.array(names, dtype=object)
    return np.array(["; ".join(listed[row]) for row in marks], dtype=object)


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


def patients_of(scorer: Scorer, rows: pd.DataFrame) -> Patients:
    """The patients of a table of text, as `read_table` gives it.

    Raises:
        DataRefused: it has no patient_id.
    """
    read = as_cohort(rows, scorer.registry)
    checked = check_table(read.table, scorer.registry, to_learn=False)
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
    return Patients(
        scorer,
        np.array([name_of(record) for record in records], dtype=object),
        accepted,
        np.array(rows).reshape(len(rows), len(scorer.registry.names)),
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
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        problem = Problem(str(path), "its ending is not known", f"allowed: {', '.join(_WRITERS)}")
        raise UsageRefused("The scores cannot be written", [problem])
    with whole_file(path) as unfinished:
        writer(patients, unfinished, progress)


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
    # Contributions hardly repeat: a dictionary of them costs time and saves nothing.
    def open_writer(where: str, schema: pa.Schema) -> parquet.ParquetWriter:
        words = [column.name for column in schema if column.type == pa.string()]
        return parquet.ParquetWriter(where, schema, use_dictionary=words)

    _write_tables(patients, path, progress, open_writer)


def _write_tables(
    patients: Patients, path: Path, progress: Progress, open_writer: Callable[..., Any]
) -> None:
    pieces = patients.pieces()
    schema = _schema(patients)
    done = 0
    with (
        open_writer(str(path), schema) as writer,
        ThreadPoolExecutor(THREADS) as pool,
        # BLAS threads inside our own are in each other's way.
        threadpool_limits(1, user_api="blas"),
    ):
        # A few pieces ahead of the writer, not all of them: memory stays bounded.
        for start in range(0, len(pieces), THREADS):
            for table in pool.map(Piece.table, pieces[start : start + THREADS]):
                writer.write_table(table.cast(schema))
                done += len(table)
                progress("scoring", done, len(patients))


def _schema(patients: Patients) -> pa.Schema:
    """The columns of a scored table; the same for every piece, whoever is refused in it."""
    names = patients.scorer.registry.names
    texts = (PATIENT_ID, "status", "reasons", "unknown", "cautions", "model")
    numbers = ["risk", "low", "high", "centile", "margin"]
    numbers += [f"{kind}_{name}" for kind in ("log_odds", "risk_points") for name in names]
    order = [*texts[:3], *numbers, *texts[3:]]
    return pa.schema([(name, pa.string() if name in texts else pa.float64()) for name in order])


_WRITERS: Mapping[str, Callable[[Patients, Path, Progress], None]] = MappingProxyType(
    {RECORDS: _write_records, ".csv": _write_csv, ".parquet": _write_parquet}
)
