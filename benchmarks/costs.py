"""Time and memory of what each stored experiment repeats, at three sizes, and where a machine of 64 GB ends.

    python -m benchmarks.costs        writes book/data/costs.json, which the page on large experiments shows

Each measurement is a process of its own, one thread: CPU time of one call, after one that warms up, and the peak of its
memory above that of a process that only imports.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import jobs
from benchmarks.report import PACKAGES, machine
from course import memory
from gdln import results
from gdln.data import tasks
from gdln.race import graph, pathways
from gdln.race.bases import diagonalise

NODE = 64e9


@dataclass(frozen=True)
class Cost:
    """What one experiment repeats.

    Attributes
    ----------
    name, results : str
        The work, and the stored results that are made of it.
    size : str
        What grows; everything else stays as in the experiment.
    sizes : tuple of int
        Three sizes.
    run : callable
        Of a size; returns the call that is measured.
    time, memory : float
        Exponents on paper, for large sizes.
    """

    name: str
    results: str
    size: str
    sizes: tuple
    run: Callable
    time: float
    memory: float


def routes_on_images(n_domains, device="cpu", n_images=1000, n_pixels=784, width=64):
    """An epoch of minibatches of 50 a domain; every domain has its own order of the pixels, so its own images."""
    generator = torch.Generator().manual_seed(0)
    net = pathways.PathwayNetwork(
        n_domains,
        n_domains,
        (n_pixels, width, width, 10),
        generator=generator,
        dtype=torch.float32,
        device=device,
    )
    x = torch.rand(n_domains, n_images, n_pixels, generator=generator).to(device)
    targets = torch.randint(10, (n_domains, n_images), generator=generator).to(device)
    outputs, weights = pathways.trained_routes(tasks.consecutive_mask(n_domains, 4), device=device)

    def epoch():
        for first in range(0, n_images, 50):
            batch = slice(first, first + 50)
            batch = x[:, batch].contiguous(), targets[:, batch]
            loss, _ = pathways.loss_and_gradients(net, *batch, outputs, weights)
        return float(loss)

    return epoch


def routing_network(n_domains, n_trained):
    """Graph, data and gates of the routing task on the hierarchical items."""
    task = tasks.routing(tasks.circulant_mask(n_domains, n_trained))
    items, n_inputs, n_outputs = len(task.X), task.X.shape[1], task.Y.shape[1]
    nodes = {f"x{i}": n_inputs for i in range(n_domains)} | {"h": items, "k": items}
    nodes |= {f"y{i}": n_outputs for i in range(n_domains)}
    edges = [(f"x{i}", "h") for i in range(n_domains)] + [("h", "k")]
    edges += [("k", f"y{i}") for i in range(n_domains)]
    source, target = (np.repeat(task.routes[:, side], items) for side in (0, 1))
    x = {f"x{i}": np.tile(task.X, (len(task.routes), 1)) for i in range(n_domains)}
    y = {f"y{i}": np.tile(task.Y, (len(task.routes), 1)) * (target == i)[:, None] for i in range(n_domains)}
    gates = {f"x{i}->h": source == i for i in range(n_domains)}
    gates |= {f"k->y{i}": target == i for i in range(n_domains)}
    return graph.GatedGraph(nodes, edges), x, y, gates


def common_bases(n_domains, n_trained=4):
    """Statistics of a routing network and the bases that all its paths share."""
    data = routing_network(n_domains, n_trained)
    return lambda: diagonalise(graph.correlations(*data))


COSTS = [
    Cost("an epoch on images, 4 partners a domain", "race_digits, race_mnist", "domains $M$", (8, 16, 32),
         routes_on_images, 1, 1),
    Cost("statistics and common bases of a routing network", "the chapters on the race", "domains $M$",
         (10, 20, 40), common_bases, 2, 2),
    Cost("action of a gated network and its gradient", "ggdln_digits, ggdln_mnist", "samples $P$",
         (500, 1000, 2000), jobs.saddle_gradient, 3, 2),
    Cost("gradient of a gated network", "ggdln_langevin", "samples, inputs and width", (500, 1000, 2000),
         jobs.gated_gradient, 2, 2),
    Cost("four steps of a network with a bottleneck", "bottleneck_acceleration, bottleneck_mnist",
         "samples $P$", (500, 1000, 2000), lambda n: jobs.bottleneck_steps(100, n), 2, 2),
    Cost("right-hand side of the flow", "convergence_generalisation", "samples and units", (500, 1000, 2000),
         jobs.flow_slope, 3, 2),
    Cost("a step of Align-ada, three layers", "alignment_rules, alignment_scores", "width $N$",
         (1024, 2048, 4096), jobs.rule_step, 2, 2),
    Cost("NNGP and tangent kernel, three layers", "kernel predictors of all parts", "samples $P$",
         (1000, 2000, 4000), jobs.wide_kernels, 2, 2),
]  # fmt: skip


def one(name, size):
    """Measure one size in this process; prints JSON."""
    torch.set_num_threads(1)
    run = next(cost for cost in COSTS if cost.name == name).run
    before = memory.peak()
    call = run(size)
    call()
    start = time.process_time()
    call()
    print(json.dumps({"seconds": time.process_time() - start, "bytes": 2**20 * (memory.peak() - before)}))


def exponent(sizes, values):
    """Return the slope of a straight line through three points on logarithmic axes."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main():
    """Measure all, in processes of their own."""
    rows = []
    for cost in COSTS:
        found = []
        for size in cost.sizes:
            command = [sys.executable, "-m", "benchmarks.costs", cost.name, str(size)]
            found.append(
                json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            )
        seconds, memory = ([row[key] for row in found] for key in ("seconds", "bytes"))
        ends = cost.sizes[-1] * (NODE / memory[-1]) ** (1 / cost.memory)
        rows.append(
            {"work": cost.name, "results": cost.results, "size": cost.size, "sizes": list(cost.sizes),
             "seconds": seconds, "megabytes": [m / 1e6 for m in memory],
             "time on paper": cost.time, "time": exponent(cost.sizes, seconds),
             "memory on paper": cost.memory, "memory": exponent(cost.sizes, memory), "ends": ends}
        )  # fmt: skip
        print(json.dumps(rows[-1]))
    print(results.save("costs", {"machine": machine(), "threads": 1, "node": NODE}, rows, PACKAGES))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        one(sys.argv[1], int(sys.argv[2]))
    else:
        main()
