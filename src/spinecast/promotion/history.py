"""The history of promotions: one line each, chained by hashes, that can only grow.

`HISTORY.jsonl` holds one JSON object a line, in canonical form (keys sorted, no space), so that a
line has one spelling only. Each carries the SHA-256 of itself (`hash`) and of the line before
(`previous`), so an edit, a removal or another order shows. What a chain cannot see is a tail cut
off: that is why `CURRENT` names the last line's number and hash, and MLflow's registry mirrors it.

A chain is no signature. Who may write to the folder can write a whole new history; the hash of the
last line, kept elsewhere, shows that too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from spinecast.errors import ModelRefused, Problem
from spinecast.files import reason

FILE = "HISTORY.jsonl"
START = "0" * 64
"""What stands for the hash of the line before the first."""

Action = Literal["promote", "rollback"]
BACKUP = "Put the file back from a backup."


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: who put which model into use, when, on what evidence.

    Attributes:
        line: its number, from 1.
        previous: the hash of the line before.
        action: a promotion, or a rollback to the model before.
        at: when, in UTC, ISO 8601.
        by: who decided.
        reason: why; of a rollback or an override, else "".
        folder: of the model, within the models folder.
        model: its id.
        manifest: SHA-256 of its manifest, which names the SHA-256 of every other file.
        registry: name of its registry, under which MLflow's registry mirrors it.
        replaced: folder and id of the model in use before; None for the first.
        gate: file name and SHA-256 of the gate and of its golden patients; None for a rollback.
        evidence: the cohort in counts and every bound with what was found; None for a rollback.
        override: the bounds that did not hold and were overridden; empty without an override.
    """

    line: int
    previous: str
    action: Action
    at: str
    by: str
    reason: str
    folder: str
    model: str
    manifest: str
    registry: str
    replaced: Mapping[str, str] | None = None
    gate: Mapping[str, str] | None = None
    evidence: Mapping[str, Any] | None = None
    override: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of everything the line says."""
        return hashlib.sha256(canonical(asdict(self)).encode()).hexdigest()

    def text(self) -> str:
        """The line as the file has it, its end included."""
        return canonical(asdict(self) | {"hash": self.hash}) + "\n"


def canonical(value: object) -> str:
    """JSON with one spelling: keys sorted, no space, no NaN."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


@dataclass(frozen=True, slots=True)
class History:
    """The lines that can be read, and everything that is wrong with the file."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]

    @property
    def last(self) -> Entry | None:
        """The last line; None before the first promotion."""
        return self.entries[-1] if self.entries else None

    def before(self) -> Entry | None:
        """The promotion that a rollback returns to; None where there is none.

        Promotions pile up and a rollback takes the top one off, so two rollbacks in a row go two
        models back.
        """
        pile: list[Entry] = []
        for entry in self.entries:
            if entry.action == "promote":
                pile.append(entry)
            elif pile:
                pile.pop()
        return pile[-2] if len(pile) > 1 else None


def read_history(models: Path) -> History:
    """Read the history of a models folder and hold every line against its hash and its neighbour.

    Raises:
        ModelRefused: the file is there and cannot be opened.
    """
    path = models / FILE
    if not path.exists():
        return History((), ())
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = Problem(str(path), reason(error), "a file that can be read is needed")
        raise ModelRefused("The history cannot be read", [problem]) from None
    return read_chain(content)


def read_chain(content: bytes) -> History:
    """The history that these bytes are."""
    *whole, rest = content.split(b"\n")
    lines = [*whole, rest] if rest else whole
    read = [_entry(line) for line in lines]
    problems = []
    if not lines:
        problems.append(Problem(FILE, "it is empty", "each promotion is a line", BACKUP))
    for place, (line, entry) in enumerate(zip(lines, read, strict=True), start=1):
        problems.extend(_alone(place, line, entry))
    if rest and read[-1] is not None:
        given = "its end is missing"
        problems.append(Problem(f"{FILE} line {len(lines)}", given, "a line ends", BACKUP))
    legible = [pair for pair in read if pair is not None]
    if len(legible) == len(read):  # A line that cannot be read hides what stood there.
        problems.extend(_together(legible))
    return History(tuple(entry for entry, _ in legible), tuple(problems))


def _entry(line: bytes) -> tuple[Entry, str] | None:
    """What a line says and the hash it states; None where it says nothing of the kind."""
    try:
        told = json.loads(line)
        stated = told.pop("hash")
        entry = Entry(**told | {"override": tuple(told["override"])})
        # What is of another kind than it should be may still be spelt like a line.
        kinds = {"line": int, "override": tuple}
        right = all(
            type(getattr(entry, field.name)) is kinds.get(field.name, str)
            for field in fields(entry)
            if field.name not in ("replaced", "gate", "evidence")
        )
        _ = entry.text().encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return (entry, stated) if right and isinstance(stated, str) else None


def _alone(place: int, line: bytes, read: tuple[Entry, str] | None) -> Iterator[Problem]:
    """What is wrong with a line whatever stands around it."""
    where = f"{FILE} line {place}"
    if read is None:
        yield Problem(where, "it cannot be read", "it was edited or damaged", BACKUP)
        return
    entry, stated = read
    if entry.hash != stated:
        yield Problem(where, "it was edited", "its content must have the hash it states", BACKUP)
    elif entry.text().encode() != line + b"\n":
        yield Problem(where, "its spelling was edited", "it is not as it was written", BACKUP)


def _together(read: Sequence[tuple[Entry, str]]) -> Iterator[Problem]:
    """What only neighbours show: lines missing, twice, in another order, or exchanged."""
    numbers = [entry.line for entry, _ in read]
    wanted = list(range(1, len(numbers) + 1))
    if sorted(numbers) != wanted:
        yield from _miscounted(numbers)
    elif numbers != wanted:
        order = ", ".join(map(str, numbers))
        yield Problem(FILE, f"its lines stand in the order {order}", "they only grow", BACKUP)
    else:
        yield from _unlinked(read)


def _unlinked(read: Sequence[tuple[Entry, str]]) -> Iterator[Problem]:
    before = {START}
    for entry, stated in read:
        if entry.previous not in before:
            where, given = f"{FILE} line {entry.line}", "it does not follow from the line before"
            allowed = "one of the two was exchanged" if entry.line > 1 else "no line stands before"
            yield Problem(where, given, allowed, BACKUP)
        # Where the two differ the line was edited, and that was said of it.
        before = {entry.hash, stated}


def _miscounted(numbers: Sequence[int]) -> Iterator[Problem]:
    top = max(numbers)
    if missing := [n for n in range(1, min(top, len(numbers) + 1000) + 1) if n not in numbers]:
        given = f"line {', '.join(map(str, missing[:10]))} is missing"
        yield Problem(FILE, given, "no line may be removed", BACKUP)
    if twice := sorted({n for n in numbers if numbers.count(n) > 1}):
        given = f"line {', '.join(map(str, twice[:10]))} stands more than once"
        yield Problem(FILE, given, "each line stands once", BACKUP)
    if strange := sorted({n for n in numbers if n < 1}):
        yield Problem(FILE, f"a line has the number {strange[0]}", "lines count from 1", BACKUP)
