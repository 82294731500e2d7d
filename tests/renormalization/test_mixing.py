"""Diagnostics of draws against ArviZ, which shares no code with them, and against what is known by hand."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gdln.renormalization import mixing


@pytest.fixture(scope="module")
def arviz():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it announces its next version, once a day
        import arviz
    return arviz


def chains(seed, n_chains, n_draws, rho):
    x = np.random.default_rng(seed).standard_normal((n_chains, n_draws))
    for t in range(1, n_draws):
        x[:, t] = rho * x[:, t - 1] + math.sqrt(1 - rho**2) * x[:, t]
    return x


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5), st.integers(4, 300), st.floats(-0.95, 0.95), st.booleans())
def test_effective_sizes_and_r_hat_are_those_of_arviz(arviz, seed, n_chains, n_draws, rho, apart):
    assume(
        (n_chains * n_draws - 1) % 20
    )  # a draw is the quantile itself, and ArviZ's rounding says on which side
    x = chains(seed, n_chains, n_draws, rho) + apart * np.arange(n_chains)[:, None]
    found = mixing.effective_bulk(x), mixing.effective_tail(x), mixing.r_hat(x)
    expected = arviz.ess(x), arviz.ess(x, method="tail"), arviz.rhat(x)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_chains_whose_last_even_lag_is_negative_are_judged_as_arviz_judges_them(arviz):
    # of two chains of ten draws one in a hundred or so ends there: the sum stops with a pair that is still positive
    for seed in range(300):
        x = np.random.default_rng(seed).standard_normal((2, 10))
        assert mixing.effective_bulk(x) == pytest.approx(float(arviz.ess(x)), rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(25, 3000), st.floats(0.1, 3.0))
def test_the_tail_shape_is_that_of_arviz(arviz, seed, n, spread):
    log_ratio = spread * np.random.default_rng(seed).standard_normal(n)
    assert mixing.tail_shape(log_ratio) == pytest.approx(float(arviz.psislw(log_ratio)[1]), rel=1e-8)


def test_draws_with_ties_are_judged_as_arviz_judges_them(arviz):
    x = np.round(chains(0, 4, 500, 0.7))
    found = mixing.effective_bulk(x), mixing.effective_tail(x), mixing.r_hat(x)
    np.testing.assert_allclose(found, (arviz.ess(x), arviz.ess(x, method="tail"), arviz.rhat(x)), rtol=1e-9)


@pytest.mark.parametrize("n_draws", [7, 247])
def test_a_draw_that_is_the_quantile_itself_counts_as_below_it(arviz, n_draws):
    x = chains(0, 3, n_draws, 0.0)
    ordered, k = np.sort(x, axis=None), (3 * n_draws - 1) // 20
    below = [(x <= end).astype(float) for end in (ordered[k], ordered[-1 - k])]
    assert mixing.effective_tail(x) == pytest.approx(
        min(arviz.ess(b, method="mean") for b in below), rel=1e-9
    )


def test_the_order_of_the_chains_and_a_monotone_change_of_units_do_not_count():
    x = chains(1, 4, 200, 0.5)
    for other in (x[::-1], np.exp(x)):
        assert mixing.effective_bulk(other) == pytest.approx(mixing.effective_bulk(x))
    assert mixing.r_hat(x[::-1]) == pytest.approx(mixing.r_hat(x))


def test_the_tail_shape_of_a_pareto_sample_is_its_exponent():
    # the spread of the estimate over seeds; ten draws of prior pull it towards one half
    u = np.random.default_rng(4).random((20, 4000))
    for k in (0.2, 0.5, 0.9):
        found = [mixing.tail_shape(-k * np.log(row)) for row in u]
        assert abs(np.mean(found) - k) < 4 * np.std(found) / math.sqrt(len(found)) + 10 / 200 * abs(k - 0.5)


def test_chains_that_stand_still_apart_never_agree_and_equal_draws_have_no_r_hat():
    assert mixing.r_hat(np.outer([1.0, 2.0], np.ones(10))) == math.inf
    assert math.isnan(mixing.r_hat(np.ones((2, 10))))


def test_equal_draws_count_as_independent_and_few_ratios_have_no_tail():
    assert mixing.effective_tail(np.ones((2, 10))) == 20
    for n in (2, 10, 20):
        assert mixing.tail_shape(0.1 * np.arange(n)) == math.inf
    assert np.isfinite(mixing.tail_shape(0.1 * np.arange(21)))  # a fifth of 21 are five


@pytest.mark.parametrize("function", [mixing.effective_bulk, mixing.effective_tail, mixing.r_hat])
def test_bad_draws_are_refused(function):
    with pytest.raises(ValueError, match="draws needs at least 4 draws a chain"):
        function(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="draws needs finite numbers"):
        function([[0.0, math.nan, 1.0, 2.0]] * 2)


def test_one_chain_has_no_r_hat_and_one_ratio_no_tail():
    with pytest.raises(ValueError, match="draws needs at least two chains"):
        mixing.r_hat(np.arange(8.0)[None])
    with pytest.raises(ValueError, match="log_ratio needs at least two ratios"):
        mixing.tail_shape([0.0])
