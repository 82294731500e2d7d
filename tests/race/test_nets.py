"""Gated networks in torch are the graphs of the theory, example by example."""

import numpy as np
import pytest
import torch

from gdln.nets import training
from gdln.race import graph
from gdln.race.nets import GatedNetwork


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


GRAPH = graph.GatedGraph(
    {"x": 3, "z": 2, "a": 4, "b": 5, "y": 2, "u": 1},
    [("x", "a"), ("x", "b"), ("z", "b"), ("a", "b"), ("a", "y"), ("b", "y"), ("b", "u")],
)


def gated_data(n=12):
    random = np.random.default_rng(3)
    inputs = {v: random.standard_normal((n, GRAPH.widths[v])) for v in GRAPH.inputs}
    targets = {v: random.standard_normal((n, GRAPH.widths[v])) for v in GRAPH.outputs}
    gates = {"a": random.integers(0, 2, n), "x->b": random.standard_normal(n), "u": random.integers(0, 2, n)}
    return inputs, targets, {name: gate.astype(float) for name, gate in gates.items()}


def tensors(arrays):
    return {name: torch.tensor(a) for name, a in arrays.items()}


def test_autograd_through_a_gated_network_gives_the_sum_over_paths():
    inputs, targets, gates = gated_data()
    net = GatedNetwork(GRAPH, generator=rng())
    loss = training.half_squared_error(net(tensors(inputs), tensors(gates)), tensors(targets))
    loss.backward()
    weights = {e: W.detach().numpy() for e, W in net.weights.items()}
    statistics = graph.correlations(GRAPH, inputs, targets, gates)
    expected = graph.gradient(statistics, weights)
    for edge, W in net.weights.items():
        np.testing.assert_allclose(W.grad.numpy(), expected[edge], rtol=1e-11, atol=1e-13)
    assert float(loss.detach()) == pytest.approx(graph.loss(statistics, weights), rel=1e-12)


def test_the_flow_of_a_gated_network_keeps_what_its_graph_conserves():
    inputs, targets, gates = gated_data()
    net = GatedNetwork(GRAPH, "orthogonal", 0.7, generator=rng())
    X = (tensors(inputs), tensors(gates))
    run = training.gradient_flow(net, "squared", X, tensors(targets), [0.0, 1.0, 3.0], record=["weights"])
    Q = [graph.conserved(GRAPH, {e: run.weights[f"weights.{e}"][k] for e in GRAPH.edges}) for k in range(3)]
    assert run.loss[-1] < run.loss[0]
    for v in GRAPH.hidden:
        np.testing.assert_allclose(Q[2][v], Q[0][v], atol=1e-7)


def test_a_closed_node_gate_silences_an_output():
    inputs, _, gates = gated_data()
    gates["u"] = np.zeros(12)
    out = GatedNetwork(GRAPH, generator=rng())(tensors(inputs), tensors(gates))
    assert (out["u"] == 0).all() and (out["y"] != 0).any()


def test_a_gated_network_takes_given_weights_and_refuses_wrong_ones():
    inputs, _, gates = gated_data()
    first = GatedNetwork(GRAPH, generator=rng())
    weights = {e: W.detach().numpy() for e, W in first.weights.items()}
    again = GatedNetwork(GRAPH, weights=weights)
    x, g = tensors(inputs), tensors(gates)
    torch.testing.assert_close(first(x, g)["y"], again(x, g)["y"])
    with pytest.raises(ValueError, match="shape"):
        GatedNetwork(GRAPH, weights={**weights, "x->a": np.eye(3)})
    for bad in ({}, {"weights": {}}, {"parametrisation": "ntk", "generator": rng()}):
        with pytest.raises((TypeError, ValueError), match="^(generator|weights|parametrisation) needs"):
            GatedNetwork(GRAPH, **bad)
    with pytest.raises(ValueError, match="^inputs needs one entry for each of the input nodes"):
        again({"x": x["x"]})


def test_gated_networks_train_as_an_ensemble():
    inputs, targets, gates = gated_data()
    X, Y = (tensors(inputs), tensors(gates)), tensors(targets)
    nets = [GatedNetwork(GRAPH, generator=rng(s)) for s in range(2)]
    alone = training.gradient_descent(GatedNetwork(GRAPH, generator=rng(1)), "squared", X, Y, 0.05, 10)
    together = training.ensemble(nets, "squared", X, Y, 0.05, 10)
    np.testing.assert_allclose(together.loss[1], alone.loss, rtol=1e-10)
    with pytest.raises(ValueError, match="by node"):
        training.ensemble(nets, "squared", X, Y, 0.05, 1, record=["outputs"])
