"""Training times with a bottleneck and without: tasks, one run, and its baselines on the same clock."""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.bottleneck import architecture, dynamics
from gdln.bottleneck.architecture import Bottleneck
from gdln.data.regression import Task
from gdln.kernels import function_space, moments
from gdln.kernels.gram import gram
from gdln.kernels.moments import FullyConnected

#: Fractions of the initial loss whose first crossing is the training time.
LEVELS = (0.3, 0.1, 0.03, 0.01)


@dataclass(frozen=True)
class BottleneckOutcome:
    """One training run on the clock of the baseline, whose unit is one step of size :attr:`Setting.rate`.

    Attributes
    ----------
    times : ndarray, shape (n_levels,)
        First times at which the loss is below each fraction of its initial value; ``inf`` if never.
    test_error : float
        Fraction of test points on the wrong side (one output) or in the wrong class, at the end.
    trace_ratio : float
        Trace of the initial kernel over that of the same-depth infinite network.
    kernel_distance : float
        Frobenius distance of the two, relative to the second.
    alignment : tuple of float
        Cosine of the representation's Gram matrix with that of the targets, before and after.
    motion : float
        Distance the bottleneck's activities moved, relative to their initial norm.
    sharpness : tuple of float
        Largest eigenvalue of the kernel over that of baseline A, before and after.
    history : ndarray, shape (n_steps + 1,)
        Training loss over its initial value, step by step.
    """

    times: np.ndarray
    test_error: float
    trace_ratio: float = 1.0
    kernel_distance: float = 0.0
    alignment: tuple = (np.nan, np.nan)
    motion: float = 0.0
    sharpness: tuple = (np.nan, np.nan)
    history: np.ndarray | None = None


@dataclass(frozen=True)
class Setting:
    """What the runs of a comparison share.

    Attributes
    ----------
    part : FullyConnected
        Both the lower and the upper part.
    limit : Kernels
        Baseline A between all points and the training points: same depth, infinitely wide linear layer.
    plain : Kernels
        Baseline B: the layer removed.
    rate : float
        Learning rate that makes one unit of time.
    """

    task: Task
    part: FullyConnected
    limit: moments.Kernels
    plain: moments.Kernels
    rate: float


def prepare(task, part=None, fraction=0.3):
    r"""Kernels of both baselines, and the learning rate ``fraction`` :math:`\times N/\lambda_{\max}(\Theta_\infty)`.

    Parameters
    ----------
    task : Task
        The data.
    part : FullyConnected, optional
        Lower and upper part; one hidden layer of erf units unless given.
    fraction : float, optional
        Of the inverse of the largest eigenvalue; a step is stable below 2.

    Returns
    -------
    setting : Setting
        For :func:`train` and :func:`baseline`.
    """
    checks.instance("task", task, Task)
    checks.array("task.Y", task.Y, shape=(len(task.X), "n_outputs"))
    checks.array("task.Y_test", task.Y_test, shape=(len(task.X_test), "n_outputs"))
    fraction = checks.positive("fraction", fraction)
    part = FullyConnected(1, "erf") if part is None else checks.instance("part", part, FullyConnected)
    limit = architecture.limit_kernels(Bottleneck(part, part, 1), np.vstack([task.X, task.X_test]), task.X)
    plain = FullyConnected(2 * part.depth, part.activation, part.W_std, part.b_std)
    n = len(task.X)
    exact = architecture.limit_kernels(Bottleneck(part, part, 1), task.X)
    limit.nngp[:n], limit.ntk[:n] = exact.nngp, exact.ntk
    rate = fraction * n / np.linalg.eigvalsh(exact.ntk)[-1]
    return Setting(task, part, limit, gram(plain, np.vstack([task.X, task.X_test]), task.X), rate)


def baseline(setting, layer="infinite", *, loss="squared", label_scale=1.0, horizon=1000, levels=LEVELS):
    """Train an infinitely wide network without a bottleneck.

    Parameters
    ----------
    setting : Setting
        From :func:`prepare`.
    layer : {"infinite", "removed"}, optional
        The linear layer in the middle: infinitely wide (baseline A), or not there (baseline B).
    loss, label_scale
        See :func:`gdln.kernels.function_space.loss_and_gradient`.
    horizon : int, optional
        Steps after which to give up.
    levels : sequence of float, optional
        Fractions of the initial loss; training ends at the last.

    Returns
    -------
    outcome : BottleneckOutcome
        Times and test error.
    """
    checks.instance("setting", setting, Setting)
    checks.choice("layer", layer, ("infinite", "removed"))
    checks.choice("loss", loss, function_space.LOSSES)
    horizon, levels = checks.count("horizon", horizon), _levels(levels)
    task, n = setting.task, len(setting.task.X)
    ntk = {"infinite": setting.limit, "removed": setting.plain}[layer].ntk
    start = function_space.loss_and_gradient(np.zeros_like(task.Y), _hot(task.Y, loss), loss, label_scale)[0]
    run = function_space.frozen(
        ntk[:n],
        _hot(task.Y, loss),
        lr=setting.rate,
        n_steps=horizon,
        loss=loss,
        label_scale=label_scale,
        test_kernel=ntk[n:],
        record_every=horizon,
        stop_below=levels[-1] * start,
    )
    error = _error(run.test_outputs[-1], task.Y_test)
    return BottleneckOutcome(_times(run.history, start, levels), error, history=run.history / start)


def train(
    setting,
    width,
    rng,
    *,
    label_scale=1.0,
    loss="squared",
    fan_in=None,
    slow=1,
    horizon=1000,
    n_units=512,
    levels=LEVELS,
    test=True,
):
    """Train one network with a bottleneck, initial function subtracted, with tangent features.

    Parameters
    ----------
    setting : Setting
        From :func:`prepare`.
    width : int
        Bottleneck width.
    rng : numpy.random.Generator
        Source of the initial state.
    label_scale, loss
        See :func:`gdln.kernels.function_space.loss_and_gradient`.
    fan_in : float, optional
        See :class:`gdln.bottleneck.architecture.Bottleneck`; 1 is the network without the factor.
    slow : int, optional
        Steps to a unit of time.
    horizon : float, optional
        Units of time after which to give up.
    n_units : int, optional
        Tangent features.
    levels : sequence of float, optional
        Fractions of the initial loss; training ends at the last.
    test : bool, optional
        Carry the test points along.

    Returns
    -------
    outcome : BottleneckOutcome
        Times, test error, and what happened to kernel and representation.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or range, or the levels do not fall between 1 and 0.
    """
    checks.instance("setting", setting, Setting)
    checks.choice("loss", loss, function_space.LOSSES)
    slow, n_units = checks.count("slow", slow), checks.count("n_units", n_units)
    n_steps = int(checks.number("horizon", horizon, least=1 / slow) * slow)
    levels = _levels(levels)
    checks.choice("test", test, (False, True))
    task, n = setting.task, len(setting.task.X)
    net = Bottleneck(setting.part, setting.part, width, fan_in)
    z0 = architecture.draw(net, np.vstack([task.X, task.X_test]) if test else task.X, rng)
    f0 = architecture.draw_features(net, task.Y.shape[1], n_units, rng)
    theta = gram(net.lower, task.X).ntk
    H = architecture.composite_kernel(net, theta, z0[:n], f0(z0[:n])[1])
    H = np.einsum("nkmk->nm", H) / task.Y.shape[1]
    limit = setting.limit.ntk[:n]
    Y = _hot(task.Y, loss)
    start = function_space.loss_and_gradient(np.zeros_like(Y), Y, loss, label_scale)[0]
    run = dynamics.tangent(
        net,
        task.X,
        Y,
        z0[:n],
        f0,
        lr=setting.rate / slow,
        n_steps=n_steps,
        loss=loss,
        label_scale=label_scale,
        centred=True,
        X_test=task.X_test if test else None,
        z0_test=z0[n:] if test else None,
        record_every=n_steps,
        stop_below=levels[-1] * start,
        keep_jacobian=True,
    )
    scale = function_space.largest_eigenvalue(limit)
    sharpness = tuple(
        function_space.largest_eigenvalue(architecture.composite_kernel(net, theta, z, J)) / scale
        for z, J in ((run.bottleneck[k], run.jacobian[k]) for k in (0, -1))
    )
    first, last = run.bottleneck[0], run.bottleneck[-1]
    return BottleneckOutcome(
        _times(run.history, start, levels) / slow,
        _error(run.test_outputs[-1], task.Y_test) if test else np.nan,
        float(np.trace(H) / np.trace(limit)),
        float(np.linalg.norm(H - limit) / np.linalg.norm(limit)),
        (architecture.alignment(first, task.Y), architecture.alignment(last, task.Y)),
        float(np.linalg.norm(last - first) / np.linalg.norm(first)),
        sharpness,
        run.history / start,
    )


def _levels(levels):
    levels = checks.array("levels", levels, ndim=1, above=0, below=1)
    checks.need((np.diff(levels) < 0).all(), "levels", "fractions that fall", levels)
    return levels


def _hot(Y, loss):
    return Y + 0.1 if loss == "cross_entropy" and Y.shape[1] > 1 else Y


def _times(history, start, levels):
    steps = np.arange(len(history))
    return np.array([function_space.first_below(steps, history, level * start) for level in levels])


def _error(F, Y):
    if Y.shape[1] == 1:
        return float(np.mean(F * Y <= 0))
    return float(np.mean(F.argmax(axis=1) != Y.argmax(axis=1)))
