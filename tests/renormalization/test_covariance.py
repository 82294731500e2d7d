"""The covariance of the targets: what its factor gives, worked by hand and against the matrix itself."""

import numpy as np
import pytest

from gdln.renormalization.kernels import GatedKernel, KernelStack, input_kernel

ONE = np.eye(1)


def example(n=12):
    """A kernel, order parameter, targets and the covariance as a matrix, at noise 0.3."""
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((n, 4)), rng.standard_normal((n, 2))
    kernel, U = GatedKernel(input_kernel(x), g), np.array([[2.0, 0.5], [0.5, 1.0]])
    return kernel, U, rng.standard_normal(n), kernel(U), kernel(U) + 0.3 * np.eye(n)


def test_a_diagonal_covariance_worked_by_hand():
    # C = diag(2, 4) + 1
    fit = KernelStack(np.diag([2.0, 4.0])[None, None]).fit(ONE, np.array([3.0, 5.0]), 1.0)
    np.testing.assert_allclose(fit.weights, [1, 1], rtol=1e-14)
    np.testing.assert_allclose(fit.inverse(), np.diag([1 / 3, 1 / 5]), rtol=1e-14)
    np.testing.assert_allclose(fit.explained(), [2 + 4, 2 / 3 + 4 / 5], rtol=1e-14)
    mean, taken = fit.predict(np.array([[3.0, 0.0], [1.0, 2.0]]))
    np.testing.assert_allclose(mean, [3, 3], rtol=1e-14)
    np.testing.assert_allclose(taken, [3, 1 / 3 + 4 / 5], rtol=1e-14)


def test_what_is_asked_of_a_covariance_is_what_its_inverse_gives():
    kernel, U, y, K, C = example()
    fit, inverse = kernel.fit(U, y, 0.3), np.linalg.inv(C)
    np.testing.assert_allclose(fit.weights, inverse @ y, rtol=1e-10)
    np.testing.assert_allclose(fit.inverse(), inverse, atol=1e-12)
    np.testing.assert_allclose(
        fit.explained(), [y @ inverse @ K @ inverse @ y, np.trace(K @ inverse)], rtol=1e-11
    )
    rows = K[:3] + 0.1
    mean, taken = fit.predict(rows)
    np.testing.assert_allclose(mean, rows @ inverse @ y, rtol=1e-10)
    np.testing.assert_allclose(taken, np.diag(rows @ inverse @ rows.T), rtol=1e-10)
    value, plus, minus, error = kernel.fit(U, y, 0.3).data_term()
    assert value == pytest.approx(y @ inverse @ y + np.linalg.slogdet(C)[1], rel=1e-12)
    outer = np.einsum("pm,pq,qn->mnpq", kernel.F, kernel.K0, kernel.F)
    np.testing.assert_allclose(plus, np.tensordot(outer, inverse), rtol=1e-10)
    np.testing.assert_allclose(minus, np.tensordot(outer, np.outer(inverse @ y, inverse @ y)), rtol=1e-10)
    assert 0 < error < 1e-11


def test_the_spectrum_of_a_kernel_holds_its_targets_and_its_rank():
    kernel, U, y, K, _ = example()
    eigenvalues, squares = kernel.spectrum(U, y)
    np.testing.assert_allclose(eigenvalues, np.linalg.eigvalsh(K), atol=1e-12)
    assert squares.sum() == pytest.approx(y @ y, rel=1e-12)
    assert squares @ eigenvalues == pytest.approx(y @ K @ y, rel=1e-11)
    assert kernel.rank(U) == 8  # four inputs times two gates
    assert kernel.mean_diagonal(U) == pytest.approx(np.diag(K).mean(), rel=1e-14)


def test_the_curvature_is_the_second_derivative_of_the_quadratic_form():
    kernel, U, y, _, _ = example()
    stack = KernelStack(np.einsum("pm,pq,qn->mnpq", kernel.F, kernel.K0, kernel.F))
    root = np.linalg.cholesky(U)
    bent = kernel.fit(U, y, 0.3).curvature(root)
    np.testing.assert_allclose(stack.fit(U, y, 0.3).curvature(root), bent, rtol=1e-10)
    rng = np.random.default_rng(1)
    for _ in range(3):
        X = rng.standard_normal((2, 2))
        X += X.T

        def form(t, X=X):
            C = kernel(root @ (np.eye(2) + t * X) @ root.T) + 0.3 * np.eye(len(y))
            return y @ np.linalg.solve(C, y)

        second = (form(1e-4) - 2 * form(0) + form(-1e-4)) / 1e-8
        assert 2 * X[np.tril_indices(2)] @ bent @ X[np.tril_indices(2)] == pytest.approx(second, rel=1e-5)


def test_a_kernel_that_cannot_be_factorised_gives_none():
    stack = KernelStack(np.diag([2.0, 0.0])[None, None])
    assert stack.fit(ONE, np.ones(2), 0.0) is None and stack.fit(ONE, np.ones(2), 1e-3) is not None
    stack.D = np.diag([2.0, -1.0])[None, None]
    assert stack.fit(ONE, np.ones(2), 0.5) is None
    for matrix in ([[np.nan] * 2] * 2, [[2.0, 0.0], [0.0, np.nan]], [[np.inf]], [[np.nan]]):
        stack.D = np.array(matrix)[None, None]
        assert stack.fit(ONE, np.ones(len(matrix)), 0.5) is None


def test_a_kernel_of_zero_has_rank_zero():
    stack = KernelStack(np.zeros((1, 1, 3, 3)))
    assert stack.rank(ONE) == 0 and stack.mean_diagonal(ONE) == 0
    assert KernelStack(np.diag([1.0, 1e-14, 1e-18])[None, None]).rank(ONE) == 2
