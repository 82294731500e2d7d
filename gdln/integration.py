"""Ordinary differential equations of the theories, integrated so that every recorded state is a step's end.

The simulations integrate with SciPy on their own (``propagation``, ``training``), so that a theory and what it is held
against share no stepping either.
"""

import numpy as np
from scipy.integrate import DOP853

from gdln import checks


def integrate(slope, start, times, rtol=1e-10, atol=1e-13):
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
    Dormand and Prince's method as SciPy implements it, ``scipy.integrate.DOP853``.

    Examples
    --------
    >>> states = integrate(lambda t, v: -v, [1.0], [0.0, 1.0, 50.0])
    >>> bool(abs(states[1, 0] - np.exp(-1)) < 1e-11)
    True
    """
    checks.function("slope", slope)
    start = checks.array("start", start, ndim=1, copy=True)
    times = checks.times("times", times, ndim=1, ordered=True, least=None)
    rtol, atol = checks.nonnegative("rtol", rtol), checks.nonnegative("atol", atol)
    checks.need(rtol or atol, "rtol", "to be positive where atol is zero", rtol)
    states = np.empty((times.size, start.size))
    states[0] = start
    solver = DOP853(slope, times[0], start, times[-1], rtol=rtol, atol=atol)
    if not np.isfinite(solver.f).all():
        # the first step would be NaN long, and no step is ever shorter or longer than NaN
        raise checks.Diverged(
            f"the flow stopped at t={times[0]:.4g}: its slope is not finite", time=float(times[0])
        )
    for state, t in zip(states[1:], times[1:], strict=True):
        solver.t_bound = t
        solver.status = "running" if t > solver.t else "finished"
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                raise checks.Diverged(
                    f"the flow stopped at t={solver.t:.4g}: {message or 'not finite'}", time=float(solver.t)
                )
        state[:] = solver.y
    return states
