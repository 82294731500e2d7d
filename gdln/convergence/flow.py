"""Gradient flow of wide networks in the space of their pre-activations, mean-field and NTK scaling.

One trained layer of m units on n samples with fixed features and fixed output weights: the weights drop out and
the dynamics closes on an m x n matrix. Linear features give the shallow network, random ones the partially
trained three-layer network.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks
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
    TypeError, ValueError
        If the number of units is odd, a number is not positive or there is no generator.
    """
    half, n_features = _half(n_units), checks.count("n_features", n_features)
    rng, c_hat = checks.generator("rng", rng), checks.positive("c_hat", c_hat)
    W = rng.standard_normal((half, n_features))
    return _signs(half, c_hat), np.concatenate([W, W])


def node_scales(n_units, share, decay=2.0):
    r"""Squared output scales of units that are not alike: a part equal for all, a part that falls as a power.

    :math:`\lambda_j = \gamma\frac1m + (1-\gamma)\,j^{-k}/\sum_{i\le m}i^{-k}`, of Caron et al. 2023. Units with output
    weights :math:`c_j=\pm\sqrt{m\lambda_j}` in NTK scaling have the output scales :math:`\pm\sqrt{\lambda_j}`.

    Parameters
    ----------
    n_units : int
        Number m of units.
    share : float
        Equal part :math:`\gamma`, from zero to one; one is NTK scaling.
    decay : float, optional
        Power :math:`k > 1` of the unequal part, whose largest scale then does not depend on m in the limit.

    Returns
    -------
    scales : ndarray, shape (m,)
        Falling, with sum one.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or range.

    Examples
    --------
    >>> node_scales(2, 0.5)
    array([0.65, 0.35])
    """
    n_units, share = checks.count("n_units", n_units), checks.number("share", share, least=0, most=1)
    tail = np.arange(1.0, n_units + 1) ** -checks.number("decay", decay, above=1)
    return share / n_units + (1 - share) * tail / tail.sum()


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
    TypeError, ValueError
        If the number of units is odd or not positive, the kernel is none or there is no generator.
    """
    half, kernel = _half(n_units), checks.psd("kernel", kernel)
    rng, c_hat = checks.generator("rng", rng), checks.positive("c_hat", c_hat)
    values, vectors = np.linalg.eigh(kernel)
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

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or an option is unknown.
    """
    h, c, activation, scaling = _network(h, c, activation, scaling)
    return _output(h, c, activation, scaling)


def _output(h, c, activation, scaling):
    return c @ activation.both(h)[0] * _scale(len(c), scaling)


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

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or an option is unknown.
    """
    h, c, activation, scaling = _network(h, c, activation, scaling)
    return _velocity(h, c, checks.array("y", y, shape=(h.shape[1],)), activation, scaling)


def _velocity(h, c, y, activation, scaling):
    value, slope = activation.both(h)
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

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or the activation is unknown.
    """
    gram = checks.symmetric("gram", gram)
    h = checks.array("h", h, shape=("m", len(gram)))
    c = checks.array("c", c, shape=(len(h),))
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

    def _moved(self, k):
        return self.alpha[checks.count("k", k, least=-len(self.alpha), most=len(self.alpha) - 1)]

    def features(self, k=-1):
        """Pre-activations on the training set at record ``k``, shape (m, n)."""
        return self.h0 + self._moved(k) @ self.gram

    def unit_movement(self, k=-1):
        """How far the weights of every unit have moved at record ``k``, shape (m,)."""
        moved = self._moved(k)
        # never below zero but for rounding, where a unit has hardly moved
        return np.sqrt(np.maximum(np.einsum("ia,ab,ib->i", moved, self.gram, moved, optimize=True), 0))

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
        return float(np.sqrt(np.mean((self._moved(k) @ self.gram) ** 2)))

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

        Raises
        ------
        TypeError, ValueError
            If shapes do not fit.
        """
        h0_new = checks.array("h0_new", h0_new, shape=(len(self.c), "n_new"))
        cross = checks.array("cross", cross, shape=(len(self.y), h0_new.shape[1]))
        return output(h0_new + self._moved(k) @ cross, self.c, self.activation, self.scaling)


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
    TypeError, ValueError
        If shapes do not fit, times do not increase from zero or later, or an option is unknown.
    gdln.checks.Diverged
        If the integrator gives up; carries the time.
    RuntimeError
        If the steps run out; tells at which time.
    """
    gram = checks.symmetric("gram", gram)
    n = len(gram)
    h0, c, activation, scaling = _network(h0, c, activation, scaling, name="h0", n_samples=n)
    y = checks.array("y", y, shape=(n,))
    checks.need(c.any(), "c", "output weights that are not all zero", c)
    times = np.atleast_1d(checks.times("times", times, ndim=(0, 1)))
    checks.need((np.diff(times) > 0).all(), "times", "times that increase", times)
    if stop_ratio is not None:
        stop_ratio = checks.number("stop_ratio", stop_ratio, above=0, below=1)
    method = checks.choice("method", method, METHODS)
    reach = np.abs(c).max() * len(c) * _scale(len(c), scaling)
    if rtol is None:
        # at a kink the error estimate of a step falls no faster than the step, so digits are dear
        rtol = 1e-6 if activation.smooth else 1e-4
    if atol is None:
        # pre-activations within the size that one output turns into, whatever the output weights
        atol = (1e-8 if activation.smooth else 1e-5) * min(1.0, 1 / reach)

    def features(state):
        h = state.reshape(h0.shape) @ gram
        h += h0
        return h

    def loss(state):
        zeta = _output(features(state), c, activation, scaling) - y
        return zeta @ zeta / (2 * n)

    def slope(t, state):
        return _velocity(features(state), c, y, activation, scaling).ravel()

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


def _network(h, c, activation, scaling, name="h", n_samples="n"):
    """Pre-activations under their name, output weights, activation and scaling, as they must come."""
    h = checks.array(name, h, shape=("m", n_samples))
    c = checks.array("c", c, shape=(len(h),))
    return h, c, named(activation), checks.choice("scaling", scaling, SCALINGS)


def _scale(n_units, scaling):
    return 1 / n_units if scaling == "mean_field" else 1 / np.sqrt(n_units)


def _half(n_units):
    n_units = checks.count("n_units", n_units, least=2)
    checks.need(n_units % 2 == 0, "n_units", "an even number, for units come in pairs", n_units)
    return n_units // 2


def _signs(half, c_hat):
    return np.concatenate([np.full(half, c_hat), np.full(half, -c_hat)])
