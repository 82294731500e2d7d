"""The tangent kernel of a network: against automatic differentiation, and near its limit in wide networks."""

import numpy as np
import pytest
import torch

from gdln.kernels import tangent
from gdln.kernels.gram import gram
from gdln.kernels.moments import FullyConnected
from gdln.nets.mlp import MLP


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def relative_errors(activation, depth, widths, rng, n_networks):
    """Median over networks of the relative distance of their tangent kernel from the infinite one."""
    X = rng.standard_normal((8, 10))
    limit = gram(FullyConnected(depth, activation), X).ntk
    errors = []
    for width in widths:
        chain = [10, *[width] * depth, 1]
        distances = []
        for _ in range(n_networks):
            weights = [rng.standard_normal((b, a)) for a, b in zip(chain[:-1], chain[1:], strict=True)]
            biases = [rng.standard_normal(b) for b in chain[1:]]
            finite = tangent.empirical_ntk(weights, biases, X, activation=activation)[:, 0, :, 0]
            distances.append(np.linalg.norm(finite - limit) / np.linalg.norm(limit))
        errors.append(np.median(distances))
    return np.array(errors)


@pytest.mark.parametrize(("activation", "depth"), [("erf", 1), ("relu", 3)])
def test_the_kernel_of_a_finite_network_approaches_the_limit_as_the_root_of_the_width(activation, depth, rng):
    widths = np.array([64, 256, 1024])
    errors = relative_errors(activation, depth, widths, rng, 9)
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert -0.65 < slope < -0.35
    assert errors[-1] < 0.1


def by_layer(net, X, X2):
    """Gram matrices of the Jacobian in the weights and bias of each layer, by automatic differentiation."""
    found = []
    for parameters in zip(net.weights, net.biases, strict=True):
        rows = []
        for inputs in (X, X2):
            slopes = [
                torch.cat([g.reshape(-1) for g in torch.autograd.grad(o, parameters, retain_graph=True)])
                for o in net(inputs).reshape(-1)
            ]
            rows.append(torch.stack(slopes))
        found.append((rows[0] @ rows[1].T).reshape(len(X), net.widths[-1], len(X2), net.widths[-1]).numpy())
    return np.array(found)


#: Parametrisation of a network and its gains, and the factors of the kernel that belong to it.
SCALINGS = [
    ("ntk", [1.5, 0.7, 1.2, 1.1], [1.5, 0.7, 1.2, 1.1], 0.1),
    ("standard", 1.3, np.sqrt([4, 11, 3, 12]), 1.0),
]


@pytest.mark.parametrize("activation", [("erf", "linear", "erf"), ("relu", "relu", "erf"), ("tanh",) * 3])
@pytest.mark.parametrize(("parametrisation", "gains", "W_std", "b_std"), SCALINGS)
def test_the_kernels_of_layers_are_gram_matrices_of_the_jacobian(
    activation, parametrisation, gains, W_std, b_std, rng
):
    generator = torch.Generator().manual_seed(1)
    options = dict(gains=gains, bias_gain=0.1, generator=generator)
    net = MLP([4, 11, 3, 12, 2], activation, parametrisation, **options)
    X, X2 = torch.as_tensor(rng.standard_normal((5, 4))), torch.as_tensor(rng.standard_normal((3, 4)))
    expected = by_layer(net, X, X2)
    weights, biases = ([p.detach().numpy() for p in ps] for ps in (net.weights, net.biases))
    options = dict(activation=activation, W_std=W_std, b_std=b_std)
    ours = tangent.layer_kernels(weights, biases, X.numpy(), X2.numpy(), **options)
    np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-12)
    whole = tangent.empirical_ntk(weights, biases, X.numpy(), X2.numpy(), **options)
    np.testing.assert_allclose(whole, expected.sum(axis=0), rtol=1e-11, atol=1e-12)


def test_every_layer_adds_a_positive_semidefinite_kernel_and_the_last_is_that_of_the_hidden_units(rng):
    weights, biases = [rng.standard_normal((7, 3)), rng.standard_normal((1, 7))], [np.zeros(7), np.zeros(1)]
    X = rng.standard_normal((9, 3))
    kernels = tangent.layer_kernels(weights, biases, X, activation="tanh", W_std=1.0, b_std=0.5)[
        :, :, 0, :, 0
    ]
    assert all(np.linalg.eigvalsh(kernel)[0] > -1e-12 for kernel in kernels)
    hidden = np.tanh(X @ weights[0].T / np.sqrt(3))
    np.testing.assert_allclose(kernels[-1], hidden @ hidden.T / 7 + 0.25, rtol=1e-12)


def test_one_factor_is_the_same_factor_for_every_layer_and_another_number_of_them_is_refused(rng):
    weights, biases = [rng.standard_normal((4, 3)), rng.standard_normal((2, 4))], [np.ones(4), np.ones(2)]
    X = rng.standard_normal((5, 3))
    one, many = (tangent.empirical_ntk(weights, biases, X, W_std=W_std) for W_std in (0.8, [0.8, 0.8]))
    np.testing.assert_array_equal(one, many)
    with pytest.raises(ValueError, match="W_std needs one factor, or 2"):
        tangent.empirical_ntk(weights, biases, X, W_std=[0.8] * 3)


def test_weights_that_do_not_chain_and_unknown_activations_are_refused():
    with pytest.raises(ValueError, match=r"weights\[1\] needs shape \(n_out, 3\)"):
        tangent.empirical_ntk([np.ones((3, 2)), np.ones((1, 4))], [np.ones(3), np.ones(1)], np.ones((5, 2)))
    with pytest.raises(ValueError, match="activation needs one of"):
        tangent.empirical_ntk(
            [np.ones((1, 2)), np.ones((1, 1))], [np.ones(1)] * 2, np.ones((3, 2)), activation="cube"
        )
