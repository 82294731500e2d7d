r"""Exact posterior of finite gated networks by sampling, independent of the saddle-point theory.

Three samplers of growing directness: :func:`importance` draws independent order parameters from their explicit
density (one gated layer), :func:`collapsed` moves the random matrices behind the order parameters by elliptical
slices, and :func:`gibbs` draws every real weight of the network in turn. They take inputs and gates, not the
kernels of :mod:`gdln.renormalization.saddle`, and share no code with it.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize


@dataclass(frozen=True)
class Chains:
    """Draws from the posterior.

    Attributes
    ----------
    mean : ndarray, shape (n_new, ...)
        Posterior mean of the output at the new points.
    variance : ndarray, shape (n_new, ...)
        Posterior variance there.
    mean_error : ndarray, shape (n_new, ...)
        Standard error of ``mean`` from effective sample sizes.
    order_parameter : ndarray, shape (d, d)
        Posterior mean of the readout's order parameter :math:`U_L`.
    training_error : float
        Posterior mean of the squared error over the training points.
    draws : dict of ndarray, shapes (n_chains, n_draws, ...)
        What was averaged: ``"output"`` (for the collapsed samplers the conditional mean), ``"order_parameter"``,
        ``"spread"`` (conditional variance, not with all real weights), ``"weight"`` (importance only) and
        ``"kernel1"`` (all real weights only).
    first_layer_kernel : ndarray, shape (n_samples, n_samples), or None
        Posterior mean of :math:`h^1\\cdot h^1/N_1` at the training points (not with elliptical slices).
    effective : float
        Smallest effective sample size of outputs and order parameter.
    r_hat : float
        Largest R-hat of the same.
    """

    mean: np.ndarray
    variance: np.ndarray
    mean_error: np.ndarray
    order_parameter: np.ndarray
    training_error: float
    draws: dict
    first_layer_kernel: np.ndarray | None
    effective: float
    r_hat: float

    def errors(self, target):
        r"""Bias and variance averaged over the new points, with standard errors from effective sample sizes.

        To first order the error of an average is the spread of one number a draw, divided by the root of that
        number's effective sample size: for the bias :math:`2\langle(\bar f - y)(f_k - \bar f)\rangle_x`, for
        the variance :math:`\langle(f_k - \bar f)^2 + v_k\rangle_x`, with :math:`f_k, v_k` the (conditional)
        mean and variance in draw :math:`k`.

        Parameters
        ----------
        target : array_like, shaped as ``mean``
            What the mean is compared with; zeros give the mean squared prediction.

        Returns
        -------
        errors : SampledErrors
        """
        target = np.asarray(target, dtype=float)
        _need(target.shape == self.mean.shape, f"targets of shape {self.mean.shape}", target.shape)
        points = tuple(range(2, 2 + self.mean.ndim))
        away = self.draws["output"] - self.mean
        influence = 2 * ((self.mean - target) * away).mean(axis=points)
        variance = (away**2 + self.draws.get("spread", 0.0)).mean(axis=points)
        weight = self.draws.get("weight")
        return SampledErrors(
            float(np.mean((self.mean - target) ** 2)),
            _standard_error(influence, weight),
            float(np.mean(self.variance)),
            _standard_error(variance, weight),
        )


@dataclass(frozen=True)
class SampledErrors:
    """Bias and variance over new points as sampled, each with its standard error."""

    bias: float
    bias_error: float
    variance: float
    variance_error: float


def diagnostics(draws):
    """Bulk effective sample size and rank-normalised R-hat of each quantity (ArviZ).

    Parameters
    ----------
    draws : ndarray, shape (n_chains, n_draws, ...)
        Draws of one or more quantities; constant ones get NaN.

    Returns
    -------
    effective, r_hat : ndarray, shape (...)
        With a single chain, R-hat splits it in two.
    """
    with warnings.catch_warnings():
        # once a day, a stamp in the user's cache folder decides, arviz announces its next version at the import
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    draws = np.asarray(draws, dtype=float)
    data = arviz.convert_to_dataset(draws)
    return arviz.ess(data)["x"].values, arviz.rhat(data)["x"].values


def importance(X, gates, y, X_new, gates_new, *, width, sigma2, temperature, rng, n_draws=2000, dof=8.0):
    r"""One gated layer: independent draws of the order parameter from its explicit density, reweighted.

    .. math:: p(U)\propto|U|^{(N-M-1)/2}e^{-\frac{N}{2\sigma^2}\mathrm{tr}U}\,|C|^{-1/2}e^{-\frac12y^\top C^{-1}y}

    in coordinates :math:`U=\Lambda\Lambda^\top` with logarithms on the diagonal, by a multivariate Student
    proposal at the mode. Needs ``width >= n_gates``.

    Parameters
    ----------
    X, X_new : array_like, shapes (n_samples, n_inputs), (n_new, n_inputs)
        Inputs for training and prediction.
    gates, gates_new : array_like, shapes (n_samples, n_gates), (n_new, n_gates)
        Gates there.
    y : array_like, shape (n_samples,)
        Targets.
    width : int
        Width :math:`N`.
    sigma2 : float
        Prior variance of every weight.
    temperature : float
        :math:`T \ge 0`.
    rng : numpy.random.Generator
        Source of the draws.
    n_draws : int, optional
        Number of draws.
    dof : float, optional
        Degrees of freedom of the proposal.

    Returns
    -------
    chains : Chains
        ``effective`` is that of the importance weights, ``r_hat`` is NaN: the draws are independent.
    """
    model = _Conditional(X, [gates], y, X_new, [gates_new], sigma2, temperature)
    M = model.F.shape[1]
    _need(width >= M, f"width >= n_gates = {M} for a density of U", width)
    i, j = np.tril_indices(M)
    on_diagonal = i == j
    jacobian = (M - i[on_diagonal] + 1).astype(float)

    def order_parameter(theta):
        factor = np.zeros((M, M))
        factor[i, j] = np.where(on_diagonal, np.exp(np.minimum(theta, 50)), theta)
        return factor @ factor.T

    def log_density(theta):
        U, log_diagonal = order_parameter(theta), theta[on_diagonal]
        likelihood = model.log_likelihood(U)
        prior = (width - M - 1) * log_diagonal.sum() - width / (2 * sigma2) * np.trace(U)
        return likelihood + prior + jacobian @ log_diagonal

    start = np.where(on_diagonal, 0.5 * math.log(sigma2), 0.0)
    fit = minimize(lambda theta: -log_density(theta), start, method="BFGS", options={"gtol": 1e-4})
    root = np.linalg.cholesky(_covariance(log_density, fit.x))
    n = len(start)
    z = rng.standard_normal((n_draws, n)) / np.sqrt(rng.chisquare(dof, n_draws) / dof)[:, None]
    log_weight = np.empty(n_draws)
    outputs, spreads, training, kernels, U = [], [], [], [], np.empty((n_draws, M, M))
    for k in range(n_draws):
        theta = fit.x + root @ z[k]
        U[k] = order_parameter(theta)
        log_weight[k] = log_density(theta) + 0.5 * (dof + n) * math.log1p(z[k] @ z[k] / dof)
        mean, variance, loss = model.predict(U[k])
        outputs.append(mean), spreads.append(variance), training.append(loss)
        kernels.append(model.first_layer_kernel(U[k], width))
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    outputs = np.array(outputs)
    mean = weight @ outputs
    variance = weight @ np.array(spreads) + weight @ (outputs - mean) ** 2
    error = np.sqrt((weight**2) @ (outputs - mean) ** 2)
    effective = 1 / (weight**2).sum()
    return Chains(
        mean=mean,
        variance=variance,
        mean_error=error,
        order_parameter=np.einsum("k,kmn->mn", weight, U),
        training_error=float(weight @ np.array(training)),
        draws={
            "output": outputs[None],
            "spread": np.array(spreads)[None],
            "order_parameter": U[None],
            "weight": weight[None],
        },
        first_layer_kernel=np.tensordot(weight, np.array(kernels), 1),
        effective=float(effective),
        r_hat=math.nan,
    )


def collapsed(
    X, gates, y, X_new, gates_new, *, widths, sigma2, temperature, rng, n_draws=1000, n_warmup=200, n_chains=2
):
    r"""Elliptical slice sampling of the order parameters, any depth and width.

    With :math:`Z_l` of independent standard normal entries, :math:`b^L = \sigma Z_L`,
    :math:`b^l = Z_l(\sigma^2U_{l+1}\otimes I)^{1/2}` and :math:`U_l = b^{l\top}b^l/N_l`, the prior of the order
    parameters is exact and the likelihood is Gaussian; one slice a layer and sweep, nothing to tune.

    Parameters
    ----------
    X, X_new : array_like, shapes (n_samples, n_inputs), (n_new, n_inputs)
        Inputs for training and prediction.
    gates, gates_new : array_like or list of them
        Gates there; a list holds one set a gated layer, the readout's first.
    y : array_like, shape (n_samples,)
        Targets.
    widths : int or sequence of int
        Widths, input side first; their number is the depth, and a single gate set then serves every layer.
    sigma2, temperature, rng
        As in :func:`importance`.
    n_draws, n_warmup, n_chains : int, optional
        Sweeps kept and dropped, a chain, and chains; each starts from the prior.

    Returns
    -------
    chains : Chains
    """
    widths = _widths(widths)
    depth = len(widths)
    gates, gates_new = _gate_sets(gates, depth), _gate_sets(gates_new, depth)
    model = _Conditional(X, gates, y, X_new, gates_new, sigma2, temperature)
    numbers = [G.shape[1] for G in gates][::-1]  # layer 1 first
    sizes = np.cumprod(numbers[::-1])[::-1]

    def order_parameters(Z):
        U, upper = [None] * depth, None
        for l in reversed(range(depth)):
            b = Z[l] * math.sqrt(sigma2)
            if upper is not None:  # U = b'b, so b R with any R'R = U_{l+1} (x) I will do
                d, m = sizes[l + 1], numbers[l]
                b = np.einsum("nim,ij->njm", b.reshape(-1, len(upper), m), upper).reshape(-1, d * m)
            U[l] = b.T @ b / widths[l]
            upper = b / math.sqrt(widths[l])
            if len(upper) > sizes[l]:
                upper = np.linalg.qr(upper, mode="r")
        return U

    def shapes():
        rows = [sizes[-1]]  # of the root that multiplies Z_l: at most the width above
        for l in reversed(range(1, depth)):
            rows.insert(0, min(widths[l], sizes[l]) * numbers[l - 1])
        return list(zip(widths, rows, strict=True))

    outputs, spreads, training, U_draws = [], [], [], []
    for _ in range(n_chains):
        Z = [rng.standard_normal(shape) for shape in shapes()]
        U = order_parameters(Z)
        level = model.log_likelihood(U[0])
        for sweep in range(n_warmup + n_draws):
            for l in range(depth):
                old, nu = Z[l], rng.standard_normal(Z[l].shape)
                threshold = level + math.log(rng.random())
                angle = rng.uniform(0, 2 * math.pi)
                low, high = angle - 2 * math.pi, angle
                while True:
                    Z[l] = old * math.cos(angle) + nu * math.sin(angle)
                    U = order_parameters(Z)
                    level = model.log_likelihood(U[0])
                    if level > threshold:
                        break
                    low, high = (angle, high) if angle < 0 else (low, angle)
                    angle = rng.uniform(low, high)
            if sweep >= n_warmup:
                mean, variance, loss = model.predict(U[0])
                outputs.append(mean), spreads.append(variance), training.append(loss), U_draws.append(U[-1])
    shape = (n_chains, n_draws)
    outputs, spreads = np.reshape(outputs, (*shape, -1)), np.reshape(spreads, (*shape, -1))
    U_draws = np.reshape(U_draws, (*shape, sizes[-1], sizes[-1]))
    return _summary(outputs, spreads, U_draws, float(np.mean(training)))


def gibbs(
    X, gates, y, X_new, gates_new, *, widths, sigma2, temperature, rng, n_draws=1000, n_warmup=200, n_chains=2
):
    r"""Gibbs sampling of all real weights, layer by layer.

    The output is linear in the weights of each layer, :math:`f = \Phi w`, so each conditional is Gaussian and is
    drawn exactly from a prior draw :math:`w_0` and noise :math:`\epsilon`,

    .. math:: w = w_0 + \sigma^2\Phi^\top(\sigma^2\Phi\Phi^\top + TI)^{-1}(y - \Phi w_0 - \sqrt T\epsilon),

    where :math:`\Phi\Phi^\top` is a Hadamard product of Gram matrices and :math:`\Phi` is never formed. This is
    the network itself: prefactors, gates and widths as in its definition.

    Parameters
    ----------
    X, gates, X_new, gates_new, widths, sigma2, rng, n_draws, n_warmup, n_chains
        As in :func:`collapsed`.
    y : array_like, shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    temperature : float
        :math:`T > 0`; mixing is slow when it is small against the kernel.

    Returns
    -------
    chains : Chains
        Order parameter and first-layer kernel are averages over real weights; with several outputs the order
        parameter has size ``n_outputs * n_gates``, output by output.
    """
    _need(temperature > 0, "temperature > 0 for Gibbs sampling of the weights", temperature)
    widths = _widths(widths)
    depth = len(widths)
    gates, gates_new = _gate_sets(gates, depth), _gate_sets(gates_new, depth)
    X, y, X_new = _data(X, y, X_new, sigma2, temperature)
    _same_gates(gates, gates_new)
    for G, points in [(G, X) for G in gates] + [(G, X_new) for G in gates_new]:
        _features([G], len(points))
    single, Y = y.ndim == 1, y.reshape(len(X), -1)
    outputs, U_draws, kernels, training = [], [], [], []
    for _ in range(n_chains):
        net = _Network(X, gates, Y, widths, sigma2, temperature, rng)
        for sweep in range(n_warmup + n_draws):
            for l in range(depth + 1):
                net.draw(l)
            if sweep >= n_warmup:
                outputs.append(net.output(X_new, gates_new))
                U_draws.append(net.order_parameter())
                h = net.hidden(X, gates, 1)
                kernels.append(h @ h.T / widths[0])
                training.append(np.mean((net.output(X, gates) - Y) ** 2))
    shape = (n_chains, n_draws)
    outputs = np.reshape(outputs, (*shape, *((len(X_new),) if single else (len(X_new), Y.shape[1]))))
    U_draws = np.reshape(U_draws, (*shape, *U_draws[0].shape))
    kernels = np.reshape(kernels, (*shape, len(X), len(X)))
    return _summary(outputs, np.zeros(1), U_draws, float(np.mean(training)), kernels)


class _Conditional:
    """The Gaussian process that the network is, given the first order parameter."""

    def __init__(self, X, gates, y, X_new, gates_new, sigma2, temperature):
        X, y, X_new = _data(X, y, X_new, sigma2, temperature)
        self.y, self.T = y, float(temperature)
        _need(self.y.shape == (len(X),), f"targets of shape ({len(X)},)", self.y.shape)
        _same_gates(gates, gates_new)
        self.F, self.F_new = _features(gates, len(X)), _features(gates_new, len(X_new))
        self.K0, self.K0_cross = sigma2 / X.shape[1] * X @ X.T, sigma2 / X.shape[1] * X_new @ X.T
        self.K0_new = sigma2 / X.shape[1] * (X_new**2).sum(axis=1)
        if self.T == 0:  # the likelihood is then a density only if the kernel is invertible
            rank = np.linalg.matrix_rank((self.F @ self.F.T) * self.K0, hermitian=True)
            _need(rank == len(X), f"a kernel of full rank {len(X)} at T = 0 (or T > 0)", f"rank {rank}")

    def _factor(self, U):
        C = (self.F @ U @ self.F.T) * self.K0
        C[np.diag_indices_from(C)] += self.T
        return cho_factor(C, lower=True, overwrite_a=True)

    def log_likelihood(self, U):
        """Log density of the targets, up to a constant; minus infinity where it cannot be computed."""
        try:
            factor = self._factor(U)
        except np.linalg.LinAlgError:
            return -math.inf
        half = solve_triangular(factor[0], self.y, lower=True)
        return -0.5 * half @ half - np.log(np.diag(factor[0])).sum()

    def predict(self, U):
        """Conditional mean and variance at the new points, and the conditional mean training loss."""
        factor = self._factor(U)
        v = cho_solve(factor, self.y)
        k = (self.F_new @ U @ self.F.T) * self.K0_cross
        variance = ((self.F_new @ U) * self.F_new).sum(axis=1) * self.K0_new
        variance = variance - (solve_triangular(factor[0], k.T, lower=True) ** 2).sum(axis=0)
        inverse = cho_solve(factor, np.eye(len(v)))
        loss = self.T**2 * (v @ v - np.trace(inverse)) / len(v) + self.T
        return k @ v, variance, loss

    def first_layer_kernel(self, U, width):
        """Conditional mean of the first layer's kernel: each unit is a Gaussian process seen through the outputs."""
        B = cho_solve(self._factor(U), np.column_stack([np.eye(len(self.y)), self.y]))
        B = B[:, :-1] - np.outer(B[:, -1], B[:, -1])
        return self.K0 - self.K0 @ ((self.F @ U @ self.F.T) * B) @ self.K0 / width


class _Network:
    """Real weights of a gated network, and their conditional draws."""

    def __init__(self, X, gates, Y, widths, sigma2, temperature, rng):
        self.X, self.Y, self.widths, self.sigma2, self.T, self.rng = X, Y, widths, sigma2, temperature, rng
        n0, depth, sd = X.shape[1], len(widths), math.sqrt(sigma2)
        sets = gates[::-1]  # gates of layer 2, .., L, then of the readout
        self.gates = sets
        self.numbers = [G.shape[1] for G in sets]
        self.W1 = sd * rng.standard_normal((widths[0], n0))
        shapes = [(self.numbers[l], widths[l + 1], widths[l]) for l in range(depth - 1)]
        shapes.append((self.numbers[-1], Y.shape[1], widths[-1]))
        self.W = [sd * rng.standard_normal(shape) for shape in shapes]  # (branch, to, from)

    def _layer(self, l, h, G):
        """Gated layer l applied to activity h: sum over branches."""
        scale = 1 / math.sqrt(self.numbers[l] * self.widths[l])
        return scale * np.einsum("pm,mpi->pi", G, h @ self.W[l].transpose(0, 2, 1))

    def hidden(self, X, gates, layers):
        """Activity of hidden layer ``layers`` at given points."""
        h, sets = X @ self.W1.T / math.sqrt(X.shape[1]), gates[::-1]
        for l in range(layers - 1):
            h = self._layer(l, h, sets[l])
        return h

    def output(self, X, gates):
        """Network output at given points."""
        depth = len(self.widths)
        return self._layer(depth - 1, self.hidden(X, gates, depth), gates[::-1][-1])

    def order_parameter(self):
        """Readout weights squared: one row a unit, outputs and branches as columns."""
        a = self.W[-1].transpose(2, 1, 0).reshape(self.widths[-1], -1)
        return a.T @ a / self.widths[-1]

    def _sensitivity(self, layer):
        """Derivative of each output by the activity of hidden layer ``layer``: (outputs, points, units)."""
        depth = len(self.widths)
        delta = np.broadcast_to(
            np.eye(self.Y.shape[1])[:, None, :], (self.Y.shape[1], len(self.X), self.Y.shape[1])
        )
        for l in reversed(range(layer - 1, depth)):
            scale = 1 / math.sqrt(self.numbers[l] * self.widths[l])
            back = np.einsum("dpi,mij->mdpj", delta, self.W[l], optimize=True)
            delta = scale * np.einsum("pm,mdpj->dpj", self.gates[l], back)
        return delta

    def draw(self, layer):
        """Draw the weights of one layer (0 is the first) given all others."""
        P, D, sd = len(self.X), self.Y.shape[1], math.sqrt(self.sigma2)
        delta = self._sensitivity(layer + 1)  # of the units this layer feeds
        if layer == 0:
            h, G, scale = self.X, np.ones((P, 1)), 1 / math.sqrt(self.X.shape[1])
            prior = sd * self.rng.standard_normal((1, *self.W1.shape))
        else:
            h = self.hidden(self.X, self._sets(), layer)
            G, scale = self.gates[layer - 1], 1 / math.sqrt(self.numbers[layer - 1] * self.widths[layer - 1])
            prior = sd * self.rng.standard_normal(self.W[layer - 1].shape)
        gram = np.tile((G @ G.T) * (h @ h.T), (D, D)) * scale**2
        rows = delta.reshape(D * P, -1)
        gram *= rows @ rows.T
        feature = scale * np.einsum("pm,mpi->pi", G, h @ prior.transpose(0, 2, 1))
        output = (delta * feature).sum(axis=2).ravel()
        noise = math.sqrt(self.T) * self.rng.standard_normal(D * P)
        C = self.sigma2 * gram
        C[np.diag_indices_from(C)] += self.T
        residual = cho_solve(cho_factor(C, lower=True), self.Y.T.ravel() - output - noise).reshape(D, P)
        pulled = np.einsum("dp,dpi->pi", residual, delta)
        weights = prior + self.sigma2 * scale * np.einsum("pm,pi,pj->mij", G, pulled, h, optimize=True)
        if layer == 0:
            self.W1 = weights[0]
        else:
            self.W[layer - 1] = weights

    def _sets(self):
        return self.gates[::-1]


def _summary(outputs, spreads, U_draws, training, kernels=None):
    """Averages over draws, with diagnostics of outputs and order parameter."""
    flat = outputs.reshape(*outputs.shape[:2], -1)
    d = U_draws.shape[-1]
    i, j = np.tril_indices(d)
    effective, r_hat = diagnostics(np.concatenate([flat, U_draws[:, :, i, j]], axis=2))
    mean, between = outputs.mean(axis=(0, 1)), outputs.var(axis=(0, 1))
    own = effective[: flat.shape[2]].reshape(mean.shape)
    return Chains(
        mean=mean,
        variance=between + (spreads.mean(axis=(0, 1)) if spreads.ndim > 1 else 0.0),
        mean_error=np.where(between > 0, np.sqrt(between / own), 0.0),
        order_parameter=U_draws.mean(axis=(0, 1)),
        training_error=training,
        draws={"output": outputs, "order_parameter": U_draws}
        | ({"spread": spreads} if spreads.ndim > 1 else {})
        | ({} if kernels is None else {"kernel1": kernels}),
        first_layer_kernel=None if kernels is None else kernels.mean(axis=(0, 1)),
        effective=float(np.nanmin(effective)),
        r_hat=float(np.nanmax(r_hat)),
    )


def _standard_error(values, weight=None):
    """Standard error of the average of one number a draw, from weights or effective sample size."""
    if weight is not None:
        return float(np.sqrt((weight**2 * (values - (weight * values).sum()) ** 2).sum()))
    spread = values.std()
    return float(spread / np.sqrt(diagnostics(values)[0])) if spread > 0 else 0.0


def _covariance(log_density, mode, step=1e-3):
    """Inverse of the negative Hessian at the mode by central differences, made positive definite."""
    n = len(mode)
    H = np.empty((n, n))
    e = step * np.eye(n)
    for a in range(n):
        for b in range(a + 1):
            corners = [log_density(mode + s * e[a] + t * e[b]) * s * t for s in (1, -1) for t in (1, -1)]
            H[a, b] = H[b, a] = -sum(corners) / (4 * step**2)
    w, V = np.linalg.eigh(H)
    return (V / np.maximum(w, 1e-3 * w[-1])) @ V.T


def _features(gates, n_points):
    F = np.ones((n_points, 1))
    for G in gates:
        G = np.asarray(G, dtype=float)
        _need(G.ndim == 2 and len(G) == n_points, f"gates of shape ({n_points}, n_gates)", G.shape)
        _need(np.isfinite(G).all(), "finite gates", "NaN or infinity")
        F = np.einsum("pa,pb->pab", F, G / math.sqrt(G.shape[1])).reshape(n_points, -1)
    return F


def _gate_sets(gates, depth):
    several = isinstance(gates, list | tuple) and np.ndim(gates[0]) == 2
    sets = [np.asarray(G, dtype=float) for G in (gates if several else [gates] * depth)]
    _need(len(sets) == depth, f"{depth} gate sets, one a gated layer", len(sets))
    return sets


def _widths(widths):
    given = np.atleast_1d(widths)
    _need(len(given) > 0 and all(N >= 1 and N == N // 1 for N in given), "widths >= 1, whole numbers", widths)
    return [int(N) for N in given]


def _data(X, y, X_new, sigma2, temperature):
    """Inputs and targets as finite arrays of matching shapes, or the reason why not."""
    X, y, X_new = (np.asarray(a, dtype=float) for a in (X, y, X_new))
    fits = X.ndim == X_new.ndim == 2 and X.shape[1] == X_new.shape[1] and X.size > 0
    _need(fits, "inputs of shapes (n_samples, n_inputs), (n_new, n_inputs)", (X.shape, X_new.shape))
    _need(y.ndim in (1, 2) and len(y) == len(X), f"targets of shape ({len(X)},)", y.shape)
    _need(all(np.isfinite(a).all() for a in (X, y, X_new)), "finite inputs and targets", "NaN or infinity")
    finite = np.isfinite([sigma2, temperature]).all()
    _need(
        finite and sigma2 > 0 and temperature >= 0, "sigma2 > 0 and temperature >= 0", (sigma2, temperature)
    )
    return X, y, X_new


def _same_gates(gates, gates_new):
    numbers, new = ([np.shape(G)[-1:] for G in sets] for sets in (gates, gates_new))
    _need(numbers == new, f"gate sets of equal sizes at new points, {numbers}", new)


def _need(condition, what, got):
    if not condition:
        raise ValueError(f"need {what}, got {got}")
