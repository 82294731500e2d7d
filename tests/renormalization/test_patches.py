"""Patches tile an image, and their kernels are averages over random filters."""

import numpy as np
import pytest

from gdln.renormalization import kernels, patches


def test_patches_tile_the_image():
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((3, 6, 4))
    whole = patches.cut(pictures, 2)
    assert whole.shape == (3, 6, 4)
    np.testing.assert_array_equal(whole[1, 3], pictures[1, 2:4, 2:4].ravel())
    assert patches.cut(pictures, 2, stride=1).shape == (3, 15, 4)
    for size in (3, 4):  # neither tiles both sides
        with pytest.raises(ValueError, match=r"tile, got \(6, 4\)"):
            patches.cut(pictures, size)
    assert patches.cut(np.ones((1, 7, 10)), 4, stride=3).shape == (1, 2 * 3, 16)
    np.testing.assert_array_equal(patches.cut(pictures[:, :4], 4)[:, 0], pictures[:, :4].reshape(3, 16))
    with pytest.raises(ValueError, match="size needs a patch no larger"):
        patches.cut(pictures, 7)


@pytest.mark.parametrize("activation", ["linear", "relu", "erf"])
def test_patch_kernels_are_averages_over_random_filters(activation):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 3, 6))
    phi = {"linear": lambda u: u, "relu": lambda u: np.maximum(u, 0)}.get(activation)
    if phi is None:
        from scipy.special import erf as phi
    h = phi(np.sqrt(0.7 / 6) * X @ rng.standard_normal((6, 400_000)))
    sampled = np.einsum("aic,bjc->ijab", h, h, optimize=True) / 400_000 / 3
    D = patches.kernels(X, sigma2=0.7, activation=activation)
    np.testing.assert_allclose(D, sampled, atol=4e-3)
    np.testing.assert_allclose(
        np.einsum("ijaa->ija", D), patches.diagonals(X, sigma2=0.7, activation=activation), atol=1e-12
    )
    kernels.KernelStack(D)  # symmetric and positive semidefinite


def test_unknown_nonlinearities_are_refused():
    with pytest.raises(ValueError, match="activation needs one of .*got str 'tanh'"):
        patches.kernels(np.zeros((2, 1, 3)), activation="tanh")
    with pytest.raises(ValueError, match="patches_new needs shape"):
        patches.kernels(np.zeros((2, 1, 3)), np.zeros((2, 2, 3)))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: patches.kernels(np.ones((2, 2, 3)), sigma2=-1.0), "sigma2 needs a number above 0"),
        (lambda: patches.kernels(np.full((2, 2, 3), np.nan)), "patches needs finite"),
        (lambda: patches.diagonals(np.ones((2, 3))), "n_patches, patch_size"),
    ],
)
def test_bad_input_is_refused_with_the_reason(call, message):
    with pytest.raises(ValueError, match=message):
        call()
