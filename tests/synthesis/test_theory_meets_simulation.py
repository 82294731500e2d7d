"""Theories of one network against the flow of all its weights, and against samples of them."""

import numpy as np
import pytest

from gdln.synthesis import gibbs, measures, moments, network, posterior, theories

Q = network.digits_questions(300, 16, np.random.default_rng(0))
STRENGTHS = np.linalg.svd(Q.sigma)[1]
TIMES = np.concatenate([[0.0], np.geomspace(1e-3, 8, 60)])


@pytest.mark.parametrize(
    "gamma, width, start",
    [
        (0.1, 8, network.antisymmetric_weights),
        (1.0, 16, network.normal_weights),
        (10.0, 64, network.normal_weights),
        (0.03, 20, network.normal_weights),
    ],
)
def test_the_moment_equation_is_the_flow_of_all_weights(gamma, width, start):
    """Exact at every width; both solvers have tolerances of 1e-9 and below."""
    A, W = start(16, 3, width, np.random.default_rng(width))
    run = network.simulate(A, W, Q.sigma, gamma, TIMES, rtol=1e-11, atol=1e-13)
    theory = moments.solve_moments(*moments.of_weights(A, W, gamma), Q.sigma, gamma, TIMES)
    for name in ("maps", "P", "Q", "slopes"):
        a, b = getattr(run, name), getattr(theory, name)
        assert np.abs(a - b).max() < 1e-7 * max(1, np.abs(b).max())


@pytest.mark.parametrize("width", [8, 40])
def test_align_zero_has_the_same_curve_at_every_scale_and_it_is_the_frozen_one(width):
    A, W = network.antisymmetric_weights(16, 3, width, np.random.default_rng(3))
    frozen = moments.solve_frozen(*moments.of_weights(A, W, 1.0), Q.sigma, TIMES)
    for gamma in (0.05, 1.0, 20.0):
        run = network.simulate(A, W, Q.sigma, gamma, TIMES, "align_zero")
        assert np.abs(run.maps - frozen.maps).max() < 1e-7


def ideal_weights(n_inputs, n_outputs):
    """A finite network whose moments are exactly the identity and whose map is zero: orthogonal units."""
    width = n_inputs + n_outputs
    units = np.linalg.qr(np.random.default_rng(5).standard_normal((width, width)))[0] * np.sqrt(width)
    return units[:n_outputs], units[n_outputs:].T


@pytest.mark.parametrize("gamma", [0.05, 0.4, 5.0])
@pytest.mark.parametrize("rule, theory", [("backprop", "mean_field"), ("align_ada", "align_ada")])
def test_a_finite_network_with_the_moments_of_an_infinite_one_follows_the_infinite_theory(
    rule, theory, gamma
):
    """No scatter of the start is left, so curves, movement and cosine agree to the solver's tolerance."""
    A, W = ideal_weights(16, 3)
    run = network.simulate(A, W, Q.sigma, gamma, TIMES, rule)
    assert np.abs(run.maps - theories.solve(Q.sigma, gamma, theory, TIMES).maps).max() < 1e-6
    moved = measures.kernel_movement((run.P[0], run.Q[0]), (run.P[-1], run.Q[-1]))
    assert moved == pytest.approx(theories.movement(STRENGTHS, gamma, 16, theory), rel=1e-5)
    if rule == "backprop":
        assert network.weight_cosine(run, gamma) == pytest.approx(theories.cosine(STRENGTHS, gamma), abs=1e-6)


def test_scatter_of_lazy_half_times_is_the_root_of_two_over_the_width():
    """A standard deviation of 40 draws has a relative error of 11 %; three of them are allowed."""
    N, found = 200, []
    for seed in range(40):
        A, W = network.antisymmetric_weights(16, 3, N, np.random.default_rng(seed))
        run = moments.solve_frozen(*moments.of_weights(A, W, 1.0), Q.sigma, TIMES)
        found.append(measures.half_times(run, Q.sigma)[0])
    assert np.std(found, ddof=1) / (np.log(2) / 2) == pytest.approx(np.sqrt(2 / N), rel=0.34)


def test_the_finite_width_posterior_is_right_to_one_over_the_width():
    """Relative error of the read-out moment, N and 8 N; the chain's own error is far below both."""
    error = []
    for width in (8, 64):
        chain = gibbs.sample(Q.sigma, 1.0, 1.0, width, 3000, np.random.default_rng(width))
        F = posterior.mean_map(Q.sigma, 1.0, 1.0, width, "finite_width")
        mean = chain.maps.mean(axis=0)
        error.append(np.linalg.norm(F - mean) / np.linalg.norm(mean))
    assert 4 < error[0] / error[1] < 16
