"""The image experiment: rate of its products against plain matrix products, and where a step's time goes."""

import pytest
import torch

from benchmarks.timing import best_times
from gdln.data import tasks
from gdln.race import pathways

SHAPES = {"digits": (16, 50, 64, 64), "mnist": (16, 50, 784, 64), "mnist, paper's width": (16, 50, 784, 128)}


def pieces(shape, n_trained):
    """Pieces of one training step as callables, and the multiply-adds of its products."""
    M, n, D, H = shape
    generator = torch.Generator().manual_seed(0)
    net = pathways.PathwayNetwork(M, M, (D, H, H, 10), generator=generator, dtype=torch.float32)
    x = torch.rand(M, 2000, D, generator=generator)
    order = torch.randperm(2000, generator=generator)[:n]
    batch = x.index_select(1, order)
    targets = torch.randint(10, (M, n), generator=generator)
    outputs, weights = pathways.trained_routes(tasks.consecutive_mask(M, n_trained))
    W, S = net.encoders.detach(), net.shared.detach()
    decoders = net.decoders.detach()[outputs].reshape(M, -1, H)
    h = torch.randn(M, n, H, generator=generator)
    error = torch.randn(M, n, decoders.shape[1], generator=generator)
    flat = h.reshape(-1, H)

    def products():
        torch.bmm(batch, W.mT)
        torch.bmm(h.mT, batch)
        flat @ S.T, flat @ S, flat.T @ flat
        torch.bmm(h, decoders.mT)
        torch.bmm(error.mT, h)
        torch.bmm(error, decoders)

    _, gradients = pathways.loss_and_gradients(net, batch, targets, outputs, weights)
    parameters = [W.clone(), S.clone(), net.decoders.detach().clone()]
    velocity = [torch.zeros_like(p) for p in parameters]

    def momentum():
        for p, v, g in zip(parameters, velocity, gradients, strict=True):
            p.sub_(v.mul_(0.9).add_(g), alpha=1e-9)

    steps = {
        "gather": lambda: x.index_select(1, order),
        "products": products,
        "loss and gradients": lambda: pathways.loss_and_gradients(net, batch, targets, outputs, weights),
        "momentum": momentum,
    }
    return steps, 2 * M * n * D * H + 3 * M * n * H * H + 3 * M * n * decoders.shape[1] * H


@pytest.mark.parametrize("name", SHAPES)
def test_batched_products_reach_half_the_rate_of_plain_ones(benchmark, name):
    torch.set_num_threads(1)
    steps, work = pieces(SHAPES[name], n_trained=4)
    a, b = torch.randn(2, 500, 500)
    *seconds, plain = best_times(*steps.values(), lambda: a @ b, rounds=20, calls=20)
    times = dict(zip(steps, seconds, strict=True))
    rate = work / times["products"] / (500**3 / plain)
    times["losses and layout"] = times.pop("loss and gradients") - times["products"]
    benchmark.extra_info |= {f"{key} (ms)": round(1e3 * value, 3) for key, value in times.items()}
    benchmark.extra_info["rate against plain products"] = round(rate, 2)
    benchmark.pedantic(steps["loss and gradients"], rounds=5)
    assert rate > 0.5
