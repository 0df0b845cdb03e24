"""What is said of a factor: its value, what it does to the risk, why, and if the cohort agrees.

A sentence depends on little, so each part is put together once for all patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from spinecast.explaining.facts import Verdict
from spinecast.knowledge.factors import Registry
from spinecast.language import Words, words

# A contribution below a twentieth of a point on the risk scale is said to hardly move it.
NEGLIGIBLE = 5e-4
EFFECTS = ("reference", "hardly", "raises", "lowers", "expected_raises", "expected_lowers")
# Effects after which it is said what a factor leads to.
RAISING = ("raises", "expected_raises")
MOST_PHRASES = 2


@dataclass(frozen=True)
class Sentences:
    """The sentences of a registry's factors, in its language; `agreement` follows the factors."""

    registry: Registry
    agreement: tuple[Verdict, ...]

    @cached_property
    def said(self) -> Words:
        """The words of the registry's language."""
        return words(self.registry.language)

    def of(self, index: int, code: float, points: float) -> str:
        """What a factor's value does to a patient's risk, by `points` on the risk scale."""
        reference = code == self.registry.factors[index].reference_code
        effect = _effect(points, known=not math.isnan(code), reference=reference)
        return f"{self._labels[index]}: {self._value(index, code)}. {self._rest[index][effect]}"

    def assumed(self, index: int, code: float, chance: float, average: float) -> str:
        """What is taken for an unknown factor: a number's average, else its likeliest value."""
        factor = self.registry.factors[index]
        if factor.is_numeric:
            return self.said("record.on_average", value=factor.with_unit(average, digits=3))
        share = self._percents[round(100 * chance)]
        return self.said("record.likely", value=self._value(index, code), share=share)

    @cached_property
    def phrases(self) -> tuple[tuple[str, ...], ...]:
        """What each factor leads to, in words, within the horizon first."""
        named, later = self.registry.mechanism_named, self.said("record.later")
        return tuple(
            tuple(
                named[name].phrase + ("" if named[name].within_horizon else later)
                for name in factor.mechanisms
            )
            for factor in self.registry.factors
        )

    def _value(self, index: int, code: float) -> str:
        """A value as a surgeon would say it."""
        if math.isnan(code):
            return self._unknown[index]
        levels = self._levels[index]
        return levels[int(code)] if levels else self.registry.factors[index].in_plain_words(code)

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        return tuple(factor.label for factor in self.registry.factors)

    @cached_property
    def _levels(self) -> tuple[tuple[str, ...], ...]:
        """How each level of each factor is said; empty for a number."""
        return tuple(
            tuple(map(factor.in_plain_words, factor.level_codes.values()))
            for factor in self.registry.factors
        )

    @cached_property
    def _unknown(self) -> tuple[str, ...]:
        return tuple(factor.in_plain_words(math.nan) for factor in self.registry.factors)

    @cached_property
    def _percents(self) -> tuple[str, ...]:
        return tuple(self.said.percent(str(number)) for number in range(101))

    @cached_property
    def _rest(self) -> tuple[dict[str, str], ...]:
        """What follows the value in every sentence, by factor and effect."""
        factors = range(len(self.registry.factors))
        return tuple(
            {effect: " ".join(filter(None, self._parts(index, effect))) for effect in EFFECTS}
            for index in factors
        )

    def _parts(self, index: int, effect: str) -> Iterator[str]:
        yield self.said(f"record.{effect}")
        yield self.registry.factors[index].reason
        if self.phrases[index] and effect in RAISING:
            phrases = "; ".join(self.phrases[index][:MOST_PHRASES])
            yield self.said("record.pathway", phrases=phrases)
        yield self.agreement[index].sentence(self.said)


def _effect(points: float, *, known: bool, reference: bool) -> str:
    """Which sentence says the direction; the number stands beside it, rounded to add up."""
    if reference:
        return "reference"
    if abs(points) < NEGLIGIBLE:
        return "hardly"
    moves = "raises" if points > 0 else "lowers"
    return moves if known else f"expected_{moves}"
