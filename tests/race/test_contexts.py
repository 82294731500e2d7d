"""Items in contexts: the task, networks of modules, fixed gates."""

import numpy as np
import pytest

from gdln.data import tasks
from gdln.race import contexts, graph
from gdln.race.bases import diagonalise
from gdln.race.reduction import reduce_flow


def layers(task, width, n_seeds=2, scale=0.1, seed=0):
    rng = np.random.default_rng(seed)
    W1 = scale * rng.standard_normal((n_seeds, width, task.X.shape[1]))
    return W1, scale * rng.standard_normal((n_seeds, task.Y.shape[1], width))


def test_a_group_of_properties_is_on_only_in_its_context():
    task = contexts.items_in_contexts(3)
    groups = task.Y.reshape(3, 4, 4, 7)
    for c in range(3):
        for k in range(3):
            assert groups[c, :, 1 + k].any() == (c == k)
    assert np.array_equal(groups[0, :, 0], groups[2, :, 0])


def test_contexts_pair_the_items_in_different_ways():
    groups = contexts.items_in_contexts(3).Y.reshape(3, 4, 4, 7)
    partner = [np.argmax(groups[c, 1:, 1 + c] @ groups[c, 0, 1 + c]) for c in range(3)]
    assert len(set(partner)) == 3


@pytest.mark.parametrize("modules", ([(0, 1)], [(0,), (1,)]))
def test_modules_that_are_never_open_together_reduce_exactly(modules):
    task = contexts.items_in_contexts(2)
    _, statistics = contexts.module_network(task, contexts.module_gates(task, modules), 4)
    assert diagonalise(statistics).residual < 1e-10


def test_modules_that_overlap_do_not_diagonalise():
    task = contexts.items_in_contexts(2)
    _, statistics = contexts.module_network(task, contexts.module_gates(task, [(0, 1), (0,), (1,)]), 4)
    with pytest.raises(ValueError, match="do not diagonalise"):
        reduce_flow(statistics)


def test_one_step_of_fixed_gates_is_the_path_sum_gradient():
    task = contexts.items_in_contexts(2)
    gates = contexts.module_gates(task, [(0, 1), (0,), (1,)])
    net, statistics = contexts.module_network(task, gates, 4)
    W1, W2 = layers(task, 12, n_seeds=1)
    weights = {f"x->h{m}": W1[0, 4 * m : 4 * m + 4] for m in range(3)}
    weights |= {f"h{m}->y": W2[0, :, 4 * m : 4 * m + 4] for m in range(3)}
    lr = 1e-2
    slope = graph.gradient(statistics, weights)
    after = {e: w - lr * slope[e] for e, w in weights.items()}
    loss = contexts.simulate_gates(W1, W2, np.repeat(gates, 4, axis=1), task, lr, 1).loss
    expected = [graph.loss(statistics, weights), graph.loss(statistics, after)]
    np.testing.assert_allclose(loss[0], expected, rtol=1e-12)


def test_relu_gates_reproduce_the_relu():
    task = contexts.items_in_contexts(3)
    W1, _ = layers(task, 10)
    before = task.X @ W1.swapaxes(-1, -2)
    np.testing.assert_array_equal(contexts.relu_gates(W1, task) * before, np.maximum(before, 0))


def test_bad_arguments_are_named():
    task = contexts.items_in_contexts(2)
    W1, W2 = layers(task, 4)
    with pytest.raises(ValueError, match="^n_contexts needs a whole number of at least 1 and of at most 3"):
        contexts.items_in_contexts(4)
    with pytest.raises(ValueError, match="open in some context"):
        contexts.module_gates(task, [(0,), (7,)])
    with pytest.raises(ValueError, match=r"^gates needs shape \(..., 8, 4\)"):
        contexts.simulate_gates(W1, W2, np.ones((8, 3)), task, 0.1, 1)
    with pytest.raises(ValueError, match="lr needs a number above 0"):
        contexts.simulate_gates(W1, W2, np.ones((8, 4)), task, 0.0, 1)
    with pytest.raises(FloatingPointError, match="diverged at step"):
        contexts.simulate_gates(W1, W2, np.ones((8, 4)), task, 50.0, 200)


def test_nan_is_blamed_on_the_argument_that_holds_it():
    task = contexts.items_in_contexts(2)
    W1, W2 = layers(task, 4)
    gates = np.ones((8, 4))
    for name in ("W1", "W2", "gates"):
        given = {"W1": W1.copy(), "W2": W2.copy(), "gates": gates.copy()}
        given[name].flat[0] = np.nan
        with pytest.raises(ValueError, match=f"^{name} needs finite"):
            contexts.simulate_gates(task=task, lr=0.1, n_steps=2, **given)


def test_inputs_name_the_item_and_then_the_context():
    task = contexts.items_in_contexts(2)
    np.testing.assert_array_equal(task.X[:, :4], np.tile(np.eye(4), (2, 1)))
    np.testing.assert_array_equal(task.X[:, 4:], np.repeat(np.eye(2), 4, axis=0))
    np.testing.assert_array_equal(task.context, np.repeat([0, 1], 4))


@pytest.mark.parametrize(
    ("n_contexts", "heights", "name"),
    [(0, (1, 1, 1), "n_contexts"), (4, (1, 1, 1), "n_contexts"), (2, (1, 1), "heights")],
)
def test_contexts_and_heights_that_cannot_be_are_refused(n_contexts, heights, name):
    with pytest.raises(ValueError, match=f"^{name} needs"):
        contexts.items_in_contexts(n_contexts, heights)
    assert len(contexts.items_in_contexts(1).X) == 4 and len(contexts.items_in_contexts(3).X) == 12


def test_no_modules_at_all_are_refused():
    with pytest.raises(ValueError, match="^modules needs"):
        contexts.module_gates(contexts.items_in_contexts(2), [])


def test_losses_are_recorded_at_the_start_and_every_so_many_steps():
    task = contexts.items_in_contexts(2)
    W1, W2 = layers(task, 4)
    gates = np.ones((8, 4))
    each = contexts.simulate_gates(W1, W2, gates, task, 0.2, 7)
    some = contexts.simulate_gates(W1, W2, gates, task, 0.2, 7, record_every=3)
    np.testing.assert_array_equal(some.steps, [0, 3, 6])
    np.testing.assert_allclose(some.times, [0, 0.6, 1.2], rtol=1e-15)
    np.testing.assert_array_equal(some.loss, each.loss[:, [0, 3, 6]])
    start = contexts.simulate_gates(W1, W2, gates, task, 0.2, 0)
    np.testing.assert_array_equal(start.loss, each.loss[:, :1])


def test_layers_and_gates_that_do_not_fit_are_refused_whichever_is_wrong():
    task = contexts.items_in_contexts(2)
    W1, W2 = layers(task, 4)
    for name, wrong in (
        ("W2", {"W2": W2[..., :3]}),
        ("W2", {"W1": W1[:, :3]}),
        ("gates", {"gates": np.ones((7, 4))}),
        ("gates", {"gates": np.ones((8, 3))}),
    ):
        with pytest.raises(ValueError, match=f"^{name} needs"):
            contexts.simulate_gates(
                **{"W1": W1, "W2": W2, "gates": np.ones((8, 4)), **wrong}, task=task, lr=0.1, n_steps=1
            )


def test_a_neuron_at_its_kink_is_closed():
    task = contexts.items_in_contexts(2)
    W1 = np.zeros((1, 2, 6))
    W1[0, 0, 0] = 1.0
    expected = np.zeros((8, 2))
    expected[[0, 4], 0] = 1.0  # the first item, in either context
    np.testing.assert_array_equal(contexts.relu_gates(W1, task)[0], expected)


def test_every_context_asks_for_each_leaf_once_and_pairs_the_items_in_its_own_way():
    _, tree = tasks.hierarchical((3.0, 2.0, 1.0))
    groups = contexts.items_in_contexts(3, (3.0, 2.0, 1.0)).Y.reshape(3, 4, 4, 7)
    pairs = ([(0, 1), (2, 3)], [(0, 2), (1, 3)], [(0, 3), (1, 2)])
    for c in range(3):
        np.testing.assert_array_equal(groups[c, :, 0], tree)
        own = groups[c, :, 1 + c]
        assert sorted(map(tuple, own)) == sorted(map(tuple, tree))
        similar = own @ own.T
        assert [(i, j) for i in range(4) for j in range(i + 1, 4) if similar[i, j] > similar.min()] == pairs[
            c
        ]


def test_gates_are_those_of_all_seeds_or_of_each():
    task = contexts.items_in_contexts(2)
    W1, W2 = layers(task, 3, n_seeds=3)
    gates = np.random.default_rng(1).integers(0, 2, (3, len(task.X), 3)).astype(float)
    run = contexts.simulate_gates(W1, W2, gates, task, 0.1, 2).loss
    for seed in range(3):
        alone = contexts.simulate_gates(W1[[seed]], W2[[seed]], gates[seed], task, 0.1, 2).loss
        np.testing.assert_allclose(run[seed], alone[0], rtol=1e-12)
    shared = [contexts.simulate_gates(W1, W2, g, task, 0.1, 2).loss for g in (gates[0], gates[:1])]
    np.testing.assert_allclose(*shared, rtol=1e-12)
    with pytest.raises(ValueError, match="gates needs gates of 3 seeds"):
        contexts.simulate_gates(W1, W2, gates[:2], task, 0.1, 2)
