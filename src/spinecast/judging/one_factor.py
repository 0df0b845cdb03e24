"""One factor beside what is published of it: what no case-mix explains, and its likely cause."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from spinecast.judging.published import Published
from spinecast.knowledge.factors import Factor
from spinecast.logic import FloatArray

# Conventions of method. They are wide on purpose: a flag that is often wrong is soon not read.
FEWEST_KNOWN = 30  # known values before a distribution is judged at all
MOSTLY_UNKNOWN = 0.9  # above this a column says nothing, whatever its few values are
EXPECTED = 10.0  # patients of whom none is seen: chance gives that once in 22,000 cohorts
COMMON = 0.10  # a level of this published share is met at any hospital
FAR_ODDS = 10.0  # odds of a level against the published ones; hospitals differ two- to threefold
FAR_SHARE = 0.3  # and the difference in share, so that rare levels are left alone
NEAR = 0.1  # how near to the mirror image a share of two levels looks swapped
HEAPED = 0.5  # a continuous value that half of all patients share was filled in, not measured
FAR_SD = 2.0  # published SD between means; the average patient would be among the outer 5%
FAR_RATIO = 5.0  # or this many times the published mean, if also one SD away
CUT_SHARE = 0.2  # published share beyond the outermost value seen: chance of 30 misses, 1 in 800
POWERS = (0.01, 0.1, 10.0, 100.0)
NEAR_POWER = 1.6  # a ratio this near to a power of ten looks like a shifted point


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Something that looks like an error of coding.

    Attributes:
        rule: which one noticed it.
        columns: the factors or follow-up columns it is about.
        site: where alone it is so; "" everywhere.
        seen: what was seen, beside what is published.
        cause: what most likely lies behind it.
        remedy: what to do.
    """

    rule: str
    columns: tuple[str, ...]
    site: str
    seen: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The known values of one factor in some patients, beside what is published."""

    factor: Factor
    told: Published
    known: FloatArray
    patients: int

    def flag(self, rule: str, seen: str, cause: str, remedy: str) -> Suspicion:
        return Suspicion(rule, (self.factor.name,), "", seen, cause, remedy)

    def words(self, code: float) -> str:
        return repr(self.factor.in_plain_words(code))

    def beside(self, told: str) -> str:
        """What the registry says, and whether a study says it; nothing where it says nothing."""
        return f"; {self.factor.rests_on}: {told}" if self.factor.is_described else ""


def suspicion_of(told: Published, codes: FloatArray) -> Suspicion | None:
    """The suspicion that explains most, None where nothing looks like an error of coding.

    Args:
        told: the factor as published.
        codes: of some patients, NaN unknown, (n,).
    """
    seen = _Seen(told.factor, told, codes[~np.isnan(codes)], len(codes))
    return next((one for rule in _RULES for one in rule(seen)), None)


def _unknown(seen: _Seen) -> Iterator[Suspicion]:
    share = 1 - len(seen.known) / seen.patients
    if seen.patients >= FEWEST_KNOWN and share >= MOSTLY_UNKNOWN:
        yield seen.flag(
            "mostly_unknown",
            f"{share:.0%} of {seen.patients:,} patients are unknown",
            "the column was hardly filled in, or its values were mapped to unknown",
            "Compare with the original file; if it is truly not recorded, leave the column out.",
        )


def _constant(seen: _Seen) -> Iterator[Suspicion]:
    known = seen.known
    if len(known) < FEWEST_KNOWN or known.min() != known.max():
        return
    others = 1 - seen.told.share(known[0])
    if others * len(known) >= EXPECTED:
        yield seen.flag(
            "constant",
            f"all {len(known):,} known are {seen.words(known[0])}"
            f"{seen.beside(f'{others:.0%} are not')}",
            "a default was filled in, one code stands for all answers, or blanks became answers",
            "Look at the codes in the original file; what was not asked is unknown.",
        )


def _shares(seen: _Seen) -> Iterator[Suspicion]:
    if seen.factor.is_numeric or not seen.factor.is_described or len(seen.known) < FEWEST_KNOWN:
        return
    size = len(seen.factor.levels)
    counts = np.bincount(seen.known.astype(np.int64), minlength=size)
    observed, expected = counts / counts.sum(), seen.told.shares[:size]
    level = int(np.abs(observed - expected).argmax())
    here, there = float(observed[level]), float(expected[level])
    if abs(here - there) < FAR_SHARE or odds_ratio(here, there, counts.sum()) < FAR_ODDS:
        return
    if size == 2 and abs(here - (1 - there)) < NEAR:
        cause = "the two codes look swapped"
    else:
        cause = "another answer was mapped to this level, or only such patients are in the file"
    yield seen.flag(
        "share_far",
        f"{here:.0%} are {seen.words(float(level))}{seen.beside(f'{there:.0%}')}",
        cause,
        "Check which code means which in the original file.",
    )


def _unused(seen: _Seen) -> Iterator[Suspicion]:
    # Where a point stands for several numbers, nobody need have just that one.
    whole = seen.factor.kind != "continuous" and not seen.told.is_binned
    if not (whole and seen.factor.is_described) or len(seen.known) < FEWEST_KNOWN:
        return
    for code, share in zip(seen.told.points, seen.told.shares, strict=True):
        if share >= COMMON and share * len(seen.known) >= EXPECTED and code not in seen.known:
            yield seen.flag(
                "level_unused",
                f"nobody of {len(seen.known):,} is {seen.words(float(code))}"
                f"{seen.beside(f'{share:.0%} are')}",
                "its code was not mapped, stands under another level, or was left blank",
                "Look for it among the codes of the original file and among the unknown.",
            )


def _heaped(seen: _Seen) -> Iterator[Suspicion]:
    if seen.factor.kind != "continuous" or len(seen.known) < FEWEST_KNOWN:
        return
    values, counts = np.unique(seen.known, return_counts=True)
    most = int(counts.argmax())
    share, value = counts[most] / len(seen.known), float(values[most])
    if share >= HEAPED and seen.told.share(value) < COMMON:
        # Some scores truly pile up at an end of their scale, which mean and SD do not tell.
        end = "a true end of the scale, or " if value in seen.factor.bounds else ""
        yield seen.flag(
            "heaped",
            f"{share:.0%} have exactly {seen.factor.with_unit(value)}",
            f"{end}a default or a code for unknown entered where nothing was measured",
            "Leave it empty where it was not measured.",
        )


def _scale(seen: _Seen) -> Iterator[Suspicion]:
    if not seen.factor.is_numeric or len(seen.known) < FEWEST_KNOWN:
        return
    mean, expected, sd = float(seen.known.mean()), seen.told.mean, seen.told.sd
    away = abs(mean - expected) / sd if sd else 0.0
    ratio = mean / expected if mean > 0 and expected > 0 and seen.factor.bounds[0] >= 0 else 1.0
    if away < FAR_SD and not (away >= 1 and max(ratio, 1 / ratio) >= FAR_RATIO):
        return
    power = next((p for p in POWERS if 1 / NEAR_POWER <= ratio / p <= NEAR_POWER), None)
    if power is None:
        cause = "another unit or another scale, or patients unlike any published"
    else:
        cause = f"about {power:g} times the published values: another unit, scale or decimal point"
    unit = seen.factor.with_unit
    yield seen.flag(
        "scale",
        f"mean {unit(mean, 3)}{seen.beside(f'{unit(expected, 3)} (SD {sd:.2g})')}",
        cause,
        "Check unit and scale in the original file; values are never rescaled here.",
    )


def _cut(seen: _Seen) -> Iterator[Suspicion]:
    if seen.factor.kind != "continuous" or len(seen.known) < FEWEST_KNOWN:
        return
    low, high = float(seen.known.min()), float(seen.known.max())
    for share, word, edge in (
        (seen.told.above(high), "above", high),
        (seen.told.below(low), "below", low),
    ):
        if share >= CUT_SHARE:
            yield seen.flag(
                "cut",
                f"nobody of {len(seen.known):,} is {word} {seen.factor.with_unit(edge)}"
                f"{seen.beside(f'{share:.0%} are')}",
                "a shorter scale (as raw points instead of per cent), or an inclusion criterion",
                "Check the scale; an inclusion criterion belongs into the study's description.",
            )


_RULES: tuple[Callable[[_Seen], Iterator[Suspicion]], ...] = (
    _unknown,
    _constant,
    _heaped,
    _scale,
    _cut,
    _unused,
    _shares,
)


def odds_ratio(here: float, there: float, patients: int) -> float:
    """How far two shares are apart in odds, 1 or more; chance is given the benefit of the doubt."""
    spare = 1 / max(patients, 1)
    odds = [min(max(share, spare), 1 - spare) for share in (here, there)]
    apart = abs(math.log(odds[0] / (1 - odds[0])) - math.log(odds[1] / (1 - odds[1])))
    return math.exp(apart)
