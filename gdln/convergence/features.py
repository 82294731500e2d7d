"""Fixed first layers: linear and random features of the inputs, and the kernels they have in the limit."""

from dataclasses import dataclass

import numpy as np

from gdln import checks

KINDS = ("relu", "fourier")


def linear_features(X):
    r"""Inputs as features, :math:`\phi(x) = x/\sqrt d`.

    With these the model of :mod:`gdln.convergence.flow` is a shallow network, and :math:`G_{ab} = x_a\cdot x_b/d`.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, one row a sample.

    Returns
    -------
    phi : ndarray, shape (n, d)
        Scaled inputs.

    Raises
    ------
    TypeError, ValueError
        If the inputs are no finite matrix.

    Examples
    --------
    >>> linear_features([[2.0, 0.0, 0.0, 2.0]]).tolist()
    [[1.0, 0.0, 0.0, 1.0]]
    """
    X = checks.array("X", X, shape=("n", "d"))
    return X / np.sqrt(X.shape[1])


@dataclass(frozen=True)
class RandomFeatures:
    r"""A random layer that is never trained.

    :math:`\phi_j(x) = \sqrt{2/D}\,\max(0, u_j\cdot x/\sqrt d)` (``"relu"``) or
    :math:`\phi_j(x) = \sqrt{2/D}\,\cos(u_j\cdot x + b_j)` (``"fourier"``); the factor :math:`1/\sqrt D` is
    included, so that ``phi @ phi.T`` is the empirical kernel :math:`\hat G`.

    Parameters
    ----------
    u : ndarray, shape (D, d)
        Directions.
    b : ndarray, shape (D,)
        Phases; zero for ReLU.
    kind : {"relu", "fourier"}
        Which features.

    Raises
    ------
    TypeError, ValueError
        If the kind is unknown or the shapes do not fit.
    """

    u: np.ndarray
    b: np.ndarray
    kind: str

    def __post_init__(self):
        object.__setattr__(self, "u", checks.array("u", self.u, shape=("D", "d")))
        object.__setattr__(self, "b", checks.array("b", self.b, shape=(len(self.u),)))
        object.__setattr__(self, "kind", checks.choice("kind", self.kind, KINDS))

    def __call__(self, X):
        """Features of the inputs.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Inputs.

        Returns
        -------
        phi : ndarray, shape (n, D)
            One row a sample.

        Raises
        ------
        TypeError, ValueError
            If the inputs are no finite matrix with one column a dimension.
        """
        n_features, d = self.u.shape
        X = checks.array("X", X, shape=("n", d))
        if self.kind == "relu":
            return np.sqrt(2 / n_features) * np.maximum(X @ self.u.T / np.sqrt(d), 0)
        return np.sqrt(2 / n_features) * np.cos(X @ self.u.T + self.b)


def draw_features(n_features, d, rng, kind="relu"):
    """Draw a random first layer: standard normal directions, and uniform phases for Fourier features.

    Parameters
    ----------
    n_features : int
        Number D of features.
    d : int
        Input dimension.
    rng : numpy.random.Generator
        Source of randomness.
    kind : {"relu", "fourier"}, optional
        Which features.

    Returns
    -------
    features : RandomFeatures
        Call it on inputs.

    Raises
    ------
    TypeError, ValueError
        If the kind is unknown, a size is not positive or there is no generator.
    """
    n_features, d = checks.count("n_features", n_features), checks.count("d", d)
    rng, kind = checks.generator("rng", rng), checks.choice("kind", kind, KINDS)
    u = rng.standard_normal((n_features, d))
    b = rng.uniform(0, 2 * np.pi, n_features) if kind == "fourier" else np.zeros(n_features)
    return RandomFeatures(u, b, kind)


def feature_kernel(X1, X2, kind="relu"):
    r"""Kernel of infinitely many features, :math:`\varkappa(x, x') = \mathbb E\,\varphi(x)\varphi(x')`.

    ReLU (arc-cosine kernel of order one):
    :math:`\frac{|x||x'|}{\pi d}(\sin\theta + (\pi - \theta)\cos\theta)`; Fourier: :math:`e^{-|x - x'|^2/2}`.

    Parameters
    ----------
    X1, X2 : array_like, shape (n1, d), (n2, d)
        Inputs.
    kind : {"relu", "fourier"}, optional
        Which features.

    Returns
    -------
    kernel : ndarray, shape (n1, n2)
        Positive semidefinite when the inputs are the same.

    Raises
    ------
    TypeError, ValueError
        If the kind is unknown or the inputs are no finite matrices with as many columns.

    Notes
    -----
    The angle is computed as :math:`2\,\mathrm{atan2}(|e - e'|, |e + e'|)` of unit vectors, exact where
    the arc cosine of a rounded dot product is not.

    Examples
    --------
    >>> float(feature_kernel([[0.0, 2.0]], [[0.0, 2.0]])[0, 0])
    2.0
    """
    kind = checks.choice("kind", kind, KINDS)
    X1 = checks.array("X1", X1, shape=("n1", "d"))
    X2 = checks.array("X2", X2, shape=("n2", X1.shape[1]))
    if kind == "fourier":
        return np.exp(-((X1[:, None] - X2[None]) ** 2).sum(-1) / 2)
    norm1, norm2 = np.linalg.norm(X1, axis=1), np.linalg.norm(X2, axis=1)
    e1, e2 = X1 / np.where(norm1 > 0, norm1, 1)[:, None], X2 / np.where(norm2 > 0, norm2, 1)[:, None]
    apart = np.linalg.norm(e1[:, None] - e2[None], axis=-1)
    together = np.linalg.norm(e1[:, None] + e2[None], axis=-1)
    theta = 2 * np.arctan2(apart, together)
    shape = (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / np.pi
    return norm1[:, None] * norm2 * shape / X1.shape[1]
