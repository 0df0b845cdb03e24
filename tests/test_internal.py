"""One recipe, every question, one record: whatever the order of rows and number of processes."""

import json

import numpy as np
import pytest

from methods import Logistic
from spinecast.errors import UsageRefused
from spinecast.fitting.internal import internal_validation
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    ProofRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.simulator.synthetic import simulate

QUICK = Recipe(
    evidence=EvidenceRecipe(weights=(0.0, 1.0), scales=(1.0,)),
    trees=TreeRecipe(most_rounds=5),
    resampling=ResamplingRecipe(inner_folds=2, inner_repeats=1, outer_folds=2, bootstraps=4),
    proof=ProofRecipe(
        learning_from=100, learning_repeats=2, unknown_share=0.2, unknown_factors=("smoking",)
    ),
)


@pytest.fixture(scope="module")
def simulated(tiny):
    return simulate(tiny, 500, 1)


@pytest.fixture(scope="module")
def cohort(simulated):
    return simulated.cohort()


@pytest.fixture(scope="module")
def y(simulated):
    return np.where(np.arange(500) % 20 == 0, np.nan, simulated.outcome)


def pool(estimates, errors):
    return {"mean": float(np.mean(estimates))}


@pytest.fixture(scope="module")
def validated(cohort, y):
    return internal_validation(cohort, y, QUICK, pool=pool)


def test_every_question_of_the_recipe_is_answered(validated, y):
    assert validated.patients == (~np.isnan(y)).sum()
    assert validated.events == np.nansum(y)
    assert validated.optimism.used == 4
    assert len(validated.sites.sites) >= 2
    assert validated.period.later is not None
    assert [size.patients for size in validated.learning.sizes][:1] == [100]
    assert [known.name for known in validated.in_use.known] == [
        "as recorded",
        "unknown: smoking",
        "20% of answers unknown",
    ]


def test_the_order_of_rows_changes_nothing(cohort, y, validated):
    order = np.random.default_rng(3).permutation(len(cohort))
    again = internal_validation(cohort.take(order), y[order], QUICK, pool=pool)
    assert again.to_dict() == validated.to_dict()


def test_the_number_of_processes_changes_nothing(cohort, y, validated):
    shared = internal_validation(cohort, y, QUICK, pool=pool, processes=2)
    assert shared.to_dict() == validated.to_dict()
    for name in ("risk", "low", "high", "error"):
        np.testing.assert_array_equal(
            getattr(shared.optimism.instability, name),
            getattr(validated.optimism.instability, name),
        )


def test_another_seed_draws_others(cohort, y, validated):
    other = internal_validation(cohort, y, QUICK.model_copy(update={"seed": 2}), make=Logistic)
    same = internal_validation(cohort, y, QUICK, make=Logistic)
    assert other.optimism.measures != same.optimism.measures
    assert same.optimism.measures != validated.optimism.measures


def test_the_record_is_plain_json_without_a_number_per_patient(validated, cohort):
    told = json.loads(json.dumps(validated.to_dict(), allow_nan=False))
    assert told["optimism"]["instability"].keys() == {"mean_error", "level"}
    assert told["sites"]["summaries"][0]["pooled"].keys() == {"mean"}
    assert str(cohort.patient_id[0]) not in json.dumps(told)


def test_what_is_not_asked_is_not_done(cohort, y):
    proof = ProofRecipe(sites=False, period=False, learning_from=0)
    recipe = Recipe(resampling=ResamplingRecipe(bootstraps=0), proof=proof)
    found = internal_validation(cohort, y, recipe, make=Logistic)
    parts = (found.optimism, found.sites, found.period, found.learning, found.in_use)
    assert parts == (None,) * 5
    assert found.notes == ()


def test_what_cannot_be_done_is_said_part_by_part(cohort, y):
    events = np.flatnonzero(y == 1)
    few = np.where(np.isin(np.arange(len(y)), events[9:]), np.nan, y)
    found = internal_validation(cohort, few, QUICK, make=Logistic)
    for title in ("Bootstrap", "Other sites", "Later period", "Learning curve", "As in use"):
        assert any(note.startswith(f"{title}: ") for note in found.notes), title
    assert found.events == 9


def test_no_outcome_at_all_is_said(cohort):
    found = internal_validation(cohort, np.full(len(cohort), np.nan), QUICK, make=Logistic)
    assert (found.patients, found.events) == (0, 0)
    assert found.optimism.measures == ()
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_factor_that_is_not_there_cannot_be_blanked(cohort, y):
    recipe = QUICK.model_copy(update={"proof": ProofRecipe(unknown_factors=("smokin",))})
    with pytest.raises(UsageRefused, match="smokin"):
        internal_validation(cohort, y, recipe)
