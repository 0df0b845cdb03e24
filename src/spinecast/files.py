"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinecast.errors import Problem, UsageRefused


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Write to the path this yields; at the end it takes the name asked for, in one step.

    A kill, a full disk or an error on the way leaves the file of that name as it was.

    Raises:
        UsageRefused: when the folder is not there or cannot be written to.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        allowed = "the folder must exist, be writable and have room"
        raise UsageRefused(
            "The file was not written", [Problem(str(path), reason(error), allowed)]
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8 that appears whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def reason(error: OSError) -> str:
    """What the operating system says, as part of a sentence."""
    return (error.strerror or "it cannot be opened").lower()
