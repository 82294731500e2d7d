r"""Descent on the action of a gated network: good coordinates, majorise-minimise steps and L-BFGS.

L-BFGS begins from the curvature of entropy and quadratic form, which one evaluation gives beside the slope, and learns
what :math:`\log\det C` takes away from it. That part is left out as it alone would cost some :math:`d^2` products of
matrices of samples. It is negative, so that the first step is never too long near the end.

The public face of this module is :mod:`gdln.renormalization.saddle`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dpotrs

from gdln import checks
from gdln.renormalization.scale import lowest_minimum

MM_STEPS = 2  # majorise-minimise steps before L-BFGS, from a cold start: they go far, but converge slowly
MEMORY_PAIRS = 60  # curvature pairs L-BFGS keeps: vectors are short beside the factorisation they save
RECENT_PAIRS = 8  # the same beside a metric, which knows most: pairs from far away would spoil it
COLUMNS = (
    3  # rows of the factor for a column of the curvature, at which it takes some third of the factor's time
)
CURVED = 1e-12  # cosine of a step and its change of slope; below, the pair is rounding and spoils the memory
JITTER = 1e-10  # of the mean diagonal: far above the rounding that failed, far below noise that matters
LONGEST = 2.0  # first step of a coordinate, in units of the entropy's curvature: diagonals grow exponentially
SHORTEST = 1e-10  # step at which a search gives up: what it changes is lost in rounding
# Wolfe's usual constants
DECREASE = 1e-4  # least share of the decrease that the slope promises
FLATTER = 0.9  # largest share of the slope that may stay
ROUNDING = 1e-13  # of the action, a sum of some hundred logarithms and squares with 1e-16 each
SPREAD = 18.0  # of the logarithms on a factor's diagonal; an inverse would then be rounding errors
FARTHEST = 50.0  # logarithm of a diagonal entry in natural units: the search steps back beyond it
BLURRED = 1e-4  # a rounding error above this excuses nothing; below, it is less than the theory's own 1/N


def descend(problem, theta, memory=(), *, majorise_only=False, tolerance=1e-9, max_evaluations=2000):
    """Go down from coordinates ``theta`` until the gradient meets the tolerance or is rounding errors.

    Returns the last point, the actions on the way and the curvature pairs.
    """
    memory, failed = list(memory), False
    point = problem.evaluate(theta)
    if point is None:
        raise ValueError(
            f"need a starting point at which the kernel of {len(problem.y)} data points can be factorised at "
            f"T = {problem.T:g}: raise the temperature, or use fewer points, more gates or another start"
        )
    history = [point.action]
    n_mm = max_evaluations if majorise_only else MM_STEPS
    if memory or not all(problem.finite):  # a majorant needs finite widths
        n_mm = 0
    while point.gradient > tolerance and problem.evaluations < max_evaluations:
        if n_mm > 0:
            n_mm -= 1
            try:
                new = problem.evaluate(problem.coordinates(problem.majorise(point)))
            except np.linalg.LinAlgError:  # the minimum of the majorant is singular to rounding
                new = None
        else:
            metric = None if failed else problem.metric(point)
            new = _search(problem, point, _direction(point.g, memory, metric), max_evaluations)
        if new is None:  # start again from steepest descent, once
            if failed:
                break
            memory, failed = [], True
            continue
        # among rounding errors a step that does not lower the gradient is one of them
        if point.gradient <= point.rounding and new.gradient >= point.gradient:
            break
        failed = False
        s, z = new.theta - point.theta, new.g - point.g
        if s @ z > CURVED * np.sqrt((s @ s) * (z @ z)):
            memory = [*memory[1 - (MEMORY_PAIRS if point.bent is None else RECENT_PAIRS) :], (s, z)]
        point = new
        history.append(point.action)
    return point, np.array(history), tuple(memory)


@dataclass(frozen=True)
class Point:
    r"""One evaluation: coordinates, their gradient, and everything a majorise-minimise step needs.

    ``gradient`` is the largest :math:`\lVert U_l^{1/2}\nabla_{U_l}S\,U_l^{1/2}\rVert/N_l` (spectral norm), the slope
    of the action in the logarithm of an order parameter, and ``rounding`` an estimate of its rounding error. ``lams``
    are the factors :math:`\Lambda_l`, and ``bent`` is the curvature of the quadratic form, if it was asked for.
    """

    theta: np.ndarray
    f: float
    g: np.ndarray
    action: float
    U: tuple
    L: tuple
    plus: np.ndarray
    minus: np.ndarray
    gradient: float
    rounding: float
    lams: list
    bent: np.ndarray | None


class Problem:
    r"""The action in coordinates in which its entropy is nearly isotropic.

    :math:`U_l = \ell_l\ell_l^\top` with nested factors :math:`\ell_l = \sigma\sqrt{r_l}(\ell_{l+1}\otimes I)
    \Lambda_l`, so that the layers' entropies decouple: :math:`\mathrm{tr}A_l^{-1}U_l - \log\det A_l^{-1}U_l =
    r_l|\Lambda_l|^2 - 2\sum_i\log\Lambda_{l,ii} - d_l\log r_l`. The coordinates are the entries of
    :math:`\Lambda_l` below the diagonal and the logs of its diagonal, scaled to unit curvature of the entropy at
    :math:`\Lambda_l = I, r_l = 1`. The ratios :math:`r_l` are the natural units of the problem: :meth:`start` sets
    them so that it returns :math:`\Lambda_l` near :math:`I`. A layer of infinite width has :math:`\Lambda_l = I`,
    :math:`r_l = 1` and no coordinates.
    """

    def __init__(self, kernel, y, widths, sigma2, temperature, log_ratios=None):
        made = all(hasattr(kernel, name) for name in ("dims", "n_points", "fit", "spectrum"))
        checks.need(made, "kernel", "a GatedKernel, FeatureKernel, PatchKernel or KernelStack", kernel)
        self.kernel, self.sigma2, self.T = (
            kernel,
            _prior_variance(kernel, sigma2),
            checks.nonnegative("temperature", temperature),
        )
        self.y = _targets(kernel, y)
        self.depth = len(kernel.dims)
        self.widths = _widths(widths, self.depth)
        self.sizes = list(np.cumprod(kernel.dims)[::-1])  # d_1 .. d_L
        self.new = list(kernel.dims[::-1])  # indices added by layer 1 .. L
        self.finite = [np.isfinite(N) for N in self.widths]
        self.tril = [
            np.tril_indices(d if finite else 0) for d, finite in zip(self.sizes, self.finite, strict=True)
        ]
        self.scale_all = min((N for N in self.widths if np.isfinite(N)), default=1.0)
        self.evaluations, self.jitter = 0, 0.0
        self._set_units(np.zeros(self.depth) if log_ratios is None else log_ratios)

    def _set_units(self, log_ratios):
        self.log_ratios = np.where(self.finite, log_ratios, 0.0)
        self.ratios, self.scales = np.exp(self.log_ratios), []
        for N, (i, j) in zip(self.widths, self.tril, strict=True):
            self.scales.append(np.sqrt(np.where(i == j, 4.0, 2.0) * N / self.scale_all))

    def start(self, start=None):
        """Coordinates to start from: the lowest scale, a multiple of infinite width, or given order parameters."""
        if start is None:
            self._set_units(self._lowest_scale())
            return np.zeros(sum(len(s) for s in self.scales))
        if np.isscalar(start):
            number = isinstance(start, int | float | np.number)
            checks.need(number, "start", "a number, SaddleSolution or order parameters", start)
            checks.positive("start", start)
            U = [start * u for u in self.infinite_width()]
        else:
            what = "a number, SaddleSolution or order parameters"
            checks.need(isinstance(start, Iterable), "start", what, start)
            U = self.order_parameters("start", start)
        self._set_units(np.zeros(self.depth))
        ratios = [np.linalg.slogdet(lam)[1] * 2 / len(lam) for lam in self._relative_factors(U)]
        self._set_units(ratios)
        return self.coordinates(U)

    def infinite_width(self):
        """Order parameters at infinite width."""
        return [self.sigma2 ** (self.depth - l) * np.eye(d) for l, d in enumerate(self.sizes)]

    def order_parameters(self, name, U):
        """Given order parameters as floats, checked."""
        U = [checks.array(name, u) for u in U]
        shapes = [(int(d), int(d)) for d in self.sizes]
        came = [u.shape for u in U]
        checks.need(came == shapes, name, f"order parameters of shapes {shapes}", came)
        for u in U:
            fits = np.isfinite(u).all() and np.abs(u - u.T).max() <= 1e-8 * np.abs(u).max()
            definite = fits and np.linalg.eigvalsh(u)[0] > 0
            checks.need(definite, name, "symmetric positive-definite order parameters", u)
        return U

    def _lowest_scale(self):
        """Ratios at the lowest minimum of the action over multiples of the infinite-width point."""
        eigenvalues, squares = self.kernel.spectrum(np.eye(self.sizes[0]), self.y)
        positive = eigenvalues > len(eigenvalues) * np.finfo(float).eps * eigenvalues[-1]
        if self.T == 0 and not positive.all():  # the first evaluation says what is wrong
            return np.zeros(self.depth)
        log_ratios, _ = lowest_minimum(
            np.maximum(eigenvalues, 0.0), squares, np.multiply(self.widths, self.sizes), self.sigma2, self.T
        )
        return log_ratios

    def coordinates(self, U):
        """Coordinates of order parameters."""
        theta = []
        for lam, (i, j), scale in zip(self._relative_factors(U), self.tril, self.scales, strict=True):
            lam[np.diag_indices_from(lam)] = np.log(np.diag(lam))
            theta.append(lam[i, j] * scale)
        return np.concatenate(theta)

    def _relative_factors(self, U):
        r"""The factors :math:`\Lambda_l` of order parameters."""
        factors, above = [], np.eye(1)
        for l in reversed(range(self.depth)):
            L = np.linalg.cholesky(U[l])
            factors.insert(0, solve_triangular(self._prior_factor(above, l), L, lower=True))
            above = L
        return factors

    def _prior_factor(self, above, l):
        """Cholesky factor of r_l A_l from that of U_{l+1}, which is one for the read-out."""
        unit = np.sqrt(self.sigma2) * np.exp(0.5 * self.log_ratios[l])
        return unit * np.kron(above, np.eye(self.new[l]))

    def evaluate(self, theta):
        """Action, its gradient in the coordinates, and the two positive parts of the data gradient."""
        blocks = np.split(theta, np.cumsum([len(s) for s in self.scales])[:-1])
        lams, priors_, L = [None] * self.depth, [None] * self.depth, [None] * self.depth
        entropy, g, above = 0.0, [None] * self.depth, np.eye(1)
        for l in reversed(range(self.depth)):
            N, d, r = self.widths[l], self.sizes[l], self.ratios[l]
            lam = np.eye(d)
            if self.finite[l]:
                i, j = self.tril[l]
                lam[i, j] = blocks[l] / self.scales[l]
                log_diagonal = np.diag(lam).copy()
                if np.abs(log_diagonal).max() > FARTHEST:
                    return None
                lam[np.diag_indices_from(lam)] = np.exp(log_diagonal)
                log_det = 2 * log_diagonal.sum() + d * self.log_ratios[l]
                entropy += N * (r * (lam**2).sum() - log_det - d)
            lams[l], priors_[l] = lam, self._prior_factor(above, l)
            above = L[l] = priors_[l] @ lam
        if any(np.ptp(np.log(np.diag(l))) > SPREAD for l in L):
            return None
        U = tuple(l @ l.T for l in L)
        try:
            data, bent = self._data_term(U[0], L[0])
        except np.linalg.LinAlgError:  # an order parameter that is singular to rounding
            return None
        if data is None:
            return None
        value, plus, minus, error = data
        dL = 2 * (plus - minus) @ L[0]
        for l in range(self.depth):
            N, r, (i, j) = self.widths[l], self.ratios[l], self.tril[l]
            g[l] = np.zeros(0)
            if self.finite[l]:
                dlam = priors_[l].T @ dL + 2 * N * r * lams[l]
                dlam[np.diag_indices_from(dlam)] *= np.diag(lams[l])
                dlam[np.diag_indices_from(dlam)] -= 2 * N
                g[l] = dlam[i, j] / self.scales[l]
            if l < self.depth - 1:
                d, m = self.sizes[l + 1], self.new[l]
                unit = np.sqrt(self.sigma2) * np.exp(0.5 * self.log_ratios[l])
                dL = unit * np.einsum("ikjk->ij", (dL @ lams[l].T).reshape(d, m, d, m))
        f, g = (entropy + value) / self.scale_all, np.concatenate(g) / self.scale_all
        constant = sum(N * d for N, d in zip(self.widths, self.sizes, strict=True) if np.isfinite(N))
        gradient = self._relative_gradient(lams, L[0].T @ (plus - minus) @ L[0])
        # the entropy of a very wide layer, or far above the prior, is a large number that hardly changes
        entropies = zip(self.widths, self.sizes, self.ratios, strict=True)
        error += np.finfo(float).eps * sum(N * d * max(r, 1.0) for N, d, r in entropies if np.isfinite(N))
        rounding = error / self.scale_all
        action = entropy + value + constant
        return Point(theta, f, g, action, U, tuple(L), plus, minus, gradient, rounding, lams, bent)

    def metric(self, point):
        r"""Curvature of the action in the coordinates, but for what :math:`\log\det C` takes away from it.

        A change of the coordinates multiplies :math:`\Lambda_l` by :math:`I + m_l` from the right, and
        :math:`\ell_l` by :math:`I + k_l`, :math:`k_l = \Lambda_l^{-1}(k_{l+1}\otimes I)\Lambda_l + m_l`. The entropy
        curves by :math:`\sum_lN_l\lVert m_l+m_l^\top\rVert^2`, the data by what :math:`k_1+k_1^\top` does. None where
        the curvature of the quadratic form is not known.
        """
        if point.bent is None:
            return None
        lams = point.lams
        total = sum(len(s) for s in self.scales)
        metric, above, first = np.zeros((total, total)), np.zeros((total, 1, 1)), total
        for l in reversed(range(self.depth)):
            d, inverse, (i, j) = self.sizes[l], np.linalg.inv(lams[l]), self.tril[l]
            below = inverse @ np.kron(above, np.eye(self.new[l])) @ lams[l]
            if self.finite[l]:
                first -= len(i)
                own = np.zeros((len(i), d, d))
                own[np.arange(len(i)), :, j] = inverse[:, i].T
                own *= (np.where(i == j, lams[l][i, i], 1.0) / self.scales[l])[:, None, None]
                below[first : first + len(i)] += own
                own = (own + own.transpose(0, 2, 1)).reshape(len(i), -1)
                block = slice(first, first + len(i))
                metric[block, block] += self.widths[l] * own @ own.T
            above = below
        i, j = np.tril_indices(self.sizes[0])
        change = above[:, i, j] + above[:, j, i]
        return (metric + 2 * change @ point.bent @ change.T) / self.scale_all

    def _relative_gradient(self, lams, data):
        r"""Largest spectral norm over the layers of :math:`\ell_l^\top\nabla_{U_l}S\,\ell_l/N_l`, without an inverse.

        It equals :math:`N_l(r_l\Lambda_l^\top\Lambda_l - I)` and the force from below: that of the data, or the same
        of the layer below, traced over the index that it adds.
        """
        norms, force = [0.0], data
        for l, (N, r, lam) in enumerate(zip(self.widths, self.ratios, lams, strict=True)):
            if self.finite[l]:
                relative = r * lam.T @ lam - np.eye(len(lam)) + force / N
                norms.append(np.abs(np.linalg.eigvalsh(relative)).max())
                force = N * (np.eye(len(lam)) - r * lam @ lam.T)
            if l < self.depth - 1:
                d, m = self.sizes[l + 1], self.new[l]
                force = np.einsum("ikjk->ij", force.reshape(d, m, d, m))
        return float(max(norms))

    def data_term(self, U):
        """The data's part of the action, its gradient in two positive parts and its rounding error, by one factor."""
        return self._data_term(U)[0]

    def _data_term(self, U, root=None):
        """The same, and the curvature of the quadratic form in units of a root where that costs less than the rest."""
        self.evaluations += 1
        fit = self.kernel.fit(U, self.y, self.T + self.jitter)
        if fit is None and self.T == 0 and self.jitter == 0:
            jitter = self._find_jitter(U)
            if jitter is None:
                return None, None
            self.jitter = jitter
            fit = self.kernel.fit(U, self.y, self.jitter)
        if fit is None:
            return None, None
        wanted = root is not None and COLUMNS * len(root) * (len(root) + 1) / 2 <= self.kernel.order
        bent = fit.curvature(root) if wanted else None
        return fit.data_term(), bent

    def _find_jitter(self, U):
        """Refuse a singular kernel; for one that is only badly conditioned, say what to add.

        None if the kernel is invertible at infinite width, so that only this order parameter is to blame.
        """
        n = len(self.y)
        rank = self.kernel.rank(U)
        if rank < n:
            rank = self.kernel.rank(np.eye(self.sizes[0]))
            if rank == n:
                return None
            raise ValueError(
                f"the kernel is singular at T = 0: its rank is {rank} for {n} data points, and the capacity of "
                f"these gates and inputs is {self.kernel.capacity()}; use T > 0, fewer points, or more gates"
            )
        return JITTER * self.kernel.mean_diagonal(U)

    def majorise(self, point):
        """One sweep, for finite widths: exact minima of the upper layers, then of the majorant in the first."""
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


def _direction(g, memory, metric=None):
    """Quasi-Newton direction by the two-loop recursion of L-BFGS, from a metric where there is a positive one."""
    q, stack = g.copy(), []
    for s, z in reversed(memory):
        a = (s @ q) / (s @ z)
        q -= a * z
        stack.append(a)
    factor, info = (None, 1) if metric is None else dpotrf(metric, lower=True)
    if info == 0:
        q, _ = dpotrs(factor, q, lower=True)
    elif memory:
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
    # what rounding makes of an action: the sum's, and that of the data term in a badly conditioned kernel
    step, noise = 1.0, max(ROUNDING * (abs(point.f) + 1.0), point.rounding)
    longest = np.abs(direction).max()
    if longest > LONGEST:
        step = LONGEST / longest
    while step > SHORTEST and problem.evaluations < max_evaluations:
        new = problem.evaluate(point.theta + step * direction)
        if new is not None:
            new_slope = new.g @ direction
            if new.f <= point.f + DECREASE * step * slope:
                return new
            if new.f <= point.f + noise and abs(new_slope) <= FLATTER * abs(slope):
                return new
            # to the minimum of the parabola through both values and the first slope, which far off is no guide
            curvature = 2 * (new.f - point.f - step * slope) / step**2
            step = np.clip(-slope / curvature if curvature > 0 else 0.5 * step, 0.1 * step, 0.5 * step)
        else:  # no value to interpolate: the point was outside of what can be factorised
            step *= 0.2
    return None


def _targets(kernel, y):
    shape = (kernel.n_points // kernel.outputs,) + ((kernel.outputs,) if kernel.outputs > 1 else ())
    return checks.array("y", y, shape=shape).T.ravel()


def _prior_variance(kernel, sigma2):
    """The prior variance that the kernel knows, or the given one, never two different ones."""
    own = kernel.sigma2
    if sigma2 is None:
        return 1.0 if own is None else own
    sigma2 = checks.positive("sigma2", sigma2)
    checks.need(own is None or sigma2 == own, "sigma2", f"the value the kernel has, {own}, or none", sigma2)
    return sigma2


def _widths(widths, depth):
    widths = tuple(widths) if isinstance(widths, Iterable) else (widths,) * depth
    checks.need(len(widths) == depth, "widths", f"one width, or {depth} (one a gated layer)", widths)
    return tuple(checks.positive("widths", N, infinite=True) for N in widths)
