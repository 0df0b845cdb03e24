"""Which files a model folder holds, and that they are as they were written.

The manifest names every file with its SHA-256; the model's id is the fingerprint of that list. This
finds damage and careless edits. It is not a signature: take models only from people you trust.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spinecast import __version__
from spinecast.errors import ModelRefused, Problem

FORMAT = 1
MANIFEST = "manifest.json"


def write_manifest(folder: Path) -> str:
    """List a folder's files with their sums, and return the model's id."""
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in _files(folder)}
    identity = _identity(files)
    manifest = {"format": FORMAT, "id": identity, "spinecast": __version__, "files": files}
    (folder / MANIFEST).write_text(as_json(manifest), encoding="utf-8")
    return identity


def verified(folder: Path) -> dict[str, Any]:
    """The manifest, once every file of the folder has been held against it.

    Raises:
        ModelRefused: naming every file that is missing, foreign, altered or too new.
    """
    if not (folder / MANIFEST).is_file():
        problem = Problem(
            str(folder), "no manifest.json", "a model is a folder written by `spinecast train`"
        )
        raise ModelRefused("No model found", [problem])
    manifest = read_json(folder / MANIFEST)
    _refuse_format(folder, manifest)
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        problem = Problem(
            str(folder / MANIFEST), "it lists no files", "file names and SHA-256 sums"
        )
        raise ModelRefused("The model cannot be read", [problem])
    if problems := list(_deviations(folder, listed, manifest.get("id"))):
        raise ModelRefused(f"The model in {folder} cannot be trusted", problems)
    return manifest


def _deviations(folder: Path, listed: Mapping[str, str], identity: object) -> Iterator[Problem]:
    """Where a folder differs from its manifest."""
    present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    for name in listed:
        if name not in present:
            yield Problem(name, "missing", "every file of the manifest is needed")
    for name, path in present.items():
        if name not in listed:
            yield Problem(name, "not in the manifest", "no other file may be there")
        elif _sha256(path) != listed[name]:
            allowed = "its SHA-256 must be that of manifest.json"
            yield Problem(name, "altered since it was written", allowed)
    if _identity(listed) != identity:
        allowed = "its id must be that of its files"
        yield Problem(MANIFEST, "altered since it was written", allowed)


def _refuse_format(folder: Path, manifest: Mapping[str, Any]) -> None:
    written = manifest.get("format")
    if type(written) is int and 1 <= written <= FORMAT:
        return
    is_newer = type(written) is int and written > FORMAT
    problem = Problem(
        str(folder / MANIFEST),
        f"format {written!r}",
        f"this spinecast ({__version__}) reads up to format {FORMAT}",
        f"Update spinecast to {manifest.get('spinecast')} or later." if is_newer else "",
    )
    told = "The model is newer than this program" if is_newer else "The model cannot be read"
    raise ModelRefused(told, [problem])


def _identity(listed: Mapping[str, str]) -> str:
    return hashlib.sha256(as_json(listed).encode()).hexdigest()[:12]


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_json(value: object) -> str:
    """JSON as the files of a model folder have it: to be read by people, without NaN."""
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder.

    Raises:
        ModelRefused: it cannot be read, or is not an object.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(told, dict):
            return told
        given = "it is not an object of names and values"
    except RecursionError:
        given = "it is nested too deeply"
    except (OSError, ValueError) as error:
        given = str(error)
    problem = Problem(str(path), given, "the JSON that `spinecast train` wrote")
    raise ModelRefused("The model cannot be read", [problem])
