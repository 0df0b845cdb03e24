"""How good the method is where and when it did not learn: at other hospitals, in later years."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from spinecast.fitting.refitting import Make, Refit, Task, kinds, refitted, too_few, troubles
from spinecast.measures.bootstrap import drawn
from spinecast.measures.evaluation import RESAMPLES, Performance, evaluate
from spinecast.measures.logistic import Matrix, Vector, expit, logit
from spinecast.measures.metrics import MEASURES
from spinecast.measures.pooling import Pooled
from spinecast.measures.resampling import USABLE_SHARE
from spinecast.progress import Progress, silent
from spinecast.sharing import Share, alone

Pool = Callable[[Vector, Vector], Pooled]
"""A summary of estimates by their standard errors, one per site (NaN: none), such as `pool`."""

LATER_SHARE = 1 / 3
"""The share of patients, the last ones, who test when no date is declared."""


def _log(value: Vector) -> Vector:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(value), dtype=np.float64)


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(value))


def _as_it_is(value: Vector) -> Vector:
    return value


@dataclass(frozen=True, slots=True)
class Scale:
    """Where estimates are roughly normal, so that they may be averaged over sites.

    Attributes:
        name: In words.
        there: From the measure to the scale.
        back: From the scale to the measure; rising.
    """

    name: str
    there: Callable[[Vector], Vector]
    back: Callable[[float], float]


_AS_IT_IS = Scale("as it is", _as_it_is, float)
SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "auroc": Scale("log-odds", logit, expit),
        "observed_expected": Scale("logarithm", _log, _exp),
        "calibration_intercept": _AS_IT_IS,
        "calibration_slope": _AS_IT_IS,
    }
)
"""What is pooled over sites, and on which scale. Source: Snell 2018, doi:10.1177/0962280217705678.
"""


@dataclass(frozen=True, slots=True)
class Poolable:
    """One measure at one site, on the scale of pooling; NaN where it has no value there.

    The standard error is the SD over bootstrap samples of the site's patients.
    """

    measure: str
    scale: str
    estimate: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """How good the method was on patients of a site or period it had not learned from.

    Attributes:
        name: The site, or the period in words.
        learned_from: Patients of the other sites, or of the time before.
        learned_events: Those of them who had the outcome.
        performance: On the site's or period's own patients, with intervals.
        poolable: What a summary over sites rests on.
    """

    name: str
    learned_from: int
    learned_events: int
    performance: Performance
    poolable: tuple[Poolable, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """One measure over all sites, as the random-effects summary that was asked gives it."""

    measure: str
    label: str
    scale: str
    pooled: Pooled


@dataclass(frozen=True, slots=True)
class OtherSites:
    """Each site predicted by a model that learned at the others, and what holds over all.

    `notes` say which sites could not be judged and why; their patients are learned from all the
    same. Patients of no known site are neither learned from nor judged.
    """

    sites: tuple[Elsewhere, ...]
    summaries: tuple[Summary, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LaterPeriod:
    """Later patients predicted by a model that learned from earlier ones.

    `since` is the first day of the later period, "" where there is none; then `notes` say why.
    """

    since: str
    later: Elsewhere | None
    notes: tuple[str, ...]


def leave_one_site_out(
    make: Make,
    codes: Matrix,
    y: Vector,
    site: npt.NDArray[np.object_],
    *,
    pool: Pool | None = None,
    resamples: int = RESAMPLES,
    seed: int = 1,
    share: Share = alone,
    progress: Progress = silent,
) -> OtherSites:
    """Predict the patients of every site by a model that learned at all the others.

    Args:
        make: the whole method.
        codes: rows of codes (n, F), NaN for unknown.
        y: the outcome (n,), 0 or 1.
        site: where each was operated (n,), "" unknown.
        pool: what makes one number of many sites; none for no summary.
        resamples: behind each site's intervals.
        seed: of these.
        share: who does the work.
        progress: told how many sites are done.
    """
    names = [str(name) for name in np.unique(site.astype(str)) if name]
    nowhere = int((site.astype(str) == "").sum())
    notes = [f"{nowhere} patients of no known site were left out."] if nowhere else []
    if len(names) < 2:
        known = "one site only" if names else "no site is known"
        return OtherSites((), (), (*notes, f"No test at other sites: {known}."))
    tasks: dict[str, Task] = {}
    for name in names:
        here, there = np.flatnonzero(site == name), np.flatnonzero((site != name) & (site != ""))
        if words := too_few(y[here]):
            notes.append(f"{name}: not judged; {words}")
        elif words := too_few(y[there]):
            notes.append(f"{name}: not judged; at the other sites {words}")
        else:
            tasks[name] = Task(there, here)
    refits = list(
        refitted(
            make, codes, y, list(tasks.values()),
            share=share, progress=progress, stage="leaving one site out",
        )
    )  # fmt: skip
    found = tuple(
        _elsewhere(name, y, task, refit, resamples, seed)
        for (name, task), refit in zip(tasks.items(), refits, strict=True)
        if not refit.trouble
    )
    if not found:
        notes.append("No test at other sites: no site could be judged.")
    summaries = tuple(_summaries(found, pool)) if pool and found else ()
    return OtherSites(found, summaries, (*notes, *troubles(refits)))


def later_period(
    make: Make,
    codes: Matrix,
    y: Vector,
    index_date: npt.NDArray[np.datetime64],
    *,
    since: str = "",
    resamples: int = RESAMPLES,
    seed: int = 1,
    share: Share = alone,
    progress: Progress = silent,
) -> LaterPeriod:
    """Predict the patients operated last by a model that learned from those operated before.

    Args:
        make: the whole method.
        codes: rows of codes (n, F), NaN for unknown.
        y: the outcome (n,), 0 or 1.
        index_date: the day of each operation (n,), NaT unknown: such patients are left out.
        since: first day of the later period (2024-01-31); the last third when not given.
        resamples: behind the intervals.
        seed: of these.
        share: who does the work.
        progress: told when it is done.
    """
    dated = np.flatnonzero(~np.isnat(index_date))
    undated = len(y) - len(dated)
    notes = [f"{undated} patients without a date were left out."] if undated else []
    if not len(dated):
        return LaterPeriod("", None, ("No test in a later period: no date is known.",))
    days = index_date.astype("datetime64[D]")
    ordered = np.sort(days[dated])
    first = np.datetime64(since) if since else ordered[int(len(dated) * (1 - LATER_SHARE))]
    before, after = dated[days[dated] < first], dated[days[dated] >= first]
    words = too_few(y[before]) or too_few(y[after])
    if words:
        when = "before" if too_few(y[before]) else "since"
        return LaterPeriod(
            str(first), None, (*notes, f"No test in a later period: {when} {first}, {words}")
        )
    task = Task(before, after)
    (refit,) = refitted(
        make, codes, y, [task], share=share, progress=progress, stage="testing on later patients"
    )
    if refit.trouble:
        return LaterPeriod(str(first), None, (*notes, *troubles([refit])))
    later = _elsewhere(f"since {first}", y, task, refit, resamples, seed)
    return LaterPeriod(str(first), later, tuple(notes))


def _elsewhere(
    name: str, y: Vector, task: Task, refit: Refit, resamples: int, seed: int
) -> Elsewhere:
    outcome = y[task.test]
    return Elsewhere(
        name=name,
        learned_from=len(task.learn),
        learned_events=kinds(y[task.learn])[0],
        performance=evaluate(outcome, refit.risk, resamples=resamples, seed=seed),
        poolable=tuple(_poolables(outcome, refit.risk, resamples, seed)),
    )


def _poolables(outcome: Vector, risk: Vector, resamples: int, seed: int) -> Iterator[Poolable]:
    # In an order of their own, so that draws do not depend on the order of rows in a file.
    order = np.lexsort((outcome, risk))
    outcome, risk = outcome[order], risk[order]
    draws = drawn(outcome, {"": risk[None]}, resamples, seed)[""]
    for column, measure in zip(draws.T, MEASURES, strict=True):
        if measure.name not in SCALES:
            continue
        scale = SCALES[measure.name]
        moved = scale.there(column)
        usable = moved[np.isfinite(moved)]
        sure = len(usable) > 1 and len(usable) >= USABLE_SHARE * resamples
        error = float(usable.std(ddof=1)) if sure else math.nan
        estimate = float(scale.there(np.array([measure.function(outcome, risk, None)]))[0])
        yield Poolable(
            measure.name,
            scale.name,
            estimate if math.isfinite(estimate) else math.nan,
            error if error > 0 else math.nan,
        )


def _summaries(sites: Sequence[Elsewhere], pool: Pool) -> Iterator[Summary]:
    labels = {measure.name: measure.label for measure in MEASURES}
    for at, (name, scale) in enumerate(SCALES.items()):
        estimates = np.array([site.poolable[at].estimate for site in sites])
        errors = np.array([site.poolable[at].standard_error for site in sites])
        yield Summary(name, labels[name], scale.name, pool(estimates, errors))
