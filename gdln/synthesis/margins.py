r"""Largest margins of gated networks: the convex programs that training solves in the limit, with certificates.

A network with fixed gates is linear in :math:`\beta`, the products of its weights:
:math:`f(x)=\sum_h\beta_h\cdot\varphi_h(x)` with :math:`\varphi_h(x)=g_h(x)\otimes x`, or :math:`g(x)^\top\beta x`.
Which norm of :math:`\beta` training keeps small for the margin it reaches depends on how the weights multiply.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from gdln import checks

NORMS = ("l2", "group", "nuclear")
#: Separation relative to the size of the samples below which rounding decides.
ROUNDING = 1e-8


def private_gates(X, n_units, rng, n_planes=2):
    r"""Contexts of every unit's own: which side of its random planes a point lies on.

    Unit :math:`h` has planes with normals :math:`v_{hk}\sim\mathcal N(0,I)`; each of the :math:`C=2^{n_{\rm planes}}`
    patterns of signs is a context, and :math:`g_{hc}(x)=1` in the context of the point and zero in the others.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_inputs)
        Points.
    n_units : int
        Number of units.
    rng : numpy.random.Generator
        Source of the planes.
    n_planes : int, optional
        Planes a unit, at most 10.

    Returns
    -------
    gates : ndarray, shape (n_units, n_samples, n_contexts)
        Zeros and ones, one of them a row.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or range.

    Examples
    --------
    >>> float(private_gates(np.eye(3), 5, np.random.default_rng(0)).sum(axis=2).min())
    1.0
    """
    X = checks.array("X", X, shape=("n_samples", "n_inputs"))
    n_units, rng = checks.count("n_units", n_units), checks.generator("rng", rng)
    n_planes = checks.count("n_planes", n_planes, most=10)
    normals = rng.standard_normal((n_units, n_planes, X.shape[1]))
    side = np.einsum("hkd,pd->hpk", normals, X) >= 0
    return np.eye(2**n_planes)[side @ 2 ** np.arange(n_planes)]


def gated_features(gates, X):
    r"""Products of gates and inputs, :math:`\varphi_h(x)=g_h(x)\otimes x`.

    Parameters
    ----------
    gates : array_like, shape (n_units, n_samples, n_contexts)
        Gates of every unit at the points.
    X : array_like, shape (n_samples, n_inputs)
        Points.

    Returns
    -------
    features : ndarray, shape (n_units, n_samples, n_contexts * n_inputs)
        What the weights of a unit multiply.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit together.
    """
    X = checks.array("X", X, shape=("n_samples", "n_inputs"))
    gates = checks.array("gates", gates, shape=("n_units", len(X), "n_contexts"))
    return (gates[..., None] * X[:, None, :]).reshape(*gates.shape[:2], -1)


def norm(beta, kind):
    r"""Norm of a matrix of coefficients, or of a stack of them.

    ``"l2"``: :math:`(\sum\beta_{hj}^2)^{1/2}`; ``"group"``: :math:`\sum_h(\sum_j\beta_{hj}^2)^{1/2}`;
    ``"nuclear"``: the sum of the singular values.

    Parameters
    ----------
    beta : array_like, shape (..., n_units, n_features)
        Coefficients, one row a unit or gate.
    kind : {"l2", "group", "nuclear"}
        Which norm.

    Returns
    -------
    norm : ndarray, shape (...)
        Never negative.

    Raises
    ------
    TypeError, ValueError
        If there is no matrix, or the norm is unknown.

    Examples
    --------
    >>> [float(norm([[3.0, 4.0], [0.0, 5.0]], kind).round(3)) for kind in NORMS]
    [7.071, 10.0, 8.944]
    """
    beta = checks.array("beta", beta, shape=(..., "n_units", "n_features"))
    kind = checks.choice("kind", kind, NORMS)
    if kind == "nuclear":
        return np.linalg.svd(beta, compute_uv=False).sum(axis=-1)
    rows = np.linalg.norm(beta, axis=-1)
    return rows.sum(axis=-1) if kind == "group" else np.linalg.norm(rows, axis=-1)


@dataclass(frozen=True)
class MaxMargin:
    r"""Least norm at which all margins are one, between a solution and a bound.

    Parameters
    ----------
    beta : ndarray, shape (n_units, n_features)
        Coefficients with :math:`\min_\mu y_\mu f(x_\mu)=1`.
    norm : float
        Their norm, at or above the least one.
    bound : float
        :math:`\sum_\mu\alpha_\mu`, at or below the least one.
    alpha : ndarray, shape (n_samples,)
        Feasible in the dual problem: not negative, and :math:`S=\sum_\mu\alpha_\mu y_\mu\varphi(x_\mu)` has dual
        norm one.
    S : ndarray, shape (n_units, n_features)
        That sum.
    norms, bounds : ndarray, shape (n_steps,)
        Best norm and best bound after every step.
    """

    beta: np.ndarray
    norm: float
    bound: float
    alpha: np.ndarray
    S: np.ndarray
    norms: np.ndarray
    bounds: np.ndarray

    @property
    def margin(self):
        """Margin of the solution divided by its norm."""
        return 1 / self.norm

    @property
    def gap(self):
        """How far the solution can be from the optimum, as a fraction."""
        return self.norm / self.bound - 1


def l2_margin(features, y):
    r"""Smallest :math:`(\sum_h\|\beta_h\|^2)^{1/2}` at which all margins are one: one layer of weights.

    Parameters
    ----------
    features : array_like, shape (n_units, n_samples, n_features)
        Features of every unit, see :func:`gated_features`.
    y : array_like, shape (n_samples,)
        Labels, plus or minus one.

    Returns
    -------
    found : MaxMargin
        Solved in one step, the gap is rounding.

    Raises
    ------
    TypeError, ValueError
        As :func:`group_margin`.
    """
    features, y, scale = _data(features, y)
    one = features.transpose(1, 0, 2).reshape(1, len(y), -1)
    found = _reweigh(one, y, scale, _groups, tolerance=0.0, max_steps=1, smoothing=False)
    shape = features.shape[0], features.shape[2]
    return MaxMargin(**(vars(found) | {"beta": found.beta.reshape(shape), "S": found.S.reshape(shape)}))


def group_margin(features, y, *, tolerance=1e-5, max_steps=2000, smoothing=True):
    r"""Smallest :math:`\sum_h\|\beta_h\|` at which all margins are one: units with private gates.

    Since :math:`\|b\|=\inf_{\eta>0}\frac12(\|b\|^2/\eta+\eta)`, the problem is a hard-margin machine with the kernel
    :math:`\sum_h\eta_h\varphi_h\cdot\varphi_h'` at given weights, and :math:`\eta_h=\|\beta_h\|` at given
    coefficients. The two steps alternate; the dual problem, :math:`\max\sum\alpha` with all :math:`\|S_h\|\le1`, gives
    the bound.

    Parameters
    ----------
    features : array_like, shape (n_units, n_samples, n_features)
        Features of every unit, see :func:`gated_features`.
    y : array_like, shape (n_samples,)
        Labels, plus or minus one.
    tolerance : float, optional
        The gap at which to stop.
    max_steps : int, optional
        Steps allowed; when they run out, the gap of the result tells what was reached.
    smoothing : bool, optional
        Use :math:`\eta_h=(\|\beta_h\|^2+\epsilon^2)^{1/2}` with :math:`\epsilon` proportional to the gap.

    Returns
    -------
    found : MaxMargin
        Solution, bound and the way there.

    Raises
    ------
    TypeError, ValueError
        If arguments do not fit together, or the labels do not separate the samples (a margin of less than 1e-8 of the
        samples' size counts as none).
    """
    features, y, scale = _data(features, y)
    tolerance, max_steps, smoothing = _options(tolerance, max_steps, smoothing)
    return _reweigh(features, y, scale, _groups, tolerance, max_steps, smoothing)


def nuclear_margin(gates, X, y, *, tolerance=1e-3, max_steps=2000, smoothing=True):
    r"""Smallest :math:`\|\beta\|_*` at which all :math:`y_\mu\,g(x_\mu)^\top\beta x_\mu\ge1`: units that share gates.

    Since :math:`\|\beta\|_*=\inf_{U\succ0}\frac12\mathrm{tr}(\beta^\top U^{-1}\beta+U)`, the problem is a hard-margin
    machine with the kernel :math:`g^\top Ug'\,x\cdot x'` at given :math:`U`, and
    :math:`U=(\beta\beta^\top)^{1/2}` at given coefficients. The dual problem asks for a largest singular value of
    :math:`S` of at most one. Without smoothing the steps can come to rest above the optimum: :math:`U` loses a
    direction before it has turned.

    Parameters
    ----------
    gates : array_like, shape (n_samples, n_gates)
        Gates at the points, the same for all units.
    X : array_like, shape (n_samples, n_inputs)
        Points.
    y : array_like, shape (n_samples,)
        Labels, plus or minus one.
    tolerance, max_steps : float and int, optional
        As in :func:`group_margin`.
    smoothing : bool, optional
        Use :math:`U=(\beta\beta^\top+\epsilon^2I)^{1/2}` with :math:`\epsilon` proportional to the gap.

    Returns
    -------
    found : MaxMargin
        Solution (shape (n_gates, n_inputs)), bound and the way there.

    Raises
    ------
    TypeError, ValueError
        As :func:`group_margin`.
    """
    X = checks.array("X", X, shape=("n_samples", "n_inputs"))
    gates = checks.array("gates", gates, shape=(len(X), "n_gates"))
    products = np.einsum("pm,pd->mpd", _unit(gates), _unit(X))
    features, y, scale = _data(products, y, "the products of gates and X")
    tolerance, max_steps, smoothing = _options(tolerance, max_steps, smoothing)
    with np.errstate(over="ignore"):
        scale = scale * np.abs(gates).max() * np.abs(X).max()
    checks.need(
        0 < scale < np.inf, "gates", "products with X of a size that floating-point numbers have", gates
    )
    return _reweigh(features, y, scale, _matrices, tolerance, max_steps, smoothing)


def _options(tolerance, max_steps, smoothing):
    return (
        checks.positive("tolerance", tolerance),
        checks.count("max_steps", max_steps),
        checks.flag("smoothing", smoothing),
    )


def _unit(values):
    """Divided by the largest, so that no product overflows; zeros stay."""
    return values / (np.abs(values).max() or 1.0)


def _data(features, y, name="features"):
    """Features in units of the largest entry, labels, and that entry."""
    features = checks.array(name, features, shape=("n_units", "n_samples", "n_features"))
    y = checks.array("y", y, shape=(features.shape[1],))
    checks.need((np.abs(y) == 1).all(), "y", "labels of plus or minus one", y)
    empty = np.flatnonzero(~features.any(axis=(0, 2)))
    checks.need(not empty.size, name, "a value that is not zero at every sample", empty)
    return _unit(features), y, np.abs(features).max()


def _machine(L, y):
    r"""Vector :math:`u` of least norm with :math:`y_\mu L_\mu\cdot u\ge1`, and its coefficients in :math:`y_\mu L_\mu`.

    A least-distance problem: the residual of the non-negative least squares fit of :math:`(0,1)` by the columns
    :math:`(\hat y_\mu\hat L_\mu,h_\mu)`, with rows of length one and :math:`h_\mu` their margins, points along
    :math:`(u,-1)` (Lawson and Hanson 1974, chapter 23).
    """
    size = np.linalg.norm(L, axis=1)
    if not size.min() > 0:
        return None, None
    h = size.min() / size
    rows = (y / size)[:, None] * L
    A = np.vstack([np.linalg.qr(rows.T, mode="r"), h])
    target = np.append(np.zeros(len(A) - 1), 1.0)
    a, residual = nnls(A, target, maxiter=100 * len(y))
    if residual < ROUNDING:
        return None, None
    # the last entry of the residual is the square of its length; the difference 1 - h.a would cancel
    alpha = a / (residual**2 * size * size.min())
    return (alpha * y) @ L, alpha


def _reweigh(features, y, scale, norms, tolerance, max_steps, smoothing):
    """Alternate between a kernel machine and the weights of its kernel, until norm and bound meet."""
    n_units = len(features)
    root, least, bound, best_beta, best_dual = np.eye(n_units), np.inf, 0.0, None, None
    history, epsilon = [], np.inf
    for _ in range(max_steps):
        L = np.einsum("hk,kpj->phj", root, features).reshape(len(y), -1)
        u, alpha = _machine(L, y)
        if u is None:
            if best_beta is None:
                raise ValueError(
                    "features needs samples that the labels separate, got no coefficients with all margins above zero"
                )
            break  # the weights have left what rounding can tell apart; the best so far is certified
        beta = root @ u.reshape(n_units, -1)
        beta /= (y * np.einsum("hj,hpj->p", beta, features)).min()
        S = np.einsum("p,hpj->hj", alpha * y, features)
        primal, dual, weigh = norms(beta, S)
        if primal < least:
            least, best_beta = primal, beta
        if alpha.sum() / dual > bound:
            bound, best_dual = alpha.sum() / dual, (alpha / dual, S / dual)
        history.append((least, bound))
        if least / bound - 1 <= tolerance:
            break
        # A dead direction of dual size s adds at most s ((1-s)/(1+s))^(1/2) < 0.3003 epsilon to the gap, so that
        # the gap can shrink with three times its share.
        epsilon = min(epsilon, 3 * (least - bound) / n_units)
        root = weigh(epsilon if smoothing else 0.0)
    norms_, bounds = np.array(history).T / scale
    alpha, S = best_dual
    return MaxMargin(
        best_beta / scale, float(norms_[-1]), float(bounds[-1]), alpha / scale, S, norms_, bounds
    )


def _groups(beta, S):
    """Group norm of the coefficients, its dual, and the square roots of the weights of a smoothing."""
    rows = np.linalg.norm(beta, axis=1)

    def weigh(epsilon):
        return np.diag(np.sqrt(np.hypot(rows, epsilon)))

    return rows.sum(), np.linalg.norm(S, axis=1).max(), weigh


def _matrices(beta, S):
    """Nuclear norm of the coefficients, its dual, and the square root of the weights of a smoothing."""
    left, values, _ = np.linalg.svd(beta)

    def weigh(epsilon):
        padded = np.append(values, np.zeros(len(left) - len(values)))
        return (left * np.sqrt(np.hypot(padded, epsilon))) @ left.T

    return values.sum(), np.linalg.norm(S, 2), weigh
