import numpy as np
import pytest

from gdln.checks import Diverged
from gdln.data import tasks
from gdln.race import graph, routing_simulation


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def uneven_task(rng):
    mask = np.array([[1, 0, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0]], dtype=bool)
    return tasks.routing(mask, rng.standard_normal((9, 4)), rng.standard_normal((9, 2)))


def test_one_step_is_the_sum_over_paths_of_the_routing_graph(rng):
    task = uneven_task(rng)
    start = routing_simulation.orthogonal_weights(task, 5, 0.7, 1, rng)
    end = routing_simulation.simulate(start, task, 0.1, 1).weights
    widths = {f"x{i}": 4 for i in range(3)} | {"a": 5, "b": 5} | {f"y{j}": 2 for j in range(4)}
    edges = [(f"x{i}", "a") for i in range(3)] + [("a", "b")] + [("b", f"y{j}") for j in range(4)]
    net = graph.GatedGraph(widths, edges)
    n = len(task.routes) * 9
    inputs = {f"x{i}": np.tile(task.X, (len(task.routes), 1)) for i in range(3)}
    source, target = (np.repeat(column, 9) for column in task.routes.T)
    gates = {f"x{i}->a": (source == i).astype(float) for i in range(3)}
    gates |= {f"b->y{j}": (target == j).astype(float) for j in range(4)}
    targets = {f"y{j}": np.tile(task.Y, (len(task.routes), 1)) * (target == j)[:, None] for j in range(4)}
    weights = {f"x{i}->a": start.encoders[0, i] for i in range(3)} | {"a->b": start.shared[0]}
    weights |= {f"b->y{j}": start.decoders[0, j] for j in range(4)}
    assert inputs["x0"].shape == (n, 4)
    grad = graph.gradient(graph.correlations(net, inputs, targets, gates), weights)
    np.testing.assert_allclose(end.shared[0], start.shared[0] - 0.1 * grad["a->b"], atol=1e-13)
    for i in range(3):
        np.testing.assert_allclose(
            end.encoders[0, i], weights[f"x{i}->a"] - 0.1 * grad[f"x{i}->a"], atol=1e-13
        )
    for j in range(4):
        np.testing.assert_allclose(
            end.decoders[0, j], weights[f"b->y{j}"] - 0.1 * grad[f"b->y{j}"], atol=1e-13
        )


def test_whitened_items_take_the_short_way_to_the_same_result(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    start = routing_simulation.orthogonal_weights(task, 8, 0.5, 2, rng)
    short = routing_simulation.simulate(start, task, 0.05, 20).weights
    Q, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    bent = tasks.routing(task.mask, task.X @ Q + 1e-9, task.Y)  # not exactly white: the general way
    turned = routing_simulation.Weights(start.encoders @ Q, start.shared, start.decoders)
    general = routing_simulation.simulate(turned, bent, 0.05, 20).weights
    np.testing.assert_allclose(general.encoders, short.encoders @ Q, atol=1e-7)


def test_seeds_in_a_batch_do_not_see_each_other(rng):
    task = tasks.routing(tasks.circulant_mask(4, 2))
    start = routing_simulation.orthogonal_weights(task, 8, 0.3, 3, rng)
    together = routing_simulation.simulate(start, task, 0.1, 50, record_every=10)
    alone = routing_simulation.Weights(start.encoders[1:2], start.shared[1:2], start.decoders[1:2])
    alone = routing_simulation.simulate(alone, task, 0.1, 50, record_every=10)
    np.testing.assert_allclose(together.trained[1], alone.trained[0], rtol=1e-12)
    assert together.steps.tolist() == [0, 10, 20, 30, 40, 50]


def test_errors_of_a_silent_network_are_half_the_squared_targets(rng):
    task = tasks.routing(tasks.circulant_mask(3, 1))
    tiny = routing_simulation.orthogonal_weights(task, 8, 1e-6, 2, rng)
    np.testing.assert_allclose(
        routing_simulation.route_errors(tiny, task), 0.5 * (task.Y**2).sum(), rtol=1e-9
    )


def test_recorded_errors_are_those_of_the_final_weights(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    run = routing_simulation.simulate(
        routing_simulation.orthogonal_weights(task, 8, 0.3, 2, rng), task, 0.1, 30
    )
    errors = routing_simulation.route_errors(run.weights, task)
    np.testing.assert_allclose(run.trained[:, -1], errors[:, task.mask].mean(axis=1))
    np.testing.assert_allclose(run.untrained[:, -1], errors[:, ~task.mask].mean(axis=1))
    full = tasks.routing(np.ones((3, 3), dtype=bool))
    assert np.isnan(routing_simulation.simulate(run.weights, full, 0.1, 1).untrained).all()


def test_random_codes_of_wide_networks_are_nearly_orthogonal_and_equal_codes_have_cosine_one(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    random = routing_simulation.orthogonal_weights(task, 500, 1.0, 4, rng)
    assert np.abs(routing_simulation.code_similarity(random, task)).max() < 4 / np.sqrt(500)
    same = routing_simulation.Weights(
        np.repeat(random.encoders[:, :1], 3, axis=1), random.shared, random.decoders
    )
    np.testing.assert_allclose(routing_simulation.code_similarity(same, task), 1.0)


@pytest.mark.parametrize("width", [3, 5, 9])
def test_start_has_equal_singular_values_at_any_width(rng, width):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    weights = routing_simulation.orthogonal_weights(task, width, 0.2, 2, rng)
    for W in (weights.encoders, weights.shared, weights.decoders):
        np.testing.assert_allclose(np.linalg.svd(W, compute_uv=False), 0.2)


def test_an_epoch_of_the_paper_takes_the_time_derived_for_its_seven_domains():
    task = tasks.routing(tasks.circulant_mask(7, 4))
    assert routing_simulation.epoch_time(task, 0.02) == pytest.approx(0.16)


def test_bad_settings_and_diverging_runs_are_named(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    with pytest.raises(ValueError, match="width"):
        routing_simulation.orthogonal_weights(task, 0, 0.1, 1, rng)
    start = routing_simulation.orthogonal_weights(task, 8, 0.3, 1, rng)
    with pytest.raises(ValueError, match="lr"):
        routing_simulation.simulate(start, task, 0.0, 1)
    with pytest.raises(FloatingPointError, match="diverged by step"), np.errstate(all="ignore"):
        routing_simulation.simulate(start, task, 100.0, 50)
    with pytest.raises(ValueError, match=r"weights.encoders needs shape \(n_seeds, 4"):
        routing_simulation.simulate(start, tasks.routing(tasks.circulant_mask(4, 2)), 0.1, 1)
    with pytest.raises(ValueError, match="^lr needs a number above 0"):
        routing_simulation.epoch_time(task, -0.1)
    with pytest.raises(ValueError, match="^b0 needs a number above 0"):
        routing_simulation.decoupled_weights(task, 8, np.nan, rng)
    single = tasks.routing([[True]])
    with pytest.raises(ValueError, match="at least two input domains"):
        routing_simulation.code_similarity(
            routing_simulation.orthogonal_weights(single, 8, 0.1, 1, rng), single
        )


def test_a_reflected_code_is_a_mirrored_route(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    U, s, Vt = np.linalg.svd(task.Y.T @ np.linalg.pinv(task.X.T), full_matrices=False)
    encoders = np.tile(np.diag(s) @ Vt, (1, 3, 1, 1))
    decoders = np.tile(U, (1, 3, 1, 1))
    encoders[0, 1, 0] *= -1
    flags = routing_simulation.mirrored(routing_simulation.Weights(encoders, np.eye(4)[None], decoders), task)
    assert flags.tolist() == [[[False] * 3, [True] * 3, [False] * 3]]


def test_a_decoupled_start_holds_only_the_modes_of_the_task_and_stays_so(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    start = routing_simulation.decoupled_weights(task, 6, 0.1, rng)
    run = routing_simulation.simulate(start, task, 0.05, 40, record_every=20, singular_values=True)
    for name, values in run.singular_values.items():
        assert values.shape == (1, 3, 4)
        np.testing.assert_allclose(values[0, 0], 0.1, atol=1e-14, err_msg=name)
    assert np.ptp(run.weights.encoders[0], axis=0).max() < 1e-14  # one code for all domains, for all times
    assert np.linalg.matrix_rank(run.weights.shared[0], tol=1e-12) == 4


def test_a_hidden_layer_too_narrow_for_the_modes_is_refused(rng):
    with pytest.raises(ValueError, match="^width needs a whole number of at least 4"):
        routing_simulation.decoupled_weights(tasks.routing(tasks.circulant_mask(3, 2)), 3, 0.1, rng)


def test_orientation_is_not_asked_of_a_hidden_layer_that_cannot_have_one(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    with pytest.raises(ValueError, match="^weights needs a width of at least 4"):
        routing_simulation.mirrored(routing_simulation.orthogonal_weights(task, 3, 0.2, 1, rng), task)


@pytest.mark.parametrize(("M", "width", "n_seeds"), [(1, 1, 1), (1, 3, 2), (3, 1, 1), (2, 4, 3)])
def test_the_weights_that_come_in_stay_as_they_are(M, width, n_seeds, rng):
    task = tasks.routing(np.ones((M, M)))
    start = routing_simulation.orthogonal_weights(task, width, 0.5, n_seeds, rng)
    before = {name: w.copy() for name, w in vars(start).items()}
    run = routing_simulation.simulate(start, task, 0.1, 5)
    for name, w in vars(start).items():
        np.testing.assert_array_equal(w, before[name])
        w.flags.writeable = False
        assert not np.shares_memory(w, getattr(run.weights, name))
    np.testing.assert_array_equal(routing_simulation.simulate(start, task, 0.1, 5).trained, run.trained)


def test_the_loss_is_what_a_small_step_lowers_by_its_squared_gradient(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    start = routing_simulation.orthogonal_weights(task, 6, 0.7, 1, rng)
    dt = 1e-6
    run = routing_simulation.simulate(start, task, dt, 1)
    squared = sum(
        np.square((getattr(run.weights, name) - getattr(start, name)) / dt).sum() for name in vars(start)
    )
    assert (run.loss[0, 0] - run.loss[0, 1]) / dt == pytest.approx(squared, rel=1e-4)


def test_nan_is_blamed_on_the_argument_that_holds_it_and_divergence_on_the_step(rng):
    task = tasks.routing(tasks.circulant_mask(3, 2))
    start = routing_simulation.orthogonal_weights(task, 4, 0.3, 1, rng)
    X = task.X.copy()
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"task\.X needs finite"):
        routing_simulation.simulate(start, tasks.RoutingTask(X, task.Y, task.mask), 0.1, 3)
    start.shared[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"weights\.shared needs finite"):
        routing_simulation.simulate(start, task, 0.1, 3)
    start.shared[0, 0, 0] = 0.3
    with pytest.raises(Diverged, match="diverged at step") as caught:  # long before a record is due
        routing_simulation.simulate(start, task, 50.0, 10**7, record_every=10**7)
    assert caught.value.step < 50


def test_small_inputs_with_unequal_variances_are_not_taken_for_white_ones(rng):
    """Inputs times c with encoders over c are the same problem, and the first step of the shared map the same."""
    X, Y = np.diag([1.0, 2.0, 3.0]), np.eye(3)
    start = routing_simulation.orthogonal_weights(tasks.routing([[True]], X, Y), 3, 0.5, 1, rng)
    c = 1e-9
    small = routing_simulation.Weights(start.encoders / c, start.shared, start.decoders)
    one = routing_simulation.simulate(start, tasks.routing([[True]], X, Y), 1e-3, 1).weights
    two = routing_simulation.simulate(small, tasks.routing([[True]], c * X, Y), 1e-3, 1).weights
    np.testing.assert_allclose(two.shared, one.shared, rtol=1e-12)
