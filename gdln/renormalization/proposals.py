r"""Independent draws of an order parameter: the proposals behind :func:`gdln.renormalization.posterior.importance`.

An order parameter is held as its Cholesky factor, :math:`U = \Lambda\Lambda^\top`, so that eigenvalues far apart keep
their digits. Two charts make Gaussians of what posteriors look like: the factor with logarithms on its diagonal
(data that hardly move a Wishart prior) and the matrix logarithm (narrow layers and wide priors, where eigenvalues
range over decades and their axes are free). Densities are with respect to :math:`\prod_{i\ge j}dU_{ij}`, so that
components from different charts can be mixed.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp, multigammaln

#: Logarithms of factors are kept within these: e^300 and its inverse have no posterior weight, and do not overflow.
LARGEST = 300.0
#: Share of the draws that comes from the prior: weights are then below ten times the largest likelihood.
DEFENSIVE = 0.1


class FactorChart:
    """Lower triangle of the Cholesky factor, with logarithms on the diagonal."""

    def __init__(self, n_gates):
        self.M = n_gates
        self.i, self.j = np.tril_indices(n_gates)
        self.diagonal = self.i == self.j

    def factor(self, theta):
        """Factors, shape (n, M, M), of coordinates, shape (n, M (M + 1) / 2)."""
        factor = np.zeros((len(theta), self.M, self.M))
        factor[:, self.i, self.j] = np.where(
            self.diagonal, np.exp(np.clip(theta, -LARGEST, LARGEST) * self.diagonal), theta
        )
        return factor

    def coordinates(self, factor):
        """Inverse of :meth:`factor`, and the logarithm of the volume dU of a unit of coordinates."""
        theta = factor[:, self.i, self.j]
        theta[:, self.diagonal] = np.log(theta[:, self.diagonal])
        powers = np.arange(
            self.M + 1, 1, -1
        )  # column m of the factor has M - m entries; one more for the log
        return theta, self.M * math.log(2) + theta[:, self.diagonal] @ powers


class LogChart:
    r"""Lower triangle of the matrix logarithm, :math:`U = e^S`."""

    def __init__(self, n_gates):
        self.M = n_gates
        self.i, self.j = np.tril_indices(n_gates)
        self.below = np.tril_indices(n_gates, -1)

    def factor(self, theta):
        """Factors, shape (n, M, M), of coordinates, shape (n, M (M + 1) / 2)."""
        S = np.zeros((len(theta), self.M, self.M))
        S[:, self.i, self.j] = S[:, self.j, self.i] = theta
        s, V = np.linalg.eigh(S)
        root = np.exp(np.clip(s / 2, -LARGEST, LARGEST))[:, :, None] * V.transpose(0, 2, 1)
        R = np.linalg.qr(root, mode="r")  # R'R = U
        return R.transpose(0, 2, 1) * np.sign(np.einsum("nii->ni", R))[:, None, :]

    def coordinates(self, factor):
        """Inverse of :meth:`factor`, and the logarithm of the volume dU of a unit of coordinates."""
        V, half, _ = np.linalg.svd(factor)
        s = 2 * np.log(np.maximum(half, math.exp(-LARGEST)))
        S = (V * s[:, None, :]) @ V.transpose(0, 2, 1)
        a, b = s[:, self.below[1]], s[:, self.below[0]]  # a >= b: singular values come in order
        gap = a - b
        # log of (e^a - e^b) / (a - b), which is e^a where the two meet
        ratio = np.where(gap > 1e-8, -np.expm1(-gap) / np.where(gap > 1e-8, gap, 1.0), 1 - gap / 2)
        return S[:, self.i, self.j], s.sum(axis=1) + (a + np.log(ratio)).sum(axis=1)


@dataclass(frozen=True)
class Student:
    """Multivariate Student law of the coordinates in a chart."""

    chart: FactorChart | LogChart
    mean: np.ndarray
    root: np.ndarray
    dof: float

    def draw(self, rng, n_draws):
        """Factors of independent draws."""
        z = rng.standard_normal((n_draws, len(self.mean)))
        z /= np.sqrt(rng.chisquare(self.dof, n_draws) / self.dof)[:, None]
        return self.chart.factor(self.mean + z @ self.root.T)

    def distance(self, theta):
        """Squared distance of coordinates from the centre."""
        return (np.linalg.solve(self.root, (theta - self.mean).T) ** 2).sum(axis=0)

    def log_density(self, factor):
        """Log density of order parameters."""
        theta, volume = self.chart.coordinates(factor)
        n, dof = len(self.mean), self.dof
        norm = gammaln((dof + n) / 2) - gammaln(dof / 2) - n / 2 * math.log(dof * math.pi)
        norm -= np.log(np.abs(np.diag(self.root))).sum()
        return norm - (dof + n) / 2 * np.log1p(self.distance(theta) / dof) - volume

    def moved(self, theta, weight):
        """The law after one step of expectation and maximisation towards weighted draws.

        The old law counts as as many draws as there are coordinates, so that few draws cannot flatten it.
        """
        total = weight.sum()
        if not total > 0:
            return self
        n, dof = len(self.mean), self.dof
        effective = total**2 / (weight**2).sum()
        trust = effective / (effective + n)
        pull = weight * (dof + n) / (dof + self.distance(theta))
        mean = self.mean + trust * (pull @ theta / pull.sum() - self.mean)
        away = theta - mean
        found = (pull[:, None] * away).T @ away / total
        covariance = (1 - trust) * self.root @ self.root.T + trust * found
        return Student(self.chart, mean, np.linalg.cholesky(covariance), dof)


@dataclass(frozen=True)
class Wishart:
    r"""Prior :math:`|U|^{(N-M-1)/2}e^{-\frac N{2\sigma^2}\mathrm{tr}U}` of the order parameter of a layer."""

    n_gates: int
    width: int
    sigma2: float

    def draw(self, rng, n_draws):
        """Factors of independent draws (Bartlett)."""
        M = self.n_gates
        factor = np.zeros((n_draws, M, M))
        i, j = np.tril_indices(M, -1)
        factor[:, i, j] = rng.standard_normal((n_draws, len(i)))
        m = np.arange(M)
        factor[:, m, m] = np.sqrt(rng.chisquare(self.width - m, (n_draws, M)))
        return factor * math.sqrt(self.sigma2 / self.width)

    def log_density(self, factor):
        """Log density of order parameters."""
        M, N = self.n_gates, self.width
        scale = N / (2 * self.sigma2)
        norm = N * M / 2 * math.log(scale) - multigammaln(N / 2, M)
        log_root = np.log(np.einsum("nii->ni", factor)).sum(axis=1)
        return norm + (N - M - 1) * log_root - scale * (factor**2).sum(axis=(1, 2))


@dataclass(frozen=True)
class Mixture:
    """Several laws with shares that sum to one."""

    parts: tuple
    share: np.ndarray

    def draw(self, rng, n_draws):
        """Factors of independent draws, in random order of the parts."""
        which = rng.choice(len(self.parts), size=n_draws, p=self.share)
        M = self.parts[-1].n_gates
        factor = np.empty((n_draws, M, M))
        for k, part in enumerate(self.parts):
            mine = which == k
            factor[mine] = part.draw(rng, np.count_nonzero(mine))
        return factor

    def log_densities(self, factor):
        """Log of share times density of every part, shape (n_parts, n)."""
        each = np.array([part.log_density(factor) for part in self.parts])
        return each + np.log(self.share)[:, None]

    def log_density(self, factor):
        """Log density of order parameters."""
        return logsumexp(self.log_densities(factor), axis=0)


def fitted(log_likelihood, noise, prior, rng, *, dof, n_pilot=400, n_rounds=6):
    r"""A mixture near prior times likelihood.

    Student laws at the modes, in the chart of factors; two in the chart of logarithms, which start from the spread
    of the first and of the prior and are moved by population Monte Carlo (Cappé et al. 2008): pilot draws of all
    rounds, weighted by the average of all proposals so far, pull them to the posterior and to where it makes the
    quantity of interest uncertain. The prior itself keeps a fixed share, so that no region can be missed for good.

    Parameters
    ----------
    log_likelihood : callable
        Of one order parameter.
    noise : callable
        What is to be averaged, positive, of one order parameter; such as the variance of the outputs.
    prior : Wishart
        Prior.
    rng : numpy.random.Generator
        Source of the pilot draws.
    dof : float
        Degrees of freedom of the Student laws.
    n_pilot, n_rounds : int, optional
        Draws a round, and most rounds. Where the pilot draws cannot tell the covariance of the coordinates
        (fewer than 16 draws a coordinate) none are made.

    Returns
    -------
    mixture : Mixture
    n_modes : int
        Number of modes at which the optimiser converged.
    """
    chart, logs = FactorChart(prior.n_gates), LogChart(prior.n_gates)
    n = len(chart.i)

    def log_target(factor):
        U = factor @ factor.transpose(0, 2, 1)
        return np.array([log_likelihood(u) for u in U]) + prior.log_density(factor)

    at_modes = [Student(chart, *law, dof) for law in _modes(log_target, chart, prior)]
    start = prior.draw(rng, 20 * n)
    spread = [part.draw(rng, 20 * n) for part in at_modes[:1]] + [start]
    wide = [_matched(logs, factor, dof) for factor in spread]
    if n_pilot < 16 * n:
        parts = (*(at_modes or wide), prior)
        rest = np.full(len(parts) - 1, (1 - DEFENSIVE) / (len(parts) - 1))
        return Mixture(parts, np.append(rest, DEFENSIVE)), len(at_modes)
    parts = (*at_modes, *wide, prior)
    share = np.append(np.full(len(parts) - 1, (1 - DEFENSIVE) / (len(parts) - 1)), DEFENSIVE)
    mixture, used = Mixture(parts, share), []
    factors, targets, sizes = np.empty((0, *start.shape[1:])), np.empty(0), np.empty(0)
    for _ in range(n_rounds):
        new = mixture.draw(rng, n_pilot)
        target = log_target(new)
        size = np.array([noise(f @ f.T) if np.isfinite(t) else 0.0 for f, t in zip(new, target, strict=True)])
        used.append(mixture)
        factors, targets = np.concatenate([factors, new]), np.concatenate([targets, target])
        sizes = np.concatenate([sizes, size])
        latest = _aims(target - mixture.log_density(new), size)
        proposal = logsumexp([m.log_density(factors) for m in used], axis=0) - math.log(len(used))
        aim = np.mean(_aims(targets - proposal, sizes), axis=0)
        mine = np.exp(mixture.log_densities(factors) - mixture.log_density(factors))
        theta, _ = logs.coordinates(factors)
        parts = tuple(
            part.moved(theta, aim * own) if isinstance(part, Student) and part.chart is logs else part
            for part, own in zip(mixture.parts, mine, strict=True)
        )
        # a part that is of no use now may be later: none falls below a fortieth
        rest = np.maximum(mine[:-1] @ aim, 0.025)
        mixture = Mixture(parts, np.append((1 - DEFENSIVE) * rest / rest.sum(), DEFENSIVE))
        # both kinds of weights of this round are nearly equal: another would change little
        if all(1 / (a**2).sum() > 0.7 * n_pilot for a in latest):
            break
    return mixture, len(at_modes)


def _aims(log_ratio, size):
    """Normalised weights of draws, and the same times what is to be averaged."""
    weight = np.exp(log_ratio - log_ratio.max())
    return [w / w.sum() if w.sum() > 0 else np.full(len(w), 1 / len(w)) for w in (weight, weight * size)]


def _matched(chart, factor, dof):
    """Student law with the moments of given draws."""
    theta, _ = chart.coordinates(factor)
    covariance = np.atleast_2d(np.cov(theta.T))
    # draws that lie in a plane have a singular covariance
    covariance += 1e-9 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return Student(chart, theta.mean(axis=0), np.linalg.cholesky(covariance), dof)


def _modes(log_target, chart, prior):
    """Modes in the chart, with roots of the inverse curvature, found from every maximum along the multiples of one."""

    def value(theta):
        found = log_target(chart.factor(theta[None]))[0]
        found += chart.coordinates(chart.factor(theta[None]))[1][0]
        return found if np.isfinite(found) else -1e300  # a number, for the line search to retreat from

    # small enough to fit any data that the prior would have to shrink for, in steps finer than a mode is wide
    scales = 0.5 * (math.log(prior.sigma2) + np.linspace(-30, 3, 67))
    along = np.array([value(np.where(chart.diagonal, c, 0.0)) for c in scales])
    padded = np.concatenate([[-np.inf], along, [-np.inf]])
    found = []
    for c in scales[(along > padded[:-2]) & (along >= padded[2:])]:
        fit = minimize(
            lambda theta: -value(theta),
            np.where(chart.diagonal, c, 0.0),
            method="BFGS",
            options={"gtol": 1e-4},
        )
        covariance = _covariance(value, fit.x)
        # the optimiser says "precision loss" at good modes too; what counts is the way left, in standard deviations
        if not np.isfinite(covariance).all() or fit.jac @ covariance @ fit.jac > 0.01:
            continue
        root = np.linalg.cholesky(covariance)
        known = (np.sum(np.linalg.solve(r, fit.x - mode) ** 2) < 0.1 for mode, r in found)
        if not any(known):
            found.append((fit.x, root))
    return found


def _covariance(log_density, mode, step=1e-3):
    """Inverse of the negative Hessian at the mode by central differences, made positive definite."""
    n = len(mode)
    H = np.empty((n, n))
    e = step * np.eye(n)
    for a in range(n):
        for b in range(a + 1):
            corners = [log_density(mode + s * e[a] + t * e[b]) * s * t for s in (1, -1) for t in (1, -1)]
            H[a, b] = H[b, a] = -sum(corners) / (4 * step**2)
    if not np.isfinite(H).all():
        return H
    w, V = np.linalg.eigh(H)
    if not w[-1] > 0:  # no maximum in any direction
        return np.full((n, n), np.nan)
    return (V / np.maximum(w, 1e-3 * w[-1])) @ V.T
