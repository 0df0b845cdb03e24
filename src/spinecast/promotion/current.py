"""Which model is in use: `models/CURRENT`, and what must hold before it may answer.

`CURRENT` is derived from the last line of the history: its folder and id, and the line's number and
hash, so that a history whose tail was cut off does not pass. Scoring needs this module and none of
the others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from spinecast.errors import ModelRefused, Problem, UsageRefused
from spinecast.explaining.manifest import MANIFEST, as_json
from spinecast.explaining.scoring import Scorer
from spinecast.files import reason

FILE = "CURRENT"
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
    path = models / FILE
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


def scorer_in_use(models: Path, registry_folder: Path | None = None) -> Scorer:
    """The model in use, read and verified, ready to answer.

    Raises:
        UsageRefused: no model is in use.
        ModelRefused: `CURRENT` was edited, or its folder is missing, was altered, or holds another
            model than the one that was promoted.
    """
    current = read_current(models)
    if current is None:
        given, allowed = "no model is in use", "`spinecast promote` puts one into use"
        problem = Problem(str(models / FILE), given, allowed, "Or name a model with --model.")
        raise UsageRefused("There is no model to answer with", [problem])
    return load_named(models, current.folder, current.model, current.manifest, registry_folder)


def load_named(
    models: Path, folder: str, model: str, manifest: str, registry_folder: Path | None = None
) -> Scorer:
    """A model that a promotion named, once its folder is found to hold that very model.

    Raises:
        ModelRefused: the folder is missing, was altered, or holds another model.
    """
    place = models / folder
    if not place.is_dir():
        allowed = f"model {model} is to be in it"
        problem = Problem(str(place), "the folder is missing", allowed, _remedy(model))
        raise ModelRefused("The promoted model is not there", [problem])
    scorer = Scorer.load(place, registry_folder)
    if scorer.explainer.identity.id != model or manifest_hash(place) != manifest:
        given = f"it holds model {scorer.explainer.identity.id}, manifest {manifest_hash(place)}"
        allowed = f"model {model}, manifest {manifest} was promoted"
        problem = Problem(str(place), given, allowed, _remedy(model))
        raise ModelRefused("The folder holds another model than the one promoted", [problem])
    return scorer


def _remedy(model: str) -> str:
    return f"Put {model} back, or promote the model you mean."


def manifest_hash(folder: Path) -> str:
    """SHA-256 of a model folder's manifest, which names the SHA-256 of every other file."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
