"""What can be promised about the flow of :mod:`gdln.convergence.flow` before, or without, running it.

Lower bounds on the rate of convergence, the number of units and random features they ask for, and a bound on
the capacity of what the flow can reach. All constants are derived in this book.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.activations import named


def smallest_eigenvalue(gram):
    """Smallest eigenvalue of a Gram matrix, exactly zero when it is only rounding.

    Parameters
    ----------
    gram : array_like, shape (n, n)
        Symmetric positive semidefinite.

    Returns
    -------
    lam : float
        Not negative.

    Raises
    ------
    TypeError, ValueError
        If the matrix is not square, symmetric, finite and positive semidefinite up to rounding.

    Examples
    --------
    >>> smallest_eigenvalue([[1.0, 1.0], [1.0, 1.0]])
    0.0
    """
    values = np.linalg.eigvalsh(checks.psd("gram", gram))
    return float(values[0]) if values[0] > 10 * len(values) * np.finfo(float).eps * values[-1] else 0.0


def schur_bound(gram, S):
    r"""Schur's lower bound, :math:`\lambda_{\min}(G\circ S) \ge \lambda_{\min}(G)\min_a S_{aa}`.

    Parameters
    ----------
    gram, S : array_like, shape (n, n)
        Positive semidefinite matrices.

    Returns
    -------
    bound : float
        Never above the smallest eigenvalue of the elementwise product.

    Raises
    ------
    TypeError, ValueError
        If a matrix is not positive semidefinite, or their shapes differ.
    """
    gram, S = checks.square("gram", gram), checks.psd("S", S)
    checks.need(S.shape == gram.shape, "S", f"the shape of gram, {gram.shape}", S)
    return smallest_eigenvalue(gram) * float(np.min(np.diag(S)))


def rate_bound(gram, h, c, activation):
    r"""Lower bound on the rate at this instant.

    :math:`-\frac{d}{dt}\ln\mathcal L \ge
    \frac2n\lambda_{\min}(G)\min_a\frac1m\sum_i c_i^2\sigma'(h_i(x_a))^2`.

    Parameters
    ----------
    gram : ndarray, shape (n, n)
        Gram matrix of the features.
    h : ndarray, shape (m, n)
        Pre-activations at this instant.
    c : ndarray, shape (m,)
        Output weights.
    activation : Activation or str
        Nonlinearity, or its name.

    Returns
    -------
    bound : float
        The same in mean-field and NTK scaling.

    Raises
    ------
    TypeError, ValueError
        If a matrix is none, shapes do not fit or the activation is unknown.
    """
    gram = checks.square("gram", gram)
    h = checks.array("h", h, shape=("m", len(gram)))
    c = checks.array("c", c, shape=(len(h),))
    slope = named(activation).both(h)[1]
    diagonal = c**2 @ slope**2 / len(c)
    return 2 / len(gram) * smallest_eigenvalue(gram) * float(diagonal.min())


@dataclass(frozen=True)
class Certificate:
    r"""A promise :math:`\mathcal L(t) \le \mathcal L(0)e^{-rt}` for all times, or why there is none.

    Parameters
    ----------
    theorem : {"A", "B", None}
        Which theorem gives it (Theorem C is A or B on random features).
    rate : float
        :math:`r`; zero without a certificate.
    fraction : float
        :math:`p`, the share of units that stay where the activation is steep (1 for Theorem A).
    radius : float
        :math:`R_p`, how far a pre-activation can ever move (infinite for Theorem A, which does not need it).
    reason : str
        Empty, or why there is no certificate.
    """

    theorem: str | None
    rate: float
    fraction: float
    radius: float
    reason: str

    def __bool__(self):
        return self.theorem is not None


def certify(gram, h0, c, y, activation, scaling="mean_field"):
    r"""Look for the best certificate of exponential convergence.

    Theorem A when the activation is steep everywhere: :math:`r = \frac2n\lambda_{\min}(G)\kappa^2\hat c^2`.
    Otherwise Theorem B: the largest :math:`p` with :math:`q(R_p) \ge p`, where
    :math:`R_p = \sqrt{2n\mathcal L_0}\,M\gamma/(\lambda_{\min}(G)\kappa^2\hat c p)` (divided by
    :math:`\sqrt m` in NTK scaling) and :math:`r = \frac2n\lambda_{\min}(G)\kappa^2\hat c^2p`.

    Parameters
    ----------
    gram : array_like, shape (n, n)
        Gram matrix of the features.
    h0 : array_like, shape (m, n)
        Pre-activations at the start.
    c : array_like, shape (m,)
        Output weights, all of one size.
    y : array_like, shape (n,)
        Targets.
    activation : Activation or str
        Nonlinearity, or its name.
    scaling : {"mean_field", "ntk"}, optional
        Scale of the output.

    Returns
    -------
    certificate : Certificate
        False in a boolean context when there is none.

    Raises
    ------
    TypeError, ValueError
        If the output weights differ in size or vanish, shapes do not fit or the scaling is unknown.

    Notes
    -----
    The largest p is found exactly: q takes the values k/m, so it is enough to compare the k-th largest distance
    from the ends of the interval with the radius at p = k/m.
    """
    gram = checks.square("gram", gram)
    n = len(gram)
    h0 = checks.array("h0", h0, shape=("m", n))
    m = len(h0)
    c, y = checks.array("c", c, shape=(m,)), checks.array("y", y, shape=(n,))
    activation = named(activation)
    scaling = checks.choice("scaling", scaling, ("mean_field", "ntk"))
    size = np.abs(c)
    c_hat = size[0]
    # equal up to rounding of a sum
    if not c_hat > 0 or not np.ptp(size) <= 1e-12 * c_hat:
        raise ValueError(
            f"c needs output weights of one size, not zero, got sizes from {size.min():.6g} to {size.max():.6g}"
        )
    lam = smallest_eigenvalue(gram)
    if lam == 0:
        reason = "the Gram matrix is singular: the features of the samples are linearly dependent"
        return Certificate(None, 0.0, 0.0, np.inf, reason)
    full = 2 / n * lam * activation.kappa**2 * c_hat**2
    if activation.monotone:
        return Certificate("A", float(full), 1.0, np.inf, "")

    scale = 1 / m if scaling == "mean_field" else 1 / np.sqrt(m)
    zeta = c @ activation.both(h0)[0] * scale - y
    gamma = np.sqrt((gram**2).sum(axis=1).max())
    # sqrt(2 n L0) is the norm of zeta
    radius_at_one = activation.slope_max * gamma * np.linalg.norm(zeta) / (lam * activation.kappa**2 * c_hat)
    if scaling == "ntk":
        radius_at_one /= np.sqrt(m)
    low, high = activation.interval
    inside = np.sort(np.minimum(h0 - low, high - h0), axis=0)[::-1].min(axis=1)
    p = np.arange(1, m + 1) / m
    good = np.flatnonzero(inside >= radius_at_one / p)
    if not good.size:
        gap = float(np.min(radius_at_one / p - inside))
        reason = (
            f"pre-activations could move {radius_at_one:.3g} or more, "
            f"at best {gap:.3g} too far for any fraction of units to stay where the slope is bounded below"
        )
        return Certificate(None, 0.0, 0.0, np.inf, reason)
    best = p[good[-1]]
    return Certificate("B", float(full * best), float(best), float(radius_at_one / best), "")


def units_needed(n, accuracy, failure):
    r"""Units, :math:`m \ge \ln(n/\delta)/(2\epsilon^2)`, for every sample's fraction to be near its mean.

    Parameters
    ----------
    n : int
        Number of samples.
    accuracy : float
        :math:`\epsilon`, distance below the mean allowed.
    failure : float
        :math:`\delta`, probability allowed.

    Returns
    -------
    m : int
        Independent units (antisymmetric pairs count once); logarithmic in n.

    Examples
    --------
    >>> units_needed(20, 0.1, 0.01), units_needed(2000, 0.1, 0.01)
    (381, 611)
    """
    n, accuracy = checks.count("n", n), checks.number("accuracy", accuracy, above=0, below=1)
    failure = checks.number("failure", failure, above=0, below=1)
    return int(np.ceil(np.log(n / failure) / (2 * accuracy**2)))


def chernoff_failure(n_features, lam, n, bound, shortfall):
    r"""Probability bound :math:`n\exp(-\epsilon^2D\lambda/(2nb))` that
    :math:`\lambda_{\min}(\hat G) \le (1-\epsilon)\lambda`.

    Parameters
    ----------
    n_features : int or ndarray
        Number D of random features, drawn independently.
    lam : float
        Smallest eigenvalue :math:`\lambda \ge 0` of the kernel of infinitely many.
    n : int
        Number of samples.
    bound : float
        :math:`b \ge |\varphi|^2` on all of them (2 for Fourier features; Gaussian ReLU features have none).
    shortfall : float
        :math:`\epsilon` in (0, 1].

    Returns
    -------
    probability : float or ndarray
        Between 0 and 1; 1, which says nothing, until :math:`D` exceeds :math:`2nb\ln n/(\epsilon^2\lambda)`.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range.
    """
    n_features = checks.array("n_features", n_features, least=0)
    lam, bound = checks.nonnegative("lam", lam), checks.positive("bound", bound)
    n, shortfall = checks.count("n", n), checks.number("shortfall", shortfall, above=0, most=1)
    exponent = shortfall**2 * n_features * lam / (2 * n * bound)
    return np.minimum(1.0, n * np.exp(-exponent))


def features_needed(lam, n, bound, shortfall, failure):
    r"""Random features that make :func:`chernoff_failure` at most ``failure``.

    Parameters
    ----------
    lam, n, bound, shortfall
        As in :func:`chernoff_failure`, with ``lam > 0``.
    failure : float
        Probability allowed.

    Returns
    -------
    n_features : int
        At least n.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range.

    Examples
    --------
    >>> features_needed(0.1, 16, 2.0, 0.5, 0.01)
    18888
    """
    lam, bound = checks.positive("lam", lam), checks.positive("bound", bound)
    n, shortfall = checks.count("n", n), checks.number("shortfall", shortfall, above=0, most=1)
    failure = checks.number("failure", failure, above=0, below=1)
    return max(n, int(np.ceil(2 * n * bound * np.log(n / failure) / (shortfall**2 * lam))))


def ball_radius(gram, loss0, c_hat, slope_max, rate):
    r"""How far a unit's function can move in the feature space (mean-field scaling).

    :math:`B = \frac{2\hat cM}{r}\sqrt{2\lambda_{\max}(G)\mathcal L_0/n}`.

    Parameters
    ----------
    gram : array_like, shape (n, n)
        Gram matrix of the features.
    loss0 : float
        Loss at the start.
    c_hat, slope_max : float
        Size of the output weights, largest slope.
    rate : float
        A rate r with :math:`\mathcal L(t) \le \mathcal L_0e^{-rt}`.

    Returns
    -------
    radius : float
        Bound on the norm of every :math:`h_i(t) - h_i(0)`.
    """
    gram = checks.psd("gram", gram)
    loss0, rate = checks.nonnegative("loss0", loss0), checks.positive("rate", rate)
    c_hat, slope_max = checks.positive("c_hat", c_hat), checks.positive("slope_max", slope_max)
    top = np.linalg.eigvalsh(gram)[-1]
    return float(2 * c_hat * slope_max / rate * np.sqrt(2 * top * loss0 / len(gram)))


def rademacher_bound(gram, radius, c_hat, slope_max):
    r"""Empirical Rademacher complexity of all networks whose units moved less than ``radius``.

    :math:`\hat{\mathcal R} \le \hat cMB\sqrt{\operatorname{tr}G}/n`, contraction, then a ball.

    Parameters
    ----------
    gram : array_like, shape (n, n)
        Gram matrix of the features.
    radius : float
        :math:`B`.
    c_hat, slope_max : float
        Size of the output weights, largest slope.

    Returns
    -------
    complexity : float
        Of order :math:`n^{-1/2}` at fixed radius.
    """
    gram, radius = checks.psd("gram", gram), checks.nonnegative("radius", radius)
    c_hat, slope_max = checks.positive("c_hat", c_hat), checks.positive("slope_max", slope_max)
    return float(c_hat * slope_max * radius * np.sqrt(np.trace(gram)) / len(gram))
