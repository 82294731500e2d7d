r"""Infinitely wide deep *linear* networks with a bottleneck: exact reduction, closed forms, acceleration.

With :math:`\phi = \mathrm{id}` the function-space dynamics of a bottleneck network is that of two matrices,
:math:`W = AB/\sqrt d`, with the learning rates :math:`c_f` and :math:`c_g`. Derived in chapter "Linear
acceleration"; inputs are :math:`\hat x = x/\sqrt{n_0}`, correlations :math:`\Sigma_{y\hat x}` and
:math:`\Sigma` as in :func:`gdln.linear.modes.correlations`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from gdln import checks
from gdln.integration import RTOL, integrate

#: Below which an entry of a moment, of order one, counts as zero: they may pass through it, where no digit is left.
ATOL = 1e-12


@dataclass(frozen=True)
class LinearFlow:
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
    layers_g, layers_f = checks.count("layers_g", layers_g), checks.count("layers_f", layers_f)
    sigma_w = checks.positive("sigma_w", sigma_w)
    return layers_g * sigma_w ** (2 * layers_g), layers_f * sigma_w ** (2 * layers_f)


def flow(A, B, sigma_yx, sigma, c_g, c_f, times, rtol=RTOL, atol=ATOL):
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
    run : LinearFlow
        At the given times.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or an argument is of the wrong kind or range.

    Notes
    -----
    Stable at every width, unlike :func:`moment_flow`. :math:`c_gA^\top A - c_fBB^\top` is conserved.
    """
    A, B = _pair(A, B)
    (k, d), n = A.shape, B.shape[1]
    sigma_yx, sigma, times = _task(sigma_yx, sigma, times, k, n)
    c_g, c_f = _rates(c_g, c_f)
    rtol, atol = checks.positive("rtol", rtol), checks.positive("atol", atol)
    root = np.sqrt(d)

    def slope(_, v):
        A, B = v[: k * d].reshape(k, d), v[k * d :].reshape(d, n)
        S = sigma_yx - (A @ B) @ sigma / root
        return np.concatenate([(c_f / root * S @ B.T).ravel(), (c_g / root * A.T @ S).ravel()])

    v = integrate(slope, np.concatenate([A.ravel(), B.ravel()]), times, rtol, atol)
    A, B = v[:, : k * d].reshape(-1, k, d), v[:, k * d :].reshape(-1, d, n)
    return LinearFlow(times, A @ B / root, A @ A.swapaxes(1, 2) / d, B.swapaxes(1, 2) @ B / d)


def moment_flow(W, P, Q, sigma_yx, sigma, c_g, c_f, d, times, rtol=RTOL, atol=ATOL):
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
    run : LinearFlow
        At the given times.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range, or :math:`d` is smaller than the rank of the target and of
        both moments can be: the constraint :math:`\mathrm{rank}\,W\le d` is then an unstable manifold of this system,
        and rounding errors grow without bound. Use :func:`flow`.
    gdln.checks.Diverged
        If a moment stops being positive semi-definite.
    """
    W = checks.array("W", W, shape=("k", "n_inputs"))
    k, n = W.shape
    P, Q = checks.array("P", P, shape=(k, k)), checks.array("Q", Q, shape=(n, n))
    P, Q = checks.psd("P", P), checks.psd("Q", Q)
    sigma_yx, sigma, times = _task(sigma_yx, sigma, times, k, n)
    c_g, c_f = _rates(c_g, c_f)
    d = checks.positive("d", d, infinite=True)
    rtol, atol = checks.positive("rtol", rtol), checks.positive("atol", atol)
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
    run = LinearFlow(times, *_split(v, k, n))
    lowest = np.minimum(np.linalg.eigvalsh(run.P)[:, 0], np.linalg.eigvalsh(run.Q)[:, 0])
    lost = np.flatnonzero(lowest <= -1e-6 * max(np.abs(run.P).max(), np.abs(run.Q).max()))
    if lost.size:
        time = float(times[lost[0]])
        raise checks.Diverged(
            f"a moment lost its sign at t={time:.4g}: eigenvalue {lowest[lost[0]]:.2g}; integrate A and B instead",
            time=time,
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
    b, S, d, b0 = _mode(b, S, d, b0)
    c_g, c_f = _rates(c_g, c_f)
    smaller = np.abs(b) < np.abs(b0)
    if smaller.any():
        raise ValueError(
            f"b needs a size of at least that of b0, a mode does not shrink; got {b[smaller].flat[0]:.6g} "
            f"with b0 = {b0[smaller].flat[0]:.6g}"
        )
    # factors of b^2 - b0^2 under roots of their own, so that it neither cancels nor overflows
    grown = np.sqrt(np.abs(b) - np.abs(b0)) * np.sqrt(np.abs(b) + np.abs(b0))
    return np.hypot(c_g + c_f, np.sqrt(4 * c_g * c_f / d) * grown)


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
    b, S, d, b0 = _mode(b, S, d, b0)
    c_g, c_f = _rates(c_g, c_f)
    variance = checks.positive("variance", variance)
    outside = ~((0 <= b0) & (b0 <= b) & (b < S))
    if outside.any():
        b0, b, S = (v[outside].flat[0] for v in (b0, b, S))
        raise ValueError(f"b needs 0 <= b0 <= b < S, got b0 = {b0:.6g}, b = {b:.6g}, S = {S:.6g}")
    return _clock(np.log((S - b0) / (S - b)), b, S, d, c_g, c_f, b0) / variance


def mode_strength(t, S, d, c_g, c_f, variance=1.0, b0=0.0):
    r"""Strength of an aligned mode at time ``t``, by bisection of :func:`mode_time`.

    Parameters
    ----------
    t : array_like
        Times, not negative; ``inf`` is allowed.
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
    t = checks.times("t", t, infinite=True)
    _, S, d, b0 = _mode(0.0, S, d, b0)
    t, S, d, b0 = checks.together(t=t, S=S, d=d, b0=b0)
    c_g, c_f = _rates(c_g, c_f)
    variance = checks.positive("variance", variance)
    outside = ~((0 <= b0) & (b0 < S))
    if outside.any():
        raise ValueError(
            f"b0 needs 0 <= b0 < S, got b0 = {b0[outside].flat[0]:.6g}, S = {S[outside].flat[0]:.6g}"
        )
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
    S = checks.array("S", S)
    c_g, c_f = _rates(c_g, c_f)
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
    residual = checks.number("residual", residual, above=0, below=1)
    checks.choice("asymptotic", asymptotic, (False, True))
    S = checks.array("S", S, above=0)
    c_g, c_f = _rates(c_g, c_f)
    wait = np.log(1 / residual)
    if asymptotic:
        rho = acceleration(S, d, c_g, c_f)
        return rho * wait / (wait + np.log(2 * rho**2 / (1 + rho)))
    return wait / (c_g + c_f) / mode_time((1 - residual) * S, S, d, c_g, c_f)


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
    A, B = _pair(A, B)
    (k, d), n = A.shape, B.shape[1]
    target = _target(target, (k, n))
    c_g, c_f = _rates(c_g, c_f)
    level, variance, longest = (
        checks.positive(name, value)
        for name, value in (("level", level), ("variance", variance), ("longest", longest))
    )
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
    # one draw of many, whose times differ by per cent: six digits are plenty
    end = solve_ivp(slope, (0, longest), start, events=reached, rtol=1e-6, atol=1e-8)
    return float(end.t_events[0][0]) if end.t_events[0].size else np.inf


def descent_steps(A, B, target, sigma, c_g, c_f, lrs, level, longest=2000):
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
    lrs : array_like, shape (m,)
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
        If only one of ``A`` and ``B`` is None, or an argument is of the wrong shape or range.
    """
    checks.need((A is None) == (B is None), "B", "to come together with A, or None for both", B)
    if A is not None:
        A, B = _pair(A, B)
    target = _target(target, ("k", "n_inputs") if A is None else (len(A), B.shape[1]))
    sigma = checks.array("sigma", sigma, shape=(target.shape[1], target.shape[1]))
    sigma = checks.symmetric("sigma", sigma)
    c_g, c_f = _rates(c_g, c_f)
    eta = checks.array("lrs", lrs, ndim=1, above=0)[:, None, None]
    level, longest = checks.positive("level", level), checks.count("longest", longest, least=0)
    W = np.zeros((eta.size, *target.shape))
    if A is not None:
        A, B = (np.repeat(v[None], eta.size, axis=0) for v in (A, B))
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
    W = checks.array("W", W, shape=("k", "n"))
    S = checks.array("S", S, shape=W.shape)
    depth, rate = checks.count("depth", depth), checks.number("rate", rate)
    U, s, Vt = np.linalg.svd(W, full_matrices=True)

    def power(frame, exponent):
        values = np.zeros(len(frame))
        values[: s.size] = s
        return np.eye(len(frame)) if exponent == 0 else frame * values**exponent @ frame.T

    return rate * sum(
        power(U, 2 * (depth - j) / depth) @ S @ power(Vt.T, 2 * (j - 1) / depth) for j in range(1, depth + 1)
    )


def _rates(c_g, c_f):
    c_g, c_f = checks.nonnegative("c_g", c_g), checks.nonnegative("c_f", c_f)
    checks.need(c_g + c_f > 0, "c_g and c_f", "rates that are not both zero", 0.0)
    return c_g, c_f


def _pair(A, B):
    """The two matrices, (k, d) and (d, n_inputs)."""
    A = checks.array("A", A, shape=("k", "d"))
    return A, checks.array("B", B, shape=(A.shape[1], "n_inputs"))


def _task(sigma_yx, sigma, times, k, n):
    sigma_yx = checks.array("sigma_yx", sigma_yx, shape=(k, n))
    sigma = checks.symmetric("sigma", checks.array("sigma", sigma, shape=(n, n)))
    return sigma_yx, sigma, checks.times("times", times, ndim=1, ordered=True)


def _target(target, shape):
    target = checks.array("target", target, shape=shape)
    checks.need(target.any(), "target", "a map that is not zero", target)
    return target


def _mode(b, S, d, b0):
    """Strength, target, width and start of a mode, broadcast."""
    b, S, b0 = (checks.array(name, v) for name, v in (("b", b), ("S", S), ("b0", b0)))
    return checks.together(b=b, S=S, d=checks.array("d", d, finite=False, above=0), b0=b0)


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
