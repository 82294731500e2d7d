"""Networks with a bottleneck: kernels, draws, and the rules any training run must obey."""

import numpy as np
import pytest

from gdln import results
from gdln.bottleneck import dynamics
from gdln.bottleneck.architecture import (
    Bottleneck,
    ConditionalDraw,
    alignment,
    composite_kernel,
    draw,
    draw_features,
    limit_kernels,
)
from gdln.kernels import function_space, moments
from gdln.kernels.gram import gradient_covariance, gram
from gdln.kernels.moments import FullyConnected


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def architecture(width=3, activation="erf", lower=1, upper=1, **options):
    return Bottleneck(FullyConnected(lower, activation), FullyConnected(upper, activation), width, **options)


def problem(rng, n=12, n_inputs=6, n_outputs=1):
    X = rng.standard_normal((n, n_inputs))
    return X, rng.choice([-1.0, 1.0], (n, n_outputs))


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


def test_conditional_draws_have_the_covariance_of_kernel_and_gradient(rng):
    net, z = architecture(2, upper=2), rng.standard_normal((2, 2))
    f0 = ConditionalDraw(net, 40_000, rng)
    value, jacobian = f0(z)
    sample = np.concatenate([value[:, :, None], jacobian], axis=2).transpose(0, 2, 1).reshape(6, -1)
    expected = gradient_covariance(net.upper, z).reshape(6, 6)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((sample @ sample.T / 40_000 - expected) / scale).max() < 5 * np.sqrt(2 / 40_000)


def test_features_and_memory_agree_at_the_rate_of_the_number_of_units(rng):
    X, Y = problem(rng)
    net, errors = architecture(), []
    for units in (250, 4000):
        some = []
        for _ in range(5):
            z0, f0 = draw(net, X, rng), draw_features(net, 1, units, rng)
            options = dict(lr=0.05, n_steps=40)
            exact = dynamics.memory(net, X, Y, z0, f0, **options)
            quick = dynamics.tangent(net, X, Y, z0, f0, **options)
            some.append(np.abs(exact.outputs - quick.outputs).max())
        errors.append(np.median(some))
    assert 2 < errors[0] / errors[1] < 8  # sixteen times the units: a quarter of the error
    assert errors[1] < 0.05


@pytest.mark.parametrize("method", ["memory", "tangent"])
@pytest.mark.parametrize(("activation", "b_std"), [("erf", 0.1), ("erf", 2.0), ("relu", 0.1)])
def test_the_first_step_is_that_of_the_composite_kernel(method, activation, b_std, rng):
    X, Y = problem(rng, n_outputs=2)
    upper, rate = FullyConnected(1, activation, b_std=b_std), 1e-6
    net = Bottleneck(FullyConnected(1, activation), upper, 3)
    z0, f0 = draw(net, X, rng), draw_features(net, 2, 3000, rng)
    run = getattr(dynamics, method)(net, X, Y, z0, f0, lr=rate, n_steps=1, keep_jacobian=True)
    H = composite_kernel(net, gram(net.lower, X).ntk, z0, run.jacobian[0])
    chi = (run.outputs[0] - Y) / len(X)
    expected = -rate * (H.reshape(24, 24) @ chi.ravel()).reshape(12, 2)
    moved = run.outputs[1] - run.outputs[0]
    tolerance = 1e-4 if method == "memory" else 0.1  # second order in the step; a finite draw
    assert np.linalg.norm(moved - expected) < tolerance * np.linalg.norm(expected)


def test_no_scale_of_the_step_changes_the_flow_at_small_steps(rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 400, rng)
    ends = [
        dynamics.tangent(net, X, Y, z0, f0, lr=0.4 / n, n_steps=n, record_every=n).outputs[-1]
        for n in (20, 40, 80)
    ]
    ratio = np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[1] - ends[2])
    assert 1.8 < ratio < 2.2  # Euler: the error halves with the step


@pytest.mark.parametrize("method", ["memory", "tangent"])
def test_test_points_equal_to_training_points_follow_them(method, rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 100, rng)
    run = getattr(dynamics, method)(
        net,
        X,
        Y,
        z0,
        f0,
        lr=0.1,
        n_steps=10,
        X_test=X[:3],
        z0_test=z0[:3],
        record_every=4,
        centred=True,
    )
    assert run.steps.tolist() == [0, 4, 8, 10] and len(run.history) == 11
    # at coinciding points the diagonal of the kernel is exact, off it there is rounding only
    np.testing.assert_allclose(run.test_outputs, run.outputs[:, :3], atol=1e-10)
    np.testing.assert_allclose(run.test_bottleneck, run.bottleneck[:, :3], atol=1e-10)
    np.testing.assert_allclose(run.outputs[0], 0, atol=1e-14)


@pytest.mark.parametrize("method", ["memory", "tangent"])
def test_batches_holding_all_samples_in_any_order_are_full_batch_descent(method, rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 100, rng)
    run = getattr(dynamics, method)
    options = dict(lr=0.1, n_steps=6, centred=True)
    full = run(net, X, Y, z0, f0, **options)
    batched = run(net, X, Y, z0, f0, batches=[rng.permutation(12) for _ in range(6)], **options)
    np.testing.assert_allclose(batched.outputs, full.outputs, atol=1e-9)
    small = run(net, X, Y, z0, f0, batches=[rng.permutation(12)[:3] for _ in range(6)], **options)
    assert np.abs(small.outputs[-1] - full.outputs[-1]).max() > 1e-3


def test_label_scale_is_the_same_as_larger_labels_for_the_squared_loss(rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 100, rng)
    options = dict(lr=0.05, n_steps=8)
    scaled = dynamics.tangent(net, X, Y, z0, f0, label_scale=3.0, **options)
    larger = dynamics.tangent(net, X, 3 * Y, z0, f0, **options)
    np.testing.assert_allclose(scaled.outputs, larger.outputs, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "k"), [("squared", 1), ("squared", 3), ("cross_entropy", 1), ("cross_entropy", 3)]
)
def test_losses_have_their_gradients(loss, k, rng):
    F = rng.standard_normal((5, k))
    Y = np.eye(3)[rng.integers(0, 3, 5)] if k == 3 else rng.choice([-1.0, 1.0], (5, 1))
    _, chi = function_space.loss_and_gradient(F, Y, loss, 2.5)
    step = 1e-6
    for index in np.ndindex(F.shape):
        e = np.zeros_like(F)
        e[index] = step
        up, down = (function_space.loss_and_gradient(F + s * e, Y, loss, 2.5)[0] for s in (1, -1))
        assert abs(chi[index] - (up - down) / (2 * step)) < 1e-8


def test_a_frozen_kernel_gives_the_closed_form(rng):
    X, Y = problem(rng, n_outputs=2)
    both = gram(FullyConnected(1), X)
    run = function_space.frozen(both.ntk, Y, lr=0.5, n_steps=9, test_kernel=both.ntk[:4])
    closed = function_space.gradient_flow(
        both, moments.Kernels(both.nngp[:4], both.ntk[:4]), Y, run.steps, lr=0.5
    )
    np.testing.assert_allclose(run.test_outputs, closed.mean, atol=1e-12)
    blocks = both.ntk[:, None, :, None] * np.eye(2)[None, :, None, :]
    again = function_space.frozen(blocks, Y, lr=0.5, n_steps=9)
    np.testing.assert_allclose(again.outputs, run.outputs, atol=1e-12)


@pytest.mark.parametrize("method", ["memory", "tangent"])
def test_a_step_above_the_limit_is_reported_with_the_eigenvalue_of_the_initial_kernel(method, rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 2000, rng)
    H = composite_kernel(net, gram(net.lower, X).ntk, z0, f0(z0)[1])
    top = function_space.largest_eigenvalue(H)
    with pytest.raises(function_space.UnstableStepSize) as caught:
        getattr(dynamics, method)(net, X, 1e-6 * Y, z0, f0, lr=3 / top, n_steps=60, centred=True)
    # with small labels the kernel has hardly moved when the loss, after a first step down, starts to grow
    assert abs(caught.value.eigenvalue / top - 1) < 1e-5 and caught.value.step <= 2
    with pytest.raises(function_space.UnstableStepSize):
        function_space.frozen(H, Y, lr=2.1 / top, n_steps=5)
    stable = getattr(dynamics, method)(net, X, Y, z0, f0, lr=0.5 / top, n_steps=60)
    assert stable.loss[-1] < 0.2 * stable.loss[0]


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


def test_first_below_is_infinite_when_the_level_is_not_reached():
    assert function_space.first_below([0, 5, 10], [1.0, 0.2, 0.1], 0.15) == 10
    assert function_space.first_below([0, 5, 10], [1.0, 0.2, 0.1], 0.05) == np.inf


def test_bad_arguments_are_refused(rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 20, rng)
    with pytest.raises(ValueError, match="width"):
        Bottleneck(FullyConnected(1), FullyConnected(1), 0)
    with pytest.raises(ValueError, match="net needs a fan_in equal to its width"):
        limit_kernels(architecture(fan_in=1.0), X)
    with pytest.raises(ValueError, match="one hidden layer"):
        draw_features(architecture(upper=2), 1, 20, rng)
    with pytest.raises(ValueError, match=r"z0 needs shape \(12, 3\)"):
        dynamics.memory(net, X, Y, z0[:, :2], f0, lr=0.1, n_steps=1)
    with pytest.raises(ValueError, match="f0 needs one output a column of Y, 2"):
        dynamics.tangent(net, X, np.hstack([Y, Y]), z0, f0, lr=0.1, n_steps=1)
    with pytest.raises(ValueError, match="lr"):
        dynamics.tangent(net, X, Y, z0, f0, lr=0.0, n_steps=1)
    with pytest.raises(ValueError, match="one batch a step"):
        dynamics.tangent(net, X, Y, z0, f0, lr=0.1, n_steps=3, batches=[[0]])
    with pytest.raises(ValueError, match="loss needs one of"):
        dynamics.tangent(net, X, Y, z0, f0, lr=0.1, n_steps=3, loss="hinge")
    with pytest.raises(ValueError, match="kernel needs shape"):
        function_space.frozen(np.eye(3), Y, lr=0.1, n_steps=1)
    with pytest.raises(ValueError, match="f0 needs a draw of the same net"):
        dynamics.tangent(architecture(upper=2), X, Y, z0, f0, lr=0.1, n_steps=1)
    with pytest.raises(ValueError, match="z0_test"):
        dynamics.tangent(net, X, Y, z0, f0, lr=0.1, n_steps=1, X_test=X)
    with pytest.raises(ValueError, match="finite"):
        dynamics.memory(net, X, np.nan * Y, z0, f0, lr=0.1, n_steps=1)
    for tolerance in (0.0, 1.0):
        with pytest.raises(ValueError, match="tolerance needs a number above 0 and below 1"):
            ConditionalDraw(net, 1, rng, tolerance)
    with pytest.raises(ValueError, match="Z needs numbers that are not all zero"):
        alignment(np.zeros((3, 2)), np.ones(3))
