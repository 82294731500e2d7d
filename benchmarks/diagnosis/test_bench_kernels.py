"""The tangent kernel in blocks: time against that of its matrix products alone, and the memory it takes."""

import resource
import subprocess
import sys

import pytest
import torch
from torch import nn

from benchmarks.timing import best_times
from gdln.diagnosis.kernels import tangent_kernel
from gdln.diagnosis.networks import Network

N_SAMPLES = 1000


def network(width):
    """Three layers with about ``width`` squared parameters, one output, in single precision."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
    )


def convolutional(channels):
    """Two convolutions, whose rows have to be made, and a read-out."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, channels, 3), nn.ReLU(), nn.Conv2d(channels, channels, 3, stride=3),
        nn.ReLU(), nn.Flatten(), nn.Linear(4 * channels, 1),
    )  # fmt: skip


def products(rows, n_samples):
    """As many products as the lower triangle of the kernel needs, on rows that are there."""
    blocks = -(-n_samples // len(rows[0]))
    return [sum(a @ a.mT for a in rows) for _ in range(blocks * (blocks + 1) // 2)]


@pytest.mark.parametrize("make, size", [(network, 300), (network, 960), (convolutional, 100)])
def test_the_kernel_against_its_products_alone(benchmark, make, size):
    torch.set_num_threads(1)
    model = make(size)
    X = torch.randn(N_SAMPLES, 64, generator=torch.Generator().manual_seed(0))
    rows = [r.flatten(1) for r in Network(model).jacobian(X[:100])]
    whole, alone = best_times(lambda: tangent_kernel(model, X), lambda: products(rows, N_SAMPLES), rounds=2)
    benchmark.extra_info["parameters"] = Network(model).n_parameters
    benchmark.extra_info["times its products"] = round(whole / alone, 2)
    benchmark.pedantic(tangent_kernel, (model, X), rounds=1)
    assert whole / alone < 2


def test_a_million_parameters_and_a_thousand_samples_stay_below_two_gigabytes():
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 2.0


if __name__ == "__main__":
    torch.set_num_threads(1)
    tangent_kernel(network(960), torch.randn(N_SAMPLES, 64))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, bytes on a Mac
    print(peak / (2**30 if sys.platform == "darwin" else 2**20))
