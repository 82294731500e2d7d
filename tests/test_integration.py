import numpy as np
import pytest

from gdln.integration import integrate
from gdln.linear import mode_strength


def logistic(t, a):
    return 2 * a * (np.array([2.0, 0.5]) - a)


@pytest.mark.parametrize("n_times", [2, 7, 400])
def test_states_are_as_good_as_the_steps_however_the_times_are_spread(n_times):
    times = np.linspace(0, 60, n_times)
    exact = mode_strength(times[:, None], np.array([2.0, 0.5]), 1e-3)
    # a step may be wrong by rtol times the state; the interpolant between the same steps is wrong by three times that
    assert np.abs(integrate(logistic, [1e-3, 1e-3], times) - exact).max() < 2 * 1e-10


def test_tighter_tolerances_give_smaller_errors():
    exact = mode_strength(3.0, np.array([2.0, 0.5]), 1e-3)
    errors = [
        np.abs(integrate(logistic, [1e-3, 1e-3], [0, 3], r, r)[-1] - exact).max() for r in (1e-4, 1e-7, 1e-10)
    ]
    assert errors[0] > 20 * errors[1] > 400 * errors[2]


def test_the_start_and_repeated_times_are_recorded_as_they_are():
    states = integrate(logistic, [0.1, 0.2], [1.0, 1.0, 2.0, 2.0])
    np.testing.assert_array_equal(states[:2], [[0.1, 0.2]] * 2)
    np.testing.assert_array_equal(states[2], states[3])
    np.testing.assert_array_equal(integrate(logistic, [0.1, 0.2], [5.0]), [[0.1, 0.2]])


def test_a_flow_that_blows_up_says_where_and_bad_times_are_named():
    with pytest.raises(FloatingPointError, match="stopped at t="):
        integrate(lambda t, v: v**2, [1.0], [0, 2])
    for times in ([1.0, 0.5], [], [0.0, np.nan], [[0.0, 1.0]]):
        with pytest.raises(ValueError, match="finite times that do not decrease"):
            integrate(logistic, [0.1, 0.1], times)
    with pytest.raises(ValueError, match="start must be finite"):
        integrate(logistic, [0.1, np.nan], [0, 1])
