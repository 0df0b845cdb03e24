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
from spinecast.showing.phrases import (
    ASSOCIATION,
    BANNERS,
    CORRECT,
    NO_ANSWER,
    NO_CAUTION,
    NO_PROMISE,
    NOTHING_TO_DO,
    PAST,
    PEERS,
    as_words,
    between,
    plain,
    title,
    told_of,
)
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
    patient = plain(assessment.patient_id) or name
    refusals = tuple(
        Refusal("" if message.startswith(reason.factor) else as_words(reason.factor), message)
        for reason in assessment.reasons
        for message in [plain(reason.message)]
    )
    return Sheet(
        title=title(patient),
        patient=patient,
        banner=BANNERS[assessment.model.trained_on],
        model=told_of(assessment.model),
        answer=NO_ANSWER,
        refusals=refusals,
        remedy=CORRECT,
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
            title=title(patient),
            patient=patient,
            banner=BANNERS[assessment.model.trained_on],
            model=told_of(assessment.model),
            answer=self._answer(),
            headline=self._headline(),
            risk=of_hundred(self._risk),
            interval=between(assessment.interval) if assessment.interval else "",
            measures=tuple(self._measures()),
            past=PAST,
            rely=tuple(self._rely()),
            bars=tuple(waterfall.bars()),
            lowering=waterfall.lowering(),
            association=ASSOCIATION,
            whys=tuple(
                Why(why.words, why.shown, why.sentence, why.origin, self._cite(why.sources))
                for why in waterfall.reasons()
            ),
            asks=tuple(self._ask(unknown) for unknown in assessment.unknown[:asked]),
            also_unknown="; ".join(self._label(u.factor) for u in assessment.unknown[asked:]),
            actions=tuple(self._to_do(action) for action in assessment.actions),
            actions_note=NO_PROMISE if assessment.actions else NOTHING_TO_DO,
            sources=tuple(plain(self.source_names.get(key, key)) for key in self.cited),
        )

    # --- the answer --------------------------------------------------------------------------

    @property
    def _risk(self) -> float:
        return _number(self.assessment.risk, "risk")

    @property
    def _reference(self) -> float:
        return _number(self.assessment.reference_risk, "reference risk")

    @property
    def _peers(self) -> str:
        return PEERS[self.assessment.model.trained_on]

    def _answer(self) -> str:
        """The answer in one line: how much risk of what."""
        outcome = plain(self.assessment.model.outcome)
        share = of_hundred(self._risk).replace("fewer", "less").capitalize()
        return f"{share}% risk of {outcome}"

    def _headline(self) -> str:
        """The answer in natural frequencies, beside the cohort and the reference patient."""
        interval = self.assessment.interval
        sure = ""
        if interval:
            sure = f" ({100 * interval.level:.3g}% interval {between(interval)})"
        count = of_hundred(self._risk)
        some, others = f"About {count}", of_hundred(1 - self._risk)
        if count.isdigit():
            others = str(100 - int(count))
        else:
            some = count.capitalize()
        parts = [f"{some} of 100 patients like this one have it{sure}; {others} do not."]
        if self.assessment.cohort_risk is not None:
            parts.append(f"In {self._peers}: {of_hundred(self.assessment.cohort_risk)} of 100.")
        parts.append(f"Reference patient: {of_hundred(self._reference)} of 100.")
        if self.assessment.centile is not None:
            parts.append(_standing(self.assessment.centile, self._peers))
        return " ".join(parts)

    def _measures(self) -> Iterator[Measure]:
        interval = self.assessment.interval
        count, at = f"{of_hundred(self._risk)} of 100", risk_tenths(self._risk)
        if interval:
            low, high = risk_tenths(interval.low), risk_tenths(interval.high)
            yield Measure("This patient", count, at, between(interval), low, high)
        else:
            yield Measure("This patient", count, at)
        peers = self._peers.removeprefix("the ").capitalize()
        for label, risk in (
            (peers, self.assessment.cohort_risk),
            ("Reference patient", self._reference),
        ):
            if risk is not None:
                yield Measure(label, f"{of_hundred(risk)} of 100", risk_tenths(risk))

    # --- how far to rely on it -----------------------------------------------------------------

    def _rely(self) -> Iterator[str]:
        cautions = _beside_banner(self.assessment)
        yield from map(self._caution, cautions)
        if self.assessment.unknown and "many_unknown" not in {c.code for c in cautions}:
            number = len(self.assessment.unknown)
            whole = len(self.assessment.contributions)
            of = f"{number:,} of {whole:,}" if whole >= number else f"{number:,}"
            yield f"{of} {'factor' if max(number, whole) == 1 else 'factors'} not known; see below."
        if not cautions:
            yield NO_CAUTION
        if self.assessment.interval:
            yield (
                f"The interval says how far chance may have moved the estimate "
                f"({plain(self.assessment.interval.method)}). It does not cover how well the model "
                "fits another hospital."
            )

    def _caution(self, caution: Caution) -> str:
        """The message, with the factors it is about where it does not name them itself."""
        message = plain(caution.message)
        if {unknown.factor for unknown in self.assessment.unknown} >= set(caution.factors):
            return message  # each of them is listed as not known
        labels = [self._label(factor) for factor in caution.factors]
        unnamed = [label for label in labels if label.lower() not in message.lower()]
        return f"{message} (About: {'; '.join(unnamed)}.)" if unnamed else message

    # --- what is not known, and what to do -----------------------------------------------------

    @cached_property
    def _labels(self) -> dict[str, str]:
        return {c.factor: plain(c.label) for c in self.assessment.contributions}

    def _label(self, factor: str) -> str:
        return self._labels.get(factor) or as_words(factor)

    def _ask(self, unknown: UnknownFactor) -> Ask:
        low, high = of_hundred(unknown.low), of_hundred(unknown.high)
        if low != high:
            could_be = f"the risk would be between {low} and {high} of 100"
        elif low.isdigit():
            could_be = f"the risk would stay at about {low} of 100"
        else:
            could_be = f"the risk would stay at {low} of 100"
        return Ask(self._label(unknown.factor), could_be, plain(unknown.assumed))

    def _to_do(self, action: Action) -> ToDo:
        return ToDo(self._label(action.factor), plain(action.sentence), self._cite(action.sources))

    def _cite(self, sources: Sequence[str]) -> tuple[int, ...]:
        """The numbers of sources, in the order in which they were first met."""
        return tuple(self.cited.setdefault(key, len(self.cited) + 1) for key in sources)


def _number(number: float | None, what: str) -> float:
    if number is None:
        raise ValueError(f"the record is scored but has no {what}; it must not be shown")
    return number


def _standing(centile: float, peers: str) -> str:
    """Where the patient stands among the others, with the same denominator as everything else."""
    if centile > 99:
        return f"Among the highest 1 of 100 in {peers}."
    if centile < 1:
        return f"Among the lowest 1 of 100 in {peers}."
    return f"A higher risk than {math.floor(centile + 0.5)} of 100 in {peers}."
