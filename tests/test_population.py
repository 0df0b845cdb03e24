"""The population samples, completes and judges from one description, and learns from sums alone."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spinecast.distribution import copula
from spinecast.distribution.bins import shares_with_moments
from spinecast.distribution.guesses import padded
from spinecast.distribution.population import Population
from spinecast.knowledge.endpoint import OutcomeSpec
from spinecast.knowledge.evidence import BaseRate, Evidence
from spinecast.knowledge.factors import Correlation, Factor, Marginal, Registry

LESIONS = ("herniation", "stenosis", "recurrent")


def factor(name, kind, population, **more):
    levels = more.get("levels", ())
    return Factor(
        name=name,
        domain="d",
        label=name,
        question=f"{name}?",
        kind=kind,
        reference=levels[0] if levels else float(more["range"][0]),
        direction="none",
        known_at="referral",
        definition=name,
        population=population,
        **more,
    )


def small_registry(correlations=(), stratum="lesion"):
    by_lesion = {
        "herniation": Marginal(mean=47.0, sd=12.0),
        "stenosis": Marginal(mean=66.0, sd=10.0),
    }
    operated = {"recurrent": Marginal(shares=(0.0, 0.8, 0.2))}
    graded = ("none", "mild", "severe")
    factors = (
        factor("lesion", "nominal", Marginal(shares=(0.4, 0.5, 0.1)), levels=LESIONS),
        factor("smoker", "binary", Marginal(shares=(0.8, 0.2)), levels=("no", "yes")),
        factor("distress", "ordinal", Marginal(shares=(0.5, 0.3, 0.2)), levels=graded),
        factor("operations", "count", Marginal(shares=(0.8, 0.15, 0.05), given=operated),
               range=(0.0, 6.0)),
        factor("age", "continuous", Marginal(mean=60.0, sd=14.0, given=by_lesion),
               range=(18.0, 95.0)),
        factor("bmi", "continuous", Marginal(mean=28.0, sd=5.0), range=(15.0, 60.0), precision=0.1),
        factor("pain", "continuous", Marginal(mean=6.0, sd=2.0), range=(0.0, 10.0)),
    )  # fmt: skip
    return Registry(
        name="small", version="1", title="t", condition="c", condition_short="c", horizon="h",
        base_rate=BaseRate(value=0.2, interval=(0.1, 0.3), mark="assumption"),
        evidence=Evidence(heterogeneity=0.2, standard_error=0.3, no_evidence_sd=0.3),
        domains={"d": "D"}, factors=factors, stratum=stratum, folder=Path(), sha256="0" * 64,
        outcome=OutcomeSpec(default="x", horizon="h", columns=(), definitions={}),
        correlations=tuple(
            Correlation(pair=pair, value=value, mark="assumption") for pair, value in correlations
        ),
    )  # fmt: skip


CORRELATIONS = (
    (("smoker", "distress"), 0.5),
    (("distress", "pain"), 0.6),
    (("age", "bmi"), -0.4),
    (("smoker", "operations"), 0.3),
)


@cache
def related():
    return Population.from_registry(small_registry(CORRELATIONS))


@cache
def unrelated():
    registry = small_registry()
    flat = [f.model_copy(update={"population": f.population.model_copy(update={"given": {}})})
            for f in registry.factors]  # fmt: skip
    return Population.from_registry(registry.model_copy(update={"factors": tuple(flat)}))


def cohort(patients, seed=0, population=None):
    return (population or related()).sample(patients, np.random.default_rng(seed))


def with_holes(codes, share=0.3, seed=1):
    holed = codes.copy()
    holed[np.random.default_rng(seed).random(codes.shape) < share] = np.nan
    return holed


def one(**answers):
    """One patient of whom only these answers are known."""
    return np.array([[answers.get(name, np.nan) for name in related().bins.names]])


def chances(population, patient, name):
    """Chances of one unknown factor of one patient."""
    return population.complete(patient).guesses[population.bins.names.index(name)].chances[0]


# --- completing ------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_chances_of_an_unknown_are_probabilities_that_sum_to_one(seed, share):
    codes = with_holes(cohort(20, seed), share, seed)
    for column, guess in related().complete(codes).guesses.items():
        assert np.all(guess.chances >= 0)
        assert guess.chances.shape == (len(guess.rows), related().bins.size[column])
        np.testing.assert_allclose(guess.chances.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_array_equal(guess.rows, np.nonzero(np.isnan(codes[:, column]))[0])


def test_a_complete_patient_is_left_alone():
    codes = cohort(50)
    completion = related().complete(codes)
    assert completion.guesses == {}
    np.testing.assert_array_equal(completion.expected(related().bins.codes), codes)


def test_completing_fills_only_what_is_unknown():
    codes = with_holes(cohort(200))
    filled = related().complete(codes).expected(related().bins.codes)
    known = ~np.isnan(codes)
    np.testing.assert_array_equal(filled[known], codes[known])
    assert not np.isnan(filled).any()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_one_patient_is_a_single_block_and_says_what_a_block_for_each_factor_says(seed, share):
    """Alone all unknowns are one product, among others each factor is; the stratum's as well."""
    codes = with_holes(cohort(5, seed), share, seed)
    tables = [np.column_stack([values, values**2]) for values in related().bins.codes]
    together = related().complete(codes).guesses
    for row in range(5):
        alone = related().complete(codes[[row]]).guesses
        assert len(alone.blocks) == bool(len(alone))
        assert list(alone) == np.flatnonzero(np.isnan(codes[row])).tolist()
        np.testing.assert_allclose(together.of_row(row), alone.of_row(0), atol=1e-12)
        for block in alone.blocks:
            means = block.mean(padded(tables))[:, 0]
            told = [alone[column].chances[0] @ tables[column] for column in alone]
            np.testing.assert_allclose(means, told, rtol=1e-12)


def test_what_is_guessed_of_many_pieces_is_joined_in_the_order_of_the_rows(monkeypatch):
    codes = with_holes(cohort(300))
    whole = related().complete(codes).guesses
    monkeypatch.setattr(copula, "ROWS_AT_ONCE", 7)
    pieces = related().complete(codes).guesses
    assert pieces.keys() == whole.keys()
    for column, guess in pieces.items():
        np.testing.assert_array_equal(guess.rows, whole[column].rows)
        np.testing.assert_allclose(guess.chances, whole[column].chances, atol=1e-12)


def test_a_patient_is_completed_the_same_alone_and_among_others():
    codes = with_holes(cohort(300))
    together = related().complete(codes)
    backwards = related().complete(codes[::-1])
    for column, guess in together.guesses.items():
        reverse = backwards.guesses[column].chances[::-1]
        np.testing.assert_allclose(guess.chances, reverse, atol=1e-10)
        for row, chance in list(zip(guess.rows, guess.chances, strict=True))[:25]:
            alone = related().complete(codes[[row]]).guesses[column].chances[0]
            np.testing.assert_allclose(chance, alone, atol=1e-10)


def test_of_a_patient_of_whom_nothing_is_known_the_population_is_expected():
    population = related()
    overall = np.einsum("s,sfb->fb", population.weights, population.shares)
    for column, guess in population.complete(one()).guesses.items():
        np.testing.assert_allclose(
            guess.chances[0], overall[column, : population.bins.size[column]], atol=1e-10
        )


def test_without_correlation_nothing_is_learned_from_the_other_answers():
    population = unrelated()
    codes = with_holes(cohort(100, population=population), 0.5)
    for column, guess in population.complete(codes).guesses.items():
        alike = population.shares[0, column, : population.bins.size[column]]
        if column == population.stratum:
            alike = population.weights
        np.testing.assert_allclose(
            guess.chances, np.broadcast_to(alike, guess.chances.shape), atol=1e-9
        )


@pytest.mark.parametrize(
    ("known", "low", "high", "asked", "moves"),
    [
        ("smoker", 0, 1, "distress", 1),
        ("distress", 0, 2, "smoker", 1),
        ("distress", 0, 2, "pain", 1),
        ("pain", 2, 10, "distress", 1),
        ("age", 40, 80, "bmi", -1),
        ("bmi", 20, 40, "age", -1),
    ],
)
def test_knowing_a_correlated_factor_moves_the_guess_its_way(known, low, high, asked, moves):
    representative = related().bins.codes[related().bins.names.index(asked)]
    means = [
        chances(related(), one(lesion=1, **{known: value}), asked) @ representative
        for value in (low, high)
    ]
    assert moves * (means[1] - means[0]) > 0.02 * np.ptp(representative)


def test_an_unknown_lesion_is_guessed_from_what_depends_on_it():
    young, old = (chances(related(), one(age=age), "lesion") for age in (30.0, 80.0))
    assert young[0] > 0.7
    assert old[1] > 0.7


def test_an_unknown_lesion_is_guessed_from_how_answers_go_together():
    # Among 600,000 members: aged 54 to 56, by BMI. Age and BMI go against each other, and 55 is old
    # for a herniation and young for a stenosis, so a high BMI speaks for a stenosis.
    codes = cohort(600_000, 11)
    aged = codes[np.abs(codes[:, 4] - 55) < 1.5]
    guessed = []
    for bmi in (23.0, 33.0):
        alike = aged[np.abs(aged[:, 5] - bmi) < 1.5, 0]
        guessed.append(chances(related(), one(age=55.0, bmi=bmi), "lesion"))
        share = np.bincount(alike.astype(int), minlength=3) / len(alike)
        np.testing.assert_allclose(guessed[-1], share, atol=0.03)
    assert guessed[1][1] > guessed[0][1] + 0.1


def test_an_impossible_lesion_is_not_guessed():
    assert chances(related(), one(operations=0.0), "lesion")[2] < 1e-6
    assert chances(related(), one(lesion=2.0), "operations")[0] < 1e-6


def test_chances_come_true_as_often_as_they_say():
    codes = cohort(20_000)
    holed = with_holes(codes, 0.4)
    for column, guess in related().complete(holed).guesses.items():
        bins = related().bins.of(codes)[guess.rows, column]
        told = guess.chances[:, -1] + guess.chances[:, -2] * (guess.chances.shape[1] > 3)
        came = bins >= guess.chances.shape[1] - (2 if guess.chances.shape[1] > 3 else 1)
        for group in np.array_split(np.argsort(told), 4):
            error = np.sqrt(max(told[group].mean(), 1e-3) / len(group))
            assert abs(told[group].mean() - came[group].mean()) < 4 * error + 0.01


def test_draws_keep_the_known_and_agree_with_the_chances():
    patient = one(lesion=1.0, smoker=1.0, age=71.0, bmi=31.4)
    drawn = related().draws(patient[0], 20_000, np.random.default_rng(0))
    known = ~np.isnan(patient[0])
    assert np.all(drawn[:, known] == patient[0, known])
    for column, guess in related().complete(patient).guesses.items():
        share = np.bincount(related().bins.of(drawn)[:, column], minlength=guess.chances.shape[1])
        np.testing.assert_allclose(share / len(drawn), guess.chances[0], atol=0.015)


def test_draws_of_a_patient_with_unknown_lesion_follow_its_chances():
    patient = one(age=60.0, operations=1.0)
    drawn = related().draws(patient[0], 20_000, np.random.default_rng(0))
    share = np.bincount(drawn[:, 0].astype(int), minlength=3) / len(drawn)
    np.testing.assert_allclose(share, chances(related(), patient, "lesion"), atol=0.015)


def test_a_value_no_one_was_expected_to_have_breaks_nothing():
    registry = small_registry(CORRELATIONS)
    odd = one(lesion=2.0, operations=0.0)
    fitted = Population.fit(registry, np.repeat(odd, 30, axis=0))
    for population in (related(), fitted):
        assert np.isfinite(population.unusual(odd).tail).all()
        for guess in population.complete(odd).guesses.values():
            assert np.isfinite(guess.chances).all()
    assert chances(fitted, one(lesion=2.0), "operations")[0] > 0.1


def test_completing_a_masked_cohort_is_no_worse_than_iterative_regression():
    # 20% of the cells of 2,000 patients are masked; the fit is not told the correlations. RMSE of
    # standardised codes here: 0.871 against 0.884 (column means: 0.988).
    pytest.importorskip("sklearn")
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    codes = cohort(2000, 5)
    masked = with_holes(codes, 0.2, 6)
    population = Population.fit(small_registry(), masked)
    ours = population.complete(masked).expected(population.bins.codes)
    lesion = np.where(np.isnan(masked[:, :1]), np.nan, masked[:, :1] == np.arange(1, 3))
    imputer = IterativeImputer(max_iter=30, tol=1e-2, random_state=0)
    theirs = imputer.fit_transform(np.column_stack([masked[:, 1:], lesion]))[
        :, : codes.shape[1] - 1
    ]
    hidden = np.isnan(masked[:, 1:])

    def error(filled):
        away = (filled - codes[:, 1:]) / codes[:, 1:].std(axis=0)
        return np.sqrt(np.mean(away[hidden] ** 2))

    assert error(ours[:, 1:]) < 1.05 * error(theirs)
    assert error(ours[:, 1:]) < 0.95 * error(np.broadcast_to(codes[:, 1:].mean(0), hidden.shape))


# --- sampling --------------------------------------------------------------------------------


def test_sampled_patients_are_complete_within_range_and_at_their_precision():
    codes = cohort(5000)
    for column, described in enumerate(small_registry().factors):
        values = codes[:, column]
        low, high = described.bounds
        assert np.all((values >= low) & (values <= high))
        steps = (values - low) / described.precision
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
        assert all(value == float(f"{value:.6g}") for value in values[:50])


def test_sampled_marginals_are_those_of_the_registry():
    population, number = related(), 50_000
    codes = cohort(number)
    bins = population.bins.of(codes)
    for stratum in range(3):
        here = bins[codes[:, 0] == stratum]
        for column in range(1, bins.shape[1]):
            expected = population.shares[stratum, column, : population.bins.size[column]]
            counted = np.bincount(here[:, column], minlength=len(expected))
            likely = expected * len(here) > 5
            square = (counted - expected * len(here)) ** 2 / (expected * len(here))
            assert stats.chi2.sf(square[likely].sum(), likely.sum()) > 1e-4
            assert counted[~likely].sum() < 100


def test_means_and_spreads_of_numbers_are_the_published_ones():
    codes = cohort(50_000)
    for lesion, mean, sd in ((0, 47, 12), (1, 66, 10), (2, 60, 14)):
        age = codes[codes[:, 0] == lesion, 4]
        assert age.mean() == pytest.approx(mean, abs=0.5)
        assert age.std() == pytest.approx(sd, abs=0.5)


@given(st.floats(0.05, 0.95), st.floats(0.02, 0.28))
def test_a_cut_normal_keeps_the_mean_and_spread_of_patients(mean, sd):
    points = np.linspace(0, 1, 41)
    shares = shares_with_moments(points, mean, sd)
    assert shares.sum() == pytest.approx(1)
    assert shares @ points == pytest.approx(mean, abs=1e-4)
    spread = np.sqrt(shares @ (points - mean) ** 2)
    if spread != pytest.approx(sd, abs=1e-4):
        # Wider than any cut normal with this mean: the widest, whose logarithm is a straight line.
        assert spread < sd
        np.testing.assert_allclose(np.diff(np.log(shares), n=2), 0, atol=1e-6)
    rises, falls = np.diff(shares) > 1e-9, np.diff(shares) < -1e-9
    assert not np.any(rises & np.logical_or.accumulate(falls)), "a normal has one peak"


def test_the_same_seed_gives_the_same_patients():
    np.testing.assert_array_equal(cohort(100, 3), cohort(100, 3))
    assert not np.array_equal(cohort(100, 3), cohort(100, 4))


def test_completing_and_wondering_at_once_says_what_each_says_alone():
    codes = with_holes(cohort(600, 4), 0.4)
    codes[0] = np.nan
    completion, unusual = related().read(codes)
    alone = related().complete(codes).guesses
    assert completion.guesses.keys() == alone.keys()
    for column, guess in completion.guesses.items():
        np.testing.assert_array_equal(guess.rows, alone[column].rows)
        np.testing.assert_allclose(guess.chances, alone[column].chances, rtol=0, atol=1e-13)
    np.testing.assert_allclose(unusual.z, related().unusual(codes).z, rtol=0, atol=1e-12)
    np.testing.assert_allclose(unusual.tail, related().unusual(codes).tail, rtol=1e-12)


def test_nobody_is_read_without_complaint():
    completion, unusual = related().read(cohort(1)[:0])
    assert completion.guesses == {}
    assert unusual.tail.shape == (0,)


# --- how unusual -----------------------------------------------------------------------------


def test_one_in_a_hundred_members_of_the_population_is_as_unusual_as_one_in_a_hundred():
    codes = cohort(40_000, 9)
    for patients in (codes, with_holes(codes, 0.3)):
        tail = related().unusual(patients).tail
        for level in (0.1, 0.01, 0.001):
            assert 0.6 * level - 2e-4 < np.mean(tail < level) < 1.6 * level + 2e-4


def test_the_factor_that_does_not_fit_is_named():
    population = related()
    usual = one(lesion=1.0, smoker=0.0, distress=0.0, operations=0.0, age=66.0, bmi=28.0, pain=5.0)
    odd = usual.copy()
    odd[0, population.bins.names.index("age")] = 24.0
    z = population.unusual(odd).z[0]
    assert population.bins.names[int(np.nanargmax(np.abs(z)))] == "age"
    assert population.unusual(odd).tail[0] < 0.01 < 0.2 < population.unusual(usual).tail[0]


def test_usual_values_in_an_odd_combination_are_unusual():
    fitting = one(lesion=1.0, distress=2.0, pain=9.0, smoker=1.0)
    clashing = one(lesion=1.0, distress=2.0, pain=1.0, smoker=1.0)
    alone = [abs(related().unusual(one(lesion=1.0, pain=pain)).z[0, 6]) for pain in (9.0, 1.0)]
    together = [abs(related().unusual(row).z[0, 6]) for row in (fitting, clashing)]
    assert together[0] < alone[0]
    assert together[1] > alone[1]


def test_what_is_unknown_is_neither_usual_nor_unusual():
    assert np.isnan(related().unusual(one(age=50.0)).z[0, 5])
    nothing = related().unusual(one())
    assert nothing.distance[0] == 0
    assert nothing.tail[0] == 1


def test_a_patient_is_as_unusual_alone_as_among_others():
    codes = with_holes(cohort(200))
    together = related().unusual(codes)
    for row in range(50):
        alone = related().unusual(codes[[row]])
        assert alone.distance[0] == pytest.approx(together.distance[row], abs=1e-10)
        assert alone.tail[0] == pytest.approx(together.tail[row], abs=1e-10)


# --- learning --------------------------------------------------------------------------------


def assert_same(one_population, other, tolerance):
    for name in ("weights", "shares", "correlation", "typical", "dispersion", "patients"):
        np.testing.assert_allclose(
            getattr(one_population, name), getattr(other, name), rtol=0, atol=tolerance
        )


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(0, 400), max_size=4), st.integers(0, 2**32 - 1))
def test_sums_of_pieces_give_the_population_of_the_whole(cuts, seed):
    registry = small_registry(CORRELATIONS)
    codes = with_holes(cohort(400, seed), 0.15)
    pieces = np.split(codes, sorted(cuts))
    prior = Population.from_registry(registry)
    counts = [prior.count(piece) for piece in pieces]
    counted = prior.counted(sum(counts[1:], counts[0]))
    scores = [counted.score(piece) for piece in pieces]
    pieced = counted.correlated(sum(scores[1:], scores[0]))
    assert_same(pieced, Population.fit(registry, codes), 1e-12)


def test_the_order_of_patients_does_not_matter():
    registry = small_registry()
    codes = with_holes(cohort(500))
    assert_same(Population.fit(registry, codes), Population.fit(registry, codes[::-1]), 1e-12)


def test_a_large_cohort_is_recovered_whatever_the_registry_said():
    fitted = Population.fit(small_registry(), with_holes(cohort(60_000), 0.1))
    np.testing.assert_allclose(fitted.correlation, related().correlation, atol=0.03)
    np.testing.assert_allclose(fitted.shares, related().shares, atol=0.02)
    np.testing.assert_allclose(fitted.weights, related().weights, atol=0.01)
    assert fitted.patients == 60_000


def test_no_patients_leave_the_published_population():
    nobody = np.empty((0, 7))
    assert_same(Population.fit(small_registry(CORRELATIONS), nobody), related(), 1e-8)


def test_few_patients_move_it_a_little():
    registry = small_registry(CORRELATIONS)
    smokers = np.repeat(one(lesion=0.0, smoker=1.0), 10, axis=0)
    fitted = Population.fit(registry, smokers)
    assert 0.2 < fitted.shares[0, 1, 1] < 0.5
    assert 0.2 < fitted.shares[1, 1, 1] < fitted.shares[0, 1, 1]


def test_impossible_correlations_become_possible_ones():
    pairs = (("smoker", "distress"), ("distress", "pain"), ("smoker", "pain"))
    told = zip(pairs, (0.9, 0.9, -0.9), strict=True)
    population = Population.from_registry(small_registry(tuple(told)))
    assert np.linalg.eigvalsh(population.correlation)[0] > 0.01
    np.testing.assert_allclose(np.diag(population.correlation), 1)


def test_a_registry_without_strata_has_one():
    registry = small_registry(CORRELATIONS, stratum=None)
    flat = [f.model_copy(update={"population": f.population.model_copy(update={"given": {}})})
            for f in registry.factors]  # fmt: skip
    registry = registry.model_copy(update={"factors": tuple(flat)})
    codes = with_holes(Population.from_registry(registry).sample(500, np.random.default_rng(0)))
    population = Population.fit(registry, codes)
    assert population.stratum is None
    assert not np.isnan(population.complete(codes).expected(population.bins.codes)).any()
    assert np.isfinite(population.unusual(codes).tail).all()


def test_written_and_read_again_it_is_the_same():
    codes = with_holes(cohort(300))
    fitted = Population.fit(small_registry(CORRELATIONS), codes)
    again = Population.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert_same(again, fitted, 0)
    before, after = fitted.complete(codes), again.complete(codes)
    for column, guess in before.guesses.items():
        np.testing.assert_array_equal(guess.chances, after.guesses[column].chances)
    np.testing.assert_array_equal(fitted.unusual(codes).tail, again.unusual(codes).tail)


# --- the packaged registry -------------------------------------------------------------------


def test_the_packaged_registry_describes_a_population(registry):
    population = Population.from_registry(registry)
    codes = population.sample(2000, np.random.default_rng(0))
    for column, described in enumerate(registry.factors):
        low, high = described.bounds
        assert np.all((codes[:, column] >= low) & (codes[:, column] <= high))
    holed = with_holes(codes, 0.2)
    assert not np.isnan(population.complete(holed).expected(population.bins.codes)).any()
    assert np.mean(population.unusual(holed).tail < 0.01) < 0.03
