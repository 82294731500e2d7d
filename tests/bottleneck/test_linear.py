import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gdln.bottleneck import linear as bl
from gdln.linear import simulation
from gdln.linear.modes import mode_strength


def setting(k=3, n=4, d=6, seed=0, rank=None):
    rng = np.random.default_rng(seed)
    target = rng.standard_normal((k, n))
    if rank is not None:
        U, s, Vt = np.linalg.svd(target)
        target = U[:, :rank] * s[:rank] @ Vt[:rank]
    factor = rng.standard_normal((n, 3 * n))
    sigma = factor @ factor.T / (3 * n)
    return rng.standard_normal((k, d)), rng.standard_normal((d, n)), target @ sigma, sigma


@pytest.mark.parametrize("d", [4, 6, 9])
def test_closed_system_is_the_flow_of_the_two_matrices(d):
    A, B, sigma_yx, sigma = setting(d=d)
    t = np.linspace(0, 5, 11)
    one = bl.flow(A, B, sigma_yx, sigma, 2.0, 3.0, t)
    two = bl.moment_flow(one.W[0], one.P[0], one.Q[0], sigma_yx, sigma, 2.0, 3.0, d, t)
    for name in "WPQ":
        assert np.abs(getattr(one, name) - getattr(two, name)).max() < 1e-6


def test_flow_is_gradient_descent_with_two_rates_in_the_limit_of_small_steps():
    A, B, sigma_yx, sigma = setting()
    error = []
    for dt in (2e-3, 1e-3):
        run = simulation.simulate(
            [B, A / np.sqrt(6)], sigma_yx, sigma, dt, round(1 / dt), round(1 / dt), "euler", rates=(2, 3 / 6)
        )
        exact = bl.flow(A, B, sigma_yx, sigma, 2.0, 3.0, np.array([0.0, 1.0]))
        error.append(np.abs(run.maps[-1] - exact.W[-1]).max())
    assert 1.8 < error[0] / error[1] < 2.2  # Euler: first order


def test_the_difference_of_moments_is_conserved():
    A, B, sigma_yx, sigma = setting()
    c_g, c_f, d = 2.0, 3.0, 6

    def slope(_, v):
        A, B = v[:18].reshape(3, 6), v[18:].reshape(6, 4)
        S = sigma_yx - A @ B @ sigma / np.sqrt(d)
        return np.concatenate([(c_f * S @ B.T).ravel(), (c_g * A.T @ S).ravel()]) / np.sqrt(d)

    v = solve_ivp(slope, (0, 5), np.concatenate([A.ravel(), B.ravel()]), rtol=1e-10, atol=1e-12).y[:, -1]
    A1, B1 = v[:18].reshape(3, 6), v[18:].reshape(6, 4)
    assert np.abs(c_g * (A1.T @ A1 - A.T @ A) - c_f * (B1 @ B1.T - B @ B.T)).max() < 1e-6
    exact = bl.flow(A, B, sigma_yx, sigma, c_g, c_f, np.array([0.0, 5.0]))
    assert np.abs(exact.W[-1] - A1 @ B1 / np.sqrt(d)).max() < 1e-7


def test_rescaled_weights_and_labels_give_rescaled_times():
    A, B, sigma_yx, sigma = setting()
    t, size = np.linspace(0, 3, 7), 1.7
    one = bl.flow(A, B, sigma_yx, sigma, 1.0, 1.0, t)
    two = bl.flow(size * A, size * B, size**2 * sigma_yx, sigma, 1.0, 1.0, t / size**2)
    np.testing.assert_allclose(two.W, size**2 * one.W, atol=1e-8)


def test_infinite_width_is_linear_regression():
    _, _, sigma_yx, sigma = setting()
    t = np.array([0.0, 0.7, 1.5])
    run = bl.moment_flow(np.zeros((3, 4)), np.eye(3), np.eye(4), sigma_yx, sigma, 2.0, 1.0, np.inf, t)
    lam, V = np.linalg.eigh(sigma)
    expected = [sigma_yx @ V / lam * (1 - np.exp(-3 * lam * s)) @ V.T for s in t]
    np.testing.assert_allclose(run.W, expected, atol=1e-8)


def test_a_bottleneck_narrower_than_the_target_is_refused_by_the_closed_system_only():
    A, B, sigma_yx, sigma = setting(d=2)
    t = np.linspace(0, 20, 3)
    run = bl.flow(A, B, sigma_yx, sigma, 1.0, 1.0, t)
    assert np.linalg.matrix_rank(run.W[-1], tol=1e-8) == 2 and np.isfinite(run.W).all()
    with pytest.raises(ValueError, match="unstable"):
        bl.moment_flow(run.W[0], run.P[0], run.Q[0], sigma_yx, sigma, 1.0, 1.0, 2, t)
    A, B, sigma_yx, sigma = setting(d=2, rank=2)
    start = bl.flow(A, B, sigma_yx, sigma, 1.0, 1.0, t)
    bl.moment_flow(start.W[0], start.P[0], start.Q[0], sigma_yx, sigma, 1.0, 1.0, 2, t[:2] / 10)


def test_aligned_modes_of_a_matrix_follow_the_scalar_law():
    S = np.array([6.0, 3.0, 1.5])
    t = np.linspace(0, 2, 21)
    run = bl.moment_flow(np.zeros((3, 3)), np.eye(3), np.eye(3), np.diag(S), np.eye(3), 1.0, 1.0, 4, t)
    theory = bl.mode_strength(t[:, None], S, 4, 1.0, 1.0)
    np.testing.assert_allclose(np.einsum("taa->ta", run.W), theory, atol=1e-8)
    h = np.einsum("taa->ta", run.P) + np.einsum("taa->ta", run.Q)
    np.testing.assert_allclose(h, bl.mode_rate(theory, S, 4, 1.0, 1.0), atol=1e-8)


def test_time_inverts_strength_and_has_the_right_slope():
    t = np.linspace(0.1, 3, 9)
    for S, d, c_g, c_f, lam, b0 in [
        (3.0, 1, 1, 1, 1.0, 0.0),
        (8.0, 5, 3, 1, 0.3, 0.5),
        (2.0, np.inf, 2, 2, 1, 0),
    ]:
        b = bl.mode_strength(t, S, d, c_g, c_f, lam, b0)
        inside = b < S * (1 - 1e-9)
        np.testing.assert_allclose(bl.mode_time(b[inside], S, d, c_g, c_f, lam, b0), t[inside], rtol=1e-7)
        db = 1e-6 * S
        numeric = (
            2
            * db
            / (
                bl.mode_time(S / 2 + db, S, d, c_g, c_f, lam, b0)
                - bl.mode_time(S / 2 - db, S, d, c_g, c_f, lam, b0)
            )
        )
        assert numeric == pytest.approx(lam * bl.mode_rate(S / 2, S, d, c_g, c_f, b0) * S / 2, rel=1e-6)


@pytest.mark.parametrize(
    "c_g, c_f, d, S, rho, exact, law",
    [
        (1, 1, 1, 3, 3.1623, 2.362, 2.358),
        (2, 2, 5, 8, 3.7148, 2.689, 2.685),
        (3, 1, 5, 8, 3.2558, 2.418, 2.414),
        (1, 1, 1000, 10, 1.0488, 1.0330, 1.0330),
    ],
)
def test_acceleration_and_speed_up_have_their_tabulated_values(c_g, c_f, d, S, rho, exact, law):
    assert bl.acceleration(S, d, c_g, c_f) == pytest.approx(rho, abs=6e-5)
    assert bl.speed_up(S, d, c_g, c_f, 0.01) == pytest.approx(exact, abs=6e-4)
    assert bl.speed_up(S, d, c_g, c_f, 0.01, asymptotic=True) == pytest.approx(law, abs=6e-4)


def test_the_law_becomes_exact_at_small_residuals():
    gap = [
        abs(bl.speed_up(8.0, 5, 2, 2, e) / bl.speed_up(8.0, 5, 2, 2, e, asymptotic=True) - 1)
        for e in (1e-1, 1e-2, 1e-3)
    ]
    assert gap[0] > 5 * gap[1] > 25 * gap[2]


def test_acceleration_is_largest_in_the_middle_and_vanishes_for_wide_bottlenecks():
    by_position = [bl.acceleration(8.0, 5, *bl.layer_rates(g, 4 - g)) for g in (1, 2, 3)]
    assert by_position[1] > by_position[0] == by_position[2]
    np.testing.assert_allclose(bl.acceleration(8.0, np.array([1e6, np.inf]), 1, 1), 1, atol=1e-4)


def test_balanced_weights_obey_the_overparametrisation_rule():
    rng = np.random.default_rng(4)
    c_g, c_f, d = 2.0, 3.0, 5
    U, V = (np.linalg.qr(rng.standard_normal((n, 3)))[0] for n in (3, 4))
    R = np.linalg.qr(rng.standard_normal((d, 3)))[0]
    s = np.array([1.2, 0.7, 0.1])
    A = U * s / np.sqrt(c_g) @ R.T
    B = R * s / np.sqrt(c_f) @ V.T
    np.testing.assert_allclose(c_g * A.T @ A, c_f * B @ B.T, atol=1e-12)
    W, P, Q = A @ B / np.sqrt(d), A @ A.T / d, B.T @ B / d
    S = rng.standard_normal((3, 4))
    rule = bl.overparametrised_slope(W, S, depth=2, rate=np.sqrt(c_g * c_f / d))
    np.testing.assert_allclose(c_g * P @ S + c_f * S @ Q, rule, atol=1e-12)


def test_overparametrised_slope_of_one_output_boosts_the_direction_travelled():
    rng = np.random.default_rng(5)
    w, S = rng.standard_normal((2, 1, 5))
    for depth in (1, 2, 3, 5):
        size = np.linalg.norm(w)
        along = (S @ w.T) * w / size**2
        expected = size ** (2 - 2 / depth) * (S + (depth - 1) * along)
        np.testing.assert_allclose(bl.overparametrised_slope(w, S, depth), expected, atol=1e-12)


def test_without_an_initial_floor_the_mode_is_the_sigmoid_of_a_deep_linear_network():
    # balanced: c_g p = c_f q = sqrt(c_g c_f / d) b, so h = 2 sqrt(c_g c_f / d) b; at b0 = (c_g + c_f) / sqrt(kappa)
    c_g, c_f, d, S = 2.0, 3.0, 5, 40.0
    b0 = (c_g + c_f) / np.sqrt(4 * c_g * c_f / d)
    t = np.linspace(0, 0.2, 9)
    sigmoid = mode_strength(t, S * np.sqrt(c_g * c_f / d), b0, d=np.sqrt(c_g * c_f / d))
    np.testing.assert_allclose(bl.mode_strength(t, S, d, c_g, c_f, b0=b0), sigmoid, rtol=1e-9)


def test_time_to_level_agrees_with_the_flow():
    A, B, sigma_yx, _ = setting()
    t = bl.time_to_level(A, B, sigma_yx, 2.0, 3.0, 0.01, variance=0.5)
    run = bl.flow(A, B, 0.5 * sigma_yx, 0.5 * np.eye(4), 2.0, 3.0, np.array([0.0, t]))
    reached = np.square(run.W[-1] - sigma_yx).sum() / np.square(sigma_yx).sum()
    assert reached == pytest.approx(0.01, rel=1e-3)


def test_a_level_that_the_start_meets_takes_no_time_and_one_that_equals_the_loss_takes_some():
    A, B, sigma_yx, _ = setting()
    left = np.square(sigma_yx - A @ B / np.sqrt(len(A.T))).sum() / np.square(sigma_yx).sum()
    assert bl.time_to_level(A, B, sigma_yx, 2.0, 3.0, 1.001 * left) == 0
    assert 0 < bl.time_to_level(A, B, sigma_yx, 2.0, 3.0, 0.999 * left) < 0.1
    steps = bl.descent_steps(None, None, [[1.0]], [[1.0]], 1.0, 1.0, [0.125], 1.0)
    np.testing.assert_array_equal(steps, [1])  # the loss of the zero map is not below itself


def test_descent_with_small_steps_takes_the_time_of_the_flow():
    A, B, target, _ = setting()
    t = bl.time_to_level(A, B, target, 2.0, 3.0, 0.01, variance=0.5)
    steps = bl.descent_steps(A, B, target, 0.5 * np.eye(4), 2.0, 3.0, [t / 2000, 10.0], 0.01, longest=4000)
    assert steps[0] / 2000 == pytest.approx(1, abs=0.01) and steps[1] == np.inf


def test_the_infinite_network_learns_white_data_in_one_step_of_the_right_size():
    steps = bl.descent_steps(None, None, np.ones((1, 5)), np.eye(5), 2.0, 2.0, [0.25, 0.2], 1e-3)
    np.testing.assert_array_equal(steps, [1, 3])  # 0.2 leaves a fifth a step


def test_another_weight_scale_only_rescales_the_closed_form_of_a_mode():
    layers, sigma_w, S, d = (1, 3), 2**0.5, 8.0, 5
    scale, times = sigma_w ** sum(layers), np.linspace(0, 0.05, 6)
    moments = [np.eye(1) * sigma_w ** (2 * n) for n in (layers[1], layers[0])]  # P and Q
    rates = bl.layer_rates(*layers, sigma_w)
    run = bl.moment_flow(np.zeros((1, 1)), *moments, np.array([[S]]), np.eye(1), *rates, d, times)
    predicted = scale * bl.mode_strength(times * scale**2, S / scale, d, *bl.layer_rates(*layers))
    np.testing.assert_allclose(run.W[:, 0, 0], predicted, atol=1e-8)
    assert 0.3 * S < predicted[-1] < S


def test_a_mode_needs_no_time_to_stay_and_never_gets_to_its_end():
    for b0 in (0.0, 0.3):
        assert bl.mode_time(b0, 1.0, 2, 1, 1, b0=b0) == 0
        assert bl.mode_strength(0.0, 1.0, 2, 1, 1, b0=b0) == pytest.approx(b0, abs=1e-15)
        assert np.isfinite(bl.mode_time(1 - 1e-12, 1.0, 2, 1, 1, b0=b0))
        assert bl.mode_strength(np.inf, 1.0, 2, 1, 1, b0=b0) == 1
    for b0 in (-0.1, 1.0):
        with pytest.raises(ValueError, match="^b0 needs 0 <= b0 < S"):
            bl.mode_strength(1.0, 1.0, 2, 1, 1, b0=b0)
    for b, b0 in ((0.5, -0.1), (0.5, 0.6), (1.0, 0.5)):
        with pytest.raises(ValueError, match="^b needs 0 <= b0 <= b < S"):
            bl.mode_time(b, 1.0, 2, 1, 1, b0=b0)


def test_one_of_the_rates_may_vanish_and_not_both():
    assert bl.mode_time(0.5, 1.0, np.inf, 0, 2) == pytest.approx(np.log(2) / 2, rel=1e-12)
    assert bl.mode_time(0.5, 1.0, np.inf, 2, 0) == pytest.approx(np.log(2) / 2, rel=1e-12)
    with pytest.raises(ValueError, match="^c_g and c_f needs rates that are not both zero"):
        bl.mode_time(0.5, 1.0, np.inf, 0, 0)


def test_the_preconditioner_of_a_deep_linear_network_worked_by_hand():
    # W = diag(4, 1): for three layers the powers (0, 2/3, 4/3) of s on one side and the rest on the other
    S = np.array([[1.0, 2.0], [3.0, 5.0]])
    s = np.array([4.0, 1.0])
    factor = sum(np.outer(s ** (2 * (3 - j) / 3), s ** (2 * (j - 1) / 3)) for j in (1, 2, 3))
    slope = bl.overparametrised_slope(np.diag(s), S, depth=3, rate=0.5)
    np.testing.assert_allclose(slope, 0.5 * factor * S, rtol=1e-13)
    np.testing.assert_allclose(
        bl.overparametrised_slope(np.diag(s), S, depth=1, rate=0.5), 0.5 * S, rtol=1e-13
    )
    # of a map that is not square the lost directions have no strength
    wide = bl.overparametrised_slope(np.array([[2.0, 0.0]]), np.array([[1.0, 3.0]]), depth=2)
    np.testing.assert_allclose(wide, [[2 * 2, 3 * 2]], rtol=1e-13)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bl.layer_rates(0, 1),
        lambda: bl.flow(np.eye(2), np.eye(3), np.eye(2), np.eye(2), 1, 1, [0, 1]),
        lambda: bl.mode_time(1.0, 1.0, 1, 1, 1),
        lambda: bl.mode_time(0.5, 1.0, 1, 1, 1, b0=0.6),
        lambda: bl.mode_strength(-1.0, 1.0, 1, 1, 1),
        lambda: bl.speed_up(1.0, 1, 1, 1, 1.0),
        lambda: bl.acceleration(3.0, -1, 1, 1),
        lambda: bl.mode_rate(1.0, 3.0, 0.1, 1, 1, b0=2.0),
        lambda: bl.flow(np.eye(2), np.eye(2), np.eye(2), np.eye(2), -1, 1, [0, 1]),
        lambda: bl.time_to_level(np.eye(2), np.eye(2), np.eye(2), 1, 1, -0.1),
        lambda: bl.time_to_level(np.eye(2), np.eye(2), np.eye(3), 1, 1, 0.1),
        lambda: bl.descent_steps(None, np.eye(2), np.eye(2), np.eye(2), 1, 1, [0.1], 0.1),
    ],
)
def test_impossible_arguments_are_refused(call):
    with pytest.raises(ValueError, match="need"):
        call()


@pytest.mark.slow
def test_finite_deep_linear_networks_approach_the_two_matrices():
    error = {width: [] for width in (64, 256)}
    for width in error:
        for seed in range(6):
            error[width].append(finite_network_error(2, 2, 2, width, seed))
    assert np.median(error[256]) < 0.03 and np.median(error[256]) < 0.75 * np.median(error[64])


def finite_network_error(layers_g, layers_f, d, width, seed, n=6, k=3, steps=150, lr=0.02):
    """Largest difference of the loss, relative to its start, between a finite network and the reduction."""
    rng = np.random.default_rng(seed)
    widths = [n, *[width] * (layers_g - 1), d, *[width] * (layers_f - 1), k]
    weights, rates = simulation.ntk_weights(widths, rng)
    sigma, sigma_yx = np.eye(n), rng.standard_normal((k, n))
    run = simulation.simulate(weights, sigma_yx, sigma, lr, steps, method="euler", rates=rates)
    B = np.linalg.multi_dot([*weights[:layers_g][::-1], np.eye(n)])
    A = np.sqrt(d) * np.linalg.multi_dot([np.eye(k), *weights[layers_g:][::-1]])
    two = simulation.simulate(
        [B, A / np.sqrt(d)], sigma_yx, sigma, lr, steps, method="euler", rates=(layers_g, layers_f / d)
    )
    loss = [np.square(r.maps - sigma_yx).sum(axis=(1, 2)) for r in (run, two)]
    return np.abs(loss[0] - loss[1]).max() / loss[0][0]
