"""How a command goes through a cohort larger than memory: how much at once, and who does it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spinecast.cli.engine import HERE, engine_options, who_works
from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.files import scratch_folder
from spinecast.memory import MEMORY, READING, WHOLE_ROW, Budget, Toll

if TYPE_CHECKING:
    from spinecast.cohorts.labelled import LabelledCohort
    from spinecast.cohorts.survey import Survey
    from spinecast.fitting.large.passes import Workshop
    from spinecast.fitting.recipe import Recipe
    from spinecast.knowledge.factors import Registry
    from spinecast.patients.parts import Parts
    from spinecast.progress import Progress
    from spinecast.retraining import Gathered
    from spinecast.sharing import Share
    from spinecast.site.declaration import Site

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True, slots=True)
class Work:
    """What was asked for: bytes of memory, processes, an engine; None where nothing was said."""

    memory: int = MEMORY
    processes: int | None = None
    engine: str | None = None
    scheduler: str | None = None

    def takes_parts(self, path: Path) -> bool:
        """Whether a cohort is read in parts: a folder, or Parquet larger than memory allows."""
        from spinecast.patients.part_files import parts_of
        from spinecast.patients.parts import ENDING

        if path.is_dir():
            return True
        if path.suffix.lower() != ENDING or not path.is_file():
            return False
        # A row takes a byte of the file at least: small files need no second look.
        if path.stat().st_size * WHOLE_ROW < self.memory:
            return False
        try:
            return parts_of(path).rows * WHOLE_ROW > self.memory
        except DataRefused:  # whoever reads it says what is wrong
            return False

    def refuse_engine(self, path: Path) -> None:
        """A file that is read at once is nothing to share out.

        Raises:
            UsageRefused: an engine or its scheduler was named for it.
        """
        allowed = f"{path.name} is read at once, by this process"
        remedy = "Leave it away; a folder of Parquet files is shared out."
        given = {"--engine": self.engine, "--scheduler": self.scheduler}
        problems = [
            Problem(name, f"given {value}", allowed, remedy)
            for name, value in given.items()
            if value not in (None, HERE)
        ]
        if problems:
            raise UsageRefused("There is nothing to share out", problems)

    def survey(
        self,
        path: Path,
        registry: Registry,
        *,
        sample: int = 0,
        known: int = 0,
        definition: str = "",
        rejected: Path | None = None,
        progress: Progress,
    ) -> Survey:
        """Survey a cohort in parts, in the memory given.

        Raises:
            UsageRefused: the memory does not suffice.
        """
        from spinecast.cohorts.survey import survey

        parts, processes, rows_at_once = self.cut(
            path, READING, lambda rows: min(sample + known, rows)
        )
        with self.shared(processes, path) as share:
            return survey(
                parts,
                registry,
                definition=definition,
                sample=sample,
                known=known,
                share=share,
                rows_at_once=rows_at_once,
                rejected=rejected,
                progress=progress,
            )

    def labelled(
        self,
        path: Path,
        registry: Registry,
        definition: str,
        site: Site | None,
        *,
        sample: int,
        progress: Progress,
    ) -> LabelledCohort:
        """A cohort with outcomes; read in parts, at most so many whose outcome is known."""
        from spinecast.cohorts.labelled import read_labelled

        if not self.takes_parts(path):
            self.refuse_engine(path)
            return read_labelled(path, registry, definition, site)
        refuse_site(path, site)
        found = self.survey(path, registry, known=sample, definition=definition, progress=progress)
        return found.labelled()

    @contextmanager
    def gathered(
        self,
        path: Path,
        registry: Registry,
        recipe: Recipe,
        site: Site | None,
        *,
        progress: Progress,
    ) -> Iterator[tuple[Gathered, Workshop]]:
        """A cohort ready to be learned from, and where that is done if it is a large one.

        Raises:
            UsageRefused: the memory does not suffice, or a folder is to be mapped.
        """
        from spinecast.cohorts.labelled import read_labelled
        from spinecast.fitting.large.passes import Workshop
        from spinecast.retraining import Gathered, gather
        from spinecast.retraining.gathering import held_in_memory
        from spinecast.sharing import cores

        in_parts = self.takes_parts(path)
        if in_parts:
            refuse_site(path, site)
            parts, processes, rows_at_once = self.cut(
                path, READING, lambda rows: held_in_memory(recipe, rows)
            )
        else:
            labelled = read_labelled(path, registry, recipe.outcome, site)
            processes = self.processes or cores()
        with scratch_folder() as scratch, self.shared(processes, path) as share:
            workshop = Workshop(scratch, share, self.memory, progress=progress)
            if not in_parts:
                yield Gathered(labelled, ()), workshop
                return
            found = gather(
                parts,
                registry,
                recipe,
                scratch,
                share=share,
                rows_at_once=rows_at_once,
                progress=progress,
            )
            yield found, workshop

    def cut(
        self,
        path: Path,
        toll: Toll,
        sampled: Callable[[int], int] = lambda _: 0,
        *,
        without_damaged: bool = False,
    ) -> tuple[Parts, int, int]:
        """A cohort in parts, how many processes share it, and how many rows each holds at once.

        Args:
            path: the file or folder.
            toll: what a row takes.
            sampled: of so many rows, how many patients are kept in memory.
            without_damaged: whether files that cannot be read are passed over.

        Raises:
            UsageRefused: the memory does not suffice.
            DataRefused: the folder is no cohort.
        """
        from spinecast.patients.part_files import parts_of
        from spinecast.sharing import cores

        # Absolute, for workers elsewhere have another folder that names would be relative to.
        parts = parts_of(path.absolute(), without_damaged=without_damaged)
        budget, kept = Budget(self.memory, self.processes), sampled(parts.rows)
        processes = budget.shared_by(toll, parts.rows, len(parts.parts), cores(), kept)
        return parts, processes, budget.rows_at_once(toll, processes, kept)

    @contextmanager
    def shared(self, processes: int, *seen: Path) -> Iterator[Share]:
        """Whoever shares the work on these files, as `cli.engine` finds them."""
        with who_works(self.engine, self.scheduler, processes, self.memory, seen) as share:
            yield share


class Size(click.ParamType[int]):
    """An amount of memory, as 2GB or 500MB."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The amount in bytes."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B?)", str(value).strip().upper())
        unit = found[2] if found else "?"
        unit = f"{unit}B" if unit in {"K", "M", "G", "T"} else unit.removeprefix("B")
        if found is None or unit not in _UNITS:
            self.fail(f"{value!r} is no amount of memory; write 2GB or 500MB", param, ctx)
        return int(float(found[1]) * _UNITS[unit])


def work_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for cohorts larger than memory; the command is given them as `work`."""

    @click.option(
        "--memory", type=Size(), default="2GB", show_default=True, help="For a folder of Parquet."
    )
    @click.option("--processes", type=click.IntRange(1), help="That share a folder's parts.")
    @engine_options
    @functools.wraps(command)
    def with_work(
        *args: Any,  # noqa: ANN401 - as the command
        memory: int,
        processes: int | None,
        engine: str | None,
        scheduler: str | None,
        **given: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        return command(*args, work=Work(memory, processes, engine, scheduler), **given)

    return with_work


def refuse_site(path: Path, site: object) -> None:
    """A mapping reads one file of a hospital; in parts, its rows could not be joined."""
    if site is not None:
        problem = Problem(
            "--site",
            f"{path} is read in parts",
            "a mapping reads one file at a time",
            "Give each file with --site by itself, or write the folder in our columns.",
        )
        raise UsageRefused("The cohort cannot be mapped", [problem])
