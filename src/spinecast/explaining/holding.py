"""A folder of scores kept to one run at a time, and tidied before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from spinecast.errors import Problem, UsageRefused
from spinecast.explaining.journal import JOURNAL, REJECTED, SCORES
from spinecast.files import reason

LOCK, SCRATCH = ".lock", ".scratch-"
_OURS = (JOURNAL, LOCK, SCORES, REJECTED)
_REFUSED = "The scores cannot be written"
_WRITABLE = "a folder that can be written to is needed"


@contextmanager
def held(out: Path, *, replace: bool) -> Iterator[None]:
    """Keep a folder to ourselves; the system lets go of it when this process ends, killed or not.

    Raises:
        UsageRefused: another run writes to it, it holds other files, or it cannot be made or
            written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        strangers = sorted(
            file.name
            for file in out.iterdir()
            if file.name not in _OURS and not file.name.startswith(SCRATCH)
        )
    except OSError as error:
        problem = Problem(str(out), reason(error), _WRITABLE)
        raise UsageRefused(_REFUSED, [problem]) from None
    if strangers:
        allowed = "a folder of its own, or one of earlier scores"
        problem = Problem(str(out), f"it holds {strangers[0]}", allowed, "Name another folder.")
        raise UsageRefused(_REFUSED, [problem])
    with ExitStack() as lock:
        try:
            lock.enter_context(FileLock(out / LOCK, timeout=0))
            _tidy(out, begin_anew=replace)
        except Timeout:
            allowed = "one run at a time writes to a folder"
            remedy = "Wait until it has ended; a run that was killed holds nothing."
            problem = Problem(str(out), "another run is writing to it", allowed, remedy)
            raise UsageRefused(_REFUSED, [problem]) from None
        except OSError as error:
            problem = Problem(str(out), reason(error), _WRITABLE)
            raise UsageRefused(_REFUSED, [problem]) from None
        yield


def _tidy(out: Path, *, begin_anew: bool) -> None:
    """Clear away what a kill left behind; to begin anew, also what was finished."""
    for left in out.glob(f"{SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    for folder in (out / SCORES, out / REJECTED):
        if begin_anew:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        for left in folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)
    if begin_anew:
        (out / JOURNAL).unlink(missing_ok=True)
