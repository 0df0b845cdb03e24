"""What a simulated cohort looks like, as a registry declares it; none of it enters a prediction."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spinecast.knowledge.declared import (
    Declared,
    Mark,
    Names,
    NotNegative,
    Numbers,
    Positive,
    Share,
)


class Departure(Declared):
    """Where the simulated truth leaves the additive model: an odds ratio where a rule holds."""

    rule: str
    odds_ratio: Positive
    rationale: str = ""
    sources: Names = ()
    mark: Mark = "assumption"


class FollowUp(Declared):
    """How a follow-up column is simulated for patients who do well and who do not.

    Numbers keep a share of their `baseline` factor, drawn from a normal (mean, sd); yes/no columns
    have a chance. Values are redrawn until the outcome's definition agrees with the drawn outcome.
    """

    column: str
    baseline: str = ""
    success: Numbers
    failure: Numbers


class Simulation(Declared):
    """What a simulated cohort looks like beyond the factors themselves.

    `attenuation` multiplies every prior log-odds ratio before the truth is drawn; `rationale` and
    `sources` say why.
    """

    attenuation: NotNegative = 1.0
    rationale: str = ""
    sources: Names = ()
    departures: tuple[Departure, ...] = Field(default=(), strict=False)
    sites: Annotated[int, Field(ge=1)] = 4
    site_sd: NotNegative = 0.0
    missing: Share = 0.0
    missing_share: dict[str, Share] = Field(default={})
    lost: Share = 0.0
    lost_more: tuple[Departure, ...] = Field(default=(), strict=False)
    followup: tuple[FollowUp, ...] = Field(default=(), strict=False)
    first_index_date: str = "2019-01-01"
    last_index_date: str = "2023-12-31"
