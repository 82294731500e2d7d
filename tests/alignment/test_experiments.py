"""The experiments on digits: what they cut, what they add up on the side, and what they refuse."""

from functools import partial

import numpy as np
import pytest
import torch

from gdln.alignment import theory
from gdln.alignment.convolutional import ConvolutionalNets
from gdln.alignment.experiments import (
    digits_task,
    image_task,
    measure_alignment,
    train_rule,
    train_with_prediction,
)
from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.rules import Learner
from gdln.data import images


def sources(seed):
    return {"rng": np.random.default_rng(seed), "generator": torch.Generator().manual_seed(seed)}


def pairs(n):
    return [tuple(torch.Generator().manual_seed(k + s) for k in (0, 1000)) for s in range(n)]


def test_checkpoints_continue_one_run():
    task = digits_task(50, np.random.default_rng(0))
    once = measure_alignment(task.x, task.y, 16, 2, **sources(0), checkpoints=(20,))
    twice = measure_alignment(task.x, task.y, 16, 2, **sources(0), checkpoints=(7, 20))
    assert np.allclose(once.gram[0], twice.gram[1], atol=1e-12)
    assert np.allclose(once.loss[0], twice.loss[1], atol=1e-12)


def test_bad_input_is_refused():
    task = digits_task(50, np.random.default_rng(0))
    with pytest.raises(ValueError, match="^checkpoints needs numbers of steps that increase"):
        measure_alignment(task.x, task.y, 8, 2, **sources(0), checkpoints=(5, 5))
    with pytest.raises(
        ValueError, match="^n_validation needs a whole number of at least 0 and of at most 97"
    ):
        digits_task(1700, np.random.default_rng(0))
    with pytest.raises(ValueError, match="generators needs a pair for each of 2 tasks"):
        train_rule("backprop", [task, task], partial(Perceptrons.draw, [64, 10], 1), generators=pairs(3))


def test_the_running_prediction_is_the_full_batch_formula():
    task = digits_task(50, np.random.default_rng(0))
    net = Perceptrons.draw([64, 20, 10], 1, generator=torch.Generator().manual_seed(0))
    W0 = [W[0].numpy().copy() for W in net.weights]
    again = Perceptrons([torch.from_numpy(W)[None].clone() for W in W0], net.multipliers, net.activations)
    _, predicted = train_with_prediction(
        net, task.x, task.y, 0.3, 10, generator=torch.Generator().manual_seed(1), batch_size=50
    )
    E, learner = 0.0, Learner(again, "backprop")
    for _ in range(10):
        E = E + 0.3 * (again.outputs(task.x)[0] - task.y).numpy()
        learner.step(task.x, task.y, 0.3)
    formula = theory.predicted_changes(W0, [1.0, 2**0.5], task.x.numpy(), E)
    for a, b in zip(predicted, formula, strict=True):
        assert np.abs(a[0].numpy() - b).max() < 1e-12


def test_a_rule_trains_any_stack_and_every_rate_is_a_run_of_its_own():
    few = {"n_validation": 50, "n_test": 50, "flat": False, "dtype": torch.float32}
    tasks = [digits_task(100, np.random.default_rng(s), **few) for s in (0, 1)]
    draw = partial(ConvolutionalNets, 4, (1, 2), 10, 1)

    def table(rule, *lrs):
        run = train_rule(rule, tasks, draw, generators=pairs(2), lrs=lrs, n_epochs=3)
        assert run.table.shape == (len(lrs), 2)
        np.testing.assert_array_equal(run.accuracy, run.table[[lrs.index(lr) for lr in run.lr], [0, 1]])
        return run.table

    np.testing.assert_array_equal(table("backprop", 2.0, 6.0)[0], table("backprop", 2.0)[0])
    same, other = (
        table("feedback", 6.0, 6.0),
        table("feedback", 6.0, 0.0),
    )  # one draw of the feedback for all rates
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[0], other[0])


def test_tasks_of_images_are_three_disjoint_parts_in_either_shape():
    rows, pictures = (
        digits_task(40, np.random.default_rng(3), n_validation=20, n_test=30, flat=flat)
        for flat in (True, False)
    )
    assert pictures.x.shape == (40, 1, 8, 8) and pictures.x_test.shape == (30, 1, 8, 8)
    assert torch.equal(rows.x_validation, pictures.x_validation.view(20, 64))
    torch.testing.assert_close((rows.x**2).sum(1), torch.full((40,), 64.0).double())
    everything = torch.cat([rows.x, rows.x_validation, rows.x_test])
    assert len(everything.unique(dim=0)) == 90
    assert torch.equal(rows.y.argmax(1), rows.labels) and abs(rows.y.sum(1)).max() < 1e-12


def test_tasks_of_colour_images_have_their_channels_first_and_those_without_rows_are_only_flat():
    X, labels = np.random.default_rng(0).random((9, 60)), np.arange(9)
    parts = {"n_train": 5, "n_validation": 2, "n_test": 2}
    colour = images.ImageSet(X, labels, (3, 4, 5))
    task = image_task(colour, rng=np.random.default_rng(1), **parts, flat=False)
    rows = image_task(colour, rng=np.random.default_rng(1), **parts)
    assert task.x.shape == (5, 3, 4, 5) and task.x_test.shape == (2, 3, 4, 5)
    assert torch.equal(task.x_validation.flatten(1), rows.x_validation)
    for shape in ((60,), (1, 3, 4, 5)):
        other = images.ImageSet(X, labels, shape)
        assert torch.equal(image_task(other, rng=np.random.default_rng(1), **parts).x, rows.x)
        with pytest.raises(ValueError, match="^image_set needs rows and columns"):
            image_task(other, rng=np.random.default_rng(1), **parts, flat=False)
