"""The model in use: read once, watched, and replaced only by one that can be read.

A model that is deleted or damaged while it serves goes on serving from memory. Whoever runs the
server is told what is wrong with the folder; `/healthz`, which anybody may ask, only that it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from spinecast.errors import SpinecastError
from spinecast.explaining.current import CURRENT, read_current
from spinecast.explaining.scoring import Scorer
from spinecast.files import reason
from spinecast.promotion.answering import scorer_in_use
from spinecast.web.questions import Form, form_of

NO_MODEL, GONE = "there is no model yet", "the folder is gone; the model read before still answers"
UNUSABLE = "what lies there now cannot be used; whoever runs the server is told why"
Stamp = tuple[int, ...]
# The stamp of no folder: what could not be read is new at the next look.
UNREAD: Stamp = (-1,)


@dataclass(frozen=True)
class Installed:
    """A model ready to answer, with the form that asks for it."""

    scorer: Scorer

    @cached_property
    def form(self) -> Form:
        """What is asked."""
        return form_of(self.scorer.registry)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it answers in, English first."""
        return self.scorer.languages

    def in_language(self, language: str) -> Installed:
        """The same model in another language, worked out once."""
        if language not in self.languages:
            return self
        if language not in self._in:
            spoken = self.scorer.in_language(language)
            self._in[language] = self if spoken is self.scorer else Installed(spoken)
        return self._in[language]

    @cached_property
    def _in(self) -> dict[str, Installed]:
        return {}

    @cached_property
    def labels(self) -> dict[str, str]:
        """What each question is called."""
        return {question.name: question.label for question in self.form.questions}


@dataclass
class Current:
    """The model that answers, as last read whole: a named folder's, or the one in use.

    Attributes:
        model: The folder of a model; None for the one that `models/CURRENT` names.
        models: The folder of the models, with CURRENT.
        registry_folder: The registry that must be the model's own; None not to ask.
        installed: The model; None until there is one that can be read.
        refused: Why what lies there now is not used; empty when it is.
    """

    model: Path | None
    models: Path = Path("models")
    registry_folder: Path | None = None
    installed: Installed | None = None
    refused: str = NO_MODEL
    _stamp: Stamp = field(default=(), repr=False)

    @classmethod
    def start(
        cls,
        model: Path | None,
        *,
        models: Path = Path("models"),
        registry_folder: Path | None = None,
    ) -> Current:
        """The model to answer with; none when there is none yet.

        Raises:
            ModelRefused: there is one, and it cannot be used.
        """
        current = cls(model, models, registry_folder)
        current._stamp = current._stamp_now()
        if current._stamp:
            current.installed, current.refused = current._read(), ""
        return current

    @property
    def said_to_anybody(self) -> str:
        """The same without a path or anything else of this machine."""
        return self.refused if self.refused in ("", NO_MODEL, GONE) else UNUSABLE

    def look(self) -> None:
        """Use what lies there now, if it is new and can be used; else say why not."""
        try:
            stamp = self._stamp_now()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            if not stamp:
                self.refused = GONE if self.installed else NO_MODEL
                return
            self.installed, self.refused = self._read(), ""
        except SpinecastError as error:
            self.refused = str(error)
        except OSError as error:
            # Files that come and go while they are read; the next look reads them again.
            self._stamp, self.refused = UNREAD, reason(error)

    def _read(self) -> Installed:
        if self.model is None:
            installed = Installed(scorer_in_use(self.models, self.registry_folder))
        else:
            installed = Installed(Scorer.load(self.model, self.registry_folder))
        # The first patient should not wait for what is worked out once.
        installed.scorer.assess({})
        return installed

    def _stamp_now(self) -> Stamp:
        if self.model is not None:
            return _stamp_of(self.model)
        pointer = _stamp_of(self.models / CURRENT)
        try:
            named = read_current(self.models)
        except SpinecastError:
            return pointer
        return pointer + _stamp_of(self.models / named.folder) if named else ()


def _stamp_of(place: Path) -> Stamp:
    """What changes when a file or a model's folder is written anew; empty where nothing is."""
    if not place.exists():
        return ()
    files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
    told = [path.stat() for path in files]
    newest = max((one.st_mtime_ns for one in told), default=0)
    return len(told), sum(one.st_size for one in told), newest
