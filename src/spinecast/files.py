"""Files and folders that appear whole or not at all, and tables that are read or refused."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spinecast.errors import Problem, UsageRefused

UNFINISHED, FORMER = ".unfinished-", ".former"
# Seconds after which an unfinished folder is not being written any more.
STALE = 3600.0


@contextmanager
def in_one_step(path: Path) -> Iterator[Path]:
    """Write to the path this yields; at the end it takes the name asked for, in one step.

    A kill or an error on the way leaves the file of that name as it was; errors pass as they are.
    """
    # By chance, not by the process's number: another machine may write the same file meanwhile, and
    # in containers the processes of both have the same numbers.
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        # Where the folder is none, there is nothing to clear away.
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Write a file `in_one_step`; what goes wrong with the disk is told to people.

    Raises:
        UsageRefused: when the folder is not there or cannot be written to.
    """
    try:
        with in_one_step(Path(path)) as unfinished:
            yield unfinished
    except OSError as error:
        allowed = "the folder must exist, be writable and have room"
        raise UsageRefused(
            "The file was not written", [Problem(str(path), reason(error), allowed)]
        ) from None


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Fill the folder this yields; at the end it takes the name asked for, in place of another.

    A kill at any moment leaves the former folder, the new one, or for an instant none; then the
    former one is put back the next time a folder of that name is written.

    Raises:
        UsageRefused: when the folder above cannot be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}{UNFINISHED}", dir=folder.parent))
        try:
            yield scratch
            scratch.chmod(0o755)
            _swap(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        allowed = "the folder above it must be writable and have room"
        raise UsageRefused(
            "The folder was not written", [Problem(str(folder), reason(error), allowed)]
        ) from None


def tidy(folder: Path) -> None:
    """Clear away what a kill left behind; a folder caught between two renames is put back."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}{UNFINISHED}*"):
        if left.name.endswith(FORMER) and not folder.exists():
            left.replace(folder)
        elif time.time() - left.stat().st_mtime > STALE:
            shutil.rmtree(left, ignore_errors=True)


def _swap(scratch: Path, folder: Path) -> None:
    """Put the new folder in place of the old one, which survives until the new one stands."""
    former = scratch.with_name(scratch.name + FORMER)
    if folder.exists():
        folder.replace(former)
    try:
        scratch.replace(folder)
    except OSError:
        if former.exists():
            former.replace(folder)
        raise
    shutil.rmtree(former, ignore_errors=True)


@contextmanager
def scratch_folder(within: Path | None = None, *, prefix: str = "spinecast-") -> Iterator[Path]:
    """A folder for what is needed only for a while: where TMPDIR says, or within another one.

    Raises:
        UsageRefused: it cannot be made.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=prefix, dir=within, ignore_cleanup_errors=True)
    except OSError as error:
        where = str(within or "temporary folder")
        raise _no_room(where, reason(error), "it must be writable and have room") from None
    with made as folder:
        yield Path(folder)


@contextmanager
def room_in(scratch: Path) -> Iterator[None]:
    """What goes wrong while scratch is written is told as what it is: no room there, or no right.

    Raises:
        UsageRefused: the scratch folder cannot be written to.
    """
    try:
        yield
    except (ConnectionError, TimeoutError):  # of a pipe or a cluster, not of a disk
        raise
    except OSError as error:
        given = (error.strerror or "it is full").lower()  # NumPy names no error of the system
        raise _no_room(str(scratch), given, "it must be writable and have room") from None


def refuse_crowded(scratch: Path, needed: int) -> None:
    """Refuse work whose notes would not fit, before it is begun.

    Raises:
        UsageRefused: fewer bytes are free there than are needed.
    """
    free = shutil.disk_usage(scratch).free
    if free < needed:
        given, allowed = f"{free // 10**6:,} MB are free", f"{-(-needed // 10**6):,} MB are needed"
        raise _no_room(str(scratch), given, f"about {allowed}")


def _no_room(where: str, given: str, allowed: str) -> UsageRefused:
    remedy = "Make room, or name a folder elsewhere by TMPDIR."
    return UsageRefused("There is no room to work", [Problem(where, given, allowed, remedy)])


def refuse_unwritable(folder: Path) -> None:
    """Try whether a folder, or the nearest one above that is there, takes a file; leave no trace.

    Raises:
        UsageRefused: it does not.
    """
    place = folder.absolute()
    there = next(above for above in (place, *place.parents) if above.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        allowed = "a folder that can be written to is needed"
        problem = Problem(str(folder), reason(error), allowed, "Choose another place.")
        raise UsageRefused("Nothing could be kept of the training", [problem]) from None


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8 that appears whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def read_toml(path: Path, *, told: str, remedy: str) -> dict[str, Any]:
    """What a TOML file holds.

    Args:
        path: the file.
        told: what it is to the reader, as in "The study".
        remedy: what to do when there is none.

    Raises:
        UsageRefused: it is missing, cannot be opened, or is not TOML in UTF-8.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = Problem(str(path), "no such file", "a TOML file", remedy)
    except OSError as error:
        problem = Problem(str(path), reason(error), "a TOML file in UTF-8")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = Problem(str(path), str(error), "a TOML file in UTF-8")
    raise UsageRefused(f"{told} cannot be read", [problem])


def reason(error: OSError) -> str:
    """What the operating system says, as part of a sentence."""
    # What Arrow makes of it holds a number in brackets; the system's own words are for people.
    told = os.strerror(error.errno) if error.errno else error.strerror
    return (told or "it cannot be opened").lower()
