r"""Paths through gated layers: a unit of every layer's gates each, and the features that a path makes of an input.

With given gates a network is linear along a path, and its kernel is that of the inputs times one of the path features
:math:`f(x) = M^{-L/2}g(x)^{\otimes L}`. Kernels of samples by samples (:mod:`gdln.renormalization.kernels`) and of
features by features (:mod:`gdln.renormalization.features`) are two ways to go on from there.
"""

import math
from functools import reduce

import numpy as np
from scipy.linalg import block_diag

from gdln import checks

MEMORY = 2**30  # bytes a kernel may need for its order parameters and features


def path_features(gates):
    r"""Kronecker products of the gates of all layers, scaled: :math:`\bigotimes_l g^{(l)}(x)/\sqrt{M_l}`.

    Parameters
    ----------
    gates : sequence of array_like, shapes (n_samples, M_l)
        One gate set a gated layer, the readout's first.

    Returns
    -------
    F : ndarray, shape (n_samples, prod M_l)
        The readout's gate is the slowest index.

    Examples
    --------
    >>> path_features([[[1.0, 2.0]], [[3.0]]]) * np.sqrt(2)
    array([[3., 6.]])
    """
    checks.need(isinstance(gates, list | tuple) or np.ndim(gates) > 0, "gates", "a list of gate sets", gates)
    gates = [checks.array("gates", G, ndim=2) for G in gates]
    shapes = [G.shape for G in gates]
    fit = len(shapes) > 0 and all(s[0] == shapes[0][0] for s in shapes)
    checks.need(fit, "gates", "gate sets of shapes (n_samples, n_gates), at least one", shapes)
    scaled = [G / math.sqrt(G.shape[1]) for G in gates]
    return reduce(lambda a, b: (a[:, :, None] * b[:, None, :]).reshape(len(a), -1), scaled)


class Gated:
    """What kernels of gated networks share: their gates, at the samples and at new points."""

    _families = None

    @staticmethod
    def _at_points(gates, X):
        """Gate values of families at points; values pass as they are."""
        if callable(gates):
            return gates(X)
        if isinstance(gates, list | tuple) and any(map(callable, gates)):
            return [g(X) if callable(g) else g for g in gates]
        return gates

    def _set_gates(self, n_samples, gates, depth, outputs):
        """Keep the numbers of gates and outputs; return the path features at the samples, of one output."""
        gates = [
            checks.array("gates", G, shape=(n_samples, "n_gates"))
            for G in (gates if _several(gates) else [gates] * depth)
        ]
        self.outputs, self.gate_numbers = outputs, tuple(G.shape[1] for G in gates)
        self.dims = (outputs * self.gate_numbers[0], *self.gate_numbers[1:])
        check_memory(self.dims, n_samples * outputs)
        return path_features(gates)

    def _new_gates(self, X_new, gates):
        """Gates of new points, given or from the families that are known."""
        if gates is None:
            families = self._families if isinstance(self._families, list | tuple) else [self._families]
            known = all(map(callable, families))
            checks.need(known, "gates", "those of the new points, as the kernel has no family of gates", None)
            gates = self._families
        gates = self._at_points(gates, X_new)
        rows = [len(checks.array("gates", G, ndim=2)) for G in (gates if _several(gates) else [gates])]
        what = f"one row for each of {len(X_new)} new points"
        checks.need(set(rows) == {len(X_new)}, "gates", what, rows)
        return gates

    def _new_features(self, gates):
        """Path features of new points, output by output."""
        gates = list(gates) if _several(gates) else [gates] * len(self.dims)
        gates = [checks.array("gates", G, empty=True) for G in gates]
        numbers = tuple(G.shape[-1] if G.ndim == 2 else G.shape for G in gates)
        checks.need(numbers == self.gate_numbers, "gates", f"gate sets of sizes {self.gate_numbers}", numbers)
        return self._by_output(path_features(gates))

    def _by_output(self, F):
        """Features, or a matrix between them, of several outputs, from those of one: a block for each."""
        return block_diag(*[F] * self.outputs)

    def diagonal(self, U, K0_diagonal, gates):
        """Kernel of every new point with itself, from its input kernel and its gates."""
        F = self._new_features(gates)
        shape = (len(F) // self.outputs,)
        K0_diagonal = checks.array("diagonal", K0_diagonal, shape=shape, least=0, empty=True)
        return ((F @ U) * F).sum(axis=1) * np.tile(K0_diagonal, self.outputs)


def _several(gates):
    """Whether these are gate sets, one a layer."""
    return isinstance(gates, list | tuple) and len(gates) > 0 and np.ndim(gates[0]) == 2


def check_memory(dims, n_points):
    """Refuse order parameters whose size, the product of all gate numbers, does not fit.

    Parameters
    ----------
    dims : sequence of int
        Sizes of the indices of the order parameter.
    n_points : int
        Data points, samples times outputs.

    Raises
    ------
    ValueError
        If its matrices and the features of the points take more than ``MEMORY`` bytes.
    """
    d = math.prod(dims)
    need = 8 * d * (10 * d + 3 * n_points)
    if need > MEMORY:
        raise ValueError(
            f"the order parameter of gate numbers {dims} is {d} x {d} and needs about {need / 2**30:.3g} GiB with "
            f"its work space, more than {MEMORY / 2**30:.3g} GiB: use fewer gates or less depth (its size is M^L)"
        )
