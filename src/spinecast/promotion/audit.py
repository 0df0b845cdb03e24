"""Whether history, `CURRENT` and the model's folder say the same; what is wrong, line by line.

A promotion writes in this order: the line of the history (the decision), then `CURRENT` (derived
from it), then MLflow's mirror. Each is written whole or not at all, so a kill leaves one of three
states: nothing done; a line more than `CURRENT` knows of, an unfinished promotion, which the next
promotion or rollback finishes before anything else; or `CURRENT` ahead of the mirror.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from spinecast.errors import ModelRefused, Problem, SpinecastError, UsageRefused
from spinecast.explaining.current import CURRENT, Current, read_current
from spinecast.promotion import history
from spinecast.promotion.answering import load_named
from spinecast.promotion.history import BACKUP, Entry, History, read_history
from spinecast.promotion.mirror import contradictions, heads

UNFINISHED = "The next `spinecast promote` or `spinecast rollback` finishes it."


@dataclass(frozen=True, slots=True)
class Audit:
    """What the history is, and everything that contradicts it.

    Attributes:
        history: its lines.
        current: what `CURRENT` says; None without one, or where it cannot be read.
        problems: what is wrong; a history with any is not written to.
        unfinished: the line of a promotion that was interrupted before `CURRENT` named it.
        mirrored: the last line MLflow's registry was told of; None where it was not asked, or
            knows none.
    """

    history: History
    current: Current | None
    problems: tuple[Problem, ...]
    unfinished: Entry | None
    mirrored: int | None = None


def as_current(entry: Entry) -> Current:
    """What `CURRENT` says when this is the last line."""
    return Current(entry.folder, entry.model, entry.manifest, entry.line, entry.hash)


def audit(models: Path) -> Audit:
    """Hold the history of a models folder against its hashes and against `CURRENT`."""
    told = read_history(models)
    try:
        current = read_current(models)
    except SpinecastError as refused:
        remedy = _derived(told)
        problems = [Problem(p.where, p.given, p.allowed, remedy) for p in refused.problems]
        return Audit(told, None, (*told.problems, *problems), None)
    if told.problems:
        return Audit(told, current, told.problems, None)
    unfinished = _unfinished(told, current)
    problems = [] if unfinished else list(_contradictions(told, current))
    return Audit(told, current, tuple(problems), unfinished)


def verify(models: Path, home: Path, head: str = "") -> Audit:
    """Everything that can be held against a history: itself, `CURRENT`, the folder, the mirror.

    Args:
        models: the models folder.
        home: the folder of MLflow's runs.
        head: a hash noted earlier; a line of that hash must be in the history.

    Raises:
        ModelRefused: with everything that is wrong.
        UsageRefused: no model was ever promoted here.
    """
    told = audit(models)
    problems = list(told.problems)
    if told.current is not None:
        problems += in_place(models, told.current)
    if told.unfinished is not None:
        given = f"line {told.unfinished.line} is written and {CURRENT} does not name it yet"
        problems.append(Problem(history.FILE, given, "a promotion was interrupted", UNFINISHED))
    known = heads(home)
    if not told.history.problems:  # A line that was edited would only be told twice.
        problems += contradictions(told.history, known)
    if head and head not in [entry.hash for entry in told.history.entries]:
        given = f"no line has the hash {head}"
        problems.append(Problem(history.FILE, given, "a line that was there stays there", BACKUP))
    if problems:
        raise ModelRefused("The history cannot be trusted", problems)
    if told.history.last is None:
        problem = Problem(str(models), "no model was promoted here", "a history is needed")
        raise UsageRefused("There is no history", [problem])
    names = {entry.registry for entry in told.history.entries}
    lines = [head.line for name, head in known.items() if name in names]
    return replace(told, mirrored=max(lines, default=None))


def in_place(models: Path, current: Current) -> tuple[Problem, ...]:
    """What is wrong with the folder of the model in use: it is missing, altered, or another's."""
    try:
        load_named(models, current.folder, current.model, current.manifest)
    except SpinecastError as refused:
        return refused.problems
    return ()


def _unfinished(told: History, current: Current | None) -> Entry | None:
    """The last line, where `CURRENT` still says what it said before that was written."""
    if told.last is None:
        return None
    before = told.entries[-2] if len(told.entries) > 1 else None
    said = None if before is None else as_current(before)
    return told.last if current == said else None


def _contradictions(told: History, current: Current | None) -> Iterator[Problem]:
    """How a chain that is whole in itself differs from what `CURRENT` says of its last line."""
    last = told.last
    if current is None:
        if last is not None:
            yield Problem(CURRENT, "the file is missing", "a model is in use", _derived(told))
        return
    known = 0 if last is None else last.line
    if current.line > known:
        lines = f"{known + 1} to {current.line}" if current.line > known + 1 else f"{current.line}"
        given = f"line {lines} is missing" if known else "the history is missing"
        yield Problem(history.FILE, given, f"{CURRENT} names line {current.line}", BACKUP)
        return
    named = told.entries[current.line - 1] if current.line > 0 else None
    if named is None or named.hash != current.hash:
        given = f"it names another line {current.line} than the history has"
        allowed = "the end of the history was exchanged, or this file edited"
        yield Problem(CURRENT, given, allowed, "Put both back from a backup.")
    elif current.line < known:
        given = f"it names line {current.line} of {known}"
        yield Problem(CURRENT, given, "the last line is in use", _derived(told))
    elif current != as_current(named):
        given = f"it names {current.folder} ({current.model})"
        allowed = f"line {known} put {named.folder} ({named.model}) into use"
        yield Problem(CURRENT, given, allowed, _derived(told))


def _derived(told: History) -> str:
    if told.last is None or told.problems:
        return "Put it back from a backup."
    text = " ".join(as_current(told.last).text().split())
    return f"If the history's last line is right, it says: {text}"
