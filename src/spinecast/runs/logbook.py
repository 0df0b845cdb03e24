"""The folder where MLflow keeps runs: a database, the files, and MLflow kept quiet and at home.

Nothing leaves the machine: MLflow's usage telemetry is switched off before it is imported. MLflow
is imported late, it takes more than a second.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spinecast.errors import Problem, UsageRefused

HOME = Path("experiments")
DATABASE, ARTIFACTS = "mlflow.db", "artifacts"

# Read by MLflow when it is first imported or at each call.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
TALKATIVE = ("mlflow", "alembic", "git")


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


@contextmanager
def opened(home: Path) -> Iterator[Any]:
    """MLflow, writing into this folder, which is made when needed.

    Raises:
        UsageRefused: the folder cannot be written to, or MLflow cannot use its database.
    """
    set_up(home)
    with _mlflow() as mlflow, _refusing(home), _pointed(mlflow, home):
        yield mlflow


def experiment(mlflow: Any, name: str, home: Path) -> str:  # noqa: ANN401
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


@contextmanager
def _mlflow() -> Iterator[Any]:
    """MLflow, kept from talking."""
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
def _pointed(mlflow: Any, home: Path) -> Iterator[None]:  # noqa: ANN401
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
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
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


def _slug(name: str) -> str:
    """A name as a folder: what is neither letter nor digit becomes a hyphen."""
    return "".join(c if c.isalnum() else "-" for c in name).strip("-") or "experiment"
