r"""Kernel shape renormalization: the saddle point of a Bayesian globally gated deep linear network.

Given order parameters :math:`U_1,\dots,U_L` the network is a Gaussian process with kernel
:math:`K(x,x') = M^{-L}\, g(x)^{\otimes L\top} U_1\, g(x')^{\otimes L}\, K_0(x,x')`, and at large width the
:math:`U_l` are those that make the action stationary,

.. math:: S = \sum_l N_l\big[\mathrm{tr}(A_l^{-1}U_l) - \log\det U_l + \log\det A_l\big]
              + y^\top C^{-1} y + \log\det C,\qquad C = TI + K,\quad A_l = \sigma^2 U_{l+1}\otimes I_M.

Kernels are objects that map :math:`U_1` to :math:`K` and back (:class:`~gdln.renormalization.kernels.GatedKernel`,
:class:`~gdln.renormalization.kernels.KernelStack`, and :class:`~gdln.renormalization.features.FeatureKernel` where
there are more samples than the capacity);
:func:`solve` finds the saddle point and returns a :class:`SaddleSolution` that predicts.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from gdln import checks
from gdln.renormalization.descent import BLURRED, Problem, descend, gradients, priors
from gdln.renormalization.features import FeatureKernel
from gdln.renormalization.kernels import GatedKernel
from gdln.renormalization.scale import refuse_collapse

NODES = 5  # solutions on a path that the next start is extrapolated from
LEAP = 32.0  # sum of the weights' sizes; five equally spaced nodes have 31 for the next, and errors grow by as much


@dataclass(frozen=True)
class Prediction:
    """Posterior mean and variance of the network output at new points, shape (n_new,) or (n_new, outputs)."""

    mean: np.ndarray
    variance: np.ndarray

    def errors(self, target):
        r"""Bias :math:`\langle(\langle f\rangle - y)^2\rangle`, variance and their sum over the new points."""
        target = checks.array("target", target, shape=self.mean.shape, empty=True)
        bias, variance = float(np.mean((self.mean - target) ** 2)), float(np.mean(self.variance))
        return Errors(bias, variance, bias + variance)


@dataclass(frozen=True)
class Errors:
    """Squared error of the mean predictor (bias), predictor variance, and their sum."""

    bias: float
    variance: float
    error: float


@dataclass(frozen=True)
class SaddleSolution:
    r"""A stationary point of the action and what follows from it.

    Attributes
    ----------
    U : tuple of ndarray
        Order parameters :math:`U_1,\dots,U_L`, of shapes (d_l, d_l).
    action : float
        :math:`S(U)` (infinite-width limit: the data part alone).
    gradient : float
        :math:`\max_l\lVert U_l^{1/2}\nabla_{U_l}S\,U_l^{1/2}\rVert/N_l`, the largest slope of the action in the
        logarithm of an order parameter: a number without units, the same in every basis of the gates.
    rounding : float
        Estimate of the rounding error of ``gradient``, :math:`\epsilon\lVert C\rVert(\mathrm{tr}\,C^{-1} +
        |C^{-1}y|^2)/\min_lN_l`, of features the bound of their ``data_term``. It is large at low temperature beyond
        capacity.
    evaluations : int
        Evaluations of the action with its gradient, one Cholesky factorisation each.
    history : ndarray
        The action at every evaluation that was accepted.
    jitter : float
        What had to be added to the diagonal of the kernel; zero unless the factorisation failed.
    converged : bool
        Whether ``gradient`` met the tolerance, or is a rounding error below 1e-4.
    kernel, y, widths, sigma2, temperature
        As given to :func:`solve`.
    """

    U: tuple
    action: float
    gradient: float
    rounding: float
    evaluations: int
    history: np.ndarray
    jitter: float
    converged: bool
    kernel: object
    y: np.ndarray
    widths: tuple
    sigma2: float
    temperature: float
    _log_ratios: np.ndarray = field(repr=False)
    _memory: tuple = field(default=(), repr=False)

    def __post_init__(self):
        object.__setattr__(self, "_fit", self.kernel.fit(self.U[0], self.y, self.temperature + self.jitter))

    def predict(self, X_new, gates=None):
        r"""Posterior mean and variance at new points, for a kernel that knows its inputs.

        Parameters
        ----------
        X_new : array_like, shape (n_new, n_inputs)
            New points, in the form in which the kernel got the training points.
        gates : array_like, shape (n_new, n_gates), or list of them, optional
            Gates at the new points; by default from the family of gates that the kernel was made with.

        Returns
        -------
        prediction : Prediction

        Raises
        ------
        ValueError
            If the kernel does not know its inputs (then see :meth:`predict_from`), or gates are missing.
        """
        return self.predict_from(*self.kernel.new_points(X_new, gates))

    def predict_from(self, cross, diagonal, gates=None):
        r"""Mean :math:`k^\top C^{-1}y` and variance :math:`K(x,x) - k^\top C^{-1}k`, from input kernels of new points.

        Parameters
        ----------
        cross : array_like, shape (n_new, n_samples)
            Input kernel between new points and samples; for a stack, shape (d, d, n_new, n_samples); for a
            :class:`~gdln.renormalization.features.FeatureKernel` the new inputs themselves, (n_new, n_inputs).
        diagonal : array_like, shape (n_new,)
            Input kernel of each new point with itself; for a stack, shape (d, d, n_new).
        gates : array_like, shape (n_new, n_gates), or list of them
            Gates at the new points, as they were given to the kernel; not for a stack.

        Returns
        -------
        prediction : Prediction
        """
        gated = isinstance(self.kernel, GatedKernel | FeatureKernel)
        what = "those of the new points" if gated else "None for a stack"
        checks.need(gated == (gates is not None), "gates", what, gates)
        gates = (gates,) if gated else ()
        mean, taken = self._fit.predict(self.kernel.cross(self.U[0], cross, *gates))
        variance = self.kernel.diagonal(self.U[0], diagonal, *gates) - taken
        return Prediction(self._by_output(mean), self._by_output(np.maximum(variance, 0.0)))

    def training_error(self):
        r"""Squared error of the mean predictor, and mean posterior loss, both averaged over the data points.

        Returns
        -------
        of_mean, posterior : float
            :math:`\frac{T^2}{P}|C^{-1}y|^2` and the same plus :math:`\frac TP\mathrm{tr}\,KC^{-1}`.
        """
        T, P = self.temperature, len(self.y)
        rest = T * self._fit.weights  # the square of T alone may be out of range
        of_mean = float(rest @ rest) / P
        return of_mean, of_mean + float(T * self._fit.explained()[1]) / P

    def conserved(self):
        r"""Quantities that are equal at a stationary point.

        :math:`N_l(\mathrm{tr}(A_l^{-1}U_l) - d_l)` of every layer, input side first, and then
        :math:`y^\top C^{-1}KC^{-1}y - \mathrm{tr}KC^{-1}`. Where a width is infinite, the limit of the first, which is
        the quantity of the layer below or of the data.
        """
        grown, shrunk = self._fit.explained()
        data = grown - shrunk
        layers, below = [], data
        for N, a, u in zip(self.widths, priors(self.U, self.kernel.dims, self.sigma2), self.U, strict=True):
            if np.isfinite(N):
                below = N * (np.trace(np.linalg.solve(a, u)) - len(u))
            layers.append(below)
        return np.array([*layers, data])

    def first_layer_kernel(self, K0_cross=None, K0_new=None):
        r"""Posterior mean of :math:`\frac{1}{N_1} h^1(x)\cdot h^1(x')`.

        .. math:: \bar K_1 = K_0 - \tfrac{1}{N_1} K_0(\cdot,X)\big[(F U_1F^\top)\circ B\big]K_0(X,\cdot),
                  \qquad B = C^{-1} - C^{-1}yy^\top C^{-1}

        Parameters
        ----------
        K0_cross, K0_new : array_like, shapes (n_new, n_samples) and (n_new, n_new), optional
            Input kernels of other points; by default the samples themselves.

        Returns
        -------
        K1 : ndarray, shape (n_new, n_new)
        """
        checks.instance("kernel", self.kernel, GatedKernel)
        D = self.kernel.outputs
        P = len(self.y) // D
        K0 = self.kernel.K0[:P, :P]
        K0_cross, K0_new = (
            (K0 if K0_cross is None else np.asarray(K0_cross)),
            (K0 if K0_new is None else K0_new),
        )
        F = self.kernel.F
        B = self._fit.inverse() - np.outer(self._fit.weights, self._fit.weights)
        inner = ((F @ self.U[0] @ F.T) * B).reshape(D, P, D, P).sum(axis=(0, 2))
        return np.asarray(K0_new) - K0_cross @ inner @ K0_cross.T / self.widths[0]

    def _by_output(self, values):
        return values if self.kernel.outputs == 1 else values.reshape(self.kernel.outputs, -1).T


def solve(
    kernel,
    y,
    *,
    widths,
    sigma2=None,
    temperature=0.0,
    start=None,
    method="auto",
    tolerance=1e-9,
    max_evaluations=2000,
):
    r"""Saddle point of the action by majorise-minimise steps, then L-BFGS on Cholesky factors.

    It starts from the lowest minimum of the action over multiples of the infinite-width point, which one
    eigendecomposition of the kernel gives, and works in its units, so that no scale of prior, kernel or targets
    is too small or too large.

    Parameters
    ----------
    kernel : GatedKernel, FeatureKernel or KernelStack
        Kernel of the training samples as a map of the order parameter; it fixes the depth :math:`L`.
    y : array_like, shape (n_samples,) or (n_samples, outputs)
        Targets.
    widths : float or sequence of float
        Widths :math:`N_1,\dots,N_L`, input side first; one number serves all layers. A layer may be infinite; if all
        are, the result is :func:`gp_limit`.
    sigma2 : float, optional
        Prior variance :math:`\sigma^2` of the gated weights and the readout. A kernel made from inputs knows it, and
        another value is refused; for a kernel from elsewhere it is 1 by default.
    temperature : float, optional
        :math:`T\ge0`, variance of the label noise.
    start : float, SaddleSolution or sequence of ndarray, optional
        A multiple of the infinite-width point, a neighbouring solution (warm start, with its curvature), or
        order parameters :math:`U_1,\dots,U_L`. By default the lowest multiple of the infinite-width point.
    method : {"auto", "mm"}, optional
        ``"mm"`` takes majorise-minimise steps only: the action never rises, but the last digits come slowly.
    tolerance : float, optional
        Largest ``gradient`` of the result, see :class:`SaddleSolution`.
    max_evaluations : int, optional
        Limit on evaluations of the action; reaching it gives a RuntimeWarning and ``converged=False``.

    Returns
    -------
    solution : SaddleSolution

    Raises
    ------
    ValueError
        If a number is out of range, ``y`` does not fit the kernel, or the kernel is singular at ``T = 0``; the
        message then names its rank and the capacity.

    Notes
    -----
    The action is not convex: compare ``start=0.1`` and ``start=10`` when in doubt. The saddle point is the
    leading order at widths that are large compared with the size :math:`M^L` of the order parameter.

    Examples
    --------
    >>> X, G = np.array([[1.0, 0], [0, 1], [1, -1], [0.5, 0.5]]), np.array([[1, 0], [1, 1], [1, 0], [1, 1]])
    >>> kernel = GatedKernel.from_inputs(X, G, sigma2=1.5)
    >>> solution = solve(kernel, [1, -1, 0.5, 2], widths=4, temperature=0.1)
    >>> solution.U[0].round(4)
    array([[1.3333, 0.5733],
           [0.5733, 3.5355]])
    >>> solution.predict([[1, 1], [-1, 2]], gates=[[1, 1], [1, 0]]).mean.round(4)
    array([ 3.1741, -0.419 ])
    """
    tolerance, max_evaluations = _limits(tolerance, max_evaluations)
    checks.choice("method", method, ("auto", "mm"))
    neighbour = start if isinstance(start, SaddleSolution) and start.kernel.dims == kernel.dims else None
    problem = Problem(
        kernel, y, widths, sigma2, temperature, None if neighbour is None else neighbour._log_ratios
    )
    if not any(problem.finite):
        return gp_limit(kernel, y, sigma2=sigma2, temperature=temperature)
    fits = method == "auto" or all(problem.finite)
    checks.need(fits, "widths", "finite widths for method 'mm'", widths)
    if neighbour is None:
        theta, memory = problem.start(start.U if isinstance(start, SaddleSolution) else start), ()
    else:
        theta, memory = problem.coordinates(start.U), start._memory
    return _solve(problem, theta, memory, method == "mm", tolerance, max_evaluations)


def width_path(kernel, y, *, widths, sigma2=None, temperature=0.0, tolerance=1e-9, max_evaluations=2000):
    r"""Saddle points along a sequence of widths, each started from an extrapolation of the ones before.

    Parameters
    ----------
    kernel, y, sigma2, temperature, tolerance, max_evaluations
        As in :func:`solve`.
    widths : sequence of float
        Widths, common to all layers, in the order of the path; from wide to narrow is easiest.

    Returns
    -------
    solutions : list of SaddleSolution
        One a width. Coordinates are extrapolated by a polynomial in :math:`\log N`, of the fourth degree where the
        steps are regular, and the curvature that L-BFGS has learned is handed on.
    """
    widths = checks.array("widths", widths, ndim=1, finite=False, above=0)
    tolerance, max_evaluations = _limits(tolerance, max_evaluations)
    solutions, nodes, thetas, memory, log_ratios = [], [], [], (), None
    for N in widths:
        if np.isposinf(N):
            solutions.append(gp_limit(kernel, y, sigma2=sigma2, temperature=temperature))
            continue
        problem = Problem(kernel, y, N, sigma2, temperature, log_ratios)
        if log_ratios is None:
            theta = problem.start()
            log_ratios = problem.log_ratios  # one set of units for the whole path
        else:
            weights = _lagrange(nodes, np.log(N))
            theta = weights @ np.array(thetas[-len(weights) :])
        solutions.append(_solve(problem, theta, memory, False, tolerance, max_evaluations))
        nodes.append(np.log(N))
        thetas.append(problem.coordinates(solutions[-1].U))
        memory = solutions[-1]._memory
    return solutions


def gp_limit(kernel, y, *, sigma2=None, temperature=0.0):
    r"""Infinite width at fixed data: :math:`U_l = \sigma^{2(L-l+1)}I`, a Gaussian process.

    Parameters
    ----------
    kernel, y, sigma2, temperature
        As in :func:`solve`.

    Returns
    -------
    solution : SaddleSolution
        With infinite ``widths``; its action is the data part alone.
    """
    problem = Problem(kernel, y, np.inf, sigma2, temperature)
    point = problem.evaluate(np.zeros(0))
    if point is None:
        raise ValueError("need a kernel that can be factorised at infinite width, got one where it cannot")
    return _solution(problem, point, np.array([point.action]), True)


def action(kernel, y, U, *, widths, sigma2=None, temperature=0.0):
    r"""The action and its gradients at given order parameters.

    .. math:: \nabla_{U_1}S &= N_1(A_1^{-1}-U_1^{-1}) + F^\top(B\circ K_0)F,\\
              \nabla_{U_l}S &= N_l(A_l^{-1}-U_l^{-1}) + N_{l-1}\big[M_{l-1}U_l^{-1}
              - \sigma^{-2}U_l^{-1}\mathrm{Tr}_{M}(U_{l-1})U_l^{-1}\big]

    with :math:`dS = \mathrm{tr}(\nabla S\,dU)` and :math:`B = C^{-1} - C^{-1}yy^\top C^{-1}`.

    Parameters
    ----------
    kernel, y, widths, sigma2, temperature
        As in :func:`solve`.
    U : sequence of ndarray, or "gp"
        Order parameters :math:`U_1,\dots,U_L`, or the infinite-width point.

    Returns
    -------
    value : float
    gradients : tuple of ndarray
        One a layer, shaped as ``U``.
    """
    problem = Problem(kernel, y, widths, sigma2, temperature)
    checks.need(all(problem.finite), "widths", "finite widths", widths)
    if isinstance(U, str):
        checks.need(U == "gp", "U", "order parameters, one matrix a layer, or 'gp'", U)
        U = problem.infinite_width()
    else:
        checks.need(isinstance(U, Iterable), "U", "order parameters, one matrix a layer, or 'gp'", U)
        U = problem.order_parameters("U", U)
    data = problem.data_term(U[0])
    checks.need(data is not None, "U", "order parameters at which the kernel can be factorised", U)
    value, plus, minus, _ = data
    for N, A, u in zip(problem.widths, priors(U, kernel.dims, problem.sigma2), U, strict=True):
        ratio = np.linalg.solve(A, u)
        value += N * (np.trace(ratio) - np.linalg.slogdet(ratio)[1])
    return float(value), gradients(U, plus - minus, kernel.dims, problem.widths, problem.sigma2)


def _solve(problem, theta, memory, majorise_only, tolerance, max_evaluations):
    """Descend, warn if the tolerance was not met, and wrap up."""
    width = min(N * d for N, d in zip(problem.widths, problem.sizes, strict=True))
    refuse_collapse(problem.y, width, problem.T)
    point, history, memory = descend(
        problem,
        theta,
        memory,
        majorise_only=majorise_only,
        tolerance=tolerance,
        max_evaluations=max_evaluations,
    )
    converged = point.gradient <= max(tolerance, min(point.rounding, BLURRED))
    if not converged:
        lost = point.gradient <= point.rounding
        advice = ": rounding errors hide it, raise the temperature or narrow the prior" if lost else ""
        warnings.warn(
            f"saddle point not reached{advice}: relative gradient {point.gradient:.2g} after {problem.evaluations} "
            f"evaluations (tolerance {tolerance:.2g}, rounding {point.rounding:.2g})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _solution(problem, point, history, converged, memory)


def _solution(problem, point, history, converged, memory=()):
    return SaddleSolution(
        point.U,
        float(point.action),
        point.gradient,
        point.rounding,
        problem.evaluations,
        history,
        problem.jitter,
        converged,
        problem.kernel,
        problem.y,
        problem.widths,
        problem.sigma2,
        problem.T,
        problem.log_ratios,
        memory,
    )


def _limits(tolerance, max_evaluations):
    """When a search ends, checked."""
    return checks.positive("tolerance", tolerance), checks.count("max_evaluations", max_evaluations)


def _lagrange(nodes, x):
    """Weights of the last nodes that extrapolate a polynomial to ``x``, of the highest degree that is no leap."""
    for n in range(min(NODES, len(nodes)), 0, -1):
        last = nodes[-n:]
        weights = np.array([np.prod([(x - b) / (a - b) for b in last if b != a]) for a in last])
        if np.abs(weights).sum() <= LEAP:
            break
    return weights
