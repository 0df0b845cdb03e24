"""What a folder of scores is made of: a line for each finished piece, so that work can go on.

    {"run": {model, schema, version, ...}}    what the scores rest on, the first line
    {"input": {file, size, modified, sha256}} each file of patients
    {"piece": {name, sha256, ...}}            each finished piece; the last line of a name counts

A kill or a full disk may leave half a line at the end; it counts as none.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.files import reason
from spinecast.patients.tables import file_fingerprint

JOURNAL, LOCK = "journal.jsonl", ".lock"
SCORES, REJECTED = "scores", "rejected"
SCRATCH = ".scratch-"
_OURS = (JOURNAL, LOCK, SCORES, REJECTED)
_ANOTHER = "Score into another folder, or begin anew with --replace."


@dataclass(frozen=True, slots=True)
class Run:
    """What scores rest on; pieces that rest on anything else do not belong together."""

    model: str
    schema: str
    version: str
    intervals: bool
    language: str


@dataclass(frozen=True, slots=True)
class Input:
    """A file of patients: its name, size in bytes, time of change in ns, and SHA-256."""

    file: str
    size: int
    modified: int
    sha256: str

    @classmethod
    def of(cls, path: Path, known: Input | None) -> Input:
        """The file as it is now; one of the known size and time is not read again."""
        told = path.stat()
        if known is not None and (told.st_size, told.st_mtime_ns) == (known.size, known.modified):
            return known
        return cls(path.name, told.st_size, told.st_mtime_ns, file_fingerprint(path))


@dataclass(frozen=True, slots=True)
class Piece:
    """A finished piece of scores.

    Attributes:
        name: of its file, the same among the scores and among the rejected rows.
        file: of the patients.
        groups: row groups of that file, the first and the one after the last.
        rows: how many patients.
        refused: how many of them could not be scored.
        rest: a fingerprint of what other parts say of it: which rows repeat a patient of an
            earlier row, and what numbers mean in yes/no columns.
        sha256: of its file.
        rejected: SHA-256 of the file of its rejected rows; "" where none was rejected.
    """

    name: str
    file: str
    groups: tuple[int, int]
    rows: int
    refused: int
    rest: str
    sha256: str
    rejected: str

    def stands_in(self, out: Path) -> bool:
        """Whether its files are there, byte for byte as they were written."""
        return all(
            (out / folder / self.name).is_file()
            and file_fingerprint(out / folder / self.name) == sha256
            for folder, sha256 in ((SCORES, self.sha256), (REJECTED, self.rejected))
            if sha256
        )


@dataclass(frozen=True)
class Journal:
    """The journal of a folder, as it was when it was opened, ready to be written on."""

    path: Path
    pieces: Mapping[str, Piece]
    inputs: Mapping[str, Input]

    @classmethod
    def open(cls, out: Path, run: Run, files: Iterable[Path]) -> Journal:
        """The folder's journal, begun if there is none.

        Raises:
            UsageRefused: it tells of another model, program or input, or cannot be read.
        """
        path = out / JOURNAL
        lines = list(_lines(path))
        known = {line["input"]["file"]: Input(**line["input"]) for line in lines if "input" in line}
        now = {file.name: Input.of(file, known.get(file.name)) for file in files}
        runs = [line["run"] for line in lines if "run" in line]
        if problems := [*_other_run(runs, run), *_other_input(known, now)]:
            raise UsageRefused("The folder holds other scores", problems)
        pieces = [_piece(line) for line in lines if "piece" in line]
        journal = cls(path, {piece.name: piece for piece in pieces}, now)
        if not runs:
            journal.append("run", run)
        for name, told in now.items():
            if name not in known:
                journal.append("input", told)
        return journal

    def refuse_changed(self, files: Iterable[Path]) -> None:
        """Refuse files that are not what they were when the journal was opened.

        Raises:
            DataRefused: one was changed or taken away meanwhile.
        """
        given = "it was changed or taken away while it was scored"
        allowed = "the patients stay as they are until the scores are finished"
        problems = [
            Problem(file.name, given, allowed, _ANOTHER)
            for file in files
            if not file.exists() or Input.of(file, self.inputs[file.name]) != self.inputs[file.name]
        ]
        if problems:
            raise DataRefused("Scores and patients may not belong together", problems)

    def append(self, kind: str, told: Run | Input | Piece) -> None:
        """Write a line, whole and at once.

        Raises:
            UsageRefused: it cannot be written, or there is no room.
        """
        line = json.dumps({kind: asdict(told)}, ensure_ascii=False) + "\n"
        try:
            with self.path.open("ab") as file:
                _end_line(self.path, file.truncate)
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            allowed = "the folder must be writable and have room"
            problem = Problem(str(self.path), reason(error), allowed, "Then run it again.")
            raise UsageRefused("The scores cannot be noted", [problem]) from None


@contextmanager
def held(out: Path, *, replace: bool) -> Iterator[None]:
    """Keep a folder to ourselves; the system lets go of it when this process ends, killed or not.

    Raises:
        UsageRefused: another run writes to it, it holds other files, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        strangers = sorted(
            file.name
            for file in out.iterdir()
            if file.name not in _OURS and not file.name.startswith(SCRATCH)
        )
    except OSError as error:
        problem = Problem(str(out), reason(error), "a folder that can be written to is needed")
        raise UsageRefused("The scores cannot be written", [problem]) from None
    if strangers:
        allowed = "a folder of its own, or one of earlier scores"
        problem = Problem(str(out), f"it holds {strangers[0]}", allowed, "Name another folder.")
        raise UsageRefused("The scores cannot be written", [problem])
    try:
        with FileLock(out / LOCK, timeout=0):
            _tidy(out, replace=replace)
            yield
    except Timeout:
        allowed = "one run at a time writes to a folder"
        remedy = "Wait until it has ended; a run that was killed holds nothing."
        problem = Problem(str(out), "another run is writing to it", allowed, remedy)
        raise UsageRefused("The scores cannot be written", [problem]) from None


def _tidy(out: Path, *, replace: bool) -> None:
    """Clear away what a kill left behind; with `replace`, also what was finished."""
    for left in out.glob(f"{SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    for folder in (out / SCORES, out / REJECTED):
        if replace:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        for left in folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)
    if replace:
        (out / JOURNAL).unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            told = json.loads(line)
            for kind, known in (("run", Run), ("input", Input), ("piece", Piece)):
                if kind in told:
                    known(**told[kind])
        except (ValueError, TypeError):
            allowed = "a line that spinecast wrote"
            problem = Problem(f"{path.name}, line {number}", "it was altered", allowed, _ANOTHER)
            raise UsageRefused("The folder's journal cannot be read", [problem]) from None
        yield told


def _piece(line: Mapping[str, Any]) -> Piece:
    told = dict(line["piece"])
    return Piece(**told | {"groups": tuple(told["groups"])})


def _end_line(path: Path, truncate: Callable[[int], object]) -> None:
    """Cut off half a line that a kill or a full disk left."""
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        truncate(content.rfind(b"\n") + 1)


def _other_run(runs: list[dict[str, Any]], run: Run) -> Iterator[Problem]:
    for before in runs[:1]:
        for name, now in asdict(run).items():
            if before[name] != now:
                given = f"it was begun with {before[name]}"
                yield Problem(f"{JOURNAL}, {name}", given, f"now it is {now}", _ANOTHER)


def _other_input(known: Mapping[str, Input], now: Mapping[str, Input]) -> Iterator[Problem]:
    allowed = "pieces of one folder are of the same patients"
    for name, told in known.items():
        if name not in now:
            yield Problem(name, "it was scored before and is not there", allowed, _ANOTHER)
        elif now[name].sha256 != told.sha256:
            yield Problem(name, "it is not the file that was scored before", allowed, _ANOTHER)
