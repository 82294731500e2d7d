"""Data run through a gated network and back: the simulations the path theory of :mod:`gdln.race.graph` is held against.

Nothing here uses paths or correlations, only the graph itself.
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from gdln import checks
from gdln.race.graph import GatedGraph, check_data, check_gates, check_weights

#: A digit less than the theories ask for (:mod:`gdln.integration`): here a step costs all weights on all examples, and
#: what is drawn or claimed needs no more than six.
RTOL, ATOL = 1e-9, 1e-12


def random_weights(graph, scale, rng, orthogonal=False):
    r"""Independent Gaussian weights of standard deviation ``scale``, or random orthogonal ones of that gain.

    Parameters
    ----------
    graph : GatedGraph
        The network.
    scale : float
        Standard deviation of every entry, or every singular value.
    rng : numpy.random.Generator
        Source of randomness.
    orthogonal : bool, optional
        Draw matrices with orthonormal rows or columns, times ``scale``.

    Returns
    -------
    weights : dict of str to ndarray
        One matrix an edge.
    """
    checks.instance("graph", graph, GatedGraph)
    scale, orthogonal = checks.nonnegative("scale", scale), checks.flag("orthogonal", orthogonal)
    checks.generator("rng", rng)
    weights = {}
    for edge in graph.edges:
        W = rng.standard_normal(graph.shape(edge))
        if orthogonal:
            left, _, right = np.linalg.svd(W, full_matrices=False)
            W = left @ right
        weights[edge] = scale * W
    return weights


def forward(graph, weights, inputs, gates=None):
    r"""Activity of every node on every example, :math:`h_v=g_v\sum_{e\to v}g_eW_eh_{s(e)}`.

    Parameters
    ----------
    graph : GatedGraph
        The network.
    weights : dict of str to ndarray
        One matrix an edge.
    inputs : dict of str to array_like, shape (n_samples, width)
        Activity of the input nodes.
    gates : dict of str to array_like, shape (n_samples,), optional
        See :func:`gdln.race.graph.path_gates`.

    Returns
    -------
    activity : dict of str to ndarray, shape (n_samples, width)
        One row an example.
    """
    inputs, _, n = check_data(graph, inputs, None)
    return _run(graph, check_weights(graph, weights), inputs, _columns(graph, gates, n))


def backpropagate(graph, weights, inputs, targets, gates=None):
    """Loss and its gradient from the data, by the chain rule: no path is ever formed.

    Parameters
    ----------
    graph, weights, inputs, gates
        As in :func:`forward`.
    targets : dict of str to array_like, shape (n_samples, width)
        Target of every output node.

    Returns
    -------
    value : float
        Half the mean squared error, summed over output nodes.
    grad : dict of str to ndarray
        One matrix an edge.
    """
    checks.instance("targets", targets, dict)
    inputs, targets, n = check_data(graph, inputs, targets)
    return _chain_rule(graph, check_weights(graph, weights), inputs, targets, _columns(graph, gates, n), n)


@dataclass(frozen=True)
class GraphTrajectory:
    """Weights along gradient flow.

    Parameters
    ----------
    times : ndarray, shape (n_times,)
        Recorded times.
    loss : ndarray, shape (n_times,)
        Loss at these times.
    weights : dict of str to ndarray, shape (n_times, width, width)
        One array an edge.
    """

    times: np.ndarray
    loss: np.ndarray
    weights: dict

    def at(self, k):
        """Weights at the ``k``-th recorded time, from the end where ``k`` is negative."""
        k = checks.count("k", k, least=-len(self.times), most=len(self.times) - 1)
        return {e: W[k] for e, W in self.weights.items()}


def simulate(graph, weights, inputs, targets, times, gates=None, tau=1.0, rtol=RTOL, atol=ATOL):
    r"""Gradient flow :math:`\tau\dot W_e=-\partial\mathcal L/\partial W_e` of all weights, on the data themselves.

    Parameters
    ----------
    graph, weights, inputs, targets, gates
        As in :func:`backpropagate`; ``weights`` is the start.
    times : array_like, shape (n_times,)
        Increasing times to record.
    tau : float, optional
        Time constant.
    rtol, atol : float, optional
        Tolerances of the eighth-order Runge-Kutta integrator.

    Returns
    -------
    run : GraphTrajectory
        Loss and weights at ``times``.

    Raises
    ------
    TypeError, ValueError
        If an edge has no weights, weights are of no edge or of another shape (transposed ones are), data or gates do
        not fit the graph, or a number is not finite; names the argument.
    gdln.checks.Diverged
        If the integrator gives up or the weights stop being finite; tells at which time.
    """
    checks.instance("targets", targets, dict)
    inputs, targets, n = check_data(graph, inputs, targets)
    columns = _columns(graph, gates, n)
    weights = check_weights(graph, weights)
    times = checks.times("times", times, ndim=1, ordered=True, least=None)
    tau, rtol, atol = (
        checks.positive(name, value) for name, value in (("tau", tau), ("rtol", rtol), ("atol", atol))
    )
    shapes = {e: graph.shape(e) for e in graph.edges}
    splits = np.cumsum([a * b for a, b in shapes.values()])[:-1]

    def unpack(state):
        parts = np.split(state, splits, axis=0)
        return {
            e: part.reshape(*shape, *part.shape[1:])
            for (e, shape), part in zip(shapes.items(), parts, strict=True)
        }

    reached = float(times[0])

    def slope(t, state):
        nonlocal reached
        reached = float(t)
        grad = _chain_rule(graph, unpack(state), inputs, targets, columns, n)[1]
        return np.concatenate([-grad[e].ravel() for e in shapes]) / tau

    start = np.concatenate([weights[e].ravel() for e in shapes])
    distinct, back = np.unique(times, return_inverse=True)
    states = start[:, None]
    with np.errstate(
        over="ignore", invalid="ignore", divide="ignore"
    ):  # a divergence is reported, not warned of
        # the first step is chosen from this slope: a NaN would make it NaN, and the run endless
        checks.still_finite(slope(times[0], start), "the slope of the weights", time=reached)
        if distinct.size > 1:
            span, options = (distinct[0], distinct[-1]), {"rtol": rtol, "atol": atol}
            # near rest the integrator takes steps so long that its interpolant is worse than its steps
            options["max_step"] = np.diff(distinct).max()
            flow = solve_ivp(slope, span, start, "DOP853", distinct, **options)
            states = flow.y
            if not flow.success or not np.isfinite(states).all():
                raise checks.Diverged(f"the flow stopped at t={reached:.4g}: {flow.message}", time=reached)
    states = states[:, back]
    values = np.array([_chain_rule(graph, unpack(y), inputs, targets, columns, n)[0] for y in states.T])
    stacked = {e: np.moveaxis(W, -1, 0) for e, W in unpack(states).items()}
    return GraphTrajectory(times, values, stacked)


def _run(graph, weights, inputs, columns):
    h = dict(inputs)
    for v in graph.order:
        if v in inputs:
            continue
        total = 0
        for e in graph.incoming[v]:
            total = total + columns.get(e, 1) * (h[graph.edges[e][0]] @ weights[e].T)
        h[v] = columns.get(v, 1) * total
    return h


def _chain_rule(graph, weights, inputs, targets, columns, n):
    h = _run(graph, weights, inputs, columns)
    back = {v: (h[v] - targets[v]) / n for v in graph.outputs}
    value = sum(float((b**2).sum()) for b in back.values()) * n / 2
    grad = {}
    for v in reversed(graph.order):
        for e in graph.incoming[v]:
            source = graph.edges[e][0]
            signal = columns.get(e, 1) * (columns.get(v, 1) * back[v])
            grad[e] = signal.T @ h[source]
            if source not in inputs:
                back[source] = back.get(source, 0) + signal @ weights[e]
    return value, grad


def _columns(graph, gates, n):
    gates = {} if gates is None else gates
    return {name: g[:, None] for name, g in check_gates(graph, gates, n).items()}
