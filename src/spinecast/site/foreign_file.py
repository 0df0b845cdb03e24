"""A hospital's file: where it lies, how it is written, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.patients import tables
from spinecast.site.declaration import FileForm

ENDINGS = (*tables.ENDINGS, *tables.MAPPED_ENDINGS)


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A hospital's file and how it is written.

    Attributes:
        path: where it lies.
        form: sheet, header row, delimiter, encoding.
        decimal: the mark in which numbers that the file holds as numbers are written out, so that
            they are read back by the same rule as numbers typed as text.
    """

    path: Path
    form: FileForm = field(default_factory=FileForm)
    decimal: str = "."

    @property
    def ending(self) -> str:
        """Its kind.

        Raises:
            UsageRefused: it is of no kind that can be read.
        """
        ending = self.path.suffix.lower()
        if ending not in ENDINGS:
            given = f"its ending is {ending or 'missing'}"
            problem = Problem(str(self.path), given, "allowed: " + ", ".join(ENDINGS))
            raise UsageRefused("This kind of file is not known", [problem])
        return ending

    def refuse(self, given: str, allowed: str, remedy: str = "") -> NoReturn:
        """Refuse the file for one reason."""
        raise DataRefused(
            "The file is not a table", [Problem(self.path.name, given, allowed, remedy)]
        ) from None
