r"""Gradient descent of gated networks on separable data, held against the programs of :mod:`gdln.synthesis.margins`.

The loss is exponential, :math:`\mathcal L=\sum_\mu e^{-y_\mu f(x_\mu)}`. It has no minimum: once all labels are right
the weights grow for ever, and their direction is all that matters. A network of :math:`L` layers of weights has
:math:`f(c\theta)=c^Lf(\theta)`, so we keep the direction :math:`\hat\theta=\theta/\|\theta\|` and
:math:`\ln\|\theta\|` apart, and a step moves by a given fraction of :math:`\|\theta\|` along the gradient of
:math:`-\ln\mathcal L`.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks

#: Above it the samples with the least margin have all the weight, and the exponential would overflow.
LARGEST_EXPONENT = 600.0


@dataclass(frozen=True)
class MarginTrajectory:
    r"""What a network with weights of norm one, :math:`\hat\theta`, does along the way.

    Parameters
    ----------
    steps : ndarray, shape (n_records,)
        Steps done at each record.
    margins : ndarray, shape (n_records,)
        Smallest :math:`y_\mu f(x_\mu)` of the network :math:`\hat\theta`.
    beta : ndarray, shape (n_records, n_units, n_features)
        Its coefficients, products of its weights.
    log_norm : ndarray, shape (n_records,)
        :math:`\ln\|\theta\|`.
    weights : tuple of ndarray
        Its weights at the end, from the inputs up.
    """

    steps: np.ndarray
    margins: np.ndarray
    beta: np.ndarray
    log_norm: np.ndarray
    weights: tuple


def simulate_linear(features, y, n_steps, rng, *, lr=0.02, gain=0.1, record_every=100):
    r"""One layer of weights, :math:`f=\sum_hw_h\cdot\varphi_h(x)`.

    Parameters
    ----------
    features : array_like, shape (n_units, n_samples, n_features)
        :math:`\varphi_h(x_\mu)`.
    y : array_like, shape (n_samples,)
        Labels, plus or minus one.
    n_steps : int
        Steps.
    rng : numpy.random.Generator
        Source of the initial weights.
    lr : float, optional
        Length of the first step relative to :math:`\|\theta\|`; step :math:`k` has
        :math:`\mathrm{lr}/\sqrt{1+k/100}`.
    gain : float, optional
        Standard deviation of the initial weights.
    record_every : int, optional
        Steps between records; start and end are recorded too.

    Returns
    -------
    run : MarginTrajectory
        Margins and coefficients.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shapes do not fit.
    gdln.checks.Diverged
        If the gradient vanishes, as it does for features of zero, or is not finite.
    """
    features, y = _task(features, y)
    options = _options(n_steps, lr, record_every)
    rng, gain = checks.generator("rng", rng), checks.positive("gain", gain)
    flat = features.transpose(1, 0, 2).reshape(len(y), -1)
    shape = features.shape[0], features.shape[2]

    def outputs(weights):
        return flat @ weights[0].ravel(), None

    def gradients(weights, between, signal):
        return [(signal @ flat).reshape(shape)]

    return _descend(
        [gain * rng.standard_normal(shape)], outputs, gradients, lambda weights: weights[0], y, *options
    )


def simulate_private(features, y, n_steps, rng, *, widths=(), lr=0.02, gain=0.1, record_every=100):
    r"""Units with private gates under ungated layers, :math:`f=A_L\cdots A_2\,(w_h\cdot\varphi_h(x))_h`.

    Parameters
    ----------
    features : array_like, shape (n_units, n_samples, n_features)
        :math:`\varphi_h(x_\mu)`.
    y, n_steps, rng
        As in :func:`simulate_linear`.
    widths : sequence of int, optional
        Widths of fully connected ungated layers between the gated units and the output; none of them is a two-layer
        network.
    lr, gain, record_every
        As in :func:`simulate_linear`.

    Returns
    -------
    run : MarginTrajectory
        Margins and coefficients.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shapes do not fit.
    gdln.checks.Diverged
        If the gradient vanishes, as it does for features of zero, or is not finite.
    """
    features, y = _task(features, y)
    options = _options(n_steps, lr, record_every)
    rng, gain = checks.generator("rng", rng), checks.positive("gain", gain)
    widths = checks.array("widths", widths, ndim=1, dtype=int, least=1, empty=True).tolist()
    sizes = [len(features), *widths, 1]
    weights = [gain * rng.standard_normal((len(features), features.shape[2]))]
    weights += [
        gain * rng.standard_normal((above, below)) for below, above in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    turned = np.ascontiguousarray(features.transpose(0, 2, 1))

    def outputs(weights):
        layers = [(features @ weights[0][:, :, None])[:, :, 0]]
        for A in weights[1:]:
            layers.append(A @ layers[-1])
        return layers[-1][0], layers

    def gradients(weights, layers, signal):
        found, signal = [], signal[None]
        for A, below in zip(weights[:0:-1], layers[-2::-1], strict=True):
            found.append(signal @ below.T)
            signal = A.T @ signal
        found.append((turned @ signal[:, :, None])[:, :, 0])
        return found[::-1]

    def coefficients(weights):
        readout = weights[-1]
        for A in weights[-2:0:-1]:
            readout = readout @ A
        return readout.T * weights[0]

    return _descend(weights, outputs, gradients, coefficients, y, *options)


def simulate_shared(gates, X, y, n_steps, rng, *, width, lr=0.02, gain=0.1, record_every=100):
    r"""Units that share gates, :math:`f=\sum_i(a_i\cdot g(x))(w_i\cdot x)`.

    Parameters
    ----------
    gates : array_like, shape (n_samples, n_gates)
        :math:`g(x_\mu)`.
    X : array_like, shape (n_samples, n_inputs)
        Inputs.
    y, n_steps, rng
        As in :func:`simulate_linear`.
    width : int
        Number of units.
    lr, gain, record_every
        As in :func:`simulate_linear`.

    Returns
    -------
    run : MarginTrajectory
        Margins and coefficients :math:`\beta=\sum_ia_iw_i^\top`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shapes do not fit.
    gdln.checks.Diverged
        If the gradient vanishes, as it does for features of zero, or is not finite.
    """
    X = checks.array("X", X, shape=("n_samples", "n_inputs"))
    gates = checks.array("gates", gates, shape=(len(X), "n_gates"))
    y = _labels(y, len(X))
    options = _options(n_steps, lr, record_every)
    rng, gain = checks.generator("rng", rng), checks.positive("gain", gain)
    width = checks.count("width", width)
    weights = [gain * rng.standard_normal((width, n)) for n in (X.shape[1], gates.shape[1])]

    def outputs(weights):
        units, branches = X @ weights[0].T, gates @ weights[1].T
        return np.einsum("pi,pi->p", units, branches), (units, branches)

    def gradients(weights, between, signal):
        units, branches = between
        return [(branches * signal[:, None]).T @ X, (units * signal[:, None]).T @ gates]

    return _descend(weights, outputs, gradients, lambda weights: weights[1].T @ weights[0], y, *options)


def _task(features, y):
    features = checks.array("features", features, shape=("n_units", "n_samples", "n_features"))
    return features, _labels(y, features.shape[1])


def _labels(y, n_samples):
    y = checks.array("y", y, shape=(n_samples,))
    checks.need((np.abs(y) == 1).all(), "y", "labels of plus or minus one", y)
    return y


def _options(n_steps, lr, record_every):
    return (
        checks.count("n_steps", n_steps),
        checks.positive("lr", lr),
        checks.count("record_every", record_every),
    )


def _norm(arrays):
    return np.sqrt(sum(np.vdot(a, a) for a in arrays))


def _descend(weights, outputs, gradients, coefficients, y, n_steps, lr, record_every):
    """Steps of given relative length along the gradient of minus the logarithm of the loss."""
    depth, size = len(weights), _norm(weights)
    log_norm, weights, records = np.log(size), [w / size for w in weights], []
    for step in range(n_steps + 1):
        f, between = outputs(weights)
        margins = y * f
        if step % record_every == 0 or step == n_steps:
            checks.still_finite(margins, "the margins", step=step)
            records.append((step, margins.min(), coefficients(weights), log_norm))
        if step == n_steps:
            break
        sharpness = np.exp(min(depth * log_norm, LARGEST_EXPONENT))
        share = np.exp(-sharpness * (margins - margins.min()))
        slopes = gradients(weights, between, y * share / share.sum())
        steepness = _norm(slopes)
        if not 0 < steepness < np.inf:
            raise checks.Diverged(
                f"the gradient has no direction at step {step}: its length is {steepness:.3g}", step=step
            )
        # shrinking like the root of the number of steps lets the oscillation between samples of equal margin die out
        length = lr / np.sqrt(1 + step / 100) / steepness
        weights = [w + length * slope for w, slope in zip(weights, slopes, strict=True)]
        size = _norm(weights)
        log_norm, weights = log_norm + np.log(size), [w / size for w in weights]
    steps, margins, beta, log_norms = (np.array(part) for part in zip(*records, strict=True))
    return MarginTrajectory(steps, margins, beta, log_norms, tuple(weights))
