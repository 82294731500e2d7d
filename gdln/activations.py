"""Nonlinearities with the constants that convergence theorems need."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from gdln import checks

#: Slope of the leaky ReLU below zero, where a name does not hold another value.
LEAK = 0.01

_LINE, _HALF = (-np.inf, np.inf), (0.0, np.inf)


@dataclass(frozen=True)
class Activation:
    r"""A nonlinearity with the constants the convergence theorems need.

    Parameters
    ----------
    name : str
        Its name.
    both : callable
        ``both(u)`` is the pair :math:`\sigma(u), \sigma'(u)`; the slope is a new array the caller may overwrite.
    kappa : float
        Lower bound of :math:`|\sigma'|` on ``interval``.
    interval : tuple of float
        Where that bound holds; all reals for the activations Theorem A covers.
    slope_max : float
        :math:`M = \sup|\sigma'|`.
    sup : float
        :math:`\sup|\sigma|`, infinite when unbounded.
    smooth : bool
        Whether the slope is continuous; a flow through kinks asks for a looser tolerance.
    """

    name: str
    both: Callable
    kappa: float
    interval: tuple
    slope_max: float
    sup: float = np.inf
    smooth: bool = True

    @property
    def monotone(self):
        """Whether the slope is bounded away from zero everywhere."""
        return self.interval == _LINE


def _sine(u):
    # with the tangent of half the angle, sin u = 2 t / (1 + t^2) and cos u = 2 / (1 + t^2) - 1: one function in place
    # of two, which NumPy has vectorised where its sine and cosine in float64 are not
    value = np.tan(u / 2)
    slope = value * value
    slope += 1
    np.divide(1, slope, out=slope)
    value *= slope
    value += u
    slope += 0.5
    return value, slope


def _leaky(u):
    slope = np.where(u > 0, 1.0, 0.2)
    return slope * u, slope


def _relu(u):
    return np.maximum(u, 0), (u > 0).astype(float)


def _softplus(u):
    return np.logaddexp(0, u), expit(u)


def _tanh(u):
    value = np.tanh(u)
    slope = value * value
    return value, np.subtract(1, slope, out=slope)


def named(activation):
    """The activation itself, from its name in :data:`ACTIVATIONS` or from an :class:`Activation`.

    Parameters
    ----------
    activation : Activation or str
        What to look up.

    Returns
    -------
    activation : Activation
        The nonlinearity.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(activation, Activation):
        return activation
    return ACTIVATIONS[checks.choice("activation", activation, ACTIVATIONS)]


_TANH_END = float(np.arccosh(np.sqrt(2.0)))

#: The activations of the book: monotone ones (Theorem A), and ones steep only on an interval (Theorem B).
ACTIVATIONS = {
    "sine": Activation("sine", _sine, 0.5, _LINE, 1.5),
    "leaky_0.2": Activation("leaky_0.2", _leaky, 0.2, _LINE, 1.0, smooth=False),
    "relu": Activation("relu", _relu, 1.0, _HALF, 1.0, smooth=False),
    "softplus": Activation("softplus", _softplus, 0.5, _HALF, 1.0),
    "tanh": Activation("tanh", _tanh, 0.5, (-_TANH_END, _TANH_END), 1.0, 1.0),
    "linear": Activation("linear", lambda u: (u, np.ones_like(u)), 1.0, _LINE, 1.0),
}
