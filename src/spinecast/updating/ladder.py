"""What the update ladder may do and how it decides, as a file: `experiments/004-update.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from spinecast.errors import Problem, UsageRefused
from spinecast.fitting.recipe import Candidates, RecalibrationRecipe
from spinecast.knowledge.declared import (
    Declared,
    NotNegative,
    Numbers,
    Positive,
    Share,
    schema_problems,
)

RungName = Literal["keep", "intercept", "slope", "revision", "retrain"]
RUNGS: tuple[RungName, ...] = ("keep", "intercept", "slope", "revision", "retrain")
Rule = Literal["test then cross-validation", "cross-validation", "closed testing"]


class FewestEvents(Declared):
    """Patients of the rarer outcome below which a rung is not tried; keeping needs none."""

    intercept: Annotated[int, Field(ge=2)] = 5
    slope: Annotated[int, Field(ge=5)] = 26
    revision: Annotated[int, Field(ge=10)] = 26
    retrain: Annotated[int, Field(ge=10)] = 100


class ChoiceRecipe(Declared):
    """How the rung is chosen.

    `rule`: which of the three; `level`: of the test whether anything changed; `draws`: cohorts
    drawn for it from the old model's refits; `widen`: by how much the spread of their effects is
    too narrow; `tolerance`: a rung is clearly worse than the best when its log-loss is higher by so
    many standard errors of the difference.
    """

    rule: Rule = "test then cross-validation"
    level: Annotated[float, Field(gt=0, lt=1)] = 0.08
    draws: Annotated[int, Field(ge=99)] = 999
    widen: Positive = 2.0
    tolerance: NotNegative = 0.25
    folds: Annotated[int, Field(ge=2)] = 5
    repeats: Annotated[int, Field(ge=1)] = 2


class RecalibrationPrior(Declared):
    """How far hospitals are expected to differ, as SDs: of the shift, in log-odds; of the slope."""

    intercept_sd: Positive = 0.5
    slope_sd: Positive = 0.3


class RevisionRecipe(Declared):
    """Where the revised effects start, and how tightly they are held; cross-validation chooses.

    `scales` multiply the prior's width. `leans`: how far the prior mean goes back from the old
    model's coefficients (0) to the literature's (1). `share_sd`: how far the old trees may be
    stretched or shrunk; dropping them is always tried too.
    """

    scales: Candidates[Positive] = (0.25, 0.5, 1.0, 2.0)
    leans: Candidates[Share] = (0.0, 0.5)
    share_sd: Positive = 0.25
    inner_folds: Annotated[int, Field(ge=2)] = 5
    refits: Annotated[int, Field(ge=0)] = 50


class Net(Declared):
    """Risks from which to act, and what acting is, declared before the results are seen."""

    thresholds: Numbers = ()
    action: str = ""


class Ladder(Declared):
    """The whole ladder: what it may do, how it decides, what it shows."""

    question: str = ""
    decision_rule: str = ""
    seed: Annotated[int, Field(ge=0)] = 1
    fewest_events: FewestEvents = FewestEvents()
    choice: ChoiceRecipe = ChoiceRecipe()
    prior: RecalibrationPrior = RecalibrationPrior()
    revision: RevisionRecipe = RevisionRecipe()
    recalibration: RecalibrationRecipe = RecalibrationRecipe()
    net_benefit: Net = Net()

    def tried(self, rarer: int) -> tuple[RungName, ...]:
        """The rungs that so many patients of the rarer outcome allow."""
        needed = self.fewest_events.model_dump()
        return tuple(rung for rung in RUNGS if rarer >= needed.get(rung, 0))


def read_ladder(path: Path) -> Ladder:
    """Read a ladder file.

    Raises:
        UsageRefused: when the file is missing, not TOML, or has an unknown or impossible entry.
    """
    try:
        return Ladder.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        allowed = "a TOML file"
        problem = Problem(
            str(path), "no such file", allowed, "See experiments/004-update.toml for an example."
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        problem = Problem(str(path), str(error), "a TOML file in UTF-8")
    except ValidationError as error:
        raise UsageRefused(
            f"The ladder {path} cannot be climbed", schema_problems(path.name, error)
        ) from None
    raise UsageRefused("The ladder cannot be read", [problem])
