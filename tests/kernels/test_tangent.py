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
    widths = np.array([128, 512, 2048])
    errors = relative_errors(activation, depth, widths, rng, 9)
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert -0.65 < slope < -0.35
    assert errors[-1] < 0.1


@pytest.mark.parametrize("activation", [("erf", "linear", "erf"), ("relu", "relu", "erf")])
def test_the_empirical_kernel_is_the_gram_matrix_of_the_jacobian(activation, rng):
    net = MLP(
        [4, 11, 3, 12, 2],
        activation,
        "ntk",
        gains=1.5,
        bias_gain=0.1,
        generator=torch.Generator().manual_seed(1),
    )
    X, X2 = torch.as_tensor(rng.standard_normal((5, 4))), torch.as_tensor(rng.standard_normal((3, 4)))

    def jacobian(inputs):
        outputs = net(inputs).reshape(-1)
        rows = [
            torch.cat(
                [g.reshape(-1) for g in torch.autograd.grad(o, list(net.parameters()), retain_graph=True)]
            )
            for o in outputs
        ]
        return torch.stack(rows)

    expected = (jacobian(X) @ jacobian(X2).T).reshape(5, 2, 3, 2).numpy()
    weights, biases = ([p.detach().numpy() for p in ps] for ps in (net.weights, net.biases))
    ours = tangent.empirical_ntk(weights, biases, X.numpy(), X2.numpy(), activation=activation)
    np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-13)


def test_weights_that_do_not_chain_and_unknown_activations_are_refused():
    with pytest.raises(ValueError, match=r"weights\[1\] needs shape \(n_out, 3\)"):
        tangent.empirical_ntk([np.ones((3, 2)), np.ones((1, 4))], [np.ones(3), np.ones(1)], np.ones((5, 2)))
    with pytest.raises(ValueError, match="activation needs one of"):
        tangent.empirical_ntk(
            [np.ones((1, 2)), np.ones((1, 1))], [np.ones(1)] * 2, np.ones((3, 2)), activation="cube"
        )
