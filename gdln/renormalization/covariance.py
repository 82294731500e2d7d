r"""The covariance :math:`C = TI + K` of the targets at given order parameters, and all that is asked of it.

The action and the predictions need its logarithmic determinant, what its inverse makes of the targets, and the gradient
in the order parameter. A kernel's ``fit(U, y, noise)`` gives an object that knows these: here from a Cholesky factor of
the matrix of samples by samples; :mod:`gdln.renormalization.features` does without that matrix.
"""

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dlange, dpotrf, dpotri, dpotrs


class MatrixKernel:
    """What kernels share whose matrix on the samples is formed: ``kernel(U)``, of shape (n_points, n_points)."""

    def fit(self, U, y, noise):
        """Covariance at an order parameter with the targets; None if it cannot be factorised."""
        K = self(U)
        K[np.diag_indices_from(K)] += noise
        norm = dlange("F", K.T)  # of numbers whose squares would overflow too
        factor, info = dpotrf(K.T, lower=True, clean=True, overwrite_a=True)
        if info != 0 or not np.isfinite(factor[-1, -1]):
            return None
        return MatrixFit(self, U, y, factor, norm)

    @property
    def order(self):
        """Rows of the matrix that is factorised."""
        return self.n_points

    def spectrum(self, U, y):
        """Eigenvalues of the kernel and squared projections of the targets on its eigenvectors."""
        eigenvalues, basis = np.linalg.eigh(self(U))
        return eigenvalues, (basis.T @ y) ** 2

    def rank(self, U):
        """Rank of the kernel on the samples."""
        K = self(U)
        eigenvalues = np.linalg.eigvalsh(K)
        return int((eigenvalues > len(K) * np.finfo(float).eps * eigenvalues[-1]).sum())

    def mean_diagonal(self, U):
        """Mean of the kernel of a sample with itself."""
        K = self(U)
        return np.trace(K) / len(K)


def symmetric_columns(columns):
    """Columns for the entries on and below the diagonal of a symmetric matrix, from those of all entries.

    Parameters
    ----------
    columns : ndarray, shape (n, d, d)
        What an entry of any matrix is multiplied by.

    Returns
    -------
    columns : ndarray, shape (n, d * (d + 1) / 2)
        In the order of ``numpy.tril_indices``.
    """
    i, j = np.tril_indices(columns.shape[1])
    return columns[:, i, j] + np.where(i == j, 0.0, columns[:, j, i])


class MatrixFit:
    r"""Covariance and targets, by the Cholesky factor of the matrix.

    Attributes
    ----------
    weights : ndarray, shape (n_points,)
        :math:`v = C^{-1}y`.
    """

    def __init__(self, kernel, U, y, factor, norm):
        self._kernel, self._U, self._y, self._factor, self._norm = kernel, U, y, factor, norm
        self.weights, _ = dpotrs(factor, y, lower=True)

    def curvature(self, root):
        r"""Second derivative of :math:`y^\top C^{-1}y` along changes of the order parameter, in units of itself.

        For :math:`U = \ell\ell^\top` and :math:`dU = \ell X\ell^\top` it is :math:`2x^\top Bx` with the entries
        :math:`x` of :math:`X` on and below the diagonal, :math:`B_{ab} = v^\top D_aC^{-1}D_bv`, and the kernel's
        derivatives :math:`D_a` in them.

        Parameters
        ----------
        root : ndarray, shape (d, d)
            The factor :math:`\ell`.

        Returns
        -------
        B : ndarray, shape (d * (d + 1) / 2, d * (d + 1) / 2)
        """
        half = solve_triangular(self._factor, self._kernel.slopes(root, self.weights), lower=True)
        return half.T @ half

    def data_term(self):
        r""":math:`y^\top C^{-1}y + \log\det C`, the two positive parts of its gradient, and its rounding error.

        A relative error :math:`\epsilon` of the kernel changes the value by :math:`\mathrm{tr}B\,\delta C`, at most
        :math:`\epsilon\lVert C\rVert(\mathrm{tr}C^{-1} + |C^{-1}y|^2)`. The inverse takes the place of the factor, so
        this is the last that is asked.
        """
        v = self.weights
        log_det = 2 * np.log(np.diag(self._factor)).sum()
        inverse, _ = dpotri(self._factor, lower=True, overwrite_c=True)
        value = self._y @ v + log_det
        error = np.finfo(float).eps * self._norm * (np.trace(inverse) + v @ v)
        return value, self._kernel.pull_inverse(inverse), self._kernel.pull_vector(v), error

    def predict(self, rows):
        """Mean at new points, and what the targets take from the variance there, from their kernel with the samples."""
        half = solve_triangular(self._factor, rows.T, lower=True)
        return rows @ self.weights, (half**2).sum(axis=0)

    def inverse(self):
        """Inverse, shape (n_points, n_points)."""
        return cho_solve((self._factor, True), np.eye(len(self._factor)))

    def explained(self):
        r""":math:`v^\top Kv` and :math:`\mathrm{tr}KC^{-1}`."""
        K = self._kernel(self._U)
        return self.weights @ K @ self.weights, np.trace(cho_solve((self._factor, True), K))
