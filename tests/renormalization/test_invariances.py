"""What cannot change a saddle point, or changes it in a known way, on kernels, gates and targets drawn at random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from gdln import renormalization as rn
from gdln.kernels.moments import dual
from gdln.renormalization import patches
from gdln.renormalization.scalar import solve_linear

OPTIONS = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def networks(draw, n_gates=(1, 3), depth=(1, 2)):
    """Inputs, gates, targets, new points and settings of a network whose kernel is well conditioned."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, depth = draw(st.integers(3, 12)), draw(st.integers(*depth))
    x, g = rng.standard_normal((n, 15)), rng.standard_normal((n, draw(st.integers(*n_gates))))
    g[:, 0] = 1.0
    y = rng.standard_normal(n)
    widths = [draw(st.floats(8, 60)) for _ in range(depth)]
    settings_ = {"sigma2": 10 ** draw(st.floats(-1, 1)), "temperature": 10 ** draw(st.floats(-2, 0))}
    return x, g, y, widths, settings_


def solution_of(x, g, y, widths, sigma2, temperature):
    kernel = rn.GatedKernel.from_inputs(x, g, sigma2=sigma2, depth=len(widths))
    return rn.solve(kernel, y, widths=widths, temperature=temperature, tolerance=1e-11)


def same(a, b, rtol=1e-6):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@OPTIONS
@given(networks(), st.integers(0, 10**6))
def test_an_orthogonal_change_of_basis_of_the_inputs_changes_nothing(network, seed):
    x, g, y, widths, options = network
    rotation = ortho_group.rvs(15, random_state=np.random.default_rng(seed))
    first, second = (solution_of(inputs, g, y, widths, **options) for inputs in (x, x @ rotation))
    same(second.kernel.K0, first.kernel.K0, 1e-12)
    same(second.U[0], first.U[0])
    a, b = first.predict(x + 0.3, gates=g), second.predict((x + 0.3) @ rotation, gates=g)
    same(b.mean, a.mean)


@OPTIONS
@given(networks(), st.integers(0, 10**6))
def test_samples_have_no_order(network, seed):
    x, g, y, widths, options = network
    order = np.random.default_rng(seed).permutation(len(y))
    first, second = (
        solution_of(x, g, y, widths, **options),
        solution_of(x[order], g[order], y[order], widths, **options),
    )
    same(second.U[0], first.U[0])
    same(second.action, first.action, 1e-9)
    same(second.predict(x, gates=g).mean, first.predict(x, gates=g).mean)


@OPTIONS
@given(networks(n_gates=(3, 3), depth=(1, 1)), st.integers(0, 10**6))
def test_a_rotation_of_the_gates_rotates_the_order_parameter(network, seed):
    x, g, y, widths, options = network
    rotation = ortho_group.rvs(3, random_state=np.random.default_rng(seed))
    first, second = (
        solution_of(x, g, y, widths, **options),
        solution_of(x, g @ rotation, y, widths, **options),
    )
    same(second.U[0], rotation.T @ first.U[0] @ rotation)
    assert first.converged and second.converged


@OPTIONS
@given(networks(), st.floats(-3, 3))
def test_labels_in_other_units_with_the_noise_and_the_inputs_rescale_the_output_alone(network, log_c):
    x, g, y, widths, options = network
    c = 10**log_c
    first = solution_of(x, g, y, widths, **options)
    kernel = rn.GatedKernel(c**2 * first.kernel.K0, g, depth=len(widths))
    options |= {"temperature": c**2 * options["temperature"]}
    second = rn.solve(kernel, c * y, widths=widths, tolerance=1e-11, **options)
    for a, b in zip(second.U, first.U, strict=True):
        same(a, b)
    new = first.kernel.new_points(x[:2] + 0.1, g[:2])
    a, b = second.predict_from(c**2 * new[0], c**2 * new[1], new[2]), first.predict_from(*new)
    same(a.mean, c * b.mean)
    same(a.variance, c**2 * b.variance)


@OPTIONS
@given(networks(), st.floats(-2, 2))
def test_the_prior_variance_trades_against_the_kernel_of_infinite_width(network, log_c):
    # sigma2 -> c sigma2 in every gated layer with K0 -> K0 / c^L leaves K and the relative order parameters
    x, g, y, widths, options = network
    c, depth = 10**log_c, len(widths)
    first = solution_of(x, g, y, widths, **options)
    kernel = rn.GatedKernel(first.kernel.K0 / c**depth, g, depth=depth)
    options |= {"sigma2": c * options["sigma2"]}
    second = rn.solve(kernel, y, widths=widths, tolerance=1e-11, **options)
    for l in range(depth):
        same(second.U[l], c ** (depth - l) * first.U[l])
    same(kernel(second.U[0]), first.kernel(first.U[0]))


@OPTIONS
@given(networks(n_gates=(1, 1), depth=(1, 3)))
def test_one_constant_gate_is_the_scalar_theory(network):
    x, g, y, widths, options = network
    matrix = solution_of(x, g, y, widths, **options)
    scalar = solve_linear(matrix.kernel.K0, y, widths=widths, **options)
    same(matrix.U[0][0, 0], scalar.scale)
    same(matrix.action, scalar.action, 1e-10)
    cross, diagonal, gates = matrix.kernel.new_points(x[:2] + 0.1, g[:2])
    a, b = matrix.predict_from(cross, diagonal, gates), scalar.predict_from(cross, diagonal)
    same(a.mean, b.mean)
    same(a.variance, b.variance)


@OPTIONS
@given(networks())
def test_wide_layers_tend_to_the_gaussian_process_as_one_over_width(network):
    x, g, y, widths, options = network
    kernel = rn.GatedKernel.from_inputs(x, g, sigma2=options["sigma2"], depth=len(widths))
    limit = rn.solve(kernel, y, widths=np.inf, temperature=options["temperature"])
    gap = [
        np.linalg.norm(
            rn.solve(kernel, y, widths=N, temperature=options["temperature"], tolerance=1e-11).U[0]
            - limit.U[0]
        )
        for N in (1e4, 1e5)
    ]
    assert 9 < gap[0] / gap[1] < 11


@OPTIONS
@given(networks(n_gates=(2, 2)))
def test_cold_networks_tend_to_interpolation_in_proportion_to_the_temperature(network):
    x, g, y, widths, options = network
    cold = solution_of(x, g, y, widths, sigma2=1.0, temperature=0.0)
    gap = [
        np.linalg.norm(solution_of(x, g, y, widths, sigma2=1.0, temperature=T).U[0] - cold.U[0])
        for T in (1e-4, 1e-5)
    ]
    same(cold.predict(x, gates=g).mean, y, 1e-8)
    assert 8 < gap[0] / gap[1] < 12


@pytest.mark.parametrize("activation", ["linear", "relu", "erf"])
def test_a_kernel_of_patches_predicts_what_its_kernels_predict(activation):
    rng = np.random.default_rng(0)
    X, X_new, y = rng.standard_normal((9, 3, 4)), rng.standard_normal((5, 3, 4)), rng.standard_normal(9)
    options = {"sigma2": 0.7, "activation": activation}
    found = rn.solve(patches.PatchKernel(X, **options), y, widths=20, temperature=0.1).predict(X_new)
    low = rn.KernelStack(patches.kernels(X, **options))
    low = rn.solve(low, y, widths=20, sigma2=0.7, temperature=0.1)
    expected = low.predict_from(patches.kernels(X, X_new, **options), patches.diagonals(X_new, **options))
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.variance, expected.variance)
    with pytest.raises(ValueError, match="gates needs None for patches"):
        rn.solve(patches.PatchKernel(X), y, widths=9, temperature=1.0).predict(X_new, gates=np.ones((5, 1)))


def test_the_arc_cosine_average_keeps_its_digits_between_nearly_parallel_and_opposite_inputs():
    for angle in (1e-12, 1e-9, 1e-6, 1e-3, 1.0, np.pi - 1e-3, np.pi):
        exact = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        np.testing.assert_allclose(dual("relu", 2.0, 6 * np.cos(angle), 18.0), 6 * exact, atol=1e-15 * 6)
    assert dual("relu", 4.0, 4.0, 4.0) == 2.0  # coinciding inputs, exactly half the variance
