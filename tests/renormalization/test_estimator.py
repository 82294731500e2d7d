import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gdln.renormalization.estimator import GatedNetworkRegressor
from gdln.renormalization.kernels import GatedKernel, input_kernel
from gdln.renormalization.saddle import gp_limit


# random_state makes the planes; no check is exempt
@parametrize_with_checks([GatedNetworkRegressor(n_gates=4, random_state=0)])
def test_the_estimator_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def data(rng, n=60):
    X = rng.standard_normal((n, 4))
    return X, np.abs(X[:, 0]) + 0.1 * rng.standard_normal(n)


def test_gates_see_what_a_linear_network_cannot():
    rng = np.random.default_rng(0)
    X, y = data(rng, 300)
    gated, linear = (GatedNetworkRegressor(n_gates=M, random_state=0).fit(X[:200], y[:200]) for M in (12, 1))
    assert gated.score(X[200:], y[200:]) > 0.5 > linear.score(X[200:], y[200:])


def test_predictions_follow_the_units_of_the_targets():
    X, y = data(np.random.default_rng(1))
    a, b = (
        GatedNetworkRegressor(random_state=0).fit(X, t).predict(X, return_std=True) for t in (y, 10 * y - 3)
    )
    np.testing.assert_allclose(b[0], 10 * a[0] - 3, atol=1e-6)
    np.testing.assert_allclose(b[1], 10 * a[1], atol=1e-6)


def test_infinite_width_is_the_gaussian_process_and_own_gates_are_used():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((50, 4))
    X = (X - X.mean(axis=0)) / np.sqrt(np.mean((X - X.mean(axis=0)) ** 2))
    y = X[:, 0] * (X[:, 1] > 0)
    y = (y - y.mean()) / y.std()
    own = lambda x: np.column_stack([np.ones(len(x)), x[:, 1] > 0])  # noqa: E731
    mean = GatedNetworkRegressor(width=np.inf, gates=own).fit(X, y).predict(X)
    gp = gp_limit(GatedKernel(input_kernel(X), own(X)), y, temperature=0.1)
    np.testing.assert_allclose(
        mean, gp.predict_from(input_kernel(X), np.mean(X**2, axis=1), own(X)).mean, atol=1e-8
    )


def test_several_targets_are_learned_together():
    X, y = data(np.random.default_rng(3))
    Y = np.column_stack([y, X[:, 1]])
    mean, std = GatedNetworkRegressor(random_state=0).fit(X, Y).predict(X, return_std=True)
    assert mean.shape == std.shape == (60, 2)


def test_bad_parameters_are_refused_at_fit():
    X, y = data(np.random.default_rng(4))
    with pytest.raises(ValueError, match="widths > 0"):
        GatedNetworkRegressor(width=-1).fit(X, y)
