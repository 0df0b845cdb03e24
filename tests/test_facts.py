"""The facts of a cohort: where a patient stands, what it never saw, where it contradicts papers."""

import json
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.distribution.population import Population
from spinecast.explaining.facts import FEW, SETTLED, WIDE, CohortFacts, Verdict, agreements, gather
from spinecast.knowledge.factors import Prior
from spinecast.knowledge.loading import load_registry
from spinecast.language import words
from spinecast.measures.logistic import expit
from spinecast.modelling.features import Encoding
from spinecast.modelling.posterior import Belief, fit, sums, with_intercept
from spinecast.modelling.preparation import Preparation

# What these tests let the literature say of the tiny registry's factors; of the lesion, nothing.
PUBLISHED = {
    "smoking": Prior(levels={"never": 1.0, "former": 1.5, "current": 3.0}),
    "pain": Prior(odds_ratio=1.3),
    "diabetes": Prior(levels={"no": 1.0, "yes": 2.5}),
}


@cache
def told():
    """The tiny registry with evidence."""
    tiny = load_registry(Path(__file__).parent / "tiny_registry")
    factors = tuple(f.model_copy(update={"prior": PUBLISHED.get(f.name)}) for f in tiny.factors)
    return tiny.model_copy(update={"factors": factors})


@cache
def cohort(patients, times, seed=0, missing=0.0):
    """Codes, completed columns, outcomes and risks; true effects are `times` the published."""
    registry = told()
    encoding = Encoding.from_registry(registry)
    population = Population.from_registry(registry)
    random = np.random.default_rng(seed)
    codes = population.sample(patients, random)
    margin = encoding.encode(codes) @ encoding.published * times - 1
    y = (random.random(patients) < expit(margin)) * 1.0
    codes[random.random(codes.shape) < missing] = np.nan
    columns = Preparation(population, encoding).rows(codes).columns
    return codes, columns, y, expit(margin)


def facts_of(patients=400, times=1.0, trained_on="patients", missing=0.1):
    codes, columns, y, risk = cohort(patients, times, missing=missing)
    encoding = Encoding.from_registry(told())
    return gather(told(), encoding, codes, columns, y, risk, trained_on)


def saying(columns, y):
    """What patients say of coefficients, as a fit asks it."""
    return partial(sums, with_intercept(columns), y)


def verdicts(patients, times, seed=0):
    _, columns, y, _ = cohort(patients, times, seed)
    found = agreements(Encoding.from_registry(told()), saying(columns, y))
    return dict(zip(told().names, found, strict=True))


# --- where a patient stands ------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=2))
def test_a_higher_risk_is_never_a_lower_centile(risks):
    centiles = facts_of().centile(np.sort(risks))
    assert np.all(np.diff(centiles) >= 0)
    assert np.all((centiles >= 0) & (centiles <= 100))


def test_centiles_are_shares_of_the_cohort():
    codes, columns, y, _ = cohort(400, 1.0)
    risk = np.random.default_rng(0).beta(2, 8, 400)
    facts = gather(told(), Encoding.from_registry(told()), codes, columns, y, risk, "patients")
    for asked in (0.05, 0.1, 0.2, 0.4):
        share = 100 * np.mean(risk < asked)
        assert facts.centile(np.array([asked]))[0] == pytest.approx(share, abs=1)
    np.testing.assert_array_equal(facts.centile(np.array([0.0, 1.0])), [0, 100])


def test_the_cohort_is_counted():
    codes, _, y, _ = cohort(400, 1.0, missing=0.1)
    facts = facts_of()
    assert (facts.patients, facts.events) == (400, int(y.sum()))
    assert facts.cohort_risk == pytest.approx(y.mean())
    for index, factor in enumerate(told().factors):
        known = codes[~np.isnan(codes[:, index]), index]
        if factor.is_numeric:
            assert facts.counts[index] == ()
            assert np.sum(known <= facts.seen_low[index]) >= FEW
            assert np.sum(known < facts.seen_low[index]) < FEW
            assert np.sum(known >= facts.seen_high[index]) >= FEW
            assert np.sum(known > facts.seen_high[index]) < FEW
        else:
            counts = [int(np.sum(known == code)) for code in range(len(factor.levels))]
            assert facts.counts[index] == tuple(c if c >= FEW else 0 for c in counts)


# --- what the cohort never saw ---------------------------------------------------------------


def test_hardly_any_patient_of_the_cohort_itself_is_outside_it():
    codes = cohort(400, 1.0, missing=0.1)[0]
    unseen = facts_of().unseen(codes)
    assert unseen.shape == codes.shape
    assert (unseen.sum(axis=0) < 2 * FEW).all()


def test_a_number_hardly_anybody_had_recorded_is_unseen_whatever_it_is():
    codes, columns, y, risk = cohort(400, 1.0)
    codes = codes.copy()
    number = told().names.index("pack_years")
    codes[FEW - 1 :, number] = np.nan
    facts = gather(told(), Encoding.from_registry(told()), codes, columns, y, risk, "patients")
    patients = np.full((3, codes.shape[1]), np.nan)
    patients[:, number] = [*told().by_name["pack_years"].bounds, np.nan]
    np.testing.assert_array_equal(facts.unseen(patients)[:, number], [True, True, False])


@pytest.mark.parametrize(("number", "rare"), [(0, True), (FEW - 1, True), (FEW, False)])
def test_a_level_is_rare_below_five_patients(number, rare):
    codes, columns, y, risk = cohort(400, 1.0)
    codes = codes.copy()
    diabetes = told().names.index("diabetes")
    codes[:, diabetes] = np.arange(400) < number
    facts = gather(told(), Encoding.from_registry(told()), codes, columns, y, risk, "patients")
    patient = np.full((3, codes.shape[1]), np.nan)
    patient[:, diabetes] = [0, 1, np.nan]
    expected = np.zeros((3, codes.shape[1]), dtype=bool)
    expected[1, diabetes] = rare
    np.testing.assert_array_equal(facts.unseen(patient), expected)


def test_a_number_beyond_all_patients_is_unseen_and_the_outermost_is_not():
    facts, number = facts_of(), told().names.index("pack_years")
    low, high = facts.seen_low[number], facts.seen_high[number]
    patients = np.full((4, len(told().factors)), np.nan)
    patients[:, number] = [low, high, high + 1, np.nan]
    np.testing.assert_array_equal(facts.unseen(patients)[:, number], [False, False, True, False])


def test_what_is_unknown_is_never_outside_the_cohort():
    assert not facts_of().unseen(np.full((1, len(told().factors)), np.nan)).any()


# --- does it agree with the literature -------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(
    ("times", "verdict"), [(1.0, "agrees"), (-1.0, "disagrees"), (0.0, "not established")]
)
def test_a_large_cohort_agrees_with_what_is_true_of_it(name, times, verdict):
    found = verdicts(6000, times)[name]
    assert found.verdict == verdict
    assert found.low < times < found.high
    assert found.high - found.low < 1


def test_too_few_patients_settle_nothing():
    for name in PUBLISHED:
        found = verdicts(25, 1.0)[name]
        assert found.verdict == "not established"
        assert found.low < 0 < found.high


def test_where_nothing_is_published_there_is_nothing_to_agree_with():
    for name in ("lesion", "pack_years"):
        found = verdicts(6000, 1.0)[name]
        assert found == Verdict(None, None, None)
        assert found.verdict == "not established"


def test_a_declared_direction_does_not_hide_a_contradiction():
    assert told().by_name["diabetes"].sign == 1
    assert verdicts(6000, -1.0)["diabetes"].multiple < -0.5


def test_the_multiple_of_one_coefficient_is_its_share_of_the_published():
    _, columns, y, _ = cohort(500, 1.0)
    design, size = with_intercept(columns), columns.shape[1]
    nothing = np.zeros(size)
    wide = Belief(nothing, np.full(size, WIDE), nothing, nothing).without_bounds()
    alone = fit(lambda theta: sums(design, y, theta), wide)
    encoding = Encoding.from_registry(told())
    column = encoding.slices[told().names.index("diabetes")].start
    published = np.log(2.5)
    error = np.sqrt(np.linalg.inv(alone.curvature)[1 + column, 1 + column])
    found = verdicts(500, 1.0)["diabetes"]
    assert found.multiple == pytest.approx(alone.beta[column] / published, rel=1e-6)
    assert found.high - found.multiple == pytest.approx(1.96 * error / published, rel=1e-3)
    assert found.multiple - found.low == pytest.approx(found.high - found.multiple)


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = [
        found.low < 1.0 < found.high
        for seed in range(60)
        for found in verdicts(600, 1.0, seed).values()
        if found.multiple is not None
    ]
    assert 0.88 < np.mean(held) <= 1.0  # 180 intervals at 95%


def test_a_factor_unknown_of_everyone_is_not_established():
    codes, _, y, _ = cohort(600, 1.0)
    codes = codes.copy()
    diabetes = told().names.index("diabetes")
    codes[:, diabetes] = np.nan
    encoding = Encoding.from_registry(told())
    columns = Preparation(Population.from_registry(told()), encoding).rows(codes).columns
    found = agreements(encoding, saying(columns, y))[diabetes]
    assert found.verdict == "not established"
    assert found.low < -1 < 1 < found.high


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 2.0, "agrees"),
        (0.0, 2.0, "not established"),
        (-1.0, 1.0, "not established"),
        (-2.0, 0.0, "not established"),
        (-2.0, -0.1, "disagrees"),
        (None, None, "not established"),
    ],
)
def test_a_verdict_is_given_only_when_it_is_sure(low, high, verdict):
    multiple = None if low is None else (low + high) / 2
    assert Verdict(multiple, low, high).verdict == verdict


def test_every_verdict_has_a_sentence_of_its_own():
    sure = [Verdict(1.0, 0.5, 1.5), Verdict(-1.0, -1.5, -0.5), Verdict(None, None, None)]
    assert "agrees" in sure[0].sentence(words("en"))
    assert "contradicts" in sure[1].sentence(words("en"))
    assert len({verdict.sentence(words("en")) for verdict in sure}) == 3


# --- what has to be said of every answer -----------------------------------------------------


@pytest.mark.parametrize(
    ("trained_on", "code"),
    [("simulated", "simulated"), ("literature", "literature"), ("patients", "not_validated")],
)
def test_what_a_model_was_trained_on_is_said(trained_on, code):
    codes = [caution.code for caution in facts_of(2000, trained_on=trained_on).cautions]
    assert codes == [code]


def test_few_events_are_said():
    few, many = facts_of(100), facts_of(2000)
    assert few.events < SETTLED <= many.events
    assert "few_events" in [caution.code for caution in few.cautions]
    assert str(few.events) in few.cautions[-1].message


# --- as a file -------------------------------------------------------------------------------


@pytest.mark.parametrize("trained_on", ["patients", "simulated"])
def test_written_and_read_again_they_are_the_same(trained_on):
    facts = facts_of(100, trained_on=trained_on)
    written = json.loads(json.dumps(facts.to_dict(), allow_nan=False))
    again = CohortFacts.from_dict(written)
    assert again.to_dict() == facts.to_dict()
    assert again.agreement == facts.agreement
    assert again.cautions == facts.cautions
    assert again.counts == facts.counts
    risks = np.linspace(0, 1, 50)
    np.testing.assert_array_equal(again.centile(risks), facts.centile(risks))
    codes = cohort(100, 1.0, missing=0.1)[0]
    np.testing.assert_array_equal(again.unseen(codes), facts.unseen(codes))
