from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.cohorts.definitions import compare_definitions
from spinecast.cohorts.outcome import derive, labels
from spinecast.errors import UsageRefused
from spinecast.knowledge.endpoint import Definition
from spinecast.knowledge.rules import parse

NAN = math.nan
scores = st.one_of(st.just(NAN), st.integers(0, 10).map(float))
yes_no = st.sampled_from([NAN, 0.0, 1.0])
one_patient = st.tuples(scores, scores, yes_no, st.one_of(st.just(NAN), st.floats(0, 900)))


def columns(registry, rows) -> dict[str, np.ndarray]:
    """Everything unknown but pain before and after, revision, and days to the follow-up."""
    count = len(rows)
    names = [*registry.names, *(column.name for column in registry.outcome.columns)]
    table = {name: np.full(count, NAN) for name in names}
    table["index_date"] = np.full(count, 18_000.0)
    before, after, revision, days = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    table |= {"pain": before, "pain_followup": after, "revision": revision}
    return {**table, "followup_date": 18_000 + days}


def one(registry, before=NAN, after=NAN, revision=NAN, days=365.0, definition=None) -> float:
    (failed,) = derive(registry, columns(registry, [(before, after, revision, days)]), definition)
    return float(failed)


# --- laws ----------------------------------------------------------------------------------------


@given(st.lists(one_patient, min_size=2, max_size=8))
def test_nobody_elses_followup_changes_an_outcome(tiny, rows):
    together = derive(tiny, columns(tiny, rows))
    alone = [one(tiny, *row) for row in rows]
    np.testing.assert_array_equal(together, alone)


@given(st.lists(one_patient, min_size=1, max_size=8))
def test_counts_agree_with_the_labels(tiny, rows):
    table = columns(tiny, rows)
    for count in compare_definitions(tiny, table):
        judged = labels(tiny, table, count.name)
        assert (count.known, count.failures) == (judged.known, judged.failures)
        assert count.failures <= count.known <= len(rows)
        assert count.share == (count.failures / count.known if count.known else None)


@given(one_patient)
def test_more_pain_afterwards_never_turns_failure_into_success(tiny, row):
    before, after, revision, days = row
    for worse in np.arange(0 if math.isnan(after) else after, 11):
        assert not one(tiny, *row) > one(tiny, before, worse, revision, days)


def test_every_definition_of_the_registry_can_be_judged(registry):
    names = [*registry.names, *(column.name for column in registry.outcome.columns), "index_date"]
    nobody = {name: np.array([NAN]) for name in names}
    counts = compare_definitions(registry, nobody)
    assert [count.name for count in counts] == list(registry.outcome.definitions)
    assert {(count.known, count.failures, count.share) for count in counts} == {(0, 0, None)}


def test_no_followup_is_never_a_success(registry):
    """Whatever is known before surgery, without follow-up columns the outcome is unknown."""
    reference = {f.name: np.array([f.reference_code]) for f in registry.factors}
    unseen = {column.name: np.array([NAN]) for column in registry.outcome.columns}
    for name in registry.outcome.definitions:
        table = {**reference, **unseen, "index_date": np.array([0.0])}
        assert np.isnan(derive(registry, table, name)).all()


def test_an_outcome_reads_follow_up_only_from_its_columns(registry):
    """Every name a definition may use is a factor, a follow-up column or a quantity of them."""
    spec = registry.outcome
    allowed = {factor.name: factor.level_codes for factor in registry.factors}
    allowed |= {c.name: {"no": 0.0, "yes": 1.0} if c.kind == "yes_no" else {} for c in spec.columns}
    for name, text in spec.quantities.items():
        parse(text, allowed, arithmetic=True)
        allowed[name] = {}
    for definition in spec.definitions.values():
        parse(definition.failure, allowed)


# --- examples ------------------------------------------------------------------------------------


def test_failure_is_little_gain_with_pain_or_a_revision(tiny):
    assert one(tiny, before=8, after=7, revision=0) == 1
    assert one(tiny, before=8, after=2, revision=0) == 0
    assert one(tiny, before=8, after=2, revision=1) == 1
    assert one(tiny, revision=1) == 1
    assert math.isnan(one(tiny, before=8, revision=0))
    assert math.isnan(one(tiny, before=8, after=2))


def test_a_share_of_no_pain_is_unknown_but_no_pain_afterwards_settles_it(tiny):
    assert math.isnan(one(tiny, before=0, after=5, revision=0))
    assert one(tiny, before=0, after=0, revision=0) == 0


@pytest.mark.parametrize(
    ("days", "counts"), [(273, False), (274, True), (456, True), (457, False), (NAN, True)]
)
def test_scores_count_from_nine_to_fifteen_months(tiny, days, counts):
    table = columns(tiny, [(8.0, 7.0, 0.0, days)])
    judged = labels(tiny, table)
    assert judged.known == int(counts)
    assert judged.outside_window == int(not counts)


def test_a_revision_counts_whenever_it_was_asked(tiny):
    assert one(tiny, before=8, after=1, revision=1, days=30) == 1


def test_without_a_window_every_followup_counts(tiny):
    spec = tiny.outcome.model_copy(update={"window_months": None})
    anytime = tiny.model_copy(update={"outcome": spec})
    assert one(anytime, before=8, after=7, revision=0, days=30) == 1


def test_an_unknown_definition_is_refused_and_the_known_are_named(tiny):
    with pytest.raises(UsageRefused, match="allowed: failed, painful"):
        derive(tiny, columns(tiny, [(1, 1, 0, 365)]), "failure")


def test_all_rules_that_cannot_be_understood_are_told(tiny):
    broken = {"quantities": {"gain": "pian - 1", "half": "gain / 2"}}
    broken["definitions"] = {
        "one": Definition(title="-", failure="half > 1 and smokin == 'never'"),
        "two": Definition(title="-", failure="gain"),
    }
    spec = tiny.outcome.model_copy(update=broken)
    with pytest.raises(UsageRefused) as refused:
        compare_definitions(
            tiny.model_copy(update={"outcome": spec}), columns(tiny, [(1, 1, 0, 365)])
        )
    assert [problem.where for problem in refused.value.problems] == [
        "outcome.toml quantities.gain",
        "outcome.toml definitions.one",
        "outcome.toml definitions.two",
    ]


# --- definitions side by side --------------------------------------------------------------------


def test_a_definition_agrees_wholly_with_itself(tiny):
    table = columns(tiny, [(5, 1, 0, 365), (5, 5, 0, 365), (NAN, 3, 1, 365), (5, NAN, NAN, 365)])
    first = next(one for one in compare_definitions(tiny, table) if one.name == "failed")
    assert (first.both_known, first.agreement, first.kappa) == (first.known, 1.0, 1.0)


def test_agreement_is_counted_where_both_are_known(tiny):
    # failed: no, yes, yes (revised), unknown; painful: no, yes, no, yes.
    rows = [(8, 1, 0, 365), (5, 5, 0, 365), (NAN, 3, 1, 365), (NAN, 9, 0, 365)]
    by_name = {one.name: one for one in compare_definitions(tiny, columns(tiny, rows))}
    painful = by_name["painful"]
    assert (painful.known, painful.failures) == (4, 2)
    assert (painful.both_known, painful.agreement) == (3, pytest.approx(2 / 3))
    # By hand: failures 1/3 and 2/3, so chance agrees in 2/9 + 2/9 = 4/9; (2/3 - 4/9) / (5/9) = 0.4.
    assert painful.kappa == pytest.approx(0.4)
    against = {one.name: one for one in compare_definitions(tiny, columns(tiny, rows), "painful")}
    assert against["failed"].agreement == painful.agreement


def test_every_unknown_outcome_has_a_reason(tiny):
    rows = [
        (NAN, 9, 0, 365),  # no baseline
        (5, NAN, NAN, 365),  # no follow-up at all
        (5, 5, NAN, 900),  # seen too late
        (0, 9, 0, 365),  # a share of nothing
    ]
    by_name = {one.name: one for one in compare_definitions(tiny, columns(tiny, rows))}
    assert by_name["failed"].unknown == 4
    assert by_name["failed"].why_unknown == {
        "pain": 1,
        "pain_followup": 1,
        "revision": 1,
        "seen outside the window": 1,
        "cannot be calculated": 1,
    }
    assert by_name["painful"].why_unknown == {"pain_followup": 1, "seen outside the window": 1}


@given(st.lists(one_patient, min_size=1, max_size=8))
def test_unknown_and_known_are_all_and_unknown_ones_say_why(tiny, rows):
    for count in compare_definitions(tiny, columns(tiny, rows)):
        assert count.known + count.unknown == len(rows)
        assert bool(count.why_unknown) == bool(count.unknown)
        assert sum(count.why_unknown.values()) >= count.unknown
