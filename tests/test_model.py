"""A model's parts add up, an unknown answer is neither "no" nor a default, and rows are alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spinecast.distribution.guesses import Guesses
from spinecast.fitting.estimator import EvidenceInformedClassifier
from spinecast.fitting.recipe import IntervalRecipe, Recipe, TreeRecipe
from spinecast.measures.logistic import expit
from spinecast.modelling.model import reference_row
from spinecast.modelling.preparation import Preparation, Rows
from spinecast.modelling.trees import Trees
from spinecast.simulator.synthetic import simulate
from strategies import codes as rows_of

RECIPE = Recipe(
    trees=TreeRecipe(most_rounds=30, least_hessian=1.0, learning_rate=0.2, least_gain=0.0),
    interval=IntervalRecipe(refits=8),
)
UNKNOWN = np.nan
MANY = 6  # patients at once in a property; few enough to be drawn quickly


@pytest.fixture(scope="module")
def model(tiny):
    """Five factors, 600 patients with unknowns, and trees, as smoking and pain act together."""
    codes = simulate(tiny, 600, 3, missing=0.15).codes
    known = np.nan_to_num(codes)
    pulls = 0.4 * known[:, 0] + 3 * (known[:, 0] > 0) * (known[:, 4] == 1) * (known[:, 2] > 5)
    risk = expit(pulls - 2)
    y = (np.random.default_rng(0).random(600) < risk) * 1.0
    fitted = EvidenceInformedClassifier(tiny, RECIPE).fit(codes, y).model_
    assert len(fitted.trees)
    return fitted


@pytest.fixture(scope="module")
def patients(tiny):
    return simulate(tiny, 200, 4, missing=0.3).codes


def row(registry, **answers):
    """The reference patient but for these answers."""
    codes = reference_row(registry)
    for name, code in answers.items():
        codes[registry.names.index(name)] = code
    return codes


def without_trees(model):
    return replace(model, trees=Trees.fold([], reference_row(model.registry)))


# --- laws ------------------------------------------------------------------------------------


@given(data=st.data())
def test_contributions_add_up_to_the_margin_less_that_of_the_reference(model, tiny, data):
    rows = model.rows(np.array(data.draw(st.lists(rows_of(tiny), min_size=1, max_size=MANY))))
    total, literature = model.contributions(rows)
    assert total.shape == literature.shape == (len(rows), len(tiny.factors))
    np.testing.assert_allclose(
        total.sum(axis=1), model.margin(rows) - model.reference_margin, rtol=0, atol=1e-9
    )


def test_contributions_are_the_factors_own_columns_and_what_the_trees_give_it(model, patients):
    rows, linear = model.rows(patients), without_trees(model)
    total, _ = linear.contributions(linear.rows(patients))
    for index, part in enumerate(model.encoding.slices):
        expected = rows.columns[:, part] @ model.beta[part]
        np.testing.assert_allclose(total[:, index], expected, rtol=0, atol=1e-12)
    with_trees, _ = model.contributions(rows)
    np.testing.assert_allclose(
        with_trees - total, model.trees.contributions(rows.codes), rtol=0, atol=1e-12
    )
    assert np.abs(with_trees - total).max() > 0.05


def test_the_reference_patient_has_the_reference_margin_and_no_contributions(model, tiny):
    rows = model.rows(reference_row(tiny)[None])
    assert model.margin(rows)[0] == pytest.approx(model.reference_margin, abs=1e-12)
    for part in model.contributions(rows):
        np.testing.assert_allclose(part, 0, atol=1e-12)


def test_the_part_from_the_literature_is_that_of_the_literature(model, patients):
    half = replace(model, literature=0.5 * model.beta)
    linear, literature = half.contributions(half.rows(patients))
    trees = half.trees.contributions(half.rows(patients).codes)
    np.testing.assert_allclose(literature, 0.5 * (linear - trees), rtol=0, atol=1e-12)


@given(data=st.data())
def test_one_patient_at_a_time_gets_the_answer_all_get_together(model, tiny, data):
    codes = np.array(data.draw(st.lists(rows_of(tiny), min_size=2, max_size=MANY)))
    rows = model.rows(codes)
    alone = [model.rows(one[None]) for one in codes]
    for answer in (model.margin, model.spread, lambda r: model.contributions(r)[0]):
        expected = np.concatenate([answer(one) for one in alone])
        np.testing.assert_allclose(answer(rows), expected, rtol=0, atol=1e-10)


def test_the_order_of_patients_does_not_matter(model, patients):
    order = np.random.default_rng(0).permutation(len(patients))
    there, here = model.rows(patients[order]), model.rows(patients)
    np.testing.assert_allclose(model.margin(there), model.margin(here)[order], rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.spread(there), model.spread(here)[order], rtol=0, atol=1e-10)


def test_no_patients_get_no_answers(model, tiny):
    rows = model.rows(np.empty((0, len(tiny.factors))))
    assert len(rows) == 0
    assert model.margin(rows).shape == model.spread(rows).shape == (0,)
    assert model.contributions(rows)[0].shape == (0, len(tiny.factors))


@given(data=st.data())
def test_what_is_known_stays_as_it_was_given_and_nothing_is_left_unknown(model, tiny, data):
    codes = np.array(data.draw(st.lists(rows_of(tiny), min_size=1, max_size=MANY)))
    rows = model.rows(codes)
    np.testing.assert_array_equal(rows.given, codes)
    known = ~np.isnan(codes)
    np.testing.assert_array_equal(rows.codes[known], codes[known])
    assert not np.isnan(rows.codes).any()
    assert not np.isnan(rows.columns).any()
    own = known[:, model.encoding.owner]
    np.testing.assert_array_equal(rows.columns[own], model.encoding.encode(codes)[own])


def test_preparing_patients_leaves_the_given_codes_alone(model, patients):
    before = patients.copy()
    model.rows(patients).codes[:] = 0
    np.testing.assert_array_equal(patients, before)


# --- unknown ---------------------------------------------------------------------------------


@given(data=st.data())
def test_an_unknown_answer_counts_as_the_mean_over_what_it_may_be(model, tiny, data):
    index = data.draw(st.integers(0, len(tiny.factors) - 1))
    codes = data.draw(rows_of(tiny))
    codes[index] = np.nan
    linear = without_trees(model)
    rows = linear.rows(codes[None])
    chances = rows.guesses[index].chances[0]
    assert chances.sum() == pytest.approx(1)
    values = model.population.bins.codes[index]
    effects = model.encoding.tabulate(index, values) @ model.beta[model.encoding.slices[index]]
    np.testing.assert_allclose(model.effects(index), effects, atol=1e-12)
    contribution = linear.contributions(rows)[0][0, index]
    assert contribution == pytest.approx(chances @ effects, abs=1e-10)
    assert rows.codes[0, index] == pytest.approx(chances @ values)


def test_unknown_smoking_is_neither_a_smoker_nor_a_non_smoker(model, tiny):
    answers = np.array([row(tiny, smoking=code) for code in (0.0, UNKNOWN, 2.0)])
    never, unknown, current = model.margin(model.rows(answers))
    assert never + 0.05 < unknown < current - 0.05


def test_of_a_patient_of_whom_nothing_is_known_the_answer_is_finite_and_widest(model, tiny):
    nothing = np.full(len(tiny.factors), np.nan)
    rows = model.rows(np.array([nothing, reference_row(tiny)]))
    assert np.isfinite(model.margin(rows)).all()
    spread = model.spread(rows)
    assert spread[0] > spread[1] > 0


# --- spread ----------------------------------------------------------------------------------


def test_the_spread_of_a_known_patient_is_that_of_the_refits(model, tiny):
    codes = simulate(tiny, 50, 5, missing=0.0).codes
    rows = model.rows(codes)
    margins = [
        intercept + rows.columns @ beta + share * model.trees.margin(codes)
        for intercept, beta, share in zip(
            model.refits.intercept, model.refits.beta, model.refits.tree_share, strict=True
        )
    ]
    np.testing.assert_allclose(model.spread(rows), np.std(margins, axis=0, ddof=1), atol=1e-12)


def as_known(rows: Rows) -> Rows:
    """The same expected columns, taken as known."""
    return replace(rows, guesses=Guesses(rows.guesses.size))


@given(data=st.data())
def test_what_is_unknown_adds_the_variance_of_its_effects(model, tiny, data):
    codes = data.draw(rows_of(tiny))
    assume(np.isnan(codes).any())
    rows = model.rows(codes[None])
    alone = as_known(rows)
    expected = 0.0
    for index, guess in rows.guesses.items():
        effects, chances = model.effects(index), guess.chances[0]
        expected += chances @ (effects - chances @ effects) ** 2
    added = model.spread(rows)[0] ** 2 - model.spread(alone)[0] ** 2
    assert added == pytest.approx(expected, abs=1e-10)


def test_a_factor_without_effect_adds_no_spread_when_unknown(model, tiny):
    silent = replace(model, beta=model.beta.copy())
    silent.beta[model.encoding.slices[tiny.names.index("smoking")]] = 0.0
    rows = silent.rows(row(tiny, smoking=UNKNOWN)[None])
    assert silent.spread(rows)[0] == silent.spread(as_known(rows))[0]
    rows = model.rows(row(tiny, smoking=UNKNOWN)[None])
    assert model.spread(rows)[0] > model.spread(as_known(rows))[0]


@pytest.mark.parametrize("refits", [0, 1])
def test_too_few_refits_to_differ_leave_the_spread_of_what_is_unknown(model, tiny, refits):
    few = replace(
        model.refits,
        intercept=model.refits.intercept[:refits],
        beta=model.refits.beta[:refits],
        tree_share=model.refits.tree_share[:refits],
    )
    settled = replace(model, refits=few)
    answers = np.array([reference_row(tiny), row(tiny, smoking=UNKNOWN)])
    known, unknown = settled.spread(settled.rows(answers))
    assert known == 0
    assert unknown > 0


# --- one policy ------------------------------------------------------------------------------


def test_training_and_use_complete_patients_alike(model, patients):
    in_training = Preparation(model.population, model.encoding).rows(patients)
    in_use = model.rows(patients)
    np.testing.assert_array_equal(in_training.columns, in_use.columns)
    np.testing.assert_array_equal(in_training.codes, in_use.codes)
