"""The surgeon's door: a patient's answers in, an Assessment out.

A `Scorer` is a model folder, read once and verified; it then answers patient after patient without
touching a file. Nothing of training, MLflow or plotting is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spinecast.cohorts.outcome import in_words
from spinecast.explaining.assessment import Assessment, Reason
from spinecast.explaining.bundle import Bundle, read_bundle
from spinecast.explaining.explanation import Explainer
from spinecast.knowledge.factors import Registry
from spinecast.knowledge.translation import in_language, languages
from spinecast.language import words
from spinecast.patients.answers import Fault
from spinecast.patients.patient import PATIENT_ID, Reader, reader_for

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scorer:
    """A model ready to answer."""

    bundle: Bundle

    @classmethod
    def load(cls, folder: Path | str, registry_folder: Path | None = None) -> Scorer:
        """Read and verify a model folder.

        Raises:
            ModelRefused: the folder is not a model, was altered, is newer, or belongs to another
                registry than the one named.
        """
        return cls(read_bundle(Path(folder), registry_folder))

    @property
    def explainer(self) -> Explainer:
        """The model with what its cohort was like."""
        return self.bundle.explainer

    @property
    def registry(self) -> Registry:
        """The registry the model was trained with."""
        return self.explainer.model.registry

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages it can answer in, English first."""
        return languages(self.registry)

    def in_language(self, language: str) -> Scorer:
        """The same model, with every sentence in a language; English where it has no other."""
        if language == self.registry.language or language not in self.languages:
            return self
        registry = in_language(self.registry, language)
        explainer = self.explainer
        spoken = replace(
            explainer,
            model=replace(explainer.model, registry=registry),
            facts=explainer.facts.in_language(words(language)),
            identity=replace(
                explainer.identity, outcome=in_words(registry, self.bundle.training["outcome"])
            ),
        )
        return Scorer(replace(self.bundle, explainer=spoken))

    @cached_property
    def _reader(self) -> Reader:
        return reader_for(self.registry)

    def assess(self, answers: Mapping[str, object]) -> Assessment:
        """Score one patient and say why.

        Args:
            answers: values by factor name; null, absent or "unknown" mean not known. A patient_id
                is kept in the record.

        Returns:
            The record; refused, with every reason, when an answer is impossible, a name is not
            known or the patient is out of scope.
        """
        codes, faults = self.read(answers)
        patient_id = name_of(answers)
        if faults:
            return self.refuse(faults, patient_id)
        return self.record(codes, patient_id, self.unchecked(answers))

    def read(self, answers: Mapping[str, object]) -> tuple[FloatArray, tuple[Fault, ...]]:
        """One patient's answers as a row of codes (F,), and everything that is wrong with them."""
        return self._reader.read(answers)

    def unchecked(self, answers: object) -> BoolArray:
        """Which of the registry's questions about scope nobody answered, (E,)."""
        return self._reader.unchecked(answers)

    def record(
        self, codes: FloatArray, patient_id: str = "", unchecked: BoolArray | None = None
    ) -> Assessment:
        """The record of a patient whose answers were read without a fault, (F,) codes.

        `unchecked` (E,) marks the questions about scope nobody answered; None where nobody was
        asked.
        """
        left = None if unchecked is None else unchecked[np.newaxis]
        scored = self.explainer.explain(self.explainer.score(codes[np.newaxis], unchecked=left), 0)
        return replace(scored, patient_id=patient_id) if patient_id else scored

    def refuse(self, faults: tuple[Fault, ...], patient_id: str = "") -> Assessment:
        """The record of a patient who cannot be scored."""
        return Assessment.refused(
            tuple(self._reasons(faults)),
            self.explainer.identity,
            self.explainer.facts.cautions,
            patient_id,
            self.registry.language,
        )

    def _reasons(self, faults: tuple[Fault, ...]) -> Iterator[Reason]:
        for fault in faults:
            factor = fault.column if fault.column in self.registry.by_name else ""
            yield Reason(fault.rule, factor, str(fault.problem()))


def name_of(answers: object) -> str:
    """The patient's id among the answers, "" when there is none."""
    named = answers.get(PATIENT_ID) if isinstance(answers, Mapping) else None
    return "" if named is None else str(named)
