r"""Two-layer linear networks between lazy and rich: the matrix Riccati equation of lambda-balanced weights.

For white inputs and :math:`W_2^\top W_2 - W_1W_1^\top = \lambda I` the second moments of the weights obey a
closed equation with a closed solution. The tangent kernel is made of the same second moments.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from gdln import checks


@dataclass(frozen=True)
class Moments:
    r"""Second moments of the weights along training, :math:`QQ^\top` with :math:`Q = (W_1, W_2^\top)^\top`.

    Attributes
    ----------
    times : ndarray, shape (m,)
        Times.
    inputs : ndarray, shape (m, n_inputs, n_inputs)
        :math:`W_1^\top W_1`.
    maps : ndarray, shape (m, n_outputs, n_inputs)
        Input-output map :math:`W_2W_1`.
    outputs : ndarray, shape (m, n_outputs, n_outputs)
        :math:`W_2W_2^\top`.
    """

    times: np.ndarray
    inputs: np.ndarray
    maps: np.ndarray
    outputs: np.ndarray


def lambda_balanced_weights(basis, imbalance, strengths, width, rng):
    r"""Two layers with :math:`W_2^\top W_2 - W_1W_1^\top = \lambda I`, in random directions or along given modes.

    Parameters
    ----------
    basis : tuple of ndarray
        Orthonormal columns ``(U, V)``, shapes (n_outputs, width) and (n_inputs, width), or the pair
        ``(n_outputs, n_inputs)`` of integers for random ones.
    imbalance : float
        The number :math:`\lambda`: positive if the output layer is larger.
    strengths : array_like, shape (width,) or scalar
        Singular values of the initial map :math:`W_2W_1`.
    width : int
        Hidden width, at most the number of inputs and of outputs.
    rng : numpy.random.Generator
        Source of the random frames.

    Returns
    -------
    weights : list of ndarray
        :math:`W_1` and :math:`W_2`.

    Raises
    ------
    ValueError
        If the hidden layer is wider than a neighbour (then such weights exist for one sign at most), the basis
        is not orthonormal, or a number is not finite.
    """
    width = checks.count("width", width)
    checks.instance("basis", basis, (tuple, list))
    checks.need(len(basis) == 2, "basis", "a pair, for outputs and inputs", basis)
    basis = [
        checks.count("basis", b) if np.ndim(b) == 0 else checks.array("basis", b, shape=(None, width))
        for b in basis
    ]
    sizes = [b if isinstance(b, int) else len(b) for b in basis]
    checks.need(
        width <= min(sizes), "width", f"at most {min(sizes)} of the outputs and inputs of basis", width
    )
    for b in (b for b in basis if not isinstance(b, int)):
        checks.need(np.allclose(b.T @ b, np.eye(width), rtol=0, atol=1e-8), "basis", "orthonormal columns", b)
    imbalance = checks.number("imbalance", imbalance)
    strengths = checks.array("strengths", strengths, ndim=(0, 1))
    checks.need(
        strengths.size in (1, width), "strengths", f"one number, or one for each of {width} modes", strengths
    )
    checks.generator("rng", rng)
    U, V = (np.linalg.qr(rng.standard_normal((b, width)))[0] if isinstance(b, int) else b for b in basis)
    a = np.broadcast_to(strengths, (width,))
    middle = np.linalg.qr(rng.standard_normal((width, width)))[0]
    size = np.hypot(imbalance, 2 * a)  # b1^2 + b2^2, with b2^2 - b1^2 = imbalance and b1 b2 = a
    large = np.sqrt((size + abs(imbalance)) / 2)
    small = np.divide(a, large, out=np.zeros(width), where=large > 0)
    b1, b2 = (small, large) if imbalance > 0 else (large, small)
    return [middle * b1 @ V.T, U * b2 @ middle.T]


def imbalance_of(weights):
    r"""Find :math:`\lambda`, and how far two layers are from lambda-balanced.

    Parameters
    ----------
    weights : sequence of ndarray
        :math:`W_1` and :math:`W_2`.

    Returns
    -------
    imbalance : float
        Mean diagonal of :math:`W_2^\top W_2 - W_1W_1^\top`.
    defect : float
        Largest entry of what is left after subtracting :math:`\lambda I`.
    """
    W1, W2 = _layers(weights)
    difference = W2.T @ W2 - W1 @ W1.T
    value = np.trace(difference) / len(difference)
    return float(value), float(np.abs(difference - value * np.eye(len(difference))).max())


def solve(weights, sigma_yx, times, tau=1.0):
    r"""Second moments of lambda-balanced weights under gradient flow on white inputs.

    With :math:`Q = (W_1, W_2^\top)^\top` the matrix :math:`QQ^\top` obeys

    .. math:: \tau\frac{d}{dt}QQ^\top = F QQ^\top + QQ^\top F - (QQ^\top)^2, \qquad
        F = \begin{pmatrix} -\frac{\lambda}{2} I & \Sigma^{yx\top} \\ \Sigma^{yx} & \frac{\lambda}{2} I
        \end{pmatrix}.

    Parameters
    ----------
    weights : sequence of ndarray
        Initial :math:`W_1` (width, n_inputs) and :math:`W_2` (n_outputs, width).
    sigma_yx : array_like, shape (n_outputs, n_inputs)
        Input-output correlation; the input correlation is the identity.
    times : array_like, shape (m,)
        Times, not negative.
    tau : float, optional
        Time constant.

    Returns
    -------
    moments : Moments
        At every time.

    Raises
    ------
    ValueError
        If shapes do not fit, a time is negative, ``tau`` is not positive, anything is not finite, or the weights
        are not lambda-balanced to :math:`10^{-9}` of their size.

    Notes
    -----
    Braun et al. 2022 for :math:`\lambda = 0`, Dominé et al. 2025. The solution is
    :math:`QQ^\top = Z M^{-1} Z^\top` with :math:`Z = e^{Ft}Q_0` and
    :math:`M = I + Q_0^\top\int_0^t e^{2Fs}ds\,Q_0`. In the eigenbasis of :math:`F` the growing part of
    :math:`Z` is proportional to a factor of :math:`M`, so one orthogonal factorisation gives the product and
    no growing exponential is ever inverted. Growing exponentials are compared by their logarithms, so a time costs
    the same however long it is (derived here).
    """
    W1, W2 = _layers(weights)
    n_out, n_in = len(W2), W1.shape[1]
    sigma_yx = checks.array("sigma_yx", sigma_yx, shape=(n_out, n_in))
    times, tau = np.atleast_1d(checks.times("times", times, ndim=(0, 1))), checks.positive("tau", tau)
    imbalance, defect = imbalance_of((W1, W2))
    Q0 = np.vstack([W1.T, W2])
    # a million times what rounding leaves in weights of this size
    if defect > 1e-9 * max(1.0, np.square(Q0).sum()):
        raise ValueError(f"weights need W2'W2 - W1 W1' = lambda I, got a difference of {defect:.2g}")
    F = np.block(
        [[-imbalance / 2 * np.eye(n_in), sigma_yx.T], [sigma_yx, imbalance / 2 * np.eye(n_out)]],
    )
    rates, frame = np.linalg.eigh(F)
    C = frame.T @ Q0
    grams = np.empty((times.size, n_in + n_out, n_in + n_out))
    for i, t in enumerate(times / tau):
        factor = frame @ (_factor(t, rates, C) if t > 0 else C)
        grams[i] = factor @ factor.T
    return Moments(times, grams[:, :n_in, :n_in], grams[:, n_in:, :n_in], grams[:, n_in:, n_in:])


def _layers(weights):
    """Two layers that chain, input side first."""
    checks.instance("weights", weights, (list, tuple))
    checks.need(len(weights) == 2, "weights", "two layers", weights)
    W1 = checks.array("weights[0]", weights[0], ndim=2)
    return W1, checks.array("weights[1]", weights[1], shape=(None, len(W1)))


def _factor(t, rates, C):
    """Factor Y of the solution Y Y' at time t, in the eigenbasis of F; see :func:`solve`."""
    h = C.shape[1]
    # the others grow at most linearly: below rounding a rate has no sign
    up = rates > 1e-14 * np.abs(rates).max()
    safe = np.where(np.abs(rates) > 0, rates, 1.0)
    grown = np.where(np.abs(rates) > 0, -np.expm1(-2 * np.abs(rates) * t) / (2 * np.abs(safe)), t)
    # decaying directions: an h x h matrix of order one
    low = np.linalg.cholesky(np.eye(h) + (C[~up].T * grown[~up]) @ C[~up])
    C = solve_triangular(low, C.T, lower=True).T
    # growing directions: a factor of M has these rows times e^w, and the identity below
    gamma, rate = np.sqrt(grown[up]), rates[up]
    basis = _graded_basis(np.vstack([gamma[:, None] * C[up], np.eye(h)]), np.append(rate * t, np.zeros(h)))
    factor = np.empty((rates.size, h))
    factor[up] = basis[: rate.size] / gamma[:, None]
    # the lower rows of the orthogonal factor are the inverse of the triangular one, up to a rotation
    factor[~up] = np.exp(rates[~up] * t)[:, None] * (C[~up] @ basis[rate.size :])
    return factor


def _graded_basis(G, w):
    r"""Orthonormal basis of the columns of :math:`\mathrm{diag}(e^w)\,G`, for any finite w.

    Columns are eliminated with complete pivoting, the largest :math:`w_i + \ln|G_{ij}|` first. Combining columns
    involves no exponential, and divided by its pivot a column holds numbers of at most one, so that what underflows
    is negligible.
    """
    G, n = G.copy(), G.shape[1]
    columns, pivots, left = np.empty_like(G), np.empty(n, dtype=int), np.ones(G.shape, dtype=bool)
    with np.errstate(divide="ignore"):  # the logarithm of zero is minus infinity, never the largest
        for k in range(n):
            size = np.where(left, w[:, None] + np.log(np.abs(G)), -np.inf)
            i, j = np.unravel_index(size.argmax(), G.shape)
            pivots[k] = i
            columns[:, k] = G[:, j] / G[i, j]
            left[i], left[:, j] = False, False
            G -= np.outer(columns[:, k], np.where(left.any(axis=0), G[i], 0.0))
            G[i] = 0.0
    # the exponential overflows from 709 on
    grade = np.exp(np.minimum(w[:, None] - w[pivots], 700.0))  # above only where a column is zero
    return np.linalg.qr(columns * grade)[0]


def kernel_distance(moments, reference=0):
    r"""Distance of the tangent kernel from the one at a reference time, on white inputs.

    The kernel is :math:`K = I \otimes XW_1^\top W_1X^\top + W_2W_2^\top \otimes XX^\top`, the distance
    :math:`1 - \langle K, K_0\rangle / (\|K\|\|K_0\|)` with Frobenius products (Fort et al. 2020).

    Parameters
    ----------
    moments : Moments
        From :func:`solve` or :func:`moments_of`.
    reference : int, optional
        Index of the reference time.

    Returns
    -------
    distance : ndarray, shape (m,)
        Zero where the kernel is proportional to the reference.

    Raises
    ------
    ValueError
        If a kernel is zero: its direction is undefined.

    Notes
    -----
    With :math:`X^\top X = nI` the norm of a kernel needs traces of second moments only (derived here). The distance
    is half the squared norm of the difference of the two kernels, each over its norm.
    """
    checks.instance("moments", moments, Moments)
    A = checks.array("moments.inputs", moments.inputs, ndim=3)
    B = checks.array("moments.outputs", moments.outputs, ndim=3)
    reference = checks.count("reference", reference, least=-len(A), most=len(A) - 1)

    def square(A, B):
        traces = np.trace(A, axis1=1, axis2=2) * np.trace(B, axis1=1, axis2=2)
        return B.shape[-1] * (A**2).sum((-2, -1)) + 2 * traces + A.shape[-1] * (B**2).sum((-2, -1))

    sizes = np.sqrt(square(A, B))[:, None, None]
    if not (sizes > 0).all():
        raise ValueError("moments need kernels that are not zero, got weights that vanish at some time")
    A, B = A / sizes, B / sizes
    return square(A - A[reference], B - B[reference]) / 2  # one minus the cosine would lose small distances


def moments_of(W1, W2, times):
    """Second moments of simulated weights.

    Parameters
    ----------
    W1 : array_like, shape (m, width, n_inputs)
        First layer along the run.
    W2 : array_like, shape (m, n_outputs, width)
        Second layer along the run.
    times : array_like, shape (m,)
        Times.

    Returns
    -------
    moments : Moments
        At every recorded time.
    """
    W1 = checks.array("W1", W1, ndim=3)
    W2 = checks.array("W2", W2, shape=(len(W1), None, W1.shape[1]))
    times = checks.array("times", times, shape=(len(W1),))
    return Moments(times, W1.transpose(0, 2, 1) @ W1, W2 @ W1, W2 @ W2.transpose(0, 2, 1))
