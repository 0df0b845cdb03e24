"""The signs text is drawn with, and what becomes of letters where a stream carries only ASCII."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from spinecast.showing.sheet import Bar


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
