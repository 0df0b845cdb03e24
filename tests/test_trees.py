"""Folded trees are XGBoost's margin and shap's interventional values, as sums of products."""

import json
from functools import cache
from itertools import permutations
from math import factorial

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from spinecast.modelling import cells
from spinecast.modelling.trees import MANY_ROWS, Leaf, Trees, leaves_of

FACTORS = 6


def patients(count, seed=0):
    """Codes as patients have them: levels, counts and numbers."""
    random = np.random.default_rng(seed)
    levels = random.integers(0, 4, (count, FACTORS - 2)).astype(float)
    return np.column_stack([levels, random.normal(size=count), random.normal(50, 12, count)])


def grown(depth, *, monotone=False, rounds=20, **more):
    """A booster on an outcome with interactions, in which every factor matters."""
    codes = patients(400)
    random = np.random.default_rng(1)
    pull = codes[:, 0] * codes[:, 1] - codes[:, 2] + codes[:, 4] * (codes[:, 3] > 1)
    y = (pull + 0.05 * (codes[:, 5] - 50) + random.logistic(size=400) > 1.5) * 1.0
    settings = {
        "objective": "binary:logistic",
        "max_depth": depth,
        "eta": 0.3,
        "base_score": 0.5,
        "nthread": 1,
        "monotone_constraints": "(1,1,-1,0,1,0)" if monotone else "(0,0,0,0,0,0)",
        **more,
    }
    return xgboost.train(settings, xgboost.DMatrix(codes, label=y), rounds)


def leaves(booster):
    return leaves_of(json.loads(booster.save_raw("json").decode()))


@cache
def case(depth, monotone):
    booster, reference = grown(depth, monotone=monotone), patients(1, 7)[0]
    return booster, reference, Trees.fold(leaves(booster), reference)


def their_margin(booster, codes):
    return booster.predict(xgboost.DMatrix(codes), output_margin=True)


def on_thresholds(booster, codes):
    """The same patients, each number moved onto a threshold of the trees, or just beside one."""
    codes, random = codes.copy(), np.random.default_rng(2)
    for factor in range(FACTORS):
        ends = {e for leaf in leaves(booster) for e in leaf.box.get(factor, ()) if np.isfinite(e)}
        cuts = np.array(sorted(ends), dtype=np.float32)
        if len(cuts):
            beside = np.stack([cuts, np.nextafter(cuts, -np.inf), np.nextafter(cuts, np.inf)])
            codes[:, factor] = random.choice(beside.ravel(), len(codes))
    return codes


CASES = pytest.mark.parametrize(
    ("depth", "monotone"), [(d, m) for d in (1, 2, 3, 4) for m in (False, True)]
)


# --- laws ------------------------------------------------------------------------------------


@CASES
def test_contributions_add_up_to_the_margin_less_that_of_the_reference(depth, monotone):
    _, reference, trees = case(depth, monotone)
    codes = patients(200, 3)
    rise = trees.margin(codes) - trees.margin(reference[None])
    assert np.ptp(rise) > 0.5
    np.testing.assert_allclose(trees.contributions(codes).sum(axis=1), rise, rtol=0, atol=1e-12)


@CASES
def test_the_reference_and_a_factor_at_its_reference_contribute_nothing(depth, monotone):
    _, reference, trees = case(depth, monotone)
    np.testing.assert_allclose(trees.contributions(reference[None]), 0, atol=1e-12)
    codes = patients(200, 4)
    for factor in range(FACTORS):
        same = codes.copy()
        same[:, factor] = reference[factor]
        np.testing.assert_allclose(trees.contributions(same)[:, factor], 0, atol=1e-12)


def test_a_factor_that_no_tree_asks_for_contributes_nothing():
    _, reference, _ = case(2, monotone=False)
    asked = [leaf for leaf in leaves(grown(1)) if 0 not in leaf.box]
    contributions = Trees.fold(asked, reference).contributions(patients(50, 5))
    assert not contributions[:, 0].any()
    assert contributions.any()


@CASES
def test_one_patient_and_many_get_the_same_answer(depth, monotone):
    _, _, trees = case(depth, monotone)
    codes = patients(30, 6)
    alone = [trees.margin(row[None])[0] for row in codes]
    np.testing.assert_allclose(trees.margin(codes), alone, rtol=0, atol=1e-12)
    alone = [trees.contributions(row[None])[0] for row in codes]
    np.testing.assert_allclose(trees.contributions(codes), alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_declared_direction_holds_for_margin_and_contributions(depth):
    _, reference, trees = case(depth, monotone=True)
    for factor, sign in ((0, 1), (1, 1), (2, -1), (4, 1)):
        low = patients(200, 8)
        high = low.copy()
        high[:, factor] += 1
        assert np.all(sign * (trees.margin(high) - trees.margin(low)) >= -1e-12)
        low[:, factor] = reference[factor] + np.abs(low[:, factor])
        assert np.all(sign * trees.contributions(low)[:, factor] >= -1e-12)


@given(st.floats(-3, 3))
def test_stretched_trees_are_stretched_everywhere(scale):
    booster, reference, trees = case(2, monotone=True)
    codes = patients(20, 9)
    stretched = Trees.fold(leaves(booster), reference, scale)
    np.testing.assert_allclose(stretched.margin(codes), scale * trees.margin(codes), atol=1e-12)
    np.testing.assert_allclose(
        stretched.contributions(codes), scale * trees.contributions(codes), atol=1e-12
    )


@CASES
@pytest.mark.parametrize("most", [100, 4096])
def test_many_rows_are_looked_up_in_tables_and_get_the_same(depth, monotone, most, monkeypatch):
    booster, reference, _ = case(depth, monotone)
    trees = Trees.fold(leaves(booster), reference)
    monkeypatch.setattr(cells, "MOST_CELLS", most)
    codes = patients(MANY_ROWS + 1, 13)
    for rows in (codes, on_thresholds(booster, codes)):
        held = trees.hold(rows)
        np.testing.assert_allclose(trees.margin(rows), held @ trees.weights, rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            trees.contributions(rows), held @ trees.shares, rtol=0, atol=1e-12
        )
    sizes = [len(table.weights) for table in trees.tables.tables]
    assert max(sizes) <= max(most, 3**depth)


def test_tables_hold_what_every_patient_gets():
    trees = Trees.fold([Leaf({}, 0.5), Leaf({1: (2.0, np.inf)}, 1.0)], np.zeros(3))
    codes = np.zeros((MANY_ROWS, 3))
    codes[0, 1] = 2.0
    assert trees.margin(codes)[:2].tolist() == [1.5, 0.5]
    assert trees.contributions(codes)[:2].tolist() == [[0, 1, 0], [0, 0, 0]]


def test_no_trees_add_nothing():
    trees = Trees.fold([], np.zeros(FACTORS))
    assert len(trees) == 0
    np.testing.assert_array_equal(trees.margin(patients(5)), np.zeros(5))
    np.testing.assert_array_equal(trees.contributions(patients(5)), np.zeros((5, FACTORS)))


@st.composite
def forests(draw):
    """Any leaves over three factors with levels 0 to 3, a reference row and a patient."""
    levels = st.integers(0, 3)
    interval = st.tuples(st.sampled_from([-np.inf, 0.5, 1.5]), st.sampled_from([2.5, np.inf]))
    boxes = st.dictionaries(st.integers(0, 2), interval, max_size=3)
    made = draw(st.lists(st.builds(Leaf, boxes, st.integers(-3, 3).map(float)), min_size=1))
    rows = [np.array(draw(st.tuples(levels, levels, levels)), dtype=float) for _ in range(2)]
    return made, *rows


@given(forests())
def test_contributions_are_shapley_values_by_their_definition(forest):
    made, reference, row = forest

    def margin(patient):
        return sum(
            leaf.value
            for leaf in made
            if all(low <= patient[f] < high for f, (low, high) in leaf.box.items())
        )

    expected = np.zeros(3)
    for order in permutations(range(3)):
        now = reference.copy()
        for factor in order:
            before = margin(now)
            now[factor] = row[factor]
            expected[factor] += (margin(now) - before) / factorial(3)
    trees = Trees.fold(made, reference)
    assert trees.margin(row[None])[0] == pytest.approx(margin(row), abs=1e-12)
    np.testing.assert_allclose(trees.contributions(row[None])[0], expected, rtol=0, atol=1e-12)


# --- references ------------------------------------------------------------------------------


@CASES
def test_the_margin_is_that_of_xgboost(depth, monotone):
    booster, _, trees = case(depth, monotone)
    codes = patients(500, 10)
    for rows in (codes, on_thresholds(booster, codes)):
        np.testing.assert_allclose(
            trees.margin(rows), their_margin(booster, rows), rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize(
    "settings",
    [{"gamma": 3.0}, {"min_child_weight": 500.0}, {"min_child_weight": 20.0, "monotone": True}],
)
def test_trees_that_were_pruned_or_never_grew_are_those_of_xgboost(settings):
    # Such a tree is one leaf, and XGBoost keeps its weight before shrinkage in another field.
    booster = grown(3, rounds=60, base_score=0.1, **settings)
    trees = Trees.fold(leaves(booster), patients(1, 7)[0])
    codes = patients(200, 11)
    theirs = their_margin(booster, codes) - np.log(0.1 / 0.9)
    assert any(not leaf.box for leaf in leaves(booster))
    np.testing.assert_allclose(trees.margin(codes), theirs, rtol=0, atol=1e-5)


@CASES
def test_contributions_are_those_of_shap(depth, monotone):
    shap = pytest.importorskip("shap")
    booster, reference, trees = case(depth, monotone)
    explainer = shap.TreeExplainer(
        booster, data=reference[None], feature_perturbation="interventional"
    )
    codes = patients(60, 12)
    for rows in (codes, on_thresholds(booster, codes)):
        theirs = explainer.shap_values(rows.astype(np.float32), check_additivity=False)
        np.testing.assert_allclose(trees.contributions(rows), theirs, rtol=0, atol=1e-6)


# --- examples --------------------------------------------------------------------------------


def test_two_factors_that_matter_only_together_share_what_they_do():
    both = Leaf({0: (0.5, np.inf), 1: (0.5, np.inf)}, 1.0)
    trees = Trees.fold([both], np.zeros(2))
    rows = np.array([[1.0, 1], [1, 0], [0, 1], [0, 0]])
    np.testing.assert_array_equal(trees.margin(rows), [1, 0, 0, 0])
    np.testing.assert_array_equal(trees.contributions(rows), [[0.5, 0.5], [0, 0], [0, 0], [0, 0]])


def test_a_threshold_belongs_to_what_lies_above_it():
    trees = Trees.fold([Leaf({0: (2.0, np.inf)}, 1.0)], np.zeros(1))
    rows = np.array([[np.nextafter(np.float32(2), np.float32(0))], [2.0], [2.5]])
    np.testing.assert_array_equal(trees.margin(rows), [0, 1, 1])


def test_codes_are_compared_as_xgboost_does_in_32_bits():
    trees = Trees.fold([Leaf({0: (2.0, np.inf)}, 1.0)], np.zeros(1))
    rows = np.array([[2.0], [2 - 1e-9], [2 - 1e-6]])  # the second is 2 in 32 bits
    np.testing.assert_array_equal(trees.margin(rows), [1, 1, 0])


def test_equal_leaves_are_one_product():
    leaf = Leaf({0: (1.0, np.inf)}, 0.25)
    trees = Trees.fold([leaf] * 4, np.zeros(1))
    assert len(trees) == 1
    np.testing.assert_array_equal(trees.weights, [1.0])
