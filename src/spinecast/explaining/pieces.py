"""One part of a cohort scored into its piece of a folder, wherever that runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from spinecast.errors import DataRefused, Problem, SpinecastError
from spinecast.explaining.batch import patients_of
from spinecast.explaining.columns import Columns, Origin, writer
from spinecast.explaining.journal import REJECTED, SCORES, Piece, Run
from spinecast.explaining.scoring import Scorer
from spinecast.files import whole_file
from spinecast.patients.answers import Fault
from spinecast.patients.checking import Surroundings
from spinecast.patients.parts import Part
from spinecast.patients.tables import file_fingerprint
from spinecast.sharing import one_thread

REJECTIONS = "spinecast.rejected/1"


@dataclass(frozen=True, slots=True)
class Job:
    """What is done to every part: by which model, how, and where the pieces go."""

    model: Path
    registry: Path | None
    out: Path
    run: Run
    rows_at_once: int


@dataclass(frozen=True, slots=True)
class Task:
    """A part, the name of its piece, and what the rest of the cohort says of it."""

    part: Part
    name: str
    rest: Surroundings

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the rest says, "" where that is nothing."""
        repeated = sorted(self.rest.repeated.items())
        numbers = sorted((name, sorted(some)) for name, some in self.rest.numbers.items())
        told = json.dumps([repeated, numbers])
        return hashlib.sha256(told.encode()).hexdigest() if repeated or numbers else ""


def score_part(job: Job, task: Task) -> Piece | Problem:
    """Score a part into its piece, wherever this runs; what cannot be read is told as a problem.

    Raises:
        UsageRefused: the piece cannot be written.
    """
    scorer = _scorer(job.model, job.registry, job.run.language)
    if scorer.explainer.identity.id != job.run.model:
        raise SpinecastError(f"{job.model} changed while it was used. Run again.")
    path = job.out / SCORES / task.name
    rejections: list[pa.Table] = []
    schema = _columns(scorer, job.run).schema
    rows = 0
    try:
        with whole_file(path) as unfinished, writer(str(unfinished), schema) as file:
            for table, rejected in _tables(scorer, job, task):
                file.write_table(table, row_group_size=job.rows_at_once)
                rows += len(table)
                rejections += rejected
    except DataRefused as refused:
        return refused.problems[0]
    refused_file = job.out / REJECTED / task.name
    if rejections:
        with whole_file(refused_file) as unfinished:
            parquet.write_table(pa.concat_tables(rejections), unfinished)
    else:
        refused_file.unlink(missing_ok=True)
    return Piece(
        task.name,
        task.part.path.name,
        task.part.groups,
        rows,
        sum(len(table.column("row").unique()) for table in rejections),
        task.fingerprint,
        file_fingerprint(path),
        file_fingerprint(refused_file) if rejections else "",
    )


@lru_cache(maxsize=1)
def _scorer(model: Path, registry: Path | None, language: str) -> Scorer:
    return Scorer.load(model, registry).in_language(language)


def _columns(scorer: Scorer, run: Run) -> Columns:
    return Columns.of(scorer.explainer, intervals=run.intervals, origin=True)


def _tables(scorer: Scorer, job: Job, task: Task) -> Iterator[tuple[pa.Table, list[pa.Table]]]:
    """The scores of some rows at a time, and what is to be said of those refused."""
    file = task.part.path.name
    with one_thread():
        for text in task.part.tables(job.rows_at_once):
            if not len(text):
                continue
            patients = patients_of(scorer, text, task.rest.within(text.index))
            rows = text.index.to_numpy(dtype=np.int64)
            blocks = [
                block.table(Origin(file, rows[block.places]), intervals=job.run.intervals)
                for block in patients.blocks()
            ]
            told = [_rejections(file, rows, patients.faults)] if patients.faults else []
            yield pa.concat_tables(blocks), told


def _rejections(
    file: str,
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
    faults: Mapping[int, Sequence[Fault]],
) -> pa.Table:
    """One line for each reason: file, row, column, rule, given, allowed, remedy."""
    reasons = [(int(rows[at]), fault) for at in sorted(faults) for fault in faults[at]]
    words = ("column", "rule", "given", "allowed", "remedy")
    columns = {name: [getattr(fault, name) for _, fault in reasons] for name in words}
    schema = pa.schema(
        [("file", pa.string()), ("row", pa.int64()), *((name, pa.string()) for name in words)],
        metadata={"spinecast.schema": REJECTIONS},
    )
    told = {"file": [file] * len(reasons), "row": [row for row, _ in reasons], **columns}
    return pa.table(told, schema=schema)
