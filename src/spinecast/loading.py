"""From a folder of TOML files to a checked registry.

Reading stops at nothing: every problem of every file is reported at once, then the registry is
refused. A registry that loads is complete and free of contradictions.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from spinecast.consistency import contradictions
from spinecast.errors import Problem, UsageRefused
from spinecast.factors import Declared, Factor, FoundingDocument, Mechanism, Registry, Source

PACKAGED = Path(__file__).parent / "registry"

Record = TypeVar("Record", bound=Declared)



def load_registry(folder: Path | None = None) -> Registry:
    """Read a registry folder; the packaged one when none is named.

    Raises:
        UsageRefused: with every problem of every file, when anything is missing or contradictory.
    """
    folder = Path(folder or PACKAGED)
    tables = _read_folder(folder)
    problems: list[Problem] = []
    registry = _build(tables, folder, problems)
    if registry is not None:
        problems.extend(contradictions(registry))
    if registry is None or problems:
        raise UsageRefused(f"The registry in {folder} cannot be used", problems)
    return registry


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a registry's files."""
    digest = hashlib.sha256()
    for path in registry_files(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def registry_files(folder: Path) -> list[Path]:
    """The files that make up a registry, in a fixed order."""
    return sorted(folder.rglob("*.toml"), key=lambda path: path.relative_to(folder).as_posix())


def _read_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """Every TOML file of the folder, parsed, by its path without the ending."""
    if not (folder / "registry.toml").is_file():
        raise UsageRefused(
            "No registry found",
            [
                Problem(
                    str(folder),
                    "no registry.toml in this folder",
                    "a registry is a folder with registry.toml, factors/*.toml and outcome.toml",
                    "Name one with --registry DIR.",
                )
            ],
        )
    tables, problems = {}, []
    for path in registry_files(folder):
        try:
            tables[path.relative_to(folder).with_suffix("").as_posix()] = tomllib.loads(
                path.read_text(encoding="utf-8")
            )
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(Problem(path.name, str(error), "the file must be TOML in UTF-8"))
    if problems:
        raise UsageRefused(f"The registry in {folder} cannot be read", problems)
    return tables


def _build(
    tables: Mapping[str, dict[str, Any]], folder: Path, problems: list[Problem]
) -> Registry | None:
    """The records of all files; None (and problems) when one of them does not fit its schema."""
    head = tables["registry"]
    population = tables.get("population", {})
    domains: dict[str, str] = head.get("domains", {})
    stray = {path.split("/")[1] for path in tables if path.startswith("factors/")} - domains.keys()
    problems.extend(
        Problem(f"factors/{domain}.toml", "is not a domain", "add it to [domains]")
        for domain in sorted(stray)
    )
    factors = [
        _record(Factor, f"factors/{domain}.toml", name, table | {"domain": domain}, problems)
        for domain in domains
        for name, table in tables.get(f"factors/{domain}", {}).items()
    ]
    named = {
        kind: [
            _record(model, f"{kind}.toml", name, table, problems)
            for name, table in tables.get(kind, {}).items()
        ]
        for kind, model in _NAMED.items()
    }
    if problems:
        return None
    return _validated(
        Registry,
        "registry.toml",
        head
        | named
        | population
        | {
            "factors": tuple(factors),
            "outcome": tables.get("outcome", {}),
            "simulation": tables.get("simulation", {}),
            "folder": folder,
            "sha256": fingerprint(folder),
        },
        problems,
    )


_NAMED: dict[str, type[Declared]] = {
    "mechanisms": Mechanism,
    "sources": Source,
    "documents": FoundingDocument,
}


def _record(
    model: type[Record],
    where: str,
    name: str,
    table: Mapping[str, Any],
    problems: list[Problem],
) -> Record | None:
    return _validated(model, f"{where} [{name}]", {"name": name, **table}, problems)


def _validated(
    model: type[Record], where: str, table: Mapping[str, Any], problems: list[Problem]
) -> Record | None:
    """The record, or None after noting everything the schema has against the table."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems.extend(schema_problems(where, error))
        return None


def schema_problems(where: str, error: ValidationError) -> Iterable[Problem]:
    """What pydantic found, as problems: the key's path, the value given, the rule."""
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"])
        given = "missing" if item["type"] == "missing" else f"given {str(item['input'])[:60]!r}"
        yield Problem(f"{where} {path}".rstrip(), given, item["msg"][:1].lower() + item["msg"][1:])
