"""Closed forms of deep linear networks against an ODE solver and against training all weights."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gdln.data import tasks
from gdln.linear import simulation
from gdln.linear.modes import chain_weights, correlations, depth_strength, mode_strength, modes

TOLERANCE = {"rtol": 1e-11, "atol": 1e-13, "method": "DOP853"}


@pytest.mark.parametrize("s, a0, d", [(1.0, 1e-3, 1.0), (0.35, 1e-5, 0.5), (2.0, 3.0, 1.0)])
def test_balanced_mode_solves_its_equation(s, a0, d):
    t = np.linspace(0, 20, 101)
    ode = solve_ivp(lambda _, a: 2 * a * (s - a * d), (0, 20), [a0], t_eval=t, **TOLERANCE)
    assert np.abs(ode.y[0] - mode_strength(t, s, a0, d)).max() < 1e-8


@pytest.mark.parametrize("b1, b2", [(0.1, 0.9), (-0.8, 0.2), (1.5, -0.01), (0.0, 0.3), (-0.2, -0.2)])
@pytest.mark.parametrize("s, d", [(1.0, 1.0), (-0.6, 2.0), (0.0, 0.5)])
def test_chain_weights_solve_their_equation(b1, b2, s, d):
    t = np.linspace(0, 12, 61)

    def slope(_, b):
        return b[::-1] * (s - b[0] * b[1] * d)

    ode = solve_ivp(slope, (0, 12), [b1, b2], t_eval=t, **TOLERANCE)
    assert np.abs(ode.y - chain_weights(t, s, b1, b2, d)).max() < 1e-8


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6, 9])
def test_depth_law_solves_its_equation(depth):
    t = np.linspace(0, 15, 101)
    s, d, a0 = 1.4, 0.6, 0.02
    ode = solve_ivp(
        lambda _, a: depth * a ** (2 - 2 / depth) * (s - a * d), (0, 15), [a0], t_eval=t, **TOLERANCE
    )
    assert np.abs(ode.y[0] - depth_strength(t, s, a0, depth, d)).max() < 1e-8


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_gradient_descent_on_a_chain_approaches_the_flow_at_first_order(depth):
    error = []
    for dt in (4e-3, 2e-3):
        path = simulation.simulate_chain(np.full(depth, 0.2 ** (1 / depth)), 1.0, dt, round(4 / dt)).strength
        t = dt * np.arange(path.size)
        error.append(np.abs(path - depth_strength(t, 1.0, 0.2, depth)).max())
    assert 1.9 < error[0] / error[1] < 2.1  # Euler: halving dt halves the error


@pytest.mark.parametrize("hidden", [(6,), (5, 8), (4, 4, 4)])
def test_hierarchical_data_are_learned_mode_by_mode_as_the_formula_says(hidden):
    X, Y = tasks.hierarchical()
    basis = modes(*correlations(X, Y))
    depth = len(hidden) + 1
    weights = simulation.decoupled_weights(basis, hidden, 0.05, np.random.default_rng(0))
    run = simulation.simulate(weights, *correlations(X, Y), lr=2e-3, n_steps=3000, record_every=30)
    theory = depth_strength(run.times[:, None], basis.s, 0.05, depth, basis.d)
    # Runge-Kutta of order four at dt = 2e-3: its error for the fastest mode is about 1e-8
    assert np.abs(basis.strengths(run.maps) - theory).max() < 1e-6
    off = np.linalg.norm(run.maps - (basis.U * theory[:, None, :]) @ basis.V.T, axis=(1, 2))
    assert off.max() < 1e-6


def test_strong_modes_are_learned_first():
    X, Y = tasks.hierarchical((3.0, 2.0, 1.5, 1.2))
    basis = modes(*correlations(X, Y))
    weights = simulation.random_weights((8, 30, 15), 1e-3, np.random.default_rng(1))
    run = simulation.simulate(weights, *correlations(X, Y), lr=5e-2, n_steps=1200, record_every=4)
    share = basis.strengths(run.maps) * basis.d / basis.s
    half = np.array([np.argmax(column > 0.5) for column in share.T])
    level = np.split(half, [1, 2, 4])  # root, then one, two and four modes of equal strength
    assert all(early.max() < late.min() for early, late in zip(level[:-1], level[1:], strict=True))


def test_a_mixed_input_correlation_breaks_the_formula():
    rng = np.random.default_rng(2)
    sigma_yx = rng.standard_normal((3, 4))
    factor = rng.standard_normal((4, 4))
    error = []
    for sigma_x in (np.eye(4), factor @ factor.T / 4):
        basis = modes(sigma_yx, sigma_x)
        weights = simulation.decoupled_weights(basis, (4,), 0.05, np.random.default_rng(3))
        run = simulation.simulate(weights, sigma_yx, sigma_x, lr=1e-2, n_steps=500)
        theory = mode_strength(run.times[:, None], basis.s, 0.05, basis.d)
        error.append(np.abs(basis.strengths(run.maps) - theory).max())
    assert error[0] < 1e-6 and error[1] > 1e-2
