"""Speed of Langevin dynamics: the re-associated gradient, the batch of chains, and a sweep of the theory.

Ratios are CPU times of one thread, measured interleaved in one process, best of several.
"""

import time

import numpy as np
import pytest
import torch

from benchmarks import jobs
from benchmarks.timing import best_times
from gdln import sweep
from gdln.data import images
from gdln.data.regression import even_odd
from gdln.renormalization import gates, generalisation

torch.set_num_threads(1)


def test_gradient_step_is_eight_times_faster_than_autograd():
    ours, autograd = jobs.gated_gradient(500), jobs.gated_autograd(500)
    for slope, theirs in zip(ours(), autograd(), strict=True):
        torch.testing.assert_close(slope[0], theirs, rtol=1e-10, atol=1e-12)
    fast, slow = best_times(ours, autograd, rounds=25)
    print(f"gradient step {1e3 * fast:.2f} ms, autograd {1e3 * slow:.2f} ms, ratio {slow / fast:.1f}")
    assert slow > 7 * fast  # the goal is 8; another process on the machine costs ten per cent


def test_gradient_grows_with_gates_times_inputs_times_samples_and_width():
    sizes = (250, 500, 1000)
    times = best_times(*(jobs.gated_gradient(size) for size in sizes), rounds=7)
    slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    print(f"log-log slope in P = N = N0: {slope:.2f}, expected 2")
    assert slope < 2.5


@pytest.mark.parametrize("width, n_gates", [(10, 2), (30, 2), (30, 10)])
def test_a_batch_of_chains_beats_a_loop_and_costs_a_few_times_its_noise(width, n_gates):
    ways = (
        make(64, width=width, n_gates=n_gates)
        for make in (jobs.chains_together, jobs.chains_in_a_loop, jobs.own_noise)
    )
    together, loop, own = best_times(*ways, rounds=7, calls=10)
    print(
        f"N = {width}, M = {n_gates}, 64 chains: loop / batch {loop / together:.1f}, "
        f"batch / own noise {together / own:.2f}"
    )
    # the goal of 2.5 times the noise is for the largest, where the noise is most of the work
    assert loop > 3 * together and together < (2.5 if n_gates * width == 300 else 3) * own


def test_a_full_sweep_of_the_theory_takes_less_than_twenty_seconds():
    task = even_odd(images.digits(), 200, 400, np.random.default_rng(0))
    family = gates.random_planes(10, 64, np.random.default_rng(1), allow_silent=True)
    start = time.perf_counter()
    table = sweep.sweep(
        generalisation.along_widths,
        {"sigma2": np.geomspace(0.05, 4, 5)},
        fixed={"task": task, "gates": family, "widths": np.geomspace(10, 2000, 20), "temperature": 0.01},
        n_jobs=2,
    )
    seconds = time.perf_counter() - start
    evaluations = table[np.isfinite(table.width)].evaluations
    print(
        f"100 saddle points: {seconds:.1f} s, evaluations mean {evaluations.mean():.1f}, most {evaluations.max()}"
    )
    assert seconds < 20 and table["failure"].isna().all()
