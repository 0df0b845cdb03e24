"""Words that are the same for every patient: headings, banners, warnings, and how a value is said.

Nothing here knows a risk. Sentences about one patient are made in `waterfall` and `wording`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from spinecast.explaining.assessment import Contribution, Interval, ModelIdentity, TrainedOn
from spinecast.showing.sheet import of_hundred

# Text and page share these.
HEADINGS: Mapping[str, str] = {
    "refused": "Why there is no answer",
    "rely": "Can I rely on this?",
    "bars": "From the reference patient to this one, in points (patients of 100)",
    "whys": "The main reasons",
    "asks": "Not known, most worth asking first",
    "actions": "What can be done beforehand",
    "sources": "Sources",
    "summary": "Patients",
}
SUMMARY = ("Patient", "Risk of 100", "Interval", "Largest reason")

NOT_KNOWN = "not known"
NO_ANSWER = "No risk was calculated for this patient."
ASSOCIATION = (
    "The reference patient has the registry's reference answer to every question. Each line is an "
    "association found among past patients, not a cause: a change in one of them does not change "
    "the risk by so much."
)
PAST = (
    "This is what happened to patients like this one, not what will happen to this one. It does "
    "not say what to do."
)
NO_CAUTION = "The checks raised no caution about this patient."
NO_PROMISE = (
    "No reduction of the risk is promised: the model's associations cannot say what such a step "
    "would change in this patient."
)
NOTHING_TO_DO = (
    "Among this patient's known answers the registry lists nothing to act on beforehand."
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

# What would act on a screen instead of standing on it: control characters, lone surrogates, and
# marks that turn the direction of writing.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069\ufffe\uffff]+")


def plain(text: str) -> str:
    """Text on one line, without anything that could steer a terminal."""
    return " ".join(UNPRINTABLE.sub(" ", text).split())


def as_words(name: str) -> str:
    """A factor's name as words, where no label is at hand."""
    return plain(name.replace("_", " "))


def spoken(contribution: Contribution) -> tuple[str, str]:
    """The value with its unit, and the sentence without it.

    A sentence opens with the label and the value in a surgeon's words, which the record's bare
    value lacks ("26" is "26 points"). The sentence is cut there, so nothing of it is lost.
    """
    bare, sentence = _bare(contribution), plain(contribution.sentence)
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


def _bare(contribution: Contribution) -> str:
    """A value as it was given; an unknown one is never anything else."""
    if contribution.value is None:
        return NOT_KNOWN
    if isinstance(contribution.value, str):
        return as_words(contribution.value)
    return f"{contribution.value:.10g}"


def counted(number: int, one: str, many: str) -> str:
    """How many there are, in the right number."""
    return f"{number:,} {one if number == 1 else many}"


def between(interval: Interval) -> str:
    """The ends of an interval as patients of 100."""
    return f"{of_hundred(interval.low)} to {of_hundred(interval.high)}"


def title(patient: str) -> str:
    """What a sheet is called."""
    return f"Estimated risk: {patient}" if patient else "Estimated risk"


def told_of(model: ModelIdentity) -> str:
    """Which model answered, what for, and what it rests on."""
    rests_on = {
        "patients": f"{counted(model.patients, 'patient', 'patients')}, {model.events:,} of them "
        "with the outcome",
        "simulated": f"{counted(model.patients, 'simulated patient', 'simulated patients')}, "
        f"{model.events:,} of them with the outcome",
        "literature": "published studies, no patients",
    }[model.trained_on]
    return plain(
        f"Model {model.id}, from {rests_on}. Outcome: {model.outcome}. Registry {model.registry}, "
        f"spinecast {model.version}: research software, not a medical device."
    )
