r"""The same network as a Bayesian: its posterior mean at infinite width, with renormalised read-out, and between.

Weights have standard normal priors, targets Gaussian noise of variance :math:`T`. On white inputs all of it is the
noise ratio :math:`\tau = TN/(\gamma^2P)`, the rank ratio :math:`\nu = N_0/N` and the strengths :math:`s/\gamma`. The
read-out moment :math:`U = AA^\top/N` is diagonal in the modes, and its entry :math:`u` makes

.. math:: u - \ln u + \frac{s^2/\gamma^2}{\tau+u} + \nu\ln(\tau+u)

smallest; the posterior mean is :math:`\langle F\rangle_\alpha = \frac{su}{\tau+u}`.
"""

import math

import numpy as np
from scipy.optimize import brentq

from gdln import checks

#: A Gaussian process does not move the read-out, a mean field does not see the number of inputs.
THEORIES = ("gaussian_process", "mean_field", "finite_width")


def noise_ratio(temperature, width, gamma, n_samples):
    r"""Noise against the prior variance of the outputs, :math:`\tau = TN/(\gamma^2P)`.

    Parameters
    ----------
    temperature : float
        Variance :math:`T` of the noise in the targets.
    width, n_samples : int
        :math:`N` and :math:`P`.
    gamma : float
        Scale of the output.

    Returns
    -------
    noise : float
        :math:`\tau`.
    """
    temperature, gamma = checks.positive("temperature", temperature), checks.positive("gamma", gamma)
    return temperature * checks.count("width", width) / (gamma**2 * checks.count("n_samples", n_samples))


def readout(s, gamma, noise, rank_ratio):
    r"""Renormalised read-out moment :math:`u` of every mode.

    Parameters
    ----------
    s : array_like, shape (k,)
        Strengths in the target, not negative.
    gamma : float
        Scale of the output.
    noise : float
        :math:`\tau > 0`, from :func:`noise_ratio`.
    rank_ratio : float
        :math:`\nu = N_0/N`; zero is the mean-field posterior.

    Returns
    -------
    u : ndarray, shape (k,)
        One for the prior; the function has no other stationary point.

    Notes
    -----
    Derived in the chapter "One network, five theories"; the saddle point of Li and Sompolinsky (2022) for this network.

    Examples
    --------
    >>> readout([6**0.5], 1.0, 1e-9, 0.0).round(6).tolist()
    [3.0]
    """
    s, gamma = checks.array("s", s, ndim=1, least=0), checks.positive("gamma", gamma)
    noise, rank_ratio = checks.positive("noise", noise), checks.nonnegative("rank_ratio", rank_ratio)
    checks.need(s.max() / gamma < 1e6, "gamma", "a scale above s/10^6", gamma)
    checks.need(noise < 1e6, "noise", "a ratio below 10^6", noise)
    checks.need(rank_ratio < 1e6, "rank_ratio", "a ratio below 10^6", rank_ratio)
    return np.array([_root(x, noise, rank_ratio) for x in (s / gamma) ** 2])


def mean_map(sigma, gamma, noise, width, theory):
    r"""Posterior mean of the map in one of three theories.

    Parameters
    ----------
    sigma : array_like, shape (n_outputs, n_inputs)
        :math:`\Sigma` of white inputs.
    gamma, noise
        As in :func:`readout`.
    width : int
        :math:`N`; only ``finite_width`` uses it.
    theory : {"gaussian_process", "mean_field", "finite_width"}
        :math:`u=1`; the minimum at :math:`\nu=0`; the minimum at :math:`\nu=N_0/N`.

    Returns
    -------
    F : ndarray, shape (n_outputs, n_inputs)
        :math:`\langle F\rangle`.
    """
    sigma, noise = checks.array("sigma", sigma, ndim=2), checks.positive("noise", noise)
    width, gamma = checks.count("width", width), checks.positive("gamma", gamma)
    checks.choice("theory", theory, THEORIES)
    U, s, Vt = np.linalg.svd(sigma, full_matrices=False)
    if theory == "gaussian_process":
        u = np.ones(s.shape)
    else:
        u = readout(s, gamma, noise, sigma.shape[1] / width if theory == "finite_width" else 0.0)
    return (U * (s * u / (noise + u))) @ Vt


def accidental_width(s, gamma, noise, n_inputs):
    r"""Width at which the Gaussian process is right about a mode by accident, :math:`N^*=N_0(1+\tau)\gamma^2/s^2`.

    The target makes the read-out of a mode grow and the number of inputs makes it shrink; here they cancel.

    Parameters
    ----------
    s : array_like, shape (k,)
        Strengths, positive.
    gamma, noise
        As in :func:`readout`.
    n_inputs : int
        :math:`N_0`.

    Returns
    -------
    width : ndarray, shape (k,)
        Not rounded.

    Raises
    ------
    ValueError
        If an argument is not positive, or a strength so weak that its width does not fit into float64.

    Examples
    --------
    >>> width = accidental_width([0.5], 1.0, 1.0, 16)
    >>> bool(abs(readout([0.5], 1.0, 1.0, 16 / width[0])[0] - 1) < 1e-12)
    True
    """
    s, gamma = checks.array("s", s, ndim=1, above=0), checks.positive("gamma", gamma)
    noise, n_inputs = checks.positive("noise", noise), checks.count("n_inputs", n_inputs)
    with np.errstate(over="ignore"):
        width = n_inputs * (1 + noise) * (gamma / s) ** 2
    checks.need(np.isfinite(width).all(), "s", "strengths whose width fits into float64", s)
    return width


def _root(x, noise, rank_ratio):
    r"""Where the derivative of the function of the module's head is zero.

    Times :math:`u(\tau+u)^2` it is a cubic in u whose coefficients change their sign once, so that by Descartes'
    rule one root is positive.
    """

    def slope(log_u):
        u = math.exp(log_u)
        return u - 1 - x * u / (noise + u) ** 2 + rank_ratio * u / (noise + u)

    # below tau / (tau + nu) the second and the last term, above 1 + x^(1/2) the first and the third tell the sign
    low, high = math.log(noise / (noise + rank_ratio) / 2), math.log(2 * (1 + math.sqrt(x)))
    return math.exp(brentq(slope, low, high, xtol=1e-15))
