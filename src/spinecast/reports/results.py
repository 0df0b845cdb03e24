"""The sections of a report on patients: what became of the rows, and who the patients are.

The ids of the sections are those that the checklists point to.
"""

from __future__ import annotations

from collections.abc import Iterator

from spinecast.disclosure import FEWEST
from spinecast.drawing.canvas import MINUS
from spinecast.judging.characteristics import Cell, Characteristic
from spinecast.judging.flow import ANY_RULE
from spinecast.reports.evidence import Evidence
from spinecast.reports.parts import Section, Table

KEPT_BACK = "kept back"
PAIR = 2
"""Of so many levels one says what the other has."""


def patients(found: Evidence) -> Iterator[Section]:
    """Flow and characteristics."""
    described = found.described
    yield Section("flow", "Flow of patients", (described.in_words,), (_flow(found),))
    both = (
        "Of a yes or no the yes is shown, of any two levels the second; data.json has both. "
        "Where nothing is unknown there is no row for it."
    )
    yield Section(
        "participants",
        "Who they are",
        (described.characteristics_method, both),
        (_characteristics(found),),
    )


def _flow(found: Evidence) -> Table:
    rows = found.described.flow
    return Table(
        "table-flow",
        "From rows of the file to patients learned from",
        ("Step", "Patients"),
        (
            ("Rows read", f"{rows.rows_read:,}"),
            ("Rejected", f"{rows.rejected:,}"),
            *(
                (f"Rejected by: {rule}", _count(count))
                for rule, count in rows.rejected_by_rule.items()
                if rule != ANY_RULE
            ),
            ("Accepted", f"{rows.accepted:,}"),
            ("Outcome known", f"{rows.outcome_known:,}"),
            ("Lost to follow-up", f"{rows.lost:,}"),
        ),
        "Counted while the file was read; a row may break several rules.",
        "data.json#/flow",
    )


def _characteristics(found: Evidence) -> Table:
    """All patients and those with and without the outcome; unknown answers beside."""
    described = found.described
    columns = tuple(described.characteristics[0].known) if described.characteristics else ()
    rows: list[tuple[str, ...]] = []
    for one in described.characteristics:
        rows.extend(_rows(one, columns))
    return Table(
        "table-characteristics",
        "Characteristics by outcome",
        ("Factor", *(column.replace("_", " ").capitalize() for column in columns)),
        tuple(rows),
        "Numbers by median and quartiles, levels by counts and shares of all patients of the "
        f"column. Counts of 1 to {FEWEST - 1} patients are kept back.",
        "data.json#/characteristics",
    )


def _rows(one: Characteristic, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    unit = f" ({one.unit})" if one.unit else ""
    if one.quartiles is not None:
        cells = tuple(
            KEPT_BACK
            if q is None
            else f"{q.median:.4g} ({q.low:.4g} to {q.high:.4g})".replace("-", MINUS)
            for q in (one.quartiles[column] for column in columns)
        )
        yield (f"{one.label}{unit}, median (quartiles)", *cells)
    levels = list(one.levels.items())
    for level, by in levels[-1:] if len(levels) == PAIR else levels:
        yield (f"{one.label}: {level}", *(_cell(by[column]) for column in columns))
    if any(one.unknown[column].patients != 0 for column in columns):
        yield (f"{one.label}: unknown", *(_cell(one.unknown[column]) for column in columns))


def _cell(cell: Cell) -> str:
    if cell.patients is None:
        return KEPT_BACK
    return f"{cell.patients:,}" + ("" if cell.share is None else f" ({cell.share:.0%})")


def _count(count: int | None) -> str:
    return f"fewer than {FEWEST}" if count is None else f"{count:,}"
