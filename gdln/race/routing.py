r"""Routing networks in closed form: M inputs and M outputs that share their hidden edges, and the race they win.

Every route from an input to an output domain carries the same mapping,
:math:`\langle yx^\top\rangle=USV^\top`, :math:`\langle xx^\top\rangle=VDV^\top`, so one mode is described by three
numbers: :math:`B_1` (input edges), :math:`B_2` (hidden edge) and :math:`B_3` (output edges). All functions broadcast
over modes. The simulation that uses none of this is :mod:`gdln.race.routing_simulation`.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.integration import half_time, integrate
from gdln.linear.modes import depth_time

#: A digit more than :mod:`gdln.integration` asks for: three numbers a mode cost little, and reductions with many more
#: are held against them.
RTOL, ATOL = 1e-11, 1e-14


@dataclass(frozen=True)
class RoutingSolution:
    """Strengths of one routing network.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Times.
    B1, B2, B3 : ndarray, shape (n_times, n_modes)
        Strength of each input, hidden and output edge.
    n_trunk : int
        Hidden edges in series, all of strength ``B2``.
    """

    times: np.ndarray
    B1: np.ndarray
    B2: np.ndarray
    B3: np.ndarray
    n_trunk: int = 1

    @property
    def strength(self):
        """Strength of a route, shape (n_times, n_modes)."""
        return self.B1 * self.B2**self.n_trunk * self.B3

    @property
    def half_time(self):
        """Half-way time of the strength of a route, shape (n_modes,), see :func:`gdln.integration.half_time`."""
        return half_time(self.times, self.strength)


def solve_routing(S, D, n_domains, b0, times, n_trunk=1, tau=1.0, rtol=RTOL, atol=ATOL):
    r"""Reduced dynamics of the routing network, mode by mode.

    .. math:: \tau\dot B_1=\tfrac1MB_3B_2^h E,\quad \tau\dot B_2=B_3B_2^{h-1}B_1 E,\quad
        \tau\dot B_3=\tfrac1MB_2^hB_1 E,\qquad E=S-B_3B_2^hB_1D

    with :math:`h` hidden edges in series.

    Parameters
    ----------
    S, D : array_like, shape (n_modes,)
        Correlations of the base data set.
    n_domains : float
        :math:`M`. The number of trained outputs an input has does not appear.
    b0 : float or (array_like, array_like, array_like)
        Initial strength, one for all edges or one each for :math:`B_1, B_2, B_3`.
    times : array_like, shape (n_times,)
        Increasing times; the start is at the first.
    n_trunk : int, optional
        :math:`h`; Saxe et al. (2022), their eq. (44)-(46), have one.
    tau : float, optional
        Time constant.
    rtol, atol : float, optional
        Tolerances of :func:`gdln.integration.integrate`.

    Returns
    -------
    run : RoutingSolution
        Strengths at ``times``.

    Raises
    ------
    TypeError, ValueError
        If a count is not positive, there are neither one nor three initial strengths, or a number is not finite;
        names the argument.
    gdln.checks.Diverged
        If the strengths stop being finite; tells at which time.
    """
    n_domains, n_trunk = checks.positive("n_domains", n_domains), checks.count("n_trunk", n_trunk)
    tau = checks.positive("tau", tau)
    S, D = _modes(S=S, D=D)
    start = np.stack([_per_mode("b0", b, S.size) for b in _one_each(b0, 3)])
    times = checks.times("times", times, ndim=1, ordered=True, least=None)

    def slope(t, state):
        B1, B2, B3 = state.reshape(3, -1)
        trunk = B2**n_trunk
        error = (S - B3 * trunk * B1 * D) / tau
        inner = B3 * B2 ** (n_trunk - 1) * B1
        return np.concatenate([B3 * trunk * error / n_domains, inner * error, trunk * B1 * error / n_domains])

    B1, B2, B3 = np.moveaxis(integrate(slope, start.ravel(), times, rtol, atol).reshape(-1, 3, S.size), 1, 0)
    return RoutingSolution(times, B1, B2, B3, n_trunk)


@dataclass(frozen=True)
class HiddenSolution:
    """Strength of the hidden edge of a routing network.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Times.
    B2 : ndarray, shape (n_times, n_modes)
        Strength.
    """

    times: np.ndarray
    B2: np.ndarray


def solve_hidden(S, D, n_domains, C, b2, times, tau=1.0, rtol=RTOL, atol=ATOL):
    r"""Strength of the hidden edge from its own equation.

    .. math:: \tau\dot B_2=\tfrac1M(B_2^2+C)\Big[S-\tfrac1MB_2(B_2^2+C)D\Big],\qquad C=MB_1^2-B_2^2

    Parameters
    ----------
    S, D : array_like, shape (n_modes,)
        Correlations of the base data set.
    n_domains : float
        :math:`M`.
    C : array_like, shape (n_modes,)
        Conserved quantity, for a start with :math:`B_1=B_3`.
    b2 : array_like, shape (n_modes,)
        :math:`B_2(0)`.
    times, tau, rtol, atol
        As in :func:`solve_routing`.

    Returns
    -------
    solution : HiddenSolution
        Strength at ``times``. Saxe et al. (2022), their eq. (15).

    Raises
    ------
    TypeError, ValueError
        If ``n_domains`` or ``tau`` is not positive, shapes do not fit, or a number is not finite; names the argument.
    gdln.checks.Diverged
        If the strength stops being finite; tells at which time.
    """
    n_domains, tau = checks.positive("n_domains", n_domains), checks.positive("tau", tau)
    S, D, C, b2 = _modes(S=S, D=D, C=C, b2=b2)
    times = checks.times("times", times, ndim=1, ordered=True, least=None)

    def slope(t, B2):
        partners = (B2**2 + C) / n_domains
        return partners * (S - B2 * partners * D) / tau

    return HiddenSolution(times, integrate(slope, b2, times, rtol, atol))


def hidden_limit(S, D, n_domains, C=0.0):
    r"""Where the hidden edge ends, the root of :math:`B_2(B_2^2+C)=MS/D`.

    Parameters
    ----------
    S, D, C : array_like, shape (...)
        Correlations and conserved quantity.
    n_domains : float
        :math:`M`.

    Returns
    -------
    B2 : ndarray, shape (...)
        :math:`B_1=\sqrt{(B_2^2+C)/M}` follows. At :math:`C=0`, :math:`B_2=(MS/D)^{1/3}=\sqrt MB_1`.

    Raises
    ------
    ValueError
        Unless S, D and M are positive.

    Examples
    --------
    >>> round(float(hidden_limit(185**0.5 / 4, 1 / 4, 7)), 3)
    4.566
    """
    S, D, C = np.broadcast_arrays(
        checks.array("S", S, above=0), checks.array("D", D, above=0), checks.array("C", C)
    )
    n_domains = checks.positive("n_domains", n_domains)
    goal = n_domains * S / D
    root = np.cbrt(goal) + np.sqrt(np.maximum(-C, 0))  # right of the root, where the cubic is convex
    for _ in range(60):
        root = root - (root**3 + C * root - goal) / (3 * root**2 + C)
    return root


def hidden_time(B2, b2, S, D, n_domains, C=0.0, tau=1.0):
    r"""Exact time the hidden edge needs to grow from ``b2`` to ``B2``.

    .. math:: t=\tau M\int_{b_2}^{B_2}\frac{db}{(b^2+C)\big(S-\frac DMb(b^2+C)\big)}

    by partial fractions over the five roots of the denominator; at :math:`C=0` it is :math:`M` times the law of a
    balanced three-layer chain with :math:`d=D/M`.

    Parameters
    ----------
    B2 : array_like, shape (...)
        Strength to reach, below :func:`hidden_limit`.
    b2 : float
        Strength at the start.
    S, D, C : float
        Correlations and conserved quantity :math:`MB_1^2-B_2^2`.
    n_domains : float
        :math:`M`.
    tau : float, optional
        Time constant.

    Returns
    -------
    t : ndarray, shape (...)
        In the units of ``tau``. Derived in chapter "Routing".

    Raises
    ------
    ValueError
        If ``B2`` is not between ``b2`` and its limit, or ``b2**2 + C`` is not positive.
    """
    b2, C = checks.positive("b2", b2), checks.number("C", C)
    S, D, tau = checks.positive("S", S), checks.positive("D", D), checks.positive("tau", tau)
    checks.need(b2**2 + C > 0, "C", f"a number above -b2**2 = {-(b2**2):.6g}", C)
    limit = float(hidden_limit(S, D, n_domains, C))
    B2 = checks.array("B2", B2, least=b2, below=limit)
    if C == 0:
        return depth_time(np.maximum(B2**3, b2**3), S, b2**3, depth=3, d=D / n_domains, tau=n_domains * tau)
    pair = np.roots([1.0, limit, limit**2 + C]).astype(complex)
    ends = np.sqrt(complex(-C))
    roots = np.array([ends, -ends, limit, *pair])
    total = np.zeros(B2.shape, dtype=complex)
    for i, root in enumerate(roots):
        weight = 1 / np.prod(root - np.delete(roots, i))
        total += weight * (np.log(B2 - root) - np.log(b2 - root))
    return -tau * n_domains**2 / D * total.real


def escape_time(S, n_domains, C, b2, tau=1.0):
    r"""Length of the plateau, while :math:`B_2\simeq\sqrt C\tan(\arctan\frac{b_2}{\sqrt C}+\frac{S\sqrt C}{M\tau}t)`.

    .. math:: t_{\rm esc}=\frac{\tau M}{S\sqrt C}\arctan\frac{\sqrt C}{b_2}

    Parameters
    ----------
    S : array_like, shape (...)
        Input-output correlation.
    n_domains : float
        :math:`M`.
    C : array_like, shape (...)
        Conserved quantity, not negative; :math:`(M-1)b_0^2` from equal strengths :math:`b_0`.
    b2 : array_like, shape (...)
        Hidden strength at the start.
    tau : float, optional
        Time constant.

    Returns
    -------
    t : ndarray, shape (...)
        Inversely proportional to S. Derived in chapter "Routing".

    Raises
    ------
    ValueError
        If ``C`` is negative or ``b2`` is not positive.
    """
    S, C, b2 = np.broadcast_arrays(*_escape(S, C, b2))
    n_domains, tau = checks.positive("n_domains", n_domains), checks.positive("tau", tau)
    ratio = np.sqrt(C) / b2
    inverse = np.divide(np.arctan(ratio), ratio, out=np.ones_like(ratio), where=ratio > 0) / b2
    return tau * n_domains / S * inverse


def escape_strength(t, S, n_domains, C, b2, tau=1.0):
    r"""Hidden strength on the plateau, the law of :func:`escape_time`; infinite from that time on.

    Parameters
    ----------
    t : array_like, shape (...)
        Times.
    S, n_domains, C, b2, tau
        As in :func:`escape_time`; at ``C = 0`` the law is :math:`b_2/(1-Sb_2t/M\tau)`.

    Returns
    -------
    B2 : ndarray, shape (...)
        The error of the output is neglected, so it holds while the strength is far from its limit.

    Raises
    ------
    ValueError
        If ``C`` is negative or ``b2`` is not positive.
    """
    t, S, C, b2 = np.broadcast_arrays(checks.times("t", t), *_escape(S, C, b2))
    n_domains, tau = checks.positive("n_domains", n_domains), checks.positive("tau", tau)
    root, rate = np.sqrt(C), S / (n_domains * tau)
    phase = np.arctan2(root, b2)  # left to run until the pole
    angle = root * rate * t
    before = np.where(C > 0, angle < phase, rate * t * b2 < 1)
    gap = np.where(before, phase - angle, 1.0)
    curved = root / np.tan(np.where(C > 0, gap, 1.0))
    straight = b2 / np.where(before, 1 - rate * t * b2, 1.0)
    return np.where(before, np.where(C > 0, curved, straight), np.inf)


def _modes(**values):
    """Finite numbers, one a mode, broadcast against each other; at least one mode."""
    values = {name: np.atleast_1d(checks.array(name, v, ndim=(0, 1))) for name, v in values.items()}
    return checks.together(**values)


def _per_mode(name, value, n_modes):
    """One finite number a mode."""
    value = checks.array(name, value, ndim=(0, 1))
    checks.need(value.size in (1, n_modes), name, f"one number, or one for each of {n_modes} modes", value)
    return np.broadcast_to(value, (n_modes,))


def _one_each(b0, n):
    starts = list(b0) if np.iterable(b0) and not isinstance(b0, str) else [b0] * n
    checks.need(len(starts) == n, "b0", f"one initial strength, or {n} of them", b0)
    return starts


def _escape(S, C, b2):
    return checks.array("S", S, above=0), checks.array("C", C, least=0), checks.array("b2", b2, above=0)


def routing_loss(strength, S, D, yy):
    r"""Mean loss of a trained route, :math:`\frac12\langle\|y\|^2\rangle-\sum_\alpha(S a-\frac12Da^2)`.

    Parameters
    ----------
    strength : array_like, shape (..., n_modes)
        :math:`a=B_3B_2B_1`.
    S, D : array_like, shape (n_modes,)
        Correlations of the base data set.
    yy : float
        :math:`\langle\|y\|^2\rangle`.

    Returns
    -------
    loss : ndarray, shape (...)
        Averaged over items.
    """
    a = checks.array("strength", strength)
    S, D = _modes(S=S, D=D)
    yy = checks.nonnegative("yy", yy)
    return yy / 2 - (S * a - D * a**2 / 2).sum(axis=-1)


def sharing(n_shared, n_domains):
    r"""Translate sharing into a routing network: its number of partners and its slowness.

    The hidden part is split into :math:`M^2/P` paths, each serving :math:`\sqrt P` inputs and :math:`\sqrt P`
    outputs; each block is a routing network of :math:`\sqrt P` domains whose time constant is :math:`\tau M^2/P`.

    Parameters
    ----------
    n_shared : int
        :math:`P`: 1 for a dedicated path a route, :math:`M^2` for one shared path.
    n_domains : int
        :math:`M`.

    Returns
    -------
    partners : int
        :math:`\sqrt P`, in the place of ``n_domains`` in this module.
    slowness : float
        :math:`M^2/P`, in the place of ``tau``. Saxe et al. (2022), their eq. (16)-(17), follow.

    Raises
    ------
    ValueError
        Unless the root of ``n_shared`` is an integer that divides ``n_domains``.

    Examples
    --------
    >>> sharing(25, 10)
    (5, 4.0)
    """
    n_shared, n_domains = checks.count("n_shared", n_shared), checks.count("n_domains", n_domains)
    partners = round(n_shared**0.5)
    fits = partners**2 == n_shared and n_domains % partners == 0
    checks.need(fits, "n_shared", f"the square of a number that divides n_domains = {n_domains}", n_shared)
    return partners, n_domains**2 / n_shared


def solve_sharing(S, D, n_domains, n_shared, b0, times, tau=1.0):
    r"""Reduced dynamics when a hidden path serves :math:`P` routes.

    .. math:: \tau\dot B_1=\tfrac{\sqrt P}{M^2}B_2B_1[S-B_2B_1^2D],\qquad
        \tau\dot B_2=\tfrac P{M^2}B_1^2[S-B_2B_1^2D]

    Parameters
    ----------
    S, D, b0, times, tau
        As in :func:`solve_routing`.
    n_domains, n_shared : int
        :math:`M` and :math:`P`, see :func:`sharing`.

    Returns
    -------
    run : RoutingSolution
        Saxe et al. (2022), their eq. (16)-(17).
    """
    partners, slowness = sharing(n_shared, n_domains)
    tau = checks.positive("tau", tau)
    return solve_routing(S, D, partners, b0, times, tau=tau * slowness)


def speed_up(n_shared):
    r"""How much sooner a path shared by :math:`P` routes is learned than dedicated ones, from equal small strengths.

    .. math:: \frac{t(1)}{t(P)}=\frac{\sqrt P\sqrt{\sqrt P-1}}{\frac\pi2-\arctan(1/\sqrt{\sqrt P-1})}

    Parameters
    ----------
    n_shared : array_like, shape (...)
        :math:`P\ge1`.

    Returns
    -------
    ratio : ndarray, shape (...)
        Ratio of escape times; 1 at :math:`P=1`, and :math:`\frac2\pi P^{3/4}` for large :math:`P`
        (:func:`speed_up_limit`). Derived in chapter "The race".

    Examples
    --------
    >>> np.round(speed_up([1, 4, 25, 100]), 2)
    array([ 1.  ,  2.55,  9.03, 24.02])
    """
    root = np.sqrt(checks.array("n_shared", n_shared, least=1))
    gap = np.sqrt(root - 1)
    return root * np.divide(gap, np.arctan(gap), out=np.ones_like(gap), where=gap > 0)


def speed_up_limit(n_shared):
    r"""Large-:math:`P` limit :math:`\frac2\pi P^{3/4}` of :func:`speed_up`."""
    return 2 / np.pi * checks.array("n_shared", n_shared, least=1) ** 0.75


@dataclass(frozen=True)
class SharingSolution:
    """Strengths of a shared path and of the dedicated ones beside it.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Times.
    shared, dedicated : ndarray, shape (n_times, n_modes)
        Contribution of each kind to the strength of a route.
    """

    times: np.ndarray
    shared: np.ndarray
    dedicated: np.ndarray

    @property
    def share(self):
        """Fraction of the output the shared path carries, shape (n_times, n_modes)."""
        return self.shared / (self.shared + self.dedicated)

    @property
    def half_time(self):
        """Half-way time of what both give together, shape (n_modes,), see :func:`gdln.integration.half_time`."""
        return half_time(self.times, self.shared + self.dedicated)


def solve_shared_and_dedicated(S, D, n_domains, b0, times, tau=1.0, rtol=RTOL, atol=ATOL):
    r"""One shared path and, for every route, a dedicated one, both open on that route.

    With :math:`E=S-D(B_2^sB_1^{s2}+B_2^dB_1^{d2})`,

    .. math:: \tau\dot B_1^s=\tfrac1MB_2^sB_1^sE,\quad \tau\dot B_2^s=B_1^{s2}E,\qquad
        \tau\dot B_1^d=\tfrac1{M^2}B_2^dB_1^dE,\quad \tau\dot B_2^d=\tfrac1{M^2}B_1^{d2}E .

    Parameters
    ----------
    S, D : array_like, shape (n_modes,)
        Correlations of the base data set.
    n_domains : int
        :math:`M`; all :math:`M^2` routes are trained.
    b0 : float or (float, float)
        Initial strength, one for all edges or one for shared and one for dedicated edges.
    times, tau, rtol, atol
        As in :func:`solve_routing`.

    Returns
    -------
    run : SharingSolution
        Derived in chapter "The race".

    Raises
    ------
    TypeError, ValueError
        If there is not one domain, there are neither one nor two initial strengths, or a number is not finite; names
        the argument.
    gdln.checks.Diverged
        If the strengths stop being finite; tells at which time.
    """
    M, tau = checks.count("n_domains", n_domains), checks.positive("tau", tau)
    S, D = _modes(S=S, D=D)
    shared, dedicated = (_per_mode("b0", b, S.size) for b in _one_each(b0, 2))
    start = np.concatenate([shared, shared, dedicated, dedicated])
    times = checks.times("times", times, ndim=1, ordered=True, least=None)

    def slope(t, state):
        s1, s2, d1, d2 = state.reshape(4, -1)
        error = (S - D * (s2 * s1**2 + d2 * d1**2)) / tau
        return np.concatenate(
            [s2 * s1 * error / M, s1**2 * error, d2 * d1 * error / M**2, d1**2 * error / M**2]
        )

    s1, s2, d1, d2 = np.moveaxis(integrate(slope, start, times, rtol, atol).reshape(-1, 4, S.size), 1, 0)
    return SharingSolution(times, s2 * s1**2, d2 * d1**2)
