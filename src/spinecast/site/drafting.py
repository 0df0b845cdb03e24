"""A first site.toml for a file nobody has mapped yet: what is sure, and what a person must decide.

Names, values and ranges are looked at; a unit is written down only when its name gives it away or
no other one is possible. Of patients' values only words that recur are quoted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spinecast.answers import INDEX_DATE
from spinecast.factors import Registry
from spinecast.patient import PATIENT_ID
from spinecast.site import matching, units
from spinecast.site.combinations import COMBINATIONS
from spinecast.site.declaration import OPEN, ROW_NUMBER, FileForm
from spinecast.site.guessing import form_of
from spinecast.site.matching import Choice, Match, alias_of
from spinecast.site.profile import Profile, profiles
from spinecast.site.reading import ForeignFile
from spinecast.site.targets import Target, targets
from spinecast.site.words import Way, plain, words

QUOTED = 5
"""Patients with the same word from which on it is quoted; a rarer one may say who somebody is."""
ENOUGH = 0.95
"""Share of the values that must be possible for a unit to be."""


@dataclass(frozen=True, slots=True)
class DraftLine:
    """One of our columns in the draft: its keys as they will be written, and why.

    Attributes:
        name: our column.
        keys: what is written in its table, in order.
        confidence: 0 to 1; None where there is nothing to be sure of.
        reasons: why, in sentences.
        open: what a person must decide about it.
    """

    name: str
    keys: Mapping[str, Any]
    confidence: float | None
    reasons: tuple[str, ...]
    open: tuple[str, ...] = ()


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
    if head.get("dates") == OPEN:
        yield "dates: which comes first, the day or the month"
    if head["repeated"] == OPEN:
        yield "repeated: patients stand in several rows; which one counts (first, last, refuse)"
    for line in lines:
        yield from (f"[columns.{line.name}] {text}" for text in line.open)


# --- one of our columns ---------------------------------------------------------------------------


def _line(
    target: Target, choice: Choice, columns: Sequence[Profile], choices: Mapping[str, Choice]
) -> DraftLine | None:
    if choice.is_sure and choice.match is not None:
        return _chosen(target, choice.match)
    taken = {c.match.column.name for c in choices.values() if c.is_sure and c.match}
    parts = set(_parts(columns, taken))
    for way in alias_of(target).ways:
        if line := _by_way(target, way, columns, taken):
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


def _chosen(target: Target, match: Match) -> DraftLine:
    column, stand_ins = match.column, match.stand_ins
    reasons = [f"named {match.named:.0%} alike", f"{match.fits:.0%} of {column.rows:,} values fit"]
    keys: dict[str, Any] = {"column": column.name}
    if stand_ins:
        keys["unknown"] = list(stand_ins)
        reasons.append(f"{', '.join(stand_ins)} taken as not known")
    told, why, waiting = _meaning(target, column)
    return DraftLine(
        target.name, keys | told, match.confidence, (", ".join(reasons) + ".", *why), waiting
    )


Meaning = tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]
NOTHING: Meaning = ({}, (), ())


def _meaning(target: Target, column: Profile) -> Meaning:
    match target.holds:
        case "number":
            return _unit(target, column)
        case "level":
            return _levels(target, column)
    return NOTHING


def _unit(target: Target, column: Profile) -> Meaning:
    shares = dict(matching.unit_shares(target, column))
    if len(shares) == 1:
        return NOTHING
    fitting = [unit for unit, share in shares.items() if share >= ENOUGH]
    told = _named_unit(column, tuple(shares))
    if told in fitting:
        return {"unit": told}, (f"Unit: the name says {told}.",), ()
    if len(fitting) == 1:
        return {"unit": fitting[0]}, (f"Unit: no other than {fitting[0]} is possible.",), ()
    said = " or ".join(map(repr, fitting or shares))
    low, high = float(column.numbers[0].min()), float(column.numbers[0].max())
    why = f"Values from {low:g} to {high:g} could be {said}." if fitting else "No unit fits well."
    return {"unit": OPEN}, (why,), (f"unit: {said}",)


def _named_unit(column: Profile, allowed: Sequence[str]) -> str | None:
    """The unit that a word of the column's name gives away."""
    parts = column.told.split()
    for measure in units.measures().values():
        for name, unit in measure.units.items():
            called = {plain(word) for word in (name, *unit.words)}
            if name in allowed and any(part in called for part in parts if len(part) > 1):
                return name
    return None


# --- levels ---------------------------------------------------------------------------------------


def _levels(target: Target, column: Profile) -> Meaning:
    alias = alias_of(target)
    if len(column.numbers[0]) and alias.bands:
        return _bands(target, column)
    if alias.prefixes and matching.is_icd(column):
        return _prefixes(target, column)
    quoted = {text: count for text, count in column.known.items() if count >= QUOTED}
    if all(text.isdigit() for text in quoted):
        quoted = dict(sorted(quoted.items(), key=lambda word: int(word[0])))
    rare = len(column.known) - len(quoted)
    told = {text: matching.level_of(target, text) or OPEN for text in quoted}
    if set(told) & {"1", "2"} == {"1", "2"} and len(target.levels) == len("no"):
        # 1 is yes and 2 no, or the other way round; or male and female.
        told = {text: OPEN if text.isdigit() else level for text, level in told.items()}
    waiting = [text for text, level in told.items() if level == OPEN]
    why = (f"{rare} rarer words are not shown here; `check --site` counts them.",) if rare else ()
    open_ = (f"levels: what {', '.join(map(repr, waiting))} means",) if waiting else ()
    if all(text == level for text, level in told.items()):
        return {}, (), open_  # our own words need no translation
    return {"levels": told}, why, open_


def _bands(target: Target, column: Profile) -> Meaning:
    alias = alias_of(target)
    bands = {level: list(band) for level, band in alias.bands.items()}
    unit = alias.band_unit
    why = f"The levels of {target.name} are read off its numbers."
    if not unit or _named_unit(column, (unit,)) or unit in column.told.split():
        return {"bands": bands}, (why,), ()
    said = f"column: {column.name!r} if its numbers are in {unit}, else change the bands too"
    return {"column": "", "bands": bands}, (why, f"The bands are in {unit}."), (said,)


def _prefixes(target: Target, column: Profile) -> Meaning:
    codes = alias_of(target).prefixes
    given = codes.codes if codes else {}
    found: dict[str, str] = {}
    for text, count in column.known.items():
        fitting = [prefix for prefix in given if text.startswith(prefix)]
        longest = max(fitting, key=len, default="")
        if given.get(longest, OPEN) != OPEN:
            found[longest] = given[longest]
        elif count >= QUOTED:
            found[text] = OPEN
    waiting = [code for code, level in found.items() if level == OPEN]
    why = f"{codes.mark.capitalize()}: {codes.source}" if codes else ""
    open_ = (f"prefixes: what {', '.join(waiting)} means",) if waiting else ()
    return {"prefixes": dict(sorted(found.items()))}, (why,), open_


# --- from several columns -------------------------------------------------------------------------


def _by_way(
    target: Target, way: Way, columns: Sequence[Profile], taken: set[str]
) -> DraftLine | None:
    """One of our columns from several of theirs, when each can be told by its name."""
    found = [_ingredient(name, columns, taken) for name in way.of]
    parts = [match for match in found if match is not None]
    if len(parts) < len(way.of):
        return None
    stand_ins = sorted({text for match in parts for text in match.stand_ins})
    combination = COMBINATIONS[way.by]
    keys: dict[str, Any] = {"columns": [m.column.name for m in parts], "by": way.by}
    reasons = [combination.says]
    if stand_ins:
        keys["unknown"] = stand_ins
        reasons.append(f"{', '.join(stand_ins)} taken as not known.")
    waiting: tuple[str, ...] = ()
    if combination.units:
        keys["units"], why, waiting = _units_of(target, way, [m.column for m in parts])
        reasons.append(why)
    if alias_of(target).bands and combination.gives == "number":
        keys |= {"unit": way.unit, "bands": {k: list(v) for k, v in alias_of(target).bands.items()}}
    confidence = min(match.named for match in parts)
    return DraftLine(target.name, keys, confidence, tuple(reasons), waiting)


def _parts(columns: Sequence[Profile], taken: set[str]) -> Iterator[str]:
    """Columns from which another is made, as height and weight: none of ours by themselves."""
    for name in words().ingredients:
        if match := _ingredient(name, columns, taken):
            yield match.column.name


def _ingredient(name: str, columns: Sequence[Profile], taken: set[str]) -> Match | None:
    wanted = words().ingredients[name]
    found = [
        Match(column, matching.named(column, wanted.names), 1.0)
        for column in columns
        if not column.is_later
        and (wanted.needs == "date" or column.name not in taken)
        and (column.date_patterns if wanted.needs == "date" else column.rows)
        and (wanted.needs != "number" or len(column.numbers[0]))
    ]
    best = max(found, key=lambda match: match.named, default=None)
    if best is None or best.named < matching.SURE:
        return None
    # What is measured, counted or dated here is never below zero.
    below = [text for text in words().unknown_numbers if text.startswith("-")]
    stand_ins = tuple(text for text in below if text in best.column.counts)
    return replace(best, column=best.column.without(stand_ins), stand_ins=stand_ins)


def _units_of(
    target: Target, way: Way, parts: Sequence[Profile]
) -> tuple[list[str], str, tuple[str, ...]]:
    """The units of the columns a way combines: those named, else the only ones that can be."""
    combination = COMBINATIONS[way.by]
    allowed = [units.comparable(combination.unit_of(place)) for place in range(len(parts))]
    told = [_named_unit(part, names) for part, names in zip(parts, allowed, strict=True)]
    if all(told):
        return [unit for unit in told if unit], "Units: as the names say.", ()
    tried = itertools.product(
        *([unit] if unit else names for unit, names in zip(told, allowed, strict=True))
    )
    possible = [list(pair) for pair in tried if _share(target, way, parts, pair) >= ENOUGH]
    if len(possible) == 1:
        said = " and ".join(possible[0])
        return possible[0], f"Units: no others than {said} are possible.", ()
    waiting = "units: of " + " and ".join(repr(part.name) for part in parts)
    return [unit or OPEN for unit in told], "Several units are possible.", (waiting,)


def _share(target: Target, way: Way, parts: Sequence[Profile], pair: Sequence[str]) -> float:
    """The share of middling patients for whom a way would give an answer, in some units."""
    combination = COMBINATIONS[way.by]
    inputs = []
    for place, (part, unit) in enumerate(zip(parts, pair, strict=True)):
        numbers, counts = part.numbers
        rate = units.rate(unit, combination.unit_of(place)) or 1.0
        order = np.argsort(numbers)
        levels = np.cumsum(counts[order]) / counts.sum()
        middle = numbers[order][np.searchsorted(levels, np.linspace(0.2, 0.8, 7))] * rate
        usual = words().ingredients[way.of[place]].middling
        if usual and not usual[0] <= float(np.median(middle)) <= usual[1]:
            return 0.0
        inputs.append(middle)
    made = combination.function(*inputs)
    if target.holds != "number":
        return 1.0
    low, high = target.bounds
    return float(np.mean((made >= low) & (made <= high)))


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
    waiting = (
        (*line.open, "decimal: both marks stand in this column") if mark == OPEN else line.open
    )
    return DraftLine(
        line.name, {**line.keys, "decimal": mark}, line.confidence, line.reasons, waiting
    )


def _dates(
    lines: Sequence[DraftLine], columns: Mapping[str, Profile], known: Mapping[str, Target]
) -> tuple[str, list[DraftLine]]:
    """How dates are written: for the file when its columns can agree, else "?"."""
    of = [
        columns[name].date_patterns
        for line in lines
        for name in _sources(line)
        if known[line.name].holds != "text" and columns[name].date_patterns
    ]
    written = [patterns for patterns in of if "" not in patterns]
    common = [p for p in (written[0] if written else ()) if all(p in ps for ps in written)]
    if not written:
        return "", list(lines)
    return (common[0] if len(common) == 1 else OPEN), list(lines)


def _repeated(lines: Sequence[DraftLine], columns: Mapping[str, Profile]) -> str:
    by_name = {line.name: line for line in lines}
    source = by_name[PATIENT_ID].keys.get("column", "") if PATIENT_ID in by_name else ""
    repeated = bool(source) and any(count > 1 for count in columns[source].known.values())
    return OPEN if repeated and INDEX_DATE in by_name else "refuse"
