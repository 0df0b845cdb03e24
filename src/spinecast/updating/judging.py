"""How each rung would have done: its risks of patients it had not learned from, and its p-value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spinecast.fitting.boosting import log_losses
from spinecast.measures.decisions import net_benefit
from spinecast.measures.distances import ici
from spinecast.measures.evaluation import Estimate, Performance, evaluate, plain
from spinecast.measures.logistic import Matrix, Vector, expit
from spinecast.measures.resampling import folds
from spinecast.progress import Progress, silent
from spinecast.updating.ladder import RungName
from spinecast.updating.recalibrating import columns_of
from spinecast.updating.revision import between_hospitals
from spinecast.updating.rungs import Climb
from spinecast.updating.testing import Doubt, Question, good_enough

SHOWN = ("observed_expected", "calibration_intercept", "calibration_slope", "log_loss", "auroc")
RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Judged:
    """One rung in the decision table.

    Attributes:
        rung: its name.
        performance: measures of its cross-validated risks, with intervals.
        ici: mean distance of stated from observed risks.
        net_benefit: at each declared threshold.
        question: whether the patients could come from this rung; None where no test is made.
        losses: each patient's log-loss, mean over the repeats, (n,).
    """

    rung: RungName
    performance: Performance
    ici: float
    net_benefit: Mapping[float, float]
    question: Question | None
    losses: Vector

    @property
    def log_loss(self) -> float:
        """Mean log-loss of patients not learned from."""
        return float(self.losses.mean())

    @property
    def p_value(self) -> float:
        """Of "this rung is good enough"; NaN where no test is made."""
        return self.question.together if self.question else math.nan

    def behind(self, best: Judged) -> tuple[float, float]:
        """By how much its log-loss is above another's, and the standard error of that."""
        apart = self.losses - best.losses
        return float(apart.mean()), float(apart.std() / math.sqrt(len(apart)))

    def shown(self) -> Iterator[Estimate]:
        """The measures of the decision table, in its order."""
        for name in SHOWN:
            yield self.performance[name]

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; None for what could not be computed."""
        measures = {
            e.measure: {"value": e.value, "low": e.low, "high": e.high} for e in self.shown()
        }
        told = {
            "rung": self.rung,
            "cross_validated": measures | {"ici": {"value": self.ici}},
            "net_benefit": {f"{at:g}": value for at, value in self.net_benefit.items()},
            "p_value": asdict(self.question) if self.question else None,
        }
        return {name: plain(value) for name, value in told.items()}


def judge_rungs(
    climb: Climb, progress: Progress = silent, *, resamples: int = RESAMPLES
) -> tuple[Judged, ...]:
    """Every rung that the new patients allow, judged on patients it had not learned from.

    Args:
        climb: the old model, the new patients, the ladder.
        progress: told how far it is.
        resamples: bootstrap resamples behind the intervals; 0 for none.
    """
    tried = climb.ladder.tried(climb.new.rarer)
    questions = _questions(climb, tried)
    return tuple(
        _judged(climb, rung, unseen, questions.get(rung), resamples)
        for rung, unseen in _unseen(climb, tried, progress).items()
    )


def _unseen(
    climb: Climb, tried: tuple[RungName, ...], progress: Progress
) -> dict[RungName, Matrix]:
    """Each rung's log-odds of each patient from fits that had not seen them, (repeats, n)."""
    choice, y = climb.ladder.choice, climb.new.y
    splits = min(choice.folds, climb.new.rarer)
    split = list(folds(y, repeats=choice.repeats, splits=splits, seed=climb.ladder.seed))
    margins = {rung: np.zeros((choice.repeats, len(y))) for rung in tried}
    for done, (learn, test) in enumerate(split):
        progress("judging the rungs", done, len(split))
        for rung in tried:
            margins[rung][done // splits, test] = climb.predict(rung, learn, test)
    progress("judging the rungs", len(split), len(split))
    return margins


def _judged(
    climb: Climb, rung: RungName, margin: Matrix, question: Question | None, resamples: int
) -> Judged:
    y, ladder = climb.new.y, climb.ladder
    risk = expit(margin)
    return Judged(
        rung=rung,
        performance=evaluate(y, risk, resamples=resamples, seed=ladder.seed),
        ici=float(np.mean([ici(y, once) for once in risk])),
        net_benefit={
            at: float(np.mean([net_benefit(y, once, at) for once in risk]))
            for at in ladder.net_benefit.thresholds
        },
        question=question,
        losses=np.asarray(log_losses(margin, y).mean(axis=0)),
    )


def first_question(climb: Climb) -> Question:
    """Whether the old model as it is could have given the new patients' outcomes."""
    return _asked(climb, _doubt(climb), 0)


def _questions(climb: Climb, tried: tuple[RungName, ...]) -> dict[RungName, Question]:
    """Whether the patients could come from each of the smaller rungs, if one above is tried."""
    doubt = _doubt(climb)
    small: tuple[RungName, ...] = ("keep", "intercept", "slope")
    return {
        rung: _asked(climb, doubt, free)
        for free, rung in enumerate(small)
        if rung in tried and (doubt.effects is not None or free < doubt.mended)
    }


def _doubt(climb: Climb) -> Doubt:
    new, tried = climb.new, climb.ladder.tried(climb.new.rarer)
    width = between_hospitals(climb.old.registry)
    spread = new.refits - new.refits.mean(axis=0) if len(new.refits) else new.refits
    # The level is what refits know best; it is their effects that are spread too narrowly.
    level = spread.mean(axis=1, keepdims=True)
    return Doubt(
        margin=new.margin,
        spread=level + climb.ladder.choice.widen * (spread - level),
        line=columns_of(new.margin, climb.ladder.prior),
        effects=new.columns * width if "revision" in tried else None,
        mended=2 if "slope" in tried else 1,
    )


def _asked(climb: Climb, doubt: Doubt, free: int) -> Question:
    ladder = climb.ladder
    return good_enough(doubt, climb.new.y, free=free, draws=ladder.choice.draws, seed=ladder.seed)
