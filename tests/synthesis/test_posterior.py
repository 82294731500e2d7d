import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from gdln.synthesis import posterior

GRID = list(itertools.product((0.03, 0.3, 1.0, 10.0), (1e-3, 0.1, 1.0, 30.0), (0.0, 0.02, 0.5, 2.0, 50.0)))


@pytest.mark.parametrize("gamma, noise, rank_ratio", GRID)
def test_readout_is_the_lowest_point_of_its_function(gamma, noise, rank_ratio):
    s = np.array([1.0, 0.3, 0.0])

    def height(log_u, x):
        u = np.exp(log_u)
        return u - log_u + x / (noise + u) + rank_ratio * np.log(noise + u)

    grid = np.linspace(-25, 9, 60_001)
    for x, u in zip((s / gamma) ** 2, posterior.readout(s, gamma, noise, rank_ratio), strict=True):
        lowest = grid[height(grid, x).argmin()]
        exact = minimize_scalar(height, bracket=(lowest - 1e-3, lowest, lowest + 1e-3), args=(x,), tol=1e-12)
        assert np.log(u) == pytest.approx(exact.x, abs=1e-5)


@pytest.mark.parametrize("noise", [1e-12, 1e-3, 1.0, 0.999e6])
@pytest.mark.parametrize("rank_ratio", [0.0, 1e-6, 1.0, 0.999e6])
@pytest.mark.parametrize("strength", [0.0, 1e-6, 1.0, 0.999e6])
def test_the_readout_is_the_only_stationary_point_up_to_the_ends_of_what_is_allowed(
    noise, rank_ratio, strength
):
    (u,) = posterior.readout([3 * strength], 3.0, noise, rank_ratio)

    def slope(u):
        return 1 - 1 / u - (strength / (noise + u)) ** 2 + rank_ratio / (noise + u)

    assert slope(u * (1 - 1e-9)) < 0 < slope(u * (1 + 1e-9))
    around = u * np.logspace(-20, 20, 4001)
    signs = np.sign(slope(around))
    assert np.count_nonzero(np.diff(signs[signs != 0])) == 1


@pytest.mark.parametrize("change", [{"noise": 1e6}, {"rank_ratio": 1e6}, {"s": [1e6]}])
def test_a_readout_beyond_a_million_is_refused(change):
    given = {"s": [1.0], "gamma": 1.0, "noise": 1.0, "rank_ratio": 1.0}
    with pytest.raises(ValueError, match=r"10\^6, got"):
        posterior.readout(**(given | change))


def test_without_noise_and_rank_the_readout_is_a_square_root():
    s, gamma = np.array([0.2, 1.0, 5.0]), 0.7
    expected = (1 + np.sqrt(1 + 4 * (s / gamma) ** 2)) / 2
    np.testing.assert_allclose(posterior.readout(s, gamma, 1e-9, 0.0), expected, rtol=1e-6)


def test_the_posterior_moves_its_readout_twice_as_much_as_the_flow_when_lazy_and_as_much_when_rich():
    for gamma, ratio in ((1e3, 2), (1e-4, 1)):
        moved = posterior.readout([1.0], gamma, 1e-12, 0.0)[0] - 1
        assert moved / (np.hypot(1, 1 / gamma) - 1) == pytest.approx(ratio, rel=1e-3)


def test_at_the_accidental_width_the_gaussian_process_is_right_and_on_either_side_wrong_with_another_sign():
    s, noise = np.array([0.6]), 0.4
    width = posterior.accidental_width(s, 1.3, noise, 9)[0]
    u = [posterior.readout(s, 1.3, noise, 9 / N)[0] for N in (width / 2, width, 2 * width)]
    assert u[0] < 1 < u[2] and u[1] == pytest.approx(1, abs=1e-12)


def test_maps_of_the_three_theories_are_shrunk_by_their_readout():
    sigma = np.diag([1.0, 0.5])
    for theory in posterior.THEORIES:
        F = posterior.mean_map(sigma, 0.5, 0.3, 10, theory)
        ratio = {"mean_field": 0.0, "finite_width": 0.2}.get(theory)
        u = np.ones(2) if ratio is None else posterior.readout([1.0, 0.5], 0.5, 0.3, ratio)
        np.testing.assert_allclose(F, np.diag(u / (0.3 + u)) @ sigma, atol=1e-12)


def test_finite_width_becomes_the_mean_field_in_wide_networks_at_the_rate_of_the_rank_ratio():
    sigma = np.diag([1.0, 0.5])
    limit = posterior.mean_map(sigma, 0.5, 0.3, 1, "mean_field")
    away = [
        np.abs(posterior.mean_map(sigma, 0.5, 0.3, N, "finite_width") - limit).max() for N in (1000, 2000)
    ]
    assert away[0] / away[1] == pytest.approx(2, rel=1e-2)


def test_noise_ratio_is_linear_in_the_width():
    assert posterior.noise_ratio(0.5, 100, 3.0, 50) == pytest.approx(1 / 9)


def test_an_accidental_width_beyond_float64_is_refused():
    with pytest.raises(ValueError, match="^s needs"):
        posterior.accidental_width([0.5, 1e-200], 1.0, 1.0, 16)
