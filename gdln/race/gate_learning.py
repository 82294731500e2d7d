r"""Gates that learn, on a time scale of their own, while the task changes in blocks.

.. math:: \hat y=\sum_pc_pW_px,\quad\tau_W\dot W_p=c_p\langle(y-\hat y)x^\top\rangle,\quad
    \tau_c\dot c_p=\tfrac1n\langle(W_px)^\top(y-\hat y)\rangle-\partial_{c_p}R

with white inputs, so that the averages are matrices and the dynamics has no sampling noise.
"""

from dataclasses import dataclass

import numpy as np

from gdln import checks


@dataclass(frozen=True)
class BlockedTrajectory:
    """What a run through the blocks recorded; the seeds come first.

    Attributes
    ----------
    times : ndarray, shape (n_records,)
        Times, in the units of ``tau_w``.
    gates : ndarray, shape (n_seeds, n_records, n_paths)
        Gates :math:`c`.
    loss : ndarray, shape (n_seeds, n_records)
        Loss on the task of the block, relative to that of a silent network.
    alignment : ndarray, shape (n_seeds, n_records, n_paths, n_tasks)
        Cosine between the weights of each path and each teacher.
    block : ndarray of int, shape (n_records,)
        Number of the block.
    """

    times: np.ndarray
    gates: np.ndarray
    loss: np.ndarray
    alignment: np.ndarray
    block: np.ndarray


def orthogonal_teachers(n_tasks, n, n_seeds, rng):
    """Random orthogonal teachers, one a task.

    Parameters
    ----------
    n_tasks, n, n_seeds : int
        Number of tasks, of inputs and outputs, and of independent draws.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    teachers : ndarray, shape (n_seeds, n_tasks, n, n)
        Orthogonal matrices; a silent network has the loss 1/2 on each, counted a dimension.

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    n_tasks, n, n_seeds = (
        checks.count(name, value) for name, value in (("n_tasks", n_tasks), ("n", n), ("n_seeds", n_seeds))
    )
    checks.generator("rng", rng)
    Q, R = np.linalg.qr(rng.standard_normal((n_seeds, n_tasks, n, n)))
    return Q * np.sign(np.diagonal(R, axis1=-2, axis2=-1))[..., None, :]


def regulariser_slope(c, strength):
    r"""Slope of :math:`R=\frac\kappa2\big[(\sum_pc_p-1)^2+\sum_p\min(c_p,0)^2\big]`, shape of ``c`` (..., n_paths).

    Parameters
    ----------
    c : array_like, shape (..., n_paths)
        Gates.
    strength : float
        :math:`\kappa`.

    Returns
    -------
    slope : ndarray, shape (..., n_paths)
        Zero where the gates are nonnegative and sum to one.

    Examples
    --------
    >>> regulariser_slope([0.25, 0.75], 3.0)
    array([0., 0.])
    """
    c = checks.array("c", c)
    checks.need(c.ndim > 0, "c", "one gate a path", c)
    return _regulariser_slope(c, checks.nonnegative("strength", strength))


def _regulariser_slope(c, strength):
    return strength * (c.sum(axis=-1, keepdims=True) - 1 + np.minimum(c, 0))


@np.errstate(over="ignore", invalid="ignore")  # a divergence is reported, not warned of
def simulate_blocks(
    W, c, teachers, tau_c, *, strength=1.0, block_time=10.0, n_blocks=10, lr=0.01, record_every=10, tau_w=1.0
):
    r"""Train paths and gates while the teachers take turns.

    Parameters
    ----------
    W : array_like, shape (n_seeds, n_paths, n, n)
        Initial weights.
    c : array_like, shape (n_seeds, n_paths)
        Initial gates.
    teachers : array_like, shape (n_seeds, n_tasks, n, n)
        The teacher of block :math:`b` is number :math:`b` modulo the number of tasks.
    tau_c : float
        Time constant of the gates; ``numpy.inf`` freezes them.
    strength : float, optional
        Strength :math:`\kappa` of the regulariser, see :func:`regulariser_slope`; zero leaves the gates unbounded.
    block_time : float, optional
        Length of a block.
    n_blocks : int, optional
        Number of blocks.
    lr : float, optional
        Euler step.
    record_every : int, optional
        Record every so many steps.
    tau_w : float, optional
        Time constant of the weights.

    Returns
    -------
    run : BlockedTrajectory
        Records, before the step.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a time or a count is not positive, a number is not finite, or the step is too long for
        the gates.
    gdln.checks.Diverged
        If the gates or the weights stop being finite; tells at which time.

    Notes
    -----
    The model is that of Sandbrink et al. (2024); the regulariser and the white inputs are this book's choice.
    """
    W = checks.array("W", W, shape=("n_seeds", "n_paths", "n", "n"), copy=True)
    c = checks.array("c", c, shape=W.shape[:2], copy=True)
    teachers = checks.array("teachers", teachers, shape=(len(W), "n_tasks", *W.shape[2:]))
    tau_c = checks.positive("tau_c", tau_c, infinite=True)
    tau_w, block_time, lr = (
        checks.positive(name, a) for name, a in (("tau_w", tau_w), ("block_time", block_time), ("lr", lr))
    )
    strength = checks.nonnegative("strength", strength)
    n_blocks, record_every = checks.count("n_blocks", n_blocks), checks.count("record_every", record_every)
    stiffness = max(1.0, strength * c.shape[1])
    words = f"a step of at most tau_c / max(1, paths * strength) = {tau_c / stiffness:.6g}"
    checks.need(lr * stiffness <= tau_c, "lr", words, lr)
    n, n_tasks = W.shape[-1], teachers.shape[1]
    steps = round(block_time / lr)
    checks.need(steps > 0, "lr", f"a step no longer than block_time={block_time}", lr)
    size = np.linalg.norm(teachers, axis=(-2, -1))
    records = []
    for step in range(steps * n_blocks + 1):
        block = min(step // steps, n_blocks - 1)
        target = teachers[:, block % n_tasks]
        error = target - np.einsum("sp,spij->sij", c, W)
        checks.still_finite(error, f"training with lr={lr}", time=step * lr)
        if step % record_every == 0:
            loss = (error**2).sum(axis=(-2, -1)) / (target**2).sum(axis=(-2, -1))
            overlap = np.einsum("spij,skij->spk", W, teachers)
            # weights of zero have no direction, and overlap zero with anything
            length = np.maximum(np.linalg.norm(W, axis=(-2, -1)), np.finfo(float).tiny)
            records.append((step * lr, c.copy(), loss, overlap / length[..., None] / size[:, None], block))
        push = np.einsum("spij,sij->sp", W, error) / n - _regulariser_slope(c, strength)
        W += lr / tau_w * c[..., None, None] * error[:, None]
        c += lr / tau_c * push
    times, gates, loss, alignment, blocks = zip(*records, strict=True)
    return BlockedTrajectory(
        np.array(times), np.stack(gates, 1), np.stack(loss, 1), np.stack(alignment, 1), np.array(blocks)
    )


def switch_loss(run, window):
    """Mean loss in a window after the beginning of each block.

    Parameters
    ----------
    run : BlockedTrajectory
        A run.
    window : float
        Length of the window.

    Returns
    -------
    loss : ndarray, shape (n_seeds, n_blocks)
        One number a block.

    Raises
    ------
    ValueError
        If the window holds no record.
    """
    checks.instance("run", run, BlockedTrajectory)
    checks.finite("run.times", run.times), checks.finite("run.loss", run.loss)
    window = checks.positive("window", window, infinite=True)
    values = []
    for b in range(run.block.max() + 1):
        inside = run.block == b
        inside &= run.times < run.times[inside][0] + window
        values.append(run.loss[:, inside].mean(axis=1))
    return np.stack(values, axis=1)
