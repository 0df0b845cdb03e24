"""How a model travels, in lines of text: for the terminal, and for `validation.txt`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from spinecast.judging.drift import CHANCE, DIFFERS, FactorDrift
from spinecast.judging.transport import Transport
from spinecast.judging.verdict import Range

SHOWN = 12
"""Factors that are spelled out; validation.json has all."""


def lines(told: Transport) -> Iterator[str]:
    """Verdict, what was promised and found, patients there and at home."""
    yield "What it comes to"
    yield from (f"  {sentence}" for sentence in told.verdict.sentences)
    if told.promises:
        yield ""
        yield from _promised(told)
    yield ""
    yield from _patients(told)


def _promised(told: Transport) -> Iterator[str]:
    rows = [("", "promised at home", "found here")]
    rows += [(one.label, _range(one.promised), _range(one.found)) for one in told.promises]
    yield "Beside what was promised when the model was trained"
    yield from _columns(rows)


def _patients(told: Transport) -> Iterator[str]:
    mix, apart = told.case_mix, told.case_mix.membership
    yield "Patients here and at home"
    yield from _columns(
        [
            ("", "at home", "here"),
            ("Linear predictor, mean", _number(mix.home_mean), _number(mix.mean)),
            ("Linear predictor, SD", _number(mix.home_sd), _number(mix.sd)),
        ]
    )
    yield (
        f"  Told apart by their factors: AUROC "
        f"{_range(Range(apart.value, apart.low, apart.high))}; 0.5 is not at all."
    )
    drifted = told.drifted
    yield (
        f"  {len(drifted)} of {len(told.factors)} factors differ (standardised difference from "
        f"{DIFFERS:g}, and chance below {CHANCE:.0%} over all)."
    )
    if drifted:
        yield from _columns(
            [("", "at home", "here", "difference"), *map(_drifted, drifted[:SHOWN])]
        )
        if len(drifted) > SHOWN:
            yield f"  and {len(drifted) - SHOWN} more, in validation.json"
    for one in told.factors:
        if one.unknown_drifted and one.unknown_home is not None:
            here = "hardly any" if one.unknown_here is None else f"{one.unknown_here:.0%}"
            shares = f"{one.unknown_home:.0%} at home, {here} here"
            yield f"  {one.label}: not known of {shares}."


def _drifted(one: FactorDrift) -> tuple[str, str, str, str]:
    return one.label, one.home, one.here, f"{one.difference:.2f}"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()


def _range(found: Range) -> str:
    if math.isnan(found.value):
        return "-"
    if math.isnan(found.low):
        return f"{found.value:.3f}"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
