"""Routing networks in closed form: limits, invariances and refusals; more of the theory is in test_race.py."""

import numpy as np
import pytest
from scipy.integrate import quad

from gdln.data import tasks
from gdln.race import routing, routing_simulation

S, D = np.array([185**0.5, 41**0.5, 3.0]) / 4, 0.25


def test_swapping_input_and_output_edges_changes_nothing():
    t = np.linspace(0, 40, 21)
    run, swapped = (routing.solve_routing(S, D, 5, b, t) for b in ((0.2, 0.1, 0.05), (0.05, 0.1, 0.2)))
    assert np.abs(run.strength - swapped.strength).max() < 1e-8
    assert np.abs(run.B1 - swapped.B3).max() < 1e-8


@pytest.mark.parametrize("n_trunk", [1, 2, 3])
def test_every_edge_keeps_its_own_constant(n_trunk):
    run = routing.solve_routing(S[:1], D, 4, (0.3, 0.2, 0.1), np.linspace(0, 60, 61), n_trunk)
    for B in (run.B1, run.B3):
        assert np.ptp(4 * B**2 - run.B2**2) < 1e-8
    assert run.strength[-1, 0] == pytest.approx(S[0] / D, rel=1e-6)


def test_a_slower_network_is_the_same_one_later():
    t = np.linspace(0, 30, 16)
    run, slow = routing.solve_routing(S, D, 3, 0.1, t), routing.solve_routing(S, D, 3, 0.1, 2.5 * t, tau=2.5)
    assert np.abs(run.strength - slow.strength).max() < 1e-9


def test_units_of_the_correlations_are_units_of_time_and_strength():
    # S, D -> k S, k D only rescales time
    t = np.linspace(0, 30, 16)
    run, fast = routing.solve_routing(S, D, 3, 0.1, t), routing.solve_routing(4 * S, 4 * D, 3, 0.1, t / 4)
    assert np.abs(run.strength - fast.strength).max() < 1e-9


def test_the_limit_is_a_fixed_point_of_the_hidden_equation():
    for C in (-0.5, 0.0, 0.3, 20.0):
        B2 = routing.hidden_limit(S, D, 7, C)
        assert np.allclose(B2 * (B2**2 + C), 7 * S / D, rtol=1e-12)
        stays = routing.solve_hidden(S, D, 7, C, B2, [0, 5.0]).B2[-1]
        assert np.allclose(stays, B2, rtol=1e-9)


def test_time_adds_up_along_the_way():
    way = [routing.hidden_time(b, a, S[0], D, 7, 0.03) for a, b in ((0.1, 1.0), (1.0, 3.0), (0.1, 3.0))]
    assert way[0] + way[1] == pytest.approx(way[2], rel=1e-10)


def test_the_loss_starts_at_half_the_target_and_ends_at_what_the_modes_leave():
    task = tasks.routing(tasks.circulant_mask(3, 3))
    yy = np.square(task.Y).sum(axis=1).mean()
    s = np.linalg.svd(task.sigma_yx, compute_uv=False)
    assert routing.routing_loss(np.zeros(4), s, D, yy) == pytest.approx(yy / 2)
    assert routing.routing_loss(s / D, s, D, yy) == pytest.approx(0, abs=1e-12)


def test_sharing_all_routes_is_the_routing_network_and_none_is_a_chain():
    t = np.linspace(0, 60, 31)
    shared = routing.solve_sharing(S, D, 6, 36, 0.1, t)
    assert np.abs(shared.strength - routing.solve_routing(S, D, 6, 0.1, t).strength).max() < 1e-9
    alone = routing.solve_sharing(S, D, 6, 1, 0.1, 36 * t)
    assert np.abs(alone.B1 - alone.B2).max() < 1e-9  # a balanced chain of three
    assert np.abs(alone.strength - routing.solve_routing(S, D, 1, 0.1, t).strength).max() < 1e-8


def test_the_speed_up_grows_with_every_route_and_not_with_the_start():
    P = np.array([1, 2, 4, 9, 100, 1e4])
    assert (np.diff(routing.speed_up(P)) > 0).all()
    for M, b0, s in ((10, 0.01, 0.3), (20, 0.5, 3.0)):
        wait = [routing.escape_time(s, n, (n - 1) * b0**2, b0, tau=(M / n) ** 2) for n in (1, 5)]
        assert wait[0] / wait[1] == pytest.approx(routing.speed_up(25), rel=1e-12)


def test_the_escape_law_starts_at_the_start_and_is_continuous_at_zero_constant():
    t = np.linspace(0, 0.9, 10) * routing.escape_time(S[0], 7, 0.0, 0.1)
    law = routing.escape_strength(t, S[0], 7, 0.0, 0.1)
    assert law[0] == pytest.approx(0.1)
    np.testing.assert_allclose(law, routing.escape_strength(t, S[0], 7, 1e-12, 0.1), rtol=1e-8)


def test_the_speed_up_is_smooth_at_one_route():
    eps = 1e-9
    assert routing.speed_up(1 + eps) - 1 == pytest.approx(2 / 3 * eps, rel=1e-3)  # sqrt: eps/2 (1 + 1/3)


def test_half_rise_ratios_approach_the_law_as_the_start_vanishes():
    gaps = []
    for b0 in (0.16, 0.04, 0.01):
        wait = []
        for n in (1, 5):
            C = (n - 1) * b0**2
            half = routing.hidden_limit(S[2] / 2, D, n, C)
            wait.append(routing.hidden_time(half, b0, S[2], D, n, C, tau=1 / n**2))
        gaps.append(abs(wait[0] / wait[1] / routing.speed_up(25) - 1))
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2]


@pytest.mark.parametrize("M", [2, 5])
def test_the_loser_follows_the_winner_and_stays_below_its_bound(M):
    b0 = 0.2
    run = routing.solve_shared_and_dedicated(S[:1], D, M, b0, np.linspace(0, 40, 201))
    w = np.cbrt(run.dedicated[:, 0])
    C = (M - 1) * b0**2
    B2 = routing.hidden_limit(run.shared[:, 0], 1.0, M, C)  # B2 (B2^2 + C) / M is the shared strength
    phase = np.arctan(B2 / np.sqrt(C)) - np.arctan(b0 / np.sqrt(C))
    assert np.abs(1 / b0 - 1 / w - phase / (M * np.sqrt(C))).max() < 1e-7
    assert (w < b0 / (1 - 1 / routing.speed_up(M**2))).all()


def test_a_head_start_by_the_speed_up_is_what_turns_the_race():
    r = routing.speed_up(4)
    shares = [
        routing.solve_shared_and_dedicated(S[0], D, 2, (0.02, f * r * 0.02), [0, 200.0]).share[-1, 0]
        for f in (0.9, 1.1)
    ]
    assert shares[0] > 0.95 and shares[1] < 0.05


def test_descent_on_one_block_approaches_the_theory_of_sharing_at_first_order():
    task = tasks.routing(np.ones((2, 2), dtype=bool))
    start = routing_simulation.decoupled_weights(task, 4, 0.2, np.random.default_rng(0))
    yy = np.square(task.Y).sum(axis=1).mean()
    s = np.linalg.svd(task.sigma_yx, compute_uv=False)
    error = []
    for dt in (0.04, 0.02):
        run = routing_simulation.simulate(start, task, dt, round(16 / dt), record_every=round(0.4 / dt))
        a = routing.solve_sharing(s, D, 6, 4, 0.2, 9 * run.times).strength
        error.append(np.abs(routing.routing_loss(a, s, D, yy) - run.loss[0]).max())
    assert 1.7 < error[0] / error[1] < 2.3


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: routing.solve_routing(S, D, 0, 0.1, [0, 1]), "n_domains needs a number above 0"),
        (lambda: routing.solve_routing(S, D, 3, 0.1, [0, 1], n_trunk=0), "n_trunk needs a whole number"),
        (
            lambda: routing.hidden_time(9.0, 0.1, S[0], D, 7),
            "^B2 needs numbers of at least 0.1 and below 4.56627, got 9",
        ),
        (
            lambda: routing.hidden_time(1.0, 0.1, S[0], D, 7, C=-0.02),
            r"^C needs a number above -b2\*\*2 = -0.01, got float -0.02",
        ),
        (lambda: routing.hidden_time(0.05, 0.1, S[0], D, 7), "^B2 needs numbers of at least 0.1"),
        (
            lambda: routing.sharing(8, 8),
            "^n_shared needs the square of a number that divides n_domains = 8, got int 8",
        ),
        (
            lambda: routing.sharing(9, 8),
            "^n_shared needs the square of a number that divides n_domains = 8, got int 9",
        ),
        (lambda: routing.sharing(0, 8), "n_shared needs a whole number"),
        (lambda: routing.speed_up([4, 0.9]), "n_shared needs numbers of at least 1, got 0.9"),
        (lambda: routing.escape_time(S[0], 7, -0.01, 0.2), "C needs numbers of at least 0, got -0.01"),
        (lambda: routing.escape_time(S[0], 7, 0.01, 0.0), "b2 needs numbers above 0"),
        (
            lambda: routing.escape_strength([0.0, 1.0], S[0], 7, -0.01, 0.2),
            "C needs numbers of at least 0, got -0.01",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_wrong_number_of_starts_and_impossible_limits_are_refused():
    for solve, count in ((routing.solve_routing, 3), (routing.solve_shared_and_dedicated, 2)):
        with pytest.raises(ValueError, match=f"or {count} of them"):
            solve(1.0, 1.0, 7, (0.1,) * 5, [0.0, 1.0])
    with pytest.raises(ValueError, match="n_domains"):
        routing.solve_shared_and_dedicated(1.0, 1.0, 0, 0.1, [0.0, 1.0])
    with pytest.raises(ValueError, match="S needs numbers above 0"):
        routing.hidden_limit(0.0, 0.25, 7)


@pytest.mark.parametrize(
    "solve",
    [
        lambda t, tau: routing.solve_hidden(S, D, 5, 0.03, 0.1, t, tau=tau).B2,
        lambda t, tau: routing.solve_sharing(S, D, 6, 4, 0.1, t, tau=tau).strength,
        lambda t, tau: routing.solve_shared_and_dedicated(S, D, 3, 0.1, t, tau=tau).share,
        lambda t, tau: routing.escape_strength(t, S[0], 5, 0.03, 0.1, tau=tau),
        lambda t, tau: routing.escape_strength(t, S[0], 5, 0.0, 0.1, tau=tau),
    ],
)
def test_a_larger_time_constant_is_the_same_course_later(solve):
    t = np.linspace(0, 12, 7)
    np.testing.assert_allclose(solve(2.5 * t, 2.5), solve(t, 1.0), rtol=1e-8)
    assert (solve(t, 1.0)[-1] / solve(t, 1.0)[0]).min() > 1.01


@pytest.mark.parametrize("C", [0.0, 0.03, -0.003])
def test_times_of_the_hidden_edge_are_in_units_of_the_time_constant(C):
    times = [routing.hidden_time(2.0, 0.1, S[0], D, 7, C, tau=tau) for tau in (1.0, 2.5)]
    assert times[1] == pytest.approx(2.5 * times[0], rel=1e-12)


def test_the_hidden_edge_needs_no_time_to_stay_and_never_reaches_its_limit():
    limit = float(routing.hidden_limit(S[0], D, 7, 0.03))
    assert routing.hidden_time(0.1, 0.1, S[0], D, 7, 0.03) == 0
    assert np.isfinite(routing.hidden_time(limit * (1 - 1e-12), 0.1, S[0], D, 7, 0.03))
    for B2, b2, C, name in ((limit, 0.1, 0.03, "B2"), (1.0, 0.5, -0.25, "C"), (1.0, 0.0, 0.03, "b2")):
        with pytest.raises(ValueError, match=f"^{name} needs"):
            routing.hidden_time(B2, b2, S[0], D, 7, C)


def test_the_loss_and_the_share_worked_by_hand():
    # (3 - 2/2) + (2 - 4/2) of 10/2
    assert routing.routing_loss([1.0, 2.0], [3.0, 1.0], [2.0, 1.0], 10.0) == 3
    two = routing.SharingSolution(np.array([0.0]), np.array([[3.0]]), np.array([[1.0]]))
    assert two.share == 0.75


def test_sharing_needs_a_square_of_a_divisor():
    assert routing.sharing(9, 9) == (3, 9) and routing.sharing(1, 5) == (1, 25)
    with pytest.raises(ValueError, match="got int 8"):
        routing.sharing(8, 9)  # three divides nine, but eight is no square


def test_the_limit_is_the_largest_root_however_negative_the_constant():
    for goal, C in ((0.1, -1.0), (1e-6, -4.0), (5.0, -1.0), (0.1, 3.0)):
        roots = np.roots([1.0, 0.0, C, -goal])
        largest = roots[np.abs(roots.imag) < 1e-8].real.max()
        assert routing.hidden_limit(goal / 4, 1.0, 4, C) == pytest.approx(largest, rel=1e-9)


@pytest.mark.parametrize("C", [0.0, 0.3, 2.0, -0.008])
def test_the_time_of_the_hidden_edge_is_the_integral_over_its_inverse_speed(C):
    b2, B2, s, M, tau = 0.1, 1.7, S[2], 3, 2.0

    def wait(b):
        return tau * M / ((b**2 + C) * (s - D / M * b * (b**2 + C)))

    ends = np.geomspace(b2, B2, 5)  # where it is slow, at the start, pieces are short
    whole = sum(quad(wait, low, high, epsabs=0)[0] for low, high in zip(ends[:-1], ends[1:], strict=True))
    assert routing.hidden_time(B2, b2, s, D, M, C, tau) == pytest.approx(whole, rel=1e-10)


def test_the_plateau_ends_in_a_pole_worked_by_hand():
    # B2 = tan(pi/4 + t/2) for C = b2 = 1, S/M = 1/2
    end = routing.escape_time(2.0, 4, 1.0, 1.0)
    assert end == pytest.approx(np.pi / 2, rel=1e-14)
    law = routing.escape_strength([0.0, np.pi / 6, 0.999 * end, 1.001 * end], 2.0, 4, 1.0, 1.0)
    np.testing.assert_allclose(law[:2], [1.0, 3**0.5], rtol=1e-14)
    assert np.isfinite(law[2]) and law[3] == np.inf
    # B2 = 1/(2 - t/2) without a constant, exactly infinite at four
    assert routing.escape_time(2.0, 4, 0.0, 0.5) == 4
    np.testing.assert_array_equal(
        routing.escape_strength([0.0, 2.0, 4.0, 6.0], 2.0, 4, 0.0, 0.5), [0.5, 1.0, np.inf, np.inf]
    )
    both = routing.escape_strength(1.0, 2.0, 4, [0.0, 4.0], [0.5, 2.0])  # tan(pi/4 + 1) is beyond the pole
    np.testing.assert_array_equal(both, [2 / 3, np.inf])


def test_the_limit_of_the_speed_up_worked_by_hand_and_reached_from_above():
    np.testing.assert_allclose(routing.speed_up_limit([1, 16, 81]), 2 / np.pi * np.array([1, 8, 27]))
    P = np.array([1e4, 1e8])
    excess = routing.speed_up(P) / routing.speed_up_limit(P) - 1
    # arctan(g) = pi/2 - 1/g: the excess is 2/(pi g) to leading order, and g grows like the fourth root of P
    assert excess[0] / excess[1] == pytest.approx(10, rel=0.1) and excess[1] > 0
    with pytest.raises(ValueError, match="n_shared needs numbers of at least 1, got 0.9"):
        routing.speed_up_limit(0.9)


def test_the_first_moment_of_every_course_is_what_its_equations_say():
    # small times: B moves by t times its slope, which is written out here with other numbers for every edge
    t, s, d, M, tau = 1e-6, 1.5, 0.5, 2, 4.0
    run = routing.solve_routing(s, d, M, (2.0, 3.0, 5.0), [0.0, t], n_trunk=2, tau=tau)
    error = s - 5 * 9 * 2 * d
    slopes = np.array([5 * 9 * error / M, 5 * 3 * 2 * error, 9 * 2 * error / M]) / tau
    moved = [np.diff(B[:, 0])[0] / t for B in (run.B1, run.B2, run.B3)]
    np.testing.assert_allclose(moved, slopes, rtol=2e-3)
    assert run.strength[0] == 2 * 9 * 5
    hidden = routing.solve_hidden(s, d, M, 7.0, 3.0, [0.0, t], tau=tau).B2[:, 0]
    assert np.diff(hidden)[0] / t == pytest.approx(16 / M * (s - 3 * 16 * d / M) / tau, rel=1e-3)
    two = routing.solve_shared_and_dedicated(s, d, M, (2.0, 3.0), [0.0, t], tau=tau)
    assert (two.shared[0, 0], two.dedicated[0, 0]) == (8, 27)
    error = (s - d * (8 + 27)) / tau
    # (b2 b1^2)' = b1^2 b2' + 2 b1 b2 b1'
    shared, dedicated = 4 * 4 * error + 2 * 4 * 4 * error / M, (9 * 9 + 2 * 9 * 9) * error / M**2
    assert np.diff(two.shared[:, 0])[0] / t == pytest.approx(shared, rel=1e-3)
    assert np.diff(two.dedicated[:, 0])[0] / t == pytest.approx(dedicated, rel=1e-3)
