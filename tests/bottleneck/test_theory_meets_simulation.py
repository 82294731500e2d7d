"""The dynamics in function space against gradient descent on all weights of finite networks."""

import numpy as np
import pytest
import torch

from gdln.bottleneck import architecture, dynamics
from gdln.bottleneck.architecture import Bottleneck
from gdln.kernels import function_space
from gdln.kernels.gram import gram
from gdln.kernels.moments import FullyConnected
from gdln.nets.mlp import MLP, Tap, upper_part
from gdln.nets.training import gradient_descent, half_squared_error

N, N_INPUTS, D = 20, 10, 3


def task(rng):
    X = rng.standard_normal((N, N_INPUTS))
    X *= np.sqrt(N_INPUTS) / np.linalg.norm(X, axis=1, keepdims=True)
    return X, np.sign(X[:, 0] * X[:, 1])[:, None]


def errors(n, seed, activation="erf", depth=1, n_steps=150, lr=0.05):
    """Largest distances, over the steps, of a finite network from theory, frozen kernel and theory's bottleneck."""
    X, Y = task(np.random.default_rng(seed))
    net = MLP(
        [N_INPUTS, *[n] * depth, D, *[n] * depth, 1],
        [activation] * depth + ["linear"] + [activation] * depth,
        "ntk",
        gains=1.5,
        bias_gain=0.1,
        generator=torch.Generator().manual_seed(seed),
    )
    tap = Tap(net, depth)
    f0, z0 = upper_part(net, depth), tap(torch.as_tensor(X))[:, 1:].detach().numpy()
    part = FullyConnected(depth, activation)
    arch = Bottleneck(part, part, D)
    options = dict(lr=lr, n_steps=n_steps)
    theory = dynamics.memory(arch, X, Y, z0, f0, **options)
    H = architecture.composite_kernel(arch, gram(part, X).ntk, z0, f0(z0)[1])
    still = function_space.frozen(H, Y, F0=theory.outputs[0], **options)
    simulation = gradient_descent(
        tap,
        lambda out, Y: half_squared_error(out[:, :1], Y),
        torch.as_tensor(X),
        torch.as_tensor(Y),
        lr,
        n_steps,
        record=("outputs",),
    ).outputs
    F, z = simulation[..., :1], simulation[..., 1:]

    def largest(difference):
        return np.linalg.norm(difference.reshape(n_steps + 1, -1), axis=1).max()

    scale, motion = np.linalg.norm(F[0] - Y), np.linalg.norm(z[-1] - z[0])
    return (
        largest(F - theory.outputs) / scale,
        largest(F - still.outputs) / scale,
        largest(z - theory.bottleneck) / motion,
        motion / np.linalg.norm(z[0]),
    )


@pytest.mark.slow
def test_finite_networks_converge_onto_the_dynamics_as_the_root_of_their_width_and_the_frozen_kernel_does_not():
    widths, seeds = np.array([128, 512, 2048]), range(7)
    median = np.median([[errors(int(n), seed) for seed in seeds] for n in widths], axis=1)
    slope = np.polyfit(np.log(widths), np.log(median[:, 0]), 1)[0]
    assert -0.65 < slope < -0.35
    assert median[-1, 0] < 0.025  # between the 0.03 and 0.02 that widths 1000 and 4000 must reach
    assert (median[:, 1] > 0.12).all()  # the frozen kernel stays this wrong at any width
    assert median[-1, 1] > 8 * median[-1, 0]
    assert median[-1, 2] < 0.15  # the bottleneck's activities follow too
    assert 0.15 < median[-1, 3] < 0.6  # and they move


@pytest.mark.parametrize(
    ("activation", "depth", "n", "n_steps"),
    [("relu", 1, 1000, 150), pytest.param("erf", 2, 750, 60, marks=pytest.mark.slow)],
)
def test_the_dynamics_hold_for_relu_and_for_deeper_parts(activation, depth, n, n_steps):
    median = np.median([errors(n, seed, activation, depth, n_steps)[:2] for seed in range(3)], axis=0)
    assert median[0] < 0.05
    assert median[0] < median[1] / 3


def test_a_linear_bottleneck_is_a_two_layer_linear_network_with_two_rates():
    # f and g linear, without bias: z = B x, F = A z / sqrt(d), and A, B follow a matrix flow with rates L_f, L_g
    rng = np.random.default_rng(3)
    X, L_g, L_f = rng.standard_normal((9, 5)), 3, 2
    A, B, Y = rng.standard_normal((2, D)), rng.standard_normal((D, 5)), rng.standard_normal((9, 2))
    arch = Bottleneck(FullyConnected(L_g - 1, "linear", 1, 0), FullyConnected(L_f - 1, "linear", 1, 0), D)
    hat, rate = X / np.sqrt(5), 0.05

    start = A / np.sqrt(D)

    def f0(z):
        return z @ start.T, np.broadcast_to(start, (len(z), 2, D))

    run = dynamics.memory(arch, X, Y, hat @ B.T, f0, lr=rate, n_steps=30)
    for step in range(31):
        W = A @ B / np.sqrt(D)
        np.testing.assert_allclose(run.outputs[step], hat @ W.T, atol=1e-11)
        S = (Y - hat @ W.T).T @ hat / 9
        A, B = A + rate * L_f / np.sqrt(D) * S @ B.T, B + rate * L_g / np.sqrt(D) * A.T @ S


def test_a_wide_bottleneck_trains_like_the_network_of_infinite_width():
    rng = np.random.default_rng(0)
    X, Y = task(rng)
    part, distances = FullyConnected(1, "erf"), []
    for d in (20, 320):
        arch = Bottleneck(part, part, d)
        limit = architecture.limit_kernels(arch, X).ntk
        options = dict(lr=0.5 * N / np.linalg.eigvalsh(limit)[-1], n_steps=30)
        target = function_space.frozen(limit, Y, **options).outputs
        some = []
        for _ in range(5):
            z0, f0 = architecture.draw(arch, X, rng), architecture.draw_features(arch, 1, 2048, rng)
            run = dynamics.tangent(arch, X, Y, z0, f0, centred=True, **options)
            some.append(np.abs(run.outputs - target).max())
        distances.append(np.median(some))
    assert 2 < distances[0] / distances[1] < 8  # sixteen times the width: a quarter of the distance


def test_the_upper_part_is_a_frozen_copy_with_its_jacobian():
    net = MLP(
        [4, 6, 3, 5, 2], "erf", "ntk", gains=1.5, bias_gain=0.1, generator=torch.Generator().manual_seed(0)
    )
    f0, X = (
        upper_part(net, 1),
        torch.randn(7, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64),
    )
    both = Tap(net, 1)(X).detach().numpy()
    value, jacobian = f0(both[:, 2:])
    np.testing.assert_allclose(value, both[:, :2], atol=1e-14)
    step = 1e-6
    for alpha, e in enumerate(step * np.eye(3)):
        difference = (f0(both[:, 2:] + e)[0] - f0(both[:, 2:] - e)[0]) / (2 * step)
        np.testing.assert_allclose(jacobian[:, :, alpha], difference, atol=1e-8)
    with torch.no_grad():
        net.weights[2].zero_()
    assert np.array_equal(f0(both[:, 2:])[0], value)
