r"""Descent on the action of a gated network: good coordinates, majorise-minimise steps and L-BFGS.

The public face of this module is :mod:`gdln.renormalization.saddle`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

MM_STEPS = 2  # majorise-minimise steps before L-BFGS, from a cold start
MEMORY_PAIRS = 60  # curvature pairs L-BFGS keeps


def descend(problem, theta, memory=(), *, majorise_only=False, tolerance=1e-9, max_evaluations=2000):
    """Go down from coordinates ``theta`` until the gradient meets the tolerance.

    Returns the last point, the actions on the way, the gradient norm and the curvature pairs.
    """
    memory, failed = list(memory), False
    point = problem.evaluate(theta)
    if point is None:
        raise ValueError(
            "need a starting point at which the kernel can be factorised, got one where it cannot"
        )
    history = [point.action]
    n_mm = max_evaluations if majorise_only else (0 if memory else MM_STEPS)
    while problem.gradient_norm(point) > tolerance and problem.evaluations < max_evaluations:
        if n_mm > 0:
            n_mm -= 1
            try:
                new = problem.evaluate(problem.coordinates(problem.majorise(point)))
            except np.linalg.LinAlgError:  # the minimum of the majorant is singular to rounding
                new = None
        else:
            new = _search(problem, point, _direction(point.g, memory), max_evaluations)
        if new is None:  # start again from steepest descent, once
            if failed:
                break
            memory, failed = [], True
            continue
        failed = False
        s, z = new.theta - point.theta, new.g - point.g
        if s @ z > 1e-12 * np.sqrt((s @ s) * (z @ z)):
            memory = [*memory[1 - MEMORY_PAIRS :], (s, z)]
        point = new
        history.append(point.action)
    return point, np.array(history), problem.gradient_norm(point), tuple(memory)


@dataclass(frozen=True)
class Point:
    """One evaluation: coordinates, their gradient, and everything a majorise-minimise step needs."""

    theta: np.ndarray
    f: float
    g: np.ndarray
    action: float
    U: tuple
    L: tuple
    plus: np.ndarray
    minus: np.ndarray


class Problem:
    r"""The action in coordinates in which its entropy is nearly isotropic.

    :math:`U_l = \ell_l\ell_l^\top` with nested factors :math:`\ell_l = \sigma(\ell_{l+1}\otimes I)\Lambda_l`, so that
    the layers' entropies decouple: :math:`\mathrm{tr}A_l^{-1}U_l - \log\det A_l^{-1}U_l = |\Lambda_l|^2 -
    2\sum_i\log\Lambda_{l,ii}`. The coordinates are the entries of :math:`\Lambda_l` below the diagonal and the logs
    of its diagonal, scaled to unit curvature at the infinite-width point :math:`\Lambda_l = I`.
    """

    def __init__(self, kernel, y, widths, sigma2, temperature):
        self.kernel, self.sigma2, self.T = kernel, float(sigma2), float(temperature)
        self.y = _targets(kernel, y)
        self.depth = len(kernel.dims)
        self.widths = _widths(widths, self.depth)
        _need(np.isfinite(self.sigma2) and self.sigma2 > 0, "sigma2 > 0", sigma2)
        _need(np.isfinite(self.T) and self.T >= 0, "temperature >= 0", temperature)
        self.sizes = list(np.cumprod(kernel.dims)[::-1])  # d_1 .. d_L
        self.new = list(kernel.dims[::-1])  # indices added by layer 1 .. L
        self.tril = [np.tril_indices(d) for d in self.sizes]
        self.scale_all = float(np.min(self.widths))
        self.scales = []
        for N, (i, j) in zip(self.widths, self.tril, strict=True):
            self.scales.append(np.sqrt(np.where(i == j, 4.0, 2.0) * N / self.scale_all))
        self.evaluations, self.jitter = 0, 0.0

    def start(self, start=None):
        """Order parameters to start from: infinite width, a multiple of it, or given ones."""
        gp = [self.sigma2 ** (self.depth - l) * np.eye(d) for l, d in enumerate(self.sizes)]
        if start is None:
            return gp
        if np.isscalar(start):
            _need(isinstance(start, int | float | np.number), "a number, Solution or order parameters", start)
            _need(np.isfinite(start) and start > 0, "a positive multiple of the infinite-width point", start)
            return [start * U for U in gp]
        U = [np.asarray(u, dtype=float) for u in start]
        shapes = [(d, d) for d in self.sizes]
        _need(
            [u.shape for u in U] == shapes,
            f"starting order parameters of shapes {shapes}",
            [u.shape for u in U],
        )
        for u in U:
            fits = np.isfinite(u).all() and np.abs(u - u.T).max() <= 1e-8 * np.abs(u).max()
            _need(fits and np.linalg.eigvalsh(u)[0] > 0, "symmetric positive-definite order parameters", u)
        return U

    def coordinates(self, U):
        """Coordinates of order parameters."""
        theta, above = [], np.eye(1)
        for l in reversed(range(self.depth)):
            L = np.linalg.cholesky(U[l])
            lam = solve_triangular(self._prior_factor(above, l), L, lower=True)
            above = L
            i, j = self.tril[l]
            lam[np.diag_indices_from(lam)] = np.log(np.diag(lam))
            theta.insert(0, lam[i, j] * self.scales[l])
        return np.concatenate(theta)

    def _prior_factor(self, above, l):
        """Cholesky factor of A_l from that of U_{l+1}."""
        if l == self.depth - 1:
            return np.sqrt(self.sigma2) * np.eye(self.sizes[l])
        return np.sqrt(self.sigma2) * np.kron(above, np.eye(self.new[l]))

    def evaluate(self, theta):
        """Action, its gradient in the coordinates, and the two positive parts of the data gradient."""
        blocks = np.split(theta, np.cumsum([len(s) for s in self.scales])[:-1])
        lams, priors_, L = [None] * self.depth, [None] * self.depth, [None] * self.depth
        entropy, g, above = 0.0, [None] * self.depth, np.eye(1)
        for l in reversed(range(self.depth)):
            i, j = self.tril[l]
            lam = np.zeros((self.sizes[l], self.sizes[l]))
            lam[i, j] = blocks[l] / self.scales[l]
            log_diagonal = np.diag(lam).copy()
            if log_diagonal.max() > 50:
                return None
            lam[np.diag_indices_from(lam)] = np.exp(log_diagonal)
            lams[l], priors_[l] = lam, self._prior_factor(above, l)
            above = L[l] = priors_[l] @ lam
            entropy += self.widths[l] * ((lam**2).sum() - 2 * log_diagonal.sum() - self.sizes[l])
        # where an inverse would be rounding errors the line search has to step back
        if any(np.ptp(np.log(np.diag(l))) > 18 for l in L):
            return None
        U = tuple(l @ l.T for l in L)
        try:
            data = self.data_term(U[0])
        except np.linalg.LinAlgError:  # an order parameter that is singular to rounding
            return None
        if data is None:
            return None
        value, plus, minus = data
        dL = 2 * (plus - minus) @ L[0]
        for l in range(self.depth):
            i, j = self.tril[l]
            dlam = priors_[l].T @ dL + 2 * self.widths[l] * lams[l]
            dlam[np.diag_indices_from(dlam)] *= np.diag(lams[l])
            dlam[np.diag_indices_from(dlam)] -= 2 * self.widths[l]
            g[l] = dlam[i, j] / self.scales[l]
            if l < self.depth - 1:
                d, m = self.sizes[l + 1], self.new[l]
                dL = np.sqrt(self.sigma2) * np.einsum("ikjk->ij", (dL @ lams[l].T).reshape(d, m, d, m))
        f, g = (entropy + value) / self.scale_all, np.concatenate(g) / self.scale_all
        action = entropy + value + np.dot(self.widths, self.sizes)
        return Point(theta, f, g, action, U, tuple(L), plus, minus)

    def data_term(self, U):
        r""":math:`y^\top C^{-1}y + \log\det C` and the two positive parts of its gradient: one factorisation."""
        self.evaluations += 1
        K = self.kernel(U)
        diagonal = np.diag_indices_from(K)
        K[diagonal] += self.T + self.jitter
        keep = K.copy() if self.T == 0 and self.jitter == 0 else None
        factor, info = dpotrf(K.T, lower=1, clean=1, overwrite_a=1)
        if info != 0 and keep is not None:
            jitter = self._find_jitter(keep)
            if jitter is None:
                return None
            self.jitter = jitter
            keep[diagonal] += self.jitter
            factor, info = dpotrf(keep.T, lower=1, clean=1, overwrite_a=1)
        if info != 0 or not np.isfinite(factor[-1, -1]):
            return None
        log_det = 2 * np.log(np.diag(factor)).sum()
        v, _ = dpotrs(factor, self.y, lower=1)
        inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
        value = self.y @ v + log_det
        return value, self.kernel.pull_inverse(inverse), self.kernel.pull_vector(v)

    def _find_jitter(self, K):
        """Refuse a singular kernel; for one that is only badly conditioned, say what to add.

        None if the kernel is invertible at infinite width, so that only this order parameter is to blame.
        """
        rank = _rank(K)
        if rank < len(K):
            rank = _rank(self.kernel(self.start()[0]))
            if rank == len(K):
                return None
            raise ValueError(
                f"the kernel is singular at T = 0: its rank is {rank} for {len(K)} data points, and the capacity of "
                f"these gates and inputs is {self.kernel.capacity()}; use T > 0, fewer points, or more gates"
            )
        return 1e-10 * np.trace(K) / len(K)

    def gradient_norm(self, point):
        """Largest entry of the gradient in any order parameter, over the width of its layer."""
        g = gradients(point.U, point.plus - point.minus, self.kernel.dims, self.widths, self.sigma2)
        return float(max(np.abs(x).max() / N for x, N in zip(g, self.widths, strict=True)))

    def majorise(self, point):
        """One sweep: exact minima of the upper layers, then of the majorant in the first."""
        U = list(point.U)
        for l in reversed(range(1, self.depth)):
            d, m = self.sizes[l], self.new[l - 1]
            Q = self.widths[l] * np.linalg.inv(priors(U, self.kernel.dims, self.sigma2)[l])
            R = self.widths[l - 1] / self.sigma2 * np.einsum("ikjk->ij", U[l - 1].reshape(d, m, d, m))
            U[l] = _matrix_minimum(Q, self.widths[l] - m * self.widths[l - 1], R)
        Q = self.widths[0] * np.linalg.inv(priors(U, self.kernel.dims, self.sigma2)[0]) + point.plus
        U[0] = _matrix_minimum(Q, self.widths[0], U[0] @ point.minus @ U[0])
        return U


def priors(U, dims, sigma2):
    r"""Prior means :math:`A_l = \sigma^2U_{l+1}\otimes I`, :math:`A_L = \sigma^2I`, of the order parameters."""
    new = dims[::-1]
    upper = [sigma2 * np.kron(U[l + 1], np.eye(new[l])) for l in range(len(U) - 1)]
    return [*upper, sigma2 * np.eye(dims[0])]


def gradients(U, data, dims, widths, sigma2):
    """Gradients of the action in every order parameter, from that of the data term in the first."""
    new = dims[::-1]
    gradients = []
    for l, (N, A, u) in enumerate(zip(widths, priors(U, dims, sigma2), U, strict=True)):
        inverse = np.linalg.inv(u)
        gradient = N * (np.linalg.inv(A) - inverse)
        if l == 0:
            gradient += data
        else:
            d, m = len(u), new[l - 1]
            partial = np.einsum("ikjk->ij", U[l - 1].reshape(d, m, d, m))
            gradient += widths[l - 1] * (m * inverse - inverse @ partial @ inverse / sigma2)
        gradients.append(gradient)
    return tuple(gradients)


def _matrix_minimum(Q, c, R):
    r"""Minimiser of :math:`\mathrm{tr}QU - c\log\det U + \mathrm{tr}U^{-1}R` over positive-definite U."""
    q, V = np.linalg.eigh(Q)
    root, back = (V * np.sqrt(q)) @ V.T, (V / np.sqrt(q)) @ V.T
    w, V = np.linalg.eigh(root @ R @ root)
    inner = np.sqrt(c**2 + 4 * np.maximum(w, 0.0))
    # (c + inner)/2 without cancellation when c < 0
    x = (c + inner) / 2 if c >= 0 else 2 * np.maximum(w, 0.0) / (inner - c)
    U = back @ ((V * x) @ V.T) @ back
    return (U + U.T) / 2


def _direction(g, memory):
    """Quasi-Newton direction by the two-loop recursion of L-BFGS."""
    q, stack = g.copy(), []
    for s, z in reversed(memory):
        a = (s @ q) / (s @ z)
        q -= a * z
        stack.append(a)
    if memory:
        s, z = memory[-1]
        q *= (s @ z) / (z @ z)
    for (s, z), a in zip(memory, reversed(stack), strict=True):
        q += s * (a - (z @ q) / (s @ z))
    return -q


def _search(problem, point, direction, max_evaluations):
    """Backtrack until the action falls enough; near the end, where it is flat to rounding, until the slope does."""
    slope = point.g @ direction
    if slope >= 0:
        return None
    step, noise = 1.0, 1e-13 * (abs(point.f) + 1.0)
    longest = np.abs(direction).max()
    if longest > 2.0:
        step = 2.0 / longest
    while step > 1e-10 and problem.evaluations < max_evaluations:
        new = problem.evaluate(point.theta + step * direction)
        if new is not None:
            new_slope = new.g @ direction
            if new.f <= point.f + 1e-4 * step * slope:
                return new
            if new.f <= point.f + noise and abs(new_slope) <= 0.9 * abs(slope):
                return new
            curvature = 2 * (new.f - point.f - step * slope) / step**2
            step = np.clip(-slope / curvature if curvature > 0 else 0.5 * step, 0.1 * step, 0.5 * step)
        else:
            step *= 0.2
    return None


def _rank(K):
    eigenvalues = np.linalg.eigvalsh(K)
    return int((eigenvalues > len(K) * np.finfo(float).eps * eigenvalues[-1]).sum())


def _targets(kernel, y):
    y = np.asarray(y, dtype=float)
    shape = (kernel.n_points // kernel.outputs,) + ((kernel.outputs,) if kernel.outputs > 1 else ())
    _need(y.shape == shape, f"targets of shape {shape}, as the kernel has", y.shape)
    _need(np.isfinite(y).all(), "finite targets", "NaN or infinity")
    return y.T.ravel()


def _widths(widths, depth):
    widths = tuple(float(N) for N in widths) if isinstance(widths, Iterable) else (float(widths),) * depth
    _need(len(widths) == depth, f"one width, or {depth} (one a gated layer)", len(widths))
    _need(all(np.isfinite(N) and N > 0 for N in widths), "finite widths > 0", widths)
    return widths


def _need(condition, what, got):
    if not condition:
        raise ValueError(f"need {what}, got {got}")
