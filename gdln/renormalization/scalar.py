r"""Bayesian deep linear networks, one gate that is always on: the order parameters are numbers.

The posterior keeps the mean predictor of the input kernel and multiplies the kernel by one scale
:math:`\kappa = U_1 = \prod_l\sigma^2 r_l`. The saddle point needs one eigendecomposition and a scalar root; the
exact average over the scale is a Meijer-G function.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln

from gdln import checks, optional
from gdln.renormalization.descent import _widths
from gdln.renormalization.kernels import _check_kernel
from gdln.renormalization.saddle import Prediction
from gdln.renormalization.scale import lowest_minimum


@dataclass(frozen=True)
class LinearSolution:
    r"""Saddle point of a deep linear network.

    Attributes
    ----------
    scale : float
        :math:`\kappa = \prod_l\sigma^2r_l`, the factor of the input kernel.
    ratios : ndarray, shape (depth,)
        :math:`r_l = u_l/(\sigma^2u_{l+1})`, input side first.
    action : float
        :math:`\sum_lN_l(r_l-\log r_l) + y^\top C^{-1}y + \log\det C`, layers of infinite width left out.
    eigenvalues, basis : ndarray, shapes (n_samples,), (n_samples, n_samples)
        Eigendecomposition of the input kernel.
    projections : ndarray, shape (n_samples,)
        Targets in that basis.
    temperature : float
        As given.
    """

    scale: float
    ratios: np.ndarray
    action: float
    eigenvalues: np.ndarray
    basis: np.ndarray
    projections: np.ndarray
    temperature: float

    def predict_from(self, cross, diagonal):
        """Posterior mean and variance at new points, from their input kernel with the samples and themselves."""
        cross = checks.array("cross", cross, shape=("n_new", len(self.basis)))
        diagonal = checks.array("diagonal", diagonal, shape=(len(cross),))
        noisy = self.scale * self.eigenvalues + self.temperature
        k = self.scale * cross @ self.basis
        variance = self.scale * diagonal - (k**2 / noisy).sum(axis=1)
        return Prediction(k @ (self.projections / noisy), np.maximum(variance, 0.0))


def solve_linear(K0, y, *, widths, sigma2=1.0, temperature=0.0):
    r"""Saddle point for one constant gate: one eigendecomposition, then order ``n_samples`` a step.

    With :math:`r_l = 1 + q/N_l` in every layer the stationarity conditions become one equation,

    .. math:: q = y^\top C^{-1}KC^{-1}y - \mathrm{tr}\,KC^{-1},\qquad K = \kappa K_0,\ C = TI + K.

    Parameters
    ----------
    K0 : array_like, shape (n_samples, n_samples)
        Input kernel.
    y : array_like, shape (n_samples,)
        Targets.
    widths : float or sequence of float
        Widths, input side first; their number is the depth. Infinite ones are legal.
    sigma2 : float, optional
        Prior variance of the weights above the first layer.
    temperature : float, optional
        :math:`T\ge0`.

    Returns
    -------
    solution : LinearSolution
        Of the stationary minima (one at T = 0) that with the lowest action.

    Raises
    ------
    ValueError
        If a number is out of range, shapes differ, or at T = 0 the kernel is singular or all targets are zero.

    Examples
    --------
    >>> solution = solve_linear(np.eye(4), [1.0, 1, 1, 1], widths=4, sigma2=1.0)
    >>> round(solution.scale, 12)
    1.0
    """
    K0 = _check_kernel(K0)
    y = checks.array("y", y, shape=(len(K0),))
    checks.need(np.size(widths) > 0, "widths", "one width or more", widths)
    widths = np.array(_widths(widths, np.size(widths)))
    sigma2, temperature = checks.positive("sigma2", sigma2), checks.nonnegative("temperature", temperature)
    eigenvalues, basis = np.linalg.eigh(K0)
    rank = int((eigenvalues > len(K0) * np.finfo(float).eps * eigenvalues[-1]).sum())
    if temperature == 0 and rank < len(K0):
        raise ValueError(
            f"the kernel is singular at T = 0: its rank, the capacity of a linear network with these inputs, is "
            f"{rank} for {len(K0)} data points; use T > 0 or at most {rank} points"
        )
    eigenvalues, projections = np.maximum(eigenvalues, 0.0), basis.T @ y
    log_ratios, action = lowest_minimum(
        eigenvalues, projections**2, widths, float(sigma2), float(temperature)
    )
    scale = float(np.exp(len(widths) * np.log(sigma2) + log_ratios.sum()))
    return LinearSolution(
        scale, np.exp(log_ratios), action, eigenvalues, basis, projections, float(temperature)
    )


def layer_scale(alpha, r0, sigma2, depth=1):
    r"""Positive root :math:`u` of :math:`1 - u/\sigma^2 = \alpha(1 - r_0u^{-L})`, the T = 0 equation of one layer.

    Parameters
    ----------
    alpha : float
        :math:`P/N`, samples over width.
    r0 : float
        :math:`\frac1P y^\top K_0^{-1}y`.
    sigma2 : float
        Prior variance.
    depth : int, optional
        :math:`L`; the kernel is :math:`u^LK_0`.

    Returns
    -------
    u : float
        Unique, because the difference of the two sides is monotone.

    Raises
    ------
    ValueError
        If an argument is not positive.

    Notes
    -----
    Li and Sompolinsky 2021, their zero-temperature equation of the scalar order parameter.

    Examples
    --------
    >>> round(layer_scale(1.0, 0.5, 2.0), 12)
    1.0
    """
    alpha, r0 = checks.positive("alpha", alpha), checks.positive("r0", r0)
    sigma2, depth = checks.positive("sigma2", sigma2), checks.positive("depth", depth)

    def excess(x):
        # the exponential overflows from 709 on, and the sign is settled long before
        return math.exp(x) / sigma2 - (1 - alpha) - alpha * r0 * math.exp(min(-depth * x, 700.0))

    low, high = -1.0, 1.0
    while excess(low) > 0:
        low *= 2
    while excess(high) < 0:
        high *= 2
    return math.exp(brentq(excess, low, high, xtol=1e-16, rtol=4 * np.finfo(float).eps))


def depth_limit(alpha, r0, sigma2):
    r"""Kernel scale :math:`u^L` as :math:`L\to\infty` at fixed :math:`\alpha`.

    .. math:: u^L\to\frac{\alpha r_0}{\alpha-1+\sigma^{-2}}\ \text{if}\ \sigma^2(1-\alpha) < 1,\quad
              \text{else}\ \infty

    Parameters
    ----------
    alpha, r0, sigma2 : float
        As in :func:`layer_scale`.

    Returns
    -------
    scale : float

    Raises
    ------
    ValueError
        If an argument is not positive.

    Examples
    --------
    >>> round(depth_limit(0.5, 1.3, 1.5), 12)
    3.9
    """
    alpha, r0 = checks.positive("alpha", alpha), checks.positive("r0", r0)
    sigma2 = checks.positive("sigma2", sigma2)
    margin = alpha - 1 + 1 / sigma2
    return alpha * r0 / margin if margin > 0 else math.inf


def log_average_meijer(s, n_samples, widths, sigma2, digits=60):
    r"""Exact :math:`\log E[\kappa^{-P/2}e^{-s/\kappa}]` over the prior of the scale, T = 0, any depth.

    A priori :math:`\kappa = \prod_l\sigma^2\chi^2_{N_l}/N_l` with independent factors, so that

    .. math:: E[\kappa^{-P/2}e^{-s/\kappa}] = \frac{s^{-P/2}}{\prod_l\Gamma(N_l/2)}\;G^{L+1,0}_{0,L+1}
              \Big(\tfrac sc\,\Big|\begin{smallmatrix}-\\P/2,\,N_1/2,\dots,N_L/2\end{smallmatrix}\Big),
              \quad c = \prod_l\frac{2\sigma^2}{N_l}.

    The log evidence is this minus :math:`\frac P2\log2\pi + \frac12\log\det K_0`.

    Parameters
    ----------
    s : float
        :math:`\frac12y^\top K_0^{-1}y`.
    n_samples : float
        :math:`P`.
    widths : sequence of int
        Widths; their number is the depth.
    sigma2 : float
        Prior variance.
    digits : int, optional
        Decimal digits mpmath works with.

    Returns
    -------
    value : float

    Notes
    -----
    Hanin and Zlokapa 2023, in our notation. Needs mpmath.
    """
    mpmath = optional.load("mpmath", "a Meijer function")
    widths = np.atleast_1d(checks.array("widths", widths, ndim=(0, 1), above=0))
    s, sigma2 = checks.positive("s", s), checks.positive("sigma2", sigma2)
    n_samples, digits = checks.number("n_samples", n_samples), checks.count("digits", digits)
    with mpmath.workdps(digits):
        half = [mpmath.mpf(float(b)) / 2 for b in (n_samples, *widths)]
        argument = mpmath.mpf(float(s))
        for N in widths:
            argument *= mpmath.mpf(float(N)) / (2 * mpmath.mpf(float(sigma2)))
        G = mpmath.meijerg([[], []], [half, []], argument)
        norm = mpmath.fsum(mpmath.loggamma(b) for b in half[1:])
        return float(mpmath.log(mpmath.re(G)) - half[0] * mpmath.log(s) - norm)


def mean_scale_meijer(s, n_samples, widths, sigma2, digits=60):
    r"""Exact posterior mean of the scale, :math:`E[\kappa\,|\,y]`: the ratio with :math:`P-2` for :math:`P` on top.

    The predictive variance is this times :math:`K_0(x,x)-k^\top K_0^{-1}k`. Arguments as in
    :func:`log_average_meijer`.
    """
    n_samples = checks.number("n_samples", n_samples)
    top = log_average_meijer(s, n_samples - 2, widths, sigma2, digits)
    return math.exp(top - log_average_meijer(s, n_samples, widths, sigma2, digits))


def log_average_quadrature(s, n_samples, width, sigma2):
    r"""The same average for one layer by quadrature over :math:`\log\kappa`; shares nothing with the Meijer-G form.

    Parameters
    ----------
    s, n_samples, sigma2 : float
        As in :func:`log_average_meijer`.
    width : float
        Width of the one hidden layer.

    Returns
    -------
    value : float
    """
    s, width = checks.positive("s", s), checks.positive("width", width)
    sigma2, n_samples = checks.positive("sigma2", sigma2), checks.number("n_samples", n_samples)
    half = width / 2
    norm = half * math.log(half / sigma2) - gammaln(half)

    def log_density(x):  # in x = log kappa, Gamma(N/2) prior with mean sigma2
        return norm + (half - n_samples / 2) * x - half * math.exp(x) / sigma2 - s * math.exp(-x)

    peak = minimize_scalar(lambda x: -log_density(x), bracket=(-1.0, 1.0)).x
    top = log_density(peak)
    area, _ = quad(lambda x: math.exp(log_density(x) - top), peak - 12, peak + 12, points=[peak], limit=400)
    checks.need(area > 0, "n_samples", "a number whose integrand is wide enough for quadrature", n_samples)
    return top + math.log(area)
