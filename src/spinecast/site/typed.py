"""Files that hold typed columns: Parquet, Stata, SPSS. Value labels come as their words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import ArrowException, parquet

from spinecast.patients.tables import distinct_names, numbered, text_column
from spinecast.site.foreign_file import ForeignFile
from spinecast.site.workbook import as_cell


class Parquet:
    """Typed columns, read in batches."""

    def __init__(self, file: ForeignFile) -> None:
        self.file = file
        try:
            self.content = parquet.ParquetFile(file.path)
        except (ArrowException, OSError):
            file.refuse("it is not a Parquet file, or damaged", "a whole Parquet file is needed")

    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(distinct_names(self.file.path, self.content.schema_arrow.names))

    def pieces(self, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The rows in batches."""
        stored = dict(zip(self.names(), self.content.schema_arrow.names, strict=True))
        first = 2
        columns = [stored[name] for name in wanted]
        for batch in self.content.iter_batches(rows, columns=columns):
            texts = [
                _with_mark(text_column(batch.column(name)), batch.column(name), self.file.decimal)
                for name in columns
            ]
            yield numbered(pa.table(texts, names=wanted).to_pandas(), first)
            first += batch.num_rows


def _with_mark(text: Any, typed: Any, decimal: str) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Numbers written with the hospital's own decimal mark."""
    if decimal == "." or not pa.types.is_floating(typed.type):
        return text
    return pa.compute.replace_substring(text, ".", decimal)


class Statistics:
    """A .dta or .sav file; coded values come as their labels' words."""

    def __init__(self, file: ForeignFile) -> None:
        import pyreadstat  # likewise

        self.file = file
        self.read = pyreadstat.read_dta if file.ending == ".dta" else pyreadstat.read_sav
        self.in_chunks = pyreadstat.read_file_in_chunks
        try:
            _, self.meta = self.read(str(file.path), metadataonly=True)
        except (pyreadstat.ReadstatError, UnicodeDecodeError, OSError):
            kind = "Stata" if file.ending == ".dta" else "SPSS"
            file.refuse(f"it is no {kind} file, or damaged", f"a whole {kind} file is needed")

    def names(self) -> tuple[str, ...]:
        """The variables' names."""
        return tuple(distinct_names(self.file.path, self.meta.column_names))

    def pieces(self, wanted: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The cases, some thousand at a time."""
        first = 2
        chunks = self.in_chunks(
            self.read, str(self.file.path), chunksize=rows, usecols=wanted, apply_value_formats=True
        )
        for frame, _ in chunks:
            texts = {name: self._texts(frame[name]) for name in wanted}
            yield numbered(pd.DataFrame(texts, dtype="str"), first)
            first += len(frame)

    def _texts(self, column: pd.Series[Any]) -> list[str]:
        known = column.astype(object).where(column.notna(), None)
        return [as_cell([value], 0, self.file.decimal) for value in known.tolist()]
