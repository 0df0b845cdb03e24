"""A model whose number and depth of trees are known: what benchmarks of speed score with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import xgboost

from spinecast.cohorts.outcome import derive
from spinecast.explaining.bundle import write_bundle
from spinecast.fitting import training
from spinecast.fitting.recipe import Recipe, ResamplingRecipe
from spinecast.knowledge.loading import load_registry
from spinecast.modelling.model import reference_row
from spinecast.modelling.trees import Trees, leaves_of
from spinecast.simulator.synthetic import simulate

STORY = {"outcome": "fbss_12m", "data": {"sha256": ""}}


def write_model(folder: Path, count: int, depth: int) -> xgboost.Booster:
    """A model with as many trees as claimed, whatever cross-validation would have kept."""
    registry = load_registry()
    cohort = simulate(registry, 2_000, 1, lost=0.0).cohort()
    y = derive(registry, cohort.columns())
    recipe = Recipe(baselines=(), resampling=ResamplingRecipe(outer_repeats=1, outer_folds=2))
    result = training.train(
        registry, cohort.codes, y, recipe, trained_on="simulated", outcome="fbss_12m"
    )
    known = ~np.isnan(y)
    rows = result.model.rows(cohort.codes[known])
    signs = "(" + ",".join(str(factor.sign) for factor in registry.factors) + ")"
    settings = {"max_depth": depth, "eta": 0.05, "base_score": 0.5, "monotone_constraints": signs}
    matrix = xgboost.DMatrix(rows.codes, label=y[known], base_margin=result.model.margin(rows))
    booster = xgboost.train(settings | {"objective": "binary:logistic"}, matrix, count)
    text = booster.save_raw("json").decode()
    leaves = leaves_of(json.loads(text))
    trees = Trees.fold(leaves, reference_row(registry), result.model.recalibration.slope)
    write_bundle(folder, replace(result.model, trees=trees), result.facts, text, STORY)
    return booster
