r"""Hamiltonian Monte Carlo of all weights of a wide network, in plain numpy, without the theory of its codes.

Of the first layer the likelihood sees the pre-activations on the training set alone, so they are the variables:
:math:`z=L\xi` with :math:`K_0=LL^\top` and standard normal :math:`\xi`. Energy and gradient are four matrix products.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.synthesis.coding import ACTIVATIONS

#: How output and likelihood scale with the width.
SCALINGS = ("mean_field", "ntk")


@dataclass(frozen=True)
class CodeChain:
    """What a chain found in its second half.

    Attributes
    ----------
    a : ndarray, shape (n_kept, width, n_classes)
        Readouts of samples at equal distances, the first and the last of the second half among them.
    phi : ndarray, shape (n_kept, width, n_samples)
        Their activities.
    outputs : ndarray, shape (n_samples, n_classes)
        Mean outputs.
    A : ndarray, shape (n_classes, n_classes)
        Mean of :math:`\\frac1N\\sum_ia_ia_i^\\top`.
    kernel : ndarray, shape (n_samples, n_samples)
        Mean of :math:`\\frac1N\\sum_i\\phi_i\\phi_i^\\top`.
    acceptance, lr : float
        Accepted trajectories of the second half, and its leapfrog step.
    """

    a: np.ndarray
    phi: np.ndarray
    outputs: np.ndarray
    A: np.ndarray
    kernel: np.ndarray
    acceptance: float
    lr: float


def sample_codes(
    K0, Y, width, activation, temperature, sigma2, rng, *, n_trajectories=800, n_kept=8, scaling="mean_field"
):
    r"""Sample the posterior of a network of one hidden layer.

    With ``"mean_field"`` scaling the energy is

    .. math:: \frac N{2T}\sum_{\mu r}(f_r(x_\mu)-y_{\mu r})^2
              +\sum_i\Big(\frac{\|a_i\|^2}{2\sigma_a^2}+\frac{\|w_i\|^2}2\Big),\qquad
              f_r=\frac1N\sum_ia_{ir}\phi(z_i) .

    With ``"ntk"`` the output has a factor :math:`1/\sqrt N` and the first term no :math:`N`. A chain starts from the
    prior; :math:`1/T` grows from a thousandth of its value over the first quarter, the leapfrog step adapts in the
    first half, and averages are of the second.

    Parameters
    ----------
    K0 : array_like, shape (n_samples, n_samples)
        Input kernel :math:`XX^\top/N_0`, positive definite.
    Y : array_like, shape (n_samples, n_classes)
        Targets.
    width : int
        Neurons :math:`N`.
    activation : {"linear", "sigmoid", "relu"}
        The nonlinearity :math:`\phi`.
    temperature : float
        :math:`T>0`.
    sigma2 : float
        Prior variance :math:`\sigma_a^2`.
    rng : numpy.random.Generator
        Source of the chain.
    n_trajectories : int, optional
        Trajectories of 7 to 22 leapfrog steps, at least 16.
    n_kept : int, optional
        Samples to keep, from two to the half of the trajectories.
    scaling : {"mean_field", "ntk"}, optional
        How output and likelihood scale with the width.

    Returns
    -------
    chain : CodeChain
        Samples and averages of the second half.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, the kernel is not positive definite, a name is unknown or a number is out of range.
    """
    K0 = checks.psd("K0", K0)
    Y = checks.array("Y", Y, shape=(len(K0), None))
    width, phi = (
        checks.count("width", width),
        ACTIVATIONS[checks.choice("activation", activation, ACTIVATIONS)],
    )
    temperature, sigma2 = checks.positive("temperature", temperature), checks.positive("sigma2", sigma2)
    n_trajectories = checks.count("n_trajectories", n_trajectories, least=16)
    half = n_trajectories // 2
    n_kept = checks.count("n_kept", n_kept, least=2, most=n_trajectories - half)
    checks.generator("rng", rng)
    wide = checks.choice("scaling", scaling, SCALINGS) == "mean_field"
    try:
        L = np.linalg.cholesky(K0)
    except np.linalg.LinAlgError:
        checks.need(False, "K0", "a positive definite matrix", K0)
    factor, stiffness = (1 / width, width / temperature) if wide else (width**-0.5, 1 / temperature)
    network = _Network(L, Y, phi, factor, stiffness, np.sqrt(sigma2))
    state = rng.standard_normal((width, len(Y) + Y.shape[1]))
    lr, cold = 0.05, n_trajectories // 4
    kept = set(np.linspace(half, n_trajectories - 1, n_kept).round().astype(int).tolist())
    accepted, sums, samples = 0, [0.0, 0.0, 0.0], []
    for k in range(n_trajectories):
        inverse = 1e-3 ** max(0.0, 1 - k / cold)
        kick = rng.standard_normal(state.shape)
        energy, gradient = network.energy(state, inverse)
        start = energy + np.square(kick).sum() / 2
        trial, kick = state.copy(), kick - lr / 2 * gradient
        n_leaps = rng.integers(7, 23)
        with np.errstate(over="ignore", invalid="ignore"):  # a step that is too large is refused below
            for leap in range(n_leaps):
                trial += lr * kick
                energy, gradient = network.energy(trial, inverse)
                kick -= (lr if leap < n_leaps - 1 else lr / 2) * gradient
            end = energy + np.square(kick).sum() / 2
        chance = float(np.exp(min(0.0, start - end))) if np.isfinite(end) else 0.0
        if rng.random() < chance:
            state = trial
            accepted += k >= half
        if k < half:
            lr *= np.exp(0.1 * (chance - 0.8))
        else:
            a, activities = network.readouts(state), network.activities(state)
            sums[0] = sums[0] + factor * activities.T @ a
            sums[1] = sums[1] + a.T @ a / width
            sums[2] = sums[2] + activities.T @ activities / width
            if k in kept:
                samples.append((a, activities))
    rest = n_trajectories - half
    outputs, A, kernel = (total / rest for total in sums)
    a, activities = (np.array(parts) for parts in zip(*samples, strict=True))
    return CodeChain(a, activities, outputs, A, kernel, accepted / rest, float(lr))


class _Network:
    """Energy and gradient in the whitened variables, a row a neuron: first those of its inputs, then its readouts."""

    def __init__(self, L, Y, phi, factor, stiffness, sigma):
        self.L, self.Y, self.phi = L, Y, phi
        self.factor, self.stiffness, self.sigma = factor, stiffness, sigma

    def readouts(self, state):
        return self.sigma * state[:, len(self.L) :]

    def activities(self, state):
        return self.phi(state[:, : len(self.L)] @ self.L.T)[0]

    def energy(self, state, inverse):
        n = len(self.L)
        activities, slopes = self.phi(state[:, :n] @ self.L.T)
        a = self.readouts(state)
        error = self.factor * activities.T @ a - self.Y
        stiffness = inverse * self.stiffness
        pull = stiffness * self.factor * error
        gradient = state.copy()
        slopes *= a @ pull.T
        gradient[:, :n] += slopes @ self.L
        gradient[:, n:] += self.sigma * (activities @ pull)
        return stiffness / 2 * np.square(error).sum() + np.square(state).sum() / 2, gradient
