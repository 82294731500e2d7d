import time

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gdln.linear import riccati
from gdln.linear.modes import mode_strength, mode_strength_unbalanced


def weight_flow(weights, sigma_yx, times):
    """Both layers by a general-purpose solver."""
    (h, n_in), n_out = weights[0].shape, weights[1].shape[0]

    def slope(_, w):
        W1, W2 = w[: h * n_in].reshape(h, n_in), w[h * n_in :].reshape(n_out, h)
        E = sigma_yx - W2 @ W1
        return np.concatenate([(W2.T @ E).ravel(), (E @ W1.T).ravel()])

    start = np.concatenate([W.ravel() for W in weights])
    options = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-15}
    w = solve_ivp(slope, (0, times[-1]), start, t_eval=times, **options).y.T
    return riccati.moments_of(
        w[:, : h * n_in].reshape(-1, h, n_in), w[:, h * n_in :].reshape(-1, n_out, h), times
    )


def task(n_out, n_in, rng, rank=None):
    U, V = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (n_out, n_in))
    k = min(n_out, n_in) if rank is None else rank
    return U[:, :k] * np.linspace(1.5, 0.4, k) @ V[:, :k].T


@pytest.mark.parametrize("imbalance", [-3.0, -0.7, 0.0, 0.7, 3.0])
@pytest.mark.parametrize("n_out, n_in, h, rank", [(3, 5, 3, 3), (5, 4, 2, 4), (4, 4, 4, 2)])
def test_solution_is_the_flow_of_the_weights(imbalance, n_out, n_in, h, rank):
    rng = np.random.default_rng(0)
    sigma = task(n_out, n_in, rng, rank)
    weights = riccati.lambda_balanced_weights((n_out, n_in), imbalance, 0.1, h, rng)
    times = np.linspace(0, 6, 13)
    exact, flow = riccati.solve(weights, sigma, times), weight_flow(weights, sigma, times)
    for name in ("inputs", "maps", "outputs"):
        assert np.abs(getattr(exact, name) - getattr(flow, name)).max() < 1e-9


def test_scalar_case_is_the_unbalanced_chain():
    t = np.linspace(0, 9, 40)
    for imbalance in (-0.8, 0.3):
        weights = riccati.lambda_balanced_weights((1, 1), imbalance, 0.05, 1, np.random.default_rng(1))
        sign = np.sign(weights[0] * weights[1])[0, 0]
        chain = mode_strength_unbalanced(t, 1.2, sign * 0.05, -imbalance)
        np.testing.assert_allclose(riccati.solve(weights, [[1.2]], t).maps[:, 0, 0], chain, atol=1e-13)


def test_large_times_end_at_the_target_without_overflow():
    rng = np.random.default_rng(2)
    sigma = task(4, 6, rng)
    for imbalance in (-2.0, 0.0, 2.0):
        weights = riccati.lambda_balanced_weights((4, 6), imbalance, 1e-3, 4, rng)
        maps = riccati.solve(weights, sigma, [1e3, 1e4]).maps
        np.testing.assert_allclose(maps[0], sigma, atol=1e-12)
        np.testing.assert_allclose(maps[1], sigma, atol=1e-12)


def test_a_network_at_its_target_stays_there():
    rng = np.random.default_rng(3)
    weights = riccati.lambda_balanced_weights((3, 3), 0.5, [1.0, 0.6, 0.2], 3, rng)
    moments = riccati.solve(weights, weights[1] @ weights[0], [0.0, 1.0, 50.0])
    for name in ("inputs", "maps", "outputs"):
        np.testing.assert_allclose(getattr(moments, name)[2], getattr(moments, name)[0], atol=1e-13)
    assert np.abs(riccati.kernel_distance(moments)).max() < 1e-13
    np.testing.assert_array_equal(riccati.kernel_distance(moments, 2), riccati.kernel_distance(moments, -1))
    for reference in (3, -4):
        with pytest.raises(ValueError, match="^reference needs a whole number"):
            riccati.kernel_distance(moments, reference)


@pytest.mark.parametrize("imbalance", [-2.0, -0.3, 0.0, 0.3, 2.0])
def test_the_second_layer_exceeds_the_first_by_the_imbalance(imbalance):
    weights = riccati.lambda_balanced_weights(
        (4, 4), imbalance, [0.5, 0.2, 0.1, 0.0], 4, np.random.default_rng(4)
    )
    difference = weights[1].T @ weights[1] - weights[0] @ weights[0].T
    np.testing.assert_allclose(difference, imbalance * np.eye(4), atol=1e-13)
    assert riccati.imbalance_of(weights)[0] == pytest.approx(imbalance, abs=1e-13)


def test_weights_have_the_requested_imbalance_and_strengths():
    weights = riccati.lambda_balanced_weights((5, 7), -1.3, [0.5, 0.2], 2, np.random.default_rng(4))
    value, defect = riccati.imbalance_of(weights)
    assert value == pytest.approx(-1.3) and defect < 1e-14
    np.testing.assert_allclose(np.linalg.svd(weights[1] @ weights[0])[1][:2], [0.5, 0.2])


def test_kernel_distance_is_that_of_the_kernel_matrices():
    rng = np.random.default_rng(5)
    X = np.sqrt(12) * np.linalg.qr(rng.standard_normal((12, 3)))[0]
    W1, W2 = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 2, 4))
    kernels = []
    for A, B in zip(W1, W2, strict=True):
        jacobian = np.concatenate(
            [np.kron(B, X).reshape(2 * 12, -1), np.kron(np.eye(2), X @ A.T).reshape(2 * 12, -1)], axis=1
        )
        kernels.append(jacobian @ jacobian.T)
    expected = 1 - (kernels[0] * kernels[1]).sum() / np.linalg.norm(kernels[0]) / np.linalg.norm(kernels[1])
    assert riccati.kernel_distance(riccati.moments_of(W1, W2, [0, 1]))[1] == pytest.approx(expected)


def test_kernel_distance_keeps_its_digits_where_it_is_tiny():
    rng = np.random.default_rng(5)
    W1, W2, move = rng.standard_normal((4, 3)), rng.standard_normal((2, 4)), rng.standard_normal((4, 3))
    steps = np.array([0.0, 1e-7, 1e-9, 1e-11])
    far = riccati.moments_of(W1 + steps[:, None, None] * move, np.stack([W2] * 4), steps)
    distance = riccati.kernel_distance(far)[1:]
    np.testing.assert_allclose(distance / steps[1:] ** 2, distance[0] / steps[1] ** 2, rtol=1e-2)


def test_strong_imbalance_keeps_the_kernel():
    rng = np.random.default_rng(6)
    sigma = task(3, 3, rng)
    moved = []
    for imbalance in (0.0, 1.0, 10.0, 100.0):
        weights = riccati.lambda_balanced_weights((3, 3), imbalance, 0.01, 3, rng)
        moved.append(riccati.kernel_distance(riccati.solve(weights, sigma, [0.0, 100.0]))[1])
    assert (np.diff(moved) < 0).all() and moved[0] > 0.04 and moved[3] < 1e-3


@pytest.mark.parametrize(
    "call",
    [
        lambda: riccati.lambda_balanced_weights((3, 5), 1.0, 0.1, 4, np.random.default_rng(0)),
        lambda: riccati.solve([np.eye(2), np.array([[1.0, 2.0], [0.0, 1.0]])], np.eye(2), [0.0]),
        lambda: riccati.lambda_balanced_weights((3, 3), np.nan, 0.1, 3, np.random.default_rng(0)),
        lambda: riccati.lambda_balanced_weights((3, 3), 1.0, np.nan, 3, np.random.default_rng(0)),
        lambda: riccati.lambda_balanced_weights(
            (np.ones((3, 3)),) * 2, 1.0, 0.1, 3, np.random.default_rng(0)
        ),
        lambda: riccati.solve([np.eye(2), np.eye(2)], np.eye(2), [-1.0]),
        lambda: riccati.solve([np.eye(2), np.eye(2)], np.eye(2), [np.inf]),
        lambda: riccati.solve([np.eye(2), np.eye(2)], np.eye(2), [1.0], tau=-1.0),
        lambda: riccati.solve([np.eye(2), np.eye(2)], np.full((2, 2), np.nan), [1.0]),
        lambda: riccati.solve([np.eye(2), np.eye(2)], np.ones(2), [1.0]),
        lambda: riccati.kernel_distance(riccati.solve([np.zeros((2, 2))] * 2, np.eye(2), [0.0])),
        lambda: riccati.solve([np.eye(2), np.eye(2)], np.eye(3), [0.0]),
    ],
)
def test_impossible_arguments_are_refused(call):
    with pytest.raises(ValueError, match="need"):
        call()


def test_a_time_costs_the_same_however_long_it_is_and_slow_modes_are_on_time():
    s, a0 = np.array([1.0, 1e-3, 1e-6, 1e-9]), 1e-4
    times = np.array([0.0, 1.0, 10.0, 1e3, 1e4, 1e6, 7e6, 1e9, 6e9, 1e15])
    eye = np.eye(4)
    weights = riccati.lambda_balanced_weights((eye, eye), 0.0, a0, 4, np.random.default_rng(0))
    began = time.process_time()
    maps = riccati.solve(weights, np.diag(s), times).maps
    assert time.process_time() - began < 1
    expected = mode_strength(times[:, None], s, a0)
    # rounding in the eigenvectors mixes modes by 1e-16 of the strongest
    np.testing.assert_allclose(np.diagonal(maps, axis1=1, axis2=2), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("imbalance", [-1.0, 0.0, 0.5])
def test_half_the_time_twice_is_the_whole_time(imbalance):
    rng = np.random.default_rng(3)
    sigma = task(4, 5, rng)
    weights = riccati.lambda_balanced_weights((4, 5), imbalance, 0.2, 3, rng)
    for t in (1.0, 40.0, 1e3, 1e6):
        half = riccati.solve(weights, sigma, [t / 2])
        gram = np.block([[half.inputs[0], half.maps[0].T], [half.maps[0], half.outputs[0]]])
        values, vectors = np.linalg.eigh(gram)
        Q = vectors[:, -3:] * np.sqrt(
            values[-3:]
        )  # weights with these moments, up to a rotation of the hidden layer
        whole = riccati.solve(weights, sigma, [t]).maps
        np.testing.assert_allclose(riccati.solve([Q[:5].T, Q[5:]], sigma, [t / 2]).maps, whole, atol=1e-12)


@pytest.mark.parametrize("unit", [1e-12, 1e-9, 1e9])
def test_the_unit_of_outputs_is_also_that_of_time(unit):
    rng = np.random.default_rng(5)
    sigma, times = task(4, 5, rng), np.array([0.3, 5.0, 400.0])
    weights = riccati.lambda_balanced_weights((4, 5), 0.5, 0.2, 3, rng)
    plain = riccati.solve(weights, sigma, times)
    other = riccati.solve([np.sqrt(unit) * W for W in weights], unit * sigma, times / unit)
    for name in ("inputs", "maps", "outputs"):
        np.testing.assert_allclose(getattr(other, name) / unit, getattr(plain, name), rtol=1e-9, atol=1e-12)
