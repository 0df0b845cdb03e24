"""What in a cohort looks like an error of coding rather than a mix of cases, in words.

A cohort is set beside what is published (`published`). Hospitals differ, and a specialised one
differs a great deal, so only what no case-mix explains is flagged: each flag says what was seen,
the likely cause and what to do, and rejects nothing. The same is asked of every large enough site
alone, because codes are mixed up at one site more often than at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spinecast.cohorts.identical import are_identical
from spinecast.judging.one_factor import (
    EXPECTED,
    FEWEST_KNOWN,
    Suspicion,
    odds_ratio,
    suspicion_of,
)
from spinecast.judging.published import published
from spinecast.knowledge.factors import Registry
from spinecast.logic import FloatArray

FEWEST_AT_SITE = 50  # patients before a site is looked at alone
MOST = 200_000  # patients looked at: a code that is wrong is wrong in any sample of them
TELLS = 0.97  # AUROC of one factor alone; no published predictor comes near it
FAR_OUTCOME = 3.0  # odds of the outcome beyond the published interval

Columns = Mapping[str, FloatArray]
Rows = NDArray[np.bool_]


def suspicions(
    registry: Registry,
    codes: FloatArray,
    site: NDArray[np.object_],
    followup: Columns,
    failed: FloatArray,
    *,
    absent: frozenset[str] = frozenset(),
    is_default: bool = True,
) -> tuple[Suspicion, ...]:
    """Everything in some patients that looks like an error of coding.

    Args:
        registry: what is published.
        codes: of the patients, (n, F), NaN unknown.
        site: of each, "" unknown, (n,).
        followup: follow-up columns by name, (n,) each, NaN unknown.
        failed: 1, 0 or NaN not known, (n,).
        absent: factors without a column: nothing is to be said of them.
        is_default: whether the outcome is the one whose base rate is published.
    """
    every = slice(None, None, -(-len(codes) // MOST) or 1)
    codes, site, failed = codes[every], site[every], failed[every]
    found = list(_of_factors(registry, codes, absent))
    named = {one.columns for one in found}
    for name, rows in _sites(site):
        alone = _of_factors(registry, codes[rows], absent)
        found += [replace(one, site=name) for one in alone if one.columns not in named]
    columns = dict(zip(registry.names, codes.T, strict=True))
    columns |= {name: column[every] for name, column in followup.items()}
    found.extend(_same(columns))
    found.extend(_tells(registry, codes, failed))
    if is_default:
        found.extend(_outcome(registry, failed))
    return tuple(found)


def _sites(site: NDArray[np.object_]) -> Iterator[tuple[str, Rows]]:
    """The sites that are large enough, when there are several."""
    names, of = np.unique(site.astype(str), return_inverse=True)
    if len(names) > 1:
        for at, name in enumerate(names):
            if name and (of == at).sum() >= FEWEST_AT_SITE:
                yield str(name), of == at


def _of_factors(
    registry: Registry, codes: FloatArray, absent: frozenset[str]
) -> Iterator[Suspicion]:
    """At most one suspicion of each factor: the first that explains most."""
    pairs = zip(published(registry, codes), codes.T, strict=True)
    found = (suspicion_of(told, column) for told, column in pairs if len(column))
    yield from (one for one in found if one is not None and one.columns[0] not in absent)


# --- several columns ---------------------------------------------------------------------------


def _same(columns: Columns) -> Iterator[Suspicion]:
    """Columns that say the same of every patient; one was copied over the other."""
    for one, other in itertools.combinations(columns, 2):
        if are_identical(columns[one], columns[other]):
            yield Suspicion(
                "identical",
                (one, other),
                "",
                "they are the same in every patient of whom both are known",
                "one column was mapped or copied twice",
                "Check which column of the original file each comes from.",
            )


def _tells(registry: Registry, codes: FloatArray, failed: FloatArray) -> Iterator[Suspicion]:
    """Factors that alone tell who failed: they were filled in afterwards, or are the outcome."""
    for factor, column in zip(registry.factors, codes.T, strict=True):
        known = ~(np.isnan(column) | np.isnan(failed))
        values, y = column[known], failed[known]
        if min((y == 1).sum(), (y == 0).sum()) < EXPECTED:
            continue
        area = max(_area(values, y), _area(-values, y))
        if area >= TELLS:
            yield Suspicion(
                "tells_outcome",
                (factor.name,),
                "",
                f"alone it tells who failed (AUROC {area:.2f})",
                "it was filled in afterwards, or is the outcome under another name",
                "Only what was recorded beforehand may stand here.",
            )


def _area(values: FloatArray, y: FloatArray) -> float:
    """The AUROC of one column, ties counted half."""
    distinct, place = np.unique(values, return_inverse=True)
    events = np.bincount(place, weights=y, minlength=len(distinct))
    others = np.bincount(place, weights=1 - y, minlength=len(distinct))
    below = np.cumsum(others) - others
    return float((events * (below + others / 2)).sum() / (events.sum() * others.sum()))


def _outcome(registry: Registry, failed: FloatArray) -> Iterator[Suspicion]:
    known = failed[~np.isnan(failed)]
    if len(known) < FEWEST_KNOWN or registry.base_rate is None:
        return
    share = float(known.mean())
    low, high = registry.base_rate.interval
    nearest = min(max(share, low), high)
    if nearest == share or odds_ratio(share, nearest, len(known)) < FAR_OUTCOME:
        return
    swapped = low <= 1 - share <= high
    yield Suspicion(
        "outcome_far",
        (registry.outcome.default,),
        "",
        f"{share:.0%} of {len(known):,} failed; published: {low:.0%} to {high:.0%}",
        "yes and no of an outcome column look swapped"
        if swapped
        else "another definition, another time of follow-up, or scores on another scale",
        "Compare the definitions above, and the scales of the follow-up columns.",
    )
