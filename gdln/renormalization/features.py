r"""The kernel of a gated network by its features, for more samples than a matrix of samples by samples has room for.

A network of :math:`L` gated layers with :math:`M` gates :math:`g` and :math:`N_0` inputs has the kernel
:math:`K(x,x') = M^{-L}\,g(x)^{\otimes L\top}U\,g(x')^{\otimes L}\,\frac{\sigma^2}{N_0}x^\top x'`, with the order
parameter :math:`U` and the prior variance :math:`\sigma^2`. It is an inner product: with the features
:math:`z(x) = f(x)\otimes\tilde x` of path features :math:`f = M^{-L/2}g^{\otimes L}` and scaled inputs
:math:`\tilde x = \sigma x/\sqrt{N_0}`, as rows of :math:`Z` for the :math:`P` samples,

.. math:: K = Z(U\otimes I)Z^\top = \Phi\Phi^\top,\qquad \Phi = Z(\ell\otimes I),\quad U = \ell\ell^\top.

There are :math:`D` features, as many as the capacity: the rank of the gates' products times that of the inputs, at
most :math:`M^LN_0`. Let :math:`T` be the variance of the noise and :math:`C = TI + K` the covariance of the targets
:math:`y`. All that the theory asks of :math:`C` follows exactly from the Gram matrix of features
:math:`H = \Phi^\top\Phi = (\ell\otimes I)^\top Z^\top Z(\ell\otimes I)`, of :math:`D` rows, by two identities:
Sylvester's (the products of two matrices in either order have the same eigenvalues but for zeros) and Woodbury's (the
inverse of a matrix after a change of low rank). They say

.. math:: \log\det C &= (P-D)\log T + \log\det(TI + H),\\
          C^{-1} &= T^{-1}\big(I - \Phi(TI+H)^{-1}\Phi^\top\big).

So :math:`a = (TI+H)^{-1}\Phi^\top y` are the coefficients of ridge regression on the features, its residual
:math:`r = y - \Phi a` is :math:`TC^{-1}y`, and

.. math:: y^\top C^{-1}y = \lvert r\rvert^2/T + \lvert a\rvert^2.

This is the least value of a sum of squares. So an error of :math:`a` enters it squared, and as both terms are
positive nothing cancels. From :math:`\Phi^\top C^{-1}\Phi = I - T(TI+H)^{-1}` and :math:`\Phi^\top C^{-1}y = a` the
gradients in :math:`U` are

.. math:: \nabla_U\log\det C &= \ell^{-\top}\,\mathrm{Tr}_{N_0}\big[I - T(TI+H)^{-1}\big]\,\ell^{-1},\\
          \nabla_U\,y^\top C^{-1}y &= -\ell^{-\top}\,\mathrm{Tr}_{N_0}\big[aa^\top\big]\,\ell^{-1},

with the trace over the index of the inputs. A new point with features :math:`\varphi` has the mean
:math:`\varphi^\top a` and the variance :math:`T\varphi^\top(TI+H)^{-1}\varphi`; where the point has a
part that no sample reaches, the prior variance of that part, given the rest, is added.

A pass over the samples makes :math:`Z^\top Z` once, with :math:`PD^2` multiplications, by tiles of rows. An
evaluation takes of the order of :math:`D^3` multiplications, and a few times :math:`PD` for the residual of every
sample. The memory is a few matrices of :math:`8D^2` bytes, the inputs and the gates. This is the way where
:math:`P > D`. Elsewhere :class:`~gdln.renormalization.kernels.GatedKernel` has the smaller matrix, and it solves
:math:`T = 0` too. Where both :math:`P` and :math:`D` are beyond memory, nothing here helps but fewer gates or inputs.
"""

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dlange, dpotrf, dpotri, dpotrs

from gdln import checks
from gdln.renormalization.covariance import symmetric_columns
from gdln.renormalization.paths import Gated

#: Samples whose features are formed at a time.
TILE = 1024


class FeatureKernel(Gated):
    r"""A gated network's kernel as inner product of features, for more samples than features.

    It takes the place of a :class:`~gdln.renormalization.kernels.GatedKernel` in
    :func:`~gdln.renormalization.saddle.solve` and in the predictions of what that returns, with equal results.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_inputs)
        Inputs.
    gates : callable, array_like of shape (n_samples, n_gates), or list of either
        As :meth:`gdln.renormalization.kernels.GatedKernel.from_inputs` takes them.
    sigma2 : float, optional
        Prior variance :math:`\sigma^2` of every weight, those of the first layer included.
    depth : int, optional
        Number of gated layers :math:`L` when one set of gates serves all of them.
    outputs : int, optional
        Number of network outputs.
    tile : int, optional
        Samples whose features are formed at a time; it changes nothing but rounding, memory and time.

    Attributes
    ----------
    dims : tuple of int
        New indices a layer adds to the order parameter, readout first.
    sigma2 : float
        As given.
    n_points : int
        Data points, samples times outputs.
    n_features : int
        Features that count :math:`D`, of all outputs.

    Raises
    ------
    ValueError
        If the arguments do not fit, or there are no more samples than features of one output.

    Notes
    -----
    Directions of the inputs, and of the products of gates, that no sample has are left out. Where the products of
    both depend on each other, as when gates are inputs, :math:`D` is above the rank of the kernel, and harmless. Where
    :func:`~gdln.renormalization.saddle.solve` is asked for :math:`T = 0` it refuses, as more data points than the
    capacity make a singular kernel.

    Examples
    --------
    >>> X = np.array([[1.0, 0], [0, 1], [1, -1], [0.5, 0.5], [2, 1]])
    >>> kernel = FeatureKernel(X, np.array([[1, 0], [1, 1], [1, 0], [1, 1], [1, 1]]), sigma2=1.5)
    >>> kernel.n_points, kernel.n_features
    (5, 4)
    """

    def __init__(self, X, gates, *, sigma2=1.0, depth=1, outputs=1, tile=TILE):
        X = checks.array("X", X, shape=("n_samples", "n_inputs"))
        self.sigma2 = float(checks.positive("sigma2", sigma2))
        depth, outputs = checks.count("depth", depth), checks.count("outputs", outputs)
        tile = checks.count("tile", tile)
        F = self._set_gates(len(X), self._at_points(gates, X), depth, outputs)
        each = gates if isinstance(gates, list | tuple) else [gates]
        self._families = gates if all(map(callable, each)) else None
        scale = np.sqrt(self.sigma2 / X.shape[1])
        self._x, x = _spanned(X * scale)
        self._f, f = _spanned(F)
        self._to_inputs, self._to_gates = scale * x, self._by_output(f)
        number = self._f.shape[1] * self._x.shape[1]
        what = (
            f"more samples than the {number} features of its gates and inputs; for fewer take a GatedKernel"
        )
        checks.need(len(X) > number, "X", what, len(X))
        self.n_points, self.n_features = len(X) * outputs, number * outputs
        gram = np.zeros((number, number))
        for first in range(0, len(X), tile):
            rows = slice(first, first + tile)
            Z = _products(self._f[rows], self._x[rows])
            gram += Z.T @ Z
        self._gram = gram

    def new_points(self, X_new, gates=None):
        """New inputs, their input kernel with themselves, and their gates, for ``predict_from``.

        Parameters
        ----------
        X_new : array_like, shape (n_new, n_inputs)
            New points.
        gates : array_like, shape (n_new, n_gates), or list of them, optional
            Their gates; by default from the family the kernel was made with.

        Returns
        -------
        X_new : ndarray, shape (n_new, n_inputs)
        diagonal : ndarray, shape (n_new,)
        gates : ndarray, or list of them
        """
        X_new = checks.array("X_new", X_new, shape=("n_new", len(self._to_inputs)))
        return X_new, self.sigma2 * (X_new**2).mean(axis=1), self._new_gates(X_new, gates)

    def cross(self, U, X_new, gates):
        r"""Features :math:`\varphi` of new points, whose products with those of the samples are the kernel.

        Parameters
        ----------
        U : ndarray, shape (d, d)
            Order parameter.
        X_new : array_like, shape (n_new, n_inputs)
            New inputs.
        gates : array_like, shape (n_new, n_gates), or list of them
            Their gates.

        Returns
        -------
        features : ndarray, shape (n_new * outputs, n_features)
        """
        F = self._new_features(gates)
        shape = (len(F) // self.outputs, len(self._to_inputs))
        x = checks.array("cross", X_new, shape=shape, empty=True) @ self._to_inputs
        root = np.linalg.cholesky(self._inner(U))
        f = solve_triangular(root, self._to_gates.T @ (U @ F.T), lower=True).T
        return _products(f, np.tile(x, (self.outputs, 1)))

    def fit(self, U, y, noise):
        """Covariance at an order parameter with the targets; None if it cannot be factorised, as without noise."""
        if noise == 0:
            return None
        root = np.linalg.cholesky(self._inner(U))
        H = self.gram(root)
        H[np.diag_indices_from(H)] += noise
        norm = dlange("F", H.T)
        factor, info = dpotrf(H.T, lower=True, clean=True, overwrite_a=True)
        if info != 0 or not np.isfinite(factor[-1, -1]):
            return None
        return _FeatureFit(self, root, y, noise, factor, norm)

    @property
    def order(self):
        """Rows of the matrix that is factorised."""
        return self.n_features

    def spectrum(self, U, y):
        """Eigenvalues of the kernel and squared projections of the targets; all zeros of the kernel count as one."""
        root = np.linalg.cholesky(self._inner(U))
        eigenvalues, basis = np.linalg.eigh(self.gram(root))
        positive = eigenvalues > self.n_points * np.finfo(float).eps * eigenvalues[-1]
        pulled = (root.T @ self.pull(y)).ravel()
        squares = np.zeros(self.n_points)
        shares = basis[:, positive].T @ pulled / np.sqrt(eigenvalues[positive])
        squares[: self.n_features][positive] = shares**2
        squares[-1] = max(y @ y - squares.sum(), 0.0)
        return np.pad(np.where(positive, eigenvalues, 0.0), (0, self.n_points - self.n_features)), squares

    def rank(self, U):
        """Rank of the kernel on the samples, the same at every order parameter that is positive definite."""
        return int(self.outputs * np.linalg.matrix_rank(self._gram, hermitian=True))

    def capacity(self):
        """Rank a kernel of these gates can reach: rank of the inputs times rank of the features."""
        return self.n_features

    def gram(self, root):
        r"""Gram matrix :math:`H` of the features at the factor ``root`` of the order parameter between them."""
        d, n = len(root), self._x.shape[1]
        H = (root.T @ self._by_output(self._gram).reshape(d, -1)).reshape(-1, d, n)
        return np.matmul(root.T, H).reshape(self.n_features, self.n_features)

    def push(self, u):
        """Products of all features of the samples with ``u``, of shape (d, n): one number a data point."""
        parts = u.reshape(self.outputs, self._f.shape[1], -1)
        return np.concatenate([((self._x @ part.T) * self._f).sum(axis=1) for part in parts])

    def pull(self, v):
        """Sum over the data points of their features times ``v``, shape (d, n)."""
        return np.concatenate([(self._f * part[:, None]).T @ self._x for part in v.reshape(self.outputs, -1)])

    def inwards(self, root):
        """The part that the samples see of a factor of the order parameter."""
        return self._to_gates.T @ root

    def pull_back(self, G):
        """Gradient in the order parameter from that in the part of it which the samples see."""
        return self._to_gates @ G @ self._to_gates.T

    def _inner(self, U):
        """The order parameter between the path features that count."""
        return self._to_gates.T @ U @ self._to_gates


class _FeatureFit:
    r"""Covariance and targets, by the Cholesky factor of :math:`TI + H`.

    Attributes
    ----------
    weights : ndarray, shape (n_points,)
        :math:`v = C^{-1}y`.
    """

    def __init__(self, kernel, root, y, noise, factor, norm):
        self._kernel, self._root, self._noise = kernel, root, noise
        self._factor, self._norm = factor, norm
        a, rest = np.zeros((len(root), len(factor) // len(root))), y
        # the second solution takes back what rounding made of the Gram matrix, as its right side is that of the samples
        for _ in range(2):
            slope = root.T @ kernel.pull(rest) - noise * a
            a = a + dpotrs(factor, slope.ravel(), lower=True)[0].reshape(a.shape)
            rest = y - kernel.push(root @ a)
        self._coefficients, self._rest = a, rest
        self.weights = rest / noise

    def curvature(self, root):
        r"""Second derivative of :math:`y^\top C^{-1}y`, as that of :mod:`gdln.renormalization.covariance`.

        With :math:`dC\,v = \Phi(X\otimes I)a` it is :math:`2\,a^\top(X\otimes I)[I - T(TI+H)^{-1}](X\otimes I)a`.
        """
        turn = solve_triangular(self._root, self._kernel.inwards(root), lower=True)
        a = turn.T @ self._coefficients
        d = len(a)
        columns = symmetric_columns((turn[:, None, :, None] * a.T[None, :, None, :]).reshape(-1, d, d))
        half = solve_triangular(self._factor, columns, lower=True)
        return columns.T @ columns - self._noise * half.T @ half

    def data_term(self):
        r""":math:`y^\top C^{-1}y + \log\det C`, the two positive parts of its gradient, and its rounding error.

        A change :math:`\delta` of the features moves the value by :math:`\mathrm{tr}(TI+H)^{-1}\delta H -
        2v^\top\delta a`, as the sum of squares is at its least. With a relative error :math:`\epsilon` this is at most
        :math:`\epsilon\lVert TI+H\rVert\mathrm{tr}(TI+H)^{-1} + 2\epsilon\lVert TI+H\rVert^{1/2}|v||a|`, far less at
        low temperature than :math:`|v|^2` makes it. The inverse takes the place of the factor, so this is the last
        that is asked.
        """
        a = self._coefficients
        d, n = a.shape
        hidden = self._kernel.n_points - len(self._factor)
        log_det = hidden * np.log(self._noise) + 2 * np.log(np.diag(self._factor)).sum()
        inverse, _ = dpotri(self._factor, lower=True, overwrite_c=True)
        # of the blocks on and above the diagonal; in the order of C the lower triangle is the upper one
        partial = np.triu(np.einsum("ikjk->ij", inverse.T.reshape(d, n, d, n)))
        partial += np.triu(partial, 1).T
        value = self._rest @ self._rest / self._noise + np.sum(a**2) + log_det
        plus, minus = (self._outwards(G) for G in (n * np.eye(d) - self._noise * partial, a @ a.T))
        moved = 2 * np.sqrt(self._norm) * np.linalg.norm(a) * (np.linalg.norm(self._rest) / self._noise)
        error = np.finfo(float).eps * (self._norm * np.trace(partial) + moved)
        return value, plus, minus, error

    def predict(self, rows):
        """Mean at new points, and what the targets take from the variance there, from their features."""
        half = solve_triangular(self._factor, rows.T, lower=True)
        return rows @ self._coefficients.ravel(), (rows**2).sum(axis=1) - self._noise * (half**2).sum(axis=0)

    def explained(self):
        r""":math:`v^\top Kv` and :math:`\mathrm{tr}KC^{-1}`."""
        H = self._kernel.gram(self._root)
        return np.sum(self._coefficients**2), np.trace(cho_solve((self._factor, True), H))

    def _outwards(self, G):
        half = solve_triangular(self._root, G, lower=True, trans="T")
        return self._kernel.pull_back(solve_triangular(self._root, half.T, lower=True, trans="T"))


def _products(F, X):
    """Products of path features and inputs, sample by sample; the inputs are the fast index."""
    return (F[:, :, None] * X[:, None, :]).reshape(len(F), -1)


def _spanned(A):
    """Coordinates of the rows in an orthonormal basis of what they span, and that basis as columns."""
    _, singular, right = np.linalg.svd(np.linalg.qr(A, mode="r") if len(A) > A.shape[1] else A)
    rank = np.count_nonzero(singular > max(A.shape) * np.finfo(float).eps * singular[0])
    if rank == A.shape[1]:
        return A, np.eye(rank)
    basis = right[: max(rank, 1)].T  # rows of zeros are in the span of any one direction
    return A @ basis, basis
