"""From a folder of TOML files to a checked registry.

Reading stops at nothing: every problem of every file is reported at once, then the registry is
refused. A registry that loads is complete and free of contradictions. A folder that says `over` is
laid over another registry first (see `knowledge.overlay`) and then read as one.
"""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import Field

from spinecast.errors import Problem, UsageRefused
from spinecast.knowledge.consistency import contradictions, contradictions_of
from spinecast.knowledge.declared import Declared, record
from spinecast.knowledge.endpoint import OutcomeSpec
from spinecast.knowledge.evidence import FoundingDocument, Mechanism, Source
from spinecast.knowledge.factors import Correlation, Factor, Registry
from spinecast.knowledge.overlay import OVER, lay
from spinecast.knowledge.simulation import Simulation
from spinecast.knowledge.toml_text import toml_text

PACKAGED = Path(__file__).parents[1] / "registry"
OURS = "spinecast"
FACTORS = "factors/"
# Strings in other languages: no facts, so no part of what a registry is known by.
TRANSLATIONS = "translations"

Table: TypeAlias = Mapping[str, Any]
Tables: TypeAlias = Mapping[str, Table]
Record = TypeVar("Record", bound=Declared)

_OPTIONAL = frozenset(
    f"{name}.toml" for name in ("population", "simulation", "mechanisms", "sources", "documents")
)
# What follows from where a table stands, and would be said twice if it were also written in it.
_DERIVED = {
    "name": "a record is named by its table",
    "domain": "the domain of a factor is the name of its file",
    "mechanisms": "a factor leads to the mechanisms whose drivers name it, in mechanisms.toml",
}


class _Population(Declared):
    """population.toml: how the factors go together among candidates."""

    stratum: str | None = None
    correlations: Annotated[tuple[Correlation, ...], Field(strict=False)] = ()


@dataclass(frozen=True)
class _Folder:
    """A registry as read: its tables by file, and its text where no folder holds it as a whole."""

    tables: dict[str, Table]
    names: frozenset[str]
    sha256: str
    files: Mapping[str, str]


def load_registry(folder: Path | None = None) -> Registry:
    """Read a registry folder; the packaged one when none is named.

    A folder whose registry.toml says `over = "spinecast"` (or names another folder, seen from
    there) is laid over that registry: the result is one registry, and knows what was done.

    Raises:
        UsageRefused: with every problem of every file, when anything is missing or contradictory.
    """
    return _loaded(Path(folder or PACKAGED), ())


def _loaded(folder: Path, above: tuple[Path, ...]) -> Registry:
    _is_registry(folder)
    problems: list[Problem] = []
    read = _read(folder, above, problems)
    registry = _build(read, folder, problems)
    if registry is not None and not problems:
        problems.extend(contradictions(registry))
    if registry is None or problems:
        raise UsageRefused(f"The registry in {folder} cannot be used", problems)
    return registry


def _read(folder: Path, above: tuple[Path, ...], problems: list[Problem]) -> _Folder:
    """The tables of a folder, or of it and the one it is laid over together."""
    own = _read_folder(folder, problems)
    names = frozenset(path.relative_to(folder).as_posix() for path in registry_files(folder))
    if OVER not in own.get("registry", {}):
        return _Folder(_completed(own), names, fingerprint(folder), {})
    below = _below(folder, own["registry"][OVER], (*above, folder.resolve()))
    under = _read(below.folder, (), [])
    tables, found = lay(under.tables, {k: dict(v) for k, v in own.items()}, below.id)
    problems.extend(found)
    files = {f"{name}.toml": toml_text(table) for name, table in tables.items()}
    pairs = ((name, files[name].encode()) for name in sorted(files))
    return _Folder(dict(tables), under.names | names, _digest(pairs), files)


def _completed(tables: Mapping[str, Table]) -> dict[str, Table]:
    """The tables with what need not be written, because it follows from what is.

    The domains are the files of factors, the outcome in use is the first that is defined, and it is
    judged at the registry's horizon.
    """
    head, outcome = tables.get("registry", {}), tables.get("outcome", {})
    files = (name.removeprefix(FACTORS) for name in sorted(tables) if name.startswith(FACTORS))
    follows: dict[str, dict[str, Any]] = {
        "registry": {"domains": {name: _title(name) for name in files}}
    }
    if isinstance(definitions := outcome.get("definitions"), Mapping):
        follows["outcome"] = {"default": next(iter(definitions), "")}
        follows["outcome"] |= {"horizon": head["horizon"]} if "horizon" in head else {}
    return dict(tables) | {
        name: {**table, **tables[name]} for name, table in follows.items() if name in tables
    }


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _below(folder: Path, over: object, above: tuple[Path, ...]) -> Registry:
    """The registry a folder is laid over, which has to load by itself."""
    where = "registry.toml over"
    allowed = f"{OURS!r}, or a registry folder seen from this one"
    if not isinstance(over, str):
        raise UsageRefused(
            f"The registry in {folder} cannot be used", [Problem(where, f"given {over!r}", allowed)]
        )
    target = PACKAGED if over == OURS else folder / over
    if target.resolve() in above:
        given = f"{over!r} leads back to {target.resolve().name}"
        problem = Problem(where, given, "a registry cannot lie over itself", "Name another.")
        raise UsageRefused(f"The registry in {folder} cannot be used", [problem])
    return _loaded(target, above)


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a registry's files."""
    return _digest(
        (path.relative_to(folder).as_posix(), path.read_bytes()) for path in registry_files(folder)
    )


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in files:
        # The length keeps two files from reading as one.
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def write_registry(registry: Registry, target: Path) -> None:
    """Write a registry's files into a folder, so that it stands alone: read there it is the same.

    Files are copied as they are, its translations too; one that was laid over another is written as
    a whole.
    """
    if not registry.files:
        for path in registry_files(registry.folder):
            copy = target / path.relative_to(registry.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    own = registry.folder / TRANSLATIONS
    if registry.folder != PACKAGED and own.is_dir():  # ours are at hand wherever the program is
        shutil.copytree(own, target / TRANSLATIONS, dirs_exist_ok=True)
    for name, text in registry.files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def registry_files(folder: Path) -> list[Path]:
    """The files that make up a registry, in a fixed order."""
    files = (path for path in folder.rglob("*.toml") if path.parent != folder / TRANSLATIONS)
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def _is_registry(folder: Path) -> None:
    if (folder / "registry.toml").is_file():
        return
    given = "no registry.toml in this folder" if folder.is_dir() else "no such folder"
    allowed = "a registry is a folder with registry.toml, factors/*.toml and outcome.toml"
    problem = Problem(str(folder), given, allowed, "Name one with --registry DIR.")
    raise UsageRefused("No registry found", [problem])


def _read_folder(folder: Path, problems: list[Problem]) -> dict[str, Table]:
    """Every TOML file of the folder that can be read, by its path without the ending."""
    tables: dict[str, Table] = {}
    for path in registry_files(folder):
        where = path.relative_to(folder)
        try:
            text = path.read_text(encoding="utf-8")
            tables[where.with_suffix("").as_posix()] = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            allowed = "the file must be TOML in UTF-8"
            problems.append(Problem(where.as_posix(), str(error), allowed, "Correct it there."))
    return tables


def _build(read: _Folder, folder: Path, problems: list[Problem]) -> Registry | None:
    """The records of all files; None (and problems) when one of them does not fit its schema."""
    tables = read.tables
    head = tables.get("registry", {})
    domains = head.get("domains", {})
    domains = domains if isinstance(domains, Mapping) else {}
    problems.extend(_files(read.names, domains))
    factors = [
        factor
        for domain in domains
        for factor in _named(Factor, f"factors/{domain}", tables, problems, domain=domain)
    ]
    for factor in factors:
        problems.extend(contradictions_of(factor))
    mechanisms = _named(Mechanism, "mechanisms", tables, problems)
    parts: dict[str, Any] = {
        "factors": tuple(_with_mechanisms(factor, mechanisms) for factor in factors),
        "mechanisms": tuple(mechanisms),
        "sources": tuple(_named(Source, "sources", tables, problems)),
        "documents": tuple(_named(FoundingDocument, "documents", tables, problems)),
        "folder": folder,
        "files": dict(read.files),
        "sha256": read.sha256,
    }
    for name, model in (("outcome", OutcomeSpec), ("simulation", Simulation)):
        parts[name] = _whole(model, name, tables, problems)
    population = _whole(_Population, "population", tables, problems) or _Population()
    parts |= {"stratum": population.stratum, "correlations": population.correlations}
    problems.extend(
        Problem(f"registry.toml {key}", "is declared here", "it comes from a file of its own")
        for key in sorted(head.keys() & parts.keys())
    )
    return _registry(head, parts, problems)


def _registry(head: Table, parts: Table, problems: list[Problem]) -> Registry | None:
    """The registry when every part of it fits; else only what is wrong with its head is added."""
    if not problems:
        return record(Registry, "registry.toml", {**head, **parts}, problems)
    if head:
        faults: list[Problem] = []
        record(Registry, "registry.toml", {**head, **parts}, faults)
        inherited = tuple(f"registry.toml {name}" for name in parts)
        problems.extend(fault for fault in faults if not fault.where.startswith(inherited))
    return None


def _files(found: frozenset[str], domains: Iterable[str]) -> Iterator[Problem]:
    """Files that should be there, and files that nobody would read."""
    needed = {"registry.toml", "outcome.toml", *(f"factors/{domain}.toml" for domain in domains)}
    for name in sorted(needed - found):
        yield Problem(name, "no such file", "a registry needs it", "Add the file, or its domain.")
    for name in sorted(found - needed - _OPTIONAL):
        remedy = "Add the domain to [domains] in registry.toml, or rename the file."
        allowed = "a registry has: " + ", ".join(sorted(needed | _OPTIONAL))
        yield Problem(name, "is not a file of this registry", allowed, remedy)


def _whole(
    model: type[Record], name: str, tables: Tables, problems: list[Problem]
) -> Record | None:
    """A file that is one record; an optional file that is absent declares nothing."""
    if name not in tables and f"{name}.toml" not in _OPTIONAL:
        return None
    return record(model, f"{name}.toml", tables.get(name, {}), problems)


def _named(
    model: type[Record], file: str, tables: Tables, problems: list[Problem], **given: str
) -> list[Record]:
    """A file of named tables, each a record."""
    records = []
    for name, table in tables.get(file, {}).items():
        where = f"{file}.toml [{name}]"
        if not isinstance(table, Mapping):
            remedy = f"Write [{name}] and the keys below it."
            problems.append(Problem(where, f"given {table!r}", "a table", remedy))
            continue
        problems.extend(
            Problem(f"{where} {key}", "is declared here", _DERIVED[key], "Remove the key.")
            for key in sorted(table.keys() & _DERIVED.keys())
        )
        own = {key: value for key, value in table.items() if key not in _DERIVED}
        if found := record(model, where, {**own, **given, "name": name}, problems):
            records.append(found)
    return records


def _with_mechanisms(factor: Factor, mechanisms: Iterable[Mechanism]) -> Factor:
    """The factor with the mechanisms that name it as a driver, those of the first year first."""
    driven = [m for m in mechanisms if factor.name in {driver.factor for driver in m.drivers}]
    driven.sort(key=lambda mechanism: not mechanism.within_horizon)
    return factor.model_copy(update={"mechanisms": tuple(mechanism.name for mechanism in driven)})
