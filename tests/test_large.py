"""A large training: how patients are cut into shards, and who works, changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spinecast.cohorts.store import Stored, write_shard
from spinecast.fitting.large.passes import Workshop
from spinecast.fitting.large.plan import Plan
from spinecast.fitting.large.training import train_large
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    LargeRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.patients.draws import hashes
from spinecast.sharing import alone, workers
from spinecast.simulator.synthetic import simulate

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
    plan = Plan.of(recipe, sum(shard.known() for shard in shards))
    assert plan is not None
    workshop = Workshop(folder, share=share, **{"threads": 1} | more)
    return train_large(
        shards, plan, registry, recipe, workshop, trained_on="simulated", outcome="failed"
    )


@pytest.fixture(scope="module")
def whole(tiny, patients, tmp_path_factory):
    return trained(tiny, patients, tmp_path_factory.mktemp("large") / "whole")


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
