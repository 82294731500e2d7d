r"""Kernel regression with more samples than a matrix of double precision has room for.

The coefficients :math:`a = (K+\lambda I)^{-1}y` by conjugate gradients on a copy of the kernel in single precision,
or on none at all, corrected by residuals whose kernel is made again, tile by tile, in double precision.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse.linalg import LinearOperator, cg

from gdln import checks

#: Side of a tile of the kernel; one of double precision takes 32 MB.
TILE = 2048


@dataclass(frozen=True)
class IterativeSolution:
    r"""Solution of :math:`(K+\lambda I)a=y`.

    Attributes
    ----------
    coefficients : ndarray, shape (n,) or (n, k)
        The solution :math:`a`; predictions are :math:`k(x, X)\,a`.
    residual : float
        :math:`\lVert y-(K+\lambda I)a\rVert/\lVert y\rVert` in double precision, the largest over columns.
    corrections, products : int
        Times the whole kernel was made in double precision, and products with it or its copy.
    """

    coefficients: np.ndarray
    residual: float
    corrections: int
    products: int


def solve_iteratively(
    kernel, X, y, ridge, *, rng, rank=500, store=True, tolerance=1e-8, tile=TILE, max_products=2000
):
    r"""Solve :math:`(K+\lambda I)a=y` without a matrix of double precision.

    Parameters
    ----------
    kernel : callable
        ``kernel(A, B)`` returns the symmetric, positive semi-definite kernel between the rows of two arrays,
        shape (len(A), len(B)).
    X : array_like, shape (n, d)
        Inputs.
    y : array_like, shape (n,) or (n, k)
        Targets.
    ridge : float
        :math:`\lambda>0`.
    rng : numpy.random.Generator
        Chooses the samples that the preconditioner is made of.
    rank : int, optional
        Their number, at most n. The more, the fewer products; they take ``8 n rank`` bytes.
    store : bool, optional
        Keep the kernel in single precision, ``4 n**2`` bytes; otherwise every product makes it again.
    tolerance : float, optional
        Largest relative residual, above the rounding error of double precision.
    tile : int, optional
        Samples on a side of a tile.
    max_products : int, optional
        Products after which the solution has not been found.

    Returns
    -------
    solution : IterativeSolution

    Raises
    ------
    ValueError
        If shapes or options do not fit, or the kernel of a tile is not of its shape or not finite.
    Diverged
        If the tolerance is not reached in ``max_products``; says what was.

    Notes
    -----
    Preconditioner: Nystrom's approximation by ``rank`` samples plus :math:`\lambda`, inverted by Woodbury's identity.
    Iterative refinement: a solution of :math:`(\tilde K+\lambda I)d=r` with the rounded kernel :math:`\tilde K`
    reduces the true residual :math:`r` as long as the rounding, about :math:`10^{-7}\lVert K\rVert`, is below
    :math:`\lambda`; where it is not, use ``store=False``.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> found = solve_iteratively(lambda A, B: A @ B.T, X, [1.0, 2.0, 3.0], 0.5, rng=np.random.default_rng(0))
    >>> np.allclose((X @ X.T + 0.5 * np.eye(3)) @ found.coefficients, [1, 2, 3])
    True
    """
    checks.function("kernel", kernel)
    X = checks.array("X", X, ndim=2)
    y = checks.array("y", y)
    checks.need(y.ndim in (1, 2) and len(y) == len(X), "y", f"{len(X)} rows, one a row of X", y.shape)
    ridge = checks.positive("ridge", ridge)
    rng = checks.generator("rng", rng)
    store = checks.flag("store", store)
    rank, tile = min(checks.count("rank", rank), len(X)), checks.count("tile", tile)
    tolerance = checks.number("tolerance", tolerance, above=0.0, below=1.0)
    max_products = checks.count("max_products", max_products)

    tiles = _Tiles(kernel, X, tile)
    stored = tiles.single() if store else None
    precondition = _preconditioner(tiles, ridge, np.sort(rng.choice(len(X), rank, replace=False)))
    columns = y.reshape(len(y), -1)
    solution, corrections, products = np.zeros_like(columns), 0, 0
    size = np.linalg.norm(columns, axis=0)
    size[size == 0] = 1.0
    rest, before = columns.copy(), np.inf
    while True:
        residual = float((np.linalg.norm(rest, axis=0) / size).max())
        if residual <= tolerance:
            break
        # a correction that gains less than half is at the end of what the rounded kernel can give
        if products >= max_products or residual > before / 2:
            raise checks.Diverged(
                f"tolerance needs more than {products} products: the relative residual is {residual:.1e} and "
                f"{tolerance:.1e} is asked for; take a larger rank or max_products, or store=False"
            )
        before = residual
        for k in range(columns.shape[1]):

            def product(v):
                nonlocal products
                products += 1
                if stored is None:
                    return tiles.product(v) + ridge * v
                return (stored @ v.astype(np.float32)).astype(float) + ridge * v

            shape = (len(X), len(X))
            # single precision has seven digits: what it gains beyond three a correction is soon lost again
            wanted = 1e-3 if store else tolerance * size[k] / max(np.linalg.norm(rest[:, k]), 1e-300)
            step, _ = cg(
                LinearOperator(shape, product, dtype=float),
                rest[:, k],
                rtol=min(max(wanted / 2, 1e-14), 0.5),
                maxiter=max(1, max_products - products),
                M=LinearOperator(shape, precondition, dtype=float),
            )
            solution[:, k] += step
        corrections += 1
        rest = columns - tiles.product(solution) - ridge * solution
    return IterativeSolution(solution.reshape(y.shape), residual, corrections, products)


class _Tiles:
    """A kernel of which no more than a tile, or a few columns, is there at any time."""

    def __init__(self, kernel, X, tile):
        self.kernel, self.X = kernel, X
        self.ranges = [slice(first, min(first + tile, len(X))) for first in range(0, len(X), tile)]

    def block(self, rows, columns):
        A, B = self.X[rows], self.X[columns]
        return checks.array("kernel", self.kernel(A, B), shape=(len(A), len(B)))

    def upper(self):
        """Yield the tiles on and above the diagonal; the kernel is symmetric."""
        for i, rows in enumerate(self.ranges):
            for columns in self.ranges[i:]:
                yield rows, columns, self.block(rows, columns)

    def product(self, v):
        out = np.zeros_like(v)
        for rows, columns, block in self.upper():
            out[rows] += block @ v[columns]
            if rows != columns:
                out[columns] += block.T @ v[rows]
        return out

    def single(self):
        out = np.empty((len(self.X), len(self.X)), np.float32)
        for rows, columns, block in self.upper():
            out[rows, columns] = block
            out[columns, rows] = block.T
        return out


def _preconditioner(tiles, ridge, chosen):
    r"""Inverse of :math:`ZZ^\top+\lambda I`, with :math:`ZZ^\top` the kernel that the chosen samples explain."""
    among = tiles.block(chosen, chosen).copy()
    # samples that say the same leave the kernel among them singular; the shift is far above its rounding
    among[np.diag_indices_from(among)] += 1e-10 * max(np.trace(among) / len(among), 1e-300)
    root = np.linalg.cholesky(among)
    Z = np.empty((len(tiles.X), len(chosen)))
    for rows in tiles.ranges:
        Z[rows] = solve_triangular(root, tiles.block(rows, chosen).T, lower=True).T
    inner = Z.T @ Z
    inner[np.diag_indices_from(inner)] += ridge
    factor = cho_factor(inner, lower=True)
    return lambda v: (v - Z @ cho_solve(factor, Z.T @ v)) / ridge
