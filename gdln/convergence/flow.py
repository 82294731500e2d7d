"""Gradient flow of wide networks in the space of their pre-activations, mean-field and NTK scaling.

One trained layer of m units on n samples with fixed features and fixed output weights: the weights drop out and
the dynamics closes on an m x n matrix. Linear features give the shallow network, random ones the partially
trained three-layer network.
"""

from dataclasses import dataclass

import numpy as np

from gdln.activations import Activation, named
from gdln.integration import METHODS, record

SCALINGS = ("mean_field", "ntk")


def draw_units(n_units, n_features, rng, c_hat=1.0):
    r"""Draw units in pairs :math:`(\hat c, w), (-\hat c, w)`, so that the network starts at zero.

    Parameters
    ----------
    n_units : int
        Number m of units, even.
    n_features : int
        Number D of features they see (the input dimension for a shallow network).
    rng : numpy.random.Generator
        Source of randomness.
    c_hat : float, optional
        Size of the output weights.

    Returns
    -------
    c : ndarray, shape (m,)
        Output weights.
    W : ndarray, shape (m, D)
        Trained weights at the start, standard normal; the pre-activations are ``W @ phi.T``.

    Raises
    ------
    ValueError
        If the number of units is odd or not positive.
    """
    half = _half(n_units)
    if n_features < 1 or not c_hat > 0:
        raise ValueError(f"need n_features >= 1 and c_hat > 0, got {n_features} and {c_hat}")
    W = rng.standard_normal((half, n_features))
    return _signs(half, c_hat), np.concatenate([W, W])


def draw_functions(kernel, n_units, rng, c_hat=1.0):
    r"""Draw the pre-activations of units on infinitely many features: a Gaussian process with this kernel.

    Parameters
    ----------
    kernel : array_like, shape (n, n)
        Feature kernel on all points of interest, training and test together.
    n_units : int
        Number m of units, even; they come in antisymmetric pairs.
    rng : numpy.random.Generator
        Source of randomness.
    c_hat : float, optional
        Size of the output weights.

    Returns
    -------
    c : ndarray, shape (m,)
        Output weights.
    h0 : ndarray, shape (m, n)
        Pre-activations.

    Raises
    ------
    ValueError
        If the number of units is odd or not positive.
    """
    half, kernel = _half(n_units), np.asarray(kernel, dtype=float)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not np.isfinite(kernel).all():
        raise ValueError(f"need a square kernel with finite entries, got shape {kernel.shape}")
    values, vectors = np.linalg.eigh(kernel)
    if values[0] < -1e-8 * abs(values[-1]):
        raise ValueError(f"a kernel has no negative eigenvalues, got {values[0]:.3g}")
    root = vectors * np.sqrt(np.maximum(values, 0))
    h0 = rng.standard_normal((half, len(values))) @ root.T
    return _signs(half, c_hat), np.concatenate([h0, h0])


def output(h, c, activation, scaling="mean_field"):
    r"""Network output, :math:`\frac1m\sum_i c_i\sigma(h_i)`, or with :math:`1/\sqrt m` in NTK scaling.

    Parameters
    ----------
    h : ndarray, shape (m, n)
        Pre-activations.
    c : ndarray, shape (m,)
        Output weights.
    activation : Activation or str
        Nonlinearity, or its name.
    scaling : {"mean_field", "ntk"}, optional
        Scale of the output.

    Returns
    -------
    f : ndarray, shape (n,)
        Predictions.
    """
    return c @ named(activation).both(h)[0] * _scale(len(c), scaling)


def velocity(h, c, y, activation, scaling="mean_field"):
    r"""Right-hand side of the flow, per training point: :math:`\dot\alpha_{ib}`, with
    :math:`\dot h = \dot\alpha\, G`.

    :math:`\dot\alpha_{ib} = -\frac{c_i}{n}\,\sigma'(h_i(x_b))\,\zeta_b` with :math:`\zeta = f - y`; in
    NTK scaling there is another factor :math:`m^{-1/2}`.

    Parameters
    ----------
    h : ndarray, shape (m, n)
        Pre-activations on the training set.
    c : ndarray, shape (m,)
        Output weights.
    y : ndarray, shape (n,)
        Targets.
    activation : Activation or str
        Nonlinearity, or its name.
    scaling : {"mean_field", "ntk"}, optional
        Scale of the output and time scale of the flow.

    Returns
    -------
    alpha_dot : ndarray, shape (m, n)
        Multiply by the Gram matrix for the velocity of ``h``.
    """
    value, slope = named(activation).both(h)
    scale = _scale(len(c), scaling)
    pull = (y - c @ value * scale) / len(y)
    gain = c if scaling == "mean_field" else c * scale
    slope *= pull
    slope *= gain[:, None]
    return slope


def tangent_kernel(gram, h, c, activation):
    r"""Kernel of the flow, :math:`K = G\circ S`.

    :math:`S_{ab} = \frac1m\sum_i c_i^2\sigma'(h_i(x_a))\sigma'(h_i(x_b))`.

    Parameters
    ----------
    gram : ndarray, shape (n, n)
        Gram matrix of the features.
    h : ndarray, shape (m, n)
        Pre-activations.
    c : ndarray, shape (m,)
        Output weights.
    activation : Activation or str
        Nonlinearity, or its name.

    Returns
    -------
    kernel : ndarray, shape (n, n)
        The same in both scalings.
    """
    weighted = c[:, None] * named(activation).both(h)[1]
    return gram * (weighted.T @ weighted) / len(c)


@dataclass(frozen=True)
class Flow:
    r"""A trajectory, :math:`h(t) = h(0) + \alpha(t)\,G`.

    Parameters
    ----------
    times : ndarray, shape (T,)
        Recorded times; the last is where the flow stopped.
    loss : ndarray, shape (T,)
        :math:`\mathcal L = \frac{1}{2n}\sum_a\zeta_a^2`.
    alpha : ndarray, shape (T, m, n)
        Coefficients.
    gram, h0, c, y, activation, scaling
        The problem that was solved.
    evaluations : int
        Evaluations of the right-hand side.
    """

    times: np.ndarray
    loss: np.ndarray
    alpha: np.ndarray
    gram: np.ndarray
    h0: np.ndarray
    c: np.ndarray
    y: np.ndarray
    activation: Activation
    scaling: str
    evaluations: int

    def features(self, k=-1):
        """Pre-activations on the training set at record ``k``, shape (m, n)."""
        return self.h0 + self.alpha[k] @ self.gram

    def kernel(self, k=-1):
        """Kernel of the flow at record ``k``, shape (n, n)."""
        return tangent_kernel(self.gram, self.features(k), self.c, self.activation)

    def rates(self):
        r"""Rates :math:`-\Delta\ln\mathcal L/\Delta t` between records, measured on the losses alone.

        Returns
        -------
        rates : ndarray, shape (T - 1,)
            Number k is the mean rate between records k and k + 1; infinite where the loss reaches zero.

        Raises
        ------
        ValueError
            If there are fewer than two records or the loss is zero before the last one.
        """
        if len(self.times) < 2 or not self.loss[:-1].all():
            raise ValueError(
                f"a rate needs two records and a loss that is not zero between them, got {len(self.times)} "
                f"records and losses down to {self.loss.min():.3g}"
            )
        with np.errstate(divide="ignore"):
            return -np.diff(np.log(self.loss)) / np.diff(self.times)

    def kernel_rate(self, k=-1):
        r"""Rate by the kernel at record ``k``, :math:`\frac2n\,\zeta^\top K\zeta/|\zeta|^2`.

        This is :math:`-\frac{d}{dt}\ln\mathcal L` as long as no pre-activation stays at a kink. A pair of unit and
        sample that slides along one (see :func:`flow`) has an effective slope between the two of the activation, and
        the record shows one of the two: with ReLU and leaky ReLU this number may be off by a factor of several, and
        only :meth:`rates` is the rate.

        Parameters
        ----------
        k : int, optional
            Record.

        Returns
        -------
        rate : float
            Not negative.

        Raises
        ------
        ValueError
            If the loss is zero there.
        """
        h = self.features(k)
        zeta = output(h, self.c, self.activation, self.scaling) - self.y
        if not zeta.any():
            raise ValueError("the loss is zero and has no rate")
        kernel = tangent_kernel(self.gram, h, self.c, self.activation)
        return float(2 * zeta @ kernel @ zeta / (len(zeta) * zeta @ zeta))

    def movement(self, k=-1):
        """Root mean square change of the pre-activations since the start."""
        return float(np.sqrt(np.mean((self.alpha[k] @ self.gram) ** 2)))

    def kernel_change(self, k=-1):
        """Change of the kernel since the start, relative, in the Frobenius norm."""
        start = tangent_kernel(self.gram, self.h0, self.c, self.activation)
        return float(np.linalg.norm(self.kernel(k) - start) / np.linalg.norm(start))

    def predict(self, h0_new, cross, k=-1):
        r"""Output at points that were not trained on.

        Parameters
        ----------
        h0_new : ndarray, shape (m, n_new)
            Their pre-activations at the start.
        cross : ndarray, shape (n, n_new)
            Feature kernel between training points and new points.
        k : int, optional
            Record.

        Returns
        -------
        f : ndarray, shape (n_new,)
            Predictions.
        """
        return output(h0_new + self.alpha[k] @ cross, self.c, self.activation, self.scaling)


def flow(
    gram,
    h0,
    c,
    y,
    activation,
    times,
    *,
    scaling="mean_field",
    stop_ratio=None,
    method="RK45",
    rtol=None,
    atol=None,
    max_steps=100_000,
):
    r"""Gradient flow of the loss, integrated in the space of pre-activations.

    :math:`\dot h_i(x_a) = -\frac{c_i}{n}\sum_b G_{ab}\,\sigma'(h_i(x_b))\,\zeta_b`. One evaluation costs
    one product of an m x n and an n x n matrix, whatever the number of features.

    At a kink of the activation the velocity jumps. Where it points towards the kink from both sides, the solution (in
    the sense of Filippov) slides along :math:`h_i(x_b) = 0` with a slope between the two one-sided ones, such that
    :math:`\dot h_i(x_b) = 0`. The integrator does not know about it: its steps cross the kink to and fro, as short as
    the tolerance demands, and the mean of the two slopes is the effective one. ``h`` and the loss are those of the
    sliding solution up to the tolerance; the slope at a recorded state is not.

    Parameters
    ----------
    gram : array_like, shape (n, n)
        Gram matrix of the features on the training set.
    h0 : array_like, shape (m, n)
        Pre-activations at the start.
    c : array_like, shape (m,)
        Output weights, fixed.
    y : array_like, shape (n,)
        Targets.
    activation : Activation or str
        Nonlinearity, or its name in ``gdln.activations.ACTIVATIONS``.
    times : array_like, shape (T,)
        Increasing times to record, from the integrator's dense output; integration ends at the last one.
    scaling : {"mean_field", "ntk"}, optional
        :math:`f = \frac1m\sum` with weights that move at rate :math:`-m\nabla\mathcal L`, or
        :math:`f = \frac1{\sqrt m}\sum` with :math:`-\nabla\mathcal L`.
    stop_ratio : float, optional
        Stop where the loss has fallen to this fraction of its start; that time is the last record.
    method : {"RK45", "DOP853"}, optional
        Integrator of SciPy.
    rtol, atol : float, optional
        Its tolerances, on ``alpha``. By default 1e-6 and 1e-8, or 1e-4 and 1e-5 when the activation has kinks (each
        unit that crosses one makes the velocity jump, and no step controller gains from chasing them); ``atol`` is
        scaled with the expected movement, :math:`1/\hat c` and in NTK scaling :math:`1/(\hat c\sqrt m)`.
    max_steps : int, optional
        Steps allowed. Sliding along kinks needs a number that grows like the inverse of the tolerances; runs of the
        book need a few thousand.

    Returns
    -------
    trajectory : Flow
        Recorded states.

    Raises
    ------
    ValueError
        If shapes do not fit, times do not increase from zero or later, or an option is unknown.
    gdln.checks.Diverged
        If the integrator gives up; carries the time.
    RuntimeError
        If the steps run out; tells at which time.
    """
    gram, h0, c, y = (np.asarray(x, dtype=float) for x in (gram, h0, c, y))
    times = np.atleast_1d(np.asarray(times, dtype=float))
    activation = named(activation)
    n = len(y)
    if h0.shape != (len(c), n) or gram.shape != (n, n):
        raise ValueError(
            f"need h0 of shape {(len(c), n)} and gram of shape {(n, n)}, got {h0.shape}, {gram.shape}"
        )
    if not all(np.isfinite(x).all() for x in (gram, h0, c, y)):
        raise ValueError("gram, h0, c and y must be finite, got NaN or infinity")
    if not np.allclose(gram, gram.T) or not c.any():
        raise ValueError("need a symmetric gram and output weights that are not all zero")
    if not times.size or not np.isfinite(times).all() or times[0] < 0 or np.any(np.diff(times) <= 0):
        raise ValueError("need finite times that increase and are not negative")
    if stop_ratio is not None and not 0 < stop_ratio < 1:
        raise ValueError(f"stop_ratio must lie between 0 and 1, got {stop_ratio}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {tuple(METHODS)}, got {method!r}")
    reach = np.abs(c).max() * len(c) * _scale(len(c), scaling)
    if rtol is None:
        rtol = 1e-6 if activation.smooth else 1e-4
    if atol is None:
        atol = (1e-8 if activation.smooth else 1e-5) * min(1.0, 1 / reach)

    def features(state):
        h = state.reshape(h0.shape) @ gram
        h += h0
        return h

    def loss(state):
        zeta = output(features(state), c, activation, scaling) - y
        return zeta @ zeta / (2 * n)

    def slope(t, state):
        return velocity(features(state), c, y, activation, scaling).ravel()

    start = np.zeros(h0.size)
    stop = None
    if stop_ratio is not None:
        target = stop_ratio * loss(start)

        def stop(state):
            now = loss(state)
            return np.log(now / target) if now > 0 else -np.inf

    # the start is no record unless asked for; the records must not change the steps, because chattering at kinks
    # would amplify the change
    early = times[0] > 0
    run = record(
        slope,
        start,
        np.concatenate([[0.0], times]) if early else times,
        method=method,
        rtol=rtol,
        atol=atol,
        cut=False,
        stop=stop,
        max_steps=max_steps,
    )
    first = int(early and len(run.times) > 1)
    reached, states = run.times[first:], run.states[first:]
    losses = np.array([loss(state) for state in states])
    alpha = states.reshape(-1, *h0.shape)
    return Flow(reached, losses, alpha, gram, h0, c, y, activation, scaling, run.evaluations)


def _scale(n_units, scaling):
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {SCALINGS}, got {scaling!r}")
    return 1 / n_units if scaling == "mean_field" else 1 / np.sqrt(n_units)


def _half(n_units):
    if n_units < 2 or n_units % 2:
        raise ValueError(f"units come in pairs, so their number must be even and positive, got {n_units}")
    return n_units // 2


def _signs(half, c_hat):
    return np.concatenate([np.full(half, c_hat), np.full(half, -c_hat)])
