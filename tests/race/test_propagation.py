"""The simulation of all weights: what enters is checked once, and what diverges ends with its time."""

import time

import numpy as np
import pytest

from gdln.checks import Diverged
from gdln.race import graph, propagation, reduction, routing
from gdln.race.graph import Correlations, GatedGraph
from gdln.race.trees import PathwayTree

SQUARE = GatedGraph({"x": 3, "h": 3, "y": 3}, [("x", "h"), ("h", "y")])
OBLONG = GatedGraph({"x": 2, "h": 3, "y": 1}, [("x", "h"), ("h", "y")])


def problem(net, seed=0):
    rng = np.random.default_rng(seed)
    x = {"x": rng.standard_normal((5, net.widths["x"]))}
    y = {"y": rng.standard_normal((5, net.widths["y"]))}
    return propagation.random_weights(net, 0.3, rng), x, y, {"h": rng.random(5)}


def uses(net, weights, x, y, gates):
    """Every function that takes weights."""
    statistics = graph.correlations(net, x, y, gates)
    return {
        "forward": lambda: propagation.forward(net, weights, x, gates),
        "backpropagate": lambda: propagation.backpropagate(net, weights, x, y, gates),
        "simulate": lambda: propagation.simulate(net, weights, x, y, [0.0, 1.0], gates),
        "loss": lambda: graph.loss(statistics, weights),
        "gradient": lambda: graph.gradient(statistics, weights),
        "path_errors": lambda: graph.path_errors(statistics, weights),
        "conserved": lambda: graph.conserved(net, weights),
    }


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda w: w | {"x->h": w["x->h"].T},
            r"weights\['x->h'\] needs shape \(3, 2\), got an array of shape \(2, 3\)",
        ),
        (lambda w: w | {"x->h": w["x->h"].ravel()}, r"weights\['x->h'\] needs shape"),
        (lambda w: {"x->h": w["x->h"]}, r"weights needs .* got none for \['h->y'\]"),
        (lambda w: w | {"x->y": np.ones((1, 2))}, r"weights needs .* got one for \['x->y'\]"),
        (lambda w: w | {"h->y": w["h->y"] * np.nan}, r"weights\['h->y'\] needs finite"),
        (lambda w: w | {"h->y": w["h->y"] * np.inf}, r"weights\['h->y'\] needs finite"),
    ],
)
def test_weights_that_are_not_those_of_the_graph_are_refused_wherever_they_enter(spoil, message):
    weights, *data = problem(OBLONG)
    for use in uses(OBLONG, spoil(weights), *data).values():
        with pytest.raises(ValueError, match=message):
            use()


def test_no_function_changes_weights_or_data():
    weights, x, y, gates = problem(SQUARE)
    before = [a.copy() for d in (weights, x, y, gates) for a in d.values()]
    for use in uses(SQUARE, weights, x, y, gates).values():
        use()
    after = [a for d in (weights, x, y, gates) for a in d.values()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_and_gates_that_are_not_finite_are_named(bad):
    for k, name in ((1, r"inputs\['x'\]"), (2, r"targets\['y'\]"), (3, r"gates\['h'\]")):
        parts = problem(SQUARE)
        next(iter(parts[k].values())).flat[0] = bad
        weights, x, y, gates = parts
        with pytest.raises(ValueError, match=f"{name} needs finite"):
            propagation.simulate(SQUARE, weights, x, y, [0.0, 1.0], gates)
        with pytest.raises(ValueError, match=f"{name} needs finite"):
            graph.correlations(SQUARE, x, y, gates)


@pytest.mark.parametrize("option", [{"tau": np.nan}, {"tau": 0.0}, {"rtol": np.nan}, {"atol": -1.0}])
def test_settings_that_are_no_positive_numbers_are_named(option):
    weights, x, y, gates = problem(SQUARE)
    with pytest.raises(ValueError, match=f"^{next(iter(option))} needs"):
        propagation.simulate(SQUARE, weights, x, y, [0.0, 1.0], gates, **option)


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.0], [2.0, 2.0, 3.0]])
def test_a_run_of_no_length_records_its_start(times):
    weights, x, y, gates = problem(SQUARE)
    run = propagation.simulate(SQUARE, weights, x, y, times, gates)
    assert len(run.loss) == len(times)
    np.testing.assert_array_equal(run.at(0)["x->h"], weights["x->h"])
    np.testing.assert_array_equal(run.at(-1)["x->h"], run.at(len(times) - 1)["x->h"])
    for k in (len(times), -len(times) - 1):
        with pytest.raises(ValueError, match="^k needs a whole number"):
            run.at(k)


def test_a_run_that_diverges_ends_within_a_second_and_says_when():
    weights, x, y, gates = problem(SQUARE)
    huge = {e: 1e155 * W for e, W in weights.items()}
    began = time.process_time()
    with pytest.raises(Diverged, match="diverged at t=0") as caught:
        propagation.simulate(SQUARE, huge, x, y, [0.0, 1.0], gates)
    assert time.process_time() - began < 1 and caught.value.time == 0


def test_a_run_too_fast_for_the_spacing_of_its_times_is_reported():
    weights, x, y, gates = problem(SQUARE)
    huge = {e: 1e10 * W for e, W in weights.items()}
    with pytest.raises(Diverged, match="step size") as caught:  # all that was reached is finite
        propagation.simulate(SQUARE, huge, x, y, [1.0, 2.0], gates)
    assert caught.value.time == pytest.approx(1.0, abs=1e-12)


def test_the_time_constant_stretches_time():
    data = problem(SQUARE)
    times = np.array([0.0, 0.5, 2.0])
    plain, slow = (
        propagation.simulate(SQUARE, *data[:3], tau * times, data[3], tau=tau) for tau in (1.0, 3.0)
    )
    np.testing.assert_allclose(slow.loss, plain.loss, rtol=1e-8)
    assert plain.loss[2] < 0.9 * plain.loss[0]


STATISTICS = Correlations(SQUARE, {0: np.diag([3.0, 2.0, 1.0])}, {(0, 0): np.eye(3)})
TREE = ([[0, 0]], [[0, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_number_that_is_not_finite_is_named_by_every_theory(bad):
    reduced = reduction.reduce_flow(STATISTICS)
    t = [0.0, 1.0]
    for call, name in (
        (lambda: Correlations(SQUARE, {0: np.full((3, 3), bad)}, {}), r"yx\[0\]"),
        (lambda: Correlations(SQUARE, {}, {(0, 0): np.full((3, 3), bad)}), r"xx\[0, 0\]"),
        (lambda: Correlations(SQUARE, {}, {}, bad), "yy"),
        (lambda: reduced.solve([[0.1], [bad]], t), "B0"),
        (lambda: reduced.solve(0.1, [0.0, bad]), "times"),
        (lambda: reduced.solve(0.1, t, tau=bad), "tau"),
        (lambda: reduction.Reduction(SQUARE, [[bad]], [[0, 0]], [[1.0]]), "S"),
        (lambda: reduction.Reduction(SQUARE, [[1.0]], [[0, 0]], [[bad]]), "D"),
        (lambda: reduction.decoupled_weights(reduced, bad), "B0"),
        (lambda: PathwayTree(*TREE, [1.0, bad], 1.0), "S"),
        (lambda: PathwayTree(*TREE, 1.0, bad), "D"),
        (lambda: PathwayTree(*TREE, 1.0, 1.0).solve(bad, t), "B0"),
        (lambda: PathwayTree(*TREE, 1.0, 1.0).solve(0.1, t, tau=bad), "tau"),
        (lambda: routing.solve_routing([1.0, bad], 1.0, 3, 0.1, t), "S"),
        (lambda: routing.solve_routing(1.0, bad, 3, 0.1, t), "D"),
        (lambda: routing.solve_routing(1.0, 1.0, bad, 0.1, t), "n_domains"),
        (lambda: routing.solve_routing(1.0, 1.0, 3, (0.1, bad, 0.1), t), "b0"),
        (lambda: routing.solve_routing(1.0, 1.0, 3, 0.1, t, tau=bad), "tau"),
        (lambda: routing.solve_hidden(1.0, 1.0, 3, bad, 0.1, t), "C"),
        (lambda: routing.solve_shared_and_dedicated(1.0, 1.0, 3, (0.1, bad), t), "b0"),
        (lambda: routing.routing_loss([bad], 1.0, 1.0, 1.0), "strength"),
        (lambda: routing.escape_time(1.0, 3, bad, 0.1), "C"),
        (lambda: routing.hidden_limit(bad, 1.0, 3), "S"),
        (lambda: routing.speed_up([4.0, bad]), "n_shared"),
    ):
        with pytest.raises(ValueError, match=f"^{name} needs"):
            call()


def test_every_solved_race_knows_its_half_times():
    t = np.linspace(0, 60, 601)
    S = np.array([3.0, 1.0])
    run = routing.solve_routing(S, 1.0, 4, 0.1, t)
    reduced = PathwayTree([[0] * 4], [[0] * 4], S, 1.0).path_by_path().solve(0.1, t)
    np.testing.assert_allclose(reduced.half_time, np.tile(run.half_time, (16, 1)), rtol=1e-6)
    assert run.half_time[0] < run.half_time[1]
    for a, half, s in zip(run.strength.T, run.half_time, S, strict=True):
        assert np.interp(half, t, a) == pytest.approx((s + 1e-3) / 2, rel=1e-5)
    alone = routing.solve_sharing(S, 1.0, 4, 16, 0.1, t)
    np.testing.assert_allclose(alone.half_time, run.half_time, rtol=1e-12)
    both = routing.solve_shared_and_dedicated(S, 1.0, 4, (0.1, 1e-9), t)  # nearly no dedicated paths
    np.testing.assert_allclose(both.half_time, run.half_time, rtol=1e-3)
