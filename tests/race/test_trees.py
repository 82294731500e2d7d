"""Pathway trees: factorised sums against listed paths and against all weights on data."""

import numpy as np
import pytest

from gdln.data import tasks
from gdln.race import graph, propagation, routing
from gdln.race.reduction import decoupled_weights, reduce_flow
from gdln.race.trees import PathwayTree

S, D = np.array([3.4, 0.75]), 0.25


def halving(n):
    return [[i // 2 for i in range(n >> k)] for k in range(n.bit_length() - 2)] + [[0, 0]]


@pytest.mark.parametrize("shape", [(2, 8), (4, 4), (8, 2)])
def test_one_pass_over_the_edges_equals_the_sum_over_all_paths(shape):
    tree = PathwayTree(halving(shape[0]), halving(shape[1]), S, D, n_trunk=2)
    B = np.random.default_rng(0).standard_normal((tree.n_edges, 2))
    assert np.allclose(tree.velocity(B), tree.path_by_path().velocity(B), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "levels", [([[0] * 3], [[0] * 2]), ([[0] * 3], [[0, 1, 1], [0, 0]]), ([[0, 0], [0]], [[0] * 2])]
)
@pytest.mark.parametrize("n_trunk", [1, 3])
def test_a_side_of_one_level_beside_one_of_several_is_summed_as_well(levels, n_trunk):
    tree = PathwayTree(*levels, S, D, n_trunk=n_trunk)
    B = np.random.default_rng(3).standard_normal((tree.n_edges, 2))
    before = B.copy()
    assert np.allclose(tree.velocity(B), tree.path_by_path().velocity(B), rtol=1e-12, atol=1e-13)
    assert np.array_equal(B, before)


def test_the_velocity_is_downhill_on_the_loss_of_the_listed_paths():
    tree = PathwayTree([[0, 0, 1], [0, 0]], [[0, 0]], S, D)
    listed = tree.path_by_path()
    B, way = np.random.default_rng(1).uniform(0.2, 1, (2, tree.n_edges, 2))
    slope = (listed.loss(B + 1e-5 * way) - listed.loss(B - 1e-5 * way)) / 2e-5
    assert slope == pytest.approx(-(tree.velocity(B) * way).sum(), rel=1e-7)


def test_a_larger_time_constant_is_the_same_race_later():
    tree = PathwayTree([[0, 0]], [[0, 0]], S, D)
    once, slow = tree.solve(0.1, [0.0, 1.0, 2.0]), tree.solve(0.1, [0.0, 3.0, 6.0], tau=3.0)
    np.testing.assert_allclose(slow.B, once.B, rtol=1e-7)
    assert np.abs(once.B[1] - once.B[0]).max() > 1e-3


def test_a_tree_of_one_level_is_the_routing_network():
    t = np.linspace(0, 60, 13)
    B = PathwayTree([[0] * 4], [[0] * 4], S, D).solve(0.1, t, rtol=1e-13, atol=1e-15).B
    run = routing.solve_routing(S, D, 4, 0.1, t)
    assert np.abs(B[:, 0] - run.B1).max() < 1e-6 and np.abs(B[:, 4] - run.B2).max() < 1e-6


def test_a_route_with_one_leaf_at_each_end_is_a_chain():
    t = np.linspace(0, 30, 11)
    B = PathwayTree([[0], [0]], [[0]], S, D, n_trunk=2).solve(0.6, t).B
    assert np.abs(B - B[:, :1]).max() < 1e-9  # five edges on one path
    assert np.allclose(B[-1].prod(axis=0), S / D, rtol=1e-6)


def test_at_every_join_the_squares_below_and_above_differ_by_a_constant():
    tree = PathwayTree([[0, 0, 0, 1, 1], [0, 0]], [[0, 0]], S[:1], D)
    start = np.random.default_rng(2).uniform(0.3, 0.6, (tree.n_edges, 1))
    B = tree.solve(start, np.linspace(0, 60, 31)).B[..., 0] ** 2
    joins = (B[:, :3].sum(axis=1) - B[:, 5], B[:, 3:5].sum(axis=1) - B[:, 6], B[:, 5:7].sum(axis=1) - B[:, 7])
    assert max(np.ptp(join) for join in (*joins, B[:, 7] - B[:, 8:].sum(axis=1))) < 1e-7


def test_the_order_of_the_leaves_does_not_matter():
    t = np.linspace(0, 40, 9)
    one = PathwayTree([[0, 0, 0, 1], [0, 0]], [[0, 0]], S, D).solve(0.3, t, rtol=1e-13, atol=1e-15).B
    two = PathwayTree([[1, 0, 1, 1], [0, 0]], [[0, 0]], S, D).solve(0.3, t, rtol=1e-13, atol=1e-15).B
    # the same numbers added in another order: a rounding error moves the steps by integration errors
    assert np.abs(one[:, 3] - two[:, 1]).max() < 1e-8 and np.abs(one[:, 0] - two[:, 0]).max() < 1e-8


def test_an_input_that_joins_many_learns_its_subtree_sooner_than_a_lonely_one():
    B = PathwayTree([[0, 0, 0, 0, 1], [0, 0]], [[0, 0]], S[:1], D).solve(0.3, [0, 20.0]).B[-1, :, 0]
    assert B[5] > B[6]  # the edge above four leaves against the edge above one


def test_a_tree_follows_all_weights_trained_on_gated_data():
    X, Y = tasks.hierarchical()
    nodes = (
        {f"x{i}": 4 for i in range(4)}
        | {f"y{j}": 7 for j in range(2)}
        | dict.fromkeys(("a0", "a1", "h", "k"), 4)
    )
    edges = [(f"x{i}", f"a{i // 2}") for i in range(4)] + [
        ("a0", "h"),
        ("a1", "h"),
        ("h", "k"),
        ("k", "y0"),
        ("k", "y1"),
    ]
    net = graph.GatedGraph(nodes, edges)
    source, target = np.repeat(np.divmod(np.arange(8), 2), 4, axis=1)
    x = {f"x{i}": np.tile(X, (8, 1)) for i in range(4)}
    y = {f"y{j}": np.tile(Y, (8, 1)) * (target == j)[:, None] for j in range(2)}
    gates = {f"x{i}->a{i // 2}": source == i for i in range(4)} | {f"k->y{j}": target == j for j in range(2)}
    weights = decoupled_weights(
        reduce_flow(graph.correlations(net, x, y, gates)), 0.4, np.random.default_rng(0)
    )
    t = np.linspace(0, 30, 11)
    full = propagation.simulate(net, weights, x, y, t, gates, rtol=1e-11, atol=1e-13)
    s = np.linalg.svd(Y, compute_uv=False) / 4
    B = PathwayTree([[0, 0, 1, 1], [0, 0]], [[0, 0]], s, D).solve(0.4, t).B
    loss = routing.routing_loss(B[:, 0] * B[:, 4] * B[:, 6] * B[:, 7], s, D, np.square(Y).sum() / 4)
    assert np.abs(loss - full.loss).max() < 1e-8


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([[0, 2]], [[0]], S, D), r"^inputs needs levels that join every one of 1 edges, got \[0, 2\]"),
        (([[0, 0], [0, 0]], [[0]], S, D), "^inputs needs levels that join every one of 2"),
        (([[0]], [[1]], S, D), "^outputs needs levels that join"),
        (([], [[0]], S, D), "^inputs needs at least one level, got"),
        (([[0]], [], S, D), "^outputs needs at least one level, got"),
        (([[0]], [[0]], S, D, 0), "n_trunk needs a whole number of at least 1, got 0"),
    ],
)
def test_a_tree_with_loose_ends_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PathwayTree(*arguments)
