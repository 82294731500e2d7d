r"""How far chains have mixed, and how heavy the tail of importance weights is: the numbers behind :class:`Health`.

Rank-normalised split :math:`\hat R` and effective sample sizes are those of Vehtari, Gelman, Simpson, Carpenter and
Bürkner (2021), the tail shape that of Vehtari, Simpson, Gelman, Yao and Gabry (2024). They are written here, and held
against ArviZ by a test, so that sampling needs numpy and scipy only: also in a browser, where ArviZ is not to be had.
"""

import math

import numpy as np
from scipy import fft, special, stats

from gdln import checks


def effective_bulk(draws):
    r"""Effective sample size for the centre of a quantity.

    That of the split chains' normal scores :math:`\Phi^{-1}\bigl((r-3/8)/(S+1/4)\bigr)`, with ranks :math:`r` among
    all :math:`S` draws.

    Parameters
    ----------
    draws : array_like, shape (n_chains, n_draws)
        At least four draws a chain.

    Returns
    -------
    size : float
    """
    return _effective(_scores(_split(_chains(draws))))


def effective_tail(draws):
    """Effective sample size for the tails: the smaller one of the 5 % and the 95 % quantile.

    Parameters
    ----------
    draws : array_like, shape (n_chains, n_draws)
        At least four draws a chain.

    Returns
    -------
    size : float
    """
    draws = _chains(draws)
    return min(_effective(_split(draws <= np.quantile(draws, q)).astype(float)) for q in (0.05, 0.95))


def r_hat(draws):
    r"""Rank-normalised split :math:`\hat R`: the larger one of the draws' and of their distances from the median.

    Of normal scores with variance :math:`W` within and :math:`B` between the means of the split chains of length
    :math:`n`, :math:`\hat R^2 = (n-1)/n + B/W`.

    Parameters
    ----------
    draws : array_like, shape (n_chains, n_draws)
        At least two chains, and four draws of each.

    Returns
    -------
    r_hat : float
        Near one for chains that agree, infinity for chains that stand still apart, NaN if all draws are equal.
    """
    draws = _chains(draws)
    checks.need(len(draws) >= 2, "draws", "at least two chains", draws)
    split = _split(draws)
    # distances that are all the same say nothing; fmax passes over their NaN
    return float(np.fmax(_r_hat(_scores(split)), _r_hat(_scores(np.abs(split - np.median(split))))))


def tail_shape(log_ratio):
    r"""Shape :math:`\hat k` of the generalised Pareto law that the largest importance ratios follow.

    The largest :math:`\min(S/5,\,3\sqrt S)` of :math:`S` ratios are fitted by the average of the profile likelihood
    of Zhang and Stephens (2009), pulled towards one half by the weight of ten draws.

    Parameters
    ----------
    log_ratio : array_like, shape (n_draws,)
        Logarithms of ratios.

    Returns
    -------
    k : float
        Infinity where fewer than five ratios stand above the others.
    """
    log_ratio = checks.array("log_ratio", log_ratio, ndim=1)
    checks.need(log_ratio.size >= 2, "log_ratio", "at least two ratios", log_ratio)
    log_ratio = np.sort(log_ratio - log_ratio.max())
    n_tail = math.ceil(min(log_ratio.size / 5, 3 * math.sqrt(log_ratio.size)))
    # a ratio below the smallest normal number is zero beside the largest one
    cut = max(log_ratio[-n_tail - 1], math.log(np.finfo(float).tiny))
    excess = np.exp(log_ratio[log_ratio > cut]) - math.exp(cut)
    return _pareto_shape(excess) if excess.size > 4 else math.inf


def _chains(draws):
    draws = checks.array("draws", draws, ndim=2)
    checks.need(draws.shape[1] >= 4, "draws", "at least 4 draws a chain", draws)
    return draws


def _split(draws):
    """Halves of the chains as chains of their own; the middle draw of an odd number is left out."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _scores(draws):
    """Normal scores of the ranks among all draws, by Blom's rule."""
    ranks = stats.rankdata(draws).reshape(draws.shape)
    return special.ndtri((ranks - 3 / 8) / (draws.size + 1 / 4))


def _r_hat(draws):
    within = draws.var(axis=1, ddof=1).mean()
    between = draws.mean(axis=1).var(ddof=1)
    if within == 0:
        return math.inf if between > 0 else math.nan
    n = draws.shape[1]
    return math.sqrt((n - 1) / n + between / within)


def _effective(draws):
    """Number of draws over their correlation time, summed in pairs of lags as Geyer (1992) cuts them off."""
    n = draws.shape[1]
    if np.ptp(draws) < np.finfo(float).resolution:
        return float(draws.size)
    centred = draws - draws.mean(axis=1, keepdims=True)
    spectrum = fft.rfft(centred, n=fft.next_fast_len(2 * n), axis=1)
    covariance = fft.irfft(np.abs(spectrum) ** 2, n=fft.next_fast_len(2 * n), axis=1)[:, :n].mean(axis=0) / n
    within = covariance[0] * n / (n - 1)
    whole = covariance[0] + draws.mean(axis=1).var(ddof=1)
    correlation = 1 - (within - covariance) / whole
    correlation[0] = 1.0
    n_pairs = max(1, (n - 1) // 2)  # the last lag has one product only, so it stays out
    even, odd = correlation[: 2 * n_pairs : 2], correlation[1 : 2 * n_pairs : 2]
    pairs = even + odd
    # pairs of a reversible chain are positive and fall: noise begins where they do not
    ends = np.flatnonzero(pairs <= 0)
    last = ends[0] if ends.size else n_pairs - 1
    remainder = even[last] if even[last] > 0 or pairs[last] >= 0 else 0.0
    time = -1 + 2 * np.minimum.accumulate(pairs[:last]).sum() + remainder
    # antithetic draws may be worth more than independent ones, but no more than this
    return draws.size / max(time, 1 / math.log10(draws.size))


def _pareto_shape(excess):
    """Shape of the generalised Pareto law of sorted positive values."""
    n = excess.size
    grid = 30 + int(math.sqrt(n))
    quartile = excess[int(n / 4 + 0.5) - 1]
    rates = 1 / excess[-1] + (1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (3 * quartile)
    shapes = np.log1p(-np.outer(rates, excess)).mean(axis=1)
    weights = special.softmax(n * (np.log(-rates / shapes) - shapes - 1))
    # as Zhang and Stephens do: lighter ones are rounding
    weights = np.where(weights >= 10 * np.finfo(float).eps, weights, 0.0)
    rate = rates @ weights / weights.sum()
    return (n * np.log1p(-rate * excess).mean() + 5) / (n + 10)
