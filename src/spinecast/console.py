"""What the command line says: results on standard output, everything else on standard error."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spinecast.cohorts.tally import Tally
from spinecast.handbook.telling import laid_over
from spinecast.patients.reasons import Reasons

if TYPE_CHECKING:
    from spinecast.cohorts.cohort import CheckedCohort
    from spinecast.cohorts.definitions import DefinitionCount
    from spinecast.cohorts.labelled import LabelledCohort
    from spinecast.cohorts.outcome import Followed
    from spinecast.explaining.batch import Patients
    from spinecast.explaining.folder import Scored
    from spinecast.judging.first_table import FirstTable
    from spinecast.judging.foreign import ForeignPredictions
    from spinecast.judging.judgement import Judgement
    from spinecast.judging.one_factor import Suspicion
    from spinecast.knowledge.factors import Registry
    from spinecast.measures.decisions import Limits
    from spinecast.measures.evaluation import Estimate, Performance
    from spinecast.retraining import Retrained
    from spinecast.site.drafting import Draft
    from spinecast.site.mapping import Mapped

# How many of the values given are shown for one kind of reason.
EXAMPLES = 3
MEASURED = ("auroc", "log_loss", "calibration_intercept", "calibration_slope", "observed_expected")
DISTANCES = (
    ("ici", "Calibration error, mean (ICI)"),
    ("e50", "Calibration error, median (E50)"),
    ("e90", "Calibration error, 90th centile (E90)"),
)
# Seconds after which a rate says something.
WHILE = 2.0
# Thresholds of a decision curve that are shown; validation.json has all.
NET_BENEFITS = 6


@dataclass
class Teller:
    """Tells how far long work is: a line rewritten on a terminal, a line per tenth elsewhere.

    Work that has taken a while is told with its rate and the time that is left.
    """

    last: tuple[str, int] = ("", -1)
    began: tuple[str, int, float] = ("", 0, 0.0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say it, if there is something new to say."""
        if stage != self.began[0]:
            self.began = (stage, done, time.monotonic())
        tenth = 10 * done // max(total, 1)
        if (stage, tenth) == self.last:
            return
        self.last = (stage, tenth)
        window = sys.stderr.isatty()
        line = f"{stage} {done:,}/{total:,}{self._pace(done, total)}"
        click.echo(f"\r{line:<60}" if window else line, err=True, nl=not window or done == total)

    def _pace(self, done: int, total: int) -> str:
        _, first, start = self.began
        took = time.monotonic() - start
        if took < WHILE or done <= first:
            return ""
        rate = (done - first) / took
        left = (total - done) / rate
        told = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
        pace = f", {rate:,.0f} a second" if rate >= 1 else ""
        return pace + (f", {told} left" if done < total else "")


def note(text: str = "") -> None:
    """Something beside the result."""
    click.echo(text, err=True)


def checked(found: CheckedCohort) -> Iterable[str]:
    """What became of a cohort file, line by line."""
    return counted(Tally.of(found), found.accepted.registry)


def counted(tally: Tally, registry: Registry) -> Iterable[str]:
    """What became of the rows of a cohort, line by line."""
    yield from laid_over(registry)
    yield from tally.remarks
    yield f"{tally.rows_read:,} rows: {tally.accepted:,} accepted, {tally.rejected:,} rejected."
    if tally.empty_rows:
        yield f"Rows without any entry, which are no patients: {tally.empty_rows:,}."
    if tally.set_aside:
        yield f"Rows set aside, as another row of the same patient is used: {tally.set_aside:,}."
    yield from _rejected(tally.reasons)
    laid = registry.laid
    yield from _ignored(tally.ignored_columns, tally.suggestions, laid.left_out if laid else ())
    if tally.absent_columns:
        yield f"No column for (unknown for everyone): {', '.join(tally.absent_columns)}"


def _reasons(found: Reasons) -> Iterable[str]:
    """Every reason when they are few; else by column and rule, with what was given most often."""
    if found.count <= len(found.first):
        yield from (f"  - {problem}" for problem in found.problems())
        return
    for kind in found.kinds.values():
        more = f" and {kind.reasons - 1:,} more" if kind.reasons > 1 else ""
        first, *others = list(kind.faults)[:EXAMPLES]
        given = ", ".join(repr(fault.given) for fault in others)
        also = f" Also given: {given}." if given else ""
        yield f"  - {first.problem(f'{kind.first.told}{more}')}{also}"
    yield "Each reason with its row: `spinecast check` with --rejected FILE."


def _rejected(found: Reasons) -> Iterable[str]:
    if found.rules:
        yield ""
        yield "Rejected rows by rule (a row may break several):"
        yield from table([[f"{rows:,}", rule] for rule, rows in found.rules.items()])
        yield ""
        yield from _reasons(found)


def predictions(found: ForeignPredictions) -> Iterable[str]:
    """What became of a file of risks and outcomes, line by line."""
    yield (
        f"{found.rows_read:,} rows: {len(found.risk):,} accepted, {len(found.rejected):,} rejected."
    )
    yield from _rejected(Reasons.of(found.rejected))


def mapped(told: Mapped, found: CheckedCohort) -> Iterable[str]:
    """What a mapping made of a hospital's own file, column by column."""
    from spinecast.site import overview

    yield f"{told.file.path.name} by {told.site.name}:"
    yield from table(overview.table(told))
    yield from overview.remarks(told, found.rejected)
    yield ""


def drafted(made: Draft, out: Path, registry: Path | None = None) -> Iterable[str]:
    """What a drafted mapping found, and what waits for a person."""
    sure = sum(1 for line in made.lines if not line.open)
    yield f"{out}: {len(made.lines)} of our columns found, {sure} of them without a question."
    yield from made.notes
    if made.later:
        yield f"Known only afterwards, never offered as factors: {', '.join(made.later)}"
    if made.decisions:
        yield f"A person has to decide ({len(made.decisions)}):"
        yield from (f"  - {decision}" for decision in made.decisions)
    waits = 'Each stands there as "?". ' if made.decisions else ""
    other = f" --registry {registry}" if registry else ""
    yield f"{waits}Finish {out}, then: spinecast check {made.file.path} --site {out}{other}"


def unknown(found: CheckedCohort | Tally) -> Iterable[str]:
    """How much is not known, factor by factor, the worst first."""
    shares = sorted(found.unknown_share.items(), key=lambda pair: -pair[1])
    partly = [[f"{share:.0%}", name] for name, share in shares if share > 0]
    if partly:
        yield ""
        yield "Unknown among the accepted:"
        yield from table(partly)


def followed(told: Followed) -> str:
    """How many patients' outcome is known, and how many failed."""
    share = f" ({told.failures / told.known:.1%})" if told.known else ""
    outside = f"; {told.outside_window:,} seen outside the window" if told.outside_window else ""
    return (
        f"Outcome {told.definition}: known for {told.known:,} of {told.patients:,} patients, "
        f"{told.failures:,} failed{share}{outside}."
    )


def labelled(found: LabelledCohort) -> Iterable[str]:
    """What became of a cohort file, and how many patients' outcome is known."""
    yield from counted(found.tally, found.cohort.registry)
    yield followed(found.followed)
    if found.sampled:
        yield found.sampled


def standing(told: Retrained) -> Iterable[str]:
    """Whether there were enough patients, and what to know of the model in use beside the new."""
    yield from told.result.rival.remarks if told.result.rival else ()
    yield told.standing.in_words


def in_pieces(found: Scored, out: Path) -> Iterable[str]:
    """What became of a cohort that was scored into a folder."""
    if found.kept:
        yield f"{found.kept:,} of {found.pieces:,} pieces stood already; not scored again."
    if found.again:
        shown = ", ".join(found.again[:EXAMPLES])
        yield f"Altered or lost, and scored again: {shown}{' ...' * (len(found.again) > EXAMPLES)}"
    yield (
        f"{out}: {found.rows:,} patients in {found.pieces:,} pieces (scores/); "
        f"{found.refused:,} could not be scored{' (rejected/)' if found.refused else ''}."
    )


def unused(patients: Patients) -> Iterable[str]:
    """How a file of patients was read, and its columns that were not used."""
    yield from patients.remarks
    yield from _ignored(patients.ignored, patients.suggestions)


def _ignored(
    names: Iterable[str], suggestions: Mapping[str, str], left_out: Iterable[str] = ()
) -> Iterable[str]:
    for name in names:
        if name in left_out:
            yield f"Column {name!r} is a factor this registry leaves out, and was not used"
            continue
        hint = f"; did you mean {suggestions[name]!r}?" if name in suggestions else ""
        yield f"Column {name[:40]!r} is not in the registry and was not used{hint}"


def definitions(counts: Sequence[DefinitionCount]) -> Iterable[str]:
    """How many would have failed by each definition of the outcome, and of whom it is not known."""
    known = [
        [
            f"{c.failures:,} of {c.known:,}",
            f"{c.share:.0%}",
            "-" if c.agreement is None else f"{c.agreement:.0%}",
            "-" if c.kappa is None else f"{c.kappa:.2f}",
            _why_unknown(c),
            c.name,
            c.title,
        ]
        for c in counts
        if c.share is not None
    ]
    if known:
        yield ""
        yield "Failures by each definition of the outcome, where the follow-up tells:"
        yield from table([["failed", "", "alike", "kappa", "not known", "", ""], *known])
        yield "  alike: judged as by the definition in use. Not known: what is lacked most often."
    for c in counts:
        if c.share is None and c.unknown:
            yield f"  {c.name}: known for nobody; lacking {', '.join(c.why_unknown)}"


def _why_unknown(count: DefinitionCount) -> str:
    why = next(iter(count.why_unknown), "")
    return f"{count.unknown:,} ({why})" if count.unknown and why else f"{count.unknown:,}"


def suspicious(found: Sequence[Suspicion], sampled: str = "") -> Iterable[str]:
    """What looks like an error of coding: what was seen, in whom, why perhaps, what to do."""
    whom = f", {sampled}" if sampled else ""
    yield ""
    if not found:
        yield f"Beside what is published, nothing looks like an error of coding{whom}."
        return
    yield f"Looks like an error of coding ({len(found)}; no row was rejected for it){whom}:"
    for one in found:
        where = f" at {one.site[:40]}" if one.site else ""
        yield f"  - {' and '.join(one.columns)}{where}: {one.seen}."
        yield f"    Likely: {one.cause}. {one.remedy}"


def first_table(told: FirstTable, sampled: str = "") -> Iterable[str]:
    """Table 1 on a terminal."""
    yield ""
    if sampled:
        yield f"Counted {sampled}:"
    yield from table([[cell[:48] for cell in row] for row in (told.heads, *told.rows)])
    yield f"  {told.note}"


def performances(told: Mapping[str, Performance]) -> Iterable[str]:
    """How good some models are on the same patients, one line each."""
    first = next(iter(told.values()))
    heads = [estimate.label for estimate in first.estimates if estimate.measure in MEASURED]
    lines = [
        [name, *(_interval(e) for e in performance.estimates if e.measure in MEASURED)]
        for name, performance in told.items()
    ]
    yield from table([["", *heads], *lines])
    yield (
        f"  {first.patients:,} patients, {first.events:,} failed; "
        f"{first.level:.0%} bootstrap intervals in brackets."
    )


def judged(told: Judgement) -> Iterable[str]:
    """Every measure of some predictions, and net benefit at a few of the declared thresholds."""
    area, apart = told.auroc, told.distances
    lines = [["AUROC", _limits(area.value, area.low, area.high)]]
    lines += [[e.label, _interval(e)] for e in told.performance.estimates if e.measure != "auroc"]
    lines += [
        [label, _limits(*(getattr(part, name) for part in (apart.value, apart.low, apart.high)))]
        for name, label in DISTANCES
    ]
    yield from table(lines)
    yield (
        f"  {told.performance.patients:,} patients, {told.performance.events:,} with the outcome; "
        f"{told.performance.level:.0%} intervals in brackets (AUROC: DeLong; others: bootstrap)."
    )
    yield from _net_benefit(told)


def _net_benefit(told: Judgement) -> Iterable[str]:
    if told.decisions is None or told.thresholds is None:
        return
    found = told.decisions.decisions
    places = sorted({round(i * (len(found) - 1) / (NET_BENEFITS - 1)) for i in range(NET_BENEFITS)})
    heads = ["", "net benefit", "of acting on all", "gain over the better of all and none"]
    lines = [
        [f"{d.threshold:.0%}", *(f"{n.value:.3f}" for n in (d.model, d.treat_all)), _spread(d.gain)]
        for d in (found[place] for place in places)
    ]
    yield ""
    yield f"Acting from a threshold on: {told.thresholds.action}"
    yield from table([heads, *lines])


def _spread(limits: Limits) -> str:
    return _limits(limits.value, limits.low, limits.high)


def _interval(estimate: Estimate) -> str:
    return _limits(estimate.value, estimate.low, estimate.high)


def _limits(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "-"
    if math.isnan(low):
        return f"{value:.3f}"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def table(lines: Sequence[Sequence[str]]) -> Iterable[str]:
    """Cells in columns, as wide as they must be; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.rjust(width) if cell[:1].isdigit() or cell[:1] == "-" else cell.ljust(width)
            for cell, width in zip(line, widths, strict=True)
        ]
        yield ("  " + "  ".join(cells)).rstrip()
