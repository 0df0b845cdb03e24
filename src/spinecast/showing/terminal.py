"""What a stream can show: how wide it is, whether it takes colour, which letters it carries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from spinecast.showing.glyphs import UNICODE

# Lines longer than this are hard to read, however wide the window.
WIDEST = 100
# Where there is no window: a file or a pipe.
USUAL = 88


@dataclass(frozen=True, slots=True)
class Terminal:
    """How to write to a stream; the fields are `display.as_text`'s arguments of the same names."""

    width: int = USUAL
    colour: bool = False
    ascii_only: bool = False

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] = os.environ) -> Terminal:
        """What this stream can show.

        Colour only on a terminal that is not `dumb`, and never where NO_COLOR is set and not empty
        (no-color.org). COLUMNS overrides the width of the window, as everywhere.
        """
        window = stream.isatty()
        plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
        columns = shutil.get_terminal_size((USUAL, 24)).columns if window else USUAL
        return cls(min(columns, WIDEST), window and not plain, not _carries(stream))


def _carries(stream: TextIO) -> bool:
    """Whether the stream's encoding has the signs that bars are drawn with."""
    drawn = "".join(sign for sign in (UNICODE.total, UNICODE.raises, UNICODE.low, UNICODE.rule))
    try:
        drawn.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
