"""Gated Bayesian networks at the saddle point, with the interface of scikit-learn."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gdln.renormalization.gates import random_planes
from gdln.renormalization.kernels import GatedKernel
from gdln.renormalization.saddle import solve


class GatedNetworkRegressor(RegressorMixin, BaseEstimator):
    r"""Regression by a globally gated deep linear network of finite width.

    Predicts with the mean, and on request the standard deviation, of the Bayesian posterior at the saddle point
    of the kernel's order parameters. Inputs are centred and scaled to a mean squared norm of ``n_features``, and
    targets centred and scaled to variance one, before the network sees them.

    Parameters
    ----------
    width : float, optional
        Width of every hidden layer; infinite for the Gaussian process.
    depth : int, optional
        Number of gated layers.
    n_gates : int, optional
        Number of gates, the first always on, the others steps at random planes. One makes a linear network.
    gates : callable, optional
        Own gates: takes inputs (as given, not scaled), returns (n_samples, n_gates). Overrides ``n_gates``.
    sigma2 : float, optional
        Prior variance of the weights.
    temperature : float, optional
        Variance of the label noise, in units of the variance of the targets.
    random_state : int, RandomState instance or None, optional
        Seed of the random planes.

    Attributes
    ----------
    solution_ : Solution
        Saddle point, see :mod:`gdln.renormalization.saddle`.
    order_parameter_ : ndarray
        Its order parameter of the first layer.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3))
    >>> GatedNetworkRegressor(random_state=0).fit(X, np.abs(X[:, 0])).score(X, np.abs(X[:, 0])) > 0.5
    True
    """

    def __init__(
        self, width=100.0, depth=1, n_gates=8, gates=None, sigma2=1.0, temperature=0.1, random_state=None
    ):
        self.width = width
        self.depth = depth
        self.n_gates = n_gates
        self.gates = gates
        self.sigma2 = sigma2
        self.temperature = temperature
        self.random_state = random_state

    def fit(self, X, y):
        """Find the saddle point.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Inputs.
        y : array_like, shape (n_samples,) or (n_samples, n_outputs)
            Targets.

        Returns
        -------
        self : GatedNetworkRegressor
        """
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        y = np.asarray(y, dtype=float)
        self._single = y.ndim == 1
        Y = y[:, None] if self._single else y
        self._shift, self._target_shift = X.mean(axis=0), Y.mean(axis=0)
        self._scale = np.sqrt(np.mean((X - self._shift) ** 2)) or 1.0
        spread = Y.std(axis=0)
        self._target_scale = np.where(spread > 0, spread, 1.0)
        if self.gates is None:
            rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
            self._planes = random_planes(self.n_gates, X.shape[1], rng, constant=True)
        self._X = (X - self._shift) / self._scale
        kernel = GatedKernel.from_inputs(
            self._X, self._gates(X), sigma2=self.sigma2, depth=self.depth, outputs=Y.shape[1]
        )
        target = (Y - self._target_shift) / self._target_scale
        target = target[:, 0] if Y.shape[1] == 1 else target
        self.solution_ = solve(kernel, target, widths=self.width, temperature=self.temperature)
        self.order_parameter_ = self.solution_.U[0]
        return self

    def predict(self, X, return_std=False):
        """Posterior mean of the network's output, and its standard deviation if asked for.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Inputs.
        return_std : bool, optional
            Whether to return the standard deviation too (of the output, without label noise).

        Returns
        -------
        mean : ndarray, shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray, of the same shape
            Only with ``return_std``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        scaled = (X - self._shift) / self._scale
        found = self.solution_.predict(scaled, gates=self._gates(X))
        mean = found.mean.reshape(len(X), -1) * self._target_scale + self._target_shift
        std = np.sqrt(found.variance).reshape(len(X), -1) * self._target_scale
        mean, std = (mean[:, 0], std[:, 0]) if self._single else (mean, std)
        return (mean, std) if return_std else mean

    def _gates(self, X):
        return self.gates(X) if self.gates is not None else self._planes((X - self._shift) / self._scale)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
