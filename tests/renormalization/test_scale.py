import numpy as np
import pytest

from gdln.renormalization.scalar import layer_scale
from gdln.renormalization.scale import lowest_minimum, refuse_collapse


def action(log_ratios, eigenvalues, squares, widths, sigma2, temperature):
    """The action of given ratios, or of rows of them, summed as it is written."""
    r = np.exp(log_ratios)
    c = np.prod(sigma2 * r, axis=-1)[..., None] * eigenvalues + temperature
    finite = np.isfinite(widths)
    entropy = (widths[finite] * (r - np.log(r))[..., finite]).sum(axis=-1)
    return entropy + (squares / c + np.log(c)).sum(axis=-1)


@pytest.mark.parametrize("temperature", [0.0, 1e-3, 0.5])
@pytest.mark.parametrize("widths", [(20.0,), (7.0, 7.0), (30.0, 5.0, 12.0), (5.0, np.inf)])
def test_no_change_of_the_ratios_lowers_the_action(widths, temperature):
    rng, widths = np.random.default_rng(0), np.array(widths)
    data = rng.exponential(size=15), rng.exponential(size=15), widths, 0.3, temperature
    found, value = lowest_minimum(*data)
    np.testing.assert_allclose(value, action(found, *data), rtol=1e-12)
    for _ in range(20):
        step = 1e-3 * rng.standard_normal(len(widths)) * np.isfinite(widths)
        near = [action(found + s * step, *data) - value for s in (1, -1)]
        curvature = sum(near)  # quadratic to the third order of the step, so both sides rise alike
        assert min(near) > -1e-12 * abs(value) and abs(near[0] - near[1]) <= 0.02 * curvature + 1e-11 * abs(
            value
        )


def test_no_multiple_of_the_scale_has_a_lower_action():
    rng = np.random.default_rng(1)
    for _ in range(40):  # strong modes over noise, deep and shallow, many of them with two minima
        depth = rng.integers(1, 6)
        data = (
            10.0 ** rng.uniform(-3, 1, 8), 10.0 ** rng.uniform(-3, 3, 8), np.full(depth, 10.0 ** rng.uniform(0.5, 2)),
            10.0 ** rng.uniform(-2, 1), 10.0 ** rng.uniform(-2, 0),
        )  # fmt: skip
        found, value = lowest_minimum(*data)
        grid = np.linspace(-12, 12, 4001) / depth
        assert action(found + grid[:, None], *data).min() >= value - 1e-9 * abs(value)


def test_zero_eigenvalues_need_a_temperature_however_small():
    data = np.array([2.0, 0.0]), np.array([3.0, 1.0]), np.array([4.0])
    with pytest.raises(
        ValueError, match="^eigenvalues needs numbers above zero where the temperature is zero"
    ):
        lowest_minimum(*data, 0.7, 0.0)
    found, value = lowest_minimum(*data, 0.7, 1e-3)
    np.testing.assert_allclose(value, action(found, *data, 0.7, 1e-3), rtol=1e-12)


def test_directions_without_kernel_only_add_a_constant():
    data = np.array([2.0, 0.5]), np.array([3.0, 1.0])
    found, value = lowest_minimum(*data, np.array([4.0, 9.0]), 0.7, 0.1)
    more = np.append(data[0], [0, 0]), np.append(data[1], [5.0, 0.0])
    same, higher = lowest_minimum(*more, np.array([4.0, 9.0]), 0.7, 0.1)
    np.testing.assert_allclose(same, found, rtol=1e-12)
    np.testing.assert_allclose(higher - value, 5 / 0.1 + 2 * np.log(0.1), rtol=1e-12)
    still, _ = lowest_minimum(np.zeros(2), np.ones(2), np.array([4.0]), 0.7, 0.1)
    np.testing.assert_array_equal(still, 0.0)


def test_as_many_points_as_units_leave_no_constant_to_lose_digits_against():
    # at T = 0 and rank = N the condition is N r = s / (sigma2 r)^L: no difference of traces
    for s in (1e-200, 1e-40, 1.0, 1e40, 1e200):
        found, _ = lowest_minimum(np.ones(6), np.full(6, s / 6), np.full(2, 6.0), 0.7, 0.0)
        np.testing.assert_allclose(found, np.log(s / (6 * 0.7**2)) / 3, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("t", np.linspace(-9, 9, 31))
def test_the_root_is_bracketed_wherever_it_lies(t):
    # as above with s chosen so that log r = t: no first bracket holds all of these
    squares = np.full(6, np.exp(3 * t) * 0.7**2)
    found, _ = lowest_minimum(np.ones(6), squares, np.full(2, 6.0), 0.7, 0.0)
    np.testing.assert_allclose(found, t, rtol=1e-12, atol=1e-12)
    # u^(L + 1) = sigma2 r0 where there are as many samples as units
    assert np.log(layer_scale(1.0, np.exp(3 * t) / 0.7, 0.7, 2)) == pytest.approx(t, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("depth", [1, 300])
def test_the_ratios_of_few_and_of_many_layers_are_stationary(depth):
    rng = np.random.default_rng(4)
    values, squares, widths = rng.exponential(size=9), rng.exponential(size=9), rng.uniform(300, 900, depth)
    found, _ = lowest_minimum(values, squares, widths, 1.0, 0.1)
    kernel = np.exp(found.sum()) * values
    q = (kernel * squares / (0.1 + kernel) ** 2 - kernel / (0.1 + kernel)).sum()
    np.testing.assert_allclose(widths * np.expm1(found), q, rtol=1e-8)


def test_targets_of_zero_are_refused_only_where_the_scale_falls_to_zero():
    with pytest.raises(
        ValueError, match="^targets needs numbers that are not all zero, or T > 0: for 5 targets"
    ):
        refuse_collapse(np.zeros(5), 5.0, 0.0)
    refuse_collapse(np.zeros(5), 5.5, 0.0)
    refuse_collapse(np.zeros(5), 2.0, 1e-9)
    refuse_collapse(np.array([0, 1e-300]), 1.0, 0.0)
    found, _ = lowest_minimum(np.ones(5), np.zeros(5), np.array([20.0]), 1.0, 0.0)
    np.testing.assert_allclose(np.exp(found), 1 - 5 / 20, rtol=1e-12)
