r"""Tangent and feature kernels of any torch module, in blocks, and how far they move."""

import numpy as np
import torch

from gdln import checks
from gdln.diagnosis.networks import BATCH, Network

#: Share of the memory that holds rows of the Jacobian for reuse; the rest is for making others, which takes copies.
HELD = 0.6
#: Samples whose rows are made at once: more do not stay in cache.
CHUNK = 64


def tangent_kernel(model, X, X2=None, *, outputs="all", memory=1e9):
    r"""Tangent kernel :math:`K_{ic,jd}=\nabla_\theta f_c(x_i)\cdot\nabla_\theta f_d(x_j)` over the trained parameters.

    Of a linear layer the kernel is a product of two Gram matrices, of inputs and of backward signals, and no row of the
    Jacobian is made. Of other parameters rows are made for a block of samples at a time, held for as many samples as
    ``memory`` allows, and multiplied; with one data set only the lower triangle is computed.

    Parameters
    ----------
    model : torch.nn.Module
        The network; see :class:`gdln.diagnosis.networks.Network`.
    X : array_like or Tensor, shape (n, ...)
        Inputs.
    X2 : array_like or Tensor, shape (m, ...), optional
        Second set; ``X`` itself unless given.
    outputs : {"all", "trace", "sum"}, optional
        Every pair of outputs; the sum :math:`\sum_cK_{ic,jc}`, which needs as many gradients but fewer products; or
        the kernel of the one output :math:`\sum_cf_c`, which needs one gradient a sample.
    memory : float, optional
        Bytes for rows of the Jacobian, at least a row of two samples.

    Returns
    -------
    K : Tensor, shape (n, n_outputs, m, n_outputs), or (n, m) unless ``"all"``
        In the type and on the device of the parameters; symmetric to the last bit with one data set.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the model cannot be diagnosed.

    Notes
    -----
    Linear layers of :math:`n_{\rm in}` and :math:`n_{\rm out}` units take :math:`n^2(n_{\rm in}+C^2n_{\rm out})`
    operations. Other :math:`p` parameters take :math:`n^2pC^2` (:math:`n^2pC` for the trace) and about
    :math:`nC(1 + nCp/2M)` gradients, :math:`M` the numbers that are held.

    Examples
    --------
    >>> line = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    >>> tangent_kernel(line, [[1.0, 2.0], [0.0, 1.0]], outputs="trace")
    tensor([[5., 2.],
            [2., 1.]], dtype=torch.float64)
    """
    network = Network(model)
    checks.choice("outputs", outputs, ("all", "trace", "sum"))
    X = network.inputs("X", X)
    same = X2 is None
    X2 = X if same else network.inputs("X2", X2)
    checks.need(X2.shape[1:] == X.shape[1:], "X2", f"samples of shape {tuple(X.shape[1:])}, as X", X2)
    memory = checks.positive("memory", memory)
    n, m, C = len(X), len(X2), network.outputs(X[:1]).shape[1]
    rows = 1 if outputs == "sum" else C
    summed, side = outputs == "sum", C if outputs == "all" else 1
    K = torch.zeros(n * side, m * side, dtype=network.dtype, device=network.device)
    dense = network.dense(X)
    names = _add_dense(K, network, X, X2, dense, outputs) if dense else network.names
    sizes = dict(zip(network.names, (p.numel() for p in network.parameters), strict=True))
    if not names:
        return _shaped(K, n, C, m, outputs, same)
    numbers = memory / (rows * sum(sizes[name] for name in names) * K.element_size())
    held = max(1, min(n, int(HELD * numbers)))
    # a block is made through copies of itself
    chunk = max(1, min(int((1 - HELD) * numbers / 4), CHUNK))

    def fill(start, rows, j, columns):
        if side == 1:
            rows, columns = ([r.flatten(1) for r in part] for part in (rows, columns))
        else:
            rows, columns = ([r.flatten(0, 1) for r in part] for part in (rows, columns))
        block = sum(a @ b.mT for a, b in zip(rows, columns, strict=True))
        across, along = (
            slice(k * side, k * side + size) for k, size in zip((start, j), block.shape, strict=True)
        )
        K[across, along] += block
        if same and start > j:
            K[along, across] += block.mT

    for i in range(0, n, held):
        stop = min(i + held, n)
        kept = _held_rows(network, X[i:stop], chunk, summed, names)
        for j in range(0, i if same else m, chunk):
            part = X2[j : min(j + chunk, i)] if same else X2[j : j + chunk]
            fill(i, kept, j, network.jacobian(part, summed, names))
        for j in range(i, stop if same else i, chunk):
            columns = [r[j - i : j - i + chunk] for r in kept]
            fill(j, columns, j, columns)
            fill(j + chunk, [r[j - i + chunk :] for r in kept], j, columns)
    return _shaped(K, n, C, m, outputs, same)


def _shaped(K, n, C, m, outputs, same):
    if same:
        K = (K + K.mT) / 2  # a product of matrices is symmetric to rounding only
    return K.view(n, C, m, C) if outputs == "all" else K


def _add_dense(K, network, X, X2, layers, outputs):
    """Add the kernels of linear layers as products of two Gram matrices; return the parameters that are left."""
    summed = outputs == "sum"
    sets = [network.signals(X, layers, summed)]
    sets.append(sets[0] if X2 is X else network.signals(X2, layers, summed))
    left = list(network.names)
    for name, (a, d), (a2, d2) in zip(layers, *sets, strict=True):
        layer, forward = network.model.get_submodule(name), 0
        for key, part in (("weight", lambda a=a, a2=a2: a @ a2.mT), ("bias", lambda: 1.0)):
            mine = [
                n for n, p in zip(network.names, network.parameters, strict=True) if p is getattr(layer, key)
            ]
            if mine:
                forward = forward + part()
                left.remove(mine[0])
        if outputs == "all":
            backward = torch.einsum("icu,jdu->icjd", d, d2)
            forward = forward[:, None, :, None] if torch.is_tensor(forward) else forward
            K += (forward * backward).view(K.shape)
        else:
            K += forward * (d.flatten(1) @ d2.flatten(1).mT)
    return left


def _held_rows(network, X, chunk, summed, names):
    """Rows for many samples, made a few samples at a time and written into their place."""
    held = None
    for start in range(0, len(X), chunk):
        part = network.jacobian(X[start : start + chunk], summed, names)
        if len(part[0]) == len(X):
            return part
        held = held or [r.new_empty((len(X), *r.shape[1:])) for r in part]
        for kept, r in zip(held, part, strict=True):
            kept[start : start + chunk] = r
        del part
    return held


def movement(before, after):
    r"""Relative movement of a kernel, :math:`\|K_T-K_0\|_F/\|K_0\|_F`.

    Parameters
    ----------
    before, after : array_like
        The kernel at two times, of one shape.

    Returns
    -------
    moved : float
        0 where it stood still; a kernel that doubled has moved by 1.

    Raises
    ------
    ValueError
        If the shapes differ, the first kernel is zero, or the ratio does not fit into float64.

    Examples
    --------
    >>> float(movement([[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 3.0]]))
    2.0
    """
    before, after = checks.array("before", before), checks.array("after", after)
    checks.need(before.shape == after.shape, "before, after", f"one shape, {before.shape}", after)
    largest = np.abs(before).max()
    checks.need(largest > 0, "before", "a kernel that is not zero", largest)
    with np.errstate(over="ignore"):
        before, after = before / largest, after / largest  # squares of a huge kernel would overflow
        moved = np.linalg.norm(after - before) / np.linalg.norm(before)
    checks.need(np.isfinite(moved), "before, after", "kernels whose ratio fits into float64", moved)
    return float(moved)


def centred_alignment(before, after):
    r"""Alignment of two centred kernels, :math:`\langle HKH,HK'H\rangle/\|HKH\|\|HK'H\|`, which forgets their scale.

    Parameters
    ----------
    before, after : array_like, shape (n, n) or (n, k, n, k)
        Kernels; with several outputs the matrix of all pairs is centred.

    Returns
    -------
    alignment : float
        1 where they are proportional up to constants.

    Raises
    ------
    ValueError
        If they are not square and of one shape, or one is constant.
    """
    before = checks.array("before", before, ndim=(2, 4))
    after = checks.array("after", after, shape=before.shape)
    side = int(np.prod(before.shape[: before.ndim // 2]))
    checks.need(before.size == side**2, "before", "as many rows as columns", before)
    found = []
    for name, K in (("before", before), ("after", after)):
        K = K.reshape(side, side)
        scale = np.abs(K).max()
        K = K / scale if scale else K
        K = K - K.mean(axis=0) - K.mean(axis=1, keepdims=True) + K.mean()
        size = np.linalg.norm(K)
        checks.need(size > 1e-12 * side, name, "a kernel that is not constant", size)
        found.append(K / size)
    return float(np.sum(found[0] * found[1]))


def heard(model, X):
    """Inputs of every layer of a module as the layer received them, a batch of samples at a time.

    Parameters
    ----------
    model : torch.nn.Module
        The network; a layer is a submodule with parameters of its own.
    X : array_like or Tensor, shape (n, ...)
        Inputs.

    Returns
    -------
    batches : iterator of dict of str to list of Tensor
        By the layer's name, in the order in which layers are reached: what it was called with, a tensor a call, all
        samples first. Nothing for scripted modules and for parameters outside submodules, which cannot be listened to.

    Raises
    ------
    TypeError, ValueError
        If the model cannot be diagnosed, or refuses the inputs.
    """
    network = Network(model)
    X = network.inputs("X", X)
    network.outputs(X[:1])  # what the model refuses, it refuses now and not at the first batch
    return _heard(network, X)


def _heard(network, X):
    if isinstance(network.model, torch.jit.ScriptModule):
        return
    calls, handles = {}, []

    def listen(name):
        def hook(_, args):
            if args and isinstance(args[0], torch.Tensor):
                calls.setdefault(name, []).append(args[0].detach())

        return hook

    try:
        for name, module in network.model.named_modules():
            if name and any(True for _ in module.parameters(recurse=False)):
                handles.append(module.register_forward_pre_hook(listen(name)))
        for part in X.split(BATCH):
            calls.clear()
            network.outputs(part)
            yield {name: list(a) for name, a in calls.items() if all(len(one) == len(part) for one in a)}
    finally:
        for handle in handles:
            handle.remove()


def features(model, X):
    """Inputs of every layer of a module: activities of samples, flattened, by the layer's name.

    Parameters
    ----------
    model, X
        As in :func:`heard`.

    Returns
    -------
    features : dict of str to Tensor, shape (n, n_features)
        In the order in which layers are reached; a layer that is used several times has its inputs side by side.
    """
    found = {}
    for calls in heard(model, X):
        for name, inputs in calls.items():
            found.setdefault(name, []).append(torch.cat([a.flatten(1) for a in inputs], 1))
    return {name: torch.cat(parts) for name, parts in found.items()}


def feature_kernels(model, X):
    r"""Gram matrices :math:`\phi_l\phi_l^\top` of the inputs of every layer.

    Parameters
    ----------
    model, X
        As in :func:`features`.

    Returns
    -------
    kernels : dict of str to Tensor, shape (n, n)
        By the layer's name.
    """
    return {name: phi @ phi.mT for name, phi in features(model, X).items() if phi.is_floating_point()}
