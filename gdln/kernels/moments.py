r"""Infinitely wide fully connected networks, one layer at a time: kernels as functions of second moments.

All layers are in the NTK parametrisation: a layer with ``n`` inputs computes
:math:`h = \frac{\sigma_w}{\sqrt n} W a + \sigma_b b` with entries of :math:`W, b` drawn from
:math:`\mathcal N(0, 1)` and all trained with one learning rate.
"""

import sys
from dataclasses import dataclass

import numpy as np

from gdln import checks

#: Squared sine between two inputs of a ReLU that is rounding: a dot product of thousands of terms is off by up to some
#: 20 units in the last place, and 1 - cos^2 of collinear inputs by as much.
COLLINEAR = 64 * float(np.finfo(float).eps)

#: One minus the squared correlation of two erf units that says little more than rounding.
SATURATED = 1e-8

_QUIET = np.errstate(over="ignore", invalid="ignore")  # an overflow ends in words, see _in_range


@dataclass(frozen=True)
class FullyConnected:
    r"""An infinitely wide fully connected network with a linear read-out.

    Attributes
    ----------
    depth : int
        Number of hidden layers; 0 is a linear map.
    activation : {"relu", "erf", "linear"}
        Nonlinearity of all hidden layers; ReLU is :math:`\max(0, \cdot)`, without a factor :math:`\sqrt2`.
    W_std, b_std : float
        :math:`\sigma_w` and :math:`\sigma_b` of every layer.

    Examples
    --------
    >>> FullyConnected(depth=2, activation="relu").W_std
    1.5
    """

    depth: int
    activation: str = "erf"
    W_std: float = 1.5
    b_std: float = 0.1

    def __post_init__(self):
        checks.count("depth", self.depth, least=0)
        checks.choice("activation", self.activation, MAPS)
        checks.positive("W_std", self.W_std)
        checks.nonnegative("b_std", self.b_std)


@dataclass(frozen=True)
class Kernels:
    r"""Covariance of the outputs at initialisation (NNGP) and tangent kernel (NTK), arrays of one shape."""

    nngp: np.ndarray
    ntk: np.ndarray


@dataclass(frozen=True)
class MomentDerivatives:
    r"""Kernels and their derivatives in the input moments :math:`q_{11}, q_{12}` at fixed :math:`q_{22}`."""

    nngp: np.ndarray
    ntk: np.ndarray
    nngp_11: np.ndarray
    nngp_12: np.ndarray
    ntk_11: np.ndarray
    ntk_12: np.ndarray


def _relu_maps(p11, p12, p22, value, slope, scale=1.0):
    """Write ``scale`` times the averages of activation and slope; a factor here saves two passes over the memory."""
    xp = array_module(value)
    xp.multiply(p11, p22, out=slope)
    xp.multiply(p12, p12, out=value)
    xp.subtract(slope, value, out=value)
    # one pass over the values spares most tiles the three that set them to zero; also where one is NaN
    if not value.min() >= COLLINEAR * p11.max() * p22.max():
        _clear(value, value < COLLINEAR * slope)
    xp.sqrt(value, out=value)  # w
    xp.negative(p12, out=slope)
    xp.arctan2(value, slope, out=slope)  # pi - theta
    if not (p11.all() and p22.all()):
        # an input of zero without bias: phi'(0) = 0, as in every finite network of this library and of torch
        _clear(slope, (p11 == 0) | (p22 == 0))
    xp.multiply(slope, 0.5 / np.pi * scale, out=slope)
    xp.multiply(value, 0.5 / np.pi * scale, out=value)
    xp.add(value, slope * p12, out=value)


def _erf_maps(p11, p12, p22, value, slope, scale=1.0):
    xp = array_module(value)
    r1, r2 = (1 + 2 * p11) ** -0.5, (1 + 2 * p22) ** -0.5
    both = r1 * r2
    xp.multiply(p12, 2 * both, out=value)
    xp.clip(value, -1, 1, out=value)
    xp.multiply(value, value, out=slope)
    xp.subtract(xp.ones_like(r1), slope, out=slope)
    if (slope < SATURATED).any():
        # by Cauchy and Schwarz the determinant of 1 + 2p is at least 1 + tr 2p, of which rounding may leave nothing
        xp.maximum(slope, (1 + 2 * p11 + 2 * p22) * both**2, out=slope)
    xp.sqrt(slope, out=slope)
    xp.divide(both, slope, out=slope)
    xp.multiply(slope, 4 / np.pi * scale, out=slope)
    xp.arcsin(value, out=value)
    xp.multiply(value, 2 / np.pi * scale, out=value)


def _linear_maps(p11, p12, p22, value, slope, scale=1.0):
    array_module(value).multiply(p12, scale, out=value)
    slope[...] = scale


def _clear(array, where):
    """Set elements to zero."""
    if isinstance(array, np.ndarray):
        np.copyto(array, 0, where=where)
    else:
        array.masked_fill_(where, 0)


def _relu_partials(p11, p12, p22):
    """First and second derivatives of the value: T_11, T_22, T_11_12, T_12_12, T_22_12, T_11_22."""
    product = p11 * p22
    square = product - p12**2
    w = np.sqrt(np.where(square < COLLINEAR * product, 0, square))
    inverse = np.divide(1, w, out=np.zeros_like(w), where=w > 0)
    over_11, over_22 = (np.divide(1, p, out=np.zeros_like(p), where=p > 0) for p in (p11, p22))
    return (
        w * over_11 / (4 * np.pi),
        w * over_22 / (4 * np.pi),
        -p12 * over_11 * inverse / (4 * np.pi),
        inverse / (2 * np.pi),
        -p12 * over_22 * inverse / (4 * np.pi),
        inverse / (8 * np.pi),
    )


def _erf_partials(p11, p12, p22):
    a1, a2 = 1 + 2 * p11, 1 + 2 * p22
    delta = np.maximum(a1 * a2 - 4 * p12**2, a1 + a2 - 1)  # its bound by Cauchy and Schwarz
    root = np.sqrt(delta)
    cube = np.pi * delta * root
    return (
        -4 * p12 / (np.pi * a1 * root),
        -4 * p12 / (np.pi * a2 * root),
        -4 * a2 / cube,
        16 * p12 / cube,
        -4 * a1 / cube,
        4 * p12 / cube,
    )


def _linear_partials(p11, p12, p22):
    zero = np.zeros(np.broadcast_shapes(p11.shape, p12.shape, p22.shape))
    return (zero,) * 6


#: activation: in-place maps, partials, and on the diagonal: value, slope, derivative of the value
MAPS = {
    "relu": (
        _relu_maps,
        _relu_partials,
        lambda p: p / 2,
        lambda p: np.where(p > 0, 0.5, 0.0),
        lambda p: np.full_like(p, 0.5),
    ),
    "erf": (
        _erf_maps,
        _erf_partials,
        lambda p: 2 / np.pi * np.arcsin(2 * p / (1 + 2 * p)),
        lambda p: 4 / (np.pi * np.sqrt(1 + 4 * p)),
        lambda p: 4 / (np.pi * (1 + 2 * p) * np.sqrt(1 + 4 * p)),
    ),
    "linear": (_linear_maps, _linear_partials, lambda p: p, np.ones_like, np.ones_like),
}


@_QUIET
def diagonal(network, q):
    r"""Kernels of an input with itself, :math:`K(x, x)` and :math:`\Theta(x, x)`.

    Parameters
    ----------
    network : FullyConnected
        The architecture.
    q : array_like, shape (...)
        Second moment of the input, :math:`q = \|x\|^2 / n_0`.

    Returns
    -------
    kernels : Kernels
        Arrays of the shape of ``q``, free of the cancellation of :func:`from_moments` at coinciding inputs.

    Examples
    --------
    >>> round(float(diagonal(FullyConnected(1, "relu"), 1 / 3).ntk), 6)
    1.72
    """
    _network(network)
    q = checks.array("q", q, least=0)
    _, _, value, slope, _ = MAPS[network.activation]
    w2, b2 = network.W_std**2, network.b_std**2
    p = w2 * q + b2
    theta = p
    for _ in range(network.depth):
        theta = theta * slope(p) * w2
        p = w2 * value(p) + b2
        theta = theta + p
    return Kernels(*_in_range(p, theta))


def dual(activation, q11, q12, q22):
    r"""Average :math:`\mathcal T = \langle\phi(u)\phi(v)\rangle` over centred Gaussian :math:`u, v`.

    Parameters
    ----------
    activation : {"relu", "erf", "linear"}
        Nonlinearity :math:`\phi`.
    q11, q12, q22 : array_like
        Variance of :math:`u`, covariance, variance of :math:`v`; broadcast together.

    Returns
    -------
    average : ndarray

    Raises
    ------
    ValueError
        If the activation is unknown or a number is no possible moment.

    Notes
    -----
    ReLU: Cho and Saul (2009), degree one; error function: Williams (1998).

    Examples
    --------
    >>> float(dual("relu", 1.0, 1.0, 1.0))
    0.5
    """
    maps = MAPS[checks.choice("activation", activation, MAPS)][0]
    q11, q12, q22 = _moments(q11, q12, q22)
    value, slope = np.empty(q12.shape), np.empty(q12.shape)
    maps(q11, q12, q22, value, slope)
    return _in_range(value)[0]


def hidden_variances(network, q):
    """Variances of the pre-activations of each hidden layer, ``depth`` arrays of the shape of ``q``."""
    _network(network)
    q = checks.array("q", q, least=0)
    _, _, value, _, _ = MAPS[network.activation]
    w2, b2 = network.W_std**2, network.b_std**2
    p, out = w2 * q + b2, []
    for _ in range(network.depth):
        out.append(p)
        p = w2 * value(p) + b2
    return out


def recursion(network, p11, p22, p, theta, value, slope):
    """Run all layers in place: ``p`` enters as the moment and leaves as NNGP, ``theta`` leaves as NTK.

    ``p11`` and ``p22`` are what :func:`hidden_variances` returns; ``value`` and ``slope`` are work space. The inner
    loop of :func:`gdln.kernels.gram`: it takes arrays of float64 that fit each other, as they are, or torch tensors.
    """
    _network(network)
    maps, xp = MAPS[network.activation][0], array_module(p)
    w2, b2 = network.W_std**2, network.b_std**2
    xp.multiply(p, w2, out=p)
    xp.add(p, b2, out=p)
    theta[...] = p
    for a, b in zip(p11, p22, strict=True):
        maps(a, p, b, value, slope, w2)
        xp.add(value, b2, out=p)
        xp.multiply(theta, slope, out=theta)
        xp.add(theta, p, out=theta)


@_QUIET
def from_moments(network, q11, q12, q22):
    r"""NNGP and NTK as functions of the second moments of the two inputs.

    .. math::
        p^0_{12} = \sigma_w^2 q_{12} + \sigma_b^2,\quad
        p^l_{12} = \sigma_w^2 \mathcal T(p^{l-1}) + \sigma_b^2,\quad
        T^l = p^l_{12} + \sigma_w^2 T^{l-1} \dot{\mathcal T}(p^{l-1}),

    with :math:`T^0 = p^0_{12}`, :math:`\mathcal T = \mathbb E[\phi(u)\phi(v)]`,
    :math:`\dot{\mathcal T} = \mathbb E[\phi'(u)\phi'(v)]`; :math:`K = p^D_{12}` and :math:`\Theta = T^D`.

    Parameters
    ----------
    network : FullyConnected
        The architecture.
    q11, q12, q22 : array_like
        Moments :math:`x\cdot x/n_0`, :math:`x\cdot x'/n_0`, :math:`x'\cdot x'/n_0`; broadcast together.

    Returns
    -------
    kernels : Kernels
        Arrays of the broadcast shape. For ReLU, collinear inputs cost half the digits of the slope; use
        :func:`diagonal` where the inputs coincide.

    Notes
    -----
    Recursion of Jacot et al. (2018) and Lee et al. (2019), derived in the chapter "Infinite width".

    Examples
    --------
    >>> round(float(from_moments(FullyConnected(2, "erf"), 1 / 3, 0.2, 1 / 3).ntk), 8)
    1.7596145
    """
    _network(network)
    q11, q12, q22 = _moments(q11, q12, q22)
    p = np.array(q12)
    theta, value, slope = (np.empty_like(p) for _ in range(3))
    recursion(network, hidden_variances(network, q11), hidden_variances(network, q22), p, theta, value, slope)
    return Kernels(*_in_range(p, theta))


@_QUIET
def moment_derivatives(network, q11, q12, q22):
    r"""Kernels with their derivatives in :math:`q_{11}` and :math:`q_{12}`, by forward differentiation.

    Parameters
    ----------
    network : FullyConnected
        The architecture.
    q11, q12, q22 : array_like
        As in :func:`from_moments`.

    Returns
    -------
    derivatives : MomentDerivatives
        Arrays of the broadcast shape. The derivative in :math:`q_{22}` is the one in :math:`q_{11}` with the
        inputs exchanged. At collinear inputs the ReLU slope has a kink; its one-sided derivatives, opposite
        in sign, are replaced by their mean, zero.

    Examples
    --------
    >>> round(float(moment_derivatives(FullyConnected(1, "relu"), 1 / 3, 0.2, 1 / 3).ntk_12), 6)
    4.19148
    """
    _network(network)
    q11, q12, q22 = _moments(q11, q12, q22)
    maps, partials, value, _, growth = MAPS[network.activation]
    w2, b2 = network.W_std**2, network.b_std**2
    p11, p, p22 = (w2 * q + b2 for q in (q11, q12, q22))
    theta = p
    e = np.full(p.shape, w2)  # d p11 / d q11
    p_1, p_2 = np.zeros(p.shape), np.full(p.shape, w2)  # d p / d q11, d p / d q12
    theta_1, theta_2 = p_1, p_2
    for _ in range(network.depth):
        T, slope = np.empty(p.shape), np.empty(p.shape)
        maps(p11, p, p22, T, slope)
        T_1, _, slope_1, slope_2, _, _ = partials(p11, p, p22)
        drift_1, drift_2 = slope_1 * e + slope_2 * p_1, slope_2 * p_2
        p_1, p_2 = w2 * (T_1 * e + slope * p_1), w2 * slope * p_2
        theta_1 = p_1 + w2 * (theta_1 * slope + theta * drift_1)
        theta_2 = p_2 + w2 * (theta_2 * slope + theta * drift_2)
        p = w2 * T + b2
        theta = p + w2 * theta * slope
        e = w2 * growth(p11) * e
        p11, p22 = w2 * value(p11) + b2, w2 * value(p22) + b2
    return MomentDerivatives(*_in_range(p, theta, p_1, p_2, theta_1, theta_2))


@dataclass(frozen=True)
class MixedDerivatives:
    r"""The NNGP kernel with the derivatives its gradient process needs, such as ``d11_22``.

    Names carry the moments: ``d12_22`` is :math:`\partial^2 K / \partial q_{12} \partial q_{22}`.
    """

    nngp: np.ndarray
    d11: np.ndarray
    d12: np.ndarray
    d22: np.ndarray
    d11_12: np.ndarray
    d11_22: np.ndarray
    d12_12: np.ndarray
    d12_22: np.ndarray


@_QUIET
def mixed_derivatives(network, q11, q12, q22):
    r"""Second-order forward differentiation of the NNGP kernel in the input moments.

    Parameters
    ----------
    network : FullyConnected
        The architecture.
    q11, q12, q22 : array_like
        As in :func:`from_moments`.

    Returns
    -------
    derivatives : MixedDerivatives
        Arrays of the broadcast shape.
    """
    _network(network)
    q11, q12, q22 = _moments(q11, q12, q22)
    maps, partials, value, _, growth = MAPS[network.activation]
    w2, b2 = network.W_std**2, network.b_std**2
    p11, p, p22 = (w2 * q + b2 for q in (q11, q12, q22))
    e1, e3, b = (np.full(p.shape, w2) for _ in range(3))
    a, c, ab, ac, bb, bc = (np.zeros(p.shape) for _ in range(6))  # a, b, c: derivatives in q11, q12, q22
    for _ in range(network.depth):
        T, slope = np.empty(p.shape), np.empty(p.shape)
        maps(p11, p, p22, T, slope)
        T1, T3, T12, T22, T32, T13 = partials(p11, p, p22)
        ab, ac, bb, bc = (
            w2 * (T12 * e1 * b + T22 * a * b + slope * ab),
            w2 * (T13 * e1 * e3 + T12 * e1 * c + T32 * a * e3 + T22 * a * c + slope * ac),
            w2 * (T22 * b * b + slope * bb),
            w2 * (T32 * e3 * b + T22 * c * b + slope * bc),
        )
        a, b, c = w2 * (T1 * e1 + slope * a), w2 * slope * b, w2 * (T3 * e3 + slope * c)
        e1, e3 = w2 * growth(p11) * e1, w2 * growth(p22) * e3
        p11, p, p22 = w2 * value(p11) + b2, w2 * T + b2, w2 * value(p22) + b2
    return MixedDerivatives(*_in_range(p, a, b, c, ab, ac, bb, bc))


@_QUIET
def pair_moments(X, X2, fan_in):
    """Moments of all pairs of rows, ready to broadcast: shapes (n, 1), (n, m), (1, m)."""
    X, X2, _ = two_sets(X, X2)
    fan_in = checks.positive("fan_in", fan_in)
    return own_moments(X, fan_in)[:, None], X @ X2.T / fan_in, own_moments(X2, fan_in)[None, :]


@_QUIET
def own_moments(X, fan_in):
    """Second moment of every row, shape (n,)."""
    X, fan_in = checks.array("X", X, ndim=2), checks.positive("fan_in", fan_in)
    return _in_range(np.einsum("ij,ij->i", X, X) / fan_in)[0]


def array_module(array):
    """NumPy, or torch for one of its tensors: their functions bear the same names, so a formula stands once."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def two_sets(X, X2):
    """Two contiguous float matrices with the same number of columns, and whether they are one."""
    X = np.ascontiguousarray(checks.array("X", X, shape=("n", "n_inputs")))
    same = X2 is None
    if not same:
        X2 = np.ascontiguousarray(checks.array("X2", X2, shape=("m", X.shape[1])))
    return X, X if same else X2, same


def _network(network):
    return checks.instance("network", network, FullyConnected)


def _moments(q11, q12, q22):
    """Second moments of two inputs, checked and broadcast."""
    q11, q22 = (checks.array(name, q, least=0) for name, q in (("q11", q11), ("q22", q22)))
    q11, q12, q22 = checks.together(q11=q11, q12=checks.array("q12", q12), q22=q22)
    # roots, so that the bound neither overflows nor underflows; the slack is that of moments known to eight digits
    apart = np.abs(q12) > np.sqrt(q11) * np.sqrt(q22) * (1 + 1e-8)
    if apart.any():
        raise ValueError(
            "q12 needs a mixed moment of at most sqrt(q11 q22) in size, by the inequality of Cauchy and Schwarz, "
            f"got {q12[apart].flat[0]:.6g}"
        )
    return q11, q12, q22


def _in_range(*arrays):
    """Results that float64 could hold."""
    if not all(np.isfinite(a).all() for a in arrays):
        raise FloatingPointError(
            "the kernel needs inputs whose fourth powers float64 can hold, got larger ones"
        )
    return arrays


def diagonal_slope(network, q):
    r"""Derivative :math:`\partial K/\partial q_{12}` at coinciding inputs: the product of all layers' slopes."""
    _, _, _, slope, _ = MAPS[_network(network).activation]
    q = checks.array("q", q, least=0)
    product = np.full(q.shape, float(network.W_std) ** 2)
    for p in hidden_variances(network, q):
        product = product * network.W_std**2 * slope(p)
    return product
