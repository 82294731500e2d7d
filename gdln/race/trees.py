"""Pathway trees: inputs that merge level by level into a trunk, and outputs that branch from it.

Every leaf-to-leaf route is a path, so their number grows with the square of the number of leaves; the sums over
partners factorise, and the flow costs one pass over the edges.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from gdln import checks
from gdln.integration import ATOL, RTOL, integrate
from gdln.race.graph import GatedGraph
from gdln.race.reduction import Reduction, start_strengths


@dataclass(frozen=True)
class TreeSolution:
    """Strengths of all edges of a tree.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Times.
    B : ndarray, shape (n_times, n_edges, n_modes)
        Strengths.
    """

    times: np.ndarray
    B: np.ndarray


@dataclass(frozen=True)
class PathwayTree:
    r"""A tree of input edges, a trunk, a tree of output edges; every route is trained equally often.

    Parameters
    ----------
    inputs, outputs : sequence of sequence of int
        One entry a level, leaves first: the number of the edge on the next level that each edge joins. The last
        level joins the trunk, so its entries are all zero. ``[[0] * M]`` is the routing network.
    S, D : array_like, shape (n_modes,)
        Correlations of the base data set.
    n_trunk : int, optional
        Edges of the trunk in series.

    Raises
    ------
    ValueError
        If an edge joins one that does not exist, or an edge above the leaves has nothing below it.

    Notes
    -----
    Strengths are stored in the order input levels (leaves first), trunk, output levels (leaves first). Let
    :math:`A_n(e)=\sum_p B_p^n` over the parts of paths from a leaf up to, and without, edge :math:`e`. Then
    :math:`\tau\dot B_e=\pi[S\,A_1(e)\bar A_1(e)-D\,B_eA_2(e)\bar A_2(e)]` with :math:`\bar A_n` the same sums on
    the other side and :math:`\pi` one over the number of routes; derived in chapter "The race".
    """

    inputs: tuple
    outputs: tuple
    S: np.ndarray
    D: np.ndarray
    n_trunk: int = 1

    def __post_init__(self):
        S, D = (np.atleast_1d(checks.array(name, getattr(self, name), ndim=(0, 1))) for name in ("S", "D"))
        checks.need(1 in (S.size, D.size) or S.size == D.size, "D", f"one number, or {S.size} as S has", D)
        S, D = np.broadcast_arrays(S, D)
        object.__setattr__(self, "S", S)
        object.__setattr__(self, "D", D)
        object.__setattr__(self, "n_trunk", checks.count("n_trunk", self.n_trunk))
        for side in ("inputs", "outputs"):
            levels = checks.instance(side, getattr(self, side), (list, tuple))
            levels = tuple(checks.array(side, level, ndim=1, dtype=int) for level in levels)
            checks.need(len(levels) > 0, side, "at least one level", getattr(self, side))
            sizes = [len(level) for level in levels[1:]] + [1]
            for level, size in zip(levels, sizes, strict=True):
                joined = set(level.tolist()) == set(range(size))
                checks.need(joined, side, f"levels that join every one of {size} edges", level.tolist())
            object.__setattr__(self, side, levels)
        sizes = (
            [len(level) for level in self.inputs] + [self.n_trunk] + [len(level) for level in self.outputs]
        )
        ends = np.cumsum([0, *sizes])
        parts = [slice(i, j) for i, j in pairwise(ends.tolist())]
        trunk = len(self.inputs)
        joins = []  # of each pair of levels, leaves first: the lower and the upper edges, and who joins whom
        for side, edges in ((self.inputs, parts[:trunk]), (self.outputs, parts[trunk + 1 :])):
            for (lower, upper), join in zip(pairwise(edges), side[:-1], strict=True):
                entries = (np.ones(len(join)), (join, np.arange(len(join))))
                joins.append(
                    (lower, upper, join, csr_array(entries, shape=(upper.stop - upper.start, len(join))))
                )
        tops = np.zeros((2, ends[-1]))
        tops[0, parts[trunk - 1]] = tops[1, parts[-1]] = 1
        chance = 1 / (len(self.inputs[0]) * len(self.outputs[0]))
        for name, value in (("n_edges", int(ends[-1])), ("trunk", parts[trunk]), ("joins", joins), ("tops", tops),
                            ("drive", chance * S), ("brake", chance * D)):  # fmt: skip
            object.__setattr__(self, f"_{name}", value)

    @property
    def n_edges(self):
        """Number of edges."""
        return self._n_edges

    def _climb(self, x):
        """Sums over the parts of paths below every edge (None where all are leaves) and below the trunk's ends."""
        if not self._joins:
            return None, self._tops.dot(x)
        below = np.ones_like(x)
        for lower, upper, _, add in self._joins:
            below[upper] = add.dot(x[lower] * below[lower])
        return below, self._tops.dot(x * below)

    def _descend(self, x, below, signal, out=None):
        """What comes down to every edge from the trunk, times the sums below it."""
        reached = np.dot(self._tops.T, signal, out=out)
        for lower, upper, join, _ in reversed(self._joins):
            reached[lower] = (reached[upper] * x[upper])[join]
        if below is not None:
            reached *= below
        return reached

    def velocity(self, B):
        r"""Right-hand side :math:`\tau\dot B`, shape (n_edges, n_modes), at cost proportional to that shape."""
        # products with _tops sum over partners and spread a signal to them: at thirty domains a row is so short that
        # broadcasting it takes three times as long
        squares = B * B
        (below, (in_first, out_first)), (below2, (in_second, out_second)) = map(self._climb, (B, squares))
        trunk = B[self._trunk]
        whole = trunk[0] if self.n_trunk == 1 else trunk.prod(axis=0)
        pull, push = self._drive * whole, self._brake * whole
        square = push * whole
        velocity = self._descend(B, below, np.array([pull * out_first, pull * in_first]))
        # with ten thousand domains, memory that was not touched before would take half the time
        done = squares if below2 is None else None
        brake = self._descend(squares, below2, np.array([square * out_second, square * in_second]), out=done)
        brake *= B
        velocity -= brake
        error = self._drive * in_first * out_first
        error -= push * in_second * out_second
        if self.n_trunk == 1:
            velocity[self._trunk] = error
        else:
            for k in range(self.n_trunk):
                velocity[self._trunk.start + k] = np.delete(trunk, k, axis=0).prod(axis=0) * error
        return velocity

    def solve(self, B0, times, tau=1.0, rtol=RTOL, atol=ATOL):
        """Integrate the flow.

        Parameters
        ----------
        B0 : array_like
            Initial strengths, broadcast to (n_edges, n_modes).
        times : array_like, shape (n_times,)
            Increasing times; the start is at the first.
        tau : float, optional
            Time constant.
        rtol, atol : float, optional
            Tolerances of :func:`gdln.integration.integrate`.

        Returns
        -------
        solution : TreeSolution
            Strengths at ``times``.

        Raises
        ------
        TypeError, ValueError
            If ``B0`` does not broadcast, ``tau`` is not positive, times decrease or a number is not finite.
        gdln.checks.Diverged
            If the strengths stop being finite; tells at which time.
        """
        shape = (self.n_edges, self.S.size)
        tau = checks.positive("tau", tau)
        start = start_strengths(B0, shape).ravel()
        times = checks.times("times", times, ndim=1, ordered=True, least=None)

        def slope(t, state):
            return self.velocity(state.reshape(shape)).ravel() / tau

        return TreeSolution(times, integrate(slope, start, times, rtol, atol).reshape(-1, *shape))

    def path_by_path(self):
        """The same tree as a :class:`gdln.race.reduction.Reduction`, which lists every path."""
        n_in, n_out = len(self.inputs), len(self.outputs)
        edges = {}
        for k, level in enumerate(self.inputs):
            for i, join in enumerate(level):
                top = f"in{k + 1}.{join}" if k + 1 < n_in else "trunk0"
                edges[f"e{len(edges)}"] = (f"in{k}.{i}", top)
        for k in range(self.n_trunk):
            edges[f"e{len(edges)}"] = (f"trunk{k}", f"trunk{k + 1}")
        for k, level in enumerate(self.outputs):
            for i, join in enumerate(level):
                top = f"out{k + 1}.{join}" if k + 1 < n_out else f"trunk{self.n_trunk}"
                edges[f"e{len(edges)}"] = (top, f"out{k}.{i}")
        graph = GatedGraph({v: 1 for ends in edges.values() for v in ends}, edges)
        n = len(graph.paths)
        return Reduction(
            graph,
            np.tile(self.S / n, (n, 1)),
            np.repeat(np.arange(n)[:, None], 2, axis=1),
            np.tile(self.D / n, (n, 1)),
        )
