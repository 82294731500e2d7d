"""Simulation of the routing network: all weights, all routes and all seeds at once, by full-batch descent.

Input domains, one shared hidden map, output domains; on a trial one input and one output are open. No theory of
:mod:`gdln.race.reduction` is used here.
"""

import math
from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.data.tasks import RoutingTask

# A singular value of the data above this fraction of the largest is a mode; below it is rounding: an average over n
# items is known to n times 2e-16, which for thousands of items is still less.
SEEN = 1e-12


@dataclass(frozen=True)
class Weights:
    """Weights of a batch of routing networks.

    Attributes
    ----------
    encoders : ndarray, shape (n_seeds, n_domains_in, width, n_inputs)
        Input maps.
    shared : ndarray, shape (n_seeds, width, width)
        The hidden map of all routes.
    decoders : ndarray, shape (n_seeds, n_domains_out, n_outputs, width)
        Output maps.
    """

    encoders: np.ndarray
    shared: np.ndarray
    decoders: np.ndarray


@dataclass(frozen=True)
class RoutingTrajectory:
    """What the training of routing networks recorded.

    Attributes
    ----------
    steps, times : ndarray, shape (n_records,)
        Steps taken, and their number times the step size.
    trained, untrained : ndarray, shape (n_seeds, n_records)
        Half the squared error, summed over items, averaged over trained and untrained routes (NaN if none): the
        measure of Saxe et al. 2022, Fig. 5c and 6b.
    loss : ndarray, shape (n_seeds, n_records)
        The loss that is descended, ``trained`` averaged over items instead of summed;
        :func:`gdln.race.routing.routing_loss` is its theory.
    weights : Weights
        At the end.
    singular_values : dict of str to ndarray, or None
        ``"encoders"`` and ``"decoders"``, averaged over domains, and ``"shared"``, each of shape
        (n_seeds, n_records, n_modes), largest first; only if asked for.
    """

    steps: np.ndarray
    times: np.ndarray
    trained: np.ndarray
    untrained: np.ndarray
    loss: np.ndarray
    weights: Weights
    singular_values: dict | None = None


def orthogonal_weights(task, width, gain, n_seeds, rng):
    r"""Start every map as ``gain`` times a random matrix with orthonormal rows or columns.

    Parameters
    ----------
    task : gdln.data.tasks.RoutingTask
        Gives numbers of domains, inputs and outputs.
    width : int
        Hidden width; it bounds the rank of every route.
    gain : float
        Common singular value :math:`\sigma_0`.
    n_seeds : int
        Networks in the batch.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    weights : Weights
        The batch.

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    X, Y = _data(task)
    n_inputs, n_outputs = X.shape[1], Y.shape[1]
    width, n_seeds = checks.count("width", width), checks.count("n_seeds", n_seeds)
    gain = checks.positive("gain", gain)
    checks.generator("rng", rng)

    def draw(*shape):
        *number, rows, columns = shape
        wide = columns > rows
        Q, R = np.linalg.qr(rng.standard_normal((n_seeds, *number, max(rows, columns), min(rows, columns))))
        Q = gain * Q * np.sign(np.diagonal(R, axis1=-2, axis2=-1))[..., None, :]
        return np.ascontiguousarray(Q.swapaxes(-1, -2)) if wide else Q

    n_in, n_out = task.mask.shape
    return Weights(
        encoders=draw(n_in, width, n_inputs),
        shared=draw(width, width),
        decoders=draw(n_out, n_outputs, width),
    )


def decoupled_weights(task, width, b0, rng):
    r"""Start on the manifold of the reduction: every map holds the task's modes with strength ``b0``.

    :math:`W_1^i=b_0R_1V^\top`, :math:`W_2=b_0R_2R_1^\top`, :math:`W_3^j=b_0UR_2^\top` with random hidden bases.

    Parameters
    ----------
    task : gdln.data.tasks.RoutingTask
        Gives the modes :math:`\Sigma^{yx}=USV^\top`.
    width : int
        Hidden width, at least the number of modes.
    b0 : float
        Strength of every map.
    rng : numpy.random.Generator
        Draws the hidden bases.

    Returns
    -------
    weights : Weights
        A batch of one network; Saxe et al. (2022), below their Eq. 6.

    Raises
    ------
    ValueError
        If the hidden layers are narrower than the number of modes, there is no mode, or ``b0`` is not positive.
    """
    _data(task)
    b0 = checks.positive("b0", b0)
    checks.need(task.sigma_yx.any(), "task", "at least one mode", task.sigma_yx)
    checks.generator("rng", rng)
    U, s, Vt = np.linalg.svd(task.sigma_yx, full_matrices=False)
    rank = int((s > SEEN * s[0]).sum())
    width = checks.count("width", width, least=rank)
    R1, R2 = (np.linalg.qr(rng.standard_normal((width, rank)))[0] for _ in range(2))
    n_in, n_out = task.mask.shape
    return Weights(
        np.repeat(b0 * (R1 @ Vt[:rank])[None], n_in, axis=0)[None],
        b0 * (R2 @ R1.T)[None],
        np.repeat(b0 * (U[:, :rank] @ R2.T)[None], n_out, axis=0)[None],
    )


def epoch_time(task, lr):
    r"""Time of the flow that one epoch of the published simulations takes.

    Their loss is the sum over trained routes of the squared error averaged over items and outputs, so a step
    :math:`\lambda` on it is a step :math:`\Delta t = 2R\lambda/N_{\rm out}` on the mean loss of the paper's
    Eq. 1, with :math:`R` trained routes.

    Parameters
    ----------
    task : gdln.data.tasks.RoutingTask
        Gives the routes.
    lr : float
        Their step :math:`\lambda`, which multiplies the gradient of the summed loss and is no time yet.

    Returns
    -------
    time : float
        :math:`\Delta t` in units of :math:`\tau`, which is the ``lr`` of :func:`simulate`: it steps on the mean loss.

    Raises
    ------
    ValueError
        If the step is not positive.
    """
    _data(task)
    lr = checks.positive("lr", lr)
    return 2 * task.mask.sum() * lr / task.Y.shape[1]


def route_errors(weights, task):
    r"""Error of every route, :math:`\frac12\|Y-\hat Y_{ij}\|_F^2`, summed over items.

    Parameters
    ----------
    weights : Weights
        A batch of networks.
    task : gdln.data.tasks.RoutingTask
        Items and targets.

    Returns
    -------
    errors : ndarray, shape (n_seeds, n_domains_in, n_domains_out)
        The measure of Saxe et al. 2022, Fig. 5c and 6b.
    """
    weights = _checked(weights, task)
    S, M, H, n_in = weights.encoders.shape
    C = _stack_rows(weights.decoders)
    A = weights.encoders.transpose(0, 2, 1, 3).reshape(S, H, M * n_in)
    total = _blocks(C @ weights.shared @ A, weights)
    return 0.5 * np.square(total @ task.X.T - task.Y.T).sum(axis=(-1, -2))


def mirrored(weights, task):
    r"""Routes that compute the target's mapping with reversed orientation.

    With the target's singular vectors :math:`U, V`, the sign of :math:`\det(U^\top W_3^jW_2W_1^iV)` is that of a
    correct route if positive; gradient flow in a hidden layer as narrow as the rank can change it only through a
    singular code.

    Parameters
    ----------
    weights : Weights
        A batch of networks.
    task : gdln.data.tasks.RoutingTask
        Items and targets.

    Returns
    -------
    mirrored : ndarray of bool, shape (n_seeds, n_domains_in, n_domains_out)
        True where the determinant is negative.

    Raises
    ------
    ValueError
        If the hidden layers are narrower than the rank of the target: the determinant is zero then.
    """
    weights = _checked(weights, task)
    S, M, H, n_in = weights.encoders.shape
    A = weights.encoders.transpose(0, 2, 1, 3).reshape(S, H, M * n_in)
    total = _blocks(_stack_rows(weights.decoders) @ weights.shared @ A, weights)
    U, s, Vt = np.linalg.svd(np.linalg.lstsq(task.X, task.Y, rcond=None)[0].T, full_matrices=False)
    rank = int((s > SEEN * s[0]).sum())
    checks.need(rank <= H, "weights", f"a width of at least {rank}, the rank of the target", H)
    return np.linalg.slogdet(U[:, :rank].T @ total @ Vt[:rank].T).sign < 0


def code_similarity(weights, task):
    """Mean cosine between the first hidden codes of the same item in two input domains.

    Parameters
    ----------
    weights : Weights
        A batch of networks.
    task : gdln.data.tasks.RoutingTask
        Items.

    Returns
    -------
    cosine : ndarray, shape (n_seeds,)
        Averaged over items and over pairs of different domains.

    Raises
    ------
    ValueError
        If there is one input domain only, or a code is zero.
    """
    weights = _checked(weights, task)
    codes = weights.encoders @ task.X.T
    norms, M = np.linalg.norm(codes, axis=-2, keepdims=True), codes.shape[1]
    checks.need(M > 1, "weights", "at least two input domains", M)
    checks.need((norms > 0).all(), "weights", "codes that are not zero", norms.min())
    codes = codes / norms
    gram = np.einsum("smhn,slhn->sml", codes, codes, optimize=True) / codes.shape[-1]
    return (gram.sum(axis=(1, 2)) - np.trace(gram, axis1=1, axis2=2)) / (M * (M - 1))


@np.errstate(over="ignore", invalid="ignore")  # a divergence is reported, not warned of
def simulate(weights, task, lr, n_steps, record_every=1, singular_values=False):
    r"""Full-batch gradient descent on the loss averaged over trained routes.

    With the domains stacked, :math:`A=[W_1^1,\dots,W_1^M]`, :math:`C=[W_3^1;\dots;W_3^M]` and the block matrix of
    errors :math:`E_{ji}=m_{ij}(\Sigma^{yx}-W_3^jW_2W_1^i\Sigma^x)/\sum m`, one step adds :math:`\Delta t` times
    :math:`(CW_2)^\top E`, :math:`C^\top EA^\top` and :math:`E(W_2A)^\top`.

    Parameters
    ----------
    weights : Weights
        Start.
    task : gdln.data.tasks.RoutingTask
        Items, targets and trained routes.
    lr : float
        Step, in units of :math:`\tau`.
    n_steps : int
        Number of steps.
    record_every : int, optional
        Steps between two records.
    singular_values : bool, optional
        Record the singular values of all maps as well.

    Returns
    -------
    run : RoutingTrajectory
        Errors along training, and the weights at the end.

    Raises
    ------
    gdln.checks.Diverged
        If the error is not finite; names the step.
    TypeError, ValueError
        If a setting is not positive, weights and task do not match, or a number is not finite.
    """
    weights = _checked(weights, task)
    singular_values = checks.flag("singular_values", singular_values)
    lr = checks.positive("lr", lr)
    n_steps, record_every = (
        checks.count("n_steps", n_steps, least=0),
        checks.count("record_every", record_every),
    )
    S, M, H, n_in = weights.encoders.shape
    n_out = weights.decoders.shape[-2]
    A = weights.encoders.transpose(0, 2, 1, 3).reshape(S, H, M * n_in)  # of `_checked`, so ours to write in
    C, W = _stack_rows(weights.decoders), weights.shared
    share = np.kron(task.mask.T / task.mask.sum(), np.ones((n_out, n_in)))
    target = share * np.tile(task.sigma_yx, task.mask.T.shape)
    # an average over n items is known to n roundings of its Cauchy-Schwarz bound, here the diagonal
    known = len(task.X) * np.finfo(float).eps * task.sigma_x[0, 0]
    identity = np.allclose(task.sigma_x, task.sigma_x[0, 0] * np.eye(n_in), rtol=0, atol=known)
    scale = task.sigma_x[0, 0] * share if identity else None
    mask, steps, errors, spectra = task.mask, [], [], []
    for step in range(n_steps + 1):
        CW = C @ W
        total = CW @ A
        if step % record_every == 0 or step == n_steps:
            blocks = _blocks(total, weights) @ task.X.T - task.Y.T
            errors.append(0.5 * np.square(blocks).sum(axis=(-1, -2)))
            steps.append(step)
            if singular_values:
                spectra.append(_spectra(_split(A, W, C, weights)))
            if not np.isfinite(errors[-1][:, mask]).all():
                worst = np.abs(errors[-1]).max()
                raise checks.Diverged(f"diverged by step {step}: error {worst:.3g} with lr={lr}", step=step)
        if step == n_steps:
            break
        if identity:
            E = target - scale * total
        else:
            E = target - share * (total.reshape(*total.shape[:-1], M, n_in) @ task.sigma_x).reshape(
                total.shape
            )
        E *= lr
        EAt = E @ A.swapaxes(1, 2)
        dA, dW, dC = CW.swapaxes(1, 2) @ E, C.swapaxes(1, 2) @ EAt, EAt @ W.swapaxes(1, 2)
        A += dA
        W += dW
        C += dC
        checks.still_finite(W, f"gradient descent with lr={lr}", step=step + 1)
    errors = np.stack(errors, axis=1)
    trained = errors[..., mask].mean(axis=-1)
    nothing = np.full(errors.shape[:2], math.nan)
    return RoutingTrajectory(
        steps=np.array(steps),
        times=lr * np.array(steps),
        trained=trained,
        untrained=errors[..., ~mask].mean(axis=-1) if (~mask).any() else nothing,
        loss=trained / len(task.X),
        weights=_split(A, W, C, weights),
        singular_values={k: np.stack([s[k] for s in spectra], axis=1) for k in spectra[0]}
        if spectra
        else None,
    )


def _checked(weights, task):
    """Weights in arrays of their own, finite and in the shapes of the task, which must be finite, too."""
    X, Y = _data(task)
    checks.instance("weights", weights, Weights)
    n_in, n_out = task.mask.shape
    shapes = {
        "encoders": ("n_seeds", n_in, "width", X.shape[1]),
        "shared": ("n_seeds", "width", "width"),
        "decoders": ("n_seeds", n_out, Y.shape[1], "width"),
    }
    found = Weights(
        **{
            k: checks.array(f"weights.{k}", getattr(weights, k), shape=s, copy=True)
            for k, s in shapes.items()
        }
    )
    sizes = {(*w.shape[:1], w.shape[-1]) for w in (found.shared, found.decoders)}
    sizes.add((len(found.encoders), found.encoders.shape[2]))
    shapes = [w.shape for w in vars(found).values()]
    checks.need(len(sizes) == 1, "weights", "one number of seeds and one hidden width in all maps", shapes)
    return found


def _data(task):
    """Inputs and targets of a task, finite."""
    checks.instance("task", task, RoutingTask)
    return checks.array("task.X", task.X, ndim=2), checks.array("task.Y", task.Y, ndim=2)


def _split(A, W, C, like):
    """Weights of single domains from the stacked ones."""
    S, M, H, n_in = like.encoders.shape
    return Weights(A.reshape(S, H, M, n_in).transpose(0, 2, 1, 3), W, C.reshape(like.decoders.shape))


def _spectra(weights):
    """Singular values of the maps, averaged over domains."""
    values = {name: np.linalg.svd(getattr(weights, name), compute_uv=False) for name in vars(weights)}
    n_modes = min(values["encoders"].shape[-1], values["decoders"].shape[-1])
    return {name: (v.mean(axis=1) if v.ndim == 3 else v)[..., :n_modes] for name, v in values.items()}


def _stack_rows(decoders):
    S, N, n_out, H = decoders.shape
    return decoders.reshape(S, N * n_out, H).copy()


def _blocks(total, weights):
    """(n_seeds, n_domains_in, n_domains_out, n_outputs, n_inputs) view of the stacked total map."""
    S, M, _, n_in = weights.encoders.shape
    _, N, n_out, _ = weights.decoders.shape
    return total.reshape(S, N, n_out, M, n_in).transpose(0, 3, 1, 2, 4)
