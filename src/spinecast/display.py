"""Show assessments: text for a terminal, a page for a browser or paper, a fragment for a notebook.

Nothing is computed, rounded or worded here beyond headings: a `Sheet` says it all, and this module
lays it out, so that no two forms can disagree. Nothing is told by colour alone.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from spinecast.assessment import Assessment
from spinecast.sheet import Bar, Measure, Refusal, Sheet
from spinecast.wording import sheet_of

# Headings, in the order of reading; text and page share them.
HEADINGS: Mapping[str, str] = {
    "refused": "Why there is no answer",
    "bars": "From the reference patient to this one, in points (patients of 100)",
    "whys": "The main reasons",
    "sides": "What speaks for a higher or a lower risk",
    "asks": "Not known, most worth asking first",
    "rely": "Can I rely on this?",
    "actions": "What can be done before surgery",
    "sources": "Sources",
    "summary": "Patients",
}
SUMMARY = ("Patient", "Risk of 100", "Interval", "Largest reason")
NONE_OF_SIZE = "no known answer of any size"
NARROWEST = 40
# Below this a label is torn apart: it gets a line of its own, and its bar the next.
NARROW_LABEL = 12


def as_text(
    assessment: Assessment | Sequence[Assessment],
    *,
    width: int = 88,
    colour: bool = False,
    ascii_only: bool = False,
    source_names: Mapping[str, str] | None = None,
    outcome: str | None = None,
) -> str:
    """Assessments for a terminal.

    Args:
        assessment: One record, or several: then a table of all comes first.
        width: Columns to fill, at least 40.
        colour: Whether to set headings in bold and the banner in reverse (ANSI codes). They say
            nothing that the words do not.
        ascii_only: For a stream that is not UTF-8.
        source_names: How each source is cited.
        outcome: What the patients "have", to end the first sentence with.

    Returns:
        Text that ends with a line break.
    """
    paper = _Paper(max(width, NARROWEST), colour=colour, glyphs=ASCII if ascii_only else UNICODE)
    sheets = _sheets(assessment, source_names, outcome)
    lines: list[str] = []
    if not isinstance(assessment, Assessment):
        lines += [*paper.summary(sheets), ""]
    for sheet in sheets:
        lines += [*paper.record(sheet), ""]
    return "\n".join(lines[:-1]) + "\n"


def as_html(
    assessment: Assessment | Sequence[Assessment],
    *,
    source_names: Mapping[str, str] | None = None,
    outcome: str | None = None,
) -> str:
    """Assessments as one self-contained page: no script, nothing fetched, fit for print and grey.

    Args:
        assessment: One record, or several: then a table of all comes first.
        source_names: How each source is cited.
        outcome: What the patients "have", to end the first sentence with.
    """
    sheets = _sheets(assessment, source_names, outcome)
    several = not isinstance(assessment, Assessment)
    return _page("assessment_page.html", sheets, several=several)


def as_fragment(
    assessment: Assessment,
    *,
    source_names: Mapping[str, str] | None = None,
    outcome: str | None = None,
) -> str:
    """One assessment as a piece of HTML for a notebook; its styles touch nothing else."""
    sheets = _sheets(assessment, source_names, outcome)
    return _page("assessment_fragment.html", sheets, several=False)


def _sheets(
    assessment: Assessment | Sequence[Assessment],
    source_names: Mapping[str, str] | None,
    outcome: str | None,
) -> list[Sheet]:
    if isinstance(assessment, Assessment):
        return [sheet_of(assessment, source_names=source_names, outcome=outcome)]
    return [
        sheet_of(one, source_names=source_names, outcome=outcome, name=f"Patient {number}")
        for number, one in enumerate(assessment, 1)
    ]


def _row(sheet: Sheet) -> tuple[str, str, str, str]:
    """A patient's row among several: who, risk of 100, interval, and the largest reason."""
    if sheet.is_refused:
        return sheet.patient, "refused", "", "for the reasons below"
    return sheet.patient, sheet.risk, sheet.interval, sheet.whys[0].words if sheet.whys else ""


def _refusal(refusal: Refusal) -> str:
    return f"{refusal.about}: {refusal.message}" if refusal.about else refusal.message


def _cited(numbers: Sequence[int]) -> str:
    return "".join(f" [{number}]" for number in numbers)


# --- HTML ----------------------------------------------------------------------------------------


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("spinecast"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["headings"] = HEADINGS
    environment.globals["columns"] = SUMMARY
    environment.globals["none_of_size"] = NONE_OF_SIZE
    environment.filters["cited"] = _cited
    environment.filters["refusal"] = _refusal
    return environment


def _page(template: str, sheets: Sequence[Sheet], *, several: bool) -> str:
    title = f"Risk before surgery: {len(sheets)} patients" if several else sheets[0].title
    rows = [_row(sheet) for sheet in sheets] if several else []
    return _templates().get_template(template).render(sheets=sheets, rows=rows, title=title)


# --- text ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What bars and rules are drawn with; raising and lowering differ in shape, not in colour."""

    total: str
    raises: str
    lowers: str
    low: str
    high: str
    empty: str
    rule: str
    bullet: str
    ascii_only: bool = False

    def say(self, words: str) -> str:
        """Words in what the stream can carry."""
        if not self.ascii_only:
            return words
        spelt = unicodedata.normalize("NFKD", words.translate(SPELT))
        base = "".join(letter for letter in spelt if not unicodedata.combining(letter))
        return base.encode("ascii", "replace").decode("ascii")

    def of(self, bar: Bar) -> str:
        """The mark a bar is drawn with."""
        return self.lowers if bar.kind == "lowers" else getattr(self, bar.kind, self.empty)


# Signs that have no ASCII letter at their heart, spelt.
SPELT = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{MIDDLE DOT}": "-",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{GREATER-THAN OR EQUAL TO}": ">=",
        "\N{LESS-THAN OR EQUAL TO}": "<=",
        "\N{PLUS-MINUS SIGN}": "+/-",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{MICRO SIGN}": "u",
        "\N{DEGREE SIGN}": " degrees",
        "\N{LATIN SMALL LETTER SHARP S}": "ss",
        "\N{LATIN SMALL LETTER O WITH STROKE}": "o",
        "\N{LATIN CAPITAL LETTER O WITH STROKE}": "O",
        "\N{LATIN SMALL LETTER AE}": "ae",
        "\N{LATIN CAPITAL LETTER AE}": "AE",
    }
)
UNICODE = Glyphs("█", "▓", "░", "├", "┤", "·", "─", "•")
ASCII = Glyphs("=", "+", "-", "[", "]", ".", "-", "*", ascii_only=True)


@dataclass(frozen=True, slots=True)
class _Paper:
    """Lays sheets out in columns of text."""

    width: int
    colour: bool
    glyphs: Glyphs

    # --- several patients ---

    def summary(self, sheets: Sequence[Sheet]) -> Iterator[str]:
        """One line per patient; the banner first, if any of them needs it."""
        for banner in dict.fromkeys(sheet.banner for sheet in sheets if sheet.banner):
            yield from self._banner(banner)
        yield from self._heading(HEADINGS["summary"])
        rows = [SUMMARY, *map(_row, sheets)]
        said = [tuple(self.glyphs.say(cell) for cell in row) for row in rows]
        reach = [min(max(len(row[i]) for row in said), self.width // 4) for i in range(3)]
        for row in said:
            yield from self._table_line(row, reach)

    def _table_line(self, row: Sequence[str], reach: Sequence[int]) -> Iterator[str]:
        """Cells wrapped side by side; the last one takes what is left."""
        widths = [*reach, max(self.width - sum(reach) - 6, 12)]
        cells = [self._wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
        for index in range(max(map(len, cells))):
            parts = [
                (cell[index] if index < len(cell) else "").ljust(width)
                for cell, width in zip(cells, widths, strict=True)
            ]
            yield "  ".join(parts).rstrip()

    # --- one patient ---

    def record(self, sheet: Sheet) -> Iterator[str]:
        """Everything about one patient."""
        yield from self._title(sheet.title)
        if sheet.banner:
            yield from self._banner(sheet.banner)
            yield ""
        yield from self._paragraph(sheet.headline)
        yield from self._refusals(sheet) if sheet.is_refused else self._answer(sheet)
        yield ""
        yield from self._paragraph(sheet.model)

    def _refusals(self, sheet: Sheet) -> Iterator[str]:
        yield from self._heading(HEADINGS["refused"])
        for refusal in sheet.refusals:
            yield from self._bullet(_refusal(refusal))
        yield from self._paragraph(sheet.remedy)
        if sheet.rely:
            yield from self._heading(HEADINGS["rely"])
            for line in sheet.rely:
                yield from self._bullet(line)

    def _answer(self, sheet: Sheet) -> Iterator[str]:
        yield ""
        yield from self._measures(sheet.measures)
        yield ""
        yield from self._paragraph(sheet.past)
        if sheet.first:
            yield from self._paragraph(sheet.first)
        yield from self._heading(HEADINGS["bars"])
        yield from self._bars(sheet)
        yield ""
        yield from self._paragraph(sheet.association)
        yield from self._reasons(sheet)
        yield from self._unknown(sheet)
        yield from self._heading(HEADINGS["rely"])
        for line in sheet.rely:
            yield from self._bullet(line)
        yield from self._heading(HEADINGS["actions"])
        for action in sheet.actions:
            yield from self._bullet(f"{action.label}: {action.sentence}{_cited(action.sources)}")
        yield from self._paragraph(sheet.actions_note)
        if sheet.sources:
            yield from self._heading(HEADINGS["sources"])
            for number, source in enumerate(sheet.sources, 1):
                yield from self._hanging(f"[{number}] ", source)

    def _reasons(self, sheet: Sheet) -> Iterator[str]:
        if sheet.whys:
            yield from self._heading(HEADINGS["whys"])
        for why in sheet.whys:
            yield from self._bullet(f"{why.words} ({why.shown})")
            for line in (why.sentence, f"{why.origin}{_cited(why.sources)}"):
                yield from self._paragraph(line, indent="  ")
        yield from self._heading(HEADINGS["sides"])
        for side, named in (("Higher", sheet.higher), ("Lower", sheet.lower)):
            yield from self._bullet(f"{side}: {'; '.join(named) or NONE_OF_SIZE}.")

    def _unknown(self, sheet: Sheet) -> Iterator[str]:
        if not sheet.asks:
            return
        yield from self._heading(HEADINGS["asks"])
        for ask in sheet.asks:
            yield from self._bullet(f"{ask.label}: not known. If it were, {ask.could_be}.")
            if ask.expected:
                yield from self._paragraph(f"Expected meanwhile: {ask.expected}.", indent="  ")
        if sheet.also_unknown:
            yield from self._bullet(f"Also not known, moving it less: {sheet.also_unknown}.")

    # --- bars ---

    def _columns(self, labels: Sequence[str], numbers: Sequence[str]) -> tuple[int, int, int]:
        """Widths of labels, numbers and bars; no labels where a bar needs a line of its own."""
        number = max(len(self.glyphs.say(words)) for words in numbers)
        label = max(len(self.glyphs.say(words)) for words in labels)
        label = min(label, (self.width - number - 4) * 3 // 5)
        if label < NARROW_LABEL:
            return 0, 0, self.width - 4
        return label, number, self.width - label - number - 4

    def _measures(self, measures: Sequence[Measure]) -> Iterator[str]:
        """Risks beside each other on a scale of 0 to 100."""
        numbers = [f"{m.risk} ({m.interval})" if m.interval else m.risk for m in measures]
        label, number, room = self._columns([m.label for m in measures], numbers)
        for measure, words in zip(measures, numbers, strict=True):
            cells = list(self._cells(0, measure.tenths, 0, 1000, room, self.glyphs.total))
            cells += self.glyphs.empty * (room - len(cells))
            if measure.low is not None and measure.high is not None:
                cells[min(measure.low * room // 1000, room - 1)] = self.glyphs.low
                cells[min(measure.high * room // 1000, room - 1)] = self.glyphs.high
            yield from self._bar_line(measure.label, words, "".join(cells), label, number)

    def _bars(self, sheet: Sheet) -> Iterator[str]:
        """The waterfall: each bar starts where the one above it ended."""
        label, number, room = self._columns(
            [bar.words for bar in sheet.bars], [bar.shown for bar in sheet.bars]
        )
        low, high = sheet.span
        for bar in sheet.bars:
            drawn = self._cells(bar.start, bar.end, low, high, room, self.glyphs.of(bar))
            yield from self._bar_line(bar.words, bar.shown, drawn, label, number)

    @staticmethod
    def _cells(start: int, end: int, low: int, high: int, room: int, mark: str) -> str:
        """A bar from `start` to `end`; anything but nothing takes at least one cell."""
        if start == end:
            return ""
        first, last = (
            round((at - low) * room / (high - low)) for at in (min(start, end), max(start, end))
        )
        first = min(first, room - 1)
        return " " * first + mark * max(last - first, 1)

    def _bar_line(self, words: str, shown: str, bar: str, label: int, number: int) -> Iterator[str]:
        say = self.glyphs.say(shown)
        if not label:
            yield from self._paragraph(f"{words}: {shown}", indent="  ")
            yield f"    {bar}".rstrip()
            return
        first, *more = self._wrap(self.glyphs.say(words), label) or [""]
        yield f"  {first.ljust(label)} {say.rjust(number)} {bar}".rstrip()
        yield from (f"    {line}" for line in more)

    # --- words ---

    def _wrap(self, words: str, width: int) -> list[str]:
        return textwrap.wrap(words, width, break_on_hyphens=False)

    def _paragraph(self, words: str, indent: str = "") -> Iterator[str]:
        yield from self._hanging(indent, words, again=indent)

    def _bullet(self, words: str) -> Iterator[str]:
        yield from self._hanging(f"{self.glyphs.bullet} ", words)

    def _hanging(self, mark: str, words: str, again: str | None = None) -> Iterator[str]:
        indent = " " * len(mark) if again is None else again
        lines = self._wrap(self.glyphs.say(words), self.width - len(mark))
        for index, line in enumerate(lines):
            yield f"{mark if index == 0 else indent}{line}"

    def _heading(self, words: str) -> Iterator[str]:
        yield ""
        for line in self._wrap(self.glyphs.say(words), self.width):
            yield self._bold(line)

    def _title(self, words: str) -> Iterator[str]:
        for line in self._wrap(self.glyphs.say(words), self.width):
            yield self._bold(line)
        yield self.glyphs.rule * self.width

    def _banner(self, words: str) -> Iterator[str]:
        """Words that must not be missed, whatever the terminal can do."""
        for line in self._wrap(self.glyphs.say(words), self.width - 6):
            told = f"!! {line.ljust(self.width - 6)} !!"
            yield f"\x1b[7m{told}\x1b[0m" if self.colour else told

    def _bold(self, line: str) -> str:
        return f"\x1b[1m{line}\x1b[0m" if self.colour else line
