"""Trained networks against the closed forms, and the digits experiments of the chapters, scaled down."""

from functools import partial

import numpy as np
import pytest
import torch

from gdln.alignment import theory
from gdln.alignment.convolutional import ConvolutionalNets
from gdln.alignment.experiments import (
    digits_task,
    measure_alignment,
    train_rule,
    train_with_prediction,
)
from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.rules import Learner

GAINS = [1.0, 2**0.5, 2**0.5]


def sources(seed):
    return {"rng": np.random.default_rng(seed), "generator": torch.Generator().manual_seed(seed)}


def pairs(n):
    return [tuple(torch.Generator().manual_seed(k + s) for k in (0, 1000)) for s in range(n)]


def test_alignment_grows_and_weights_become_lazy_with_width():
    scores = []
    for width in (32, 256):
        runs = [
            measure_alignment(t.x, t.y, width, 3, **sources(s))
            for s, t in enumerate(digits_task(100, np.random.default_rng(s)) for s in range(2))
        ]
        scores.append(runs)
    for name in ("gram", "cosine", "hebbian"):
        narrow, wide = (np.mean([getattr(r, name)[0] for r in runs], axis=0) for runs in scores)
        assert (wide > narrow).all() and (wide[:3] > 0.85).all()
    moved = [np.mean([r.moved[0] for r in runs], axis=0) for runs in scores]
    rates = np.log(moved[0] / moved[1]) / np.log(8)
    assert np.abs(rates - [0.5, 1, 1, 0.5]).max() < 0.2


def test_checkpoints_continue_one_run():
    task = digits_task(50, np.random.default_rng(0))
    once = measure_alignment(task.x, task.y, 16, 2, **sources(0), checkpoints=(20,))
    twice = measure_alignment(task.x, task.y, 16, 2, **sources(0), checkpoints=(7, 20))
    assert np.allclose(once.gram[0], twice.gram[1], atol=1e-12)
    assert np.allclose(once.loss[0], twice.loss[1], atol=1e-12)


def test_the_first_step_is_predicted_exactly():
    task = digits_task(50, np.random.default_rng(0))
    scores = measure_alignment(task.x, task.y, 16, 3, **sources(0), checkpoints=(1,))
    assert np.abs(scores.cosine - 1).max() < 1e-12


def test_wide_networks_follow_the_integrated_error_in_closed_form():
    # Deviations fall like N^-1/2; at N = 1024 about 5 per cent, here below 20 for small and large time.
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)).double()
    y = torch.randn(12, 2, generator=torch.Generator().manual_seed(1)).double()
    theta = theory.layer_kernels(x.numpy(), GAINS).ntk
    for steps in (5, 200):
        gaps = []
        for width in (64, 1024):
            net = Perceptrons.draw([6, width, width, 2], 1, generator=torch.Generator().manual_seed(2))
            learner, E, e0 = Learner(net, "backprop"), 0, (net.outputs(x)[0] - y).numpy()
            for _ in range(steps):
                E = E + 0.02 * (net.outputs(x)[0] - y).numpy()
                learner.step(x, y, 0.02)
            closed = theory.integrated_error(0.02 * steps, theta, e0)
            gaps.append(np.linalg.norm(E - closed) / np.linalg.norm(closed))
        assert gaps[1] < 0.2 and gaps[1] < 0.6 * gaps[0]


def test_feedback_signals_lose_their_overlap_with_the_gradient_as_the_width_grows():
    x = digits_task(60, np.random.default_rng(0)).x
    overlaps = []
    for width in (64, 4096):
        net = Perceptrons.draw([64, width, width, 1], 1, generator=torch.Generator().manual_seed(0))
        a = net.activities(x)
        one = torch.ones(1, len(x), 1).double()
        feedback = net.draw_feedback("feedback", torch.Generator().manual_seed(7))
        true = net.signals("backprop", a, a, net.weights, None, one)[0][0]
        random = net.signals("feedback", a, a, net.weights, feedback, one)[0][0]
        overlaps.append(float(torch.linalg.norm(random @ true.T) / torch.linalg.norm(true @ true.T)))
    assert overlaps[1] < 0.08 < overlaps[0]


def test_align_needs_width_and_feedback_does_not_profit_from_it():
    tasks = [digits_task(1000, np.random.default_rng(s), dtype=torch.float32) for s in range(2)]
    acc = {
        (rule, width): train_rule(
            rule,
            tasks,
            partial(Perceptrons.draw, [64, width, width, width, 10], 1, dtype=torch.float32),
            generators=pairs(2),
            n_epochs=20,
            lrs=(0.1, 1.0),
        ).accuracy.mean()
        for rule in ("backprop", "align_zero", "readout")
        for width in (16, 256)
    }
    assert acc["backprop", 16] - acc["align_zero", 16] > 0.2
    assert abs(acc["backprop", 256] - acc["align_zero", 256]) < 0.05
    assert acc["readout", 256] < acc["align_zero", 256]


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


def test_alignment_of_convolutional_networks_grows_with_width():
    task = digits_task(200, np.random.default_rng(0), flat=False, dtype=torch.float32)
    cosines = []
    for channels in (4, 48):
        net = ConvolutionalNets(channels, (1, 2), 10, 2, generator=torch.Generator().manual_seed(0))
        pairs = zip(
            *train_with_prediction(net, task.x, task.y, 1.0, 4, generator=torch.Generator().manual_seed(1)),
            strict=True,
        )
        cosines.append(
            [torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1)).mean() for a, b in pairs]
        )
    assert all(wide > narrow for narrow, wide in zip(*cosines, strict=True))


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
