"""The same patient twice in a cohort larger than memory.

Every row's id is hashed and written to scratch, sorted, so that those of equal hash can be looked
at bucket by bucket. Rows of one id share a hash and so a bucket: the buckets are of about the same
size unless one id stands in very many rows. A hash proves nothing: whose hash stands twice has the
id read again, and only the id decides.
"""

from __future__ import annotations

import hashlib
import io
import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinecast.files import whole_file
from spinecast.patients.answers import UNKNOWN_WORDS
from spinecast.patients.draws import HashArray, hashes
from spinecast.patients.parts import FIRST_ROW, Part, Parts
from spinecast.sharing import Share

BUCKET_ROWS = 2_000_000
"""Rows of one bucket, about: 32 MB of hashes and places, and as much again to sort them."""

Places = npt.NDArray[np.uint64]
"""Rows of the cohort, counted through all its files from 0."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where each file begins among the rows of the cohort, to say where a patient stands."""

    starts: tuple[int, ...]
    names: tuple[str, ...]

    def told(self, place: int) -> str:
        """A row in words; its file is named where there are several."""
        at = bisect_right(self.starts, place) - 1
        row = f"row {place - self.starts[at] + FIRST_ROW}"
        return f"{row} of {self.names[at]}" if len(self.names) > 1 else row

    def fingerprint(self, places: Places) -> bytes:
        """SHA-256 of what `told` says of some rows, without saying it."""
        starts = np.array(self.starts, dtype=np.uint64)
        files, which = np.unique(
            np.searchsorted(starts, places, side="right") - 1, return_inverse=True
        )
        names = [self.names[at] for at in files] if len(self.names) > 1 else []
        found = hashlib.sha256(json.dumps(names).encode())
        found.update(which.astype(np.uint64).tobytes())
        found.update((places - starts[files][which]).tobytes())
        return found.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Repeated:
    """Rows of a part whose patients stand in an earlier row.

    Attributes:
        rows: their numbers, rising, (n,).
        earlier: the places of those earlier rows in the cohort, (n,).
        files: where these are.
    """

    rows: Places
    earlier: Places
    files: Files

    def within(self, table: pd.DataFrame) -> dict[int, str]:
        """Those of a table, by number, each with the earlier row in words."""
        if not len(table):
            return {}
        low, high = np.searchsorted(self.rows, [table.index[0], table.index[-1] + 1])
        places = map(self.files.told, self.earlier[low:high].tolist())
        return dict(zip(self.rows[low:high].tolist(), places, strict=True))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of them all; "" where there are none."""
        if not len(self.rows):
            return ""
        told = hashlib.sha256(self.rows.tobytes())
        told.update(self.files.fingerprint(self.earlier))
        return told.hexdigest()


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows whose patients stand in an earlier row, in files of scratch; without any, none do."""

    found: tuple[Path, ...] = ()
    files: Files = Files((), ())

    def of(self, start: int, part: Part) -> Repeated:
        """Those of a part that begins after so many rows of the cohort."""
        pairs = [_between(np.load(path, mmap_mode="r"), start, part.rows) for path in self.found]
        together = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), dtype=np.uint64)
        rows, earlier = together[:, np.argsort(together[0])]
        return Repeated(rows - np.uint64(start) + np.uint64(part.first), earlier, self.files)


def find_repeats(parts: Parts, scratch: Path, share: Share, rows_at_once: int) -> Repeats:
    """Look through a whole cohort for patients who stand in several rows.

    Args:
        parts: the cohort.
        scratch: a folder that all who share the work see, with room for 16 bytes a row.
        share: who does the work.
        rows_at_once: rows of which anybody holds the ids at a time.

    Raises:
        DataRefused: a file is damaged.
        UsageRefused: the scratch folder has no room.
    """
    starts = parts.starts
    tasks = list(zip(range(len(starts)), starts, parts.parts, strict=True))
    spilled = [
        path for paths in share(partial(_spill, scratch, rows_at_once), tasks) for path in paths
    ]
    buckets = -(-parts.rows // BUCKET_ROWS)
    look = partial(_repeats_in, parts, scratch, tuple(spilled), rows_at_once, buckets)
    found = tuple(path for path in share(look, range(buckets)) if path)
    for path in spilled:
        path.unlink(missing_ok=True)  # as large as the ids; what was found is mostly little
    return Repeats(found, files_of(parts)) if found else Repeats()


def files_of(parts: Parts) -> Files:
    """Where each file of a cohort begins."""
    begins: dict[str, int] = {}
    for part, start in zip(parts.parts, parts.starts, strict=True):
        begins.setdefault(part.path.name, start)
    return Files(tuple(begins.values()), tuple(begins))


def _spill(scratch: Path, rows_at_once: int, task: tuple[int, int, Part]) -> list[Path]:
    """Write hash and place of every row of a part that has an id, sorted by hash."""
    number, start, part = task
    written = []
    for at, ids in enumerate(part.ids(rows_at_once)):
        places = np.arange(start, start + len(ids), dtype=np.uint64)
        start += len(ids)
        has_id = ~pd.Series(ids).str.lower().isin(UNKNOWN_WORDS).to_numpy(dtype=bool)
        hashed, places = hashes(ids[has_id]), places[has_id]
        order = np.argsort(hashed, kind="stable")
        path = scratch / f"ids-{number:06d}-{at:06d}.npy"
        _write(path, np.stack([hashed[order], places[order]]))
        written.append(path)
    return written


def _repeats_in(
    parts: Parts,
    scratch: Path,
    spilled: tuple[Path, ...],
    rows_at_once: int,
    buckets: int,
    bucket: int,
) -> Path | None:
    """The rows of one bucket whose patients stand earlier, and where; None when there are none."""
    width = 2**64 // buckets
    last = bucket == buckets - 1
    low, high = bucket * width, 2**64 - 1 if last else (bucket + 1) * width - 1
    slices = [_between(np.load(path, mmap_mode="r"), low, high - low + 1) for path in spilled]
    places = _of_equal_hash(np.concatenate(slices, axis=1))
    if not len(places):
        return None
    at, _ = pd.factorize(np.concatenate(list(_ids_at(parts, places, rows_at_once))))
    first = np.empty(int(at.max()) + 1, dtype=np.uint64)
    first[at[::-1]] = places[::-1]
    repeated = first[at] != places
    path = scratch / f"repeats-{bucket:06d}.npy"
    _write(path, np.stack([places[repeated], first[at[repeated]]]))
    return path


def _between(pairs: Places, low: int, width: int) -> Places:
    """The columns of (2, n), sorted by their first row, whose first is from `low` on, so far."""
    ends = np.array([low, low + width - 1], dtype=np.uint64)
    start = np.searchsorted(pairs[0], ends[0], side="left")
    end = np.searchsorted(pairs[0], ends[1], side="right")
    return np.asarray(pairs[:, start:end])


def _of_equal_hash(pairs: Places) -> Places:
    """The places, rising, of rows whose hash another row has too."""
    order = np.argsort(pairs[0], kind="stable")
    hashed: HashArray = pairs[0][order]
    alike = hashed[1:] == hashed[:-1]
    several = np.zeros(len(hashed), dtype=bool)
    several[1:] |= alike
    several[:-1] |= alike
    return np.sort(pairs[1][order[several]])


def _ids_at(parts: Parts, places: Places, rows_at_once: int) -> Iterator[npt.NDArray[np.object_]]:
    """The ids in these rows, read again from the parts that hold them."""
    for part, start in zip(parts.parts, parts.starts, strict=True):
        wanted = _within(places, start, part.rows)
        if not len(wanted):
            continue
        for ids in part.ids(rows_at_once):
            here = _within(wanted, start, len(ids))
            yield ids[(here - np.uint64(start)).astype(np.intp)]
            start += len(ids)


def _within(places: Places, start: int, rows: int) -> Places:
    ends = np.array([start, start + rows], dtype=np.uint64)
    low, high = np.searchsorted(places, ends)
    return places[low:high]


def _write(path: Path, pairs: Places) -> None:
    content = io.BytesIO()
    np.save(content, pairs)  # not into the file itself: a full disk would not be told as one
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content.getbuffer())
