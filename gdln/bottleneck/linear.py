r"""Infinitely wide deep *linear* networks with a bottleneck: exact reduction, closed forms, acceleration.

With :math:`\phi = \mathrm{id}` the function-space dynamics of a bottleneck network is that of two matrices,
:math:`W = AB/\sqrt d`, with the learning rates :math:`c_f` and :math:`c_g`. Derived in chapter "Linear
acceleration"; inputs are :math:`\hat x = x/\sqrt{n_0}`, correlations :math:`\Sigma_{y\hat x}` and
:math:`\Sigma` as in :func:`gdln.linear.modes.correlations`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from gdln.integration import integrate


@dataclass(frozen=True)
class LinearRun:
    """End-to-end map and moments along time.

    Attributes
    ----------
    times : ndarray, shape (m,)
        Times.
    W : ndarray, shape (m, k, n_inputs)
        Input-output map.
    P : ndarray, shape (m, k, k)
        :math:`AA^\top/d`.
    Q : ndarray, shape (m, n_inputs, n_inputs)
        :math:`B^\top B/d`.
    """

    times: np.ndarray
    W: np.ndarray
    P: np.ndarray
    Q: np.ndarray


def layer_rates(layers_g, layers_f, sigma_w=1.0):
    r"""Learning rates of the two halves, :math:`c = L\,\sigma_w^{2L}`.

    Parameters
    ----------
    layers_g, layers_f : int
        Weight layers below and above the bottleneck.
    sigma_w : float, optional
        Standard deviation of the weights.

    Returns
    -------
    c_g, c_f : float
        Rates of :math:`B` and of :math:`A`.

    Notes
    -----
    The closed forms of a mode (:func:`mode_rate`, :func:`mode_time`, :func:`acceleration`, :func:`speed_up`) assume
    moments that start at :math:`P_0 = Q_0 = I`, which ``sigma_w = 1`` gives. For another one use ``S / sigma_w**L``
    with :math:`L = L_g + L_f` and the rates of ``sigma_w = 1``, and divide the times by :math:`\sigma_w^{2L}`.
    """
    if layers_g < 1 or layers_f < 1:
        raise ValueError(f"need a layer on each side of the bottleneck, got {layers_g} and {layers_f}")
    return layers_g * sigma_w ** (2 * layers_g), layers_f * sigma_w ** (2 * layers_f)


def flow(A, B, sigma_yx, sigma, c_g, c_f, times, rtol=1e-10, atol=1e-12):
    r"""Gradient flow of the two matrices.

    .. math:: \dot A = \tfrac{c_f}{\sqrt d} S B^\top, \qquad \dot B = \tfrac{c_g}{\sqrt d} A^\top S, \qquad
        S = \Sigma_{y\hat x} - W\Sigma .

    Parameters
    ----------
    A : array_like, shape (k, d)
        Upper matrix.
    B : array_like, shape (d, n_inputs)
        Lower matrix.
    sigma_yx, sigma : array_like
        Correlations, shapes (k, n_inputs) and (n_inputs, n_inputs).
    c_g, c_f : float
        Rates, see :func:`layer_rates`.
    times : array_like, shape (m,)
        Increasing times, the first is the start.
    rtol, atol : float, optional
        Tolerances of the solver.

    Returns
    -------
    run : LinearRun
        At the given times.

    Raises
    ------
    ValueError
        If shapes do not fit, or a rate is negative.

    Notes
    -----
    Stable at every width, unlike :func:`moment_flow`. :math:`c_gA^\top A - c_fBB^\top` is conserved.
    """
    A, B = np.asarray(A, dtype=float), np.asarray(B, dtype=float)
    sigma_yx, sigma, times = (np.asarray(v, dtype=float) for v in (sigma_yx, sigma, times))
    (k, d), n = A.shape, B.shape[1]
    if B.shape[0] != d or sigma_yx.shape != (k, n) or sigma.shape != (n, n):
        raise ValueError(
            f"need A (k, d), B (d, n), sigma_yx (k, n), sigma (n, n); got {A.shape}, {B.shape}, "
            f"{sigma_yx.shape}, {sigma.shape}"
        )
    _check_rates(d, c_g, c_f)
    root = np.sqrt(d)

    def slope(_, v):
        A, B = v[: k * d].reshape(k, d), v[k * d :].reshape(d, n)
        S = sigma_yx - (A @ B) @ sigma / root
        return np.concatenate([(c_f / root * S @ B.T).ravel(), (c_g / root * A.T @ S).ravel()])

    v = integrate(slope, np.concatenate([A.ravel(), B.ravel()]), times, rtol, atol)
    A, B = v[:, : k * d].reshape(-1, k, d), v[:, k * d :].reshape(-1, d, n)
    return LinearRun(times, A @ B / root, A @ A.swapaxes(1, 2) / d, B.swapaxes(1, 2) @ B / d)


def moment_flow(W, P, Q, sigma_yx, sigma, c_g, c_f, d, times, rtol=1e-10, atol=1e-12):
    r"""Closed system for the map and the two moments.

    .. math:: \dot W = c_gPS + c_fSQ,\quad \dot P = \tfrac{c_f}{d}(SW^\top + WS^\top),\quad
        \dot Q = \tfrac{c_g}{d}(W^\top S + S^\top W) .

    Parameters
    ----------
    W, P, Q : array_like
        Start, shapes (k, n_inputs), (k, k), (n_inputs, n_inputs).
    sigma_yx, sigma, c_g, c_f, times, rtol, atol
        As in :func:`flow`.
    d : float
        Bottleneck width; ``inf`` for the infinite network, whose moments stand still.

    Returns
    -------
    run : LinearRun
        At the given times.

    Raises
    ------
    ValueError
        If :math:`d` is smaller than the rank of the target and of both moments can be: the constraint
        :math:`\mathrm{rank}\,W\le d` is then an unstable manifold of this system, and rounding errors grow
        without bound. Use :func:`flow`.
    FloatingPointError
        If a moment stops being positive semi-definite.
    """
    W, P, Q, sigma_yx, sigma = (np.asarray(v, dtype=float) for v in (W, P, Q, sigma_yx, sigma))
    times = np.asarray(times, dtype=float)
    k, n = W.shape
    rank = np.linalg.matrix_rank(sigma_yx)
    if d < min(k, n) and rank > d:
        raise ValueError(
            f"need a bottleneck no narrower than the rank of the target, got d={d} and rank {rank}: "
            "the closed system is unstable there; integrate A and B with flow(...)"
        )

    def slope(_, v):
        W, P, Q = _split(v, k, n)
        S = sigma_yx - W @ sigma
        SW, WS = S @ W.T, W.T @ S
        slopes = c_g * P @ S + c_f * S @ Q, c_f / d * (SW + SW.T), c_g / d * (WS + WS.T)
        return np.concatenate([x.ravel() for x in slopes])

    v = integrate(slope, np.concatenate([x.ravel() for x in (W, P, Q)]), times, rtol, atol)
    run = LinearRun(times, *_split(v, k, n))
    lowest = min(np.linalg.eigvalsh(run.P)[:, 0].min(), np.linalg.eigvalsh(run.Q)[:, 0].min())
    scale = max(np.abs(run.P).max(), np.abs(run.Q).max())
    if not lowest > -1e-6 * scale:
        raise FloatingPointError(
            f"a moment lost its sign: eigenvalue {lowest:.2g}; integrate A and B instead"
        )
    return run


def mode_rate(b, S, d, c_g, c_f, b0=0.0):
    r"""Kernel along an aligned mode, :math:`h(b) = \sqrt{h_0^2 + \kappa(b^2 - b_0^2)}`.

    Parameters
    ----------
    b : array_like
        Strength of the mode.
    S : array_like
        Its target strength; only fixes the shape.
    d : array_like
        Bottleneck width, ``inf`` allowed.
    c_g, c_f : float
        Rates; :math:`h_0 = c_g + c_f`, :math:`\kappa = 4c_gc_f/d`.
    b0 : array_like, optional
        Initial strength.

    Returns
    -------
    h : ndarray
        The mode learns as :math:`\dot b = \lambda h(b)(S - b)` on white inputs of variance :math:`\lambda`.

    Raises
    ------
    ValueError
        If d is not positive, a rate is negative or both vanish, or ``b`` is smaller than ``b0``.
    """
    b, _, d, b0 = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (b, S, d, b0)))
    _check_rates(d, c_g, c_f)
    if (np.abs(b) < np.abs(b0)).any():
        raise ValueError(f"need |b| >= |b0|, a mode does not shrink; got b={b}, b0={b0}")
    return np.sqrt((c_g + c_f) ** 2 + 4 * c_g * c_f / d * (b**2 - b0**2))


def mode_time(b, S, d, c_g, c_f, variance=1.0, b0=0.0):
    r"""Time an aligned mode needs to reach strength ``b``.

    With :math:`m^2 = h_0^2 - \kappa b_0^2`, :math:`R = \sqrt{m^2 + \kappa b^2}` and
    :math:`h_\infty = R(S)`,

    .. math:: t(b) = \frac{1}{\lambda h_\infty}\ln
        \frac{(h_\infty R(b) + m^2 + \kappa S b)(S - b_0)}{(h_\infty h_0 + m^2 + \kappa S b_0)(S - b)} .

    Parameters
    ----------
    b, S, d, c_g, c_f, b0
        As in :func:`mode_rate`.
    variance : float, optional
        :math:`\lambda`, input variance.

    Returns
    -------
    t : ndarray
        At ``d = inf`` it is :math:`\ln\frac{S-b_0}{S-b}/(\lambda h_0)`.

    Raises
    ------
    ValueError
        Unless ``0 <= b0 <= b < S``.
    """
    b, S, d, b0 = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (b, S, d, b0)))
    if not ((0 <= b0) & (b0 <= b) & (b < S)).all():
        raise ValueError(f"need 0 <= b0 <= b < S, got b0={b0}, b={b}, S={S}")
    _check_rates(d, c_g, c_f)
    return _clock(np.log((S - b0) / (S - b)), b, S, d, c_g, c_f, b0) / variance


def mode_strength(t, S, d, c_g, c_f, variance=1.0, b0=0.0):
    r"""Strength of an aligned mode at time ``t``, by bisection of :func:`mode_time`.

    Parameters
    ----------
    t : array_like
        Times, not negative.
    S, d, c_g, c_f, variance, b0
        As in :func:`mode_time`.

    Returns
    -------
    b : ndarray
        Rises from ``b0`` to ``S``.

    Raises
    ------
    ValueError
        If a time is negative, or unless ``0 <= b0 < S``.
    """
    t, S, d, b0 = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (t, S, d, b0)))
    if (t < 0).any() or not ((0 <= b0) & (b0 < S)).all():
        raise ValueError(f"need t >= 0 and 0 <= b0 < S, got t={t}, b0={b0}, S={S}")
    low, high = np.zeros(t.shape), variance * t * mode_rate(S, S, d, c_g, c_f, b0)
    for _ in range(70):  # in z = ln (S - b0)/(S - b), which grows at most at the final rate
        z = (low + high) / 2
        late = _clock(z, S + (b0 - S) * np.exp(-z), S, d, c_g, c_f, b0) > variance * t
        low, high = np.where(late, low, z), np.where(late, z, high)
    return S + (b0 - S) * np.exp(-(low + high) / 2)


def acceleration(S, d, c_g, c_f):
    r"""Final over initial rate of an aligned mode, :math:`\rho = \sqrt{1 + \frac{4c_gc_f}{(c_g+c_f)^2}\frac{S^2}{d}}`.

    Parameters
    ----------
    S, d, c_g, c_f
        As in :func:`mode_rate`.

    Returns
    -------
    rho : ndarray
        At least one.

    Examples
    --------
    >>> round(float(acceleration(3.0, 1, 1, 1)), 4)
    3.1623
    """
    return mode_rate(S, S, d, c_g, c_f) / (c_g + c_f)


def speed_up(S, d, c_g, c_f, residual, asymptotic=False):
    r"""Time of the infinitely wide network over that of the bottleneck, to a residual :math:`\varepsilon = (S-b)/S`.

    Parameters
    ----------
    S, d, c_g, c_f
        As in :func:`mode_rate`; start at zero.
    residual : float
        :math:`\varepsilon`, between 0 and 1.
    asymptotic : bool, optional
        The law for small residuals,
        :math:`\rho\ln\frac1\varepsilon/(\ln\frac1\varepsilon + \ln\frac{2\rho^2}{1+\rho})`, instead of the exact
        ratio.

    Returns
    -------
    ratio : ndarray
        At least one for aligned modes.

    Raises
    ------
    ValueError
        Unless ``0 < residual < 1``.
    """
    if not 0 < residual < 1:
        raise ValueError(f"need 0 < residual < 1, got {residual}")
    wait = np.log(1 / residual)
    if asymptotic:
        rho = acceleration(S, d, c_g, c_f)
        return rho * wait / (wait + np.log(2 * rho**2 / (1 + rho)))
    return wait / (c_g + c_f) / mode_time((1 - residual) * np.asarray(S, dtype=float), S, d, c_g, c_f)


def time_to_level(A, B, target, c_g, c_f, level, variance=1.0, longest=1e5):
    r"""Time until :math:`\|W - W^*\|^2` falls to a fraction of :math:`\|W^*\|^2` on white inputs.

    Parameters
    ----------
    A, B, c_g, c_f
        As in :func:`flow`.
    target : array_like, shape (k, n_inputs)
        :math:`W^*`.
    level : float
        The fraction.
    variance : float, optional
        :math:`\lambda`, input variance.
    longest : float, optional
        Give up after this time.

    Returns
    -------
    t : float
        ``inf`` if the level is not reached.

    Raises
    ------
    ValueError
        If shapes do not fit, the target is zero, or not ``0 < level``.
    """
    A, B, target = (np.asarray(v, dtype=float) for v in (A, B, target))
    (k, d), n = A.shape, B.shape[1]
    if B.shape[0] != d or target.shape != (k, n):
        raise ValueError(f"need A (k, d), B (d, n), target (k, n); got {A.shape}, {B.shape}, {target.shape}")
    if not level > 0 or not target.any():
        raise ValueError(f"need level > 0 and a target that is not zero, got level={level}")
    _check_rates(d, c_g, c_f)
    root, goal = np.sqrt(d), np.log(level * np.square(target).sum())

    def error(v):
        return target - v[: k * d].reshape(k, d) @ v[k * d :].reshape(d, n) / root

    def slope(_, v):
        S = variance / root * error(v)
        A, B = v[: k * d].reshape(k, d), v[k * d :].reshape(d, n)
        return np.concatenate([(c_f * S @ B.T).ravel(), (c_g * A.T @ S).ravel()])

    def reached(_, v):
        return np.log(np.square(error(v)).sum()) - goal

    reached.terminal, reached.direction = True, -1
    start = np.concatenate([A.ravel(), B.ravel()])
    if reached(0, start) <= 0:
        return 0.0
    end = solve_ivp(slope, (0, longest), start, events=reached, rtol=1e-6, atol=1e-8)
    return float(end.t_events[0][0]) if end.t_events[0].size else np.inf


def descent_steps(A, B, target, sigma, c_g, c_f, learning_rates, level, longest=2000):
    r"""Steps of gradient descent until the loss falls to a fraction of that of the zero map.

    Parameters
    ----------
    A, B : array_like or None
        Start as in :func:`flow`; ``None`` for both is the infinite network from :math:`W = 0`.
    target : array_like, shape (k, n_inputs)
        :math:`W^*`.
    sigma : array_like, shape (n_inputs, n_inputs)
        Input correlation.
    c_g, c_f : float
        Rates.
    learning_rates : array_like, shape (m,)
        Step sizes, all run side by side.
    level : float
        The fraction.
    longest : int, optional
        Give up after so many steps.

    Returns
    -------
    steps : ndarray, shape (m,)
        ``inf`` where the level is not reached, or the step is too large.

    Raises
    ------
    ValueError
        If only one of ``A`` and ``B`` is None.
    """
    if (A is None) != (B is None):
        raise ValueError("need both A and B, or None for both")
    target, sigma = np.asarray(target, dtype=float), np.asarray(sigma, dtype=float)
    eta = np.asarray(learning_rates, dtype=float)[:, None, None]
    W = np.zeros((eta.size, *target.shape))
    if A is not None:
        A, B = (np.repeat(np.asarray(v, dtype=float)[None], eta.size, axis=0) for v in (A, B))
        root = np.sqrt(A.shape[-1])
    goal = level * np.einsum("oi,ij,oj->", target, sigma, target, optimize=True)
    steps, alive = np.full(eta.size, np.inf), np.ones(eta.size, dtype=bool)
    for step in range(longest + 1):
        error = target - (W if A is None else A @ B / root)
        S = error @ sigma
        loss = (S * error).sum(axis=(1, 2))
        steps[alive & (loss < goal)] = step
        alive &= (loss >= goal) & (loss < 1e4 * goal / level)
        if not alive.any():
            break
        S = S * (eta * alive[:, None, None])
        if A is None:
            W = W + (c_g + c_f) * S
        else:
            A, B = A + c_f / root * S @ B.swapaxes(1, 2), B + c_g / root * A.swapaxes(1, 2) @ S
    return steps


def overparametrised_slope(W, S, depth=2, rate=1.0):
    r"""Slope of the end-to-end map of a balanced deep linear network.

    .. math:: \dot W = \eta\sum_{j=1}^N (WW^\top)^{\frac{N-j}{N}}\,S\,(W^\top W)^{\frac{j-1}{N}} .

    Parameters
    ----------
    W : array_like, shape (k, n)
        End-to-end map.
    S : array_like, shape (k, n)
        Minus the gradient of the loss with respect to it.
    depth : int, optional
        Number :math:`N` of layers.
    rate : float, optional
        :math:`\eta`.

    Returns
    -------
    slope : ndarray, shape (k, n)
        Arora, Cohen & Hazan 2018, Theorem 1 in continuous time.
    """
    U, s, Vt = np.linalg.svd(np.asarray(W, dtype=float), full_matrices=True)

    def power(frame, exponent):
        values = np.zeros(len(frame))
        values[: s.size] = s
        return np.eye(len(frame)) if exponent == 0 else frame * values**exponent @ frame.T

    return rate * sum(
        power(U, 2 * (depth - j) / depth) @ S @ power(Vt.T, 2 * (j - 1) / depth) for j in range(1, depth + 1)
    )


def _check_rates(d, c_g, c_f):
    if not (np.asarray(d) > 0).all() or not (c_g >= 0 and c_f >= 0 and c_g + c_f > 0):
        raise ValueError(f"need d > 0 and rates c_g, c_f >= 0 that are not both zero, got {d}, {c_g}, {c_f}")


def _clock(z, b, S, d, c_g, c_f, b0):
    """Time at unit variance, with z = ln (S - b0)/(S - b) given separately so that b may equal S."""
    kappa, h0 = 4 * c_g * c_f / d, c_g + c_f
    m2 = h0**2 - kappa * b0**2
    end = np.sqrt(m2 + kappa * S**2)
    top = end * np.sqrt(m2 + kappa * b**2) + m2 + kappa * S * b
    return (np.log(top / (end * h0 + m2 + kappa * S * b0)) + z) / end


def _split(v, k, n):
    shape = v.shape[:-1]
    W, P, Q = np.split(v, [k * n, k * n + k * k], axis=-1)
    return W.reshape(*shape, k, n), P.reshape(*shape, k, k), Q.reshape(*shape, n, n)
