r"""Kernels of gated networks as maps from an order parameter :math:`U` to a kernel matrix and back.

A gated network with given order parameter is a Gaussian process with kernel :math:`K = \sum_{mn} U_{mn}
D_{mn}`. For gates the kernels factorise, :math:`D_{mn} = F_m F_n^\top\circ K_0`, and no stack is ever
formed (:class:`GatedKernel`); patches of a convolution give a general stack (:class:`KernelStack`). Where there are
more samples than the gates and inputs have features, no matrix of samples by samples is needed either
(:class:`gdln.renormalization.features.FeatureKernel`).
"""

import math

import numpy as np
from scipy.linalg.lapack import dpotrf

from gdln import checks
from gdln.renormalization.covariance import MatrixKernel, symmetric_columns
from gdln.renormalization.paths import Gated, check_memory


def input_kernel(X, X_new=None, sigma2=1.0):
    r"""Kernel of the first layer, :math:`K_0(x,x') = \frac{\sigma^2}{N_0} x^\top x'`.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_inputs)
        Inputs.
    X_new : array_like, shape (n_new, n_inputs), optional
        Rows of the result; by default ``X`` itself.
    sigma2 : float, optional
        Prior variance of the first-layer weights.

    Returns
    -------
    K0 : ndarray, shape (n_new, n_samples)
        It contains ``sigma2``.

    Raises
    ------
    ValueError
        If the inputs are no finite matrices of equal numbers of columns, or ``sigma2`` is not positive.
    """
    X = checks.array("X", X, shape=("n_samples", "n_inputs"))
    if X_new is None:
        X_new = X
    else:
        X_new = checks.array("X_new", X_new, shape=("n_new", X.shape[1]), empty=True)
    sigma2 = checks.positive("sigma2", sigma2)
    return sigma2 / X.shape[1] * (X_new @ X.T)


class GatedKernel(Gated, MatrixKernel):
    r"""The factorised kernels :math:`D_{mn} = M^{-L} F_m F_n^\top\circ K_0` of a gated network.

    Parameters
    ----------
    K0 : array_like, shape (n_samples, n_samples)
        Input kernel, symmetric and positive semidefinite, see :func:`input_kernel`.
    gates : array_like, shape (n_samples, n_gates), or list of them
        Gate values at the samples. A list holds one set a gated layer, the readout's first.
    depth : int, optional
        Number of gated layers :math:`L` when one set serves all of them.
    outputs : int, optional
        Number of network outputs :math:`D`; a sample and an output then make one data point.

    Attributes
    ----------
    dims : tuple of int
        New indices a layer adds to the order parameter, readout first: ``(outputs * M_L, ..., M_1)``.
    F : ndarray, shape (n_samples * outputs, prod dims)
        Path features; output by output when there are several.
    X, sigma2 : ndarray and float, or None
        Inputs and prior variance of all weights, if the kernel was made by :meth:`from_inputs`.

    Raises
    ------
    ValueError
        If ``K0`` is not symmetric or has a negative eigenvalue, the numbers of samples differ, or the order
        parameters, of size :math:`M^L`, do not fit into memory.
    """

    X = sigma2 = None

    def __init__(self, K0, gates, *, depth=1, outputs=1):
        depth, outputs = checks.count("depth", depth), checks.count("outputs", outputs)
        K0 = _check_kernel(K0)
        F = self._set_gates(len(K0), gates, depth, outputs)
        self.K0 = np.tile(K0, (outputs, outputs))
        self.F = self._by_output(F)

    @classmethod
    def from_inputs(cls, X, gates, *, sigma2=1.0, depth=1, outputs=1):
        r"""Kernel of a network whose weights all have one prior variance, from its inputs.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_inputs)
            Inputs.
        gates : callable, array_like of shape (n_samples, n_gates), or list of either
            A family of gates, or gate values at the samples. A list holds one a gated layer, the readout's first.
        sigma2 : float, optional
            Prior variance :math:`\sigma^2` of every weight, those of the first layer included.
        depth, outputs : int, optional
            As in :class:`GatedKernel`.

        Returns
        -------
        kernel : GatedKernel
            It knows its inputs, prior variance and family of gates, so that a solver and a prediction need not be
            told again.

        Raises
        ------
        ValueError
            If ``X`` is no finite matrix, the gates do not fit, or a number is out of range.

        Examples
        --------
        >>> kernel = GatedKernel.from_inputs([[1.0, 1.0]], lambda X: X, sigma2=3.0)
        >>> kernel(np.eye(2))
        array([[3.]])
        """
        X = checks.array("X", X, ndim=2, copy=True)
        kernel = cls(input_kernel(X, sigma2=sigma2), cls._at_points(gates, X), depth=depth, outputs=outputs)
        kernel.X, kernel.sigma2, kernel._families = X, float(sigma2), gates
        return kernel

    def new_points(self, X_new, gates=None):
        """Input kernel of new points with the samples, that of each with itself, and their gates.

        Parameters
        ----------
        X_new : array_like, shape (n_new, n_inputs)
            New points.
        gates : array_like, shape (n_new, n_gates), or list of them, optional
            Their gates; by default from the family the kernel was made with.

        Returns
        -------
        cross : ndarray, shape (n_new, n_samples)
        diagonal : ndarray, shape (n_new,)
        gates : ndarray, or list of them
        """
        checks.need(self.X is not None, "kernel", "to know its inputs (GatedKernel.from_inputs)", self)
        X_new = checks.array("X_new", X_new, shape=("n_new", self.X.shape[1]))
        cross = input_kernel(self.X, X_new, self.sigma2)
        return cross, self.sigma2 * (X_new**2).mean(axis=1), self._new_gates(X_new, gates)

    @property
    def n_points(self):
        """Number of data points, samples times outputs."""
        return len(self.F)

    def __call__(self, U):
        """Kernel on the samples, shape (n_points, n_points)."""
        A = self.F @ np.linalg.cholesky(U)
        K = A @ A.T
        K *= self.K0
        return K

    def cross(self, U, K0_cross, gates):
        """Kernel between new points (rows) and samples, from their input kernel and the new gates."""
        F = self._new_features(gates)
        shape = (len(F) // self.outputs, self.n_points // self.outputs)
        K0_cross = checks.array("cross", K0_cross, shape=shape, empty=True)
        return (F @ U @ self.F.T) * np.tile(K0_cross, (self.outputs, self.outputs))

    def pull_inverse(self, lower):
        r""":math:`F^\top(B\circ K_0)F` of a symmetric ``B`` given by its lower triangle; destroys ``lower``."""
        lower *= self.K0.T
        lower[np.diag_indices_from(lower)] *= 0.5
        half = self.F.T @ (lower @ self.F)
        return half + half.T

    def pull_vector(self, v):
        r""":math:`F^\top(vv^\top\circ K_0)F`."""
        A = self.F * v[:, None]
        return A.T @ (self.K0 @ A)

    def slopes(self, root, v):
        r"""Products with ``v`` of the kernel's derivatives in a symmetric :math:`X`, :math:`U = \ell(I+X)\ell^\top`."""
        F = self.F @ root
        return symmetric_columns(F[:, :, None] * (self.K0 @ (F * v[:, None]))[:, None, :])

    def capacity(self):
        """Rank a kernel of these gates can reach: rank of the input kernel times rank of the features."""
        return int(np.linalg.matrix_rank(self.K0, hermitian=True) * np.linalg.matrix_rank(self.F))


class KernelStack(MatrixKernel):
    r"""Kernels :math:`D_{mn}` given one by one, :math:`K = \sum_{mn} U_{mn} D_{mn}`.

    Parameters
    ----------
    D : array_like, shape (d, d, n_samples, n_samples), or nested list of matrices
        :math:`D_{nm} = D_{mn}^\top`, and the matrix of all blocks is positive semidefinite. Any prefactor,
        such as :math:`1/M`, is part of it.
    dims : sequence of int, optional
        Sizes of the indices of a deep order parameter, readout first, with product ``d``.

    Raises
    ------
    ValueError
        If shapes do not match, or the stack is not symmetric or not positive semidefinite.
    """

    outputs, sigma2 = 1, None

    def __init__(self, D, dims=None):
        D = checks.array("D", D, shape=("d", "d", "n_samples", "n_samples"))
        d, n = D.shape[0], D.shape[2]
        self.dims = (
            (d,) if dims is None else tuple(checks.array("dims", dims, ndim=1, dtype=int, least=1).tolist())
        )
        checks.need(math.prod(self.dims) == d, "dims", f"sizes whose product is {d}", self.dims)
        check_memory(self.dims, n)
        _check_kernel(D.transpose(0, 2, 1, 3).reshape(d * n, d * n), "D, as one matrix,")
        self.D = D

    def new_points(self, X_new, gates=None):
        """Refuses: a stack from elsewhere does not know its inputs."""
        checks.need(False, "kernel", "to know its inputs (use predict_from)", self)

    @property
    def n_points(self):
        """Number of data points."""
        return self.D.shape[2]

    def __call__(self, U):
        """Kernel on the samples, shape (n_points, n_points)."""
        return np.tensordot(U, self.D)

    def cross(self, U, D_cross):
        """Kernel between new points (rows) and samples, from ``D_cross`` of shape (d, d, n_new, n_samples)."""
        return np.tensordot(U, np.asarray(D_cross, dtype=float))

    def diagonal(self, U, D_diagonal):
        """Kernel of every new point with itself, from ``D_diagonal`` of shape (d, d, n_new)."""
        return np.tensordot(U, np.asarray(D_diagonal, dtype=float))

    def pull_inverse(self, lower):
        r""":math:`\sum_{\mu\nu} B_{\mu\nu} D_{mn,\mu\nu}` of a symmetric ``B`` given by its lower triangle."""
        B = lower + np.tril(lower, -1).T
        return np.tensordot(self.D, B)

    def pull_vector(self, v):
        r""":math:`v^\top D_{mn} v`."""
        return (self.D @ v) @ v

    def slopes(self, root, v):
        r"""Products with ``v`` of the kernel's derivatives in a symmetric :math:`X`, :math:`U = \ell(I+X)\ell^\top`."""
        return symmetric_columns(np.einsum("mk,nl,mnp->pkl", root, root, self.D @ v, optimize=True))

    def capacity(self):
        r"""Rank a kernel of this stack reaches at these samples.

        The matrix of all blocks is :math:`ZZ^\top` with block rows :math:`Z_m`, so every positive-definite
        :math:`U` gives a kernel with the range of :math:`(Z_1,\dots,Z_d)`, that of :math:`\sum_mD_{mm}`.
        """
        return int(np.linalg.matrix_rank(np.einsum("mmpq->pq", self.D), hermitian=True))


def capacity(n_inputs, n_gates, depth=1, binary=False):
    r"""Number of generic points a gated network can interpolate, the rank its kernel can reach.

    .. math:: P_c = N_0\binom{M+L-1}{L}\ \text{(real gates)},\qquad
              P_c = N_0\sum_{k=1}^{\min(L,M)}\binom Mk\ \text{(gates 0 or 1)}

    Parameters
    ----------
    n_inputs, n_gates, depth : int
        :math:`N_0`, :math:`M` and :math:`L`, the same gates in every gated layer.
    binary : bool, optional
        Gates take the values 0 and 1 only, so that products of equal gates are no new features.

    Returns
    -------
    points : int

    Examples
    --------
    >>> [capacity(5, 4, L, binary=True) for L in (1, 2, 3, 4)]
    [20, 50, 70, 75]
    """
    n_inputs, n_gates = checks.count("n_inputs", n_inputs), checks.count("n_gates", n_gates)
    depth = checks.count("depth", depth)
    if checks.flag("binary", binary):
        return n_inputs * sum(math.comb(n_gates, k) for k in range(1, min(depth, n_gates) + 1))
    return n_inputs * math.comb(n_gates + depth - 1, depth)


def _check_kernel(K, name="K0"):
    """A symmetric, positive semidefinite matrix of floats, or the reason why it is none."""
    K = checks.symmetric(name, K, rtol=1e-10)
    scale = np.abs(K).max()
    # a factorisation instead of the eigenvalues of checks.psd, at a tenth of their cost
    # slack for kernels known to nine digits, whose errors add as the root of the points; 1e-300 for one of zeros
    shifted = K + (1e-9 * scale * math.sqrt(len(K)) + 1e-300) * np.eye(len(K))
    if dpotrf(shifted, lower=True)[1] != 0:
        lowest = np.linalg.eigvalsh(K)[0]
        raise ValueError(f"{name} needs eigenvalues of at least zero, got {lowest:.3g}")
    return K
