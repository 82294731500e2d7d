r"""Where the weights of each layer went, against where frozen signals would have sent them."""

from dataclasses import dataclass

import numpy as np
import torch

from gdln import checks
from gdln.diagnosis.kernels import heard
from gdln.diagnosis.networks import Network, pair

#: Convolutions, whose weights see patches.
CONVOLUTIONS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
#: Numbers in the patches that are cut out at once: their Gram matrix is what is kept.
PATCHES = 2**22


@dataclass(frozen=True)
class LayerChange:
    r"""What became of one weight.

    Attributes
    ----------
    name : str
        Of the parameter.
    shape : tuple of int
        Of the parameter.
    moved : float
        :math:`\|\Delta W\|/\|W_0\|`; infinite for a weight that began at zero and moved, zero if it stayed there.
    rank : float
        Effective rank of :math:`\Delta W`, see :func:`effective_rank`.
    cosine : float or None
        Cosine, entry by entry, of :math:`\Delta W` with the change that frozen signals predict; None if the weight
        stood still.
    shuffled : float or None
        The same with the errors handed to other samples, the first control.
    blind : float or None
        The second: Gram score of :math:`\Delta W` with the plain correlation of what the weight sees, a layer's inputs
        or the patches of a convolution, which knows no error. None where that cannot be heard: in scripted modules, in
        convolutions in groups, whose filters see different inputs, and for parameters of other layers.
    """

    name: str
    shape: tuple
    moved: float
    rank: float
    cosine: float | None
    shuffled: float | None
    blind: float | None


def integrated_error(errors, times, lr=0.0):
    r"""Time-integrated error :math:`E_i=\int e_i\,dt/n` of every sample, by the trapezium rule between records.

    Gradient descent adds up :math:`\eta e_i` at the beginning of each step. With the step ``lr`` the difference of the
    two sums, :math:`\frac\eta2(e_i(0)-e_i(T))`, is added: exact where every step is recorded.

    Parameters
    ----------
    errors : array_like, shape (n_records, n, n_outputs)
        :math:`e_i=\partial\ell_i/\partial f_i`: outputs minus targets, probabilities minus one-hot labels.
    times : array_like, shape (n_records,)
        Steps times rate, increasing.
    lr : float, optional
        Step of gradient descent; 0 for a flow.

    Returns
    -------
    E : ndarray, shape (n, n_outputs)
        In units of time.
    """
    times = checks.times("times", times, ndim=1, ordered=True)
    errors = checks.array("errors", errors, shape=(len(times), "n", "n_outputs"))
    lr = checks.nonnegative("lr", lr)
    return (np.trapezoid(errors, times, axis=0) + lr / 2 * (errors[0] - errors[-1])) / errors.shape[1]


def predicted_changes(model, X, E):
    r"""Change of every parameter by signals frozen at the start, :math:`-\nabla\langle f_{\theta_0}(X),E\rangle`.

    One backward pass. Gradient descent does exactly this in its first step; in the kernel regime it does it to the end.

    Parameters
    ----------
    model : torch.nn.Module
        The network before training.
    X : array_like or Tensor, shape (n, ...)
        Training inputs.
    E : array_like, shape (n, n_outputs)
        Integrated errors, see :func:`integrated_error`.

    Returns
    -------
    changes : dict of str to Tensor
        By the parameter's name.
    """
    network = Network(model)
    X = network.inputs("X", X)
    E = checks.array("E", E, shape=(len(X), network.outputs(X[:1]).shape[1]))
    pulled = network.pull(X, torch.tensor(E, dtype=network.dtype, device=network.device))
    return {name: -g for name, g in zip(network.names, pulled, strict=True)}


def layer_changes(initial, trained, X, E, *, rng):
    r"""Alignment of every weight's change with its prediction, and its controls.

    Parameters
    ----------
    initial, trained : torch.nn.Module
        The network before and after.
    X : array_like or Tensor, shape (n, ...)
        Training inputs.
    E : array_like, shape (n, n_outputs)
        Integrated errors.
    rng : numpy.random.Generator
        Source of the order in which the first control hands the errors to other samples.

    Returns
    -------
    layers : tuple of LayerChange
        One a trained parameter of two or more dimensions; all parameters, if none has so many.

    Raises
    ------
    TypeError, ValueError
        If the two are not checkpoints of one network, or the errors are not those of these samples.

    Notes
    -----
    High scores of the second control are common: all inputs of a layer share a large mean, so that a Gram score alone
    proves nothing.
    """
    first, last = pair(initial, trained)
    X = first.inputs("X", X)
    E = checks.array("E", E, shape=(len(X), first.outputs(X[:1]).shape[1]))
    rng = checks.generator("rng", rng)
    told = predicted_changes(initial, X, E)
    control = predicted_changes(initial, X, rng.permutation(E))
    seen = _correlations(initial, X)
    found = []
    weights = [
        name for name, p in zip(first.names, first.parameters, strict=True) if p.ndim > 1
    ] or first.names
    for name, a, b in zip(first.names, first.parameters, last.parameters, strict=True):
        if name not in weights:
            continue
        change = (b - a).detach().double()
        size, still = float(a.detach().double().norm()), not bool(change.any())
        from_zero = 0.0 if still else np.inf
        found.append(
            LayerChange(
                name,
                tuple(a.shape),
                float(change.norm()) / size if size else from_zero,
                0.0 if still else effective_rank(change.flatten(1) if change.ndim > 1 else change[None]),
                None if still else _cosine(change, told[name]),
                None if still else _cosine(change, control[name]),
                None if still or name not in seen else _gram_score(change.flatten(1), *seen[name]),
            )
        )
    return tuple(found)


def effective_rank(change):
    r"""Effective rank :math:`(\sum_ks_k^2)^2/\sum_ks_k^4` of a matrix with singular values :math:`s_k`.

    Parameters
    ----------
    change : array_like or Tensor, shape (n_out, n_in)
        A matrix that is not zero.

    Returns
    -------
    rank : float
        1 for an outer product, the rank itself where all singular values are equal.

    Examples
    --------
    >>> effective_rank(np.eye(3))
    3.0
    """
    W = checks.array("change", change, ndim=2)
    size = np.abs(W).max()
    checks.need(size > 0, "change", "a matrix that is not zero", "zero")
    W = W / size
    G = W @ W.T if W.shape[0] < W.shape[1] else W.T @ W
    return float(np.trace(G) ** 2 / np.sum(G**2))


def imbalance(model):
    r"""Imbalance of neighbouring layers, from 0 to 1.

    .. math:: \frac{\|W_{l+1}^\top W_{l+1}-W_lW_l^\top\|}{\|W_{l+1}^\top W_{l+1}\|+\|W_lW_l^\top\|} .

    Zero where neighbours are balanced, as they become when a linear network learns from small weights; the numerator
    stands still in linear networks. Descriptive only.

    Parameters
    ----------
    model : torch.nn.Module
        The network.

    Returns
    -------
    imbalance : dict of str to float
        By ``"lower -> upper"``, for trained matrices that follow each other in the module and whose shapes chain.
    """
    network = Network(model)
    matrices = [
        (name, p.detach().double().cpu().numpy())
        for name, p in zip(network.names, network.parameters, strict=True)
        if p.ndim == 2
    ]
    found = {}
    for (lower, W), (upper, V) in zip(matrices, matrices[1:], strict=False):
        if V.shape[1] == W.shape[0]:
            above, below = V.T @ V, W @ W.T
            size = np.linalg.norm(above) + np.linalg.norm(below)
            if size > 0:
                found[f"{lower} -> {upper}"] = float(np.linalg.norm(above - below) / size)
    return found


def _cosine(change, told):
    told = told.double()
    size = float(change.norm() * told.norm())
    return float((change * told).sum()) / size if size else 0.0


def _correlations(model, X):
    """What each weight of linear layers and convolutions saw, by its name: rows, or, of patches, their Gram matrix."""
    weighted = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) or isinstance(module, CONVOLUTIONS) and module.groups == 1
    }
    rows, grams = {}, {}
    for calls in heard(model, X) if weighted else ():
        for name, inputs in calls.items():
            layer = weighted.get(name)
            if isinstance(layer, torch.nn.Linear):
                rows.setdefault(name, []).extend(a.double().reshape(-1, layer.in_features) for a in inputs)
            elif layer is not None:
                grams[name] = grams.get(name, 0.0) + sum(_patch_gram(layer, a) for a in inputs)
    found = {name: (torch.cat(parts), False) for name, parts in rows.items()}
    found |= {name: (gram, True) for name, gram in grams.items()}
    return {f"{name}.weight": seen for name, seen in found.items()}


def _patch_gram(layer, x):
    """Gram matrix of the patches that a convolution sees, of a few samples at a time: all may not fit in memory."""
    size = layer.weight[0].numel()
    most = max(1, PATCHES // (x[0, 0].numel() * size))
    return sum(patches.mT @ patches for patches in (_patches(layer, part.double()) for part in x.split(most)))


def _patches(layer, x):
    """Patches as rows, one a sample and place, their entries in the order of the weight's."""
    kernel, dilation = layer.kernel_size, layer.dilation
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if layer.padding == "same":
        sides = [(r // 2, r - r // 2) for r in reach]
    elif layer.padding == "valid":
        sides = [(0, 0)] * len(reach)
    else:
        sides = [(p, p) for p in layer.padding]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = torch.nn.functional.pad(x, [side for pair in reversed(sides) for side in pair], mode=mode)
    for axis, (r, d, s) in enumerate(zip(reach, dilation, layer.stride, strict=True), start=2):
        x = x.unfold(axis, r + 1, s)[..., ::d]
    return x.movedim(1, 1 + len(kernel)).reshape(-1, layer.weight[0].numel())


def _gram_score(change, inputs, summed):
    """Score of two Gram matrices, that of the inputs given or, if they are rows, in the smaller of its forms."""

    def square(A):
        return float((A @ A.mT if len(A) < A.shape[1] else A.mT @ A).norm())

    size = square(change) * (float(inputs.norm()) if summed else square(inputs))
    along = ((change @ inputs) * change).sum() if summed else (inputs @ change.mT).norm() ** 2
    return float(along) / size if size else 0.0
