"""One part of a cohort: read, checked, counted, and written down where that is asked for.

What is here runs in whichever process or machine shares the work, and sends back a `Found`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import pandas as pd

from spinecast.cohorts.cohort import Cohort, check_table
from spinecast.cohorts.definitions import Compared, compared
from spinecast.cohorts.outcome import Followed, Labels, labels
from spinecast.cohorts.sampling import Drawn, Wanted
from spinecast.cohorts.store import Shard, Stored, write_shard
from spinecast.cohorts.tally import Tally
from spinecast.files import whole_file
from spinecast.knowledge.factors import Registry
from spinecast.patients.checking import Surroundings
from spinecast.patients.draws import HashArray, hashes, uniform
from spinecast.patients.parts import FIRST_ROW, Part
from spinecast.patients.reasons import Reasons, Rows
from spinecast.patients.rejected_file import write_piece
from spinecast.patients.repeats import Repeats
from spinecast.patients.yes_no import Numbers, numbers_of, united


@dataclass(frozen=True, slots=True)
class Look:
    """What is asked of every part.

    Attributes:
        registry: what may be answered.
        definition: of the outcome.
        wanted: who is drawn into the samples.
        seed: of who is drawn.
        rows_at_once: rows held at a time.
        names_files: whether the cohort has several files.
        store: a folder for shards.
        pieces: a folder for rejected rows.
        repeats: rows whose patients stand in an earlier row.
        numbers: what decides in yes/no columns of the whole cohort, where it is known.
    """

    registry: Registry
    definition: str
    wanted: Wanted
    seed: int
    rows_at_once: int
    names_files: bool = False
    store: Path | None = None
    pieces: Path | None = None
    repeats: Repeats = field(default_factory=Repeats)
    numbers: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A part, its number, and how many rows of the cohort come before it."""

    number: int
    start: int
    part: Part


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What is sent back of a part; `+` of two neighbouring parts is that of both.

    Attributes:
        tally: what became of its rows.
        followed: how many failed, by the definition in use.
        compared: the same by every definition.
        drawn: patients for the samples.
        numbers: of each yes/no column, the sets of 0, 1 and 2 that stood in a table together.
        shards: what was written of accepted patients.
        pieces: what was written of rejected rows.
    """

    tally: Tally
    followed: Followed
    compared: Mapping[str, Compared]
    drawn: Drawn
    numbers: Numbers
    shards: tuple[Shard, ...]
    pieces: tuple[Path, ...] = ()

    def __add__(self, other: Found) -> Found:
        return Found(
            self.tally + other.tally,
            self.followed + other.followed,
            {name: one + other.compared[name] for name, one in self.compared.items()},
            self.drawn + other.drawn,
            united(self.numbers, other.numbers),
            self.shards + other.shards,
            self.pieces + other.pieces,
        )


def read_part(look: Look, task: Task) -> Found:
    """Read, check and count one part.

    Raises:
        DataRefused: the file is damaged.
        UsageRefused: what is kept of it cannot be written.
    """
    return reduce(add, _tables(look, task))


def _tables(look: Look, task: Task) -> Iterator[Found]:
    """What is found in each table of a part."""
    before = task.start - task.part.first + FIRST_ROW  # places count like the rows of one file
    rows = Rows(task.part.path.name if look.names_files else "", before)
    repeated = look.repeats.of(task.start, task.part)
    for at, table in enumerate(task.part.tables(look.rows_at_once)):
        name = f"{task.number:06d}-{at:06d}.parquet"
        rest = Surroundings(repeated.within(table), look.numbers)
        yield _found(look, table, rows, rest, name)


def _found(look: Look, table: pd.DataFrame, rows: Rows, rest: Surroundings, name: str) -> Found:
    checked = check_table(table, look.registry, rest=rest)
    accepted, rejected = checked.accepted, checked.rejected
    columns = accepted.columns()
    judged = labels(look.registry, columns, look.definition)
    hashed = hashes(accepted.patient_id)
    pieces: tuple[Path, ...] = ()
    if look.pieces is not None and len(rejected):
        pieces = (look.pieces / f"rejected-{name}",)
        write_piece(rejected, pieces[0], rows.file)
    return Found(
        Tally.of(checked, Reasons.of(rejected, rows), _span(table, before=rows.before)),
        judged.followed,
        compared(look.registry, columns),
        Drawn.of(accepted, judged.is_known, uniform(hashed, look.seed), look.wanted),
        numbers_of(table, look.registry),
        _kept(look.store / name, accepted, judged, hashed) if look.store else (),
        pieces,
    )


def _span(table: pd.DataFrame, before: int) -> tuple[int, int] | None:
    """The places of the first and the last row with an entry."""
    return (before + table.index[0], before + table.index[-1]) if len(table) else None


def _kept(path: Path, accepted: Cohort, judged: Labels, hashed: HashArray) -> tuple[Shard, ...]:
    """The patients whose outcome is known, written to a shard; none where there are none."""
    known = judged.is_known
    if not known.any():
        return ()
    stored = Stored(accepted.codes, judged.failed, hashed).take(known)
    with whole_file(path) as unfinished:
        write_shard(unfinished, accepted.registry.names, stored)
    return (Shard(path, len(stored)),)
