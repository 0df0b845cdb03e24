"""The first passes over a large cohort: who has what part, and what the patients are like."""

from __future__ import annotations

from dataclasses import dataclass

from spinecast.cohorts.store import Shard, Stored
from spinecast.distribution.census import Counts, Scores
from spinecast.distribution.population import Population
from spinecast.explaining.facts import Seen
from spinecast.fitting.large.lessons import known
from spinecast.fitting.large.plan import Plan
from spinecast.knowledge.factors import Registry


@dataclass(frozen=True, slots=True, eq=False)
class FirstPass:
    """What the first pass over a shard of a cohort tells; shards add up.

    Attributes:
        seen: the values of all patients whose outcome is known.
        counts: those of the patients who teach, for the population.
        judging: the patients the model is judged on, by shards.
        tuning: those it is tuned on.
        sample: those of the others on whom choices are made.
    """

    seen: Seen
    counts: Counts
    judging: tuple[Stored, ...]
    tuning: tuple[Stored, ...]
    sample: tuple[Stored, ...]

    def __add__(self, other: FirstPass) -> FirstPass:
        return FirstPass(
            self.seen + other.seen,
            self.counts + other.counts,
            self.judging + other.judging,
            self.tuning + other.tuning,
            self.sample + other.sample,
        )


def first_pass(registry: Registry, published: Population, plan: Plan, shard: Shard) -> FirstPass:
    """The first pass over a shard; patients without a known outcome are passed over."""
    patients = known(shard)
    hashed = patients.hashed
    teaching = patients.take(plan.teaches(hashed))
    return FirstPass(
        Seen.of(registry, patients.codes, patients.y),
        published.count(teaching.codes),
        (patients.take(plan.judges(hashed)),),
        (patients.take(plan.tunes(hashed)),),
        (patients.take(plan.is_sampled(hashed)),),
    )


def second_pass(counted: Population, plan: Plan, shard: Shard) -> Scores:
    """The second pass over a shard: which answers go together, of the patients who teach."""
    patients = known(shard)
    return counted.score(patients.codes[plan.teaches(patients.hashed)])
