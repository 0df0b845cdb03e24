"""Columns are zero for the reference patient, remember their factor, and repeat the literature."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.knowledge.factors import Prior
from spinecast.knowledge.loading import load_registry
from spinecast.modelling.features import Z95, Encoding, spread
from spinecast.modelling.model import reference_row
from strategies import codes, known_codes

REGISTRY = load_registry()  # outside a fixture: its factors are parameters of tests
ENCODING = Encoding.from_registry(REGISTRY)
EVERY_FACTOR = pytest.mark.parametrize("name", REGISTRY.names)
LINES = [f.name for f in REGISTRY.factors if f.prior and f.prior.odds_ratio is not None]
STEPS = [f.name for f in REGISTRY.factors if f.prior and f.prior.steps]


def of(name):
    """Place, factor and columns of one factor of the packaged registry."""
    index = REGISTRY.names.index(name)
    return index, REGISTRY.factors[index], ENCODING.columns[ENCODING.slices[index]]


def values(factor):
    """Codes worth trying, lowest first: every level or whole number, and between them."""
    low, high = factor.bounds
    halves = 2 if factor.kind == "continuous" else 1
    return np.linspace(low, high, int(halves * (high - low)) + 1)


def column(encoding, index, code):
    return encoding.tabulate(index, np.array([float(code)]))[0]


def with_prior(tiny, name, prior):
    """The tiny registry's encoding after one factor was given evidence, and that factor's place."""
    told = tuple(
        f.model_copy(update={"prior": prior}) if f.name == name else f for f in tiny.factors
    )
    return Encoding.from_registry(tiny.model_copy(update={"factors": told})), tiny.names.index(name)


# --- laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["registry", "tiny"])
def test_every_column_of_the_reference_patient_is_zero(which, request):
    registry = request.getfixturevalue(which)
    columns = Encoding.from_registry(registry).encode(reference_row(registry))
    np.testing.assert_array_equal(columns, 0)


@given(codes(REGISTRY))
def test_what_is_unknown_is_unknown_in_its_own_columns_and_nowhere_else(row):
    columns = ENCODING.encode(row)
    np.testing.assert_array_equal(np.isnan(columns), np.isnan(row)[ENCODING.owner])


@given(codes(REGISTRY), st.data())
def test_the_columns_of_a_factor_depend_on_that_factor_alone(row, data):
    index = data.draw(st.integers(0, len(row) - 1))
    other = row.copy()
    other[index] = data.draw(known_codes(REGISTRY.factors[index]))
    changed = ENCODING.encode(other) != ENCODING.encode(row)
    changed &= ~np.isnan(row)[ENCODING.owner]
    assert set(ENCODING.owner[changed]) <= {index}


def test_columns_of_a_factor_are_neighbours_and_every_factor_has_some():
    owners = [ENCODING.owner[part] for part in ENCODING.slices]
    assert np.concatenate(owners).tolist() == ENCODING.owner.tolist()
    for index, owned in enumerate(owners):
        assert len(owned) > 0
        assert set(owned) == {index}


@EVERY_FACTOR
def test_raising_an_ordered_factor_never_lowers_its_columns(name):
    index, factor, columns = of(name)
    if factor.kind == "nominal":
        table = ENCODING.tabulate(index, np.arange(len(factor.levels), dtype=float))
        assert np.isin(table, (0, 1)).all()
        others = np.arange(len(factor.levels)) != factor.reference_code
        np.testing.assert_array_equal(table[others], np.eye(len(columns)))
    else:
        steps = np.diff(ENCODING.tabulate(index, values(factor)), axis=0)
        assert np.all(steps >= 0)
        moves = steps.sum(axis=1) > 0
        straight = not factor.prior.steps and factor.prior.knee is None
        assert moves.all() if straight or not factor.is_numeric else moves.any()


@given(st.lists(codes(REGISTRY), min_size=1, max_size=5))
def test_one_row_and_many_are_encoded_alike(rows):
    together = ENCODING.encode(np.array(rows))
    np.testing.assert_array_equal(together, [ENCODING.encode(row) for row in rows])


@EVERY_FACTOR
def test_a_table_of_a_factor_is_what_encoding_gives(name):
    index, factor, columns = of(name)
    rows = np.tile(reference_row(REGISTRY), (len(values(factor)), 1))
    rows[:, index] = values(factor)
    table = ENCODING.tabulate(index, values(factor))
    assert table.shape == (len(rows), len(columns))
    np.testing.assert_array_equal(table, ENCODING.encode(rows)[:, ENCODING.slices[index]])


def test_a_declared_direction_is_a_bound_on_each_coefficient():
    signs = np.array([factor.sign for factor in REGISTRY.factors])[ENCODING.owner]
    assert {*signs} == {-1, 0, 1}
    np.testing.assert_array_equal(ENCODING.lower, np.where(signs > 0, 0.0, -np.inf))
    np.testing.assert_array_equal(ENCODING.upper, np.where(signs < 0, 0.0, np.inf))


def test_the_literature_never_speaks_against_a_declared_direction():
    assert np.all(ENCODING.lower <= ENCODING.published)
    assert np.all(ENCODING.published <= ENCODING.upper)


@pytest.mark.parametrize("name", LINES)
def test_the_pieces_of_a_broken_line_add_up_to_the_straight_line(name):
    index, factor, columns = of(name)
    knee = factor.bounds[0] if factor.prior.knee is None else factor.prior.knee
    assert [c.at for c in columns] == [knee, *(c.upto for c in columns[:-1])]
    assert columns[-1].upto == factor.bounds[1]
    table = ENCODING.tabulate(index, values(factor))
    straight = np.maximum(values(factor), knee) - max(factor.reference_code, knee)
    np.testing.assert_allclose(
        table.sum(axis=1), straight / (2 * spread(factor)), rtol=0, atol=1e-12
    )


# --- the published numbers come back ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "level", "ratio"),
    [
        (factor.name, level, ratio)
        for factor in REGISTRY.factors
        if factor.prior
        for level, ratio in factor.prior.levels.items()
    ],
)
def test_a_level_has_its_published_odds_ratio(name, level, ratio):
    index, factor, _ = of(name)
    log_odds = column(ENCODING, index, factor.level_codes[level])
    log_odds = log_odds @ ENCODING.published[ENCODING.slices[index]]
    assert log_odds == pytest.approx(math.log(ratio), abs=1e-12)


@pytest.mark.parametrize("name", STEPS)
def test_a_count_has_the_odds_ratio_of_the_highest_step_it_reaches(name):
    index, factor, _ = of(name)
    for count in range(int(factor.bounds[0]), int(factor.bounds[1]) + 1):
        reached = [ratio for step, ratio in factor.prior.steps.items() if int(step) <= count]
        log_odds = column(ENCODING, index, count) @ ENCODING.published[ENCODING.slices[index]]
        assert log_odds == pytest.approx(math.log(([1.0, *reached])[-1]), abs=1e-12)


@pytest.mark.parametrize("name", LINES)
def test_a_number_has_its_published_odds_ratio_per_unit_above_the_knee(name):
    index, factor, _ = of(name)
    prior = factor.prior
    published = ENCODING.published[ENCODING.slices[index]]
    heights = ENCODING.tabulate(index, values(factor)) @ published
    knee = -math.inf if prior.knee is None else prior.knee
    for (a, low), (b, high) in itertools.pairwise(zip(values(factor), heights, strict=True)):
        units = (max(b, knee) - max(a, knee)) / prior.per
        assert high - low == pytest.approx(units * math.log(prior.odds_ratio), abs=1e-12)


def test_every_factor_with_evidence_says_something():
    for index, factor in enumerate(REGISTRY.factors):
        prior = factor.prior
        told = {*prior.levels.values(), *prior.steps.values(), prior.odds_ratio or 1.0}
        assert np.any(ENCODING.published[ENCODING.slices[index]]) == (told != {1.0})


# --- how wide a prior is ---------------------------------------------------------------------


def test_without_evidence_nothing_is_expected_and_the_prior_is_wide(tiny):
    encoding = Encoding.from_registry(tiny)
    np.testing.assert_array_equal(encoding.published, 0)
    for index, factor in enumerate(tiny.factors):
        widen = math.sqrt(2) if factor.is_numeric else 1
        sd = encoding.prior_sd[encoding.slices[index]]
        np.testing.assert_allclose(sd, widen * tiny.evidence.no_evidence_sd)


def test_the_studies_error_is_widened_by_their_disagreement(tiny):
    evidence = tiny.evidence
    silent, index = with_prior(tiny, "diabetes", Prior(levels={"no": 1, "yes": 1.5}))
    assert silent.prior_sd[silent.slices[index]][0] == pytest.approx(
        math.hypot(evidence.standard_error, evidence.heterogeneity)
    )
    told = Prior(levels={"no": 1, "yes": 1.5}, plausible=(1.0, 2.25))
    encoding, _ = with_prior(tiny, "diabetes", told)
    error = math.log(2.25) / (2 * Z95)
    assert encoding.prior_sd[encoding.slices[index]][0] == pytest.approx(
        math.hypot(error, evidence.heterogeneity)
    )


def test_a_straight_change_over_two_pieces_keeps_the_straight_line_prior(tiny):
    # The mean of two independent slopes with SD s * sqrt(2) has SD s.
    prior = Prior(odds_ratio=1.1, per=1.0, plausible=(1.0, 1.21))
    encoding, index = with_prior(tiny, "pain", prior)
    sd = encoding.prior_sd[encoding.slices[index]]
    error = 4.0 * math.log(1.21) / (2 * Z95)  # two SD of pain are four points
    expected = math.hypot(error, tiny.evidence.heterogeneity)
    np.testing.assert_allclose(np.hypot(sd[0], sd[1]) / 2, expected)


# --- examples --------------------------------------------------------------------------------


def test_pain_is_a_line_that_bends_at_the_mean_and_one_sd_on_either_side(tiny):
    pain = [c for c in Encoding.from_registry(tiny).columns if c.name.startswith("pain,")]
    assert [(c.at, c.upto) for c in pain] == [(0, 4), (4, 6), (6, 8), (8, 10)]
    assert {c.per for c in pain} == {4.0}


def test_columns_of_a_current_smoker_in_severe_pain(tiny):
    encoding = Encoding.from_registry(tiny)
    row = np.array(
        [2.0, 0.0, 7.0, 0.0, 1.0]
    )  # current, no pack-years, pain 7, no diabetes, stenosis
    pain = [0, 0.25, 0.25, 0]  # from 5 to 6, from 6 to 7, in units of four points
    np.testing.assert_allclose(encoding.encode(row), [1, 1, 0, 0, *pain, 0, 1])


def test_a_knee_leaves_out_what_lies_below_it(tiny):
    encoding, index = with_prior(tiny, "pain", Prior(odds_ratio=1.2, per=1.0, knee=7.0))
    published = encoding.published[encoding.slices[index]]
    heights = encoding.tabulate(index, np.array([0.0, 5.0, 7.0, 8.0, 10.0])) @ published
    np.testing.assert_allclose(heights, math.log(1.2) * np.array([0, 0, 0, 1, 3]), atol=1e-12)
    assert [c.at for c in encoding.columns[encoding.slices[index]]] == [7, 8]


def test_steps_of_a_count_are_against_the_reference_count(tiny):
    encoding, index = with_prior(tiny, "pack_years", Prior(steps={"1": 1.5, "20": 3.0}))
    published = encoding.published[encoding.slices[index]]
    heights = encoding.tabulate(index, np.array([0.0, 1.0, 19.0, 20.0, 100.0])) @ published
    np.testing.assert_allclose(np.exp(heights), [1, 1.5, 1.5, 3, 3])
