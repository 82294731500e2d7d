"""Trained networks against the closed forms, and the digits experiments of the chapters, scaled down."""

from functools import partial
from itertools import product

import numpy as np
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


def test_the_first_step_is_predicted_exactly():
    task = digits_task(50, np.random.default_rng(0))
    scores = measure_alignment(task.x, task.y, 16, 3, **sources(0), checkpoints=(1,))
    assert np.abs(scores.cosine - 1).max() < 1e-12


def test_wide_networks_follow_the_integrated_error_in_closed_form():
    # Deviations fall like N^-1/2; at N = 512 they are 0.5 per cent for small and 3 for large time.
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)).double()
    y = torch.randn(12, 2, generator=torch.Generator().manual_seed(1)).double()
    theta = theory.layer_kernels(x.numpy(), GAINS).ntk
    for steps in (5, 200):
        gaps = []
        for width in (64, 512):
            net = Perceptrons.draw([6, width, width, 2], 1, generator=torch.Generator().manual_seed(2))
            learner, E, e0 = Learner(net, "backprop"), 0, (net.outputs(x)[0] - y).numpy()
            for _ in range(steps):
                E = E + 0.02 * (net.outputs(x)[0] - y).numpy()
                learner.step(x, y, 0.02)
            closed = theory.integrated_error(0.02 * steps, theta, e0)
            gaps.append(np.linalg.norm(E - closed) / np.linalg.norm(closed))
        assert gaps[1] < 0.2 and gaps[1] < 0.6 * gaps[0]


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
        for rule, width in [*product(("backprop", "align_zero"), (16, 128)), ("readout", 128)]
    }
    assert acc["backprop", 16] - acc["align_zero", 16] > 0.2
    assert abs(acc["backprop", 128] - acc["align_zero", 128]) < 0.05
    assert acc["readout", 128] < acc["align_zero", 128]


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
