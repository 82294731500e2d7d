"""Weight changes in closed form: exact cases, limits, invariances."""

import numpy as np
import pytest

from gdln.alignment import scores, theory
from gdln.kernels.gram import gram
from gdln.kernels.moments import FullyConnected

GAINS = [1.0, 2**0.5, 2**0.5]


def inputs(n=6, d=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def weights(widths, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n_out, n_in)) for n_in, n_out in zip(widths[:-1], widths[1:], strict=True)]


def test_equal_gains_give_the_tangent_kernel_of_the_kernel_module():
    X = inputs()
    ours = theory.layer_kernels(X, [1.3] * 4).ntk
    theirs = gram(FullyConnected(3, "relu", W_std=1.3, b_std=0.0), X).ntk
    assert np.abs(ours - theirs).max() < 1e-12


def test_gain_two_keeps_the_variance_in_every_layer():
    X = inputs()
    k = theory.layer_kernels(X, [1.0] + [2**0.5] * 5)
    diagonal = np.array([2 * np.diag(a) for a in k.activity[1:]])
    assert np.abs(diagonal - np.diag(k.activity[0])).max() < 1e-12
    assert np.allclose(k.signal[:, range(6), range(6)], 1)


def test_kernels_are_averages_over_wide_random_networks():
    X, rng = inputs(4), np.random.default_rng(2)
    k = theory.layer_kernels(X, GAINS)
    activity, signal = [], []
    for _ in range(100):
        W = [rng.standard_normal(s) for s in ((200, 5), (200, 200), (1, 200))]
        a = theory.frozen_inputs(W, GAINS, X)
        activity.append(a[2] @ a[2].T / 200)
        back = GAINS[2] / np.sqrt(200) * W[2] * (a[2] > 0)
        back = GAINS[1] / np.sqrt(200) * (back @ W[1]) * (a[1] > 0)
        signal.append(back @ back.T)
    for sample, exact in ((activity, k.activity[2]), (signal, k.signal[0])):
        error = np.std(sample, axis=0) / 10  # standard error of 100 draws; finite width adds order 1/200
        assert (np.abs(np.mean(sample, axis=0) - exact) < 4 * error + 0.01).all()


def test_integrated_error_is_the_integral_of_the_error():
    rng = np.random.default_rng(3)
    A = rng.standard_normal((5, 5))
    theta, e0 = A @ A.T, rng.standard_normal((5, 2))
    values, vectors = np.linalg.eigh(theta)

    def error(t):
        return vectors @ (np.exp(-values * t / 5)[:, None] * (vectors.T @ e0))

    nodes, w = np.polynomial.legendre.leggauss(60)
    by_quadrature = sum(1.5 * wi * error(1.5 * (xi + 1)) for xi, wi in zip(nodes, w, strict=True))
    assert np.abs(theory.integrated_error(3.0, theta, e0) - by_quadrature).max() < 1e-12


def test_an_error_that_a_singular_kernel_cannot_see_integrates_to_itself_times_time():
    # rank two of thirty: the other eigenvalues are rounding, and with t = 1e18 would count as learnt
    rng = np.random.default_rng(0)
    root, e0 = rng.standard_normal((30, 2)), rng.standard_normal((30, 1))
    blind = e0 - root @ np.linalg.lstsq(root, e0, rcond=None)[0]
    E = theory.integrated_error(1e18, root @ root.T, e0)
    assert np.abs(E / 1e18 - blind).max() < 1e-12


def test_integrated_error_grows_with_time_where_the_kernel_is_blind_and_saturates_elsewhere():
    E = theory.integrated_error(1e9, np.diag([0.0, 1.0]), np.ones((2, 1)))
    assert np.allclose(E, [[1e9], [2.0]])
    assert np.allclose(theory.integrated_error(0.0, np.diag([0.0, 1.0]), np.ones((2, 1))), 0)


@pytest.mark.parametrize("x", [1e-300, 1e-17, 1e-13, 1e-12, 1e-10])
def test_what_is_hardly_learnt_integrates_to_all_digits(x):
    # t (1 - e^-x) / x = t (1 - x/2 + ...): the next term is below rounding
    assert theory.integrated_error(x, [[1.0]], [[1.0]])[0, 0] == pytest.approx(x * (1 - x / 2), rel=3e-16)


def test_prediction_is_exact_for_a_linear_model():
    X, W = inputs(), weights([5, 2])
    Y, W1 = inputs(6, 2, 9), W[0].copy()
    E = np.zeros((6, 2))
    for _ in range(20):
        e = X @ W1.T / np.sqrt(5) - Y
        E += 0.3 * e
        W1 = W1 - 0.3 * e.T @ X / (6 * np.sqrt(5))
    assert np.abs(theory.predicted_changes(W, [1.0], X, E)[0] - (W1 - W[0])).max() < 1e-13


def test_prediction_is_linear_in_the_error():
    X, W, E = inputs(), weights([5, 7, 7, 2]), inputs(6, 2, 4)
    a = theory.predicted_changes(W, GAINS, X, E)
    b = theory.predicted_changes(W, GAINS, X, -2 * E)
    assert all(np.allclose(q, -2 * p) for p, q in zip(a, b, strict=True))


def test_the_hebbian_form_of_the_readout_is_exact():
    X, W, E = inputs(), weights([5, 7, 7, 2]), inputs(6, 2, 4)
    change = theory.predicted_changes(W, GAINS, X, E)[-1]
    a = theory.frozen_inputs(W, GAINS, X)[-1]
    k = theory.layer_kernels(X, GAINS)
    assert np.allclose(theory.hebbian_gram(a, E, k.signal[-1], GAINS[-1]), scores.gram(change), atol=1e-14)


def test_the_hebbian_form_of_hidden_layers_is_approached_with_width():
    X, E, errors = inputs(), inputs(6, 2, 4), []
    k = theory.layer_kernels(X, GAINS)
    for width in (50, 800):
        gaps = []
        for seed in range(6):
            W = weights([5, width, width, 2], seed)
            change = theory.predicted_changes(W, GAINS, X, E)[0]
            gaps.append(scores.scale_ratio(theory.hebbian_gram(X, E, k.signal[0], 1.0), change) - 1)
        errors.append(np.sqrt(np.mean(np.square(gaps))))
    assert 0.25 < np.log(errors[0] / errors[1]) / np.log(16) < 0.8  # N^-1/2, six draws each


def test_error_blind_gram_is_the_hebbian_form_with_one_error_for_all():
    a = inputs(6, 7, 3)
    same = theory.hebbian_gram(a, np.ones((6, 1)), np.ones((6, 6)), 1.0)
    mean = a.sum(axis=0)
    assert np.allclose(same, np.outer(mean, mean) / (36 * 7))
    assert np.allclose(scores.error_blind_gram(a), a.T @ a)


def test_bad_input_is_refused():
    X, W = inputs(), weights([5, 7, 2])
    with pytest.raises(ValueError, match="zero input"):
        theory.layer_kernels(np.zeros((2, 3)), GAINS)
    with pytest.raises(ValueError, match="gains needs at least one"):
        theory.layer_kernels(X, [])
    with pytest.raises(ValueError, match="e0 needs shape"):
        theory.integrated_error(1.0, np.eye(3), np.ones((2, 1)))
    with pytest.raises(ValueError, match="t needs a number of at least 0"):
        theory.integrated_error(-1.0, np.eye(2), np.ones((2, 1)))
    with pytest.raises(ValueError, match="one gain a layer"):
        theory.predicted_changes(W, GAINS, X, np.ones((6, 2)))
    with pytest.raises(ValueError, match="E needs shape"):
        theory.predicted_changes(W, GAINS[:2], X, np.ones((6, 3)))


def test_numbers_that_would_end_in_nan_or_broadcast_are_refused():
    X, E, nan = inputs(), np.ones((6, 1)), float("nan")
    n = len(X)
    for call, match in (
        (lambda: theory.layer_kernels(X * nan, GAINS), "finite"),
        (lambda: theory.layer_kernels(X, [1.0, nan]), "gains needs finite"),
        (lambda: theory.integrated_error(nan, np.eye(6), E), "t needs a number"),
        (lambda: theory.integrated_error(1.0, np.eye(6), E, 0), "n_samples"),
        (lambda: theory.integrated_error(1.0, np.triu(np.ones((6, 6))), E), "symmetric"),
        (lambda: theory.integrated_error(1.0, -np.eye(6), E), "ntk needs eigenvalues of at least zero"),
        (lambda: theory.predicted_changes([], [], X, E), "weights needs at least one layer"),
        (lambda: theory.hebbian_gram(X, E, np.ones((1, 6)), 1.0), rf"signal_kernel needs shape \({n}, {n}\)"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
