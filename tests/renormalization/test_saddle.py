import numpy as np
import pytest
from scipy.linalg.lapack import dpotrf

from gdln import renormalization as rn
from gdln.data.regression import relu_teacher
from gdln.renormalization import descent, gates
from gdln.renormalization.kernels import GatedKernel, KernelStack, input_kernel
from gdln.renormalization.scalar import (
    layer_scale,
    solve_linear,
)

X = np.array([[1, 0], [0, 1], [1, -1], [0.5, 0.5]])
G = np.array([[1.0, 0], [1, 1], [1, 0], [1, 1]])
Y = np.array([1, -1, 0.5, 2])
X_NEW, G_NEW = np.array([[1.0, 1], [-1, 2]]), np.array([[1.0, 1], [1, 0]])
WORKED = {"widths": 4, "sigma2": 1.5, "temperature": 0.1}
NEW = (input_kernel(X, X_NEW, 1.5), 0.75 * (X_NEW**2).sum(axis=1), G_NEW)


def worked(depth):
    return GatedKernel(input_kernel(X, sigma2=1.5), G, depth=depth)


def problem(rng, n=40, n_inputs=50, n_gates=3, depth=1, sigma2=1.0):
    x = rng.standard_normal((n, n_inputs))
    g = gates.random_planes(n_gates, n_inputs, rng, constant=True)(x)
    y = np.maximum(x @ rng.standard_normal((n_inputs, 5)) / np.sqrt(n_inputs), 0) @ rng.standard_normal(5)
    return GatedKernel(input_kernel(x, sigma2=sigma2), g, depth=depth), y, x, g


@pytest.mark.parametrize(
    (
        "depth",
        "U",
        "diagonal",
        "value",
        "gp_value",
        "mean",
        "variance",
        "gp_mean",
        "gp_variance",
        "train",
        "slope",
    ),
    [
        (
            1,
            [[1.333294, 0.573315], [0.573315, 3.535538]],
            [1.333294, 3.535538],
            20.130822,
            24.518993,
            [3.174094, -0.418971],
            [0.315012, 0.308925],
            [2.544632, -0.395443],
            [0.259172, 0.315545],
            [0.073037, 0.150086],
            [-0.149215, -1.964201, -4.912649],
        ),
        (
            2,
            [[1.592955, 0.497281], [0.497281, 2.142523]],
            [2.249142, 2.925085, 3.983343, 4.068134],
            31.471412,
            35.134123,
            [3.599128, -0.436043],
            [0.354176, 0.300578],
            [3.084671, -0.383603],
            [0.312776, 0.322781],
            [0.026020, 0.106035],
            [-0.190632, -0.761100, -0.858844],
        ),
    ],
)
def test_the_worked_example_comes_out_to_all_digits(
    depth, U, diagonal, value, gp_value, mean, variance, gp_mean, gp_variance, train, slope
):
    digits = {"atol": 6e-7, "rtol": 0}
    solution = rn.solve(worked(depth), Y, **WORKED)
    np.testing.assert_allclose(solution.U[-1], U, **digits)
    np.testing.assert_allclose(np.diag(solution.U[0]), diagonal, **digits)
    np.testing.assert_allclose(solution.action, value, **digits)
    prediction = solution.predict_from(*NEW)
    np.testing.assert_allclose(prediction.mean, mean, **digits)
    np.testing.assert_allclose(prediction.variance, variance, **digits)
    np.testing.assert_allclose(solution.training_error(), train, **digits)
    gp = rn.gp_limit(worked(depth), Y, sigma2=1.5, temperature=0.1).predict_from(*NEW)
    np.testing.assert_allclose(gp.mean, gp_mean, **digits)
    np.testing.assert_allclose(gp.variance, gp_variance, **digits)
    at_gp, gradients = rn.action(worked(depth), Y, "gp", **WORKED)
    np.testing.assert_allclose(at_gp, gp_value, **digits)
    np.testing.assert_allclose(gradients[0][[0, 0, 1], [0, 1, 1]], slope, **digits)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gradients_match_central_differences(depth):
    rng = np.random.default_rng(depth)
    kernel = worked(depth)
    U = [
        np.cov(rng.standard_normal((d, 4 * d))) + 0.2 * np.eye(d)
        for d in (2 ** np.arange(depth, 0, -1)).tolist()
    ]
    direction = [a + a.T for a in (rng.standard_normal(u.shape) for u in U)]
    _, gradients = rn.action(kernel, Y, U, **WORKED)
    for l in range(depth):
        h = 1e-5
        ends = [
            rn.action(kernel, Y, [u + s * h * (i == l) * direction[i] for i, u in enumerate(U)], **WORKED)[0]
            for s in (1, -1)
        ]
        expected = np.sum(gradients[l] * direction[l])
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * h), expected, rtol=1e-6)


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


@pytest.mark.parametrize("temperature", [0.0, 0.1])
@pytest.mark.parametrize("widths", [(30,), (30, 50), (40, 20)])
def test_the_conserved_quantity_is_equal_in_all_layers_and_in_the_data(widths, temperature):
    kernel, y, _, _ = problem(np.random.default_rng(0), n_gates=2, depth=len(widths))
    solution = rn.solve(kernel, y, widths=widths, sigma2=0.7, temperature=temperature, tolerance=1e-10)
    np.testing.assert_allclose(solution.conserved(), solution.conserved()[0], atol=1e-8 * len(y))


def test_the_distance_to_the_gaussian_process_falls_as_one_over_width():
    kernel, y, _, _ = problem(np.random.default_rng(1))
    product = [N * np.linalg.norm(rn.solve(kernel, y, widths=N).U[0] - np.eye(3)) for N in (4000, 40000)]
    assert abs(product[0] / product[1] - 1) < 0.05


def test_a_stack_of_kernels_gives_what_the_factorised_kernel_gives():
    kernel, y, x, g = problem(np.random.default_rng(2), n=12, n_gates=2, depth=2)
    D = np.einsum("pm,pq,qn->mnpq", kernel.F, kernel.K0, kernel.F)
    stack = KernelStack(D, dims=(2, 2))
    a, b = (rn.solve(k, y, widths=20, temperature=0.1) for k in (kernel, stack))
    np.testing.assert_allclose(a.U[0], b.U[0], atol=1e-8)
    x_new, g_new = x[:3] + 0.1, g[:3]
    K0_new, diagonal = input_kernel(x, x_new), (x_new**2).mean(axis=1)
    F_new = rn.path_features([g_new, g_new])
    p = a.predict_from(K0_new, diagonal, g_new)
    q = b.predict_from(
        np.einsum("pm,pq,qn->mnpq", F_new, K0_new, kernel.F),
        np.einsum("pm,p,pn->mnp", F_new, diagonal, F_new),
    )
    np.testing.assert_allclose(p.mean, q.mean, atol=1e-7)
    np.testing.assert_allclose(p.variance, q.variance, atol=1e-7)


def test_gate_sets_may_differ_and_a_constant_gate_adds_nothing_but_depth():
    kernel, y, x, g = problem(np.random.default_rng(3), n_gates=2)
    mixed = GatedKernel(kernel.K0, [g, np.ones((len(x), 1))])  # the readout gated, the layer below linear
    assert mixed.dims == (2, 1)
    flat = rn.solve(kernel, y, widths=30, temperature=0.1).U[0]
    gap = [  # a wide linear layer drops out in proportion to one over its width
        np.abs(rn.solve(mixed, y, widths=(N, 30), temperature=0.1, tolerance=1e-8).U[1] - flat).max()
        for N in (1000, 10000)
    ]
    assert 8 < gap[0] / gap[1] < 12


def test_several_outputs_reduce_to_one_when_they_are_unrelated_copies_at_infinite_width():
    kernel, y, x, g = problem(np.random.default_rng(4))
    double = GatedKernel(kernel.K0, g, outputs=2)
    solution = rn.solve(double, np.column_stack([y, -2 * y]), widths=1e9, temperature=0.1)
    new = (kernel.K0[:5], np.diag(kernel.K0)[:5], g[:5])
    single = rn.gp_limit(kernel, y, temperature=0.1).predict_from(*new)
    prediction = solution.predict_from(*new)
    np.testing.assert_allclose(prediction.mean, np.column_stack([single.mean, -2 * single.mean]), atol=1e-6)
    np.testing.assert_allclose(prediction.variance, single.variance[:, None] * [1, 1], atol=1e-6)


def test_several_linear_outputs_obey_one_scalar_equation_an_eigenvalue():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((20, 30)), rng.standard_normal((20, 3))
    K0 = input_kernel(x)
    U = rn.solve(GatedKernel(K0, np.ones((20, 1)), outputs=3), y, widths=40).U[0]
    r0 = np.linalg.eigvalsh(y.T @ np.linalg.solve(K0, y) / 20)
    scalar = [layer_scale(20 / 40, r, 1.0) for r in r0]
    np.testing.assert_allclose(np.linalg.eigvalsh(U), scalar, atol=1e-6)


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


@pytest.mark.parametrize("binary", [False, True])
def test_the_rank_of_the_kernel_is_the_capacity(binary):
    rng = np.random.default_rng(9)
    x = rng.standard_normal((120, 5))
    g = rng.standard_normal((120, 4))
    g = (g > 0).astype(float) if binary else g
    for depth in (1, 2, 3, 4) if binary else (1, 2):
        F = rn.path_features([g] * depth)
        rank = np.linalg.matrix_rank((F @ F.T) * (x @ x.T), hermitian=True)
        assert rank == min(120, rn.capacity(5, 4, depth, binary))
    assert [rn.capacity(5, 4, L, True) for L in (1, 2, 3, 4)] == [20, 50, 70, 75]
    assert [rn.capacity(5, 4, L) for L in (1, 2)] == [20, 50]


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": -0.1}, "temperature needs a number of at least 0"),
        ({"widths": 0}, "widths needs a number above 0"),
        ({"widths": -3}, "widths needs a number above 0"),
        ({"widths": (3, 4)}, "one width"),
        ({"sigma2": 0}, "sigma2 needs a number above 0"),
        ({"y": Y[:3]}, "y needs shape"),
        ({"y": Y * np.nan}, "y needs finite numbers"),
        ({"method": "newton"}, "method"),
        ({"start": -1.0}, "start needs a number above 0"),
        ({"start": [np.eye(3)]}, r"start needs order parameters of shapes \[\(2, 2\)\]"),
        ({"start": [-np.eye(2)]}, "positive-definite order parameters"),
        ({"start": "gp"}, "a number, SaddleSolution"),
        ({"tolerance": 0.0}, "tolerance needs a number above 0"),
        ({"sigma2": np.nan}, "sigma2 needs a number above 0"),
        ({"temperature": np.inf}, "temperature needs a finite number"),
    ],
)
def test_bad_numbers_are_refused_with_the_reason(change, message):
    with pytest.raises(ValueError, match=message):
        rn.solve(worked(1), **({"y": Y} | WORKED | change))


def test_bad_kernels_are_refused_with_the_reason():
    K0 = input_kernel(X)
    with pytest.raises(ValueError, match="symmetric"):
        GatedKernel(K0 + np.triu(np.ones((4, 4)), 1), G)
    with pytest.raises(ValueError, match="K0 needs eigenvalues of at least zero, got -2"):
        GatedKernel(K0 - 2 * np.eye(4), G)
    with pytest.raises(ValueError, match=r"gates needs shape \(4, n_gates\)"):
        GatedKernel(K0, G[:3])
    with pytest.raises(ValueError, match="GiB.*M\\^L"):
        GatedKernel(K0, np.ones((4, 10)), depth=5)
    with pytest.raises(ValueError, match=r"D needs shape \(d, d, n_samples, n_samples\)"):
        KernelStack(K0)
    with pytest.raises(ValueError, match="symmetric"):
        KernelStack(np.stack([np.stack([K0, K0]), np.stack([2 * K0, K0])]))
    with pytest.raises(ValueError, match="gate sets of sizes"):
        rn.solve(worked(1), Y, **WORKED).predict_from(NEW[0], NEW[1], np.ones((2, 3)))
    solution = rn.solve(worked(1), Y, **WORKED)
    for wrong in (
        (NEW[0][:, :3], *NEW[1:]),
        (NEW[0], NEW[1][:1], NEW[2]),
        (NEW[0], -NEW[1], NEW[2]),
        (*NEW[:2], NEW[2][:1]),
    ):
        with pytest.raises(ValueError, match="cross|diagonal"):
            solution.predict_from(*wrong)
    with pytest.raises(ValueError, match="gates needs those of the new points"):
        solution.predict_from(*NEW[:2])
    for wrong in ({"depth": 1.5}, {"depth": 0}, {"outputs": 0}):
        with pytest.raises((TypeError, ValueError), match="needs a whole number"):
            GatedKernel(K0, G, **wrong)
    for kernel in (np.zeros((0, 0)), 1j * K0, K0 * np.nan):
        with pytest.raises((TypeError, ValueError), match="^K0 needs"):
            GatedKernel(kernel, G)
    for inputs, more in ((X[0], {}), (X, {"X_new": np.ones((2, 3))}), (X * np.nan, {}), (X, {"sigma2": -1})):
        with pytest.raises(ValueError, match=r"^\w+ needs"):
            input_kernel(inputs, **more)
    for gate_sets in ([], [np.ones(3)], [np.ones((3, 2)), np.ones((2, 2))], [np.ones((3, 0))]):
        with pytest.raises(ValueError, match="gates needs"):
            rn.path_features(gate_sets)
    with pytest.raises(ValueError, match="target needs shape"):
        rn.solve(worked(1), Y, **WORKED).predict_from(*NEW).errors(np.ones(5))


def test_a_kernel_may_miss_positivity_by_the_rounding_of_its_entries():
    for scale in (1.0, 1e6):
        for lowest, allowed in ((-1.5e-9, True), (-3e-9, False)):  # four rows: 2e-9 of the largest entry
            K0 = scale * np.diag([1.0, 1, 1, lowest])
            if allowed:
                GatedKernel(K0, G)
            else:
                with pytest.raises(ValueError, match="K0 needs eigenvalues of at least zero, got -"):
                    GatedKernel(K0, G)


def test_order_parameters_may_need_a_gigabyte_and_no_more():
    # 8 d (10 d + 3 n) bytes with n = 100 samples: d = 3648 is the largest below 2^30
    GatedKernel(np.eye(100), np.ones((100, 3648)))
    with pytest.raises(ValueError, match="3649 x 3649 and needs about 1 GiB"):
        GatedKernel(np.eye(100), np.ones((100, 3649)))


def test_a_list_without_gates_is_no_set_of_gates():
    with pytest.raises(ValueError, match="gates needs"):
        GatedKernel(input_kernel(X), [])


def test_errors_worked_by_hand():
    prediction = rn.saddle.Prediction(np.array([3.0, 1.0]), np.array([0.5, 1.5]))
    assert prediction.errors([1.0, 1.0]) == rn.saddle.Errors(2.0, 1.0, 3.0)


def test_errors_are_bias_plus_variance_and_a_short_run_warns():
    errors = rn.solve(worked(1), Y, **WORKED).predict_from(*NEW).errors(np.zeros(2))
    assert errors.error == errors.bias + errors.variance
    with pytest.warns(RuntimeWarning, match="saddle point not reached"):
        assert not rn.solve(worked(1), Y, max_evaluations=3, **WORKED).converged


@pytest.mark.parametrize("sigma2", [1e-8, 1e-4, 1e2, 1e4])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_gated_network_is_solved_at_every_scale_of_the_prior(sigma2, depth):
    kernel, y, _, _ = problem(np.random.default_rng(1), n_gates=2, depth=depth)
    solution = rn.solve(kernel, y, widths=20, sigma2=sigma2, temperature=0.05)
    assert solution.converged and solution.gradient <= 1e-9
    # q = N(tr A^-1 U - d) is the same in all layers and in the data, relative to its terms
    np.testing.assert_allclose(solution.conserved(), solution.conserved()[0], atol=1e-7 * 20)


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


def test_infinite_layers_are_legal_and_the_limit_of_wide_ones():
    kernel, y, _, _ = problem(np.random.default_rng(4), n_gates=2, depth=2)
    options = {"sigma2": 0.7, "temperature": 0.1}
    for finite, infinite in (((30, 1e7), (30, np.inf)), ((1e7, 30), (np.inf, 30))):
        near = rn.solve(kernel, y, widths=finite, tolerance=1e-8, **options)
        limit = rn.solve(kernel, y, widths=infinite, tolerance=1e-10, **options)
        for a, b in zip(near.U, limit.U, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
        np.testing.assert_allclose(limit.conserved(), limit.conserved()[0], atol=1e-7)
    gp = rn.gp_limit(kernel, y, **options)
    both = rn.solve(kernel, y, widths=np.inf, **options)
    np.testing.assert_array_equal(both.U[0], gp.U[0])
    np.testing.assert_allclose(gp.U[0], 0.7**2 * np.eye(4), rtol=1e-14)
    path = rn.width_path(kernel, y, widths=[np.inf, 100, 50], **options)
    assert path[0].widths == (np.inf, np.inf) and path[2].converged
    K0 = input_kernel(np.eye(3))
    assert solve_linear(K0, np.ones(3), widths=[np.inf] * 2, sigma2=0.3).scale == pytest.approx(0.09)
    wide = solve_linear(K0, np.ones(3), widths=[5, 1e9], sigma2=0.3).scale
    assert solve_linear(K0, np.ones(3), widths=[5, np.inf], sigma2=0.3).scale == pytest.approx(wide)
    with pytest.raises(ValueError, match="finite widths for method 'mm'"):
        rn.solve(kernel, y, widths=(30, np.inf), method="mm", **options)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_kernel_from_inputs_predicts_what_the_low_level_way_predicts(outputs):
    rng = np.random.default_rng(5)
    x, x_new = rng.standard_normal((15, 6)), rng.standard_normal((4, 6))
    planes = gates.random_planes(3, 6, rng, constant=True)
    y = rng.standard_normal((15, outputs) if outputs > 1 else 15)
    low = GatedKernel(input_kernel(x, sigma2=0.6), planes(x), depth=2, outputs=outputs)
    low = rn.solve(low, y, widths=20, sigma2=0.6, temperature=0.1)
    new = input_kernel(x, x_new, 0.6), 0.6 * (x_new**2).mean(axis=1), planes(x_new)
    expected = low.predict_from(*new)
    for given, at_new in (
        (planes, {}),
        ([planes, planes], {}),
        (planes, {"gates": planes(x_new)}),
        (planes(x), {"gates": planes(x_new)}),
        ([planes, planes(x)], {"gates": [planes, planes(x_new)]}),
    ):
        kernel = GatedKernel.from_inputs(x, given, sigma2=0.6, depth=2, outputs=outputs)
        solution = rn.solve(kernel, y, widths=20, temperature=0.1)
        assert solution.sigma2 == 0.6
        found = solution.predict(x_new, **at_new)
        np.testing.assert_array_equal(found.mean, expected.mean)
        np.testing.assert_array_equal(found.variance, expected.variance)
    x_before = x.copy()
    x[:] = 0  # the kernel keeps its own inputs
    np.testing.assert_array_equal(solution.predict(x_new, gates=planes(x_new)).mean, expected.mean)
    np.testing.assert_array_equal(kernel.X, x_before)


def test_what_a_kernel_knows_cannot_be_contradicted_and_what_it_does_not_is_asked_for():
    own, elsewhere = GatedKernel.from_inputs(X, G, sigma2=1.5), worked(1)
    options = {"widths": 4, "temperature": 0.1}
    for call in (
        lambda: rn.solve(own, Y, sigma2=1.0, **options),
        lambda: rn.width_path(own, Y, widths=[4], sigma2=1.0),
        lambda: rn.gp_limit(own, Y, sigma2=1.0),
        lambda: rn.action(own, Y, "gp", sigma2=1.0, **options),
    ):
        with pytest.raises(
            ValueError, match="sigma2 needs the value the kernel has, 1.5, or none, got float 1.0"
        ):
            call()
    assert rn.solve(own, Y, sigma2=1.5, **options).sigma2 == 1.5
    assert rn.solve(elsewhere, Y, **options).sigma2 == 1.0
    with pytest.raises(ValueError, match="kernel needs to know its inputs"):
        rn.solve(elsewhere, Y, **options).predict(X_NEW, gates=G_NEW)
    stack = KernelStack(np.einsum("pm,pq,qn->mnpq", own.F, own.K0, own.F))
    with pytest.raises(ValueError, match="kernel needs to know its inputs"):
        rn.solve(stack, Y, **options).predict(X_NEW)
    solution = rn.solve(own, Y, **options)
    with pytest.raises(ValueError, match="gates needs those of the new points"):
        solution.predict(X_NEW)
    with pytest.raises(ValueError, match=r"X_new needs shape \(n_new, 2\)"):
        solution.predict(np.ones((2, 3)), gates=G_NEW)
    with pytest.raises(ValueError, match="gates needs one row for each of 2 new points, got .1."):
        solution.predict(X_NEW, gates=G_NEW[:1])


@pytest.mark.parametrize("U", ["nonsense", "GP", 2.0, None, [np.eye(3)], np.eye(2)])
def test_the_action_is_refused_at_what_is_no_order_parameter(U):
    with pytest.raises(ValueError, match="U needs .*order parameters"):
        rn.action(worked(1), Y, U, **WORKED)


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
