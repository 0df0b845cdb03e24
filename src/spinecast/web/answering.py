"""What somebody sent with a form: kept as it was typed, read, and everything wrong with it.

Values are read by the very reader a patient's JSON goes through. Nothing typed is lost on an error,
and no message repeats a value: it stands in its box already.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from spinecast.explaining.scoring import Scorer
from spinecast.language import Words
from spinecast.logic import BoolArray, FloatArray
from spinecast.patients.answers import Fault
from spinecast.patients.patient import PATIENT_ID
from spinecast.web.questions import Question
from spinecast.web.words import words

# A number box has a tick beside it, sent under this name.
NOT_KNOWN = "{}.not_known"
UNKNOWN = "unknown"
ESTIMATE = "own_estimate"
# When a page was made, so that its sheet bears that time; and answers of other patients.
MADE, IF = "made_at", "if."
# The language a page was in: the next one is in it too.
LANGUAGE = "lang"
MOST_FIELDS = 500
EXCLUDED = "excluded"
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d{1,2}", re.ASCII)
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong: the fields it is about, the rule, and what to do, in words."""

    fields: tuple[str, ...]
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A form as it was sent.

    `typed` holds every value as typed; `codes` the patient's row (F,) and `unchecked` which
    questions about scope were left open (E,), only to be used when nothing is `wrong` and nobody is
    `excluded`.
    """

    typed: Mapping[str, str]
    codes: FloatArray
    unchecked: BoolArray
    wrong: tuple[Wrong, ...]
    excluded: tuple[Wrong, ...]
    estimate: int | None

    @property
    def can_be_scored(self) -> bool:
        """Whether there is an answer to give."""
        return not self.wrong and not self.excluded

    def said_of(self, name: str) -> str:
        """What is wrong with a field; empty when nothing is."""
        return " ".join(wrong.message for wrong in self.wrong if name in wrong.fields)


def empty(scorer: Scorer) -> Sent:
    """A form nobody has filled in."""
    return Sent({}, scorer.read({})[0], scorer.unchecked({}), (), (), None)


def read_form(scorer: Scorer, questions: Iterable[Question], body: bytes) -> Sent:
    """Read a form as a browser sends it.

    Args:
        scorer: the model that is asked.
        questions: what the form asked.
        body: application/x-www-form-urlencoded, UTF-8.

    Raises:
        ValueError: the body is no form.
    """
    pairs = parse_qsl(
        body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
    )
    asked = {question.name: question for question in questions}
    typed = {name: value for name, value in pairs if value.strip() and _is_field(name, asked)}
    said = words(scorer.registry.language)
    wrong = [*_twice(pairs, said), *_strangers(pairs, asked, said), *_too_long(typed, said)]
    answers: dict[str, object] = {}
    for name, question in asked.items():
        value = typed.get(name, "").strip()
        if question.kind == "number" and NOT_KNOWN.format(name) in typed:
            if value:
                wrong.append(Wrong((name,), "two_answers", said("wrong.number_and_unknown")))
            continue
        answers[name] = with_point(value) if question.kind == "number" else value
    codes, faults = scorer.read(answers)
    wrong += [_wrong(fault, asked) for fault in faults if fault.rule != EXCLUDED]
    excluded = tuple(_wrong(fault, asked) for fault in faults if fault.rule == EXCLUDED)
    estimate = _estimate(typed)
    if estimate is None and ESTIMATE in typed:
        wrong.insert(0, Wrong((ESTIMATE,), "out_of_range", said("wrong.estimate")))
    return Sent(typed, codes, scorer.unchecked(answers), tuple(wrong), excluded, estimate)


def language_of(body: bytes) -> str:
    """The language a form asks for: the first, which is a switch's where one was pressed."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
    return next((value for name, value in pairs if name == LANGUAGE), "")


def with_point(text: str) -> str:
    """A number as typed, with a decimal point; "1,234" stays: nobody knows what was meant."""
    return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text


def told_of(fault: Fault) -> str:
    """What is allowed and what to do, without the value that was given."""
    return f"{fault.allowed[:1].upper()}{fault.allowed[1:]}. {fault.remedy}".strip()


def fields_of(fault: Fault) -> tuple[str, ...]:
    """The fields a fault is about; a combination is about several."""
    return tuple(name[:LONGEST_NAME] for name in fault.column.split(", "))


def fingerprint(scorer: Scorer, codes: FloatArray) -> str:
    """A short name for a patient's answers: equal answers, equal name (SHA-256, 16 digits).

    Whoever knows nearly all the answers can find the others by trying: it hides nobody.
    """
    known = {
        factor.name: factor.value_of(code)
        for factor, code in zip(scorer.registry.factors, codes.tolist(), strict=True)
        if not math.isnan(code)
    }
    text = json.dumps([scorer.registry.id, known], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_field(name: str, asked: Mapping[str, Question]) -> bool:
    """Whether a form of ours has a field of this name."""
    question = name.removesuffix(NOT_KNOWN.format("")).removeprefix(IF)
    return question in asked or name in (ESTIMATE, PATIENT_ID, MADE, LANGUAGE)


def _twice(pairs: Iterable[tuple[str, str]], said: Words) -> Iterator[Wrong]:
    """Fields that came with several values: which was meant, nobody knows."""
    for name, count in Counter(name for name, _ in dict.fromkeys(pairs)).items():
        if count > 1 and name != LANGUAGE:
            yield Wrong((name[:LONGEST_NAME],), "two_answers", said("wrong.twice"))


def _strangers(
    pairs: Iterable[tuple[str, str]], asked: Mapping[str, Question], said: Words
) -> Iterator[Wrong]:
    """Fields nobody asked for, as a form made by hand may have."""
    for name in dict.fromkeys(name for name, _ in pairs if not _is_field(name, asked)):
        yield Wrong((name[:LONGEST_NAME],), "unknown_name", said("wrong.no_question"))


def _too_long(typed: Mapping[str, str], said: Words) -> Iterator[Wrong]:
    if len(typed.get(PATIENT_ID, "")) > LONGEST_NAME:
        yield Wrong((PATIENT_ID,), "too_long", said("wrong.too_long", most=LONGEST_NAME))


def _wrong(fault: Fault, asked: Mapping[str, Question]) -> Wrong:
    fields = tuple(name for name in fields_of(fault) if name in asked)
    return Wrong(fields, fault.rule, told_of(fault))


def _estimate(typed: Mapping[str, str]) -> int | None:
    """The surgeon's own estimate as patients of 100; None when none was given, or it is none."""
    text = typed.get(ESTIMATE, "").strip()
    if text.isascii() and text.isdigit() and len(text) <= len("100") and int(text) <= 100:
        return int(text)
    return None
