"""Rejected rows of a cohort in parts: each table writes its own, then one file is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from spinecast.files import whole_file
from spinecast.patients.rejection import Rejected

_TEXTS = ("column", "rule", "given", "allowed", "remedy")


def write_piece(rejected: Rejected, path: Path, file: str) -> None:
    """Write every reason of some rejected rows, one per line, under their file's name if any.

    Raises:
        UsageRefused: it cannot be written, or there is no room.
    """
    frame = rejected.to_frame()
    if file:
        frame.insert(0, "file", file)
    table = pa.Table.from_pandas(frame, schema(named=bool(file)), preserve_index=False)
    with whole_file(path) as unfinished:
        parquet.write_table(table, unfinished)


def schema(*, named: bool) -> Any:  # noqa: ANN401 - Arrow is untyped
    """The columns of rejected rows; the file is one of them where a cohort has several."""
    texts = [(name, pa.large_string()) for name in _TEXTS]
    file = [("file", pa.large_string())] if named else []
    return pa.schema([*file, ("row", pa.int64()), *texts])


def join(pieces: Iterable[Path], out: Path, *, named: bool) -> None:
    """Make one file, .csv or .parquet, of the rejected rows of all parts, in their order.

    Raises:
        UsageRefused: it cannot be written, or there is no room.
    """
    with whole_file(out) as unfinished, _writer(unfinished, out.suffix, named=named) as write:
        for batch in _batches(pieces):
            write(batch)


@contextmanager
def _writer(path: Path, ending: str, *, named: bool) -> Iterator[Any]:
    columns = schema(named=named)
    if ending.lower() == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            pd.DataFrame(columns=columns.names).to_csv(file, index=False, lineterminator="\n")
            yield lambda batch: batch.to_pandas().to_csv(
                file, header=False, index=False, lineterminator="\n"
            )
    else:
        with parquet.ParquetWriter(path, columns) as writer:
            yield writer.write_batch


def _batches(pieces: Iterable[Path]) -> Iterator[Any]:
    for piece in pieces:
        with parquet.ParquetFile(piece) as file:
            yield from file.iter_batches()
