import time
import warnings

import numpy as np
import pytest

from gdln.checks import Diverged
from gdln.integration import METHODS, half_time, integrate, record
from gdln.linear.modes import mode_strength


def logistic(t, a):
    return 2 * a * (np.array([2.0, 0.5]) - a)


@pytest.mark.parametrize("n_times", [2, 7, 400])
def test_states_are_as_good_as_the_steps_however_the_times_are_spread(n_times):
    times = np.linspace(0, 60, n_times)
    exact = mode_strength(times[:, None], np.array([2.0, 0.5]), 1e-3)
    # a step may be wrong by rtol times the state; the interpolant between the same steps is wrong by three times that
    assert np.abs(integrate(logistic, [1e-3, 1e-3], times) - exact).max() < 2 * 1e-10


@pytest.mark.parametrize("start", [1e-2, 1e-6])
def test_a_state_errs_by_few_tolerances_and_two_more_digits_cost_less_than_half_of_the_steps(start):
    times, evaluations = np.linspace(0, 12, 25), []
    exact = mode_strength(times[:, None], np.array([1.0, 1.7]), start)
    for rtol in (1e-6, 1e-8, 1e-10, 1e-12):
        run = record(
            lambda t, a: 2 * a * (np.array([1.0, 1.7]) - a), [start] * 2, times, rtol=rtol, atol=rtol / 1000
        )
        assert np.abs(run.states - exact).max() < 50 * rtol
        evaluations.append(run.evaluations)
    assert (np.diff(np.log(evaluations)) < np.log(2)).all()


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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("begin", [0.0, 0.5])
def test_a_flow_that_stops_being_finite_ends_with_its_time(bad, begin):
    calls = iter(range(10_000))  # a run that does not end runs out of them

    def slope(t, v):
        next(calls)
        return -v if t < begin else bad * v

    with pytest.raises(Diverged, match="stopped at t=") as caught, np.errstate(all="ignore"):
        integrate(slope, [1.0], [0, 2])
    assert abs(caught.value.time - begin) < 1e-6


def test_a_flow_that_blows_up_says_where_and_bad_arguments_are_named():
    with pytest.raises(Diverged, match="stopped at t=") as caught, np.errstate(all="ignore"):
        integrate(lambda t, v: v**2, [1.0], [0, 2])
    assert abs(caught.value.time - 1) < 1e-6  # 1 / (1 - t)
    for times in ([1.0, 0.5], [], [0.0, np.nan], [[0.0, 1.0]]):
        with pytest.raises(ValueError, match="^times needs"):
            integrate(logistic, [0.1, 0.1], times)
    for start in ([0.1, np.nan], [[0.1, 0.2]]):
        with pytest.raises(ValueError, match="^start needs"):
            integrate(logistic, start, [0, 1])
    with pytest.raises(ValueError, match="^rtol needs"):
        integrate(logistic, [0.1, 0.1], [0, 1], 0, 0)
    with pytest.raises(TypeError, match="^slope needs a function"):
        integrate(1.0, [0.1, 0.1], [0, 1])
    assert integrate(logistic, [0.1, 0.1], [-2.0, -1.0]).shape == (2, 2)


@pytest.mark.parametrize(
    ("slope", "when"),
    [
        (lambda t, v: v**2, 1.0),  # poles
        (lambda t, v: v**9, 1 / 8),
        (lambda t, v: np.exp(v), np.exp(-1)),
        (lambda t, v: np.where(v < 2, v, np.inf), np.log(2)),
        (lambda t, v: 1e5 * v, np.log(1.7e308) / 1e5),  # slopes pass the largest float a little earlier
    ],
)
def test_a_diverging_flow_ends_within_a_second_without_warnings_and_says_when(slope, when):
    began = time.process_time()
    with pytest.raises(Diverged, match="stopped at t=") as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        integrate(slope, [1.0], [0, 2])
    assert time.process_time() - began < 1
    assert caught.value.time == pytest.approx(when, rel=0.03)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cut", [True, False])
def test_an_early_stop_is_found_and_is_the_last_record(method, cut):
    run = record(
        lambda t, v: -v, [1.0], [0.0, 0.2, 9.0], method=method, cut=cut, stop=lambda v: v[0] - 0.5, rtol=1e-8
    )
    np.testing.assert_allclose(run.times, [0.0, 0.2, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(run.states[:, 0], [1, np.exp(-0.2), 0.5], rtol=1e-6)


def test_a_stop_that_holds_at_the_start_ends_there():
    run = record(lambda t, v: -v, [1.0], [0.0, 1.0], stop=lambda v: v[0] - 2)
    assert run.times.tolist() == [0.0] and run.states.tolist() == [[1.0]]


def test_uncut_steps_do_not_depend_on_the_recorded_times():
    few, many = (record(logistic, [0.1, 0.1], np.linspace(0, 9, k), cut=False) for k in (2, 500))
    np.testing.assert_array_equal(few.states[-1], many.states[-1])
    assert record(logistic, [0.1, 0.1], np.linspace(0, 9, 500)).evaluations > many.evaluations


def test_steps_that_run_out_and_options_out_of_range_are_named():
    with pytest.raises(RuntimeError, match="took 3 steps and got to t="):
        record(logistic, [0.1, 0.1], [0, 9], max_steps=3)
    for bad in ({"method": "Euler"}, {"rtol": np.nan}, {"atol": -1.0}, {"max_steps": 0}):
        with pytest.raises(ValueError, match=f"^{next(iter(bad))} needs"):
            record(logistic, [0.1, 0.1], [0, 9], **bad)


def test_half_times_of_a_logistic_are_those_of_its_formula():
    s, a0 = np.array([2.0, 0.5]), 1e-3
    times = np.linspace(0, 60, 60_001)
    half = half_time(times, mode_strength(times[:, None], s, a0))
    way = (a0 + s) / 2
    np.testing.assert_allclose(half, np.log(way * (s - a0) / (a0 * (s - way))) / (2 * s), rtol=1e-5)
    np.testing.assert_allclose(half_time(times, -3 * mode_strength(times[:, None], s, a0)), half)
    early = half_time(times[:2000], mode_strength(times[:2000, None], s, a0), end=s)
    assert early[0] == pytest.approx(half[0], rel=1e-5) and early[1] == np.inf


def test_half_times_of_what_does_not_move_are_infinite_and_bad_records_are_named():
    assert half_time([0.0, 1.0], [2.0, 2.0]) == np.inf
    assert half_time([0.0], [2.0]) == np.inf
    assert half_time([0.0, 1.0, 1.0], [0.0, 0.4, 1.0]) == 1.0  # a jump
    for arguments, name in (
        (([0.0, 1.0], [1.0]), "values"),
        (([1.0, 0.0], [1.0, 2.0]), "times"),
        (([0.0, 1.0], [1.0, np.nan]), "values"),
        (([0.0, 1.0], [1.0, 2.0], np.nan), "end"),
    ):
        with pytest.raises(ValueError, match=f"^{name} needs"):
            half_time(*arguments)
