"""The registry as records: every factor, its evidence and what derives from it.

A registry is a folder of TOML files (see `src/spinecast/registry/`); `loading` reads it into these
records and refuses contradictions, so nothing downstream validates again. Every value a factor can take has a *code*: the index of its level
for factors with levels, the number itself for numbers, NaN for unknown. Everything downstream works
on codes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

UNKNOWN = math.nan

Mark = Literal["found", "derived", "recalled", "assumption"]
Kind = Literal["binary", "ordinal", "nominal", "count", "continuous"]
Direction = Literal["increasing", "decreasing", "none"]
KnownAt = Literal["referral", "assessment", "planning", "operation", "follow-up"]
BEFORE_SURGERY: tuple[KnownAt, ...] = ("referral", "assessment", "planning")


def _as_text(value: object) -> object:
    """Level names are text, also where TOML reads `1` as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


LevelName = Annotated[str, BeforeValidator(_as_text)]


class Declared(BaseModel):
    """A frozen table of a TOML file; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


Numbers = Annotated[tuple[float, ...], Field(strict=False)]
Interval = Annotated[tuple[float, float], Field(strict=False)]
Names = Annotated[tuple[LevelName, ...], Field(strict=False)]


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


class Prior(Declared):
    """What the model believes of a factor before it has seen a patient, as conditional odds ratios.

    `levels`: odds ratio of each level against the reference level (levelled factors).
    `steps`: odds ratio of "at least k" against none (counts), e.g. {1: 1.6, 2: 2.1}.
    `odds_ratio` per `per` units, counted only above `knee` when there is one (numbers).
    `plausible`: the interval a sceptical reader would accept for the largest contrast; with the
    between-study heterogeneity it sets the width of the prior.
    """

    levels: dict[str, float] = {}
    steps: dict[str, float] = {}
    odds_ratio: float | None = None
    per: float = 1.0
    knee: float | None = None
    plausible: Interval | None = None
    derived_from: Names = ()
    rationale: str = ""
    mark: Mark = "assumption"


class Marginal(Declared):
    """How often each value occurs among candidates for surgery.

    `shares` in the order of the levels (or of the counts from the lowest); `mean` and `sd` for
    numbers; `given` overrides them for one level of the registry's stratum factor.
    """

    shares: Numbers = ()
    mean: float | None = None
    sd: float | None = None
    given: dict[str, Marginal] = {}
    sources: Names = ()
    mark: Mark = "assumption"


class Modifiable(Declared):
    """What can be done about a factor before surgery, and the study behind it."""

    extent: Literal["yes", "partly", "no"]
    action: str = ""
    applies_to: Names = ()
    above: float | None = None
    evidence: str = ""
    sources: Names = ()
    mark: Mark = "found"


class Statement(Declared):
    """What one founding document says of a factor or a mechanism."""

    document: str
    says: str


class Factor(Declared):
    """One pre-operative factor: what is asked, what may be answered, what is known about it."""

    name: str
    domain: str
    label: str
    question: str
    kind: Kind
    levels: Names = ()
    level_labels: dict[str, str] = {}
    range: Interval | None = None
    unit: str = ""
    precision: float = 1.0
    reference: str | float
    direction: Direction
    known_at: KnownAt
    definition: str
    required: bool = False
    in_words: str = ""
    reason: str = ""
    conflict: str = ""
    population: Marginal
    prior: Prior | None = None
    effects: tuple[Effect, ...] = Field(default=(), strict=False)
    modifiable: Modifiable = Modifiable(extent="no")
    mechanisms: Names = ()
    codes: dict[str, str] = {}
    documents: tuple[Statement, ...] = Field(default=(), strict=False)

    @cached_property
    def is_numeric(self) -> bool:
        """Whether a code is the number itself (else it is the index of a level)."""
        return self.kind in ("count", "continuous")

    @cached_property
    def level_codes(self) -> Mapping[str, float]:
        """Code of each level, in the declared order."""
        return MappingProxyType({level: float(i) for i, level in enumerate(self.levels)})

    @cached_property
    def reference_code(self) -> float:
        """Code of the reference value, the one the reference patient has."""
        if isinstance(self.reference, str):
            return self.level_codes[self.reference]
        return float(self.reference)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest code."""
        return self.range if self.range else (0.0, float(len(self.levels) - 1))

    @property
    def sign(self) -> int:
        """+1 when a higher code means more risk, -1 when less, 0 when nothing is declared."""
        return {"increasing": 1, "decreasing": -1, "none": 0}[self.direction]

    def value_of(self, code: float) -> str | float | None:
        """The value a person would write for a code; None for unknown."""
        if math.isnan(code):
            return None
        if not self.is_numeric:
            return self.levels[int(code)]
        return int(code) if float(code).is_integer() else float(code)

    def in_plain_words(self, code: float) -> str:
        """The value with its unit, as a surgeon would say it; "not known" for unknown."""
        value = self.value_of(code)
        if value is None:
            return "not known"
        if isinstance(value, str):
            return self.level_labels.get(value, value.replace("_", " "))
        number = f"{value:g}"
        if not self.unit:
            return number
        return f"{number}{self.unit}" if self.unit == "%" else f"{number} {self.unit}"

    @property
    def allowed(self) -> str:
        """What may be answered, in words."""
        if not self.is_numeric:
            return "allowed: " + ", ".join(self.levels)
        kind = "a whole number" if self.kind == "count" else "a number"
        unit = f" {self.unit}" if self.unit else ""
        return f"{kind} from {self.bounds[0]:g} to {self.bounds[1]:g}{unit}"


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


class Driver(Declared):
    """A published number that ties a pre-operative factor to a mechanism."""

    factor: str
    finding: str
    sources: Names = ()
    mark: Mark


class Mechanism(Declared):
    """Something that happens during or after surgery and leaves the patient in pain."""

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


class Correlation(Declared):
    """How two factors go together among candidates, as a correlation of normal scores."""

    pair: Annotated[tuple[str, str], Field(strict=False)]
    value: float
    rests_on: str = ""
    sources: Names = ()
    mark: Mark


class Evidence(Declared):
    """How wide a prior is where the studies do not say."""

    heterogeneity: float
    standard_error: float
    no_evidence_sd: float
    note: str = ""


class BaseRate(Declared):
    """How often the outcome occurs, before any patient was seen."""

    value: float
    interval: Interval
    sources: Names = ()
    mark: Mark
    note: str = ""


class Exclusion(Declared):
    """A yes/no question whose "yes" puts a patient out of scope."""

    name: str
    question: str
    reason: str


class Impossible(Declared):
    """A combination of answers that cannot be true, as a rule over the factors."""

    name: str
    rule: str
    says: str
    remedy: str


class OutcomeColumn(Declared):
    """A column of follow-up data that an outcome definition reads."""

    name: str
    label: str
    kind: Literal["number", "yes_no", "date"]
    range: Interval | None = None
    unit: str = ""


class Definition(Declared):
    """A named, executable definition of failure: a rule over follow-up columns and factors."""

    title: str
    failure: str
    rationale: str = ""
    published: str = ""
    sources: Names = ()
    mark: Mark = "found"


class OutcomeSpec(Declared):
    """What counts as failure, when it is judged, and which columns it is read from."""

    default: str
    horizon: str
    window_months: Interval | None = None
    columns: tuple[OutcomeColumn, ...] = Field(strict=False)
    quantities: dict[str, str] = {}
    definitions: dict[str, Definition]


class Departure(Declared):
    """Where the simulated truth leaves the additive model: an odds ratio where a rule holds."""

    rule: str
    odds_ratio: float
    rationale: str = ""
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
    """What a simulated cohort looks like beyond the factors themselves."""

    attenuation: float = 1.0
    departures: tuple[Departure, ...] = Field(default=(), strict=False)
    sites: int = 4
    site_sd: float = 0.0
    missing: float = 0.0
    missing_share: dict[str, float] = {}
    lost: float = 0.0
    lost_more: tuple[Departure, ...] = Field(default=(), strict=False)
    followup: tuple[FollowUp, ...] = Field(default=(), strict=False)
    first_index_date: str = "2019-01-01"
    last_index_date: str = "2023-12-31"


class Registry(Declared):
    """Everything that is known before the first patient: factors, evidence, outcome, population."""

    name: str
    version: str
    title: str
    condition: str
    condition_short: str
    horizon: str
    operation: str = "surgery"
    base_rate: BaseRate
    evidence: Evidence
    domains: dict[str, str]
    factors: tuple[Factor, ...]
    exclusions: tuple[Exclusion, ...] = Field(default=(), strict=False)
    impossible: tuple[Impossible, ...] = Field(default=(), strict=False)
    outcome: OutcomeSpec
    mechanisms: tuple[Mechanism, ...] = Field(default=(), strict=False)
    sources: tuple[Source, ...] = Field(default=(), strict=False)
    documents: tuple[FoundingDocument, ...] = Field(default=(), strict=False)
    stratum: str | None = None
    correlations: tuple[Correlation, ...] = Field(default=(), strict=False)
    simulation: Simulation = Simulation()
    folder: Path
    sha256: str

    @cached_property
    def by_name(self) -> Mapping[str, Factor]:
        """The factors by name."""
        return MappingProxyType({factor.name: factor for factor in self.factors})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The factors' names, in the registry's order: the order of every row of codes."""
        return tuple(factor.name for factor in self.factors)

    @cached_property
    def source_named(self) -> Mapping[str, Source]:
        """The papers by their short name."""
        return MappingProxyType({source.name: source for source in self.sources})

    @cached_property
    def mechanism_named(self) -> Mapping[str, Mechanism]:
        """The mechanisms by name."""
        return MappingProxyType({mechanism.name: mechanism for mechanism in self.mechanisms})

    @property
    def id(self) -> str:
        """Name, version and content in one word, as bundles and runs record it."""
        return f"{self.name}-{self.version}+{self.sha256[:12]}"
