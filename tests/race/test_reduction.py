"""Bases, the reduction, routing networks and trees: limits, invariances, errors."""

import numpy as np
import pytest

from gdln.data import tasks
from gdln.linear.modes import mode_strength
from gdln.race import routing
from gdln.race.bases import diagonalise
from gdln.race.graph import Correlations, GatedGraph
from gdln.race.reduction import Reduction, decoupled_weights, reduce_flow
from gdln.race.trees import PathwayTree

S, D = np.linalg.svd(tasks.hierarchical()[1], compute_uv=False) / 4, 0.25


def chain(width=3):
    return GatedGraph({"x": width, "h": 6, "y": width}, [("x", "h"), ("h", "y")])


def test_commuting_correlations_diagonalise_in_any_rotation():
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2))
    bases = diagonalise(Correlations(chain(), {0: U * [3.0, 2, 2] @ V.T}, {(0, 0): V * [1.0, 2, 2] @ V.T}))
    assert bases.residual < 1e-12
    assert np.allclose(np.sort(np.abs(bases.S[0])), [2, 2, 3])


def test_the_residual_grows_in_proportion_to_what_does_not_commute():
    residual = []
    for mix in (1e-4, 2e-4):
        xx = np.array([[1.0, mix], [mix, 2.0]])
        residual.append(diagonalise(Correlations(chain(2), {0: np.diag([3.0, 1.0])}, {(0, 0): xx})).residual)
    assert residual[1] / residual[0] == pytest.approx(2, rel=0.02)
    with pytest.raises(ValueError, match="do not diagonalise"):
        reduce_flow(Correlations(chain(2), {0: np.diag([3.0, 1.0])}, {(0, 0): xx}))


def test_a_single_path_is_the_two_layer_chain():
    reduction = reduce_flow(Correlations(chain(2), {0: np.diag([3.0, 1.0])}, {(0, 0): np.eye(2)}))
    t = np.linspace(0, 6, 30)
    expected = mode_strength(t[:, None], np.array([3.0, 1.0]), 1e-2)
    got = np.abs(reduction.solve(0.1, t).paths[:, 0])
    signs = np.sign(reduction.S[0])
    assert (signs > 0).all() and np.abs(got - expected).max() < 1e-8


def skipping():
    """Paths of one, two and three edges from one input to one output, each pair of them open together."""
    net = GatedGraph(
        {"x": 2, "a": 3, "b": 4, "y": 2},
        {"xy": ("x", "y"), "xa": ("x", "a"), "ay": ("a", "y"), "ab": ("a", "b"), "by": ("b", "y")},
    )
    rng = np.random.default_rng(3)
    pairs = [(j, p) for j in range(3) for p in range(3)]
    weight = rng.random((3, 3, 2))
    weight = weight + weight.swapaxes(0, 1)
    return Reduction(net, rng.standard_normal((3, 2)), pairs, [weight[j, p] for j, p in pairs])


@pytest.mark.parametrize(
    "reduction",
    [
        PathwayTree([[0, 0, 1], [0, 0]], [[0, 0]], [2.0, 1.0], [1.0, 0.5], n_trunk=2).path_by_path(),
        skipping(),
    ],
    ids=["tree", "paths of several lengths"],
)
def test_the_reduced_flow_is_the_slope_of_the_reduced_loss(reduction):
    rng = np.random.default_rng(0)
    B, way = rng.standard_normal((2, len(reduction.graph.edges), 2))
    slope = (reduction.loss(B + 1e-5 * way) - reduction.loss(B - 1e-5 * way)) / 2e-5
    assert slope == pytest.approx(-(reduction.velocity(B) * way).sum(), rel=1e-7)


@pytest.mark.parametrize("n_trunk", [1, 3])
def test_factorised_sums_equal_the_sum_over_all_paths(n_trunk):
    tree = PathwayTree([[0, 0, 1, 1, 2], [0, 0, 0]], [[0, 1], [0, 0]], S, D, n_trunk)
    B = np.random.default_rng(0).standard_normal((tree.n_edges, 4))
    assert np.allclose(tree.velocity(B), tree.path_by_path().velocity(B), rtol=1e-12, atol=1e-13)


def test_a_flat_tree_is_the_routing_network():
    tree = PathwayTree([[0] * 5], [[0] * 5], S, D)
    t = np.linspace(0, 60, 13)
    B, run = tree.solve(0.1, t).B, routing.solve_routing(S, D, 5, 0.1, t)
    # averages over 25 routes give an input edge 5/25 of the drive, the trunk all of it
    assert np.abs(B[:, 0] - run.B1).max() < 1e-6 and np.abs(B[:, 5] - run.B2).max() < 1e-6


def test_routing_conserves_and_the_hidden_equation_agrees():
    t = np.linspace(0, 80, 81)
    run = routing.solve_routing(S, D, 7, 0.08, t)
    C = 6 * 0.08**2
    assert np.abs(7 * run.B1**2 - run.B2**2 - C).max() < 1e-6
    assert np.abs(routing.solve_hidden(S, D, 7, C, 0.08, t).B2 - run.B2).max() < 1e-6


@pytest.mark.parametrize("C", [0.0, 6 * 0.08**2, 0.5, -0.003])
def test_the_time_law_inverts_the_hidden_equation(C):
    t = np.linspace(0, 30, 61)
    B2 = routing.solve_hidden(S[0], D, 7, C, 0.08, t, rtol=1e-13, atol=1e-15).B2[:, 0]
    rising = B2 < 0.99 * routing.hidden_limit(
        S[0], D, 7, C
    )  # later, time is an ill-conditioned function of B2
    assert np.abs(routing.hidden_time(B2[rising], 0.08, S[0], D, 7, C) - t[rising]).max() < 1e-7


def test_time_law_is_continuous_at_a_balanced_start():
    ends = [routing.hidden_time(2.0, 0.08, S[0], D, 7, C) for C in (0.0, 1e-9)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)


def test_the_escape_law_holds_on_the_plateau_and_ends_at_the_escape_time():
    C = 6 * 0.08**2
    end = routing.escape_time(S[0], 7, C, 0.08)
    t = np.linspace(0, 0.7, 30) * end
    B2 = routing.solve_hidden(S[0], D, 7, C, 0.08, t).B2[:, 0]
    assert np.abs(routing.escape_strength(t, S[0], 7, C, 0.08) / B2 - 1).max() < 2e-3
    assert routing.escape_strength(1.001 * end, S[0], 7, C, 0.08) == np.inf
    assert routing.escape_time(S[0], 7, 0.0, 0.08) == pytest.approx(7 / (S[0] * 0.08))


def test_singular_values_end_in_the_ratio_root_m():
    run = routing.solve_routing(S, D, 7, 0.03, [0, 270.0])
    assert run.B2[-1] / run.B1[-1] == pytest.approx(np.sqrt(7) * np.ones(4), rel=1e-3)
    long = routing.solve_routing(S[:1], D, 7, 0.05, [0, 2000.0], n_trunk=3)
    assert long.B2[-1] / long.B1[-1] == pytest.approx(np.sqrt(7), rel=5e-3)  # any number of hidden edges


@pytest.mark.parametrize("P", [4, 25, 100])
def test_sharing_speeds_up_by_the_law(P):
    t = np.linspace(0, 4000, 801)  # every record ends a step of the integrator, so few
    half = []
    for shared in (1, P):
        a = routing.solve_sharing(0.75, D, 10, shared, 0.08, t).strength[:, 0]
        half.append(np.interp(1.5, a, t))
    assert half[0] / half[1] == pytest.approx(routing.speed_up(P), rel=0.01)


def test_sharing_ends_in_the_ratio_p_to_one_quarter():
    for P in (1, 4, 25, 100):
        end = 4 * 10**2 / (P**0.75 * 0.75 * 0.01)  # four times the wait of the plateau
        run = routing.solve_sharing(0.75, D, 10, P, 0.01, [0, end])
        assert run.B2[-1, 0] / run.B1[-1, 0] == pytest.approx(P**0.25, rel=5e-3)


def test_speed_up_tends_to_its_limit_from_one():
    assert routing.speed_up(1) == 1
    assert routing.speed_up(1e12) / routing.speed_up_limit(1e12) == pytest.approx(1, abs=1e-3)


def test_the_shared_path_takes_all_except_at_one_domain():
    for M, low in ((2, 0.99), (3, 0.99), (10, 0.99)):
        assert routing.solve_shared_and_dedicated(S[0], D, M, 0.3, [0, 20 * M**2]).share[-1] > low
    assert routing.solve_shared_and_dedicated(S[0], D, 1, 0.3, [0, 100]).share[-1] == pytest.approx(
        0.5, abs=1e-6
    )


def test_what_a_node_conserves_is_the_squares_before_it_less_those_behind():
    B = np.array([[[2.0, -3.0], [1.0, 5.0]], [[-1.0, 0.0], [3.0, 1.0]]])  # two times, two edges, two modes
    reduction = Reduction(chain(), np.ones((1, 2)), [[0, 0]], np.ones((1, 2)))
    np.testing.assert_array_equal(reduction.conserved(B)["h"], [[3, -16], [-8, -1]])


def test_the_loss_of_a_chain_worked_by_hand():
    reduction = Reduction(chain(), [[2.0]], [[0, 0]], [[0.5]], yy=10.0)
    assert reduction.loss(np.array([[2.0], [3.0]])) == 10 / 2 - 2 * 6 + 0.5 * 6**2 / 2


def test_a_larger_time_constant_is_the_same_race_later():
    reduction = Reduction(chain(), [[2.0]], [[0, 0]], [[0.5]])
    t = np.linspace(0, 3, 7)
    plain, slow = reduction.solve(0.1, t), reduction.solve(0.1, 2.5 * t, tau=2.5)
    np.testing.assert_allclose(slow.B, plain.B, rtol=1e-8)
    assert plain.B[-1, 0, 0] > 1


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_a_mode_without_a_neuron_may_only_have_no_strength(strength):
    net = GatedGraph({"x": 2, "h": 1, "y": 2}, [("x", "h"), ("h", "y")])
    reduction = reduce_flow(Correlations(net, {0: np.diag([3.0, 1.0])}, {(0, 0): np.eye(2)}))
    with pytest.raises(
        ValueError, match="^B0 needs zeros on edge 'x->h' beyond the neurons of a hidden node, got 2 modes"
    ):
        decoupled_weights(reduction, strength)
    weights = decoupled_weights(reduction, [strength, 0.0])
    np.testing.assert_allclose(weights["h->y"] @ weights["x->h"], np.diag([strength**2, 0]), atol=1e-15)


def test_a_residual_as_large_as_the_tolerance_is_accepted():
    xx = np.array([[1.0, 1e-4], [1e-4, 2.0]])
    statistics = Correlations(chain(2), {0: np.diag([3.0, 1.0])}, {(0, 0): xx})
    residual = diagonalise(statistics).residual
    assert reduce_flow(statistics, residual).bases.residual == residual
    with pytest.raises(ValueError, match="do not diagonalise"):
        reduce_flow(statistics, residual * (1 - 1e-9))


def test_reduced_loss_and_velocity_worked_by_hand_where_two_paths_meet():
    # strengths 2 * 3 and 1 * 5, S = 1, 2, own D = 0.5 and 0.25, crossing 0.1 both ways
    net = GatedGraph({"x": 1, "a": 1, "b": 1, "y": 1}, [("x", "a"), ("x", "b"), ("a", "y"), ("b", "y")])
    pairs, D = [[0, 0], [1, 1], [0, 1], [1, 0]], [[0.5], [0.25], [0.1], [0.1]]
    reduction = Reduction(net, [[1.0], [2.0]], pairs, D, yy=10.0)
    B = np.array([[2.0], [1.0], [3.0], [5.0]])
    np.testing.assert_array_equal(reduction.path_strengths(B), [[6], [5]])
    errors = 1 - 0.5 * 6 - 0.1 * 5, 2 - 0.25 * 5 - 0.1 * 6
    expected = [3 * errors[0], 5 * errors[1], 2 * errors[0], 1 * errors[1]]
    np.testing.assert_allclose(reduction.velocity(B)[:, 0], expected, rtol=1e-14)
    quadratic = 0.5 * 36 + 0.25 * 25 + 2 * 0.1 * 30
    assert reduction.loss(B) == pytest.approx(5 - (6 + 10) + quadratic / 2, rel=1e-14)
    two = GatedGraph({"x": 1, "y": 1, "z": 1}, [("x", "y"), ("x", "z")])
    with pytest.raises(ValueError, match="^pairs needs paths that end at one node"):
        Reduction(two, np.ones((2, 1)), [[0, 1]], [[1.0]])


def test_bad_arguments_are_refused():
    for call, message in (
        (lambda: routing.sharing(5, 10), "^n_shared needs the square"),
        (lambda: routing.sharing(9, 10), "^n_shared needs the square"),
        (lambda: routing.solve_routing(S, D, 0, 0.1, [0, 1]), "n_domains"),
        (lambda: routing.hidden_time(99.0, 0.08, S[0], D, 7), "^B2 needs"),
        (lambda: routing.speed_up(0.5), "n_shared"),
        (lambda: PathwayTree([[0, 2]], [[0]], S, D), "^inputs needs levels"),
        (lambda: PathwayTree([[0]], [[0]], S, D, 0), "n_trunk"),
        (lambda: Reduction(chain(), np.ones((2, 1)), [[0, 0]], [[1.0]]), "n_paths"),
        (lambda: Reduction(chain(), np.ones((1, 1)), [[0, 0, 0]], [[1.0]]), "^pairs needs shape"),
        (lambda: Reduction(chain(), np.ones((1, 1)), [[[0, 0], [0, 0]]], [[1.0]]), "^pairs needs shape"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
