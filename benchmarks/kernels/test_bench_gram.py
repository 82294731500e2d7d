"""Kernels against their peers: neural-tangents (optional, its own environment) and torch's batched Jacobian.

``pytest -s benchmarks/kernels/test_bench_gram.py`` prints the times; every ratio is taken in one process, the two
sides interleaved, one thread, CPU time, best of five. To include neural-tangents, use the interpreter of the
environment that ``scripts/make_kernel_fixtures.py`` describes, with ``PYTHONPATH=.`` and OMP_NUM_THREADS=1.
"""

import numpy as np
import pytest
import torch

from benchmarks import jobs
from benchmarks.timing import best_times


def slope(sizes, seconds):
    return np.polyfit(np.log(sizes), np.log(seconds), 1)[0]


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_gram_matrix(benchmark, activation):
    benchmark(jobs.wide_kernels(1000, activation))


def test_gram_matrix_grows_as_the_square_of_the_samples():
    sizes = [1000, 2000, 4000]
    seconds = best_times(*(jobs.wide_kernels(n) for n in sizes))
    print(f"\nrelu, 3 layers: {dict(zip(sizes, seconds, strict=True))}, slope {slope(sizes, seconds):.2f}")
    assert 1.7 < slope(sizes, seconds) < 2.3


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("n", [1000, 2000])
def test_gram_matrix_is_twice_as_fast_as_jitted_neural_tangents(activation, n):
    pytest.importorskip("neural_tangents")
    ours, theirs = best_times(jobs.wide_kernels(n, activation), jobs.neural_tangents(n, activation))
    print(f"\n{activation}, N={n}: {ours:.3f} s against {theirs:.3f} s, ratio {theirs / ours:.1f}")
    assert theirs > 2 * ours


def test_empirical_kernel_is_twenty_times_as_fast_as_the_batched_jacobian():
    torch.set_num_threads(1)
    ours, peer = jobs.finite_kernel(512), jobs.batched_jacobian(512)
    np.testing.assert_allclose(ours()[:, 0, :, 0], peer().numpy(), rtol=1e-10, atol=1e-12)
    fast, slow = best_times(ours, peer)
    print(f"\nwidth 512, N=100: {fast:.4f} s against {slow:.3f} s, ratio {slow / fast:.0f}")
    assert slow > 20 * fast
