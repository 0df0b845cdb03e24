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
from spinecast.explaining.assessment import SCHEMA, Assessment, Caution, Reason
from spinecast.explaining.explanation import POSSIBLE, Explainer
from spinecast.explaining.sentences import NEGLIGIBLE
from spinecast.measures.logistic import expit
from spinecast.modelling.model import reference_row
from strategies import codes as rows_of

EXACT = {"rtol": 0, "atol": 1e-9}
# The contract, as the design has it: every interface reads these names in this order.
CONTRACT = [
    *("schema", "status", "reasons", "risk", "interval", "reference_risk", "cohort_risk"),
    *("centile", "margin", "reference_margin", "contributions", "unknown", "cautions", "actions"),
    "model",
]
NUMBERS = CONTRACT[3:10]
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
CAUSAL = re.compile(r"\b(caus(es?|ed|ing)|(reduces?|lowers?) (the|your) risk)\b")


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
    """The margin is computed once from the contributions, and here once without them."""
    model = explainer.model
    for margin in (scores.margin, model.margin(scores.rows)):
        expected = margin - model.reference_margin
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


def test_the_interval_is_central_on_the_log_odds_scale(explainer, scores):
    """At 90%, 1.645 standard deviations to either side."""
    assert explainer.model.level == 0.9
    reach = 1.6448536269514722 * explainer.model.spread(scores.rows)
    np.testing.assert_allclose(scores.low, expit(scores.margin - reach), **EXACT)
    np.testing.assert_allclose(scores.high, expit(scores.margin + reach), **EXACT)


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


# --- the record ----------------------------------------------------------------------------------


def test_every_factor_is_there_once_the_largest_contribution_first(records, registry):
    for record in records:
        assert sorted(c.factor for c in record.contributions) == sorted(registry.names)
        sizes = [round(abs(c.log_odds), 12) for c in record.contributions]
        assert sizes == sorted(sizes, reverse=True)


def test_ties_stand_in_the_order_of_the_registry(assess, registry):
    assert [c.factor for c in assess().contributions] == list(registry.names)


def test_values_are_those_that_were_given(records, candidates, registry):
    for record, codes in zip(records, candidates, strict=False):
        for factor, code in zip(registry.factors, codes.tolist(), strict=True):
            assert own(record, factor.name).value == factor.value_of(code)


def test_the_record_is_the_contract_word_for_word(records):
    for record in records:
        told = record.to_dict()
        assert list(told) == CONTRACT
        assert told["schema"] == SCHEMA
        for part, names in PARTS.items():
            entries = told[part] if isinstance(told[part], list | tuple) else [told[part]]
            assert all(list(entry) == names.split() for entry in entries)
        assert all(list(entry["risk_if"]) == ["low", "high"] for entry in told["unknown"])
        assert told["reasons"] == ()


def test_every_part_of_the_contract_was_looked_at(records):
    assert all(any(getattr(record, part) for record in records) for part in PARTS)


def test_the_record_is_json_that_comes_back_the_same(records):
    for record in records:
        text = record.to_json()
        assert "NaN" not in text
        assert "Infinity" not in text
        assert json.dumps(json.loads(text), ensure_ascii=False, indent=2) == text


def test_a_patient_id_is_told_last_and_only_when_there_is_one(records):
    told = replace(records[0], patient_id="Ä-7").to_dict()
    assert list(told) == [*CONTRACT, "patient_id"]
    assert json.loads(replace(records[0], patient_id="Ä-7").to_json())["patient_id"] == "Ä-7"


def test_a_refused_record_has_reasons_and_no_number(explainer):
    reasons = (Reason("out_of_range", "age", "age: 7 is too young"),)
    standing = (Caution("simulated", "Made up."),)
    told = Assessment.refused(reasons, explainer.identity, standing, "P1").to_dict()
    assert list(told) == [*CONTRACT, "patient_id"]
    assert told["status"] == "refused"
    assert told["reasons"] == (
        {"code": "out_of_range", "factor": "age", "message": "age: 7 is too young"},
    )
    assert all(told[name] is None for name in NUMBERS)
    assert not any(told[name] for name in ("contributions", "unknown", "actions"))
    assert told["cautions"] == ({"code": "simulated", "message": "Made up.", "factors": ()},)


def test_standing_cautions_come_first_in_every_record(records, explainer):
    standing = explainer.facts.cautions
    assert [caution.code for caution in standing] == ["simulated", "few_events"]
    assert all(record.cautions[:2] == standing for record in records)


def test_the_record_names_model_cohort_and_reference(records, explainer, trained):
    for record in records:
        assert record.model == explainer.identity
        assert record.cohort_risk == trained.facts.cohort_risk
        assert record.reference_risk == explainer.reference_risk
        assert record.reference_margin == trained.model.reference_margin
    assert records[0].model.outcome.startswith("failed back surgery syndrome")


# --- sentences -----------------------------------------------------------------------------------


def test_a_sentence_begins_with_the_factor_and_its_value(records, candidates, registry):
    for record, codes in zip(records, candidates, strict=False):
        for factor, code in zip(registry.factors, codes.tolist(), strict=True):
            said = own(record, factor.name).sentence
            assert said.startswith(f"{factor.label}: {factor.in_plain_words(code)}. ")


def test_no_sentence_speaks_of_a_cause_or_promises_a_lower_risk(records):
    for record in records:
        said = [c.sentence for c in record.contributions] + [a.sentence for a in record.actions]
        assert not [text for text in said if CAUSAL.search(text.lower())]


def test_a_sentence_says_the_direction_of_its_number(records, registry):
    for record in records:
        for one in record.contributions:
            factor = registry.by_name[one.factor]
            if one.value == factor.value_of(factor.reference_code):
                assert "As in the reference patient." in one.sentence
            elif abs(one.risk_points) < NEGLIGIBLE:
                assert "Hardly moves the estimate." in one.sentence
            else:
                assert ("aises the estimate" in one.sentence) == (one.risk_points > 0)
                assert ("owers the estimate" in one.sentence) == (one.risk_points < 0)
            assert ("What is expected of it" in one.sentence) <= (one.value is None)


def test_a_pathway_is_told_only_of_what_raises_the_risk(records):
    """Not of what raises it by a rounding error, as a factor that is as in the reference may."""
    told = [
        contribution.risk_points
        for record in records
        for contribution in record.contributions
        if "Possible pathway" in contribution.sentence
    ]
    assert told
    assert min(told) >= NEGLIGIBLE


def test_a_contribution_names_its_studies_once_and_its_mechanisms(records, registry):
    for contribution in records[0].contributions:
        factor = registry.by_name[contribution.factor]
        assert set(contribution.sources) == {e.source for e in factor.effects if e.source}
        assert len(set(contribution.sources)) == len(contribution.sources)
        assert len(contribution.mechanisms) == len(factor.mechanisms)


def test_mechanisms_after_the_horizon_say_so(records, registry):
    later = {m.phrase for m in registry.mechanisms if not m.within_horizon}
    for contribution in records[0].contributions:
        for phrase in contribution.mechanisms:
            assert (phrase.removesuffix(" (later)") in later) == phrase.endswith(" (later)")


def test_a_cohort_that_contradicts_the_literature_is_not_hidden(explainer, candidates):
    verdict = replace(explainer.facts.agreement[0], multiple=-1.0, low=-2.0, high=-0.5)
    agreement = (verdict, *explainer.facts.agreement[1:])
    contrary = replace(explainer, facts=replace(explainer.facts, agreement=agreement))
    name = explainer.model.registry.names[0]
    said = own(contrary.explain(contrary.score(candidates[:1]), 0), name)
    assert said.agreement == "disagrees"
    assert "contradicts the literature" in said.sentence


# --- unknown -------------------------------------------------------------------------------------


def test_unknown_smoking_is_not_the_same_as_non_smoker(assess):
    never = own(assess(smoking_status="never"), "smoking_status")
    unknown = own(assess(smoking_status=math.nan), "smoking_status")
    assert never.value == "never"
    assert unknown.value is None
    assert unknown.log_odds > never.log_odds + 0.01
    assert unknown.from_literature > never.from_literature + 0.01


@given(data=st.data())
def test_not_known_is_told_apart_from_no(explainer, registry, data):
    """Of any yes/no factor, whatever else is known: the value, the list and the numbers differ."""
    binary = [factor for factor in registry.factors if factor.kind == "binary"]
    factor = data.draw(st.sampled_from(binary))
    index = registry.names.index(factor.name)
    rows = np.tile(data.draw(rows_of(registry)), (2, 1))
    rows[:, index] = [math.nan, factor.level_codes["no"]]
    scores = explainer.score(rows)
    unknown, no = (explainer.explain(scores, row) for row in range(2))
    assert own(unknown, factor.name).value is None
    assert own(no, factor.name).value == "no"
    assert factor.name in {entry.factor for entry in unknown.unknown}
    assert factor.name not in {entry.factor for entry in no.unknown}
    if np.ptp(explainer.model.effects(index)) > 1e-6:
        assert own(unknown, factor.name).log_odds != own(no, factor.name).log_odds


def test_unknown_are_exactly_the_factors_without_a_value(records):
    for record in records:
        listed = [entry.factor for entry in record.unknown]
        missing = [c.factor for c in record.contributions if c.value is None]
        assert sorted(listed) == sorted(missing)


def test_what_could_move_the_answer_most_stands_first(records):
    for record in records:
        reach = [entry.high - entry.low for entry in record.unknown]
        assert all(width >= 0 for width in reach)
        assert np.round(reach, 12).tolist() == sorted(np.round(reach, 12), reverse=True)


def test_the_risk_lies_between_the_ends_of_any_unknown_yes_no(explainer, registry):
    """Where both answers are possible; what is expected is a mean of the two."""
    binary = [i for i, factor in enumerate(registry.factors) if factor.kind == "binary"]
    rows = np.tile(reference_row(registry), (len(binary), 1))
    rows[np.arange(len(binary)), binary] = math.nan
    scores = explainer.score(rows)
    for row, index in enumerate(binary):
        if scores.rows.guesses[index].chances.min() >= POSSIBLE[0]:
            (entry,) = explainer.explain(scores, row).unknown
            assert entry.low - 1e-12 <= scores.risk[row] <= entry.high + 1e-12, entry.factor


def possible(chance, values):
    """The values that are likely themselves, or between the outer twentieths; as one would."""
    upto = below = 0.0
    for value, share in zip(values, chance, strict=True):
        below, upto = upto, upto + share
        if share >= POSSIBLE[0] or (upto > POSSIBLE[0] and below < POSSIBLE[1]):
            yield value


def test_risk_if_is_the_risk_with_the_factor_at_each_possible_value(explainer, records, scores):
    """By brute force: the completed row, one factor set to one value after the other."""
    model = explainer.model
    for row, record in enumerate(records[:25]):
        told = {entry.factor: entry for entry in record.unknown}
        for index, guess in scores.rows.guesses.items():
            if row not in guess.rows:
                continue
            chance = guess.chances[np.flatnonzero(guess.rows == row)[0]]
            risks = []
            for value in possible(chance, model.population.bins.codes[index]):
                codes, columns = scores.rows.codes[[row]].copy(), scores.rows.columns[[row]].copy()
                codes[0, index] = value
                part = model.encoding.slices[index]
                columns[0, part] = model.encoding.tabulate(index, np.array([value]))
                changed = replace(scores.rows, codes=codes, columns=columns)
                risks.append(expit(model.margin(changed)))
            entry = told.pop(model.registry.names[index])
            assert entry.low == pytest.approx(np.min(risks), abs=1e-12)
            assert entry.high == pytest.approx(np.max(risks), abs=1e-12)
        assert not told


def test_one_in_twenty_is_possible():
    assert POSSIBLE == (0.05, 0.95)


def test_what_is_assumed_of_an_unknown_is_said_in_words(records, registry):
    for record in records[:30]:
        for entry in record.unknown:
            if registry.by_name[entry.factor].is_numeric:
                assert entry.assumed.endswith("on average")
            else:
                likely = re.fullmatch(r".+ \((\d+)% likely\)", entry.assumed)
                assert 0 < int(likely[1]) <= 100


def test_of_a_patient_of_whom_nothing_is_known_every_factor_is_unknown(assess, registry):
    record = assess(np.full(len(registry.names), np.nan))
    assert len(record.unknown) == len(registry.names)
    assert record.interval.high - record.interval.low > 0.15
    assert not record.actions


# --- actions -------------------------------------------------------------------------------------


def test_actions_are_only_about_recorded_values_that_can_be_changed(records, registry):
    seen = set()
    for record in records:
        for action in record.actions:
            factor, value = registry.by_name[action.factor], own(record, action.factor).value
            assert value is not None
            assert factor.modifiable.extent != "no"
            assert action.sentence.startswith(factor.modifiable.action)
            assert action.sources == factor.modifiable.sources
            if factor.modifiable.above is not None:
                assert value > factor.modifiable.above
            elif factor.modifiable.applies_to:
                assert value in factor.modifiable.applies_to
            else:
                assert value != factor.value_of(factor.reference_code)
            seen.add(action.factor)
    assert len(seen) > 3


def test_every_action_of_the_registry_is_given_to_whom_it_is_for(assess, registry):
    for factor in registry.factors:
        plan = factor.modifiable
        if plan.extent == "no" or not plan.action:
            continue
        # The value farthest from the reference in the harmful direction, or one it is named for.
        harmful = factor.bounds[1] if factor.sign >= 0 else factor.bounds[0]
        if plan.applies_to:
            harmful = factor.level_codes[plan.applies_to[-1]]
        record = assess(**{factor.name: harmful})
        assert [a.factor for a in record.actions if a.factor == factor.name] == [factor.name]
        unknown = assess(**{factor.name: math.nan})
        assert factor.name not in {action.factor for action in unknown.actions}


def test_the_reference_patient_needs_only_what_is_meant_for_everybody(assess, registry):
    for action in assess().actions:
        factor = registry.by_name[action.factor]
        assert factor.reference in factor.modifiable.applies_to


# --- another registry ----------------------------------------------------------------------------


def test_rows_from_all_over_a_registry_leave_the_impossible_out(tiny):
    rows = any_rows(tiny, 500, 1)
    smoking, pack_years = (rows[:, tiny.names.index(n)] for n in ("smoking", "pack_years"))
    assert not ((smoking == 0) & (pack_years > 0)).any()
    assert np.isnan(rows).any(axis=0).all()


@given(data=st.data())
def test_one_more_answer_leaves_the_record_sound(explainer, registry, data):
    codes = data.draw(rows_of(registry))
    assume(np.isnan(codes).any())
    record = explainer.explain(explainer.score(codes[None]), 0)
    assert total(record, "risk_points") == pytest.approx(
        record.risk - record.reference_risk, abs=1e-9
    )
    assert record.interval.low <= record.risk <= record.interval.high
    assert all(0 <= entry.low <= entry.high <= 1 for entry in record.unknown)
    json.loads(record.to_json())
