"""How what the registry holds is said: answers, directions, published numbers, citations.

The listing, the entry and the data dictionary take their words from here, so that they agree.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from spinecast.knowledge.evidence import Effect
from spinecast.knowledge.factors import Factor, Prior, Registry
from spinecast.language import BASE, Words, words

NARROWEST = 40
ABBREVIATIONS = "OR odds ratio, RR risk ratio, HR hazard ratio, SMD standardised mean difference"
MARKS = (
    "[found] read in the study, [derived] arithmetic on such numbers, [recalled] from memory and "
    "not verified, [assumption] a choice open to correction"
)
RATIOS = frozenset({"OR", "RR", "HR"})
NONE_PUBLISHED = "none published"

_SIGNS: Mapping[type[ast.AST], str] = {
    ast.Add: "rule.plus",
    ast.Sub: "rule.minus",
    ast.Mult: "rule.times",
    ast.Div: "rule.divided",
    ast.Lt: "rule.below",
    ast.LtE: "rule.at_most",
    ast.Gt: "rule.above",
    ast.GtE: "rule.at_least",
    ast.Eq: "rule.is",
    ast.NotEq: "rule.is_not",
    ast.In: "rule.one_of",
    ast.NotIn: "rule.none_of",
    ast.And: "rule.and",
    ast.Or: "rule.or",
}


class Citations:
    """Numbers the sources in the order in which they are first named."""

    def __init__(self, registry: Registry) -> None:
        self._sources = registry.source_named
        self._numbers: dict[str, int] = {}

    def mark(self, names: Iterable[str]) -> str:
        """Sources as they stand behind a statement, as in " [1, 4]"; empty where there is none."""
        numbers = [self._numbers.setdefault(name, len(self._numbers) + 1) for name in names]
        return f" [{', '.join(map(str, dict.fromkeys(numbers)))}]" if numbers else ""

    def listed(self) -> Iterator[str]:
        """Every source named so far: how it is cited, and where to read it."""
        for name, number in self._numbers.items():
            source = self._sources[name]
            where = source.link or "(no address found)"
            yield f"[{number}] {source.cite.rstrip('.')}. {where}"


def lines(
    words: str, width: int, first: str = "", again: str | None = None, *, keep: bool = False
) -> list[str]:
    """Words wrapped to a width; `again` opens every line but the first, `keep` keeps spaces."""
    return textwrap.wrap(
        words if keep else " ".join(words.split()),
        max(width, NARROWEST),
        initial_indent=first,
        subsequent_indent=first if again is None else again,
        break_on_hyphens=False,
    )


def laid_over(registry: Registry) -> Iterator[str]:
    """What a registry laid over another added, changed and left out; nothing for any other."""
    laid = registry.laid
    if laid is None:
        return
    yield f"Registry {registry.name} {registry.version}, laid over {laid.over}."
    told = {
        "Added": laid.added,
        "Changed": laid.changed,
        "Factors left out": laid.left_out,
        "Dropped with them": laid.dropped,
    }
    yield from (f"{what}: {', '.join(names)}." for what, names in told.items() if names)


def underlined(words: str, width: int) -> Iterator[str]:
    """A heading with a line under it."""
    said = lines(words, width)
    yield from said
    yield "-" * max(map(len, said), default=0)


def sentence(words: str) -> str:
    """Words with a capital and a full stop."""
    words = words.strip()
    if not words:
        return ""
    return capital(words) + ("" if words.endswith((".", "?", "!")) else ".")


def capital(words: str) -> str:
    """Words with a capital at the start."""
    return words[:1].upper() + words[1:]


def as_words(name: str) -> str:
    """A name of the registry as words."""
    return name.replace("_", " ")


def answers(factor: Factor, *, reference: bool = True) -> str:
    """What may be answered, and which answer the reference patient has."""
    if not factor.is_numeric:
        return ", ".join(
            f"{level} (reference)" if reference and level == factor.reference else level
            for level in factor.levels
        )
    low, high = factor.bounds
    whole = "whole number, " if factor.kind == "count" else ""
    which = f" (reference {factor.reference_code:g})" if reference else ""
    return f"{whole}{low:g} to {factor.with_unit(high)}{which}"


def direction(factor: Factor) -> str:
    """What a higher answer is held to mean for the risk, whatever a cohort may seem to say."""
    if not factor.sign:
        return "none declared; the cohort may show either"
    risk = "lower" if factor.sign < 0 else "higher"
    never = "raises" if factor.sign < 0 else "lowers"
    if factor.is_numeric:
        return f"{risk} risk with a higher number; the model never {never} the risk with it"
    if factor.kind == "binary":
        return f"{risk} risk with yes; the model never {never} the risk for it"
    if factor.kind == "nominal":
        return f"{risk} risk with any other answer than {factor.in_plain_words(0.0)}, never less"
    return f"{risk} risk further down the answers; the model never {never} the risk with them"


def measured(effect: Effect, *, short: bool = False) -> str:
    """What a study measured, the number and its interval; empty where it printed words only.

    Args:
        effect: the finding.
        short: the interval without saying what it is, for where that is said once for all.
    """
    if effect.value is None and effect.interval is None:
        return ""
    # "OR 1.8" is how it is said; elsewhere a colon keeps measure and number apart.
    colon = ":" if RATIOS.isdisjoint(effect.measure.split()) else ""
    return f"{effect.measure}{colon} {_number(effect, short=short)}"


def _number(effect: Effect, *, short: bool) -> str:
    between = _between(effect.interval) if effect.interval else ""
    if effect.value is None:
        return between
    values = effect.value if isinstance(effect.value, tuple) else (effect.value,)
    number = ", ".join(f"{value:g}" for value in values)
    level = "" if short else "95% interval "
    return f"{number} ({level}{between})" if between else number


def starts_from(registry: Registry, factor: Factor, cited: Citations) -> Iterator[str]:
    """What the model believes of a factor before it has seen a patient, and what that rests on."""
    prior = factor.prior
    if prior is None:
        sd = registry.evidence.no_evidence_sd
        yield f"No effect; log-odds ratio 0 with a standard deviation of {sd:g}. [assumption]"
        return
    derived = cited.mark(prior.derived_from)
    yield (
        f"{_odds_ratios(factor, prior)}. [{prior.mark}]"
        + (f" Derived from{derived}." if derived else "")
    )
    if prior.plausible:
        yield f"A sceptical reader would accept {_between(prior.plausible)} for the largest."
    yield prior.rationale


def _odds_ratios(factor: Factor, prior: Prior) -> str:
    """The odds ratios with the other factors held equal; that of the reference is 1."""
    said = "Odds ratio with the other factors held equal: "
    if prior.odds_ratio is not None:
        per = factor.with_unit(prior.per)
        knee = f", counted only above {prior.knee:g}" if prior.knee is not None else ""
        return f"{said}{prior.odds_ratio:g} per {per}{knee}"
    if prior.steps:
        none = f"against {factor.in_plain_words(factor.bounds[0])}"
        last = max(prior.steps, key=int)
        steps = ", ".join(
            f"{ratio:g} for {step}{' or more' if step == last else ''}"
            for step, ratio in prior.steps.items()
        )
        return f"{said}{steps}, {none}"
    ratios = (
        f"{ratio:g} for {factor.in_plain_words(factor.level_codes[level])}"
        for level, ratio in prior.levels.items()
        if level != factor.reference
    )
    return f"{said}{'; '.join(ratios)}; against {factor.in_plain_words(factor.reference_code)}"


def _between(interval: tuple[float, float]) -> str:
    return f"{interval[0]:g} to {interval[1]:g}"


def rule_in_words(rule: str, labels: Mapping[str, str], language: str = BASE) -> str:
    """A rule of the registry as a person would read it out.

    Args:
        rule: the rule as the registry states it.
        labels: what each name in it is called; a name without a label is read as words.
        language: the language of its signs.
    """
    return _read_out(ast.parse(" ".join(rule.split()), mode="eval").body, labels, words(language))


def _read_out(
    node: ast.expr, labels: Mapping[str, str], said: Words, *, inside: bool = False
) -> str:
    """One step of a rule; a step inside another of its kind stands in brackets."""
    match node:
        case ast.BoolOp(op=op, values=values):
            sentence = f" {said(_SIGNS[type(op)])} ".join(
                _read_out(v, labels, said, inside=True) for v in values
            )
            return f"({sentence})" if inside else sentence
        case ast.Compare(left=left, ops=ops, comparators=rights):
            pairs = zip(ops, rights, strict=True)
            rest = (
                f"{said(_SIGNS[type(op)])} {_read_out(right, labels, said)}" for op, right in pairs
            )
            return " ".join([_read_out(left, labels, said, inside=True), *rest])
        case ast.BinOp(left=left, op=op, right=right):
            sides = (_read_out(side, labels, said, inside=True) for side in (left, right))
            sentence = f" {said(_SIGNS[type(op)])} ".join(sides)
            return f"({sentence})" if inside else sentence
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return said("rule.not", rule=_read_out(operand, labels, said))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{_read_out(operand, labels, said, inside=True)}"
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return ", ".join(_read_out(item, labels, said) for item in items)
        case ast.Constant(value=float() as number):
            return f"{number:g}"
        case ast.Constant(value=value):
            return labels.get(str(value), as_words(str(value)))
        case ast.Name(id=name):
            return labels.get(name, as_words(name))
    return ast.unparse(node)
