import tracemalloc

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gdln.renormalization import estimator as module
from gdln.renormalization.estimator import GatedNetworkRegressor
from gdln.renormalization.features import FeatureKernel
from gdln.renormalization.kernels import GatedKernel


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
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = X[:, 0] * (X[:, 1] > 0)
    y = (y - y.mean()) / y.std()
    own = lambda x: np.column_stack([np.ones(len(x)), x[:, 1] > 0])  # noqa: E731
    G = own(X)
    C = (G @ G.T / 2) * (X @ X.T / 4) + 0.1 * np.eye(50)
    expected = (C - 0.1 * np.eye(50)) @ np.linalg.solve(C, y)
    for width in (np.inf, [np.inf]):
        np.testing.assert_allclose(
            GatedNetworkRegressor(width=width, gates=own).fit(X, y).predict(X), expected, atol=1e-8
        )


def test_units_and_origins_of_the_features_do_not_matter():
    X, y = data(np.random.default_rng(5))
    other = X * np.array([1e-3, 1.0, 1e4, 7.0]) + np.array([0.0, -5.0, 1e5, 3.0])
    a, b = (GatedNetworkRegressor(random_state=0).fit(x, y).predict(x, return_std=True) for x in (X, other))
    np.testing.assert_allclose(b, a, atol=1e-6)
    raw = GatedNetworkRegressor(random_state=0, scale_inputs=False)
    assert np.abs(raw.fit(other, y).predict(other) - raw.fit(X, y).predict(X)).max() > 0.1


@pytest.mark.parametrize("width", [30.0, np.inf, [20, 30]])
def test_a_weight_counts_copies_of_a_sample(width):
    rng = np.random.default_rng(6)
    X, y = data(rng, 30)
    weight = rng.integers(0, 4, 30)
    model = GatedNetworkRegressor(width=width, n_gates=3, random_state=0)
    a = model.fit(X, y, sample_weight=weight).predict(X, return_std=True)
    b = model.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).predict(X, return_std=True)
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(a[0] - model.fit(X, y).predict(X)).max() > 1e-2


def test_parameters_set_after_a_fit_count_at_the_next_one():
    X, y = data(np.random.default_rng(7))
    model = GatedNetworkRegressor(random_state=0).fit(X, y)
    before = model.predict(X, return_std=True)
    own = lambda x: np.ones((len(x), 1))  # noqa: E731
    model.set_params(
        sigma2=9.0,
        temperature=3.0,
        n_gates=2,
        gates=own,
        width=3,
        depth=1,
        scale_inputs=False,
        random_state=5,
    )
    np.testing.assert_array_equal(model.predict(X, return_std=True), before)
    assert np.abs(model.fit(X, y).predict(X) - before[0]).max() > 1e-2


def test_one_width_a_layer_is_the_depth_and_a_contradiction_is_refused():
    X, y = data(np.random.default_rng(8))
    numbers = {"n_gates": 2, "random_state": 0}
    deep = GatedNetworkRegressor(width=[20, 30], **numbers).fit(X, y)
    assert deep.solution_.widths == (20.0, 30.0) and deep.order_parameter_.shape == (4, 4)
    flat, same = (
        GatedNetworkRegressor(**size, **numbers).fit(X, y)
        for size in ({"width": 20, "depth": 2}, {"width": [20, 20]})
    )
    np.testing.assert_allclose(flat.predict(X), same.predict(X), rtol=1e-12)
    with pytest.raises(ValueError, match="depth needs the number of widths, 2, got"):
        GatedNetworkRegressor(width=[20, 30], depth=3, **numbers).fit(X, y)


def test_a_generator_draws_the_planes_and_moves_on():
    X, y = data(np.random.default_rng(9))
    one, two = (
        GatedNetworkRegressor(random_state=np.random.default_rng(0)).fit(X, y).predict(X) for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    model = GatedNetworkRegressor(random_state=np.random.default_rng(0))
    assert np.abs(model.fit(X, y).predict(X) - model.fit(X, y).predict(X)).max() > 1e-6


def test_frames_and_single_precision_are_read_as_the_same_numbers():
    pd = pytest.importorskip("pandas")
    X, y = data(np.random.default_rng(10))
    X, y = X.astype(np.float32), y.astype(np.float32)
    model = GatedNetworkRegressor(random_state=0)
    expected = model.fit(X.astype(float), y.astype(float)).predict(X.astype(float))
    np.testing.assert_array_equal(model.fit(X, y).predict(X), expected)
    frame = pd.DataFrame(X, columns=list("abcd"))
    np.testing.assert_allclose(model.fit(frame, pd.Series(y)).predict(frame), expected, atol=1e-12)
    assert list(model.feature_names_in_) == list("abcd")


def test_constant_features_and_targets_are_no_trouble():
    X, y = data(np.random.default_rng(11))
    X[:, 2] = 0.1 + 0.2
    assert np.isfinite(GatedNetworkRegressor(random_state=0).fit(X, y).predict(X)).all()
    np.testing.assert_allclose(
        GatedNetworkRegressor(random_state=0).fit(X, np.full(60, 0.3)).predict(X), 0.3, atol=1e-12
    )


def test_several_targets_are_learned_together():
    X, y = data(np.random.default_rng(3))
    Y = np.column_stack([y, X[:, 1]])
    mean, std = GatedNetworkRegressor(random_state=0).fit(X, Y).predict(X, return_std=True)
    assert mean.shape == std.shape == (60, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": -1}, "width needs a number above 0"),
        ({"width": []}, "width needs one or more widths"),
        ({"width": [[3, 4]]}, "width needs one or more widths"),
        ({"width": "wide"}, "width needs a number above 0"),
        ({"depth": 0}, "depth needs a whole number"),
        ({"n_gates": 2.5}, "n_gates needs a whole number"),
        ({"gates": 3}, "gates needs a function"),
        ({"gates": lambda x: np.ones(len(x))}, r"gates needs shape \(60, n_gates\)"),
        ({"sigma2": 0.0}, "sigma2 needs a number above 0"),
        ({"temperature": -0.1}, "temperature needs a number of at least 0"),
    ],
)
def test_bad_parameters_are_refused_at_fit(change, message):
    X, y = data(np.random.default_rng(4))
    with pytest.raises((TypeError, ValueError), match=message):
        GatedNetworkRegressor(random_state=0).set_params(**change).fit(X, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.full((60, 4), np.nan)}, "NaN"),
        ({"y": np.array(["a", "b"] * 30)}, "could not convert|[Nn]umeric|dtype"),
        ({"y": np.ones(59)}, "inconsistent numbers of samples"),
        ({"y": np.full(60, np.nan)}, "NaN"),
        ({"sample_weight": -np.ones(60)}, "sample_weight needs numbers of at least 0"),
        ({"sample_weight": np.zeros(60)}, "at least one weight above zero"),
        ({"sample_weight": np.ones(59)}, r"sample_weight needs shape \(60,\)"),
    ],
)
def test_bad_data_are_refused_at_fit(change, message):
    X, y = data(np.random.default_rng(4))
    with pytest.raises(ValueError, match=message):
        GatedNetworkRegressor(random_state=0).fit(**({"X": X, "y": y} | change))


@pytest.mark.parametrize(("outputs", "weighted"), [(1, False), (3, True)])
@pytest.mark.parametrize("depth", [1, 2])
def test_more_samples_than_products_of_gates_and_inputs_are_fitted_by_features_with_equal_results(
    depth, outputs, weighted, monkeypatch
):
    rng = np.random.default_rng(0)
    products = 3**depth * 4
    X, X_new = rng.standard_normal((products + 1, 4)), rng.standard_normal((5, 4))
    Y = np.abs(X @ rng.standard_normal((4, outputs)))
    weight = rng.integers(1, 4, len(X)) if weighted else None

    def fitted(n, **change):
        model = GatedNetworkRegressor(20.0, depth=depth, n_gates=3, random_state=1, **change)
        return model.fit(X[:n], Y[:n], weight if weight is None else weight[:n])

    few = fitted(products + 1)
    assert isinstance(few.solution_.kernel, FeatureKernel)
    assert isinstance(fitted(products).solution_.kernel, GatedKernel)
    with pytest.raises(ValueError, match=r"the kernel is singular at T = 0: .* use T > 0, fewer points"):
        fitted(products + 1, temperature=0.0)
    monkeypatch.setattr(module, "FeatureKernel", GatedKernel.from_inputs)
    same = fitted(products + 1)
    assert isinstance(same.solution_.kernel, GatedKernel)
    for found, expected in zip(few.predict(X_new, True), same.predict(X_new, True), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_the_memory_of_a_fit_does_not_grow_with_the_square_of_the_samples():
    rng, n = np.random.default_rng(0), 5000
    X = rng.standard_normal((n, 5))
    tracemalloc.start()
    try:
        GatedNetworkRegressor(n_gates=4, random_state=0).fit(X, X[:, 0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * n**2 / 10
