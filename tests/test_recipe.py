from __future__ import annotations

from pathlib import Path

import pytest

from spinecast.errors import UsageRefused
from spinecast.fitting.recipe import Recipe, read_recipe


def written(tmp_path, text):
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    return path


def refusal(path) -> UsageRefused:
    with pytest.raises(UsageRefused) as refused:
        read_recipe(path)
    assert refused.value.exit_code == 2
    assert refused.value.__cause__ is None
    return refused.value


def test_an_empty_file_is_the_default_experiment(tmp_path):
    assert read_recipe(written(tmp_path, "")) == Recipe()


def test_by_default_the_literature_may_be_ignored_halved_or_believed():
    recipe = Recipe()
    assert recipe.evidence.weights == (0.0, 0.5, 1.0)
    assert recipe.baselines == ("published evidence", "ridge", "xgboost", "ebm")


def test_what_is_said_is_taken_and_the_rest_keeps_its_default(tmp_path):
    text = 'question = "q"\nseed = 7\nbaselines = []\n[evidence]\nweights = [1]\n[trees]\ndepth = 3'
    recipe = read_recipe(written(tmp_path, text))
    assert (recipe.question, recipe.seed, recipe.baselines) == ("q", 7, ())
    assert recipe.evidence.weights == (1.0,)
    assert recipe.evidence.scales == Recipe().evidence.scales
    assert recipe.trees.depth == 3
    assert recipe.trees.patience == Recipe().trees.patience


def test_a_recipe_is_read_back_from_its_own_record(tmp_path):
    recipe = read_recipe(written(tmp_path, "seed = 3\n[interval]\nrefits = 0"))
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize("day", ["2024-01-31", '"2024-01-31"'])
def test_a_day_may_be_written_as_a_date_or_as_text(tmp_path, day):
    recipe = read_recipe(written(tmp_path, f"[proof]\nsince = {day}"))
    assert recipe.proof.since == "2024-01-31"
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_the_written_out_recipe_is_the_default_but_for_its_bootstraps():
    folder = Path(__file__).parents[1] / "experiments"
    recipe = read_recipe(folder / "001-evidence.toml")
    words = {"question", "decision_rule", "outcome", "resampling"}
    assert recipe.model_dump(exclude=words) == Recipe().model_dump(exclude=words)
    assert recipe.resampling.bootstraps < Recipe().resampling.bootstraps == 200
    assert read_recipe(folder / "003-proof.toml").resampling.bootstraps == 200


def test_a_recipe_cannot_be_changed_after_it_was_read():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().seed = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("sead = 1", "sead"),
        ("[trees]\nrounds = 3", "trees.rounds"),
        ('seed = "1"', "seed"),
        ("seed = 1.5", "seed"),
        ("trees = 3", "trees"),
        ("[evidence]\nweights = []", "evidence.weights"),
        ("[evidence]\nweights = [-0.5]", "evidence.weights.0"),
        ("[evidence]\nscales = [0]", "evidence.scales.0"),
        ("[evidence]\nscales = [1, nan]", "evidence.scales.1"),
        ("[trees]\ndepth = 5", "trees.depth"),
        ("[trees]\ndepth = 0", "trees.depth"),
        ("[trees]\nlearning_rate = 0", "trees.learning_rate"),
        ("[trees]\nridge = inf", "trees.ridge"),
        ("[resampling]\ninner_folds = 1", "resampling.inner_folds"),
        ("[resampling]\nouter_repeats = 0", "resampling.outer_repeats"),
        ("[resampling]\nbootstraps = -1", "resampling.bootstraps"),
        ('[proof]\nsince = "last year"', "proof.since"),
        ("[proof]\nsince = 2024-01-01T10:00:00", "proof.since"),
        ("[proof]\nlearning_repeats = 1", "proof.learning_repeats"),
        ("[proof]\nunknown_share = 1", "proof.unknown_share"),
        ("[interval]\nlevel = 1", "interval.level"),
        ("[interval]\nrefits = -1", "interval.refits"),
        ("[recalibration]\nslope_sd = 0", "recalibration.slope_sd"),
    ],
)
def test_an_impossible_entry_is_refused_by_its_name(tmp_path, text, where):
    (problem,) = refusal(written(tmp_path, text)).problems
    assert problem.where == f"experiment.toml {where}"


def test_every_impossible_entry_is_told_at_once(tmp_path):
    error = refusal(written(tmp_path, "sead = 1\n[trees]\ndepth = 9\n[interval]\nlevel = 2"))
    assert len(error.problems) == 3
    assert "Remove the key, or correct its spelling." in str(error)


def test_a_missing_file_is_refused_with_where_to_look(tmp_path):
    error = str(refusal(tmp_path / "none.toml"))
    assert "no such file" in error
    assert "experiments/" in error


@pytest.mark.parametrize("content", [b"seed = ", b'question = "\xff"'])
def test_what_is_not_toml_is_refused(tmp_path, content):
    path = tmp_path / "experiment.toml"
    path.write_bytes(content)
    assert "a TOML file in UTF-8" in str(refusal(path))


def test_a_folder_is_not_an_experiment(tmp_path):
    assert "a TOML file in UTF-8" in str(refusal(tmp_path))
