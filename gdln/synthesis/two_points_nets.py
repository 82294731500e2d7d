r"""Networks of any depth and activation trained on two points, in plain numpy; :mod:`gdln.synthesis.two_points` is held
against them."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from gdln import checks
from gdln.activations import LEAK, named
from gdln.integration import integrate


def _leaky(u):
    slope = np.where(u > 0, 1.0, LEAK)
    return slope * u, slope


def _elu(u):
    value = np.where(u > 0, u, np.expm1(np.minimum(u, 0)))
    return value, np.where(u > 0, 1.0, value + 1)


def _swish(u):
    gate = expit(u)
    return u * gate, gate * (1 + u * (1 - gate))


#: Pairs of value and slope by name.
ACTIVATIONS = {name: named(name).both for name in ("linear", "tanh", "relu", "softplus")} | {
    "leaky_relu": _leaky,
    "elu": _elu,
    "swish": _swish,
}

#: Nine networks that share little but their data, and the step each one is trained with: settings of the chapter.
NETWORKS = tuple(
    {"activation": activation, "depth": depth, "gain": gain, "lr": lr}
    for activation, depth, gain, lr in (
        ("tanh", 6, 0.65, 0.03),
        ("elu", 6, 0.65, 0.03),
        ("linear", 6, 0.65, 0.03),
        ("relu", 6, 0.85, 0.03),
        ("leaky_relu", 6, 0.85, 0.03),
        ("swish", 6, 1.2, 0.03),
        ("leaky_relu", 12, 1.0, 0.02),
        ("tanh", 12, 0.75, 0.02),
        ("tanh", 2, 0.25, 0.05),
    )
)


@dataclass(frozen=True)
class PairTrajectory:
    """Distances of two points along the training of a network.

    Attributes
    ----------
    times : ndarray, shape (n_records,)
        Steps times ``lr``.
    h : ndarray, shape (n_records, depth)
        Squared distance of the two hidden states, a column a hidden layer, input side first.
    y, w : ndarray, shape (n_records,)
        Squared distance of the outputs, and their overlap with the error, as in :mod:`gdln.synthesis.two_points`.
    loss : ndarray, shape (n_records,)
        Half the mean squared error.
    mean_error : ndarray, shape (n_records,)
        Squared norm of the mean of the two errors.
    """

    times: np.ndarray
    h: np.ndarray
    y: np.ndarray
    w: np.ndarray
    loss: np.ndarray
    mean_error: np.ndarray


def simulate_pair(X, Y, width, depth, activation, gain, lr, n_steps, rng, stop_below=1e-6):
    r"""Train all weights of a network on two points by full-batch gradient descent, and record their distances.

    Hidden layers :math:`x_l=\phi(W_lx_{l-1}+b_l)`, linear output; :math:`W_l` of variance
    :math:`2g^2/(n_{l-1}+n_l)` with gain :math:`g` (Xavier), biases that start at zero; loss
    :math:`\frac14\sum_{\mu=1,2}\|\hat y_\mu-y_\mu\|^2`.

    Parameters
    ----------
    X, Y : array_like, shapes (2, n_inputs), (2, n_outputs)
        The two points and their targets.
    width, depth : int
        Units of a hidden layer; number of hidden layers.
    activation : str
        One of ``ACTIVATIONS``.
    gain : float
        The gain :math:`g>0`.
    lr : float
        Step size.
    n_steps : int
        Largest number of steps.
    rng : numpy.random.Generator
        Source of the weights.
    stop_below : float, optional
        Training ends when the loss is below.

    Returns
    -------
    trajectory : PairTrajectory
        The start and every step.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, a name is unknown or an argument is out of its range.
    gdln.checks.Diverged
        If the loss stops being finite; carries the step.
    """
    X, Y = checks.array("X", X, shape=(2, None)), checks.array("Y", Y, shape=(2, None))
    width, depth = checks.count("width", width), checks.count("depth", depth)
    phi = ACTIVATIONS[checks.choice("activation", activation, ACTIVATIONS)]
    gain, lr = checks.positive("gain", gain), checks.positive("lr", lr)
    n_steps, stop_below = checks.count("n_steps", n_steps, least=0), checks.number("stop_below", stop_below)
    checks.generator("rng", rng)
    sizes = [X.shape[1], *[width] * depth, Y.shape[1]]
    weights = [
        gain * np.sqrt(2 / (n + m)) * rng.standard_normal((n, m))
        for n, m in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    biases = [np.zeros(m) for m in sizes[1:]]
    target, records = Y[1] - Y[0], []
    for step in range(n_steps + 1):
        with np.errstate(all="ignore"):  # a divergence is reported below
            inputs, slopes, x = [X], [], X
            for W, b in zip(weights[:-1], biases[:-1], strict=True):
                x, slope = phi(x @ W + b)
                inputs.append(x)
                slopes.append(slope)
            outputs = x @ weights[-1] + biases[-1]
            error = outputs - Y
            loss = np.square(error).sum() / 4
            difference = outputs[1] - outputs[0]
            records.append(
                (
                    [np.square(layer[1] - layer[0]).sum() for layer in inputs[1:]],
                    difference @ difference,
                    difference @ (difference - target),
                    loss,
                    np.square(error.mean(axis=0)).sum(),
                )
            )
            checks.still_finite([loss, *records[-1][0]], "training", step=step)
            if loss < stop_below or step == n_steps:
                break
            signal = error / 2
            for l in range(depth, -1, -1):
                back = (signal @ weights[l].T) * slopes[l - 1] if l else None
                weights[l] -= lr * (inputs[l].T @ signal)
                biases[l] -= lr * signal.sum(axis=0)
                signal = back
    h, *others = (np.array(column) for column in zip(*records, strict=True))
    return PairTrajectory(lr * np.arange(len(h)), h, *others)


def simulate_one_unit(a, b, target, d_x, eta_h, eta_y, times):
    r"""Linear network with one hidden unit on two points, every weight integrated.

    The outputs differ by :math:`\Delta\hat y=\alpha\,b`, and

    .. math:: \dot\alpha=\tfrac12\eta_hd_x\,b\cdot(\Delta y-\alpha b),\qquad
              \dot b=\tfrac12\eta_y\,\alpha\,(\Delta y-\alpha b) .

    Parameters
    ----------
    a : float
        Initial difference :math:`\alpha` of the hidden unit's two states.
    b : array_like, shape (n_outputs,)
        Initial output weights.
    target : array_like, shape (n_outputs,)
        Difference of the targets, :math:`\Delta y`.
    d_x : float
        Squared distance of the inputs.
    eta_h, eta_y : float
        Rates of input and output weights; one half is gradient flow on half the mean squared error.
    times : array_like, shape (n_times,)
        Times, not decreasing; the first is that of the start.

    Returns
    -------
    trajectory : PairTrajectory
        With one hidden layer, and errors of mean zero.

    Raises
    ------
    TypeError, ValueError
        If shapes differ or an argument is out of its range.
    gdln.checks.Diverged
        If the integration fails.
    """
    a, target = checks.number("a", a), checks.array("target", target, ndim=1)
    b = checks.array("b", b, shape=target.shape)
    d_x, eta_h = checks.positive("d_x", d_x), checks.nonnegative("eta_h", eta_h)
    eta_y = checks.nonnegative("eta_y", eta_y)
    times = checks.times("times", times, ndim=1, ordered=True)

    def slope(_, weights):
        left = target - weights[0] * weights[1:]
        return np.append(eta_h * d_x * weights[1:] @ left, eta_y * weights[0] * left) / 2

    a, *b = integrate(slope, [a, *b], times).T
    outputs = a * b
    error = outputs - target[:, None]
    y, w, left = (np.sum(pair, axis=0) for pair in (outputs**2, outputs * error, error**2))
    return PairTrajectory(times, np.square(a)[:, None], y, w, left / 8, np.zeros(len(times)))
