"""Descent and sampling told apart, and a sampled mean held against its limit."""

import numpy as np
import pytest

from gdln.diagnosis import bayes
from gdln.kernels.moments import FullyConnected


def test_independent_draws_drift_by_one_and_remember_nothing():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 40_000))
    assert abs(bayes.drift(a, b) - 1) < 5 * np.sqrt(1 / 40_000) * 2
    assert abs(bayes.memory(a, b)) < 5 / np.sqrt(40_000)
    assert bayes.drift(a, a) == 0 and bayes.memory(a, a) == pytest.approx(1)
    assert bayes.drift(a, -a) == pytest.approx(2) and bayes.memory(a, -3 * a) == pytest.approx(-1)


def test_weights_that_are_zero_are_refused():
    zero, one = np.zeros(3), np.ones(3)
    with pytest.raises(ValueError, match="late, half needs"):
        bayes.drift(zero, zero)
    with pytest.raises(ValueError, match="late, start needs"):
        bayes.memory(one, zero)


def test_a_loss_at_rest_has_ratio_one_and_a_falling_one_less():
    assert bayes.stationary(np.full(9, 2.0)) == 1
    assert bayes.stationary(np.zeros(9)) == 1
    assert bayes.stationary(0.5 ** np.arange(12)) == pytest.approx(0.125)


def test_a_loss_at_rest_needs_four_records():
    assert bayes.stationary([4.0, 3.0, 2.0, 1.0]) == 0.5  # the last quarter over the one before
    with pytest.raises(ValueError, match="losses needs at least four records"):
        bayes.stationary([3.0, 2.0, 1.0])


def test_the_product_of_two_halves_has_no_bias_of_noise():
    rng = np.random.default_rng(0)
    process = rng.standard_normal((50, 1))
    squares, plain = [], []
    for _ in range(400):
        noise = 0.3 * rng.standard_normal((2, 50, 1))
        d = bayes.process_distance(process + noise[0], process + noise[1], process)
        squares.append(np.sign(d) * d**2)
        plain.append(np.linalg.norm(noise.mean(0)) / np.linalg.norm(process))
    assert abs(np.mean(squares)) < 4 * np.std(squares) / 20
    assert np.mean(plain) > 0.1
    assert bayes.process_distance(1.2 * process, 1.2 * process, process) == pytest.approx(0.2)


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_a_distance_from_the_process_has_no_unit(unit):
    process = unit * np.array([[3.0], [-1.0]])
    assert bayes.process_distance(1.5 * process, 0.9 * process, process) == pytest.approx(
        -(0.05**0.5), rel=1e-12
    )


def test_a_process_of_zero_and_weights_without_draws_are_refused():
    with pytest.raises(ValueError, match="process needs a prediction that is not zero"):
        bayes.process_distance(np.ones((2, 1)), np.ones((2, 1)), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="readouts needs draws first"):
        bayes.readout_scale(np.ones(3), 1.0)
    assert bayes.readout_scale([[1.0, 3.0], [1.0, 1.0]], 1.5) == pytest.approx(2)


def test_the_readout_of_the_prior_has_scale_one_in_any_shape():
    draws = np.sqrt(0.5) * np.random.default_rng(0).standard_normal((200, 1, 100))
    assert abs(bayes.readout_scale(draws, 0.5) - 1) < 5 * np.sqrt(2 / draws.size)
    assert bayes.readout_scale(2 * draws, 0.5) == pytest.approx(4 * bayes.readout_scale(draws, 0.5))


def test_without_hidden_layers_the_limit_is_linear_regression():
    rng = np.random.default_rng(0)
    X, X_test = rng.standard_normal((5, 8)), rng.standard_normal((3, 8))
    Y = rng.standard_normal((5, 2))
    told = bayes.infinite_width(FullyConnected(0, "linear", 1.0, 0.0), X, Y, X_test)
    least = X_test @ np.linalg.pinv(X) @ Y
    assert np.abs(told["nngp"] - least).max() < 1e-9 and np.abs(told["ntk"] - least).max() < 1e-9
    ridge = X_test @ X.T @ np.linalg.solve(X @ X.T + 8 * 0.3 * np.eye(5), Y)
    noisy = bayes.infinite_width(FullyConnected(0, "linear", 1.0, 0.0), X, Y, X_test, temperature=0.3)
    assert np.abs(noisy["nngp"] - ridge).max() < 1e-9


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_drift_and_memory_do_not_depend_on_the_unit_of_the_weights(scale):
    a, b = np.random.default_rng(0).standard_normal((2, 20))
    assert bayes.drift(scale * a, scale * b) == pytest.approx(bayes.drift(a, b), rel=1e-12)
    assert bayes.memory(scale * a, scale * b) == pytest.approx(bayes.memory(a, b), rel=1e-12)
    assert bayes.memory(scale * a, b) == pytest.approx(bayes.memory(a, b), rel=1e-12)
