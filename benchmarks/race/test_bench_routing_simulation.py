"""Closed forms and factorised sums of the race against solvers, path lists and simulations of all weights.

``pytest benchmarks/race/test_bench_routing_simulation.py``; the ratios are printed by pytest-benchmark. One thread
(``OMP_NUM_THREADS=1``), and the accuracy of every pair is checked before it is timed.
``python benchmarks`` prints the ratios interleaved. Goals and what two shared cores gave:

- the closed form at least 50 x RK45 at the same error: at 200 times and error 3e-10, 430 x at 10 modes and 210 x
  at 100, but 12 x at 1000 (31 x at error 1e-12), where first touching the memory of the result takes most of the
  time. RK45 cannot reach the rounding error of the closed form;
- the velocity of a routing tree of 30 domains at least 10 x the tensor of pairs: 4 x at 8 modes and 7 x at 32,
  short of the goal because calls take most of the 20 us, 11 x at 64 and 16 x at 128 (more where the tensors come
  from fresh memory); at least 10 x a step of all weights: 400 x;
- correlations and common bases of a routing network of 40 domains with 4 partners each in seconds: 0.04 s and 0.4 s
  (1600 paths, 160 of them trained); with all 1600 trained 0.4 s and 2.8 s.
"""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from benchmarks.costs import routing_network
from benchmarks.jobs import path_tensor
from benchmarks.jobs import tree as tree_problem
from benchmarks.timing import best_times
from gdln.data import tasks
from gdln.linear.modes import mode_strength
from gdln.race import graph, routing_simulation
from gdln.race.bases import diagonalise

SIZES = (8, 30, 100)
RTOLS = 1e-10, 4e-13


def closed_form_problem(n_modes):
    s = np.linspace(0.5, 2, n_modes)
    t = np.linspace(0, 20, 200)
    return s, t


def by_solver(s, t, rtol):
    def slope(_, a):
        return 2 * a * (s - a)

    return solve_ivp(slope, (0, t[-1]), np.full(s.size, 1e-3), "RK45", t, rtol=rtol, atol=1e-3 * rtol).y.T


@pytest.mark.parametrize("n_modes", [10, 100, 1000])
@pytest.mark.parametrize("who", ["closed form", "RK45"])
def test_closed_form(benchmark, who, n_modes):
    s, t = closed_form_problem(n_modes)
    exact = mode_strength(t[:, None], s, 1e-3)
    assert np.abs(by_solver(s, t, 1e-10) - exact).max() < 1e-9
    run = (
        (lambda: mode_strength(t[:, None], s, 1e-3))
        if who == "closed form"
        else lambda: by_solver(s, t, 1e-10)
    )
    benchmark.group = f"closed form, {n_modes} modes"
    benchmark(run)


@pytest.mark.parametrize("n_domains", SIZES)
@pytest.mark.parametrize("who", ["factorised sums", "tensor of pairs", "list of paths", "all weights"])
def test_routing_tree(benchmark, who, n_domains):
    tree, B = tree_problem(n_domains)
    assert np.allclose(tree.velocity(B), path_tensor(tree, B, n_domains), rtol=1e-11, atol=1e-14)
    benchmark.group = f"velocity of a routing tree, {n_domains} domains, 32 modes"
    if who == "factorised sums":
        benchmark(tree.velocity, B)
    elif who == "tensor of pairs":
        benchmark(path_tensor, tree, B, n_domains)
    elif who == "list of paths":
        if n_domains > 30:
            pytest.skip("ten thousand paths")
        reduction = tree.path_by_path()
        assert np.allclose(np.sort(reduction.velocity(B).ravel()), np.sort(tree.velocity(B).ravel()))
        benchmark(reduction.velocity, B)
    else:
        benchmark.pedantic(full_steps(n_domains), rounds=5, iterations=1)


def full_steps(n_domains, n_modes=32, n_steps=1):
    """One step of the stacked simulation of all weights, its sums over partners done by matrix products."""
    X, Y = np.eye(n_modes), np.diag(np.linspace(1, 2, n_modes))
    task = tasks.routing(np.ones((n_domains, n_domains)), X, Y)
    start = routing_simulation.orthogonal_weights(task, 64, 0.1, 1, np.random.default_rng(0))
    return lambda: routing_simulation.simulate(start, task, 1e-3, n_steps, n_steps)


@pytest.mark.parametrize("n_trained", [4, 40])
@pytest.mark.parametrize("what", ["correlations", "bases"])
def test_common_bases(benchmark, what, n_trained):
    data = routing_network(40, n_trained)
    statistics = graph.correlations(*data)
    assert diagonalise(statistics).residual < 1e-13
    benchmark.group = f"40 domains, {n_trained} partners: {what}"
    run = partial(graph.correlations, *data) if what == "correlations" else partial(diagonalise, statistics)
    benchmark.pedantic(run, rounds=3, iterations=1)


def repeated(run, times):
    """A job long enough for the clock: ``run`` called ``times`` times."""

    def job():
        for _ in range(times):
            run()

    return job


def growth(sizes, times):
    return np.polyfit(np.log(sizes), np.log(times), 1)[0]


def report_closed_form():
    """Ratio at an absolute error of 3e-10, and at 1e-12, which is still far above the rounding of the closed form."""
    for n in (4, 10, 30, 100, 1000):
        s, t = closed_form_problem(n)
        exact = mode_strength(t[:, None], s, 1e-3)
        jobs = [lambda: mode_strength(t[:, None], s, 1e-3)]  # noqa: B023
        jobs += [lambda rtol=rtol: by_solver(s, t, rtol) for rtol in RTOLS]  # noqa: B023
        ours, *solver = best_times(repeated(jobs[0], 20), *jobs[1:])
        line = f"closed form, {n} modes, 200 times: {ours / 20 * 1e6:.0f} us"
        for rtol, time in zip(RTOLS, solver, strict=True):
            line += (
                f"; RK45 to {np.abs(by_solver(s, t, rtol) - exact).max():.0e} takes {20 * time / ours:.0f} x"
            )
        print(line)
    sizes, jobs = (3000, 10000, 30000), []
    for n in sizes:
        s, t = closed_form_problem(n)
        jobs.append(lambda s=s, t=t: mode_strength(t[:, None], s, 1e-3))
    print(f"growth with modes: {growth(sizes, best_times(*jobs, rounds=9)):.2f}")


def report_tree():
    """Ratios of one velocity, and how it grows."""
    tree, B = tree_problem(30)
    reduction = tree.path_by_path()
    steps = full_steps(30, n_steps=11), full_steps(30, n_steps=1)
    ours, listed, many, one = best_times(
        repeated(lambda: tree.velocity(B), 100), repeated(lambda: reduction.velocity(B), 5), *steps, rounds=15
    )
    ours, listed, step = ours / 100, listed / 5, (many - one) / 10
    print(
        f"tree velocity, 30 domains, 32 modes: {ours * 1e6:.0f} us; the list of paths takes {listed / ours:.0f} x, "
        f"a step of all weights {step / ours:.0f} x"
    )
    for n_modes in (8, 32, 64, 128):
        tree, B = tree_problem(30, n_modes)
        jobs = repeated(partial(tree.velocity, B), 100), repeated(partial(path_tensor, tree, B, 30), 20)
        ours, pairs = best_times(*jobs, rounds=11)
        print(f"30 domains, {n_modes} modes: the tensor of pairs takes {5 * pairs / ours:.1f} x")
    for name, velocity, sizes in (
        ("factorised sums", lambda tree, B, n: tree.velocity(B), (1000, 3000, 10000)),
        ("tensor of pairs", path_tensor, (30, 100, 300)),
    ):
        jobs = [partial(velocity, *tree_problem(n), n) for n in sizes]
        print(f"growth of the {name} with domains, {sizes}: {growth(sizes, best_times(*jobs, rounds=9)):.2f}")


def report_bases():
    """Seconds for the statistics and the bases of a routing network, and how they grow."""
    for n_domains, n_trained in ((10, 3), (20, 4), (40, 4), (40, 40)):
        data = routing_network(n_domains, n_trained)
        statistics = graph.correlations(*data)
        measured = best_times(partial(graph.correlations, *data), partial(diagonalise, statistics), rounds=2)
        print(
            f"{n_domains} domains, {n_trained} partners: correlations {measured[0]:.2f} s, bases {measured[1]:.2f} s"
        )


if __name__ == "__main__":
    report_closed_form()
    report_tree()
    report_bases()
