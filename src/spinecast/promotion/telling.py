"""What promotion says on a terminal: the ruling, a refusal, the history."""

from __future__ import annotations

from collections.abc import Iterator

from spinecast.errors import ModelRefused, Problem
from spinecast.promotion.audit import Audit
from spinecast.promotion.history import Entry
from spinecast.promotion.promoting import Decision
from spinecast.promotion.ruling import Finding, Ruling

SIGNS = {"held": "held", "failed": "FAILED", "not evaluated": "NOT KNOWN", "does not apply": "-"}


def decided(found: Decision) -> Iterator[str]:
    """What came of a promotion or a rollback."""
    yield from () if found.ruling is None else _ruled(found.ruling)
    yield from found.notes
    if found.entry is not None:
        yield f"{_deed(found.entry)}."
        yield f"Line {found.entry.line} of the history, hash {found.entry.hash}"


def _ruled(ruling: Ruling) -> Iterator[str]:
    """Every bound: whether it held, what was asked, what was found."""
    lines = [(SIGNS[f.verdict], f.bound, f.asked, _found(f)) for f in ruling.findings]
    sign, bound, asked, _ = (max(map(len, column)) for column in zip(*lines, strict=True))
    for line in lines:
        yield f"  {line[0]:<{sign}}  {line[1]:<{bound}}  {line[2]:<{asked}}  {line[3]}"


def _found(finding: Finding) -> str:
    return f"{finding.found} [{finding.note}]" if finding.note else finding.found


def refusal(folder: str, found: Decision) -> ModelRefused:
    """A refused promotion as an error for people: every bound that stands against it."""
    refusing = () if found.ruling is None else found.ruling.refusing
    return ModelRefused(f"{folder} was not promoted", [_problem(finding) for finding in refusing])


def _problem(finding: Finding) -> Problem:
    if finding.verdict == "not evaluated":
        return Problem(finding.bound, f"it cannot be evaluated: {finding.found}", finding.asked)
    return Problem(
        finding.bound,
        f"found {finding.found}",
        f"asked: {finding.asked}",
        f"It misses by {finding.short_by}." if finding.short_by != "all of it" else "",
    )


def history(told: Audit) -> Iterator[str]:
    """A history in words, the first line first, and which model is in use."""
    for entry in told.history.entries:
        yield f"{entry.line:>4}  {entry.at[:16].replace('T', ' ')} UTC  {_deed(entry)}"
        for line in _why(entry):
            yield f"      {line}"
    current = told.current
    yield (
        "No model is in use."
        if current is None
        else f"In use: {current.folder} ({current.model}), since line {current.line}."
    )
    if told.problems or told.unfinished is not None:
        yield "Not all of this can be trusted: `spinecast history --verify` says why."


def whole(told: Audit) -> str:
    """That nothing contradicts a history, and the hash to keep elsewhere."""
    last = told.history.entries[-1]
    return (
        f"The history is whole: {last.line:,} line{'s' if last.line > 1 else ''}, and "
        f"{last.folder} ({last.model}) is in use and as it was promoted.\n{_mirrored(told)}\n"
        f"Kept elsewhere, this hash shows later whether the history was replaced: {last.hash}"
    )


def _mirrored(told: Audit) -> str:
    if told.mirrored is None:
        return "MLflow's registry knows nothing of it, so it guards nothing."
    return f"MLflow's registry agrees, up to line {told.mirrored}."


def _deed(entry: Entry) -> str:
    model = f"{entry.folder} ({entry.model})"
    if entry.action == "rollback":
        return f"{entry.by} went back to {model}"
    if entry.replaced is None:
        return f"{entry.by} promoted {model}, the first"
    return f"{entry.by} promoted {model} in place of {entry.replaced['folder']}"


def _why(entry: Entry) -> Iterator[str]:
    if entry.evidence is not None:
        told = entry.evidence
        simulated = ", simulated" if told["simulated"] else ""
        yield (
            f"Evidence: {told['cohort']}, {told['kind']}{simulated}; {told['patients']:,} patients "
            f"with a known outcome, {told['events']:,} with the outcome."
        )
    if entry.gate is not None and entry.evidence is not None:
        held = sum(bound["verdict"] == "held" for bound in entry.evidence["bounds"])
        against = f"; {len(entry.override)} against it" if entry.override else ""
        yield f"Gate {entry.gate['file']} ({entry.gate['sha256'][:12]}): {held} held{against}."
    if entry.override:
        yield f"Overridden: {'; '.join(entry.override)}."
    if entry.reason:
        yield f"Reason: {entry.reason}"
