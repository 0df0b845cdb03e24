"""What is said alike of every patient: banners, titles, the model, and how a value is said.

The words stand in `spinecast/text`, by language. Nothing here knows a risk.
Sentences about one patient are made in `waterfall` and `wording`.
"""

from __future__ import annotations

import re

from spinecast.explaining.assessment import Contribution, Interval, ModelIdentity, TrainedOn
from spinecast.language import BASE, Words, words
from spinecast.showing.sheet import of_hundred

# What would act on a screen instead of standing on it: control characters, lone surrogates, and
# marks that turn the direction of writing.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069\ufffe\uffff]+")


def plain(text: str) -> str:
    """Text on one line, without anything that could steer a terminal."""
    return " ".join(UNPRINTABLE.sub(" ", text).split())


def as_words(name: str) -> str:
    """A factor's name as words, where no label is at hand."""
    return plain(name.replace("_", " "))


def banner(trained_on: TrainedOn, language: str = BASE) -> str:
    """What must stand on everything such a model says; empty for one of real patients."""
    return words(language)(f"banner.{trained_on}")


def spoken(contribution: Contribution, said: Words) -> tuple[str, str]:
    """The value with its unit, and the sentence without it.

    A sentence opens with the label and the value in a surgeon's words, which the record's bare
    value lacks ("26" is "26 points"). The sentence is cut there, so nothing of it is lost.
    """
    bare, sentence = _bare(contribution, said), plain(contribution.sentence)
    head, found, rest = sentence.partition(". ")
    label = f"{plain(contribution.label)}: "
    if not found or not head.startswith(label):
        return bare, sentence
    value = head.removeprefix(label)
    if contribution.value is None:
        return bare, rest if value == bare else sentence
    is_number = not isinstance(contribution.value, str)
    if not value or (is_number and re.match(re.escape(bare) + r"(?![\d.,])", value) is None):
        return bare, sentence
    return value, rest


def _bare(contribution: Contribution, said: Words) -> str:
    """A value as it was given; an unknown one is never anything else."""
    if contribution.value is None:
        return said("answer.not_known")
    if isinstance(contribution.value, str):
        return as_words(contribution.value)
    return said.number(f"{contribution.value:.10g}")


def between(interval: Interval, said: Words) -> str:
    """The ends of an interval as patients of 100."""
    ends = (of_hundred(interval.low, said.language), of_hundred(interval.high, said.language))
    return said("sheet.to", low=ends[0], high=ends[1])


def title(patient: str, said: Words) -> str:
    """What a sheet is called."""
    return said("sheet.title_of", patient=patient) if patient else said("sheet.title")


def told_of(model: ModelIdentity, said: Words) -> str:
    """Which model answered, what for, and what it rests on."""
    if model.trained_on == "literature":
        rests_on = said("sheet.from_literature")
    else:
        who = "simulated" if model.trained_on == "simulated" else "patients"
        many = who if who == "simulated" else "patient" if model.patients == 1 else "patients"
        number = "one" if model.patients == 1 else "many"
        patients = said(f"sheet.{number}_{many}", count=said.count(model.patients))
        rests_on = said("sheet.from_patients", patients=patients, events=said.count(model.events))
    return plain(
        said(
            "sheet.model", id=model.id, rests_on=rests_on, outcome=model.outcome,
            registry=model.registry, version=model.version,
        )
    )  # fmt: skip
