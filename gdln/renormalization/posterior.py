r"""Exact posterior of finite gated networks by sampling, independent of the saddle-point theory.

Three samplers of growing directness: :func:`importance` draws independent order parameters from their explicit
density (one gated layer), :func:`collapsed` moves the random matrices behind the order parameters by slices, and
:func:`gibbs` draws every real weight of the network in turn. Each ends in one check of its draws
(:mod:`gdln.renormalization.chains`) and warns, with advice, where they are not to be trusted. They take inputs and
gates, not the kernels of :mod:`gdln.renormalization.saddle`, and share no code with it.
"""

import math
import warnings

import numpy as np

# LAPACK itself: around matrices of a dozen points scipy's checks take longer than the work
from scipy.linalg.lapack import dgeqrf, dpotrf, dpotrs, dtrtri, dtrtrs

from gdln import checks
from gdln.renormalization.chains import Chains, Health, SamplingWarning, pareto_k, summary
from gdln.renormalization.proposals import Wishart, fitted


def importance(X, gates, y, X_new, gates_new, *, width, sigma2, temperature, rng, n_draws=2000, dof=8.0):
    r"""One gated layer: independent draws of the order parameter from its explicit density, reweighted.

    .. math:: p(U)\propto|U|^{(N-M-1)/2}e^{-\frac{N}{2\sigma^2}\mathrm{tr}U}\,|C|^{-1/2}e^{-\frac12y^\top C^{-1}y}

    The proposal is a mixture fitted to it (:mod:`gdln.renormalization.proposals`): Student laws at the modes, others
    moved by pilot draws, and the prior, which bounds the weights. Needs ``width >= n_gates``.

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
        Number of draws, at least four.
    dof : float, optional
        Degrees of freedom of the Student laws; more for many gates, whose draws would lie too far out.

    Returns
    -------
    chains : Chains
        ``effective`` is that of the importance weights, ``r_hat`` is NaN: the draws are independent.

    Warns
    -----
    SamplingWarning
        If few draws carry the weight: Pareto k of the weights, or of what they contribute to the variance, is large,
        or the effective size small.
    """
    rng = checks.generator("rng", rng)
    n_draws, dof = checks.count("n_draws", n_draws, least=4), checks.positive("dof", dof)
    gates, gates_new = _gate_sets("gates", gates, 1), _gate_sets("gates_new", gates_new, 1)
    model = _Conditional(X, gates, y, X_new, gates_new, sigma2, temperature)
    (width,) = _widths(width, "width")
    M = model.F.shape[1]
    checks.need(width >= M, "width", f"at least the number of gates, {M}, for a density of U", width)
    model.refuse_singular(np.eye(M))
    prior = Wishart(M, width, float(sigma2))
    proposal, n_modes = fitted(
        model.log_likelihood, lambda u: model.predict(u)[1].mean(), prior, rng, dof=dof
    )
    if n_modes == 0:
        warnings.warn(
            "no mode of the posterior was found to draw around: compare with collapsed or gibbs",
            SamplingWarning,
            stacklevel=2,
        )
    factor = proposal.draw(rng, n_draws)
    U = factor @ factor.transpose(0, 2, 1)
    likelihood = np.array([model.log_likelihood(u) for u in U])
    checks.need(np.isfinite(likelihood).any(), "n_draws", "draws at which the data are possible", n_draws)
    log_weight = likelihood + prior.log_density(factor) - proposal.log_density(factor)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    outputs, spreads, training, kernel = [], [], [], 0.0
    for u, w in zip(U, weight, strict=True):
        if w > 0:
            mean, variance, loss = model.predict(u)
            kernel = kernel + w * model.first_layer_kernel(u, width)
        else:  # perhaps no factor to predict with
            mean, variance, loss = np.zeros(len(model.F_new)), np.zeros(len(model.F_new)), 0.0
        outputs.append(mean), spreads.append(variance), training.append(loss)
    outputs, spreads = np.array(outputs), np.array(spreads)
    mean = weight @ outputs
    away = (outputs - mean) ** 2
    # the tail of the weights alone does not see a rare region whose outputs are far away
    # a logarithm of draws that all agree
    share = np.log(np.maximum((away + spreads).mean(axis=1), 1e-300))
    health = Health(
        0,
        float(1 / (weight**2).sum()),
        math.nan,
        math.nan,
        max(pareto_k(log_weight), pareto_k(log_weight + share)),
    )
    health.warn()
    return Chains(
        mean=mean,
        variance=weight @ (spreads + away),
        mean_error=np.sqrt(weight**2 @ away),
        order_parameter=np.tensordot(weight, U, 1),
        training_error=float(weight @ np.array(training)),
        draws={
            "output": outputs[None],
            "spread": spreads[None],
            "order_parameter": U[None],
            "weight": weight[None],
        },
        first_layer_kernel=kernel,
        health=health,
    )


def collapsed(
    X, gates, y, X_new, gates_new, *, widths, sigma2, temperature, rng, n_draws=1000, n_warmup=200, n_chains=2
):
    r"""Slice sampling of the order parameters, any depth and width.

    With :math:`Z_l` of independent standard normal entries, :math:`b^L = \sigma Z_L`,
    :math:`b^l = Z_l(\sigma^2U_{l+1}\otimes I)^{1/2}` and :math:`U_l = b^{l\top}b^l/N_l`, the prior of the order
    parameters is exact and the likelihood is Gaussian. A sweep moves each layer along an ellipse (Murray et al.
    2010), which leaves its prior unchanged, then along stretches

    .. math:: Z\to Z\,(1+(e^t-1)vv^\top),\qquad
              p(t)\propto e^{Nt-\frac12(e^{2t}-1)\lVert Zv\rVert^2}\times\text{likelihood}

    of random unit vectors :math:`v`, and along its size, :math:`Z\to e^tZ` (Liu & Sabatti 2000): data that move the
    order parameter far from its prior do so in few directions, in which ellipses of many dimensions are slow.
    Nothing is to be tuned.

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
        Sweeps kept (at least four) and dropped, a chain, and chains; each starts from the prior.

    Returns
    -------
    chains : Chains

    Warns
    -----
    SamplingWarning
        If the chains disagree or hold few effective draws.
    """
    n_draws, n_warmup, n_chains = _lengths(n_draws, n_warmup, n_chains)
    rng = checks.generator("rng", rng)
    widths = _widths(widths)
    depth = len(widths)
    gates, gates_new = _gate_sets("gates", gates, depth), _gate_sets("gates_new", gates_new, depth)
    model = _Conditional(X, gates, y, X_new, gates_new, sigma2, temperature)
    numbers = [G.shape[1] for G in gates][::-1]  # layer 1 first
    sizes = np.cumprod(numbers[::-1])[::-1]
    upper_triangles = [np.triu(np.ones((d, d))) for d in sizes]

    def order_parameters(Z):
        U, upper = [None] * depth, None
        for l in reversed(range(depth)):
            b = Z[l] * math.sqrt(sigma2)
            if upper is not None:  # U = b'b, so b R with any R'R = U_{l+1} (x) I will do
                d, m = sizes[l + 1], numbers[l]
                b = (upper.T @ b.reshape(-1, len(upper), m)).reshape(-1, d * m)
            U[l] = b.T @ b / widths[l]
            if l > 0:
                upper = b / math.sqrt(widths[l])
                if len(upper) > sizes[l]:
                    upper = dgeqrf(upper)[0][: sizes[l]] * upper_triangles[l]
        return U

    def level(Z):
        return model.log_likelihood(order_parameters(Z)[0])

    def shapes():
        rows = [sizes[-1]]  # of the root that multiplies Z_l: at most the width above
        for l in reversed(range(1, depth)):
            rows.insert(0, min(widths[l], sizes[l]) * numbers[l - 1])
        return list(zip(widths, rows, strict=True))

    outputs, spreads, training, U_draws = [], [], [], []
    for _ in range(n_chains):
        Z = [rng.standard_normal(shape) for shape in shapes()]
        model.refuse_singular(order_parameters(Z)[0])
        here = level(Z)
        for sweep in range(n_warmup + n_draws):
            for l in range(depth):
                here = _along_ellipse(Z, l, level, here, rng)
                columns = Z[l].shape[1]
                for _ in range(min(columns, 4)):
                    v = rng.standard_normal(columns)
                    here = _along_stretch(Z, l, v / np.linalg.norm(v), level, here, rng)
                if columns > 1:  # of one column, the stretch was its size
                    here = _along_stretch(Z, l, None, level, here, rng)
            if sweep >= n_warmup:
                U = order_parameters(Z)
                mean, variance, loss = model.predict(U[0])
                outputs.append(mean), spreads.append(variance), training.append(loss), U_draws.append(U[-1])
    shape = (n_chains, n_draws)
    outputs, spreads = np.reshape(outputs, (*shape, -1)), np.reshape(spreads, (*shape, -1))
    U_draws = np.reshape(U_draws, (*shape, sizes[-1], sizes[-1]))
    chains = summary(outputs, spreads, U_draws, float(np.mean(training)))
    chains.health.warn()
    return chains


def _along_ellipse(Z, l, level, here, rng):
    """Move one layer's matrix, in place, along an ellipse through it and a draw from its prior.

    ``here`` is the log likelihood where it stands; returned is that where it ends.
    """
    old, nu = Z[l], rng.standard_normal(Z[l].shape)

    def value(angle):
        Z[l] = old * math.cos(angle) + nu * math.sin(angle)
        return level(Z)

    angle = rng.uniform(0, 2 * math.pi)
    return _slice(value, here, angle, angle - 2 * math.pi, angle, rng)[1]


def _along_stretch(Z, l, v, level, here, rng):
    """Stretch one layer's matrix, in place, along a unit vector v or, without one, along all directions alike.

    ``here`` is the log likelihood where it stands; returned is that where it ends.
    """
    old = Z[l]
    if v is None:
        n, size = old.size, np.sum(old**2)
    else:
        moved = old @ v
        n, size = len(old), moved @ moved

    def prior(t):
        return n * t - 0.5 * math.expm1(2 * t) * size

    def value(t):
        Z[l] = math.exp(t) * old if v is None else old + math.expm1(t) * np.outer(moved, v)
        return level(Z) + prior(t)

    # the interval is three times as wide as the prior of t on both sides, whose standard deviation is 1 / sqrt(2 n):
    # shrinking to a narrower slice costs a step a factor of two, and longer ways are gone over sweeps
    high = 6 / math.sqrt(2 * n) * rng.random()
    low = high - 6 / math.sqrt(2 * n)
    t, found = _slice(value, here, rng.uniform(low, high), low, high, rng)
    return found - prior(t)


def _slice(value, here, start, low, high, rng):
    """A point of the slice under ``here = value(0)``, by shrinkage (Neal 2003), and its value.

    ``value`` leaves the state at the point it looked at last.
    """
    threshold = here + math.log(rng.random())
    point = start
    while not (found := value(point)) > threshold:
        low, high = (point, high) if point < 0 else (low, point)
        # where rounding of a nearly singular kernel hides the slice, zero, the old state, is in it
        point = rng.uniform(low, high) if high - low > 1e-12 else 0.0
        if point == 0.0:
            return 0.0, value(0.0)
    return point, found


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

    Warns
    -----
    SamplingWarning
        If the chains disagree or hold few effective draws.
    """
    n_draws, n_warmup, n_chains = _lengths(n_draws, n_warmup, n_chains)
    rng = checks.generator("rng", rng)
    temperature = checks.positive("temperature", temperature)  # at zero no weights but the old fit the data
    widths = _widths(widths)
    depth = len(widths)
    gates, gates_new = _gate_sets("gates", gates, depth), _gate_sets("gates_new", gates_new, depth)
    X, y, X_new = _data(X, y, X_new, sigma2, temperature)
    _same_points(X, gates, X_new, gates_new)
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
    chains = summary(outputs, None, U_draws, float(np.mean(training)), kernels)
    chains.health.warn()
    return chains


class _Conditional:
    """The Gaussian process that the network is, given the first order parameter."""

    def __init__(self, X, gates, y, X_new, gates_new, sigma2, temperature):
        X, y, X_new = _data(X, y, X_new, sigma2, temperature)
        checks.need(y.ndim == 1, "y", f"shape ({len(X)},)", y)
        self.y, self.T = y, float(temperature)
        _same_points(X, gates, X_new, gates_new)
        self.F, self.F_new = _features(gates), _features(gates_new)
        self.K0, self.K0_cross = sigma2 / X.shape[1] * X @ X.T, sigma2 / X.shape[1] * X_new @ X.T
        self.K0_new = sigma2 / X.shape[1] * (X_new**2).sum(axis=1)

    def refuse_singular(self, U):
        """At zero temperature the likelihood is a density only if the kernel at almost every U is invertible."""
        if self.T > 0:
            return
        P = len(self.y)
        checks.need(self.y.any(), "y", "targets that are not all zero at T = 0 (or T > 0)", self.y)
        rank = np.linalg.matrix_rank((self.F @ U @ self.F.T) * self.K0, hermitian=True)
        if rank < P:
            raise ValueError(
                f"temperature needs a number above 0, or a kernel of full rank {P} at T = 0 (more inputs, gates or"
                f" width), got a kernel of rank {rank}"
            )

    def _factor(self, U):
        C = (self.F @ U @ self.F.T) * self.K0
        return _cholesky(C, self.T)

    def log_likelihood(self, U):
        """Log density of the targets, up to a constant; minus infinity where it cannot be computed."""
        try:
            factor = self._factor(U)
        except np.linalg.LinAlgError:
            return -math.inf
        half, _ = dtrtrs(factor, self.y, lower=True)
        return -0.5 * half @ half - np.log(factor.diagonal()).sum()

    def predict(self, U):
        """Conditional mean and variance at the new points, and the conditional mean training loss."""
        factor = self._factor(U)
        v, _ = dpotrs(factor, self.y, lower=True)
        k = (self.F_new @ U @ self.F.T) * self.K0_cross
        variance = ((self.F_new @ U) * self.F_new).sum(axis=1) * self.K0_new
        variance = variance - (dtrtrs(factor, k.T, lower=True)[0] ** 2).sum(axis=0)
        inverse, _ = dtrtri(
            factor, lower=True
        )  # of the factor: its squares are the trace of that of the kernel
        loss = self.T**2 * (v @ v - np.sum(inverse**2)) / len(v) + self.T
        return k @ v, variance, loss

    def first_layer_kernel(self, U, width):
        """Conditional mean of the first layer's kernel: each unit is a Gaussian process seen through the outputs."""
        B, _ = dpotrs(self._factor(U), np.column_stack([np.eye(len(self.y)), self.y]), lower=True)
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
            back = delta @ self.W[l][:, None]
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
        factor = _cholesky(self.sigma2 * gram, self.T)
        residual = dpotrs(factor, self.Y.T.ravel() - output - noise, lower=True)[0].reshape(D, P)
        pulled = np.einsum("dp,dpi->pi", residual, delta)
        weights = prior + self.sigma2 * scale * ((G.T[:, :, None] * pulled).transpose(0, 2, 1) @ h)
        if layer == 0:
            self.W1 = weights[0]
        else:
            self.W[layer - 1] = weights

    def _sets(self):
        return self.gates[::-1]


def _cholesky(C, ridge):
    """Lower factor of C with a ridge; C is no more needed."""
    C.flat[:: len(C) + 1] += ridge
    factor, info = dpotrf(C, lower=True, clean=True, overwrite_a=True)
    if info != 0 or not np.isfinite(factor[-1, -1]):
        raise np.linalg.LinAlgError(
            "the kernel of the data is not positive definite, or too large for a double"
        )
    return factor


def _features(gates):
    """Products of the gates of all layers at each point, scaled, shape (n_points, product of n_gates)."""
    F = np.ones((len(gates[0]), 1))
    for G in gates:
        F = np.einsum("pa,pb->pab", F, G / math.sqrt(G.shape[1])).reshape(len(G), -1)
    return F


def _gate_sets(name, gates, depth):
    """One gate set a layer, from such a list or from one set for all."""
    several = isinstance(gates, list | tuple) and len(gates) > 0 and np.ndim(gates[0]) == 2
    sets = [
        checks.array(name, G, shape=("n_points", "n_gates")) for G in (gates if several else [gates] * depth)
    ]
    checks.need(len(sets) == depth, name, f"{depth} gate sets, one a gated layer", len(sets))
    return sets


def _widths(widths, name="widths"):
    given = widths if np.ndim(widths) else [widths]
    checks.need(np.ndim(widths) <= 1 and len(given) > 0, name, "one or more widths", widths)
    return [checks.count(name, N) for N in given]


def _lengths(n_draws, n_warmup, n_chains):
    """Numbers of draws, warm-up draws and chains that can be judged."""
    return (
        checks.count("n_draws", n_draws, least=4),
        checks.count("n_warmup", n_warmup, least=0),
        checks.count("n_chains", n_chains),
    )


def _data(X, y, X_new, sigma2, temperature):
    """Inputs and targets as finite arrays of matching shapes, or the reason why not."""
    X = checks.array("X", X, shape=("n_samples", "n_inputs"))
    X_new = checks.array("X_new", X_new, shape=("n_new", X.shape[1]))
    y = checks.array("y", y, ndim=(1, 2))
    checks.need(len(y) == len(X), "y", f"{len(X)} targets, one a sample", y)
    checks.positive("sigma2", sigma2), checks.nonnegative("temperature", temperature)
    return X, y, X_new


def _same_points(X, gates, X_new, gates_new):
    """Refuse gates at another number of points, or of another number at new points."""
    for G, G_new in zip(gates, gates_new, strict=True):
        checks.array("gates", G, shape=(len(X), None))
        checks.array("gates_new", G_new, shape=(len(X_new), G.shape[1]))
