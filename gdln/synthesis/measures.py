"""What every theory and every simulation of one network is asked for: half-times, a stopped map, movement.

A run is the network's linear map along time with its slope, so that a time between two records is found to the fourth
order of their distance, far below the differences that are measured.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import brentq

from gdln import checks


@dataclass(frozen=True)
class MapTrajectory:
    r"""The linear map of a network along time.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Increasing times.
    maps : ndarray, shape (n_times, n_outputs, n_inputs)
        :math:`F`.
    slopes : ndarray, shape (n_times, n_outputs, n_inputs)
        :math:`\dot F`.
    """

    times: np.ndarray
    maps: np.ndarray
    slopes: np.ndarray

    def __post_init__(self):
        for name, value in vars(self).items():
            checks.finite(name, value)


def rising(times):
    """Times of a run: at least two, each later than the one before.

    Parameters
    ----------
    times : array_like, shape (n_times,)
        Any origin.

    Returns
    -------
    times : ndarray, shape (n_times,)
        The same.

    Raises
    ------
    ValueError
        If they do not increase.
    """
    times = checks.times("times", times, ndim=1, ordered=True, least=None)
    checks.need(len(times) > 1 and np.diff(times).min() > 0, "times", "two or more that increase", times)
    return times


def half_times(run, sigma):
    r"""Times at which each mode of the target is half learned, :math:`u_\alpha^\top F v_\alpha = s_\alpha/2`.

    Parameters
    ----------
    run : MapTrajectory
        A theory's or a simulation's.
    sigma : array_like, shape (n_outputs, n_inputs)
        Input-output correlation, :math:`\sum_\alpha s_\alpha u_\alpha v_\alpha^\top`.

    Returns
    -------
    t : ndarray, shape (rank,)
        Strongest mode first; infinite where the run ends before.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    checks.instance("run", run, MapTrajectory)
    sigma = checks.array("sigma", sigma, shape=run.maps.shape[1:])
    U, s, Vt = np.linalg.svd(sigma, full_matrices=False)
    modes = range(np.linalg.matrix_rank(sigma))
    strengths, slopes = (np.einsum("ik,tij,kj->kt", U, x, Vt) for x in (run.maps, run.slopes))
    return np.array([_crossing(run.times, strengths[k] - s[k] / 2, slopes[k]) for k in modes])


def stop_map(run, sigma, fraction=0.5):
    r"""The map at the moment when the reducible loss :math:`\|\Sigma-F\|^2` has fallen to a fraction of
    :math:`\|\Sigma\|^2`.

    All theories end at the same map, so the end tells nothing; a network stopped early tells which modes it took first.

    Parameters
    ----------
    run : MapTrajectory
        A theory's or a simulation's.
    sigma : array_like, shape (n_outputs, n_inputs)
        :math:`\Sigma`, where the flow ends.
    fraction : float, optional
        Between 0 and 1.

    Returns
    -------
    F : ndarray, shape (n_outputs, n_inputs)
        The stopped map.

    Raises
    ------
    ValueError
        If the shapes do not match, the fraction is out of range, or the run ends before.
    """
    checks.instance("run", run, MapTrajectory)
    sigma = checks.array("sigma", sigma, shape=run.maps.shape[1:])
    fraction = checks.number("fraction", fraction, above=0, below=1)
    error = sigma - run.maps
    loss, slope = (error**2).sum((1, 2)), -2 * (error * run.slopes).sum((1, 2))
    t = _crossing(run.times, fraction * (sigma**2).sum() - loss, -slope)
    checks.need(np.isfinite(t), "run", f"times long enough for a loss of {fraction:g}", run.times)
    return maps_at(run, [t])[0]


def maps_at(run, times):
    """Maps of a run at times within it.

    Parameters
    ----------
    run : MapTrajectory
        A theory's or a simulation's.
    times : array_like, shape (n_times,)
        Between the first and the last time of the run.

    Returns
    -------
    maps : ndarray, shape (n_times, n_outputs, n_inputs)
        From values and slopes of the two records around.

    Raises
    ------
    ValueError
        If a time lies outside the run.
    """
    checks.instance("run", run, MapTrajectory)
    times = checks.array("times", times, ndim=1, least=run.times[0], most=run.times[-1])
    return CubicHermiteSpline(run.times, run.maps, run.slopes)(times)


def kernel_movement(start, end):
    r"""Relative change of the tangent kernel, :math:`\|K_\infty-K_0\|_F/\|K_0\|_F`.

    On white inputs :math:`K = \mathsf P\otimes I + I\otimes Q` up to the inputs, so no kernel matrix is made:
    :math:`\|K\|_F^2 = N_0\|\mathsf P\|^2 + M\|Q\|^2 + 2\,\mathrm{tr}\,\mathsf P\,\mathrm{tr}\,Q`.

    Parameters
    ----------
    start, end : tuple of array_like
        Pairs :math:`(\mathsf P, Q)`, shapes (n_outputs, n_outputs) and (n_inputs, n_inputs).

    Returns
    -------
    rho : float
        Zero where nothing moved.

    Raises
    ------
    ValueError
        If the shapes do not match, or the kernel at the start is zero.
    """
    (P0, Q0), (P, Q) = _moments("start", start), _moments("end", end)
    checks.need(P0.shape == P.shape and Q0.shape == Q.shape, "end", "the shapes of start", P)
    unit = max(np.abs(P0).max(), np.abs(Q0).max()) or 1.0  # in which squares are numbers
    P0, Q0, P, Q = (moment / unit for moment in (P0, Q0, P, Q))
    before = _kernel_square(P0, Q0)
    checks.need(before > 0, "start", "a kernel that is not zero", unit * P0)
    return float(np.sqrt(_kernel_square(P - P0, Q - Q0) / before))


def _moments(name, pair):
    checks.instance(name, pair, (tuple, list))
    checks.need(len(pair) == 2, name, "a pair of matrices", pair)
    return checks.array(name, pair[0], shape=("n", "n")), checks.array(name, pair[1], shape=("n", "n"))


def _kernel_square(P, Q):
    return len(Q) * (P**2).sum() + len(P) * (Q**2).sum() + 2 * np.trace(P) * np.trace(Q)


def _crossing(times, values, slopes):
    """First time at which the values reach zero from below; infinite where they do not."""
    above = np.flatnonzero(values >= 0)
    if not above.size:
        return np.inf
    k = above[0]
    if k == 0:
        return float(times[0])
    # the first of the two is below zero and the second is not, so there is a root between them
    between = CubicHermiteSpline(times[k - 1 : k + 1], values[k - 1 : k + 1], slopes[k - 1 : k + 1])
    return brentq(between, times[k - 1], times[k], xtol=1e-14)
