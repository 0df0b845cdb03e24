"""What a mapping made of a file, for the owner's own terminal: where from, how much, what not.

Small counts are shown: the file is the reader's own, and nothing of this leaves the machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from spinecast.patients.rejection import Rejected
from spinecast.site.cells import UNMAPPED
from spinecast.site.declaration import Line
from spinecast.site.mapping import Mapped

SHOWN = 12
"""Unmapped values of one column that are spelled out, the most frequent first."""


def table(mapped: Mapped) -> list[list[str]]:
    """For each of our columns: where it comes from, how many known, before and after."""
    total = len(mapped.table)
    lines = [["", "from", "known", "unknown", "as written", "as ours"]]
    for name, line in mapped.site.columns.items():
        known = int((mapped.table[name] != "").sum())
        reach = mapped.reach[name]
        lines.append(
            [
                name,
                _origin(line),
                f"{known:,}",
                f"{total - known:,}",
                _span(reach.before, line),
                _span(reach.after),
            ]
        )
    return lines


def _origin(line: Line) -> str:
    if line.constant is not None:
        return f"always {line.constant!r}"
    if not line.sources:
        return line.by
    named = ", ".join(line.sources)
    return f"{named} ({line.by})" if line.by else named


def _span(span: tuple[float, float], line: Line | None = None) -> str:
    if math.isinf(span[0]):
        return ""
    unit = f" {line.unit}" if line and line.unit else ""
    return f"{span[0]:g} to {span[1]:g}" + (f" [{unit.strip()}]" if unit else "")


def unmapped(rejected: Rejected) -> Iterator[tuple[str, str, int]]:
    """Every word site.toml has no level for: the column, the word, how many rows."""
    counts: dict[tuple[str, str], int] = {}
    for place in rejected.reason_faults.tolist():
        fault = rejected.faults[place]
        if fault.rule == UNMAPPED:
            key = (fault.column, fault.given)
            counts[key] = counts.get(key, 0) + 1
    for (column, word), count in sorted(counts.items(), key=lambda item: (item[0][0], -item[1])):
        yield column, word, count


def remarks(mapped: Mapped, rejected: Rejected) -> Iterator[str]:
    """What else is to be said: words without a level, columns not used."""
    by_column: dict[str, list[str]] = {}
    for column, word, count in unmapped(rejected):
        by_column.setdefault(column, []).append(f"{word!r} {count:,}")
    for column, told in by_column.items():
        more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
        yield f"No level for these words, {column}: {', '.join(told[:SHOWN])}{more}"
    if mapped.unused:
        yield f"Columns of the file not used: {', '.join(mapped.unused)}"
