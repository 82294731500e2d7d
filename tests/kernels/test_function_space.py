"""Training in function space on singular kernels and with noise."""

import numpy as np
import pytest

from gdln.kernels import function_space
from gdln.kernels import gram as wide_kernels
from gdln.kernels.moments import FullyConnected, Kernels, diagonal


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def data(rng, n=300, m=40, n_inputs=10):
    X, X_test = rng.standard_normal((n, n_inputs)), rng.standard_normal((m, n_inputs))
    return X, X_test, X @ rng.standard_normal((n_inputs, 2)) + 0.3 * rng.standard_normal((n, 2))


def three(network, X, X_test):
    prior = diagonal(network, (X_test**2).mean(axis=1)).nngp
    return wide_kernels.gram(network, X), wide_kernels.gram(network, X_test, X), prior


LINEAR = FullyConnected(0, "linear", 1.0, 0.0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_linear_network_ends_at_least_squares_though_its_kernel_is_singular(scale, rng):
    X, X_test, Y = data(rng)
    train, test, prior = three(LINEAR, scale * X, scale * X_test)
    times = np.array([1e6, 1e12, np.inf]) / scale**2
    run = function_space.gradient_flow(train, test, Y, times, test_nngp=prior)
    expected = X_test @ np.linalg.lstsq(X, Y, rcond=None)[0]
    for mean in run.mean:
        np.testing.assert_allclose(mean, expected, rtol=0, atol=1e-12)
    assert (run.variance >= 0).all() and (run.variance <= 1e-13 * prior).all()
    read_out = function_space.posterior(train, test, Y, test_nngp=prior)
    np.testing.assert_allclose(read_out.mean, expected, rtol=0, atol=1e-12)
    assert np.isfinite(np.sqrt(read_out.variance)).all()


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_a_sample_given_twice_counts_twice_and_no_more(activation, rng):
    X, X_test, Y = data(rng, 20, 5, 4)
    network = FullyConnected(2, activation)
    once = function_space.gradient_flow(*three(network, X, X_test)[:2], Y, np.inf).mean[0]
    twice = np.vstack([X, X[:7]])
    again = function_space.gradient_flow(
        *three(network, twice, X_test)[:2], np.vstack([Y, Y[:7]]), np.inf
    ).mean[0]
    np.testing.assert_allclose(again, once, atol=1e-9)


def test_noise_is_a_ridge_on_the_training_kernel(rng):
    from sklearn.kernel_ridge import KernelRidge

    X, X_test, Y = data(rng, 30, 8, 4)
    train, test, prior = three(FullyConnected(2, "relu"), X, X_test)
    for noise in (1e-3, 0.7, 50.0):
        ours = function_space.gradient_flow(train, test, Y, np.inf, noise=noise).mean[0]
        peer = KernelRidge(alpha=noise, kernel="precomputed").fit(train.ntk, Y).predict(test.ntk)
        np.testing.assert_allclose(ours, peer, rtol=0, atol=1e-10)
        by_hand = Kernels(train.nngp, train.ntk + noise * np.eye(30))
        options = dict(times=[0.0, 3.0, 80.0, np.inf], test_nngp=prior)
        with_noise = function_space.gradient_flow(train, test, Y, noise=noise, **options)
        added = function_space.gradient_flow(by_hand, test, Y, **options)
        np.testing.assert_allclose(with_noise.mean, added.mean, rtol=0, atol=1e-10)
        np.testing.assert_allclose(with_noise.variance, added.variance, rtol=0, atol=1e-10)


def test_the_posterior_is_that_of_a_gaussian_process_regressor(rng):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct

    X, X_test, Y = data(rng, 25, 9, 3)
    # the NNGP of a linear map of three inputs: W_std^2 x.x'/3 + b_std^2
    network = FullyConnected(0, "linear", 1.3, 0.4)
    train, test, prior = three(network, X, X_test)
    dot = ConstantKernel(1.3**2 / 3, "fixed") * DotProduct(0.0, "fixed") + ConstantKernel(0.4**2, "fixed")
    for noise in (1e-4, 0.2, 10.0):
        ours = function_space.posterior(train, test, Y, noise=noise, test_nngp=prior)
        peer = GaussianProcessRegressor(dot, alpha=noise, optimizer=None).fit(X, Y)
        mean, deviation = peer.predict(X_test, return_std=True)
        np.testing.assert_allclose(ours.mean, mean, atol=1e-9)
        np.testing.assert_allclose(np.sqrt(ours.variance), deviation[:, 0], atol=1e-9)


def test_noise_in_resampled_targets_makes_up_the_difference_to_the_posterior(rng):
    X, X_test, Y = data(rng, 12, 4, 3)
    train, test, prior = three(FullyConnected(1, "erf"), X, X_test)
    read_out, noise = Kernels(train.nngp, train.nngp), 0.3
    ensemble = function_space.gradient_flow(
        read_out, Kernels(test.nngp, test.nngp), Y, np.inf, noise=noise, test_nngp=prior
    )
    posterior = function_space.posterior(train, test, Y, noise=noise, test_nngp=prior)
    A = np.linalg.solve(train.nngp + noise * np.eye(12), test.nngp.T)
    np.testing.assert_allclose(ensemble.mean[0], posterior.mean, atol=1e-12)
    np.testing.assert_allclose(
        posterior.variance - ensemble.variance[0], noise * (A**2).sum(axis=0), atol=1e-12
    )


def test_descent_with_a_pull_to_the_start_is_the_flow_with_noise(rng):
    # a model linear in its parameters, trained on squared loss plus noise |theta - theta_0|^2, both over 2 N
    n, features, noise = 9, rng.standard_normal((11, 30)), 0.8
    Y, theta, start = rng.standard_normal(n), rng.standard_normal(30), None
    start, train = theta.copy(), features[:n]
    rate, steps = 0.05, 60
    for _ in range(steps):
        theta = theta - rate / n * (train.T @ (train @ theta - Y) + noise * (theta - start))
    gram = features @ features.T
    whole, rest = Kernels(gram[:n, :n], gram[:n, :n]), Kernels(gram[n:, :n], gram[n:, :n])
    learnt = function_space.gradient_flow(whole, rest, Y - train @ start, steps, noise=noise, lr=rate)
    np.testing.assert_allclose(learnt.mean[0, :, 0], features[n:] @ (theta - start), atol=1e-12)


def test_steps_are_whole_and_a_step_at_the_limit_is_refused(rng):
    X, X_test, Y = data(rng, 12, 3, 4)
    train, test, _ = three(FullyConnected(1, "erf"), X, X_test)
    top = np.linalg.eigvalsh(train.ntk)[-1] / 12
    with pytest.raises(ValueError, match="times needs whole numbers of steps"):
        function_space.gradient_flow(train, test, Y, [1.0, 2.5], lr=1.5 / top)
    unit = Kernels(np.eye(3), np.eye(3))
    with pytest.raises(function_space.UnstableStepSize):  # 1 - 6/3 = -1: for ever to and fro
        function_space.gradient_flow(unit, unit, np.ones(3), np.inf, lr=6.0)
    for factor in (2.001, 2.5):
        with pytest.raises(function_space.UnstableStepSize, match="largest eigenvalue"):
            function_space.gradient_flow(train, test, Y, [1.0, 2e3], lr=factor / top)
    with pytest.raises(function_space.UnstableStepSize):  # the noise takes its share of the step
        function_space.gradient_flow(train, test, Y, 1, lr=1.9 / top, noise=0.2 * 12 * top)
    end = function_space.gradient_flow(train, test, Y, [10**9, np.inf], lr=1.999 / top).mean
    np.testing.assert_allclose(end[0], end[1], atol=1e-6)


def test_descent_on_a_kernel_that_stands_still_is_the_closed_form_at_whole_steps(rng):
    X, X_test, Y = data(rng, 12, 4, 6)
    train, test, _ = three(FullyConnected(1), X, X_test)
    run = function_space.frozen(train.ntk, Y, lr=0.5, n_steps=9, test_kernel=test.ntk)
    closed = function_space.gradient_flow(train, test, Y, run.steps, lr=0.5)
    np.testing.assert_allclose(run.test_outputs, closed.mean, atol=1e-12)


def test_kernels_of_two_processes_are_refused(rng):
    X, X_test, Y = data(rng, 12, 3, 4)
    train, test, prior = three(FullyConnected(1, "erf"), X, X_test)
    for predict in (function_space.gradient_flow, function_space.posterior):
        options = {"times": np.inf} if predict is function_space.gradient_flow else {}
        with pytest.raises(ValueError, match="test_nngp need the NNGP kernels of one process"):
            predict(train, test, Y, test_nngp=0.1 * prior, **options)
    indefinite = Kernels(train.nngp, train.ntk - 2 * np.diag(np.diag(train.ntk)))
    with pytest.raises(ValueError, match=r"train\.ntk needs eigenvalues of at least zero"):
        function_space.gradient_flow(indefinite, test, Y, 1.0)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_what_a_variance_may_lose_is_a_millionth_of_the_terms_it_is_a_difference_of(unit):
    kernels, target = Kernels(*np.full((2, 1, 1), unit)), np.ones(1)

    def flow(prior):
        return function_space.gradient_flow(kernels, kernels, target, np.inf, test_nngp=[prior])

    def read_out(prior):
        return function_space.posterior(kernels, kernels, target, test_nngp=[prior])

    for solve, terms in ((flow, 4), (read_out, 2)):  # prior - 2 seen + spread, and prior - seen
        assert solve(unit * (1 - 0.9e-6 * terms)).variance == 0
        with pytest.raises(ValueError, match="of one process, got a variance of -"):
            solve(unit * (1 - 1.1e-6 * terms))


def test_a_point_that_the_network_is_sure_of_has_no_variance(rng):
    X, X_test, Y = data(rng, 20, 3, 4)
    train, test, prior = three(LINEAR, X, 0 * X_test)
    assert not prior.any()
    for solved in (
        function_space.gradient_flow(train, test, Y, [0.0, np.inf], test_nngp=prior),
        function_space.posterior(train, test, Y, test_nngp=prior, noise=0.1),
    ):
        assert not solved.variance.any() and not solved.mean.any()


@pytest.mark.parametrize(
    "F, Y, scale, fits",
    [
        (0.99e150, 0.0, 1.0, True),
        (1e150, 0.0, 1.0, False),
        (0.0, -1e100, 0.99e50, True),
        (0.0, -1e100, 1e50, False),
        (0.0, 0.0, 0.99e150, True),
        (0.0, 0.0, 1e150, False),
    ],
)
def test_losses_whose_squares_are_no_numbers_are_refused(F, Y, scale, fits):
    def value():
        return function_space.loss_and_gradient([[F]], [[Y]], "squared", scale)[0]

    if fits:
        assert np.isfinite(value())
    else:
        with pytest.raises(FloatingPointError, match="whose squares float64 can hold"):
            value()


def test_losses_and_slopes_of_one_sample_are_those_worked_out_by_hand():
    loss = function_space.loss_and_gradient
    # squared: F - 2 Y = (1, 1, -2) over one sample
    value, slope = loss([[3.0, 1.0, 0.0]], [[1.0, 0.0, 1.0]], label_scale=2.0)
    assert value == pytest.approx(3, rel=1e-14)
    np.testing.assert_allclose(slope, [[1, 1, -2]], rtol=1e-14)
    # logistic at u = F / 3 = ln 3: 9 ln(4/3), and -3 / 4; on the wrong side 9 ln 4 and 3 * 3/4
    for y, value_by_hand, slope_by_hand in ((1.0, 9 * np.log(4 / 3), -0.75), (-1.0, 9 * np.log(4), 2.25)):
        value, slope = loss([[3 * np.log(3)]], [[y]], "cross_entropy", 3.0)
        assert value == pytest.approx(value_by_hand, rel=1e-14)
        assert slope[0, 0] == pytest.approx(slope_by_hand, rel=1e-14)
    # softmax at u = F / 2 = (0, ln 3): probabilities 1/4 and 3/4
    value, slope = loss([[0.0, 2 * np.log(3)]], [[1.0, 0.0]], "cross_entropy", 2.0)
    assert value == pytest.approx(4 * np.log(4), rel=1e-14)
    np.testing.assert_allclose(slope, [[-1.5, 1.5]], rtol=1e-14)


@pytest.mark.parametrize("loss", function_space.LOSSES)
@pytest.mark.parametrize("k", [1, 3])
def test_the_gradient_is_the_derivative_of_the_mean_loss(loss, k, rng):
    F = rng.standard_normal((4, k))
    Y = np.sign(rng.standard_normal((4, 1))) if k == 1 else np.eye(k)[rng.integers(k, size=4)]
    slope = function_space.loss_and_gradient(F, Y, loss, 1.7)[1]
    for index in np.ndindex(F.shape):
        step = np.zeros_like(F)
        step[index] = 1e-5
        up, down = (function_space.loss_and_gradient(F + s * step, Y, loss, 1.7)[0] for s in (1, -1))
        assert slope[index] == pytest.approx((up - down) / 2e-5, abs=1e-8)
    doubled = function_space.loss_and_gradient(np.vstack([F, F]), np.vstack([Y, Y]), loss, 1.7)
    assert doubled[0] == pytest.approx(function_space.loss_and_gradient(F, Y, loss, 1.7)[0], rel=1e-13)


def test_the_largest_eigenvalue_is_over_the_samples_not_over_samples_times_outputs():
    assert function_space.largest_eigenvalue(np.diag([1.0, 5.0, 3.0])) == pytest.approx(5 / 3, rel=1e-14)
    four = np.diag([1.0, 7.0, 2.0, 3.0]).reshape(2, 2, 2, 2)
    assert function_space.largest_eigenvalue(four) == pytest.approx(7 / 2, rel=1e-14)
    assert function_space.largest_eigenvalue([[4.0]]) == pytest.approx(4, rel=1e-14)


@pytest.mark.parametrize("loss", function_space.LOSSES)
def test_a_kernel_that_stands_still_is_stepped_output_by_output_and_on_the_test_points(loss, rng):
    n, m, k, lr = 5, 3, 2, 0.2
    features = rng.standard_normal((n + m, 8))
    gram = features @ features.T
    Y = np.eye(k)[rng.integers(k, size=n)]
    options = {"lr": lr, "n_steps": 7, "loss": loss, "label_scale": 1.5, "record_every": 3}
    one = function_space.frozen(gram[:n, :n], Y, test_kernel=gram[n:, :n], **options)
    wide = [np.einsum("ab,ij->aibj", part, np.eye(k)) for part in (gram[:n, :n], gram[n:, :n])]
    four = function_space.frozen(wide[0], Y, test_kernel=wide[1], **options)
    F, F_test = np.zeros((n, k)), np.zeros((m, k))
    expected = []
    for step in range(8):
        if step in (0, 3, 6, 7):
            expected.append((F, F_test))
        chi = function_space.loss_and_gradient(F, Y, loss, 1.5)[1]
        F, F_test = F - lr * gram[:n, :n] @ chi, F_test - lr * gram[n:, :n] @ chi
    for run in (one, four):
        assert np.array_equal(run.steps, [0, 3, 6, 7]) and len(run.history) == 8
        np.testing.assert_allclose(run.outputs, [f for f, _ in expected], atol=1e-12)
        np.testing.assert_allclose(run.test_outputs, [f for _, f in expected], atol=1e-12)
        np.testing.assert_array_equal(run.loss, run.history[run.steps])


def test_training_ends_below_the_level_and_not_at_it():
    # one sample with y = 1 and kernel 1: the loss starts at one half and a step of one ends at zero
    options = {"lr": 1.0, "n_steps": 3}
    at = function_space.frozen(np.eye(1), [1.0], stop_below=0.5, **options)
    assert np.array_equal(at.history, [0.5, 0.0])
    above = function_space.frozen(np.eye(1), [1.0], stop_below=0.6, **options)
    assert np.array_equal(above.history, [0.5]) and np.array_equal(above.steps, [0])
    assert len(function_space.frozen(np.eye(1), [1.0], **options).history) == 4


def test_a_step_of_two_over_the_largest_eigenvalue_is_refused_on_the_squared_loss_alone():
    kernel = np.diag([8.0, 2.0])  # largest eigenvalue over n: four
    Y = np.ones((2, 1))
    for lr in (0.5, 0.6):
        with pytest.raises(function_space.UnstableStepSize):
            function_space.frozen(kernel, Y, lr=lr, n_steps=1)
        function_space.frozen(kernel, Y, lr=lr, n_steps=1, loss="cross_entropy")
    function_space.frozen(kernel, Y, lr=0.499, n_steps=1)


def test_the_first_step_below_a_level_is_strictly_below_it():
    steps, loss = [0, 5, 9], [3.0, 2.0, 1.0]
    assert [function_space.first_below(steps, loss, level) for level in (4.0, 3.0, 2.0, 1.5, 1.0)] == [
        0, 5, 9, 9, np.inf,
    ]  # fmt: skip
