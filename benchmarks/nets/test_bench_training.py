"""Ensembles of small networks: one stacked run against a loop over modules, and the width where a loop is as fast."""

import pytest
import torch

from benchmarks.timing import best_times
from gdln.nets import training
from gdln.nets.mlp import MLP

N_MEMBERS, N_STEPS = 16, 20


def make(width):
    return [
        MLP([20, width, width, 5], "relu", generator=torch.Generator().manual_seed(seed))
        for seed in range(N_MEMBERS)
    ]


def loop(models, X, Y):
    """The plain way: one optimiser and one backward pass for each module."""
    for model in models:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(N_STEPS):
            optimizer.zero_grad(set_to_none=True)
            training.half_squared_error(model(X), Y).backward()
            optimizer.step()


def stacked(models, X, Y, chunk_size=None):
    training.ensemble(models, "squared", X, Y, 1e-3, N_STEPS, record_every=N_STEPS, chunk_size=chunk_size)


@pytest.mark.parametrize("width", [16, 64, 256, 512])
def test_stacked_ensemble_against_a_loop_over_modules(benchmark, width):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(40, 20, generator=generator, dtype=torch.float64)
    Y = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    models = make(width)
    one_by_one, together = best_times(lambda: loop(models, X, Y), lambda: stacked(models, X, Y))
    benchmark.extra_info["times faster than a loop"] = round(one_by_one / together, 2)
    benchmark.pedantic(stacked, (models, X, Y), rounds=3)
    if width <= 64:
        assert one_by_one / together > {16: 3, 64: 2.5}[width]
