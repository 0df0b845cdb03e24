"""How a model is built, as a file: `experiments/*.toml` holds every choice and its rule."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from spinecast.errors import Problem, UsageRefused
from spinecast.files import read_toml
from spinecast.knowledge.declared import Declared, Names, NotNegative, Positive, record

Value = TypeVar("Value")
# Values that cross-validation chooses among.
Candidates = Annotated[tuple[Value, ...], Field(strict=False, min_length=1)]


def _as_day(value: object) -> object:
    """A day as text, also where TOML reads one; nothing else passes."""
    if isinstance(value, str):
        return date.fromisoformat(value).isoformat() if value else value
    return value.isoformat() if type(value) is date else value


Day = Annotated[str, BeforeValidator(_as_day)]


class EvidenceRecipe(Declared):
    """How far to trust the literature: cross-validation chooses among these.

    `weights` multiply the published log-odds ratios (1: as published, 0: not at all); `scales`
    multiply the widths of the priors.
    """

    weights: Candidates[NotNegative] = (0.0, 0.5, 1.0)
    scales: Candidates[Positive] = (0.35, 0.6, 1.0, 1.7, 3.0)


class TreeRecipe(Declared):
    """The boosted trees; their number is chosen by cross-validation and may be zero.

    `least_gain`: how many standard errors the trees must improve the log-loss of unseen patients by
    to stay; `share_sd`: how far a bootstrap refit may stretch or shrink them.
    """

    depth: Annotated[int, Field(ge=1, le=4)] = 2
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    most_rounds: Annotated[int, Field(ge=0)] = 300
    patience: Annotated[int, Field(ge=1)] = 25
    least_hessian: Annotated[float, Field(ge=0)] = 5.0
    least_gain: Annotated[float, Field(ge=0)] = 2.0
    share_sd: Annotated[float, Field(gt=0)] = 0.25
    ridge: Annotated[float, Field(ge=0)] = 5.0


class ResamplingRecipe(Declared):
    """How patients are split: inside the model to choose, outside it to judge.

    `bootstraps`: samples on which the whole method is learned anew, for its optimism; 0 for none.
    """

    inner_folds: Annotated[int, Field(ge=2)] = 5
    inner_repeats: Annotated[int, Field(ge=1)] = 2
    outer_folds: Annotated[int, Field(ge=2)] = 5
    outer_repeats: Annotated[int, Field(ge=1)] = 2
    bootstraps: Annotated[int, Field(ge=0)] = 200


class ProofRecipe(Declared):
    """What else the method is asked, learned anew each time; see `internal`.

    `sites`: predict each site from the others; `period`: predict the patients since `since` (the
    last third when blank) from those before; `learning_from`: patients of the learning curve's
    first lot, 0 for no curve; `unknown_share`, `unknown_factors`: what will not be known in use.
    """

    sites: bool = True
    period: bool = True
    since: Day = ""
    learning_from: Annotated[int, Field(ge=0)] = 100
    learning_repeats: Annotated[int, Field(ge=2)] = 5
    unknown_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    unknown_factors: Names = ()


class IntervalRecipe(Declared):
    """Bootstrap refits behind every interval, and how wide the interval is."""

    refits: Annotated[int, Field(ge=0)] = 50
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9


class RecalibrationRecipe(Declared):
    """The prior SD that holds the slope near 1 until there are enough patients."""

    slope_sd: Annotated[float, Field(gt=0)] = 0.1


class LargeRecipe(Declared):
    """From how many patients on cross-validation gives way to patients set apart; see `large`.

    `patients`: with a known outcome, from which on it does. About `held` of them judge the model
    and about as many tune it; the others teach it. Weight and scale of the literature are chosen,
    and the baselines learn, on about `sample` of those who teach.
    """

    patients: Annotated[int, Field(ge=1)] = 100_000
    held: Annotated[int, Field(ge=1)] = 25_000
    sample: Annotated[int, Field(ge=1)] = 10_000

    @model_validator(mode="after")
    def _most_teach(self) -> Self:
        if 4 * self.held > self.patients:
            raise ValueError(
                "held must be at most a quarter of patients, so that half of all teach"
            )
        return self


class Recipe(Declared):
    """One experiment: the question it answers, every choice of the model, the baselines."""

    question: str = ""
    decision_rule: str = ""
    outcome: str = ""
    seed: Annotated[int, Field(ge=0)] = 1
    evidence: EvidenceRecipe = EvidenceRecipe()
    trees: TreeRecipe = TreeRecipe()
    resampling: ResamplingRecipe = ResamplingRecipe()
    interval: IntervalRecipe = IntervalRecipe()
    recalibration: RecalibrationRecipe = RecalibrationRecipe()
    proof: ProofRecipe = ProofRecipe()
    large: LargeRecipe = LargeRecipe()
    baselines: Names = ("published evidence", "ridge", "xgboost", "ebm")


def read_recipe(path: Path) -> Recipe:
    """Read an experiment file.

    Raises:
        UsageRefused: when the file is missing, not TOML, or has an unknown or impossible entry.
    """
    table = read_toml(path, told="The experiment", remedy="See experiments/ for examples.")
    problems: list[Problem] = []
    found = record(Recipe, path.name, table, problems)
    if found is None:
        raise UsageRefused(f"The experiment {path} cannot be run", problems)
    return found
