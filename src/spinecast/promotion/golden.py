"""Golden patients: made-up or past patients whose risk, all agree, must lie in a given range.

A JSON list of patients, or a CSV or Parquet table with one a row: answers by factor name, a
`patient_id`, and `risk_at_least`, `risk_at_most` or both. They guard against what no average
shows. Their ids go into the history: give made-up ones.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spinecast.errors import Problem, SpinecastError
from spinecast.files import reason
from spinecast.patients.patient import PATIENT_ID
from spinecast.patients.tables import read_table

AT_LEAST, AT_MOST = "risk_at_least", "risk_at_most"


@dataclass(frozen=True, slots=True)
class GoldenPatient:
    """A patient's answers as given, and the range the risk must lie in, its limits included."""

    name: str
    answers: Mapping[str, Any]
    at_least: float
    at_most: float


def read_golden(path: Path, problems: list[Problem]) -> tuple[tuple[GoldenPatient, ...], str]:
    """The golden patients of a file, and its SHA-256; what is wrong with it joins the problems."""
    try:
        content = path.read_bytes()
        rows = _rows(path, content)
    except OSError as error:
        problems.append(Problem(str(path), reason(error), "the golden patients the gate names"))
        return (), ""
    except (ValueError, RecursionError) as error:
        problems.append(Problem(str(path), str(error), "a JSON list of patients"))
        return (), ""
    except SpinecastError as refused:
        problems.extend(refused.problems)
        return (), ""
    found = [_patient(path.name, place, row, problems) for place, row in enumerate(rows, start=1)]
    problems.extend(_twice(path.name, found))
    return tuple(one for one in found if one is not None), hashlib.sha256(content).hexdigest()


def _rows(path: Path, content: bytes) -> list[Any]:
    if path.suffix.lower() != ".json":
        return [dict(row) for _, row in read_table(path).iterrows()]
    rows = json.loads(content)
    if not isinstance(rows, list) or not rows:
        raise ValueError("it is not a list of patients")
    return rows


def _patient(file: str, place: int, row: object, problems: list[Problem]) -> GoldenPatient | None:
    where = f"{file} patient {place}"
    if not isinstance(row, Mapping):
        problems.append(Problem(where, f"given {str(row)[:40]!r}", "answers by name"))
        return None
    limits = [_limit(row, name, open_end) for name, open_end in ((AT_LEAST, 0.0), (AT_MOST, 1.0))]
    told = any(row.get(name) not in (None, "") for name in (AT_LEAST, AT_MOST))
    if not told or any(math.isnan(limit) for limit in limits) or limits[0] > limits[1]:
        given = ", ".join(f"{name} {row.get(name)!r}" for name in (AT_LEAST, AT_MOST))
        allowed = "one or two risks from 0 to 1, the lower first"
        problems.append(Problem(where, f"given {given}", allowed))
        return None
    answers = {n: v for n, v in row.items() if n not in (AT_LEAST, AT_MOST)}
    name = str(answers.get(PATIENT_ID) or f"patient {place}")
    return GoldenPatient(name, answers, limits[0], limits[1])


def _limit(row: Mapping[str, Any], name: str, open_end: float) -> float:
    """A limit of the range; NaN where what was given is no risk."""
    given = row.get(name)
    if given in (None, ""):
        return open_end
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return math.nan
    try:
        risk = float(given)
    except ValueError:
        return math.nan
    return risk if 0 <= risk <= 1 else math.nan


def _twice(file: str, found: list[GoldenPatient | None]) -> Iterator[Problem]:
    names = [one.name for one in found if one is not None]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Problem(f"{file} {name}", "two patients have this id", "each has its own")
