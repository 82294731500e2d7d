r"""Infinitely wide networks with one finite layer, :math:`F = f \circ g`: kernels, initial states, diagnostics.

:math:`g: \mathbb R^{n_0}\to\mathbb R^d` and :math:`f: \mathbb R^d\to\mathbb R^k` are infinitely wide inside;
the bottleneck :math:`z = g(x)` has finite width :math:`d` and no nonlinearity. Introduced by
Littwin et al. (2021); the equations are derived in the chapter "Dynamics".
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from gdln import checks
from gdln.kernels import moments, spectrum
from gdln.kernels.gram import gradient_covariance, gram
from gdln.kernels.moments import FullyConnected, Kernels
from gdln.kernels.tangent import ACTIVATIONS


@dataclass(frozen=True)
class Bottleneck:
    r"""Architecture of :math:`F = f\circ g`.

    Attributes
    ----------
    lower, upper : FullyConnected
        :math:`g` with its linear read-out of size ``width``, and :math:`f`.
    width : int
        Bottleneck width :math:`d`.
    fan_in : float, optional
        The first layer of :math:`f` is divided by its square root; ``width`` unless given. 1 is the network
        without that factor.
    """

    lower: FullyConnected
    upper: FullyConnected
    width: int
    fan_in: float | None = None

    def __post_init__(self):
        checks.instance("lower", self.lower, FullyConnected)
        checks.instance("upper", self.upper, FullyConnected)
        checks.count("width", self.width)
        fan_in = self.width if self.fan_in is None else self.fan_in
        object.__setattr__(self, "fan_in", checks.positive("fan_in", fan_in))


def limit_kernels(net, X, X2=None):
    r"""Kernels when the bottleneck becomes infinitely wide: a network of the same depth with a linear layer.

    .. math:: \Theta_\infty = \Theta_f[q] + \Theta_g \frac{\partial K_f}{\partial q_{12}}[q],\qquad q = K_g,

    and :math:`K_\infty = K_f[q]`. Constant in training, and independent of ``net.width``.

    Parameters
    ----------
    net : Bottleneck
        The architecture; its ``fan_in`` must be its width, otherwise there is no limit.
    X : array_like, shape (n, n_inputs)
        Inputs.
    X2 : array_like, shape (m, n_inputs), optional
        Second set; ``X`` unless given.

    Returns
    -------
    kernels : Kernels
        Matrices (n, m).
    """
    checks.instance("net", net, Bottleneck)
    if net.fan_in != net.width:
        raise ValueError(
            f"net needs a fan_in equal to its width {net.width} to have a limit, got {net.fan_in}: "
            "its kernel grows with the width"
        )
    X, X2, same = moments.two_sets(X, X2)
    lower = gram(net.lower, X, None if same else X2)
    moment = [moments.own_moments(A, A.shape[1]) for A in (X, X2)]
    q11, q22 = (moments.diagonal(net.lower, q).nngp for q in moment)
    d = moments.moment_derivatives(net.upper, q11[:, None], lower.nngp, q22[None, :])
    nngp, ntk = d.nngp, d.ntk + lower.ntk * d.nngp_12
    if same:
        exact = moments.diagonal(net.upper, q11)
        np.fill_diagonal(nngp, exact.nngp)
        np.fill_diagonal(ntk, exact.ntk + np.diag(lower.ntk) * moments.diagonal_slope(net.upper, q11))
    return Kernels(nngp, ntk)


def composite_kernel(net, theta_g, z, J, z2=None, J2=None):
    r"""Tangent kernel of the composition at a state.

    .. math:: H(x, x') = \Theta_f(z, z') I_k + \Theta_g(x, x') J(z) J(z')^\top.

    Parameters
    ----------
    net : Bottleneck
        The architecture.
    theta_g : ndarray, shape (n, m)
        Tangent kernel of :math:`g` between the samples.
    z, z2 : ndarray, shapes (n, d), (m, d)
        Bottleneck activities; ``z2`` is ``z`` unless given.
    J, J2 : ndarray, shapes (n, k, d), (m, k, d)
        Jacobians of :math:`f` there.

    Returns
    -------
    H : ndarray, shape (n, k, m, k)
        Reshaped to (n k, m k) it is the matrix that drives gradient descent.
    """
    checks.instance("net", net, Bottleneck)
    same, d = z2 is None, net.width
    checks.need(same == (J2 is None), "J2", "to come together with z2", J2)
    z = checks.array("z", z, shape=("n", d))
    J = checks.array("J", J, shape=(len(z), "k", d))
    n, k, _ = J.shape
    if same:
        z2, J2 = z, J
    else:
        z2 = checks.array("z2", z2, shape=("m", d))
        J2 = checks.array("J2", J2, shape=(len(z2), k, d))
    theta_g = checks.array("theta_g", theta_g, shape=(n, len(z2)))
    H = theta_g[:, None, :, None] * (J.reshape(-1, d) @ J2.reshape(-1, d).T).reshape(n, k, len(z2), k)
    theta_f = moments.from_moments(net.upper, *moments.pair_moments(z, z2, net.fan_in)).ntk
    if same:
        np.fill_diagonal(theta_f, moments.diagonal(net.upper, np.einsum("ij,ij->i", z, z) / net.fan_in).ntk)
    outputs = np.arange(k)
    H[:, outputs, :, outputs] += theta_f
    return H


def draw(net, X, rng):
    r"""Bottleneck activities at initialisation, ``d`` independent draws of :math:`\mathcal{GP}(0, K_g)`.

    Parameters
    ----------
    net : Bottleneck
        The architecture.
    X : array_like, shape (n, n_inputs)
        Inputs, training and test points together.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    z0 : ndarray, shape (n, d)
        One row a sample; equal where inputs are equal, and in the kernel's range where it is singular.
    """
    checks.instance("net", net, Bottleneck)
    checks.generator("rng", rng)
    factor = spectrum.root(gram(net.lower, X).nngp).factor
    return factor @ rng.standard_normal((factor.shape[1], net.width))


@dataclass(frozen=True)
class Features:
    r"""A finite draw of :math:`f` with one hidden layer; called on points it gives value and Jacobian.

    :math:`f_0(z) = \frac{\sigma_w}{\sqrt M} V^\top\phi(h) + \sigma_b c`,
    :math:`h = \frac{\sigma_w}{\sqrt d} W z + \sigma_b b`.

    Attributes
    ----------
    net : Bottleneck
        The architecture.
    W, b, V, c : ndarray, shapes (M, d), (M,), (M, k), (k,)
        Independent standard normal entries.
    """

    net: Bottleneck
    W: np.ndarray
    b: np.ndarray
    V: np.ndarray
    c: np.ndarray

    def __post_init__(self):
        _one_hidden_layer(self.net)
        W = checks.array("W", self.W, shape=("M", self.net.width))
        b = checks.array("b", self.b, shape=(len(W),))
        V = checks.array("V", self.V, shape=(len(W), "k"))
        c = checks.array("c", self.c, shape=(V.shape[1],))
        for name, value in (("W", W), ("b", b), ("V", V), ("c", c)):
            object.__setattr__(self, name, value)

    def __call__(self, z):
        """Values, shape (n, k), and Jacobians, shape (n, k, d), at points of shape (n, d)."""
        upper, (M, k) = self.net.upper, self.V.shape
        z = checks.array("z", z, shape=("n", self.net.width))
        gain, out = upper.W_std / np.sqrt(self.net.fan_in), upper.W_std / np.sqrt(M)
        value, slope = ACTIVATIONS[upper.activation](z @ (gain * self.W.T) + upper.b_std * self.b)
        weighted = (slope[:, None, :] * (gain * out * self.V.T)).reshape(-1, M)
        return out * value @ self.V + upper.b_std * self.c, (weighted @ self.W).reshape(len(z), k, -1)


def draw_features(net, n_outputs, n_features, rng):
    """Draw a finite upper part with one hidden layer of ``n_features`` units.

    Parameters
    ----------
    net : Bottleneck
        The architecture; its upper part has depth 1.
    n_outputs, n_features : int
        :math:`k` and :math:`M`.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    f0 : Features
        The draw.
    """
    _one_hidden_layer(net)
    n_outputs, n_features = checks.count("n_outputs", n_outputs), checks.count("n_features", n_features)
    checks.generator("rng", rng)
    shapes = (n_features, net.width), (n_features,), (n_features, n_outputs), (n_outputs,)
    return Features(net, *(rng.standard_normal(shape) for shape in shapes))


def _one_hidden_layer(net):
    checks.instance("net", net, Bottleneck)
    if net.upper.depth != 1:
        raise ValueError(f"net needs an upper part with one hidden layer, got depth {net.upper.depth}")


class ConditionalDraw:
    r"""An exact draw of :math:`f_0 \sim \mathcal{GP}(0, K_f)` with its gradient, revealed point by point.

    Each call conditions on all values and gradients drawn before. Where those determine new ones (a point seen
    before, points that crowd together, a ReLU without bias, whose :math:`f = \nabla f\cdot z`) the new ones follow and
    add nothing to what is kept. The cost grows with the cube of :attr:`rank`, at most the number of points times
    :math:`1 + d`: for small problems of any depth.

    Parameters
    ----------
    net : Bottleneck
        The architecture.
    n_outputs : int
        Independent outputs :math:`k`.
    rng : numpy.random.Generator
        Source of randomness.
    tolerance : float, optional
        A value or a derivative is determined by the others when its variance given them is below this fraction of its
        own variance. All covariances are then right to about a hundredfold of it; much smaller, rounding decides.

    Notes
    -----
    At a kink the derivative of a ReLU is zero: without bias, :math:`f` and its drawn gradient vanish at :math:`z = 0`.
    """

    def __init__(self, net, n_outputs, rng, tolerance=1e-8):
        self.net = checks.instance("net", net, Bottleneck)
        self.n_outputs = checks.count("n_outputs", n_outputs)
        self.rng = checks.generator("rng", rng)
        self.tolerance = checks.number("tolerance", tolerance, above=0, below=1)
        self._points = np.empty((0, net.width))
        # of the independent variables: rows among the points' variables, standard deviations, factor, white noise
        self._rows, self._std = np.zeros(0, dtype=int), np.empty(0)
        self._factor, self._white = np.empty((0, 0)), np.empty((0, n_outputs))

    @property
    def rank(self):
        """Independent normal variables drawn so far, for each output."""
        return len(self._rows)

    def __call__(self, z):
        """Values, shape (n, k), and Jacobians, shape (n, k, d), at points of shape (n, d)."""
        upper, fan_in, d = self.net.upper, self.net.fan_in, self.net.width
        z = checks.array("z", z, shape=("n", d))
        size, seen = len(z) * (1 + d), len(self._points) * (1 + d)
        own = gradient_covariance(upper, z, fan_in=fan_in).reshape(size, size)
        # in units of each variable's own standard deviation, so that one tolerance serves values, gradients and scales
        std = np.sqrt(np.maximum(np.diag(own), 0))
        unit = np.where(std > 0, std, 1)
        own = own / np.outer(unit, unit)
        cross = np.empty((0, size))
        if seen:
            cross = gradient_covariance(upper, self._points, z, fan_in).reshape(seen, size)[self._rows]
            cross = solve_triangular(self._factor, cross / np.outer(self._std, unit), lower=True)
        new = spectrum.root(own - cross.T @ cross, self.tolerance)
        white = self.rng.standard_normal((new.rank, self.n_outputs))
        sample = (cross.T @ self._white + new.factor @ white) * std[:, None]
        self._keep(z, seen, std, cross, new, white)
        sample = sample.reshape(len(z), 1 + d, self.n_outputs)
        return sample[:, 0], sample[:, 1:].transpose(0, 2, 1)

    def _keep(self, z, seen, std, cross, new, white):
        """Remember the variables that are new, and only the points that have some."""
        block = 1 + z.shape[1]
        points, place = np.unique(new.pivots // block, return_inverse=True)
        self._points = np.vstack([self._points, z[points]])
        self._rows = np.concatenate([self._rows, seen + place * block + new.pivots % block])
        self._std = np.concatenate([self._std, std[new.pivots]])
        above = np.zeros((len(self._factor), new.rank))
        self._factor = np.block([[self._factor, above], [cross.T[new.pivots], new.factor[new.pivots]]])
        self._white = np.vstack([self._white, white])


def activity(name, h):
    r"""Activation and slope, :math:`\phi(h), \phi'(h)`, of a hidden layer.

    Parameters
    ----------
    name : {"relu", "erf", "linear"}
        The nonlinearity.
    h : array_like
        Pre-activations.

    Returns
    -------
    value, slope : ndarray
        Arrays of the shape of ``h``; the slope of a ReLU is zero at its kink.

    Examples
    --------
    >>> activity("relu", [-1.0, 0.0, 2.0])
    (array([0., 0., 2.]), array([0., 0., 1.]))
    """
    checks.choice("name", name, ACTIVATIONS)
    value, slope = ACTIVATIONS[name](checks.array("h", h))
    return np.array(value), slope


def alignment(Z, Y):
    r"""Cosine between the Gram matrices of a representation and of the targets.

    :math:`\langle ZZ^\top, YY^\top\rangle / (\|ZZ^\top\|_F \|YY^\top\|_F)`, from the small products.

    Parameters
    ----------
    Z : array_like, shape (n, d)
        Representation.
    Y : array_like, shape (n,) or (n, k)
        Targets.

    Returns
    -------
    cosine : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If one of them is zero or not finite, or they differ in length.

    Examples
    --------
    >>> alignment([[2.0], [-2.0]], [1.0, -1.0])
    1.0
    """
    Z, Y = checks.array("Z", Z, shape=("n", "d")), checks.array("Y", Y, ndim=(1, 2))
    checks.need(len(Y) == len(Z), "Y", f"one row for each of the {len(Z)} rows of Z", Y)
    for name, A in (("Z", Z), ("Y", Y)):
        checks.need(A.any(), name, "numbers that are not all zero", A)
    # the cosine does not see the scales, so the largest entries are made one: no product overflows or vanishes
    Z, Y = Z / np.abs(Z).max(), Y.reshape(len(Y), -1) / np.abs(Y).max()
    return float(np.sum((Z.T @ Y) ** 2) / (np.linalg.norm(Z.T @ Z) * np.linalg.norm(Y.T @ Y)))
