"""Paths through gated layers: their features, worked by hand, and what the memory is worth."""

import numpy as np
import pytest

from gdln.renormalization.kernels import GatedKernel, input_kernel
from gdln.renormalization.paths import path_features
from tests.renormalization.example import X


def test_a_path_takes_a_gate_of_every_layer_the_readouts_slowest():
    readout, below = np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([[5.0, 7.0, 11.0], [13.0, 17.0, 19.0]])
    expected = [[5, 7, 11, 10, 14, 22], [0, 0, 0, 39, 51, 57]]
    np.testing.assert_allclose(path_features([readout, below]), np.array(expected) / np.sqrt(6), rtol=1e-15)
    np.testing.assert_allclose(path_features((below,)), below / np.sqrt(3), rtol=1e-15)
    assert path_features([np.ones((2, 4))] * 3).shape == (2, 64)


def test_sets_of_gates_are_matrices_of_as_many_samples():
    for gate_sets in ([], [np.ones(3)], [np.ones((3, 2)), np.ones((2, 2))], [np.ones((3, 0))]):
        with pytest.raises(ValueError, match="gates needs"):
            path_features(gate_sets)


def test_the_features_of_several_outputs_are_a_block_for_each():
    g = np.array([[1.0, 2.0], [3.0, 4.0]])
    f = g / np.sqrt(2)
    kernel = GatedKernel(np.eye(2), g, outputs=2)
    np.testing.assert_allclose(kernel.F, np.block([[f, 0 * f], [0 * f, f]]), rtol=1e-15)
    U = np.diag([1.0, 2.0, 3.0, 4.0])
    # of each output f U f times the diagonal 5: (1 + 8)/2 5 and (3 + 16)/2 5
    np.testing.assert_allclose(kernel.diagonal(U, [5.0], g[:1]), [22.5, 47.5], rtol=1e-15)


def test_order_parameters_may_need_a_gigabyte_and_no_more():
    # 8 d (10 d + 3 n) bytes with n = 100 samples: d = 3648 is the largest below 2^30
    GatedKernel(np.eye(100), np.ones((100, 3648)))
    with pytest.raises(ValueError, match="3649 x 3649 and needs about 1 GiB"):
        GatedKernel(np.eye(100), np.ones((100, 3649)))


def test_a_list_without_gates_is_no_set_of_gates():
    with pytest.raises(ValueError, match="gates needs"):
        GatedKernel(input_kernel(X), [])
