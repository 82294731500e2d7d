"""Descent on every weight: starts, conserved balance, slopes, and what is refused."""

import numpy as np
import pytest

from gdln import checks
from gdln.linear import modes, simulation


def test_decoupled_weights_are_balanced_and_carry_the_requested_strengths():
    rng = np.random.default_rng(4)
    found = modes.modes(rng.standard_normal((4, 6)), np.eye(6))
    weights = simulation.decoupled_weights(found, (8, 5), np.array([0.4, 0.3, 0.2, 0.1]), rng)
    for low, high in zip(weights[:-1], weights[1:], strict=True):
        np.testing.assert_allclose(low @ low.T, high.T @ high, atol=1e-14)
    np.testing.assert_allclose(found.strengths(weights[2] @ weights[1] @ weights[0]), [0.4, 0.3, 0.2, 0.1])


def test_simulation_conserves_the_balance_of_any_start():
    rng = np.random.default_rng(5)
    weights = simulation.random_weights((5, 4, 6, 3), 0.4, rng)
    run = simulation.simulate(
        weights, rng.standard_normal((3, 5)), np.eye(5), lr=1e-2, n_steps=300, record_every=100
    )
    for low, high in zip(run.weights[:-1], run.weights[1:], strict=True):
        Q = low @ low.transpose(0, 2, 1) - high.transpose(0, 2, 1) @ high
        assert np.abs(Q - Q[0]).max() < 1e-7


def test_simulated_flow_has_the_slope_of_the_loss():
    rng = np.random.default_rng(6)
    X, Y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    weights = simulation.random_weights((3, 4, 2), 0.5, rng)

    def loss(weights):
        return ((Y - X @ (weights[1] @ weights[0]).T) ** 2).sum() / 40

    step = simulation.simulate(weights, *modes.correlations(X, Y), lr=1.0, n_steps=1, method="euler")
    for layer in range(2):
        for index in np.ndindex(weights[layer].shape):
            up, down = ([W.copy() for W in weights] for _ in range(2))
            up[layer][index] += 1e-5
            down[layer][index] -= 1e-5
            slope = (step.weights[layer][1] - step.weights[layer][0])[index]
            assert slope == pytest.approx(-(loss(up) - loss(down)) / 2e-5, abs=1e-9)


def test_a_step_of_descent_worked_by_hand_with_a_rate_a_layer():
    W1, W2 = (
        np.array([[1.0], [2.0]]),
        np.array([[3.0, -1.0]]),
    )  # the product is 1, the target 2, the variance 0.5
    run = simulation.simulate([W1, W2], [[2.0]], [[0.5]], lr=0.1, n_steps=1, method="euler", rates=[2.0, 0.5])
    # back-propagated error 2 - 0.5 = 1.5
    np.testing.assert_allclose(run.weights[0][1], W1 + 0.1 * 2.0 * 1.5 * W2.T, rtol=1e-14)
    np.testing.assert_allclose(run.weights[1][1], W2 + 0.1 * 0.5 * 1.5 * W1.T, rtol=1e-14)
    np.testing.assert_array_equal(run.times, [0, 0.1])


def test_a_chain_descends_by_its_formula_and_knows_its_times():
    run = simulation.simulate_chain([1.0, 2.0, 0.5], s=2.0, lr=0.1, n_steps=3, d=0.5)
    np.testing.assert_allclose(run.times, [0, 0.1, 0.2, 0.3])
    assert run.weights.shape == (4, 3) and run.strength[0] == 1
    np.testing.assert_allclose(run.weights[1], [1 + 0.15 * 1, 2 + 0.15 * 0.5, 0.5 + 0.15 * 2], rtol=1e-14)


def test_weights_in_ntk_parametrisation_have_the_variance_and_the_rate_of_their_fan_in():
    weights, rates = simulation.ntk_weights((40, 200, 50, 30), np.random.default_rng(0))
    assert [W.shape for W in weights] == [(200, 40), (50, 200), (30, 50)] and rates == [1, 1 / 200, 1 / 50]
    for W, variance in zip(weights, rates, strict=True):
        assert W.var() == pytest.approx(variance, rel=4.5 * np.sqrt(2 / W.size))


def test_a_run_that_diverges_between_records_ends_with_its_last_step():
    with pytest.raises(checks.Diverged) as caught:
        simulation.simulate([[[3.0]], [[3.0]]], [[1.0]], [[1.0]], lr=1.0, n_steps=50, record_every=100)
    assert caught.value.step == 50


def test_divergence_is_reported_and_not_returned():
    with pytest.raises(FloatingPointError, match="too large"):
        simulation.simulate(
            [np.eye(2), np.eye(2)], 9 * np.eye(2), np.eye(2), lr=5.0, n_steps=50, method="euler"
        )
    with pytest.raises(FloatingPointError, match="too large"):  # between two records
        simulation.simulate([9 * np.eye(2)] * 3, np.eye(2), np.eye(2), lr=1.0, n_steps=13, record_every=100)
    with pytest.raises(FloatingPointError, match="too large"):
        simulation.simulate_chain([10.0, 10.0], 1.0, 1.0, 30)


@pytest.mark.parametrize(
    "call",
    [
        lambda: simulation.simulate_chain([], 1.0, 0.1, 3),
        lambda: simulation.simulate_chain([1.0, np.nan], 1.0, 0.1, 3),
        lambda: simulation.simulate([], np.eye(2), np.eye(2), 0.1, 1),
        lambda: simulation.simulate([np.eye(2)], np.eye(2), np.eye(2), -0.1, 1),
        lambda: simulation.simulate([np.eye(2)], np.eye(2), np.eye(2), 0.1, 1, record_every=0),
        lambda: simulation.simulate([np.eye(2)] * 2, np.eye(2), np.eye(2), 0.1, 1, rates=[1.0]),
        lambda: simulation.decoupled_weights(modes.modes(np.eye(3), np.eye(3)), (4,), -0.1, None),
        lambda: simulation.simulate([np.eye(3)], np.eye(2), np.eye(2), 0.1, 1),
        lambda: simulation.simulate([np.eye(2)], np.eye(2), np.eye(2), 0.1, 1, method="magic"),
        lambda: simulation.simulate([np.eye(2)], np.eye(2), np.eye(3), 0.1, 1),
        lambda: simulation.decoupled_weights(modes.modes(np.eye(3), np.eye(3)), (2,), 0.1, None),
    ],
)
def test_impossible_arguments_are_refused(call):
    with pytest.raises(ValueError, match="need"):
        call()
