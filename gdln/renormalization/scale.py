r"""The scale of a kernel: order parameters that are multiples of their infinite-width values.

On the family :math:`U_l = \sigma^2r_l\,U_{l+1}\otimes I` the kernel is a fixed matrix times one number and the
action is a function of that number. Its minima solve the theory of a linear network
(:mod:`gdln.renormalization.scalar`), and the lowest is where the search for a general saddle point starts.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from gdln import checks

STEP = 0.25  # of log kappa on the grid that separates roots; one eigenvalue crosses T over about 4


def lowest_minimum(eigenvalues, squares, widths, sigma2, temperature):
    r"""Ratios :math:`r_l` at the lowest minimum of the action over the scale, and the action there.

    Stationarity in every :math:`r_l` says :math:`N_l(r_l - 1) = q`, the same in all layers, and

    .. math:: q = \sum_i\frac{\kappa\lambda_is_i}{(T+\kappa\lambda_i)^2} - \sum_i\frac{\kappa\lambda_i}
              {T+\kappa\lambda_i},\qquad \kappa = \prod_l\sigma^2r_l.

    Everything is done in logarithms, so that no scale is too small or too large.

    Parameters
    ----------
    eigenvalues, squares : ndarray, shape (n_samples,)
        Eigenvalues :math:`\lambda_i\ge0` of the kernel and squared projections :math:`s_i` of the targets; the
        eigenvalues positive if ``temperature`` is zero.
    widths : ndarray, shape (depth,)
        Widths, times the size of their order parameter if that is a matrix; infinite ones are legal.
    sigma2, temperature : float
        Prior variance and temperature.

    Returns
    -------
    log_ratios : ndarray, shape (depth,)
    action : float
        :math:`\sum_lN_l(r_l-\log r_l) + \sum_i[s_i/c_i + \log c_i]`, layers of infinite width left out.

    Raises
    ------
    ValueError
        If there is no minimum, see :func:`refuse_collapse`.
    """
    eigenvalues = checks.array("eigenvalues", eigenvalues, ndim=1, least=0)
    squares = checks.array("squares", squares, shape=eigenvalues.shape, least=0)
    widths = checks.array("widths", widths, ndim=1, above=0, finite=False)
    sigma2 = checks.positive("sigma2", sigma2)
    temperature = checks.nonnegative("temperature", temperature)
    finite, positive = np.isfinite(widths), eigenvalues > 0
    all_positive = temperature > 0 or positive.all()
    checks.need(all_positive, "eigenvalues", "numbers above zero where the temperature is zero", eigenvalues)
    narrowest, rank = widths[finite].min(initial=np.inf), np.count_nonzero(positive)
    refuse_collapse(squares, narrowest, temperature)
    null = squares[~positive]  # where the kernel is zero the targets are noise at every scale
    constant = float((null / temperature + np.log(temperature)).sum()) if null.size else 0.0
    with np.errstate(divide="ignore"):  # a target, the temperature, the rest of a width may be zero
        log_lambda, log_s = np.log(eigenvalues[positive]), np.log(squares[positive])
        log_T, log_N = np.log(temperature), np.log(narrowest)
        share = np.divide(narrowest, widths, out=np.zeros(len(widths)), where=finite)
        log_rest, log_share = np.log1p(-share), np.log(share)
        more, fewer = np.log(np.maximum([rank - narrowest, narrowest - rank], 0.0))

    def log_ratios(t):  # r = 1 + q/N with q = N_min (e^t - 1)
        return np.logaddexp(log_rest, log_share + np.expand_dims(t, -1))

    def log_kernel(t):
        log_kappa = len(widths) * np.log(sigma2) + log_ratios(t).sum(axis=-1)
        return np.expand_dims(log_kappa, -1) + log_lambda

    def excess(t):
        """Zero where N e^t + tr KC^-1 = N + y C^-1 K C^-1 y.

        With tr KC^-1 = rank - T tr C^-1, so that the whole number rank - N, all that counts when both sides are
        nearly N, is no difference of rounded sums.
        """
        k = log_kernel(t)
        c = np.logaddexp(k, log_T)
        lost = np.logaddexp(logsumexp(log_T - c, axis=-1), logsumexp(log_s + k - 2 * c, axis=-1))
        return np.logaddexp(log_N + t, more) - np.logaddexp(lost, fewer)

    def action(t):
        r, c = log_ratios(t)[finite], np.logaddexp(log_kernel(t), log_T)
        return float((widths[finite] * (np.exp(r) - r)).sum() + np.exp(log_s - c).sum() + c.sum()) + constant

    if not (finite.any() and positive.any()):  # nothing that could move the scale, or nothing to be moved
        return np.zeros(len(widths)), action(0.0)
    t = min(_roots(excess, log_kernel, log_s, log_T, log_N, len(widths)), key=action)
    return log_ratios(t), action(t)


def refuse_collapse(targets, width, temperature):
    """Refuse targets that are all zero at T = 0 unless the order parameters outnumber the data points.

    The action then falls (or, in the marginal case, does not rise) all the way to a kernel of scale zero.
    """
    targets = checks.array("targets", targets, ndim=1)
    width = checks.positive("width", width, infinite=True)
    temperature = checks.nonnegative("temperature", temperature)
    if temperature == 0 and not np.any(targets) and len(targets) >= width:
        raise ValueError(
            f"targets needs numbers that are not all zero, or T > 0: for {len(targets)} targets of zero and width "
            f"(times size of the order parameter) {width:g} the scale of the kernel falls to zero"
        )


def _roots(excess, log_kernel, log_s, log_T, log_N, depth):
    """Every t at which the excess rises through zero."""
    low, high = -1.0, 1.0
    if np.isneginf(log_T):  # one root: the left side rises with the scale, the right side falls
        while excess(low) > 0:
            low *= 2
        while excess(high) < 0:
            high *= 2
        grid = np.array([low, high])
    else:
        # below `low` the left side is less than N/2 + N/2; above `high` twice either term of a bound of the
        # right side, k/c^2 <= min(1/4T, 1/k), is less than the left side
        while logsumexp(-np.logaddexp(0.0, log_T - log_kernel(low))) > log_N - np.log(2):
            low *= 2
        while log_N + high < np.log(2) + max(
            log_N, logsumexp(log_s - np.maximum(np.log(4) + log_T, log_kernel(high)))
        ):
            high *= 2
        grid = np.linspace(low, high, 2 + int((high - low) * depth / STEP))
    signs = np.concatenate([excess(part) for part in np.array_split(grid, 1 + grid.size // 512)])
    rising = np.flatnonzero((signs[:-1] <= 0) & (signs[1:] > 0))
    return [brentq(excess, grid[i], grid[i + 1], xtol=1e-15) for i in rising]
