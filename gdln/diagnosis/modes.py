r"""Modes of the input-output correlation: which directions of the task a network has learnt, and in which order."""

from dataclasses import dataclass

import numpy as np

from gdln import checks

#: Singular values below this share of the largest are rounding.
SMALLEST = 1e-8


@dataclass(frozen=True)
class ModeCourse:
    r"""Strengths of the modes along a training run.

    Attributes
    ----------
    times : ndarray, shape (n_records,)
        When they were recorded.
    correlation : ndarray, shape (n_modes,)
        Singular values :math:`s_k` of :math:`\frac1nY^\top X`, falling.
    strength : ndarray, shape (n_records, n_modes)
        :math:`a_k`: 1 where outputs hold a mode as the targets do.
    half_times : ndarray, shape (n_modes,)
        First time at which a strength reached one half, between records by a straight line; ``inf`` if it never did.
    """

    times: np.ndarray
    correlation: np.ndarray
    strength: np.ndarray
    half_times: np.ndarray


def mode_strengths(X, Y, outputs, n_modes=10):
    r"""Strengths :math:`a_k=u_k^\top(\frac1nf^\top X)v_k/s_k`, with :math:`\frac1nY^\top X=\sum_ks_ku_kv_k^\top`.

    Parameters
    ----------
    X : array_like, shape (n, ...)
        Inputs, flattened.
    Y : array_like, shape (n, n_outputs)
        Targets.
    outputs : array_like, shape (..., n, n_outputs)
        Outputs, at one or more times; for classes probabilities.
    n_modes : int, optional
        Strongest modes only.

    Returns
    -------
    correlation : ndarray, shape (n_modes,)
        Those :math:`s_k` that are not rounding, falling.
    strength : ndarray, shape (..., n_modes)
        Strengths.

    Raises
    ------
    ValueError
        If shapes do not fit, or inputs and targets are not correlated.
    """
    X = checks.array("X", X)
    checks.need(X.ndim >= 2, "X", "samples first, and at least one number a sample", X)
    X = X.reshape(len(X), -1)
    Y = checks.array("Y", Y, shape=(len(X), "n_outputs"))
    outputs = checks.array("outputs", outputs, shape=(..., *Y.shape))
    n_modes = checks.count("n_modes", n_modes)
    U, s, Vt = np.linalg.svd(Y.T @ X / len(X), full_matrices=False)
    checks.need(s[0] > 0, "Y", "targets that are correlated with the inputs", "a correlation of zero")
    kept = np.flatnonzero(s > SMALLEST * s[0])[:n_modes]
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    along = np.einsum("...nc,ck,nk->...k", outputs, U, X @ Vt.T, optimize=True) / len(X)
    return s, along / s


def mode_course(X, Y, outputs, times, n_modes=10):
    """Strengths along a run, and when each mode was half learnt.

    Parameters
    ----------
    X, Y, n_modes
        As in :func:`mode_strengths`.
    outputs : array_like, shape (n_records, n, n_outputs)
        Outputs at every record.
    times : array_like, shape (n_records,)
        Times of the records, increasing.

    Returns
    -------
    course : ModeCourse
        Strengths and half-times.

    Raises
    ------
    ValueError
        As :func:`mode_strengths`, or if times and records do not fit.
    """
    times = checks.times("times", times, ndim=1, ordered=True)
    X, Y = checks.array("X", X), checks.array("Y", Y, shape=("n", "n_outputs"))
    outputs = checks.array("outputs", outputs, shape=(len(times), *Y.shape))
    correlation, strength = mode_strengths(X, Y, outputs, n_modes)
    halves = np.full(len(correlation), np.inf)
    for k, a in enumerate(strength.T):
        over = np.flatnonzero(a >= 0.5)
        if over.size:
            records = slice(max(over[0] - 1, 0), over[0] + 1)
            halves[k] = np.interp(0.5, a[records], times[records])
    return ModeCourse(np.array(times), correlation, strength, halves)


def spread(half_times):
    """Half-time of the slowest of the modes that were half learnt, over that of the fastest: 1 if all rise at once.

    Parameters
    ----------
    half_times : array_like, shape (n_modes,)
        Times from zero on; ``inf`` where a mode never got there.

    Returns
    -------
    ratio : float or None
        None with fewer than two modes, or where the fastest was there at the start.
    """
    found = checks.times("half_times", half_times, ndim=1, infinite=True)
    found = found[np.isfinite(found)]
    return float(found.max() / found.min()) if len(found) > 1 and found.min() > 0 else None
