import math
import warnings

import numpy as np
import pytest

from gdln.renormalization.chains import Health, SamplingWarning, diagnostics, pareto_k, summary


def autoregressive(rng, rho, shape):
    x = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        x[:, t] = rho * x[:, t - 1] + math.sqrt(1 - rho**2) * x[:, t]
    return x


def test_good_chains_are_known_from_bad():
    rng = np.random.default_rng(5)
    good = rng.standard_normal((4, 500))
    found = diagnostics(good)
    assert 1500 < found.bulk < 3000 and found.r_hat < 1.01
    assert diagnostics(good + np.arange(4)[:, None]).r_hat > 1.3


def test_an_autoregressive_chain_has_the_effective_size_of_its_correlation_time():
    x = autoregressive(np.random.default_rng(0), 0.8, (4, 5000))
    expected = 20000 * (1 - 0.8) / (1 + 0.8)
    assert abs(diagnostics(x).bulk / expected - 1) < 0.15  # the estimate's own spread, about 7 %


def test_a_single_chain_is_split_and_its_drift_seen():
    rng = np.random.default_rng(1)
    still = rng.standard_normal((1, 4000))
    assert diagnostics(still).r_hat < 1.01
    assert diagnostics(still + np.linspace(0, 4, 4000)).r_hat > 1.5


def test_units_do_not_change_the_diagnostics():
    x = autoregressive(np.random.default_rng(2), 0.5, (2, 400))
    one = diagnostics(x)
    for scale in (1e-200, 1e-20, 1e200):
        other = diagnostics(3 * scale + scale * x)
        np.testing.assert_allclose([other.bulk, other.tail, other.r_hat], [one.bulk, one.tail, one.r_hat])


def test_a_quantity_that_does_not_move_has_no_diagnostics():
    x = np.random.default_rng(3).standard_normal((2, 100))
    found = diagnostics(np.stack([x, np.full_like(x, 7.0), 1 + 1e-15 * x], axis=2))
    np.testing.assert_array_equal(np.isnan(found.r_hat), [False, True, True])
    np.testing.assert_array_equal(np.isnan(found.bulk), [False, True, True])


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_k_is_the_shape_of_a_pareto_tail(k):
    u = np.random.default_rng(4).random(20000)
    assert abs(pareto_k(-k * np.log(u)) - k) < 0.1


def test_pareto_k_of_equal_and_of_impossible_draws():
    assert pareto_k(np.full(100, 3.0)) == -math.inf
    assert pareto_k(np.append(np.full(99, -np.inf), 0.0)) > 0.7


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Health(4, 900.0, 800.0, 1.02, math.nan), ("R-hat 1.020",)),
        (Health(4, 399.0, 800.0, 1.0, math.nan), ("399 effective draws in the bulk, below 400",)),
        (Health(2, 900.0, 199.0, 1.0, math.nan), ("199 effective draws in the tails, below 200",)),
        (Health(0, 99.0, math.nan, math.nan, 0.71), ("99 effective", "Pareto k of the weights is 0.71")),
        (Health(4, 401.0, 401.0, 1.01, math.nan), ()),
        (Health(64, 401.0, 401.0, 1.01, math.nan), ()),
        (Health(0, 101.0, math.nan, math.nan, 0.7), ()),
        (Health(2, math.nan, math.nan, math.nan, math.nan), ()),
    ],
)
def test_each_fault_is_named_once_and_nothing_else_is(health, words):
    advice = health.advice()
    assert len(advice) == len(words)
    for sentence, word in zip(advice, words, strict=True):
        assert word in sentence
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        health.warn()
    assert len(seen) == bool(words) and all(w.category is SamplingWarning for w in seen)


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        (np.zeros((2, 3)), "at least 4 draws"),
        (np.zeros(10), "at least 4 draws"),
        (np.full((2, 10), np.nan), "finite numbers"),
    ],
)
def test_too_few_or_bad_draws_are_refused(draws, message):
    with pytest.raises(ValueError, match=message):
        diagnostics(draws)


def drawn(seed=0, n_chains=3, n_draws=50, n_new=4):
    rng = np.random.default_rng(seed)
    shape = n_chains, n_draws
    outputs, spreads = rng.standard_normal((*shape, n_new)), rng.random((*shape, n_new))
    U, kernels = rng.standard_normal((*shape, 2, 2)), rng.standard_normal((*shape, 5, 5))
    return outputs, spreads, U @ U.swapaxes(2, 3), kernels


def test_a_summary_averages_over_chains_and_draws():
    outputs, spreads, U, kernels = drawn()
    found = summary(outputs, spreads, U, 0.3, kernels)
    flat = [values.reshape(-1, *values.shape[2:]) for values in (outputs, spreads, U, kernels)]
    np.testing.assert_allclose(found.mean, flat[0].mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, flat[0].var(0) + flat[1].mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.order_parameter, flat[2].mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.first_layer_kernel, flat[3].mean(0), rtol=1e-12)
    assert found.training_error == 0.3
    plain = summary(outputs, None, U, 0.3)
    np.testing.assert_allclose(plain.variance, flat[0].var(0), rtol=1e-12)
    assert plain.first_layer_kernel is None
    with pytest.raises(ValueError, match=r"outputs needs shape \(n_chains, n_draws, n_new, ...\)"):
        summary(outputs[..., 0], None, U, 0.3)


def test_bias_variance_and_error_are_means_over_the_new_points():
    outputs, spreads, U, _ = drawn()
    found, target = summary(outputs, spreads, U, 0.3), np.array([1.0, -2.0, 0.5, 3.0])
    told = found.errors(target)
    bias = np.mean((outputs.reshape(-1, 4).mean(0) - target) ** 2)
    variance = np.mean(outputs.reshape(-1, 4).var(0) + spreads.reshape(-1, 4).mean(0))
    assert told.bias == pytest.approx(bias, rel=1e-12)
    assert told.variance == pytest.approx(variance, rel=1e-12)
    assert told.error == pytest.approx(bias + variance, rel=1e-12)
    # independent draws: two times the mean of what the bias and a draw have in common, and its spread over the root
    away = outputs.reshape(-1, 4) - found.mean
    expected = (2 * (away * (found.mean - target)).mean(1)).std() / np.sqrt(150)
    assert told.bias_error == pytest.approx(expected, rel=0.2)


def test_the_middle_draw_of_a_single_chain_is_left_out_where_it_is_cut_into_two():
    x = np.random.default_rng(0).standard_normal(9)
    found, halves = diagnostics(x[None]), diagnostics(np.stack([x[:4], x[5:]]))
    assert (found.bulk, found.tail, found.r_hat) == (halves.bulk, halves.tail, halves.r_hat)
