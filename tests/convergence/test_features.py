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
