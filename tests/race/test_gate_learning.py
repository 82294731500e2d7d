"""Gates that learn: limits, invariances and rates."""

import numpy as np
import pytest

from gdln.checks import Diverged
from gdln.race import gate_learning as lg


def start(n_paths=2, n_seeds=3, n=4, scale=0.1, seed=0):
    rng = np.random.default_rng(seed)
    teachers = lg.orthogonal_teachers(2, n, n_seeds, rng)
    W = scale * rng.standard_normal((n_seeds, n_paths, n, n))
    return W, np.full((n_seeds, n_paths), 1 / n_paths), teachers


def test_teachers_are_orthogonal():
    T = lg.orthogonal_teachers(3, 5, 2, np.random.default_rng(0))
    assert T.shape == (2, 3, 5, 5)
    np.testing.assert_allclose(T @ T.swapaxes(-1, -2), np.broadcast_to(np.eye(5), T.shape), atol=1e-12)


def test_slope_is_the_derivative_of_the_regulariser():
    def R(c):
        return 0.7 / 2 * ((c.sum() - 1) ** 2 + (np.minimum(c, 0) ** 2).sum())

    c, h = np.array([-0.3, 0.8, 0.1]), 1e-6
    numeric = [(R(c + h * e) - R(c - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(lg.regulariser_slope(c, 0.7), numeric, atol=1e-8)


def test_one_frozen_gate_is_linear_relaxation_to_first_order_in_the_step():
    W, c, T = start(n_paths=1)
    errors = []
    for dt in (2e-2, 1e-2):
        run = lg.simulate_blocks(W, c, T, np.inf, block_time=4.0, n_blocks=1, lr=dt, record_every=1)
        errors.append(np.abs(run.loss - run.loss[:, :1] * np.exp(-2 * run.times)).max())
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_the_paths_can_be_renamed():
    W, c, T = start()
    c = c + [0.1, -0.1]
    a = lg.simulate_blocks(W, c, T, 0.1, n_blocks=2)
    b = lg.simulate_blocks(W[:, ::-1], c[:, ::-1], T, 0.1, n_blocks=2)
    np.testing.assert_allclose(a.gates, b.gates[..., ::-1], atol=1e-9)
    np.testing.assert_allclose(a.loss, b.loss, atol=1e-9)


def test_unbounded_gates_keep_the_balance_of_gates_and_weights():
    # without the regulariser tau_W |W_p|^2 / n - tau_c c_p^2 is conserved by the flow, so Euler drifts like dt
    W, c, T = start(n_seeds=1)
    drift = []
    for dt in (1e-2, 5e-3):
        run = lg.simulate_blocks(
            W, c, T, 0.5, strength=0.0, n_blocks=1, block_time=3.0, lr=dt, record_every=1
        )
        final = run.gates[0, -1]
        norm2 = _final_norm(W, c, T, dt)
        change = (norm2 - (W[0] ** 2).sum((1, 2))) / 4 - 0.5 * (final**2 - c[0] ** 2)
        drift.append(np.abs(change).max())
    assert 1.6 < drift[0] / drift[1] < 2.4


def _final_norm(W, c, T, dt):
    W, c = W[0].copy(), c[0].copy()
    for _ in range(round(3.0 / dt)):
        error = T[0, 0] - sum(cp * Wp for cp, Wp in zip(c, W, strict=True))
        push = np.array([np.trace(Wp.T @ error) / 4 for Wp in W])
        W, c = W + dt * c[:, None, None] * error, c + dt / 0.5 * push
    return (W**2).sum((1, 2))


def test_fast_gates_switch_and_frozen_gates_relearn():
    W, c, T = start(n=8)
    fast, frozen = (lg.switch_loss(lg.simulate_blocks(W, c, T, tc, n_blocks=8), 0.5) for tc in (0.05, np.inf))
    assert (fast[:, -1] < 0.7 * frozen[:, -1]).all()
    assert fast.shape == (3, 8)


def test_bad_arguments_are_named():
    W, c, T = start()
    with pytest.raises(ValueError, match=r"^c needs shape \(3, 2\)"):
        lg.simulate_blocks(W, c[:, :1], T, 0.1)
    with pytest.raises(ValueError, match="tau_c needs a number above 0"):
        lg.simulate_blocks(W, c, T, -1.0)
    with pytest.raises(ValueError, match="^lr needs a step of at most tau_c"):
        lg.simulate_blocks(W, c, T, 1e-3)
    with pytest.raises(ValueError, match="^n_tasks needs a whole number of at least 1"):
        lg.orthogonal_teachers(0, 4, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="^window needs a number above 0"):
        lg.switch_loss(lg.simulate_blocks(W, c, T, 0.1, n_blocks=1), 0.0)


def test_nan_is_blamed_on_the_argument_and_a_divergence_ends_at_once():
    W, c, T = start()
    for k, name in enumerate(("W", "c", "teachers")):
        given = [a.copy() for a in (W, c, T)]
        given[k].flat[0] = np.nan
        with pytest.raises(ValueError, match=f"^{name} needs finite"):
            lg.simulate_blocks(*given, 0.1)
    with pytest.raises(Diverged, match="diverged at t=") as caught:
        lg.simulate_blocks(1e3 * W, 1e3 * c, T, 1.0, lr=0.5, block_time=1e4, strength=0.0, record_every=10**6)
    assert caught.value.time < 100
    with pytest.raises(
        Diverged
    ) as caught:  # ten times as fast, so at a tenth of the time, in steps of its own
        lg.simulate_blocks(
            1e3 * W, 1e3 * c, T, 1.0, lr=0.05, block_time=1e4, strength=0.0, record_every=10**6
        )
    assert 0.05 < caught.value.time < 1 and caught.value.time / 0.05 == pytest.approx(
        round(caught.value.time / 0.05)
    )


def test_two_steps_of_two_blocks_worked_by_hand():
    # one path, one dimension: weight 2, gate 3, teachers 5 and -1; steps of 0.1, tau_w = 4, tau_c = 2, kappa = 0.5
    W, c, teachers = (
        np.full((1, 1, 1, 1), 2.0),
        np.full((1, 1), 3.0),
        np.array([5.0, -1.0]).reshape(1, 2, 1, 1),
    )
    run = lg.simulate_blocks(
        W, c, teachers, 2.0, strength=0.5, block_time=0.1, n_blocks=2, lr=0.1, record_every=1, tau_w=4.0
    )
    np.testing.assert_allclose(run.times, [0.0, 0.1, 0.2], rtol=1e-15)
    np.testing.assert_array_equal(run.block, [0, 1, 1])  # the last record closes the last block
    # error 5 - 6: the weight moves by 0.025 * 3 * -1, the gate by 0.05 * (2 * -1 - 0.5 * 2)
    w, g = 2 - 0.075, 3 - 0.15
    e = -1 - w * g
    np.testing.assert_allclose(run.gates[0, :2, 0], [3.0, g], rtol=1e-14)
    np.testing.assert_allclose(run.loss[0, :2], [1 / 25, e**2], rtol=1e-14)
    last = g + 0.05 * (w * e - 0.5 * (g - 1)), w + 0.025 * g * e
    assert run.gates[0, 2, 0] == pytest.approx(last[0], rel=1e-14)
    assert run.loss[0, 2] == pytest.approx((-1 - last[0] * last[1]) ** 2, rel=1e-14)
    np.testing.assert_allclose(run.alignment[0, :, 0], [[1, -1]] * 3, rtol=1e-14)


def test_alignment_is_the_cosine_of_weights_and_teachers_and_the_gates_hear_a_mean():
    # W = (3, 4; 0, 0) against 2 x identity: trace 6 over 5 sqrt(8); the error is 2 - W, trace of W'(2 - W) is 6 - 25
    W = np.array([[3.0, 4.0], [0.0, 0.0]])[None, None]
    teachers = 2 * np.eye(2)[None, None]
    run = lg.simulate_blocks(
        W, np.ones((1, 1)), teachers, 1.0, strength=0.0, block_time=0.1, n_blocks=1, lr=0.1, record_every=1
    )
    assert run.alignment[0, 0, 0, 0] == pytest.approx(6 / (5 * 8**0.5), rel=1e-14)
    assert run.loss[0, 0] == pytest.approx((1 + 16 + 4) / 8, rel=1e-14)
    assert run.gates[0, 1, 0] == pytest.approx(1 + 0.1 * -19 / 2, rel=1e-14)
    still = lg.simulate_blocks(0 * W, np.ones((1, 1)), teachers, 1.0, block_time=0.1, n_blocks=1, lr=0.1)
    assert still.alignment[0, 0, 0, 0] == 0


def test_a_step_may_be_as_long_as_the_gates_allow_and_no_longer():
    W, c, T = start()
    for strength, most in ((0.0, 0.2), (0.5, 0.2), (2.0, 0.05)):  # tau_c / max(1, two paths times strength)
        lg.simulate_blocks(W, c, T, 0.2, strength=strength, lr=most, block_time=most, n_blocks=1)
        with pytest.raises(ValueError, match="^lr needs a step of at most tau_c / max"):
            lg.simulate_blocks(W, c, T, 0.2, strength=strength, lr=1.01 * most, block_time=most, n_blocks=1)
    with pytest.raises(ValueError, match="^lr needs a step no longer than block_time"):
        lg.simulate_blocks(W, c, T, 10.0, lr=1.0, block_time=0.4, n_blocks=1)
    with pytest.raises(ValueError, match="^c needs one gate a path"):
        lg.regulariser_slope(1.0, 1.0)


def test_the_loss_after_a_switch_is_the_mean_over_the_records_inside_the_window():
    run = lg.BlockedTrajectory(
        times=np.arange(6.0), gates=np.ones((1, 6, 1)), loss=np.array([[4.0, 2.0, 9.0, 8.0, 6.0, 9.0]]),
        alignment=np.ones((1, 6, 1, 1)), block=np.array([0, 0, 0, 1, 1, 1]),
    )  # fmt: skip
    np.testing.assert_array_equal(lg.switch_loss(run, 2.0), [[3.0, 7.0]])
    np.testing.assert_array_equal(lg.switch_loss(run, 2.1), [[5.0, 23 / 3]])
    np.testing.assert_array_equal(lg.switch_loss(run, np.inf), [[5.0, 23 / 3]])
