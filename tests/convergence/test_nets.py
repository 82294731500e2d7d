"""Networks with all their weights: outputs worked by hand, and what they refuse."""

import numpy as np
import pytest
import torch

from gdln.convergence.features import RandomFeatures
from gdln.convergence.nets import ThreeLayerNetwork

X = np.array([[3.0, 4.0]])
W = np.array([[1.0, -1.0], [2.0, 0.0]])


@pytest.mark.parametrize("scaling, scale, time_scale", [("mean_field", 1 / 2, 2), ("ntk", 2**-0.5, 1)])
def test_a_shallow_network_of_two_units_is_what_one_works_out_by_hand(scaling, scale, time_scale):
    net = ThreeLayerNetwork([1.0, -2.0], W, "leaky_0.2", scaling=scaling)
    np.testing.assert_allclose(net.features(X).detach(), np.array([[-1.0, 6.0]]) / 2**0.5, rtol=1e-14)
    np.testing.assert_allclose(net(X).detach(), [scale * (-0.2 - 12) / 2**0.5], rtol=1e-14)
    assert net.time_scale == time_scale


@pytest.mark.parametrize(
    "kind, phi", [("relu", [7 / 2**0.5, 0.0]), ("fourier", [np.cos(7.0 + 0.5), np.cos(1.0 - 2.0)])]
)
def test_a_first_layer_of_two_features_is_what_one_works_out_by_hand(kind, phi):
    # u x = (7, 1) or, for ReLU, (7, -1); two features, so that the factor sqrt(2 / D) is one
    u = np.array([[1.0, 1.0], [-1.0, 1.0] if kind == "fourier" else [1.0, -1.0]])
    net = ThreeLayerNetwork([1.0, -2.0], W, "tanh", RandomFeatures(u, np.array([0.5, -2.0]), kind))
    h = [phi[0] - phi[1], 2 * phi[0]]
    np.testing.assert_allclose(net.features(X).detach(), [h], rtol=1e-13)
    np.testing.assert_allclose(net(X).detach(), [(np.tanh(h[0]) - 2 * np.tanh(h[1])) / 2], rtol=1e-13)


def test_the_weights_given_stay_as_they_are():
    given = W.copy()
    net = ThreeLayerNetwork([1.0, -2.0], given, "relu")
    with torch.no_grad():
        net.W += 1
    np.testing.assert_array_equal(given, W)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"W": np.ones((3, 2))}, "W"),
        ({"activation": "cube"}, "activation"),
        ({"scaling": "standard"}, "scaling"),
        ({"c": [1.0, np.nan]}, "c"),
        ({"first": np.ones((2, 2))}, "first"),
        ({"first": RandomFeatures(np.ones((3, 2)), np.zeros(3), "relu")}, "W"),
    ],
)
def test_layers_that_do_not_fit_are_refused(change, name):
    arguments = {"c": [1.0, -2.0], "W": W, "activation": "relu"} | change
    with pytest.raises((ValueError, TypeError), match=f"^{name} needs"):
        ThreeLayerNetwork(**arguments)
    with pytest.raises(ValueError, match=r"^X needs shape \(n, 2\)"):
        ThreeLayerNetwork([1.0, -2.0], W, "relu")(np.ones((1, 3)))
