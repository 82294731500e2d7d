"""Three numbers of a pair: their flow, what it conserves, where it ends, and the fit of the two rates."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from gdln import checks
from gdln.synthesis import two_points as pairs

RICH = dict(h0=1e-6, y0=0.0, w0=0.0, d_x=2.0, d_y=0.5, eta_h=0.7, eta_y=1.3)


def vectors(rng, n_outputs=3):
    """Outputs and targets of a random pair, and its start."""
    outputs, target = rng.standard_normal((2, n_outputs))
    return outputs, target, outputs @ outputs, outputs @ (outputs - target)


def test_the_velocity_is_that_of_a_free_encoder_and_a_decoder_that_sees_only_the_pair():
    # worked with matrices: D_y = outputs hidden^T / h, both maps down the gradient of an eighth of the squared error
    rng = np.random.default_rng(0)
    hidden, d_x, eta_h, eta_y = rng.standard_normal(4), 1.7, 0.6, 1.1
    outputs, target, y, w = vectors(rng)
    h, error = hidden @ hidden, outputs - target
    decoder = np.outer(outputs, hidden) / h
    d_hidden = -eta_h * d_x / 2 * decoder.T @ error
    d_outputs = -eta_y / 2 * h * error + decoder @ d_hidden
    expected = [2 * hidden @ d_hidden, 2 * outputs @ d_outputs, d_outputs @ (error + outputs)]
    found = pairs.pair_velocity(h, y, w, d_x, target @ target, eta_h, eta_y)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_flow_is_at_rest_where_the_outputs_have_their_targets():
    assert not pairs.pair_velocity(0.3, 0.5, 0.0, 1.0, 0.5, 0.7, 1.3).any()


@pytest.mark.parametrize("h0", [1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("d_y", [0.0, 0.5, 30.0])
def test_the_invariant_stays_and_the_flow_ends_where_it_says(h0, d_y):
    y0, d_x, eta_h, eta_y = 0.01 * h0, 2.0, 0.7, 1.3
    path = pairs.solve_pair(
        h0, y0, y0 - 0.5 * np.sqrt(y0 * d_y), d_x, d_y, eta_h, eta_y, np.linspace(0, 8000, 401)
    )
    c = pairs.invariant(path.h, path.y, d_x, eta_h, eta_y)
    assert np.ptp(c) < 1e-6 * np.abs(c).max()
    end = pairs.final_distance(h0, y0, d_x, d_y, eta_h / eta_y)
    np.testing.assert_allclose(path.h[-1], end, rtol=1e-5, atol=1e-5 * h0)
    np.testing.assert_allclose(path.y[-1], d_y, atol=1e-6)


def test_a_larger_clock_with_slower_rates_gives_the_same_curves():
    times = np.linspace(0, 60, 61)
    fast = pairs.solve_pair(**RICH, times=times)
    slow = pairs.solve_pair(**RICH | {"eta_h": 0.07, "eta_y": 0.13}, times=10 * times)
    np.testing.assert_allclose(fast.h, slow.h, rtol=1e-5)


def test_a_smaller_start_comes_closer_to_one_logistic_curve_at_second_order():
    gap = []
    for h0 in (1e-2, 1e-3):
        times = np.linspace(0, 60, 6001)
        path = pairs.solve_pair(**RICH | {"h0": h0}, times=times)
        rise = np.sqrt(path.y / RICH["d_y"])
        t_half = np.interp(0.5, rise, times)
        rich = pairs.rich_rise(times, t_half, RICH["d_x"], RICH["d_y"], RICH["eta_h"], RICH["eta_y"])
        gap.append(np.abs(rise - rich)[times > t_half - 2].max())
    assert 80 < gap[0] / gap[1] < 120


def test_the_logistic_curve_is_a_half_at_its_half_time_and_never_overflows():
    assert pairs.rich_rise(3.0, 3.0, 1.0, 1.0, 1.0, 1.0) == 0.5
    np.testing.assert_array_equal(pairs.rich_rise([-1e9, 1e9], 0.0, 1.0, 1.0, 1.0, 1.0), [0, 1])
    odds = pairs.rich_rise(2.0, 1.0, 1.0, 4.0, 0.5, 2.0)  # kappa is two
    np.testing.assert_allclose(odds / (1 - odds), np.exp(2))


def test_final_distances_worked_by_hand():
    assert pairs.final_distance(1.0, 0.0, 1.0, 2.0, 1.0) == 2  # (1 + 3) / 2
    assert pairs.final_distance(1.0, 2.0, 1.0, 2.0, 1.0) == 1  # already there
    assert pairs.final_distance(2.0, 1.0, 1.0, 0.0, 1.0) == 1.5  # 2 - 1/2
    assert pairs.final_distance(1.0, 3.0, 1.0, 0.0, 1.0) == 0  # merged
    assert pairs.final_distance(1.0, 1.0, 1.0, 0.0, 1.0) == 0  # at the border
    np.testing.assert_allclose(pairs.final_distance(1e8, 0.0, 1.0, 0.5, 1.0), 1e8)
    tiny = pairs.final_distance(
        1e-8, 1.0, 1.0, 0.5, 1.0
    )  # a large decoder: 2 / (4e8 ...) without cancellation
    np.testing.assert_allclose(tiny, 0.5e-8, rtol=1e-7)


def test_a_readout_that_sees_only_the_pair_changes_nothing_and_a_larger_one_shortens_the_way():
    h0, y0 = 0.3, 0.06
    closed = pairs.final_distance(h0, y0, 1.0, 0.5, 0.8)
    np.testing.assert_allclose(pairs.final_distance(h0, y0, 1.0, 0.5, 0.8, readout=y0 / h0), closed)
    ends = pairs.final_distance(h0, y0, 1.0, 0.5, 0.8, readout=np.array([0.2, 0.4, 1.0, 10.0]))
    assert (np.diff(ends) < 0).all() and ends[-1] < closed
    with pytest.raises(ValueError, match="readout"):
        pairs.final_distance(h0, y0, 1.0, 0.5, 0.8, readout=0.1)


def test_the_loss_is_half_the_mean_squared_error_of_the_two_points():
    rng = np.random.default_rng(1)
    outputs, targets = rng.standard_normal((2, 2, 3))
    pair, goal = outputs[1] - outputs[0], targets[1] - targets[0]
    mean = (outputs - targets).mean(axis=0)
    found = pairs.pair_loss(pair @ pair, pair @ (pair - goal), goal @ goal, mean @ mean)
    np.testing.assert_allclose(found, np.square(outputs - targets).sum() / 4)


@pytest.mark.parametrize("eta_h, eta_y", [(0.7, 1.3), (5.0, 0.01), (0.003, 0.2)])
def test_the_fit_finds_the_rates_of_a_pair(eta_h, eta_y):
    h0, d_x, d_y = 0.05, 2.0, 0.5
    scale = np.sqrt(eta_h * eta_y * d_x * d_y)
    times = np.linspace(0, 12 / scale, 300)
    path = pairs.solve_pair(h0, 0.001, 0.0, d_x, d_y, eta_h, eta_y, times)
    fit = pairs.fit_rates(path.h, path.y, path.w, d_x, d_y, times)
    np.testing.assert_allclose([fit.eta_h, fit.eta_y, fit.ratio], [eta_h, eta_y, eta_h / eta_y], rtol=1e-3)
    assert fit.residual < 1e-5
    np.testing.assert_allclose(fit.solution.h, path.h, rtol=1e-3)


def test_the_residual_of_a_fit_is_that_of_its_curves():
    times = np.linspace(0, 20, 200)
    path = pairs.solve_pair(**RICH | {"h0": 0.05}, times=times)
    bent = path.h * (1 + 0.2 * np.sin(times))
    fit = pairs.fit_rates(bent, path.y, path.w, RICH["d_x"], RICH["d_y"], times)
    found = fit.solution
    left = [(found.h - bent) / bent.max(), (found.y - path.y) / 0.5, (found.w - path.w) / 0.5]
    np.testing.assert_allclose(fit.residual, np.sqrt(np.mean(np.square(left))))
    assert fit.residual > 0.01


def test_a_pair_lies_on_a_straight_line_whose_slope_is_the_ratio_of_the_rates():
    path = pairs.solve_pair(**RICH | {"h0": 0.05}, times=np.linspace(0, 20, 200))
    line = pairs.straightness(path.h, path.y)
    assert 1 - line.r2 < 1e-8
    np.testing.assert_allclose([line.slope, line.offset], [0.7 / 1.3 * 2, 0.05], rtol=1e-5)
    assert pairs.straightness(path.h**3, path.y).r2 < 0.99
    with pytest.raises(ValueError, match="h needs"):
        pairs.straightness(np.ones(5), np.linspace(0, 1, 5))


@pytest.mark.parametrize("h, y", [([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]), ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0])])
def test_a_line_needs_distances_that_change(h, y):
    with pytest.raises(ValueError, match="h needs distances that change"):
        pairs.straightness(h, y)


def test_a_start_that_no_two_vectors_have_is_refused_and_one_at_the_bound_is_not():
    times = [0.0, 1.0]
    pairs.solve_pair(1.0, 4.0, 4.0 - 2 * 0.5, 1.0, 0.25, 1.0, 1.0, times)  # outputs along the targets
    with pytest.raises(ValueError, match="w0"):
        pairs.solve_pair(1.0, 4.0, 2.9, 1.0, 0.25, 1.0, 1.0, times)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_start_may_miss_the_bound_by_rounding_in_any_unit_of_the_targets(unit):
    y0, d_y = 4 * unit, unit
    for part, allowed in ((0.9, True), (1.1, False)):
        w0 = y0 - np.sqrt(y0 * d_y + part * 1e-9 * (y0 + d_y) ** 2)
        if allowed:
            pairs.solve_pair(1.0, y0, w0, 1.0, d_y, 1.0, 1.0, [0.0])
        else:
            with pytest.raises(ValueError, match="w0 needs to be that of two vectors"):
                pairs.solve_pair(1.0, y0, w0, 1.0, d_y, 1.0, 1.0, [0.0])


@pytest.mark.parametrize("rate", [1e150, 1e300])
def test_where_the_integrator_gives_up_there_are_three_curves_without_numbers(rate):
    found = pairs._integrate(np.array([1.0, 1.0, 0.5]), (1.0, 4.0, rate, rate), np.linspace(0, 1, 5))
    assert found.shape == (3, 5) and np.isnan(found).all()


def test_the_line_of_the_invariant_is_the_derivative_of_the_flow():
    # the gradient of c is at right angles to the velocity
    h, y, w, d_x, d_y, eta_h, eta_y = 0.4, 0.3, -0.2, 1.5, 2.0, 0.7, 1.3
    gradient = approx_fprime([h, y], lambda s: float(pairs.invariant(*s, d_x, eta_h, eta_y)), 1e-7)
    velocity = pairs.pair_velocity(h, y, w, d_x, d_y, eta_h, eta_y)
    assert abs(gradient @ velocity[:2]) < 1e-6


def test_the_curves_have_the_slope_of_the_velocity():
    start, constants = (0.4, 0.3, 0.1), (1.5, 2.0, 0.7, 1.3)
    path = pairs.solve_pair(*start, *constants, [0.0, 1e-5])
    slope = [(getattr(path, name)[1] - getattr(path, name)[0]) / 1e-5 for name in "hyw"]
    np.testing.assert_allclose(slope, pairs.pair_velocity(*start, *constants), rtol=1e-3)


def test_other_units_of_the_hidden_states_change_their_curve_by_the_unit_alone():
    times = np.linspace(0, 30, 31)
    for unit in (1e-9, 1e9):
        one = pairs.solve_pair(0.1, 0.01, 0.0, 2.0, 0.5, 0.7, 1.3, times)
        other = pairs.solve_pair(0.1 * unit, 0.01, 0.0, 2.0, 0.5, 0.7 * unit, 1.3 / unit, times)
        np.testing.assert_allclose(other.h, unit * one.h, rtol=1e-6)
        np.testing.assert_allclose(other.y, one.y, rtol=1e-6)


def test_states_that_merge_stay_positive_and_a_frozen_half_stays():
    path = pairs.solve_pair(0.1, 5.0, 5.0, 1.0, 0.0, 1.0, 1.0, [0.0, 1.0, 10.0, 20.0])
    assert (path.h[:3] > 0).all() and path.h[2] < 1e-9 and (path.h[3], path.y[3]) == (0, 0)
    frozen = pairs.solve_pair(0.1, 0.01, 0.0, 1.0, 0.5, 0.0, 1.0, [0.0, 500.0])
    np.testing.assert_allclose(frozen.h, 0.1)
    np.testing.assert_allclose(frozen.y[-1], 0.5, rtol=1e-6)
    still = pairs.solve_pair(0.1, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, [0.0, 9.0])
    assert still.y[-1] == 0 and still.h[-1] == pytest.approx(0.1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("start, rates", [((1.0, 4.0, 5.0), (1.0, 0.1)), ((1e-3, 1e9, 1e9), (1e200, 1e200))])
def test_hidden_states_that_meet_and_rates_that_are_too_large_are_reported(start, rates):
    with pytest.raises(checks.Diverged, match="pair diverged before t=100") as caught:
        pairs.solve_pair(*start, 1.0, 0.25, *rates, [0.0, 100.0])
    assert caught.value.time == 100


@pytest.mark.parametrize("times", [[0.0], [5.0], [2.0, 2.0]])
def test_at_the_first_time_the_pair_is_where_it_starts(times):
    path = pairs.solve_pair(0.3, 0.1, 0.02, 1.0, 0.5, 0.7, 1.3, times)
    np.testing.assert_allclose([path.h, path.y, path.w], np.outer([0.3, 0.1, 0.02], np.ones(len(times))))
