"""Somebody else's predictions: a file with a column of risks and a column of outcomes, no model.

A hospital can check any model so, whoever made it. Nothing is guessed: a risk lies between 0 and
1, and per cent are per cent only when declared. Every other row is rejected with every reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.judging.judgement import Judgement, judge
from spinecast.judging.keeping import write_judged
from spinecast.judging.thresholds import Thresholds
from spinecast.logic import YES_NO, FloatArray
from spinecast.patients.answers import Field, LevelField, NumberField
from spinecast.patients.checking import codes
from spinecast.patients.patient import suggestion
from spinecast.patients.rejection import Findings, Rejected
from spinecast.patients.tables import file_fingerprint, read_table

# Outcomes that a statistics program has written as numbers.
_OUTCOMES = {**YES_NO, "false": 0.0, "true": 1.0, "0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
NO_RISK_ABOVE_ONE = "Declared as per cent, and yet no risk is above 1%: are they shares of 1?"


class RiskField(NumberField):
    """A predicted risk: 0 to 1, or 0 to 100 when declared as per cent."""

    __slots__ = ()

    def _scale_remedy(self, number: float) -> str:
        if self.high == 1.0 and 1 < number <= 100:
            return "If the risks are per cent, say so with --percent."
        return "A risk is a probability; log-odds and scores have to be turned into one first."


@dataclass(frozen=True, slots=True, eq=False)
class ForeignPredictions:
    """Two columns of a file, row by row.

    Attributes:
        name: of the file.
        sha256: of the file.
        risks: the column of risks.
        outcomes: the column of outcomes.
        percent: whether the risks were declared to be per cent.
        risk: accepted rows' risks, 0 to 1; NaN unknown.
        outcome: accepted rows' outcomes, 1 or 0; NaN unknown.
        rejected: the other rows, with every reason.
    """

    name: str
    sha256: str
    risks: str
    outcomes: str
    percent: bool
    risk: FloatArray
    outcome: FloatArray
    rejected: Rejected

    @property
    def rows_read(self) -> int:
        """How many rows the file had."""
        return len(self.risk) + len(self.rejected)

    def to_dict(self) -> dict[str, Any]:
        """The file in counts; nothing of any patient."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "risks": self.risks,
            "outcomes": self.outcomes,
            "percent": self.percent,
            "rows_read": self.rows_read,
            "accepted": len(self.risk),
            "rejected": len(self.rejected),
            "rejected_by_rule": dict(self.rejected.counts),
            "labelled": int((~np.isnan(self.outcome)).sum()),
        }


@dataclass(frozen=True, slots=True, eq=False)
class ForeignValidation:
    """How good somebody else's predictions were.

    Attributes:
        predictions: the two columns, and what became of the rows.
        judgement: all measures.
        remarks: what has to be known beside the figures.
    """

    predictions: ForeignPredictions
    judgement: Judgement
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON, under the keys that a validation of our own models has."""
        return {
            "model": None,
            "data": self.predictions.to_dict(),
            "outcome": f"{self.predictions.outcomes} of {self.predictions.name}",
            "remarks": list(self.remarks),
            **self.judgement.to_dict(),
        }


def read_predictions(
    path: Path, risks: str, outcomes: str, *, percent: bool = False
) -> ForeignPredictions:
    """Read the two columns; unknown cells are unknown, impossible ones reject their row.

    Args:
        path: a CSV or Parquet file.
        risks: name of the column of risks, from 0 to 1.
        outcomes: name of the column of outcomes: 0/1, yes/no or true/false.
        percent: the risks are per cent, from 0 to 100.

    Raises:
        UsageRefused: there is no such file or column.
        DataRefused: the file is not a table.
    """
    table = read_table(path)
    _require(path, tuple(map(str, table.columns)), {"--risks": risks, "--outcomes": outcomes})
    findings = Findings(table.index.to_numpy(dtype=np.int64))
    risk = codes(table[risks], _risk_field(risks, percent=percent), findings)
    outcome = codes(table[outcomes], _outcome_field(outcomes), findings)
    kept = ~findings.is_rejected()
    return ForeignPredictions(
        name=path.name,
        sha256=file_fingerprint(path),
        risks=risks,
        outcomes=outcomes,
        percent=percent,
        risk=(risk / 100 if percent else risk)[kept],
        outcome=outcome[kept],
        rejected=findings.rejected(),
    )


def validate_predictions(
    predictions: ForeignPredictions, *, thresholds: Thresholds | None = None
) -> ForeignValidation:
    """Hold the risks of a file against its outcomes.

    Raises:
        DataRefused: no row has both.
    """
    known = ~(np.isnan(predictions.risk) | np.isnan(predictions.outcome))
    if not known.any():
        problems = [*predictions.rejected.problems(), _none(predictions)]
        raise DataRefused("No patient can be used", problems)
    judgement = judge(predictions.outcome, predictions.risk, thresholds=thresholds)
    doubtful = predictions.percent and float(predictions.risk[known].max()) <= 0.01
    remarks = ((NO_RISK_ABOVE_ONE,) if doubtful else ()) + judgement.notes
    return ForeignValidation(predictions, judgement, remarks)


def write_validation(found: ForeignValidation, folder: Path) -> None:
    """Keep a validation: `validation.json` and `calibration.svg`, each whole or not at all.

    Raises:
        UsageRefused: the folder cannot be written to.
    """
    write_judged(found.to_dict(), found.judgement, " ".join(found.remarks[:1]), folder)


def _require(path: Path, columns: tuple[str, ...], asked: Mapping[str, str]) -> None:
    problems = [
        Problem(
            f"{option} {name[:40]!r}",
            f"{path.name} has no such column",
            "its columns are: " + ", ".join(column[:40] for column in columns[:20]),
            suggestion(name, columns),
        )
        for option, name in asked.items()
        if name not in columns
    ]
    if len(set(asked.values())) < len(asked):
        problems.append(
            Problem(" and ".join(asked), "name the same column", "two columns are needed")
        )
    if problems:
        raise UsageRefused("The columns cannot be read", problems)


def _risk_field(name: str, *, percent: bool) -> Field:
    high = 100.0 if percent else 1.0
    return RiskField(name, f"a risk from 0 to {high:g}{'%' if percent else ''}", low=0.0, high=high)


def _outcome_field(name: str) -> Field:
    return LevelField(name, "allowed: 1 or 0, yes or no, true or false", _OUTCOMES)


def _none(predictions: ForeignPredictions) -> Problem:
    return Problem(
        f"{predictions.risks} and {predictions.outcomes}",
        f"both are known in none of {predictions.rows_read:,} rows",
        "each patient needs a risk and an outcome",
    )
