import numpy as np
import pytest

from gdln.synthesis import gibbs


def one_unit(sigma, gamma, noise):
    """Mean readout and map of a network with one unit, one input and one output, by quadrature over both weights."""
    x = np.linspace(-12, 12, 2401)
    a, w = x[:, None], x[None, :]
    variance = noise * gamma**2
    density = np.exp(-(a**2) / 2 - w**2 / 2 - (sigma - gamma * a * w) ** 2 / (2 * variance))
    density /= density.sum()
    return (density * a**2).sum(), (density * gamma * a * w).sum()


@pytest.mark.parametrize("gamma, noise", [(0.5, 1.0), (1.0, 0.3), (3.0, 2.0)])
def test_chain_of_one_unit_has_the_means_of_the_exact_posterior(gamma, noise):
    readout, mean = one_unit(0.8, gamma, noise)
    chain = gibbs.sample([[0.8]], gamma, noise, 1, 6000, np.random.default_rng(0))
    for found, expected in ((chain.U[:, 0, 0], readout), (chain.maps[:, 0, 0], mean)):
        batches = found.reshape(50, -1).mean(axis=1)
        assert abs(batches.mean() - expected) < 4 * batches.std(ddof=1) / np.sqrt(50)


def test_without_data_the_chain_is_the_prior():
    chain = gibbs.sample(np.zeros((2, 3)), 1.0, 1e6, 50, 2000, np.random.default_rng(1))
    np.testing.assert_allclose(chain.U.mean(axis=0), np.eye(2), atol=0.02)
    assert chain.U[:, 0, 0].var() == pytest.approx(2 / 50, rel=0.15)


def test_same_generator_same_chain_and_the_start_is_left_out():
    chains = [
        gibbs.sample([[0.5, 0.1]], 1.0, 0.5, 4, n, np.random.default_rng(2), n_burn=burn)
        for n, burn in ((5, 3), (8, 0))
    ]
    np.testing.assert_array_equal(chains[0].maps, chains[1].maps[3:])
    assert chains[0].U.shape == (5, 1, 1) and chains[0].maps.shape == (5, 1, 2)


@pytest.mark.parametrize("width", [1, 3])
def test_noise_that_rounding_swallows_is_refused_in_a_network_narrower_than_its_inputs(width):
    sigma, rng = np.eye(2, 4) / 2, np.random.default_rng(0)
    with pytest.raises(ValueError, match="^noise needs at least 1e-12"):
        gibbs.sample(sigma, 1.0, 1e-14, width, 10, rng)
    gibbs.sample(sigma, 1.0, 1e-12, width, 10, rng)  # the bound itself is allowed
    for wide in (4, 8):
        assert np.abs(gibbs.sample(sigma, 1.0, 1e-14, wide, 10, rng).maps - sigma).max() < 1e-9


def test_sizes_beyond_ten_million_are_refused():
    rng = np.random.default_rng(0)
    assert gibbs.sample([[0.5]], 1.0, 0.5, 80, 80, rng, n_burn=80).maps.shape == (80, 1, 1)
    for name in ("width", "n_sweeps", "n_burn"):
        sizes = {"width": 2, "n_sweeps": 2, "n_burn": 0} | {name: 10**7 + 1}
        with pytest.raises(ValueError, match=rf"^{name} needs a whole number of .* at most 10000000"):
            gibbs.sample([[0.5]], 1.0, 0.5, rng=rng, **sizes)
