"""One part of a cohort scored into its piece of a folder, wherever that runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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
from spinecast.patients.repeats import Repeats
from spinecast.patients.tables import file_fingerprint
from spinecast.sharing import one_thread

REJECTIONS = "spinecast.rejected/1"


@dataclass(frozen=True, slots=True)
class Job:
    """What is done to every part: by which model, how, and where the pieces go.

    `repeats` and `numbers` are what the whole cohort says of its parts: which rows repeat a patient
    of an earlier row, and what numbers mean in yes/no columns.
    """

    model: Path
    registry: Path | None
    out: Path
    run: Run
    rows_at_once: int
    repeats: Repeats = field(default_factory=Repeats)
    numbers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def rest(self, task: Task) -> str:
        """A fingerprint of what is said of a part, "" where that is nothing."""
        repeated = self.repeats.of(task.start, task.part).fingerprint
        numbers = sorted((name, sorted(some)) for name, some in self.numbers.items())
        told = json.dumps([repeated, numbers])
        return hashlib.sha256(told.encode()).hexdigest() if repeated or numbers else ""


@dataclass(frozen=True, slots=True)
class Task:
    """A part, the name of its piece, and how many rows of the cohort come before it."""

    part: Part
    name: str
    start: int


def score_part(job: Job, task: Task) -> Piece | Problem:
    """Score a part into its piece, wherever this runs; what cannot be read is told as a problem.

    Raises:
        UsageRefused: the piece cannot be written.
    """
    scorer = _scorer(job.model, job.registry, job.run.language)
    if scorer.explainer.identity.id != job.run.model:
        raise SpinecastError(f"{job.model} changed while it was used. Run again.")
    path = job.out / SCORES / task.name
    rejected = job.out / REJECTED / task.name
    schema = _columns(scorer, job.run).schema
    rows = refused = 0
    try:
        with (
            whole_file(path) as unfinished,
            writer(str(unfinished), schema) as file,
            _rejections_in(rejected) as reject,
        ):
            for table, reasons in _tables(scorer, job, task):
                file.write_table(table, row_group_size=job.rows_at_once)
                rows += len(table)
                if reasons is not None:
                    reject(reasons)
                    refused += len(reasons.column("row").unique())
    except DataRefused as unreadable:
        return unreadable.problems[0]
    return Piece(
        task.name,
        task.part.path.name,
        task.part.groups,
        rows,
        refused,
        job.rest(task),
        file_fingerprint(path),
        file_fingerprint(rejected) if refused else "",
    )


@lru_cache(maxsize=1)
def _scorer(model: Path, registry: Path | None, language: str) -> Scorer:
    return Scorer.load(model, registry).in_language(language)


def _columns(scorer: Scorer, run: Run) -> Columns:
    return Columns.of(scorer.explainer, intervals=run.intervals, origin=True)


@contextmanager
def _rejections_in(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A file of rejected rows, written as they come: begun at the first, none without any."""
    with ExitStack() as opened:
        files: list[parquet.ParquetWriter] = []

        def write(table: pa.Table) -> None:
            if not files:
                unfinished = opened.enter_context(whole_file(path))
                file = parquet.ParquetWriter(str(unfinished), table.schema)
                files.append(opened.enter_context(file))
            files[0].write_table(table)

        yield write
    if not files:
        path.unlink(missing_ok=True)


def _tables(scorer: Scorer, job: Job, task: Task) -> Iterator[tuple[pa.Table, pa.Table | None]]:
    """The scores of some rows at a time, and what is to be said of those refused, if any."""
    file, repeated = task.part.path.name, job.repeats.of(task.start, task.part)
    with one_thread():
        for text in task.part.tables(job.rows_at_once):
            if not len(text):
                continue
            rest = Surroundings(repeated.within(text), job.numbers)
            patients = patients_of(scorer, text, rest)
            rows = text.index.to_numpy(dtype=np.int64)
            blocks = [
                block.table(Origin(file, rows[block.places]), intervals=job.run.intervals)
                for block in patients.blocks()
            ]
            told = _rejections(file, rows, patients.faults) if patients.faults else None
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
