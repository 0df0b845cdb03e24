"""A model held against patients whose outcomes are known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.special import expit

from spinecast.cohorts.labelled import LabelledCohort, read_labelled
from spinecast.explaining.scoring import Scorer
from spinecast.files import write_text
from spinecast.judging import transport_text
from spinecast.judging.judgement import Judgement, judge
from spinecast.judging.keeping import write_judged
from spinecast.judging.thresholds import Thresholds
from spinecast.judging.transport import Transport, transport
from spinecast.measures.evaluation import Performance
from spinecast.site.declaration import Site

JUDGED_MOST = 1_000_000
"""Patients of a larger cohort who are judged: an AUROC is then known to a thousandth, and more
patients would change no verdict."""
SAME_FILE = (
    "These are, all or in part, the very patients the model was trained on: the figures flatter it."
)
SIMULATED = "Simulated patients: the figures say how the program works, nothing of real patients."


@dataclass(frozen=True)
class Validation:
    """How good a model was for the patients of a file.

    Attributes:
        scorer: the model.
        labelled: the patients and their outcomes.
        judgement: all measures, with intervals.
        transport: these patients beside those at home, what was promised, and the verdict.
        same_file: whether the model, or one it was updated from, learned from this very file, or
            from one of the files of this folder.
        remarks: what has to be known beside the figures.
    """

    scorer: Scorer
    labelled: LabelledCohort
    judgement: Judgement
    transport: Transport
    same_file: bool
    remarks: tuple[str, ...]

    @property
    def standing(self) -> str:
        """What has to stand on every figure: that patients are simulated, or the training's own."""
        return " ".join(text for text in (SAME_FILE, SIMULATED) if text in self.remarks)

    @property
    def performance(self) -> Performance:
        """The measures with bootstrap intervals, and the calibration curve."""
        return self.judgement.performance

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "model": asdict(self.scorer.explainer.identity),
            "data": asdict(self.labelled.facts),
            "outcome": self.labelled.labels.definition,
            "same_file": self.same_file,
            "remarks": list(self.remarks),
            **self.judgement.to_dict(),
            "elsewhere": self.transport.to_dict(),
        }


def validate(
    scorer: Scorer,
    path: Path,
    *,
    thresholds: Thresholds | None = None,
    site: Site | None = None,
) -> Validation:
    """Score the patients of a cohort file and hold the risks against what became of them.

    Args:
        scorer: the model.
        path: the cohort file.
        thresholds: declared beforehand; without them there is no decision curve.
        site: the mapping of a hospital's own columns, when the file is in these.

    Raises:
        UsageRefused: there is no such file.
        DataRefused: it is not a cohort, or nobody's outcome is known.
    """
    labelled = read_labelled(path, scorer.registry, scorer.bundle.training["outcome"], site)
    return held_against(scorer, labelled, thresholds=thresholds)


def held_against(
    scorer: Scorer, labelled: LabelledCohort, *, thresholds: Thresholds | None = None
) -> Validation:
    """The same of patients whose outcomes were derived already, by the model's own definition."""
    training = scorer.bundle.training
    model = scorer.explainer.model
    risk = expit(model.margin(model.rows(labelled.cohort.codes)))
    simulated = labelled.cohort.has_simulated or scorer.explainer.facts.trained_on == "simulated"
    same_file = scorer.bundle.that_learned_from(labelled.facts.contents) is not None
    remarks = [text for text, holds in ((SAME_FILE, same_file), (SIMULATED, simulated)) if holds]
    remarks += [labelled.sampled] if labelled.sampled else []
    lost = labelled.lost_elsewhere
    judgement = judge(labelled.labels.failed, risk, thresholds=thresholds, lost=lost)
    compared = transport(scorer.explainer, training, labelled, judgement, own_patients=same_file)
    notes = (*remarks, *judgement.notes)
    return Validation(scorer, labelled, judgement, compared, same_file, notes)


def write_validation(found: Validation, folder: Path) -> None:
    """Keep a validation: `validation.json`, `validation.txt` and `calibration.svg`, each whole.

    Raises:
        UsageRefused: the folder cannot be written to.
    """
    write_judged(found.to_dict(), found.judgement, found.standing, folder)
    head = [f"Model {found.scorer.explainer.identity.id} on {found.labelled.name}", *found.remarks]
    text = [*head, "", *transport_text.lines(found.transport)]
    write_text(folder / "validation.txt", "\n".join(text) + "\n")
