"""The researcher's logbook: one MLflow run for each training, with everything that came out of it.

Runs lie in `mlflow.db` and their files in `artifacts/` of one folder (`experiments/`). Nothing
leaves the machine: MLflow's usage telemetry is switched off before it is imported. A run counts
only when it is marked FINISHED, which is the last thing done to it; after a failure it is FAILED,
after a kill it stays RUNNING, and the command can simply be run again.

This is the only module that imports MLflow, beside `served`, which MLflow itself runs.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from spinecast import __version__, plots
from spinecast.bundle import read_bundle
from spinecast.errors import Problem, UsageRefused
from spinecast.factors import Registry
from spinecast.metrics import MEASURES
from spinecast.recipe import Recipe
from spinecast.training import OURS, TrainingResult

HOME = Path("experiments")
DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
PACKAGE = Path(__file__).parent
# What scoring imports; spinecast itself travels as code inside the model.
REQUIRED = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "scipy")
REMARKS = {"simulated": "Simulated patients", "patients": "", "literature": "No patients"}
"""What a plot says of whom a model was trained on."""

# Read by MLflow when it is first imported or at each call.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
TALKATIVE = ("mlflow", "alembic", "git")


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The cohort file a model was trained on, in counts: nothing of any patient."""

    name: str
    sha256: str
    rows_read: int
    accepted: int
    rejected: int
    labelled: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Where a run is: `model_uri` can be loaded once MLflow was told `tracking_uri`."""

    run_id: str
    model_uri: str
    tracking_uri: str


def tracking_uri(home: Path = HOME) -> str:
    """Where MLflow finds the runs of a folder."""
    return f"sqlite:///{(home / DATABASE).resolve()}"


def set_up(home: Path = HOME) -> None:
    """Create the folder's database when there is none; takes some seconds, once.

    It is made under another name and appears whole, so a kill leaves nothing half made.

    Raises:
        UsageRefused: the folder cannot be written to.
    """
    if (home / DATABASE).exists():
        return
    with _mlflow(), _refusing(home):
        (home / ARTIFACTS).mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".mlflow.", dir=home))
        try:
            _create_database(scratch / DATABASE, home / ARTIFACTS)
            _put(scratch / DATABASE, home / DATABASE)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def record(
    result: TrainingResult,
    bundle_folder: Path,
    *,
    experiment_name: str,
    data: DataFacts,
    home: Path = HOME,
) -> RunRecord:
    """Log a training as one MLflow run: how it was made, how good it is, and the model itself.

    Args:
        result: what training returned.
        bundle_folder: the model folder written of it.
        experiment_name: under which runs are gathered.
        data: what it was trained on.
        home: the folder with the database and the artifacts.

    Raises:
        UsageRefused: the folder cannot be written to, or MLflow cannot use its database.
        ModelRefused: the model folder is not whole.
    """
    identity = read_bundle(bundle_folder).explainer.identity
    set_up(home)
    with _mlflow() as mlflow, _refusing(home), _tracked(mlflow, home):
        experiment = _experiment(mlflow, experiment_name, home)
        tags = _tags(result)
        with mlflow.start_run(
            experiment_id=experiment,
            run_name=bundle_folder.name,
            tags=tags,
            description=_description(result),
        ) as run:
            mlflow.log_params(_parameters(result, data, identity.id))
            _log_data(mlflow, data)
            _log_files(mlflow, result, bundle_folder)
            model = _log_model(mlflow, result.model.registry, bundle_folder, tags)
            mlflow.log_metrics(_metrics(result), model_id=model.model_id)
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

    What could not be computed is left out.
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
    return {name: value for name, value in metrics.items() if not math.isnan(value)}


def _tags(result: TrainingResult) -> dict[str, str]:
    return {
        "trained_on": result.facts.trained_on,
        "spinecast": __version__,
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


def _log_data(mlflow: Any, data: DataFacts) -> None:  # noqa: ANN401 - MLflow is untyped
    """The cohort file by name and fingerprint; MLflow is not given a single row."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags={"file": data.name, "sha256": data.sha256})
    # MLflow keeps 36 characters of a digest; the whole one is a parameter.
    dataset = MetaDataset(source, name=data.name, digest=data.sha256[:32] or None)
    mlflow.log_input(dataset, context="training")


def _log_files(mlflow: Any, result: TrainingResult, bundle_folder: Path) -> None:  # noqa: ANN401
    """Plots, numbers and the model folder, in one go."""
    remark = REMARKS[result.facts.trained_on]
    calibration = plots.calibration_plot(result.performance[OURS], remark=remark)
    comparison = plots.comparison_plot(result.performance, remark=remark)
    told = {
        "trained_on": result.facts.trained_on,
        "performance": {name: p.to_dict() for name, p in result.performance.items()},
        "comparison": result.comparison.to_dict(),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "plots").mkdir()
        (folder / "plots" / "calibration.svg").write_text(calibration, encoding="utf-8")
        (folder / "plots" / "comparison.svg").write_text(comparison, encoding="utf-8")
        text = json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        (folder / "performance.json").write_text(text, encoding="utf-8")
        shutil.copytree(bundle_folder, folder / "bundle")
        mlflow.log_artifacts(scratch)


# --- the model ------------------------------------------------------------------------------------


def _log_model(
    mlflow: Any,  # noqa: ANN401
    registry: Registry,
    bundle_folder: Path,
    tags: Mapping[str, str],
) -> Any:  # noqa: ANN401
    """The model folder with the code that reads it, as MLflow loads and serves it anywhere."""
    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch) / PACKAGE.name
        shutil.copytree(PACKAGE, code, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code / "served.py"),
            artifacts={"bundle": str(bundle_folder)},
            code_paths=[str(code)],
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in REQUIRED],
            signature=_signature(registry),
            input_example=_example(registry),
            metadata={"allowed": {factor.name: factor.allowed for factor in registry.factors}},
            tags=dict(tags),
        )


def _signature(registry: Registry) -> Any:  # noqa: ANN401
    """Scope questions and factors in, none required; risks and contributions out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    # Not string and double: MLflow then refuses a whole table for one cell that is text, and any
    # column of whole numbers. The model reads each cell itself and refuses the row.
    asked = [*(exclusion.name for exclusion in registry.exclusions), *registry.names]
    risks = ("risk", "low", "high")
    words = ("status", "reasons", "trained_on")
    numbers = ["unknown"]
    numbers += [
        f"{kind}_{name}" for kind in ("contribution", "log_odds") for name in registry.names
    ]
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name, required=False) for name in asked]),
        outputs=Schema(
            [
                *(ColSpec(DataType.double, name, required=False) for name in risks),
                *(ColSpec(DataType.string, name) for name in words),
                *(ColSpec(DataType.double, name, required=False) for name in numbers),
            ]
        ),
    )


def _example(registry: Registry) -> Any:  # noqa: ANN401
    """The reference patient as a table of one row."""
    import pandas as pd

    patient: dict[str, object] = {exclusion.name: "no" for exclusion in registry.exclusions}
    patient |= {f.name: f.value_of(f.reference_code) for f in registry.factors}
    return pd.DataFrame([patient])


# --- MLflow itself --------------------------------------------------------------------------------


@contextmanager
def _mlflow() -> Iterator[Any]:
    """MLflow, imported late (it takes more than a second) and kept from talking."""
    os.environ.update(ENVIRONMENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow
        import mlflow.pyfunc

        loggers = [logging.getLogger(name) for name in TALKATIVE]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield mlflow
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _tracked(mlflow: Any, home: Path) -> Iterator[None]:  # noqa: ANN401
    """MLflow pointed at this folder, and afterwards back at where it was."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri(home))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


@contextmanager
def _refusing(home: Path) -> Iterator[None]:
    """What MLflow or the disk has against the folder, as an error for people."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        said = " ".join(str(error).split())[:500]
        upgrade = f"Run: mlflow db upgrade {tracking_uri(home)}" if "schema" in said else ""
        allowed = "a folder to write to, with a database of this MLflow or none"
        problem = Problem(str(home), said, allowed, upgrade)
        raise UsageRefused("The run was not logged", [problem]) from error


def _create_database(path: Path, artifacts: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"sqlite:///{path.resolve()}", artifacts.resolve().as_uri())
    store.engine.dispose()


def _put(new: Path, place: Path) -> None:
    """Give a file its name; where another process was quicker, its file stays."""
    try:
        place.hardlink_to(new)
    except FileExistsError:
        pass
    except OSError:  # a drive that knows no links
        new.replace(place)


def _experiment(mlflow: Any, name: str, home: Path) -> str:  # noqa: ANN401
    """The id of the experiment of this name whose files lie in this folder; made when needed.

    MLflow writes the whole path of the files into its database. Where the folder was moved since,
    the former experiment is given another name, so that nothing is written to where it was.
    """
    client = mlflow.MlflowClient()
    files = (home / ARTIFACTS).resolve().as_uri()
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found is not None and found.artifact_location.startswith(files):
        return str(found.experiment_id)
    if found is not None:
        former = f"{name} (files in {found.artifact_location})"
        client.rename_experiment(found.experiment_id, former)
    return str(client.create_experiment(name, artifact_location=f"{files}/{_slug(name)}"))


def _slug(name: str) -> str:
    """A name as a folder: what is neither letter nor digit becomes a hyphen."""
    return "".join(c if c.isalnum() else "-" for c in name).strip("-") or "experiment"
