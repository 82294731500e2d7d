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
    W_std, b_std : float, optional
        Factors of weights and biases.

    Returns
    -------
    ntk : ndarray, shape (n, n_outputs, m, n_outputs)
        Reshaped to (n n_outputs, m n_outputs) it is the matrix that drives gradient descent.

    Raises
    ------
    TypeError, ValueError
        If the shapes of weights, biases and inputs do not chain, or an argument is of the wrong kind or range.
    """
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
    W_std, b_std = checks.positive("W_std", W_std), checks.nonnegative("b_std", b_std)

    def passes(A):
        inputs, slopes = [A], []
        for W, b, name in zip(weights[:-1], biases[:-1], names, strict=True):
            h = W_std / np.sqrt(W.shape[1]) * (inputs[-1] @ W.T) + b_std * b
            value, slope = ACTIVATIONS[name](h)
            inputs.append(value)
            slopes.append(slope)
        n_outputs = len(weights[-1])
        signal = np.broadcast_to(np.eye(n_outputs), (len(A), n_outputs, n_outputs))
        signals = [signal]
        for W, slope in zip(reversed(weights[1:]), reversed(slopes), strict=True):
            signal = W_std / np.sqrt(W.shape[1]) * (signal @ W) * slope[:, None, :]
            signals.append(signal)
        return inputs, signals[::-1]

    inputs, signals = passes(X)
    inputs2, signals2 = (inputs, signals) if same else passes(X2)
    k = chain[-1]
    out = np.zeros((len(X), k, len(X2), k))
    for a, a2, s, s2 in zip(inputs, inputs2, signals, signals2, strict=True):
        forward = W_std**2 / a.shape[1] * (a @ a2.T) + b_std**2
        backward = s.reshape(-1, s.shape[2]) @ s2.reshape(-1, s2.shape[2]).T
        out += forward[:, None, :, None] * backward.reshape(out.shape)
    return out


def _erf_both(h):
    slope = np.square(h)  # in place from here on: this is the inner loop of a training run
    np.negative(slope, out=slope)
    np.exp(slope, out=slope)
    np.multiply(slope, 2 / np.sqrt(np.pi), out=slope)
    return erf(h), slope


#: Value and slope of the nonlinearities of finite networks; the slope of a ReLU is zero at its kink.
ACTIVATIONS = {
    "relu": lambda h: (np.maximum(h, 0), (h > 0).astype(float)),
    "erf": _erf_both,
    "linear": lambda h: (h, np.ones_like(h)),
}
