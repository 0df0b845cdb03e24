"""Patients with a known truth: a cohort as a hospital would have recorded it, and what it hides.

The story, in order. Candidates are drawn from the population of the registry and operated in one
of a few hospitals. Each has a true risk (see `truth`), and whether the operation fails is drawn
from it. Only then is a follow-up drawn, and drawn again until the registry's own definition says of
it what happened: the outcome is derived from the file as from a real one, and agrees with the
truth. Last, answers are left blank and patients fail to come back, the way they do in registries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinecast.cohorts.cohort import Cohort
from spinecast.distribution.population import Population
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.rules import parse
from spinecast.measures.metrics import best_auroc
from spinecast.patients.answers import INDEX_DATE
from spinecast.patients.patient import PATIENT_ID, SIMULATED, SITE
from spinecast.simulator.followup import draw_followup, who_is_lost
from spinecast.simulator.truth import Truth, draw_truth

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
DayArray = npt.NDArray[np.datetime64]

MORE_MISSING = 1.5  # how much more often an answer is blank in one of the hospitals
REDRAWS = 100


@dataclass(frozen=True, eq=False)
class SimulatedCohort:
    """Simulated patients: what the file says, and what is true of them.

    Attributes:
        registry: what the columns mean.
        truth: the hospital's true effects.
        complete: the patients' codes before anything was left blank, (n, F).
        codes: the same as recorded, NaN unknown.
        site: number of the hospital, from 0, (n,).
        index_date: day of the operation, (n,).
        followup: follow-up columns by name; NaN for patients who did not come back.
        true_risk: the probability from which the outcome was drawn, (n,).
        outcome: 1 failed, 0 did not: what happened, also to those who did not come back, (n,).
        unresolved: patients for whom no follow-up agreeing with the outcome was found; theirs is
            unknown.
    """

    registry: Registry
    truth: Truth
    complete: FloatArray
    codes: FloatArray
    site: IntArray
    index_date: DayArray
    followup: Mapping[str, FloatArray]
    true_risk: FloatArray
    outcome: FloatArray
    unresolved: int

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def best_auroc(self) -> float:
        """The AUROC nobody can beat: that of the true risk itself."""
        return best_auroc(self.true_risk)

    @property
    def patient_id(self) -> npt.NDArray[np.object_]:
        """simulated-000001 and so on, (n,): nobody can take them for real ones."""
        return np.array(
            [f"{SIMULATED}{number:06d}" for number in range(1, len(self) + 1)], dtype=object
        )

    @property
    def site_name(self) -> npt.NDArray[np.object_]:
        """The hospital of each patient, by name, (n,)."""
        names = [f"hospital_{number + 1}" for number in range(len(self.truth.sites))]
        return np.array(names, dtype=object)[self.site]

    def cohort(self) -> Cohort:
        """The patients as a cohort, as if their file had been read."""
        unknown = np.full(len(self), np.nan)
        columns = [column.name for column in self.registry.outcome.columns]
        outcome = {name: self.followup.get(name, unknown) for name in columns}
        return Cohort(
            self.registry, self.patient_id, self.codes, self.site_name, self.index_date, outcome
        )

    def frame(self) -> pd.DataFrame:
        """The patients as a file: level names and numbers, nothing where unknown."""
        columns: dict[str, object] = {
            PATIENT_ID: self.patient_id,
            SITE: self.site_name,
            INDEX_DATE: self.index_date.astype(str),
        }
        for column, factor in enumerate(self.registry.factors):
            codes = self.codes[:, column]
            columns[factor.name] = (
                _numbers(codes) if factor.is_numeric else _names(codes, factor.levels)
            )
        kinds = {column.name: column.kind for column in self.registry.outcome.columns}
        for name, codes in self.followup.items():
            columns[name] = _AS_WRITTEN[kinds[name]](codes)
        return pd.DataFrame(columns)

    def truth_frame(self) -> pd.DataFrame:
        """What the file hides: each patient's true risk and what really happened."""
        return pd.DataFrame(
            {
                PATIENT_ID: self.patient_id,
                "true_risk": self.true_risk,
                "outcome": self.outcome.astype(np.int64),
            }
        )


def simulate(
    registry: Registry,
    patients: int,
    seed: int,
    *,
    truth_seed: int | None = None,
    heterogeneity: float | None = None,
    evidence_sign: float = 1.0,
    directions_hold: bool = True,
    missing: float | None = None,
    lost: float | None = None,
    base_rate: float | None = None,
    case_mix: float = 0.0,
) -> SimulatedCohort:
    """Simulate a cohort; the same arguments give the same patients, byte for byte.

    Args:
        registry: what patients look like, what raises their risk, what is recorded of them.
        patients: how many.
        seed: of these patients.
        truth_seed: of the hospital's truth; `seed` when not given. Cohorts of one truth seed are
            different patients of the same hospitals.
        heterogeneity: SD of the true log-odds ratios around the published ones; the registry's
            between-study SD when not given.
        evidence_sign: 1 for truths around the published effects, 0 around none, -1 around their
            opposites: a hospital that contradicts all of it.
        directions_hold: whether declared directions are true there; see `truth.draw_truth`.
        missing: share of answers left blank, the same for every factor; the registry's when not
            given.
        lost: share of patients who do not come back; the registry's when not given.
        base_rate: how often the outcome occurs among the registry's candidates; as the registry
            says when not given.
        case_mix: how far this hospital's candidates differ from the registry's: SD, in standard
            deviations of a factor, of the factors' mean differences (drawn with the truth).
    """
    truth = draw_truth(
        registry,
        seed if truth_seed is None else truth_seed,
        heterogeneity=heterogeneity,
        evidence_sign=evidence_sign,
        directions_hold=directions_hold,
        base_rate=base_rate,
    )
    here = Population.from_registry(registry)
    if case_mix:
        hospital = _stream(seed if truth_seed is None else truth_seed, 8)
        here = here.tilted(case_mix * hospital.standard_normal(len(registry.factors)))
    complete = _candidates(registry, here, patients, _stream(seed, 1))
    site = _stream(seed, 2).integers(0, len(truth.sites), patients)
    true_risk = truth.risk(complete, site)
    outcome = (_stream(seed, 3).random(patients) < true_risk).astype(float)
    index_date = _index_dates(registry, patients, _stream(seed, 4))
    days = index_date.astype(np.int64).astype(np.float64)
    columns = {**_columns(registry, complete), INDEX_DATE: days}
    followup, unresolved = draw_followup(registry, columns, outcome, _stream(seed, 5))
    gone = unresolved | who_is_lost(registry, columns, lost, _stream(seed, 6))
    followup = {name: np.where(gone, np.nan, values) for name, values in followup.items()}
    return SimulatedCohort(
        registry,
        truth,
        complete,
        _with_blanks(registry, complete, site, missing, _stream(seed, 7)),
        site,
        index_date,
        MappingProxyType(followup),
        true_risk,
        outcome,
        int(unresolved.sum()),
    )


def _stream(seed: int, purpose: int) -> np.random.Generator:
    """Random numbers for one purpose, so that a change of one leaves the others as they were."""
    return np.random.default_rng([seed, purpose])


def _columns(registry: Registry, codes: FloatArray) -> dict[str, FloatArray]:
    return {name: codes[:, column] for column, name in enumerate(registry.names)}


def _candidates(
    registry: Registry, population: Population, patients: int, rng: np.random.Generator
) -> FloatArray:
    """Candidates for surgery; one whose answers contradict each other is drawn again."""
    levels = {factor.name: factor.level_codes for factor in registry.factors}
    rules = [parse(impossible.rule, levels, "impossible") for impossible in registry.impossible]
    codes = population.sample(patients, rng)
    again = np.arange(patients)
    for _ in range(REDRAWS):
        columns = _columns(registry, codes[again])
        cannot_be = np.zeros(len(again), dtype=bool)
        for rule in rules:
            cannot_be |= rule.holds(columns) == 1
        again = again[cannot_be]
        if not len(again):
            break
        codes[again] = population.sample(len(again), rng)
    return codes


def _index_dates(registry: Registry, patients: int, rng: np.random.Generator) -> DayArray:
    first = np.datetime64(registry.simulation.first_index_date, "D")
    last = np.datetime64(registry.simulation.last_index_date, "D")
    days = rng.integers(0, int((last - first).astype(int)) + 1, patients)
    return np.asarray(first + days.astype("timedelta64[D]"), dtype="datetime64[D]")


def _with_blanks(
    registry: Registry,
    codes: FloatArray,
    site: IntArray,
    missing: float | None,
    rng: np.random.Generator,
) -> FloatArray:
    """The codes as recorded: answers left blank at random, more often in one of the hospitals."""
    simulation = registry.simulation
    told = {} if missing is not None else simulation.missing_share
    usual = simulation.missing if missing is None else missing
    share = np.array([told.get(name, usual) for name in registry.names])
    careless = rng.integers(0, simulation.sites)
    often = np.where(site == careless, MORE_MISSING, 1.0)
    blank = rng.random(codes.shape) < np.minimum(share * often[:, None], 1.0)
    return np.where(blank, np.nan, codes)


# --- as written in a file ------------------------------------------------------------------------


def _names(codes: FloatArray, levels: tuple[str, ...]) -> npt.NDArray[np.object_]:
    """Level names, None where unknown."""
    names = np.array([*levels, None], dtype=object)
    return names[np.where(np.isnan(codes), len(levels), codes).astype(np.int64)]


def _yes_no(codes: FloatArray) -> npt.NDArray[np.object_]:
    return _names(codes, ("no", "yes"))


def _numbers(codes: FloatArray) -> pd.Series[int] | pd.Series[float]:
    """Whole numbers without a decimal point, others as they are."""
    known = codes[~np.isnan(codes)]
    numbers = pd.Series(codes)
    return numbers.astype("Int64") if np.all(known == np.round(known)) else numbers


def _days(codes: FloatArray) -> npt.NDArray[np.object_]:
    """Days since 1970-01-01 as dates, None where unknown."""
    unknown = np.isnan(codes)
    dates = np.where(unknown, 0, codes).astype("datetime64[D]").astype(str).astype(object)
    dates[unknown] = None
    return np.asarray(dates)


_AS_WRITTEN: Mapping[str, Callable[[FloatArray], object]] = MappingProxyType(
    {"number": _numbers, "yes_no": _yes_no, "date": _days}
)
