"""What a run keeps beside its numbers: plots, the model folder, the model as MLflow serves it.

Of the cohort its file's name, its fingerprint and counts are kept; MLflow is not given a row.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from spinecast.cohorts.labelled import DataFacts
from spinecast.drawing import plots
from spinecast.explaining.columns import Columns
from spinecast.fitting.training import OURS, TrainingResult
from spinecast.knowledge.factors import Registry
from spinecast.patients.patient import PATIENT_ID

PACKAGE = Path(__file__).parents[1]
# What scoring imports; spinecast itself travels as code inside the model.
REQUIRED = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "scipy")
REMARKS = {"simulated": "Simulated patients", "patients": "", "literature": "No patients"}
"""What a plot says of whom a model was trained on."""


def log_data(mlflow: Any, data: DataFacts) -> None:  # noqa: ANN401 - MLflow is untyped
    """The cohort file by name and fingerprint; MLflow is not given a single row."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags={"file": data.name, "sha256": data.sha256})
    # MLflow keeps 36 characters of a digest; the whole one is a parameter.
    dataset = MetaDataset(source, name=data.name, digest=data.sha256[:32] or None)
    mlflow.log_input(dataset, context="training")


def log_files(
    mlflow: Any,  # noqa: ANN401
    result: TrainingResult,
    bundle_folder: Path,
    report: Path | None = None,
) -> None:
    """Plots, numbers, the model folder and the report, in one go; the numbers are the report's."""
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
        if report is not None:
            shutil.copytree(report, folder / "report")
            shutil.copyfile(report / "performance.json", folder / "performance.json")
        shutil.copytree(bundle_folder, folder / "bundle")
        mlflow.log_artifacts(scratch)


def log_model(
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
            python_model=str(code / "runs" / "served.py"),
            artifacts={"bundle": str(bundle_folder)},
            code_paths=[str(code)],
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in REQUIRED],
            signature=_signature(registry),
            input_example=_example(registry),
            metadata={"allowed": {factor.name: factor.allowed for factor in registry.factors}},
            tags=dict(tags),
        )


def _signature(registry: Registry) -> Any:  # noqa: ANN401
    """The patient's id, scope questions and factors in, none required; a scored file's columns out.

    What comes out is named and typed, so that Spark knows its columns before it has any row.
    """
    import pyarrow as pa
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    # Not string and double: MLflow then refuses a whole table for one cell that is text, and any
    # column of whole numbers. The model reads each cell itself and refuses the row.
    asked = [PATIENT_ID, *(exclusion.name for exclusion in registry.exclusions), *registry.names]
    types = {pa.float64(): DataType.double, pa.string(): DataType.string}
    told = Columns(registry.names, model="", standing=()).schema
    outputs = [ColSpec(types[field.type], field.name, required=False) for field in told]
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name, required=False) for name in asked]),
        outputs=Schema([*outputs, ColSpec(DataType.string, "trained_on")]),
    )


def _example(registry: Registry) -> Any:  # noqa: ANN401
    """The reference patient as a table of one row."""
    import pandas as pd

    patient: dict[str, object] = {exclusion.name: "no" for exclusion in registry.exclusions}
    patient |= {f.name: f.value_of(f.reference_code) for f in registry.factors}
    return pd.DataFrame([patient])
