"""Effects are what patients get for their values, and a ranking says how sure it is."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from spinecast.fitting import effects as module
from spinecast.fitting.effects import TOP, effects, importance
from spinecast.modelling.features import Encoding
from spinecast.modelling.model import Refits, reference_row
from spinecast.modelling.trees import Trees

EXACT = {"rtol": 0, "atol": 1e-9}


@pytest.fixture(scope="module")
def model(trained):
    return trained.model


@pytest.fixture(scope="module")
def linear(model):
    return replace(model, trees=Trees.fold([], reference_row(model.registry)))


@pytest.fixture(scope="module")
def found(model):
    return effects(model)


def without_refits(model):
    size = len(model.beta)
    return replace(model, refits=Refits(np.empty(0), np.empty((0, size)), np.empty(0)))


# --- effects ---------------------------------------------------------------------------------


def test_every_factor_has_an_effect_in_the_order_of_the_registry(model, found):
    assert tuple(effect.factor for effect in found) == model.registry.names


def test_at_the_reference_everything_is_zero(found):
    for effect in found:
        at = effect.codes == effect.reference
        assert at.sum() == 1, effect.factor
        for numbers in (effect.log_odds, effect.low, effect.high, effect.with_trees):
            assert numbers[at] == pytest.approx(0, abs=1e-9)
        for numbers in (effect.literature, effect.literature_low, effect.literature_high):
            assert math.isnan(numbers[at][0]) or numbers[at] == pytest.approx(0, abs=1e-9)


def test_an_effect_is_the_contribution_of_a_patient_known_to_have_the_value(linear, found):
    """Whatever else the patient has: the linear part knows no company."""
    others = linear.population.sample(1, np.random.default_rng(0))[0]
    for index, effect in enumerate(found):
        codes = np.tile(others, (len(effect.codes), 1))
        codes[:, index] = effect.codes
        total, _ = linear.contributions(linear.rows(codes))
        np.testing.assert_allclose(effect.log_odds, total[:, index], **EXACT)


def test_with_trees_it_is_all_that_sets_a_patient_apart_from_the_reference(model, linear, found):
    apart = 0.0
    for index, effect in enumerate(found):
        codes = np.tile(reference_row(model.registry), (len(effect.codes), 1))
        codes[:, index] = effect.codes
        margin = model.margin(model.rows(codes))
        np.testing.assert_allclose(effect.with_trees, margin - model.reference_margin, **EXACT)
        apart = max(apart, np.abs(effect.with_trees - effect.log_odds).max())
    assert apart > 0.01
    for effect in effects(linear):
        np.testing.assert_array_equal(effect.with_trees, effect.log_odds)


def test_the_limits_are_the_middle_of_the_refits(model, found):
    index = model.registry.names.index("diabetes")
    part = model.encoding.slices[index]
    drawn = model.refits.beta[:, part][:, 0]
    ends = (1 - model.level) / 2, (1 + model.level) / 2
    assert (found[index].low[1], found[index].high[1]) == tuple(np.quantile(drawn, ends))
    for effect in effects(without_refits(model)):
        assert np.isnan(effect.low).all()
        assert effect.refits == 0


def test_the_literature_is_the_registrys_own_with_its_doubt(model, found):
    index = model.registry.names.index("diabetes")
    column = model.encoding.columns[model.encoding.slices[index].start]
    effect = found[index]
    assert effect.literature[1] == pytest.approx(column.published)
    assert column.published > 0
    half = 1.6448536269514722 * column.prior_sd
    assert model.level == 0.9
    assert effect.literature_high[1] - effect.literature[1] == pytest.approx(half)
    assert effect.literature[1] - effect.literature_low[1] == pytest.approx(half)


def test_where_nothing_is_published_there_is_no_literature(model):
    factors = tuple(
        factor.model_copy(update={"prior": None}) if factor.name == "diabetes" else factor
        for factor in model.registry.factors
    )
    registry = model.registry.model_copy(update={"factors": factors})
    silent = replace(model, registry=registry, encoding=Encoding.from_registry(registry))
    told = {effect.factor: effect for effect in effects(silent)}
    assert np.isnan(told["diabetes"].literature).all()
    assert not np.isnan(told["bmi"].literature).any()
    assert told["diabetes"].to_dict()["values"][1]["literature"] is None


def test_an_effect_follows_the_declared_direction(model, found):
    """Along the values; levels without an order stand on one side of the reference."""
    for factor, effect in zip(model.registry.factors, found, strict=True):
        for numbers in (effect.log_odds, effect.low, effect.high):
            steps = numbers if factor.kind == "nominal" else np.diff(numbers)
            assert (steps * factor.sign >= -1e-9).all(), factor.name


def test_a_record_is_plain_and_in_odds_ratios(found):
    effect = next(effect for effect in found if effect.factor == "smoking_status")
    plain = json.loads(json.dumps(effect.to_dict(), allow_nan=False))
    assert [value["value"] for value in plain["values"]] == list(effect.names)
    assert plain["values"][2]["odds_ratio"] == pytest.approx(math.exp(effect.log_odds[2]))
    assert plain["values"][0]["odds_ratio"] == 1


# --- importance ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patients(candidates):
    return candidates[:300]


def test_importance_is_the_mean_size_of_the_contributions(model, patients):
    total, _ = model.contributions(model.rows(patients))
    expected = dict(zip(model.registry.names, np.abs(total).mean(axis=0), strict=True))
    ranking = importance(model, patients)
    assert {rank.factor: rank.value for rank in ranking} == pytest.approx(expected)
    assert [rank.rank for rank in ranking] == list(range(1, len(expected) + 1))
    values = [rank.value for rank in ranking]
    assert values == sorted(values, reverse=True)


def test_refits_say_how_sure_the_ranking_is(model, patients):
    """Each refit ranked by hand."""
    rows, names = model.rows(patients), model.registry.names
    trees = model.trees.contributions(rows.codes)
    seen = dict.fromkeys(names, 0)
    sizes = []
    for beta, share in zip(model.refits.beta, model.refits.tree_share, strict=True):
        parts = [rows.columns[:, part] @ beta[part] for part in model.encoding.slices]
        size = np.abs(np.stack(parts, axis=1) + share * trees).mean(axis=0)
        sizes.append(size)
        for foremost in np.argsort(-size)[:TOP]:
            seen[names[foremost]] += 1
    limits = np.quantile(sizes, (0.05, 0.95), axis=0)
    for rank in importance(model, patients):
        assert rank.in_top == pytest.approx(seen[rank.factor] / len(model.refits))
        assert (rank.low, rank.high) == pytest.approx(tuple(limits[:, names.index(rank.factor)]))
    assert sum(rank.in_top for rank in importance(model, patients)) == pytest.approx(TOP)
    assert 0 < importance(model, patients, top=1)[0].in_top <= 1


def test_refits_that_all_agree_leave_no_doubt(model, patients):
    same = Refits(np.full(5, model.intercept), np.tile(model.beta, (5, 1)), np.ones(5, dtype=float))
    ranking = importance(replace(model, refits=same), patients)
    assert [rank.in_top for rank in ranking] == [1.0] * TOP + [0.0] * (len(ranking) - TOP)
    for rank in ranking:
        assert rank.low == pytest.approx(rank.value)
        assert rank.high == pytest.approx(rank.value)


def test_neither_the_order_of_patients_nor_the_pieces_matter(model, patients, monkeypatch):
    before = importance(model, patients)
    monkeypatch.setattr(module, "PIECE", 70)
    after = importance(model, patients[::-1])
    assert [rank.factor for rank in after] == [rank.factor for rank in before]
    for old, new in zip(before, after, strict=True):
        assert (new.value, new.low, new.high) == pytest.approx((old.value, old.low, old.high))
        assert new.in_top == old.in_top


def test_reference_patients_are_moved_by_nothing(model):
    ranking = importance(model, reference_row(model.registry)[None])
    assert max(rank.value for rank in ranking) == pytest.approx(0, abs=1e-9)
    assert [rank.factor for rank in ranking] == list(model.registry.names)


def test_without_refits_or_patients_what_is_not_known_is_nan(model, patients):
    alone = importance(without_refits(model), patients)
    assert all(math.isnan(rank.in_top) and math.isnan(rank.low) for rank in alone)
    assert alone[0].value > 0
    nobody = importance(model, patients[:0])
    assert len(nobody) == len(model.registry.factors)
    assert all(math.isnan(rank.value) for rank in nobody)
    assert all(math.isnan(rank.in_top) for rank in nobody)
