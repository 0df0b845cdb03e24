"""A registry in another language: the same facts, other strings.

A translation is a file `translations/LANGUAGE.toml` beside the registry's own, with the same names
and keys. It is no fact: it changes neither the registry's fingerprint nor a model. It holds only
for the English it was made of; where a registry says something else, its own words are shown.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from spinecast.knowledge.declared import Declared
from spinecast.knowledge.factors import Factor, Registry
from spinecast.knowledge.loading import PACKAGED, TRANSLATIONS, load_registry
from spinecast.language import BASE

# How a string without a translation is shown; a test puts marks around it.
MISSING = "{}"

Record = TypeVar("Record", bound=Declared)
Say = Callable[[str, str], str]
Pairs = Mapping[str, tuple[str, str]]


def in_language(registry: Registry, language: str) -> Registry:
    """The registry with its strings in a language; itself in its own.

    Args:
        registry: any registry; its names, numbers, rules, sources and fingerprint stay.
        language: as "de". A string without a translation stays as it is.
    """
    if language == registry.language:
        return registry
    known = _known(registry, language)

    def say(path: str, text: str) -> str:
        source, said = known.get(path, ("", ""))
        return said if source == text else MISSING.format(text)

    return _said(registry, "", language, say)


def languages(registry: Registry) -> tuple[str, ...]:
    """The languages a registry can be shown in: those in which it knows its own condition."""
    folders = (registry.folder / TRANSLATIONS, PACKAGED / TRANSLATIONS)
    found = sorted({file.stem for folder in folders for file in folder.glob("*.toml")})
    own = ("condition", registry.condition)
    told = [
        language for language in found if _known(registry, language).get(own[0], ("",))[0] == own[1]
    ]
    return (BASE, *told)


def texts(registry: Registry) -> dict[str, str]:
    """Every string of a registry that can be translated, by its path: "factors.age.label"."""
    found: dict[str, str] = {}

    def note(path: str, text: str) -> str:
        found[path] = text
        return text

    _said(registry, "", registry.language, note)
    return found


def translations(folder: Path, language: str) -> dict[str, str]:
    """The strings of a registry folder's translation, by path; none where there is no file."""
    file = folder / TRANSLATIONS / f"{language}.toml"
    if not file.is_file():
        return {}
    return dict(_leaves(tomllib.loads(file.read_text(encoding="utf-8")), ""))


def _known(registry: Registry, language: str) -> Pairs:
    """The translations that may hold for a registry: ours, and those of its own folder."""
    ours = _packaged(language)
    if registry.folder == PACKAGED:
        return ours
    return {**ours, **_pairs(registry, registry.folder, language)}


@cache
def _packaged(language: str) -> Pairs:
    return _pairs(load_registry(), PACKAGED, language)


def _pairs(registry: Registry, folder: Path, language: str) -> Pairs:
    """What each string is, and what it is in the language, where a folder has a translation."""
    told = translations(folder, language)
    own = texts(registry) if told else {}
    return {path: (own[path], said) for path, said in told.items() if path in own}


def _leaves(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _said(part: Record, path: str, language: str, say: Say) -> Record:
    """A record and all records in it, with every string for people as `say` has it."""
    fields: dict[str, Any] = {name: getattr(part, name) for name in type(part).model_fields}
    if isinstance(part, Factor):
        fields |= _spoken(part)
    for name, value in fields.items():
        here = f"{path}{name}"
        if name in part.TEXTS:
            fields[name] = _each(value, here, say)
        elif isinstance(value, Declared):
            fields[name] = _said(value, f"{here}.", language, say)
        elif isinstance(value, tuple) and value and isinstance(value[0], Declared):
            fields[name] = tuple(
                _said(one, f"{here}.{getattr(one, 'name', at)}.", language, say)
                for at, one in enumerate(value)
            )
        elif isinstance(value, dict):
            fields[name] = {
                key: _said(one, f"{here}.{key}.", language, say)
                if isinstance(one, Declared)
                else one
                for key, one in value.items()
            }
    if "language" in fields:
        fields["language"] = language
    # Not `model_copy`: it would take along what was worked out of the strings as they were.
    return cast("Record", type(part).model_construct(**fields))


def _spoken(factor: Factor) -> dict[str, Any]:
    """What English makes of names and units by itself, as strings that can be translated."""
    labels = {
        level: factor.in_plain_words(code)
        for level, code in factor.level_codes.items()
        if level in factor.level_labels or factor.kind != "binary"
    }
    return {"level_labels": labels, "unit_one": factor.unit_one or factor.unit.removesuffix("s")}


def _each(value: str | dict[str, str], path: str, say: Say) -> str | dict[str, str]:
    if isinstance(value, dict):
        return {key: say(f"{path}.{key}", text) for key, text in value.items()}
    return say(path, value) if value else value
