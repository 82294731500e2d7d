"""Networks at the start: scales of every parametrisation, activations, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from gdln.nets.mlp import ACTIVATIONS, MLP, PARAMETRISATIONS, initial_weights


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
def test_a_wide_layer_has_the_variance_its_parametrisation_promises(parametrisation):
    n, g = 1000, 1.7
    net = MLP([n, n, n], parametrisation=parametrisation, gains=g, generator=rng())
    x = torch.ones(1, n, dtype=torch.float64)
    variance = float(net(x, all_layers=True)[0].detach().var())
    expected = {"plain": n * g**2}.get(parametrisation, g**2)
    assert variance == pytest.approx(
        expected, rel=6 * math.sqrt(2 / n)
    )  # variance of 1000 Gaussians, six s.e.


def test_mean_field_output_shrinks_like_one_over_the_root_of_the_width():
    sizes = []
    for n in (100, 10000):
        net = MLP([5, n, 400], "relu", "mean_field", generator=rng())
        sizes.append(float(net(torch.ones(1, 5, dtype=torch.float64)).detach().std()))
    assert sizes[0] / sizes[1] == pytest.approx(10, rel=0.2)


def test_ntk_and_standard_networks_with_matched_draws_are_one_function():
    ntk = MLP([6, 9, 3], "tanh", "ntk", gains=1.3, generator=rng(1))
    standard = MLP([6, 9, 3], "tanh", "standard", gains=1.3, generator=rng(1))
    x = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(ntk(x), standard(x))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal_weights_have_all_singular_values_equal_to_the_gain(shape):
    W = initial_weights(*shape, "orthogonal", 0.2, rng())
    torch.testing.assert_close(torch.linalg.svdvals(W), torch.full((min(shape),), 0.2, dtype=torch.float64))


def test_xavier_weights_are_uniform_within_their_bound():
    W = initial_weights(300, 500, "xavier", 2.0, rng())
    bound = 2 * math.sqrt(6 / 800)
    assert 0.99 * bound < float(W.abs().max()) <= bound


def test_layers_take_their_own_activation_and_the_output_none():
    net = MLP([2, 3, 3, 2], ["relu", "tanh"], generator=rng())
    x = torch.randn(50, 2, dtype=torch.float64)
    first, second, out = net(x, all_layers=True)
    assert (first >= 0).all() and (second.abs() < 1).all()
    torch.testing.assert_close(out, second @ net.weights[2].T)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_a_bias_free_network_maps_zero_to_zero(name):
    net = MLP([3, 4, 2], name, generator=rng())
    assert (net(torch.zeros(1, 3, dtype=torch.float64)) == 0).all()


def test_biases_have_the_scale_asked_for_in_both_conventions():
    for parametrisation in ("standard", "ntk"):
        net = MLP([1, 20000], "linear", parametrisation, bias_gain=0.5, generator=rng())
        bias = net(torch.zeros(1, 1, dtype=torch.float64)).detach()
        assert float(bias.std()) == pytest.approx(0.5, rel=0.03)


def test_networks_work_under_functional_call_and_vmap():
    nets = [MLP([3, 4, 2], "relu", "ntk", generator=rng(s)) for s in range(3)]
    x = torch.randn(5, 3, dtype=torch.float64)
    parameters, buffers = stack_module_state(nets)
    out = vmap(lambda p, b: functional_call(nets[0], (p, b), (x,)))(parameters, buffers)
    torch.testing.assert_close(out, torch.stack([net(x) for net in nets]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"widths": [3]},
        {"widths": [3, 0, 2]},
        {"widths": [3, 4, 2], "gains": float("nan")},
        {"widths": [3, 4, 2], "activation": "step"},
        {"widths": [3, 4, 2], "activation": ["relu", "relu"]},
        {"widths": [3, 4, 2], "gains": [1.0]},
        {"widths": [3, 4, 2], "parametrisation": "mup"},
    ],
)
def test_bad_architectures_are_refused(arguments):
    with pytest.raises(ValueError, match="need|must"):
        MLP(**arguments, generator=rng())


def test_one_gain_a_layer_may_come_as_a_list_or_an_array():
    weights = [MLP([3, 4, 2], gains=g, generator=rng()).weights for g in ([1.0, 2.0], np.array([1.0, 2.0]))]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    once = MLP([3, 4, 2], generator=rng()).weights[1]
    torch.testing.assert_close(weights[0][1], 2 * once)


def test_inputs_of_the_wrong_width_are_refused():
    with pytest.raises(ValueError, match="3 columns"):
        MLP([3, 1], generator=rng())(torch.ones(2, 4, dtype=torch.float64))
