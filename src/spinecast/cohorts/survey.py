"""A cohort larger than memory, surveyed part by part.

Whoever reads a part sends back counts, and of its patients only those drawn (`sampling`). Counts
add up, and who is drawn hangs on the patient's id alone, so the answer is the same whatever the
parts are and whoever read them. Where the sample holds everybody, it is the cohort itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np

from spinecast.cohorts.cohort import CheckedCohort, Cohort, require_columns
from spinecast.cohorts.definitions import DefinitionCount, compare_definitions, in_counts
from spinecast.cohorts.labelled import LabelledCohort, usable
from spinecast.cohorts.outcome import Followed, known_name, labels
from spinecast.cohorts.reading import Found, Look, Task, read_part
from spinecast.cohorts.sampling import Wanted
from spinecast.cohorts.store import Shard
from spinecast.cohorts.tally import Tally
from spinecast.exchange.redcap_records import refuse_in_parts
from spinecast.files import scratch_folder
from spinecast.knowledge.factors import Registry
from spinecast.logic import BoolArray
from spinecast.patients import rejected_file
from spinecast.patients.parts import Parts
from spinecast.patients.repeats import find_repeats
from spinecast.patients.yes_no import deciding, is_misread
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """A cohort in counts, and a sample of its patients.

    Attributes:
        name: of its file or folder.
        tally: what became of its rows.
        followed: how many accepted patients failed, by the definition in use.
        definitions: the same by every definition.
        sample: accepted patients, in the order of files and rows; all of them when they are no
            more than were asked for.
        alike: of each of them whether it was drawn as everybody was, (n,); the others are there
            because their outcome is known.
        shards: accepted patients whose outcome is known, on disk, where that was asked for.
        files: SHA-256 of each file, of a folder.
    """

    name: str
    tally: Tally
    followed: Followed
    definitions: tuple[DefinitionCount, ...]
    sample: Cohort
    alike: BoolArray
    shards: tuple[Shard, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Of whom that is told which is not counted: "" where it is everybody."""
        if len(self.sample) == self.tally.accepted:
            return ""
        return f"in a sample of {len(self.sample):,} of {self.tally.accepted:,} patients"

    def labelled(self) -> LabelledCohort:
        """The sample with its outcomes, and what became of every row.

        Raises:
            DataRefused: nobody's outcome is known, or the follow-up repeats a factor.
        """
        found = labels(self.sample.registry, self.sample.columns(), self.followed.definition)
        counted = self.name, self.sample, found, self.tally, self.followed
        return usable(LabelledCohort(*counted, alike=self.alike, files=self.files))


def surveyed(checked: CheckedCohort, name: str) -> Survey:
    """The same of a file that was read at once."""
    cohort = checked.accepted
    columns = cohort.columns()
    return Survey(
        name,
        Tally.of(checked),
        labels(cohort.registry, columns).followed,
        compare_definitions(cohort.registry, columns),
        cohort,
        np.ones(len(cohort), dtype=np.bool_),
    )


def survey(
    parts: Parts,
    registry: Registry,
    *,
    definition: str = "",
    sample: int,
    known: int = 0,
    seed: int = 0,
    share: Share = alone,
    rows_at_once: int,
    store: Path | None = None,
    rejected: Path | None = None,
    progress: Progress = silent,
) -> Survey:
    """Read a whole cohort in bounded memory.

    It is read a second time where so many outcomes are unknown that too few patients were drawn.

    Args:
        parts: the cohort on disk.
        registry: what may be answered.
        definition: of the outcome; the registry's own without it.
        sample: how many accepted patients are kept in memory at most, whatever became of them.
        known: how many whose outcome is known are kept at most, where the sample has fewer.
        seed: of who is drawn into the sample.
        share: who does the work; the files, and the scratch folder, are seen by all of them.
        rows_at_once: rows that each of them holds at a time.
        store: a folder for the accepted patients whose outcome is known, in shards.
        rejected: a file for every reason of every rejected row, .csv or .parquet.
        progress: told how many rows are read.

    Raises:
        UsageRefused: there is no such definition, or a file cannot be written.
        DataRefused: columns are missing, or a file is damaged.
    """
    require_columns([name.strip() for name in parts.columns], registry)
    refuse_in_parts(parts.columns, parts.path.name)
    look = Look(
        registry,
        known_name(registry.outcome, definition or registry.outcome.default),
        Wanted.of(sample, known, parts.rows),
        seed,
        rows_at_once,
        names_files=len(parts.files) > 1,
        store=store,
    )
    with scratch_folder() as scratch:
        repeats = find_repeats(parts, scratch, share, rows_at_once)
        look = replace(look, repeats=repeats, pieces=scratch if rejected else None)
        found = _read(parts, look, share, progress)
        if is_misread(found.numbers):
            look = replace(look, numbers=deciding(found.numbers))
            found = _read(parts, look, share, progress)
        if found.drawn.known < min(known, found.followed.known):
            look = replace(look, wanted=look.wanted.among(found.followed.known))
            found = _read(parts, look, share, progress)
        if rejected:
            rejected_file.join(found.pieces, rejected, named=look.names_files)
    drawn, alike = found.drawn.cohort(registry, parts.fingerprint)
    return Survey(
        parts.path.name,
        found.tally,
        found.followed,
        in_counts(registry, found.compared),
        drawn,
        alike,
        found.shards,
        () if parts.path.is_file() else parts.fingerprints,
    )


def _read(parts: Parts, look: Look, share: Share, progress: Progress) -> Found:
    tasks = [
        Task(number, start, part)
        for number, (start, part) in enumerate(zip(parts.starts, parts.parts, strict=True))
    ]
    answers = share(partial(read_part, look), tasks)
    return reduce(add, _told(answers, tasks, parts.rows, progress))


def _told(
    answers: Iterable[Found], tasks: list[Task], rows: int, progress: Progress
) -> Iterator[Found]:
    done = 0
    for found, task in zip(answers, tasks, strict=True):
        done += task.part.rows
        progress("rows read", done, rows)
        yield found
