"""What a simulated patient reports a year later: scores that agree with what happened.

Follow-up is drawn and drawn again until the registry's own definition, asked about it, answers with
the outcome that was drawn for the patient.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from spinecast.cohorts.outcome import DAYS_A_MONTH, derive
from spinecast.knowledge.endpoint import OutcomeColumn, OutcomeSpec
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.simulation import FollowUp
from spinecast.measures.logistic import expit
from spinecast.patients.answers import INDEX_DATE
from spinecast.simulator.truth import intercept_for, shifts, shifts_of

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

TRIES = 200
YEAR_DAYS = 365.0
SPREAD_DAYS = 21.0  # how far follow-up visits lie around one year


def draw_followup(
    registry: Registry,
    columns: Mapping[str, FloatArray],
    outcome: FloatArray,
    rng: np.random.Generator,
) -> tuple[dict[str, FloatArray], BoolArray]:
    """Follow-up columns by name, and for whom none was found that agrees with the outcome.

    Args:
        registry: its default definition judges, its simulation says how scores are drawn.
        columns: codes of every factor, complete, and the day of the operation, (n,) each.
        outcome: 1 failed, 0 did not, (n,).
        rng: the only source of chance.
    """
    described = {column.name: column for column in registry.outcome.columns}
    drawn = {
        column.name: _dates(registry.outcome, columns[INDEX_DATE], rng)
        for column in registry.outcome.columns
        if column.kind == "date"
    }
    told = registry.simulation.followup
    drawn |= {plan.column: np.full(len(outcome), np.nan) for plan in told}
    # A definition may read columns that nobody declared how to simulate: they stay unknown.
    blank = {name: np.full(len(outcome), np.nan) for name in described if name not in drawn}
    open_rows = np.arange(len(outcome))
    for _ in range(TRIES if told else 0):
        seen = {name: values[open_rows] for name, values in {**columns, **blank, **drawn}.items()}
        for plan in told:
            seen[plan.column] = _draw(
                plan, described[plan.column], registry, seen, outcome[open_rows], rng
            )
            drawn[plan.column][open_rows] = seen[plan.column]
        open_rows = open_rows[derive(registry, seen) != outcome[open_rows]]
        if not len(open_rows):
            break
    unresolved = np.zeros(len(outcome), dtype=bool)
    unresolved[open_rows] = True
    return drawn, unresolved


def _dates(spec: OutcomeSpec, operated: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Days of follow-up: about a year after the operation, within the window."""
    waited = np.round(rng.normal(YEAR_DAYS, SPREAD_DAYS, len(operated)))
    if spec.window_months is not None:
        earliest, latest = (months * DAYS_A_MONTH for months in spec.window_months)
        waited = np.clip(waited, np.ceil(earliest), np.floor(latest))
    return operated + waited


def _draw(
    plan: FollowUp,
    column: OutcomeColumn,
    registry: Registry,
    seen: Mapping[str, FloatArray],
    outcome: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """One try at a follow-up column: what patients report, given what happened to them."""
    told = np.where(outcome[:, None] == 1, np.array([plan.failure]), np.array([plan.success]))
    if column.kind == "yes_no":
        return (rng.random(len(outcome)) < told[:, 0]).astype(float)
    values = rng.normal(told[:, 0], told[:, 1])
    step = 1.0
    if plan.baseline:
        values *= seen[plan.baseline]
        step = registry.by_name[plan.baseline].precision
    low, high = column.range or (-np.inf, np.inf)
    return np.clip(np.round(np.round(values / step) * step, 6), low, high)


def who_is_lost(
    registry: Registry,
    columns: Mapping[str, FloatArray],
    share: float | None,
    rng: np.random.Generator,
) -> BoolArray:
    """Patients who do not come back, (n,): a share of all, some kinds of patient more often."""
    share = registry.simulation.lost if share is None else share
    chance = rng.random(len(columns[INDEX_DATE]))
    if share <= 0 or not len(chance):
        return np.zeros(len(chance), dtype=bool)
    more = np.zeros(len(chance)) + shifts(
        shifts_of(registry, registry.simulation.lost_more), columns
    )
    return chance < expit(more + intercept_for(more, min(share, 1.0)))
