"""The words hospitals use, from `aliases.toml`, and how two ways of writing one are compared."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field

from spinecast.knowledge.declared import Declared, Interval, Names

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "²": "2"})


class Way(Declared):
    """A way to make a column from ingredients; `unit` is that of the bands."""

    by: str
    of: Names
    unit: str = ""


class Codes(Declared):
    """What codes of a classification mean among our levels, "?" where they leave a choice."""

    source: str
    mark: Literal["found", "derived", "recalled", "assumption"]
    codes: dict[str, str]


class Alias(Declared):
    """What a column and its levels are called elsewhere."""

    names: Names
    levels: dict[str, Names] = Field(default={})
    bands: dict[str, Interval] = Field(default={})
    band_unit: str = ""
    ways: Annotated[tuple[Way, ...], Field(strict=False)] = ()
    prefixes: Codes | None = None


class Ingredient(Declared):
    """Something no column of ours holds, but from which one is made."""

    names: Names
    needs: Literal["number", "date", "yes_no"]
    middling: Interval | None = None


class Words(Declared):
    """All of `aliases.toml`."""

    unknown: Names
    unknown_numbers: Names
    yes: Names
    no: Names
    followup: Names
    before: Names
    beforehand: Names
    columns: Mapping[str, Alias]
    ingredients: Mapping[str, Ingredient]


@cache
def words() -> Words:
    """The words that come with spinecast."""
    text = resources.files("spinecast.site").joinpath("aliases.toml").read_text(encoding="utf-8")
    return Words.model_validate(tomllib.loads(text))


@cache
def plain(text: str) -> str:
    """A name or word as it is compared: small letters, ae for ä, blanks between its parts."""
    apart = re.sub(r"(?<=[a-zäöüß])(?=[A-ZÄÖÜ])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", text)
    folded = apart.casefold().translate(_UMLAUTS)
    ascii_only = unicodedata.normalize("NFKD", folded).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9<>%]+", " ", ascii_only).strip()


def looks_postoperative(name: str) -> bool:
    """Whether a column's name says that it was filled in with or after the operation."""
    told = plain(name)
    return _fits(told, words().followup) and not _fits(told, words().before)


def _fits(told: str, patterns: Names) -> bool:
    return any(re.search(pattern, told) for pattern in patterns)
