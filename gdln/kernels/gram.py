"""Kernel matrices of infinitely wide networks, and their gradients in the inputs."""

import numpy as np

from gdln import checks, optional
from gdln.kernels import moments
from gdln.kernels.moments import FullyConnected, Kernels, pair_moments, two_sets

TILE = 128  #: four tiles fit the second cache, and a diagonal tile, computed whole, is small
DEVICE_TILE = 4096  #: a card needs much to do at a time; a tile takes 134 MB


@np.errstate(over="ignore", invalid="ignore")  # an overflow ends in words
def gram(network, X, X2=None, tile=None, *, device=None):
    r"""NNGP and NTK matrices between the rows of two data sets.

    Works in square tiles that stay in cache, in place; with one data set only on the upper triangle,
    and the diagonal is exact. Memory: the two matrices and a few tiles.

    Parameters
    ----------
    network : FullyConnected
        The architecture.
    X : array_like, shape (n, n_inputs)
        Inputs, one row a sample.
    X2 : array_like, shape (m, n_inputs), optional
        Second set; ``X`` itself unless given.
    tile : int, optional
        Side of a tile; 128 unless given, 4096 on a device.
    device : torch.device or str, optional
        Where torch computes the tiles, in double precision; NumPy does unless given. The matrices lie in memory.

    Returns
    -------
    kernels : Kernels
        Matrices of shape (n, m); symmetric to the last bit with one data set.

    Raises
    ------
    TypeError, ValueError
        If the inputs are not finite matrices with the same number of columns, ``tile`` is no count, or the device is
        not there.
    FloatingPointError
        If the inputs are so large that a kernel overflows.

    Examples
    --------
    >>> from gdln.kernels.moments import FullyConnected
    >>> x = np.array([[1.0, 0, 0], [0.6, 0.8, 0]])
    >>> gram(FullyConnected(1, "erf"), x).ntk.round(6)
    array([[2.020657, 1.107021],
           [1.107021, 2.020657]])
    """
    checks.instance("network", network, FullyConnected)
    X, X2, same = two_sets(X, X2)
    n, m, n_inputs = len(X), len(X2), X.shape[1]
    if tile is None:
        tile = TILE if device is None else DEVICE_TILE
    # no larger than the work: its buffers are allocated at once
    tile = min(checks.count("tile", tile), max(n, m))
    moment, moment2 = (moments.own_moments(A, n_inputs) for A in (X, X2))
    p11 = [p[:, None] for p in moments.hidden_variances(network, moment)]
    p22 = [p[None, :] for p in moments.hidden_variances(network, moment2)]
    nngp, ntk = np.empty((n, m)), np.empty((n, m))
    buffers = [np.empty(tile * tile) for _ in range(4)]
    if device is not None:
        device = checks.torch_device("device", device)
        torch = optional.load("torch", "device=")
        X, X2 = (torch.tensor(A, device=device) for A in (X, X2))
        p11, p22, buffers = ([torch.tensor(a, device=device) for a in each] for each in (p11, p22, buffers))
    xp = moments.array_module(X)
    for i in range(0, n, tile):
        rows = slice(i, min(i + tile, n))
        for j in range(i if same else 0, m, tile):
            columns = slice(j, min(j + tile, m))
            shape = (rows.stop - i, columns.stop - j)
            p, theta, value, slope = (buffer[: shape[0] * shape[1]].reshape(shape) for buffer in buffers)
            xp.matmul(X[rows], X2[columns].T, out=p)
            if same and i == j:
                p[...] = (p + p.T) / 2
            xp.multiply(p, 1 / n_inputs, out=p)
            moments.recursion(
                network, [a[rows] for a in p11], [b[:, columns] for b in p22], p, theta, value, slope
            )
            if not (xp.isfinite(p).all() and xp.isfinite(theta).all()):
                raise FloatingPointError(
                    "the kernel needs inputs whose fourth powers float64 can hold, got larger ones"
                )
            for matrix, part in ((nngp, p), (ntk, theta)):
                matrix[rows, columns] = checks.as_numpy("X", part)
                if same and i < j:
                    matrix[columns, rows] = matrix[rows, columns].T
    if same:
        exact = moments.diagonal(network, moment)
        np.fill_diagonal(nngp, exact.nngp)
        np.fill_diagonal(ntk, exact.ntk)
    return Kernels(nngp, ntk)


def input_gradients(network, X, X2=None, fan_in=None):
    r"""Gradients of NNGP and NTK in their first argument.

    :math:`\nabla_x \Theta(x, x') = \frac1{n_0}(2\Theta_{,11} x + \Theta_{,12} x')`, the same for :math:`K`.

    Parameters
    ----------
    network : FullyConnected
        The architecture.
    X : array_like, shape (n, n_inputs)
        First arguments.
    X2 : array_like, shape (m, n_inputs), optional
        Second arguments; ``X`` unless given.
    fan_in : float, optional
        Divisor of the moments; the number of inputs unless given.

    Returns
    -------
    gradients : Kernels
        Arrays of shape (n, m, n_inputs).
    """
    X, X2, _ = two_sets(X, X2)
    fan_in = X.shape[1] if fan_in is None else checks.positive("fan_in", fan_in)
    d = moments.moment_derivatives(network, *pair_moments(X, X2, fan_in))

    def gradient(first, second):
        return (2 * first[..., None] * X[:, None, :] + second[..., None] * X2[None, :, :]) / fan_in

    return Kernels(gradient(d.nngp_11, d.nngp_12), gradient(d.ntk_11, d.ntk_12))


def gradient_covariance(network, X, X2=None, fan_in=None):
    r"""Covariance of a Gaussian process with kernel :math:`K` and of its gradient, at two sets of points.

    Blocks :math:`K`, :math:`\nabla_{x'} K`, :math:`\nabla_x K` and :math:`\nabla_x \nabla_{x'}^\top K`.

    Parameters
    ----------
    network : FullyConnected
        The architecture.
    X : array_like, shape (n, n_inputs)
        First points.
    X2 : array_like, shape (m, n_inputs), optional
        Second points; ``X`` unless given.
    fan_in : float, optional
        Divisor of the moments; the number of inputs unless given.

    Returns
    -------
    covariance : ndarray, shape (n, 1 + n_inputs, m, 1 + n_inputs)
        Index 0 of the second and fourth axis is the value, the rest the gradient.

    Notes
    -----
    Positive semi-definite to rounding, at repeated, collinear and zero inputs too. The derivative of a ReLU is zero at
    its kink. Where erf units saturate, at pre-activations of variance :math:`p\gg1`, collinear inputs cost
    :math:`p^2` units in the last place.
    """
    X, X2, _ = two_sets(X, X2)
    n, m, k = len(X), len(X2), X.shape[1]
    fan_in = k if fan_in is None else checks.positive("fan_in", fan_in)
    d = moments.mixed_derivatives(network, *pair_moments(X, X2, fan_in))
    out = np.empty((n, 1 + k, m, 1 + k))
    x, y = X[:, :, None, None] / fan_in, X2[None, None, :, :] / fan_in  # axes (n, alpha, m, beta)
    x_b, y_a = X[:, None, None, :] / fan_in, X2.T[None, :, :, None] / fan_in

    def at(q):
        return q[:, None, :, None]

    out[:, 0, :, 0] = d.nngp
    out[:, 1:, :, :1] = 2 * at(d.d11) * x + at(d.d12) * y_a
    out[:, :1, :, 1:] = 2 * at(d.d22) * y + at(d.d12) * x_b
    out[:, 1:, :, 1:] = (
        at(d.d12) * np.eye(k)[None, :, None, :] / fan_in
        + (4 * at(d.d11_22) * x + 2 * at(d.d12_22) * y_a) * y
        + (2 * at(d.d11_12) * x + at(d.d12_12) * y_a) * x_b
    )
    return out
