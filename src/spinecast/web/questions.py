"""What a form asks: the registry's questions in sections, a few shown and the rest folded away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spinecast.handbook.telling import rule_in_words
from spinecast.knowledge.factors import Exclusion, Factor, Registry
from spinecast.language import words
from spinecast.logic import YES_NO

# Surgeons have two minutes, and leave forms of more than about fifteen questions.
SHOWN = 15
# More answers than this are a list to open; fewer stand there to be seen at once.
MOST_BESIDE = 5
# A number counts as contrasted by two SDs, which makes it comparable with a yes/no factor: Gelman
# 2008, Stat Med 27:2865, doi 10.1002/sim.3107.
CONTRAST_SDS = 2.0

Kind = Literal["beside", "list", "number"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: what is sent, and how it is said."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the form; `unit` and `allowed` stand beside the box of a number."""

    name: str
    label: str
    question: str
    kind: Kind
    choices: tuple[Choice, ...] = ()
    unit: str = ""
    allowed: str = ""
    definition: str = ""
    example: str = ""
    asked_when: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A domain: the questions that are shown, and those folded away."""

    title: str
    shown: tuple[Question, ...]
    folded: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """All that is asked: who is out of scope, then every factor by domain."""

    scope: tuple[Question, ...]
    sections: tuple[Section, ...]

    @property
    def questions(self) -> Iterator[Question]:
        """Every question, in the order of reading."""
        yield from self.scope
        for section in self.sections:
            yield from section.shown
            yield from section.folded


def form_of(registry: Registry) -> Form:
    """The form a registry asks for; another factor is another question, with no other edit."""
    shown = shown_first(registry)
    return Form(
        scope=tuple(_scope_question(one, registry.language) for one in registry.exclusions),
        sections=tuple(
            Section(
                title,
                tuple(_question(registry, factor) for factor in factors if factor.name in shown),
                tuple(_question(registry, f) for f in factors if f.name not in shown),
            )
            for domain, title in registry.domains.items()
            if (factors := [f for f in registry.factors if f.domain == domain])
        ),
    )


def shown_first(registry: Registry) -> frozenset[str]:
    """The factors a form shows at once: what every cohort records, then what weighs most.

    A factor weighs as much as its largest contrast before any patient was seen (log-odds ratio of
    its prior, two SDs for a number); equal ones by the number of published findings.
    """
    required = [factor.name for factor in registry.factors if factor.required]
    others = [factor for factor in registry.factors if not factor.required]
    others.sort(key=lambda f: (-round(_contrast(f), 2), -len(f.effects)))
    return frozenset([*required, *(factor.name for factor in others)][: max(SHOWN, len(required))])


def _contrast(factor: Factor) -> float:
    """The largest difference in log-odds from the reference that a factor's prior knows of."""
    prior = factor.prior
    if prior is None:
        return 0.0
    if prior.odds_ratio is None:
        ratios = [*prior.levels.values(), *prior.steps.values()]
        return max((abs(math.log(ratio)) for ratio in ratios), default=0.0)
    sd = factor.population.sd or (factor.bounds[1] - factor.bounds[0]) / 4
    return CONTRAST_SDS * sd / prior.per * abs(math.log(prior.odds_ratio))


def _scope_question(exclusion: Exclusion, language: str) -> Question:
    said = words(language)
    choices = tuple(Choice(answer, said(f"answer.{answer}")) for answer in YES_NO)
    return Question(
        exclusion.name, exclusion.question, exclusion.question, "beside", choices,
        definition=exclusion.reason,
    )  # fmt: skip


def _question(registry: Registry, factor: Factor) -> Question:
    asked_when = _asked_when(registry, factor.asked_when) if factor.asked_when else ""
    told = (factor.name, factor.label, factor.question)
    if factor.is_numeric:
        return Question(
            *told, "number", unit=factor.unit, allowed=factor.allowed,
            definition=factor.definition, example=factor.example, asked_when=asked_when,
        )  # fmt: skip
    choices = tuple(
        Choice(level, factor.in_plain_words(code)) for level, code in factor.level_codes.items()
    )
    kind: Kind = "beside" if len(choices) <= MOST_BESIDE else "list"
    return Question(
        *told, kind, choices,
        definition=factor.definition, example=factor.example, asked_when=asked_when,
    )  # fmt: skip


def _asked_when(registry: Registry, rule: str) -> str:
    """A rule over other answers, with the factors and their levels as the form calls them."""
    said = words(registry.language)
    labels = {
        level: factor.in_plain_words(code)
        for factor in registry.factors
        for level, code in factor.level_codes.items()
    }
    labels |= {factor.name: said.inside(factor.label) for factor in registry.factors}
    return rule_in_words(rule, labels, registry.language)
