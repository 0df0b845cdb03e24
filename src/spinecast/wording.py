"""From an assessment to a sheet: what is said, in which words, and how much of it.

Nothing is computed here but roundings; a record whose contributions do not add up is not shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from spinecast.assessment import (
    Action,
    Agreement,
    Assessment,
    Caution,
    Contribution,
    Interval,
    TrainedOn,
    UnknownFactor,
)
from spinecast.sheet import (
    Ask,
    Bar,
    Kind,
    Measure,
    Refusal,
    Sheet,
    ToDo,
    Why,
    apportion,
    of_hundred,
    risk_tenths,
    signed,
    tenths,
)

# How much a surgeon with two minutes reads; everything else is folded, never dropped.
BARS = 8
SENTENCES = 5
ASKS = 6
SPOKEN_FOR = 4
# A factor has a bar of its own from half a patient in 100; the first few already from a twentieth.
WORTH_A_BAR, FEWEST_BARS, VISIBLE = 0.5, 3, 0.05
# Contributions must add up this well, or the record is a mistake and is not shown.
EXACT = 1e-6

NOT_KNOWN = "not known"
ASSOCIATION = (
    "The reference patient has the registry's reference answer to every question. Each line is an "
    "association found among past patients, not a cause: a change in one of them does not change "
    "the risk by so much."
)
PAST = (
    "This is what happened to patients like this one, not what will happen to this one. It does "
    "not say whether to operate."
)
NO_PROMISE = (
    "No reduction of the risk is promised: the model's associations cannot say what such a step "
    "would change in this patient."
)
NOTHING_TO_DO = (
    "Among this patient's known answers the registry lists nothing to act on before surgery."
)
CORRECT = (
    "Correct the entries and score again. If they are right, this model was not made for this "
    "patient: judge without it."
)
BANNERS: Mapping[TrainedOn, str] = {
    "simulated": "SIMULATED PATIENTS. This model has learned from made-up patients, not from real "
    "ones. Not for the care of any patient.",
    "literature": "PUBLISHED STUDIES ONLY. This model was not fitted to any patients. Check it on "
    "patients of your own before relying on it.",
    "patients": "",
}
PEERS: Mapping[TrainedOn, str] = {
    "simulated": "the simulated cohort",
    "literature": "the population assumed from studies",
    "patients": "the cohort",
}
AGREEMENTS: Mapping[Agreement, str] = {
    "agrees": "cohort and literature agree",
    "disagrees": "the cohort contradicts the literature",
    "not established": "whether they agree is not established",
}


def sheet_of(
    assessment: Assessment,
    *,
    source_names: Mapping[str, str] | None = None,
    outcome: str | None = None,
    name: str = "",
) -> Sheet:
    """Word and round one patient's assessment.

    Args:
        assessment: The record.
        source_names: How each source is cited; a source without a name keeps its key.
        outcome: What the patients "have", to end the first sentence with; the model's own name of
            its outcome when not given.
        name: What to call a patient whose record carries no id.

    Raises:
        ValueError: the record's contributions do not add up to its risk, or it has no risk.
    """
    if assessment.status == "refused":
        return _refused(assessment, name)
    return _Wording(assessment, dict(source_names or {}), outcome, name).sheet()


# --- words -------------------------------------------------------------------------------------

# What would act on a screen instead of standing on it: control characters, lone surrogates, and
# marks that turn the direction of writing.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069\ufffe\uffff]+")


def plain(text: str) -> str:
    """Text on one line, without anything that could steer a terminal."""
    return " ".join(UNPRINTABLE.sub(" ", text).split())


def _named(name: str) -> str:
    """A factor's name as words, where no label is at hand."""
    return plain(name.replace("_", " "))


def _value(contribution: Contribution) -> str:
    """A value as it was given; an unknown one is never anything else."""
    if contribution.value is None:
        return NOT_KNOWN
    if isinstance(contribution.value, str):
        return plain(contribution.value.replace("_", " "))
    return f"{contribution.value:.10g}"


def _spoken(contribution: Contribution) -> tuple[str, str]:
    """The value with its unit, and the sentence without it.

    A sentence opens with the label and the value in a surgeon's words, which the record's bare
    value lacks ("26" is "26 points"). The sentence is cut there, so nothing of it is lost.
    """
    bare, sentence = _value(contribution), plain(contribution.sentence)
    head, found, rest = sentence.partition(". ")
    label = f"{plain(contribution.label)}: "
    if not found or not head.startswith(label):
        return bare, sentence
    words = head.removeprefix(label)
    if contribution.value is None:
        return bare, rest if words == NOT_KNOWN else sentence
    is_number = not isinstance(contribution.value, str)
    if not words or (is_number and re.match(re.escape(bare) + r"(?![\d.])", words) is None):
        return bare, sentence
    return words, rest


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _model(assessment: Assessment) -> str:
    """Which model answered and what it rests on, in one line."""
    model = assessment.model
    rests_on = {
        "patients": f"{_count(model.patients, 'patient', 'patients')}, {model.events:,} with the "
        "outcome",
        "simulated": f"{_count(model.patients, 'simulated patient', 'simulated patients')}, "
        f"{model.events:,} with the outcome",
        "literature": "published studies, no patients",
    }[model.trained_on]
    return plain(
        f"Model {model.id}, from {rests_on}. Outcome {model.outcome}, registry {model.registry}, "
        f"spinecast {model.version}."
    )


def _title(patient: str) -> str:
    return f"Risk before surgery: {patient}" if patient else "Risk before surgery"


def _refused(assessment: Assessment, name: str) -> Sheet:
    patient = plain(assessment.patient_id) or name
    refusals = tuple(
        Refusal("" if message.startswith(reason.factor) else _named(reason.factor), message)
        for reason in assessment.reasons
        for message in [plain(reason.message)]
    )
    return Sheet(
        title=_title(patient),
        patient=patient,
        banner=BANNERS[assessment.model.trained_on],
        model=_model(assessment),
        headline="No risk was calculated for this patient.",
        refusals=refusals,
        remedy=CORRECT,
        rely=tuple(plain(caution.message) for caution in assessment.cautions),
    )


@dataclass(frozen=True)
class _Wording:
    """A scored record on its way to a sheet."""

    assessment: Assessment
    source_names: dict[str, str]
    outcome: str | None
    name: str
    cited: dict[str, int] = field(default_factory=dict)

    def sheet(self) -> Sheet:
        """The sheet; sources are numbered as they are met, in the order of reading."""
        assessment = self.assessment
        patient = plain(assessment.patient_id) or self.name
        return Sheet(
            title=_title(patient),
            patient=patient,
            banner=BANNERS[assessment.model.trained_on],
            model=_model(assessment),
            headline=self._headline(),
            risk=of_hundred(self._risk),
            interval=_between(assessment.interval) if assessment.interval else "",
            past=PAST,
            measures=tuple(self._measures()),
            first=self._first(),
            bars=tuple(self._bars()),
            association=ASSOCIATION,
            whys=tuple(self._why(index) for index in self._named_bars[:SENTENCES]),
            higher=self._speaking(+1),
            lower=self._speaking(-1),
            asks=tuple(self._ask(unknown) for unknown in assessment.unknown[:ASKS]),
            also_unknown="; ".join(self._label(u.factor) for u in assessment.unknown[ASKS:]),
            rely=tuple(self._rely()),
            actions=tuple(self._to_do(action) for action in assessment.actions),
            actions_note=NO_PROMISE if assessment.actions else NOTHING_TO_DO,
            sources=tuple(plain(self.source_names.get(key, key)) for key in self.cited),
        )

    # --- the risk ----------------------------------------------------------------------------

    @property
    def _risk(self) -> float:
        return _number(self.assessment.risk, "risk")

    @property
    def _reference(self) -> float:
        return _number(self.assessment.reference_risk, "reference risk")

    @property
    def _peers(self) -> str:
        return PEERS[self.assessment.model.trained_on]

    def _headline(self) -> str:
        """The answer in natural frequencies, beside the cohort and the reference patient."""
        interval = self.assessment.interval
        sure = ""
        if interval:
            sure = f" ({100 * interval.level:.3g}% interval {_between(interval)})"
        count = of_hundred(self._risk)
        some, others = f"About {count}", of_hundred(1 - self._risk)
        if count.isdigit():
            others = str(100 - int(count))
        else:
            some = count.capitalize()
        have = f"{some} of 100 patients like this one have {self._outcome}{sure}"
        parts = [f"{have}; {others} do not."]
        if self.assessment.cohort_risk is not None:
            parts.append(f"In {self._peers}: {of_hundred(self.assessment.cohort_risk)} of 100.")
        parts.append(f"Reference patient: {of_hundred(self._reference)} of 100.")
        if self.assessment.centile is not None:
            parts.append(_standing(self.assessment.centile, self._peers))
        return " ".join(parts)

    @property
    def _outcome(self) -> str:
        if self.outcome:
            return plain(self.outcome)
        name = plain(self.assessment.model.outcome)
        return f"the outcome “{name}”"

    def _measures(self) -> Iterator[Measure]:
        interval = self.assessment.interval
        count = of_hundred(self._risk)
        tenths_ = risk_tenths(self._risk)
        if interval:
            low, high = risk_tenths(interval.low), risk_tenths(interval.high)
            words = _between(interval)
            yield Measure("This patient", f"{count} of 100", tenths_, words, low, high)
        else:
            yield Measure("This patient", f"{count} of 100", tenths_)
        for label, risk in (
            (self._peers.removeprefix("the ").capitalize(), self.assessment.cohort_risk),
            ("Reference patient", self._reference),
        ):
            if risk is not None:
                yield Measure(label, f"{of_hundred(risk)} of 100", risk_tenths(risk))

    def _first(self) -> str:
        """What to look at before using the number."""
        parts = []
        if self.assessment.cautions:
            parts.append(_count(len(self.assessment.cautions), "caution", "cautions"))
        if self.assessment.unknown:
            parts.append(
                _count(len(self.assessment.unknown), "factor not known", "factors not known")
            )
        return f"Before you use it: {' and '.join(parts)}, see below." if parts else ""

    # --- the reasons -------------------------------------------------------------------------

    @cached_property
    def _named_bars(self) -> list[int]:
        """Which contributions have a bar of their own, the largest first."""
        points = [100 * abs(c.risk_points) for c in self.assessment.contributions]
        order = sorted(range(len(points)), key=lambda index: -points[index])
        large = [index for index in order if points[index] >= WORTH_A_BAR]
        visible = [index for index in order if points[index] >= VISIBLE]
        return visible[: min(max(len(large), FEWEST_BARS), BARS)]

    @cached_property
    def _folds(self) -> list[tuple[str, list[int]]]:
        """Everything without a bar of its own: the known together, the unknown together."""
        rest = [i for i in range(len(self.assessment.contributions)) if i not in self._named_bars]
        known = [i for i in rest if self.assessment.contributions[i].value is not None]
        unknown = [i for i in rest if self.assessment.contributions[i].value is None]
        folds = []
        if known:
            words = _count(len(known), "smaller factor", "smaller factors together")
            folds.append((words, known))
        if unknown:
            words = _count(len(unknown), f"factor {NOT_KNOWN}", f"factors {NOT_KNOWN}, together")
            folds.append((words, unknown))
        return folds

    @cached_property
    def _tenths(self) -> tuple[int, ...]:
        """The rounded points of the bars, then of the folds; they add up to the shown risk."""
        given = [c.risk_points for c in self.assessment.contributions]
        gap = self._risk - self._reference
        if not abs(math.fsum(given) - gap) <= EXACT:
            raise ValueError(
                f"the contributions add up to {math.fsum(given):.6f}, but the risk differs from "
                f"the reference patient's by {gap:.6f}; this record must not be shown"
            )
        parts = [1000 * given[index] for index in self._named_bars]
        parts += [1000 * math.fsum(given[i] for i in fold) for _, fold in self._folds]
        return apportion(parts, risk_tenths(self._risk) - risk_tenths(self._reference))

    def _bars(self) -> Iterator[Bar]:
        at = risk_tenths(self._reference)
        yield Bar("Reference patient", "", tenths(at), "total", 0, at)
        steps = [
            (plain(self.assessment.contributions[i].label), self._spoken(i)[0])
            for i in self._named_bars
        ]
        steps += [(words, "") for words, _ in self._folds]
        for (label, value), step in zip(steps, self._tenths, strict=True):
            kind: Kind = "raises" if step > 0 else "lowers" if step < 0 else "neither"
            yield Bar(label, value, signed(step), kind, at, at + step)
            at += step
        yield Bar("This patient", "", tenths(at), "total", 0, at)

    def _spoken(self, index: int) -> tuple[str, str]:
        return _spoken(self.assessment.contributions[index])

    def _why(self, index: int) -> Why:
        contribution = self.assessment.contributions[index]
        step = self._tenths[self._named_bars.index(index)]
        value, sentence = self._spoken(index)
        # The record's sentence rounds its factor alone, the bar together with the others: the
        # reader must see one number.
        own = f"{abs(100 * contribution.risk_points):.1f} points"
        return Why(
            words=f"{plain(contribution.label)}: {value}",
            shown=f"{signed(step)} points",
            sentence=sentence.replace(f"by {own}", f"by {tenths(abs(step))} points"),
            origin=self._origin(contribution, step),
            sources=self._cite(contribution.sources),
        )

    def _origin(self, contribution: Contribution, step: int) -> str:
        """How much of the points was published and how much learned."""
        if self.assessment.model.trained_on == "literature":
            return "All of it from the literature; there is no cohort to compare with."
        per = 1000 * contribution.risk_points / (contribution.log_odds or math.inf)
        shares = [contribution.from_literature * per, contribution.from_cohort * per]
        literature, cohort = apportion(shares, step)
        return (
            f"{signed(literature)} from the literature, {signed(cohort)} from {self._peers}; "
            f"{AGREEMENTS[contribution.agreement]}."
        )

    def _speaking(self, sign: int) -> tuple[str, ...]:
        """The known answers that speak for a higher (+1) or a lower (-1) risk, largest first."""
        speaking = [
            (sign * c.risk_points, index)
            for index, c in enumerate(self.assessment.contributions)
            if c.value is not None and sign * 100 * c.risk_points >= VISIBLE
        ]
        largest = sorted(speaking, key=lambda pair: -pair[0])[:SPOKEN_FOR]
        return tuple(
            f"{plain(self.assessment.contributions[index].label)}: {self._spoken(index)[0]}"
            for _, index in largest
        )

    # --- how far to rely on it, and what to do -------------------------------------------------

    @cached_property
    def _labels(self) -> dict[str, str]:
        return {c.factor: plain(c.label) for c in self.assessment.contributions}

    def _label(self, factor: str) -> str:
        return self._labels.get(factor) or _named(factor)

    def _ask(self, unknown: UnknownFactor) -> Ask:
        low, high = of_hundred(unknown.low), of_hundred(unknown.high)
        if low == high:
            could_be = f"the risk would stay at about {low} of 100"
            if not low.isdigit():
                could_be = f"the risk would stay at {low} of 100"
        else:
            could_be = f"the risk would be between {low} and {high} of 100"
        return Ask(self._label(unknown.factor), could_be, plain(unknown.assumed))

    def _rely(self) -> Iterator[str]:
        for caution in self.assessment.cautions:
            yield self._caution(caution)
        if self.assessment.unknown:
            number = len(self.assessment.unknown)
            whole = len(self.assessment.contributions)
            of = f" of {whole}" if whole >= number else ""
            yield f"{_count(number, 'factor', 'factors')}{of} not known; listed above."
        if not self.assessment.cautions:
            yield "The checks raised no caution about this patient."
        if self.assessment.interval:
            yield (
                f"The interval says how far chance may have moved the estimate "
                f"({plain(self.assessment.interval.method)}). It does not cover how well the model "
                "fits another hospital."
            )

    def _caution(self, caution: Caution) -> str:
        """The message, with the factors it is about where it does not name them itself."""
        message = plain(caution.message)
        labels = [self._label(factor) for factor in caution.factors]
        unnamed = [label for label in labels if label.lower() not in message.lower()]
        return f"{message} (About: {'; '.join(unnamed)}.)" if unnamed else message

    def _to_do(self, action: Action) -> ToDo:
        return ToDo(self._label(action.factor), plain(action.sentence), self._cite(action.sources))

    def _cite(self, sources: Sequence[str]) -> tuple[int, ...]:
        """The numbers of sources, in the order in which they were first met."""
        return tuple(self.cited.setdefault(key, len(self.cited) + 1) for key in sources)


def _number(number: float | None, what: str) -> float:
    if number is None:
        raise ValueError(f"the record is scored but has no {what}; it must not be shown")
    return number


def _between(interval: Interval) -> str:
    return f"{of_hundred(interval.low)} to {of_hundred(interval.high)}"


def _standing(centile: float, peers: str) -> str:
    """Where the patient stands among the others, with the same denominator as everything else."""
    if centile > 99:
        return f"Among the highest 1 of 100 in {peers}."
    if centile < 1:
        return f"Among the lowest 1 of 100 in {peers}."
    return f"A higher risk than {math.floor(centile + 0.5)} of 100 in {peers}."
