"""Learning rules: batched seeds against loops, and the share of the machine's matrix-product rate.

``pytest -s benchmarks/alignment/test_bench_perceptrons.py`` prints the numbers; one process,
interleaved, one thread, CPU time, best of five.
"""

import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from benchmarks import jobs
from benchmarks.timing import best_times
from gdln.alignment import theory
from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.rules import RULES, Learner
from gdln.nets.mlp import MLP

torch.set_num_threads(1)


def models(width, n, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return [MLP([64, width, width, 10], "relu", "ntk", generator=g, dtype=dtype) for _ in range(n)]


def batch(n=50):
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 64, generator=g), torch.randn(n, 10, generator=g)


@pytest.mark.parametrize("rule", RULES)
def test_step(benchmark, rule):
    learner = Learner(Perceptrons.from_models(models(256, 3)), rule, torch.Generator().manual_seed(2))
    benchmark(learner.step, *batch(), 1e-3)


def loop_step(nets, x, y, lr):
    for net in nets:
        loss = (net(x) - y).square().sum() / (2 * len(x))
        for p, g in zip(net.parameters(), torch.autograd.grad(loss, list(net.parameters())), strict=True):
            with torch.no_grad():
                p.sub_(lr * g)


def test_ensembles_against_a_loop_over_modules():
    x, y = batch()
    ratios = {}
    for width in (16, 64, 256, 512):
        nets = models(width, 32)
        learner = Learner(Perceptrons.from_models(nets), "backprop")
        parameters, buffers = stack_module_state(nets)
        parameters = {k: p.detach().clone() for k, p in parameters.items()}

        def loss(p, b, net=nets[0]):
            return (functional_call(net, (p, b), (x,)) - y).square().sum() / (2 * len(x))

        gradient = vmap(torch.func.grad(loss))

        def vmap_step(parameters=parameters, buffers=buffers, gradient=gradient):
            for k, g in gradient(parameters, buffers).items():
                parameters[k].sub_(1e-4 * g)

        loop, batched, mapped = best_times(
            lambda nets=nets: loop_step(nets, x, y, 1e-4),
            lambda learner=learner: learner.step(x, y, 1e-4),
            vmap_step,
        )
        ratios[width] = loop / batched
        print(
            f"\nwidth {width}, 32 nets: loop / batched {loop / batched:.2f}, loop / vmap {loop / mapped:.2f}"
        )
    assert ratios[64] > 3


@pytest.mark.parametrize("rule", ["backprop", "align_zero", "align_ada"])
@pytest.mark.parametrize("width", [512, 1024])
def test_step_runs_at_half_the_rate_of_plain_products(rule, width):
    A, B = torch.randn(width, width), torch.randn(width, width)
    plain, step = best_times(lambda: A @ B, jobs.rule_step(width, rule))
    macs = 200 * (64 * width + width**2 + 10 * width)  # one pass forward
    passes = {"backprop": 3, "align_zero": 4, "align_ada": 4}[rule]  # forward(s), back, outer products
    macs = passes * macs - 200 * 64 * width  # no signal goes back to the inputs
    share = (macs / step) / (width**3 / plain)
    print(f"\n{rule}, width {width}: {share:.2f} of the product rate")
    assert share > 0.5


@pytest.mark.parametrize("width", [512, 1024])
def test_prediction_runs_at_half_the_rate_of_plain_products(width):
    rng = np.random.default_rng(0)
    W = [rng.standard_normal(s) for s in ((width, 64), (width, width), (10, width))]
    X, E = rng.standard_normal((200, 64)), rng.standard_normal((200, 10))
    gains, A = [1.0, 2**0.5, 2**0.5], rng.standard_normal((width, width))
    plain, job = best_times(lambda: A @ A, lambda: theory.predicted_changes(W, gains, X, E))
    macs = 200 * (2 * 64 * width + 3 * width**2 + 2 * 10 * width)
    share = (macs / job) / (width**3 / plain)
    print(f"\nprediction, width {width}: {share:.2f} of the product rate")
    assert share > 0.5


def test_a_step_grows_as_the_square_of_the_width():
    sizes = [512, 1024, 2048]
    seconds = best_times(*(jobs.rule_step(width) for width in sizes))
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    print(f"\nAlign-ada: {dict(zip(sizes, seconds, strict=True))}, slope {slope:.2f}")
    assert 1.6 < slope < 2.4
