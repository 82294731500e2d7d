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
    np.testing.assert_allclose(kernel.diagonal(U, [0.5], g[:1]), [2.25, 4.75], rtol=1e-15)


def test_a_set_a_layer_is_told_from_one_set_for_all_layers():
    rng = np.random.default_rng(0)
    x, upper, lower = (rng.standard_normal((6, n)) for n in (3, 2, 4))
    K0 = input_kernel(x)
    for gates, depth, expected in (
        ([upper, lower], 1, [upper, lower]),
        ((upper, lower), 5, [upper, lower]),  # as many layers as sets, whatever the depth
        (upper, 2, [upper, upper]),
        (upper.tolist(), 2, [upper, upper]),
        ([upper], 1, [upper]),
    ):
        kernel = GatedKernel(K0, gates, depth=depth)
        np.testing.assert_array_equal(kernel.F, path_features(expected))
        again = kernel.diagonal(np.eye(len(kernel.F.T)), np.ones(6), gates)
        np.testing.assert_allclose(again, (kernel.F**2).sum(axis=1), rtol=1e-14)


def test_new_points_have_the_gates_of_the_family_or_those_that_are_given():
    x, new = np.arange(12.0).reshape(6, 2), np.array([[1.0, -1.0], [0.5, 2.0]])
    values = new[:, :1]
    kernel = GatedKernel.from_inputs(x, lambda X: X[:, :1])
    np.testing.assert_array_equal(kernel.new_points(new)[2], values)
    np.testing.assert_array_equal(kernel.new_points(new, 2 * values)[2], 2 * values)
    for several in ([values, values], [lambda X: X[:, :1], values]):
        np.testing.assert_array_equal(kernel.new_points(new, several)[2], [values, values])
    for wrong in (values[:1], [values, values[:1]]):
        with pytest.raises(ValueError, match="gates needs one row for each of 2 new points"):
            kernel.new_points(new, wrong)
    with pytest.raises(ValueError, match="gates needs those of the new points"):
        GatedKernel.from_inputs(x, x[:, :1]).new_points(new)


def test_order_parameters_may_need_a_gigabyte_and_no_more():
    # 8 d (10 d + 3 n) bytes with n = 100 samples: d = 3648 is the largest below 2^30
    GatedKernel(np.eye(100), np.ones((100, 3648)))
    with pytest.raises(ValueError, match="3649 x 3649 and needs about 1 GiB"):
        GatedKernel(np.eye(100), np.ones((100, 3649)))


def test_a_list_without_gates_is_no_set_of_gates():
    with pytest.raises(ValueError, match="gates needs"):
        GatedKernel(input_kernel(X), [])


def test_outputs_count_as_points_in_what_may_be_needed():
    # two outputs double the size and the points: 8 d (10 d + 3 n) with d = 2 M and n = 2000 allows M = 1687
    GatedKernel(np.eye(1000), np.ones((1000, 1687)), outputs=2)
    with pytest.raises(ValueError, match="3376 x 3376 and needs about 1 GiB"):
        GatedKernel(np.eye(1000), np.ones((1000, 1688)), outputs=2)
