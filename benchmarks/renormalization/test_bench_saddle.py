"""Saddle point of gated networks: cost of one evaluation, of a solve, of a sweep; growth; against autograd.

Ratios are taken in one process, interleaved, on CPU time with the best of several repeats; run with one thread.
"""

import time

import numpy as np
import torch

from benchmarks import jobs
from benchmarks.timing import best_times
from gdln import renormalization as rn
from gdln.renormalization import scalar

torch.set_num_threads(1)


def test_value_and_gradient_cost_at_most_two_factorisations_with_inverse(benchmark):
    ours = jobs.saddle_gradient(500)
    best = best_times(ours, jobs.factor_and_inverse(500), rounds=9)
    benchmark.extra_info["ratio"] = best[0] / best[1]
    benchmark(ours)
    assert best[0] < 2 * best[1]


def test_value_and_gradient_beat_autograd(benchmark):
    p, ours, autograd = jobs.saddle_problem(500), jobs.saddle_gradient(500), jobs.saddle_autograd(500)
    gradient = rn.action(p.kernel, p.y, [np.eye(10)], widths=500, temperature=0.1)[1][0]
    np.testing.assert_allclose(gradient, autograd().numpy(), atol=1e-8 * np.abs(gradient).max())
    best = best_times(ours, autograd, rounds=9)
    benchmark.extra_info["ratio"] = best[1] / best[0]
    benchmark(ours)
    assert best[1] > 2.5 * best[0]


def test_cost_grows_as_the_cube_of_samples_and_hardly_with_gates(benchmark):
    sizes, gates = (500, 1000, 2000), (5, 10, 20)
    by_size = best_times(*(jobs.saddle_gradient(n, n_inputs=100) for n in sizes), rounds=3)
    by_gates = best_times(*(jobs.saddle_gradient(500, m) for m in gates), rounds=9)
    slopes = [np.polyfit(np.log(a), np.log(t), 1)[0] for a, t in ((sizes, by_size), (gates, by_gates))]
    benchmark.extra_info["slopes"] = slopes
    benchmark(jobs.saddle_gradient(500, 20))
    assert 2.0 < slopes[0] < 3.2 and slopes[1] < 0.3


def test_a_cold_solve_needs_25_evaluations_and_a_warm_one_5(benchmark):
    cold, warm = {}, {}
    widths = np.geomspace(1000, 200, 20)
    for n in (100, 200, 400):
        p = jobs.saddle_problem(n, 10, sigma2=2.0)
        options = {"sigma2": 2.0, "temperature": 0.1, "tolerance": 1e-8}
        cold[n] = rn.solve(p.kernel, p.y, widths=n, **options).evaluations
        path = rn.width_path(p.kernel, p.y, widths=widths * n / 200, **options)
        warm[n] = max(s.evaluations for s in path[3:])
        assert max(s.gradient for s in path) < 1e-8
    benchmark.extra_info.update(cold=cold, warm=warm)
    p = jobs.saddle_problem(200, 10, sigma2=2.0)
    benchmark(lambda: rn.solve(p.kernel, p.y, widths=200, sigma2=2.0, temperature=0.1))
    assert max(cold.values()) <= 25 and max(warm.values()) <= 5 and cold[400] <= cold[100] + 3


def test_a_sweep_of_twenty_widths_and_five_sigmas_takes_under_twenty_seconds(benchmark):
    def sweep():
        for sigma2 in (0.1, 0.3, 1.0, 2.0, 4.0):
            p = jobs.saddle_problem(200, 10, sigma2=sigma2)
            rn.width_path(p.kernel, p.y, widths=np.geomspace(500, 10, 20), sigma2=sigma2, temperature=0.01)

    start = time.perf_counter()
    benchmark.pedantic(sweep, rounds=1)
    assert time.perf_counter() - start < 20


def test_one_eigendecomposition_serves_a_linear_network(benchmark):
    p = jobs.saddle_problem(500, 1, n_inputs=600)
    K0 = p.kernel.K0

    def solve():
        return scalar.solve_linear(K0, p.y, widths=500, temperature=0.1)

    best = best_times(solve, lambda: np.linalg.eigh(K0))
    benchmark.extra_info["ratio_to_eigh"] = best[0] / best[1]
    benchmark(solve)
    assert best[0] < 2 * best[1]
