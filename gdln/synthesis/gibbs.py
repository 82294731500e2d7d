"""Exact sampling of all weights of the network, layer by layer, without any theory of its posterior.

Given one layer the other is a linear regression with a normal prior, so both are drawn exactly in turn. The map is
averaged after the lower layer is integrated out: what is drawn of it carries noise that hides small differences.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.synthesis.network import normal_weights


@dataclass(frozen=True)
class ReadoutChain:
    r"""Sweeps of the sampler after the start of the chain.

    Attributes
    ----------
    maps : ndarray, shape (n_sweeps, n_outputs, n_inputs)
        :math:`\mathbb E[F\,|\,A]` of every sweep.
    U : ndarray, shape (n_sweeps, n_outputs, n_outputs)
        :math:`AA^\top/N` of every sweep.
    """

    maps: np.ndarray
    U: np.ndarray


def sample(sigma, gamma, noise, width, n_sweeps, rng, n_burn=100):
    r"""Draw weights from the posterior of :math:`F = \frac\gamma NAW` given white data.

    Parameters
    ----------
    sigma : array_like, shape (n_outputs, n_inputs)
        :math:`\Sigma`.
    gamma : float
        Scale of the output.
    noise : float
        :math:`\tau = TN/(\gamma^2P)`; at least 1e-12 where the width is below the number of outputs or inputs: what
        the narrow layer does not reach is then held by the noise alone, which rounding would swallow.
    width : int
        :math:`N`.
    n_sweeps : int
        Sweeps recorded; a sweep draws both layers.
    rng : numpy.random.Generator
        Draws them.
    n_burn : int, optional
        Sweeps before, from weights of the prior.

    Returns
    -------
    chain : ReadoutChain
        Every recorded sweep.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Notes
    -----
    A draw given data: draw weights and noise from the prior, and add the regression on what is missing to the data. The
    matrices to invert have the size of the outputs, or of the inputs, never of the width.
    """
    sigma = checks.array("sigma", sigma, shape=("n_outputs", "n_inputs"))
    gamma, noise = checks.positive("gamma", gamma), checks.positive("noise", noise)
    width, n_sweeps = checks.count("width", width, most=10**7), checks.count("n_sweeps", n_sweeps, most=10**7)
    n_burn = checks.count("n_burn", n_burn, least=0, most=10**7)
    checks.generator("rng", rng)
    m, n = sigma.shape
    narrow = width < max(m, n)
    checks.need(
        noise >= 1e-12 or not narrow, "noise", "at least 1e-12 in a network narrower than its ends", noise
    )
    scale, variance = gamma / width, noise * gamma**2 / width
    checks.need(0 < variance < np.inf, "noise", "a variance within float64", noise)
    A = normal_weights(n, m, width, rng)[0]
    maps, U = [], []
    for sweep in range(n_burn + n_sweeps):
        A0, W = normal_weights(n, m, width, rng)
        heard = scale * A
        lacking = sigma - heard @ W - np.sqrt(variance) * rng.standard_normal((m, n))
        W += heard.T @ np.linalg.solve(heard @ heard.T + variance * np.eye(m), lacking)
        spoken = scale * W
        lacking = sigma - A0 @ spoken - np.sqrt(variance) * rng.standard_normal((m, n))
        A = A0 + np.linalg.solve(spoken.T @ spoken + variance * np.eye(n), lacking.T).T @ spoken.T
        if sweep >= n_burn:
            U.append(A @ A.T / width)
            maps.append(U[-1] @ np.linalg.solve(noise * np.eye(m) + U[-1], sigma))
    return ReadoutChain(np.array(maps), np.array(U))
