"""An audit file: that a patient was scored, when and by which model, never with which answers.

Each line carries the hash of the line before, so that one taken out or altered is noticed. A server
goes on from the line it wrote last, so no other one may write to the same file meanwhile.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.explaining.scoring import Scorer
from spinecast.files import reason
from spinecast.logic import FloatArray
from spinecast.web.answering import fingerprint

BEGINNING = "0" * 64
NOT_KEPT = "The audit cannot be kept"


def now() -> dt.datetime:
    """This second, in UTC."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@dataclass
class Audit:
    """Notes each use of the model; without a file it notes nothing."""

    path: Path | None = None
    clock: Callable[[], dt.datetime] = now
    _last: str = field(default=BEGINNING, repr=False)

    @classmethod
    def open(cls, path: Path | None) -> Audit:
        """Go on with an audit file, or begin one.

        Raises:
            DataRefused: the file's chain is broken.
            UsageRefused: the file cannot be written to.
        """
        if path is None:
            return cls()
        try:
            path.touch(mode=0o600)
            last = verify(path)
        except OSError as error:
            problem = Problem(str(path), reason(error), "the audit file must be writable")
            raise UsageRefused(NOT_KEPT, [problem]) from None
        return cls(path, _last=last)

    def note(self, door: str, scorer: Scorer, codes: FloatArray, status: str) -> None:
        """Add a line: time, door, model, what came of it, and the short name of the answers."""
        if self.path is None:
            return
        entry = {
            "time": self.clock().isoformat(),
            "door": door,
            "status": status,
            "model": scorer.explainer.identity.id,
            "registry": scorer.registry.id,
            "input": fingerprint(scorer, codes) if status == "scored" else "",
        }
        chained = _chained(self._last, entry)
        _add(self.path, json.dumps(entry | {"hash": chained}) + "\n")
        self._last = chained


@contextmanager
def alone(path: Path | None) -> Iterator[Audit]:
    """An audit file to which no other server writes as long as this lasts.

    It is locked by the operating system, which frees the lock also when a server is killed; what
    stays behind is an empty file beside it, which locks nothing.

    Raises:
        DataRefused: the file's chain is broken.
        UsageRefused: another server writes to it, or the file or its folder is not writable.
    """
    if path is None:
        yield Audit()
        return
    lock = _locked(path)
    try:
        yield Audit.open(path)
    finally:
        lock.release()


def _locked(path: Path) -> FileLock:
    # Beside the file itself, whatever link it is called by. Not the file: a lock may empty it.
    file = path.resolve()
    lock = FileLock(file.with_name(f".{file.name}.lock"))
    try:
        file.parent.stat()  # The lock would make a folder that is not there.
        lock.acquire(timeout=0)
    except Timeout:
        given, allowed = "another server writes to it", "one server at a time keeps an audit file"
        remedy = "Stop that one, or name another file with --audit."
        raise UsageRefused(NOT_KEPT, [Problem(str(path), given, allowed, remedy)]) from None
    except OSError as error:
        allowed = "its folder must be there and writable, for a lock beside it"
        raise UsageRefused(NOT_KEPT, [Problem(str(path), reason(error), allowed)]) from None
    return lock


def _add(path: Path, line: str) -> None:
    """Add a line whole or not at all: half of one, on a full disk, would break the chain."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        if file.write(line.encode()) < len(line.encode()):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def verify(path: Path) -> str:
    """The hash of the last line, once every line has been held against the one before.

    Raises:
        DataRefused: naming the first line that does not follow from the one before.
    """
    last = BEGINNING
    for number, line in enumerate(_lines(path), start=1):
        try:
            entry = json.loads(line)
            told = entry.pop("hash")
        except (ValueError, KeyError, AttributeError, TypeError):
            entry, told = {}, ""
        last = _chained(last, entry)
        if told != last:
            problem = Problem(
                f"{path}, line {number}",
                "it does not follow from the line before",
                "lines are only ever added, by `spinecast serve`",
                "Keep this file as evidence, and name another one.",
            )
            raise DataRefused("The audit file was altered", [problem])
    return last


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from file


def _chained(before: str, entry: object) -> str:
    text = before + json.dumps(entry, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
