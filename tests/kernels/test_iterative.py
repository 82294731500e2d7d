"""Kernel regression without a matrix: equal to the dense solution, for any tile, or an error that says why not."""

import numpy as np
import pytest

from gdln.checks import Diverged
from gdln.kernels.gram import gram
from gdln.kernels.iterative import solve_iteratively
from gdln.kernels.moments import FullyConnected


def nngp(A, B):
    return gram(FullyConnected(2, "relu"), A, B).nngp


def linear(A, B):
    return A @ B.T


def problem(n=120, d=10, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.sign(X[:, 0] * X[:, 1])


def dense(kernel, X, y, ridge):
    return np.linalg.solve(kernel(X, X) + ridge * np.eye(len(X)), y)


@pytest.mark.parametrize("kernel", [nngp, linear])
@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("ridge", [1.0, 1e-2])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_solution_is_the_dense_one_in_any_unit(kernel, store, ridge, scale):
    X, y = problem()

    def scaled(A, B):
        return scale * kernel(A, B)

    found = solve_iteratively(
        scaled, X, y, scale * ridge, rng=np.random.default_rng(1), rank=30, store=store, tolerance=1e-10
    )
    exact = dense(scaled, X, y, scale * ridge)
    assert found.residual <= 1e-10
    np.testing.assert_allclose(found.coefficients, exact, atol=1e-7 * np.abs(exact).max())


@pytest.mark.parametrize("tile", [1, 7, 20, 39, 40, 1000])
def test_tiles_of_any_size_give_the_same(tile):
    X, y = problem(40)
    found = solve_iteratively(nngp, X, y, 0.1, rng=np.random.default_rng(0), rank=20, tile=tile)
    np.testing.assert_allclose(found.coefficients, dense(nngp, X, y, 0.1), atol=1e-6)


def test_columns_are_solved_each_for_itself_and_a_silent_one_stays_silent():
    X, y = problem()
    Y = np.column_stack([y, 0 * y, 100 * y])
    found = solve_iteratively(nngp, X, Y, 0.1, rng=np.random.default_rng(0)).coefficients
    np.testing.assert_allclose(found[:, 0], dense(nngp, X, y, 0.1), atol=1e-6)
    np.testing.assert_array_equal(found[:, 1], 0)
    np.testing.assert_allclose(found[:, 2], 100 * found[:, 0], rtol=1e-5, atol=1e-6)


def test_more_samples_in_the_preconditioner_mean_fewer_products():
    X, y = problem(300)
    products = [
        solve_iteratively(nngp, X, y, 1e-2, rng=np.random.default_rng(0), rank=r).products
        for r in (1, 50, 300)
    ]
    assert products[0] > products[1] > products[2]
    assert products[2] <= 8  # the preconditioner is the kernel itself


@pytest.mark.parametrize("store", [True, False])
def test_the_work_does_not_depend_on_the_unit_of_the_targets(store):
    X, y = problem()

    def work(y, tolerance=1e-8):
        found = solve_iteratively(
            nngp, X, y, 0.1, rng=np.random.default_rng(0), rank=30, store=store, tolerance=tolerance
        )
        return found.corrections, found.products, found.residual

    once = work(y)
    assert work(2.0**-20 * y) == work(2.0**20 * y) == once
    assert once[0] == 1 or store  # products in double precision need no second correction
    assert work(0 * y) == (0, 0, 0)
    if store:  # what is reached exactly is reached
        assert work(y, tolerance=once[2]) == once


def test_no_more_products_are_taken_than_allowed():
    X, y = problem()

    def solved(**limit):
        return solve_iteratively(nngp, X, y, 0.1, rng=np.random.default_rng(0), rank=30, store=False, **limit)

    needed, enough = solved().products, []
    for limit in range(1, needed + 1):
        try:
            enough.append(solved(max_products=limit).products)
        except Diverged as error:
            assert not enough and f"more than {limit} products" in str(error)
        else:
            assert enough[-1] <= limit
    assert 0 < len(enough) < needed


def test_the_kernels_made_and_the_products_taken_are_counted():
    X, y = problem(50)
    made = []

    def counted(A, B):
        made.append((len(A), len(B)))
        return nngp(A, B)

    kept = solve_iteratively(counted, X, y, 0.1, rng=np.random.default_rng(0), rank=7)
    whole = made.count((50, 50))
    assert whole == 1 + kept.corrections and kept.products > kept.corrections > 1
    made.clear()
    found = solve_iteratively(counted, X, y, 0.1, rng=np.random.default_rng(0), rank=7, store=False)
    assert made.count((50, 50)) == found.corrections + found.products


def test_repeated_samples_and_a_zero_kernel_are_no_trouble():
    X = np.repeat(problem(10)[0], 4, axis=0)
    y = np.arange(40.0)
    found = solve_iteratively(linear, X, y, 0.1, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.coefficients, dense(linear, X, y, 0.1), atol=1e-5)
    found = solve_iteratively(linear, np.zeros((5, 2)), np.ones(5), 0.5, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.coefficients, 2.0)


def test_a_ridge_below_the_rounding_of_the_stored_kernel_is_said_and_needs_none_stored():
    X, y = problem(80, 3)

    def large(A, B):
        return 1e6 * linear(A, B)

    with pytest.raises(
        Diverged,
        match=r"residual is .* and 1.0e-08 is asked for; .* or store=False",
    ):
        solve_iteratively(large, X, y, 1e-3, rng=np.random.default_rng(0), rank=1)
    with pytest.raises(Diverged, match="more than 3 products"):
        solve_iteratively(nngp, X, y, 1e-4, rng=np.random.default_rng(0), rank=1, store=False, max_products=3)


@pytest.mark.parametrize(
    "change, error",
    [
        ({"ridge": 0.0}, "ridge needs"),
        ({"ridge": -1.0}, "ridge needs"),
        ({"y": np.ones(3)}, "y needs 120 rows"),
        ({"X": np.ones(3)}, "X needs"),
        ({"rank": 0}, "rank needs"),
        ({"tile": 0}, "tile needs"),
        ({"tolerance": 0.0}, "tolerance needs"),
        ({"tolerance": 1.0}, "tolerance needs"),
        ({"kernel": lambda A, B: np.ones((2, 2))}, "kernel needs"),
        ({"kernel": lambda A, B: np.full((len(A), len(B)), np.nan)}, "kernel needs"),
    ],
)
def test_what_does_not_fit_is_one_sentence(change, error):
    X, y = problem()
    given = {"kernel": nngp, "X": X, "y": y, "ridge": 0.1} | change
    options = {key: given.pop(key) for key in ("rank", "tile", "tolerance") if key in given}
    with pytest.raises((ValueError, TypeError), match=error):
        solve_iteratively(**given, rng=np.random.default_rng(0), **options)
