"""A method is judged on patients it had not seen, and the same recipe gives the same model."""

from __future__ import annotations

import json
from dataclasses import astuple, replace

import numpy as np
import pytest

from spinecast.errors import DataRefused, SpinecastError, UsageRefused
from spinecast.fitting import training
from spinecast.fitting.estimator import EvidenceInformedClassifier
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.measures.evaluation import evaluate
from spinecast.modelling.trees import Trees
from spinecast.simulator.synthetic import simulate

RECIPE = Recipe(
    baselines=("published evidence", "ridge"),
    evidence=EvidenceRecipe(weights=(0.0, 1.0), scales=(1.0,)),
    trees=TreeRecipe(most_rounds=10, least_gain=0.0, least_hessian=1.0),
    resampling=ResamplingRecipe(inner_folds=2, inner_repeats=1, outer_folds=2, outer_repeats=2),
    interval=IntervalRecipe(refits=5),
)


@pytest.fixture(scope="module")
def cohort(tiny):
    return simulate(tiny, 300, 1)


@pytest.fixture(scope="module")
def result(tiny, cohort):
    return trained_on(tiny, cohort.codes, cohort.outcome)


def trained_on(registry, codes, y, recipe=RECIPE, **more):
    more = {"trained_on": "simulated", "outcome": "failed"} | more
    return training.train(registry, codes, y, recipe, **more)


def changed(**parts):
    return RECIPE.model_copy(update=parts)


def told(result, methods):
    """Every number of a training, as text: equal only when all are, bit for bit."""
    model = result.model
    arrays = (model.beta, *vars_of(model.refits), model.trees.weights, model.trees.shares)
    return json.dumps(
        [
            model.intercept,
            model.population.to_dict(),
            result.booster,
            result.facts.to_dict(),
            [array.tolist() for array in arrays],
            [result.unseen[name].tolist() for name in methods],
            [result.performance[name].to_dict() for name in methods],
        ]
    )


def vars_of(refits):
    return refits.intercept, refits.beta, refits.tree_share


# --- laws -----------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_training_bit_for_bit(tiny, cohort, result):
    again = trained_on(tiny, cohort.codes.copy(), cohort.outcome.copy())
    assert told(again, again.unseen) == told(result, result.unseen)
    assert again.choices == result.choices


def test_another_seed_deals_the_patients_otherwise(tiny, cohort, result):
    other = trained_on(tiny, cohort.codes, cohort.outcome, changed(seed=2, baselines=()))
    assert not np.array_equal(other.unseen["spinecast"], result.unseen["spinecast"])


def test_the_order_of_the_baselines_changes_no_number(tiny, cohort, result):
    other = trained_on(
        tiny, cohort.codes, cohort.outcome, changed(baselines=RECIPE.baselines[::-1])
    )
    assert list(other.unseen) != list(result.unseen)
    assert told(other, result.unseen) == told(result, result.unseen)


def test_baselines_change_nothing_of_the_model(tiny, cohort, result):
    alone = trained_on(tiny, cohort.codes, cohort.outcome, changed(baselines=()))
    assert told(alone, ["spinecast"]) == told(result, ["spinecast"])


def test_patients_without_a_known_outcome_are_as_if_they_were_not_there(tiny, cohort, result):
    place = np.arange(0, len(cohort), 3)
    codes = np.insert(cohort.codes, place, 0.0, axis=0)
    y = np.insert(cohort.outcome, place, np.nan)
    more = trained_on(tiny, codes, y)
    assert len(y) > len(more.y) == len(cohort)
    assert told(more, more.unseen) == told(result, result.unseen)


class Remembers:
    """Knows the outcome of every patient it was fitted to, and of nobody else."""

    def fit(self, codes, y):
        self.known = {row.tobytes(): outcome for row, outcome in zip(codes, y, strict=True)}
        return self

    def predict_proba(self, codes):
        risk = np.array([self.known.get(row.tobytes(), 0.5) for row in codes])
        return np.column_stack([1 - risk, risk])


@pytest.mark.parametrize(("splits", "repeats"), [(2, 1), (3, 2), (5, 2)])
def test_who_remembers_outcomes_gains_nothing(tiny, cohort, monkeypatch, splits, repeats):
    """A patient any fit had seen would be given 0 or 1."""
    codes = cohort.codes.copy()
    codes[:, 2] = np.linspace(0, 10, len(codes))  # no two patients alike
    monkeypatch.setattr(training, "BASELINES", {"memory": lambda registry, seed: Remembers()})
    resampling = RECIPE.resampling.model_copy(
        update={"outer_folds": splits, "outer_repeats": repeats}
    )
    recipe = changed(baselines=("memory",), resampling=resampling)
    unseen = trained_on(tiny, codes, cohort.outcome, recipe).unseen["memory"]
    np.testing.assert_allclose(unseen, 0.5, atol=1e-12)
    assert Remembers().fit(codes, cohort.outcome).predict_proba(codes)[:, 1].max() == 1


def test_our_own_risks_come_from_fits_that_had_not_seen_the_patient(tiny, cohort, monkeypatch):
    asked = []

    class Spied(EvidenceInformedClassifier):
        def fit(self, codes, y):
            self.seen_ = set(codes[:, 2])
            return super().fit(codes, y)

        def predict_proba(self, codes):
            asked.extend(codes[:, 2])
            assert self.seen_.isdisjoint(codes[:, 2])
            return super().predict_proba(codes)

    codes = cohort.codes.copy()
    codes[:, 2] = np.linspace(0, 10, len(codes))
    monkeypatch.setattr(training, "EvidenceInformedClassifier", Spied)
    trained_on(tiny, codes, cohort.outcome, changed(baselines=()))
    assert sorted(asked) == sorted([*codes[:, 2]] * RECIPE.resampling.outer_repeats)


def test_an_outcome_that_is_noise_cannot_be_predicted_and_a_true_one_can(tiny, cohort, result):
    noise = np.random.default_rng(5).permutation(cohort.outcome)
    guessed = trained_on(tiny, cohort.codes, noise, changed(baselines=()))
    assert 0.35 < guessed.performance["spinecast"]["auroc"].value < 0.62
    assert result.performance["spinecast"]["auroc"].value > 0.7


# --- what comes out -------------------------------------------------------------------------------


def test_every_method_is_judged_by_its_unseen_risks_on_the_same_patients(result):
    assert list(result.performance) == ["spinecast", *RECIPE.baselines]
    alone = evaluate(result.y, result.unseen["spinecast"], seed=RECIPE.seed)
    # Nearly: how many threads multiply matrices decides the last digits.
    for one, other in zip(result.performance["spinecast"].estimates, alone.estimates, strict=True):
        assert astuple(one)[2:] == pytest.approx(astuple(other)[2:], rel=1e-9, nan_ok=True)
    for name, performance in result.performance.items():
        again = evaluate(result.y, result.unseen[name], resamples=0)
        for estimate in performance.estimates:
            value = again[estimate.measure].value
            assert estimate.value == pytest.approx(value, nan_ok=True)
            assert np.isnan(estimate.low) or estimate.low <= value <= estimate.high
        assert performance.patients == len(result.y)
    assert result.comparison.reference == "spinecast"


def test_work_is_told_from_beginning_to_end(tiny, cohort):
    said = []
    recipe = changed(baselines=())
    trained_on(tiny, cohort.codes, cohort.outcome, recipe, progress=lambda *told: said.append(told))
    total = RECIPE.resampling.outer_folds * RECIPE.resampling.outer_repeats
    assert said == [
        *(("cross-validating", done, total) for done in range(total + 1)),
        ("fitting on all patients", 0, 1),
        ("fitting on all patients", 1, 1),
    ]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("failed", [True, False])
@pytest.mark.parametrize("few", [0, 1, 9, 10])
def test_fewer_than_ten_of_either_kind_are_refused_with_the_counts(tiny, cohort, few, failed):
    codes = cohort.codes[:50]
    y = np.where(np.arange(50) < few, float(failed), float(not failed))
    y[-3:] = np.nan
    recipe = changed(baselines=(), trees=TreeRecipe(most_rounds=0))
    if few == 10:
        assert trained_on(tiny, codes, y, recipe).y.tolist() == y[:-3].tolist()
        return
    with pytest.raises(DataRefused) as refused:
        trained_on(tiny, codes, y, recipe)
    [problem] = refused.value.problems
    events, others = (few, 47 - few) if failed else (47 - few, few)
    assert problem.given.startswith(f"{events} patients with the outcome and {others} without")
    assert problem.allowed == "at least 10 of each"
    assert problem.remedy


def test_baselines_nobody_knows_are_all_named_beside_those_there_are(tiny, cohort):
    recipe = changed(baselines=("ridge", "oracle", "coin"))
    with pytest.raises(UsageRefused) as refused:
        trained_on(tiny, cohort.codes, cohort.outcome, recipe)
    assert [problem.where for problem in refused.value.problems] == [
        "baselines 'oracle'",
        "baselines 'coin'",
    ]
    for problem in refused.value.problems:
        assert problem.allowed == f"one of: {', '.join(training.BASELINES)}"


# --- the proof of the explanations ----------------------------------------------------------------


def tampered(trees, field, by):
    """The trees with one number moved, of the product that holds for most patients."""
    values = getattr(trees, field).copy()
    values[np.unravel_index(np.argmax(np.abs(values)), values.shape)] += by
    return replace(trees, **{field: values})


def test_true_explanations_are_proven(trained, candidates):
    training.prove_explanations(trained.model, trained.booster, candidates)
    training.prove_explanations(trained.model, None, candidates)


@pytest.mark.parametrize("field", ["weights", "shares"])
@pytest.mark.parametrize(("by", "differs"), [(1e-9, False), (1e-3, True), (-1.0, True)])
def test_folded_trees_that_were_tampered_with_are_found_out(
    trained, candidates, field, by, differs
):
    model = replace(trained.model, trees=tampered(trained.model.trees, field, by))
    if not differs:
        training.prove_explanations(model, trained.booster, candidates)
        return
    with pytest.raises(SpinecastError, match="nothing was written"):
        training.prove_explanations(model, trained.booster, candidates)


def test_trees_of_another_booster_are_found_out(trained, candidates):
    booster = json.loads(trained.booster)
    tree = booster["learner"]["gradient_booster"]["model"]["trees"][0]
    leaf = tree["left_children"].index(-1)
    tree["split_conditions"][leaf] += 0.01
    with pytest.raises(SpinecastError, match="differ from XGBoost and shap"):
        training.prove_explanations(trained.model, json.dumps(booster), candidates)


def test_no_training_ends_with_explanations_that_are_wrong(tiny, cohort, result, monkeypatch):
    assert result.booster is not None
    right = Trees.contributions
    monkeypatch.setattr(Trees, "contributions", lambda self, codes: right(self, codes) + 0.01)
    with pytest.raises(SpinecastError, match=r"by 0\.01"):
        trained_on(tiny, cohort.codes, cohort.outcome, changed(baselines=()))
