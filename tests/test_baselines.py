"""What our model must beat answers every patient, whatever is unknown, and without a warning.

Warnings are errors here as in all tests (pyproject.toml).
"""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from spinecast.distribution.population import Population
from spinecast.fitting.baselines import BASELINES
from spinecast.measures.logistic import expit, logit
from spinecast.measures.metrics import auroc
from spinecast.modelling.features import Encoding
from spinecast.modelling.model import reference_row
from spinecast.simulator.synthetic import simulate

EVERY_BASELINE = pytest.mark.parametrize("name", BASELINES)
LEARNING = pytest.mark.parametrize("name", [n for n in BASELINES if n != "published evidence"])


@pytest.fixture(scope="module")
def cohort(tiny):
    """Patients among whom smoking is all that matters, and a fifth of the answers blank."""
    complete = simulate(tiny, 240, 1, missing=0.0).codes
    codes = np.where(np.random.default_rng(1).random(complete.shape) < 0.2, np.nan, complete)
    y = (np.random.default_rng(2).random(240) < expit(1.2 * complete[:, 0] - 2)) * 1.0
    return codes, y


@pytest.fixture(scope="module")
def fitted(tiny, cohort):
    return {name: make(tiny, 1).fit(*cohort) for name, make in BASELINES.items()}


def risks(method, codes):
    """Risk of failure, after checking that both columns are probabilities."""
    both = method.predict_proba(codes)
    assert both.shape == (len(codes), 2)
    np.testing.assert_allclose(both.sum(axis=1), 1, atol=1e-6)
    assert np.all((both > 0) & (both < 1))
    return both[:, 1]


# --- laws ------------------------------------------------------------------------------------


@EVERY_BASELINE
def test_every_patient_gets_a_risk(fitted, tiny, cohort, name):
    nothing_known = np.full((1, len(tiny.factors)), np.nan)
    extremes = np.array([[f.bounds[end] for f in tiny.factors] for end in (0, 1)])
    risks(fitted[name], np.vstack([cohort[0], nothing_known, extremes]))


@EVERY_BASELINE
def test_risks_are_right_on_the_whole(fitted, cohort, name):
    assert risks(fitted[name], cohort[0]).mean() == pytest.approx(cohort[1].mean(), abs=0.03)


@EVERY_BASELINE
def test_one_patient_gets_the_risk_all_get_together(fitted, cohort, name):
    together = risks(fitted[name], cohort[0][:20])
    alone = [risks(fitted[name], row[None])[0] for row in cohort[0][:20]]
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)


@EVERY_BASELINE
def test_the_same_seed_gives_the_same_risks(fitted, tiny, cohort, name):
    again = BASELINES[name](tiny, 1).fit(*cohort)
    np.testing.assert_array_equal(risks(again, cohort[0]), risks(fitted[name], cohort[0]))


@LEARNING
def test_what_matters_is_learned(fitted, tiny, name):
    codes = simulate(tiny, 1000, 5, missing=0.0).codes
    y = (np.random.default_rng(3).random(1000) < expit(1.2 * codes[:, 0] - 2)) * 1.0
    assert auroc(y, risks(fitted[name], codes)) > 0.65
    smokers = np.tile(reference_row(tiny), (2, 1))
    smokers[1, 0] = 2.0
    never, current = risks(fitted[name], smokers)
    assert current > never + 0.1


@EVERY_BASELINE
def test_fitting_leaves_the_patients_alone(tiny, cohort, name):
    codes, y = cohort[0].copy(), cohort[1].copy()
    BASELINES[name](tiny, 1).fit(codes, y).predict_proba(codes)
    np.testing.assert_array_equal(codes, cohort[0])
    np.testing.assert_array_equal(y, cohort[1])


# --- what a cohort may lack ------------------------------------------------------------------


@EVERY_BASELINE
@pytest.mark.parametrize("factor", ["smoking", "pain", "diabetes", "lesion"])
def test_a_factor_unknown_of_all_patients_may_be_known_of_the_next(tiny, cohort, name, factor):
    codes = cohort[0].copy()
    index = tiny.names.index(factor)
    codes[:, index] = np.nan
    method = BASELINES[name](tiny, 1).fit(codes, cohort[1])
    known = codes.copy()
    known[:, index] = tiny.factors[index].bounds[1]
    for patients in (codes, known):
        risks(method, patients)


@EVERY_BASELINE
@pytest.mark.parametrize(("factor", "level"), [("smoking", 2), ("diabetes", 1), ("lesion", 1)])
def test_a_level_no_patient_had_may_be_that_of_the_next(tiny, cohort, name, factor, level):
    index = tiny.names.index(factor)
    without = cohort[0][:, index] != level
    method = BASELINES[name](tiny, 1).fit(cohort[0][without], cohort[1][without])
    new = cohort[0][:30].copy()
    new[:, index] = level
    risks(method, new)


@EVERY_BASELINE
def test_a_factor_known_of_all_patients_may_be_unknown_of_the_next(tiny, name):
    codes = simulate(tiny, 200, 6, missing=0.0).codes
    y = (np.random.default_rng(4).random(200) < 0.3) * 1.0
    method = BASELINES[name](tiny, 1).fit(codes, y)
    for index in range(len(tiny.factors)):
        blank = codes[:5].copy()
        blank[:, index] = np.nan
        risks(method, blank)


# --- the published score ---------------------------------------------------------------------


def test_the_published_score_takes_nothing_but_the_intercept_from_the_cohort(registry):
    cohort = simulate(registry, 300, 1, missing=0.0)
    method = BASELINES["published evidence"](registry, 1).fit(cohort.codes, cohort.outcome)
    encoding = Encoding.from_registry(registry)
    score = encoding.encode(cohort.codes) @ encoding.published
    shift = logit(risks(method, cohort.codes)) - score
    np.testing.assert_allclose(shift, shift[0], atol=1e-9)
    assert risks(method, cohort.codes).mean() == pytest.approx(cohort.outcome.mean(), abs=1e-6)


def test_an_unknown_answer_is_completed_by_the_cohort_in_the_published_score(registry):
    cohort = simulate(registry, 300, 1)
    method = BASELINES["published evidence"](registry, 1).fit(cohort.codes, cohort.outcome)
    population = Population.fit(registry, cohort.codes)
    index = registry.names.index("smoking_status")
    rows = np.tile(reference_row(registry), (4, 1))
    rows[:, index] = [0, 1, 2, np.nan]
    margins = logit(risks(method, rows))
    chances = population.complete(rows).guesses[index].chances[0]
    assert margins[3] == pytest.approx(chances @ margins[:3], abs=1e-9)


# --- references ------------------------------------------------------------------------------


def test_ridge_is_a_penalised_logistic_regression_on_standardised_columns(tiny):
    codes = simulate(tiny, 300, 7, missing=0.0).codes
    y = (np.random.default_rng(5).random(300) < expit(codes[:, 0] - 1.5)) * 1.0
    method = BASELINES["ridge"](tiny, 1).fit(codes, y)
    standard = (codes - codes.mean(axis=0)) / codes.std(axis=0)  # two lesions: code and dummy agree
    chosen = float(np.ravel(method[-1].C_)[0])
    theirs = LogisticRegression(C=chosen, tol=1e-8, max_iter=1000).fit(standard, y)
    np.testing.assert_allclose(
        risks(method, codes), theirs.predict_proba(standard)[:, 1], rtol=0, atol=1e-3
    )
