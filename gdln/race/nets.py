"""Gated deep linear networks in torch, run forward example by example and trained by autograd."""

import torch
from torch import nn

from gdln import checks
from gdln.nets.mlp import PARAMETRISATIONS, initial_weights
from gdln.race.graph import GatedGraph, check_weights


class GatedNetwork(nn.Module):
    r"""Gated deep linear network on a graph, run forward example by example and trained by autograd.

    :math:`h_v = g_v\sum_{e: t(e)=v} g_e W_e h_{s(e)}` with :math:`h_v = x_v` at input nodes; the torch twin of
    :mod:`gdln.race.graph`, which works with paths and correlations instead (Saxe et al. 2022, Section 2).

    Parameters
    ----------
    graph : gdln.race.graph.GatedGraph
        Nodes, widths and edges.
    parametrisation : str, optional
        Initial law of every edge, one of those of :func:`gdln.nets.mlp.initial_weights` whose gain is in the weights.
    gain : float, optional
        Its gain.
    weights : dict of str to array_like, optional
        Initial weights by edge instead of random ones.
    generator : torch.Generator, optional
        Source of randomness; needed unless ``weights`` are given.
    dtype : torch.dtype, optional
        Type of the weights.
    device : torch.device or str, optional
        Where the weights lie.

    Raises
    ------
    ValueError
        If neither ``weights`` nor ``generator`` is given, a weight is missing or has the wrong shape, the
        parametrisation has its gain elsewhere, an edge name contains a dot, or the device is not there.
    """

    def __init__(
        self,
        graph,
        parametrisation="standard",
        gain=1.0,
        *,
        weights=None,
        generator=None,
        dtype=torch.float64,
        device="cpu",
    ):
        super().__init__()
        self.graph = checks.instance("graph", graph, GatedGraph)
        # those with a multiplier in the formula have no place in a graph
        in_weights = [p for p in PARAMETRISATIONS if p not in ("ntk", "mean_field")]
        checks.choice("parametrisation", parametrisation, in_weights)
        checks.number("gain", gain), checks.torch_dtype("dtype", dtype)
        device = checks.torch_device("device", device)
        if generator is not None or weights is None:
            checks.torch_generator("generator", generator)
        if weights is not None:
            weights = check_weights(graph, weights)
        self.weights = nn.ParameterDict()
        for edge in graph.edges:
            shape = graph.shape(edge)
            checks.need("." not in edge, "graph", "edge names without a dot", edge)
            if weights is None:
                W = initial_weights(*shape, parametrisation, gain, generator, dtype, device=device)
            else:
                W = torch.tensor(weights[edge], dtype=dtype, device=device)
            self.weights[edge] = nn.Parameter(W)

    def forward(self, inputs, gates=None):
        """Activities of the output nodes.

        Parameters
        ----------
        inputs : dict of str to Tensor, shape (n, width)
            One entry per input node.
        gates : dict of str to Tensor, shape (n,), optional
            Gates of nodes and edges by name; what is not named is open.

        Returns
        -------
        outputs : dict of str to Tensor, shape (n, width)
            One entry per output node.
        """
        gates = {} if gates is None else checks.instance("gates", gates, dict)
        checks.entries("inputs", inputs, self.graph.inputs, "input nodes")
        for name, given in (("inputs", inputs), ("gates", gates)):
            for key, data in given.items():
                checks.instance(f"{name}[{key!r}]", data, torch.Tensor)
        h = dict(inputs)
        for node in self.graph.order:
            if node in h:
                continue
            total = 0.0
            for edge in self.graph.incoming[node]:
                signal = h[self.graph.edges[edge][0]] @ self.weights[edge].mT
                total = total + (gates[edge][:, None] * signal if edge in gates else signal)
            h[node] = gates[node][:, None] * total if node in gates else total
        return {node: h[node] for node in self.graph.outputs}
