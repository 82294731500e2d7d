"""Networks on two points: their gradient, their records, and the theory of the pair held against them."""

import numpy as np
import pytest

from gdln import checks
from gdln.synthesis import two_points as pairs
from gdln.synthesis import two_points_nets as nets

X, Y = np.array([[-1.0, 0.3], [0.2, 0.5]]), np.array([[0.6, 1.0, 0.0], [1.3, 0.2, -0.4]])


def run(**options):
    settings = dict(
        width=5, depth=2, activation="tanh", gain=1.0, lr=1e-3, n_steps=1, rng=np.random.default_rng(0)
    )
    return nets.simulate_pair(X, Y, **settings | options)


@pytest.mark.parametrize("name", nets.ACTIVATIONS)
def test_slopes_are_those_of_the_values(name):
    u, step = np.array([-3.0, -0.7, 0.4, 2.0]), 1e-6
    up, down = (nets.ACTIVATIONS[name](u + s)[0] for s in (step, -step))
    np.testing.assert_allclose(nets.ACTIVATIONS[name](u)[1], (up - down) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("name", nets.ACTIVATIONS)
@pytest.mark.parametrize("depth", [1, 3])
def test_every_gradient_is_that_of_torch(name, depth):
    import torch

    known = {
        "linear": lambda u: u,
        "leaky_relu": lambda u: torch.nn.functional.leaky_relu(u, 0.01),
        "elu": torch.nn.functional.elu,
        "swish": torch.nn.functional.silu,
        "softplus": torch.nn.functional.softplus,
    }
    phi = known.get(name) or getattr(torch, name)
    rng, sizes = np.random.default_rng(3), [2, *[4] * depth, 3]
    weights = [
        torch.tensor(0.9 * np.sqrt(2 / (n + m)) * rng.standard_normal((n, m)), requires_grad=True)
        for n, m in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    biases = [torch.zeros(m, dtype=torch.float64, requires_grad=True) for m in sizes[1:]]
    losses, distances = [], []
    for _ in range(4):
        x = torch.tensor(X)
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            x = phi(x @ W + b)
        outputs = x @ weights[-1] + biases[-1]
        loss = 0.5 * (outputs - torch.tensor(Y)).square().sum(dim=1).mean()
        losses.append(loss.item())
        distances.append((x[1] - x[0]).square().sum().item())
        for p, g in zip([*weights, *biases], torch.autograd.grad(loss, [*weights, *biases]), strict=True):
            p.data -= 0.1 * g
    path = run(
        width=4, depth=depth, activation=name, gain=0.9, lr=0.1, n_steps=3, rng=np.random.default_rng(3)
    )
    np.testing.assert_allclose(path.loss, losses, rtol=1e-12)
    np.testing.assert_allclose(path.h[:, -1], distances, rtol=1e-12)


def test_the_three_numbers_and_the_mean_error_make_up_the_loss():
    path = run(n_steps=50, lr=0.1)
    d_y = np.square(Y[1] - Y[0]).sum()
    np.testing.assert_allclose(pairs.pair_loss(path.y, path.w, d_y, path.mean_error), path.loss, rtol=1e-12)


def test_training_ends_when_the_loss_is_low_enough_and_arguments_stay():
    path = run(n_steps=5000, lr=0.1, stop_below=1e-2)
    assert path.loss[-1] < 1e-2 <= path.loss[-2] and len(path.times) == len(path.h) < 5000
    assert path.h.shape[1] == 2 and path.times[1] == 0.1
    assert run(n_steps=0).loss.shape == (1,)


def test_a_step_that_is_too_large_is_reported():
    with pytest.raises(checks.Diverged, match="training diverged at step"):
        run(activation="linear", lr=10.0, n_steps=500)


@pytest.mark.parametrize("n_outputs", [1, 2, 4])
def test_one_hidden_unit_is_the_closed_system(n_outputs):
    rng = np.random.default_rng(n_outputs)
    for _ in range(5):
        a, d_x, eta_h, eta_y = rng.uniform(0.2, 1.5, 4)
        b, target = rng.standard_normal((2, n_outputs))
        target *= np.sign(b @ target)  # on the far side of the targets hidden states can meet
        times = np.linspace(0, 10, 41)
        path = nets.simulate_one_unit(a, b, target, d_x, eta_h, eta_y, times)
        start = path.h[0, 0], path.y[0], path.w[0]
        theory = pairs.solve_pair(*start, d_x, target @ target, eta_h, eta_y, times)
        for found, expected in ((theory.h, path.h[:, 0]), (theory.y, path.y), (theory.w, path.w)):
            assert np.abs(found - expected).max() < 1e-6 * max(1, np.abs(expected).max())


def test_a_network_with_one_hidden_unit_has_rates_of_a_half():
    # centred inputs and targets: the mean error is zero and stays so
    x, y = np.array([[-0.7], [0.7]]), np.array([[-0.4, 0.3], [0.4, -0.3]])
    gap = []
    for lr in (0.02, 0.01):
        path = nets.simulate_pair(
            x, y, 1, 1, "linear", 1.0, lr, round(20 / lr), np.random.default_rng(4), 0.0
        )
        start, target = (path.h[0, 0], path.y[0], path.w[0]), y[1] - y[0]
        theory = pairs.solve_pair(*start, 1.4**2, target @ target, 0.5, 0.5, path.times)
        gap.append(np.abs(theory.y - path.y).max())
    assert 1.8 < gap[0] / gap[1] < 2.2  # Euler: half the step, half the error


@pytest.mark.parametrize("width", [1, 2, 30])
@pytest.mark.parametrize("d_y", [0.0, 0.5])
def test_a_wide_linear_layer_ends_where_its_readout_says(width, d_y):
    x = np.array([[-0.7], [0.7]])
    y = x / 1.4 * np.sqrt(d_y)
    lr = 1e-2
    path = nets.simulate_pair(x, y, width, 1, "linear", 1.0, lr, 4000, np.random.default_rng(1), 1e-12)
    rng = np.random.default_rng(1)
    rng.standard_normal((1, width))
    readout = np.square(np.sqrt(2 / (1 + width)) * rng.standard_normal(width)).sum()
    end = pairs.final_distance(path.h[0, 0], path.y[0], 1.4**2, d_y, 1.0, readout)
    # merging is slow, and the balance drifts with the step
    np.testing.assert_allclose(path.h[-1, 0], end, rtol=5e-3, atol=1e-4)


def test_two_rates_fit_a_small_deep_network():
    path = nets.simulate_pair(
        [[-1.0], [0.0]], [[0.6], [1.3]], 40, 4, "tanh", 0.6, 0.05, 4000, np.random.default_rng(0)
    )
    fit = pairs.fit_rates(path.h[:, 1], path.y, path.w, 1.0, 0.49, path.times)
    assert fit.residual < 0.12 and pairs.straightness(path.h[:, 1], path.y).r2 > 0.95


@pytest.mark.parametrize("settings", nets.NETWORKS, ids=lambda s: f"{s['activation']}-{s['depth']}")
def test_the_networks_of_the_chapter_take_a_step_downhill(settings):
    path = nets.simulate_pair(
        [[-1.0], [0.0]], [[0.6], [1.3]], 20, n_steps=1, rng=np.random.default_rng(0), **settings
    )
    assert path.loss[1] < path.loss[0]


@pytest.mark.parametrize("times", [[0.0], [5.0], [0.0, 0.0, 1.0, 1.0]])
def test_one_hidden_unit_may_be_asked_for_one_time_or_twice_for_the_same(times):
    path = nets.simulate_one_unit(0.5, [0.4], [0.7], 1.0, 0.7, 1.3, times)
    assert path.h.shape == (len(times), 1) and path.h[0, 0] == pytest.approx(0.25)
    assert path.y[0] == pytest.approx(0.04)
    later = nets.simulate_one_unit(0.5, [0.4], [0.7], 1.0, 0.7, 1.3, [times[0], times[-1]])
    np.testing.assert_allclose(path.h[-1], later.h[-1], rtol=1e-9)
