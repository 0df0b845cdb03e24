"""What the functions of a notebook give: records that show themselves."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinecast import console
from spinecast.cohorts import outcome
from spinecast.cohorts.cohort import CheckedCohort
from spinecast.cohorts.definitions import DefinitionCount, compare_definitions
from spinecast.cohorts.outcome import Labels
from spinecast.explaining.scoring import Scorer
from spinecast.judging import validation
from spinecast.judging.first_table import FirstTable, first_table
from spinecast.judging.judgement import Judgement
from spinecast.judging.one_factor import Suspicion
from spinecast.judging.suspicion import suspicions
from spinecast.knowledge.factors import Registry

if TYPE_CHECKING:
    from spinecast.promotion.promoting import Decision
    from spinecast.updating.journey import Update
    from spinecast.updating.ladder import Ladder


@dataclass(frozen=True)
class Checked:
    """A cohort read against a registry, set beside what is published.

    Attributes:
        name: of its file.
        found: the accepted patients and the rejected rows with every reason.
    """

    name: str
    found: CheckedCohort

    @property
    def registry(self) -> Registry:
        """What the columns mean."""
        return self.found.accepted.registry

    @cached_property
    def labels(self) -> Labels:
        """Who failed, by the registry's own definition."""
        return outcome.labels(self.registry, self.found.accepted.columns())

    @cached_property
    def definitions(self) -> tuple[DefinitionCount, ...]:
        """How many would have failed by each definition."""
        return compare_definitions(self.registry, self.found.accepted.columns())

    @cached_property
    def suspicions(self) -> tuple[Suspicion, ...]:
        """What looks like an error of coding."""
        kept, absent = self.found.accepted, frozenset(self.found.absent_columns)
        seen = (self.registry, kept.codes, kept.site, kept.outcome, self.labels.failed)
        return suspicions(*seen, absent=absent)

    @cached_property
    def table_1(self) -> FirstTable:
        """The patients by outcome and site, small counts included: it is for their owner."""
        kept = self.found.accepted
        return first_table(
            self.registry, kept.codes, self.labels.failed, kept.site, keep_back=False
        )

    def _repr_html_(self) -> str:
        return _shown(
            [
                *console.checked(self.found),
                "",
                console.followed(self.labels.followed),
                *console.definitions(self.definitions),
                *console.suspicious(self.suspicions),
            ]
        )


@dataclass(frozen=True)
class Trained:
    """A model that was trained, written and recorded.

    Attributes:
        folder: where it stands.
        told: its id, its run, and how it did beside its baselines.
    """

    folder: Path
    told: Any

    @cached_property
    def scorer(self) -> Scorer:
        """The model read back, ready to answer."""
        return Scorer.load(self.folder)

    def _repr_html_(self) -> str:
        lines = console.performances(self.told.result.performance)
        return _shown([f"Model {self.told.model_id} in {self.folder}", *lines])


@dataclass(frozen=True)
class Updated:
    """A model taken to another hospital.

    Attributes:
        folder: where it stands.
        told: the rung taken, the decision table, and why.
        ladder: what might have been done.
    """

    folder: Path
    told: Update
    ladder: Ladder

    @cached_property
    def scorer(self) -> Scorer:
        """The model read back, ready to answer."""
        return Scorer.load(self.folder)

    def _repr_html_(self) -> str:
        from spinecast.updating import telling  # brings XGBoost, which scoring does without

        return _shown(telling.told(self.told, self.ladder, self.folder))


@dataclass(frozen=True)
class Promoted:
    """What a gate said of a model, and the line of the history if it was put into use."""

    decision: Decision

    def _repr_html_(self) -> str:
        from spinecast.promotion import telling  # brings MLflow's rooms

        return _shown(telling.decided(self.decision))


@dataclass(frozen=True)
class Validated:
    """A model held against patients whose outcomes are known."""

    found: validation.Validation

    @property
    def judgement(self) -> Judgement:
        """All measures, with intervals."""
        return self.found.judgement

    def _repr_html_(self) -> str:
        return _shown([*console.judged(self.judgement), *self.found.remarks])


def _shown(lines: Iterable[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"
