"""Simulated patients keep their story straight: risk, then outcome, then a file that agrees."""

import math

import numpy as np
import pytest
from scipy import stats

from spinecast.cohorts import cohort as cohorts
from spinecast.cohorts.outcome import DAYS_A_MONTH, derive
from spinecast.distribution.population import Population
from spinecast.knowledge.rules import parse
from spinecast.knowledge.simulation import FollowUp
from spinecast.measures.logistic import logit
from spinecast.measures.metrics import auroc
from spinecast.modelling.features import spread
from spinecast.simulator.synthetic import simulate
from spinecast.simulator.truth import draw_truth, intercept_for


@pytest.fixture(scope="module")
def simulated(registry):
    return simulate(registry, 6000, 7)


def changed(registry, **simulation):
    return registry.model_copy(
        update={"simulation": registry.simulation.model_copy(update=simulation)}
    )


@pytest.fixture(scope="module")
def full(registry):
    """The registry with its published effects at full size."""
    return changed(registry, attenuation=1.0)


@pytest.fixture(scope="module")
def unbound(full):
    """Truths that no declared direction binds."""
    return [draw_truth(full, seed, directions_hold=False) for seed in range(20)]


def as_csv(simulated):
    return simulated.frame().to_csv(index=False) + simulated.truth_frame().to_csv(index=False)


def holds(registry, rule, codes):
    levels = {factor.name: factor.level_codes for factor in registry.factors}
    columns = {name: codes[:, column] for column, name in enumerate(registry.names)}
    return parse(rule, levels).holds(columns) == 1


# --- the story -------------------------------------------------------------------------------


def test_the_same_seed_writes_the_same_file(registry):
    assert as_csv(simulate(registry, 300, 5)) == as_csv(simulate(registry, 300, 5))
    assert as_csv(simulate(registry, 300, 5)) != as_csv(simulate(registry, 300, 6))


def test_the_outcome_derived_from_the_file_is_the_outcome_that_happened(registry, simulated):
    failed = derive(registry, simulated.cohort().columns())
    known = ~np.isnan(failed)
    np.testing.assert_array_equal(failed[known], simulated.outcome[known])
    came_back = ~np.isnan(simulated.followup["odi_followup"])
    has_baseline = ~np.isnan(simulated.codes[:, registry.names.index("odi_baseline")])
    assert not known[~came_back].any()
    assert known[came_back & has_baseline].all()


def test_as_many_fail_as_their_risks_say(simulated):
    for group in np.array_split(np.argsort(simulated.true_risk), 8):
        risk = simulated.true_risk[group]
        away = simulated.outcome[group].sum() - risk.sum()
        assert abs(away) < 4 * np.sqrt((risk * (1 - risk)).sum())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_mean_risk_is_the_base_rate(registry, seed):
    risk = simulate(registry, 20_000, seed).true_risk
    assert risk.mean() == pytest.approx(registry.base_rate.value, abs=0.006)


def test_a_file_is_accepted_whole_and_read_back_as_it_was(registry, simulated, tmp_path):
    path = tmp_path / "cohort.csv"
    cohorts.write_table(simulated.frame(), path)
    read = cohorts.check(path, registry)
    assert not list(read.rejected.problems())
    expected = simulated.cohort()
    np.testing.assert_array_equal(read.accepted.codes, expected.codes)
    np.testing.assert_array_equal(read.accepted.site, expected.site)
    np.testing.assert_array_equal(read.accepted.patient_id, expected.patient_id)
    np.testing.assert_array_equal(read.accepted.index_date, expected.index_date)
    for name, column in expected.outcome.items():
        np.testing.assert_array_equal(read.accepted.outcome[name], column)


def test_no_patient_contradicts_itself(registry, simulated, tiny):
    for described, codes in (
        (registry, simulated.complete),
        (tiny, simulate(tiny, 2000, 1).complete),
    ):
        for impossible in described.impossible:
            assert not holds(described, impossible.rule, codes).any()


def test_days_are_in_order_and_within_the_window(registry, simulated):
    simulation, operated = registry.simulation, simulated.index_date
    assert operated.min() >= np.datetime64(simulation.first_index_date)
    assert operated.max() <= np.datetime64(simulation.last_index_date)
    waited = simulated.followup["followup_date"] - operated.astype(np.int64)
    months = waited[~np.isnan(waited)] / DAYS_A_MONTH
    assert months.min() >= registry.outcome.window_months[0]
    assert months.max() <= registry.outcome.window_months[1]
    assert months.mean() == pytest.approx(12, abs=0.2)


def test_scores_stay_within_their_scales(registry, simulated):
    for column in registry.outcome.columns:
        values = simulated.followup.get(column.name)
        if values is not None and column.range is not None:
            assert np.nanmin(values) >= column.range[0]
            assert np.nanmax(values) <= column.range[1]


def test_those_who_fail_report_more_pain_and_disability(simulated):
    failed = simulated.outcome == 1
    for name in ("odi_followup", "nrs_back_followup", "nrs_leg_followup", "revision_for_pain"):
        values = simulated.followup[name]
        assert np.nanmean(values[failed]) > np.nanmean(values[~failed])


def test_nobody_may_be_simulated(registry):
    nobody = simulate(registry, 0, 1)
    assert len(nobody) == len(nobody.frame()) == len(nobody.cohort()) == 0


def test_a_follow_up_that_cannot_agree_is_unknown_and_counted(registry):
    healed = tuple(
        FollowUp(column=plan.column, baseline=plan.baseline, success=(0.0, 0.0), failure=(0.0, 0.0))
        for plan in registry.simulation.followup
    )
    simulated = simulate(changed(registry, followup=healed), 300, 1, lost=0.0)
    failed = simulated.outcome == 1
    assert simulated.unresolved == failed.sum() > 0
    np.testing.assert_array_equal(np.isnan(simulated.followup["odi_followup"]), failed)


# --- the truth -------------------------------------------------------------------------------


def test_without_heterogeneity_the_truth_is_what_was_published(full):
    truth = draw_truth(full, 1, heterogeneity=0.0)
    for factor in full.factors:
        curve, prior = truth.by_name[factor.name], factor.prior
        assert curve.at(np.array([factor.reference_code]))[0] == pytest.approx(0, abs=1e-12)
        if prior is None:
            assert not curve.log_odds.any()
            continue
        for level, ratio in prior.levels.items():
            at = curve.at(np.array([factor.level_codes[level]]))[0]
            assert at == pytest.approx(math.log(ratio))
        for step, ratio in prior.steps.items():
            assert curve.at(np.array([float(step)]))[0] == pytest.approx(math.log(ratio))
        if prior.odds_ratio is not None:
            high = np.array([factor.bounds[1] - prior.per, factor.bounds[1]])
            assert np.diff(curve.at(high))[0] == pytest.approx(math.log(prior.odds_ratio))


def test_true_effects_lie_around_the_published_ones_as_far_as_studies_lie_apart(full, unbound):
    published = draw_truth(full, 0, heterogeneity=0.0)
    away = []
    for truth in unbound:
        for factor in full.factors:
            gap = truth.by_name[factor.name].log_odds - published.by_name[factor.name].log_odds
            if factor.is_numeric and not (factor.prior and factor.prior.steps):
                per_two_sd = 2 * spread(factor) / np.ptp(published.by_name[factor.name].points[-2:])
                away.append((gap[-1] - gap[-2]) * per_two_sd)
            else:
                away.extend(gap[published.by_name[factor.name].points != factor.reference_code])
    assert np.mean(away) == pytest.approx(0, abs=0.02)
    assert np.std(away) == pytest.approx(full.evidence.heterogeneity, rel=0.08)


def against_direction(factor, curve):
    """How far a curve runs against its factor's direction; 0 when it does not."""
    heights = factor.sign * curve.log_odds
    below = heights[0] if factor.kind == "nominal" else heights[:-1]
    return max(0.0, float(np.max(below - heights[1:])))


def test_a_declared_direction_holds_in_the_truth_unless_it_is_let_go(registry, full, unbound):
    directed = [factor for factor in registry.factors if factor.sign]
    for described in (registry, full):
        for sign in (1, -1):
            truth = draw_truth(described, 1, evidence_sign=sign)
            for factor in directed:
                turned = factor.model_copy(
                    update={"direction": factor.direction if sign > 0 else _turned[factor.sign]}
                )
                assert against_direction(turned, truth.by_name[factor.name]) < 1e-12
    broken = [
        against_direction(factor, truth.by_name[factor.name]) > 0
        for truth in unbound
        for factor in directed
    ]
    assert 0.02 < np.mean(broken) < 0.6


_turned = {1: "decreasing", -1: "increasing"}


def test_attenuated_effects_are_that_share_of_the_published_ones(registry, full):
    weak = draw_truth(changed(registry, attenuation=0.5), 1, heterogeneity=0.0)
    strong = draw_truth(full, 1, heterogeneity=0.0)
    for curve, other in zip(weak.curves, strong.curves, strict=True):
        np.testing.assert_allclose(curve.log_odds, 0.5 * other.log_odds, atol=1e-12)


def test_evidence_turned_upside_down_is_the_opposite(registry):
    right, wrong = (
        draw_truth(registry, 1, heterogeneity=0.0, evidence_sign=sign) for sign in (1, -1)
    )
    for curve, opposite in zip(right.curves, wrong.curves, strict=True):
        np.testing.assert_allclose(curve.log_odds, -opposite.log_odds, atol=1e-12)


def test_where_a_departure_holds_its_odds_ratio_is_added(registry, simulated):
    rules = registry.simulation.departures
    additive = draw_truth(changed(registry, departures=()), 7)
    more = simulated.truth.margin(simulated.complete, simulated.site)
    less = additive.margin(simulated.complete, simulated.site)
    expected = sum(
        math.log(told.odds_ratio) * holds(registry, told.rule, simulated.complete) for told in rules
    )
    added = more - less - (simulated.truth.intercept - additive.intercept)
    np.testing.assert_allclose(added, expected, atol=1e-9)
    assert np.ptp(expected) > 0


def test_risks_differ_between_hospitals_as_declared(registry):
    effects = np.concatenate(
        [draw_truth(changed(registry, site_sd=0.5, sites=40), seed).sites for seed in range(4)]
    )
    assert effects.std() == pytest.approx(0.5, rel=0.12)
    truth, codes = draw_truth(changed(registry, site_sd=0.5), 1), simulate(registry, 9, 1).complete
    there, here = (truth.margin(codes, np.full(9, site)) for site in (1, 0))
    np.testing.assert_allclose(there - here, truth.sites[1] - truth.sites[0])


def test_one_truth_has_many_cohorts(registry):
    first, second = (simulate(registry, 200, seed, truth_seed=9) for seed in (1, 2))
    assert first.truth.intercept == second.truth.intercept
    for curve, other in zip(first.truth.curves, second.truth.curves, strict=True):
        np.testing.assert_array_equal(curve.log_odds, other.log_odds)
    assert not np.array_equal(first.complete, second.complete)
    np.testing.assert_array_equal(second.true_risk, first.truth.risk(second.complete, second.site))


def test_no_score_does_better_than_the_true_risk(simulated):
    found = auroc(simulated.outcome, simulated.true_risk)
    assert found == pytest.approx(simulated.best_auroc, abs=0.02)
    rng = np.random.default_rng(0)
    blurred = simulated.true_risk * np.exp(rng.normal(0, 0.7, len(simulated)))
    assert auroc(simulated.outcome, blurred) < found


def test_the_simulated_cohort_is_no_easier_than_reality(registry):
    ceilings = [simulate(registry, 10_000, seed).best_auroc for seed in range(7)]
    assert 0.72 <= np.median(ceilings) <= 0.78


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.9])
def test_an_intercept_brings_the_mean_risk_to_any_rate(rate):
    margin = np.random.default_rng(0).normal(size=1000)
    risk = 1 / (1 + np.exp(-(margin + intercept_for(margin, rate))))
    assert risk.mean() == pytest.approx(rate, abs=1e-9)


# --- what is not recorded --------------------------------------------------------------------


def test_blank_answers_are_as_frequent_as_declared_and_hide_what_was_true(registry):
    simulation = registry.simulation
    simulated = simulate(registry, 20_000, 3)
    known = ~np.isnan(simulated.codes)
    np.testing.assert_array_equal(simulated.codes[known], simulated.complete[known])
    assert not np.isnan(simulated.complete).any()
    for column, name in enumerate(registry.names):
        declared = simulation.missing_share.get(name, simulation.missing)
        # A little more, because one of the hospitals is careless.
        assert 0.9 * declared - 0.002 < 1 - known[:, column].mean() < 1.35 * declared + 0.003


def test_leaving_answers_blank_changes_nothing_else(registry):
    full, blank = (simulate(registry, 400, 3, missing=share) for share in (0.0, 0.5))
    np.testing.assert_array_equal(full.codes, full.complete)
    np.testing.assert_array_equal(full.complete, blank.complete)
    np.testing.assert_array_equal(full.true_risk, blank.true_risk)
    np.testing.assert_array_equal(full.outcome, blank.outcome)
    assert 0.45 < np.isnan(blank.codes).mean() < 0.65


def test_as_many_are_lost_as_declared_and_some_kinds_of_patient_more_often(registry):
    simulated = simulate(registry, 20_000, 3)
    lost = np.isnan(simulated.followup["odi_followup"])
    assert lost.mean() == pytest.approx(registry.simulation.lost, abs=0.015)
    for told in registry.simulation.lost_more:
        more = holds(registry, told.rule, simulated.complete)
        table = [[lost[more].sum(), (~lost[more]).sum()], [lost[~more].sum(), (~lost[~more]).sum()]]
        assert stats.contingency.odds_ratio(np.array(table)).statistic > 1


def test_without_loss_everyone_comes_back(registry):
    simulated = simulate(registry, 500, 3, lost=0.0)
    assert simulated.unresolved == 0
    assert not np.isnan(np.column_stack(list(simulated.followup.values()))).any()


def test_simulated_patients_look_like_the_population(registry):
    population = Population.from_registry(registry)
    codes = simulate(registry, 20_000, 4).complete
    bins = population.bins.of(codes)
    for column, name in enumerate(registry.names):
        expected = population.weights @ population.shares[:, column, : population.bins.size[column]]
        if name == registry.stratum:
            expected = population.weights
        share = np.bincount(bins[:, column], minlength=len(expected)) / len(codes)
        np.testing.assert_allclose(share, expected, atol=0.015)


# --- other hospitals ------------------------------------------------------------------------------


def test_a_hospital_may_fail_more_often_with_the_same_effects(registry):
    usual, often = (
        simulate(registry, 5_000, 3, truth_seed=1, base_rate=rate) for rate in (None, 0.4)
    )
    assert np.array_equal(usual.complete, often.complete)
    moved = logit(often.true_risk) - logit(usual.true_risk)
    assert np.ptp(moved) < 1e-9
    assert often.true_risk.mean() == pytest.approx(0.4, abs=0.02)


def test_a_hospital_may_operate_on_others_by_the_same_truth(registry):
    usual, other = (
        simulate(registry, 5_000, 3, truth_seed=1, case_mix=case_mix) for case_mix in (0.0, 0.3)
    )
    assert other.truth.intercept == usual.truth.intercept
    apart = (other.complete.mean(axis=0) - usual.complete.mean(axis=0)) / usual.complete.std(axis=0)
    assert 0.15 < np.sqrt((apart**2).mean()) < 0.6
    again = simulate(registry, 5_000, 4, truth_seed=1, case_mix=0.3)
    same = (again.complete.mean(axis=0) - other.complete.mean(axis=0)) / usual.complete.std(axis=0)
    assert np.abs(same).max() < 0.1
