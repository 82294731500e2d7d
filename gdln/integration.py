"""Ordinary differential equations of the theories, integrated so that every recorded state is a step's end.

The simulations integrate with SciPy on their own (``propagation``, ``training``), so that a theory and what it is held
against share no stepping either.
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import DOP853, RK45
from scipy.optimize import brentq

from gdln import checks

#: Runge-Kutta pairs by SciPy's names: order five with cheap steps, order eight for tight tolerances.
METHODS = {"RK45": RK45, "DOP853": DOP853}
#: Default tolerances of a step. On the way up from a plateau of six decades a state errs by twenty times ``RTOL``, so
#: that a theory keeps eight digits, more than any simulation that it is held against. Looser would save little: at
#: order eight a hundredfold tolerance takes a third of the steps away. ``ATOL`` leaves a start of a thousandth the same
#: digits.
RTOL, ATOL = 1e-10, 1e-13


def integrate(slope, start, times, rtol=RTOL, atol=ATOL):
    r"""States of :math:`\dot v = f(t, v)` at given times, by Runge-Kutta steps of order eight.

    A step is cut where it would pass a recorded time. Without the cut a state would be read off the interpolant
    between two steps, and near rest, where steps grow long, that interpolant loses up to six digits that the steps
    themselves keep.

    Parameters
    ----------
    slope : callable
        :math:`f`, from a time and a state of shape (n,) to a velocity of the same shape.
    start : array_like, shape (n,)
        State at the first time.
    times : array_like, shape (n_times,)
        Times to record, finite and not decreasing; any origin.
    rtol, atol : float, optional
        Tolerances of a step.

    Returns
    -------
    states : ndarray, shape (n_times, n)
        One row a time; the first is the start.

    Raises
    ------
    TypeError
        If the slope is no function, or the start, the times or a tolerance are no numbers.
    ValueError
        If the times decrease, are none, or a time or the start is not finite; if a tolerance is negative, or both
        are zero.
    gdln.checks.Diverged
        If the integrator gives up or the state stops being finite; carries the time.

    Notes
    -----
    Dormand and Prince's method as SciPy implements it, ``scipy.integrate.DOP853``. Stopping early, other methods and
    records between steps: :func:`record`.

    Examples
    --------
    >>> states = integrate(lambda t, v: -v, [1.0], [0.0, 1.0, 50.0])
    >>> bool(abs(states[1, 0] - np.exp(-1)) < 1e-11)
    True
    """
    return record(slope, start, times, rtol=rtol, atol=atol).states


@dataclass(frozen=True)
class Record:
    """States of a differential equation at the times asked for.

    Parameters
    ----------
    times : ndarray, shape (n_records,)
        Times reached; fewer than asked for after an early stop, whose time is then the last.
    states : ndarray, shape (n_records, n)
        One row a time.
    evaluations : int
        Evaluations of the velocity.
    """

    times: np.ndarray
    states: np.ndarray
    evaluations: int


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # a divergence is reported, not warned of
def record(
    slope, start, times, *, method="DOP853", rtol=RTOL, atol=ATOL, cut=True, stop=None, max_steps=None
):
    r"""Integrate :math:`\dot v = f(t, v)` and record it, with an early stop and a limit on the steps.

    Parameters
    ----------
    slope : callable
        :math:`f`, from a time and a state of shape (n,) to a velocity of the same shape.
    start : array_like, shape (n,)
        State at the first time.
    times : array_like, shape (n_times,)
        Times to record, not decreasing; the first is that of the start.
    method : {"DOP853", "RK45"}, optional
        Runge-Kutta pair of SciPy.
    rtol, atol : float, optional
        Tolerances of a step.
    cut : bool, optional
        Cut a step where it would pass a recorded time. Otherwise the recorded times have no influence on the steps,
        and states are read off the interpolant, which is good enough at loose tolerances.
    stop : callable, optional
        A number from a state, positive at first. The flow ends where it reaches zero, on the interpolant of that step.
    max_steps : int, optional
        Steps allowed; no limit unless given.

    Returns
    -------
    record : Record
        Times, states and cost.

    Raises
    ------
    TypeError, ValueError
        As :func:`integrate`, and if the method is unknown or ``max_steps`` is no positive count.
    gdln.checks.Diverged
        If the integrator gives up or the state stops being finite; carries the time.
    RuntimeError
        If the steps run out; tells at which time.

    Examples
    --------
    >>> half = record(lambda t, v: -v, [1.0], [0.0, 9.0], stop=lambda v: v[0] - 0.5)
    >>> bool(abs(half.times[-1] - np.log(2)) < 1e-6)
    True
    """
    checks.function("slope", slope)
    start = checks.array("start", start, ndim=1, copy=True)
    times = checks.times("times", times, ndim=1, ordered=True, least=None)
    checks.choice("method", method, METHODS)
    rtol, atol = checks.nonnegative("rtol", rtol), checks.nonnegative("atol", atol)
    checks.need(rtol or atol, "rtol", "to be positive where atol is zero", rtol)
    cut = checks.flag("cut", cut)
    if stop is not None:
        checks.function("stop", stop)
    if max_steps is not None:
        checks.count("max_steps", max_steps)
    reached, states, waiting = [times[0]], [start], times[1:]
    solver = METHODS[method](slope, times[0], start, times[-1], rtol=rtol, atol=atol)
    if not np.isfinite(solver.f).all():
        # the first step would be NaN long, and no step is ever shorter or longer than NaN
        raise checks.Diverged(
            f"the flow stopped at t={times[0]:.4g}: its slope is not finite", time=float(times[0])
        )
    n_steps, stopped = 0, stop is not None and not stop(start) > 0
    while waiting.size and not stopped:
        if cut:
            solver.t_bound = waiting[0]
        solver.status = "running" if solver.t_bound > solver.t else "finished"
        if solver.status == "running":
            if n_steps == max_steps:
                raise RuntimeError(
                    f"the flow took {max_steps} steps and got to t={solver.t:.4g} of {times[-1]:.4g}: "
                    "loosen rtol and atol, or allow more by max_steps"
                )
            message, n_steps = solver.step(), n_steps + 1
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                raise checks.Diverged(
                    f"the flow stopped at t={solver.t:.4g}: {message or 'not finite'}", time=float(solver.t)
                )
        end = solver.t
        stopped = stop is not None and not stop(solver.y) > 0
        if not stopped and waiting[0] > end:
            continue
        # the interpolant of order eight costs three evaluations, so it is made only where it is read
        between = solver.dense_output() if stopped or waiting[0] < end else None
        if stopped and stop(between(solver.t_old)) > 0:
            end = brentq(lambda t, at=between: stop(at(t)), solver.t_old, solver.t)
        due = waiting[waiting <= end]
        waiting = waiting[len(due) :]
        reached.extend(due)
        states.extend(solver.y.copy() if t == solver.t else between(t) for t in due)
        if stopped and reached[-1] < end:
            reached.append(end)
            states.append(between(end))
    return Record(np.array(reached), np.array(states), solver.nfev)


def half_time(times, values, end=None):
    """Time at which a quantity is first half-way from where it starts to where it ends.

    Parameters
    ----------
    times : array_like, shape (n_times,)
        Times of a run, not decreasing.
    values : array_like, shape (n_times, ...)
        Strengths, losses or anything else the run recorded.
    end : float or array_like, shape (...), optional
        Where it ends; at its last record unless given, so let the run be long enough, or give the limit.

    Returns
    -------
    t : ndarray, shape (...)
        Interpolated linearly between two records; infinite where half the way is not reached, or there is none.

    Raises
    ------
    TypeError, ValueError
        If the times decrease, there is not one value a time, or a number is not finite.

    Examples
    --------
    >>> half_time([0.0, 1.0, 2.0, 3.0], [[8.0, 0.0], [6.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    array([1.5, inf])
    """
    times = checks.times("times", times, ndim=1, ordered=True, least=None)
    values = checks.array("values", values)
    checks.need(values.ndim > 0 and len(values) == len(times), "values", f"{len(times)} records", values)
    end = checks.array("end", values[-1] if end is None else end)
    checks.need(
        end.shape in ((), values.shape[1:]), "end", f"one number, or numbers of shape {values.shape[1:]}", end
    )
    way = end - values[0]
    done = np.divide(values - values[0], way, out=np.zeros((len(times), *way.shape)), where=way != 0)
    k = (done >= 0.5).argmax(axis=0)
    after = np.take_along_axis(done, k[None], axis=0)[0]
    before = np.take_along_axis(done, np.maximum(k - 1, 0)[None], axis=0)[0]
    part = np.divide(0.5 - before, after - before, out=np.zeros(way.shape), where=after > before)
    t = times[np.maximum(k - 1, 0)] * (1 - part) + times[k] * part
    return np.where(after >= 0.5, t, np.inf)
