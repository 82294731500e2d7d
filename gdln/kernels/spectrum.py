r"""The rank of a kernel in floating point: one rule wherever a kernel is inverted, exponentiated or drawn from.

The entries of a kernel are rounded, so its eigenvalues are known to about :math:`n\epsilon` times the largest one
(:math:`n` its side, :math:`\epsilon = 2^{-52}`). What lies below is rounding, of either sign: divided by, it is noise
of any size; in an exponential it moves with time. Here it counts as zero: the kernel acts in its range alone.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky
from scipy.linalg.lapack import dpstrf

EPS = float(np.finfo(float).eps)
_NEGATIVE = 1e-8  # a kernel of ReLU units knows collinear inputs to the root of the rounding error only


def resolution(n):
    r"""Eigenvalues of an :math:`n \times n` kernel below this fraction of the largest are rounding, :math:`n\epsilon`.

    Examples
    --------
    >>> resolution(1024) == 2.0**-42
    True
    """
    return n * EPS


def eigenvalues_and_vectors(name, K):
    r"""Eigenvalues of a kernel, those of rounding set to exactly zero, and its eigenvectors.

    Parameters
    ----------
    name : str
        What the kernel is called in an error.
    K : ndarray, shape (n, n)
        Symmetric matrix; its lower triangle is read.

    Returns
    -------
    eigenvalues : ndarray, shape (n,)
        In rising order; zero where they are at most :func:`resolution` times the largest.
    vectors : ndarray, shape (n, n)
        One column an eigenvalue.

    Raises
    ------
    ValueError
        If an eigenvalue is negative beyond rounding: below :math:`-10^{-8} n` times the largest entry.

    Examples
    --------
    >>> eigenvalues_and_vectors("kernel", np.ones((3, 3)))[0].round(12)
    array([0., 0., 3.])
    """
    values, vectors = np.linalg.eigh(K)
    if values[0] < -_NEGATIVE * len(K) * np.abs(K).max():
        raise ValueError(f"{name} needs eigenvalues of at least zero, got {values[0]:.3g}")
    return np.where(values > resolution(len(K)) * values[-1], values, 0.0), vectors


@dataclass(frozen=True)
class Root:
    r"""A factor of a covariance in its range, :math:`C = LL^\top`.

    Attributes
    ----------
    factor : ndarray, shape (n, rank)
        :math:`L`.
    pivots : ndarray, shape (rank,)
        Variables that determine all others: the rows ``factor[pivots]`` are lower triangular and invertible.
    """

    factor: np.ndarray
    pivots: np.ndarray

    @property
    def rank(self):
        """Number of independent variables."""
        return len(self.pivots)


def root(C, tolerance=None):
    r"""Factor a covariance that may be singular.

    Cholesky's factor with the largest remaining variance taken first, until that is below the tolerance; if none is,
    Cholesky's factor in the given order.

    Parameters
    ----------
    C : ndarray, shape (n, n)
        Symmetric, positive semi-definite to within the tolerance.
    tolerance : float, optional
        Variance that counts as rounding; sixteen times :func:`resolution` times the largest variance unless given,
        since a pivot is what up to n subtractions leave.

    Returns
    -------
    root : Root
        :math:`LL^\top` is :math:`C` to within the tolerance; rank zero for a covariance of zero.

    Examples
    --------
    >>> root(np.ones((3, 3))).rank
    1
    """
    n = len(C)
    if tolerance is None:
        tolerance = 16 * resolution(n) * np.diag(C).max(initial=0)
    if not np.diag(C).max(initial=0) > tolerance:
        return Root(np.zeros((n, 0)), np.zeros(0, dtype=int))
    packed, order, rank, _ = dpstrf(C, tol=tolerance, lower=True)
    if rank == n:
        # only the largest-first order tells a rank; once it is full, the order given keeps a draw's numbers in place
        try:
            return Root(cholesky(C, lower=True, check_finite=False), np.arange(n))
        except LinAlgError:
            pass
    order = order - 1  # LAPACK counts from one
    L = np.empty((n, rank))
    L[order] = np.tril(packed)[:, :rank]
    return Root(L, order[:rank])
