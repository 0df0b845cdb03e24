"""Scale of scoring: what it costs file to file, beside XGBoost's contributions alone."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import xgboost
from known_model import write_model
from measured import MEGABYTE, REPEATS, Line, spinecast
from pyarrow import parquet

from spinecast.knowledge.loading import load_registry
from spinecast.simulator.synthetic import simulate

FILE_ROWS, PART_ROWS = 100_000, 50_000
PEER_ROWS = 20_000
"""Of how many rows `pred_contribs` is asked: its time grows with the rows."""
MOST = 2e9
"""Bytes of memory that scoring may take at any size."""
SHAPES = ((150, 2), (300, 4))


def scoring(folder: Path, rows: int) -> Iterator[Line]:
    """File to file, beside `pred_contribs` of the same trees on rows that lie in memory."""
    patients = folder / f"patients-{rows}"
    codes = write_patients(patients, rows)
    for trees, depth in SHAPES:
        model = folder / f"model-{trees}-{depth}"
        booster = model.with_suffix(".ubj")
        if not model.exists():
            write_model(model, trees, depth).save_model(booster)
        for more, times, word in ((["--without-intervals"], 3, "without"), ([], 1, "with")):
            words = ("score", patients, "--model", model, "--out", folder / "out", "--replace")
            runs = [
                (_contribute(booster, codes), spinecast(*words, *more, repeats=1))
                for _ in range(REPEATS if rows <= 1_000_000 else 1)
            ]
            rates = [(_rows(patients) / ours.wall, theirs) for theirs, ours in runs]
            rate = statistics.median(ours for ours, _ in rates)
            ratio = statistics.median(ours / theirs for ours, theirs in rates)
            peak = max(ours.peak for _, ours in runs)
            yield Line(
                f"score {rows:,} rows, {trees} trees of depth {depth}, {word} intervals",
                f"{rate:,.0f} rows/s, {ratio:.2f} times pred_contribs, {peak / MEGABYTE:,.0f} MB",
                f"{times} times, under {MOST / MEGABYTE:,.0f} MB",
                ratio >= times and peak < MOST,
            )


def write_patients(folder: Path, rows: int) -> np.ndarray:
    """Simulated patients in files; their answers repeat after `FILE_ROWS`, their ids do not.

    Returns the codes of some. Nothing is written where they are there already.
    """
    made = simulate(load_registry(), min(rows, FILE_ROWS), 5)
    codes: np.ndarray = made.cohort().codes[:PEER_ROWS]
    if folder.exists():
        return codes
    folder.mkdir()
    table = pa.Table.from_pandas(made.frame(), preserve_index=False)
    at = table.column_names.index("patient_id")
    for start in range(0, rows, FILE_ROWS):
        count = min(FILE_ROWS, rows - start)
        ids = pa.array([f"SIM-{number:09d}" for number in range(start, start + count)])
        named = table.slice(0, count).set_column(at, "patient_id", ids)
        file = folder / f"patients-{start:09d}.parquet"
        parquet.write_table(named, file, row_group_size=PART_ROWS)
    return codes


def _contribute(file: Path, codes: np.ndarray) -> float:
    """Rows a second of XGBoost's contributions, on every core, on a matrix that is made already."""
    booster = xgboost.Booster({"nthread": os.cpu_count()}, model_file=file)
    matrix = xgboost.DMatrix(codes)
    booster.predict(matrix, pred_contribs=True)
    start = time.perf_counter()
    booster.predict(matrix, pred_contribs=True)
    return len(codes) / (time.perf_counter() - start)


def _rows(folder: Path) -> int:
    return sum(parquet.read_metadata(file).num_rows for file in folder.iterdir())
