"""A model as a folder a person can read: text alone, every file named and hashed in its manifest.

    manifest.json    format, model id, SHA-256 of every other file
    model.json       intercept, each column's coefficient and the literature's, recalibration
    trees.json       the boosted trees in XGBoost's own JSON; absent when there are none
    refits.csv       coefficients of the bootstrap refits, one line each
    population.json  what patients look like: shares of each value and how factors go together
    facts.json       the cohort in counts, where it agrees with the literature
    training.json    how it was made: recipe, choices, data fingerprint, performance, unknowns
    registry/        the registry it was trained with

A folder that lacks a file, has another one, or whose bytes differ from the manifest is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from spinecast.cohorts.outcome import in_words
from spinecast.distribution.population import Population
from spinecast.errors import ModelRefused, Problem, UsageRefused
from spinecast.explaining.assessment import ModelIdentity, TrainedOn
from spinecast.explaining.current import read_current
from spinecast.explaining.explanation import Explainer
from spinecast.explaining.facts import CohortFacts
from spinecast.explaining.manifest import MANIFEST, as_json, read_json, verified, write_manifest
from spinecast.files import tidy, whole_folder
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.loading import load_registry, write_registry
from spinecast.modelling.calibration import Recalibration
from spinecast.modelling.features import Encoding
from spinecast.modelling.model import Model, Refits, reference_row
from spinecast.modelling.trees import Trees, leaves_of

FloatArray = npt.NDArray[np.float64]


# What reading raises when the files of a folder do not fit together.
BROKEN = (AttributeError, KeyError, IndexError, OSError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A model whose patients stand behind another: its id, and the SHA-256 of what it learned from.

    `files`: of each file, where that was a folder.
    """

    id: str
    sha256: str
    files: tuple[str, ...] = ()

    def knows(self, contents: Collection[str]) -> bool:
        """Whether it learned from a file of one of these fingerprints."""
        return not {self.sha256, *self.files}.isdisjoint(contents)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model read back from its folder, with how it was made."""

    folder: Path
    explainer: Explainer
    training: Mapping[str, Any]

    @property
    def lineage(self) -> tuple[Ancestor, ...]:
        """Each model whose patients stand behind this one; this one comes first.

        An updated model also rests on the files of those it came from, unless it was learned anew.
        """
        own = self.training.get("data", {})
        update = self.training.get("update", {})
        before = () if update.get("rung") == "retrain" else update.get("lineage", ())
        told = [{**own, "id": self.explainer.identity.id}] if own.get("sha256") else []
        return tuple(
            Ancestor(str(model["id"]), str(model["sha256"]), tuple(model.get("files", ())))
            for model in (*told, *before)
        )

    def that_learned_from(self, contents: Collection[str]) -> Ancestor | None:
        """Which model of its lineage learned from a file of these fingerprints; None for none.

        Figures of patients who stand behind a model flatter it.
        """
        return next((model for model in self.lineage if model.knows(contents)), None)


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
    tidy(folder)
    refuse_existing(folder, replace=replace)
    with whole_folder(folder) as scratch:
        for name, text in _contents(model, facts, booster, training).items():
            (scratch / name).write_text(text, encoding="utf-8")
        write_registry(model.registry, scratch / "registry")
        return write_manifest(scratch)


def refuse_existing(folder: Path, *, replace: bool) -> None:
    """A model gives way only when asked to, and only to another model; never the one in use.

    Raises:
        UsageRefused: something of that name is there, or it is the model in use.
        ModelRefused: which model is in use cannot be read.
    """
    if not folder.exists():
        return
    if not (folder / MANIFEST).is_file():
        allowed = "only a model is replaced by a model"
        problem = Problem(str(folder), "it is not a model", allowed, "Choose another name.")
        raise UsageRefused("The model was not written", [problem])
    if not replace:
        allowed = "a model is never overwritten unasked"
        problem = Problem(str(folder), "it exists", allowed, "Choose another name, or --replace.")
        raise UsageRefused("The model was not written", [problem])
    place = folder.resolve()
    in_use = read_current(place.parent)
    if in_use is not None and in_use.folder == place.name:
        allowed = "the model in use is replaced by a promotion alone"
        remedy = "Choose another name, then `spinecast promote` that model."
        problem = Problem(str(folder), "it is in use", allowed, remedy)
        raise UsageRefused("The model was not written", [problem])


def read_bundle(folder: Path, registry_folder: Path | None = None) -> Bundle:
    """Read and verify a model folder; with a registry named, it must be the model's own.

    Raises:
        ModelRefused: naming every file that is missing, foreign, altered or too new.
    """
    manifest = verified(folder)
    try:
        registry = load_registry(folder / "registry")
        bundle = _read(folder, manifest, registry)
    except (UsageRefused, *BROKEN) as error:
        given = str(error) if isinstance(error, UsageRefused) else repr(error)
        problem = Problem(str(folder), given, "the files that `spinecast train` wrote")
        raise ModelRefused("The model cannot be read", [problem]) from None
    if registry_folder is not None:
        _same_registry(registry.id, load_registry(registry_folder).id, registry_folder)
    return bundle


def _read(folder: Path, manifest: Mapping[str, Any], registry: Registry) -> Bundle:
    facts = CohortFacts.from_dict(read_json(folder / "facts.json"))
    training = read_json(folder / "training.json")
    model = _model(folder, registry)
    if misfits := [what for what, fits in _fits(model, facts) if not fits]:
        raise ValueError("; ".join(misfits))
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
    lines = [_refits_header(model.encoding)]
    lines += [",".join(repr(float(value)) for value in row) for row in refits]
    texts = {
        "model.json": as_json(_told(model)),
        "refits.csv": "\n".join(lines) + "\n",
        "population.json": as_json(model.population.to_dict()),
        "facts.json": as_json(facts.to_dict()),
        "training.json": as_json(training),
    }
    return texts | ({"trees.json": booster} if booster else {})


def _refits_header(encoding: Encoding) -> str:
    names = ["intercept", *(column.name for column in encoding.columns), "trees"]
    return ",".join(json.dumps(name, ensure_ascii=False) for name in names)


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


# --- reading ---------------------------------------------------------------------------------


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
    told = read_json(folder / "model.json")
    if [column["name"] for column in told["columns"]] != [c.name for c in encoding.columns]:
        raise ValueError("model.json has other columns than the registry")
    coefficients = np.array(
        [[c["coefficient"], c["literature"]] for c in told["columns"]], dtype=np.float64
    )
    line = Recalibration.from_dict(told["recalibration"])
    refits = _refits(folder / "refits.csv", encoding)
    leaves = leaves_of(read_json(folder / "trees.json")) if (folder / "trees.json").exists() else []
    return Model(
        registry=registry,
        population=Population.from_dict(read_json(folder / "population.json")),
        encoding=encoding,
        intercept=float(told["intercept"]),
        beta=coefficients[:, 0],
        literature=coefficients[:, 1],
        trees=Trees.fold(leaves, reference_row(registry), line.slope),
        refits=Refits(refits[:, 0], refits[:, 1:-1], refits[:, -1]),
        level=told["interval_level"],
        recalibration=line,
    )


def _refits(path: Path, encoding: Encoding) -> FloatArray:
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if header != _refits_header(encoding):
        raise ValueError("refits.csv has other columns than the registry")
    return np.array([line.split(",") for line in lines], dtype=np.float64).reshape(
        -1, len(encoding) + 2
    )


def _fits(model: Model, facts: CohortFacts) -> Iterator[tuple[str, bool]]:
    """What must hold of a folder's files together, so that no patient finds out that it does not.

    Their sums only say that nobody touched them since they were written.
    """
    factors = model.registry.factors
    numbers = (model.intercept, model.beta, model.literature, *_arrays(model.refits))
    yield "a coefficient is not finite", all(np.isfinite(values).all() for values in numbers)
    yield "interval_level is not between 0 and 1", 0 < model.level < 1
    yield (
        "population.json has other factors than the registry",
        (model.population.bins.names == model.registry.names),
    )
    yield (
        "facts.json has other factors than the registry",
        (
            facts.seen_low.shape == facts.seen_high.shape == (len(factors),)
            and len(facts.agreement) == len(factors)
            and [len(seen) for seen in facts.counts] == [len(factor.levels) for factor in factors]
        ),
    )
    quantiles = facts.risk_quantiles
    yield "risk_quantiles do not rise", len(quantiles) > 1 and bool((np.diff(quantiles) >= 0).all())
    yield "trained_on is not known", facts.trained_on in get_args(TrainedOn)


def _arrays(refits: Refits) -> tuple[FloatArray, FloatArray, FloatArray]:
    return refits.intercept, refits.beta, refits.tree_share
