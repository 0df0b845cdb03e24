"""Scored patients in columns, as files hold them: typed, named, the schema with a version.

Numbers are 64-bit, so that contributions add up in the file as they do in memory. What is the same
for many rows is made once and pointed at; there is no Python for a single row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute, parquet

from spinecast.explaining.explanation import Explainer, Scores
from spinecast.patients.answers import Fault
from spinecast.patients.patient import PATIENT_ID

SCHEMA = "spinecast.scores/1"

BoolArray: TypeAlias = npt.NDArray[np.bool_]
ObjectArray: TypeAlias = npt.NDArray[np.object_]
IntArray: TypeAlias = npt.NDArray[np.int64]

STATES = ("refused", "scored")
# Words that many rows share; a dictionary of the others would cost time and save nothing.
SHARED = ("file", "status", "reasons", "cautions", "model")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where some rows come from: the file's name, and the numbers a spreadsheet shows."""

    file: str
    rows: IntArray


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of scored patients.

    Attributes:
        factors: the names of the model's factors.
        model: its id.
        standing: the codes of its standing cautions.
        intervals: whether low and high are among them.
        origin: whether file and row are.
    """

    factors: tuple[str, ...]
    model: str
    standing: tuple[str, ...]
    intervals: bool = True
    origin: bool = False

    @classmethod
    def of(cls, explainer: Explainer, *, intervals: bool = True, origin: bool = False) -> Columns:
        """Those a model gives."""
        standing = tuple(caution.code for caution in explainer.facts.cautions)
        names = explainer.model.registry.names
        return cls(names, explainer.identity.id, standing, intervals, origin)

    @property
    def schema(self) -> pa.Schema:
        """Names and types; the same for every piece, whoever is refused in it."""
        told = {"schema": SCHEMA, "model": self.model}
        named = {f"spinecast.{name}": value for name, value in told.items()}
        return pa.schema(self._typed(), metadata=named)

    def _typed(self) -> list[tuple[str, Any]]:
        ends = ("low", "high") if self.intervals else ()
        numbers = ["risk", *ends, "centile", "margin"]
        numbers += [
            f"{kind}_{name}" for kind in ("log_odds", "risk_points") for name in self.factors
        ]
        return [
            (PATIENT_ID, pa.string()),
            *([("file", pa.string()), ("row", pa.int64())] if self.origin else []),
            ("status", pa.string()),
            ("reasons", pa.string()),
            *((name, pa.float64()) for name in numbers),
            ("unknown", pa.string()),
            ("cautions", pa.string()),
            ("model", pa.string()),
        ]

    def table(
        self,
        ids: ObjectArray,
        accepted: BoolArray,
        faults: Mapping[int, Sequence[Fault]],
        scores: Scores,
        origin: Origin | None = None,
    ) -> pa.Table:
        """Patients in columns; what a refused one does not have is null.

        Args:
            ids: of all the patients, (n,).
            accepted: who of them was scored, (n,).
            faults: why the others were not, by their place.
            scores: of those who were.
            origin: where they stand, if that is told.
        """
        doubts = scores.doubts
        names = [f"{kind}_{name}" for kind in ("log_odds", "risk_points") for name in self.factors]
        values = [*scores.log_odds.T, *scores.risk_points.T]
        ends = {"low": scores.low, "high": scores.high} if self.intervals else {}
        numbers = {
            "risk": scores.risk,
            **ends,
            "centile": scores.centile,
            "margin": scores.margin,
            **dict(zip(names, values, strict=True)),
        }
        refused = None if accepted.all() else ~accepted
        columns: dict[str, Any] = {
            PATIENT_ID: pa.array(ids, type=pa.string(), from_pandas=True),
            "status": _pointed(accepted.astype(np.int8), STATES),
            "reasons": _told(faults, len(ids)),
            **{name: _spread(column, accepted, refused) for name, column in numbers.items()},
            "unknown": _among(_listed(doubts.unknown, self.factors), accepted, refused),
            "cautions": _among(
                _pointed(*doubts.combined(self.standing)).cast(pa.string()), accepted, refused
            ),
            "model": _pointed(np.zeros(len(ids), dtype=np.int8), (self.model,)),
        }
        if origin is not None:
            columns["file"] = _pointed(np.zeros(len(ids), dtype=np.int8), (origin.file,))
            columns["row"] = pa.array(origin.rows)
        schema = self.schema
        return pa.table([columns[name] for name in schema.names], names=schema.names).cast(schema)


def writer(where: str, schema: pa.Schema) -> parquet.ParquetWriter:
    """A Parquet file of such columns."""
    shared = [name for name in SHARED if name in schema.names]
    return parquet.ParquetWriter(where, schema, use_dictionary=shared)


def _pointed(at: npt.NDArray[Any], words: Sequence[str]) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Words told by their place among a few."""
    return pa.DictionaryArray.from_arrays(pa.array(at), pa.array(list(words), type=pa.string()))


def _told(faults: Mapping[int, Sequence[Fault]], count: int) -> Any:  # noqa: ANN401
    """Why some were refused at their places, nothing at the others."""
    at = np.zeros(count, dtype=np.int32)
    at[list(faults)] = np.arange(1, len(faults) + 1)
    said = ("; ".join(str(fault.problem()) for fault in found) for found in faults.values())
    return _pointed(at, ("", *said))


def _spread(values: npt.NDArray[np.float64], accepted: BoolArray, refused: BoolArray | None) -> Any:  # noqa: ANN401
    """Numbers of the accepted at their places among all, null at the others."""
    if refused is None:
        return pa.array(values)
    spread = np.zeros(len(accepted))
    spread[accepted] = values
    return pa.array(spread, mask=refused)


def _among(values: Any, accepted: BoolArray, refused: BoolArray | None) -> Any:  # noqa: ANN401
    """The same for text."""
    if refused is None:
        return values
    return values.take(pa.array(np.cumsum(accepted) - 1, mask=refused))


def _listed(marks: BoolArray, names: Sequence[str]) -> Any:  # noqa: ANN401
    """For every row the names that are marked, as text."""
    ends = np.concatenate([[0], np.cumsum(marks.sum(axis=1))]).astype(np.int32)
    named = pa.array(list(names), type=pa.string()).take(pa.array(np.nonzero(marks)[1]))
    return compute.binary_join(pa.ListArray.from_arrays(pa.array(ends), named), "; ")
