import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_t, wishart

from gdln.renormalization.proposals import (
    FactorChart,
    LogChart,
    Mixture,
    Student,
    Wishart,
    _aims,
    _covariance,
    _modes,
    fitted,
)


@pytest.mark.parametrize("chart", [FactorChart(3), LogChart(3)])
@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_coordinates_come_back_and_their_volume_is_the_determinant_of_the_jacobian(chart, size):
    rng = np.random.default_rng(0)
    theta = size * rng.standard_normal((4, 6))
    factor = chart.factor(theta)
    again, volume = chart.coordinates(factor)
    np.testing.assert_allclose(again, theta, atol=1e-9 * size)
    i, j = np.tril_indices(3)

    def entries(t):
        f = chart.factor(t[None])[0]
        return (f @ f.T)[i, j]

    step = 1e-6
    for t, v in zip(theta, volume, strict=True):
        J = np.array([(entries(t + step * e) - entries(t - step * e)) / (2 * step) for e in np.eye(6)])
        assert abs(np.linalg.slogdet(J)[1] - v) < 1e-4 * max(1, size**2)


def test_the_logarithm_keeps_eigenvalues_twenty_decades_apart():
    chart = LogChart(2)
    c, s = math.cos(0.3), math.sin(0.3)
    V = np.array([[c, -s], [s, c]])
    S = V @ np.diag([5.0, -41.0]) @ V.T
    theta = S[np.tril_indices(2)][None]
    np.testing.assert_allclose(chart.coordinates(chart.factor(theta))[0], theta, rtol=1e-6)


def test_the_volume_is_continuous_where_eigenvalues_meet():
    chart = LogChart(2)
    volumes = [
        chart.coordinates(chart.factor(np.array([[0.3 + gap, 0.0, 0.3]])))[1][0] for gap in (0.0, 1e-9, 1e-5)
    ]
    np.testing.assert_allclose(volumes, 0.9, atol=2e-5)  # e^(s1 + s2) times e^s


@pytest.mark.parametrize("width", [2, 3, 30])
def test_the_prior_is_the_wishart_law(width):
    prior, rng = Wishart(2, width, 1.7), np.random.default_rng(1)
    factor = prior.draw(rng, 20000)
    U = factor @ factor.transpose(0, 2, 1)
    law = wishart(df=width, scale=1.7 / width * np.eye(2))
    np.testing.assert_allclose(prior.log_density(factor[:5]), [law.logpdf(u) for u in U[:5]], rtol=1e-10)
    spread = 1.7 * math.sqrt(2 / width) / math.sqrt(20000)
    np.testing.assert_allclose(U.mean(axis=0), 1.7 * np.eye(2), atol=4.5 * spread)


def test_a_student_law_has_its_density_in_its_chart():
    rng = np.random.default_rng(2)
    root = np.linalg.cholesky(np.cov(rng.standard_normal((3, 9))))
    for chart in (FactorChart(2), LogChart(2)):
        law = Student(chart, np.array([0.1, -0.2, 0.3]), root, 5.0)
        factor = law.draw(rng, 6)
        theta, volume = chart.coordinates(factor)
        expected = multivariate_t(law.mean, root @ root.T, df=5).logpdf(theta) - volume
        np.testing.assert_allclose(law.log_density(factor), expected, rtol=1e-9)


def test_a_mixture_integrates_to_one_against_its_prior():
    rng = np.random.default_rng(3)
    prior = Wishart(2, 6, 1.0)
    other = Student(LogChart(2), np.zeros(3), 0.5 * np.eye(3), 8.0)
    mixture = Mixture((other, prior), np.array([0.7, 0.3]))
    factor = mixture.draw(rng, 20000)
    ratio = np.exp(prior.log_density(factor) - mixture.log_density(factor))
    assert ratio.max() < 1 / 0.3 + 1e-9  # the defensive part bounds the weights
    assert abs(ratio.mean() - 1) < 4.5 * ratio.std() / math.sqrt(20000)


def test_two_far_modes_are_both_found_with_their_shares():
    # of the size of U alone: two narrow humps of a hundredth and of one, five to one in mass of the prior's law
    prior = Wishart(1, 4, 1.0)
    centres, heights = np.log([0.01, 1.0]), np.log([5.0, 1.0])

    def log_likelihood(u):
        log_u = math.log(u[0, 0])
        humps = heights - 0.5 * ((log_u - centres) / 0.1) ** 2
        return float(logsumexp(humps) - prior.log_density(np.sqrt(u)[None])[0] - log_u)

    rng = np.random.default_rng(4)
    mixture, n_modes = fitted(log_likelihood, lambda u: 1.0, prior, rng, dof=8.0)
    assert n_modes == 2
    factor = mixture.draw(rng, 4000)
    U = factor @ factor.transpose(0, 2, 1)
    log_weight = (
        np.array([log_likelihood(u) for u in U]) + prior.log_density(factor) - mixture.log_density(factor)
    )
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    low = U[:, 0, 0] < 0.1
    error = math.sqrt((weight**2 * (low - 5 / 6) ** 2).sum())
    assert 1 / (weight**2).sum() > 2000
    assert abs(weight @ low - 5 / 6) < 4.5 * error


def hump(chart, centre, width):
    """Log density of order parameters that is a Gaussian of the coordinates; and what it was asked for."""
    asked = []

    def log_target(factor):
        theta, volume = chart.coordinates(factor)
        asked.append(factor[0] @ factor[0].T)
        return -0.5 * (((theta - centre) / width) ** 2).sum(axis=1) - volume

    return log_target, asked


@pytest.mark.parametrize("beyond", [-16.0, -14.9, 0.0, 1.4, 2.5])
def test_a_mode_is_found_at_every_size_and_at_those_just_outside_the_first_look(beyond):
    prior = Wishart(1, 5, 1e4)
    centre = (
        0.5 * math.log(1e4) + beyond
    )  # of the root; the first look is from -15 to 1.5 about that of the prior
    log_target, _ = hump(FactorChart(1), centre, 0.1)
    ((mode, root),) = _modes(log_target, FactorChart(1), prior)
    np.testing.assert_allclose(mode, centre, atol=1e-4)
    np.testing.assert_allclose(root, 0.1, rtol=1e-3)


def test_a_mode_off_the_multiples_of_one_is_found_from_them():
    chart, centre, width = FactorChart(2), np.array([-0.5, 0.7, 0.2]), np.array([0.3, 0.2, 0.4])
    log_target, asked = hump(chart, centre, width)
    ((mode, root),) = _modes(log_target, chart, Wishart(2, 5, 1.0))
    np.testing.assert_allclose(mode, centre, atol=1e-4)
    np.testing.assert_allclose(root, np.diag(width), atol=1e-3)
    first = np.array(asked[:60])
    np.testing.assert_allclose(first, first[:, :1, :1] * np.eye(2), rtol=1e-12)
    assert first[0, 0, 0] == pytest.approx(math.exp(-30)) and (np.diff(first[:, 0, 0]) > 0).all()


@pytest.mark.parametrize("chart", [FactorChart(1), LogChart(1)])
@pytest.mark.parametrize("theta", [1e3, -1e3])
def test_no_coordinate_is_so_far_that_its_order_parameter_has_no_number(chart, theta):
    (factor,) = chart.factor(np.array([[theta]]))
    U = factor @ factor.T
    assert 0 < U < np.inf and np.isfinite(chart.coordinates(factor[None])[0]).all()


@pytest.mark.parametrize(("n_pilot", "n_parts"), [(15, 2), (16, 4)])
def test_pilot_draws_are_made_where_there_are_sixteen_a_coordinate(n_pilot, n_parts):
    prior = Wishart(1, 6, 1.0)
    mixture, n_modes = fitted(
        lambda u: -u[0, 0], lambda u: 1.0, prior, np.random.default_rng(0), dof=8.0, n_pilot=n_pilot
    )
    assert n_modes == 1 and len(mixture.parts) == n_parts and mixture.parts[-1] is prior
    assert mixture.share.sum() == pytest.approx(1, rel=1e-12) and mixture.share[-1] == 0.1


def test_a_law_moves_by_one_step_of_expectation_and_maximisation():
    # worked by hand at dof 3: draws at 0 and 2, the second weighing three times as much; n = 1, effective draws 1.6
    law = Student(FactorChart(1), np.array([1.0]), np.array([[0.5]]), 3.0)
    theta, weight = np.array([[0.0], [3.0]]), np.array([1.0, 3.0])
    pull = np.array([1 * 4 / (3 + 4), 3 * 4 / (3 + 16)])
    trust = 1.6 / 2.6
    mean = 1 + trust * (pull[1] * 3 / pull.sum() - 1)
    found = (pull[0] * mean**2 + pull[1] * (3 - mean) ** 2) / 4
    for unit in (1e-6, 1.0, 1e6):  # of the weights
        moved = law.moved(theta, unit * weight)
        np.testing.assert_allclose(moved.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(moved.root**2, (1 - trust) * 0.25 + trust * found, rtol=1e-12)
    assert law.moved(theta, 0 * weight) is law


def test_weights_sum_to_one_also_where_nothing_is_uncertain():
    for size in (np.zeros(4), np.array([0.0, 2.0, 0.0, 1.0])):
        plain, uncertain = _aims(np.log([1.0, 2.0, 3.0, 4.0]) - 1000, size)
        np.testing.assert_allclose(plain, [0.1, 0.2, 0.3, 0.4], rtol=1e-12)
        expected = [0.25] * 4 if not size.any() else [0, 0.5, 0, 0.5]
        np.testing.assert_allclose(uncertain, expected, rtol=1e-12)


def test_curvature_is_that_of_central_differences():
    def log_density(x):  # beside the mode the cubic terms would be seen
        return -0.5 * x @ np.array([[2.0, 0.5], [0.5, 1.0]]) @ x + 50 * (x[0] ** 3 + x[0] ** 2 * x[1])

    expected = np.linalg.inv([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(_covariance(log_density, np.zeros(2)), expected, rtol=1e-5)
