"""What a validation comes to, in words: one table of rules, the first that applies leads.

Nothing else decides what is said. A rule speaks of what is sure (an interval that leaves out "as it
should be") and large enough to matter; where neither good nor bad is sure, there are too few
patients, and that is said instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Code = Literal["own patients", "too few", "order", "level", "spread", "not settled", "fits"]

FEWEST = 10
"""Patients with, and without, the outcome below whom nothing is said; as `evaluation.CAUTIONS`."""
SETTLED = 100
"""Below so many of either kind no fit is called settled: Collins 2016, doi:10.1002/sim.6787."""
LEVEL_MATTERS = 1.1
"""Ratio of O:E from which on risks are too low; its inverse, too high. A convention."""
SPREAD_MATTERS = 0.1
"""Distance of the calibration slope from 1 from which on it matters. A convention."""
LEVEL_FITS = (0.8, 1.25)
"""Where the whole interval of O:E must lie for a fit. A convention."""
SPREAD_FITS = (0.7, 1.43)
"""Where the whole interval of the calibration slope must lie for a fit. A convention."""


@dataclass(frozen=True, slots=True)
class Range:
    """A measure with its interval; NaN for what could not be computed."""

    value: float
    low: float
    high: float

    def leaves_out(self, ideal: float) -> bool:
        """Whether the interval surely lies to one side of a value."""
        return self.low > ideal or self.high < ideal

    def lies_in(self, limits: tuple[float, float]) -> bool:
        """Whether the whole interval lies within limits."""
        return limits[0] <= self.low and self.high <= limits[1]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rules look at.

    Attributes:
        own_patients: whether these are the patients the model learned from.
        events: patients with the outcome.
        others: patients without.
        auroc: there.
        promised: AUROC promised at home, of patients unseen; None where not kept.
        observed_expected: O:E there.
        slope: calibration slope there.
    """

    own_patients: bool
    events: int
    others: int
    auroc: Range
    promised: Range | None
    observed_expected: Range
    slope: Range


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Attributes:
        code: its name.
        applies: when.
        says: the sentence.
        ends: whether no later rule is asked once it applies.
    """

    code: Code
    applies: Callable[[Seen], bool]
    says: Callable[[Seen], str]
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a validation comes to: the rule that leads, and every sentence.

    Attributes:
        code: of the first rule that applied.
        codes: of all that did.
        sentences: one each.
    """

    code: Code
    codes: tuple[Code, ...]
    sentences: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """All of it."""
        return " ".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self) | {"in_words": self.in_words}


def verdict(seen: Seen) -> Verdict:
    """Ask the rules in order."""
    applied: list[Rule] = []
    for rule in RULES:
        # "Fits" and "not settled" are said only where nothing is wrong.
        if applied and rule.code in ("not settled", "fits"):
            break
        if rule.applies(seen):
            applied.append(rule)
            if rule.ends:
                break
    codes = tuple(rule.code for rule in applied)
    return Verdict(codes[0], codes, tuple(rule.says(seen) for rule in applied))


def _worse_order(seen: Seen) -> bool:
    return seen.promised is not None and seen.auroc.high < seen.promised.low


def _wrong_level(seen: Seen) -> bool:
    ratio = seen.observed_expected
    if not ratio.leaves_out(1.0):
        return False
    # No event at all is as wrong as can be; infinite on this scale.
    size = abs(math.log(ratio.value)) if ratio.value > 0 else math.inf
    return size >= math.log(LEVEL_MATTERS)


def _wrong_spread(seen: Seen) -> bool:
    return seen.slope.leaves_out(1.0) and abs(seen.slope.value - 1) >= SPREAD_MATTERS


def _settled(seen: Seen) -> bool:
    return (
        min(seen.events, seen.others) >= SETTLED
        and seen.observed_expected.lies_in(LEVEL_FITS)
        and seen.slope.lies_in(SPREAD_FITS)
    )


def _order(seen: Seen) -> str:
    promised = seen.promised or Range(math.nan, math.nan, math.nan)
    return (
        f"Ranks patients less well here than at home: AUROC {seen.auroc.value:.2f} against "
        f"{promised.value:.2f} promised. Recalibration does not mend that; effects differ here, or "
        "patients are more alike: retrain, or let `spinecast update` revise the effects."
    )


def _level(seen: Seen) -> str:
    ratio = seen.observed_expected.value
    high = ratio < 1
    return (
        f"Needs recalibration: risks are too {'high' if high else 'low'}; for every 100 patients "
        f"foretold to have the outcome, {100 * ratio:.0f} had it. Try `spinecast update`."
    )


def _spread(seen: Seen) -> str:
    slope = seen.slope.value
    return (
        f"Needs recalibration: risks are too {'extreme' if slope < 1 else 'timid'} (calibration "
        f"slope {slope:.2f}; 1 is right). Try `spinecast update`."
    )


def _few(seen: Seen) -> str:
    return (
        f"Too few patients to say: {seen.events} with the outcome, {seen.others} without; "
        f"{FEWEST} of each are the least."
    )


def _not_settled(seen: Seen) -> str:
    return (
        "Too few events to say that it fits: nothing is surely wrong, but the intervals still hold "
        f"much that would be ({seen.events} with the outcome)."
    )


RULES: tuple[Rule, ...] = (
    Rule(
        "own patients",
        lambda seen: seen.own_patients,
        lambda _: "No verdict: these are the patients the model was trained on.",
        ends=True,
    ),
    Rule("too few", lambda seen: min(seen.events, seen.others) < FEWEST, _few, ends=True),
    Rule("order", _worse_order, _order),
    Rule("level", _wrong_level, _level),
    Rule("spread", _wrong_spread, _spread),
    Rule("fits", _settled, lambda _: "Fits here.", ends=True),
    Rule("not settled", lambda _: True, _not_settled),
)
"""From what forbids a verdict, over what is surely wrong, to a fit that is surely right."""
