"""Ordinary differential equations of the theories, integrated so that every recorded state is a step's end.

The simulations integrate with SciPy on their own (``propagation``, ``training``), so that a theory and what it is held
against share no stepping either.
"""

import numpy as np
from scipy.integrate import DOP853


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
        Times to record, not decreasing.
    rtol, atol : float, optional
        Tolerances of a step.

    Returns
    -------
    states : ndarray, shape (n_times, n)
        One row a time; the first is the start.

    Raises
    ------
    ValueError
        If the times decrease, are none, or a time or the start is not finite.
    FloatingPointError
        If the integrator gives up or the state stops being finite; tells at which time.

    Notes
    -----
    Dormand and Prince's method as SciPy implements it, ``scipy.integrate.DOP853``.

    Examples
    --------
    >>> states = integrate(lambda t, v: -v, [1.0], [0.0, 1.0, 50.0])
    >>> bool(abs(states[1, 0] - np.exp(-1)) < 1e-11)
    True
    """
    times, start = np.asarray(times, dtype=float), np.array(start, dtype=float)
    if times.ndim != 1 or not times.size or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError(f"need one or more finite times that do not decrease, got {times}")
    if not np.isfinite(start).all():
        raise ValueError(
            f"the start must be finite, got {np.count_nonzero(~np.isfinite(start))} values that are not"
        )
    states = np.empty((times.size, start.size))
    states[0] = start
    solver = DOP853(slope, times[0], start, times[-1], rtol=rtol, atol=atol)
    for state, t in zip(states[1:], times[1:], strict=True):
        solver.t_bound = t
        solver.status = "running" if t > solver.t else "finished"
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                raise FloatingPointError(f"the flow stopped at t={solver.t:.4g}: {message or 'not finite'}")
        state[:] = solver.y
    return states
