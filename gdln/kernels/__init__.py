"""Infinitely wide networks: their kernels, and training in function space.

Start with ``moments``: a ``FullyConnected`` network maps the second moments of two inputs to its two kernels, of the
function at the start (NNGP) and of its gradient (tangent kernel). ``gram`` does so for all pairs of a data set and
differentiates with respect to inputs; ``spectrum`` says what of a kernel is rounding; ``function_space`` follows the
outputs of a network with a fixed kernel through training; ``iterative`` solves for more samples than a matrix has room
for; ``tangent`` measures the kernel of a finite network.
"""

from gdln.kernels.function_space import (
    FlowPrediction,
    UnstableStepSize,
    first_below,
    frozen,
    gradient_flow,
    largest_eigenvalue,
    posterior,
)
from gdln.kernels.gram import gradient_covariance, input_gradients
from gdln.kernels.iterative import IterativeSolution, solve_iteratively
from gdln.kernels.moments import FullyConnected, Kernels
from gdln.kernels.tangent import empirical_ntk

__all__ = [
    "FlowPrediction",
    "FullyConnected",
    "IterativeSolution",
    "Kernels",
    "UnstableStepSize",
    "empirical_ntk",
    "first_below",
    "frozen",
    "gradient_covariance",
    "gradient_flow",
    "input_gradients",
    "largest_eigenvalue",
    "posterior",
    "solve_iteratively",
]
