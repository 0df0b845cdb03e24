"""What a registry may not contradict: itself, the order of events, the literature it cites."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from spinecast.errors import Problem
from spinecast.knowledge.endpoint import OutcomeColumn
from spinecast.knowledge.evidence import Effect
from spinecast.knowledge.factors import BEFORE_SURGERY, Factor, Marginal, Prior, Registry
from spinecast.knowledge.references import dangling
from spinecast.knowledge.rulebook import known_beforehand, unreadable
from spinecast.knowledge.simulation import FollowUp

TOLERANCE = 1e-9
# A name is a column of a file, a key of JSON and a word in a rule; these columns are taken.
NAME = re.compile(r"[a-z][a-z0-9_]*")
TAKEN = frozenset({"patient_id", "site", "index_date", "and", "or", "not", "in", "is"})


def contradictions(registry: Registry) -> list[Problem]:
    """Everything in a registry that cannot stand beside something else in it."""
    found = [problem for factor in registry.factors for problem in contradictions_of(factor)]
    for check in _REGISTRY_CHECKS:
        found.extend(check(registry))
    return found


def contradictions_of(factor: Factor) -> list[Problem]:
    """What one factor says against itself, whatever the rest of the registry says."""
    where = f"factors/{factor.domain}.toml [{factor.name}]"
    return [problem for check in _FACTOR_CHECKS for problem in check(factor, where)]


def _values(factor: Factor, where: str) -> Iterator[Problem]:
    """Levels or a range, and a reference among them."""
    if factor.is_numeric:
        if factor.range is None or factor.range[0] >= factor.range[1]:
            yield Problem(f"{where} range", f"given {factor.range}", "lowest and highest value")
        elif not _is_allowed(factor, factor.reference):
            given = f"given {factor.reference!r}" if factor.reference != "" else "missing"
            yield Problem(f"{where} reference", given, factor.allowed)
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


def _is_allowed(factor: Factor, number: str | float) -> bool:
    low, high = factor.bounds
    if isinstance(number, str) or not low <= number <= high:
        return False
    return factor.kind == "continuous" or float(number).is_integer()


def _timing(factor: Factor, where: str) -> Iterator[Problem]:
    if factor.known_at not in BEFORE_SURGERY:
        yield Problem(
            f"{where} known_at",
            f"given {factor.known_at!r}, which is not known beforehand",
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
    if prior.plausible and not 0 < prior.plausible[0] < prior.plausible[1]:
        allowed = "two odds ratios above 0, the lower first"
        yield Problem(f"{where} prior.plausible", f"given {prior.plausible}", allowed)


def _prior_form(factor: Factor, prior: Prior, where: str) -> Iterator[Problem]:
    forms = [bool(prior.levels), bool(prior.steps), prior.odds_ratio is not None]
    if sum(forms) != 1:
        yield Problem(f"{where} prior", "no form or several", "one of levels, steps, odds_ratio")
    slope = [] if prior.odds_ratio is None else [prior.odds_ratio]
    ratios = [*prior.levels.values(), *prior.steps.values(), *slope]
    if any(ratio <= 0 for ratio in ratios):
        yield Problem(f"{where} prior", f"given {ratios}", "odds ratios are above 0")
    if slope and not factor.is_numeric:
        yield Problem(f"{where} prior.odds_ratio", "a slope", "a factor with levels has levels")
    yield from _prior_levels(factor, prior, where)
    low, high = factor.bounds
    for step in prior.steps:
        if not step.isdigit() or not low < int(step) <= high:
            yield Problem(f"{where} prior.steps", f"given {step!r}", factor.allowed)
    if prior.knee is not None and not low <= prior.knee < high:
        yield Problem(f"{where} prior.knee", f"given {prior.knee:g}", factor.allowed)


def _prior_levels(factor: Factor, prior: Prior, where: str) -> Iterator[Problem]:
    if not prior.levels:
        return
    if unknown := prior.levels.keys() - set(factor.levels):
        yield Problem(f"{where} prior.levels", f"given {sorted(unknown)}", factor.allowed)
    if missing := set(factor.levels) - prior.levels.keys() - {str(factor.reference)}:
        yield Problem(f"{where} prior.levels", f"missing {sorted(missing)}", factor.allowed)
    if prior.levels.get(str(factor.reference), 1.0) != 1.0:
        yield Problem(f"{where} prior.levels", "the reference is not 1", "it is the reference")


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
        if factor.kind == "continuous" or not full or len(marginal.shares) > most:
            yield Problem(where, f"{len(marginal.shares)} shares", f"one per value, {most} values")
        if abs(sum(marginal.shares) - 1) > TOLERANCE or min(marginal.shares) < 0:
            yield Problem(where, f"shares add up to {sum(marginal.shares):g}", "shares add up to 1")
    elif marginal.mean is None or marginal.sd is None:
        yield Problem(where, "no shares and no mean with sd", "shares, or mean and sd above 0")
    elif not factor.is_numeric:
        yield Problem(where, "mean and sd", "a factor with levels has shares")
    elif not factor.bounds[0] <= marginal.mean <= factor.bounds[1]:
        yield Problem(where, f"given a mean of {marginal.mean:g}", factor.allowed)


def _effects(factor: Factor, where: str) -> Iterator[Problem]:
    for number, effect in enumerate(factor.effects, start=1):
        yield from _effect(effect, f"{where} effects, number {number} ({effect.contrast})")


def _effect(effect: Effect, where: str) -> Iterator[Problem]:
    if effect.mark in ("found", "derived") and not effect.source:
        remedy = "Name it as `source`, or mark the number recalled or assumption."
        yield Problem(where, f"{effect.mark}, without a source", "found where?", remedy)
    if effect.value is None and not effect.finding:
        yield Problem(where, "no value and no finding", "a number, or a finding in words")
    if not effect.interval:
        return
    low, high = effect.interval
    if low > high or (isinstance(effect.value, float) and not low <= effect.value <= high):
        given = f"{effect.value} with the interval {low:g} to {high:g}"
        yield Problem(where, given, "a value lies within its interval", "Look it up again.")


def _actions(factor: Factor, where: str) -> Iterator[Problem]:
    """The levels or numbers an action is for, and the labels of levels, are values it can take."""
    modifiable = factor.modifiable
    for key, named in (("modifiable.applies_to", modifiable.applies_to),
                       ("level_labels", factor.level_labels)):  # fmt: skip
        if unknown := sorted(set(named) - set(factor.levels)):
            yield Problem(f"{where} {key}", f"given {unknown}", factor.allowed)
    if modifiable.above is None:
        return
    if not factor.is_numeric or not factor.bounds[0] <= modifiable.above < factor.bounds[1]:
        yield Problem(f"{where} modifiable.above", f"given {modifiable.above:g}", factor.allowed)


_FACTOR_CHECKS: tuple[Callable[[Factor, str], Iterable[Problem]], ...] = (
    _values,
    _timing,
    _prior,
    _population,
    _effects,
    _actions,
)


def _strata(registry: Registry) -> Iterator[Problem]:
    """Marginals may differ by a level of the stratum factor, and by nothing else."""
    stratum = registry.by_name.get(registry.stratum or "")
    if stratum is not None and stratum.is_numeric:
        yield Problem("population.toml stratum", f"given {stratum.name!r}", "a factor with levels")
    levels = stratum.levels if stratum else ()
    allowed = "allowed: " + ", ".join(levels) if levels else "population.toml names no stratum"
    for factor in registry.factors:
        for level in factor.population.given:
            if level not in levels:
                where = f"factors/{factor.domain}.toml [{factor.name}] population.given"
                yield Problem(where, f"given {level!r}", allowed)


def _names(registry: Registry) -> Iterator[Problem]:
    """One name, one thing: factors, exclusions, follow-up columns and quantities share a space."""
    named = [(factor.name, f"factors/{factor.domain}.toml") for factor in registry.factors]
    named += [(exclusion.name, "registry.toml") for exclusion in registry.exclusions]
    named += [(column.name, "outcome.toml") for column in registry.outcome.columns]
    named += [(quantity, "outcome.toml") for quantity in registry.outcome.quantities]
    for name, count in Counter(name for name, _ in named).items():
        files = ", ".join(sorted({file for other, file in named if other == name}))
        if count > 1:
            remedy = "Rename one of them."
            yield Problem(files, f"{name!r} is declared {count} times", "one name, once", remedy)
        if not NAME.fullmatch(name) or name in TAKEN:
            allowed = "small letters, digits and _, and none of: " + ", ".join(sorted(TAKEN))
            yield Problem(files, f"the name {name!r}", allowed, "Rename it.")
    pairs = Counter(frozenset(correlation.pair) for correlation in registry.correlations)
    for pair, count in pairs.items():
        given = " and ".join(sorted(pair))
        if count > 1 or len(pair) == 1:
            allowed = "two different factors, each pair once"
            yield Problem("population.toml correlations", f"{given}, {count} times", allowed)


def _numbers(registry: Registry) -> Iterator[Problem]:
    """The base rate within its interval, the window and the ranges the right way round."""
    if rate := registry.base_rate:
        low, high = rate.interval
        if not low <= rate.value <= high:
            given = f"{rate.value:g} with the interval {low:g} to {high:g}"
            yield Problem("registry.toml base_rate", given, "a value lies within its interval")
    window = registry.outcome.window_months
    if window and not 0 <= window[0] < window[1]:
        yield Problem("outcome.toml window_months", f"given {window}", "earliest before latest")
    for column in registry.outcome.columns:
        if column.range and not column.range[0] < column.range[1]:
            where = f"outcome.toml columns.{column.name} range"
            yield Problem(where, f"given {column.range}", "lowest and highest value")


def _outcome(registry: Registry) -> Iterator[Problem]:
    outcome = registry.outcome
    if outcome.default not in outcome.definitions:
        known = ", ".join(outcome.definitions)
        yield Problem("outcome.toml default", f"given {outcome.default!r}", f"one of: {known}")


def _simulation(registry: Registry) -> Iterator[Problem]:
    columns = {column.name: column for column in registry.outcome.columns}
    for plan in registry.simulation.followup:
        if plan.column in columns and not _fits(plan, columns[plan.column]):
            given = f"success {plan.success}, failure {plan.failure}"
            allowed = "mean and sd above 0 of a number; one chance from 0 to 1 of a yes/no"
            yield Problem(f"simulation.toml followup.{plan.column}", given, allowed)
    first, last = registry.simulation.first_index_date, registry.simulation.last_index_date
    if first > last:
        yield Problem("simulation.toml first_index_date", f"given {first}", f"not after {last}")


def _fits(plan: FollowUp, column: OutcomeColumn) -> bool:
    told = (plan.success, plan.failure)
    if column.kind == "number":
        return all(len(drawn) == 2 and drawn[1] > 0 for drawn in told)
    return column.kind == "yes_no" and all(len(d) == 1 and 0 <= d[0] <= 1 for d in told)


_REGISTRY_CHECKS: tuple[Callable[[Registry], Iterable[Problem]], ...] = (
    _strata,
    _names,
    _numbers,
    _outcome,
    _simulation,
    dangling,
    unreadable,
    known_beforehand,
)
