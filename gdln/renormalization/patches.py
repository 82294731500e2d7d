r"""Patches of images and the kernels between them: local kernel renormalization of a convolutional layer.

A hidden layer of channels that slide over patches, with a readout weight a channel and patch, has one order
parameter :math:`U_{ij}` a pair of patches and the kernel :math:`K = \frac1n\sum_{ij}U_{ij}K_{ij}`: a
:class:`gdln.renormalization.kernels.KernelStack`, which :class:`PatchKernel` makes from the patches.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gdln.kernels.moments import dual
from gdln.renormalization.kernels import KernelStack


class PatchKernel(KernelStack):
    r"""The stack :math:`D_{ij} = K_{ij}/n` of a layer of filters, which knows its patches.

    Parameters
    ----------
    patches : array_like, shape (n_samples, n_patches, patch_size)
        Patches of the training points, see :func:`cut`.
    sigma2 : float, optional
        Prior variance of filters and readout.
    activation : {"linear", "relu", "erf"}, optional
        Nonlinearity.

    Attributes
    ----------
    patches, sigma2, activation
        As given.

    Examples
    --------
    >>> PatchKernel(np.ones((3, 1, 4)), sigma2=2.0)(np.eye(1))[0]
    array([2., 2., 2.])
    """

    def __init__(self, patches, *, sigma2=1.0, activation="linear"):
        self.patches, self.sigma2, self.activation = (
            _patches(patches, sigma2).copy(),
            float(sigma2),
            activation,
        )
        super().__init__(kernels(self.patches, sigma2=sigma2, activation=activation))

    def new_points(self, patches_new, gates=None):
        """Kernels of new points with the samples and of each with itself; a stack has no gates."""
        if gates is not None:
            raise ValueError(f"need gates None for patches, got {type(gates).__name__}")
        options = {"sigma2": self.sigma2, "activation": self.activation}
        return kernels(self.patches, patches_new, **options), diagonals(patches_new, **options)


def cut(images, size, stride=None):
    """Square patches of images, row by row.

    Parameters
    ----------
    images : array_like, shape (n_samples, height, width)
        Grey images.
    size : int
        Side of a patch.
    stride : int, optional
        Distance of neighbouring patches; by default they do not overlap.

    Returns
    -------
    patches : ndarray, shape (n_samples, n_patches, size * size)

    Raises
    ------
    ValueError
        If the patches do not fit the images exactly.

    Examples
    --------
    >>> cut(np.arange(16.0).reshape(1, 4, 4), 2)[0, 1]
    array([2., 3., 6., 7.])
    """
    images = np.asarray(images, dtype=float)
    stride = size if stride is None else stride
    if (
        images.ndim != 3
        or size < 1
        or stride < 1
        or any(side < size or (side - size) % stride for side in images.shape[1:])
    ):
        raise ValueError(
            f"need images (n, height, width) that patches of {size}, {stride} apart, tile, got {images.shape}"
        )
    windows = sliding_window_view(images, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return windows.reshape(len(images), -1, size * size)


def kernels(patches, patches_new=None, *, sigma2=1.0, activation="linear"):
    r"""Kernels between all pairs of patches, divided by their number.

    .. math:: D_{ij}(x,x') = \frac1n\langle\phi(u)\phi(u')\rangle,\qquad
              \mathrm{cov}(u,u') = \frac{\sigma^2}{d}\,x^{(i)}\cdot x'^{(j)}

    Parameters
    ----------
    patches : array_like, shape (n_samples, n_patches, patch_size)
        Columns of the kernels.
    patches_new : array_like, shape (n_new, n_patches, patch_size), optional
        Rows; by default ``patches``.
    sigma2 : float, optional
        Prior variance of the filters.
    activation : {"linear", "relu", "erf"}, optional
        Nonlinearity :math:`\phi`.

    Returns
    -------
    D : ndarray, shape (n_patches, n_patches, n_new, n_samples)

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, ``sigma2`` is not positive or the activation is unknown.
    """
    X = _patches(patches, sigma2)
    Z = X if patches_new is None else _patches(patches_new, sigma2)
    if X.shape[1:] != Z.shape[1:]:
        raise ValueError(
            f"need patches (n_samples, n_patches, patch_size) that agree, got {X.shape} and {Z.shape}"
        )
    n, d = X.shape[1:]
    K = sigma2 / d * np.einsum("aid,bjd->ijab", Z, X, optimize=True)
    own, other = (sigma2 / d * (A**2).sum(axis=2).T for A in (Z, X))
    return dual(activation, own[:, None, :, None], K, other[None, :, None, :]) / n


def diagonals(patches, *, sigma2=1.0, activation="linear"):
    """Kernels of each point with itself, shape (n_patches, n_patches, n_samples); see :func:`kernels`."""
    X = _patches(patches, sigma2)
    n, d = X.shape[1:]
    K = sigma2 / d * np.einsum("aid,ajd->ija", X, X, optimize=True)
    own = np.einsum("iia->ia", K)
    return dual(activation, own[:, None], K, own[None, :]) / n


def _patches(patches, sigma2):
    """Patches as finite floats of the right shape, with a legal prior variance."""
    X = np.asarray(patches, dtype=float)
    if X.ndim != 3 or min(X.shape) < 1:
        raise ValueError(f"need patches (n_samples, n_patches, patch_size), none empty, got {X.shape}")
    if not np.isfinite(X).all():
        raise ValueError("need finite patches, got NaN or infinity")
    if not 0 < sigma2 < np.inf:
        raise ValueError(f"need finite sigma2 > 0, got {sigma2}")
    return X
