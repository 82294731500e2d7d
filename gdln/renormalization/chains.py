r"""Draws from a posterior: their averages, their standard errors, and whether they are to be trusted.

One check serves all samplers of this package: rank-normalised split :math:`\hat R` and effective sample sizes in bulk
and tail for chains, effective size and Pareto :math:`\hat k` for weighted draws.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.renormalization import mixing

#: Largest R-hat of chains that agree, and fewest effective draws a chain (Vehtari et al. 2021, section 4).
R_HAT, EFFECTIVE = 1.01, 100
#: Above this Pareto k the standard errors of weighted averages mislead (Vehtari et al. 2024, section 3.2).
PARETO_K = 0.7


class SamplingWarning(UserWarning):
    """The draws are not enough, or not good enough, for the averages made of them."""


@dataclass(frozen=True)
class Diagnostics:
    """Rank-normalised diagnostics of each quantity; NaN for a quantity that is the same in every draw.

    Attributes
    ----------
    bulk, tail : ndarray, shape (...)
        Effective sample sizes for the centre, and for the 5 % and 95 % quantiles.
    r_hat : ndarray, shape (...)
        Split :math:`\\hat R`.
    """

    bulk: np.ndarray
    tail: np.ndarray
    r_hat: np.ndarray


@dataclass(frozen=True)
class Health:
    """The worst diagnostics among all quantities of a run.

    Attributes
    ----------
    n_chains : int
        Number of chains; zero for independent weighted draws.
    bulk, tail : float
        Smallest effective sample sizes; for weighted draws :math:`1/\\sum_kw_k^2` and NaN.
    r_hat : float
        Largest :math:`\\hat R`; NaN for weighted draws.
    pareto_k : float
        Largest shape of the weights' tail; NaN for chains.
    """

    n_chains: int
    bulk: float
    tail: float
    r_hat: float
    pareto_k: float

    def advice(self):
        """What is wrong and what to do about it.

        Returns
        -------
        sentences : tuple of str
            Empty for draws to be trusted.
        """
        found = []
        if self.r_hat > R_HAT:
            found.append(
                f"the chains disagree (largest R-hat {self.r_hat:.3f}, above {R_HAT}): run them longer"
            )
        # four chains of 100 effective draws each are enough however many chains there are
        enough = EFFECTIVE * min(max(self.n_chains, 1), 4)
        for size, where in ((self.bulk, "in the bulk"), (self.tail, "in the tails")):
            if size < enough:
                where = where if self.n_chains else "after weighting"
                found.append(f"only {size:.0f} effective draws {where}, below {enough}: draw more")
        if self.pareto_k > PARETO_K:
            found.append(
                f"Pareto k of the weights is {self.pareto_k:.2f}, above {PARETO_K}: the averages rest on a few draws"
                " and their standard errors mislead; draw more, or use collapsed or gibbs"
            )
        return tuple(found)

    def warn(self, stacklevel=2):
        """Give the advice, if there is any, as one :class:`SamplingWarning`."""
        sentences = self.advice()
        if sentences:
            warnings.warn("; ".join(sentences), SamplingWarning, stacklevel=stacklevel + 1)


@dataclass(frozen=True)
class Chains:
    """Draws from the posterior.

    Attributes
    ----------
    mean : ndarray, shape (n_new, ...)
        Posterior mean of the output at the new points.
    variance : ndarray, shape (n_new, ...)
        Posterior variance there.
    mean_error : ndarray, shape (n_new, ...)
        Standard error of ``mean`` from effective sample sizes.
    order_parameter : ndarray, shape (d, d)
        Posterior mean of the readout's order parameter :math:`U_L`.
    training_error : float
        Posterior mean of the squared error over the training points.
    draws : dict of ndarray, shapes (n_chains, n_draws, ...)
        What was averaged: ``"output"`` (for the collapsed samplers the conditional mean), ``"order_parameter"``,
        ``"spread"`` (conditional variance, not with all real weights), ``"weight"`` (importance only) and
        ``"kernel1"`` (all real weights only).
    first_layer_kernel : ndarray, shape (n_samples, n_samples), or None
        Posterior mean of :math:`h^1\\cdot h^1/N_1` at the training points (not with elliptical slices).
    health : Health
        The worst diagnostics of outputs and order parameter.
    """

    mean: np.ndarray
    variance: np.ndarray
    mean_error: np.ndarray
    order_parameter: np.ndarray
    training_error: float
    draws: dict
    first_layer_kernel: np.ndarray | None
    health: Health

    @property
    def effective(self):
        """Smallest effective sample size (bulk) of outputs and order parameter."""
        return self.health.bulk

    @property
    def r_hat(self):
        """Largest R-hat of outputs and order parameter."""
        return self.health.r_hat

    def errors(self, target):
        r"""Bias, variance and error averaged over the new points, with standard errors from effective sample sizes.

        To first order the error of an average is the spread of one number a draw, divided by the root of that
        number's effective sample size: for the bias :math:`2\langle(\bar f - y)(f_k - \bar f)\rangle_x`, for
        the variance :math:`\langle(f_k - \bar f)^2 + v_k\rangle_x`, with :math:`f_k, v_k` the (conditional)
        mean and variance in draw :math:`k`.

        Parameters
        ----------
        target : array_like, shaped as ``mean``
            What the mean is compared with; zeros give the mean squared prediction.

        Returns
        -------
        errors : SampledErrors
        """
        target = checks.array("target", target, shape=self.mean.shape)
        points = tuple(range(2, 2 + self.mean.ndim))
        away = self.draws["output"] - self.mean
        influence = 2 * ((self.mean - target) * away).mean(axis=points)
        variance = (away**2 + self.draws.get("spread", 0.0)).mean(axis=points)
        weight = self.draws.get("weight")
        return SampledErrors(
            float(np.mean((self.mean - target) ** 2)),
            _standard_error(influence, weight),
            float(np.mean(self.variance)),
            _standard_error(variance, weight),
            float(np.mean((self.mean - target) ** 2) + np.mean(self.variance)),
            _standard_error(influence + variance, weight),  # both rest on the same draws
        )


@dataclass(frozen=True)
class SampledErrors:
    """Bias, variance and their sum, the squared error, over new points as sampled, each with its standard error."""

    bias: float
    bias_error: float
    variance: float
    variance_error: float
    error: float
    error_error: float


def diagnostics(draws):
    r"""Effective sample sizes and :math:`\hat R` of each quantity, rank-normalised and of split chains.

    Parameters
    ----------
    draws : array_like, shape (n_chains, n_draws, ...)
        Draws of one or more quantities, at least four of each; a single chain is cut into two.

    Returns
    -------
    diagnostics : Diagnostics

    Raises
    ------
    ValueError
        If there are fewer than four draws a chain, or one is NaN or infinite.
    """
    draws = checks.array("draws", draws)
    checks.need(draws.ndim >= 2 and draws.shape[1] >= 4, "draws", "at least 4 draws a chain", draws)
    found = np.full((3, *draws.shape[2:]), np.nan)
    if len(draws) == 1:  # R-hat compares chains; two halves of one must agree as two chains would
        half = draws.shape[1] // 2
        if half >= 4:
            draws = np.stack([draws[0, :half], draws[0, -half:]])
    for index in np.ndindex(draws.shape[2:]):
        x = draws[(slice(None), slice(None), *index)]
        centre, spread = x.mean(), np.ptp(x)
        # rounding of a quantity that does not move has no chains to compare; 1e-9 allows for ill-conditioned kernels
        if spread > 1e-9 * np.abs(x).max():
            x = (x - centre) / spread  # whatever its units, squares neither overflow nor vanish
            found[(slice(None), *index)] = mixing.effective_bulk(x), mixing.effective_tail(x), mixing.r_hat(x)
    return Diagnostics(*found)


def pareto_k(log_ratio):
    r"""Shape :math:`\hat k` of the generalised Pareto law in the upper tail of importance ratios.

    Moments of the ratios up to order :math:`1/k` exist.

    Parameters
    ----------
    log_ratio : array_like, shape (n_draws,)
        Logarithms of ratios; minus infinity for zero.

    Returns
    -------
    k : float
        Infinity for fewer than about 25 draws, which have too short a tail; minus infinity for equal ratios.
    """
    log_ratio = checks.array("log_ratio", log_ratio, ndim=1, finite=False, most=np.finfo(float).max)
    log_ratio = np.maximum(log_ratio - log_ratio.max(), -700.0)
    if not log_ratio.any():
        return -math.inf
    return mixing.tail_shape(log_ratio)


def summary(outputs, spreads, U_draws, training, kernels=None):
    """Averages over chains, with diagnostics of outputs and order parameter; warns if these are not good.

    Parameters
    ----------
    outputs : ndarray, shape (n_chains, n_draws, n_new, ...)
        Outputs or their conditional means.
    spreads : ndarray, shaped as ``outputs``, or None
        Conditional variances.
    U_draws : ndarray, shape (n_chains, n_draws, d, d)
        Order parameters.
    training : float
        Average squared training error.
    kernels : ndarray, shape (n_chains, n_draws, n_samples, n_samples), optional
        First-layer kernels.

    Returns
    -------
    chains : Chains
    """
    outputs = checks.array("outputs", outputs)
    checks.need(outputs.ndim > 2, "outputs", "shape (n_chains, n_draws, n_new, ...)", outputs)
    U_draws = checks.array("U_draws", U_draws, shape=(*outputs.shape[:2], "d", "d"))
    training = checks.nonnegative("training", training)
    if spreads is not None:
        spreads = checks.array("spreads", spreads, shape=outputs.shape)
    if kernels is not None:
        kernels = checks.array("kernels", kernels, shape=(*outputs.shape[:2], "n_samples", "n_samples"))
    flat = outputs.reshape(*outputs.shape[:2], -1)
    i, j = np.tril_indices(U_draws.shape[-1])
    quantities = [flat, U_draws[:, :, i, j]]
    if spreads is not None:
        quantities.append(spreads.reshape(flat.shape))
    each = diagnostics(np.concatenate(quantities, axis=2))
    mean, between = outputs.mean(axis=(0, 1)), outputs.var(axis=(0, 1))
    own = each.bulk[: flat.shape[2]].reshape(mean.shape)
    return Chains(
        mean=mean,
        variance=between + (0.0 if spreads is None else spreads.mean(axis=(0, 1))),
        mean_error=np.where(np.isnan(own), 0.0, np.sqrt(between / own)),
        order_parameter=U_draws.mean(axis=(0, 1)),
        training_error=training,
        draws={"output": outputs, "order_parameter": U_draws}
        | ({} if spreads is None else {"spread": spreads})
        | ({} if kernels is None else {"kernel1": kernels}),
        first_layer_kernel=None if kernels is None else kernels.mean(axis=(0, 1)),
        health=health(each, len(outputs)),
    )


def health(each, n_chains):
    """The worst of the diagnostics of several quantities.

    Parameters
    ----------
    each : Diagnostics
        Of every quantity.
    n_chains : int
        Number of chains.

    Returns
    -------
    health : Health
    """
    checks.instance("each", each, Diagnostics)
    n_chains = checks.count("n_chains", n_chains, least=0)
    if np.isnan(each.bulk).all():  # nothing moves: nothing can disagree, and there is nothing to count
        return Health(n_chains, math.nan, math.nan, math.nan, math.nan)
    smallest = (float(np.nanmin(size)) for size in (each.bulk, each.tail))
    return Health(n_chains, *smallest, float(np.nanmax(each.r_hat)), math.nan)


def _standard_error(values, weight=None):
    """Standard error of the average of one number a draw, from weights or effective sample size."""
    if weight is not None:
        return float(np.sqrt((weight**2 * (values - (weight * values).sum()) ** 2).sum()))
    effective = diagnostics(values).bulk
    return 0.0 if np.isnan(effective) else float(values.std() / np.sqrt(effective))
