"""The flow on pre-activations: rate of its right-hand side against plain matrix products, and its growth.

``OMP_NUM_THREADS=1 pytest -s benchmarks/convergence/test_bench_flow.py`` prints the ratios; both sides run
interleaved in one process, on one thread, CPU time, best of seven.
"""

import numpy as np
import pytest

from benchmarks.timing import best_times
from gdln.activations import ACTIVATIONS
from gdln.convergence.flow import SCALINGS, draw_units, flow, velocity


def setting(m, n):
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((n, 2 * n)) / np.sqrt(2 * n)
    c, W = draw_units(m, 2 * n, rng)
    return phi @ phi.T, W @ phi.T, c, rng.uniform(-1, 1, n)


@pytest.mark.parametrize("name", ["relu", "sine", "tanh"])
@pytest.mark.parametrize("size", [500, 1000])
def test_forward_and_update_run_at_half_the_rate_of_plain_products(name, size):
    gram, h0, c, y = setting(size, size)
    alpha, activation = np.zeros_like(h0), ACTIVATIONS[name]

    def step():
        h = alpha @ gram
        h += h0
        velocity(h, c, y, activation)

    plain, whole = best_times(lambda: alpha @ gram, step, rounds=7, calls=5)
    print(f"\n{name}, m = n = {size}: {plain / whole:.2f} of the rate of plain products")
    assert plain / whole > (0.35 if name == "sine" else 0.5)  # sine needs two transcendental functions


def test_cost_of_a_right_hand_side_is_linear_in_the_width():
    gram, h0, c, y = setting(1600, 200)
    relu, widths = ACTIVATIONS["relu"], (400, 800, 1600)
    steps = [lambda m=m: velocity(h0[:m] @ gram, c[:m], y, relu) for m in widths]
    slope = np.polyfit(np.log(widths), np.log(best_times(*steps, rounds=7, calls=5)), 1)[0]
    print(f"\nlog-log slope in the width: {slope:.2f}")
    assert 0.7 < slope < 1.3


@pytest.mark.parametrize("scaling", SCALINGS)
def test_whole_flow(benchmark, scaling):
    gram, h0, c, y = setting(400, 50)
    benchmark.pedantic(lambda: flow(gram, h0, c, y, "sine", [200.0], scaling=scaling), rounds=5, iterations=1)
