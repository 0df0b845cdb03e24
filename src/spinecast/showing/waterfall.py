"""The way from the reference patient's risk to this patient's: which factors, how far, and why.

Contributions are rounded together and nothing else is computed; a record whose contributions do not
add up to its risk is not shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from spinecast.explaining.assessment import Assessment, Contribution
from spinecast.language import Words, words
from spinecast.showing.phrases import plain, spoken
from spinecast.showing.sheet import Bar, Kind, apportion, risk_tenths, signed, tenths

# How many factors have a bar of their own, and how many of them a paragraph; the rest is folded
# into one line, never dropped.
BARS = 8
SENTENCES = 5
LOWERING = 4
# A factor has a bar of its own from half a patient in 100; the first few already from a twentieth.
WORTH_A_BAR, FEWEST_BARS, VISIBLE = 0.5, 3, 0.05
# Contributions must add up this well, or the record is a mistake and is not shown.
EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class Reason:
    """A factor in words; `sources` are keys, not yet numbers of a list."""

    words: str
    shown: str
    sentence: str
    origin: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Waterfall:
    """The steps of a scored record, the largest first.

    With `full` every factor has a bar, and every one that moves the estimate visibly a paragraph.
    """

    assessment: Assessment
    risk: float
    reference: float
    full: bool = False

    @cached_property
    def _said(self) -> Words:
        """The words of the record's language."""
        return words(self.assessment.language)

    # --- which factors ---

    @property
    def _contributions(self) -> tuple[Contribution, ...]:
        return self.assessment.contributions

    @cached_property
    def _points(self) -> list[float]:
        return [100 * abs(contribution.risk_points) for contribution in self._contributions]

    @cached_property
    def _order(self) -> list[int]:
        return sorted(range(len(self._points)), key=lambda index: -self._points[index])

    @cached_property
    def _large(self) -> list[int]:
        """Which contributions are worth a bar of their own, the largest first."""
        large = [index for index in self._order if self._points[index] >= WORTH_A_BAR]
        visible = [index for index in self._order if self._points[index] >= VISIBLE]
        return visible[: min(max(len(large), FEWEST_BARS), BARS)]

    @property
    def _named(self) -> list[int]:
        """Which contributions have a bar of their own here."""
        return self._order if self.full else self._large

    @cached_property
    def _folds(self) -> list[tuple[str, list[int]]]:
        """Everything not worth a bar of its own: the known together, the unknown together."""
        rest = [i for i in range(len(self._contributions)) if i not in self._large]
        known = [i for i in rest if self._contributions[i].value is not None]
        unknown = [i for i in rest if self._contributions[i].value is None]
        folds = []
        if known:
            folds.append((self._counted(len(known), "smaller", "smaller_many"), known))
        if unknown:
            folds.append((self._counted(len(unknown), "unknown_one", "unknown_many"), unknown))
        return folds

    def _counted(self, number: int, one: str, many: str) -> str:
        count = self._said.count(number)
        return self._said(f"sheet.{one if number == 1 else many}", count=count)

    # --- how far ---

    @cached_property
    def _tenths(self) -> list[int]:
        """The rounded points of the bars, then of the folds; they add up to the shown risk.

        Those within a fold add up to the fold, so that short and full cannot disagree.
        """
        given = [contribution.risk_points for contribution in self._contributions]
        gap = self.risk - self.reference
        if not abs(math.fsum(given) - gap) <= EXACT:
            raise ValueError(
                f"the contributions add up to {math.fsum(given):.6f}, but the risk differs from "
                f"the reference patient's by {gap:.6f}; this record must not be shown"
            )
        parts = [1000 * given[index] for index in self._large]
        parts += [1000 * math.fsum(given[i] for i in fold) for _, fold in self._folds]
        short = apportion(parts, risk_tenths(self.risk) - risk_tenths(self.reference))
        if not self.full:
            return list(short)
        own = dict(zip(self._large, short, strict=False))
        for (_, fold), total in zip(self._folds, short[len(self._large) :], strict=True):
            own |= zip(fold, apportion([1000 * given[i] for i in fold], total), strict=True)
        return [own[index] for index in self._order]

    def bars(self) -> Iterator[Bar]:
        """The reference patient, a bar for each step, and this patient."""
        at = risk_tenths(self.reference)
        yield self._total("reference_patient", at)
        steps = [(plain(self._contributions[i].label), self._value(i)) for i in self._named]
        steps += [] if self.full else [(folded, "") for folded, _ in self._folds]
        for (label, value), step in zip(steps, self._tenths, strict=True):
            kind: Kind = "raises" if step > 0 else "lowers" if step < 0 else "neither"
            shown = signed(step, self._said.language)
            ends = {"start": self._tenth(at), "end": self._tenth(at + step)}
            described = self._said("sheet.moves", points=shown, **ends)
            yield Bar(label, value, shown, kind, at, at + step, described)
            at += step
        yield self._total("this_patient", at)

    def _total(self, name: str, at: int) -> Bar:
        shown = self._tenth(at)
        described = self._said("sheet.of_hundred", count=shown)
        return Bar(self._said(f"sheet.{name}"), "", shown, "total", 0, at, described)

    def _tenth(self, amount: int) -> str:
        return tenths(amount, self._said.language)

    def _value(self, index: int) -> str:
        return spoken(self._contributions[index], self._said)[0]

    # --- why ---

    def reasons(self) -> Iterator[Reason]:
        """The documented reason of each factor that is worth a paragraph."""
        visible = [index for index in self._named if self._points[index] >= VISIBLE]
        for place, index in enumerate(visible[: None if self.full else SENTENCES]):
            contribution, step = self._contributions[index], self._tenths[place]
            value, sentence = spoken(contribution, self._said)
            yield Reason(
                words=f"{plain(contribution.label)}: {value}",
                shown=self._said("sheet.points", points=signed(step, self._said.language)),
                sentence=sentence,
                origin=self._origin(contribution, step),
                sources=contribution.sources,
            )

    def _origin(self, contribution: Contribution, step: int) -> str:
        """How much of the points was published and how much learned.

        Whether the two agree stands in the record's sentence, unless it is not established.
        """
        trained_on = self.assessment.model.trained_on
        if trained_on == "literature":
            return self._said("sheet.all_literature")
        per = 1000 * contribution.risk_points / (contribution.log_odds or math.inf)
        shares = [contribution.from_literature * per, contribution.from_cohort * per]
        literature, cohort = apportion(shares, step)
        settled = contribution.agreement != "not established"
        return self._said(
            "sheet.shares" if settled else "sheet.shares_unsettled",
            literature=signed(literature, self._said.language),
            cohort=signed(cohort, self._said.language),
            peers=self._said(f"peers.{trained_on}"),
        )

    def lowering(self) -> str:
        """The known answers that speak for a lower risk; most have no bar of their own."""
        found = [
            index
            for index, contribution in enumerate(self._contributions)
            if contribution.value is not None and -100 * contribution.risk_points >= VISIBLE
        ]
        largest = sorted(found, key=lambda index: -self._points[index])[:LOWERING]
        if not largest:
            return self._said("sheet.nothing_lower")
        named = (f"{plain(self._contributions[i].label)}: {self._value(i)}" for i in largest)
        return self._said("sheet.lower", named="; ".join(named))
