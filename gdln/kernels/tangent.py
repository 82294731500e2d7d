"""The tangent kernel of a finite network."""

import numpy as np
from scipy.special import erf

from gdln import checks
from gdln.kernels.moments import two_sets


def empirical_ntk(weights, biases, X, X2=None, *, activation="erf", W_std=1.5, b_std=0.1):
    r"""Tangent kernel of one finite network, layer by layer.

    With activations :math:`a^{l-1}` and back-propagated signals :math:`B^l = \partial F/\partial h^l`,

    .. math:: \hat\Theta = \sum_l \Big(\frac{\sigma_w^2}{n_{l-1}}
              a^{l-1}(x)\cdot a^{l-1}(x') + \sigma_b^2\Big) B^l(x) B^l(x')^\top,

    products of Gram matrices: the Jacobian, samples times parameters, is never formed.

    Parameters
    ----------
    weights : sequence of ndarray, shapes (n_out, n_in)
        One matrix a layer, entries of order one.
    biases : sequence of ndarray, shapes (n_out,)
        One vector a layer.
    X : array_like, shape (n, n_inputs)
        Inputs.
    X2 : array_like, shape (m, n_inputs), optional
        Second set; ``X`` unless given.
    activation : str or sequence of str, optional
        Of all hidden layers, or one name a hidden layer (a bottleneck is ``"linear"``).
    W_std : float or array_like, shape (n_layers,), optional
        Factor of the weights, one for all layers or one a layer; the square root of the number of inputs of a layer
        makes its weights enter as they are.
    b_std : float, optional
        Factor of the biases.

    Returns
    -------
    ntk : ndarray, shape (n, n_outputs, m, n_outputs)
        Reshaped to (n n_outputs, m n_outputs) it is the matrix that drives gradient descent.

    Raises
    ------
    TypeError, ValueError
        If the shapes of weights, biases and inputs do not chain, or an argument is of the wrong kind or range.
    """
    terms = _terms(weights, biases, X, X2, activation, W_std, b_std)
    out = next(terms)
    for term in terms:
        out += term
    return out


def layer_kernels(weights, biases, X, X2=None, *, activation="erf", W_std=1.5, b_std=0.1):
    r"""Tangent kernels of one finite network of which a single layer is trained, one a layer.

    The terms of the sum in :func:`empirical_ntk`, each positive semidefinite where ``X2`` is ``X``. The last, of the
    network whose readout alone is trained, is the *conjugate kernel*: the Gram matrix of its last hidden layer.

    Parameters
    ----------
    weights, biases, X, X2, activation, W_std, b_std
        As in :func:`empirical_ntk`.

    Returns
    -------
    kernels : ndarray, shape (n_layers, n, n_outputs, m, n_outputs)
        From the inputs up; their sum is the tangent kernel.

    Raises
    ------
    TypeError, ValueError
        As :func:`empirical_ntk`.
    """
    return np.stack(list(_terms(weights, biases, X, X2, activation, W_std, b_std)))


def _terms(weights, biases, X, X2, activation, W_std, b_std):
    """Kernels of the layers, one after the other."""
    X, X2, same = two_sets(X, X2)
    checks.instance("weights", weights, (list, tuple))
    checks.instance("biases", biases, (list, tuple))
    checks.need(len(weights), "weights", "one matrix a layer, at least one", weights)
    checks.need(len(biases) == len(weights), "biases", "as many vectors as weights has matrices", biases)
    chain, found = [X.shape[1]], []
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        W = checks.array(f"weights[{layer}]", W, shape=("n_out", chain[-1]))
        found.append((W, checks.array(f"biases[{layer}]", b, shape=(len(W),))))
        chain.append(len(W))
    weights, biases = zip(*found, strict=True)
    names = activation
    if isinstance(activation, str):
        names = [activation] * (len(weights) - 1)
    checks.instance("activation", names, (list, tuple))
    checks.need(
        len(names) == len(weights) - 1, "activation", f"one a hidden layer, {len(weights) - 1}", names
    )
    names = [checks.choice("activation", name, ACTIVATIONS) for name in names]
    W_std = checks.array("W_std", W_std, ndim=(0, 1), above=0)
    checks.need(
        W_std.ndim == 0 or len(W_std) == len(weights), "W_std", f"one factor, or {len(weights)}", W_std
    )
    fan_in = np.array([W.shape[1] for W in weights])
    factors, b_std = W_std / np.sqrt(fan_in), checks.nonnegative("b_std", b_std)

    def passes(A):
        inputs, slopes = [A], []
        for factor, W, b, name in zip(factors[:-1], weights[:-1], biases[:-1], names, strict=True):
            h = factor * (inputs[-1] @ W.T) + b_std * b
            value, slope = ACTIVATIONS[name](h)
            inputs.append(value)
            slopes.append(slope)
        n_outputs = len(weights[-1])
        signal = np.broadcast_to(np.eye(n_outputs), (len(A), n_outputs, n_outputs))
        signals = [signal]
        for factor, W, slope in zip(factors[:0:-1], reversed(weights[1:]), reversed(slopes), strict=True):
            signal = factor * (signal @ W) * slope[:, None, :]
            signals.append(signal)
        return inputs, signals[::-1]

    inputs, signals = passes(X)
    inputs2, signals2 = (inputs, signals) if same else passes(X2)
    k = chain[-1]
    for factor, a, a2, s, s2 in zip(factors, inputs, inputs2, signals, signals2, strict=True):
        forward = factor**2 * (a @ a2.T) + b_std**2
        backward = s.reshape(-1, s.shape[2]) @ s2.reshape(-1, s2.shape[2]).T
        yield forward[:, None, :, None] * backward.reshape(len(X), k, len(X2), k)


def _erf_both(h):
    slope = np.square(h)  # in place from here on: this is the inner loop of a training run
    np.negative(slope, out=slope)
    np.exp(slope, out=slope)
    np.multiply(slope, 2 / np.sqrt(np.pi), out=slope)
    return erf(h), slope


def _tanh_both(h):
    value = np.tanh(h)
    return value, 1 - value**2


#: Value and slope of the nonlinearities of finite networks; the slope of a ReLU is zero at its kink.
ACTIVATIONS = {
    "relu": lambda h: (np.maximum(h, 0), (h > 0).astype(float)),
    "erf": _erf_both,
    "tanh": _tanh_both,
    "linear": lambda h: (h, np.ones_like(h)),
}
