"""The most probable coefficients: those other optimisers find, within bounds, from sums alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from sklearn.linear_model import LogisticRegression

from spinecast.measures.logistic import expit
from spinecast.modelling import posterior
from spinecast.modelling.posterior import Belief, Sums, box_minimum, with_intercept

seeds = st.integers(0, 2**32 - 1)
NOWHERE = np.inf


def belief(size, sd=0.5, seed=0, bounds="mixed"):
    """A prior, and bounds of every sort: none, one side, both."""
    random = np.random.default_rng([seed, 1])
    lower, upper = np.full(size, -NOWHERE), np.full(size, NOWHERE)
    if bounds == "mixed":
        kind = random.integers(0, 4, size)
        lower[kind == 1], upper[kind == 2] = 0.0, 0.0
        lower[kind == 3], upper[kind == 3] = -0.1, 0.3
    mean = np.clip(random.normal(0, 0.5, size), lower, upper)
    return Belief(mean, np.full(size, sd), lower, upper)


def cohort(seed=0, patients=300, size=6):
    random = np.random.default_rng(seed)
    columns = random.normal(size=(patients, size))
    columns[:, ::2] = columns[:, ::2] > 0.8
    y = (random.random(patients) < expit(columns @ random.normal(0, 0.8, size) - 1)) * 1.0
    return columns, y


def fit(columns, y, held, start=None):
    design = with_intercept(columns)
    return posterior.fit(lambda theta: posterior.sums(design, y, theta), held, start)


def objective(theta, columns, y, held):
    """Written down again from the definition: minus log-likelihood minus log-prior."""
    margin = theta[0] + columns @ theta[1:]
    loss = np.sum(np.where(y == 1, np.logaddexp(0, -margin), np.logaddexp(0, margin)))
    slope = expit(margin) - y
    away = (theta[1:] - held.mean) / held.sd
    gradient = np.concatenate([[slope.sum()], columns.T @ slope + away / held.sd])
    return loss + 0.5 * away @ away, gradient


# --- laws ------------------------------------------------------------------------------------


def test_a_row_that_counts_thrice_is_three_rows():
    columns, y = cohort(4, 50)
    design, theta = with_intercept(columns), np.random.default_rng(4).normal(size=7)
    times = np.random.default_rng(5).integers(1, 4, size=50)
    counted = posterior.sums(design, y, theta, times=times.astype(float))
    copied = posterior.sums(np.repeat(design, times, axis=0), np.repeat(y, times), theta)
    for one, other in ((getattr(counted, n), getattr(copied, n)) for n in Sums.__slots__):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@given(seeds)
def test_what_the_patients_say_and_the_prior_are_in_balance(seed):
    columns, y = cohort(seed, 120)
    held = belief(6, seed=seed)
    found = fit(columns, y, held)
    own = posterior.sums(with_intercept(columns), y, found.theta)
    np.testing.assert_allclose(found.patients.gradient, own.gradient, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.patients.curvature, own.curvature, rtol=0, atol=1e-2)


@given(seeds)
def test_a_start_from_a_neighbouring_fit_is_nearer_and_ends_the_same(seed):
    columns, y = cohort(seed, 120)
    near, held = belief(6, seed=seed), belief(6, seed=seed)
    held = Belief(held.mean * 0.9, held.sd * 1.1, held.lower, held.upper)
    first = fit(columns, y, near)
    start, alone = first.towards(held), fit(columns, y, held)
    np.testing.assert_allclose(fit(columns, y, held, start).theta, alone.theta, atol=1e-6)
    losses = [objective(theta, columns, y, held)[0] for theta in (start, first.theta)]
    assert losses[0] <= losses[1] + 1e-9
    assert (held.lower <= start[1:]).all()
    assert (start[1:] <= held.upper).all()


@given(seeds)
def test_bounds_hold_exactly(seed):
    held = belief(6, seed=seed)
    found = fit(*cohort(seed, 80), held)
    assert found.converged
    assert np.all(found.beta >= held.lower)
    assert np.all(found.beta <= held.upper)


@given(seeds)
def test_nothing_nearby_and_allowed_is_more_probable(seed):
    held = belief(6, seed=seed)
    columns, y = cohort(seed, 80)
    found = fit(columns, y, held).theta
    best, _ = objective(found, columns, y, held)
    random = np.random.default_rng(seed)
    for size in (1e-3, 1e-1, 1):
        other = found + random.normal(0, size, 7)
        other[1:] = np.clip(other[1:], held.lower, held.upper)
        assert best <= objective(other, columns, y, held)[0]


@given(st.lists(st.integers(0, 200), max_size=4), seeds)
def test_sums_of_pieces_add_up_to_the_sums_of_the_whole(cuts, seed):
    columns, y = cohort(seed, 200)
    design, theta = with_intercept(columns), np.random.default_rng(seed).normal(size=7)
    whole = posterior.sums(design, y, theta)
    pieces = zip(np.split(design, sorted(cuts)), np.split(y, sorted(cuts)), strict=True)
    first, *rest = [posterior.sums(part, outcome, theta) for part, outcome in pieces]
    total = sum(rest, first)
    assert total.loss == pytest.approx(whole.loss, rel=1e-12)
    np.testing.assert_allclose(total.gradient, whole.gradient, rtol=0, atol=1e-10)
    np.testing.assert_allclose(total.curvature, whole.curvature, rtol=0, atol=1e-10)


def test_a_fit_from_pieces_is_the_fit_of_the_whole():
    columns, y = cohort(1)
    parts = [(with_intercept(columns[i::3]), y[i::3]) for i in range(3)]

    def pieces(theta):
        first, *rest = [posterior.sums(*part, theta) for part in parts]
        return sum(rest, first)

    held = belief(6, seed=1)
    found = posterior.fit(pieces, held)
    np.testing.assert_allclose(found.theta, fit(columns, y, held).theta, rtol=0, atol=1e-9)


@given(st.permutations(range(120)))
def test_the_order_of_patients_does_not_matter(order):
    columns, y = cohort(2, 120)
    held = belief(6, seed=2)
    there, here = fit(columns[order], y[order], held), fit(columns, y, held)
    np.testing.assert_allclose(there.theta, here.theta, rtol=0, atol=1e-9)


@given(seeds)
def test_what_is_believed_may_be_far_from_what_few_patients_say(seed):
    random = np.random.default_rng(seed)
    patients = int(random.integers(20, 120))
    columns, y = random.normal(size=(patients, 6)), np.zeros(patients)
    columns[:, 0] += random.uniform(0, 12)
    y[random.choice(patients, int(random.integers(1, 4)), replace=False)] = 1
    held = belief(6, sd=float(random.choice([0.05, 0.2, 1.0])), seed=seed, bounds="none")
    held.mean[0] = random.uniform(0.5, 1.5)
    found = fit(columns, y, held)
    assert found.converged
    slope = objective(found.theta, columns, y, held)[1]
    np.testing.assert_allclose(slope, 0, atol=1e-4)


@pytest.mark.parametrize("far", [60.0, 1e4, -1e8])
def test_a_start_where_no_risk_moves_any_more_is_given_up(far):
    columns, y = cohort(7, patients=40)
    held = belief(6, bounds="none")
    start = np.concatenate([[far], np.zeros(6)])
    assert np.linalg.matrix_rank(posterior.sums(with_intercept(columns), y, start).curvature) < 7
    found = fit(columns, y, held, start)
    assert found.converged
    np.testing.assert_allclose(found.theta, fit(columns, y, held).theta, atol=1e-6)


@given(seeds)
def test_where_the_search_starts_does_not_matter(seed):
    columns, y = cohort(3)
    held = belief(6, seed=3)
    start = np.random.default_rng(seed).normal(0, 3, 7)
    np.testing.assert_allclose(
        fit(columns, y, held, start).theta, fit(columns, y, held).theta, rtol=0, atol=1e-6
    )


@given(seeds)
def test_the_gradient_and_curvature_are_those_of_the_loss(seed):
    columns, y = cohort(seed, 50, 3)
    random = np.random.default_rng(seed)
    theta, offset = random.normal(size=4), random.normal(size=50)
    design = with_intercept(columns)

    def at(place):
        return posterior.sums(design, y, place, offset)

    for k, step in enumerate(1e-5 * np.eye(4)):
        high, low = at(theta + step), at(theta - step)
        slope = (high.loss - low.loss) / 2e-5
        assert slope == pytest.approx(at(theta).gradient[k], abs=1e-5)
        bend = (high.gradient - low.gradient) / 2e-5
        np.testing.assert_allclose(bend, at(theta).curvature[k], rtol=0, atol=1e-6)


def test_an_offset_moves_each_patient_by_its_own():
    columns, y = cohort(4, 50)
    theta = np.linspace(-1, 1, 7)
    shifted = posterior.sums(with_intercept(columns), y, theta, columns[:, 0])
    theta[1] += 1
    plain = posterior.sums(with_intercept(columns), y, theta)
    assert shifted.loss == pytest.approx(plain.loss)


def test_a_prior_without_width_is_the_answer():
    held = belief(6, sd=1e-5, seed=5)
    found = fit(*cohort(5), held)
    np.testing.assert_allclose(found.beta, held.mean, rtol=0, atol=1e-6)
    risk = expit(found.margin(cohort(5)[0]))
    assert risk.mean() == pytest.approx(cohort(5)[1].mean(), abs=1e-6), "the intercept is free"


def test_a_wider_prior_lets_the_patients_say_more():
    columns, y = cohort(6)
    for k in range(6):
        mean = np.zeros(6)
        mean[k] = 3.0  # far from any truth of this cohort
        held = [Belief(mean, np.full(6, sd), mean, mean).without_bounds() for sd in (0.01, 0.1, 1)]
        narrow, wider, widest = (fit(columns, y, belief).beta[k] for belief in held)
        assert narrow > wider > widest


def test_without_bounds_keeps_the_prior_and_allows_everything():
    held = belief(6, seed=7)
    free = held.without_bounds()
    np.testing.assert_array_equal([free.mean, free.sd], [held.mean, held.sd])
    assert np.all(free.lower == -np.inf)
    assert np.all(free.upper == np.inf)


@pytest.mark.parametrize("sd", [0.5, 2.0, 20.0])
def test_a_level_all_of_whose_patients_failed_stays_finite(sd):
    columns = np.zeros((60, 2))
    columns[:4, 0] = 1
    columns[4:, 1] = np.linspace(-1, 1, 56)
    y = (columns[:, 0] + (columns[:, 1] > 0)) * 1.0  # both columns separate the patients
    nothing = np.zeros(2)
    held = Belief(nothing, np.full(2, sd), nothing, nothing).without_bounds()
    found = fit(columns, y, held)
    assert found.converged
    assert np.all(found.beta > 0)
    assert np.all(found.beta < 6 * sd)
    _, gradient = objective(found.theta, columns, y, held)
    np.testing.assert_allclose(gradient, 0, atol=1e-4)


def test_no_patients_leave_what_was_believed():
    held = belief(3, seed=8)
    ones = np.ones((2, 1))
    design = np.column_stack([ones, np.zeros((2, 3))])  # patients of whom every column is reference
    y = np.array([0.0, 1.0])
    found = posterior.fit(lambda theta: posterior.sums(design, y, theta), held)
    np.testing.assert_allclose(found.theta, [0, *held.mean], atol=1e-12)


# --- references ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bounds", ["mixed", "none"])
def test_the_fit_is_what_a_general_optimiser_finds(seed, bounds):
    columns, y = cohort(seed)
    held = belief(6, seed=seed, bounds=bounds)
    theirs = optimize.minimize(
        objective,
        np.zeros(7),
        args=(columns, y, held),
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None), *zip(held.lower, held.upper, strict=True)],
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 10_000},
    )
    np.testing.assert_allclose(fit(columns, y, held).theta, theirs.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sd", [0.1, 1.0])
def test_without_literature_the_fit_is_ridge_regression(sd):
    columns, y = cohort(9)
    nothing = np.zeros(6)
    found = fit(columns, y, Belief(nothing, nothing + sd, nothing, nothing).without_bounds())
    theirs = LogisticRegression(C=sd**2, tol=1e-10, max_iter=10_000).fit(columns, y)
    np.testing.assert_allclose(found.beta, theirs.coef_[0], rtol=0, atol=1e-4)
    assert found.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_the_curvature_is_the_information_of_patients_and_prior():
    columns, y = cohort(10)
    held = belief(6, seed=10)
    found = fit(columns, y, held)
    risk = expit(found.margin(columns))
    design = with_intercept(columns)
    expected = design.T @ np.diag(risk * (1 - risk)) @ design
    expected += np.diag([0, *held.sd**-2.0])
    np.testing.assert_allclose(found.curvature, expected, rtol=1e-3, atol=1e-3)


# --- the quadratic problem inside ------------------------------------------------------------


@st.composite
def boxes(draw):
    """A convex quadratic on a box that contains 0, as the fit poses it."""
    size = draw(st.integers(1, 8))
    random = np.random.default_rng(draw(seeds))
    root = random.normal(size=(size, draw(st.integers(1, 8))))
    curvature = root @ root.T + draw(st.sampled_from([1e-3, 0.1, 1.0])) * np.eye(size)
    lower, upper = -random.exponential(1, size), random.exponential(1, size)
    lower[random.random(size) < 0.3], upper[random.random(size) < 0.3] = -np.inf, np.inf
    lower[random.random(size) < 0.2] = 0.0
    upper[random.random(size) < 0.2] = 0.0
    return curvature, random.normal(0, 3, size), lower, upper


@given(boxes())
def test_the_minimum_on_a_box_has_no_way_down(box):
    curvature, gradient, lower, upper = box
    d = box_minimum(*box)
    slope = gradient + curvature @ d
    assert np.all((lower <= d) & (d <= upper))
    at_low, at_high = d - lower < 1e-7, upper - d < 1e-7
    assert np.all(np.abs(slope[~at_low & ~at_high]) < 1e-5)
    assert np.all(slope[at_low & ~at_high] > -1e-5)
    assert np.all(slope[at_high & ~at_low] < 1e-5)


def test_the_minimum_on_a_box_by_hand():
    # x^2 - 4x + y^2 - y, halved: free minimum at (2, 0.5); x may go to 1 only.
    d = box_minimum(np.eye(2), np.array([-2.0, -0.5]), np.array([-1.0, -1]), np.array([1.0, 1]))
    np.testing.assert_array_equal(d, [1, 0.5])


def test_the_sums_of_two_patients_by_hand():
    found = posterior.sums(np.array([[1.0, 0], [1, 2]]), np.array([0.0, 1]), np.zeros(2))
    assert found.loss == pytest.approx(2 * np.log(2))
    np.testing.assert_allclose(found.gradient, [0, -1])
    np.testing.assert_allclose(found.curvature, [[0.5, 0.5], [0.5, 1]])
    assert isinstance(found, Sums)
