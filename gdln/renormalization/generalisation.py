"""Generalisation of gated networks in theory: one task, one family of gates, a path of widths."""

import numpy as np

from gdln import checks
from gdln.data.regression import Regression
from gdln.renormalization.kernels import GatedKernel
from gdln.renormalization.saddle import solve, width_path


def fit(task, gates, *, width, sigma2=1.0, temperature=0.0, depth=1):
    r"""Solve the saddle point on a task and predict its fresh points.

    Parameters
    ----------
    task : gdln.data.regression.Regression
        Training points and fresh points.
    gates : callable, or pair of ndarray
        A gate family, or gate values at training and fresh points.
    width : float
        Width of all layers; infinite for the Gaussian process.
    sigma2 : float, optional
        Prior variance of every weight, those of the first layer included.
    temperature : float, optional
        :math:`T \ge 0`.
    depth : int, optional
        Gated layers :math:`L`.

    Returns
    -------
    solution : gdln.renormalization.saddle.SaddleSolution
    prediction : gdln.renormalization.saddle.Prediction
    """
    G, G_new = _values(task, gates)
    width = checks.positive("width", width, infinite=True)
    kernel = GatedKernel.from_inputs(task.X, G, sigma2=sigma2, depth=depth)
    solution = solve(kernel, task.y, widths=width, temperature=temperature)
    return solution, solution.predict(task.X_new, gates=G_new)


def along_widths(task, gates, *, widths, sigma2=1.0, temperature=0.0, depth=1):
    r"""Bias, variance and error of a task along a path of widths, and in the infinite-width limit.

    Parameters
    ----------
    task, gates, sigma2, temperature, depth
        As in :func:`fit`.
    widths : sequence of float
        Finite widths, in any order; solved from wide to narrow, each started from the ones before.

    Returns
    -------
    rows : list of dict
        ``width``, ``bias``, ``variance``, ``error``, ``evaluations``; the last row has infinite width. Ready for
        :func:`gdln.sweep.sweep`.
    """
    G, G_new = _values(task, gates)
    checks.finite("task.y_new", task.y_new)
    kernel = GatedKernel.from_inputs(task.X, G, sigma2=sigma2, depth=depth)
    widths = checks.array("widths", widths, ndim=1, finite=False, above=0)
    wide_first = [np.inf, *sorted((float(N) for N in widths if not np.isposinf(N)), reverse=True)]
    solutions = width_path(kernel, task.y, widths=wide_first, temperature=temperature)
    rows = []
    for width, solution in zip(wide_first[::-1], solutions[::-1], strict=True):
        errors = solution.predict(task.X_new, gates=G_new).errors(task.y_new)
        rows.append({"width": width, **vars(errors), "evaluations": solution.evaluations})
    return rows


def interpolate_nuclear(task, gates, *, smoothing=1e-4, rate=0.997):
    r"""Predictions of the interpolator :math:`g(x)^\top\beta x` of least nuclear norm, by reweighting.

    Minimises :math:`\lVert\beta\rVert_*` subject to :math:`g(x_\mu)^\top\beta x_\mu = y_\mu`: each step is the
    interpolator of least :math:`\mathrm{tr}\,\beta^\top W^{-1}\beta` with
    :math:`W = (\beta\beta^\top + \epsilon^2 I)^{1/2}` of the step before, while :math:`\epsilon` shrinks.

    Parameters
    ----------
    task, gates
        As in :func:`fit`.
    smoothing : float, optional
        Last :math:`\epsilon`, relative to the largest singular value of :math:`\beta`.
    rate : float, optional
        Factor of :math:`\epsilon` a step, below one; too small a rate freezes weak directions too early. The error
        of the result falls in proportion to ``1 - rate`` (at the defaults a few parts in ten thousand).

    Returns
    -------
    nuclear, frobenius : ndarray, shape (n_new,)
        Predictions of the interpolators of least nuclear and of least Frobenius norm.

    Raises
    ------
    ValueError
        If there are more points than the gates and inputs can interpolate, the targets are all zero or not
        finite, or ``smoothing`` or ``rate`` lies outside (0, 1).
    """
    G, G_new = _values(task, gates)
    smoothing = checks.number("smoothing", smoothing, above=0, below=1)
    rate = checks.number("rate", rate, above=0, below=1)
    checks.need(np.isfinite(task.y).all() and np.any(task.y), "task", "finite targets, not all zero", task.y)
    gram, cross = task.X @ task.X.T, task.X_new @ task.X.T
    if np.linalg.matrix_rank((G @ G.T) * gram, hermitian=True) < len(task.y):
        raise ValueError(f"task needs points that can be interpolated, got {len(task.y)} of lower rank")
    W, frobenius, epsilon = np.eye(G.shape[1]), None, 1.0
    while epsilon > smoothing:
        v = np.linalg.solve((G @ W @ G.T) * gram, task.y)
        f = ((G_new @ W @ G.T) * cross) @ v
        frobenius = f if frobenius is None else frobenius
        beta = W @ (G * v[:, None]).T @ task.X
        w, V = np.linalg.eigh(beta @ beta.T)
        epsilon *= rate
        W = (V * np.sqrt(np.maximum(w, 0) + epsilon**2 * w[-1])) @ V.T
    return f, frobenius


def _values(task, gates):
    """Inputs checked, and gate values at the training and the new points."""
    checks.instance("task", task, Regression)
    if callable(gates):
        return gates(task.X), gates(task.X_new)
    pair = isinstance(gates, list | tuple) and len(gates) == 2
    checks.need(pair, "gates", "a family of gates, or their values at the training and the new points", gates)
    return tuple(checks.array("gates", G, ndim=2) for G in gates)
