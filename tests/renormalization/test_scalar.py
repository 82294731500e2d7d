"""The scalar theory of linear networks: one constant gate, limits, scales, and what is refused."""

import numpy as np
import pytest

from gdln import renormalization as rn
from gdln.renormalization.kernels import GatedKernel, input_kernel
from gdln.renormalization.scalar import (
    depth_limit,
    layer_scale,
    log_average_meijer,
    log_average_quadrature,
    solve_linear,
)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_one_constant_gate_is_the_scalar_theory(depth):
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((30, 40)), rng.standard_normal(30)
    new = x[:4] + rng.standard_normal((4, 40))
    means = []
    for width, sigma2 in ((30, 1.0), (15, 0.4), (200, 2.0)):
        K0 = input_kernel(x, sigma2=sigma2)
        solution = rn.solve(GatedKernel(K0, np.ones((30, 1)), depth=depth), y, widths=width, sigma2=sigma2)
        r0 = y @ np.linalg.solve(K0, y) / 30
        u = layer_scale(30 / width, r0, sigma2, depth)
        np.testing.assert_allclose(solution.U[0][0, 0], u**depth, rtol=1e-6)
        scalar = solve_linear(K0, y, widths=[width] * depth, sigma2=sigma2)
        np.testing.assert_allclose(scalar.scale, u**depth, rtol=1e-9)
        if width == 30:
            np.testing.assert_allclose(u ** (depth + 1), sigma2 * r0, rtol=1e-12)
        args = (input_kernel(x, new, sigma2), sigma2 * (new**2).mean(axis=1))
        p, q = solution.predict_from(*args, np.ones((4, 1))), scalar.predict_from(*args)
        np.testing.assert_allclose(p.variance, q.variance, rtol=1e-6)
        means += [p.mean, q.mean]
    np.testing.assert_allclose(means, means[0][None].repeat(6, axis=0), atol=1e-8)


def test_the_scalar_solver_agrees_at_finite_temperature_and_unequal_widths():
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((30, 20)), rng.standard_normal(30)
    K0 = input_kernel(x)
    matrix = rn.solve(GatedKernel(K0, np.ones((30, 1)), depth=2), y, widths=(15, 60), temperature=0.2)
    scalar = solve_linear(K0, y, widths=(15, 60), temperature=0.2)
    np.testing.assert_allclose(scalar.scale, matrix.U[0][0, 0], rtol=1e-7)
    np.testing.assert_allclose(scalar.action, matrix.action, rtol=1e-10)


def test_a_singular_kernel_is_refused_without_noise_with_its_rank_and_no_width_at_all():
    for K0, rank in ((np.ones((3, 3)), 1), (np.zeros((3, 3)), 0), (np.diag([1.0, 1e-14, 1e-18]), 2)):
        with pytest.raises(ValueError, match=f"its rank, .*, is {rank} for 3 data points"):
            solve_linear(K0, np.ones(3), widths=4, sigma2=1.0)
    with pytest.raises(ValueError, match="widths needs one width or more"):
        solve_linear(np.eye(2), np.ones(2), widths=[], sigma2=1.0)


def test_the_average_has_a_value_at_any_width_above_zero():
    for width in (0.5, 1.0):
        found = log_average_meijer(1.3, 4, [width], 0.8)
        assert found == pytest.approx(log_average_quadrature(1.3, 4, width, 0.8), rel=1e-7)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_kernel_of_zero_leaves_the_prior_as_the_smallest_ones_do(depth):
    zero, small = (
        solve_linear(K0, np.ones(3), widths=[4.0] * depth, sigma2=0.7, temperature=0.5)
        for K0 in (np.zeros((3, 3)), 1e-30 * np.eye(3))
    )
    assert zero.scale == pytest.approx(0.7**depth, rel=1e-12) == small.scale
    assert zero.action == pytest.approx(small.action, rel=1e-12)


def test_at_infinite_depth_the_scale_ends_where_its_margin_does():
    assert depth_limit(0.5, 1.0, 2.0) == np.inf and depth_limit(0.25, 1.0, 2.0) == np.inf
    assert depth_limit(0.75, 1.0, 2.0) == pytest.approx(3, rel=1e-14)


def test_the_kernel_scale_of_deep_narrow_networks_has_the_predicted_limit():
    for alpha, r0, sigma2 in ((0.5, 1.3, 1.5), (2.0, 0.4, 3.0)):
        limit = depth_limit(alpha, r0, sigma2)
        gap = [layer_scale(alpha, r0, sigma2, L) ** L / limit - 1 for L in (500, 1000, 2000)]
        assert abs(gap[1]) < 6e-3 and 1.9 < gap[0] / gap[1] < 2.1 and 1.9 < gap[1] / gap[2] < 2.1
    assert depth_limit(0.5, 1.3, 3.0) == np.inf
    assert layer_scale(0.5, 1.3, 3.0, 1000) ** 1000 > 1e100


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf])
def test_the_scalar_theory_refuses_numbers_that_are_not_positive(bad):
    one = np.ones(3)
    for call in (
        lambda: layer_scale(bad, 1, 1),
        lambda: layer_scale(1, 1, 1, bad),
        lambda: depth_limit(1, 1, bad),
        lambda: log_average_meijer(1.0, 5, [bad], 1.0),
        lambda: log_average_quadrature(bad, 5, 3, 1.0),
        lambda: solve_linear(np.eye(3), one, widths=-abs(bad) if bad else bad),
        lambda: solve_linear(np.eye(3), one, widths=3, sigma2=bad),
        lambda: solve_linear(np.eye(3), [1, 2, np.nan], widths=3),
    ):
        with pytest.raises(ValueError, match=r"^\w+ needs"):
            call()


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_one_gate_is_the_scalar_theory_at_every_scale_of_the_prior(depth, temperature):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 25))
    y, K0 = x[:, 0] + rng.standard_normal(20), input_kernel(x)
    kernel = GatedKernel(K0, np.ones((20, 1)), depth=depth)
    for sigma2 in (1e-8, 1e-6, 1e-2, 1.0, 1e4, 1e8):
        for width in (10, 40):
            options = {"sigma2": sigma2, "temperature": temperature}
            scalar = solve_linear(K0, y, widths=[width] * depth, **options)
            matrix = rn.solve(kernel, y, widths=width, **options)
            assert matrix.converged
            np.testing.assert_allclose(matrix.U[0][0, 0], scalar.scale, rtol=1e-9)
            np.testing.assert_allclose(matrix.action, scalar.action, rtol=1e-9)
            # the descent itself finds the point again, not only its start
            moved = rn.solve(kernel, y, widths=width, start=[2 * u for u in matrix.U], **options)
            assert moved.evaluations > 1 and moved.converged
            np.testing.assert_allclose(moved.U[0], matrix.U[0], rtol=1e-6)


def test_the_scalar_theory_has_no_largest_or_smallest_scale():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((12, 20))
    K0, y = input_kernel(x), x[:, 0]
    base = solve_linear(K0, y, widths=[8, 16], sigma2=0.7, temperature=0.1)
    for c in (1e-60, 1e-30, 1e30, 1e60):  # y -> c y, T -> c^2 T and K0 -> c^2 K0 change nothing
        scaled = solve_linear(c**2 * K0, c * y, widths=[8, 16], sigma2=0.7, temperature=0.1 * c**2)
        np.testing.assert_allclose(scaled.ratios, base.ratios, rtol=1e-9)
    r0 = y @ np.linalg.solve(K0, y) / 12
    for c in (1e-40, 1e40):  # alone they move the scale: at alpha = 1 it is u^(L+1) = sigma2 r0
        found = solve_linear(K0, c * y, widths=[12, 12], sigma2=0.7).scale
        np.testing.assert_allclose(found, (0.7 * c**2 * r0) ** (2 / 3), rtol=1e-9)
