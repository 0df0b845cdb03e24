"""A hospital's own registry laid over another: what it adds, changes and leaves out.

The folder's `registry.toml` says `over = "spinecast"` (or a folder, seen from this one) and gives
itself a `name` and a `version`. Beside that it holds only what differs:

- what it declares is added: factors, sources, mechanisms, outcome definitions and columns, scope
  questions, impossible combinations, correlations;
- `leave_out = [...]` names factors that the hospital does not use (see `leaving_out`);
- `change = [...]` names what is ours and declared anew: keys given take the place of ours, lists
  of tables (effects, drivers) are added to ours. Declaring a name of ours without saying so is
  refused, because two things of one name are more often an accident than a correction.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spinecast.errors import Problem
from spinecast.knowledge.leaving_out import Tables, only_cited, without

OVER, LEAVE_OUT, CHANGE, LAID = "over", "leave_out", "change", "laid"
_OWN_KEYS = frozenset({OVER, LEAVE_OUT, CHANGE})
# Lists of tables and the key that tells their entries apart; where there is none, both lists count.
_LISTED: Mapping[tuple[str, str], tuple[str, str]] = {
    ("registry", "exclusions"): ("name", "scope question"),
    ("registry", "impossible"): ("name", "impossible combination"),
    ("outcome", "columns"): ("name", "follow-up column"),
    ("simulation", "followup"): ("column", "simulated follow-up"),
    ("population", "correlations"): ("pair", "correlation of"),
}
_JOINED = frozenset({("simulation", "departures"), ("simulation", "lost_more")})
_NAMED: Mapping[str, str] = {
    "mechanisms": "mechanism",
    "sources": "source",
    "documents": "founding document",
}
_TABLES: Mapping[tuple[str, str], str] = {
    ("outcome", "definitions"): "definition",
    ("outcome", "quantities"): "quantity",
}


@dataclass
class _Laying:
    """One folder being laid over another: the result so far, and what is to be said of it."""

    change: frozenset[str]
    problems: list[Problem]
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def entry(self, ours: Any, own: Any, name: str, kind: str, where: str) -> Any:  # noqa: ANN401
        """What stands under a name that only we have, only they have, or both."""
        if ours is None:
            self.added += [f"{kind} {name}"] if kind != "source" else []
            return own
        if name not in self.change and kind != "correlation of":
            remedy = f"Rename it, or say `{CHANGE} = [{name!r}]` in registry.toml to change ours."
            allowed = f"the registry below has a {kind} of that name"
            self.problems.append(Problem(where, f"declares {name!r}", allowed, remedy))
            return ours
        self.changed.append(f"{kind} {name}")
        if not isinstance(ours, Mapping) or not isinstance(own, Mapping):
            return own
        return {**ours, **{key: _joined(ours.get(key), value) for key, value in own.items()}}


def lay(
    below: Mapping[str, Mapping[str, Any]], own: Tables, over: str
) -> tuple[Tables, list[Problem]]:
    """The tables of a registry with a folder laid over it, and what is wrong with the folder.

    Args:
        below: tables of a whole registry that loads, by file without the ending.
        own: those of the folder; they are not changed.
        over: the id of the registry below, to be remembered.

    Returns:
        Tables that stand alone, with an account of what was done under `laid` in `registry`.
    """
    head = own.get("registry", {})
    problems = list(_head_problems(head))
    leave_out, change = _names(head, LEAVE_OUT, problems), _names(head, CHANGE, problems)
    known = _factor_files({name: dict(table) for name, table in below.items()})
    problems.extend(_leaving_problems(leave_out, change, known, own))
    default = own.get("outcome", {}).get("default")
    thinned = without(_copied(below), known.keys() & leave_out, default)
    problems.extend(thinned.problems)
    laying = _Laying(frozenset(change), problems)
    tables = thinned.tables
    for file, table in own.items():
        tables[file] = _file(laying, file, tables.get(file, {}), table, known)
    done = {changed.rpartition(" ")[2] for changed in laying.changed}
    problems.extend(_not_changed(name) for name in change if name not in done)
    only_cited(tables, own.get("sources", {}))
    account = {
        "over": over,
        "added": laying.added,
        "changed": laying.changed,
        "left_out": leave_out,
        "dropped": thinned.dropped,
    }
    tables["registry"] = {**tables["registry"], LAID: account}
    return tables, problems


def _file(
    laying: _Laying, file: str, ours: dict[str, Any], own: dict[str, Any], known: Mapping[str, str]
) -> dict[str, Any]:
    """One file of ours with theirs laid over it."""
    if file.startswith("factors/"):
        return _named(laying, "factor", file, ours, own, known)
    if file in _NAMED:
        return _named(laying, _NAMED[file], file, ours, own, {})
    laid = dict(ours)
    for key, value in own.items():
        if file == "registry" and key in _OWN_KEYS:
            continue
        laid[key] = _part(laying, (file, key), ours.get(key), value)
    return laid


def _named(
    laying: _Laying,
    kind: str,
    file: str,
    ours: Mapping[str, Any],
    own: Mapping[str, Any],
    known: Mapping[str, str],
) -> dict[str, Any]:
    """A file of named tables; a factor of ours is changed in the file of its domain."""
    laid = dict(ours)
    for name, table in own.items():
        where = f"{file}.toml [{name}]"
        if name not in ours and known.get(name, file) != file:
            given = f"our factor {name!r} is declared in another domain"
            allowed = f"it belongs to {known[name]}.toml"
            laying.problems.append(Problem(where, given, allowed, "Move it there, or rename it."))
            continue
        laid[name] = laying.entry(ours.get(name), table, name, kind, where)
    return laid


def _part(laying: _Laying, at: tuple[str, str], ours: Any, own: Any) -> Any:  # noqa: ANN401
    """One key of a file that is one record."""
    file, key = at
    if at in _JOINED:
        return _joined(ours, own)
    if at in _LISTED and _is_tables(own):
        return _listed(laying, at, ours or [], own)
    if at in _TABLES and isinstance(own, Mapping):
        where, kind = f"{file}.toml {key}", _TABLES[at]
        laid = dict(ours or {})
        for name, value in own.items():
            laid[name] = laying.entry(laid.get(name), value, name, kind, f"{where}.{name}")
        return laid
    both = isinstance(ours, Mapping) and isinstance(own, Mapping)
    before = {name: ours.get(name, value) for name, value in own.items()} if both else ours
    if before is not None and before != own and at not in _ITS_OWN:
        laying.changed.append(f"{file}.toml {key}")
    return {**ours, **own} if both else own


_ITS_OWN = frozenset({("registry", "name"), ("registry", "version"), ("registry", "title")})


def _listed(laying: _Laying, at: tuple[str, str], ours: list[Any], own: list[Any]) -> list[Any]:
    """A list of tables that are told apart by one of their keys, ours first."""
    key, kind = _LISTED[at]
    laid = {_tag(one.get(key)): one for one in ours}
    for one in own:
        tag = _tag(one.get(key))
        laid[tag] = laying.entry(laid.get(tag), one, tag, kind, f"{at[0]}.toml {at[1]}")
    return list(laid.values())


def _tag(value: object) -> str:
    """What an entry goes by: its name, or its pair in whatever order."""
    return " and ".join(sorted(map(str, value))) if isinstance(value, list) else str(value)


def _joined(ours: Any, own: Any) -> Any:  # noqa: ANN401 - a value of a TOML file
    """Lists of tables one behind the other; anything else takes the place of ours."""
    return [*ours, *own] if ours and _is_tables(ours) and _is_tables(own) else own


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


def _factor_files(tables: Tables) -> dict[str, str]:
    """The file each factor of a registry stands in."""
    return {
        name: file
        for file, table in tables.items()
        if file.startswith("factors/")
        for name in table
    }


def _copied(tables: Mapping[str, Mapping[str, Any]]) -> Tables:
    return {name: dict(table) for name, table in tables.items()}


# --- what is wrong with the folder ----------------------------------------------------------------


def _head_problems(head: Mapping[str, Any]) -> Iterable[Problem]:
    for key in ("name", "version"):
        if key not in head:
            allowed = "a registry laid over another has a name and a version of its own"
            yield Problem(f"registry.toml {key}", "missing", allowed, "Add it.")
    if LAID in head:
        allowed = f"it is written by the program; a folder says {OVER}, {LEAVE_OUT} and {CHANGE}"
        yield Problem(f"registry.toml {LAID}", "is declared here", allowed, "Remove it.")


def _names(head: Mapping[str, Any], key: str, problems: list[Problem]) -> list[str]:
    given = head.get(key, [])
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return list(dict.fromkeys(given))
    problems.append(Problem(f"registry.toml {key}", f"given {given!r}", "a list of names"))
    return []


def _leaving_problems(
    leave_out: Iterable[str], change: Iterable[str], known: Mapping[str, str], own: Tables
) -> Iterable[Problem]:
    where, both = f"registry.toml {LEAVE_OUT}", {*change, *_factor_files(own)}
    for name in leave_out:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean {close[0]}?" if close else "`spinecast factors` lists them."
            allowed = "only a factor of the registry below can be left out"
            yield Problem(where, f"given {name!r}", allowed, remedy)
        elif name in both:
            allowed = "a factor is left out or changed, not both"
            remedy = "Decide for one; a factor of your own needs a name of its own."
            yield Problem(where, f"{name!r} is also declared or changed here", allowed, remedy)
    if known and not known.keys() - set(leave_out) and not _factor_files(own):
        allowed = "a model needs one factor at least"
        yield Problem(where, "every factor is left out", allowed, "Keep one, or add your own.")


def _not_changed(name: str) -> Problem:
    return Problem(
        f"registry.toml {CHANGE}",
        f"given {name!r}",
        "it names what both this folder and the registry below declare",
        "Declare it here, or correct the name.",
    )
