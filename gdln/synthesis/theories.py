r"""Five theories as five functions of one number, the integrated error of a mode.

An infinitely wide network starts with the moments at the identity, and the modes of :math:`\Sigma` part. With the
integrated error :math:`E = \int(s - F)\,dt` every theory is :math:`F = \Phi(E)`, :math:`\dot E = s - \Phi(E)`:

=============== ===================================== ==============================================
``mean_field``  :math:`\gamma\sinh(2E/\gamma)`        backpropagation itself, at every :math:`\gamma`
``frozen``      :math:`2E`                            the tangent kernel of the start
``race``        :math:`\frac\gamma2 e^{2E/\gamma}`    balanced weights, start :math:`\gamma/2`
``align_zero``  :math:`2E`                            the learning rule with frozen signals and inputs
``align_ada``   :math:`2E + E^3/(2\gamma^2)`          the learning rule with frozen signals
=============== ===================================== ==============================================

Times are in units of the learning rate, derived in the chapter "One network, five theories".
"""

import numpy as np

from gdln import checks
from gdln.linear import modes
from gdln.synthesis import measures
from gdln.synthesis.measures import MapTrajectory

THEORIES = ("mean_field", "frozen", "race", "align_zero", "align_ada")
_LATE = 800.0  # exp(-800) is zero in float64


def strengths(t, s, gamma, theory):
    r"""Strength of every mode along time, :math:`F_\alpha(t)`.

    Parameters
    ----------
    t : array_like, shape (...)
        Times, ``inf`` allowed.
    s : array_like, shape (k,)
        Strengths in the target, positive.
    gamma : float
        Scale of the output.
    theory : {"mean_field", "frozen", "race", "align_zero", "align_ada"}
        The theory.

    Returns
    -------
    F : ndarray, shape (..., k)
        From zero, or :math:`\gamma/2` for the race, to ``s``.

    Raises
    ------
    ValueError
        If a time is negative, a strength or ``gamma`` not positive, or the race would start behind the half of a mode.

    Examples
    --------
    >>> strengths(np.inf, [0.9, 0.4], 0.1, "mean_field").round(12).tolist()
    [0.9, 0.4]
    """
    t, (s, gamma) = checks.times("t", t, infinite=True)[..., None], _problem(s, gamma, theory)
    if theory == "race":
        return modes.mode_strength(np.minimum(t, _LATE * gamma / s), s, gamma / 2, tau=gamma)
    if theory == "mean_field":
        return gamma * np.sinh(2 * _mean_field_error(t, s, gamma) / gamma)
    if theory == "align_ada":
        return response(_ada_error(t, s, gamma), gamma, theory)
    return s * -np.expm1(-2 * t)


def response(E, gamma, theory):
    r"""What a mode has learned when its integrated error is :math:`E`, :math:`\Phi(E)`.

    Parameters
    ----------
    E : array_like
        Integrated errors, not negative.
    gamma : float
        Scale of the output.
    theory : {"mean_field", "frozen", "race", "align_zero", "align_ada"}
        The theory.

    Returns
    -------
    F : ndarray
        :math:`\Phi(E)`.

    Raises
    ------
    ValueError
        If an error is negative, or so large that the response would overflow.
    """
    E, gamma = checks.array("E", E, least=0), checks.positive("gamma", gamma)
    checks.choice("theory", theory, THEORIES)
    with np.errstate(over="ignore"):
        if theory == "mean_field":
            F = gamma * np.sinh(2 * E / gamma)
        elif theory == "race":
            F = gamma / 2 * np.exp(2 * E / gamma)
        else:
            F = 2 * E + (E * (E / gamma) ** 2 / 2 if theory == "align_ada" else 0)
    checks.need(np.isfinite(F).all(), "E", "integrated errors whose response fits into float64", E)
    return F


def mode_half_times(s, gamma, theory):
    r"""Time at which :math:`F = s/2`, in closed form for every theory.

    Parameters
    ----------
    s, gamma, theory
        As in :func:`strengths`.

    Returns
    -------
    t : ndarray, shape (k,)
        :math:`\frac12\ln 2` for a frozen kernel, :math:`\frac{\gamma}{2s}\ln(\frac{2s}\gamma - 1)` for the race.

    Raises
    ------
    ValueError
        As in :func:`strengths`.

    Examples
    --------
    >>> mode_half_times([0.9806], 0.03, "mean_field").round(4).tolist()
    [0.0635]
    """
    s, gamma = _problem(s, gamma, theory)
    if theory == "race":
        return gamma / (2 * s) * np.log(2 * s / gamma - 1)
    if theory == "mean_field":
        end, half = np.arcsinh(s / gamma), np.arcsinh(s / (2 * gamma))
        grown, left = np.expm1(half), np.exp(half) * np.expm1(end - half)
        return np.log((np.expm1(end) + _lag(end) * grown) / left) / (2 * np.cosh(end))
    if theory == "align_ada":
        return _ada_clock(-np.log1p(-_ada_root(s / 2, gamma) / _ada_root(s, gamma)), s, gamma)
    return np.full(s.shape, np.log(2) / 2)


def solve(sigma, gamma, theory, times):
    r"""The map of an infinitely wide network along time, :math:`\sum_\alpha F_\alpha(t)\,u_\alpha v_\alpha^\top`.

    Parameters
    ----------
    sigma : array_like, shape (n_outputs, n_inputs)
        :math:`\Sigma = \sum_\alpha s_\alpha u_\alpha v_\alpha^\top`.
    gamma, theory
        As in :func:`strengths`.
    times : array_like, shape (n_times,)
        Increasing times from zero on.

    Returns
    -------
    run : MapTrajectory
        The theory's prediction.

    Raises
    ------
    ValueError
        As in :func:`strengths`, and if ``sigma`` is zero.
    """
    sigma = checks.array("sigma", sigma, ndim=2)
    U, s, Vt = np.linalg.svd(sigma, full_matrices=False)
    rank = np.linalg.matrix_rank(sigma)
    checks.need(rank > 0, "sigma", "a target that is not zero", sigma)
    U, s, Vt, times = U[:, :rank], s[:rank], Vt[:rank], measures.rising(times)
    F = strengths(times, s, gamma, theory)
    if theory == "mean_field":
        rate = 2 * np.hypot(1, F / gamma)
    elif theory == "race":
        rate = 2 * F / gamma
    elif theory == "align_ada":
        rate = 2 + 1.5 * (_ada_root(F, gamma) / gamma) ** 2
    else:
        rate = np.full(F.shape, 2.0)
    maps, slopes = ((U * x[:, None]) @ Vt for x in (F, rate * (s - F)))
    return MapTrajectory(times, maps, slopes)


def movement(s, gamma, n_inputs, theory):
    r"""Relative movement of the tangent kernel until the end, :math:`\|K_\infty-K_0\|_F/\|K_0\|_F`.

    With the changes :math:`p_\alpha` of :math:`\mathsf P` and :math:`q_\alpha` of :math:`Q`,

    .. math:: \rho = \frac{\sqrt{N_0\sum p^2 + M\sum q^2 + 2\sum p\sum q}}{2\sqrt{MN_0}},

    where both are :math:`\sqrt{1+s^2/\gamma^2}-1` in the mean field and for the race its large part,
    :math:`s/\gamma-1`. A frozen kernel does not move; the learning rules move it although they do not use all of it.

    Parameters
    ----------
    s : array_like, shape (n_outputs,)
        Strengths in the target, one an output.
    gamma : float
        Scale of the output.
    n_inputs : int
        Inputs :math:`N_0`.
    theory : {"mean_field", "frozen", "race", "align_zero", "align_ada"}
        The theory.

    Returns
    -------
    rho : float
        The movement.

    Raises
    ------
    ValueError
        As in :func:`strengths`, and if there are fewer inputs than outputs.
    """
    s, gamma = _problem(s, gamma, theory)
    n_inputs = checks.count("n_inputs", n_inputs, least=len(s))
    x = s / gamma
    if theory == "mean_field":
        p = q = x**2 / (np.hypot(1, x) + 1)
    elif theory == "race":
        p = q = x - 1
    elif theory == "align_zero":
        p = q = x**2 / 4
    elif theory == "align_ada":
        q = (_ada_root(s, gamma) / gamma) ** 2
        p = 2 * q + q**2 / 4
    else:
        p = q = 0 * x
    square = n_inputs * (p**2).sum() + len(s) * (q**2).sum() + 2 * p.sum() * q.sum()
    return float(np.sqrt(square / (4 * len(s) * n_inputs)))


def cosine(s, gamma):
    r"""Entrywise cosine of the change of :math:`W` with its frozen-signal prediction, at the end of training.

    With :math:`\theta_\alpha = \frac12\mathrm{arsinh}(s_\alpha/\gamma)`,

    .. math:: \cos = \frac{\sum\theta\sinh\theta}{\sqrt{\sum\theta^2\,\sum[(\cosh\theta-1)^2+\sinh^2\theta]}} .

    Parameters
    ----------
    s : array_like, shape (k,)
        Strengths in the target.
    gamma : float
        Scale of the output.

    Returns
    -------
    cosine : float
        For one mode :math:`\sqrt{(1+1/\cosh\theta)/2}`: from one down to :math:`1/\sqrt2`.

    Examples
    --------
    >>> round(cosine([1.0], 1e-11), 2)
    0.71
    """
    s, gamma = _problem(s, gamma, "mean_field")
    theta = np.arcsinh(s / gamma) / 2
    change = 2 * np.cosh(theta) * 2 * np.sinh(theta / 2) ** 2  # (cosh - 1)^2 + sinh^2 = 2 cosh (cosh - 1)
    return float((theta * np.sinh(theta)).sum() / np.sqrt((theta**2).sum() * change.sum()))


def _problem(s, gamma, theory):
    s, gamma = checks.array("s", s, ndim=1, above=0), checks.positive("gamma", gamma)
    checks.choice("theory", theory, THEORIES)
    most = s.max() / gamma
    checks.need(1e-12 < most < 1e12, "gamma", f"a scale within 12 decades of s = {s.max():.3g}", gamma)
    if theory == "race":
        checks.need(
            gamma < s.min(), "gamma", f"less than the weakest mode, {s.min():.3g}, in the race", gamma
        )
    return s, gamma


def _mean_field_error(t, s, gamma):
    """Integrated error: exp(2E/gamma) obeys a Riccati equation with constant coefficients."""
    end = np.arcsinh(s / gamma)
    passed = 2 * np.cosh(end) * t
    return gamma / 2 * np.log1p(np.expm1(end) * -np.expm1(-passed) / (1 + _lag(end) * np.exp(-passed)))


def _lag(end):
    """How far behind its end the solution of the Riccati equation starts."""
    return np.exp(end) * np.tanh(end / 2)


def _ada_root(F, gamma):
    """Integrated error at which Align-ada has learned F: Cardano's formula without cancellation."""
    return 4 * gamma / np.sqrt(3) * np.sinh(np.arcsinh(np.sqrt(27) * F / (8 * gamma)) / 3)


def _ada_clock(z, s, gamma):
    """Time of Align-ada at E = end (1 - exp(-z)), by partial fractions."""
    end = _ada_root(s, gamma)
    E, q = end * -np.expm1(-z), end**2 + 4 * gamma**2
    w = np.sqrt(q - end**2 / 4)
    angle = np.arctan2(E * w, w**2 + end / 2 * (E + end / 2))  # of (E + end/2)/w minus (end/2)/w
    return (z + np.log1p(E * (E + end) / q) / 2 + 1.5 * end / w * angle) / (2 + 1.5 * (end / gamma) ** 2)


def _ada_error(t, s, gamma):
    """Integrated error of Align-ada, by bisection of its clock."""
    t, s = np.broadcast_arrays(t, s)
    low = np.zeros(t.shape)
    high = np.minimum((2 + 1.5 * (_ada_root(s, gamma) / gamma) ** 2) * t, _LATE)
    for _ in range(70):
        z = (low + high) / 2
        late = _ada_clock(z, s, gamma) > t
        low, high = np.where(late, low, z), np.where(late, z, high)
    return _ada_root(s, gamma) * -np.expm1(-(low + high) / 2)
