"""What the literature says: papers, the numbers they printed, what happens after surgery, and why.

Every number carries its mark: found in the cited paper, derived from such numbers, recalled, or an
assumption. A recalled number is never shown as fact.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from spinecast.knowledge.declared import (
    Declared,
    Interval,
    Mark,
    Names,
    NotNegative,
    Numbers,
    Positive,
    Share,
)


class Source(Declared):
    """One paper, as it is cited everywhere."""

    name: str
    cite: str
    doi: str = ""
    pmid: int | None = None
    pmcid: str = ""
    url: str = ""
    identifier: str = ""
    patients: int | None = None
    population: str = ""
    outcome: str = ""
    note: str = ""

    @property
    def link(self) -> str:
        """Where to read it; empty when no identifier was found."""
        if self.doi:
            return f"https://doi.org/{self.doi}"
        if self.pmid:
            return f"https://pubmed.ncbi.nlm.nih.gov/{self.pmid}/"
        if self.pmcid:
            return f"https://pmc.ncbi.nlm.nih.gov/articles/{self.pmcid}/"
        return self.url


class Effect(Declared):
    """One published number about a factor, as its study printed it.

    `value` is one number, or several in the order the `contrast` names them; None when the study
    states a direction only (then `finding` says it).
    """

    contrast: str
    measure: str
    value: float | Numbers | None = None
    interval: Interval | None = None
    outcome: str = ""
    population: str = ""
    finding: str = ""
    source: str | None = None
    mark: Mark
    note: str = ""


class Modifiable(Declared):
    """What can be done about a factor before surgery, and the study behind it.

    `plain` says to the patient what may be talked about.
    """

    TEXTS: ClassVar[tuple[str, ...]] = ("action", "plain", "evidence")

    extent: Literal["yes", "partly", "no"]
    action: str = ""
    plain: str = ""
    applies_to: Names = ()
    above: float | None = None
    evidence: str = ""
    sources: Names = ()
    mark: Mark = "found"

    @property
    def is_possible(self) -> bool:
        """Whether something can be done, and it is said what."""
        return self.extent != "no" and bool(self.action)


class Statement(Declared):
    """What one founding document says of a factor or a mechanism."""

    document: str
    says: str


class Driver(Declared):
    """A published number that ties a pre-operative factor to a mechanism."""

    factor: str
    finding: str
    sources: Names = ()
    mark: Mark


class Mechanism(Declared):
    """Something that happens during or after surgery and leaves the patient in pain."""

    TEXTS: ClassVar[tuple[str, ...]] = ("label", "phrase")

    name: str
    label: str
    phrase: str
    phase: Literal["before", "during", "after"]
    timing: str = ""
    within_horizon: bool = True
    incidence: str = ""
    drivers: tuple[Driver, ...] = Field(default=(), strict=False)
    sources: Names = ()
    caution: str = ""
    documents: tuple[Statement, ...] = Field(default=(), strict=False)


class Cause(Declared):
    """A cause of failure a founding document names, and where it lives in this registry."""

    cause: str
    when: Literal["before", "during", "after"]
    factors: Names = ()
    mechanisms: Names = ()
    note: str = ""


class FoundingDocument(Declared):
    """One of the five texts the project was founded on, and every cause it names."""

    name: str
    title: str
    note: str = ""
    causes: tuple[Cause, ...] = Field(strict=False)


class Evidence(Declared):
    """How wide a prior is where the studies do not say, as SD on the log-odds scale.

    The defaults are conventions: effects differ by 0.2 from hospital to hospital; one published
    without an interval is as unsure again by 0.15; one without any study starts at none, with
    odds ratios from about 0.4 to 2.7 left open.
    """

    heterogeneity: NotNegative = 0.2
    standard_error: Positive = 0.15
    no_evidence_sd: Positive = 0.5
    note: str = ""


class BaseRate(Declared):
    """How often the outcome occurs, before any patient was seen."""

    value: Annotated[float, Field(gt=0, lt=1)]
    interval: Annotated[tuple[Share, Share], Field(strict=False)]
    sources: Names = ()
    mark: Mark
    note: str = ""
