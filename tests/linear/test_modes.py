import numpy as np
import pytest

from gdln.linear import modes


def test_mode_starts_at_a0_and_ends_at_s_over_d():
    a = modes.mode_strength([0.0, 1e6], s=1.3, a0=1e-3, d=2.0)
    np.testing.assert_allclose(a, [1e-3, 0.65], rtol=1e-15)


def test_mode_decreases_when_it_starts_above_its_target():
    a = modes.mode_strength(np.linspace(0, 5, 50), s=1.0, a0=3.0)
    assert (np.diff(a) < 0).all() and a[-1] == pytest.approx(1, abs=1e-4)


def test_a_mode_does_not_feel_one_beside_it_that_shrinks():
    t, s, a0 = np.linspace(0, 40, 81)[:, None], np.array([0.3, 1.0, 2.0]), np.array([1e-12, 1e-3, 1.9])
    beside = modes.mode_strength(t, np.append(s, 1.0), np.append(a0, 5.0))
    np.testing.assert_allclose(beside[:, :3], modes.mode_strength(t, s, a0), rtol=1e-14)


def test_strengths_have_the_same_bits_however_times_and_modes_lie_in_their_arrays():
    t, s, a0 = np.linspace(0, 20, 7), np.linspace(0.5, 2, 5), np.linspace(1e-3, 0.1, 3)
    alone = np.array([[modes.mode_strength(time, mode, 1e-3, d=0.8, tau=1.7) for mode in s] for time in t])
    options = {"a0": 1e-3, "d": 0.8, "tau": 1.7}
    np.testing.assert_array_equal(modes.mode_strength(t[:, None], s, **options), alone)
    np.testing.assert_array_equal(modes.mode_strength(t[:, None], s[None], **options), alone)
    np.testing.assert_array_equal(modes.mode_strength(t, s[:, None], **options), alone.T)
    np.testing.assert_array_equal(modes.mode_strength(t[:, None], s[:1], **options), alone[:, :1])
    whole = modes.mode_strength(t[:, None], s, a0[:, None, None], d=0.8, tau=1.7)
    assert whole.shape == (3, 7, 5)
    np.testing.assert_array_equal(whole[0], alone)
    by_mode = modes.mode_strength(t[:3, None], s[:3], a0, d=0.8, tau=1.7)
    np.testing.assert_array_equal(by_mode, np.moveaxis(whole, 0, -1)[:3, range(3), range(3)])
    assert isinstance(modes.mode_strength(1.0, 1.0, 0.1), np.float64)


def test_a_mode_without_correlation_decays_as_one_over_time():
    t = np.array([0.0, 1.0, 1e3])
    np.testing.assert_allclose(modes.mode_strength(t, s=0.0, a0=0.5, d=2.0), 0.5 / (1 + 2 * t), rtol=1e-14)
    near = modes.mode_strength(t, s=1e-9, a0=0.5, d=2.0)
    np.testing.assert_allclose(near, 0.5 / (1 + 2 * t), rtol=1e-5)


def test_tau_only_rescales_time():
    t = np.linspace(0, 7, 9)
    for f in (
        lambda t, tau: modes.mode_strength(t, 0.8, 1e-2, 1.5, tau),
        lambda t, tau: modes.mode_strength_unbalanced(t, 0.8, 1e-2, 0.3, 1.5, tau),
        lambda t, tau: modes.depth_strength(t, 0.8, 1e-2, 4, 1.5, tau),
        lambda t, tau: np.array(modes.chain_weights(t, 0.8, 0.3, -0.1, 1.5, tau)),
    ):
        np.testing.assert_allclose(f(3 * t, 3.0), f(t, 1.0), rtol=1e-13)


@pytest.mark.parametrize("t", [1e-18, 1e-15, 1e-12, 1e-3, 10.0])
def test_a_mode_that_starts_far_above_its_target_falls_to_all_digits(t):
    s, a0, d = 2.0, 1e14, 0.5
    expected = s / (-d * np.expm1(-2 * s * t) + s / a0 * np.exp(-2 * s * t))
    assert modes.mode_strength(t, s, a0, d) == pytest.approx(expected, rel=1e-14)


@pytest.mark.filterwarnings("error")
def test_a_mode_without_weights_stays_without_strength():
    found = modes.mode_strength_unbalanced([0.0, 1.0, 1e3], 1.5, 0.0, [[0.0], [-0.2]])
    np.testing.assert_array_equal(found[0], 0)
    assert found[1, -1] == pytest.approx(1.5, rel=1e-12)


def test_data_without_correlation_have_no_modes():
    found = modes.modes(np.zeros((2, 3)), np.eye(3))
    assert found.s.shape == (0,) and found.U.shape == (2, 0) and found.mixing == 0
    near = modes.modes(np.diag([1.0, 2e-12, 0.5e-12]), np.eye(3))
    assert len(near.s) == 2


def test_rescaling_weights_absorbs_the_input_variance():
    t = np.linspace(0, 4, 9)
    np.testing.assert_allclose(
        4 * modes.mode_strength(t, 1.0, 0.01, d=4.0), modes.mode_strength(t, 1.0, 0.04, d=1.0), rtol=1e-13
    )


def test_unbalanced_start_with_equal_weights_is_the_balanced_mode():
    t = np.linspace(0, 10, 60)
    exact = modes.mode_strength(t, 1.1, 1e-4, d=0.7)
    np.testing.assert_allclose(modes.mode_strength_unbalanced(t, 1.1, 1e-4, 0.0, d=0.7), exact, rtol=1e-12)
    near = modes.mode_strength_unbalanced(t, 1.1, 1e-4, 1e-12, d=0.7)
    np.testing.assert_allclose(near, exact, rtol=1e-10)


def test_the_sign_of_q_does_not_matter():
    t = np.linspace(0, 5, 30)
    f = modes.mode_strength_unbalanced
    np.testing.assert_array_equal(f(t, 0.9, -0.1, 0.4), f(t, 0.9, -0.1, -0.4))


def test_large_q_makes_learning_exponential_at_rate_q():
    q, t = 1e4, np.linspace(0, 5e-4, 20)
    lazy = 1 - np.exp(-q * t)
    np.testing.assert_allclose(modes.mode_strength_unbalanced(t, 1.0, 0.0, q), lazy, atol=2e-4)


def test_flipping_the_target_flips_the_strength():
    t = np.linspace(0, 6, 30)
    f = modes.mode_strength_unbalanced
    np.testing.assert_allclose(f(t, -1.2, -0.2, 0.3, 0.8), -f(t, 1.2, 0.2, 0.3, 0.8), rtol=1e-14)


def test_chain_weights_keep_their_difference_of_squares():
    rng = np.random.default_rng(0)
    b1, b2, s = rng.standard_normal((3, 40))
    w1, w2 = modes.chain_weights(2.3, s, b1, b2, d=0.6)
    np.testing.assert_allclose(w1**2 - w2**2, b1**2 - b2**2, atol=1e-13)


def test_chain_weights_agree_with_the_strength_from_the_conserved_quantity():
    rng = np.random.default_rng(1)
    b1, b2 = rng.standard_normal((2, 40, 1))
    t = np.linspace(0, 8, 20)
    w1, w2 = modes.chain_weights(t, 0.7, b1, b2)
    np.testing.assert_allclose(
        w1 * w2, modes.mode_strength_unbalanced(t, 0.7, b1 * b2, b1**2 - b2**2), atol=1e-13
    )


def test_a_chain_on_the_stable_manifold_runs_into_the_saddle():
    w1, w2 = modes.chain_weights(np.array([0.0, 1.0, 50.0]), s=1.0, b1=0.5, b2=-0.5)
    np.testing.assert_array_equal(w1, -w2)
    assert w1[0] == 0.5 and abs(w1[2]) < 1e-20


def test_solving_twice_is_solving_once():
    half = modes.chain_weights(0.8, 1.0, 0.3, -0.7)
    whole = modes.chain_weights(1.6, 1.0, 0.3, -0.7)
    np.testing.assert_allclose(modes.chain_weights(0.8, 1.0, *half), whole, rtol=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6, 10])
def test_depth_time_inverts_depth_strength(depth):
    t = np.linspace(0, 30, 50)
    a = modes.depth_strength(t, 1.2, 0.05, depth, d=0.8)
    inside = a < 1.5 * (1 - 1e-6)
    np.testing.assert_allclose(modes.depth_time(a[inside], 1.2, 0.05, depth, d=0.8), t[inside], atol=1e-8)


def test_depth_two_is_the_logistic_curve():
    t = np.linspace(0, 40, 100)
    np.testing.assert_allclose(
        modes.depth_strength(t, 0.9, 1e-6, 2, d=2.0), modes.mode_strength(t, 0.9, 1e-6, d=2.0), rtol=1e-12
    )


def test_depth_one_is_exponential():
    t = np.linspace(0, 4, 20)
    np.testing.assert_allclose(
        modes.depth_strength(t, 1.0, 1e-3, 1, d=2.0), 0.5 - (0.5 - 1e-3) * np.exp(-2 * t), rtol=1e-12
    )


def test_three_layer_time_law_of_the_race():
    b0, b, s, d = 0.2, 0.9, 1.3, 0.7
    star = (s / d) ** (1 / 3)

    def F(b):
        return 0.5 * np.log((b * b + b * star + star**2) / (star - b) ** 2) - np.sqrt(3) * np.arctan(
            (2 * b + star) / (np.sqrt(3) * star)
        )

    expected = (1 / b0 - 1 / b) / s + (F(b) - F(b0)) / (3 * s * star)
    assert modes.depth_time(b**3, s, b0**3, 3, d) == pytest.approx(expected, rel=1e-13)


def test_plateau_grows_as_a_power_of_the_start_beyond_two_layers():
    for depth in (3, 4, 6):
        t = modes.depth_time(0.5, 1.0, np.array([1e-10, 1e-12]), depth)
        assert t[1] / t[0] == pytest.approx(100 ** ((depth - 2) / depth), rel=0.02)


def test_halving_the_correlation_less_than_doubles_the_wait_of_a_mode_that_starts_equal():
    t = modes.mode_time(np.array([0.5, 0.25]), np.array([1.0, 0.5]), a0=1e-3)
    assert 1.7 < t[1] / t[0] < 2


def test_modes_of_a_rotated_diagonal_problem_are_found():
    rng = np.random.default_rng(2)
    U, V = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (5, 7))
    s, d = np.array([3.0, 2.0, 0.5, 0.1, 0.01]), rng.uniform(0.5, 2, 7)
    found = modes.modes(U * s @ V[:, :5].T, V * d @ V.T)
    np.testing.assert_allclose(found.s, s)
    np.testing.assert_allclose(found.d, d[:5])
    assert found.mixing < 1e-14
    np.testing.assert_allclose(found.strengths(U * [1, 2, 3, 4, 5] @ V[:, :5].T), [1, 2, 3, 4, 5])


def test_mixing_sees_input_directions_that_leave_the_modes():
    sigma_x = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert modes.modes(np.array([[1.0, 0.0]]), sigma_x).mixing == pytest.approx(0.5 / np.sqrt(1.25))
    assert modes.modes(np.array([[1.0, 1.0]]), sigma_x).mixing < 1e-15


def test_loss_of_the_modes_is_the_loss_of_the_map():
    rng = np.random.default_rng(3)
    X, Y = rng.standard_normal((30, 4)), rng.standard_normal((30, 3))
    X = X @ np.linalg.inv(np.linalg.cholesky(X.T @ X / 30)).T  # white
    found = modes.modes(*modes.correlations(X, Y))
    a = rng.standard_normal(3)
    residual = Y - X @ (found.U * a @ found.V.T).T
    assert found.loss(a, (Y**2).sum(axis=1).mean()) == pytest.approx((residual**2).sum(axis=1).mean() / 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: modes.mode_strength(1.0, 1.0, 0.0),
        lambda: modes.mode_strength(1.0, -1.0, 0.1),
        lambda: modes.mode_strength(1.0, 1.0, 0.1, d=0.0),
        lambda: modes.mode_strength(np.nan, 1.0, 0.1),
        lambda: modes.mode_strength(-1.0, 1.0, 0.1),
        lambda: modes.mode_strength(1.0, 1.0, 0.1, tau=0.0),
        lambda: modes.mode_time(2.0, 1.0, 0.1),
        lambda: modes.mode_time(0.5, 1.0, 0.1, d=-1.0),
        lambda: modes.depth_strength(1.0, 1.0, 0.1, 3, d=0.0),
        lambda: modes.chain_weights(1.0, np.nan, 1.0, 1.0),
        lambda: modes.mode_strength_unbalanced(1.0, 1.0, 0.1, np.nan),
        lambda: modes.depth_time(0.5, 1.0, 0.1, depth=0),
        lambda: modes.depth_strength(-1.0, 1.0, 0.1, 3),
        lambda: modes.depth_strength(1.0, 1.0, 1.0, 3),
        lambda: modes.chain_weights(1.0, 1.0, 1.0, 1.0, d=-1.0),
        lambda: modes.mode_strength_unbalanced(1.0, 1.0, 1.0, 1.0, d=-1.0),
        lambda: modes.modes(np.eye(2), np.eye(3)),
        lambda: modes.modes(np.full((2, 2), np.nan), np.eye(2)),
        lambda: modes.modes(np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]])),
        lambda: modes.modes(np.eye(2), np.eye(2), rank=3),
        lambda: modes.correlations(np.eye(2), np.eye(3)),
        lambda: modes.correlations(np.empty((0, 2)), np.empty((0, 1))),
        lambda: modes.correlations([[np.nan]], [[1.0]]),
    ],
)
def test_impossible_arguments_are_refused(call):
    with pytest.raises(ValueError, match="need"):
        call()
