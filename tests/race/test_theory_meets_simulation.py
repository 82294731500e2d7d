"""The race against the simulation of all weights on the data."""

import numpy as np
import pytest

from gdln.data import tasks
from gdln.race import graph, propagation, routing, routing_simulation
from gdln.race.reduction import contextual_loss, decoupled_weights, reduce_flow, xor_loss


def split(task, width=4):
    """Graph, data and gates of a task with one hidden node a path."""
    n = task.gates.shape[1]
    widths = {"x": task.X.shape[1]} | {f"h{i}": width for i in range(n)} | {"y": task.Y.shape[1]}
    edges = [("x", f"h{i}") for i in range(n)] + [(f"h{i}", "y") for i in range(n)]
    gates = {f"h{i}": task.gates[:, i] for i in range(n)}
    return graph.GatedGraph(widths, edges), {"x": task.X}, {"y": task.Y}, gates


def test_xor_reduces_although_one_output_neuron_serves_two_input_modes():
    net, x, y, gates = split(tasks.xor())
    reduction = reduce_flow(graph.correlations(net, x, y, gates))
    t = np.linspace(0, 40, 41)
    weights = decoupled_weights(reduction, np.sqrt(1e-3), np.random.default_rng(0))
    full = propagation.simulate(net, weights, x, y, t, gates)
    assert np.abs(full.loss - xor_loss(t, 1e-3)).max() < 1e-6
    assert np.abs(reduction.solve(np.sqrt(1e-3), t).loss - full.loss).max() < 1e-8


def test_contextual_paths_learn_their_own_input_and_the_law_of_the_loss():
    net = split(tasks.contextual(4, np.random.default_rng(0)))[0]
    yx, xx = tasks.contextual_correlations()
    statistics = graph.Correlations(net, dict(enumerate(yx)), {(c, c): xx[c, c] for c in range(2)}, yy=1 / 3)
    reduction = reduce_flow(statistics)
    t = np.linspace(0, 80, 41)
    run = reduction.solve(0.1, t)
    assert np.abs(run.loss - contextual_loss(t, 0.01)).max() < 1e-8
    assert run.loss[-1] < 1e-6


def test_routing_on_data_follows_its_reduction():
    task = tasks.routing(tasks.circulant_mask(3, 2))
    nodes = {f"x{i}": 4 for i in range(3)} | {"h": 8, "k": 8} | {f"y{i}": 7 for i in range(3)}
    edges = [(f"x{i}", "h") for i in range(3)] + [("h", "k")] + [("k", f"y{i}") for i in range(3)]
    net = graph.GatedGraph(nodes, edges)
    start = [np.repeat(task.routes[:, side], 4) for side in (0, 1)]
    n = len(task.routes)
    x = {f"x{i}": np.tile(task.X, (n, 1)) for i in range(3)}
    y = {f"y{i}": np.tile(task.Y, (n, 1)) * (start[1] == i)[:, None] for i in range(3)}
    gates = {f"x{i}->h": start[0] == i for i in range(3)} | {f"k->y{i}": start[1] == i for i in range(3)}
    reduction = reduce_flow(graph.correlations(net, x, y, gates))
    weights = decoupled_weights(reduction, 0.1, np.random.default_rng(0))
    t = np.linspace(0, 40, 21)
    full = propagation.simulate(net, weights, x, y, t, gates, rtol=1e-11, atol=1e-13)
    assert np.abs(reduction.solve(0.1, t).loss - full.loss).max() < 1e-8
    S, D = np.linalg.svd(task.Y, compute_uv=False) / 4, 0.25
    a = routing.solve_routing(S, D, 3, 0.1, t).strength
    assert np.abs(routing.routing_loss(a, S, D, (task.Y**2).sum() / 4) - full.loss).max() < 1e-8


def test_shared_and_dedicated_paths_with_cross_terms_follow_their_reduction():
    M, (X, Y) = 2, tasks.hierarchical()
    pairs = [(i, j) for i in range(M) for j in range(M)]
    nodes, edges = {"h": 6, "k": 6}, {"hk": ("h", "k")}
    for i in range(M):
        nodes |= {f"x{i}": 4, f"y{i}": 7}
        edges |= {f"a{i}": (f"x{i}", "h"), f"c{i}": ("k", f"y{i}")}
    for i, j in pairs:
        nodes |= {f"d{i}{j}": 6, f"e{i}{j}": 6}
        names = {f"p{i}{j}": (f"x{i}", f"d{i}{j}"), f"q{i}{j}": (f"d{i}{j}", f"e{i}{j}")}
        edges |= names | {f"r{i}{j}": (f"e{i}{j}", f"y{j}")}
    net = graph.GatedGraph(nodes, edges)
    source, target = (np.repeat([p[k] for p in pairs], 4) for k in (0, 1))
    x = {f"x{i}": np.tile(X, (M * M, 1)) for i in range(M)}
    y = {f"y{j}": np.tile(Y, (M * M, 1)) * (target == j)[:, None] for j in range(M)}
    gates = {f"a{i}": source == i for i in range(M)} | {f"c{j}": target == j for j in range(M)}
    gates |= {f"q{i}{j}": (source == i) & (target == j) for i, j in pairs}
    statistics = graph.correlations(net, x, y, gates)
    assert len(statistics.xx) == 4 * M * M  # on its route, each kind of path meets itself and the other kind
    reduction = reduce_flow(statistics)
    t = np.linspace(0, 60, 16)
    weights = decoupled_weights(reduction, 0.3, np.random.default_rng(1))
    full = propagation.simulate(net, weights, x, y, t, gates, rtol=1e-11, atol=1e-13)
    assert np.abs(reduction.solve(0.3, t).loss - full.loss).max() < 1e-8
    S, D = np.linalg.svd(Y, compute_uv=False) / 4, 0.25
    both = routing.solve_shared_and_dedicated(S, D, M, 0.3, t)
    loss = routing.routing_loss(both.shared + both.dedicated, S, D, (Y**2).sum() / 4)
    assert np.abs(loss - full.loss).max() < 1e-8


def test_descent_approaches_the_routing_flow_at_first_order():
    task = tasks.routing(tasks.circulant_mask(7, 4))
    S, D = np.linalg.svd(task.Y, compute_uv=False) / 4, 0.25
    weights = routing_simulation.decoupled_weights(task, 8, 0.2, np.random.default_rng(0))
    error = []
    for dt in (0.04, 0.02):
        run = routing_simulation.simulate(weights, task, dt, round(20 / dt), record_every=round(1 / dt))
        a = routing.solve_routing(S, D, 7, 0.2, run.times).strength
        error.append(np.abs(routing.routing_loss(a, S, D, (task.Y**2).sum() / 4) - run.loss[0]).max())
    assert 1.7 < error[0] / error[1] < 2.3


@pytest.mark.parametrize("K", [1, 7])
def test_the_training_loss_does_not_depend_on_the_number_of_trained_partners(K):
    losses = []
    for k in (4, K):
        task = tasks.routing(tasks.circulant_mask(7, k))
        weights = routing_simulation.decoupled_weights(task, 8, 0.1, np.random.default_rng(0))
        losses.append(routing_simulation.simulate(weights, task, 0.1, 600, record_every=10).trained[0])
    assert np.abs(losses[0] - losses[1]).max() < 1e-8
