"""Time four jobs on the CPU and on another device, by the same calls.

    python -m benchmarks.device                   on the card, which writes book/data/device.json
    python -m benchmarks.device --device cuda:1   on another one
    python -m benchmarks.device --reduced         tiny sizes, printed and not stored, to see that it works

One short run for a machine with a card that is lent for minutes. Times of the wall, the best of some rounds after one
that warms up, on all cores of the CPU; every job ends with a number that comes back, so that nothing is left undone.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.costs import routes_on_images
from benchmarks.report import PACKAGES, machine
from gdln import checks, results
from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.rules import Learner
from gdln.kernels.gram import gram
from gdln.kernels.moments import FullyConnected
from gdln.renormalization import langevin

CPU = torch.device("cpu")


@dataclass(frozen=True)
class DeviceJob:
    """One job.

    Attributes
    ----------
    name, module : str
        What is done, and where.
    size : str
        What ``at`` counts.
    at, reduced : int
        The size that is stored, and the one of ``--reduced``.
    make : callable
        Of size and device; returns the call that is timed, whose result is a number.
    same : bool
        Whether that number is the same everywhere, to rounding.
    """

    name: str
    module: str
    size: str
    at: int
    reduced: int
    make: Callable
    same: bool = True


def seeded(device="cpu"):
    return torch.Generator(device).manual_seed(0)


def chains(n_chains, device, noise="cpu", width=256, n_samples=200, n_steps=20):
    """Steps of Langevin chains in single precision; the noise is drawn on the CPU or on the device."""
    rng = np.random.default_rng(0)
    net = langevin.GatedNet(64, 10, width)
    X, G, y = (
        rng.standard_normal((n_samples, 64)),
        rng.random((n_samples, 10)),
        rng.standard_normal(n_samples),
    )
    data = net.data(X, G, torch.float32, device=device)
    y = torch.tensor(y, dtype=torch.float32, device=device)
    generator = seeded(device if noise == "there" else "cpu")
    state = langevin.Ensemble(net, n_chains, 1.0, generator, torch.float32, device=device)

    def steps():
        for _ in range(n_steps):
            residual = state.move(data, y, 1e-5, 0.1)
        return float(residual.square().mean())

    return steps


def chains_with_their_own_noise(n_chains, device):
    return chains(n_chains, device, noise="there")


def rule_steps(width, device, n_steps=20):
    """Steps of Align-ada on ten networks of three layers at a time, minibatches of 200."""
    options = {"generator": seeded(), "dtype": torch.float32, "device": device}
    learner = Learner(Perceptrons.draw([784, width, width, 10], 10, **options), "align_ada")
    x = torch.randn(200, 784, generator=seeded()).to(device)
    y = torch.randn(200, 10, generator=seeded()).to(device)

    def steps():
        for _ in range(n_steps):
            loss = learner.step(x, y, 1e-3)
        return float(loss.mean())

    return steps


def kernels(n, device):
    """Both matrices of three ReLU layers in double precision: by NumPy on the CPU, by torch elsewhere."""
    X = np.random.default_rng(0).standard_normal((n, 64))
    named = None if torch.device(device).type == "cpu" else device

    def matrices():
        found = gram(FullyConnected(3, "relu"), X, device=named)
        return float(found.nngp[0, -1] + found.ntk[0, -1])

    return matrices


JOBS = (
    DeviceJob("twenty Langevin steps, noise of the CPU", "gdln.renormalization.langevin", "chains", 1000, 3, chains),
    DeviceJob("the same, noise drawn on the device", "gdln.renormalization.langevin", "chains", 1000, 3,
              chains_with_their_own_noise, same=False),
    DeviceJob("gradients of an epoch of routed images", "gdln.race.pathways", "domains", 40, 4, routes_on_images),
    DeviceJob("twenty steps of Align-ada, ten networks", "gdln.alignment.rules", "units a layer", 2048, 8, rule_steps),
    DeviceJob("NNGP and tangent kernel, three ReLU layers", "gdln.kernels.gram", "samples", 20_000, 30, kernels),
)  # fmt: skip


def best(call, rounds):
    """Return the shortest time of the wall, in seconds, and the number that the last call gave."""
    call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        value = call()
        seconds.append(time.perf_counter() - start)
    return min(seconds), value


def measured(job, device, rounds=3):
    """Return a row: seconds on the CPU and on the device, how many times faster it is, how far the results differ."""
    found = [best(job.make(job.at, where), rounds) for where in (CPU, device)]
    (cpu, here), (other, there) = found
    about = {"job": job.name, "module": job.module, "size": job.size, "at": job.at}
    return about | {
        "cpu": cpu,
        "device": other,
        "faster": cpu / other,
        "difference": abs(there - here) / max(abs(here), 1e-30) if job.same else None,
    }


def name_of(device):
    """Return what the device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def main(argv=None):
    """Measure, and store unless reduced."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="what torch calls it (cuda)")
    parser.add_argument("--reduced", action="store_true", help="tiny sizes, printed and not stored")
    wanted = parser.parse_args(argv)
    try:
        device = checks.torch_device("--device", wanted.device)
    except ValueError as error:
        sys.exit(str(error))
    rows = []
    for job in JOBS:
        rows.append(measured(replace(job, at=job.reduced) if wanted.reduced else job, device))
        print(json.dumps(rows[-1]), flush=True)
    about = {"machine": machine(), "threads": torch.get_num_threads(), "device": name_of(device)}
    if not wanted.reduced:
        print(results.save("device", about, rows, PACKAGES))


if __name__ == "__main__":
    main()
