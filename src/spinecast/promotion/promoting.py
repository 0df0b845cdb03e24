"""The journey of a candidate into use, and back: gate, history, `CURRENT`, mirror, in that order.

One promotion at a time: a lock of the operating system is held from the first look to the last
write, and freed by it when a process is killed. `audit` says what a kill leaves behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.errors import ModelRefused, Problem, SpinecastError, UsageRefused
from spinecast.explaining.current import CURRENT
from spinecast.explaining.manifest import as_json
from spinecast.explaining.scoring import Scorer
from spinecast.files import reason as said_by
from spinecast.files import whole_file, write_text
from spinecast.promotion import history
from spinecast.promotion.answering import load_named, manifest_hash
from spinecast.promotion.audit import Audit, as_current, audit
from spinecast.promotion.dossier import Dossier, gather
from spinecast.promotion.gate import GateFile, read_gate
from spinecast.promotion.history import START, Entry, History
from spinecast.promotion.mirror import mirror
from spinecast.promotion.ruling import Ruling, rule

LOCK = ".promotion.lock"
NOT_HELD = "The history is not written to until it is whole again"


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a promotion or a rollback.

    Attributes:
        entry: the line that was written; None where the gate refused.
        ruling: every bound; None for a rollback.
        evidence: the cohort in counts, and the bounds, as the history keeps them.
        notes: what else has to be said.
        labelled: the cohort the gate was held against; None for a rollback.
    """

    entry: Entry | None
    ruling: Ruling | None
    evidence: dict[str, Any] | None
    notes: tuple[str, ...]
    labelled: LabelledCohort | None = None


def promote(
    candidate: Path,
    gate: Path,
    cohort: Path,
    *,
    by: str,
    override: str | None = None,
    models: Path,
    home: Path,
    site_file: Path | None = None,
    registry_folder: Path | None = None,
) -> Decision:
    """Hold a candidate against a gate, and put it into use if every bound holds or is overridden.

    Args:
        candidate: the model's folder, within the models folder.
        gate: the gate's file.
        cohort: patients with known outcomes.
        by: who decides.
        override: why the model is used although bounds do not hold; None to keep to the gate.
        models: the models folder, with `CURRENT` and the history.
        home: the folder of MLflow's runs.
        site_file: the hospital's mapping of its own columns; None where the columns are ours.
        registry_folder: the registry that must be the candidate's own; None not to ask.

    Raises:
        UsageRefused: a name or reason is blank, the gate cannot be used, the candidate is not in
            the models folder or already in use, or another promotion is under way.
        DataRefused: the cohort cannot be used.
        ModelRefused: the candidate is damaged, or the history is.
    """
    _refuse_blank({"--by": by} | ({} if override is None else {"--override": override}))
    _refuse_elsewhere(candidate, models)
    asked = read_gate(gate)
    with _alone(models):
        before, notes = _ready(models)
        scorer = Scorer.load(candidate, registry_folder)
        _refuse_in_use(candidate, scorer, before)
        dossier = gather(scorer, cohort, _scorer_in_use(models, before), site_file)
        ruling = rule(asked, dossier)
        evidence = _evidence(dossier, ruling)
        if not ruling.holds and override is None:
            return Decision(None, ruling, evidence, notes, dossier.labelled)
        failed = tuple(finding.bound for finding in ruling.refusing)
        entry = _next(
            before,
            action="promote",
            by=by,
            reason=(override or "") if failed else "",
            folder=candidate.resolve().name,
            model=scorer.explainer.identity.id,
            manifest=manifest_hash(candidate),
            registry=scorer.registry.name,
            gate=_gate(asked),
            evidence=evidence,
            override=failed,
        )
        _enter(models, entry)
        if override is not None and not failed:
            notes = (*notes, "Every bound held: there was nothing to override.")
        told = (*notes, mirror(_grown(before, entry), home))
        return Decision(entry, ruling, evidence, told, dossier.labelled)


def rollback(*, by: str, reason: str, models: Path, home: Path) -> Decision:
    """Put the model that was in use before back into use.

    Raises:
        UsageRefused: a name or reason is blank, no model was in use before, or another promotion
            is under way.
        ModelRefused: that model's folder, or the history, is damaged.
    """
    _refuse_blank({"--by": by, "--reason": reason})
    with _alone(models):
        told, notes = _ready(models)
        back = told.history.before()
        if back is None:
            problem = Problem(str(models), "no model was in use before this one", "one is needed")
            raise UsageRefused("There is nothing to go back to", [problem])
        load_named(models, back.folder, back.model, back.manifest)
        entry = _next(
            told,
            action="rollback",
            by=by,
            reason=reason,
            folder=back.folder,
            model=back.model,
            manifest=back.manifest,
            registry=back.registry,
        )
        _enter(models, entry)
        return Decision(entry, None, None, (*notes, mirror(_grown(told, entry), home)))


def write_ruling(decision: Decision, path: Path) -> None:
    """Keep what a promotion rested on, whether it was promoted or not.

    Raises:
        UsageRefused: the file cannot be written.
    """
    told = {"promoted": decision.entry is not None, "evidence": decision.evidence}
    write_text(path, as_json(told))


# --- what must hold before ------------------------------------------------------------------------


def _refuse_blank(given: dict[str, str]) -> None:
    problems = [
        Problem(name, "it is blank or cannot be printed", "words that stand in the history")
        for name, text in given.items()
        if not text.strip() or not text.isprintable()
    ]
    if problems:
        raise UsageRefused("Nothing was changed", problems)


def _refuse_elsewhere(candidate: Path, models: Path) -> None:
    """`CURRENT` names folders beside it, so that a models folder can be moved as a whole."""
    if candidate.resolve().parent == models.resolve() and not candidate.is_symlink():
        return
    allowed = f"a folder in {models}"
    remedy = f"Move it there, or say --models {candidate.parent}."
    raise UsageRefused(
        "The model was not promoted",
        [Problem(str(candidate), "it is not in the models folder", allowed, remedy)],
    )


def _refuse_in_use(candidate: Path, scorer: Scorer, told: Audit) -> None:
    last = told.history.last
    offered = (candidate.resolve().name, scorer.explainer.identity.id)
    if last and (last.folder, last.model) == offered:
        given = f"model {last.model} is in use since line {last.line}"
        problem = Problem(str(candidate), given, "another model can be promoted")
        raise UsageRefused("The model was not promoted", [problem])


@contextmanager
def _alone(models: Path) -> Iterator[None]:
    """Hold the lock of a models folder; nobody waits."""
    if not models.is_dir():  # The lock would make one.
        problem = Problem(str(models), "there is no such folder", "the folder of the models")
        raise UsageRefused("Nothing was changed", [problem])
    try:
        with FileLock(models / LOCK, timeout=0):
            yield
    except Timeout:
        given = "another promotion or rollback is under way"
        problem = Problem(str(models), given, "one at a time", "Run it again when that is done.")
        raise UsageRefused("Nothing was changed", [problem]) from None
    except OSError as error:
        problem = Problem(str(models), said_by(error), "a folder that can be written to is needed")
        raise UsageRefused("Nothing was changed", [problem]) from None


def _ready(models: Path) -> tuple[Audit, tuple[str, ...]]:
    """The history, whole, with nothing unfinished; what an earlier kill left is finished first.

    Raises:
        ModelRefused: the history contradicts itself, or `CURRENT`.
    """
    for name in (history.FILE, CURRENT):
        for left in models.glob(f".{name}.*.tmp"):
            left.unlink(missing_ok=True)
    told = audit(models)
    if told.problems:
        raise ModelRefused(NOT_HELD, told.problems)
    if told.unfinished is None:
        return told, ()
    last = told.unfinished
    _write(models / CURRENT, as_current(last).text().encode())
    return audit(models), (
        f"Line {last.line} was interrupted before {CURRENT} named {last.folder}; finished.",
    )


def _scorer_in_use(models: Path, told: Audit) -> Scorer | SpinecastError | None:
    last = told.history.last
    if last is None:
        return None
    try:
        return load_named(models, last.folder, last.model, last.manifest)
    except SpinecastError as refused:
        return refused


# --- writing --------------------------------------------------------------------------------------


def _next(told: Audit, **said: Any) -> Entry:  # noqa: ANN401
    """The next line of a history."""
    last = told.history.last
    return Entry(
        line=1 if last is None else last.line + 1,
        previous=START if last is None else last.hash,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        replaced=None if last is None else {"folder": last.folder, "model": last.model},
        **said,
    )


def _grown(told: Audit, entry: Entry) -> History:
    return History((*told.history.entries, entry), ())


def _enter(models: Path, entry: Entry) -> None:
    """Write the line, then `CURRENT`: the order that `audit` counts on."""
    path = models / history.FILE
    before = path.read_bytes() if path.exists() else b""
    _write(path, before + entry.text().encode())
    _write(models / CURRENT, as_current(entry).text().encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, and is on the disk before the next one."""
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _gate(asked: GateFile) -> dict[str, str]:
    told = {"file": asked.name, "sha256": asked.sha256}
    return told | ({"golden_sha256": asked.golden_sha256} if asked.golden else {})


def _evidence(dossier: Dossier, ruling: Ruling) -> dict[str, Any]:
    """What the decision rested on: the cohort in counts, figures, every bound. No patient."""
    facts = dossier.labelled.facts
    return {
        "cohort": facts.name,
        "sha256": facts.sha256,
        "kind": dossier.kind,
        "simulated": dossier.simulated,
        "patients": dossier.patients,
        "events": dossier.events,
        "figures": {
            name: {key: _rounded(value) for key, value in asdict(figure).items()}
            for name, figure in dossier.figures.items()
        },
        "bounds": [finding.to_dict() for finding in ruling.findings],
    }


def _rounded(value: float) -> float | None:
    return None if value != value else round(value, 6)
