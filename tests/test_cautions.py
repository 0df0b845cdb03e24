"""When not to rely on an answer: said where it must be, and not cried without reason."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from spinecast.explaining.assessment import Caution
from spinecast.explaining.cautions import MANY_UNKNOWN, MOST_NAMED, ODD, UNUSUAL, cautions, doubts
from spinecast.explaining.facts import FEW, SETTLED, standing_cautions
from spinecast.modelling.model import reference_row

STANDING = {
    "simulated": "must not be used for one",
    "literature": "no patient has been used",
    "patients": "not on later patients, nor in another hospital",
}


@pytest.fixture(scope="module")
def doubted(trained, registry):
    """The doubts about the reference patient but for some answers."""

    def found(**answers):
        row = reference_row(registry)
        for name, value in answers.items():
            row[registry.names.index(name)] = registry.by_name[name].level_codes.get(value, value)
        return doubts(trained.facts, trained.model.population.unusual(row[None]), row[None])

    return found


@pytest.fixture(scope="module")
def said(doubted, registry):
    """The cautions of the same patient, by their codes."""

    def told(**answers):
        return {caution.code: caution for caution in cautions(registry, doubted(**answers), 0)}

    return told


@pytest.fixture(scope="module")
def population_sample(trained):
    return trained.model.population.sample(2000, np.random.default_rng(11))


# --- values the cohort did not have --------------------------------------------------------------


def test_a_number_is_seen_from_the_least_to_the_most_the_cohort_had(trained, registry, doubted):
    for index, factor in enumerate(registry.factors):
        if not factor.is_numeric:
            continue
        low, high = trained.facts.seen_low[index], trained.facts.seen_high[index]
        for code, unseen in ((low, False), (high, False), (low - 1, True), (high + 1, True)):
            assert doubted(**{factor.name: code}).unseen[0, index] == unseen, factor.name


def test_a_level_is_seen_when_enough_patients_had_it(trained, registry, doubted):
    rare = 0
    for index, factor in enumerate(registry.factors):
        for level, count in zip(factor.levels, trained.facts.counts[index], strict=True):
            few = count < FEW
            assert doubted(**{factor.name: level}).unseen[0, index] == few, (factor.name, level)
            rare += few
    assert rare > 0


@pytest.mark.parametrize(("patients", "unseen"), [(0, True), (FEW - 1, True), (FEW, False)])
def test_few_patients_are_fewer_than_five(trained, registry, patients, unseen):
    index = registry.names.index("smoking_status")
    counts = list(trained.facts.counts)
    counts[index] = (patients, *counts[index][1:])
    facts = replace(trained.facts, counts=tuple(counts))
    row = reference_row(registry)
    row[index] = 0.0
    assert facts.unseen(row[None])[0, index] == unseen


def test_what_is_unknown_is_not_unseen(doubted, registry):
    assert not doubted(**dict.fromkeys(registry.names, math.nan)).unseen.any()


def test_an_unseen_value_is_named(trained, said, registry):
    oldest = trained.facts.seen_high[registry.names.index("age")]
    assert oldest < registry.by_name["age"].bounds[1]
    found = said(age=oldest + 1)["outside_cohort"]
    assert "age" in found.factors
    assert "age" in found.message
    assert "age" not in said(age=oldest).get("outside_cohort", Caution("", "")).factors


# --- unknowns ------------------------------------------------------------------------------------


def test_many_unknown_begins_above_a_quarter_of_the_factors(said, registry):
    most = math.floor(MANY_UNKNOWN * len(registry.names))
    few, many = registry.names[:most], registry.names[: most + 1]
    assert "many_unknown" not in said(**dict.fromkeys(few, math.nan))
    found = said(**dict.fromkeys(many, math.nan))["many_unknown"]
    assert found.factors == many
    assert found.message.startswith(f"{most + 1} of {len(registry.names)} factors are not known")


def test_unknown_factors_are_marked_as_such(doubted, registry):
    found = doubted(age=math.nan, bmi=math.nan)
    assert [registry.names[i] for i in np.flatnonzero(found.unknown[0])] == ["age", "bmi"]


# --- unusual combinations ------------------------------------------------------------------------


def test_a_patient_of_the_population_is_rarely_unusual(trained, population_sample):
    found = doubts(
        trained.facts, trained.model.population.unusual(population_sample), population_sample
    )
    assert found.unusual.mean() < 0.01


def test_an_incomplete_patient_of_the_population_is_rarely_unusual(trained, population_sample):
    rng = np.random.default_rng(5)
    codes = np.where(rng.random(population_sample.shape) < 0.4, np.nan, population_sample)
    assert (
        doubts(trained.facts, trained.model.population.unusual(codes), codes).unusual.mean() < 0.01
    )


def test_an_absurd_combination_is_unusual_and_says_in_what(trained, registry, said):
    """Every number at the end of its range at which fewest patients are."""
    absurd = {
        factor.name: max(factor.bounds, key=lambda code, f=factor: abs(code - f.population.mean))
        for factor in registry.factors
        if factor.is_numeric and factor.population.mean is not None
    }
    found = said(**absurd)["unusual"]
    assert 0 < len(found.factors) <= MOST_NAMED
    for name in found.factors:
        assert registry.by_name[name].label.lower() in found.message


def test_factors_are_named_only_when_they_stand_out(trained, registry, candidates):
    found = doubts(
        trained.facts, trained.model.population.unusual(candidates[:500]), candidates[:500]
    )
    assert found.unusual.any()
    for row in np.flatnonzero(found.unusual):
        told = {c.code: c for c in cautions(registry, found, row)}["unusual"]
        z = {name: abs(found.z[row, registry.names.index(name)]) for name in told.factors}
        assert all(size > ODD for size in z.values())
        assert list(z.values()) == sorted(z.values(), reverse=True)
        assert told.factors or "several factors together" in told.message


def test_a_patient_of_whom_nothing_is_known_is_not_unusual(doubted, registry):
    found = doubted(**dict.fromkeys(registry.names, math.nan))
    assert not found.unusual[0]
    assert (found.z == 0).all()


def test_unusual_means_rarer_than_one_in_a_thousand(trained, candidates):
    found = doubts(
        trained.facts, trained.model.population.unusual(candidates[:200]), candidates[:200]
    )
    tail = trained.model.population.unusual(candidates[:200]).tail
    assert (found.unusual == (tail < UNUSUAL)).all()
    assert UNUSUAL == 0.001


# --- in a table ----------------------------------------------------------------------------------


def listed(found, *standing):
    """The codes of every patient's cautions as text."""
    places, texts = found.combined(standing)
    return np.array(texts, dtype=object)[places]


def test_a_table_lists_the_codes_of_the_same_cautions(trained, registry, candidates):
    rows = candidates[:300]
    unchecked = np.random.default_rng(3).random((300, len(registry.exclusions))) < 0.2
    found = doubts(trained.facts, trained.model.population.unusual(rows), rows, unchecked)
    told = [[c.code for c in cautions(registry, found, row)] for row in range(300)]
    assert listed(found).tolist() == ["; ".join(codes) for codes in told]
    assert {code for codes in told for code in codes} == {
        "scope_unchecked",
        "many_unknown",
        "outside_cohort",
        "unusual",
    }


def test_the_models_own_cautions_stand_first_in_a_table(doubted, registry):
    nothing = doubted(**dict.fromkeys(registry.names, math.nan))
    assert listed(nothing, "simulated", "few_events").tolist() == [
        "simulated; few_events; many_unknown"
    ]


def test_nobody_has_no_doubts(trained, registry):
    nobody = np.empty((0, len(registry.names)))
    found = doubts(trained.facts, trained.model.population.unusual(nobody), nobody)
    assert listed(found, "simulated").shape == (0,)


def test_an_ordinary_patient_gets_no_caution_of_their_own(trained, registry, population_sample):
    found = doubts(
        trained.facts, trained.model.population.unusual(population_sample), population_sample
    )
    quiet = np.flatnonzero(listed(found) == "")
    assert len(quiet) > 300
    assert list(cautions(registry, found, quiet[0])) == []


# --- what has to be said of every answer ---------------------------------------------------------


@pytest.mark.parametrize("trained_on", STANDING)
@pytest.mark.parametrize("events", [0, SETTLED - 1, SETTLED, 5000])
def test_every_kind_of_model_says_what_it_rests_on(trained_on, events):
    found = list(standing_cautions(trained_on, events))
    assert STANDING[trained_on] in found[0].message
    few = trained_on != "literature" and events < SETTLED
    assert [caution.code for caution in found[1:]] == ["few_events"] * few
    if few:
        assert f"Only {events} patients" in found[1].message


def test_only_a_simulated_model_calls_itself_simulated():
    codes = {kind: next(standing_cautions(kind, 500)).code for kind in STANDING}
    assert codes == {
        "simulated": "simulated",
        "literature": "literature",
        "patients": "not_validated",
    }
