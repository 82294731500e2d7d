"""Steps of the bottleneck dynamics against the machine's own rate of matrix products.

``pytest -s benchmarks/bottleneck/test_bench_dynamics.py``; one thread, CPU time, best of five, interleaved.
"""

import numpy as np
import pytest

from benchmarks import jobs
from benchmarks.timing import best_times


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
    n, units, steps = 500, 512, 4
    A, B = np.random.default_rng(0).standard_normal((2, 500, 500))
    few, many, product = best_times(
        *(jobs.bottleneck_steps(d, n, units, n_steps, k) for n_steps in (1, 1 + steps)),
        lambda: [np.matmul(A, B) for _ in range(20)],
    )
    rate = steps * products(n, d, units, k) / (many - few)
    gemm = 20 * 2 * 500**3 / product
    print(f"\nd={d}, k={k}: {rate / 1e9:.1f} of {gemm / 1e9:.1f} GFlop/s, ratio {rate / gemm:.2f}")
    assert d < 500 or rate > gemm / 2
