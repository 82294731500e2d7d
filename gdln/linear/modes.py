r"""Deep linear networks: one chain in closed form, and the modes of a data set.

A chain is a product of scalar weights, :math:`a = b_L \cdots b_1`, under gradient flow on
:math:`\frac{1}{2} d a^2 - s a`; :func:`gdln.linear.modes.modes` says which chains a data set makes of a network. The
simulations that use none of these formulas are in :mod:`gdln.linear.simulation`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from gdln import checks


def mode_strength(t, s, a0, d=1.0, tau=1.0):
    r"""Strength of a mode of a two-layer network with balanced weights.

    Solves :math:`\tau \dot a = 2 a (s - a d)`, :math:`a(0) = a_0`:

    .. math:: a(t) = \frac{s/d}{1 - \left(1 - \frac{s}{d a_0}\right) e^{-2 s t/\tau}} .

    Parameters
    ----------
    t : array_like, shape (...)
        Times, in the units of ``tau``.
    s : array_like, shape (...)
        Input-output correlation of the mode, ``s >= 0``.
    a0 : array_like, shape (...)
        Initial strength, ``a0 > 0``. At exactly zero the mode never starts.
    d : array_like, shape (...), optional
        Input variance along the mode, ``d > 0``.
    tau : float, optional
        Time constant (inverse learning rate).

    Returns
    -------
    a : ndarray, shape (...)
        Broadcast over all arguments; goes from ``a0`` to ``s / d``.

    Raises
    ------
    ValueError
        If ``a0``, ``d`` or ``tau`` is not positive, ``s`` or a time is negative, or anything is NaN.

    Notes
    -----
    Saxe et al. 2014; Saxe et al. 2022, Eq. 21. Written with a decaying exponential, so large ``t`` cannot
    overflow; at ``s = 0`` it is the limit :math:`a_0 / (1 + 2 a_0 d t/\tau)`.

    Examples
    --------
    >>> float(mode_strength(1e6, s=1.3, a0=1e-3))
    1.3
    """
    t, s, a0, d = _checked(tau, t=t, s=s, a0=a0, d=d)
    checks.need((a0 > 0).all(), "a0", "strengths above 0", a0)
    checks.need((s >= 0).all(), "s", "singular values of at least 0", s)
    if ((d * a0 <= s) & (1e-300 * s < a0)).all():  # no mode shrinks, so no term below cancels
        return _growing(t, s, s / a0 - d, d, -2 * s / tau)
    decay = np.exp(-2 * s * t / tau)
    rise = _mean_decay(2 * s, t / tau)
    return a0 / (2 * a0 * d * rise + decay)


def mode_time(a, s, a0, d=1.0, tau=1.0):
    r"""Time a balanced two-layer mode needs to grow from ``a0`` to ``a``.

    .. math:: t(a) = \frac{\tau}{2s} \ln \frac{a\,(s - a_0 d)}{a_0\,(s - a d)} .

    Parameters
    ----------
    a : array_like, shape (...)
        Strength to reach, ``a0 <= a < s / d``.
    s, a0, d, tau : array_like, optional
        As in :func:`mode_strength`.

    Returns
    -------
    t : ndarray, shape (...)
        In the units of ``tau``.

    Raises
    ------
    ValueError
        Unless ``0 < a0 <= a < s / d``.

    Examples
    --------
    >>> round(float(mode_time(0.5, s=1.0, a0=1e-3)), 3)
    3.453
    """
    return depth_time(a, s, a0, depth=2, d=d, tau=tau)


def chain_weights(t, s, b1, b2, d=1.0, tau=1.0):
    r"""Both weights of a two-layer chain from any start.

    Solves :math:`\tau\dot b_1 = b_2 (s - b_1 b_2 d)`, :math:`\tau\dot b_2 = b_1 (s - b_1 b_2 d)`. The sum
    squared, :math:`P = (b_1 + b_2)^2`, obeys the Riccati equation
    :math:`\tau\dot P = 2 s P - \frac{d}{2}(P^2 - q^2)` with the conserved :math:`q = b_1^2 - b_2^2`, and the
    difference squared the same equation with :math:`-s`.

    Parameters
    ----------
    t : array_like, shape (...)
        Times.
    s : array_like, shape (...)
        Input-output correlation, of either sign.
    b1, b2 : array_like, shape (...)
        Initial weights, of either sign.
    d : array_like, shape (...), optional
        Input variance, ``d > 0``.
    tau : float, optional
        Time constant.

    Returns
    -------
    b1, b2 : ndarray, shape (...)
        Weights at ``t``.

    Raises
    ------
    ValueError
        If ``d`` or ``tau`` is not positive, a time is negative, or anything is not finite.

    Notes
    -----
    Derived in chapter "One mode". With :math:`R = \sqrt{4s^2 + d^2q^2}` and :math:`e = e^{-Rt/\tau}`,

    .. math:: P = \frac{P_0[(R + 2s) + (R - 2s)e] + d q^2 (1-e)}{(R - 2s) + (R + 2s) e + d P_0 (1-e)},

    a ratio of sums of positive terms: no overflow and no cancellation.
    """
    t, s, b1, b2, d = _arrays(tau, t=t, s=s, b1=b1, b2=b2, d=d)
    plus, minus = b1 + b2, b1 - b2
    q = plus * minus
    plus = np.sign(plus) * np.sqrt(_riccati(t / tau, s, plus**2, q, d))
    minus = np.sign(minus) * np.sqrt(_riccati(t / tau, -s, minus**2, q, d))
    return (plus + minus) / 2, (plus - minus) / 2


def mode_strength_unbalanced(t, s, a0, q, d=1.0, tau=1.0):
    r"""Strength :math:`a = b_1 b_2` of a two-layer chain whose weights differ in size.

    Parameters
    ----------
    t : array_like, shape (...)
        Times.
    s : array_like, shape (...)
        Input-output correlation.
    a0 : array_like, shape (...)
        Initial strength, of either sign, zero included.
    q : array_like, shape (...)
        Conserved difference :math:`q = b_1^2 - b_2^2`.
    d : array_like, shape (...), optional
        Input variance, ``d > 0``.
    tau : float, optional
        Time constant.

    Returns
    -------
    a : ndarray, shape (...)
        Tends to ``s / d``; with ``q = 0`` it is :func:`mode_strength`.

    Raises
    ------
    ValueError
        If ``d`` or ``tau`` is not positive, a time is negative, or anything is not finite.

    Notes
    -----
    :func:`chain_weights` with :math:`(b_1 \pm b_2)^2 = \sqrt{q^2 + 4a_0^2} \pm 2 a_0`. In the variable
    :math:`u = \tanh(\theta/2)`, :math:`b_1b_2 = \frac{q}{2}\sinh\theta`, it is the Möbius map used by Saxe et
    al. 2014.

    Examples
    --------
    >>> float(mode_strength_unbalanced(1e3, s=1.5, a0=0.0, q=-0.2))
    1.5
    """
    t, s, a0, q, d = _arrays(tau, t=t, s=s, a0=a0, q=q, d=d)
    large = np.hypot(q, 2 * a0) + 2 * np.abs(a0)
    small = np.divide(q**2, large, out=np.zeros_like(large), where=large > 0)
    plus, minus = np.where(a0 >= 0, large, small), np.where(a0 >= 0, small, large)
    return (_riccati(t / tau, s, plus, q, d) - _riccati(t / tau, -s, minus, q, d)) / 4


def depth_time(a, s, a0, depth, d=1.0, tau=1.0):
    r"""Time a balanced mode of an ``L``-layer network needs to grow from ``a0`` to ``a``.

    Integrates :math:`\tau\dot a = L a^{2 - 2/L}(s - a d)`. With :math:`b = a^{1/L}`,
    :math:`b_* = (s/d)^{1/L}` and :math:`x = b/b_*`,

    .. math:: \frac{t}{\tau} = \frac{1}{s b_*^{L-2}}
        \left[\frac{x_0^{2-L} - x^{2-L}}{L-2} + G(x) - G(x_0)\right],
        \qquad G(x) = -\frac{1}{L}\sum_{\omega^L = 1} \omega^2 \ln(1 - x/\omega).

    Parameters
    ----------
    a : array_like, shape (...)
        Strength to reach.
    s : array_like, shape (...)
        Input-output correlation, ``s > 0``.
    a0 : array_like, shape (...)
        Initial strength.
    depth : int
        Number of weight layers ``L >= 1``.
    d : array_like, shape (...), optional
        Input variance, ``d > 0``.
    tau : float, optional
        Time constant.

    Returns
    -------
    t : ndarray, shape (...)
        In the units of ``tau``.

    Raises
    ------
    ValueError
        Unless ``0 < a0 <= a < s / d`` and ``d`` and ``tau`` are positive.

    Notes
    -----
    The flow is from Saxe et al. 2014; the time law for every depth is derived in
    chapter "Deep linear networks". For ``L = 2`` the first term is :math:`\ln(x/x_0)`; for ``L = 1`` it is
    absent.

    Examples
    --------
    >>> bool(depth_time(0.5, s=1.0, a0=1e-3, depth=3) > depth_time(0.5, s=1.0, a0=1e-3, depth=2))
    True
    """
    a, s, a0, d = _arrays(tau, a=a, s=s, a0=a0, d=d)
    depth = checks.count("depth", depth)
    checks.need((a0 > 0).all(), "a0", "strengths above 0", a0)
    checks.need(((a0 <= a) & (a * d < s)).all(), "a", "strengths from a0 to below s / d", a)
    star = (s / d) ** (1 / depth)
    z, z0 = (_depth_logit(v * d / s, depth) for v in (a, a0))
    return tau * (_depth_clock(z, depth) - _depth_clock(z0, depth)) / (s * star ** (depth - 2.0))


def depth_strength(t, s, a0, depth, d=1.0, tau=1.0):
    r"""Strength of a balanced mode of an ``L``-layer network.

    Inverts :func:`depth_time` by bisection in :math:`\ln\frac{x}{1-x}`.

    Parameters
    ----------
    t : array_like, shape (...)
        Times, ``t >= 0``.
    s, a0, depth, d, tau
        As in :func:`depth_time`.

    Returns
    -------
    a : ndarray, shape (...)
        Increases from ``a0`` to ``s / d``.

    Raises
    ------
    ValueError
        If a time is negative, or unless ``0 < a0 < s / d`` and ``d`` and ``tau`` are positive.

    Examples
    --------
    >>> bool(np.isclose(depth_strength(2.0, 1.0, 0.01, 2), mode_strength(2.0, 1.0, 0.01), rtol=1e-12))
    True
    """
    t, s, a0, d = _arrays(tau, t=t, s=s, a0=a0, d=d)
    depth = checks.count("depth", depth)
    checks.need(((0 < a0) & (a0 * d < s)).all(), "a0", "strengths above 0 and below s / d", a0)
    z0 = _depth_logit(a0 * d / s, depth)
    clock = t / tau * s * (s / d) ** ((depth - 2.0) / depth) + _depth_clock(z0, depth)
    low, high = z0.copy(), np.maximum(z0, 0) + 40.0  # x = 1 to double precision at the upper end
    for _ in range(64):
        middle = (low + high) / 2
        late = _depth_clock(middle, depth) > clock
        low, high = np.where(late, low, middle), np.where(late, middle, high)
    return np.maximum(s / d * expit((low + high) / 2) ** depth, a0)


@dataclass(frozen=True)
class Modes:
    r"""Singular modes of a data set, :math:`\Sigma^{yx} = U\,\mathrm{diag}(s)\,V^\top`.

    Attributes
    ----------
    U : ndarray, shape (n_outputs, k)
        Output modes, strongest first.
    s : ndarray, shape (k,)
        Input-output correlations.
    V : ndarray, shape (n_inputs, k)
        Input modes.
    d : ndarray, shape (k,)
        Input variances along them, :math:`v^\top \Sigma^x v`.
    mixing : float
        Size of the off-diagonal part of :math:`V^\top\Sigma^x V` relative to the whole (Frobenius norms). The
        modes evolve independently only if it is zero, and :math:`\Sigma^x` maps their span to itself.
    """

    U: np.ndarray
    s: np.ndarray
    V: np.ndarray
    d: np.ndarray
    mixing: float

    def strengths(self, maps):
        r"""Diagonal :math:`u_\alpha^\top W v_\alpha` of input-output maps ``(..., n_outputs, n_inputs)``."""
        maps = checks.array("maps", maps, shape=(..., len(self.U), len(self.V)))
        return np.einsum("oa,...oi,ia->...a", self.U, maps, self.V, optimize=True)

    def loss(self, a, power):
        r"""Loss at given strengths.

        .. math:: \tfrac{1}{2}\langle\|y\|^2\rangle
            - \sum_\alpha \left(s_\alpha a_\alpha - \tfrac{1}{2} d_\alpha a_\alpha^2\right)

        Parameters
        ----------
        a : array_like, shape (..., k)
            Strengths.
        power : float
            Mean squared norm of the targets.
        """
        a, power = checks.array("a", a, shape=(..., len(self.s))), checks.nonnegative("power", power)
        return power / 2 + (0.5 * self.d * a**2 - self.s * a).sum(axis=-1)


def modes(sigma_yx, sigma_x, rank=None):
    r"""Decompose the correlations of a data set.

    Parameters
    ----------
    sigma_yx : array_like, shape (n_outputs, n_inputs)
        Input-output correlation, see :func:`gdln.linear.modes.correlations`.
    sigma_x : array_like, shape (n_inputs, n_inputs)
        Input correlation.
    rank : int, optional
        Number of modes to keep; by default those with :math:`s > 10^{-12} s_1`.

    Returns
    -------
    modes : Modes
        Strongest first.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, ``sigma_x`` is not symmetric, or ``rank`` is out of
        range.
    """
    sigma_yx, sigma_x = _check_correlations(sigma_yx, sigma_x)
    rank = None if rank is None else checks.count("rank", rank, least=0, most=min(sigma_yx.shape))
    U, s, Vt = np.linalg.svd(sigma_yx, full_matrices=False)
    # a correlation from data has rounding of about 1e-15 where it has no mode
    k = int((s > 1e-12 * s[0]).sum()) if rank is None else rank
    U, s, V = U[:, :k], s[:k], Vt[:k].T
    inside = V.T @ sigma_x @ V
    d = np.diag(inside).copy()
    whole = np.linalg.norm(sigma_x @ V)  # counts what leaves the span of V, too
    off = np.linalg.norm(sigma_x @ V - V * d)
    return Modes(U=U, s=s, V=V, d=d, mixing=float(off / whole) if whole else 0.0)


def correlations(X, Y):
    r"""Second moments of a data set.

    :math:`\Sigma^{yx} = \langle y x^\top\rangle` and :math:`\Sigma^x = \langle x x^\top\rangle`.

    Parameters
    ----------
    X : array_like, shape (n, n_inputs)
        Inputs, one row a sample.
    Y : array_like, shape (n, n_outputs)
        Targets.

    Returns
    -------
    sigma_yx : ndarray, shape (n_outputs, n_inputs)
        Input-output correlation.
    sigma_x : ndarray, shape (n_inputs, n_inputs)
        Input correlation.

    Raises
    ------
    ValueError
        If ``X`` and ``Y`` differ in length, there is no sample, or an entry is not finite.
    """
    X = checks.array("X", X, ndim=2)
    Y = checks.array("Y", Y, shape=(len(X), None))
    return Y.T @ X / len(X), X.T @ X / len(X)


def _riccati(t, s, P, q, d):
    """Solve dP/dt = 2 s P - d (P^2 - q^2) / 2 for P >= 0; see :func:`chain_weights`."""
    s, P, q, d = np.broadcast_arrays(s, P, q, d)
    R = np.hypot(2 * s, d * q)
    near = np.where(s >= 0, R + 2 * s, R - 2 * s)
    far = np.divide((d * q) ** 2, near, out=np.zeros_like(near), where=near > 0)
    up, down = np.where(s >= 0, near, far), np.where(s >= 0, far, near)
    still = R == 0  # s = q = 0: dP/dt = -d P^2 / 2
    e = np.exp(-R * t)
    rise = np.where(still, t, -np.expm1(-R * t))
    up, down, e = np.where(still, 1.0, up), np.where(still, 1.0, down), np.where(still, 1.0, e)
    top = P * (up + down * e) + d * q**2 * rise
    bottom = down + up * e + d * P * rise
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _growing(t, s, gain, d, rate):
    """Return s / (d + gain exp(rate t)), in the memory of the result alone: with many modes that takes most time."""
    a = np.empty(np.broadcast_shapes(*map(np.shape, (t, s, gain, d))))
    if rate.ndim == 1 and t.ndim == 2 and a.shape == (len(t), len(rate)) and t.shape[1] == 1:
        np.dot(t, rate[None], out=a)  # a column times a row: the same bits in half the time of broadcasting
    else:
        np.multiply(rate, t, out=a)
    np.exp(a, out=a)
    a *= gain
    a += d
    np.divide(s, a, out=a)
    return a if a.ndim else a[()]


def _mean_decay(rate, t):
    """Integral of exp(-rate u) over u from 0 to t, also at rate zero."""
    return np.where(rate > 0, -np.expm1(-rate * t) / np.where(rate > 0, rate, 1.0), t)


def _depth_logit(share, depth):
    """Map a share a d / s of the final strength to z = logit of its depth-th root, accurate near one."""
    log_x = np.log(share) / depth
    return log_x - np.log(-np.expm1(log_x))


def _depth_clock(z, depth):
    """Time law of :func:`depth_time` at x = expit(z), up to a constant, without the prefactor."""
    x = expit(z)
    omega = np.exp(2j * np.pi * np.arange(1, depth) / depth)  # the root 1 is taken apart: log(1 - x) from z
    G = -log_expit(-z) - sum((w**2 * np.log(1 - x / w)).real for w in omega)
    if depth == 1:
        return G
    if depth == 2:
        return log_expit(z) + G / depth
    return G / depth - x ** (2.0 - depth) / (depth - 2)


def _check_correlations(sigma_yx, sigma_x):
    sigma_yx = checks.array("sigma_yx", sigma_yx, ndim=2)
    n = sigma_yx.shape[1]
    sigma_x = checks.array("sigma_x", sigma_x, shape=(n, n))
    return sigma_yx, checks.symmetric("sigma_x", sigma_x, rtol=1e-10)


#: Ranges of the numbers of a mode; a time starts at zero.
_RANGES = {"t": {"least": 0.0}, "d": {"above": 0.0}}


def _arrays(tau, **values):
    """Broadcast the numbers that :func:`_checked` lets pass."""
    return checks.together(**dict(zip(values, _checked(tau, **values), strict=True)))


def _checked(tau, **values):
    """Return finite numbers as arrays; ``tau`` and ``d`` must be positive, a time ``t`` not negative."""
    checks.positive("tau", tau)
    return [checks.array(name, v, **_RANGES.get(name, {})) for name, v in values.items()]
