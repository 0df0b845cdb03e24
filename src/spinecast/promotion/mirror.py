"""The history as MLflow's registry shows it: which version is in use, since when, who, on what.

The registered model has the registry's name; a version is made of the run that trained it, the
alias `current` points to the one in use, and the tag `history_head` names the last line with its
hash, which guards the history's end from a second place. MLflow is an edge: where it is not
installed, has no database, or knows no run of the model, promotion works and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spinecast.errors import Problem, SpinecastError
from spinecast.promotion.history import FILE, Entry, History
from spinecast.runs.logbook import DATABASE, opened

ALIAS = "current"
HEAD = "history_head"
LONGEST = 5000
"""Characters that MLflow takes in a tag; the history has all."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last line that MLflow's registry was told of, for one registered model."""

    line: int
    hash: str


def mirror(told: History, home: Path) -> str:
    """Tell MLflow's registry which model is in use, and say in words what became of it.

    Where the registry knows a history that this one contradicts, it is left as it is: what it knows
    may be the only trace.
    """
    entry = told.entries[-1]
    if not (home / DATABASE).exists():
        return f"MLflow's registry was not told: there is no {DATABASE} in {home}."
    try:
        with opened(home) as mlflow:
            client = mlflow.MlflowClient()
            if list(contradictions(told, _heads(client))):
                return "MLflow's registry knows another history: `spinecast history --verify`."
            return _told(client, entry)
    except ModuleNotFoundError:
        return "MLflow's registry was not told: mlflow is not installed."
    except SpinecastError as refused:
        return f"MLflow's registry was not told: {refused.problems[0].given}."


def heads(home: Path) -> dict[str, Head]:
    """The last line MLflow's registry was told of, by registered model; none without MLflow."""
    if not (home / DATABASE).exists():
        return {}
    try:
        with opened(home) as mlflow:
            return _heads(mlflow.MlflowClient())
    except (ModuleNotFoundError, SpinecastError):
        return {}


def _heads(client: Any) -> dict[str, Head]:  # noqa: ANN401 - MLflow is untyped
    registered = client.search_registered_models()
    return {one.name: _head(one.tags[HEAD]) for one in registered if HEAD in one.tags}


def contradictions(told: History, known: Mapping[str, Head]) -> Iterator[Problem]:
    """How a history differs from what MLflow's registry was told of it.

    A registry that knows less is no contradiction: it may have been away.
    """
    ours = {entry.registry for entry in told.entries}
    for name, head in known.items():
        where, lines = f"MLflow's registry, {name}", len(told.entries)
        if head.line > lines and (name in ours or not ours):
            given = f"it was told of line {head.line}"
            yield Problem(where, given, f"{FILE} has {lines}: its end is missing", "See a backup.")
        elif name in ours and not (head.line > 0 and told.entries[head.line - 1].hash == head.hash):
            given = f"it knows another line {head.line}"
            allowed = f"{FILE} was replaced, or the runs folder belongs to another models folder"
            yield Problem(where, given, allowed, "See a backup, or name the folder with --runs.")


def _head(tag: str) -> Head:
    line, _, told = tag.partition(" ")
    return Head(int(line) if line.isdecimal() else 0, told)


def _told(client: Any, entry: Entry) -> str:  # noqa: ANN401
    name = entry.registry
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    version = _version(client, entry)
    if version is None:
        # An alias on another version would say that it is in use.
        client.delete_registered_model_alias(name, ALIAS)
    else:
        for key, value in _tags(entry).items():
            client.set_model_version_tag(name, version, key, value)
        client.set_registered_model_alias(name, ALIAS, version)
    client.set_registered_model_tag(name, HEAD, f"{entry.line} {entry.hash}")
    if version is None:
        return f"MLflow has no run of model {entry.model}: {name} has no version of it."
    return f"MLflow: models:/{name}@{ALIAS} is version {version}."


def _version(client: Any, entry: Entry) -> str | None:  # noqa: ANN401
    """The registered version of a model, made of its run where there is none yet."""
    for known in client.search_model_versions(f"name = '{entry.registry}'"):
        if known.tags.get("model_id") == entry.model:
            return str(known.version)
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    wanted = f"params.model_id = '{entry.model}' and attributes.status = 'FINISHED'"
    for run in client.search_runs(everywhere, wanted, order_by=["attributes.start_time DESC"]):
        for model in run.outputs.model_outputs if run.outputs else ():
            made = client.create_model_version(
                entry.registry,
                f"models:/{model.model_id}",
                run_id=run.info.run_id,
                tags={"model_id": entry.model},
                model_id=model.model_id,
            )
            return str(made.version)
    return None


def _tags(entry: Entry) -> dict[str, str]:
    """Who put the version into use, when, on what evidence; a rollback leaves the evidence be."""
    told = {
        "action": entry.action,
        "at": entry.at,
        "by": entry.by,
        "reason": entry.reason,
        "history_line": str(entry.line),
        "history_hash": entry.hash,
    }
    if entry.evidence is not None and entry.gate is not None:
        counts = ("cohort", "kind", "simulated", "patients", "events")
        told |= {
            "folder": entry.folder,
            "evidence": ", ".join(f"{name}: {entry.evidence[name]}" for name in counts),
            "gate_sha256": entry.gate["sha256"],
            "override": ", ".join(entry.override),
        }
    return {key: value[:LONGEST] for key, value in told.items()}
