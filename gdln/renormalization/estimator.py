"""Gated Bayesian networks at the saddle point, with the interface of scikit-learn."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gdln import checks
from gdln.renormalization.features import FeatureKernel
from gdln.renormalization.gates import random_planes
from gdln.renormalization.kernels import GatedKernel
from gdln.renormalization.saddle import solve


class GatedNetworkRegressor(RegressorMixin, BaseEstimator):
    r"""Regression by a globally gated deep linear network of finite width.

    Predicts with the mean, and on request the standard deviation, of the Bayesian posterior at the saddle point
    of the kernel's order parameters. Every input feature, and every target, is centred and scaled to variance one
    before the network sees it, so that units do not matter.

    Parameters
    ----------
    width : float or sequence of float, optional
        Width of every hidden layer, or one width a layer, input side first; infinite for the Gaussian process.
    depth : int, optional
        Number of gated layers. By default as many as there are widths, and one for a single width.
    n_gates : int, optional
        Number of gates, the first always on, the others steps at random planes. One makes a linear network.
    gates : callable, optional
        Own gates: takes inputs (as given, not scaled), returns (n_samples, n_gates). Overrides ``n_gates``.
    sigma2 : float, optional
        Prior variance of the weights.
    temperature : float, optional
        Variance of the label noise of a sample of weight one, in units of the variance of the targets.
    random_state : int, RandomState instance, Generator or None, optional
        Source of the random planes.
    scale_inputs : bool, optional
        Whether to centre and scale the features. Without it the network sees them as given, and its prior is about
        a function that vanishes at their origin.

    Attributes
    ----------
    solution_ : SaddleSolution
        Saddle point, see :mod:`gdln.renormalization.saddle`. Its kernel is a
        :class:`~gdln.renormalization.features.FeatureKernel` where there are more samples than products of gates and
        inputs: memory and time then grow with the samples, and not with their square and cube.
    order_parameter_ : ndarray
        Its order parameter of the first layer.

    Notes
    -----
    A sample of weight :math:`w` has label noise of variance :math:`T/w`, which is the same as :math:`w` copies of
    it: :math:`\sqrt w f` and :math:`\sqrt w y` have noise :math:`T`, and a gated linear network multiplies by
    :math:`\sqrt w` what its input is multiplied by.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3))
    >>> GatedNetworkRegressor(random_state=0).fit(X, np.abs(X[:, 0])).score(X, np.abs(X[:, 0])) > 0.5
    True
    """

    def __init__(
        self,
        width=100.0,
        depth=None,
        n_gates=8,
        gates=None,
        sigma2=1.0,
        temperature=0.1,
        random_state=None,
        scale_inputs=True,
    ):
        self.width = width
        self.depth = depth
        self.n_gates = n_gates
        self.gates = gates
        self.sigma2 = sigma2
        self.temperature = temperature
        self.random_state = random_state
        self.scale_inputs = scale_inputs

    def fit(self, X, y, sample_weight=None):
        """Find the saddle point.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Inputs.
        y : array_like, shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array_like, shape (n_samples,), optional
            Weights; whole numbers count copies of a sample, zero leaves it out.

        Returns
        -------
        self : GatedNetworkRegressor
        """
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        widths = self._widths()
        temperature = checks.nonnegative("temperature", self.temperature)
        sigma2 = checks.positive("sigma2", self.sigma2)
        scale_inputs = checks.flag("scale_inputs", self.scale_inputs)
        single, Y = y.ndim == 1, np.asarray(y, dtype=float).reshape(len(X), -1)
        weight = np.ones(len(X))
        if sample_weight is not None:
            weight = checks.array("sample_weight", sample_weight, shape=(len(X),), least=0)
            checks.need(weight.any(), "sample_weight", "at least one weight above zero", weight)
            X, Y, weight = (a[weight > 0] for a in (X, Y, weight))
        features = _Scale.of(X, weight) if scale_inputs else _Scale(np.zeros(X.shape[1]), np.ones(X.shape[1]))
        targets = _Scale.of(Y, weight)
        gates = self._family(X.shape[1], features)
        root, values = np.sqrt(weight)[:, None], gates(X)
        # no matrix of samples by samples is needed where they are more than the products of gates and inputs
        few = len(X) > values.shape[1] ** len(widths) * X.shape[1]
        make = FeatureKernel if few else GatedKernel.from_inputs
        options = dict(sigma2=sigma2, depth=len(widths), outputs=Y.shape[1])
        kernel, target = make(root * features.apply(X), values, **options), root * targets.apply(Y)
        self.solution_ = solve(
            kernel, target[:, 0] if Y.shape[1] == 1 else target, widths=widths, temperature=temperature
        )
        self.order_parameter_ = self.solution_.U[0]
        # all that a prediction needs is kept here: parameters may be set anew, and count at the next fit
        self._single, self._features, self._targets, self._gates = single, features, targets, gates
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
        return_std = checks.flag("return_std", return_std)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        found = self.solution_.predict(self._features.apply(X), gates=self._gates(X))
        mean = found.mean.reshape(len(X), -1) * self._targets.spread + self._targets.shift
        std = np.sqrt(found.variance).reshape(len(X), -1) * self._targets.spread
        mean, std = (mean[:, 0], std[:, 0]) if self._single else (mean, std)
        return (mean, std) if return_std else mean

    def _widths(self):
        """One width a gated layer."""
        several = np.ndim(self.width) > 0
        checks.need(
            np.ndim(self.width) <= 1 and np.size(self.width) > 0, "width", "one or more widths", self.width
        )
        widths = [
            checks.positive("width", N, infinite=True) for N in (self.width if several else [self.width])
        ]
        if self.depth is None:
            return widths
        depth = checks.count("depth", self.depth)
        checks.need(
            not several or len(widths) == depth, "depth", f"the number of widths, {len(widths)}", depth
        )
        return widths if several else widths * depth

    def _family(self, n_features, features):
        """Gates as a function of inputs as given."""
        if self.gates is not None:
            return _Gates(checks.function("gates", self.gates))
        n_gates = checks.count("n_gates", self.n_gates)
        rng = self.random_state
        if not isinstance(rng, np.random.Generator):
            rng = np.random.default_rng(check_random_state(rng).randint(2**31))
        return _Planes(random_planes(n_gates, n_features, rng, constant=True), features)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class _Scale:
    """Columns moved to mean zero and scaled to variance one; constant ones are moved only."""

    def __init__(self, shift, spread):
        self.shift, self.spread = shift, spread

    @classmethod
    def of(cls, values, weight):
        shift = np.average(values, axis=0, weights=weight)
        spread = np.sqrt(np.average((values - shift) ** 2, axis=0, weights=weight))
        # what rounding leaves of a constant is no spread
        constant = spread <= 1e-14 * np.abs(values).max(axis=0)
        return cls(shift, np.where(constant, 1.0, spread))

    def apply(self, values):
        return (values - self.shift) / self.spread


class _Gates:
    """The user's gates, checked."""

    def __init__(self, gates):
        self.gates = gates

    def __call__(self, X):
        return checks.array("gates", self.gates(X), shape=(len(X), "n_gates"))


class _Planes:
    """Random planes through the centre of the scaled inputs."""

    def __init__(self, planes, features):
        self.planes, self.features = planes, features

    def __call__(self, X):
        return self.planes(self.features.apply(X))
