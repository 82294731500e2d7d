r"""The equation behind the theories: the network's map and the second moments of its weights, closed at every width.

With :math:`\mathsf P = AA^\top/N` and :math:`Q = W^\top W/N`,

.. math:: \dot F = \mathsf PS + SQ, \quad \dot{\mathsf P} = \gamma^{-2}(SF^\top + FS^\top), \quad
    \dot Q = \gamma^{-2}(F^\top S + S^\top F), \quad S = \Sigma - F .

The moments are the tangent kernel. A theory keeps them frozen, starts them at their mean, or forgets their start.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.integration import integrate
from gdln.synthesis import measures
from gdln.synthesis.measures import MapTrajectory


@dataclass(frozen=True)
class MomentTrajectory(MapTrajectory):
    r"""The map and both moments along time.

    Attributes
    ----------
    P : ndarray, shape (n_times, n_outputs, n_outputs)
        :math:`\mathsf P`.
    Q : ndarray, shape (n_times, n_inputs, n_inputs)
        :math:`Q`.
    """

    P: np.ndarray
    Q: np.ndarray


def of_weights(A, W, gamma):
    r"""Map and moments of a network, :math:`F = \gamma AW/N`, :math:`\mathsf P = AA^\top/N`, :math:`Q = W^\top W/N`.

    Parameters
    ----------
    A, W : array_like, shapes (n_outputs, width) and (width, n_inputs)
        Weights.
    gamma : float
        Scale of the output.

    Returns
    -------
    F, P, Q : ndarray
        Where :func:`solve_moments` and :func:`solve_frozen` start.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    A = checks.array("A", A, shape=("n_outputs", "width"))
    W = checks.array("W", W, shape=(A.shape[1], "n_inputs"))
    gamma, N = checks.positive("gamma", gamma), A.shape[1]
    return gamma / N * A @ W, A @ A.T / N, W.T @ W / N


def solve_moments(F, P, Q, sigma, gamma, times, rtol=1e-10, atol=1e-12):
    r"""Solve the closed equation of the module's head.

    Parameters
    ----------
    F, P, Q : array_like, shapes (n_outputs, n_inputs), (n_outputs, n_outputs), (n_inputs, n_inputs)
        Start, from :func:`of_weights`; the identity twice for an infinite network.
    sigma : array_like, shape (n_outputs, n_inputs)
        :math:`\Sigma` on white inputs.
    gamma : float
        Scale of the output.
    times : array_like, shape (n_times,)
        Increasing times, the first is that of the start.
    rtol, atol : float, optional
        Tolerances of the solver.

    Returns
    -------
    run : MomentTrajectory
        At the given times.

    Raises
    ------
    ValueError
        If shapes do not match, a moment is not positive semidefinite, or :math:`\mathsf P` has a smaller rank than the
        target: then the network is too narrow for it, and the closed equation unstable.

    Examples
    --------
    >>> run = solve_moments([[0.0]], [[1.0]], [[1.0]], [[1.0]], 1e6, [0.0, 0.5])
    >>> bool(abs(run.maps[1, 0, 0] - (1 - np.exp(-1))) < 1e-9)
    True
    """
    F, P, Q, sigma = _start(F, P, Q, sigma)
    rank = np.linalg.matrix_rank(sigma)
    checks.need(np.linalg.matrix_rank(P) >= rank, "P", f"a rank of at least {rank}, that of sigma", P)
    gamma, times = checks.positive("gamma", gamma), measures.rising(times)
    shapes, cut = (F.shape, P.shape, Q.shape), np.cumsum([F.size, P.size])

    def parts(v):
        pieces = np.split(v, cut, axis=-1)
        return [x.reshape(*v.shape[:-1], *shape) for x, shape in zip(pieces, shapes, strict=True)]

    def slope(_, v):
        F, P, Q = parts(v)
        S = sigma - F
        out, back = S @ F.T, F.T @ S
        slopes = P @ S + S @ Q, (out + out.T) / gamma**2, (back + back.T) / gamma**2
        return np.concatenate([x.ravel() for x in slopes])

    v = integrate(slope, np.concatenate([x.ravel() for x in (F, P, Q)]), times, rtol, atol)
    F, P, Q = parts(v)
    S = sigma - F
    return MomentTrajectory(times, F, P @ S + S @ Q, P, Q)


def solve_frozen(F, P, Q, sigma, times):
    r"""The network with the tangent kernel of its own start, :math:`\dot F = \mathsf P_0S + SQ_0`.

    In the eigenvectors of the two moments every entry of :math:`S` decays by itself, at the rate :math:`p_i + q_j`.

    Parameters
    ----------
    F, P, Q : array_like
        Start, as in :func:`solve_moments`.
    sigma : array_like, shape (n_outputs, n_inputs)
        :math:`\Sigma` on white inputs.
    times : array_like, shape (n_times,)
        Increasing times from zero on.

    Returns
    -------
    run : MapTrajectory
        Exact.

    Raises
    ------
    ValueError
        If shapes do not match or a moment is not positive semidefinite.
    """
    F, P, Q, sigma = _start(F, P, Q, sigma)
    times = measures.rising(times)
    checks.need(times[0] >= 0, "times", "times from zero on", times)
    p, left = np.linalg.eigh(P)
    q, right = np.linalg.eigh(Q)
    decay = np.exp(-np.maximum(p[:, None] + q, 0) * times[:, None, None])
    S = left @ (decay * (left.T @ (sigma - F) @ right)) @ right.T
    return MapTrajectory(times, sigma - S, P @ S + S @ Q)


def certified_rate(P, Q):
    r"""Rate below which the loss cannot fall, :math:`2(\lambda_{\min}\mathsf P + \lambda_{\min}Q)`.

    :math:`\frac{d}{dt}\|S\|^2 = -2\,\mathrm{tr}\,S^\top(\mathsf PS + SQ)`, whatever the features do.

    Parameters
    ----------
    P, Q : array_like, shapes (..., n, n) and (..., m, m)
        Moments, symmetric; leading axes are times.

    Returns
    -------
    rate : ndarray
        At every time; zero where a width below the number of inputs leaves a direction unheard and a row unspoken.

    Raises
    ------
    ValueError
        If a matrix is not square and symmetric.
    """
    P, Q = checks.array("P", P, shape=(..., "n", "n")), checks.array("Q", Q, shape=(..., "m", "m"))
    checks.need(P.shape[:-2] == Q.shape[:-2], "Q", "the leading axes of P", Q)
    for name, every in (("P", P), ("Q", Q)):
        for matrix in every.reshape(-1, *every.shape[-2:]):
            checks.symmetric(name, matrix)  # of others eigvalsh would read one triangle
    lowest = np.linalg.eigvalsh(P)[..., 0] + np.linalg.eigvalsh(Q)[..., 0]
    return 2 * np.maximum(lowest, 0)


def _start(F, P, Q, sigma):
    F = checks.array("F", F, shape=("n_outputs", "n_inputs"))
    m, n = F.shape
    P = checks.psd("P", checks.array("P", P, shape=(m, m)))
    Q = checks.psd("Q", checks.array("Q", Q, shape=(n, n)))
    return F, P, Q, checks.array("sigma", sigma, shape=(m, n))
