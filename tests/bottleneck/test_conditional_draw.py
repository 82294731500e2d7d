"""Exact draws of an infinitely wide network and its gradient, also where their covariance is singular."""

from functools import cache

import numpy as np
import pytest
from scipy.special import erf

from gdln.bottleneck import dynamics
from gdln.bottleneck.architecture import Bottleneck, ConditionalDraw, draw
from gdln.kernels.gram import gradient_covariance
from gdln.kernels.moments import FullyConnected


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def architecture(width, activation="relu", upper=1, b_std=0.0):
    return Bottleneck(FullyConnected(1, "erf"), FullyConnected(upper, activation, 1.5, b_std), width)


def joint(value, jacobian):
    """Values and gradients as the rows of one matrix, one column an output."""
    both = np.concatenate([value[:, :, None], jacobian], axis=2)
    return both.transpose(0, 2, 1).reshape(-1, both.shape[1])


POINTS = {
    "on both sides of zero": [[-1.0, 0.5], [0.0, 0.0], [1.0, -0.5]],
    "on one ray": [[0.5, 1.0], [1.0, 2.0], [4.0, 8.0]],
    "on a line past zero": [[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]],
    "one point twice": [[0.3, -0.7], [0.3, -0.7], [1.0, 0.2]],
    "one dimension": [[-2.0], [0.0], [1.0], [3.0]],
}


@cache
def of_wide_networks(network, d, n_networks=300, width=400):
    """Covariance of value and gradient over finite networks at all points of d dimensions: mean, standard error.

    Forwards with plain matrices, gradient by the chain rule, the derivative of a ReLU zero at its kink. The read-out's
    average is taken in closed form.
    """
    rng = np.random.default_rng(0)
    z = np.concatenate([points for points in POINTS.values() if np.shape(points)[1] == d])
    n, found = len(z), []
    for _ in range(n_networks):
        a, slope = (
            z,
            np.broadcast_to(np.eye(d), (n, d, d)),
        )  # slope[i, unit, alpha] = d a[i, unit] / d z[i, alpha]
        for _ in range(network.depth):
            gain = network.W_std / np.sqrt(a.shape[1])
            W, b = rng.standard_normal((width, a.shape[1])), rng.standard_normal(width)
            h, dh = gain * a @ W.T + network.b_std * b, gain * W @ slope
            if network.activation == "relu":
                a, first = np.where(h > 0, h, 0), np.where(h > 0, 1.0, 0.0)
            else:
                a, first = erf(h), 2 / np.sqrt(np.pi) * np.exp(-(h**2))
            slope = first[:, :, None] * dh
        rows = np.concatenate([a[:, :, None], slope], axis=2).transpose(0, 2, 1).reshape(n * (1 + d), width)
        constant = np.zeros((n, 1 + d))
        constant[:, 0] = network.b_std  # the bias of the read-out moves the value alone
        found.append(network.W_std**2 / width * rows @ rows.T + np.outer(constant, constant))
    found = np.reshape(found, (n_networks, n, 1 + d, n, 1 + d))
    return np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(n_networks)


def at(place, covariance):
    """The part of a covariance at all points of some dimension that belongs to one place."""
    d, first = np.shape(POINTS[place])[1], 0
    for other, points in POINTS.items():
        if other == place:
            break
        first += len(points) if np.shape(points)[1] == d else 0
    part = slice(first, first + len(POINTS[place]))
    return covariance[part, :, part].reshape((len(POINTS[place]) * (1 + d),) * 2)


@pytest.mark.parametrize("place", POINTS)
@pytest.mark.parametrize(
    ("activation", "depth", "b_std"), [("relu", 1, 0.0), ("relu", 1, 0.3), ("relu", 2, 0.0), ("erf", 2, 0.0)]
)
def test_values_and_gradients_covary_as_those_of_wide_networks(place, activation, depth, b_std):
    z, network = np.array(POINTS[place]), FullyConnected(depth, activation, 1.5, b_std)
    expected = gradient_covariance(network, z)
    size = z.shape[0] * (1 + z.shape[1])
    expected = expected.reshape(size, size)
    assert np.linalg.eigvalsh(expected)[0] > -1e-13 * np.abs(expected).max()
    measured, error = (at(place, part) for part in of_wide_networks(network, z.shape[1]))
    # five standard errors, and the bias of order 1 / width of a second hidden layer
    slack = 0 if depth == 1 else 3 / 400 * np.abs(expected).max()
    assert (np.abs(measured - expected) <= 5 * error + slack + 1e-12).all()


@pytest.mark.parametrize("depth", [1, 3])
def test_three_points_through_zero_have_the_covariance_worked_by_hand(depth):
    # d = 1 without bias: f(z) = a z on the right and b z on the left, a and b of variance W_std^2 (W_std^2 / 2)^depth,
    # for each ReLU halves the variance; no hidden unit is on for both sides, so one layer leaves a and b independent
    network = FullyConnected(depth, "relu", 1.5, 0.0)
    C = gradient_covariance(network, np.array([[-1.0], [0.0], [1.0]])).reshape(6, 6)
    slope = 1.5 ** (2 * (depth + 1)) / 2**depth
    np.testing.assert_allclose(np.diag(C), [slope, slope, 0, 0, slope, slope], rtol=1e-14)
    assert not C[2].any() and not C[3].any()  # f(0) = 0 and the gradient's value at the kink
    np.testing.assert_allclose(C[:, 0], -C[:, 1], rtol=1e-14)  # f = z grad f at z = -1
    np.testing.assert_allclose(C[:, 4], C[:, 5], rtol=1e-14)  # and at z = 1
    if depth == 1:
        assert abs(C[0, 4]) < 1e-15


@pytest.mark.parametrize("seed", range(20))
def test_a_relu_without_bias_is_drawn_and_is_homogeneous(seed):
    rng = np.random.default_rng(seed)
    net = architecture(5)
    X = rng.standard_normal((20, 4))
    z = draw(net, X, rng)
    f0 = ConditionalDraw(net, 2, rng)
    value, jacobian = f0(z)
    np.testing.assert_allclose(value, np.einsum("nkd,nd->nk", jacobian, z), rtol=0, atol=1e-6)
    assert f0.rank <= 20 * 5
    further, same = f0(3 * z)
    np.testing.assert_allclose(further, 3 * value, rtol=0, atol=1e-6)
    np.testing.assert_allclose(same, jacobian, rtol=0, atol=1e-6)
    assert f0.rank <= 20 * 5  # nothing new was to be drawn


@pytest.mark.parametrize("place", POINTS)
@pytest.mark.parametrize(
    ("activation", "b_std"), [("relu", 0.0), ("relu", 0.1), ("erf", 0.0), ("linear", 0.1)]
)
def test_draws_have_mean_zero_and_the_stated_covariance_in_two_calls_as_in_one(place, activation, b_std, rng):
    z, n = np.array(POINTS[place]), 40_000
    net = architecture(z.shape[1], activation, 2, b_std)
    expected = gradient_covariance(net.upper, z)
    size = len(z) * (1 + z.shape[1])
    expected = expected.reshape(size, size)
    deviation = np.sqrt(np.diag(expected))
    for cut in (len(z), 1):
        f0 = ConditionalDraw(net, n, rng)
        parts = [joint(*f0(part)) for part in (z[:cut], z[cut:]) if len(part)]
        sample = np.concatenate(parts)
        assert (np.abs(sample.mean(axis=1)) <= 5 * deviation / np.sqrt(n)).all()
        # the variance of a product of two normal variables is at most twice that of their squares
        error = np.sqrt(2 / n) * np.outer(deviation, deviation)
        assert (np.abs(sample @ sample.T / n - expected) <= 5 * error + 1e-12).all()


def test_the_rank_is_that_of_the_network():
    rng = np.random.default_rng(1)
    line = rng.standard_normal((7, 1))
    kinked = ConditionalDraw(architecture(1), 1, rng)
    kinked(line)
    assert kinked.rank == 2  # two half-lines
    straight = ConditionalDraw(architecture(3, "linear", 2, 0.1), 1, rng)
    straight(rng.standard_normal((7, 3)))
    assert straight.rank == 4  # three slopes and a constant
    nothing = ConditionalDraw(architecture(3), 1, rng)
    value, jacobian = nothing(np.zeros((2, 3)))
    assert nothing.rank == 0 and not value.any() and not jacobian.any()


@pytest.mark.parametrize(("activation", "b_std"), [("relu", 0.0), ("relu", 0.1), ("erf", 0.1)])
@pytest.mark.parametrize("width", [1, 3])
def test_many_steps_of_training_draw_on_without_end(activation, b_std, width, rng):
    X, Y = rng.standard_normal((4, 3)), np.array([1.0, -1.0, 1.0, 1.0])
    net = architecture(width, activation, 1, b_std)
    f0 = ConditionalDraw(net, 1, rng)
    run = dynamics.memory(net, X, Y, draw(net, X, rng), f0, lr=0.1, n_steps=60)
    assert np.isfinite(run.loss).all() and run.loss[-1] < run.loss[0]
    assert f0.rank < 61 * 4 * (1 + width)
    # the drawn function is one function: asked again along the path it answers the same
    again = f0(run.bottleneck[30])
    once_more = f0(run.bottleneck[30] * (1 + 1e-13))
    np.testing.assert_allclose(again[0], once_more[0], atol=1e-3)


def test_activities_of_equal_inputs_are_equal_and_of_zero_inputs_zero(rng):
    net = Bottleneck(FullyConnected(1, "relu", 1.5, 0.0), FullyConnected(1, "relu"), 6)
    X = rng.standard_normal((5, 3))
    z = draw(net, np.vstack([X, X[2:4], 2 * X[:1], np.zeros((1, 3))]), rng)
    np.testing.assert_allclose(z[5:7], z[2:4], atol=1e-7)
    np.testing.assert_allclose(z[7], 2 * z[0], atol=1e-7)
    assert not z[8].any()
    assert not draw(net, np.zeros((3, 2)), rng).any()


def test_activities_of_a_linear_map_have_its_rank(rng):
    net = Bottleneck(FullyConnected(0, "linear", 1.0, 0.0), FullyConnected(1), 40)
    z = draw(net, rng.standard_normal((30, 4)), rng)
    assert np.linalg.matrix_rank(z, tol=1e-6) == 4
