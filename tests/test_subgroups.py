"""Every patient counts in one group of each kind, and a group that is worse looks worse."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spinecast.cohorts.grouping import NOT_KNOWN, groupings
from spinecast.disclosure import FEWEST
from spinecast.judging.subgroups import FEWEST_OF_A_KIND, subgroups
from spinecast.measures.closed_form import measured
from spinecast.measures.logistic import expit, logit
from spinecast.simulator.synthetic import simulate


@pytest.fixture(scope="module")
def made(registry):
    """3,000 patients whose risks are known, and outcomes drawn from them."""
    cohort = simulate(registry, 3000, 3).cohort()
    random = np.random.default_rng(1)
    risk = expit(random.normal(-1.2, 1, len(cohort)))
    return cohort, (random.random(len(cohort)) < risk) * 1.0, risk


@pytest.fixture(scope="module")
def told(made):
    return subgroups(*made)


def _by(told, by):
    return [group for group in told.groups if group.by == by]


def _column(cohort, name):
    return cohort.codes[:, cohort.registry.names.index(name)]


# Laws


def test_groups_of_a_kind_share_no_patient_and_leave_none_out(made):
    cohort, y, _ = made
    ways = groupings(cohort, y)
    assert [way.by for way in ways] == ["site", "period", *cohort.registry.subgroups]
    for way in ways:
        assert np.stack([way.members(name) for name in way.names]).sum(axis=0).tolist() == (
            [1] * len(cohort)
        )
        assert all(way.members(name).any() for name in way.names)


def test_the_order_of_patients_changes_nothing(made, told):
    cohort, y, risk = made
    order = np.random.default_rng(2).permutation(len(cohort))
    again = subgroups(cohort.take(order), y[order], risk[order])
    for one, other in zip(told.groups, again.groups, strict=True):
        assert (one.group, one.patients, one.events) == (other.group, other.patients, other.events)
        for a, b in zip(one.measures, other.measures, strict=True):
            assert a.measured.value == pytest.approx(b.measured.value)


def test_where_the_model_is_right_everywhere_no_more_differs_than_chance_makes(told):
    apart = [
        one.against_rest.is_established
        for group in told.groups
        for one in group.measures
        if one.against_rest
    ]
    assert len(apart) > 60
    assert np.mean(apart) < 0.15


def test_no_count_of_a_few_and_no_group_judged_on_few(made):
    cohort, y, risk = made
    for size in (12, 60, 150, 300):
        few = subgroups(cohort.take(np.arange(size)), y[:size], risk[:size])
        for group in (few.overall, *few.groups):
            for count in (group.patients, group.events):
                assert count is None or count == 0 or count >= FEWEST
            if None not in (group.patients, group.events) and not group.suppressed:
                others = group.patients - group.events
                assert min(group.events, others) >= FEWEST_OF_A_KIND
            assert bool(group.suppressed) is not bool(group.measures)


def test_patients_without_outcome_or_risk_do_not_count(made):
    cohort, y, risk = made
    y, risk = y.copy(), risk.copy()
    y[:500], risk[500:900] = np.nan, np.nan
    assert subgroups(cohort, y, risk).to_dict() == (
        subgroups(cohort.take(np.arange(900, 3000)), y[900:], risk[900:]).to_dict()
    )


def test_a_comparison_without_an_interval_is_not_counted(made):
    """One risk for everyone has no slope, so each judged group is compared in four measures."""
    cohort, y, risk = made
    told = subgroups(cohort, y, risk * 0 + y.mean())
    compared = [
        one.against_rest
        for group in told.judged
        for one in group.measures
        if one.against_rest is not None and np.isfinite(one.against_rest.low)
    ]
    assert 0 < len(compared) < sum(len(group.measures) for group in told.judged)
    assert f" of {len(compared)} comparisons" in told.summary
    assert told.in_words.startswith(told.summary)


# Examples


def test_a_group_is_judged_alone(made, told):
    cohort, y, risk = made
    women = _column(cohort, "sex") == 1
    group = next(group for group in _by(told, "sex") if group.group == "female")
    assert (group.patients, group.events) == (women.sum(), y[women].sum())
    alone = measured(y[women], risk[women])
    assert tuple(one.measured for one in group.measures) == alone


def test_the_group_whose_risks_are_too_low_is_found(made):
    cohort, y, risk = made
    women = _column(cohort, "sex") == 1
    told = subgroups(cohort, y, np.where(women, expit(logit(risk) - 1), risk))
    female = next(group for group in _by(told, "sex") if group.group == "female")
    assert female["calibration_intercept"].against_rest.low > 0
    assert female["observed_expected"].against_rest.low > 1
    assert female["calibration_intercept"].measured.value == pytest.approx(1, abs=0.3)
    assert "Observed / expected, sex female" in told.in_words


def test_age_is_cut_at_its_tertiles_in_whole_years(made, told):
    cohort, _, _ = made
    age = _column(cohort, "age")
    low, high = np.rint(np.nanquantile(age, [1 / 3, 2 / 3]))
    names = [group.group for group in _by(told, "age")]
    assert names[:3] == [
        f"below {low:g} years",
        f"from {low:g} years, below {high:g} years",
        f"from {high:g} years",
    ]
    assert _by(told, "age")[0].patients == (age < low).sum()
    assert names[3:] == ([NOT_KNOWN] if np.isnan(age).any() else [])


def test_years_of_few_patients_give_way_to_thirds(made):
    cohort, y, risk = made
    years = [group.group for group in _by(subgroups(cohort, y, risk), "period")]
    assert years[0].isdigit()
    few = cohort.take(np.arange(40))
    thirds = [group.group for group in _by(subgroups(few, y[:40], risk[:40]), "period")]
    assert [name.split()[0] for name in thirds] == ["before", "from", "from"]


def test_one_site_and_no_dates_are_said(made):
    cohort, y, risk = made
    dateless = np.full(len(cohort), np.datetime64("NaT", "D"))
    bare = replace(cohort, site=np.full(len(cohort), "A", dtype=object), index_date=dateless)
    told = subgroups(bare, y, risk)
    assert [note.split(":")[0] for note in told.notes] == ["Not by site", "Not by period"]
    assert told.groups


def test_a_registry_that_names_no_subgroups_gets_none(tiny):
    cohort = simulate(tiny, 200, 1).cohort()
    y = np.arange(200) % 2.0
    told = subgroups(cohort, y, np.full(200, 0.5))
    assert {group.by for group in told.groups} <= {"site", "period"}
    assert any("names none" in note for note in told.notes)


def test_one_class_constant_risks_and_nobody_still_come_out(made):
    cohort, y, risk = made
    for outcome, risks in ((y * 0, risk), (y, risk * 0 + 0.2), (y * np.nan, risk), (y, y)):
        told = subgroups(cohort, outcome, risks)
        json.dumps(told.to_dict(), allow_nan=False)
        assert told.to_dict()["method"]
        assert told.in_words


def test_rows_that_do_not_fit_are_refused(made):
    cohort, y, risk = made
    with pytest.raises(ValueError, match="the cohort has 3000"):
        subgroups(cohort, y[:5], risk[:5])
