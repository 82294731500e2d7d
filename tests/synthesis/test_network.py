import numpy as np
import pytest
from scipy.integrate import simpson

from gdln.synthesis import network

TIMES = np.linspace(0, 2, 5)


def small(width=6, seed=0, start=network.antisymmetric_weights):
    rng = np.random.default_rng(seed)
    sigma = rng.standard_normal((2, 4)) / 2
    return *start(4, 2, width, rng), sigma


def test_training_images_are_white_and_centred_and_strengths_are_those_of_the_correlation():
    q = network.digits_questions(300, 16, np.random.default_rng(0))
    assert np.abs(q.X.T @ q.X / 300 - np.eye(16)).max() < 1e-12
    assert np.abs(q.X.mean(0)).max() < 1e-12 and np.abs(q.Y.mean(0)).max() < 1e-12
    np.testing.assert_array_equal(q.sigma, q.Y.T @ q.X / 300)
    assert q.X_test.shape == (500, 16) and q.Y_test.shape == (500, 3)


def test_answers_have_two_values_and_differ_by_two():
    q = network.digits_questions(100, 5, np.random.default_rng(1), n_test=50)
    for column, test in zip(q.Y.T, q.Y_test.T, strict=True):
        values = np.unique(np.r_[column, test].round(12))
        assert len(values) == 2 and np.ptp(values) == pytest.approx(2)


def test_more_components_than_images_vary_in_are_refused():
    with pytest.raises(ValueError, match="n_inputs"):
        network.digits_questions(300, 64, np.random.default_rng(0))


@pytest.mark.parametrize("width", [2, 10, 64])
def test_antisymmetric_weights_make_the_zero_map_and_normal_ones_do_not(width):
    A, W = network.antisymmetric_weights(4, 3, width, np.random.default_rng(2))
    assert A.shape == (3, width) and W.shape == (width, 4) and np.abs(A @ W).max() < 1e-12
    assert np.abs(np.matmul(*network.normal_weights(4, 3, width, np.random.default_rng(2)))).max() > 0.1


def test_an_odd_width_has_no_pairs():
    with pytest.raises(ValueError, match="width"):
        network.antisymmetric_weights(4, 3, 7, np.random.default_rng(0))


@pytest.mark.parametrize("rule", network.RULES)
def test_the_flow_starts_along_the_gradient_under_every_rule(rule):
    """The first step is the same for all rules, and is minus the gradient of the loss over gamma squared times N."""
    A, W, sigma = small(start=network.normal_weights)
    gamma, h, N = 0.7, 1e-6, 6

    def loss(A, W):
        return 0.5 * np.square(sigma - gamma / N * A @ W).sum()

    gradient = np.zeros_like(W)
    for index in np.ndindex(W.shape):
        step = np.zeros_like(W)
        step[index] = 1e-5
        gradient[index] = (loss(A, W + step) - loss(A, W - step)) / 2e-5
    run = network.simulate(A, W, sigma, gamma, [0.0, h], rule)
    np.testing.assert_allclose((run.last[1] - W) / h, -N / gamma**2 * gradient, rtol=1e-4, atol=1e-4)


def test_recorded_slopes_are_those_of_the_recorded_maps():
    A, W, sigma = small(start=network.normal_weights)
    for rule in network.RULES:
        run = network.simulate(A, W, sigma, 0.5, np.linspace(0, 0.1, 21), rule)
        np.testing.assert_allclose(np.gradient(run.maps, 5e-3, axis=0)[1:-1], run.slopes[1:-1], atol=1e-3)


def test_imbalance_is_conserved_by_backpropagation_and_by_no_other_rule():
    A, W, sigma = small()
    for rule in network.RULES:
        run = network.simulate(A, W, sigma, 0.3, TIMES, rule)
        (A0, W0), (A1, W1) = run.first, run.last
        drift = np.abs(A1.T @ A1 - W1 @ W1.T - A0.T @ A0 + W0 @ W0.T).max()
        assert (drift < 1e-6) == (rule == "backprop")


def test_integrated_error_is_the_integral_of_the_error():
    A, W, sigma = small()
    times = np.linspace(0, 2, 101)
    run = network.simulate(A, W, sigma, 0.5, times)
    np.testing.assert_allclose(run.E[-1], simpson(sigma - run.maps, x=times, axis=0), atol=1e-6)


def test_recorded_times_do_not_change_the_run():
    A, W, sigma = small()
    few = network.simulate(A, W, sigma, 0.2, [0.0, 2.0])
    many = network.simulate(A, W, sigma, 0.2, np.linspace(0, 2, 50))
    np.testing.assert_allclose(few.maps[-1], many.maps[-1], atol=1e-8)


def test_weights_move_as_predicted_under_align_zero_and_when_lazy_and_less_so_when_rich():
    A, W, sigma = small(width=200)
    rich, lazy = (network.simulate(A, W, sigma, gamma, TIMES) for gamma in (0.05, 50.0))
    frozen = network.simulate(A, W, sigma, 0.05, TIMES, "align_zero")
    assert network.weight_cosine(frozen, 0.05) == pytest.approx(1, abs=1e-8)
    assert network.weight_cosine(lazy, 50.0) > 0.9999 > 0.9 > network.weight_cosine(rich, 0.05)
    changes = network.predicted_weights(frozen, 0.05)
    for k in (0, 1):
        np.testing.assert_allclose(frozen.last[k] - frozen.first[k], changes[k], atol=1e-7)


def test_arguments_are_not_changed():
    A, W, sigma = small()
    kept = [x.copy() for x in (A, W, sigma)]
    network.simulate(A, W, sigma, 0.3, TIMES)
    for before, after in zip(kept, (A, W, sigma), strict=True):
        np.testing.assert_array_equal(before, after)
