"""What a registry may not contradict: itself, the order of events, the literature it cites."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from spinecast.errors import Problem
from spinecast.factors import BEFORE_SURGERY, Factor, Marginal, Prior, Registry

TOLERANCE = 1e-9


def contradictions(registry: Registry) -> list[Problem]:
    """Everything in a registry that cannot stand beside something else in it."""
    found: list[Problem] = []
    for factor in registry.factors:
        where = f"factors/{factor.domain}.toml [{factor.name}]"
        for check in _FACTOR_CHECKS:
            found.extend(check(factor, where))
        found.extend(_dangling(registry, factor, where))
        found.extend(_strata(registry, factor, where))
    found.extend(_repeated_names(registry))
    found.extend(_dangling_elsewhere(registry))
    found.extend(_outcome(registry))
    return found


def _values(factor: Factor, where: str) -> Iterator[Problem]:
    """Levels or a range, and a reference among them."""
    if factor.is_numeric:
        if factor.range is None or factor.range[0] >= factor.range[1]:
            yield Problem(f"{where} range", f"given {factor.range}", "lowest and highest value")
        elif isinstance(factor.reference, str) or not (
            factor.range[0] <= factor.reference <= factor.range[1]
        ):
            yield Problem(f"{where} reference", f"given {factor.reference!r}", factor.allowed)
        return
    if len(factor.levels) < 2 or len(set(factor.levels)) != len(factor.levels):
        yield Problem(f"{where} levels", f"given {factor.levels}", "at least two different levels")
    if factor.kind == "binary" and factor.levels != ("no", "yes"):
        yield Problem(f"{where} levels", f"given {factor.levels}", "a binary factor has no and yes")
    if factor.reference not in factor.levels:
        yield Problem(f"{where} reference", f"given {factor.reference!r}", factor.allowed)
    if factor.kind == "nominal" and factor.sign and factor.reference != factor.levels[0]:
        yield Problem(
            f"{where} reference",
            f"given {factor.reference!r}",
            "a nominal factor with a direction has its reference first",
        )


def _timing(factor: Factor, where: str) -> Iterator[Problem]:
    if factor.known_at not in BEFORE_SURGERY:
        yield Problem(
            f"{where} known_at",
            f"given {factor.known_at!r}, which is not known before surgery",
            f"only what is known at {', '.join(BEFORE_SURGERY)} may enter a prediction",
            "Describe it as a mechanism instead.",
        )


def _prior(factor: Factor, where: str) -> Iterator[Problem]:
    prior = factor.prior
    if prior is None:
        return
    yield from _prior_form(factor, prior, where)
    for contrast, ratio in _against_direction(factor, prior):
        yield Problem(
            f"{where} prior",
            f"{contrast} has odds ratio {ratio:g}",
            f"the declared direction is {factor.direction}",
            "Correct the direction or the prior; they come from the same literature.",
        )
    if prior.plausible and not prior.plausible[0] < prior.plausible[1]:
        yield Problem(f"{where} prior.plausible", f"given {prior.plausible}", "low below high")


def _prior_form(factor: Factor, prior: Prior, where: str) -> Iterator[Problem]:
    forms = [bool(prior.levels), bool(prior.steps), prior.odds_ratio is not None]
    if sum(forms) != 1:
        yield Problem(f"{where} prior", "no form or several", "one of levels, steps, odds_ratio")
    if unknown := prior.levels.keys() - set(factor.levels):
        yield Problem(f"{where} prior.levels", f"given {sorted(unknown)}", factor.allowed)
    elif prior.levels and (missing := set(factor.levels) - prior.levels.keys()):
        if missing != {factor.reference}:
            yield Problem(f"{where} prior.levels", f"missing {sorted(missing)}", factor.allowed)
    if prior.levels.get(str(factor.reference), 1.0) != 1.0:
        yield Problem(f"{where} prior.levels", "the reference is not 1", "it is the reference")
    low, high = factor.bounds
    for step in prior.steps:
        if not step.isdigit() or not low < int(step) <= high:
            yield Problem(f"{where} prior.steps", f"given {step!r}", factor.allowed)
    ratios = [*prior.levels.values(), *prior.steps.values(), prior.odds_ratio or 1.0]
    if any(not math.isfinite(ratio) or ratio <= 0 for ratio in ratios) or prior.per <= 0:
        yield Problem(f"{where} prior", f"given {ratios}", "odds ratios and `per` are above 0")


def _against_direction(factor: Factor, prior: Prior) -> Iterator[tuple[str, float]]:
    """Contrasts of the prior whose sign the declared direction forbids."""
    if not factor.sign:
        return
    ladder = [(level, prior.levels.get(level, 1.0)) for level in factor.levels if prior.levels]
    ladder = ladder or [("none", 1.0), *prior.steps.items()]
    if prior.odds_ratio is not None:
        ladder = [("none", 1.0), ("one more unit", prior.odds_ratio)]
    for i, (name, ratio) in enumerate(ladder[1:], start=1):
        below = ladder[0][1] if factor.kind == "nominal" else ladder[i - 1][1]
        if factor.sign * (ratio - below) < -TOLERANCE:
            yield name, ratio


def _population(factor: Factor, where: str) -> Iterator[Problem]:
    for name, marginal in [("", factor.population), *factor.population.given.items()]:
        yield from _marginal(factor, marginal, f"{where} population {name}".rstrip())


def _marginal(factor: Factor, marginal: Marginal, where: str) -> Iterator[Problem]:
    if marginal.shares:
        most = int(factor.bounds[1] - factor.bounds[0]) + 1
        full = factor.kind == "count" or len(marginal.shares) == len(factor.levels)
        if not full or len(marginal.shares) > most:
            yield Problem(where, f"{len(marginal.shares)} shares", f"one per value, {most} values")
        if abs(sum(marginal.shares) - 1) > TOLERANCE or min(marginal.shares) < 0:
            yield Problem(where, f"shares add up to {sum(marginal.shares):g}", "shares add up to 1")
    elif marginal.mean is None or marginal.sd is None or marginal.sd <= 0:
        yield Problem(where, "no shares and no mean with sd", "shares, or mean and sd above 0")
    elif not factor.is_numeric:
        yield Problem(where, "mean and sd", "a factor with levels has shares")


_FACTOR_CHECKS: tuple[Callable[[Factor, str], Iterable[Problem]], ...] = (
    _values,
    _timing,
    _prior,
    _population,
)


def _strata(registry: Registry, factor: Factor, where: str) -> Iterator[Problem]:
    """Marginals may differ by a level of the stratum factor, and by nothing else."""
    stratum = registry.by_name.get(registry.stratum or "")
    levels = stratum.levels if stratum else ()
    for level in factor.population.given:
        if level not in levels:
            yield Problem(f"{where} population.given", f"given {level!r}", f"levels: {levels}")


def _dangling(registry: Registry, factor: Factor, where: str) -> Iterator[Problem]:
    cited = [effect.source for effect in factor.effects if effect.source]
    cited += factor.modifiable.sources
    cited += factor.population.sources
    cited += factor.prior.derived_from if factor.prior else ()
    yield from _missing(where, "source", cited, registry.source_named)
    yield from _missing(where, "mechanism", factor.mechanisms, registry.mechanism_named)
    documents = {document.name for document in registry.documents}
    said = [statement.document for statement in factor.documents]
    yield from _missing(where, "document", said, documents)


def _dangling_elsewhere(registry: Registry) -> Iterator[Problem]:
    names = registry.by_name
    for mechanism in registry.mechanisms:
        where = f"mechanisms.toml [{mechanism.name}]"
        cited = [source for driver in mechanism.drivers for source in driver.sources]
        yield from _missing(where, "source", [*cited, *mechanism.sources], registry.source_named)
        yield from _missing(where, "factor", [d.factor for d in mechanism.drivers], names)
    for document in registry.documents:
        for cause in document.causes:
            where = f"documents.toml [{document.name}] {cause.cause!r}"
            yield from _missing(where, "factor", cause.factors, names)
            yield from _missing(where, "mechanism", cause.mechanisms, registry.mechanism_named)
            if not cause.factors and not cause.mechanisms:
                yield Problem(where, "lives nowhere", "a factor or a mechanism of this registry")
    pairs = [name for correlation in registry.correlations for name in correlation.pair]
    yield from _missing("population.toml", "factor", pairs, names)
    if registry.stratum is not None:
        yield from _missing("population.toml stratum", "factor", [registry.stratum], names)
    yield from _missing("registry.toml", "source", registry.base_rate.sources, registry.source_named)


def _missing(
    where: str, kind: str, wanted: Iterable[str], known: Iterable[str]
) -> Iterator[Problem]:
    """A reference that leads nowhere, once each."""
    for name in sorted(set(wanted) - set(known)):
        yield Problem(where, f"names the {kind} {name!r}", f"no such {kind} is declared")


def _repeated_names(registry: Registry) -> Iterator[Problem]:
    names = [*registry.names, *(column.name for column in registry.outcome.columns)]
    names += [exclusion.name for exclusion in registry.exclusions]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("registry", f"{name!r} is declared twice", "one name, one column")


def _outcome(registry: Registry) -> Iterator[Problem]:
    outcome = registry.outcome
    if outcome.default not in outcome.definitions:
        known = ", ".join(outcome.definitions)
        yield Problem("outcome.toml default", f"given {outcome.default!r}", f"one of: {known}")
    for name, definition in outcome.definitions.items():
        yield from _missing(
            f"outcome.toml [{name}]", "source", definition.sources, registry.source_named
        )
