"""The sheet to print: a page for the notes and one for the patient, as records and as PDF.

The PDF is set by typst from this record alone, with the fonts typst brings: the same record and
time give the same bytes on every machine.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

from spinecast.explaining.assessment import Assessment
from spinecast.explaining.scoring import Scorer
from spinecast.knowledge.factors import Registry
from spinecast.language import Words
from spinecast.logic import FloatArray
from spinecast.showing.sheet import Sheet
from spinecast.web.answering import fingerprint
from spinecast.web.result import Answer, answer_of


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as it was given."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the patient's page: sentences, points, and sentences after these."""

    title: str
    lines: tuple[str, ...]
    points: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Handout:
    """Both pages: `sheet` and what was given for the notes, `plain` for the patient.

    `traced` says when and by which model; `filled` of a hundred icons are filled; bars reach from
    `low` to `high` tenths.
    """

    language: str
    sheet: Sheet
    rely: tuple[str, ...]
    against: tuple[str, ...]
    also: str
    given: tuple[Given, ...]
    estimate: str
    plain_title: str
    plain: tuple[Section, ...]
    icons: str
    filled: int
    traced: str
    made: str
    headings: dict[str, str]
    low: int
    high: int


def handout(
    assessment: Assessment,
    scorer: Scorer,
    codes: FloatArray,
    made: dt.datetime,
    estimate: int | None,
    words: Words,
) -> Handout:
    """Word both pages.

    Args:
        assessment: the scored record.
        scorer: the model that gave it.
        codes: the patient's row, (F,).
        made: the time the sheet shall bear, in UTC.
        estimate: the surgeon's own estimate, of 100; None when there is none.
        words: the language.
    """
    answer = answer_of(assessment, scorer.bundle, words)
    known = zip(scorer.registry.factors, codes.tolist(), strict=True)
    time = made.strftime(words("sheet.time"))
    return Handout(
        language=words.language,
        sheet=answer.short,
        rely=answer.rely,
        against=answer.against,
        also=words("sheet.also", labels=answer.short.also_unknown),
        given=tuple(
            Given(factor.label, factor.in_plain_words(code))
            for factor, code in known
            if not math.isnan(code)
        ),
        estimate="" if estimate is None else words("sheet.estimate", count=estimate),
        plain_title=words("plain.title"),
        plain=_plain(assessment, scorer, answer.short, words),
        icons=_icons(answer, scorer, words),
        filled=answer.filled,
        traced=words(
            "sheet.traced",
            time=time,
            model=assessment.model.id,
            input=fingerprint(scorer, codes),
        ),
        made=made.isoformat(),
        headings={name: words(f"sheet.{name}") for name in HEADINGS},
        low=answer.short.span[0],
        high=answer.short.span[1],
    )


HEADINGS = ("bars", "given", "rely", "against", "unknown", "actions")


def _plain(
    assessment: Assessment, scorer: Scorer, sheet: Sheet, words: Words
) -> tuple[Section, ...]:
    """The patient's page: short words, the same numbers."""
    registry = scorer.registry
    have = _have(registry, words)
    operation = registry.operation_plain or registry.operation
    told = {"operation": operation, "horizon": registry.horizon, "have": have}
    count = words("plain.roughly", count=sheet.risk) if sheet.risk.isdigit() else sheet.risk
    numbers = [words("plain.about", count=count, **told)]
    if sheet.risk.isdigit():
        numbers.append(words("plain.others", count=100 - int(sheet.risk)))
    if sheet.interval:
        numbers.append(words("plain.interval", interval=sheet.interval))
    can_do = _can_do(assessment, registry)
    return (
        Section(words("plain.what_title"), (words("plain.what", **told),)),
        Section(words("plain.numbers_title"), tuple(numbers)),
        Section(words("plain.means_title"), (words("plain.means"), *_not_known(assessment, words))),
        Section(
            words("plain.do_title"),
            (words("plain.do") if can_do else words("plain.nothing"),),
            can_do,
            (words("plain.no_promise"),) if can_do else (),
        ),
        Section(words("plain.ask_title"), (), tuple(words(f"plain.ask_{n}") for n in (1, 2, 3))),
    )


def _not_known(assessment: Assessment, words: Words) -> Iterator[str]:
    """How many things were not known, if any."""
    count = len(assessment.unknown)
    if count:
        yield words("plain.unknown_one") if count == 1 else words("plain.unknown", count=count)


def _can_do(assessment: Assessment, registry: Registry) -> tuple[str, ...]:
    """What may be talked about, in the patient's words, each once."""
    actions = (registry.by_name[action.factor].modifiable.plain for action in assessment.actions)
    return tuple(dict.fromkeys(action for action in actions if action))


def _icons(answer: Answer, scorer: Scorer, words: Words) -> str:
    have = _have(scorer.registry, words)
    return words("plain.icons", count=answer.filled, have=have)


def _have(registry: Registry, words: Words) -> str:
    """The outcome as what some people had, in plain words where the registry has them."""
    return registry.condition_plain or words("plain.have", condition=registry.condition)


def pdf(handout: Handout) -> bytes:
    """Both pages as PDF, tagged for screen readers; equal handouts give equal bytes."""
    import typst

    made = dt.datetime.fromisoformat(handout.made)
    return bytes(
        typst.compile(
            _layout(),
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"handout": json.dumps(asdict(handout), ensure_ascii=False)},
            pdf_standards=["ua-1"],
            timestamp=int(made.timestamp()),
        )
    )


@cache
def _layout() -> bytes:
    return resources.files("spinecast.web").joinpath("templates", "sheet.typ").read_bytes()
