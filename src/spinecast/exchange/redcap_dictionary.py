"""The registry as a REDCap data dictionary: what a hospital uploads to have its forms made.

Two forms, one for before surgery and one for the follow-up, so that they can be given to two events
of a longitudinal project or stand in one. Everything that has levels is a radio button with `not
known` as one of its answers; a number or a date that is not known is left empty.

Codes are stable: yes/no is 1 and 0 as REDCap has it, levels that are numbers (ASA 1 to 4) are coded
by themselves, other levels count from 1 in the registry's order, not known is 999. A hidden field
carries a mark of all codes, so that an export under other codes is refused and not misread.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spinecast.knowledge.endpoint import OutcomeColumn
from spinecast.knowledge.factors import Factor, Registry
from spinecast.logic import YES_NO
from spinecast.patients.answers import INDEX_DATE
from spinecast.patients.patient import PATIENT_ID, SITE

COLUMNS = (
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
)
BEFORE, AFTER = "before_surgery", "follow_up"
NOT_KNOWN, NOT_KNOWN_CODE = "not known", "999"
MARK = "spinecast_codes"
PATIENT_LABEL = "Patient (a pseudonym, not the hospital's number)"
EMPTY_IF_UNKNOWN = "Leave empty when not known."


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of the dictionary.

    Attributes:
        name: of the column.
        form: one of the two forms.
        label: what is asked; it is the heading of an export with labels, so it stands once.
        choices: words a file may hold by code; none for a number, a date or text.
        spoken: what each code is called on the form.
        kind: REDCap's validation, "" for choices and free text.
        bounds: lowest and highest number, "" without.
        section: heading above the field, "" for none.
        note: below the field.
        is_identifier: whether REDCap should treat it as protected.
        is_required: whether the form asks for it.
        annotation: REDCap's action tags.
    """

    name: str
    form: str
    label: str
    choices: Mapping[str, str]
    spoken: Mapping[str, str]
    kind: str = ""
    bounds: tuple[str, str] = ("", "")
    section: str = ""
    note: str = ""
    is_identifier: bool = False
    is_required: bool = False
    annotation: str = ""


def dictionary_csv(registry: Registry) -> str:
    """The data dictionary as REDCap imports it: CSV with its 18 columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(_row, entries(registry)))
    return text.getvalue()


def entries(registry: Registry) -> tuple[Entry, ...]:
    """Every field, in the order of the forms; the patient's id first, as REDCap wants it."""
    fields = (*_patient(registry), *_scope(registry), *_factors(registry), *_followup(registry))
    return *fields, _mark(fields)


def codes_mark(fields: tuple[Entry, ...]) -> str:
    """A short mark of all codes: another dictionary has another one."""
    told = "\n".join(f"{e.name} {code} {word}" for e in fields for code, word in e.choices.items())
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def level_codes(levels: tuple[str, ...]) -> dict[str, str]:
    """The code of each level: itself where it is a whole number, else the next that is free."""
    taken = {level for level in levels if level.isascii() and level.isdigit()}
    free = (str(n) for n in range(1, len(levels) + len(taken) + 1) if str(n) not in taken)
    return {(level if level in taken else next(free)): level for level in levels}


# --- the fields ----------------------------------------------------------------------------------


def _patient(registry: Registry) -> Iterator[Entry]:
    yield Entry(PATIENT_ID, BEFORE, PATIENT_LABEL, {}, {})
    yield Entry(SITE, BEFORE, "Hospital or centre", {}, {})
    yield Entry(
        INDEX_DATE,
        BEFORE,
        f"Day of {registry.operation}",
        {},
        {},
        kind="date_ymd",
        note=EMPTY_IF_UNKNOWN,
        is_identifier=True,
    )


def _scope(registry: Registry) -> Iterator[Entry]:
    for at, exclusion in enumerate(registry.exclusions):
        yield _yes_no(
            exclusion.name,
            BEFORE,
            exclusion.question,
            section="" if at else "Is the patient in scope?",
            note=exclusion.reason,
        )


def _factors(registry: Registry) -> Iterator[Entry]:
    for domain, title in registry.domains.items():
        own = [factor for factor in registry.factors if factor.domain == domain]
        for at, factor in enumerate(own):
            yield _factor(factor, "" if at else title)


def _factor(factor: Factor, section: str) -> Entry:
    if factor.kind == "binary":
        return _yes_no(
            factor.name,
            BEFORE,
            factor.question,
            section=section,
            note=factor.definition,
            is_required=factor.required,
        )
    if not factor.is_numeric:
        choices = level_codes(factor.levels)
        spoken = {
            code: factor.in_plain_words(factor.level_codes[level])
            for code, level in choices.items()
        }
        return Entry(
            factor.name,
            BEFORE,
            factor.question,
            choices,
            spoken,
            section=section,
            note=factor.definition,
            is_required=factor.required,
        )
    low, high = factor.bounds
    unit = f"In {factor.unit}. " if factor.unit else ""
    return Entry(
        factor.name,
        BEFORE,
        factor.question,
        {},
        {},
        kind="integer" if factor.kind == "count" else "number",
        bounds=(f"{low:g}", f"{high:g}"),
        section=section,
        note=f"{unit}{factor.definition} {EMPTY_IF_UNKNOWN}",
        is_required=factor.required,
    )


def _followup(registry: Registry) -> Iterator[Entry]:
    for column in registry.outcome.columns:
        yield _outcome(column)


def _outcome(column: OutcomeColumn) -> Entry:
    unit = f"In {column.unit}. " if column.unit else ""
    match column.kind:
        case "yes_no":
            return _yes_no(column.name, AFTER, column.label)
        case "date":
            return Entry(
                column.name,
                AFTER,
                column.label,
                {},
                {},
                kind="date_ymd",
                note=EMPTY_IF_UNKNOWN,
                is_identifier=True,
            )
        case "number":
            bounds = (f"{column.range[0]:g}", f"{column.range[1]:g}") if column.range else ("", "")
            return Entry(
                column.name,
                AFTER,
                column.label,
                {},
                {},
                kind="number",
                bounds=bounds,
                note=unit + EMPTY_IF_UNKNOWN,
            )


def _yes_no(
    name: str,
    form: str,
    label: str,
    *,
    section: str = "",
    note: str = "",
    is_required: bool = False,
) -> Entry:
    choices = {str(int(code)): word for word, code in list(YES_NO.items())[::-1]}
    return Entry(
        name,
        form,
        label,
        choices,
        choices,
        section=section,
        note=note,
        is_required=is_required,
    )


def _mark(fields: tuple[Entry, ...]) -> Entry:
    tags = f"@HIDDEN @READONLY @DEFAULT='{codes_mark(fields)}'"
    label = "Codes of this dictionary (filled in by itself)"
    return Entry(MARK, BEFORE, label, {}, {}, annotation=tags)


def _row(entry: Entry) -> tuple[str, ...]:
    """An entry as a line of the dictionary."""
    choices = {**entry.spoken, NOT_KNOWN_CODE: NOT_KNOWN} if entry.choices else {}
    said = " | ".join(f"{code}, {_choice(words)}" for code, words in choices.items())
    return (
        entry.name,
        entry.form,
        entry.section,
        "radio" if choices else "text",
        entry.label,
        said,
        " ".join(entry.note.split()),
        entry.kind,
        *entry.bounds,
        "y" if entry.is_identifier else "",
        "",
        "y" if entry.is_required else "",
        "",
        "",
        "",
        "",
        entry.annotation,
    )


def _choice(words: str) -> str:
    """A choice without the bar that would end it."""
    return words.replace("|", "/")
