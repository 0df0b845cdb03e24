"""A cohort larger than memory, scored part by part into a folder, by one process or several.

    OUT/scores/      a Parquet file for each part, named after the patients' file
    OUT/rejected/    the same for rows that were refused, with every reason, where there are any
    OUT/journal.jsonl

A piece is written whole and then noted in the journal with its SHA-256. The same command again goes
on where it stopped: pieces that stand as they were noted are not scored a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path

from spinecast import __version__
from spinecast.cohorts.cohort import require_columns
from spinecast.errors import DataRefused, Problem
from spinecast.exchange.redcap_records import refuse_in_parts
from spinecast.explaining.columns import SCHEMA
from spinecast.explaining.holding import SCRATCH, held
from spinecast.explaining.journal import Journal, Piece, Run
from spinecast.explaining.pieces import Job, Task, score_part
from spinecast.explaining.scoring import Scorer
from spinecast.files import room_in, scratch_folder
from spinecast.patients.parts import ENDING, ROWS_AT_ONCE, Part, Parts
from spinecast.patients.repeats import find_repeats
from spinecast.patients.yes_no import Numbers, deciding, numbers_of_part, united
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of a cohort.

    Attributes:
        rows: its patients, in all pieces that stand now.
        refused: how many of them could not be scored.
        pieces: how many pieces stand now.
        kept: how many of these stood before.
        again: the pieces that had been altered or lost, and were scored again.
        damaged: what could not be read.
    """

    rows: int
    refused: int
    pieces: int
    kept: int
    again: tuple[str, ...]
    damaged: tuple[Problem, ...]


def score_parts(
    scorer: Scorer | Path,
    parts: Parts,
    out: Path,
    *,
    registry_folder: Path | None = None,
    share: Share = alone,
    rows_at_once: int = ROWS_AT_ONCE,
    intervals: bool = True,
    replace: bool = False,
    progress: Progress = silent,
) -> Scored:
    """Score a cohort on disk into a folder, in bounded memory.

    Args:
        scorer: the model, or its folder; whoever shares the work reads the folder itself.
        parts: the cohort.
        out: the folder; one that holds earlier scores of the same by the same is gone on with.
        registry_folder: the registry the model must have been trained with, if named.
        share: who does the work; all of them see the files.
        rows_at_once: rows that each of them holds at a time.
        intervals: whether the ends of the intervals are worked out.
        replace: begin anew.
        progress: told how many rows are scored.

    Raises:
        UsageRefused: the folder holds other scores or files, another run writes to it, or there
            is no room; finished pieces stay.
        DataRefused: the patients' columns are not enough, or a file was changed meanwhile.
        ModelRefused: the model cannot be used.
    """
    if not isinstance(scorer, Scorer):
        scorer = Scorer.load(scorer, registry_folder)
    require_columns([name.strip() for name in parts.columns], scorer.registry, to_learn=False)
    refuse_in_parts(parts.columns, parts.path.name)
    model, language = scorer.explainer.identity.id, scorer.registry.language
    run = Run(model, SCHEMA, __version__, intervals, language)
    # Whoever shares the work may have another folder that names would be relative to.
    folder, out = scorer.bundle.folder.absolute(), out.absolute()
    job = Job(folder, registry_folder and registry_folder.absolute(), out, run, rows_at_once)
    with held(out, replace=replace), scratch_folder(out, prefix=SCRATCH) as scratch:
        journal = Journal.open(out, run, parts.files, {one.where for one in parts.damaged})
        job, tasks, damaged = _tasks(scorer, parts, job, share, scratch)
        standing = {t.name: _standing(t, job, journal) for t in tasks if t.name in journal.pieces}
        kept = {name: piece for name, piece in standing.items() if piece is not None}
        todo = [task for task in tasks if task.name not in kept]
        done = dict(kept)
        rows, total = sum(piece.rows for piece in kept.values()), parts.rows
        progress("rows scored", rows, total)
        for task, told in zip(todo, share(partial(score_part, job), todo), strict=True):
            if isinstance(told, Piece):
                journal.append("piece", told)
                done[told.name] = told
            else:
                journal.note_damaged(task.part.path)
                damaged = [*damaged, told]
            rows += task.part.rows
            progress("rows scored", rows, total)
        journal.refuse_changed(parts.files)
    again = tuple(name for name, piece in standing.items() if piece is None)
    return Scored(
        sum(piece.rows for piece in done.values()),
        sum(piece.refused for piece in done.values()),
        len(done),
        len(kept),
        again,
        (*parts.damaged, *damaged),
    )


def _tasks(
    scorer: Scorer, parts: Parts, job: Job, share: Share, scratch: Path
) -> tuple[Job, list[Task], list[Problem]]:
    """The job with what the cohort says of its parts, these, and what cannot be read of any."""
    names = dict(zip(parts.parts, _names(parts.parts), strict=True))
    look = partial(numbers_of_part, scorer.registry, job.rows_at_once)
    damaged: list[Problem] = []
    while True:
        try:
            with room_in(scratch):
                repeats = find_repeats(parts, scratch, share, job.rows_at_once)
                nothing: Numbers = {}
                numbers = deciding(reduce(united, share(look, parts.parts), nothing))
            pairs = zip(parts.parts, parts.starts, strict=True)
            tasks = [Task(part, names[part], start) for part, start in pairs]
            return replace(job, repeats=repeats, numbers=numbers), tasks, damaged
        except DataRefused as refused:
            broken = {problem.where for problem in refused.problems}
            readable = tuple(part for part in parts.parts if part.path.name not in broken)
            if len(readable) == len(parts.parts):
                raise
            damaged += refused.problems
            parts = replace(parts, parts=readable)


def _names(parts: Sequence[Part]) -> Iterator[str]:
    """The name of each piece: its file's, with the first row where a file has several parts."""
    counts = Counter(part.path for part in parts)
    for part in parts:
        alone_there = counts[part.path] == 1
        stem = part.path.name.removesuffix(ENDING)
        yield f"{stem}{ENDING}" if alone_there else f"{stem}-row-{part.first:010d}{ENDING}"


def _standing(task: Task, job: Job, journal: Journal) -> Piece | None:
    """The piece that was noted for a part, if it is still what would be written."""
    piece = journal.pieces[task.name]
    same = (piece.groups, piece.rest) == (task.part.groups, job.rest(task))
    return piece if same and piece.stands_in(job.out) else None
