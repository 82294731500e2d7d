"""Random features, the kernels they tend to, and what they refuse."""

import numpy as np
import pytest

from gdln.convergence import features
from gdln.data import tasks


@pytest.mark.parametrize("kind", features.KINDS)
def test_the_gram_matrix_of_random_features_tends_to_the_kernel_as_one_over_root_d(kind):
    rng = np.random.default_rng(1)
    X = tasks.sphere(6, 3, rng)
    limit = features.feature_kernel(X, X, kind)
    error = []
    for n_features in (100, 10000):
        draws = [features.draw_features(n_features, 3, rng, kind)(X) for _ in range(20)]
        error.append(np.sqrt(np.mean([(phi @ phi.T - limit) ** 2 for phi in draws])))
    assert 8 < error[0] / error[1] < 12.5  # 100 times more features: 10 times less; 20 draws of 21 entries


def test_the_relu_kernel_is_homogeneous_and_vanishes_for_opposite_inputs():
    X = tasks.sphere(4, 5, np.random.default_rng(0))
    assert np.allclose(features.feature_kernel(3 * X, X), 3 * features.feature_kernel(X, X), rtol=1e-13)
    assert np.abs(np.diag(features.feature_kernel(X, -X))).max() < 1e-12
    assert np.allclose(np.diag(features.feature_kernel(X, X)), 1, rtol=1e-13)


def test_features_and_kernels_refuse_what_they_cannot_use():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="kind"):
        features.draw_features(3, 2, rng, "wavelet")
    with pytest.raises(ValueError, match=r"X needs shape \(n, 2\)"):
        features.draw_features(3, 2, rng)(np.ones((4, 5)))
    with pytest.raises(ValueError, match="shape"):
        features.linear_features(np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        features.feature_kernel(np.full((2, 3), np.nan), np.ones((2, 3)))


def test_features_worked_by_hand():
    X, u = np.array([[3.0, 4.0], [-1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 2.0]])
    relu = features.RandomFeatures(u, np.zeros(2), "relu")(X)
    np.testing.assert_allclose(relu, [[3 / 2**0.5, 8 / 2**0.5], [0, 4 / 2**0.5]], rtol=1e-15)
    waves = features.RandomFeatures(u, np.array([0.0, 0.5]), "fourier")(X)
    np.testing.assert_allclose(waves, np.cos([[3.0, 8.5], [-1.0, 4.5]]), rtol=1e-14)
    more = features.RandomFeatures(np.tile(u, (4, 1)), np.zeros(8), "relu")(X)
    np.testing.assert_allclose(more @ more.T, relu @ relu.T, rtol=1e-14)


def test_phases_fill_one_turn_and_relu_features_have_none():
    rng = np.random.default_rng(0)
    b = features.draw_features(4000, 2, rng, "fourier").b
    assert 0 <= b.min() < 0.01 and 2 * np.pi - 0.01 < b.max() < 2 * np.pi
    assert abs(b.mean() - np.pi) < 4 * 2 * np.pi / 12**0.5 / 4000**0.5
    assert not features.draw_features(5, 2, rng).b.any()


@pytest.mark.parametrize("size", [1e-9, 0.3, 1.0, 1e9])
def test_the_relu_kernel_worked_by_hand_in_any_unit_and_zero_at_zero(size):
    X = size * np.array([[2.0, 0.0], [0.0, 3.0], [-2.0, 0.0], [0.0, 0.0]])
    # a right angle: 2 * 3 / (2 pi) sin; the diagonal |x|^2 / 2
    expected = size**2 * np.array(
        [[2, 3 / np.pi, 0, 0], [3 / np.pi, 4.5, 3 / np.pi, 0], [0, 3 / np.pi, 2, 0], [0] * 4]
    )
    np.testing.assert_allclose(features.feature_kernel(X, X), expected, rtol=1e-14, atol=1e-16 * size**2)
    half = np.array([[1.0, 3**0.5]])  # at sixty degrees: (sin 60 + 2 pi / 3 / 2) / pi times 2 * 2 / 2
    both = features.feature_kernel(size * half, X[:1] / size)[0, 0]
    assert both == pytest.approx(size * 2 * (3**0.5 / 2 + np.pi / 3) / np.pi, rel=1e-14)


def test_the_fourier_kernel_worked_by_hand():
    X = np.array([[0.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(
        features.feature_kernel(X, [[1.0, 0.0], [3.0, 1.0], [0.0, 0.0]], "fourier"),
        np.exp([[-0.5, -5.0, 0.0], [-0.5, -2.0, -1.0]]), rtol=1e-14,
    )  # fmt: skip
