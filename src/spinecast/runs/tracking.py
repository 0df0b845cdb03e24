"""The researcher's logbook: one MLflow run for each training, with everything that came out of it.

Runs lie in `mlflow.db` and their files in `artifacts/` of one folder (`experiments/`). A run counts
only when it is marked FINISHED, which is the last thing done to it; after a failure it is FAILED,
after a kill it stays RUNNING, and the command can simply be run again.

Beside `logbook` and `run_files`, the halves of this module, only `served` knows MLflow, which
itself runs it.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spinecast import __version__
from spinecast.cohorts.labelled import DataFacts
from spinecast.explaining.bundle import read_bundle
from spinecast.fitting.recipe import Recipe
from spinecast.fitting.training import OURS, TrainingResult
from spinecast.measures.metrics import MEASURES
from spinecast.reports.evidence import standing_of
from spinecast.runs import run_files
from spinecast.runs.logbook import HOME, experiment, opened, set_up, tracking_uri
from spinecast.runs.run_files import PACKAGE, REMARKS

__all__ = ["HOME", "RunRecord", "record", "set_up", "tracking_uri"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Where a run is: `model_uri` can be loaded once MLflow was told `tracking_uri`."""

    run_id: str
    model_uri: str
    tracking_uri: str


def record(
    result: TrainingResult,
    bundle_folder: Path,
    *,
    experiment_name: str,
    data: DataFacts,
    report: Path | None = None,
    home: Path = HOME,
) -> RunRecord:
    """Log a training as one MLflow run: how it was made, how good it is, and the model itself.

    Args:
        result: what training returned.
        bundle_folder: the model folder written of it.
        experiment_name: under which runs are gathered.
        data: what it was trained on.
        report: the folder of its report, kept with the run; none for none.
        home: the folder with the database and the artifacts.

    Raises:
        UsageRefused: the folder cannot be written to, or MLflow cannot use its database.
        ModelRefused: the model folder is not whole.
    """
    identity = read_bundle(bundle_folder).explainer.identity
    with opened(home) as mlflow:
        tags = _tags(result)
        with mlflow.start_run(
            experiment_id=experiment(mlflow, experiment_name, home),
            run_name=bundle_folder.name,
            tags=tags,
            description=_description(result),
        ) as run:
            mlflow.log_params(_parameters(result, data, identity.id))
            run_files.log_data(mlflow, data)
            run_files.log_files(mlflow, result, bundle_folder, report)
            model = run_files.log_model(mlflow, result.model.registry, bundle_folder, tags)
            metrics = _metrics(result) | (_reported(report) if report else {})
            mlflow.log_metrics(metrics, model_id=model.model_id)
        return RunRecord(run.info.run_id, model.model_uri, tracking_uri(home))


# --- what is told of a run ------------------------------------------------------------------------


def _parameters(result: TrainingResult, data: DataFacts, model_id: str) -> dict[str, str]:
    """Everything that went in, by name; MLflow keeps parameters as text."""
    choices = result.choices
    return _flat(result.recipe.model_dump(exclude={"question", "decision_rule", "outcome"})) | {
        "chosen.weight": f"{choices.weight:g}",
        "chosen.scale": f"{choices.scale:g}",
        "chosen.rounds": str(choices.rounds),
        "patients": str(result.facts.patients),
        **(
            {f"apart.{name}": str(n) for name, n in asdict(result.apart).items()}
            if result.apart
            else {}
        ),
        "events": str(result.facts.events),
        "outcome": result.outcome,
        "registry": result.model.registry.id,
        "model_id": model_id,
        **{f"data.{name}": str(value) for name, value in asdict(data).items()},
    }


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """A table of tables as one, `trees.depth`; several values are joined by commas."""
    flat: dict[str, str] = {}
    for name, value in table.items():
        match value:
            case Mapping():
                flat |= _flat(value, f"{above}{name}.")
            case tuple() | list():
                flat[above + name] = ", ".join(map(str, value))
            case _:
                flat[above + name] = str(value)
    return flat


def _metrics(result: TrainingResult) -> dict[str, float]:
    """Each method's measures as `auroc.ridge`, ours also as `auroc` with `auroc_low` and `_high`.

    `log_loss_lead.ridge` is by how much ours is better than it, patient for patient. What could not
    be computed is left out.
    """
    metrics = {
        f"{measure.name}.{method.replace(' ', '_')}": performance[measure.name].value
        for method, performance in result.performance.items()
        for measure in MEASURES
    }
    for estimate in result.performance[OURS].estimates:
        metrics[estimate.measure] = estimate.value
        metrics[f"{estimate.measure}_low"] = estimate.low
        metrics[f"{estimate.measure}_high"] = estimate.high
    for one in result.comparison.differences:
        metrics[f"{one.measure}_lead.{one.model.replace(' ', '_')}"] = -one.lead
    return {name: value for name, value in metrics.items() if not math.isnan(value)}


def _reported(report: Path) -> dict[str, float]:
    """What a report adds: distances of the calibration curve, `auroc_corrected` for optimism."""
    performance, internal = (
        json.loads((report / name).read_text(encoding="utf-8"))
        for name in ("performance.json", "internal_validation.json")
    )
    found = dict(performance["first_repeat"]["calibration_distances"]["value"])
    for one in (internal["optimism"] or {}).get("measures", ()):
        for name, ending in (("corrected", ""), ("low", "_low"), ("high", "_high")):
            found[f"{one['measure']}_corrected{ending}"] = one[name]
    return {name: value for name, value in found.items() if value is not None}


def _tags(result: TrainingResult) -> dict[str, str]:
    return {
        "trained_on": result.facts.trained_on,
        "exploratory": "yes" if standing_of(result).is_exploratory else "no",
        "spinecast": __version__,
        **({"against": result.rival.model_id} if result.rival else {}),
        **_commit(),
    }


def _commit() -> dict[str, str]:
    """The commit this program runs from, where it runs from a repository and git is there."""
    git = shutil.which("git")

    def ask(*question: str) -> str:
        # Fixed words, and no shell.
        answer = subprocess.run(  # noqa: S603
            [str(git), "-C", str(PACKAGE), *question],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return answer.stdout.strip()

    try:
        # A file git does not know: installed into somebody else's repository.
        ask("ls-files", "--error-unmatch", "__init__.py")
        commit = ask("rev-parse", "HEAD")
        changed = bool(ask("status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": commit, "uncommitted_changes": "yes" if changed else "no"}


def _description(result: TrainingResult) -> str:
    """What a person reads first on the run's page."""
    recipe: Recipe = result.recipe
    remark = REMARKS[result.facts.trained_on]
    parts = (
        f"**{remark}.**" if remark else "",
        recipe.question,
        f"Decision rule: {recipe.decision_rule}" if recipe.decision_rule else "",
    )
    return "\n\n".join(part for part in parts if part)
