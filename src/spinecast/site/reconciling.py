"""A site.toml held against the registry: everything in it that cannot be, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from spinecast.errors import Problem, UsageRefused
from spinecast.knowledge.factors import Registry
from spinecast.patients.answers import INDEX_DATE, Fault
from spinecast.patients.patient import PATIENT_ID, suggestion
from spinecast.site import dates, units
from spinecast.site.combinations import COMBINATIONS, Combination
from spinecast.site.declaration import ROW_NUMBER, Line, Site, parse_site
from spinecast.site.targets import Target, targets
from spinecast.site.words import looks_postoperative

PAIR = 2


def read_site(path: Path | str, registry: Registry) -> Site:
    """Read a site.toml that is ready for use with a registry.

    Raises:
        UsageRefused: with every mistake in it; or, when there is none, with every decision that a
            person still has to make.
    """
    site = parse_site(path)
    if mistakes := list(_mistakes(site, targets(registry))):
        raise UsageRefused(f"The mapping {path} cannot be used", mistakes)
    if decisions := list(site.open()):
        raise UsageRefused(f"The mapping {path} has open decisions", decisions)
    return site


def _mistakes(site: Site, known: Mapping[str, Target]) -> Iterator[Problem]:
    if PATIENT_ID not in site.columns:
        allowed = "it says who a row is about"
        remedy = f'Name the column; if each row is another patient, by = "{ROW_NUMBER}".'
        yield Problem(f"{site.name} [columns.{PATIENT_ID}]", "missing", allowed, remedy)
    yield from _form(site)
    for name, line in site.columns.items():
        where = f"{site.name} [columns.{name}]"
        if name not in known:
            allowed = "the registry has no such factor or column"
            close = suggestion(name, list(known)) or "`spinecast factors` lists them."
            yield Problem(where, "is not known", allowed, close)
            continue
        target = known[name]
        if name != PATIENT_ID or line != Line(by=ROW_NUMBER):
            yield from _sources(where, line)
        yield from _meaning(where, line, target)
        yield from _units(where, line, target)
        yield from _dates(where, line.dates)
        if target.side == "before":
            yield from _leaks(where, line, known)
    yield from _both_sides(site, known)


def _form(site: Site) -> Iterator[Problem]:
    yield from _dates(site.name, site.dates)
    if site.file.delimiter != "?" and len(site.file.delimiter) != 1:
        given = f"given {site.file.delimiter!r}"
        yield Problem(f"{site.name} [file] delimiter", given, "one character", 'As ";" or "\\t".')
    if site.repeated in ("first", "last") and INDEX_DATE not in site.columns:
        given = f"given {site.repeated!r} without [columns.{INDEX_DATE}]"
        allowed = "which row comes first is told by that date"
        yield Problem(f"{site.name} repeated", given, allowed, "Map the date.")


def _dates(where: str, pattern: str) -> Iterator[Problem]:
    if pattern not in ("", "?") and dates.parts(pattern) is None:
        yield Problem(f"{where} dates", f"given {pattern!r}", dates.ALLOWED, dates.REMEDY)


# --- from where -----------------------------------------------------------------------------------


def _sources(where: str, line: Line) -> Iterator[Problem]:
    given = [
        key for key in ("column", "columns", "constant") if getattr(line, key) not in (None, ())
    ]
    if len(given) != 1:
        said = " and ".join(given) or "none of them"
        allowed = "one of column, columns and constant says where it comes from"
        yield Problem(where, f"has {said}", allowed, "Keep the one that is meant.")
    elif line.columns and not line.by:
        given_columns = f"names {len(line.columns)} columns and no way to combine them"
        allowed = "two columns are one factor only by a named way: " + ", ".join(COMBINATIONS)
        yield Problem(where, given_columns, allowed, "Add by = ..., or keep one of the columns.")
    elif line.by and not line.columns:
        yield Problem(where, f"has by = {line.by!r} and no columns", "a way combines columns")
    elif line.by and line.by != "?":
        yield from _way(where, line)


def _way(where: str, line: Line) -> Iterator[Problem]:
    way = COMBINATIONS.get(line.by)
    if way is None:
        close = suggestion(line.by, list(COMBINATIONS))
        yield Problem(
            f"{where} by", f"given {line.by!r}", "allowed: " + ", ".join(COMBINATIONS), close
        )
        return
    needed = f"at least {PAIR}" if way.takes_many else str(len(way.needs))
    fits = len(line.columns) >= PAIR if way.takes_many else len(line.columns) == len(way.needs)
    if not fits:
        given = f"names {len(line.columns)}"
        yield Problem(f"{where} columns", given, f"{line.by!r} takes {needed}: {way.says}")


def _leaks(where: str, line: Line, known: Mapping[str, Target]) -> Iterator[Problem]:
    """Columns that hold what came afterwards, offered as something known beforehand."""
    for source in line.sources:
        later = source in known and known[source].side == "after"
        if (later or looks_postoperative(source)) and not line.before_surgery:
            allowed = "only what is known beforehand may enter a prediction"
            remedy = (
                "Its name says it was filled in afterwards: leave it out, or map it to "
                'an outcome column. If the name misleads, say before_surgery = "why".'
            )
            yield Problem(where, f"comes from {source!r}", allowed, remedy)


def _both_sides(site: Site, known: Mapping[str, Target]) -> Iterator[Problem]:
    """Columns used for a factor and for the outcome both."""
    uses: dict[str, dict[str, list[str]]] = {}
    for name, line in site.columns.items():
        for source in line.sources if name in known else ():
            uses.setdefault(source, {}).setdefault(known[name].side, []).append(name)
    for source, sides in uses.items():
        if "before" in sides and "after" in sides and "patient" not in sides:
            given = f"is used for {', '.join(sides['before'] + sides['after'])}"
            allowed = "a column is either known beforehand or part of the outcome"
            remedy = "Otherwise the model is told what it is asked. Map it to one of them."
            yield Problem(f"{site.name} column {source!r}", given, allowed, remedy)


# --- what it means --------------------------------------------------------------------------------


def _meaning(where: str, line: Line, target: Target) -> Iterator[Problem]:
    own = target.levels if target.holds == "level" else ()
    words = ("no", "yes") if "yes_no" in _way_of(line).needs else own
    named = {
        "levels": line.levels.values(),
        "prefixes": line.prefixes.values(),
        "bands": line.bands,
    }
    for key, levels in named.items():
        allowed = own if key == "bands" else words
        if levels and not allowed:
            yield Problem(
                f"{where} {key}", "is given", f"{target.name} has no levels", "Remove it."
            )
            continue
        for level in dict.fromkeys(levels):
            if level != "?" and level not in allowed:
                said = "allowed: " + ", ".join(allowed)
                close = suggestion(level, allowed)
                yield Problem(f"{where} {key}", f"given {level!r}", said, close)
    if sum(map(bool, (line.levels, line.prefixes, line.bands))) > 1 and not line.by:
        yield Problem(where, "has several of levels, prefixes, bands", "one of them says it")
    yield from _bands(where, line)
    yield from _constant(where, line, target)


def _bands(where: str, line: Line) -> Iterator[Problem]:
    ordered = sorted(line.bands.items(), key=lambda band: band[1])
    for level, (low, high) in ordered:
        if low >= high:
            yield Problem(f"{where} bands {level}", f"from {low:g} to {high:g}", "it must rise")
    for (first, (_, high)), (second, (low, _)) in pairwise(ordered):
        if low < high:
            given = f"{first} ends at {high:g} and {second} begins at {low:g}"
            yield Problem(f"{where} bands", given, "a number has one level")


def _constant(where: str, line: Line, target: Target) -> Iterator[Problem]:
    if line.constant not in (None, "?") and target.field is not None:
        found = target.field.of(line.constant)
        if isinstance(found, Fault):
            yield Problem(
                f"{where} constant", f"given {found.given!r}", found.allowed, found.remedy
            )


# --- in which unit --------------------------------------------------------------------------------


def _units(where: str, line: Line, target: Target) -> Iterator[Problem]:
    way = _way_of(line)
    # A unit that is none of those we convert may still be said, if it is the registry's own.
    if line.unit not in ("", "?", target.unit if way is NO_WAY else ""):
        yield from _unit(f"{where} unit", line.unit, _result_units(way, target))
    if line.units and len(line.units) != len(line.columns):
        given = f"{len(line.units)} for {len(line.columns)} columns"
        yield Problem(f"{where} units", given, "one for each column, in their order")
    for place, unit in enumerate(line.units[: len(line.columns)]):
        if unit != "?" and line.by in COMBINATIONS and (way.takes_many or place < len(way.needs)):
            yield from _unit(f"{where} units", unit, units.comparable(way.unit_of(place)))
    needed = [way.unit_of(place) for place in range(len(line.columns)) if way.unit_of(place)]
    if needed and not line.units:
        given, allowed = "missing", f"a unit for each column, as {', '.join(needed)}"
        yield Problem(f"{where} units", given, allowed, "No unit is ever guessed.")


def _result_units(way: Combination, target: Target) -> Iterable[str]:
    """The units the number may be in from which our column is made."""
    if target.holds == "level":
        return units.comparable(way.unit) if way.unit else ()
    return () if way.unit else units.choices(target.unit, target.bounds)


def _unit(where: str, given: str, allowed: Iterable[str]) -> Iterator[Problem]:
    names = tuple(allowed)
    if not names:
        yield Problem(where, f"given {given!r}", "no unit is needed here", "Remove it.")
    elif not any(units.same(given, name) for name in names):
        said = "allowed: " + ", ".join(names)
        yield Problem(where, f"given {given!r}", said, suggestion(given, names))


NO_WAY = Combination(lambda column: column, ("same",), gives="same")


def _way_of(line: Line) -> Combination:
    return COMBINATIONS.get(line.by, NO_WAY)
