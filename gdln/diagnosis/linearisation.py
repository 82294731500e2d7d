r"""How far a network left its own linearisation, :math:`f_{\theta_0}+J_0\,\delta`."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from gdln import checks
from gdln.kernels import function_space, spectrum

#: Steps of the iteration for the cross-entropy; a kernel of a thousand rows takes about ten seconds for so many.
MOST_STEPS = 10_000


def weight_gap(initial, trained, X):
    r"""Gap between a network and its linearisation at the weights that training found.

    .. math:: \frac{\|f_T-f_0-J_0(\theta_T-\theta_0)\|}{\|f_T-f_0\|},

    one directional derivative, no Jacobian. Zero where the outputs are linear in what was trained; of order one where
    features were learnt.

    Parameters
    ----------
    initial, trained : torch.nn.Module
        The network before and after.
    X : array_like or Tensor, shape (n, ...)
        Inputs, best such as were not trained on.

    Returns
    -------
    gap : float
        Dimensionless.

    Raises
    ------
    TypeError, ValueError
        If the two are not checkpoints of one network, or its outputs did not change.
    """
    from gdln.diagnosis.networks import pair  # here, since what is below needs no torch

    first, last = pair(initial, trained)
    X = first.inputs("X", X)
    start = first.outputs(X)
    moved = last.outputs(X) - start
    changes = [(b - a).detach() for a, b in zip(first.parameters, last.parameters, strict=True)]
    size = float(moved.norm())
    checks.need(size > 0, "trained", "outputs other than those of initial", "a change of zero")
    return float((moved - first.push(X, changes)).norm()) / size


@dataclass(frozen=True)
class LinearisedRun:
    """A linearised network, trained as long as the network, or to the same loss.

    Attributes
    ----------
    outputs, test_outputs : ndarray, shapes (n, n_outputs), (m, n_outputs)
        At the end.
    time : float
        When that was, in steps times rate.
    """

    outputs: np.ndarray
    test_outputs: np.ndarray
    time: float


def train_linearised(kernel, test_kernel, F0, F0_test, Y, *, loss="squared", time=None, until=None):
    r"""Train :math:`f_0+J_0\delta` on the data of the network: kernel regression with its initial tangent kernel.

    For the loss :math:`\frac1{2n}\sum\|f-y\|^2` gradient flow ends at time :math:`t` at

    .. math:: F_t=F_0+K\,a,\qquad a=-V\,\frac{1-e^{-\lambda t/n}}{\lambda}\,V^\top(F_0-Y),\qquad K=V\lambda V^\top ;

    for the cross-entropy the descent in function space is iterated with a step that the kernel allows.

    Parameters
    ----------
    kernel : array_like, shape (n, n_outputs, n, n_outputs)
        Tangent kernel at the start.
    test_kernel : array_like, shape (m, n_outputs, n, n_outputs)
        The same between test and training points.
    F0, F0_test : array_like, shapes (n, n_outputs), (m, n_outputs)
        Outputs at the start.
    Y : array_like, shape (n, n_outputs)
        Targets; for the cross-entropy one-hot rows.
    loss : {"squared", "cross_entropy"}, optional
        Mean over samples of half the squared distance, or of the cross-entropy.
    time : float, optional
        Steps times rate; ``inf`` for the end of the squared loss.
    until : float, optional
        Loss to stop at in place of a time: the comparison for an optimiser without one.

    Returns
    -------
    run : LinearisedRun
        Outputs and time.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or not exactly one of ``time`` and ``until`` is given, or the linearised network cannot
        get there: its loss stays above ``until``, or the cross-entropy needs more than ``MOST_STEPS`` steps.
    """
    F0 = checks.array("F0", F0, shape=("n", "n_outputs"))
    n, k = F0.shape
    Y = checks.array("Y", Y, shape=(n, k))
    K = checks.array("kernel", kernel, shape=(n, k, n, k))
    F0_test = checks.array("F0_test", F0_test, shape=("m", k))
    K_test = checks.array("test_kernel", test_kernel, shape=(len(F0_test), k, n, k))
    checks.choice("loss", loss, ("squared", "cross_entropy"))
    checks.need((time is None) != (until is None), "time, until", "one of the two", (time, until))
    if time is not None:
        time = checks.nonnegative("time", time, infinite=loss == "squared")
    else:
        until = checks.positive("until", until)
    start = function_space.loss_and_gradient(F0, Y, loss)[0]
    if until is not None and until >= start:
        return LinearisedRun(np.array(F0), np.array(F0_test), 0.0)
    if loss == "squared":
        return _closed_form(K, K_test, F0, F0_test, Y, time, until)
    return _iterated(K, K_test, F0, F0_test, Y, time, until)


def linearised_gap(outputs, linearised, start):
    r"""Gap :math:`\|f_T-f^{\rm lin}_T\|/\|f_T-f_0\|` between a network and its trained linearisation.

    Parameters
    ----------
    outputs, linearised, start : array_like, shape (n, n_outputs)
        Outputs of the network, of its linearisation, and of both at the start.

    Returns
    -------
    gap : float
        Dimensionless.

    Raises
    ------
    ValueError
        If the shapes differ, or the outputs did not change.
    """
    outputs = checks.array("outputs", outputs, shape=("n", "n_outputs"))
    linearised = checks.array("linearised", linearised, shape=outputs.shape)
    start = checks.array("start", start, shape=outputs.shape)
    size = np.linalg.norm(outputs - start)
    checks.need(size > 0, "outputs", "outputs that differ from start", "a change of zero")
    return float(np.linalg.norm(outputs - linearised) / size)


def _closed_form(K, K_test, F0, F0_test, Y, time, until):
    n, k = F0.shape
    matrix = checks.symmetric("kernel", K.reshape(n * k, n * k))
    rates, vectors = spectrum.eigenvalues_and_vectors("kernel", matrix)
    error = vectors.T @ (F0 - Y).ravel()

    def loss(t):
        return 0.5 * np.sum(np.square(error * np.exp(-rates * t / n))) / n

    if time is None:
        slowest = rates[rates > 0].min(initial=np.inf)
        end = 1.0 if not np.isfinite(slowest) else 800 * n / slowest  # where float64 ends
        what = "a loss that the linearised network can reach"
        checks.need(loss(end) < until, "until", what, until)
        time = brentq(lambda log_t: loss(np.exp(log_t)) - until, -700, np.log(end), xtol=1e-12)
        time = float(np.exp(time))
    learnt, moving = np.zeros_like(rates), rates > 0  # a rate of zero learns nothing, in infinite time either
    learnt[moving] = -np.expm1(-rates[moving] * (time / n)) / rates[moving]
    a = -(vectors @ (learnt * error))
    test = F0_test + (K_test.reshape(-1, n * k) @ a).reshape(-1, k)
    return LinearisedRun(F0 + (matrix @ a).reshape(n, k), test, float(time))


def _iterated(K, K_test, F0, F0_test, Y, time, until):
    # the softmax has slopes of at most one half, so that 4 over the eigenvalue would be the bound
    lr = 2 / max(function_space.largest_eigenvalue(K), np.finfo(float).tiny)
    n_steps = MOST_STEPS
    if time is not None:
        n_steps = int(np.ceil(time / lr))
        what = f"at most {MOST_STEPS} steps of {lr:.3g}"
        checks.need(n_steps <= MOST_STEPS, "time", what, time)
        lr = time / max(n_steps, 1) or lr
    run = function_space.frozen(
        K,
        Y,
        lr=lr,
        n_steps=n_steps,
        F0=F0,
        loss="cross_entropy",
        test_kernel=K_test,
        F0_test=F0_test,
        record_every=max(n_steps, 1),
        stop_below=until,
    )
    if until is not None:
        checks.need(run.loss[-1] < until, "until", f"a loss reached in {MOST_STEPS} steps", until)
    return LinearisedRun(run.outputs[-1], run.test_outputs[-1], float(run.steps[-1] * lr))
