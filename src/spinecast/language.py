"""Every sentence of the program by a short name, in each language there is a file for.

What a registry says is translated with the registry (`knowledge.translation`). What the program
itself says of a patient's record stands in `spinecast/text`, of the pages in `spinecast/web/text`.
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
RECORD = "spinecast"


@dataclass(frozen=True)
class Words:
    """The strings of one language; call it with a name, and with what stands in the braces.

    `package` is the package whose strings they are.
    """

    language: str
    strings: Mapping[str, str]
    package: str = RECORD

    def __call__(self, name: str, **values: object) -> str:
        """The string of a name.

        Raises:
            KeyError: no language has a string of that name.
        """
        text = self.strings.get(name)
        if text is None:
            text = MISSING.format(words(BASE, self.package).strings[name])
        return text.format(**values) if values else text

    def number(self, text: str) -> str:
        """A number written with a point, as this language writes it."""
        return (
            text
            if self.language == BASE
            else text.replace(".", words(self.language)("number.decimal"))
        )

    def count(self, number: int) -> str:
        """A whole number with its thousands set apart."""
        return f"{number:,}".replace(",", words(self.language)("number.group"))

    def percent(self, text: str) -> str:
        """A number written with a point, as per cent."""
        return words(self.language)("number.percent", number=self.number(text))

    def inside(self, label: str) -> str:
        """A label within a sentence: small letters, but where nouns keep their capitals."""
        return label if words(self.language)("number.labels") == "as they are" else label.lower()


@cache
def languages() -> tuple[str, ...]:
    """The languages the program speaks, English first."""
    files = resources.files(RECORD).joinpath("text").iterdir()
    found = sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))
    return (BASE, *(name for name in found if name != BASE))


@cache
def words(language: str, package: str = RECORD) -> Words:
    """The strings of a language; English where there is no such file."""
    language = language if language in languages() else BASE
    text = resources.files(package).joinpath("text", f"{language}.toml").read_text("utf-8")
    strings = {
        f"{table}.{name}": value
        for table, names in tomllib.loads(text).items()
        for name, value in names.items()
    }
    return Words(language, strings, package)
