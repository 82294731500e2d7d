r"""Bases in which the correlations of all paths of a gated network are diagonal at once.

The bases are found block by block. Every key (a border edge of the graph) starts with the identity as its frame and
one cell that holds all its columns. Two moves cut cells until nothing is left to cut:

- a block between two cells is a sum of scaled isometries, one a group of modes, so its singular value decomposition
  cuts both cells where the singular values jump;
- where only scaled isometries are left, the strongest ones that join all cells of a group, a spanning tree, carry one
  frame to all of them; every other block of the group is then a symmetric matrix in that frame, whose eigenvalues
  cut all cells of the group together.

Why neither the length of chains of blocks nor the spread of singular values matters. Let :math:`\epsilon` be the
rounding of a block, and 1 its norm. Cuts are made in order of their size, level by level. When two modes are cut by a
gap :math:`g`, the cut is wrong by an angle of order :math:`\epsilon/g`; no block tells the two apart by much more than
:math:`g`, or it would have been cut first, so what the wrong angle leaves off the diagonal is of order
:math:`\epsilon` in every block. A frame is carried across a block of strength :math:`c` by the orthogonal factor of the
polar decomposition, which is orthogonal whatever :math:`c` is, and wrong by :math:`\epsilon/c`. As the tree
is a strongest one, a block that closes a cycle of :math:`n` blocks is no stronger than any of them and sees at most
:math:`n\epsilon`. Nothing is ever multiplied along a chain but orthogonal matrices.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np

from gdln import checks
from gdln.race.graph import Correlations

LEVELS = 10.0 ** -np.arange(1, 11)  # sizes of the gaps to cut at, relative to the norm of a block
ROUNDING = 1e-13  # of a measured correlation, relative to its Cauchy-Schwarz bound
DIGITS = 12  # known of a sum over paths of such correlations, relative to the strongest mode: one less than of each
AGREE, SAME_NODE, DRIVE, OTHER = range(4)  # kinds of blocks, in the order in which they fix signs


@dataclass(frozen=True)
class Bases:
    r"""Orthonormal modes at both ends of the paths, and how well they diagonalise all correlations at once.

    Attributes
    ----------
    inputs : dict of str to ndarray, shape (width, n_modes)
        :math:`V_e`, by input edge (an edge that leaves an input node).
    outputs : dict of str to ndarray, shape (width, n_modes)
        :math:`U_e`, by output edge. Columns are orthonormal, or zero where the node has no such mode.
    S : ndarray, shape (n_paths, n_modes)
        Diagonal of :math:`U^\top\Sigma^{yx}(p)V`.
    pairs : ndarray of int, shape (n_pairs, 2)
        Ordered pairs :math:`(j, p)` of paths with the same output node that are ever open together.
    D : ndarray, shape (n_pairs, n_modes)
        Diagonal of :math:`V^\top\Sigma^x(j,p)V`.
    residual : float
        Norm of all that is not diagonal, relative to the norm of all input-output or of all input correlations,
        whichever is larger: the units of inputs and outputs do not matter. Zero means that the reduction is exact;
        where the correlations do not diagonalise, other bases may leave a little less.
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
        From :func:`gdln.race.graph.correlations` or given in closed form.

    Returns
    -------
    bases : Bases
        Strongest modes first, those that nothing drives left out; ``bases.residual`` tells whether they do the job.

    Notes
    -----
    Saxe et al. (2022) ask for one basis a node (their eq. (7)-(8)). Here every edge that leaves an input node or
    enters an output node has its own, and the bases of two output edges must agree only if paths through them are
    ever open together: this covers exclusive or, where one output neuron serves two input modes. The method is
    derived in chapter "Reduction", its accuracy at the head of this module. What is smaller than
    :math:`10^{-10}` of its block, or than the rounding of a measured average, takes no part in the choice of bases.

    The sign of a mode is free at every edge. Edges of one input node get the signs that make their correlations
    positive, then as many :math:`S` as possible are made positive.
    """
    graph = checks.instance("statistics", statistics, Correlations).graph
    first = [("in", path[0]) for path in graph.paths]
    last = [("out", path[-1]) for path in graph.paths]
    width = {key: graph.widths[graph.ends(p)[0]] for p, key in enumerate(first)}
    width |= {key: graph.widths[graph.ends(p)[1]] for p, key in enumerate(last)}
    modes = _common_modes(width, _blocks(statistics, first, last, width))
    n_modes = 1 + max(index for index, _ in modes)
    bases = {key: np.zeros((n, n_modes)) for key, n in width.items()}
    for index, vectors in modes:
        for key, vector in vectors.items():
            bases[key][:, index] = vector

    S = np.zeros((len(graph.paths), n_modes))
    missed, total = np.zeros(2), np.zeros(2)
    for p, yx in statistics.yx.items():
        U, V = bases[last[p]], bases[first[p]]
        S[p] = np.diag(U.T @ yx @ V)
        missed[0] += ((yx - (U * S[p]) @ V.T) ** 2).sum()
        total[0] += (yx**2).sum()
    pairs = np.array(list(statistics.xx), dtype=int).reshape(-1, 2)
    D = np.zeros((len(pairs), n_modes))
    for k, ((j, p), xx) in enumerate(statistics.xx.items()):
        V_j, V_p = bases[first[j]], bases[first[p]]
        D[k] = np.diag(V_j.T @ xx @ V_p)
        missed[1] += ((xx - (V_j * D[k]) @ V_p.T) ** 2).sum()
        missed[1] += (((bases[last[j]] - bases[last[p]]) * D[k]) ** 2).sum()
        total[1] += (xx**2).sum()
    whole = np.array([bases[a].any(axis=0) & bases[b].any(axis=0) for a, b in zip(first, last, strict=True)])
    S, D = S * whole, D * (whole[pairs[:, 0]] & whole[pairs[:, 1]])
    drive, brake = (_relative(np.abs(x).sum(axis=0)) for x in (S, D))
    order = np.lexsort((-brake, -drive.round(DIGITS)))
    order = order[np.maximum(drive, brake)[order] > 10.0**-DIGITS]
    inputs = {e: bases["in", e][:, order] for _, e in dict.fromkeys(first)}
    outputs = {e: bases["out", e][:, order] for _, e in dict.fromkeys(last)}
    residual = float(np.sqrt(np.divide(missed, total, out=np.zeros(2), where=total > 0).max()))
    return Bases(inputs, outputs, S[:, order], pairs, D[:, order], residual)


@dataclass(frozen=True)
class _Block:
    """Correlation of norm one between the frames of two keys, with its kind and the size of its rounding."""

    a: tuple
    b: tuple
    matrix: np.ndarray
    kind: int
    rounding: float

    def least(self, level):
        """Smallest number in this block that counts at a level."""
        return max(level, self.rounding)


def _blocks(statistics, first, last, width):
    """All correlations, each over its norm, once if several are equal; those of pure rounding are left out."""
    ends = statistics.graph.ends
    power = {p: np.trace(xx) for (j, p), xx in statistics.xx.items() if j == p}
    found = [
        (last[p], first[p], yx, DRIVE, np.sqrt(statistics.yy * power.get(p, 0.0)))
        for p, yx in statistics.yx.items()
    ]
    agreeing = {}
    for (j, p), xx in statistics.xx.items():
        if j <= p:
            kind = SAME_NODE if ends(j)[0] == ends(p)[0] else OTHER
            found.append((first[j], first[p], xx, kind, np.sqrt(power.get(j, 0.0) * power.get(p, 0.0))))
            if last[j] != last[p]:
                agreeing[frozenset((last[j], last[p]))] = (last[j], last[p])
    blocks = [_Block(a, b, np.eye(width[a]), AGREE, ROUNDING) for a, b in agreeing.values()]
    alike = {}
    for a, b, matrix, kind, bound in found:
        size = np.linalg.norm(matrix, 2)
        if size > ROUNDING * bound:
            block = _Block(a, b, matrix / size, kind, ROUNDING * max(bound / size, 1.0))
            others = alike.setdefault((a, b, kind), [])
            if not any(np.abs(other.matrix - block.matrix).max() < ROUNDING for other in others):
                others.append(block)
    return blocks + [block for others in alike.values() for block in others]


@dataclass
class _Frames:
    """Orthogonal frame of every key, and where its columns are cut into cells."""

    frame: dict
    cuts: dict

    def cells(self, key):
        """Slices of the columns."""
        return [slice(a, b) for a, b in zip(self.cuts[key][:-1], self.cuts[key][1:], strict=True)]

    def seen(self, block):
        """The block in the frames of its keys."""
        return self.frame[block.a].T @ block.matrix @ self.frame[block.b]

    def turn(self, key, cell, rotation):
        """Turn the columns of a cell."""
        self.frame[key][:, cell] = self.frame[key][:, cell] @ rotation

    def cut(self, key, cell, rotation, jumps):
        """Turn a cell and cut it before the columns named, if any; tells whether there are any."""
        if jumps.size:
            self.turn(key, cell, rotation)
            self.cuts[key] = sorted({*self.cuts[key], *(cell.start + jumps).tolist()})
        return bool(jumps.size)


def _common_modes(width, blocks):
    """Vectors of every mode by key, each mode with the lowest index that is free at all its keys."""
    frames = _Frames({key: np.eye(n) for key, n in width.items()}, {key: [0, n] for key, n in width.items()})
    for level in LEVELS:
        _cut_cells(frames, blocks, level)
        while _cut_groups(frames, blocks, level):
            _cut_cells(frames, blocks, level)
    groups = _groups(frames, blocks, LEVELS[-1])
    modes = []
    for group in groups:
        _carry(frames, group)
        for k in range(group.size):
            vectors = {key: frames.frame[key][:, cell.start + k].copy() for key, cell in group.cells.items()}
            links = [(blk, frames.seen(blk)[i.start + k, j.start + k]) for blk, i, j in group.links]
            modes.append((vectors, links))
    ranked = sorted(modes, key=lambda mode: (-len(mode[0]), -sum(abs(c) for _, c in mode[1])))
    used = {key: set() for key in width}
    indexed = []
    for vectors, links in ranked:
        _fix_signs(vectors, links)
        index = next(i for i in count() if all(i not in used[key] for key in vectors))
        for key in vectors:
            used[key].add(index)
        indexed.append((index, vectors))
    return indexed


def _cut_cells(frames, blocks, level):
    """Cut cells by the singular values of the blocks between them until all blocks are scaled isometries."""
    at = {key: [] for key in frames.frame}
    for k, block in enumerate(blocks):
        for key in {block.a, block.b}:
            at[key].append(k)
    waiting = dict.fromkeys(range(len(blocks)))
    while waiting:
        k = next(iter(waiting))
        changed = _cut_by(frames, blocks[k], level)
        if not changed:
            del waiting[k]
        for key in changed:
            waiting |= dict.fromkeys(at[key])


def _cut_by(frames, block, level):
    """Cut the first pair of cells that a block tells apart; returns the keys whose cells were cut."""
    seen, least = frames.seen(block), block.least(level)
    rows, columns = frames.cells(block.a), frames.cells(block.b)
    for i in rows:
        for j in columns:
            part = seen[i, j]
            if part.size == 1 or np.linalg.norm(part) <= least:
                continue
            if block.a == block.b and i == j:
                values, vectors = np.linalg.eigh((part + part.T) / 2)
                if frames.cut(block.a, i, vectors, _jumps(values, least)):
                    return {block.a}
                continue
            left, values, right = np.linalg.svd(part)
            ends = [_jumps(np.pad(values, (0, n - values.size)), least) for n in part.shape]
            cut = {block.a} if frames.cut(block.a, i, left, ends[0]) else set()
            cut |= {block.b} if frames.cut(block.b, j, right.T, ends[1]) else set()
            if cut:
                return cut
    return set()


@dataclass
class _Group:
    """Cells of one size at different keys, joined by a tree of blocks; ``links`` are all blocks between them."""

    size: int
    cells: dict
    tree: list
    links: list


def _groups(frames, blocks, level):
    """Join cells by the blocks between them, strongest first, at most one cell a key."""
    found = []
    for block in blocks:
        seen = np.square(frames.seen(block))
        starts = [np.array(frames.cuts[key][:-1]) for key in (block.a, block.b)]
        sizes = [np.diff(frames.cuts[key]) for key in (block.a, block.b)]
        strength = np.add.reduceat(np.add.reduceat(seen, starts[0], axis=0), starts[1], axis=1)
        strength = np.sqrt(strength / np.maximum(*np.meshgrid(*sizes, indexing="ij")))
        counts = (strength > block.least(level)) & (sizes[0][:, None] == sizes[1])
        for i, j in np.argwhere(counts):
            cells = [
                slice(int(s[k]), int(s[k] + n[k])) for s, n, k in zip(starts, sizes, (i, j), strict=True)
            ]
            found.append((block.kind != AGREE, -strength[i, j], block, *cells))
    found.sort(key=lambda link: link[:2])
    group = {
        (key, cell.start): _Group(cell.stop - cell.start, {key: cell}, [], [])
        for key in frames.frame
        for cell in frames.cells(key)
    }
    for *_, block, i, j in found:
        one, two = group[block.a, i.start], group[block.b, j.start]
        if one is not two and not one.cells.keys() & two.cells.keys():
            one, two = sorted((one, two), key=lambda g: -len(g.cells))
            one.cells |= two.cells
            one.tree += [*two.tree, (block, i, j)]
            for key, cell in two.cells.items():
                group[key, cell.start] = one
    for *_, block, i, j in found:
        if group[block.a, i.start] is group[block.b, j.start]:
            group[block.a, i.start].links.append((block, i, j))
    return list({id(g): g for g in group.values()}.values())


def _carry(frames, group):
    """Turn the cells of a group so that the blocks of its tree are multiples of the identity."""
    if group.size == 1:
        return
    neighbours = {key: [] for key in group.cells}
    for block, i, j in group.tree:
        neighbours[block.a].append((block.b, block.matrix, i, j))
        neighbours[block.b].append((block.a, block.matrix.T, j, i))
    root = next(iter(group.cells))
    reached, front = {root}, [root]
    while front:
        here = front.pop()
        for key, matrix, i, j in neighbours[here]:
            if key not in reached:
                left, _, right = np.linalg.svd(frames.frame[here][:, i].T @ matrix @ frames.frame[key][:, j])
                frames.turn(key, j, (left @ right).T)
                reached.add(key)
                front.append(key)


def _cut_groups(frames, blocks, level):
    """Cut the cells of groups where a block that closes a cycle tells their modes apart; tells whether one does."""
    any_cut = False
    for group in _groups(frames, blocks, level):
        if group.size == 1:
            continue
        _carry(frames, group)
        for block, i, j in group.links:
            part = frames.seen(block)[i, j]
            values, vectors = np.linalg.eigh((part + part.T) / 2)
            jumps = _jumps(values, block.least(level))
            if jumps.size:
                for key, cell in group.cells.items():
                    frames.cut(key, cell, vectors, jumps)
                any_cut = True
                break
    return any_cut


def _fix_signs(vectors, links):
    """Choose the signs of a mode in place, block after block in the order of kinds, the strongest first."""
    part = {key: {key} for key in vectors}
    for block, strength in sorted(links, key=lambda link: (link[0].kind, -abs(link[1]))):
        one, two = part[block.a], part[block.b]
        if one is two or abs(strength) <= block.least(LEVELS[-1]):
            continue
        # the sign that was given to a vector since the strength was read is in the vector itself
        if vectors[block.a] @ block.matrix @ vectors[block.b] < 0:
            for key in two:
                vectors[key] *= -1
        one |= two
        part |= dict.fromkeys(two, one)


def _jumps(values, least):
    """Places before which sorted values jump."""
    return np.flatnonzero(np.abs(values[1:] - values[:-1]) > least) + 1


def _relative(values):
    """Values over the largest of them."""
    return values / (values.max(initial=0.0) or 1.0)
