r"""Patches of images and the kernels between them: local kernel renormalization of a convolutional layer.

A hidden layer of channels that slide over patches, with a readout weight a channel and patch, has one order
parameter :math:`U_{ij}` a pair of patches and the kernel :math:`K = \frac1n\sum_{ij}U_{ij}K_{ij}`: a
:class:`gdln.renormalization.kernels.KernelStack`, which :class:`PatchKernel` makes from the patches.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gdln import checks
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
        self.patches, self.sigma2 = _patches(patches).copy(), checks.positive("sigma2", sigma2)
        self.activation = activation
        super().__init__(kernels(self.patches, sigma2=sigma2, activation=activation))

    def new_points(self, patches_new, gates=None):
        """Kernels of new points with the samples and of each with itself; a stack has no gates."""
        checks.need(gates is None, "gates", "None for patches", gates)
        patches_new = checks.array("patches_new", patches_new, ndim=3)
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
    images = checks.array("images", images, shape=("n_samples", "height", "width"))
    size = checks.count("size", size)
    stride = size if stride is None else checks.count("stride", stride)
    for side in images.shape[1:]:
        checks.need(side >= size, "size", f"a patch no larger than the images, {images.shape[1:]}", size)
        what = f"images that patches of size {size}, {stride} apart, tile"
        checks.need((side - size) % stride == 0, "stride", what, images.shape[1:])
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
    X, sigma2 = _patches(patches), checks.positive("sigma2", sigma2)
    Z = X if patches_new is None else _patches(patches_new, "patches_new", X.shape[1:])
    n, d = X.shape[1:]
    K = sigma2 / d * np.einsum("aid,bjd->ijab", Z, X, optimize=True)
    own, other = (sigma2 / d * (A**2).sum(axis=2).T for A in (Z, X))
    return dual(activation, own[:, None, :, None], K, other[None, :, None, :]) / n


def diagonals(patches, *, sigma2=1.0, activation="linear"):
    """Kernels of each point with itself, shape (n_patches, n_patches, n_samples); see :func:`kernels`."""
    X, sigma2 = _patches(patches), checks.positive("sigma2", sigma2)
    n, d = X.shape[1:]
    K = sigma2 / d * np.einsum("aid,ajd->ija", X, X, optimize=True)
    own = np.einsum("iia->ia", K)
    return dual(activation, own[:, None], K, own[None, :]) / n


def _patches(patches, name="patches", like=("n_patches", "patch_size")):
    """Patches as finite floats of the right shape."""
    return checks.array(name, patches, shape=("n_samples", *like))
