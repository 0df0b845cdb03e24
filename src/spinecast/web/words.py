"""Every string of the pages, by a short name, in each language there is a file for.

A string that a language lacks is shown in English between marks: a test and a reader see it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

BASE = "en"
MISSING = "⟦{}⟧"


@dataclass(frozen=True)
class Words:
    """The strings of one language; call it with a name, and with what stands in the braces."""

    language: str
    strings: Mapping[str, str]

    def __call__(self, name: str, **values: object) -> str:
        """The string of a name.

        Raises:
            KeyError: no language has a string of that name.
        """
        text = self.strings.get(name)
        if text is None:
            text = MISSING.format(words(BASE).strings[name])
        return text.format(**values) if values else text


@cache
def languages() -> tuple[str, ...]:
    """The languages there is a file for, English first."""
    files = resources.files("spinecast.web").joinpath("text").iterdir()
    found = sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))
    return (BASE, *(name for name in found if name != BASE))


@cache
def words(language: str) -> Words:
    """The strings of a language; English where there is no such file."""
    language = language if language in languages() else BASE
    text = resources.files("spinecast.web").joinpath("text", f"{language}.toml").read_text("utf-8")
    strings = {
        f"{table}.{name}": value
        for table, names in tomllib.loads(text).items()
        for name, value in names.items()
    }
    return Words(language, strings)


def wanted(asked: str, accepted: str) -> str:
    """The language of a request: what it asks for, else the first it accepts, else English.

    Args:
        asked: of the address, `?lang=de`; "" when absent.
        accepted: the header Accept-Language.
    """
    ranked = sorted(
        (_preference(part) for part in accepted.split(",") if part.strip()), key=lambda p: -p[0]
    )
    for name in (asked.strip().lower(), *(name for _, name in ranked)):
        if name.split("-")[0] in languages():
            return name.split("-")[0]
    return BASE


def _preference(part: str) -> tuple[float, str]:
    name, _, quality = part.partition(";q=")
    try:
        return float(quality or 1), name.strip().lower()
    except ValueError:
        return 0.0, name.strip().lower()
