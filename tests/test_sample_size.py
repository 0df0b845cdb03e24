"""How many patients: the authors' own examples, laws of the assumed spread, and words."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from spinecast.measures import metrics
from spinecast.measures.decisions import net_benefit
from spinecast.measures.sample_size import for_development, largest_r2
from spinecast.measures.spread import Spread
from spinecast.measures.validation_size import auroc_error, benefit_error, for_validation

aurocs = st.floats(0.55, 0.95)
prevalences = st.floats(0.02, 0.98)


def _needed(made):
    return [criterion.needed for criterion in made.criteria]


def _drawn(spread, patients, seed=0):
    """Patients of this spread: (outcome, risk)."""
    random = np.random.default_rng(seed)
    risk = random.choice(spread.risks, size=patients, p=spread.shares)
    return (random.random(patients) < risk) * 1.0, risk


# Laws


@given(aurocs, prevalences)
def test_a_spread_has_the_prevalence_and_auroc_it_was_made_from(auroc, prevalence):
    spread = Spread.from_auroc(auroc, prevalence)
    assert spread.prevalence == pytest.approx(prevalence, rel=1e-6)
    events, others = spread.shares * spread.risks, spread.shares * (1 - spread.risks)
    order = np.argsort(spread.margins)
    beaten = np.cumsum(others[order]) - others[order] / 2
    found = events[order] @ beaten / (events.sum() * others.sum())
    assert found == pytest.approx(auroc, abs=1e-4)
    assert 0 < spread.cox_snell_r2 < largest_r2(prevalence)


@given(aurocs, prevalences)
def test_the_rarer_class_decides_not_its_name(auroc, prevalence):
    one, other = (Spread.from_auroc(auroc, p).cox_snell_r2 for p in (prevalence, 1 - prevalence))
    assert one == pytest.approx(other, rel=1e-6)


@given(aurocs, st.floats(0.05, 0.5), st.integers(1, 30))
def test_more_parameters_need_more_patients_and_a_better_model_fewer(auroc, prevalence, count):
    made = for_development(parameters=count, prevalence=prevalence, auroc=auroc)
    more = for_development(parameters=count + 5, prevalence=prevalence, auroc=auroc)
    better = for_development(parameters=count, prevalence=prevalence, auroc=auroc + 0.04)
    assert _needed(more)[0] >= _needed(made)[0] >= _needed(better)[0]
    assert _needed(more)[1] >= _needed(made)[1]
    assert made.needed == max(n for n in _needed(made) if n is not None)


def test_the_r2_of_drawn_patients_is_that_of_their_spread():
    spread = Spread.from_auroc(0.75, 0.2)
    y, risk = _drawn(spread, 400_000)
    alike = np.full_like(y, y.mean())
    found = -math.expm1(2 * (metrics.log_loss(y, risk) - metrics.log_loss(y, alike)))
    assert found == pytest.approx(spread.cox_snell_r2, rel=0.02)
    assert metrics.auroc(y, risk) == pytest.approx(0.75, abs=0.003)
    acted = risk >= 0.3
    assert acted[y == 1].mean() == pytest.approx(spread.sensitivity(0.3), abs=0.005)
    assert (~acted)[y == 0].mean() == pytest.approx(spread.specificity(0.3), abs=0.005)
    assert Spread.of_risks(risk).cox_snell_r2 == pytest.approx(spread.cox_snell_r2, rel=0.02)


def test_with_so_many_patients_effects_do_shrink_by_about_a_tenth():
    """What the first criterion promises: fitted on that many, a model's slope elsewhere is 0.9."""
    parameters, effect, random = 12, 0.3, np.random.default_rng(5)

    def cohort(patients):
        columns = random.normal(size=(patients, parameters))
        margin = -1 + effect * columns.sum(axis=1)
        return columns, random.random(patients) < 1 / (1 + np.exp(-margin))

    fresh, outcome = cohort(100_000)
    spread = Spread.normal(-1, effect * math.sqrt(parameters))
    made = for_development(
        parameters=parameters, prevalence=spread.prevalence, r2=spread.cox_snell_r2
    )
    slopes = []
    for _ in range(25):
        model = LogisticRegression(C=np.inf, solver="newton-cholesky")
        risk = model.fit(*cohort(made.criteria[0].needed)).predict_proba(fresh)[:, 1]
        slopes.append(metrics.calibration_slope(outcome, risk))
    assert np.mean(slopes) == pytest.approx(0.9, abs=0.04)


def test_with_so_many_patients_intervals_are_as_wide_as_asked():
    spread = Spread.from_auroc(0.72, 0.2)
    made = for_validation(
        prevalence=0.2, auroc=0.72, threshold=0.25, ratio_width=0.3, slope_width=0.5,
        benefit_width=0.4,
    )  # fmt: skip
    wanted = dict(zip(("ratio", "slope", "auroc", "benefit"), (0.3, 0.5, 0.1, 0.4), strict=True))
    measured = {
        "ratio": metrics.observed_expected,
        "slope": metrics.calibration_slope,
        "auroc": metrics.auroc,
        "benefit": lambda y, risk: net_benefit(y, risk, 0.25) / y.mean(),
    }
    for (name, width), patients in zip(wanted.items(), _needed(made), strict=True):
        values = [measured[name](*_drawn(spread, patients, seed)) for seed in range(250)]
        assert 2 * 1.96 * np.std(values) == pytest.approx(width, rel=0.15), name


@given(aurocs, st.floats(0.05, 0.5))
def test_the_number_for_the_auroc_is_the_first_that_is_enough(auroc, prevalence):
    needed = for_validation(prevalence=prevalence, auroc=auroc).criteria[2].needed
    assert 2 * 1.96 * auroc_error(auroc, prevalence, needed) <= 0.1
    assert 2 * 1.96 * auroc_error(auroc, prevalence, needed - 1) > 0.1


def test_narrower_intervals_need_more_patients():
    wide, narrow = (
        for_validation(
            prevalence=0.2, auroc=0.7, threshold=0.2, ratio_width=w, slope_width=w, auroc_width=w,
            benefit_width=w,
        )
        for w in (0.2, 0.1)
    )  # fmt: skip
    assert all(n > 3 * m for n, m in zip(_needed(narrow), _needed(wide), strict=True))


# References

# R package pmsampsize 1.1.3, tests/testthat/test_bin.R (Cox-Snell R2, parameters, prevalence).
PMSAMPSIZE = (
    (0.288, 24, 0.174, [623, 662, 221]),
    (0.55, 24, 0.174, [255, 532, 221]),
    (0.288, 36, 0.174, [934, 992, 221]),
    (0.288, 24, 0.25, [623, 590, 289]),
)


@pytest.mark.parametrize(("r2", "parameters", "prevalence", "expected"), PMSAMPSIZE)
def test_agrees_with_pmsampsize(r2, parameters, prevalence, expected):
    made = for_development(parameters=parameters, prevalence=prevalence, r2=r2)
    assert _needed(made)[:3] == expected


def test_agrees_with_pmsampsize_from_an_auroc():
    # Python package pmsampsize 0.1, its own test: cstatistic 0.89, parameters 24, prevalence 0.174
    made = for_development(parameters=24, prevalence=0.174, auroc=0.89)
    assert _needed(made)[:3] == [615, 660, 221]


def test_the_mean_error_of_the_bmj_guide():
    # the formula of Riley 2020, doi:10.1136/bmj.m441: 10 parameters, 30% with the outcome; by hand
    # exp((-0.508 + 0.259 ln 0.3 + 0.504 ln 10 - ln 0.05) / 0.544) = exp(6.1331) = 460.9
    made = for_development(parameters=10, prevalence=0.3, r2=0.2)
    assert made.criteria[3].needed == 461
    assert for_development(parameters=20, prevalence=0.3, r2=0.2).criteria[3].needed > 461
    # the rarer class decides
    assert for_development(parameters=10, prevalence=0.7, r2=0.2).criteria[3].needed == 461


def test_agrees_with_pmvalsampsize():
    # pmvalsampsize on heart valve failure: prevalence 0.018, AUROC 0.8, margins (log-odds)
    # normal with mean -5 and SD 2.5, width 1 for O/E. R tests/testthat/test_bin.R and the Python
    # documentation print 905 and 4252; for the slope 4544, from a million simulated patients where
    # we integrate. It steps the standard error of O/E by 0.0001, which costs it one patient.
    spread = Spread.normal(-5, 2.5)
    made = for_validation(prevalence=0.018, auroc=0.8, spread=spread, ratio_width=1)
    ratio, slope, auroc, benefit = _needed(made)
    assert ratio == pytest.approx(905, abs=1)
    assert slope == pytest.approx(4544, rel=0.005)
    assert auroc == 4252
    assert benefit is None
    # the direction beside the numbers: commoner outcomes need fewer patients
    commoner = for_validation(prevalence=0.1, auroc=0.8, spread=spread, ratio_width=1)
    assert _needed(commoner)[0] < ratio
    assert _needed(commoner)[2] < auroc


def test_margins_that_spread_less_need_more_patients_for_a_slope():
    wide, narrow = (
        for_validation(prevalence=0.3, auroc=0.7, spread=Spread.normal(-1, sd)).criteria[1].needed
        for sd in (1.5, 0.5)
    )
    assert narrow > 4 * wide


# Examples


def test_net_benefit_by_hand():
    # half of the events found, one alarm in five, at a quarter: rate 3 * 1/3 = 1, so per patient
    # 0.25 / 0.25 + 0.16 / 0.75 + 0.04 / 0.1875
    expected = math.sqrt((1 + 0.16 / 0.75 + 0.04 / 0.1875) / 100)
    assert benefit_error(0.25, 0.5, 0.8, 0.25, 100) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("patients", "verdict", "said"),
    [
        (None, "not judged", "Of patients, 1,327 are needed"),
        (1326, "too few", "1,326 patients are too few: 1,327 are needed, .* exploratory"),
        (1327, "enough", "1,327 patients are enough"),
    ],
)
def test_the_verdict_at_below_and_above_the_number_needed(patients, verdict, said):
    made = for_development(parameters=10, prevalence=0.15, auroc=0.7, patients=patients)
    assert made.verdict == verdict
    assert re.search(said, made.sentence)
    assert "overfitting" in made.sentence
    assert made.events_needed == 200
    written = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert written["needed"] == made.needed == 1327


def test_a_small_validation_is_called_imprecise():
    made = for_validation(prevalence=0.2, auroc=0.7, patients=100)
    assert "imprecise" in made.sentence
    assert made.criteria[3].note == "No threshold was declared."


def test_beyond_thirty_parameters_the_mean_error_has_no_say():
    made = for_development(parameters=31, prevalence=0.2, auroc=0.7)
    assert made.criteria[3].needed is None
    assert "30 parameters" in made.criteria[3].note


# Bad input


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: for_development(parameters=0, prevalence=0.2, r2=0.1), "at least 1 parameter"),
        (lambda: for_development(parameters=5, prevalence=1.0, r2=0.1), "above 0 and below 1"),
        (lambda: for_development(parameters=5, prevalence=0.2), "either r2 or auroc"),
        (lambda: for_development(parameters=5, prevalence=0.2, r2=0.1, auroc=0.7), "either"),
        (lambda: for_development(parameters=5, prevalence=0.2, r2=0.7), "below 0.632"),
        (lambda: for_development(parameters=5, prevalence=0.2, auroc=0.5), "above 0.5"),
        (lambda: for_validation(prevalence=0.2, auroc=1.0), "below 1"),
        (lambda: for_validation(prevalence=0, auroc=0.7), "prevalence == 0"),
        (lambda: for_validation(prevalence=0.2, auroc=0.7, slope_width=0), "Widths"),
        (lambda: for_validation(prevalence=0.2, auroc=0.7, threshold=2), "threshold == 2"),
        (
            lambda: for_validation(prevalence=0.2, auroc=0.7, spread=Spread.of_risks([0.2, 0.2])),
            "Every risk is the same",
        ),
        (lambda: Spread.of_risks([0.2, 1.0]), "each above 0"),
        (lambda: Spread.of_risks([]), "not empty"),
        (lambda: Spread.normal(0, 0), "sd == 0"),
    ],
)
def test_numbers_out_of_range_are_an_error(call, said):
    with pytest.raises(ValueError, match=said):
        call()
