"""The model in use, and what must hold before it may answer.

Scoring needs this module and none of the others of its room.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from spinecast.errors import ModelRefused, Problem, UsageRefused
from spinecast.explaining.current import CURRENT, read_current
from spinecast.explaining.manifest import MANIFEST
from spinecast.explaining.scoring import Scorer


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
        problem = Problem(str(models / CURRENT), given, allowed, "Or name a model with --model.")
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
