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
from spinecast.explaining.columns import Columns
from spinecast.explaining.explanation import Explainer
from spinecast.patients.answers import as_text
from spinecast.patients.checking import check_across, codes, nothing_known, unanswered
from spinecast.patients.patient import PATIENT_ID, reader_for
from spinecast.patients.rejection import Findings

BoolArray = npt.NDArray[np.bool_]
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
        table: a column for each factor and scope question by name, and `patient_id` if it is to
            come back; one that is absent, None, NaN or "unknown" is not known. Other columns are
            not looked at.

    Returns:
        For each row, under its own index, the columns that a scored file has (`columns`), and
        trained_on: what kind of patients the model learnt from. What a refused row does not have
        is missing. Types do not change with the rows, as Spark asks (`mlflow.pyfunc.spark_udf`).
    """
    given, unchecked, findings = _read(explainer, table)
    scored = ~findings.is_rejected()
    scores = explainer.score(given[scored], unchecked=unchecked[scored])
    faults = findings.rejected().by_row()
    columns = Columns.of(explainer).table(_ids(table), scored, faults, scores)
    told = Predictions(columns.to_pandas().set_axis(table.index))
    return told.assign(trained_on=pd.Series(explainer.identity.trained_on, table.index, dtype=str))


def _read(explainer: Explainer, table: pd.DataFrame) -> tuple[FloatArray, BoolArray, Findings]:
    """The patients as rows of codes, checked by the very rules a cohort file is checked by.

    And which questions about scope nobody answered.
    """
    registry = explainer.model.registry
    reader = reader_for(registry)
    findings = Findings(np.arange(len(table)))
    columns = {
        name: codes(_typed(table[name]), field, findings)
        if name in reader.asked and name in table
        else nothing_known(table)
        for name, field in reader.fields.items()
    }
    check_across(reader, columns, findings)
    return (
        np.column_stack([columns[name] for name in registry.names]),
        unanswered(columns, registry, len(table)),
        findings,
    )


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


def _ids(table: pd.DataFrame) -> npt.NDArray[np.object_]:
    """What the patients are called, "" where nothing was said."""
    if PATIENT_ID not in table:
        return np.full(len(table), "", dtype=object)
    ids = ["" if _is_missing(cell) else as_text(cell).strip() for cell in table[PATIENT_ID]]
    return np.array(ids, dtype=object)


mlflow.models.set_model(ServedModel())
