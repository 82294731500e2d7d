"""Values and slopes at points worked by hand, on both sides of every kink and of every constant."""

import numpy as np
import pytest
import torch

from gdln.activations import ACTIVATIONS, LEAK, Activation, named

U = np.array([-3.0, -0.3, 0.0, 0.3, 2.0])
BY_HAND = {
    "linear": (U, [1, 1, 1, 1, 1]),
    "relu": ([0, 0, 0, 0.3, 2], [0, 0, 0, 1, 1]),
    "leaky_0.2": ([-0.6, -0.06, 0, 0.3, 2], [0.2, 0.2, 0.2, 1, 1]),
    "sine": (U + np.sin(U) / 2, 1 + np.cos(U) / 2),
    "softplus": (np.log(1 + np.exp(U)), 1 / (1 + np.exp(-U))),
    "tanh": (np.tanh(U), 1 / np.cosh(U) ** 2),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_slopes_are_those_of_the_formula(name):
    value, slope = ACTIVATIONS[name].both(U)
    np.testing.assert_allclose(value, BY_HAND[name][0], rtol=1e-14)
    np.testing.assert_allclose(slope, BY_HAND[name][1], rtol=1e-13)


def test_sine_units_keep_all_digits_where_the_tangent_of_half_the_angle_has_a_pole_and_far_out():
    u = np.concatenate([np.pi * np.arange(-9, 10), np.nextafter(np.pi, [0, 4]), [1e-300, -1e8, 1e15, 1e300]])
    value, slope = ACTIVATIONS["sine"].both(u)
    np.testing.assert_allclose(value, u + np.sin(u) / 2, rtol=3e-16, atol=3e-16)
    np.testing.assert_allclose(slope, 1 + np.cos(u) / 2, rtol=5e-16)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_derivatives_of_the_values(name):
    both, step = ACTIVATIONS[name].both, 1e-5
    u = np.linspace(-4, 4, 801) + 1e-3  # off the kinks
    difference = (both(u + step)[0] - both(u - step)[0]) / (2 * step)
    assert np.abs(both(u)[1] - difference).max() < 1e-8


@pytest.mark.parametrize("name", ["softplus", "tanh"])
def test_smooth_activations_do_not_overflow(name):
    with np.errstate(all="raise", under="ignore"):
        value, slope = ACTIVATIONS[name].both(np.array([-1e4, 1e4]))
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_is_a_new_array_that_may_be_overwritten(name):
    u = U.copy()
    value, slope = ACTIVATIONS[name].both(u)
    before = value.copy()
    slope[:] = 7.0
    np.testing.assert_array_equal(u, U)
    np.testing.assert_array_equal(value, before)


def test_the_constants_are_the_sharp_ones():
    u = np.linspace(-40, 40, 80_001)
    for name, activation in ACTIVATIONS.items():
        slope = np.abs(activation.both(u)[1])
        low, high = activation.interval
        inside = slope[(u > low) & (u < high)]
        assert inside.min() == pytest.approx(activation.kappa, rel=2e-3), name
        assert slope.max() == pytest.approx(activation.slope_max, rel=1e-6), name
        if np.isfinite(activation.sup):
            assert np.abs(activation.both(u)[0]).max() == pytest.approx(activation.sup, rel=1e-12)
        jump = np.abs(np.diff(slope)).max()
        assert (jump < 0.01) == activation.smooth, name


def test_the_slope_of_leaky_units_is_that_of_torch_where_no_name_holds_another():
    assert torch.nn.LeakyReLU().negative_slope == LEAK


def test_an_activation_is_found_by_name_or_is_one_and_unknown_names_are_listed():
    mine = Activation("cube", lambda u: (u**3, 3 * u**2), 1.0, (1.0, 2.0), np.inf)
    assert named(mine) is mine and named("leaky_0.2") is ACTIVATIONS["leaky_0.2"]
    assert not mine.monotone and ACTIVATIONS["leaky_0.2"].monotone
    with pytest.raises(
        ValueError, match="activation needs one of .*'softplus'.*did you mean 'leaky_0.2'.*got str 'leaky_02'"
    ):
        named("leaky_02")
