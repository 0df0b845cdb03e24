"""The strings of the pages, and which language a request is answered in."""

from __future__ import annotations

from collections.abc import Sequence

from spinecast.language import BASE, Words
from spinecast.language import words as words_of

PACKAGE = "spinecast.web"


def words(language: str) -> Words:
    """The strings of the pages in a language; English where there is no such file."""
    return words_of(language, PACKAGE)


def wanted(asked: str, accepted: str, spoken: Sequence[str]) -> str:
    """The language of a request: what it asks for, else the first it accepts, else English.

    Args:
        asked: of the address or the form, `lang=de`; "" when absent.
        accepted: the header Accept-Language.
        spoken: the languages there are.
    """
    ranked = sorted(
        (_preference(part) for part in accepted.split(",") if part.strip()), key=lambda p: -p[0]
    )
    for name in (asked.strip().lower(), *(name for _, name in ranked)):
        if name.split("-")[0] in spoken:
            return name.split("-")[0]
    return BASE


def _preference(part: str) -> tuple[float, str]:
    name, _, quality = part.partition(";q=")
    try:
        return float(quality or 1), name.strip().lower()
    except ValueError:
        return 0.0, name.strip().lower()
