r"""Deep linear networks trained weight by weight, in plain numpy; :mod:`gdln.linear.modes` is held against this."""

from dataclasses import dataclass

import numpy as np

from gdln import checks


@dataclass(frozen=True)
class ChainTrajectory:
    """Scalar weights of a chain along gradient descent.

    Attributes
    ----------
    times : ndarray, shape (n_steps + 1,)
        Steps times ``lr``.
    weights : ndarray, shape (n_steps + 1, L)
        Weights, input side first.
    """

    times: np.ndarray
    weights: np.ndarray

    @property
    def strength(self):
        """Product of the weights, shape (n_steps + 1,)."""
        return self.weights.prod(axis=1)


@np.errstate(over="ignore", invalid="ignore")  # a divergence is reported, not warned of
def simulate_chain(weights, s, lr, n_steps, d=1.0):
    r"""Gradient descent on the scalar weights of a chain.

    Each step is :math:`b_l \leftarrow b_l + \eta\,(s - a d)\prod_{k\ne l} b_k` with :math:`a = b_L\cdots b_1`.

    Parameters
    ----------
    weights : array_like, shape (L,)
        Initial weights, input side first.
    s, d : float
        Input-output correlation and input variance.
    lr : float
        Step size in units of ``tau``.
    n_steps : int
        Number of steps.

    Returns
    -------
    trajectory : ChainTrajectory
        Start and every step.

    Raises
    ------
    ValueError
        If there is no weight, the step is not positive, ``d`` is negative, or a number is not finite.
    gdln.checks.Diverged
        If the weights diverge; tells at which step.
    """
    weights = checks.array("weights", weights, ndim=1)
    s, d = checks.number("s", s), checks.nonnegative("d", d)
    _check_steps(lr, n_steps)
    path = np.empty((n_steps + 1, weights.size))
    path[0] = weights
    for i in range(n_steps):
        b = path[i]
        others = np.array([np.prod(np.delete(b, l)) for l in range(b.size)])
        path[i + 1] = b + lr * (s - d * b.prod()) * others
        if not np.isfinite(path[i + 1]).all():
            raise checks.Diverged(f"weights diverged by step {i + 1}; lr={lr} is too large", step=i + 1)
    return ChainTrajectory(lr * np.arange(n_steps + 1), path)


def decoupled_weights(basis, widths, a0, rng):
    r"""Two or more layers whose product is :math:`U\,\mathrm{diag}(a_0)\,V^\top`, balanced.

    Layer :math:`l` is :math:`R_l\,\mathrm{diag}(a_0^{1/L})\,R_{l-1}^\top` with :math:`R_0 = V`,
    :math:`R_L = U` and random orthonormal hidden bases.

    Parameters
    ----------
    basis : Modes
        Modes to align with.
    widths : sequence of int
        Hidden widths, each at least the number of modes.
    a0 : array_like, shape (k,) or scalar
        Initial strengths.
    rng : numpy.random.Generator
        Source of the hidden bases.

    Returns
    -------
    weights : list of ndarray
        Input side first.

    Raises
    ------
    ValueError
        If a hidden layer is narrower than the number of modes, or a strength is negative or not finite.
    """
    U, V = (
        checks.array(f"basis.{name}", getattr(basis, name, None), shape=(None, "n_modes")) for name in "UV"
    )
    k = U.shape[1]
    widths = _widths(widths)
    checks.need(
        all(n >= k for n in widths), "widths", f"hidden widths of at least {k}, the number of modes", widths
    )
    a0 = checks.array("a0", a0, ndim=(0, 1), least=0)
    checks.need(a0.size in (1, k), "a0", f"one strength, or one for each of {k} modes", a0)
    checks.generator("rng", rng)
    b = np.broadcast_to(a0, (k,)) ** (1 / (len(widths) + 1))
    frames = [V, *(np.linalg.qr(rng.standard_normal((n, k)))[0] for n in widths), U]
    return [after * b @ before.T for before, after in zip(frames[:-1], frames[1:], strict=True)]


def random_weights(widths, deviation, rng):
    """Independent Gaussian weights.

    Parameters
    ----------
    widths : sequence of int
        Widths of all layers, inputs first.
    deviation : float
        Standard deviation of every weight.
    rng : numpy.random.Generator
        Source of the weights.

    Returns
    -------
    weights : list of ndarray
        Input side first.
    """
    widths, deviation = _widths(widths, 2), checks.nonnegative("deviation", deviation)
    checks.generator("rng", rng)
    return [deviation * rng.standard_normal((n, m)) for m, n in zip(widths[:-1], widths[1:], strict=True)]


@dataclass(frozen=True)
class LinearTrajectory:
    """Weights along a simulation.

    Attributes
    ----------
    times : ndarray, shape (m,)
        Recorded times.
    weights : list of ndarray, shapes (m, n_out, n_in)
        One array a layer, input side first.
    """

    times: np.ndarray
    weights: list

    @property
    def maps(self):
        """Input-output maps, shape (m, n_outputs, n_inputs)."""
        product = self.weights[0]
        for W in self.weights[1:]:
            product = W @ product
        return product


@np.errstate(over="ignore", invalid="ignore")  # a divergence is reported, not warned of
def simulate(weights, sigma_yx, sigma_x, lr, n_steps, record_every=1, method="rk4", rates=None):
    r"""Train every weight of a deep linear network on the squared error.

    Gradient flow :math:`\tau\dot W_l = (W_L\cdots W_{l+1})^\top (\Sigma^{yx} - W\Sigma^x)
    (W_{l-1}\cdots W_1)^\top` with :math:`W = W_L\cdots W_1`, in steps of ``lr`` (in units of ``tau``).

    Parameters
    ----------
    weights : sequence of ndarray
        Initial weights, input side first.
    sigma_yx, sigma_x : ndarray
        Correlations of the data, see :func:`gdln.linear.modes.correlations`.
    lr : float
        Step size.
    n_steps : int
        Number of steps.
    record_every : int, optional
        Record each ``record_every``-th step, the start included.
    method : {"rk4", "euler"}, optional
        Fourth-order Runge-Kutta, or gradient descent.
    rates : sequence of float, optional
        Learning rate of each layer, one by default. With weights of variance ``1 / n`` at fan-in ``n`` and rate
        ``1 / n`` this is a network in the NTK parametrisation.

    Returns
    -------
    trajectory : LinearTrajectory
        Recorded weights.

    Raises
    ------
    ValueError
        If shapes do not fit, a number of steps or the step is out of range, or the method is unknown.
    gdln.checks.Diverged
        If the weights diverge; tells at which step.
    """
    _check_steps(lr, n_steps, record_every)
    checks.instance("weights", weights, (list, tuple, np.ndarray))
    checks.need(len(weights) > 0, "weights", "at least one layer", weights)
    weights = [checks.array(f"weights[{k}]", W, ndim=2, copy=True) for k, W in enumerate(weights)]
    sigma_yx, sigma_x = _checked(sigma_yx, sigma_x)
    shapes = [W.shape for W in weights]
    chained = all(a[0] == b[1] for a, b in zip(shapes[:-1], shapes[1:], strict=True))
    fits = chained and (shapes[-1][0], shapes[0][1]) == sigma_yx.shape
    what = f"layers that chain to the shape {sigma_yx.shape} of sigma_yx, input side first"
    checks.need(fits, "weights", what, shapes)
    rates = None if rates is None else checks.array("rates", rates, shape=(len(weights),))
    checks.choice("method", method, ("rk4", "euler"))
    kept, steps = [[W.copy() for W in weights]], [0]
    for step in range(1, n_steps + 1):
        slope = _weight_slope(weights, sigma_yx, sigma_x, rates)
        if method == "rk4":
            total = slope
            for shift, factor in ((0.5, 2), (0.5, 2), (1.0, 1)):
                trial = [W + shift * lr * k for W, k in zip(weights, slope, strict=True)]
                slope = _weight_slope(trial, sigma_yx, sigma_x, rates)
                total = [a + factor * k for a, k in zip(total, slope, strict=True)]
            slope = [k / 6 for k in total]
        weights = [W + lr * k for W, k in zip(weights, slope, strict=True)]
        if step % record_every == 0 or step == n_steps:
            if not all(np.isfinite(W).all() for W in weights):
                raise checks.Diverged(f"weights diverged by step {step}; lr={lr} is too large", step=step)
        if step % record_every == 0:
            kept.append(weights)
            steps.append(step)
    return LinearTrajectory(lr * np.array(steps), [np.stack(layer) for layer in zip(*kept, strict=True)])


def _weight_slope(weights, sigma_yx, sigma_x, rates):
    """Minus the gradient of the loss, layer by layer, times the rates."""
    below = [None]  # products of the layers below each one; None stands for the identity
    for W in weights:
        below.append(W if below[-1] is None else W @ below[-1])
    back = sigma_yx - below[-1] @ sigma_x
    slopes = []
    for W, product in zip(weights[::-1], below[-2::-1], strict=True):
        slopes.append(back if product is None else back @ product.T)
        back = W.T @ back
    slopes = slopes[::-1]
    return slopes if rates is None else [r * k for r, k in zip(rates, slopes, strict=True)]


def _check_steps(lr, n_steps, record_every=1):
    checks.positive("lr", lr), checks.count("n_steps", n_steps, least=0)
    checks.count("record_every", record_every)


def _widths(widths, n_least=1):
    """Positive widths, at least so many."""
    widths = checks.array("widths", widths, ndim=1, dtype=int, least=1).tolist()
    checks.need(len(widths) >= n_least, "widths", f"at least {n_least} layers", widths)
    return widths


def _checked(sigma_yx, sigma_x):
    sigma_yx = checks.array("sigma_yx", sigma_yx, ndim=2)
    n = sigma_yx.shape[1]
    return sigma_yx, checks.array("sigma_x", sigma_x, shape=(n, n))


def ntk_weights(widths, rng):
    r"""Linear network in the NTK parametrisation, on inputs that already carry their :math:`1/\sqrt{n_0}`.

    Weights act as :math:`W/\sqrt{n}` with standard normal :math:`W` at fan-in :math:`n`; stored are the
    quotients, whose learning rate is then :math:`1/n`.

    Parameters
    ----------
    widths : sequence of int
        Widths of all layers, inputs first.
    rng : numpy.random.Generator
        Source of the weights.

    Returns
    -------
    weights : list of ndarray
        Input side first, for :func:`simulate`.
    rates : list of float
        One a layer; 1 for the first.
    """
    widths = _widths(widths, 2)
    checks.generator("rng", rng)
    fans = [1, *widths[1:-1]]
    shapes = zip(widths[:-1], widths[1:], fans, strict=True)
    return [rng.standard_normal((b, a)) / np.sqrt(n) for a, b, n in shapes], [1 / n for n in fans]
