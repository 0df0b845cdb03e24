"""What if: other patients, alike but for something that can be changed before surgery.

Only factors the registry allows may differ, and only known ones. The two records stand side by side
as two groups of past patients; nothing here is a forecast of what a change would do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spinecast.explaining.scoring import Scorer
from spinecast.knowledge.factors import Registry
from spinecast.logic import FloatArray
from spinecast.patients.answers import Fault
from spinecast.web.answering import IF, LONGEST_NAME, Wrong, fields_of, told_of, with_point
from spinecast.web.questions import Form, Question
from spinecast.web.words import words

UNUSUAL = "unusual"


@dataclass(frozen=True, slots=True)
class Change:
    """One answer that differs: the factor, this patient's value, the other patients' value."""

    label: str
    own: str
    other: str


@dataclass(frozen=True, slots=True)
class Alternative:
    """The other patients: what differs, their codes, and what is wrong with what was asked."""

    changes: tuple[Change, ...]
    codes: FloatArray
    wrong: tuple[Wrong, ...]

    def said_of(self, name: str) -> str:
        """What is wrong with a field; empty when nothing is."""
        return " ".join(wrong.message for wrong in self.wrong if name in wrong.fields)


def changeable(registry: Registry, form: Form, codes: FloatArray) -> tuple[Question, ...]:
    """The questions whose answer may be changed: modifiable by the registry, and known."""
    known = {
        factor.name
        for factor, code in zip(registry.factors, codes.tolist(), strict=True)
        if factor.modifiable.is_possible and not math.isnan(code)
    }
    return tuple(question for question in form.questions if question.name in known)


def alternative(scorer: Scorer, codes: FloatArray, typed: Mapping[str, str]) -> Alternative:
    """Read which answers are to differ.

    Args:
        scorer: the model.
        codes: this patient's row, (F,).
        typed: fields named `if.FACTOR`; an empty one leaves the factor as it is.
    """
    registry = scorer.registry
    asked = {
        name.removeprefix(IF): with_point(value.strip())
        for name, value in typed.items()
        if name.startswith(IF) and value.strip()
    }
    own = {f.name: f.value_of(c) for f, c in zip(registry.factors, codes.tolist(), strict=True)}
    wrong = [
        _not_allowed(name, registry.language) for name in asked if not _allowed(registry, own, name)
    ]
    kept = {name: value for name, value in asked.items() if _allowed(registry, own, name)}
    other, faults = scorer.read({**own, **kept})
    wrong += [Wrong(_prefixed(fault), fault.rule, told_of(fault)) for fault in faults]
    if wrong:
        return Alternative((), codes, tuple(wrong))
    changes = tuple(
        Change(factor.label, factor.in_plain_words(before), factor.in_plain_words(after))
        for factor, before, after in zip(registry.factors, codes, other, strict=True)
        if factor.name in kept and before != after
    )
    return Alternative(changes, other, ())


def _allowed(registry: Registry, own: Mapping[str, object], name: str) -> bool:
    factor = registry.by_name.get(name)
    return factor is not None and factor.modifiable.is_possible and own[name] is not None


def _not_allowed(name: str, language: str) -> Wrong:
    return Wrong(
        (IF + name[:LONGEST_NAME],), "not_changeable", words(language)("wrong.not_changeable")
    )


def _prefixed(fault: Fault) -> tuple[str, ...]:
    return tuple(IF + name for name in fields_of(fault))
