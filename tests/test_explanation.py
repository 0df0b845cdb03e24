"""Every reason adds up to the answer, none points against its evidence, and none promises."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conftest import any_rows
from spinecast.assessment import SCHEMA, Assessment, Caution, Reason
from spinecast.explanation import POSSIBLE, Explainer
from spinecast.logistic import expit
from spinecast.model import reference_row
from strategies import codes as rows_of

EXACT = {"rtol": 0, "atol": 1e-9}
# The contract, as the design has it: every interface reads these names in this order.
CONTRACT = (
    "schema status reasons risk interval reference_risk cohort_risk centile margin "
    "reference_margin contributions unknown cautions actions model"
).split()
PARTS = {
    "interval": "low high level method",
    "contributions": "factor label value log_odds risk_points from_literature from_cohort "
    "agreement mechanisms sentence sources",
    "unknown": "factor assumed risk_if",
    "cautions": "code message factors",
    "actions": "factor sentence sources",
    "model": "id trained_on patients events outcome registry version",
}
# Words that would turn an association into a cause, or a treatment into a promise.
CAUSAL = re.compile(r"\b(causes?|caused|causing|reduces? (the|your) risk|lowers? (the|your) risk)\b")


@pytest.fixture(scope="module")
def explainer(trained):
    return trained.explainer


@pytest.fixture(scope="module")
def scores(explainer, candidates):
    return explainer.score(candidates)


@pytest.fixture(scope="module")
def records(explainer, scores):
    """The first hundred of the candidates."""
    return [explainer.explain(scores, row) for row in range(100)]


@pytest.fixture(scope="module")
def assess(explainer):
    """One row of codes, or the reference patient but for some answers, as a record."""

    def record(codes=None, **answers) -> Assessment:
        registry = explainer.model.registry
        row = reference_row(registry) if codes is None else np.array(codes, dtype=float)
        for name, value in answers.items():
            factor = registry.by_name[name]
            row[registry.names.index(name)] = factor.level_codes.get(value, value)
        return explainer.explain(explainer.score(row[None]), 0)

    return record


def own(record: Assessment, name: str):
    """What one factor contributes."""
    return next(c for c in record.contributions if c.factor == name)


def total(record: Assessment, part: str) -> float:
    return math.fsum(getattr(contribution, part) for contribution in record.contributions)


# --- adding up -----------------------------------------------------------------------------------


def test_the_model_under_test_has_trees_that_matter(explainer, scores):
    trees = explainer.model.trees.contributions(scores.rows.codes)
    assert np.abs(trees).max() > 0.2
    assert scores.doubts.unknown.any()


def test_contributions_add_up_to_the_margin_less_that_of_the_reference(explainer, scores):
    expected = scores.margin - explainer.model.reference_margin
    np.testing.assert_allclose(scores.log_odds.sum(axis=1), expected, **EXACT)


def test_risk_points_add_up_to_the_risk_less_that_of_the_reference(explainer, scores):
    expected = scores.risk - explainer.reference_risk
    np.testing.assert_allclose(scores.risk_points.sum(axis=1), expected, **EXACT)


def test_what_a_record_says_adds_up(records):
    for record in records:
        assert total(record, "log_odds") == pytest.approx(
            record.margin - record.reference_margin, abs=1e-9
        )
        assert total(record, "risk_points") == pytest.approx(
            record.risk - record.reference_risk, abs=1e-9
        )
        for one in record.contributions:
            assert one.from_literature + one.from_cohort == pytest.approx(one.log_odds, abs=1e-12)


def test_the_reference_patient_has_the_reference_risk_and_nothing_to_explain(assess):
    record = assess()
    assert record.risk == pytest.approx(record.reference_risk, abs=1e-12)
    assert all(abs(one.log_odds) < 1e-12 for one in record.contributions)
    assert all(abs(one.risk_points) < 1e-12 for one in record.contributions)


@pytest.mark.parametrize("apart", [0.0, 1e-15, 1e-12, 1e-9, 1e-6, -1e-7, 1e-3])
def test_contributions_that_cancel_still_add_up(explainer, candidates, apart):
    """A patient whose risk is (nearly) that of the reference, by reasons of both signs."""
    model = explainer.model
    rows = model.rows(candidates[:200])
    # Coefficients stretched so that each patient's margin lands where it is wanted.
    for row in range(0, 200, 20):
        log_odds = model.contributions(rows)[0][row]
        column = int(np.argmax(np.abs(rows.columns[row])))
        beta = model.beta.copy()
        beta[column] -= (log_odds.sum() - apart) / rows.columns[row, column]
        level = Explainer(replace(model, beta=beta), explainer.facts, explainer.identity)
        scores = level.score(candidates[row : row + 1])
        assert abs(scores.margin[0] - model.reference_margin - apart) < 1e-12
        assert np.abs(scores.log_odds).max() > 0.1
        np.testing.assert_allclose(
            scores.risk_points.sum(), scores.risk[0] - level.reference_risk, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("stretch", [1e-6, 30.0, 300.0])
def test_extreme_models_add_up_too(explainer, candidates, stretch):
    model = explainer.model
    far = replace(model, beta=model.beta * stretch, intercept=-2.0 * stretch)
    scores = replace(explainer, model=far).score(candidates[:500])
    reference = expit(far.reference_margin)
    np.testing.assert_allclose(scores.risk_points.sum(axis=1), scores.risk - reference, **EXACT)
    assert np.isfinite(scores.risk_points).all()


def test_a_risk_point_has_the_sign_of_its_log_odds(scores):
    assert (np.sign(scores.risk_points) == np.sign(scores.log_odds)).all()


# --- directions ----------------------------------------------------------------------------------


def test_no_recorded_factor_contributes_against_its_declared_direction(explainer, scores):
    registry = explainer.model.registry
    signs = np.array([factor.sign for factor in registry.factors])
    away = scores.rows.given - reference_row(registry)
    against = np.nan_to_num(signs * np.sign(away) * scores.log_odds) < -1e-12
    assert not against.any(), [registry.names[i] for i in np.flatnonzero(against.any(axis=0))]
    assert (signs != 0).sum() > 20


def test_a_factor_as_in_the_reference_contributes_nothing_without_trees(explainer, candidates):
    model = explainer.model
    none = replace(model, trees=type(model.trees).fold([], reference_row(model.registry)))
    scores = replace(explainer, model=none).score(candidates[:2000])
    same = scores.rows.given == reference_row(model.registry)
    assert same.any(axis=0).sum() > 20
    assert np.abs(scores.log_odds[same]).max() < 1e-12


def test_a_factor_as_in_the_reference_contributes_nothing_with_trees(explainer, scores):
    same = scores.rows.given == reference_row(explainer.model.registry)
    assert np.abs(scores.log_odds[same]).max() < 1e-12


def test_more_of_a_risk_factor_never_lowers_the_risk(explainer, candidates):
    registry = explainer.model.registry
    some = candidates[:300]
    for index, factor in enumerate(registry.factors):
        if not factor.sign:
            continue
        low, high = some.copy(), some.copy()
        low[:, index], high[:, index] = factor.bounds
        # Everything else must be known: an answer also tells about the factors that are not.
        known = np.where(np.isnan(some), reference_row(registry), some)
        low, high = (np.where(np.isnan(rows), known, rows) for rows in (low, high))
        change = explainer.score(high).margin - explainer.score(low).margin
        assert (factor.sign * change > -1e-12).all(), factor.name


# --- risk and interval ---------------------------------------------------------------------------


def test_the_risk_lies_within_its_interval(scores):
    assert (scores.low <= scores.risk).all()
    assert (scores.risk <= scores.high).all()
    assert (scores.low > 0).all()
    assert (scores.high < 1).all()


def test_the_risk_is_that_of_the_margin(explainer, scores):
    np.testing.assert_allclose(scores.risk, expit(scores.margin), rtol=0, atol=1e-15)
    assert explainer.reference_risk == pytest.approx(expit(explainer.model.reference_margin))


def test_centiles_rise_with_the_risk_and_stay_in_bounds(scores):
    order = np.argsort(scores.risk)
    assert (np.diff(scores.centile[order]) >= 0).all()
    assert scores.centile.min() >= 0
    assert scores.centile.max() <= 100


def test_a_wider_level_gives_a_wider_interval(explainer, candidates):
    wide = replace(explainer, model=replace(explainer.model, level=0.99)).score(candidates[:50])
    usual = explainer.score(candidates[:50])
    assert (wide.low < usual.low).all()
    assert (wide.high > usual.high).all()


def test_the_interval_says_how_it_was_made(records, explainer):
    interval = records[0].interval
    assert interval.level == explainer.model.level
    assert f"{len(explainer.model.refits)} bootstrap refits" in interval.method


# --- rows are alone ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["margin", "risk", "low", "high", "centile", "log_odds"])
def test_a_patient_alone_gets_the_answer_of_the_batch(explainer, candidates, scores, part):
    for row in range(0, 10_000, 250):
        alone = getattr(explainer.score(candidates[row : row + 1]), part)[0]
        np.testing.assert_allclose(alone, getattr(scores, part)[row], rtol=0, atol=1e-12)


def test_the_order_of_patients_changes_no_answer(explainer, candidates):
    order = np.random.default_rng(2).permutation(500)
    here, there = explainer.score(candidates[:500]), explainer.score(candidates[:500][order])
    for part in ("risk", "low", "high", "log_odds", "risk_points"):
        expected = getattr(here, part)[order]
        np.testing.assert_allclose(getattr(there, part), expected, rtol=0, atol=1e-12)


def test_nobody_gets_no_answers(explainer, registry):
    scores = explainer.score(np.empty((0, len(registry.names))))
    assert len(scores) == 0
    assert scores.risk_points.shape == (0, len(registry.names))


@given(data=st.data())
def test_the_order_of_answers_does_not_matter(scorer, data):
    codes = data.draw(rows_of(scorer.registry))
    told = [
        (factor.name, factor.value_of(code))
        for factor, code in zip(scorer.registry.factors, codes.tolist(), strict=True)
    ]
    shuffled = data.draw(st.permutations(told))
    assert scorer.assess(dict(told)) == scorer.assess(dict(shuffled))


