"""Sheets laid out in columns of text. Nothing is told by colour alone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spinecast.language import BASE, Words, words
from spinecast.showing.glyphs import Glyphs
from spinecast.showing.sheet import Measure, Sheet, cited

# Below this a label is torn apart: it gets a line of its own, and its bar the next.
NARROW_LABEL = 12


@dataclass(frozen=True, slots=True)
class Paper:
    """Lays sheets out in columns of text."""

    width: int
    colour: bool
    glyphs: Glyphs
    language: str = BASE

    @property
    def said(self) -> Words:
        """The words of its language."""
        return words(self.language)

    # --- several patients ---

    def summary(self, sheets: Sequence[Sheet]) -> Iterator[str]:
        """One line per patient; the banner first, if any of them needs it."""
        for banner in dict.fromkeys(sheet.banner for sheet in sheets if sheet.banner):
            yield from self._banner(banner)
        yield from self._heading(self.said("heading.summary"))
        columns = ("patient", "risk_of_100", "interval", "largest")
        rows = [
            tuple(self.said(f"heading.{name}") for name in columns),
            *(sheet.row for sheet in sheets),
        ]
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
        for line in self._wrap(self.glyphs.say(sheet.answer), self.width):
            yield self._bold(line)
        yield from self._refusals(sheet) if sheet.is_refused else self._answer(sheet)
        yield ""
        yield from self._paragraph(sheet.model)

    def _refusals(self, sheet: Sheet) -> Iterator[str]:
        yield from self._list("refused", (refusal.words for refusal in sheet.refusals))
        yield from self._paragraph(sheet.remedy)
        if sheet.rely:
            yield from self._list("rely", sheet.rely)

    def _answer(self, sheet: Sheet) -> Iterator[str]:
        yield from self._paragraph(sheet.headline)
        yield ""
        yield from self._measures(sheet.measures)
        yield ""
        yield from self._paragraph(sheet.past)
        yield from self._list("rely", sheet.rely)
        yield from self._heading(self.said("heading.bars"))
        yield from self._bars(sheet)
        yield ""
        yield from self._paragraph(sheet.lowering)
        yield from self._paragraph(sheet.association)
        yield from self._reasons(sheet)
        yield from self._unknown(sheet)
        yield from self._list(
            "actions",
            (
                f"{do.label}: {do.sentence}{cited(do.sources, self.language)}"
                for do in sheet.actions
            ),
        )
        yield from self._paragraph(sheet.actions_note)
        if sheet.sources:
            yield from self._heading(self.said("heading.sources"))
            for number, source in enumerate(sheet.sources, 1):
                yield from self._hanging(f"[{number}] ", source)

    def _reasons(self, sheet: Sheet) -> Iterator[str]:
        if sheet.whys:
            yield from self._heading(self.said("heading.whys"))
        for why in sheet.whys:
            yield from self._bullet(f"{why.words} ({why.shown})")
            for line in (why.sentence, f"{why.origin}{cited(why.sources, self.language)}"):
                yield from self._paragraph(line, indent="  ")

    def _unknown(self, sheet: Sheet) -> Iterator[str]:
        if not sheet.asks:
            return
        yield from self._list("asks", (f"{ask.label}: {ask.words}" for ask in sheet.asks))
        if sheet.also_unknown:
            yield from self._bullet(self.said("sheet.also_unknown", labels=sheet.also_unknown))

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
        for measure, told in zip(measures, numbers, strict=True):
            cells = list(self._cells(0, measure.tenths, 0, 1000, room, self.glyphs.total))
            cells += self.glyphs.empty * (room - len(cells))
            if measure.low is not None and measure.high is not None:
                cells[min(measure.low * room // 1000, room - 1)] = self.glyphs.low
                cells[min(measure.high * room // 1000, room - 1)] = self.glyphs.high
            yield from self._bar_line(measure.label, told, "".join(cells), label, number)

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

    def _list(self, heading: str, lines: Iterable[str]) -> Iterator[str]:
        yield from self._heading(self.said(f"heading.{heading}"))
        for line in lines:
            yield from self._bullet(line)

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
