"""How far to rely on an answer: what is not known of a patient, how unlike the cohort."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.distribution.population import Unusual
from spinecast.explaining.assessment import Caution
from spinecast.explaining.facts import CohortFacts
from spinecast.knowledge.factors import Registry
from spinecast.language import words

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

# Above this share of unknown factors the answer says that it knows little.
MANY_UNKNOWN = 0.25
# A combination rarer than one in a thousand of the cohort is called unusual.
UNUSUAL = 0.001
# A factor is named in that caution when it lies this many SDs from what the others suggest.
ODD = 2.0
MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Doubts:
    """Reasons not to rely on the answers for some patients, in columns.

    `unknown` and `unseen` (n, F) mark factors that are not known or whose value the cohort hardly
    had; `unusual` (n,) marks rare combinations and `z` (n, F) says which factors make them so;
    `unchecked` (n, E) marks the questions of scope nobody answered.
    """

    unknown: BoolArray
    unseen: BoolArray
    unusual: BoolArray
    z: FloatArray
    unchecked: BoolArray

    @property
    def many_unknown(self) -> BoolArray:
        """For every patient whether too much is not known, (n,)."""
        return np.asarray(self.unknown.mean(axis=1) > MANY_UNKNOWN)

    def combined(self, standing: Sequence[str]) -> tuple[npt.NDArray[np.intp], list[str]]:
        """The codes of every patient's cautions, after those of the model itself.

        Few combinations occur; each is written once. Returns the place of each patient's, (n,), and
        the combinations as text.
        """
        names = ("scope_unchecked", "many_unknown", "outside_cohort", "unusual")
        marks = np.column_stack(
            [
                self.unchecked.any(axis=1),
                self.many_unknown,
                self.unseen.any(axis=1),
                self.unusual,
            ]
        )
        texts = [
            "; ".join([*standing, *itertools.compress(names, combination)])
            for combination in itertools.product((False, True), repeat=len(names))
        ]
        return np.asarray(marks @ (8, 4, 2, 1)), texts


def doubts(
    facts: CohortFacts, unusual: Unusual, codes: FloatArray, unchecked: BoolArray | None = None
) -> Doubts:
    """What speaks against relying on the answers for rows of codes (n, F), NaN for unknown.

    `unchecked` (n, E) marks the questions of scope nobody answered; None where nobody was asked.
    """
    unknown = np.isnan(codes)
    return Doubts(
        unknown=unknown,
        unseen=facts.unseen(codes),
        unusual=unusual.tail < UNUSUAL,
        z=np.where(unknown, 0.0, unusual.z),
        unchecked=np.zeros((len(codes), 0), dtype=bool) if unchecked is None else unchecked,
    )


def cautions(registry: Registry, found: Doubts, row: int) -> Iterator[Caution]:
    """The cautions of one patient, in words, with the factors they are about."""
    said = words(registry.language)
    unknown, unseen = np.flatnonzero(found.unknown[row]), np.flatnonzero(found.unseen[row])
    if found.unchecked[row].any():
        asked = np.array([one.question for one in registry.exclusions])[found.unchecked[row]]
        yield Caution("scope_unchecked", said("caution.scope_unchecked", questions=" ".join(asked)))
    if found.many_unknown[row]:
        factors = len(registry.factors)
        message = said("caution.many_unknown", unknown=len(unknown), factors=factors)
        yield Caution("many_unknown", message, _names(registry, unknown))
    if len(unseen):
        message = said("caution.outside_cohort", labels=_labels(registry, unseen))
        yield Caution("outside_cohort", message, _names(registry, unseen))
    if found.unusual[row]:
        z = np.abs(found.z[row])
        furthest = np.argsort(-z)[:MOST_NAMED]
        odd = furthest[z[furthest] > ODD]
        named = _labels(registry, odd) or said("caution.together")
        yield Caution("unusual", said("caution.unusual", labels=named), _names(registry, odd))


def _names(registry: Registry, factors: IntArray) -> tuple[str, ...]:
    return tuple(registry.names[index] for index in factors.tolist())


def _labels(registry: Registry, factors: IntArray) -> str:
    """Some factors within a sentence."""
    inside = words(registry.language).inside
    return "; ".join(inside(registry.factors[index].label) for index in factors.tolist())
