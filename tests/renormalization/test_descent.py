"""The way down the action: where it ends, when it gives up, and what it says then."""

import numpy as np
import pytest
from scipy.linalg.lapack import dpotrf

from gdln import renormalization as rn
from gdln.data.regression import relu_teacher
from gdln.renormalization import descent, gates
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

    monkeypatch.setattr(descent, "dpotrf", fails_once)
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
