"""A model held against patients whose outcomes are known."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.special import expit

from spinecast import plots
from spinecast.errors import Problem, UsageRefused
from spinecast.evaluation import Performance, evaluate
from spinecast.files import reason, write_text
from spinecast.labelled import LabelledCohort, read_labelled
from spinecast.scoring import Scorer

SAME_FILE = "These are the very patients the model was trained on: the figures flatter it."
SIMULATED = "Simulated patients: the figures say how the program works, nothing of real patients."


@dataclass(frozen=True)
class Validation:
    """How good a model was for the patients of a file.

    Attributes:
        scorer: the model.
        labelled: the patients and their outcomes.
        performance: the measures, with bootstrap intervals, and the calibration curve.
        remarks: what has to be known beside the figures.
    """

    scorer: Scorer
    labelled: LabelledCohort
    performance: Performance
    remarks: tuple[str, ...]

    @property
    def standing(self) -> str:
        """What has to stand on every figure: that patients are simulated, or the training's own."""
        return " ".join(text for text in (SAME_FILE, SIMULATED) if text in self.remarks)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "model": asdict(self.scorer.explainer.identity),
            "data": asdict(self.labelled.facts),
            "outcome": self.labelled.labels.definition,
            "remarks": list(self.remarks),
            "performance": self.performance.to_dict(),
        }


def validate(scorer: Scorer, path: Path) -> Validation:
    """Score the patients of a cohort file and hold the risks against what became of them.

    Raises:
        UsageRefused: there is no such file.
        DataRefused: it is not a cohort, or nobody's outcome is known.
    """
    training = scorer.bundle.training
    labelled = read_labelled(path, scorer.registry, training["outcome"])
    model = scorer.explainer.model
    risk = expit(model.margin(model.rows(labelled.cohort.codes)))
    simulated = labelled.cohort.has_simulated or scorer.explainer.facts.trained_on == "simulated"
    same_file = labelled.facts.sha256 == training.get("data", {}).get("sha256")
    remarks = [text for text, holds in ((SAME_FILE, same_file), (SIMULATED, simulated)) if holds]
    performance = evaluate(labelled.labels.failed, risk)
    return Validation(scorer, labelled, performance, (*remarks, *performance.notes))


def write_validation(found: Validation, folder: Path) -> None:
    """Keep a validation: `validation.json` and `calibration.svg`, each whole or not at all.

    Raises:
        UsageRefused: the folder cannot be written to.
    """
    told = json.dumps(found.to_dict(), ensure_ascii=False, indent=1, allow_nan=False)
    plot = plots.calibration_plot(found.performance, remark=found.standing)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = Problem(str(folder), reason(error), "a folder that can be written to is needed")
        raise UsageRefused("The validation was not written", [problem]) from None
    write_text(folder / "validation.json", told + "\n")
    write_text(folder / "calibration.svg", plot)
