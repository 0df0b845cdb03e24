"""What every test shares: two registries, a small model, and tests that repeat themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from spinecast import __version__
from spinecast.cohorts.outcome import derive, in_words
from spinecast.explaining.assessment import ModelIdentity
from spinecast.explaining.bundle import write_bundle
from spinecast.explaining.explanation import Explainer
from spinecast.explaining.facts import CohortFacts
from spinecast.explaining.scoring import Scorer
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.loading import load_registry
from spinecast.knowledge.rules import parse
from spinecast.modelling.model import Model, reference_row
from spinecast.modelling.trees import Trees, leaves_of
from spinecast.simulator.synthetic import simulate

# The same examples on every machine; `--hypothesis-profile deep` looks further, overnight.
settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("deep", parent=settings.get_profile("ci"), max_examples=2_000)
settings.load_profile("ci")

TINY = Path(__file__).parent / "tiny_registry"


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The registry that comes with the program."""
    return load_registry()


@pytest.fixture(scope="session")
def tiny() -> Registry:
    """Five factors, one of each kind: small enough to reason about in a test."""
    return load_registry(TINY)


@dataclass(frozen=True)
class Trained:
    """A small fitted model with trees, whatever cross-validation would have kept of them."""

    model: Model
    facts: CohortFacts
    booster: str
    training: dict[str, Any]

    @property
    def explainer(self) -> Explainer:
        identity = ModelIdentity(
            "made for tests",
            self.facts.trained_on,
            self.facts.patients,
            self.facts.events,
            in_words(self.model.registry, self.training["outcome"]),
            self.model.registry.id,
            __version__,
        )
        return Explainer(self.model, self.facts, identity)


@pytest.fixture(scope="session")
def trained(registry) -> Trained:
    """A model of 400 simulated patients, with 40 trees of two splits."""
    # Imported here because most tests need nothing of training, and it takes a second to come.
    from spinecast.fitting.training import train

    cohort = simulate(registry, 400, 1).cohort()
    y = derive(registry, cohort.columns())
    recipe = Recipe(
        baselines=(),
        evidence=EvidenceRecipe(weights=(0.5, 1.0), scales=(1.0,)),
        trees=TreeRecipe(most_rounds=0),
        resampling=ResamplingRecipe(inner_folds=2, inner_repeats=1, outer_folds=2, outer_repeats=1),
        interval=IntervalRecipe(refits=20),
    )
    result = train(registry, cohort.codes, y, recipe, trained_on="simulated", outcome="fbss_12m")
    booster = grown(result.model, cohort.codes[~np.isnan(y)], result.y)
    model = with_trees(result.model, booster)
    assert len(model.trees)
    return Trained(model, result.facts, booster, {"outcome": result.outcome, "data": {}})


def grown(model: Model, codes: np.ndarray, y: np.ndarray) -> str:
    """Trees boosted from a model's margin, as XGBoost writes them."""
    import xgboost

    rows = model.rows(codes)
    signs = "(" + ",".join(str(factor.sign) for factor in model.registry.factors) + ")"
    settings = {"max_depth": 2, "eta": 0.2, "base_score": 0.5, "monotone_constraints": signs}
    matrix = xgboost.DMatrix(rows.codes, label=y, base_margin=model.margin(rows))
    booster = xgboost.train(settings | {"objective": "binary:logistic", "nthread": 1}, matrix, 40)
    return booster.save_raw("json").decode()


def with_trees(model: Model, booster: str) -> Model:
    """The model with these trees, and with refits that trust them more or less."""
    leaves = leaves_of(json.loads(booster))
    trees = Trees.fold(leaves, reference_row(model.registry), model.recalibration.slope)
    shares = np.linspace(0.5, 1.5, len(model.refits))
    return replace(model, trees=trees, refits=replace(model.refits, tree_share=shares))


@pytest.fixture(scope="session")
def bundle_folder(trained, tmp_path_factory) -> Path:
    """The same model as a folder; not to be written to."""
    folder = tmp_path_factory.mktemp("models") / "small"
    write_bundle(folder, trained.model, trained.facts, trained.booster, trained.training)
    return folder


@pytest.fixture(scope="session")
def scorer(bundle_folder) -> Scorer:
    """The same model read back from its folder, ready to answer."""
    return Scorer.load(bundle_folder)


@pytest.fixture(scope="session")
def candidates(trained) -> np.ndarray:
    """10,000 rows of codes: any value each factor can have, unknowns among them, all possible."""
    return any_rows(trained.model.registry, 10_000, 7)


def any_rows(registry: Registry, count: int, seed: int) -> np.ndarray:
    """Rows of codes from all over what a registry allows, not from its population."""
    rng = np.random.default_rng(seed)
    low, high = np.array([factor.bounds for factor in registry.factors]).T
    whole = np.array([factor.kind != "continuous" for factor in registry.factors])
    codes = rng.uniform(low, high, (2 * count, len(low)))
    codes[:, whole] = rng.integers(low[whole], high[whole] + 1, (2 * count, int(whole.sum())))
    # From nothing unknown to everything: as many patients of each.
    codes[rng.random(codes.shape) < rng.random(len(codes))[:, None]] = np.nan
    columns = dict(zip(registry.names, codes.T, strict=True))
    for impossible in registry.impossible:
        codes[parse(impossible.rule, registry.levels).values(columns) == 1] = np.inf
    possible = codes[~np.isinf(codes).any(axis=1)][:count]
    assert len(possible) == count
    return possible


@pytest.fixture(scope="session")
def two_workers():
    """A cluster of two workers of this machine."""
    from spinecast.cluster import cluster

    with cluster(None, 2) as share:
        yield share


@pytest.fixture
def losing(two_workers, tmp_path_factory):
    """Makes the same cluster lose a worker while it works on some of the questions it is asked."""
    from ending import Ending

    def made(*questions):
        two_workers.client.wait_for_workers(2, timeout=30)
        return Ending(two_workers.client, tmp_path_factory.mktemp("ended"), questions or (0,))

    return made
