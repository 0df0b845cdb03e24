"""A first site.toml for a file nobody has mapped yet: what is sure, and what a person must decide.

Names, values and ranges are looked at (`matching`); `proposing` says what one column would mean,
`ways` what several would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spinecast.knowledge.factors import Registry
from spinecast.patients.answers import INDEX_DATE
from spinecast.patients.patient import PATIENT_ID
from spinecast.site import matching, ways
from spinecast.site.declaration import OPEN, ROW_NUMBER, FileForm
from spinecast.site.foreign_file import ForeignFile
from spinecast.site.guessing import form_of
from spinecast.site.matching import Choice, alias_of
from spinecast.site.profile import Profile, profiles
from spinecast.site.proposing import DraftLine, proposed
from spinecast.site.targets import Target, targets

HEAD_ASKS = {
    "dates": "which comes first, the day or the month",
    "repeated": "patients stand in several rows; the one that counts, of the first or last "
    "operation, or refuse, which rejects all but one",
}
"""What is asked of a key of the whole file when it is open."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted mapping.

    Attributes:
        file: the file looked at, and how it seems to be written.
        head: keys of the whole file.
        lines: our columns for which there is a candidate.
        notes: what was guessed of the file, to be checked.
        decisions: everything a person must decide.
        absent: our columns for which nothing was found.
        later: columns that came after the operation and are used for nothing.
        unused: the other columns that are used for nothing.
    """

    file: ForeignFile
    head: Mapping[str, Any]
    lines: tuple[DraftLine, ...]
    notes: tuple[str, ...]
    decisions: tuple[str, ...]
    absent: tuple[str, ...]
    later: tuple[str, ...]
    unused: tuple[str, ...]


def draft(
    path: Path | str, registry: Registry, *, sheet: str = "", header_row: int | None = None
) -> Draft:
    """Draft the mapping of a file; how it is written is guessed, and said.

    Args:
        path: the hospital's file.
        registry: what our columns are.
        sheet: of an Excel workbook with several.
        header_row: the row that names the columns, as a spreadsheet counts.

    Raises:
        UsageRefused: the file cannot be read.
        DataRefused: it is no clean table.
    """
    file, notes = form_of(Path(path), FileForm(sheet=sheet, header_row=header_row or 1))
    columns = profiles(file)
    known = targets(registry)
    mark, differing = _decimal(columns)
    choices = matching.choose(known, columns)
    lines = [
        line
        for target in known.values()
        if (line := _line(target, choices[target.name], columns, choices)) is not None
    ]
    lines = [_with_mark(line, differing) for line in lines]
    used = {source for line in lines for source in _sources(line)}
    by_name = {column.name: column for column in columns}
    dates, lines = _dates(lines, by_name, known)
    head = {
        "site": file.path.stem,
        "unknown": sorted({w for name in used for w in by_name[name].unknown_words if w}),
        "decimal": mark,
        **({"dates": dates} if dates else {}),
        "repeated": _repeated(lines, by_name),
    }
    left = [column for column in columns if column.name not in used]
    return Draft(
        file,
        head,
        tuple(lines),
        notes,
        tuple(_decisions(head, lines)),
        tuple(name for name in known if name not in {line.name for line in lines}),
        tuple(column.name for column in left if column.is_later),
        tuple(column.name for column in left if not column.is_later),
    )


def _sources(line: DraftLine) -> Iterator[str]:
    yield from (name for name in (line.keys.get("column"),) if name)
    yield from line.keys.get("columns", ())


def _decisions(head: Mapping[str, Any], lines: Sequence[DraftLine]) -> Iterator[str]:
    for key, asked in HEAD_ASKS.items():
        if head.get(key) == OPEN:
            yield f"{key}: {asked}"
    for line in lines:
        yield from (f"[columns.{line.name}] {text}" for text in line.open)


# --- one of our columns ---------------------------------------------------------------------------


def _line(
    target: Target, choice: Choice, columns: Sequence[Profile], choices: Mapping[str, Choice]
) -> DraftLine | None:
    if choice.is_sure and choice.match is not None:
        return proposed(target, choice.match)
    taken = {c.match.column.name for c in choices.values() if c.is_sure and c.match}
    parts = set(ways.parts(columns, taken))
    for way in alias_of(target).ways:
        if line := ways.by_way(target, way, columns, taken):
            return line
    mine = (choice.match, *choice.others)
    possible = [m for m in mine if m is not None and m.column.name not in parts]
    if not possible:
        return _each_row() if target.name == PATIENT_ID else None
    said = ", ".join(f"{m.column.name!r} ({m.confidence:.2f})" for m in possible)
    return DraftLine(
        target.name, {"column": ""}, None, (f"Not sure: {said}.",), (f"column: {said}, or none",)
    )


def _each_row() -> DraftLine:
    why = f'No column names the patients. If each row is another patient, by = "{ROW_NUMBER}".'
    return DraftLine(
        PATIENT_ID, {"by": OPEN}, None, (why,), (f"by: {ROW_NUMBER!r}, or the column",)
    )


# --- what holds for the whole file ----------------------------------------------------------------


def _decimal(columns: Sequence[Profile]) -> tuple[str, Mapping[str, str]]:
    """The decimal mark of most columns, and the mark of those that differ, "?" for both."""
    one = {c.name: next(iter(c.marks)) for c in columns if len(c.marks) == 1 and len(c.numbers[0])}
    both = {c.name: OPEN for c in columns if len(c.marks) > 1 and len(c.numbers[0])}
    commas = sum(mark == "," for mark in one.values())
    mark = "," if commas * 2 > len(one) else "."
    return mark, {name: m for name, m in one.items() if m != mark} | both


def _with_mark(line: DraftLine, differing: Mapping[str, str]) -> DraftLine:
    marks = {differing[name] for name in _sources(line) if name in differing}
    if not marks:
        return line
    mark = marks.pop() if len(marks) == 1 else OPEN
    both = ("decimal: both marks stand in this column",) if mark == OPEN else ()
    return replace(line, keys={**line.keys, "decimal": mark}, open=(*line.open, *both))


def _dates(
    lines: Sequence[DraftLine], columns: Mapping[str, Profile], known: Mapping[str, Target]
) -> tuple[str, list[DraftLine]]:
    """How dates are written: for the file when its columns can agree, else line by line, or "?"."""
    possible = {
        line.name: [
            patterns
            for name in _sources(line)
            if known[line.name].holds != "text" and (patterns := columns[name].date_patterns)
        ]
        for line in lines
    }
    written = [set(ps) for of in possible.values() for ps in of if "" not in ps]
    if not written:
        return "", list(lines)
    common = set.intersection(*written)
    if len(common) == 1:
        return common.pop(), list(lines)
    if common or any(len(patterns) > 1 for patterns in written):
        return OPEN, list(lines)
    own = {name: {p for ps in of for p in ps if p} for name, of in possible.items()}
    return "", [_dated(line, own[line.name]) for line in lines]


def _dated(line: DraftLine, patterns: set[str]) -> DraftLine:
    """A line with the pattern of its own columns, which differs from that of others."""
    if not patterns:
        return line
    pattern = patterns.pop() if len(patterns) == 1 else OPEN
    waiting = (*line.open, "dates: its columns differ") if pattern == OPEN else line.open
    return replace(line, keys={**line.keys, "dates": pattern}, open=waiting)


def _repeated(lines: Sequence[DraftLine], columns: Mapping[str, Profile]) -> str:
    by_name = {line.name: line for line in lines}
    source = by_name[PATIENT_ID].keys.get("column", "") if PATIENT_ID in by_name else ""
    repeated = bool(source) and any(count > 1 for count in columns[source].known.values())
    return OPEN if repeated and INDEX_DATE in by_name else "refuse"
