"""The way down the action: where it ends, when it gives up, and what it says then."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.linalg.lapack import dpotrf

from gdln import renormalization as rn
from gdln.data.regression import relu_teacher
from gdln.renormalization import covariance, descent, gates, saddle
from gdln.renormalization.kernels import GatedKernel, KernelStack, input_kernel
from gdln.renormalization.scalar import solve_linear
from tests.renormalization.example import WORKED, Y, problem, worked


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_both_methods_and_far_starts_reach_one_stationary_point(depth):
    kernel = worked(depth)
    solution = rn.solve(kernel, Y, tolerance=1e-11, **WORKED)
    assert solution.converged and solution.gradient < 1e-8
    mm = rn.solve(kernel, Y, method="mm", **WORKED)
    assert np.diff(mm.history).max() < 1e-9 * abs(mm.action)
    np.testing.assert_allclose(mm.U[0], solution.U[0], rtol=1e-6)
    for start in (0.05, 20.0):
        other = rn.solve(kernel, Y, start=start, tolerance=1e-11, **WORKED)
        np.testing.assert_allclose(other.U[0], solution.U[0], atol=1e-8)


def test_a_path_of_widths_needs_few_evaluations_and_changes_nothing():
    kernel, y, _, _ = problem(np.random.default_rng(8), n=100, n_inputs=100, n_gates=5, sigma2=2.0)
    widths = np.geomspace(500, 100, 10)
    path = rn.width_path(kernel, y, widths=widths, sigma2=2.0, temperature=0.1, tolerance=1e-8)
    cold = [rn.solve(kernel, y, widths=N, sigma2=2.0, temperature=0.1, tolerance=1e-8) for N in widths]
    assert max(s.evaluations for s in path[3:]) <= 5 and max(s.evaluations for s in cold) <= 25
    for a, b in zip(path, cold, strict=True):
        np.testing.assert_allclose(a.U[0], b.U[0], atol=1e-6)
    again = rn.solve(kernel, y, widths=widths[-1], sigma2=2.0, temperature=0.1, start=path[-1])
    assert again.evaluations <= 3


def test_far_from_infinite_width_a_solve_needs_25_evaluations_and_a_warm_one_less_than_half():
    cold, warm = [], []
    for sigma2 in (0.1, 4.0):
        kernel, y, _, _ = problem(np.random.default_rng(3), n=100, n_inputs=100, n_gates=6, sigma2=sigma2)
        options = {"temperature": 0.01, "sigma2": sigma2, "tolerance": 1e-8}
        cold.append(rn.solve(kernel, y, widths=10, **options).evaluations)
        path = rn.width_path(kernel, y, widths=np.geomspace(500, 10, 20), **options)
        warm.append(max(s.evaluations for s in path[3:]))
    assert max(cold) <= 25 and max(warm) <= 12


def test_a_start_is_extrapolated_by_the_highest_degree_that_is_no_leap():
    nodes = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    weights = saddle._lagrange(nodes, 6.0)
    np.testing.assert_allclose(weights, [1, -5, 10, -10, 5], rtol=1e-12)  # of the last five
    np.testing.assert_allclose(saddle._lagrange([1.0, 2.0], 3.0), [-1, 2], rtol=1e-12)
    np.testing.assert_array_equal(saddle._lagrange([1.0], 7.0), [1])
    assert len(saddle._lagrange(nodes, 6.1)) == 4  # further than a step
    assert len(saddle._lagrange(nodes, 50.0)) == 1  # so far that a line would leap


def test_a_singular_kernel_at_zero_temperature_is_refused_with_rank_and_capacity():
    rng = np.random.default_rng(10)
    x, g = rng.standard_normal((30, 5)), rng.standard_normal((30, 4))
    kernel = GatedKernel(input_kernel(x), g)
    with pytest.raises(ValueError, match=r"rank is 20 for 30 data points.* is 20"):
        rn.solve(kernel, x[:, 0], widths=20)
    with pytest.raises(ValueError, match="rank.* is 5 for 30"):
        solve_linear(input_kernel(x), x[:, 0], widths=20)
    assert rn.solve(kernel, x[:, 0], widths=20, temperature=0.01).jitter == 0
    stack = KernelStack(np.einsum("pm,pq,qn->mnpq", kernel.F, kernel.K0, kernel.F))
    with pytest.raises(ValueError, match=r"rank is 20 for 30 data points.* is 20"):
        rn.solve(stack, x[:, 0], widths=20)


def test_targets_that_let_the_kernel_collapse_warn_and_do_not_blame_the_gates():
    rng = np.random.default_rng(12)
    kernel = GatedKernel(input_kernel(rng.standard_normal((6, 2))), rng.standard_normal((6, 3)))
    for options in ({}, {"start": 0.1}, {"start": [np.eye(3)]}):
        with pytest.raises(ValueError, match="not all zero.*6 targets.* 6 the scale"):
            rn.solve(kernel, np.zeros(6), widths=2, **options)
    with pytest.raises(ValueError, match="not all zero"):
        solve_linear(np.eye(3), np.zeros(3), widths=3)
    assert solve_linear(np.eye(3), np.zeros(3), widths=6).scale == pytest.approx(0.5)
    np.testing.assert_allclose(
        rn.solve(kernel, np.zeros(6), widths=8).conserved(), -6, atol=1e-7
    )  # -tr KC^-1
    # two of three gates act on points whose targets are zero, more of them than the network has units
    split = GatedKernel(np.eye(6), np.repeat(np.eye(3), 2, axis=0))
    with pytest.warns(RuntimeWarning, match="saddle point not reached"):
        solution = rn.solve(split, [1.0, -1, 0, 0, 0, 0], widths=1)
    assert not solution.converged and np.isfinite(solution.U[0]).all()


def test_very_small_prior_weights_are_solved_although_a_step_may_overshoot_to_a_singular_matrix():
    task = relu_teacher(40, 50, 200, np.random.default_rng(4))
    planes = gates.random_planes(3, 50, np.random.default_rng(5), constant=True)
    kernel = GatedKernel(input_kernel(task.X, sigma2=1e-4), planes(task.X))
    solution = rn.solve(kernel, task.y, widths=20, sigma2=1e-4)
    assert solution.converged and np.linalg.eigvalsh(solution.U[0]).min() > 0


def test_jitter_is_added_only_when_the_factorisation_fails_and_is_reported(monkeypatch):
    kernel, y, _, _ = problem(np.random.default_rng(11))
    clean = rn.solve(kernel, y, widths=50)
    assert clean.jitter == 0
    start = descent.Problem(kernel, y, 50, 1.0, 0.0)
    first = start.evaluate(start.start()).U[0]
    calls = []

    def fails_once(*args, **kwargs):
        calls.append(1)
        factor, info = dpotrf(*args, **kwargs)
        return factor, (1 if len(calls) == 1 else info)

    monkeypatch.setattr(covariance, "dpotrf", fails_once)
    solution = rn.solve(kernel, y, widths=50)
    np.testing.assert_allclose(solution.jitter, 1e-10 * np.trace(kernel(first)) / 40)
    np.testing.assert_allclose(solution.U[0], clean.U[0], atol=1e-6)


def test_a_point_far_from_stationary_is_not_called_converged_whatever_the_units():
    kernel, y, _, _ = problem(np.random.default_rng(2), n_gates=2, depth=3)
    gradients = []
    for sigma2 in (1.0, 1e4, 1e8):  # far above the data's scale the prior point has one and the same slope
        with pytest.warns(RuntimeWarning, match="not reached"):
            solution = rn.solve(kernel, y, widths=10, sigma2=sigma2, start=1.0, max_evaluations=1)
        assert not solution.converged
        gradients.append(solution.gradient)
    np.testing.assert_allclose(gradients[1:], gradients[2], rtol=1e-3)
    assert min(gradients) > 0.1


@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_is_that_of_the_action_in_relative_changes_of_the_order_parameters(seed):
    rng = np.random.default_rng(seed)
    depth = 1 + seed % 3
    kernel, widths = worked(depth), rng.uniform(3, 30, depth)
    U = [np.cov(rng.standard_normal((d, 4 * d))) for d in (2 ** np.arange(depth, 0, -1)).tolist()]
    options = {"widths": widths, "sigma2": 1e-3, "temperature": 0.1}
    with pytest.warns(RuntimeWarning):
        solution = rn.solve(kernel, Y, start=U, max_evaluations=1, **options)
    _, slopes = rn.action(kernel, Y, U, **options)
    expected = []
    for N, u, slope in zip(widths, U, slopes, strict=True):
        w, V = np.linalg.eigh(u)
        root = (V * np.sqrt(w)) @ V.T
        expected.append(np.linalg.norm(root @ slope @ root, 2) / N)
    np.testing.assert_allclose(solution.gradient, max(expected), rtol=1e-8)


@pytest.mark.parametrize("temperature", [1e-4, 1e-5])
@pytest.mark.parametrize(("n", "n_gates", "depth"), [(40, 3, 1), (60, 1, 1), (100, 4, 2)])
def test_beyond_capacity_at_low_temperature_rounding_is_no_failure(temperature, n, n_gates, depth):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, 6)), rng.standard_normal(n)
    g = np.column_stack([np.ones(n), rng.standard_normal((n, n_gates - 1)) > 0])
    kernel = GatedKernel(input_kernel(x), g, depth=depth)
    assert kernel.capacity() < n
    solution = rn.solve(kernel, y, widths=20, temperature=temperature)
    assert (
        solution.converged and 1e-9 < solution.rounding and solution.gradient < min(solution.rounding, 1e-4)
    )
    assert solution.evaluations < 100
    # kernel, labels and temperature in other units: the same problem with other rounding errors
    c = 1e-6
    scaled = GatedKernel(c * kernel.K0, g, depth=depth)
    scaled = rn.solve(scaled, np.sqrt(c) * y, widths=20, temperature=c * temperature)
    np.testing.assert_allclose(
        scaled.U[0], solution.U[0], atol=10 * solution.rounding * np.abs(solution.U[0]).max()
    )


def test_where_rounding_hides_the_saddle_point_the_warning_says_so_and_blames_nothing_else():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal(40)
    kernel = GatedKernel(input_kernel(x), np.ones((40, 1)))
    with pytest.warns(RuntimeWarning, match="rounding errors hide it, raise the temperature"):
        assert not rn.solve(kernel, y, widths=20, temperature=1e-7).converged
    with pytest.raises(ValueError, match="factorised at T = 1e-20: raise the temperature"):
        rn.solve(kernel, y, widths=20, temperature=1e-20)


def test_the_lowest_of_several_minima_over_the_scale_is_found():
    # at small weights a deep network explains nothing, a minimum; it may explain a strong mode at a lower action
    K0, y = np.diag([10.0, *np.full(30, 1e-2)]), np.array([20.0, *np.full(30, 0.1)])
    options = {"sigma2": 0.01, "temperature": 0.1}
    scalar = solve_linear(K0, y, widths=[10] * 3, **options)
    kernel = GatedKernel(K0, np.ones((31, 1)), depth=3)
    solution = rn.solve(kernel, y, widths=10, **options)
    np.testing.assert_allclose(solution.U[0][0, 0], scalar.scale, rtol=1e-9)
    far = [rn.solve(kernel, y, widths=10, start=c, **options) for c in (1e-3, 1.0, 1e3, 1e6)]
    assert all(s.converged for s in far)
    assert min(s.action for s in far) >= solution.action - 1e-9
    assert far[1].action > solution.action + 1 and far[1].U[0][0, 0] < 1e-3 * scalar.scale


def test_the_lowest_scale_at_zero_temperature_is_the_limit_of_those_above():
    kernel, y, _, _ = problem(np.random.default_rng(2), n=30, n_inputs=40)
    starts = [descent.Problem(kernel, y, 10, 0.2, T)._lowest_scale() for T in (0.0, 1e-9)]
    assert np.abs(starts[0]).min() > 0.1
    np.testing.assert_allclose(*starts, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:saddle point not reached. rounding")
@pytest.mark.parametrize("sigma2", [1e5, 1e6, 1e8])
@pytest.mark.parametrize("depth", [2, 3])
def test_a_prior_too_wide_for_double_precision_is_never_called_converged(sigma2, depth):
    # directions of U that no product of gates reaches keep the scale sigma2^L of the prior; the others fall far below
    kernel, y, _, _ = problem(np.random.default_rng(1), n_gates=2, depth=depth)
    solution = rn.solve(kernel, y, widths=20, sigma2=sigma2, temperature=0.05)
    q = solution.conserved()
    assert not solution.converged or np.ptp(q) < 1e-3 * np.abs(q).max()
    assert solution.converged or (solution.gradient <= solution.rounding and solution.rounding > 1e-4)


def mixed(sizes, seed=0, n=7):
    """Kernel with gate sets of these sizes, the readout's first, and targets."""
    rng = np.random.default_rng(seed)
    gates = [0.5 + rng.random((n, m)) for m in sizes]
    return GatedKernel(input_kernel(rng.standard_normal((n, 9))), gates), rng.standard_normal(n)


def written_out(kernel, y, U, widths, sigma2, temperature):
    """The action as its definition says, layer by layer."""
    C = kernel(U[0]) + temperature * np.eye(len(y))
    value = y @ np.linalg.solve(C, y) + np.linalg.slogdet(C)[1]
    for l, (N, u) in enumerate(zip(widths, U, strict=True)):
        above = U[l + 1] if l + 1 < len(U) else np.eye(1)
        prior = sigma2 * np.kron(above, np.eye(len(u) // len(above)))
        relative = np.linalg.solve(prior, u)
        value += N * (np.trace(relative) - np.linalg.slogdet(relative)[1])
    return value


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (3, 2), (2, 1, 3)])
@pytest.mark.parametrize("spread", [0.0, 0.7])
def test_coordinates_hold_the_action_written_out_and_its_slope_for_gate_sets_of_any_sizes(sizes, spread):
    kernel, y = mixed(sizes)
    widths = [5.0, 9.0, 4.0][: len(sizes)]
    setting = widths, 0.6, 0.2
    problem = descent.Problem(kernel, y, *setting, log_ratios=spread * np.arange(1, 1 + len(sizes)))
    rng = np.random.default_rng(1)
    theta, step = 0.4 * rng.standard_normal((2, sum(map(len, problem.scales))))
    point = problem.evaluate(theta)
    assert point.action == pytest.approx(written_out(kernel, y, point.U, *setting), rel=1e-12)
    np.testing.assert_allclose(problem.coordinates(point.U), theta, atol=1e-12)
    assert point.f - problem.evaluate(0 * theta).f == pytest.approx(
        (point.action - problem.evaluate(0 * theta).action) / min(widths), rel=1e-10
    )
    ends = [problem.evaluate(theta + s * 1e-5 * step).f for s in (1, -1)]
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(point.g @ step, rel=1e-7)
    slopes = descent.gradients(point.U, point.plus - point.minus, kernel.dims, widths, 0.6)
    for l, (u, slope) in enumerate(zip(point.U, slopes, strict=True)):
        turn = rng.standard_normal(u.shape)
        turn = 1e-5 * (turn + turn.T)
        ends = [
            written_out(kernel, y, [v + s * turn if i == l else v for i, v in enumerate(point.U)], *setting)
            for s in (1, -1)
        ]
        assert (ends[0] - ends[1]) / 2 == pytest.approx(np.sum(slope * turn), rel=1e-6)
    # the largest slope in the logarithm of an order parameter
    relative = [np.linalg.norm(L.T @ s @ L, 2) / N for L, s, N in zip(point.L, slopes, widths, strict=True)]
    assert point.gradient == pytest.approx(max(relative), rel=1e-9)


@pytest.mark.parametrize("sizes", [(3,), (2, 3)])
@pytest.mark.parametrize("n", [17, 18, 62, 63])
def test_the_metric_is_the_curvature_but_for_what_log_det_takes_away(sizes, n):
    kernel, y = mixed(sizes, n=n)
    widths = [5.0, 9.0][: len(sizes)]
    solution = rn.solve(kernel, y, widths=widths, sigma2=0.6, temperature=0.2, tolerance=1e-11)
    problem = descent.Problem(kernel, y, widths, 0.6, 0.2, solution._log_ratios)
    theta = problem.coordinates(solution.U)
    metric = problem.metric(problem.evaluate(theta))
    d = math.prod(sizes)
    if 3 * d * (d + 1) / 2 > n:  # its columns would cost more than the factor
        assert metric is None
        return
    moves = [theta + s * 1e-5 * e for e in np.eye(len(theta)) for s in (1, -1)]
    ends = [problem.evaluate(moved) for moved in moves]
    exact = np.array([a.g - b.g for a, b in zip(ends[::2], ends[1::2], strict=True)]) / 2e-5
    turns = [(a.U[0] - b.U[0]) / 2e-5 for a, b in zip(ends[::2], ends[1::2], strict=True)]
    C = kernel(solution.U[0]) + 0.2 * np.eye(n)
    bends = np.array([np.linalg.solve(C, kernel.F @ turn @ kernel.F.T * kernel.K0) for turn in turns])
    taken = np.einsum("apq,bqp->ab", bends, bends) / min(widths)
    np.testing.assert_allclose(metric, metric.T, atol=1e-13)
    if len(sizes) == 1:
        np.testing.assert_allclose(metric - taken, exact, atol=1e-6 * np.abs(exact).max())
    # with more layers the way their factors multiply adds a part that has either sign; below 2 a full step goes down
    spread = np.linalg.eigvals(np.linalg.solve(metric, exact)).real
    assert 0 < spread.min() and spread.max() < 2


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (3, 2)])
def test_the_curvature_of_the_entropy_is_one_unit_in_every_coordinate(sizes):
    # at infinite width, where the data are taken away by a huge temperature
    kernel, y = mixed(sizes)
    problem = descent.Problem(kernel, y, [5.0, 9.0][: len(sizes)], 0.6, 1e12)
    theta = np.zeros(len(problem.start(1.0)))
    for direction in np.eye(len(theta)):
        ends = [problem.evaluate(s * 1e-4 * direction).g @ direction for s in (1, -1)]
        assert (ends[0] - ends[1]) / 2e-4 == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (3, 2), (2, 1, 3)])
def test_a_sweep_minimises_every_upper_layer_exactly_and_never_raises_the_action(sizes):
    kernel, y = mixed(sizes, seed=3)
    widths = [5.0, 40.0, 4.0][: len(sizes)]
    problem = descent.Problem(kernel, y, widths, 0.6, 0.2)
    theta = problem.start(2.0) + 0.3 * np.random.default_rng(0).standard_normal(len(problem.start(2.0)))
    point = problem.evaluate(theta)
    U = problem.majorise(point)
    for l in reversed(range(1, len(sizes))):  # the layer below was still the old one then
        then = [*point.U[:l], *U[l:]]
        slope = descent.gradients(then, 0.0, kernel.dims, widths, 0.6)[l]
        assert np.abs(slope @ U[l]).max() < 1e-9 * max(widths)
    # in the first, y' C^-1 y <= tr U^-1 (U0 minus U0) and log det C <= tr plus U, up to constants
    prior = descent.priors(U, kernel.dims, 0.6)[0]
    old, new = point.U[0], np.linalg.inv(U[0])
    majorant = widths[0] * (np.linalg.inv(prior) - new) + point.plus - new @ old @ point.minus @ old @ new
    assert np.abs(majorant @ U[0]).max() < 1e-9 * max(widths)
    assert problem.evaluate(problem.coordinates(U)).action < point.action


@pytest.mark.parametrize("c", [3.0, 0.0, -2.0])
def test_the_minimum_of_a_majorant_is_stationary_and_worked_by_hand_on_the_diagonal(c):
    # q u^2 - c u - r = 0
    u = descent._matrix_minimum(np.diag([2.0, 0.5]), c, np.diag([1.0, 6.0]))
    roots = [(c + np.sqrt(c * c + 4 * q * r)) / (2 * q) for q, r in ((2.0, 1.0), (0.5, 6.0))]
    np.testing.assert_allclose(u, np.diag(roots), atol=1e-14)
    Q, R = (np.cov(np.random.default_rng(s).standard_normal((3, 9))) for s in (0, 1))
    u = descent._matrix_minimum(Q, c, R)
    v = np.linalg.inv(u)
    np.testing.assert_allclose(Q, c * v + v @ R @ v, atol=1e-10)
    np.testing.assert_array_equal(u, u.T)


def test_the_minimum_of_a_majorant_does_not_cancel_where_the_pull_is_weak():
    # u = r/|c| to first order, sixteen decades below c
    assert descent._matrix_minimum(np.eye(1), -1.0, 1e-16 * np.eye(1))[0, 0] == pytest.approx(
        1e-16, rel=1e-12
    )


@pytest.mark.parametrize("known", [False, True])
def test_the_direction_is_that_of_the_dense_quasi_newton_matrix(known):
    rng = np.random.default_rng(4)
    curvature = np.cov(rng.standard_normal((5, 20)))
    steps = rng.standard_normal((3, 5))
    memory = tuple((s, curvature @ s) for s in steps)
    s, z = memory[-1]
    metric = np.cov(rng.standard_normal((5, 20))) if known else None
    H = np.linalg.inv(metric) if known else (s @ z) / (z @ z) * np.eye(5)
    for s, z in memory:
        side = np.eye(5) - np.outer(s, z) / (s @ z)
        H = side @ H @ side.T + np.outer(s, s) / (s @ z)
    g = rng.standard_normal(5)
    np.testing.assert_allclose(descent._direction(g, memory, metric), -H @ g, rtol=1e-9)
    np.testing.assert_allclose(descent._direction(memory[-1][1], memory, metric), -memory[-1][0], rtol=1e-9)
    expected = -np.linalg.solve(metric, g) if known else -g
    np.testing.assert_allclose(descent._direction(g, (), metric), expected, rtol=1e-12)
    np.testing.assert_array_equal(  # a metric that rounding left without a root is no help
        descent._direction(g, memory, -np.eye(5)), descent._direction(g, memory)
    )


class Bowl:
    """A parabola of one coordinate about ``bottom``, with no values beyond a wall; counts what it is asked."""

    def __init__(self, bottom, wall=np.inf):
        self.bottom, self.wall, self.evaluations, self.asked = bottom, wall, 0, []

    def evaluate(self, theta):
        self.evaluations += 1
        self.asked.append(float(theta[0]))
        off = theta - self.bottom
        return (
            None
            if theta[0] > self.wall
            else SimpleNamespace(theta=theta, f=off @ off / 2, g=off, rounding=0.0)
        )


@pytest.mark.parametrize(
    ("bottom", "wall", "direction", "asked"),
    [
        (1.0, np.inf, 1.0, [1.0]),  # a step that decreases the action is taken
        (0.45, np.inf, 1.0, [1.0, 0.45]),  # one too far goes to the minimum of the parabola
        (0.02, np.inf, 1.0, [1.0, 0.1, 0.02]),  # but not below a tenth of it
        (0.4999, np.inf, 1.0, [1.0, 0.4999]),
        (7.0, np.inf, 8.0, [2.0]),  # no coordinate moves by more than the longest step
        (7.0, np.inf, 2.0, [2.0]),
        (0.5, 0.9, 1.0, [1.0, 0.2]),  # beyond what can be factorised, a fifth
        (0.5, 0.1, 1.0, [1.0, 0.2, 0.04]),
    ],
)
def test_a_search_goes_where_the_parabola_says(bottom, wall, direction, asked):
    bowl = Bowl(bottom, wall)
    start = SimpleNamespace(theta=np.zeros(1), f=bottom**2 / 2, g=np.array([-bottom]), rounding=0.0)
    new = descent._search(bowl, start, np.array([direction]), 100)
    np.testing.assert_allclose(bowl.asked, asked, rtol=1e-9)
    assert new.theta[0] == bowl.asked[-1] and new.f < start.f


def test_a_search_ends_uphill_after_its_evaluations_and_where_steps_are_lost():
    start = SimpleNamespace(theta=np.zeros(1), f=0.5, g=np.array([-1.0]), rounding=0.0)
    for direction in (-1.0, 0.0):
        bowl = Bowl(1.0)
        assert descent._search(bowl, start, np.array([direction]), 100) is None and not bowl.asked
    bowl = Bowl(1e-3)
    start = SimpleNamespace(theta=np.zeros(1), f=bowl.bottom**2 / 2, g=np.array([-bowl.bottom]), rounding=0.0)
    assert descent._search(bowl, start, np.array([1.0]), 2) is None and len(bowl.asked) == 2
    bowl = Bowl(1.0, wall=-1.0)
    assert descent._search(bowl, start, np.array([1.0]), 100) is None
    assert len(bowl.asked) == 15 and bowl.asked[-1] == pytest.approx(0.2**14)  # the last above 1e-10


def test_among_rounding_errors_a_flatter_point_is_taken_though_its_action_is_no_lower():
    class Flat(Bowl):
        def evaluate(self, theta):
            point = super().evaluate(theta)
            point.f = 5.0 + 1e-6 * (self.evaluations == 1)  # rounding
            return point

    start = SimpleNamespace(theta=np.zeros(1), f=5.0, g=np.array([-1.0]), rounding=0.0)
    for rounding, taken in ((2e-6, True), (1e-7, False)):
        start.rounding, bowl = rounding, Flat(1.05)
        new = descent._search(bowl, start, np.array([1.0]), 1)
        assert (new is not None) == taken
    start.rounding = 2e-6
    for bottom, taken in (
        (0.15, True),
        (0.05, False),
        (1.85, True),
        (1.95, False),
    ):  # nine tenths of the slope
        assert (descent._search(Flat(bottom), start, np.array([1.0]), 1) is not None) == taken


def test_the_data_term_and_its_rounding_error_worked_by_hand():
    # C = diag(2, 4) + 1: y C^-1 y = 9/3 + 25/5 and log det = log 15; |C|_F = sqrt(34)
    kernel = KernelStack(np.diag([2.0, 4.0])[None, None])
    problem = descent.Problem(kernel, np.array([3.0, 5.0]), 10, 1.0, 1.0)
    value, plus, minus, error = problem.data_term(np.eye(1))
    assert value == pytest.approx(8 + np.log(15), rel=1e-14)
    assert plus[0, 0] == pytest.approx(2 / 3 + 4 / 5, rel=1e-14)
    assert minus[0, 0] == pytest.approx(2 * 1 + 4 * 1, rel=1e-14)
    trace_and_square = 1 / 3 + 1 / 5 + 1 + 1
    assert error == pytest.approx(np.finfo(float).eps * np.sqrt(34) * trace_and_square, rel=1e-12)
    assert problem.evaluations == 1
    # a layer a thousand times wider than the data has an entropy whose rounding is added, in units of the width
    for ratio in (0.0, 2.0):
        wide = descent.Problem(kernel, np.array([3.0, 5.0]), 1e6, 1.0, 1.0, log_ratios=[ratio])
        point = wide.evaluate(np.zeros(1))
        data = wide.data_term(point.U[0])[3]
        expected = data / 1e6 + np.finfo(float).eps * np.exp(ratio)
        assert point.rounding == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("wrong", ["asymmetric", "indefinite", "singular", "nan"])
def test_starts_that_are_no_order_parameters_are_refused(wrong):
    U = {
        "asymmetric": [[1.0, 0.5], [0.5 + 1e-6, 1.0]],
        "indefinite": [[1.0, 2.0], [2.0, 1.0]],
        "singular": [[1.0, 0.0], [0.0, 0.0]],
        "nan": [[np.nan, 0.0], [0.0, 1.0]],
    }[wrong]
    with pytest.raises(ValueError, match="^start needs (symmetric positive-definite|finite)"):
        rn.solve(worked(1), Y, start=[U], **WORKED)
    tiny = 1e-6 * np.array([[1.0, 0.5], [0.5 + 1e-9, 1.0]])  # symmetric to eight digits, whatever its size
    assert descent.Problem(worked(1), Y, **WORKED).order_parameters("start", [tiny])[0] is not None
