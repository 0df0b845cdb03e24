"""The same hospital shows no drift, another does, and the verdict says only what is sure."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from spinecast.distribution.population import Population
from spinecast.explaining.scoring import Scorer
from spinecast.judging.case_mix import case_mix, membership
from spinecast.judging.drift import DIFFERS, drift
from spinecast.judging.transport_text import lines
from spinecast.judging.validation import validate, write_validation
from spinecast.judging.verdict import RULES, SETTLED, Range, Seen, verdict
from spinecast.patients.tables import write_table
from spinecast.simulator.synthetic import simulate

PROMISED = {
    "spinecast": [{"measure": "auroc", "label": "AUROC", "value": 0.75, "low": 0.7, "high": 0.8}]
}
ROUGHLY = st.floats(0, 3) | st.just(math.nan)
GOOD = Range(1.0, 0.9, 1.1)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    value, spread = draw(ROUGHLY), draw(ROUGHLY)
    return Range(value, value - spread, value + spread)


def seen(**more) -> Seen:
    """A validation in which all is well, but for what is said."""
    auroc, promised = Range(0.75, 0.72, 0.78), Range(0.75, 0.7, 0.8)
    well = Seen(
        own_patients=False,
        events=200,
        others=800,
        auroc=auroc,
        promised=promised,
        observed_expected=GOOD,
        slope=GOOD,
    )
    return replace(well, **more)


@pytest.fixture(scope="module")
def model(trained):
    return trained.model


@pytest.fixture(scope="module")
def here(registry):
    """Other patients of the hospital that the model learned at."""
    return simulate(registry, 1000, 11).codes


@pytest.fixture(scope="module")
def older(here, registry):
    """A hospital that operates only its older half."""
    age = here[:, registry.names.index("age")]
    return here[age > np.nanmedian(age)]


# --- drift ----------------------------------------------------------------------------------------


def test_other_patients_of_the_same_hospital_show_no_drift(model, here):
    told = drift(model, here, {})
    assert [one.factor for one in told] == list(model.registry.names)
    assert not [one.factor for one in told if one.drifted or one.unknown_drifted]


def test_chance_alone_is_hardly_ever_called_a_drift(model):
    """Declared: in at most 5 of 100 cohorts any factor at all, where none differs."""
    rng = np.random.default_rng(5)
    alarms = [
        any(one.drifted for one in drift(model, model.population.sample(150, rng), {}))
        for _ in range(60)
    ]
    assert np.mean(alarms) <= 0.1


def test_what_differs_is_found_by_name(model, older):
    told = {one.factor: one for one in drift(model, older, {})}
    assert told["age"].drifted
    assert told["age"].difference == max(one.difference for one in told.values())
    assert "years on average" in told["age"].here
    assert float(told["age"].here.split()[0]) > float(told["age"].home.split()[0])


def test_the_order_of_the_rows_changes_nothing(model, here):
    turned = here[::-1]
    assert drift(model, turned, {}) == drift(model, here, {})
    assert membership(model, turned) == membership(model, here)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_of_yes_and_no_the_difference_is_austins(tiny, share):
    """|p - q| over the root of the mean of p(1 - p) and q(1 - q); doi:10.1002/sim.3697."""
    model = model_of(tiny)
    index = tiny.names.index("diabetes")
    codes = np.full((1000, len(tiny.names)), np.nan)
    codes[:, index] = np.arange(1000) < 1000 * share
    shares = model.population.weights @ model.population.shares[:, index, :2]
    p, q = shares[1], share
    expected = abs(p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert drift(model, codes, {})[index].difference == pytest.approx(expected)


def model_of(registry):
    """As much of a model as drift looks at."""

    class Bare:
        pass

    bare = Bare()
    bare.registry = registry
    bare.population = replace(Population.from_registry(registry), patients=1000)
    return bare


def test_the_difference_of_a_number_is_that_of_its_means_in_standard_deviations(tiny):
    model = model_of(tiny)
    index = tiny.names.index("pain")
    rng = np.random.default_rng(3)
    codes = model.population.sample(20_000, rng)
    moved = codes.copy()
    moved[:, index] = np.clip(moved[:, index] + 1, 0, 10)
    first, second = codes[:, index], moved[:, index]
    expected = (second.mean() - first.mean()) / math.sqrt((first.var() + second.var()) / 2)
    assert drift(model, moved, {})[index].difference == pytest.approx(expected, abs=0.03)


def test_answers_that_are_more_often_blank_are_found_where_home_was_kept(model, here):
    blank = here.copy()
    blank[::2, 3] = np.nan
    name = model.registry.names[3]
    home = dict.fromkeys(model.registry.names, 0.2)
    told = {one.factor: one for one in drift(model, blank, home)}
    assert told[name].unknown_drifted
    assert told[name].unknown_here > 0.5
    assert not {one.factor: one for one in drift(model, blank, {})}[name].unknown_drifted


@pytest.mark.parametrize("patients", [0, 1, 4, 9])
def test_of_hardly_any_patients_nothing_is_said(model, here, patients):
    told = drift(model, here[:patients], {})
    assert not any(one.drifted for one in told)
    assert all(math.isnan(one.difference) for one in told)
    mix = case_mix_of(model, here[:patients])
    assert math.isnan(mix.membership.value)


def case_mix_of(model, codes):
    class Facts:
        risk_quantiles = np.linspace(0.01, 0.6, 101)

    return case_mix(model, Facts(), codes)


def test_counts_below_five_are_kept_back(tiny):
    model = model_of(tiny)
    index = tiny.names.index("diabetes")
    codes = np.zeros((40, len(tiny.names)))
    codes[:3, index] = 1.0
    codes[:4, tiny.names.index("pain")] = np.nan
    told = {one.factor: one for one in drift(model, codes, {})}
    assert "fewer than 5" in told["diabetes"].here or "no 9" in told["diabetes"].here
    assert told["pain"].unknown_here is None


# --- case mix -------------------------------------------------------------------------------------


def test_patients_of_the_same_hospital_can_hardly_be_told_apart(model, here, older):
    same, other = membership(model, here), membership(model, older)
    assert 0.45 < same.value < 0.6
    assert other.low > same.high
    assert other.value > 0.7


def test_blank_answers_alone_do_not_tell_patients_apart(model):
    """Home patients get the same blanks; else the blanks would give the others away."""
    rng = np.random.default_rng(4)
    codes = model.population.sample(600, rng)
    codes[rng.random(codes.shape) < 0.4] = np.nan
    assert membership(model, codes).value == pytest.approx(0.5, abs=0.06)


def test_the_linear_predictor_at_home_comes_from_the_percentiles_kept(model, trained, here):
    rng = np.random.default_rng(6)
    margin = rng.normal(-1.5, 0.9, 50_000)
    quantiles = np.quantile(expit(margin), np.linspace(0, 1, 101))
    facts = replace(trained.facts, risk_quantiles=quantiles)
    mix = case_mix(model, facts, here[:200])
    assert mix.home_mean == pytest.approx(-1.5, abs=0.03)
    assert mix.home_sd == pytest.approx(0.9, abs=0.05)
    own = model.margin(model.rows(here[:200]))
    assert (mix.mean, mix.sd) == pytest.approx((own.mean(), own.std(ddof=1)))


# --- verdict --------------------------------------------------------------------------------------


@given(
    st.booleans(),
    st.integers(0, 300),
    st.integers(0, 300),
    st.tuples(ranges(), st.none() | ranges(), ranges(), ranges()),
)
def test_whatever_was_seen_there_is_a_verdict_in_words(own, events, others, found):
    told = verdict(Seen(own, events, others, *found))
    assert told.code in [rule.code for rule in RULES]
    assert len(told.codes) == len(told.sentences) >= 1
    assert not ({"fits", "not settled"} & set(told.codes)) or len(told.codes) == 1
    assert own is (told.code == "own patients")
    assert "nan" not in told.in_words or told.code in ("order", "level", "spread")


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({}, "fits", "Fits here"),
        ({"own_patients": True}, "own patients", "No verdict"),
        ({"events": 9}, "too few", "9 with the outcome"),
        ({"others": 9}, "too few", "9 without"),
        ({"events": SETTLED - 1}, "not settled", "Too few events"),
        ({"slope": Range(1.0, 0.6, 1.4)}, "not settled", "Too few events"),
        ({"observed_expected": Range(1.0, 0.7, 1.3)}, "not settled", "Too few events"),
        ({"slope": Range(math.nan, math.nan, math.nan)}, "not settled", "Too few events"),
        (
            {"observed_expected": Range(0.7, 0.6, 0.8)},
            "level",
            "too high; for every 100 patients foretold to have the outcome, 70 had it",
        ),
        ({"observed_expected": Range(1.4, 1.2, 1.6)}, "level", "too low"),
        ({"observed_expected": Range(0.95, 0.92, 0.98)}, "fits", "Fits"),
        ({"slope": Range(0.6, 0.5, 0.7)}, "spread", "too extreme"),
        ({"slope": Range(1.5, 1.3, 1.7)}, "spread", "too timid"),
        ({"auroc": Range(0.6, 0.55, 0.65)}, "order", "0.60 against 0.75"),
        ({"auroc": Range(0.6, 0.55, 0.65), "promised": None}, "fits", "Fits"),
    ],
)
def test_each_rule_speaks_where_it_should(more, code, words):
    told = verdict(seen(**more))
    assert told.code == code
    assert words in told.in_words
    assert "update" in told.in_words or code not in ("order", "level", "spread")


def test_all_that_is_surely_wrong_is_said():
    told = verdict(
        seen(
            auroc=Range(0.6, 0.55, 0.65),
            observed_expected=Range(0.7, 0.6, 0.8),
            slope=Range(0.6, 0.5, 0.7),
        )
    )
    assert told.codes == ("order", "level", "spread")


# --- in a validation ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(bundle_folder, registry, tmp_path_factory):
    place = tmp_path_factory.mktemp("transport")
    write_table(simulate(registry, 400, 12).frame(), place / "there.csv")
    scorer = Scorer.load(bundle_folder)
    bundle = replace(scorer.bundle, training=scorer.bundle.training | {"performance": PROMISED})
    return validate(Scorer(bundle), place / "there.csv")


def test_file_and_text_say_what_the_record_says(found, tmp_path):
    write_validation(found, tmp_path)
    told = json.loads((tmp_path / "validation.json").read_text())["elsewhere"]
    assert told["verdict"]["in_words"] == found.transport.verdict.in_words
    assert len(told["drift"]) == len(found.scorer.registry.factors)
    assert told["promises"][0]["promised"] == {"value": 0.75, "low": 0.7, "high": 0.8}
    assert told["promises"][0]["found"]["value"] == found.judgement.auroc.value
    text = (tmp_path / "validation.txt").read_text()
    assert found.transport.verdict.sentences[0] in text
    assert "Simulated patients" in text
    assert "0.750 (0.700 to 0.800)" in text


def test_only_patients_whose_outcome_is_known_are_compared(found):
    assert found.transport.case_mix.patients == found.performance.patients < 400


def test_a_folder_that_keeps_no_promise_is_compared_all_the_same(found, scorer, tmp_path, registry):
    write_table(simulate(registry, 60, 13).frame(), tmp_path / "few.csv")
    told = validate(scorer, tmp_path / "few.csv").transport
    assert told.promises == ()
    assert not any("promised" in line for line in lines(told))


def test_many_drifted_factors_are_counted_and_some_are_shown(found):
    many = tuple(
        replace(one, drifted=True, difference=2 * DIFFERS) for one in found.transport.factors
    )
    text = "\n".join(lines(replace(found.transport, factors=many)))
    assert "40 of 40 factors differ" in text
    assert "28 more, in validation.json" in text
