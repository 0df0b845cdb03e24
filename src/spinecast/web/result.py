"""One patient's answer as the screen shows it: the sheets of the record, icons, and what to doubt.

Every number comes from the sheets; nothing is rounded a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spinecast.explaining.assessment import Assessment
from spinecast.explaining.bundle import Bundle
from spinecast.knowledge.factors import Registry
from spinecast.language import BASE, Words
from spinecast.showing.sheet import MINUS, Sheet, of_hundred
from spinecast.showing.wording import sheet_of


@dataclass(frozen=True, slots=True)
class Standing:
    """How well a model told patients apart that its fits had not seen; from `training.json`."""

    value: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the screen shows of one patient.

    `short` is the sheet the command line prints, `full` the one with every factor; both round
    alike. `filled` of a hundred icons stand for the patients with the outcome. `rely` says how far
    to rely on the answer here, `against` what speaks against it.
    """

    short: Sheet
    full: Sheet
    filled: int
    rely: tuple[str, ...]
    against: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether there is no answer, only reasons why not."""
        return self.short.is_refused


def answer_of(assessment: Assessment, bundle: Bundle, words: Words) -> Answer:
    """The answer of a record.

    Args:
        assessment: the record, scored or refused.
        bundle: the model that gave it, for how well it did on patients it had not seen.
        words: the language.
    """
    cited = citations(bundle.explainer.model.registry)
    short = sheet_of(assessment, source_names=cited)
    full = sheet_of(assessment, source_names=cited, full=True)
    if short.is_refused:
        return Answer(short, full, 0, short.rely, ())
    return Answer(
        short=short,
        full=full,
        filled=int(short.risk) if short.risk.isdigit() else 100 * round(assessment.risk or 0.0),
        rely=(
            _rests_on(bundle, words),
            *short.rely,
            *_standing(bundle, words),
            words("rely.not_checked_here"),
        ),
        against=tuple(_against(assessment, short, words)),
    )


def citations(registry: Registry) -> dict[str, str]:
    """How each source is cited, with where to read it."""
    return {source.name: f"{source.cite} {source.link}".strip() for source in registry.sources}


def _rests_on(bundle: Bundle, words: Words) -> str:
    """Whom the model has learned from: the population a reader compares with."""
    identity = bundle.explainer.identity
    return words(
        f"rely.rests_{identity.trained_on}",
        patients=words.count(identity.patients),
        events=words.count(identity.events),
        operation=bundle.explainer.model.registry.operation,
    )


def _standing(bundle: Bundle, words: Words) -> Iterator[str]:
    """How well the model ranks two patients, as times of 100."""
    standing = standing_of(bundle.training, words.language)
    if standing is not None:
        yield words("rely.ranks", value=standing.value, low=standing.low, high=standing.high)


def standing_of(training: Mapping[str, Any], language: str = BASE) -> Standing | None:
    """The concordance on unseen patients as times of 100; None where it was not measured."""
    measured = training.get("performance", {}).get("spinecast", [])
    for line in measured:
        if line["measure"] == "auroc" and line["value"] is not None:
            return Standing(
                *(of_hundred(line[end] or 0.0, language) for end in ("value", "low", "high"))
            )
    return None


def _against(assessment: Assessment, sheet: Sheet, words: Words) -> Iterator[str]:
    yield sheet.lowering
    shown = {bar.label for bar in sheet.bars}
    disagreeing = [
        c.label for c in assessment.contributions if c.agreement == "disagrees" and c.label in shown
    ]
    if disagreeing:
        yield words("result.disagrees", factors="; ".join(disagreeing))


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of how good a model was, rounded."""

    label: str
    value: str
    interval: str


def performance(training: Mapping[str, Any], words: Words) -> tuple[Measured, ...]:
    """How good the model was on patients its fits had not seen; empty where not measured."""
    measured = training.get("performance", {}).get("spinecast", [])
    return tuple(
        Measured(
            _label(line, words),
            _rounded(line["value"], words),
            words("model.to", low=_rounded(line["low"], words), high=_rounded(line["high"], words)),
        )
        for line in measured
        if line["value"] is not None
    )


def _label(line: Mapping[str, Any], words: Words) -> str:
    """What a measure is called; as the training called it where the pages do not know it."""
    name = f"model.measure_{line['measure']}"
    return words(name) if name in words.strings else str(line["label"])


def _rounded(value: float | None, words: Words) -> str:
    return "?" if value is None else words.number(f"{value:.3f}").replace("-", MINUS)
