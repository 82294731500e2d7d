"""Strengths of modes: one for the targets, the scalar theory for a linear network, and when each is half learnt."""

import numpy as np
import pytest

from gdln.diagnosis import modes
from gdln.linear.modes import mode_strength


def data(n=40, s=(3.0, 1.0), seed=0):
    """White inputs, and targets with given singular values."""
    rng = np.random.default_rng(seed)
    X = np.linalg.qr(rng.standard_normal((n, 4)))[0] * np.sqrt(n)
    U, V = np.linalg.qr(rng.standard_normal((3, 2)))[0], np.linalg.qr(rng.standard_normal((4, 2)))[0]
    return X, X @ V @ np.diag(s) @ U.T


def test_the_targets_hold_every_mode_with_strength_one():
    X, Y = data()
    s, strength = modes.mode_strengths(X, Y, Y)
    assert np.allclose(s, [3, 1], rtol=1e-12) and np.allclose(strength, 1, rtol=1e-12)
    assert np.abs(modes.mode_strengths(X, Y, 0 * Y)[1]).max() == 0
    assert np.allclose(modes.mode_strengths(5 * X, Y, 0.25 * Y)[1], 0.25, rtol=1e-12)


def test_modes_of_a_linear_network_rise_when_the_scalar_theory_says():
    X, Y = data()
    times = np.linspace(0, 6, 601)
    curves = np.stack([mode_strength(times, s, 1e-3) / s for s in (3.0, 1.0)], axis=1)
    U, s, Vt = np.linalg.svd(Y.T @ X / len(X), full_matrices=False)
    outputs = np.einsum("tk,k,ck,nk->tnc", curves, s[:2], U[:, :2], X @ Vt[:2].T)
    course = modes.mode_course(X, Y, outputs, times)
    assert np.abs(course.strength - curves).max() < 1e-12
    halves = [np.log(s / 1e-3 - 1) / (2 * s) for s in (3.0, 1.0)]
    assert np.abs(course.half_times - halves).max() < 1e-3
    assert modes.spread(course.half_times) == pytest.approx(halves[1] / halves[0], rel=1e-3)


def test_a_mode_that_never_gets_there_has_no_half_time():
    X, Y = data()
    runs = np.stack([0 * Y, 0.4 * Y])
    course = modes.mode_course(X, Y, runs, [0.0, 1.0])
    assert np.isinf(course.half_times).all() and modes.spread(course.half_times) is None
    there = modes.mode_course(X, Y, np.stack([Y, Y]), [0.0, 1.0])
    assert (there.half_times == 0).all() and modes.spread(there.half_times) is None


def test_a_mode_is_half_learnt_at_the_record_of_one_half_and_between_records_on_a_line():
    ones = np.ones((2, 1))

    def half(*strengths):
        return modes.mode_course(ones, ones, [a * ones for a in strengths], [1.0, 2.0, 4.0]).half_times[0]

    assert half(0.5, 0.7, 1.0) == half(0.8, 0.2, 1.0) == 1
    assert half(0.0, 0.2, 0.5) == 4 and half(0.0, 0.5, 0.1) == 2
    assert half(0.0, 0.1, 0.9) == pytest.approx(3, rel=1e-12)
    assert half(0.0, 0.2, 0.499) == np.inf


def test_a_spread_needs_two_modes_that_were_not_there_at_the_start():
    assert modes.spread([4.0, np.inf, 2.0]) == modes.spread([0.1, 0.2]) == 2 and modes.spread([3.0, 3.0]) == 1
    for half_times in ([2.0], [2.0, np.inf], [0.0, 1.0], [np.inf, np.inf]):
        assert modes.spread(half_times) is None


def test_a_mode_below_the_rounding_of_the_strongest_is_none():
    for weakest, kept in ((2e-8, 2), (0.5e-8, 1)):
        X, Y = data(s=(3.0, 3.0 * weakest))
        assert len(modes.mode_strengths(X, Y, Y)[0]) == kept
    assert modes.mode_strengths([[1.0], [1.0]], [[2.0], [2.0]], [[2.0], [2.0]])[0] == [2]


def test_images_are_flattened_and_few_modes_are_the_strongest():
    X, Y = data()
    s, _ = modes.mode_strengths(X.reshape(-1, 2, 2), Y, Y, n_modes=1)
    assert np.allclose(s, [3])


def test_targets_without_correlation_are_refused():
    X = np.array([[1.0], [1.0]])
    with pytest.raises(ValueError, match="Y needs targets that are correlated"):
        modes.mode_strengths(X, [[1.0], [-1.0]], [[0.0], [0.0]])
