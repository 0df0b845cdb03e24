"""A large training: how patients are cut into shards, and who works, changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.cohorts.store import Stored, write_shard
from spinecast.distribution.bins import Bins
from spinecast.distribution.population import Population
from spinecast.explaining.facts import FEW
from spinecast.fitting.boosting import with_share
from spinecast.fitting.estimator import belief
from spinecast.fitting.large.fit import TOLERANCE
from spinecast.fitting.large.grid import Grid
from spinecast.fitting.large.lessons import PACKED, Lesson, make_ready
from spinecast.fitting.large.linear import FIRST_DRAW, TREES, Sought, refits, resampled
from spinecast.fitting.large.passes import Workshop, lots
from spinecast.fitting.large.plan import Plan
from spinecast.fitting.large.training import train_large
from spinecast.fitting.large.trees import STAGE, needs_disk
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    LargeRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.knowledge.loading import load_registry
from spinecast.modelling import posterior
from spinecast.modelling.features import Encoding
from spinecast.modelling.posterior import with_intercept
from spinecast.modelling.preparation import Preparation
from spinecast.patients.draws import hashes, poisson
from spinecast.sharing import alone, workers
from spinecast.simulator.synthetic import simulate

GRID = Grid.of(Bins.from_registry(load_registry()))
RECIPE = Recipe(
    baselines=("ridge",),
    evidence=EvidenceRecipe(weights=(0.0, 1.0), scales=(1.0,)),
    trees=TreeRecipe(most_rounds=20, least_gain=0.0, least_hessian=1.0),
    resampling=ResamplingRecipe(inner_folds=2, inner_repeats=1),
    interval=IntervalRecipe(refits=6),
    large=LargeRecipe(patients=600, held=150, sample=300),
)


@pytest.fixture(scope="module")
def patients(tiny):
    """Of whom trees can learn: two factors together do what neither does alone."""
    cohort = simulate(tiny, 1_500, 1)
    smoking, pain = (cohort.codes[:, tiny.names.index(name)] for name in ("smoking", "pain"))
    chance = np.where((smoking == 2) & (pain > 7), 0.9, 0.1)
    y = (np.random.default_rng(1).random(len(chance)) < chance) * 1.0
    y[::50] = np.nan
    return Stored(cohort.codes, y, hashes(cohort.patient_id))


def trained(registry, patients, folder, *, cut=1, order=1, recipe=RECIPE, share=alone, **more):
    """A large training on the patients in so many shards, forwards or backwards."""
    folder.mkdir()
    pieces = [piece[::order] for piece in np.array_split(np.arange(len(patients)), cut)][::order]
    shards = [
        write_shard(folder / f"{at}.parquet", registry.names, patients.take(piece))
        for at, piece in enumerate(pieces)
    ]
    plan = Plan.of(recipe, int((~np.isnan(patients.y)).sum()))
    assert plan is not None
    workshop = Workshop(folder, share=share, **{"threads": 1} | more)
    return train_large(
        shards, plan, registry, recipe, workshop, trained_on="simulated", outcome="failed"
    )


@pytest.fixture(scope="module")
def whole(tiny, patients, tmp_path_factory):
    return trained(tiny, patients, tmp_path_factory.mktemp("large") / "whole")


def prepared(registry, count):
    """What readies patients, and some whose outcome is known."""
    cohort = simulate(registry, count, 1)
    population, encoding = Population.from_registry(registry), Encoding.from_registry(registry)
    patients = Stored(cohort.codes, cohort.outcome, hashes(cohort.patient_id))
    return Preparation(population, encoding), patients


def lessons_of(registry, patients, folder, cut=1):
    """Lessons of patients all of whom teach."""
    preparation, plan = prepared(registry, 1)[0], Plan(len(patients), 0.0, 0.1, 1)
    ready = partial(make_ready, preparation, Grid.of(preparation.population.bins), plan, folder)
    pieces = np.array_split(np.arange(len(patients)), cut)
    shards = [
        write_shard(folder / f"{at}.parquet", registry.names, patients.take(piece))
        for at, piece in enumerate(pieces)
    ]
    return [lesson for shard in shards for lesson in ready(shard)]


def agree(one, other):
    """Whether two trainings are the same but for the last digits of sums; trees in every digit."""
    assert one.booster == other.booster
    assert one.booster is not None
    np.testing.assert_allclose(one.model.beta, other.model.beta, atol=1e-8)
    for mine, theirs in zip(spread_of(one.model), spread_of(other.model), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)  # summed in 32 bits
    for name, risk in one.unseen.items():
        np.testing.assert_allclose(risk, other.unseen[name], atol=1e-8)
    assert replace(one.apart, on_disk=other.apart.on_disk) == other.apart
    assert one.choices.rounds == other.choices.rounds


def spread_of(model):
    return model.refits.intercept, model.refits.beta, model.refits.tree_share


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way",
    [{"cut": 5}, {"cut": 5, "order": -1}, {"cut": 40}, {"threads": 2}, {"cut": 5, "memory": 1}],
)
def test_nothing_depends_on_shards_or_threads_or_memory(tiny, patients, whole, way, tmp_path):
    agree(whole, trained(tiny, patients, tmp_path / "other", **way))


def test_nothing_depends_on_who_works(tiny, patients, whole, tmp_path):
    with workers(2) as share:
        agree(whole, trained(tiny, patients, tmp_path / "other", cut=4, share=share))


def test_nothing_depends_on_how_many_machines_work(tiny, patients, whole, two_workers, tmp_path):
    agree(whole, trained(tiny, patients, tmp_path / "other", cut=4, share=two_workers))


def test_a_cluster_that_loses_workers_learns_the_same(tiny, patients, whole, losing, tmp_path):
    share = losing(0, 4)
    agree(whole, trained(tiny, patients, tmp_path / "other", cut=4, share=share))
    assert share.ended() == 2


@given(st.data())
def test_a_value_and_its_place_on_the_grid_lie_on_the_same_side_of_every_cut(data):
    at = data.draw(st.integers(0, len(GRID.points) - 1))
    points = GRID.points[at]
    low, high = float(points[0]), float(points[-1])
    near = st.sampled_from([float(point) + by for point in points for by in (-1e-9, 0.0, 1e-9)])
    codes = np.array(data.draw(st.lists(near | st.floats(low - 9, high + 9), min_size=1)))
    put = points[GRID.place(at, codes)]
    # XGBoost cuts at every value it has seen but the lowest.
    for cut in points[1:]:
        np.testing.assert_array_equal(codes.astype(np.float32) < cut, put < cut)


def test_trees_cut_on_the_grid_and_say_the_same_of_what_is_not_on_it(tiny, patients, whole):
    model = whole.model
    grid = Grid.of(model.population.bins)
    for tree in json.loads(whole.booster)["learner"]["gradient_booster"]["model"]["trees"]:
        for left, factor, cut in zip(
            tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True
        ):
            assert left == -1 or np.float32(cut) in grid.points[factor][1:]
    codes = model.rows(patients.codes).codes
    np.testing.assert_array_equal(model.trees.margin(codes), model.trees.margin(grid.put(codes)))
    assert not np.array_equal(codes.astype(np.float32), grid.put(codes))


def test_lessons_are_the_columns_of_the_preparation(registry, tmp_path):
    preparation, patients = prepared(registry, 300)
    design = with_intercept(preparation.rows(patients.codes).columns)
    (lesson,) = lessons_of(registry, patients, tmp_path)
    lesson.keep("more", np.arange(300.0))
    rng = np.random.default_rng(1)
    theta, weights = rng.normal(size=design.shape[1]), rng.normal(size=300)
    taught = lesson.taught()
    np.testing.assert_allclose(taught.margin(theta), design @ theta, atol=1e-12)
    np.testing.assert_allclose(taught.dot(weights), design.T @ weights, atol=1e-11)
    np.testing.assert_array_equal(taught.design(), design.astype(np.float32))
    more = lesson.taught("more")
    np.testing.assert_array_equal(more.design()[:, -1], np.arange(300))
    np.testing.assert_allclose(
        more.margin(np.append(theta, 0.5)), design @ theta + np.arange(300) / 2, atol=1e-12
    )


def test_a_lesson_written_again_is_whole_to_whoever_reads_it_meanwhile(
    registry, tmp_path, monkeypatch
):
    """As by a worker that only seemed to be lost, beside the one that did its work again."""
    _, patients = prepared(registry, 50)
    (lesson,) = lessons_of(registry, patients, tmp_path)
    lesson.keep("more", patients.y)
    read = []

    def slowly(write, file, values):
        begun = file.tell()
        file.write(b"half")
        file.flush()
        read.append((lesson.taught("more").column, lesson.places()[1]))
        file.seek(begun)
        write(file, values)

    monkeypatch.setattr(np, "save", partial(slowly, np.save))
    assert lessons_of(registry, patients, tmp_path) == [lesson]
    lesson.keep("more", patients.y)
    read.append((lesson.taught("more").column, lesson.places()[1]))
    assert len(read) > len(PACKED)
    np.testing.assert_array_equal(read, [(patients.y, patients.y)] * len(read))
    assert len(list(tmp_path.iterdir())) == 4  # the shard, the lesson, its places, what was kept


@pytest.mark.parametrize("cut", [1, 7])
def test_coefficients_are_those_of_the_same_patients_in_memory(registry, tmp_path, cut):
    preparation, patients = prepared(registry, 2_000)
    encoding = preparation.encoding
    held = belief(encoding, 0.5, 1.0)
    columns = preparation.rows(patients.codes).columns
    inside = posterior.fit(
        partial(posterior.sums, with_intercept(columns), patients.y), held, tolerance=TOLERANCE
    )
    lessons = lessons_of(registry, patients, tmp_path, cut)
    start = inside.theta + np.random.default_rng(1).normal(scale=0.05, size=len(encoding) + 1)
    found = posterior.fit(Sought(lessons, Workshop(tmp_path)), held, start, TOLERANCE)
    assert found.converged
    np.testing.assert_allclose(found.theta, inside.theta, atol=1e-8)


def test_a_patients_part_hangs_on_nobody_else():
    hashed = hashes(np.array([f"p{i}" for i in range(20_000)], dtype=object))
    plan = Plan.of(Recipe(large=LargeRecipe(patients=20_000, held=2_000, sample=1_000)), 20_000)
    parts = np.array([plan.judges(hashed), plan.tunes(hashed), plan.teaches(hashed)])
    assert (parts.sum(axis=0) == 1).all()
    np.testing.assert_array_equal(plan.judges(hashed[::-3]), parts[0][::-3])
    sampled = plan.is_sampled(hashed)
    assert not (sampled & ~parts[2]).any()
    # Binomial: five standard deviations.
    for found, wanted in zip(
        [*parts.sum(axis=1), sampled.sum()], (2e3, 2e3, 16e3, 1e3), strict=True
    ):
        assert abs(found - wanted) < 5 * np.sqrt(wanted)


def test_below_the_number_declared_nobody_is_set_apart():
    assert Plan.of(RECIPE, 599) is None
    assert Plan.of(RECIPE, 600) is not None
    with pytest.raises(ValueError, match="quarter"):
        LargeRecipe(patients=100, held=26)


@given(st.integers(1, 40), st.integers(1, 20))
def test_lots_hold_every_batch_once_in_order_and_are_few(count, most):
    batches = [Lesson(Path(str(at)), rows) for at, rows in enumerate(range(count))]
    cut = lots(batches, most)
    assert [batch for lot in cut for batch in lot] == batches
    assert len(cut) <= most


# --- references -----------------------------------------------------------------------------------


def test_one_step_gives_the_spread_of_refits_to_the_end(registry, tmp_path):
    """Of fewer patients than ever teach a large training; fifty refits know a spread to a tenth."""
    preparation, patients = prepared(registry, 30_000)
    lessons = lessons_of(registry, patients, tmp_path)
    for lesson in lessons:
        lesson.keep(TREES, 0.2 * np.random.default_rng(1).normal(size=lesson.rows))
    samples, recipe = 30, Recipe()
    held = belief(preparation.encoding, 1.0, 1.0)
    joint_held, workshop = with_share(held, recipe.trees), Workshop(tmp_path)
    start = np.append(np.zeros(len(held.mean) + 1), 1.0)
    joint = posterior.fit(Sought(lessons, workshop, TREES), joint_held, start)
    drawn = workshop.total(lessons, partial(resampled, joint.theta, samples, recipe.seed), "")
    one = refits(joint, held, drawn, recipe)

    (taught,) = (lesson.taught(TREES) for lesson in lessons)
    design = taught.design().astype(np.float64)
    times = poisson(taught.hashed, recipe.seed, samples, FIRST_DRAW).astype(np.float64)
    rng = np.random.default_rng(recipe.seed)
    full = []
    for count in times.T:
        around = replace(joint_held, mean=rng.normal(joint_held.mean, joint_held.sd))
        pieces = partial(posterior.sums, design, taught.y, times=count)
        full.append(posterior.fit(pieces, around, joint.theta).theta)
    full = np.array(full)
    # What a person sees is the spread of a patient's margin.
    mine, theirs = ((design[:1_000] @ fits.T).std(axis=1, ddof=1) for fits in (one, full))
    np.testing.assert_allclose(mine, theirs, rtol=0.05)
    assert np.median(mine / theirs) == pytest.approx(1.0, abs=0.01)
    # A coefficient that its bound holds in most samples has a spread of next to nothing.
    mine, theirs = one.std(axis=0, ddof=1), full.std(axis=0, ddof=1)
    free = theirs > 0.01
    assert free.sum() > 0.8 * len(free)
    assert np.mean(np.abs(mine[free] / theirs[free] - 1.0) < 0.02) > 0.8
    np.testing.assert_allclose(mine[free], theirs[free], rtol=0.15)


def test_facts_of_shards_are_those_of_the_whole(tiny, patients, whole):
    known = patients.take(~np.isnan(patients.y))
    facts = whole.facts
    assert facts.patients == len(known)
    assert facts.events == known.y.sum()
    pain = np.sort(known.codes[:, tiny.names.index("pain")])
    pain = pain[~np.isnan(pain)]
    at = tiny.names.index("pain")
    assert (facts.seen_low[at], facts.seen_high[at]) == (pain[FEW - 1], pain[-FEW])
    smoking = known.codes[:, tiny.names.index("smoking")]
    assert facts.counts[0] == tuple(int((smoking == level).sum()) for level in range(3))


def test_bootstrap_counts_are_poisson_and_hang_on_the_patient_alone():
    hashed = hashes(np.array([f"p{i}" for i in range(40_000)], dtype=object))
    counts = poisson(hashed, 1, 6)
    np.testing.assert_array_equal(poisson(hashed[::-7], 1, 3), counts[::-7, :3])
    # Mean and variance of a Poisson count of mean 1, and no correlation: five standard errors.
    assert np.abs(counts.mean(axis=0) - 1).max() < 5 / 200
    assert np.abs(counts.var(axis=0) - 1).max() < 5 * np.sqrt(3) / 200
    assert np.abs(np.corrcoef(counts.T) - np.eye(6)).max() < 5 / 200


# --- examples -------------------------------------------------------------------------------------


def test_every_patient_judges_once_and_none_of_them_taught(patients, whole):
    known = patients.take(~np.isnan(patients.y))
    plan = Plan.of(RECIPE, len(known))
    apart = known.take(plan.judges(known.hashed))
    assert whole.apart.judged == len(apart) == len(whole.y)
    np.testing.assert_array_equal(whole.y, apart.y[np.argsort(apart.hashed)])
    assert whole.model.population.patients == whole.apart.taught == plan.teaches(known.hashed).sum()
    assert set(whole.unseen) == {"spinecast", "ridge"}


def test_growing_trees_is_told_once_from_nothing_to_the_end(tiny, patients, tmp_path):
    growing = []

    def tell(stage, done, total):
        if stage == STAGE:
            growing.append(done)

    found = trained(tiny, patients, tmp_path / "told", cut=3, progress=tell)
    assert growing[0] == 1
    assert growing == sorted(set(growing))
    assert len(growing) >= found.choices.rounds


def test_no_trees_where_the_recipe_wants_none(tiny, patients, tmp_path):
    bare = RECIPE.model_copy(update={"trees": TreeRecipe(most_rounds=0)})
    found = trained(tiny, patients, tmp_path / "bare", recipe=bare)
    assert found.booster is None
    assert found.choices.rounds == 0


def test_memory_decides_where_trees_are_grown():
    assert not needs_disk(10_000_000, 40, 3 * 1024**3)
    assert needs_disk(50_000_000, 40, 6 * 1024**3)
