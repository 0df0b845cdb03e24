"""Table 1: the patients by outcome and by site, beside what is published of such patients."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spinecast.disclosure import FEWEST
from spinecast.files import write_text
from spinecast.judging.characteristics import (
    ALL,
    COLUMNS,
    Cell,
    Characteristic,
    Groups,
    Quartiles,
    by_outcome,
    characteristics_of,
)
from spinecast.judging.published import Published, published
from spinecast.knowledge.factors import Factor, Registry
from spinecast.logic import FloatArray

MOST_SITES = 12  # more columns than this are read by nobody
KEPT_BACK = "*"
INDENT = "  "
OUTCOMES = {
    ALL: "All",
    COLUMNS[0]: "Failed",
    COLUMNS[1]: "Did not fail",
    COLUMNS[2]: "Outcome not known",
}
NOTE = (
    "Numbers: median (quartiles); levels: patients (share of the column, the not known included). "
    "Published: the registry's distributions, mixed in this cohort's proportions of the factor "
    "they are declared by; the not known are not in them."
)
HIDDEN = f"{KEPT_BACK} kept back: 1 to {FEWEST - 1} patients, or what would give such a count away."


@dataclass(frozen=True, slots=True)
class FirstTable:
    """A table of text: what is described, then a cell per column.

    Attributes:
        heads: of the columns, the first of what is described.
        rows: one per number, level or count of the not known.
        note: how to read it.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str

    def to_frame(self) -> pd.DataFrame:
        """As a table for other programs."""
        return pd.DataFrame(self.rows, columns=list(self.heads), dtype="str")

    def to_markdown(self) -> str:
        """As a Markdown table with its note."""
        lines = [self.heads, tuple("---" for _ in self.heads), *map(_indented, self.rows)]
        cells = ([cell.replace("|", "\\|").replace("*", "\\*") for cell in line] for line in lines)
        table = "\n".join(f"| {' | '.join(line)} |" for line in cells)
        return f"{table}\n\n{self.note.replace('*', chr(92) + '*')}\n"

    def to_html(self) -> str:
        """As a page that stands alone."""
        heads = "".join(f"<th scope=col>{html.escape(head)}</th>" for head in self.heads)
        rows = "\n".join(
            f"<tr><th scope=row>{html.escape(row[0]).replace(INDENT, '&emsp;')}</th>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        return _PAGE.format(heads=heads, rows=rows, note=html.escape(self.note))


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Table 1</title>
<style>
body {{ font: 15px/1.4 sans-serif; margin: 2em; color: #111; background: #fff }}
table {{ border-collapse: collapse }}
th, td {{ padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd }}
th[scope=row], th:first-child {{ text-align: left; font-weight: normal }}
thead th {{ border-bottom: 2px solid #111 }}
</style>
<table>
<caption>Table 1</caption>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>{note}</p>
</html>
"""


def first_table(
    registry: Registry,
    codes: FloatArray,
    failed: FloatArray,
    site: NDArray[np.object_],
    *,
    keep_back: bool,
    in_brief: bool = False,
) -> FirstTable:
    """The patients of a cohort, factor by factor.

    Args:
        registry: whose factors these are, and what is published of them.
        codes: (n, F), NaN unknown.
        failed: 1, 0 or NaN not known, (n,).
        site: where each was operated, "" unknown, (n,).
        keep_back: whether small counts are kept back, as in any table that leaves the building.
        in_brief: without sites and without those whose outcome is not known, as wide as a screen.
    """
    groups = [by_outcome(failed, keep_back=keep_back)]
    groups += [] if in_brief else _sites(site, keep_back=keep_back)
    blocks = [characteristics_of(registry, codes, one) for one in groups]
    shown = [(ALL,), *(_with_patients(one)[: 2 if in_brief else None] for one in groups)]
    sizes = [_size(len(codes), keep_back=keep_back)]
    sizes += [
        _size(int((one.of == one.names.index(name)).sum()), keep_back=keep_back)
        for one, names in zip(groups, shown[1:], strict=True)
        for name in names
    ]
    names = [OUTCOMES.get(name, name) for part in shown for name in part]
    rows = [("Patients", *sizes, "")]
    for told, *parts in zip(published(registry, codes), *blocks, strict=True):
        rows += _rows(told, parts, shown)
    hidden = any(KEPT_BACK in row for row in rows)
    return FirstTable(
        ("", *names, "Published"), tuple(rows), f"{NOTE} {HIDDEN}" if hidden else NOTE
    )


def _sites(site: NDArray[np.object_], *, keep_back: bool) -> Iterator[Groups]:
    """The sites, when there are several and not too many."""
    names, of = np.unique(site.astype(str), return_inverse=True)
    if 1 < len(names) <= MOST_SITES:
        words = tuple(str(name) or "Site not known" for name in names)
        yield Groups(words, of.reshape(-1).astype(np.intp), keep_back)


def _with_patients(groups: Groups) -> tuple[str, ...]:
    """The groups that have anybody in them."""
    return tuple(name for at, name in enumerate(groups.names) if (groups.of == at).any())


def _size(patients: int, *, keep_back: bool) -> str:
    return KEPT_BACK if keep_back and 0 < patients < FEWEST else f"{patients:,}"


def _rows(
    told: Published, parts: Sequence[Characteristic], shown: Sequence[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """The rows of one factor: all patients first, then each block of groups."""
    blocks = list(zip([parts[0], *parts], shown, strict=True))
    factor = told.factor
    if factor.is_numeric:
        cells = [
            _quartiles(part.quartiles[name] if part.quartiles else None, part.known[name])
            for part, names in blocks
            for name in names
        ]
        yield (_label(factor), *cells, _published_quartiles(told))
    else:
        yield (factor.label, *("" for _, names in blocks for _ in names), "")
        for place, words in enumerate(parts[0].levels):
            cells = _cells([part.levels[words] for part in parts], shown)
            yield (INDENT + words, *cells, _share(told, place))
    if any(cell.patients != 0 for cell in parts[0].unknown.values()):
        cells = _cells([part.unknown for part in parts], shown)
        yield (f"{INDENT}not known", *cells, "")


def _cells(blocks: Sequence[Mapping[str, Cell]], shown: Sequence[tuple[str, ...]]) -> list[str]:
    """All patients, then each block of groups.

    How many there are of all is told only where every block may tell it: one that keeps it back
    does so because it would give a small count of its own away.
    """
    everyone = [_cell(block[ALL]) for block in blocks]
    groups = [
        _cell(block[name]) for block, names in zip(blocks, shown[1:], strict=True) for name in names
    ]
    return [KEPT_BACK if KEPT_BACK in everyone else everyone[0], *groups]


def _label(factor: Factor) -> str:
    return f"{factor.label} ({factor.unit})" if factor.unit else factor.label


def _cell(cell: Cell) -> str:
    if cell.patients is None or cell.share is None:
        return KEPT_BACK if cell.patients is None else f"{cell.patients:,}"
    return f"{cell.patients:,} ({cell.share:.0%})"


def _quartiles(told: Quartiles | None, known: Cell) -> str:
    if told is None:
        return "-" if known.patients == 0 else KEPT_BACK
    return f"{told.median:.3g} ({told.low:.3g} to {told.high:.3g})"


def _share(told: Published, place: int) -> str:
    return f"{told.shares[place]:.0%}" if told.factor.is_described else ""


def _published_quartiles(told: Published) -> str:
    low, median, high = (told.quantile(level) for level in (0.25, 0.5, 0.75))
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def _indented(row: tuple[str, ...]) -> tuple[str, ...]:
    """Markdown drops leading spaces."""
    return (row[0].replace(INDENT, "&emsp;"), *row[1:])


_TEXTS: Mapping[str, Callable[[FirstTable], str]] = {
    ".csv": lambda table: table.to_frame().to_csv(index=False, lineterminator="\n"),
    ".html": FirstTable.to_html,
    ".md": FirstTable.to_markdown,
}
ENDINGS = tuple(_TEXTS)


def write_first_table(table: FirstTable, path: Path) -> None:
    """Write the table as CSV, HTML or Markdown by its ending, whole or not at all."""
    write_text(path, _TEXTS[path.suffix.lower()](table))
