r"""Weight changes of wide ReLU networks in closed form, and scores that hold them against training.

The networks are fully connected, without biases, in the NTK parametrisation,
:math:`z^l = \frac{g_l}{\sqrt{N_{l-1}}} W^l a^{l-1}`, :math:`a^l = \max(0, z^l)`, with a linear read-out.
Only the state at initialisation and the errors enter.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.kernels import spectrum
from gdln.kernels.moments import MAPS


@dataclass(frozen=True)
class LayerKernels:
    r"""Kernels of an infinitely wide network, layer by layer.

    Attributes
    ----------
    activity : ndarray, shape (n_layers, n, n)
        :math:`\mathbb E[a^{l-1}_i a^{l-1}_j]` of one unit, the input of layer :math:`l=1..L`.
    signal : ndarray, shape (n_layers, n, n)
        :math:`\Pi^l_{ij}`, with :math:`\delta^l_i\delta_j^{l\top} \to \Pi^l_{ij} I`.
    ntk : ndarray, shape (n, n)
        :math:`\Theta = \sum_l g_l^2\, \Pi^l \circ \mathbb E[a^{l-1}a^{l-1\top}]`.
    """

    activity: np.ndarray
    signal: np.ndarray
    ntk: np.ndarray


def layer_kernels(X, gains):
    r"""Activity and signal kernels of an infinitely wide ReLU network.

    :math:`\mathrm{cov}\,z^{1}=g_1^2\,x\cdot x'/d`, :math:`\mathrm{cov}\,z^{l+1}=g_{l+1}^2\kappa_1(\mathrm{cov}\,z^l)`,
    :math:`\Pi^{L}=1`, :math:`\Pi^l=g_{l+1}^2\,\kappa_0(\mathrm{cov}\,z^l)\,\Pi^{l+1}`.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, none of them zero.
    gains : sequence of float, length L
        :math:`g_l` of every layer, the read-out last.

    Returns
    -------
    kernels : LayerKernels
        Exact on the diagonal.

    Raises
    ------
    ValueError
        If ``X`` is no finite matrix, a row is zero, there is no layer or a gain is not finite.

    Notes
    -----
    Derived in the chapter "How the weights of a wide network move".

    Examples
    --------
    >>> layer_kernels([[1.0, 1.0]], [1.0, 2**0.5]).ntk.round(6).tolist()
    [[2.0]]
    """
    X, gains = checks.array("X", X, ndim=2), checks.array("gains", gains, ndim=1).tolist()
    if not X.any(axis=1).all():
        raise ValueError(
            "X needs inputs that are not zero: a zero input has no angle with the others; leave it out"
        )
    maps, _, value_at, slope_at, _ = MAPS["relu"]
    kernel = X @ X.T / X.shape[1]
    activity, slopes = [kernel], []
    for g in gains[:-1]:
        p = g**2 * activity[-1]
        variance = np.diag(p).copy()
        value, slope = np.empty_like(p), np.empty_like(p)
        maps(variance[:, None], p, variance[None, :], value, slope)
        np.fill_diagonal(value, value_at(variance))
        np.fill_diagonal(slope, slope_at(variance))
        activity.append(value)
        slopes.append(slope)
    signal = [np.ones_like(kernel)]
    for g, slope in zip(gains[:0:-1], slopes[::-1], strict=True):
        signal.append(g**2 * slope * signal[-1])
    signal = np.stack(signal[::-1])
    activity = np.stack(activity)
    ntk = np.einsum("l,lij->ij", np.square(gains), signal * activity)
    return LayerKernels(activity, signal, ntk)


def integrated_error(t, ntk, e0, n_samples=None):
    r"""Time-integrated error of gradient flow in the kernel regime.

    :math:`\dot e=-\Theta e/n` gives :math:`E(t)=\int_0^t e\,ds=n\,\Theta^{-1}(I-e^{-\Theta t/n})\,e(0)`, written per
    eigenvalue as :math:`t\,\frac{1-e^{-x}}{x}`, :math:`x=\lambda t/n`: no inverse, no overflow.

    Parameters
    ----------
    t : float
        Learning rate times time (or times the number of steps).
    ntk : array_like, shape (n, n)
        :math:`\Theta`, symmetric, positive semidefinite.
    e0 : array_like, shape (n, n_outputs)
        Error at the start, :math:`f-y`.
    n_samples : int, optional
        Divisor :math:`n` of the loss; the number of rows unless given.

    Returns
    -------
    E : ndarray, shape (n, n_outputs)
        Time-integrated error.

    Raises
    ------
    ValueError
        If shapes do not match, the kernel is not symmetric and positive semidefinite, or ``t`` or ``n_samples`` is
        out of range.

    Examples
    --------
    >>> integrated_error(1e6, [[2.0]], [[1.0]]).round(6).tolist()
    [[0.5]]
    """
    ntk = checks.symmetric("ntk", ntk)
    e0, t = checks.array("e0", e0, shape=(len(ntk), "n_outputs")), checks.nonnegative("t", t)
    n = len(e0) if n_samples is None else checks.count("n_samples", n_samples)
    values, vectors = spectrum.eigenvalues_and_vectors("ntk", ntk)
    x = values * t / n
    weight = np.divide(-np.expm1(-x), x, out=np.ones_like(x), where=x > 0)
    return t * vectors @ (weight[:, None] * (vectors.T @ e0))


def frozen_inputs(weights, gains, X):
    r"""Input of every layer, :math:`a^0..a^{L-1}`, of one finite network: a list of arrays (n, width)."""
    return _passes(weights, gains, X)[2]


def predicted_changes(weights, gains, X, E):
    r"""Weight changes predicted from the initial weights and the time-integrated error.

    .. math:: \Delta W^l = -\frac{g_l}{n\sqrt{N_{l-1}}}\sum_i [\delta^l_i(0)^\top E_i]\,a_i^{l-1}(0)^\top .

    Parameters
    ----------
    weights : sequence of ndarray, shapes (n_out, n_in)
        Initial weights.
    gains : sequence of float
        :math:`g_l`.
    X : array_like, shape (n, d)
        Inputs.
    E : array_like, shape (n, n_outputs)
        :math:`\int\eta\,e\,ds`, measured along a run or from :func:`integrated_error`.

    Returns
    -------
    changes : list of ndarray
        One a layer.

    Raises
    ------
    ValueError
        If shapes do not match.

    Notes
    -----
    Statement of Boopathy and Fiete (2022), derived in the chapter "How the weights of a wide network move". With
    the learning rate in ``E`` the formula is exact for the first step and at every time for one layer.
    """
    weights, gains, inputs, masks = _passes(weights, gains, X)
    E = checks.array("E", E, shape=(len(inputs[0]), len(weights[-1])))
    signal, changes = E, []
    for l in range(len(weights) - 1, -1, -1):
        W, a = weights[l], inputs[l]
        scale = gains[l] / np.sqrt(W.shape[1])
        changes.append(-scale / len(E) * (signal.T @ a))
        if l:
            signal = scale * (signal @ W) * masks[l - 1]
    return changes[::-1]


def hebbian_gram(inputs, E, signal_kernel, gain):
    r"""Error-weighted correlation of a layer's inputs: the Gram matrix of the change without a backward pass.

    .. math:: \Delta W^\top \Delta W \simeq \frac{g^2}{n^2 N}\sum_{ij}(E_i\cdot E_j)\,\Pi_{ij}\,a_i a_j^\top .

    Parameters
    ----------
    inputs : array_like, shape (n, N)
        Activities into the layer, at initialisation.
    E : array_like, shape (n, n_outputs)
        Time-integrated errors.
    signal_kernel : array_like, shape (n, n)
        :math:`\Pi^l`, from :func:`layer_kernels`.
    gain : float
        :math:`g_l`.

    Returns
    -------
    gram : ndarray, shape (N, N)
        Symmetric, positive semidefinite.

    Raises
    ------
    ValueError
        If the numbers of examples differ.
    """
    a, gain = checks.array("inputs", inputs, ndim=2), checks.number("gain", gain)
    E = checks.array("E", E, shape=(len(a), "n_outputs"))
    signal_kernel = checks.array("signal_kernel", signal_kernel, shape=(len(a), len(a)))
    weight = (E @ E.T) * signal_kernel
    return gain**2 / (len(a) ** 2 * a.shape[1]) * (a.T @ weight @ a)


def _passes(weights, gains, X):
    """Weights and gains as arrays, inputs of all layers and the ReLU masks between them."""
    a = checks.array("X", X, ndim=2)
    checks.need(
        len(checks.instance("weights", weights, (list, tuple, np.ndarray))) > 0,
        "weights",
        "at least one layer",
        weights,
    )
    layers, n_in = [], a.shape[1]
    for l, W in enumerate(weights):
        layers.append(checks.array(f"weights[{l}]", W, shape=("n_out", n_in)))
        n_in = len(layers[-1])
    gains = checks.array("gains", gains, ndim=1)
    checks.need(len(gains) == len(layers), "gains", f"one gain a layer for {len(layers)} layers", gains)
    inputs, masks = [a], []
    for W, g in zip(layers[:-1], gains[:-1], strict=True):
        z = g / np.sqrt(W.shape[1]) * (inputs[-1] @ W.T)
        masks.append(z > 0)
        inputs.append(np.maximum(z, 0))
    return layers, gains, inputs, masks
