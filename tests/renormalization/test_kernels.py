"""Kernels of gated networks: what they are made of, their rank, and what they refuse."""

import numpy as np
import pytest

from gdln import renormalization as rn
from gdln.renormalization import gates
from gdln.renormalization.kernels import GatedKernel, KernelStack, input_kernel
from tests.renormalization.example import NEW, WORKED, G, X, Y, problem, worked


def test_a_stack_of_kernels_gives_what_the_factorised_kernel_gives():
    kernel, y, x, g = problem(np.random.default_rng(2), n=12, n_gates=2, depth=2)
    D = np.einsum("pm,pq,qn->mnpq", kernel.F, kernel.K0, kernel.F)
    stack = KernelStack(D, dims=(2, 2))
    a, b = (rn.solve(k, y, widths=20, temperature=0.1) for k in (kernel, stack))
    np.testing.assert_allclose(a.U[0], b.U[0], atol=1e-8)
    x_new, g_new = x[:3] + 0.1, g[:3]
    K0_new, diagonal = input_kernel(x, x_new), (x_new**2).mean(axis=1)
    F_new = rn.path_features([g_new, g_new])
    p = a.predict_from(K0_new, diagonal, g_new)
    q = b.predict_from(
        np.einsum("pm,pq,qn->mnpq", F_new, K0_new, kernel.F),
        np.einsum("pm,p,pn->mnp", F_new, diagonal, F_new),
    )
    np.testing.assert_allclose(p.mean, q.mean, atol=1e-7)
    np.testing.assert_allclose(p.variance, q.variance, atol=1e-7)


def test_an_index_of_a_stack_may_have_one_value_and_none_less():
    D = np.einsum("mn,pq->mnpq", np.eye(2), np.eye(3))
    assert KernelStack(D, dims=(1, 2)).dims == (1, 2) and KernelStack(D).dims == (2,)
    with pytest.raises(ValueError, match="dims needs numbers of at least 1"):
        KernelStack(D, dims=(2, 0))


@pytest.mark.parametrize("binary", [False, True])
def test_the_rank_of_the_kernel_is_the_capacity(binary):
    rng = np.random.default_rng(9)
    x = rng.standard_normal((120, 5))
    g = rng.standard_normal((120, 4))
    g = (g > 0).astype(float) if binary else g
    for depth in (1, 2, 3, 4) if binary else (1, 2):
        F = rn.path_features([g] * depth)
        rank = np.linalg.matrix_rank((F @ F.T) * (x @ x.T), hermitian=True)
        assert rank == min(120, rn.capacity(5, 4, depth, binary))
    assert [rn.capacity(5, 4, L, True) for L in (1, 2, 3, 4)] == [20, 50, 70, 75]
    assert [rn.capacity(5, 4, L) for L in (1, 2)] == [20, 50]


def test_bad_kernels_are_refused_with_the_reason():
    K0 = input_kernel(X)
    with pytest.raises(ValueError, match="symmetric"):
        GatedKernel(K0 + np.triu(np.ones((4, 4)), 1), G)
    with pytest.raises(ValueError, match="K0 needs eigenvalues of at least zero, got -2"):
        GatedKernel(K0 - 2 * np.eye(4), G)
    with pytest.raises(ValueError, match=r"gates needs shape \(4, n_gates\)"):
        GatedKernel(K0, G[:3])
    with pytest.raises(ValueError, match="GiB.*M\\^L"):
        GatedKernel(K0, np.ones((4, 10)), depth=5)
    with pytest.raises(ValueError, match=r"D needs shape \(d, d, n_samples, n_samples\)"):
        KernelStack(K0)
    with pytest.raises(ValueError, match="symmetric"):
        KernelStack(np.stack([np.stack([K0, K0]), np.stack([2 * K0, K0])]))
    with pytest.raises(ValueError, match="gate sets of sizes"):
        rn.solve(worked(1), Y, **WORKED).predict_from(NEW[0], NEW[1], np.ones((2, 3)))
    solution = rn.solve(worked(1), Y, **WORKED)
    for wrong in (
        (NEW[0][:, :3], *NEW[1:]),
        (NEW[0], NEW[1][:1], NEW[2]),
        (NEW[0], -NEW[1], NEW[2]),
        (*NEW[:2], NEW[2][:1]),
    ):
        with pytest.raises(ValueError, match="cross|diagonal"):
            solution.predict_from(*wrong)
    with pytest.raises(ValueError, match="gates needs those of the new points"):
        solution.predict_from(*NEW[:2])
    for wrong in ({"depth": 1.5}, {"depth": 0}, {"outputs": 0}):
        with pytest.raises((TypeError, ValueError), match="needs a whole number"):
            GatedKernel(K0, G, **wrong)
    for kernel in (np.zeros((0, 0)), 1j * K0, K0 * np.nan):
        with pytest.raises((TypeError, ValueError), match="^K0 needs"):
            GatedKernel(kernel, G)
    for inputs, more in ((X[0], {}), (X, {"X_new": np.ones((2, 3))}), (X * np.nan, {}), (X, {"sigma2": -1})):
        with pytest.raises(ValueError, match=r"^\w+ needs"):
            input_kernel(inputs, **more)
    with pytest.raises(ValueError, match="target needs shape"):
        rn.solve(worked(1), Y, **WORKED).predict_from(*NEW).errors(np.ones(5))


def test_a_kernel_may_miss_positivity_by_the_rounding_of_its_entries():
    for scale in (1.0, 1e6):
        for lowest, allowed in ((-1.5e-9, True), (-3e-9, False)):  # four rows: 2e-9 of the largest entry
            K0 = scale * np.diag([1.0, 1, 1, lowest])
            if allowed:
                GatedKernel(K0, G)
            else:
                with pytest.raises(ValueError, match="K0 needs eigenvalues of at least zero, got -"):
                    GatedKernel(K0, G)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_kernel_from_inputs_predicts_what_the_low_level_way_predicts(outputs):
    rng = np.random.default_rng(5)
    x, x_new = rng.standard_normal((15, 6)), rng.standard_normal((4, 6))
    planes = gates.random_planes(3, 6, rng, constant=True)
    y = rng.standard_normal((15, outputs) if outputs > 1 else 15)
    low = GatedKernel(input_kernel(x, sigma2=0.6), planes(x), depth=2, outputs=outputs)
    low = rn.solve(low, y, widths=20, sigma2=0.6, temperature=0.1)
    new = input_kernel(x, x_new, 0.6), 0.6 * (x_new**2).mean(axis=1), planes(x_new)
    expected = low.predict_from(*new)
    for given, at_new in (
        (planes, {}),
        ([planes, planes], {}),
        (planes, {"gates": planes(x_new)}),
        (planes(x), {"gates": planes(x_new)}),
        ([planes, planes(x)], {"gates": [planes, planes(x_new)]}),
    ):
        kernel = GatedKernel.from_inputs(x, given, sigma2=0.6, depth=2, outputs=outputs)
        solution = rn.solve(kernel, y, widths=20, temperature=0.1)
        assert solution.sigma2 == 0.6
        found = solution.predict(x_new, **at_new)
        np.testing.assert_array_equal(found.mean, expected.mean)
        np.testing.assert_array_equal(found.variance, expected.variance)
    x_before = x.copy()
    x[:] = 0  # the kernel keeps its own inputs
    np.testing.assert_array_equal(solution.predict(x_new, gates=planes(x_new)).mean, expected.mean)
    np.testing.assert_array_equal(kernel.X, x_before)
