r"""Items in contexts: a hierarchical task, networks of modules with fixed gates, and gates read off ReLU neurons.

A module is a group of hidden neurons that share one gate. The two-layer network with fixed gates

.. math:: \hat y_\mu=W_2\,(g_\mu\circ W_1x_\mu)

is a gated linear network whatever the gates, one path a neuron; a ReLU network is the case where the gates follow
from the weights.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.data.tasks import hierarchical
from gdln.race.graph import GatedGraph, correlations


@dataclass(frozen=True)
class ContextTask:
    """Every item in every context.

    Attributes
    ----------
    X : ndarray, shape (n_contexts * n_items, n_items + n_contexts)
        Item and context, each one-hot.
    Y : ndarray, shape (n_contexts * n_items, (1 + n_contexts) * n_features)
        Common properties, then one group a context, which is zero in all others.
    context : ndarray of int, shape (n_contexts * n_items,)
        Context of each example.
    """

    X: np.ndarray
    Y: np.ndarray
    context: np.ndarray


def items_in_contexts(n_contexts, heights=(1.0, 1.0, 1.0)):
    r"""Task with common and context-specific hierarchical properties.

    Target of item :math:`i` in context :math:`c`: the tree's properties of :math:`i`, and in group :math:`c` the
    tree's properties of item :math:`\pi_c(i)`, where :math:`\pi_c` pairs the four items in a different way.

    Parameters
    ----------
    n_contexts : int
        One, two or three: there are three ways to pair four items.
    heights : tuple of float, optional
        Sizes of the properties by level of the tree, see :func:`gdln.data.tasks.hierarchical`; three levels.

    Returns
    -------
    task : ContextTask
        The data, contexts slowest.

    Raises
    ------
    ValueError
        If the number of contexts or of levels does not fit.

    Examples
    --------
    >>> task = items_in_contexts(2)
    >>> task.X.shape, task.Y.shape
    ((8, 6), (8, 21))
    """
    orders = ([0, 1, 2, 3], [0, 2, 1, 3], [0, 2, 3, 1])
    n_contexts = checks.count("n_contexts", n_contexts, most=len(orders))
    heights = checks.array("heights", heights, shape=(3,))
    items, tree = hierarchical(heights)
    n, k = tree.shape
    X = np.zeros((n_contexts * n, n + n_contexts))
    Y = np.zeros((n_contexts * n, (1 + n_contexts) * k))
    for c in range(n_contexts):
        rows = slice(c * n, (c + 1) * n)
        X[rows, :n], X[rows, n + c] = items, 1.0
        Y[rows, :k], Y[rows, (1 + c) * k : (2 + c) * k] = tree, tree[orders[c]]
    return ContextTask(X, Y, np.repeat(np.arange(n_contexts), n))


def module_gates(task, modules):
    """Gates of modules that are open in given contexts.

    Parameters
    ----------
    task : ContextTask
        The data.
    modules : sequence of collection of int
        For each module the contexts in which it is open.

    Returns
    -------
    gates : ndarray, shape (n_samples, n_modules)
        Zeros and ones.

    Raises
    ------
    TypeError, ValueError
        If a module is no collection of contexts, or never open.
    """
    checks.instance("task", task, ContextTask)
    modules = [
        [checks.count("modules", c, least=0) for c in checks.instance("modules", m, Collection)]
        for m in checks.instance("modules", modules, Collection)
    ]
    gates = np.array([np.isin(task.context, m) for m in modules], dtype=float).T
    checks.need(
        gates.size and gates.any(axis=0).all(), "modules", "modules open in some context each", modules
    )
    return gates


def module_network(task, gates, width):
    """The gated graph with one hidden node a module, and the correlations of its paths.

    Parameters
    ----------
    task : ContextTask
        The data.
    gates : array_like, shape (n_samples, n_modules)
        Gates of the modules.
    width : int
        Neurons of a module.

    Returns
    -------
    graph : GatedGraph
        Nodes ``x``, ``h0``, ``h1``, ..., ``y``.
    statistics : Correlations
        For :func:`gdln.race.reduction.reduce_flow` and :func:`gdln.race.graph.gradient`.
    """
    X, Y = _data(task)
    gates = checks.array("gates", gates, shape=(len(X), "n_modules"))
    width = checks.count("width", width)
    names = [f"h{m}" for m in range(gates.shape[1])]
    widths = {"x": X.shape[1], "y": Y.shape[1]} | dict.fromkeys(names, width)
    graph = GatedGraph(widths, [("x", h) for h in names] + [(h, "y") for h in names])
    opened = dict(zip(names, gates.T, strict=True))
    return graph, correlations(graph, {"x": X}, {"y": Y}, opened)


@dataclass(frozen=True)
class GatesTrajectory:
    """Losses of two-layer networks with given gates.

    Attributes
    ----------
    steps, times : ndarray, shape (n_records,)
        Steps taken, and their number times ``lr``.
    loss : ndarray, shape (n_seeds, n_records)
        Losses.
    """

    steps: np.ndarray
    times: np.ndarray
    loss: np.ndarray


def simulate_gates(W1, W2, gates, task, lr, n_steps, record_every=1):
    r"""Full-batch gradient descent of two-layer networks whose gates are given.

    Parameters
    ----------
    W1 : array_like, shape (n_seeds, width, n_inputs)
        First layers.
    W2 : array_like, shape (n_seeds, n_outputs, width)
        Second layers.
    gates : array_like, shape (n_samples, width) or (n_seeds, n_samples, width)
        Gate of every neuron on every example.
    task : ContextTask
        The data.
    lr : float
        Step; the loss is the mean of :math:`\frac12\|y-\hat y\|^2`.
    n_steps : int
        Number of steps.
    record_every : int, optional
        Record at steps 0, ``record_every``, ...

    Returns
    -------
    trajectory : GatesTrajectory
        Losses of all seeds.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a count or the step is not positive, or a number is not finite; names the argument.
    gdln.checks.Diverged
        If the descent diverges; tells at which step.
    """
    X, Y = _data(task)
    n = len(X)
    W1 = checks.array("W1", W1, shape=("n_seeds", "width", X.shape[1]), copy=True)
    n_seeds, width, _ = W1.shape
    W2 = checks.array("W2", W2, shape=(n_seeds, Y.shape[1], width), copy=True)
    gates = checks.array("gates", gates, ndim=(2, 3), shape=(..., n, width))
    checks.need(gates.shape[:-2] in ((), (1,), (n_seeds,)), "gates", f"gates of {n_seeds} seeds", gates)
    lr, n_steps = checks.positive("lr", lr), checks.count("n_steps", n_steps, least=0)
    record_every = checks.count("record_every", record_every)
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):  # a divergence is reported, not warned of
        for step in range(n_steps + 1):
            checks.still_finite(W2, f"gradient descent with lr={lr}", step=step)
            hidden = gates * (X @ W1.swapaxes(-1, -2))
            error = Y - hidden @ W2.swapaxes(-1, -2)
            if step % record_every == 0:
                losses.append((error**2).sum(axis=(-2, -1)) / (2 * n))
            back = gates * (error @ W2)
            W2 += lr / n * error.swapaxes(-1, -2) @ hidden
            W1 += lr / n * back.swapaxes(-1, -2) @ X
    steps = np.arange(0, n_steps + 1, record_every)
    return GatesTrajectory(steps, lr * steps, np.stack(losses, axis=1))


def relu_gates(W1, task):
    """Gates that ReLU neurons give themselves.

    Parameters
    ----------
    W1 : array_like, shape (..., width, n_inputs)
        First layer.
    task : ContextTask
        The data.

    Returns
    -------
    gates : ndarray, shape (..., n_samples, width)
        One where the neuron is active.
    """
    X, _ = _data(task)
    W1 = checks.array("W1", W1, shape=(..., "width", X.shape[1]))
    return (X @ np.swapaxes(W1, -1, -2) > 0).astype(float)


def _data(task):
    """Inputs and targets of a task, finite."""
    checks.instance("task", task, ContextTask)
    X = checks.array("task.X", task.X, ndim=2)
    return X, checks.array("task.Y", task.Y, shape=(len(X), "n_outputs"))
