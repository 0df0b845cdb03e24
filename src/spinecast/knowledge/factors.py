"""The registry as records: every factor, its evidence and what derives from it.

A registry is a folder of TOML files (see `src/spinecast/registry/`); `loading` reads it into these
records and refuses contradictions, so nothing downstream validates again. Every value a factor can
take has a *code*: the index of its level for factors with levels, the number itself for numbers,
NaN for unknown. Everything downstream works on codes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from spinecast.knowledge.declared import Declared, Interval, Mark, Names, Numbers, Positive
from spinecast.knowledge.endpoint import OutcomeSpec
from spinecast.knowledge.evidence import (
    BaseRate,
    Effect,
    Evidence,
    FoundingDocument,
    Mechanism,
    Modifiable,
    Source,
    Statement,
)
from spinecast.knowledge.simulation import Simulation
from spinecast.language import BASE, words
from spinecast.logic import YES_NO

UNKNOWN = math.nan

Kind = Literal["binary", "ordinal", "nominal", "count", "continuous"]
Direction = Literal["increasing", "decreasing", "none"]
KnownAt = Literal["referral", "assessment", "planning", "operation", "follow-up"]
BEFORE_SURGERY: tuple[KnownAt, ...] = ("referral", "assessment", "planning")


class Prior(Declared):
    """What the model believes of a factor before it has seen a patient, as conditional odds ratios.

    `levels`: odds ratio of each level against the reference level (levelled factors).
    `steps`: odds ratio of "at least k" against none (counts), e.g. {1: 1.6, 2: 2.1}.
    `odds_ratio` per `per` units, counted only above `knee` when there is one (numbers).
    `plausible`: the interval a sceptical reader would accept for the largest contrast; with the
    between-study heterogeneity it sets the width of the prior.
    """

    levels: dict[str, float] = Field(default={})
    steps: dict[str, float] = Field(default={})
    odds_ratio: float | None = None
    per: Positive = 1.0
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
    sd: Positive | None = None
    given: dict[str, Marginal] = Field(default={})
    sources: Names = ()
    mark: Mark = "assumption"


def _yes_no(given: dict[str, Any]) -> Names:
    return ("no", "yes") if given.get("kind") == "binary" else ()


def _first_level(given: dict[str, Any]) -> str:
    return next(iter(given.get("levels", ())), "")


def _alike(given: dict[str, Any]) -> Marginal:
    levels = given.get("levels", ())
    return Marginal(shares=(1 / len(levels),) * len(levels)) if levels else Marginal()


class Factor(Declared):
    """One factor known beforehand: what is asked, what may be answered, what is known about it.

    `mechanisms` is never declared here: a factor leads to the mechanisms that name it as a driver.
    `example` is a worked answer for whoever fills in a form; `asked_when` a rule over the other
    factors: where it surely does not hold, a form need not ask. It forbids no answer.
    What may be left out: `question` (the label, asked), `levels` of a binary factor (no, yes),
    `reference` of a factor with levels (the first), `direction` (none), and `population` of a
    factor with levels (each as often; nothing is then compared with it). A number needs its
    reference, and the mean and sd that place the bends of its line. `known_at` is always said,
    because nothing later may enter a prediction.
    `unit_one` is the unit of exactly one, where it is not the unit without its s; `language` the
    one its strings are in.
    """

    TEXTS: ClassVar[tuple[str, ...]] = (
        "label", "question", "definition", "example", "reason", "level_labels", "unit", "unit_one",
    )  # fmt: skip

    name: str
    domain: str
    label: str
    question: str = Field(default_factory=lambda given: f"{given.get('label', '')}?")
    kind: Kind
    levels: Names = Field(default_factory=_yes_no)
    level_labels: dict[str, str] = Field(default={})
    range: Interval | None = None
    unit: str = ""
    unit_one: str = ""
    precision: Positive = 1.0
    reference: str | float = Field(default_factory=_first_level)
    direction: Direction = "none"
    known_at: KnownAt
    definition: str = ""
    example: str = ""
    asked_when: str = ""
    required: bool = False
    in_words: str = ""
    reason: str = ""
    conflict: str = ""
    population: Marginal = Field(default_factory=_alike)
    prior: Prior | None = None
    effects: tuple[Effect, ...] = Field(default=(), strict=False)
    modifiable: Modifiable = Modifiable(extent="no")
    mechanisms: Names = ()
    codes: dict[str, str] = Field(default={})
    documents: tuple[Statement, ...] = Field(default=(), strict=False)
    language: str = BASE

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
    def is_described(self) -> bool:
        """Whether the registry says how often each value occurs; else a cohort is not compared."""
        return "population" in self.model_fields_set

    @property
    def rests_on(self) -> Literal["published", "assumed"]:
        """Where the distribution is from: a study that is named, or the registry's author."""
        parts = (self.population, *self.population.given.values())
        return "published" if any(part.sources for part in parts) else "assumed"

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
            return words(self.language)("answer.not_known")
        if isinstance(value, str):
            return self.level_labels.get(value) or self._unlabelled(value)
        return self.with_unit(value)

    def _unlabelled(self, level: str) -> str:
        """A level nobody gave a label: yes and no in this language, else its name as words."""
        if self.kind == "binary" and level in YES_NO:
            return words(self.language)(f"answer.{level}")
        return level.replace("_", " ")

    def with_unit(self, number: float, digits: int = 6) -> str:
        """A number of this factor's unit: "54 years", "30%", "1 operation"."""
        text = f"{number:.{digits}g}"
        said = words(self.language)
        if self.unit == "%":
            return said.percent(text)
        one = self.unit_one or self.unit.removesuffix("s")
        return f"{said.number(text)} {one if text == '1' else self.unit}".rstrip()

    @property
    def allowed(self) -> str:
        """What may be answered, in words."""
        said = words(self.language)
        if not self.is_numeric:
            return said("allowed.levels", levels=", ".join(self.levels))
        kind = "allowed.whole" if self.kind == "count" else "allowed.number"
        low, high = said.number(f"{self.bounds[0]:g}"), self.with_unit(self.bounds[1])
        return said(kind, low=low, high=high)


class Correlation(Declared):
    """How two factors go together among candidates, as a correlation of normal scores."""

    pair: Annotated[tuple[str, str], Field(strict=False)]
    value: Annotated[float, Field(gt=-1, lt=1)]
    rests_on: str = ""
    sources: Names = ()
    mark: Mark


class Exclusion(Declared):
    """A yes/no question whose "yes" puts a patient out of scope."""

    TEXTS: ClassVar[tuple[str, ...]] = ("question", "reason")

    name: str
    question: str
    reason: str


class Impossible(Declared):
    """A combination of answers that cannot be true, as a rule over the factors."""

    TEXTS: ClassVar[tuple[str, ...]] = ("says", "remedy")

    name: str
    rule: str
    says: str
    remedy: str


class Laid(Declared):
    """What a folder laid over another registry added, changed and left out; and what went with it.

    `left_out` are names of factors; the others say what each is ("factor age", "definition x").
    """

    over: str
    added: Names = ()
    changed: Names = ()
    left_out: Names = ()
    dropped: Names = ()


class Registry(Declared):
    """Everything that is known before the first patient: factors, evidence, outcome, population.

    What may be left out: `condition_short` (the condition), `operation` (what is predicted before,
    in words that follow "before" and "day of"), `base_rate` (the cohort's own is then compared
    with none), `evidence` and `domains` (one per file of factors, titled as it is named).
    `subgroups` names the factors by which performance is reported group by group;
    `condition_plain` and `operation_plain` say to a patient what some people had, and after what.
    `laid` tells of a registry that was laid over another, and `files` holds its text then: it has
    no folder that could be copied whole. `language` is the one its strings are in.
    """

    TEXTS: ClassVar[tuple[str, ...]] = (
        "title", "condition", "condition_short", "condition_plain", "horizon", "operation",
        "operation_plain", "domains",
    )  # fmt: skip

    name: str
    version: str
    title: str
    condition: str
    condition_short: str = Field(default_factory=lambda given: str(given.get("condition", "")))
    condition_plain: str = ""
    horizon: str
    operation: str = "the prediction"
    operation_plain: str = ""
    base_rate: BaseRate | None = None
    evidence: Evidence = Evidence()
    domains: dict[str, str]
    subgroups: Names = ()
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
    laid: Laid | None = None
    language: str = BASE
    folder: Path
    files: dict[str, str] = Field(default={}, repr=False)
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
    def levels(self) -> Mapping[str, Mapping[str, float]]:
        """The names a rule about a patient may use, with the codes of their levels."""
        return MappingProxyType({factor.name: factor.level_codes for factor in self.factors})

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
        """Name, version and content in one word, as bundles and runs record it.

        One that was laid over another shows both.
        """
        over = f"-over-{self.laid.over.partition('+')[0]}" if self.laid else ""
        return f"{self.name}-{self.version}{over}+{self.sha256[:12]}"
