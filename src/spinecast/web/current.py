"""The model in use: read once, watched, and replaced only by one that can be read.

A model that is deleted or damaged while it serves goes on serving from memory; what is wrong with
the folder is said by `/healthz`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from spinecast.errors import SpinecastError
from spinecast.explaining.manifest import MANIFEST
from spinecast.explaining.scoring import Scorer
from spinecast.web.questions import Form, form_of

NO_MODEL, GONE = "there is no model yet", "the folder is gone; the model read before still answers"
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Installed:
    """A model ready to answer, with the form that asks for it."""

    scorer: Scorer

    @cached_property
    def form(self) -> Form:
        """What is asked."""
        return form_of(self.scorer.registry)

    @cached_property
    def labels(self) -> dict[str, str]:
        """What each question is called."""
        return {question.name: question.label for question in self.form.questions}


@dataclass
class Current:
    """The model of a folder, as last read whole.

    `refused` says why what lies in the folder now is not used; empty when it is.
    """

    path: Path
    registry_folder: Path | None = None
    installed: Installed | None = None
    refused: str = ""
    _stamp: Stamp | None = field(default=None, repr=False)

    @classmethod
    def start(cls, path: Path, registry_folder: Path | None = None) -> Current:
        """The model of a folder; none when the folder is not there yet.

        Raises:
            ModelRefused: there is one, and it cannot be used.
        """
        current = cls(path, registry_folder, refused=NO_MODEL)
        current._stamp = _stamp_of(current.folder)
        if current._stamp is not None:
            current.installed, current.refused = _read(current.folder, registry_folder), ""
        return current

    @property
    def folder(self) -> Path:
        """The model's folder; a file such as models/CURRENT names one beside it."""
        try:
            return self.path.parent / self.path.read_text("utf-8").strip()
        except (OSError, ValueError):
            return self.path

    def look(self) -> None:
        """Use what lies in the folder now, if it is new and can be used; else say why not."""
        folder = self.folder
        stamp = _stamp_of(folder)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:
            self.refused = GONE if self.installed else NO_MODEL
            return
        try:
            self.installed, self.refused = _read(folder, self.registry_folder), ""
        except SpinecastError as error:
            self.refused = str(error)


def _read(folder: Path, registry_folder: Path | None) -> Installed:
    installed = Installed(Scorer.load(folder, registry_folder))
    # The first patient should not wait for what is worked out once.
    installed.scorer.assess({})
    return installed


def _stamp_of(folder: Path) -> Stamp | None:
    """What changes when a model is written anew; None where there is none."""
    if not (folder / MANIFEST).is_file():
        return None if not folder.is_dir() else (0, 0, 0)
    told = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return len(told), sum(one.st_size for one in told), max(one.st_mtime_ns for one in told)
