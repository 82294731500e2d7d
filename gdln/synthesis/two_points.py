r"""Two points and their representations: three numbers that close, whatever the network.

The hidden states of two inputs differ by :math:`\Delta h`, their outputs by :math:`\Delta\hat y`, their targets by
:math:`\Delta y`. If encoder and decoder are smooth and free, and the decoder sees nothing but :math:`\Delta h`, the
squared distances :math:`h=\|\Delta h\|^2`, :math:`y=\|\Delta\hat y\|^2` and the overlap
:math:`w=\Delta\hat y\cdot(\Delta\hat y-\Delta y)` obey three equations with two rates.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy.integrate import ODEintWarning, odeint
from scipy.optimize import least_squares

from gdln import checks


@dataclass(frozen=True)
class PairSolution:
    """The three numbers of a pair along a gradient flow.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Times.
    h, y, w : ndarray, shape (n_times,)
        Squared distance of the hidden states, of the outputs, and overlap of the outputs with their error.
    """

    times: np.ndarray
    h: np.ndarray
    y: np.ndarray
    w: np.ndarray


@dataclass(frozen=True)
class PairFit:
    """Two rates fitted to a measured pair.

    Attributes
    ----------
    eta_h, eta_y : float
        Effective rate of the encoder, of the decoder.
    residual : float
        Root mean square of the residuals, in the units of the largest hidden distance and of the targets' distance.
    solution : PairSolution
        The fitted curves at the times of the data.
    """

    eta_h: float
    eta_y: float
    residual: float
    solution: PairSolution

    @property
    def ratio(self):
        """Rate of the encoder over that of the decoder."""
        return self.eta_h / self.eta_y


@dataclass(frozen=True)
class PairLine:
    """The line of the invariant: hidden distance against output distance over it.

    Attributes
    ----------
    r2 : float
        Share of the variance of ``h`` that lies on the line.
    slope, offset : float
        Of the line; in the theory :math:`r\\,d_x` and :math:`-c/\\eta_y`.
    """

    r2: float
    slope: float
    offset: float


def pair_velocity(h, y, w, d_x, d_y, eta_h, eta_y):
    r"""Velocity of the three numbers.

    .. math::

        \dot h &= -\eta_h d_x w,\qquad \dot y = -w\Big(\eta_y h + \eta_h d_x\frac yh\Big),\\
        \dot w &= -\tfrac12\eta_y h\,(3w-y+d_y) - \tfrac12\eta_h d_x\frac{(y+w)w}{h} .

    Parameters
    ----------
    h, y, w : array_like, shape (...)
        State; ``h > 0`` and ``y >= 0``.
    d_x, d_y : float
        Squared distances of the inputs (above zero) and of the targets.
    eta_h, eta_y : float
        Effective rates of encoder and decoder, at least zero.

    Returns
    -------
    velocity : ndarray, shape (3, ...)
        Of ``h``, ``y`` and ``w``.

    Raises
    ------
    TypeError, ValueError
        If an argument is no number or out of its range.

    Notes
    -----
    van Rossem and Saxe 2024; derived in chapter "Two points".
    """
    h, y, w = checks.array("h", h, above=0), checks.array("y", y, least=0), checks.array("w", w)
    d_x, d_y, eta_h, eta_y = _constants(d_x, d_y, eta_h, eta_y)
    h, y, w = checks.together(h=h, y=y, w=w)
    decoder, encoder = eta_y * h, eta_h * d_x / h
    return np.array(
        [
            -eta_h * d_x * w,
            -w * (decoder + encoder * y),
            -(decoder * (3 * w - y + d_y) + encoder * (y + w) * w) / 2,
        ]
    )


def solve_pair(h0, y0, w0, d_x, d_y, eta_h, eta_y, times):
    """Integrate the three equations from a start.

    Parameters
    ----------
    h0, y0, w0 : float
        Start, ``h0 > 0``. Two vectors must have it: ``(y0 - w0)**2 <= y0 * d_y``.
    d_x, d_y, eta_h, eta_y : float
        As in :func:`pair_velocity`.
    times : array_like, shape (n_times,)
        Times, not decreasing; the first is that of the start.

    Returns
    -------
    solution : PairSolution
        At the times.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or no two vectors have this start.
    gdln.checks.Diverged
        If the hidden states meet on the way, where the three numbers end: a large decoder can do that whose outputs
        start away from their targets, ``w0 > y0``. Also if the integrator gives up.

    Examples
    --------
    >>> path = solve_pair(0.01, 0.0, 0.0, 1.0, 0.5, 1.0, 1.0, [0.0, 100.0])
    >>> bool(abs(path.y[-1] - 0.5) < 1e-6)
    True
    """
    start = _start(h0, y0, w0, d_y)
    constants = _constants(d_x, d_y, eta_h, eta_y)
    times = checks.times("times", times, ndim=1, ordered=True)
    states = _integrate(start, constants, times)
    if not np.isfinite(states).all():
        raise checks.Diverged(
            f"the pair diverged before t={times[-1]:.4g}: its hidden states meet, or a rate is too large",
            time=float(times[-1]),
        )
    return PairSolution(times, *states)


def invariant(h, y, d_x, eta_h, eta_y):
    r"""What the flow of a pair conserves, :math:`c=\eta_h d_x\,y/h-\eta_y h`.

    Parameters
    ----------
    h, y : array_like, shape (...)
        State, ``h > 0``.
    d_x, eta_h, eta_y : float
        As in :func:`pair_velocity`.

    Returns
    -------
    c : ndarray, shape (...)
        Zero where encoder and decoder are balanced; negative in the lazy regime.

    Raises
    ------
    TypeError, ValueError
        If an argument is no number or out of its range.
    """
    h, y = checks.array("h", h, above=0), checks.array("y", y, least=0)
    d_x, _, eta_h, eta_y = _constants(d_x, 0.0, eta_h, eta_y)
    h, y = checks.together(h=h, y=y)
    return eta_h * d_x * y / h - eta_y * h


def final_distance(h0, y0, d_x, d_y, ratio, readout=None):
    r"""Squared distance of the two hidden states when the outputs have reached their targets.

    .. math:: h_\infty=\tfrac12\Big[-c'+\sqrt{c'^2+4r\,d_xd_y}\Big],\qquad c'=r\,d_x\frac{y_0}{h_0}-h_0 .

    With ``readout`` exactly, without the closure, for a two-layer linear network of any width with one output:

    .. math:: h_\infty=\tfrac12\Big[h_0-A+\sqrt{(A+h_0)^2+4r\,d_x(d_y-y_0)}\Big],\qquad A=r\,d_x\|a_0\|^2 .

    Parameters
    ----------
    h0, y0 : array_like, shape (...)
        Start, ``h0 > 0``.
    d_x, d_y : array_like, shape (...)
        Squared distances of inputs and targets.
    ratio : array_like, shape (...)
        Rate of the encoder over that of the decoder, :math:`r\ge0`.
    readout : array_like, shape (...), optional
        Squared norm :math:`\|a_0\|^2` of the readout at the start, at least ``y0 / h0``. Equal to it, the decoder sees
        only the difference of the hidden states, and the two formulas agree.

    Returns
    -------
    h : ndarray, shape (...)
        :math:`\sqrt{r d_xd_y}` from a balanced start, ``h0`` from a large one; zero where equal targets merge.

    Raises
    ------
    TypeError, ValueError
        If an argument is no number or out of its range.

    Notes
    -----
    Both derived in chapter "Two points".

    Examples
    --------
    >>> round(float(final_distance(1e-12, 0.0, d_x=1.0, d_y=0.25, ratio=4.0)), 9)
    1.0
    """
    h0, y0 = checks.array("h0", h0, above=0), checks.array("y0", y0, least=0)
    d_x, d_y = checks.array("d_x", d_x, above=0), checks.array("d_y", d_y, least=0)
    ratio = checks.array("ratio", ratio, least=0)
    readout = checks.array("readout", y0 / h0 if readout is None else readout, least=0)
    h0, y0, d_x, d_y, ratio, readout = checks.together(
        h0=h0, y0=y0, d_x=d_x, d_y=d_y, ratio=ratio, readout=readout
    )
    needed = y0 / h0
    checks.need(
        (readout >= needed * (1 - 1e-9)).all(), "readout", "a squared norm of at least y0 / h0", readout
    )
    A = ratio * d_x * readout
    # (A + h0)^2 - 4 r d_x y0 as a sum of what cannot be negative: at equal targets the root is of it alone
    product = 4 * ratio * d_x * (d_y + np.maximum(readout - needed, 0) * h0)
    root = np.sqrt((A - h0) ** 2 + product)
    # for A above h0 the two terms of the formula cancel; their product is known
    positive = np.divide(product, root + (A - h0), out=np.zeros(root.shape), where=A > h0)
    return np.where(A > h0, positive, root - (A - h0)) / 2


def rich_rise(t, t_half, d_x, d_y, eta_h, eta_y):
    r"""Distance of the outputs over that of the targets in the rich limit: one logistic curve.

    .. math:: \sqrt{y/d_y}=\frac1{1+e^{-\kappa(t-t_{1/2})}},\qquad \kappa=\sqrt{\eta_h\eta_yd_xd_y} .

    Parameters
    ----------
    t : array_like, shape (...)
        Times.
    t_half : float
        Time of half the distance.
    d_x, d_y, eta_h, eta_y : float
        As in :func:`pair_velocity`.

    Returns
    -------
    rise : ndarray, shape (...)
        From zero to one; also :math:`h/h_\infty`, as then both distances are proportional.

    Raises
    ------
    TypeError, ValueError
        If an argument is no number or out of its range.
    """
    t, t_half = checks.array("t", t), checks.number("t_half", t_half)
    d_x, d_y, eta_h, eta_y = _constants(d_x, d_y, eta_h, eta_y)
    # in halves of hyperbolic functions, which do not overflow
    return (1 + np.tanh(np.sqrt(eta_h * eta_y * d_x * d_y) * (t - t_half) / 2)) / 2


def pair_loss(y, w, d_y, mean_error=0.0):
    r"""Half the mean squared error over the two points.

    .. math:: \mathcal L=\tfrac14\big[w+\tfrac12(d_y-y)\big]+\tfrac12\|\bar e\|^2 .

    Parameters
    ----------
    y, w : array_like, shape (...)
        State.
    d_y : float
        Squared distance of the targets.
    mean_error : array_like, shape (...), optional
        Squared norm of the mean :math:`\bar e` of the two errors, of which the pair knows nothing.

    Returns
    -------
    loss : ndarray, shape (...)
        The loss.

    Raises
    ------
    TypeError, ValueError
        If an argument is no number or out of its range.
    """
    y, w = checks.array("y", y, least=0), checks.array("w", w)
    d_y = checks.nonnegative("d_y", d_y)
    mean_error = checks.array("mean_error", mean_error, least=0)
    y, w, mean_error = checks.together(y=y, w=w, mean_error=mean_error)
    return (w + (d_y - y) / 2) / 4 + mean_error / 2


def fit_rates(h, y, w, d_x, d_y, times):
    r"""Fit the two rates of a pair to measured curves; the start is measured, not fitted.

    Least squares on the residuals of :math:`h/\max h`, :math:`y/d_y` and :math:`w/d_y`, by Levenberg and Marquardt's
    method from the best of forty values of :math:`\eta_y`, with :math:`\eta_h/\eta_y=h_T^2/(d_xd_y)`, the ratio of a
    pair that starts small.

    Parameters
    ----------
    h, y, w : array_like, shape (n_times,)
        Measured curves.
    d_x, d_y : float
        Squared distances of inputs and targets, above zero.
    times : array_like, shape (n_times,)
        Their times, at least three and increasing.

    Returns
    -------
    fit : PairFit
        The rates, how well they fit, and the fitted curves.

    Raises
    ------
    TypeError, ValueError
        If shapes differ or an argument is out of its range.
    """
    times = checks.times("times", times, ndim=1)
    checks.need(len(times) > 2 and (np.diff(times) > 0).all(), "times", "three times that increase", times)
    shape = times.shape
    h, y = checks.array("h", h, shape=shape, above=0), checks.array("y", y, shape=shape, least=0)
    w = checks.array("w", w, shape=shape)
    d_x, d_y = checks.positive("d_x", d_x), checks.positive("d_y", d_y)
    start = _start(h[0], y[0], w[0], d_y)
    scales = np.array([h.max(), d_y, d_y])[:, None]
    measured = np.array([h, y, w]) / scales

    def residuals(logarithms):
        states = _integrate(start, (d_x, d_y, *np.exp(logarithms)), times)
        # where the integrator gives up, the rates are far too large: a residual that is large and finite
        return np.nan_to_num((states / scales - measured).ravel(), nan=10.0, posinf=10.0, neginf=-10.0)

    ratio = h[-1] ** 2 / (d_x * d_y)
    # the fastest growth is eta_y h_T; a run has between one and a thousand of its times
    guesses = np.log(np.geomspace(1, 1e3, 40) / (h[-1] * (times[-1] - times[0])))
    first = min(guesses, key=lambda guess: np.square(residuals([guess + np.log(ratio), guess])).sum())
    found = least_squares(residuals, [first + np.log(ratio), first], method="lm")
    eta_h, eta_y = (float(rate) for rate in np.exp(found.x))
    states = _integrate(start, (d_x, d_y, eta_h, eta_y), times)
    return PairFit(
        eta_h, eta_y, float(np.sqrt(2 * found.cost / found.fun.size)), PairSolution(times, *states)
    )


def straightness(h, y, above=0.02):
    r"""How far a pair keeps its invariant, without a time axis: :math:`R^2` of the line :math:`h` against :math:`y/h`.

    Conservation of :math:`c` reads :math:`h = r\,d_x\,y/h - c/\eta_y`, a line whose slope is :math:`r\,d_x`.

    Parameters
    ----------
    h, y : array_like, shape (n_times,)
        Measured curves.
    above : float, optional
        Only points with ``h`` above this fraction of its largest value count.

    Returns
    -------
    line : PairLine
        Its ``r2`` is one for a line, whatever the rates. Every record counts the same, so slow phases count most.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, an argument is out of its range, or ``h`` or ``y / h`` is constant.
    """
    h = checks.array("h", h, ndim=1, above=0)
    y = checks.array("y", y, shape=h.shape, least=0)
    kept = h > checks.number("above", above, least=0, below=1) * h.max()
    h, other = h[kept], (y / h)[kept]
    checks.need(h.size > 2 and np.ptp(h) > 0 and np.ptp(other) > 0, "h", "distances that change", h)
    slope, offset = np.polyfit(other, h, 1)
    left = np.square(h - slope * other - offset).sum()
    return PairLine(float(1 - left / np.square(h - h.mean()).sum()), float(slope), float(offset))


def _integrate(start, constants, times):
    r"""States of shape (3, n_times); NaN where the integrator gave up.

    In :math:`\ln h`, :math:`p=y/h` and :math:`u=w/h`, whose equations divide by nothing, so that merging states need
    no care: :math:`\frac{d}{dt}\ln h=-\eta_hd_xu`, :math:`\dot p=-\eta_yhu` and
    :math:`\dot u=-\frac12\eta_y[h(3u-p)+d_y]-\frac12\eta_hd_xu(p-u)`.
    """
    h0, y0, w0 = start
    d_x, d_y, eta_h, eta_y = constants
    if times[0] == times[-1]:  # LSODA does nothing then, and says so as if it had failed
        return np.outer(start, np.ones(len(times)))
    encoder = eta_h * d_x

    def velocity(state, _):
        # plain floats: a fit integrates a hundred times, and arrays of three are slower than their numbers
        log_h, p, u = state.tolist()
        h = math.exp(log_h)
        return -encoder * u, -eta_y * h * u, -(eta_y * (h * (3 * u - p) + d_y) + encoder * u * (p - u)) / 2

    # in the units of p, so that a change of units changes nothing; LSODA needs tolerances above zero
    far = math.sqrt(encoder * d_y / eta_y) if eta_y else 0.0
    scale = max(y0 / h0, abs(w0) / h0, d_y / (h0 + far)) + np.finfo(float).tiny
    given_up = np.full((3, len(times)), np.nan)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ODEintWarning)  # the caller reports it
            states, info = odeint(
                velocity,
                [math.log(h0), y0 / h0, w0 / h0],
                times,
                rtol=1e-9,
                atol=np.array([1e-10, 1e-12 * scale, 1e-12 * scale]),
                mxstep=5000,
                full_output=True,
            )
    except OverflowError:
        return given_up
    if info["message"] != "Integration successful.":
        return given_up
    h = np.exp(states[:, 0])
    return np.array([h, np.maximum(states[:, 1], 0) * h, states[:, 2] * h])


def _constants(d_x, d_y, eta_h, eta_y):
    return (
        checks.positive("d_x", d_x),
        checks.nonnegative("d_y", d_y),
        checks.nonnegative("eta_h", eta_h),
        checks.nonnegative("eta_y", eta_y),
    )


def _start(h0, y0, w0, d_y):
    h0, y0, w0 = checks.positive("h0", h0), checks.nonnegative("y0", y0), checks.number("w0", w0)
    d_y = checks.nonnegative("d_y", d_y)
    # Cauchy and Schwarz: y0 - w0 is the product of outputs and targets; rounding of a measurement is allowed
    slack = 1e-9 * (y0 + d_y) ** 2
    checks.need(
        (y0 - w0) ** 2 <= y0 * d_y + slack, "w0", "to be that of two vectors: (y0-w0)^2 <= y0 d_y", w0
    )
    return np.array([h0, y0, w0])
