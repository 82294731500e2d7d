"""Saddle points of the action and their predictions: worked digits, conserved quantities, limits."""

import dataclasses

import numpy as np
import pytest

from gdln import renormalization as rn
from gdln.renormalization.kernels import GatedKernel, KernelStack, input_kernel
from gdln.renormalization.scalar import layer_scale, solve_linear
from tests.renormalization.example import G_NEW, NEW, WORKED, X_NEW, G, X, Y, problem, worked


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


def test_what_is_added_to_a_kernel_counts_as_noise_in_what_is_told_of_the_solution():
    solution = rn.solve(worked(1), Y, **WORKED)
    jittered = dataclasses.replace(solution, jitter=0.3)
    noisy = dataclasses.replace(solution, temperature=0.4)
    for told in (lambda s: s.predict_from(*NEW).mean, lambda s: s.first_layer_kernel()):
        np.testing.assert_allclose(told(jittered), told(noisy), rtol=1e-12)
        assert np.abs(told(jittered) - told(solution)).max() > 1e-3


def test_a_path_takes_widths_down_to_any_above_zero():
    kernel = worked(1)
    path = rn.width_path(kernel, Y, widths=[np.inf, 2.0, 1.0, 0.5], sigma2=1.5, temperature=0.1)
    assert [solution.widths[0] for solution in path] == [np.inf, 2.0, 1.0, 0.5]
    with pytest.raises(ValueError, match="widths needs numbers above 0"):
        rn.width_path(kernel, Y, widths=[2.0, 0.0], sigma2=1.5, temperature=0.1)


def test_errors_worked_by_hand():
    prediction = rn.saddle.Prediction(np.array([4.0, 1.0]), np.array([0.5, 1.5]))
    assert prediction.errors([1.0, 1.0]) == rn.saddle.Errors(4.5, 1.0, 5.5)


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


@pytest.mark.parametrize(("depth", "outputs"), [(1, 1), (2, 1), (1, 2)])
def test_the_first_layers_kernel_is_the_slope_of_the_action_in_the_input_kernel(depth, outputs):
    rng = np.random.default_rng(3)
    x, g, y = rng.standard_normal((5, 8)), rng.standard_normal((5, 2)), rng.standard_normal((5, outputs))
    y, K0, options = y[:, 0] if outputs == 1 else y, input_kernel(x), {"widths": 3.0, "temperature": 0.4}
    solution = rn.solve(GatedKernel(K0, g, depth=depth, outputs=outputs), y, **options)
    # units are drawn from N(0, K0), so that log Z(K0) has the slope K0^-1 (mean h h' - K0) K0^-1 N / 2
    slope, small = np.zeros((5, 5)), 1e-5
    for p, q in np.ndindex(5, 5):
        change = np.zeros((5, 5))
        change[p, q] += small / 2
        change[q, p] += small / 2
        up, down = (
            rn.action(GatedKernel(K0 + c, g, depth=depth, outputs=outputs), y, solution.U, **options)[0]
            for c in (change, -change)
        )
        slope[p, q] = (up - down) / (2 * small)
    found = solution.first_layer_kernel()
    np.testing.assert_allclose(found, K0 - K0 @ slope @ K0 / 3, atol=1e-8)
    assert np.abs(found - K0).max() > 0.01
    # other points: here two of the samples in another order, and an input of zero
    few = np.vstack([K0[[3, 0]], np.zeros(5)])
    among = np.pad(K0[np.ix_([3, 0], [3, 0])], (0, 1))
    there = solution.first_layer_kernel(few, among)
    np.testing.assert_allclose(there[:2, :2], found[np.ix_([3, 0], [3, 0])], rtol=1e-12)
    np.testing.assert_array_equal(there[2], 0)
