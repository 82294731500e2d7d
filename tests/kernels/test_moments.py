"""Laws of the kernels of infinitely wide networks, on random inputs and architectures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdln.kernels.gram import gradient_covariance, gram, input_gradients
from gdln.kernels.moments import MAPS, FullyConnected, diagonal, diagonal_slope, dual, from_moments

quick = settings(max_examples=60, deadline=None)


@st.composite
def architectures(draw, activations=("relu", "erf", "linear"), bias=True):
    return FullyConnected(
        draw(st.integers(0, 4)),
        draw(st.sampled_from(activations)),
        draw(st.floats(0.3, 2.5)),
        draw(st.sampled_from([0.0, 0.1, 1.0])) if bias else 0.0,
    )


@st.composite
def inputs(draw):
    """Points of which some repeat, some are collinear with others, on either side, and some are zero."""
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.standard_normal((n, d)) * 10.0 ** draw(st.integers(-3, 1))
    factors = draw(st.lists(st.sampled_from([1.0, -1.0, 2.5, -0.3, 0.0]), max_size=4))
    return np.vstack([X, *(factor * X[k % n, None] for k, factor in enumerate(factors))])


def seed():
    return st.integers(0, 2**32 - 1)


def close(a, b, digits=11):
    for name in ("nngp", "ntk"):
        a_, b_ = getattr(a, name), getattr(b, name)
        np.testing.assert_allclose(a_, b_, rtol=0, atol=10.0**-digits * max(np.abs(b_).max(), 1e-300))


@quick
@given(architectures(), inputs())
def test_kernels_are_positive_also_at_repeated_collinear_and_zero_inputs(network, X):
    both = gram(network, X)
    for kernel in (both.nngp, both.ntk):
        assert np.array_equal(kernel, kernel.T)
        assert np.linalg.eigvalsh(kernel)[0] >= -1e-12 * np.abs(kernel).max()


@quick
@given(architectures(), inputs())
def test_values_and_gradients_have_a_covariance_at_any_inputs(network, X):
    size = X.shape[0] * (1 + X.shape[1])
    C = gradient_covariance(network, X).reshape(size, size)
    scale = np.sqrt(np.maximum(np.diag(C), 0))
    scale[scale == 0] = 1
    C = C / np.outer(scale, scale)
    # second derivatives of saturated erf units are differences of terms p^2 times as large, p their variance
    p = network.W_std**2 * (X**2).mean(axis=1).max() + network.b_std**2
    rounding = 1e-10 + (2**-48 * p**2 if network.activation == "erf" else 0)
    np.testing.assert_allclose(C, C.T, rtol=0, atol=rounding)
    assert np.linalg.eigvalsh(C)[0] >= -rounding


@quick
@given(architectures(), inputs(), seed())
def test_kernels_see_neither_rotations_nor_the_order_of_samples(network, X, seed):
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((X.shape[1], X.shape[1])))[0]
    order = rng.permutation(len(X))
    whole, turned = gram(network, X), gram(network, X[order] @ rotation)
    # collinear inputs are told from others at 1e-7 of an angle, and a rotation may carry a pair across
    close(
        turned,
        type(whole)(whole.nngp[np.ix_(order, order)], whole.ntk[np.ix_(order, order)]),
        digits=11 if network.activation != "relu" else 6,
    )


@quick
@given(architectures(), inputs(), seed())
def test_a_kernel_of_two_sets_is_a_block_of_that_of_their_union(network, X, seed):
    cut = np.random.default_rng(seed).integers(0, len(X))
    whole = gram(network, X)
    if 0 < cut < len(X):
        part = gram(network, X[:cut], X[cut:], tile=1 + seed % 3)
        close(part, type(whole)(whole.nngp[:cut, cut:], whole.ntk[:cut, cut:]), digits=11)


@quick
@given(architectures(("relu", "linear"), bias=False), inputs(), st.floats(0.01, 100))
def test_without_bias_a_homogeneous_network_scales_with_its_weights_and_inputs(network, X, factor):
    start = gram(network, X)
    close(gram(network, factor * X), type(start)(factor**2 * start.nngp, factor**2 * start.ntk), digits=6)
    wider = FullyConnected(network.depth, network.activation, factor * network.W_std, 0.0)
    power = factor ** (2 * (network.depth + 1))
    close(gram(wider, X), type(start)(power * start.nngp, power * start.ntk), digits=6)


@pytest.mark.parametrize("activation", MAPS)
def test_the_scale_of_the_averages_is_a_factor(activation):
    p, maps = np.array([0.3, -0.2, 1.0, 0.0]), MAPS[activation][0]
    plain, scaled = np.empty((2, 4)), np.empty((2, 4))
    maps(np.ones(4), p, np.ones(4), *plain)
    maps(np.ones(4), p, np.ones(4), *scaled, 2.25)
    np.testing.assert_allclose(scaled, 2.25 * plain, rtol=1e-15, atol=0)


def relu_slopes(p11, p12, p22):
    p11, p12, p22 = np.broadcast_arrays(p11, p12, p22)
    value, slope = np.empty((2, p12.size))
    MAPS["relu"][0](p11, p12, p22, value, slope)
    return slope


def test_a_pair_is_collinear_or_not_whatever_stands_beside_it():
    ends = 1 - np.array(
        [1e-15, 6e-15, 8e-15, 1e-13]
    )  # the first two within the bound of 64 eps on the square
    alone = np.concatenate([relu_slopes(1.0, [end], 1.0) for end in ends])
    assert (alone[:2] == 0.5).all() and (alone[2:] < 0.5).all()
    for beside in ([0.3], [0.3, 1.0], [-0.9] * 5):
        np.testing.assert_array_equal(relu_slopes(1.0, [*ends, *beside], 1.0)[:4], alone)
    # the bound of one pair is not that of another of a million times its size, on either side
    sizes = np.array([1.0, 1e6])
    for pair in (ends[:2], ends[2:], ends[[0, 3]], ends[[3, 0]]):
        both = relu_slopes(sizes, sizes * pair, sizes)
        assert ((both == 0.5) == (1 - pair < 7e-15)).all()


@quick
@given(architectures(), inputs())
def test_depth_zero_is_a_linear_map_whatever_the_activation(network, X):
    flat = FullyConnected(0, network.activation, network.W_std, network.b_std)
    both = gram(flat, X)
    expected = network.W_std**2 * X @ X.T / X.shape[1] + network.b_std**2
    np.testing.assert_allclose(both.nngp, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    assert np.array_equal(both.nngp, both.ntk)


@quick
@given(architectures(("linear",)), inputs())
def test_layers_of_a_linear_network_multiply_and_its_tangent_kernel_counts_them(network, X):
    # with w = W_std^2 and b = b_std^2: K = w^(L+1) x.x'/n + b (1 + w + ... + w^L), each layer adds K_l w^(L-l)
    w, b, depth = network.W_std**2, network.b_std**2, network.depth
    linear = X @ X.T / X.shape[1]
    layers = [
        w ** (level + 1) * linear + b * sum(w**j for j in range(level + 1)) for level in range(depth + 1)
    ]
    tangent = sum(K * w ** (depth - level) for level, K in enumerate(layers))
    both = gram(network, X)
    np.testing.assert_allclose(both.nngp, layers[-1], rtol=1e-10, atol=1e-12 * np.abs(layers[-1]).max())
    np.testing.assert_allclose(both.ntk, tangent, rtol=1e-10, atol=1e-12 * np.abs(tangent).max())


@quick
@given(architectures(("relu", "erf")), inputs())
def test_the_tangent_kernel_holds_that_of_the_read_out_and_the_diagonal_bounds_it(network, X):
    both = gram(network, X)
    if network.depth:  # Theta = K + w T S with slopes S of at least zero on the diagonal
        assert (np.diag(both.ntk) >= np.diag(both.nngp)).all()
    for kernel in (both.nngp, both.ntk):
        bound = np.sqrt(np.outer(np.diag(kernel), np.diag(kernel)))
        assert (np.abs(kernel) <= bound * (1 + 1e-12) + 1e-300).all()


@quick
@given(architectures(), st.floats(1e-6, 1e3))
def test_coinciding_inputs_are_the_limit_of_close_ones(network, q):
    close(from_moments(network, q, q, q), diagonal(network, q))
    # the slope of K in q12 from below; a ReLU's kink enters as the root of the step, and erf bends over 1 / p
    step = 1e-4 / (1 + network.W_std**2 * q)
    below = from_moments(network, q, q * (1 - step), q).nngp
    measured = (diagonal(network, q).nngp - below) / (q * step)
    slope, rounding = diagonal_slope(network, q), 2**-50 * below / (q * step)
    assert abs(measured - slope) < 0.05 * (network.depth + 1) * slope + rounding


@quick
@given(architectures(("relu", "linear"), bias=False), inputs(), st.floats(0.1, 10))
def test_gradients_of_a_homogeneous_kernel_obey_euler(network, X, factor):
    # K(c x, x') = c K(x, x') for c > 0, so x . grad K = K; the gradient itself does not see the scale of x
    both, gradients = gram(network, X), input_gradients(network, X)
    for name in ("nngp", "ntk"):
        kernel, gradient = getattr(both, name), getattr(gradients, name)
        along = np.einsum("ij,ikj->ik", X, gradient)
        np.testing.assert_allclose(along, kernel, rtol=0, atol=1e-6 * np.abs(kernel).max())


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
def test_kernels_keep_their_digits_at_tiny_and_huge_inputs(scale):
    X = np.random.default_rng(0).standard_normal((5, 3))
    network = FullyConnected(2, "relu", 1.5, 0.0)
    start, far = gram(network, X), gram(network, scale * X)
    close(far, type(start)(scale**2 * start.nngp, scale**2 * start.ntk), digits=12)


def test_the_average_of_saturated_erf_units_stays_between_minus_one_and_one():
    p = np.random.default_rng(0).uniform(1, 10, 5000) * 1e24  # a cosine is off by a rounding, to either side
    for sign in (1, -1):
        np.testing.assert_allclose(dual("erf", p, sign * p, p), sign, rtol=1e-7)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e6, 1e8, 1e12, 1e30])
def test_saturated_erf_units_on_one_line_have_the_tangent_kernel_of_their_diagonal(size):
    X = size * np.array([[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]])
    kernel = gram(FullyConnected(1, "erf", b_std=0.0), X)
    signs = np.array([1.0, 1.0, -1.0])
    along = kernel.ntk * np.outer(signs, signs) / kernel.ntk[0, 0]
    # one minus a squared cosine loses the size squared in units of the last place, and then is bounded
    assert (along > 0).all() and (along < 1 + 1e-9).all()
    assert np.abs(along - 1).max() < 1e-15 * size**2 + 1e-14
    np.testing.assert_allclose(kernel.nngp * np.outer(signs, signs), kernel.nngp[0, 0], rtol=1e-6)
    if size < 1e30:  # whose fourth power, in the derivatives, is no number
        assert np.isfinite(gradient_covariance(FullyConnected(1, "erf", b_std=0.0), X)).all()


def test_inputs_too_large_for_the_kernel_end_in_words():
    with pytest.raises(FloatingPointError, match="needs inputs whose fourth powers"):
        gram(FullyConnected(1, "relu"), 1e160 * np.ones((2, 2)))
    with pytest.raises(FloatingPointError, match="needs inputs whose fourth powers"):
        diagonal(FullyConnected(3, "linear", 1e100), 1e200)
