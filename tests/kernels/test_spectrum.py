"""The rank of a kernel in floating point: what counts as zero, and factors of singular covariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from gdln.kernels import function_space, spectrum
from gdln.kernels.moments import Kernels

quick = settings(max_examples=60, deadline=None)


@st.composite
def covariances(draw, largest=8):
    """A covariance of any rank from zero to full, of any scale, with variables of different sizes."""
    n = draw(st.integers(1, largest))
    rank = draw(st.integers(0, n))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    root = rng.standard_normal((n, rank)) * 10.0 ** draw(st.integers(-8, 8))
    return root @ root.T, rank


@quick
@given(covariances())
def test_a_root_multiplies_to_its_covariance_and_has_its_rank(case):
    C, rank = case
    found = spectrum.root(C)
    assert found.rank == rank and found.factor.shape == (len(C), rank)
    np.testing.assert_allclose(
        found.factor @ found.factor.T, C, rtol=0, atol=1e-12 * np.abs(C).max(initial=0)
    )


@quick
@given(covariances())
def test_the_pivots_of_a_root_are_lower_triangular_and_invertible(case):
    found = spectrum.root(case[0])
    square = found.factor[found.pivots]
    assert np.array_equal(square, np.tril(square))
    assert (np.diag(square) > 0).all()


@quick
@given(covariances())
def test_the_eigenvalues_kept_are_as_many_as_the_rank_and_rebuild_the_kernel(case):
    C, rank = case
    values, vectors = spectrum.eigenvalues_and_vectors("kernel", C)
    assert np.count_nonzero(values) == rank and (values >= 0).all()
    np.testing.assert_allclose(vectors * values @ vectors.T, C, rtol=0, atol=1e-13 * np.abs(C).max(initial=0))


def test_a_covariance_that_is_not_singular_keeps_its_order():
    C = np.array([[1.0, 0.5], [0.5, 4.0]])
    found = spectrum.root(C)
    assert np.array_equal(found.pivots, [0, 1])
    np.testing.assert_allclose(found.factor, np.linalg.cholesky(C))


def test_a_tolerance_is_a_variance():
    C = np.diag([1.0, 1e-3, 1e-6])
    assert [spectrum.root(C, tolerance).rank for tolerance in (1e-7, 1e-5, 1e-2, 2.0)] == [3, 2, 1, 0]


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_a_covariance_of_any_unit_has_its_rank(unit):
    assert spectrum.root(unit * np.diag([1.0, 1e-3, 0.0])).rank == 2


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("n", [2, 50])
def test_an_eigenvalue_may_be_negative_by_rounding_that_grows_with_the_side_of_the_kernel(n, unit):
    spectra = (unit * np.r_[np.ones(n - 1), -part * 1e-8 * n] for part in (0.9, 1.1))
    allowed, refused = map(np.diag, spectra)
    assert spectrum.eigenvalues_and_vectors("kernel", allowed)[0][0] == 0
    with pytest.raises(ValueError, match="kernel needs eigenvalues of at least zero"):
        spectrum.eigenvalues_and_vectors("kernel", refused)


def test_a_negative_eigenvalue_is_no_rounding():
    with pytest.raises(ValueError, match="kernel needs eigenvalues of at least zero, got -1"):
        spectrum.eigenvalues_and_vectors("kernel", np.array([[1.0, 2.0], [2.0, 1.0]]))


@quick
@given(covariances(6), st.floats(0, 30), st.sampled_from([0.0, 1e-3, 1.0]))
def test_gradient_flow_is_the_exponential_of_the_kernel_singular_or_not(case, time, noise):
    K, _ = case
    n, top = len(K), np.linalg.eigvalsh(K)[-1] or 1.0
    rng = np.random.default_rng(n)
    Y, scaled, noise = rng.standard_normal((n, 2)), time * n / top, noise * top
    whole = Kernels(K, K)
    ours = function_space.gradient_flow(whole, whole, Y, scaled, noise=noise).mean[0]
    # outputs and read-out in one linear system, a' = (Y - (K + s) a) / n and F = K a, so that nothing is inverted
    generator = np.block([[-(K + noise * np.eye(n)), np.eye(n)], [np.zeros((n, 2 * n))]]) / n
    expected = K @ (expm(scaled * generator)[:n, n:] @ Y)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9 * np.abs(Y).max())


@quick
@given(covariances(6), st.integers(0, 40), st.floats(0.01, 1.99))
def test_steps_of_descent_are_those_taken_one_by_one_up_to_the_limit_of_stability(case, steps, fraction):
    K, _ = case
    n, top = len(K), np.linalg.eigvalsh(K)[-1]
    rate = fraction * n / top if top > 0 else 1.0
    Y, F = np.random.default_rng(n).standard_normal((n, 1)), np.zeros((n, 1))
    for _ in range(steps):
        F = F - rate * K @ (F - Y) / n
    ours = function_space.gradient_flow(Kernels(K, K), Kernels(K, K), Y, steps, lr=rate).mean[0]
    np.testing.assert_allclose(ours, F, rtol=0, atol=1e-10)


@quick
@given(covariances())
def test_the_end_of_training_is_the_solution_by_the_pseudo_inverse(case):
    K, _ = case
    n = len(K)
    Y = np.random.default_rng(n).standard_normal((n, 1))
    ends = function_space.gradient_flow(Kernels(K, K), Kernels(K, K), Y, np.inf).mean[0]
    np.testing.assert_allclose(ends, K @ np.linalg.pinv(K, rcond=n * 2**-52, hermitian=True) @ Y, atol=1e-8)
    read_out = function_space.posterior(Kernels(K, K), Kernels(K, K), Y).mean
    np.testing.assert_allclose(read_out, ends, rtol=0, atol=1e-12)
