"""A model that meets another hospital is changed as little as its patients ask, and says why."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from conftest import TINY
from spinecast.errors import DataRefused, ModelRefused, UsageRefused
from spinecast.explaining.bundle import read_bundle, write_bundle
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.measures.logistic import expit
from spinecast.measures.metrics import log_loss
from spinecast.modelling.calibration import Recalibration
from spinecast.modelling.features import Encoding
from spinecast.modelling.model import Refits
from spinecast.patients.tables import write_table
from spinecast.simulator.synthetic import simulate
from spinecast.updating import journey
from spinecast.updating.choosing import decide
from spinecast.updating.climbing import Parent, climbed
from spinecast.updating.judging import first_question, judge_rungs
from spinecast.updating.ladder import RUNGS, ChoiceRecipe, Ladder, RevisionRecipe, read_ladder
from spinecast.updating.newcomers import Newcomers
from spinecast.updating.recalibrating import RecalibrationPrior, columns_of, shifted, stretched
from spinecast.updating.revision import LEAST_SD, beliefs, between_hospitals, revise
from spinecast.updating.rungs import Climb, inner_folds
from spinecast.updating.testing import Doubt, _drawn, good_enough
from test_retraining import followed, listed

LADDER = Ladder(
    choice=ChoiceRecipe(draws=199, folds=2, repeats=1),
    revision=RevisionRecipe(scales=(0.5, 1.0), leans=(0.0, 0.5), inner_folds=2, refits=10),
)
RECIPE = Recipe(
    baselines=(),
    evidence=EvidenceRecipe(weights=(1.0,), scales=(1.0,)),
    trees=TreeRecipe(most_rounds=0),
    resampling=ResamplingRecipe(inner_folds=2, inner_repeats=1, outer_folds=2, outer_repeats=1),
    interval=IntervalRecipe(refits=10),
)


@pytest.fixture(scope="module")
def parent(trained) -> Parent:
    return Parent("the old one", trained.facts, trained.booster)


@pytest.fixture(scope="module")
def climb(trained, registry) -> Climb:
    """The small model with trees, and 400 patients of a hospital where more is different."""
    there = simulate(registry, 400, 5, truth_seed=9, base_rate=0.4, case_mix=0.3)
    codes, y = journey.in_order(there.codes, there.outcome)
    return Climb(trained.model, Newcomers.of(trained.model, codes, y), LADDER, RECIPE)


@pytest.fixture(scope="module")
def updated(climb, parent):
    """The model after each rung has learned from all of them."""
    return {rung: climbed(climb, rung, parent, "simulated", lambda *_: None) for rung in RUNGS}


@pytest.fixture(scope="module")
def table(climb):
    return judge_rungs(climb, resamples=20)


def margins(model, codes):
    return model.margin(model.rows(codes))


# --- the rungs ------------------------------------------------------------------------------------


def test_a_kept_model_gives_everybody_the_same_risk_and_is_told_of_the_same_patients(
    updated, trained, candidates
):
    kept = updated["keep"]
    assert np.array_equal(
        margins(kept.model, candidates[:1000]), margins(trained.model, candidates[:1000])
    )
    assert kept.facts == trained.facts
    assert kept.booster == trained.booster


def test_another_intercept_moves_every_patient_by_the_same(updated, trained, candidates, climb):
    moved = margins(updated["intercept"].model, candidates[:1000]) - margins(
        trained.model, candidates[:1000]
    )
    assert np.ptp(moved) < 1e-12
    # Twice as many fail there.
    assert moved[0] > 0.3
    mean = expit(margins(updated["intercept"].model, climb.new.codes)).mean()
    before = expit(climb.new.margin).mean()
    assert abs(mean - climb.new.y.mean()) < 0.3 * abs(before - climb.new.y.mean())


def test_another_slope_keeps_the_order_of_patients(updated, trained, candidates):
    old, new = (
        margins(trained.model, candidates[:1000]),
        margins(updated["slope"].model, candidates[:1000]),
    )
    line = np.polyfit(old, new, 1)
    assert np.allclose(np.polyval(line, old), new, atol=1e-9)
    assert line[0] > 0
    assert line[0] == pytest.approx(updated["slope"].found["recalibration"]["slope"])


@pytest.mark.parametrize("rung", RUNGS)
def test_every_updated_model_explains_itself_to_the_last_digit(rung, updated, candidates):
    model = updated[rung].model
    rows = model.rows(candidates[:500])
    log_odds, literature = model.contributions(rows)
    assert np.allclose(log_odds.sum(axis=1), model.margin(rows) - model.reference_margin)
    assert np.allclose(literature.sum(axis=1), rows.columns @ model.literature)


@pytest.mark.parametrize("rung", ["intercept", "slope", "revision"])
def test_what_was_believed_before_any_patient_stays_the_literatures(rung, updated, trained):
    assert np.array_equal(updated[rung].model.literature, trained.model.literature)


@pytest.mark.parametrize("rung", RUNGS)
def test_no_update_turns_a_declared_direction_round(rung, updated):
    model = updated[rung].model
    assert (model.beta >= model.encoding.lower - 1e-12).all()
    assert (model.beta <= model.encoding.upper + 1e-12).all()


@pytest.mark.parametrize("rung", RUNGS)
def test_an_updated_model_is_the_same_after_it_was_written(rung, updated, candidates, tmp_path):
    made = updated[rung]
    story = {"outcome": "fbss_12m", "data": {}}
    write_bundle(tmp_path / "m", made.model, made.facts, made.booster, story)
    explainer = read_bundle(tmp_path / "m").explainer
    again, rows = explainer.model, made.model.rows(candidates[:300])
    assert np.allclose(again.margin(rows), made.model.margin(rows), atol=1e-9)
    assert np.allclose(again.spread(rows), made.model.spread(rows), atol=1e-9)
    assert explainer.facts.cautions == made.facts.cautions


def test_fewer_patients_leave_an_intercept_less_certain(climb, parent, candidates):
    def spread(count):
        new = Newcomers.of(climb.old, climb.new.codes[::count], climb.new.y[::count])
        made = climbed(replace(climb, new=new), "intercept", parent, "simulated", print)
        return made.model.spread(made.model.rows(candidates[:200])).mean()

    assert spread(8) > spread(1)


def test_a_revision_counts_the_patients_of_both_hospitals(updated, trained, climb):
    facts = updated["revision"].facts
    assert facts.patients == trained.facts.patients + len(climb.new)
    assert facts.cohort_risk == climb.new.y.mean()
    assert (facts.seen_low <= trained.facts.seen_low).all()
    assert "the old one" in next(c.message for c in facts.cautions if c.code == "updated")


def test_a_model_learned_anew_rests_on_the_new_patients_alone(updated, climb):
    assert updated["retrain"].facts.patients == len(climb.new)
    assert "updated" not in {caution.code for caution in updated["retrain"].facts.cautions}


def test_a_held_revision_is_the_old_model_and_a_free_one_is_not(climb):
    new = climb.new
    tight = RevisionRecipe(scales=(1e-4,), leans=(0.0,), share_sd=1e-6, inner_folds=2)
    loose = tight.model_copy(update={"scales": (2.0,)})
    found = [
        revise(climb.old, new.columns, new.trees, new.y, inner_folds(new.y, LADDER), way, 1e-6)
        for way in (tight, loose)
    ]
    assert np.allclose(found[0].beta, climb.old.beta, atol=1e-3)
    assert not np.allclose(found[1].beta, climb.old.beta, atol=0.05)
    risks = [expit(one.margin(new.columns, new.trees)) for one in found]
    assert log_loss(new.y, risks[1]) < log_loss(new.y, risks[0])


def test_a_revision_starts_between_the_old_effects_and_the_literatures(climb):
    model = climb.old
    for (scale, lean, trees), held in beliefs(model, LADDER.revision).items():
        between = (1 - lean) * model.beta + lean * model.literature
        size = len(model.beta)
        inside = np.clip(between, model.encoding.lower, model.encoding.upper)
        assert np.allclose(held.mean[:size], inside)
        assert held.mean[size] == trees
        assert (held.sd[:size] >= scale * between_hospitals(model.registry) - 1e-12).all()


def test_heterogeneity_alone_is_never_wider_than_the_priors(registry):
    alone, whole = between_hospitals(registry), Encoding.from_registry(registry).prior_sd
    assert (alone > 0).all()
    assert (alone <= whole + 1e-12).all()


def test_a_registry_without_heterogeneity_still_leaves_a_prior_some_width(climb):
    evidence = climb.old.registry.evidence.model_copy(update={"heterogeneity": 0.0})
    registry = climb.old.registry.model_copy(update={"evidence": evidence})
    none = Refits(np.zeros(0), np.zeros((0, len(climb.old.beta))), np.zeros(0))
    model = replace(climb.old, registry=registry, refits=none)
    held = next(iter(beliefs(model, LADDER.revision).values()))
    assert held.sd.min() >= LADDER.revision.scales[0] * LEAST_SD


def test_the_order_of_patients_changes_nothing_given_the_folds(climb):
    new, rng = climb.new, np.random.default_rng(3)
    place = rng.permutation(len(new))
    split = inner_folds(new.y, LADDER)
    back = np.argsort(place)
    moved = [(np.sort(back[learn]), np.sort(back[test])) for learn, test in split]
    one = revise(climb.old, new.columns, new.trees, new.y, split, LADDER.revision, 0.1)
    two = revise(
        climb.old,
        new.columns[place],
        new.trees[place],
        new.y[place],
        moved,
        LADDER.revision,
        0.1,
    )
    assert (one.chosen.scale, one.chosen.lean) == (two.chosen.scale, two.chosen.lean)
    assert np.allclose(one.beta, two.beta, atol=1e-7)


@given(st.permutations(range(12)))
@settings(max_examples=20)
def test_patients_come_in_an_order_that_their_values_decide(order):
    rng = np.random.default_rng(1)
    codes, y = rng.integers(0, 2, (12, 3)).astype(float), rng.integers(0, 2, 12).astype(float)
    codes[0, 1] = np.nan
    once = journey.in_order(codes, y)
    again = journey.in_order(codes[list(order)], y[list(order)])
    assert np.array_equal(once[0], again[0], equal_nan=True)
    assert np.array_equal(once[1], again[1])


# --- recalibration --------------------------------------------------------------------------------


def test_a_recalibration_without_a_prior_is_cox_and_vergouwes(climb):
    """`Recalibration.fit` is itself held against R in test_calibration."""
    wide = RecalibrationPrior(intercept_sd=1e3, slope_sd=1e3)
    found = stretched(climb.new.margin, climb.new.y, wide)
    known = Recalibration.fit(climb.new.margin, climb.new.y)
    assert found.intercept == pytest.approx(known.intercept, abs=1e-3)
    assert found.slope == pytest.approx(known.slope, abs=1e-3)


@given(st.floats(-1, 1), st.integers(0, 1000))
@settings(max_examples=20)
def test_a_shift_lies_between_no_shift_and_that_of_the_patients(true_shift, seed):
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 1, 80)
    y = (rng.random(80) < expit(margin + true_shift)).astype(float)
    own = shifted(margin, y, RecalibrationPrior(intercept_sd=100.0)).intercept
    held = shifted(margin, y, RecalibrationPrior(intercept_sd=0.5)).intercept
    assert 0 <= held / own <= 1 + 1e-6 or abs(own) < 1e-6


# --- the test -------------------------------------------------------------------------------------


def doubt_of(margin, spread=None, effects=None, mended=2):
    none = np.zeros((0, len(margin)))
    line = columns_of(margin, RecalibrationPrior())
    return Doubt(margin, none if spread is None else spread, line, effects, mended)


def test_without_refits_the_recalibrations_p_value_is_the_chi_squares():
    """Likelihood ratio of two numbers (posterior.fit without a prior) against chi2 with 2 df."""
    rng = np.random.default_rng(2)
    margin = rng.normal(-0.5, 1, 400)
    for true in (0.0, 0.25):
        y = (rng.random(400) < expit(margin + true)).astype(float)
        line = Recalibration.fit(margin, y).apply(margin)
        ratio = 2 * 400 * (log_loss(y, expit(margin)) - log_loss(y, expit(line)))
        found = good_enough(doubt_of(margin), y, free=0, draws=4999, seed=1)
        assert found.recalibration == pytest.approx(chi2.sf(ratio, 2), abs=0.02)
        assert found.together == pytest.approx(found.recalibration, abs=1e-9)


def test_a_hospital_of_the_models_own_making_is_kept_nine_times_in_ten(climb):
    rng = np.random.default_rng(4)
    truths = expit(climb.new.margin + climb.new.refits - climb.new.refits.mean(axis=0))
    kept = 0
    for number in range(40):
        y = (rng.random(len(climb.new)) < truths[number % len(truths)]).astype(float)
        new = replace(climb.new, y=y)
        kept += first_question(replace(climb, new=new)).together > LADDER.choice.level
    assert kept >= 36


def test_effects_that_scatter_leave_the_mean_risk_of_what_is_drawn_where_it_was():
    rng = np.random.default_rng(6)
    margin = rng.normal(-2, 0.5, 300)
    scatter = rng.normal(0, 1.5, (40, 300))
    doubt = doubt_of(margin, scatter - scatter.mean(axis=1, keepdims=True))
    y = (rng.random(300) < expit(margin)).astype(float)
    drawn = _drawn(doubt, y, 0, 2000, 1)
    # 600,000 draws have a standard error of 0.0005; uncentred, the mean would be 0.20, not 0.13.
    assert drawn.mean() == pytest.approx(expit(margin).mean(), abs=0.002)


def test_twice_the_failures_are_no_chance(table):
    assert table[0].p_value <= LADDER.choice.level
    assert table[0].performance["observed_expected"].value > 1.2
    by_name = {judged.rung: judged for judged in table}
    assert abs(by_name["intercept"].performance["observed_expected"].value - 1) < 0.1


def test_what_the_intercept_mends_is_no_evidence_against_it():
    rng = np.random.default_rng(7)
    margin = rng.normal(0, 1, 500)
    y = (rng.random(500) < expit(margin + 0.7)).astype(float)
    effects = 0.3 * rng.normal(0, 1, (500, 5))
    doubt = doubt_of(margin, effects=effects)
    asked = [good_enough(doubt, y, free=free, draws=499, seed=1) for free in (0, 1)]
    assert asked[0].together < 0.01
    assert asked[1].together > 0.05


def test_a_reversed_effect_is_found_though_level_and_spread_fit():
    rng = np.random.default_rng(8)
    columns = rng.normal(0, 1, (600, 6))
    margin = columns @ [1.0, 0.5, 0, 0, 0, 0]
    y = (rng.random(600) < expit(columns @ [0.5, -0.9, 0, 0, 0.4, 0])).astype(float)
    found = good_enough(doubt_of(margin, effects=0.3 * columns), y, free=2, draws=499, seed=1)
    assert found.recalibration is None
    assert found.effects <= 0.01


def test_the_old_models_own_uncertainty_is_no_change():
    rng = np.random.default_rng(9)
    margin = rng.normal(-1, 0.8, 3000)
    y = (rng.random(3000) < expit(margin + 0.2)).astype(float)
    sure = good_enough(doubt_of(margin), y, free=0, draws=499, seed=1)
    unsure = np.outer(rng.normal(0, 0.3, 50), np.ones(3000))
    doubtful = good_enough(doubt_of(margin, spread=unsure), y, free=0, draws=499, seed=1)
    assert sure.together < 0.02
    assert doubtful.together > 0.1


# --- the choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rarer", range(5, 26))
def test_fifty_patients_end_at_keep_or_intercept(rarer):
    assert Ladder().tried(rarer) == ("keep", "intercept")


def test_every_rung_comes_with_enough_patients():
    assert Ladder().tried(100) == RUNGS
    assert Ladder().tried(26) == RUNGS[:4]
    assert Ladder().tried(25) == RUNGS[:2]
    assert Ladder().tried(4) == RUNGS[:1]


def with_losses(table, losses, p_values=()):
    """The same table with other log-losses, and other p-values of the smaller rungs."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, len(table[0].losses))
    asked = [*p_values, *([None] * len(table))]
    return tuple(
        replace(
            judged,
            losses=loss + i * noise,
            question=None if p is None else replace(table[0].question, together=p),
        )
        for i, (judged, loss, p) in enumerate(zip(table, losses, asked, strict=False))
    )


def test_where_all_rungs_do_as_well_the_smallest_is_taken(table):
    same = with_losses(table, [0.5] * 5, (0.001, 0.001, 0.001))
    assert decide(same, ChoiceRecipe(tolerance=2.0)).rung == "intercept"
    alone = ChoiceRecipe(rule="cross-validation", tolerance=2.0)
    assert decide(same, alone).rung == "keep"


def test_a_model_that_could_have_given_the_outcomes_is_kept_whatever_the_log_losses(table):
    better = with_losses(table, [0.9, 0.5, 0.4, 0.3, 0.2], (0.5, 0.5, 0.5))
    decision = decide(better, ChoiceRecipe())
    assert decision.rung == "keep"
    assert "p = 0.500" in decision.why


def test_a_clearly_better_rung_is_taken_and_no_larger_one(table):
    clear = with_losses(table, [0.9, 0.8, 0.7, 0.5, 0.5], (0.001, 0.001, 0.001))
    assert decide(clear, ChoiceRecipe(tolerance=1.0)).rung == "revision"


@pytest.mark.parametrize(
    ("p_values", "rung"),
    [
        ((0.5, 0.5, 0.5), "keep"),
        ((0.01, 0.5, 0.5), "intercept"),
        ((0.01, 0.01, 0.5), "slope"),
        ((0.01, 0.01, 0.01), "revision"),
    ],
)
def test_closed_testing_stops_at_the_first_rung_that_is_good_enough(table, p_values, rung):
    asked = with_losses(table, [0.5] * 5, p_values)
    assert decide(asked, ChoiceRecipe(rule="closed testing")).rung == rung


def test_the_written_ladder_is_the_default_but_for_the_thresholds():
    written = read_ladder(TINY.parents[1] / "experiments" / "004-update.toml")
    assert written.net_benefit.thresholds
    same = {"question": "", "decision_rule": "", "net_benefit": Ladder().net_benefit}
    assert written.model_copy(update=same) == Ladder()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[choice]\nlevel = 2.0", "choice.level"),
        ("[revision]\nleans = []", "revision.leans"),
        ("rungs = 3", "rungs"),
        ("not toml", "TOML"),
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused(text, says, tmp_path):
    (tmp_path / "ladder.toml").write_text(text)
    with pytest.raises(UsageRefused, match=says):
        read_ladder(tmp_path / "ladder.toml")
    with pytest.raises(UsageRefused, match="no such file"):
        read_ladder(tmp_path / "none.toml")


# --- the journey ----------------------------------------------------------------------------------


def followed_elsewhere(registry, patients, seed=1, **more):
    """Patients of the tiny registry with their follow-up, as in `followed`."""
    cohort = simulate(registry, patients, seed, truth_seed=1, **more)
    frame = cohort.frame()
    return frame.assign(
        pain=frame["pain"].fillna(6.0).clip(4),
        pain_followup=np.where(cohort.outcome == 1, 10, 0),
        followup_date=(cohort.index_date + np.timedelta64(365)).astype(str),
        revision="no",
    )


@pytest.fixture(scope="module")
def place(tiny, tmp_path_factory):
    """A trained model of the tiny registry, its cohort, and the cohort of another hospital."""
    from spinecast.cohorts.labelled import read_labelled
    from spinecast.fitting.training import train
    from spinecast.retraining.keeping import story

    folder = tmp_path_factory.mktemp("update")
    write_table(followed(tiny, 300), folder / "home.csv")
    write_table(followed_elsewhere(tiny, 250, 2, base_rate=0.45), folder / "there.csv")
    found = read_labelled(folder / "home.csv", tiny)
    result = train(
        tiny,
        found.cohort.codes,
        found.labels.failed,
        RECIPE,
        trained_on="simulated",
        outcome=found.labels.definition,
    )
    write_bundle(folder / "old", result.model, result.facts, result.booster, story(result, found))
    return folder


def updated_in(place, out, cohort="there.csv", model="old", **more):
    parent = read_bundle(place / model)
    found = journey.read_new(place / cohort, parent)
    return journey.update(found, parent, LADDER, out, **more)


def test_an_update_leaves_the_old_folder_as_it_is_and_names_its_parent(place, tmp_path):
    before = listed(place / "old")
    told = updated_in(place, tmp_path / "new")
    assert listed(place / "old") == before
    old, new = read_bundle(place / "old"), read_bundle(tmp_path / "new")
    story = new.training["update"]
    assert told.decision.rung != "keep"
    assert story["parent"] == told.parent_id == old.explainer.identity.id
    assert told.model_id == new.explainer.identity.id != told.parent_id
    assert story["rung"] == told.decision.rung
    assert story["why"] == told.decision.why
    assert [row["rung"] for row in story["table"]] == [j.rung for j in told.decision.rungs]
    assert new.training["data"]["name"] == "there.csv"
    assert new.explainer.facts.trained_on == "simulated"


def test_the_order_of_the_file_changes_nothing_but_its_fingerprint(tiny, place, tmp_path):
    frame = followed_elsewhere(tiny, 250, 2, base_rate=0.45)
    write_table(frame.sample(frac=1, random_state=1), place / "shuffled.csv")
    updated_in(place, tmp_path / "one")
    updated_in(place, tmp_path / "two", "shuffled.csv")
    for name in ("model.json", "refits.csv", "facts.json", "population.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_updated_model_can_be_updated_again_and_knows_all_it_came_from(tiny, place, tmp_path):
    updated_in(place, tmp_path / "new")
    write_table(followed_elsewhere(tiny, 120, 3, base_rate=0.45), tmp_path / "later.csv")
    told = updated_in(tmp_path, tmp_path / "newer", "later.csv", "new")
    story = read_bundle(tmp_path / "newer").training["update"]
    assert [model["id"] for model in story["lineage"]][1] == read_bundle(
        place / "old"
    ).explainer.identity.id
    assert told.parent_id == story["lineage"][0]["id"]
    with pytest.raises(DataRefused, match="this very file"):
        journey.read_new(place / "home.csv", read_bundle(tmp_path / "newer"))


def test_the_very_patients_of_the_training_are_refused(place):
    with pytest.raises(DataRefused, match="was trained on this very file"):
        journey.read_new(place / "home.csv", read_bundle(place / "old"))


def test_too_few_failures_are_refused_with_what_is_needed(tiny, place, tmp_path):
    frame = followed_elsewhere(tiny, 60, 4)
    failed = frame["pain_followup"] == 10
    few = frame[~failed | (failed.cumsum() <= 3)]
    write_table(few, tmp_path / "few.csv")
    parent = read_bundle(place / "old")
    found = journey.read_new(tmp_path / "few.csv", parent)
    with pytest.raises(DataRefused, match=r"3 patients with the outcome.*at least 5"):
        journey.update(found, parent, LADDER, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_cohort_without_follow_up_is_refused(tiny, place, tmp_path):
    bare = followed_elsewhere(tiny, 60, 4).drop(columns=["pain_followup", "followup_date"])
    write_table(bare.drop(columns="revision"), tmp_path / "bare.csv")
    with pytest.raises(DataRefused, match="known for none"):
        journey.read_new(tmp_path / "bare.csv", read_bundle(place / "old"))


def test_neither_the_old_model_nor_another_one_is_overwritten_unasked(place, tmp_path, monkeypatch):
    monkeypatch.setattr(journey, "judge_rungs", lambda *_: pytest.fail("it was judged"))
    with pytest.raises(UsageRefused, match="it is the old model"):
        updated_in(place, place / "old", replace=True)
    (tmp_path / "mine").mkdir()
    for asked in (False, True):
        with pytest.raises(UsageRefused, match="not a model"):
            updated_in(place, tmp_path / "mine", replace=asked)
    shutil.copytree(place / "old", tmp_path / "other")
    with pytest.raises(UsageRefused, match="it exists"):
        updated_in(place, tmp_path / "other")


def test_a_model_replaced_when_asked_is_whole(place, tmp_path):
    updated_in(place, tmp_path / "new")
    updated_in(place, tmp_path / "new", replace=True)
    assert read_bundle(tmp_path / "new").training["update"]["parent"]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_recipe_that_nobody_can_follow_is_said_of_the_model(place):
    parent = read_bundle(place / "old")
    broken = replace(parent, training={**parent.training, "recipe": {"trees": "many"}})
    found = journey.read_new(place / "there.csv", parent)
    with pytest.raises(ModelRefused, match=r"training\.json trees"):
        journey.update(found, broken, LADDER, place / "never")


# --- the command ----------------------------------------------------------------------------------


def test_the_command_prints_the_table_the_rung_and_why(place, capsys, monkeypatch):
    from test_cli import spinecast

    monkeypatch.chdir(place)
    (place / "quick.toml").write_text(
        "[choice]\ndraws = 199\nfolds = 2\nrepeats = 1\n"
        "[revision]\nscales = [1.0]\nleans = [0.5]\ninner_folds = 2\nrefits = 5\n"
        '[net_benefit]\nthresholds = [0.2]\naction = "wait"\n'
    )
    words = ["update", "there.csv", "--model", "old", "--ladder", "quick.toml"]
    told = spinecast(*words, "--out", "printed")
    assert told.code == 0, told.err
    story = json.loads((place / "printed" / "training.json").read_text())["update"]
    assert story["why"] in told.out
    assert f"> {story['rung']}" in told.out
    assert "NB 20%" in told.out
    assert "0.2" in story["table"][0]["net_benefit"]
    again = spinecast(*words, "--out", "printed")
    assert again.code == 2
    foreign = spinecast(*words, "--out", "other", "--registry", os.fspath(TINY.parent / "none"))
    assert foreign.code == 2
    same = spinecast("update", "home.csv", "--model", "old", "--out", "other")
    assert same.code == 3


def test_a_model_of_another_registry_is_refused(place, bundle_folder):
    with pytest.raises(ModelRefused, match="belongs to another registry"):
        read_bundle(bundle_folder, TINY)
