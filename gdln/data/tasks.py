r"""Synthetic tasks: inputs and targets one row a sample, gates as data, and the statistics a theory needs.

Gates say which pathway is open on which sample; they belong to the data set, not to the network.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from gdln import checks


@dataclass(frozen=True)
class GatedTask:
    """A task whose pathways are opened and closed by the data.

    Attributes
    ----------
    X : ndarray, shape (n, n_inputs)
        Inputs, one row a sample.
    Y : ndarray, shape (n, n_outputs)
        Targets.
    gates : ndarray, shape (n, n_paths)
        Gate of each pathway on each sample.
    """

    X: np.ndarray
    Y: np.ndarray
    gates: np.ndarray

    def correlations(self):
        r"""Averages over samples and gates, the only statistics a gated linear network sees.

        Returns
        -------
        sigma_yx : ndarray, shape (n_paths, n_outputs, n_inputs)
            :math:`\Sigma^{yx}(p) = \langle g_p\, y x^\top\rangle` (Saxe et al. 2022, Eq. 5).
        sigma_x : ndarray, shape (n_paths, n_paths, n_inputs, n_inputs)
            :math:`\Sigma^x(j, p) = \langle g_j\, x x^\top g_p\rangle` (their Eq. 6).
        """
        n = len(self.X)
        sigma_yx = np.stack([(g[:, None] * self.Y).T @ self.X / n for g in self.gates.T])
        sigma_x = np.stack(
            [[(self.X * (g * h)[:, None]).T @ self.X / n for h in self.gates.T] for g in self.gates.T]
        )
        return sigma_yx, sigma_x


@dataclass(frozen=True)
class RoutingTask:
    """Several input and output domains, every trained pair of which carries the same mapping.

    Attributes
    ----------
    X : ndarray, shape (n_items, n_inputs)
        Items as every input domain presents them.
    Y : ndarray, shape (n_items, n_outputs)
        Targets as every output domain wants them.
    mask : ndarray of bool, shape (n_domains_in, n_domains_out)
        True where the route from input domain to output domain is trained.
    """

    X: np.ndarray
    Y: np.ndarray
    mask: np.ndarray

    @property
    def routes(self):
        """Trained pairs (input domain, output domain), shape (n_routes, 2)."""
        return np.argwhere(self.mask)

    @property
    def sigma_yx(self):
        r""":math:`\langle y x^\top\rangle` over items; divide by the number of routes for one path."""
        return self.Y.T @ self.X / len(self.X)

    @property
    def sigma_x(self):
        r""":math:`\langle x x^\top\rangle` over items; divide by the number of routes for one path."""
        return self.X.T @ self.X / len(self.X)


def xor():
    r"""Exclusive or with one pathway a sample.

    Inputs :math:`(\pm1, \pm1)`, targets :math:`y = -x_1 x_2 = \pm1`; pathway *i* is open on sample *i* only.

    Returns
    -------
    task : GatedTask
        Four samples, two inputs, one output, four pathways.

    Notes
    -----
    Saxe et al. 2022, Fig. 3 and App. A.1.

    Examples
    --------
    >>> xor().Y.ravel()
    array([-1.,  1.,  1., -1.])
    """
    X = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=float)
    return GatedTask(X=X, Y=-X.prod(axis=1, keepdims=True), gates=np.eye(4))


def contextual(n_samples, rng, n_contexts=2):
    r"""Contextual classification: report the input the context names.

    Inputs :math:`x_i \sim U(-1, 1)`, context uniform, target :math:`y = x_c`; pathway *c* is open in context
    *c*.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    rng : numpy.random.Generator
        Source of inputs and contexts.
    n_contexts : int, optional
        Number of contexts, and of inputs.

    Returns
    -------
    task : GatedTask
        ``gates[i, c]`` is one where sample ``i`` is in context ``c``.

    Raises
    ------
    ValueError
        If a count is not positive.

    Notes
    -----
    Saxe et al. 2022, App. A.2. The averages in closed form are in :func:`contextual_correlations`.
    """
    n_samples, n_contexts = checks.count("n_samples", n_samples), checks.count("n_contexts", n_contexts)
    checks.generator("rng", rng)
    X = rng.uniform(-1, 1, (n_samples, n_contexts))
    context = rng.integers(n_contexts, size=n_samples)
    return GatedTask(X=X, Y=X[np.arange(n_samples), context, None], gates=np.eye(n_contexts)[context])


def contextual_correlations(n_contexts=2):
    r"""Averages of the contextual task in closed form.

    With :math:`m` contexts, :math:`\Sigma^{yx}(c) = \frac{1}{3m} e_c^\top` and
    :math:`\Sigma^x(c, c') = \frac{\delta_{cc'}}{3m} I`.

    Parameters
    ----------
    n_contexts : int, optional
        Number of contexts, and of inputs.

    Returns
    -------
    sigma_yx : ndarray, shape (n_contexts, 1, n_contexts)
        One row a pathway.
    sigma_x : ndarray, shape (n_contexts, n_contexts, n_contexts, n_contexts)
        Zero between different pathways, which are never open together.

    Raises
    ------
    ValueError
        If ``n_contexts`` is not positive.
    """
    n_contexts = checks.count("n_contexts", n_contexts)
    eye = np.eye(n_contexts)
    weight = 1 / (3 * n_contexts)
    return weight * eye[:, None, :], weight * eye[:, :, None, None] * eye


def hierarchical(heights=(6.0, 4.0, 3.0)):
    r"""Items at the leaves of a binary tree; one feature a node, shared by the leaves below it.

    Level :math:`l = 0, \dots, L` has :math:`2^l` nodes; their features have the value ``heights[l]``. Items
    are one-hot. The default is the four-item, seven-feature data of Saxe et al. 2022, Fig. 4c.

    Parameters
    ----------
    heights : sequence of float, optional
        Feature value of each level, root first.

    Returns
    -------
    X : ndarray, shape (2**L, 2**L)
        One-hot items.
    Y : ndarray, shape (2**L, 2**(L+1) - 1)
        Features of each item.

    Raises
    ------
    ValueError
        If there is no level, or a height is not finite.

    Notes
    -----
    The target matrix has the squared singular values :math:`\sum_{m \ge l} h_m^2 2^{L-m}`: once for
    :math:`l = 0`, and :math:`2^{l-1}` times for each :math:`l \ge 1` (derived here; the matrix
    :math:`Y Y^\top` is ultrametric).

    Examples
    --------
    >>> X, Y = hierarchical()
    >>> np.round(np.linalg.svd(Y, compute_uv=False) ** 2, 6)
    array([185.,  41.,   9.,   9.])
    """
    heights = checks.array("heights", heights, ndim=1)
    n_items = 2 ** (heights.size - 1)
    levels = [h * np.repeat(np.eye(2**l), n_items // 2**l, axis=0) for l, h in enumerate(heights)]
    return np.eye(n_items), np.hstack(levels)


def routing(mask, X=None, Y=None):
    """Routing task: every trained route of ``mask`` carries the mapping from ``X`` to ``Y``.

    Parameters
    ----------
    mask : array_like of bool, shape (n_domains_in, n_domains_out)
        Trained routes, for instance :func:`circulant_mask`.
    X, Y : array_like, optional
        Items and targets; :func:`hierarchical` unless both are given.

    Returns
    -------
    task : RoutingTask
        The data and the mask.

    Raises
    ------
    ValueError
        If no route is trained, only one of ``X`` and ``Y`` is given, their lengths differ, there is no item, or
        a value is not finite.
    """
    mask = checks.array("mask", mask, ndim=2, dtype=bool)
    checks.need(mask.any(), "mask", "a trained route", mask)
    if (X is None) != (Y is None):
        raise ValueError("X and Y need to come together, or neither")
    if X is None:
        X, Y = hierarchical()
    X = checks.array("X", X, ndim=2, copy=True)
    Y = checks.array("Y", Y, shape=(len(X), "n_outputs"), copy=True)
    return RoutingTask(X=X, Y=Y, mask=mask)


def circulant_mask(n_domains, n_trained):
    r"""Each input domain is trained with the outputs around its own number.

    Input :math:`i` goes with outputs :math:`i+j` for
    :math:`j = -\lfloor (K-1)/2\rfloor, \dots, \lfloor K/2\rfloor`.

    Parameters
    ----------
    n_domains : int
        Number :math:`M` of input and of output domains.
    n_trained : int
        Number :math:`K` of outputs an input is trained with.

    Returns
    -------
    mask : ndarray of bool, shape (M, M)
        Centred on the diagonal, as in Saxe et al. 2022, Fig. 4c.

    Raises
    ------
    ValueError
        Unless ``1 <= n_trained <= n_domains``.

    Examples
    --------
    >>> circulant_mask(4, 2).astype(int)
    array([[1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 1, 1],
           [1, 0, 0, 1]])
    """
    n_domains, n_trained = _degree(n_domains, n_trained)
    return np.roll(consecutive_mask(n_domains, n_trained), -((n_trained - 1) // 2), axis=1)


def consecutive_mask(n_domains, n_trained):
    """Input ``i`` is trained with outputs ``i, i+1, ..., i+K-1``, counted around the circle.

    Parameters
    ----------
    n_domains, n_trained : int
        As in :func:`circulant_mask`.

    Returns
    -------
    mask : ndarray of bool, shape (M, M)
        Same routes as :func:`circulant_mask` up to a relabelling of the outputs.

    Raises
    ------
    ValueError
        Unless ``1 <= n_trained <= n_domains``.
    """
    n_domains, n_trained = _degree(n_domains, n_trained)
    i = np.arange(n_domains)
    return (i[None, :] - i[:, None]) % n_domains < n_trained


def block_mask(n_domains, n_blocks):
    """Domains in equal blocks; every route inside a block is trained, none between blocks.

    Parameters
    ----------
    n_domains : int
        Number of input and of output domains.
    n_blocks : int
        Number of blocks; divides ``n_domains``.

    Returns
    -------
    mask : ndarray of bool, shape (M, M)
        ``M / n_blocks`` trained outputs for each input.

    Raises
    ------
    ValueError
        If the blocks would not be equal.
    """
    n_domains = checks.count("n_domains", n_domains)
    n_blocks = checks.count("n_blocks", n_blocks, most=n_domains)
    checks.need(n_domains % n_blocks == 0, "n_blocks", f"a divisor of n_domains, {n_domains}", n_blocks)
    block = np.arange(n_domains) // (n_domains // n_blocks)
    return block[:, None] == block[None, :]


def random_mask(n_domains, n_trained, rng):
    """Random routes with ``K`` outputs for every input and ``K`` inputs for every output.

    Parameters
    ----------
    n_domains, n_trained : int
        As in :func:`circulant_mask`.
    rng : numpy.random.Generator
        Source of the mask.

    Returns
    -------
    mask : ndarray of bool, shape (M, M)
        Union of ``K`` disjoint random matchings.

    Raises
    ------
    ValueError
        Unless ``1 <= n_trained <= n_domains``.
    """
    n_domains, n_trained = _degree(n_domains, n_trained)
    checks.generator("rng", rng)
    mask = np.zeros((n_domains, n_domains), dtype=bool)
    for _ in range(n_trained):
        # what is left is a regular bipartite graph, so a matching that avoids the mask exists (Hall)
        rows, columns = linear_sum_assignment(rng.random(mask.shape) + 2 * n_domains * mask)
        mask[rows, columns] = True
    return mask


def mask_components(mask):
    """Connected components of the graph of trained routes.

    Input and output domains are vertices, trained routes are edges. Nothing ties the codes of domains in
    different components.

    Parameters
    ----------
    mask : array_like of bool, shape (n_domains_in, n_domains_out)
        Trained routes.

    Returns
    -------
    count : int
        Number of components; a domain without a route is one by itself.
    inputs : ndarray of int, shape (n_domains_in,)
        Component of each input domain.
    outputs : ndarray of int, shape (n_domains_out,)
        Component of each output domain.

    Examples
    --------
    >>> mask_components(block_mask(6, 3))[0], mask_components(circulant_mask(6, 2))[0]
    (3, 1)
    """
    mask = checks.array("mask", mask, ndim=2, dtype=bool)
    n_in, n_out = mask.shape
    adjacency = np.zeros((n_in + n_out, n_in + n_out), dtype=np.int8)
    adjacency[:n_in, n_in:] = mask
    count, label = connected_components(csr_array(adjacency), directed=False)
    return int(count), label[:n_in], label[n_in:]


def _degree(n_domains, n_trained):
    n_domains = checks.count("n_domains", n_domains)
    return n_domains, checks.count("n_trained", n_trained, most=n_domains)


def sphere(n, d, rng):
    r"""Inputs drawn uniformly on the sphere :math:`\|x\| = \sqrt d`.

    Parameters
    ----------
    n, d : int
        Number of samples, dimension.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    X : ndarray, shape (n, d)
        One row a sample.
    """
    n, d = checks.count("n", n), checks.count("d", d)
    checks.generator("rng", rng)
    X = rng.standard_normal((n, d))
    return X * (np.sqrt(d) / np.linalg.norm(X, axis=1, keepdims=True))


def four_points(n, d, rng):
    r"""Two coordinates that matter among many that do not.

    :math:`(x_1, x_2)` is one of :math:`(\pm1, 0)`, with :math:`y = 1`, and :math:`(0, \pm1)`, with :math:`y = -1`,
    all equally likely; :math:`x_3, \dots, x_d` are uniform in :math:`[-1, 1]`.

    Parameters
    ----------
    n, d : int
        Number of samples; dimension, at least 2.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    X : ndarray, shape (n, d)
        Inputs.
    y : ndarray, shape (n,)
        Targets, plus or minus one; no linear function of the inputs separates them.
    """
    n, d = checks.count("n", n), checks.count("d", d, least=2)
    checks.generator("rng", rng)
    corner = rng.integers(4, size=n)
    X = rng.uniform(-1, 1, (n, d))
    X[:, :2] = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])[corner]
    return X, np.where(corner < 2, 1.0, -1.0)


def add_task(n_sequences, length, rng):
    r"""Delayed sum of random bits, :math:`y_t = \frac12 + \frac12 u_{t-2} - \frac14 u_{t-5}`.

    Bits before the start count as zero: the targets are causal.

    Parameters
    ----------
    n_sequences, length : int
        Number of sequences and of times.
    rng : numpy.random.Generator
        Source of the bits.

    Returns
    -------
    u : ndarray, shape (n_sequences, length)
        Independent bits, 0 or 1 with equal probability.
    y : ndarray, shape (n_sequences, length)
        Targets.

    Notes
    -----
    Task of Boopathy and Fiete (2022); their published code shifts in a circle and then clears the first
    *sequences* instead of the first times.

    Examples
    --------
    >>> u, y = add_task(1, 6, np.random.default_rng(0))
    >>> u[0], y[0]
    (array([1., 1., 1., 0., 0., 0.]), array([0.5 , 0.5 , 1.  , 1.  , 1.  , 0.25]))
    """
    n_sequences, length = checks.count("n_sequences", n_sequences), checks.count("length", length)
    checks.generator("rng", rng)
    u = rng.integers(2, size=(n_sequences, length)).astype(float)
    y = np.full_like(u, 0.5)
    y[:, 2:] += 0.5 * u[:, :-2]
    y[:, 5:] -= 0.25 * u[:, :-5]
    return u, y
