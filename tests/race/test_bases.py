"""Common bases of all correlations: whatever the graph, the spread of singular values, the units."""

import numpy as np
import pytest

from gdln.data import tasks
from gdln.race import graph, propagation, routing
from gdln.race.bases import diagonalise
from gdln.race.graph import Correlations, GatedGraph
from gdln.race.reduction import decoupled_weights, path_modes, reduce_flow


def orthogonal(n, rng):
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def routing_network(mask, X, Y, width=8):
    """Graph, data and gates of a routing task, two hidden nodes in series."""
    M, N = np.shape(mask)
    nodes = {f"x{i}": X.shape[1] for i in range(M)} | {"h": width, "k": width}
    nodes |= {f"y{j}": Y.shape[1] for j in range(N)}
    edges = [(f"x{i}", "h") for i in range(M)] + [("h", "k")] + [("k", f"y{j}") for j in range(N)]
    routes = np.argwhere(mask)
    source, target = (np.repeat(routes[:, side], len(X)) for side in (0, 1))
    x = {f"x{i}": np.tile(X, (len(routes), 1)) for i in range(M)}
    y = {f"y{j}": np.tile(Y, (len(routes), 1)) * (target == j)[:, None] for j in range(N)}
    gates = {f"x{i}->h": source == i for i in range(M)} | {f"k->y{j}": target == j for j in range(N)}
    return GatedGraph(nodes, edges), x, y, gates


def planted(rng, values):
    """Correlations of a random graph that are diagonal in random bases, with a random choice of values as S and D."""
    n_in, n_out, n_hidden = rng.integers(1, 5), rng.integers(1, 5), rng.integers(1, 4)
    nodes = {f"x{i}": int(rng.integers(1, 8)) for i in range(n_in)}
    nodes |= {f"y{j}": int(rng.integers(1, 8)) for j in range(n_out)} | {f"h{k}": 6 for k in range(n_hidden)}
    edges = {}
    for k in range(n_hidden):
        ins = {f"a{i}.{k}": (f"x{i}", f"h{k}") for i in range(n_in) if k == 0 or rng.random() < 0.6}
        outs = {f"c{k}.{j}": (f"h{k}", f"y{j}") for j in range(n_out) if k == 0 or rng.random() < 0.6}
        edges |= (ins or {f"a0.{k}": ("x0", f"h{k}")}) | (outs or {f"c{k}.0": (f"h{k}", "y0")})
    net = GatedGraph(nodes, edges)
    n = max(nodes.values())
    U = {v: orthogonal(nodes[v], rng) for v in net.outputs}
    V = {path[0]: orthogonal(nodes[edges[path[0]][0]], rng) for path in net.paths}

    def between(left, values, right):
        k = min(len(left), len(right))
        return (left[:, :k] * values[:k]) @ right[:, :k].T

    yx, xx = {}, {}
    for p, path in enumerate(net.paths):
        output = net.ends(p)[1]
        if rng.random() < 0.8:  # a missing route has no input-output correlation
            S = rng.choice(values, n) * rng.choice([-1, 1], n) * 10 ** rng.uniform(-3, 3)
            yx[p] = between(U[output], S, V[path[0]])
        for j in range(p + 1):
            if net.ends(j)[1] == output and (j == p or rng.random() < 0.4):
                D = rng.choice(values, n) * (1 if j == p else rng.choice([-1, 1], n))
                xx[j, p] = between(V[net.paths[j][0]], D, V[path[0]])
        xx[p, p] = (xx[p, p] + xx[p, p].T) / 2
    return Correlations(net, yx, xx)


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ([1.0, 1.0, 2.0], 1e-13),  # repeated
        ([1.0, 1.0], 1e-13),  # all modes alike, told apart by their signs in parallel paths alone
        ([1.0, 1e-6, 0.0, 1e-6, 0.1], 1e-13),  # tiny and zero
        ([1.0, 1.0, 1e-3, 1e-9], 1e-12),
        ([1e-5, 1e-10, 1.0, 1e-11, 3e-10], 1e-9),  # what is below 1e-10 of its block takes no part
    ],
)
def test_correlations_that_are_diagonal_in_some_bases_are_found_to_be_so(values, allowed):
    for seed in range(20):
        statistics = planted(np.random.default_rng(seed), values)
        bases = diagonalise(statistics)
        assert bases.residual < allowed
        for frame in [*bases.inputs.values(), *bases.outputs.values()]:
            gram = frame.T @ frame
            assert np.abs(gram - np.diag(frame.any(axis=0))).max() < 1e-12
        for p, yx in statistics.yx.items():
            strengths = np.linalg.svd(yx, compute_uv=False)
            found = np.sort(np.abs(bases.S[p]))[::-1][: strengths.size]
            found = np.pad(found, (0, strengths.size - found.size))
            assert np.abs(found - strengths).max() < 1e-9 * max(strengths[0], 1e-300)


@pytest.mark.parametrize(
    ("M", "K"), [(3, 2), (6, 2), (10, 3), (11, 3), (13, 3), (16, 3), (14, 4), (40, 1), (40, 2), (40, 4)]
)
def test_routing_reduces_however_long_the_chains_of_routes_are(M, K):
    data = routing_network(tasks.circulant_mask(M, K), *tasks.hierarchical())
    bases = diagonalise(graph.correlations(*data))
    trained = bases.S.any(axis=1)
    assert bases.residual < 1e-13 and trained.sum() == M * K
    s = np.linalg.svd(tasks.hierarchical()[1], compute_uv=False) / 4 / (M * K)
    np.testing.assert_allclose(bases.S[trained], np.tile(s, (M * K, 1)), rtol=1e-12)
    np.testing.assert_allclose(bases.D, 0.25 / (M * K), rtol=1e-12)


@pytest.mark.parametrize("s", [[1.0, 0.1, 0.01], [1.0, 1.0, 1e-6], [1.0, 1e-6, 1e-6, 0.0, 0.0]])
def test_routing_reduces_whatever_the_spread_of_singular_values(s):
    rng = np.random.default_rng(1)
    Y = orthogonal(len(s), rng) * s @ orthogonal(len(s), rng)
    for M, K in ((4, 2), (24, 2)):
        bases = diagonalise(
            graph.correlations(*routing_network(tasks.circulant_mask(M, K), np.eye(len(s)), Y))
        )
        assert bases.residual < 1e-13
        trained = bases.S.any(axis=1)
        expected = np.tile(np.array(s) / len(s) / (M * K), (M * K, 1))
        np.testing.assert_allclose(bases.S[trained], expected, rtol=1e-8, atol=1e-16)


def simulated_and_reduced(data, b0, times):
    net, x, y, gates = data
    reduction = reduce_flow(graph.correlations(*data))
    start = decoupled_weights(reduction, b0, np.random.default_rng(0))
    full = propagation.simulate(net, start, x, y, times, gates, rtol=1e-11, atol=1e-13)
    return full, reduction.solve(b0, times, rtol=1e-12, atol=1e-14), reduction


@pytest.mark.parametrize(("M", "K"), [(6, 2), (10, 3)])
def test_all_weights_follow_the_reduction_of_a_large_routing_network(M, K):
    X, Y = tasks.hierarchical()
    t = np.linspace(0, 12 * M, 9)
    full, reduced, reduction = simulated_and_reduced(
        routing_network(tasks.circulant_mask(M, K), X, Y), 0.2, t
    )
    assert np.abs(full.loss - reduced.loss).max() < 1e-9
    assert (
        np.abs(path_modes(reduction, full.weights) - reduced.paths).max() < 1e-8
    )  # the simulation: 200 times its tolerance
    S, D = np.linalg.svd(Y, compute_uv=False) / 4, 0.25
    a = routing.solve_routing(S, D, M, 0.2, t).strength
    assert np.abs(routing.routing_loss(a, S, D, (Y**2).sum() / 4) - full.loss).max() < 1e-9


def test_all_weights_follow_the_reduction_with_spread_values_missing_routes_and_lost_dimensions():
    rng = np.random.default_rng(2)
    mask = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])  # two parts that share only the hidden edge
    Y = orthogonal(5, rng)[:, :3] * [1.0, 0.1, 0.01] @ orthogonal(3, rng)[:, :2]
    data = routing_network(mask, orthogonal(5, rng), Y)
    full, reduced, _ = simulated_and_reduced(
        data, [[0.3]] * 3 + [[0.2]] + [[0.1]] * 4, np.linspace(0, 200, 9)
    )
    assert full.loss[-1] < 0.5 * full.loss[0]
    assert np.abs(full.loss - reduced.loss).max() < 1e-10


def test_bases_do_not_depend_on_units_of_inputs_and_outputs():
    X, Y = tasks.hierarchical()
    net, x, y, gates = routing_network(tasks.circulant_mask(5, 2), X, Y)
    plain = diagonalise(graph.correlations(net, x, y, gates))
    for scale_x, scale_y in ((1.0, 1e-9), (1e-7, 1.0), (1e8, 1e-8), (1e-8, 1e-8)):
        x_scaled, y_scaled = ({k: s * v for k, v in d.items()} for s, d in ((scale_x, x), (scale_y, y)))
        scaled = diagonalise(graph.correlations(net, x_scaled, y_scaled, gates))
        assert scaled.residual < 1e-13
        np.testing.assert_allclose(scaled.S, plain.S * scale_x * scale_y, rtol=1e-11, atol=0)


def test_labels_that_do_not_diagonalise_are_refused_however_small_they_are():
    mixed = np.array([[1.0, 0.5], [0.0, 1.0]])
    residuals = []
    for size in (1.0, 1e-12):
        statistics = Correlations(
            GatedGraph({"x": 2, "h": 2, "y": 2}, [("x", "h"), ("h", "y")]),
            {0: size * mixed},
            {(0, 0): np.diag([1.0, 2.0])},
        )
        residuals.append(diagonalise(statistics).residual)
        with pytest.raises(ValueError, match="do not diagonalise"):
            reduce_flow(statistics)
    assert residuals[0] == pytest.approx(residuals[1], rel=1e-9)


def test_an_average_that_cancels_to_rounding_does_not_choose_the_bases():
    rng = np.random.default_rng(0)
    net = GatedGraph({"x": 4, "a": 4, "b": 4, "y": 4}, [("x", "a"), ("x", "b"), ("a", "y"), ("b", "y")])
    X, Y = np.tile(np.eye(4), (2, 1)), np.tile(orthogonal(4, rng) * [4.0, 3.0, 2.0, 1.0], (2, 1))
    gates = {"b": np.repeat([1.0, -1.0], 4)}  # open on everything with both signs: it hears no target
    statistics = graph.correlations(net, {"x": X * (1 + 1e-16)}, {"y": Y / 3}, gates)
    noise = 1e-17 * rng.standard_normal((4, 4))
    noisy = Correlations(net, statistics.yx | {1: statistics.yx[1] + noise}, statistics.xx, statistics.yy)
    bases = diagonalise(noisy)
    assert bases.residual < 1e-13
    assert np.abs(bases.S[1]).max() < 1e-15


@pytest.mark.parametrize("values", [(2.0, 1.5, 1.0), (2.0, 2.0, 2.0)], ids=["three modes", "one mode thrice"])
@pytest.mark.parametrize("together", [(0.3, 0.3, 0.3), (0.3, 0.3, 1.5e-10)], ids=["alike", "one hardly"])
def test_edges_of_one_input_node_get_vectors_of_one_sign_and_so_do_drives(values, together):
    net = GatedGraph({"x": 3, "a": 3, "b": 3, "y": 3}, [("x", "a"), ("x", "b"), ("a", "y"), ("b", "y")])
    # path 1 is asked for minus what path 0 is asked for, on the same inputs at the same time
    statistics = Correlations(
        net,
        {0: np.diag(values), 1: -0.5 * np.diag(values)},
        {(0, 0): np.eye(3), (1, 1): np.eye(3), (0, 1): np.diag(together)},
    )
    bases = diagonalise(statistics)
    np.testing.assert_allclose(bases.inputs["x->a"], bases.inputs["x->b"], atol=1e-14)
    np.testing.assert_allclose(bases.outputs["a->y"], bases.outputs["b->y"], atol=1e-14)
    np.testing.assert_allclose(bases.S, [values, -0.5 * np.array(values)], atol=1e-14)


def test_what_a_tolerance_lets_pass_moves_the_weights_in_proportion_and_the_paths_by_its_square():
    times, ratios = [0.0, 1.0, 4.0], []
    for mix in (1e-3, 1e-5):
        X = np.linalg.cholesky(np.array([[1.0, mix], [mix, 2.0]])).T * 2**0.5
        data = CHAIN, {"x": X}, {"y": X @ np.diag([3.0, 1.0])}
        reduction = reduce_flow(graph.correlations(*data), tolerance=1.0)
        reduced = reduction.solve(0.1, times, rtol=1e-12, atol=1e-14)
        start, end = (decoupled_weights(reduction, B, np.random.default_rng(0)) for B in (0.1, reduced.B[-1]))
        full = propagation.simulate(CHAIN, start, *data[1:], times, rtol=1e-12, atol=1e-14)
        residual = reduction.bases.residual
        ratios.append(max(np.abs(full.weights[e][-1] - end[e]).max() for e in end) / residual)
        assert np.abs(path_modes(reduction, full.weights) - reduced.paths).max() < 5 * residual**2 + 1e-10
    assert ratios[0] == pytest.approx(ratios[1], rel=0.01) and ratios[0] < 2


@pytest.mark.parametrize("tolerance", [np.nan, -1.0, np.inf])
def test_a_tolerance_that_accepts_anything_or_nothing_is_refused(tolerance):
    net = GatedGraph({"x": 1, "y": 1}, [("x", "y")])
    with pytest.raises(ValueError, match="tolerance"):
        reduce_flow(Correlations(net, {0: [[1.0]]}, {(0, 0): [[1.0]]}), tolerance)


CHAIN = GatedGraph({"x": 2, "h": 2, "y": 2}, [("x", "h"), ("h", "y")])


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize(("gap", "follows"), [(3e-10, True), (3e-11, False)])
def test_a_gap_between_modes_chooses_the_bases_down_to_ten_digits(gap, follows):
    R = rotation(0.5)
    yx = R * [1.0, 1 - gap] @ R.T
    frame = diagonalise(Correlations(CHAIN, {0: yx}, {(0, 0): np.eye(2)})).inputs["x->h"]
    overlap = np.abs(R.T @ frame).max(axis=0)
    assert (overlap > 0.999).all() == follows


@pytest.mark.parametrize(("gap", "order"), [(1e-11, [1.0, 2.0]), (2e-13, [2.0, 1.0])])
def test_modes_are_sorted_by_drive_and_those_of_one_drive_by_their_brake(gap, order):
    statistics = Correlations(CHAIN, {0: np.diag([1.0, 1 - gap])}, {(0, 0): np.diag([1.0, 2.0])})
    np.testing.assert_allclose(diagonalise(statistics).D, [order], rtol=1e-12)


def test_output_bases_that_differ_where_paths_are_open_together_count_as_residual():
    net = GatedGraph({"x": 2, "a": 2, "b": 2, "y": 2}, [("x", "a"), ("x", "b"), ("a", "y"), ("b", "y")])
    angle, together = 0.4, 0.3
    yx = {0: np.diag([2.0, 1.0]), 1: rotation(angle) * [2.0, 1.0]}
    xx = {(0, 0): np.eye(2), (1, 1): np.eye(2), (0, 1): together * np.eye(2)}
    bases = diagonalise(Correlations(net, yx, xx))
    # each path has its own modes, so all is diagonal but the neurons in which the two meet; every column of the
    # second frame lies 2 sin(angle / 2) from that of the first, twice over as both orders of the pair count
    missed = 2 * 2 * (2 * np.sin(angle / 2) * together) ** 2
    total = 2 + 2 + 2 * 2 * together**2
    assert bases.residual == pytest.approx(np.sqrt(missed / total), rel=1e-12)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("label", [1e-3, 1.0, 1e3])
def test_the_residual_has_no_unit(unit, label):
    net = GatedGraph({"x": 2, "h": 3, "a": 2, "b": 2}, [("x", "h"), ("h", "a"), ("h", "b")])
    # the modes of the inputs that the two outputs ask for lie at an angle
    yx = {0: label * unit * np.diag([2.0, 1.0]), 1: label * unit * np.diag([2.0, 1.0]) @ rotation(0.4)}
    xx = {(p, p): unit**2 * np.eye(2) for p in (0, 1)}
    bases = diagonalise(Correlations(net, yx, xx))
    (V,) = bases.inputs.values()
    told = [(U * S) @ V.T for U, S in zip(bases.outputs.values(), bases.S, strict=True)]
    missed = sum(np.square(told[p] - m).sum() for p, m in yx.items())
    share = np.sqrt(missed / sum(np.square(m).sum() for m in yx.values()))
    assert bases.residual == pytest.approx(share, rel=1e-9) and share > 0.05


@pytest.mark.parametrize("values", [(2.0, 2.0, 2.0), (2.0, 1.0, 1.0), (1.0, 3e-10, 2e-10)])
def test_drives_of_a_chain_are_positive_whether_its_modes_are_alike_or_nearly_nothing(values):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        yx = orthogonal(3, rng) * values @ orthogonal(3, rng)
        net = GatedGraph({"x": 3, "h": 3, "y": 3}, [("x", "h"), ("h", "y")])
        bases = diagonalise(Correlations(net, {0: yx}, {(0, 0): np.eye(3)}))
        np.testing.assert_allclose(bases.S, [values], rtol=1e-5)


def test_modes_that_share_no_edge_share_a_column():
    net = GatedGraph({"u": 2, "v": 2, "h": 3, "y": 2}, [("u", "h"), ("v", "h"), ("h", "y")])
    # of two inputs each drives another mode of the output, and has one more that drives none
    yx = {0: np.diag([1.0, 0.0]), 1: np.diag([0.0, 1.0])}
    bases = diagonalise(Correlations(net, yx, {(0, 0): np.eye(2), (1, 1): np.eye(2)}))
    assert bases.S.shape == (2, 2) and bases.residual < 1e-12
    np.testing.assert_allclose(np.abs(bases.S), np.eye(2), atol=1e-12)
