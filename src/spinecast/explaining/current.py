"""Which model of a folder of models is in use: `CURRENT`, as `spinecast promote` writes it.

`CURRENT` is derived from the last line of the history: its folder and id, and the line's number and
hash, so that a history whose tail was cut off does not pass.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from spinecast.errors import ModelRefused, Problem
from spinecast.explaining.manifest import as_json
from spinecast.files import reason

CURRENT = "CURRENT"
VERIFY = "`spinecast history --verify` says what it should be."


@dataclass(frozen=True, slots=True)
class Current:
    """The model in use, and the line of the history that says so."""

    folder: str
    model: str
    manifest: str
    line: int
    hash: str

    def text(self) -> str:
        """The file as it is written: it has one spelling only."""
        return as_json(asdict(self))


def read_current(models: Path) -> Current | None:
    """Which model is in use; None before the first promotion.

    Raises:
        ModelRefused: the file cannot be read, or is not as it was written.
    """
    path = models / CURRENT
    try:
        text = path.read_bytes().decode("utf-8")
        told = Current(**json.loads(text))
        named = Path(told.folder)
        as_written = told.text() == text and len(named.parts) == 1 and named.name == told.folder
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, reason(error)) from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        as_written = False
    if not as_written:
        raise _unreadable(path, "it was edited or damaged")
    return told


def _unreadable(path: Path, given: str) -> ModelRefused:
    problem = Problem(str(path), given, "the file that `spinecast promote` wrote", VERIFY)
    return ModelRefused("Which model is in use cannot be read", [problem])
