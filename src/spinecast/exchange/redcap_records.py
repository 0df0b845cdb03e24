"""A REDCap export read as a cohort: codes or labels to words, checkboxes to one, events to a row.

An export of the registry's own dictionary (`redcap_dictionary`) is known by the status of one of
its forms (`before_surgery_complete`), or by its labels as headings. Only then are codes read, by
that dictionary; nothing is guessed of anybody else's codes. What contradicts itself (two ticks, two
events with different answers) is put side by side into the cell, so that it is rejected there and
says what was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from spinecast.errors import DataRefused, Problem
from spinecast.exchange.redcap_dictionary import (
    AFTER,
    BEFORE,
    MARK,
    NOT_KNOWN,
    NOT_KNOWN_CODE,
    PATIENT_LABEL,
    Entry,
    codes_mark,
    entries,
)
from spinecast.knowledge.factors import Registry
from spinecast.patients.answers import UNKNOWN_WORDS
from spinecast.patients.patient import PATIENT_ID, SITE

COMPLETE = tuple(f"{form}_complete" for form in (BEFORE, AFTER))
EVENT, GROUP, RECORD = "redcap_event_name", "redcap_data_access_group", "record_id"
# What REDCap adds by itself: raw names, and what an export with labels calls them.
_ADDED = {
    "Event Name": EVENT,
    "Repeat Instrument": "redcap_repeat_instrument",
    "Repeat Instance": "redcap_repeat_instance",
    "Data Access Group": GROUP,
    "Survey Identifier": "redcap_survey_identifier",
    "Record ID": RECORD,
}
_DROPPED = re.compile(r"redcap_\w+|\w+_(complete|timestamp)|(Complete\?|Survey Timestamp)( .*)?")
_SIGNS = frozenset({EVENT, "Event Name", *COMPLETE, "Complete?", PATIENT_LABEL})
_TICK = re.compile(r"(?P<name>\w+?)___(?P<code>.*)", re.DOTALL)
_TICK_LABEL = re.compile(r"(?P<name>.*) \(choice=(?P<code>.*)\)", re.DOTALL)
TICKED = frozenset({"1", "checked"})
AND = " and "


@dataclass(frozen=True)
class AsCohort:
    """A table in the registry's own names and words, and how it was made.

    `remarks` is empty where the table was no REDCap export: then it is the table that was given.
    """

    table: pd.DataFrame
    remarks: tuple[str, ...] = ()


def is_export(columns: Iterable[str]) -> bool:
    """Whether columns of these names may come from REDCap; a glance is all another file costs."""
    return any(_is_sign(name) for name in columns)


def refuse_in_parts(columns: Iterable[str], name: str) -> None:
    """Refuse an export of this name that is read in parts.

    Raises:
        DataRefused: it is one.
    """
    if is_export(columns):
        given = "it is an export from REDCap, in parts"
        allowed = "the rows of a patient are joined in one file"
        problem = Problem(name, given, allowed, "Give it as one .csv file.")
        raise DataRefused("The rows of this export cannot be joined", [problem])


def as_cohort(table: pd.DataFrame, registry: Registry) -> AsCohort:
    """Read a table of text as a REDCap export, if it is one.

    Args:
        table: text throughout, as `tables.read_table` gives it; the index holds row numbers.
        registry: whose dictionary the project was made from.

    Returns:
        The patients in one row each, under the number of the first row each stood in.

    Raises:
        DataRefused: it was exported from a dictionary with other codes, or nobody can be told from
            anybody else.
    """
    if not is_export(map(str, table.columns)):
        return AsCohort(table)
    fields = entries(registry)
    named, headed = _named(table, fields)
    is_ours = headed or any(name in named for name in COMPLETE)
    if not is_ours and EVENT not in named:
        return AsCohort(table)
    if is_ours:
        _check_mark(named, codes_mark(fields[:-1]))
        named = _worded(_ticks_joined(named, fields), fields)
    merged, differing = _one_row_each(named)
    told = [_told(is_ours=is_ours)]
    if len(merged) < len(named):
        told.append(
            f"{len(named):,} rows of events were joined to those of {len(merged):,} people."
        )
    if differing:
        each = ", ".join(f"{column} ({count:,})" for column, count in differing.items())
        told.append(
            f"Events answer differently, in so many patients: {each}. Export only the event before "
            f"{registry.operation} and the one of the follow-up ({registry.horizon})."
        )
    own = {entry.name for entry in fields} - {MARK}
    added = [name for name in merged.columns if name not in own and _is_added(str(name))]
    return AsCohort(merged.drop(columns=added), tuple(told))


def _is_sign(name: str) -> bool:
    return name in _SIGNS


def _is_added(name: str) -> bool:
    """Whether REDCap adds this column, or the dictionary keeps it for itself."""
    return name == MARK or _DROPPED.fullmatch(name) is not None


def _told(*, is_ours: bool) -> str:
    if is_ours:
        return "Read as a REDCap export, by the codes and labels of this registry's dictionary."
    return (
        "Read as a REDCap export of another dictionary: events were joined; codes are as they "
        "stand."
    )


# --- headings ------------------------------------------------------------------------------------


def _named(table: pd.DataFrame, fields: Iterable[Entry]) -> tuple[pd.DataFrame, bool]:
    """The table under raw names, and whether its headings were our labels."""
    by_label = {_plain(entry.label): entry.name for entry in fields}
    renamed: dict[str, str] = {}
    for heading in map(str, table.columns):
        tick = _TICK_LABEL.fullmatch(heading)
        if heading in _ADDED:
            renamed[heading] = _ADDED[heading]
        elif _plain(heading) in by_label:
            renamed[heading] = by_label[_plain(heading)]
        elif tick and _plain(tick["name"]) in by_label:
            renamed[heading] = f"{by_label[_plain(tick['name'])]}___{tick['code']}"
    headed = any(heading not in _ADDED for heading in renamed)
    named = table.rename(columns=renamed)
    if PATIENT_ID not in named and RECORD in named:
        named = named.rename(columns={RECORD: PATIENT_ID})
    if SITE not in named and GROUP in named:
        named = named.rename(columns={GROUP: SITE})
    return named, headed


def _plain(text: str) -> str:
    """Words as they survive REDCap's own cleaning."""
    return " ".join(text.split()).casefold()


def _check_mark(table: pd.DataFrame, mark: str) -> None:
    """Codes of another dictionary may mean anything; they are not read."""
    if MARK not in table:
        return
    others = sorted(set(table[MARK].str.strip()) - {mark, ""})
    if others:
        raise DataRefused(
            "The codes of this export cannot be read",
            [
                Problem(
                    MARK,
                    f"given {', '.join(others)[:60]}",
                    f"this registry's dictionary has {mark}",
                    "Name the registry the REDCap project was made from (--registry), or export "
                    "labels instead of codes and drop this column.",
                )
            ],
        )


# --- cells ---------------------------------------------------------------------------------------


def _worded(table: pd.DataFrame, fields: Iterable[Entry]) -> pd.DataFrame:
    """Codes and labels of every choice as the registry's words; anything else as it stands."""
    worded = table.copy()
    for entry in fields:
        if entry.choices and entry.name in table:
            worded[entry.name] = _replaced(table[entry.name], _words(entry))
    return worded


def _words(entry: Entry) -> dict[str, str]:
    """The registry's word for every code and label; none for what is both and means two things."""
    said = {_plain(spoken): entry.choices[code] for code, spoken in entry.spoken.items()}
    coded = {**entry.choices, NOT_KNOWN: "", NOT_KNOWN_CODE: ""}
    both = said | coded
    return {text: word for text, word in both.items() if said.get(text, word) == word}


def _replaced(column: pd.Series[str], words: Mapping[str, str]) -> pd.Series[str]:
    distinct = {text: words.get(_plain(text), text) for text in column.unique()}
    return column.map(distinct).astype("str")


def _ticks_joined(table: pd.DataFrame, fields: Iterable[Entry]) -> pd.DataFrame:
    """Checkbox columns `name___code` as one column of the answers that are ticked.

    A box that is not ticked is no answer: it may have been passed over, so it is never read as no.
    """
    known = {entry.name: entry for entry in fields}
    ticks: dict[str, list[tuple[str, str]]] = {}
    for column in map(str, table.columns):
        tick = _TICK.fullmatch(column)
        if tick and tick["name"] in known and tick["name"] not in table:
            ticks.setdefault(tick["name"], []).append((column, tick["code"]))
    joined = table.drop(columns=[column for pairs in ticks.values() for column, _ in pairs])
    for name, pairs in ticks.items():
        joined[name] = _ticked(table, pairs)
    return joined


def _ticked(table: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> pd.Series[str]:
    """The codes ticked in each row, side by side when there are several."""
    answer = pd.Series("", index=table.index, dtype="str")
    for column, code in pairs:
        is_ticked = table[column].str.strip().str.casefold().isin(TICKED)
        before = answer[is_ticked]
        answer[is_ticked] = before.where(before == "", before + AND) + code
    return answer


# --- rows ----------------------------------------------------------------------------------------


def _one_row_each(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows of a patient as one; answers that differ between them stand side by side.

    Returns:
        The patients, and in how many of them a column's answers differ.
    """
    if EVENT not in table and "redcap_repeat_instance" not in table:
        return table, {}
    if PATIENT_ID not in table:
        given = f"the export has no column {PATIENT_ID} or {RECORD}"
        problem = Problem(PATIENT_ID, given, "rows of a patient are joined by it", "Export it too.")
        raise DataRefused("The rows of this export cannot be joined", [problem])
    names = table[PATIENT_ID].str.strip()
    # Rows without an id are nobody's, and are rejected one by one.
    nobody = names.str.casefold().isin(UNKNOWN_WORDS)
    rows = pd.Series([f"\0{row}" for row in table.index], index=table.index, dtype="str")
    own = names.where(~nobody, rows)
    first = ~own.duplicated()
    if first.all():
        return table, {}
    merged, differing = table[first].copy(), dict[str, int]()
    place = pd.Series(range(len(merged)), index=own[first])
    for column in map(str, table.columns):
        if column != PATIENT_ID and not column.startswith("redcap_"):
            merged[column], several = _joined(table[column], own, place)
            differing |= {column: several} if several else {}
    return merged, {name: n for name, n in differing.items() if not _is_added(name)}


def _joined(
    column: pd.Series[str], own: pd.Series[str], place: pd.Series[int]
) -> tuple[list[str], int]:
    """The one answer of each patient to one question, and how many have several."""
    cells = [""] * len(place)
    given = column.str.strip()
    is_known = ~given.str.casefold().isin(UNKNOWN_WORDS)
    told = pd.DataFrame({"who": own, "cell": given})[is_known].drop_duplicates()
    for at, cell in zip(told["who"].map(place), told["cell"], strict=True):
        cells[at] = f"{cells[at]}{AND}{cell}" if cells[at] else cell
    return cells, int(told["who"][told["who"].duplicated()].nunique())
