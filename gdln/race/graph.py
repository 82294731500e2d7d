"""Gated deep linear networks on any acyclic directed graph: paths, correlations, loss, exact gradient, invariants.

A node is a layer, an edge a weight matrix, a gate a scalar that comes with the data. Only two kinds of data statistic
enter the gradient flow, and :class:`Correlations` holds them. The functions that run data through the network,
such as :func:`gdln.race.propagation.simulate`, use neither paths nor correlations.
"""

from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise

import numpy as np

from gdln import checks

MAX_PATHS = 100_000


@dataclass(frozen=True)
class GatedGraph:
    r"""A directed acyclic graph of linear layers.

    Parameters
    ----------
    widths : dict of str to int
        Number of neurons :math:`|v|` of each node.
    edges : sequence of (str, str), or dict of str to (str, str)
        Pairs (source, target); a pair is named ``"source->target"`` unless a dict names it. Parallel edges need names.

    Raises
    ------
    ValueError
        If a width is not positive, an edge names an unknown node, two edges or an edge and a node share a name, a
        node has no edge, or the graph has a cycle.

    Notes
    -----
    Input nodes have only outgoing edges, output nodes only incoming ones. Every edge :math:`e` carries a matrix of
    shape :math:`|t(e)| \times |s(e)|`. Source: Saxe et al. (2022), section 2; acyclicity is needed to propagate in
    one pass.

    Examples
    --------
    >>> g = GatedGraph({"x": 2, "a": 3, "b": 3, "y": 1}, [("x", "a"), ("x", "b"), ("a", "y"), ("b", "y")])
    >>> g.inputs, g.outputs, g.paths
    (('x',), ('y',), (('x->a', 'a->y'), ('x->b', 'b->y')))
    """

    widths: dict
    edges: dict

    def __post_init__(self):
        checks.instance("widths", self.widths, dict)
        edges = checks.instance("edges", self.edges, (dict, list, tuple))
        for ends in edges.values() if isinstance(edges, dict) else edges:
            pair = isinstance(ends, list | tuple) and len(ends) == 2
            checks.need(pair, "edges", "pairs (source, target)", ends)
        if not isinstance(edges, dict):
            names = [f"{s}->{t}" for s, t in edges]
            words = "names of their own for parallel edges, {name: (source, target)}"
            checks.need(len(set(names)) == len(names), "edges", words, edges)
            edges = dict(zip(names, edges, strict=True))
        edges = {name: tuple(ends) for name, ends in edges.items()}
        for node, width in self.widths.items():
            checks.count(f"widths[{node!r}]", width)
            if not any(node in ends for ends in edges.values()):
                raise ValueError(f"edges needs one at every node, got none at {node!r}")
        for name, ends in edges.items():
            for node in ends:
                checks.need(node in self.widths, f"edges[{name!r}]", "two nodes that widths has", node)
            # a gate could not tell them apart
            checks.need(name not in self.widths, "edges", "names that no node has", name)
        object.__setattr__(self, "widths", dict(self.widths))
        object.__setattr__(self, "edges", edges)
        _ = self.order

    @cached_property
    def order(self):
        """Nodes so that every edge points forward."""
        waiting = {v: sum(t == v for _, t in self.edges.values()) for v in self.widths}
        order = []
        while ready := [v for v, n in waiting.items() if n == 0]:
            for v in ready:
                del waiting[v]
                for s, t in self.edges.values():
                    if s == v:
                        waiting[t] -= 1
            order += ready
        if waiting:
            raise ValueError(f"edges needs no cycle, got one through some of {sorted(waiting)}")
        return tuple(order)

    @cached_property
    def incoming(self):
        """Names of the edges into each node."""
        return {v: tuple(e for e, (_, t) in self.edges.items() if t == v) for v in self.widths}

    @cached_property
    def outgoing(self):
        """Names of the edges out of each node."""
        return {v: tuple(e for e, (s, _) in self.edges.items() if s == v) for v in self.widths}

    @cached_property
    def inputs(self):
        """Nodes with only outgoing edges."""
        return tuple(v for v in self.widths if not self.incoming[v])

    @cached_property
    def outputs(self):
        """Nodes with only incoming edges."""
        return tuple(v for v in self.widths if not self.outgoing[v])

    @cached_property
    def hidden(self):
        """All other nodes."""
        return tuple(v for v in self.widths if self.incoming[v] and self.outgoing[v])

    @cached_property
    def n_paths(self):
        """Number of paths from an input to an output node, counted without listing them."""
        count = {}
        for v in self.order:
            count[v] = sum(count[self.edges[e][0]] for e in self.incoming[v]) or 1
        return sum(count[v] for v in self.outputs)

    @cached_property
    def paths(self):
        """All paths from an input to an output node, each a tuple of edge names."""
        if self.n_paths > MAX_PATHS:
            raise ValueError(f"graph needs at most {MAX_PATHS} paths to list them, got {self.n_paths}")
        ending = {v: [()] if v in self.inputs else [] for v in self.widths}
        for v in self.order:
            for e in self.incoming[v]:
                ending[v] += [p + (e,) for p in ending[self.edges[e][0]]]
        return tuple(p for v in self.outputs for p in ending[v])

    def ends(self, p):
        """Input and output node of path number ``p``."""
        path = self.paths[checks.count("p", p, least=0, most=len(self.paths) - 1)]
        return self.edges[path[0]][0], self.edges[path[-1]][1]

    def shape(self, edge):
        """Shape of the weight matrix of an edge."""
        # asked for every edge at every gradient, so by one look-up
        checks.need(isinstance(edge, str) and edge in self.edges, "edge", "the name of an edge", edge)
        source, target = self.edges[edge]
        return self.widths[target], self.widths[source]


def path_gates(graph, gates, n_samples):
    r"""Gate of every path on every example, :math:`g_p=\prod_{e\in p}g_e\prod_{v\in p}g_v`.

    Parameters
    ----------
    graph : GatedGraph
        The network.
    gates : dict of str to array_like, shape (n_samples,)
        Gates of nodes and edges by name; what is not named is always open.
    n_samples : int
        Number of examples.

    Returns
    -------
    g : ndarray, shape (n_paths, n_samples)
        The output node counts, the input node does not: its activity is clamped.
    """
    gates = check_gates(graph, gates, n_samples)
    g = np.ones((len(graph.paths), n_samples))
    for row, path in zip(g, graph.paths, strict=True):
        for e in path:
            for name in (e, graph.edges[e][1]):
                if name in gates:
                    row *= gates[name]
    return g


@dataclass(frozen=True)
class Correlations:
    r"""The only statistics of the data, gates included, that the gradient flow sees.

    Parameters
    ----------
    graph : GatedGraph
        The network.
    yx : dict of int to array_like
        :math:`\Sigma^{yx}(p)=\langle g_py_{t(p)}x_{s(p)}^\top\rangle` by path number; a missing one is zero.
    xx : dict of (int, int) to array_like
        :math:`\Sigma^x(j,p)=\langle g_jx_{s(j)}x_{s(p)}^\top g_p\rangle` for paths with the same output node; a
        missing one is zero, and one of (j, p), (p, j) is enough.
    yy : float, optional
        :math:`\sum_v\langle\|y_v\|^2\rangle`, needed only for the value of the loss.

    Raises
    ------
    ValueError
        If a path number does not exist, a shape is wrong, a value is not finite, a pair has two output nodes, or
        :math:`\Sigma^x(j,p)\ne\Sigma^x(p,j)^\top`.

    Notes
    -----
    Saxe et al. (2022), their eq. (5)-(6). Averages run over examples and gate settings together, so a path that is
    open with probability :math:`\pi` has its correlations multiplied by :math:`\pi`.
    """

    graph: GatedGraph
    yx: dict
    xx: dict
    yy: float = 0.0

    def __post_init__(self):
        graph = checks.instance("graph", self.graph, GatedGraph)
        n, yx, xx = len(graph.paths), {}, {}
        checks.instance("yx", self.yx, dict), checks.instance("xx", self.xx, dict)
        for p, value in self.yx.items():
            checks.need(_is_path(p, n), "yx", f"path numbers from 0 to {n - 1} as keys", p)
            source, target = graph.ends(p)
            yx[p] = checks.array(f"yx[{p}]", value, shape=(graph.widths[target], graph.widths[source]))
        for pair, value in self.xx.items():
            fits = isinstance(pair, tuple) and len(pair) == 2 and all(_is_path(p, n) for p in pair)
            checks.need(fits, "xx", f"pairs of path numbers from 0 to {n - 1} as keys", pair)
            (j, p), ((s_j, t_j), (s_p, t_p)) = pair, map(graph.ends, pair)
            checks.need(t_j == t_p, f"xx[{j}, {p}]", "paths that end together", (t_j, t_p))
            value = checks.array(f"xx[{j}, {p}]", value, shape=(graph.widths[s_j], graph.widths[s_p]))
            for key, matrix in (((j, p), value), ((p, j), value.T)):
                other = xx.setdefault(key, matrix)
                # both may be averages summed in another order: a million terms, each rounded to 1e-16
                gap = np.abs(other - matrix).max()
                if gap > 1e-10 * np.abs(matrix).max():
                    raise ValueError(
                        f"xx[{j}, {p}] needs the transpose of xx[{p}, {j}], got one {gap:.3g} away"
                    )
        object.__setattr__(self, "yx", yx)
        object.__setattr__(self, "xx", xx)
        object.__setattr__(self, "yy", checks.nonnegative("yy", self.yy))


def correlations(graph, inputs, targets, gates=None):
    """Correlations of all paths, measured on a data set.

    Parameters
    ----------
    graph : GatedGraph
        The network.
    inputs : dict of str to array_like, shape (n_samples, width)
        Activity of every input node.
    targets : dict of str to array_like, shape (n_samples, width)
        Target of every output node; put zero where an output is gated off, or it adds a constant to the loss.
    gates : dict of str to array_like, shape (n_samples,), optional
        See :func:`path_gates`.

    Returns
    -------
    statistics : Correlations
        Pairs of paths that are never open together are left out.
    """
    checks.instance("targets", targets, dict)
    inputs, targets, n = check_data(graph, inputs, targets)
    g = path_gates(graph, {} if gates is None else gates, n)
    ends = [graph.ends(p) for p in range(len(graph.paths))]
    yx = {p: (targets[t] * g[p][:, None]).T @ inputs[s] / n for p, (s, t) in enumerate(ends)}
    xx = {}
    for output in graph.outputs:
        numbers = np.array([p for p, (_, t) in enumerate(ends) if t == output])
        opened = g[numbers] != 0
        together = np.tril(opened.astype(float) @ opened.T) > 0
        for k, i in np.argwhere(together):
            j, p = numbers[i], numbers[k]
            both = g[j] * g[p]
            xx[int(j), int(p)] = (inputs[ends[j][0]] * both[:, None]).T @ inputs[ends[p][0]] / n
    return Correlations(graph, yx, xx, float(sum((y**2).sum() for y in targets.values()) / n))


def path_product(graph, weights, path):
    """Product of the weight matrices along a sequence of edges, target side on the left; leading axes are kept."""
    checks.instance("graph", graph, GatedGraph), checks.instance("weights", weights, dict)
    path = [checks.choice("path", e, graph.edges) for e in checks.instance("path", path, (list, tuple))]
    joined = all(graph.edges[a][1] == graph.edges[b][0] for a, b in pairwise(path))
    checks.need(path and joined, "path", "edges that follow each other", path)
    checks.entries("weights", weights, graph.edges, "edges")
    shapes = {e: (..., *graph.shape(e)) for e in path}
    return _product(
        {e: checks.array(f"weights[{e!r}]", weights[e], shape=s) for e, s in shapes.items()}, path
    )


def _product(weights, path):
    return reduce(lambda product, e: weights[e] @ product, path[1:], weights[path[0]])


def path_errors(statistics, weights):
    r"""Error of every path, :math:`\mathcal E(p)=\Sigma^{yx}(p)-\sum_jW_j\Sigma^x(j,p)`.

    Parameters
    ----------
    statistics : Correlations
        Data statistics.
    weights : dict of str to ndarray
        One matrix an edge.

    Returns
    -------
    errors : dict of int to ndarray
        By path number; paths without any statistics are left out. Saxe et al. (2022), their eq. (4).
    """
    graph = checks.instance("statistics", statistics, Correlations).graph
    weights = check_weights(graph, weights)
    errors = {p: yx.copy() for p, yx in statistics.yx.items()}
    products = {j: _product(weights, graph.paths[j]) for j, _ in statistics.xx}
    for (j, p), xx in statistics.xx.items():
        error = products[j] @ xx
        errors[p] = errors[p] - error if p in errors else -error
    return errors


def loss(statistics, weights):
    r"""Mean squared error from the statistics alone.

    :math:`\mathcal L=\frac12\langle\|y\|^2\rangle-\sum_p\mathrm{tr}(W_p^\top\Sigma^{yx}(p))
    +\frac12\sum_{j,p}\mathrm{tr}(W_j\Sigma^x(j,p)W_p^\top)`, over pairs of paths with the same output node.

    Parameters
    ----------
    statistics : Correlations
        Data statistics.
    weights : dict of str to ndarray
        One matrix an edge.

    Returns
    -------
    value : float
        The loss; derived in chapter "Gated networks".
    """
    graph = checks.instance("statistics", statistics, Correlations).graph
    weights = check_weights(graph, weights)
    W = [_product(weights, path) for path in graph.paths]
    linear = sum(np.sum(W[p] * yx) for p, yx in statistics.yx.items())
    quadratic = sum(np.sum((W[j] @ xx) * W[p]) for (j, p), xx in statistics.xx.items())
    return float(statistics.yy / 2 - linear + quadratic / 2)


def gradient(statistics, weights):
    r"""Gradient of the loss as a sum over paths, from the statistics alone.

    :math:`\partial\mathcal L/\partial W_e=-\sum_{p\in\mathcal P(e)}W_{\bar t(p,e)}^\top\mathcal E(p)
    W_{\bar s(p,e)}^\top`.

    Parameters
    ----------
    statistics : Correlations
        Data statistics.
    weights : dict of str to ndarray
        One matrix an edge.

    Returns
    -------
    grad : dict of str to ndarray
        One matrix an edge. Gradient flow is :math:`\tau\dot W_e=-` this; Saxe et al. (2022), their eq. (3).
    """
    graph = checks.instance("statistics", statistics, Correlations).graph
    weights = check_weights(graph, weights)
    grad = {e: np.zeros(graph.shape(e)) for e in graph.edges}
    for p, error in path_errors(statistics, weights).items():
        path = graph.paths[p]
        behind = error  # W_after^T E, moving from the output towards the input
        for k in range(len(path) - 1, -1, -1):
            before = _product(weights, path[:k]) if k else np.eye(error.shape[1])
            grad[path[k]] -= behind @ before.T
            behind = weights[path[k]].T @ behind
    return grad


def conserved(graph, weights):
    r"""Quantity that gradient flow keeps at every hidden node, whatever the gates and the data.

    :math:`Q_v=\sum_{e:t(e)=v}W_eW_e^\top-\sum_{e:s(e)=v}W_e^\top W_e`.

    Parameters
    ----------
    graph : GatedGraph
        The network.
    weights : dict of str to ndarray
        One matrix an edge.

    Returns
    -------
    Q : dict of str to ndarray, shape (width, width)
        One symmetric matrix a hidden node; zero where the start is balanced. Derived in chapter "Gated networks".
    """
    weights = check_weights(graph, weights)
    return {
        v: sum(weights[e] @ weights[e].T for e in graph.incoming[v])
        - sum(weights[e].T @ weights[e] for e in graph.outgoing[v])
        for v in graph.hidden
    }


def check_gates(graph, gates, n_samples):
    checks.instance("graph", graph, GatedGraph)
    n_samples, checked = checks.count("n_samples", n_samples), {}
    for name, gate in checks.instance("gates", gates, dict).items():
        gated = name in graph.edges or (name in graph.widths and name not in graph.inputs)
        checks.need(gated, "gates", "names of edges, and of nodes that are no inputs", name)
        checked[name] = checks.array(f"gates[{name!r}]", gate, shape=(n_samples,))
    return checked


def check_weights(graph, weights):
    """Weights of all edges and of no others, each in the shape of its edge; a transposed one is refused."""
    checks.instance("graph", graph, GatedGraph), checks.entries("weights", weights, graph.edges, "edges")
    return {e: checks.array(f"weights[{e!r}]", weights[e], shape=graph.shape(e)) for e in graph.edges}


def check_data(graph, inputs, targets):
    checks.instance("graph", graph, GatedGraph)
    groups = [("input", graph.inputs, inputs)] + (
        [] if targets is None else [("output", graph.outputs, targets)]
    )
    n = None
    checked = []
    for kind, nodes, data in groups:
        name = {"input": "inputs", "output": "targets"}[kind]
        checks.entries(name, data, nodes, f"{kind} nodes")
        data = {
            v: checks.array(f"{name}[{v!r}]", x, shape=("n" if n is None else n, graph.widths[v]))
            for v, x in data.items()
        }
        lengths = {v: len(x) for v, x in data.items()}
        n = next(iter(lengths.values())) if n is None else n
        checks.need(set(lengths.values()) == {n}, name, f"{n} examples at every node", lengths)
        checked.append(data)
    return checked[0], checked[1] if targets is not None else None, n


def _is_path(p, n):
    return isinstance(p, int | np.integer) and not isinstance(p, bool) and 0 <= p < n
