"""The files that make a cohort in parts: one Parquet file, or a folder of files that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import ArrowException, parquet

from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.files import reason
from spinecast.patients.parts import ENDING, FIRST_ROW, ROWS_AT_ONCE, Part, Parts, damage

PASSED_OVER = ("_", ".")
"""Files whose names begin so are notes of Spark, Dask or Arrow, not patients."""


def parts_of(
    path: Path, rows_at_once: int = ROWS_AT_ONCE, *, without_damaged: bool = False
) -> Parts:
    """The parts of a Parquet file or of a folder of Parquet files with the same columns.

    Small row groups of a file are taken together, up to `rows_at_once`. Files without rows are
    no parts; files that begin with `_` or `.` are passed over, damaged ones with `without_damaged`.

    Raises:
        UsageRefused: there is no such file or folder.
        DataRefused: other files lie in the folder, one is damaged, columns or their kinds differ
            from the first file's, or there is no row at all; everything that is wrong at once.
    """
    found = [path] if path.is_file() else _files(path)
    problems: list[Problem] = []
    damaged: list[Problem] = []
    known: list[tuple[Path, Any]] = []
    for file in found:
        if file.suffix.lower() != ENDING or not file.is_file():
            problems.append(_stray(file))
            continue
        try:
            known.append((file, parquet.read_metadata(file)))
        except (ArrowException, OSError) as error:
            damaged.append(damage(file, error))
    if not (without_damaged and known):
        problems += damaged
    for file, metadata in known[1:]:
        problems += _differences(file, metadata, *known[0])
    if problems:
        raise DataRefused("The folder is not a cohort", problems)
    parts = tuple(part for file, metadata in known for part in _cut(file, metadata, rows_at_once))
    if not parts:
        given = f"Parquet files: {len(known)}, patients in them: 0"
        allowed = "one row for each patient is needed"
        problem = Problem(str(path), given, allowed, "Name the file or folder that holds them.")
        raise DataRefused("The folder is not a cohort", [problem])
    columns = tuple(known[0][1].schema.to_arrow_schema().names)
    return Parts(path, parts, columns, tuple(damaged))


def _files(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir(), key=lambda file: file.name)
    except OSError as error:
        problem = Problem(str(folder), reason(error), "a file or folder that can be read is needed")
        raise UsageRefused("The cohort cannot be read", [problem]) from None
    return [file for file in inside if not file.name.startswith(PASSED_OVER)]


def _cut(file: Path, metadata: Any, rows_at_once: int) -> Iterator[Part]:  # noqa: ANN401 - Arrow is untyped
    """Neighbouring row groups of a file that together have no more rows than asked for."""
    start = rows = 0
    first = FIRST_ROW
    for group in range(metadata.num_row_groups):
        more = metadata.row_group(group).num_rows
        if rows and rows + more > rows_at_once:
            yield Part(file, (start, group), first, rows)
            start, first, rows = group, first + rows, 0
        rows += more
    if rows:
        yield Part(file, (start, metadata.num_row_groups), first, rows)


# --- what may be wrong with a folder ----------------------------------------------------------


def _differences(file: Path, metadata: Any, like: Path, model: Any) -> list[Problem]:  # noqa: ANN401
    """How a file's columns differ from the first file's."""
    own, wanted = (_kinds(told.schema.to_arrow_schema()) for told in (metadata, model))
    remedy = "All files of a folder need the same columns: write it like the others."
    problems = [
        Problem(f"{file.name}, column {name}", given, f"{like.name} {has}", remedy)
        for names, given, has in (
            (wanted.keys() - own.keys(), "it is missing", "has it"),
            (own.keys() - wanted.keys(), "it stands there", "does not have it"),
        )
        for name in sorted(names)
    ]
    for name in (name for name in wanted if name in own):
        if len({own[name], wanted[name]} - {"nothing"}) > 1:
            given, allowed = f"it holds {own[name]}", f"in {like.name} it holds {wanted[name]}"
            problems.append(Problem(f"{file.name}, column {name}", given, allowed, remedy))
    return problems


def _kinds(schema: Any) -> dict[str, str]:  # noqa: ANN401
    return {field.name: _kind(field.type) for field in schema}


def _kind(type_: Any) -> str:  # noqa: ANN401
    """What a column holds, in words; whole numbers and others are of one kind."""
    types = pa.types
    if types.is_dictionary(type_):
        type_ = type_.value_type
    kinds: Sequence[tuple[Any, str]] = (
        (types.is_null, "nothing"),
        (types.is_boolean, "yes/no"),
        (types.is_integer, "numbers"),
        (types.is_floating, "numbers"),
        (types.is_decimal, "numbers"),
        (types.is_temporal, "dates"),
        (types.is_string, "text"),
        (types.is_large_string, "text"),
        (types.is_string_view, "text"),
    )
    return next((word for holds, word in kinds if holds(type_)), str(type_))


def _stray(file: Path) -> Problem:
    allowed = f"a cohort's folder holds {ENDING} files and nothing else"
    if file.is_dir():
        remedy = "If it holds patients (Hive's year=2024/), write them without partitions."
        return Problem(file.name, "a folder", allowed, f"{remedy} Otherwise move it elsewhere.")
    given = f"its ending is {file.suffix or 'missing'}"
    remedy = "Move it elsewhere, or begin its name with an underscore."
    return Problem(file.name, given, allowed, remedy)
