"""Networks with a bottleneck: kernels, draws and representations."""

import numpy as np
import pytest

from gdln import results
from gdln.bottleneck.architecture import (
    Bottleneck,
    ConditionalDraw,
    alignment,
    composite_kernel,
    draw,
    draw_features,
    limit_kernels,
)
from gdln.kernels.gram import gradient_covariance, gram
from gdln.kernels.moments import FullyConnected
from tests.bottleneck.small import architecture, problem


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_limit_kernel_agrees_with_neural_tangents():
    record = results.load("kernel_fixtures")
    X, pair = np.array(record["parameters"]["X"]), tuple(record["parameters"]["collinear"])
    ordinary = np.ones((len(X), len(X)), dtype=bool)
    ordinary[pair] = ordinary[pair[::-1]] = False
    for row in record["results"]["linear_layer"]:
        erf = row["activation"] == "erf"
        net = architecture(5, row["activation"], row["lower"], row["upper"])
        ours = limit_kernels(net, X)
        where = ordinary if erf else ordinary & ~np.eye(len(X), dtype=bool)
        assert np.abs(ours.ntk - np.array(row["ntk"]))[where].max() < 1e-12
        assert np.abs(ours.nngp - np.array(row["nngp"]))[where].max() < 1e-12
        assert np.abs(ours.ntk - np.array(row["ntk"])).max() < 1e-6


def test_a_linear_bottleneck_has_the_kernel_of_a_linear_network(rng):
    X, _ = problem(rng)
    lower, upper = FullyConnected(1, "linear", 1.0, 0.0), FullyConnected(2, "linear", 1.0, 0.0)
    limit = limit_kernels(Bottleneck(lower, upper, 4), X)
    np.testing.assert_allclose(limit.ntk, 5 * X @ X.T / 6, atol=1e-13)


def test_the_initial_kernel_approaches_its_limit_as_the_root_of_the_bottleneck_width(rng):
    X, _ = problem(rng, n=8)
    widths, distances = np.array([5, 20, 80, 320]), []
    for width in widths:
        net = architecture(int(width))
        limit, theta = limit_kernels(net, X).ntk, gram(net.lower, X).ntk
        some = []
        for _ in range(12):
            z = draw(net, X, rng)
            J = draw_features(net, 1, 4096, rng)(z)[1]
            H = composite_kernel(net, theta, z, J)[:, 0, :, 0]
            some.append(np.linalg.norm(H - limit) / np.linalg.norm(limit))
        distances.append(np.mean(some))
    slope = np.polyfit(np.log(widths), np.log(distances), 1)[0]
    assert -0.6 < slope < -0.4


def test_the_composite_kernel_of_all_outputs_is_symmetric_and_positive(rng):
    X, _ = problem(rng)
    net = architecture(4, "relu")
    z = draw(net, X, rng)
    H = composite_kernel(net, gram(net.lower, X).ntk, z, rng.standard_normal((12, 3, 4)))
    matrix = H.reshape(36, 36)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_draws_have_the_covariance_of_the_kernel(rng):
    X, _ = problem(rng, n=5)
    net = architecture(20_000)
    z = draw(net, X, rng)
    # each entry is a mean of 20,000 products: five standard errors
    assert np.abs(z @ z.T / net.width - gram(net.lower, X).nngp).max() < 5 * 2 / np.sqrt(20_000)


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_the_jacobian_of_features_agrees_with_central_differences(activation, rng):
    net, step = architecture(3, activation), 1e-6
    f0, z = draw_features(net, 2, 50, rng), rng.standard_normal((4, 3))
    jacobian = f0(z)[1]
    for alpha, e in enumerate(step * np.eye(3)):
        difference = (f0(z + e)[0] - f0(z - e)[0]) / (2 * step)
        np.testing.assert_allclose(jacobian[:, :, alpha], difference, atol=1e-7)


def test_conditional_draws_are_one_function_whatever_the_order_of_questions(rng):
    net = architecture(2, upper=2)
    z = rng.standard_normal((6, 2))
    f0 = ConditionalDraw(net, 1, rng)
    first, jacobian = f0(z)
    again, _ = f0(z[::-1].copy())
    np.testing.assert_allclose(again[::-1], first, atol=1e-12)
    step = 1e-2
    up, down = (f0(z + s * step * np.array([1.0, 0.0]))[0] for s in (1, -1))
    np.testing.assert_allclose((up - down)[:, 0] / (2 * step), jacobian[:, 0, 0], atol=0.02)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_what_counts_as_determined_does_not_depend_on_the_unit_of_the_activities(unit):
    net = Bottleneck(FullyConnected(1, "relu"), FullyConnected(2, "relu", b_std=0.0), 3)
    z, ranks = np.random.default_rng(0).standard_normal((4, 3)), []
    for scale in (1.0, unit):
        f = ConditionalDraw(net, 2, np.random.default_rng(1))
        values, slopes = f(scale * z)
        # a ReLU network without bias is its gradient times its input
        np.testing.assert_allclose(values, np.einsum("nkd,nd->nk", slopes, scale * z), rtol=1e-3)
        ranks.append(f.rank)
    assert ranks[0] == ranks[1] > 4


def test_what_counts_as_determined_does_not_depend_on_the_unit_of_the_weights():
    z, ranks = np.random.default_rng(0).standard_normal((4, 3)), []
    for W_std in (1.0, 1e-4):
        net = Bottleneck(FullyConnected(1, "relu"), FullyConnected(1, "relu", W_std=W_std, b_std=0.0), 3)
        f = ConditionalDraw(net, 2, np.random.default_rng(1))
        f(z)
        ranks.append(f.rank)
    assert ranks[0] == ranks[1] > 4


def test_conditional_draws_have_the_covariance_of_kernel_and_gradient(rng):
    net, z = architecture(2, upper=2), rng.standard_normal((2, 2))
    f0 = ConditionalDraw(net, 40_000, rng)
    value, jacobian = f0(z)
    sample = np.concatenate([value[:, :, None], jacobian], axis=2).transpose(0, 2, 1).reshape(6, -1)
    expected = gradient_covariance(net.upper, z).reshape(6, 6)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((sample @ sample.T / 40_000 - expected) / scale).max() < 5 * np.sqrt(2 / 40_000)


def test_alignment_is_one_for_a_representation_that_is_the_target_and_ignores_rotations(rng):
    Y, Z, Q = (
        rng.standard_normal((9, 1)),
        rng.standard_normal((9, 4)),
        np.linalg.qr(rng.standard_normal((4, 4)))[0],
    )
    assert abs(alignment(Y @ rng.standard_normal((1, 4)), Y) - 1) < 1e-12
    assert abs(alignment(Z @ Q, Y) - alignment(Z, Y)) < 1e-12


def test_alignment_does_not_see_the_units_of_either(rng):
    Z, Y = rng.standard_normal((9, 4)), rng.standard_normal((9, 2))
    for z, y in ((1e-200, 1.0), (1e200, 1.0), (1.0, 1e-200), (1.0, 1e200)):
        assert alignment(z * Z, y * Y) == pytest.approx(alignment(Z, Y), rel=1e-12)


def test_bad_arguments_are_refused(rng):
    X, _ = problem(rng)
    with pytest.raises(ValueError, match="width"):
        Bottleneck(FullyConnected(1), FullyConnected(1), 0)
    with pytest.raises(ValueError, match="net needs a fan_in equal to its width"):
        limit_kernels(architecture(fan_in=1.0), X)
    with pytest.raises(ValueError, match="one hidden layer"):
        draw_features(architecture(upper=2), 1, 20, rng)
    for tolerance in (0.0, 1.0):
        with pytest.raises(ValueError, match="tolerance needs a number above 0 and below 1"):
            ConditionalDraw(architecture(), 1, rng, tolerance)
    with pytest.raises(ValueError, match="Z needs numbers that are not all zero"):
        alignment(np.zeros((3, 2)), np.ones(3))
