"""Graphs, path statistics, the exact gradient and what it conserves."""

import numpy as np
import pytest

from gdln.race import graph as gg
from gdln.race import propagation as run
from gdln.race.graph import Correlations, GatedGraph


def random_problem(seed, binary):
    """A random gated network with skip edges, several inputs and outputs, and data for it."""
    rng = np.random.default_rng(seed)
    while True:
        n = int(rng.integers(5, 8))
        widths = {f"v{i}": int(rng.integers(1, 5)) for i in range(n)}
        edges = [(f"v{i}", f"v{j}") for i in range(n) for j in range(i + 1, n) if rng.random() < 0.5]
        used = {v for e in edges for v in e}
        if len(used) < 4:
            continue
        graph = GatedGraph({v: w for v, w in widths.items() if v in used}, edges)
        if graph.n_paths <= 22:
            break
    n_samples = 12
    inputs = {v: rng.standard_normal((n_samples, graph.widths[v])) for v in graph.inputs}
    targets = {v: rng.standard_normal((n_samples, graph.widths[v])) for v in graph.outputs}
    names = [*graph.edges, *graph.hidden, *graph.outputs]
    draw = (lambda: rng.integers(0, 2, n_samples)) if binary else (lambda: rng.standard_normal(n_samples))
    gates = {name: draw() for name in names if rng.random() < 0.7}
    return graph, run.random_weights(graph, 0.7, rng), inputs, targets, gates


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_path_sum_gradient_and_loss_equal_the_chain_rule(seed, binary):
    graph, weights, inputs, targets, gates = random_problem(seed, binary)
    statistics = gg.correlations(graph, inputs, targets, gates)
    value, grad = run.backpropagate(graph, weights, inputs, targets, gates)
    ours = gg.gradient(statistics, weights)
    size = max(np.abs(g).max() for g in grad.values())
    assert max(np.abs(ours[e] - grad[e]).max() for e in grad) < 1e-12 * size  # rounding only
    assert gg.loss(statistics, weights) == pytest.approx(value, rel=1e-12)


def test_chain_rule_is_the_slope_of_the_loss():
    graph, weights, inputs, targets, gates = random_problem(3, binary=False)
    _, grad = run.backpropagate(graph, weights, inputs, targets, gates)
    rng = np.random.default_rng(0)
    direction = {e: rng.standard_normal(W.shape) for e, W in weights.items()}
    step = 1e-5
    ends = [
        run.backpropagate(
            graph, {e: W + k * step * direction[e] for e, W in weights.items()}, inputs, targets, gates
        )
        for k in (1, -1)
    ]
    slope = (ends[0][0] - ends[1][0]) / (2 * step)
    expected = sum((grad[e] * direction[e]).sum() for e in grad)
    assert slope == pytest.approx(expected, rel=1e-7)  # central difference, error of order step squared


@pytest.mark.parametrize("seed", [0, 5])
def test_flow_conserves_q_at_every_hidden_node(seed):
    graph, weights, inputs, targets, gates = random_problem(seed, binary=True)
    flow = run.simulate(graph, weights, inputs, targets, np.linspace(0, 3, 7), gates)
    start, end = gg.conserved(graph, weights), gg.conserved(graph, flow.at(-1))
    assert flow.loss[-1] < flow.loss[0]
    assert max(np.abs(end[v] - start[v]).max() for v in graph.hidden) < 1e-6


def test_descent_breaks_q_at_first_order_in_the_step():
    graph, weights, inputs, targets, gates = random_problem(1, binary=True)
    drift = []
    for step in (1e-3, 5e-4):
        W = dict(weights)
        for _ in range(round(0.5 / step)):
            grad = run.backpropagate(graph, W, inputs, targets, gates)[1]
            W = {e: W[e] - step * grad[e] for e in W}
        start, end = gg.conserved(graph, weights), gg.conserved(graph, W)
        drift.append(max(np.abs(end[v] - start[v]).max() for v in graph.hidden))
    assert 1.8 < drift[0] / drift[1] < 2.2


def test_untouched_hidden_node_of_an_input_output_pair_changes_nothing():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    small = GatedGraph({"x": 3, "h": 4, "y": 2}, [("x", "h"), ("h", "y")])
    large = GatedGraph({"x": 3, "h": 4, "k": 4, "y": 2}, [("x", "h"), ("h", "y"), ("x", "k"), ("k", "y")])
    weights = run.random_weights(large, 0.5, rng)
    closed = {"k": np.zeros(9)}
    a = run.backpropagate(small, {e: weights[e] for e in small.edges}, {"x": X}, {"y": Y})
    b = run.backpropagate(large, weights, {"x": X}, {"y": Y}, closed)
    assert a[0] == b[0]
    assert not b[1]["x->k"].any() and not b[1]["k->y"].any()
    assert len(gg.correlations(large, {"x": X}, {"y": Y}, closed).xx) == 2 * 1 - 1


def test_paths_multiply_along_and_add_across():
    graph = GatedGraph(
        {"x": 1, "a": 1, "b": 1, "y": 1}, [("x", "a"), ("a", "b"), ("x", "b"), ("a", "y"), ("b", "y")]
    )
    assert graph.n_paths == len(graph.paths) == 3
    weights = {e: np.array([[float(i + 2)]]) for i, e in enumerate(graph.edges)}
    out = run.forward(graph, weights, {"x": [[1.0]]})["y"]
    assert (
        out.item()
        == sum(gg.path_product(graph, weights, p).item() for p in graph.paths)
        == 2 * 3 * 6 + 4 * 6 + 2 * 5
    )


def test_path_gate_counts_the_output_node_and_not_the_input():
    graph = GatedGraph({"x": 1, "h": 1, "y": 1}, [("x", "h"), ("h", "y")])
    gates = {"x->h": [1, 2], "h": [3, 1], "y": [0, 5]}
    assert gg.path_gates(graph, gates, 2).tolist() == [[0, 10]]
    with pytest.raises(
        ValueError, match="^gates needs names of edges, and of nodes that are no inputs, got str 'x'"
    ):
        gg.path_gates(graph, {"x": [1, 1]}, 2)


def test_paths_are_counted_without_listing_them():
    layers = [[f"{l}.{i}" for i in range(10)] for l in range(8)]
    edges = [(s, t) for a, b in zip(layers[:-1], layers[1:], strict=True) for s in a for t in b]
    graph = GatedGraph({v: 1 for layer in layers for v in layer}, edges)
    assert graph.n_paths == 10**8
    with pytest.raises(ValueError, match="100000000"):
        _ = graph.paths


def test_as_many_paths_are_listed_as_the_limit_allows(monkeypatch):
    def diamonds(n):
        nodes = {"0": 1} | {v: 1 for k in range(n) for v in (f"a{k}", f"b{k}", str(k + 1))}
        return GatedGraph(
            nodes,
            [e for k in range(n) for s in "ab" for e in ((str(k), s + str(k)), (s + str(k), str(k + 1)))],
        )

    monkeypatch.setattr(gg, "MAX_PATHS", 4)
    assert len(diamonds(2).paths) == 4
    with pytest.raises(ValueError, match="^graph needs at most 4 paths to list them, got 8"):
        _ = diamonds(3).paths


def test_paths_have_numbers_from_zero_on_and_ends():
    graph = GatedGraph({"a": 1, "b": 1, "h": 1, "y": 1}, [("a", "h"), ("b", "h"), ("h", "y")])
    assert [graph.ends(p) for p in range(2)] == [("a", "y"), ("b", "y")]
    for p in (-1, 2):
        with pytest.raises(ValueError, match="^p needs a whole number of at least 0 and of at most 1"):
            graph.ends(p)


def test_the_loss_of_one_path_worked_by_hand():
    # W = 2 * 3: yy / 2 - 6 yx + 36 xx / 2
    graph = GatedGraph({"x": 1, "h": 1, "y": 1}, [("x", "h"), ("h", "y")])
    statistics = Correlations(graph, {0: [[0.5]]}, {(0, 0): [[0.25]]}, yy=5.0)
    weights = {"x->h": np.array([[2.0]]), "h->y": np.array([[3.0]])}
    assert gg.loss(statistics, weights) == 2.5 - 3 + 4.5
    grad = gg.gradient(statistics, weights)  # -(yx - 6 xx) times the other edge
    assert (grad["x->h"].item(), grad["h->y"].item()) == (3.0, 2.0)


def test_closed_form_statistics_stand_in_for_data():
    graph = GatedGraph({"x": 2, "h": 3, "y": 1}, [("x", "h"), ("h", "y")])
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((30, 2)), rng.standard_normal((30, 1))
    given = Correlations(graph, {0: Y.T @ X / 30}, {(0, 0): X.T @ X / 30}, yy=float((Y**2).mean()))
    weights = run.random_weights(graph, 1.0, rng)
    measured = gg.correlations(graph, {"x": X}, {"y": Y})
    assert gg.loss(given, weights) == pytest.approx(gg.loss(measured, weights), rel=1e-14)


def test_orthogonal_weights_have_one_singular_value():
    graph = GatedGraph({"x": 3, "h": 5, "y": 2}, [("x", "h"), ("h", "y")])
    for W in run.random_weights(graph, 0.2, np.random.default_rng(0), orthogonal=True).values():
        assert np.allclose(np.linalg.svd(W, compute_uv=False), 0.2)


@pytest.mark.parametrize(
    "widths, edges, message",
    [
        (
            {"x": 1, "y": 1},
            [("x", "y"), ("y", "x")],
            r"^edges needs no cycle, got one through some of \['x', 'y'\]",
        ),
        (
            {"x": 1, "y": 1},
            [("x", "y"), ("x", "z")],
            r"^edges\['x->z'\] needs two nodes that widths has, got str 'z'",
        ),
        ({"x": 0, "y": 1}, [("x", "y")], r"^widths\['x'\] needs a whole number of at least 1, got 0"),
        ({"x": 1, "y": 1, "z": 1}, [("x", "y")], "^edges needs one at every node, got none at 'z'"),
        ({"x": 1, "y": 1}, [("x", "y"), ("x", "y")], "^edges needs names of their own for parallel edges"),
        ({"x": 1, "y": 1}, {"x": ("x", "y")}, "^edges needs names that no node has, got str 'x'"),
        ({"x": 1, "y": 1}, ["xy"], "^edges needs pairs"),
        ({"x": 1, "y": 1}, [("x", "y", "x")], "^edges needs pairs"),
    ],
)
def test_a_bad_graph_is_refused(widths, edges, message):
    with pytest.raises(ValueError, match=message):
        GatedGraph(widths, edges)


def test_mismatched_data_gates_and_statistics_are_refused():
    graph = GatedGraph({"x": 2, "h": 3, "y": 1}, [("x", "h"), ("h", "y")])
    X, Y = np.ones((4, 2)), np.ones((4, 1))
    with pytest.raises(ValueError, match="shape"):
        gg.correlations(graph, {"x": np.ones((4, 3))}, {"y": Y})
    with pytest.raises(ValueError, match="output nodes"):
        gg.correlations(graph, {"x": X}, {})
    with pytest.raises(ValueError, match=r"^gates\['h'\] needs shape"):
        gg.correlations(graph, {"x": X}, {"y": Y}, {"h": np.ones((4, 3))})
    with pytest.raises(ValueError, match="^gates needs names of edges, .*got str 'g'"):
        gg.correlations(graph, {"x": X}, {"y": Y}, {"g": np.ones(4)})
    for p in (1, -1, True, "0", (0, 0)):
        with pytest.raises(ValueError, match="^yx needs path numbers from 0 to 0 as keys, got"):
            Correlations(graph, {p: np.ones((1, 2))}, {})
    for pair in ((0, 1), (0,), 0, "00", (0, 0, 0)):
        with pytest.raises(ValueError, match="^xx needs pairs of path numbers from 0 to 0 as keys, got"):
            Correlations(graph, {}, {pair: np.eye(2)})
    with pytest.raises(ValueError, match="shape"):
        Correlations(graph, {0: np.ones((2, 1))}, {})
    with pytest.raises(ValueError, match=r"^xx\[0, 0\] needs the transpose of xx\[0, 0\], got one 2 away"):
        Correlations(graph, {}, {(0, 0): [[1.0, 2.0], [0.0, 1.0]]})
    two = GatedGraph({"x": 1, "y": 1, "z": 1}, [("x", "y"), ("x", "z")])
    with pytest.raises(ValueError, match=r"^xx\[0, 1\] needs paths that end together, got \('y', 'z'\)"):
        Correlations(two, {}, {(0, 1): [[1.0]]})
