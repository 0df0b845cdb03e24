"""What a folder of scores is made of: a line for each finished piece, so that work can go on.

    {"run": {model, schema, version, ...}}    what the scores rest on, the first line
    {"input": {file, size, modified, sha256}} each file of patients; sha256 is "" once it is damaged
    {"piece": {name, sha256, ...}}            each finished piece

The last line of a name counts, and a piece only if its file was not another one when it was made. A
kill or a full disk may leave half a line at the end; it counts as none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.files import reason
from spinecast.patients.tables import file_fingerprint

JOURNAL = "journal.jsonl"
SCORES, REJECTED = "scores", "rejected"
BLOCK = 65_536
"""Bytes of the journal looked at at once; most of its lines are shorter."""
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
    """A file of patients: its name, size in bytes, time of change in ns, and SHA-256.

    The SHA-256 is "" of a file that was found damaged: it may be written again, as another one.
    """

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

    def clear_from(self, out: Path) -> None:
        """Take its files away."""
        for folder in (SCORES, REJECTED):
            (out / folder / self.name).unlink(missing_ok=True)

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
    def open(
        cls, out: Path, run: Run, files: Iterable[Path], damaged: Collection[str] = ()
    ) -> Journal:
        """The folder's journal, begun if there is none.

        A file that was never scored, or was damaged then, may have become another one since; what
        was made of a damaged one is cleared away.

        Args:
            out: the folder.
            run: what the scores rest on.
            files: of patients.
            damaged: names of those among them that cannot be read at all.

        Raises:
            UsageRefused: it tells of another model, program or input, or cannot be read.
        """
        path = out / JOURNAL
        lines = list(_lines(path))
        known, pieces = _told(lines)
        now = {file.name: Input.of(file, known.get(file.name)) for file in files}
        runs = [line["run"] for line in lines if "run" in line]
        files_scored = {piece.file for piece in pieces.values()}
        scored = {name: told for name, told in known.items() if name in files_scored}
        if problems := [*_other_run(runs, run), *_other_input(scored, now, damaged)]:
            raise UsageRefused("The folder holds other scores", problems)
        changed = {n for n, told in now.items() if n not in known or told.sha256 != known[n].sha256}
        for piece in pieces.values():
            if piece.file in changed:  # it was damaged, or would have been refused
                piece.clear_from(out)
        standing = {name: piece for name, piece in pieces.items() if piece.file not in changed}
        journal = cls(path, standing, now)
        if not runs:
            journal.append("run", run)
        for name in now:
            if name in changed:
                journal.append("input", now[name])
        return journal

    def note_damaged(self, file: Path) -> None:
        """Note that a file cannot be read, so that it may be written again.

        Raises:
            UsageRefused: it cannot be written, or there is no room.
        """
        if (told := self.inputs[file.name]).sha256:
            self.append("input", replace(told, sha256=""))

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
            with self.path.open("a+b") as file:
                _end_line(file)
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            allowed = "the folder must be writable and have room"
            problem = Problem(str(self.path), reason(error), allowed, "Then run it again.")
            raise UsageRefused("The scores cannot be noted", [problem]) from None


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


def _told(lines: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Input], dict[str, Piece]]:
    """The files of patients and the pieces, by name, as the last lines have them."""
    inputs: dict[str, Input] = {}
    pieces: dict[str, Piece] = {}
    for line in lines:
        if "input" in line:
            told = Input(**line["input"])
            if told.file in inputs and told.sha256:  # another file, of which no piece was made
                pieces = {name: one for name, one in pieces.items() if one.file != told.file}
            inputs[told.file] = told
        elif "piece" in line:
            piece = _piece(line)
            pieces[piece.name] = piece
    return inputs, pieces


def _piece(line: Mapping[str, Any]) -> Piece:
    told = dict(line["piece"])
    return Piece(**told | {"groups": tuple(told["groups"])})


def _end_line(file: BinaryIO) -> None:
    """Cut off half a line that a kill or a full disk left, reading no more than that."""
    start = file.seek(0, os.SEEK_END)
    wanted = 1
    while start:
        end, start = start, max(0, start - wanted)
        file.seek(start)
        if line_end := file.read(end - start).rfind(b"\n") + 1:
            file.truncate(start + line_end)
            return
        wanted = BLOCK
    file.truncate(0)


def _other_run(runs: list[dict[str, Any]], run: Run) -> Iterator[Problem]:
    for before in runs[:1]:
        for name, now in asdict(run).items():
            if before[name] != now:
                given = f"it was begun with {before[name]}"
                yield Problem(f"{JOURNAL}, {name}", given, f"now it is {now}", _ANOTHER)


def _other_input(
    scored: Mapping[str, Input], now: Mapping[str, Input], damaged: Collection[str]
) -> Iterator[Problem]:
    """Files of which there are pieces, and which are not what they were when these were made."""
    allowed = "pieces of one folder are of the same patients"
    for name, told in sorted(scored.items()):
        if name in damaged:
            continue  # it is told of; what was made of it stands until it is put back
        if not told.sha256 and name in now:
            continue  # it was damaged then, and may be another one now
        if name not in now:
            yield Problem(name, "it was scored before and is not there", allowed, _ANOTHER)
        elif now[name].sha256 != told.sha256:
            yield Problem(name, "it is not the file that was scored before", allowed, _ANOTHER)
