"""What the terminal says of an update: the decision table, the rung, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from spinecast.updating.choosing import Decision
from spinecast.updating.journey import Update
from spinecast.updating.judging import Judged
from spinecast.updating.ladder import RUNGS, Ladder, RungName

DOES: dict[RungName, str] = {
    "keep": "the old model as it is",
    "intercept": "its log-odds shifted",
    "slope": "its log-odds shifted and stretched",
    "revision": "its effects moved as far as the new patients ask",
    "retrain": "learned anew from the literature and the new patients alone",
}


def told(found: Update, ladder: Ladder, folder: Path) -> Iterator[str]:
    """All that is said once an update is done."""
    decision = found.decision
    yield (
        f"Each rung on {found.patients:,} new patients, {found.events:,} with the outcome, whom it "
        "had not learned from:"
    )
    yield from _table(_lines(decision, ladder))
    yield f"  {decision.rungs[0].performance.level:.0%} bootstrap intervals in brackets."
    yield from _rows_not_tried(decision, ladder, found)
    if ladder.net_benefit.thresholds and ladder.net_benefit.action:
        yield f"  Net benefit (NB) of: {ladder.net_benefit.action}."
    yield ""
    yield f"Rung: {decision.rung} ({DOES[decision.rung]}). Rule: {decision.rule}."
    yield decision.why
    yield f"Model {found.model_id} in {folder}, from model {found.parent_id}."
    yield f"Next, on patients it has not met: spinecast validate COHORT --model {folder} --out DIR"


def _lines(decision: Decision, ladder: Ladder) -> list[list[str]]:
    thresholds = ladder.net_benefit.thresholds
    heads = ["", "O:E", "intercept", "slope", "ICI", "log-loss", "p"]
    lines = [heads + [f"NB {at:.0%}" for at in thresholds]]
    return lines + [_line(judged, chosen=judged.rung == decision.rung) for judged in decision.rungs]


def _line(judged: Judged, *, chosen: bool) -> list[str]:
    measures = [
        _limits(e.value, e.low, e.high)
        for e in judged.shown()
        if e.measure not in ("log_loss", "auroc")
    ]
    return [
        f"{'>' if chosen else ' '} {judged.rung}",
        *measures,
        _number(judged.ici, 3),
        _number(judged.log_loss, 4),
        _number(judged.p_value, 3),
        *(_number(value, 3) for value in judged.net_benefit.values()),
    ]


def _rows_not_tried(decision: Decision, ladder: Ladder, found: Update) -> Iterator[str]:
    """Which rungs the patients were too few for."""
    tried = {judged.rung for judged in decision.rungs}
    needed = ladder.fewest_events.model_dump()
    missing = [f"{rung} (from {needed[rung]})" for rung in RUNGS if rung not in tried]
    if missing:
        rarer = min(found.events, found.patients - found.events)
        yield f"  Not tried, with {rarer} patients of the rarer outcome: {', '.join(missing)}."


def _limits(value: float, low: float, high: float) -> str:
    if math.isnan(value) or math.isnan(low):
        return _number(value, 2)
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _table(lines: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *others = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        yield "  ".join(cells).rstrip()
