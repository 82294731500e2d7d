"""Chains of wide networks: energy and gradient, the prior, and the linear theory held against them."""

import numpy as np
import pytest

from gdln.synthesis import coding
from gdln.synthesis.coding_sampling import _Network, sample_codes
from tests.synthesis.test_coding import task


@pytest.mark.parametrize("name", coding.ACTIVATIONS)
def test_the_gradient_is_that_of_the_energy(name):
    rng = np.random.default_rng(0)
    K0, Y, _ = task(rng, P=5)
    network = _Network(np.linalg.cholesky(K0), Y, coding.ACTIVATIONS[name], 0.25, 30.0, 0.7)
    state = rng.standard_normal((4, 8))
    _, gradient = network.energy(state, 0.3)
    for index in np.ndindex(state.shape):
        up, down = state.copy(), state.copy()
        up[index] += 1e-6
        down[index] -= 1e-6
        slope = (network.energy(up, 0.3)[0] - network.energy(down, 0.3)[0]) / 2e-6
        np.testing.assert_allclose(gradient[index], slope, rtol=1e-5, atol=1e-5)


def test_the_energy_is_the_one_of_the_docstring():
    rng = np.random.default_rng(1)
    P, R, N, T, sigma2 = 5, 2, 4, 0.1, 0.3
    X, Y = rng.standard_normal((P, 2 * P)), rng.standard_normal((P, R))
    L = np.linalg.cholesky(X @ X.T / (2 * P))
    network = _Network(L, Y, coding.ACTIVATIONS["sigmoid"], 1 / N, N / T, np.sqrt(sigma2))
    state = rng.standard_normal((N, P + R))
    z, a = state[:, :P] @ L.T, np.sqrt(sigma2) * state[:, P:]
    f = coding.ACTIVATIONS["sigmoid"](z)[0].T @ a / N
    prior = np.square(a).sum() / (2 * sigma2) + np.einsum("ia,ab,ib", z, np.linalg.inv(L @ L.T), z) / 2
    expected = N / (2 * T) * np.square(f - Y).sum() + prior
    np.testing.assert_allclose(network.energy(state, 1.0)[0], expected, rtol=1e-10)


def test_without_a_likelihood_the_chain_samples_the_prior():
    K0, Y, _ = task(np.random.default_rng(2), P=4)
    options = dict(n_trajectories=400, n_kept=200)
    chain = sample_codes(K0, Y, 50, "linear", 1e9, 0.3, np.random.default_rng(3), **options)
    # fifty neurons and two hundred samples: the standard errors are about a per cent
    np.testing.assert_allclose(chain.A, 0.3 * np.eye(3), atol=0.02)
    np.testing.assert_allclose(chain.kernel, K0, atol=0.1)
    assert chain.acceptance > 0.6 and chain.a.shape == (200, 50, 3)


def test_the_linear_theory_predicts_moments_outputs_and_kernel():
    K0, Y, _ = task(np.random.default_rng(4))
    sigma2 = 1 / 12
    chain = sample_codes(K0, Y, 150, "linear", 0.05, sigma2, np.random.default_rng(5), n_trajectories=600)
    theory = coding.solve_linear_code(K0, Y, 0.05, sigma2)
    # the error of the sampled moments falls as one over the width; measured at several widths in the chapter
    np.testing.assert_allclose(chain.A, theory.A, atol=0.03)
    np.testing.assert_allclose(chain.outputs, theory.outputs, atol=0.02)
    assert abs(coding.class_alignment(chain.kernel, Y) - coding.class_alignment(theory.kernel, Y)) < 0.02


@pytest.mark.parametrize("name", coding.ACTIVATIONS)
def test_readouts_follow_the_law_of_one_unit(name):
    K0, Y, _ = task(np.random.default_rng(6))
    T, sigma2 = 0.05, 1 / 12
    chain = sample_codes(K0, Y, 150, name, T, sigma2, np.random.default_rng(7), n_trajectories=600, n_kept=20)
    fields = (Y - chain.outputs) / T
    law = coding.unit_law(chain.a.reshape(-1, 3), chain.phi.reshape(-1, 12), fields, sigma2)
    assert abs(law.slope - 1) < 0.05 and abs(law.variance - 1) < 0.12 and abs(law.kurtosis) < 0.3


def test_in_lazy_scaling_readouts_keep_the_size_of_the_prior():
    K0, Y, _ = task(np.random.default_rng(8))
    chain = sample_codes(
        K0, Y, 200, "relu", 0.05, 1.0, np.random.default_rng(9), n_trajectories=300, scaling="ntk"
    )
    np.testing.assert_allclose(chain.A, np.eye(3), atol=0.15)
    assert np.abs(chain.outputs - Y).max() < 0.3


def test_kept_samples_are_the_ends_and_the_same_generator_gives_the_same_chain():
    K0, Y, _ = task(np.random.default_rng(10), P=6)
    few, many = (
        sample_codes(K0, Y, 5, "relu", 0.1, 1.0, np.random.default_rng(1), n_trajectories=40, n_kept=n)
        for n in (2, 20)
    )
    np.testing.assert_array_equal(few.a, many.a[[0, -1]])
    np.testing.assert_array_equal(few.outputs, many.outputs)
    np.testing.assert_allclose(few.phi[0], np.maximum(few.phi[0], 0))
    assert len(many.a) == 20
