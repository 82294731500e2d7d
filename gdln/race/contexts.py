r"""Items in contexts: a hierarchical task, networks of modules with fixed gates, and gates read off ReLU neurons.

A module is a group of hidden neurons that share one gate. The two-layer network with fixed gates

.. math:: \hat y_\mu=W_2\,(g_\mu\circ W_1x_\mu)

is a gated linear network whatever the gates, one path a neuron; a ReLU network is the case where the gates follow
from the weights.
"""

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
    if not 1 <= n_contexts <= len(orders) or len(heights) != 3:
        raise ValueError(f"need 1 to 3 contexts and 3 heights, got {n_contexts} and {len(heights)}")
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
    ValueError
        If a module is never open.
    """
    gates = np.array([np.isin(task.context, list(m)) for m in modules], dtype=float).T
    if not len(modules) or not gates.any(axis=0).all():
        raise ValueError(f"every module must be open in some context, got {modules}")
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
    names = [f"h{m}" for m in range(np.shape(gates)[1])]
    widths = {"x": task.X.shape[1], "y": task.Y.shape[1]} | dict.fromkeys(names, width)
    graph = GatedGraph(widths, [("x", h) for h in names] + [(h, "y") for h in names])
    opened = dict(zip(names, np.asarray(gates, dtype=float).T, strict=True))
    return graph, correlations(graph, {"x": task.X}, {"y": task.Y}, opened)


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
    W1, W2 = checks.array("W1", W1, ndim=3, copy=True), checks.array("W2", W2, ndim=3, copy=True)
    gates = checks.array("gates", gates, ndim=(2, 3))
    lr, n_steps = checks.positive("lr", lr), checks.count("n_steps", n_steps, least=0)
    record_every = checks.count("record_every", record_every)
    checks.array("task.X", task.X, ndim=2), checks.array("task.Y", task.Y, ndim=2)
    n = len(task.X)
    if W1.ndim != 3 or W2.ndim != 3 or gates.shape[-2:] != (n, W1.shape[1]) or W2.shape[-1] != W1.shape[1]:
        raise ValueError(f"layers and gates do not fit: {W1.shape}, {W2.shape}, {gates.shape}")
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):  # a divergence is reported, not warned of
        for step in range(n_steps + 1):
            checks.still_finite(W2, f"gradient descent with lr={lr}", step=step)
            hidden = gates * (task.X @ W1.swapaxes(-1, -2))
            error = task.Y - hidden @ W2.swapaxes(-1, -2)
            if step % record_every == 0:
                losses.append((error**2).sum(axis=(-2, -1)) / (2 * n))
            back = gates * (error @ W2)
            W2 += lr / n * error.swapaxes(-1, -2) @ hidden
            W1 += lr / n * back.swapaxes(-1, -2) @ task.X
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
    return (task.X @ np.swapaxes(W1, -1, -2) > 0).astype(float)
