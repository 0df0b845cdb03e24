"""A gate asks what it says, refuses what cannot be meant, and asking less never refuses more."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.errors import UsageRefused
from spinecast.measures.decisions import net_benefit
from spinecast.promotion.dossier import Figure, net_benefit_gain
from spinecast.promotion.gate import Bound, read_gate
from spinecast.promotion.laws import additivity, directions
from spinecast.promotion.ruling import judged, shortfall

EXAMPLE = Path(__file__).parent.parent / "experiments" / "gate.example.toml"
LESS_AND_LESS = ("whole interval", "estimate", "any of the interval")
NUMBER = st.floats(-3, 3)
LIMIT = st.none() | NUMBER


@st.composite
def figures(draw: st.DrawFn) -> Figure:
    """Any number with any interval, also one that leaves the number out, or none."""
    if draw(st.booleans()):
        return Figure(draw(NUMBER))
    low, high = sorted((draw(NUMBER), draw(NUMBER)))
    return Figure(draw(NUMBER), low, high)


@st.composite
def bounds(draw: st.DrawFn) -> Bound:
    low, high = draw(LIMIT), draw(NUMBER)
    if low is not None and low > high:
        low, high = high, low
    return Bound(at_least=low, at_most=high, asked_of=draw(st.sampled_from(LESS_AND_LESS)))


@pytest.fixture
def written(tmp_path):
    """Read a gate of this text."""

    def read(text, **golden):
        for name, content in golden.items():
            (tmp_path / f"{name}.json").write_text(content)
        (tmp_path / "gate.toml").write_text(text)
        return read_gate(tmp_path / "gate.toml")

    return read


@pytest.fixture
def refusal(written):
    def refused(text, **golden) -> str:
        with pytest.raises(UsageRefused) as found:
            written(text, **golden)
        return str(found.value)

    return refused


# --- laws -----------------------------------------------------------------------------------------


@given(figures(), bounds(), st.floats(0, 2), st.floats(0, 2), st.integers(0, 2))
def test_asking_less_never_refuses_what_passed(figure, bound, lower, higher, weaker):
    place = min(LESS_AND_LESS.index(bound.asked_of) + weaker, 2)
    less = Bound(
        at_least=None if bound.at_least is None else bound.at_least - lower,
        at_most=None if bound.at_most is None else bound.at_most + higher,
        asked_of=LESS_AND_LESS[place],
    )
    # Whoever goes over to asking of the interval asks for an interval.
    asks_for_one = math.isnan(figure.low) and less.asked_of != "estimate"
    if judged("", bound, figure).verdict == "held" and not asks_for_one:
        assert judged("", less, figure).verdict == "held"


@given(figures(), bounds())
def test_a_bound_fails_by_how_far_the_figure_is_outside(figure, bound):
    short = shortfall(bound, figure)
    if bound.asked_of == "estimate":
        below = -math.inf if bound.at_least is None else bound.at_least - figure.value
        outside = max(below, figure.value - bound.at_most)
        assert short == pytest.approx(outside)
    verdict = judged("", bound, figure).verdict
    assert verdict == ("not evaluated" if math.isnan(short) else "failed" if short > 0 else "held")


@pytest.mark.parametrize(
    ("asked_of", "low", "high", "held"),
    [
        ("estimate", 0.5, 1.5, True),
        ("whole interval", 0.5, 1.5, False),
        ("whole interval", 0.8, 1.25, True),
        ("any of the interval", 0.5, 1.5, True),
    ],
)
def test_limits_are_allowed_and_what_is_asked_of_decides(asked_of, low, high, held):
    bound = Bound(at_least=0.8, at_most=1.25, asked_of=asked_of)
    assert (judged("", bound, Figure(0.8, low, high)).verdict == "held") is held


def test_surely_outside_is_refused_whatever_is_asked_of():
    for asked_of in LESS_AND_LESS:
        found = judged("", Bound(at_least=0.8, asked_of=asked_of), Figure(0.6, 0.5, 0.7))
        assert found.verdict == "failed"


def test_what_is_not_known_refuses_and_says_why():
    bound = Bound(at_least=0.8, asked_of="whole interval")
    assert judged("", bound, Figure(math.nan)).found == "it could not be computed"
    assert judged("", bound, Figure(1.0)).found == "it has no interval"
    assert judged("", bound, None, "nobody looked").refuses


# --- figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.1, 0.25, 0.5])
def test_a_gain_is_the_difference_of_two_net_benefits(threshold):
    rng = np.random.default_rng(1)
    risk, rival = rng.random(500), rng.random(500)
    y = (rng.random(500) < risk).astype(float)
    ours, theirs = (net_benefit(y, r, threshold) for r in (risk, rival))
    found = net_benefit_gain(y, risk, rival, threshold)
    assert found.value == pytest.approx(ours - theirs)
    assert found.low < found.value < found.high
    everyone = net_benefit(y, np.ones(500), threshold)
    assert net_benefit_gain(y, risk, None, threshold).value == pytest.approx(ours - everyone)
    assert net_benefit_gain(y, rival, risk, threshold).value == pytest.approx(theirs - ours)


def test_the_interval_of_a_gain_holds_the_truth_as_often_as_it_says():
    """The true gain is known: risks are true, the rival's are the mean for everyone."""
    rng = np.random.default_rng(2)
    odds, held = 0.3 / 0.7, []
    population = rng.beta(2, 5, 200_000)
    truth = float(((population >= 0.3) * (population - (1 - population) * odds)).mean())
    for _ in range(400):
        risk = rng.choice(population, 300)
        y = (rng.random(300) < risk).astype(float)
        found = net_benefit_gain(y, risk, np.zeros(300), 0.3)
        held.append(found.low <= truth <= found.high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_two_models_that_act_alike_gain_nothing_on_each_other():
    found = net_benefit_gain(np.array([0.0, 1.0, 1.0]), np.full(3, 0.4), np.full(3, 0.3), 0.2)
    assert (found.value, found.low, found.high) == (0, 0, 0)


# --- explanation laws -----------------------------------------------------------------------------


def test_a_trained_model_keeps_its_laws(trained, candidates):
    sums = additivity(trained.explainer, candidates[:500])
    assert max(sums.log_odds, sums.risk) < 1e-9
    told = directions(trained.model, candidates[:500])
    assert (told.against, told.factor) == (0.0, "")
    assert told.patients <= 200
    assert told.factors == sum(factor.sign != 0 for factor in trained.model.registry.factors)


def test_a_coefficient_against_its_direction_is_found_by_name(trained, candidates):
    """One after the other: each declared column turned round."""
    model = trained.model
    for at, column in enumerate(model.encoding.columns):
        if not column.sign:
            continue
        beta = model.beta.copy()
        beta[at] = -column.sign * 5.0
        told = directions(replace(model, beta=beta), candidates[:20])
        assert told.factor == model.registry.factors[column.factor].name, column.name
        assert told.against > 0


def test_trees_against_a_direction_are_found(trained, candidates):
    upside_down = replace(trained.model.trees, weights=-5 * trained.model.trees.weights)
    assert directions(replace(trained.model, trees=upside_down), candidates[:50]).factor


# --- files ----------------------------------------------------------------------------------------


def test_the_example_can_be_used_and_gives_a_reason_for_each_number():
    gate = read_gate(EXAMPLE).gate
    assert gate.evidence.own_patients is gate.evidence.simulated is False
    lines = EXAMPLE.read_text().splitlines()
    numbers = [place for place, line in enumerate(lines) if re.search(r"= .*\d", line)]
    assert len(numbers) > 10
    for place in numbers:
        # Beside it, at its table, or at the limit that mirrors it.
        near = lines[max(0, place - 2) : place + 2]
        assert any("# " in line for line in near), lines[place]


def test_everything_wrong_with_a_gate_is_said_at_once(refusal):
    told = refusal(
        """
        [sample_size]
        patients = 0
        [calibration_slope]
        at_leest = 0.8
        [observed_expected]
        at_least = 1.2
        at_most = 0.8
        [auroc]
        at_least = 70.0
        [net_benefit]
        action = " "
        thresholds = [0.0, 0.5]
        [[subgroups]]
        by = "sex"
        measure = "luck"
        at_least = 1.0
        [explanation_laws]
        additivity = -1.0
        [calibration]
        at_least = 0.8
        """
    )
    for words in (
        "sample_size.patients",
        "calibration_slope.at_leest",
        "at_least may not be above at_most",
        "an AUROC lies between 0 and 1",
        "net_benefit.action",
        "net_benefit.thresholds",
        "subgroups.0.measure",
        "explanation_laws.additivity",
        "gate.toml calibration: ",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "asks nothing"),
        ("[evidence]\nsimulated = true", "asks nothing"),
        ("[calibration_slope]", "at_least, at_most or both"),
        ("[sample_size]", "patients, events or both"),
        ("[explanation_laws]", "directions = true or both"),
        ('[net_benefit]\naction = "x"\nthresholds = [0.2]', "over_treat_all, over_in_use or both"),
        ("[calibration_slope]\nat_least = nan", "finite"),
        ("[calibration_slope]\nat_least = '1'", "valid number"),
        ("[observed_expected]\nat_least = -1.0", "between 0 and 1000"),
        ("[auroc_over_in_use]\nat_least = 1.5", "between -1 and 1"),
        ("[calibration_slope\n", "gate.toml"),
        ('[golden_patients]\nfile = "nowhere.json"', "nowhere.json"),
    ],
)
def test_a_gate_that_cannot_be_meant_is_refused(refusal, text, words):
    assert words in refusal(text)


def test_a_gate_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(UsageRefused, match=r"gate\.example\.toml"):
        read_gate(tmp_path / "gate.toml")
    (tmp_path / "gate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageRefused, match="UTF-8"):
        read_gate(tmp_path / "gate.toml")
    with pytest.raises(UsageRefused, match="cannot be read"):
        read_gate(tmp_path)


GOLDEN = '[golden_patients]\nfile = "golden.json"'


def test_golden_patients_are_read_with_their_ranges(written):
    rows = [
        {"patient_id": "healthy", "age": 30, "risk_at_most": 0.2},
        {"age": 60, "risk_at_least": 0.1, "risk_at_most": 0.9},
    ]
    found = written(GOLDEN, golden=json.dumps(rows))
    healthy, other = found.golden
    assert (healthy.name, healthy.at_least, healthy.at_most) == ("healthy", 0.0, 0.2)
    assert (other.name, dict(other.answers)) == ("patient 2", {"age": 60})
    changed = written(GOLDEN, golden=json.dumps(rows[:1]))
    assert changed.golden_sha256 != found.golden_sha256
    assert changed.sha256 == found.sha256


def test_golden_patients_may_be_a_table(tmp_path):
    (tmp_path / "gate.toml").write_text(GOLDEN.replace("json", "csv"))
    (tmp_path / "golden.csv").write_text("patient_id,age,risk_at_least,risk_at_most\na,30,,0.2\n")
    (one,) = read_gate(tmp_path / "gate.toml").golden
    assert (one.name, one.at_least, one.at_most) == ("a", 0.0, 0.2)
    assert one.answers["age"] == "30"


@pytest.mark.parametrize(
    "rows",
    [
        "[]",
        "{}",
        "7",
        "[7]",
        "[{}]",
        "[" * 100_000,
        '[{"risk_at_most": 20}]',
        '[{"risk_at_most": true}]',
        '[{"risk_at_most": "high"}]',
        '[{"risk_at_least": 0.5, "risk_at_most": 0.4}]',
        '[{"patient_id": "a", "risk_at_most": 1}, {"patient_id": "a", "risk_at_most": 1}]',
    ],
)
def test_golden_patients_that_cannot_be_meant_are_refused(refusal, rows):
    assert "golden.json" in refusal(GOLDEN, golden=rows)


def test_all_golden_patients_are_refused_at_once(refusal):
    told = refusal(GOLDEN, golden='[{"risk_at_most": 20}, 7, {"risk_at_most": 0.2}, {}]')
    assert [f"patient {n}:" in told for n in (1, 2, 3, 4)] == [True, True, False, True]
