r"""Training in function space: the closed form where the kernel stands still, its steps, losses and records."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.special import expit, logsumexp

from gdln import checks
from gdln.kernels import spectrum
from gdln.kernels.moments import Kernels

LOSSES = ("squared", "cross_entropy")


class UnstableStepSize(checks.Diverged):
    """Gradient descent diverges: the step size is above two over the largest eigenvalue of the kernel.

    Where the kernel stands still this is known before the first step, and no step is taken; where it moves, the run
    meets it on its way. To a sweep over step sizes both are a run that diverged, so both are this one exception, and
    neither is a ``ValueError``: any positive step size is an allowed argument.

    Attributes
    ----------
    lr, eigenvalue : float
        The step size, and the largest eigenvalue of the tangent kernel divided by the number of samples.
    step : int
        The step at which the growth that ended in the divergence began.
    """

    def __init__(self, lr, eigenvalue, step=0):
        self.lr, self.eigenvalue = float(lr), float(eigenvalue)
        super().__init__(
            f"gradient descent diverges from step {step}: learning rate {lr:.6g}, but the largest "
            f"eigenvalue of the tangent kernel over the number of samples is {eigenvalue:.6g}; "
            f"a stable step is below 2 / {eigenvalue:.6g} = {2 / eigenvalue:.6g}",
            step=int(step),
        )

    def __reduce__(self):
        return UnstableStepSize, (self.lr, self.eigenvalue, self.step)


@dataclass(frozen=True)
class FlowPrediction:
    r"""Outputs of infinitely many networks trained from random starts, at several times.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Times, or numbers of steps.
    mean : ndarray, shape (n_times, n_test, n_outputs)
        Mean over the ensemble.
    variance : ndarray, shape (n_times, n_test) or None
        Variance of each output over the ensemble; None if no NNGP kernels were given.
    """

    times: np.ndarray
    mean: np.ndarray
    variance: np.ndarray | None


@dataclass(frozen=True)
class FunctionTrajectory:
    """A training run in function space, at the recorded steps.

    Attributes
    ----------
    steps : ndarray, shape (n_records,)
        Numbers of steps taken.
    loss : ndarray, shape (n_records,)
        Training loss.
    history : ndarray, shape (n_steps + 1,)
        Loss before every step; with minibatches, that of the batch.
    outputs : ndarray, shape (n_records, n, k)
        Outputs on the training set (minus the initial ones if centred).
    bottleneck : ndarray, shape (n_records, n, d), or None
        Bottleneck activities.
    jacobian : ndarray, shape (n_records, n, k, d), or None
        Jacobians of the upper part there, if asked for.
    test_outputs : ndarray, shape (n_records, m, k), or None
        Outputs on the test set, if there is one.
    test_bottleneck : ndarray, shape (n_records, m, d), or None
        Bottleneck activities of the test set.
    """

    steps: np.ndarray
    loss: np.ndarray
    history: np.ndarray
    outputs: np.ndarray
    bottleneck: np.ndarray | None = None
    jacobian: np.ndarray | None = None
    test_outputs: np.ndarray | None = None
    test_bottleneck: np.ndarray | None = None


def loss_and_gradient(F, Y, loss="squared", label_scale=1.0):
    r"""Training loss and its derivative in each output.

    With label scale :math:`\gamma` the loss of one sample is :math:`\gamma^2\ell(F/\gamma, y)`: for
    ``"squared"`` :math:`\frac12\|F-\gamma y\|^2`. For ``"cross_entropy"`` one output with labels
    :math:`y = \pm1` has the logistic loss, several have the softmax loss with one-hot rows ``Y``.

    Parameters
    ----------
    F, Y : ndarray, shape (n, k)
        Outputs and targets.
    loss : {"squared", "cross_entropy"}, optional
        :math:`\ell`.
    label_scale : float, optional
        :math:`\gamma`; large is the rich regime, small the lazy one.

    Returns
    -------
    value : float
        Mean over samples.
    chi : ndarray, shape (n, k)
        :math:`\partial\mathcal L/\partial F`.
    """
    F = checks.array("F", F, shape=("n", "k"))
    Y = checks.array("Y", Y, shape=F.shape)
    label_scale = checks.positive("label_scale", label_scale)
    checks.choice("loss", loss, LOSSES)
    n, largest = len(F), max(np.abs(F).max(), label_scale * np.abs(Y).max(), label_scale)
    if not largest < 1e150:
        raise FloatingPointError(
            f"F, Y and label_scale need numbers whose squares float64 can hold, got {largest:.3g}"
        )
    if loss == "squared":
        difference = F - label_scale * Y
        return 0.5 * float(np.sum(difference**2)) / n, difference / n
    u = F / label_scale
    if F.shape[1] == 1:
        value = np.logaddexp(0, -Y * u).sum()
        slope = -Y * expit(-Y * u)
    else:
        logs = u - logsumexp(u, axis=1, keepdims=True)
        value = -np.sum(Y * logs)
        slope = np.exp(logs) - Y
    return label_scale**2 * float(value) / n, label_scale * slope / n


def largest_eigenvalue(H):
    """Largest eigenvalue of a tangent kernel of shape (n, k, n, k) or (n, n), divided by n."""
    matrix = checks.array("H", H, ndim=(2, 4))
    n, side = len(matrix), int(np.sqrt(matrix.size))
    half = matrix.ndim // 2
    checks.need(matrix.shape[:half] == matrix.shape[half:], "H", "shape (n, n) or (n, k, n, k)", H)
    matrix = checks.symmetric("H", matrix.reshape(side, side))
    last = side - 1
    return float(eigh(matrix, eigvals_only=True, subset_by_index=[last, last])[0] / n)


def gradient_flow(train, test_train, Y, times, *, noise=0.0, test_nngp=None, lr=None):
    r"""Outputs of an infinitely wide network trained on the squared loss, at any time, in closed form.

    Loss :math:`\frac1{2N}\big(\sum_i \|F(x_i) - y_i\|^2 + s\,\|\theta - \theta_0\|^2\big)` with ``noise`` :math:`s`,
    a pull of the parameters to their start. Over random starts :math:`F_t(x_*)` is Gaussian with mean :math:`A_t Y`,

    .. math:: A_t = \Theta_{*X}\,(\Theta + sI)^{-1}\big(1 - e^{-(\Theta + sI) t/N}\big),

    and variance :math:`K_{**} - 2 A_t K_{X*} + A_t K A_t^\top` (Lee et al. 2019). After :math:`t` steps of gradient
    descent the exponential is :math:`(1 - \eta(\Theta + sI)/N)^t`.

    Parameters
    ----------
    train : Kernels
        Matrices (n, n) on the training set.
    test_train : Kernels
        Matrices (m, n) between the points of interest and the training set.
    Y : array_like, shape (n,) or (n, n_outputs)
        Targets.
    times : array_like, shape (n_times,)
        Times, or whole numbers of steps; ``inf`` is allowed.
    noise : float, optional
        :math:`s`, in the units of the kernel: the variance of the noise in the targets, the ridge of kernel ridge
        regression. The same as adding :math:`sI` to ``train.ntk``, and to nothing else.
    test_nngp : array_like, shape (m,), optional
        :math:`K(x_*, x_*)`; with it the variance is computed.
    lr : float, optional
        Gradient descent with this step; gradient flow unless given.

    Returns
    -------
    prediction : FlowPrediction
        Mean and variance over the ensemble.

    Raises
    ------
    UnstableStepSize
        If ``lr`` is not below two over the largest eigenvalue of :math:`(\Theta + sI)/N`.
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range; a kernel is not symmetric or has a negative eigenvalue; or
        the variance is negative, because the NNGP kernels are not those of one process.

    Notes
    -----
    A singular kernel acts in its range: eigenvalues that are rounding count as zero
    (:mod:`gdln.kernels.spectrum`). At infinite time without noise the mean is then that of the
    pseudo-inverse, the regression of least norm. The variance is that of networks trained on the same
    targets; where the noise in them is uncertain as well, see :func:`posterior`. ``noise`` is what
    neural-tangents calls ``diag_reg`` with ``diag_reg_absolute_scale=True``.
    """
    train_ntk, Y, test_ntk = _regression(train, test_train, Y, "ntk")
    n = len(Y)
    times = np.atleast_1d(checks.times("times", times, ndim=(0, 1), infinite=True))
    noise = checks.nonnegative("noise", noise)
    values, vectors = spectrum.eigenvalues_and_vectors("train.ntk", train_ntk)
    values = values + noise
    learnt = _learnt(times, values / n, lr)
    gain = np.divide(learnt, values, out=np.zeros_like(learnt), where=values > 0)
    weighted = (test_ntk @ vectors) * gain[:, None, :]
    mean = weighted @ (vectors.T @ Y)
    variance = None
    if test_nngp is not None:
        test_nngp = checks.array("test_nngp", test_nngp, shape=(len(test_ntk),), least=0)
        nngp = checks.symmetric("train.nngp", train.nngp)
        cross = checks.array("test_train.nngp", test_train.nngp, shape=test_ntk.shape) @ vectors
        seen = (weighted * cross).sum(axis=2)
        spread = ((weighted @ (vectors.T @ nngp @ vectors)) * weighted).sum(axis=2)
        variance = _variance(test_nngp - 2 * seen + spread, test_nngp + 2 * np.abs(seen) + spread)
    return FlowPrediction(times, mean, variance)


@dataclass(frozen=True)
class Posterior:
    r"""A Gaussian process given noisy observations.

    Attributes
    ----------
    mean : ndarray, shape (m, n_outputs)
        Mean of each output.
    variance : ndarray, shape (m,) or None
        Variance of each output, without the noise of a new observation; None if no prior variance was given.
    """

    mean: np.ndarray
    variance: np.ndarray | None


def posterior(train, test_train, Y, *, noise=0.0, test_nngp=None):
    r"""Posterior of an infinitely wide Bayesian network: the Gaussian process of the NNGP kernel, given targets.

    .. math:: \mathbb E F(x_*) = K_{*X}(K + sI)^{-1} Y,\qquad
        \mathrm{Var} F(x_*) = K_{**} - K_{*X}(K + sI)^{-1}K_{X*} .

    Parameters
    ----------
    train, test_train, Y
        As in :func:`gradient_flow`; the NTK is not used.
    noise : float, optional
        Variance :math:`s` of the noise in the targets.
    test_nngp : array_like, shape (m,), optional
        :math:`K(x_*, x_*)`; with it the variance is computed.

    Returns
    -------
    posterior : Posterior
        Mean and variance. Without noise they are those of networks of which the read-out alone is trained, for
        infinite time. With noise such networks have the same mean, and a variance smaller by
        :math:`s\,\|(K + sI)^{-1}K_{X*}\|^2`, since their targets are not resampled.

    Raises
    ------
    TypeError, ValueError
        As in :func:`gradient_flow`.

    Notes
    -----
    A singular kernel acts in its range, as in :func:`gradient_flow`: without noise, eigenvalues that are rounding count
    as zero (:mod:`gdln.kernels.spectrum`).

    Examples
    --------
    >>> one, half = (Kernels(np.full((1, 1), k), np.zeros((1, 1))) for k in (1.0, 0.5))
    >>> told = posterior(one, half, [2.0], noise=1.0, test_nngp=[1.0])
    >>> told.mean, told.variance
    (array([[0.5]]), array([0.875]))
    """
    kernel, Y, cross = _regression(train, test_train, Y, "nngp")
    noise = checks.nonnegative("noise", noise)
    values, vectors = spectrum.eigenvalues_and_vectors("train.nngp", kernel)
    values = values + noise
    projected = cross @ vectors
    weighted = np.divide(projected, values, out=np.zeros_like(projected), where=values > 0)
    variance = None
    if test_nngp is not None:
        test_nngp = checks.array("test_nngp", test_nngp, shape=(len(cross),), least=0)
        seen = (weighted * projected).sum(axis=1)
        variance = _variance(test_nngp - seen, test_nngp + seen)
    return Posterior(weighted @ (vectors.T @ Y), variance)


def _regression(train, test_train, Y, kind):
    """Kernel, targets and cross kernel of a regression, checked against each other."""
    checks.instance("train", train, Kernels)
    checks.instance("test_train", test_train, Kernels)
    kernel = checks.symmetric(f"train.{kind}", getattr(train, kind))
    Y = checks.array("Y", Y, ndim=(1, 2))
    checks.need(len(Y) == len(kernel), "Y", f"one row for each of the {len(kernel)} rows of train.{kind}", Y)
    cross = checks.array(f"test_train.{kind}", getattr(test_train, kind), shape=("m", len(kernel)))
    return kernel, Y[:, None] if Y.ndim == 1 else Y, cross


def _learnt(times, rates, lr):
    """Fraction learnt of each eigenvector at each time, 1 - e^(-rate t) or 1 - (1 - lr rate)^t; zero at rate zero."""
    learnt, t = np.zeros((len(times), len(rates))), times[:, None]
    if lr is None:
        learnt[:, rates > 0] = -np.expm1(-t * rates[rates > 0])
        return learnt
    lr = checks.positive("lr", lr)
    broken = times[(times != np.round(times)) & np.isfinite(times)]
    checks.need(not broken.size, "times", "whole numbers of steps if lr is given", broken[:1])
    steps = lr * rates
    if not steps.max() < 2:
        raise UnstableStepSize(lr, rates.max())
    short, long = (steps > 0) & (steps < 1), steps >= 1
    learnt[:, short] = -np.expm1(t * np.log1p(-steps[short]))  # keeps the digits of many short steps
    learnt[:, long] = 1 - (1 - steps[long]) ** t
    return learnt


def _variance(variance, size):
    """A variance found as a difference of terms of a size, without what rounding leaves below zero."""
    # a nearly singular kernel loses ten of sixteen digits in the difference; more is another kernel
    lowest = np.min(variance + 1e-6 * size)
    if lowest < 0:
        raise ValueError(
            f"train, test_train and test_nngp need the NNGP kernels of one process, got a variance of {lowest:.3g}"
        )
    return np.maximum(variance, 0)


def frozen(
    kernel,
    Y,
    *,
    lr,
    n_steps,
    F0=None,
    loss="squared",
    label_scale=1.0,
    test_kernel=None,
    F0_test=None,
    record_every=1,
    stop_below=None,
):
    r"""Gradient descent of a network whose tangent kernel stands still, :math:`F^{t+1} = F^t - \eta\Theta\chi`.

    Parameters
    ----------
    kernel : ndarray, shape (n, n) or (n, k, n, k)
        The kernel; one matrix serves all outputs.
    Y : array_like, shape (n,) or (n, k)
        Targets.
    lr : float
        :math:`\eta`.
    n_steps : int
        Number of steps.
    loss : {"squared", "cross_entropy"}, optional
        See :func:`loss_and_gradient`.
    label_scale : float, optional
        :math:`\gamma`, see :func:`loss_and_gradient`.
    record_every : int, optional
        Record at steps 0, ``record_every``, ... and at the last one.
    stop_below : float, optional
        End, with a last record, when the loss is below this.
    F0, F0_test : ndarray, shapes (n, k), (m, k), optional
        Initial outputs; zero unless given.
    test_kernel : ndarray, shape (m, n) or (m, k, n, k), optional
        Kernel between test and training points.

    Returns
    -------
    run : FunctionTrajectory
        The trajectory, without a bottleneck.

    Raises
    ------
    UnstableStepSize
        If ``loss`` is ``"squared"`` and the step is not below two over the largest eigenvalue of the kernel over n.
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range, or the kernel is not symmetric.
    """
    Y = checks.array("Y", Y, ndim=(1, 2))
    Y = Y[:, None] if Y.ndim == 1 else Y
    n, k = Y.shape
    kernel = checks.array("kernel", kernel)
    shapes = ((n, n), (n, k, n, k))
    checks.need(kernel.shape in shapes, "kernel", f"shape {shapes[0]} or {shapes[1]}", kernel)
    side = n if kernel.ndim == 2 else n * k
    checks.symmetric("kernel", kernel.reshape(side, side))
    lr = checks.positive("lr", lr)
    n_steps, record_every = (
        checks.count("n_steps", n_steps, least=0),
        checks.count("record_every", record_every),
    )
    checks.choice("loss", loss, LOSSES)
    label_scale = checks.positive("label_scale", label_scale)
    if stop_below is not None:
        stop_below = checks.number("stop_below", stop_below)
    top = largest_eigenvalue(kernel)
    if loss == "squared" and not lr * top < 2:
        raise UnstableStepSize(lr, top)

    def apply(matrix, chi):
        if matrix.ndim == 2:
            return matrix @ chi
        return (matrix.reshape(-1, n * k) @ chi.reshape(-1)).reshape(-1, k)

    F = np.zeros((n, k)) if F0 is None else checks.array("F0", F0, shape=(n, k), copy=True)
    if test_kernel is None:
        checks.need(F0_test is None, "F0_test", "a test_kernel beside it", F0_test)
    else:
        test_kernel = checks.array("test_kernel", test_kernel, ndim=kernel.ndim)
        m = len(test_kernel)
        fits = test_kernel.shape in ((m, n), (m, k, n, k))
        checks.need(fits, "test_kernel", f"shape (m, {n}) or (m, {k}, {n}, {k}), as kernel", test_kernel)
        F_test = (
            np.zeros((m, k)) if F0_test is None else checks.array("F0_test", F0_test, shape=(m, k), copy=True)
        )
    steps, losses, history, outputs, tests = [], [], [], [], []
    for step in range(n_steps + 1):
        value, chi = loss_and_gradient(F, Y, loss, label_scale)
        history.append(value)
        last = step == n_steps or (stop_below is not None and value < stop_below)
        if step % record_every == 0 or last:
            steps.append(step)
            losses.append(value)
            outputs.append(F.copy())
            if test_kernel is not None:
                tests.append(F_test.copy())
        if last:
            break
        F -= lr * apply(kernel, chi)
        if test_kernel is not None:
            F_test -= lr * apply(test_kernel, chi)
    return FunctionTrajectory(
        np.array(steps),
        np.array(losses),
        np.array(history),
        np.array(outputs),
        test_outputs=np.array(tests) if tests else None,
    )


def first_below(steps, loss, level):
    """First step at which the loss is below ``level``; ``inf`` if there is none."""
    steps = checks.array("steps", steps, ndim=1)
    loss = checks.array("loss", loss, shape=steps.shape)
    below = np.flatnonzero(loss < checks.number("level", level))
    return float(steps[below[0]]) if below.size else np.inf
