"""The flow on pre-activations: rate of its right-hand side against plain matrix products, and its growth.

``OMP_NUM_THREADS=1 pytest -s benchmarks/convergence/test_bench_flow.py`` prints the ratios; both sides run
interleaved in one process, on one thread, CPU time, best of seven.
"""

import numpy as np
import pytest

from benchmarks import jobs
from benchmarks.timing import best_times
from gdln.convergence.flow import SCALINGS, flow


@pytest.mark.parametrize("name", ["relu", "sine", "tanh"])
@pytest.mark.parametrize("size", [500, 1000])
def test_forward_and_update_run_at_half_the_rate_of_plain_products(name, size):
    plain, whole = best_times(jobs.flow_product(size), jobs.flow_slope(size, name), rounds=7, calls=5)
    print(f"\n{name}, m = n = {size}: {plain / whole:.2f} of the rate of plain products")
    assert plain / whole > 0.5


def test_cost_of_a_right_hand_side_is_linear_in_the_width():
    widths = (400, 800, 1600)
    steps = [jobs.flow_slope(200, "relu", m) for m in widths]
    slope = np.polyfit(np.log(widths), np.log(best_times(*steps, rounds=7, calls=5)), 1)[0]
    print(f"\nlog-log slope in the width: {slope:.2f}")
    assert 0.7 < slope < 1.3


@pytest.mark.parametrize("scaling", SCALINGS)
def test_whole_flow(benchmark, scaling):
    _, gram, h0, c, y, _ = jobs.hidden_flow(50, "sine", 400)
    benchmark.pedantic(lambda: flow(gram, h0, c, y, "sine", [200.0], scaling=scaling), rounds=5, iterations=1)
