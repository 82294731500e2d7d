"""Bases in which the correlations of all paths of a gated network are diagonal at once."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, expm


@dataclass(frozen=True)
class Bases:
    r"""Orthonormal modes at both ends of the paths, and how well they diagonalise all correlations at once.

    Attributes
    ----------
    inputs : dict of str to ndarray, shape (width, n_modes)
        :math:`V_e`, by input edge (an edge that leaves an input node).
    outputs : dict of str to ndarray, shape (width, n_modes)
        :math:`U_e`, by output edge. A column is zero where the node has no such mode.
    S : ndarray, shape (n_paths, n_modes)
        Diagonal of :math:`U^\top\Sigma^{yx}(p)V`.
    pairs : ndarray of int, shape (n_pairs, 2)
        Ordered pairs :math:`(j, p)` of paths with the same output node that are ever open together.
    D : ndarray, shape (n_pairs, n_modes)
        Diagonal of :math:`V^\top\Sigma^x(j,p)V`.
    residual : float
        Norm of all that is not diagonal, relative to the norm of all correlations. Zero, with columns that are
        orthonormal where they are not zero, means that the reduction is exact; where the correlations do not
        diagonalise the columns need not be orthonormal, and another choice may leave a little less.
    """

    inputs: dict
    outputs: dict
    S: np.ndarray
    pairs: np.ndarray
    D: np.ndarray
    residual: float


def diagonalise(statistics):
    r"""Bases in which the correlations of all paths are diagonal at once, if there are any.

    .. math:: \Sigma^{yx}(p) = U_{\rm last(p)}S(p)V_{\rm first(p)}^\top,\qquad
        \Sigma^x(j,p) = V_{\rm first(j)}D(j,p)V_{\rm first(p)}^\top .

    Parameters
    ----------
    statistics : Correlations
        From :func:`gdln.graph.correlations` or given in closed form.

    Returns
    -------
    bases : Bases
        Strongest modes first, those that nothing drives left out; ``bases.residual`` tells whether they do the job.

    Notes
    -----
    Saxe et al. (2022) ask for one basis a node (their eq. (7)-(8)). Here every edge that leaves an input node or
    enters an output node has its own, and the bases of two output edges must agree only if paths through them are
    ever open together: this covers exclusive or, where one output neuron serves two input modes. Derived in chapter
    "Reduction", with the method: a weighted sum :math:`H` of all correlations is a direct sum of one small matrix
    a mode, so the blocks of :math:`e^H` have the wanted bases even when modes are degenerate.
    """
    graph = statistics.graph
    first = [("in", path[0]) for path in graph.paths]
    last = [("out", path[-1]) for path in graph.paths]
    width = {key: graph.widths[graph.ends(p)[0]] for p, key in enumerate(first)}
    width |= {key: graph.widths[graph.ends(p)[1]] for p, key in enumerate(last)}
    blocks = [(last[p], first[p], yx) for p, yx in statistics.yx.items()]
    blocks += [(first[j], first[p], xx) for (j, p), xx in statistics.xx.items()]
    size = max([np.linalg.norm(m) for *_, m in blocks], default=1.0) or 1.0
    for j, p in statistics.xx:
        if last[j] != last[p]:
            blocks.append((last[j], last[p], size * np.eye(width[last[p]])))

    modes = _common_modes(width, blocks)
    n_modes = 1 + max(index for index, _ in modes)
    bases = {key: np.zeros((n, n_modes)) for key, n in width.items()}
    for index, vectors in modes:
        for key, vector in vectors.items():
            bases[key][:, index] = vector

    S = np.zeros((len(graph.paths), n_modes))
    missed = total = 0.0
    for p, yx in statistics.yx.items():
        U, V = bases[last[p]], bases[first[p]]
        S[p] = np.diag(U.T @ yx @ V)
        missed, total = missed + ((yx - (U * S[p]) @ V.T) ** 2).sum(), total + (yx**2).sum()
    pairs = np.array(list(statistics.xx), dtype=int).reshape(-1, 2)
    D = np.zeros((len(pairs), n_modes))
    for k, ((j, p), xx) in enumerate(statistics.xx.items()):
        V_j, V_p = bases[first[j]], bases[first[p]]
        D[k] = np.diag(V_j.T @ xx @ V_p)
        missed, total = missed + ((xx - (V_j * D[k]) @ V_p.T) ** 2).sum(), total + (xx**2).sum()
        missed += (((bases[last[j]] - bases[last[p]]) * D[k]) ** 2).sum()
    whole = np.array([bases[a].any(axis=0) & bases[b].any(axis=0) for a, b in zip(first, last, strict=True)])
    S, D = S * whole, D * (whole[pairs[:, 0]] & whole[pairs[:, 1]])
    driven = np.abs(S).sum(axis=0) + np.abs(D).sum(axis=0)
    order = np.lexsort((-driven, -np.abs(S).sum(axis=0).round(12)))
    order = order[driven[order] > 1e-12 * driven.max()]
    inputs = {e: bases["in", e][:, order] for _, e in dict.fromkeys(first)}
    outputs = {e: bases["out", e][:, order] for _, e in dict.fromkeys(last)}
    residual = float(np.sqrt(missed / total)) if total else 0.0
    return Bases(inputs, outputs, S[:, order], pairs, D[:, order], residual)


def _common_modes(width, blocks):
    """Vectors of every mode by key, each mode with the lowest index that is free at all its keys."""
    keys = list(width)
    offset = dict(zip(keys, np.cumsum([0, *width.values()]), strict=False))
    span = {key: slice(offset[key], offset[key] + width[key]) for key in keys}
    total = sum(width.values())
    H = np.zeros((total, total))
    for k, (a, b, matrix) in enumerate(blocks):
        weight = 1 + (k + 1) * 0.6180339887498949 % 1  # generic, so that no two modes coincide by accident
        size = np.linalg.norm(matrix) or 1.0
        H[span[a], span[b]] += weight * matrix / size
        H[span[b], span[a]] += weight * matrix.T / size
    H /= np.linalg.norm(H, 2) or 1.0

    free = {key: np.eye(width[key]) for key in keys}  # what no mode has taken yet
    modes = []
    while any(frame.size for frame in free.values()):
        root = max(keys, key=lambda key: free[key].shape[1])
        frame = block_diag(*[free[key] for key in keys])
        reach = frame @ expm(frame.T @ H @ frame) @ frame.T
        own = free[root].T @ reach[span[root], span[root]] @ free[root]
        found = free[root] @ np.linalg.eigh(own)[1][:, ::-1]
        taken = {key: [] for key in keys}
        for vector in found.T:
            mode = {root: vector}
            for key in keys:
                image = reach[span[key], span[root]] @ vector
                if key != root and np.linalg.norm(image) > 1e-9:
                    mode[key] = image / np.linalg.norm(image)
            modes.append(mode)
            for key, part in mode.items():
                taken[key].append(part)
        for key, parts in taken.items():
            free[key] = _complement(free[key], np.array(parts).T if parts else None)
    strength = [sum(np.linalg.norm(H[span[a], span[b]] @ m[b]) for a in m for b in m) for m in modes]
    used = {key: set() for key in keys}
    indexed = []
    for k in sorted(range(len(modes)), key=lambda k: (-len(modes[k]), -strength[k])):
        index = next(i for i in range(len(modes)) if all(i not in used[key] for key in modes[k]))
        for key in modes[k]:
            used[key].add(index)
        indexed.append((index, modes[k]))
    return indexed


def _complement(frame, taken):
    """Orthonormal basis of the part of span(frame) that is orthogonal to the columns taken."""
    if taken is None or not frame.size:
        return frame
    left, values, _ = np.linalg.svd(frame.T @ taken)
    rank = int((values > 1e-6).sum())
    return frame @ left[:, rank:]
