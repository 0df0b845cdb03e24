"""From an assessment to a sheet: what is said of one patient, in which words, in which order.

The order is a surgeon's with two minutes: the answer, whether to rely on it, the reasons, what is
not known, what can be done. Nothing is computed here but roundings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from spinecast.explaining.assessment import Action, Assessment, Caution, UnknownFactor
from spinecast.language import Words, words
from spinecast.showing.phrases import as_words, banner, between, plain, title, told_of
from spinecast.showing.sheet import Ask, Measure, Refusal, Sheet, ToDo, Why, of_hundred, risk_tenths
from spinecast.showing.waterfall import Waterfall

# How many unknown factors have a line of their own; the others are named in one.
ASKS = 6


def sheet_of(
    assessment: Assessment,
    *,
    source_names: Mapping[str, str] | None = None,
    name: str = "",
    full: bool = False,
) -> Sheet:
    """Word and round one patient's assessment.

    Args:
        assessment: The record.
        source_names: How each source is cited; a source without a name keeps its key.
        name: What to call a patient whose record carries no id.
        full: Every factor for itself, however small, instead of the largest.

    Raises:
        ValueError: the record's contributions do not add up to its risk, or it has no risk.
    """
    if assessment.status == "refused":
        return _refused(assessment, name)
    return _Wording(assessment, dict(source_names or {}), name, full).sheet()


def _refused(assessment: Assessment, name: str) -> Sheet:
    said = words(assessment.language)
    patient = plain(assessment.patient_id) or name
    refusals = tuple(
        Refusal("" if message.startswith(reason.factor) else as_words(reason.factor), message)
        for reason in assessment.reasons
        for message in [plain(reason.message)]
    )
    return Sheet(
        title=title(patient, said),
        patient=patient,
        banner=banner(assessment.model.trained_on, said.language),
        model=told_of(assessment.model, said),
        answer=said("sheet.no_answer"),
        refusals=refusals,
        remedy=said("sheet.correct"),
        language=said.language,
        rely=tuple(plain(caution.message) for caution in _beside_banner(assessment)),
    )


def _beside_banner(assessment: Assessment) -> list[Caution]:
    """The cautions, but for the one the banner has said already."""
    said = assessment.model.trained_on
    return [caution for caution in assessment.cautions if caution.code != said]


@dataclass(frozen=True)
class _Wording:
    """A scored record on its way to a sheet."""

    assessment: Assessment
    source_names: dict[str, str]
    name: str
    full: bool
    cited: dict[str, int] = field(default_factory=dict)

    def sheet(self) -> Sheet:
        """The sheet; sources are numbered as they are met, in the order of reading."""
        assessment = self.assessment
        patient = plain(assessment.patient_id) or self.name
        waterfall = Waterfall(assessment, self._risk, self._reference, self.full)
        asked = len(assessment.unknown) if self.full else ASKS
        return Sheet(
            title=title(patient, self._said),
            patient=patient,
            banner=banner(assessment.model.trained_on, self._said.language),
            model=told_of(assessment.model, self._said),
            answer=self._answer(),
            headline=self._headline(),
            risk=self._hundred(self._risk),
            interval=between(assessment.interval, self._said) if assessment.interval else "",
            measures=tuple(self._measures()),
            past=self._said("sheet.past"),
            rely=tuple(self._rely()),
            bars=tuple(waterfall.bars()),
            lowering=waterfall.lowering(),
            association=self._said("sheet.association"),
            whys=tuple(
                Why(why.words, why.shown, why.sentence, why.origin, self._cite(why.sources))
                for why in waterfall.reasons()
            ),
            asks=tuple(self._ask(unknown) for unknown in assessment.unknown[:asked]),
            also_unknown="; ".join(self._label(u.factor) for u in assessment.unknown[asked:]),
            actions=tuple(self._to_do(action) for action in assessment.actions),
            actions_note=self._said(
                "sheet.no_promise" if assessment.actions else "sheet.nothing_to_do"
            ),
            sources=tuple(plain(self.source_names.get(key, key)) for key in self.cited),
            language=self._said.language,
        )

    @cached_property
    def _said(self) -> Words:
        """The words of the record's language."""
        return words(self.assessment.language)

    def _hundred(self, risk: float) -> str:
        return of_hundred(risk, self._said.language)

    # --- the answer --------------------------------------------------------------------------

    @property
    def _risk(self) -> float:
        return _number(self.assessment.risk, "risk")

    @property
    def _reference(self) -> float:
        return _number(self.assessment.reference_risk, "reference risk")

    @property
    def _peers(self) -> str:
        return self._said(f"peers.{self.assessment.model.trained_on}")

    def _answer(self) -> str:
        """The answer in one line: how much risk of what."""
        count, said = self._hundred(self._risk), self._said
        share = said("number.least") if count == said("number.fewest") else count
        outcome = plain(self.assessment.model.outcome)
        return said("sheet.answer", share=_capital(share), outcome=outcome)

    def _headline(self) -> str:
        """The answer in natural frequencies, beside the cohort and the reference patient."""
        interval, said, peers = self.assessment.interval, self._said, self._peers
        sure = ""
        if interval:
            level = said.number(f"{100 * interval.level:.3g}")
            sure = said("sheet.sure", level=level, between=between(interval, said))
        count, others = self._hundred(self._risk), self._hundred(1 - self._risk)
        if count.isdigit():
            some, others = said("sheet.about", count=count), str(100 - int(count))
        else:
            some = _capital(count)
        parts = [said("sheet.headline", some=some, sure=sure, others=others)]
        if self.assessment.cohort_risk is not None:
            cohort = self._hundred(self.assessment.cohort_risk)
            parts.append(said("sheet.in_peers", peers=peers, count=cohort))
        parts.append(said("sheet.reference_is", count=self._hundred(self._reference)))
        if self.assessment.centile is not None:
            parts.append(_standing(self.assessment.centile, peers, said))
        return " ".join(parts)

    def _measures(self) -> Iterator[Measure]:
        interval, said = self.assessment.interval, self._said
        label, at = said("sheet.this_patient"), risk_tenths(self._risk)
        if interval:
            low, high = risk_tenths(interval.low), risk_tenths(interval.high)
            yield Measure(label, self._of(self._risk), at, between(interval, said), low, high)
        else:
            yield Measure(label, self._of(self._risk), at)
        for name, risk in (
            (f"peers.{self.assessment.model.trained_on}_label", self.assessment.cohort_risk),
            ("sheet.reference_patient", self._reference),
        ):
            if risk is not None:
                yield Measure(said(name), self._of(risk), risk_tenths(risk))

    def _of(self, risk: float) -> str:
        return self._said("sheet.of_hundred", count=self._hundred(risk))

    # --- how far to rely on it -----------------------------------------------------------------

    def _rely(self) -> Iterator[str]:
        cautions = _beside_banner(self.assessment)
        yield from map(self._caution, cautions)
        if self.assessment.unknown and "many_unknown" not in {c.code for c in cautions}:
            number = len(self.assessment.unknown)
            whole = len(self.assessment.contributions)
            said, of = self._said, self._said.count(number)
            if whole >= number:
                of = said("sheet.of", number=of, whole=said.count(whole))
            one = max(number, whole) == 1
            yield said("sheet.factor_unknown" if one else "sheet.factors_unknown", of=of)
        if not cautions:
            yield self._said("sheet.no_caution")
        if self.assessment.interval:
            yield self._said("sheet.chance")

    def _caution(self, caution: Caution) -> str:
        """The message, with the factors it is about where it does not name them itself."""
        message = plain(caution.message)
        if {unknown.factor for unknown in self.assessment.unknown} >= set(caution.factors):
            return message  # each of them is listed as not known
        labels = [self._label(factor) for factor in caution.factors]
        unnamed = [label for label in labels if label.lower() not in message.lower()]
        if not unnamed:
            return message
        return self._said("sheet.named", message=message, labels="; ".join(unnamed))

    # --- what is not known, and what to do -----------------------------------------------------

    @cached_property
    def _labels(self) -> dict[str, str]:
        return {c.factor: plain(c.label) for c in self.assessment.contributions}

    def _label(self, factor: str) -> str:
        return self._labels.get(factor) or as_words(factor)

    def _ask(self, unknown: UnknownFactor) -> Ask:
        said, expected = self._said, plain(unknown.assumed)
        low, high = self._hundred(unknown.low), self._hundred(unknown.high)
        name = "would_be" if low != high else "would_stay" if low.isdigit() else "would_stay_at"
        could_be = said(f"sheet.{name}", low=low, high=high)
        ask = "sheet.ask_expected" if expected else "sheet.ask"
        told = said(ask, could_be=could_be, expected=expected)
        return Ask(self._label(unknown.factor), could_be, expected, told)

    def _to_do(self, action: Action) -> ToDo:
        return ToDo(self._label(action.factor), plain(action.sentence), self._cite(action.sources))

    def _cite(self, sources: Sequence[str]) -> tuple[int, ...]:
        """The numbers of sources, in the order in which they were first met."""
        return tuple(self.cited.setdefault(key, len(self.cited) + 1) for key in sources)


def _number(number: float | None, what: str) -> float:
    if number is None:
        raise ValueError(f"the record is scored but has no {what}; it must not be shown")
    return number


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _standing(centile: float, peers: str, said: Words) -> str:
    """Where the patient stands among the others, with the same denominator as everything else."""
    if centile > 99:
        return said("sheet.highest", peers=peers)
    if centile < 1:
        return said("sheet.lowest", peers=peers)
    return said("sheet.higher", count=math.floor(centile + 0.5), peers=peers)
