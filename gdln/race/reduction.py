r"""The neural race reduction: a gated network whose correlations diagonalise is one scalar network a mode.

:func:`gdln.race.bases.diagonalise` looks for the bases and says by how much they fail; :func:`reduce_flow` keeps what
the flow of the modes needs, and :class:`Reduction` integrates it. Routing networks, where the sums over paths can
be done by hand, are in :mod:`gdln.race.routing`; chains in :mod:`gdln.linear.modes`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from gdln import checks
from gdln.integration import ATOL, RTOL, half_time, integrate
from gdln.linear.modes import mode_strength
from gdln.race.bases import Bases, diagonalise
from gdln.race.graph import GatedGraph, path_product


@dataclass(frozen=True)
class ReducedSolution:
    """Solution of a reduction.

    Attributes
    ----------
    times : ndarray, shape (n_times,)
        Times.
    B : ndarray, shape (n_times, n_edges, n_modes)
        Strengths of the edges, in the order of ``graph.edges``.
    paths : ndarray, shape (n_times, n_paths, n_modes)
        Strengths of the paths.
    loss : ndarray, shape (n_times,)
        Loss.
    """

    times: np.ndarray
    B: np.ndarray
    paths: np.ndarray
    loss: np.ndarray

    @property
    def half_time(self):
        """Half-way time of every path and mode, shape (n_paths, n_modes), see :func:`gdln.integration.half_time`."""
        return half_time(self.times, self.paths)


@dataclass(frozen=True)
class Reduction:
    r"""One scalar network on the same graph for every mode.

    .. math:: \tau\dot B_e=\sum_{p\in\mathcal P(e)}B_{p\setminus e}\Big[S(p)-\sum_jB_jD(j,p)\Big]

    elementwise in the modes; Saxe et al. (2022), their eq. (10).

    Parameters
    ----------
    graph : GatedGraph
        The network; its widths do not matter here.
    S : array_like, shape (n_paths, n_modes)
        Input-output correlation of each path and mode.
    pairs : array_like of int, shape (n_pairs, 2)
        Ordered pairs of paths :math:`(j, p)` with a correlation of their inputs; both orders must be listed.
    D : array_like, shape (n_pairs, n_modes)
        :math:`D(j,p)`.
    yy : float, optional
        :math:`\sum_v\langle\|y_v\|^2\rangle`, needed only for the value of the loss.
    bases : Bases, optional
        Where the reduction came from.

    Raises
    ------
    ValueError
        If shapes do not fit, or a pair of paths ends at different nodes.
    """

    graph: GatedGraph
    S: np.ndarray
    pairs: np.ndarray
    D: np.ndarray
    yy: float = 0.0
    bases: Bases | None = None

    def __post_init__(self):
        n_paths = len(checks.instance("graph", self.graph, GatedGraph).paths)
        S, D = (checks.array(name, getattr(self, name), ndim=2, empty=True) for name in ("S", "D"))
        pairs = checks.array("pairs", self.pairs, dtype=int, empty=True)
        checks.need(len(S) == n_paths, "S", f"shape (n_paths, n_modes) with {n_paths} paths", S)
        checks.need(pairs.ndim == 2 and pairs.shape[1] == 2, "pairs", "shape (n_pairs, 2)", pairs)
        checks.need(D.shape == (len(pairs), S.shape[1]), "D", f"shape ({len(pairs)}, {S.shape[1]})", D)
        if self.bases is not None:
            checks.instance("bases", self.bases, Bases)
        for j, p in pairs:
            ends = self.graph.ends(j)[1], self.graph.ends(p)[1]
            checks.need(
                ends[0] == ends[1], "pairs", "paths that end at one node, where their inputs meet", ends
            )
        object.__setattr__(self, "yy", checks.nonnegative("yy", self.yy))
        for name, value in (("S", S), ("D", D), ("pairs", pairs)):
            object.__setattr__(self, name, value)

    @cached_property
    def _along(self):
        """Edge numbers along each path, padded with the number of a dummy edge of strength one."""
        numbers = {e: k for k, e in enumerate(self.graph.edges)}
        longest = max(len(path) for path in self.graph.paths)
        along = np.full((len(self.graph.paths), longest), len(numbers))
        for row, path in zip(along, self.graph.paths, strict=True):
            row[: len(path)] = [numbers[e] for e in path]
        return along

    @cached_property
    def _gather(self):
        """Sparse matrix that adds what each (path, place) says about its edge."""
        edge = self._along.ravel()
        real = edge < len(self.graph.edges)
        entries = (np.ones(real.sum()), (edge[real], np.flatnonzero(real)))
        return csr_array(entries, shape=(len(self.graph.edges), edge.size))

    @cached_property
    def _meet(self):
        """Sparse matrix that adds up, at each path, what its partners contribute."""
        entries = (np.ones(len(self.pairs)), (self.pairs[:, 1], np.arange(len(self.pairs))))
        return csr_array(entries, shape=(len(self.S), len(self.pairs)))

    def _strengths(self, B):
        return checks.array("B", B, shape=(..., len(self.graph.edges), self.S.shape[1]))

    def path_strengths(self, B):
        """Product of the edge strengths on each path, shape (..., n_paths, n_modes), for B (..., n_edges, n_modes)."""
        B = self._strengths(B)
        padded = np.concatenate([B, np.ones((*B.shape[:-2], 1, B.shape[-1]))], axis=-2)
        return padded[..., self._along, :].prod(axis=-2)

    def velocity(self, B):
        r"""Right-hand side :math:`\tau\dot B`, shape (n_edges, n_modes), path by path."""
        padded = np.concatenate([B, np.ones((1, B.shape[1]))])[self._along]
        before, after = np.ones_like(padded), np.ones_like(padded)
        np.cumprod(padded[:, :-1], axis=1, out=before[:, 1:])
        np.cumprod(padded[:, :0:-1], axis=1, out=after[:, -2::-1])
        strength = before[:, -1] * padded[:, -1]
        error = self.S - self._meet @ (strength[self.pairs[:, 0]] * self.D)
        said = before * after * error[:, None]
        return self._gather @ said.reshape(-1, B.shape[1])

    def loss(self, B):
        """Loss at edge strengths of shape (..., n_edges, n_modes)."""
        a = self.path_strengths(B)
        linear = (self.S * a).sum(axis=(-2, -1))
        quadratic = (self.D * a[..., self.pairs[:, 0], :] * a[..., self.pairs[:, 1], :]).sum(axis=(-2, -1))
        return self.yy / 2 - linear + quadratic / 2

    def solve(self, B0, times, tau=1.0, rtol=RTOL, atol=ATOL):
        """Integrate the race.

        Parameters
        ----------
        B0 : array_like
            Initial strengths, broadcast to (n_edges, n_modes).
        times : array_like, shape (n_times,)
            Increasing times; the start is at the first.
        tau : float, optional
            Time constant.
        rtol, atol : float, optional
            Tolerances of :func:`gdln.integration.integrate`; an explicit method, these equations are not stiff.

        Returns
        -------
        run : ReducedSolution
            Strengths and loss at ``times``.

        Raises
        ------
        TypeError, ValueError
            If ``B0`` does not broadcast, ``tau`` is not positive, times decrease or a number is not finite.
        gdln.checks.Diverged
            If the strengths stop being finite; tells at which time.
        """
        shape = (len(self.graph.edges), self.S.shape[1])
        tau = checks.positive("tau", tau)
        times = checks.times("times", times, ndim=1, ordered=True, least=None)
        start = start_strengths(B0, shape).ravel()

        def slope(t, state):
            return self.velocity(state.reshape(shape)).ravel() / tau

        B = integrate(slope, start, times, rtol, atol).reshape(-1, *shape)
        return ReducedSolution(times, B, self.path_strengths(B), self.loss(B))

    def conserved(self, B):
        r"""Per hidden node, :math:`\sum_{e\to v}B_e^2-\sum_{v\to e}B_e^2`, shape (..., n_modes)."""
        square = dict(zip(self.graph.edges, np.moveaxis(self._strengths(B) ** 2, -2, 0), strict=True))
        graph = self.graph
        return {
            v: sum(square[e] for e in graph.incoming[v]) - sum(square[e] for e in graph.outgoing[v])
            for v in graph.hidden
        }


def start_strengths(B0, shape):
    """Initial strengths, finite numbers that broadcast to (n_edges, n_modes)."""
    B0 = checks.array("B0", B0)
    try:
        return np.broadcast_to(B0, shape)
    except ValueError:
        raise ValueError(
            f"B0 needs numbers that broadcast to (n_edges, n_modes) = {shape}, got an array of shape {B0.shape}"
        ) from None


#: Residual of correlations that count as diagonal. Rounding alone leaves 1e-13, and up to 1e-9 where singular values
#: spread over ten decades; what is let pass moves the weights in proportion, in their eighth digit, and the strengths
#: of paths by its square.
DIAGONAL = 1e-8


def reduce_flow(statistics, tolerance=DIAGONAL):
    """The reduction of a gated network, if its correlations diagonalise.

    Parameters
    ----------
    statistics : Correlations
        Data statistics of the network.
    tolerance : float, optional
        Largest residual of :func:`gdln.race.bases.diagonalise` to accept; the neglected terms of the flow are of
        this size.

    Returns
    -------
    reduction : Reduction
        With ``bases`` filled in.

    Raises
    ------
    ValueError
        If the correlations do not diagonalise; tells by how much they fail. Also for a tolerance that is negative or
        not finite.

    Examples
    --------
    >>> from gdln.race.graph import Correlations, GatedGraph
    >>> g = GatedGraph({"x": 2, "h": 4, "y": 2}, [("x", "h"), ("h", "y")])
    >>> r = reduce_flow(Correlations(g, {0: [[3.0, 0.0], [0.0, 1.0]]}, {(0, 0): [[1.0, 0.0], [0.0, 1.0]]}))
    >>> np.round(np.abs(r.S), 12)
    array([[3., 1.]])
    """
    tolerance = checks.nonnegative("tolerance", tolerance)
    bases = diagonalise(statistics)
    if bases.residual > tolerance:
        raise ValueError(
            f"the correlations do not diagonalise together: relative residual {bases.residual:.2g}, allowed "
            f"{tolerance:.2g}; the path-sum gradient in gdln.race.graph is still exact"
        )
    return Reduction(statistics.graph, bases.S, bases.pairs, bases.D, statistics.yy, bases)


def decoupled_weights(reduction, B0, rng=None):
    r"""Weights whose flow is the reduction: :math:`W_e=R_{t(e)}B_eR_{s(e)}^\top`.

    Parameters
    ----------
    reduction : Reduction
        From :func:`reduce_flow`.
    B0 : array_like
        Initial strengths, broadcast to (n_edges, n_modes).
    rng : numpy.random.Generator, optional
        Draws the bases of the hidden nodes; without it they are the first unit vectors.

    Returns
    -------
    weights : dict of str to ndarray
        One matrix an edge.

    Raises
    ------
    ValueError
        If a hidden node has fewer neurons than there are modes with a nonzero strength.
    """
    graph, bases = _with_bases(reduction)
    if rng is not None:
        checks.generator("rng", rng)
    n_modes = reduction.S.shape[1]
    B0 = start_strengths(B0, (len(graph.edges), n_modes))
    hidden = {}
    for v in graph.hidden:
        n = graph.widths[v]
        frame = np.eye(n) if rng is None else np.linalg.qr(rng.standard_normal((n, n)))[0]
        hidden[v] = np.zeros((n, n_modes))
        hidden[v][:, : min(n, n_modes)] = frame[:, :n_modes]
    weights = {}
    for strength, (edge, (s, t)) in zip(B0, graph.edges.items(), strict=True):
        source = hidden[s] if s in hidden else bases.inputs[edge]
        target = hidden[t] if t in hidden else bases.outputs[edge]
        lost = ~(source.any(axis=0) | (s not in hidden)) | ~(target.any(axis=0) | (t not in hidden))
        if (lost & (strength != 0)).any():
            raise ValueError(
                f"B0 needs zeros on edge {edge!r} beyond the neurons of a hidden node, got {n_modes} modes"
            )
        weights[edge] = (target * strength) @ source.T
    return weights


def path_modes(reduction, weights):
    r"""Strengths of the paths of a full network, the diagonal of :math:`U^\top W_pV`.

    Parameters
    ----------
    reduction : Reduction
        From :func:`reduce_flow`.
    weights : dict of str to ndarray, shape (..., width, width)
        One array an edge; leading axes (times) are kept.

    Returns
    -------
    strengths : ndarray, shape (..., n_paths, n_modes)
        To hold against :meth:`Reduction.path_strengths`.
    """
    graph, bases = _with_bases(reduction)
    parts = []
    for path in graph.paths:
        W = path_product(graph, weights, path)
        U, V = bases.outputs[path[-1]], bases.inputs[path[0]]
        parts.append(np.einsum("oa,...oi,ia->...a", U, W, V, optimize=True))
    return np.stack(parts, axis=-2)


def _with_bases(reduction):
    """Graph and bases of a reduction that was made of correlations."""
    checks.instance("reduction", reduction, Reduction)
    return reduction.graph, checks.instance("reduction.bases", reduction.bases, Bases)


def xor_loss(t, a0, tau=1.0):
    r"""Exclusive or with one path an example: strength and loss.

    .. math:: a(t)=\frac{s/d}{1-(1-\frac{s}{da_0})e^{-2st/\tau}},\quad s=\tfrac{\sqrt2}{4},\ d=\tfrac12,\qquad
        \mathcal L=\tfrac12-\sqrt2\,a+a^2 .

    Parameters
    ----------
    t : array_like, shape (...)
        Times.
    a0 : float
        Initial strength, the same in all four paths.
    tau : float, optional
        Time constant.

    Returns
    -------
    loss : ndarray, shape (...)
        From 1/2 to 0.

    Notes
    -----
    Saxe et al. (2022), their App. A.1.

    Examples
    --------
    >>> float(xor_loss(1e4, 1e-3)) < 1e-15
    True
    """
    a = mode_strength(t, np.sqrt(2) / 4, a0, d=0.5, tau=tau)
    return (np.sqrt(0.5) - a) ** 2


def contextual_loss(t, a0, n_contexts=2, tau=1.0):
    r"""Contextual classification with one path a context.

    .. math:: \tau\dot a=\tfrac{2}{3m}a(1-a),\qquad\mathcal L=\tfrac16(1-a)^2

    for :math:`m` contexts: on every example one path is open and reports one input of variance 1/3.

    Parameters
    ----------
    t : array_like, shape (...)
        Times.
    a0 : float
        Initial strength, the same in all paths.
    n_contexts : int, optional
        Number :math:`m`.
    tau : float, optional
        Time constant.

    Returns
    -------
    loss : ndarray, shape (...)
        From 1/6 to 0. The task is from Saxe et al. (2022), their App. A.2; the time course is derived in chapter
        "Reduction".
    """
    rate = 1 / (3 * checks.count("n_contexts", n_contexts))
    return (1 - mode_strength(t, rate, a0, d=rate, tau=tau)) ** 2 / 6
