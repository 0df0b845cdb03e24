"""Who teaches a large training, who tunes it and who judges it: chance by the patient's id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecast.cohorts.store import Stored
from spinecast.fitting.recipe import Recipe
from spinecast.patients.draws import HashArray, uniform

BoolArray = npt.NDArray[np.bool_]

APART = 0
"""The draw of a patient's id that says what part it has; those of the refits come after it.

The first judge, the next tune, then come the sampled ones among those who teach. So a sample of
a cohort's smallest draws holds all of whom more than sums are needed.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What part each patient with a known outcome has in a training.

    It depends on the recipe, on how many patients there are, and on a patient's own id: not on the
    file's shape nor on who does the work.

    Attributes:
        patients: how many have a known outcome.
        held: the share of them that judges, and the share that tunes.
        sample: the share of them, among those who teach, on whom the choices are made.
        seed: of the draws.
    """

    patients: int
    held: float
    sample: float
    seed: int

    @classmethod
    def of(cls, recipe: Recipe, patients: int) -> Plan | None:
        """The plan for so many patients; None where they are few enough for cross-validation."""
        large = recipe.large
        if patients < large.patients:
            return None
        teach = patients - 2 * large.held
        sample = min(large.sample, teach) / patients
        return cls(patients, large.held / patients, sample, recipe.seed)

    @property
    def drawn(self) -> float:
        """The share of patients who judge, tune or are sampled."""
        return 2 * self.held + self.sample

    def judges(self, hashed: HashArray) -> BoolArray:
        """Which patients the model is judged on."""
        return self._apart(hashed) < self.held

    def tunes(self, hashed: HashArray) -> BoolArray:
        """Which patients choose the number of trees and set the recalibration."""
        apart = self._apart(hashed)
        return (self.held <= apart) & (apart < 2 * self.held)

    def teaches(self, hashed: HashArray) -> BoolArray:
        """Which patients the population, the coefficients and the trees are learned from."""
        return self._apart(hashed) >= 2 * self.held

    def is_sampled(self, hashed: HashArray) -> BoolArray:
        """Which of those who teach choices are made on, and baselines learn from."""
        apart = self._apart(hashed)
        return (2 * self.held <= apart) & (apart < self.drawn)

    def _apart(self, hashed: HashArray) -> npt.NDArray[np.float64]:
        return uniform(hashed, self.seed, APART)


def in_order(stored: Sequence[Stored]) -> Stored:
    """Patients of several shards as one, in the order of their hashes: however they were cut."""
    whole = Stored(
        np.concatenate([one.codes for one in stored]),
        np.concatenate([one.y for one in stored]),
        np.concatenate([one.hashed for one in stored]),
    )
    return whole.take(np.argsort(whole.hashed, kind="stable"))
