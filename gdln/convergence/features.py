"""Fixed first layers: linear and random features of the inputs, and the kernels they have in the limit."""

from dataclasses import dataclass

import numpy as np

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

    Examples
    --------
    >>> linear_features([[2.0, 0.0, 0.0, 2.0]]).tolist()
    [[1.0, 0.0, 0.0, 1.0]]
    """
    X = _inputs(X)
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
    """

    u: np.ndarray
    b: np.ndarray
    kind: str

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
        """
        X = _inputs(X)
        n_features, d = self.u.shape
        if X.shape[1] != d:
            raise ValueError(f"these features take inputs of dimension {d}, got {X.shape[1]}")
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
    ValueError
        If the kind is unknown or a size is not positive.
    """
    _check_kind(kind)
    if n_features < 1 or d < 1:
        raise ValueError(f"need at least one feature and one input dimension, got D={n_features}, d={d}")
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

    Notes
    -----
    The angle is computed as :math:`2\,\mathrm{atan2}(|e - e'|, |e + e'|)` of unit vectors, exact where
    the arc cosine of a rounded dot product is not.

    Examples
    --------
    >>> float(feature_kernel([[0.0, 2.0]], [[0.0, 2.0]])[0, 0])
    2.0
    """
    _check_kind(kind)
    X1, X2 = _inputs(X1), _inputs(X2)
    if X1.shape[1] != X2.shape[1]:
        raise ValueError(f"inputs must have one dimension, got {X1.shape[1]} and {X2.shape[1]}")
    if kind == "fourier":
        return np.exp(-((X1[:, None] - X2[None]) ** 2).sum(-1) / 2)
    norm1, norm2 = np.linalg.norm(X1, axis=1), np.linalg.norm(X2, axis=1)
    e1, e2 = X1 / np.where(norm1 > 0, norm1, 1)[:, None], X2 / np.where(norm2 > 0, norm2, 1)[:, None]
    apart = np.linalg.norm(e1[:, None] - e2[None], axis=-1)
    together = np.linalg.norm(e1[:, None] + e2[None], axis=-1)
    theta = 2 * np.arctan2(apart, together)
    shape = (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / np.pi
    return norm1[:, None] * norm2 * shape / X1.shape[1]


def _check_kind(kind):
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")


def _inputs(X):
    X = np.asarray(X, dtype=float)
    if X.ndim != 2:
        raise ValueError(f"inputs must have shape (n, d), got {X.shape}")
    if not X.shape[1] or not np.isfinite(X).all():
        raise ValueError(f"inputs need at least one column and finite entries, got shape {X.shape}")
    return X
