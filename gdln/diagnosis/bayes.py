r"""Is a set of weights the end of a descent, or a draw from a posterior; and of which Gaussian process."""

import numpy as np

from gdln import checks
from gdln.kernels import function_space, gram, moments


def drift(late, half):
    r"""How far weights still travel, :math:`\|\theta_T-\theta_{T/2}\|^2/(\|\theta_T\|^2+\|\theta_{T/2}\|^2)`.

    Parameters
    ----------
    late, half : array_like, shape (n_parameters,)
        Weights at the end, and half-way.

    Returns
    -------
    drift : float
        About 0 for gradient descent that has arrived, about 1 for two independent draws.

    Raises
    ------
    ValueError
        If the shapes differ, or both are zero.
    """
    late, half = _two("late", late, "half", half)
    largest = max(np.abs(late).max(), np.abs(half).max())
    checks.need(largest > 0, "late, half", "weights that are not all zero", "zeros")
    late, half = late / largest, half / largest  # squares of huge weights would overflow
    return float(np.sum(np.square(late - half)) / (np.sum(np.square(late)) + np.sum(np.square(half))))


def memory(late, start):
    r"""What weights remember of their start, :math:`\cos(\theta_T,\theta_0)`.

    Parameters
    ----------
    late, start : array_like, shape (n_parameters,)
        Weights at the end, and at the beginning.

    Returns
    -------
    cosine : float
        Large for gradient descent, about 0 after sampling long enough.

    Raises
    ------
    ValueError
        If the shapes differ, or one is zero.
    """
    late, start = _two("late", late, "start", start)
    sizes = np.abs(late).max(), np.abs(start).max()
    checks.need(min(sizes) > 0, "late, start", "weights that are not all zero", "zeros")
    late, start = late / sizes[0], start / sizes[1]
    return float(late @ start / (np.linalg.norm(late) * np.linalg.norm(start)))


def stationary(losses):
    """Mean loss of the last quarter of a run over that of the quarter before: about 1 where nothing is learnt any more.

    Parameters
    ----------
    losses : array_like, shape (n_records,)
        At equal times apart, four at least, not negative.

    Returns
    -------
    ratio : float
        1 where both are zero.
    """
    losses = checks.array("losses", losses, ndim=1, least=0)
    checks.need(len(losses) >= 4, "losses", "at least four records", losses)
    quarter = len(losses) // 4
    before, after = losses[-2 * quarter : -quarter].mean(), losses[-quarter:].mean()
    return float(after / before) if before > 0 else 1.0


def process_distance(first, second, process):
    r"""Distance of a sampled mean predictor from that of a Gaussian process, without the bias of a short chain.

    With the means :math:`\bar f_1,\bar f_2` of two halves of a chain,

    .. math:: d^2=\frac{(\bar f_1-f_{\rm GP})\cdot(\bar f_2-f_{\rm GP})}{\|f_{\rm GP}\|^2} :

    the errors of the halves are independent and drop out of the product; a plain distance would mostly measure them.

    Parameters
    ----------
    first, second, process : array_like, shape (n, n_outputs)
        Mean outputs of the halves, and of the process.

    Returns
    -------
    d : float
        The root, with the sign of :math:`d^2`: a small negative number is noise around zero.

    Raises
    ------
    ValueError
        If the shapes differ, or the process predicts zero.
    """
    process = checks.array("process", process, shape=("n", "n_outputs"))
    first = checks.array("first", first, shape=process.shape)
    second = checks.array("second", second, shape=process.shape)
    unit = np.abs(process).max()
    checks.need(unit > 0, "process", "a prediction that is not zero", unit)
    process, first, second = process / unit, first / unit, second / unit  # whose squares are numbers too
    square = np.sum((first - process) * (second - process)) / np.sum(np.square(process))
    return float(np.copysign(np.sqrt(abs(square)), square))


def readout_scale(readouts, sigma2):
    r"""Scale :math:`u=\langle\|a\|^2\rangle/(N\sigma^2)` of the read-out over a chain.

    Parameters
    ----------
    readouts : array_like, shape (n_draws, ...)
        Read-out weights.
    sigma2 : float
        Prior variance of one of them.

    Returns
    -------
    u : float
        1 in the prior and in the limit of infinite width; away from it the kernel of the posterior is renormalised.
    """
    readouts = checks.array("readouts", readouts)
    checks.need(readouts.ndim >= 2, "readouts", "draws first, and at least one weight", readouts)
    return float(np.mean(np.square(readouts)) / checks.positive("sigma2", sigma2))


def infinite_width(network, X, Y, X_test, *, temperature=0.0):
    """Predictions of the infinitely wide network: sampled from its posterior, and trained to the end.

    Parameters
    ----------
    network : FullyConnected
        Architecture of the limit, :class:`gdln.kernels.moments.FullyConnected`.
    X, Y : array_like, shapes (n, n_inputs), (n, n_outputs)
        Training data.
    X_test : array_like, shape (m, n_inputs)
        Where to predict.
    temperature : float, optional
        Variance of the noise in the targets, for the posterior.

    Returns
    -------
    predictions : dict of str to ndarray, shape (m, n_outputs)
        ``"nngp"``, mean of the posterior, and ``"ntk"``, mean of gradient flow at infinite time.
    """
    checks.instance("network", network, moments.FullyConnected)
    X = checks.array("X", X, shape=("n", "n_inputs"))
    X_test = checks.array("X_test", X_test, shape=("m", X.shape[1]))
    Y = checks.array("Y", Y, shape=(len(X), "n_outputs"))
    temperature = checks.nonnegative("temperature", temperature)
    kernel, cross = gram.gram(network, X), gram.gram(network, X_test, X)
    return {
        "nngp": function_space.posterior(kernel, cross, Y, noise=temperature).mean,
        "ntk": function_space.gradient_flow(kernel, cross, Y, [np.inf]).mean[0],
    }


def _two(name, x, other, y):
    x = checks.array(name, x, ndim=1)
    y = checks.array(other, y, shape=x.shape)
    return x, y
