"""Kernels of infinite networks, their derivatives, the kernel of finite ones, and training in closed form."""

import numpy as np
import pytest

from gdln import results
from gdln.kernels import function_space, moments
from gdln.kernels.gram import gradient_covariance, gram, input_gradients
from gdln.kernels.moments import FullyConnected, diagonal, from_moments, mixed_derivatives, moment_derivatives

# activation, depth, K(x,x'), T(x,x'), K(x,x), T(x,x), T_11(x,x'), T_12(x,x') at x = (1,0,0), x' = (.6,.8,0)
FIXTURES = [
    ("erf", 1, 0.54531168, 1.10702051, 0.93744005, 2.02065724, -1.08017566, 5.91748403),
    ("erf", 2, 0.56735589, 1.75961450, 1.02761526, 3.68374599, -2.76427556, 10.34200323),
    ("erf", 3, 0.55504920, 2.33208785, 1.06688029, 5.73511058, -4.50238485, 14.91573730),
    ("relu", 1, 0.59247964, 0.95831701, 0.86500000, 1.72000000, 0.13528459, 4.19147976),
    ("relu", 2, 0.72904123, 1.52702871, 0.98312500, 2.91812500, 0.41248361, 5.95464743),
    ("relu", 3, 0.87436998, 2.19013469, 1.11601562, 4.39890625, 0.83189424, 7.65006646),
]
NONLINEAR = [(a, d) for a in ("erf", "relu") for d in (1, 2, 3)]


@pytest.mark.parametrize("row", FIXTURES, ids=lambda row: f"{row[0]}{row[1]}")
def test_kernels_and_derivatives_take_their_known_values(row):
    activation, depth, *expected = row
    network = FullyConnected(depth, activation, W_std=1.5, b_std=0.1)
    both = gram(network, [[1.0, 0, 0], [0.6, 0.8, 0]])
    d = moment_derivatives(network, 1 / 3, 0.2, 1 / 3)
    got = both.nngp[0, 1], both.ntk[0, 1], both.nngp[0, 0], both.ntk[1, 1], d.ntk_11, d.ntk_12
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7)


def test_kernels_agree_with_neural_tangents_off_collinear_pairs():
    record = results.load("kernel_fixtures")
    X, pair = np.array(record["parameters"]["X"]), tuple(record["parameters"]["collinear"])
    ordinary = ~np.eye(len(X), dtype=bool)
    ordinary[pair] = ordinary[pair[::-1]] = False
    for row in record["results"]["networks"]:
        ours = gram(FullyConnected(row["depth"], row["activation"]), X)
        for name in ("nngp", "ntk"):
            difference = np.abs(getattr(ours, name) - np.array(row[name]))
            assert difference[ordinary].max() < 1e-12
            # beside the diagonal a ReLU slope loses half the digits, theirs and ours
            assert difference.max() < (1e-12 if row["activation"] == "erf" else 1e-6)


@pytest.mark.parametrize(("activation", "depth"), [*NONLINEAR, ("linear", 2)])
def test_the_diagonal_is_the_limit_of_the_two_point_kernel(activation, depth):
    network = FullyConnected(depth, activation)
    near = from_moments(network, 0.7, 0.7 * (1 - 1e-13), 0.7)
    exact = diagonal(network, 0.7)
    assert abs(near.nngp - exact.nngp) < 1e-10
    assert abs(near.ntk - exact.ntk) < 1e-5


def test_tiles_do_not_change_the_matrix_and_one_set_gives_a_symmetric_one(rng):
    X = rng.standard_normal((37, 6))
    for activation in ("erf", "relu"):
        network = FullyConnected(3, activation)
        small, large, cross = (
            gram(network, X, tile=8),
            gram(network, X),
            gram(network, X[:20], X[20:], tile=7),
        )
        for name in ("nngp", "ntk"):
            np.testing.assert_allclose(getattr(small, name), getattr(large, name), rtol=0, atol=1e-13)
            np.testing.assert_allclose(
                getattr(cross, name), getattr(large, name)[:20, 20:], rtol=0, atol=1e-13
            )
            assert np.array_equal(getattr(small, name), getattr(small, name).T)
            exact = getattr(diagonal(network, (X**2).mean(axis=1)), name)
            np.testing.assert_allclose(np.diag(getattr(large, name)), exact, rtol=1e-14)


@pytest.mark.parametrize("activation", ["erf", "relu", "linear"])
@pytest.mark.parametrize("b_std", [0.0, 0.1])
def test_torch_computes_the_matrices_of_numpy_in_tiles_of_any_size(activation, b_std, rng):
    pytest.importorskip("torch")
    X, network = rng.standard_normal((37, 6)), FullyConnected(3, activation, b_std=b_std)
    X[3], X[5], X[7] = 2 * X[4], X[6], 0  # collinear, equal and, without a bias, without a direction
    ours, cross = gram(network, X), gram(network, X, X[:9])
    for tile in (None, 5, 37):
        one, two = (gram(network, X, B, tile, device="cpu") for B in (None, X[:9]))
        for name in ("nngp", "ntk"):
            assert (getattr(one, name) == getattr(one, name).T).all()
            # the cosine of equal inputs off the diagonal is rounded, of which a ReLU slope takes the root
            atol = 1e-6 if activation == "relu" else 1e-12
            np.testing.assert_allclose(getattr(one, name), getattr(ours, name), rtol=1e-12, atol=atol)
            np.testing.assert_allclose(getattr(two, name), getattr(cross, name), rtol=1e-12, atol=atol)
            distinct = np.arange(37) > 7
            both = np.ix_(distinct, distinct)
            np.testing.assert_allclose(
                getattr(one, name)[both], getattr(ours, name)[both], rtol=1e-12, atol=1e-13
            )


def test_kernels_do_not_see_a_rotation_of_the_inputs(rng):
    X, rotation = rng.standard_normal((12, 5)), np.linalg.qr(rng.standard_normal((5, 5)))[0]
    network = FullyConnected(2, "relu")
    np.testing.assert_allclose(gram(network, X @ rotation).ntk, gram(network, X).ntk, rtol=1e-12)


def test_a_relu_kernel_without_bias_is_homogeneous(rng):
    X, network = rng.standard_normal((9, 4)), FullyConnected(3, "relu", b_std=0.0)
    np.testing.assert_allclose(gram(network, 3 * X).ntk, 9 * gram(network, X).ntk, rtol=1e-12)


def test_a_linear_network_has_as_many_times_the_linear_kernel_as_it_has_layers(rng):
    X, network = rng.standard_normal((9, 4)), FullyConnected(4, "linear", W_std=1.0, b_std=0.0)
    both = gram(network, X)
    np.testing.assert_allclose(both.nngp, X @ X.T / 4, atol=1e-14)
    np.testing.assert_allclose(both.ntk, 5 * X @ X.T / 4, atol=1e-14)


@pytest.mark.parametrize(("activation", "depth"), NONLINEAR)
def test_input_gradients_agree_with_central_differences(activation, depth, rng):
    X, Y = rng.standard_normal((4, 5)), rng.standard_normal((3, 5))
    network, step = FullyConnected(depth, activation), 1e-5
    gradients = input_gradients(network, X, Y)
    for j in range(5):
        e = step * np.eye(5)[j]
        up, down = gram(network, X + e, Y), gram(network, X - e, Y)
        for name in ("nngp", "ntk"):
            difference = (getattr(up, name) - getattr(down, name)) / (2 * step)
            assert np.abs(getattr(gradients, name)[..., j] - difference).max() < 1e-8


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_gradients_at_coinciding_inputs_are_finite(activation, rng):
    X = rng.standard_normal((6, 3))
    gradients = input_gradients(FullyConnected(2, activation), X)
    assert np.isfinite(gradients.ntk).all()
    zero = input_gradients(FullyConnected(2, activation, b_std=0.0), np.zeros((1, 3)), X)
    assert np.isfinite(zero.ntk).all()


def test_price_theorem_holds_layer_by_layer():
    # the slope of K in q12 is a product of slopes: at depth 1, W_std^4 times the derivative kernel
    network = FullyConnected(1, "erf", b_std=0.0)
    step = 1e-6
    up, down = (from_moments(network, 0.5, 0.2 + s, 0.9).nngp for s in (step, -step))
    assert abs(moment_derivatives(network, 0.5, 0.2, 0.9).nngp_12 - (up - down) / (2 * step)) < 1e-9


@pytest.mark.parametrize(("activation", "depth"), NONLINEAR)
def test_mixed_derivatives_differentiate_the_first_ones(activation, depth):
    network, q, step = FullyConnected(depth, activation), np.array([0.6, 0.25, 0.9]), 1e-5
    mixed = mixed_derivatives(network, *q)

    def slope(moment, field):
        e = step * np.eye(3)[moment]
        up, down = (getattr(moment_derivatives(network, *(q + s * e)), field) for s in (1, -1))
        return (up - down) / (2 * step)

    assert abs(mixed.d11_12 - slope(1, "nngp_11")) < 1e-8
    assert abs(mixed.d11_22 - slope(2, "nngp_11")) < 1e-8
    assert abs(mixed.d12_12 - slope(1, "nngp_12")) < 1e-8
    assert abs(mixed.d12_22 - slope(2, "nngp_12")) < 1e-8


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_the_covariance_of_value_and_gradient_is_positive_and_differentiates_the_kernel(activation, rng):
    X, network, step = rng.standard_normal((5, 3)), FullyConnected(2, activation), 1e-5
    covariance = gradient_covariance(network, X)
    matrix = covariance.reshape(20, 20)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-7)
    assert np.linalg.eigvalsh(matrix).min() > 0
    np.testing.assert_allclose(
        covariance[:, 1:, :, 0].transpose(0, 2, 1), input_gradients(network, X).nngp, atol=1e-12
    )
    e = step * np.eye(3)[2]
    up, down = (input_gradients(network, X[:2], X[2:] + s * e).nngp for s in (1, -1))
    measured = covariance[:2, 1:, 2:, 3].transpose(0, 2, 1)
    np.testing.assert_allclose(measured, (up - down) / (2 * step), atol=1e-8)


def flow_setting(rng, n=12, m=5):
    X, Y = rng.standard_normal((n + m, 6)), rng.standard_normal((n, 2))
    both = gram(FullyConnected(2, "erf"), X)
    train = moments.Kernels(both.nngp[:n, :n], both.ntk[:n, :n])
    test = moments.Kernels(both.nngp[n:, :n], both.ntk[n:, :n])
    return train, test, Y, np.diag(both.nngp)[n:]


def test_flow_predictions_start_at_the_prior_and_end_at_kernel_regression(rng):
    train, test, Y, prior = flow_setting(rng)
    run = function_space.gradient_flow(train, test, Y, [0.0, np.inf], test_nngp=prior)
    assert np.array_equal(run.mean[0], np.zeros((5, 2)))
    np.testing.assert_allclose(run.variance[0], prior)
    np.testing.assert_allclose(run.mean[1], test.ntk @ np.linalg.solve(train.ntk, Y), rtol=1e-6)
    again = function_space.gradient_flow(train, train, Y, np.inf, test_nngp=np.diag(train.nngp))
    np.testing.assert_allclose(again.mean[0], Y, atol=1e-8)
    np.testing.assert_allclose(again.variance[0], 0, atol=1e-8)


def test_flow_predictions_satisfy_their_differential_equation(rng):
    train, test, Y, prior = flow_setting(rng)
    step = 1e-4
    on_train = function_space.gradient_flow(train, train, Y, 3.0).mean[0]
    up, down = function_space.gradient_flow(train, test, Y, [3.0 + step, 3.0 - step]).mean
    np.testing.assert_allclose((up - down) / (2 * step), -test.ntk @ (on_train - Y) / len(Y), atol=1e-7)


def test_steps_of_descent_are_predicted_and_become_the_flow(rng):
    train, test, Y, prior = flow_setting(rng)
    rate = 0.5 * len(Y) / np.linalg.eigvalsh(train.ntk)[-1]
    outputs, readout = np.zeros_like(Y), np.zeros((5, 2))
    for _ in range(7):
        chi = (outputs - Y) / len(Y)
        outputs, readout = outputs - rate * train.ntk @ chi, readout - rate * test.ntk @ chi
    ours = function_space.gradient_flow(train, test, Y, 7, test_nngp=prior, lr=rate)
    np.testing.assert_allclose(ours.mean[0], readout, atol=1e-12)
    flow = function_space.gradient_flow(train, test, Y, 7 * rate, test_nngp=prior)
    slow = function_space.gradient_flow(train, test, Y, 7000, test_nngp=prior, lr=rate / 1000)
    np.testing.assert_allclose(slow.mean, flow.mean, atol=1e-3)
    np.testing.assert_allclose(slow.variance, flow.variance, atol=1e-3)


def test_the_variance_is_that_of_linearised_draws(rng):
    train, test, Y, prior = flow_setting(rng)
    t, star = 4.0, 2
    joint = np.block([[train.nngp, test.nngp[[star]].T], [test.nngp[[star]], prior[[star]][:, None]]])
    draws = np.linalg.cholesky(joint + 1e-10 * np.eye(13)) @ rng.standard_normal((13, 40_000))
    eigenvalues, V = np.linalg.eigh(train.ntk)
    A = test.ntk[star] @ V @ np.diag((1 - np.exp(-eigenvalues * t / 12)) / eigenvalues) @ V.T
    sampled = (draws[12] - A @ draws[:12]).var()
    ours = function_space.gradient_flow(train, test, Y, t, test_nngp=prior).variance[0, star]
    assert abs(sampled / ours - 1) < 4 * np.sqrt(2 / 40_000)  # four standard errors of a variance


def test_a_step_above_the_limit_is_reported_with_its_eigenvalue(rng):
    train, test, Y, _ = flow_setting(rng)
    top = np.linalg.eigvalsh(train.ntk)[-1] / len(Y)
    with pytest.raises(function_space.UnstableStepSize, match="largest eigenvalue") as caught:
        function_space.gradient_flow(train, test, Y, 10, lr=2.1 / top)
    assert abs(caught.value.eigenvalue - top) < 1e-10


@pytest.mark.parametrize(
    "bad",
    [
        {"depth": -1},
        {"depth": 1, "activation": "gelu"},
        {"depth": 1, "W_std": 0.0},
        {"depth": 1.5},
        {"depth": 1, "b_std": np.nan},
    ],
)
def test_impossible_architectures_are_refused(bad):
    with pytest.raises((TypeError, ValueError), match=f"{list(bad)[-1]} needs"):
        FullyConnected(**bad)


def test_shapes_that_do_not_fit_are_refused(rng):
    with pytest.raises(ValueError, match=r"X2 needs shape \(m, 2\)"):
        gram(FullyConnected(1), np.ones((3, 2)), np.ones((3, 4)))
    train, test, Y, _ = flow_setting(rng)
    with pytest.raises(ValueError, match="Y needs one row"):
        function_space.gradient_flow(train, test, Y[:-1], 1.0)
    with pytest.raises(ValueError, match=r"Y needs shape \(4, 1\)"):
        function_space.loss_and_gradient(np.ones((4, 1)), np.ones(4))


def test_a_kernel_beyond_float64_is_refused_by_torch_as_by_numpy():
    pytest.importorskip("torch")
    for device in (None, "cpu"):
        with pytest.raises(FloatingPointError, match="the kernel needs inputs whose fourth powers"):
            gram(FullyConnected(1, "relu"), [[1e100, 0], [0, 1e100]], device=device)


def test_a_kernel_beyond_float64_is_refused_even_where_the_other_still_fits():
    one, two = np.ones((1, 2)), np.ones((1, 2))
    fits = gram(FullyConnected(1, "linear", W_std=9e76), one, two)  # K = w^4, and twice that
    np.testing.assert_allclose([fits.nngp.item(), fits.ntk.item()], [6.561e307, 13.122e307], rtol=1e-12)
    with pytest.raises(FloatingPointError, match="float64"):
        gram(FullyConnected(1, "linear", W_std=1e77), one, two)  # 1e308 and 2e308


def test_nan_and_impossible_values_are_refused_instead_of_spreading(rng):
    net, bad = FullyConnected(1), np.full((3, 2), np.nan)
    with pytest.raises(ValueError, match="finite"):
        gram(net, bad)
    with pytest.raises(ValueError, match="X needs at least one element"):
        gram(net, np.ones((3, 0)))
    with pytest.raises(ValueError, match="q needs numbers of at least 0"):
        moments.diagonal(net, -1.0)
    train, test, Y, _ = flow_setting(rng)
    with pytest.raises(ValueError, match="finite"):
        function_space.gradient_flow(train, test, np.nan * Y, 1.0)
    with pytest.raises(ValueError, match="times"):
        function_space.gradient_flow(train, test, Y, -1.0)
    with pytest.raises(ValueError, match="lr"):
        function_space.frozen(np.eye(3), np.ones(3), lr=-0.1, n_steps=1)
    with pytest.raises(ValueError, match="symmetric"):
        function_space.frozen(np.triu(np.ones((3, 3))), np.ones(3), lr=0.1, n_steps=1)
    for function in (from_moments, moment_derivatives):
        with pytest.raises(ValueError, match="q12 needs a mixed moment"):
            function(FullyConnected(1), 1.0, 1.5, 1.0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
