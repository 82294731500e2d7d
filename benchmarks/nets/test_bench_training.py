"""Ensembles of small networks: one stacked run against a loop over modules, and the width where a loop is as fast."""

import pytest
import torch

from benchmarks import jobs
from benchmarks.timing import best_times

N_MEMBERS = 16


@pytest.mark.parametrize("width", [16, 64, 256, 512])
def test_stacked_ensemble_against_a_loop_over_modules(benchmark, width):
    torch.set_num_threads(1)
    stacked = jobs.ensemble_together(N_MEMBERS, width)
    one_by_one, together = best_times(jobs.ensemble_in_a_loop(N_MEMBERS, width), stacked)
    benchmark.extra_info["times faster than a loop"] = round(one_by_one / together, 2)
    benchmark.pedantic(stacked, rounds=3)
    if width <= 64:
        assert one_by_one / together > {16: 3, 64: 2.5}[width]
