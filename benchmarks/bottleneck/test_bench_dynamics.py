"""Steps of the bottleneck dynamics against the machine's own rate of matrix products.

``pytest -s benchmarks/bottleneck/test_bench_dynamics.py``; one thread, CPU time, best of five, interleaved.
"""

import numpy as np
import pytest

from benchmarks.timing import best_times
from gdln.bottleneck import architecture, dynamics
from gdln.bottleneck.architecture import Bottleneck
from gdln.kernels.moments import FullyConnected


def products(n, d, units, k):
    """Multiplications and additions of the matrix products of one step with tangent features."""
    forward = 2 * n * 2 * units * d  # pre-activations and their increments
    readout = 2 * 2 * n * units * k
    jacobian = 2 * n * k * 2 * units * d
    update = 2 * n * units * d + 2 * 2 * n * units * k
    lower = 2 * n * n * d
    return forward + readout + jacobian + update + lower


@pytest.mark.parametrize(("d", "k"), [(500, 1), (1000, 1), (100, 10)])
def test_a_step_runs_at_half_the_rate_of_a_matrix_product(d, k):
    rng = np.random.default_rng(0)
    n, units, steps = 500, 512, 4
    X, Y = rng.standard_normal((n, 64)), rng.standard_normal((n, k))
    net = Bottleneck(FullyConnected(1), FullyConnected(1), d)
    z0, f0 = rng.standard_normal((n, d)), architecture.draw_features(net, k, units, rng)
    A, B = rng.standard_normal((500, 500)), rng.standard_normal((500, 500))

    def train(n_steps):
        dynamics.tangent(net, X, Y, z0, f0, lr=1e-3, n_steps=n_steps, record_every=n_steps)

    few, many, product = best_times(
        lambda: train(1), lambda: train(1 + steps), lambda: [np.matmul(A, B) for _ in range(20)]
    )
    rate = steps * products(n, d, units, k) / (many - few)
    gemm = 20 * 2 * 500**3 / product
    print(f"\nd={d}, k={k}: {rate / 1e9:.1f} of {gemm / 1e9:.1f} GFlop/s, ratio {rate / gemm:.2f}")
    assert d < 500 or rate > gemm / 2
