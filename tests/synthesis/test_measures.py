import numpy as np
import pytest

from gdln.synthesis import measures
from gdln.synthesis.measures import MapTrajectory


def exponential(sigma, times):
    """A map that comes to its end at rate one."""
    decay = np.exp(-times)[:, None, None]
    return MapTrajectory(times, sigma * (1 - decay), sigma * decay)


SIGMA = np.array([[2.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def test_half_time_of_an_exponential_is_found_to_the_fourth_order_of_the_distance_of_records():
    error = []
    for step in (0.4, 0.2):  # the largest error over where in a step the half-time falls
        runs = (exponential(SIGMA, part * step + step * np.arange(12)) for part in np.linspace(0, 1, 21))
        error.append(max(np.abs(measures.half_times(run, SIGMA) - np.log(2)).max() for run in runs))
    assert 14 < error[0] / error[1] < 18 and error[1] < 1e-5


def test_half_time_is_infinite_where_a_run_ends_before_and_the_start_where_it_begins_behind():
    assert np.isinf(measures.half_times(exponential(SIGMA, np.linspace(0, 0.5, 9)), SIGMA)).all()
    assert (measures.half_times(exponential(SIGMA, np.linspace(1, 2, 9)), SIGMA) == 1).all()


def test_modes_that_are_not_in_the_target_have_no_half_time():
    sigma = np.diag([1.0, 0.0])
    assert measures.half_times(exponential(sigma, np.linspace(0, 3, 30)), sigma).shape == (1,)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_the_stopped_map_has_the_loss_it_was_stopped_at(fraction):
    F = measures.stop_map(exponential(SIGMA, np.linspace(0, 9, 200)), SIGMA, fraction)
    assert np.square(SIGMA - F).sum() == pytest.approx(fraction * np.square(SIGMA).sum(), rel=1e-6)


def test_a_run_that_ends_too_early_to_be_stopped_is_refused():
    with pytest.raises(ValueError, match="run needs times long enough"):
        measures.stop_map(exponential(SIGMA, np.linspace(0, 0.1, 9)), SIGMA)


def test_kernel_movement_is_that_of_the_whole_kernel_matrix():
    rng = np.random.default_rng(0)
    pairs = [
        (x @ x.T, z.T @ z) for x, z in ((rng.normal(size=(2, 5)), rng.normal(size=(5, 3))) for _ in "ab")
    ]
    whole = [np.kron(P, np.eye(3)) + np.kron(np.eye(2), Q) for P, Q in pairs]
    expected = np.linalg.norm(whole[1] - whole[0]) / np.linalg.norm(whole[0])
    assert measures.kernel_movement(*pairs) == pytest.approx(expected, rel=1e-12)
    assert measures.kernel_movement(pairs[0], pairs[0]) == 0


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_kernel_movement_has_no_unit_and_one_moment_may_be_zero(unit):
    none, one = np.zeros((1, 1)), unit * np.ones((1, 1))
    assert measures.kernel_movement((none, one), (one, one)) == pytest.approx(1, rel=1e-12)
    assert measures.kernel_movement((none, one), (none, 1.5 * one)) == pytest.approx(0.5, rel=1e-12)
    for start in ((none, none), (one, -one)):
        with pytest.raises(ValueError, match="start needs a kernel that is not zero"):
            measures.kernel_movement(start, (one, one))


def test_a_value_that_is_reached_at_a_record_is_reached_then():
    times, slopes = np.array([1.0, 2.0, 4.0]), np.ones(3)
    for values, when in (([0, 1, 2], 1), ([-1, 0, 2], 2), ([-2, -1, 0], 4), ([-3, -2, -1], np.inf)):
        assert measures._crossing(times, np.array(values, dtype=float), slopes) == when


def test_maps_between_records_are_those_of_the_run_and_outside_there_are_none():
    run = exponential(SIGMA, np.linspace(0, 2, 50))
    between = measures.maps_at(run, [0.0, 0.777, 2.0])
    assert np.abs(between - exponential(SIGMA, np.array([0.0, 0.777, 2.0])).maps).max() < 1e-6
    with pytest.raises(ValueError, match="times"):
        measures.maps_at(run, [2.1])


def test_two_times_are_enough_and_one_is_not():
    np.testing.assert_array_equal(measures.rising([0.0, 1.0]), [0, 1])
    with pytest.raises(ValueError, match="times needs two or more that increase"):
        measures.rising([1.0])


def test_times_have_to_rise():
    for wrong in ([0.0], [0.0, 0.0], [1.0, 0.5]):
        with pytest.raises(ValueError, match="times"):
            measures.rising(wrong)
