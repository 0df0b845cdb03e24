"""Patients in groups: by hospital, by when they came, by what a registry names.

A registry names factors in `subgroups`; numbers are cut at the cohort's own tertiles, rounded to
whole units. Patients about whom it is not known form a group of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spinecast.cohorts.cohort import Cohort
from spinecast.knowledge.factors import Factor
from spinecast.logic import FloatArray
from spinecast.patients.answers import day

NOT_KNOWN = "not known"
SITE, PERIOD = "site", "period"
FEWEST_A_YEAR = 10
"""Patients of either kind that a calendar year needs, to be judged alone."""

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """One way of putting every patient into one group.

    Attributes:
        by: a factor's name, `site` or `period`.
        label: the same for people.
        names: of the groups; none of them is empty.
        place: for every patient the position of the group in `names`.
    """

    by: str
    label: str
    names: tuple[str, ...]
    place: Places

    def members(self, name: str) -> npt.NDArray[np.bool_]:
        """For every patient whether he or she is in the named group."""
        return np.asarray(self.place == self.names.index(name), dtype=np.bool_)


def groupings(cohort: Cohort, outcome: FloatArray) -> tuple[Grouping, ...]:
    """Every way of grouping that these patients allow; one that has a single group is none.

    Args:
        cohort: the patients.
        outcome: shape (patients,), 1, 0 or NaN; it decides only whether calendar years are large
            enough (else the patients are put in thirds by date).
    """
    found = [_sites(cohort), _periods(cohort, outcome)]
    named = (cohort.registry.by_name[name] for name in dict.fromkeys(cohort.registry.subgroups))
    found += [_factor(factor, cohort) for factor in named]
    return tuple(grouping for grouping in found if len(grouping.names) > 1)


def _grouping(by: str, label: str, names: list[str], place: Places) -> Grouping:
    """The groups that have patients, with the unknown (place -1) last."""
    place = np.where(place < 0, len(names), place)
    present, place = np.unique(place, return_inverse=True)
    kept = tuple([*names, NOT_KNOWN][i] for i in present)
    return Grouping(by, label, kept, place.reshape(-1).astype(np.intp))


def _sites(cohort: Cohort) -> Grouping:
    names, place = np.unique(cohort.site.astype(str), return_inverse=True)
    known = [str(name) for name in names if name]
    place = place.reshape(-1) - (len(names) - len(known))
    return _grouping(SITE, "Site", known, place)


def _periods(cohort: Cohort, outcome: FloatArray) -> Grouping:
    """Calendar years where two of them or more are large enough, else thirds by date."""
    dates = cohort.index_date
    known = ~np.isnat(dates)
    years = dates.astype("datetime64[Y]")
    seen = np.unique(years[known])
    large = [year for year in seen if _is_large(outcome[years == year])]
    if len(large) > 1:
        place = np.where(known, np.searchsorted(seen, years), -1)
        return _grouping(PERIOD, "Year", [str(year) for year in seen], place)
    cuts = _tertiles(_days(dates[known]))
    place = np.where(known, np.searchsorted(cuts, _days(dates), side="right"), -1)
    named = [day(float(cut)) for cut in cuts]
    return _grouping(PERIOD, "Date", list(_between(named, "before", "from")), place)


def _is_large(outcome: FloatArray) -> bool:
    return min(int((outcome == kind).sum()) for kind in (0, 1)) >= FEWEST_A_YEAR


def _days(dates: npt.NDArray[np.datetime64]) -> FloatArray:
    return np.asarray(dates.astype("datetime64[D]").astype(np.int64), dtype=np.float64)


def _factor(factor: Factor, cohort: Cohort) -> Grouping:
    codes = cohort.codes[:, cohort.registry.names.index(factor.name)]
    known = ~np.isnan(codes)
    if not factor.is_numeric:
        names = [factor.in_plain_words(code) for code in factor.level_codes.values()]
        place = np.where(known, codes, -1).astype(np.intp)
        return _grouping(factor.name, factor.label, names, place)
    cuts = _tertiles(codes[known])
    place = np.where(known, np.searchsorted(cuts, codes, side="right"), -1)
    named = [factor.with_unit(cut) for cut in cuts]
    return _grouping(factor.name, factor.label, list(_between(named, "below", "from")), place)


def _tertiles(numbers: FloatArray) -> FloatArray:
    """Where thirds of some numbers meet, in whole units; nothing where there are none."""
    if not len(numbers):
        return np.empty(0)
    return np.unique(np.rint(np.quantile(numbers, [1 / 3, 2 / 3])))


def _between(cuts: list[str], below: str, upwards: str) -> Iterator[str]:
    """Names of the groups that some cuts make."""
    if not cuts:
        yield "all"
        return
    yield f"{below} {cuts[0]}"
    for low, high in pairwise(cuts):
        yield f"{upwards} {low}, {below} {high}"
    yield f"{upwards} {cuts[-1]}"
