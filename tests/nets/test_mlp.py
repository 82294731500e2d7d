import math

import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from gdln.nets import training
from gdln.nets.mlp import ACTIVATIONS, MLP, PARAMETRISATIONS, initial_weights
from gdln.race import graph
from gdln.race.nets import GatedNetwork


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
def test_a_wide_layer_has_the_variance_its_parametrisation_promises(parametrisation):
    n, g = 1000, 1.7
    net = MLP([n, n, n], parametrisation=parametrisation, gains=g, generator=rng())
    x = torch.ones(1, n, dtype=torch.float64)
    variance = float(net(x, all_layers=True)[0].detach().var())
    expected = {"plain": n * g**2}.get(parametrisation, g**2)
    assert variance == pytest.approx(
        expected, rel=6 * math.sqrt(2 / n)
    )  # variance of 1000 Gaussians, six s.e.


def test_mean_field_output_shrinks_like_one_over_the_root_of_the_width():
    sizes = []
    for n in (100, 10000):
        net = MLP([5, n, 400], "relu", "mean_field", generator=rng())
        sizes.append(float(net(torch.ones(1, 5, dtype=torch.float64)).detach().std()))
    assert sizes[0] / sizes[1] == pytest.approx(10, rel=0.2)


def test_ntk_and_standard_networks_with_matched_draws_are_one_function():
    ntk = MLP([6, 9, 3], "tanh", "ntk", gains=1.3, generator=rng(1))
    standard = MLP([6, 9, 3], "tanh", "standard", gains=1.3, generator=rng(1))
    x = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(ntk(x), standard(x))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal_weights_have_all_singular_values_equal_to_the_gain(shape):
    W = initial_weights(*shape, "orthogonal", 0.2, rng())
    torch.testing.assert_close(torch.linalg.svdvals(W), torch.full((min(shape),), 0.2, dtype=torch.float64))


def test_xavier_weights_are_uniform_within_their_bound():
    W = initial_weights(300, 500, "xavier", 2.0, rng())
    bound = 2 * math.sqrt(6 / 800)
    assert 0.99 * bound < float(W.abs().max()) <= bound


def test_layers_take_their_own_activation_and_the_output_none():
    net = MLP([2, 3, 3, 2], ["relu", "tanh"], generator=rng())
    x = torch.randn(50, 2, dtype=torch.float64)
    first, second, out = net(x, all_layers=True)
    assert (first >= 0).all() and (second.abs() < 1).all()
    torch.testing.assert_close(out, second @ net.weights[2].T)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_a_bias_free_network_maps_zero_to_zero(name):
    net = MLP([3, 4, 2], name, generator=rng())
    assert (net(torch.zeros(1, 3, dtype=torch.float64)) == 0).all()


def test_biases_have_the_scale_asked_for_in_both_conventions():
    for parametrisation in ("standard", "ntk"):
        net = MLP([1, 20000], "linear", parametrisation, bias_gain=0.5, generator=rng())
        bias = net(torch.zeros(1, 1, dtype=torch.float64)).detach()
        assert float(bias.std()) == pytest.approx(0.5, rel=0.03)


def test_networks_work_under_functional_call_and_vmap():
    nets = [MLP([3, 4, 2], "relu", "ntk", generator=rng(s)) for s in range(3)]
    x = torch.randn(5, 3, dtype=torch.float64)
    parameters, buffers = stack_module_state(nets)
    out = vmap(lambda p, b: functional_call(nets[0], (p, b), (x,)))(parameters, buffers)
    torch.testing.assert_close(out, torch.stack([net(x) for net in nets]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"widths": [3]},
        {"widths": [3, 0, 2]},
        {"widths": [3, 4, 2], "gains": float("nan")},
        {"widths": [3, 4, 2], "activation": "step"},
        {"widths": [3, 4, 2], "activation": ["relu", "relu"]},
        {"widths": [3, 4, 2], "gains": [1.0]},
        {"widths": [3, 4, 2], "parametrisation": "mup"},
    ],
)
def test_bad_architectures_are_refused(arguments):
    with pytest.raises(ValueError, match="need|must"):
        MLP(**arguments, generator=rng())


def test_one_gain_a_layer_may_come_as_a_list_or_an_array():
    weights = [MLP([3, 4, 2], gains=g, generator=rng()).weights for g in ([1.0, 2.0], np.array([1.0, 2.0]))]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    once = MLP([3, 4, 2], generator=rng()).weights[1]
    torch.testing.assert_close(weights[0][1], 2 * once)


def test_inputs_of_the_wrong_width_are_refused():
    with pytest.raises(ValueError, match="3 columns"):
        MLP([3, 1], generator=rng())(torch.ones(2, 4, dtype=torch.float64))


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
        with pytest.raises(ValueError, match="need|multipliers"):
            GatedNetwork(GRAPH, **bad)
    with pytest.raises(ValueError, match="inputs of nodes"):
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
