"""The classifier trusts the literature as far as patients it has not seen bear it out."""

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from spinecast.fitting.estimator import (
    SMALLEST_SLOPE,
    EvidenceInformedClassifier,
    belief,
    out_of_fold,
)
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    RecalibrationRecipe,
    Recipe,
    TreeRecipe,
)
from spinecast.measures.logistic import expit
from spinecast.measures.resampling import folds, patient_folds
from spinecast.modelling.features import Encoding
from spinecast.modelling.model import Model, reference_row
from spinecast.modelling.posterior import fit, sums, with_intercept
from spinecast.simulator.synthetic import simulate
from strategies import codes as rows_of
from strategies import known_codes

QUICK = Recipe(trees=TreeRecipe(most_rounds=0), interval=IntervalRecipe(refits=0))
WITH_TREES = Recipe(
    trees=TreeRecipe(
        depth=3, most_rounds=40, least_hessian=1.0, learning_rate=0.2, least_gain=0.0, patience=10
    ),
    interval=IntervalRecipe(refits=3),
)


def together(tiny, patients=500, seed=0, missing=0.0):
    """Patients among whom smoking harms those with a stenosis who are in pain."""
    codes = simulate(tiny, patients, seed, missing=missing).codes
    known = np.nan_to_num(codes)
    pulls = 0.4 * known[:, 0] + 3 * (known[:, 0] > 0) * (known[:, 4] == 1) * (known[:, 2] > 5)
    y = (np.random.default_rng(seed).random(patients) < expit(pulls - 2)) * 1.0
    return codes, y


@pytest.fixture(scope="module")
def boosted(tiny):
    return EvidenceInformedClassifier(tiny, WITH_TREES).fit(*together(tiny, missing=0.1))


@pytest.fixture(scope="module")
def small(registry):
    """A model of 200 patients of the packaged registry, whose evidence is right."""
    cohort = simulate(registry, 200, 1)
    return EvidenceInformedClassifier(registry, QUICK).fit(cohort.codes, cohort.outcome)


def arrays(model: Model):
    """Every number of a model that a fit decides."""
    trees, refits = model.trees, model.refits
    return [
        np.array([model.intercept, model.recalibration.intercept, model.recalibration.slope]),
        *(model.beta, model.literature),
        *(trees.factor, trees.low, trees.high, trees.products, trees.weights, trees.shares),
        *(refits.intercept, refits.beta, refits.tree_share),
        *(model.population.shares, model.population.correlation),
    ]


# --- laws ------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_model_bit_for_bit(tiny, boosted):
    again = EvidenceInformedClassifier(tiny, WITH_TREES).fit(*together(tiny, missing=0.1))
    assert again.choices_ == boosted.choices_
    assert again.booster_ == boosted.booster_
    for here, there in zip(arrays(again.model_), arrays(boosted.model_), strict=True):
        np.testing.assert_array_equal(here, there)


def test_another_seed_draws_other_folds_and_refits(tiny, boosted):
    other = WITH_TREES.model_copy(update={"seed": 2})
    again = EvidenceInformedClassifier(tiny, other).fit(*together(tiny, missing=0.1))
    assert again.choices_.trials != boosted.choices_.trials
    assert not np.array_equal(again.model_.refits.beta, boosted.model_.refits.beta)


@given(data=st.data())
def test_raising_a_harmful_factor_never_lowers_the_margin(boosted, tiny, data):
    # Of one known patient; where others are unknown, a higher answer also changes what they may be.
    assert boosted.choices_.rounds > 0
    row = np.array([data.draw(known_codes(factor)) for factor in tiny.factors])
    index = data.draw(st.sampled_from([i for i, f in enumerate(tiny.factors) if f.sign]))
    other = row.copy()
    other[index] = data.draw(known_codes(tiny.factors[index]))
    lower, higher = sorted((row, other), key=lambda codes: codes[index])
    low, high = boosted.decision_function(np.array([lower, higher]))
    assert tiny.factors[index].sign * (high - low) >= -1e-9


@pytest.mark.parametrize("sign", [1.0, 0.0, -1.0])
def test_no_coefficient_goes_against_a_declared_direction(registry, sign):
    cohort = simulate(registry, 200, 5, evidence_sign=sign, directions_hold=False)
    recipe = QUICK.model_copy(update={"interval": IntervalRecipe(refits=3)})
    model = EvidenceInformedClassifier(registry, recipe).fit(cohort.codes, cohort.outcome).model_
    encoding = model.encoding
    for beta in (model.beta, *model.refits.beta):
        assert np.all(beta >= encoding.lower)
        assert np.all(beta <= encoding.upper)
    # Without declared directions the same patients would have turned some round.
    silent = [factor.model_copy(update={"direction": "none"}) for factor in registry.factors]
    free = registry.model_copy(update={"factors": tuple(silent)})
    beta = EvidenceInformedClassifier(free, recipe).fit(cohort.codes, cohort.outcome).model_.beta
    assert np.any(beta < encoding.lower - 0.01)
    assert np.any(beta > encoding.upper + 0.01)


def test_a_level_without_order_is_never_better_than_a_reference_it_is_declared_worse_than(registry):
    cohort = simulate(registry, 300, 6, evidence_sign=-1, directions_hold=False)
    classifier = EvidenceInformedClassifier(registry, QUICK).fit(cohort.codes, cohort.outcome)
    for index, factor in enumerate(registry.factors):
        if factor.kind == "nominal" and factor.sign:
            rows = np.tile(reference_row(registry), (len(factor.levels), 1))
            rows[:, index] = np.arange(len(factor.levels))
            rise = classifier.decision_function(rows) - classifier.model_.reference_margin
            assert np.all(factor.sign * rise >= -1e-9)


def test_what_is_believed_and_what_is_learned_add_up_to_the_coefficients(small, registry):
    model, encoding = small.model_, Encoding.from_registry(registry)
    np.testing.assert_allclose(model.literature, small.choices_.weight * encoding.published)
    cohort = simulate(registry, 50, 2)
    rows = model.rows(cohort.codes)
    total, literature = model.contributions(rows)
    learned = rows.columns * (model.beta - model.literature)
    by_factor = np.stack([learned[:, part].sum(axis=1) for part in encoding.slices], axis=1)
    np.testing.assert_allclose(literature + by_factor, total, rtol=0, atol=1e-12)
    assert np.abs(literature).max() > 0.1
    assert np.abs(by_factor).max() > 0.1


def test_the_order_of_the_answers_is_that_of_the_patients(boosted, tiny):
    codes = together(tiny, 60, 9, missing=0.2)[0]
    risk = boosted.predict_proba(codes)
    np.testing.assert_allclose(boosted.predict_proba(codes[::-1]), risk[::-1], atol=1e-12)


@given(data=st.data())
def test_two_risks_of_every_patient_sum_to_one_and_follow_the_margin(boosted, tiny, data):
    codes = np.array(data.draw(st.lists(rows_of(tiny), min_size=1, max_size=4)))
    risk, margin = boosted.predict_proba(codes), boosted.decision_function(codes)
    assert np.all((risk > 0) & (risk < 1))
    np.testing.assert_allclose(risk.sum(axis=1), 1, atol=1e-15)
    np.testing.assert_allclose(risk[:, 1], expit(margin), rtol=1e-12)
    np.testing.assert_array_equal(boosted.predict(codes), risk[:, 1] > 0.5)


# --- how far the literature is trusted -------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_evidence_that_holds_is_used_by_a_small_cohort(registry, seed):
    cohort = simulate(registry, 200, seed)
    chosen = EvidenceInformedClassifier(registry, QUICK).fit(cohort.codes, cohort.outcome).choices_
    assert chosen.weight > 0


@pytest.mark.parametrize("seed", range(4))
def test_evidence_turned_upside_down_is_not_used(registry, seed):
    cohort = simulate(registry, 200, seed, evidence_sign=-1, directions_hold=False)
    chosen = EvidenceInformedClassifier(registry, QUICK).fit(cohort.codes, cohort.outcome).choices_
    assert chosen.weight == 0


def test_every_way_to_trust_the_literature_is_tried_and_the_best_is_taken(small):
    choices, evidence = small.choices_, Recipe().evidence
    tried = [(trial.weight, trial.scale) for trial in choices.trials]
    assert tried == [(w, s) for w in evidence.weights for s in evidence.scales]
    best = min(choices.trials, key=lambda trial: trial.log_loss)
    assert (choices.weight, choices.scale) == (best.weight, best.scale)
    assert len({trial.log_loss for trial in choices.trials}) == len(tried)


def test_a_recipe_with_one_way_takes_it(registry):
    cohort = simulate(registry, 120, 1)
    evidence = EvidenceRecipe(weights=(1.0,), scales=(1e-3,))
    recipe = QUICK.model_copy(update={"evidence": evidence})
    classifier = EvidenceInformedClassifier(registry, recipe).fit(cohort.codes, cohort.outcome)
    assert (classifier.choices_.weight, classifier.choices_.scale) == (1.0, 1e-3)
    model = classifier.model_
    slope = model.recalibration.slope
    published = Encoding.from_registry(registry).published
    np.testing.assert_allclose(model.beta, slope * published, rtol=0, atol=1e-4)


def test_the_trials_are_of_patients_no_fit_had_seen(tiny):
    codes, y = together(tiny, 80)
    encoding = Encoding.from_registry(tiny)
    columns, held = encoding.encode(codes), belief(encoding, 1.0, 1.0)
    split = list(folds(y, repeats=2, splits=4, seed=3))
    unseen = out_of_fold(columns, y, [belief(encoding, 0.0, 2.0), held], split, repeats=2)
    expected = np.zeros((2, 80))
    for fold, (learn, test) in enumerate(split):
        design, outcome = with_intercept(columns[learn]), y[learn]
        alone = fit(lambda t, d=design, o=outcome: sums(d, o, t), held)
        expected[fold // 4, test] = alone.margin(columns[test])
    np.testing.assert_allclose(unseen[:, 1], expected, rtol=0, atol=1e-6)


def test_copies_of_a_patient_count_as_the_rows_they_are(tiny):
    codes, y = together(tiny, 60)
    encoding = Encoding.from_registry(tiny)
    whose = np.sort(np.random.default_rng(2).integers(60, size=90))
    columns, held = encoding.encode(codes)[whose], [belief(encoding, 1.0, 1.0)]
    split = list(patient_folds(y[whose], whose, repeats=1, splits=3, seed=1))
    counted, copied = (
        out_of_fold(columns, y[whose], held, split, whose=who) for who in (whose, np.arange(90))
    )
    np.testing.assert_allclose(counted, copied, rtol=0, atol=1e-8)


def test_a_refit_moves_a_coefficient_of_which_the_cohort_says_nothing(tiny):
    codes, y = together(tiny, 80)
    silent = next(i for i, factor in enumerate(tiny.factors) if factor.kind == "binary")
    codes[:, silent] = tiny.factors[silent].reference_code
    recipe = Recipe(
        evidence=EvidenceRecipe(weights=(1.0,), scales=(1.0,)),
        trees=TreeRecipe(most_rounds=0),
        interval=IntervalRecipe(refits=200),
    )
    model = EvidenceInformedClassifier(tiny, recipe).fit(codes, y).model_
    [column] = np.flatnonzero(model.encoding.owner == silent)
    moved = model.refits.beta[:, column].std()
    # Draws of the prior, cut off at the bound, times the recalibration's slope.
    assert 0.5 < moved / (model.recalibration.slope * model.encoding.prior_sd[column]) < 1.2


# --- trees and recalibration -----------------------------------------------------------------


def test_without_rounds_there_are_no_trees(small):
    assert small.choices_.rounds == 0
    assert small.choices_.tree_log_loss == ()
    assert small.booster_ is None
    assert len(small.model_.trees) == 0
    assert len(small.model_.refits) == 0


def test_the_trees_are_those_of_the_booster_stretched_by_the_recalibration(tiny, boosted):
    codes, model = together(tiny, 100, 4)[0], boosted.model_
    booster = xgboost.Booster(model_file=bytearray(boosted.booster_, "utf-8"))
    theirs = booster.predict(xgboost.DMatrix(codes), output_margin=True)
    slope = model.recalibration.slope
    assert abs(slope - 1) > 1e-3
    np.testing.assert_allclose(model.trees.margin(codes), slope * theirs, rtol=0, atol=1e-5)


def test_trees_that_do_not_help_are_not_kept(tiny):
    codes, y = together(tiny)
    demanding = WITH_TREES.trees.model_copy(update={"least_gain": 1e3})
    recipe = WITH_TREES.model_copy(update={"trees": demanding})
    classifier = EvidenceInformedClassifier(tiny, recipe).fit(codes, y)
    assert classifier.choices_.rounds == 0
    assert len(classifier.model_.trees) == 0


def test_trees_see_what_acts_together(tiny, boosted):
    codes, y = together(tiny, 2000, 8)
    straight = EvidenceInformedClassifier(tiny, QUICK).fit(*together(tiny, missing=0.1))

    def loss(classifier):
        margin = classifier.decision_function(codes)
        return np.mean(np.logaddexp(0, margin) - y * margin)

    assert loss(boosted) < loss(straight) - 0.005
    assert len(boosted.choices_.tree_log_loss) >= boosted.choices_.rounds


def test_the_model_is_not_sure_beyond_what_unseen_patients_bear_out(registry):
    # 110 columns, 120 patients and hardly a prior: the coefficients are far too extreme.
    cohort = simulate(registry, 120, 3)
    evidence = EvidenceRecipe(weights=(0.0,), scales=(5.0,))
    slopes = []
    for slope_sd in (1e-4, 0.1, 10.0):
        freedom = RecalibrationRecipe(slope_sd=slope_sd)
        recipe = QUICK.model_copy(update={"evidence": evidence, "recalibration": freedom})
        model = EvidenceInformedClassifier(registry, recipe).fit(cohort.codes, cohort.outcome)
        slopes.append(model.model_.recalibration.slope)
    assert slopes[0] == pytest.approx(1, abs=1e-3)
    assert slopes[0] > slopes[1] > slopes[2] >= SMALLEST_SLOPE
    assert slopes[2] < 0.8


def test_refits_of_other_patients_differ_and_lie_around_the_model(tiny):
    recipe = QUICK.model_copy(update={"interval": IntervalRecipe(refits=40)})
    model = EvidenceInformedClassifier(tiny, recipe).fit(*together(tiny)).model_
    assert model.refits.beta.shape == (40, len(model.encoding))
    spread = model.refits.beta.std(axis=0)
    assert np.all(spread > 0.001)
    away = np.abs(model.refits.beta.mean(axis=0) - model.beta)
    assert np.all(away < 1.5 * spread + 0.02)


def test_trees_whose_share_is_sure_have_the_models_own_weight_in_every_refit(tiny):
    """The model's trees are recalibrated already; a refit must not do it twice."""
    sure = WITH_TREES.trees.model_copy(update={"share_sd": 1e-6})
    recipe = WITH_TREES.model_copy(update={"trees": sure})
    model = EvidenceInformedClassifier(tiny, recipe).fit(*together(tiny)).model_
    assert len(model.trees)
    assert abs(model.recalibration.slope - 1) > 0.005
    assert model.refits.tree_share == pytest.approx(np.ones(3), abs=1e-4)


# --- few patients ----------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [QUICK, WITH_TREES], ids=["line", "trees"])
@pytest.mark.parametrize("events", [2, 3, 57, 58])
def test_two_patients_of_a_kind_are_enough_to_give_a_finite_answer(tiny, recipe, events):
    codes = simulate(tiny, 60, 1).codes
    y = (np.arange(60) < events) * 1.0
    classifier = EvidenceInformedClassifier(tiny, recipe).fit(codes, y)
    risk = classifier.predict_proba(codes)[:, 1]
    assert np.all((risk > 0) & (risk < 1))
    assert risk.mean() == pytest.approx(events / 60, abs=0.05)


def test_a_factor_no_patient_was_asked_about_is_left_to_the_literature(registry):
    cohort = simulate(registry, 120, 1)
    codes = cohort.codes.copy()
    asked = registry.names.index("smoking_status")
    codes[:, asked] = np.nan
    model = EvidenceInformedClassifier(registry, QUICK).fit(codes, cohort.outcome).model_
    rows = np.tile(reference_row(registry), (2, 1))
    rows[1, asked] = 2.0
    never, current = model.margin(model.rows(rows))
    assert current >= never
    assert np.isfinite(model.beta).all()


# --- scikit-learn's conventions --------------------------------------------------------------


def test_parameters_come_back_as_they_were_given(tiny):
    classifier = EvidenceInformedClassifier(tiny, QUICK)
    assert classifier.get_params() == {"registry": tiny, "recipe": QUICK}
    classifier.set_params(recipe=WITH_TREES)
    assert classifier.recipe is WITH_TREES


def test_a_clone_has_the_parameters_and_nothing_learned(tiny, boosted):
    copy = clone(boosted)
    assert copy.registry == tiny
    assert copy.recipe == WITH_TREES
    assert not hasattr(copy, "model_")


@pytest.mark.parametrize("ask", ["decision_function", "predict_proba", "predict"])
def test_before_it_is_fitted_it_says_so(tiny, ask):
    with pytest.raises(NotFittedError):
        getattr(EvidenceInformedClassifier(tiny), ask)(reference_row(tiny)[None])


def test_a_fit_returns_the_classifier_and_leaves_the_patients_alone(tiny):
    codes, y = together(tiny, 100, missing=0.2)
    before = codes.copy(), y.copy()
    classifier = EvidenceInformedClassifier(tiny, QUICK)
    assert classifier.fit(codes, y) is classifier
    np.testing.assert_array_equal(codes, before[0])
    np.testing.assert_array_equal(y, before[1])
    assert classifier.classes_.tolist() == [0, 1]
