"""A model as a folder a person can read: no pickle, every file named and hashed in its manifest.

    manifest.json    format, model id, SHA-256 of every other file
    model.json       intercept, each column's coefficient and the literature's, recalibration
    trees.json       the boosted trees in XGBoost's own JSON; absent when there are none
    refits.csv       coefficients of the bootstrap refits, one line each
    population.json  what patients look like: shares of each value and how factors go together
    facts.json       the cohort in counts, where it agrees with the literature
    training.json    how it was made: recipe, choices, data and registry fingerprints, performance
    registry/        the registry it was trained with

A folder that lacks a file, has another one, or whose bytes differ from the manifest is refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinecast import __version__
from spinecast.assessment import ModelIdentity
from spinecast.calibration import Recalibration
from spinecast.errors import ModelRefused, Problem, UsageRefused
from spinecast.explanation import Explainer
from spinecast.factors import Registry
from spinecast.facts import CohortFacts
from spinecast.features import Encoding
from spinecast.files import reason
from spinecast.loading import load_registry, registry_files
from spinecast.model import Model, Refits, reference_row
from spinecast.outcome import in_words
from spinecast.population import Population
from spinecast.trees import Trees, leaves_of

FORMAT = 1
MANIFEST = "manifest.json"
FORMER = ".former"
# Seconds after which an unfinished folder is not being written any more.
STALE = 3600.0


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model read back from its folder, with how it was made."""

    folder: Path
    explainer: Explainer
    training: Mapping[str, Any]


def write_bundle(
    folder: Path,
    model: Model,
    facts: CohortFacts,
    booster: str | None,
    training: Mapping[str, Any],
    *,
    replace: bool = False,
) -> str:
    """Write a model folder in one step and return the model's id.

    Everything is written to a temporary folder beside it, then renamed: a kill at any moment
    leaves either no folder or a whole one.

    Raises:
        UsageRefused: when the folder exists and is not to be replaced.
    """
    refuse_existing(folder, replace=replace)
    with _refusing(folder):
        return _written(folder, _contents(model, facts, booster, training), model.registry)


def refuse_existing(folder: Path, *, replace: bool) -> None:
    """A model gives way only when asked to, and only to another model.

    Raises:
        UsageRefused: something of that name is there.
    """
    if not folder.exists():
        return
    if not replace:
        allowed = "a model is never overwritten unasked"
        problem = Problem(str(folder), "it exists", allowed, "Choose another name, or --replace.")
        raise UsageRefused("The model was not written", [problem])
    if not (folder / MANIFEST).is_file():
        allowed = "only a model is replaced by a model"
        problem = Problem(str(folder), "it is not a model", allowed, "Choose another name.")
        raise UsageRefused("The model was not written", [problem])


def _written(folder: Path, contents: Mapping[str, str], registry: Registry) -> str:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _tidy(folder)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, text in contents.items():
            (scratch / name).write_text(text, encoding="utf-8")
        _copy_registry(registry, scratch / "registry")
        identity = _write_manifest(scratch)
        scratch.chmod(0o755)
        _swap(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return identity


def read_bundle(folder: Path, registry_folder: Path | None = None) -> Bundle:
    """Read and verify a model folder; with a registry named, it must be the model's own.

    Raises:
        ModelRefused: naming every file that is missing, foreign, altered or too new.
    """
    manifest = _verified(folder)
    try:
        registry = load_registry(folder / "registry")
        bundle = _read(folder, manifest, registry)
    except (UsageRefused, KeyError, IndexError, TypeError, ValueError) as error:
        given = str(error) if isinstance(error, UsageRefused) else repr(error)
        problem = Problem(str(folder), given, "the files that `spinecast train` wrote")
        raise ModelRefused("The model cannot be read", [problem]) from None
    if registry_folder is not None:
        _same_registry(registry.id, load_registry(registry_folder).id, registry_folder)
    return bundle


def _read(folder: Path, manifest: Mapping[str, Any], registry: Registry) -> Bundle:
    facts = CohortFacts.from_dict(_json(folder / "facts.json"))
    training = _json(folder / "training.json")
    model = _model(folder, registry)
    identity = ModelIdentity(
        id=manifest["id"],
        trained_on=facts.trained_on,
        patients=facts.patients,
        events=facts.events,
        outcome=in_words(registry, training["outcome"]),
        registry=registry.id,
        version=manifest["spinecast"],
    )
    return Bundle(folder, Explainer(model, facts, identity), training)


# --- writing ---------------------------------------------------------------------------------


def _contents(
    model: Model, facts: CohortFacts, booster: str | None, training: Mapping[str, Any]
) -> dict[str, str]:
    refits = np.column_stack([model.refits.intercept, model.refits.beta, model.refits.tree_share])
    names = ["intercept", *(column.name for column in model.encoding.columns), "trees"]
    lines = [",".join(json.dumps(name, ensure_ascii=False) for name in names)]
    lines += [",".join(repr(float(value)) for value in row) for row in refits]
    texts = {
        "model.json": _dump(_told(model)),
        "refits.csv": "\n".join(lines) + "\n",
        "population.json": _dump(model.population.to_dict()),
        "facts.json": _dump(facts.to_dict()),
        "training.json": _dump(training),
    }
    return texts | ({"trees.json": booster} if booster else {})


def _told(model: Model) -> dict[str, Any]:
    factors = model.registry.factors
    return {
        "margin": "intercept + sum of coefficient * column + trees; log-odds of the outcome",
        "intercept": model.intercept,
        "interval_level": model.level,
        "recalibration": model.recalibration.to_dict(),
        "columns": [
            asdict(column)
            | {"factor": factors[column.factor].name}
            | {"coefficient": float(beta), "literature": float(literature)}
            for column, beta, literature in zip(
                model.encoding.columns, model.beta, model.literature, strict=True
            )
        ],
    }


def _copy_registry(registry: Registry, target: Path) -> None:
    for path in registry_files(registry.folder):
        copy = target / path.relative_to(registry.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _write_manifest(folder: Path) -> str:
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in _files(folder)}
    identity = hashlib.sha256(_dump(files).encode()).hexdigest()[:12]
    manifest = {"format": FORMAT, "id": identity, "spinecast": __version__, "files": files}
    (folder / MANIFEST).write_text(_dump(manifest), encoding="utf-8")
    return identity


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """A full disk or a folder that cannot be written to is told to the person, not raised."""
    try:
        yield
    except OSError as error:
        allowed = "the folder above it must be writable and have room"
        raise UsageRefused(
            "The model was not written", [Problem(str(folder), reason(error), allowed)]
        ) from None


def _tidy(folder: Path) -> None:
    """Clear away what a kill left behind; a model caught between two renames is put back."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        if left.name.endswith(FORMER) and not folder.exists():
            left.replace(folder)
        elif time.time() - left.stat().st_mtime > STALE:
            shutil.rmtree(left, ignore_errors=True)


def _swap(scratch: Path, folder: Path) -> None:
    """Put the new folder in place of the old one, which survives until the new one stands."""
    former = scratch.with_name(scratch.name + FORMER)
    if folder.exists():
        folder.replace(former)
    scratch.replace(folder)
    shutil.rmtree(former, ignore_errors=True)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


# --- reading ---------------------------------------------------------------------------------


def _verified(folder: Path) -> dict[str, Any]:
    """The manifest, once every file of the folder has been held against it."""
    if not (folder / MANIFEST).is_file():
        problem = Problem(
            str(folder), "no manifest.json", "a model is a folder written by `spinecast train`"
        )
        raise ModelRefused("No model found", [problem])
    manifest = _json(folder / MANIFEST)
    if not isinstance(manifest.get("format"), int) or manifest["format"] > FORMAT:
        problem = Problem(
            str(folder / MANIFEST),
            f"format {manifest.get('format')!r}",
            f"this spinecast ({__version__}) reads up to format {FORMAT}",
            f"Update spinecast to {manifest.get('spinecast')} or later.",
        )
        raise ModelRefused("The model is newer than this program", [problem])
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        problem = Problem(
            str(folder / MANIFEST), "it lists no files", "file names and SHA-256 sums"
        )
        raise ModelRefused("The model cannot be read", [problem])
    present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    problems = [
        Problem(name, "missing", "every file of the manifest is needed")
        for name in listed
        if name not in present
    ]
    problems += [
        Problem(name, "not in the manifest", "no other file may be there")
        for name in present
        if name not in listed
    ]
    problems += [
        Problem(name, "altered since it was written", "its SHA-256 must be that of manifest.json")
        for name, path in present.items()
        if name in listed and _sha256(path) != listed[name]
    ]
    if hashlib.sha256(_dump(listed).encode()).hexdigest()[:12] != manifest.get("id"):
        problems.append(
            Problem(MANIFEST, "altered since it was written", "its id must be that of its files")
        )
    if problems:
        raise ModelRefused(f"The model in {folder} cannot be trusted", problems)
    return dict(manifest)


def _same_registry(own: str, asked: str, registry_folder: Path) -> None:
    if own != asked:
        problem = Problem(
            str(registry_folder),
            f"this registry is {asked}",
            f"the model was trained with {own}",
            "Score without --registry, or retrain with this one.",
        )
        raise ModelRefused("The model belongs to another registry", [problem])


def _model(folder: Path, registry: Registry) -> Model:
    encoding = Encoding.from_registry(registry)
    told = _json(folder / "model.json")
    coefficients = np.array([[c["coefficient"], c["literature"]] for c in told["columns"]])
    line = Recalibration.from_dict(told["recalibration"])
    refits = np.loadtxt(folder / "refits.csv", delimiter=",", skiprows=1, ndmin=2, quotechar='"')
    refits = refits.reshape(-1, len(encoding) + 2)
    leaves = leaves_of(_json(folder / "trees.json")) if (folder / "trees.json").exists() else []
    return Model(
        registry=registry,
        population=Population.from_dict(_json(folder / "population.json")),
        encoding=encoding,
        intercept=told["intercept"],
        beta=coefficients[:, 0],
        literature=coefficients[:, 1],
        trees=Trees.fold(leaves, reference_row(registry), line.slope),
        refits=Refits(refits[:, 0], refits[:, 1:-1], refits[:, -1]),
        level=told["interval_level"],
        recalibration=line,
    )


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        problem = Problem(str(path), str(error), "the JSON that `spinecast train` wrote")
        raise ModelRefused("The model cannot be read", [problem]) from None
