"""Which rung: the smallest that is good enough, never by default the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spinecast.updating.judging import Judged
from spinecast.updating.ladder import ChoiceRecipe, RungName


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision table, the rung taken, by which rule, and why."""

    rungs: tuple[Judged, ...]
    rung: RungName
    rule: str
    why: str

    def __getitem__(self, rung: RungName) -> Judged:
        """A rung's row of the table."""
        return next(judged for judged in self.rungs if judged.rung == rung)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "rung": self.rung,
            "rule": self.rule,
            "why": self.why,
            "table": [judged.to_dict() for judged in self.rungs],
        }


def decide(rungs: Sequence[Judged], recipe: ChoiceRecipe) -> Decision:
    """Choose a rung from the decision table by the ladder's rule.

    The global test comes first because cross-validation alone moves a model that fits far too
    often; cross-validation comes second because closed testing cannot weigh a revision against a
    retraining, and stops where it lacks patients to prove what would yet pay.
    """
    rung, why = _RULES[recipe.rule](tuple(rungs), recipe)
    return Decision(tuple(rungs), rung, recipe.rule, why)


def _test_first(rungs: tuple[Judged, ...], recipe: ChoiceRecipe) -> tuple[RungName, str]:
    keep, *others = rungs
    if not others or keep.p_value > recipe.level:
        return "keep", (
            f"The old model may well have given these outcomes (p = {keep.p_value:.3f}, above "
            f"{recipe.level:g}): nothing says surely enough that it needs a change here."
        )
    found, why = _cross_validated(tuple(others), recipe)
    return found, (
        f"The old model is unlikely to have given these outcomes (p = {keep.p_value:.3f}, at most "
        f"{recipe.level:g}). {why}"
    )


def _cross_validated(rungs: tuple[Judged, ...], recipe: ChoiceRecipe) -> tuple[RungName, str]:
    best = min(rungs, key=lambda judged: judged.log_loss)
    for judged in rungs:
        behind, error = judged.behind(best)
        if behind <= recipe.tolerance * error:
            break
    if judged is best:
        return best.rung, (
            f"Of the rungs tried, {best.rung} has the lowest log-loss in patients it had not "
            f"learned from ({best.log_loss:.4f}), and no smaller one comes within "
            f"{recipe.tolerance:g} standard errors of it."
        )
    return judged.rung, (
        f"{judged.rung.capitalize()} is the smallest rung whose log-loss in patients it had not "
        f"learned from ({judged.log_loss:.4f}) is within {recipe.tolerance:g} standard errors of "
        f"the lowest ({best.rung}, {best.log_loss:.4f})."
    )


def _closed(rungs: tuple[Judged, ...], recipe: ChoiceRecipe) -> tuple[RungName, str]:
    for judged in rungs:
        if judged.p_value > recipe.level:
            return judged.rung, (
                f"{judged.rung.capitalize()} is the smallest rung that could have given these "
                f"outcomes (p = {judged.p_value:.3f}, above {recipe.level:g})."
            )
    # Closed testing cannot weigh a retraining against a revision: both may mend every effect.
    last = next(judged for judged in reversed(rungs) if judged.rung != "retrain")
    return (
        last.rung,
        f"No smaller rung could have given these outcomes (all p <= {recipe.level:g}).",
    )


_RULES = {
    "test then cross-validation": _test_first,
    "cross-validation": _cross_validated,
    "closed testing": _closed,
}
