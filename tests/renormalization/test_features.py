"""The kernel by its features: the same theory as by the matrix of samples, without that matrix."""

import tracemalloc

import numpy as np
import pytest

from gdln import renormalization as rn
from gdln.renormalization import descent, gates
from gdln.renormalization.features import FeatureKernel
from gdln.renormalization.kernels import GatedKernel
from gdln.renormalization.scalar import solve_linear


def both(x, gate_sets, **options):
    """The kernel of the samples and that of their features."""
    return GatedKernel.from_inputs(x, gate_sets, **options), FeatureKernel(x, gate_sets, tile=37, **options)


def task(n=150, n_inputs=8, outputs=1, seed=0):
    """Inputs, the last of them a multiple of another, and noisy targets."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, n_inputs))
    x[:, -1] = 2 * x[:, 0]
    y = np.tanh(x @ rng.standard_normal((n_inputs, outputs))) + 0.1 * rng.standard_normal((n, outputs))
    return x, y if outputs > 1 else y[:, 0]


def planes(n_gates, n_inputs=8):
    return gates.random_planes(n_gates, n_inputs, np.random.default_rng(1), constant=True)


def cubes(x):
    """Two real gates and one that is their sum."""
    g = np.column_stack([np.ones(len(x)), x[:, 1] ** 3])
    return np.column_stack([g, g.sum(axis=1)])


CASES = {
    "one gated layer": (planes(3), 1, 1),
    "products of gates repeat": (planes(3), 2, 1),
    "several outputs": (planes(2), 1, 3),
    "depth and outputs": (planes(2), 2, 2),
    "gates of lower rank": (cubes, 1, 1),
    "a set a layer": ([cubes, planes(2)], 1, 1),
}


@pytest.mark.parametrize("case", CASES)
def test_features_give_the_theory_that_the_matrix_of_samples_gives(case):
    family, depth, outputs = CASES[case]
    x, y = task(outputs=outputs)
    matrix, features = both(x, family, sigma2=0.7, depth=depth, outputs=outputs)
    assert matrix.dims == features.dims and matrix.n_points == features.n_points
    assert features.n_features == features.capacity() == matrix.capacity() < 150 * outputs
    rng, layers = np.random.default_rng(2), len(matrix.dims)
    sizes = np.cumprod(matrix.dims)[::-1].tolist()
    U = [np.cov(rng.standard_normal((d, 3 * d))) + 0.1 * np.eye(d) for d in sizes]
    options = {"widths": [20, 30][:layers], "temperature": 0.1}
    (value, slopes), (same, others) = (rn.action(kernel, y, U, **options) for kernel in (matrix, features))
    assert same == pytest.approx(value, rel=1e-12)
    for slope, other in zip(slopes, others, strict=True):
        np.testing.assert_allclose(other, slope, atol=1e-11 * np.abs(slope).max())
    a, b = (rn.solve(kernel, y, tolerance=1e-11, **options) for kernel in (matrix, features))
    assert b.converged
    assert b.action == pytest.approx(a.action, rel=1e-11)
    for u, other in zip(a.U, b.U, strict=True):
        np.testing.assert_allclose(other, u, atol=1e-9 * np.abs(u).max())
    bent = [kernel.fit(U[0], a.y, 0.1).curvature(np.linalg.cholesky(U[0])) for kernel in (matrix, features)]
    np.testing.assert_allclose(bent[1], bent[0], atol=1e-11 * np.abs(bent[0]).max())
    np.testing.assert_allclose(b.training_error(), a.training_error(), rtol=1e-9)
    np.testing.assert_allclose(b.conserved(), a.conserved(), atol=1e-8)
    new = rng.standard_normal((9, 8))  # they leave the span of the inputs
    expected, found = a.predict(new), b.predict(new)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-9)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-9)
    given = [g(new) for g in family] if isinstance(family, list) else family(new)
    np.testing.assert_array_equal(b.predict(new, gates=given).mean, found.mean)


def test_other_ways_through_the_solver_take_features_too():
    x, y = task()
    matrix, features = both(x, planes(3))
    for solver in (
        lambda kernel: rn.gp_limit(kernel, y, temperature=0.1),
        lambda kernel: rn.solve(kernel, y, widths=15, temperature=0.1, method="mm"),
        lambda kernel: rn.solve(kernel, y, widths=15, temperature=0.1, start=3.0),
        lambda kernel: rn.width_path(kernel, y, widths=[60, 40, 30, 20], temperature=0.1)[-1],
        lambda kernel: rn.solve(kernel, 0 * y, widths=200, temperature=0.1),
    ):
        a, b = solver(matrix), solver(features)
        np.testing.assert_allclose(b.U[0], a.U[0], atol=1e-8)
        np.testing.assert_allclose(b.predict(x[:5]).variance, a.predict(x[:5]).variance, rtol=1e-8)


def test_one_gate_that_is_always_on_gives_the_linear_network():
    x, y = task()
    features = FeatureKernel(x, np.ones((150, 1)), sigma2=0.8, depth=2)
    assert features.n_features == 7  # one input of eight is a multiple of another
    options = {"widths": [12, 30], "sigma2": 0.8, "temperature": 0.2}
    scalar = solve_linear(rn.input_kernel(x, sigma2=0.8), y, **options)
    solution = rn.solve(features, y, **options)
    assert solution.U[0][0, 0] == pytest.approx(scalar.scale, rel=1e-9)
    new = np.random.default_rng(3).standard_normal((4, 8))
    expected = scalar.predict_from(rn.input_kernel(x, new, 0.8), 0.8 * (new**2).mean(axis=1))
    found = solution.predict(new, gates=np.ones((4, 1)))
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-10)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-9)


@pytest.mark.parametrize("tile", [1, 7, 149, 150, 1000])
def test_the_size_of_the_tiles_changes_rounding_only(tile):
    x, y = task()
    whole, tiled = FeatureKernel(x, planes(3)), FeatureKernel(x, planes(3), tile=tile)
    a, b = (rn.action(kernel, y, "gp", widths=20, temperature=0.1) for kernel in (whole, tiled))
    assert b[0] == pytest.approx(a[0], rel=1e-13)
    np.testing.assert_allclose(b[1][0], a[1][0], rtol=1e-12)


def test_features_are_for_more_samples_than_there_are_features():
    rng = np.random.default_rng(0)
    x, y, g = rng.standard_normal((13, 4)), rng.standard_normal(13), rng.standard_normal((13, 3))
    with pytest.raises(
        ValueError, match=r"X needs more samples than the 12 features.* take a GatedKernel, got int 12"
    ):
        FeatureKernel(x[:12], g[:12])
    matrix, features = both(x, g)
    a, b = (rn.solve(kernel, y, widths=9, temperature=0.1) for kernel in (matrix, features))
    np.testing.assert_allclose(b.U[0], a.U[0], atol=1e-9)
    for kernel in (matrix, features):
        with pytest.raises(ValueError, match="singular at T = 0: its rank is 12 for 13 data points.* is 12"):
            rn.solve(kernel, y, widths=9)


def test_inputs_that_are_all_zero_leave_the_prior():
    x, y = np.zeros((10, 3)), np.random.default_rng(0).standard_normal(10)
    matrix, features = both(x, np.ones((10, 2)))
    a, b = (rn.solve(kernel, y, widths=9, temperature=0.5) for kernel in (matrix, features))
    np.testing.assert_allclose(b.U[0], a.U[0], atol=1e-12)
    assert b.action == pytest.approx(a.action, rel=1e-12)
    found = b.predict(np.eye(3), gates=np.ones((3, 2)))
    np.testing.assert_allclose(found.mean, 0, atol=1e-15)
    np.testing.assert_allclose(
        found.variance, a.predict(np.eye(3), gates=np.ones((3, 2))).variance, rtol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e150])
def test_features_know_no_scale(scale):
    x, y = task()
    one, other = FeatureKernel(x, planes(3)), FeatureKernel(scale * x, planes(3)(x))
    a = rn.solve(one, y, widths=20, temperature=0.1)
    b = rn.solve(other, scale * y, widths=20, temperature=0.1 * scale**2)
    np.testing.assert_allclose(b.U[0], a.U[0], atol=1e-8)
    assert b.converged and b.rounding == pytest.approx(a.rounding, rel=1e-3)


def test_the_data_term_and_its_rounding_error_worked_by_hand():
    # rows 3, 4 of one feature: H = 25 u, C = diag + u z z', with u = 2, T = 1: H = 50
    kernel = FeatureKernel([[3.0], [4.0]], [[1.0], [1.0]])
    problem = descent.Problem(kernel, np.array([1.0, 2.0]), 10, 1.0, 1.0)
    value, plus, minus, error = problem.data_term(np.array([[2.0]]))
    # y' C^-1 y = 5 - 2 (11)^2 / 51, log det C = log 51; their slopes in u are 25/51 and -(11/51)^2
    assert value == pytest.approx(5 - 242 / 51 + np.log(51), rel=1e-13)
    assert plus[0, 0] == pytest.approx(25 / 51, rel=1e-13)
    assert minus[0, 0] == pytest.approx((11 / 51) ** 2, rel=1e-13)
    weights = np.array([1, 2]) - 2 * 11 / 51 * np.array([3, 4])
    # a change e of the feature moves y' C^-1 y by 2 v' e a with a = 2^(1/2) 11/51, and log det by 2 e' phi / 51
    moved = 2 * np.sqrt(51) * np.linalg.norm(weights) * np.sqrt(2) * 11 / 51
    assert error / np.finfo(float).eps == pytest.approx(51 / 51 + moved, rel=1e-12)
    fit = kernel.fit(np.array([[2.0]]), problem.y, 1.0)
    np.testing.assert_allclose(fit.weights, weights, rtol=1e-13)
    np.testing.assert_allclose(fit.explained(), [2 * (11 / 51) ** 2, 50 / 51], rtol=1e-13)
    eigenvalues, squares = kernel.spectrum(np.array([[2.0]]), problem.y)
    np.testing.assert_allclose(eigenvalues, [50, 0], rtol=1e-14)
    np.testing.assert_allclose(squares, [121 / 25, 5 - 121 / 25], rtol=1e-12)
    assert kernel.rank(np.eye(1)) == 1


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_spectrum_is_that_of_the_matrix_of_samples(outputs):
    x, y = task(n=60, outputs=outputs)
    matrix, features = both(x, planes(3), outputs=outputs)
    root = np.random.default_rng(3).standard_normal((matrix.dims[0], matrix.dims[0]))
    U, y = root @ root.T + 0.1 * np.eye(len(root)), y.T.ravel()
    (expected, shares), (found, others) = (kernel.spectrum(U, y) for kernel in (matrix, features))
    n = features.n_features
    np.testing.assert_allclose(np.sort(found)[-n:], expected[-n:], rtol=1e-9)
    assert np.count_nonzero(found) == n < len(y)
    np.testing.assert_allclose(others[:n], shares[-n:], rtol=1e-7)
    assert others[n:].sum() == pytest.approx(shares[:-n].sum(), rel=1e-9)


def test_a_kernel_of_lower_rank_than_its_capacity_has_zeros_in_its_spectrum():
    # three samples have both gates on: of the 2 x 3 features the second gate's reach three samples in one direction
    rng = np.random.default_rng(5)
    x = rng.standard_normal((12, 3))
    x[:3] = np.outer([1.0, -2.0, 0.5], x[0])
    g = np.column_stack([np.ones(12), np.arange(12) < 3])
    matrix, features = both(x, g)
    U, y = np.array([[1.0, 0.3], [0.3, 2.0]]), rng.standard_normal(12)
    assert features.n_features == 6 and features.rank(U) == matrix.rank(U) == 4
    (expected, shares), (found, others) = (kernel.spectrum(U, y) for kernel in (matrix, features))
    np.testing.assert_allclose(np.sort(found), expected, atol=1e-12)
    assert np.count_nonzero(found) == 4
    np.testing.assert_allclose(others[found > 0], shares[-4:], rtol=1e-9)
    assert others[found == 0].sum() == pytest.approx(shares[:-4].sum(), rel=1e-9)


def test_at_low_temperature_features_keep_digits_that_the_matrix_loses():
    mpmath = pytest.importorskip("mpmath")
    x, y = task(n=30, n_inputs=3)
    matrix, features = both(x, np.ones((30, 1)))
    with mpmath.workdps(50):
        K = mpmath.matrix(x.tolist()) * mpmath.matrix(x.tolist()).T / 3
        C = K + mpmath.mpf(1e-9) * mpmath.eye(30)
        target = mpmath.matrix(y.tolist())
        exact = float((target.T * mpmath.lu_solve(C, target))[0] + mpmath.log(mpmath.det(C)))
    error = {
        kernel: abs(descent.Problem(kernel, y, 20, 1.0, 1e-9).data_term(np.eye(1))[0] / exact - 1)
        for kernel in (matrix, features)
    }
    assert error[features] < 1e-13 < 1e-10 < error[matrix]


@pytest.mark.parametrize("temperature", [1e8, 1e200])
def test_hot_labels_leave_the_squares_of_the_targets_and_the_prior_as_training_error(temperature):
    x, y = task()
    for kernel in both(x, planes(3)):
        found = rn.solve(kernel, y, widths=20, temperature=temperature).training_error()
        prior = kernel.diagonal(np.eye(3), (x**2).mean(axis=1), planes(3)(x)).mean()
        np.testing.assert_allclose(found, np.mean(y**2) + np.array([0, prior]), rtol=1e-6)


def test_cold_labels_leave_what_no_network_can_fit_as_training_error():
    x, y = task()
    features = FeatureKernel(x, planes(3))
    cool, cold = (rn.solve(features, y, widths=20, temperature=T).training_error() for T in (1e-9, 1e-300))
    np.testing.assert_allclose(cold, cool, rtol=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_low_temperature_is_no_rounding_error_to_the_features(seed):
    rng = np.random.default_rng(seed)
    x, g = rng.standard_normal((30, 4)), rng.standard_normal((30, 3))
    y = 20 * np.tanh(3 * x[:, 0]) * g[:, 0] + 0.1 * rng.standard_normal(30)
    a, b = (rn.solve(FeatureKernel(x, g), y, widths=20, temperature=T) for T in (1e-6, 1e-7))
    assert a.gradient < 1e-9 and b.gradient < 1e-9
    np.testing.assert_allclose(b.U[0], a.U[0], rtol=1e-3)  # the limit of low temperature is near


def test_no_matrix_of_samples_by_samples_is_ever_there():
    x, y = task(n=20_000)
    tracemalloc.start()
    solution = rn.solve(FeatureKernel(x, planes(3)), y, widths=200, temperature=0.1)
    prediction = solution.predict(x[:1000])
    solution.training_error(), solution.conserved()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert solution.converged and prediction.mean.shape == (1000,)
    assert peak < 2e7  # a matrix of 20,000 rows takes 3.2e9 bytes
