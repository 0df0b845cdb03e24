"""The model as MLflow serves it: this file is copied into the logged model and run there.

MLflow calls this "models from code": no object is pickled. The model folder lies beside it as the
artifact `bundle`, the package's own code under `code/`; nothing is imported here that scoring does
not need. Nobody imports this module; MLflow runs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import numpy as np
import numpy.typing as npt
import pandas as pd

from spinecast.explaining.bundle import read_bundle
from spinecast.explaining.explanation import Explainer
from spinecast.patients.answers import as_text
from spinecast.patients.checking import check_across, codes, nothing_known
from spinecast.patients.patient import reader_for
from spinecast.patients.rejection import Findings

FloatArray = npt.NDArray[np.float64]


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model folder behind MLflow's interface: a table of patients in, a table of risks out."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401 - MLflow is untyped
        """Read and verify the model folder."""
        self.explainer = read_bundle(Path(context.artifacts["bundle"])).explainer

    def predict(
        self,
        context: Any,  # noqa: ANN401, ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Score a table with one patient a row; see `predictions`."""
        return predictions(self.explainer, pd.DataFrame(model_input))


class Predictions(pd.DataFrame):
    """A table whose records hold None where a number is missing: JSON knows no NaN."""

    @property
    def _constructor(self) -> type[Predictions]:
        return Predictions

    def to_dict(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        """As pandas does, with None for NaN; MLflow's server makes its JSON of this."""
        plain = pd.DataFrame(self).astype(object)
        return plain.where(plain.notna(), None).to_dict(*args, **named)


def predictions(explainer: Explainer, table: pd.DataFrame) -> Predictions:
    """Risks of many patients; a row with impossible answers is refused and stops no other.

    Args:
        explainer: the model.
        table: a column for each factor and scope question by name; one that is absent, None, NaN or
            "unknown" is not known. Other columns are not looked at.

    Returns:
        For each row, under its own index: risk with its interval (low, high), status ("scored" or
        "refused"), reasons (of a refusal, one a line), trained_on (what kind of patients the model
        learnt from), unknown (how many factors are not known), and for each factor
        contribution_<factor> (risk points) and log_odds_<factor>, both against the reference
        patient. Numbers are NaN where refused.
    """
    given, findings = _read(explainer, table)
    scored = ~findings.is_rejected()
    # Where nobody can be scored, a row without any answer stands in and is left out again.
    nobody = np.full((1, given.shape[1]), np.nan)
    scores = explainer.score(given[scored] if scored.any() else nobody)

    def spread(values: npt.NDArray[Any]) -> FloatArray:
        whole = np.full((len(table), *values.shape[1:]), np.nan)
        whole[scored] = values[: scored.sum()]
        return whole

    names = explainer.model.registry.names
    points, log_odds = spread(scores.risk_points), spread(scores.log_odds)
    columns: dict[str, object] = {
        "risk": spread(scores.risk),
        "low": spread(scores.low),
        "high": spread(scores.high),
        "status": np.where(scored, "scored", "refused").astype(object),
        "reasons": _reasons(findings, len(table)),
        "trained_on": explainer.identity.trained_on,
        "unknown": spread(np.isnan(scores.rows.given).sum(axis=1)),
    }
    columns |= {f"contribution_{name}": points[:, at] for at, name in enumerate(names)}
    columns |= {f"log_odds_{name}": log_odds[:, at] for at, name in enumerate(names)}
    return Predictions(columns, index=table.index)


def _read(explainer: Explainer, table: pd.DataFrame) -> tuple[FloatArray, Findings]:
    """The patients as rows of codes, checked by the very rules a cohort file is checked by."""
    reader = reader_for(explainer.model.registry)
    findings = Findings(np.arange(len(table)))
    columns = {
        name: codes(_typed(table[name]), field, findings)
        if name in reader.asked and name in table
        else nothing_known(table)
        for name, field in reader.fields.items()
    }
    check_across(reader, columns, findings)
    return np.column_stack([columns[name] for name in reader.registry.names]), findings


def _typed(column: pd.Series[Any]) -> pd.Series[Any]:
    """Cells of any kind as a person would have typed them: a list is a wrong answer of its row."""
    if column.dtype != object:
        return column
    cells = [cell if _is_missing(cell) else as_text(cell) for cell in column]
    return pd.Series(cells, index=column.index, dtype=object)


def _is_missing(cell: object) -> bool:
    if isinstance(cell, (float, np.floating)):
        return bool(np.isnan(cell))
    return cell is None or cell is pd.NA or cell is pd.NaT


def _reasons(findings: Findings, rows: int) -> npt.NDArray[np.object_]:
    """What is wrong with each row, a sentence a line; empty where nothing is."""
    said: list[list[str]] = [[] for _ in range(rows)]
    rejected = findings.rejected()
    for row, fault in zip(rejected.reason_rows, rejected.reason_faults, strict=True):
        said[row].append(str(rejected.faults[fault].problem()))
    return np.array(["\n".join(lines) for lines in said], dtype=object)


mlflow.models.set_model(ServedModel())
