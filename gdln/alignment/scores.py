"""Scores that hold predicted weight changes against measured ones, and controls that should score low."""

import numpy as np

from gdln import checks


def error_blind_gram(inputs):
    r"""Plain correlation :math:`\sum_i a_i a_i^\top` of a layer's inputs: a control that has never seen an error."""
    a = checks.array("inputs", inputs, ndim=2)
    return a.T @ a


def shuffled_change(trained, initial, rng):
    """Control of the published code: shuffle the trained weights, then subtract the initial ones.

    Parameters
    ----------
    trained, initial : array_like, shape (n_out, n_in)
        Weights.
    rng : numpy.random.Generator
        Source of the order.

    Returns
    -------
    change : ndarray, shape (n_out, n_in)
        Mostly the difference of two independent Gaussian matrices, so larger than the true change.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    trained, rng = checks.array("trained", trained, ndim=2), checks.generator("rng", rng)
    initial = checks.array("initial", initial, shape=trained.shape)
    return rng.permutation(trained.ravel()).reshape(trained.shape) - initial


def gram(change):
    r"""Gram matrix :math:`\Delta W^\top\Delta W` of a change, on the input side of the layer."""
    change = checks.array("change", change, ndim=2)
    return change.T @ change


def gram_score(A, B):
    r"""Alignment of two positive semidefinite matrices, between 0 and 1.

    :math:`S=\mathrm{tr}(AB)/\sqrt{\mathrm{tr}(A^2)\,\mathrm{tr}(B^2)}`.

    Parameters
    ----------
    A, B : array_like, shape (N, N)
        Symmetric matrices.

    Returns
    -------
    score : float
        One when they are proportional.

    Raises
    ------
    ValueError
        If the shapes differ or one matrix is zero.

    Examples
    --------
    >>> gram_score(np.eye(2), np.diag([1.0, 0.0])).round(6)
    np.float64(0.707107)
    """
    A = checks.array("A", A, ndim=2)
    B = checks.array("B", B, shape=A.shape)
    norm = np.linalg.norm(A) * np.linalg.norm(B)
    checks.need(norm > 0, "A, B", "two matrices that are not zero", norm)
    return np.sum(A * B) / norm


def probe_score(apply_a, apply_b, shape, n_probes, rng, batch=100):
    r"""The same score from random probes, for operators that cannot be written down as matrices.

    With :math:`\xi\sim\mathcal N(0,I)`, :math:`\mathbb E[A\xi\cdot B\xi]=\mathrm{tr}(AB)`.

    Parameters
    ----------
    apply_a, apply_b : callable
        Map probes, a batch of arrays of the given shape, to :math:`A\xi`, :math:`B\xi` of the same shape.
    shape : tuple of int
        Shape of one probe.
    n_probes : int
        Number of probes.
    rng : numpy.random.Generator
        Source of the probes.
    batch : int, optional
        Probes at a time.

    Returns
    -------
    score : float
        Estimate of :func:`gram_score`; its error falls like the inverse root of ``n_probes``.

    Raises
    ------
    ValueError
        If there is no probe, or an operator is zero or not finite.
    """
    apply_a, apply_b = checks.function("apply_a", apply_a), checks.function("apply_b", apply_b)
    shape = checks.array("shape", shape, ndim=1, dtype=int, least=1).tolist()
    n_probes, batch = checks.count("n_probes", n_probes), checks.count("batch", batch)
    rng = checks.generator("rng", rng)
    sums = np.zeros(3)
    for start in range(0, n_probes, batch):
        xi = rng.standard_normal((min(batch, n_probes - start), *shape))
        u, v = np.asarray(apply_a(xi)), np.asarray(apply_b(xi))
        sums += [np.vdot(u, v), np.vdot(u, u), np.vdot(v, v)]
    norm = np.sqrt(sums[1] * sums[2])
    if not 0 < norm < np.inf:
        raise ValueError(
            "apply_a, apply_b need operators that are finite and not zero, "
            f"got squared sizes {sums[1]:.3g} and {sums[2]:.3g}"
        )
    return sums[0] / norm


def entrywise_cosine(change, predicted):
    r"""Cosine :math:`\langle\Delta W,\Delta W'\rangle/(\|\Delta W\|\|\Delta W'\|)` of two changes."""
    change = checks.array("change", change, ndim=2)
    predicted = checks.array("predicted", predicted, shape=change.shape)
    norm = np.linalg.norm(change) * np.linalg.norm(predicted)
    checks.need(norm > 0, "change, predicted", "two changes that are not zero", norm)
    return np.sum(change * predicted) / norm


def scale_ratio(predicted_gram, change):
    r"""Size of a predicted Gram matrix over the true one, :math:`\mathrm{tr}B/\mathrm{tr}(\Delta W^\top\Delta W)`."""
    change = checks.array("change", change, ndim=2)
    B = checks.array("predicted_gram", predicted_gram, shape=(change.shape[1],) * 2)
    size = np.sum(np.square(change))
    checks.need(size > 0, "change", "a matrix that is not zero", size)
    return np.trace(B) / size
